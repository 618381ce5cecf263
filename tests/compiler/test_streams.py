"""Kernels whose results have nothing in common run one by one."""

from __future__ import annotations

from itertools import chain
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import functrans as ft
from functrans.compiler.backends.cpu import native, streams
from functrans.compiler.instructions import ChainRun, KernelRun
from functrans.compiler.program import fused
from tests.fuzz import Case
from tests.helpers.limits import limited
from tests.helpers.tiers import staged, tier

fnp = ft.numpy
ONE_BY_ONE = ("results one by one",)


def kernels(function: Any, *args: Any) -> list[KernelRun]:
    """The kernels of a function's program."""
    program = native.NativeProgram(staged(function, args), fused)
    with tier("quick"):
        program(*args)
    (binding,) = program.bindings.values()
    found = [link for run in binding.assembled.block for link in (run.links if isinstance(run, ChainRun) else [run])]
    return [run for run in found if isinstance(run, KernelRun)]


def arrays(count: int, shape: tuple[int, ...] = (6, 4)) -> list[np.ndarray]:
    return list(np.random.default_rng(0).normal(size=(count, *shape)))


def parts(function: Any, *args: Any) -> list[int]:
    """How many results the parts of the only kernel have."""
    (kernel,) = kernels(function, *args)
    with limited(ONE_BY_ONE):
        return [len(part.targets) for part in streams.apart(kernel)]


def test_what_has_nothing_in_common_is_apart() -> None:
    assert parts(lambda x, y, z: (x * 2, y + 1, z - x), *arrays(3)) == [2, 1]
    assert parts(lambda x, y, z: (x.sum(1), y.sum(1), (z * y).max(1)), *arrays(3)) == [1, 2]


def test_numbers_are_nothing_in_common() -> None:
    step = np.float64(0.1)
    assert parts(lambda x, y, a: (x * a, y * a), *arrays(2), step) == [1, 1]
    assert parts(lambda x, y, a: (x * (a + 1), y * (a + 1)), *arrays(2), step) == [1, 1]


def test_rows_that_both_read_are_in_common() -> None:
    assert parts(lambda x, y, row: (x * row, y * row), *arrays(2), np.arange(4.0)) == [2]


def test_what_is_computed_at_each_point_is_in_common() -> None:
    def spread(x: Any, y: Any) -> Any:
        noise = ft.random.uniform(ft.random.key(0), x.shape)
        return x * noise, y * noise

    assert parts(spread, *arrays(2)) == [2]


def test_sums_of_rows_and_columns_are_loops_of_their_own() -> None:
    (x,) = arrays(1, (60, 60))
    (kernel,) = kernels(lambda x: (x.sum(0), (x * x).sum(1), x.max(0)), x)
    assert [len(part.targets) for part in streams.apart(kernel)] == [2, 1]
    (kernel,) = kernels(lambda x: (x.sum(0), (x * x.T).sum(1)), x)
    assert streams.apart(kernel) == [kernel]  # neither order is right for the second
    (kernel,) = kernels(lambda x: (x.sum(0), x.sum(1)), x[:10, :10])
    assert streams.apart(kernel) == [kernel]


def test_small_kernels_stay_whole() -> None:
    x = arrays(12)
    (kernel,) = kernels(lambda *x: [y * 2 for y in x], *x)
    assert streams.apart(kernel) == [kernel]
    (kernel,) = kernels(lambda *x: [y * 2 for y in x], *arrays(12, (300, 200)))
    assert [len(part.targets) for part in streams.apart(kernel)] == [1] * 12


@st.composite
def programs(draw: Any) -> Any:
    """Some results of a few arrays each, over the same shape; several share what they compute, or are reduced."""
    count = draw(st.integers(2, 5))
    shape = draw(st.sampled_from([(1,), (3,), (9, 5), (6, 6), (16, 3, 2)]))
    picks = draw(st.lists(st.lists(st.integers(0, count - 1), min_size=1, max_size=3), min_size=2, max_size=6))
    kinds = draw(st.lists(st.sampled_from(["product", "shared", "sum", "columns", "overwritten"]), min_size=6, max_size=6))

    def function(*x: Any) -> Any:
        shared, results = fnp.sign(x[0] - x[-1]), []
        for pick, kind in zip(picks, kinds):
            value = x[pick[0]] * 2
            for k in pick[1:]:
                value = value - x[k]
            if kind == "overwritten":
                value = fnp.sign(value + fnp.max(value, axis=-1, keepdims=True))
            sums = {"sum": fnp.sum(value, axis=-1), "columns": fnp.sum(value, axis=0)}
            results.append({"shared": value * shared, **sums}.get(kind, value))
        return results

    values = np.random.default_rng(draw(st.integers(0, 99))).integers(-3, 4, (count, *shape)).astype("f8")
    return function, tuple(values)


@settings(max_examples=40)
@given(drawn=programs(), tier=st.sampled_from(["quick", "thorough", "threads"]), chains=st.booleans())
def test_results_are_the_same(drawn: Any, tier: str, chains: bool) -> None:
    function, args = drawn
    limits = (*ONE_BY_ONE, *(("chains", "few rows at a time") if chains else ()))
    Case("streams", function, args, None, limits).check(tier)


def test_a_single_number_may_be_overwritten_by_another_result() -> None:
    def tangents(x: Any) -> Any:
        last = lambda x: ft.lax.fori_loop(0, 1, lambda i, row: x[i % 2].reshape(1), x[:1])  # noqa: E731
        return ft.jvp(last, (x,), (x,))

    limits = (*ONE_BY_ONE, "arrays in memory")
    for x in ([3.0, 1.0], [-2.0, 4.0]):
        Case("numbers", tangents, (np.array(x),), None, limits).check("quick")


def test_what_is_computed_in_the_memory_of_what_another_result_reads_stays_with_it() -> None:
    """The results of p have another type, so that those of the others are all that can be in its memory."""

    def step(p: Any, others: Any) -> Any:
        return [y * 2 for y in others], [(x + 1).astype(np.float32) for x in p]

    x = arrays(10, (80, 50))
    given = [y.copy() for y in x[:5]]
    with tier("quick"):
        doubled, converted = ft.jit(step, donate_argnums=0)(given, x[5:])
    assert all(map(np.shares_memory, doubled, given))
    for found, wanted in zip((*doubled, *converted), chain(*step(x[:5], x[5:]))):
        np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("name", ["quick", "thorough", "threads"])
def test_a_donated_step_of_many_parameters(name: str) -> None:
    """What one part has overwritten no other part reads."""

    def step(parameters: Any, gradients: Any) -> Any:
        return [p - 0.5 * g for p, g in zip(parameters, gradients[::-1])], [g + p for p, g in zip(parameters, gradients)]

    x = arrays(10, (80, 50))
    with tier(name):
        donating = ft.jit(step, donate_argnums=(0, 1))
        for _ in range(3):
            given = [y.copy() for y in x[:5]], [y.copy() for y in x[5:]]
            found = donating(*given)
            for y, expected in zip(chain(*found), chain(*step(x[:5], x[5:]))):
                np.testing.assert_array_equal(y, expected)
