"""Hurwitz's zeta function, which SciPy has for Python only, as a low-level function."""

from __future__ import annotations

from math import inf, nan

from .....primitives.zeta import BERNOULLI
from ..lowlevel.language import absolute, address, float64, floor, pure

INFINITE, UNDEFINED = inf, nan
COEFFICIENTS = address("bernoulli")
COUNT = len(BERNOULLI)


@pure
def functrans_hurwitz_zeta(x: float, q: float) -> float:
    """The sum of (q + k)^-x: its first terms, then Euler and Maclaurin's formula (DLMF 25.11.5), until a part of that
    comes to nothing."""
    if x == 1.0:
        return INFINITE
    if x < 1.0:
        return UNDEFINED
    if not q > 0.0:
        if q == floor(q):
            return INFINITE
        if x != floor(x):
            return UNDEFINED
    if q > 1.0e8:
        return (1.0 / (x - 1.0) + 0.5 / q) * q ** (1.0 - x)
    k, a, total = 0, q, 0.0
    while k < 16 or a < 10.0:
        total += a ** (-x)
        a += 1.0
        k += 1
    last = a ** (-x)
    total += last * (a / (x - 1.0) + 0.5)
    power, rising, square = last / a, x, a * a
    for j in range(COUNT):
        part = float64(COEFFICIENTS[j:]) * rising * power
        if not absolute(part) > 0.0:  # the product of large and small numbers would be no number in the end
            return total
        total += part
        twice = 2.0 * float(j + 1)
        rising *= (x + twice - 1.0) * (x + twice)
        power = power / square
    return total
