"""Distributions of a real number whose probabilities are elementary functions, and distributions of angles.

Formulas: N. Johnson, S. Kotz and N. Balakrishnan, "Continuous Univariate Distributions", 2nd edition, 1994 and 1995.
"""

from __future__ import annotations

from math import log, pi
from typing import Any

import numpy as np

from ...primitives.selection import select
from ..special import (
    expit,
    i0e,
    log_expit,
    logit,
    xlogy,
)
from .distribution import INFINITY, Continuous

_LOG_2PI = log(2 * pi)


class Uniform(Continuous):
    """Density 1 on [0, 1]."""

    name = "uniform"

    def bounds(self) -> tuple[Any, Any]:
        return 0, 1

    def log_density(self, z: Any) -> Any:
        return z * 0.0

    def below(self, z: Any) -> Any:
        return z

    def quantile(self, q: Any) -> Any:
        return q


class Exponential(Continuous):
    """Density exp(-z) on z >= 0."""

    name = "expon"

    def bounds(self) -> tuple[Any, Any]:
        return 0, INFINITY

    def log_density(self, z: Any) -> Any:
        return -z

    def below(self, z: Any) -> Any:
        return -np.expm1(-z)

    def above(self, z: Any) -> Any:
        return np.exp(-z)

    def log_above(self, z: Any) -> Any:
        return -z

    def quantile(self, q: Any) -> Any:
        return -np.log1p(-q)

    def upper_quantile(self, q: Any) -> Any:
        return -np.log(q)


class Cauchy(Continuous):
    """Density 1 / (pi * (1 + z**2))."""

    name = "cauchy"

    def log_density(self, z: Any) -> Any:
        return -log(pi) - 2 * np.log(np.hypot(1.0, z))

    def below(self, z: Any) -> Any:
        return np.arctan2(1.0, -z) / pi

    def above(self, z: Any) -> Any:
        return np.arctan2(1.0, z) / pi

    def quantile(self, q: Any) -> Any:
        return -1 / np.tan(pi * q)

    def upper_quantile(self, q: Any) -> Any:
        return 1 / np.tan(pi * q)


class HalfCauchy(Continuous):
    """The absolute value of a Cauchy number: density 2 / (pi * (1 + z**2)) on z >= 0."""

    name = "halfcauchy"

    def bounds(self) -> tuple[Any, Any]:
        return 0, INFINITY

    def log_density(self, z: Any) -> Any:
        return log(2 / pi) - 2 * np.log(np.hypot(1.0, z))

    def below(self, z: Any) -> Any:
        return 2 / pi * np.arctan(z)

    def above(self, z: Any) -> Any:
        return 2 / pi * np.arctan2(1.0, z)

    def quantile(self, q: Any) -> Any:
        return np.tan(0.5 * pi * q)

    def upper_quantile(self, q: Any) -> Any:
        return 1 / np.tan(0.5 * pi * q)


class Laplace(Continuous):
    """Density exp(-|z|) / 2."""

    name = "laplace"

    def log_density(self, z: Any) -> Any:
        return -np.abs(z) - log(2)

    def below(self, z: Any) -> Any:
        return select(np.less(z, 0), 0.5 * np.exp(z), 1 - 0.5 * np.exp(-z))

    def above(self, z: Any) -> Any:
        return self.below(-z)

    def log_below(self, z: Any) -> Any:
        return select(np.less(z, 0), z - log(2), np.log1p(-0.5 * np.exp(-z)))

    def log_above(self, z: Any) -> Any:
        return self.log_below(-z)

    def quantile(self, q: Any) -> Any:
        return select(np.less(q, 0.5), np.log(2 * q), -np.log(2 * (1 - q)))

    def upper_quantile(self, q: Any) -> Any:
        return -self.quantile(q)


class Logistic(Continuous):
    """Density exp(-z) / (1 + exp(-z))**2."""

    name = "logistic"

    def log_density(self, z: Any) -> Any:
        return log_expit(z) + log_expit(-z)

    def below(self, z: Any) -> Any:
        return expit(z)

    def above(self, z: Any) -> Any:
        return expit(-z)

    def log_below(self, z: Any) -> Any:
        return log_expit(z)

    def log_above(self, z: Any) -> Any:
        return log_expit(-z)

    def quantile(self, q: Any) -> Any:
        return logit(q)

    def upper_quantile(self, q: Any) -> Any:
        return -logit(q)


class GumbelRight(Continuous):
    """Density exp(-z - exp(-z)): the largest of many numbers."""

    name = "gumbel_r"

    def log_density(self, z: Any) -> Any:
        return -z - np.exp(-z)

    def below(self, z: Any) -> Any:
        return np.exp(-np.exp(-z))

    def above(self, z: Any) -> Any:
        return -np.expm1(-np.exp(-z))

    def log_below(self, z: Any) -> Any:
        return -np.exp(-z)

    def quantile(self, q: Any) -> Any:
        return -np.log(-np.log(q))

    def upper_quantile(self, q: Any) -> Any:
        return -np.log(-np.log1p(-q))


