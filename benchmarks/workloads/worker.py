"""One contender in a process of its own: it builds workloads, runs them and times them when asked to.

Requests and answers are lines of JSON on stdin and stdout; `cpu.py` in the folder above sends them.
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import json
import os
import platform
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from workloads import groups
from workloads.row import FIRST, JAX, NUMBA, NUMPY, OURS, TORCH, Row, leaves, library, mapped


class Prepared:
    """A row as a contender runs it."""

    def __init__(self, contender: str, row: Row):
        self.contender, self.row = contender, row
        self.compiled, place, self.wait = _adapters[contender](row)
        if row.renews:
            self.compiled = Renewing(self.compiled)
        self.args = mapped(place, row.data())
        if row.kind == FIRST:
            self.other_args = mapped(place, row.other_data())

    def __call__(self) -> Any:
        return self.run(self.args)

    def run(self, args: Any) -> Any:
        """The results of the compiled function, once they are there."""
        results = self.compiled(*args)
        return results if self.wait is None else self.wait(results)


class Renewing:
    """A function whose first argument is what it returned the last time."""

    def __init__(self, compiled: Callable[..., Any]):
        self.compiled = compiled
        self.last: Any = None

    def __call__(self, first: Any, *others: Any) -> Any:
        self.last = self.compiled(first if self.last is None else self.last, *others)
        return self.last

    def __getattr__(self, name: str) -> Any:
        return getattr(self.compiled, name)


def _ours(row: Row) -> tuple[Callable, Callable, Callable | None]:
    lib = library(OURS)
    return lib.jit(row.function(lib), **_donated(row)), lambda x: x, None


def _jax(row: Row) -> tuple[Callable, Callable, Callable | None]:
    lib = library(JAX)
    jax = importlib.import_module("jax")
    return lib.jit(row.function(lib), **_donated(row)), jax.numpy.array, jax.block_until_ready


def _donated(row: Row) -> dict[str, int]:
    return {"donate_argnums": 0} if row.renews else {}


def _torch(row: Row) -> tuple[Callable, Callable, Callable | None]:
    torch = importlib.import_module("torch")
    torch.set_num_threads(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
    return row.torch(torch), lambda x: torch.from_numpy(np.array(x)) if isinstance(x, np.ndarray) else x, None


def _numba(row: Row) -> tuple[Callable, Callable, Callable | None]:
    return row.numba(importlib.import_module("numba")), lambda x: x, None


def _numpy(row: Row) -> tuple[Callable, Callable, Callable | None]:
    return row.numpy(), lambda x: x, None


_adapters = {OURS: _ours, JAX: _jax, TORCH: _torch, NUMBA: _numba, NUMPY: _numpy}


class Worker:
    """What can be asked of a contender. One row is prepared at a time."""

    def __init__(self, contender: str):
        self.contender = contender
        self.rows = {row.label: row for rows in groups().values() for row in rows}
        self.prepared: Prepared | None = None
        self.repeats = 1
        self.clock = time.perf_counter

    def build(self, label: str, results: str, sample: float, by_processor: bool = False) -> dict[str, Any]:
        """Compile and run a row; keep its results in a file."""
        self.clock = time.process_time if by_processor else time.perf_counter
        self.prepared = None
        gc.collect()
        self.prepared = Prepared(self.contender, self.rows[label])
        started = time.perf_counter()
        found = self.prepared()
        first = time.perf_counter() - started
        found = [x.detach().numpy() if hasattr(x, "detach") else np.asarray(x) for x in leaves(found)]
        np.savez(results, *found)
        self.prepared()
        started = self.clock()
        self.prepared()
        self.repeats = max(1, round(sample / max(self.clock() - started, 1e-7)))
        return {"first": first, **self.python_steps()}

    def sample(self) -> dict[str, Any]:
        """Seconds per call."""
        compiled, args, wait = self.prepared.compiled, self.prepared.args, self.prepared.wait
        repeats, clock = self.repeats, self.clock
        if wait is None:  # nothing but the call itself: it may take less than a microsecond
            started = clock()
            for _ in range(repeats):
                compiled(*args)
        else:
            started = clock()
            for _ in range(repeats):
                wait(compiled(*args))
        value = (clock() - started) / repeats
        calm_down()
        return {"value": value}

    def first(self, label: str, by_processor: bool = False) -> dict[str, Any]:
        """Seconds of the first call, and of the first call at a second shape, where other functions were compiled."""
        clock = time.process_time if by_processor else time.perf_counter
        started = clock()
        warm = Prepared(self.contender, self.rows["warm-up"])
        warm()
        cold = clock() - started
        prepared = Prepared(self.contender, self.rows[label])
        started = clock()
        prepared()
        middle = clock()
        prepared.run(prepared.other_args)
        return {"value": middle - started, "second": clock() - middle, "cold": cold}

    def memory(self, label: str) -> dict[str, Any]:
        """Bytes that a second call takes at its peak.

        The second call of functrans compiles a quicker way in for those after it. That is not what is measured, so it
        has been done before, by calls of the same function compiled once more.
        """
        if self.contender == OURS:
            other = Prepared(self.contender, self.rows[label])
            other()
            other()
            del other
        prepared = Prepared(self.contender, self.rows[label])
        prepared()
        _release_free_memory()
        Path("/proc/self/clear_refs").write_text("5")
        before = _status("VmRSS")
        found = prepared()
        peak = _status("VmHWM") - before
        return {"value": peak, "norm": float(np.linalg.norm(np.asarray(leaves(found)[0])))}

    def python_steps(self) -> dict[str, Any]:
        """How often the programs of functrans call which function in Python."""
        if self.contender != OURS:
            return {}
        program = self.prepared.compiled.lower(*self.prepared.args).compile().program
        counts: dict[str, int] = {}
        kinds: dict[str, int] = {}
        for binding in getattr(program, "bindings", {}).values():
            _count(binding.assembled.block, counts, kinds)
        return {"python": counts, "instructions": kinds}


def calm_down(longest: float = 0.5, step: float = 0.002) -> None:
    """Wait until the threads of this process are asleep: some look for more to do for a tenth of a second, on a
    processor that belongs to the next contender by then."""
    ends = time.perf_counter() + longest
    while time.perf_counter() < ends:
        before, started = time.process_time(), time.perf_counter()
        time.sleep(step)
        if time.process_time() - before < 0.2 * (time.perf_counter() - started):
            return


def _count(block: Any, counts: dict[str, int], kinds: dict[str, int]) -> None:
    for instruction in block:
        kind = type(instruction).__name__
        kinds[kind] = kinds.get(kind, 0) + 1
        if kind == "PythonRun":
            counts[instruction.name] = counts.get(instruction.name, 0) + 1
        for field in ("body", "test"):
            if kind in ("LoopRun", "WhileRun") and hasattr(instruction, field):
                _count(getattr(instruction, field), counts, kinds)
        for part in getattr(instruction, "blocks", ()):
            _count(part, counts, kinds)


def _release_free_memory() -> None:
    native = sys.modules.get("functrans.compiler.backends.cpu.native")
    for thing in gc.get_objects():
        if native is not None and isinstance(thing, native.Binding):
            thing.frames.clear()
    if native is not None:
        native.arenas.clear_arenas()
    gc.collect()
    if platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).malloc_trim(0)


def _status(field: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    (line,) = (line for line in lines if line.startswith(f"{field}:"))
    return int(line.split()[1]) * 1024


def main() -> None:
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print must not mix with the answers
    worker = Worker(sys.argv[1])
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = getattr(worker, request.pop("do"))(**request)
        except Exception as error:
            text = f"{type(error).__name__}: {error}"
            answer = {"error": text[:2000]}
            if os.environ.get("BENCHMARK_TRACEBACK"):
                sys.excepthook(*sys.exc_info())
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
