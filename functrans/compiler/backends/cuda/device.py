"""What the CUDA backend asks of a device: memory, modules of kernels, and the functions that a program calls.

There are two implementations: a GPU through CuPy (`gpu.py`), and for tests an emulator that runs the text of kernels on
the host. Pointers, streams, and kernels are numbers, as CUDA's own are addresses.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

if TYPE_CHECKING:
    from .failures import Recent


class Module(Protocol):
    """Compiled kernels. They can be launched as long as it lives."""

    def function(self, name: str, shared: int = 0) -> int:
        """What `cuLaunchKernel` takes for a kernel, with so many bytes of shared memory beside its own at most."""
        ...


class Quick(NamedTuple):
    """What a way into programs that is not written in Python asks; arrays have the attributes of CuPy's.

    Attributes:
        number: of the device.
        array_type: the type of arrays.
        empty: makes an array of a shape and a dtype, on the current device.
        stream_of: tells the current stream of the device of a number: the same object as long as it is current.
        device_of: tells the number of the current device; None if there is one only.
    """

    number: int
    array_type: type
    empty: Callable[..., Any]
    stream_of: Callable[[int], Any]
    device_of: Callable[[], int] | None


class Device(Protocol):
    """A device that runs kernels.

    Calls act on the device's current stream, in order, and may return before the work is done; only `download` and
    `synchronize` wait for it.

    Attributes:
        name: what people call it.
        architecture: what its kernels are compiled for, "sm_90" for one.
        processors: how many multiprocessors it has.
        is_emulated: whether kernels run on the host.
        recent: the programs that it was given last.
    """

    name: str
    architecture: str
    processors: int
    is_emulated: bool
    recent: Recent

    def is_current(self) -> bool:
        """Whether this thread computes on this device, among others of its kind."""
        ...

    def quick(self) -> Quick | None:
        """What is asked of it where Python is too slow; None if Python has to be asked."""
        ...

    # ---- arrays

    def is_array(self, x: Any) -> bool:
        """Whether x is an array in the memory of this device."""
        ...

    def empty(self, shape: Sequence[int], dtype: np.dtype[Any]) -> Any:
        """A new array, of the kind that users get. It keeps its memory until nobody has it any more.

        Raises:
            MemoryError: there is no room for it.
        """
        ...

    def view(self, pointer: int, shape: Sequence[int], dtype: np.dtype[Any], strides: Sequence[int], owner: Any) -> Any:
        """An array of memory that is there already and belongs to an owner; strides in bytes."""
        ...

    def pointer(self, array: Any) -> int:
        """The address of the first element of an array of this device."""
        ...

    def host_memory(self, count: int) -> np.ndarray[Any, np.dtype[np.int64]]:
        """Numbers in memory of the host that the device can copy to while the host does something else: zeros."""
        ...

    def owns_memory(self, array: Any) -> bool:
        """Whether the memory of an array of this device is its own: it is no view, and of no other library."""
        ...

    def upload(self, host: np.ndarray[Any, Any]) -> Any:
        """A copy on the device."""
        ...

    def download(self, array: Any) -> np.ndarray[Any, Any]:
        """A copy on the host, of what the array is when all work before is done."""
        ...

    # ---- kernels

    def module(self, functions: Mapping[str, str]) -> Module:
        """Kernels by their names, each a text in CUDA C++ in which it is called NAME (launches.py), on the prelude.

        Raises:
            CudaCompilationError: it does not compile.
        """
        ...

    def entry(self, name: str) -> int:
        """The address of a C function that programs call, by the name in CUDA's libraries: `cuLaunchKernel`,
        `cuMemcpyDtoHAsync_v2`, `cuMemcpyHtoDAsync_v2`, `cuStreamSynchronize`,
        `cuCtxGetCurrent`, `cuGraphLaunch`, `cublasDgemmStridedBatched` and so on."""
        ...

    def blas(self) -> int:
        """The handle that functions of cuBLAS take, for the current stream."""
        ...

    def stream(self) -> tuple[int, Hashable]:
        """The current stream, and what tells it from others and keeps it: while somebody has this, no other stream has
        its address."""
        ...

    def synchronize(self) -> None:
        """Wait until all work on the current stream is done.

        Raises:
            DeviceError: some of it failed.
        """
        ...

    def error(self, code: int, is_of_cublas: bool = False) -> str:
        """The name and the text that CUDA, or cuBLAS, has for a code which a function returned."""
        ...
