"""Loops over single elements of arrays, as one native function, against the interpreter: programs that Hypothesis draws.

A program is a list of statements over three arrays and a number, which loops and branches nest.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import functrans as ft
from functrans import lax
from functrans.compiler.backends.cpu.work import WORTH_VECTORS, longest_chain, work_at_once
from functrans.compiler.backends.cpu.writer import NUMBER_BY_NUMBER
from functrans.compiler.costs import COSTS
from functrans.compiler.instructions import LoopRun, RecurrenceRun, WhileRun
from functrans.compiler.loopnest import Apply, Load, Register, constant
from functrans.compiler.recurrence import Assign, Check, Choose, Repeat, Store, statements_in
from tests.fuzz import Case
from tests.helpers.interruptions import interrupted
from tests.helpers.tiers import TIERS, tier

fnp = ft.numpy
SIZES = st.sampled_from([0, 1, 5, 9, 70])
DTYPES = st.sampled_from([np.float64, np.float32, np.int64, np.int8, np.uint16, np.bool_])


def put(x: Any, index: Any, value: Any) -> Any:
    x = x.copy()
    x[index] = value
    return x


# ---- programs: what is drawn, and what it does


def places(depth: int) -> st.SearchStrategy[tuple[Any, ...]]:
    """An index: of a counter, of the last one from the end, of a number in the array of integers, of the state."""
    counter = st.tuples(st.just("counter"), st.integers(0, max(depth - 1, 0)), st.integers(-2, 2))
    end = st.tuples(st.just("end"), st.integers(0, max(depth - 1, 0)), st.integers(-1, 2))
    wrapped = st.tuples(st.just("wrapped"), st.integers(0, max(depth - 1, 0)), st.integers(-3, 3))
    found = st.tuples(st.just("found"), st.integers(0, max(depth - 1, 0)), st.booleans())
    fixed = st.tuples(st.just("fixed"), st.integers(-3, 3), st.none())
    return st.one_of(counter, wrapped, found, end, fixed) if depth else fixed


def statements(depth: int) -> st.SearchStrategy[list[Any]]:
    """Statements inside so many loops."""
    place, array = places(depth), st.integers(0, 1)
    kinds = [
        st.tuples(st.just("set"), array, place, array, place),
        st.tuples(st.just("add"), array, place, array, place),
        st.tuples(st.just("sum"), array, place),
        st.tuples(st.just("swap"), array, place, place),
        st.tuples(st.just("exchange")),
        st.tuples(st.just("slice"), array, place, place),
    ]
    if depth < 3:
        inner = statements(depth + 1)
        kinds += [
            st.tuples(st.just("loop"), st.sampled_from(["size", "counter", "few", "down"]), inner),
            st.tuples(st.just("while"), st.integers(1, 4), inner),
            st.tuples(st.just("scan"), inner),
            st.tuples(st.just("if"), array, place, statements(depth + 1 if depth else 1), inner),
        ]
    return st.lists(st.one_of(kinds), min_size=1, max_size=3)


class Run:
    """Runs statements on a state: two arrays, and a number."""

    def __init__(self, integers: Any, size: int):
        self.integers = integers
        self.size = size

    def index(self, place: Any, counters: tuple[Any, ...]) -> Any:
        kind, which, offset = place
        if kind == "fixed":
            return which
        i = counters[which % len(counters)] if counters else 0
        if kind == "counter":
            return i + offset
        if kind == "end":
            return self.size - 1 - i + offset
        if kind == "wrapped":
            return (i + offset) % max(self.size, 1)
        return self.integers[i % 7] if offset else abs(self.integers[i % 7]) % max(self.size, 1)

    def block(self, program: Any, state: Any, counters: tuple[Any, ...]) -> Any:
        for kind, *rest in program:
            state = getattr(self, f"do_{kind}")(state, counters, *rest)
        return state

    def do_set(self, state: Any, counters: Any, to: int, place: Any, source: int, at: Any) -> Any:
        value = state[source][self.index(at, counters)]
        return self.changed(state, to, self.index(place, counters), value)

    def do_add(self, state: Any, counters: Any, to: int, place: Any, source: int, at: Any) -> Any:
        i = self.index(place, counters)
        value = state[to][i] + state[source][self.index(at, counters)]
        return self.changed(state, to, i, value)

    def changed(self, state: Any, to: int, index: Any, value: Any) -> Any:
        x = put(state[to], index, fnp.asarray(value).astype(state[to].dtype))
        return (x, *state[1:]) if to == 0 else (state[0], x, state[2])

    def do_sum(self, state: Any, counters: Any, source: int, at: Any) -> Any:
        return (*state[:2], state[2] + state[source][self.index(at, counters)].astype(np.float64))

    def do_swap(self, state: Any, counters: Any, which: int, first: Any, second: Any) -> Any:
        i, j = self.index(first, counters), self.index(second, counters)
        x, y = state[which][i], state[which][j]
        return self.changed(self.changed(state, which, i, y), which, j, x)

    def do_exchange(self, state: Any, counters: Any) -> Any:
        return (state[1], state[0], state[2]) if state[0].dtype == state[1].dtype else state

    def do_slice(self, state: Any, counters: Any, which: int, first: Any, second: Any) -> Any:
        count = min(3, self.size)
        part = lax.dynamic_slice(state[which], (self.index(first, counters),), (count,))
        x = lax.dynamic_update_slice(state[which], part[::-1], (self.index(second, counters),))
        return (x, *state[1:]) if which == 0 else (state[0], x, state[2])

    def do_loop(self, state: Any, counters: Any, length: str, inner: Any) -> Any:
        low, high = {
            "size": (0, self.size), "counter": (0, counters[-1] if counters else 2), "few": (1, 3),
            "down": (counters[-1] + 1 if counters else 0, self.size),
        }[length]  # fmt: skip
        return lax.fori_loop(low, high, lambda i, s: self.block(inner, s, (*counters, i)), state)

    def do_while(self, state: Any, counters: Any, most: int, inner: Any) -> Any:
        def going(carry: Any) -> Any:
            i, s = carry
            return (i < 2 * most) & (s[2] < 1e3)

        def body(carry: Any) -> Any:
            i, s = carry
            return i + 2, self.block(inner, s, (*counters, i))

        return lax.while_loop(going, body, (0, state))[1]

    def do_scan(self, state: Any, counters: Any, inner: Any) -> Any:
        def body(s: Any, i: Any) -> Any:
            s = self.block(inner, s, (*counters, i))
            return s, s[2]

        state, sums = lax.scan(body, state, self.integers)
        return (*state[:2], state[2] + sums[2])

    def do_if(self, state: Any, counters: Any, which: int, place: Any, yes: Any, no: Any) -> Any:
        x = state[which][self.index(place, counters)]
        own = counters or (0,)
        return lax.cond(x > 0, lambda s: self.block(yes, s, own), lambda s: self.block(no, s, own), state)


def outcome(f: Any, *args: Any) -> Any:
    """What a function returns, or the first line of what it raises."""
    try:
        return [np.asarray(leaf) for leaf in ft.tree.leaves(f(*args))]
    except IndexError as error:
        return str(error).split("\n")[0]


@pytest.mark.parametrize("compiled", TIERS)
@settings(max_examples=15, deadline=None)
@given(statements(0), SIZES, DTYPES, DTYPES, st.integers(0, 99))
def test_programs_do_what_the_interpreter_does(
    compiled: Any, program: Any, size: int, first: Any, second: Any, seed: int
) -> None:
    random = np.random.default_rng(seed)
    x = (4 * random.normal(size=size)).clip(-9, 9).astype(first if first is not np.uint16 else np.int8).astype(first)
    y = np.abs(4 * random.normal(size=size)).astype(second)
    if size and np.dtype(first).kind == "f":
        x[random.integers(size)] = [np.nan, np.inf, -0.0][seed % 3]
    integers = random.integers(-3, 9, size=7)
    run = Run(fnp.asarray(integers), size)

    def whole(x: Any, y: Any, integers: Any) -> Any:
        run.integers = integers
        return run.block([("loop", "few", program)], (x, y, 0.5), ())

    def wanted() -> Any:
        with ft.config.using(backend="interpreter"):
            return outcome(ft.jit(whole), x, y, integers)

    with np.errstate(all="ignore"):
        want = wanted()
        with tier(compiled):
            got = outcome(ft.jit(lambda *args: whole(*args)), x, y, integers)
    if isinstance(want, str) or isinstance(got, str):
        assert got == want
        return
    for a, b in zip(got, want):
        assert a.dtype == b.dtype
        np.testing.assert_allclose(a, b, rtol=1e-6 if a.dtype == np.float32 else 1e-12)


# ---- algorithms: each is one function, and what a textbook says


def loop(low: Any, high: Any, body: Any, first: Any) -> Any:
    return lax.fori_loop(low, high, body, first)


def cholesky(a: Any) -> Any:
    def entry(i: Any, j: Any, lower: Any) -> Any:
        total = loop(0, j, lambda k, rest: rest - lower[i, k] * lower[j, k], a[i, j])
        return put(lower, (i, j), np.where(i == j, np.sqrt(total), total / lower[j, j]))

    row = lambda i, lower: loop(0, i + 1, lambda j, lower: entry(i, j, lower), lower)  # noqa: E731
    return loop(0, a.shape[0], row, np.zeros_like(a))


def solved(a: Any, b: Any) -> Any:
    """By elimination with pivots, then backwards."""
    n = b.shape[0]

    def step(k: Any, state: Any) -> Any:
        a, b = state
        largest = lambda i, p: np.where(abs(a[i, k]) > abs(a[p, k]), i, p)  # noqa: E731
        p = loop(k + 1, n, largest, k)
        exchanged = lambda j, a: put(put(a, (k, j), a[p, j]), (p, j), a[k, j])  # noqa: E731
        a, b = loop(0, n, exchanged, a), put(put(b, k, b[p]), p, b[k])

        def below(i: Any, state: Any) -> Any:
            a, b = state
            factor = a[i, k] / a[k, k]
            a = loop(k, n, lambda j, a: put(a, (i, j), a[i, j] - factor * a[k, j]), a)
            return a, put(b, i, b[i] - factor * b[k])

        return loop(k + 1, n, below, (a, b))

    a, b = loop(0, n, step, (a, b))

    def back(t: Any, x: Any) -> Any:
        i = n - 1 - t
        rest = loop(i + 1, n, lambda j, rest: rest - a[i, j] * x[j], b[i])
        return put(x, i, rest / a[i, i])

    return loop(0, n, back, np.zeros_like(b))


def distance(s: Any, t: Any) -> Any:
    """Of Levenshtein, with two rows that change places."""

    def row(i: Any, rows: Any) -> Any:
        before, now = rows

        def cell(j: Any, now: Any) -> Any:
            change = before[j - 1] + (s[i] != t[j - 1])
            return put(now, j, np.minimum(np.minimum(before[j] + 1, now[j - 1] + 1), change))

        return loop(1, t.shape[0] + 1, cell, put(now, 0, i + 1)), before

    first = np.arange(t.shape[0] + 1)
    return loop(0, s.shape[0], row, (first, first))[0][-1]


def shortest(d: Any) -> Any:
    n = d.shape[0]
    relaxed = lambda d, i, j, k: put(d, (i, j), np.minimum(d[i, j], d[i, k] + d[k, j]))  # noqa: E731
    return loop(
        0, n, lambda k, d: loop(0, n, lambda i, d: loop(0, n, lambda j, d: relaxed(d, i, j, k), d), d), d
    )


def insertion_sort(x: Any) -> Any:
    def insert(i: Any, x: Any) -> Any:
        value = x[i]
        going = lambda state: (state[0] > 0) & (state[1][np.maximum(state[0] - 1, 0)] > value)  # noqa: E731
        j, x = lax.while_loop(going, lambda s: (s[0] - 1, put(s[1], s[0], s[1][s[0] - 1])), (i, x))
        return put(x, j, value)

    return loop(1, x.shape[0], insert, x)


def bubble_sort(x: Any) -> Any:
    def compare(j: Any, x: Any) -> Any:
        exchanged = lambda x: put(put(x, j, x[j + 1]), j + 1, x[j])  # noqa: E731
        return lax.cond(x[j] > x[j + 1], exchanged, lambda x: x, x)

    n = x.shape[0]
    return loop(0, n - 1, lambda i, x: loop(0, n - 1 - i, compare, x), x)


def primes(flags: Any) -> Any:
    n = flags.shape[0]

    def sieve(i: Any, flags: Any) -> Any:
        strike = lambda s: (s[0] + i, put(s[1], s[0], False))  # noqa: E731
        struck = lambda f: lax.while_loop(lambda s: s[0] < n, strike, (i * i, f))[1]  # noqa: E731
        return lax.cond(flags[i], struck, lambda f: f, flags)

    return loop(2, 11, sieve, put(put(flags, 0, False), 1, False))


def life(grid: Any) -> Any:
    n, m = grid.shape

    def cell(i: Any, j: Any, grid: Any, new: Any) -> Any:
        around = sum(grid[(i + a) % n, (j + b) % m] for a in (-1, 0, 1) for b in (-1, 0, 1) if a or b)
        return put(new, (i, j), np.where((around == 3) | ((around == 2) & (grid[i, j] == 1)), 1, 0))

    def step(_: Any, grid: Any) -> Any:
        row = lambda i, new: loop(0, m, lambda j, new: cell(i, j, grid, new), new)  # noqa: E731
        return loop(0, n, row, np.zeros_like(grid))

    return loop(0, 4, step, grid)


def tridiagonal(a: Any, b: Any, c: Any, d: Any) -> Any:
    """Thomas' algorithm, by scans."""

    def forward(state: Any, row: Any) -> Any:
        a, b, c, d = row
        pivot = b - a * state[0]
        state = c / pivot, (d - a * state[1]) / pivot
        return state, state

    rows = lax.scan(forward, (0.0, 0.0), (a, b, c, d))[1]
    back = lambda x, row: (row[1] - row[0] * x,) * 2  # noqa: E731
    return lax.scan(back, 0.0, rows, reverse=True)[1]


