"""Pytrees under the names of `jax.tree_util`, with paths and the registration of containers."""

from __future__ import annotations

import builtins
import dataclasses
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Any, TypeVar

import optree

from .tree import (
    NAMESPACE,
    DictKey,
    FlattenedIndexKey,
    GetAttrKey,
    GivenEntry,
    KeyPath,
    SequenceKey,
    TreeDef,
    all,
    broadcast,
    flatten,
    flatten_with_path,
    leaves,
    leaves_with_path,
    map,
    map_with_path,
    plain_key,
    reduce,
    reduce_associative,
    structure,
    transpose,
    unflatten,
)

T = TypeVar("T", bound=type)

PyTreeDef = TreeDef
tree_flatten = flatten
tree_unflatten = unflatten
tree_leaves = leaves
tree_structure = structure
tree_map = map
tree_reduce = reduce
tree_reduce_associative = reduce_associative
tree_all = all
tree_transpose = transpose
tree_broadcast = broadcast
tree_flatten_with_path = flatten_with_path
tree_leaves_with_path = leaves_with_path
tree_map_with_path = map_with_path


def keystr(keys: KeyPath, *, simple: bool = False, separator: str = "") -> str:
    """A path as one would write it.

    Args:
        simple: the keys, indices and names alone.
        separator: what stands between them.

    Example:
        >>> import functrans as ft
        >>> [(path, _)] = ft.tree.leaves_with_path({"a": [5.0]})
        >>> ft.tree_util.keystr(path), ft.tree_util.keystr(path, simple=True, separator="/")
        ("['a'][0]", 'a/0')
    """
    return separator.join(str(plain_key(key) if simple else key) for key in keys)


def all_leaves(iterable: Iterable[Any], is_leaf: Callable[[Any], bool] | None = None) -> bool:
    """Whether all elements are leaves.

    Example:
        >>> from functrans import tree_util
        >>> tree_util.all_leaves([1.0, "a"]), tree_util.all_leaves([1.0, (2.0,)])
        (True, False)
    """
    items = list(iterable)
    return builtins.all(len(found) == 1 and found[0] is x for x in items for found in [leaves(x, is_leaf)])


# ---- structures


def treedef_is_leaf(treedef: TreeDef) -> bool:
    """Whether a structure is that of a leaf."""
    return treedef.is_leaf()


def treedef_children(treedef: TreeDef) -> list[TreeDef]:
    """The structures of the children of the outermost container.

    Example:
        >>> import functrans as ft
        >>> ft.tree_util.treedef_children(ft.tree.structure((1, [2, 3])))[1].num_leaves
        2
    """
    return treedef.children()


def treedef_tuple(treedefs: Iterable[TreeDef]) -> TreeDef:
    """The structure of a tuple whose elements have some structures.

    Example:
        >>> import functrans as ft
        >>> parts = [ft.tree.structure({"a": 1}), ft.tree.structure(2)]
        >>> ft.tree_util.treedef_tuple(parts) == ft.tree.structure(({"a": 1}, 2))
        True
    """
    return optree.treespec_tuple(treedefs, namespace=NAMESPACE)


# ---- registration


def register_pytree_node(
    cls: type,
    flatten_node: Callable[[Any], tuple[Iterable[Any], Any]],
    unflatten_node: Callable[[Any, Iterable[Any]], Any],
) -> None:
    """Make a class a container: `flatten_node(x)` gives (children, metadata), `unflatten_node` undoes it.

    The metadata must be hashable and comparable: it becomes part of the structure.

    Raises:
        ValueError: the class is a container already.

    Example:
        >>> import functrans as ft
        >>> class Interval:
        ...     def __init__(self, low, high):
        ...         self.low, self.high = low, high
        >>> ft.tree_util.register_pytree_node(
        ...     Interval, lambda x: ((x.low, x.high), None), lambda _, children: Interval(*children)
        ... )
        >>> ft.tree.leaves([Interval(1.0, 2.0), 3.0])
        [1.0, 2.0, 3.0]
    """
    optree.register_pytree_node(cls, flatten_node, unflatten_node, namespace=NAMESPACE)


def register_pytree_node_class(cls: T) -> T:
    """Class decorator: a container with `tree_flatten()` and a classmethod `tree_unflatten(metadata, children)`.

    Example:
        >>> import functrans as ft
        >>> @ft.tree_util.register_pytree_node_class
        ... class Disc:
        ...     def __init__(self, radius):
        ...         self.radius = radius
        ...     def tree_flatten(self):
        ...         return (self.radius,), None
        ...     @classmethod
        ...     def tree_unflatten(cls, metadata, children):
        ...         return cls(*children)
        >>> ft.grad(lambda disc: disc.radius**2)(Disc(3.0)).radius
        np.float64(6.0)
    """
    register_pytree_node(cls, lambda x: x.tree_flatten(), cls.tree_unflatten)
    return cls


