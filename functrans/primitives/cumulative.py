"""Cumulative operations along one axis: sums, products, extremes, log-sum-exp."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..core.avals import ShapedArray, typeof
from ..core.primitive import Primitive
from .elementwise import equal, exp, greater, less, logaddexp, multiply, not_equal, select, subtract
from .families import Structural
from .foundation import add_any, scale
from .structural import concatenate, slice_axis

Pair = tuple[Any, Any]


class CumSum(Structural):
    """The sum of all elements up to each one (from each one on, with `reverse`)."""

    def abstract_eval(self, x: ShapedArray, *, axis: int, reverse: bool) -> list[ShapedArray]:
        return [ShapedArray(x.shape, x.dtype)]

    def impl(self, x: Any, *, axis: int, reverse: bool) -> list[Any]:
        return [_accumulate(np.add, x, axis, reverse)]

    def transpose(self, cotangents: Sequence[Any], x: Any, *, axis: int, reverse: bool) -> list[Any]:
        return [self(cotangents[0], axis=axis, reverse=not reverse)]

    def batch(self, size: int, values: Any, mapped: Any, *, axis: int, reverse: bool) -> tuple[Any, Any]:
        return [self(values[0], axis=axis + 1, reverse=reverse)], [True]


class Cumulative(Primitive):
    """Combines all elements up to each one.

    Args:
        ufunc: the operation, accumulated.
        combine: what becomes of two (value, tangent) pairs: the derivative is that of the scan that combines pairs
            in a tree (Hillis and Steele 1986), so that neither zeros nor ties need a division.
    """

    def __init__(self, name: str, ufunc: Any, combine: Callable[[Pair, Pair], Pair]):
        super().__init__(name)
        self.ufunc = ufunc
        self.combine = combine

    def abstract_eval(self, x: ShapedArray, *, axis: int, reverse: bool) -> list[ShapedArray]:
        return [ShapedArray(x.shape, x.dtype)]

    def impl(self, x: Any, *, axis: int, reverse: bool) -> list[Any]:
        return [_accumulate(self.ufunc, x, axis, reverse)]

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Any], *, axis: int, reverse: bool) -> tuple[Any, Any]:
        y = self(primals[0], axis=axis, reverse=reverse)
        pair = primals[0], tangents[0]
        extent, step = typeof(y).shape[axis], 1
        while step < extent:
            pair = self._combine_shifted(pair, step, axis, reverse)
            step *= 2
        return [y], [pair[1]]

    def _combine_shifted(self, pair: Pair, step: int, axis: int, reverse: bool) -> Pair:
        """Each element combined with the one `step` before it (after it, with `reverse`), where there is one."""
        extent = typeof(pair[0]).shape[axis]
        head = [slice_axis(v, 0, extent - step, axis=axis) for v in pair]
        tail = [slice_axis(v, step, extent, axis=axis) for v in pair]
        if reverse:
            combined = self.combine((head[0], head[1]), (tail[0], tail[1]))
            alone = [slice_axis(v, extent - step, extent, axis=axis) for v in pair]
            value, slope = (concatenate(c, a, axis=axis) for c, a in zip(combined, alone))
        else:
            combined = self.combine((tail[0], tail[1]), (head[0], head[1]))
            alone = [slice_axis(v, 0, step, axis=axis) for v in pair]
            value, slope = (concatenate(a, c, axis=axis) for a, c in zip(alone, combined))
        return value, slope

    def batch(self, size: int, values: Any, mapped: Any, *, axis: int, reverse: bool) -> tuple[Any, Any]:
        return [self(values[0], axis=axis + 1, reverse=reverse)], [True]


def _accumulate(ufunc: Any, x: Any, axis: int, reverse: bool) -> Any:
    if not reverse:
        return ufunc.accumulate(x, axis=axis, dtype=x.dtype)
    return np.flip(ufunc.accumulate(np.flip(x, axis), axis=axis, dtype=x.dtype), axis)


def _product(a: Pair, b: Pair) -> Pair:
    return multiply(a[0], b[0]), add_any(scale(a[1], b[0]), scale(b[1], a[0]))


def _first_to_win(beats: Primitive) -> Callable[[Pair, Pair], Pair]:
    """The extreme of two pairs; where they tie the tangents are averaged. NaN wins."""

    def combine(a: Pair, b: Pair) -> Pair:
        a_wins = select(not_equal(a[0], a[0]), True, beats(a[0], b[0]))
        tie = equal(a[0], b[0])
        slope = select(a_wins, a[1], select(tie, scale(add_any(a[1], b[1]), 0.5), b[1]))
        return select(a_wins, a[0], b[0]), slope

    return combine


def _log_of_sum(a: Pair, b: Pair) -> Pair:
    y = logaddexp(a[0], b[0])
    floor = typeof(y).dtype.type(-np.inf)
    empty = equal(y, floor)
    shift = select(empty, typeof(y).dtype.type(0), y)
    return y, add_any(scale(a[1], exp(subtract(a[0], shift))), scale(b[1], exp(subtract(b[0], shift))))


cumsum = CumSum("cumsum")
cumprod = Cumulative("cumprod", np.multiply, _product)
cummax = Cumulative("cummax", np.maximum, _first_to_win(greater))
cummin = Cumulative("cummin", np.minimum, _first_to_win(less))
cumlogsumexp = Cumulative("cumlogsumexp", np.logaddexp, _log_of_sum)

