"""What compiled functions take on the GPU of this machine, beside JAX, torch.compile and CuPy: `make gpu-bench`.

python benchmarks/gpu_bench.py                      every row, every contender that is installed
python benchmarks/gpu_bench.py --rows 'softmax|ode' those whose name matches
python benchmarks/gpu_bench.py --torch /venv/bin/python --jax /other/bin/python

Each contender runs all rows in a process of its own, one after the other, with single-precision arrays that are on the
GPU already; results are waited for. A figure is the median of rounds of calls. Where memory bandwidth is the limit, the
table says which part of that of a copy is reached. The first call of a row is timed as well: tracing and compiling,
with no cache on disk, in a process that has compiled something before.
The figures are kept as JSON in benchmarks/results/. Where no GPU can be used, it says what is missing and ends with
status 2.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import re
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(Path(__file__).resolve().parent)]

import numpy as np  # noqa: E402

OURS, JAX, TORCH, CUPY = "functrans", "JAX", "torch.compile", "CuPy"
#: How long the rounds of one row are repeated, in seconds.
PATIENCE = 1.0
ROUNDS = 9
#: Kernels that are under way at most where the time of calls is measured: a GPU's queue holds a thousand.
QUEUE = 500
#: The sizes of the workloads: elements, rows and columns, examples, bodies, steps and lanes, systems.
SIZES = (10**3, 10**4, 10**5, 10**6, 10**7, 64 * 2**20, 10**8)
MATRICES = ((8192, 256), (8192, 1024), (16384, 4096))
BATCHES = (128, 8192)
BODIES = 4096
ODE = (10_000, 100_000)
SYSTEMS = 100_000


class Row(NamedTuple):
    """A workload.

    Attributes:
        make: from a contender to a function of no arguments; None where it has no such thing.
        bytes: what has to be read and written at least, where memory is the limit.
        host_only: for how many kernels a call is to take its time only, and not to be waited for; 0: it is.
    """

    name: str
    make: Callable[[Any], Callable[[], Any] | None]
    bytes: int = 0
    host_only: int = 0


# ---- the contenders: names of NumPy, and transformations


class Ours:
    """functrans."""

    def __init__(self) -> None:
        import functrans as ft

        self.ft, self.xp = ft, np
        self.jit, self.grad, self.vmap, self.block = ft.jit, ft.grad, ft.vmap, ft.block_until_ready

    def array(self, x: Any) -> Any:
        return self.ft.device_put(x, "cuda")

    def repeated(self, count: int, step: Callable[[Any], Any]) -> Callable[[Any], Any]:
        """A compiled function of a state of vectors: as many steps, of each lane for itself."""
        return self.jit(self.vmap(lambda state: self.ft.lax.fori_loop(0, count, lambda _, s: step(s), state)))

    def hvp(self, f: Callable[..., Any], x: Any, v: Any) -> Any:
        return self.ft.hvp(f, x, v)


class Jax:
    """JAX."""

    def __init__(self) -> None:
        import jax

        self.jax, self.xp = jax, jax.numpy
        jax.config.update("jax_default_matmul_precision", "highest")  # as the others: no TF32
        self.jit, self.grad, self.vmap, self.block = jax.jit, jax.grad, jax.vmap, jax.block_until_ready
        assert jax.default_backend() == "gpu", "this JAX has no GPU"

    def array(self, x: Any) -> Any:
        return self.jax.tree.map(self.jax.device_put, x)

    def repeated(self, count: int, step: Callable[[Any], Any]) -> Callable[[Any], Any]:
        return self.jit(self.vmap(lambda state: self.jax.lax.fori_loop(0, count, lambda _, s: step(s), state)))

    def hvp(self, f: Callable[..., Any], x: Any, v: Any) -> Any:
        return self.jax.jvp(self.jax.grad(f), (x,), (v,))[1]


class Torch:
    """torch.compile over torch.func."""

    def __init__(self) -> None:
        import torch

        self.torch = torch
        torch.set_float32_matmul_precision("highest")
        assert torch.cuda.is_available(), "this torch has no GPU"
        self.xp, self.grad, self.vmap = _TorchNames(torch), torch.func.grad, torch.func.vmap

    def jit(self, f: Callable[..., Any]) -> Callable[..., Any]:
        return self.torch.compile(f)

    def array(self, x: Any) -> Any:
        if isinstance(x, (list, tuple)):
            return type(x)(map(self.array, x))
        return self.torch.from_numpy(np.ascontiguousarray(x)).cuda()

    def block(self, x: Any) -> Any:
        self.torch.cuda.synchronize()
        return x

    def repeated(self, count: int, step: Callable[[Any], Any]) -> Callable[[Any], Any]:
        return python_loop(count, self.jit(step))

    def hvp(self, f: Callable[..., Any], x: Any, v: Any) -> Any:
        return self.torch.func.jvp(self.torch.func.grad(f), (x,), (v,))[1]


class Cupy:
    """CuPy, call by call; it has no derivatives."""

    def __init__(self) -> None:
        import cupy

        self.cupy, self.xp, self.grad, self.hvp, self.vmap = cupy, cupy, None, None, None
        cupy.cuda.runtime.getDeviceCount()

    def jit(self, f: Callable[..., Any]) -> Callable[..., Any]:
        return f

    def array(self, x: Any) -> Any:
        return type(x)(map(self.array, x)) if isinstance(x, (list, tuple)) else self.cupy.asarray(x)

    def block(self, x: Any) -> Any:
        self.cupy.cuda.Device().synchronize()
        return x

    def repeated(self, count: int, step: Callable[[Any], Any]) -> Callable[[Any], Any]:
        return python_loop(count, step)


def python_loop(count: int, step: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """As many steps, one after the other, where there is no loop on the GPU."""

    def run(state: Any) -> Any:
        for _ in range(count):
            state = step(state)
        return state

    return run


class _TorchNames:
    """NumPy's names for what the workloads use of torch."""

    def __init__(self, torch: Any):
        self.torch, self.linalg = torch, torch.linalg

    def __getattr__(self, name: str) -> Any:
        return getattr(self.torch, name)

    def sum(self, x: Any, axis: Any = None, keepdims: bool = False) -> Any:
        return self.torch.sum(x) if axis is None else self.torch.sum(x, axis, keepdim=keepdims)

    def mean(self, x: Any, axis: Any = None, keepdims: bool = False) -> Any:
        return self.torch.mean(x) if axis is None else self.torch.mean(x, axis, keepdim=keepdims)

    def max(self, x: Any, axis: Any, keepdims: bool = False) -> Any:
        return self.torch.amax(x, axis, keepdim=keepdims)

    def stack(self, xs: Any, axis: int = 0) -> Any:
        return self.torch.stack(xs, axis)


