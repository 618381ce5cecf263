"""Random numbers from explicit keys, with JAX's names and the same bits for the same key.

A key is a NumPy array of two uint32. Every function draws from a key and never changes it: the same key gives the same
numbers, so split it and use each part once. Keys may be traced, and `vmap` over keys draws what a loop would.

    >>> from functrans import random
    >>> key, subkey = random.split(random.key(0))
    >>> random.normal(subkey, (3,)).round(4)
    array([0., 0., 0.])

Numbers are drawn with Threefry-2x32 (J. Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011). They
agree with those of JAX for its default generator since 0.5 (threefry2x32, partitionable) with 64-bit types enabled:

* exactly for `key`, `split`, `fold_in`, `bits`, `randint`, `permutation` and `uniform`; but XLA may fuse the multiply
  and add that bring `uniform` to a range whose width is no power of two, which changes the last bit;
* to the rounding of the functions they apply for `normal` and all others. JAX's erf_inv is off by up to 2e-12
  (float64) and 6e-6 (float32) in the tails, where SciPy's, used here, is right to a few units in the last place.

What the functions have in common: `key` is one key of shape (2,), or InvalidKeyError is raised; `shape` is an integer or
a sequence of them, or InvalidShapeError; parameters broadcast to `shape`, or ShapeMismatchError, and where it is None
they decide it; a parameter outside its domain raises RandomParameterError unless it is traced; `dtype` is float64,
float32 or float16 for real numbers, or UnsupportedDtypeError. Results are differentiable in floating parameters.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from math import ceil, log, prod
from operator import index
from typing import Any, Final

import numpy as np

from .core.avals import real_dtype, typeof
from .core.trace import Traced
from .errors import (
    FunctransError,
    InvalidKeyError,
    InvalidShapeError,
    RandomParameterError,
    ShapeMismatchError,
    UnsupportedDtypeError,
)
from .primitives.foundation import broadcast_shapes
from .primitives.random import MANTISSA, UINT32, check_key, random_bits
from .primitives.random import fold_in as derive_key
from .primitives.random_gamma import log_gamma_variate
from .primitives.special import erf, erfinv

__all__ = [
    "PRNGKey", "bernoulli", "beta", "bits", "categorical", "cauchy", "choice", "dirichlet", "exponential", "fold_in",
    "gamma", "gumbel", "key", "laplace", "loggamma", "logistic", "multivariate_normal", "normal", "permutation",
    "rademacher", "randint", "split", "truncated_normal", "uniform",
]  # fmt: skip

Shape = int | Sequence[int]

UINT64: Final = np.dtype(np.uint64)
FLOATS: Final = frozenset(MANTISSA)
INTEGERS: Final = frozenset(np.dtype(f"{kind}{size}") for kind in "iu" for size in (1, 2, 4, 8))
UNSIGNED: Final = frozenset(dtype for dtype in INTEGERS if dtype.kind == "u")
COMPLEX: Final = frozenset((np.dtype(np.complex64), np.dtype(np.complex128)))
#: The least float above -1: the end of the open interval that `normal` maps through erfinv.
ABOVE_MINUS_ONE: Final = {dtype: np.nextafter(dtype.type(-1), dtype.type(0)) for dtype in MANTISSA}


# ---- keys


def key(seed: Any) -> Any:
    """The key of a seed: a uint32 array of shape (2,) with its high and its low half.

    Args:
        seed: a Python integer of up to 64 bits, or an integer scalar, which may be traced.

    Raises:
        InvalidKeyError: the seed is not one integer.
        RandomParameterError: it needs more than 64 bits.

    Example:
        >>> random.key(42)
        array([ 0, 42], dtype=uint32)
    """
    aval = typeof(seed)
    if aval.shape or aval.dtype not in INTEGERS:
        raise InvalidKeyError(
            f"A value of type {aval} was given as the seed of a random key.",
            "A seed is one integer.",
            "Pass an integer, or make an array of keys with `vmap(random.key)(seeds)`.",
        )
    if isinstance(seed, int):
        if not -(2**63) <= seed < 2**64:
            raise RandomParameterError(
                f"The seed {seed} needs more than 64 bits.",
                "A key holds 64 bits.",
                "Take a smaller seed, and mix the rest in with `random.fold_in`.",
            )
        return np.array([seed >> 32 & 0xFFFFFFFF, seed & 0xFFFFFFFF], UINT32)
    high = np.right_shift(seed, 32) if aval.dtype.itemsize == 8 else np.zeros_like(seed)
    return np.stack([high.astype(UINT32), seed.astype(UINT32)])


def PRNGKey(seed: Any) -> Any:  # JAX's name
    """The same as `key`."""
    return key(seed)


def split(key: Any, num: Shape = 2) -> Any:
    """New keys derived from a key: an array of shape (num, 2), or (*num, 2) for a tuple.

    Example:
        >>> key, subkey = random.split(random.key(0))
        >>> random.split(key, 5).shape
        (5, 2)
    """
    shape = _checked_shape(num)
    counters = np.arange(prod(shape), dtype=UINT32)
    return derive_key(_checked_key(key), counters if len(shape) == 1 else counters.reshape(shape))


def fold_in(key: Any, data: Any) -> Any:
    """A new key derived from a key and an integer: of a step, a layer, a worker.

    Args:
        data: a Python integer of 32 bits, or an integer scalar, traced or not, of which the low 32 bits count.

    Raises:
        RandomParameterError: a Python integer is negative or needs more than 32 bits.

    Example:
        >>> random.fold_in(random.key(0), 7).shape
        (2,)
    """
    aval = typeof(data)
    if aval.shape or aval.dtype not in INTEGERS:
        raise RandomParameterError(
            f"A value of type {aval} was to be folded into a random key.",
            "What is folded in is one integer.",
            "Pass an integer, or derive many keys with `vmap(random.fold_in, in_axes=(None, 0))(key, numbers)`.",
        )
    if isinstance(data, int) and not 0 <= data < 2**32:
        raise RandomParameterError(
            f"{data} was to be folded into a random key.",
            "What is folded in has 32 bits and no sign.",
            "Fold in one part after the other: `fold_in(fold_in(key, n >> 32), n % 2**32)`.",
        )
    return derive_key(_checked_key(key), np.uint32(data) if isinstance(data, int) else data.astype(UINT32))


# ---- bits, integers and orders


def bits(key: Any, shape: Shape = (), dtype: Any = np.uint64) -> Any:
    """Random bits, as unsigned integers of any size.

    Example:
        >>> random.bits(random.key(0), (2,), "uint8")
        array([0, 0], dtype=uint8)
    """
    return random_bits(_checked_key(key), shape=_checked_shape(shape), dtype=_checked_dtype(dtype, UNSIGNED))


def randint(key: Any, shape: Shape, minval: Any, maxval: Any, dtype: Any = int) -> Any:
    """Integers of [minval, maxval), int64 by default; all are equally likely, but for a bias below span / 2**64.

    Where traced bounds leave no integer the result is minval, as in JAX; concrete ones, and bounds that the dtype does
    not hold, raise RandomParameterError. int8 and int16 are drawn as int32, as JAX does now and 0.5 did not.

    Example:
        >>> random.randint(random.key(0), (5,), 0, 100)
        array([35, 11, 75, 17, 53])
    """
    shape, dtype = _checked_shape(shape), _checked_dtype(dtype, INTEGERS)
    _sample_shape(shape, minval, maxval)
    width = max(32, 8 * dtype.itemsize)
    draw = partial(_wide_bits, shape=shape, dtype=np.dtype(f"u{width // 8}"))
    high_key, low_key = split(key)
    low, span = _integer_range(minval, maxval, dtype)
    offset = draw(low_key)
    if span is not None:
        offset = offset % span
        # JAX takes 2 * width bits modulo the span, but only the lower half of them if the span needs more than
        # half the width. Skipped where the upper half does not matter.
        half = np.uint64(2 ** (width // 2))
        factor = np.where(span > half, np.uint64(0), np.square(half % span) % span)
        if isinstance(factor, Traced) or factor.any():
            offset = (draw(high_key) % span * factor + offset) % span
    return np.add(offset, low).astype(dtype)


def permutation(key: Any, x: Any, axis: int = 0, independent: bool = False) -> Any:
    """An array in random order along an axis, or `arange(x)` in random order for an integer x.

    Args:
        independent: shuffle each vector along the axis on its own, instead of moving whole slices.

    Example:
        >>> random.permutation(random.key(0), 5)
        array([0, 0, 0, 0, 0])
    """
    shape = typeof(x).shape
    if not shape:
        return _random_order(key, (_checked_count(x),), 0)
    axis = range(len(shape))[axis]
    if independent:
        return np.take_along_axis(x, _random_order(key, shape, axis), axis)
    return np.take(x, _random_order(key, (shape[axis],), 0), axis)


def choice(
    key: Any, a: Any, shape: Shape = (), replace: bool = True, p: Any = None, axis: int = 0
) -> Any:
    """Elements drawn from an array along an axis, or from `arange(a)` for an integer a.

    Args:
        replace: whether an element may be drawn more than once.
        p: the weight of each element; weights need not sum to one.

    Returns:
        An array of the shape of `a` with `shape` in place of the axis.

    Example:
        >>> random.choice(random.key(0), 10, (3,))
        array([0, 0, 0])
    """
    shape, dims = _checked_shape(shape), typeof(a).shape
    axis = range(len(dims))[axis] if dims else 0
    count, draws = dims[axis] if dims else _checked_count(a), prod(shape)
    if draws and not count or not replace and draws > count:
        raise RandomParameterError(
            f"{draws} elements were to be drawn {'from' if replace else 'without replacement from'} {count}.",
            "There are not enough of them.",
            "Draw fewer, or draw with replacement.",
        )
    if p is not None:
        chosen = _weighted_choice(key, p, count, shape, replace)
    elif replace:
        chosen = randint(key, shape, 0, count) if draws else np.zeros(shape, int)
    else:
        chosen = permutation(key, count)[:draws].reshape(shape)
    return np.take(a, chosen, axis) if dims else chosen


def bernoulli(key: Any, p: Any = 0.5, shape: Shape | None = None) -> Any:
    """Booleans that are True with probability p.

    Example:
        >>> random.bernoulli(random.key(0), 0.3, (4,))
        array([False, False, False, False])
    """
    shape = _sample_shape(shape, p)
    _require(p, lambda p: (p >= 0) & (p <= 1), "The probability", "lies in [0, 1]")
    dtype = typeof(p).dtype
    return uniform(key, shape, dtype if dtype in FLOATS else np.float64) < p


def rademacher(key: Any, shape: Shape = (), dtype: Any = int) -> Any:
    """Signs: -1 or 1 with equal probability.

    Example:
        >>> random.rademacher(random.key(0), (4,))
        array([0, 0, 0, 0])
    """
    return (2 * bernoulli(key, 0.5, _checked_shape(shape)) - 1).astype(dtype)


def categorical(key: Any, logits: Any, axis: int = -1, shape: Shape | None = None, replace: bool = True) -> Any:
    """Indices drawn with probabilities softmax(logits) along an axis: the largest of logits plus Gumbel noise.

    Args:
        shape: of the result; it ends in the shape of `logits` without the axis, which is the default.
        replace: if not, the leading axes of `shape` hold draws without replacement from the same distribution
            (W. Kool, H. van Hoof and M. Welling, "Stochastic beams and where to find them", ICML 2019).

    Example:
        >>> random.categorical(random.key(0), np.log([0.1, 0.2, 0.7]), shape=(5,))
        array([0, 0, 0, 0, 0])
    """
    dims = typeof(logits).shape
    axis = range(len(dims))[axis] - len(dims)
    logits = _as_float(logits)
    batch = tuple(np.delete(dims, axis))
    shape = batch if shape is None else _checked_shape(shape)
    lead = shape[: len(shape) - len(batch)]
    if broadcast_shapes(shape, batch) != shape:
        raise _broadcast_error(shape, logits)
    dtype = logits.dtype
    if replace:
        noise_shape = list(shape[len(lead) :])
        noise_shape.insert(len(dims) + axis, dims[axis])
        return np.argmax(gumbel(key, (*lead, *noise_shape), dtype) + logits, axis)
    if prod(lead) > dims[axis]:
        raise RandomParameterError(
            f"{prod(lead)} indices were to be drawn without replacement from {dims[axis]} categories.",
            "There are not enough of them.",
            "Draw fewer, or draw with replacement.",
        )
    ranked = np.argsort(-(logits + gumbel(key, dims, dtype)), axis, stable=True)
    return np.moveaxis(ranked, axis, 0)[: prod(lead)].reshape(shape)


# ---- real numbers


def uniform(key: Any, shape: Shape = (), dtype: Any = float, minval: Any = 0.0, maxval: Any = 1.0) -> Any:
    """Real numbers of [minval, maxval), in multiples of (maxval - minval) * 2**-52 (23 for float32, 10 for float16).

    Example:
        >>> random.uniform(random.key(0), (2,)).round(4)
        array([0., 0.])
    """
    shape, dtype = _checked_shape(shape), _checked_dtype(dtype, FLOATS)
    unit = random_bits(_checked_key(key), shape=shape, dtype=dtype)
    if type(minval) is float and minval == 0 and type(maxval) is float and maxval == 1:
        return unit
    _sample_shape(shape, minval, maxval)
    low, high = _as_dtype(minval, dtype), _as_dtype(maxval, dtype)
    values = unit * (high - low) + low
    if isinstance(low, Traced) or isinstance(high, Traced):
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
        >>> random.normal(random.key(0), (2,)).round(4)
        array([0., 0.])
    """
    dtype = _checked_dtype(dtype, FLOATS | COMPLEX)
    if dtype in COMPLEX:
        real_key, imag_key = split(key)
        real, imag = (normal(k, shape, real_dtype(dtype)) for k in (real_key, imag_key))
        return (real + 1j * imag) / 2**0.5
    u = uniform(key, shape, dtype, ABOVE_MINUS_ONE[dtype], 1.0)
    return dtype.type(2**0.5) * _as_dtype(erfinv(u), dtype)


