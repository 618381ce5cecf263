"""The device that programs have on a GPU (`gpu.py`), with a stand-in for CuPy and the emulator in place of the driver."""

from __future__ import annotations

import ctypes
import re
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from functrans.compiler import program
from functrans.compiler.backends.cuda import gpu
from functrans.compiler.backends.cuda.launches import NAME, prelude_for
from tests.helpers.cuda.cubins import check_later
from tests.helpers.cuda.device import compiled, preamble, runtime
from tests.helpers.stand_in_cupy import Stream, installed


class Module:
    """`cupy.cuda.function.Module`, for the text of kernels in place of a cubin."""

    def load(self, image: bytes) -> None:
        text = image.decode()
        self.names = re.findall(r"^KERNEL\b.*?\b(kernel_\d+)\(", text, re.M)
        runtime()
        check_later(kernels_in(text))
        kernels = text.removeprefix(gpu_prelude())
        source = "\n".join([kernels, *map("EMULATED({})".format, self.names)])
        self.library = ctypes.CDLL(compiled(source, "-O0", preamble=preamble()))

    def get_function(self, name: str) -> Any:
        assert name in self.names
        return SimpleNamespace(ptr=ctypes.cast(getattr(self.library, f"emulated_{name}"), ctypes.c_void_p).value)


def kernels_in(text: str) -> list[str]:
    """The kernels of a module, each with the name NAME."""
    parts = re.findall(r".*?^KERNEL\b.*?^}$", text[len(prelude_for([text])) :], flags=re.M | re.S)
    return [re.sub(r"\bkernel_\d+(?=[_(])", NAME, part).strip() for part in parts]


def gpu_prelude() -> str:
    return gpu.module_text({})


class Driver:
    """The libraries of CUDA."""

    def __getattr__(self, name: str) -> Any:
        return getattr(runtime(), f"emulated_{name}")


@contextmanager
def emulated_driver() -> Iterator[Any]:
    """In this block `gpu(0)` and `gpu(1)` are GPUs."""
    found: dict[int, gpu.Gpu] = {}
    with installed() as cupy, pytest.MonkeyPatch.context() as patch:
        function, cublas = ModuleType("cupy.cuda.function"), ModuleType("cupy.cuda.cublas")
        function.Module = Module  # type: ignore[attr-defined]
        handles: list[tuple[int, int]] = []
        cublas.setStream = lambda handle, stream: handles.append((handle, stream))  # type: ignore[attr-defined]
        cupy.cuda.function, cupy.cuda.cublas = function, cublas
        cupy.attributes = []
        cupy.cuda.driver = SimpleNamespace(funcSetAttribute=lambda *values: cupy.attributes.append(values))
        cupy.cuda.device = SimpleNamespace(get_cublas_handle=lambda: 1)
        patch.setattr(Stream, "synchronize", lambda self: runtime().emulated_cuStreamSynchronize(ctypes.c_void_p(self.ptr)))
        patch.setattr(gpu, "library", lambda kind: Driver())
        patch.setattr(gpu, "cubin", lambda source, architecture: source.encode())
        patch.setattr(program, "has_driver", lambda: True)
        patch.setattr(program, "gpu", lambda number: found.setdefault(number, gpu.Gpu(number)))
        cupy.handles = handles
        yield cupy
