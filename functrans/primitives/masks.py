"""What boolean masks mean as indices, above all where their elements are not known while tracing.

Then `x[mask]` is a `Selected`: all elements of x, and which of them are meant. The j-th element that one mask selects
meets the j-th that another one selects, whatever their places; that there are as many is checked when it runs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..core.avals import BOOL, INT
from ..core.devices import is_on_device
from ..core.selected import Positions, Selected
from ..core.trace import Traced, operators, typeof
from ..core.tracer import Tracer
from ..errors import ConcretizationError, TracedMaskError, TracerConversionError
from .cumulative import cumsum
from .elementwise import add, equal, less, less_equal, logical_and, subtract
from .foundation import Plain, convert, full, reduce_sum, reshape
from .indexing import gather, scatter_set
from .indices import Indexing
from .selection import select

BASIC = (int, slice, type(None), type(Ellipsis))
_FIRST_AXIS = Indexing((0,))
_DROPPING = Indexing((0,), mode="drop", unique=True)


# ---- masks in indices


def leading_mask(index: Any) -> tuple[Any, tuple[Any, ...]] | None:
    """The mask in `x[mask]` and `x[mask, ...]`, and the integers, slices, None and Ellipsis that follow it."""
    if type(index) is Positions and all(i.is_position for i in index):
        return index[0].key, ()
    first, rest = (index[0], index[1:]) if type(index) is tuple and index else (index, ())
    if type(first) is Selected and first.is_position and len(typeof(first.key).shape) == 1:
        first = first.key
    is_array = isinstance(first, (np.ndarray, Traced)) or is_on_device(first)
    if not is_array or typeof(first).dtype != BOOL or not typeof(first).shape:
        return None
    return (first, () if rest == (Ellipsis,) else rest) if all(type(entry) in BASIC for entry in rest) else None


def known_mask(mask: Any) -> Any:
    """The elements of a mask; None if they are not known while tracing."""
    if not isinstance(mask, Traced):
        return mask
    try:
        known = mask.known("index")
        return known if is_on_device(known) else np.asarray(known)
    except (ConcretizationError, TracerConversionError):
        return None


def concrete_mask(mask: Any) -> Any:
    """The elements of a mask.

    Raises:
        TracedMaskError: they are not known while tracing.
    """
    known = known_mask(mask)
    if known is None:
        raise TracedMaskError(
            f"A boolean mask of type {mask.aval}, whose elements are not known while tracing, was used as an index.",
            "The number of elements that it selects would be a shape, and shapes are fixed while tracing.",
            "Use functrans.numpy.where(mask, x, other), as in np.sum(np.where(mask, x, 0)); masks of the first axes "
            "may select (`x[mask]`), and be assigned by.",
        )
    return known


def selected(x: Any, mask: Any) -> Selected | None:
    """`x[mask]` where the mask is not known; None where it is, or does not fit the first axes of x."""
    shape, covered = typeof(x).shape, typeof(mask).shape
    if shape[: len(covered)] != covered or known_mask(mask) is not None:
        return None
    count = typeof(mask).size
    flat = reshape(mask, shape=(count,)) if len(covered) > 1 else mask.twin()
    array = reshape(x, shape=(count, *shape[len(covered) :])) if len(covered) > 1 else x
    return Selected(array.twin() if array is x and isinstance(x, Tracer) else array, flat, mask.twin())


def written(x: Any, mask: Any, value: Any) -> Any:
    """`x[mask] = value` for a value of the dtype of x; None if this needs the elements of the mask.

    A known mask is not asked for its elements if every selected one gets the same.
    """
    shape, covered = typeof(x).shape, typeof(mask).shape
    rest = shape[len(covered) :]
    if shape[: len(covered)] != covered:
        return None
    count = typeof(mask).size
    if type(value) is Selected:
        value = reshape(aligned(value, reshape(mask, shape=(count,)), mask), shape=(*covered, *value.array.shape[1:]))
    else:
        have = typeof(value).shape
        given = have[: max(len(have) - len(rest), 0)]
        if given == (1,):
            value = reshape(value, shape=have[1:])
        elif len(given) == 1 and known_mask(mask) is None:
            rows = spread(value, given[0], reshape(mask, shape=(count,)))
            value = reshape(rows, shape=(*covered, *have[1:]))
        elif given:
            return None
    mask = reshape(mask, shape=covered + (1,) * len(rest)) if rest else mask
    return select(mask, value, x)


# ---- by number


def number_of(mask: Any) -> Any:
    """How many elements a mask selects."""
    return reduce_sum(convert(mask, dtype=INT), axes=(0,))


def _ranks(mask: Any) -> Any:
    """For each element that a mask selects, how many it selects before."""
    return subtract(cumsum(convert(mask, dtype=INT), axis=0, reverse=False), 1)


def spread(rows: Any, number: Any, mask: Any) -> Any:
    """`rows[j]` where a mask holds for the j-th time, and anything elsewhere.

    When it runs it raises IndexError unless the mask selects as many elements as there are rows.
    """
    extent = typeof(rows).shape[0]
    if not extent:
        rows, extent = full(value=0, shape=(1, *typeof(rows).shape[1:]), dtype=typeof(rows).dtype), 1
    place = select(mask, _ranks(mask), 0)
    return gather(rows, select(equal(number, number_of(mask)), place, extent), spec=_FIRST_AXIS)


def aligned(chosen: Selected, mask: Any, key: Any) -> Any:
    """The elements that a mask selects, at the places of those that another mask selects."""
    if _are_one(chosen.key, key):
        return chosen.array
    own, aval = chosen.mask, typeof(chosen.array)
    room = full(value=0, shape=(max(aval.shape[0], 1), *aval.shape[1:]), dtype=aval.dtype)
    places = select(own, _ranks(own), room.shape[0])
    return spread(scatter_set(room, chosen.array, places, spec=_DROPPING), number_of(own), mask)


def _are_one(a: Any, b: Any) -> bool:
    """Whether two masks are the same value, seen without looking at their elements."""
    if a is b or type(a) is not type(b) or not isinstance(a, Tracer):
        return a is b
    return a.trace is b.trace and all(getattr(a, slot) is getattr(b, slot) for slot in a.payload)


# ---- functions of selected elements


def per_element(function: Callable[..., Any], args: Sequence[Any]) -> Any:
    """A function that works element by element, or row by row, of selected elements and others: selected elements.

    NumPy would not see the elements that are not selected, so that it does not warn of them.
    """
    first = next(arg for arg in args if type(arg) is Selected)
    with np.errstate(all="ignore"):
        results = function(*(_beside(first, arg) for arg in args))
    if isinstance(results, tuple):
        return tuple(Selected(y, first.mask, first.key) for y in results)
    return Selected(results, first.mask, first.key)


def _beside(first: Selected, operand: Any) -> Any:
    """An operand, so that the elements that meet are at the same places."""
    if type(operand) is Selected:
        if operand.ndim != first.ndim:
            first.uncounted()
        return aligned(operand, first.mask, first.key)
    if operand is None or isinstance(operand, (str, type)):
        return operand
    shape = typeof(operand).shape
    if len(shape) > first.ndim:
        first.uncounted()
    is_by_rows = len(shape) == first.ndim and shape[0] != 1
    return spread(operand, shape[0], first.mask) if is_by_rows else operand


def _of_primitive(primitive: Plain, args: Sequence[Any]) -> Any:
    """What a primitive makes of operands with selected elements, while the error that they raise is handled."""
    if not any(type(arg) is Selected for arg in args):
        raise  # noqa: PLE0704  # another error, of which nothing is known here
    return per_element(primitive, args)


def _size(chosen: Selected) -> Any:
    size = number_of(chosen.mask)
    for extent in typeof(chosen.array).shape[1:]:
        size = size * extent
    return size


def _getitem(chosen: Selected, index: Any) -> Any:
    """`x[mask][index]`."""
    if type(index) is Selected and index.dtype == BOOL and index.ndim == 1:
        both = _narrowed(chosen, index)
        return Selected(chosen.array, both, both)
    if type(index) is int or (isinstance(index, Traced) and index.aval.dtype.kind in "iu" and not index.aval.shape):
        return gather(chosen.array, _position(chosen.mask, index), spec=_FIRST_AXIS)
    entries = index if type(index) is tuple else (index,)
    axes = sum(entry is not None and entry is not Ellipsis for entry in entries)
    is_basic = all(type(entry) in BASIC for entry in entries)
    keeps_rows = not entries or entries[0] == slice(None) or (entries[0] is Ellipsis and axes < chosen.ndim)
    if not is_basic or not keeps_rows:
        chosen.uncounted()
    return per_element(lambda array: array[index], [chosen])


def _position(mask: Any, rank: Any) -> Any:
    """The place of an element by its number among those that a mask selects; outside if there is none."""
    rank = select(less(rank, 0), add(rank, number_of(mask)), rank)
    before = less_equal(cumsum(convert(mask, dtype=INT), axis=0, reverse=False), rank)
    return select(less(rank, 0), typeof(mask).size, number_of(before))


def _narrowed(chosen: Selected, inner: Selected) -> Any:
    return logical_and(chosen.mask, aligned(inner, chosen.mask, chosen.key))


def _setitem(chosen: Selected, index: Any, value: Any) -> Any:
    """All elements after `x[mask][index] = value`."""
    if type(index) is Selected and index.dtype == BOOL and index.ndim == 1:
        mask = _narrowed(chosen, index)
    elif index is Ellipsis or (type(index) is slice and index == slice(None)):
        mask = chosen.mask
    else:
        chosen.uncounted()
    return operators.setitem(chosen.array, mask, value)


operators.for_each_selected = _of_primitive
operators.selected_size = _size
operators.selected_getitem = _getitem
operators.selected_setitem = _setitem
