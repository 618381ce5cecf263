"""Operations on floats, one line each; half precision is computed in single, as NumPy does (HALVES: exceptions)."""

from __future__ import annotations

import operator as op
from collections.abc import Callable
from math import log as ln
from math import pi
from math import sqrt as root
from typing import Final

import numpy as np

from .bessel import modified_bessel, of_known_order, of_order, scaled_modified_bessel
from .conversions import convert
from .exponentials import exp, tanh
from .inverse_error import erfinv
from .values import (
    DOUBLE,
    LIBRARY,
    SINGLE,
    SPECIAL,
    SPECIAL_OF_TWO,
    Number,
    Value,
    bits,
    copysign,
    fabs,
    floor,
    fma,
    from_bits,
    function,
    is_infinite,
    is_nan,
    multiply_add,
    sqrt,
    usually,
    where,
)

Operation = Callable[..., Value]

exp2, expm1, log1p = map(function, ("exp2", "expm1", "log1p"))
log, log2, log10 = map(function, ("log", "log2", "log10"))
sin, cos, tan, sinh, cosh = map(function, ("sin", "cos", "tan", "sinh", "cosh"))
hypot, atan2, erf, erfc = map(function, ("hypot", "atan2", "erf", "erfc"))
_pow, fmod = function("pow"), function("fmod")

# ---- the neighbours of a number


def nextafter(x: Value, y: Value) -> Value:
    """The next number from x towards y."""
    i = bits(x)
    grows = (x < y) == (x > 0)
    stepped = where(x == 0, (bits(y) & np.iinfo(i.dtype).min) | 1, where(grows, i + 1, i - 1))
    return where(is_nan(x) | is_nan(y), x + y, where(x == y, y, from_bits(stepped)))


def _half_nextafter(x: Value, y: Value) -> Value:
    """Of equal numbers the first, that is, with the other sign of zero."""
    return where(x == y, x, nextafter(x, y))


def _spacing(x: Value) -> Value:
    """How far the next number of larger magnitude is."""
    i = bits(x)
    return from_bits(where(x == 0, i.like(1), i + 1)) - where(is_infinite(x), float("nan"), x)


def _half_spacing(x: Value) -> Value:
    """How far the next larger number is."""
    above = nextafter(x, x.like(float("inf")))
    return where(is_infinite(x), float("nan"), above - x)


def _bfloat16_nextafter(x: Value, y: Value) -> Value:
    """The next number from x towards y."""
    u, v, i = convert(x, SINGLE), convert(y, SINGLE), bits(x)
    grows = (u < v) == (u > 0)
    stepped = where(u == 0, (bits(y) & np.iinfo(i.dtype).min) | 1, where(grows, i + 1, i - 1))
    next_one = where(u == v, y, stepped.operation("reinterpret", dtype=x.dtype))
    return where(is_nan(u) | is_nan(v), convert(u + v, x.dtype), next_one)


def _bfloat16_spacing(x: Value) -> Value:
    """How far the next number of larger magnitude is, with the sign of x."""
    above, u = (bits(x) + 1).operation("reinterpret", dtype=x.dtype), convert(x, SINGLE)
    return convert(convert(above, SINGLE) - where(is_infinite(u), float("nan"), u), x.dtype)


def ldexp(x: Value, n: Value) -> Value:
    """x * 2**n, rounded once."""
    if x.dtype != DOUBLE:  # no float of less than double precision underflows there
        n = clamped(n, -400, 400)
        return convert(convert(x, DOUBLE) * _power_of_two(n), x.dtype)
    n = clamped(n, -2200, 2200)
    for _ in range(2):
        up, down = n > 1023, n < -1022
        x = x * where(up, x.like(2.0**1023), where(down, x.like(2.0**-969), 1.0))
        n = n - where(up, n.like(1023), where(down, n.like(-969), 0))
    return x * _power_of_two(clamped(n, -1022, 1023))


def clamped(n: Value, low: Number, high: Number) -> Value:
    return where(n < low, low, where(n > high, high, n))


def _power_of_two(n: Value) -> Value:
    """2.0**n for -1022 <= n <= 1023."""
    return from_bits((convert(n, np.dtype(np.int64)) + 1023) << 52)


