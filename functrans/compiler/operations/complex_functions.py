"""Functions of complex numbers as formulas on their parts, in vectors where C has them one by one.

W. Kahan, "Branch cuts for complex elementary functions, or: much ado about nothing's sign bit" (1987). Infinities and
NaN are as in Annex G of C where that says something definite, and elsewhere as GNU's C library has them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

from .complex_values import Complex, choose, is_infinite_complex
from .conversions import convert
from .exponentials import expm1_of_size
from .values import DOUBLE, Value, copysign, fabs, function, is_infinite, is_nan, sqrt, where

asinh, atan2, log1p, sin, cos = map(function, ("asinh", "atan2", "log1p", "sin", "cos"))

INFINITY: Final = float("inf")
#: Beyond, exp(x) / 2 stands for sinh and cosh, and is computed in two factors, or three beyond twice that; one is
#: exp of a number up to MOST.
LARGE: Final = 700.0
EXP_OF_LARGE: Final = math.exp(LARGE)
MOST: Final = 709.0


def _turned(z: Complex) -> Complex:
    """i z."""
    return Complex(-z.im, z.re)


def _mirrored(z: Complex) -> Complex:
    """i times the conjugate of z: odd functions of it are those of z on the other axis, mirrored in the same way."""
    return Complex(z.im, z.re)


def square_root(z: Complex) -> Complex:
    """The root with a real part that is not negative, scaled so that squares stay in range."""
    x, y = fabs(z.re), fabs(z.im)
    size = where(x > y, x, y)
    down, up = where(size > 2.0**400, x.like(2.0**-300), 1.0), where(size < 2.0**-400, x.like(2.0**300), 1.0)
    scale = up * down
    a, b = x * scale * scale, y * scale * scale
    root = sqrt(0.5 * (a + sqrt(a * a + b * b)))
    other = where(root == 0, root, (y * up) / (2.0 * root) * down)
    root = root / scale
    is_left = (z.re < 0) | (is_nan(z.re) & (copysign(1.0, z.re) < 0))
    found = Complex(where(is_left, other, root), copysign(1.0, z.im) * where(is_left, root, other))
    found = choose(is_infinite(z.re), _root_of_infinity(z), found)
    return choose(is_infinite(z.im), Complex(x.like(INFINITY), z.im), found)


def _root_of_infinity(z: Complex) -> Complex:
    """That of a number with an infinite real part; the other part is a zero, if it is a number."""
    rest = where(is_nan(z.im), z.im, 0.0)
    far = z.re.like(INFINITY)
    is_left = z.re < 0
    return Complex(where(is_left, rest, far), copysign(where(is_left, far, rest), z.im))


def _times_exponential(x: Value, even: Value, odd: Value) -> tuple[Value, Value]:
    """even * cosh(x) and odd * sinh(x), which may be in range where cosh(x) is not."""
    size = fabs(x)
    is_large, is_larger = size > LARGE, size > 2 * LARGE
    size = where(is_larger, size - 2 * LARGE, where(is_large, size - LARGE, size))
    less = expm1_of_size(where(size > MOST, MOST, size))
    whole, rest, more = less + 1.0, x.like(EXP_OF_LARGE / 2), where(is_larger, x.like(EXP_OF_LARGE), 1.0)
    odd = copysign(1.0, x) * odd
    near = even * _cosh(less), odd * _sinh(less)
    far = ((even * rest) * whole) * more, ((odd * rest) * whole) * more  # the first one leaves what is subnormal
    return where(is_large, far[0], near[0]), where(is_large, far[1], near[1])


def _cosh(less: Value) -> Value:
    """cosh(x) by exp(x) - 1, of a number that is not negative."""
    return 1.0 + 0.5 * less * (less / (less + 1.0))


def _sinh(less: Value) -> Value:
    return 0.5 * (less + less / (less + 1.0))


def hyperbolic_cosine(z: Complex) -> Complex:
    """cosh(x) cos(y) + i sinh(x) sin(y)."""
    re, im = _times_exponential(z.re, cos(z.im), sin(z.im))
    zero = where(z.re == 0, 0.0, where(is_nan(z.re), z.im, z.im * copysign(1.0, z.re)))
    is_real = (z.im == 0) | (z.re == 0)
    re = where(is_infinite(z.re) & ~(fabs(z.im) < INFINITY), fabs(z.re), re)
    return Complex(re, where(is_real & is_nan(im), zero, im))


def hyperbolic_sine(z: Complex) -> Complex:
    """sinh(x) cos(y) + i cosh(x) sin(y)."""
    im, re = _times_exponential(z.re, sin(z.im), cos(z.im))
    re = where((z.re == 0) & is_nan(re), z.re, re)
    re = where(is_infinite(z.re) & ~(fabs(z.im) < INFINITY), fabs(z.re), re)
    return Complex(re, where((z.im == 0) & is_nan(im), z.im, im))


def hyperbolic_tangent(z: Complex) -> Complex:
    """(sinh(x) cosh(x) + i sin(y) cos(y)) / (sinh(x)**2 + cos(y)**2); further out that is one and nearly nothing."""
    x, y = z.re, z.im
    size = fabs(x)
    is_far = size > 22.0
    less = expm1_of_size(where(size > LARGE, LARGE, size))
    is_turned = fabs(y) < INFINITY
    turned = cos(y)
    turn = where(is_turned, sin(y) * turned, copysign(0.0, y))
    s = _sinh(where(is_far, 0.0, less))
    below = s * s + turned * turned
    near = Complex(copysign(s * _cosh(where(is_far, 0.0, less)) / below, x), turn / below)
    whole = less + 1.0
    far = Complex(copysign(1.0, x), 4.0 * turn / whole / whole)
    nan = x.like(float("nan"))
    far = choose(is_turned | is_infinite(x), far, Complex(nan, nan))
    found = choose(is_far, far, near)
    return Complex(where((x == 0) & ~is_turned, x, found.re), where(y == 0, y, found.im))


def inverse_sine(z: Complex) -> Complex:
    """By the roots of 1 - z and 1 + z."""
    minus, plus = _roots(z)
    re = atan2(z.re, where(is_infinite_complex(z), fabs(z.im), minus.re * plus.re - minus.im * plus.im))
    re = where((z.re == 0) & is_nan(z.im), z.re, re)
    return Complex(re, _asinh_large(minus.re * plus.im - minus.im * plus.re, z))


def inverse_cosine(z: Complex) -> Complex:
    minus, plus = _roots(z)
    re = where(is_infinite_complex(z), atan2(fabs(z.im), z.re), 2.0 * atan2(minus.re, plus.re))
    re = where((z.re == 0) & is_nan(z.im), math.pi / 2, re)
    return Complex(re, -_asinh_large(minus.re * plus.im - minus.im * plus.re, z))


def _roots(z: Complex) -> tuple[Complex, Complex]:
    return square_root(Complex(1.0 - z.re, -z.im)), square_root(Complex(1.0 + z.re, z.im))


def _asinh_large(x: Value, z: Complex) -> Value:
    """asinh of a product of roots; infinite if z is."""
    far = where(is_nan(x), INFINITY, copysign(INFINITY, x))
    return where(is_infinite_complex(z), far, asinh(x))


def inverse_hyperbolic_cosine(z: Complex) -> Complex:
    below, above = square_root(Complex(z.re - 1.0, z.im)), square_root(Complex(z.re + 1.0, z.im))
    re = _asinh_large(below.re * above.re + below.im * above.im, z)
    im = where(is_infinite_complex(z), atan2(z.im, z.re), 2.0 * atan2(below.im, above.re))
    return Complex(re, where((z.re == 0) & is_nan(z.im), math.pi / 2, im))


def inverse_hyperbolic_tangent(z: Complex) -> Complex:
    """By log1p, which is accurate near zero; a large z by its reciprocal, scaled so that squares stay in range.

    Next to a pole the square of the distance is no number: half the logarithm of that of the distance does, and both
    are so large that one makes no difference.
    """
    x, y = fabs(z.re), z.im
    is_large = (x > 2.0**500) | (fabs(y) > 2.0**500)
    a, b = where(is_large, 2.0, x), where(is_large, 0.0, y)
    missing = 1.0 - a
    is_pole = (missing == 0) & (fabs(b) < 2.0**-500)
    below = where(is_pole, fabs(b), missing * missing + b * b)
    size = log1p(where(is_pole, a * 2.0**-60, 4.0 * a) / below)
    re = where(is_pole, 0.5 * size + 30.5 * math.log(2), 0.25 * size)
    im = 0.5 * atan2(2.0 * b, missing * (1.0 + a) - b * b)
    re = where(is_large, _real_part_of_reciprocal(x, y), re)
    is_lost = is_nan(y) | (is_nan(x) & ~is_infinite(y))
    im = where(is_large, where(is_lost, float("nan"), copysign(math.pi / 2, y)), im)
    re = where((x == 0) & is_nan(y), x, re)
    return Complex(copysign(1.0, z.re) * re, im)


def _real_part_of_reciprocal(x: Value, y: Value) -> Value:
    a, b = x * 2.0**-600, y * 2.0**-600
    return where(is_infinite(x) | is_infinite(y), 0.0, a / (a * a + b * b) * 2.0**-600)


_FORMULAS: Final[dict[str, Callable[[Complex], Complex]]] = {
    "sqrt": square_root,
    "sin": lambda z: _mirrored(hyperbolic_sine(_mirrored(z))),
    "cos": lambda z: hyperbolic_cosine(_turned(z)),
    "tan": lambda z: _mirrored(hyperbolic_tangent(_mirrored(z))),
    "arcsin": inverse_sine,
    "arccos": inverse_cosine,
    "arctan": lambda z: _mirrored(inverse_hyperbolic_tangent(_mirrored(z))),
    "sinh": hyperbolic_sine,
    "cosh": hyperbolic_cosine,
    "tanh": hyperbolic_tangent,
    "arcsinh": lambda z: _mirrored(inverse_sine(_mirrored(z))),
    "arccosh": inverse_hyperbolic_cosine,
    "arctanh": inverse_hyperbolic_tangent,
}


def _in_double(formula: Callable[[Complex], Complex]) -> Callable[[Complex], Complex]:
    """In double precision always: the formulas lose some digits."""

    def applied(z: Complex) -> Complex:
        found = formula(Complex(convert(z.re, DOUBLE), convert(z.im, DOUBLE)))
        return Complex(convert(found.re, z.re.dtype), convert(found.im, z.re.dtype))

    return applied


#: By the names of primitives.
COMPLEX_FUNCTIONS: Final = {name: _in_double(formula) for name, formula in _FORMULAS.items()}
