"""Complex numbers in kernels, as pairs of floats with the operators of Python."""

from __future__ import annotations

from typing import Any

import numpy as np

from .conversions import convert
from .values import Code, Value, fabs, is_infinite, is_nan, where


class Complex:
    """A complex number as a pair of floats, with the operators of Python."""

    __slots__ = ("im", "number", "re")

    def __init__(self, re: Value, im: Value, number: complex | None = None):
        self.re = re
        self.im = im
        self.number = number

    def __add__(self, other: Complex) -> Complex:
        return Complex(self.re + other.re, self.im + other.im)

    def __sub__(self, other: Complex) -> Complex:
        return Complex(self.re - other.re, self.im - other.im)

    def __neg__(self) -> Complex:
        return Complex(-self.re, -self.im)

    def __mul__(self, other: Complex) -> Complex:
        return Complex(self.re * other.re - self.im * other.im, self.re * other.im + self.im * other.re)

    def __truediv__(self, other: Complex) -> Complex:
        """Smith's algorithm (1962): by the larger part of the divisor."""
        by_real = fabs(other.re) >= fabs(other.im)
        large, small = where(by_real, other.re, other.im), where(by_real, other.im, other.re)
        near, far = where(by_real, self.re, self.im), where(by_real, self.im, self.re)
        ratio = small / large
        factor = 1.0 / (large + small * ratio)
        turned = near * ratio
        im = where(by_real, far, -far) + where(by_real, -turned, turned)
        is_zero = (other.re == 0) & (other.im == 0)
        size = fabs(other.re)
        quotient = Complex((near + far * ratio) * factor, im * factor)
        return choose(is_zero, Complex(self.re / size, self.im / size), quotient)

    def times(self, factor: Value | float) -> Complex:
        """The multiple by a real number."""
        return Complex(self.re * factor, self.im * factor)


def choose(condition: Value, z: Complex, w: Complex) -> Complex:
    """z where the condition holds, else w."""
    return Complex(where(condition, z.re, w.re), where(condition, z.im, w.im))


def read(code: Code, dtype: np.dtype[Any], register: str, number: Any = None) -> Complex:
    """The parts of a complex number in a register."""
    part = np.dtype(f"f{dtype.itemsize // 2}")
    if number is not None:
        parts = (Value(code, part, code.literal(p, part), float(p)) for p in (number.real, number.imag))
        return Complex(*parts, number)
    return Complex(*(Value(code, part, r) for r in code.parts(register, dtype)))


def written(z: Complex) -> str:
    """A register with both parts."""
    return z.re.code.whole(z.re, z.im)


def convert_complex(z: Complex, dtype: np.dtype[Any]) -> Complex | Value:
    """A complex number in another dtype: without its imaginary part if that is real."""
    if dtype.kind == "c":
        part = np.dtype(f"f{dtype.itemsize // 2}")
        return Complex(convert(z.re, part), convert(z.im, part))
    return is_nonzero(z) if dtype.kind == "b" else convert(z.re, dtype)


def as_complex(x: Value, dtype: np.dtype[Any]) -> Complex:
    """A real number in a complex dtype."""
    re = convert(x, np.dtype(f"f{dtype.itemsize // 2}"))
    return Complex(re, re.like(0.0))


def is_nonzero(z: Complex) -> Value:
    return (z.re != 0) | (z.im != 0)


def is_nan_complex(z: Complex) -> Value:
    return is_nan(z.re) | is_nan(z.im)


def is_infinite_complex(z: Complex) -> Value:
    return is_infinite(z.re) | is_infinite(z.im)
