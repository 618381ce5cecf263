"""Staggered chains: kernels that run together, some rows at a time, though rows have to do with neighbours of others."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import functrans as ft
from functrans import lax
from functrans.compiler import staggered
from functrans.compiler.instructions import ChainRun, KernelRun, LoopRun, Shift, copying
from functrans.compiler.places import Place, Slot
from tests.fuzz import Case
from tests.helpers.limits import limited

fnp = ft.numpy
STAGGERED = ("staggered chains", "chains", "few rows at a time")

places = st.builds(
    lambda offset, rows, inside, way, step: Place(0, 8 * offset, (rows, inside), np.dtype(float), (8 * way, 8 * step)),
    st.integers(0, 12), st.integers(1, 5), st.integers(1, 3), st.integers(1, 7), st.integers(-2, 3),
)  # fmt: skip


@settings(deadline=None)
@given(places, places)
def test_rows_ahead_are_all_that_have_bytes_in_common(x: Place, y: Place) -> None:
    """Where rows lie equally far apart. There may be more, as gaps inside of rows count as touched."""
    rows = [[{p.offset + i * p.strides[0] + j * p.strides[1] for j in range(p.shape[1])} for i in range(p.shape[0])]
            for p in (x, y)]  # fmt: skip
    common = {i - j for i, j in product(range(x.shape[0]), range(y.shape[0])) if rows[0][i] & rows[1][j]}
    ahead = staggered.rows_ahead(x, y)
    assert (ahead is None) == (x.strides[0] != y.strides[0])
    assert ahead is None or common <= set(ahead)


shapes = st.tuples(st.integers(9, 14), st.integers(1, 3))
copies = st.tuples(shapes, st.integers(0, 5), st.integers(4, 7), st.integers(0, 3))


@settings(deadline=None)
@given(st.lists(copies, min_size=1, max_size=12), st.integers(0, 1500))
def test_chains_are_not_looked_for_only_where_there_are_none(block: list[Any], large: int) -> None:
    """Among kernels that have no array in common with those before, and among those that are small together."""
    runs = []
    for shape, read, written, offset in block:
        source = Place(read, 8 * offset, shape, np.dtype(float), (24, 8))
        target = Place(written, 0, shape, np.dtype(float), (24, 8))
        runs.append(KernelRun(copying(source), (source,), (target,)))
    times = {id(run): number for number, run in enumerate(runs)}

    def spans(slots: list[Slot]) -> list[tuple[int, int]]:
        return [(slot.first, slot.last) for slot in slots]

    with limited(STAGGERED), pytest.MonkeyPatch.context() as patch:
        patch.setattr(staggered, "LARGE", large)
        own, other = ([Slot("temporary", 0, 0) for _ in range(8)] for _ in range(2))
        found = staggered.staggered(runs, own, times)
        assert found == staggered._in_chains(runs, other, times)
        assert spans(own) == spans(other)


def test_what_is_read_at_computed_indices_may_be_any_rows_ahead() -> None:
    assert staggered.rows_ahead(None, Place(0, 0, (4, 4), np.dtype(float), (32, 8))) is None


# ---- programs that compute rows of arrays of neighbouring rows, in place

shifts = st.integers(-2, 2)
updates = st.tuples(st.integers(0, 2), st.lists(st.tuples(st.integers(0, 2), shifts), min_size=1, max_size=3), shifts)


def stepped(program: list[Any], rows: int) -> Any:
    """Each update adds rows of other arrays, and of its own, to rows in the middle of an array."""

    def step(_: Any, fields: Any) -> Any:
        fields = list(fields)
        for number, terms, start in program:
            low = 2 + max(start, 0)
            high = rows - 2 + min(start, 0)
            total = 0.125 * sum(fields[k][low + by : high + by] for k, by in terms)
            fields[number] = fnp.at(fields[number])[low:high].add(total)
        return tuple(fields)

    return lambda *fields: lax.fori_loop(0, 3, step, fields)


@settings(deadline=None, max_examples=20)
@given(st.lists(updates, min_size=2, max_size=4), st.integers(7, 40), st.sampled_from(["quick", "threads"]))
def test_programs_do_what_the_interpreter_does(program: list[Any], rows: int, tier: str) -> None:
    fields = np.random.default_rng(0).normal(size=(3, rows, 5))
    Case(str(program), stepped(program, rows), tuple(fields), None, STAGGERED).check(tier)


def fields_of(rows: int, columns: int) -> list[np.ndarray]:
    return list(np.random.default_rng(0).normal(size=(3, rows, columns)))


def maxwell(up: bool) -> Any:
    """A step on a staggered grid, which reads rows below or above."""
    lower, upper = (slice(1, None), slice(None, -1)) if up else (slice(None, -1), slice(1, None))

    def step(_: Any, fields: Any) -> Any:
        e, f, h = fields
        e = fnp.at(e)[lower].add(-0.5 * (h[1:] - h[:-1]))
        f = fnp.at(f)[:, 1:].add(-0.5 * (h[:, 1:] - h[:, :-1]))
        return e, f, fnp.at(h)[upper, :-1].add(0.3 * (e[:-1, :-1] - e[1:, :-1] + f[lower, 1:] - f[lower, :-1]))

    return lambda e, f, h: lax.fori_loop(0, 4, step, (e, f, h))


def chains(function: Any, args: Any) -> list[ChainRun]:
    """The staggered chains in the loop of a program."""
    (loop,) = (i for i in ft.jit(function).lower(*args)._assembled.block if isinstance(i, LoopRun))
    return [i for i in loop.body if isinstance(i, ChainRun) and i.shifts]


@pytest.mark.parametrize("up", [True, False])
def test_a_staggered_grid_is_one_chain(up: bool) -> None:
    fields = fields_of(200, 150)
    (chain,) = chains(maxwell(up), fields)
    assert len(chain.links) == 3
    assert sum(map(sum, chain.shifts)) > 0
    assert chain.rows == 200
    for tier in ("thorough", "threads"):
        Case("fields", maxwell(up), tuple(fields), None).check(tier)


def test_a_row_waits_for_all_that_it_needs() -> None:
    """Three kernels, each of which reads two rows below of what the one before has written, the first of the last."""

    def step(_: Any, fields: Any) -> Any:
        x, y, z = fields
        x = fnp.at(x)[:-2].add(z[2:] * 0.1)
        y = fnp.at(y)[:-2].add(x[2:] * 0.1)
        return x, y, fnp.at(z)[:-2].add(y[2:] * 0.1)

    with limited(STAGGERED):
        (chain,) = chains(lambda *fields: lax.fori_loop(0, 2, step, fields), fields_of(60, 5))
    assert chain.shifts == (Shift(0, 0), Shift(0, 2), Shift(2, 4))


@pytest.mark.parametrize("rows", [5, 95])
def test_few_rows_are_shared_as_they_are(rows: int) -> None:
    assert not chains(maxwell(True), fields_of(rows, 4000))


def test_rows_and_columns_are_no_rows_of_one_chain() -> None:
    def step(_: Any, fields: Any) -> Any:
        x, y, z = fields
        x = x + 0.1 * z
        y = y + 0.1 * fnp.at(x)[0].add(1.0).T
        return x, y, fnp.at(z)[1:].add(y[:-1])

    fields = fields_of(60, 60)
    with limited(STAGGERED):
        found = chains(lambda *fields: lax.fori_loop(0, 2, step, fields), fields)
    assert all(len(chain.links) < 3 for chain in found)
    Case("columns", lambda *fields: lax.fori_loop(0, 2, step, fields), tuple(fields), None, STAGGERED).check("threads")
