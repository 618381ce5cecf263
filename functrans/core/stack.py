"""Stack: what a loop leaves behind for its derivative, one entry a step, however many steps there are."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from typing import Any

import numpy as np

from .avals import ShapedArray, StackAval

#: Entries that the first block of a growing stack has room for, at most.
FIRST_BLOCK = 16
#: Bytes of a block, at most; one entry may take more.
BLOCK_BYTES = 2**20


class Stack:
    """Entries of one type, kept in blocks: arrays of entries, or lists of entries that are stacks themselves.

    A growing stack gets a further block, as large as all before it together up to a limit. What is there is never
    moved, so that the memory it takes is that of its entries and of a part of a block.

    A stack is not changed once the loop that fills it has ended. One without entries stands for zeros, as many as
    are wanted.

    Attributes:
        aval: its type.
        blocks: where the entries are.
        starts: the number of the first entry of each block.
        room: how many entries the blocks have room for.
        length: the number of entries.
    """

    __slots__ = ("aval", "blocks", "length", "room", "starts")

    def __init__(self, aval: StackAval, length: int = 0):
        self.aval = aval
        self.length = length
        self.blocks: list[Any] = []
        self.starts: list[int] = []
        self.room = 0
        if length:
            self._add_block(length)

    def _add_block(self, count: int) -> None:
        entry = self.aval.entry
        self.blocks.append(
            np.empty((count, *entry.shape), entry.dtype) if isinstance(entry, ShapedArray) else [None] * count
        )
        self.starts.append(self.room)
        self.room += count

    def append(self, entry: Any) -> None:
        """Add an entry, by copy."""
        if self.length == self.room:
            most = max(1, BLOCK_BYTES // max(1, entry_bytes(self.aval.entry)))
            self._add_block(min(max(FIRST_BLOCK, self.length), most))
        self.blocks[-1][self.length - self.starts[-1]] = entry
        self.length += 1

    def __setitem__(self, step: int, entry: Any) -> None:
        block = bisect_right(self.starts, step) - 1
        self.blocks[block][step - self.starts[block]] = entry

    def __getitem__(self, step: int) -> Any:
        if self.length == 0:
            return empty_entry(self.aval.entry)
        block = bisect_right(self.starts, step) - 1
        return self.blocks[block][step - self.starts[block]]

    def filled(self) -> Iterator[tuple[slice, Any]]:
        """The blocks without their spare room, and the numbers of the entries in them."""
        for start, block in zip(self.starts, self.blocks):
            stop = min(start + len(block), self.length)
            yield slice(start, stop), block[: stop - start]

    def __add__(self, other: Stack) -> Stack:
        if self.length == 0 or other.length == 0:
            return self if other.length == 0 else other
        total = Stack(self.aval, self.length)
        if isinstance(self.aval.entry, StackAval):
            for step in range(self.length):
                total[step] = self[step] + other[step]
            return total
        (sums,) = total.blocks
        for steps, block in self.filled():
            sums[steps] = block
        for steps, block in other.filled():
            sums[steps] += block
        return total

    def chosen(self, lanes: np.ndarray[Any, Any], other: Stack) -> Stack:
        """The entries of this stack where the condition holds and of the other elsewhere, as many as the longer has."""
        chosen = Stack(self.aval, max(self.length, other.length))
        for step in range(chosen.length):
            x, y = (
                stack[step] if step < stack.length else empty_entry(self.aval.entry) for stack in (self, other)
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


def entry_bytes(aval: ShapedArray | StackAval) -> int:
    """What an entry takes in its block: a number, an array or a reference to a stack."""
    return aval.size * aval.dtype.itemsize if isinstance(aval, ShapedArray) else np.dtype(np.intp).itemsize
