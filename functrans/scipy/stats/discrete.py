"""Distributions of a whole number.

Formulas: N. Johnson, A. Kemp and S. Kotz, "Univariate Discrete Distributions", 3rd edition, 2005.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...primitives.selection import select
from ..special import betainc, betaln, gammainc, gammaincc, gammaln, xlog1py, xlogy
from .distribution import INFINITY, Discrete


def _is_probability(p: Any) -> Any:
    return np.logical_and(np.greater_equal(p, 0), np.less_equal(p, 1))


class Bernoulli(Discrete):
    """One with probability p, and zero otherwise."""

    name = "bernoulli"
    shapes = ("p",)

    def is_valid(self, p: Any) -> Any:
        return _is_probability(p)

    def bounds(self, p: Any) -> tuple[Any, Any]:
        return 0, 1

    def log_mass(self, k: Any, p: Any) -> Any:
        return xlogy(k, p) + xlog1py(1 - k, -p)

    def below(self, k: Any, p: Any) -> Any:
        return 1 - p + 0 * k

    def above(self, k: Any, p: Any) -> Any:
        return p + 0 * k

    def ppf(self, q: Any, *args: Any, **parameters: Any) -> Any:
        """The least whole number with a probability of at least q of it or less."""
        q, p, loc = self.operands(q, args, parameters)
        value = loc + select(np.less_equal(q, 1 - p), 0.0, 1.0)
        return select(np.logical_and(_is_probability(q), _is_probability(p)), value, np.nan)


class Binomial(Discrete):
    """How many of n events happen, each with probability p."""

    name = "binom"
    shapes = ("n", "p")

    def is_valid(self, n: Any, p: Any) -> Any:
        return np.logical_and(np.greater_equal(n, 0), _is_probability(p))

    def bounds(self, n: Any, p: Any) -> tuple[Any, Any]:
        return 0, n

    def log_mass(self, k: Any, n: Any, p: Any) -> Any:
        ways = -np.log1p(n) - betaln(n - k + 1, k + 1)
        return ways + xlogy(k, p) + xlog1py(n - k, -p)

    def below(self, k: Any, n: Any, p: Any) -> Any:
        return betainc(n - k, k + 1, 1 - p)

    def above(self, k: Any, n: Any, p: Any) -> Any:
        return betainc(k + 1, n - k, p)


class BetaBinomial(Discrete):
    """A binomial number whose probability is a beta variate."""

    name = "betabinom"
    shapes = ("n", "a", "b")

    def is_valid(self, n: Any, a: Any, b: Any) -> Any:
        return np.greater_equal(n, 0) & np.greater(a, 0) & np.greater(b, 0)

    def bounds(self, n: Any, a: Any, b: Any) -> tuple[Any, Any]:
        return 0, n

    def log_mass(self, k: Any, n: Any, a: Any, b: Any) -> Any:
        ways = -np.log1p(n) - betaln(n - k + 1, k + 1)
        return ways + betaln(k + a, n - k + b) - betaln(a, b)


class NegativeBinomial(Discrete):
    """How many failures there are before n successes, each with probability p."""

    name = "nbinom"
    shapes = ("n", "p")

    def is_valid(self, n: Any, p: Any) -> Any:
        return np.greater(n, 0) & np.greater(p, 0) & np.less_equal(p, 1)

    def log_mass(self, k: Any, n: Any, p: Any) -> Any:
        ways = gammaln(k + n) - gammaln(k + 1) - gammaln(n)
        return ways + n * np.log(p) + xlog1py(k, -p)

    def below(self, k: Any, n: Any, p: Any) -> Any:
        return betainc(n, k + 1, p)

    def above(self, k: Any, n: Any, p: Any) -> Any:
        return betainc(k + 1, n, 1 - p)


class Geometric(Discrete):
    """How many trials there are until the first success, each with probability p."""

    name = "geom"
    shapes = ("p",)

    def is_valid(self, p: Any) -> Any:
        return np.logical_and(np.greater(p, 0), np.less_equal(p, 1))

    def bounds(self, p: Any) -> tuple[Any, Any]:
        return 1, INFINITY

    def log_mass(self, k: Any, p: Any) -> Any:
        return xlog1py(k - 1, -p) + np.log(p)

    def below(self, k: Any, p: Any) -> Any:
        return -np.expm1(xlog1py(k, -p))

    def above(self, k: Any, p: Any) -> Any:
        return np.exp(xlog1py(k, -p))


class Poisson(Discrete):
    """How many of many rare events happen, mu in the mean."""

    name = "poisson"
    shapes = ("mu",)

    def is_valid(self, mu: Any) -> Any:
        return np.greater_equal(mu, 0)

    def log_mass(self, k: Any, mu: Any) -> Any:
        return xlogy(k, mu) - gammaln(k + 1) - mu

    def below(self, k: Any, mu: Any) -> Any:
        return gammaincc(k + 1, mu)

    def above(self, k: Any, mu: Any) -> Any:
        return gammainc(k + 1, mu)


bernoulli, binom, betabinom, nbinom = Bernoulli(), Binomial(), BetaBinomial(), NegativeBinomial()
geom, poisson = Geometric(), Poisson()
