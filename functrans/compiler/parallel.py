"""Kernels that have nothing to do with each other as one instruction: on a GPU each of them would be a launch.

The pieces of an array that is rolled are such kernels, the updates of all parameters of a network, and the sums of
columns that become the gradients of its biases. Work that is little does not keep a GPU busy by itself, and is done in
less time than a launch takes.

A kernel joins another one, of those before it, if nothing between them depends on it or it on them: then it runs
earlier, or the other one later. What it needs and what it computes has to last longer for that, so it must be little.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import prod
from typing import Any, NamedTuple

from .chains import has_places
from .instructions import ChainRun, KernelRun, ParallelRun, ProductRun, ScanRun
from .overlap import accessed, do_overlap
from .places import Place, Slot

#: All members but the largest have so many points together at most: a few microseconds of work.
LITTLE_WORK = 1 << 20
#: Members at most, and instructions that a kernel looks back to: the time to find them stays bounded.
MOST_MEMBERS, MOST_BETWEEN = 16, 8


def in_parallel(block: Sequence[Any], slots: Sequence[Slot], times: dict[int, int]) -> list[Any]:
    """The instructions of a block, with those that can be run at the same time as one.

    Args:
        times: when an instruction runs, by its id.
    """
    entries: list[_Entry] = []
    for instruction in block:
        entry = _Entry.of(instruction)
        place, rises = _joined(entries, entry)
        if place is None:
            entries.append(entry)
        elif rises:
            entries[place] = entries[place].with_members(entry)
        else:
            entries.append(entries.pop(place).with_members(entry))
    return [_instruction(entry, slots, times) for entry in entries]


class _Entry(NamedTuple):
    """Instructions that are run together.

    Attributes:
        reads, writes: what they touch, by slot; nothing that is known, of what is no kernel and no product.
        work: the points of each.
    """

    instructions: tuple[Any, ...]
    reads: dict[int, list[Place]]
    writes: dict[int, list[Place]]
    work: tuple[int, ...]

    @classmethod
    def of(cls, instruction: Any) -> _Entry:
        found = cls((instruction,), {}, {}, (_points(instruction),))
        for run in _runs_in(instruction):
            for place in _read(run):
                found.reads.setdefault(place.slot, []).append(place)
            for place in run.targets:
                found.writes.setdefault(place.slot, []).append(place)
        return found

    @property
    def is_known(self) -> bool:
        return bool(self.writes)

    @property
    def may_have_others(self) -> bool:
        return self.is_known and not isinstance(self.instructions[0], ProductRun)

    def with_members(self, other: _Entry) -> _Entry:
        both = (
            {slot: [*one.get(slot, ()), *two.get(slot, ())] for slot in {**one, **two}}
            for one, two in ((self.reads, other.reads), (self.writes, other.writes))
        )
        return _Entry((*self.instructions, *other.instructions), *both, (*self.work, *other.work))


def _runs_in(instruction: Any) -> Iterator[KernelRun | ProductRun | ScanRun]:
    if isinstance(instruction, ChainRun):
        for link in instruction.links:
            yield from _runs_in(link)
    elif isinstance(instruction, (KernelRun, ProductRun, ScanRun)):
        yield instruction


def _read(run: KernelRun | ProductRun | ScanRun) -> Iterator[Place]:
    """What is read; where elements of a target are combined with what is there, the targets."""
    if not isinstance(run, KernelRun):
        yield from run.sources
        return
    places = dict(zip(run.kernel.operands, run.sources))
    for load in run.kernel.loads():
        yield accessed(load, places[load.operand], run.kernel.shape)
    if has_places(run.kernel):
        yield from run.targets


def _points(instruction: Any) -> int:
    if isinstance(instruction, KernelRun):
        return prod(instruction.kernel.shape)
    if isinstance(instruction, ChainRun):
        return sum(map(_points, instruction.links))
    return prod(instruction.targets[0].shape) if isinstance(instruction, (ScanRun, ProductRun)) else 0


def _are_apart(one: _Entry, other: _Entry) -> bool:
    """Whether neither writes what the other one reads or writes."""
    return all(
        not do_overlap(x, y)
        for writes, others in ((one.writes, other.reads), (one.writes, other.writes), (other.writes, one.reads))
        for slot in writes.keys() & others.keys()
        for x in writes[slot]
        for y in others[slot]
    )


def _joined(entries: Sequence[_Entry], entry: _Entry) -> tuple[int | None, bool]:
    """The position of what an instruction joins, the last that it can, and whether it rises there: else that sinks."""
    if not entry.may_have_others:
        return None, False
    may_rise = True
    for place in reversed(range(max(0, len(entries) - MOST_BETWEEN), len(entries))):
        other, between = entries[place], entries[place + 1 :]
        if not other.is_known:
            break
        is_apart = _are_apart(entry, other)
        if is_apart and other.may_have_others and _is_little([*other.work, *entry.work]):
            if may_rise and (not between or sum(entry.work) <= LITTLE_WORK):
                return place, True
            if sum(other.work) <= LITTLE_WORK and all(_are_apart(other, x) for x in between):
                return place, False
        may_rise = may_rise and is_apart
    return None, False


def _is_little(work: Sequence[int]) -> bool:
    """Whether members may be run together: few of them, and with little to do but for one."""
    return len(work) <= MOST_MEMBERS and sum(work) - max(work) <= LITTLE_WORK


def _instruction(entry: _Entry, slots: Sequence[Slot], times: dict[int, int]) -> Any:
    """One instruction for all; what they touch is in use from the first one's time to that of the last one."""
    if len(entry.instructions) == 1:
        return entry.instructions[0]
    runs = [run for instruction in entry.instructions for run in _runs_in(instruction)]
    now = [times[id(run)] for run in runs]
    for place in (place for run in runs for place in (*run.sources, *run.targets)):
        slots[place.slot].use(min(now), max(now))
    return ParallelRun(entry.instructions)
