"""Bits, integers, indices and orders."""

from __future__ import annotations

from functools import partial
from math import ceil, log, prod
from typing import Any, Final

import numpy as np
from numpy.lib.array_utils import normalize_axis_index

from ..core.devices import beside
from ..core.trace import typeof
from ..errors import RandomParameterError, ShapeMismatchError, UnsupportedDtypeError
from ..numpy.indexing import take
from ..primitives.foundation import broadcast_shapes
from ..primitives.random import UINT32, random_bits
from .arguments import (
    INTEGERS,
    UNSIGNED,
    Shape,
    as_float,
    broadcast_error,
    checked_count,
    checked_dtype,
    checked_key,
    checked_shape,
    is_float,
    is_traced,
    require,
    sample_shape,
)
from .continuous import gumbel, uniform
from .keys import split

UINT64: Final = np.dtype(np.uint64)


def bits(key: Any, shape: Shape = (), dtype: Any = np.uint64) -> Any:
    """Random bits, as unsigned integers of any size.

    Example:
        >>> from functrans import random
        >>> random.bits(random.key(0), (2,), "uint8")
        array([167, 146], dtype=uint8)
    """
    return random_bits(checked_key(key), shape=checked_shape(shape), dtype=checked_dtype(dtype, UNSIGNED))


def randint(key: Any, shape: Shape, minval: Any, maxval: Any, dtype: Any = int) -> Any:
    """Integers of [minval, maxval), int64 by default, with equal probabilities.

    They are 64 random bits modulo the span (128 for spans up to 2**32), so that probabilities differ by a share of at
    most span / 2**64; for dtypes of 32 bits and fewer it is half as many bits, and span / 2**32 above 2**16.

    Where traced bounds leave no integer the result is minval, as in JAX; concrete ones, and bounds that the dtype does
    not hold, raise RandomParameterError. int8 and int16 are drawn as int32, as JAX does now and 0.5 did not.

    Example:
        >>> from functrans import random
        >>> random.randint(random.key(0), (5,), 0, 100)
        array([35, 11, 75, 17, 53])
    """
    shape, dtype = checked_shape(shape), checked_dtype(dtype, INTEGERS)
    sample_shape(shape, minval, maxval)
    low, span = _integer_range(minval, maxval, dtype)
    width = max(32, 8 * dtype.itemsize)
    draw = partial(_wide_bits, shape=shape, dtype=np.dtype(f"u{width // 8}"))
    upper_key, lower_key = split(key)
    offset = draw(lower_key)
    if span is not None:
        offset = offset % span
        factor = _upper_factor(span, width)
        if type(factor) is not int or factor:
            offset = (draw(upper_key) % span * factor + offset) % span
    return np.add(offset, low).astype(dtype)


def permutation(key: Any, x: Any, axis: int = 0, independent: bool = False) -> Any:
    """An array in random order along an axis, or `arange(x)` in random order for an integer x.

    Args:
        independent: shuffle each vector along the axis on its own, instead of moving whole slices.

    Example:
        >>> from functrans import random
        >>> random.permutation(random.key(0), 5)
        array([0, 1, 4, 3, 2])
    """
    shape = typeof(x).shape
    if not shape:
        return _random_order(key, (checked_count(x),), 0)
    axis = normalize_axis_index(axis, len(shape))
    if independent:
        return np.take_along_axis(x, _random_order(key, shape, axis), axis)
    return take(x, _random_order(key, (shape[axis],), 0), axis)


def choice(key: Any, a: Any, shape: Shape = (), replace: bool = True, p: Any = None, axis: int = 0) -> Any:
    """Elements drawn from an array along an axis, or from `arange(a)` for an integer a.

    Args:
        replace: whether an element may be drawn more than once.
        p: the weight of each element; weights need not sum to one.

    Returns:
        An array of the shape of `a` with `shape` in place of the axis.

    Example:
        >>> from functrans import random
        >>> random.choice(random.key(0), 10, (3,))
        array([5, 1, 5])
    """
    shape, dims = checked_shape(shape), typeof(a).shape
    axis = normalize_axis_index(axis, len(dims)) if dims else 0
    count, draws = dims[axis] if dims else checked_count(a), prod(shape)
    if draws > count and (not count or not replace):
        raise RandomParameterError(
            f"{draws} elements were to be drawn {'from' if replace else 'without replacement from'} {count}.",
            "There are not enough of them.",
            "Draw fewer, or draw with replacement.",
        )
    if p is not None:
        chosen = _weighted_choice(key, p, count, shape, replace)
    elif replace:
        chosen = randint(key, shape, 0, count) if draws else beside(key, np.zeros(shape, int))
    else:
        chosen = permutation(key, count)[:draws].reshape(shape)
    return take(a, chosen, axis) if dims else chosen


def bernoulli(key: Any, p: Any = 0.5, shape: Shape | None = None) -> Any:
    """Booleans that are True with probability p.

    Example:
        >>> from functrans import random
        >>> random.bernoulli(random.key(0), 0.3, (4,))
        array([False,  True, False, False])
    """
    shape = sample_shape(shape, p)
    require(p, lambda p: (p >= 0) & (p <= 1), "The probabilities", "lie in [0, 1]")
    dtype = typeof(p).dtype
    return uniform(key, shape, dtype if is_float(dtype) else np.float64) < p


def rademacher(key: Any, shape: Shape = (), dtype: Any = int) -> Any:
    """Signs: -1 or 1 with equal probability.

    Example:
        >>> from functrans import random
        >>> random.rademacher(random.key(0), (4,))
        array([ 1,  1, -1, -1])
    """
    return (2 * bernoulli(key, 0.5, checked_shape(shape)) - 1).astype(dtype)


