"""Powers with constant exponents, by products, quotients and roots.

The error in units of the last place is less than the number of roundings: n - 1 for x**n, n for x**-n, and two more for
half-integer powers; the largest exponents are chosen such that it stays below 4. Special values come out as those of
`power`: NaN, infinities and zeros of either sign; what overflows or underflows on the way does so in the end.
Half-integer powers are those of the magnitude, unless the operand is known to be neither negative nor -0.0, and NaN
between -inf and zero: (-inf)**0.5 is inf, and the root of -inf is NaN.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...core.jaxpr import Atom, Eqn
from ...primitives import elementwise as e
from ...primitives.selection import select
from .rewriting import Rewriter, Rules

#: The exponents that are worth products, of integers and of floats.
MOST_OF_INTEGERS = 16
LEAST, MOST = -5, 6
#: The largest half-integer exponent in double and single precision: above it a product may overflow on the way to a
#: power that is small but not zero.
MOST_HALF = {8: 3.5, 4: 2.5}


def base_and_exponent(rewriter: Rewriter, eqn: Eqn) -> tuple[Atom, Any] | None:
    """x and a constant n of x**n, where x has the dtype of the result."""
    x, y = eqn.inputs
    value = rewriter.constant(y)
    if value is None or x.aval.dtype != eqn.outputs[0].aval.dtype or y.aval.dtype.kind == "c":
        return None
    return x, value


def trivial_power(rewriter: Rewriter, eqn: Eqn) -> Atom | None:
    """x**0 is 1, of NaN too; x**1 is x."""
    found = base_and_exponent(rewriter, eqn)
    if found is None:
        return None
    x, n = found
    if n == 0:
        return rewriter.filled(1, eqn.outputs[0].aval)
    return x if n == 1 and x.aval.dtype.kind != "c" else None  # complex ones lose the signs of zeros


def integer_power(rewriter: Rewriter, eqn: Eqn) -> Atom | None:
    """Powers of integers are products, modulo what the dtype holds."""
    found = base_and_exponent(rewriter, eqn)
    if found is None or eqn.outputs[0].aval.dtype.kind not in "iu":
        return None
    x, n = found
    return product_of(rewriter, x, int(n)) if n == int(n) and 2 <= n <= MOST_OF_INTEGERS else None


def root_of_array(rewriter: Rewriter, eqn: Eqn) -> Atom | None:
    """For an array and a scalar exponent NumPy itself takes the square root, of -inf and -0.0 too."""
    found = base_and_exponent(rewriter, eqn)
    if found is None or found[1] != 0.5 or eqn.inputs[1].aval.shape or not found[0].aval.shape:
        return None
    return rewriter.emit(e.sqrt, found[0]) if found[0].aval.dtype.kind == "f" else None


def float_power(rewriter: Rewriter, eqn: Eqn) -> Atom | None:
    """Integer powers by products, half-integer ones by a root and products."""
    found = base_and_exponent(rewriter, eqn)
    dtype = eqn.outputs[0].aval.dtype
    if found is None or dtype.kind != "f":
        return None
    x, n = found
    if dtype.itemsize == 2:  # NumPy computes powers of half precision in single, and rounds once
        return rewriter.emit(e.square, x) if n == 2 else rewriter.emit(e.reciprocal, x) if n == -1 else None
    whole, doubled = int_or_none(n), int_or_none(2 * n)
    if whole is not None:
        if not LEAST <= whole <= MOST:
            return None
        return product_of(rewriter, x, whole) if whole > 0 else quotient_of(rewriter, x, -whole)
    if doubled is None or abs(n) > MOST_HALF[dtype.itemsize]:
        return None
    if x in rewriter.nonnegative:
        return half_power(rewriter, x, doubled)
    if x.aval.weak:  # Python's powers of negative numbers are complex
        return None
    magnitude = half_power(rewriter, rewriter.emit(e.absolute, x), doubled)
    below, above = rewriter.filled(0, x.aval), rewriter.filled(-np.inf, x.aval)
    is_none = rewriter.emit(e.logical_and, rewriter.emit(e.less, x, below), rewriter.emit(e.greater, x, above))
    return rewriter.emit(select, is_none, rewriter.filled(np.nan, x.aval), magnitude)


def half_power(rewriter: Rewriter, x: Atom, doubled: int) -> Atom:
    """x**(doubled / 2) for an odd integer and what is neither negative nor -0.0."""
    root, m = rewriter.emit(e.sqrt, x), abs(doubled) // 2
    if doubled > 0:
        return rewriter.emit(e.multiply, product_of(rewriter, x, m), root) if m else root
    inverse = inverse_of(rewriter, root)
    return rewriter.emit(e.divide, inverse, product_of(rewriter, x, m)) if m else inverse


def quotient_of(rewriter: Rewriter, x: Atom, n: int) -> Atom:
    """x**-n for n >= 1. As 1 / x**n it would be zero where x**n overflows, and x**-n is small but not zero."""
    if n == 1:
        return inverse_of(rewriter, x)
    return rewriter.emit(e.divide, inverse_of(rewriter, product_of(rewriter, x, n - 1)), x)


def int_or_none(value: Any) -> int | None:
    """A number as an integer, if it is one."""
    try:
        return int(value) if int(value) == value else None
    except (OverflowError, ValueError):
        return None


def product_of(rewriter: Rewriter, x: Atom, n: int) -> Atom:
    """x**n for n >= 1, by squaring."""
    if n == 1:
        return x
    half = product_of(rewriter, x, n // 2)
    # A Python scalar stays one under the operators of Python only.
    even = rewriter.emit(e.multiply, half, half) if half.aval.weak else rewriter.emit(e.square, half)
    return even if n % 2 == 0 else rewriter.emit(e.multiply, even, x)


def inverse_of(rewriter: Rewriter, x: Atom) -> Atom:
    """1 / x."""
    return rewriter.emit(e.divide, 1.0, x) if x.aval.weak else rewriter.emit(e.reciprocal, x)


EXACT_POWERS: Rules = {"power": (trivial_power, integer_power, root_of_array)}
POWERS: Rules = {"power": (float_power,)}
