"""A device on the host: the contract of `Device`, kernels compiled by g++ and run by the emulator.

Arrays are NumPy's, each between pages that nobody may touch, and full of NaN to begin with.
"""

from __future__ import annotations

import ctypes
import getpass
import os
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Mapping, Sequence
from functools import cache
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np

from functrans.compiler.backends.cuda.launches import NAME, PRELUDE
from functrans.primitives.late_scipy import c_function
from tests.helpers.guarded import Fence

HERE = Path(__file__).parent
FLAGS = ["-std=c++17", "-shared", "-fPIC", "-w", "-fwrapv", "-ffp-contract=off", "-fno-strict-aliasing"]
#: Functions of SciPy that stand for those of CUDA.
SPECIAL = {"erfcx": "erfcx", "erfinv": "erfinv", "erfcinv": "erfcinv", "ndtri": "ndtri", "i0": "i0", "i1": "i1"}


def is_possible() -> bool:
    """Whether this machine can run the emulator."""
    return shutil.which("g++") is not None and os.uname().machine == "x86_64"


def compiled(source: str, *flags: str) -> str:
    """The path of a shared library made of a text, which is kept for the next time."""
    folder = Path(tempfile.gettempdir()) / f"functrans-emulator-{getpass.getuser()}"
    key = blake2b("\n".join([*FLAGS, *flags, source]).encode(), digest_size=16).hexdigest()
    path = folder / f"{key}.so"
    if not path.exists():
        folder.mkdir(mode=0o700, exist_ok=True)
        unfinished = folder / f"{key}-{os.getpid()}"
        command = ["g++", *FLAGS, *flags, "-x", "c++", "-", "-o", str(unfinished)]
        done = subprocess.run(command, input=source, capture_output=True, text=True)
        assert not done.returncode, done.stderr[:5000]
        os.replace(unfinished, path)
    return str(path)


@cache
def runtime() -> ctypes.CDLL:
    """The emulator itself."""
    library = ctypes.CDLL(compiled((HERE / "emulator.cpp").read_text(), "-O2"), mode=ctypes.RTLD_GLOBAL)
    for ours, theirs in SPECIAL.items():
        address = c_function(theirs, "double (double, int __pyx_skip_dispatch)")
        ctypes.c_void_p.in_dll(library, f"emulated_{ours}").value = address
    library.emulated_message.restype = ctypes.c_char_p
    return library


#: The functions that have been compiled, by their text.
_known: dict[str, int] = {}
_kept: list[ctypes.CDLL] = []
_lock = threading.Lock()


def prepare(functions: Sequence[str], *flags: str) -> None:
    """Compile functions of the name NAME, some hundreds at once."""
    with _lock:
        _prepare([text for text in dict.fromkeys(functions) if text not in _known], flags)


def _prepare(missing: Sequence[str], flags: Sequence[str]) -> None:
    for start in range(0, len(missing), 300):
        batch = missing[start : start + 300]
        names = [f"kernel_{k}" for k in range(len(batch))]
        header = (HERE / "emulator.h").read_text()
        bodies = [text.replace(NAME, name) + f"\nEMULATED({name})" for text, name in zip(batch, names)]
        runtime()
        library = ctypes.CDLL(compiled("\n".join([header, PRELUDE, HALVES, *bodies]), *(flags or ("-O0",))))
        _kept.append(library)
        for text, name in zip(batch, names):
            _known[text] = ctypes.cast(getattr(library, f"emulated_{name}"), ctypes.c_void_p).value or 0


#: Conversions of half precision, which are the machine's own on a GPU.
HALVES = """
static inline float single(float16 x) { return (float)reinterpret<_Float16>(x.bits); }
static inline float16 half(float x) { return float16{reinterpret<uint16>((_Float16)x)}; }
"""


class EmulatedModule:
    def __init__(self, functions: Mapping[str, str]):
        prepare(list(functions.values()))
        self.functions = functions

    def function(self, name: str) -> int:
        return _known[self.functions[name]]


class Emulator:
    """A device; the contract is `Device`.

    Args:
        order: of the threads of a block, and of blocks: 0, 1 or 2.
        at_end: whether arrays end where a page does, or begin there.
    """

    name = "emulator"
    architecture = "sm_90"
    processors = 4
    is_emulated = True

    def __init__(self, order: int = 0, at_end: bool = True):
        self.order = order
        self.fence = Fence(at_end)
        runtime()

    def is_array(self, x: Any) -> bool:
        return isinstance(x, np.ndarray)

    def empty(self, shape: Sequence[int], dtype: Any) -> np.ndarray:
        return self.fence.array(tuple(shape), dtype)

    def view(
        self, pointer: int, shape: Sequence[int], dtype: np.dtype[Any], strides: Sequence[int], owner: Any
    ) -> np.ndarray:
        if 0 in shape:
            return np.empty(shape, dtype)
        low = sum((n - 1) * s for n, s in zip(shape, strides) if s < 0)
        high = sum((n - 1) * s for n, s in zip(shape, strides) if s > 0) + dtype.itemsize
        memory = (ctypes.c_char * (high - low)).from_address(pointer + low)
        memory.owner = owner
        return np.ndarray(shape, dtype, memory, -low, strides)

    def pointer(self, array: np.ndarray) -> int:
        return array.ctypes.data

    def upload(self, host: Any) -> np.ndarray:
        return self.fence.copy(np.asarray(host))

    def download(self, array: np.ndarray) -> np.ndarray:
        return np.array(array)

    def module(self, functions: Mapping[str, str]) -> EmulatedModule:
        return EmulatedModule(functions)

    def entry(self, name: str) -> int:
        return ctypes.cast(getattr(runtime(), f"emulated_{name}"), ctypes.c_void_p).value or 0

    def blas(self) -> int:
        return 1

    def stream(self) -> int:
        runtime().emulated_order(self.order)
        return 0

    def synchronize(self) -> None:
        pass

    def error(self, code: int) -> str:
        return f"code {code}: {runtime().emulated_message().decode()}"


__all__ = ["NAME", "Emulator", "compiled", "is_possible", "prepare"]
