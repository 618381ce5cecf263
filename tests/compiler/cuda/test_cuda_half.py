"""Half precision and bfloat16 on the emulated GPU: sums and products of matrices add up in single precision."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

import functrans as ft
from functrans import nn
from functrans.errors import DeviceError
from tests.helpers.cuda.device import refusing
from tests.helpers.cuda.running import ORDERS, emulated, lowered
from tests.helpers.oracles import assert_all_close
from tests.helpers.tiers import interpreted, staged

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")

HALF = np.dtype(np.float16)
BFLOAT16 = np.dtype(ml_dtypes.bfloat16)
TOLERANCES = {HALF: 4e-3, BFLOAT16: 1.6e-2}


def values(*shape):
    return np.random.default_rng(0).normal(size=shape)


def loss(w, x):
    return np.sum(nn.log_softmax(x @ w)[:, 0])


def updates(x, i):
    at = ft.numpy.at(x)
    return at[i].add(x), at[i].set(x), at[i].max(0.5), at[i].multiply(2), at[3].add(1.5), at[i[0]].min(-1)


PROGRAMS = {
    "elementwise": (lambda x: (np.sin(x) * 2.1 + x, np.nextafter(x, x + 1), x > 0.1, np.where(x > 0, x, 1.5), x.astype("f4")), (values(5, 9),)),
    "reductions of rows": (lambda x: (np.sum(x, 1), np.max(x, 1), np.prod(1 + x * 0.1, 1)), (values(5, 90),)),
    "reductions of columns": (lambda x: (np.sum(x, 0), np.min(x, 0)), (values(300, 40),)),
    "a reduction in parts": (lambda x: np.sum(x * x), (values(40_000),)),
    "chains of rows": (lambda x: nn.softmax(x), (values(100, 300),)),
    "places of extremes": (lambda x: np.argmax(x, 1), (values(3, 70),)),
    "small matrices": (lambda x, y: x @ y, (values(3, 4), values(4, 5))),
    "matrices": (lambda x, y: (x @ y, x.T @ y.T), (values(80, 80), values(80, 80))),
    "stacks of matrices": (lambda x: x @ np.swapaxes(x, 1, 2), (values(3, 50, 60),)),
    "derivatives": (lambda w, x: ft.grad(loss)(w, x), (values(40, 30), values(60, 40))),
    "transposes": (lambda x: x.T + x, (values(70, 70),)),
    "cumulative sums": (lambda x: np.cumsum(x, 1), (values(7, 80),)),
    "loops": (lambda x: ft.lax.scan(lambda c, y: (c * 0.5 + y, c), x[0], x), (values(40),)),
    "updates": (updates, (values(40), np.arange(40) % 7)),
    "convolutions": (lambda x, w: ft.lax.conv(x, w, (1, 1), "SAME"), (values(2, 3, 6, 7), values(4, 3, 3, 3))),
}  # fmt: skip


@pytest.mark.parametrize("dtype", TOLERANCES, ids=str)
@pytest.mark.parametrize("name", PROGRAMS)
def test_programs(name, dtype):
    function, args = PROGRAMS[name]
    args = tuple(x.astype(dtype) if x.dtype.kind == "f" else x for x in args)
    jaxpr = staged(lambda *args: ft.tree.leaves(function(*args)), args)
    assert not lowered(jaxpr, args).calls_python
    wanted = interpreted(jaxpr, args)
    for order in ORDERS:
        assert_all_close(emulated(jaxpr, args, order), wanted, TOLERANCES[dtype])


@pytest.mark.parametrize("other", ["f2", "f4", "f8", "i4", "?"])
def test_casts_of_every_bfloat16(other):
    """There, in range, and back from numbers that lie between and halfway between those of bfloat16."""
    every = np.arange(1 << 16, dtype=np.uint16).view(BFLOAT16)
    x = every[np.abs(every.astype(float)) < 2.0**31] if other == "i4" else every
    between = np.concatenate([every.astype("f4") * np.float32(f) for f in (1, 1 + 2.0**-9, 1 + 2.0**-8, 1.001)])
    between = between[np.abs(between) < 2.0**31] if other == "i4" else between
    y = between.astype(other)
    for args, dtype in (((x,), np.dtype(other)), ((y,), BFLOAT16)):
        (found,) = emulated(staged(lambda x: [x.astype(dtype)], args), args)
        wanted = args[0].astype(dtype)
        assert found.dtype == dtype
        np.testing.assert_array_equal(*(v.astype(float) for v in (found, wanted)))
        np.testing.assert_array_equal(*(np.signbit(v.astype(float)) & (v == 0) for v in (found, wanted)))


PRODUCTS = {
    "a product": lambda x, y: x @ y,
    "of transposes": lambda x, y: (x.T @ y.T).T,
    "derivatives": lambda x, y: ft.grad(lambda x, y: np.sum(np.tanh(x @ y)), (0, 1))(x, y),
    "in a loop": lambda x, y: ft.lax.scan(lambda c, _: (np.tanh(c @ x), None), y, None, 3)[0],
}


@pytest.mark.parametrize("name", PRODUCTS)
def test_large_products_of_bfloat16_are_those_of_the_library(name):
    args = tuple(values(80, 80).astype(BFLOAT16) / 8 for _ in range(2))
    jaxpr = staged(lambda *args: ft.tree.leaves(PRODUCTS[name](*args)), args)
    for found, wanted in zip(emulated(jaxpr, args), interpreted(jaxpr, args), strict=True):
        assert_all_close([found], [wanted], 1.6e-2)
    with refusing("cublasGemmStridedBatchedEx_64", 7), pytest.raises(DeviceError, match="A product of matrices"):
        emulated(jaxpr, args)


def test_products_that_are_not_rounded_stay_in_single_precision():
    args = (np.full((70, 70), 3, BFLOAT16),)
    jaxpr = staged(lambda x: [x.astype("f4") @ x.astype("f4"), (x.astype("f4") @ x).astype(BFLOAT16)], args)
    with refusing("cublasGemmStridedBatchedEx_64", 7):
        assert emulated(jaxpr, args)[0][0, 0] == 630


def test_random_numbers_of_bfloat16():
    key = ft.random.key(0)
    jaxpr = staged(lambda key: [ft.random.uniform(key, (33,), BFLOAT16), ft.random.normal(key, (33,), BFLOAT16)], (key,))
    (uniform, normal), wanted = emulated(jaxpr, (key,)), interpreted(jaxpr, (key,))
    np.testing.assert_array_equal(uniform, wanted[0])
    assert_all_close([normal], wanted[1:], 1e-2)


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
