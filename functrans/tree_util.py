"""Pytrees under the names of `jax.tree_util`, with paths and the registration of containers."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

import optree

from .tree import (
    NAMESPACE,
    all,
    flatten,
    flatten_with_path,
    leaves,
    leaves_with_path,
    map,
    map_with_path,
    reduce,
    structure,
    transpose,
    unflatten,
)

T = TypeVar("T", bound=type)

tree_flatten = flatten
tree_unflatten = unflatten
tree_leaves = leaves
tree_structure = structure
tree_map = map
tree_reduce = reduce
tree_all = all
tree_transpose = transpose
tree_flatten_with_path = flatten_with_path
tree_leaves_with_path = leaves_with_path
tree_map_with_path = map_with_path


def keystr(path: Sequence[Any]) -> str:
    """A path as one would write it.

    Example:
        >>> from functrans import tree_util
        >>> tree_util.keystr(("a", 0))
        "['a'][0]"
    """
    return "".join(f"[{entry!r}]" for entry in path)


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


def register_dataclass(
    cls: T, data_fields: Sequence[str] | None = None, meta_fields: Sequence[str] | None = None
) -> T:
    """Class decorator: a dataclass as a container.

    Args:
        data_fields: the fields that hold pytrees; by default all that are not in `meta_fields`.
        meta_fields: the fields that are part of the structure, and hashable.

    Example:
        >>> import dataclasses, functrans as ft
        >>> @ft.tree_util.register_dataclass
        ... @dataclasses.dataclass
        ... class Point:
        ...     x: float
        ...     y: float
        >>> ft.grad(lambda p: p.x * p.y)(Point(2.0, 3.0))
        Point(x=np.float64(3.0), y=np.float64(2.0))
    """
    names = [f.name for f in dataclasses.fields(cls) if f.init]
    meta = tuple(meta_fields or ())
    data = tuple(data_fields) if data_fields is not None else tuple(n for n in names if n not in meta)

    def flatten_node(x: Any) -> tuple[list[Any], Any]:
        return [getattr(x, name) for name in data], tuple(getattr(x, name) for name in meta)

    def unflatten_node(metadata: Any, children: Iterable[Any]) -> Any:
        return cls(**dict(zip(data, children)), **dict(zip(meta, metadata)))

    register_pytree_node(cls, flatten_node, unflatten_node)
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
    "Partial", "keystr", "register_dataclass", "register_pytree_node", "register_pytree_node_class", "tree_all",
    "tree_flatten", "tree_flatten_with_path", "tree_leaves", "tree_leaves_with_path", "tree_map", "tree_map_with_path",
    "tree_reduce", "tree_structure", "tree_transpose", "tree_unflatten",
]  # fmt: skip
