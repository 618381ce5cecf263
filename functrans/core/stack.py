"""Stack: what a loop leaves behind for its derivative, one entry a step, however many steps there are."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from math import prod
from typing import Any

import numpy as np

from ..errors import OutOfMemoryError
from .avals import ShapedArray, StackAval
from .devices import exemplar, here

#: Entries that the first block of a growing stack has room for, or bytes, whichever is more: a new block takes a loop
#: in compiled code as long as a few dozen steps.
FIRST_BLOCK, FIRST_BYTES = 16, 2048
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
            self.add_block(length)

    def add_block(self, count: int) -> None:
        """Make room for so many more entries."""
        entry = self.aval.entry
        is_array = isinstance(entry, ShapedArray)
        self.blocks.append(
            new_block((count, *entry.shape), entry.dtype, count, self.room) if is_array else [None] * count
        )
        self.starts.append(self.room)
        self.room += count

    @classmethod
    def zeros(cls, aval: StackAval, length: int) -> Stack:
        """A stack of arrays of zeros."""
        assert isinstance(aval.entry, ShapedArray)
        stack = cls(aval)
        stack.blocks, stack.starts = [here(np.zeros((length, *aval.entry.shape), aval.dtype))], [0]
        stack.length = stack.room = length
        return stack

    def append(self, entry: Any) -> None:
        """Add an entry, by copy."""
        if self.length == self.room:
            self.add_block(block_size(self.room, entry_bytes(self.aval.entry)))
        self.blocks[-1][self.length - self.starts[-1]] = entry
        self.length += 1

    def __setitem__(self, step: int, entry: Any) -> None:
        block, inside = self.block_of(step)
        block[inside] = entry

    def __getitem__(self, step: int) -> Any:
        if self.length == 0:
            return empty_entry(self.aval.entry)
        block, inside = self.block_of(step)
        return block[inside]

    def block_of(self, step: int) -> tuple[Any, int]:
        """The block that an entry is in, and its number there."""
        number = bisect_right(self.starts, step) - 1
        return self.blocks[number], step - self.starts[number]

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
    return Stack(aval) if isinstance(aval, StackAval) else here(np.zeros(aval.shape, aval.dtype))


def entry_bytes(aval: ShapedArray | StackAval) -> int:
    """What an entry takes in its block: a number, an array or a reference to a stack."""
    return aval.size * aval.dtype.itemsize if isinstance(aval, ShapedArray) else np.dtype(np.intp).itemsize


def block_size(room: int, size: int) -> int:
    """How many entries of some size the next block of a growing stack is to have room for, after `room` of them."""
    size = max(1, size)
    return min(max(FIRST_BLOCK, FIRST_BYTES // size, room), max(1, BLOCK_BYTES // size))


def new_block(shape: tuple[int, ...], dtype: np.dtype[Any], steps: int, before: int) -> Any:
    """Memory for what a loop keeps of some steps, after others.

    Raises:
        OutOfMemoryError: there is none.
    """
    try:
        place = exemplar.get()
        return np.empty(shape, dtype) if place is None else np.empty(shape, dtype, like=place)
    except (MemoryError, ValueError):  # the latter for more bytes than can be counted
        raise no_memory(prod(shape) * dtype.itemsize, steps, before) from None


def no_memory(size: int, steps: int, before: int) -> OutOfMemoryError:
    """The error for so many bytes that some steps of a loop need, after others."""
    return OutOfMemoryError(
        f"There is no memory for what a loop keeps for its derivative: {size} bytes for {steps} steps, after {before} "
        "steps for which there was.",
        "Reverse mode needs of each step what its derivative is computed from.",
        "Keep few states, and run steps again: `checkpoint=` of the loop says how many to keep.",
    )
