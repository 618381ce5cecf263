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
