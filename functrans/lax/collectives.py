"""Collectives: what the lanes of a vmap with an axis_name can tell each other."""

from __future__ import annotations

from typing import Any

from .. import tree
from ..primitives import collectives as _collectives
from ..primitives.elementwise import divide
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
    return tree.map(lambda leaf: _collectives.psum(leaf, axis_name=axis_name), x)


def pmean(x: Any, axis_name: Any) -> Any:
    """The mean over all lanes of each leaf of a pytree."""
    count = axis_size(axis_name)
    return tree.map(lambda leaf: divide(leaf, count), psum(x, axis_name))


def pmax(x: Any, axis_name: Any) -> Any:
    """The maximum over all lanes of each leaf of a pytree; lanes that tie share the cotangent equally."""
    return tree.map(lambda leaf: reduce_max(all_gather(leaf, axis_name), axes=(0,)), x)


def pmin(x: Any, axis_name: Any) -> Any:
    """The minimum over all lanes of each leaf of a pytree; lanes that tie share the cotangent equally."""
    return tree.map(lambda leaf: reduce_min(all_gather(leaf, axis_name), axes=(0,)), x)


def all_gather(x: Any, axis_name: Any) -> Any:
    """The values of all lanes along a new first axis, the same in every lane."""
    count = axis_size(axis_name)
    return tree.map(lambda leaf: _collectives.all_gather(leaf, axis_name=axis_name, axis_size=count), x)


def axis_index(axis_name: Any) -> Any:
    """The number of the lane, an int64 scalar."""
    axis_size(axis_name)
    return _collectives.axis_index(axis_name=axis_name)


def axis_size(axis_name: Any) -> int:
    """The number of lanes.

    Raises:
        UnboundAxisError: no enclosing vmap has this axis_name.
    """
    return _collectives.size_of_axis(axis_name)


__all__ = ["all_gather", "axis_index", "axis_size", "pmax", "pmean", "pmin", "psum"]
