"""Incomplete gamma and beta functions: the distribution functions of gamma and beta variates."""

from __future__ import annotations

from typing import Any, NoReturn

from ..core.trace import typeof
from ..errors import UnknownFunctionError
from .elementwise import add, equal, exp, isinf, log, logical_or, multiply, negative, subtract
from .foundation import Elementwise, broadcast_to, convert
from .late_scipy import LateUfunc
from .random_gamma import log_gamma_slope
from .selection import select
from .special import betaln, lgamma, xlog1py, xlogy


def _gamma_density(a: Any, x: Any) -> Any:
    """That of gamma variates of shape parameter a, at x."""
    return exp(subtract(subtract(xlogy(subtract(a, 1), x), x), lgamma(a)))


def _gamma_by_shape(y: Any, a: Any, x: Any) -> Any:
    """The derivative of their distribution function y by a: its quantiles move as `log_gamma_slope` says."""
    aval = typeof(y)
    a, x = (broadcast_to(convert(v, dtype=aval.dtype), shape=aval.shape) for v in (a, x))
    is_end = logical_or(equal(x, 0), isinf(x))
    x = select(is_end, aval.dtype.type(1), x)
    slope = multiply(_gamma_density(a, x), multiply(x, log_gamma_slope(a, log(x))))
    return select(is_end, aval.dtype.type(0), negative(slope))


def _beta_density(a: Any, b: Any, x: Any) -> Any:
    """That of beta variates at x."""
    powers = add(xlogy(subtract(a, 1), x), xlog1py(subtract(b, 1), negative(x)))
    return exp(subtract(powers, betaln(a, b)))


def _beta_by_shape(y: Any, a: Any, b: Any, x: Any) -> NoReturn:
    raise UnknownFunctionError(
        "The derivative of betainc by its first or second operand was asked for.",
        "functrans knows that by the third one.",
        "Wrap it with functrans.custom_jvp, or stop the gradient of that operand with functrans.lax.stop_gradient.",
    )


gammainc = Elementwise(
    "gammainc", LateUfunc("gammainc", 2), (_gamma_by_shape, lambda y, a, x: _gamma_density(a, x))
)
gammaincc = Elementwise(
    "gammaincc",
    LateUfunc("gammaincc", 2),
    (lambda y, a, x: negative(_gamma_by_shape(y, a, x)), lambda y, a, x: negative(_gamma_density(a, x))),
)
betainc = Elementwise(
    "betainc", LateUfunc("betainc", 3), (_beta_by_shape, _beta_by_shape, lambda y, a, b, x: _beta_density(a, b, x))
)