def truncated_normal(key: Any, lower: Any, upper: Any, shape: Shape | None = None, dtype: Any = float) -> Any:
    """Standard normal numbers on condition that they lie in (lower, upper).

    Example:
        >>> random.truncated_normal(random.key(0), 0.0, 1.0, (2,)).round(4)
        array([0., 0.])
    """
    shape, dtype = _sample_shape(shape, lower, upper), _checked_dtype(dtype, FLOATS)
    lower, upper = _as_dtype(lower, dtype), _as_dtype(upper, dtype)
    root = dtype.type(2**0.5)
    ends = (_as_dtype(erf(bound / root), dtype) for bound in (lower, upper))
    x = root * _as_dtype(erfinv(uniform(key, shape, dtype, *ends)), dtype)
    inner = (np.nextafter(lower, dtype.type(np.inf)), np.nextafter(upper, dtype.type(-np.inf)))
    return np.minimum(np.maximum(x, inner[0]), inner[1])


def exponential(key: Any, shape: Shape = (), dtype: Any = float) -> Any:
    """Numbers with density exp(-x) on x >= 0.

    Example:
        >>> random.exponential(random.key(0), (2,)).round(4)
        array([0., 0.])
    """
    return -np.log1p(-uniform(key, shape, dtype))


def gumbel(key: Any, shape: Shape = (), dtype: Any = float) -> Any:
    """Numbers with density exp(-x - exp(-x)).

    Example:
        >>> random.gumbel(random.key(0), (2,)).round(4)
        array([0., 0.])
    """
    dtype = _checked_dtype(dtype, FLOATS)
    return -np.log(-np.log(uniform(key, shape, dtype, np.finfo(dtype).tiny, 1.0)))


