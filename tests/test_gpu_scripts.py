"""The scripts for machines with a GPU: they refuse politely where there is none, and run to their ends on a stand-in."""

from __future__ import annotations

import importlib
import io
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import redirect_stdout
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import functrans as ft
from tests.helpers.cuda.arrays import emulated_gpu
from tests.helpers.cuda.device import is_possible
from tests.helpers.stand_in_cupy import installed

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
#: What only a GPU can do; elsewhere these cases end with an assertion.
NEED_A_GPU = (
    "a program in a CUDA graph", "calls return before the work is done", "out of memory", "that nobody waits for",
    "that is waited for", "not aligned to its elements",
)  # fmt: skip


@pytest.fixture
def scripts(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    with installed(), np.errstate(all="ignore"), ft.config.using(backend="interpreter"):
        yield importlib.import_module


def small_check(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The script of checks, with little work."""
    check = importlib.import_module("gpu_check")
    for name, value in {"BUSY": 20, "LONG": 30, "LARGE": 1000, "EXAMPLES": 3, "STEPS": 10}.items():
        monkeypatch.setattr(check, name, value)
    return check


@pytest.mark.parametrize("script", ["gpu_check.py", "gpu_bench.py"])
def test_without_a_gpu_a_sentence_says_what_is_missing(script: str) -> None:
    if ft.devices().missing is None:
        pytest.skip("there is a GPU")
    found = subprocess.run([sys.executable, BENCHMARKS / script], capture_output=True, text=True)
    assert found.returncode == 2
    assert re.fullmatch(r"This needs an NVIDIA GPU, and none can be used here\. CuPy is .*\n", found.stderr)


def unexpected(outcomes: list[Any]) -> list[str]:
    """What went wrong in cases that need no GPU, or otherwise than by an assertion."""
    failed = [outcome for outcome in outcomes if outcome.status == "failed"]
    return [o.detail for o in failed if o.name not in NEED_A_GPU or "AssertionError" not in o.detail]


GROUPS = ("programs", "layouts", "libraries", "neighbours", "streams", "graphs", "memory", "faults", "sanitizers")


@pytest.mark.parametrize("group", [*GROUPS, "primitives", "random programs"])
def test_cases_of_the_check(scripts: Any, group: str, monkeypatch: pytest.MonkeyPatch) -> None:
    check = small_check(monkeypatch)
    monkeypatch.setattr(check.subprocess, "run", lambda *args, **options: subprocess.CompletedProcess(args, 0, "", ""))
    few = {"primitives": 40, "random programs": 2}.get(group)
    outcomes = list(islice(check.outcomes(group, 1000.0), few))
    assert outcomes
    assert not unexpected(outcomes), unexpected(outcomes)[0]


@pytest.mark.skipif(not is_possible(), reason="the emulator needs g++ and x86-64")
@pytest.mark.parametrize("group", ["layouts", "streams", "memory"])
def test_cases_of_the_check_on_the_emulator(group: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same with compiled programs."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    check = small_check(monkeypatch)
    with emulated_gpu(), np.errstate(all="ignore"):
        outcomes = list(check.outcomes(group, 1000.0))
        if group == "layouts":
            assert "passed" in [o.status for o in outcomes if o.name == "not aligned to its elements"]
        assert not unexpected(outcomes), unexpected(outcomes)[0]


def test_the_check_runs_to_its_end(scripts: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check = scripts("gpu_check")
    monkeypatch.setattr(scripts("harness"), "RESULTS", tmp_path)
    monkeypatch.setattr(sys, "argv", ["gpu_check.py", "--only", "layouts, neighbours,graphs", "--no-pool"])
    check.main()
    (record,) = tmp_path.iterdir()
    found = json.loads(record.read_text())
    assert record.name.startswith("gpu-check-stand-in-")
    assert found["settings"]["device"] == "Stand-in"
    assert {row["group"] for row in found["rows"]} == {"layouts", "neighbours", "graphs"}
    assert {row["status"] for row in found["rows"]} <= {"passed", "skipped", "failed"}


def test_groups_end_when_their_time_is_over(scripts: Any) -> None:
    outcomes = list(scripts("gpu_check").outcomes("programs", -1.0))
    assert {outcome.status for outcome in outcomes} == {"skipped"}


SMALL = {
    "PATIENCE": 0.0, "ROUNDS": 1, "QUEUE": 2, "SIZES": (1000,), "MATRICES": ((8, 5),), "BATCHES": (3,), "BODIES": 5,
    "ODE": (3, 4), "SYSTEMS": 2,
}  # fmt: skip


def test_the_benchmark_runs_to_its_end(
    scripts: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bench = scripts("gpu_bench")
    monkeypatch.setattr(scripts("harness"), "RESULTS", tmp_path)
    monkeypatch.setattr(sys, "argv", ["gpu_bench.py"])
    monkeypatch.setattr(bench, "copy_seconds", lambda contender: 1.0)
    for name, value in SMALL.items():
        monkeypatch.setattr(bench, name, value)

    def ask(name: str, python: str, pattern: str, limit: float) -> dict[str, Any]:
        """As in a process of its own."""
        said = io.StringIO()
        with redirect_stdout(said):
            bench.work(name, pattern)
        answers = [answer for answer in map(bench.answer_in, said.getvalue().splitlines()) if answer]
        return {} if "absent" in answers[0] else {answer.pop("row"): answer for answer in answers}

    monkeypatch.setattr(bench, "ask", ask)
    assert bench.main() == 0
    table = capsys.readouterr().out
    (record,) = tmp_path.iterdir()
    rows = json.loads(record.read_text())["rows"]
    for contender in (bench.OURS, bench.CUPY):
        own = {row["row"]: row for row in rows if row["contender"] == contender}
        possible = [row for row in own.values() if row.get("error") != "not possible"]
        assert len(own) >= len(list(bench.rows()))
        assert not [row for row in possible if "seconds" not in row]
        assert len(possible) >= (len(own) if contender == bench.OURS else len(own) - 6)
    assert "vmapped ode, 3e+00 steps, 4e+00 lanes" in table
    assert "host time of 100 kernels" in table


def test_what_else_a_contender_prints_is_passed_over(scripts: Any) -> None:
    bench = scripts("gpu_bench")
    assert bench.answer_in("a warning\n") == {}
    assert bench.answer_in("3\n") == {}
    assert bench.answer_in('{"row": "x"}\n') == {"row": "x"}


def test_a_contender_that_hangs_is_ended(scripts: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    bench = scripts("gpu_bench")
    script = tmp_path / "contender.py"
    script.write_text("import time; print('{\"row\": \"x\", \"seconds\": 1}', flush=True); time.sleep(1000)")
    monkeypatch.setattr(bench, "__file__", str(script))
    found = bench.ask("functrans", sys.executable, "", 1.0)
    assert found in ({"x": {"seconds": 1}}, {})  # nothing, where a process takes longer to begin


ROWS = (
    "elementwise chain", "gradient of elementwise chain", "softmax", "gradient of softmax", "layer_norm",
    "gradient of layer_norm", "cross-entropy", "gradient of cross-entropy", "training step", "Hessian-vector product",
    "n-body", "vmapped ode", "Cholesky solve", "host time of 1 ", "host time of 10 ", "host time of 100 ",
)  # fmt: skip


def test_the_benchmark_has_all_rows(scripts: Any) -> None:
    names = [row.name for row in scripts("gpu_bench").rows()]
    assert len(set(names)) == len(names)
    for row in ROWS:
        assert any(name.startswith(row) for name in names), row
    assert {"elementwise chain, 1e+03", "elementwise chain, 1e+08", "softmax, 16384 x 4096"} <= set(names)
