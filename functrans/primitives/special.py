"""Special functions: SciPy's ufuncs, and three families whose derivatives are members of the same family."""

from __future__ import annotations

from collections.abc import Sequence
from math import factorial, pi, sqrt
from typing import Any, Final

import numpy as np

from ..core.avals import ShapedArray, is_inexact
from ..core.devices import is_on_device
from ..core.dtypes import as_dtype, kind_of
from ..core.primitive import Primitive
from ..core.trace import typeof
from ..errors import UnsupportedDtypeError
from . import on_gpu
from .elementwise import (
    add,
    divide,
    equal,
    exp,
    log,
    log1p,
    multiply,
    negative,
    sign,
    square,
    subtract,
)
from .foundation import Elementwise, match, scale
from .late_scipy import LateUfunc, special
from .on_gpu import special_function
from .selection import select
from .zeta import complex_polygamma

_SQRT_PI: Final = sqrt(pi)
_SQRT_2PI: Final = sqrt(2 * pi)
_BOOL, _DOUBLE = np.dtype(np.bool_), np.dtype(np.float64)
#: Orders of derivatives that kernels have: those of digamma have a factorial that is a float, those of sinc are short.
_MOST_FACTORIAL, _MOST_SINC = 170, 8


class Indexed(Primitive):
    """A function of each element with an integer index, whose derivative is another member of its family.

    Subclasses write `evaluate`, on arrays of single or double precision, and `derivative`.
    """

    never_fails = True
    is_pointwise = True

    def abstract_eval(self, x: ShapedArray, *, order: int) -> list[ShapedArray]:
        if x.dtype.kind == "c":
            raise UnsupportedDtypeError(
                f"`{self.name}` is not defined for operands of dtype {x.dtype.name}.",
                "It is known for real numbers only.",
                "Take the real part if the imaginary part is zero.",
            )
        is_small = kind_of(x.dtype) == "f" and x.dtype.itemsize <= 4
        return [ShapedArray(x.shape, np.dtype(np.float32 if is_small else np.float64))]

    def impl(self, x: Any, *, order: int) -> list[Any]:
        (aval,) = self.abstract_eval(typeof(x), order=order)
        return [as_dtype(self.evaluate(as_dtype(x, aval.dtype), order), aval.dtype)[()]]

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Any], *, order: int) -> tuple[Any, Any]:
        y = self(primals[0], order=order)
        with np.errstate(all="ignore"):
            return [y], [match(scale(tangents[0], self.derivative(y, primals[0], order)), y)]

    def batch(self, size: int, values: Sequence[Any], mapped: Sequence[bool], *, order: int) -> tuple[Any, Any]:
        return [self(values[0], order=order)], [True]

    def evaluate(self, x: Any, order: int) -> Any:
        """The values at an array."""
        raise NotImplementedError

    def derivative(self, y: Any, x: Any, order: int) -> Any:
        """The derivative at x, where the value is y."""
        raise NotImplementedError


class Bessel(Indexed):
    """A Bessel function of integer order.

    Attributes:
        operation: what kernels have for it, in double precision.
    """

    operation: str

    def first(self) -> tuple[Elementwise, Elementwise]:
        """The functions of orders 0 and 1: primitives of their own, which are much quicker, and known far out."""
        raise NotImplementedError

    def neighbours(self, x: Any, order: int) -> tuple[Any, Any]:
        """The functions of the orders before and after."""
        first = self.first()
        before, after = (first[n](x) if n < 2 else self(x, order=n) for n in (abs(order - 1), order + 1))
        return before, after

    def lower(self, result: Any, x: Any, *, order: int) -> Any:
        if order < 0:
            return None
        wide = result.of(_DOUBLE)
        return lambda index: result.cast(wide.apply(self.operation, wide.constant(order), x.at(index)))


