"""Loops that become one function: their arrays get places, and what raises errors gets ready."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from math import prod
from typing import Any

import numpy as np

from ..core.avals import ShapedArray
from ..core.jaxpr import Literal
from . import tapes
from .apart import LARGEST_MATRIX, PlacedLoop, TooLarge, take_apart
from .instructions import Block, Column, PythonRun, RecurrenceRun, Tape
from .lanes import take_lanes_apart
from .loopnest import Constant, Kernel, Load, Output, axis_index
from .places import Place, contiguous_strides
from .recurrence import Failure, Repeat, Statement, failures_in, statements_in

#: Loops inside loops of more steps are long, to a backend of many slow threads.
FEW_STEPS = 16


def add_recurrence(assembler: Any, block: Block, loop: PlacedLoop, tape: Tape | None) -> str | None:
    """Add a loop as one function, if its body is one over single numbers, or that of one of many lanes is; else say
    why not."""
    if tape is not None and assembler.has_launches:
        return "a step reads or leaves an entry of a stack, and a kernel gets no more memory while it runs"
    if not all(isinstance(place, Place) for place in loop.consts):
        return "a step reads a stack"
    nested, tape = tapes.divided(tape)
    if any(assembler.on_tapes.get(step.stack.number) != 0 for step in nested.read):
        return "a step reads a stack that was not made by a loop as one function"
    xs, ys = (tapes.with_types(group, steps) for group, steps in zip((loop.xs, loop.ys), nested))
    loop = loop._replace(xs=xs, ys=ys)
    if tape is not None and loop.is_reverse:
        xs, ys = (
            [tapes.backwards(tape, place) if isinstance(place, Place) else place for place in group]
            for group in (loop.xs, loop.ys)
        )
        loop = loop._replace(xs=xs, ys=ys)
    has_stacks = tape is not None or any(nested)
    why = "" if has_stacks else add_lanes(assembler, block, loop)
    if why is None:
        return None
    prepare = lambda jaxpr: assembler.fused(jaxpr).jaxpr  # noqa: E731
    known, zero = partial(known_value, assembler), None if assembler.has_launches else partial(is_zero, assembler)
    try:
        found = take_apart(
            loop, prepare, assembler.supports, known, assembler.source, tapes.slots(tape), not assembler.has_launches,
            is_alone=True, is_zero=zero,
        )  # fmt: skip
    except TooLarge as reason:
        return f"{reason}; nor can lanes run on their own, for {why}" if why else str(reason)
    if assembler.has_launches and has_long_loops(found.recurrence.statements):
        return "its steps have loops of their own, whose work is shared"
    for first, final in found.copied:
        assembler.copy(block, first, final)
    arrays = tuple(working_place(assembler, array) for array in found.arrays)
    steps = loop.length, loop.count, loop.is_reverse
    nest = tapes.nest(assembler, found, nested)
    add_run(assembler, block, RecurrenceRun(found.recurrence, arrays, None, (), found.registers, tape, *steps, nest))
    return None


def add_lanes(assembler: Any, block: Block, loop: PlacedLoop) -> str | None:
    """Add a loop over many lanes as one function that runs all steps of one lane, if lanes have nothing to do with
    each other; else say why not, if there are any."""
    found = take_lanes_apart(assembler, loop, partial(known_value, assembler))
    if isinstance(found, str):
        return found
    apart = found.apart
    for first, final in apart.copied:
        assembler.copy(block, first, final)
    arrays = tuple(working_place(assembler, array) for array in apart.arrays)
    steps = loop.length, None, loop.is_reverse
    add_run(assembler, block, RecurrenceRun(apart.recurrence, arrays, None, (), apart.registers, None, *steps))
    for place, final in found.delivered:
        assembler.copy(block, place, final)
    if found.counts is not None:
        most = Output(Load(0, (axis_index(0),), found.counts.dtype), "maximum")
        assembler.kernel(block, Kernel(found.counts.shape, 1, (most,), (0,)), (found.counts,), (loop.count,))
    return None


def add_run(assembler: Any, block: Block, run: RecurrenceRun) -> None:
    """Add a recurrence, with what raises its errors."""
    failures = failures_in(run.recurrence.statements)
    most = max((sum(prod(shape) for shape in f.shapes) for f in failures), default=0)
    refused = assembler.contiguous("temporary", ShapedArray((most,), np.dtype(np.int64))) if failures else None
    otherwise = tuple(refusing(failure, refused) for failure in failures if refused is not None)
    run = run._replace(refused=refused, otherwise=otherwise)
    others = [place for place in (refused, run.length, run.count) if isinstance(place, Place)]
    assembler.step(block, run, [*run.places, *others])


def has_long_loops(statements: Sequence[Statement]) -> bool:
    """Whether there are loops inside loops, of more than a few steps or an unknown number."""
    inner = [s for outer in statements_in(statements) if isinstance(outer, Repeat) for s in statements_in(outer.body)]
    lengths = [s.length for s in inner if isinstance(s, Repeat)]
    return any(not isinstance(n, Constant) or n.number > FEW_STEPS for n in lengths)


def known_value(assembler: Any, place: Place) -> Any:
    """What is at a place, if that is all of a constant."""
    slot = assembler.slots[place.slot]
    is_whole = slot.kind == "constant" and slot.value.shape == place.shape and place.is_contiguous
    return slot.value if is_whole else None


def is_zero(assembler: Any, place: Place) -> bool:
    """Whether what is at a place is made of nothing but 0.0, all bytes of which are zero."""
    slot = assembler.slots[place.slot]
    return slot.kind == "constant" and slot.value.size <= LARGEST_MATRIX and not slot.value.tobytes().strip(b"\0")


def working_place(assembler: Any, array: Any) -> Place:
    """Where an array of a recurrence is: its place, that of a constant, or new room."""
    if isinstance(array, Place):
        return array
    if isinstance(array, Column):
        strides = contiguous_strides(array.aval.shape, array.aval.dtype.itemsize)
        return Place(assembler.slot("step"), 0, array.aval.shape, array.aval.dtype, strides)
    return assembler.constant(array) if isinstance(array, Literal) else assembler.contiguous("temporary", array)


def refusing(failure: Failure, refused: Place) -> PythonRun:
    """The instruction that raises the error for indices which a recurrence has refused."""
    sources, offset = [], refused.offset
    for shape in failure.shapes:
        strides = contiguous_strides(shape, refused.dtype.itemsize)
        sources.append(refused._replace(offset=offset, shape=shape, strides=strides))
        offset += prod(shape) * refused.dtype.itemsize
    return PythonRun(failure.function, {}, tuple(sources), (), failure.name, failure.source)
