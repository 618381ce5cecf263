"""Numbers of events: Poisson, binomial, geometric and multinomial."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from ..core.avals import is_inexact
from ..core.devices import beside
from ..core.trace import typeof
from ..errors import ShapeMismatchError
from ..lax.loops import scan, while_loop
from ..numpy.indexing import take
from ..primitives.foundation import broadcast_shapes
from ..primitives.special import lgamma
from .arguments import (
    FLOATS,
    INTEGERS,
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
from .continuous import uniform
from .keys import split

SINGLE: Final = np.dtype(np.float32)
#: What the series of Stirling's formula lacks of log(k!) for k = 0, ..., 9, before its first terms.
_STIRLING: Final = (
    0.0810614667953272, 0.0413406959554092, 0.0276779256849983, 0.0207906721037651, 0.0166446911898211,
    0.0138761288230707, 0.0118967099458917, 0.0104112652619720, 0.0092554621827127, 0.0083305634333629,
)  # fmt: skip


def poisson(key: Any, lam: Any, shape: Shape | None = None, dtype: Any = int) -> Any:
    """Counts with probabilities proportional to lam**k / k!.

    For means below 10 random numbers are multiplied until their product is below exp(-lam) (D. Knuth, The Art of
    Computer Programming, volume 2, 3.4.1), above that it is done by transformed rejection (W. Hoermann, "The
    transformed rejection method for generating Poisson random variables", Insurance: Mathematics and Economics 12,
    1993); in single precision, as in JAX.

    Example:
        >>> from functrans import random
        >>> random.poisson(random.key(0), 3.0, (5,)).shape
        (5,)
    """
    shape, dtype = sample_shape(shape, lam), checked_dtype(dtype, INTEGERS)
    require(lam, lambda lam: lam >= 0, "The means of Poisson distributions", "are not negative")
    lam, key = for_each(as_dtype(lam, SINGLE), shape, key), checked_key(key)
    is_small = ~(lam >= 10)
    found = np.zeros_like(lam)
    if is_traced(lam) or np.any(is_small):
        found = _poisson_by_products(key, np.where(is_small, lam, SINGLE.type(0)), shape)
    if is_traced(lam) or not np.all(is_small):
        large = _poisson_by_rejection(key, np.where(is_small, SINGLE.type(1e5), lam), shape)
        found = np.where(is_small, found, large)
    return np.where(lam == 0, SINGLE.type(0), found).astype(dtype)


def _poisson_by_products(key: Any, lam: Any, shape: tuple[int, ...]) -> Any:
    def goes_on(state: tuple[Any, ...]) -> Any:
        return np.any(state[2] > -lam)

    def step(state: tuple[Any, ...]) -> tuple[Any, ...]:
        count, key, log_product = state
        key, subkey = split(key)
        count = np.where(log_product > -lam, count + 1, count)
        return count, key, log_product + np.log(uniform(subkey, shape, SINGLE))

    with np.errstate(divide="ignore"):
        return while_loop(goes_on, step, (lam * 0, key, lam * 0))[0] - 1


def _poisson_by_rejection(key: Any, lam: Any, shape: tuple[int, ...]) -> Any:
    log_lam, b = np.log(lam), 0.931 + 2.53 * np.sqrt(lam)
    a, inverse_alpha = -0.059 + 0.02483 * b, 1.1239 + 1.1328 / (b - 3.4)
    sure = 0.9277 - 3.6224 / (b - 2)

    def step(state: tuple[Any, ...]) -> tuple[Any, ...]:
        found, is_done, key = state
        key, u_key, v_key = split(key, 3)
        u, v = uniform(u_key, shape, SINGLE) - SINGLE.type(0.5), uniform(v_key, shape, SINGLE)
        distance = 0.5 - np.abs(u)
        k = np.floor((2 * a / distance + b) * u + lam + SINGLE.type(0.43))
        height = np.log(v * inverse_alpha / (a / (distance * distance) + b))
        is_within = height <= -lam + k * log_lam - lgamma(k + 1)
        is_out = (k < 0) | ((distance < 0.013) & (v > distance))
        accepted = ((distance >= 0.07) & (v <= sure)) | (~is_out & is_within)
        return np.where(accepted, k, found), is_done | accepted, key

    with np.errstate(divide="ignore", invalid="ignore"):
        return while_loop(lambda state: np.any(~state[1]), step, (lam * 0 - 1, lam < 0, key))[0]


def binomial(key: Any, n: Any, p: Any, shape: Shape | None = None, dtype: Any = float) -> Any:
    """How many of n events happen that have probability p each, as floats.

    Up to a mean of 10 waiting times from event to event are added up, above that it is done by transformed rejection
    (W. Hoermann, "The generation of binomial random variates", J. Stat. Comput. Simul. 46, 1993). Where traced
    parameters are out of range the result is NaN.

    Example:
        >>> from functrans import random
        >>> random.binomial(random.key(0), 10, 0.3, (5,)).shape
        (5,)
    """
    shape, dtype = sample_shape(shape, n, p), checked_dtype(dtype, FLOATS)
    require(n, lambda n: n >= 0, "The numbers of trials of binomial distributions", "are not negative")
    require(p, lambda p: (p >= 0) & (p <= 1), "The probabilities", "lie in [0, 1]")
    p, key = as_float(p), checked_key(key)
    n, p = (for_each(as_dtype(v, p.dtype), shape, key) for v in (n, p))
    is_low = p < 0.5
    q = np.where(is_low, p, 1 - p)
    is_wrong = np.isnan(n) | (n < 0) | np.isnan(q) | (q < 0)
    q = np.where(np.isnan(q) | (q < 0), 0.01, q)
    is_small, n = np.isnan(n) | (n < 0) | (n * q <= 10), np.floor(n)
    is_known = not (is_traced(n) or is_traced(q))
    found = np.zeros_like(q)
    if not is_known or np.any(is_small):
        found = _binomial_by_waiting(key, np.where(is_small, n, 0.0), q, shape)
    if not is_known or not np.all(is_small):
        sizes, chances = np.where(is_small, 1e4, n), np.where(is_small, 0.5, q)
        found = np.where(is_small, found, _binomial_by_rejection(key, sizes, chances, shape))
    found = np.where(is_low | np.isinf(n), np.where(np.isinf(n), np.inf, found), n - found)
    return np.where(is_wrong, np.nan, found).astype(dtype)


def _binomial_by_waiting(key: Any, n: Any, p: Any, shape: tuple[int, ...]) -> Any:
    """Geometric numbers are added up until there are more than n."""
    log_miss = np.log1p(-p)

    def step(state: tuple[Any, ...]) -> tuple[Any, ...]:
        count, total, key = state
        subkey, key = split(key)
        waiting = np.ceil(np.log(uniform(subkey, shape, p.dtype)) / log_miss)
        return np.where(total <= n, count + 1, count), total + waiting, key

    with np.errstate(divide="ignore", invalid="ignore"):
        zero = np.zeros_like(p)
        return while_loop(lambda state: np.any(state[1] <= n), step, (zero, zero, key))[0] - 1


def _binomial_by_rejection(key: Any, n: Any, p: Any, shape: tuple[int, ...]) -> Any:
    deviation, odds, top = np.sqrt(n * p * (1 - p)), p / (1 - p), np.floor((n + 1) * p)
    b = 1.15 + 2.53 * deviation
    a, centre = -0.0873 + 0.0248 * b + 0.01 * p, n * p + 0.5
    sure, alpha = 0.92 - 4.2 / b, (2.83 + 5.1 / b) * deviation

    def log_ratio(k: Any) -> Any:
        """The logarithm of the probability of k, over that of the most probable count."""
        powers = (top + 0.5) * np.log((top + 1) / (odds * (n - top + 1)))
        powers = powers + (n + 1) * np.log((n - top + 1) / (n - k + 1))
        powers = powers + (k + 0.5) * np.log(odds * (n - k + 1) / (k + 1))
        return powers + _stirling_rest(top) + _stirling_rest(n - top) - _stirling_rest(k) - _stirling_rest(n - k)

    def step(state: tuple[Any, ...]) -> tuple[Any, ...]:
        found, is_done, key = state
        key, u_key, v_key = split(key, 3)
        u, v = uniform(u_key, shape, p.dtype) - 0.5, uniform(v_key, shape, p.dtype)
        distance = 0.5 - np.abs(u)
        k = np.floor((2 * a / distance + b) * u + centre)
        height = np.log(v * alpha / (a / (distance * distance) + b))
        is_inside = (k >= 0) & (k <= n)
        accepted = ((distance >= 0.07) & (v <= sure)) | (is_inside & (height <= log_ratio(k)))
        return np.where(accepted, k, found), is_done | accepted, key

    with np.errstate(divide="ignore", invalid="ignore"):
        start = np.zeros_like(p) - 1, np.zeros_like(p, dtype=bool), key
        return while_loop(lambda state: np.any(~state[1]), step, start)[0]


def _stirling_rest(k: Any) -> Any:
    """log(k!) less (k + 1/2) log(k + 1) - (k + 1) + log(2 pi) / 2."""
    small = np.clip(k, 0, 9)
    squared = (k + 1) ** 2
    series = (1 / 12 - (1 / 360 - 1 / 1260 / squared) / squared) / (k + 1)
    table = beside(k, np.array(_STIRLING, typeof(k).dtype))
    return np.where(k <= 9, take(table, np.where(np.isnan(small), 0, small).astype(int)), series)


def geometric(key: Any, p: Any, shape: Shape | None = None, dtype: Any = int) -> Any:
    """The numbers of trials up to the first success, each trial having probability p.

    Example:
        >>> from functrans import random
        >>> random.geometric(random.key(0), 0.5, (5,)).shape
        (5,)
    """
    shape, dtype = sample_shape(shape, p), checked_dtype(dtype, INTEGERS)
    require(p, lambda p: (p > 0) & (p <= 1), "The probabilities", "lie in (0, 1]")
    p = as_float(p)
    u = uniform(key, shape, p.dtype)
    with np.errstate(divide="ignore"):
        count = np.floor(np.log(np.where(u == 0, p.dtype.type(1), u)) / np.log1p(-p)) + 1
    return count.astype(dtype)


def multinomial(key: Any, n: Any, p: Any, *, shape: Shape | None = None, dtype: Any = None) -> Any:
    """How often each of several things happens in n trials, with probabilities p along the last axis.

    The counts are binomial, one after the other, of what trials are left.

    Args:
        n: broadcasts to `shape` without its last axis.
        p: of shape (..., k); what the probabilities add up to does not matter.
        shape: of the result; by default that of p.

    Example:
        >>> from functrans import random
        >>> float(random.multinomial(random.key(0), 20, [0.2, 0.3, 0.5]).sum())
        20.0
    """
    p = as_float(p)
    shape = typeof(p).shape if shape is None else checked_shape(shape)
    if not shape or typeof(p).shape[-1:] != shape[-1:]:
        raise ShapeMismatchError(
            f"Multinomial numbers of shape {shape} were asked for, with probabilities of type {typeof(p)}.",
            "The last axis holds the probabilities of the things that happen.",
            "Pass probabilities of shape (..., k).",
        )
    n_dtype = typeof(n).dtype
    kind = np.result_type(n_dtype, p.dtype) if is_inexact(n_dtype) and not typeof(n).weak else p.dtype
    n, p = as_dtype(n, kind), as_dtype(p, kind)
    if broadcast_shapes(shape, typeof(p).shape, (*typeof(n).shape, 1)) != shape:
        raise broadcast_error(shape, n, p)
    n, p = for_each(n, shape[:-1], key), np.moveaxis(np.broadcast_to(p, shape), -1, 0)
    left = np.flip(np.cumsum(np.flip(p, 0), 0), 0)
    shares = np.clip(p / np.where(left == 0, 1, left), 0, 1)

    def step(remaining: Any, share_and_key: tuple[Any, Any]) -> tuple[Any, Any]:
        share, key = share_and_key
        count = binomial(key, remaining, share, dtype=kind)
        return remaining - count, count

    _, counts = scan(step, n, (shares, split(key, shape[-1])))
    return np.moveaxis(counts, 0, -1).astype(kind if dtype is None else checked_dtype(dtype, FLOATS | INTEGERS))
