"""Copies that keep what the user owns apart from what we keep, in both directions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np


def same_bits(a: np.ndarray[Any, Any], b: np.ndarray[Any, Any]) -> bool:
    """Whether two arrays of one shape and dtype hold the same bytes (NaN and the sign of zero included)."""
    if a.flags.c_contiguous and b.flags.c_contiguous:
        return bool(np.array_equal(a.reshape(-1).view(np.uint8), b.reshape(-1).view(np.uint8)))
    return a.tobytes() == b.tobytes()


class Snapshots:
    """What each array held when it was met: the same copy again as long as the array has not changed since."""

    __slots__ = ("taken",)

    def __init__(self) -> None:
        self.taken: dict[int, tuple[Any, Any]] = {}

    def of(self, array: Any) -> Any:
        """A copy that nobody else can write to; a read-only array that owns its memory is returned as it is."""
        if type(array) is not np.ndarray or (not array.flags.writeable and array.base is None):
            return array
        known = self.taken.get(id(array))
        if known is not None and same_bits(known[1], array):
            return known[1]
        copy = array.copy()
        copy.flags.writeable = False
        self.taken[id(array)] = (array, copy)
        return copy


def own_results(results: list[Any], inputs: Sequence[Any]) -> list[Any]:
    """Results that their receiver may write to: copies of those that share memory with another or with an input."""
    taken = {id(_owner(x)) for x in inputs if type(x) is np.ndarray}
    for i, result in enumerate(results):
        if type(result) is np.ndarray:
            owner = _owner(result)
            if id(owner) in taken or not result.flags.writeable:
                results[i] = owner = result.copy()
            taken.add(id(owner))
    return results


def _owner(array: np.ndarray[Any, Any]) -> Any:
    return array if array.base is None else array.base
