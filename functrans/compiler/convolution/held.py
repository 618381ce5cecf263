"""Convolutions as sums of products of which tiles are held in registers: many features at many neighbouring positions.

Where there are more taps than positions, as when the derivative by the weights is taken, what is stored side by side
are channels (or features): each position meets all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, inf, prod
from typing import Any

from ...core.avals import ShapedArray
from ...core.dtypes import kind_of
from ..instructions import Block, KernelRun
from ..loopnest import Apply, Index, Kernel, Load, Output, axis_index, point
from ..places import Place
from .geometry import Parts, Shape, blocks, compact, ordered, part, pieces, repeated, split

#: How many products are added up at once where there are more taps than positions, and the bytes of what all rows and
#: columns meet meanwhile, which stays in the cache.
TERMS, MET = 1024, 1 << 19
#: Elsewhere products are added up one after the other: so many at most, as others do that in parts, and round less.
MOST_TERMS = 1 << 14
#: The bytes of windows that are stored at once.
ROOM = 1 << 21
#: Rows of so many positions are whole vectors for the most part, wherever they lie.
LONG = 256
#: Positions along a single axis are divided into multiples of so many.
NEIGHBOURS = 96
#: So many features are enough to be neighbours.
ENOUGH = 32
#: The time of a product, in that of one in the other kernels, and where there are more taps than positions; and for
#: sums of what length it is twice that.
SPEED, SPEED_BY_TAPS, LENGTH = 0.62, 0.5, 8
#: The bytes of a vector, and what the last one of a row costs more.
VECTOR, NOT_WHOLE = 64, 0.3
#: With fewer rows than this, numbers that are loaded serve too few products.
FEWEST_ROWS = 4
#: What it costs to copy an element to where it is read, in the order of memory, not in it, or across it.
COPY, COPY_APART, COPY_ACROSS = 4, 10, 20
#: What is larger than this, in bytes, is out of the cache when it is needed next. What an element of weights costs
#: then, for so many positions each time, and one of sums.
CACHE, WEIGHT, POSITIONS, SUM = 1 << 20, 10, 48, 60


def held_cost(parts: Parts) -> float:
    """The time that such sums take, in that of a product in the other kernels."""
    if kind_of(parts.image.dtype) != "f":
        return inf
    return (_cost_by_taps if parts.has_long_window else _cost_by_positions)(parts)


def _cost_by_taps(parts: Parts) -> float:
    image, w = parts.image, parts.w
    images, features = image.shape[0], w.shape[1]
    rows, columns, copied = (images, features, w) if _has_features_last(parts) else (features, images, image)
    cost = _cost_of_products(parts, max(rows, *parts.positions), columns, min(TERMS, prod(w.shape[2:])))
    return cost + prod(copied.shape) * COPY_ACROSS + prod(parts.z.shape) * (SUM if _is_large(parts.z) else COPY)


def _cost_by_positions(parts: Parts) -> float:
    (source, _), weights = _stored(parts), prod(parts.w.shape)
    is_copied = source != parts.image
    columns = prod(parts.positions) if is_copied else parts.positions[-1]
    cost = _cost_of_products(parts, parts.w.shape[1], columns, prod(parts.w.shape[2:])) + weights * COPY_APART
    if _is_large(parts.w):
        cost += weights * parts.image.shape[0] * -(-prod(parts.positions) // POSITIONS) * WEIGHT
    if is_copied:
        cost += prod(source.shape) * (COPY if source.strides[-1] == source.dtype.itemsize else COPY_APART)
    return cost


def _cost_of_products(parts: Parts, rows: int, columns: int, length: int) -> float:
    """What the products cost in tiles of so many rows and columns, and sums of some length."""
    vectors = columns * parts.image.dtype.itemsize / VECTOR
    if rows < FEWEST_ROWS or length > MOST_TERMS:
        return inf
    speed = SPEED_BY_TAPS if parts.has_long_window else SPEED
    return parts.work * speed * (ceil(vectors) + NOT_WHOLE) / vectors * (1 + LENGTH / length)


def _is_large(place: Place) -> bool:
    """Whether an array does not stay in the cache."""
    return prod(place.shape) * place.dtype.itemsize > CACHE


def add_held(assembler: Any, block: Block, parts: Parts) -> None:
    """Add the kernels, and the copies that they read."""
    (_by_taps if parts.has_long_window else _by_positions)(assembler, block, parts)


def _by_positions(assembler: Any, block: Block, parts: Parts) -> None:
    """For positions that are neighbours, for as many of an image at a time as have their windows in the cache."""
    parts = parts._replace(w=_with_last(assembler, block, parts.w, 1, 2))
    extent = parts.positions[0]
    size = prod(_stored(parts)[0].shape[1:]) * parts.image.dtype.itemsize
    if size <= ROOM:
        _add_positions(assembler, block, parts)
        return
    width = -(-extent // min(-(-size // ROOM), extent))
    if len(parts.positions) == 1:
        width = -(-width // NEIGHBOURS) * NEIGHBOURS

    def add(inner: Block, places: Sequence[Place]) -> None:
        image, w, z = places
        _add_positions(assembler, inner, parts._replace(image=image, w=w, z=z))

    step, reach = parts.strides[0], (parts.window[0] - 1) * parts.dilation[0] + 1
    for start, stop, some in pieces(extent, min(width, extent)):
        times = (stop - start) // some
        image = part(parts.image, 3, start * step, parts.image.shape[3])
        shape, strides = image.shape, image.strides
        image = image._replace(
            shape=(times, shape[0], 1, *shape[1:3], (some - 1) * step + reach, *shape[4:]),
            strides=(some * step * strides[3], strides[0], 0, *strides[1:]),
        )
        z = split(part(parts.z, 3, start, stop), 3, some)
        z = repeated(ordered(z, (3, 0, 1, 2, *range(4, len(z.shape)))), 2, (1,))
        w = repeated(parts.w, 0, (times, shape[0]))
        assembler.repeat(block, (image, w, z), 2, add)


def _stored(parts: Parts) -> tuple[Place, tuple[Shape, Shape]]:
    """Windows as they are stored so that neighbours along the last axis are neighbours in memory."""
    rank = len(parts.window)
    is_short = parts.positions[-1] < LONG and parts.window[-1] != 1
    return compact(parts, [i for i in range(rank) if parts.strides[i] != 1 or (i == rank - 1 and is_short)])


def _add_positions(assembler: Any, block: Block, parts: Parts) -> None:
    """All positions at once, of images that are stored as a whole."""
    rank, x, w = len(parts.window), parts.windows, parts.w
    source, (by_tap, by_position) = _stored(parts)
    if source != parts.image:
        copy, size = assembler.contiguous_copy(block, source), source.dtype.itemsize
        inside = (*(size * s for s in by_tap), *(size * s for s in by_position))
        x = copy._replace(shape=x.shape, strides=(*copy.strides[:3], *inside))
    batch, group, feature = map(axis_index, range(3))
    positions = tuple(map(axis_index, range(3, 3 + rank)))
    *taps, channel = map(axis_index, range(3 + rank, 4 + 2 * rank))
    terms = (channel, *taps)
    total = _sum_of_products(w, (group, feature, *terms), x, (batch, group, *terms, *positions))
    kernel = Kernel((*parts.z.shape, *w.shape[3:], w.shape[2]), 1 + rank, (total,), (0, 1))
    assembler.step(block, KernelRun(kernel, (w, x), (parts.z,)), (w, x, parts.z))


def _by_taps(assembler: Any, block: Block, parts: Parts) -> None:
    """For all positions, with features or images as neighbours, some terms at a time."""
    rank, image, w = len(parts.window), parts.image, parts.w
    features_last = _has_features_last(parts)
    if features_last:
        w = _with_last(assembler, block, w, 1)
    else:
        image = _with_last(assembler, block, image, 0)
    x = parts._replace(image=image).windows  # (batch, groups, channels, *window, *positions)
    rows, columns = (x.shape[0], w.shape[1]) if features_last else (w.shape[1], x.shape[0])
    sums = assembler.contiguous("temporary", ShapedArray((w.shape[0], rows, *parts.positions, columns), x.dtype))
    assembler.fill_with_zeros(block, sums)

    def add(inner: Block, places: Sequence[Place]) -> None:
        own, some, to = places
        kernel = _tap_kernel(own, some, to, features_last)
        assembler.step(inner, KernelRun(kernel, (own, some), (to,)), (own, some, to))

    extents = w.shape[2:]
    axis, width = blocks(extents, min(TERMS, MET // (x.dtype.itemsize * (rows + columns))))
    loops = range(2, 3 + axis)
    for start, stop, size in pieces(extents[axis], width):
        some, own = (split(part(p, 2 + axis, start, stop), 2 + axis, size) for p in (x, w))
        some, own = (ordered(p, (*loops, 0, 1, *range(loops.stop, len(p.shape)))) for p in (some, own))
        to = repeated(sums, 0, own.shape[: len(loops)])
        assembler.repeat(block, (own, some, to), len(loops), add)
    images_and_features = (1, 2 + rank) if features_last else (2 + rank, 1)
    order = (images_and_features[0], 0, images_and_features[1], *range(2, 2 + rank))
    assembler.copy(block, ordered(sums, order), parts.z)


def _has_features_last(parts: Parts) -> bool:
    """Whether features are neighbours, where there are more taps than positions, and not images."""
    features, images = parts.w.shape[1], parts.image.shape[0]
    return features >= min(images, ENOUGH)


def _with_last(assembler: Any, block: Block, place: Place, axis: int, before: int | None = None) -> Place:
    """An array copied so that neighbours along an axis are neighbours in memory, with another axis before that one."""
    last = [a for a in (before, axis) if a is not None]
    axes = [*(a for a in range(len(place.shape)) if a not in last), *last]
    copy = assembler.contiguous_copy(block, ordered(place, tuple(axes)))
    return ordered(copy, tuple(map(axes.index, range(len(axes)))))


def _tap_kernel(w: Place, x: Place, sums: Place, features_last: bool) -> Kernel:
    """The kernel that adds to sums."""
    kept, terms = len(sums.shape), w.shape[2:]
    group, row, *positions, column = map(axis_index, range(kept))
    image, feature = (row, column) if features_last else (column, row)
    reduced = tuple(map(axis_index, range(kept, kept + len(terms))))
    total = _sum_of_products(w, (group, feature, *reduced), x, (image, group, *reduced, *positions))
    return Kernel((*sums.shape, *terms), len(terms), (total._replace(place=point(kept)),), (0, 1))


def _sum_of_products(w: Place, w_index: Index, x: Place, x_index: Index) -> Output:
    """The sum over what is reduced, of weights (operand 0) times elements (operand 1) at some places."""
    return Output(Apply("multiply", (Load(0, w_index, w.dtype), Load(1, x_index, x.dtype)), w.dtype), "add")
