"""Peak memory and time of the gradient of a loop of 10,000 steps, side by side with JAX: plain and checkpointed.

python benchmarks/memory.py              print the table
python benchmarks/memory.py --record     and keep it in benchmarks/results/
python benchmarks/memory.py --steps 1000 a shorter loop, to try it

Each figure comes from a fresh process, which calls the gradient once to trace and compile it, gives free memory back to
the system, and calls it again. The peak is the high-water mark of its resident memory above the level before the second
call. A program of functrans that keeps its memory for the next call has to give it back, too, so that it counts. Beside
the peak stands what the library itself says it took: for functrans the peak of tracemalloc, which sees NumPy's buffers,
in a third call; for JAX the temporary buffers that XLA has planned.
"""

import argparse
import ctypes
import gc
import json
import platform
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from harness import OURS, format_seconds, write_record

import functrans as ft
from functrans import lax
from functrans.compiler.backends.cpu.arenas import clear_arenas
from functrans.compiler.backends.cpu.native import Binding

STEPS, CELLS = 10_000, 2_500
CARRY = 8 * CELLS  # bytes
BUDGET = 100 * CARRY
#: What a step works with, and what a process takes besides: a bound may be exceeded by so much.
SLACK = 4 * 2**20
TINY = 1e-9  # by which gradients may differ, relatively


@dataclass
class Peak:
    """What one gradient took."""

    resident: int  # bytes
    reported: int  # bytes, by the library's own account
    seconds: float
    norm: float  # of the gradient: all must agree


@dataclass
class Row:
    """One loop: what each contender took, and what functrans may take at most."""

    label: str
    peaks: dict[str, Peak | str]  # or why there is none
    target: int | None = None  # bytes


def step(np: ModuleType, u):
    """Advection and reaction in so many cells, on a ring."""
    return u - 0.2 * (u - np.roll(u, 1)) + 0.05 * np.sin(u) * np.exp(-u * u)


def our_scan(u, steps: int, **options):
    return np.sum(lax.scan(lambda u, _: (step(np, u), None), u, None, length=steps, **options)[0] ** 2)


def our_while_loop(u, steps: int, **options):
    """The same loop by a condition on its state."""
    final = lax.while_loop(
        lambda state: state[0] < steps, lambda state: (state[0] + 1, step(np, state[1])), (0, u), **options
    )
    return np.sum(final[1] ** 2)


def jax_scan(u, steps: int, remember: bool = True):
    import jax

    body = partial(step, jax.numpy)
    body = body if remember else jax.checkpoint(body)
    return jax.numpy.sum(jax.lax.scan(lambda u, _: (body(u), None), u, None, length=steps)[0] ** 2)


def jax_two_levels(u, steps: int):
    """The usual remedy: blocks of about sqrt(steps) steps, each of which is run again in the backward pass."""
    import jax

    block = round(steps**0.5)
    body = jax.checkpoint(partial(step, jax.numpy))

    @jax.checkpoint
    def several(u):
        return jax.lax.scan(lambda u, _: (body(u), None), u, None, length=block)[0]

    u, _ = jax.lax.scan(lambda u, _: (several(u), None), u, None, length=steps // block)
    u, _ = jax.lax.scan(lambda u, _: (body(u), None), u, None, length=steps % block)
    return jax.numpy.sum(u**2)


def jax_while_loop(u, steps: int):
    import jax

    final = jax.lax.while_loop(
        lambda state: state[0] < steps, lambda state: (state[0] + 1, step(jax.numpy, state[1])), (0, u)
    )
    return jax.numpy.sum(final[1] ** 2)


#: label: our loss, JAX's, and what ours may take (as a multiple of JAX's peak, or in bytes).
CASES: dict[str, tuple[Callable, Callable | None, int | None]] = {
    "scan: every residual": (our_scan, jax_scan, None),
    "scan: the carry of each step": (partial(our_scan, checkpoint=True), partial(jax_scan, remember=False), None),
    "scan: 100 carries, sqrt blocks": (partial(our_scan, checkpoint=100), jax_two_levels, 100 * CARRY + SLACK),
    "scan: 20 carries": (partial(our_scan, checkpoint=20), None, 20 * CARRY + SLACK),
    "scan: log2(steps) carries": (partial(our_scan, checkpoint="log"), None, 15 * CARRY + SLACK),
    f"scan: {BUDGET // 10**6} MB of carries": (partial(our_scan, budget=BUDGET), None, BUDGET + SLACK),
    "while_loop: every residual": (our_while_loop, jax_while_loop, None),
    f"while_loop: {BUDGET // 10**6} MB of carries": (
        partial(our_while_loop, budget=BUDGET), jax_while_loop, BUDGET + SLACK
    ),
}  # fmt: skip


# ---- one case, in a process of its own


def prepared(contender: str, label: str, steps: int) -> tuple[Callable[[], Any], Callable[[], int]]:
    """A function that computes the gradient, and one that tells what it takes by the library's own account."""
    ours, theirs, _ = CASES[label]
    start = np.linspace(-1.0, 1.0, CELLS)
    if contender == OURS:
        gradient = ft.jit(ft.grad(lambda u: ours(u, steps)))
        return lambda: gradient(start), lambda: traced_peak(lambda: gradient(start))

    import jax

    jax.config.update("jax_enable_x64", True)
    u = jax.block_until_ready(jax.numpy.asarray(start))
    compiled = jax.jit(jax.grad(lambda u: theirs(u, steps))).lower(u).compile()
    return lambda: jax.block_until_ready(compiled(u)), lambda: compiled.memory_analysis().temp_size_in_bytes


def measure(contender: str, label: str, steps: int) -> Peak:
    run, account = prepared(contender, label, steps)
    if sys.platform == "linux":  # elsewhere the mark cannot be lowered again, and a first call has to do
        run()
    release_free_memory()
    before = start_of_peak()
    started = time.perf_counter()
    gradient = run()
    seconds = time.perf_counter() - started
    resident = peak_of_memory() - before
    norm = float(np.linalg.norm(np.asarray(gradient)))
    return Peak(resident, account(), seconds, norm)


def traced_peak(function: Callable[[], Any]) -> int:
    release_free_memory()
    tracemalloc.start()
    function()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return peak


def release_free_memory() -> None:
    """Let the system have what programs and the C library keep for later, or the call would use it and show no peak."""
    for thing in gc.get_objects():
        if isinstance(thing, Binding):
            thing.frames.clear()
    clear_arenas()
    gc.collect()
    if platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).malloc_trim(0)


