"""Places: where arrays are in memory.

Memory is a list of slots, each the address of something: an argument, a constant, a result, a part of the arena (where
all temporaries of a program are), or the element of the step that a loop is at. A place is an array counted from the
address in a slot.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from math import prod
from operator import mul
from typing import Any, NamedTuple

import numpy as np

from ..core.dtypes import is_half
from .loopnest import Index, point

Axes = Sequence[int]


class Place(NamedTuple):
    """An array in memory.

    Attributes:
        slot: the slot with the address that it is counted from.
        offset: in bytes.
        strides: in bytes, for each axis.
    """

    slot: int
    offset: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    strides: tuple[int, ...]

    @property
    def is_contiguous(self) -> bool:
        """Whether the elements lie one after another in row-major order."""
        return contiguous_strides(self.shape, self.dtype.itemsize) == self.strides or 0 in self.shape

    @property
    def nbytes(self) -> int:
        """The size of all elements together."""
        return prod(self.shape) * self.dtype.itemsize

    @property
    def alone(self) -> Place:
        """The array as the only element of one."""
        return self._replace(shape=(1, *self.shape), strides=(0, *self.strides))

    def transposed(self, permutation: Sequence[int]) -> Place:
        """The axes in another order."""
        slot, offset, shape, dtype, strides = self
        permuted = tuple([shape[axis] for axis in permutation]), tuple([strides[axis] for axis in permutation])
        return tuple.__new__(Place, (slot, offset, permuted[0], dtype, permuted[1]))

    def sliced(self, starts: Sequence[int], limits: Sequence[int], strides: Sequence[int]) -> Place:
        """The elements from `starts` up to `limits`, every `strides`-th."""
        slot, offset, _, dtype, own = self
        shape = tuple([len(range(*span)) for span in zip(starts, limits, strides)])
        return tuple.__new__(
            Place, (slot, offset + sum(map(mul, starts, own)), shape, dtype, tuple(map(mul, strides, own)))
        )

    def reversed(self, axes: Sequence[int]) -> Place:
        """The elements in the opposite order along some axes."""
        return self._replace(
            offset=self.offset + sum((self.shape[axis] - 1) * self.strides[axis] for axis in axes),
            strides=tuple(-s if axis in axes else s for axis, s in enumerate(self.strides)),
        )

    def broadcast(self, shape: tuple[int, ...]) -> Place:
        """The array repeated along new leading axes and axes of extent one."""
        own = [0 if extent == 1 else s for extent, s in zip(self.shape, self.strides)]
        return self._replace(shape=shape, strides=(*[0] * (len(shape) - len(own)), *own))

    def reshaped(self, shape: tuple[int, ...]) -> Place:
        """The elements of a contiguous array under another shape."""
        slot, offset, _, dtype, _ = self
        return tuple.__new__(Place, (slot, offset, shape, dtype, contiguous_strides(shape, dtype.itemsize)))

    def viewed(self, shape: tuple[int, ...]) -> Place | None:
        """The elements in their order under another shape, None if that takes a copy."""
        if self.is_contiguous:
            return self.reshaped(shape)
        have = [(n, s) for n, s in zip(self.shape, self.strides) if n != 1]
        want = [n for n in shape if n != 1]
        steps: list[int] = []  # from the last axis on
        while want:
            extent, step = have.pop()
            size = 1
            while size != extent:
                if size < extent:
                    steps.append(step * size)
                    size *= want.pop()
                elif have[-1][1] == step * extent:
                    extent *= have.pop()[0]
                else:
                    return None
        strides = tuple(steps.pop() if n != 1 else self.dtype.itemsize for n in shape)
        return self._replace(shape=shape, strides=strides)


def space_of(place: Place) -> Index:
    """The index of an element of an array, over the space of its own axes."""
    return point(len(place.shape))


class ObjectPlace(NamedTuple):
    """Where a value is that is no array."""

    number: int


class Slot:
    """What an address stands for.

    Attributes:
        kind: "argument", "constant", "result", "temporary" or "step".
        size: in bytes, of a temporary.
        first, last: the instructions during which a temporary is in use.
        offset: where in the arena a temporary is.
        value: the array, for a constant.
        behind: for the state of a loop, the slots of the arrays of which it is one or the other.
    """

    __slots__ = ("behind", "first", "kind", "last", "offset", "size", "value")

    def __init__(self, kind: str, size: int, now: int, value: Any = None):
        self.kind, self.size, self.value = kind, size, value
        self.first = self.last = now
        self.offset = 0
        self.behind: tuple[Slot, ...] = ()

    def use(self, first: int, last: int | None = None) -> None:
        """It is in use during some instructions, or one, and so is what is behind it."""
        last = first if last is None else last
        if first < self.first:
            self.first = first
        if last > self.last:
            self.last = last
        for slot in self.behind:
            slot.use(first, last)


def as_numbers(place: Place) -> Place:
    """The same memory as numbers that every machine can move: complex ones as pairs, short floats as integers."""
    dtype, size = place.dtype, place.dtype.itemsize
    if dtype.kind == "c":
        half = np.dtype(f"f{size // 2}")
        return place._replace(shape=(*place.shape, 2), strides=(*place.strides, half.itemsize), dtype=half)
    return place._replace(dtype=np.dtype(np.uint16)) if is_half(dtype) else place


def as_matrices(place: Place, groups: Sequence[Axes]) -> Place | None:
    """The view of an array with one axis for each group of its axes, if one axis of the last two is contiguous."""
    shape: list[int] = []
    strides: list[int] = []
    itemsize = place.dtype.itemsize
    own, ways = place.shape, place.strides
    for group in groups:
        extent, way = 1, 0
        for axis in reversed(group):
            if own[axis] == 1:
                continue
            if extent == 1:
                extent, way = own[axis], ways[axis]
            elif ways[axis] == way * extent:
                extent *= own[axis]
            else:
                return None
        shape.append(extent)
        strides.append(way)
    (_, rows, columns), (batch, down, right) = shape, strides
    if columns == 1:
        right = itemsize
        down = itemsize if rows == 1 else down
    elif rows == 1:
        down = columns * itemsize if right == itemsize else itemsize
    found = Place(place.slot, place.offset, tuple(shape), place.dtype, (batch, down, right))
    return found if is_row_major(found) or is_row_major(found.transposed((0, 2, 1))) else None


def is_row_major(matrices: Place) -> bool:
    """Whether the rows of matrices are contiguous, and lie one after another with or without room between them."""
    (_, _, columns), (_, down, right), itemsize = matrices.shape, matrices.strides, matrices.dtype.itemsize
    return right == itemsize and down >= columns * itemsize and down % itemsize == 0


def contiguous_strides(shape: Sequence[int], itemsize: int) -> tuple[int, ...]:
    """The strides of an array in row-major order, in bytes."""
    return _contiguous_strides(tuple(shape), itemsize)


@lru_cache(1024)
def _contiguous_strides(shape: tuple[int, ...], itemsize: int) -> tuple[int, ...]:
    strides: list[int] = []
    for extent in reversed(shape):
        strides.append(itemsize)
        itemsize *= max(extent, 1)
    return tuple(strides[::-1])
