"""How programs run on a GPU: streams, graphs, faults, memory, and what compute-sanitizer says of their kernels."""

from __future__ import annotations

import glob
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

import functrans as ft
from functrans import lax
from functrans.core.devices import cupy

from .cases import Case, Scope, Skip, same, up
from .processes import finished

ROOT = Path(__file__).resolve().parents[2]
#: The groups whose kernels compute-sanitizer looks at, and how long it may look at each, in seconds.
SANITIZED, SANITIZED_SECONDS = ("programs", "divisions", "layouts"), 15.0
#: How long a process may take to begin and to end beside that, under compute-sanitizer.
SANITIZER_START = 30.0


def streams(scope: Scope) -> Iterator[Case]:
    """Programs run on CuPy's current stream, and wait for nothing else."""
    f = ft.jit(lambda x: np.tanh(x @ x) * 0.5)
    busy, long = scope.sizes.busy, scope.sizes.long

    def several_streams() -> None:
        x = [np.random.default_rng(i).normal(size=(busy, busy)) / 20 for i in range(4)]
        there = up(x)
        cupy().cuda.Device().synchronize()
        found: list[Any] = []
        both = [cupy().cuda.Stream(non_blocking=True) for _ in x]
        for stream, v in zip(both, there):
            with stream:
                for _ in range(20):
                    v = f(v)
                found.append(v)
        for stream in both:
            stream.synchronize()
        for v, w in zip(found, x):
            for _ in range(20):
                w = np.tanh(w @ w) * 0.5
            same(v, w)

    def asynchronous() -> None:
        x = cupy().ones((long, long)) / long
        ft.block_until_ready(f(f(f(x))))  # all that is to be compiled, and all memory in CuPy's pool
        start = time.perf_counter()
        y = f(f(f(x)))
        called = time.perf_counter() - start
        ft.block_until_ready(y)
        done = time.perf_counter() - start
        assert called < done / 2, f"the call took {called:.2e} s of {done:.2e} s"

    def captured() -> None:
        g = ft.jit(lambda x: np.sin(x) * 2 + 1)
        x = cupy().arange(1000.0)
        cupy().cuda.Device().synchronize()  # x is made on another stream, which this one does not wait for
        stream = cupy().cuda.Stream(non_blocking=True)
        with stream:
            g(x)  # compiled, and its memory in CuPy's pool
            stream.synchronize()
            stream.begin_capture()
            y = g(x)
            graph = stream.end_capture()
            x += 1
            graph.launch(stream)
            stream.synchronize()
        same(y, np.sin(np.arange(1.0, 1001.0)) * 2 + 1)

    def threads() -> None:
        x = [np.random.default_rng(i).normal(size=(busy, busy)) / 20 for i in range(4)]
        there, found = up(x), {}
        cupy().cuda.Device().synchronize()

        def work(k: int) -> None:
            with cupy().cuda.Device(0), cupy().cuda.Stream.ptds:
                for _ in range(20):
                    found[k] = f(found.get(k, there[k]))
                cupy().cuda.Stream.ptds.synchronize()

        workers = [threading.Thread(target=work, args=(k,)) for k in range(len(x))]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        for k, w in enumerate(x):
            for _ in range(20):
                w = np.tanh(w @ w) * 0.5
            same(found[k], w)

    yield "several streams at a time", several_streams
    yield "the default streams of threads", threads
    yield "calls return before the work is done", asynchronous
    yield "a program in a CUDA graph", captured


