"""The permutations that sort, and the places where something would go in a sorted array: integers, flat everywhere."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from ..core.avals import BOOL, INT, ZERO, ShapedArray
from ..core.devices import is_on_device
from ..core.dtypes import result_type
from ..core.primitive import Primitive
from ..core.trace import Params, typeof
from ..errors import ShapeMismatchError
from .foundation import all_mapped
from .on_gpu import lexsort

#: Part of an order is found without sorting all in rows of so many elements, if it is one of so many places.
LONG_ROW, SHORT_PART = 2048, 16


class Argsort(Primitive):
    """`argsort(*keys, axis=, part=)`: the int64 indices that sort along an axis, by the first key, then the second ...

    Stable and ascending, NaN last, complex numbers by their real part first. The keys have one shape. Of the indices
    there is the part from the first place to before the last one.
    """

    never_fails = True

    def __call__(self, *keys: Any, axis: int = -1, part: tuple[int, int] | None = None) -> Any:
        shape = typeof(keys[0]).shape
        axis %= len(shape)
        return super().__call__(*keys, axis=axis, part=part or (0, shape[axis]))

    def abstract_eval(self, *keys: ShapedArray, axis: int, part: tuple[int, int]) -> list[ShapedArray]:
        check_same_shape("argsort", keys)
        shape = keys[0].shape
        return [ShapedArray((*shape[:axis], part[1] - part[0], *shape[axis + 1 :]), INT)]

    def impl(self, *keys: Any, axis: int, part: tuple[int, int]) -> list[Any]:
        first, last = part
        if len(keys) > 1:
            order = lexsort(keys[::-1], axis) if is_on_device(keys[0]) else np.lexsort(keys[::-1], axis=axis)
        elif _is_short_part(keys[0], axis, last - first):
            return [np.apply_along_axis(_part_of_order, axis, keys[0], first, last)]
        else:
            order = np.argsort(keys[0], axis=axis, kind="stable")
        return [order[(*[slice(None)] * axis, slice(first, last))]]

    def jvp(
        self, primals: Sequence[Any], tangents: Sequence[Any], *, axis: int, part: tuple[int, int]
    ) -> tuple[Any, Any]:
        return [self(*primals, axis=axis, part=part)], [ZERO]

    def batch(
        self, size: int, values: Sequence[Any], mapped: Sequence[bool], *, axis: int, part: tuple[int, int]
    ) -> tuple[Any, Any]:
        return [self(*all_mapped(size, values, mapped), axis=axis + 1, part=part)], [True]

    def assemble(
        self, assembler: Any, block: list[Any], sources: Sequence[Any], targets: Sequence[Any], params: Params
    ) -> bool:
        return assembler.argsort(block, sources, *targets, **params)


class SearchSorted(Primitive):
    """`searchsorted(a, v, side=)`: for each element of v where in a, sorted along its last axis, it would go; int64.

    Other axes of a are matched with the leading axes of v.
    """

    never_fails = True

    def abstract_eval(self, a: ShapedArray, v: ShapedArray, *, side: str) -> list[ShapedArray]:
        if not a.shape or a.shape[:-1] != v.shape[: a.ndim - 1]:
            raise ShapeMismatchError(
                f"An array of shape {v.shape} was to be sought in sorted arrays of shape {a.shape}.",
                "The sorted array has one axis, and before it the same lanes as what is sought.",
                "Use vmap for several sorted arrays.",
            )
        return [ShapedArray(v.shape, INT)]

    def impl(self, a: Any, v: Any, *, side: str) -> list[Any]:
        if a.ndim == 1:
            return [np.searchsorted(a, v, side)]
        shape, lanes = np.shape(v), prod(a.shape[:-1])
        rows = np.empty_like(v, shape=(lanes, prod(shape[a.ndim - 1 :])), dtype=INT)
        for i, (sorted_row, sought) in enumerate(zip(a.reshape(lanes, a.shape[-1]), v.reshape(rows.shape))):
            rows[i] = np.searchsorted(sorted_row, sought, side)
        return [rows.reshape(shape)]

    def lower(self, result: Any, a: Any, v: Any, *, side: str) -> Any:
        """By halves, without branches: as many steps as the length has binary digits.

        The first step leaves the first or last 2**k places, so that the others read no element outside. A place is in
        the next one once: LLVM looks at all ways to an index, which were exponentially many.
        """
        *lanes, length = a.aval.shape
        dtype = result_type(a.aval.dtype, v.aval.dtype)
        if dtype.kind == "c" or not length:
            return None
        truth = result.of(BOOL)

        def is_nan(x: Any) -> Any:
            return truth.apply("not_equal", x, x, computes_in=dtype)

        def goes_before(x: Any, sought: Any) -> Any:  # NaN comes after all numbers
            if side == "right":
                is_before, other = truth.apply("less_equal", x, sought, computes_in=dtype), is_nan(sought)
            else:
                is_before = truth.apply("less", x, sought, computes_in=dtype)
                other = truth.apply("logical_and", is_nan(sought), truth.apply("logical_not", is_nan(x)))
            return truth.apply("logical_or", is_before, other) if dtype.kind == "f" else is_before

        def rule(index: Any) -> Any:
            lane, sought = index[: len(lanes)], v.at(index)

            def moved(place: Any, step: int, by: int) -> Any:
                nearest = result.apply("add", place, result.constant(step - 1))
                is_further = goes_before(a.at((*lane, result.fixed(0).shifted(nearest))), sought)
                return result.apply("add", place, result.choose(is_further, result.constant(by), result.constant(0)))

            half = 1 << (length.bit_length() - 1)
            place = moved(result.constant(0), half, length - half + 1)
            while half := half // 2:
                place = moved(place, half, half)
            return place

        return rule

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Any], *, side: str) -> tuple[Any, Any]:
        return [self(*primals, side=side)], [ZERO]

    def batch(self, size: int, values: Sequence[Any], mapped: Sequence[bool], *, side: str) -> tuple[Any, Any]:
        a, v = values
        if mapped[0] or len(typeof(a).shape) > 1:
            a, v = all_mapped(size, values, mapped)
        return [self(a, v, side=side)], [True]


def _is_short_part(x: Any, axis: int, count: int) -> bool:
    """Whether it pays not to sort rows, of which each is a call of Python."""
    extent, kind = x.shape[axis], x.dtype.kind
    is_long = extent >= LONG_ROW and x.size > 0 and not is_on_device(x)
    return is_long and (kind == "b" or (kind in "iuf" and 0 < SHORT_PART * count <= extent))


def _part_of_order(row: Any, first: int, last: int) -> Any:
    """Part of the indices that sort a row: what is not between the elements that bound it need not be sorted."""
    if row.dtype.kind == "b":
        return np.concatenate([np.flatnonzero(~row), np.flatnonzero(row)])[first:last]
    low, high = np.partition(row, (first, last - 1))[[first, last - 1]]
    is_before = row < low if low == low else row == row
    is_after = row > high if row.dtype.kind != "f" else (row > high) | (np.isnan(row) if high == high else False)
    (found,) = np.nonzero(~(is_before | is_after))
    begin = first - np.count_nonzero(is_before)
    return found[np.argsort(row[found], kind="stable")[begin : begin + last - first]]


argsort = Argsort("argsort")
searchsorted = SearchSorted("searchsorted")


def check_same_shape(name: str, avals: Sequence[ShapedArray]) -> None:
    """For operands that are ordered together.

    Raises:
        ShapeMismatchError: their shapes differ.
    """
    if any(a.shape != avals[0].shape for a in avals):
        raise ShapeMismatchError(
            f"Arrays of shapes {', '.join(str(a.shape) for a in avals)} were given to `{name}`.",
            "What is sorted together must have one shape.",
            "Broadcast the operands first.",
        )
