"""Order: sorting, and searching what is sorted.

Sorting is stable whatever `kind` says, and partitions are sorted all through.
"""

from __future__ import annotations

from operator import index
from typing import Any

import numpy as np

from ..core.avals import is_inexact
from ..core.trace import typeof
from ..errors import UnsupportedArgumentError
from ..primitives import sorting as _sorting
from ..primitives.elementwise import greater_equal, invert, negative, subtract
from ..primitives.selection import select
from ..primitives.structural import reverse, slice_axis
from .common import as_operand, cast, known_value, normalize_axis, with_shape
from .protocols import METHODS


def sort(
    a: Any, axis: Any = -1, kind: Any = None, order: Any = None, *, stable: Any = None, descending: Any = None
) -> Any:
    """numpy.sort; the derivative of each element goes where the element goes. NaN comes last in either order."""
    _check_order(order)
    x, axis = _along(a, axis)
    return _opposite(_sorting.sort(_opposite(x), axis=axis)) if descending else _sorting.sort(x, axis=axis)


def argsort(
    a: Any, axis: Any = -1, kind: Any = None, order: Any = None, *, stable: Any = None, descending: Any = None
) -> Any:
    """numpy.argsort."""
    _check_order(order)
    x, axis = _along(a, None if not typeof(as_operand(a)).shape and axis in (0, -1) else axis)
    return _sorting.argsort(_opposite(x) if descending else x, axis=axis)


def _opposite(x: Any) -> Any:
    """Elements in the opposite order, which this undoes; NaN stays NaN."""
    return negative(x) if is_inexact(typeof(x).dtype) else invert(x)


def sort_complex(a: Any) -> Any:
    """numpy.sort_complex: the sorted array as complex numbers."""
    x = sort(a)
    dtype = typeof(x).dtype
    return x if dtype.kind == "c" else cast(x, np.complex64 if dtype.char in "bhBH" else np.complex128)


def partition(a: Any, kth: Any, axis: Any = -1, kind: str = "introselect", order: Any = None) -> Any:
    """numpy.partition."""
    _check_kth(a, kth, axis)
    return sort(a, axis, order=order)


def argpartition(a: Any, kth: Any, axis: Any = -1, kind: str = "introselect", order: Any = None) -> Any:
    """numpy.argpartition."""
    _check_kth(a, kth, axis)
    return argsort(a, axis, order=order)


def lexsort(keys: Any, axis: int = -1) -> Any:
    """numpy.lexsort: the last key counts most."""
    operands = [as_operand(keys[i]) for i in range(len(keys))]
    if not operands:
        raise TypeError("need sequence of keys with len > 0 in lexsort")
    if not typeof(operands[0]).shape:
        return np.zeros((), np.int64)
    return _sorting.argsort(*reversed(operands), axis=normalize_axis(axis, typeof(operands[0]).ndim))


def searchsorted(a: Any, v: Any, side: str = "left", sorter: Any = None) -> Any:
    """numpy.searchsorted."""
    if side not in ("left", "right"):
        raise ValueError(f"search side must be 'left' or 'right' (got {side!r})")
    a = as_operand(a)
    if typeof(a).ndim != 1:
        raise ValueError("object too deep for desired array" if typeof(a).ndim else "object of too small depth")
    return _sorting.searchsorted(a if sorter is None else np.take(a, sorter), as_operand(v), side=side)


def digitize(x: Any, bins: Any, right: bool = False) -> Any:
    """numpy.digitize; bins that are not known while tracing are taken to be monotonic."""
    bins = as_operand(bins)
    if typeof(bins).ndim != 1:
        raise ValueError("object too deep for desired array")
    if typeof(x).dtype.kind == "c":
        raise TypeError("x may not be complex")
    side, size = ("left" if right else "right"), typeof(bins).size
    known = known_value(bins)
    if known is not None:
        if np.all(known[1:] >= known[:-1]):
            return searchsorted(bins, x, side)
        if not np.all(known[1:] <= known[:-1]):
            raise ValueError("bins must be monotonically increasing or decreasing")
        return _searched_downwards(bins, x, side)
    if size < 2:
        return searchsorted(bins, x, side)
    first, last = slice_axis(bins, 0, 1, axis=0), slice_axis(bins, size - 1, size, axis=0)
    grows = with_shape(greater_equal(last, first), ())
    return select(grows, searchsorted(bins, x, side), _searched_downwards(bins, x, side))


def _searched_downwards(bins: Any, x: Any, side: str) -> Any:
    return subtract(typeof(bins).size, searchsorted(reverse(bins, axes=(0,)), x, side))


def _along(a: Any, axis: Any) -> tuple[Any, int]:
    """An operand, flattened if axis is None, and the axis to work along."""
    x = as_operand(a)
    if axis is None:
        return with_shape(x, (typeof(x).size,)), 0
    return x, normalize_axis(axis, typeof(x).ndim)


def _check_order(order: Any) -> None:
    if order is not None:
        raise UnsupportedArgumentError(
            "A sort by the fields of a structured array was asked for (`order`).",
            "Structured arrays cannot be traced.",
            "Leave `order` out.",
        )


def _check_kth(a: Any, kth: Any, axis: Any) -> None:
    x, axis = _along(a, axis)
    extent = typeof(x).shape[axis]
    for k in np.ravel(kth):
        if not -extent <= index(k) < extent:
            raise ValueError(f"kth(={k}) out of bounds ({extent})")


# ---- methods, of which some sort in place


def _sort_in_place(
    x: Any, axis: Any = -1, kind: Any = None, order: Any = None, *, stable: Any = None, descending: Any = None
) -> None:
    x[...] = sort(x, axis, kind, order, stable=stable, descending=descending)


def _partition_in_place(x: Any, kth: Any, axis: Any = -1, kind: str = "introselect", order: Any = None) -> None:
    x[...] = partition(x, kth, axis, kind, order)


METHODS.update(
    sort=_sort_in_place, partition=_partition_in_place, argsort=argsort, argpartition=argpartition,
    searchsorted=searchsorted,
)  # fmt: skip
