"""Scalars of a kernel, with the operators of Python: operations are written as the formulas that they are.

What an operator comes to is up to the backend: a formula on `Value` writes text through the `Code` of a backend.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

import numpy as np

BOOL: Final = np.dtype(np.bool_)
HALF, SINGLE, DOUBLE = (np.dtype(t) for t in (np.float16, np.float32, np.float64))
Number = bool | int | float


class Code(Protocol):
    """Where a backend writes the operations of a kernel.

    `operation` takes, and returns what stands for the result of:

    * add, subtract, multiply, negate; divide of floats; quotient of integers, towards zero and undefined where there is
      none; minus and plus wrap around;
    * and, or, xor of integers and booleans; shift_left, shift_right by less than the number of bits; count_ones;
    * less, less_equal, greater, greater_equal, equal, not_equal, of which only the last holds for NaN; is_nan;
    * select: the second operand where the first, a boolean, holds, else the third; usually: the same of a boolean that
      hardly ever fails, so that nobody need wait for it;
    * absolute, square_root, floor, ceil, trunc, rint (to even), copysign, and fma, a product and sum rounded once;
    * multiply_add, a product and sum rounded once or twice, whichever is quicker;
    * convert to another dtype, where the number is in range; reinterpret the bits in a dtype of the same size;
    * fmod, the remainder with the sign of the first, of floats; gcd, of unsigned integers; integer_power, modulo the
      size of the type, of integers with an exponent not negative: functions of two operands with branches;
    * functions of C by their names for double precision, those of `SPECIAL`, `SPECIAL_OF_TWO` and, if it has them,
      `LIBRARY`.

    Attributes:
        built_in: functions with a formula here that the backend has a quicker one for.
    """

    built_in: frozenset[str]

    def literal(self, number: Any, dtype: np.dtype[Any]) -> str:
        """A number as part of the text."""
        ...

    def operation(self, name: str, operands: Sequence[Value], dtype: np.dtype[Any]) -> str:
        """The register of a result."""
        ...

    def written(self, applied: Any, operands: Sequence[str]) -> str:
        """The register of the result of a function that a user wrote (primitives/scalar_functions.py)."""
        ...

    def parts(self, register: str, dtype: np.dtype[Any]) -> tuple[str, str]:
        """The registers of the parts of a complex number."""
        ...

    def whole(self, re: Value, im: Value) -> str:
        """The register of a complex number with these parts."""
        ...

    def complex_function(self, name: str, z: Any) -> Any:
        """A function of `COMPLEX_LIBRARY` of a complex number (`complex_values.Complex`)."""
        ...


#: Functions that the C library has not, by the names of primitives.
SPECIAL: Final = (
    "erfcinv", "ndtri", "log_ndtr", "lgamma", "digamma", "i0", "i1", "i0e", "i1e",
)  # fmt: skip
#: Such functions of two numbers: Hurwitz's zeta function, and Bessel functions of the first kind, of an order (a whole
#: number, not negative) and a number, the modified ones with or without a factor of exp(-|x|).
SPECIAL_OF_TWO: Final = ("hurwitz_zeta", "bessel_of_order", "modified_bessel", "scaled_modified_bessel")
#: Functions that some backends have in a library, by the names of primitives: of one real number, or of several.
LIBRARY: Final = (
    "erfcx", "gamma", "loggamma", "gammasgn", "beta", "betaln", "poch", "gammainc", "gammaincc", "betainc", "exp1",
    "expi", "rel_entr", "kl_div", "j0", "j1", "y0", "y1", "k0", "k1", "k0e", "k1e",
    "gammaincinv", "gammainccinv", "betaincinv", "hyp1f1", "hyp2f1", "exprel", "boxcox", "boxcox1p", "spence", "dawsn",
    "ellipk", "ellipe", "expn", "owens_t", "binom", "stdtr", "stdtrit", "sine_integral", "cosine_integral", "fresnel_s",
    "fresnel_c",
)  # fmt: skip
#: Functions of complex numbers that some backends have in a library.
COMPLEX_LIBRARY: Final = (
    "erf", "erfc", "erfcx", "wofz", "dawsn", "log_ndtr", "gamma", "loggamma", "digamma", "exp1", "expi", "spence",
    "sine_integral", "cosine_integral", "fresnel_s", "fresnel_c",
)  # fmt: skip


class Value:
    """A scalar: its register or literal, and its dtype. Python numbers take the dtype of what they meet.

    Attributes:
        number: what it is, where that is known.
    """

    __hash__ = None
    __slots__ = ("code", "dtype", "number", "register")

    def __init__(self, code: Code, dtype: np.dtype[Any], register: str, number: Any = None):
        self.code = code
        self.dtype = dtype
        self.register = register
        self.number = number

    def operation(self, name: str, *others: Value | Number, dtype: np.dtype[Any] | None = None) -> Value:
        """The result of an operation on this value and others, by default in the dtype of this one."""
        dtype = dtype or self.dtype
        return Value(self.code, dtype, self.code.operation(name, [self, *map(self.like, others)], dtype))

    def like(self, other: Value | Number) -> Value:
        """A Python number as a value of the dtype of this one."""
        if isinstance(other, Value):
            return other
        return Value(self.code, self.dtype, self.code.literal(other, self.dtype), other)

    def __add__(self, other: Value | Number) -> Value:
        return self.operation("add", other)

    def __sub__(self, other: Value | Number) -> Value:
        return self.operation("subtract", other)

    def __mul__(self, other: Value | Number) -> Value:
        return self.operation("multiply", other)

    def __truediv__(self, other: Value | Number) -> Value:
        return self.operation("divide", other)

    def __radd__(self, other: Number) -> Value:
        return self.like(other) + self

    def __rsub__(self, other: Number) -> Value:
        return self.like(other) - self

    def __rmul__(self, other: Number) -> Value:
        return self.like(other) * self

    def __rtruediv__(self, other: Number) -> Value:
        return self.like(other) / self

    def __neg__(self) -> Value:
        return self.operation("negate")

    def __invert__(self) -> Value:
        return self ^ (True if self.dtype.kind == "b" else -1)

    def __and__(self, other: Value | Number) -> Value:
        return self.operation("and", other)

    def __or__(self, other: Value | Number) -> Value:
        return self.operation("or", other)

    def __xor__(self, other: Value | Number) -> Value:
        return self.operation("xor", other)

    def __lshift__(self, other: Value | Number) -> Value:
        """Undefined unless the other is less than the number of bits."""
        return self.operation("shift_left", other)

    def __rshift__(self, other: Value | Number) -> Value:
        """Undefined unless the other is less than the number of bits."""
        return self.operation("shift_right", other)

    def __lt__(self, other: Value | Number) -> Value:
        return self.operation("less", other, dtype=BOOL)

    def __le__(self, other: Value | Number) -> Value:
        return self.operation("less_equal", other, dtype=BOOL)

    def __gt__(self, other: Value | Number) -> Value:
        return self.operation("greater", other, dtype=BOOL)

    def __ge__(self, other: Value | Number) -> Value:
        return self.operation("greater_equal", other, dtype=BOOL)

    def __eq__(self, other: Value | Number) -> Value:
        return self.operation("equal", other, dtype=BOOL)

    def __ne__(self, other: Value | Number) -> Value:
        return self.operation("not_equal", other, dtype=BOOL)


def where(condition: Value, x: Value | Number, y: Value | Number) -> Value:
    """x where the condition holds, else y; at least one of them is a value."""
    if not isinstance(x, Value):
        assert isinstance(y, Value)
        x = y.like(x)
    return condition.operation("select", x, x.like(y), dtype=x.dtype)


def usually(condition: Value, x: Value, y: Value) -> Value:
    """The same of a condition that hardly ever fails."""
    return condition.operation("usually", x, y, dtype=x.dtype)


def quotient(x: Value, y: Value) -> Value:
    """The quotient of integers, towards zero. Undefined for a divisor of zero, and where it overflows."""
    return x.operation("quotient", y)


def fabs(x: Value) -> Value:
    return x.operation("absolute")


def sqrt(x: Value) -> Value:
    return x.operation("square_root")


def floor(x: Value) -> Value:
    return x.operation("floor")


def copysign(x: Value | Number, y: Value) -> Value:
    return y.like(x).operation("copysign", y)


def fma(x: Value, y: Value | Number, z: Value | Number) -> Value:
    """x * y + z with one rounding."""
    return x.operation("fma", y, z)


def multiply_add(x: Value, y: Value, z: Value) -> Value:
    """x * y + z, with one rounding where the machine does that in one instruction."""
    return x.operation("multiply_add", y, z)


def is_nan(x: Value) -> Value:
    return x.operation("is_nan", dtype=BOOL)


def is_infinite(x: Value) -> Value:
    return fabs(x) == float("inf")


def bits(x: Value) -> Value:
    """The bits of a float as a signed integer."""
    return x.operation("reinterpret", dtype=np.dtype(f"i{x.dtype.itemsize}"))


def from_bits(i: Value) -> Value:
    """The float that has the bits of an integer."""
    return i.operation("reinterpret", dtype=np.dtype(f"f{i.dtype.itemsize}"))


def function(name: str) -> Callable[..., Value]:
    """A function that backends have, by its name."""

    def applied(x: Value, *others: Value) -> Value:
        return x.operation(name, *others)

    return applied
