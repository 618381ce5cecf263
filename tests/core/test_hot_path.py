"""How much Python one warm derivative runs: the files of the library that it enters, and all calls of functions."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import functrans as ft
from tests.helpers.calls import calls_in

MOST_FILES, MOST_CALLS = 10, 300
PACKAGE = Path(ft.__file__).parent

OF_THREE_OPERATIONS = {
    "sin(x) * x + x": lambda x: np.sin(x) * x + x,
    "exp(-x) * x": lambda x: np.exp(-x) * x,
    "tanh(2 * x + 1)": lambda x: np.tanh(2 * x + 1),
    "log(x) / x - x": lambda x: np.log(x) / x - x,
    "(x * 2 + 1) * x": lambda x: (x * 2 + 1) * x,
}


def own_files(calls: Counter[str]) -> dict[str, int]:
    """The calls of the library's own files, by path in the package."""
    paths = {Path(file): count for file, count in calls.items()}
    return {path.relative_to(PACKAGE).as_posix(): n for path, n in paths.items() if path.is_relative_to(PACKAGE)}


@pytest.mark.parametrize("x", [0.7, np.float64(0.7), np.float32(0.7), np.array(0.7)], ids=lambda x: type(x).__name__)
@pytest.mark.parametrize("function", OF_THREE_OPERATIONS.values(), ids=OF_THREE_OPERATIONS)
def test_gradient_of_three_operations(function: Callable[[Any], Any], x: Any):
    gradient = ft.grad(function)
    gradient(x)
    calls = calls_in(lambda: gradient(x))
    table = "\n".join(f"{count:5} {file}" for file, count in calls.most_common())
    assert len(own_files(calls)) <= MOST_FILES, f"{len(own_files(calls))} files of functrans:\n{table}"
    assert calls.total() <= MOST_CALLS, f"{calls.total()} calls:\n{table}"


def test_what_is_counted():
    calls = calls_in(lambda: ft.tree.unflatten(ft.tree.structure((1, 2)), (3, 4)))
    assert own_files(calls) == {"tree.py": 1}
    assert calls.total() > own_files(calls)["tree.py"]  # the test's own function, and optree's


def test_an_untransformed_call_runs_none_of_our_code():
    assert own_files(calls_in(lambda: [f(0.7) for f in OF_THREE_OPERATIONS.values()])) == {}
    assert own_files(calls_in(lambda: ft.numpy.sin(np.ones(3)))) == {}
