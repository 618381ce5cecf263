"""Constant folding: equations of constants are computed now, within bounds."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from ...core.avals import ShapedArray
from ...core.jaxpr import Atom, Eqn, Literal
from ...core.primitive import Primitive
from ...core.trace import EVAL, running, typeof

#: Bytes of a result, at most: a program should not carry large arrays that it can make.
RESULT_LIMIT = 2**16
#: Bytes of results up to which they may be larger than the operands.
SMALL = 128
#: Bytes of the operands, at most: compiling is not the time for large computations.
OPERAND_LIMIT = 2**20


def is_foldable(primitive: Primitive) -> bool:
    """Whether a primitive of constants may be computed before the program runs."""
    return not (primitive.holds_programs or primitive.is_left_to_programs)


def folded(eqn: Eqn) -> Sequence[Atom] | None:
    """The results of an equation of constants as constants, if that pays."""
    avals = [a.aval for a in (*eqn.outputs, *eqn.inputs)]
    if not all(type(aval) is ShapedArray for aval in avals):
        return None
    if not eqn.inputs and any(v.aval.shape for v in eqn.outputs):
        return None  # kernels make it out of nothing
    given = sum(_bytes(a.aval) for a in eqn.inputs)
    made = sum(_bytes(v.aval) for v in eqn.outputs)
    if given > OPERAND_LIMIT or made > min(RESULT_LIMIT, max(SMALL, given)):
        return None
    values = evaluated(eqn)
    return None if values is None else [Literal(value, v.aval) for value, v in zip(values, eqn.outputs)]


def evaluated(eqn: Eqn) -> list[Any] | None:
    """The values of an equation of constants; None if it fails, which it is then to do when the program runs."""
    values = [a.value for a in eqn.inputs]
    try:
        with running(EVAL), np.errstate(all="ignore"):
            found = eqn.primitive.impl(*values, **eqn.params)
    except Exception:
        return None
    return found if [typeof(y) for y in found] == [v.aval for v in eqn.outputs] else None


def element_of(value: Any, shape: Any, dtype: np.dtype[Any]) -> Any:
    """What all elements of a `full` are, as a Python scalar; None if the value does not fit the dtype."""
    try:
        return np.full((), value, dtype).item()
    except (OverflowError, TypeError, ValueError):
        return None


def uniform_element(value: Any) -> Any:
    """What all elements of a small array are, to the last bit, as a Python scalar; None if they differ."""
    if type(value) is not np.ndarray or not 0 < value.nbytes <= RESULT_LIMIT or value.dtype.kind not in "biufc":
        return None
    first = value.item(0)
    if value.item(-1) != first:
        return None
    return first if value.tobytes() == np.full_like(value, first).tobytes() else None


def _bytes(aval: ShapedArray) -> int:
    return prod(aval.shape) * aval.dtype.itemsize
