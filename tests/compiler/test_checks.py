"""Checks of indices: none is left out, those of loops are made before them where they say the same in every step."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import functrans as ft
import functrans.numpy as fnp
from functrans import lax
from functrans.compiler.assembly import assemble
from functrans.compiler.backends.cpu.codegen import supports
from functrans.compiler.instructions import Block, BranchRun, CheckRun, LoopRun, WhileRun
from functrans.compiler.program import fused
from tests.helpers.bits import assert_same_bits
from tests.helpers.tiers import TIERS, interpreted, natively, staged, tier

MANY = 3000  # so many that a loop is none over single elements
X, W = np.random.default_rng(0).normal(size=(2, MANY))
READ, WRITTEN = np.random.default_rng(1).integers(-MANY, MANY, (2, MANY))


def depths_of_checks(block: Block, depth: int = 0) -> Iterator[int]:
    """In how many loops each check is."""
    for run in block:
        if isinstance(run, CheckRun):
            yield depth
        if isinstance(run, LoopRun):
            yield from depths_of_checks(run.body, depth + 1)
        if isinstance(run, WhileRun):
            yield from depths_of_checks([*run.test, *run.body], depth + 1)
        if isinstance(run, BranchRun):
            for inner in run.blocks:
                yield from depths_of_checks(inner, depth)


def checks(function: Any, *args: Any) -> list[int]:
    block = assemble(staged(function, args), fused, supports, [np.asarray(x).strides for x in args]).block
    return sorted(depths_of_checks(block))


def relaxed(n: int) -> Any:
    """Indices that stay the same, in a loop and in one inside of it."""

    def function(x: Any, i: Any, j: Any, w: Any) -> Any:
        inner = lambda _, x: fnp.abs(fnp.at(x)[j].min(x[i] + w))  # noqa: E731
        return lax.fori_loop(0, 3, lambda _, x: lax.fori_loop(0, n, inner, x[i]), x)

    return function


def test_each_is_made_once_before_loops() -> None:
    assert checks(relaxed(2), X, READ, WRITTEN, W) == [0, 0]
    jaxpr = staged(relaxed(2), (X, READ, WRITTEN, W))
    for name in TIERS:
        assert_same_bits(natively(jaxpr, (X, READ, WRITTEN, W), name), interpreted(jaxpr, (X, READ, WRITTEN, W)))


def test_constants_are_looked_at_beforehand() -> None:
    fine = np.arange(MANY) - 7
    assert checks(lambda x: fnp.abs(x)[fine], X) == []
    np.testing.assert_array_equal(ft.jit(lambda x: fnp.abs(x)[fine])(X), np.abs(X)[fine])
    for wrong in (MANY, -MANY - 1):
        with pytest.raises(IndexError, match=f"Index {wrong} is out of bounds"):
            ft.jit(lambda x, wrong=wrong: fnp.abs(x)[np.where(fine == 5, wrong, fine)])(X)


def test_what_changes_is_looked_at_in_each_step() -> None:
    def function(x: Any, i: Any) -> Any:
        return lax.fori_loop(0, 4, lambda k, c: (c[0][c[1]] + c[0][i], c[1] + 1), (x, i))

    assert checks(function, X, READ) == [0, 1]
    ft.jit(function)(X, np.full(MANY, MANY - 4))
    with pytest.raises(IndexError, match=f"Index {MANY} is out of bounds"):
        ft.jit(function)(X, np.full(MANY, MANY - 3))


def test_a_loop_that_may_have_no_step_checks_nothing_before() -> None:
    wrong = np.full(MANY, MANY)

    def counted(n: Any, x: Any, i: Any) -> Any:
        return lax.fori_loop(0, n, lambda k, x: x[i] + 1, x)

    def until(limit: Any, x: Any, i: Any) -> Any:
        return lax.while_loop(lambda x: np.sum(x) > limit, lambda x: x[i] - 1, x)

    def branch(is_taken: Any, x: Any, i: Any) -> Any:
        return lax.fori_loop(0, 2, lambda k, x: lax.cond(is_taken, lambda x: x[i], lambda x: x, x), x)

    for function, never, once in ((counted, 0, 1), (until, 1e9, -1e9), (branch, False, True)):
        compiled = ft.jit(function)
        np.testing.assert_array_equal(compiled(never, X, wrong), X)
        with pytest.raises(IndexError, match=f"Index {MANY} is out of bounds for axis 0"):
            compiled(once, X, wrong)
    assert 0 not in checks(lambda x, i: lax.fori_loop(0, 0, lambda k, x: x[i] + 1, x), X, READ)


def test_what_a_loop_is_in_has_looked_already() -> None:
    def function(x: Any, i: Any) -> Any:
        return lax.while_loop(lambda x: np.sum(x) > 1e9, lambda x: x[i] - 1, x[i])

    assert checks(function, X, READ) == [0]


def test_the_error_is_that_of_the_index() -> None:
    """One array of indices of several, others of which change from step to step."""
    x, wrong = np.ones((MANY, 5)), np.full(MANY, 5)

    def function(x: Any, rows: Any, columns: Any) -> Any:
        def step(k: Any, c: Any) -> Any:
            return c[0] + fnp.sin(x[c[1], columns]), (c[1] * 7) % MANY

        return lax.fori_loop(0, 3, step, (np.zeros(MANY), rows))[0]

    rows = np.arange(MANY)
    np.testing.assert_allclose(ft.jit(function)(x, rows, wrong - 1), 3 * np.sin(1.0))
    with pytest.raises(IndexError, match="Index 5 is out of bounds for axis 1") as raised:
        ft.jit(function)(x, rows, wrong)
    assert "x[c[1], columns]" in str(raised.value)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 70), st.data())
def test_all_indices_are_looked_at(count: int, data: Any) -> None:
    i = np.asarray(data.draw(st.lists(st.integers(-9, 8), min_size=count, max_size=count)))
    compiled = ft.jit(lambda x, i: (2 * x)[i])
    np.testing.assert_array_equal(compiled(X[:9], i), (2 * X[:9])[i])
    i[data.draw(st.integers(0, count - 1))] = number = data.draw(st.sampled_from([9, -10, 2**62, -(2**63)]))
    with pytest.raises(IndexError, match=f"Index {number} is out of bounds"):
        compiled(X[:9], i)


SPECIAL = [0.0, -0.0, np.nan, np.inf, -np.inf, 1.0, -1.0, 2.0]


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(["min", "max"]),
    st.sampled_from(["f8", "f4", "i8", "u1", "i2"]),
    st.lists(st.tuples(st.integers(0, 2), st.sampled_from(SPECIAL)), min_size=1, max_size=12),
    st.lists(st.sampled_from(SPECIAL), min_size=3, max_size=3),
    st.sampled_from(sorted(TIERS)),
)
def test_extreme_values_at_indices(way: str, dtype: str, updates: Any, first: Any, name: str) -> None:
    def function(x: Any, i: Any, y: Any) -> Any:
        return getattr(fnp.at(x)[i], way)(y)

    with np.errstate(invalid="ignore"):
        x, y = np.asarray(first).astype(dtype), np.asarray([value for _, value in updates]).astype(dtype)
    args = x, np.asarray([i for i, _ in updates]), y
    with tier(name):
        found = ft.jit(function)(*args)
    wanted = x.copy()
    with np.errstate(invalid="ignore"):
        getattr(np, f"{way}imum").at(wanted, args[1], y)
    np.testing.assert_array_equal(found, wanted)  # which takes zeros of both signs for equal, as NumPy's extremes do
