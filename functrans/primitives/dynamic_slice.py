"""Rectangular regions: reading and writing them at computed offsets, and writing strided ones at fixed offsets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..core.avals import INT, ZERO, ShapedArray
from ..core.primitive import Primitive, is_hole
from ..core.trace import Params, typeof
from ..errors import ShapeMismatchError
from .elementwise import add, less, maximum, minimum
from .foundation import (
    Shape,
    all_mapped,
    broadcast_lanes,
    convert,
    full,
    instantiate,
    pad_rank,
    reshape,
    unbroadcast,
    zeros,
)
from .indexing import gather, scatter_set
from .indices import Indexing
from .selection import select
from .structural import iota, transpose
from .structural import slice as static_slice


class DynamicSlice(Primitive):
    """`dynamic_slice(x, *starts, sizes=)`: a region of fixed extents at computed offsets, one for each axis.

    Negative offsets count from the end; then all are clamped so that the region lies within x.
    """

    never_fails = True
    only_moves = True
    reads_part = True
    first_index = 1

    def abstract_eval(self, x: ShapedArray, *starts: ShapedArray, sizes: Shape) -> list[ShapedArray]:
        check_region(x.shape, sizes, starts)
        return [ShapedArray(sizes, x.dtype)]

    def impl(self, x: Any, *starts: Any, sizes: Shape) -> list[Any]:
        return [x[_region(x.shape, starts, sizes)]]

    def jvp(self, primals: Any, tangents: Any, *, sizes: Shape) -> tuple[Any, Any]:
        x, *starts = primals
        return [self(x, *starts, sizes=sizes)], [self(tangents[0], *starts, sizes=sizes)]

    def transpose(self, cotangents: Any, x: Any, *starts: Any, sizes: Shape) -> list[Any]:
        return [dynamic_update_slice(zeros(x.aval), cotangents[0], *starts), *(None for _ in starts)]

    def add_cotangent(self, total: Any, cotangent: Any, *starts: Any, sizes: Shape) -> None:
        total[_region(total.shape, starts, sizes)] += cotangent

    def batch(self, size: int, values: Any, mapped: Sequence[bool], *, sizes: Shape) -> tuple[Any, Any]:
        x, *starts = values
        if not any(mapped[1:]):
            return [self(x, 0, *starts, sizes=(size, *sizes))], [True]
        shape = typeof(x).shape[mapped[0] :]
        indices, axes = _region_indices(size, shape, starts, mapped[1:], sizes)
        spec = Indexing(axes)
        if mapped[0]:
            indices, spec = [_lanes(size, len(axes)), *indices], spec.with_lanes()._replace(unique=True)
        order = (0, *(axis + 1 for axis in axes), *(axis + 1 for axis in range(len(sizes)) if axis not in axes))
        return [transpose(gather(x, *indices, spec=spec), permutation=_inverse(order))], [True]

    def lower(self, result: Any, x: Any, *starts: Any, sizes: Shape) -> Any:
        offsets = [
            result.offset(start.at(()), extent, size) for start, extent, size in zip(starts, x.aval.shape, sizes)
        ]
        return lambda index: x.at(tuple(i.shifted(offset) for i, offset in zip(index, offsets)))


class DynamicUpdateSlice(Primitive):
    """`dynamic_update_slice(x, update, *starts)`: x with a region overwritten; offsets as in dynamic_slice."""

    never_fails = True
    only_moves = True
    updates_first = True
    first_index = 2

    def abstract_eval(self, x: ShapedArray, update: ShapedArray, *starts: ShapedArray) -> list[ShapedArray]:
        check_region(x.shape, update.shape, starts)
        return [x]

    def impl(self, x: Any, update: Any, *starts: Any) -> list[Any]:
        y = np.array(x, subok=True, copy=True) if not np.ndim(x) else x.copy()
        y[_region(y.shape, starts, np.shape(update))] = update
        return [y]

    def jvp(self, primals: Any, tangents: Any) -> tuple[Any, Any]:
        x, update, *starts = primals
        dx, du = instantiate(tangents[0], typeof(x)), instantiate(tangents[1], typeof(update))
        return [self(x, update, *starts)], [self(dx, du, *starts)]

    def transpose(self, cotangents: Any, x: Any, update: Any, *starts: Any) -> list[Any]:
        (ct,) = cotangents
        aval = update.aval if is_hole(update) else typeof(update)
        by_update = dynamic_slice(ct, *starts, sizes=aval.shape) if is_hole(update) else None
        by_x = self(ct, zeros(aval), *starts) if is_hole(x) else None  # may overwrite what was read for the other
        return [by_x, by_update, *(None for _ in starts)]

    def batch(self, size: int, values: Any, mapped: Sequence[bool]) -> tuple[Any, Any]:
        x, update, *starts = values
        x, update = all_mapped(size, (x, update), mapped[:2])
        if not any(mapped[2:]):
            return [self(x, update, 0, *starts)], [True]
        sizes = typeof(update).shape[1:]
        indices, axes = _region_indices(size, typeof(x).shape[1:], starts, mapped[2:], sizes)
        order = (0, *(axis + 1 for axis in axes), *(axis + 1 for axis in range(len(sizes)) if axis not in axes))
        spec = Indexing(axes, unique=True).with_lanes()
        update = transpose(update, permutation=order)
        return [scatter_set(x, update, _lanes(size, len(axes)), *indices, spec=spec)], [True]

    def assemble(
        self, assembler: Any, block: list[Any], sources: Sequence[Any], targets: Sequence[Any], params: Params
    ) -> bool:
        x, update, *starts = sources
        assembler.update_region(block, x, update, starts, targets[0], (1,) * len(starts))
        return True


class UpdateSlice(Primitive):
    """`update_slice(x, update, starts=, limits=, strides=)`: x with a strided region overwritten.

    The update broadcasts to the region, and has the dtype of x.
    """

    never_fails = True
    only_moves = True
    updates_first = True

    def abstract_eval(self, x: ShapedArray, update: ShapedArray, **region: Shape) -> list[ShapedArray]:
        return [x.strong()]

    def impl(self, x: Any, update: Any, *, starts: Shape, limits: Shape, strides: Shape) -> list[Any]:
        y = x.copy()
        y[tuple(map(slice, starts, limits, strides))] = update
        return [y]

    def jvp(self, primals: Any, tangents: Any, **region: Shape) -> tuple[Any, Any]:
        x, update = primals
        dx = instantiate(tangents[0], typeof(x))
        du = zeros(typeof(update).with_shape(())) if tangents[1] is ZERO else tangents[1]
        return [self(x, update, **region)], [self(dx, du, **region)]

    def transpose(self, cotangents: Any, x: Any, update: Any, **region: Shape) -> list[Any]:
        (ct,) = cotangents
        by_update = unbroadcast(static_slice(ct, **region), update.aval) if is_hole(update) else None
        by_x = self(ct, typeof(ct).dtype.type(0), **region) if is_hole(x) else None  # may overwrite what was read here
        return [by_x, by_update]

    def batch(
        self, size: int, values: Any, mapped: Sequence[bool], *, starts: Shape, limits: Shape, strides: Shape
    ) -> tuple[Any, Any]:
        x, update = values
        x = x if mapped[0] else broadcast_lanes(x, size)
        update = pad_rank(update, len(starts)) if mapped[1] else update
        return [self(x, update, starts=(0, *starts), limits=(size, *limits), strides=(1, *strides))], [True]

    def part_of_result(self, number: int, avals: Sequence[ShapedArray], **region: Shape) -> Any:
        return (region["starts"], region["limits"], region["strides"]) if number == 1 else None

    def assemble(
        self, assembler: Any, block: list[Any], sources: Sequence[Any], targets: Sequence[Any], params: Params
    ) -> bool:
        x, update = sources
        spans = zip(params["starts"], params["limits"], params["strides"])
        sizes = tuple(len(range(*span)) for span in spans)
        assembler.update_region(
            block, x, update.broadcast(sizes), params["starts"], targets[0], params["strides"]
        )
        return True


dynamic_slice = DynamicSlice("dynamic_slice")
dynamic_update_slice = DynamicUpdateSlice("dynamic_update_slice")
update_slice = UpdateSlice("update_slice")


def check_region(x: Shape, sizes: Shape, starts: Sequence[ShapedArray]) -> None:
    """Raise ShapeMismatchError unless a region of this shape fits, with one offset for each axis."""
    if not len(x) == len(sizes) == len(starts) or any(start.shape for start in starts):
        raise ShapeMismatchError(
            f"A region of shape {sizes} of an array of shape {x} was given by {len(starts)} offsets.",
            "There is one extent and one scalar offset for each axis.",
            "Pass 0 as offset, and the full extent, along axes that are taken whole.",
        )
    if any(size > extent for size, extent in zip(sizes, x)):
        raise ShapeMismatchError(
            f"A region of shape {sizes} does not fit into an array of shape {x}.",
            "No extent of the region may exceed that of the array.",
            "Take a smaller region, or pad the array.",
        )


def _region(shape: Shape, starts: Sequence[Any], sizes: Shape) -> tuple[slice, ...]:
    check_region(shape, sizes, [typeof(start) for start in starts])
    region: list[slice] = []
    for extent, start, size in zip(shape, map(int, starts), sizes):
        start = max(0, min(start + extent if start < 0 else start, extent - size))
        region.append(slice(start, start + size))
    return tuple(region)


def _region_indices(
    size: int, shape: Shape, starts: Sequence[Any], mapped: Sequence[bool], sizes: Shape
) -> tuple[list[Any], Shape]:
    """Index arrays, with leading lanes, of a region whose offsets differ from lane to lane, and their axes.

    Axes that are taken whole need none.
    """
    axes = tuple(axis for axis, extent in enumerate(shape) if sizes[axis] != extent) or (0,)
    indices: list[Any] = []
    for place, axis in enumerate(axes):
        start = convert(starts[axis], dtype=INT)
        start = select(less(start, 0), add(start, shape[axis]), start)
        start = maximum(0, minimum(start, shape[axis] - sizes[axis]))
        ones = (1,) * len(axes)
        start = reshape(start, shape=(size, *ones) if mapped[axis] else (1, *ones))
        along = (1, *ones[:place], sizes[axis], *ones[place + 1 :])
        indices.append(add(start, reshape(iota(shape=(sizes[axis],), axis=0, dtype=INT), shape=along)))
    if not any(mapped[axis] for axis in axes):
        indices[0] = add(indices[0], reshape(full(value=0, shape=(size,), dtype=INT), shape=(size, *ones)))
    return indices, axes


def _lanes(size: int, ndim: int) -> Any:
    return reshape(iota(shape=(size,), axis=0, dtype=INT), shape=(size,) + (1,) * ndim)


def _inverse(permutation: Shape) -> Shape:
    return tuple(sorted(range(len(permutation)), key=permutation.__getitem__))
