"""Reductions that leave out NaN.

Where there is nothing but NaN the results are NumPy's; its warnings are not given for traced arrays.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..core.avals import is_inexact, real_dtype
from ..core.trace import typeof
from ..primitives.elementwise import divide, isnan, less_equal, logical_and, logical_not, subtract
from ..primitives.roots import root
from ..primitives.selection import select
from .averages import mean, std, var
from .common import as_operand, cast, known_value
from .positions import stored
from .reducing import as_initial, as_wide_as, chosen_correction, squared_magnitude, widened
from .reductions import all, argmax, argmin, cumprod, cumsum, max, min, prod, sum


def _replaced(a: Any, value: float) -> tuple[Any, Any]:
    """The array with a value in place of NaN, and where those were (None if the dtype has no NaN)."""
    x = as_operand(a)
    if not is_inexact(typeof(x).dtype):
        return x, None
    mask = isnan(x)
    return select(mask, typeof(x).dtype.type(value), x), mask


def nansum(
    a: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: bool = False, initial: Any = None,
    where: Any = True,
) -> Any:  # fmt: skip
    """numpy.nansum."""
    return sum(_replaced(a, 0)[0], axis, dtype, out, keepdims, initial, where)


def nanprod(
    a: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: bool = False, initial: Any = None,
    where: Any = True,
) -> Any:  # fmt: skip
    """numpy.nanprod."""
    return prod(_replaced(a, 1)[0], axis, dtype, out, keepdims, initial, where)


def nancumsum(a: Any, axis: Any = None, dtype: Any = None, out: Any = None) -> Any:
    """numpy.nancumsum."""
    return cumsum(_replaced(a, 0)[0], axis, dtype, out)


def nancumprod(a: Any, axis: Any = None, dtype: Any = None, out: Any = None) -> Any:
    """numpy.nancumprod."""
    return cumprod(_replaced(a, 1)[0], axis, dtype, out)


# ---- extremes


def nanmax(
    a: Any, axis: Any = None, out: Any = None, keepdims: bool = False, initial: Any = None, where: Any = True
) -> Any:
    """numpy.nanmax; elements that tie share the derivative equally."""
    return _extreme(max, -np.inf, a, axis, out, keepdims, initial, where)


def nanmin(
    a: Any, axis: Any = None, out: Any = None, keepdims: bool = False, initial: Any = None, where: Any = True
) -> Any:
    """numpy.nanmin; elements that tie share the derivative equally."""
    return _extreme(min, np.inf, a, axis, out, keepdims, initial, where)


def _extreme(
    reduction: Callable[..., Any], worst: float, a: Any, axis: Any, out: Any, keepdims: bool, initial: Any, where: Any
) -> Any:
    x, mask = _replaced(as_wide_as(a, out), worst)
    is_first_nan: Any = True
    if initial is not None and mask is not None:
        initial, is_first_nan = _replaced(as_initial(initial, typeof(x).dtype), worst)
    y = reduction(x, axis, None, keepdims, initial, where)
    if mask is not None:
        is_nan = all(mask, axis, None, keepdims, where=where)
        is_nan = is_nan if is_first_nan is True else logical_and(is_nan, is_first_nan)
        y = select(is_nan, typeof(y).dtype.type(np.nan), y)
    return stored(y, out)


def nanargmax(a: Any, axis: Any = None, out: Any = None, *, keepdims: bool = False) -> Any:
    """numpy.nanargmax; where the values are not known while tracing, -1 for nothing but NaN.

    Raises:
        ValueError: there is nothing but NaN, and the values are known.
    """
    return _place(argmax, -np.inf, a, axis, out, keepdims)


def nanargmin(a: Any, axis: Any = None, out: Any = None, *, keepdims: bool = False) -> Any:
    """numpy.nanargmin; where the values are not known while tracing, -1 for nothing but NaN.

    Raises:
        ValueError: there is nothing but NaN, and the values are known.
    """
    return _place(argmin, np.inf, a, axis, out, keepdims)


def _place(place: Callable[..., Any], worst: float, a: Any, axis: Any, out: Any, keepdims: bool) -> Any:
    x, mask = _replaced(a, worst)
    y = place(x, axis, keepdims=keepdims)
    if mask is not None:
        nothing = all(mask, axis, keepdims=keepdims)
        known = known_value(nothing)
        if known is not None and known.any():
            raise ValueError("All-NaN slice encountered")
        y = select(nothing, -1, y) if known is None else y
    return stored(y, out)


# ---- averages


def nanmean(
    a: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: bool = False, *, where: Any = True
) -> Any:
    """numpy.nanmean."""
    x, mask = _replaced(a, 0)
    if mask is None:
        return mean(x, axis, dtype, out, keepdims, where=where)
    total = sum(x, axis, _dtype_of_sums(typeof(x).dtype, dtype, out), None, keepdims, where=where)
    return stored(divide(total, _count(mask, axis, keepdims, where, typeof(total).dtype)), out)


def nanvar(
    a: Any, axis: Any = None, dtype: Any = None, out: Any = None, ddof: Any = 0, keepdims: bool = False, *,
    where: Any = True, mean: Any = None, correction: Any = None,
) -> Any:  # fmt: skip
    """numpy.nanvar."""
    x, mask = _replaced(a, 0)
    if mask is None:
        return var(x, axis, dtype, out, ddof, keepdims, where=where, mean=mean, correction=correction)
    ddof = chosen_correction(ddof, correction)
    if mean is None:
        total = sum(x, axis, dtype, None, True, where=where)
        mean = divide(total, _count(mask, axis, True, where, typeof(total).dtype))
    deviations = cast(subtract(x, mean), typeof(x).dtype)
    squares = squared_magnitude(select(mask, typeof(x).dtype.type(0), deviations))
    y = sum(squares, axis, _dtype_of_sums(typeof(squares).dtype, dtype, out), None, keepdims, where=where)
    degrees = subtract(_count(mask, axis, keepdims, where, typeof(y).dtype), ddof)
    y = select(less_equal(degrees, 0), typeof(y).dtype.type(np.nan), divide(y, degrees))
    return stored(y, out)


def nanstd(
    a: Any, axis: Any = None, dtype: Any = None, out: Any = None, ddof: Any = 0, keepdims: bool = False, *,
    where: Any = True, mean: Any = None, correction: Any = None,
) -> Any:  # fmt: skip
    """numpy.nanstd. Like that of a norm, its derivative is zero where all elements are equal."""
    if not is_inexact(typeof(as_operand(a)).dtype):
        return std(a, axis, dtype, out, ddof, keepdims, where=where, mean=mean, correction=correction)
    y = nanvar(a, axis, dtype, out, ddof, keepdims, where=where, mean=mean, correction=correction)
    return stored(root(y, degree=2), out)


def _dtype_of_sums(given: np.dtype[Any], dtype: Any, out: Any) -> np.dtype[Any]:
    """The one that was asked for, or that of `out`, if that is wider than the one given."""
    if dtype is not None and not is_inexact(np.dtype(dtype)):
        raise TypeError("If a is inexact, then dtype must be inexact")
    if out is not None and not is_inexact(typeof(out).dtype):
        raise TypeError("If a is inexact, then out must be inexact")
    return widened(given if dtype is None else np.dtype(dtype), dtype, out)


def _count(mask: Any, axis: Any, keepdims: bool, where: Any, dtype: np.dtype[Any]) -> Any:
    """How many elements are left, in the precision of what is divided by it."""
    counted = sum(logical_not(mask), axis, None, None, keepdims, where=where)
    return cast(counted, real_dtype(dtype))

