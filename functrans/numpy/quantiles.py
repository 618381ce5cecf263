"""Medians, quantiles and percentiles.

Elements are sorted, and the two next to the wanted place interpolated: derivatives follow those two, and q as well.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any, NamedTuple

import numpy as np

from ..core.avals import INT, is_inexact
from ..core.trace import typeof
from ..errors import UnsupportedArgumentError
from ..primitives.elementwise import (
    add,
    ceil,
    divide,
    equal,
    floor,
    floor_divide,
    greater_equal,
    isnan,
    logical_and,
    logical_not,
    maximum,
    minimum,
    multiply,
    remainder,
    rint,
    subtract,
)
from ..primitives.foundation import reduce_sum, reshape
from ..primitives.foundation import without as _without
from ..primitives.indexing import gather
from ..primitives.indices import Indexing
from ..primitives.selection import select
from ..primitives.sorting import sort, take_along
from ..primitives.structural import concatenate, slice_axis, transpose
from .averages import mean
from .common import as_operand, cast, known_value, normalize_axes, stretched, with_shape
from .positions import stored
from .reducing import kept


class _Method(NamedTuple):
    """A definition of sample quantiles (Hyndman and Fan 1996).

    Attributes:
        place: where among n sorted elements, from 0 to n - 1, the q-quantile lies.
        fraction: how far it lies towards the next element, given the place and its fractional part; None where the
            place is that of an element.
        keeps_integers: whether an integer place is that of an element too. The other methods interpolate even there,
            which may be of another type.
    """

    place: Callable[[Any, Any], Any]
    fraction: Callable[[Any, Any], Any] | None = lambda place, part: part
    keeps_integers: bool = False


def _linear(alpha: float, beta: float) -> _Method:
    """Piecewise linear, by the two plotting positions that Hyndman and Fan's definitions 4 to 9 differ in."""
    return _Method(lambda n, q: subtract(add(multiply(n, q), add(alpha, multiply(q, 1 - alpha - beta))), 1))


def _among_all(n: Any, q: Any) -> Any:
    return multiply(subtract(n, 1), q)


