"""Threads that share the work of large kernels: a pool of them, asleep in native code until there is something to do.

Numba's OpenMP layer was tried first. Where other programs keep the processors busy, its threads wait for each other at
the end of every kernel: a sum of two million numbers then took 8 ms rather than 0.4 (docs/design has the figures). Here
whoever calls takes part, and needs nobody (runtime.py). If two calls want the threads at once, one goes without.

A process that was forked from one with such threads has none, and makes its own when it needs them. Where the system
has no such semaphores as they sleep on, as macOS has none, there are no threads.
"""

from __future__ import annotations

import ctypes
import os
import threading
from array import array

from ....settings import changes, processors, thread_count
from .engine import engine
from .runtime import POOL_SIZE

_lock = threading.Lock()
_room = array("q", [0] * (POOL_SIZE + 8))
#: The address of the pool: where the first cache line of its room begins.
POOL = -(-_room.buffer_info()[0] // 64) * 64
_workers: list[threading.Thread] = []
_can_be = True


def awake() -> int:
    """How many threads to use, which are there now."""
    count = thread_count()
    if count > 1 and not _workers and _can_be:
        with _lock:
            if not _workers:
                _start()
    return count if _can_be else 1


def _start() -> None:
    """Start the workers: one fewer than there are processors, as the caller works too.

    An interpreter that shuts down starts none; then the caller works alone.
    """
    global _can_be
    function = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p)
    _can_be = function(engine().runtime["start_pool"])(POOL) == 0
    if not _can_be:
        return
    work = function(engine().runtime["work"])
    for number in range(processors() - 1):
        worker = threading.Thread(target=work, args=(POOL,), name=f"functrans-{number}", daemon=True)
        try:
            worker.start()
        except RuntimeError:
            return
        _workers.append(worker)


def _forked() -> None:
    """In a child process: the workers are gone, and nobody is at work; whoever counts on them has to ask again."""
    global _lock
    changes.note({}, {})
    _lock = threading.Lock()
    _workers.clear()
    _room[:] = array("q", [0] * len(_room))


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)
