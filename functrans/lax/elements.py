"""Functions of each element under JAX's names: those of NumPy, with NumPy's promotion and broadcasting."""

from __future__ import annotations

from enum import Enum
from functools import partial
from typing import Any

import numpy as np

from ..api.arguments import gives_its_own
from ..api.custom_rule import custom_rule
from ..core.trace import typeof
from ..errors import UnsupportedDtypeError
from ..numpy.common import as_operand, cast
from ..numpy.scipy_ufuncs import hurwitz_zeta, polygamma
from ..primitives.complex import complex_
from ..primitives.elementwise import bits
from ..primitives.incomplete import betainc
from ..primitives.incomplete import gammainc as igamma
from ..primitives.incomplete import gammaincc as igammac
from ..primitives.special import digamma, erf, erfc, expit, lgamma
from ..primitives.special import erfinv as erf_inv
from ..primitives.special import i0e as bessel_i0e
from ..primitives.special import i1e as bessel_i1e

abs, sign, square, sqrt, cbrt, reciprocal = np.abs, np.sign, np.square, np.sqrt, np.cbrt, np.reciprocal
exp, exp2, expm1, log, log1p, logistic = np.exp, np.exp2, np.expm1, np.log, np.log1p, expit
sin, cos, tan, sinh, cosh, tanh = np.sin, np.cos, np.tan, np.sinh, np.cosh, np.tanh
asin, acos, atan, atan2 = np.arcsin, np.arccos, np.arctan, np.arctan2
asinh, acosh, atanh = np.arcsinh, np.arccosh, np.arctanh
floor, ceil, is_finite, nextafter = np.floor, np.ceil, np.isfinite, np.nextafter
neg, add, sub, mul, pow, rem = np.negative, np.add, np.subtract, np.multiply, np.power, np.fmod
max, min = np.maximum, np.minimum
eq, ne, lt, le, gt, ge = np.equal, np.not_equal, np.less, np.less_equal, np.greater, np.greater_equal
bitwise_and, bitwise_or, bitwise_xor, bitwise_not = np.bitwise_and, np.bitwise_or, np.bitwise_xor, np.bitwise_not
shift_left, shift_right_arithmetic = np.left_shift, np.right_shift
real, imag, conj = np.real, np.imag, np.conj
zeta = hurwitz_zeta


class RoundingMethod(Enum):
    """What `round` does with numbers halfway between two."""

    AWAY_FROM_ZERO = 0
    TO_NEAREST_EVEN = 1


def div(x: Any, y: Any) -> Any:
    """x / y; of integers, the quotient towards zero.

    Example:
        >>> import functrans as ft
        >>> int(ft.lax.div(-7, 2)), float(ft.lax.div(-7.0, 2.0))
        (-3, -3.5)
    """
    if any(typeof(as_operand(operand)).dtype.kind not in "iub" for operand in (x, y)):
        return np.divide(x, y)
    return np.floor_divide(np.subtract(x, np.fmod(x, y)), y)


def rsqrt(x: Any) -> Any:
    """1 / sqrt(x).

    Example:
        >>> import functrans as ft
        >>> float(ft.lax.rsqrt(4.0))
        0.5
    """
    return np.reciprocal(np.sqrt(x))


def integer_pow(x: Any, y: int) -> Any:
    """x**y for a Python integer y; negative ones too, of floats.

    Example:
        >>> import functrans as ft
        >>> float(ft.lax.integer_pow(2.0, -2))
        0.25
    """
    return np.power(x, y)


def clamp(min: Any, x: Any, max: Any) -> Any:
    """x, but at least min and at most max.

    Example:
        >>> import numpy as np, functrans as ft
        >>> ft.lax.clamp(0.0, np.array([-1.0, 0.5, 2.0]), 1.0)
        array([0. , 0.5, 1. ])
    """
    return np.clip(x, min, max)


def select(pred: Any, on_true: Any, on_false: Any) -> Any:
    """on_true where the condition holds, else on_false.

    Example:
        >>> import numpy as np, functrans as ft
        >>> ft.lax.select(np.array([True, False]), np.array([1, 2]), np.array([3, 4]))
        array([1, 4])
    """
    return np.where(pred, on_true, on_false)


def complex(x: Any, y: Any) -> Any:
    """x + i y, of two real numbers.

    Example:
        >>> import numpy as np, functrans as ft
        >>> ft.lax.complex(1.0, np.array([2.0, np.inf]))
        array([1. +2.j, 1.+infj])
    """
    return complex_(as_operand(x), as_operand(y))