RANDOM = np.random.default_rng(7)
SQUARE = RANDOM.normal(size=(19, 19))
NUMBERS = RANDOM.normal(size=83)
ALGORITHMS: dict[str, tuple[Any, ...]] = {
    "cholesky": (cholesky, np.linalg.cholesky, SQUARE @ SQUARE.T + 19 * np.eye(19)),
    "solve": (solved, np.linalg.solve, SQUARE, RANDOM.normal(size=19)),
    "distance": (distance, None, np.arange(70) % 3, np.arange(90) % 5),
    "shortest": (shortest, None, RANDOM.integers(1, 50, size=(11, 11))),
    "insertion sort": (insertion_sort, np.sort, NUMBERS),
    "bubble sort": (bubble_sort, np.sort, NUMBERS.astype(np.float32)),
    "primes": (primes, None, np.ones(120, bool)),
    "life": (life, None, RANDOM.integers(0, 2, size=(13, 17))),
    "tridiagonal": (tridiagonal, None, NUMBERS, NUMBERS + 9, NUMBERS[::-1], np.cos(NUMBERS)),
}


def instructions(block: Any) -> list[Any]:
    inner = [i for run in block for part in ("body", "test") for i in instructions(getattr(run, part, []))]
    return [*block, *inner]


@pytest.mark.parametrize("compiled", TIERS)
@pytest.mark.parametrize("name", ALGORITHMS)
def test_algorithms(name: str, compiled: Any) -> None:
    function, textbook, *args = ALGORITHMS[name]
    with ft.config.using(backend="interpreter"):
        want = ft.jit(function)(*args)
    with tier(compiled):
        got = ft.jit(lambda *args: function(*args))(*args)
    np.testing.assert_allclose(got, want, rtol=1e-12)
    if textbook is not None:
        np.testing.assert_allclose(got, textbook(*args), rtol=1e-9)


