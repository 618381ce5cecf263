"""What NumPy can do and CuPy cannot, for arrays on a GPU: made of what it can."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any, Final

import numpy as np

from ..core.devices import common_place, cupy_special, is_on_device

#: The dtypes of CuPy's atomic operations, by the ufunc whose `at` they are.
ATOMIC: Final = {
    np.add: "iIQefdFD", np.maximum: "iIQfd", np.minimum: "iIQfd",
}  # fmt: skip
_UINT64: Final = np.dtype(np.uint64)


def special_function(name: str, *xs: Any) -> Any:
    """A function of cupyx.scipy.special.

    Raises:
        NotImplementedError: it has none of this name.
    """
    function = getattr(cupy_special(), name, None)
    if function is None:
        raise NotImplementedError(f"there is no cupyx.scipy.special.{name}")
    return function(*xs)


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
    if y.dtype == np.int64 and ufunc is np.add:
        y, updates = y.view(_UINT64), updates.view(_UINT64)  # the same bits are added
    if y.dtype.char in ATOMIC.get(ufunc, ""):
        ufunc.at(y, places, updates)
    elif len(places):
        _update_in_rounds(ufunc, y, places, updates)


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
