"""Statistics: reductions that leave NaN out, covariances, differences, histograms."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core.avals import is_inexact, typeof
from ..primitives.elementwise import add, divide, isnan, multiply, sqrt, subtract
from ..primitives.selection import select
from ..primitives.structural import slice_axis
from .common import as_operand, cast, concrete_value, normalize_axes, stretched, with_shape
from .contractions import matmul
from .manipulation import concatenate, diff


def _replaced(x: Any, value: Any) -> tuple[Any, Any]:
    """x with a value in place of NaN, and where it was not NaN."""
    x = as_operand(x)
    if not is_inexact(typeof(x).dtype):
        return x, np.ones(typeof(x).shape, bool)
    missing = isnan(x)
    return select(missing, typeof(x).dtype.type(value), x), np.logical_not(missing)


def nansum(x: Any, axis: Any = None, dtype: Any = None, out: None = None, keepdims: bool = False) -> Any:
    """numpy.nansum."""
    return np.sum(_replaced(x, 0)[0], axis=axis, dtype=dtype, keepdims=keepdims)


def nanprod(x: Any, axis: Any = None, dtype: Any = None, out: None = None, keepdims: bool = False) -> Any:
    """numpy.nanprod."""
    return np.prod(_replaced(x, 1)[0], axis=axis, dtype=dtype, keepdims=keepdims)


def nancumsum(x: Any, axis: Any = None, dtype: Any = None, out: None = None) -> Any:
    """numpy.nancumsum."""
    return np.cumsum(_replaced(x, 0)[0], axis=axis, dtype=dtype)


def nancumprod(x: Any, axis: Any = None, dtype: Any = None, out: None = None) -> Any:
    """numpy.nancumprod."""
    return np.cumprod(_replaced(x, 1)[0], axis=axis, dtype=dtype)


def nanmean(x: Any, axis: Any = None, dtype: Any = None, out: None = None, keepdims: bool = False) -> Any:
    """numpy.nanmean."""
    filled, present = _replaced(x, 0)
    return np.mean(filled, axis=axis, dtype=dtype, keepdims=keepdims, where=present)


def nanvar(
    x: Any, axis: Any = None, dtype: Any = None, out: None = None, ddof: float = 0, keepdims: bool = False
) -> Any:
    """numpy.nanvar."""
    filled, present = _replaced(x, 0)
    return np.var(filled, axis=axis, dtype=dtype, ddof=ddof, keepdims=keepdims, where=present)


def nanstd(
    x: Any, axis: Any = None, dtype: Any = None, out: None = None, ddof: float = 0, keepdims: bool = False
) -> Any:
    """numpy.nanstd."""
    return sqrt(nanvar(x, axis, dtype, None, ddof, keepdims))


def _nan_extreme(reduce: Any, x: Any, filler: float, axis: Any, keepdims: bool) -> Any:
    filled, present = _replaced(x, filler)
    result = reduce(filled, axis=axis, keepdims=keepdims)
    if not is_inexact(typeof(result).dtype):
        return result
    return select(np.any(present, axis=axis, keepdims=keepdims), result, typeof(result).dtype.type(np.nan))


def nanmax(x: Any, axis: Any = None, out: None = None, keepdims: bool = False) -> Any:
    """numpy.nanmax."""
    return _nan_extreme(np.max, x, -np.inf, axis, keepdims)


def nanmin(x: Any, axis: Any = None, out: None = None, keepdims: bool = False) -> Any:
    """numpy.nanmin."""
    return _nan_extreme(np.min, x, np.inf, axis, keepdims)


def nanargmax(x: Any, axis: Any = None, out: None = None, *, keepdims: bool = False) -> Any:
    """numpy.nanargmax."""
    return np.argmax(_replaced(x, -np.inf)[0], axis=axis, keepdims=keepdims)


def nanargmin(x: Any, axis: Any = None, out: None = None, *, keepdims: bool = False) -> Any:
    """numpy.nanargmin."""
    return np.argmin(_replaced(x, np.inf)[0], axis=axis, keepdims=keepdims)


def cov(m: Any, y: Any = None, rowvar: bool = True, bias: bool = False, ddof: Any = None, *, dtype: Any = None) -> Any:
    """numpy.cov, without weights."""
    rows = _rows(m, rowvar, dtype)
    if y is not None:
        rows = concatenate([rows, _rows(y, rowvar, dtype)], 0)
    count = typeof(rows).shape[1]
    off = ddof if ddof is not None else (0 if bias else 1)
    centered = subtract(rows, np.mean(rows, axis=1, keepdims=True))
    return np.squeeze(divide(matmul(centered, np.conjugate(np.transpose(centered))), count - off))


def _rows(m: Any, rowvar: bool, dtype: Any) -> Any:
    m = as_operand(m)
    m = cast(m, dtype if dtype is not None else np.result_type(typeof(m).dtype, np.float64))
    if typeof(m).ndim < 2:
        return with_shape(m, (1, typeof(m).size))
    return m if rowvar else np.transpose(m)


def corrcoef(x: Any, y: Any = None, rowvar: bool = True, *, dtype: Any = None) -> Any:
    """numpy.corrcoef."""
    covariance = cov(x, y, rowvar, dtype=dtype)
    if not typeof(covariance).ndim:
        return divide(covariance, covariance)
    scales = sqrt(np.real(np.diagonal(covariance)))
    return divide(covariance, multiply(with_shape(scales, (typeof(scales).size, 1)), scales))


def bincount(x: Any, /, weights: Any = None, minlength: int = 0) -> Any:
    """numpy.bincount of traced values: `minlength` is the length of the result, and larger values are left out."""
    x = as_operand(x)
    hits = np.equal(with_shape(x, (typeof(x).size, 1)), np.arange(minlength))
    if weights is None:
        return np.sum(hits, axis=0)
    return matmul(cast(as_operand(weights), np.float64), cast(hits, np.float64))


def ediff1d(x: Any, to_end: Any = None, to_begin: Any = None) -> Any:
    """numpy.ediff1d."""
    steps = diff(np.ravel(x))
    parts = [
        np.ravel(to_begin) if to_begin is not None else None,
        steps,
        np.ravel(to_end) if to_end is not None else None,
    ]
    return concatenate([part for part in parts if part is not None])


def gradient(f: Any, *spacing: Any, axis: Any = None, edge_order: int = 1) -> Any:
    """numpy.gradient: central differences inside, one-sided ones at the ends; uniform or given positions."""
    f = as_operand(f)
    shape = typeof(f).shape
    axes = normalize_axes(axis, len(shape))
    steps = list(spacing) * len(axes) if len(spacing) == 1 else list(spacing) or [1.0] * len(axes)
    f = f if is_inexact(typeof(f).dtype) else cast(f, np.float64)
    results = [_gradient_along(f, a, step, edge_order) for a, step in zip(axes, steps)]
    return results[0] if len(results) == 1 else tuple(results)


def _gradient_along(f: Any, axis: int, step: Any, edge_order: int) -> Any:
    n = typeof(f).shape[axis]
    if n < edge_order + 1:
        raise ValueError("Shape of array too small to calculate a numerical gradient")

    def at(start: int, stop: int) -> Any:
        return slice_axis(f, start, stop, axis=axis)

    along = tuple(-1 if i == axis else 1 for i in range(typeof(f).ndim))
    if typeof(step).ndim == 0:
        gaps: Any = stretched(as_operand(step), (n - 1,))
    else:
        gaps = diff(step)
    gaps = np.reshape(gaps, along)
    left, right = slice_axis(gaps, 0, n - 2, axis=axis), slice_axis(gaps, 1, n - 1, axis=axis)
    slopes = divide(subtract(at(1, n), at(0, n - 1)), gaps)
    before, after = slice_axis(slopes, 0, n - 2, axis=axis), slice_axis(slopes, 1, n - 1, axis=axis)
    middle = divide(add(multiply(right, before), multiply(left, after)), add(left, right))
    first, last = slice_axis(slopes, 0, 1, axis=axis), slice_axis(slopes, n - 2, n - 1, axis=axis)
    if edge_order == 2:
        bend = divide(subtract(after, before), add(left, right))
        h_first, h_last = slice_axis(gaps, 0, 1, axis=axis), slice_axis(gaps, n - 2, n - 1, axis=axis)
        first = subtract(first, multiply(h_first, slice_axis(bend, 0, 1, axis=axis)))
        last = add(last, multiply(h_last, slice_axis(bend, n - 3, n - 2, axis=axis)))
    return concatenate([first, middle, last], axis)


def histogram(x: Any, bins: Any = 10, range: Any = None, density: Any = None, weights: Any = None) -> Any:
    """numpy.histogram; the edges must be known while tracing (give `bins` as an array, or an integer and `range`)."""
    x = np.ravel(x)
    sample = np.array(range) if range is not None else x
    if np.ndim(bins) == 0:
        sample = concrete_value(sample, "The range of a histogram", "Give range=(low, high), or bins as an array.")
    edges = np.histogram_bin_edges(np.zeros(0) if np.ndim(bins) else sample, bins, range)
    inside = np.logical_and(np.greater_equal(x, edges[0]), np.less_equal(x, edges[-1]))
    place = np.clip(np.sum(np.greater_equal(with_shape(x, (np.size(x), 1)), edges), axis=1) - 1, 0, edges.size - 2)
    hits = np.logical_and(np.equal(with_shape(place, (np.size(x), 1)), np.arange(edges.size - 1)), inside[:, None])
    counts = np.sum(hits, axis=0) if weights is None else matmul(np.ravel(weights), cast(hits, np.float64))
    if density:
        return divide(counts, multiply(np.sum(counts), np.diff(edges))), edges
    return counts, edges
