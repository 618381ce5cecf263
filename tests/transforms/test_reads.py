"""Parts of an array that are read one after the other: their cotangents are added in place, to one sum."""

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
