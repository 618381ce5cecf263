"""Functions through given values."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np

from ..core.trace import typeof
from ..errors import ShapeMismatchError, UnsupportedArgumentError
from ..numpy.common import as_operand
from ..numpy.indexing import take
from .linalg.operands import operands


class RegularGridInterpolator:
    """The function with given values on a grid, linear between them or that of the nearest.

    Args:
        points: the ascending coordinates along each axis of the grid.
        values: of shape (n_1, ..., n_d, ...).
        method: "linear" or "nearest".
        bounds_error: must be False: what lies outside is not an error.
        fill_value: the value outside; None extrapolates.

    Example:
        >>> import numpy as np
        >>> from functrans.scipy.interpolate import RegularGridInterpolator
        >>> f = RegularGridInterpolator([np.array([0.0, 1.0, 3.0])], np.array([0.0, 2.0, 4.0]))
        >>> f(np.array([[0.5], [2.0], [9.0]]))
        array([ 1.,  3., nan])
    """

    def __init__(
        self,
        points: Sequence[Any],
        values: Any,
        method: str = "linear",
        bounds_error: bool = False,
        fill_value: Any = np.nan,
    ):
        if method not in ("linear", "nearest") or bounds_error:
            raise UnsupportedArgumentError(
                f"RegularGridInterpolator was called with method={method!r}, bounds_error={bounds_error}.",
                "The methods are 'linear' and 'nearest', and values that decide about errors may be traced.",
                "Use these, with bounds_error=False.",
            )
        self.grid = [as_operand(axis) for axis in points]
        (self.values,) = operands(values)
        self.method, self.fill_value = method, fill_value
        shape = typeof(self.values).shape
        extents = tuple(typeof(axis).size for axis in self.grid)
        if any(typeof(axis).ndim != 1 for axis in self.grid) or shape[: len(extents)] != extents:
            raise ShapeMismatchError(
                f"A grid of {' by '.join(map(str, extents))} points was given with values of shape {shape}.",
                "There is one value, or an array of them, for each point of the grid.",
                "Check the coordinates, which are one vector for each axis.",
            )

    def __call__(self, xi: Any, method: str | None = None) -> Any:
        """The values at points of shape (..., d), or at a tuple of d arrays of coordinates."""
        chosen = self.method if method is None else method
        points = np.stack(np.broadcast_arrays(*xi), axis=-1) if isinstance(xi, tuple) else operands(xi)[0]
        if not typeof(points).ndim or typeof(points).shape[-1] != len(self.grid):
            raise ShapeMismatchError(
                f"Points of type {typeof(points)} were given to a function of {len(self.grid)} coordinates.",
                "The coordinates lie along the last axis.",
                f"Pass an array of shape (..., {len(self.grid)}).",
            )
        sides, is_outside = [], False
        for k, axis in enumerate(self.grid):
            x = points[..., k]
            is_outside = is_outside | (x < axis[0]) | (x > axis[-1])
            sides.append(_sides(axis, x, chosen))
        total = self._sum(sides, typeof(points).ndim - 1)
        if self.fill_value is None:
            return total
        rank = typeof(total).ndim - (typeof(points).ndim - 1)
        return np.where(np.reshape(is_outside, (*typeof(points).shape[:-1], *(1,) * rank)), self.fill_value, total)

    def _sum(self, sides: Sequence[Any], ndim: int) -> Any:
        """The values at the corners around each point, weighted."""
        shape = typeof(self.values).shape
        rows = np.reshape(self.values, (-1, *shape[len(self.grid) :]))
        total: Any = 0.0
        for corner in product(*sides):
            place: Any = 0
            weight: Any = 1.0
            for (index, share), extent in zip(corner, shape, strict=False):
                place = place * extent + index
                weight = weight * share
            found = take(rows, place, axis=0)
            rank = typeof(found).ndim - ndim
            weight = np.reshape(weight, (*np.shape(weight), *(1,) * rank)) if np.shape(weight) else weight
            total = total + weight * found
        return total


def _sides(axis: Any, x: Any, method: str) -> list[tuple[Any, Any]]:
    """The places on an axis beside each coordinate, and what each of them counts."""
    last = typeof(axis).size - 1
    if last < 1:
        return [(np.zeros_like(x, dtype=int), 1.0)]
    below = np.clip(np.searchsorted(axis, x, "right") - 1, 0, last - 1)
    low, high = take(axis, below), take(axis, below + 1)
    share = (x - low) / (high - low)
    if method == "nearest":
        return [(np.where(share <= 0.5, below, below + 1), 1.0)]
    return [(below, 1.0 - share), (below + 1, share)]
