"""Collectives: operations across the lanes of an enclosing vmap that gave its axis a name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..core.avals import ShapedArray
from ..core.trace import Params, named_axes
from ..errors import UnboundAxisError
from .foundation import Linear, broadcast_lanes, reduce_sum
from .structural import iota, transpose


class Collective(Linear):
    """Acts on the vmap whose axis it names (`batch_named`), and is applied lane by lane under any other."""

    def impl(self, *args: Any, axis_name: Any, **params: Any) -> list[Any]:
        raise unbound_axis(axis_name)

    def uses_axis(self, axis_name: Any, params: Params) -> bool:
        return params["axis_name"] == axis_name


class PSum(Collective):
    """The sum over all lanes. Its transpose is itself: each lane's operand enters the result of every lane."""

    def abstract_eval(self, x: ShapedArray, *, axis_name: Any) -> list[ShapedArray]:
        return [x.strong()]

    def transpose(self, cotangents: Sequence[Any], x: Any, *, axis_name: Any) -> list[Any]:
        return [self(cotangents[0], axis_name=axis_name)]

    def batch(self, size: int, values: Sequence[Any], mapped: Sequence[bool], *, axis_name: Any) -> tuple[Any, Any]:
        return [self(values[0], axis_name=axis_name)], [True]

    def batch_named(
        self, axis: Any, size: int, values: Sequence[Any], mapped: Sequence[bool], *, axis_name: Any
    ) -> tuple[Any, Any]:
        (x,) = values
        return [reduce_sum(x, axes=(0,)) if mapped[0] else multiply_by_size(x, size)], [False]


class AllGather(Collective):
    """The operands of all lanes along a new leading axis of extent `axis_size`."""

    only_moves = True

    def abstract_eval(self, x: ShapedArray, *, axis_name: Any, axis_size: int) -> list[ShapedArray]:
        return [ShapedArray((axis_size, *x.shape), x.dtype)]

    def transpose(self, cotangents: Sequence[Any], x: Any, *, axis_name: Any, axis_size: int) -> list[Any]:
        return [psum_scatter(cotangents[0], axis_name=axis_name, axis_size=axis_size)]

    def batch(
        self, size: int, values: Sequence[Any], mapped: Sequence[bool], *, axis_name: Any, axis_size: int
    ) -> tuple[Any, Any]:
        gathered = self(values[0], axis_name=axis_name, axis_size=axis_size)
        return [swap_leading(gathered)], [True]

    def batch_named(
        self, axis: Any, size: int, values: Sequence[Any], mapped: Sequence[bool], *, axis_name: Any, axis_size: int
    ) -> tuple[Any, Any]:
        return [values[0] if mapped[0] else broadcast_lanes(values[0], size)], [False]


class PSumScatter(Collective):
    """Lane i gets element i of the sum over all lanes: the transpose of all_gather."""

    def abstract_eval(self, x: ShapedArray, *, axis_name: Any, axis_size: int) -> list[ShapedArray]:
        return [ShapedArray(x.shape[1:], x.dtype)]

    def transpose(self, cotangents: Sequence[Any], x: Any, *, axis_name: Any, axis_size: int) -> list[Any]:
        return [all_gather(cotangents[0], axis_name=axis_name, axis_size=axis_size)]

    def batch(
        self, size: int, values: Sequence[Any], mapped: Sequence[bool], *, axis_name: Any, axis_size: int
    ) -> tuple[Any, Any]:
        return [self(swap_leading(values[0]), axis_name=axis_name, axis_size=axis_size)], [True]

    def batch_named(
        self, axis: Any, size: int, values: Sequence[Any], mapped: Sequence[bool], *, axis_name: Any, axis_size: int
    ) -> tuple[Any, Any]:
        (x,) = values
        return [reduce_sum(x, axes=(0,)) if mapped[0] else multiply_by_size(x, size)], [True]


class AxisIndex(Collective):
    """The number of the lane: no operand, an int64 scalar."""

    def abstract_eval(self, *, axis_name: Any) -> list[ShapedArray]:
        return [ShapedArray((), np.dtype(np.int64))]

    def batch_named(
        self, axis: Any, size: int, values: Sequence[Any], mapped: Sequence[bool], *, axis_name: Any
    ) -> tuple[Any, Any]:
        return [iota(shape=(size,), axis=0, dtype=np.dtype(np.int64))], [True]


psum = PSum("psum")
all_gather = AllGather("all_gather")
psum_scatter = PSumScatter("psum_scatter")
axis_index = AxisIndex("axis_index")


def swap_leading(x: Any) -> Any:
    """The first two axes exchanged."""
    ndim = len(x.shape)
    return transpose(x, permutation=(1, 0, *range(2, ndim)))


def size_of_axis(axis_name: Any) -> int:
    """The number of lanes of the innermost enclosing vmap with this axis name.

    Raises:
        UnboundAxisError: there is none.
    """
    for name, size in named_axes():
        if name == axis_name:
            return size
    raise unbound_axis(axis_name)


def unbound_axis(axis_name: Any) -> UnboundAxisError:
    """The error for a name that no enclosing vmap binds."""
    return UnboundAxisError(
        f"A collective names the axis {axis_name!r}, which no enclosing vmap binds.",
        "Collectives work across the lanes of a vmap that has the same axis_name.",
        f"Call the function under functrans.vmap(..., axis_name={axis_name!r}).",
    )


def multiply_by_size(x: Any, size: int) -> Any:
    """The sum over `size` lanes that all hold x."""
    return reduce_sum(broadcast_lanes(x, size), axes=(0,))
