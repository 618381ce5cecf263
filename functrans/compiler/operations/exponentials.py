"""The exponential function and the hyperbolic tangent as formulas, quicker than the C library's vector versions."""

from __future__ import annotations

from collections.abc import Sequence
from math import log
from typing import Final, NamedTuple

from .values import DOUBLE, Value, bits, copysign, fabs, from_bits, multiply_add, where


class _Format(NamedTuple):
    """Numbers for one floating-point format.

    Attributes:
        limit: from here on the tangent rounds to one.
        least, low, most: here the exponential rounds to zero, is far from having fewer digits, and is infinite.
        rounder: what, added and subtracted again, rounds to an integer; its sum has the integer in its last bits.
        log2, log2_rest: the logarithm of two in two parts. Multiples of the first by any exponent are exact.
        bias, places: of the exponent, in the bits of a number.
        series: of (exp(r) - 1 - r) / r**2 by powers of r, for r between -log(2) / 2 and log(2) / 2.
    """

    limit: float
    least: float
    low: float
    most: float
    rounder: float
    log2: float
    log2_rest: float
    bias: int
    places: int
    series: Sequence[float]


#: Interpolated at Chebyshev's points, with relative errors of exp(r) - 1 of 6e-19 and 6e-10.
_DOUBLE: Final = _Format(
    20.0, -746.0, -700.0, 710.0, 1.5 * 2**52, 0.693147180559663, 2.8235290563031577e-13, 1023, 52, (
        0.5, 0.1666666666666667, 0.04166666666666667, 0.008333333333326136, 0.0013888888888883748,
        0.00019841269874820627, 2.4801587325547743e-05, 2.7557255400206422e-06, 2.75572736431103e-07,
        2.5105217004720745e-08, 2.0914686968086876e-09,
    ),
)  # fmt: skip
_SINGLE: Final = _Format(
    10.0, -104.0, -80.0, 89.0, 1.5 * 2**23, 0.693145751953125, 1.4286068203094173e-06, 127, 23, (
        0.500000001346581, 0.16666666681623232, 0.041666464925285904, 0.0083333109254809, 0.0013933649996309251,
        0.00019890990824673654,
    ),
)  # fmt: skip


def exp(x: Value) -> Value:
    """2**k exp(r), where x = k log(2) + r. For the largest and the least k, 2**k is no number, so it is two factors.

    The product with the first one is never subnormal, so only the second one rounds.
    """
    if "exp" in x.code.built_in:
        return x.operation("exp")
    own = _format(x)
    shifted, r = _reduced(where(x > own.most, own.most, where(x < own.least, own.least, x)), own)
    k, is_low, spare = bits(shifted), x < own.low, 2 * own.places
    first = from_bits((k + where(is_low, k.like(own.bias + spare), own.bias - 1)) << own.places)
    return (_expm1_of_rest(r, own) + 1.0) * first * where(is_low, x.like(2.0**-spare), 2.0)


def tanh(x: Value) -> Value:
    """e / (e + 2), where e = exp(2 |x|) - 1, with the sign of x."""
    if "tanh" in x.code.built_in:
        return x.operation("tanh")
    own = _format(x)
    size = fabs(x)
    e = _expm1(2.0 * where(size > own.limit, own.limit, size), own)
    return copysign(e / (e + 2.0), x)


def expm1_of_size(x: Value) -> Value:
    """exp(x) - 1, for numbers from 0 to 709."""
    return x.operation("expm1") if "exp" in x.code.built_in else _expm1(x, _format(x))


def _format(x: Value) -> _Format:
    return _DOUBLE if x.dtype == DOUBLE else _SINGLE


def _expm1(y: Value, own: _Format) -> Value:
    """exp(y) - 1 for numbers from 0 on: 2**k exp(r) - 1, where y = k log(2) + r and 2**k is a number."""
    shifted, r = _reduced(y, own)
    power = from_bits((bits(shifted) + own.bias) << own.places)
    return multiply_add(power, _expm1_of_rest(r, own), power - 1.0)


def _reduced(y: Value, own: _Format) -> tuple[Value, Value]:
    """k and r, where y = k log(2) + r, with k in the last bits of a number."""
    shifted = multiply_add(y, y.like(1 / log(2)), y.like(own.rounder))
    k = shifted - own.rounder
    r = multiply_add(k, y.like(-own.log2_rest), multiply_add(k, y.like(-own.log2), y))
    return shifted, r


def _expm1_of_rest(r: Value, own: _Format) -> Value:
    """exp(r) - 1, by two series in the square of r, which do not wait for each other."""
    square = r * r
    series = multiply_add(r, _polynomial(own.series[1::2], square), _polynomial(own.series[0::2], square))
    return multiply_add(square, series, r)


def _polynomial(coefficients: Sequence[float], x: Value) -> Value:
    total = x.like(coefficients[-1])
    for c in coefficients[-2::-1]:
        total = multiply_add(total, x, x.like(c))
    return total
