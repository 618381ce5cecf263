"""Which jaxprs become one, and for how long."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import functrans as ft
import functrans.numpy as fnp
from functrans import lax
from functrans.core import interning
from functrans.core.avals import ShapedArray
from functrans.core.interning import interned
from functrans.core.jaxpr import Jaxpr
from functrans.core.staging import trace_closed
from functrans.primitives.indices import Indexing

X = ShapedArray((3,), np.dtype(float))


@pytest.fixture(autouse=True)
def _nothing_kept():
    interning.forget_interned()
    yield
    interning.forget_interned()


def program(constant: Any, aval: ShapedArray = X) -> Jaxpr:
    """A program with a constant in it."""
    return trace_closed(lambda x: [np.sin(x) + constant], [aval])


def test_the_same_program_twice_is_one():
    assert interned(program(1.5)) is interned(program(1.5))
    array = np.arange(3.0)
    assert interned(program(array)) is interned(program(array.copy()))


CONSTANTS = [
    0.0, -0.0, 1, 1.0, 1 + 0j, np.float64(1), np.float32(1), np.int64(1), np.arange(3.0), np.arange(3), np.arange(3.0)[::-1],
    np.array([0.0, -0.0, 1.0]), np.zeros(3), np.zeros((1, 3)),
]  # fmt: skip


def test_constants_tell_programs_apart():
    found = [interned(program(c)) for c in CONSTANTS]
    assert len({id(p) for p in found}) == len(CONSTANTS)
    assert [id(interned(program(c))) for c in CONSTANTS] == [id(p) for p in found]


@given(st.lists(st.sampled_from(range(6)), max_size=5), st.lists(st.sampled_from(range(6)), max_size=5))
def test_equations_tell_programs_apart(first: list[int], second: list[int]):
    steps: list[Callable[[Any], Any]] = [
        np.sin, np.cos, lambda x: x * 2.0, lambda x: x * x, lambda x: np.sum(x) + x, lambda x: np.flip(x),
    ]  # fmt: skip

    def traced(numbers: list[int]) -> Jaxpr:
        def f(x: Any) -> list[Any]:
            for n in numbers:
                x = steps[n](x)
            return [x]

        return trace_closed(f, [X])

    assert (interned(traced(first)) is interned(traced(second))) == (first == second)


def test_types_parameters_and_lines_tell_programs_apart():
    different = [
        trace_closed(lambda x: [x + 1], [X]),
        trace_closed(lambda x: [x + 1], [X]),
        program(1.5, X._replace(dtype=np.dtype("f4"))),
        program(1.5, X._replace(shape=(4,))),
        program(1.5, ShapedArray((), np.dtype(float), weak=True)),
        program(1.5, ShapedArray((), np.dtype(float))),
        *(trace_closed(lambda x, axis=axis: [np.cumsum(x, axis)], [X._replace(shape=(3, 3))]) for axis in (0, 1)),
    ]
    assert len({id(interned(p)) for p in different}) == len(different)


def test_programs_inside_count():
    def outer(scale: float) -> Jaxpr:
        inner = ft.jit(lambda x: x * scale)
        return trace_closed(lambda x: [inner(x)], [X])

    assert interned(outer(2.0)) is not interned(outer(3.0))


def test_operands_count():
    pair = [X, X]
    one = trace_closed(lambda x, y: [x - y], pair)
    assert one.eqns[0].inputs == one.inputs
    swapped = Jaxpr(one.inputs[::-1], one.eqns, one.outputs)
    assert interned(one) is not interned(swapped)


def test_what_is_large_is_not_kept(monkeypatch: pytest.MonkeyPatch):
    large = X._replace(shape=(1 << 18,))
    assert interned(program(1.5, large)) is not interned(program(1.5, large))
    monkeypatch.setattr(interning, "MOST_EQUATIONS", 1)
    assert interned(program(1.5)) is not interned(program(1.5))
    monkeypatch.undo()
    monkeypatch.setattr(interning, "MOST_KEPT", 2)
    first = interned(program(0.5))
    kept = [interned(program(c)) for c in (1.5, 2.5)]
    assert [interned(program(c)) for c in (1.5, 2.5)] == kept
    assert interned(program(0.5)) is not first


def test_clear_caches_forgets_them():
    first = interned(program(1.5))
    ft.clear_caches()
    assert interned(program(1.5)) is not first


def test_what_holds_functions_is_not_kept():
    def traced() -> Jaxpr:
        return trace_closed(lambda x: ft.debug.callback(print, x) or [x], [X])

    assert interned(traced()) is not interned(traced())
    assert not interning._kept


def test_parameters_of_all_kinds():
    spec = Indexing((0,), unique=True)
    assert interning._of_value(spec) == interning._of_value(Indexing((0,), unique=True))
    assert interning._of_value(spec) != interning._of_value(Indexing((0,)))
    assert interning._of_value((1, True)) != interning._of_value((1, 1))
    assert interning._of_value({"a": 1, "b": 2.0}) == interning._of_value({"b": 2.0, "a": 1})


def test_loops_see_what_their_bodies_close_over():
    table = np.arange(3.0)
    scale = 2.0

    def f(x: Any) -> Any:
        return lax.scan(lambda c, x: (c * scale + np.sum(table) * x, c), 1.0, x)[0]

    x = np.ones(4)
    for _ in range(2):
        assert f(x) == 16 + 15 * np.sum(table)
    table[0] = 7.0
    assert f(x) == 16 + 15 * np.sum(table)
    scale = 1.0
    assert f(x) == 1 + 4 * np.sum(table)


def test_errors_name_their_own_line():
    def one(i: Any) -> Any:
        return lax.cond(True, lambda i: fnp.take(np.ones(3), i), lambda i: 0.0, i)

    def other(i: Any) -> Any:
        return lax.cond(True, lambda i: fnp.take(np.ones(3), i), lambda i: 0.0, i)

    for f in (one, other, one):
        with pytest.raises(IndexError, match="At .*, in <lambda>: `return lax.cond") as caught:
            f(np.int64(5))
        line = f.__code__.co_firstlineno + 1
        assert f"test_interning.py:{line}" in str(caught.value)
