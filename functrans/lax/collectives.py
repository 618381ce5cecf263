"""Collectives: what the lanes of a vmap with an axis_name can tell each other.

Where several vmaps are nested, a tuple of names stands for the lanes of all of them.
"""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from .. import tree
from ..core.trace import typeof
from ..primitives import collectives as _collectives
from ..primitives.elementwise import add, divide, multiply
from ..primitives.foundation import reshape
from ..primitives.indexing import move_axis
from ..primitives.reductions import reduce_max, reduce_min


def psum(x: Any, axis_name: Any) -> Any:
    """The sum over all lanes of each leaf of a pytree.

    Raises:
        UnboundAxisError: no enclosing vmap has this axis_name.

    Example:
        >>> import numpy as np, functrans as ft
        >>> ft.vmap(lambda x: x / ft.lax.psum(x, "i"), axis_name="i")(np.array([1.0, 3.0]))
        array([0.25, 0.75])
    """
    axis_size(axis_name)
    for name in _names(axis_name):
        x = tree.map(lambda leaf, name=name: _collectives.psum(leaf, axis_name=name), x)
    return x


def pmean(x: Any, axis_name: Any) -> Any:
    """The mean over all lanes of each leaf of a pytree.

    Example:
        >>> import numpy as np, functrans as ft
        >>> ft.vmap(lambda x: x - ft.lax.pmean(x, "i"), axis_name="i")(np.array([1.0, 3.0]))
        array([-1.,  1.])
    """
    count = axis_size(axis_name)
    return tree.map(lambda leaf: divide(leaf, count), psum(x, axis_name))


def pmax(x: Any, axis_name: Any) -> Any:
    """The maximum over all lanes of each leaf of a pytree; lanes that tie share the cotangent equally.

    Example:
        >>> import numpy as np, functrans as ft
        >>> ft.vmap(lambda x: x / ft.lax.pmax(x, "i"), axis_name="i")(np.array([1.0, 4.0]))
        array([0.25, 1.  ])
    """
    return tree.map(lambda leaf: reduce_max(all_gather(leaf, axis_name), axes=(0,)), x)


def pmin(x: Any, axis_name: Any) -> Any:
    """The minimum over all lanes of each leaf of a pytree; lanes that tie share the cotangent equally."""
    return tree.map(lambda leaf: reduce_min(all_gather(leaf, axis_name), axes=(0,)), x)


def all_gather(x: Any, axis_name: Any, *, axis: int = 0, tiled: bool = False) -> Any:
    """The values of all lanes, the same in every lane.

    Args:
        axis: where the axis of lanes is put in each leaf.
        tiled: whether the lanes are concatenated along an axis that is there, and not stacked along a new one.

    Example:
        >>> import numpy as np, functrans as ft
        >>> ft.vmap(lambda x: ft.lax.all_gather(x, "i"), axis_name="i")(np.array([1, 2]))
        array([[1, 2],
               [1, 2]])
    """
    count = axis_size(axis_name)

    def of_leaf(leaf: Any) -> Any:
        shape = typeof(leaf).shape
        for name in reversed(_names(axis_name)):
            leaf = _collectives.all_gather(leaf, axis_name=name, axis_size=axis_size(name))
        place = np.lib.array_utils.normalize_axis_index(axis, len(shape) + (not tiled))
        stacked = move_axis(reshape(leaf, shape=(count, *shape)), 0, place)
        return reshape(stacked, shape=(*shape[:place], count * shape[place], *shape[place + 1 :])) if tiled else stacked

    return tree.map(of_leaf, x)


def axis_index(axis_name: Any) -> Any:
    """The number of the lane, an int64 scalar; of several axes, counted with the last one running fastest.

    Example:
        >>> import numpy as np, functrans as ft
        >>> ft.vmap(lambda x: x + ft.lax.axis_index("i"), axis_name="i")(np.zeros(3))
        array([0., 1., 2.])
    """
    axis_size(axis_name)
    first, *others = _names(axis_name)
    index = _collectives.axis_index(axis_name=first)
    for name in others:
        index = add(multiply(index, axis_size(name)), _collectives.axis_index(axis_name=name))
    return index


def axis_size(axis_name: Any) -> int:
    """The number of lanes.

    Raises:
        UnboundAxisError: no enclosing vmap has this axis_name.
    """
    return prod(map(_collectives.size_of_axis, _names(axis_name)))


def _names(axis_name: Any) -> tuple[Any, ...]:
    return axis_name if isinstance(axis_name, tuple) else (axis_name,)


__all__ = ["all_gather", "axis_index", "axis_size", "pmax", "pmean", "pmin", "psum"]
