"""What NumPy can do and CuPy cannot, for arrays on a GPU: made of what it can."""

from __future__ import annotations

from collections.abc import Sequence
from math import factorial, isqrt, prod
from typing import Any, Final

import numpy as np

from ..core.devices import common_place, cupy_special, is_on_device

#: Whole numbers that hold numbers of so many bytes.
_WORDS: Final = {4: np.dtype(np.uint32), 8: np.dtype(np.uint64)}
_ATOMIC_WORDS: Final = (np.dtype(np.int32), *_WORDS.values())
#: The dtypes of CuPy's atomic operations, by the ufunc whose `at` they are. It has extremes of floats as well, which
#: pass over NaN and round doubles to single precision (CuPy 14.2).
ATOMIC: Final = {
    np.add: (*_ATOMIC_WORDS, *map(np.dtype, (np.float16, np.float32, np.float64))),
    np.maximum: _ATOMIC_WORDS, np.minimum: _ATOMIC_WORDS,
}  # fmt: skip


def special_function(name: str, *xs: Any) -> Any:
    """A function of cupyx.scipy.special.

    Raises:
        NotImplementedError: it has none of this name.
    """
    function = getattr(cupy_special(), name, None)
    if function is None:
        raise NotImplementedError(f"there is no cupyx.scipy.special.{name}")
    return function(*xs)


def bessel_j(order: int, x: Any) -> Any:
    """The Bessel function of the first kind of a whole order, not negative, in double precision.

    From those of orders 0 and 1 upwards where that is stable, for |x| above the order; elsewhere from an order at which
    the function is nothing downwards (Miller; DLMF 3.6), of numbers that come to one together (DLMF 10.12.4).
    """
    size = np.abs(x.astype(np.float64))
    if order < 2:
        found = special_function(f"j{order}", size)
    else:
        is_far, far = size > order, np.maximum(size, order)
        below, found = special_function("j0", far), special_function("j1", far)
        for k in range(1, order):
            below, found = found, 2 * k / far * found - below
        near = np.where(is_far, 1.0, np.maximum(size, 1e-8))
        own, total = _downwards(order, near, order + 20 + isqrt(40 * order), -1)
        term = own / total
        tiny = (size / 2) ** order / float(factorial(min(order, 170)))
        found = np.where(is_far, found, np.where(size < 1e-8, tiny, term))
    return np.where(np.isinf(x), 0.0, np.where((x < 0) & (order % 2 == 1), -found, found))


def scaled_bessel_i(order: int, x: Any) -> Any:
    """exp(-|x|) times the modified Bessel function of a whole order, not negative, in double precision.

    By Miller's recurrence, and by Hankel's series (DLMF 10.40.1) for a large |x|.
    """
    size = np.abs(x.astype(np.float64))
    if order < 2:
        found = special_function(f"i{order}e", size)
    else:
        limit = max(30, order * order)
        is_far, far = size > limit, np.maximum(size, limit)
        term = series = np.ones_like(far)
        for k in range(1, 24):
            term = term * ((2 * k - 1) ** 2 - 4 * order * order) / (8 * k * far)
            series = series + term
        near = np.where(is_far, 1.0, np.maximum(size, 1e-8))
        own, total = _downwards(order, near, order + 20 + isqrt(100 * (limit + order)), 1)
        tiny = (size / 2) ** order / float(factorial(min(order, 170)))
        found = np.where(is_far, series / np.sqrt(2 * np.pi * far), np.where(size < 1e-8, tiny, own / total))
        found = np.where(np.isinf(size), 0.0, found)
    return np.where((x < 0) & (order % 2 == 1), -found, found)


def _downwards(order: int, x: Any, start: int, sign: int) -> tuple[Any, Any]:
    """Multiples of the Bessel function of an order, and of what the functions of all orders come to, for x > 0.

    Args:
        sign: 1 for modified functions, all of which count, -1 for others, of which those of even orders do.
    """
    above, own = np.zeros_like(x), np.full_like(x, 1e-250)
    found, total = np.zeros_like(x), np.zeros_like(x)
    for k in range(start, -1, -1):
        if k == order:
            found = own
        if sign > 0 or k % 2 == 0:
            total = total + (own if k == 0 else 2 * own)
        above, own = own, 2 * k / x * own + sign * above
        scale = np.where(np.abs(own) > 1e200, 1e-250, 1.0)
        above, own, found, total = above * scale, own * scale, found * scale, total * scale
    return found, total


def reduce(ufunc: np.ufunc, x: Any, axes: Sequence[int]) -> Any:
    """`ufunc.reduce` over some axes, by halves."""
    kept = [axis for axis in range(x.ndim) if axis not in axes]
    rows = np.transpose(x, (*axes, *kept)).reshape((prod(x.shape[a] for a in axes), *(x.shape[a] for a in kept)))
    if not len(rows):
        return np.full_like(x, np.array(ufunc.identity).astype(x.dtype)[()], shape=rows.shape[1:])
    while len(rows) > 1:
        half = len(rows) // 2
        rows = np.concatenate([ufunc(rows[:half], rows[half : 2 * half]), rows[2 * half :]])
    return rows[0]


