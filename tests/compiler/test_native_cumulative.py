"""Cumulative operations in native programs, bit for bit those of NumPy where these are exactly defined."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import functrans as ft
import functrans.numpy as fnp
from functrans import lax
from functrans.primitives import cumulative
from tests.fuzz import Case
from tests.helpers.bits import special_array
from tests.helpers.tiers import natively, staged

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")
OPERATIONS = {name: getattr(cumulative, name) for name in ("cumsum", "cumprod", "cummax", "cummin", "cumlogsumexp")}
LAYOUTS = {
    "as it is": lambda x: x,
    "turned": lambda x: x.T.copy().T,
    "backwards": lambda x: x[::-1].copy()[::-1],
    "with room": lambda x: np.repeat(x, 2, -1)[..., ::2],
}


@pytest.mark.parametrize("name", [*OPERATIONS])
@settings(max_examples=25)
@given(
    dtype=st.sampled_from(["f2", "f4", "f8", "i1", "i8", "u4", "c8", "c16", "?"]),
    shape=st.sampled_from([(1,), (7,), (0, 3), (3, 40), (40, 3), (2, 3, 40), (2, 40, 3), (3, 50, 70), (5, 1)]),
    axis=st.integers(0, 2),
    reverse=st.booleans(),
    layout=st.sampled_from([*LAYOUTS]),
    tier=st.sampled_from(["quick", "thorough", "threads"]),
    seed=st.integers(0, 100),
)
def test_results(name: str, dtype: str, shape: Any, axis: int, reverse: bool, layout: str, tier: str, seed: int) -> None:
    kind = np.dtype(dtype).kind
    if (kind != "f" and name == "cumlogsumexp") or (kind == "c" and name in ("cummax", "cummin")):
        return
    random = np.random.default_rng(seed)
    is_product = kind == "c" and name == "cumprod"  # whose parts NumPy adds with one rounding, on some machines
    x = random.normal(size=shape).astype(dtype) if is_product else special_array(random, shape, np.dtype(dtype))
    x = LAYOUTS[layout](x)
    axis %= len(shape)
    tolerance = None if name != "cumlogsumexp" and not is_product else 1e-2 if dtype == "f2" else 1e-5
    Case(name, lambda x: OPERATIONS[name](x, axis=axis, reverse=reverse), (x,), tolerance).check(tier)


@pytest.mark.parametrize("name", [*OPERATIONS])
def test_derivatives(name: str) -> None:
    x = np.random.default_rng(0).normal(size=(3, 40))
    function = ft.grad(lambda x: np.sum(OPERATIONS[name](x, axis=1, reverse=False) ** 2))
    Case(name, function, (x,), 1e-10).check("quick")


def by_steps(operation: Any, x: Any) -> Any:
    """What the operation gives along the first axis, element after element."""
    found = [x[0]]
    for element in x[1:]:
        found.append(operation(found[-1], element))
    return np.stack(found)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("operation", [np.multiply, np.maximum, np.logaddexp])
def test_derivatives_at_every_length(operation: Any, reverse: bool) -> None:
    """Those of the operation step by step, where there are no ties; zeros of products are no exception."""
    name = {"multiply": "cumprod", "maximum": "cummax", "logaddexp": "cumlogsumexp"}[operation.__name__]
    for n in range(1, 20):
        x, dx = np.random.default_rng(n).normal(size=(2, n, 2))
        if operation is np.multiply:
            x[n // 2] = 0.0
        turned = (lambda y: y[::-1]) if reverse else (lambda y: y)
        wanted = ft.jvp(lambda x: by_steps(operation, turned(x)), (x,), (dx,))
        found = ft.jvp(lambda x: OPERATIONS[name](x, axis=0, reverse=reverse), (x,), (dx,))
        for a, b in zip(found, wanted):
            np.testing.assert_allclose(a, turned(b), rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("name", ["cumprod", "cummax", "cumlogsumexp"])
def test_derivatives_take_linear_time(name: str) -> None:
    def elements(n: int) -> int:
        jaxpr = ft.make_jaxpr(ft.grad(lambda x: np.sum(OPERATIONS[name](x, axis=0, reverse=False))))(np.ones(n))
        return sum(v.aval.size for eqn in jaxpr.eqns for v in eqn.outputs)

    assert elements(1 << 14) < 17 * elements(1 << 10)


@settings(max_examples=12, deadline=None)
@given(
    name=st.sampled_from([*OPERATIONS]),
    dtype=st.sampled_from(["f4", "f8", "i8"]),
    shape=st.sampled_from([(300, 33), (90, 100), (2, 50, 90), (7, 2000), (3, 60, 50, 2)]),
    reverse=st.booleans(),
    layout=st.sampled_from([*LAYOUTS]),
    tier=st.sampled_from(["quick", "thorough", "threads"]),
    seed=st.integers(0, 100),
)
def test_what_is_around_them_runs_with_them(
    name: str, dtype: str, shape: Any, reverse: bool, layout: str, tier: str, seed: int
) -> None:
    """Row by row, without an array of what is scanned or of the result."""
    if dtype == "i8" and name == "cumlogsumexp":
        return
    x = LAYOUTS[layout](np.random.default_rng(seed).normal(size=shape, scale=2).astype(dtype))
    axis = min(2, len(shape) - 1)

    def function(x: Any) -> Any:
        made = np.abs(x) * 3 - np.max(x, axis=axis, keepdims=True)
        found = OPERATIONS[name](made, axis=axis, reverse=reverse)
        return np.sum(found < made, axis=axis), found * 2 - x

    if layout == "as it is":
        assert "and scans over the same" in str(ft.explain(function, x))
    Case(name, function, (x,), None if name != "cumlogsumexp" else 1e-4).check(tier)


@pytest.mark.parametrize("shape", [(9,), (3, 40), (40, 3)])
def test_they_run_without_python(shape: Any) -> None:
    x = np.ones(shape)
    explained = str(ft.explain(lambda x: np.cumsum(x, -1) * 2, x))
    assert "runs in Python" not in explained
    assert natively(staged(lambda x: np.cumsum(x, -1), (x,)), (x,))[0].ravel()[0] == 1


@settings(max_examples=40, deadline=None)
@given(
    name=st.sampled_from(["cumsum", "cumprod", "cummax", "cummin"]),
    dtype=st.sampled_from(["f4", "f8", "i8", "u4", "?", "c16"]),
    shape=st.sampled_from([(1,), (5,), (3, 4), (2, 3, 4), (100,), (20, 9), (3, 5, 11)]),
    axis=st.integers(0, 2),
    reverse=st.booleans(),
    tier=st.sampled_from(["quick", "thorough"]),
    seed=st.integers(0, 100),
)
def test_in_loops_over_single_elements(
    name: str, dtype: str, shape: Any, axis: int, reverse: bool, tier: str, seed: int
) -> None:
    """Small arrays in registers, larger ones in loops, of which an element is looked up in each step."""
    kind = np.dtype(dtype).kind
    if kind == "c" and name != "cumsum":
        return
    x = special_array(np.random.default_rng(seed), shape, np.dtype(dtype))
    picked = np.random.default_rng(seed).integers(0, shape[0], 6)

    def step(c: Any, i: Any) -> Any:
        found = OPERATIONS[name](c, axis=axis % len(shape), reverse=reverse)
        return fnp.at(c)[i].set(found[i - 1]), found[i]

    function = lambda x, i: lax.scan(step, x, i)  # noqa: E731
    if kind in "fiu":
        assert "as one function" in str(ft.explain(function, x, picked))
    Case(name, function, (x, picked), None).check(tier)
