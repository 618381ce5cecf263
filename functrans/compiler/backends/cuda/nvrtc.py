"""NVRTC: from CUDA C++ to cubins, without a driver and without a GPU, kept on disk."""

from __future__ import annotations

import ctypes
import os
import sys
import threading
from collections.abc import Iterable, Iterator
from functools import cache
from glob import escape, glob
from hashlib import blake2b
from importlib.util import find_spec
from typing import Any

from ....errors import CudaCompilationError, MissingPackageError
from ...disk import disk_cache

#: How texts are compiled. Products and sums are rounded each, as on the CPU: the two agree.
OPTIONS = ("--std=c++17", "--fmad=false", "--diag-suppress=177")
#: To be changed with what this file does with texts, so that no cubin of an earlier version is found.
VERSION = "1"

_lock = threading.Lock()


def cubin(source: str, architecture: str) -> bytes:
    """The machine code of a text.

    Raises:
        CudaCompilationError: it does not compile.
        MissingPackageError: NVRTC is not installed.
    """
    disk = disk_cache()
    key = _key(source, architecture)
    found = None if disk is None else disk.get(key)
    if found is None:
        found = compiled(source, architecture)
        if disk is not None:
            disk.put(key, found)
    return found


def ptx(source: str, architecture: str) -> str:
    """The virtual machine code of a text, to look at."""
    return compiled(source, architecture.replace("sm_", "compute_")).decode().rstrip("\0")


def is_available() -> bool:
    """Whether there is an NVRTC."""
    return _library() is not None


def version() -> tuple[int, int]:
    """That of NVRTC."""
    major, minor = ctypes.c_int(), ctypes.c_int()
    _checked(_nvrtc().nvrtcVersion(ctypes.byref(major), ctypes.byref(minor)))
    return major.value, minor.value


def compiled(source: str, architecture: str, options: tuple[str, ...] = ()) -> bytes:
    """What NVRTC makes of a text: a cubin for a real architecture, PTX for a virtual one."""
    return compiled_with_log(source, architecture, options)[0]


def compiled_with_log(source: str, architecture: str, options: tuple[str, ...]) -> tuple[bytes, str]:
    """The same with what NVRTC says about it."""
    nvrtc, program = _nvrtc(), ctypes.c_void_p()
    with _lock:
        _checked(nvrtc.nvrtcCreateProgram(ctypes.byref(program), source.encode(), b"functrans.cu", 0, None, None))
        try:
            given = [f"--gpu-architecture={architecture}", *OPTIONS, *options]
            arguments = (ctypes.c_char_p * len(given))(*(option.encode() for option in given))
            failed = nvrtc.nvrtcCompileProgram(program, len(given), arguments)
            log = _result("ProgramLog", program).decode(errors="replace").rstrip("\0").strip()
            if failed:
                raise CudaCompilationError("NVRTC could not compile the kernels of a program:", log)
            return _result("CUBIN" if architecture.startswith("sm_") else "PTX", program), log
        finally:
            nvrtc.nvrtcDestroyProgram(ctypes.byref(program))


def _result(kind: str, program: ctypes.c_void_p) -> bytes:
    size = ctypes.c_size_t()
    _checked(getattr(_nvrtc(), f"nvrtcGet{kind}Size")(program, ctypes.byref(size)))
    room = ctypes.create_string_buffer(size.value)
    _checked(getattr(_nvrtc(), f"nvrtcGet{kind}")(program, room))
    return room.raw


def _key(source: str, architecture: str) -> str:
    """All that a cubin depends on, in short."""
    made_by = f"cuda {VERSION} NVRTC {version()} {architecture} {OPTIONS}\n"
    return blake2b((made_by + source).encode(), digest_size=20).hexdigest()


def _checked(code: int) -> None:
    if code:
        _nvrtc().nvrtcGetErrorString.restype = ctypes.c_char_p
        raise CudaCompilationError(f"NVRTC failed: {_nvrtc().nvrtcGetErrorString(code).decode()}.")


def _nvrtc() -> ctypes.CDLL:
    found = _library()
    if found is None:
        raise MissingPackageError(
            "NVRTC, which compiles kernels for GPUs, cannot be found.",
            "It comes with functrans's extras for CUDA; neither a GPU nor a driver is needed to compile.",
            "Install one: pip install functrans[cuda13], or functrans[cuda12] for older drivers.",
        )
    return found


@cache
def _library() -> ctypes.CDLL | None:
    """NVRTC from one of NVIDIA's wheels, or from where the system looks for libraries."""
    return chosen(_loaded(), driver_version())


def chosen(found: Iterable[tuple[int, Any]], newest: int | None) -> Any:
    """Of libraries with the numbers of their versions, the first that is no newer than the driver, if there is one.

    A driver does not load what a later version of CUDA has compiled. Without a driver any will do.
    """
    first = None
    for version, library in found:
        if newest is None or version <= newest:
            return library
        first = first or library
    return first


def _loaded() -> Iterator[tuple[int, ctypes.CDLL]]:
    """Each NVRTC that there is, with its version: 13 for one."""
    for path in _candidates():
        try:
            library = _with_builtins(path)
        except OSError:
            continue
        major = ctypes.c_int()
        if library.nvrtcVersion(ctypes.byref(major), ctypes.byref(ctypes.c_int())) == 0:
            yield major.value, library


def _with_builtins(path: str) -> ctypes.CDLL:
    """NVRTC at a path, after the library beside it that it opens by name: not every version looks beside itself."""
    folder = os.path.dirname(path)
    pattern = "nvrtc-builtins64_*.dll" if sys.platform == "win32" else "libnvrtc-builtins.so.*"
    for builtins in glob(os.path.join(escape(folder), pattern)) if folder else ():
        if ".alt." not in builtins:
            ctypes.CDLL(builtins)
    return ctypes.CDLL(path)


def driver_version() -> int | None:
    """The version of CUDA that the driver of this machine is for: 13 for one. None without a driver."""
    try:
        driver = ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return None
    found = ctypes.c_int()
    return found.value // 1000 if driver.cuDriverGetVersion(ctypes.byref(found)) == 0 and found.value else None


def _candidates() -> Iterator[str]:
    is_windows = sys.platform == "win32"
    pattern = "nvrtc64_*_0.dll" if is_windows else "libnvrtc.so.*"
    wheels = find_spec("nvidia")
    for folder in (wheels.submodule_search_locations or ()) if wheels else ():
        found = glob(os.path.join(folder, "*", "bin" if is_windows else "lib", "**", pattern), recursive=True)
        yield from sorted((path for path in found if "builtins" not in path and ".alt." not in path), reverse=True)
    yield from ("nvrtc64_130_0.dll", "nvrtc64_120_0.dll") if is_windows else (
        "libnvrtc.so.13", "libnvrtc.so.12", "libnvrtc.so"
    )  # fmt: skip
