"""Programs as arrays of numbers, which live as long as these: what the encoders of both backends have in common."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Mapping, Sequence
from functools import cache, cached_property
from typing import Any, Final

import numpy as np

from ...assembly import Assembled
from ...instructions import LoopRun, Step, WhileRun
from .runtime import HEADER, setting
from .tapes import Reel, shared_objects

#: The address of a function, and of its arguments.
Call = tuple[int, int]
#: In place of the address of a tape.
NO_TAPE: Final = 0


class Numbers:
    """Makes arrays of numbers.

    Attributes:
        runtime: the functions that run instructions, by name.
        kept: what the numbers point to.
    """

    def __init__(self, assembled: Assembled, runtime: Mapping[str, int]):
        self.assembled, self.runtime = assembled, runtime
        self.kept: list[Any] = []

    @cached_property
    def shared(self) -> set[int]:
        """The objects that others than tapes may see."""
        return shared_objects(self.assembled)

    def keep(self, numbers: Sequence[int]) -> array[int]:
        kept = array("q", numbers)
        self.kept.append(kept)
        return kept

    def address(self, numbers: Sequence[int]) -> int:
        """The address of an array of these numbers, which lives as long as the program."""
        return self.keep(numbers).buffer_info()[0]

    def call_of_python(self, function: Callable[[Any], None]) -> Call:
        """The instruction that calls a Python function with the frame."""
        self.kept.append(function)
        return self.runtime["run_python"], self.address([id(function)])

    def loop(
        self, run: LoopRun, body: Sequence[int], length: int, where: Sequence[int], work: int, reel: Reel | None
    ) -> list[Call]:
        """What runs a loop.

        Args:
            body: the address of the code of a step, and how many instructions there are.
            length: -1 if it is not known.
            where: the slot with the address of the length, and the offset from there, if it is not known.
            work: that of a step.
        """
        numbers = [*body, length, *where, work, len(run.steps), len(run.swaps), self.tape_numbers(reel)]
        loop = self.runtime["run_loop"], self.address([*numbers, *_steps_of(run, length), *swaps_of(run)])
        return [*self.begun(run.begins), *self.with_tape(reel, loop)]

    def while_loop(
        self, run: WhileRun, blocks: Sequence[int], places: Sequence[int], work: int, reel: Reel | None
    ) -> list[Call]:
        """What runs a loop of which nobody knows when it ends.

        Args:
            blocks: as `body` of a loop, for the test and for the body.
            places: slots and offsets of whether it goes on, and of the number of steps.
            work: that of a step.
        """
        numbers = [*blocks, *places, work, len(run.swaps), self.tape_numbers(reel), *swaps_of(run)]
        loop = self.runtime["run_while"], self.address(numbers)
        return [*self.begun(run.begins), *self.with_tape(reel, loop)]

    def begun(self, begins: Sequence[Step]) -> list[Call]:
        """What sets the slots of a carry: a loop of one step in which nothing is done."""
        return [(self.runtime["run_loop"], self.address(setting(self.address([0]), begins)))] if begins else []

    def with_tape(self, reel: Reel | None, loop: Call) -> list[Call]:
        """A loop, between what begins its stacks and what ends them if it has any."""
        if reel is None:
            return [loop]
        after = [self.call_of_python(reel.end)] if reel.ends else []
        return [self.call_of_python(reel.begin), loop, *after]

    def tape_numbers(self, reel: Reel | None) -> int:
        """The address of what a loop needs to know of its tape."""
        if reel is None:
            return NO_TAPE
        _, turns = self.call_of_python(reel.turn)
        entries = [number for slot, way in reel.ways for number in (slot, 0, 0, way)]
        return self.address([reel.limit, turns, len(entries) // 4, *entries])


def _steps_of(run: LoopRun, length: int) -> list[int]:
    """Where the elements of the steps of a loop are, as numbers.

    Args:
        length: -1 if it is not known.
    """
    numbers: list[int] = []
    for slot, whole in run.steps:
        stride = whole.strides[0]
        first = whole.offset + (max(length - 1, 0) * stride if run.reverse else 0)
        numbers += [HEADER + slot, HEADER + whole.slot, first, -stride if run.reverse else stride]
    return numbers


def swaps_of(run: LoopRun | WhileRun) -> list[int]:
    """The slots that change places after each step, as numbers."""
    return [HEADER + slot for pair in run.swaps for slot in pair]


@cache
def bits_of(number: int, dtype: np.dtype[Any]) -> list[int]:
    """An integer in some dtype, and nothing after it, as two 64-bit integers."""
    room = np.zeros(16 // dtype.itemsize, dtype)
    room[0] = number
    return room.view(np.int64).tolist()
