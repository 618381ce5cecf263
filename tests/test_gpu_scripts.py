"""The scripts for machines with a GPU: they refuse politely where there is none, and run to their ends on a stand-in."""

from __future__ import annotations

import importlib
import io
import json
import os
import re
import subprocess
import sys
import time
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


def little(scripts: Any, **options: float) -> Any:
    """Little work."""
    cases = scripts("gpu.cases")
    return cases.Scope(cases.Sizes(examples=3, steps=10, busy=20, long=30, large=1000), **options)


@pytest.mark.parametrize("script", ["gpu_check.py", "gpu_bench.py"])
def test_without_a_gpu_a_sentence_says_what_is_missing(script: str) -> None:
    if ft.devices().missing is None:
        pytest.skip("there is a GPU")
    found = subprocess.run([sys.executable, BENCHMARKS / script], capture_output=True, text=True)
    assert found.returncode == 2
    assert re.fullmatch(r"This needs an NVIDIA GPU, and none can be used here\. CuPy is .*\n", found.stderr)


# ---- the check


def unexpected(outcomes: list[Any]) -> list[str]:
    """What went wrong in cases that need no GPU, or otherwise than by an assertion."""
    failed = [outcome for outcome in outcomes if outcome.status == "failed"]
    return [o.detail for o in failed if o.name not in NEED_A_GPU or "AssertionError" not in o.detail]


GROUPS = ("programs", "layouts", "libraries", "neighbours", "streams", "graphs", "memory", "faults", "sanitizers")


@pytest.mark.parametrize("group", [*GROUPS, "primitives", "divisions", "random programs"])
def test_cases_of_the_check(scripts: Any, group: str, monkeypatch: pytest.MonkeyPatch) -> None:
    done = subprocess.CompletedProcess([], 0, "", "")
    monkeypatch.setattr(scripts("gpu.running").subprocess, "run", lambda *args, **options: done)
    monkeypatch.setattr(scripts("gpu.running"), "finished", lambda *args: (0, ""))
    few = {"primitives": 40, "divisions": 20, "random programs": 2}.get(group)
    outcomes = list(islice(scripts("gpu_check").outcomes(group, little(scripts)), few))
    assert outcomes
    assert not unexpected(outcomes), unexpected(outcomes)[0]


