"""Cumulative operations along one axis: sums, products, extremes, log-sum-exp.

The derivatives are those of a scan that combines neighbours in a tree (Brent and Kung 1982): it has logarithmic depth,
takes linear time, and needs no division, so that zeros of a product and ties of an extreme are no exceptions.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache, partial
from typing import Any

import numpy as np

from ..core.avals import ShapedArray
from ..core.devices import is_on_device
from ..core.jaxpr import Jaxpr
from ..core.primitive import Primitive
from ..core.staging import trace_closed
from ..core.trace import Params, typeof
from .elementwise import add, divide, equal, logaddexp, maximum, minimum, multiply, select
from .families import Structural
from .foundation import Elementwise, full, reshape, scale
from .on_gpu import accumulate
from .structural import concatenate, slice_axis
from .structural import reverse as flip

#: What the scan carries for each element: its value, its tangent, and perhaps more.
State = tuple[Any, ...]


class CumSum(Structural):
    """The sum of all elements up to each one (from each one on, with `reverse`)."""

    operation = add

    def abstract_eval(self, x: ShapedArray, *, axis: int, reverse: bool) -> list[ShapedArray]:
        return [x.strong()]

    def impl(self, x: Any, *, axis: int, reverse: bool) -> list[Any]:
        return [_accumulated(np.add, x, axis, reverse)]

    def transpose(self, cotangents: Sequence[Any], x: Any, *, axis: int, reverse: bool) -> list[Any]:
        return [self(cotangents[0], axis=axis, reverse=not reverse)]

    def batch(self, size: int, values: Any, mapped: Any, *, axis: int, reverse: bool) -> tuple[Any, Any]:
        return [self(values[0], axis=axis + 1, reverse=reverse)], [True]

    def assemble(
        self, assembler: Any, block: list[Any], sources: Sequence[Any], targets: Sequence[Any], params: Params
    ) -> bool:
        return _assembled(self.operation, assembler, block, *sources, *targets, params)


class Cumulative(Primitive):
    """Combines all elements up to each one (from each one on, with `reverse`) by an associative ufunc.

    The tangent is carried through the scan by the jvp of the operation on two elements.
    """

    never_fails = True

    def __init__(self, name: str, operation: Elementwise):
        super().__init__(name)
        self.operation = operation

    def abstract_eval(self, x: ShapedArray, *, axis: int, reverse: bool) -> list[ShapedArray]:
        return [x.strong()]

    def impl(self, x: Any, *, axis: int, reverse: bool) -> list[Any]:
        return [_accumulated(self.operation.ufunc, x, axis, reverse)]

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Any], *, axis: int, reverse: bool) -> tuple[Any, Any]:
        (x,), (dx,) = primals, tangents
        turned = (lambda y: flip(y, axes=(axis,))) if reverse else (lambda y: y)
        state = self.scanned(tuple(map(turned, self.start(x, dx))), axis)
        return [self(x, axis=axis, reverse=reverse)], [turned(self.tangent(state))]

    def batch(self, size: int, values: Any, mapped: Any, *, axis: int, reverse: bool) -> tuple[Any, Any]:
        return [self(values[0], axis=axis + 1, reverse=reverse)], [True]

    def start(self, x: Any, dx: Any) -> State:
        """The state of each element by itself."""
        return x, dx

    def combine(self, a: State, b: State) -> State:
        """The state of two neighbouring ranges together."""
        (value,), (slope,) = self.operation.jvp([a[0], b[0]], [a[1], b[1]])
        return value, slope

    def tangent(self, state: State) -> Any:
        """The tangents of the results."""
        return state[1]

    def scanned(self, state: State, axis: int) -> State:
        """The state of all elements up to each one: of pairs, of which every second one is known then, and between."""
        extent = typeof(state[0]).shape[axis]
        if extent < 2:
            return state
        first, even, odd, later = (
            tuple(slice_axis(v, start, stop, axis=axis, stride=stride) for v in state)
            for start, stop, stride in ((0, 1, 1), (0, extent - 1, 2), (1, extent, 2), (2, extent, 2))
        )
        odd = self.scanned(self.combine(even, odd), axis)
        count = (extent - 1) // 2
        before = tuple(slice_axis(v, 0, count, axis=axis) for v in odd)
        middle = map(partial(_alternating, axis=axis), before, self.combine(before, later))
        last = () if extent % 2 else (tuple(slice_axis(v, count, count + 1, axis=axis) for v in odd),)
        return tuple(concatenate(*parts, axis=axis) for parts in zip(first, middle, *last))

    def assemble(
        self, assembler: Any, block: list[Any], sources: Sequence[Any], targets: Sequence[Any], params: Params
    ) -> bool:
        return _assembled(self.operation, assembler, block, *sources, *targets, params)


class CumulativeExtreme(Cumulative):
    """All elements so far that attain the extreme share its derivative equally. NaN wins, and has none.

    The state is the extreme, the sum of the tangents of those that attain it, and their number.
    """

    def start(self, x: Any, dx: Any) -> State:
        aval = typeof(x)
        is_number = equal(x, x)
        one = full(value=1, shape=aval.shape, dtype=aval.dtype)
        zero = aval.dtype.type(0)
        return x, select(is_number, dx, zero), select(is_number, one, zero)

    def combine(self, a: State, b: State) -> State:
        y = self.operation(a[0], b[0])
        a_wins, b_wins, zero = equal(a[0], y), equal(b[0], y), typeof(y).dtype.type(0)
        totals = (add(select(a_wins, u, zero), select(b_wins, v, zero)) for u, v in zip(a[1:], b[1:]))
        return (y, *totals)

    def tangent(self, state: State) -> Any:
        _, total, count = state
        one = typeof(count).dtype.type(1)
        return scale(total, divide(one, select(equal(count, 0), one, count)))


@lru_cache(maxsize=256)
def step_of(operation: Elementwise, aval: ShapedArray) -> Jaxpr:
    """What a loop does in each step: combines what it has with an element."""
    return trace_closed(lambda so_far, x: [operation(so_far, x)] * 2, [aval, aval])


def _assembled(
    operation: Elementwise, assembler: Any, block: list[Any], source: Any, target: Any, params: Params
) -> bool:
    """Add the instructions that combine all elements up to each one."""
    body_for = lambda shape: step_of(operation, ShapedArray(shape, source.dtype))  # noqa: E731
    return assembler.accumulate(block, source, target, params["axis"], params["reverse"], operation.name, body_for)


def _alternating(x: Any, y: Any, axis: int) -> Any:
    """The elements of two arrays along an axis by turns."""
    shape = typeof(x).shape
    pairs = [reshape(v, shape=(*shape[: axis + 1], 1, *shape[axis + 1 :])) for v in (x, y)]
    return reshape(concatenate(*pairs, axis=axis + 1), shape=(*shape[:axis], 2 * shape[axis], *shape[axis + 1 :]))


def _accumulated(ufunc: Any, x: Any, axis: int, reverse: bool) -> Any:
    if is_on_device(x) and ufunc not in (np.add, np.multiply):  # what CuPy has
        return np.flip(accumulate(ufunc, np.flip(x, axis), axis), axis) if reverse else accumulate(ufunc, x, axis)
    if not reverse:
        return ufunc.accumulate(x, axis=axis, dtype=x.dtype.type)
    return np.flip(ufunc.accumulate(np.flip(x, axis), axis=axis, dtype=x.dtype.type), axis)


cumsum = CumSum("cumsum")
cumprod = Cumulative("cumprod", multiply)
cummax = CumulativeExtreme("cummax", maximum)
cummin = CumulativeExtreme("cummin", minimum)
cumlogsumexp = Cumulative("cumlogsumexp", logaddexp)