def categorical(key: Any, logits: Any, axis: int = -1, shape: Shape | None = None, replace: bool = True) -> Any:
    """Indices drawn with probabilities softmax(logits) along an axis: the largest of logits plus Gumbel noise.

    Args:
        shape: of the result; it ends in the shape of `logits` without the axis, which is the default.
        replace: if not, the leading axes of `shape` hold draws without replacement from the same distribution
            (W. Kool, H. van Hoof and M. Welling, "Stochastic beams and where to find them", ICML 2019).

    Example:
        >>> from functrans import random
        >>> random.categorical(random.key(0), np.log([0.1, 0.2, 0.7]), shape=(5,))
        array([2, 2, 2, 1, 1])
    """
    dims = typeof(logits).shape
    axis = normalize_axis_index(axis, len(dims)) - len(dims)
    logits = as_float(logits)
    batch = tuple(np.delete(dims, axis))
    shape = batch if shape is None else checked_shape(shape)
    lead = shape[: len(shape) - len(batch)]
    if broadcast_shapes(shape, batch) != shape:
        raise broadcast_error(shape, logits)
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
    ranked = np.argsort(-(logits + gumbel(key, dims, dtype)), axis, kind="stable")
    return np.moveaxis(ranked, axis, 0)[: prod(lead)].reshape(shape)


def _wide_bits(key: Any, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Any:
    drawn = random_bits(key, shape=shape, dtype=dtype)
    return drawn if dtype == UINT64 else drawn.astype(UINT64)


def _integer_range(minval: Any, maxval: Any, dtype: np.dtype[Any]) -> tuple[Any, Any]:
    """The lowest integer, modulo 2**64, and how many there are; None for all 2**64 of them."""
    minval, maxval = (b if isinstance(b, int) or hasattr(b, "dtype") else np.asarray(b) for b in (minval, maxval))
    for bound in (minval, maxval):
        if typeof(bound).dtype not in INTEGERS:
            raise UnsupportedDtypeError(
                f"A bound of type {typeof(bound)} was given for random integers.",
                "Bounds of integers are integers.",
                "Convert it with `int(...)` or `.astype(int)`, or draw with `random.uniform`.",
            )
    info = np.iinfo(dtype)
    known = not (is_traced(minval) or is_traced(maxval))
    if known and not np.all((info.min <= minval) & (minval < maxval) & (maxval - 1 <= info.max)):
        raise RandomParameterError(
            f"Integers of [minval, maxval) were asked for as {dtype.name}, with minval = {minval}, maxval = {maxval}.",
            "There are none where minval is not below maxval, and both ends have to fit the dtype.",
            "Swap or widen the bounds, or ask for a wider dtype.",
        )
    if isinstance(minval, int) and isinstance(maxval, int):
        span = maxval - minval
        return minval % 2**64, None if span == 2**64 else span
    low, high = _clipped(minval, info.min, info.max), _clipped(maxval, info.min, info.max + 1)
    span = np.subtract(high.astype(UINT64), low.astype(UINT64))
    return low.astype(UINT64), np.where(low < high, span, np.uint64(1))


def _upper_factor(span: Any, width: int) -> Any:
    """2**width modulo the span, or zero where the span needs more than half the width.

    JAX draws twice as many bits as the width and takes them modulo the span. Its product of words overflows for the
    larger spans, where the upper word then counts for nothing.
    """
    half = 2 ** (width // 2)
    if isinstance(span, int):
        return 0 if span > half else half * half % span
    remainder = half % span
    return np.where(span > half, np.uint64(0), remainder * remainder % span)


def _clipped(bound: Any, low: int, high: int) -> Any:
    """A bound of integers, clipped in its own dtype."""
    if isinstance(bound, int):
        return np.asarray(min(max(bound, low), high, 2**64 - 1))[()]
    info = np.iinfo(typeof(bound).dtype)
    return np.minimum(np.maximum(bound, max(low, info.min)), min(high, info.max))


def _random_order(key: Any, shape: tuple[int, ...], axis: int) -> Any:
    """The indices of an axis in random order, for every vector along it, sorted by random 32-bit numbers.

    Equal numbers keep their order, so that sorting is repeated often enough for that not to show.
    """
    numbers = beside(key, np.arange(shape[axis], dtype=UINT64))
    positions = numbers.reshape(-1, *(1,) * (len(shape) - 1 - axis))
    order = np.broadcast_to(positions, shape).astype(int)
    for _ in range(ceil(3 * log(max(1, prod(shape))) / log(2**32 - 1))):
        key, subkey = split(key)
        tickets = _wide_bits(subkey, shape, UINT32)
        # The position in the lower half of the sorted number makes the sort stable.
        ranked = np.sort(tickets << 32 | positions, axis) & 0xFFFFFFFF
        order = np.take_along_axis(order, ranked.astype(int), axis)
    return order


def _weighted_choice(key: Any, p: Any, count: int, shape: tuple[int, ...], replace: bool) -> Any:
    p = as_float(p)
    if p.shape != (count,):
        raise ShapeMismatchError(
            f"Weights of shape {p.shape} were given for {count} elements.",
            "There is one weight for each element.",
            f"Pass weights of shape {(count,)}.",
        )
    require(p, lambda p: (p >= 0) & (p < np.inf), "The weights", "are finite and not negative")
    needed = min(prod(shape), 1) if replace else prod(shape)
    require(p, lambda p: np.count_nonzero(p) >= needed, "The weights", f"are positive for at least {needed} elements")
    if replace:
        total = np.cumsum(p)
        return np.searchsorted(total, total[-1] * (1 - uniform(key, shape, p.dtype)))
    with np.errstate(divide="ignore"):
        ranked = np.argsort(-(gumbel(key, (count,), p.dtype) + np.log(p)), kind="stable")
    return ranked[: prod(shape)].reshape(shape)
