"""Real numbers and vectors of many distributions."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core.avals import real_dtype
from ..core.dtypes import finfo, result_type
from ..core.trace import typeof
from ..errors import RandomParameterError, ShapeMismatchError
from ..primitives.foundation import broadcast_shapes
from ..primitives.random import random_bits
from ..primitives.random_gamma import log_gamma_variate
from ..primitives.special import erf, erfinv
from .arguments import (
    COMPLEX,
    FLOATS,
    Shape,
    as_dtype,
    as_float,
    broadcast_error,
    checked_dtype,
    checked_key,
    checked_shape,
    for_each,
    is_traced,
    require,
    sample_shape,
)
from .keys import split


def _above_minus_one(dtype: np.dtype[Any]) -> Any:
    """The least float above -1: the end of the open interval that `normal` maps through erfinv."""
    return np.nextafter(dtype.type(-1), dtype.type(0))


def uniform(key: Any, shape: Shape = (), dtype: Any = float, minval: Any = 0.0, maxval: Any = 1.0) -> Any:
    """Real numbers of [minval, maxval), in multiples of (maxval - minval) * 2**-52 (23 for float32, 10 for
    float16, 7 for bfloat16).

    Example:
        >>> from functrans import random
        >>> random.uniform(random.key(0), (2,)).round(4)
        array([0.4185, 0.2163])
    """
    shape, dtype = checked_shape(shape), checked_dtype(dtype, FLOATS)
    unit = random_bits(checked_key(key), shape=shape, dtype=dtype)
    if type(minval) is float and minval == 0 and type(maxval) is float and maxval == 1:
        return unit
    sample_shape(shape, minval, maxval)
    low, high = as_dtype(minval, dtype), as_dtype(maxval, dtype)
    values = unit * (high - low) + low
    if is_traced(low) or is_traced(high):
        return np.maximum(low, values)
    if not np.all(low <= high):
        raise RandomParameterError(
            f"Uniform numbers of [minval, maxval) were asked for with minval = {minval} and maxval = {maxval}.",
            "The interval is empty where minval exceeds maxval.",
            "Swap the bounds.",
        )
    return values


def normal(key: Any, shape: Shape = (), dtype: Any = float) -> Any:
    """Standard normal numbers: sqrt(2) * erfinv(u) for u uniform in (-1, 1).

    For complex64 and complex128 real and imaginary part are independent, with variance 1/2 each.

    Example:
        >>> from functrans import random
        >>> random.normal(random.key(0), (2,)).round(4)
        array([-0.2058, -0.7848])
    """
    dtype = checked_dtype(dtype, FLOATS | COMPLEX)
    if dtype in COMPLEX:
        real_key, imag_key = split(key)
        real, imag = (normal(k, shape, real_dtype(dtype)) for k in (real_key, imag_key))
        return (real + 1j * imag) / 2**0.5
    u = uniform(key, shape, dtype, _above_minus_one(dtype), 1.0)
    return dtype.type(2**0.5) * as_dtype(erfinv(u), dtype)


def truncated_normal(key: Any, lower: Any, upper: Any, shape: Shape | None = None, dtype: Any = float) -> Any:
    """Standard normal numbers on condition that they lie in (lower, upper).

    Example:
        >>> from functrans import random
        >>> random.truncated_normal(random.key(0), 0.0, 1.0, (2,)).round(4)
        array([0.3661, 0.1861])
    """
    shape, dtype = sample_shape(shape, lower, upper), checked_dtype(dtype, FLOATS)
    lower, upper = as_dtype(lower, dtype), as_dtype(upper, dtype)
    root = dtype.type(2**0.5)
    ends = (as_dtype(erf(bound / root), dtype) for bound in (lower, upper))
    x = root * as_dtype(erfinv(uniform(key, shape, dtype, *ends)), dtype)
    inner = (np.nextafter(lower, dtype.type(np.inf)), np.nextafter(upper, dtype.type(-np.inf)))
    return np.minimum(np.maximum(x, inner[0]), inner[1])


def exponential(key: Any, shape: Shape = (), dtype: Any = float) -> Any:
    """Numbers with density exp(-x) on x >= 0.

    Example:
        >>> from functrans import random
        >>> random.exponential(random.key(0), (2,)).round(4)
        array([0.5421, 0.2437])
    """
    return -np.log1p(-uniform(key, shape, dtype))


def gumbel(key: Any, shape: Shape = (), dtype: Any = float) -> Any:
    """Numbers with density exp(-x - exp(-x)).

    Example:
        >>> from functrans import random
        >>> random.gumbel(random.key(0), (2,)).round(4)
        array([ 0.1379, -0.426 ])
    """
    dtype = checked_dtype(dtype, FLOATS)
    return -np.log(-np.log(uniform(key, shape, dtype, finfo(dtype).tiny, 1.0)))


def laplace(key: Any, shape: Shape = (), dtype: Any = float) -> Any:
    """Numbers with density exp(-|x|) / 2.

    Example:
        >>> from functrans import random
        >>> random.laplace(random.key(0), (2,)).round(4)
        array([0.178, 0.838])
    """
    dtype = checked_dtype(dtype, FLOATS)
    u = uniform(key, shape, dtype, -1.0 + finfo(dtype).epsneg, 1.0)
    return np.sign(u) * np.log1p(-np.abs(u))


def logistic(key: Any, shape: Shape = (), dtype: Any = float) -> Any:
    """Numbers with density exp(-x) / (1 + exp(-x))**2.

    Example:
        >>> from functrans import random
        >>> random.logistic(random.key(0), (2,)).round(4)
        array([-0.3291, -1.2874])
    """
    dtype = checked_dtype(dtype, FLOATS)
    u = uniform(key, shape, dtype, finfo(dtype).tiny, 1.0)
    return np.log(u) - np.log1p(-u)


def cauchy(key: Any, shape: Shape = (), dtype: Any = float) -> Any:
    """Numbers with density 1 / (pi * (1 + x**2)).

    Example:
        >>> from functrans import random
        >>> random.cauchy(random.key(0), (2,)).round(4)
        array([-0.2619, -1.2378])
    """
    dtype = checked_dtype(dtype, FLOATS)
    return np.tan(np.pi * (uniform(key, shape, dtype, finfo(dtype).eps, 1.0) - 0.5))


def loggamma(key: Any, a: Any, shape: Shape | None = None, dtype: Any = float) -> Any:
    """Logarithms of gamma variates, which do not underflow for small a; see `gamma`.

    Example:
        >>> from functrans import random
        >>> random.loggamma(random.key(0), 1e-3, (2,)).round(4)
        array([-1113.0258, -2280.5358])
    """
    shape, dtype = sample_shape(shape, a), checked_dtype(dtype, FLOATS)
    require(a, lambda a: a >= 0, "The shape parameters of gamma distributions", "are not negative")
    return log_gamma_variate(checked_key(key), for_each(as_dtype(a, dtype), shape, key))


def gamma(key: Any, a: Any, shape: Shape | None = None, dtype: Any = float) -> Any:
    """Numbers with density proportional to x**(a - 1) * exp(-x) on x > 0.

    Drawn by rejection (G. Marsaglia and W. W. Tsang, "A simple method for generating gamma variables", ACM TOMS 26,
    2000); differentiable in `a` to any order, at a fixed quantile (implicit reparametrization).

    Example:
        >>> from functrans import random
        >>> random.gamma(random.key(0), 2.5, (2,)).round(4)
        array([1.8049, 1.5386])
    """
    return np.exp(loggamma(key, a, shape, dtype))


def beta(key: Any, a: Any, b: Any, shape: Shape | None = None, dtype: Any = float) -> Any:
    """Numbers with density proportional to x**(a - 1) * (1 - x)**(b - 1) on [0, 1].

    Example:
        >>> from functrans import random
        >>> random.beta(random.key(0), 2.0, 3.0, (2,)).round(4)
        array([0.328 , 0.6138])
    """
    shape = sample_shape(shape, a, b)
    a_key, b_key = split(key)
    log_a, log_b = loggamma(a_key, a, shape, dtype), loggamma(b_key, b, shape, dtype)
    top = np.maximum(log_a, log_b)
    part_a, part_b = np.exp(log_a - top), np.exp(log_b - top)
    return part_a / (part_a + part_b)


def dirichlet(key: Any, alpha: Any, shape: Shape | None = None, dtype: Any = float) -> Any:
    """Vectors with density proportional to the product of x**(alpha - 1), positive and of sum one.

    Args:
        alpha: of shape (..., n).
        shape: of the result without its last axis; by default that of `alpha`.

    Example:
        >>> from functrans import random
        >>> random.dirichlet(random.key(0), [1.0, 2.0, 3.0]).sum().round(12)
        np.float64(1.0)
    """
    dims = typeof(alpha).shape
    if not dims:
        raise ShapeMismatchError(
            "A scalar was given as the parameter of a Dirichlet distribution.",
            "There is one number for each component of what is drawn.",
            "Pass a vector, such as `np.full(n, alpha)`.",
        )
    shape = dims[:-1] if shape is None else checked_shape(shape)
    x = loggamma(key, alpha, (*shape, dims[-1]), dtype)
    parts = np.exp(x - np.max(x, axis=-1, keepdims=True))
    return parts / np.sum(parts, axis=-1, keepdims=True)


def multivariate_normal(
    key: Any, mean: Any, cov: Any, shape: Shape | None = None, dtype: Any = None, method: str = "cholesky"
) -> Any:
    """Normal vectors with a mean of shape (..., n) and a covariance of shape (..., n, n).

    Args:
        shape: of the result without its last axis; by default what the leading axes of the parameters broadcast to.
        dtype: by default that of the parameters.
        method: how the covariance is factorized: "cholesky", or "eigh" or "svd" where it may be singular.

    Example:
        >>> from functrans import random
        >>> random.multivariate_normal(random.key(0), np.zeros(2), np.eye(2), (5,)).shape
        (5, 2)
    """
    n, rows = typeof(mean).shape[-1:], typeof(cov).shape
    if not n or rows[-2:] != n + n:
        raise ShapeMismatchError(
            f"A mean of shape {typeof(mean).shape} and a covariance of shape {rows} do not belong together.",
            "There is one mean for each row and column of the covariance.",
            "Pass arrays of shape (..., n) and (..., n, n).",
        )
    mean, cov = as_float(mean), as_float(cov)
    dtype = checked_dtype(result_type(mean.dtype, cov.dtype) if dtype is None else dtype, FLOATS)
    mean, cov = as_dtype(mean, dtype), as_dtype(cov, dtype)
    batch = broadcast_shapes(mean.shape[:-1], rows[:-2])
    shape = batch if shape is None else checked_shape(shape)
    if broadcast_shapes(shape, batch) != shape:
        raise broadcast_error(shape, mean, cov)
    noise = normal(key, shape + n, dtype)
    return mean + np.matmul(_square_root(cov, method), noise[..., None])[..., 0]


def _square_root(cov: Any, method: str) -> Any:
    """A matrix that times its own transpose gives the covariance."""
    if method == "cholesky":
        return np.linalg.cholesky(cov)
    if method == "eigh":
        w, v = np.linalg.eigh(cov)
        return v * np.sqrt(w[..., None, :])
    if method == "svd":
        u, s, _ = np.linalg.svd(cov)
        return u * np.sqrt(s[..., None, :])
    raise RandomParameterError(
        f"A covariance was to be factorized by the method {method!r}.",
        "There is no such method.",
        'Pass "cholesky", "eigh" or "svd".',
    )