def laplace(key: Any, shape: Shape = (), dtype: Any = float) -> Any:
    """Numbers with density exp(-|x|) / 2.

    Example:
        >>> random.laplace(random.key(0), (2,)).round(4)
        array([0., 0.])
    """
    dtype = _checked_dtype(dtype, FLOATS)
    u = uniform(key, shape, dtype, -1.0 + np.finfo(dtype).epsneg, 1.0)
    return np.sign(u) * np.log1p(-np.abs(u))


def logistic(key: Any, shape: Shape = (), dtype: Any = float) -> Any:
    """Numbers with density exp(-x) / (1 + exp(-x))**2.

    Example:
        >>> random.logistic(random.key(0), (2,)).round(4)
        array([0., 0.])
    """
    dtype = _checked_dtype(dtype, FLOATS)
    u = uniform(key, shape, dtype, np.finfo(dtype).tiny, 1.0)
    return np.log(u) - np.log1p(-u)


def cauchy(key: Any, shape: Shape = (), dtype: Any = float) -> Any:
    """Numbers with density 1 / (pi * (1 + x**2)).

    Example:
        >>> random.cauchy(random.key(0), (2,)).round(4)
        array([0., 0.])
    """
    dtype = _checked_dtype(dtype, FLOATS)
    return np.tan(np.pi * (uniform(key, shape, dtype, np.finfo(dtype).eps, 1.0) - 0.5))


