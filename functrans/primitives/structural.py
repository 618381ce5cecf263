"""Primitives that move elements about and compute nothing."""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from operator import add
from typing import Any

import numpy as np

from ..core.avals import ZERO, ShapedArray
from ..core.primitive import Primitive, is_hole
from ..core.trace import Params, typeof
from ..errors import ShapeMismatchError
from .families import Structural
from .foundation import (
    Shape,
    View,
    add_any,
    all_mapped,
    broadcast_lanes,
    broadcast_to,
    convert,
    instantiate,
    promoted,
    reduce_sum,
    reshape,
    scale,
    unbroadcast,
    zeros,
)


class Transpose(View, Structural):
    """Axes in another order: axis i of the result is axis `permutation[i]` of the operand."""

    def abstract_eval(self, x: ShapedArray, *, permutation: Shape) -> list[ShapedArray]:
        shape = x.shape
        return [ShapedArray(tuple([shape[axis] for axis in permutation]), x.dtype)]

    def impl(self, x: Any, *, permutation: Shape) -> list[Any]:
        return [np.transpose(x, permutation)]

    def transpose(self, cotangents: Sequence[Any], x: Any, *, permutation: Shape) -> list[Any]:
        inverse = sorted(range(len(permutation)), key=permutation.__getitem__)
        return [self(cotangents[0], permutation=tuple(inverse))]

    def batch(
        self, size: int, values: Sequence[Any], mapped: Sequence[bool], *, permutation: Shape
    ) -> tuple[Any, Any]:
        return [self(values[0], permutation=(0, *(axis + 1 for axis in permutation)))], [True]

    def lower(self, result: Any, x: Any, *, permutation: Shape) -> Any:
        return lambda index: x.at(tuple(index[permutation.index(axis)] for axis in range(len(permutation))))

    def lowering_key(self, avals: Sequence[Any], params: Params) -> Any:
        return params["permutation"]

    def view(self, place: Any, *, permutation: Shape) -> Any:
        return place.transposed(permutation)


class Slice(View, Structural):
    """The elements from `starts` up to `limits`, every `strides`-th: one positive stride for each axis."""

    reads_part = True

    def abstract_eval(self, x: ShapedArray, *, starts: Shape, limits: Shape, strides: Shape) -> list[ShapedArray]:
        return [ShapedArray(tuple(map(len, map(range, starts, limits, strides))), x.dtype)]

    def impl(self, x: Any, *, starts: Shape, limits: Shape, strides: Shape) -> list[Any]:
        return [x[tuple(map(builtins.slice, starts, limits, strides))]]

    def transpose(
        self, cotangents: Sequence[Any], x: Any, *, starts: Shape, limits: Shape, strides: Shape
    ) -> list[Any]:
        (ct,) = cotangents
        aval = typeof(ct)
        padding: list[tuple[int, int, int]] = []
        for extent, have, start, stride in zip(x.aval.shape, aval.shape, starts, strides):
            covered = start + max(have - 1, 0) * stride + (have > 0)
            padding.append((start, extent - covered, stride - 1))
        return [pad(ct, aval.dtype.type(0), padding=tuple(padding))]

    def add_cotangent(self, total: Any, cotangent: Any, *, starts: Shape, limits: Shape, strides: Shape) -> None:
        total[tuple(map(builtins.slice, starts, limits, strides))] += cotangent

    def batch(
        self,
        size: int,
        values: Sequence[Any],
        mapped: Sequence[bool],
        *,
        starts: Shape,
        limits: Shape,
        strides: Shape,
    ) -> tuple[Any, Any]:
        return [self(values[0], starts=(0, *starts), limits=(size, *limits), strides=(1, *strides))], [True]

    def lower(self, result: Any, x: Any, *, starts: Shape, limits: Shape, strides: Shape) -> Any:
        return lambda index: x.at(tuple(i.times(s).plus(start) for i, s, start in zip(index, strides, starts)))

    def lowering_key(self, avals: Sequence[Any], params: Params) -> Any:
        return params["starts"], params["strides"]

    def view(self, place: Any, *, starts: Shape, limits: Shape, strides: Shape) -> Any:
        return place.sliced(starts, limits, strides)


