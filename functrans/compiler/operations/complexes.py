"""Operations on complex numbers: the formulas of NumPy on their parts, and functions that some backends have."""

from __future__ import annotations

import operator as op
from collections.abc import Callable
from math import log as ln
from typing import Any, Final

import numpy as np

from .complex_functions import COMPLEX_FUNCTIONS
from .complex_values import (
    Complex,
    choose,
    convert_complex,
    is_infinite_complex,
    is_nan_complex,
    is_nonzero,
)
from .conversions import convert
from .reals import atan2, cos, exp, expm1, hypot, log, log1p, sin
from .values import (
    COMPLEX_LIBRARY,
    DOUBLE,
    Value,
    copysign,
    fabs,
    floor,
    fma,
    is_infinite,
    is_nan,
    where,
)

INFINITY: Final = float("inf")
INT: Final = np.dtype(np.int32)
Operation = Callable[..., Any]


# ---- arithmetic and order


def _reciprocal(z: Complex) -> Complex:
    by_real = fabs(z.im) <= fabs(z.re)
    large, small = where(by_real, z.re, z.im), where(by_real, z.im, z.re)
    ratio = small / large
    size = large + small * ratio
    one = size.like(1.0)
    return Complex(where(by_real, one, ratio) / size, -where(by_real, ratio, one) / size)


def _less(x: Complex, y: Complex) -> Value:
    """Lexicographic, as NumPy's; false for NaN."""
    ordered = ~is_nan(x.im) & ~is_nan(y.im)
    return ((x.re < y.re) & ordered) | ((x.re == y.re) & (x.im < y.im))


def _less_equal(x: Complex, y: Complex) -> Value:
    ordered = ~is_nan(x.im) & ~is_nan(y.im)
    return ((x.re < y.re) & ordered) | ((x.re == y.re) & (x.im <= y.im))


def _extreme(order: Callable[[Complex, Complex], Value], gives_way: bool) -> Callable[[Complex, Complex], Complex]:
    """Of x and y the first in order; where one is NaN that one, or the other if it gives way."""

    def applied(x: Complex, y: Complex) -> Complex:
        return choose(order(x, y) | is_nan_complex(y if gives_way else x), x, y)

    return applied


def _scale(z: Complex, c: Complex) -> Complex:
    y = z * c
    return _without_nan(y, ~is_nonzero(z))


def _scale_both(z: Complex, c: Complex) -> Complex:
    y = z * c
    return _without_nan(y, ~is_nonzero(z) | ~is_nonzero(c))


def _without_nan(y: Complex, absorbs: Value) -> Complex:
    zero = y.re.like(0.0)
    return choose(is_nan_complex(y) & absorbs, Complex(zero, zero), y)


def _sign(z: Complex) -> Complex:
    """z / |z|."""
    size = hypot(z.re, z.im)
    nan, zero = size.like(float("nan")), size.like(0.0)
    one_axis = is_infinite(z.re) != is_infinite(z.im)
    turned = Complex(
        where(is_infinite(z.re), copysign(1.0, z.re), zero), where(is_infinite(z.im), copysign(1.0, z.im), zero)
    )
    limit = choose(one_axis, turned, Complex(nan, nan))
    is_zero = size == 0
    divided = Complex(z.re / size, z.im / size)
    usual = choose(is_zero, Complex(zero, zero), divided)
    return choose(is_infinite(size), limit, choose(is_nan(size), Complex(nan, nan), usual))


# ---- powers


