"""Sums, products, extremes, truth values and their places, over axes; and cumulative sums and products."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from math import prod as _product
from typing import Any

import numpy as np

from ..core.avals import BOOL
from ..core.trace import typeof
from ..primitives import cumulative as _cumulative
from ..primitives import reductions as _reductions
from ..primitives.elementwise import add, maximum, minimum, multiply
from ..primitives.foundation import promoted, reduce_sum
from ..primitives.structural import concatenate
from .common import as_operand, cast, normalize_axes, normalize_axis, stretched, with_shape
from .positions import stored
from .protocols import METHODS
from .reducing import Reduction, as_wide_as, axes_of_ufunc, kept


@cache
def _dtype_of_sums(ufunc: np.ufunc, dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The dtype that NumPy sums or multiplies in: small integers and booleans widen."""
    return ufunc.reduce(np.zeros(0, dtype)).dtype


def _widened(x: Any, dtype: Any, ufunc: np.ufunc, out: Any) -> Any:
    """x in the dtype of the sum: the one that was asked for, or that of `out`, if that is the wider one."""
    x = as_operand(x)
    if dtype is None:
        dtype = _dtype_of_sums(ufunc, typeof(x).dtype) if out is None else promoted(typeof(x), typeof(out))
    return cast(x, dtype)


# ---- over axes

_add = Reduction("add", reduce_sum, 0, add)
_multiply = Reduction("multiply", _reductions.reduce_prod, 1, multiply)
_maximum = Reduction("maximum", _reductions.reduce_max, None, maximum)
_minimum = Reduction("minimum", _reductions.reduce_min, None, minimum)
_or = Reduction("logical_or", _reductions.reduce_any, False)
_and = Reduction("logical_and", _reductions.reduce_all, True)


def sum(
    a: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: bool = False, initial: Any = None,
    where: Any = True,
) -> Any:  # fmt: skip
    """numpy.sum."""
    return _add(_widened(a, dtype, np.add, out), axis, out, keepdims, initial, where)


def prod(
    a: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: bool = False, initial: Any = None,
    where: Any = True,
) -> Any:  # fmt: skip
    """numpy.prod; its derivatives are right with any number of zeros."""
    return _multiply(_widened(a, dtype, np.multiply, out), axis, out, keepdims, initial, where)


def max(
    a: Any, axis: Any = None, out: Any = None, keepdims: bool = False, initial: Any = None, where: Any = True
) -> Any:
    """numpy.max; elements that tie share the derivative equally."""
    return _maximum(as_wide_as(a, out), axis, out, keepdims, initial, where)


def min(
    a: Any, axis: Any = None, out: Any = None, keepdims: bool = False, initial: Any = None, where: Any = True
) -> Any:
    """numpy.min; elements that tie share the derivative equally."""
    return _minimum(as_wide_as(a, out), axis, out, keepdims, initial, where)


def any(a: Any, axis: Any = None, out: Any = None, keepdims: bool = False, *, where: Any = True) -> Any:
    """numpy.any."""
    return _or(cast(as_operand(a), BOOL), axis, out, keepdims, where=where)


def all(a: Any, axis: Any = None, out: Any = None, keepdims: bool = False, *, where: Any = True) -> Any:
    """numpy.all."""
    return _and(cast(as_operand(a), BOOL), axis, out, keepdims, where=where)


def ptp(a: Any, axis: Any = None, out: Any = None, keepdims: bool = False) -> Any:
    """numpy.ptp: the maximum minus the minimum."""
    return stored(np.subtract(max(a, axis, keepdims=keepdims), min(a, axis, keepdims=keepdims)), out)


def count_nonzero(a: Any, axis: Any = None, *, keepdims: bool = False) -> Any:
    """numpy.count_nonzero, as an int64 array also where NumPy gives a Python integer."""
    return sum(cast(as_operand(a), BOOL), axis, keepdims=keepdims)


amax, amin = max, min

# ---- places of extremes


def argmax(a: Any, axis: Any = None, out: Any = None, *, keepdims: bool = False) -> Any:
    """numpy.argmax: the first of equal elements."""
    return _place(_reductions.argmax, a, axis, out, keepdims)


def argmin(a: Any, axis: Any = None, out: Any = None, *, keepdims: bool = False) -> Any:
    """numpy.argmin: the first of equal elements."""
    return _place(_reductions.argmin, a, axis, out, keepdims)


def _place(primitive: Any, a: Any, axis: Any, out: Any, keepdims: bool) -> Any:
    x = as_operand(a)
    shape = typeof(x).shape
    axes = axes_of_ufunc(axis, len(shape))
    if axis is None or not shape:
        x, along = with_shape(x, (_product(shape),)), 0
    else:
        (along,) = axes
    if not typeof(x).shape[along]:
        raise ValueError(f"attempt to get {primitive.name} of an empty sequence")
    y = primitive(x, axes=(along,))
    return stored(with_shape(y, kept(shape, axes)) if keepdims else y, out)


# ---- cumulative


def cumsum(a: Any, axis: Any = None, dtype: Any = None, out: Any = None) -> Any:
    """numpy.cumsum."""
    return _cumulated(_cumulative.cumsum, _widened(a, dtype, np.add, out), axis, out)


def cumprod(a: Any, axis: Any = None, dtype: Any = None, out: Any = None) -> Any:
    """numpy.cumprod; its derivatives are right with any number of zeros."""
    return _cumulated(_cumulative.cumprod, _widened(a, dtype, np.multiply, out), axis, out)


def _cumulated(primitive: Any, x: Any, axis: Any, out: Any) -> Any:
    if axis is None or not typeof(x).shape:
        normalize_axes(axis, 1)
        x, axis = with_shape(x, (typeof(x).size,)), 0
    return stored(primitive(x, axis=normalize_axis(axis, typeof(x).ndim), reverse=False), out)


def cumulative_sum(
    x: Any, /, *, axis: Any = None, dtype: Any = None, out: Any = None, include_initial: bool = False
) -> Any:
    """numpy.cumulative_sum."""
    return _with_initial(cumsum, x, axis, dtype, out, 0 if include_initial else None)


def cumulative_prod(
    x: Any, /, *, axis: Any = None, dtype: Any = None, out: Any = None, include_initial: bool = False
) -> Any:
    """numpy.cumulative_prod."""
    return _with_initial(cumprod, x, axis, dtype, out, 1 if include_initial else None)


def _with_initial(function: Callable[..., Any], x: Any, axis: Any, dtype: Any, out: Any, initial: Any) -> Any:
    x = as_operand(x)
    x = x if typeof(x).shape else with_shape(x, (1,))
    ndim = typeof(x).ndim
    if ndim > 1 and axis is None:
        raise ValueError("For arrays which have more than one dimension ``axis`` argument is required.")
    axis = 0 if axis is None else normalize_axis(axis, ndim)
    y = function(x, axis, dtype)
    if initial is not None:
        first = stretched(cast(initial, typeof(y).dtype), kept(typeof(y).shape, (axis,)))
        y = concatenate(first, y, axis=axis)
    return stored(y, out)


METHODS.update(
    sum=sum, prod=prod, max=max, min=min, any=any, all=all, argmax=argmax, argmin=argmin, cumsum=cumsum,
    cumprod=cumprod,
)  # fmt: skip
