"""Pytrees: nested containers of arrays, as in `jax.tree`. A thin face on optree.

None is an empty subtree; dictionaries are visited in the order of their sorted keys; named tuples, OrderedDict,
defaultdict, deque and registered classes and dataclasses are containers, everything else is a leaf.

Example:
    >>> import functrans as ft
    >>> leaves, structure = ft.tree.flatten({"b": 2, "a": [1, None]})
    >>> leaves
    [1, 2]
    >>> ft.tree.unflatten(structure, [3, 4])
    {'b': 4, 'a': [3, None]}
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import optree

NAMESPACE = "functrans"
TreeDef = optree.PyTreeSpec
_none_is_leaf: Callable[[Any], bool] = lambda x: x is None  # noqa: E731


#: The leaves of a tree in order, and its structure: `flatten(tree, is_leaf=None)`.
flatten = partial(optree.tree_flatten, namespace=NAMESPACE)
#: The leaves of a tree, in order: `leaves(tree, is_leaf=None)`.
leaves = partial(optree.tree_leaves, namespace=NAMESPACE)
#: The structure of a tree: `structure(tree, is_leaf=None)`.
structure = partial(optree.tree_structure, namespace=NAMESPACE)


def unflatten(treedef: TreeDef, leaves: Iterable[Any]) -> Any:
    """The tree of a structure and its leaves."""
    return treedef.unflatten(leaves)


def map(f: Callable[..., Any], tree: Any, *rest: Any, is_leaf: Callable[[Any], bool] | None = None) -> Any:
    """Apply `f` to the corresponding leaves of trees.

    Example:
        >>> import functrans as ft
        >>> ft.tree.map(lambda x, y: x + y, {"a": 1, "b": (2, 3)}, {"a": 10, "b": (20, 30)})
        {'a': 11, 'b': (22, 33)}
    """
    return optree.tree_map(f, tree, *rest, is_leaf=is_leaf, namespace=NAMESPACE)


def flatten_prefix(prefix: Any, tree: Any, is_leaf: Callable[[Any], bool] | None = None) -> list[Any]:
    """One leaf of `prefix` for each leaf of `tree`, whose structure it may state in part; None counts as a leaf.

    Raises:
        ValueError: prefix is not a prefix of tree.
    """
    treedef = structure(tree, is_leaf)
    marked = treedef.unflatten(range(treedef.num_leaves))
    result: list[Any] = []

    def spread(axis: Any, subtree: Any) -> None:
        result.extend([axis] * len(leaves(subtree)))

    optree.tree_map_(spread, prefix, marked, is_leaf=_none_is_leaf, namespace=NAMESPACE)
    return result