def graphs(scope: Scope) -> Iterator[Case]:
    """Launches in a row, replayed as graphs: results are those of launches one by one, whatever addresses change."""

    def means(x: Any) -> Any:
        for k in range(12):
            x = x * 0.5 + np.mean(x, axis=k % 2, keepdims=True)
        return x

    def replayed(function: Callable[..., Any], *args: Any) -> None:
        with ft.config.using(cuda_graphs=False):
            wanted = ft.device_get(ft.jit(function)(*up(args)))
        run, kept = ft.jit(function), []
        for _ in range(8):
            there = up(args)
            kept += [there, run(*there)]
        for found in kept[1::2]:
            same(found, wanted)

    x, y = np.random.default_rng(0).normal(size=(2, 64, 65))
    steps = scope.sizes.steps
    yield "kernels in a row", lambda: replayed(means, x)
    yield "two operands", lambda: replayed(lambda x, y: (means(x * y), means(x) + y), x, y)
    yield "in the steps of a loop", lambda: replayed(
        lambda x: lax.fori_loop(0, steps, lambda i, c: np.cos(means(c) * 1e-2), x), x
    )
    yield "in the steps of a while loop", lambda: replayed(
        lambda x: lax.while_loop(lambda c: np.max(c) < 10.0 ** (steps // 10), lambda c: means(np.abs(c)) + 1, x), x
    )
    yield "around products of matrices", lambda: replayed(lambda x, y: means(means(x) @ means(y).T), x, y)


#: A program with a kernel that writes where nothing is.
FAULT = """
import sys
import numpy as np
import functrans as ft

if "synchronous" in sys.argv:
    ft.config.synchronous = True
wrong = ft.elementwise(lambda x: x, cuda="*(volatile int *)8 = 1; return x;", parameters=("x",))


def guilty(x):
    return np.sin(wrong(x))


x = ft.device_put(np.ones(1000), "cuda")
innocent = ft.jit(lambda x: np.cos(x) + 1)
ft.block_until_ready(innocent(x))
try:
    y = ft.jit(guilty)(x)
    ft.block_until_ready((y, innocent(x)))
except ft.errors.DeviceError as error:
    print(error)
"""


def faults(_: Scope) -> Iterator[Case]:
    """A kernel that fails, in a process of its own: the error names it and the line."""

    def run(*options: str) -> None:
        with tempfile.TemporaryDirectory() as folder:
            script = Path(folder) / "fault.py"
            script.write_text(FAULT, encoding="utf-8")
            command = [sys.executable, str(script), *options]
            path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
            environment = {**os.environ, "PYTHONPATH": path}
            found = subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment)
        assert "guilty" in found.stdout, found.stdout + found.stderr
        assert "ILLEGAL_ADDRESS" in found.stdout or "illegal memory access" in found.stdout, found.stdout

    yield "that nobody waits for", run
    yield "that is waited for", lambda: run("synchronous")


def memory(scope: Scope) -> Iterator[Case]:
    """What does not fit is named, and the process goes on; memory is given back."""

    def too_large() -> None:
        _, total = cupy().cuda.runtime.memGetInfo()
        x = cupy().zeros(int((total / 4) ** 0.5))
        try:
            ft.jit(lambda x: np.exp(np.outer(x, x)))(x)
            text = "no error"
        except MemoryError as error:
            text = str(error)
        assert re.search(r"\d{9,} bytes", text), text
        same(ft.jit(lambda x: x + 1)(x[:5]), np.ones(5))

    def given_back() -> None:
        f = ft.jit(lambda x: np.sum(np.sin(x) * np.cos(x[::-1])))
        x = cupy().ones(scope.sizes.large)
        pool = cupy().get_default_memory_pool()
        f(x)
        before = pool.used_bytes()
        for _ in range(50):
            f(x)
        assert pool.used_bytes() <= before + 2**20, f"{pool.used_bytes() - before} bytes more"

    yield "out of memory", too_large
    yield "nothing is kept", given_back


def sanitizers(scope: Scope) -> Iterator[Case]:
    """compute-sanitizer over the kernels of other groups: what they read and write, and who waits for whom."""
    tool = sanitizer()

    def run(kind: str, group: str) -> None:
        if tool is None:
            raise Skip("compute-sanitizer is not installed")
        script, seconds = str(ROOT / "benchmarks" / "gpu_check.py"), SANITIZED_SECONDS
        options = ["--work", group, "--seconds", str(seconds), "--no-pool"]
        command = [tool, "--tool", kind, "--error-exitcode", "9", sys.executable, script, *options]
        limit = min(SANITIZER_START + seconds, scope.left())
        try:
            status, said = finished(command, limit)
        except subprocess.TimeoutExpired:
            raise Skip(f"it was not done after {limit:.0f} s") from None
        assert status == 0, said[-3000:]

    for group in SANITIZED:
        for kind in ("memcheck", "racecheck"):
            yield f"{kind} of {group}", lambda kind=kind, group=group: run(kind, group)


def sanitizer() -> str | None:
    """Where compute-sanitizer is: on the path, in a toolkit of CUDA, or in one of NVIDIA's wheels."""
    wheels = [folder for path in sys.path for folder in glob.glob(f"{path}/nvidia/*/bin")]
    folders = [os.environ.get("PATH", ""), *glob.glob("/usr/local/cuda*/bin"), *wheels]
    return shutil.which("compute-sanitizer", path=os.pathsep.join(folders))
