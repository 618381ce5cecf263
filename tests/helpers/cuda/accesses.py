"""How many pieces of memory the kernels of a program ask for, as the emulator sees it (accesses.h)."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

import functrans as ft
from functrans.compiler.backends.cuda.launches import NAME, prelude_for
from functrans.compiler.backends.cuda.program import CudaProgram
from functrans.compiler.program import fused_for_gpu
from tests.helpers.cuda.device import WATCHED, Emulator, compiled, preamble, runtime
from tests.helpers.tiers import staged

#: Bytes of a piece of memory.
SECTOR = 32


class Sectors(NamedTuple):
    """What the kernels of a program ask for, request by request, and what arguments and results come to."""

    read: int
    written: int
    least_read: int
    least_written: int

    @property
    def ratio(self) -> float:
        """How many times more it is than it need be."""
        return (self.read + self.written) / (self.least_read + self.least_written)


class WatchedModule:
    """Kernels that tell what they read and write."""

    def __init__(self, functions: Mapping[str, str]):
        bodies = [text.replace(NAME, name) + f"\nEMULATED({name})" for name, text in functions.items()]
        own = preamble(prelude_for(functions.values()))
        self.library = ctypes.CDLL(compiled("\n".join(bodies), *WATCHED, preamble=own))

    def function(self, name: str, shared: int = 0) -> int:
        return ctypes.cast(getattr(self.library, f"emulated_{name}"), ctypes.c_void_p).value or 0


class WatchedEmulator(Emulator):
    """A device that notes what is asked for of its arrays.

    Args:
        processors: how many multiprocessors kernels are made for.
    """

    def __init__(self, processors: int):
        super().__init__()
        self.processors = processors
        runtime().emulated_begin_accesses()

    def module(self, functions: Mapping[str, str]) -> WatchedModule:
        return WatchedModule(functions)

    def empty(self, shape: Sequence[int], dtype: Any) -> np.ndarray:
        return self.watched(super().empty(shape, dtype))

    def upload(self, host: Any) -> np.ndarray:
        return self.watched(super().upload(host))

    def watched(self, array: np.ndarray) -> np.ndarray:
        runtime().emulated_watch_accesses(array.ctypes.data, array.nbytes)
        return array


def sectors(function: Callable[..., Any], *args: Any, processors: int = 4) -> Sectors:
    """What is asked for in a call of a function whose arguments are all read, and each element once at least."""
    jaxpr = staged(lambda *args: ft.tree.leaves(function(*args)), args)
    device = WatchedEmulator(processors)
    results = CudaProgram(jaxpr, fused_for_gpu, device)(*map(device.upload, args))
    counted = (runtime().emulated_counted_accesses(k) for k in (0, 1))
    least = (sum(-(-x.nbytes // SECTOR) for x in group) for group in (args, results))
    return Sectors(*counted, *least)
