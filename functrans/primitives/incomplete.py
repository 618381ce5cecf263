"""Incomplete gamma and beta functions: the distribution functions of gamma and beta variates, and their inverses."""

from __future__ import annotations

from typing import Any

from ..core.devices import here
from ..core.trace import typeof
from .elementwise import (
    absolute,
    add,
    divide,
    equal,
    exp,
    expm1,
    isinf,
    less_equal,
    log,
    log1p,
    logical_not,
    logical_or,
    maximum,
    minimum,
    multiply,
    negative,
    sign,
    sqrt,
    square,
    subtract,
)
from .foundation import Elementwise, broadcast_to, convert, reduce_sum, reshape
from .late_scipy import LateUfunc
from .random_gamma import NODES, WEIGHTS, log_gamma_slope
from .selection import select
from .special import betaln, digamma, lgamma, xlog1py, xlogy


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


def _beta_by_first(y: Any, a: Any, b: Any, x: Any) -> Any:
    return beta_slope(a, b, x, subtract(1, x), y, is_first=True)


def _beta_by_second(y: Any, a: Any, b: Any, x: Any) -> Any:
    return beta_slope(a, b, x, subtract(1, x), y, is_first=False)


def beta_slope(a: Any, b: Any, x: Any, rest: Any, y: Any, is_first: bool) -> Any:
    """The derivative of the distribution function of beta variates by its first or its second parameter.

    y is its value at x, and rest is 1 - x.

    It is the integral of the density times its score, over the side of the mean where x lies: that above is the one
    below for 1 - x with the parameters swapped. With u exp(-w) for the variable of integration, p and q being the
    parameters, c = digamma(p + q) - digamma(p) and v = 1 - u, the one for p is

        u**p v**(q - 1) / beta(p, q) * integral over w > 0 of (log(u) - w + c) exp(-p w) (1 - u expm1(-w) / v)**(q - 1)

    by the exp-sinh rule of `random_gamma`; with log(1 - u exp(-w)) - digamma(q) + digamma(p + q), the one for q.
    """
    aval = typeof(y)
    dtype = aval.dtype
    a, b, x, rest = (broadcast_to(convert(v, dtype=dtype), shape=aval.shape) for v in (a, b, x, rest))
    is_end = logical_or(equal(x, 0), equal(rest, 0))
    x, rest = (select(is_end, dtype.type(0.5), v) for v in (x, rest))
    below = less_equal(multiply(x, b), multiply(rest, a))
    p, q, u, v = select(below, a, b), select(below, b, a), select(below, x, rest), select(below, rest, x)
    is_own = below if is_first else logical_not(below)
    integral = _beta_score(p, q, u, v, is_own)
    front = exp(subtract(add(multiply(p, log(u)), multiply(subtract(q, 1), log(v))), betaln(p, q)))
    slope = multiply(front, integral)
    return select(is_end, dtype.type(0), select(below, slope, negative(slope)))


def _beta_score(p: Any, q: Any, u: Any, v: Any, is_own: Any) -> Any:
    """The integral in `beta_slope`; of the score by p where `is_own` holds, and by q elsewhere."""
    aval = typeof(p)
    nodes, weights = here(NODES.astype(aval.dtype)), here(WEIGHTS.astype(aval.dtype))
    both = digamma(add(p, q))
    own, other = subtract(both, digamma(p)), subtract(both, digamma(q))
    # About the width of the integrand: how fast it falls at w = 0, and how its fall grows.
    above = maximum(subtract(q, 1), 0)
    fall = subtract(p, divide(multiply(above, u), v))
    width = divide(1, add(maximum(fall, 0), add(divide(sqrt(multiply(above, u)), v), minimum(p, 1))))
    column = (*aval.shape, 1)
    p, q, u, v, own, other, is_own, step = (
        reshape(x, shape=column) for x in (p, q, u, v, own, other, is_own, width)
    )
    w = multiply(step, nodes)
    ratio = log1p(negative(multiply(divide(u, v), expm1(negative(w)))))
    score = select(is_own, add(subtract(log(u), w), own), add(add(log(v), ratio), other))
    kernel = exp(subtract(multiply(subtract(q, 1), ratio), multiply(p, w)))
    return multiply(width, reduce_sum(multiply(multiply(score, kernel), weights), axes=(len(aval.shape),)))


gammainc = Elementwise(
    "gammainc", LateUfunc("gammainc", 2), (_gamma_by_shape, lambda y, a, x: _gamma_density(a, x))
)
gammaincc = Elementwise(
    "gammaincc",
    LateUfunc("gammaincc", 2),
    (lambda y, a, x: negative(_gamma_by_shape(y, a, x)), lambda y, a, x: negative(_gamma_density(a, x))),
)
betainc = Elementwise(
    "betainc", LateUfunc("betainc", 3), (_beta_by_first, _beta_by_second, lambda y, a, b, x: _beta_density(a, b, x))
)

# ---- quantiles: F(x, a) stays what it is, so that dx = (dF - F_a da) / F_x

gammaincinv = Elementwise(
    "gammaincinv",
    LateUfunc("gammaincinv", 2),
    (
        lambda x, a, y: negative(divide(_gamma_by_shape(x, a, x), _gamma_density(a, x))),
        lambda x, a, y: divide(1, _gamma_density(a, x)),
    ),
)
gammainccinv = Elementwise(
    "gammainccinv",
    LateUfunc("gammainccinv", 2),
    (gammaincinv.derivatives[0], lambda x, a, y: divide(-1, _gamma_density(a, x))),
)
betaincinv = Elementwise(
    "betaincinv",
    LateUfunc("betaincinv", 3),
    (
        lambda x, a, b, y: negative(divide(_beta_by_first(x, a, b, x), _beta_density(a, b, x))),
        lambda x, a, b, y: negative(divide(_beta_by_second(x, a, b, x), _beta_density(a, b, x))),
        lambda x, a, b, y: divide(1, _beta_density(a, b, x)),
    ),
)

# ---- Student's t distribution


def _t_density(df: Any, t: Any) -> Any:
    """That of Student's t with df degrees of freedom, at t."""
    powers = multiply(multiply(0.5, add(df, 1)), log1p(divide(square(t), df)))
    return exp(negative(add(add(powers, multiply(0.5, log(df))), betaln(multiply(0.5, df), 0.5))))


def _t_by_degrees(y: Any, df: Any, t: Any) -> Any:
    """The derivative of its distribution function at t by df.

    Below zero the function is half of betainc(df / 2, 1 / 2, df / (df + t**2)), and above one minus that.
    """
    squared = square(t)
    x, rest = divide(df, add(df, squared)), divide(squared, add(df, squared))
    half = multiply(0.5, df)
    by_shape = multiply(0.25, beta_slope(half, 0.5, x, rest, y, is_first=True))
    by_place = multiply(divide(absolute(t), multiply(2, df)), _t_density(df, t))
    return multiply(negative(sign(t)), add(by_shape, by_place))


stdtr = Elementwise("stdtr", LateUfunc("stdtr", 2), (_t_by_degrees, lambda y, df, t: _t_density(df, t)))
stdtrit = Elementwise(
    "stdtrit",
    LateUfunc("stdtrit", 2),
    (
        lambda t, df, p: negative(divide(_t_by_degrees(t, df, t), _t_density(df, t))),
        lambda t, df, p: divide(1, _t_density(df, t)),
    ),
)
