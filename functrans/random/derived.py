"""Real numbers and vectors made of others: of normal numbers, gamma variates and uniform ones."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import RandomParameterError
from .arguments import FLOATS, Shape, as_dtype, checked_dtype, checked_shape, require, sample_shape
from .continuous import exponential, gamma, loggamma, normal, uniform
from .discrete import rademacher
from .keys import split


def lognormal(key: Any, sigma: Any = 1.0, shape: Shape | None = None, dtype: Any = float) -> Any:
    """exp(sigma * x) for standard normal numbers x.

    Example:
        >>> from functrans import random
        >>> random.lognormal(random.key(0), 0.5, (2,)).round(4)
        array([0.9022, 0.6754])
    """
    shape, dtype = sample_shape(shape, sigma), checked_dtype(dtype, FLOATS)
    return np.exp(normal(key, shape, dtype) * as_dtype(sigma, dtype))


def rayleigh(key: Any, scale: Any, shape: Shape | None = None, dtype: Any = float) -> Any:
    """Lengths of vectors of two normal numbers of standard deviation `scale`.

    Example:
        >>> from functrans import random
        >>> random.rayleigh(random.key(0), 2.0, (2,)).round(4)
        array([2.64  , 3.4998])
    """
    shape, dtype = sample_shape(shape, scale), checked_dtype(dtype, FLOATS)
    u = np.maximum(uniform(key, shape, dtype), np.finfo(dtype).tiny)
    return as_dtype(scale, dtype) * np.sqrt(np.log(u) * -2)


def pareto(key: Any, b: Any, shape: Shape | None = None, dtype: Any = float) -> Any:
    """Numbers with density b / x**(b + 1) on x >= 1.

    Example:
        >>> from functrans import random
        >>> random.pareto(random.key(0), 2.0, (2,)).round(4)
        array([1.3114, 1.1296])
    """
    shape, dtype = sample_shape(shape, b), checked_dtype(dtype, FLOATS)
    require(b, lambda b: b > 0, "The shape parameters of Pareto distributions", "are positive")
    return np.exp(exponential(key, shape, dtype) / as_dtype(b, dtype))


def weibull_min(key: Any, scale: Any, concentration: Any, shape: Shape = (), dtype: Any = float) -> Any:
    """scale * x for numbers x with density c * x**(c - 1) * exp(-x**c) on x >= 0, c being the concentration.

    Example:
        >>> from functrans import random
        >>> random.weibull_min(random.key(0), 1.0, 2.0, (2,)).round(4)
        array([0.7363, 0.4937])
    """
    shape, dtype = sample_shape(shape, scale, concentration), checked_dtype(dtype, FLOATS)
    require(concentration, lambda c: c > 0, "The concentrations of Weibull distributions", "are positive")
    root = 1 / as_dtype(concentration, dtype)
    return exponential(key, shape, dtype) ** root * as_dtype(scale, dtype)


def maxwell(key: Any, shape: Shape = (), dtype: Any = float) -> Any:
    """Lengths of vectors of three standard normal numbers.

    Example:
        >>> from functrans import random
        >>> random.maxwell(random.key(0), (2,)).round(4)
        array([1.9891, 0.4246])
    """
    shape, dtype = checked_shape(shape), checked_dtype(dtype, FLOATS)
    return np.linalg.norm(normal(key, (*shape, 3), dtype), axis=-1)


def double_sided_maxwell(key: Any, loc: Any, scale: Any, shape: Shape = (), dtype: Any = float) -> Any:
    """loc + scale * x with `maxwell` numbers x of random sign.

    The result has the shape (*shape, *what loc and scale broadcast to), as JAX's.

    Example:
        >>> from functrans import random
        >>> random.double_sided_maxwell(random.key(0), 0.0, 1.0, (3,)).shape
        (3,)
    """
    dtype = checked_dtype(dtype, FLOATS)
    parameters = sample_shape(None, loc, scale)
    shape = (checked_shape(shape) or parameters) + parameters
    size_key, sign_key = split(key)
    signed = rademacher(sign_key, shape, dtype) * maxwell(size_key, shape, dtype)
    return signed * as_dtype(scale, dtype) + as_dtype(loc, dtype)


def chisquare(key: Any, df: Any, shape: Shape | None = None, dtype: Any = float) -> Any:
    """Sums of squares of df standard normal numbers, where df need not be a whole number.

    Example:
        >>> from functrans import random
        >>> random.chisquare(random.key(0), 5.0, (2,)).round(4)
        array([3.6098, 3.0771])
    """
    return 2 * np.exp(loggamma(key, np.multiply(0.5, df), shape, dtype))


def f(key: Any, dfnum: Any, dfden: Any, shape: Shape | None = None, dtype: Any = float) -> Any:
    """Quotients of two `chisquare` numbers, each over its degrees of freedom.

    Example:
        >>> from functrans import random
        >>> random.f(random.key(0), 3.0, 5.0, (2,)).shape
        (2,)
    """
    shape, dtype = sample_shape(shape, dfnum, dfden), checked_dtype(dtype, FLOATS)
    dfnum, dfden = as_dtype(dfnum, dtype), as_dtype(dfden, dtype)
    below_key, above_key = split(key)
    above, below = chisquare(above_key, dfnum, shape, dtype), chisquare(below_key, dfden, shape, dtype)
    return (above / dfnum) / (below / dfden)


def t(key: Any, df: Any, shape: Shape | None = None, dtype: Any = float) -> Any:
    """Numbers of Student's t distribution with df degrees of freedom.

    Example:
        >>> from functrans import random
        >>> random.t(random.key(0), 5.0, (2,)).shape
        (2,)
    """
    shape, dtype = sample_shape(shape, df), checked_dtype(dtype, FLOATS)
    half = np.multiply(0.5, as_dtype(df, dtype))
    normal_key, gamma_key = split(key)
    return normal(normal_key, shape, dtype) * np.sqrt(half / gamma(gamma_key, half, shape, dtype))


def generalized_normal(key: Any, p: Any, shape: Shape = (), dtype: Any = float) -> Any:
    """Numbers with density proportional to exp(-|x|**p).

    Example:
        >>> from functrans import random
        >>> random.generalized_normal(random.key(0), 1.5, (2,)).shape
        (2,)
    """
    shape, dtype = sample_shape(shape, p), checked_dtype(dtype, FLOATS)
    require(p, lambda p: p > 0, "The exponents of generalized normal distributions", "are positive")
    power = 1 / as_dtype(p, dtype)
    size_key, sign_key = split(key)
    return rademacher(sign_key, shape, dtype) * gamma(size_key, power, shape, dtype) ** power


def ball(key: Any, d: int, p: Any = 2, shape: Shape = (), dtype: Any = float) -> Any:
    """Points of the unit ball of the p-norm in d dimensions, everywhere with equal density.

    Drawn as F. Barthe, O. Guedon, S. Mendelson and A. Naor show ("A probabilistic approach to the geometry of the
    l_p^n-ball", Annals of Probability 33, 2005).

    Returns:
        An array of shape (*shape, d).

    Example:
        >>> from functrans import random
        >>> bool((np.linalg.norm(random.ball(random.key(0), 3, shape=(100,)), axis=-1) <= 1).all())
        True
    """
    shape, dtype = checked_shape(shape), checked_dtype(dtype, FLOATS)
    direction_key, depth_key = split(key)
    x = generalized_normal(direction_key, p, (*shape, d), dtype)
    p = as_dtype(p, dtype)
    size = np.sum(np.abs(x) ** p, axis=-1) + exponential(depth_key, shape, dtype)
    return x / np.expand_dims(size ** (1 / p), -1)


def triangular(
    key: Any, left: Any, mode: Any, right: Any, shape: Shape | None = None, dtype: Any = float
) -> Any:
    """Numbers whose density is a triangle over [left, right] with its top at the mode.

    Example:
        >>> from functrans import random
        >>> random.triangular(random.key(0), 0.0, 1.0, 2.0, (2,)).round(4)
        array([0.9148, 0.6577])
    """
    shape, dtype = sample_shape(shape, left, mode, right), checked_dtype(dtype, FLOATS)
    left, mode, right = (as_dtype(v, dtype) for v in (left, mode, right))
    require(right - left, lambda width: width > 0, "The widths of triangular distributions", "are positive")
    u = uniform(key, shape, dtype)
    rising = left + np.sqrt(u * (right - left) * (mode - left))
    falling = right - np.sqrt((1 - u) * (right - left) * (right - mode))
    return np.where(u < (mode - left) / (right - left), rising, falling)[()]


def wald(key: Any, mean: Any, shape: Shape | None = None, dtype: Any = float) -> Any:
    """Numbers of the inverse Gaussian distribution with a mean, and shape parameter one.

    Drawn by the transformation of J. Michael, W. Schucany and R. Haas ("Generating random variates using
    transformations with multiple roots", The American Statistician 30, 1976).

    Example:
        >>> from functrans import random
        >>> random.wald(random.key(0), 1.0, (2,)).shape
        (2,)
    """
    shape, dtype = sample_shape(shape, mean), checked_dtype(dtype, FLOATS)
    require(mean, lambda mean: mean > 0, "The means of inverse Gaussian distributions", "are positive")
    mean = as_dtype(mean, dtype)
    normal_key, uniform_key = split(key)
    y = normal(normal_key, shape, dtype) ** 2
    u = uniform(uniform_key, shape, dtype)
    x = mean + mean**2 * y / 2 - mean / 2 * np.sqrt(4 * mean * y + mean**2 * y**2)
    return np.where(u <= mean / (mean + x), x, mean**2 / x)[()]


def orthogonal(key: Any, n: int, shape: Shape = (), dtype: Any = float, m: int | None = None) -> Any:
    """Orthogonal matrices, all of them with equal density; with m, n by m matrices of orthonormal rows or columns.

    Returns:
        An array of shape (*shape, n, n), or (*shape, n, m).

    Example:
        >>> from functrans import random
        >>> q = random.orthogonal(random.key(0), 3)
        >>> bool(np.allclose(q @ q.T, np.eye(3)))
        True
    """
    shape, dtype = checked_shape(shape), checked_dtype(dtype, FLOATS)
    m = n if m is None else m
    if min(n, m) < 0:
        raise RandomParameterError(
            f"Orthogonal matrices of {n} rows and {m} columns were asked for.", "There are none.", "Pass sizes."
        )
    q, r = np.linalg.qr(normal(key, (*shape, max(n, m), min(n, m)), dtype))
    q = q * np.expand_dims(np.sign(np.diagonal(r, axis1=-2, axis2=-1)), -2)
    return np.swapaxes(q, -1, -2) if n < m else q
