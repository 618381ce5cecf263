"""Sorting: one primitive that orders any number of arrays by the first of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..core.avals import ZERO, ShapedArray, is_inexact, typeof
from ..core.primitive import Primitive, is_hole
from .foundation import broadcast_lanes, instantiate
from .structural import iota, reverse, slice_axis


class Sort(Primitive):
    """`sort(key, *others, axis=)`: all operands in the order that sorts the key along an axis.

    The order is stable and ascending, NaN last, complex numbers by real part first. The operands have one shape. It
    is linear in the others, so tangents are sorted along with their primals, and its transpose puts cotangents back
    by sorting them by the permutation.
    """

    def abstract_eval(self, *avals: ShapedArray, axis: int) -> list[ShapedArray]:
        return [a.strong() for a in avals]

    def impl(self, key: Any, *others: Any, axis: int) -> list[Any]:
        if not others:
            return [np.sort(key, axis=axis, kind="stable")]
        order = np.argsort(key, axis=axis, kind="stable")
        return [np.take_along_axis(x, order, axis=axis) for x in (key, *others)]

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Any], *, axis: int) -> tuple[Any, Any]:
        active = [i for i, p in enumerate(primals) if tangents[i] is not ZERO and is_inexact(typeof(p).dtype)]
        outs = self.bind(*primals, *(tangents[i] for i in active), axis=axis)
        moved = dict(zip(active, outs[len(primals) :]))
        return outs[: len(primals)], [moved.get(i, ZERO) for i in range(len(primals))]

    def transpose(self, cotangents: Sequence[Any], key: Any, *others: Any, axis: int) -> list[Any]:
        if is_hole(key):
            return super().transpose(cotangents, key, *others, axis=axis)  # type: ignore[return-value]
        permutation = argsort(key, axis=axis)
        holes = [i for i, x in enumerate(others) if is_hole(x)]
        given = [instantiate(cotangents[i + 1], others[i].aval) for i in holes]
        back = dict(zip(holes, self.bind(permutation, *given, axis=axis)[1:]))
        return [None, *(back.get(i) for i in range(len(others)))]

    def batch(self, size: int, values: Sequence[Any], mapped: Sequence[bool], *, axis: int) -> tuple[Any, Any]:
        lanes = [v if is_mapped else broadcast_lanes(v, size) for v, is_mapped in zip(values, mapped)]
        return self.bind(*lanes, axis=axis + 1), [True] * len(lanes)


sort = Sort("sort")


def argsort(x: Any, *, axis: int = -1) -> Any:
    """The indices (int64) that sort x along an axis; stable."""
    shape = typeof(x).shape
    axis %= len(shape)
    return sort.bind(x, iota(shape=shape, dtype=np.dtype(np.int64), axis=axis), axis=axis)[1]


def top_k(x: Any, k: int) -> list[Any]:
    """The k largest elements along the last axis in descending order, and their indices; NaN counts as largest.

    Equal elements come in the order of their indices: the reverse of an ascending stable order of the reverse.
    """
    shape = typeof(x).shape
    axis = len(shape) - 1
    indices = iota(shape=shape, dtype=np.dtype(np.int64), axis=axis)
    ascending = sort.bind(reverse(x, axes=(axis,)), reverse(indices, axes=(axis,)), axis=axis)
    return [slice_axis(reverse(y, axes=(axis,)), 0, k, axis=axis) for y in ascending]