def bitcast_convert_type(operand: Any, new_dtype: Any) -> Any:
    """The bits of integers or floats as numbers of another dtype; they have derivative zero.

    Of a narrower dtype there are several for each, along a new last axis; of a wider one the last axis is what makes
    one, lowest bits first.

    Raises:
        UnsupportedDtypeError: one of the dtypes is another kind of number.
        ShapeMismatchError: the last axis does not make up one number.

    Example:
        >>> import numpy as np, functrans as ft
        >>> bits = ft.lax.bitcast_convert_type(np.float32(1.0), np.int32)
        >>> hex(bits), ft.lax.bitcast_convert_type(bits, np.float32)
        ('0x3f800000', np.float32(1.0))
        >>> ft.lax.bitcast_convert_type(np.array([1.0]), np.uint32)
        array([[         0, 1072693248]], dtype=uint32)
    """
    x, dtype = as_operand(operand), np.dtype(new_dtype)
    bits.abstract_eval(typeof(x), dtype=dtype)  # where nothing is traced, nobody else looks at the types
    return x if typeof(x).dtype == dtype and not typeof(x).weak else bits(x, dtype=dtype)


@partial(custom_rule, nondiff_argnums=(1, 2))
def _rounded(x: Any, exponent_bits: int, mantissa_bits: int) -> Any:
    dtype, info = typeof(x).dtype, np.finfo(typeof(x).dtype)
    unsigned = np.dtype(f"u{dtype.itemsize}").type
    dropped = max(info.nmant - mantissa_bits, 0)
    if dropped:  # to the nearest, of two the even one; what is carried goes on into the exponent, up to infinity
        pattern = bits(x, dtype=np.dtype(unsigned))
        last = (pattern >> unsigned(dropped)) & unsigned(1)
        kept = (pattern + unsigned((1 << dropped - 1) - 1) + last) >> unsigned(dropped) << unsigned(dropped)
        x = np.where(np.isnan(x), x, bits(kept, dtype=dtype))
    if exponent_bits < info.nexp:
        most = (1 << exponent_bits - 1) - 1
        x = np.where(np.abs(x) >= dtype.type(2.0 ** (most + 1)), np.copysign(dtype.type(np.inf), x), x)
        x = np.where(np.abs(x) < dtype.type(2.0 ** (1 - most)), np.copysign(dtype.type(0), x), x)
    return x


@_rounded.def_jvp
def _rounded_jvp(exponent_bits: int, mantissa_bits: int, primals: Any, tangents: Any) -> tuple[Any, Any]:
    return tuple(_rounded(x, exponent_bits, mantissa_bits) for x in (*primals, *tangents))


_rounded.def_vjp(
    lambda x, exponent_bits, mantissa_bits: (_rounded(x, exponent_bits, mantissa_bits), None),
    lambda exponent_bits, mantissa_bits, _, cotangent: (_rounded(cotangent, exponent_bits, mantissa_bits),),
)


def reduce_precision(operand: Any, exponent_bits: int, mantissa_bits: int) -> Any:
    """Floats as a format with fewer bits has them, in their own dtype: rounded to the nearest, half-way cases to even.

    What the format has not becomes infinite or, subnormal numbers included, zero. Tangents and cotangents are rounded
    in the same way.

    Args:
        exponent_bits, mantissa_bits: of the format: 8 and 7 for bfloat16, 5 and 10 for float16.

    Raises:
        UnsupportedDtypeError: the operand is not real floats of 16, 32 or 64 bits.
        ValueError: there is no bit for the exponent, or a negative number for the mantissa.

    Example:
        >>> import numpy as np, functrans as ft
        >>> ft.lax.reduce_precision(np.array([np.pi, 1e-3, 1e6]), 5, 10)
        array([3.140625e+00, 1.000404e-03,          inf])
    """
    x = as_operand(operand)
    dtype = typeof(x).dtype
    if dtype.kind != "f":
        raise UnsupportedDtypeError(
            f"`reduce_precision` is not defined for operands of dtype {dtype.name}.",
            "It leaves out bits of real floats of 16, 32 or 64 bits.",
            "Convert the operand to one of these, or apply it to real and imaginary parts.",
        )
    if exponent_bits < 1 or mantissa_bits < 0:
        raise ValueError(f"reduce_precision to {exponent_bits} bits of exponent and {mantissa_bits} of mantissa")
    return _rounded(x, int(exponent_bits), int(mantissa_bits))


