"""Loops over short rows: run across the rows, which lie side by side where only a chain sees them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import functrans as ft
from functrans.compiler import chains
from functrans.compiler.backends.cpu.chains import FEWEST_COLUMNS, in_blocks, reads_columns
from functrans.compiler.backends.cpu.engine import engine
from functrans.compiler.backends.cpu.layouts import ACROSS, LANES, SHORT, arrange
from functrans.compiler.backends.cpu.side_by_side import GROUP, SideBySide, side_by_side
from functrans.compiler.instructions import ChainRun, KernelRun
from functrans.compiler.places import Place
from tests.fuzz import Case

SIDE_BY_SIDE = ("chains", "rows side by side")


def rosenbrock(x: Any) -> Any:
    return np.sum(100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)


def potential(x: Any) -> Any:
    return np.sin(x[0] * x[-1]) * np.exp(-(x[1] ** 2)) / np.sqrt(np.sum(x**2) + 1)


def field(x: Any) -> Any:
    return np.concatenate([np.tanh(x[1:]) * x[0], np.cumsum(x)[:2] ** 2])


DERIVATIVES: dict[str, Callable[[Any], Any]] = {
    "hessian": ft.hessian(rosenbrock),
    "hessian of scalars": ft.hessian(potential),
    "forward twice": ft.jacfwd(ft.jacfwd(potential)),
    "third": ft.jacfwd(ft.hessian(rosenbrock)),
    "jacobians": lambda x: (ft.jacfwd(field)(x), ft.jacrev(field)(x)),
}


def blocks(function: Any, *args: Any) -> list[Any]:
    return ft.jit(function).lower(*args)._assembled.block


# ---- where arrays are


@settings(deadline=None)
@given(st.lists(st.integers(1, 4), min_size=1, max_size=3), st.integers(1, 3), st.sampled_from([2, 4, 8]))
def test_every_element_of_a_group_has_a_place_of_its_own(inside: list[int], groups: int, size: int) -> None:
    row = int(np.prod(inside)) * size
    strides = (row, *(int(np.prod(inside[k + 1 :])) * size for k in range(len(inside))))
    dtype = np.dtype(f"u{size}")
    place = SideBySide({7: row}).place(Place(7, 0, (groups * GROUP, *inside), dtype, strides))
    if row == size:  # there is nothing to do
        return
    for group in range(groups):
        begin = group * (row - size) * GROUP  # what is added for a group that is run
        found = {
            begin + place.offset + sum(i * s for i, s in zip((group * GROUP + r, *index), place.strides))
            for r in range(GROUP)
            for index in np.ndindex(*inside)
        }
        assert found == set(range(group * GROUP * row, (group + 1) * GROUP * row, size))


def test_arrays_of_others_stay_where_they_are() -> None:
    place = Place(3, 8, (10, 2), np.dtype(float), (16, 8))
    assert SideBySide({4: 16}).place(place) is place


# ---- what programs compute


@settings(deadline=None, max_examples=12)
@given(
    st.sampled_from(list(DERIVATIVES)),
    st.integers(1, 40),
    st.integers(2, 6),
    st.sampled_from(["quick", "threads"]),
    st.sampled_from([SIDE_BY_SIDE, ("loops across",), (*SIDE_BY_SIDE, "nothing written out")]),
)
def test_batched_derivatives_do_what_the_interpreter_does(
    name: str, rows: int, columns: int, tier: str, limits: tuple[str, ...]
) -> None:
    x = np.random.default_rng(rows).normal(size=(rows, columns))
    Case(name, ft.vmap(DERIVATIVES[name]), (x,), 1e-12, limits).check(tier)


@pytest.mark.parametrize("limits", [(), SIDE_BY_SIDE])
@pytest.mark.parametrize("count", [3, 5])
@pytest.mark.parametrize("dtype", ["f4", "f8", "c8", "c16"])
def test_elements_that_are_copied_by_their_parts_stay_where_they_are(
    dtype: str, count: int, limits: tuple[str, ...]
) -> None:
    """Complex numbers are copied as pairs of real ones, which are closer together than rows side by side."""

    def some_of_squares(x: Any) -> Any:
        squares = x[:, :, None] * x[:, None, :]
        return (np.real(squares) % 7 - 3 + x[:, :1, None]).reshape(len(x), -1)[:, :count]

    x = np.random.default_rng(0).integers(-3, 4, (2000, 3)).astype(dtype)
    Case("copies", some_of_squares, (x,), None, limits).check("quick")


@pytest.mark.parametrize("name", DERIVATIVES)
@pytest.mark.parametrize("tier", ["threads"])
def test_the_last_group_of_rows_may_be_a_part_of_one(name: str, tier: str) -> None:
    x = np.random.default_rng(0).normal(size=(3 * GROUP * 37 + 1, 5))
    Case(name, ft.vmap(DERIVATIVES[name]), (x,), 1e-12).check(tier)


# ---- when


def test_what_only_a_chain_sees_lies_side_by_side() -> None:
    *_, chain = blocks(ft.vmap(ft.hessian(rosenbrock)), np.ones((10_000, 5)))
    assert isinstance(chain, ChainRun)
    found = side_by_side(chain.links, chain.rows, chain.own)
    assert set(found.rows) == {place.slot for place in chain.own}
    assert all(row <= chains.SHORT_ROW for row in found.rows.values())


def test_long_rows_stay_as_they_are() -> None:
    *_, chain = blocks(ft.vmap(ft.hessian(rosenbrock)), np.ones((1000, 40)))
    assert isinstance(chain, ChainRun)
    assert not side_by_side(chain.links, chain.rows, chain.own).rows


def layout_of(function: Any, *args: Any) -> Any:
    (run,) = blocks(function, *args)
    assert isinstance(run, KernelRun)
    return arrange(run.kernel, run.sources, run.targets, engine().processor).layout


def polynomial(x: Any, w: Any) -> Any:
    y = x
    for k in range(12):
        y = (y * w + k) * (y - x) + w
    return y


def test_long_expressions_over_short_rows_run_across_these() -> None:
    w, x = np.ones(5), np.ones((1000, 5))
    assert layout_of(polynomial, x, w).block == ACROSS
    assert layout_of(lambda x, w: x * w, x, w).block is None  # the price of elements that are apart
    assert layout_of(polynomial, np.ones((1000, SHORT)), np.ones(SHORT)).block is None
    assert layout_of(polynomial, np.ones((1000, 8)), np.ones(8)).block is None  # whole vectors


# ---- columns


def chain_of(function: Any, *args: Any) -> ChainRun:
    (chain,) = [run for run in blocks(function, *args) if isinstance(run, ChainRun)]
    return chain


@pytest.mark.parametrize(("rows", "columns"), [(500, 20), (300, 33), (200, 64)])
def test_chains_know_which_kernels_read_down_columns(rows: int, columns: int) -> None:
    x = np.random.default_rng(0).normal(size=(rows, columns))
    down, along = (lambda x, y: np.tanh(x.T @ y)), (lambda x, y: np.tanh(x @ y))
    assert any(map(reads_columns, chain_of(down, x, x[:, 0].copy()).links))
    assert not any(map(reads_columns, chain_of(along, x, x[0]).links))
    np.testing.assert_allclose(ft.jit(down)(x, x[:, 0].copy()), down(x, x[:, 0]), rtol=1e-12)


@given(st.integers(1, 10_000), st.integers(1, 10_000), st.integers(0, 10**9))
def test_blocks_of_columns_are_wide(most: int, rows: int, work: int) -> None:
    """As long as what they read is in the cache, for which there are most rows."""
    narrow, wide = in_blocks(most, rows, work), in_blocks(most, rows, work, FEWEST_COLUMNS)
    assert narrow <= wide <= most
    assert wide >= min(most, FEWEST_COLUMNS) // LANES * LANES
    assert wide == narrow or wide <= FEWEST_COLUMNS
    assert wide % LANES == 0 or wide < LANES


# ---- transposed results


@pytest.mark.parametrize("n", [2, 5])
def test_parts_of_small_transposed_matrices_are_written_where_they_belong(n: int) -> None:
    def f(x: Any) -> Any:
        return np.concatenate([x * 2, np.exp(x)], axis=1).transpose(0, 2, 1)

    x = np.random.default_rng(0).normal(size=(50, n, 3))
    assert not ft.jit(f).lower(x).memory.temporaries
    Case("parts", f, (x,), 1e-15, ("chains",)).check("quick")


def test_large_transposed_matrices_are_transposed_at_the_end() -> None:
    f = ft.jit(lambda x: np.concatenate([x * 2, x + 1]).T)
    x = np.random.default_rng(0).normal(size=(100, 300))
    assert f.lower(x).memory.temporaries
    np.testing.assert_array_equal(f(x), np.concatenate([x * 2, x + 1]).T)
