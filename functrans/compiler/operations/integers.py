"""Operations on integers and booleans; as in NumPy a division by zero gives zero, and large shifts shift all out."""

from __future__ import annotations

import operator as op
from collections.abc import Callable
from typing import Final

import numpy as np

from .conversions import convert
from .reals import COMPARISONS, LOGIC
from .values import DOUBLE, Value, from_bits, function, quotient, where

Operation = Callable[..., Value]

gcd, integer_power = function("gcd"), function("integer_power")


def _absolute(x: Value) -> Value:
    """The least number stays what it is."""
    return where(x < 0, -x, x) if x.dtype.kind == "i" else x


def _unsigned(x: Value) -> Value:
    """The absolute value, which an unsigned type always has room for."""
    return convert(_absolute(x), np.dtype(f"u{x.dtype.itemsize}"))


def _divided(x: Value, y: Value) -> tuple[Value, Value]:
    """Quotient towards zero and remainder; x and 0 where that is undefined."""
    undefined = y == 0
    if x.dtype.kind == "i":
        undefined = undefined | ((y == -1) & (x == int(np.iinfo(x.dtype).min)))
    q = quotient(x, where(undefined, 1, y))
    return q, x - q * where(undefined, 1, y)


def _fmod(x: Value, y: Value) -> Value:
    return _divided(x, y)[1]


def _floor_divide(x: Value, y: Value) -> Value:
    q, r = _divided(x, y)
    if x.dtype.kind == "i":
        q = where((r != 0) & ((r < 0) != (y < 0)), q - 1, q)
    return where(y == 0, 0, q)


def _remainder(x: Value, y: Value) -> Value:
    r = _divided(x, y)[1]
    return where((r != 0) & ((r < 0) != (y < 0)), r + y, r) if x.dtype.kind == "i" else r


def _left_shift(x: Value, n: Value) -> Value:
    fits = _fits(n)
    return where(fits, x << where(fits, n, 0), 0)


def _right_shift(x: Value, n: Value) -> Value:
    most = 8 * x.dtype.itemsize - 1
    return x >> where(_fits(n), n, most) if x.dtype.kind == "i" else where(_fits(n), x >> where(_fits(n), n, 0), 0)


def _fits(n: Value) -> Value:
    """Whether there are that many bits to shift."""
    return (n >= 0) & (n < 8 * n.dtype.itemsize)


def power(x: Value, n: Value) -> Value:
    """x**n for an n that is not negative."""
    if n.number is None or n.number > 64:
        return integer_power(x, n)
    left, square, product = int(n.number), x, x.like(1)
    while left:
        product = product * square if left % 2 else product
        square, left = square * square, left // 2
    return product


def _gcd(x: Value, y: Value) -> Value:
    return convert(gcd(_unsigned(x), _unsigned(y)), x.dtype)


def _lcm(x: Value, y: Value) -> Value:
    """Zero where a number is."""
    a, b = _unsigned(x), _unsigned(y)
    divisor = gcd(a, b)
    return convert(quotient(a, where(divisor == 0, 1, divisor)) * b, x.dtype)


def _bit_count(x: Value) -> Value:
    """The ones among the bits of the absolute value."""
    return _unsigned(x).operation("count_ones")


def _reciprocal(x: Value) -> Value:
    return convert(1.0 / convert(x, DOUBLE), x.dtype)


#: What is plain of numbers that have neither a fraction nor an imaginary part.
_WHOLE: Final[dict[str, Operation]] = {
    "floor": lambda x: x,
    "ceil": lambda x: x,
    "trunc": lambda x: x,
    "isnan": lambda x: x != x,
    "isinf": lambda x: x != x,
    "isfinite": lambda x: x == x,
    "real": lambda x: x,
}

INTEGERS: Final[dict[str, Operation]] = {
    **COMPARISONS,
    **LOGIC,
    "add": op.add,
    "subtract": op.sub,
    "multiply": op.mul,
    "scale": op.mul,
    "scale_both": op.mul,
    "negative": op.neg,
    "positive": lambda x: x,
    "square": lambda x: x * x,
    "power": power,
    "integer_power": integer_power,
    "absolute": _absolute,
    "sign": lambda x: where(x > 0, 1, where(x < 0, -1, x.like(0))) if x.dtype.kind == "i" else where(x > 0, 1, x),
    "reciprocal": _reciprocal,
    "floor_divide": _floor_divide,
    "remainder": _remainder,
    "fmod": _fmod,
    "bitwise_and": op.and_,
    "bitwise_or": op.or_,
    "bitwise_xor": op.xor,
    "invert": op.invert,
    "left_shift": _left_shift,
    "right_shift": _right_shift,
    "bitwise_count": _bit_count,
    "number_of_bits": from_bits,
    "gcd": _gcd,
    "lcm": _lcm,
    "maximum": lambda x, y: where(x >= y, x, y),
    "minimum": lambda x, y: where(x <= y, x, y),
    "fmax": lambda x, y: where(x >= y, x, y),
    "fmin": lambda x, y: where(x <= y, x, y),
    **_WHOLE,
    "imag": lambda x: x.like(0),
    "conjugate": lambda x: x,
}

BOOLEANS: Final[dict[str, Operation]] = {
    **COMPARISONS,
    "add": op.or_,
    "multiply": op.and_,
    "scale": op.and_,
    "scale_both": op.and_,
    "absolute": lambda x: x,
    "logical_and": op.and_,
    "logical_or": op.or_,
    "logical_xor": op.xor,
    "logical_not": op.invert,
    "bitwise_and": op.and_,
    "bitwise_or": op.or_,
    "bitwise_xor": op.xor,
    "invert": op.invert,
    "maximum": op.or_,
    "minimum": op.and_,
    "fmax": op.or_,
    "fmin": op.and_,
    **_WHOLE,
    "imag": lambda x: x.like(False),
}
