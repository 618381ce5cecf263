"""Order: sorting, searching, order statistics, and sets of values."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core.avals import typeof
from ..primitives import sorting as _sorting
from ..primitives.elementwise import add, multiply, subtract
from ..primitives.foundation import convert
from ..primitives.selection import select
from ..primitives.structural import slice_axis
from .common import as_operand, cast, concrete_value, normalize_axes, normalize_axis, with_shape
from .protocols import METHODS


def _along(x: Any, axis: Any) -> tuple[Any, int]:
    """An operand, flattened if axis is None, and the axis to work along."""
    x = as_operand(x)
    if axis is None:
        return with_shape(x, (typeof(x).size,)), 0
    return x, normalize_axis(axis, typeof(x).ndim)


def sort(x: Any, axis: Any = -1, kind: Any = None, order: None = None, *, stable: Any = None) -> Any:
    """numpy.sort; stable whatever `kind` says."""
    x, axis = _along(x, axis)
    return _sorting.sort(x, axis=axis)


def argsort(x: Any, axis: Any = -1, kind: Any = None, order: None = None, *, stable: Any = None) -> Any:
    """numpy.argsort; stable whatever `kind` says."""
    x, axis = _along(x, axis)
    return _sorting.argsort(x, axis=axis)


def partition(x: Any, kth: Any, axis: Any = -1, kind: str = "introselect", order: None = None) -> Any:
    """numpy.partition, by a full sort."""
    return sort(x, axis)


def argpartition(x: Any, kth: Any, axis: Any = -1, kind: str = "introselect", order: None = None) -> Any:
    """numpy.argpartition, by a full sort."""
    return argsort(x, axis)


def lexsort(keys: Any, axis: int = -1) -> Any:
    """numpy.lexsort: the last key counts most."""
    operands = [as_operand(key) for key in keys]
    order = argsort(operands[0], axis)
    for key in operands[1:]:
        again = argsort(np.take_along_axis(key, order, axis), axis)
        order = np.take_along_axis(order, again, axis)
    return order


def searchsorted(a: Any, v: Any, side: str = "left", sorter: Any = None) -> Any:
    """numpy.searchsorted, by counting: each value is compared with every element."""
    a, v = as_operand(a), as_operand(v)
    if sorter is not None:
        a = np.take(a, sorter)
    column = with_shape(v, (*typeof(v).shape, 1))
    before = np.less(a, column) if side == "left" else np.less_equal(a, column)
    return np.sum(before, axis=-1)


def digitize(x: Any, bins: Any, right: bool = False) -> Any:
    """numpy.digitize; the bins must be known while tracing, and be monotonic."""
    edges = concrete_value(bins, "The array of bins of digitize", "Pass the bins as a plain array.")
    side = "left" if right else "right"
    if edges.size and edges[0] > edges[-1]:
        return edges.size - searchsorted(edges[::-1], x, "left" if side == "right" else "right")
    return searchsorted(edges, x, side)


def _order_statistic(x: Any, q: Any, axis: Any, method: str, keepdims: bool, ignore_nan: bool) -> Any:
    """Quantiles along axes: elements of the sorted array, interpolated."""
    x = as_operand(x)
    shape = typeof(x).shape
    axes = normalize_axes(axis, len(shape))
    kept = [i for i in range(len(shape)) if i not in axes]
    lanes = tuple(shape[i] for i in kept)
    x = with_shape(np.transpose(x, (*kept, *axes)), (*lanes, int(np.prod([shape[i] for i in axes], dtype=int))))
    dtype = typeof(x).dtype if typeof(x).dtype.kind == "f" else np.dtype(np.float64)
    ordered = _sorting.sort(cast(x, dtype), axis=len(lanes))
    is_nan = np.isnan(ordered)
    extent = typeof(ordered).shape[-1]
    count: Any = extent - np.sum(is_nan, axis=-1, keepdims=True) if ignore_nan else np.array(extent)
    q = cast(as_operand(q), np.float64)
    flat_q = with_shape(q, (typeof(q).size,))
    place = multiply(flat_q, subtract(count, 1))
    values = _interpolated(ordered, place, method, dtype, lanes)
    if not ignore_nan:
        spoiled = slice_axis(ordered, extent - 1, extent, axis=-1)
        values = select(np.isnan(spoiled), dtype.type(np.nan), values)
    values = with_shape(np.moveaxis(values, -1, 0), (*typeof(q).shape, *lanes))
    if keepdims:
        values = with_shape(values, (*typeof(q).shape, *(1 if i in axes else n for i, n in enumerate(shape))))
    return values


def _interpolated(ordered: Any, place: Any, method: str, dtype: Any, lanes: tuple[int, ...]) -> Any:
    """Elements of sorted lanes at places between integers."""
    below, above = np.floor(place), np.ceil(place)
    if method in ("lower", "higher", "nearest"):
        chosen = {"lower": below, "higher": above, "nearest": np.round(place)}[method]
        return _pick(ordered, chosen, lanes)
    if method not in ("linear", "midpoint"):
        raise ValueError(
            f"method {method!r} is not supported for traced arrays; use linear, lower, higher, nearest or midpoint"
        )
    fraction = subtract(place, below) if method == "linear" else np.where(np.equal(below, above), 0.0, 0.5)
    low, high = _pick(ordered, below, lanes), _pick(ordered, above, lanes)
    return add(low, multiply(subtract(high, low), convert(fraction, dtype=dtype)))


def _pick(ordered: Any, place: Any, lanes: tuple[int, ...]) -> Any:
    index = convert(place, dtype=np.dtype(np.int64))
    index = np.broadcast_to(index, (*lanes, typeof(index).shape[-1]))
    return np.take_along_axis(ordered, np.maximum(index, 0), axis=-1)


def quantile(
    x: Any,
    q: Any,
    axis: Any = None,
    out: None = None,
    overwrite_input: bool = False,
    method: str = "linear",
    keepdims: bool = False,
) -> Any:
    """numpy.quantile; methods linear, lower, higher, nearest and midpoint."""
    return _order_statistic(x, q, axis, method, keepdims, ignore_nan=False)


def percentile(
    x: Any,
    q: Any,
    axis: Any = None,
    out: None = None,
    overwrite_input: bool = False,
    method: str = "linear",
    keepdims: bool = False,
) -> Any:
    """numpy.percentile; methods as for quantile."""
    return quantile(x, np.divide(q, 100), axis, None, False, method, keepdims)


def median(x: Any, axis: Any = None, out: None = None, overwrite_input: bool = False, keepdims: bool = False) -> Any:
    """numpy.median."""
    return quantile(x, 0.5, axis, keepdims=keepdims)


def nanquantile(
    x: Any,
    q: Any,
    axis: Any = None,
    out: None = None,
    overwrite_input: bool = False,
    method: str = "linear",
    keepdims: bool = False,
) -> Any:
    """numpy.nanquantile; methods as for quantile."""
    return _order_statistic(x, q, axis, method, keepdims, ignore_nan=True)


def nanpercentile(
    x: Any,
    q: Any,
    axis: Any = None,
    out: None = None,
    overwrite_input: bool = False,
    method: str = "linear",
    keepdims: bool = False,
) -> Any:
    """numpy.nanpercentile; methods as for quantile."""
    return nanquantile(x, np.divide(q, 100), axis, None, False, method, keepdims)


def nanmedian(x: Any, axis: Any = None, out: None = None, overwrite_input: bool = False, keepdims: bool = False) -> Any:
    """numpy.nanmedian."""
    return nanquantile(x, 0.5, axis, keepdims=keepdims)


def unique(x: Any, *args: Any, **options: Any) -> Any:
    """numpy.unique, of arrays whose values are known."""
    value = concrete_value(x, "The array whose unique values are wanted", "Call np.unique outside the traced function.")
    return np.unique(value, *args, **options)


METHODS.update(argsort=argsort)