@pytest.mark.parametrize("name", ALGORITHMS)
def test_algorithms_are_one_function(name: str) -> None:
    """And none of their indices is checked."""
    function, _, *args = ALGORITHMS[name]
    found = instructions(ft.jit(function).lower(*args)._assembled.block)
    assert not any(isinstance(run, LoopRun | WhileRun) for run in found)
    own = [run for run in found if isinstance(run, RecurrenceRun)]
    assert own
    assert not any(run.otherwise for run in own)


# ---- errors, signals, threads


def test_an_index_out_of_bounds_names_its_line() -> None:
    def reads(x: Any, n: Any) -> Any:
        def inner(i: Any, s: Any) -> Any:
            return s + x[i + 2]  # here

        return loop(0, n, lambda k, s: loop(0, n + k, inner, s), 0.0)

    f = ft.jit(reads)
    assert f(NUMBERS, 3) == pytest.approx(sum(NUMBERS[2 : 5 + k].sum() for k in range(3)))
    with pytest.raises(IndexError, match="Index 83 is out of bounds") as caught:
        f(NUMBERS, 70)
    assert "s + x[i + 2]  # here" in str(caught.value)
    assert f(NUMBERS, 3) == f(NUMBERS, 3)


def test_an_index_out_of_bounds_of_an_update() -> None:
    f = ft.jit(lambda x, i: loop(0, 5, lambda k, x: put(x, (i[k], 0), k), x))
    x = np.zeros((70, 2))
    np.testing.assert_array_equal(f(x, np.array([0, -70, 69, -1, 3]))[:, 0].nonzero()[0], [0, 3, 69])
    for wrong in (70, -71):
        with pytest.raises(IndexError, match=f"Index {wrong} is out of bounds"):
            f(x, np.array([0, 1, wrong, 3, 4]))


