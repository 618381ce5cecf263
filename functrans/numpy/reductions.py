"""Sums, products, extremes and truth values along axes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..core.avals import real_dtype, typeof
from ..primitives import cumulative as _cumulative
from ..primitives import reductions as _reductions
from ..primitives.elementwise import add, divide, maximum, minimum, multiply, sqrt, subtract
from ..primitives.foundation import reduce_sum
from ..primitives.reductions import reduce_all, reduce_any, reduce_max, reduce_min, reduce_prod
from ..primitives.selection import select
from .common import as_operand, cast, normalize_axes, normalize_axis, stretched, with_shape
from .protocols import METHODS, UFUNC_METHODS


def _kept(shape: tuple[int, ...], axes: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(1 if i in axes else extent for i, extent in enumerate(shape))


def _reduce(
    primitive: Callable[..., Any],
    x: Any,
    axis: Any,
    keepdims: bool,
    *,
    identity: Any = None,
    where: Any = None,
    initial: Any = None,
    combine: Any = None,
) -> Any:
    """A reduction with NumPy's options; elements outside `where` count as `identity`."""
    if where is not None and where is not True:
        neutral = initial if identity is None else identity
        if neutral is None:
            raise ValueError("reduction operation does not have an identity, so to use a where mask one has to "
                             "specify 'initial'")  # fmt: skip
        shape = np.broadcast_shapes(typeof(x).shape, typeof(where).shape)
        x = select(where, stretched(x, shape), cast(neutral, typeof(x).dtype))
    shape = typeof(x).shape
    axes = normalize_axes(axis, len(shape))
    empty = 0 in [shape[a] for a in axes]
    if empty and identity is None:
        if initial is None:
            raise ValueError("zero-size array to reduction operation which has no identity")
        y = stretched(cast(initial, typeof(x).dtype), tuple(n for i, n in enumerate(shape) if i not in axes))
    else:
        y = primitive(x, axes=axes)
        if initial is not None:
            y = cast(combine(y, initial), typeof(y).dtype)
    return with_shape(y, _kept(shape, axes)) if keepdims else y


def _sum_dtype(x: Any, dtype: Any, ufunc: Any) -> np.dtype[Any]:
    """The dtype NumPy sums in: small integers and booleans widen."""
    if dtype is not None:
        return np.dtype(dtype)
    return ufunc.reduce(np.zeros(0, typeof(x).dtype)).dtype


def sum(
    x: Any,
    axis: Any = None,
    dtype: Any = None,
    out: None = None,
    keepdims: bool = False,
    initial: Any = None,
    where: Any = None,
) -> Any:
    """numpy.sum."""
    x = as_operand(x)
    x = cast(x, _sum_dtype(x, dtype, np.add))
    return _reduce(reduce_sum, x, axis, keepdims, identity=0, where=where, initial=initial, combine=add)


def prod(
    x: Any,
    axis: Any = None,
    dtype: Any = None,
    out: None = None,
    keepdims: bool = False,
    initial: Any = None,
    where: Any = None,
) -> Any:
    """numpy.prod; its derivatives are right with any number of zeros."""
    x = as_operand(x)
    x = cast(x, _sum_dtype(x, dtype, np.multiply))
    return _reduce(reduce_prod, x, axis, keepdims, identity=1, where=where, initial=initial, combine=multiply)


def max(
    x: Any, axis: Any = None, out: None = None, keepdims: bool = False, initial: Any = None, where: Any = None
) -> Any:
    """numpy.max; elements that tie share the cotangent equally."""
    return _reduce(reduce_max, as_operand(x), axis, keepdims, where=where, initial=initial, combine=maximum)


def min(
    x: Any, axis: Any = None, out: None = None, keepdims: bool = False, initial: Any = None, where: Any = None
) -> Any:
    """numpy.min; elements that tie share the cotangent equally."""
    return _reduce(reduce_min, as_operand(x), axis, keepdims, where=where, initial=initial, combine=minimum)


