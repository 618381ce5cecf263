"""Functions of each element that are compositions; the ufuncs themselves are primitives."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from math import pi
from typing import Any

import numpy as np

from ..core import dtypes
from ..core.avals import BOOL, ShapedArray, is_inexact, real_dtype, supported_dtype
from ..core.cells import view_of
from ..core.devices import here
from ..core.trace import typeof
from ..core.tracer import Tracer
from ..primitives import complex as _complex
from ..primitives import special as _special
from ..primitives.elementwise import (
    absolute,
    add,
    arctan2,
    copysign,
    divide,
    equal,
    exponent,
    fmod,
    greater,
    isfinite,
    isinf,
    less,
    less_equal,
    logical_and,
    logical_not,
    logical_or,
    mantissa,
    maximum,
    minimum,
    multiply,
    not_equal,
    positive,
    remainder,
    rint,
    signbit,
    subtract,
    trunc,
)
from ..primitives.elementwise import isnan as _isnan
from ..primitives.elementwise import select as _select
from ..primitives.foundation import convert as _convert
from ..primitives.foundation import promoted, zeros
from ..primitives.matrices import conj as _conj
from ..primitives.python_numbers import python_number
from ..primitives.python_operators import is_traced_integer
from ..primitives.sorting import argsort
from .common import as_operand, cast, check_cast, stretched
from .indexing import take as _take
from .positions import cell, stored
from .protocols import METHODS, PROPERTIES, SETTERS

# ---- parts of numbers


def real(val: Any) -> Any:
    """numpy.real."""
    if typeof(val).dtype.kind != "c":
        return val
    return view_of(val, _complex.real(val), restore=lambda part: _complex.complex_(part, _complex.imag(val)))


def imag(val: Any) -> Any:
    """numpy.imag."""
    if typeof(val).dtype.kind != "c":
        return view_of(val, _complex.imag(val))
    return view_of(val, _complex.imag(val), restore=lambda part: _complex.complex_(_complex.real(val), part))


def _set_real(x: Any, value: Any) -> None:
    """`x.real = value`."""
    real(x)[...] = value


def _set_imag(x: Any, value: Any) -> None:
    """`x.imag = value`."""
    if typeof(x).dtype.kind != "c":
        raise TypeError("array does not have imaginary part to set")
    imag(x)[...] = value


def angle(z: Any, deg: bool = False) -> Any:
    """numpy.angle."""
    is_complex = typeof(z).dtype.kind == "c"
    a = arctan2(_complex.imag(z) if is_complex else 0, _complex.real(z) if is_complex else z)
    return multiply(a, 180 / pi) if deg else a


def frexp(x: Any) -> tuple[Any, Any]:
    """numpy.frexp."""
    return mantissa(x), exponent(x)


def modf(x: Any) -> tuple[Any, Any]:
    """numpy.modf."""
    x = _cast(x, dtypes.resolve_dtypes(np.modf, (typeof(x).dtype, None, None))[1])
    whole = trunc(x)
    return _select(isinf(x), copysign(_constant(whole, 0), x), fmod(x, _constant(whole, 1))), whole


def divmod(x1: Any, x2: Any) -> tuple[Any, Any]:
    """numpy.divmod."""
    return np.floor_divide(x1, x2), np.remainder(x1, x2)


# ---- rounding and limiting


def round(a: Any, decimals: int = 0, out: Any = None) -> Any:
    """numpy.round; its derivative is zero."""
    if out is not None:
        return _written(round(a, decimals), out)
    dtype = typeof(a).dtype
    if dtype.kind in "iu":
        if decimals >= 0:
            return _strong(positive(a))
        return _convert(multiply(rint(divide(a, 10.0**-decimals)), 10.0**-decimals), dtype=dtype)
    if decimals == 0:
        return rint(a)
    if dtype.kind == "c":
        return _complex.complex_(round(_complex.real(a), decimals), round(_complex.imag(a), decimals))
    scale = 10.0 ** abs(decimals)
    if decimals > 0:
        return _strong(divide(rint(multiply(a, scale)), scale))
    return _strong(multiply(rint(divide(a, scale)), scale))


def around(a: Any, decimals: int = 0, out: Any = None) -> Any:
    """numpy.around."""
    return round(a, decimals, out)


def fix(x: Any, out: Any = None) -> Any:
    """numpy.fix."""
    return _written(trunc(x), out)


class _NotGiven:
    """Stands for an argument that was left out."""


def clip(
    a: Any, a_min: Any = _NotGiven, a_max: Any = _NotGiven, out: Any = None, *, min: Any = None, max: Any = None
) -> Any:
    """numpy.clip: minimum(maximum(a, min), max), so that at a bound the operand has half of the derivative."""
    low, high = min if a_min is _NotGiven else a_min, max if a_max is _NotGiven else a_max
    a, dtype = as_operand(a), typeof(a).dtype
    if dtype.kind in "iu":  # bounds that no value can exceed may be outside of what the dtype holds
        least, most = np.iinfo(dtype).min, np.iinfo(dtype).max
        low = None if type(low) is int and low <= least else low
        high = None if type(high) is int and high >= most else high
        low = python_number(maximum(low, least)) if is_traced_integer(low) else low
        high = python_number(minimum(high, most)) if is_traced_integer(high) and dtype != np.uint64 else high
    if low is not None and high is not None:  # all three meet in one dtype, as operands of one ufunc do
        meeting = promoted(*(typeof(as_operand(x)) for x in (a, low, high)))
        a = cast(a, meeting) if is_inexact(meeting) else a
    y = a if low is None else maximum(a, low)
    y = y if high is None else minimum(y, high)
    return _written(_strong(positive(a)) if y is a else y, out)


def nan_to_num(x: Any, copy: bool = True, nan: Any = 0.0, posinf: Any = None, neginf: Any = None) -> Any:
    """numpy.nan_to_num; the derivative is zero where something was replaced."""
    dtype = typeof(x).dtype
    if not is_inexact(dtype):
        return _convert(x, dtype=dtype) if copy else x
    if not copy:
        return stored(nan_to_num(x, True, nan, posinf, neginf), x)
    if dtype.kind == "c":
        parts = (nan_to_num(part(x), True, nan, posinf, neginf) for part in (_complex.real, _complex.imag))
        return _complex.complex_(*parts)
    limits = dtypes.finfo(dtype)
    high = limits.max if posinf is None else posinf
    low = limits.min if neginf is None else neginf
    y = _select(_isnan(x), nan, _select(isposinf(x), high, _select(isneginf(x), low, x)))
    return _convert(y, dtype=dtype) if typeof(y).dtype != dtype else y


# ---- tests


def isclose(a: Any, b: Any, rtol: Any = 1e-5, atol: Any = 1e-8, equal_nan: bool = False) -> Any:
    """numpy.isclose."""
    a, b = as_operand(a), as_operand(b)
    b = _cast(b, result_type(b, 1.0))
    with np.errstate(invalid="ignore"):  # as in NumPy: inf - inf is no surprise here
        is_near = less_equal(absolute(subtract(a, b)), add(atol, multiply(rtol, absolute(b))))
    result = logical_or(logical_and(is_near, isfinite(b)), equal(a, b))
    return logical_or(result, logical_and(_isnan(a), _isnan(b))) if equal_nan else result


def allclose(a: Any, b: Any, rtol: Any = 1e-5, atol: Any = 1e-8, equal_nan: bool = False) -> Any:
    """numpy.allclose, as an array of no dimensions."""
    return np.all(isclose(a, b, rtol, atol, equal_nan))


def array_equal(a1: Any, a2: Any, equal_nan: bool = False) -> Any:
    """numpy.array_equal, as an array of no dimensions; arrays of different shapes are not equal."""
    a, b = as_operand(a1), as_operand(a2)
    return np.all(_same(a, b, equal_nan)) if typeof(a).shape == typeof(b).shape else False


def array_equiv(a1: Any, a2: Any) -> Any:
    """numpy.array_equiv, as an array of no dimensions."""
    a, b = as_operand(a1), as_operand(a2)
    try:
        np.broadcast_shapes(typeof(a).shape, typeof(b).shape)
    except ValueError:
        return False
    return np.all(equal(a, b))


def _same(a: Any, b: Any, equal_nan: bool) -> Any:
    are_equal = _strong(equal(a, b))
    return logical_or(are_equal, logical_and(_isnan(a), _isnan(b))) if equal_nan else are_equal


def iscomplex(x: Any) -> Any:
    """numpy.iscomplex."""
    return _strong(not_equal(_complex.imag(x), 0))


def isreal(x: Any) -> Any:
    """numpy.isreal."""
    return _strong(equal(_complex.imag(x), 0))


def isposinf(x: Any, out: Any = None) -> Any:
    """numpy.isposinf."""
    return _written(logical_and(isinf(x), logical_not(signbit(x))), out)


def isneginf(x: Any, out: Any = None) -> Any:
    """numpy.isneginf."""
    return _written(logical_and(isinf(x), signbit(x)), out)


# ---- selection


def where(condition: Any, x: Any = None, y: Any = None) -> Any:
    """numpy.where; with the condition alone it is numpy.nonzero.

    A lane that is not selected contributes exactly nothing to derivatives, whatever its own derivative is.
    """
    if x is None and y is None:
        return np.nonzero(condition)
    if x is None or y is None:
        raise ValueError("either both or neither of x and y should be given")
    return _select(_truth(as_operand(condition)), as_operand(x), as_operand(y))


def select(condlist: Sequence[Any], choicelist: Sequence[Any], default: Any = 0) -> Any:
    """numpy.select."""
    if len(condlist) != len(choicelist):
        raise ValueError("list of cases must be same length as list of conditions")
    if not condlist:
        raise ValueError("select with an empty condition list is not possible")
    for i, condition in enumerate(condlist):
        if typeof(condition).dtype != BOOL:
            raise TypeError(f"invalid entry {i} in condlist: should be boolean ndarray")
    choicelist, default = [as_operand(c) for c in choicelist], as_operand(default)
    dtype = promoted(*map(typeof, (*choicelist, default)))
    result = _cast(default, dtype)
    for condition, choice in zip(reversed(condlist), reversed(choicelist)):
        result = _select(condition, _cast(choice, dtype), result)
    return result


def piecewise(x: Any, condlist: Any, funclist: Sequence[Any], *args: Any, **kw: Any) -> Any:
    """numpy.piecewise. Functions are called on all of x, and their results selected from."""
    if not isinstance(condlist, (list, tuple)) and typeof(condlist).ndim <= typeof(x).ndim:
        condlist = [condlist]
    conditions = [_truth(as_operand(c)) for c in condlist]
    if len(funclist) == len(conditions) + 1:
        conditions.append(logical_not(reduce(logical_or, conditions)))
    if len(funclist) != len(conditions):
        raise ValueError(
            f"with {len(conditions)} condition(s), either {len(conditions)} or {len(conditions) + 1} functions are "
            "expected"
        )
    result = zeros(typeof(x).strong())
    for condition, piece in zip(conditions, funclist):
        value = piece(x, *args, **kw) if callable(piece) else piece
        result = _select(condition, cast(value, typeof(x).dtype), result)
    return result


# ---- special functions


def sinc(x: Any) -> Any:
    """numpy.sinc: sin(pi x) / (pi x), smooth at zero."""
    return _special.sinc(x, order=0)


def i0(x: Any) -> Any:
    """numpy.i0: the modified Bessel function of the first kind and order zero."""
    x = as_operand(x)
    return _in_half(_special.i0(x if is_inexact(typeof(x).dtype) else _cast(x, np.dtype(float))), x)


def interp(x: Any, xp: Any, fp: Any, left: Any = None, right: Any = None, period: Any = None) -> Any:
    """numpy.interp: piecewise linear interpolation, differentiable by x, xp and fp.

    At a node the derivative by x is the slope to its right.
    """
    x, xp, fp = as_operand(x), as_operand(xp), as_operand(fp)
    for places in (x, xp):
        check_cast(places, np.dtype(float), "safe")
    x, xp = _convert(x, dtype=np.dtype(float)), _convert(xp, dtype=np.dtype(float))
    fp = _convert(fp, dtype=np.dtype(complex if typeof(fp).dtype.kind == "c" else float))
    if typeof(xp).ndim != 1 or typeof(xp).shape != typeof(fp).shape or not typeof(xp).size:
        raise ValueError("xp and fp must be one-dimensional sequences of one length, and not empty")
    if period is not None:
        x, xp, fp = _unrolled(x, xp, fp, np.abs(period))
        left = right = None
    last = typeof(xp).size - 1
    after = np.clip(_count_below(xp, x), 1, max(last, 1))
    x0, x1 = _take(xp, after - 1), _take(xp, np.minimum(after, last))
    f0, f1 = _take(fp, after - 1), _take(fp, np.minimum(after, last))
    is_step = not_equal(x1, x0)
    slope = divide(subtract(f1, f0), _select(is_step, subtract(x1, x0), 1.0))
    y = add(f0, multiply(slope, subtract(x, x0)))
    y = _select(less(x, _take(xp, 0)), _take(fp, 0) if left is None else left, y)
    y = _select(greater(x, _take(xp, last)), _take(fp, last) if right is None else right, y)
    return y


def _count_below(xp: Any, x: Any) -> Any:
    """How many nodes of a sorted table are not above x, by bisection."""
    size = typeof(xp).size
    count = zeros(ShapedArray(typeof(x).shape, np.dtype(np.int64)))
    for step in (1 << k for k in reversed(range(size.bit_length()))):
        more = add(count, step)
        is_below = less_equal(_take(xp, minimum(more, size) - 1), x)
        count = _select(logical_and(is_below, less_equal(more, size)), more, count)
    return count


def _unrolled(x: Any, xp: Any, fp: Any, period: Any) -> tuple[Any, Any, Any]:
    """A periodic table, sorted, with one more node at each end."""
    x, xp = remainder(x, period), remainder(xp, period)
    order = argsort(xp)
    xp, fp = _take(xp, order), _take(fp, order)
    first, last = here(np.arange(1)), here(np.arange(1) + (typeof(xp).size - 1))
    nodes = [subtract(_take(xp, last), period), xp, add(_take(xp, first), period)]
    return x, np.concatenate(nodes), np.concatenate([_take(fp, last), fp, _take(fp, first)])


# ---- dtypes


def astype(x: Any, dtype: Any, /, *, copy: bool = True, device: None = None) -> Any:
    """numpy.astype."""
    return _astype(x, dtype, copy=copy)


def result_type(*arrays_and_dtypes: Any) -> np.dtype[Any]:
    """numpy.result_type."""
    return dtypes.result_type(*map(_dtype_stand_in, arrays_and_dtypes))


def can_cast(from_: Any, to: Any, casting: Any = "safe") -> bool:
    """numpy.can_cast."""
    return dtypes.can_cast(typeof(from_).dtype if isinstance(from_, Tracer) else from_, to, casting)


def promote_types(type1: Any, type2: Any) -> np.dtype[Any]:
    """numpy.promote_types, which knows bfloat16."""
    return dtypes.result_type(np.dtype(type1), np.dtype(type2))


def finfo(dtype: Any) -> Any:
    """numpy.finfo, which knows bfloat16."""
    return dtypes.finfo(dtype)


def issubdtype(arg1: Any, arg2: Any) -> bool:
    """numpy.issubdtype, to which bfloat16 is a floating dtype."""
    scalar = arg1.type if isinstance(arg1, np.dtype) else arg1
    is_bfloat16 = getattr(scalar, "__name__", scalar) == "bfloat16"
    return np.issubdtype(arg1, arg2) or (is_bfloat16 and np.issubdtype(np.floating, arg2))


def common_type(*arrays: Any) -> Any:
    """numpy.common_type."""
    return np.common_type(*(np.empty(0, typeof(x).dtype) for x in arrays))


def iscomplexobj(x: Any) -> bool:
    """numpy.iscomplexobj."""
    return typeof(x).dtype.kind == "c"


def isrealobj(x: Any) -> bool:
    """numpy.isrealobj."""
    return typeof(x).dtype.kind != "c"


def _astype(
    x: Any, dtype: Any, order: str = "K", casting: Any = "unsafe", subok: bool = True, copy: bool = True
) -> Any:
    """ndarray.astype."""
    have, want = typeof(x), supported_dtype(dtype)
    if not dtypes.can_cast(have.dtype, want, casting):
        raise TypeError(f"Cannot cast array data from {have.dtype!r} to {want!r} according to the rule {casting!r}")
    return x if not copy and have.dtype == want and not have.weak else _convert(x, dtype=want)


def _dtype_stand_in(x: Any) -> Any:
    """Something that numpy.result_type treats as it would treat x."""
    if not isinstance(x, Tracer):
        return x
    return x.aval.dtype.type(0).item() if x.aval.weak else x.aval.dtype


# ---- help


def _written(result: Any, out: Any) -> Any:
    """A result; in `out`, if there is one, whose dtype it must fit."""
    if out is None:
        return result
    check_cast(result, cell(out, "out").dtype)
    return stored(stretched(result, out.shape), out)


def _strong(x: Any) -> Any:
    """What a function, unlike an operator, makes of Python scalars: an array."""
    aval = typeof(x)
    return _convert(x, dtype=aval.dtype) if aval.weak else x


def _constant(like: Any, value: float) -> Any:
    return real_dtype(typeof(like).dtype).type(value)


def _truth(condition: Any) -> Any:
    """A condition as booleans."""
    return condition if typeof(condition).dtype == BOOL else _convert(condition, dtype=BOOL)


def _cast(x: Any, dtype: np.dtype[Any]) -> Any:
    return x if typeof(x).dtype == dtype else _convert(x, dtype=dtype)


def _in_half(y: Any, x: Any) -> Any:
    """A result in half precision, if that was the operand's."""
    return _convert(y, dtype=typeof(x).dtype) if dtypes.is_half(typeof(x).dtype) else y


METHODS.update(astype=_astype, clip=clip, round=round)
METHODS.update(conj=_conj, conjugate=_conj)  # which unlike numpy.conj leaves booleans as they are
PROPERTIES.update(real=real, imag=imag)
SETTERS.update(real=_set_real, imag=_set_imag)