def significand(x: Value) -> Value:
    """x / 2**n, for the n with which that is at least 1/2 and less than 1; zeros, infinities and NaN stay."""
    i = bits(_normal(x))
    return where(_has_exponent(x), from_bits((i & ~(0x7FF << 52)) | (0x3FE << 52)), x)


def binary_exponent(x: Value) -> Value:
    """That n; 0 for zeros, infinities and NaN."""
    exponent = ((bits(_normal(x)) >> 52) & 0x7FF) - 1022
    return where(_has_exponent(x), exponent - where(_is_subnormal(x), exponent.like(54), 0), 0)


def _is_subnormal(x: Value) -> Value:
    return fabs(x) < 2.0**-1022


def _normal(x: Value) -> Value:
    """x, multiplied by 2**54 if it has fewer digits than others."""
    return where(_is_subnormal(x), x * 2.0**54, x)


def _has_exponent(x: Value) -> Value:
    return (x != 0) & (fabs(x) < float("inf"))


# ---- remainders


def remainder(x: Value, y: Value) -> Value:
    """The remainder with the sign of y: npy_divmod of NumPy."""
    r = fmod(x, y)
    moved = where((y < 0) != (r < 0), r + y, r)
    return where(y == 0, r, where(r == 0, copysign(0.0, y), moved))


def floor_divide(x: Value, y: Value) -> Value:
    """The quotient that goes with `remainder`: npy_divmod of NumPy."""
    r = fmod(x, y)
    other_side = (r != 0) & ((y < 0) != (r < 0))
    exact = (x - r) / y
    exact = where(other_side, exact - 1.0, exact)
    down = floor(exact)
    nearest = where(exact - down > 0.5, down + 1.0, down)
    plain = x / y
    return where(y == 0, plain, where(exact == 0, copysign(0.0, plain), nearest))


# ---- powers

#: Exponents for which NumPy computes something simpler than a power, and products with less error than its 4 ulp.
_POWERS: Final[dict[float, Operation]] = {
    0.0: lambda x: x.like(1.0), 1.0: lambda x: x, 2.0: lambda x: x * x, 3.0: lambda x: x * x * x,
    4.0: lambda x: (x * x) * (x * x), -1.0: lambda x: 1.0 / x, 0.5: sqrt,
}  # fmt: skip
#: Exponents for which products take less time than a power, which takes long for what is negative.
_WORTH_PRODUCTS: Final = range(5, 65)


def power(x: Value, y: Value) -> Value:
    """x**y."""
    if y.number is not None and float(y.number) in _POWERS:
        return _POWERS[float(y.number)](x)
    if y.number in _WORTH_PRODUCTS:
        return _whole_power(x, int(y.number))
    return exp2(y) if x.number == 2 else _pow(x, y)


def float_power(x: Value, y: Value) -> Value:
    """x**y, for 0.5 too: only for powers NumPy takes the root, which is NaN of -inf and -0.0 of -0.0."""
    if y.number == 0.5:
        return where(x == -float("inf"), float("inf"), sqrt(x) + 0.0)
    return power(x, y)


def _whole_power(x: Value, n: int) -> Value:
    """x**n by squares and products, whose rounding errors are carried along: within an ulp."""
    high, low = x, x.like(0.0)
    for digit in f"{n:b}"[1:]:
        square = high * high
        high, low = square, fma(high + high, low, fma(high, high, -square))
        if digit == "1":
            product = high * x
            high, low = product, fma(low, x, fma(high, x, -product))
    is_plain = (fabs(high) < float("inf")) & (high != 0)  # infinities have no errors, and zeros would lose their sign
    return where(is_plain, high + low, high)


# ---- exponentials


def _logaddexp(exponential: Operation, logarithm: Operation, of_two: float) -> Operation:
    """log(exp(x) + exp(y)) to some base; of_two is the logarithm of two."""

    def applied(x: Value, y: Value) -> Value:
        apart = x - y
        rest = logarithm(exponential(-fabs(apart)))
        total = where(apart > 0, x, y) + rest
        return where(x == y, x + of_two, where(is_nan(apart), apart, total))

    return applied


def _log2_1p(x: Value) -> Value:
    return log1p(x) * (1 / ln(2))


