"""What a call of a compiled function costs the host, beside CUDA's driver: `python benchmarks/gpu_host.py`.

CuPy has to be installed, and no GPU: its arrays lie in memory of the host here, and the functions of the driver return
at once. So the figures are those of functrans and of CuPy's arrays; allocation by CuPy's pool, the driver's launch and
the current stream are not in them (`make gpu-bench` has rows with all of it). They are processor time, the least of
many rounds.
"""

from __future__ import annotations

import sys
import threading
import time
import timeit
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(Path(__file__).resolve().parent)]

import numpy as np  # noqa: E402
from gpu.workloads import kernels  # noqa: E402

import functrans as ft  # noqa: E402
from functrans.compiler import program  # noqa: E402
from functrans.compiler.backends.cpu.engine import engine  # noqa: E402
from functrans.compiler.backends.cpu.lowlevel.modules import Module  # noqa: E402
from functrans.compiler.backends.cuda.device import Quick  # noqa: E402
from functrans.compiler.backends.cuda.failures import Recent  # noqa: E402
from functrans.compiler.backends.cuda.gpu import Gpu  # noqa: E402
from functrans.core import devices  # noqa: E402

ROUNDS, CALLS = 100, 1000
#: What stands for the functions of the driver.
NOTHING = """
define i32 @nothing() {
  ret i32 0
}
define i32 @context(ptr %place) {
  store i64 1, ptr %place
  ret i32 0
}
"""


class Hollow(Gpu):
    """A GPU whose functions do nothing, with CuPy's arrays, all of them in the same memory of the host."""

    def __init__(self, cupy: Any):
        self.number, self.name, self.architecture, self.processors = 0, "no GPU", "sm_90", 132
        self.recent = Recent()
        self._type, self._is_alone, self._thread = cupy.ndarray, True, threading.local()
        room = np.zeros(1 << 24, np.uint8)
        start = -(-room.ctypes.data // 512) * 512
        memory = cupy.cuda.UnownedMemory(start, room.nbytes - 512, room, 0)
        self.memory = cupy.cuda.MemoryPointer(memory, 0)
        self.nothing, self.context = engine().plain.added(Module(inserted=NOTHING)).values()
        self.default, self.is_quick = object(), True

    def quick(self) -> Quick | None:  # type: ignore[override]
        if not self.is_quick:
            return None
        return Quick(0, self._type, self.empty, lambda number: self.default, None)

    def empty(self, shape: Any, dtype: Any) -> Any:
        return self._type(shape, dtype, self.memory)

    def upload(self, host: Any) -> Any:
        return self.empty(host.shape, host.dtype)

    def host_memory(self, count: int) -> Any:
        return np.zeros(count, np.int64)

    def module(self, functions: Mapping[str, str]) -> Any:
        return self

    def function(self, name: str, shared: int = 0) -> int:
        return self.nothing

    def entry(self, name: str) -> int:
        return self.context if name == "cuCtxGetCurrent" else self.nothing

    def stream(self) -> Any:
        return 0, self.default

    def synchronize(self) -> None:
        pass


class Contender:
    """functrans on such a GPU."""

    def __init__(self, device: Hollow):
        self.xp, self.jit, self.device = np, ft.jit, device

    def array(self, x: Any) -> Any:
        return self.device.upload(np.asarray(x))


def least(function: Callable[[], Any]) -> float:
    """Microseconds of a call."""
    return 1e6 * min(timeit.repeat(function, number=CALLS, repeat=ROUNDS, timer=time.process_time)) / CALLS


def stay(self: devices.On, *_: Any) -> None:
    """No device is made the current one: there is none."""
    self.token = devices.exemplar.set(self.array)


def main() -> int:
    try:
        import cupy
    except ImportError as error:
        print(f"This needs CuPy: {error}", file=sys.stderr)
        return 2
    device = Hollow(cupy)
    devices.On.__enter__ = stay  # type: ignore[method-assign]
    devices.On.__exit__ = lambda self, *_: devices.exemplar.reset(self.token)  # type: ignore[method-assign]
    program.gpu, program.has_driver = lambda number: device, lambda: True  # type: ignore[assignment]
    made = least(lambda: device.empty((64, 64), np.dtype(np.float32)))
    print(f"an array of CuPy's, which is in each of these: {made:.2f} us")
    for count in (1, 10, 100):
        for device.is_quick, way in ((True, ""), (False, " by the way in Python")):
            called = kernels(Contender(device), count)
            called()
            print(f"a program of {count} kernels: {least(called):.2f} us{way}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
