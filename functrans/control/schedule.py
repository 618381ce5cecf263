"""Which states of a loop to keep, and what to run again, so that its steps can be gone through backwards.

With `s` states kept and none computed more than `r` times, (s + r)! / (s! r!) steps can be reversed; the choice of the
states to keep is the binomial one of Griewank and Walther, "Algorithm 799: Revolve" (2000).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from math import comb
from typing import Any, NamedTuple

from ..core.avals import ShapedArray

#: In place of a number of slots: as many as the logarithm of the number of steps.
LOGARITHMIC = "log"


class Budget(NamedTuple):
    """In place of a number of slots: as many states as this many bytes have room for."""

    bytes: int


def reversed_segments(
    advance: Callable[[Any, int, int], Any], state: Any, length: int, slots: int
) -> Iterator[tuple[int, Any, int]]:
    """All steps in segments, the last one first: where it begins, with which state, and where it ends.

    All states of a segment may be kept until the next one is asked for: with those kept here there are at most `slots`
    of them then, besides the one that its last step begins with.

    Args:
        advance: `(state, begin, end)` runs steps begin, ..., end-1.
    """
    kept = [(0, state, length)]  # a state, the step it begins, and the end of the steps to reverse from it
    while kept:
        begin, state, end = kept.pop()
        free = slots - len(kept)  # this state included
        if end - begin <= free + 1:
            if end > begin:
                yield begin, state, end
        elif free > 1:
            middle = begin + split_point(end - begin, free)
            kept += [(begin, state, middle), (middle, advance(state, begin, middle), end)]
        else:
            middle = end - 1
            yield middle, advance(state, begin, middle), end
            kept.append((begin, state, middle))


def split_point(length: int, slots: int) -> int:
    """How far to run before the next of `slots` states is kept, the first included, so that the least is run again.

    Of the places that are equally good it is the last one, which leaves the longest segments whose states can be kept.
    """
    repeats = 0
    while comb(slots + repeats, slots) < length:
        repeats += 1
    if repeats <= 1:
        return 1
    most = min(comb(slots + repeats - 1, slots), length - comb(slots + repeats - 2, slots - 1))
    return min(max(most, 1), length - 1)


def slots_for(slots: Any, length: int, state: Sequence[ShapedArray]) -> int:
    """How many states of some type to keep in a loop of this length."""
    if slots == LOGARITHMIC:
        return length.bit_length() + 1
    if type(slots) is Budget:
        size = sum(aval.size * aval.dtype.itemsize for aval in state)
        return max(1, slots.bytes // max(1, size))
    return slots
