"""The arena: where temporaries are in memory; those never alive together share a place."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from heapq import heappop, heappush

from .places import Slot

#: What addresses in the arena are multiples of, in bytes.
ALIGNMENT = 64


def assign_offsets(slots: Sequence[Slot]) -> int:
    """Put temporaries that are alive together at different places of the arena, first fit in time; its size."""
    gaps: list[tuple[int, int]] = []  # (begin, end), in order
    ending: list[tuple[int, int, int]] = []  # a heap of (last, begin, end)
    total = 0
    for slot in sorted(slots, key=lambda s: s.first):
        while ending and ending[0][0] < slot.first:
            _, begin, end = heappop(ending)
            _give_back(gaps, begin, end)
        size = rounded(slot.size)
        number = next((i for i, (begin, end) in enumerate(gaps) if end - begin >= size), None)
        if number is None:
            slot.offset = total
            total += size
        else:
            begin, end = gaps.pop(number)
            slot.offset = begin
            if begin + size < end:
                gaps.insert(number, (begin + size, end))
        heappush(ending, (slot.last, slot.offset, slot.offset + size))
    return total


def _give_back(gaps: list[tuple[int, int]], begin: int, end: int) -> None:
    """Add a gap, as one with its neighbours."""
    place = bisect_left(gaps, (begin, end))
    if place < len(gaps) and gaps[place][0] == end:
        end = gaps.pop(place)[1]
    if place and gaps[place - 1][1] == begin:
        place -= 1
        begin = gaps.pop(place)[0]
    gaps.insert(place, (begin, end))


def rounded(size: int) -> int:
    """A size in whole units of alignment, at least one."""
    return max(1, -(-size // ALIGNMENT)) * ALIGNMENT
