"""Threads: Numba's OpenMP layer, loaded on its own, without the rest of Numba.

It yields when idle, and may be called from many Python threads at once. A process that was forked from one with such
threads must not use them: it goes on with one.
"""

from __future__ import annotations

import ctypes
import glob
import importlib.machinery
import importlib.util
import os
import threading
from array import array
from typing import Any

#: The address of the layer's parallel_for, 0 if there are no threads to be had. Native code reads it.
POOL = array("q", [0])

_lock = threading.Lock()
_layer: list[Any] = []


def available() -> int:
    """How many processors this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def start() -> None:
    """Have threads, if the layer works here."""
    with _lock:
        if not _layer:
            _layer.append(_load())


def _load() -> Any:
    """The layer, with threads launched; None if it is not to be had."""
    numba = importlib.util.find_spec("numba")
    folders = numba.submodule_search_locations if numba is not None else None
    found = [path for folder in folders or () for path in glob.glob(os.path.join(folder, "np", "ufunc", "omppool*.so"))]
    if not found:
        return None
    try:
        spec = importlib.util.spec_from_loader("omppool", importlib.machinery.ExtensionFileLoader("omppool", found[0]))
        assert spec is not None
        assert spec.loader is not None
        layer = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(layer)
    except ImportError:  # the OpenMP library of the system is missing
        return None
    ctypes.CFUNCTYPE(None, ctypes.c_int)(layer.launch_threads)(available())
    POOL[0] = layer.parallel_for
    return layer


def _forked() -> None:
    """In a child process: its threads are gone."""
    _layer[:] = [None]
    POOL[0] = 0


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)
