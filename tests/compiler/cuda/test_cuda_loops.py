"""Loops whose steps are little work: one kernel of one block on the emulated GPU, else launches."""

from __future__ import annotations

import re

import numpy as np
import pytest

import functrans as ft
from functrans import lax
from functrans.compiler.backends.cuda import loops, nvrtc
from functrans.compiler.backends.cuda.launches import module_text
from functrans.compiler.instructions import LoopRun, WhileRun
from tests.helpers.cuda.device import calls
from tests.helpers.cuda.running import ORDERS, emulated, kernels_of, lowered
from tests.helpers.oracles import assert_all_close
from tests.helpers.tiers import interpreted, staged

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")


def values(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


A, X, XS = values(30, 30) / 8, values(30), values(5, 30, seed=1)
INDICES = np.random.default_rng(0).integers(-30, 20, 30)


def normalized(x):
    return x / np.sqrt(np.sum(x * x))


def cell(a):
    def step(h, x):
        h = np.tanh(a @ h + x)
        return h, (np.sum(h), h[::-1])

    return step


def either(a, x):
    return lax.cond(np.sum(x) > 0, lambda x: np.sin(a @ x), lambda x: np.cumsum(x) * 0.1, x)


LOOPS = {
    "even": lambda a, x: lax.fori_loop(0, 6, lambda i, x: normalized(a @ x), x),
    "odd, with the number of the step": lambda a, x: lax.fori_loop(0, 7, lambda i, x: np.tanh(a @ x) + x[i], x),
    "none": lambda a, x: lax.fori_loop(0, 0, lambda i, x: a @ x, x),
    "along arrays": lambda a, x: lax.scan(cell(a), x, XS),
    "backwards": lambda a, x: lax.scan(cell(a), x, XS, reverse=True),
    "of unknown length": lambda a, x: lax.while_loop(
        lambda s: s[1] < 3, lambda s: (np.cos(a @ s[0]), s[1] + np.sum(s[0] ** 2) * 0.1), (x, 0.0)
    ),
    "in loops": lambda a, x: lax.fori_loop(
        0, 3, lambda i, x: lax.fori_loop(0, 3, lambda j, y: np.sin(a @ y) + i * j, x) - x, x
    ),
    "in loops of unknown length": lambda a, x: lax.fori_loop(
        0, 3, lambda i, x: lax.while_loop(lambda y: np.sum(y) < 9, lambda y: np.cos(a @ y) + 1 + i, x * 0.1), x
    ),
    "with branches": lambda a, x: lax.fori_loop(0, 5, lambda i, x: either(a, x) * 2, x),
    "of products of matrices": lambda a, x: lax.fori_loop(0, 3, lambda i, b: np.tanh(b @ a[:16, :16]), a[:16, :16]),
}


def launches_of(function, *args, division="usual"):
    return [x for found in lowered(staged(function, args), args, division).launches.values() for x in found]


def loops_in(encoder):
    return [i for i in encoder.assembled.block if isinstance(i, (LoopRun, WhileRun))]


@pytest.mark.parametrize("name", list(LOOPS))
def test_results(name):
    jaxpr = staged(lambda a, x: ft.tree.leaves(LOOPS[name](a, x)), (A, X))
    wanted = interpreted(jaxpr, (A, X))
    encoder = lowered(jaxpr, (A, X))
    assert all(id(loop) in encoder.launches for loop in loops_in(encoder))
    for order in ORDERS:
        assert_all_close(emulated(jaxpr, (A, X), order), wanted, 1e-12)
    assert_all_close(emulated(jaxpr, (A, X), division="launches"), wanted, 1e-12)


@pytest.mark.parametrize("name", ["even", "along arrays", "with branches", "in loops"])
def test_derivatives(name):
    def function(a, x):
        return sum(np.sum(y**2) for y in ft.tree.leaves(LOOPS[name](a, x)))

    jaxpr = staged(lambda *args: ft.tree.leaves(ft.grad(function, (0, 1))(*args)), (A, X))
    wanted = interpreted(jaxpr, (A, X))
    for order in ORDERS:
        assert_all_close(emulated(jaxpr, (A, X), order), wanted, 1e-11)


def test_what_is_in_loops_may_be_checked():
    def function(x, i):
        return lax.fori_loop(0, 3, lambda k, x: normalized(x[i + k] + 1), x)

    def until(x, i):
        return lax.while_loop(lambda s: s[1] < 40, lambda s: (normalized(s[0][i + s[1]]), s[1] + 1), (x, 0))[0]

    jaxpr = staged(function, (X, INDICES))
    assert_all_close(emulated(jaxpr, (X, INDICES)), interpreted(jaxpr, (X, INDICES)), 1e-12)
    for loop in (function, until):
        with pytest.raises(IndexError, match=r"index (29|30|31|32)|Index (29|30|31|32)"):
            emulated(staged(loop, (X, np.full(30, 28))), (X, np.full(30, 28)))


def test_a_loop_is_one_launch_whatever_its_length():
    def launched(n):
        before = calls("cuLaunchKernel")
        emulated(staged(lambda a, x: lax.fori_loop(0, n, lambda i, x: normalized(a @ x), x), (A, X)), (A, X))
        return calls("cuLaunchKernel") - before

    assert launched(50) == launched(4)


def test_the_host_waits_once_for_a_loop_of_unknown_length():
    def until(a, x):
        return lax.while_loop(lambda x: np.sum(x * x) < 1e9, lambda x: a @ x * 9 + 1, x)

    jaxpr = staged(until, (A, X))
    waits = []
    for division in ("usual", "launches"):
        before = calls("cuStreamSynchronize")
        assert_all_close(emulated(jaxpr, (A, X), division=division), interpreted(jaxpr, (A, X)), 1e-12)
        waits.append(calls("cuStreamSynchronize") - before)
    assert waits[0] <= 2 < waits[1]


def test_much_work_is_left_to_all_blocks():
    a, x = values(600, 600), values(600)
    encoder = lowered(staged(LOOPS["even"], (a, x)), (a, x))
    (loop,) = loops_in(encoder)
    assert id(loop) not in encoder.launches


def test_a_second_shape_needs_no_second_kernel():
    assert kernels_of(LOOPS["even"], A, X) == kernels_of(LOOPS["even"], A[:28, :28].copy(), X[:28].copy())


@pytest.mark.skipif(not nvrtc.is_available(), reason="NVRTC is not installed: pip install nvidia-cuda-nvrtc")
def in_columns(*xs):
    """Sums by columns of several widths, each with a function of its own."""
    return lax.fori_loop(0, 3, lambda i, xs: [x * 0.5 + np.sum(x, 0) for x in xs], list(xs))


@pytest.mark.skipif(not nvrtc.is_available(), reason="NVRTC is not installed")
def test_reductions_declare_no_more_shared_memory_than_they_say():
    x = np.ones((40, 40))
    functions = {
        "columns": lambda x: (np.sum(x[:, :16], 0), np.max(x[:, :4] * 1j, 0).real, np.sum(x[:, :8].astype("f4"), 0)),
        "rows": lambda x: (np.sum(np.tile(x, (1, 80)), 1), np.sum(np.tile(x, (1, 80)) * 1j, 1)),
    }
    for name, function in functions.items():
        found = [launch for launch in launches_of(function, x) if launch.declared]
        assert found, name
        for launch in found:
            text = module_text({"kernel_0": launch.source})
            _, log = nvrtc.compiled_with_log(text, "sm_90", ("--ptxas-options=-v",))
            assert 0 < int(re.search(r"(\d+) bytes smem", log)[1]) <= launch.declared, launch.about


def test_functions_that_declare_too_much_shared_memory_are_launches(monkeypatch):
    xs = [np.random.default_rng(n).normal(size=(40, n)) for n in (2, 4, 8)]
    assert sum("a loop, in one block" in launch.about for launch in launches_of(in_columns, *xs)) == 1
    monkeypatch.setattr(loops, "MOST_DECLARED", 5000)
    assert not any("a loop, in one block" in launch.about for launch in launches_of(in_columns, *xs))
    program = staged(in_columns, xs)
    assert_all_close(emulated(program, xs), interpreted(program, xs), 1e-12)


@pytest.mark.parametrize("architecture", ["sm_80", "sm_90", "sm_120"])
def test_loops_need_no_memory_of_their_own(architecture):
    """Nor do they read by way of the cache that does not see what has just been written."""

    def turned(a, x):
        return lax.fori_loop(0, 9, lambda i, x: (a @ x) * 0.5 + x[::-1] * np.sum(x), x)

    texts = kernels_of(turned, A.astype("f4"), X.astype("f4"))
    (text,) = (text for text in texts if "step0" in text)
    module = module_text({"kernel": text})
    _, log = nvrtc.compiled_with_log(module, architecture, ("--ptxas-options=-v",))
    assert re.findall(r"(\d+) bytes stack frame", log) == ["0"]
    assert "ld.global.nc" not in nvrtc.ptx(module, architecture)
