"""Parts of an array that are read or written one after the other: their cotangents are parts of one sum, in place."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import functrans as ft
import functrans.numpy as fnp
from functrans import lax
from functrans.core.trace import EvalTrace

SHAPE = (4, 3, 5)


def integers(extent: int) -> st.SearchStrategy[int]:
    return st.integers(-extent, extent - 1)


def slices(extent: int) -> st.SearchStrategy[slice]:
    return st.slices(extent)


@st.composite
def indices(draw: st.DrawFn) -> Any:
    """Any index of an array of that shape: integers, slices, arrays of integers, with elements named twice."""
    entries: list[Any] = []
    for extent in SHAPE[: draw(st.integers(1, 3))]:
        lists = st.lists(integers(extent), min_size=2, max_size=2).map(np.array)
        entries.append(draw(st.one_of(integers(extent), slices(extent), lists)))
    return tuple(entries)


@st.composite
def reads(draw: st.DrawFn) -> Callable[[Any], Any]:
    """A function that reads a part of an array."""
    start = draw(integers(4))
    return draw(
        st.one_of(
            indices().map(lambda index: lambda x: x[index]),
            st.sampled_from(["clip", "wrap", "fill"]).map(
                lambda mode: lambda x: fnp.take(x, np.array([start, 6, -9]), axis=1, mode=mode, fill_value=0.5)
            ),
            st.just(lambda x: lax.dynamic_slice(x, (start, 0, start), (2, 3, 2))),
            st.just(lambda x: x),
            st.just(lambda x: x.T[start]),
        )
    )


@settings(max_examples=60, deadline=None)
@given(
    st.lists(reads(), min_size=1, max_size=5), st.sampled_from([np.float64, np.float32, np.complex128]), st.booleans()
)
def test_the_gradient_is_that_of_the_staged_program(parts: Any, dtype: Any, is_transposed: bool):
    x = (np.arange(60.0).reshape(SHAPE) / 7).astype(dtype)
    x = np.asfortranarray(x) if is_transposed else x

    def function(x: Any) -> Any:
        return sum(np.sum(np.real(np.sin(part(x)) * (k + 1))) for k, part in enumerate(parts))

    found, wanted = ft.grad(function)(x), ft.jit(ft.grad(function))(x)
    assert found.dtype == dtype
    np.testing.assert_allclose(found, wanted, rtol=1e-4 if dtype is np.float32 else 1e-12, atol=1e-5)


def operations(monkeypatch: pytest.MonkeyPatch, run: Callable[[], Any]) -> Counter[str]:
    """How often each primitive is run."""
    counts: Counter[str] = Counter()
    process = EvalTrace.process

    def counting(self: EvalTrace, primitive: Any, args: Any, params: Any) -> Any:
        counts[primitive.name] += 1
        return process(self, primitive, args, params)

    with monkeypatch.context() as patched:
        patched.setattr(EvalTrace, "process", counting)
        run()
    return counts


@pytest.mark.parametrize("read", [lambda x, i: x[i], lambda x, i: x[i : i + 2], lambda x, i: x[i, 1]])
def test_a_further_read_makes_no_further_array(monkeypatch: pytest.MonkeyPatch, read: Any):
    def after(count: int) -> Counter[str]:
        gradient = ft.grad(lambda x: sum(np.sum(read(x, i)) for i in range(count)))
        return operations(monkeypatch, lambda: gradient(np.ones((40, 3))))

    few, many = after(10), after(30)
    for name in ("full", "pad", "scatter_add"):
        assert many[name] == few[name] <= 1


def test_what_others_hold_is_left_alone():
    x, row = np.ones((3, 4)), np.ones(4)
    whole = np.full((3, 4), 2.0)
    _, pull = ft.vjp(lambda x: (x, x[0], x[0], x + 0), x)
    for _ in range(2):
        (found,) = pull((whole, row, row, whole))
        np.testing.assert_array_equal(found, 4 + 2 * np.eye(3)[0][:, None] * row)
    np.testing.assert_array_equal(whole, 2)
    np.testing.assert_array_equal(row, 1)


def test_a_cotangent_of_two_variables_is_added_to_for_each():
    def function(x: Any, y: Any) -> Any:
        total = x + y  # both have the same cotangent
        return np.sum(total) + x[0] * 3 + x[0] + y[1] * 5 + y[1]

    found = ft.grad(function, (0, 1))(np.ones(2), np.ones(2))
    np.testing.assert_array_equal(found, [[5, 1], [1, 7]])


def test_outer_derivatives_see_every_part():
    def function(x: Any) -> Any:
        return sum(x[i] ** 2 * x[i - 1] for i in range(4))

    x = np.array([1.0, 2.0, 3.0, 4.0])
    np.testing.assert_allclose(ft.hessian(function)(x), ft.jacfwd(ft.jacfwd(function))(x))
    rows = ft.vmap(ft.grad(function))(np.stack([x, 2 * x]))
    np.testing.assert_allclose(rows, [ft.grad(function)(x), ft.grad(function)(2 * x)])


# ---- loops: a step backwards takes no longer than a step forwards


def each(steps: Any, body: Callable[[Any, Any], Any], state: Any, as_loop: bool) -> Any:
    """A loop of the library, or one of Python."""
    if as_loop:
        return lax.fori_loop(0, steps, body, state)
    for i in range(int(steps)):
        state = body(i, state)
    return state


def reads_elements(x: Any, as_loop: bool) -> Any:
    return each(5, lambda i, s: s + np.sin(x[i, i] * x[i + 1, 2]), 0.0, as_loop)


def reads_rows(x: Any, as_loop: bool) -> Any:
    return each(5, lambda i, s: s + np.sum(x[i, :7] * x[i // 2, 1:8]), 0.0, as_loop)


def reads_regions(x: Any, as_loop: bool) -> Any:
    return each(5, lambda i, s: s + np.sum(np.sin(lax.dynamic_slice(x, (i, 1), (2, 3)))), 0.0, as_loop)


def reads_at_indices(x: Any, as_loop: bool) -> Any:
    rows = fnp.array([3, 0, 3])
    return each(5, lambda i, s: s + np.sum(x[rows + i, i] ** 2), 0.0, as_loop)


def writes_elements(x: Any, as_loop: bool) -> Any:
    def step(i: Any, x: Any) -> Any:
        x = x.copy()
        x[i + 1, 2] = x[i, 2] * x[i + 1, 0] + np.sin(x[i + 1, 2])
        return x

    return np.sum(each(5, step, x, as_loop)[:7, :7] ** 2)


def writes_regions(x: Any, as_loop: bool) -> Any:
    def step(i: Any, x: Any) -> Any:
        return lax.dynamic_update_slice(x, np.sin(lax.dynamic_slice(x, (i, 1), (2, 3))) * x[0, 0], (i + 1, 0))

    return np.sum(each(5, step, x, as_loop)[:7, :7] ** 2)


def nests(x: Any, as_loop: bool) -> Any:
    def inner(i: Any, s: Any) -> Any:
        return each(i + 1, lambda j, s: s + x[i, j] * x[j, 3], s, as_loop)

    return each(5, inner, 0.0, as_loop)


def nests_and_writes(x: Any, as_loop: bool) -> Any:
    def element(i: Any, j: Any, x: Any) -> Any:
        x = x.copy()
        x[i, j] = each(j, lambda k, s: s - x[i, k] * x[k, j] / 9, x[i, j], as_loop)
        return x

    def row(i: Any, x: Any) -> Any:
        return each(4, lambda j, x: element(i, j, x), x, as_loop)

    return np.sum(each(5, row, x, as_loop)[:7, :7] ** 2)


def reads_in_branches(x: Any, as_loop: bool) -> Any:
    def step(i: Any, s: Any) -> Any:
        return lax.cond(x[i, 1] < 0.5, lambda: s + x[i, 0] * x[i + 1, 3], lambda: s * x[i, 2])

    return each(5, step, 1.0, as_loop)


def writes_in_branches(x: Any, as_loop: bool) -> Any:
    def exchanged(x: Any, i: Any) -> Any:
        x = x.copy()
        a, b = x[i, 0], x[i + 1, 2]
        x[i, 0], x[i + 1, 2] = b, a * x[0, 0]
        return x

    def step(i: Any, state: Any) -> Any:
        number, x = state
        return lax.cond(x[i, 1] < 0.5, lambda: (number + x[i, 0], exchanged(x, i)), lambda: (number, x))

    number, x = each(5, step, (0.0, x), as_loop)
    return number + np.sum(x[:7, :7] ** 2)


def branches_in_nests(x: Any, as_loop: bool) -> Any:
    def scaled(x: Any, i: Any, j: Any) -> Any:
        x = x.copy()
        x[i, j] = x[i, j] * x[j, i]
        return x

    def row(i: Any, x: Any) -> Any:
        inner = lambda j, x: lax.cond(x[i, j] > 0.0, lambda: scaled(x, i, j), lambda: x)  # noqa: E731
        return lax.cond(x[i, 0] < 0.9, lambda: each(4, inner, x, as_loop), lambda: scaled(x, i, 0))

    return np.sum(each(5, row, x, as_loop)[:7, :7] ** 2)


LOOPS = [
    reads_elements, reads_rows, reads_regions, reads_at_indices, writes_elements, writes_regions, nests,
    nests_and_writes, reads_in_branches, writes_in_branches, branches_in_nests,
]  # fmt: skip


def points(extent: int) -> np.ndarray[Any, Any]:
    return np.cos(np.arange(extent**2, dtype=float)).reshape(extent, extent)


@pytest.mark.parametrize("function", LOOPS)
def test_the_gradient_of_a_loop_is_that_of_its_steps(function: Callable[..., Any]):
    x = points(9)
    wanted = ft.grad(lambda x: function(x, False))(x)
    staged = ft.grad(lambda x: function(x, True))
    for gradient in (staged, ft.jit(staged)):
        np.testing.assert_allclose(gradient(x), wanted, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("function", LOOPS)
def test_steps_backwards_touch_what_steps_forwards_do(function: Callable[..., Any]):
    def moved(extent: int) -> float:
        gradient = ft.jit(ft.grad(lambda x: function(x, True)))
        total = gradient.lower(points(extent)).cost.total
        return total.read + total.written

    whole = 8 * (60**2 - 30**2)
    assert moved(60) - moved(30) <= 6 * whole  # the array is copied, the gradient made: that is all


def test_what_a_loop_adds_to_is_what_there_is_already():
    def function(x: Any, y: Any) -> Any:
        before = np.sum(x**2) + y[0]
        return lax.fori_loop(0, 3, lambda i, s: s + x[i] * y[i] * x[0], before) * np.sum(y)

    def steps(x: Any, y: Any) -> Any:
        return (np.sum(x**2) + y[0] + sum(x[i] * y[i] * x[0] for i in range(3))) * np.sum(y)

    x, y = np.array([1.0, -2.0, 0.5, 3.0]), np.array([0.5, 4.0, -1.0, 2.0])
    for derivative in (ft.grad, ft.hessian):
        found, wanted = derivative(function, (0, 1))(x, y), derivative(steps, (0, 1))(x, y)
        for a, b in zip(ft.tree.leaves(found), ft.tree.leaves(wanted), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-12)
    lanes = ft.vmap(ft.grad(function), in_axes=(None, 0))(x, np.stack([y, 2 * y]))
    np.testing.assert_allclose(lanes, [ft.grad(steps)(x, y), ft.grad(steps)(x, 2 * y)], rtol=1e-12)
