"""Division by a number that stays the same in a loop, for two multiplications and one more that is added to."""

from __future__ import annotations

from .values import Value, bits, fabs, fma, from_bits, where

#: Numbers of a magnitude beyond this or below its reciprocal have reciprocals with too few bits, or none.
FAR = 2.0**900
#: What brings them nearer.
NEARER = 2.0**200


class Divisor:
    """What division by a number in double precision needs.

    The reciprocal is kept as a sum: `near`, the number before it towards zero, and `rest`, which has the same sign. A
    quotient is then rounded once, from a value that is exact to 104 bits: it is the one that IEEE 754 asks for, unless
    the true one is that near to the middle between two numbers, and is off by a unit in the last place at most if it is
    so small (less than 2**-960) that `rest` has no room. As both parts have one sign, zeros keep theirs, and what is
    infinite stays so. (Compare Brisebarre, Muller and Raina, "Accelerating correctly rounded floating-point division
    when the divisor is known in advance", 2004.)
    """

    def __init__(self, d: Value):
        size = fabs(d)
        self.scale = where(size > FAR, 1 / NEARER, where(size < 1 / FAR, NEARER, d.like(1.0)))
        d = d * self.scale
        reciprocal = 1.0 / d
        before = from_bits(bits(reciprocal) - 1)
        is_zero = reciprocal == 0
        self.near = where(is_zero, reciprocal, before)
        self.rest = where(is_zero, reciprocal, fma(-before, d, 1.0) / d)

    def of(self, x: Value) -> Value:
        """x divided by the number."""
        x = x * self.scale
        return fma(x, self.near, x * self.rest)