class Polygamma(Indexed):
    """The derivative of digamma of some order, at least 1; of complex numbers too."""

    def abstract_eval(self, x: ShapedArray, *, order: int) -> list[ShapedArray]:
        return [x.strong()] if x.dtype.kind == "c" else super().abstract_eval(x, order=order)

    def evaluate(self, x: Any, order: int) -> Any:
        if x.dtype.kind == "c":
            return complex_polygamma(order, x.astype(np.complex128))
        if is_on_device(x):
            return special_function("polygamma", np.full_like(x, order), x)
        return special().polygamma(order, x)

    def derivative(self, y: Any, x: Any, order: int) -> Any:
        return polygamma(x, order=order + 1)

    def lower(self, result: Any, x: Any, *, order: int) -> Any:
        """By the zeta function, as SciPy does."""
        if order > _MOST_FACTORIAL or result.aval.dtype.kind == "c":
            return None
        wide, factor = result.of(_DOUBLE), float((-1) ** (order + 1) * factorial(order))

        def element(index: Any) -> Any:
            zeta = wide.apply("hurwitz_zeta", wide.constant(order + 1), x.at(index))
            return result.cast(wide.apply("multiply", wide.constant(factor), zeta))

        return element


class BesselI(Bessel):
    """The modified Bessel function of the first kind, of integer order (DLMF 10.29.1)."""

    operation = "modified_bessel"

    def evaluate(self, x: Any, order: int) -> Any:
        if is_on_device(x):
            half = np.exp(0.5 * np.abs(x.astype(np.float64)))
            return on_gpu.scaled_bessel_i(abs(order), x) * half * half
        return special().iv(order, x)

    def derivative(self, y: Any, x: Any, order: int) -> Any:
        return multiply(0.5, add(*self.neighbours(x, order)))

    def first(self) -> tuple[Elementwise, Elementwise]:
        return i0, i1


class ScaledBesselI(Bessel):
    """exp(-|x|) times the modified Bessel function."""

    operation = "scaled_modified_bessel"

    def evaluate(self, x: Any, order: int) -> Any:
        return on_gpu.scaled_bessel_i(abs(order), x) if is_on_device(x) else special().ive(order, x)

    def derivative(self, y: Any, x: Any, order: int) -> Any:
        slope = multiply(0.5, add(*self.neighbours(x, order)))
        return subtract(slope, multiply(sign(x), y))

    def first(self) -> tuple[Elementwise, Elementwise]:
        return i0e, i1e


class BesselJ(Bessel):
    """The Bessel function of the first kind, of integer order, not negative (DLMF 10.6.1)."""

    operation = "bessel_of_order"

    def evaluate(self, x: Any, order: int) -> Any:
        return on_gpu.bessel_j(order, x) if is_on_device(x) else special().jv(order, x)

    def derivative(self, y: Any, x: Any, order: int) -> Any:
        if order == 0:
            return negative(j1(x))
        return multiply(0.5, subtract(*self.neighbours(x, order)))

    def first(self) -> tuple[Elementwise, Elementwise]:
        return j0, j1


class Sinc(Indexed):
    """The derivative of some order of sin(pi x) / (pi x); of complex numbers too."""

    def abstract_eval(self, x: ShapedArray, *, order: int) -> list[ShapedArray]:
        return [x.strong() if is_inexact(x.dtype) else ShapedArray(x.shape, np.dtype(np.float64))]

    def evaluate(self, x: Any, order: int) -> Any:
        if order == 0:
            return np.sinc(x)
        x = x.astype(np.float32) if x.dtype == np.float16 else x
        return pi**order * _sinc(as_dtype(pi * x, x.dtype), order)

    def derivative(self, y: Any, x: Any, order: int) -> Any:
        return self(x, order=order + 1)

    def lower(self, result: Any, x: Any, *, order: int) -> Any:
        """Not in half precision, where NumPy rounds pi x, and of a low order."""
        if order > _MOST_SINC or result.aval.dtype not in (np.float32, np.float64):
            return None
        if not order:
            return lambda index: result.apply(self.name, x.at(index))
        return lambda index: _lowered_sinc(result, result.cast(x.at(index)), order)