def register_pytree_with_keys(
    cls: type,
    flatten_with_keys: Callable[[Any], tuple[Iterable[tuple[Any, Any]], Any]],
    unflatten_node: Callable[[Any, Iterable[Any]], Any],
    flatten_node: Callable[[Any], tuple[Iterable[Any], Any]] | None = None,
) -> None:
    """Make a class a container whose children have names in paths.

    Args:
        flatten_with_keys: gives (pairs of a key and a child, metadata); keys are GetAttrKey, DictKey and so on, or
            anything that has a text.
        unflatten_node: as in register_pytree_node.
        flatten_node: part of JAX's signature; what it would give is taken from the first.

    Raises:
        ValueError: the class is a container already.

    Example:
        >>> import functrans as ft
        >>> from functrans.tree_util import GetAttrKey
        >>> class Ring:
        ...     def __init__(self, inner, outer):
        ...         self.inner, self.outer = inner, outer
        >>> ft.tree_util.register_pytree_with_keys(
        ...     Ring,
        ...     lambda x: (((GetAttrKey("inner"), x.inner), (GetAttrKey("outer"), x.outer)), None),
        ...     lambda _, children: Ring(*children),
        ... )
        >>> [ft.tree_util.keystr(path) for path, _ in ft.tree.leaves_with_path([Ring(1.0, 2.0)])]
        ['[0].inner', '[0].outer']
    """

    def flatten_in_three(x: Any) -> tuple[list[Any], Any, list[Any]]:
        pairs, metadata = flatten_with_keys(x)
        pairs = list(pairs)
        return [child for _, child in pairs], metadata, [key for key, _ in pairs]

    optree.register_pytree_node(
        cls, flatten_in_three, unflatten_node, path_entry_type=GivenEntry, namespace=NAMESPACE
    )


def register_pytree_with_keys_class(cls: T) -> T:
    """Class decorator: a container with `tree_flatten_with_keys()` and a classmethod `tree_unflatten`."""
    register_pytree_with_keys(cls, lambda x: x.tree_flatten_with_keys(), cls.tree_unflatten)
    return cls


def register_dataclass(
    cls: T,
    data_fields: Sequence[str] | None = None,
    meta_fields: Sequence[str] | None = None,
    drop_fields: Sequence[str] = (),
) -> T:
    """Class decorator: a dataclass as a container.

    Args:
        data_fields: the fields that hold pytrees; by default all that are in none of the others.
        meta_fields: the fields that are part of the structure, and hashable; by default those that are made with
            `static()`, or have `static=True` in their metadata.
        drop_fields: the fields that are in neither, and have their defaults again when the class is put together.

    Example:
        >>> import dataclasses, functrans as ft
        >>> @ft.tree_util.register_dataclass
        ... @dataclasses.dataclass
        ... class Monomial:
        ...     x: float
        ...     degree: int = ft.tree.static(default=2)
        >>> ft.jit(ft.grad(lambda p: p.x**p.degree))(Monomial(3.0))
        Monomial(x=np.float64(6.0), degree=2)
    """
    fields = [f for f in dataclasses.fields(cls) if f.init and f.name not in drop_fields]
    static_fields = [f.name for f in fields if f.metadata.get("static", False) and f.name not in (data_fields or ())]
    meta = tuple(meta_fields if meta_fields is not None else static_fields)
    data = tuple(data_fields if data_fields is not None else (f.name for f in fields if f.name not in meta))
    keys = tuple(GetAttrKey(name) for name in data)

    def flatten_with_keys(x: Any) -> tuple[list[Any], Any]:
        return [(key, getattr(x, key.name)) for key in keys], tuple(getattr(x, name) for name in meta)

    def unflatten_node(metadata: Any, children: Iterable[Any]) -> Any:
        return cls(**dict(zip(data, children)), **dict(zip(meta, metadata)))

    register_pytree_with_keys(cls, flatten_with_keys, unflatten_node)
    return cls


def register_static(cls: T) -> T:
    """Class decorator: a container without children, itself part of the structure; hashable and comparable.

    Example:
        >>> import enum, functrans as ft
        >>> @ft.tree_util.register_static
        ... class Sense(enum.Enum):
        ...     UP, DOWN = 1.0, -1.0
        >>> ft.jit(lambda x, sense: x * sense.value)(2.0, Sense.DOWN)
        -2.0
    """

    def metadata_only(x: Hashable) -> tuple[tuple[()], Hashable]:
        return (), x

    register_pytree_node(cls, metadata_only, lambda metadata, _: metadata)
    return cls


class Partial:
    """`functools.partial` as a pytree: its arguments are leaves, its function is part of the structure.

    Example:
        >>> import functrans as ft
        >>> f = ft.tree_util.Partial(lambda a, x: a * x, 3.0)
        >>> ft.grad(lambda f: f(2.0))(f).args
        (np.float64(2.0),)
        >>> ft.tree_util.Partial(max, 3.0, key=abs)
        Partial(<built-in function max>, 3.0, key=<built-in function abs>)
    """

    def __init__(self, function: Callable[..., Any], *args: Any, **kwargs: Any):
        self.function, self.args, self.kwargs = function, args, kwargs

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.function(*self.args, *args, **{**self.kwargs, **kwargs})

    def __repr__(self) -> str:
        given = [repr(self.function), *map(repr, self.args), *(f"{name}={x!r}" for name, x in self.kwargs.items())]
        return f"Partial({', '.join(given)})"


register_pytree_node(
    Partial,
    lambda p: ((p.args, p.kwargs), p.function),
    lambda function, children: (lambda args, kwargs: Partial(function, *args, **kwargs))(*children),
)

__all__ = [
    "DictKey", "FlattenedIndexKey", "GetAttrKey", "KeyPath", "Partial", "PyTreeDef", "SequenceKey", "all_leaves",
    "keystr", "register_dataclass", "register_pytree_node", "register_pytree_node_class", "register_pytree_with_keys",
    "register_pytree_with_keys_class", "register_static", "tree_all", "tree_broadcast", "tree_flatten",
    "tree_flatten_with_path", "tree_leaves", "tree_leaves_with_path", "tree_map", "tree_map_with_path", "tree_reduce",
    "tree_reduce_associative", "tree_structure", "tree_transpose", "tree_unflatten", "treedef_children",
    "treedef_is_leaf", "treedef_tuple",
]  # fmt: skip