CONTENDERS: dict[str, Any] = {OURS: Ours, JAX: Jax, TORCH: Torch, CUPY: Cupy}


# ---- the workloads


def random(*shape: int) -> Any:
    """Single-precision numbers, the same for every contender."""
    return np.random.default_rng(len(shape)).standard_normal(shape, np.float32)


def called(c: Any, f: Callable[..., Any], *args: Any) -> Callable[[], Any]:
    """The compiled function on arrays of the GPU."""
    compiled, there = c.jit(f), [c.array(x) for x in args]
    return lambda: compiled(*there)


def derived(c: Any, f: Callable[..., Any], *args: Any) -> Callable[[], Any] | None:
    """The same of the gradient by the first argument."""
    return None if c.grad is None else called(c, c.grad(f), *args)


def summed(c: Any, f: Callable[[Any], Callable[[Any], Any]]) -> Callable[[Any], Any]:
    """A number that depends on each element of a result in a way of its own."""
    inner = f(c.xp)
    return lambda x: c.xp.sum(c.xp.sin(inner(x)))


def chain(xp: Any) -> Callable[[Any], Any]:
    return lambda x: xp.exp(-x * x) * xp.sin(3 * x) + xp.log1p(xp.abs(x)) * xp.tanh(x)


def softmax(xp: Any) -> Callable[[Any], Any]:
    def f(x: Any) -> Any:
        e = xp.exp(x - xp.max(x, axis=-1, keepdims=True))
        return e / xp.sum(e, axis=-1, keepdims=True)

    return f


