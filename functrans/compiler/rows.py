"""What a library does to rows: sorting, and Fourier transforms; and how rows are laid out for it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import prod
from typing import Any

import numpy as np

from ..core.avals import INT, ShapedArray, real_dtype
from .instructions import Block, FourierRun, SortRun
from .loopnest import ORIGIN, Kernel, Load, Output
from .places import Place, as_numbers, contiguous_strides, space_of

#: What lies at multiples of this distance, in bytes, contends for the same few places of the cache, if it is so many.
SAME_PLACE, MANY = 2048, 16


def sort(
    assembler: Any, block: Block, operands: Sequence[Place], targets: Sequence[Place], axis: int, num_keys: int
) -> bool:
    """All operands in the order that sorts the first ones, if the backend can sort."""
    if not assembler.has_library("sort"):
        return False
    if 0 in operands[0].shape:
        return True
    if len(operands) == 1:
        _sort_values(assembler, block, operands[0], targets[0], axis)
        return True
    keys = [_rows(x, axis) for x in operands[:num_keys]]
    order = _order(assembler, block, keys, (0, operands[0].shape[axis]))
    for x, target in zip(operands, targets):
        _take(assembler, block, _as_rows(assembler, block, _rows(x, axis)), order, _rows(target, axis))
    return True


def argsort(
    assembler: Any, block: Block, keys: Sequence[Place], target: Place, axis: int, part: tuple[int, int]
) -> bool:
    """Part of the indices that sort by the first key, then by the second and so on, if the backend can sort."""
    if not assembler.has_library("sort"):
        return False
    if 0 not in target.shape:
        rows, goal = [_rows(x, axis) for x in keys], _rows(target, axis)
        order = _order(assembler, block, rows, part)
        strides = contiguous_strides((*goal.shape[:-1], rows[0].shape[-1]), INT.itemsize)
        assembler.copy(block, order._replace(shape=goal.shape, strides=strides), goal)
    return True


def fourier(
    assembler: Any, block: Block, x: Place, target: Place, kind: str, axes: Sequence[int], length: int | None
) -> bool:
    """A Fourier transform over some axes, one after the other, if the backend can do that.

    Args:
        kind: "fft", "ifft", "rfft" or "irfft".
        length: the extent of the last of the axes in the result of "irfft".
    """
    if not assembler.has_library("fft"):
        return False
    if 0 in x.shape or 0 in target.shape:
        return True
    steps = _passes(kind, axes)
    for i, (step, axis) in enumerate(steps):
        result = target
        if i < len(steps) - 1:
            dtype = target.dtype if target.dtype.kind == "c" else x.dtype
            shape = (*x.shape[:axis], target.shape[axis] if step == "rfft" else x.shape[axis], *x.shape[axis + 1 :])
            result = assembler.contiguous("temporary", ShapedArray(shape, dtype))
        _transform(assembler, block, step, x, result, axis)
        x = result
    return True


def _passes(kind: str, axes: Sequence[int]) -> list[tuple[str, int]]:
    """The transforms along single axes, in NumPy's order, so that results agree to the last bit."""
    if kind == "rfft":
        return [("rfft", axes[-1]), *(("fft", axis) for axis in reversed(axes[:-1]))]
    if kind == "irfft":
        return [*(("ifft", axis) for axis in axes[:-1]), ("irfft", axes[-1])]
    return [(kind, axis) for axis in reversed(axes)]


def _transform(assembler: Any, block: Block, kind: str, x: Place, target: Place, axis: int) -> None:
    """Add the instruction for one axis, between copies of what lies in memory in no simple way, or where it contends:
    the library goes through lanes one by one, and would find no line in the cache for the second time."""
    if _contends(x, axis) or _contends(target, axis):
        goal, last = _rows(target, axis), len(x.shape) - 1
        room = assembler.contiguous("temporary", ShapedArray(goal.shape, goal.dtype))
        _transform(assembler, block, kind, assembler.contiguous_copy(block, _rows(x, axis)), room, last)
        assembler.copy(block, room, goal)
        return
    source, result = _along(x, axis), _along(target, axis)
    if source is None:
        source = _along(assembler.contiguous_copy(block, x), axis)
    room = None if result is not None else assembler.contiguous("temporary", ShapedArray(target.shape, target.dtype))
    result = _along(room, axis) if room is not None else result
    points = target if kind == "irfft" else x
    real = real_dtype(target.dtype)
    factor = np.reciprocal(points.shape[axis], dtype=real) if kind in ("ifft", "irfft") else real.type(1)
    assembler.step(block, FourierRun(kind, factor, source, result), (source, result))
    if room is not None:
        assembler.copy(block, room, target)