def start_of_peak() -> int:
    """The resident memory now, in bytes, from which `peak_of_memory` goes up."""
    if sys.platform != "linux":
        return peak_of_memory()  # the high-water mark so far: what is below it is not seen
    Path("/proc/self/clear_refs").write_text("5")
    return status("VmRSS")


def peak_of_memory() -> int:
    if sys.platform == "linux":
        return status("VmHWM")
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def status(field: str) -> int:
    """A field of the process's own status, in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    (line,) = (line for line in lines if line.startswith(f"{field}:"))
    return int(line.split()[1]) * 1024


# ---- all cases


def in_fresh_process(contender: str, label: str, steps: int) -> Peak | str:
    """What one gradient takes, or the first line of the error it raises."""
    command = [sys.executable, __file__, "--case", contender, label, "--steps", str(steps)]
    found = subprocess.run(command, capture_output=True, text=True)
    if found.returncode:
        *_, error = (line for line in found.stderr.splitlines() if line.startswith(("ValueError", "TypeError")))
        return error
    return Peak(**json.loads(found.stdout))


def has_jax() -> bool:
    found = subprocess.run([sys.executable, "-c", "import jax"], capture_output=True).returncode == 0
    if not found:
        print("JAX is not installed: left out")
    return found


def measure_all(steps: int) -> list[Row]:
    rows = []
    jax_too = has_jax()
    for label, (_, theirs, target) in CASES.items():
        peaks = {OURS: in_fresh_process(OURS, label, steps)}
        if jax_too and theirs is not None:
            peaks["JAX"] = in_fresh_process("JAX", label, steps)
        rows.append(Row(label, peaks, target))
        print(end=".", flush=True)
    print()
    norms = [peak.norm for row in rows for peak in row.peaks.values() if isinstance(peak, Peak)]
    assert np.allclose(norms, norms[0], rtol=TINY, atol=0), f"gradients differ: {norms}"
    return rows


def print_table(rows: list[Row]) -> None:
    """Peak of resident memory, the library's own account, time."""
    contenders = list(rows[0].peaks)
    print(f"{'':34}" + "".join(f"{name + ': peak, own account, time':>36}" for name in contenders))
    notes = []
    for row in rows:
        cells = []
        for name in contenders:
            peak = row.peaks.get(name)
            if isinstance(peak, Peak):
                sizes = f"{megabytes(peak.resident):>12}{megabytes(peak.reported):>12}"
                cells.append(sizes + f"{format_seconds(peak.seconds):>12}")
            else:
                cells.append(f"{'-' if peak is None else 'error':>36}")
                notes += [f"{name}, {row.label}: {peak}"] if peak else []
        print(f"{row.label:34}" + "".join(cells) + verdict(row))
    print("\n".join(notes))


def verdict(row: Row) -> str:
    ours = row.peaks[OURS]
    if row.target is None or not isinstance(ours, Peak):
        return ""
    return f"   at most {megabytes(row.target)}: {'met' if ours.resident <= row.target else 'missed'}"


def megabytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--record", action="store_true", help="write the figures to benchmarks/results/")
    parser.add_argument("--steps", type=int, default=STEPS, help="the length of the loop")
    parser.add_argument("--case", nargs=2, metavar=("CONTENDER", "LABEL"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.case:
        print(json.dumps(asdict(measure(*options.case, options.steps))))
        return

    rows = measure_all(options.steps)
    everything = megabytes(options.steps * CARRY)
    print(f"{options.steps} steps; a carry of {CARRY / 1e3:.0f} kB, those of all steps {everything}")
    print_table(rows)
    if options.record:
        print(f"written to {write_record('memory', rows)}")


if __name__ == "__main__":
    main()
