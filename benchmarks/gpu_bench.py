"""What compiled functions take on the GPU of this machine, beside JAX, torch.compile and CuPy: `make gpu-bench`.

python benchmarks/gpu_bench.py                      every row, every contender that is installed
python benchmarks/gpu_bench.py --rows 'softmax|ode' those whose name matches
python benchmarks/gpu_bench.py --torch /venv/bin/python --jax /other/bin/python

Each contender runs all rows in a process of its own, one after the other, with single-precision arrays that are on the
GPU already; results are waited for. After a row that crashes, or leaves the GPU unusable, another process goes on. A
figure is the median of rounds of calls. Where memory bandwidth is the limit, the table says which part of that of a
copy is reached. The first call of a row is timed as well: tracing and compiling, with no cache on disk, in a process
that has compiled something before. At the end stands what was to be reached and was not.
The figures are kept as JSON in benchmarks/results/ after each contender. Where no GPU can be used, it says what is
missing and ends with status 2.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import re
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(Path(__file__).resolve().parent)]

from gpu.contenders import CONTENDERS, CUPY, JAX, OURS, TORCH  # noqa: E402
from gpu.processes import answers  # noqa: E402
from gpu.workloads import Row, Sizes, random, rows  # noqa: E402

#: How long the rounds of one row are repeated, in seconds.
PATIENCE = 1.0
ROUNDS = 9
#: How long all contenders may take together, in seconds.
ALL = 560.0
#: Kernels that are under way at most where the time of calls is measured: a GPU's queue holds a thousand.
QUEUE = 500
#: What is to be reached: parts of the bandwidth of a copy from so many bytes on, times of JAX, seconds of the host for
#: one kernel, and how many times faster loops are to be.
BANDWIDTH, FROM, OF_JAX, HOST, LOOPS = 0.85, 2**29, 1.1, 5e-6, 10.0
COPY = "copy"
SIZES = Sizes()

Figures = dict[str, dict[str, Any]]  # by row


# ---- one contender


def work(name: str, pattern: str, first: int = 0) -> None:
    """Run the rows as one contender; a line of JSON before and after each, and one at the end if all were reached."""

    def say(**answer: Any) -> None:
        print(json.dumps(answer), flush=True)

    try:
        contender = CONTENDERS[name]()
    except Exception as error:
        say(absent=f"{type(error).__name__}: {error}")
        return
    say(version=contender.version)
    begin(contender)
    for row in list(wanted(name, pattern))[first:]:
        say(begins=row.name)
        figures = measured(contender, row)
        say(row=row.name, **figures)
        if "error" in figures and not is_usable(contender):
            return
    say(done=True)


def wanted(name: str, pattern: str) -> Iterator[Row]:
    """The rows whose names match; for us, a copy is one more."""
    if name == OURS:
        yield Row(COPY, copied, 2**31)
    yield from (row for row in rows(SIZES) if re.search(pattern, row.name))


def begin(contender: Any) -> None:
    """Make the context, and load what is loaded once."""
    contender.block(contender.jit(lambda x: x + 1)(contender.array(random(8))))


def is_usable(contender: Any) -> bool:
    """Whether the GPU does what this process asks for; after a fault of a kernel it does nothing any more."""
    try:
        contender.block(contender.array(random(8)))
    except Exception:
        return False
    return True


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


def copied(_: Any) -> Callable[[], Any]:
    """A copy of a GiB on the GPU, which is read and written; it returns the array, so that it can be waited for."""
    import cupy

    source = cupy.zeros(2**28, np.float32)
    target = cupy.empty_like(source)

    def copy() -> Any:
        cupy.copyto(target, source)
        return target

    return copy


# ---- all of them


def ask(name: str, python: str, pattern: str, limit: float) -> tuple[Figures, str]:
    """What a contender measures, by row, and its version: in a process of its own, another after a row that ends it."""
    environment = {**os.environ, "FUNCTRANS_CACHE": "0", "TORCHINDUCTOR_FORCE_DISABLE_CACHES": "1",
                   "XLA_PYTHON_CLIENT_PREALLOCATE": "false", "JAX_PLATFORMS": "cuda"}  # fmt: skip
    found: Figures = {}
    version = ""
    end = time.monotonic() + limit
    while (left := end - time.monotonic()) > 0:
        before, begun, is_done, how = len(found), "", False, ""
        command = [python, __file__, "--work", name, "--rows", pattern, "--first", str(before)]
        for answer in answers(command, left, environment):
            if "row" in answer:
                found[answer.pop("row")] = answer
                begun = ""
            begun = answer.get("begins", begun)
            version = answer.get("version", version)
            if "absent" in answer:
                print(f"{name} is left out: {answer['absent']}")
            is_done, how = is_done or "done" in answer or "absent" in answer, answer.get("end") or how
        if is_done:
            return found, version
        if begun:
            found[begun] = {"error": how}
        print(f"{name}, {begun or 'a process'}: {how}")
        if len(found) == before:
            return found, version
    print(f"{name} has had its {limit:.0f} s, {len(found)} rows are there")
    return found, version


def table(results: dict[str, Figures]) -> Iterator[str]:
    """The figures as lines: times, in brackets as multiples of ours, and the part of the bandwidth of a copy."""
    from harness import format_seconds

    bandwidth = copy_bandwidth(results)
    if bandwidth:
        yield f"a copy reaches {bandwidth / 1e9:.0f} GB/s"
    yield f"{'':44}" + "".join(f"{name:>24}" for name in results) + "   first call"
    for row in names(results):
        cells = []
        for name in results:
            seconds, own = seconds_of(results, name, row), seconds_of(results, OURS, row)
            ratio = f" ({seconds / own:.2f}x)" if seconds and own and name != OURS else ""
            cells.append(f"{(format_seconds(seconds) if seconds else '-') + ratio:>24}")
        mine = results.get(OURS, {}).get(row, {})
        reached = part_of_copy(results, row)
        part = f", {100 * reached:.0f} % of a copy's bandwidth" if reached and mine["bytes"] >= 2**26 else ""
        yield f"{row:44}" + "".join(cells) + f"   {format_seconds(mine.get('first', 0.0))}{part}"


def missed(results: dict[str, Figures]) -> Iterator[str]:
    """What was to be reached and was not, as lines."""
    for row in names(results):
        own, jax = seconds_of(results, OURS, row), seconds_of(results, JAX, row)
        if not own:
            yield f"{row}: {results.get(OURS, {}).get(row, {}).get('error', 'not measured')}"
            continue
        reached, is_large = part_of_copy(results, row), results[OURS][row]["bytes"] >= FROM
        if reached and is_large and row.startswith(("elementwise", "softmax")) and reached < BANDWIDTH:
            yield f"{row}: {100 * reached:.0f} % of a copy's bandwidth, {100 * BANDWIDTH:.0f} % wanted"
        if jax and own > OF_JAX * jax:
            yield f"{row}: {own / jax:.2f} times JAX's time, {OF_JAX} wanted"
        if jax and row.startswith("vmapped") and jax < LOOPS * own:
            yield f"{row}: {jax / own:.1f} times as fast as JAX, {LOOPS:.0f} wanted"
        if row == "host time of 1 kernels" and own > HOST:
            yield f"{row}: {own * 1e6:.1f} us, {HOST * 1e6:.0f} wanted"


def names(results: dict[str, Figures]) -> list[str]:
    """The rows that anybody has, but for the copy."""
    return [row for row in dict.fromkeys(row for found in results.values() for row in found) if row != COPY]


def seconds_of(results: dict[str, Figures], name: str, row: str) -> float | None:
    return results.get(name, {}).get(row, {}).get("seconds")


def copy_bandwidth(results: dict[str, Figures]) -> float:
    """Bytes in a second; 0 if nobody knows."""
    seconds = seconds_of(results, OURS, COPY)
    return results[OURS][COPY]["bytes"] / seconds if seconds else 0.0


def part_of_copy(results: dict[str, Figures], row: str) -> float:
    """Which part of the bandwidth of a copy we reach; 0 if nobody knows."""
    seconds, bandwidth = seconds_of(results, OURS, row), copy_bandwidth(results)
    return results[OURS][row]["bytes"] / seconds / bandwidth if seconds and bandwidth else 0.0


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", default="", help="a regular expression: rows whose name matches")
    parser.add_argument("--jax", default=sys.executable, help="the Python that has JAX")
    parser.add_argument("--torch", default=sys.executable, help="the Python that has torch")
    parser.add_argument("--limit", type=float, default=150.0, help="seconds for one contender")
    parser.add_argument("--no-record", action="store_true", help="keep nothing in benchmarks/results/")
    parser.add_argument("--work", choices=list(CONTENDERS), help=argparse.SUPPRESS)
    parser.add_argument("--first", type=int, default=0, help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> int:
    options = parsed()
    if options.work:
        work(options.work, options.rows, options.first)
        return 0
    from gpu.facts import device_facts, refuse_without_gpu, slug
    from harness import write_figures

    refuse_without_gpu()
    facts = device_facts()
    pythons = {OURS: sys.executable, JAX: options.jax, TORCH: options.torch, CUPY: sys.executable}
    modules = {OURS: "functrans", JAX: "jax", TORCH: "torch", CUPY: "cupy"}
    results: dict[str, Figures] = {}
    versions: dict[str, str] = {}
    record = None
    end = time.monotonic() + ALL
    for name, python in pythons.items():
        if python == sys.executable and importlib.util.find_spec(modules[name]) is None:
            print(f"{name} is left out: it is not installed")
            continue
        found, versions[name] = ask(name, python, options.rows, max(0.0, min(options.limit, end - time.monotonic())))
        if found:
            results[name] = found
        if not options.no_record:
            figures = [
                {"contender": name, "row": row, **figure}
                for name, found in results.items() for row, figure in found.items()
            ]
            record = write_figures(f"gpu-bench-{slug(facts['device'])}", figures, **facts, contenders=versions)
    print("\n".join([*table(results), *missed(results)]))
    if record is not None:
        print(record)
    return 0


if __name__ == "__main__":
    sys.exit(main())
