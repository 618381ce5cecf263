"""The state of a loop in memory: where it is before and after a step, where it begins, and where it ends."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..core.avals import ShapedArray
from . import regions
from .instructions import Block, Step
from .places import Place


class Carried:
    """An array of a loop's carry: where it is before and after a step, which are exchanged or one, and at the end.

    One of the two places is the final one, so that nothing is copied in the end if that is known to be the one.

    Attributes:
        before, after: the places as the body knows them, by slots that are set when the loop begins.
        final, other: what these slots stand for, one thing if the body needs no other; first, second: the same in this
            order, or the other way round.
        may_end_elsewhere: whether the last step may leave the carry in the other place.
    """

    def __init__(self, assembler: Any, final: Place):
        self.assembler = assembler
        self.since = assembler.now
        self.before, self.after = (final._replace(slot=assembler.slot("step"), offset=0) for _ in range(2))
        self.final = self.other = self.first = self.second = final
        self.may_end_elsewhere = False
        assembler.slots[self.after.slot].last = 0

    def decide(self, is_swapped: bool, length: int | Place | None) -> None:
        """Choose where the carry begins, once it is known what the body does.

        Args:
            is_swapped: whether the places are exchanged after each step.
            length: the number of steps, if it is known.
        """
        if is_swapped or self.assembler.slots[self.after.slot].last:
            self.other = self.second = self.assembler.contiguous("temporary", ShapedArray(*self.final[2:4]))
            self.assembler.slots[self.other.slot].first = self.since + 1
        slots = self.assembler.slots
        slots[self.before.slot].behind = (slots[self.final.slot], slots[self.other.slot])
        if is_swapped and isinstance(length, int) and length % 2:
            self.first, self.second = self.other, self.final
        self.may_end_elsewhere = is_swapped and not isinstance(length, int)

    @property
    def begins(self) -> list[Step]:
        """What the slots are to be set to."""
        pairs = [(self.before, self.first), (self.after, self.second)]
        return [Step(own.slot, place.alone) for own, place in pairs[: 1 + (self.first != self.second)]]

    @property
    def places(self) -> tuple[Place, ...]:
        """What is in use as long as the loop runs."""
        return self.before, self.after, self.final, self.other


def begun(
    assembler: Any,
    block: Block,
    state: Sequence[Carried],
    carry: Sequence[Place],
    swaps: Sequence[tuple[int, int]],
    length: int | Place | None,
    expected: Sequence[tuple[Place, Place, regions.Region]],
) -> tuple[Step, ...]:
    """Put what a loop begins with where its state is before the first step; what the slots of the state are set to.

    Args:
        carry: where that is now.
        swaps: the slots that are exchanged after each step.
        expected: places of the state before and after a step, and regions: what is around these is to be in both.
    """
    for c, first in zip(state, carry):
        c.decide((c.before.slot, c.after.slot) in swaps, length)
        assembler.copy(block, first, c.first)
    places = {place: own for c in state for place, own in ((c.before, c.first), (c.after, c.second))}
    for source, target, region in expected:
        regions.copy_around(assembler, block, places[source], places[target], region)
    return tuple(step for c in state for step in c.begins)


def ended(assembler: Any, block: Block, state: Sequence[Carried]) -> None:
    """Bring what a loop may have left elsewhere to its final place."""
    for c in state:
        if c.may_end_elsewhere:
            assembler.copy(block, c.before, c.final)