def population_count(x: Any) -> Any:
    """How many bits are one; of a negative number too, unlike `numpy.bitwise_count`, which takes its magnitude.

    Example:
        >>> import numpy as np, functrans as ft
        >>> ft.lax.population_count(np.array([3, -1], np.int8))
        array([2, 8], dtype=int8)
    """
    x = as_operand(x)
    dtype = typeof(x).dtype
    return cast(np.bitwise_count(cast(x, np.dtype(f"u{dtype.itemsize}"))), dtype)


def clz(x: Any) -> Any:
    """How many bits are zero before the first one, of integers.

    Example:
        >>> import numpy as np, functrans as ft
        >>> ft.lax.clz(np.array([1, 64, -1], np.int8))
        array([7, 1, 0], dtype=int8)
    """
    x = as_operand(x)
    dtype = typeof(x).dtype
    filled = cast(x, np.dtype(f"u{dtype.itemsize}"))
    for shift in (1, 2, 4, 8, 16, 32):  # fill with ones below the first one
        if shift < 8 * dtype.itemsize:
            filled = filled | (filled >> shift)
    return cast(8 * dtype.itemsize - np.bitwise_count(filled), dtype)


def shift_right_logical(x: Any, y: Any) -> Any:
    """Bits moved to the right, with zeros behind them, of negative numbers too.

    Example:
        >>> import numpy as np, functrans as ft
        >>> ft.lax.shift_right_logical(np.array([-1], np.int8), np.int8(1))
        array([127], dtype=int8)
    """
    x = as_operand(x)
    dtype = typeof(x).dtype
    unsigned = np.dtype(f"u{dtype.itemsize}")
    return cast(np.right_shift(cast(x, unsigned), cast(as_operand(y), unsigned)), dtype)


def round(x: Any, rounding_method: Any = RoundingMethod.AWAY_FROM_ZERO) -> Any:
    """The nearest whole number; of two as near, the one farther from zero, or the even one.

    Example:
        >>> import functrans as ft
        >>> float(ft.lax.round(2.5)), float(ft.lax.round(2.5, ft.lax.RoundingMethod.TO_NEAREST_EVEN))
        (3.0, 2.0)
    """
    x = as_operand(x)
    if RoundingMethod(rounding_method) is RoundingMethod.TO_NEAREST_EVEN:
        return np.rint(x)
    whole = np.trunc(x)
    return whole + np.where(np.abs(x - whole) >= 0.5, np.sign(x), 0.0)


def select_n(which: Any, *cases: Any) -> Any:
    """The case whose number `which` says for each element, or as a boolean.

    Example:
        >>> import numpy as np, functrans as ft
        >>> ft.lax.select_n(np.array([2, 0, 1]), *np.array([[1, 2, 3], [10, 20, 30], [100, 200, 300]]))
        array([100,   2,  30])
    """
    which = as_operand(which)
    if typeof(which).dtype.kind == "b":
        off, on = cases
        return np.where(which, on, off)
    found = cases[-1]
    for number, case in reversed(list(enumerate(cases[:-1]))):
        found = np.where(np.equal(which, number), case, found)
    return found


@gives_its_own
def convert_element_type(operand: Any, new_dtype: Any) -> Any:
    """The operand in another dtype, as `astype` does it.

    Example:
        >>> import numpy as np, functrans as ft
        >>> ft.lax.convert_element_type(np.array([1.7, -1.7]), np.int32)
        array([ 1, -1], dtype=int32)
    """
    return cast(as_operand(operand), np.dtype(new_dtype))


__all__ = [
    "RoundingMethod", "abs", "acos", "acosh", "add", "asin", "asinh", "atan", "atan2", "atanh", "bessel_i0e",
    "bessel_i1e", "betainc", "bitcast_convert_type", "bitwise_and", "bitwise_not", "bitwise_or", "bitwise_xor", "cbrt",
    "ceil", "clamp", "clz", "complex", "conj", "convert_element_type", "cos", "cosh", "digamma", "div", "eq", "erf",
    "erf_inv", "erfc", "exp", "exp2", "expm1", "floor", "ge", "gt", "igamma", "igammac", "imag", "integer_pow",
    "is_finite", "le", "lgamma", "log", "log1p", "logistic", "lt", "max", "min", "mul", "ne", "neg", "nextafter",
    "polygamma", "population_count", "pow", "real", "reciprocal", "reduce_precision", "rem", "round", "rsqrt", "select",
    "select_n", "shift_left", "shift_right_arithmetic", "shift_right_logical", "sign", "sin", "sinh", "sqrt", "square",
    "sub", "tan", "tanh", "zeta",
]  # fmt: skip
