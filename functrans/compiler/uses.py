"""Who needs what, and until when: uses of values by the steps of a program, seen through views and patchworks."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from math import inf
from typing import Any

from ..core.avals import ShapedArray
from ..core.jaxpr import Eqn, Jaxpr, Var
from ..core.primitive import Primitive
from ..primitives.foundation import View
from . import regions
from .fuse import KernelStep
from .loopnest import Constant, Output
from .places import Place


def region_of(step: Eqn | KernelStep) -> regions.Region | None:
    """The part of its first operand that a step, if it is an update, puts its second operand in."""
    if isinstance(step, KernelStep) or not step.primitive.updates_first:
        return None
    found = step.primitive.part_of_result(1, [atom.aval for atom in step.inputs], **step.params)
    return None if found is None else regions.Region(*found)


def regions_of(eqn: Eqn) -> list[regions.Region | None]:
    """The parts of the result of an equation that its operands become; nothing at all for most primitives."""
    if type(eqn.primitive).part_of_result is Primitive.part_of_result:
        return []
    found = eqn.primitive.parts_of_result([atom.aval for atom in eqn.inputs], **eqn.params)
    return [None if part is None else regions.Region(*part) for part in found]


def is_number(output: Output) -> bool:
    """Whether a kernel fills an array with a number."""
    return output.combine is None and isinstance(output.expression, Constant)


def is_view(eqn: Eqn) -> bool:
    """Whether an equation only looks at an array in another way."""
    return isinstance(eqn.primitive, View) and isinstance(eqn.inputs[0].aval, ShapedArray)


def viewed(eqn: Eqn, place: Place) -> Place | None:
    """What a view of a place is; None if the place must be copied first to have that shape."""
    assert isinstance(eqn.primitive, View)
    return eqn.primitive.view(place, **eqn.params)


def owners(steps: Sequence[Eqn | KernelStep], puzzles: Container[Var]) -> dict[Var, set[Var]]:
    """For each view and each patchwork, the values whose memory it looks at."""
    found: dict[Var, set[Var]] = {}
    for step in steps:
        if isinstance(step, Eqn) and len(step.outputs) == 1 and (is_view(step) or step.outputs[0] in puzzles):
            sources = [atom for atom in step.inputs if isinstance(atom, Var)]
            if sources:
                found[step.outputs[0]] = {owner for atom in sources for owner in found.get(atom, {atom})}
    return found


def last_uses(jaxpr: Jaxpr, steps: Sequence[Eqn | KernelStep], owner: dict[Var, set[Var]]) -> dict[Var, float]:
    """The number of the last step that needs the memory of a variable; infinite for results, -1 if there is none.

    A step needs the memory of all that it computes, read later or not. Views of an array, views of those and the array
    itself are one memory, and a patchwork that of all its pieces.
    """
    found: dict[Var, float] = {}
    for number, step in enumerate(steps):
        for atom in operands(step):
            if type(atom) is Var:
                for own in owner.get(atom, (atom,)):
                    found[own] = number
        for var in step.outputs:
            if var not in owner:
                found[var] = number
    for atom in jaxpr.outputs:
        for own in owner.get(atom, (atom,)) if isinstance(atom, Var) else ():
            found[own] = inf
    last: dict[Var, float] = {}
    for var in (*jaxpr.inputs, *[var for step in steps for var in step.outputs]):
        own = owner.get(var)
        last[var] = found.get(var, -1) if own is None else max([found.get(x, -1) for x in own], default=-1)
    return last


def sources_of_results(jaxpr: Jaxpr, places: Mapping[Var, Any], wanted: Sequence[Place]) -> list[set[Place]]:
    """For each result those of some places of inputs whose values it depends on."""
    if not wanted:
        return []
    bits = {place: 1 << k for k, place in enumerate(wanted)}
    found: dict[Any, int] = {v: bits.get(places[v], 0) for v in jaxpr.inputs}
    for eqn in jaxpr.eqns:
        everything = 0
        for atom in eqn.inputs:
            everything |= found.get(atom, 0)
        found.update(dict.fromkeys(eqn.outputs, everything))
    return [{place for place, bit in bits.items() if found.get(atom, 0) & bit} for atom in jaxpr.outputs]


def readers(steps: Sequence[Eqn | KernelStep]) -> dict[Var, list[int]]:
    """The numbers of the steps that need a value."""
    found: dict[Var, list[int]] = {}
    for number, step in enumerate(steps):
        for atom in operands(step):
            if isinstance(atom, Var):
                found.setdefault(atom, []).append(number)
    return found


def operands(step: Eqn | KernelStep) -> Sequence[Any]:
    """What a step reads."""
    return step.sources if isinstance(step, KernelStep) else step.inputs
