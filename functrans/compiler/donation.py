"""Donated arguments: which of them a program may really overwrite, and which results are in their memory.

A program is assembled as if it may overwrite what is donated (`Homes.lent`). Whether that is so is known when it is
called. What is not the caller's to give, a view of another array for one, is copied then: the program works on the
copy.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from .assembly import Assembled
from .places import Place


def handed_out(assembled: Assembled) -> dict[int, int]:
    """For each result that is in the memory of an argument, the number of that."""
    numbers = {p.slot: i for i, p in enumerate(assembled.arguments) if isinstance(p, Place)}
    places = enumerate(assembled.results)
    return {k: numbers[p.slot] for k, p in places if isinstance(p, Place) and p.slot in numbers}


def is_of_type(array: Any, place: Place) -> bool:
    """Whether an array has the type of a place, so that it can stand for what is there."""
    return array.shape == place.shape and array.dtype == place.dtype


def shared_arrays(arrays: Mapping[int, Any], addresses: Mapping[int, int], wanted: Collection[int]) -> set[int]:
    """The numbers of those wanted arrays that have memory in common with another array.

    That counts as common which lies between the first and the last element of both.
    """
    spans = {i: span(addresses[i], x) for i, x in arrays.items() if 0 not in x.shape}
    found: set[int] = set()
    furthest, end = -1, -1  # the array that reaches furthest so far
    for i in sorted(spans, key=spans.__getitem__):
        low, high = spans[i]
        if low < end:
            found |= {i, furthest}
        if high > end:
            furthest, end = i, high
    return found & set(wanted)


def span(address: int, array: Any) -> tuple[int, int]:
    """Where the elements of an array or a place begin in memory, and where they end.

    Args:
        address: that of the first element.
    """
    low = high = address
    for extent, stride in zip(array.shape, array.strides):
        if stride > 0:
            high += (extent - 1) * stride
        else:
            low += (extent - 1) * stride
    return low, high + array.dtype.itemsize
