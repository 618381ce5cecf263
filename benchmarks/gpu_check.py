"""Whether all works on the GPU of this machine: `make gpu-check`, in less than ten minutes.

python benchmarks/gpu_check.py                     every group
python benchmarks/gpu_check.py --only streams,oom  some of them
python benchmarks/gpu_check.py --seconds 40        how long groups of many cases may take

Each group compares results with NumPy's on the host. What was found is kept as JSON in benchmarks/results/, under the
name of the device. Where no GPU can be used, it says what is missing and ends with status 2.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(Path(__file__).resolve().parent)]

import numpy as np  # noqa: E402
from harness import write_figures  # noqa: E402

import functrans as ft  # noqa: E402
from functrans import lax, nn  # noqa: E402

#: Errors allowed, relative to the largest element, by the bytes of a real number.
TOLERANCE = {2: 1e-2, 4: 2e-4, 8: 1e-9}
SANITIZED = ("programs", "layouts")
#: How long one run of compute-sanitizer may take, and what the groups in it may, in seconds.
SANITIZER_LIMIT, SANITIZED_SECONDS = 90, 25
#: Random programs of each kind, and steps of loops of kernels.
EXAMPLES, STEPS = 60, 50
#: The sides of matrices that keep a GPU busy for a moment, and for long; how many elements are large.
BUSY, LONG, LARGE = 500, 4000, 10**6
#: The time after which groups of many cases, and cases of many examples, end.
clock = {"end": float("inf")}


class Outcome(NamedTuple):
    """What came of one case."""

    group: str
    name: str
    status: str  # "passed", "failed" or "skipped"
    seconds: float
    detail: str = ""


class Skip(Exception):
    """A case cannot be run here; the text says why."""


Case = tuple[str, Callable[[], None]]


def up(tree: Any) -> Any:
    """A copy on the GPU."""
    return ft.device_put(tree, "cuda")


def same(found: Any, wanted: Any) -> None:
    """Raise AssertionError unless results on the GPU are those of the host."""
    for f, w in zip(ft.tree.leaves(ft.device_get(found)), ft.tree.leaves(wanted), strict=True):
        f, w = np.asarray(f), np.asarray(w)
        if w.dtype == ft.float0:
            continue
        assert (f.shape, f.dtype) == (w.shape, w.dtype), f"{f.dtype}{f.shape} in place of {w.dtype}{w.shape}"
        if w.dtype.kind not in "fc":
            np.testing.assert_array_equal(f, w)
            continue
        tolerance = TOLERANCE[w.real.dtype.itemsize]
        finite = w[np.isfinite(w)]
        largest = float(np.max(np.abs(finite), initial=1e-3))
        np.testing.assert_allclose(f, w, rtol=tolerance, atol=tolerance * largest, equal_nan=True)


# ---- programs


def primitives() -> Iterator[Case]:
    """Every primitive of the test suite, eager, compiled, differentiated and batched."""
    from tests import test_gpu_arrays as suite

    for parameter in suite.cases():
        case, way = parameter.values
        yield parameter.id, lambda case=case, way=way: primitive(suite, case, way)


def primitive(suite: Any, case: Any, way: Callable[..., Any]) -> None:
    args = [np.stack([x, x]) for x in case.args] if way is suite.mapped else list(case.args)
    try:
        wanted = way(case, args)
    except Exception as error:
        raise Skip(f"not on the host either: {type(error).__name__}") from None
    try:
        found = ft.block_until_ready(way(case, list(map(suite.up, args))))
    except (ft.errors.DeviceFunctionError, ft.errors.ScalarFunctionError) as error:
        raise Skip(str(error).partition("\n")[0]) from None
    same(found, wanted)


def programs() -> Iterator[Case]:
    """Networks, loops, row chains, updates and derivatives, compiled."""
    random = np.random.default_rng(0)
    x, y = random.normal(size=(64, 33)), random.integers(0, 10, 64)
    params = [random.normal(size=(33, 40)) / 6, random.normal(size=(40, 10)) / 6]

    def loss(params: Any, x: Any, y: Any) -> Any:
        scores = np.tanh(x @ params[0]) @ params[1]
        return -np.mean(np.take_along_axis(nn.log_softmax(scores), y[:, None], axis=1))

    def norm(x: Any) -> Any:
        centred = x - np.mean(x, axis=-1, keepdims=True)
        return centred / np.sqrt(np.mean(centred**2, axis=-1, keepdims=True) + 1e-5)

    def lorenz(s: Any) -> Any:
        def step(_: Any, s: Any) -> Any:
            return s + 0.01 * np.stack([10 * (s[1] - s[0]), s[0] * (28 - s[2]) - s[1], s[0] * s[1] - 8 / 3 * s[2]])

        return lax.fori_loop(0, 100, step, s)

    chain = lambda x: np.sum(np.exp(-x * x) * np.sin(3 * x) + np.log1p(np.abs(x)))  # noqa: E731
    functions: dict[str, tuple[Callable[..., Any], tuple[Any, ...]]] = {
        "value and gradient of a network": (ft.value_and_grad(loss), (params, x, y)),
        "Hessian-vector product of a network": (lambda p, x, y: ft.hvp(lambda q: loss(q, x, y), p, p), (params, x, y)),
        "gradients of single examples": (
            ft.vmap(ft.grad(loss), in_axes=(None, 0, 0)), (params, x[:, None], y[:, None])
        ),
        "softmax": (nn.softmax, (x,)),
        "gradient of softmax": (ft.grad(lambda x: np.sum(nn.softmax(x) ** 2)), (x,)),
        "layer norm": (norm, (x,)),
        "gradient of layer norm": (ft.grad(lambda x: np.sum(np.cos(norm(x)))), (x,)),
        "elementwise chain": (ft.value_and_grad(chain), (random.normal(size=100_003),)),
        "sums of rows and columns": (
            lambda x: (x.sum(0), x.sum(1), x.max(0), x.min()), (random.normal(size=(257, 1025)),)
        ),
        "cumulative sums": (lambda x: np.cumsum(x, axis=1), (x,)),
        "cumulative operations of long rows, and backwards": (
            lambda x: (np.cumsum(x), np.maximum.accumulate(x[::-1]), lax.cumlogsumexp(x, reverse=True)),
            (random.uniform(size=40_000),),
        ),
        "cumulative operations of columns": (
            lambda x: (np.cumsum(x, 0), np.cumprod(1 + x * 1e-4, 0)), (random.uniform(size=(5000, 8)),)
        ),
        "transposes": (
            lambda x, y: (np.sqrt(np.abs(x.T)) + y, np.transpose(y.reshape(33, 8, 8), (2, 1, 0)) * 2.0), (x, x.T.copy())
        ),
        "convolution": (
            ft.value_and_grad(lambda w, x: np.sum(np.sin(lax.conv(x, w, (1, 1), "SAME")))),
            (random.normal(size=(16, 8, 3, 3)) / 9, random.normal(size=(4, 8, 20, 20))),
        ),
        "half precision": (
            lambda x, w: (np.sum(x, 1), np.max(x), nn.softmax(x), x @ w),
            (x.astype(np.float16), random.normal(size=(33, 64)).astype(np.float16)),
        ),
        "indices beyond the array": (
            lambda x, i: tuple(ft.numpy.at(x)[i * 9].get(mode=mode) for mode in ("clip", "wrap", "fill")), (x, y)
        ),
        "sorting": (lambda x: (np.sort(x, axis=1), np.argsort(x, axis=1)), (x,)),
        "vmapped differential equation": (ft.vmap(lorenz), (1 + random.normal(size=(1000, 3)),)),
        "gradient through a loop": (ft.grad(lambda s: np.sum(lorenz(s)[0])), (np.ones(3),)),
        "gradient of a while loop": (
            ft.grad(lambda x: lax.while_loop(lambda c: np.sum(c * c) < 1e4, lambda c: c * 1.1 + np.sin(c), x).sum()),
            (1 + random.normal(size=200) ** 2,),
        ),
        "while loop": (lambda x: lax.while_loop(lambda c: c < 100.0, lambda c: c * 1.5, x), (1.0 + x[0, 0] ** 2,)),
        "scan": (lambda x: lax.scan(lambda c, u: (np.tanh(c + u), c), x[0], x), (x,)),
        "scatter with collisions": (
            lambda x, i: ft.numpy.at(np.zeros_like(x)[:5]).__getitem__(i % 5).add(x), (x[:, 0], y)
        ),
        "random numbers": (lambda k: (ft.random.normal(k, (1000,)), ft.random.bits(k, (77,))), (ft.random.key(7),)),
    }  # fmt: skip
    for name, (function, args) in functions.items():
        for dtype in (np.float64, np.float32):
            cast = ft.tree.map(lambda v, d=dtype: v.astype(d) if np.asarray(v).dtype == np.float64 else v, args)
            yield f"{name}, {np.dtype(dtype).name}", lambda f=function, a=cast: same(ft.jit(f)(*up(a)), f(*a))


def random_programs() -> Iterator[Case]:
    """Programs that Hypothesis draws, against the interpreter on the host."""
    from hypothesis import HealthCheck, Phase, given, settings

    from tests.fuzz import KINDS, cases
    from tests.helpers.tiers import interpreted, staged

    def check(kind: str) -> None:
        @settings(max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck),
                  phases=[Phase.generate, Phase.shrink])  # fmt: skip
        @given(case=cases((kind,)))
        def run(case: Any) -> None:
            if time.perf_counter() > clock["end"]:
                return
            wanted = interpreted(staged(case.function, case.args), case.args)
            same(ft.tree.leaves(ft.jit(case.function)(*up(list(case.args)))), wanted)

        run()

    for kind in KINDS:
        yield kind, lambda kind=kind: check(kind)


def layouts() -> Iterator[Case]:
    """Arrays that are not contiguous, not aligned, reversed, empty, or very large."""
    cupy = import_cupy()
    base = cupy.arange(1, 4097, dtype=np.float64)
    views = {
        "every other element": base[::2], "reversed": base[::-1], "transposed": base.reshape(64, 64).T,
        "broadcast": cupy.broadcast_to(base[:64], (64, 64)), "not aligned to 16 bytes": base[1:1001], "empty": base[:0],
        "one element": base[3:4], "zero axes": base[5],
        "not aligned to 8 bytes": cupy.arange(202, dtype=np.float32)[1:-1],
        "complex, not aligned to 16 bytes": base[1:1001].view(np.complex128),
    }  # fmt: skip
    functions = {
        "chain": lambda x: np.sqrt(x) * 2 + x, "sum": lambda x: np.sum(x * x), "cumulative sum": lambda x: np.cumsum(x)
    }  # fmt: skip
    for view, x in views.items():
        for name, f in functions.items():
            yield f"{name} of: {view}", lambda f=f, x=x: same(ft.jit(f)(x), f(x.get()))

    def between_elements() -> None:
        x = cupy.zeros(808, np.uint8)[2:802].view(np.float32)
        try:
            ft.jit(lambda x: x + 1)(x)
        except ft.errors.UnsupportedArgumentError:
            return
        raise AssertionError("an array that begins between elements was taken")

    yield "not aligned to its elements", between_elements
    yield "more than 2**31 elements", lambda: very_large(cupy)


def very_large(cupy: Any) -> None:
    count = 2**31 + 3
    free, _ = cupy.cuda.runtime.memGetInfo()
    if free < 4 * count:
        raise Skip(f"{free >> 20} MiB are free, {4 * count >> 20} wanted")
    x = cupy.zeros(count, np.int8)
    x[-1] = 5
    y = ft.jit(lambda x: x * np.int8(2) + np.int8(1))(x)
    assert int(y[0]) == 1
    assert int(y[-1]) == 11
    del y
    assert int(ft.jit(lambda x: np.max(x))(x)) == 5
    cupy.get_default_memory_pool().free_all_blocks()


# ---- libraries and neighbours


def libraries() -> Iterator[Case]:
    """cuBLAS, cuSOLVER and cuFFT."""
    random = np.random.default_rng(1)
    for dtype in (np.float32, np.float64, np.complex64, np.complex128):
        a, b = random.normal(size=(2, 6, 17, 17))
        a = (a + 1j * b if np.dtype(dtype).kind == "c" else a).astype(dtype)
        spd = (a @ np.conj(np.swapaxes(a, -1, -2)) + 17 * np.eye(17)).astype(dtype)
        functions = {
            "matmul": lambda a, s: a @ s, "gradient of matmul": lambda a, s: ft.vjp(np.matmul, a, s)[1](a),
            "einsum": lambda a, s: np.einsum("bij,bkj->ik", a, s), "cholesky": lambda a, s: np.linalg.cholesky(s),
            "solve": lambda a, s: np.linalg.solve(s, a),
            "gradient of solve": lambda a, s: ft.vjp(np.linalg.solve, s, a)[1](a),
            "gradient of cholesky": lambda a, s: ft.vjp(np.linalg.cholesky, s)[1](a),
            "inv": lambda a, s: np.linalg.inv(s),
            "eigvalsh": lambda a, s: np.linalg.eigvalsh(s),
            "singular values": lambda a, s: np.linalg.svd(a, compute_uv=False),
            "slogdet": lambda a, s: np.linalg.slogdet(s)[1], "fft": lambda a, s: np.fft.ifft2(np.fft.fft2(a) * 2),
        }  # fmt: skip
        for name, f in functions.items():
            yield f"{name}, {np.dtype(dtype).name}", lambda f=f, a=a, s=spd: same(ft.jit(f)(up(a), up(s)), f(a, s))


def neighbours() -> Iterator[Case]:
    """CuPy's own functions on our results, and arrays of others by DLPack."""
    cupy = import_cupy()

    def cupy_kernels() -> None:
        y = ft.jit(lambda x: np.sin(x))(cupy.arange(5.0))
        assert type(y) is cupy.ndarray
        double = cupy.ElementwiseKernel("float64 x", "float64 y", "y = 2 * x", "twice")
        same(double(y), 2 * np.sin(np.arange(5.0)))
        assert int(y.__cuda_array_interface__["data"][0]) == y.data.ptr

    def torch_tensors() -> None:
        try:
            import torch
        except ImportError:
            raise Skip("torch is not installed") from None
        if not torch.cuda.is_available():
            raise Skip("torch has no CUDA")
        tensor = torch.arange(6.0, dtype=torch.float64, device="cuda")
        y = ft.jit(lambda x: x * 2 + 1)(cupy.from_dlpack(tensor))
        back = torch.from_dlpack(y)
        assert torch.equal(back, tensor * 2 + 1)

    yield "kernels of CuPy", cupy_kernels
    yield "tensors of torch", torch_tensors