class GumbelLeft(Continuous):
    """Density exp(z - exp(z)): the smallest of many numbers."""

    name = "gumbel_l"

    def log_density(self, z: Any) -> Any:
        return z - np.exp(z)

    def below(self, z: Any) -> Any:
        return -np.expm1(-np.exp(z))

    def above(self, z: Any) -> Any:
        return np.exp(-np.exp(z))

    def log_above(self, z: Any) -> Any:
        return -np.exp(z)

    def quantile(self, q: Any) -> Any:
        return np.log(-np.log1p(-q))

    def upper_quantile(self, q: Any) -> Any:
        return np.log(-np.log(q))


class Pareto(Continuous):
    """Density b / z**(b + 1) on z >= 1."""

    name = "pareto"
    shapes = ("b",)

    def bounds(self, b: Any) -> tuple[Any, Any]:
        return 1, INFINITY

    def log_density(self, z: Any, b: Any) -> Any:
        return np.log(b) - (b + 1) * np.log(z)

    def below(self, z: Any, b: Any) -> Any:
        return -np.expm1(-b * np.log(z))

    def above(self, z: Any, b: Any) -> Any:
        return np.exp(-b * np.log(z))

    def log_above(self, z: Any, b: Any) -> Any:
        return -b * np.log(z)

    def quantile(self, q: Any, b: Any) -> Any:
        return np.exp(-np.log1p(-q) / b)

    def upper_quantile(self, q: Any, b: Any) -> Any:
        return np.exp(-np.log(q) / b)


class Weibull(Continuous):
    """Density c * z**(c - 1) * exp(-z**c) on z >= 0."""

    name = "weibull_min"
    shapes = ("c",)

    def bounds(self, c: Any) -> tuple[Any, Any]:
        return 0, INFINITY

    def log_density(self, z: Any, c: Any) -> Any:
        return np.log(c) + xlogy(c - 1, z) - z**c

    def below(self, z: Any, c: Any) -> Any:
        return -np.expm1(-(z**c))

    def above(self, z: Any, c: Any) -> Any:
        return np.exp(-(z**c))

    def log_above(self, z: Any, c: Any) -> Any:
        return -(z**c)

    def quantile(self, q: Any, c: Any) -> Any:
        return (-np.log1p(-q)) ** (1 / c)

    def upper_quantile(self, q: Any, c: Any) -> Any:
        return (-np.log(q)) ** (1 / c)


class Rayleigh(Continuous):
    """The length of a vector of two normal numbers: density z * exp(-z**2 / 2) on z >= 0."""

    name = "rayleigh"

    def bounds(self) -> tuple[Any, Any]:
        return 0, INFINITY

    def log_density(self, z: Any) -> Any:
        return np.log(z) - 0.5 * z * z

    def below(self, z: Any) -> Any:
        return -np.expm1(-0.5 * z * z)

    def above(self, z: Any) -> Any:
        return np.exp(-0.5 * z * z)

    def log_above(self, z: Any) -> Any:
        return -0.5 * z * z

    def quantile(self, q: Any) -> Any:
        return np.sqrt(-2 * np.log1p(-q))

    def upper_quantile(self, q: Any) -> Any:
        return np.sqrt(-2 * np.log(q))


class VonMises(Continuous):
    """Density exp(kappa * cos(z)) / (2 pi i0(kappa)) of an angle."""

    name = "vonmises"
    shapes = ("kappa",)

    def is_valid(self, kappa: Any) -> Any:
        return np.greater_equal(kappa, 0)

    def log_density(self, z: Any, kappa: Any) -> Any:
        return kappa * (np.cos(z) - 1) - np.log(2 * pi * i0e(kappa))


class WrappedCauchy(Continuous):
    """Density (1 - c**2) / (2 pi (1 + c**2 - 2 c cos(z))) of an angle of [0, 2 pi], 0 < c < 1."""

    name = "wrapcauchy"
    shapes = ("c",)

    def is_valid(self, c: Any) -> Any:
        return np.logical_and(np.greater(c, 0), np.less(c, 1))

    def bounds(self, c: Any) -> tuple[Any, Any]:
        return 0, 2 * pi

    def log_density(self, z: Any, c: Any) -> Any:
        return np.log1p(-c * c) - _LOG_2PI - np.log1p(c * c - 2 * c * np.cos(z))

    def below(self, z: Any, c: Any) -> Any:
        ratio = (1 + c) / (1 - c)
        return np.arctan2(ratio * np.sin(0.5 * z), np.cos(0.5 * z)) / pi


uniform, expon, cauchy, halfcauchy = Uniform(), Exponential(), Cauchy(), HalfCauchy()
laplace, logistic, gumbel_r, gumbel_l = Laplace(), Logistic(), GumbelRight(), GumbelLeft()
pareto, weibull_min, rayleigh = Pareto(), Weibull(), Rayleigh()
vonmises, wrapcauchy = VonMises(), WrappedCauchy()