@pytest.mark.skipif(not is_possible(), reason="the emulator needs g++ and x86-64")
@pytest.mark.parametrize("group", ["layouts", "streams", "memory"])
def test_cases_of_the_check_on_the_emulator(group: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same with compiled programs."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    with emulated_gpu(), np.errstate(all="ignore"):
        scope = little(importlib.import_module)
        outcomes = list(importlib.import_module("gpu_check").outcomes(group, scope))
        if group == "layouts":
            assert "passed" in [o.status for o in outcomes if o.name == "not aligned to its elements"]
        assert not unexpected(outcomes), unexpected(outcomes)[0]


def said(function: Any, *args: Any) -> Iterator[Any]:
    """The answers that a function prints, as if it were a process."""
    text = io.StringIO()
    with redirect_stdout(text):
        function(*args)
    yield from map(json.loads, text.getvalue().splitlines())
    yield {"end": None}


def test_the_check_runs_to_its_end(scripts: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check = scripts("gpu_check")
    monkeypatch.setattr(scripts("harness"), "RESULTS", tmp_path)

    def answers(command: list[str], limit: float) -> Any:
        options = check.parsed(command[2:])
        return said(check.work, options.work, options.seconds, options.first)

    monkeypatch.setattr(check, "answers", answers)
    monkeypatch.setattr(sys, "argv", ["gpu_check.py", "--only", "layouts, neighbours,graphs", "--no-pool"])
    check.main()
    (record,) = tmp_path.iterdir()
    found = json.loads(record.read_text())
    assert record.name.startswith("gpu-check-stand-in-")
    assert found["settings"]["device"] == "Stand-in"
    assert {"driver", "CUDA of the driver", "CUDA runtime", "NVRTC", "CuPy"} <= set(found["settings"])
    assert {row["group"] for row in found["rows"]} == {"layouts", "neighbours", "graphs"}
    assert {row["status"] for row in found["rows"]} <= {"passed", "skipped", "failed"}


def test_a_record_is_kept_after_each_group(scripts: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check = scripts("gpu_check")
    monkeypatch.setattr(scripts("harness"), "RESULTS", tmp_path)

    def run_group(group: str, seconds: float, options: Any) -> list[Any]:
        if group == "layouts":
            raise KeyboardInterrupt
        return [check.Outcome(group, "a case", "passed")]

    monkeypatch.setattr(check, "run_group", run_group)
    monkeypatch.setattr(sys, "argv", ["gpu_check.py", "--only", "graphs,layouts"])
    with pytest.raises(KeyboardInterrupt):
        check.main()
    (record,) = tmp_path.iterdir()
    assert [row["group"] for row in json.loads(record.read_text())["rows"]] == ["graphs"]


def test_a_record_needs_no_git(scripts: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    harness = scripts("harness")
    monkeypatch.setattr(harness, "RESULTS", tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert json.loads(harness.write_figures("name", []).read_text())["commit"] is None


def test_faults_are_looked_for_with_the_modules_of_this_process(scripts: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", "/elsewhere")
    running = scripts("gpu.running")
    paths: list[str] = []

    def run(command: list[str], env: dict[str, str], **options: Any) -> Any:
        paths.append(env["PYTHONPATH"])
        return subprocess.CompletedProcess([], 0, "guilty ILLEGAL_ADDRESS", "")

    monkeypatch.setattr(running.subprocess, "run", run)
    for _, case in running.faults(little(scripts)):
        case()
    assert paths == [os.pathsep.join([str(running.ROOT), "/elsewhere"])] * 2


@pytest.mark.parametrize("way", ["sleep 100 > {} & wait", "sleep 100 > {} & cat {} & exit"])
def test_what_takes_too_long_is_ended_with_all_that_it_has_started(scripts: Any, tmp_path: Path, way: str) -> None:
    """Also where the process itself has come to its end, and what it has started goes on."""
    finished = scripts("gpu.processes").finished
    assert finished([sys.executable, "-c", "print('said'); raise SystemExit(3)"], 60.0) == (3, "said\n")
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    with pytest.raises(subprocess.TimeoutExpired):
        finished(["sh", "-c", way.replace("{}", str(fifo))], 0.3)
    for _ in range(500):
        if (said := ended(reader)) is not None:
            break
        time.sleep(0.01)  # the kernel is about to end them
    assert said == b""
    os.close(reader)


def ended(reader: int) -> bytes | None:
    """What is read once nobody can write any more; None as long as somebody can."""
    try:
        return os.read(reader, 1)
    except BlockingIOError:
        return None


def test_groups_leave_time_to_those_after_them(scripts: Any) -> None:
    share = scripts("gpu_check").share
    assert share(["programs"], 100.0) == 100.0
    assert share(["programs", "layouts"], 100.0) == 50.0
    assert share(["sanitizers", "layouts", "programs"], 100.0) > 50.0


def test_one_example_of_each_comes_first(scripts: Any) -> None:
    names = ["a1", "a2", "b1", "a3", "b2", "c1"]
    scripts("gpu_check")
    assert sys.modules["gpu.programs"].in_turn(names, lambda name: name[0]) == ["a1", "b1", "c1", "a2", "b2", "a3"]


def test_groups_end_when_their_time_is_over(scripts: Any) -> None:
    outcomes = list(scripts("gpu_check").outcomes("programs", little(scripts, end=-1.0)))
    assert {outcome.status for outcome in outcomes} == {"skipped"}


#: A group of which one case ends the process, one leaves the GPU unusable, and one hangs.
WORKER = """
import json, os, sys, time
first = int(sys.argv[sys.argv.index("--first") + 1])
for k in range(first, 5):
    print(json.dumps({"begins": str(k)}), flush=True)
    if k == 1:
        print("a warning", flush=True)
        print("no more", file=sys.stderr)
        os._exit(7)
    if k == HANGS:
        time.sleep(1000)
    print(json.dumps({"outcome": ["group", str(k), "failed" if k == 2 else "passed", 0.0, ""]}), flush=True)
    if k == 2:
        sys.exit(1)
print(json.dumps({"done": True}))
"""


def started(scripts: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, hangs: int) -> Any:
    check = scripts("gpu_check")
    script = tmp_path / "group.py"
    script.write_text(WORKER.replace("HANGS", str(hangs)))
    monkeypatch.setattr(check, "__file__", str(script))
    return check


def test_a_case_that_ends_its_process_ends_no_other(scripts: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    check = started(scripts, monkeypatch, tmp_path, hangs=9)
    found = check.run_group("group", 1000.0)
    assert [(o.name, o.status) for o in found] == [
        ("0", "passed"), ("1", "failed"), ("2", "failed"), ("3", "passed"), ("4", "passed")
    ]  # fmt: skip
    assert re.fullmatch(r"it ended after \d+ s with status 7\nno more", found[1].detail)


def test_a_case_that_hangs_is_ended(scripts: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    check = started(scripts, monkeypatch, tmp_path, hangs=0)
    monkeypatch.setattr(check, "GRACE", 0.0)
    (hung, *others) = check.run_group("group", 1.0)
    assert (hung.name, hung.status) in (("0", "failed"), ("the process", "failed"))  # where processes begin slowly
    assert not others or (others[0].name, others[0].status) == ("all others", "skipped")


# ---- the benchmark

SMALL = {"PATIENCE": 0.0, "ROUNDS": 1, "QUEUE": 2}


@pytest.fixture
def bench(scripts: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    found = scripts("gpu_bench")
    for name, value in SMALL.items():
        monkeypatch.setattr(found, name, value)
    sizes = found.Sizes((1000,), ((8, 5),), (3,), bodies=5, steps=3, lanes=4, systems=2)
    monkeypatch.setattr(found, "SIZES", sizes)
    monkeypatch.setattr(found, "copied", lambda contender: lambda: None)
    return found


def test_the_benchmark_runs_to_its_end(
    scripts: Any, bench: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(scripts("harness"), "RESULTS", tmp_path)
    monkeypatch.setattr(sys, "argv", ["gpu_bench.py"])

    def answers(command: list[str], limit: float, environment: Any) -> Any:
        return said(bench.work, command[3], command[5], int(command[7]))

    monkeypatch.setattr(bench, "answers", answers)
    assert bench.main() == 0
    table = capsys.readouterr().out
    (record,) = tmp_path.iterdir()
    found = json.loads(record.read_text())
    assert found["settings"]["contenders"]["CuPy"]
    for contender in (bench.OURS, bench.CUPY):
        own = {row["row"]: row for row in found["rows"] if row["contender"] == contender}
        possible = [row for row in own.values() if row.get("error") != "not possible"]
        assert len(own) >= len(list(bench.rows(bench.SIZES)))
        assert not [row for row in possible if "seconds" not in row]
        assert len(possible) >= (len(own) if contender == bench.OURS else len(own) - 6)
    assert "vmapped ode, 3e+00 steps, 4e+00 lanes" in table
    assert "host time of 100 kernels" in table


def test_figures_are_kept_after_each_contender(
    scripts: Any, bench: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scripts("harness"), "RESULTS", tmp_path)
    monkeypatch.setattr(sys, "argv", ["gpu_bench.py"])
    limits: list[float] = []

    def ask(name: str, python: str, pattern: str, limit: float) -> Any:
        if limits:
            raise KeyboardInterrupt
        limits.append(limit)
        return {"a row": {"seconds": 1.0}}, "1.0"

    monkeypatch.setattr(bench, "ask", ask)
    monkeypatch.setattr(bench, "ALL", 100.0)
    with pytest.raises(KeyboardInterrupt):
        bench.main()
    (record,) = tmp_path.iterdir()
    found = json.loads(record.read_text())
    assert [(row["contender"], row["row"]) for row in found["rows"]] == [(bench.OURS, "a row")]
    assert limits[0] <= 100.0


def test_what_a_process_prints_else_is_passed_over(scripts: Any) -> None:
    processes = scripts("gpu.processes")
    assert processes.answer_in("a warning\n") == {}
    assert processes.answer_in("3\n") == {}
    assert processes.answer_in('{"row": "x"}\n') == {"row": "x"}


CONTENDER = """
import json, os, sys
first = int(sys.argv[sys.argv.index("--first") + 1])
for k in range(first, 3):
    print(json.dumps({"begins": str(k)}), flush=True)
    if k == 1:
        os._exit(7)
    print(json.dumps({"row": str(k), "seconds": 1.0}), flush=True)
print(json.dumps({"done": True}))
"""


def test_a_row_that_ends_its_process_ends_no_other(bench: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    script = tmp_path / "contender.py"
    script.write_text(CONTENDER)
    monkeypatch.setattr(bench, "__file__", str(script))
    found, _ = bench.ask("functrans", sys.executable, "", 1000.0)
    assert list(found) == ["0", "1", "2"]
    assert "status 7" in found["1"]["error"]
    assert found["2"] == {"seconds": 1.0}


ROWS = (
    "elementwise chain", "gradient of elementwise chain", "softmax", "gradient of softmax", "layer_norm",
    "gradient of layer_norm", "cross-entropy", "gradient of cross-entropy", "training step", "Hessian-vector product",
    "n-body", "vmapped ode", "Cholesky solve", "host time of 1 ", "host time of 10 ", "host time of 100 ",
)  # fmt: skip


def test_the_benchmark_has_all_rows(scripts: Any) -> None:
    workloads = scripts("gpu.workloads")
    names = [row.name for row in workloads.rows(workloads.Sizes())]
    assert len(set(names)) == len(names)
    for row in ROWS:
        assert any(name.startswith(row) for name in names), row
    assert {"elementwise chain, 1e+03", "elementwise chain, 1e+08", "softmax, 16384 x 4096"} <= set(names)


def test_what_was_missed_is_said(scripts: Any) -> None:
    bench = scripts("gpu_bench")
    gib = 2**30
    ours = {
        bench.COPY: {"seconds": 1.0, "bytes": gib},
        "elementwise chain, 1e+08": {"seconds": 2.0, "bytes": gib},
        "softmax, 16384 x 4096": {"seconds": 1.1, "bytes": gib},
        "vmapped ode, x": {"seconds": 1.0, "bytes": 0},
        "host time of 1 kernels": {"seconds": 6e-6, "bytes": 0},
        "n-body": {"error": "no"},
    }
    jax = {"elementwise chain, 1e+08": {"seconds": 1.0}, "vmapped ode, x": {"seconds": 5.0}}
    assert list(bench.missed({bench.OURS: ours, bench.JAX: jax})) == [
        "elementwise chain, 1e+08: 50 % of a copy's bandwidth, 85 % wanted",
        "elementwise chain, 1e+08: 2.00 times JAX's time, 1.1 wanted",
        "vmapped ode, x: 5.0 times as fast as JAX, 10 wanted",
        "host time of 1 kernels: 6.0 us, 5 wanted",
        "n-body: no",
    ]


def test_a_copy_can_be_waited_for(scripts: Any) -> None:
    """`cupy.copyto` returns nothing."""
    cupy = sys.modules["cupy"]
    source = cupy.arange(4.0)
    bench = scripts("gpu_bench")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cupy, "zeros", lambda *args: source)
        assert list(bench.copied(None)().get()) == [0.0, 1.0, 2.0, 3.0]