def streams() -> Iterator[Case]:
    """Programs run on CuPy's current stream, and wait for nothing else."""
    cupy = import_cupy()
    f = ft.jit(lambda x: np.tanh(x @ x) * 0.5)

    def several_streams() -> None:
        x = [np.random.default_rng(i).normal(size=(BUSY, BUSY)) / 20 for i in range(4)]
        there = up(x)
        cupy.cuda.Device().synchronize()
        found: list[Any] = []
        both = [cupy.cuda.Stream(non_blocking=True) for _ in x]
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
        x = cupy.ones((LONG, LONG)) / LONG
        ft.block_until_ready(f(x))
        start = time.perf_counter()
        y = f(f(f(x)))
        called = time.perf_counter() - start
        ft.block_until_ready(y)
        done = time.perf_counter() - start
        assert called < done / 2, f"the call took {called:.2e} s of {done:.2e} s"

    def captured() -> None:
        g = ft.jit(lambda x: np.sin(x) * 2 + 1)
        x = cupy.arange(1000.0)
        cupy.cuda.Device().synchronize()  # x is made on another stream, which this one does not wait for
        stream = cupy.cuda.Stream(non_blocking=True)
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
        x = [np.random.default_rng(i).normal(size=(BUSY, BUSY)) / 20 for i in range(4)]
        there, found = up(x), {}
        cupy.cuda.Device().synchronize()

        def work(k: int) -> None:
            with cupy.cuda.Device(0), cupy.cuda.Stream.ptds:
                for _ in range(20):
                    found[k] = f(found.get(k, there[k]))
                cupy.cuda.Stream.ptds.synchronize()

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


