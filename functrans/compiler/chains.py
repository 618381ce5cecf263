"""Chains: kernels in a row that can be run together, some rows at a time, so that rows stay in the cache.

Softmax, layer norm and their gradients are a few kernels over the same leading axis: reductions of rows, and what is
computed from rows and their reductions. Row i of each needs row i of those before only. Run row block by row block,
they read and write what is in the cache; and threads need to meet once, at the end. So it is with the images of a
convolution: zeros are put around one, its windows side by side, and products are summed up. And so it is with a matrix
and the sums of its columns: these are summed up in parts (compiler/partials.py), each of which reads a group of rows
that has just been computed.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import groupby
from math import prod
from typing import Any, NamedTuple

from .instructions import ChainRun, KernelRun, Place, Slot
from .overlap import accessed

#: Chains over fewer elements are left as they are: everything is in the cache anyway.
FEWEST_ELEMENTS = 1 << 13
#: A chain has so many kernels at most, so that the time to find it stays bounded.
MOST_LINKS = 64

#: Accesses to memory, by slot.
_Touched = dict[int, list[Place | None]]


def chained(
    block: Sequence[Any],
    slots: Sequence[Slot],
    times: dict[int, int],
    may_have_groups: bool,
    results: Collection[int],
) -> list[Any]:
    """The instructions of a block, with kernels that can be run together in chains.

    Temporaries of a chain last as long as all of it.

    Args:
        times: when an instruction runs, by its id.
        may_have_groups: whether the rows of some kernels may be groups of the rows of others.
        results: the slots of what the block computes for others, who may be still to come.
    """
    found: list[Any] = []
    for with_rows, instructions in groupby(block, _has_rows):
        runs = list(instructions)
        if not with_rows or len(runs) < 2 or not any(map(_is_long, runs)):
            found += runs
            continue
        chain = _Chain(may_have_groups)
        for run in runs:
            if not chain.takes(run):
                found += chain.instructions(slots, times, results)
                chain = _Chain(may_have_groups)
            chain.add(run)
        found += chain.instructions(slots, times, results)
    return found


def _has_rows(instruction: Any) -> bool:
    """Whether an instruction is a kernel that can be run for some rows only."""
    if not isinstance(instruction, KernelRun):
        return False
    kernel = instruction.kernel
    has_rows = len(kernel.shape) > kernel.reduced and kernel.shape[0] > 1 and 0 not in kernel.shape
    return has_rows and all(output.place is None for output in kernel.outputs)


def _is_long(run: KernelRun) -> bool:
    """Whether a kernel is over so many elements that they had better stay in the cache."""
    return prod(run.kernel.shape) >= FEWEST_ELEMENTS


class _Chain:
    """Kernels that can be run together, in order.

    Attributes:
        extents: those of their first axes: one, or another one for parts of sums, which is a divisor of it.
        written: the slots that they write to.
        touched: what the first of them, `looked_at`, read and write over all points, by slot; None for what is read at
            computed indices.
        asked: the same for the kernel that was asked for last.
    """

    def __init__(self, may_have_groups: bool) -> None:
        self.may_have_groups = may_have_groups
        self.links: list[KernelRun] = []
        self.extents: set[int] = set()
        self.written: set[int] = set()
        self.touched: _Touched = {}
        self.looked_at = 0
        self.asked: tuple[KernelRun | None, _Touched] = None, {}

    def takes(self, run: KernelRun) -> bool:
        """Whether row i of a kernel has to do with row i only of what the links read and write."""
        if not self.links:
            return True
        if len(self.links) == MOST_LINKS or not self.has_same_rows(run):
            return False
        self.look()
        rows = min(*self.extents, run.kernel.shape[0])
        writes = {target.slot for target in run.targets}
        self.asked = run, _touched(run)
        return all(
            _are_apart([*self.touched[slot], *places], rows)
            for slot, places in self.asked[1].items()
            if slot in self.written or (slot in writes and slot in self.touched)
        )

    def has_same_rows(self, run: KernelRun) -> bool:
        """Whether a kernel has the rows of the links, or reduces groups of rows that they have computed."""
        extent = run.kernel.shape[0]
        if extent in self.extents:
            return True
        if not (self.may_have_groups and run.kernel.reduced and len(self.extents) == 1):
            return False
        return min(self.extents) % extent == 0 and any(source.slot in self.written for source in run.sources)

    def add(self, run: KernelRun) -> None:
        self.links.append(run)
        self.extents.add(run.kernel.shape[0])
        self.written |= {target.slot for target in run.targets}

    def look(self) -> None:
        """Note what the links touch that have come since somebody asked; most kernels are in no chain at all."""
        for run in self.links[self.looked_at :]:
            asked, touched = self.asked
            for slot, places in (touched if asked is run else _touched(run)).items():
                self.touched.setdefault(slot, []).extend(places)
        self.looked_at = len(self.links)

    def instructions(self, slots: Sequence[Slot], times: dict[int, int], results: Collection[int]) -> list[Any]:
        """The kernels as one instruction, if they are several and long enough."""
        links = self.links
        if len(links) < 2 or not any(map(_is_long, links)):
            return [*links]
        first, last = times[id(links[0])], times[id(links[-1])]
        own = tuple(place for place in _own_places(links, slots, first, last) if place.slot not in results)
        found = ChainRun(tuple(links), own)
        for place in (place for link in links for place in (*link.sources, *link.targets)):
            slots[place.slot].use(first, last)
        return [found]


def _touched(run: KernelRun) -> _Touched:
    """What a kernel reads and writes over its space, by slot; None for what it reads at computed indices."""
    kernel, places = run.kernel, dict(zip(run.kernel.operands, run.sources))
    found: _Touched = {place.slot: [] for place in run.sources}
    for load in kernel.loads():
        place, is_computed = places[load.operand], any(i.terms for i in load.index)
        found[place.slot].append(None if is_computed else accessed(load, place, kernel.shape))
    for place in run.targets:
        found.setdefault(place.slot, []).append(place)
    return found


class RowBytes(NamedTuple):
    """The bytes that an access touches in the first row, and how far it is to the next row."""

    low: int
    high: int
    way: int


def row_bytes(place: Place, rows: int) -> RowBytes:
    """Those of what an access touches over a space, of which some neighbours along the first axis are one row."""
    group = place.shape[0] // rows
    inside = [(group, place.strides[0]), *zip(place.shape[1:], place.strides[1:])]
    low = place.offset + sum((n - 1) * s for n, s in inside if s < 0)
    high = place.offset + sum((n - 1) * s for n, s in inside if s > 0) + place.dtype.itemsize
    return RowBytes(low, high, group * place.strides[0])


def _are_apart(places: Sequence[Place | None], rows: int) -> bool:
    """Whether row i of each access to a slot shares memory with row i only of the others."""
    found = [None if place is None else row_bytes(place, rows) for place in places]
    (first, *_) = found
    if first is None or first.way <= 0:
        return False
    return all(row is not None and row.way == first.way and row.low >= 0 and row.high <= row.way for row in found)


def _own_places(links: Sequence[KernelRun], slots: Sequence[Slot], first: int, last: int) -> tuple[Place, ...]:
    """The targets that nobody needs but the chain: rows of these may take the place of earlier ones."""
    targets = [target for link in links for target in link.targets]
    return tuple(
        target
        for target in targets
        if slots[target.slot].kind == "temporary"
        and slots[target.slot].first >= first
        and slots[target.slot].last <= last
    )
