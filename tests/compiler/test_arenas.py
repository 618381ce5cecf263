"""Large arenas go from program to program; small ones stay with theirs after the first run."""

import os
import platform
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import functrans as ft
from functrans.compiler.backends.cpu import arenas

X = np.random.default_rng(0).normal(size=arenas.LARGE // 8 + 1000)


def sums(x):
    return np.cumsum(np.cumsum(x) * 0.5)


def mirrored(x):
    return np.cumsum(np.cumsum(x[::-1]) + 1.0)


@pytest.fixture(autouse=True)
def nothing_kept():
    arenas.clear_arenas()
    yield
    arenas.clear_arenas()


def kept():
    return [arena.nbytes for arena in arenas._kept]


def test_programs_take_over_arenas():
    f, g = ft.jit(sums), ft.jit(mirrored)
    for _ in range(3):
        np.testing.assert_allclose(f(X), sums(X))
        assert len(kept()) == 1
        np.testing.assert_allclose(g(X), mirrored(X))
        assert len(kept()) == 1
    f(X[:1000])
    assert len(kept()) == 1


def test_first_runs_share_smaller_arenas():
    f = ft.jit(sums)
    room = arenas.WORTH // 8
    for n in (room, 2 * room, 2 * room + 100, 2 * room - 100):
        np.testing.assert_allclose(f(X[:n]), sums(X[:n]))
    assert len(kept()) == 2
    for _ in range(3):  # now one of these is its own
        np.testing.assert_allclose(f(X[:room]), sums(X[:room]))
        assert len(kept()) == 1
    f(X[:100])
    assert len(kept()) == 1


@pytest.mark.parametrize("size", [1, 7, 8, 9, 1000, arenas.WORTH, arenas.WORTH + 1, 3 * arenas.LARGE - 1])
def test_a_roomy_size_is_little_larger(size):
    assert size <= arenas.roomy(size) <= size * 17 / 16
    assert arenas.roomy(arenas.roomy(size)) == arenas.roomy(size)


def test_programs_that_run_at_once_have_one_each():
    f, g = ft.jit(sums), ft.jit(mirrored)
    with ThreadPoolExecutor(4) as pool:
        tasks = [(h, pool.submit(h, X)) for h in (f, g) * 4]
        for h, task in tasks:
            np.testing.assert_allclose(task.result(), (sums if h is f else mirrored)(X))
    assert 1 <= len(kept()) <= 4


def test_no_more_is_kept_than_is_said(monkeypatch):
    monkeypatch.setattr(arenas, "MOST_KEPT", 3 * arenas.LARGE)
    for size in (1, 1, 1, 1, 2, 5):
        arenas.give_back(np.empty(size * arenas.LARGE, np.uint8))
        assert sum(kept()) <= arenas.MOST_KEPT
    assert kept() == []
    arenas.give_back(np.empty(2 * arenas.LARGE, np.uint8))
    assert arenas.take(arenas.LARGE // 2) is None
    assert arenas.take(3 * arenas.LARGE) is None
    assert arenas.take(2 * arenas.LARGE - 5) is not None


def test_an_error_leaves_nothing_wrong():
    f = ft.jit(lambda x, i: np.cumsum(np.cumsum(x) * x[i]))
    assert f(X, 3).shape == X.shape
    with pytest.raises(IndexError):
        f(X, len(X))
    np.testing.assert_allclose(f(X, 3), np.cumsum(np.cumsum(X) * X[3]))
    ft.clear_caches()
    assert kept() == []


MANY_RESULTS = """
import resource
import numpy as np
import functrans as ft

step = ft.jit(lambda xs: [x * 2 for x in xs])
xs = [np.ones(1 << 16) for _ in range(24)]
for _ in range(4):
    step(xs)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(4):
    step(xs)
print((resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) / (4 * sum(x.nbytes for x in xs) / 4096))
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="is about glibc")
def test_results_are_in_the_memory_of_those_before():
    """The share of their pages that are fresh from the system; it was nine tenths."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("MALLOC_", "GLIBC_"))}
    run = subprocess.run(
        [sys.executable, "-c", MANY_RESULTS], env=environment, capture_output=True, text=True, check=True
    )
    assert float(run.stdout) < 0.3