def _contends(place: Place, axis: int) -> bool:
    """Whether the points of several lanes are at distances that give them few places of the cache."""
    points, stride = place.shape[axis], place.strides[axis]
    return stride != 0 and stride % SAME_PLACE == 0 and MANY <= points < prod(place.shape)


def _along(place: Place, axis: int) -> Place | None:
    """An array with three axes, the last of which is `axis`; the middle one has many lanes. None: there is no view."""
    before, after = (tuple(range(axis)), tuple(range(axis + 1, len(place.shape))))
    if prod(place.shape[a] for a in after) == 1:
        before, after = (), before
    groups = [_merged(place, group) for group in (before, after)]
    if None in groups:
        return None
    (outer, far), (inner, near) = groups
    return place._replace(shape=(outer, inner, place.shape[axis]), strides=(far, near, place.strides[axis]))


def _merged(place: Place, axes: Sequence[int]) -> tuple[int, int] | None:
    """Extent and stride of some axes as one, if there is one stride that does it."""
    axes = [axis for axis in axes if place.shape[axis] != 1]
    for left, right in pairwise(axes):
        if place.strides[left] != place.strides[right] * place.shape[right]:
            return None
    return prod(place.shape[axis] for axis in axes), place.strides[axes[-1]] if axes else 0


# ---- sorting


def _rows(place: Place, axis: int) -> Place:
    """An array with one of its axes as the last one."""
    return place.transposed((*(a for a in range(len(place.shape)) if a != axis), axis))


def _as_rows(assembler: Any, block: Block, place: Place) -> Place:
    """The rows along the last axis, one after the other; a copy, if they do not lie so."""
    if not place.is_contiguous:
        place = assembler.contiguous_copy(block, place)
    return place.reshaped((prod(place.shape[:-1]), place.shape[-1]))


def _sort_values(assembler: Any, block: Block, x: Place, target: Place, axis: int) -> None:
    source, goal = _rows(x, axis), _rows(target, axis)
    room = goal
    if not goal.is_contiguous:
        room = assembler.contiguous("temporary", ShapedArray(source.shape, source.dtype))
    assembler.copy(block, source, room)
    rows = _as_rows(assembler, block, room)
    assembler.step(block, SortRun(rows, None), (rows,))
    if room is not goal:
        assembler.copy(block, room, goal)


def _order(assembler: Any, block: Block, keys: Sequence[Place], part: tuple[int, int]) -> Place:
    """The part that is wanted of the indices that sort rows by several keys: by the last of them first, for what sorts
    is stable."""
    order = None
    for key in reversed(keys):
        rows = _as_rows(assembler, block, key)
        if order is not None:
            rows = _taken(assembler, block, rows, order)
        found = assembler.contiguous("temporary", ShapedArray(rows.shape, INT))
        wanted = part if len(keys) == 1 else (0, rows.shape[1])
        assembler.step(block, SortRun(rows, found, wanted), (rows, found))
        order = found if order is None else _taken(assembler, block, order, found)
    first = 0 if len(keys) == 1 else part[0]
    return order._replace(offset=order.offset + INT.itemsize * first, shape=(order.shape[0], part[1] - part[0]))


def _taken(assembler: Any, block: Block, rows: Place, order: Place) -> Place:
    """The elements of rows in some order."""
    target = assembler.contiguous("temporary", ShapedArray(rows.shape, rows.dtype))
    _take(assembler, block, rows, order, target)
    return target


def _take(assembler: Any, block: Block, rows: Place, order: Place, target: Place) -> None:
    """Add the kernel that puts the elements of rows in some order into an array."""
    shape, rank = target.shape, len(target.shape)
    order = order._replace(shape=shape, strides=contiguous_strides(shape, INT.itemsize))
    source = as_numbers(rows._replace(shape=shape, strides=contiguous_strides(shape, rows.dtype.itemsize)))
    target = as_numbers(target)
    space = space_of(target)
    place = ORIGIN.shifted(Load(1, space[:rank], INT))
    element = Load(0, (*space[: rank - 1], place, *space[rank:]), source.dtype)
    kernel = Kernel(target.shape, 0, (Output(element, None),), (0, 1))
    assembler.kernel(block, kernel, (source, order), (target,))