def _power(z: Complex, n: Complex) -> Complex:
    """z**n as npy_cpow of NumPy has it: by squaring for integers of up to two digits, else exp(n log(z))."""
    if n.number is not None and _is_short(n.number):
        return COMPLEX_FUNCTIONS["sqrt"](z) if n.number == 0.5 else _integer_power(z, int(n.number.real))
    one, zero, nan = (z.re.like(x) for x in (1.0, 0.0, float("nan")))
    logarithm, exponent = (_log(_in_double(z)), _in_double(n))
    found = convert_complex(_exp(_product(exponent, logarithm)), _dtype_of(z))
    assert isinstance(found, Complex)
    found = choose(is_nonzero(z), found, choose(n.re > 0.0, Complex(zero, zero), Complex(nan, nan)))
    if n.number is not None:
        return found
    size = fabs(n.re)
    is_short = (n.im == 0) & (size < 100.0) & (floor(size) == size)
    count = convert(where(is_short, size, 0.0), INT)
    whole = _by_squaring(z, count)
    whole = choose(n.re < 0.0, Complex(one, zero) / whole, whole)
    square = z * z
    for exponent, product in ((1, z), (2, square), (3, z * square)):
        whole = choose(n.re == float(exponent), product, whole)
    return choose(is_short & (is_nonzero(z) | (n.re >= 0.0)), whole, found)


def _product(z: Complex, w: Complex) -> Complex:
    """The product; where both parts are NaN though a factor is infinite, that of its direction (Annex G of C)."""
    found = z * w
    a, b = _boxed(z), _boxed(w)
    limit = (a * b).times(INFINITY)
    is_lost = is_nan(found.re) & is_nan(found.im) & (is_infinite_complex(z) | is_infinite_complex(w))
    return choose(is_lost, limit, found)


def _boxed(z: Complex) -> Complex:
    """Of an infinite number its direction; of any other without NaN."""
    far = is_infinite_complex(z)
    parts = (
        where(far, copysign(where(is_infinite(x), x.like(1.0), 0.0), x), where(is_nan(x), x.like(0.0), x))
        for x in (z.re, z.im)
    )
    return Complex(*parts)


def _is_short(exponent: complex) -> bool:
    """Whether a power has a formula of few products, or is a square root."""
    return exponent == 0.5 or (exponent.imag == 0 and exponent.real in range(-99, 100))


def _integer_power(z: Complex, exponent: int) -> Complex:
    """z**n for an integer that is known."""
    one, zero = z.re.like(1.0), z.re.like(0.0)
    if exponent in (0, -1):
        return _reciprocal(z) if exponent else Complex(one, zero)
    left, square, product = abs(exponent), z, None
    while left:
        if left % 2:
            product = square if product is None else product * square
        square, left = square * square if left > 1 else square, left // 2
    assert product is not None
    if exponent > 0:
        return product
    nan = zero.like(float("nan"))
    return choose(is_nonzero(z), Complex(one, zero) / product, Complex(nan, nan))


def _by_squaring(z: Complex, count: Value) -> Complex:
    """z to a power of 0 to 127, times one, which makes NaN of what is infinite, as in NumPy."""
    square, product = z, Complex(z.re.like(1.0), z.re.like(0.0))
    for bit in range(7):
        product = choose((count & (1 << bit)) != 0, product * square, product)
        square = square * square if bit < 6 else square
    return product


def _in_double(z: Complex) -> Complex:
    return Complex(convert(z.re, DOUBLE), convert(z.im, DOUBLE))


def _dtype_of(z: Complex) -> np.dtype[Any]:
    return np.dtype(f"c{2 * z.re.dtype.itemsize}")


# ---- functions


def _of_library(name: str) -> Operation:
    """A function that some backends have."""
    return lambda z: z.re.code.complex_function(name, z)


def _log(z: Complex) -> Complex:
    """Half the logarithm of |z|**2, which is known with its rounding error: where it is near one, that counts."""
    x, y = (fabs(convert(part, DOUBLE)) for part in (z.re, z.im))
    large, small = where(x > y, x, y), where(x > y, y, x)
    is_large, is_small = large > 2.0**400, large < 2.0**-400
    factor = where(is_large, x.like(2.0**-600), where(is_small, x.like(2.0**600), 1.0))
    offset = where(is_large, x.like(600 * ln(2)), where(is_small, x.like(-600 * ln(2)), 0.0))
    (a, a_low), (b, b_low) = _square(large * factor), _square(small * factor)
    total = a + b
    low, lower = _sum(a_low, b_low)
    low, lowest = _sum(b - (total - a), low)
    beyond_one = ((total - 1.0) + low) + (lower + lowest)
    is_near = (total > 0.5) & (total < 2.0)
    re = 0.5 * where(is_near, log1p(beyond_one), log(total)) + offset
    re = where(is_infinite(x) | is_infinite(y), INFINITY, re)
    return Complex(convert(re, z.re.dtype), atan2(z.im, z.re))


