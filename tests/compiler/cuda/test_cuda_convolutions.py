"""Convolutions on the emulated GPU: by kernels, and by products of all images at once."""

from __future__ import annotations

import numpy as np
import pytest

import functrans as ft
from functrans import lax
from functrans.compiler.convolution import products
from functrans.compiler.instructions import LoopRun, ProductRun
from tests.helpers.cuda.running import ORDERS, emulated, lowered
from tests.helpers.oracles import assert_all_close
from tests.helpers.tiers import interpreted, staged

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")


def values(*shape):
    return np.random.default_rng(0).normal(size=shape).astype("f4")


def same(x, w):
    return lax.conv(x, w, (1, 1), "SAME")


def strided(x, w):
    return lax.conv(x, w, (2, 2), "VALID")


def grouped(x, w):
    return lax.conv_general_dilated(x, w, (1, 1), "SAME", feature_group_count=2)


def check(function, *args):
    jaxpr = staged(lambda *args: ft.tree.leaves(function(*args)), args)
    encoder = lowered(jaxpr, args)
    assert not encoder.calls_python
    for order in ORDERS:
        assert_all_close(emulated(jaxpr, args, order), interpreted(jaxpr, args), 1e-5)
    return encoder.assembled.block


@pytest.mark.parametrize("function", [same, strided, grouped])
def test_results_and_derivatives(function):
    x, w = values(3, 8, 10, 10), values(32, 4 if function is grouped else 8, 3, 3)
    check(function, x, w)
    check(ft.grad(lambda x, w: np.sum(function(x, w) ** 2), (0, 1)), x, w)


def test_all_images_at_once():
    block = check(same, values(4, 8, 12, 12), values(32, 8, 3, 3))
    (product,) = (i for i in block if isinstance(i, ProductRun))
    assert product.z.shape == (4, 32, 144)
    assert product.x.strides[0] == 0
    assert not any(isinstance(i, LoopRun) for i in block)


@pytest.mark.parametrize("room", [1, 100_000])
def test_images_that_there_is_no_room_for_come_later(room, monkeypatch):
    monkeypatch.setattr(products, "ROOM_ON_GPU", room)
    x, w = values(5, 8, 12, 12), values(32, 8, 3, 3)
    check(same, x, w)
    check(ft.grad(lambda w, x: np.sum(same(x, w) ** 2)), w, x)


def test_derivatives_by_the_window_are_one_product():
    block = check(ft.grad(lambda w, x: np.sum(same(x, w))), values(32, 8, 3, 3), values(4, 8, 12, 12))
    (product,) = (i for i in block if isinstance(i, ProductRun))
    assert product.x.shape == (1, 32, 4 * 144)
    assert not any(isinstance(i, LoopRun) for i in block)


def test_windows_of_one_element_are_read_where_they_lie():
    block = check(same, values(4, 32, 12, 12), values(32, 32, 1, 1))
    assert [type(i) for i in block] == [ProductRun]