def layer_norm(xp: Any) -> Callable[[Any], Any]:
    def f(x: Any) -> Any:
        centred = x - xp.mean(x, axis=-1, keepdims=True)
        return centred / xp.sqrt(xp.mean(centred * centred, axis=-1, keepdims=True) + 1e-5)

    return f


def cross_entropy(xp: Any) -> Callable[[Any, Any], Any]:
    def f(x: Any, target: Any) -> Any:
        shifted = x - xp.max(x, axis=-1, keepdims=True)
        total = xp.log(xp.sum(xp.exp(shifted), axis=-1, keepdims=True))
        return -xp.mean(xp.sum((shifted - total) * target, axis=-1))

    return f


def network(xp: Any) -> Callable[..., Any]:
    entropy = cross_entropy(xp)

    def f(params: Any, x: Any, target: Any) -> Any:
        for w, b in params[:-1]:
            x = xp.tanh(x @ w + b)
        w, b = params[-1]
        return entropy(x @ w + b, target)

    return f


def layers() -> list[Any]:
    sizes = (784, 1024, 1024, 10)
    return [(random(m, n) / np.float32(m**0.5), random(n)) for m, n in pairwise(sizes)]


def training_step(c: Any, batch: int) -> Callable[[], Any] | None:
    if c.grad is None:
        return None
    loss = network(c.xp)

    def step(params: Any, x: Any, target: Any) -> Any:
        slopes = c.grad(loss)(params, x, target)
        return [(w - 0.1 * dw, b - 0.1 * db) for (w, b), (dw, db) in zip(params, slopes)]

    return called(c, step, layers(), random(batch, 784), one_hot(batch))


def network_hvp(c: Any, batch: int) -> Callable[[], Any] | None:
    if c.hvp is None:
        return None
    loss = network(c.xp)
    product = lambda params, x, target: c.hvp(lambda p: loss(p, x, target), params, params)  # noqa: E731
    return called(c, product, layers(), random(batch, 784), one_hot(batch))


def one_hot(batch: int, classes: int = 10) -> Any:
    return np.eye(classes, dtype=np.float32)[np.arange(batch) % classes]


def accelerations(xp: Any) -> Callable[[Any], Any]:
    def f(x: Any) -> Any:
        distance = x[None, :, :] - x[:, None, :]
        near = xp.sum(distance * distance, axis=-1) + 1e-3
        return xp.sum(distance / (near * xp.sqrt(near))[:, :, None], axis=1)

    return f


def lorenz(c: Any, steps: int, lanes: int) -> Callable[[], Any]:
    def step(s: Any) -> Any:
        x, y, z = s
        return x + 0.001 * (10 * (y - x)), y + 0.001 * (x * (28 - z) - y), z + 0.001 * (x * y - 8 / 3 * z)

    run, state = c.repeated(steps, step), c.array(tuple(random(3, lanes)))
    return lambda: run(state)


def cholesky_solve(c: Any, n: int, batch: int) -> Callable[[], Any]:
    a = random(batch, n, n)
    a = a @ np.swapaxes(a, -1, -2) + n * np.eye(n, dtype=np.float32)

    def solve(a: Any, b: Any) -> Any:
        lower = c.xp.linalg.cholesky(a)
        y = c.xp.linalg.solve(lower, b)
        return c.xp.linalg.solve(lower.mT, y)

    return called(c, solve, a, random(batch, n, 1))


def kernels(c: Any, count: int) -> Callable[[], Any]:
    """A program of about so many kernels that cannot become fewer: means along one axis and along the other."""

    def f(x: Any) -> Any:
        for i in range(count):
            x = x * 0.5 + c.xp.mean(x, axis=i % 2, keepdims=True)
        return x

    return called(c, f if count > 1 else lambda x: x * 0.5 + 1, random(64, 64))


