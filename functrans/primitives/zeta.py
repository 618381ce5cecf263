"""The Hurwitz zeta function, and by it the derivatives of digamma at complex numbers.

Both are summed by Euler and Maclaurin's formula (DLMF 25.11.5).
"""

from __future__ import annotations

from collections.abc import Sequence
from math import factorial
from typing import Any, Final

import numpy as np

from ..core.avals import ZERO, ShapedArray
from ..core.devices import here, is_on_device
from ..core.dtypes import as_dtype, kind_of
from ..core.trace import typeof
from ..errors import UnsupportedDtypeError
from .elementwise import add, divide, log, multiply, negative, power, subtract
from .foundation import (
    Plain,
    add_tangents,
    align_ranks,
    broadcast_shapes,
    convert,
    full,
    match,
    promoted,
    reduce_sum,
    reshape,
    scale,
)
from .late_scipy import special
from .on_gpu import special_function

#: B(2), B(4), ... over (2j)!.
BERNOULLI: Final = [
    b / factorial(2 * j)
    for j, b in enumerate(
        (1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6, -3617 / 510, 43867 / 798, -174611 / 330), 1
    )
]
#: How many terms of the series are added up before the rest is estimated.
TERMS: Final = 16


class Zeta(Plain):
    """`zeta(x, q)`: the sum of (q + k)**-x over k = 0, 1, ..., for real numbers."""

    def abstract_eval(self, x: ShapedArray, q: ShapedArray) -> list[ShapedArray]:
        dtype = promoted(x, q)
        if dtype.kind == "c":
            raise UnsupportedDtypeError(
                f"`zeta` is not defined for operands of dtype {x.dtype.name} and {q.dtype.name}.",
                "It is known for real numbers only.",
                "Take the real parts if the imaginary parts are zero.",
            )
        is_small = kind_of(dtype) == "f" and dtype.itemsize <= 4
        return [ShapedArray(broadcast_shapes(x.shape, q.shape), np.dtype(np.float32 if is_small else np.float64))]

    def impl(self, x: Any, q: Any) -> list[Any]:
        (aval,) = self.abstract_eval(typeof(x), typeof(q))
        x, q = as_dtype(x, aval.dtype)[()], as_dtype(q, aval.dtype)[()]
        return [special_function("zeta", x, q) if is_on_device(x) or is_on_device(q) else special().zeta(x, q)]

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
        (x, q), (dx, dq) = primals, tangents
        y = self(x, q)
        with np.errstate(all="ignore"):
            by_x = ZERO if dx is ZERO else match(scale(dx, _by_exponent(x, q)), y)
            by_q = ZERO if dq is ZERO else match(scale(dq, multiply(negative(x), self(add(x, 1), q))), y)
        return [y], [add_tangents(by_x, by_q)]

    def batch(self, size: int, values: Sequence[Any], mapped: Sequence[bool]) -> tuple[Any, Any]:
        return [self(*align_ranks(values, mapped))], [True]

    def lower(self, result: Any, x: Any, q: Any) -> Any:
        return lambda index: result.apply("hurwitz_zeta", x.broadcast(index), q.broadcast(index))


zeta = Zeta("zeta")


def _by_exponent(x: Any, q: Any) -> Any:
    """The derivative of zeta by x, term by term."""
    x, q = (convert(operand, dtype=np.dtype(np.float64)) for operand in (x, q))
    shape = broadcast_shapes(typeof(x).shape, typeof(q).shape)
    columns = [reshape(operand, shape=(*typeof(operand).shape, 1)) for operand in (x, q)]
    bases = add(columns[1], here(np.arange(TERMS, dtype=float)))
    total = reduce_sum(multiply(log(bases), power(bases, negative(columns[0]))), axes=(len(shape),))
    a, above = add(q, TERMS), subtract(x, 1)
    log_a = log(a)
    term = power(a, negative(x))
    total = add(total, multiply(term, multiply(log_a, 0.5)))
    total = add(total, multiply(multiply(a, term), divide(add(log_a, divide(1, above)), above)))
    rising, slope = x, full(value=1.0, shape=(), dtype=np.dtype(float))
    for j, b in enumerate(BERNOULLI, 1):
        term = divide(term, a if j == 1 else multiply(a, a))
        total = add(total, multiply(multiply(b, term), subtract(multiply(log_a, rising), slope)))
        first, second = add(x, 2 * j - 1), add(x, 2 * j)
        both = multiply(first, second)
        slope = add(multiply(slope, both), multiply(rising, add(first, second)))
        rising = multiply(rising, both)
    return negative(total)


def complex_polygamma(order: int, z: Any) -> Any:
    """The derivative of digamma of some order, at least 1, at an array of complex numbers."""
    with np.errstate(all="ignore"):
        reflected = z.real < 0.5
        value = _hurwitz(order + 1, np.where(reflected, 1 - z, z)) * factorial(order)
        value = value if order % 2 else -value
        other = value if order % 2 == 0 else -value
        return np.where(reflected, other - np.pi ** (order + 1) * _cotangent(order, z), value)


def _hurwitz(s: int, z: Any) -> Any:
    """zeta(s, z) for an integer s > 1 and complex z with a positive real part."""
    total = sum((z + k) ** -s for k in range(TERMS))
    a = z + TERMS
    total = total + a ** (1 - s) / (s - 1) + a**-s / 2
    rising = s
    for j, b in enumerate(BERNOULLI, 1):
        total = total + b * rising * a ** (1 - s - 2 * j)
        rising *= (s + 2 * j - 1) * (s + 2 * j)
    return total


def _cotangent(order: int, z: Any) -> Any:
    """The derivative of cot of some order at pi z: a polynomial in cot, since cot' = -1 - cot**2."""
    below = z.imag < 0
    w = np.where(below, np.conj(z), z)
    turn = 2j * np.pi * (w - np.round(w.real))  # exp(turn) is small far from the real axis
    cot = 1j * (np.exp(turn) + 1) / np.expm1(turn)
    polynomial = np.array([1.0, 0.0])
    for _ in range(order):
        polynomial = np.polymul([-1.0, 0.0, -1.0], np.polyder(polynomial))
    value = 0.0
    for coefficient in polynomial.tolist():
        value = value * cot + coefficient
    return np.where(below, np.conj(value), value)
