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
from functools import partial
from typing import Any

import optree

NAMESPACE = "functrans"
TreeDef = optree.PyTreeSpec
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


def transpose(outer: TreeDef, inner: TreeDef | None, tree: Any) -> Any:
    """A tree of trees with the levels exchanged.

    Args:
        outer: the structure that is now outside; inner: that of each of its leaves, by default that of the first.

    Example:
        >>> import functrans as ft
        >>> ft.tree.transpose(ft.tree.structure([0, 0]), ft.tree.structure((0, 0)), [(1, 2), (3, 4)])
        ([1, 3], [2, 4])
    """
    subtrees = outer.flatten_up_to(tree)
    inner = structure(subtrees[0]) if inner is None else inner
    rows = [inner.flatten_up_to(subtree) for subtree in subtrees]
    return inner.unflatten(outer.unflatten(row[i] for row in rows) for i in range(inner.num_leaves))


def flatten_with_path(
    tree: Any, is_leaf: Callable[[Any], bool] | None = None
) -> tuple[list[tuple[tuple[Any, ...], Any]], TreeDef]:
    """Pairs of a path and a leaf, and the structure; a path holds keys, indices and field names.

    Example:
        >>> import functrans as ft
        >>> ft.tree.flatten_with_path({"a": [1, 2]})[0]
        [(('a', 0), 1), (('a', 1), 2)]
    """
    paths, flat, treedef = optree.tree_flatten_with_path(tree, is_leaf, namespace=NAMESPACE)
    return list(zip(paths, flat)), treedef


def leaves_with_path(tree: Any, is_leaf: Callable[[Any], bool] | None = None) -> list[tuple[tuple[Any, ...], Any]]:
    """Pairs of a path and a leaf: the first of the two that `flatten_with_path` returns.

    Example:
        >>> import functrans as ft
        >>> ft.tree.leaves_with_path({"a": [1, 2]})
        [(('a', 0), 1), (('a', 1), 2)]
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
    return optree.tree_map_with_path(f, tree, *rest, is_leaf=is_leaf, namespace=NAMESPACE)


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
