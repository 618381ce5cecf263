"""Distributions whose probabilities are incomplete gamma and beta functions.

Formulas: N. Johnson, S. Kotz and N. Balakrishnan, "Continuous Univariate Distributions", 2nd edition, 1994 and 1995.
"""

from __future__ import annotations

from math import log
from typing import Any

import numpy as np

from ...core.trace import typeof
from ...primitives.selection import select
from ..special import (
    betainc,
    betaincinv,
    betaln,
    gammainc,
    gammaincc,
    gammainccinv,
    gammaincinv,
    gammaln,
    stdtr,
    stdtrit,
    xlog1py,
    xlogy,
)
from .distribution import INFINITY, MINUS_INFINITY, Continuous


class Gamma(Continuous):
    """Density z**(a - 1) * exp(-z) / gamma(a) on z >= 0."""

    name = "gamma"
    shapes = ("a",)

    def bounds(self, a: Any) -> tuple[Any, Any]:
        return 0, INFINITY

    def log_density(self, z: Any, a: Any) -> Any:
        return xlogy(a - 1, z) - z - gammaln(a)

    def below(self, z: Any, a: Any) -> Any:
        return gammainc(a, z)

    def above(self, z: Any, a: Any) -> Any:
        return gammaincc(a, z)

    def quantile(self, q: Any, a: Any) -> Any:
        return gammaincinv(a, q)

    def upper_quantile(self, q: Any, a: Any) -> Any:
        return gammainccinv(a, q)


class ChiSquared(Continuous):
    """The sum of squares of df normal numbers: density z**(df / 2 - 1) * exp(-z / 2) / (2**(df/2) gamma(df/2))."""

    name = "chi2"
    shapes = ("df",)

    def bounds(self, df: Any) -> tuple[Any, Any]:
        return 0, INFINITY

    def log_density(self, z: Any, df: Any) -> Any:
        half = 0.5 * df
        return xlogy(half - 1, 0.5 * z) - 0.5 * z - gammaln(half) - log(2)

    def below(self, z: Any, df: Any) -> Any:
        return gammainc(0.5 * df, 0.5 * z)

    def above(self, z: Any, df: Any) -> Any:
        return gammaincc(0.5 * df, 0.5 * z)

    def quantile(self, q: Any, df: Any) -> Any:
        return 2 * gammaincinv(0.5 * df, q)

    def upper_quantile(self, q: Any, df: Any) -> Any:
        return 2 * gammainccinv(0.5 * df, q)


class InverseGamma(Continuous):
    """The inverse of a gamma variate: density z**(-a - 1) * exp(-1 / z) / gamma(a) on z > 0."""

    name = "invgamma"
    shapes = ("a",)

    def bounds(self, a: Any) -> tuple[Any, Any]:
        return 0, INFINITY

    def log_density(self, z: Any, a: Any) -> Any:
        inner = -(a + 1) * np.log(z) - gammaln(a) - 1 / z
        return select(np.equal(z, 0), MINUS_INFINITY, inner)

    def below(self, z: Any, a: Any) -> Any:
        return gammaincc(a, 1 / z)

    def above(self, z: Any, a: Any) -> Any:
        return gammainc(a, 1 / z)

    def quantile(self, q: Any, a: Any) -> Any:
        return 1 / gammainccinv(a, q)

    def upper_quantile(self, q: Any, a: Any) -> Any:
        return 1 / gammaincinv(a, q)


class Beta(Continuous):
    """Density z**(a - 1) * (1 - z)**(b - 1) / beta(a, b) on [0, 1]."""

    name = "beta"
    shapes = ("a", "b")

    def bounds(self, a: Any, b: Any) -> tuple[Any, Any]:
        return 0, 1

    def log_density(self, z: Any, a: Any, b: Any) -> Any:
        return xlogy(a - 1, z) + xlog1py(b - 1, -z) - betaln(a, b)

    def below(self, z: Any, a: Any, b: Any) -> Any:
        return betainc(a, b, z)

    def above(self, z: Any, a: Any, b: Any) -> Any:
        return betainc(b, a, 1 - z)

    def quantile(self, q: Any, a: Any, b: Any) -> Any:
        return betaincinv(a, b, q)

    def upper_quantile(self, q: Any, a: Any, b: Any) -> Any:
        return 1 - betaincinv(b, a, q)


class FisherF(Continuous):
    """The quotient of two chi-squared numbers, each over its degrees of freedom, dfn and dfd."""

    name = "f"
    shapes = ("dfn", "dfd")

    def bounds(self, n: Any, m: Any) -> tuple[Any, Any]:
        return 0, INFINITY

    def log_density(self, z: Any, n: Any, m: Any) -> Any:
        powers = 0.5 * n * np.log(n) + 0.5 * m * np.log(m) + xlogy(0.5 * n - 1, z)
        return powers - 0.5 * (n + m) * np.log(m + n * z) - betaln(0.5 * n, 0.5 * m)

    def below(self, z: Any, n: Any, m: Any) -> Any:
        return betainc(0.5 * n, 0.5 * m, n * z / (m + n * z))

    def above(self, z: Any, n: Any, m: Any) -> Any:
        return betainc(0.5 * m, 0.5 * n, m / (m + n * z))

    def quantile(self, q: Any, n: Any, m: Any) -> Any:
        return self.upper_quantile(1 - q, n, m)

    def upper_quantile(self, q: Any, n: Any, m: Any) -> Any:
        rest = betaincinv(0.5 * m, 0.5 * n, q)
        return m * (1 - rest) / (n * rest)


class StudentT(Continuous):
    """Density (1 + z**2 / df)**(-(df + 1) / 2) / (sqrt(df) * beta(df / 2, 1 / 2))."""

    name = "t"
    shapes = ("df",)

    def log_density(self, z: Any, df: Any) -> Any:
        half = typeof(df).dtype.type(0.5)
        return -0.5 * (df + 1) * np.log1p(z * z / df) - betaln(half * df, half) - 0.5 * np.log(df)

    def below(self, z: Any, df: Any) -> Any:
        return stdtr(df, z)

    def above(self, z: Any, df: Any) -> Any:
        return stdtr(df, -z)

    def quantile(self, q: Any, df: Any) -> Any:
        return stdtrit(df, q)

    def upper_quantile(self, q: Any, df: Any) -> Any:
        return -stdtrit(df, q)


gamma, chi2, invgamma = Gamma(), ChiSquared(), InverseGamma()
beta, f, t = Beta(), FisherF(), StudentT()