def loggamma(key: Any, a: Any, shape: Shape | None = None, dtype: Any = float) -> Any:
    """Logarithms of gamma variates, which do not underflow for small a; see `gamma`.

    Example:
        >>> random.loggamma(random.key(0), 1e-3, (2,)).round(4)
        array([0., 0.])
    """
    shape, dtype = _sample_shape(shape, a), _checked_dtype(dtype, FLOATS)
    _require(a, lambda a: a >= 0, "The shape parameter of a gamma distribution", "is not negative")
    return log_gamma_variate(_checked_key(key), np.broadcast_to(_as_dtype(a, dtype), shape))


def gamma(key: Any, a: Any, shape: Shape | None = None, dtype: Any = float) -> Any:
    """Numbers with density proportional to x**(a - 1) * exp(-x) on x > 0.

    Drawn by rejection (G. Marsaglia and W. W. Tsang, "A simple method for generating gamma variables", ACM TOMS 26,
    2000); differentiable in `a` to any order, at a fixed quantile (implicit reparametrization).

    Example:
        >>> random.gamma(random.key(0), 2.5, (2,)).round(4)
        array([0., 0.])
    """
    return np.exp(loggamma(key, a, shape, dtype))


def beta(key: Any, a: Any, b: Any, shape: Shape | None = None, dtype: Any = float) -> Any:
    """Numbers with density proportional to x**(a - 1) * (1 - x)**(b - 1) on [0, 1].

    Example:
        >>> random.beta(random.key(0), 2.0, 3.0, (2,)).round(4)
        array([0., 0.])
    """
    shape = _sample_shape(shape, a, b)
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
        >>> random.dirichlet(random.key(0), [1.0, 2.0, 3.0]).sum().round(12)
        np.float64(1.0)
    """
    dims = typeof(alpha).shape
    if not dims:
        raise ShapeMismatchError("The parameter of a Dirichlet distribution is a vector, but a scalar was given.")
    shape = dims[:-1] if shape is None else _checked_shape(shape)
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
        >>> random.multivariate_normal(random.key(0), np.zeros(2), np.eye(2), (5,)).shape
        (5, 2)
    """
    n, rows = typeof(mean).shape[-1:], typeof(cov).shape
    if not n or rows[-2:] != n + n:
        raise ShapeMismatchError(
            f"A mean of shape {typeof(mean).shape} and a covariance of shape {rows} do not belong together.",
            "They have shapes (..., n) and (..., n, n).",
        )
    mean, cov = _as_float(mean), _as_float(cov)
    dtype = _checked_dtype(np.result_type(mean.dtype, cov.dtype) if dtype is None else dtype, FLOATS)
    mean, cov = _as_dtype(mean, dtype), _as_dtype(cov, dtype)
    batch = broadcast_shapes(mean.shape[:-1], rows[:-2])
    shape = batch if shape is None else _checked_shape(shape)
    if broadcast_shapes(shape, batch) != shape:
        raise _broadcast_error(shape, mean, cov)
    noise = normal(key, shape + n, dtype)
    return mean + np.matmul(_square_root(cov, method), noise[..., None])[..., 0]


