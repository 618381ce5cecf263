"""Sums of products of matrices on the emulated GPU, where cuBLAS adds to what is there."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import functrans as ft
from functrans.compiler import totals
from functrans.compiler.instructions import ChainRun, KernelRun, ParallelRun, ProductRun
from tests.helpers.cuda.running import ORDERS, emulated, lowered
from tests.helpers.oracles import assert_all_close
from tests.helpers.tiers import interpreted, staged


@pytest.fixture(autouse=True, scope="module")
def little_products():
    """Products of any size, so that arrays are small."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(totals, "LITTLE_WORK", 0)
        yield


def values(*shape, dtype="f8", seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


def check(function, *args, order=0):
    """The program against the interpreter; which of its products are added to others, and its kernels."""
    jaxpr = staged(lambda *args: ft.tree.leaves(function(*args)), args)
    assert_all_close(emulated(jaxpr, args, order), interpreted(jaxpr, args), 1e-12)
    block = lowered(jaxpr, args).assembled.block
    runs = [i for run in block for i in (run.members if isinstance(run, ParallelRun) else [run])]
    links = [i for run in runs for i in (run.links if isinstance(run, ChainRun) else [run])]
    return [i.adds for i in block if isinstance(i, ProductRun)], [i for i in links if isinstance(i, KernelRun)]


X, Y, Z, W = (values(40, 40, seed=seed) for seed in range(4))


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize(
    ("function", "adds", "kernels"),
    [
        (lambda x, y, z, w: x @ y + z @ w, [False, True], 0),
        (lambda x, y, z, w: np.tanh(x @ y + z @ w), [False, True], 1),
        (lambda x, y, z, w: (x @ y + z @ w) + w @ x, [False, True, True], 0),
        (lambda x, y, z, w: np.sum(x @ y + z @ w, 1), [False, True], 1),
        (lambda x, y, z, w: (x @ y + z @ w) * (z @ w), [False, False], 1),  # one is needed as such
        (lambda x, y, z, w: (x @ y + z @ w, np.sin(z @ w)), [False, False], 1),
        (lambda x, y, z, w: x @ y - z @ w, [False, False], 1),
        (lambda x, y, z, w: x @ y + (z @ w).T, [False, False], 1),
        (lambda x, y, z, w: x @ y + x, [False], 1),
        (lambda x, y, z, w: x @ y + np.tanh(x @ y) @ w, [False, False], 2),
        (lambda x, y, z, w: np.stack([x, y]) @ z + np.stack([z, w]) @ y, [False, True], 4),
    ],
)
def test_sums_of_products(function, adds, kernels, order):
    found, runs = check(function, X, Y, Z, W, order=order)
    assert found == adds
    assert len(runs) == kernels


def test_sums_of_products_in_single_precision_and_of_little_work_are_kernels_too(monkeypatch):
    monkeypatch.setattr(totals, "LITTLE_WORK", 1 << 30)
    assert check(lambda x, y: x @ y + y @ x, X, Y)[0] == [False, False]


@pytest.mark.parametrize("order", ORDERS)
def test_in_loops_and_into_donated_arrays(order):
    def steps(x, y):
        return ft.lax.fori_loop(0, 3, lambda _, s: (0.1 * (s[0] @ s[1] + s[1] @ y), s[0]), (x, y))

    check(steps, X, Y, order=order)
    args = X, Y, Z
    jaxpr = staged(lambda x, y, z: [x @ y + y @ z], args)
    wanted = interpreted(jaxpr, args)
    for donated in ((0,), (1,), (2,), (0, 1, 2)):
        assert_all_close(emulated(jaxpr, args, order, donated=donated), wanted, 1e-12)


def test_a_second_derivative_of_a_network_adds_its_products_up():
    def loss(params, x):
        for w in params:
            x = np.tanh(x @ w)
        return np.sum(x * x)

    def product(v, w, x):
        return ft.hvp(lambda params: loss(params, x), [v, w], [v, w])

    found, _ = check(product, values(20, 30) / 5, values(30, 25, seed=1) / 5, values(15, 20, seed=2))
    assert any(found)


@settings(max_examples=25)
@given(data=st.data())
def test_random_sums_of_products(data):
    """What is added up, used twice, and in which order, is chosen at random."""
    found = [values(6, 6, seed=seed) for seed in range(3)]

    def program(*start):
        known = list(start)
        for _ in range(steps):
            x, y = (known[k % len(known)] for k in chosen.pop())
            kind = kinds.pop()
            known.append(x @ y if kind < 3 else x + y if kind < 6 else np.sin(x) * 0.5)
        return known[-3:]

    steps = data.draw(st.integers(3, 12))
    chosen_first = data.draw(st.lists(st.tuples(st.integers(0, 99), st.integers(0, 99)), min_size=steps, max_size=steps))
    kinds_first = data.draw(st.lists(st.integers(0, 6), min_size=steps, max_size=steps))
    chosen, kinds = list(chosen_first), list(kinds_first)
    jaxpr = staged(program, found)
    wanted = interpreted(jaxpr, found)
    scale = max(1.0, *(float(np.max(np.abs(w))) for w in wanted))
    got = emulated(jaxpr, found, data.draw(st.sampled_from(ORDERS)))
    for one, other in zip(got, wanted, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-9 * scale)
