"""Cumulative operations along one axis: sums, products, extremes, log-sum-exp.

The derivatives are those of a scan that combines neighbours in a tree (Hillis and Steele 1986): it has logarithmic
depth and needs no division, so that zeros of a product and ties of an extreme are no exceptions.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
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
from .foundation import Elementwise, full, scale
from .on_gpu import accumulate
from .structural import concatenate, slice_axis

#: What the scan carries for each element: its value, its tangent, and perhaps more.
State = tuple[Any, ...]


class CumSum(Structural):
    """The sum of all elements up to each one (from each one on, with `reverse`)."""

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
        reverse, dtype = params["reverse"], sources[0].dtype
        body_for = lambda shape: step_of(add, ShapedArray(shape, dtype))  # noqa: E731
        return assembler.accumulate(block, *sources, *targets, params["axis"], reverse, add.name, body_for)


class Cumulative(Primitive):
    """Combines all elements up to each one (from each one on, with `reverse`) by an associative ufunc.

    The tangent is carried through the scan by the jvp of the operation on two elements.
    """

    def __init__(self, name: str, operation: Elementwise):
        super().__init__(name)
        self.operation = operation

    def abstract_eval(self, x: ShapedArray, *, axis: int, reverse: bool) -> list[ShapedArray]:
        return [x.strong()]

    def impl(self, x: Any, *, axis: int, reverse: bool) -> list[Any]:
        return [_accumulated(self.operation.ufunc, x, axis, reverse)]

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Any], *, axis: int, reverse: bool) -> tuple[Any, Any]:
        (x,), (dx,) = primals, tangents
        state, step = self.start(x, dx), 1
        while step < typeof(x).shape[axis]:
            state = self.combine_at_distance(state, step, axis, reverse)
            step *= 2
        return [self(x, axis=axis, reverse=reverse)], [self.tangent(state)]

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

    def combine_at_distance(self, state: State, step: int, axis: int, reverse: bool) -> State:
        """Each element combined with the one `step` before it (after it, with `reverse`), where there is one."""
        extent = typeof(state[0]).shape[axis]
        early = tuple(slice_axis(v, 0, extent - step, axis=axis) for v in state)
        late = tuple(slice_axis(v, step, extent, axis=axis) for v in state)
        combined = self.combine(early, late)
        if reverse:
            alone = (slice_axis(v, extent - step, extent, axis=axis) for v in state)
            return tuple(concatenate(c, a, axis=axis) for c, a in zip(combined, alone))
        alone = (slice_axis(v, 0, step, axis=axis) for v in state)
        return tuple(concatenate(a, c, axis=axis) for c, a in zip(combined, alone))

    def assemble(
        self, assembler: Any, block: list[Any], sources: Sequence[Any], targets: Sequence[Any], params: Params
    ) -> bool:
        reverse, dtype, operation = params["reverse"], sources[0].dtype, self.operation
        body_for = lambda shape: step_of(operation, ShapedArray(shape, dtype))  # noqa: E731
        return assembler.accumulate(block, *sources, *targets, params["axis"], reverse, operation.name, body_for)


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
