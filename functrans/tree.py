"""Pytrees: nested containers of arrays, as in `jax.tree`. A thin face on optree.

None is an empty subtree; dictionaries are visited in the order of their sorted keys; named tuples, OrderedDict,
defaultdict, deque and registered classes and dataclasses are containers, everything else is a leaf. `is_leaf`, where a
function takes it, is asked of each node whether it counts as a leaf, whatever it is.

Example:
    >>> import functrans as ft
    >>> leaves, structure = ft.tree.flatten({"b": 2, "a": [1, None]})
    >>> leaves
    [1, 2]
    >>> ft.tree.unflatten(structure, [3, 4])
    {'b': 4, 'a': [3, None]}
"""

from __future__ import annotations

import builtins
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import optree

NAMESPACE = "functrans"
TreeDef = optree.PyTreeSpec
_MISSING = object()
_none_is_leaf: Callable[[Any], bool] = lambda x: x is None  # noqa: E731


# No functions around functions: everything that is called with pytrees calls these.
flatten = partial(optree.tree_flatten, namespace=NAMESPACE)
flatten.__doc__ = "The leaves of a tree in order, and its structure: `flatten(tree, is_leaf=None)`."
leaves = partial(optree.tree_leaves, namespace=NAMESPACE)
leaves.__doc__ = "The leaves of a tree, in order: `leaves(tree, is_leaf=None)`."
structure = partial(optree.tree_structure, namespace=NAMESPACE)
structure.__doc__ = "The structure of a tree: `structure(tree, is_leaf=None)`."


def unflatten(treedef: TreeDef, leaves: Iterable[Any]) -> Any:
    """The tree of a structure and its leaves, which may be anything.

    Raises:
        ValueError: there are more or fewer leaves than the structure has.

    Example:
        >>> import functrans as ft
        >>> ft.tree.unflatten(ft.tree.structure({"a": 1, "b": (2, 3)}), "xyz")
        {'a': 'x', 'b': ('y', 'z')}
    """
    return treedef.unflatten(leaves)


def map(f: Callable[..., Any], tree: Any, *rest: Any, is_leaf: Callable[[Any], bool] | None = None) -> Any:
    """Apply `f` to the corresponding leaves of trees; the result has the structure of the first one.

    Raises:
        ValueError: another tree has not that structure; at its leaves there may be containers, which `f` is given.

    Example:
        >>> import functrans as ft
        >>> ft.tree.map(lambda x, y: x + y, {"a": 1, "b": (2, 3)}, {"a": 10, "b": (20, 30)})
        {'a': 11, 'b': (22, 33)}
    """
    return optree.tree_map(f, tree, *rest, is_leaf=is_leaf, namespace=NAMESPACE)


def reduce(f: Callable[[Any, Any], Any], tree: Any, *initial: Any, is_leaf: Callable[[Any], bool] | None = None) -> Any:
    """Combine all leaves from left to right, after `initial` if that is given.

    Raises:
        TypeError: there are no leaves and no initial value.

    Example:
        >>> import functrans as ft
        >>> ft.tree.reduce(lambda x, y: x + y, {"a": 1, "b": (2, 3)}, 0)
        6
    """
    return optree.tree_reduce(f, tree, *initial, is_leaf=is_leaf, namespace=NAMESPACE)


def all(tree: Any, *, is_leaf: Callable[[Any], bool] | None = None) -> bool:
    """Whether all leaves are true.

    Example:
        >>> import functrans as ft
        >>> ft.tree.all({"a": True, "b": (1, 0)})
        False
    """
    return builtins.all(leaves(tree, is_leaf))