def rows() -> Iterator[Row]:
    """All workloads; what they work on is made when they are."""
    for n in SIZES:
        yield Row(f"elementwise chain, {n:.3g}", lambda c, n=n: called(c, chain(c.xp), random(n)), 8 * n)
        yield Row(
            f"gradient of elementwise chain, {n:.3g}", lambda c, n=n: derived(c, summed(c, chain), random(n)), 8 * n
        )
    for m, n in MATRICES:
        size = f"{m} x {n}"
        for f in (softmax, layer_norm):
            yield Row(f"{f.__name__}, {size}", lambda c, f=f, m=m, n=n: called(c, f(c.xp), random(m, n)), 8 * m * n)
            yield Row(
                f"gradient of {f.__name__}, {size}",
                lambda c, f=f, m=m, n=n: derived(c, summed(c, f), random(m, n)), 8 * m * n,
            )  # fmt: skip
        for name, way, passes in (("cross-entropy", called, 2), ("gradient of cross-entropy", derived, 3)):
            yield Row(
                f"{name}, {size}",
                lambda c, way=way, m=m, n=n: way(c, cross_entropy(c.xp), random(m, n), one_hot(m, n)),
                4 * passes * m * n,
            )  # fmt: skip
    for batch in BATCHES:
        yield Row(f"training step, batch {batch}", lambda c, b=batch: training_step(c, b))
        yield Row(f"Hessian-vector product, batch {batch}", lambda c, b=batch: network_hvp(c, b))
    yield Row(f"n-body, {BODIES}", lambda c: called(c, accelerations(c.xp), random(BODIES, 3)))
    yield Row(f"vmapped ode, {ODE[0]:.0e} steps, {ODE[1]:.0e} lanes", lambda c: lorenz(c, *ODE))
    for n in (4, 8, 16):
        yield Row(f"Cholesky solve, {SYSTEMS:.0e} of {n} x {n}", lambda c, n=n: cholesky_solve(c, n, SYSTEMS))
    for count in (1, 10, 100):
        yield Row(f"host time of {count} kernels", lambda c, k=count: kernels(c, k), host_only=count)
        yield Row(f"time of {count} kernels", lambda c, k=count: kernels(c, k))


# ---- one contender


def work(name: str, pattern: str) -> None:
    """Run the rows as one contender; a line of JSON for each."""
    try:
        contender = CONTENDERS[name]()
    except Exception as error:
        print(json.dumps({"absent": f"{type(error).__name__}: {error}"}), flush=True)
        return
    contender.block(contender.jit(lambda x: x + 1)(contender.array(random(8))))  # the context, and what is loaded once
    for row in rows():
        if re.search(pattern, row.name):
            print(json.dumps({"row": row.name, **measured(contender, row)}), flush=True)
    if name == OURS:
        print(json.dumps({"row": "copy", "bytes": 2**31, "seconds": copy_seconds(contender)}), flush=True)


def measured(contender: Any, row: Row) -> dict[str, Any]:
    """The times of a row, or why there are none."""
    try:
        function = row.make(contender)
        if function is None:
            return {"error": "not possible"}
        start = time.perf_counter()
        contender.block(function())
        first = time.perf_counter() - start
        return {"first": first, "seconds": median_seconds(contender, function, row.host_only), "bytes": row.bytes}
    except Exception as error:
        return {"error": f"{type(error).__name__}: {str(error)[:300]}"}


