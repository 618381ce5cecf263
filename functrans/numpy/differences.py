"""Differences of neighbours, and what is made of them: gradient and trapezoid."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core.avals import BOOL
from ..core.dtypes import can_cast
from ..core.trace import typeof
from ..primitives.elementwise import add, divide, multiply, not_equal, subtract
from ..primitives.structural import concatenate, slice_axis
from .common import as_operand, cast, normalize_axes, normalize_axis, stretched, with_shape
from .manipulation import ravel
from .reductions import sum


def _one_by_one(x: Any, axis: int) -> tuple[Any, Any]:
    """All elements but the last along an axis, and all but the first."""
    extent = typeof(x).shape[axis]
    last = max(extent - 1, 0)
    return slice_axis(x, 0, last, axis=axis), slice_axis(x, min(1, extent), extent, axis=axis)


def _along(x: Any, axis: int, ndim: int) -> Any:
    """An array of one axis, laid along an axis of `ndim`."""
    return with_shape(x, tuple(typeof(x).size if i == axis else 1 for i in range(ndim)))


def diff(a: Any, n: int = 1, axis: int = -1, prepend: Any = None, append: Any = None) -> Any:
    """numpy.diff."""
    if n < 0:
        raise ValueError(f"order must be non-negative but got {n}")
    x = as_operand(a)
    if not n:
        return x
    if not typeof(x).ndim:
        raise ValueError("diff requires input that is at least one dimensional")
    axis = normalize_axis(axis, typeof(x).ndim)
    one = tuple(1 if i == axis else extent for i, extent in enumerate(typeof(x).shape))
    parts = [as_operand(part) for part in (prepend, x, append) if part is not None]
    parts = [part if typeof(part).ndim else stretched(part, one) for part in parts]
    x = concatenate(*parts, axis=axis) if len(parts) > 1 else x
    for _ in range(n):
        before, after = _one_by_one(x, axis)
        x = not_equal(after, before) if typeof(x).dtype == BOOL else subtract(after, before)
    return x


def ediff1d(ary: Any, to_end: Any = None, to_begin: Any = None) -> Any:
    """numpy.ediff1d."""
    before, after = _one_by_one(ravel(ary), 0)
    steps = subtract(after, before)
    dtype = typeof(steps).dtype
    begin, end = (None if part is None else ravel(part) for part in (to_begin, to_end))
    for name, part in (("to_begin", begin), ("to_end", end)):
        if part is not None and not can_cast(typeof(part).dtype, dtype, casting="same_kind"):
            raise TypeError(f"dtype of `{name}` must be compatible with input `ary` under the `same_kind` rule.")
    parts = [cast(part, dtype) for part in (begin, steps, end) if part is not None]
    return concatenate(*parts, axis=0) if len(parts) > 1 else steps


def trapezoid(y: Any, x: Any = None, dx: Any = 1.0, axis: int = -1) -> Any:
    """numpy.trapezoid."""
    y = as_operand(y)
    axis_of_y = normalize_axis(axis, typeof(y).ndim)
    if x is not None:
        x = as_operand(x)
        dx = _along(diff(x), axis_of_y, typeof(y).ndim) if typeof(x).ndim == 1 else diff(x, axis=axis)
    before, after = _one_by_one(y, axis_of_y)
    return sum(divide(multiply(dx, add(after, before)), 2.0), axis)


def gradient(f: Any, *varargs: Any, axis: Any = None, edge_order: int = 1) -> Any:
    """numpy.gradient: second-order differences inside, and of order `edge_order` at the edges."""
    f = as_operand(f)
    shape = typeof(f).shape
    axes = normalize_axes(axis, len(shape))
    if edge_order not in (1, 2):
        raise ValueError("'edge_order' greater than 2 not supported")
    f = cast(f, np.float64) if typeof(f).dtype.kind in "iu" else f
    spacings = _spacings(varargs, [shape[i] for i in axes])
    slopes = [_gradient_along(f, i, spacing, edge_order) for i, spacing in zip(axes, spacings)]
    return slopes[0] if len(slopes) == 1 else tuple(slopes)


def _spacings(given: tuple[Any, ...], extents: list[int]) -> list[Any]:
    """For each axis the distance of neighbours: one number, or an array with one for each pair."""
    if len(given) == 1 and not typeof(as_operand(given[0])).ndim:
        given = given * len(extents)
    if given and len(given) != len(extents):
        raise TypeError("invalid number of arguments")
    spacings: list[Any] = []
    for spacing, extent in zip(given or (1.0,) * len(extents), extents):
        operand = as_operand(spacing)
        if typeof(operand).ndim > 1:
            raise ValueError("distances must be either scalars or 1d")
        if typeof(operand).ndim and typeof(operand).size != extent:
            raise ValueError("when 1d, distances must match the length of the corresponding dimension")
        spacings.append(_positions_to_steps(operand) if typeof(operand).ndim else operand)
    return spacings


def _positions_to_steps(positions: Any) -> Any:
    """The distances of neighbours; those of booleans are 0 and 1, as np.diff has it."""
    kind = typeof(positions).dtype.kind
    steps = diff(cast(positions, np.float64) if kind in "iu" else positions)
    return cast(steps, np.float64) if kind == "b" else steps


def _gradient_along(f: Any, axis: int, spacing: Any, edge_order: int) -> Any:
    """Slopes between neighbours, averaged with the weights that make the result of second order."""
    extent = typeof(f).shape[axis]
    if extent < edge_order + 1:
        raise ValueError(
            "Shape of array too small to calculate a numerical gradient, at least (edge_order + 1) elements are "
            "required."
        )
    if not typeof(spacing).ndim:
        return _uniform_gradient(f, axis, spacing, edge_order)
    before, after = _one_by_one(f, axis)
    rise = subtract(after, before)
    steps = _along(spacing, axis, typeof(f).ndim)
    slopes = divide(rise, steps)
    (left, right), (low, high) = _one_by_one(steps, axis), _one_by_one(slopes, axis)
    both = add(left, right)
    middle = divide(add(multiply(right, low), multiply(left, high)), both)
    first, last = _edges(slopes, axis)
    if edge_order == 2:
        bend = divide(subtract(high, low), both)
        (first_bend, last_bend), (first_step, last_step) = _edges(bend, axis), _edges(steps, axis)
        first, last = subtract(first, multiply(first_step, first_bend)), add(last, multiply(last_step, last_bend))
    return concatenate(first, middle, last, axis=axis)


def _uniform_gradient(f: Any, axis: int, spacing: Any, edge_order: int) -> Any:
    """The slope inside is that between the neighbours of a point: whatever is there, infinity or NaN, has no part."""
    extent = typeof(f).shape[axis]
    across = subtract(slice_axis(f, 2, extent, axis=axis), slice_axis(f, 0, extent - 2, axis=axis))
    before, after = _one_by_one(f, axis)
    rise = subtract(after, before)
    first, last = _edges(rise, axis)
    if edge_order == 2:
        low, high = _one_by_one(rise, axis)
        first_bend, last_bend = _edges(subtract(high, low), axis)
        first, last = subtract(first, divide(first_bend, 2.0)), add(last, divide(last_bend, 2.0))
    return cast(divide(concatenate(first, divide(across, 2.0), last, axis=axis), spacing), typeof(f).dtype)


def _edges(x: Any, axis: int) -> tuple[Any, Any]:
    extent = typeof(x).shape[axis]
    return slice_axis(x, 0, 1, axis=axis), slice_axis(x, extent - 1, extent, axis=axis)