def _expit(x: Value) -> Value:
    """1 / (1 + exp(-x)), by what does not overflow."""
    small = exp(-fabs(x))
    return where(x < 0, small, 1.0) / (1.0 + small)


def _log_expit(x: Value) -> Value:
    rest = log1p(exp(-fabs(x)))
    return where(x < 0, x - rest, -rest)


def _logit(x: Value) -> Value:
    """log(x / (1 - x)); near 1/2 by the difference of logarithms that are small there."""
    apart = 2.0 * (x - 0.5)
    is_near = (x >= 0.3) & (x <= 0.65)
    return where(is_near, log1p(apart) - log1p(-apart), log(x / (1.0 - x)))


def _xlog(logarithm: Operation) -> Operation:
    def applied(x: Value, y: Value) -> Value:
        return where((x == 0) & (y == y), 0.0, x * logarithm(y))

    return applied


def _entr(x: Value) -> Value:
    return where(x > 0, -x * log(x), where(x < 0, float("-inf"), fabs(x)))


def _ndtr(x: Value) -> Value:
    """The normal distribution function, by the function that is not near one.

    In the tail the rounding error of x / sqrt(2), times the logarithmic derivative of erfc, counts.
    """
    number = x.dtype.type
    factor = float(number(root(0.5)))
    factor_low = float(number(np.longdouble(0.5) ** 0.5 - factor))
    x = clamped(x, -100.0, 100.0)  # beyond is nothing
    t = x * factor
    z = fabs(t)
    low = fma(fabs(x), factor, -z) + fabs(x) * factor_low
    tail = 0.5 * erfc(z)
    tail = tail - tail * (low * (2.0 * z + 0.8 / z))
    return where(z < 0.7, 0.5 + 0.5 * erf(t), where(t > 0, 1.0 - tail, tail))


def _sinc(x: Value) -> Value:
    w = pi * where(x == 0, 1e-20, x)
    return sin(w) / w


# ---- signs and extremes


def _sign(x: Value) -> Value:
    return where(x > 0, 1.0, where(x < 0, -1.0, where(x == 0, 0.0, x)))


def heaviside(x: Value, at_zero: Value) -> Value:
    return where(x == 0, at_zero, where(x < 0, 0.0, where(x > 0, 1.0, x)))


def _extreme(is_beyond: Operation) -> Operation:
    """Of x and y the one that is beyond the other, or NaN.

    Machines have an instruction for the inner choice, which gives y if that is NaN. In a loop each step may wait for
    that of the step before; it does not for whether x is a number.
    """
    return lambda x, y: usually(x == x, where(is_beyond(x, y), x, y), x)


def _extreme_number(is_beyond: Operation) -> Operation:
    """Of x and y the one that is beyond the other, or no NaN."""
    return lambda x, y: where(is_beyond(x, y) | is_nan(y), x, y)


def scale(x: Value, c: Value) -> Value:
    """The product; zero in place of NaN where x is zero."""
    y = x * c
    return where(is_nan(y) & (x == 0), 0.0, y)


def scale_both(x: Value, c: Value) -> Value:
    """The product; zero in place of NaN where a factor is zero."""
    y = x * c
    return where(is_nan(y) & ((x == 0) | (c == 0)), 0.0, y)


def _scaled(numerator: float, denominator: float) -> Operation:
    """The multiple by a quotient, which NumPy computes in the precision of the operand."""

    def applied(x: Value) -> Value:
        t = x.dtype.type
        return x * float(t(numerator) / t(denominator))

    return applied


#: Comparisons, and what is the same for numbers of any kind.
COMPARISONS: Final[dict[str, Operation]] = {
    "equal": op.eq, "not_equal": op.ne, "less": op.lt, "less_equal": op.le, "greater": op.gt, "greater_equal": op.ge,
}  # fmt: skip
LOGIC: Final[dict[str, Operation]] = {
    "logical_and": lambda x, y: (x != 0) & (y != 0), "logical_or": lambda x, y: (x != 0) | (y != 0),
    "logical_xor": lambda x, y: (x != 0) ^ (y != 0), "logical_not": lambda x: x == 0,
}  # fmt: skip

