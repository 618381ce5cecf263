"""Staggered chains: kernels in a row that run together, some rows at a time, though rows have to do with neighbours.

A step on a staggered grid computes the electric field from the magnetic one, row i from rows i and i + 1, and then the
magnetic field from that, in place. Kernel after kernel, each array comes from memory for every kernel. So the rows are
divided into strips, in each of which all kernels run over a few rows and then over the next ones, in the cache. Where a
row needs what the strip above or below has still to compute, it waits: such rows, a few for each border between two
strips, come last, when all strips have been done. Threads take strips, and then borders.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby, product
from operator import mul
from typing import Any

from .chains import has_rows, row_bytes, touched_by
from .instructions import ChainRun, KernelRun, Shift
from .places import Place, Slot

#: There are at most so many strips, and at least, of at least so many rows for each that waits at a border.
MOST_STRIPS, FEWEST_STRIPS, ROWS_OF_STRIP = 64, 8, 12
#: Kernels belong together whose numbers of rows differ by so much at most.
DIFFERENCE = 4
#: Arrays that are smaller together stay in the cache anyway; the rows that kernels work at together should, in bytes.
LARGE, CACHE = 256 * 1024, 192 * 1024

_Run = KernelRun | ChainRun


def staggered(block: Sequence[Any], slots: Sequence[Slot], times: dict[int, int]) -> list[Any]:
    """The instructions of a block, with kernels and chains of kernels that can be run together as staggered chains.

    Temporaries of a chain last as long as all of it.

    Args:
        times: when instructions run, by their ids.
    """
    found: list[Any] = []
    for may_be_links, instructions in groupby(block, _may_be_link):
        for runs in _in_groups(instructions) if may_be_links else (instructions,):
            found += _in_chains(runs, slots, times) if may_be_links and _may_be_large(runs) else runs
    return found


def _in_groups(runs: Iterable[_Run]) -> list[list[_Run]]:
    """Instructions, those together of which each touches an array that one before it does: others are in no chain."""
    groups: list[list[_Run]] = []
    known: set[int] = set()
    for run in runs:
        own = {place.slot for place in (*run.sources, *run.targets)}
        if known.isdisjoint(own):
            groups.append([])
            known = set()
        groups[-1].append(run)
        known |= own
    return groups


def _may_be_large(runs: Sequence[_Run]) -> bool:
    """Whether the arrays that some instructions touch may be too large for the cache: no only where it is certain."""
    sizes: dict[int, int] = {}
    for run in runs:
        for place in (*run.sources, *run.targets):
            size = place.dtype.itemsize + sum(map(mul, place.shape, map(abs, place.strides)))
            sizes[place.slot] = max(sizes.get(place.slot, 0), size)
    rows = min(run.rows for run in runs)  # the others have so many more at most
    return len(runs) > 1 and sum(sizes.values()) * (rows + 2 * DIFFERENCE) >= LARGE * rows


def _in_chains(runs: Sequence[_Run], slots: Sequence[Slot], times: dict[int, int]) -> list[Any]:
    """Kernels and chains of kernels, with those that can be run together as staggered chains."""
    found: list[Any] = []
    chain = _Staggered()
    for run in runs:
        if not chain.takes(run):
            found += chain.instructions(slots, times)
            chain = _Staggered()
            if not chain.takes(run):
                found.append(run)
    return found + chain.instructions(slots, times)


def _may_be_link(run: Any) -> bool:
    if isinstance(run, ChainRun):
        return not run.own and all(_may_be_link(link) and link.rows == run.rows for link in run.links)
    return isinstance(run, KernelRun) and has_rows(run, True)


def _links(run: _Run) -> Sequence[KernelRun]:
    return run.links if isinstance(run, ChainRun) else (run,)


def strip_rows(rows: int, shifts: Iterable[Shift]) -> int:
    """How many rows a strip has."""
    waiting = max(shift.above + shift.below for shift in shifts)
    return max(-(-rows // MOST_STRIPS), ROWS_OF_STRIP * waiting)


class _Staggered:
    """Kernels that can be run together, in order.

    Attributes:
        runs: as what they came.
        links, shifts: the kernels, and how their rows wait.
        touched: what each of them reads and writes over all points, by slot.
        touching: for each slot what kernels touch there, how their rows wait, and whether they write to it.
    """

    def __init__(self) -> None:
        self.runs: list[_Run] = []
        self.links: list[KernelRun] = []
        self.shifts: list[Shift] = []
        self.touched: list[dict[int, list[Place | None]]] = []
        self.touching: dict[int, list[tuple[list[Place | None], Shift, bool]]] = {}

    def takes(self, run: _Run) -> bool:
        """Add an instruction, if its kernels may run together with those that are there, and have something of that."""
        count = len(self.links)
        for link in _links(run):
            own = touched_by(link) if self.has_same_rows(link) else None
            shift = None if own is None else self.shift_of(link, own)
            if own is None or shift is None:
                self.drop(count)
                return False
            self.add(link, own, shift)
        self.runs.append(run)
        return True

    def add(self, link: KernelRun, own: dict[int, list[Place | None]], shift: Shift) -> None:
        """Add a kernel that touches something, and whose rows wait."""
        self.links.append(link)
        self.shifts.append(shift)
        self.touched.append(own)
        written = {place.slot for place in link.targets}
        for slot, places in own.items():
            self.touching.setdefault(slot, []).append((places, shift, slot in written))

    def drop(self, count: int) -> None:
        """Leave out all kernels from a number on."""
        for own in self.touched[count:]:
            for slot in own:
                self.touching[slot].pop()
        del self.links[count:], self.shifts[count:], self.touched[count:]

    def has_same_rows(self, link: KernelRun) -> bool:
        """Whether one more kernel has about as many rows as the others."""
        return not self.links or abs(link.rows - self.links[0].rows) <= DIFFERENCE

    def shift_of(self, link: KernelRun, own: dict[int, list[Place | None]]) -> Shift | None:
        """How the rows of one more kernel have to wait; None if it cannot be run together with the others.

        Args:
            own: what it touches.
        """
        above = below = 0
        if self.links and not self.have_rows_in_common(own):
            return None
        written = {place.slot for place in link.targets}
        for slot, places in own.items():
            for theirs, shift, is_written in self.touching.get(slot, ()):
                if not (is_written or slot in written):
                    continue
                for x, y in product(theirs, places):
                    ahead = rows_ahead(x, y)
                    if ahead is None:
                        return None
                    if ahead:
                        above = max(above, shift.above - ahead[0])
                        below = max(below, shift.below + ahead[-1])
        return Shift(above, below)

    def have_rows_in_common(self, own: dict[int, list[Place | None]]) -> bool:
        """Whether what a kernel touches row by row is touched by others too."""
        for slot, places in own.items():
            if self.touching.get(slot):
                for place in places:
                    if place is not None and place.strides[0]:
                        return True
        return False

    def instructions(self, slots: Sequence[Slot], times: dict[int, int]) -> list[Any]:
        """The kernels as one instruction, if that pays; else as they came."""
        if len(self.runs) < 2:
            return [*self.runs]
        rows = max(link.rows for link in self.links)
        if rows // strip_rows(rows, self.shifts) < FEWEST_STRIPS:
            return [*self.runs]
        size = sum(self.sizes_of_rows().values())
        if size * rows < LARGE or size * self.rows_at_work() > CACHE:
            return [*self.runs]
        first, last = times[id(self.links[0])], times[id(self.links[-1])]
        for place in (place for link in self.links for place in (*link.sources, *link.targets)):
            slots[place.slot].use(first, last)
        return [ChainRun(tuple(self.links), (), tuple(self.shifts))]

    def rows_at_work(self) -> int:
        """How many rows are in use where each kernel is at one."""
        return 1 + max(shift.above + shift.below for shift in self.shifts)

    def sizes_of_rows(self) -> dict[int, int]:
        """The bytes of a row in each of the arrays that kernels walk through."""
        found: dict[int, int] = {}
        for own in self.touched:
            for slot, places in own.items():
                for place in places:
                    if place is not None and place.strides[0]:
                        low, high, way = row_bytes(place, place.shape[0])
                        found[slot] = max(found.get(slot, 0), min(high - low, abs(way)))
        return found


def rows_ahead(x: Place | None, y: Place | None) -> range | None:
    """By how many rows one access may be ahead of another one where both touch the same byte; None if nobody knows."""
    if x is None or y is None:
        return None
    own, other = row_bytes(x, x.shape[0]), row_bytes(y, y.shape[0])
    if own.way != other.way or own.way <= 0:
        return None
    return range((other.low - own.high) // own.way + 1, -((own.low - other.high) // own.way))
