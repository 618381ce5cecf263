"""Launches that have nothing to do with each other as one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import functrans as ft
from functrans import lax, nn
from functrans.compiler.instructions import LoopRun, ParallelRun
from tests.helpers.cuda.running import DIVISIONS, ORDERS, emulated, lowered
from tests.helpers.oracles import assert_all_close
from tests.helpers.tiers import interpreted, staged


def launches(function, *args, order=0, division="usual", tolerance=1e-12):
    """The program against the interpreter; its launches."""
    args, structure = ft.tree.flatten(args)
    jaxpr = staged(lambda *args: ft.tree.leaves(function(*ft.tree.unflatten(structure, args))), args)
    assert_all_close(emulated(jaxpr, args, order, division), interpreted(jaxpr, args), tolerance)
    return [launch for found in lowered(jaxpr, args, division).launches.values() for launch in found]


def values(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


@pytest.mark.parametrize("order", ORDERS)
def test_pieces_of_a_rolled_array_are_one_launch(order):
    def step(x):
        return sum(np.roll(x, by, axis) for axis in (0, 1) for by in (-1, 1)) - 4 * x

    assert len(launches(step, values(40, 70), order=order)) == 1


@settings(max_examples=20)
@given(data=st.data())
def test_arrays_that_are_rolled_by_any_number(data):
    shape = tuple(data.draw(st.lists(st.integers(1, 40), min_size=1, max_size=3)))
    shifts = data.draw(st.lists(st.tuples(st.integers(-9, 9), st.integers(0, len(shape) - 1)), min_size=1, max_size=3))
    order, division = data.draw(st.sampled_from(ORDERS)), data.draw(st.sampled_from(list(DIVISIONS)))

    def function(x):
        return x * sum(np.roll(x, by, axis) for by, axis in shifts), np.sum(np.roll(x, *shifts[0]), 0)

    launches(function, values(*shape), order=order, division=division)


@pytest.mark.parametrize("order", ORDERS)
def test_updates_of_all_parameters_are_one_launch(order):
    params = {f"p{k}": values(3 + k, 5, seed=k) for k in range(5)}
    slopes = {name: np.sin(p) for name, p in params.items()}
    found = launches(lambda p, g: ft.tree.map(lambda p, g: p - 0.1 * g, p, g), params, slopes, order=order)
    assert len(found) == 1


def test_what_a_launch_is_told_has_room():
    params = [values(2 + k, 3, 5)[:, ::2, ::2] for k in range(60)]
    found = launches(lambda p: [np.exp(x) * 2.0 for x in p], params)
    assert 1 < len(found) < 30
    assert max(len(launch.arguments) for launch in found) <= 400


@pytest.mark.parametrize("order", ORDERS)
def test_stages_of_reductions_are_launches_of_all_of_them(order):
    """What each of them shares among its stages is in memory of its own."""
    x, y = values(70_000), values(3, 20_001, seed=1)

    def function(x, y):
        return np.sum(x * x), np.max(y, 1), np.sum(np.exp(x[:40_000]))

    first, _ = launches(function, x, y, order=order, division="launches")
    assert first.scratch >= 3 * 256
    assert len(launches(function, x, y, order=order)) == 1


def test_sums_of_columns_run_beside_products(monkeypatch):
    """The gradient of a bias is summed up while the next layer's gradient is computed."""

    def loss(params, x):
        for w, b in params:
            x = np.tanh(x @ w + b)
        return np.sum(nn.softmax(x) ** 2)

    params = [(values(40, 40, seed=k), values(40, seed=k)) for k in range(3)]

    def train(params, x):
        return ft.tree.map(lambda p, g: p - 0.1 * g, params, ft.grad(loss)(params, x))

    assert len(launches(train, params, values(64, 40))) <= 7


@pytest.mark.parametrize("order", ORDERS)
def test_loops_of_launches(order):
    """Every step of a wave on a torus is one launch; few steps are run, to be quick."""

    def step(_, state):
        u, v = state
        v = v + 0.1 * (sum(np.roll(u, by, axis) for axis in (0, 1) for by in (-1, 1)) - 4 * u)
        return u + 0.1 * v, v

    args = values(150, 130), values(150, 130, seed=1)
    launches(lambda *s: lax.fori_loop(0, 3, step, s), *args, order=order)
    encoder = lowered(staged(lambda *s: lax.fori_loop(0, 3, step, s), args), args)
    (loop,) = (i for i in encoder.assembled.block if isinstance(i, LoopRun))
    assert [len(encoder.launches[id(i)]) for i in loop.body] == [1]


def test_kernels_that_are_waited_for_are_launches_of_their_own():
    def function(x):
        return np.roll(x, 3, 0) * 2, np.sum(x, 0)

    x = values(20, 15)
    assert len(launches(function, x)) == 1
    assert len(launches(function, x, division="launches")) == 2
    with ft.config.using(synchronous=True):
        assert len(launches(function, x)) == 4


def test_indices_out_of_bounds_are_found_before_anything_is_read():
    def function(x, i):
        return x[i] * 2.0, np.sum(x, 0), np.roll(x, 1)

    x = values(30)
    launches(function, x, np.arange(20))
    with pytest.raises(ft.errors.OutOfBoundsError):
        emulated(staged(lambda *a: ft.tree.leaves(function(*a)), (x, np.arange(20))), (x, np.arange(20) + 11))


@pytest.mark.parametrize("order", ORDERS)
def test_kernels_of_as_many_rows_that_share_none_of_these_are_no_chain(order):
    """One that is a chain by itself still is."""
    w, v, b = values(200, 300), values(200, 3, seed=1), values(200, seed=2)

    def update(w, v, b):
        return w - 0.1 * np.sin(w), v - 0.1 * np.sin(v), b - 0.1 * np.sin(b), nn.softmax(w * 2)

    launches(update, w, v, b, order=order)
    (run,) = lowered(staged(update, (w, v, b)), (w, v, b)).assembled.block
    assert isinstance(run, ParallelRun)
    assert sorted(len(getattr(member, "links", (member,))) for member in run.members)[:2] == [1, 1]
    assert len(run.members) == 3
