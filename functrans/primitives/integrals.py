"""Integrals without a closed form, and the hypergeometric functions that some removable singularities lead to.

Derivatives: NIST Digital Library of Mathematical Functions, 7.2 (error functions, Fresnel integrals), 6.2 (sine and
cosine integrals), 8.19 (exponential integrals), 13.3 and 15.5 (hypergeometric functions), 25.12 (dilogarithm);
D. Owen, "Tables for computing bivariate normal probabilities", Ann. Math. Stat. 27, 1956.
"""

from __future__ import annotations

from collections.abc import Callable
from math import pi, sqrt
from typing import Any, NoReturn

import numpy as np

from ..core.trace import typeof
from ..errors import UnknownFunctionError
from .elementwise import (
    add,
    cos,
    divide,
    equal,
    exp,
    log,
    log1p,
    multiply,
    negative,
    power,
    reciprocal,
    sin,
    square,
    subtract,
)
from .foundation import Elementwise
from .late_scipy import LateOutput, LateUfunc
from .selection import select
from .special import digamma, erf, sinc


def _unknown(name: str, operand: str) -> Callable[..., Any]:
    """The derivative by an operand that has none here."""

    def derivative(*operands: Any) -> NoReturn:
        raise UnknownFunctionError(
            f"The derivative of {name} by {operand} was asked for.",
            "functrans knows that by the last operand.",
            "Wrap it with functrans.custom_jvp, or stop the gradient of that operand with functrans.lax.stop_gradient.",
        )

    return derivative


# ---- hypergeometric functions

hyp1f1 = Elementwise(
    "hyp1f1",
    LateUfunc("hyp1f1", 3),
    (
        _unknown("hyp1f1", "a"),
        _unknown("hyp1f1", "b"),
        lambda y, a, b, x: multiply(divide(a, b), hyp1f1(add(a, 1), add(b, 1), x)),
    ),
)
hyp2f1 = Elementwise(
    "hyp2f1",
    LateUfunc("hyp2f1", 4),
    (
        _unknown("hyp2f1", "a"),
        _unknown("hyp2f1", "b"),
        _unknown("hyp2f1", "c"),
        lambda y, a, b, c, x: multiply(
            divide(multiply(a, b), c), hyp2f1(add(a, 1), add(b, 1), add(c, 1), x)
        ),
    ),
)
#: Complete elliptic integrals are pi / 2 times hypergeometric functions of the parameter; so are their derivatives.
ellipk = Elementwise("ellipk", LateUfunc("ellipk"), (lambda y, m: multiply(pi / 8, hyp2f1(1.5, 1.5, 2.0, m)),))
ellipe = Elementwise("ellipe", LateUfunc("ellipe"), (lambda y, m: multiply(-pi / 8, hyp2f1(0.5, 1.5, 2.0, m)),))
#: (exp(x) - 1) / x, and its derivative by a power series.
exprel = Elementwise("exprel", LateUfunc("exprel"), (lambda y, x: multiply(0.5, hyp1f1(2.0, 3.0, x)),))


def _by_power(log_x: Any, lmbda: Any) -> Any:
    """The derivative of (x**lmbda - 1) / lmbda by lmbda."""
    is_end = equal(log_x, -np.inf)
    safe = select(is_end, typeof(log_x).dtype.type(0), log_x)
    slope = multiply(multiply(0.5, square(safe)), hyp1f1(2.0, 3.0, multiply(lmbda, safe)))
    return select(is_end, reciprocal(square(lmbda)), slope)


boxcox = Elementwise(
    "boxcox",
    LateUfunc("boxcox", 2),
    (lambda y, x, lmbda: power(x, subtract(lmbda, 1.0)), lambda y, x, lmbda: _by_power(log(x), lmbda)),
)
boxcox1p = Elementwise(
    "boxcox1p",
    LateUfunc("boxcox1p", 2),
    (
        lambda y, x, lmbda: power(add(1.0, x), subtract(lmbda, 1.0)),
        lambda y, x, lmbda: _by_power(log1p(x), lmbda),
    ),
)
#: The dilogarithm of 1 - x; log(x) / (x - 1) is 1 / exprel(log(x)).
spence = Elementwise("spence", LateUfunc("spence"), (lambda y, x: negative(reciprocal(exprel(log(x)))),))

# ---- integrals of exponentials

dawsn = Elementwise(
    "dawsn", LateUfunc("dawsn"), (lambda y, x: subtract(1.0, multiply(2.0, multiply(x, y))),)
)
wofz = Elementwise(
    "wofz", LateUfunc("wofz"), (lambda y, z: subtract(2j / sqrt(pi), multiply(2.0, multiply(z, y))),)
)


def _expn_slope(y: Any, n: Any, x: Any) -> Any:
    """- E_(n-1)(x), of which E_(-1) is a formula."""
    is_zero = equal(n, 0)
    below = expn(select(is_zero, 0, subtract(n, 1)), x)
    return negative(select(is_zero, multiply(below, add(1.0, reciprocal(x))), below))


class _OfOrder(Elementwise):
    """A function of a whole number and a real one; kernels take both as real numbers."""

    def lower(self, result: Any, n: Any, x: Any) -> Any:
        dtype = result.aval.dtype
        return lambda index: result.apply(self.name, n.broadcast(index), x.broadcast(index), computes_in=dtype)


expn = _OfOrder("expn", LateUfunc("expn", 2), (_unknown("expn", "n"), _expn_slope))
owens_t = Elementwise(
    "owens_t",
    LateUfunc("owens_t", 2),
    (
        lambda y, h, a: multiply(
            exp(multiply(-0.5, square(h))),
            multiply(-0.5 / sqrt(2 * pi), erf(multiply(sqrt(0.5), multiply(a, h)))),
        ),
        lambda y, h, a: divide(
            exp(multiply(-0.5, multiply(square(h), add(1.0, square(a))))), multiply(2 * pi, add(1.0, square(a)))
        ),
    ),
)

# ---- integrals of sines and cosines; SciPy's functions return them in pairs

sine_integral = Elementwise(
    "sine_integral", LateOutput("sici", 0), (lambda y, x: sinc(multiply(1 / pi, x), order=0),)
)
cosine_integral = Elementwise("cosine_integral", LateOutput("sici", 1), (lambda y, x: divide(cos(x), x),))
fresnel_s = Elementwise("fresnel_s", LateOutput("fresnel", 0), (lambda y, x: sin(multiply(pi / 2, square(x))),))
fresnel_c = Elementwise("fresnel_c", LateOutput("fresnel", 1), (lambda y, x: cos(multiply(pi / 2, square(x))),))

# ---- binomial coefficients


def _log_slope(x: Any, y: Any) -> Any:
    """The derivative of log(gamma(x + 1) / gamma(y + 1)) as x and y move together."""
    return subtract(digamma(add(x, 1.0)), digamma(add(y, 1.0)))


binom = Elementwise(
    "binom",
    LateUfunc("binom", 2),
    (
        lambda y, n, k: multiply(y, _log_slope(n, subtract(n, k))),
        lambda y, n, k: multiply(y, _log_slope(subtract(n, k), k)),
    ),
)