def _lowered_sinc(result: Any, x: Any, order: int) -> Any:
    """As `_sinc`, of pi x and times pi**order, as an expression of kernels."""

    def of(operation: str, *operands: Any) -> Any:
        return result.apply(operation, *(result.constant(y) if isinstance(y, float) else y for y in operands))

    limit = 1 + order / 2
    w = of("multiply", x, pi)
    near = result.apply("less", of("absolute", w), result.constant(limit), gives=_BOOL)
    safe, small = result.choose(near, result.constant(limit), w), result.choose(near, w, result.constant(0))
    turned = [of("sin", safe), of("cos", safe)]
    far = of("divide", turned[0], safe)
    for k in range(1, order + 1):
        numerator = turned[k % 2] if k % 4 < 2 else of("negative", turned[k % 2])
        far = of("divide", of("subtract", numerator, of("multiply", far, float(k))), safe)
    coefficients = [_sinc_coefficient(m, order) for m in range((order + 1) // 2, 20 + order)]
    squared, series = of("square", small), result.constant(coefficients[-1])
    for coefficient in reversed(coefficients[:-1]):
        series = of("add", of("multiply", series, squared), coefficient)
    if order % 2:
        series = of("multiply", series, small)
    return of("multiply", result.choose(near, series, far), pi**order)


def _sinc_coefficient(m: int, order: int) -> float:
    """What the power 2m - order of w has in the series."""
    return (-1) ** m / (factorial(2 * m - order) * (2 * m + 1))


def _sinc(w: Any, order: int) -> Any:
    """The derivative of f(w) = sin(w) / w: from w f = sin(w) by Leibniz' rule, and by the power series near zero."""
    near = np.abs(w) < 1 + order / 2
    safe = np.where(near, 1 + order / 2, w)
    turned = np.sin(safe), np.cos(safe)
    far = turned[0] / safe
    for k in range(1, order + 1):
        far = ((turned[k % 2] if k % 4 < 2 else -turned[k % 2]) - k * far) / safe
    small = np.where(near, w, 0)
    series = np.zeros_like(small)
    for m in range((order + 1) // 2, 20 + order):
        series += _sinc_coefficient(m, order) * small ** (2 * m - order)
    return np.where(near, series, far)


polygamma = Polygamma("polygamma")
bessel_i = BesselI("bessel_i")
scaled_bessel_i = ScaledBesselI("scaled_bessel_i")
bessel_j = BesselJ("bessel_j")
sinc = Sinc("sinc")

# ---- the error function and the normal distribution

erf = Elementwise("erf", LateUfunc("erf"), (lambda y, x: multiply(2 / _SQRT_PI, exp(negative(square(x)))),))
erfc = Elementwise("erfc", LateUfunc("erfc"), (lambda y, x: multiply(-2 / _SQRT_PI, exp(negative(square(x)))),))
erfcx = Elementwise(
    "erfcx", LateUfunc("erfcx"), (lambda y, x: subtract(multiply(2, multiply(x, y)), 2 / _SQRT_PI),)
)
erfinv = Elementwise("erfinv", LateUfunc("erfinv"), (lambda y, x: multiply(_SQRT_PI / 2, exp(square(y))),))
erfcinv = Elementwise("erfcinv", LateUfunc("erfcinv"), (lambda y, x: multiply(-_SQRT_PI / 2, exp(square(y))),))
ndtr = Elementwise("ndtr", LateUfunc("ndtr"), (lambda y, x: divide(exp(multiply(-0.5, square(x))), _SQRT_2PI),))
ndtri = Elementwise("ndtri", LateUfunc("ndtri"), (lambda y, x: multiply(_SQRT_2PI, exp(multiply(0.5, square(y)))),))
log_ndtr = Elementwise(
    "log_ndtr", LateUfunc("log_ndtr"), (lambda y, x: divide(exp(subtract(multiply(-0.5, square(x)), y)), _SQRT_2PI),)
)

# ---- the gamma function

lgamma = Elementwise("lgamma", LateUfunc("gammaln"), (lambda y, x: digamma(x),))
digamma = Elementwise("digamma", LateUfunc("psi"), (lambda y, x: polygamma(x, order=1),))

gamma = Elementwise("gamma", LateUfunc("gamma"), (lambda y, x: multiply(y, digamma(x)),))
loggamma = Elementwise("loggamma", LateUfunc("loggamma"), (lambda y, x: digamma(x),))
gammasgn = Elementwise("gammasgn", LateUfunc("gammasgn"))
beta = Elementwise(
    "beta",
    LateUfunc("beta", 2),
    (lambda z, x, y: multiply(z, _log_beta_slope(x, y)), lambda z, x, y: multiply(z, _log_beta_slope(y, x))),
)
betaln = Elementwise(
    "betaln", LateUfunc("betaln", 2), (lambda z, x, y: _log_beta_slope(x, y), lambda z, x, y: _log_beta_slope(y, x))
)
poch = Elementwise(
    "poch",
    LateUfunc("poch", 2),
    (lambda z, x, m: multiply(z, negative(_log_beta_slope(x, m))), lambda z, x, m: multiply(z, digamma(add(x, m)))),
)

# ---- exponential integrals

exp1 = Elementwise("exp1", LateUfunc("exp1"), (lambda y, x: negative(divide(exp(negative(x)), x)),))
expi = Elementwise("expi", LateUfunc("expi"), (lambda y, x: divide(exp(x), x),))

# ---- logistic functions and x log y

expit = Elementwise("expit", LateUfunc("expit"), (lambda y, x: multiply(y, expit(negative(x))),))
logit = Elementwise("logit", LateUfunc("logit"), (lambda y, x: divide(1, multiply(x, subtract(1, x))),))
log_expit = Elementwise("log_expit", LateUfunc("log_expit"), (lambda y, x: expit(negative(x)),))
xlogy = Elementwise("xlogy", LateUfunc("xlogy", 2), (lambda z, x, y: log(y), lambda z, x, y: _quotient(x, y)))
xlog1py = Elementwise(
    "xlog1py", LateUfunc("xlog1py", 2), (lambda z, x, y: log1p(y), lambda z, x, y: _quotient(x, add(1, y)))
)
entr = Elementwise("entr", LateUfunc("entr"), (lambda y, x: subtract(-1, log(x)),))
rel_entr = Elementwise(
    "rel_entr",
    LateUfunc("rel_entr", 2),
    (lambda z, x, y: add(1, log(divide(x, y))), lambda z, x, y: negative(divide(x, y))),
)
kl_div = Elementwise(
    "kl_div", LateUfunc("kl_div", 2), (lambda z, x, y: log(divide(x, y)), lambda z, x, y: subtract(1, divide(x, y)))
)

# ---- Bessel functions

j0 = Elementwise("j0", LateUfunc("j0"), (lambda y, x: negative(j1(x)),))
j1 = Elementwise("j1", LateUfunc("j1"), (lambda y, x: bessel_j.derivative(y, x, 1),))
y0 = Elementwise("y0", LateUfunc("y0"), (lambda y, x: negative(y1(x)),))
y1 = Elementwise("y1", LateUfunc("y1"), (lambda y, x: subtract(y0(x), divide(y, x)),))
k0 = Elementwise("k0", LateUfunc("k0"), (lambda y, x: negative(k1(x)),))
k1 = Elementwise("k1", LateUfunc("k1"), (lambda y, x: negative(add(k0(x), divide(y, x))),))
k0e = Elementwise("k0e", LateUfunc("k0e"), (lambda y, x: subtract(y, k1e(x)),))
k1e = Elementwise("k1e", LateUfunc("k1e"), (lambda y, x: subtract(subtract(y, k0e(x)), divide(y, x)),))
i0 = Elementwise("i0", LateUfunc("i0"), (lambda y, x: i1(x),))
i1 = Elementwise("i1", LateUfunc("i1"), (lambda y, x: bessel_i.derivative(y, x, 1),))
i0e = Elementwise("i0e", LateUfunc("i0e"), (lambda y, x: scaled_bessel_i.derivative(y, x, 0),))
i1e = Elementwise("i1e", LateUfunc("i1e"), (lambda y, x: scaled_bessel_i.derivative(y, x, 1),))


def _quotient(x: Any, y: Any) -> Any:
    """x / y, and zero where x is."""
    is_zero = equal(x, 0)
    return select(is_zero, 0.0, divide(x, select(is_zero, 1.0, y)))


def _log_beta_slope(x: Any, y: Any) -> Any:
    """The derivative of log(beta(x, y)) by x."""
    return subtract(digamma(x), digamma(add(x, y)))
