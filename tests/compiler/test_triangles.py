"""Loops over matrices of which only a part is needed: what masks and zeros leave out, and what nobody reads."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import functrans as ft
from functrans import lax
from functrans.compiler.demand import demanded
from functrans.compiler.instructions import LoopRun, RecurrenceRun
from functrans.compiler.loopnest import INT, Affine, Load, Register, constant
from functrans.compiler.recurrence import Assign, Repeat, Store, statements_in
from tests.helpers.tiers import TIERS, interpreted, natively, staged

LARGE, SMALL = 70, 18
NUMBERS = {"finite": 1.0, "infinite": np.inf, "nan": np.nan, "negative zero": -0.0}

#: What is summed over the columns of a matrix that is written column by column (or row by row), and another one.
SUMS = {
    "own row": lambda x, a, j, k: x @ x[j],
    "own column": lambda x, a, j, k: x @ x[:, j],
    "next row": lambda x, a, j, k: x @ x[(j + 1) % len(x)],
    "transposed": lambda x, a, j, k: x.T @ x[j],
    "other matrix": lambda x, a, j, k: x @ a[j],
    "elements": lambda x, a, j, k: np.sum(x, 1),
    "squares": lambda x, a, j, k: np.sum(x * x - x[j], 1),
    "negative": lambda x, a, j, k: np.sum(-x, 1),
    "masked": lambda x, a, j, k: np.sum(np.where(k < j, x * a[j], 0.0), 1),
    "masked twice": lambda x, a, j, k: np.sum(np.where(k <= j, np.where(k > 3, a, 0.0), 0.0), 1),
    "masked rows": lambda x, a, j, k: np.sum(np.where(k[:, None] > j, x + a, 0.0), 1),
    "largest": lambda x, a, j, k: np.max(np.where(k < j, a, -7.0), 1),
}
#: Where the result goes in each step, of the matrix and from which rows.
WRITTEN = {
    "column": lambda x, y, j, k: put(x, (slice(None), j), y),
    "row": lambda x, y, j, k: put(x, j, y),
    "columns from the right": lambda x, y, j, k: put(x, (slice(None), len(x) - 1 - j), y),
    "part of a column": lambda x, y, j, k: put(x, (slice(None), j), np.where(k >= j, y, x[:, j])),
    "two columns": lambda x, y, j, k: put(put(x, (slice(None), j), y), (slice(None), 3), y[j]),
    "column below": lambda x, y, j, k: put(x, (slice(None), j), np.where(k > j, y, 0.0)),
    "element": lambda x, y, j, k: put(x, (j, j), y[j]),
}
#: What is made of the sums before that: which of them are read.
READ = {
    "all": lambda s, j, k: s,
    "from the diagonal on": lambda s, j, k: np.where(k >= j, s, 0.0) + s[j],
    "up to the diagonal": lambda s, j, k: np.where(k < j, s + s[(j * 7) % len(s)], 1.0),
    "last": lambda s, j, k: np.where(k > j, s, s[-1]),
    "band": lambda s, j, k: np.where(k > j, np.where(k < j + 5, s, 2.0), 3.0),
    "in order": lambda s, j, k: np.where(k >= j, np.cumsum(s), 0.0),
    "far": lambda s, j, k: np.where(k >= j + (1 << 40), s, 1.0) + s[0],
}
STARTS = {"zeros": 0.0, "negative zeros": -0.0, "ones": 1.0}


def put(x: Any, index: Any, value: Any) -> Any:
    return ft.numpy.at(x)[index].set(value)


def program(sums: str, written: str, read: str, start: str, is_late: bool) -> Any:
    def run(a: Any) -> Any:
        n = a.shape[0]
        k = np.arange(n)

        def step(j: Any, x: Any) -> Any:
            if is_late:
                x = WRITTEN[written](x, np.fmod(a[:, j], 3.0), j, k)
            y = READ[read](a[:, j] - SUMS[sums](x, a, j, k), j, k)
            return WRITTEN[written](x, np.fmod(y, 7.0), j, k)

        return lax.fori_loop(0, n, step, np.full_like(a, STARTS[start]))

    return run


def matrix(n: int, number: float) -> Any:
    """Small integers, so that sums are exact, and a few numbers of another kind."""
    random = np.random.default_rng(n)
    a = random.integers(-3, 4, size=(n, n)).astype(float)
    a[random.integers(n, size=3), random.integers(n, size=3)] = number
    return a


def same(got: Any, want: Any) -> None:
    """Equal to the last bit; one NaN is as good as another."""
    np.testing.assert_array_equal(got, want)
    np.testing.assert_array_equal(np.signbit(got)[~np.isnan(want)], np.signbit(want)[~np.isnan(want)])


@pytest.mark.parametrize("compiled", TIERS)
@settings(max_examples=20, deadline=None)
@given(
    st.sampled_from(sorted(SUMS)), st.sampled_from(sorted(WRITTEN)), st.sampled_from(sorted(READ)),
    st.sampled_from(sorted(STARTS)), st.booleans(), st.sampled_from([SMALL, LARGE]), st.sampled_from(sorted(NUMBERS)),
)  # fmt: skip
def test_parts_of_matrices(
    compiled: str, sums: str, written: str, read: str, start: str, is_late: bool, n: int, number: str
) -> None:
    args = (matrix(n, NUMBERS[number]),)
    jaxpr = staged(program(sums, written, read, start, is_late), args)
    same(natively(jaxpr, args, compiled)[0], interpreted(jaxpr, args)[0])


def cholesky(a: Any) -> Any:
    n, rows = a.shape[0], np.arange(a.shape[0])

    def step(j: Any, lower: Any) -> Any:
        column = a[:, j] - lower @ lower[j]
        return put(lower, (slice(None), j), np.where(rows >= j, column / np.sqrt(column[j]), 0.0))

    return lax.fori_loop(0, n, step, np.zeros_like(a))


def recurrences(f: Any, *args: Any) -> list[Any]:
    return [run for run in ft.jit(f).lower(*args)._assembled.block if isinstance(run, RecurrenceRun)]


def test_cholesky_by_columns_does_a_sixth() -> None:
    """Neither rows above the diagonal nor columns that are zeros: no loop inside the outermost goes all the way."""
    x = np.random.default_rng(0).normal(size=(LARGE, LARGE))
    a = x @ x.T + np.eye(LARGE)
    np.testing.assert_allclose(ft.jit(cholesky)(a), np.linalg.cholesky(a), rtol=1e-9, atol=1e-12)
    (run,) = recurrences(cholesky, a)
    (outer,) = (s for s in run.recurrence.statements if isinstance(s, Repeat))
    lengths = [s.length for s in statements_in(outer.body) if isinstance(s, Repeat)]
    assert lengths
    assert not any(length == constant(LARGE, INT) for length in lengths)


def test_zero_times_infinity_is_no_number() -> None:
    """Columns that are zeros still count where the other factor may be anything."""
    a = matrix(LARGE, 1.0)
    a[:, -1] = np.inf

    def run(a: Any) -> Any:
        step = lambda j, x: put(x, (slice(None), j), x @ a[j] + 1.0)  # noqa: E731
        return lax.fori_loop(0, a.shape[0], step, np.zeros_like(a))

    assert np.isnan(ft.jit(run)(a)).all()


def test_whole_matrices_are_left_to_kernels() -> None:
    def run(a: Any, x: Any) -> Any:
        mask = np.arange(LARGE)
        step = lambda j, x: put(x, j, np.sum(np.where(mask < j, a @ x, 0.0) + a @ (x + 1.0)))  # noqa: E731
        return lax.fori_loop(0, LARGE, step, x)

    a = matrix(LARGE, 1.0)
    block = ft.jit(run).lower(a, a[0])._assembled.block
    assert any(isinstance(run, LoopRun) for run in block)
    assert not recurrences(run, a, a[0])


#: What a step makes of a state and of a matrix: a total for each row or column.
TOTALS = {
    "of columns": lambda x, m: x @ m,
    "of rows": lambda x, m: m @ x,
    "largest of columns": lambda x, m: np.max(x[:, None] + m, 0),
    "largest of rows": lambda x, m: np.max(x + m, 1),
    "exponentials of columns": lambda x, m: np.log(np.sum(np.exp(x[:, None] - m), 0)),
    "exponentials of rows": lambda x, m: np.log(np.sum(np.exp(x - m), 1)),
    "of outer products": lambda x, m: np.sum(x[:, None] * x * m, (0, 1)) + x,
}


def markov(totals: str) -> Any:
    """A recursion that takes a column of a table in each step."""

    def run(table: Any, m: Any, places: Any) -> Any:
        def step(x: Any, place: Any) -> Any:
            x = TOTALS[totals](x, m) + table[:, place]
            return x - np.max(x), x

        return lax.scan(step, table[:, 0], places)

    return run


def markov_operands(n: int) -> tuple[Any, ...]:
    random = np.random.default_rng(n)
    return random.uniform(size=(n, 7)), random.uniform(size=(n, n)), random.integers(0, 7, size=5)


def gradient(totals: str) -> Any:
    return ft.grad(lambda *args: np.sum(markov(totals)(*args)[1] ** 2), (0, 1))


@pytest.mark.parametrize("compiled", TIERS)
@settings(max_examples=4, deadline=None)
@given(st.sampled_from([markov, gradient]), st.sampled_from(sorted(TOTALS)), st.integers(9, 18))
def test_totals_of_matrices(compiled: str, f: Any, totals: str, n: int) -> None:
    args = markov_operands(n)
    jaxpr = staged(f(totals), args)
    for got, want in zip(natively(jaxpr, args, compiled), interpreted(jaxpr, args)):
        np.testing.assert_allclose(got, want, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(
    ("totals", "n", "is_one_function"),
    [
        ("of columns", 12, True), ("of columns", 20, False),
        ("of rows", 40, True), ("exponentials of rows", 40, False),
        ("largest of rows", 12, True), ("largest of rows", 20, False),
        ("exponentials of columns", 9, False), ("of outer products", 40, True),
    ],
)  # fmt: skip
def test_many_totals_that_take_long_are_left_to_kernels(totals: str, n: int, is_one_function: bool) -> None:
    """Few totals, or many cheap ones, are loops in the one function that the steps are; vectors are added along rows."""
    assert bool(recurrences(markov(totals), *markov_operands(n))) == is_one_function


def test_a_state_is_written_down_once_in_a_step_for_a_matrix_made_of_it() -> None:
    """Not again for each element that the matrix has: here the cotangents of a state for those of totals."""
    (found,) = recurrences(gradient("exponentials of columns"), *markov_operands(20))
    loops = [s for s in statements_in(found.recurrence.statements) if isinstance(s, Repeat)]
    innermost = [s for s in loops if not any(isinstance(x, Repeat) for x in statements_in(s.body))]
    assert innermost
    assert all(sum(isinstance(x, Store) for x in statements_in(s.body)) <= 1 for s in innermost)


# ---- statements


FLOAT = np.dtype(float)
COUNT, K, LOW, TOTAL = Register(0, INT), Register(1, INT), Register(2, INT), Register(3, FLOAT)


def at(register: Register, offset: int = 0) -> tuple[Affine, ...]:
    return (Affine(offset, (), ((1, register),)),)


def steps(counter: Register, length: Any, *body: Any) -> Repeat:
    return Repeat(counter, length, (), None, body, most=100)


FILL = steps(COUNT, constant(100, INT), Store(1, at(COUNT), Load(0, at(COUNT), FLOAT)))


@pytest.mark.parametrize(
    ("reader", "is_known"),
    [
        (Store(2, (), Load(1, at(LOW), FLOAT)), True),
        (steps(K, LOW, Store(2, at(K), Load(1, at(K, 3), FLOAT))), True),
        (steps(K, constant(9, INT), Assign((LOW,), (K,)), Store(2, at(K), Load(1, at(LOW), FLOAT))), False),
        (steps(K, None, Store(2, at(K), Load(1, at(K), FLOAT))), False),
        (steps(K, constant(9, INT), FILL, Store(2, at(K), Load(1, at(COUNT), FLOAT))), False),
    ],
    ids=["one element", "a loop", "a register that changes", "a loop of unknown length", "a counter of another loop"],
)
def test_what_is_known_to_be_read(reader: Any, is_known: bool) -> None:
    assert (demanded([FILL, reader], frozenset([1])) != (FILL, reader)) == is_known


def test_steps_that_need_those_before_them_stay() -> None:
    total = Assign((TOTAL,), (Load(0, at(COUNT), FLOAT),))
    stored = Store(1, at(COUNT), TOTAL)
    reader = Store(2, (), Load(1, at(LOW), FLOAT))
    assert len(demanded([steps(COUNT, constant(100, INT), total, stored), reader], frozenset([1]))) == 3
    for body, after in ([(stored, total), (reader,)], [(total, stored), (reader, Store(3, (), TOTAL))]):
        program = (steps(COUNT, constant(100, INT), *body), *after)
        assert demanded(program, frozenset([1])) == program
    assert demanded((FILL, reader), frozenset([2])) == (FILL, reader)