def test_unsigned_indices_do_not_become_negative() -> None:
    f = ft.jit(lambda x, i: loop(0, 2, lambda k, s: s + x[i[k]], 0.0))
    assert f(NUMBERS, np.array([1, 2], np.uint64)) == NUMBERS[1] + NUMBERS[2]
    with pytest.raises(IndexError):
        f(NUMBERS, np.array([1, 2**64 - 1], np.uint64))


def test_what_was_given_stays_as_it_was() -> None:
    x = NUMBERS.copy()
    f = ft.jit(lambda x: (loop(0, 9, lambda i, y: put(y, i, y[i + 1] * x[i]), x), x * 2))
    first, second = f(x), f(x)
    np.testing.assert_array_equal(x, NUMBERS)
    np.testing.assert_array_equal(first[0], second[0])
    np.testing.assert_array_equal(first[1], x * 2)


def test_sums_keep_their_order_where_it_is_seen() -> None:
    """Kahan's sum reads its running total; prefix sums write it down."""

    def kahan(x: Any) -> Any:
        def step(i: Any, state: Any) -> Any:
            total, lost = state
            term = x[i] - lost
            new = total + term
            return new, (new - total) - term

        return loop(0, x.shape[0], step, (0.0, 0.0))

    x = RANDOM.normal(size=1000) * 10.0 ** RANDOM.integers(-8, 8, size=1000)
    with ft.config.using(backend="interpreter"):
        want = ft.jit(kahan)(x)
    with tier("thorough"):
        assert ft.jit(lambda x: kahan(x))(x) == want
        sums = ft.jit(lambda x: lax.scan(lambda s, a: (s + a, s + a), 0.0, x)[1])(x)
    np.testing.assert_array_equal(sums, np.cumsum(x))