def any(x: Any, axis: Any = None, out: None = None, keepdims: bool = False, where: Any = None) -> Any:
    """numpy.any."""
    return _reduce(reduce_any, cast(as_operand(x), bool), axis, keepdims, identity=False, where=where)


def all(x: Any, axis: Any = None, out: None = None, keepdims: bool = False, where: Any = None) -> Any:
    """numpy.all."""
    return _reduce(reduce_all, cast(as_operand(x), bool), axis, keepdims, identity=True, where=where)


def _count(x: Any, axis: Any, where: Any) -> Any:
    """The number of elements along axes: an integer, or an array if `where` leaves some out."""
    shape = typeof(x).shape
    axes = normalize_axes(axis, len(shape))
    if where is None or where is True:
        return int(np.prod([shape[a] for a in axes], dtype=int))
    return sum(cast(stretched(where, shape), np.int64), axis=axis)


def mean(
    x: Any, axis: Any = None, dtype: Any = None, out: None = None, keepdims: bool = False, where: Any = None
) -> Any:
    """numpy.mean; float16 is summed in float32."""
    x = as_operand(x)
    given = typeof(x).dtype
    target = np.dtype(dtype) if dtype is not None else (given if given.kind in "fc" else np.dtype(np.float64))
    working = np.dtype(np.float32) if target == np.float16 else target
    total = sum(cast(x, working), axis=axis, keepdims=keepdims, where=where)
    count = _count(x, axis, where)
    return cast(divide(total, _like(count, typeof(total).shape, working)), target)