def _step(shift: float, stays: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """A step function: the element before the place n q - 1 - shift where `stays(place, part)`, else the next one."""

    def place(n: Any, q: Any) -> Any:
        at = subtract(multiply(n, q), 1 + shift)
        below = floor(at)
        return maximum(select(stays(below, subtract(at, below)), below, add(below, 1)), 0)

    return place


_METHODS: dict[str, _Method] = {
    "inverted_cdf": _Method(_step(0, lambda below, part: equal(part, 0)), None),
    "averaged_inverted_cdf": _Method(
        lambda n, q: subtract(multiply(n, q), 1), lambda place, part: select(equal(part, 0), 0.5, 1.0)
    ),
    "closest_observation": _Method(
        _step(0.5, lambda below, part: logical_and(equal(part, 0), equal(remainder(below, 2), 1))), None
    ),
    "interpolated_inverted_cdf": _linear(0, 1),
    "hazen": _linear(0.5, 0.5),
    "weibull": _linear(0, 0),
    "linear": _Method(_among_all, keeps_integers=True),
    "median_unbiased": _linear(1 / 3, 1 / 3),
    "normal_unbiased": _linear(3 / 8, 3 / 8),
    "lower": _Method(lambda n, q: floor(_among_all(n, q)), None),
    "higher": _Method(lambda n, q: ceil(_among_all(n, q)), None),
    "midpoint": _Method(
        lambda n, q: multiply(0.5, add(floor(_among_all(n, q)), ceil(_among_all(n, q)))),
        lambda place, part: select(equal(part, 0), 0.0, 0.5),
    ),
    "nearest": _Method(lambda n, q: rint(_among_all(n, q)), None),
}


def quantile(
    a: Any, q: Any, axis: Any = None, out: Any = None, overwrite_input: bool = False, method: str = "linear",
    keepdims: bool = False, *, weights: Any = None,
) -> Any:  # fmt: skip
    """numpy.quantile, without weights."""
    _check_weights(weights)
    return stored(_quantiles(a, _checked(q, 1, "Quantiles"), type(q), axis, method, keepdims, ignore_nan=False), out)


def percentile(
    a: Any, q: Any, axis: Any = None, out: Any = None, overwrite_input: bool = False, method: str = "linear",
    keepdims: bool = False, *, weights: Any = None,
) -> Any:  # fmt: skip
    """numpy.percentile, without weights."""
    _check_weights(weights)
    part = divide(_checked(q, 100, "Percentiles"), 100)
    return stored(_quantiles(a, part, type(q), axis, method, keepdims, ignore_nan=False), out)


def nanquantile(
    a: Any, q: Any, axis: Any = None, out: Any = None, overwrite_input: bool = False, method: str = "linear",
    keepdims: bool = False, *, weights: Any = None,
) -> Any:  # fmt: skip
    """numpy.nanquantile, without weights."""
    _check_weights(weights)
    return stored(_quantiles(a, _checked(q, 1, "Quantiles"), type(q), axis, method, keepdims, ignore_nan=True), out)


def nanpercentile(
    a: Any, q: Any, axis: Any = None, out: Any = None, overwrite_input: bool = False, method: str = "linear",
    keepdims: bool = False, *, weights: Any = None,
) -> Any:  # fmt: skip
    """numpy.nanpercentile, without weights."""
    _check_weights(weights)
    part = divide(_checked(q, 100, "Percentiles"), 100)
    return stored(_quantiles(a, part, type(q), axis, method, keepdims, ignore_nan=True), out)


def median(
    a: Any, axis: Any = None, out: Any = None, overwrite_input: bool = False, keepdims: bool = False
) -> Any:
    """numpy.median."""
    x = as_operand(a)
    rows = _sorted_rows(x, axis)
    n = typeof(rows).shape[0]
    middle = slice_axis(rows, max((n - 1) // 2, 0), n // 2 + 1, axis=0)
    return stored(_with_lost_axes(_nan_if_any(mean(middle, 0), rows), x, axis, keepdims), out)


def nanmedian(
    a: Any, axis: Any = None, out: Any = None, overwrite_input: bool = False, keepdims: bool = False
) -> Any:
    """numpy.nanmedian."""
    x = as_operand(a)
    rows = _sorted_rows(x, axis)
    n = typeof(rows).shape[0]
    if not n or not is_inexact(typeof(rows).dtype):
        return median(a, axis, out, overwrite_input, keepdims)
    last = subtract(_count_of_numbers(rows), 1)
    middle = concatenate(*(_elements(rows, floor_divide(add(last, up), 2)) for up in (0, 1)), axis=0)
    low = reshape(slice_axis(middle, 0, 1, axis=0), shape=typeof(rows).shape[1:])
    is_one = equal(remainder(reshape(last, shape=typeof(low).shape), 2), 0)
    return stored(_with_lost_axes(select(is_one, low, mean(middle, 0)), x, axis, keepdims), out)


# ---- parts


def _checked(q: Any, limit: int, name: str) -> Any:
    """The parts asked for, within [0, limit] as far as they are known; places before the first need a sign."""
    q = as_operand(q)
    q = cast(q, INT) if typeof(q).dtype.kind == "u" else q
    if typeof(q).ndim > 2:
        raise ValueError("q must be a scalar or 1d")
    known = known_value(q)
    if known is not None and not np.all((known >= 0) & (known <= limit)):
        raise ValueError(f"{name} must be in the range [0, {limit}]")
    return q


def _check_weights(weights: Any) -> None:
    if weights is not None:
        raise UnsupportedArgumentError(
            "A weighted quantile of a traced array was asked for.",
            "It is a step function of the weights, and is not defined here.",
            "Leave `weights` out.",
        )


def _quantiles(
    a: Any, q: Any, kind_of_q: type, axis: Any, method: str, keepdims: bool, *, ignore_nan: bool
) -> Any:
    """Quantiles along axes of an array, in front of the remaining axes those of q."""
    x = as_operand(a)
    if typeof(x).dtype.kind == "c":
        raise TypeError("a must be an array of real numbers")
    if method not in _METHODS:
        raise ValueError(f"{method!r} is not a valid method. Use one of: {', '.join(_METHODS)}")
    if ignore_nan and not typeof(x).size:
        return mean(x, axis, keepdims=keepdims)  # as NumPy does, whatever q is
    rows = _sorted_rows(x, axis)
    n, lanes = typeof(rows).shape[0], typeof(rows).shape[1:]
    shape = typeof(q).shape
    if not n and (prod(shape) or is_inexact(typeof(rows).dtype)):
        raise IndexError("index -1 is out of bounds for axis 0 with size 0")
    q = reshape(cast(q, typeof(q).dtype), shape=(prod(shape), *(1,) * len(lanes)))
    ignore_nan = ignore_nan and is_inexact(typeof(rows).dtype)
    count = n
    if ignore_nan:
        counts = _count_of_numbers(rows)
        count = cast(counts, typeof(q).dtype) if is_inexact(typeof(q).dtype) else counts
    weak = kind_of_q in (int, float)
    y = _interpolated(rows, count, q, _METHODS[method], weak)
    y = y if ignore_nan else _nan_if_any(y, rows)
    y = reshape(y, shape=(*shape, *lanes))
    return with_shape(y, (*shape, *kept(typeof(x).shape, normalize_axes(axis, typeof(x).ndim)))) if keepdims else y


def _interpolated(rows: Any, count: Any, q: Any, method: _Method, weak: bool) -> Any:
    """Between the elements of sorted rows on both sides of where a method puts the quantile."""
    last = subtract(count, 1)
    place = method.place(count, q)
    below = floor(place)
    low = _elements(rows, minimum(maximum(below, 0), last))
    if method.fraction is None or (method.keeps_integers and not is_inexact(typeof(place).dtype)):
        return low
    high = _elements(rows, minimum(maximum(add(below, 1), 0), last))
    part = cast(method.fraction(place, subtract(place, below)), typeof(place).dtype)
    if weak:
        part = cast(part, typeof(rows).dtype if is_inexact(typeof(rows).dtype) else np.dtype(float))
    # Linear from the nearer side, so that a fraction of one gives the next element exactly.
    step = subtract(high, low)
    upper_half = subtract(high, multiply(step, subtract(1, part)))
    return select(greater_equal(part, 0.5), upper_half, add(low, multiply(step, part)))


def _sorted_rows(x: Any, axis: Any) -> Any:
    """The axes to be reduced as one, sorted and in front of the others."""
    shape = typeof(x).shape
    axes = normalize_axes(axis, len(shape))
    others = tuple(i for i in range(len(shape)) if i not in axes)
    moved = transpose(x, permutation=(*axes, *others))
    return sort(reshape(moved, shape=(prod(shape[i] for i in axes), *_without(shape, axes))), axis=0)


def _elements(rows: Any, places: Any) -> Any:
    """The elements at places along the first axis: one place for all lanes, or one for each."""
    places = cast(places, INT)
    if all(extent == 1 for extent in typeof(places).shape[1:]):
        return gather(rows, with_shape(places, typeof(places).shape[:1]), spec=Indexing((0,)))
    return take_along(rows, stretched(places, (typeof(places).shape[0], *typeof(rows).shape[1:])), 0, unique=False)


def _count_of_numbers(rows: Any) -> Any:
    """How many elements of each lane are not NaN; at least one, so that there is something to take."""
    counts = reduce_sum(cast(logical_not(isnan(rows)), INT), axes=(0,))
    return maximum(reshape(counts, shape=(1, *typeof(counts).shape)), 1)


def _nan_if_any(y: Any, rows: Any) -> Any:
    """NaN for the lanes whose last element is NaN: sorting has put it there."""
    n = typeof(rows).shape[0]
    if not n or not is_inexact(typeof(rows).dtype):
        return y
    last = reshape(slice_axis(rows, n - 1, n, axis=0), shape=typeof(rows).shape[1:])
    return select(isnan(last), last, y)


def _with_lost_axes(y: Any, x: Any, axis: Any, keepdims: bool) -> Any:
    shape = typeof(x).shape
    return with_shape(y, kept(shape, normalize_axes(axis, len(shape)))) if keepdims else y
