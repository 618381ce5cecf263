"""Methods of ufuncs: `np.add.reduce`, `np.maximum.accumulate`, `np.multiply.outer` and their kin."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..core.dtypes import resolve_dtypes
from ..core.trace import typeof
from ..core.tracer import Tracer
from ..primitives import cumulative, reductions
from ..primitives.elementwise import bitwise_and, bitwise_or, bitwise_xor, logaddexp
from .common import as_operand, cast, concrete_value, normalize_axis, with_shape
from .indexing import take
from .nan_reductions import nanmax, nanmin
from .positions import stored
from .protocols import UFUNC_METHODS
from .reducing import Reduction
from .reductions import cumprod, cumsum, max, min, prod, sum

_bits_and = Reduction("bitwise_and", reductions.reduce_and, np.int8(-1), bitwise_and)  # all bits, in any dtype
_bits_or = Reduction("bitwise_or", reductions.reduce_or, 0, bitwise_or)
_bits_xor = Reduction("bitwise_xor", reductions.reduce_xor, 0, bitwise_xor)
_any = Reduction("logical_or", reductions.reduce_any, False, bitwise_or)
_all = Reduction("logical_and", reductions.reduce_all, True, bitwise_and)
_parity = Reduction("logical_xor", reductions.reduce_xor, False, bitwise_xor)
_log_of_sum = Reduction("logaddexp", reductions.logsumexp, -np.inf, logaddexp)


def _reduce_with_dtype(function: Callable[..., Any]) -> Callable[..., Any]:
    """`reduce` by a function that reduces over all axes unless told."""

    def reduce(array: Any, axis: Any = 0, dtype: Any = None, out: Any = None, *args: Any, **options: Any) -> Any:
        return function(cast(as_operand(array), dtype), axis, _single(out), *args, **options)

    return reduce


def _reduce(ufunc: np.ufunc, reduction: Reduction) -> Callable[..., Any]:
    """`reduce` by a reduction, in the dtype that the ufunc makes of that of the array."""

    def reduce(
        array: Any, axis: Any = 0, dtype: Any = None, out: Any = None, keepdims: bool = False, initial: Any = None,
        where: Any = True,
    ) -> Any:  # fmt: skip
        x = _in_working_dtype(ufunc, as_operand(array), dtype)
        return reduction(x, axis, _single(out), keepdims, initial, where)

    return reduce


def _sum_like(function: Callable[..., Any]) -> Callable[..., Any]:
    """`reduce` by sum or prod, which have all options."""

    def reduce(array: Any, axis: Any = 0, dtype: Any = None, out: Any = None, *args: Any, **options: Any) -> Any:
        return function(array, axis, dtype, _single(out), *args, **options)

    return reduce


def _accumulate(ufunc: np.ufunc, primitive: Any) -> Callable[..., Any]:
    def accumulate(array: Any, axis: int = 0, dtype: Any = None, out: Any = None) -> Any:
        x = _in_working_dtype(ufunc, _accumulable(array), dtype)
        return stored(primitive(x, axis=normalize_axis(axis, typeof(x).ndim), reverse=False), _single(out))

    return accumulate


def _sum_like_accumulate(function: Callable[..., Any]) -> Callable[..., Any]:
    def accumulate(array: Any, axis: int = 0, dtype: Any = None, out: Any = None) -> Any:
        return function(_accumulable(array), axis, dtype, _single(out))

    return accumulate


def _accumulable(array: Any) -> Any:
    x = as_operand(array)
    if not typeof(x).shape:
        raise TypeError("cannot accumulate on a scalar")
    return x


def _reduceat(ufunc: np.ufunc) -> Callable[..., Any]:
    """`reduceat`: the first element of each part, combined with the others of it."""

    def reduceat(array: Any, indices: Any, axis: int = 0, dtype: Any = None, out: Any = None) -> Any:
        x = as_operand(array)
        starts = concrete_value(indices, "The argument `indices` of reduceat", "Use `at` of the same ufunc instead.")
        found = ufunc.reduceat(np.zeros(1, typeof(x).dtype), [0]).dtype if dtype is None else dtype
        axis = normalize_axis(axis, typeof(x).ndim)
        rows = np.moveaxis(cast(x, found), axis, 0)
        extent = typeof(rows).shape[0]
        if starts.size and not (starts.min() >= 0 and starts.max() < extent):
            raise IndexError(f"index out-of-bounds in {ufunc.__name__}.reduceat [0, {extent})")
        stops = np.maximum(np.append(starts[1:], extent), starts + 1)
        others = [np.arange(start + 1, stop) for start, stop in zip(starts, stops)]
        result = take(rows, starts, 0).copy()
        if any(map(len, others)):
            parts = np.repeat(np.arange(len(starts)), stops - starts - 1)
            ufunc.at(result, parts, take(rows, np.concatenate(others), 0))
        return stored(np.moveaxis(result, 0, axis), _single(out))

    return reduceat


def _outer(ufunc: np.ufunc) -> Callable[..., Any]:
    def outer(a: Any, b: Any, /, **options: Any) -> Any:
        x, y = (x if isinstance(x, Tracer) else np.asarray(x) for x in (a, b))  # numbers are arrays here
        return ufunc(with_shape(x, typeof(x).shape + (1,) * typeof(y).ndim), y, **options)

    return outer


def _single(out: Any) -> Any:
    """The one array of `out`, which ufuncs hand on in a tuple."""
    return out[0] if isinstance(out, tuple) else out


def _in_working_dtype(ufunc: np.ufunc, x: Any, dtype: Any) -> Any:
    """x in the dtype in which NumPy reduces such arrays, or for which it has been told.

    Raises:
        TypeError: the ufunc has no loop for it.
    """
    wanted = {} if dtype is None else {"signature": (np.dtype(dtype), None, None)}
    kinds = (None, typeof(x).dtype, None)
    return cast(x, resolve_dtypes(ufunc, kinds, reduction=True, casting="unsafe", **wanted)[1])


_REDUCE: dict[np.ufunc, Callable[..., Any]] = {
    np.add: _sum_like(sum),
    np.multiply: _sum_like(prod),
    np.maximum: _reduce_with_dtype(max),
    np.minimum: _reduce_with_dtype(min),
    np.fmax: _reduce_with_dtype(nanmax),
    np.fmin: _reduce_with_dtype(nanmin),
    np.logical_and: _reduce(np.logical_and, _all),
    np.logical_or: _reduce(np.logical_or, _any),
    np.logical_xor: _reduce(np.logical_xor, _parity),
    np.bitwise_and: _reduce(np.bitwise_and, _bits_and),
    np.bitwise_or: _reduce(np.bitwise_or, _bits_or),
    np.bitwise_xor: _reduce(np.bitwise_xor, _bits_xor),
    np.logaddexp: _reduce(np.logaddexp, _log_of_sum),
}
_ACCUMULATE: dict[np.ufunc, Callable[..., Any]] = {
    np.add: _sum_like_accumulate(cumsum),
    np.multiply: _sum_like_accumulate(cumprod),
    np.maximum: _accumulate(np.maximum, cumulative.cummax),
    np.minimum: _accumulate(np.minimum, cumulative.cummin),
    np.logical_and: _accumulate(np.logical_and, cumulative.cummin),
    np.logical_or: _accumulate(np.logical_or, cumulative.cummax),
    np.logaddexp: _accumulate(np.logaddexp, cumulative.cumlogsumexp),
}
for _ufunc in (np.add, np.multiply, np.maximum, np.minimum):
    UFUNC_METHODS[_ufunc, "reduceat"] = _reduceat(_ufunc)
for _ufunc, _function in _REDUCE.items():
    UFUNC_METHODS[_ufunc, "reduce"] = _function
for _ufunc, _function in _ACCUMULATE.items():
    UFUNC_METHODS[_ufunc, "accumulate"] = _function
for _ufunc in vars(np).values():
    if isinstance(_ufunc, np.ufunc) and (_ufunc.nin, _ufunc.nout, _ufunc.signature) == (2, 1, None):
        UFUNC_METHODS[_ufunc, "outer"] = _outer(_ufunc)