# ---- arguments


def _checked_key(key: Any) -> Any:
    """One key. An array of keys would make it unclear which axes of the parameters belong to it."""
    aval = typeof(key)
    check_key(aval)
    if len(aval.shape) > 1:
        raise InvalidKeyError(
            f"An array of keys of type {aval} was given where one key is expected.",
            "Each function of functrans.random draws from one key of shape (2,).",
            "Draw from one of them (`keys[0]`), or from each: `vmap(lambda key: random.normal(key, (3,)))(keys)`.",
        )
    return key


def _checked_shape(shape: Any) -> tuple[int, ...]:
    if type(shape) is tuple and all(type(extent) is int and extent >= 0 for extent in shape):
        return shape
    try:
        extents = tuple(map(index, shape if isinstance(shape, Sequence | np.ndarray) else (shape,)))
    except FunctransError:
        raise
    except TypeError:
        extents = (-1,)
    if min(extents, default=0) < 0:
        raise InvalidShapeError(
            f"Random numbers of shape {shape!r} were asked for.",
            "A shape is an integer or a sequence of integers, none of them negative.",
            "Pass a tuple such as `(3, 4)`.",
        )
    return extents


def _checked_dtype(dtype: Any, allowed: frozenset[np.dtype[Any]]) -> np.dtype[Any]:
    dtype = np.dtype(dtype)
    if dtype not in allowed:
        names = ", ".join(sorted(allowed_dtype.name for allowed_dtype in allowed))
        raise UnsupportedDtypeError(
            f"Random numbers of dtype {dtype.name} were asked for.",
            f"This function draws {names}.",
            "Draw one of these and convert it with `.astype(...)`.",
        )
    return dtype