def median_seconds(contender: Any, function: Callable[[], Any], host_only: int = 0) -> float:
    """The median time of a call, in rounds of several calls with one wait at the end of each."""
    start = time.perf_counter()
    contender.block(function())
    once = max(time.perf_counter() - start, 1e-6)
    calls = max(1, QUEUE // host_only if host_only else min(1000, int(PATIENCE / ROUNDS / once)))
    samples: list[float] = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        result = None
        for _ in range(calls):
            result = function()
        called_all = time.perf_counter()
        contender.block(result)
        samples.append(((called_all if host_only else time.perf_counter()) - start) / calls)
        if sum(samples) * calls > 10 * PATIENCE:
            break
    return statistics.median(samples)


def copy_seconds(contender: Any) -> float:
    """The time in which a GiB is copied on the GPU: it is read and written."""
    import cupy

    source = cupy.zeros(2**28, cupy.float32)
    target = cupy.empty_like(source)
    return median_seconds(contender, lambda: cupy.copyto(target, source))


# ---- all of them


def ask(name: str, python: str, pattern: str, limit: float) -> dict[str, dict[str, Any]]:
    """What a contender measures, by row."""
    environment = {**os.environ, "FUNCTRANS_CACHE": "0", "TORCHINDUCTOR_FORCE_DISABLE_CACHES": "1",
                   "XLA_PYTHON_CLIENT_PREALLOCATE": "false", "JAX_PLATFORMS": "cuda"}  # fmt: skip
    command = [python, __file__, "--work", name, "--rows", pattern]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    assert process.stdout is not None
    found: dict[str, dict[str, Any]] = {}
    watch = threading.Timer(limit, process.kill)
    watch.start()
    begin = time.monotonic()
    with process.stdout:
        for line in process.stdout:
            answer = answer_in(line)
            if "absent" in answer:
                print(f"{name} is left out: {answer['absent']}")
            elif answer:
                found[answer.pop("row")] = answer
    watch.cancel()
    if process.wait():
        took = time.monotonic() - begin
        print(f"{name} {'has had its' if took >= limit else 'ended after'} {took:.0f} s, {len(found)} rows are there")
    return found


def answer_in(line: str) -> dict[str, Any]:
    """What a contender says in a line; nothing if that is something else, a warning of a library for one."""
    try:
        found = json.loads(line)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def table(results: dict[str, dict[str, dict[str, Any]]]) -> Iterator[str]:
    """The figures as lines: times, in brackets as multiples of ours, and the part of the bandwidth of a copy."""
    from harness import format_seconds

    ours = results.get(OURS, {})
    copy = ours.pop("copy", None)
    bandwidth = copy["bytes"] / copy["seconds"] if copy else 0.0
    if copy:
        yield f"a copy reaches {bandwidth / 1e9:.0f} GB/s"
    yield f"{'':44}" + "".join(f"{name:>24}" for name in results) + "   first call"
    for row in dict.fromkeys(row for found in results.values() for row in found):
        cells = []
        for name, found in results.items():
            seconds = found.get(row, {}).get("seconds")
            own = ours.get(row, {}).get("seconds")
            ratio = f" ({seconds / own:.2f}x)" if seconds and own and name != OURS else ""
            cells.append(f"{(format_seconds(seconds) if seconds else '-') + ratio:>24}")
        mine = ours.get(row, {})
        reached = mine.get("bytes", 0) / mine["seconds"] / bandwidth if mine.get("seconds") and bandwidth else 0.0
        part = f", {100 * reached:.0f} % of a copy's bandwidth" if mine.get("bytes", 0) >= 2**26 else ""
        yield f"{row:44}" + "".join(cells) + f"   {format_seconds(mine.get('first', 0.0))}{part}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", default="", help="a regular expression: rows whose name matches")
    parser.add_argument("--jax", default=sys.executable, help="the Python that has JAX")
    parser.add_argument("--torch", default=sys.executable, help="the Python that has torch")
    parser.add_argument("--limit", type=float, default=150.0, help="seconds for one contender")
    parser.add_argument("--no-record", action="store_true", help="keep nothing in benchmarks/results/")
    parser.add_argument("--work", choices=list(CONTENDERS), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        work(options.work, options.rows)
        return 0
    from gpu_check import device_facts, refuse_without_gpu, slug
    from harness import write_figures

    refuse_without_gpu()
    facts = device_facts()
    pythons = {OURS: sys.executable, JAX: options.jax, TORCH: options.torch, CUPY: sys.executable}
    modules = {OURS: "functrans", JAX: "jax", TORCH: "torch", CUPY: "cupy"}
    results: dict[str, dict[str, dict[str, Any]]] = {}
    for name, python in pythons.items():
        if python == sys.executable and importlib.util.find_spec(modules[name]) is None:
            print(f"{name} is left out: it is not installed")
            continue
        found = ask(name, python, options.rows, options.limit)
        if found:
            results[name] = found
    for line in table({name: dict(found) for name, found in results.items()}):
        print(line)
    if not options.no_record:
        figures = [
            {"contender": name, "row": row, **figure}
            for name, found in results.items() for row, figure in found.items()
        ]
        print(write_figures(f"gpu-bench-{slug(facts['device'])}", figures, **facts))
    return 0


if __name__ == "__main__":
    sys.exit(main())
