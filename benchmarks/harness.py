"""What every benchmark here shares: interleaved medians, a table with ratios, and a record on disk."""

import ctypes
import datetime
import importlib.metadata
import importlib.util
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

OURS = "functrans"
#: How often quick functions are called before they are timed.
WARMING = 10
RESULTS = Path(__file__).resolve().parent / "results"
PACKAGES = ("functrans", "numpy", "scipy", "numba", "llvmlite", "jax", "jaxlib", "torch", "autograd",
            "cupy-cuda12x", "cupy-cuda13x", "nvidia-cuda-nvrtc")  # fmt: skip
#: What tells OpenBLAS which processor this is, in place of its own judgement.
PROCESSOR_VARIABLES = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")


@dataclass
class Row:
    """One measurement: median seconds of each contender, and what functrans has to reach."""

    label: str
    seconds: dict[str, float]
    target: float | None = None


def timer(function: Callable[[], object], sample: float = 0.02) -> Callable[[], float]:
    """A sampler of seconds per call. Each of its samples repeats the call until it fills `sample` seconds."""
    function()
    started = time.perf_counter()
    for _ in range(WARMING):  # what makes a quicker way for later calls takes its time in one of the first
        if time.perf_counter() - started < 10 * sample:
            function()
    repeats = 1

    def seconds_per_call() -> float:
        started = time.perf_counter()
        for _ in range(repeats):
            function()
        return (time.perf_counter() - started) / repeats

    while (seconds := seconds_per_call()) * repeats < sample / 4:
        repeats *= 4
    repeats = max(1, round(sample / seconds))
    return seconds_per_call


def interleave(
    samplers: dict[str, Callable[[], float]],
    rounds: int = 15,
    summary: Callable[[list[float]], float] = statistics.median,
) -> dict[str, float]:
    """Median sample of each. They take turns, so that whatever else the machine does slows all alike."""
    samples: dict[str, list[float]] = {name: [] for name in samplers}
    for round_ in range(rounds + 1):
        for name, sampler in samplers.items():
            seconds = sampler()
            if round_:  # the first round only warms
                samples[name].append(seconds)
    return {name: summary(values) for name, values in samples.items()}


def measure(functions: dict[str, Callable[[], object]], rounds: int = 15) -> dict[str, float]:
    """Median seconds per call of each function, interleaved."""
    return interleave({name: timer(function) for name, function in functions.items()}, rounds)


def format_seconds(seconds: float) -> str:
    for unit, scale in (("s", 1), ("ms", 1e-3), ("us", 1e-6)):
        if abs(seconds) >= scale:
            return f"{seconds / scale:.3g} {unit}"
    return f"{seconds / 1e-9:.3g} ns"


def print_table(rows: list[Row]) -> None:
    """Times side by side; in brackets, how many times functrans' own."""
    contenders = list(dict.fromkeys(name for row in rows for name in row.seconds))
    print(f"{'':32}" + "".join(f"{name:>20}" for name in contenders) + "   functrans' target")
    for row in rows:
        cells = []
        for name in contenders:
            cell = format_seconds(row.seconds[name]) if name in row.seconds else "-"
            if name != OURS and name in row.seconds:
                ratio = row.seconds[name] / row.seconds[OURS]
                cell += f" ({ratio:.0f}x)" if ratio >= 10 else f" ({ratio:.1f}x)"
            cells.append(f"{cell:>20}")
        print(f"{row.label:32}" + "".join(cells) + f"   {_verdict(row)}".rstrip())


def _verdict(row: Row) -> str:
    if row.target is None:
        return ""
    met = "met" if row.seconds[OURS] <= row.target else "missed"
    return f"at most {format_seconds(row.target)}: {met}"


def write_record(benchmark: str, rows: list[Row]) -> Path:
    """Keep the figures, with what they were measured on, in benchmarks/results/."""
    return write_figures(benchmark, [asdict(row) for row in rows])


def write_figures(benchmark: str, rows: list[dict[str, Any]], **settings: Any) -> Path:
    """The same for rows that are plain dictionaries, and with the settings of the run."""
    RESULTS.mkdir(exist_ok=True)
    today = datetime.date.today().isoformat()
    record = {
        "benchmark": benchmark,
        "date": today,
        "commit": _commit(),
        "machine": {
            "processor": _processor(),
            "BLAS kernels": _blas_kernels(),
            "cores": os.cpu_count(),
            "system": platform.system(),
        },
        "versions": {"python": platform.python_version(), **_versions()},
        **({"settings": settings} if settings else {}),
        "rows": rows,
    }
    path = RESULTS / f"{benchmark}-{today}.json"
    path.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    return path


def see_for_yourself() -> None:
    """Begin anew without the variables that tell OpenBLAS which processor this is, if there are any.

    They would hold NumPy and us to products made for that one, but none of the peers that have products of their own.
    """
    environment = {name: value for name, value in os.environ.items() if name not in PROCESSOR_VARIABLES}
    if len(environment) < len(os.environ):
        os.execve(sys.executable, sys.orig_argv, environment)


def _versions() -> dict[str, str]:
    installed = {dist.name: dist.version for dist in importlib.metadata.distributions()}
    return {name: installed[name] for name in PACKAGES if name in installed}


def _commit() -> str | None:
    """The state of the checkout; None where that is no checkout, or there is no Git."""
    if shutil.which("git") is None:
        return None
    command = ["git", "describe", "--always", "--dirty"]
    result = subprocess.run(command, cwd=RESULTS, capture_output=True, text=True)
    return result.stdout.strip() or None


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor()


def _blas_kernels() -> str | None:
    """The processor that the OpenBLAS of NumPy's wheel takes this one for: its products are made for that one."""
    numpy = importlib.util.find_spec("numpy")
    folders = (numpy.submodule_search_locations if numpy is not None else None) or ()
    for path in (path for folder in folders for path in Path(f"{folder}.libs").glob("libscipy_openblas64_*")):
        name = getattr(ctypes.CDLL(str(path)), "scipy_openblas_get_corename64_", None)
        if name is not None:
            name.restype = ctypes.c_char_p
            return name().decode()
    return None
