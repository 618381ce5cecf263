"""Checks of indices: each is made once, before a loop in which it would say the same in every step, and at once for
what is a constant."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..core.jaxpr import Eqn
from .instructions import Block, CheckRun, PythonRun
from .places import Place

INT64 = np.dtype(np.int64)


def check(assembler: Any, block: Block, numbers: Place, extent: int, otherwise: PythonRun) -> None:
    """Add the instruction that looks whether all indices are within bounds, unless that has been done.

    Args:
        otherwise: what raises the error; it reads nothing that a loop has not got before it begins but the numbers.
    """
    if _is_settled(assembler, numbers, extent):
        return
    around = [id(other.block) for other in assembler.open]
    is_known = any((number, numbers, extent) in assembler.checked for number in (id(block), *around))
    if is_known and numbers.slot not in assembler.overwritten:
        return
    if block is assembler.open[-1].block:
        block = _outermost(assembler, numbers)
    assembler.checked.add((id(block), numbers, extent))
    start = len(block)
    numbers = assembler.converted(block, numbers, INT64)
    if not numbers.is_contiguous:
        numbers = assembler.contiguous_copy(block, numbers)
    places = numbers, *otherwise.sources, *otherwise.targets
    assembler.step(block, CheckRun(numbers, extent, otherwise), places)
    assembler.ahead += block[start:]


def _is_settled(assembler: Any, numbers: Place, extent: int) -> bool:
    """Whether numbers are a constant whose elements are all within bounds."""
    slot = assembler.slots[numbers.slot]
    if slot.kind != "constant" or slot.value.shape != numbers.shape or not numbers.is_contiguous:
        return False
    return not slot.value.size or bool(slot.value.min() >= -extent and slot.value.max() < extent)


def _outermost(assembler: Any, numbers: Place) -> Block:
    """Where numbers can be looked at: before loops that have a first step for sure, in which they stay the same."""
    found = assembler.open[-1]
    for block in reversed(assembler.open[:-1]):
        if numbers.slot not in found.constants:
            break
        found = block
    return found.block


def refusal(run: PythonRun, number: int) -> PythonRun:
    """What raises the error for one of the operands of a primitive, whatever the others are.

    Args:
        run: the call of the implementation.
    """
    types = [(place.shape, place.dtype) for place in run.sources if isinstance(place, Place)]
    refuse = _refusing(run.function, run.params, types, number)
    return run._replace(function=refuse, params={}, sources=(run.sources[number],), targets=())


def refusal_of(eqn: Eqn, number: int, place: Place, source: Any) -> PythonRun:
    """The same for an operand of an equation, wherever the others are.

    Args:
        place: where the operand is.
        source: the line of the user's code, if the equation knows none.
    """
    types = [(atom.aval.shape, atom.aval.dtype) for atom in eqn.inputs]
    refuse = _refusing(eqn.primitive.impl, eqn.params, types, number)
    return PythonRun(refuse, {}, (place,), (), eqn.primitive.name, eqn.source or source)


def _refusing(function: Any, params: Any, types: Sequence[Any], number: int) -> Any:
    """A function that calls another one with an operand, and zeros for the rest, for the sake of its error."""

    def refuse(indices: Any) -> list[Any]:
        operands = [np.broadcast_to(np.zeros((), dtype), shape) for shape, dtype in types]
        function(*operands[:number], indices, *operands[number + 1 :], **params)
        return []

    return refuse
