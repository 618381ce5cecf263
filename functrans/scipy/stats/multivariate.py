"""Distributions of vectors."""

from __future__ import annotations

from math import log, pi
from typing import Any

import numpy as np

from ...core.trace import typeof
from ...errors import ShapeMismatchError
from ...numpy.common import as_operand
from ...primitives.linalg import solve_triangle
from ...primitives.selection import select
from ..linalg.operands import for_columns, operands
from ..special import gammaln, xlogy


class MultivariateNormal:
    """Density exp(-d**2 / 2) / sqrt(det(2 pi cov)), d**2 = (x - mean) cov**-1 (x - mean)."""

    def logpdf(self, x: Any, mean: Any = None, cov: Any = 1.0, allow_singular: bool | None = None) -> Any:
        """The logarithm of the density at x.

        Args:
            x: of shape (..., n), or numbers where cov is one.
            mean: of shape (..., n), or a number; zero by default.
            cov: of shape (..., n, n), positive definite, of which the lower triangle is read; one axis holds the
                diagonal, a number multiplies the identity.

        Raises:
            numpy.linalg.LinAlgError: cov is not positive definite. ShapeMismatchError: the shapes do not belong
                together, or `allow_singular` is true.

        Example:
            >>> from functrans.scipy import stats
            >>> float(stats.multivariate_normal.logpdf([0.0, 1.0], [0.0, 0.0], [[1.0, 0.0], [0.0, 1.0]]).round(6))
            -2.337877
        """
        if allow_singular:
            raise ShapeMismatchError(
                "multivariate_normal was called with allow_singular=True.",
                "A singular covariance has no density in all dimensions.",
                "Restrict x to the space where it has one.",
            )
        x, mean, cov = operands(x, 0.0 if mean is None else mean, cov)
        deviation = np.subtract(x, mean)
        if typeof(cov).ndim < 2:
            return self._independent(deviation, cov)
        n = typeof(cov).shape[-1]
        if not typeof(deviation).ndim or typeof(deviation).shape[-1] not in (1, n) or typeof(cov).shape[-2] != n:
            raise ShapeMismatchError(
                f"Vectors of type {typeof(x)}, means of type {typeof(mean)} and a covariance of type {typeof(cov)} do "
                "not belong together.",
                "There is one row and one column of the covariance for each component.",
                "Pass arrays of shape (..., n), (..., n) and (..., n, n).",
            )
        deviation = np.broadcast_to(deviation, (*typeof(deviation).shape[:-1], n))
        root = np.linalg.cholesky(cov)
        if typeof(cov).ndim == 2:  # one factor for all vectors
            flat = np.reshape(deviation, (-1, n))
            scaled = np.reshape(solve_triangle(root, np.transpose(flat), lower=True).T, typeof(deviation).shape)
        else:
            columns = np.expand_dims(deviation, -1)
            scaled = for_columns(root, columns, lambda a, b: solve_triangle(a, b, lower=True))[..., 0]
        log_scale = np.sum(np.log(np.diagonal(root, axis1=-2, axis2=-1)), axis=-1)
        return -0.5 * np.sum(scaled**2, axis=-1) - log_scale - 0.5 * n * log(2 * pi)

    def pdf(self, x: Any, mean: Any = None, cov: Any = 1.0, allow_singular: bool | None = None) -> Any:
        """The density at x."""
        return np.exp(self.logpdf(x, mean, cov, allow_singular))

    def _independent(self, deviation: Any, variances: Any) -> Any:
        """Components with the given variances; a number without axes is one component."""
        logs = -0.5 * (deviation**2 / variances + np.log(2 * pi * variances))
        return np.sum(logs, axis=-1) if typeof(logs).ndim else logs


class Dirichlet:
    """Density of vectors of sum one, proportional to the product of x**(alpha - 1)."""

    @np.errstate(all="ignore")
    def logpdf(self, x: Any, alpha: Any) -> Any:
        """The logarithm of the density at x.

        Args:
            x: of shape (n, ...), the components along the first axis, which add up to one; the last one may be left
                out. Elsewhere the density is zero.
            alpha: of shape (n,), positive.

        Example:
            >>> from functrans.scipy import stats
            >>> float(stats.dirichlet.logpdf([0.2, 0.8], [1.0, 2.0]).round(6))    # of 2 * 0.8
            0.470004
        """
        x, alpha = operands(x, alpha)
        n = typeof(alpha).shape[0] if typeof(alpha).ndim == 1 else -1
        if not typeof(x).ndim or typeof(x).shape[0] not in (n, n - 1):
            raise ShapeMismatchError(
                f"A Dirichlet distribution has vectors of type {typeof(x)} and parameters of type {typeof(alpha)}.",
                "The parameters are one vector, and the components of x lie along its first axis.",
                "Pass arrays of shape (n, ...) and (n,).",
            )
        if typeof(x).shape[0] == n - 1:
            x = np.concatenate([x, 1 - np.sum(x, axis=0, keepdims=True)])
        exponents = np.reshape(alpha - 1, (n, *(1,) * (typeof(x).ndim - 1)))
        size = np.sum(gammaln(alpha)) - gammaln(np.sum(alpha))
        tolerance = 100 * float(np.finfo(typeof(x).dtype).eps)
        is_outside = np.any(x < 0, axis=0) | (np.abs(np.sum(x, axis=0) - 1) > tolerance)
        value = np.sum(xlogy(exponents, x), axis=0) - size
        return select(is_outside, -np.inf, select(np.all(alpha > 0), value, np.nan))

    def pdf(self, x: Any, alpha: Any) -> Any:
        """The density at x."""
        return np.exp(self.logpdf(x, alpha))


class Multinomial:
    """How often each of several things happens in n trials."""

    @np.errstate(all="ignore")
    def logpmf(self, x: Any, n: Any, p: Any) -> Any:
        """The logarithm of the probability of the counts x.

        Args:
            x: of shape (..., k); where the counts do not add up to n the probability is zero.
            n: how many trials there are.
            p: of shape (..., k): the probabilities, which add up to one.

        Example:
            >>> from functrans.scipy import stats
            >>> float(stats.multinomial.pmf([1, 1], 2, [0.5, 0.5]).round(12))
            0.5
        """
        x, p = as_operand(x), as_operand(p)
        is_outside = np.any(np.less(x, 0) | np.not_equal(x, np.floor(x)), axis=-1) | np.not_equal(np.sum(x, axis=-1), n)
        value = gammaln(np.add(n, 1.0)) + np.sum(xlogy(x, p) - gammaln(np.add(x, 1.0)), axis=-1)
        return select(is_outside, -np.inf, value)

    def pmf(self, x: Any, n: Any, p: Any) -> Any:
        """The probability of the counts x."""
        return np.exp(self.logpmf(x, n, p))


multivariate_normal, dirichlet, multinomial = MultivariateNormal(), Dirichlet(), Multinomial()
