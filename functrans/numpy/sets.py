"""Different values: unique, how often each one occurs, and arrays as sets."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core.avals import INT, is_inexact
from ..core.devices import here
from ..core.trace import Traced, typeof
from ..errors import ConcretizationError
from ..primitives.cumulative import cumsum
from ..primitives.elementwise import equal, isnan, less, logical_and, logical_not, not_equal, subtract
from ..primitives.foundation import promoted, zeros
from ..primitives.indexing import gather, scatter_set
from ..primitives.indices import Indexing
from ..primitives.selection import select
from ..primitives.sorting import argsort, searchsorted, sort
from ..primitives.structural import concatenate, slice_axis
from .common import as_operand, cast, known_value, with_shape
from .indexing import nonzero

#: Exported as ours: NumPy's namesakes do not take `size`.
ALWAYS_OURS = frozenset({"unique", "union1d"})


def unique(
    ar: Any, return_index: bool = False, return_inverse: bool = False, return_counts: bool = False, axis: Any = None, *,
    equal_nan: bool = True, sorted: bool = True, size: int | None = None, fill_value: Any = None,
) -> Any:  # fmt: skip
    """numpy.unique.

    Args:
        size: how many values to return. Needed where the values are not known while tracing; surplus values are left
            out, missing ones are `fill_value` (by default the least value), and occur zero times.

    Raises:
        ConcretizationError: the values are not known while tracing, and there is no size.

    Example:
        >>> import numpy as np, functrans as ft, functrans.numpy as fnp
        >>> ft.jit(lambda x: fnp.unique(x, size=3, fill_value=-1))(np.array([5, 2, 5]))
        array([ 2,  5, -1])
    """
    flags = (True, return_index, return_inverse, return_counts)
    if size is not None:
        found = _first_unique(ar, size, fill_value, axis, equal_nan)
    elif not isinstance(ar, Traced):
        return np.unique(ar, return_index, return_inverse, return_counts, axis, equal_nan=equal_nan)
    else:
        found = _known_unique(ar, axis, equal_nan)
    chosen = tuple(result for result, wanted in zip(found, flags) if wanted)
    return chosen[0] if len(chosen) == 1 else chosen


def _known_unique(x: Any, axis: Any, equal_nan: bool) -> tuple[Any, ...]:
    """Values, indices, inverse and counts of a traced array whose values are known; they keep their derivatives."""
    known = known_value(x)
    if known is None:
        raise ConcretizationError(
            f"The unique values of a traced array of type {typeof(x)} were asked for.",
            "Their number would be a shape, which must be known while tracing.",
            "Give their number, as in functrans.numpy.unique(x, size=n).",
        )
    _, index, inverse, counts = map(here, np.unique(known, True, True, True, axis, equal_nan=equal_nan))
    return np.take(x, index, axis), index, inverse, counts


def _first_unique(ar: Any, size: int, fill_value: Any, axis: Any, equal_nan: bool) -> tuple[Any, ...]:
    """Values, indices, inverse and counts, cut or filled to a given number."""
    x = as_operand(ar)
    shape, dtype, count = typeof(x).shape, typeof(x).dtype, typeof(x).size
    if axis is not None and len(shape) != 1:
        raise ValueError("unique with a size works on flattened arrays; leave out axis")
    if not count:
        empty = np.zeros(size, INT)
        return np.full(size, 0 if fill_value is None else fill_value, dtype), empty, np.zeros(shape, INT), empty
    flat, row = with_shape(x, (count,)), Indexing((0,), unique=True)
    order = argsort(flat, axis=0)
    is_first = _starts_of_runs(gather(flat, order, spec=row), equal_nan)
    (places,) = nonzero(is_first, size=size + 1, fill_value=count)
    starts, ends = slice_axis(places, 0, size, axis=0), slice_axis(places, 1, size + 1, axis=0)
    is_there = less(starts, count)
    least = slice_axis(order, 0, 1, axis=0)
    index = select(is_there, gather(order, starts, spec=Indexing((0,), mode="clip")), least)
    filler = gather(flat, least, spec=row) if fill_value is None else cast(fill_value, dtype)
    values = select(is_there, gather(flat, index, spec=Indexing((0,))), filler)
    run = subtract(cumsum(cast(is_first, INT), axis=0, reverse=False), 1)
    inverse = scatter_set(zeros(typeof(run)), run, order, spec=row)
    return values, index, with_shape(inverse, shape), subtract(ends, starts)


def _starts_of_runs(ordered: Any, equal_nan: bool) -> Any:
    """Where a value of a sorted array differs from the one before it."""
    count = typeof(ordered).size
    before, after = slice_axis(ordered, 0, count - 1, axis=0), slice_axis(ordered, 1, count, axis=0)
    differs = not_equal(before, after)
    if equal_nan and is_inexact(typeof(ordered).dtype):
        differs = logical_and(differs, logical_not(logical_and(isnan(before), isnan(after))))
    return concatenate(here(np.ones(1, bool)), differs, axis=0)


# ---- sets


def isin(
    element: Any, test_elements: Any, assume_unique: bool = False, invert: bool = False, *, kind: Any = None
) -> Any:
    """numpy.isin."""
    x, tested = as_operand(element), as_operand(test_elements)
    tested = with_shape(tested, (typeof(tested).size,))
    dtype = promoted(typeof(x), typeof(tested))
    x, tested = cast(x, dtype), cast(tested, dtype)
    if not typeof(tested).size:
        return np.full(typeof(x).shape, invert)
    ordered = sort(tested, axis=0)
    places = searchsorted(ordered, x, side="left")
    found = equal(gather(ordered, places, spec=Indexing((0,), mode="clip")), x)
    return logical_not(found) if invert else found


def union1d(ar1: Any, ar2: Any, *, size: int | None = None, fill_value: Any = None) -> Any:
    """numpy.union1d; `size` and `fill_value` as for `unique`."""
    return unique(np.concatenate([ar1, ar2], axis=None), size=size, fill_value=fill_value)


def intersect1d(ar1: Any, ar2: Any, assume_unique: bool = False, return_indices: bool = False) -> Any:
    """numpy.intersect1d, of values that are known while tracing."""
    known = _known_sets(ar1, ar2)
    _, first, second = map(here, np.intersect1d(*known, assume_unique, return_indices=True))
    values = np.take(ar1, first)
    return (values, first, second) if return_indices else values


def setdiff1d(ar1: Any, ar2: Any, assume_unique: bool = False) -> Any:
    """numpy.setdiff1d, of values that are known while tracing."""
    known, other = _known_sets(ar1, ar2)
    values, index = (known, np.arange(known.size)) if assume_unique else np.unique(known, return_index=True)
    return np.take(ar1, here(index[np.isin(values, other, invert=True)]))


def setxor1d(ar1: Any, ar2: Any, assume_unique: bool = False) -> Any:
    """numpy.setxor1d, of values that are known while tracing."""
    known = _known_sets(ar1, ar2)
    values, index = np.unique(np.concatenate(known), return_index=True)
    chosen = here(index[np.isin(values, np.setxor1d(*known, assume_unique))])
    return np.take(np.concatenate([ar1, ar2], axis=None), chosen)


def _known_sets(*arrays: Any) -> list[Any]:
    """The values of operands whose number of elements in common decides a shape."""
    known = [known_value(x) for x in arrays]
    for x, value in zip(arrays, known):
        if value is None:
            raise ConcretizationError(
                f"A traced array of type {typeof(x)} was to be compared with another as a set.",
                "The number of different values would be a shape, which must be known while tracing.",
                "Use np.isin, which gives a mask, or functrans.numpy.union1d and unique with a size.",
            )
    return [value.ravel() for value in known]


# ---- the array API's names


def unique_values(x: Any) -> Any:
    """numpy.unique_values, sorted."""
    return unique(x, equal_nan=False)


def unique_counts(x: Any) -> Any:
    """numpy.unique_counts."""
    return _CountsResult(*unique(x, return_counts=True, equal_nan=False))


def unique_inverse(x: Any) -> Any:
    """numpy.unique_inverse."""
    return _InverseResult(*unique(x, return_inverse=True, equal_nan=False))


def unique_all(x: Any) -> Any:
    """numpy.unique_all."""
    return _AllResult(*unique(x, True, True, True, equal_nan=False))


_CountsResult: Any = type(np.unique_counts(np.ones(1)))
_InverseResult: Any = type(np.unique_inverse(np.ones(1)))
_AllResult: Any = type(np.unique_all(np.ones(1)))
