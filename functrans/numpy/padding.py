"""numpy.pad, in all of its modes."""

from __future__ import annotations

from collections.abc import Callable
from operator import index
from typing import Any

import numpy as np

from ..core.avals import INT, is_inexact
from ..core.devices import here, is_on_device
from ..core.trace import typeof
from ..core.tracer import Tracer
from ..primitives import structural as _structural
from ..primitives.elementwise import add, floor, multiply, rint, subtract
from ..primitives.foundation import convert
from ..primitives.python_operators import is_traced_integer
from ..primitives.selection import select
from ..primitives.structural import concatenate, slice_axis
from .averages import mean
from .common import as_operand, cast, stretched
from .quantiles import median
from .reductions import max, min

Pairs = list[tuple[Any, Any]]

_STATISTICS: dict[str, Callable[..., Any]] = {"maximum": max, "minimum": min, "mean": mean, "median": median}
_OPTIONS = {
    "constant": {"constant_values"}, "empty": set(), "edge": set(), "wrap": set(), "linear_ramp": {"end_values"},
    "maximum": {"stat_length"}, "minimum": {"stat_length"}, "mean": {"stat_length"}, "median": {"stat_length"},
    "reflect": {"reflect_type"}, "symmetric": {"reflect_type"},
}  # fmt: skip


def pad(array: Any, pad_width: Any, mode: Any = "constant", **kwargs: Any) -> Any:
    """numpy.pad; functions as mode are not traced, and "empty" pads with zeros."""
    x = as_operand(array)
    if mode not in _OPTIONS:
        raise ValueError(f"mode '{mode}' is not supported")
    if set(kwargs) - _OPTIONS[mode]:
        raise ValueError(f"unsupported keyword arguments for mode '{mode}': {set(kwargs) - _OPTIONS[mode]}")
    widths = _widths(pad_width, typeof(x).ndim)
    if mode in ("constant", "empty"):
        return _padded_with(x, widths, kwargs.get("constant_values", 0))
    if not any(map(any, widths)):
        return np.copy(x)
    options = _pairs(kwargs.get("end_values", 0) if mode == "linear_ramp" else kwargs.get("stat_length"), len(widths))
    for axis, width in enumerate(widths):
        if not any(width):
            continue
        if not typeof(x).shape[axis]:
            raise ValueError(f"can't extend empty axis {axis} using modes other than 'constant' or 'empty'")
        if mode == "linear_ramp":
            x = _with_ramps(x, axis, width, options[axis])
        elif mode in _STATISTICS:
            x = _with_statistics(x, axis, width, options[axis], _STATISTICS[mode])
        elif kwargs.get("reflect_type") == "odd":
            x = _with_odd_reflections(x, axis, width, mode)
        else:
            x = np.take(x, here(np.pad(np.arange(typeof(x).shape[axis]), width, mode=mode)), axis=axis)
    return x


def _widths(pad_width: Any, ndim: int) -> list[tuple[int, int]]:
    if isinstance(pad_width, dict):
        given = {axis % ndim: width for axis, width in pad_width.items()}
        pad_width = [given.get(axis, 0) for axis in range(ndim)]
        pad_width = [(width, width) if isinstance(width, int) else tuple(width) for width in pad_width]
    widths = np.asarray(pad_width)
    if widths.dtype.kind not in "iu":
        raise TypeError("`pad_width` must be of integral type.")
    if np.any(widths < 0):
        raise ValueError("index can't contain negative values")
    return [(index(low), index(high)) for low, high in np.broadcast_to(widths, (ndim, 2))]


def _pairs(values: Any, ndim: int) -> Pairs:
    """For each axis the value before it and the one behind; one may serve for all, or each axis have one for both."""
    if values is None or (isinstance(values, Tracer) and not values.shape):
        return [(values, values)] * ndim
    table = values if isinstance(values, (Tracer, np.ndarray)) or is_on_device(values) else here(np.asarray(values))
    table = np.broadcast_to(table, (ndim, 2))
    return [(table[axis, 0], table[axis, 1]) for axis in range(ndim)]