@pytest.mark.parametrize("nested", [False, True])
def test_ctrl_c_ends_a_long_loop(nested: bool) -> None:
    def forever(x: Any, n: Any) -> Any:
        inner = lambda i, x: put(x, i % 80, x[(i + 1) % 80] * 0.5)  # noqa: E731
        return loop(0, n, lambda k, x: loop(0, 100, inner, x), x) if nested else loop(0, n, inner, x)

    f = ft.jit(forever)
    f(NUMBERS, 10)
    interrupted(lambda: f(NUMBERS, 10**13))
    assert np.isfinite(f(NUMBERS, 10)).all()


def test_eight_threads_at_once() -> None:
    f = ft.jit(solved)
    systems = [(RANDOM.normal(size=(12, 12)), RANDOM.normal(size=12)) for _ in range(8)]

    def many(number: int) -> Any:
        return [f(*systems[number]) for _ in range(50)][-1]

    with ThreadPoolExecutor(8) as pool:
        for (a, b), x in zip(systems, pool.map(many, range(8))):
            np.testing.assert_allclose(x, np.linalg.solve(a, b), rtol=1e-8)


@pytest.mark.parametrize("mode", ["grad", "jvp", "vmap"])
def test_transformed_loops(mode: str) -> None:
    def total(x: Any) -> Any:
        return np.sum(loop(1, 70, lambda i, y: put(y, i, np.sin(y[i - 1]) * x[i] + y[i]), x) ** 2)

    x = NUMBERS[:70]
    transformed = {
        "grad": ft.grad(total),
        "jvp": lambda x: ft.jvp(total, (x,), (np.cos(x),)),
        "vmap": lambda x: ft.vmap(total)(np.stack([x, x[::-1]])),
    }[mode]
    with ft.config.using(backend="interpreter"):
        want = ft.jit(transformed)(x)
    got = ft.jit(lambda x: transformed(x))(x)
    for a, b in zip(ft.tree.leaves(got), ft.tree.leaves(want)):
        np.testing.assert_allclose(a, b, rtol=1e-11)


def test_an_axis_of_extent_one_beside_another_contiguous_one() -> None:
    f = ft.jit(lambda x: loop(0, 70, lambda i, x: put(x, (i, 0), x[i - 1, 0] + i), x))
    want = np.cumsum(np.arange(70.0))[:, None]
    np.testing.assert_array_equal(f(np.zeros((70, 1))), want)


# ---- vectors in such loops


def durbin(r: Any) -> Any:
    n = r.shape[0]
    places = np.arange(n)

    def step(k: Any, state: Any) -> Any:
        y, alpha, beta = state
        beta = beta * (1.0 - alpha**2)
        mirrored = np.where(places < k, y[(k - 1 - places) % n], 0.0)
        alpha = -(r[k] + np.sum(np.where(places < k, r[(k - 1 - places) % n] * y, 0.0))) / beta
        return put(y + alpha * mirrored, k, alpha), alpha, beta

    return loop(1, n, step, (put(np.zeros_like(r), 0, -r[0]), -r[0], 1.0))[0]


def masked(x: Any, low: Any, high: Any) -> Any:
    """Sums and updates of parts that masks cut out, some of which are empty, or reach beyond the array."""
    n = x.shape[0]
    places = np.arange(n)

    def step(k: Any, state: Any) -> Any:
        x, total = state
        inside = np.where((places >= k + low) & (places < k + high), x, 0.0)
        total = total + np.sum(np.where(places > k + low, x, -x)) + np.max(inside)
        return put(np.where(places <= high - k, x * 0.5, x + inside), k, total), total

    return loop(0, n, step, (x, 0.0))


def reflected(x: Any, index: Any) -> Any:
    def step(k: Any, state: Any) -> Any:
        x, total = state
        return put(x, k, total), total + np.sum(x[index + k])

    return loop(0, 5, step, (x, 0.0))


VECTORS = np.random.default_rng(3).normal(size=200) / 30
PERMUTED, NEWEST = np.random.default_rng(4).permutation(200), np.arange(200)[::-1]
#: Loops over arrays that say themselves where they are read and written.
INDEXED_BY_ITSELF = {
    "read": lambda i, x: (x[(x[:100] + i) % 200] * 3)[np.arange(200) % 100] % 200,
    "read twice": lambda i, x: x[x],
    "set": lambda i, x: fnp.at(x)[x].set(NEWEST),
    "set in part": lambda i, x: fnp.at(x)[x[:100]].set(x[100:]),
    "added to": lambda i, x: fnp.at(x)[x[100:]].add(1) % 200,
    "read and set": lambda i, x: fnp.at(x)[x[:100]].set(x[x[100:]]),
}


@pytest.mark.parametrize("compiled", TIERS)
@pytest.mark.parametrize(
    ("function", "args"),
    [
        (durbin, (VECTORS,)),
        (durbin, (VECTORS[:3],)),
        *((masked, (VECTORS, low, high)) for low, high in [(-300, 300), (0, 0), (7, -4), (-1, 1), (-(2**62), 2**62)]),
        (reflected, (VECTORS, np.arange(100)[::-1] - 90)),
    ],
)
def test_vectors_in_loops(function: Any, args: Any, compiled: Any) -> None:
    with ft.config.using(backend="interpreter"):
        want = ft.tree.leaves(ft.jit(function)(*args))
    with tier(compiled):
        got = ft.tree.leaves(ft.jit(lambda *args: function(*args))(*args))
    for a, b in zip(got, want):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-13)


