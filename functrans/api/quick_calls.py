"""Quick ways to the programs of the last calls of a jitted function, for arguments of the same structure and types."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from .. import tree
from ..compiler.nests import Nest, is_made_by_namedtuple, nest_of, static_nest
from ..core.avals import told_apart

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


class Static(NamedTuple):
    """Static arguments.

    Attributes:
        numbered: those among the positional arguments, by number.
        named: those among the keyword arguments, by name.
    """

    numbered: Mapping[int, Any]
    named: Mapping[str, Any]

    def values(self) -> list[Any]:
        """All of them."""
        return [*self.numbered.values(), *self.named.values()]

    def spread(self, args: Sequence[Any], kwargs: Mapping[str, Any], has_names: bool) -> list[Any]:
        """Something for each argument, those that are static among the others; that for keywords as one more."""
        spread = list(args)
        for i, value in sorted(self.numbered.items()):
            spread.insert(i, value)
        return [*spread, {**kwargs, **self.named}] if has_names else spread


NO_CALLS = QuickCalls(-1, (), ())


def quick_call(
    program: Any,
    leaves: Sequence[Any],
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    treedef: Any,
    out_tree: Any,
    static: Static,
) -> Call | None:
    """A quick way to call a program again, or None.

    Args:
        leaves: those of the arguments that are not static.
        treedef: the structure of these arguments, `(args, kwargs)`.
        out_tree: that of the result.
    """
    make = program.entries(leaves)
    if make is None:
        return None
    inside = _inside(args, kwargs, treedef, static)
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
        call = _flattening(call, treedef, bool(kwargs), len(args), static)
    if outside is None:
        call = _unflattening(call, out_tree)
    known = [static_nest(value) for value in static.values()]
    is_complete = inside is None or all(nest.is_compared or nest.is_unique for nest in known)
    return call if is_complete else _with_equal(call, bool(kwargs), static)


def _inside(args: Sequence[Any], kwargs: Mapping[str, Any], treedef: Any, static: Static) -> Nest | None:
    """What the arguments are, those by keyword as one more at the end; None for what cannot be taken apart natively."""
    numbered_args, numbered_kwargs = tree.unflatten(treedef, range(treedef.num_leaves))
    fixed = Static(
        {i: static_nest(value) for i, value in static.numbered.items()},
        {name: static_nest(value) for name, value in static.named.items()},
    )
    numbered = tuple(fixed.spread(numbered_args, numbered_kwargs, bool(kwargs)))
    found = nest_of(numbered, (*args, kwargs) if kwargs else tuple(args))
    assert not isinstance(found, int)
    return found


def _is_built_natively(nest: Nest) -> bool:
    """Whether no named tuple in it has a class with ways of its own to make one: it is called then."""
    is_usual = nest.type is tuple or nest.kind != "tuple" or is_made_by_namedtuple(nest.type)
    return is_usual and all(_is_built_natively(part) for part in nest.parts if isinstance(part, Nest))


def _is_nested(nest: Nest) -> bool:
    return any(isinstance(part, Nest) for part in nest.parts)


def _flattening(call: Call, treedef: Any, has_names: bool, count: int, static: Static) -> Call:
    """A call that takes arguments, of one that takes leaves."""
    dynamic = [i for i in range(count) if i not in static.numbered]

    def quick(*args: Any) -> Any:
        if len(args) != count + has_names or not _are_equal(args, static):
            return NotImplemented
        names = {k: v for k, v in args[-1].items() if k not in static.named} if has_names else {}
        leaves, found = tree.flatten((tuple([args[i] for i in dynamic]), names))
        return call(*leaves) if found == treedef else NotImplemented

    return quick


def _unflattening(call: Call, out_tree: Any) -> Call:
    def quick(*args: Any) -> Any:
        results = call(*args)
        return results if results is NotImplemented else out_tree.unflatten(results)

    return quick


def _with_equal(call: Call, has_names: bool, static: Static) -> Call:
    """A call that takes other objects too for static arguments: equal ones of the same types, as in a signature."""

    def quick(*args: Any) -> Any:
        results = call(*args)
        if results is not NotImplemented or not _are_equal(args, static):
            return results
        given = [*args[:-1], {**args[-1], **static.named}] if has_names else list(args)
        for i, value in static.numbered.items():
            given[i] = value
        return call(*given)

    return quick


def _are_equal(args: Sequence[Any], static: Static) -> bool:
    """Whether the static ones among some arguments are as they were; those by keyword are the last."""
    if len(args) <= max(static.numbered, default=-1):
        return False
    pairs = [(args[i], value) for i, value in static.numbered.items()]
    for name, value in static.named.items():
        if type(args[-1]) is not dict or name not in args[-1]:
            return False
        pairs.append((args[-1][name], value))
    return all(x is y or (type(x) is type(y) and told_apart(x) == told_apart(y)) for x, y in pairs)
