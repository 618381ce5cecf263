"""Small matrices in a recurrence: linear algebra among its statements."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np

from ...core.jaxpr import Eqn
from ..loopnest import INT, Apply, Expression, cast, expressions_in
from ..recurrence import Check, Failure
from ..small_matrices import FORMS, elements, in_order, refusal
from .elements import Box, Boxes


def linear_algebra(body: Any, eqn: Eqn, operands: Sequence[Boxes]) -> list[Boxes]:
    """The results of a primitive for each of a few small matrices, with a check of whether there are any."""
    avals = [v.aval for v in eqn.outputs]
    rank = operands[0].ndim - 2
    places: list[tuple[Boxes, tuple[int, ...]]] = []
    numbers: list[Expression] = []
    failures: list[Expression] = []
    results = [np.empty(aval.shape, object) for aval in avals]
    for lane in product(*map(range, operands[0].shape[:rank])):
        written = FORMS[eqn.primitive.name].rule(*(_elements(x[lane]) for x in operands), **eqn.params)
        for boxes, nested, aval in zip(results, written.results, avals):
            for index, expression in in_order(aval.shape[rank:], nested):
                places.append((boxes, (*lane, *index)))
                numbers.append(cast(expression, aval.dtype))
        failures += [] if written.failed is None else [cast(written.failed, INT)]
    for e in expressions_in([*numbers, *failures]):
        if isinstance(e, Apply):
            body.checked(e)
    kept = body.kept_together([*numbers, *failures])
    for (boxes, index), register in zip(places, kept):
        boxes[index] = Box(register)
    if failures:
        refuse = refusal(eqn.primitive.impl, [a.aval for a in eqn.inputs], eqn.params)
        failure = Failure(refuse, ((len(failures),),), eqn.primitive.name, eqn.source or body.source)
        body.statements.append(Check(tuple(kept[len(numbers) :]), (1,) * len(failures), failure))
    return results


def _elements(boxes: Any) -> Any:
    """The rows of a matrix, or the elements of a vector."""
    return elements(boxes.shape, lambda index: boxes[tuple(i.offset for i in index)].expression)