@pytest.mark.parametrize("compiled", TIERS)
@pytest.mark.parametrize("name", [*INDEXED_BY_ITSELF])
def test_what_is_overwritten_has_been_read(name: str, compiled: Any) -> None:
    Case(name, lambda x: lax.fori_loop(0, 5, INDEXED_BY_ITSELF[name], x), (PERMUTED,), None).check(compiled)


# ---- arrays that change places


def relaxed(n: Any, x: Any, y: Any) -> Any:
    return loop(0, n, lambda i, x: put(0.5 * x + 0.4 * x[::-1], i % 70, x[i % 3]), x), y


def waves(n: Any, x: Any, y: Any) -> Any:
    def step(i: Any, state: Any) -> Any:
        old, now = state
        return now, put(2 * now - old - 0.1 * now[::-1], i % 70, now[i % 5])

    return loop(0, n, step, (x, y))


def turned(n: Any, x: Any, y: Any) -> Any:
    """Arrays that change places with each other, and each with a number of the other one."""

    def step(i: Any, state: Any) -> Any:
        x, y = state
        return put(y, i % 70, x[(i * 7) % 70]), put(x, (i * 3) % 70, y[i % 70])

    return loop(0, n, step, (x, y))


def until_small(n: Any, x: Any, y: Any) -> Any:
    """A loop that ends where the array says so, in a loop whose array changes places too."""

    def outer(i: Any, state: Any) -> Any:
        x, y = state
        inner = lax.while_loop(lambda z: abs(z[i % 7]) > 0.3, lambda z: put(0.6 * z[::-1] + 0.1 * z, i % 70, z[0] / 2), x)
        return put(inner + 0.2 * y[::-1], 3, y[i % 70]), x

    return loop(0, n, outer, (x, y))


def chained(n: Any, x: Any, y: Any) -> Any:
    """One copy for two: what goes to two places cannot change places with both."""

    def step(i: Any, state: Any) -> Any:
        x, y = state
        z = put(x[::-1] + y, i % 70, x[i % 5])
        return z, z

    return loop(0, n, step, (x, y))


EXCHANGED = [relaxed, waves, turned, until_small, chained]
WAVES = np.cos(np.arange(70.0)), np.sin(np.arange(70.0) ** 2)


@pytest.mark.parametrize("compiled", TIERS)
@pytest.mark.parametrize("function", EXCHANGED)
@pytest.mark.parametrize("steps", [0, 1, 16, 17, 18])
def test_arrays_change_places(function: Any, steps: int, compiled: Any) -> None:
    Case("a loop", lambda x, y: function(steps, x, y), WAVES, 1e-12).check(compiled)
    if function is not until_small:  # there the interpreter takes long
        Case("a loop", function, (np.int64(steps), *WAVES), 1e-12).check(compiled)


@pytest.mark.parametrize(("function", "ways"), [(relaxed, 2), (waves, 3), (turned, 2)])
def test_what_changes_places_is_not_copied(function: Any, ways: int) -> None:
    """A body is there once for each way in which arrays may lie, and none of these copies an array as it is."""
    found = instructions(ft.jit(lambda x, y: function(40, x, y)).lower(*WAVES)._assembled.block)
    (own,) = (run for run in found if isinstance(run, RecurrenceRun))
    everything = list(statements_in(own.recurrence.statements))
    assert ways in [len(s.branches) for s in everything if isinstance(s, Choose)]
    loops = [s for s in everything if isinstance(s, Repeat) and s.length == constant(40, s.counter.dtype)]
    stores = [s for s in statements_in(loops) if isinstance(s, Store)]
    assert not [s for s in stores if isinstance(s.value, Load) and s.value.index == s.index]


@pytest.mark.parametrize("number", [np.inf, -np.inf, np.nan])
def test_states_begin_and_go_on_with_numbers_that_are_not_finite(number: float) -> None:
    def step(i: Any, x: Any) -> Any:
        inner = loop(0, i, lambda j, y: np.maximum(y, x + j), number)
        return lax.cond(i > 3, lambda: number, lambda: np.minimum(inner, x + 1))

    Case("numbers", lambda n: loop(0, n, step, 1.0), (np.int64(4),), None).check("quick")


def test_durbin_is_one_function_without_checks() -> None:
    found = instructions(ft.jit(durbin).lower(VECTORS)._assembled.block)
    (own,) = (run for run in found if isinstance(run, RecurrenceRun))
    assert not any(isinstance(run, LoopRun) for run in found)
    assert not own.otherwise


