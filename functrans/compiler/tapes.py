"""Stacks as operands and results of loops: in each step an entry, as an array in memory that the loop moves through."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from ..core.avals import ShapedArray, StackAval
from ..core.jaxpr import Jaxpr
from .instructions import Column, Nest, NestedStack, StackStep, Tape
from .places import ObjectPlace, Place, contiguous_strides


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


#: In place of the strides of an argument: a stack of stacks on the tapes of a recurrence.
ON_TAPES = "on tapes"


class Nested(NamedTuple):
    """The stacks of stacks that a loop reads and leaves."""

    read: tuple[StackStep, ...]
    written: tuple[StackStep, ...]


def divided(tape: Tape | None) -> tuple[Nested, Tape | None]:
    """The stacks of stacks among those of a loop, and a tape of the others."""
    if tape is None:
        return Nested((), ()), None
    nested, others = (
        [tuple(s for s in steps if isinstance(s.entry, kind)) for steps in (tape.read, tape.written)]
        for kind in (ObjectPlace, Place)
    )
    return Nested(*nested), tape._replace(read=others[0], written=others[1]) if any(others) else None


def with_types(group: Sequence[Any], steps: Sequence[StackStep]) -> list[Any]:
    """What a loop goes along, with types in place of stacks of stacks."""
    types = {step.entry: step.aval for step in steps}
    return [types.get(place, place) for place in group]


def nest(assembler: Any, apart: Any, nested: Nested) -> Nest | None:
    """The tapes of a loop taken apart; notes which stacks of stacks are on them."""
    count = max((array.tape + 1 for array in apart.arrays if is_growing(array)), default=0)
    if not count and not any(nested):
        return None
    columns = tuple(
        tuple(k for k, array in enumerate(apart.arrays) if is_growing(array) and array.tape == tape)
        for tape in range(count)
    )
    read, written = (
        tuple(NestedStack(step.stack, step.aval, own) for step, own in zip(steps, numbers))
        for steps, numbers in zip(nested, (apart.given, apart.left))
    )
    assembler.on_tapes.update((stack.stack.number, 0) for stack in written)
    return Nest(tuple(assembler.slot("step") for _ in columns), columns, read, written)


def note_read(assembler: Any, tape: Tape | None) -> None:
    """Note which entries that a loop reads are on tapes of recurrences."""
    for step in () if tape is None else tape.read:
        levels = assembler.on_tapes.get(step.stack.number, 0)
        if levels and isinstance(step.entry, ObjectPlace):
            assembler.on_tapes[step.entry.number] = levels - 1


def note_written(assembler: Any, tape: Tape | None) -> None:
    """Note which stacks that a loop leaves hold such that are on tapes of recurrences."""
    for step in () if tape is None else tape.written:
        if isinstance(step.entry, ObjectPlace) and step.entry.number in assembler.on_tapes:
            assembler.on_tapes[step.stack.number] = assembler.on_tapes[step.entry.number] + 1


def is_growing(array: Any) -> bool:
    """Whether an array of a recurrence is on a tape that grows."""
    return isinstance(array, Column) and array.tape is not None


def can_loop(assembler: Any, carry: Sequence[Place | ObjectPlace]) -> bool:
    """Whether there are instructions for a loop with such a state."""
    return all(isinstance(place, Place) for place in carry)
