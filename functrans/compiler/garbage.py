"""Python's collector of garbage, which had better not look again and again at what compilers make and keep."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

#: The new objects after which the collector looks at them while somebody traces; usually these are 700 or 2000.
MANY_OBJECTS = 50_000
#: Python itself freezes fewer objects than this as it starts (3.12: some hundred), whoever freezes its modules more.
FROZEN_BY_PYTHON = 2000
#: So many objects at most that compilers made count as old before the collector has seen them: some hundred megabytes.
MOST_UNSEEN = 1 << 21

_unseen = 0


@contextmanager
def no_collection() -> Iterator[None]:
    """No collections of cyclic garbage in a block: a large compilation would spend a third of its time on them.

    Nor afterwards of what a large one made: all of it is kept, and to find that out takes a seventh of the time.
    """
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        made = gc.get_count()[0]
        if made >= MANY_OBJECTS:
            keep_what_was_made(made)
        gc.enable()


@contextmanager
def fewer_collections() -> Iterator[None]:
    """Fewer collections of cyclic garbage in a block that runs a user's function, who may leave some.

    All that tracing makes is kept: half of the time of a long trace would go into looking for garbage in it.
    """
    usual = gc.get_threshold()
    is_lower = 0 < usual[0] < MANY_OBJECTS
    if is_lower:
        gc.set_threshold(MANY_OBJECTS, *usual[1:])
    try:
        yield
    finally:
        if is_lower and gc.get_threshold()[0] == MANY_OBJECTS:  # nobody else has set it meanwhile
            gc.set_threshold(*usual)


def keep_what_was_made(count: int) -> None:
    """Count so many new objects as old. Once these are very many, look at all there is, for programs that were
    forgotten are among them."""
    global _unseen
    _unseen += count
    if _unseen > MOST_UNSEEN:
        _unseen = 0
        gc.collect()
    else:
        count_as_old()


def keep_what_is_imported() -> None:
    """Count all there is now as old.

    Modules are so many objects that the collector is about to go through all of them, which takes tens of milliseconds:
    after the next few thousand objects, which would be those of somebody's first programs.
    """
    count_as_old()


def count_as_old() -> None:
    """Have the collector look at what there is only when it looks at everything; what an application froze itself stays
    frozen. That takes no time."""
    if gc.get_freeze_count() < FROZEN_BY_PYTHON:
        gc.freeze()
        gc.unfreeze()