REALS: Final[dict[str, Operation]] = {
    **COMPARISONS,
    **LOGIC,
    # arithmetic
    "add": op.add,
    "subtract": op.sub,
    "multiply": op.mul,
    "multiply_add": multiply_add,
    "divide": op.truediv,
    "negative": op.neg,
    "positive": lambda x: x,
    "reciprocal": lambda x: 1.0 / x,
    "square": lambda x: x * x,
    "sqrt": sqrt,
    "cbrt": function("cbrt"),
    "power": power,
    "float_power": float_power,
    "hypot": hypot,
    "absolute": fabs,
    "fabs": fabs,
    "fmod": fmod,
    "remainder": remainder,
    "floor_divide": floor_divide,
    "scale": scale,
    "scale_both": scale_both,
    # signs, roundings and neighbours
    "sign": _sign,
    "signbit": lambda x: bits(x) < 0,
    "copysign": copysign,
    "heaviside": heaviside,
    "maximum": _extreme(op.gt),
    "minimum": _extreme(op.lt),
    "fmax": _extreme_number(op.gt),
    "fmin": _extreme_number(op.lt),
    "floor": floor,
    "ceil": function("ceil"),
    "trunc": function("trunc"),
    "rint": function("rint"),
    "isnan": is_nan,
    "isinf": is_infinite,
    "isfinite": lambda x: fabs(x) < float("inf"),
    "nextafter": nextafter,
    "spacing": _spacing,
    "bits_of_number": bits,
    "ldexp": ldexp,
    "significand": significand,
    "binary_exponent": binary_exponent,
    # parts, as of complex numbers
    "real": lambda x: x,
    "imag": lambda x: x.like(0.0),
    "conjugate": lambda x: x,
    # exponentials and logarithms
    "exp": exp,
    "exp2": exp2,
    "expm1": expm1,
    "log": log,
    "log2": log2,
    "log10": log10,
    "log1p": log1p,
    "logaddexp": _logaddexp(exp, log1p, ln(2)),
    "logaddexp2": _logaddexp(exp2, _log2_1p, 1.0),
    # trigonometry
    "sin": sin,
    "cos": cos,
    "tan": tan,
    "arcsin": function("asin"),
    "arccos": function("acos"),
    "arctan": function("atan"),
    "arctan2": atan2,
    "sinh": sinh,
    "cosh": cosh,
    "tanh": tanh,
    "arcsinh": function("asinh"),
    "arccosh": function("acosh"),
    "arctanh": function("atanh"),
    "deg2rad": _scaled(pi, 180),
    "radians": _scaled(pi, 180),
    "rad2deg": _scaled(180, pi),
    "degrees": _scaled(180, pi),
    "sinc": _sinc,
    # special functions
    "erfinv": erfinv,
    "erf": erf,
    "erfc": erfc,
    "ndtr": _ndtr,
    "expit": _expit,
    "log_expit": _log_expit,
    "logit": _logit,
    "entr": _entr,
    "xlogy": _xlog(log),
    "xlog1py": _xlog(log1p),
    **{name: function(name) for name in (*SPECIAL, *SPECIAL_OF_TWO, *LIBRARY)},
    "i0": of_known_order("i0", 0, modified_bessel),
    "i1": of_known_order("i1", 1, modified_bessel),
    "i0e": of_known_order("i0e", 0, scaled_modified_bessel),
    "i1e": of_known_order("i1e", 1, scaled_modified_bessel),
    "modified_bessel": of_order("modified_bessel", modified_bessel),
    "scaled_modified_bessel": of_order("scaled_modified_bessel", scaled_modified_bessel),
}

#: What ml_dtypes does with the bits of bfloat16.
BFLOATS: Final[dict[str, Operation]] = {"nextafter": _bfloat16_nextafter, "spacing": _bfloat16_spacing}
#: What NumPy does with the bits of half precision.
HALVES: Final[dict[str, Operation]] = {
    "nextafter": _half_nextafter,
    "spacing": _half_spacing,
    "bits_of_number": bits,
    "maximum": _extreme(op.ge),
    "minimum": _extreme(op.le),
    "fmax": _extreme_number(op.ge),
    "fmin": _extreme_number(op.le),
}
