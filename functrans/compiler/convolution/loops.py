"""Convolutions as kernels: sums of a few products at a time, of vectors of neighbours.

A kernel computes some features at once, from a few taps that are written out. So what it loads is used several times,
and results are read and written once for many products. Neighbouring positions are what is vectorised; where there are
more taps than positions, neighbouring taps.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from math import inf, prod
from typing import Any

import numpy as np

from ..instructions import Block
from ..loopnest import Affine, Apply, Expression, Kernel, Load, Output, axis_index, point
from ..places import Place
from .geometry import Parts, Shape, blocks, compact, ordered, part, pieces, split

#: Taps that are written out, and features that are computed at once: more need more registers than there are.
TAPS, FEATURES = 9, 2
#: The bytes of results of one feature that a kernel adds to again and again: they stay in the first-level cache.
BLOCK = 8192
#: The overhead of the innermost loop for a single feature at a time, as a number of its bytes; it is twice that for
#: more features, or where a sum has to be finished after it.
OVERHEAD = 256
#: The bytes of windows that are stored at once, unless those of a single image take more.
ROOM = 1 << 26
#: What it costs to copy an element, in products; and if the next one is not its neighbour.
COPY, COPY_APART = 4, 10
#: What products cost more if neighbours are two elements apart.
APART = 1.5


def add_loops(assembler: Any, block: Block, parts: Parts) -> None:
    """Add the kernels that compute a convolution, for one image after the other if windows take much room."""
    whole, _ = _storage(parts)
    room = 0 if whole is None else prod(compact(parts, whole)[0].shape) * parts.image.dtype.itemsize
    if room <= ROOM:
        _add_kernels(assembler, block, parts)
        return

    def add(inner: Block, places: Sequence[Place]) -> None:
        image, z = (p._replace(shape=(1, *p.shape), strides=(p.strides[0], *p.strides)) for p in places)
        _add_kernels(assembler, inner, parts._replace(image=image, z=z))

    assembler.repeat(block, (parts.image, parts.z), 1, add)


def _add_kernels(assembler: Any, block: Block, parts: Parts) -> None:
    windows = stored_windows(assembler, block, parts)
    if not parts.has_long_window:
        by_positions(assembler, block, windows, parts.w, parts.z)
        return
    w, rank = parts.w, len(parts.window)
    of_taps = windows._replace(shape=windows.shape[:-rank], strides=windows.strides[:-rank])
    if w.strides[-1] != w.dtype.itemsize or _joined(w, rank) < _joined(of_taps, rank):
        w = assembler.contiguous_copy(block, w)
    by_taps(assembler, block, windows, w, parts.z)


def loop_cost(parts: Parts) -> float:
    """The time that kernels take, in that of a product."""
    return _storage(parts)[1]


def stored_windows(assembler: Any, block: Block, parts: Parts) -> Place:
    """Windows with long rows of neighbours: the view of the image, or a copy of it if that pays."""
    whole, _ = _storage(parts)
    if whole is None:
        return parts.windows
    source, (by_tap, by_position) = compact(parts, whole)
    copy = assembler.contiguous_copy(block, source)
    size = copy.dtype.itemsize
    strides = (*copy.strides[:3], *(size * s for s in by_tap), *(size * s for s in by_position))
    return copy._replace(shape=parts.windows.shape, strides=strides)


def _storage(parts: Parts) -> tuple[tuple[int, ...] | None, float]:
    """Along which axes to store windows, None for nowhere; and what kernels cost then."""
    rank, size = len(parts.window), parts.image.dtype.itemsize
    steps = parts.dilation if parts.has_long_window else parts.strides
    whole = tuple(i for i in range(rank) if i == rank - 1 or steps[i] != 1)
    source, (by_tap, by_position) = compact(parts, whole)
    own = parts.windows.strides[3:]
    costs = [
        _kernel_cost(parts, own[:rank], own[rank:]),
        _kernel_cost(parts, [size * s for s in by_tap], [size * s for s in by_position]),
    ]
    costs[1] += prod(source.shape) * (COPY if source.strides[-1] == size else COPY_APART)
    return (None, costs[0]) if costs[0] <= costs[1] else (whole, costs[1])


def _kernel_cost(parts: Parts, by_tap: Sequence[int], by_position: Sequence[int]) -> float:
    """What kernels cost for windows with these strides; infinite, if neighbours are too far from each other."""
    extents, strides = (parts.window, by_tap) if parts.has_long_window else (parts.positions, by_position)
    size, points, distance = parts.image.dtype.itemsize, 1, 0
    for extent, stride in zip(reversed(extents), reversed(strides)):
        if extent != 1:
            if distance and stride != distance * points:
                break
            distance, points = distance or stride, points * extent
    if distance not in (0, size, 2 * size):
        return inf
    features = parts.w.shape[1]
    overhead = OVERHEAD if features == 1 and not parts.has_long_window else 2 * OVERHEAD
    return parts.work * _loading(parts) * (1 + overhead / (size * points)) * (1 if distance <= size else APART)


def _loading(parts: Parts) -> float:
    """What products cost where elements that are loaded serve few of them: those of other channels, for one."""
    axis, count = _written_out(parts.positions if parts.has_long_window else parts.w.shape[2:])
    if parts.has_long_window:
        return 0.9 * (1 + 1 / (count * prod(parts.positions[axis + 1 :])))
    return 2 if axis == 0 and prod(parts.window) == 1 else 1


# ---- neighbouring positions


def by_positions(assembler: Any, block: Block, x: Place, w: Place, z: Place) -> None:
    """Sums of products over channels and taps; x is (batch, groups, channels, *window, *positions)."""
    reduced, positions, rank = w.shape[2:], z.shape[3:], len(z.shape) - 3
    whole, taps = _written_out(reduced)
    joined = min(_joined(x, rank), _joined(z, rank))
    is_stored_once = whole == 0 and taps == reduced[0]
    axis, width = blocks(positions[-joined:], inf if is_stored_once else BLOCK // x.dtype.itemsize)
    axis += rank - joined
    for f_start, f_stop, features in pieces(w.shape[1], _features(w.shape[1])):
        for p_start, p_stop, size in pieces(positions[axis], width):
            to = part(part(z, 2, f_start, f_stop), 3 + axis, p_start, p_stop)
            source = part(x, len(x.shape) - rank + axis, p_start, p_stop)
            for number, (start, stop, count) in enumerate(pieces(reduced[whole], taps)):
                some_x = part(source, 2 + whole, start, stop)
                some_w = part(part(w, 1, f_start, f_stop), 2 + whole, start, stop)
                kernel = _position_kernel(some_x, some_w, to, features, axis, size, whole, count, number > 0)
                targets = [_blocked(part(to, 2, f, to.shape[2], features), axis, size) for f in range(features)]
                assembler.kernel(block, kernel, (some_x, some_w), targets)


def _features(count: int) -> int:
    """How many features to compute at once, so that few are left over."""
    return next((n for n in (FEATURES, FEATURES + 1) if count % n == 0), min(count, FEATURES))


def _joined(place: Place, rank: int) -> int:
    """How many of the last axes, of so many, are one loop: at least the last."""
    shape, strides = place.shape[-rank:], place.strides[-rank:]
    count = 1
    while count < rank and strides[-count - 1] == strides[-count] * shape[-count]:
        count += 1
    return count


def _written_out(extents: Shape) -> tuple[int, int]:
    """The last axis with a loop, and how many of its elements are written out; of the axes after it all are."""
    count = 1
    for axis in reversed(range(len(extents))):
        if count * extents[axis] > TAPS:
            most = TAPS // count
            dividing = max(n for n in range(1, most + 1) if extents[axis] % n == 0)
            return axis, dividing if 2 * dividing > most else most
        count *= extents[axis]
    return 0, extents[0]


def _blocked(z: Place, axis: int, size: int) -> Place:
    """Results with their axes as a kernel has them: batch, groups, positions by blocks, features, those in a block."""
    divided = split(z, 3 + axis, size)
    return ordered(divided, (0, 1, *range(3, 4 + axis), 2, *range(4 + axis, len(divided.shape))))


def _position_kernel(
    x: Place, w: Place, z: Place, features: int, axis: int, size: int, whole: int, taps: int, adds: bool
) -> Kernel:
    """The kernel for some features, and some taps of the axis that is the last with a loop; `_blocked` has its axes."""
    dtype, reduced, positions = x.dtype, w.shape[2:], z.shape[3:]
    parallel = _blocked(part(z, 2, 0, z.shape[2], features), axis, size).shape
    loops = (*reduced[:whole], reduced[whole] // taps)
    first, last = len(parallel), axis + 3  # of the loops that are reduced; the features
    position = (
        *(axis_index(2 + i) for i in range(axis)),
        Affine(0, ((2 + axis, size), (last + 1, 1))),
        *(axis_index(last + 2 + i) for i in range(len(positions) - axis - 1)),
    )
    batch, group = axis_index(0), axis_index(1)
    place = point(first) if adds else None
    outputs: list[Output] = []
    for f in range(features):
        factors: list[tuple[Expression, Expression]] = []
        for tap in product(range(taps), *map(range, reduced[whole + 1 :])):
            index = (
                *(axis_index(first + i) for i in range(whole)),
                Affine(tap[0], ((first + whole, taps),)),
                *(Affine(t, ()) for t in tap[1:]),
            )
            element = Load(0, (batch, group, *index, *position), dtype)
            weight = Load(1, (group, Affine(f, ((last, features),)), *index), dtype)
            factors.append((element, weight))
        outputs.append(Output(sum_of_products(factors, dtype), "add", place))
    return Kernel((*parallel, *loops), len(loops), tuple(outputs), (0, 1))


def sum_of_products(factors: Sequence[tuple[Expression, Expression]], dtype: np.dtype[Any]) -> Expression:
    """Products added up one by one."""
    (x, y), *others = factors
    total: Expression = Apply("multiply", (x, y), dtype)
    for x, y in others:
        if dtype.kind == "f":
            total = Apply("multiply_add", (x, y, total), dtype)
        else:
            total = Apply("add", (Apply("multiply", (x, y), dtype), total), dtype)
    return total


# ---- neighbouring taps


def by_taps(assembler: Any, block: Block, x: Place, w: Place, z: Place) -> None:
    """Sums of products over channels and taps, where these are many, for a few positions at once."""
    positions = z.shape[3:]
    whole, count = _written_out(positions)
    written = count * prod(positions[whole + 1 :])
    features = min(w.shape[1], FEATURES if FEATURES * written <= TAPS + 1 else 1)
    for f_start, f_stop, some in pieces(w.shape[1], features):
        for start, stop, size in pieces(positions[whole], count):
            to = part(part(z, 2, f_start, f_stop), 3 + whole, start, stop)
            source = part(x, len(x.shape) - len(positions) + whole, start, stop)
            kernel, targets = _tap_kernel(source, part(w, 1, f_start, f_stop), to, some, whole, size)
            assembler.kernel(block, kernel, (source, part(w, 1, f_start, f_stop)), targets)


def _tap_kernel(x: Place, w: Place, z: Place, features: int, whole: int, size: int) -> tuple[Kernel, list[Place]]:
    """The kernel for some features and positions, and where its outputs go."""
    positions = z.shape[3:]
    parallel = (*z.shape[:2], z.shape[2] // features, *positions[:whole], positions[whole] // size)
    reduced = tuple(map(axis_index, range(len(parallel), len(parallel) + len(w.shape) - 2)))
    batch, group = axis_index(0), axis_index(1)
    outputs: list[Output] = []
    targets: list[Place] = []
    for f, at in product(range(features), product(range(size), *map(range, positions[whole + 1 :]))):
        index = (
            *(axis_index(3 + i) for i in range(whole)),
            Affine(at[0], ((3 + whole, size),)),
            *(Affine(p, ()) for p in at[1:]),
        )
        element = Load(0, (batch, group, *reduced, *index), x.dtype)
        weight = Load(1, (group, Affine(f, ((2, features),)), *reduced), w.dtype)
        outputs.append(Output(Apply("multiply", (element, weight), z.dtype), "add"))
        to = part(part(z, 2, f, z.shape[2], features), 3 + whole, at[0], positions[whole], size)
        for axis, p in enumerate(at[1:], 4 + whole):
            to = part(to, axis, p, p + 1)
        targets.append(to._replace(shape=to.shape[: 4 + whole], strides=to.strides[: 4 + whole]))
    return Kernel((*parallel, *w.shape[2:]), len(reduced), tuple(outputs), (0, 1)), targets
