"""Functions of each element under JAX's names: those of NumPy, with NumPy's promotion and broadcasting."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core.trace import typeof
from ..numpy.common import as_operand, cast
from ..primitives.special import digamma, erf, erfc, expit, lgamma
from ..primitives.special import erfinv as erf_inv

abs, sign, square, sqrt, cbrt, reciprocal = np.abs, np.sign, np.square, np.sqrt, np.cbrt, np.reciprocal
exp, exp2, expm1, log, log1p, logistic = np.exp, np.exp2, np.expm1, np.log, np.log1p, expit
sin, cos, tan, sinh, cosh, tanh = np.sin, np.cos, np.tan, np.sinh, np.cosh, np.tanh
asin, acos, atan, atan2 = np.arcsin, np.arccos, np.arctan, np.arctan2
asinh, acosh, atanh = np.arcsinh, np.arccosh, np.arctanh
floor, ceil, is_finite, nextafter = np.floor, np.ceil, np.isfinite, np.nextafter
neg, add, sub, mul, pow, rem = np.negative, np.add, np.subtract, np.multiply, np.power, np.fmod
max, min = np.maximum, np.minimum
eq, ne, lt, le, gt, ge = np.equal, np.not_equal, np.less, np.less_equal, np.greater, np.greater_equal
bitwise_and, bitwise_or, bitwise_xor, bitwise_not = np.bitwise_and, np.bitwise_or, np.bitwise_xor, np.bitwise_not
shift_left, shift_right_arithmetic = np.left_shift, np.right_shift
real, imag, conj = np.real, np.imag, np.conj


def div(x: Any, y: Any) -> Any:
    """x / y; of integers, the quotient towards zero.

    Example:
        >>> import functrans as ft
        >>> int(ft.lax.div(-7, 2)), float(ft.lax.div(-7.0, 2.0))
        (-3, -3.5)
    """
    if any(typeof(as_operand(operand)).dtype.kind not in "iub" for operand in (x, y)):
        return np.divide(x, y)
    return np.floor_divide(np.subtract(x, np.fmod(x, y)), y)


def rsqrt(x: Any) -> Any:
    """1 / sqrt(x)."""
    return np.reciprocal(np.sqrt(x))


def integer_pow(x: Any, y: int) -> Any:
    """x**y for a Python integer y; negative ones too, of floats."""
    return np.power(x, y)


def clamp(min: Any, x: Any, max: Any) -> Any:
    """x, but at least min and at most max."""
    return np.clip(x, min, max)


def select(pred: Any, on_true: Any, on_false: Any) -> Any:
    """on_true where the condition holds, else on_false."""
    return np.where(pred, on_true, on_false)


def complex(x: Any, y: Any) -> Any:
    """x + i y, of two real numbers."""
    return np.add(x, np.multiply(1j, y))


def population_count(x: Any) -> Any:
    """How many bits are one; of a negative number too, unlike `numpy.bitwise_count`, which takes its magnitude.

    Example:
        >>> import numpy as np, functrans as ft
        >>> ft.lax.population_count(np.array([3, -1], np.int8))
        array([2, 8], dtype=int8)
    """
    x = as_operand(x)
    dtype = typeof(x).dtype
    return cast(np.bitwise_count(cast(x, np.dtype(f"u{dtype.itemsize}"))), dtype)


def convert_element_type(operand: Any, new_dtype: Any) -> Any:
    """The operand in another dtype, as `astype` does it."""
    return cast(as_operand(operand), np.dtype(new_dtype))


__all__ = [
    "abs", "acos", "acosh", "add", "asin", "asinh", "atan", "atan2", "atanh", "bitwise_and", "bitwise_not",
    "bitwise_or", "bitwise_xor", "cbrt", "ceil", "clamp", "complex", "conj", "convert_element_type", "cos", "cosh",
    "digamma", "div", "eq", "erf", "erf_inv", "erfc", "exp", "exp2", "expm1", "floor", "ge", "gt", "imag",
    "integer_pow", "is_finite", "le", "lgamma", "log", "log1p", "logistic", "lt", "max", "min", "mul", "ne", "neg",
    "nextafter", "population_count", "pow", "real", "reciprocal", "rem", "rsqrt", "select", "shift_left",
    "shift_right_arithmetic", "sign", "sin", "sinh", "sqrt", "square", "sub", "tan", "tanh",
]  # fmt: skip
