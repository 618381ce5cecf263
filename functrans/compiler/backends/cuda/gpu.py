"""GPUs, through CuPy."""

from __future__ import annotations

import ctypes
import sys
import threading
from collections.abc import Hashable, Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np

from ....core.devices import cupy, missing_library
from .device import Module, Quick
from .failures import Recent
from .launches import module_text
from .nvrtc import cubin

#: The address of a stream that is another one in each thread.
PER_THREAD = 2
#: The code of CUDA where there is no memory.
NO_MEMORY = 2
#: The number of the attribute of a kernel that says how many bytes of shared memory its launches may ask for.
DYNAMIC_SHARED_SIZE = 8
#: The libraries in which functions are looked for, by what their names begin with: what to load, on Linux and Windows,
#: of the version of CUDA that CuPy was made for.
LIBRARIES = {
    "cublas": (("libcublas.so.{}", "libcublas.so"), ("cublas64_{}.dll",)),
    "cu": (("libcuda.so.1", "libcuda.so"), ("nvcuda.dll",)),
}


@cache
def gpu(number: int = 0) -> Gpu:
    """The GPU with a number."""
    return Gpu(number)


@cache
def library(kind: str) -> ctypes.CDLL:
    """A library of CUDA. cuBLAS is the one that CuPy has its handle from; others may be in this process, too.

    Raises:
        MissingPackageError: there is no cuBLAS.
        OSError: there is no driver.
    """
    names = LIBRARIES[kind][sys.platform == "win32"]
    if kind == "cublas":
        try:
            _ = cupy().cuda.cublas  # which loads it from where it is: in a wheel, for one, where nobody else would look
        except ImportError as error:
            raise missing_library("A product of matrices", error) from None
        names = [name.format(cupy().cuda.runtime.runtimeGetVersion() // 1000) for name in names]
    for name in names:
        try:
            return ctypes.CDLL(name)
        except OSError:
            continue
    raise OSError(f"none of {', '.join(names)} can be loaded")


@cache
def has_driver() -> bool:
    """Whether the driver of NVIDIA is there; without it, arrays of CuPy are stand-ins for such."""
    try:
        return bool(library("cu"))
    except OSError:
        return False


class GpuModule:
    """Kernels that the driver has loaded."""

    def __init__(self, image: bytes):
        self._module = cupy().cuda.function.Module()
        self._module.load(image)
        self._shared: dict[str, int] = {}

    def function(self, name: str, shared: int = 0) -> int:
        address = self._module.get_function(name).ptr
        if shared > self._shared.get(name, 0):  # with what it has itself, it may be more than is given without asking
            self._shared[name] = shared
            cupy().cuda.driver.funcSetAttribute(address, DYNAMIC_SHARED_SIZE, shared)
        return address


class Gpu:
    """A GPU; the contract is `Device`."""

    is_emulated = False

    def __init__(self, number: int):
        self.device = cupy().cuda.Device(number)
        self.number = number
        properties = cupy().cuda.runtime.getDeviceProperties(number)
        self.name = properties["name"].decode()
        self.processors: int = properties["multiProcessorCount"]
        self.architecture = f"sm_{self.device.compute_capability}"
        self.recent = Recent()
        self._is_alone = cupy().cuda.runtime.getDeviceCount() == 1
        self._type = cupy().ndarray
        self._modules: dict[str, GpuModule] = {}
        self._thread = threading.local()
        self._stream_of = cupy().cuda.get_current_stream
        self._device_of = cupy().cuda.runtime.getDevice

    def is_current(self) -> bool:
        return self._is_alone or self._device_of() == self.number

    def quick(self) -> Quick:
        return Quick(self.number, self._type, self._type, self._stream_of, None if self._is_alone else self._device_of)

    # ---- arrays

    def is_array(self, x: Any) -> bool:
        return isinstance(x, self._type) and x.data.device_id == self.number

    def empty(self, shape: Sequence[int], dtype: np.dtype[Any]) -> Any:
        try:
            if self.is_current():
                return self._type(shape, dtype)
            with self.device:
                return self._type(shape, dtype)
        except RuntimeError as error:  # of allocators without a pool
            if getattr(error, "status", None) == NO_MEMORY:
                raise MemoryError(str(error)) from None
            raise

    def view(self, pointer: int, shape: Sequence[int], dtype: np.dtype[Any], strides: Sequence[int], owner: Any) -> Any:
        low = sum((n - 1) * s for n, s in zip(shape, strides) if s < 0)
        high = sum((n - 1) * s for n, s in zip(shape, strides) if s > 0) + dtype.itemsize
        memory = cupy().cuda.UnownedMemory(pointer + low, high - low, owner, self.number)
        return cupy().ndarray(shape, dtype, cupy().cuda.MemoryPointer(memory, -low), strides)

    def pointer(self, array: Any) -> int:
        return array.data.ptr

    def host_memory(self, count: int) -> np.ndarray[Any, np.dtype[np.int64]]:
        memory = cupy().cuda.alloc_pinned_memory(8 * count)
        found = np.frombuffer(memory, np.int64, count)
        found[:] = 0
        return found

    def owns_memory(self, array: Any) -> bool:
        return array.base is None and not isinstance(array.data.mem, cupy().cuda.UnownedMemory)

    def upload(self, host: np.ndarray[Any, Any]) -> Any:
        with self.device:
            return cupy().asarray(host)

    def download(self, array: Any) -> np.ndarray[Any, Any]:
        return cupy().asnumpy(array)

    # ---- kernels

    def module(self, functions: Mapping[str, str]) -> Module:
        source = module_text(functions)
        self._have_context()
        found = self._modules.get(source)
        if found is None:
            with self.device:
                found = self._modules[source] = GpuModule(cubin(source, self.architecture))
        return found

    def entry(self, name: str) -> int:
        kind = next(kind for kind in LIBRARIES if name.startswith(kind))
        address = ctypes.cast(getattr(library(kind), name), ctypes.c_void_p).value
        assert address is not None
        return address

    def blas(self) -> int:
        with self.device:
            handle = cupy().cuda.device.get_cublas_handle()
            cupy().cuda.cublas.setStream(handle, self.stream()[0])
        return handle

    def stream(self) -> tuple[int, Hashable]:
        self._have_context()
        found = self._stream_of(self.number)
        return found.ptr, (found, threading.get_ident()) if found.ptr == PER_THREAD else found

    def _have_context(self) -> None:
        """See to it that this thread has a context, in which the driver's functions work."""
        if not hasattr(self._thread, "has_context"):
            with self.device:
                cupy().cuda.runtime.free(0)
            self._thread.has_context = True

    def synchronize(self) -> None:
        cupy().cuda.get_current_stream(self.number).synchronize()

    def error(self, code: int, is_of_cublas: bool = False) -> str:
        if is_of_cublas:
            functions = library("cublas").cublasGetStatusName, library("cublas").cublasGetStatusString
            for function in functions:
                function.restype = ctypes.c_char_p
            return ": ".join(function(code).decode() for function in functions)
        texts = []
        for function in (library("cu").cuGetErrorName, library("cu").cuGetErrorString):
            text = ctypes.c_char_p()
            known = function(code, ctypes.byref(text)) == 0 and text.value
            texts.append(text.value.decode() if known else f"code {code}")
        return ": ".join(texts)
