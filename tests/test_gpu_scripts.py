"""The scripts for machines with a GPU: they refuse politely where there is none, and their cases hold on a stand-in."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import functrans as ft
from tests.helpers.stand_in_cupy import installed

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def scripts(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    with installed() as cupy, np.errstate(all="ignore"), ft.config.using(backend="interpreter"):
        cupy.cuda.runtime.memGetInfo = lambda: (1 << 20, 1 << 20)
        yield importlib.import_module


@pytest.mark.parametrize("script", ["gpu_check.py", "gpu_bench.py"])
def test_without_a_gpu_a_sentence_says_what_is_missing(script: str) -> None:
    if ft.devices().missing is None:
        pytest.skip("there is a GPU")
    found = subprocess.run([sys.executable, BENCHMARKS / script], capture_output=True, text=True)
    assert found.returncode == 2
    assert re.fullmatch(r"This needs an NVIDIA GPU, and none can be used here\. CuPy is .*\n", found.stderr)


@pytest.mark.parametrize("group", ["programs", "layouts", "libraries"])
def test_cases_of_the_check(scripts: Any, group: str) -> None:
    outcomes = list(scripts("gpu_check").outcomes(group, 100.0))
    assert sum(outcome.status == "passed" for outcome in outcomes) > 20
    failed = [outcome for outcome in outcomes if outcome.status == "failed"]
    assert not failed, failed[0].detail


def test_rows_of_the_benchmark(scripts: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = scripts("gpu_bench")
    monkeypatch.setattr(bench, "PATIENCE", 0.0)
    monkeypatch.setattr(bench, "ROUNDS", 1)
    ours = bench.Ours()
    small = [row for row in bench.rows() if re.search(r"chain, 1e\+03|8192 x 256|batch 128|host time of 10 ", row.name)]
    found = {row.name: bench.measured(ours, row) for row in small}
    assert len(found) == 11
    assert all("seconds" in figures for figures in found.values()), found
    results = {bench.OURS: {**found, "copy": {"bytes": 1, "seconds": 1.0}}, bench.CUPY: {}}
    assert any("8192 x 256" in line for line in bench.table(results))
