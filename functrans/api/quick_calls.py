"""Quick ways to the programs of the last calls of a jitted function, for arguments of the same structure and types."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from .. import tree
from ..compiler.nests import Nest, nest_of

#: How many signatures are tried one after the other.
MOST = 4

#: Takes the arguments of a call (the keyword arguments as one more), and returns NotImplemented if they are others.
Call = Callable[..., Any]


class QuickCalls(NamedTuple):
    """Calls that were made lately, the last one first.

    Attributes:
        count: which state of the settings they belong to.
        plain: those without keyword arguments, named: those with.
    """

    count: int
    plain: tuple[Call, ...]
    named: tuple[Call, ...]

    def with_one(self, call: Call, has_names: bool, count: int) -> QuickCalls:
        """These and another one."""
        plain, named = (self.plain, self.named) if count == self.count else ((), ())
        if has_names:
            return QuickCalls(count, plain, (call, *(c for c in named if c is not call))[:MOST])
        return QuickCalls(count, (call, *(c for c in plain if c is not call))[:MOST], named)


NO_CALLS = QuickCalls(-1, (), ())


def quick_call(
    program: Any,
    leaves: Sequence[Any],
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    treedef: Any,
    out_tree: Any,
    static: Mapping[int, Any],
) -> Call | None:
    """A quick way to call a program again, or None.

    Args:
        leaves: those of the arguments that are not static.
        treedef: the structure of these arguments, `(args, kwargs)`.
        out_tree: that of the result.
        static: the static ones among the positional arguments, by number.
    """
    make = program.entries(leaves)
    if make is None:
        return None
    dynamic = [a for i, a in enumerate(args) if i not in static]
    inside = _inside(dynamic, kwargs, treedef)
    outside = nest_of(tree.unflatten(out_tree, range(out_tree.num_leaves)))
    if isinstance(outside, Nest) and not _is_built_natively(outside):
        outside = None
    results = Nest(tuple, (), tuple(range(out_tree.num_leaves)))
    if program.takes_leaves:
        inside = inside if inside is None or not _is_nested(inside) else None
        outside = None if isinstance(outside, Nest) and outside != results else outside
    flat = Nest(tuple, (), tuple(range(len(leaves))))
    entry = make(leaves, flat if inside is None else inside, results if outside is None else outside)
    if entry is None:
        return None
    call = entry.call
    if inside is None:
        call = _flattening(call, treedef, bool(kwargs))
    if outside is None:
        call = _unflattening(call, out_tree)
    return _with_static(call, len(args), static) if static else call


def _inside(args: Sequence[Any], kwargs: Mapping[str, Any], treedef: Any) -> Nest | None:
    """What the arguments are, those by keyword as one more at the end; None for what cannot be taken apart natively."""
    numbered_args, numbered_kwargs = tree.unflatten(treedef, range(treedef.num_leaves))
    numbered, like = tuple(numbered_args), tuple(args)
    if kwargs:
        numbered, like = (*numbered, numbered_kwargs), (*like, kwargs)
    found = nest_of(numbered, like)
    assert not isinstance(found, int)
    return found


def _is_built_natively(nest: Nest) -> bool:
    """Whether there is no named tuple in it: these are made by calling their class."""
    is_usual = nest.type is tuple or nest.kind != "tuple"
    return is_usual and all(_is_built_natively(part) for part in nest.parts if isinstance(part, Nest))


def _is_nested(nest: Nest) -> bool:
    return any(isinstance(part, Nest) for part in nest.parts)


def _flattening(call: Call, treedef: Any, has_names: bool) -> Call:
    def quick(*args: Any) -> Any:
        given = (args[:-1], args[-1]) if has_names else (args, {})
        leaves, found = tree.flatten(given)
        return call(*leaves) if found == treedef else NotImplemented

    return quick


def _unflattening(call: Call, out_tree: Any) -> Call:
    def quick(*args: Any) -> Any:
        results = call(*args)
        return results if results is NotImplemented else out_tree.unflatten(results)

    return quick


def _with_static(call: Call, count: int, static: Mapping[int, Any]) -> Call:
    """A call that takes the static arguments too: equal ones of the same types, as in a signature."""
    wanted = [(i, value, type(value)) for i, value in static.items()]
    others = [i for i in range(count) if i not in static]

    def quick(*args: Any) -> Any:
        if len(args) < count:
            return NotImplemented
        for i, value, kind in wanted:
            if args[i] is not value and (type(args[i]) is not kind or args[i] != value):
                return NotImplemented
        return call(*[args[i] for i in others], *args[count:])

    return quick