def _checked_count(n: Any) -> int:
    if typeof(n).dtype not in INTEGERS or index(n) < 0:
        raise RandomParameterError(
            f"A scalar of type {typeof(n)} was given in place of an array to draw from.",
            "A scalar stands for `arange(n)`, and is an integer that is not negative.",
            "Pass such an integer, or an array.",
        )
    return index(n)


def _sample_shape(shape: Any, *parameters: Any) -> tuple[int, ...]:
    """The shape of the numbers to be drawn: the given one, or if None that of the parameters."""
    shapes = [typeof(parameter).shape for parameter in parameters]
    if shape is None:
        return broadcast_shapes(*shapes)
    shape = _checked_shape(shape)
    if any(shapes) and broadcast_shapes(shape, *shapes) != shape:
        raise _broadcast_error(shape, *parameters)
    return shape


def _broadcast_error(shape: tuple[int, ...], *parameters: Any) -> ShapeMismatchError:
    return ShapeMismatchError(
        f"Random numbers of shape {shape} were asked for, with parameters of types "
        f"{', '.join(str(typeof(parameter)) for parameter in parameters)}.",
        "The parameters have to broadcast to the shape of the result.",
        "Enlarge `shape`, or draw for each parameter with `vmap`.",
    )


def _as_dtype(x: Any, dtype: np.dtype[Any]) -> Any:
    """A real parameter in the dtype of the numbers to be drawn."""
    aval = typeof(x)
    if aval.dtype.kind == "c":
        raise UnsupportedDtypeError(
            f"A parameter of type {aval} was given to a distribution of real numbers.",
            "Its parameters are real.",
            "Pass the real part.",
        )
    if not hasattr(x, "astype"):
        return np.asarray(x, dtype)
    return x if aval.dtype == dtype and not aval.weak else x.astype(dtype)


def _as_float(x: Any) -> Any:
    """A parameter that decides the dtype of the result; integers and Python numbers become float64."""
    dtype = typeof(x).dtype
    return _as_dtype(x, dtype if dtype in FLOATS else np.dtype(np.float64))