def _sum(x: Value, y: Value) -> tuple[Value, Value]:
    """A sum and its rounding error: Knuth's two-sum."""
    total = x + y
    came = total - x
    return total, (x - (total - came)) + (y - came)


def _square(x: Value) -> tuple[Value, Value]:
    """A square and its rounding error."""
    square = x * x
    return square, fma(x, x, -square)


def _exp(z: Complex) -> Complex:
    """exp(x) (cos y + i sin y), in two factors where the first overflows; Annex G of C where it is infinite or NaN."""
    limit = float(np.floor(np.log(np.finfo(z.re.dtype).max)))
    is_large = z.re > limit
    size = exp(where(is_large, z.re - limit, z.re))
    again = where(is_large, z.re.like(float(np.exp(limit))), 1.0)
    re, im = (size * cos(z.im)) * again, (size * sin(z.im)) * again
    is_turned = fabs(z.im) < INFINITY
    re = where(is_turned, re, where(z.re == -INFINITY, 0.0, where(z.re == INFINITY, INFINITY, re)))
    im = where(is_turned | (z.re != -INFINITY), im, 0.0)
    return Complex(re, where(z.im == 0, z.im, im))


def _expm1(z: Complex) -> Complex:
    half = sin(z.im / 2.0)
    return Complex(expm1(z.re) * cos(z.im) - 2.0 * half * half, exp(z.re) * sin(z.im))


def _log1p(z: Complex) -> Complex:
    x = z.re + 1.0
    return Complex(log(hypot(x, z.im)), atan2(z.im, x))


COMPLEXES: Final[dict[str, Operation]] = {
    "add": op.add,
    "subtract": op.sub,
    "multiply": op.mul,
    "divide": op.truediv,
    "negative": op.neg,
    "positive": lambda z: z,
    "reciprocal": _reciprocal,
    "square": lambda z: z * z,
    "power": _power,
    "absolute": lambda z: hypot(z.re, z.im),
    "sign": _sign,
    "scale": _scale,
    "scale_both": _scale_both,
    "real": lambda z: z.re,
    "imag": lambda z: z.im,
    "conjugate": lambda z: Complex(z.re, -z.im),
    # comparison and logic
    "equal": lambda x, y: (x.re == y.re) & (x.im == y.im),
    "not_equal": lambda x, y: (x.re != y.re) | (x.im != y.im),
    "less": _less,
    "less_equal": _less_equal,
    "greater": lambda x, y: _less(y, x),
    "greater_equal": lambda x, y: _less_equal(y, x),
    "maximum": _extreme(lambda x, y: _less_equal(y, x), gives_way=False),
    "minimum": _extreme(_less_equal, gives_way=False),
    "fmax": _extreme(lambda x, y: _less_equal(y, x), gives_way=True),
    "fmin": _extreme(_less_equal, gives_way=True),
    "logical_and": lambda x, y: is_nonzero(x) & is_nonzero(y),
    "logical_or": lambda x, y: is_nonzero(x) | is_nonzero(y),
    "logical_xor": lambda x, y: is_nonzero(x) ^ is_nonzero(y),
    "logical_not": lambda z: ~is_nonzero(z),
    "isnan": is_nan_complex,
    "isinf": is_infinite_complex,
    "isfinite": lambda z: (fabs(z.re) < INFINITY) & (fabs(z.im) < INFINITY),
    # functions
    "exp": _exp,
    "exp2": lambda z: _exp(z.times(ln(2))),
    "expm1": _expm1,
    "log": _log,
    "log2": lambda z: _log(z).times(1 / ln(2)),
    "log10": lambda z: _log(z).times(1 / ln(10)),
    "log1p": _log1p,
    **COMPLEX_FUNCTIONS,
    **{name: _of_library(name) for name in COMPLEX_LIBRARY},
}
