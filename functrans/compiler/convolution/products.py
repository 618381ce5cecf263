"""Convolutions as products of matrices: windows are copied side by side, some at a time, and a library multiplies."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

from ...core.avals import ShapedArray
from ..instructions import Block
from ..places import Place, as_matrices, is_row_major
from .geometry import Parts, blocks, ordered, part, pieces, repeated, split

#: The bytes of windows that are copied for one product, by threads of a CPU, and by those of a GPU.
ROOM, ROOM_ON_GPU = 1 << 21, 1 << 28
#: An image of fewer positions is multiplied together with others.
FEW_POSITIONS = 256
#: The time of a product of two numbers in BLAS, in that of one in our kernels; and for how many rows, how many columns
#: and sums of what length it is twice that.
SPEED, ROWS, COLUMNS, LENGTH = 0.8, 3, 7, 12
#: What it costs to copy an element to where BLAS reads it, the next one being its neighbour or not, and to call it.
COPY, COPY_APART, CALL = 5, 10, 8000


def product_cost(parts: Parts) -> float:
    """The time that copies and products take, in that of a product in our kernels."""
    groups, features, channels = parts.w.shape[:3]
    images, positions = parts.image.shape[0], prod(parts.positions)
    if parts.has_long_window:
        calls, columns, length = groups * channels, images * positions, prod(parts.window)
    else:
        calls, columns, length = groups * images, max(positions, FEW_POSITIONS), prod(parts.w.shape[2:])
    cost = parts.work * SPEED * (1 + ROWS / features) * (1 + COLUMNS / columns) * (1 + LENGTH / length)
    if not is_direct(parts):
        windows, size = parts.windows, parts.image.dtype.itemsize
        last = windows.strides[2 + len(parts.window)] if parts.has_long_window else windows.strides[-1]
        cost += prod(windows.shape) * (COPY if last == size else COPY_APART)
        if not parts.has_long_window and positions < FEW_POSITIONS:
            calls = groups * -(-prod(windows.shape) * size // (groups * ROOM))
    return cost + CALL * calls


def is_direct(parts: Parts) -> bool:
    """Whether windows lie in memory as BLAS reads matrices, one for each image (or for each channel)."""
    rank, x = len(parts.window), part(parts.windows, 1, 0, 1)
    if parts.has_long_window:
        return prod(parts.positions) == 1 and as_matrices(x, ((2,), (0,), range(3, 3 + rank))) is not None
    return prod(parts.window) == 1 and as_matrices(x, ((0,), (2,), range(3 + rank, 3 + 2 * rank))) is not None


def add_products(assembler: Any, block: Block, parts: Parts) -> None:
    """Add the instructions that compute a convolution by products of matrices."""
    rank = len(parts.window)
    x = ordered(parts.windows, (1, 2, *range(3, 3 + rank), 0, *range(3 + rank, 3 + 2 * rank)))
    if parts.has_long_window:
        total = assembler.contiguous("temporary", ShapedArray((*parts.w.shape[:2], *x.shape[2 + rank :]), x.dtype))
        assembler.fill_with_zeros(block, total)
        by_taps = _by_channels if assembler.has_launches else _by_taps
        (_by_tap if is_direct(parts) else by_taps)(assembler, block, x, parts.w, total)
        assembler.copy(block, ordered(total, (2, 0, 1, *range(3, 3 + rank))), parts.z)
    else:
        weights = assembler.matrices(block, parts.w, ((0,), (1,), range(2, 3 + rank)))
        z = ordered(parts.z, (1, 2, 0, *range(3, 3 + rank)))
        by_images = _by_images if assembler.has_launches else _by_positions
        (_by_position if is_direct(parts) else by_images)(assembler, block, x, weights, z)


def _by_positions(assembler: Any, block: Block, x: Place, weights: Place, z: Place) -> None:
    """z = weights x, for some images or a part of one at a time.

    Args:
        x: (groups, channels, *window, batch, *positions).
        weights: (groups, features, channels and window).
        z: (groups, features, batch, *positions).
    """
    length, points = weights.shape[2], z.shape[2:]
    axis, width = blocks(points, max(1, _room(assembler) // (length * x.dtype.itemsize)))
    if axis == 0 and prod(points[1:]) >= FEW_POSITIONS:
        width = 1
    first = len(x.shape) - len(points)

    def multiply(inner: Block, places: Sequence[Place]) -> None:
        some, own, to = places
        columns = assembler.contiguous_copy(inner, some).reshaped((1, length, prod(to.shape[1:])))
        target = as_matrices(to, ((), (0,), range(1, len(to.shape))))
        if target is not None and is_row_major(target):
            assembler.multiply(inner, own.alone, columns, target)
            return
        room = assembler.contiguous("temporary", ShapedArray(to.shape, to.dtype))
        assembler.multiply(inner, own.alone, columns, room.reshaped((1, to.shape[0], columns.shape[2])))
        assembler.copy(inner, room, to)

    for start, stop, size in pieces(points[axis], width):
        some = split(part(x, first + axis, start, stop), first + axis, size)
        to = split(part(z, 2 + axis, start, stop), 2 + axis, size)
        loops = range(first, first + axis + 1)
        some = ordered(some, (0, *loops, *range(1, first), *range(loops.stop, len(some.shape))))
        to = ordered(to, (0, *range(2, 3 + axis), 1, *range(3 + axis, len(to.shape))))
        depth = axis + 2
        own = repeated(weights, 1, to.shape[1:depth])
        assembler.repeat(block, (some, own, to), depth, multiply)


def _by_images(assembler: Any, block: Block, x: Place, weights: Place, z: Place) -> None:
    """As _by_positions, with the windows of many images side by side: one copy for all of them, and a product each."""
    length, (batch, *positions) = weights.shape[2], z.shape[2:]
    rank, first = len(positions), len(x.shape) - len(positions) - 1
    size = min(batch, ROOM_ON_GPU // (length * prod(positions) * x.dtype.itemsize))
    if not size:
        _by_positions(assembler, block, x, weights, z)
        return

    def multiply(inner: Block, places: Sequence[Place]) -> None:
        some, own, to = places
        images = to.shape[1]
        columns = assembler.contiguous_copy(inner, some).reshaped((images, length, prod(positions)))
        target = as_matrices(to, ((1,), (0,), range(2, 2 + rank)))
        assembler.multiply(inner, repeated(own, 0, (images,)), columns, target)

    for start, stop, count in pieces(batch, size):
        some = split(part(x, first, start, stop), first, count)
        some = ordered(some, (0, first, first + 1, *range(1, first), *range(first + 2, len(some.shape))))
        to = ordered(split(part(z, 2, start, stop), 2, count), (0, 2, 1, *range(3, 4 + rank)))
        assembler.repeat(block, (some, repeated(weights, 1, to.shape[1:2]), to), 2, multiply)


def _by_position(assembler: Any, block: Block, x: Place, weights: Place, z: Place) -> None:
    """As _by_positions, where windows have a single element each and lie in memory as matrices."""
    rank, batch = len(z.shape) - 3, z.shape[2]

    def multiply(inner: Block, places: Sequence[Place]) -> None:
        some, own, to = places
        columns = as_matrices(some, ((1 + rank,), range(1 + rank), range(2 + rank, 2 + 2 * rank)))
        target = as_matrices(to, ((1,), (0,), range(2, 2 + rank)))
        assembler.multiply(inner, repeated(own, 0, (batch,)), columns, target)

    assembler.repeat(block, (x, weights, z), 1, multiply)


def _by_taps(assembler: Any, block: Block, x: Place, w: Place, total: Place) -> None:
    """Add w x to a total, for the window over a part of one channel at a time.

    Args:
        x: (groups, channels, *window, batch, *positions).
        w: (groups, features, channels, *window).
        total: (groups, features, batch, *positions).
    """
    window, points = w.shape[3:], total.shape[2:]
    axis, width = blocks(window, max(1, _room(assembler) // (prod(points) * x.dtype.itemsize)))
    total = total.reshaped((*total.shape[:2], prod(points)))

    def multiply(inner: Block, places: Sequence[Place]) -> None:
        some, own, to = places
        rows = assembler.contiguous_copy(inner, some).reshaped((1, prod(points), prod(own.shape[1:])))
        matrix = assembler.matrices(inner, own, ((), (0,), range(1, len(own.shape))))
        assembler.multiply(inner, matrix, ordered(rows, (0, 2, 1)), to.alone, adds=True)

    for start, stop, size in pieces(window[axis], width):
        some = split(part(x, 2 + axis, start, stop), 2 + axis, size)
        own = split(part(w, 3 + axis, start, stop), 3 + axis, size)
        last = 3 + len(window)
        some = ordered(some, (*range(3 + axis), *range(last, len(some.shape)), *range(3 + axis, last)))
        own = ordered(own, (0, *range(2, 4 + axis), 1, *range(4 + axis, len(own.shape))))
        depth = 3 + axis
        to = repeated(total, 1, own.shape[1:depth])
        assembler.repeat(block, (some, own, to), depth, multiply)


def _by_channels(assembler: Any, block: Block, x: Place, w: Place, total: Place) -> None:
    """As _by_taps, with the window over many channels at once."""
    points, channels = prod(total.shape[2:]), w.shape[2]
    size = min(channels, ROOM_ON_GPU // (prod(w.shape[3:]) * points * x.dtype.itemsize))
    if not size:
        _by_taps(assembler, block, x, w, total)
        return
    sums = total.reshaped((*total.shape[:2], points))

    def multiply(inner: Block, places: Sequence[Place]) -> None:
        some, own, to = places
        rows = assembler.contiguous_copy(inner, some).reshaped((1, prod(own.shape[1:]), points))
        matrix = assembler.matrices(inner, own, ((), (0,), range(1, len(own.shape))))
        assembler.multiply(inner, matrix, rows, to.alone, adds=True)

    for start, stop, count in pieces(channels, size):
        some = split(part(x, 1, start, stop), 1, count)
        own = split(part(w, 2, start, stop), 2, count)
        own = ordered(own, (0, 2, 1, *range(3, len(own.shape))))
        assembler.repeat(block, (some, own, repeated(sums, 1, own.shape[1:2])), 2, multiply)


def _by_tap(assembler: Any, block: Block, x: Place, w: Place, total: Place) -> None:
    """As _by_taps, where there is a single position and the window over each channel is a matrix."""
    rank = len(w.shape) - 3
    rows = total.reshaped((*total.shape[:2], prod(total.shape[2:])))

    def multiply(inner: Block, places: Sequence[Place]) -> None:
        some, own, to = places
        columns = as_matrices(some, ((0,), range(1, 1 + rank), (1 + rank,)))
        matrix = assembler.matrices(inner, own, ((1,), (0,), range(2, 2 + rank)))
        assembler.multiply(inner, matrix, columns, repeated(to, 0, some.shape[:1]), adds=True)

    assembler.repeat(block, (x, w, rows), 1, multiply)


def _room(assembler: Any) -> int:
    """The bytes of windows that are copied for one product."""
    return ROOM_ON_GPU if assembler.has_launches else ROOM