def _like(count: Any, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Any:
    return count if isinstance(count, int) else cast(with_shape(count, shape), np.dtype(dtype.char.lower()))


def var(
    x: Any,
    axis: Any = None,
    dtype: Any = None,
    out: None = None,
    ddof: float = 0,
    keepdims: bool = False,
    where: Any = None,
    mean: Any = None,
    correction: Any = None,
) -> Any:
    """numpy.var: the mean squared deviation, with `ddof` (or `correction`) taken off the count; real."""
    x = as_operand(x)
    given = typeof(x).dtype
    target = np.dtype(dtype) if dtype is not None else (given if given.kind in "fc" else np.dtype(np.float64))
    working = np.dtype(np.float32) if target == np.float16 else target
    x = cast(x, working)
    center = _mean(x, axis=axis, keepdims=True, where=where) if mean is None else mean
    deviation = subtract(x, center)
    squares = multiply(deviation, deviation)
    if working.kind == "c":
        squares = np.real(multiply(deviation, np.conjugate(deviation)))
    total = sum(squares, axis=axis, keepdims=keepdims, where=where)
    ddof = ddof if correction is None else correction
    count = _like(_count(x, axis, where), typeof(total).shape, typeof(total).dtype)
    return cast(divide(total, maximum(subtract(count, ddof), 0)), real_dtype(target))


_mean = mean


def std(
    x: Any,
    axis: Any = None,
    dtype: Any = None,
    out: None = None,
    ddof: float = 0,
    keepdims: bool = False,
    where: Any = None,
    mean: Any = None,
    correction: Any = None,
) -> Any:
    """numpy.std."""
    return sqrt(var(x, axis, dtype, None, ddof, keepdims, where, mean, correction))


def _arg_extreme(primitive: Any, x: Any, axis: Any, keepdims: bool) -> Any:
    x = as_operand(x)
    shape = typeof(x).shape
    if axis is None:
        y = primitive(with_shape(x, (typeof(x).size,)), axes=(0,))
        return with_shape(y, (1,) * len(shape)) if keepdims else y
    axis = normalize_axis(axis, len(shape))
    y = primitive(x, axes=(axis,))
    return with_shape(y, _kept(shape, (axis,))) if keepdims else y


def argmax(x: Any, axis: Any = None, out: None = None, keepdims: bool = False) -> Any:
    """numpy.argmax: the first of equal elements."""
    return _arg_extreme(_reductions.argmax, x, axis, keepdims)


def argmin(x: Any, axis: Any = None, out: None = None, keepdims: bool = False) -> Any:
    """numpy.argmin: the first of equal elements."""
    return _arg_extreme(_reductions.argmin, x, axis, keepdims)


def count_nonzero(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """numpy.count_nonzero."""
    return sum(cast(as_operand(x), bool), axis=axis, keepdims=keepdims)


def ptp(x: Any, axis: Any = None, out: None = None, keepdims: bool = False) -> Any:
    """numpy.ptp."""
    return subtract(max(x, axis, keepdims=keepdims), min(x, axis, keepdims=keepdims))


def _cumulate(primitive: Any, x: Any, axis: Any, dtype: Any, ufunc: Any) -> Any:
    x = as_operand(x)
    if axis is None:
        x, axis = with_shape(x, (typeof(x).size,)), 0
    return primitive(cast(x, _sum_dtype(x, dtype, ufunc)), axis=normalize_axis(axis, typeof(x).ndim), reverse=False)


def cumsum(x: Any, axis: Any = None, dtype: Any = None, out: None = None) -> Any:
    """numpy.cumsum."""
    return _cumulate(_cumulative.cumsum, x, axis, dtype, np.add)


def cumprod(x: Any, axis: Any = None, dtype: Any = None, out: None = None) -> Any:
    """numpy.cumprod; its derivatives are right with any number of zeros."""
    return _cumulate(_cumulative.cumprod, x, axis, dtype, np.multiply)


def average(x: Any, axis: Any = None, weights: Any = None, returned: bool = False, *, keepdims: bool = False) -> Any:
    """numpy.average."""
    x = as_operand(x)
    if weights is None:
        result = mean(x, axis, keepdims=keepdims)
        total: Any = cast(float(_count(x, axis, None)), typeof(result).dtype)
    else:
        shape = typeof(x).shape
        weights = as_operand(weights)
        if typeof(weights).shape != shape:
            (along,) = normalize_axes(axis, len(shape))
            weights = with_shape(weights, tuple(n if i == along else 1 for i, n in enumerate(shape)))
        weights = stretched(weights, shape)
        total = sum(weights, axis=axis, keepdims=keepdims)
        result = divide(sum(multiply(x, weights), axis=axis, keepdims=keepdims), total)
    return (result, stretched(total, typeof(result).shape)) if returned else result


amax, amin = max, min

_REDUCTIONS = {
    np.add: sum, np.multiply: prod, np.maximum: max, np.minimum: min, np.logical_and: all, np.logical_or: any,
}  # fmt: skip
_ACCUMULATIONS: dict[Any, Any] = {
    np.add: cumsum,
    np.multiply: cumprod,
    np.maximum: lambda x, axis=0, dtype=None, out=None: _cumulative.cummax(x, axis=axis, reverse=False),
    np.minimum: lambda x, axis=0, dtype=None, out=None: _cumulative.cummin(x, axis=axis, reverse=False),
    np.logaddexp: lambda x, axis=0, dtype=None, out=None: _cumulative.cumlogsumexp(x, axis=axis, reverse=False),
}
for _ufunc, _function in _REDUCTIONS.items():
    UFUNC_METHODS[_ufunc, "reduce"] = lambda x, axis=0, _function=_function, **options: _function(x, axis, **options)
for _ufunc, _function in _ACCUMULATIONS.items():
    UFUNC_METHODS[_ufunc, "accumulate"] = lambda x, axis=0, _function=_function, **o: _function(x, axis, **o)

METHODS.update(
    sum=sum, prod=prod, max=max, min=min, any=any, all=all, mean=mean, var=var, std=std, argmax=argmax, argmin=argmin,
    cumsum=cumsum, cumprod=cumprod,
)  # fmt: skip
