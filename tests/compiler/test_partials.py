"""Large reductions in parts, and chains of what computes rows and what sums up groups of them."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import functrans as ft
from functrans.compiler import partials
from functrans.compiler.backends.cpu import tiers
from functrans.compiler.instructions import ChainRun
from tests.fuzz import Case
from tests.helpers.bits import assert_same_bits
from tests.helpers.limits import limited
from tests.helpers.tiers import assembled

fnp = ft.numpy
pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")
TIER = st.sampled_from(["quick", "thorough", "threads"])
#: Tiny arrays are divided as large ones are.
TINY = ("parts", "chains")


REDUCTIONS = {"sum": fnp.sum, "max": fnp.max, "min": fnp.min, "prod": fnp.prod, "any": fnp.any}


@st.composite
def programs(draw: Any) -> Any:
    """Arrays that are computed, stored and reduced, then used with what they were reduced to; nothing rounds."""
    shape = tuple(draw(st.lists(st.sampled_from([1, 2, 5, 8, 12, 17, 24]), min_size=1, max_size=3)))
    order, dtype = draw(st.sampled_from("CF")), draw(st.sampled_from(["f8", "f4", "i4"]))
    x, y = np.random.default_rng(draw(st.integers(0, 99))).integers(-1, 2, (2, *shape)).astype(dtype)
    turned = draw(st.booleans())
    axes = st.lists(st.integers(0, len(shape) - 1), unique=True, min_size=1).map(tuple)
    steps = draw(st.lists(st.tuples(st.sampled_from(sorted(REDUCTIONS)), axes), min_size=1, max_size=3))

    def function(x: Any, y: Any) -> Any:
        found = []
        for name, axes in steps:
            stored = fnp.sign(x * 2 - y)
            reduced = REDUCTIONS[name](stored, axis=axes, keepdims=True)
            x, y = (fnp.sign(stored + reduced), stored[::-1]) if turned else (fnp.sign(stored - reduced), x)
            found += [stored, reduced]
        return found, x

    return function, (np.asarray(x, order=order), y)


@settings(max_examples=60)
@given(drawn=programs(), tier=TIER)
def test_reductions_in_parts(drawn: Any, tier: str) -> None:
    function, args = drawn
    Case("parts", function, args, None, TINY).check(tier)


def normalised(x: Any, w: Any) -> Any:
    centred = x - fnp.mean(x, 0)
    scaled = centred / fnp.sqrt(fnp.mean(centred**2, 0) + 1e-5)
    shares = fnp.exp(scaled - fnp.max(scaled, 0))
    return fnp.sum(shares / fnp.sum(shares, 0) * w)


@pytest.mark.parametrize("name", ["quick", "thorough", "threads"])
@pytest.mark.parametrize("shape", [(400, 90), (389, 90), (20, 17, 30), (33000,)], ids=str)
def test_normalisation_along_the_first_axis(shape: tuple[int, ...], name: str) -> None:
    x, w = np.random.default_rng(0).standard_normal((2, *shape))
    Case("normalised", ft.value_and_grad(normalised), (x, w), 1e-12).check(name)


def with_column_sums(x: Any) -> Any:
    y = fnp.tanh(x)
    z = y * fnp.sum(y, 1, keepdims=True)
    return y, z, fnp.sum(z, 0)


def test_columns_are_summed_up_where_rows_are_in_the_cache() -> None:
    x = np.random.default_rng(0).standard_normal((400, 300))
    chain = assembled(with_column_sums, x).block[0]
    assert isinstance(chain, ChainRun)
    assert {link.kernel.shape[0] for link in chain.links} == {400, chain.rows}
    assert 400 % chain.rows == 0
    for name in ("quick", "thorough", "threads"):
        Case("column sums", with_column_sums, (x,), 1e-13).check(name)


def test_what_is_reduced_must_be_in_the_same_rows() -> None:
    def function(x: Any) -> Any:
        y = fnp.sign(x)
        return y, fnp.sum(y[::-1], 0), fnp.sum(y.reshape(600, 200), 0), fnp.sum(y.T, 0)

    x = np.random.default_rng(0).standard_normal((400, 300))
    for name in ("quick", "thorough", "threads"):
        Case("other rows", function, (x,), None).check(name)


@pytest.mark.parametrize("name", ["quick", "threads"])
def test_what_a_chain_in_a_branch_computes_is_kept(name: str) -> None:
    """Rows that only a chain needs take each other's places; those of a branch's results are for others."""

    def function(p: Any, x: Any) -> Any:
        y, z = ft.lax.cond(p, lambda: (np.sort(x, 0), x), lambda: (x + 1, x))
        return np.sort(y), np.sort(z)

    x = np.random.default_rng(0).standard_normal((40, 9))
    Case("branches", function, (np.bool_(False), x), None, ("chains", "few rows at a time")).check(name)


@pytest.mark.parametrize("name", ["quick", "threads"])
def test_rows_beside_a_row_are_not_in_its_chain(name: str) -> None:
    def function(frame: Any, x: Any) -> Any:
        framed = fnp.at(frame * 2)[1:-1].set(np.sign(x) * 2)
        return framed, framed[:-2] * 3 + framed[2:] - framed[1:-1]

    frame, x = (np.random.default_rng(0).integers(-3, 4, (n, 9)).astype(float) for n in (42, 40))
    limits = ("chains", "few rows at a time", "everything stored", "whole patchworks")
    Case("neighbours", function, (frame, x), None, limits).check(name)


def test_the_state_of_a_loop_lasts_as_long_as_a_chain_reads_it() -> None:
    """It may have ended in the place that the loop made for it, which is free for others afterwards."""

    def function(n: Any, x: Any) -> Any:
        step = lambda _, state: tuple(np.sort(y[:, ::-1]) - y for y in state)  # noqa: E731
        x, y, z = ft.lax.fori_loop(0, n, step, (x * 2, x * 3, x * 4))
        return np.sort(np.concatenate([z, np.zeros_like(z)], 1), 0), np.sort(x, 0)

    x = np.random.default_rng(0).integers(-3, 4, (17, 30)).astype(float)
    Case("states", function, (np.int64(3), x), None, ("chains", "few rows at a time")).check("quick")


def test_any_number_of_threads_gives_the_same_sums(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiers, "PAYS", -1)
    x = np.random.default_rng(0).standard_normal((1200, 400)) * 1e3
    f = ft.jit(lambda x: (fnp.sum(x, 0), fnp.mean(fnp.exp(x / 1e4)), with_column_sums(x), normalised(x, x)))
    found = []
    for count in (1, 2, 3, 64):
        with ft.config.using(threads=count):
            found.append(ft.tree_util.tree_leaves(f(x)))
    for other in found[1:]:
        assert_same_bits(other, found[0])


@pytest.mark.parametrize("kept", [1000, 5])
def test_all_pairs_are_reduced_row_by_row(kept: int) -> None:
    """Unless there are too few rows for threads to share them."""

    def function(x: Any, y: Any) -> Any:
        return fnp.sum(abs(x[:, None] - y[None]), 1)

    x, y = np.arange(float(kept)), np.arange(20000.0)
    first = assembled(function, x, y).block[0]
    assert first.kernel.shape == (kept, 20000) if kept == 1000 else first.kernel.shape[1:] == (kept, 20000 / first.rows)
    Case("pairs", function, (x, y), None).check("threads")


@pytest.mark.parametrize(("extent", "elements"), [(2000, 2_000_000), (389, 40_000), (32, 1 << 20), (10**7, 10**7)])
def test_parts_are_of_equal_size_where_that_is_possible(extent: int, elements: int) -> None:
    count = partials.number_of_parts(extent, elements)
    assert 2 <= count <= extent // partials.LEAST_EXTENT
    most = max(partials.PARTS, elements // partials.ELEMENTS_OF_PART)
    divisors = [n for n in range(1, min(most, extent // partials.LEAST_EXTENT) + 1) if extent % n == 0]
    assert extent % count == 0 or max(divisors) <= min(most, extent // partials.LEAST_EXTENT) // 2


@pytest.mark.parametrize("shape", [(40, 3000), (3000, 40), (17, 40, 3000), (64, 64, 64)], ids=str)
def test_parts_of_whole_arrays_have_whole_rows(shape: tuple[int, ...]) -> None:
    x = np.random.default_rng(0).normal(size=shape)
    assert ft.jit(np.sum)(x) == pytest.approx(x.sum(), rel=1e-12)
    parts, *loops, row = re.findall(r"range\((\d+)\)", str(ft.jit(np.sum).lower(x).kernels).split("# [2]")[0])
    assert int(row) == shape[-1]
    assert int(parts) >= 16


def test_what_adds_to_what_is_there_is_not_divided() -> None:
    rng = np.random.default_rng(0)
    x, w = rng.normal(size=(1, 3, 18, 18)), rng.normal(size=(16, 3, 7, 7))

    def loss(x: Any, w: Any) -> Any:
        return np.sum(ft.lax.conv_general_dilated(x, w, (2, 2), ((3, 2), (3, 2))) ** 2)

    wanted = ft.grad(loss)(x, w)
    with limited(TINY):
        found = ft.jit(ft.grad(loss))(x, w)
    np.testing.assert_allclose(found, wanted, rtol=1e-10, atol=1e-10)
