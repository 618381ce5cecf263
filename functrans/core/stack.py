"""Stack: what a loop leaves behind for its derivative, one entry a step, however many steps there are."""

from __future__ import annotations

from typing import Any

import numpy as np

from .avals import ShapedArray, StackAval

#: Entries that a growing stack makes room for at first.
FIRST_CAPACITY = 16


class Stack:
    """Entries of one type, kept in one array that doubles when it is full; entries that are stacks in a list.

    A stack is not changed once the loop that fills it has ended. One without entries stands for zeros, as many as
    are wanted.

    Attributes:
        aval: its type.
        entries: the array (its extent is the capacity) or list that holds the entries.
        length: the number of entries.
    """

    __slots__ = ("aval", "entries", "length")

    def __init__(self, aval: StackAval, length: int = 0):
        self.aval = aval
        self.length = length
        self.entries = self._room(length)

    def _room(self, capacity: int) -> Any:
        entry = self.aval.entry
        return np.empty((capacity, *entry.shape), entry.dtype) if isinstance(entry, ShapedArray) else [None] * capacity

    def append(self, entry: Any) -> None:
        """Add an entry, by copy."""
        if self.length == len(self.entries):
            full, self.entries = self.entries, self._room(max(FIRST_CAPACITY, 2 * self.length))
            self.entries[: self.length] = full
        self.entries[self.length] = entry
        self.length += 1

    def __setitem__(self, step: int, entry: Any) -> None:
        self.entries[step] = entry

    def __getitem__(self, step: int) -> Any:
        if self.length == 0:
            return empty_entry(self.aval.entry)
        return self.entries[step]

    def __add__(self, other: Stack) -> Stack:
        if self.length == 0 or other.length == 0:
            return self if other.length == 0 else other
        total = Stack(self.aval, self.length)
        if isinstance(self.entries, list):
            total.entries = [x + y for x, y in zip(self.entries[: self.length], other.entries)]
        else:
            np.add(self.entries[: self.length], other.entries[: self.length], out=total.entries)
        return total

    def chosen(self, lanes: np.ndarray[Any, Any], other: Stack) -> Stack:
        """The entries of this stack where the condition holds and of the other elsewhere, as many as the longer has."""
        chosen = Stack(self.aval, max(self.length, other.length))
        for step in range(chosen.length):
            x, y = (
                stack.entries[step] if step < stack.length else empty_entry(self.aval.entry)
                for stack in (self, other)
            )
            if isinstance(x, Stack):
                chosen[step] = x.chosen(lanes, y)
            else:
                chosen[step] = np.where(lanes.reshape(lanes.shape + (1,) * (x.ndim - lanes.ndim)), x, y)
        return chosen

    @property
    def ndim(self) -> int:
        """What makes a stack no scalar to those who ask."""
        return 1

    def __repr__(self) -> str:
        return f"<{self.length} entries of {self.aval.entry}>"


def empty_entry(aval: ShapedArray | StackAval) -> Any:
    """What an entry that was never written holds: zeros."""
    return Stack(aval) if isinstance(aval, StackAval) else np.zeros(aval.shape, aval.dtype)