def graphs() -> Iterator[Case]:
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
    yield "kernels in a row", lambda: replayed(means, x)
    yield "two operands", lambda: replayed(lambda x, y: (means(x * y), means(x) + y), x, y)
    yield "in the steps of a loop", lambda: replayed(
        lambda x: lax.fori_loop(0, STEPS, lambda i, c: np.cos(means(c) * 1e-2), x), x
    )
    yield "in the steps of a while loop", lambda: replayed(
        lambda x: lax.while_loop(lambda c: np.max(c) < 10.0 ** (STEPS // 10), lambda c: means(np.abs(c)) + 1, x), x
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


def faults() -> Iterator[Case]:
    """A kernel that fails, in a process of its own: the error names it and the line."""

    def run(*options: str) -> None:
        with tempfile.TemporaryDirectory() as folder:
            script = Path(folder) / "fault.py"
            script.write_text(FAULT, encoding="utf-8")
            command = [sys.executable, str(script), *options]
            environment = {**os.environ, "PYTHONPATH": str(ROOT)}
            found = subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment)
        assert "guilty" in found.stdout, found.stdout + found.stderr
        assert "ILLEGAL_ADDRESS" in found.stdout or "illegal memory access" in found.stdout, found.stdout

    yield "that nobody waits for", run
    yield "that is waited for", lambda: run("synchronous")


def memory() -> Iterator[Case]:
    """What does not fit is named, and the process goes on; memory is given back."""
    cupy = import_cupy()

    def too_large() -> None:
        _, total = cupy.cuda.runtime.memGetInfo()
        x = cupy.zeros(int((total / 4) ** 0.5))
        try:
            ft.jit(lambda x: np.exp(np.outer(x, x)))(x)
            text = "no error"
        except MemoryError as error:
            text = str(error)
        assert re.search(r"\d{9,} bytes", text), text
        same(ft.jit(lambda x: x + 1)(x[:5]), np.ones(5))

    def given_back() -> None:
        f = ft.jit(lambda x: np.sum(np.sin(x) * np.cos(x[::-1])))
        x = cupy.ones(LARGE)
        pool = cupy.get_default_memory_pool()
        f(x)
        before = pool.used_bytes()
        for _ in range(50):
            f(x)
        assert pool.used_bytes() <= before + 2**20, f"{pool.used_bytes() - before} bytes more"

    yield "out of memory", too_large
    yield "nothing is kept", given_back


def sanitizers() -> Iterator[Case]:
    """compute-sanitizer over the kernels of the other groups."""
    tool = shutil.which("compute-sanitizer") or shutil.which("compute-sanitizer", path="/usr/local/cuda/bin")

    def run(kind: str) -> None:
        if tool is None:
            raise Skip("compute-sanitizer is not installed")
        options = ["--only", ",".join(SANITIZED), "--seconds", str(SANITIZED_SECONDS), "--no-record", "--no-pool"]
        command = [tool, "--tool", kind, "--error-exitcode", "9", sys.executable, __file__, *options]
        found = subprocess.run(command, capture_output=True, text=True, timeout=SANITIZER_LIMIT)
        assert found.returncode == 0, (found.stdout + found.stderr)[-3000:]

    for kind in ("memcheck", "racecheck"):
        yield kind, lambda kind=kind: run(kind)


GROUPS: dict[str, Callable[[], Iterator[Case]]] = {
    "programs": programs, "layouts": layouts, "libraries": libraries, "neighbours": neighbours, "streams": streams,
    "graphs": graphs, "memory": memory, "faults": faults, "primitives": primitives,
    "random programs": random_programs, "sanitizers": sanitizers,
}  # fmt: skip


# ---- running them


def import_cupy() -> Any:
    import cupy

    return cupy


def outcomes(group: str, seconds: float) -> Iterator[Outcome]:
    """What comes of the cases of a group, as long as there is time."""
    clock["end"] = time.perf_counter() + seconds
    for name, case in GROUPS[group]():
        start = time.perf_counter()
        if start > clock["end"]:
            yield Outcome(group, name, "skipped", 0.0, f"the group has had its {seconds:g} s")
            continue
        try:
            case()
            status, detail = "passed", ""
        except Skip as reason:
            status, detail = "skipped", str(reason)
        except Exception:
            status, detail = "failed", traceback.format_exc(limit=-4)
        yield Outcome(group, name, status, time.perf_counter() - start, detail)


def device_facts() -> dict[str, Any]:
    """What the record says of the machine."""
    cupy = import_cupy()
    runtime = cupy.cuda.runtime
    properties = runtime.getDeviceProperties(0)
    return {
        "device": properties["name"].decode(),
        "compute capability": f"{properties['major']}.{properties['minor']}",
        "memory": int(properties["totalGlobalMem"]),
        "driver": runtime.driverGetVersion(),
        "runtime": runtime.runtimeGetVersion(),
        "cupy": cupy.__version__,
    }


def slug(name: str) -> str:
    """A name for files."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def refuse_without_gpu() -> None:
    """End the process with a sentence where no GPU can be used."""
    missing = ft.devices().missing
    if missing is not None:
        print(f"This needs an NVIDIA GPU, and none can be used here. {missing}", file=sys.stderr)
        sys.exit(2)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", help=f"groups to run, of {', '.join(GROUPS)}")
    parser.add_argument("--seconds", type=float, default=40.0, help="how long one group may take")
    parser.add_argument("--no-pool", action="store_true", help="let CUDA allocate each array, for the sanitizers")
    parser.add_argument("--no-record", action="store_true", help="keep nothing in benchmarks/results/")
    options = parser.parse_args()
    names = [name.strip() for name in options.only.split(",")] if options.only else list(GROUPS)
    unknown = set(names) - set(GROUPS)
    if unknown:
        parser.error(f"no such groups: {', '.join(sorted(unknown))}")
    refuse_without_gpu()
    if options.no_pool:
        import_cupy().cuda.set_allocator(None)
    facts = device_facts()
    print(", ".join(f"{key} {value}" for key, value in facts.items()))
    found: list[Outcome] = []
    for name in names:
        own = list(outcomes(name, options.seconds))
        found += own
        counts = {status: sum(o.status == status for o in own) for status in ("passed", "failed", "skipped")}
        print(f"{name:16} {', '.join(f'{count} {status}' for status, count in counts.items())}", flush=True)
        for outcome in own:
            if outcome.status == "failed":
                print(f"    {outcome.name}\n{outcome.detail}", flush=True)
    if not options.no_record:
        rows = [outcome._asdict() for outcome in found]
        print(write_figures(f"gpu-check-{slug(facts['device'])}", rows, **facts))
    return int(any(outcome.status == "failed" for outcome in found))


if __name__ == "__main__":
    sys.exit(main())