def _require(x: Any, holds: Any, what: str, rule: str) -> None:
    """Raise RandomParameterError unless a condition holds for all of a parameter that is known."""
    if isinstance(x, Traced) or np.all(holds(np.asarray(x))):
        return
    raise RandomParameterError(
        f"{what} was given as {x}.", f"It {rule}.", "Clip it with `np.clip`, or see why it is out of range."
    )


# ---- parts of the functions above


def _wide_bits(key: Any, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Any:
    drawn = random_bits(key, shape=shape, dtype=dtype)
    return drawn if dtype == UINT64 else drawn.astype(UINT64)


def _integer_range(minval: Any, maxval: Any, dtype: np.dtype[Any]) -> tuple[Any, Any]:
    """The lowest integer, modulo 2**64, and how many there are; None for all 2**64 of them."""
    for bound in (minval, maxval):
        if typeof(bound).dtype not in INTEGERS:
            raise UnsupportedDtypeError(
                f"A bound of type {typeof(bound)} was given for random integers.",
                "Bounds of integers are integers.",
                "Convert it with `int(...)` or `.astype(int)`, or draw with `random.uniform`.",
            )
    info = np.iinfo(dtype)
    known = not (isinstance(minval, Traced) or isinstance(maxval, Traced))
    if known and not np.all((info.min <= minval) & (minval < maxval) & (maxval - 1 <= info.max)):
        raise RandomParameterError(
            f"Integers of [minval, maxval) were asked for as {dtype.name}, with minval = {minval} and maxval = {maxval}.",
            "There are none where minval is not below maxval, and both ends have to fit the dtype.",
            "Swap or widen the bounds, or ask for a wider dtype.",
        )
    if isinstance(minval, int) and isinstance(maxval, int):
        span = maxval - minval
        return np.uint64(minval % 2**64), None if span == 2**64 else np.uint64(span)
    low, high = _clipped(minval, info.min, info.max), _clipped(maxval, info.min, info.max + 1)
    span = np.subtract(high.astype(UINT64), low.astype(UINT64))
    return low.astype(UINT64), np.where(low < high, span, np.uint64(1))


def _clipped(bound: Any, low: int, high: int) -> Any:
    """A bound of integers, clipped in its own dtype."""
    info = np.iinfo(typeof(bound).dtype)
    return np.minimum(np.maximum(bound, max(low, info.min)), min(high, info.max))


def _random_order(key: Any, shape: tuple[int, ...], axis: int) -> Any:
    """The indices of an axis in random order, for every vector along it, sorted by random 32-bit numbers.

    Equal numbers keep their order, so that sorting is repeated often enough for that not to show.
    """
    positions = np.arange(shape[axis], dtype=UINT64).reshape(-1, *(1,) * (len(shape) - 1 - axis))
    order = np.broadcast_to(positions, shape).astype(int)
    for _ in range(ceil(3 * log(max(1, prod(shape))) / log(2**32 - 1))):
        key, subkey = split(key)
        tickets = _wide_bits(subkey, shape, UINT32)
        # The position in the lower half of the sorted number makes the sort stable.
        ranked = np.sort(tickets << 32 | positions, axis) & 0xFFFFFFFF
        order = np.take_along_axis(order, ranked.astype(int), axis)
    return order


def _weighted_choice(key: Any, p: Any, count: int, shape: tuple[int, ...], replace: bool) -> Any:
    p = _as_float(p)
    if p.shape != (count,):
        raise ShapeMismatchError(f"Weights of shape {p.shape} were given for {count} elements.")
    _require(p, lambda p: (p >= 0) & (p < np.inf), "The weight of an element", "is finite and not negative")
    if replace:
        total = np.cumsum(p)
        return np.searchsorted(total, total[-1] * (1 - uniform(key, shape, p.dtype)))
    with np.errstate(divide="ignore"):
        ranked = np.argsort(-(gumbel(key, (count,), p.dtype) + np.log(p)), stable=True)
    return ranked[: prod(shape)].reshape(shape)


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
        f"A covariance was to be factorized by the method {method!r}.", "", 'Pass "cholesky", "eigh" or "svd".'
    )
