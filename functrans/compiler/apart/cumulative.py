"""Cumulative sums and their like: element after element, in registers, or in loops through an array in memory."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...core.avals import ShapedArray
from ...core.jaxpr import Eqn
from ...primitives.cumulative import CumSum, Cumulative
from ..accesses import identity_value
from ..loopnest import INT, Affine, Apply, Expression, Index, constant
from ..recurrence import Repeat
from .elements import LARGEST_ARRAY, LARGEST_VECTOR, Array, Box, Boxes, TooLarge, added, at_value

#: Of these, kernels and loops have the operation.
CUMULATIVE = ("cumsum", "cumprod", "cummax", "cummin")


def accumulated(body: Any, eqn: Eqn, x: Any) -> Any:
    """The result of a cumulative operation."""
    aval: ShapedArray = eqn.outputs[0].aval
    assert isinstance(eqn.primitive, CumSum | Cumulative)
    operation = eqn.primitive.operation.name
    if aval.dtype.kind not in "fiu":
        raise TooLarge(f"`{eqn.primitive.name}` has no form of single numbers for {aval.dtype}")
    if aval.size <= LARGEST_ARRAY:
        return _in_registers(body, operation, body.boxes(x), **eqn.params)
    if not body.has_vectors or aval.size > LARGEST_VECTOR:
        raise TooLarge(f"`{eqn.primitive.name}` works on {aval.size} elements, and {LARGEST_VECTOR} is the limit")
    return _in_loops(body, operation, aval, x, **eqn.params)


def _in_registers(body: Any, operation: str, x: Boxes, axis: int, reverse: bool) -> Boxes:
    lines = np.moveaxis(x, axis, -1)
    places: list[tuple[int, ...]] = []
    values: list[Expression] = []
    for line in np.ndindex(*lines.shape[:-1]):
        so_far: Expression | None = None
        for k in range(lines.shape[-1])[:: -1 if reverse else 1]:
            element = lines[(*line, k)].expression
            so_far = element if so_far is None else body.checked(Apply(operation, (so_far, element), element.dtype))
            places.append((*line, k))
            values.append(so_far)
    found = np.empty(lines.shape, object)
    for place, register in zip(places, body.kept_together(values)):
        found[place] = Box(register)
    return np.moveaxis(found, -1, axis)


def _in_loops(body: Any, operation: str, aval: ShapedArray, x: Any, axis: int, reverse: bool) -> Array:
    room, reader, extent = body.scratch(aval), body.reader(body.kept(x)), aval.shape[axis]
    first = constant(identity_value(operation, aval.dtype), aval.dtype)

    def line(rest: Index) -> None:
        so_far, counter = body.register(aval.dtype), body.register(INT)
        body.assign([so_far], [first])
        step = at_value(counter)
        place = added(Affine(extent - 1, ()), step.times(-1)) if reverse else step
        index = (*rest[:axis], place, *rest[axis:])
        with body.block() as statements:
            body.assign([so_far], [body.checked(Apply(operation, (so_far, reader.at(index)), aval.dtype))])
            body.store(room, index, so_far)
        body.statements.append(Repeat(counter, constant(extent, INT), (), None, tuple(statements), most=extent))

    body.over((*aval.shape[:axis], *aval.shape[axis + 1 :]), (), line)
    return body.renewed(room)
