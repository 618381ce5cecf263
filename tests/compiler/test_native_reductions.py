"""Reductions and updates of float16, booleans and complex numbers in native programs; powers of complex numbers."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import functrans as ft
from tests.fuzz import Case
from tests.helpers.tiers import interpreted, natively, staged

fnp = ft.numpy
pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")
TIER = st.sampled_from(["quick", "thorough", "threads"])
REDUCTIONS = {
    "sum": fnp.sum, "prod": fnp.prod, "max": fnp.max, "min": fnp.min, "argmax": fnp.argmax, "argmin": fnp.argmin,
    "mean": fnp.mean,
}  # fmt: skip
#: Of which nothing rounds: sums stay small, products have one factor that is no root of unity.
NUMBERS = {"f2": [-1, 0, 1, 2], "c8": [1, -1, 1j, 0.5 - 1j, 0, 2], "c16": [1, -1, 1j, 0.5 - 1j, 0, 2]}
ROOTS = {"f2": [1, -1], "c8": [1, -1, 1j], "c16": [1, -1, 1j]}


def check(function: Any, *args: Any, tier: str, tolerance: float | None = None) -> None:
    """Raise AssertionError unless both backends agree, and the program never returns to Python."""
    assert "Python" not in str(ft.jit(function).lower(*args).kernels)
    Case("reductions", function, args, tolerance, ("parts", "chains")).check(tier)


@settings(max_examples=50)
@given(
    dtype=st.sampled_from(sorted(NUMBERS)), name=st.sampled_from(sorted(REDUCTIONS)), data=st.data(), tier=TIER,
    shape=st.lists(st.sampled_from([1, 2, 3, 5, 17, 40]), min_size=1, max_size=3).map(tuple),
)  # fmt: skip
def test_reductions(dtype: str, name: str, data: Any, tier: str, shape: tuple[int, ...]) -> None:
    axis = data.draw(st.none() | st.integers(-len(shape), len(shape) - 1))
    random = np.random.default_rng(data.draw(st.integers(0, 99)))
    x = random.choice(np.array((ROOTS if name == "prod" else NUMBERS)[dtype], dtype), shape)
    if name in ("max", "min", "argmax", "argmin") and data.draw(st.booleans()):
        x.reshape(-1)[random.integers(0, x.size)] = data.draw(st.sampled_from([np.nan, np.inf, -np.inf]))
    x = x[..., ::-1] if data.draw(st.booleans()) else x
    tolerance = (1e-3 if dtype == "f2" else 1e-6) if name == "mean" else None
    check(lambda x: REDUCTIONS[name](x * 1, axis=axis), x, tier=tier, tolerance=tolerance)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize(("name", "worst"), [("max", -np.inf), ("min", np.inf)])
def test_extremes_of_chosen_elements_are_computed_with_vectors(dtype: str, name: str, worst: float) -> None:
    x = np.random.default_rng(0).normal(size=(4, 900)).astype(dtype)
    x[0, :2] = np.nan, 7
    function = lambda x, mask: getattr(np, name)(np.where(mask, x, worst), axis=1)  # noqa: E731
    for mask in (x > 0, x > 9, x == x, x < 9):
        check(function, x, mask, tier="thorough")
    text = ft.jit(function).lower(x, x > 0).optimized_llvm
    assert re.search(rf"<\d+ x {'float' if dtype == 'f4' else 'double'}> @llvm\.{name}imum\.v", text)


@settings(max_examples=40)
@given(
    dtype=st.sampled_from(["f2", "c8", "c16", "?"]), mode=st.sampled_from([None, "drop", "clip"]), data=st.data(),
    name=st.sampled_from(["add", "multiply", "max", "min"]), tier=TIER,
)  # fmt: skip
def test_updates_of_the_same_elements(dtype: str, mode: str | None, data: Any, name: str, tier: str) -> None:
    random = np.random.default_rng(data.draw(st.integers(0, 99)))
    numbers = np.array(ROOTS.get(dtype, [False, True]), dtype)
    x, updates = random.choice(numbers, (6, 2)), random.choice(numbers, (9, 2))
    index = random.integers(-6, 6, 9) if mode is None else random.integers(-9, 9, 9)
    check(lambda x, u: getattr(fnp.at(x)[index], name)(u, mode=mode), x, updates, tier=tier)


@settings(max_examples=30)
@given(
    spec=st.sampled_from(["i,i->", "ij,j->i", "ij,i->j", "bi,bi->b", "bij,bj->bi", "ij,jk->ik"]), tier=TIER,
    dtypes=st.tuples(*[st.sampled_from(["c8", "c16", "f8"])] * 2), extent=st.sampled_from([1, 2, 8, 9, 30, 700]),
    is_conjugated=st.booleans(),
)  # fmt: skip
def test_products_of_complex_numbers(
    spec: str, tier: str, dtypes: tuple[str, str], extent: int, is_conjugated: bool
) -> None:
    terms, _ = spec.split("->")
    summed = next(axis for axis in terms if axis not in spec.split("->")[1])
    extents = {**dict.fromkeys("bijk", 3), summed: extent}
    random = np.random.default_rng(0)
    x, y = (
        np.round(3 * random.normal(size=(2, *(extents[axis] for axis in own)))) for own in terms.split(",")
    )  # nothing rounds
    x, y = ((z[0] + 1j * z[1] if d != "f8" else z[0]).astype(d) for z, d in zip((x, y), dtypes))
    check(lambda x, y: fnp.einsum(spec, np.conj(x) if is_conjugated else x, y), x, y, tier=tier)


def test_sums_of_products_of_complex_vectors_are_one_pass() -> None:
    x = np.ones(900) * 1j
    text = str(ft.jit(lambda x, y: np.vdot(x, y)).lower(x, x).kernels)
    assert text.count("for ") == 1
    assert "BLAS" not in text


def test_float16_is_added_up_in_single_precision() -> None:
    x = np.full((3, 3000), 1.001, np.float16)
    np.testing.assert_array_equal(ft.jit(lambda x: np.sum(x, axis=1))(x), x.astype("f4").sum(axis=1).astype("f2"))
    np.testing.assert_array_equal(ft.jit(lambda x: x[0] @ x[1])(x), (x[0].astype("f4") @ x[1]).astype("f2"))


EXPONENTS = st.integers(-120, 120) | st.floats(-4, 4) | st.complex_numbers(max_magnitude=3)


@settings(max_examples=60)
@given(
    dtype=st.sampled_from(["c8", "c16"]), seed=st.integers(0, 99), tier=TIER,
    exponents=st.lists(EXPONENTS, min_size=1, max_size=9),
)  # fmt: skip
def test_powers_of_complex_numbers(dtype: str, seed: int, tier: str, exponents: list[complex]) -> None:
    z = np.exp(np.random.default_rng(seed).uniform(-0.2, 0.2, (20, 2)) @ [[1], [10j]]).astype(dtype)
    z[0] = 0
    n = np.array(exponents).astype(dtype)
    jaxpr = staged(lambda z, n: [z**n], (z, n))
    (found,), (wanted,) = natively(jaxpr, (z, n), tier), interpreted(jaxpr, (z, n))
    np.testing.assert_allclose(found, wanted, rtol=4e-13 if dtype == "c16" else 2e-4)


def test_powers_of_complex_numbers_by_whole_ones_are_products() -> None:
    z, n = np.array([1 + 2j, -3j, 2, 0.5 - 0.5j]), np.arange(-5, 6)[:, None]
    np.testing.assert_array_equal(ft.jit(lambda z, n: z**n)(z, n), z**n)
