"""Stacks as operands and results of loops: in each step an entry, as an array in memory that the loop moves through."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..core.avals import ShapedArray, StackAval
from ..core.jaxpr import Jaxpr
from .instructions import ObjectPlace, Place, StackStep, Tape, contiguous_strides


def along(
    assembler: Any, body: Jaxpr, xs: Sequence[Place | ObjectPlace], ys: Sequence[Place | ObjectPlace]
) -> tuple[Tape | None, list[Place | StackStep], list[Place | StackStep]]:
    """What a loop has an element of in each step, stacks with the entry that it is at; and the stacks among it.

    Args:
        xs, ys: arrays and stacks; their elements are the last inputs and results of the body.
    """
    groups = [
        [place if isinstance(place, Place) else _step(assembler, place, aval) for place, aval in zip(places, avals)]
        for places, avals in ((xs, body.in_avals[-len(xs) :]), (ys, body.out_avals[-len(ys) :]))
    ]
    read, written = (tuple(way for way in group if isinstance(way, StackStep)) for group in groups)
    tape = Tape(assembler.slot("step"), assembler.object(), read, written) if read or written else None
    return tape, groups[0], groups[1]


def wholes(group: Sequence[Place | StackStep]) -> list[Place | ObjectPlace]:
    """Arrays with an element for each step: in place of a stack the entry, as the first one of an array."""
    return [_whole(way.entry) if isinstance(way, StackStep) else way for way in group]


def _step(assembler: Any, stack: ObjectPlace, aval: ShapedArray | StackAval) -> StackStep:
    aval = aval.strong()
    if isinstance(aval, StackAval):
        return StackStep(stack, StackAval(aval), assembler.object())
    strides = contiguous_strides(aval.shape, aval.dtype.itemsize)
    return StackStep(stack, StackAval(aval), Place(assembler.slot("step"), 0, aval.shape, aval.dtype, strides))


def _whole(entry: Place | ObjectPlace) -> Place | ObjectPlace:
    return entry.reshaped((1, *entry.shape)) if isinstance(entry, Place) else entry


def slots(tape: Tape | None) -> frozenset[int]:
    """The slots of the arrays that are entries of stacks."""
    steps = () if tape is None else (*tape.read, *tape.written)
    return frozenset(step.entry.slot for step in steps if isinstance(step.entry, Place))


def backwards(tape: Tape, whole: Place) -> Place:
    """An array with an element for each step; the entry of a stack, as the last element of one."""
    if whole.slot not in slots(tape):
        return whole
    first, *others = whole.strides
    return whole._replace(strides=(-first, *others))


def can_loop(assembler: Any, carry: Sequence[Place | ObjectPlace]) -> bool:
    """Whether there are instructions for a loop with such a state."""
    return all(isinstance(place, Place) for place in carry)