@pytest.mark.parametrize("compiled", TIERS)
def test_what_is_known_to_hold_after_a_part_of_a_condition(compiled: Any) -> None:
    """An element is looked at where an index is at least zero; nothing keeps it from being less then."""
    x = RANDOM.normal(size=100)
    with tier(compiled):
        np.testing.assert_array_equal(ft.jit(lambda x: insertion_sort(x))(x), np.sort(x))
    assert "smax" not in ft.jit(insertion_sort).lower(x).optimized_llvm
    rows = RANDOM.normal(size=(5, 20))
    with tier(compiled):
        np.testing.assert_array_equal(ft.jit(ft.vmap(insertion_sort))(rows), np.sort(rows))


def test_all_of_a_condition_is_looked_at_that_may_fail() -> None:
    """An index out of bounds is one, whatever the other part of the condition is."""
    search = lambda x, v: lax.while_loop(lambda i: (i < len(x)) & (x[i] != v), lambda i: i + 1, 0)  # noqa: E731
    assert ft.jit(search)(VECTORS, VECTORS[3]) == 3
    with pytest.raises(IndexError):
        ft.jit(search)(VECTORS, 100.0)


@pytest.mark.parametrize("compiled", TIERS)
@settings(max_examples=6, deadline=None)
@given(
    st.sampled_from([1, 2, 5, 30, 100]),
    st.integers(-3, 3),
    st.integers(-2, 2),
    st.sampled_from([np.int64, np.int32]),
    st.booleans(),
    st.booleans(),
)
def test_steps_go_through_counts(
    compiled: Any, n: int, first: int, step: int, dtype: Any, reverse: bool, has_hole: bool
) -> None:
    """Through constants that count, in a loop and in one inside it, or through those that nearly do."""
    counts = (first + step * np.arange(n)).astype(dtype)
    counts[-1] += int(has_hole)
    table = RANDOM.normal(size=500)

    def inner(total: Any, i: Any) -> Any:
        return lax.scan(lambda t, k: (t + fnp.take(table, i - k), t * k), total, counts, reverse=reverse)

    function = lambda x: lax.scan(lambda t, i: inner(t, i), x, counts, reverse=not reverse)  # noqa: E731
    Case("counts", function, (0.5,), 1e-12).check(compiled)


def test_counts_that_steps_go_through_are_not_checked() -> None:
    def largest(x: Any) -> Any:
        row = lambda i: lax.scan(lambda m, k: (np.maximum(m, x[i, k]), None), 0.0, np.arange(1, 9))[0]  # noqa: E731
        return lax.map(row, np.arange(19, -1, -2))

    x = RANDOM.normal(size=(20, 9))
    found = instructions(ft.jit(largest).lower(x)._assembled.block)
    (own,) = (run for run in found if isinstance(run, RecurrenceRun))
    assert not any(isinstance(s, Check) for s in statements_in(own.recurrence.statements))
    np.testing.assert_array_equal(ft.jit(largest)(x), np.maximum(x[::-2, 1:].max(1), 0))


@pytest.mark.parametrize("limit", [2**63 - 1, 2**62])
def test_counts_that_are_far_apart(limit: int) -> None:
    values = np.array([-limit, limit])
    assert ft.jit(lambda: lax.scan(lambda t, k: (t ^ k, k), np.int64(0), values)[0])() == -limit ^ limit


@pytest.mark.parametrize("compiled", TIERS)
@pytest.mark.parametrize("is_needed", [False, True])
def test_what_is_read_at_an_index_is_computed_once_and_updated_where_it_is(compiled: str, is_needed: bool) -> None:
    def step(k: Any, x: Any) -> Any:
        y = np.sin(x)
        z = fnp.at(y)[k].set(y[k - 1] * 2)
        return fnp.at(z)[k - 2].add(y[k] + y[k - 2]) if is_needed else z

    x = np.arange(12.0)
    function = lambda x: lax.fori_loop(0, 12, step, x)  # noqa: E731
    assert str(ft.jit(function).lower(x).kernels).count("sin(") == 12
    Case("updated", function, (x,), 1e-14).check(compiled)


@pytest.mark.parametrize("compiled", TIERS)
def test_of_what_is_overwritten_no_more_is_copied_than_is_needed_later(compiled: str) -> None:
    def step(i: Any, state: Any) -> Any:
        x, y = state
        row = x[i]
        x = fnp.at(x)[i + 1].set(0.0)
        x = fnp.at(x)[i].set(x[i, ::-1] * 2)
        return x, fnp.at(y)[i].set(np.sum(row[:, None] * row[2:4], axis=0))

    x = np.random.default_rng(0).integers(-9, 9, (500, 8)).astype(float)
    function = lambda x: lax.fori_loop(0, 499, step, (x, np.zeros((500, 2))))  # noqa: E731
    assert ft.jit(function).lower(x)._assembled.arena < x.nbytes
    Case("overwritten", function, (x,), None).check(compiled)