def _padded_with(x: Any, widths: list[tuple[int, int]], values: Any) -> Any:
    dtype = typeof(x).dtype
    if dtype.kind == "u" and (type(values) is int or is_traced_integer(values)):
        values = convert(values, dtype=dtype)  # modulo a power of two, as in NumPy; signed integers are to be in range
    if not typeof(as_operand(values)).ndim:
        return _structural.pad(x, cast(as_operand(values), dtype), padding=tuple((*width, 0) for width in widths))
    for axis, (width, pair) in enumerate(zip(widths, _pairs(values, len(widths)))):
        for side, value in enumerate(pair):
            here = (width[0], 0, 0) if side == 0 else (0, width[1], 0)
            padding = tuple(here if i == axis else (0, 0, 0) for i in range(len(widths)))
            x = _structural.pad(x, cast(value, dtype), padding=padding)
    return x


def _with_extent(part: Any, axis: int, extent: int) -> Any:
    """A part of extent one, repeated."""
    return stretched(part, tuple(extent if i == axis else n for i, n in enumerate(typeof(part).shape)))


def _with_ramps(x: Any, axis: int, width: tuple[int, int], ends: tuple[Any, Any]) -> Any:
    """Straight lines from the edges to given values."""
    extent, aval = typeof(x).shape[axis], typeof(x)
    edges = slice_axis(x, 0, 1, axis=axis), slice_axis(x, extent - 1, extent, axis=axis)
    ramps: list[Any] = []
    for edge, steps, end in zip(edges, width, ends):
        along = tuple(steps if i == axis else 1 for i in range(aval.ndim))
        parts = here(np.reshape(np.arange(steps) / (steps or 1), along))
        ramp = add(end, multiply(parts, subtract(edge, end)))
        ramps.append(cast(floor(ramp) if aval.dtype.kind in "iu" else ramp, aval.dtype))
    return concatenate(ramps[0], x, np.flip(ramps[1], axis), axis=axis)


def _with_statistics(
    x: Any, axis: int, width: tuple[int, int], lengths: tuple[Any, Any], statistic: Callable[..., Any]
) -> Any:
    """A statistic of the elements at each edge."""
    extent, dtype = typeof(x).shape[axis], typeof(x).dtype
    counts = [extent if length is None or length > extent else index(length) for length in lengths]
    if 0 in counts and statistic in (max, min):
        raise ValueError("stat_length of 0 yields no value for padding")
    parts = slice_axis(x, 0, counts[0], axis=axis), slice_axis(x, extent - counts[1], extent, axis=axis)
    values = [statistic(part, axis, keepdims=True) for part in parts]
    if dtype.kind in "iu":
        values = [rint(value) if is_inexact(typeof(value).dtype) else value for value in values]
    before, after = (_with_extent(cast(value, dtype), axis, steps) for value, steps in zip(values, width))
    return concatenate(before, x, after, axis=axis)


def _with_odd_reflections(x: Any, axis: int, width: tuple[int, int], mode: str) -> Any:
    """Reflected at the edge element as at a point: multiples of few elements, by what NumPy makes of the identity.

    A product with that matrix would make NaN of all elements if one of them is.
    """
    given = typeof(x)
    x = cast(x, INT) if given.dtype.kind == "b" else x
    dtype, extent = typeof(x).dtype, given.shape[axis]
    matrix = np.pad(np.eye(extent, dtype=INT), (width, (0, 0)), mode=mode, reflect_type="odd")
    elements = np.argsort(matrix == 0, axis=1, kind="stable")[:, : np.count_nonzero(matrix, 1).max()]
    along = (-1, *(1,) * (given.ndim - axis - 1))
    total = dtype.type(0)
    for place, factor in zip(elements.T, np.take_along_axis(matrix, elements, 1).T):
        term = multiply(np.take(x, here(place), axis=axis), here(factor.astype(dtype).reshape(along)))
        total = add(total, select(here(factor.reshape(along) != 0), term, dtype.type(0)))
    return cast(total, given.dtype)