def transpose(outer_treedef: TreeDef, inner_treedef: TreeDef | None, pytree_to_transpose: Any) -> Any:
    """A tree of trees with the levels exchanged.

    Args:
        outer_treedef: the structure that is now outside.
        inner_treedef: that of each of its leaves, by default that of the first.
        pytree_to_transpose: the tree.

    Example:
        >>> import functrans as ft
        >>> ft.tree.transpose(ft.tree.structure([0, 0]), ft.tree.structure((0, 0)), [(1, 2), (3, 4)])
        ([1, 3], [2, 4])
    """
    outer, subtrees = outer_treedef, outer_treedef.flatten_up_to(pytree_to_transpose)
    inner = structure(subtrees[0]) if inner_treedef is None else inner_treedef
    rows = [inner.flatten_up_to(subtree) for subtree in subtrees]
    return inner.unflatten(outer.unflatten(row[i] for row in rows) for i in range(inner.num_leaves))


def broadcast(prefix_tree: Any, full_tree: Any, is_leaf: Callable[[Any], bool] | None = None) -> Any:
    """A tree with the structure of `full_tree`, each leaf of `prefix_tree` standing wherever it stood for a subtree.

    Raises:
        ValueError: prefix_tree is not a prefix of full_tree.

    Example:
        >>> import functrans as ft
        >>> ft.tree.broadcast({"a": 1, "b": 2}, {"a": (0, 0), "b": 0})
        {'a': (1, 1), 'b': 2}
    """
    full = structure(full_tree, is_leaf)
    marked = full.unflatten(range(full.num_leaves))
    result: list[Any] = [None] * full.num_leaves

    def spread(leaf: Any, subtree: Any) -> None:
        for position in leaves(subtree):
            result[position] = leaf

    optree.tree_map_(spread, prefix_tree, marked, is_leaf=is_leaf, namespace=NAMESPACE)
    return full.unflatten(result)


def reduce_associative(
    operation: Callable[[Any, Any], Any],
    tree: Any,
    *,
    identity: Any = _MISSING,
    is_leaf: Callable[[Any], bool] | None = None,
) -> Any:
    """Combine all leaves, neighbours first: as `reduce` does, but by a tree of calls that is as low as can be.

    Raises:
        TypeError: there are no leaves and no identity.

    Example:
        >>> import functrans as ft
        >>> ft.tree.reduce_associative(lambda x, y: f"({x}{y})", list("abcde"))
        '(((ab)(cd))e)'
    """
    values = leaves(tree, is_leaf)
    if not values and identity is _MISSING:
        raise TypeError("reduce_associative() of a tree without leaves needs an identity")
    while len(values) > 1:
        pairs = [operation(x, y) for x, y in zip(values[::2], values[1::2])]
        values = [*pairs, *values[2 * len(pairs) :]]
    return values[0] if values else identity


def static(**options: Any) -> Any:
    """A field of a dataclass that is part of the structure (`tree_util.register_dataclass`).

    Args:
        options: those of `dataclasses.field`.
    """
    metadata = {"static": True, **(options.pop("metadata", None) or {})}
    return field(metadata=metadata, **options)


# ---- paths


@dataclass(frozen=True)
class DictKey:
    """The part of a path that is a key of a dictionary."""

    key: Any

    def __str__(self) -> str:
        return f"[{self.key!r}]"


@dataclass(frozen=True)
class SequenceKey:
    """The part of a path that is a place in a tuple, list or deque."""

    idx: int

    def __str__(self) -> str:
        return f"[{self.idx!r}]"


@dataclass(frozen=True)
class GetAttrKey:
    """The part of a path that is a field, of a named tuple or of a class that is registered with names."""

    name: str

    def __str__(self) -> str:
        return f".{self.name}"


@dataclass(frozen=True)
class FlattenedIndexKey:
    """The part of a path that is the number of a child, of a class that is registered without names."""

    key: int

    def __str__(self) -> str:
        return f"[<flat index {self.key}>]"


KeyPath = tuple[Any, ...]


class GivenEntry(optree.PyTreeEntry):
    """A part of a path that whoever registered the class has named."""


def _key(entry: optree.PyTreeEntry) -> Any:
    """JAX's key for optree's."""
    match entry:
        case GivenEntry():
            return entry.entry
        case optree.MappingEntry():
            return DictKey(entry.entry)
        case optree.NamedTupleEntry():
            return GetAttrKey(entry.field)
        case optree.SequenceEntry():
            return SequenceKey(entry.entry)
    return FlattenedIndexKey(entry.entry)


