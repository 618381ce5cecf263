"""Arenas that programs share: a program has one while it runs, and the next one that runs takes it over.

Pages that are fresh from the system take longer to write to than those that were used before, so memory is kept, that
of results by the C library; but large arenas not by each program for itself, for there may be many of them. Nor does a
program that has run once keep a smaller one: it may never run again, and what runs first in that memory, the same
function at another shape for one, is spared the fresh pages. What runs a second time takes such an arena for good.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import Any, Final

import numpy as np

Arena = np.ndarray[Any, np.dtype[np.uint8]]

#: From so many bytes on an arena goes from program to program.
LARGE: Final = 1 << 25
#: From so many bytes on the arena of a first run does. Those of smaller ones are memory that Python has used before.
WORTH: Final = 1 << 16
#: How many bytes are kept for the next program.
MOST_KEPT: Final = 1 << 30

#: The size of a block that is freed to the C library for others: the largest that glibc counts, less what it adds.
FREED_FOR_OTHERS: Final = (32 << 20) - (64 << 10)

_lock = threading.Lock()
_kept: list[Arena] = []  # the one that was used last comes last


def take(size: int) -> Arena | None:
    """An arena of at least this size, and not more than twice as large; None if there is none."""
    with _lock:
        fitting = [(arena.nbytes, i) for i, arena in enumerate(_kept) if size <= arena.nbytes <= 2 * size]
        return _kept.pop(min(fitting)[1]) if fitting else None


def roomy(size: int) -> int:
    """A size up to a sixteenth larger, so that what is next may be a little larger too."""
    step = 1 << max(size.bit_length() - 5, 0)
    return -(-size // step) * step


def give_back(arena: Arena) -> None:
    """Keep an arena for whoever needs one next, in the place of those that nobody has taken for longest."""
    with _lock:
        _kept.append(arena)
        while sum(kept.nbytes for kept in _kept) > MOST_KEPT:
            del _kept[0]


def clear_arenas() -> None:
    """Let go of all that are kept."""
    with _lock:
        _kept.clear()


def keep_freed_memory() -> None:
    """Have the C library keep the memory of results for the next ones.

    From what has been freed glibc learns how large the blocks are that come and go. As long as it knows small ones only
    it gives what is free at the end of its memory back to the system: the results of every call were in fresh pages.
    """
    with suppress(MemoryError):
        np.empty(FREED_FOR_OTHERS, np.uint8)