def accumulate(ufunc: np.ufunc, x: Any, axis: int) -> Any:
    """`ufunc.accumulate`, by doubling (Hillis and Steele 1986)."""
    y = np.moveaxis(x, axis, -1)
    step = 1
    while step < y.shape[-1]:
        y = np.concatenate([y[..., :step], ufunc(y[..., :-step], y[..., step:])], axis=-1)
        step *= 2
    return np.moveaxis(y, -1, axis).copy()


def lexsort(keys: Sequence[Any], axis: int) -> Any:
    """`numpy.lexsort`: stable sorts by one key after the other."""
    order = np.argsort(keys[0], axis=axis, kind="stable")
    for key in keys[1:]:
        inner = np.argsort(np.take_along_axis(key, order, axis=axis), axis=axis, kind="stable")
        order = np.take_along_axis(order, inner, axis=axis)
    return order


def update_at(ufunc: np.ufunc, y: Any, places: Any, updates: Any) -> None:
    """`ufunc.at` of a vector, at places that are not negative."""
    if y.dtype in ATOMIC.get(ufunc, ()):
        ufunc.at(y, places, updates)
    elif ufunc is np.add and y.dtype.kind == "c":
        ufunc.at(y.real, places, updates.real)
        ufunc.at(y.imag, places, updates.imag)
    elif ufunc is np.add and y.dtype == np.int64:
        ufunc.at(y.view(_WORDS[8]), places, updates.view(_WORDS[8]))  # the same bits are added
    elif ufunc in (np.maximum, np.minimum) and y.dtype.kind in "if" and y.itemsize in _WORDS:
        words = _in_order(ufunc, y)
        ufunc.at(words, places, _in_order(ufunc, updates))
        y[...] = _out_of_order(words, y.dtype)
    elif len(places):
        _update_in_rounds(ufunc, y, places, updates)


def _in_order(ufunc: np.ufunc, x: Any) -> Any:
    """Whole numbers in the order of signed numbers, or of floats, with NaN at the end that an extreme is of."""
    bits = x.view(_WORDS[x.itemsize])
    zero, sign = bits.dtype.type(0), _sign(bits.dtype)
    if x.dtype.kind == "i":
        return bits ^ sign
    nan = ~zero if ufunc is np.maximum else zero
    return np.where(np.isnan(x), nan, np.where(bits & sign != 0, ~bits, bits | sign))


def _out_of_order(words: Any, dtype: np.dtype[Any]) -> Any:
    """The numbers that such whole numbers stand for."""
    sign = _sign(words.dtype)
    bits = words ^ sign if dtype.kind == "i" else np.where(words & sign != 0, words ^ sign, ~words)
    return bits.view(dtype)


def _sign(word: np.dtype[Any]) -> Any:
    """The highest bit."""
    return word.type(1 << 8 * word.itemsize - 1)


def write_in_order(y: Any, places: Any, updates: Any) -> None:
    """`y[places] = updates`, where the last of several updates to one place stays."""
    if len(places):
        order = np.argsort(places, kind="stable")
        ordered = places[order]
        is_last = np.concatenate([ordered[1:] != ordered[:-1], np.ones_like(ordered[:1], dtype=bool)])
        y[ordered[is_last]] = updates[order[is_last]]


def _update_in_rounds(ufunc: np.ufunc, y: Any, places: Any, updates: Any) -> None:
    """Each round has one of the updates to each place: the first, then the second, and so on."""
    order = np.argsort(places, kind="stable")
    ordered = places[order]
    number = np.arange(len(ordered), like=ordered)
    begins = np.concatenate([np.ones_like(ordered[:1], dtype=bool), ordered[1:] != ordered[:-1]])
    rank = number - accumulate(np.maximum, np.where(begins, number, 0), 0)
    for turn in range(int(rank.max()) + 1):
        chosen = order[rank == turn]
        at = places[chosen]
        y[at] = ufunc(y[at], updates[chosen])


def check_indices(x: Any, indices: Sequence[Any], axes: Sequence[int]) -> None:
    """For indices of an array on a GPU, which CuPy would copy from the host and let wrap around.

    Raises:
        DeviceMismatchError: some are on the host.
        IndexError: some are out of bounds.
    """
    common_place((x, *indices), lambda i: f"index {i - 1}" if i else "the indexed array")
    for index, axis in zip(indices, axes):
        extent = x.shape[axis]
        if is_on_device(index) and bool(((index < -extent) | (index >= extent)).any()):
            raise IndexError
