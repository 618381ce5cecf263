"""The gamma and beta functions, the incomplete ones, and what is counted with them."""

from __future__ import annotations

from math import log, pi
from typing import Any

import numpy as np

from ...core.devices import beside, here
from ...errors import UnsupportedArgumentError
from ...numpy.common import as_operand
from ...numpy.scipy_ufuncs import hurwitz_zeta, riemann_zeta
from ...numpy.scipy_ufuncs import polygamma as _polygamma
from ...primitives.incomplete import betainc as _betainc
from ...primitives.incomplete import betaincinv as _betaincinv
from ...primitives.incomplete import gammainc as _gammainc
from ...primitives.incomplete import gammaincc as _gammaincc
from ...primitives.incomplete import gammainccinv as _gammainccinv
from ...primitives.incomplete import gammaincinv as _gammaincinv
from ...primitives.incomplete import stdtr as _stdtr
from ...primitives.incomplete import stdtrit as _stdtrit
from ...primitives.integrals import binom as _binom
from ...primitives.late_scipy import special
from ...primitives.special import beta as _beta
from ...primitives.special import betaln as _betaln
from ...primitives.special import digamma as _digamma
from ...primitives.special import gamma as _gamma
from ...primitives.special import gammasgn as _gammasgn
from ...primitives.special import lgamma as _lgamma
from ...primitives.special import loggamma as _loggamma
from ...primitives.special import poch as _poch


def gamma(z: Any) -> Any:
    """The gamma function.

    Example:
        >>> from functrans.scipy import special
        >>> float(special.gamma(5.0))
        24.0
    """
    return _gamma(as_operand(z))


def gammaln(x: Any) -> Any:
    """The logarithm of the absolute value of the gamma function.

    Example:
        >>> from functrans.scipy import special
        >>> float(special.gammaln(171.0).round(4))
        706.5731
    """
    return _lgamma(as_operand(x))


def gammasgn(x: Any) -> Any:
    """The sign of the gamma function, which has no derivative."""
    return _gammasgn(as_operand(x))


def loggamma(z: Any) -> Any:
    """The logarithm of the gamma function, analytic in the complex plane less the negative axis."""
    return _loggamma(as_operand(z))


def digamma(x: Any) -> Any:
    """The derivative of gammaln.

    Example:
        >>> from functrans.scipy import special
        >>> float(special.digamma(1.0).round(6))    # minus Euler's constant
        -0.577216
    """
    return _digamma(as_operand(x))


def beta(a: Any, b: Any) -> Any:
    """gamma(a) * gamma(b) / gamma(a + b).

    Example:
        >>> from functrans.scipy import special
        >>> float(special.beta(2.0, 3.0).round(6))    # 1 / 12
        0.083333
    """
    return _beta(as_operand(a), as_operand(b))


def betaln(a: Any, b: Any) -> Any:
    """The logarithm of the absolute value of the beta function.

    Example:
        >>> from functrans.scipy import special
        >>> float(special.betaln(200.0, 300.0).round(4))
        -337.9801
    """
    return _betaln(as_operand(a), as_operand(b))


def poch(z: Any, m: Any) -> Any:
    """Pochhammer's symbol gamma(z + m) / gamma(z)."""
    return _poch(as_operand(z), as_operand(m))


def gammainc(a: Any, x: Any) -> Any:
    """The regularized lower incomplete gamma function: how gamma variates of shape parameter a are distributed.

    It differentiates in both operands, to any order.

    Example:
        >>> from functrans.scipy import special
        >>> float(special.gammainc(1.0, 2.0).round(6))    # 1 - exp(-2)
        0.864665
    """
    return _gammainc(as_operand(a), as_operand(x))


def gammaincc(a: Any, x: Any) -> Any:
    """1 - gammainc(a, x), without loss for large x.

    Example:
        >>> from functrans.scipy import special
        >>> float((special.gammaincc(1.0, 100.0) * 1e44).round(6))    # exp(-100) * 1e44
        3.720076
    """
    return _gammaincc(as_operand(a), as_operand(x))


def gammaincinv(a: Any, y: Any) -> Any:
    """The x with gammainc(a, x) = y; it differentiates in both operands.

    Example:
        >>> from functrans.scipy import special
        >>> float(special.gammaincinv(1.0, 0.5).round(6))    # log(2)
        0.693147
    """
    return _gammaincinv(as_operand(a), as_operand(y))


def gammainccinv(a: Any, y: Any) -> Any:
    """The x with gammaincc(a, x) = y; it differentiates in both operands."""
    return _gammainccinv(as_operand(a), as_operand(y))


def betainc(a: Any, b: Any, x: Any) -> Any:
    """The regularized incomplete beta function: how beta variates are distributed.

    It differentiates in all three operands, to any order.

    Example:
        >>> from functrans.scipy import special
        >>> float(special.betainc(2.0, 3.0, 0.5))
        0.6875
    """
    return _betainc(as_operand(a), as_operand(b), as_operand(x))


