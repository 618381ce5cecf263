"""Modified Bessel functions of the first kind, of low orders, in double precision.

Near zero they are the power series (DLMF 10.25.2), whose terms have one sign. Further out exp(-x) sqrt(x) I(x) hardly
bends: it is a polynomial in 1/x, our own Chebyshev fit to values with 40 digits, and orders above one follow from two
below them (DLMF 10.29.1), which loses nothing where x is large against the order.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import factorial
from typing import Final

from .conversions import convert
from .exponentials import exp
from .values import DOUBLE, Value, copysign, fabs, function, multiply_add, sqrt, where

#: From here on by the polynomials in s = 2 * NEAR / x - 1, lowest coefficient first; the series has so many terms.
NEAR: Final = 12.0
TERMS: Final = 27
FAR: Final = (
    (
        0.4010710650668474, 0.0021821681721169443, 5.598482533373159e-05, 2.7977070184646363e-06,
        2.1716050122285533e-07, 2.368844400321548e-08, 3.4434486217935077e-09, 6.479892583618068e-10,
        1.5615541118600655e-10, 4.8293985925127756e-11, 1.893626940779164e-11, 1.0531544604986383e-11,
        8.316966948343366e-12, 2.9130867981514337e-12, -4.3852607850047865e-12, -4.372419158419493e-12,
        4.5147125699689054e-13, 1.4850664639784878e-12, 4.2760884543426276e-14, -2.0400211606350316e-13,
    ),
    (
        0.39262449420411655, -0.0064054536034823745, -9.124755355084335e-05, -3.8279513545042006e-06,
        -2.7268454590786505e-07, -2.8253712654264322e-08, -3.967569946896576e-09, -7.281033440637782e-10,
        -1.7206902590826192e-10, -5.237271518928442e-11, -2.0270400221609483e-11, -1.1127268493962678e-11,
        -8.737310503567551e-12, -3.140772625353943e-12, 4.469879439007026e-12, 4.552179085421559e-12,
        -4.166503757553171e-13, -1.5253096114840098e-12, -5.3014234329760394e-14, 2.0742136134930828e-13,
    ),
)  # fmt: skip
#: Orders that are formulas.
MOST_ORDER: Final = 4


def of_order(name: str, formula: Callable[[int, Value], Value]) -> Callable[[Value, Value], Value]:
    """An operation of an order and a number: the formula for a low order that is known, else what the backend has."""

    def applied(order: Value, x: Value) -> Value:
        if name in x.code.built_in or order.number is None or order.number > MOST_ORDER:
            return function(name)(order, x)
        return formula(int(order.number), x)

    return applied


def of_known_order(name: str, order: int, formula: Callable[[int, Value], Value]) -> Callable[[Value], Value]:
    """An operation of a number alone, in the same way; computed in double precision."""

    def applied(x: Value) -> Value:
        if name in x.code.built_in:
            return x.operation(name)
        return convert(formula(order, convert(x, DOUBLE)), x.dtype)

    return applied


def modified_bessel(order: int, x: Value) -> Value:
    """NaN where x is infinite, as SciPy has it."""
    size = fabs(x)
    half = exp(0.5 * size)  # the whole overflows before the function does
    far = half * _far(order, size) * half
    return where(size < NEAR, _near(order, x), _signed(order, far, x))


def scaled_modified_bessel(order: int, x: Value) -> Value:
    """exp(-|x|) times the function."""
    size = fabs(x)
    near = exp(-size) * _near(order, x)
    return where(size < NEAR, near, _signed(order, _far(order, size), x))


def _signed(order: int, far: Value, x: Value) -> Value:
    return copysign(far, x) if order % 2 else far


def _near(order: int, x: Value) -> Value:
    """The power series of a number whose size is less than NEAR."""
    quarter = 0.25 * x * x
    series = _polynomial([1 / (factorial(k) * factorial(k + order)) for k in range(TERMS)], quarter)
    for _ in range(order // 2):
        series = series * quarter
    return series * (0.5 * x) if order % 2 else series


def _far(order: int, x: Value) -> Value:
    """exp(-x) times the function, of a number greater than NEAR."""
    inverse = 1.0 / x
    s, factor = 2.0 * NEAR * inverse - 1.0, sqrt(inverse)
    if order < 2:
        return _polynomial(FAR[order], s) * factor
    below, found = (_polynomial(coefficients, s) for coefficients in FAR)
    for k in range(1, order):
        below, found = found, below - 2.0 * k * inverse * found
    return found * factor


def _polynomial(coefficients: Sequence[float], x: Value) -> Value:
    total = x.like(coefficients[-1])
    for c in coefficients[-2::-1]:
        total = multiply_add(total, x, x.like(c))
    return total
