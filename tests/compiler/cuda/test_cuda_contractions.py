"""Sums of products that share tiles of their operands: on the emulator, and compiled for GPUs."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from functrans import lax
from functrans.compiler.backends.cuda import contractions, layouts, nvrtc
from functrans.compiler.backends.cuda.contractions import TILES
from functrans.compiler.backends.cuda.launches import module_text
from tests.helpers.bits import assert_same_bits
from tests.helpers.cuda.running import ORDERS, emulated, kernels_of, lowered
from tests.helpers.oracles import assert_all_close
from tests.helpers.tiers import interpreted, staged

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")


def launches_of(function, *args, division="usual"):
    found = lowered(staged(function, args), args, division)
    return [launch for launches in found.launches.values() for launch in launches]


def integers(shape, dtype="i8", seed=0):
    return np.random.default_rng(seed).integers(-9, 9, shape).astype(dtype)


@settings(max_examples=15)
@given(data=st.data())
def test_products_of_integers(data):
    """Any extents and strides; integers are exact, and wrap around."""
    dtype = data.draw(st.sampled_from(["i8", "i2", "u1"]))
    batch, rows, terms, columns = (data.draw(st.integers(1, n)) for n in (3, 70, 40, 70))
    x = integers((batch, rows, terms), dtype)
    y = integers((batch, terms, columns), dtype, seed=1)
    if data.draw(st.booleans()):
        x = integers((batch, terms, rows), dtype).swapaxes(1, 2)[:, ::-1]
    if data.draw(st.booleans()):
        y = np.broadcast_to(y[0], y.shape)
    jaxpr = staged(lambda x, y: np.einsum("bij,bjk->ibk", x, y), (x, y))
    order, division = data.draw(st.sampled_from(ORDERS)), data.draw(st.sampled_from(["usual", "tiles"]))
    assert_same_bits(emulated(jaxpr, (x, y), order, division), interpreted(jaxpr, (x, y)))


FITTING = [(dtype, tile) for dtype in ("f4", "i8") for tile in TILES if tile.fits(np.dtype(dtype).itemsize)]


@pytest.mark.parametrize(("dtype", "tile"), FITTING, ids=str)
def test_every_tile(dtype, tile, monkeypatch):
    monkeypatch.setattr(contractions, "TILES", (tile,))
    x, y = integers((tile.rows + 5, 37), dtype), integers((37, tile.columns + 3), dtype, seed=1)

    def function(x, y):
        return np.sum(x[:, None] * y.T, -1)

    (launch,) = launches_of(function, x, y)
    assert launch.grid == (4, 1, 1)
    jaxpr = staged(function, (x, y))
    for order in ORDERS:
        assert_same_bits(emulated(jaxpr, (x, y), order), interpreted(jaxpr, (x, y)))


@pytest.mark.parametrize("order", ORDERS)
def test_few_results_of_many_terms_are_summed_up_in_parts(order):
    x, y = integers((5000, 40)), integers((5000, 33), seed=1)
    launches = launches_of(lambda x, y: x.T @ y, x, y)
    assert len(launches) == 2
    assert launches[0].grid[1] > 1
    jaxpr = staged(lambda x, y: x.T @ y, (x, y))
    assert_same_bits(emulated(jaxpr, (x, y), order), interpreted(jaxpr, (x, y)))


@pytest.mark.parametrize("division", ["usual", "wide"])
def test_half_precision_is_summed_up_in_single(division):
    x, w = (np.random.default_rng(k).normal(size=s).astype("f2") for k, s in enumerate([(2, 16, 9, 9), (16, 16, 3, 3)]))
    jaxpr = staged(lambda x, w: lax.conv(x, w, (1, 1), "VALID"), (x, w))
    wide = staged(lambda x, w: lax.conv(x, w, (1, 1), "VALID"), (x.astype("f4"), w.astype("f4")))
    (wanted,) = interpreted(wide, (x.astype("f4"), w.astype("f4")))
    assert_all_close(emulated(jaxpr, (x, w), division=division), [wanted.astype("f2")], 1e-3)


def test_what_is_no_product_of_rows_and_columns_is_reduced_as_ever():
    x, y = integers((64, 64)), integers((64, 64), seed=1)
    for function in (
        lambda x, y: np.sum(x * y, 1),
        lambda x, y: np.sum(x[:, None] * x[:, None] + y, -1),
        lambda x, y: np.max(x[:, None] * y, -1),
        lambda x, y: np.sum(x[:4, None] * y, -1),
    ):
        assert not any("sum[r][c]" in launch.source for launch in launches_of(function, x, y))
    (launch,) = launches_of(lambda x, y: x @ y, x, y)
    assert "sum[r][c]" in launch.source


def test_a_second_shape_needs_no_second_kernel():
    def texts(n):
        return kernels_of(lambda x, y: x @ y, integers((n, n + 1)), integers((n + 1, n)))

    assert texts(900) == texts(901)


@pytest.mark.skipif(not nvrtc.is_available(), reason="NVRTC is not installed: pip install nvidia-cuda-nvrtc")
@pytest.mark.parametrize(
    "architecture", ["sm_90", *(pytest.param(name, marks=pytest.mark.slow) for name in ("sm_80", "sm_120"))]
)
def test_tiles_need_no_memory_of_their_own(architecture, monkeypatch):
    """Of each size and dtype; what threads share is read by 16 bytes."""
    texts, wanted = [], 0
    for dtype in ("f4", "f8"):
        x, w = np.ones((2, 16, 10, 10), dtype), np.ones((32, 16, 3, 3), dtype)
        for tile in TILES:
            if tile.fits(max(4, np.dtype(dtype).itemsize)):
                wanted += 1
                monkeypatch.setattr(contractions, "TILES", (tile,))
                texts += [t for t in kernels_of(lambda x, w: lax.conv(x, w, (1, 1), "SAME"), x, w) if "sum[r][c]" in t]
    functions = {f"kernel_{k}": text for k, text in enumerate(dict.fromkeys(texts))}
    assert len(functions) == wanted
    _, log = nvrtc.compiled_with_log(module_text(functions), architecture, ("--ptxas-options=-v",))
    assert set(re.findall(r"(\d+) bytes stack frame", log)) == {"0"}
    ptx = nvrtc.ptx(module_text(functions), architecture)
    assert re.search(r"ld\.shared\.v4\.(f|b|u)32", ptx)
    assert re.search(r"ld\.shared\.v2\.(f|b|u)64", ptx)


def test_parts_do_not_take_more_memory_than_there_is_for_them(monkeypatch):
    x, y = integers((5000, 40)), integers((5000, 33), seed=1)
    monkeypatch.setattr(contractions, "MOST_SCRATCH", 40 * 33 * 8 * 2)
    launches = launches_of(lambda x, y: x.T @ y, x, y)
    assert launches[0].grid[1] == 2
    assert launches[0].scratch <= 2 * 40 * 33 * 8 + 256
    assert layouts.MOST_PARTS > 2
