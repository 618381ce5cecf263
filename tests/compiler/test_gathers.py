"""Reads at computed indices as parts of kernels: what is fused, checked before, and overwritten only after."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import functrans as ft
from functrans import lax
from functrans.compiler.instructions import CheckRun, KernelRun
from functrans.compiler.simplify.bounds import DEEPEST, interval_of_atom
from functrans.compiler.simplify.rewriting import Rewriter
from functrans.compiler.simplify.tables import ALL_RULES
from functrans.errors import OutOfBoundsError
from tests.helpers.bits import assert_same_bits
from tests.helpers.tiers import TIERS, interpreted, natively, staged

fnp = ft.numpy
N = 70
RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(N, N))
I, J = RANDOM.integers(-N, N, (2, N, N))  # noqa: E741 (indices)

#: Index arrays, as arguments or made of them, all within bounds.
INDICES = {
    "argument": lambda i, j: i,
    "computed": lambda i, j: (i * 3 + j) % N,
    "transposed": lambda i, j: i.T,
    "rolled": lambda i, j: np.roll(i, 3, 0),
    "put together": lambda i, j: np.concatenate([i[: N // 2], j[N // 2 :]]),
    "small": lambda i, j: i.astype(np.int8),
    "unsigned": lambda i, j: np.abs(j).astype(np.uint16) % N,
    "constant": lambda i, j: I,
    "found": lambda i, j: i[j, j.T],
}
#: What is read of.
ARRAYS = {
    "argument": lambda x, i: x,
    "cheap": lambda x, i: x + 1.0,
    "expensive": lambda x, i: np.sin(x) * x,
    "transposed": lambda x, i: x.T,
    "rolled": lambda x, i: np.roll(x, 5, 1),
    "put together": lambda x, i: np.concatenate([x[:30], x[:40] * 2.0]),
    "found": lambda x, i: x[i, i.T],
    "booleans": lambda x, i: x > 0.0,
}
#: How.
READS = {
    "elements": lambda x, i, j: x[i, j],
    "rows": lambda x, i, j: x[i[0]],
    "columns": lambda x, i, j: x[:, j[0]],
    "along": lambda x, i, j: np.take_along_axis(x, i % N, 1),
    "clipped": lambda x, i, j: fnp.take(x, i * 2, mode="clip"),
    "wrapped": lambda x, i, j: fnp.take(x, i * 90, mode="wrap"),
    "filled": lambda x, i, j: fnp.at(x)[i * 2, j].get(mode="fill", fill_value=7.0),
    "one": lambda x, i, j: x[i[3, 4], j[5, 6]] + x,
    "row and column": lambda x, i, j: x[i[0][:, None], j[0]],
}
#: What becomes of it.
USES = {
    "result": lambda y, x: y,
    "computed with": lambda y, x: np.exp(-np.square(y)) * x,
    "twice": lambda y, x: (y * 2.0, np.sum(y + x, 0)),
    "summed": lambda y, x: np.sum(y * x, 1),
    "summed over rows": lambda y, x: np.sum(y, 0),
    "largest": lambda y, x: np.max(y - x),
    "transposed": lambda y, x: y.T * x,
    "multiplied": lambda y, x: y @ x,
    "again": lambda y, x: y[::-1] + y[:, ::-1],
    "broadcast": lambda y, x: np.sum(y[:, None, :] * x[None, :3, :], 2),
    "read again": lambda y, x: (y * 1.0)[I, J],
}


@pytest.mark.parametrize("compiled", TIERS)
@settings(max_examples=25, deadline=None)
@given(
    st.sampled_from(sorted(ARRAYS)), st.sampled_from(sorted(INDICES)), st.sampled_from(sorted(INDICES)),
    st.sampled_from(sorted(READS)), st.sampled_from(sorted(USES)),
)  # fmt: skip
def test_what_is_read_is_what_the_interpreter_reads(
    compiled: str, array: str, first: str, second: str, read: str, use: str
) -> None:
    def function(x: Any, i: Any, j: Any) -> Any:
        i, j = INDICES[first](i, j), INDICES[second](j, i)
        return ft.tree.leaves(USES[use](READS[read](ARRAYS[array](x, i), i, j) * 1.0, x))

    jaxpr = staged(function, (X, I, J))
    for found, wanted in zip(natively(jaxpr, (X, I, J), compiled), interpreted(jaxpr, (X, I, J))):
        np.testing.assert_allclose(found, wanted, rtol=1e-12, atol=1e-12)


LOOPS = {
    "relaxed": lambda x, i, j: np.abs(x[i, j] + x.T),
    "one of two": lambda x, i, j: np.where(i > j, x[i, j], x) * 0.5,
    "updated": lambda x, i, j: fnp.at(x)[i[0]].set(x[j[0]] * 0.5),
    "least": lambda x, i, j: fnp.at(x)[j, i].min(x[i, j] + 1.0),
    "region": lambda x, i, j: fnp.at(x)[3:, 2:].set(x[i, j][:-3, :-2] + x[3:, 2:]),
    "all of it": lambda x, i, j: fnp.at(x)[:, :].set(x[i, j] + x),
}


@pytest.mark.parametrize("compiled", TIERS)
@pytest.mark.parametrize("name", LOOPS)
def test_what_is_overwritten_has_been_read(name: str, compiled: str) -> None:
    """In a loop, and in an argument that is donated."""
    loop = lambda x, i, j: lax.fori_loop(0, 5, lambda _, x: LOOPS[name](x, i, j), x)  # noqa: E731
    for function, donated in [(loop, ()), (loop, (0,)), (LOOPS[name], (0,))]:
        jaxpr = staged(function, (X, I, J))
        assert_same_bits(natively(jaxpr, (X, I, J), compiled, donated), interpreted(jaxpr, (X, I, J)))


def kinds(function: Any, *args: Any) -> list[Any]:
    return [type(run) for run in ft.jit(function).lower(*args)._assembled.block]


def test_reads_are_parts_of_the_kernels_that_need_them() -> None:
    blended = lambda x, i, w: w * fnp.take(x, i, mode="clip") + (1.0 - w) * fnp.take(x, i + 1, mode="clip")  # noqa: E731
    assert kinds(blended, X, I, X) == [KernelRun]
    assert kinds(lambda x, i, j, w: np.sum(w * np.square(x[i, j])), X, I, J, X).count(KernelRun) == 1
    assert kinds(lambda x, i, j: x[i, j] * 2.0 - x[j, i], X, I, J) == [CheckRun, CheckRun, KernelRun]


WITHIN = {
    "clipped": lambda x, i, j: x[np.clip(i, 0, N - 1), np.clip(j + 1, 0, N - 1)] * 2.0,
    "clipped to less": lambda x, i, j: x[np.minimum(np.maximum(3, i), 5), 1 + np.clip(j, 0, N - 2)],
    "remainders": lambda x, i, j: x[(i + 1) % N, (j * 3) % 7],
    "one of two": lambda x, i, j: x[np.where(i > j, np.abs(i) % 9, 0), np.where(i < 3, 2, 5)],
    "small integers": lambda x, i, j: x[:, (i[0] % 50).astype(np.int8)] + 1.0,
    "unsigned": lambda x, i, j: x[i.astype(np.uint64) % N, 3],
    "moved": lambda x, i, j: x[(i % N).T.reshape(-1)[::-1], 2],
    "counted": lambda x, i, j: x[np.floor_divide(fnp.arange(N), 2)[:, None], (j % N)],
    "logical": lambda x, i, j: x[(i > 3).astype(int), 0],
}


@pytest.mark.parametrize("name", WITHIN)
def test_what_is_surely_within_bounds_is_not_looked_at(name: str) -> None:
    assert CheckRun not in kinds(WITHIN[name], X, I, J)
    jaxpr = staged(WITHIN[name], (X, I, J))
    assert_same_bits(natively(jaxpr, (X, I, J), "quick"), interpreted(jaxpr, (X, I, J)))


@pytest.mark.parametrize("place", [np.argmax, np.argmin, np.argsort])
def test_places_of_elements_are_within_bounds(place: Any) -> None:
    function = lambda x, y: x[place(y, axis=1)]  # noqa: E731
    assert CheckRun not in kinds(function, X, X[:, :9])
    np.testing.assert_array_equal(ft.jit(function)(X, X[:, :9]), function(X, X[:, :9]))
    with pytest.raises(OutOfBoundsError):
        ft.jit(function)(X[:5], X[:, :9])


#: Operations on integers, any of which may wrap around.
STEPS = {
    "add": lambda i, k: i + k, "subtract": lambda i, k: k - i, "multiply": lambda i, k: i * k,
    "remainder": lambda i, k: i % max(k, 1), "divide": lambda i, k: i // max(abs(k), 1),
    "least": np.minimum, "greatest": np.maximum, "clip": lambda i, k: np.clip(i, 0, 4), "absolute": lambda i, k: abs(i),
    "other": lambda i, k: np.where(i > k, i, 2), "bits": lambda i, k: i & k, "turn": lambda i, k: i[::-1],
    "narrow": lambda i, k: i.astype(np.int8), "unsigned": lambda i, k: i.astype(np.uint8),
    "wide": lambda i, k: i.astype(np.int64), "number": lambda i, k: i.astype(float).astype(np.int64),
}  # fmt: skip


#: Integers at the bounds of types and of small arrays.
NUMBERS = np.array([-(2**63), -300, -129, -128, -6, -5, -1, 0, 1, 4, 5, 127, 128, 200, 255, 256, 260, 2**63 - 1])


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(sorted(STEPS)), st.integers(-6, 6)), min_size=1, max_size=5))
def test_integers_lie_where_they_are_thought_to(steps: list[tuple[str, int]]) -> None:
    def function(i: Any) -> Any:
        for name, k in steps:
            i = STEPS[name](i, k)
        return i

    try:
        jaxpr = staged(function, (NUMBERS,))
    except OverflowError:  # a negative number and unsigned integers
        return
    rewriter = Rewriter(ALL_RULES, lambda inner: inner, lambda inner: inner)
    (result,) = rewriter.run(jaxpr)
    low, high = interval_of_atom(rewriter, result, {}, DEEPEST)
    (found,) = interpreted(jaxpr, (NUMBERS,))
    assert low <= found.min()
    assert found.max() <= high


@pytest.mark.parametrize(("low", "high"), [(0, 4), (0, 5), (-1, 4), (1, 3), (-5, 4), (-6, 0)])
@pytest.mark.parametrize("number", [-7, -1, 0, 2, 4, 5, 7])
def test_only_what_is_within_bounds_is_not_looked_at(low: int, high: int, number: int) -> None:
    x, i = np.arange(5.0), np.array([2, number])
    function = ft.jit(lambda x, i: x[np.minimum(np.maximum(i, low), high)])
    place = min(max(number, low), high)
    if -5 <= place < 5:
        np.testing.assert_array_equal(function(x, i), x[[min(max(2, low), high), place]])
    else:
        with pytest.raises(OutOfBoundsError):
            function(x, i)


@pytest.mark.parametrize("compiled", TIERS)
@pytest.mark.parametrize("number", [N, -N - 1, 1 << 40])
def test_an_index_out_of_bounds_names_its_line(number: int, compiled: str) -> None:
    i = I.copy()
    i[-1, -1] = number

    def function(x: Any, i: Any) -> Any:
        y = np.sin(x)
        z = x[i + 0] * 2.0  # the line
        return z + y

    with pytest.raises(OutOfBoundsError, match=f"Index {number} is out of bounds") as error:
        natively(staged(function, (X[0], i)), (X[0], i), compiled)
    assert "# the line" in str(error.value)


def test_an_error_comes_after_what_was_printed_before(capsys: pytest.CaptureFixture[str]) -> None:
    def function(x: Any, i: Any) -> Any:
        y = x * 2.0
        ft.debug.print("before {}", y[0])
        return y + x[i]

    with pytest.raises(OutOfBoundsError):
        ft.jit(function)(X[0], np.full(N, N))
    assert "before" in capsys.readouterr().out


def test_other_sizes() -> None:
    """Extents are in the text of indices that count from the end."""
    function = ft.jit(lambda x, i: x[i] * 2.0)
    for n in (40, 41, 200):
        x, i = RANDOM.normal(size=n), RANDOM.integers(-n, n, 33)
        np.testing.assert_array_equal(function(x, i), x[i] * 2.0)


#: Arrays of five rows, all alike or known without memory.
ALIKE = {
    "broadcast": lambda x: np.broadcast_to(x, (5, 3)),
    "filled": lambda x: fnp.full((5, 3), x[0]),
    "stacked": lambda x: np.stack([x] * 5),
    "repeated": lambda x: x[None, :] * np.ones((5, 1)),
    "counted": lambda x: lax.broadcasted_iota(np.dtype(np.int64), (5, 3), 1) * x,
    "a greatest one": lambda x: np.max(x)[None],
}


@pytest.mark.parametrize("kind", list(ALIKE))
@pytest.mark.parametrize("use", ["row", "product", "sum", "loop", "lanes"])
@pytest.mark.parametrize("tier", sorted(TIERS))
def test_indices_count_where_elements_do_not_depend_on_them(kind, use, tier):
    array = ALIKE[kind]
    uses = {
        "row": lambda x, i: array(x)[i[1]],
        "product": lambda x, i: array(x)[i] * 2.0,
        "sum": lambda x, i: np.sum(np.sin(array(x)[i]) + x[0]),
        "loop": lambda x, i: lax.fori_loop(0, 3, lambda k, total: total + np.sum(array(x)[i]), 0.0),
        "lanes": lambda x, i: ft.vmap(lambda j: array(x)[j])(i),
    }
    x, right, wrong = np.arange(1.0, 4.0), np.array([0, -1]), np.array([0, 7])
    jaxpr = staged(uses[use], (x, right))
    for got, wanted in zip(natively(jaxpr, (x, right), tier), interpreted(jaxpr, (x, right)), strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-15)
    with pytest.raises(OutOfBoundsError):
        natively(jaxpr, (x, wrong), tier)
