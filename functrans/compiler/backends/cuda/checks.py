"""Checks of indices: the first index that does not fit is noted, with the number of the check.

That is done by the kernel that computes the indices, if there is one, or else by one that looks at them.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any, NamedTuple

from ...chains import has_places
from ...instructions import ChainRun, CheckRun, KernelRun, LibraryRun, ParallelRun, ProductRun, ScanRun
from ...places import Place
from .launches import NAME, Argument, Launch, Pointer
from .layouts import BLOCK

TEXT = f"""\
KERNEL __launch_bounds__({BLOCK}) {NAME}(
    const int64 *const numbers, const int64 count, const int64 extent, const int64 check, uint64 *const noted) {{
  for (int64 i = (int64)blockIdx.x * {BLOCK} + threadIdx.x; i < count; i += (int64)gridDim.x * {BLOCK})
    note_outside(numbers[i], extent, check, noted);
}}"""
#: Numbers that a thread looks at, if there are so many.
OF_THREAD = 4
#: How many instructions a check looks back for the one that computes its numbers.
MOST_BETWEEN = 8


class Note(NamedTuple):
    """A check that a kernel makes of what it computes.

    Attributes:
        output: the number of the output.
        check: what is noted if a number does not lie in [-extent, extent).
        noted: the slot where.
    """

    output: int
    extent: int
    check: int
    noted: int

    #: What a kernel is told for it.
    parameters = ("const int64 extent", "const int64 check", "uint64 *const noted")

    @property
    def arguments(self) -> tuple[Argument, ...]:
        return self.extent, self.check, Pointer(self.noted, 0)


def call(value: str) -> str:
    """The statement that makes the check of a value."""
    return f"note_outside({value}, extent, check, noted);"


def check_launch(run: CheckRun, number: int, failed: int) -> list[Launch]:
    """The launch that looks at all numbers of a check; none if there are none.

    Args:
        failed: the slot of what is reported.
    """
    count = prod(run.numbers.shape)
    if not count:
        return []
    blocks = min(-(-count // (OF_THREAD * BLOCK)), 1024)
    arguments = (Pointer(run.numbers.slot, run.numbers.offset), count, run.extent, number, Pointer(failed, 0))
    return [Launch(TEXT, (blocks, 1, 1), (BLOCK, 1, 1), 0, arguments, "a check of indices")]


def computed_by(check: CheckRun, before: Sequence[Any]) -> tuple[KernelRun | LibraryRun, int] | None:
    """What computes the numbers of a check and can make it as well, and the number of the output that they are.

    Args:
        before: the instructions before the check. Past another check nobody looks: of two the first one is to fail.
    """
    for instruction in reversed(before[-MOST_BETWEEN:]):
        if not isinstance(instruction, (KernelRun, ChainRun, ScanRun, ProductRun, LibraryRun, ParallelRun)):
            return None
        for run in instruction.members if isinstance(instruction, ParallelRun) else (instruction,):
            written = (*run.places, run.failed) if isinstance(run, LibraryRun) else run.targets
            if any(place.slot == check.numbers.slot for place in written):
                return _output(run, check.numbers)
    return None


def _output(run: Any, numbers: Place) -> tuple[KernelRun | LibraryRun, int] | None:
    if isinstance(run, LibraryRun):
        return (run, 0) if _are_all_of(run.failed, numbers) else None
    if not isinstance(run, KernelRun) or run.kernel.reduced or has_places(run.kernel):
        return None
    return next(((run, k) for k, place in enumerate(run.targets) if _are_all_of(place, numbers)), None)


def _are_all_of(place: Place, numbers: Place) -> bool:
    """Whether a place is that of the numbers, maybe under another shape."""
    is_whole = place.is_contiguous and numbers.is_contiguous and prod(place.shape) == prod(numbers.shape)
    return is_whole and (place.slot, place.offset, place.dtype) == (numbers.slot, numbers.offset, numbers.dtype)
