"""A device on the host: the contract of `Device`, kernels compiled by g++ and run by the emulator.

Arrays are NumPy's, each between pages that nobody may touch, and full of NaN to begin with.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import threading
import weakref
from collections.abc import Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np

from functrans.compiler.backends.cuda.failures import Recent
from functrans.compiler.backends.cuda.launches import NAME, PRELUDE, prelude_for
from functrans.primitives.late_scipy import c_function
from tests.helpers.cuda.cubins import FOLDER, check_later
from tests.helpers.guarded import Fence

HERE = Path(__file__).parent
FLAGS = ["-std=c++17", "-fPIC", "-w", "-fwrapv", "-ffp-contract=off", "-fno-strict-aliasing"]
#: Functions of SciPy that stand for those of CUDA.
SPECIAL = {"erfcx": "erfcx", "erfinv": "erfinv", "erfcinv": "erfcinv", "ndtri": "ndtri", "i0": "i0", "i1": "i1"}


def calls(name: str) -> int:
    """How often programs have called a function of CUDA in this process."""
    return runtime().emulated_calls(name.encode())


@contextmanager
def refusing(name: str, code: int) -> Iterator[None]:
    """In this block a function of CUDA returns a code and does nothing."""
    runtime().emulated_refuse(name.encode(), code)
    try:
        yield
    finally:
        runtime().emulated_refuse(name.encode(), 0)


def is_possible() -> bool:
    """Whether this machine can run the emulator."""
    return shutil.which("g++") is not None and os.uname().machine == "x86_64"


def compiled(source: str, *flags: str, preamble: str = "") -> str:
    """The path of a shared library made of a text, which is kept for the next time, and stands on a preamble."""
    path = FOLDER / f"{_key(preamble, source, *flags)}.so"
    if not path.exists():
        include = ["-include", preamble_file(preamble, flags)] if preamble else []
        _make(path, ["-shared", *flags, *include, "-x", "c++", "-"], source)
    return str(path)


def preamble_file(preamble: str, flags: Sequence[str]) -> str:
    """A file with a preamble, and beside it what g++ makes of it, which is done once for all texts."""
    path = FOLDER / f"{_key(preamble, *flags)}.h"
    done = path.with_suffix(".h.gch")
    if not done.exists():
        FOLDER.mkdir(mode=0o700, exist_ok=True)
        unfinished = FOLDER / f"{path.stem}-{os.getpid()}.h"
        unfinished.write_text(preamble)
        os.replace(unfinished, path)
        _make(done, [*flags, "-x", "c++-header", str(path)])
    return str(path)


def _key(*texts: str) -> str:
    return blake2b("\n".join([*FLAGS, *texts]).encode(), digest_size=16).hexdigest()


def _make(path: Path, arguments: Sequence[str], text: str = "") -> None:
    """Have g++ make a file, which is there when it is finished."""
    FOLDER.mkdir(mode=0o700, exist_ok=True)
    unfinished = FOLDER / f"{path.stem}-{os.getpid()}"
    command = ["g++", *FLAGS, *arguments, "-o", str(unfinished)]
    done = subprocess.run(command, input=text, capture_output=True, text=True)
    assert not done.returncode, done.stderr[:5000]
    os.replace(unfinished, path)


@cache
def runtime() -> ctypes.CDLL:
    """The emulator itself."""
    text = (HERE / "emulator.cpp").read_text()
    for name in ("races.h", "accesses.h"):
        text = text.replace(f'#include "{name}"', (HERE / name).read_text())
    library = ctypes.CDLL(compiled(text, "-O2"), mode=ctypes.RTLD_GLOBAL)
    for ours, theirs in SPECIAL.items():
        address = c_function(theirs, "double (double, int __pyx_skip_dispatch)")
        ctypes.c_void_p.in_dll(library, f"emulated_{ours}").value = address
    library.emulated_message.restype = ctypes.c_char_p
    library.emulated_calls.restype = library.emulated_counted_accesses.restype = ctypes.c_long
    library.emulated_watch_accesses.argtypes = [ctypes.c_size_t, ctypes.c_size_t]
    return library


#: How kernels are compiled of which each access is watched: without the sanitizer's own functions.
WATCHED = ("-O0", "-fsanitize=thread", "--param=tsan-distinguish-volatile=1", "-nodefaultlibs")
#: The functions that have been compiled, by their flags and their text.
_known: dict[tuple[str, ...], int] = {}
_kept: list[ctypes.CDLL] = []
_lock = threading.Lock()


def prepare(functions: Sequence[str], *flags: str) -> None:
    """Compile functions of the name NAME, some hundreds at once: for the host, and to see that it can be done, for GPUs."""
    with _lock:
        _prepare([text for text in dict.fromkeys(functions) if (*flags, text) not in _known], flags)


def _prepare(missing: Sequence[str], flags: Sequence[str]) -> None:
    for start in range(0, len(missing), 300):
        batch = missing[start : start + 300]
        check_later(batch)
        names = [f"kernel_{k}" for k in range(len(batch))]
        bodies = [text.replace(NAME, name) + f"\nEMULATED({name})" for text, name in zip(batch, names)]
        runtime()
        library = ctypes.CDLL(compiled("\n".join(bodies), *(flags or ("-O0",)), preamble=preamble(prelude_for(batch))))
        _kept.append(library)
        for text, name in zip(batch, names):
            _known[*flags, text] = ctypes.cast(getattr(library, f"emulated_{name}"), ctypes.c_void_p).value or 0


#: Conversions of half precision, which are the machine's own on a GPU.
HALVES = """
static inline float single(float16 x) { return (float)reinterpret<_Float16>(x.bits); }
static inline float16 half(float x) { return float16{reinterpret<uint16>((_Float16)x)}; }
"""


@cache
def preamble(prelude: str = PRELUDE) -> str:
    """What kernels stand on here: the emulator, the prelude, and what is added to that."""
    return "\n".join([(HERE / "emulator.h").read_text(), prelude, HALVES])


class EmulatedModule:
    def __init__(self, functions: Mapping[str, str], flags: tuple[str, ...] = ()):
        prepare(list(functions.values()), *flags)
        self.functions, self.flags = functions, flags

    def function(self, name: str, shared: int = 0) -> int:
        return _known[*self.flags, self.functions[name]]


class Emulator:
    """A device; the contract is `Device`.

    Args:
        order: of the threads of a block, and of blocks: 0, 1 or 2.
        at_end: whether arrays end where a page does, or begin there.
        is_watched: whether kernels fail in which threads touch the same memory without having waited for each other.

    Attributes:
        current: the number of the current stream.
    """

    name = "emulator"
    architecture = "sm_90"
    processors = 4
    is_emulated = True

    def __init__(self, order: int = 0, at_end: bool = True, is_watched: bool = False):
        self.order = order
        self.is_watched = is_watched
        self.fence = Fence(at_end)
        self.recent = Recent()
        self.current = 0
        runtime()

    def is_current(self) -> bool:
        return True

    def quick(self) -> None:
        return None

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

    def host_memory(self, count: int) -> np.ndarray:
        return np.zeros(count, np.int64)

    def owns_memory(self, array: np.ndarray) -> bool:
        return not isinstance(array.base, np.ndarray)

    def upload(self, host: Any) -> np.ndarray:
        return self.fence.copy(np.asarray(host))

    def download(self, array: np.ndarray) -> np.ndarray:
        return np.array(array)

    def module(self, functions: Mapping[str, str]) -> EmulatedModule:
        return EmulatedModule(functions, WATCHED if self.is_watched else ())

    def entry(self, name: str) -> int:
        return ctypes.cast(getattr(runtime(), f"emulated_{name}"), ctypes.c_void_p).value or 0

    def blas(self) -> int:
        return 1

    def stream(self) -> tuple[int, Hashable]:
        runtime().emulated_order(self.order)
        runtime().emulated_watch(self.is_watched)
        return self.current, self.current

    def synchronize(self) -> None:
        code = runtime().emulated_cuStreamSynchronize(ctypes.c_void_p(self.current))
        assert not code, self.error(code)

    def error(self, code: int, is_of_cublas: bool = False) -> str:
        return f"{'status' if is_of_cublas else 'code'} {code}: {runtime().emulated_message().decode()}"


class LateEmulator(Emulator):
    """A device whose work is done when somebody waits for its stream, and not before.

    Arrays that nobody has any more are full of NaN from the moment on when the stream that was current when they were
    made gets to it: as if somebody had got their memory on this stream.
    """

    def __enter__(self) -> LateEmulator:
        self.mapped: list[Any] = []  # memory stays where it is, even if nobody has the arrays
        self.is_late = True
        runtime().emulated_late(1)
        return self

    def __exit__(self, *exc: object) -> None:
        self.is_late = False
        runtime().emulated_late(0)

    @contextmanager
    def on(self, stream: int) -> Iterator[None]:
        """In this block another stream is the current one."""
        before, self.current = self.current, stream
        try:
            yield
        finally:
            self.current = before

    def empty(self, shape: Sequence[int], dtype: Any) -> np.ndarray:
        array = super().empty(shape, dtype)
        self.mapped.append(array.base)
        arguments = ctypes.c_void_p(array.ctypes.data), ctypes.c_size_t(array.nbytes), ctypes.c_void_p(self.current)
        weakref.finalize(array, self._spoil, *arguments).atexit = False
        return array

    def _spoil(self, *arguments: Any) -> None:
        if self.is_late:
            runtime().emulated_spoil(*arguments)

    def upload(self, host: Any) -> np.ndarray:
        host = np.array(host)
        array = super().empty(host.shape, host.dtype)
        self.mapped += [array, host]
        copy = ctypes.c_void_p(array.ctypes.data), ctypes.c_void_p(host.ctypes.data), ctypes.c_size_t(host.nbytes)
        runtime().emulated_cuMemcpyHtoDAsync_v2(*copy, ctypes.c_void_p(self.current))
        return array

    def download(self, array: np.ndarray) -> np.ndarray:
        self.synchronize()
        return np.array(array)


__all__ = ["NAME", "Emulator", "compiled", "is_possible", "prepare"]
