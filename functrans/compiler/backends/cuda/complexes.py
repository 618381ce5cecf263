"""Functions of complex numbers that C has and CUDA has not, as formulas on their parts.

W. Kahan, "Branch cuts for complex elementary functions, or: much ado about nothing's sign bit" (1987). Infinities and
NaN are as in Annex G of C where that says something definite.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

from ...operations.complexes import Complex, choose
from ...operations.reals import atan2, cos, exp, function, log1p, sin
from ...operations.values import Value, copysign, fabs, is_infinite, is_nan, sqrt, where

hypot, asinh, atan, sinh, cosh, tan = map(function, ("hypot", "asinh", "atan", "sinh", "cosh", "tan"))

INFINITY: Final = float("inf")
#: Beyond, exp(x) / 2 stands for sinh and cosh, and is computed in two factors.
LARGE: Final = 700.0
HALF_OF_LARGE: Final = math.exp(LARGE) / 2


def _turned(z: Complex) -> Complex:
    """i z."""
    return Complex(-z.im, z.re)


def _turned_back(z: Complex) -> Complex:
    """-i z."""
    return Complex(z.im, -z.re)


def square_root(z: Complex) -> Complex:
    """The root with a real part that is not negative, scaled so that squares stay in range."""
    x, y = fabs(z.re), fabs(z.im)
    size = where(x > y, x, y)
    is_large, is_small = size > 2.0**1000, size < 2.0**-1000
    scale = where(is_large, x.like(2.0**-100), where(is_small, x.like(2.0**200), 1.0))
    back = where(is_large, x.like(2.0**50), where(is_small, x.like(2.0**-100), 1.0))
    x, y = x * scale, y * scale
    root = sqrt(0.5 * (x + hypot(x, y)))
    other = where(root == 0, root, y / (2.0 * root)) * back
    root = root * back
    is_left = (z.re < 0) | (is_nan(z.re) & (copysign(1.0, z.re) < 0))
    found = Complex(where(is_left, other, root), copysign(1.0, z.im) * where(is_left, root, other))
    found = Complex(where(is_nan(z.im) & (z.re == -INFINITY), z.im, found.re), found.im)
    return choose(is_infinite(z.im), Complex(x.like(INFINITY), z.im), found)


def _times_exponential(x: Value, even: Value, odd: Value) -> tuple[Value, Value]:
    """even * cosh(x) and odd * sinh(x), which may be in range where cosh(x) is not."""
    size = fabs(x)
    is_large = size > LARGE
    part = exp(where(is_large, size - LARGE, 0.0))
    rest = x.like(HALF_OF_LARGE)
    far = (even * part) * rest, (copysign(1.0, x) * odd * part) * rest
    near = even * cosh(where(is_large, 0.0, x)), odd * sinh(where(is_large, 0.0, x))
    return where(is_large, far[0], near[0]), where(is_large, far[1], near[1])


def hyperbolic_cosine(z: Complex) -> Complex:
    """cosh(x) cos(y) + i sinh(x) sin(y)."""
    re, im = _times_exponential(z.re, cos(z.im), sin(z.im))
    is_real = (z.im == 0) | (z.re == 0)
    zero = copysign(z.im.like(0.0), z.re) * copysign(1.0, z.im)
    return Complex(where(is_infinite(z.re) & ~(fabs(z.im) < INFINITY), fabs(z.re), re), where(is_real, zero, im))


def hyperbolic_sine(z: Complex) -> Complex:
    """sinh(x) cos(y) + i cosh(x) sin(y)."""
    im, re = _times_exponential(z.re, sin(z.im), cos(z.im))
    re = where(z.re == 0, z.re, re)
    re = where(is_infinite(z.re) & ~(fabs(z.im) < INFINITY), z.re, re)
    return Complex(re, where(z.im == 0, z.im, im))


def hyperbolic_tangent(z: Complex) -> Complex:
    """By the tangent of y, or where that is one or nearly so, by what is missing."""
    x, y = z.re, z.im
    is_far = fabs(x) > 22.0
    near_x = where(is_far, 0.0, x)
    t, s = tan(y), sinh(near_x)
    beta, root = 1.0 + t * t, sqrt(1.0 + s * s)
    below = 1.0 + beta * s * s
    near = Complex((beta * root * s) / below, t / below)
    near = choose(is_infinite(t), Complex(root / s, 0.0 / t), near)
    is_turned = fabs(y) < INFINITY
    turn = where(is_turned, sin(y) * cos(y), 0.0)
    far = Complex(copysign(1.0, x), 4.0 * turn * exp(-2.0 * fabs(x)))
    found = choose(is_far, far, near)
    return Complex(where((x == 0) & ~is_turned, x, found.re), where(y == 0, y, found.im))


def inverse_sine(z: Complex) -> Complex:
    """By the roots of 1 - z and 1 + z."""
    minus, plus = _roots(z)
    re = atan2(z.re, where(_is_infinite(z), fabs(z.im), minus.re * plus.re - minus.im * plus.im))
    re = where((z.re == 0) & is_nan(z.im), z.re, re)
    return Complex(re, _asinh_large(minus.re * plus.im - minus.im * plus.re, z))


def inverse_cosine(z: Complex) -> Complex:
    minus, plus = _roots(z)
    re = where(_is_infinite(z), atan2(fabs(z.im), z.re), 2.0 * atan2(minus.re, plus.re))
    re = where((z.re == 0) & is_nan(z.im), 1.5707963267948966, re)
    return Complex(re, _asinh_large(plus.re * minus.im - plus.im * minus.re, z))


def _roots(z: Complex) -> tuple[Complex, Complex]:
    return square_root(Complex(1.0 - z.re, -z.im)), square_root(Complex(1.0 + z.re, z.im))


def _asinh_large(x: Value, z: Complex) -> Value:
    """asinh of a product of roots; infinite if z is."""
    return where(_is_infinite(z), copysign(INFINITY, x), asinh(x))


def _is_infinite(z: Complex) -> Value:
    return is_infinite(z.re) | is_infinite(z.im)


def inverse_hyperbolic_cosine(z: Complex) -> Complex:
    below, above = square_root(Complex(z.re - 1.0, z.im)), square_root(Complex(z.re + 1.0, z.im))
    re = _asinh_large(below.re * above.re + below.im * above.im, z)
    im = where(_is_infinite(z), atan2(z.im, z.re), 2.0 * atan2(below.im, above.re))
    return Complex(re, where((z.re == 0) & is_nan(z.im), 1.5707963267948966, im))


def inverse_hyperbolic_tangent(z: Complex) -> Complex:
    """By log1p, which is accurate near zero; a large z by its reciprocal."""
    x, y = fabs(z.re), z.im
    is_large = (x > 2.0**500) | (fabs(y) > 2.0**500)
    a, b = where(is_large, 2.0, x), where(is_large, 0.0, y)
    missing = 1.0 - a
    below = missing * missing + b * b
    re = 0.25 * log1p(4.0 * a / below)
    im = 0.5 * atan2(2.0 * b, missing * (1.0 + a) - b * b)
    re = where(is_large, _real_part_of_reciprocal(x, y), re)
    im = where(is_large, where(is_nan(y), y, copysign(1.5707963267948966, y)), im)
    re = where((x == 0) & is_nan(y), x, re)
    return Complex(copysign(1.0, z.re) * re, im)


def _real_part_of_reciprocal(x: Value, y: Value) -> Value:
    size = hypot(x, y)
    return where(is_infinite(size), 0.0, (x / size) / size)


FUNCTIONS: Final[dict[str, Callable[[Complex], Complex]]] = {
    "sqrt": square_root,
    "sin": lambda z: _turned_back(hyperbolic_sine(_turned(z))),
    "cos": lambda z: hyperbolic_cosine(_turned(z)),
    "tan": lambda z: _turned_back(hyperbolic_tangent(_turned(z))),
    "arcsin": inverse_sine,
    "arccos": inverse_cosine,
    "arctan": lambda z: _turned_back(inverse_hyperbolic_tangent(_turned(z))),
    "sinh": hyperbolic_sine,
    "cosh": hyperbolic_cosine,
    "tanh": hyperbolic_tangent,
    "arcsinh": lambda z: _turned_back(inverse_sine(_turned(z))),
    "arccosh": inverse_hyperbolic_cosine,
    "arctanh": inverse_hyperbolic_tangent,
}
