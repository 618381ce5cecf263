"""Distributions of normal numbers and of what is made of one.

Formulas: N. Johnson, S. Kotz and N. Balakrishnan, "Continuous Univariate Distributions", 2nd edition, 1994 and 1995.
"""

from __future__ import annotations

from math import log, pi, sqrt
from typing import Any

import numpy as np

from ...primitives.selection import select
from ..special import (
    erf,
    erfc,
    erfcinv,
    erfinv,
    gammaincc,
    gammainccinv,
    gammaln,
    log_ndtr,
    ndtr,
    ndtri,
)
from .distribution import INFINITY, MINUS_INFINITY, Continuous

_LOG_2PI = log(2 * pi)


class Normal(Continuous):
    """Density exp(-z**2 / 2) / sqrt(2 pi)."""

    name = "norm"

    def log_density(self, z: Any) -> Any:
        return -0.5 * (z * z + _LOG_2PI)

    def below(self, z: Any) -> Any:
        return ndtr(z)

    def above(self, z: Any) -> Any:
        return ndtr(-z)

    def log_below(self, z: Any) -> Any:
        return log_ndtr(z)

    def log_above(self, z: Any) -> Any:
        return log_ndtr(-z)

    def quantile(self, q: Any) -> Any:
        return ndtri(q)

    def upper_quantile(self, q: Any) -> Any:
        return -ndtri(q)


class HalfNormal(Continuous):
    """The absolute value of a normal number: density sqrt(2 / pi) * exp(-z**2 / 2) on z >= 0."""

    name = "halfnorm"

    def bounds(self) -> tuple[Any, Any]:
        return 0, INFINITY

    def log_density(self, z: Any) -> Any:
        return 0.5 * (log(2 / pi) - z * z)

    def below(self, z: Any) -> Any:
        return erf(z * sqrt(0.5))

    def above(self, z: Any) -> Any:
        return erfc(z * sqrt(0.5))

    def quantile(self, q: Any) -> Any:
        return sqrt(2) * erfinv(q)

    def upper_quantile(self, q: Any) -> Any:
        return sqrt(2) * erfcinv(q)


class LogNormal(Continuous):
    """exp(s z) for a normal number z: density exp(-(log(x) / s)**2 / 2) / (s x sqrt(2 pi)) on x > 0."""

    name = "lognorm"
    shapes = ("s",)

    def bounds(self, s: Any) -> tuple[Any, Any]:
        return 0, INFINITY

    def log_density(self, z: Any, s: Any) -> Any:
        log_z = np.log(z)
        return select(np.equal(z, 0), MINUS_INFINITY, -0.5 * ((log_z / s) ** 2 + _LOG_2PI) - log_z - np.log(s))

    def below(self, z: Any, s: Any) -> Any:
        return ndtr(np.log(z) / s)

    def above(self, z: Any, s: Any) -> Any:
        return ndtr(-np.log(z) / s)

    def log_below(self, z: Any, s: Any) -> Any:
        return log_ndtr(np.log(z) / s)

    def log_above(self, z: Any, s: Any) -> Any:
        return log_ndtr(-np.log(z) / s)

    def quantile(self, q: Any, s: Any) -> Any:
        return np.exp(s * ndtri(q))

    def upper_quantile(self, q: Any, s: Any) -> Any:
        return np.exp(-s * ndtri(q))


class TruncatedNormal(Continuous):
    """A normal number on condition that it lies between a and b, in units of the scale."""

    name = "truncnorm"
    shapes = ("a", "b")

    def is_valid(self, a: Any, b: Any) -> Any:
        return np.less(a, b)

    def bounds(self, a: Any, b: Any) -> tuple[Any, Any]:
        return a, b

    def log_density(self, z: Any, a: Any, b: Any) -> Any:
        return -0.5 * (z * z + _LOG_2PI) - _log_normal_mass(a, b)

    def below(self, z: Any, a: Any, b: Any) -> Any:
        return np.exp(self.log_below(z, a, b))

    def above(self, z: Any, a: Any, b: Any) -> Any:
        return np.exp(self.log_above(z, a, b))

    def log_below(self, z: Any, a: Any, b: Any) -> Any:
        return _log_normal_mass(a, z) - _log_normal_mass(a, b)

    def log_above(self, z: Any, a: Any, b: Any) -> Any:
        return _log_normal_mass(z, b) - _log_normal_mass(a, b)

    def quantile(self, q: Any, a: Any, b: Any) -> Any:
        """Of the half of the normal distribution in which the interval begins, to keep digits."""
        is_right = np.greater(a, 0)
        first, last = ndtr(select(is_right, -a, a)), ndtr(select(is_right, -b, b))
        z = ndtri(first + q * (last - first))
        return select(is_right, -z, z)


def _log_normal_mass(low: Any, high: Any) -> Any:
    """The logarithm of the probability that a normal number lies between two."""
    is_right = np.greater(low, 0)
    low, high = select(is_right, -high, low), select(is_right, -low, high)
    tail = log_ndtr(high) + np.log(-np.expm1(log_ndtr(low) - log_ndtr(high)))
    return select(np.greater(high, 0), np.log1p(-ndtr(low) - ndtr(-high)), tail)


class GeneralizedNormal(Continuous):
    """Density beta / (2 gamma(1 / beta)) * exp(-|z|**beta)."""

    name = "gennorm"
    shapes = ("beta",)

    def log_density(self, z: Any, beta: Any) -> Any:
        return np.log(0.5 * beta) - gammaln(1 / beta) - np.abs(z) ** beta

    def below(self, z: Any, beta: Any) -> Any:
        tail = 0.5 * gammaincc(1 / beta, np.abs(z) ** beta)
        return select(np.less(z, 0), tail, 1 - tail)

    def above(self, z: Any, beta: Any) -> Any:
        return self.below(-z, beta)

    def quantile(self, q: Any, beta: Any) -> Any:
        is_left = np.less(q, 0.5)
        size = gammainccinv(1 / beta, 2 * select(is_left, q, 1 - q)) ** (1 / beta)
        return select(is_left, -size, size)

    def upper_quantile(self, q: Any, beta: Any) -> Any:
        return -self.quantile(q, beta)


norm, halfnorm, lognorm = Normal(), HalfNormal(), LogNormal()
truncnorm, gennorm = TruncatedNormal(), GeneralizedNormal()