@pytest.mark.parametrize("compiled", TIERS)
@pytest.mark.parametrize("is_needed", [False, True])
def test_what_an_inner_loop_leaves_of_each_step_is_where_the_outer_one_leaves_it(compiled: str, is_needed: bool) -> None:
    def row(total: Any, x: Any) -> Any:
        total, (sums, signs) = lax.scan(lambda c, v: (0.5 * c + v, (c * v, c > 0)), total, x)
        return total, (sums, x, signs, sums if is_needed else -total)

    x = np.random.default_rng(0).normal(size=(90, 80))
    function = lambda x: lax.scan(row, 0.0, x)  # noqa: E731
    assert ft.jit(function).lower(x)._assembled.arena <= (x.nbytes / len(x) if is_needed else 0)
    Case("left", function, (x,), None).check(compiled)


def test_an_index_array_out_of_bounds() -> None:
    f = ft.jit(reflected)
    index = np.arange(100)
    f(VECTORS, index)
    index[37] = 197
    with pytest.raises(IndexError, match="Index 200 is out of bounds"):
        f(VECTORS, index)


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
def test_what_a_mask_leaves_out_is_not_seen(number: float) -> None:
    x = VECTORS.copy()
    x[150:] = number
    places = np.arange(200)

    def f(x: Any) -> Any:
        step = lambda k, s: (put(s[0], k, s[1]), s[1] + np.sum(np.where(places < 100 + k, s[0], 0.0)))  # noqa: E731
        return loop(0, 40, step, (x, 0.0))[1]

    assert np.isfinite(ft.jit(f)(x))
    assert np.signbit(ft.jit(lambda x: loop(0, 3, lambda k, s: s + np.sum(put(x, k, -0.0)), -0.0))(np.full(70, -0.0)))


@pytest.mark.parametrize("bound", [2**63 - 1, -(2**63), 0, 199, 200])
def test_bounds_of_masks_that_are_far_away(bound: int) -> None:
    places = np.arange(200)

    def f(x: Any, k: Any) -> Any:
        def step(i: Any, state: Any) -> Any:
            x, total = state
            total = total + np.sum(np.where(places <= k, x, 2.0)) + np.sum(np.where(places + 3 > k, x, 1.0))
            return put(x, i, total), total

        return loop(0, 5, step, (x, 0.0))[1]

    with ft.config.using(backend="interpreter"):
        want = ft.jit(f)(VECTORS, bound)
    np.testing.assert_allclose(ft.jit(f)(VECTORS, bound), want, rtol=1e-11)


@pytest.mark.parametrize("update", ["set", "add", "multiply"])
def test_a_number_without_axes_goes_to_a_known_index(update):
    x = np.arange(1.0, 5.0)

    def f(x, v):
        def step(c, v):
            first = fnp.asarray(np.int64(0)) * 1  # known once the program is simplified
            return getattr(fnp.at(c)[first], update)(v), c[1]

        return lax.scan(step, x, v)

    with ft.config.using(backend="interpreter"):
        want = ft.jit(lambda *args: f(*args))(x, x)
    for got, expected in zip(ft.jit(f)(x, x), want):
        np.testing.assert_array_equal(got, expected)


def waiting(length: int, width: int) -> Any:
    """A loop over numbers, each of which waits in a step for so many sums of its own one after the other."""

    def step(_: Any, x: Any) -> Any:
        for k in range(length):
            x = x + (k + 0.5)
        return x

    return lambda *x: lax.fori_loop(0, 50, lambda i, x: tuple(step(i, y) for y in x), x), np.linspace(1.0, 2.0, width)


@pytest.mark.parametrize(("length", "width"), [(12, 1), (3, 7), (3, 8), (12, 16)])
def test_vectors_are_for_steps_with_more_operations_than_wait(length: int, width: int) -> None:
    function, numbers = waiting(length, width)
    lowered = ft.jit(function).lower(*numbers)
    (own,) = (run for run in instructions(lowered._assembled.block) if isinstance(run, RecurrenceRun))
    (body,) = (s.body for s in own.recurrence.statements if isinstance(s, Repeat))
    assert (longest_chain(body), work_at_once(body)) == (length, length * width)
    assert (NUMBER_BY_NUMBER in lowered.llvm) == (width < WORTH_VECTORS)
    assert ("fadd <" in lowered.optimized_llvm) == (width >= WORTH_VECTORS)


def test_what_does_not_wait_for_the_step_before() -> None:
    """A new value of what comes from elsewhere, whole numbers, and branches, of which the longer one counts."""
    x, n = Register(0, np.dtype(float)), Register(1, np.dtype(int))
    more = lambda e, times: more(Apply("sqrt", (e,), e.dtype), times - 1) if times else e  # noqa: E731
    fresh = Assign((x,), (constant(2.0, x.dtype),))
    grown, again = (Assign((x,), (more(x, 1),)) for _ in range(2))
    longer = Choose(n, ((Assign((x,), (more(x, 3),)),), (fresh,)))
    assert longest_chain([grown, again]) == 2 * COSTS["sqrt"]
    assert longest_chain([grown, fresh]) == longest_chain([Assign((n,), (Apply("add", (n, n), n.dtype),))]) == 0
    assert longest_chain([longer, grown]) == 4 * COSTS["sqrt"]
    assert work_at_once([longer, grown]) == 4 * 4 * COSTS["sqrt"]
