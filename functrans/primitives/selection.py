"""Which operand gets through (select), and whose derivative does not (stop_gradient)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..core.avals import ZERO, ShapedArray
from ..core.primitive import is_hole
from ..core.trace import Params, typeof
from .foundation import Plain, align_ranks, broadcast_shapes, match, promoted, unbroadcast, zeros


class Select(Plain):
    """`select(condition, x, y)`: x where the condition holds and y elsewhere; linear in x and y together."""

    never_fails = True
    work = 1

    def abstract_eval(self, condition: ShapedArray, x: ShapedArray, y: ShapedArray) -> list[ShapedArray]:
        return [ShapedArray(broadcast_shapes(condition.shape, x.shape, y.shape), promoted(x, y))]

    def computes(self, avals: Sequence[ShapedArray], params: Params) -> bool:
        """Casts, if dtypes meet."""
        return avals[1].dtype != avals[2].dtype

    def impl(self, condition: Any, x: Any, y: Any) -> list[Any]:
        if type(condition) is bool:  # which CuPy does not take
            condition = np.bool_(condition)
        return [np.where(condition, x, y)[()]]

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
        condition, x, y = primals
        z = self(condition, x, y)
        dx, dy = (_zero(p) if t is ZERO else t for p, t in ((x, tangents[1]), (y, tangents[2])))
        return [z], [match(self(condition, dx, dy), z)]

    def transpose(self, cotangents: Sequence[Any], condition: Any, x: Any, y: Any) -> list[Any]:
        (ct,) = cotangents
        zero = _zero(ct)
        return [
            None,
            unbroadcast(self(condition, ct, zero), x.aval) if is_hole(x) else None,
            unbroadcast(self(condition, zero, ct), y.aval) if is_hole(y) else None,
        ]

    def batch(self, size: int, values: Sequence[Any], mapped: Sequence[bool]) -> tuple[Any, Any]:
        return [self(*align_ranks(values, mapped))], [True]

    def lower(self, result: Any, condition: Any, x: Any, y: Any) -> Any:
        return lambda index: result.choose(condition.broadcast(index), x.broadcast(index), y.broadcast(index))


class StopGradient(Plain):
    """The same value, without a derivative of any order."""

    never_fails = True
    only_moves = True
    only_indexes = True

    def abstract_eval(self, x: ShapedArray) -> list[ShapedArray]:
        return [x]

    def impl(self, x: Any) -> list[Any]:
        return [x]

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
        return [self(primals[0])], [ZERO]

    def batch(self, size: int, values: Sequence[Any], mapped: Sequence[bool]) -> tuple[Any, Any]:
        return [self(values[0])], [True]

    def lower(self, result: Any, x: Any) -> Any:
        return x.at


select = Select("select")
stop_gradient = StopGradient("stop_gradient")


def _zero(x: Any) -> Any:
    """A scalar zero that promotes as x does."""
    return zeros(typeof(x).with_shape(()))
