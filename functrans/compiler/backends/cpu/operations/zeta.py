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
    makes no difference. What the formula leaves out is none either, from q + k = 8 + x on, or after sixteen terms."""
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
    while a < 10.0 or (k < 16 and a < 8.0 + x):
        total += functrans_inverse_power(a, x)
        a += 1.0
        k += 1
    last = functrans_inverse_power(a, x)
    total += last * (a / (x - 1.0) + 0.5)
    power, rising, inverse_square = last / a, x, 1.0 / (a * a)
    for j in range(COUNT):
        part = float64(COEFFICIENTS[j:]) * rising * power
        if not absolute(part) > 1.0e-18 * absolute(total):  # further on there may be products of huge and no numbers
            return total
        total += part
        twice = 2.0 * float(j + 1)
        rising *= (x + twice - 1.0) * (x + twice)
        power *= inverse_square
    return total


@pure
def functrans_inverse_power(a: float, x: float) -> float:
    """a^-x, for the small whole numbers that derivatives of digamma need by products."""
    if x >= 8.0 or x != floor(x):
        return a ** (-x)
    product, square, left = 1.0, a * a, x
    if left >= 4.0:
        product, left = square * square, left - 4.0
    if left >= 2.0:
        product, left = product * square, left - 2.0
    if left >= 1.0:
        product *= a
    return 1.0 / product