def plain_key(key: Any) -> Any:
    """The key, index or name that is a part of a path."""
    match key:
        case DictKey(value) | SequenceKey(value) | GetAttrKey(value) | FlattenedIndexKey(value):
            return value
    return key


def paths(treedef: TreeDef) -> list[KeyPath]:
    """The paths of the leaves of a structure, of DictKey, SequenceKey, GetAttrKey and FlattenedIndexKey."""
    return [tuple(builtins.map(_key, accessor)) for accessor in treedef.accessors()]


def flatten_with_path(
    tree: Any, is_leaf: Callable[[Any], bool] | None = None
) -> tuple[list[tuple[KeyPath, Any]], TreeDef]:
    """Pairs of a path and a leaf, and the structure; a path holds keys, indices and field names.

    Example:
        >>> import functrans as ft
        >>> ft.tree.flatten_with_path({"a": [1, 2]})[0]
        [((DictKey(key='a'), SequenceKey(idx=0)), 1), ((DictKey(key='a'), SequenceKey(idx=1)), 2)]
    """
    flat, treedef = flatten(tree, is_leaf)
    return list(zip(paths(treedef), flat)), treedef


def leaves_with_path(tree: Any, is_leaf: Callable[[Any], bool] | None = None) -> list[tuple[KeyPath, Any]]:
    """Pairs of a path and a leaf: the first of the two that `flatten_with_path` returns.

    Example:
        >>> import functrans as ft
        >>> ft.tree.leaves_with_path({"a": 1})
        [((DictKey(key='a'),), 1)]
    """
    return flatten_with_path(tree, is_leaf)[0]


def map_with_path(
    f: Callable[..., Any], tree: Any, *rest: Any, is_leaf: Callable[[Any], bool] | None = None
) -> Any:
    """Apply `f(path, leaf, ...)` to the corresponding leaves of trees, as `map` applies `f(leaf, ...)`.

    Example:
        >>> import functrans as ft
        >>> ft.tree.map_with_path(lambda path, x: f"{ft.tree_util.keystr(path)} = {x}", {"a": [1, 2]})
        {'a': ["['a'][0] = 1", "['a'][1] = 2"]}
    """
    flat, treedef = flatten(tree, is_leaf)
    others = [treedef.flatten_up_to(other) for other in rest]
    return treedef.unflatten(f(*leaf) for leaf in zip(paths(treedef), flat, *others))


# ---- prefixes


def flatten_prefix(prefix: Any, tree: Any, is_leaf: Callable[[Any], bool] | None = None) -> list[Any]:
    """One leaf of `prefix` for each leaf of `tree`, whose structure it may state in part; None counts as a leaf.

    Raises:
        ValueError: prefix is not a prefix of tree.

    Example:
        >>> import functrans as ft
        >>> ft.tree.flatten_prefix((0, None), ({"w": 1.0, "b": 2.0}, 3.0))
        [0, 0, None]
    """
    treedef = structure(tree, is_leaf)
    if prefix is None or type(prefix) is int:
        return [prefix] * treedef.num_leaves
    marked = treedef.unflatten(range(treedef.num_leaves))
    result: list[Any] = []

    def spread(axis: Any, subtree: Any) -> None:
        result.extend([axis] * len(leaves(subtree)))

    optree.tree_map_(spread, prefix, marked, is_leaf=_none_is_leaf, namespace=NAMESPACE)
    return result


def structure_text(treedef: TreeDef) -> str:
    """A structure as messages show it.

    Example:
        >>> import functrans as ft
        >>> ft.tree.structure_text(ft.tree.structure({"a": 1, "b": (2, 3)}))
        "{'a': *, 'b': (*, *)}"
    """
    return str(treedef).removeprefix("PyTreeSpec(").removesuffix(f", namespace={NAMESPACE!r})").removesuffix(")")
