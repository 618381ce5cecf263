"""Half precision on the emulated GPU: sums and products of matrices add up in single precision."""

from __future__ import annotations

import numpy as np
import pytest

import functrans as ft
from functrans import nn
from tests.helpers.cuda.running import ORDERS, emulated, lowered
from tests.helpers.oracles import assert_all_close
from tests.helpers.tiers import interpreted, staged

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")

HALF = np.dtype(np.float16)


def values(*shape):
    return np.random.default_rng(0).normal(size=shape).astype(HALF)


def loss(w, x):
    return np.sum(nn.log_softmax(x @ w)[:, 0])


PROGRAMS = {
    "reductions of rows": (lambda x: (np.sum(x, 1), np.max(x, 1), np.prod(1 + x * HALF.type(0.1), 1)), (values(5, 90),)),
    "reductions of columns": (lambda x: (np.sum(x, 0), np.min(x, 0)), (values(300, 40),)),
    "a reduction in parts": (lambda x: np.sum(x * x), (values(40_000),)),
    "chains of rows": (lambda x: nn.softmax(x), (values(100, 300),)),
    "places of extremes": (lambda x: np.argmax(x, 1), (values(3, 70),)),
    "small matrices": (lambda x, y: x @ y, (values(3, 4), values(4, 5))),
    "matrices": (lambda x, y: (x @ y, x.T @ y.T), (values(80, 80), values(80, 80))),
    "stacks of matrices": (lambda x: x @ np.swapaxes(x, 1, 2), (values(3, 50, 60),)),
    "derivatives": (lambda w, x: ft.grad(loss)(w, x), (values(40, 30), values(60, 40))),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_programs(name):
    function, args = PROGRAMS[name]
    jaxpr = staged(lambda *args: ft.tree.leaves(function(*args)), args)
    assert not lowered(jaxpr, args).calls_python
    wanted = interpreted(jaxpr, args)
    for order in ORDERS:
        assert_all_close(emulated(jaxpr, args, order), wanted, 4e-3)


@pytest.mark.parametrize("division", ["usual", "warps", "blocks"])
def test_sums_are_rounded_once(division):
    """What adds up may be larger than any number of half precision."""
    x = np.repeat(np.array([60_000, 16, -60_000], HALF), 400) * np.ones((4, 1), HALF)
    jaxpr = staged(lambda x: [np.sum(x, 1)], (x,))
    (found,) = emulated(jaxpr, (x,), division=division)
    np.testing.assert_array_equal(found, np.full(4, 6400, HALF))


def test_products_in_a_sum_are_exact():
    x = np.full((1, 5), 300, HALF)
    y = np.array([300, -300, 300, -300, 1], HALF).reshape(5, 1)
    jaxpr = staged(lambda x, y: [x @ y], (x, y))
    assert emulated(jaxpr, (x, y))[0] == 300