class Pad(Primitive):
    """`pad(x, value, padding=)`: for each axis (low, high, interior) elements of value before, after and between.

    Negative low and high remove elements. Linear in the array and the value together.
    """

    never_fails = True
    only_moves = True

    def abstract_eval(self, x: ShapedArray, value: ShapedArray, *, padding: Any) -> list[ShapedArray]:
        return [ShapedArray(tuple(padded_extent(n, p) for n, p in zip(x.shape, padding)), x.dtype)]

    def impl(self, x: Any, value: Any, *, padding: Any) -> list[Any]:
        x = np.asarray(x) if np.isscalar(x) else x
        shape = tuple(padded_extent(n, p) for n, p in zip(x.shape, padding))
        out = np.empty_like(x, shape=shape)
        out[...] = value
        target, source = zip(*map(_overlap, x.shape, shape, padding)) if padding else ((), ())
        out[target] = x[source]
        return [out]

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Any], *, padding: Any) -> tuple[Any, Any]:
        filled = [instantiate(t, typeof(p)) for t, p in zip(tangents, primals)]
        return [self(*primals, padding=padding)], [self(*filled, padding=padding)]

    def transpose(self, cotangents: Sequence[Any], x: Any, value: Any, *, padding: Any) -> list[Any]:
        (ct,) = cotangents
        by_x = self.unpad(ct, padding) if is_hole(x) else None
        if not is_hole(value):
            return [by_x, None]
        inside = self.unpad(ct, padding)
        everything = reduce_sum(ct, axes=tuple(range(len(padding))))
        taken = reduce_sum(inside, axes=tuple(range(len(padding))))
        return [by_x, unbroadcast(add_any(everything, scale(taken, -1)), value.aval)]

    def unpad(self, ct: Any, padding: Any) -> Any:
        """What the padding left of the array, zeros where it removed elements."""
        zero = typeof(ct).dtype.type(0)
        ct = self(ct, zero, padding=tuple((-low, -high, 0) for low, high, _ in padding))
        shape = typeof(ct).shape
        strides = tuple(interior + 1 for _, _, interior in padding)
        return slice(ct, starts=(0,) * len(shape), limits=shape, strides=strides)

    def batch(
        self, size: int, values: Sequence[Any], mapped: Sequence[bool], *, padding: Any
    ) -> tuple[Any, Any]:
        x, value = values
        if not mapped[1]:
            return [self(x, value, padding=((0, 0, 0), *padding))], [True]
        # One value for each lane: what the padding adds is the padding of zeros by ones, times the value.
        x = x if mapped[0] else broadcast_lanes(x, size)
        dtype = typeof(x).dtype
        lanes_padding = ((0, 0, 0), *padding)
        wide = self(x, dtype.type(0), padding=lanes_padding)
        border = self(zeros(ShapedArray(typeof(x).shape, dtype)), dtype.type(1), padding=lanes_padding)
        lanes = reshape(convert(value, dtype=dtype), shape=(size, *(1,) * len(padding)))
        return [add_any(wide, scale(border, broadcast_to(lanes, shape=typeof(wide).shape)))], [True]

    def part_of_result(self, number: int, avals: Sequence[ShapedArray], *, padding: Any) -> Any:
        if number or any(low < 0 or high < 0 or interior for low, high, interior in padding):
            return None
        lows = tuple(low for low, _, _ in padding)
        return lows, tuple(low + n for low, n in zip(lows, avals[0].shape)), (1,) * len(lows)

    def assemble(
        self, assembler: Any, block: list[Any], sources: Sequence[Any], targets: Sequence[Any], params: Params
    ) -> bool:
        assembler.pad(block, *sources, targets[0], params["padding"])
        return True


class Concatenate(Primitive):
    """Any number of operands one after the other along `axis`."""

    never_fails = True

    def abstract_eval(self, *avals: ShapedArray, axis: int) -> list[ShapedArray]:
        first = avals[0].shape
        rest = first[:axis] + first[axis + 1 :]
        for aval in avals[1:]:
            if len(aval.shape) != len(first) or aval.shape[:axis] + aval.shape[axis + 1 :] != rest:
                shown = ", ".join(str(a.shape) for a in avals)
                raise ShapeMismatchError(
                    f"Arrays of shapes {shown} cannot be concatenated along axis {axis}.",
                    "All other axes must have the same extents.",
                    "Reshape or broadcast them first.",
                )
        extent = sum(a.shape[axis] for a in avals)
        return [ShapedArray((*first[:axis], extent, *first[axis + 1 :]), promoted(*(a.strong() for a in avals)))]

    def computes(self, avals: Sequence[ShapedArray], params: Params) -> bool:
        """Casts, if dtypes meet."""
        return len({aval.dtype for aval in avals}) > 1

    def impl(self, *xs: Any, axis: int) -> list[Any]:
        return [np.concatenate(xs, axis=axis)]

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Any], *, axis: int) -> tuple[Any, Any]:
        y = self(*primals, axis=axis)
        filled = [zeros(typeof(p).strong()) if t is ZERO else t for p, t in zip(primals, tangents)]
        tangent = self(*filled, axis=axis)
        dtype = typeof(y).dtype
        return [y], [tangent if typeof(tangent).dtype == dtype else convert(tangent, dtype=dtype)]

    def transpose(self, cotangents: Sequence[Any], *xs: Any, axis: int) -> list[Any]:
        (ct,) = cotangents
        found: list[Any] = []
        start = 0
        for x in xs:
            aval = x.aval if is_hole(x) else typeof(x)
            stop = start + aval.shape[axis]
            found.append(unbroadcast(slice_axis(ct, start, stop, axis=axis), aval) if is_hole(x) else None)
            start = stop
        return found

    def batch(self, size: int, values: Sequence[Any], mapped: Sequence[bool], *, axis: int) -> tuple[Any, Any]:
        return [self(*all_mapped(size, values, mapped), axis=axis + 1)], [True]

    def part_of_result(self, number: int, avals: Sequence[ShapedArray], *, axis: int) -> Any:
        return self.parts_of_result(avals[: number + 1], axis=axis)[-1]

    def parts_of_result(self, avals: Sequence[ShapedArray], *, axis: int) -> list[Any]:
        found: list[Any] = []
        start = 0
        for aval in avals:
            starts = (*[0] * axis, start, *[0] * (len(aval.shape) - axis - 1))
            found.append((starts, tuple(map(add, starts, aval.shape)), (1,) * len(starts)))
            start += aval.shape[axis]
        return found

    def assemble(
        self, assembler: Any, block: list[Any], sources: Sequence[Any], targets: Sequence[Any], params: Params
    ) -> bool:
        assembler.concatenate(block, sources, targets[0], params["axis"])
        return True


