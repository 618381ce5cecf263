"""What compiled functions take on the CPU, beside JAX, torch.compile, hand-written Numba and NumPy.

python benchmarks/cpu.py                      all rows
python benchmarks/cpu.py --rows 'softmax|sum' those whose name or group matches
python benchmarks/cpu.py --quick              few repetitions
python benchmarks/cpu.py --json path          keep the figures in a file
python benchmarks/cpu.py --record             keep them in benchmarks/results/
python benchmarks/cpu.py --torch /venv/bin/python --cores 2

Each contender runs in a process of its own, so that a crash or a time-out ends nobody else, and they take turns. All
are held to the same processors, those with least to do. Results are compared with those of the first peer before
anything is timed. The rows that functrans loses come first, by how much.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import re
import select
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from harness import format_seconds, see_for_yourself, write_figures
from workloads import groups
from workloads.row import CALL, CONTENDERS, FIRST, MEMORY, OURS, TORCH, Row

HERE = Path(__file__).resolve().parent
WORKER = HERE / "workloads" / "worker.py"


class Failure(Exception):
    """A contender crashed, took too long, or raised an error."""


class Process:
    """A contender in a process of its own."""

    def __init__(self, contender: str, options: argparse.Namespace):
        self.contender, self.options = contender, options
        self.process: subprocess.Popen[str] | None = None

    def ask(self, **request: Any) -> dict[str, Any]:
        """The answer of the contender. It is started if it is not running."""
        if self.process is None:
            self._start()
        process = self.process
        assert process is not None
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(json.dumps(request) + "\n")
            process.stdin.flush()
        except BrokenPipeError:
            self.stop()
            raise Failure("ended") from None
        ready, _, _ = select.select([process.stdout], [], [], self.options.limit)
        if not ready:
            self.stop()
            raise Failure(f"took more than {self.options.limit:g} s")
        line = process.stdout.readline()
        if not line:
            code = process.wait()
            self.stop()
            raise Failure(f"crashed (exit code {code}): {self._last_words()}")
        answer = json.loads(line)
        if "error" in answer:
            raise Failure(answer["error"])
        return answer

    def _start(self) -> None:
        python = self.options.torch if self.contender == TORCH else sys.executable
        self.errors = Path(self.options.scratch) / f"{self.contender}.log".replace(" ", "-")
        cores = self.options.idle
        environment = {**self.options.environment, "XDG_CACHE_HOME": self.options.scratch,
                       "PYTHONFAULTHANDLER": "1", "NUMBA_CACHE_DIR": self.options.scratch,
                       "TORCHINDUCTOR_CACHE_DIR": f"{self.options.scratch}/torch-{id(self)}-{time.time()}"}  # fmt: skip
        with self.errors.open("w") as errors:
            self.process = subprocess.Popen(
                [python, str(WORKER), self.contender], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                stderr=errors, env=environment, preexec_fn=partial(os.sched_setaffinity, 0, cores) if cores else None,
            )  # fmt: skip

    def _last_words(self) -> str:
        return " | ".join(self.errors.read_text().strip().splitlines()[:12])[:1500]

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.communicate()
            self.process = None


class Result:
    """What came out of a row."""

    def __init__(self, group: str, row: Row):
        self.group, self.row = group, row
        self.samples: dict[str, list[float]] = {}
        self.others: dict[str, list[float]] = {}  # what functrans took for the rows before
        self.failures: dict[str, str] = {}
        self.notes: dict[str, Any] = {}

    def median(self, name: str) -> float:
        return statistics.median(self.samples[name])

    def target(self, of: Callable[[list[float]], float] = statistics.median) -> float | None:
        """What functrans may take."""
        row = self.row
        found = [row.at_most] if row.at_most is not None else []
        known = [of(self.samples[name]) for name in row.peers if self.samples.get(name)]
        if row.factor is not None and known:
            found.append(row.factor * min(known) + row.slack)
        if row.multiple_of is not None and self.others.get(row.multiple_of[0]):
            found.append(row.multiple_of[1] * of(self.others[row.multiple_of[0]]))
        return min(found) if found else None

    def ratio(self, of: Callable[[list[float]], float] = statistics.median) -> float:
        """What functrans takes, as a multiple of what it may take. Above one the row is lost."""
        if not self.samples.get(OURS) or self.failures.get(OURS):
            return math.inf
        target = self.target(of)
        return math.nan if target is None else of(self.samples[OURS]) / target

    def cell(self, name: str) -> str:
        """What a contender took, as text."""
        if self.samples.get(name):
            return shown(self.median(name), self.row.kind)
        return "failed" if name in self.failures else "-"

    def record(self) -> dict[str, Any]:
        finite = {"ratio": self.ratio(), "ratio of minima": self.ratio(min)}
        return {
            "group": self.group, "row": self.row.label, "issue": self.row.issue, "target": self.target(),
            "medians": {n: statistics.median(v) for n, v in self.samples.items() if v},
            "minima": {n: min(v) for n, v in self.samples.items() if v},
            **{key: value if math.isfinite(value) else None for key, value in finite.items()},
            "failures": self.failures, "notes": self.notes,
        }  # fmt: skip


def run_row(group: str, row: Row, processes: dict[str, Process], options: argparse.Namespace) -> list[Result]:
    names = [n for n in row.contenders() if n in processes]
    return {FIRST: run_first, MEMORY: run_memory, CALL: run_calls}[row.kind](group, row, names, processes, options)


def run_first(group: str, row: Row, names: list[str], _: Any, options: argparse.Namespace) -> list[Result]:
    """Fresh processes, contender by contender in turns."""
    result, second = Result(group, row), Result(group, row.at_second_shape())
    for _ in range(2 if options.quick else 5):
        for name in names:
            if name in result.failures:
                continue
            process = Process(name, options)
            try:
                answer = process.ask(do="first", label=row.label, by_processor=options.cpu_time)
                result.samples.setdefault(name, []).append(answer["value"])
                second.samples.setdefault(name, []).append(answer["second"])
            except Failure as failure:
                result.failures[name] = second.failures[name] = str(failure)
            process.stop()
    return [result, second]


def run_memory(group: str, row: Row, names: list[str], _: Any, options: argparse.Namespace) -> list[Result]:
    result = Result(group, row)
    norms = {}
    for name in names:
        process = Process(name, options)
        try:
            answer = process.ask(do="memory", label=row.label)
            result.samples[name] = [answer["value"]]
            norms[name] = answer["norm"]
        except Failure as failure:
            result.failures[name] = str(failure)
        process.stop()
    if OURS in norms and not np.allclose(list(norms.values()), norms[OURS], rtol=row.rtol, atol=0):
        result.failures[OURS] = f"wrong: {norms}"
    return [result]


def run_calls(
    group: str, row: Row, names: list[str], processes: dict[str, Process], options: argparse.Namespace
) -> list[Result]:
    result = Result(group, row)
    found = {}
    for name in names:
        path = f"{options.scratch}/results-{name}.npz".replace(" ", "-")
        try:
            answer = processes[name].ask(
                do="build", label=row.label, results=path, sample=options.sample, by_processor=options.cpu_time
            )
            with np.load(path) as arrays:
                found[name] = [arrays[key] for key in arrays.files]
            result.notes[name] = answer
        except Failure as failure:
            result.failures[name] = str(failure)
    compare(row, found, result)
    running = [name for name in names if name in found]
    ends = time.perf_counter() + options.limit
    for round_ in range(options.rounds + 1):
        for name in list(running):
            try:
                value = processes[name].ask(do="sample")["value"]
            except Failure as failure:
                result.failures[name] = str(failure)
                running.remove(name)
                continue
            if round_:
                result.samples.setdefault(name, []).append(value)
        if time.perf_counter() > ends and round_ > 2:
            break
    return [result]


def compare(row: Row, found: dict[str, list[Any]], result: Result) -> None:
    """Note whose results differ from those of the first peer."""
    peers = [name for name in found if name != OURS]
    if not peers:
        return
    expected = found[peers[0]]
    for name, got in found.items():
        try:
            assert len(got) == len(expected), f"{len(got)} results, not {len(expected)}"
            for x, y in zip(got, expected):
                scale = float(np.max(np.abs(y), initial=0.0))
                np.testing.assert_allclose(x, y, row.rtol, row.rtol * scale)
        except AssertionError as error:
            text = " ".join(str(error).split())[:400]
            if name == OURS and len(peers) > 1:
                text = f"differs from {peers[0]}: {text}"
            result.failures[name] = f"wrong: {text}"


# ---- the table


def shown(value: float, kind: str) -> str:
    return f"{value / 2**20:.1f} MiB" if kind == MEMORY else format_seconds(value)


def by_loss(results: list[Result]) -> list[Result]:
    """The rows that are lost by most first, those without a target last."""
    return sorted(results, key=lambda r: math.inf if math.isnan(r.ratio()) else -r.ratio())


def print_markdown(results: list[Result]) -> None:
    """The same, for a README."""
    print(f"| | {' | '.join(CONTENDERS)} | may take | ratio | of minima |")
    print("|---" * (len(CONTENDERS) + 4) + "|")
    for result in by_loss(results):
        target = result.target()
        cells = [result.cell(name) for name in CONTENDERS]
        cells += [shown(target, result.row.kind) if target else "-"]
        cells += [f"{ratio:.2f}" for ratio in (result.ratio(), result.ratio(min))]
        print(f"| {result.row.label} | {' | '.join('' if c == '-' else c for c in cells)} |")


def print_table(results: list[Result]) -> None:
    """The lost rows first. The ratio is what functrans takes over what it may take, by medians and by minima.

    Where they disagree, the machine is too busy to tell: "open".
    """
    results = by_loss(results)
    print(f"{'':52}{'ratio':>8}{'(minima)':>9}{'may take':>11}" + "".join(f"{name:>14}" for name in CONTENDERS))
    for result in results:
        ratio, target, kind = result.ratio(), result.target(), result.row.kind
        lost = [ratio > 1, result.ratio(min) > 1]
        mark = "" if math.isnan(ratio) else ("LOST" if all(lost) else "open" if any(lost) else "ok")
        cells = [f"{ratio:>8.2f}{result.ratio(min):>9.2f}", f"{shown(target, kind) if target else '-':>11}"]
        cells += [f"{result.cell(name):>14}" for name in CONTENDERS]
        print(f"{mark:5}{result.row.label:47}" + "".join(cells))
        for name, failure in result.failures.items():
            print(f"         {name}: {failure[:300]}")
        if python := result.notes.get(OURS, {}).get("python"):
            print(f"         runs in Python: {python}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", default="", help="a regular expression")
    parser.add_argument("--quick", action="store_true", help="few repetitions")
    parser.add_argument("--json", help="where to keep the figures")
    parser.add_argument("--record", action="store_true", help="write the figures to benchmarks/results/")
    parser.add_argument("--markdown", action="store_true", help="print the table for a README")
    parser.add_argument("--only", help="contenders to run, by commas")
    parser.add_argument("--torch", default=sys.executable, help="a Python that has torch")
    parser.add_argument("--cores", type=int, default=2, help="how many processors all are held to")
    parser.add_argument("--cpu-time", action="store_true", help="time of the processor: for one core of a busy machine")
    parser.add_argument("--limit", type=float, default=120.0, help="seconds that a contender may take for a row")
    options = parser.parse_args()
    see_for_yourself()
    options.sample, options.rounds = (0.005, 7) if options.quick else (0.02, 25)
    options.environment = {"PYTHONPATH": str(HERE.parent), **os.environ}
    wanted = re.compile(options.rows)
    results: list[Result] = []
    with tempfile.TemporaryDirectory() as options.scratch:
        names = available(options)
        for group, rows in groups().items():
            processes = {name: Process(name, options) for name in names}
            options.idle = idlest(options.cores)
            for row in rows:
                if row.label == "warm-up" or not (wanted.search(row.label) or wanted.fullmatch(group)):
                    continue
                found = run_row(group, row, processes, options)
                results += found
                for result in found:
                    result.others = {r.row.label: r.samples[OURS] for r in results if r.samples.get(OURS)}
                    print(f"... {result.row.label}: {result.ratio():.2f}", file=sys.stderr, flush=True)
                if options.json:
                    Path(options.json).write_text(json.dumps([r.record() for r in results], indent=1) + "\n")
            for process in processes.values():
                process.stop()
    (print_markdown if options.markdown else print_table)(results)
    if options.record:
        settings = {"cores": options.cores, "processor time": options.cpu_time, "quick": options.quick}
        print(f"written to {write_figures('cpu', [r.record() for r in results], **settings)}")


def idlest(count: int) -> list[int]:
    """The processors that had least to do during the last half second."""
    if not hasattr(os, "sched_getaffinity"):
        return []

    def idle() -> dict[int, int]:
        lines = [line.split() for line in Path("/proc/stat").read_text().splitlines()]
        return {int(words[0][3:]): int(words[4]) for words in lines if re.fullmatch(r"cpu\d+", words[0])}

    before = idle()
    time.sleep(0.5)
    after = idle()
    allowed = sorted(os.sched_getaffinity(0), key=lambda core: before[core] - after[core])
    return allowed[:count]


def available(options: argparse.Namespace) -> list[str]:
    """The contenders that are installed."""
    wanted = options.only.split(",") if options.only else CONTENDERS
    modules = {OURS: "functrans", "JAX": "jax", TORCH: "torch", "Numba": "numba"}
    names = []
    for name in CONTENDERS:
        if name not in wanted:
            continue
        python = options.torch if name == TORCH else sys.executable
        module = modules.get(name)
        command = [python, "-c", f"import importlib.util as u; raise SystemExit(u.find_spec({module!r}) is None)"]
        if module and subprocess.run(command, env=options.environment, capture_output=True).returncode:
            print(f"{name} is not installed: left out", file=sys.stderr)
        else:
            names.append(name)
    return names


if __name__ == "__main__":
    main()
