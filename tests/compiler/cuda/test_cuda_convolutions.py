"""Convolutions on the emulated GPU: by kernels, by tiles, and by products of all images at once."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

import functrans as ft
from functrans import lax
from functrans.compiler.convolution import products, tiles
from functrans.compiler.instructions import LoopRun, ProductRun
from tests.helpers.cuda.running import ORDERS, emulated, lowered
from tests.helpers.oracles import assert_all_close
from tests.helpers.tiers import interpreted, staged

BFLOAT16 = np.dtype(ml_dtypes.bfloat16)

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")


def values(*shape):
    return np.random.default_rng(0).normal(size=shape).astype("f4")


def same(x, w):
    return lax.conv(x, w, (1, 1), "SAME")


def strided(x, w):
    return lax.conv(x, w, (2, 2), "VALID")


def grouped(x, w):
    return lax.conv_general_dilated(x, w, (1, 1), "SAME", feature_group_count=2)


def dilated(x, w):
    return lax.conv_general_dilated(x, w, (1, 1), [(2, 1), (0, 3)], lhs_dilation=(2, 1), rhs_dilation=(2, 3))


def depthwise(x, w):
    return lax.conv_general_dilated(x, w, (1, 1), "SAME", feature_group_count=8)


@pytest.mark.parametrize("division", ["usual", "warps", "blocks"])
@pytest.mark.parametrize(
    ("channels", "window", "positions"),
    [(5, (3,), (20,)), (3, (2, 2), (9, 8)), (4, (11,), (200,))],
)
def test_features_that_are_not_divided_evenly(channels, window, positions, division):
    """Kernels of a few features each add to the results of those before them."""
    x = values(1, 2 * channels, *(n + k - 1 for n, k in zip(positions, window))).astype("f8")
    w = values(6, channels, *window).astype("f8")

    def function(x, w):
        y, back = ft.vjp(lambda *args: lax.conv_general_dilated(*args, (1,) * len(window), "VALID", feature_group_count=2), x, w)
        return y, *back(np.sin(y))

    jaxpr = staged(function, (x, w))
    assert_all_close(emulated(jaxpr, (x, w), 2, division), interpreted(jaxpr, (x, w)), 1e-12)


@pytest.fixture
def by_products(monkeypatch):
    """Products by the library, where there are features enough for tiles."""
    monkeypatch.setattr(tiles, "PRODUCT", 1 << 40)
    monkeypatch.setattr(tiles, "PRODUCT_OF_HALVES", 1 << 40)


def check(function, *args, tolerance=1e-5):
    jaxpr = staged(lambda *args: ft.tree.leaves(function(*args)), args)
    encoder = lowered(jaxpr, args)
    assert not encoder.calls_python
    for order in ORDERS:
        assert_all_close(emulated(jaxpr, args, order), interpreted(jaxpr, args), tolerance)
    return encoder.assembled.block


WEIGHTS = {
    same: (32, 8, 3, 3), strided: (32, 8, 3, 3), grouped: (32, 4, 3, 3), dilated: (16, 8, 3, 3),
    depthwise: (8, 1, 3, 3),
}  # fmt: skip


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("function", list(WEIGHTS))
def test_results_and_derivatives(function, dtype):
    x, w = values(3, 8, 10, 10).astype(dtype), values(*WEIGHTS[function]).astype(dtype)
    check(function, x, w)
    check(ft.grad(lambda x, w: np.sum(function(x, w) ** 2), (0, 1)), x, w)


@pytest.mark.parametrize("function", [same, strided, grouped, dilated])
def test_results_and_derivatives_by_products(function, by_products):
    x, w = values(3, 8, 10, 10), values(*WEIGHTS[function])
    check(function, x, w)
    check(ft.grad(lambda x, w: np.sum(function(x, w) ** 2), (0, 1)), x, w)


@pytest.mark.parametrize("function", [same, strided, grouped, depthwise])
def test_half_precision(function, request):
    x, w = values(2, 8, 10, 10).astype("f2"), values(*WEIGHTS[function]).astype("f2")
    check(function, x, w, tolerance=2e-3)
    if function is same:
        request.getfixturevalue("by_products")
        block = check(function, x, w, tolerance=2e-3)
        assert {i.z.dtype for i in block if isinstance(i, ProductRun)} == {np.dtype("f2")}


@pytest.mark.parametrize("way", ["tiles", "products"])
@pytest.mark.parametrize("function", list(WEIGHTS))
def test_bfloat16(function, way, request):
    """Numbers of 16 bits are read, by kernels and by cuBLAS, and sums are rounded once."""
    x, w = values(2, 8, 10, 10).astype(BFLOAT16), (values(*WEIGHTS[function]) / 8).astype(BFLOAT16)
    if way == "products":
        request.getfixturevalue("by_products")
    block = check(function, x, w, tolerance=1e-2)
    if function is same:
        kinds = {i.z.dtype for i in block if isinstance(i, ProductRun)}
        assert kinds == ({BFLOAT16} if way == "products" else set())
    check(ft.grad(lambda x, w: np.sum(function(x, w).astype("f4") ** 2), (0, 1)), x, w, tolerance=3e-2)


@pytest.mark.parametrize("function", [same, grouped, dilated])
def test_integers(function):
    x, w = (np.floor(10 * a).astype("i4") for a in (values(2, 8, 10, 10), values(*WEIGHTS[function])))
    check(function, x, w)


def test_convolutions_are_one_kernel_that_reads_windows_where_they_lie():
    def launches(function):
        x, w = values(4, 8, 12, 12), values(32, 8, 3, 3)
        check(function, x, w)
        found = lowered(staged(function, (x, w)), (x, w)).launches.values()
        return ["sum[r][c]" in launch.source for own in found for launch in own]

    assert launches(lambda x, w: lax.conv(x, w, (1, 1), "VALID")) == [True]
    assert launches(same) == [False, True]  # the padded image first
    assert launches(lambda x, w: np.sin(same(x, w))) == [False, True, False]


@pytest.mark.parametrize(
    ("images", "weights", "dtype", "is_product"),
    [
        ((64, 64, 56, 56), (64, 64, 3, 3), "f4", False),
        ((64, 512, 14, 14), (512, 512, 3, 3), "f4", True),
        ((1, 512, 7, 7), (512, 512, 3, 3), "f4", True),
        ((1, 128, 7, 7), (128, 128, 3, 3), "f4", False),
        ((64, 64, 56, 56), (64, 64, 3, 3), "f2", True),
        ((64, 64, 56, 56), (16, 64, 3, 3), "f2", False),
        ((64, 64, 56, 56), (64, 64, 3, 3), BFLOAT16, True),
        ((64, 64, 56, 56), (16, 64, 3, 3), BFLOAT16, False),
    ],
)
def test_many_features_and_half_precision_are_the_librarys(images, weights, dtype, is_product):
    x, w = (np.broadcast_to(np.ones((), dtype), shape) for shape in (images, weights))
    block = lowered(staged(same, (x, w)), (x, w)).assembled.block
    assert any(isinstance(i, ProductRun) for i in block) is is_product


def test_all_images_at_once(by_products):
    block = check(same, values(4, 8, 12, 12), values(32, 8, 3, 3))
    (product,) = (i for i in block if isinstance(i, ProductRun))
    assert product.z.shape == (4, 32, 144)
    assert product.x.strides[0] == 0
    assert not any(isinstance(i, LoopRun) for i in block)


@pytest.mark.parametrize("room", [1, 100_000])
def test_images_that_there_is_no_room_for_come_later(room, monkeypatch, by_products):
    monkeypatch.setattr(products, "ROOM_ON_GPU", room)
    x, w = values(5, 8, 12, 12), values(32, 8, 3, 3)
    check(same, x, w)
    check(ft.grad(lambda w, x: np.sum(same(x, w) ** 2)), w, x)


def test_derivatives_by_the_window_are_one_product(by_products):
    block = check(ft.grad(lambda w, x: np.sum(same(x, w))), values(32, 8, 3, 3), values(4, 8, 12, 12))
    (product,) = (i for i in block if isinstance(i, ProductRun))
    assert product.x.shape == (1, 32, 4 * 144)
    assert not any(isinstance(i, LoopRun) for i in block)


def test_windows_of_one_element_are_read_where_they_lie():
    block = check(same, values(4, 32, 12, 12), values(32, 32, 1, 1))
    assert [type(i) for i in block] == [ProductRun]