def betaincinv(a: Any, b: Any, y: Any) -> Any:
    """The x with betainc(a, b, x) = y; it differentiates in all three operands."""
    return _betaincinv(as_operand(a), as_operand(b), as_operand(y))


def binom(n: Any, k: Any) -> Any:
    """The binomial coefficient of real numbers: gamma(n + 1) / (gamma(k + 1) * gamma(n - k + 1)).

    Example:
        >>> from functrans.scipy import special
        >>> float(special.binom(5, 2)), float(special.binom(0.5, 2))
        (10.0, -0.125)
    """
    return _binom(as_operand(n), as_operand(k))


def stdtr(df: Any, t: Any) -> Any:
    """The distribution function of Student's t with df degrees of freedom; it differentiates in both operands.

    Example:
        >>> from functrans.scipy import special
        >>> float(special.stdtr(1.0, 1.0).round(6))
        0.75
    """
    return _stdtr(as_operand(df), as_operand(t))


def stdtrit(df: Any, p: Any) -> Any:
    """The t with stdtr(df, t) = p; it differentiates in both operands."""
    return _stdtrit(as_operand(df), as_operand(p))


def betaincc(a: Any, b: Any, x: Any) -> Any:
    """1 - betainc(a, b, x), without loss for x near 1."""
    return _betainc(as_operand(b), as_operand(a), np.subtract(1, x))


def multigammaln(a: Any, d: int) -> Any:
    """The logarithm of the gamma function of dimension d: sum of gammaln(a - j / 2) for j < d, and a constant.

    Args:
        a: real numbers above (d - 1) / 2.

    Example:
        >>> from functrans.scipy import special
        >>> float(special.multigammaln(4.0, 2).round(6))
        3.565098
    """
    halves = beside(a, np.arange(d) / 2)
    return np.sum(_lgamma(np.subtract(np.expand_dims(as_operand(a), -1), halves)), axis=-1) + d * (d - 1) / 4 * log(pi)


def polygamma(n: Any, x: Any) -> Any:
    """The derivative of digamma of order n, where n is a whole number and not negative.

    Where n is a Python integer it is known for complex x too; n may be an array or traced.

    Example:
        >>> from functrans.scipy import special
        >>> float(special.polygamma(1, 1.0).round(6))    # pi**2 / 6
        1.644934
    """
    return _polygamma(n, x)


def zeta(x: Any, q: Any = None) -> Any:
    """The sum of (q + k)**-x over k = 0, 1, ... for x > 1 (Hurwitz); Riemann's zeta function without q.

    It differentiates in both operands. Where the sum is infinite it is infinite or NaN.

    Example:
        >>> from functrans.scipy import special
        >>> float(special.zeta(2.0).round(6))
        1.644934
    """
    return riemann_zeta(x) if q is None else hurwitz_zeta(x, q)


def factorial(n: Any, exact: bool = False) -> Any:
    """gamma(n + 1), and 0 for negative n.

    Raises:
        UnsupportedArgumentError: `exact` is asked for.

    Example:
        >>> from functrans.scipy import special
        >>> special.factorial([3, 5])
        array([  6., 120.])
    """
    _refuse_exact("factorial", exact)
    n = as_operand(n)
    return np.where(np.less(n, 0), 0.0, _gamma(np.maximum(n, 0) + 1.0))[()]


def comb(N: Any, k: Any, *, exact: bool = False, repetition: bool = False) -> Any:
    """How many ways there are to choose k of N things; 0 where k is negative or there are not so many.

    Args:
        repetition: whether a thing may be chosen more than once.

    Raises:
        UnsupportedArgumentError: `exact` is asked for.

    Example:
        >>> from functrans.scipy import special
        >>> float(special.comb(5, 2)), float(special.comb(5, 2, repetition=True))
        (10.0, 15.0)
    """
    _refuse_exact("comb", exact)
    N, k = as_operand(N), as_operand(k)
    if repetition:
        N = np.where(np.equal(k, 0), N, np.subtract(np.add(N, k), 1))
    is_none = np.less(N, 0) | np.less(k, 0) | np.less(N, k)
    return np.where(is_none, 0.0, _binom(np.where(is_none, 1.0, N), np.where(is_none, 0.0, k)))[()]


def _refuse_exact(name: str, exact: bool) -> None:
    if exact:
        raise UnsupportedArgumentError(
            f"{name} was asked for exact integers.",
            "They have no bound, and arrays hold integers of 64 bits.",
            f"Leave `exact` out, or call math.{name} on Python integers.",
        )


def bernoulli(n: int) -> Any:
    """The Bernoulli numbers of order 0 to n; that of order 1 is -1/2.

    Example:
        >>> from functrans.scipy import special
        >>> special.bernoulli(4).round(4)
        array([ 1.    , -0.5   ,  0.1667,  0.    , -0.0333])
    """
    return here(special().bernoulli(n))