class Reverse(View, Structural):
    """The elements in the opposite order along `axes`."""

    def abstract_eval(self, x: ShapedArray, *, axes: Shape) -> list[ShapedArray]:
        return [ShapedArray(x.shape, x.dtype)]

    def impl(self, x: Any, *, axes: Shape) -> list[Any]:
        return [np.flip(x, axes)]

    def transpose(self, cotangents: Sequence[Any], x: Any, *, axes: Shape) -> list[Any]:
        return [self(cotangents[0], axes=axes)]

    def batch(self, size: int, values: Sequence[Any], mapped: Sequence[bool], *, axes: Shape) -> tuple[Any, Any]:
        return [self(values[0], axes=tuple(axis + 1 for axis in axes))], [True]

    def lower(self, result: Any, x: Any, *, axes: Shape) -> Any:
        shape = x.aval.shape
        return lambda index: x.at(
            tuple(i.times(-1).plus(shape[axis] - 1) if axis in axes else i for axis, i in enumerate(index))
        )

    def view(self, place: Any, *, axes: Shape) -> Any:
        return place.reversed(axes)


class Iota(Primitive):
    """Counts from zero along `axis` of an array of a given shape and dtype."""

    never_fails = True
    only_indexes = True

    def abstract_eval(self, *, shape: Shape, dtype: np.dtype[Any], axis: int) -> list[ShapedArray]:
        return [ShapedArray(shape, dtype)]

    def impl(self, *, shape: Shape, dtype: np.dtype[Any], axis: int) -> list[Any]:
        counts = np.arange(shape[axis]).astype(dtype)
        along = counts.reshape(tuple(-1 if i == axis else 1 for i in range(len(shape))))
        return [along if along.shape == shape else np.broadcast_to(along, shape)]

    def lower(self, result: Any, *, shape: Shape, dtype: np.dtype[Any], axis: int) -> Any:
        return lambda index: result.position(index[axis])

    def lowering_key(self, avals: Sequence[Any], params: Params) -> Any:
        return params["axis"]


transpose = Transpose("transpose")
slice = Slice("slice")
pad = Pad("pad")
concatenate = Concatenate("concatenate")
reverse = Reverse("reverse")
iota = Iota("iota")


def padded_extent(extent: int, padding: tuple[int, int, int]) -> int:
    """The extent of an axis after padding."""
    low, high, interior = padding
    result = low + extent + max(extent - 1, 0) * interior + high
    if result < 0:
        raise ShapeMismatchError(f"Padding {padding} removes more than there is of an axis of extent {extent}.")
    return result


def slice_axis(x: Any, start: int, stop: int, *, axis: int, stride: int = 1) -> Any:
    """`x[start:stop:stride]` along one axis, which may be counted from the end."""
    shape = typeof(x).shape
    axis %= len(shape)
    starts = tuple(start if i == axis else 0 for i in range(len(shape)))
    limits = tuple(min(stop, extent) if i == axis else extent for i, extent in enumerate(shape))
    return slice(x, starts=starts, limits=limits, strides=tuple(stride if i == axis else 1 for i in range(len(shape))))


def _overlap(extent: int, padded: int, padding: tuple[int, int, int]) -> tuple[builtins.slice, builtins.slice]:
    """Where elements of one axis go in the padded array, and which elements those are."""
    low, _, interior = padding
    step = interior + 1
    first = max(0, -(low // step)) if low < 0 else 0
    last = min(extent, (padded - 1 - low) // step + 1)
    if last <= first:
        return builtins.slice(0, 0), builtins.slice(0, 0)
    start = low + first * step
    return builtins.slice(start, low + (last - 1) * step + 1, step), builtins.slice(first, last)
