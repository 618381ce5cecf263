"""Python's collector of garbage, which had better not look again and again at what compilers make and keep."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def no_collection() -> Iterator[None]:
    """No collections of cyclic garbage in a block: a large compilation would spend a third of its time on them."""
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def keep_what_is_imported() -> None:
    """Count all there is now as old, at no cost.

    Modules are so many objects that the collector is about to go through all of them, which takes tens of milliseconds:
    after the next few thousand objects, which would be those of somebody's first programs. What an application froze
    itself stays frozen.
    """
    if not gc.get_freeze_count():
        gc.freeze()
        gc.unfreeze()
