"""Collectives: what the lanes of a vmap with an axis_name can tell each other.

Where several vmaps are nested, a tuple of names stands for the lanes of all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from .. import tree
from ..core.trace import typeof
from ..errors import MappedAxisError
from ..numpy.indexing import take
from ..primitives import collectives as _collectives
from ..primitives.elementwise import add, divide, greater_equal, maximum, multiply
from ..primitives.foundation import reshape, zeros
from ..primitives.indexing import move_axis
from ..primitives.reductions import reduce_max, reduce_min
from ..primitives.selection import select


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
    """The minimum over all lanes of each leaf of a pytree; lanes that tie share the cotangent equally.

    Example:
        >>> import numpy as np, functrans as ft
        >>> ft.vmap(lambda x: x - ft.lax.pmin(x, "i"), axis_name="i")(np.array([4.0, 2.0]))
        array([2., 0.])
    """
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


def ppermute(x: Any, axis_name: Any, perm: Sequence[tuple[int, int]]) -> Any:
    """What other lanes have, for each leaf of a pytree.

    Args:
        perm: pairs of a lane and the lane that gets what it has; a lane that gets nothing has zeros.

    Raises:
        MappedAxisError: a lane is not there, or is named twice.

    Example:
        >>> import numpy as np, functrans as ft
        >>> ft.vmap(lambda x: ft.lax.ppermute(x, "i", [(0, 1), (1, 2)]), axis_name="i")(np.array([3.0, 4.0, 5.0]))
        array([0., 3., 4.])
    """
    sources = _sources(perm, axis_size(axis_name))
    source = take(sources, axis_index(axis_name))

    def of_leaf(leaf: Any) -> Any:
        found = take(all_gather(leaf, axis_name), maximum(source, 0), axis=0)
        return select(greater_equal(source, 0), found, zeros(typeof(found)))

    return tree.map(of_leaf, x)


def _sources(perm: Sequence[tuple[int, int]], count: int) -> Any:
    """From which lane each of them gets something, -1 for none."""
    sources = np.full(count, -1)
    for source, target in perm:
        if not 0 <= source < count or not 0 <= target < count or sources[target] >= 0 or source in sources:
            raise MappedAxisError(
                f"ppermute over {count} lanes was given {list(perm)}.",
                "Each pair is a lane and the lane that gets what it has; none gives twice, and none gets twice.",
                f"Name lanes from 0 to {count - 1}, none twice on one side.",
            )
        sources[target] = source
    return sources


def pshuffle(x: Any, axis_name: Any, perm: Sequence[int]) -> Any:
    """What lane `perm[i]` has, for lane i.

    Example:
        >>> import numpy as np, functrans as ft
        >>> ft.vmap(lambda x: ft.lax.pshuffle(x, "i", [2, 0, 1]), axis_name="i")(np.array([10, 20, 30]))
        array([30, 10, 20])
    """
    return ppermute(x, axis_name, [(source, target) for target, source in enumerate(perm)])


def all_to_all(x: Any, axis_name: Any, split_axis: int, concat_axis: int, *, tiled: bool = False) -> Any:
    """Each lane gives a part to every lane, for each leaf of a pytree.

    Args:
        split_axis: of which part i goes to lane i. It has one element for each lane and goes away; with `tiled` it has
            as many parts, and stays.
        concat_axis: where what all lanes gave is put, in order: a new axis, with `tiled` one after the other.

    Raises:
        MappedAxisError: the axis cannot be split into as many parts as there are lanes.

    Example:
        >>> import numpy as np, functrans as ft
        >>> ft.vmap(lambda x: ft.lax.all_to_all(x, "i", 0, 0), axis_name="i")(np.array([[1, 2], [3, 4]]))
        array([[1, 3],
               [2, 4]])
    """
    count, me = axis_size(axis_name), axis_index(axis_name)

    def of_leaf(leaf: Any) -> Any:
        parts = take(all_gather(_split(leaf, split_axis, count, tiled), axis_name), me, axis=1)
        place = np.lib.array_utils.normalize_axis_index(concat_axis, typeof(leaf).ndim)
        stacked, shape = move_axis(parts, 0, place), typeof(parts).shape[1:]
        if not tiled:
            return stacked
        return reshape(stacked, shape=(*shape[:place], count * shape[place], *shape[place + 1 :]))

    return tree.map(of_leaf, x)


def psum_scatter(x: Any, axis_name: Any, *, scatter_dimension: int = 0, tiled: bool = False) -> Any:
    """Lane i gets part i of the sum over all lanes, for each leaf of a pytree.

    Args:
        scatter_dimension, tiled: how the sum is split; as split_axis in `all_to_all`.

    Raises:
        MappedAxisError: the axis cannot be split into as many parts as there are lanes.

    Example:
        >>> import numpy as np, functrans as ft
        >>> ft.vmap(lambda x: ft.lax.psum_scatter(x, "i"), axis_name="i")(np.array([[1, 2], [3, 4]]))
        array([4, 6])
    """
    count, me = axis_size(axis_name), axis_index(axis_name)
    return tree.map(lambda leaf: take(_split(psum(leaf, axis_name), scatter_dimension, count, tiled), me, axis=0), x)


def _split(leaf: Any, axis: int, count: int, tiled: bool) -> Any:
    """The parts of an axis along a new leading one."""
    shape = typeof(leaf).shape
    place = np.lib.array_utils.normalize_axis_index(axis, len(shape))
    if shape[place] % count or (not tiled and shape[place] != count):
        raise MappedAxisError(
            f"The axis {axis} of an array of type {typeof(leaf)} was to be split for {count} lanes.",
            "It has one element for each lane, or with tiled=True as many parts of the same size.",
            "Split another axis, or pad this one.",
        )
    size = shape[place] // count
    parts = move_axis(reshape(leaf, shape=(*shape[:place], count, size, *shape[place + 1 :])), place, 0)
    return parts if tiled else reshape(parts, shape=(count, *shape[:place], *shape[place + 1 :]))


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

    Example:
        >>> import numpy as np, functrans as ft
        >>> ft.vmap(lambda x: x / ft.lax.axis_size("i"), axis_name="i")(np.array([4.0, 2.0]))
        array([2., 1.])
    """
    return prod(map(_collectives.size_of_axis, _names(axis_name)))


def _names(axis_name: Any) -> tuple[Any, ...]:
    return axis_name if isinstance(axis_name, tuple) else (axis_name,)


__all__ = [
    "all_gather", "all_to_all", "axis_index", "axis_size", "pmax", "pmean", "pmin", "ppermute", "pshuffle", "psum",
    "psum_scatter",
]  # fmt: skip
