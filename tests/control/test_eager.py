"""Loops outside `jit`: the same step by step and as programs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import functrans as ft
from functrans import lax
from functrans.control import eager
from functrans.control.scan import Scan
from functrans.control.while_loop import WhileLoop
from functrans.core import interning
from functrans.core.interning import forget_interned
from tests.helpers.bits import assert_same_bits

X = np.random.default_rng(0).normal(size=(7, 3))


def scan(x: Any) -> Any:
    return lax.scan(lambda c, x: (c * 0.5 + x, (c[0], np.sin(x))), np.ones(3), x)


def reverse(x: Any) -> Any:
    return lax.scan(lambda c, x: (c * 0.5 + x, c), x[0], x, reverse=True)


def without_inputs(x: Any) -> Any:
    return lax.scan(lambda c, _: ((c[0] + 1, c[1] * 0.5), None), (0, x), length=9)[0]


def fori(x: Any) -> Any:
    return lax.fori_loop(0, 7, lambda i, c: c * 0.9 + i, x)


def while_(x: Any) -> Any:
    return lax.while_loop(lambda s: s[1] < 11, lambda s: (s[0] * 0.9 + 1, s[1] + 2), (x, 0))


def computed_length(x: Any) -> Any:
    return lax.fori_loop(0, np.sum(x[0] < 99), lambda i, c: c + x[0] * i, x[1])


def loops_in_loops(x: Any) -> Any:
    """Their derivatives read stacks of stacks."""

    def row(i: Any, y: Any) -> Any:
        inner = lambda j, y: ft.numpy.at(y)[j].set(np.sin(y[j]) * y[i] + 0.1 * j)  # noqa: E731
        return lax.fori_loop(0, i, inner, y)

    return lax.fori_loop(0, 3, row, x[1])


def until_in_until(x: Any) -> Any:
    def halved(state: Any) -> Any:
        n, y = state
        return n + 1, lax.while_loop(lambda y: np.sum(y**2) > n, lambda y: y * np.cos(y) * 0.5, y + x[0])

    return lax.while_loop(lambda state: state[0] < 4, halved, (1, x[1]))


LOOPS = [scan, reverse, without_inputs, fori, while_, computed_length, loops_in_loops, until_in_until]
TRANSFORMED = {
    "as it is": lambda f: f,
    "grad": lambda f: ft.grad(lambda x: sum(np.sum(y**2) for y in ft.tree.leaves(f(x)) if np.ndim(y))),
    "jvp": lambda f: lambda x: ft.jvp(f, (x,), (np.cos(x),)),
    "vmap": lambda f: lambda x: ft.vmap(f)(np.stack([x, 2 * x])),
}


@pytest.mark.parametrize("f", LOOPS, ids=lambda f: f.__name__)
@pytest.mark.parametrize("how", [*TRANSFORMED])
def test_the_same_as_a_program(f: Any, how: str, monkeypatch: pytest.MonkeyPatch):
    g = TRANSFORMED[how](f)
    results = []
    for worth in (1 << 60, 0, 10):
        forget_interned()
        monkeypatch.setattr(eager, "WORTH_A_PROGRAM", worth)
        results += [ft.tree.leaves(g(X)) for _ in range(3)]
    for found in results[1:]:
        assert [type(y) for y in found] == [type(y) for y in results[0]]
        assert_same_bits(found, results[0])


@pytest.mark.parametrize(("loop", "f"), [(Scan, scan), (WhileLoop, while_)])
def test_many_steps_are_one_program(loop: Any, f: Any, monkeypatch: pytest.MonkeyPatch):
    forget_interned()
    monkeypatch.setattr(eager, "WORTH_A_PROGRAM", 12)
    runs = []
    impl = loop.impl
    monkeypatch.setattr(loop, "impl", lambda self, *args, **params: runs.append(1) or impl(self, *args, **params))
    for _ in range(6):
        f(X)
    assert 1 <= len(runs) <= 2


@pytest.mark.parametrize("f", [loops_in_loops, until_in_until], ids=lambda f: f.__name__)
def test_loops_with_stacks_are_programs_sooner(f: Any, monkeypatch: pytest.MonkeyPatch):
    forget_interned()
    monkeypatch.setattr(eager, "WORTH_A_PROGRAM", 3 * eager.STEPS_OF_STACKS)
    compiled = []
    as_program = eager.as_program
    monkeypatch.setattr(eager, "as_program", lambda *args: compiled.append(1) or as_program(*args))
    gradient = TRANSFORMED["grad"](f)
    for _ in range(2):
        gradient(X)
    assert len(compiled) == 2  # forwards and backwards


def test_large_arrays_that_a_body_reads_again_and_again_do_not_count_again():
    table = np.ones((200, 200))

    def f(table: Any) -> Any:
        return lax.fori_loop(0, 3, lambda i, s: sum((s * table[i, k] for k in range(9)), 0.0), 1.0)

    forget_interned()
    for _ in range(2):
        ft.grad(f)(table)
    assert len(interning._kept) == 1


def test_few_lengths_are_remembered(monkeypatch: pytest.MonkeyPatch):
    forget_interned()
    monkeypatch.setattr(eager, "WORTH_A_PROGRAM", 3)
    for n in range(1, 3 * eager.MOST_KEPT):
        last = lax.fori_loop(0, n, lambda i, c: c + i, 0)
        assert last == n * (n - 1) // 2
    (body,) = interning._kept.values()
    assert len(eager.loops_with(body)) <= eager.MOST_KEPT


def test_programs_are_for_native_code_only(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(eager, "WORTH_A_PROGRAM", 0)
    monkeypatch.setattr(eager, "compile_jaxpr", lambda jaxpr: pytest.fail("compiled"))
    with ft.config.using(backend="interpreter"):
        scan(X)


def test_effects_happen_in_order(monkeypatch: pytest.MonkeyPatch):
    seen: list[float] = []

    def body(c: Any, x: Any) -> Any:
        ft.debug.callback(lambda v: seen.append(float(v)), c)
        return c + x, None

    for worth in (1 << 60, 0):
        monkeypatch.setattr(eager, "WORTH_A_PROGRAM", worth)
        seen.clear()
        lax.scan(body, 0.0, np.ones(4))
        assert seen == [0, 1, 2, 3]


@pytest.mark.parametrize("worth", [0, 1])
def test_no_steps_at_all(worth: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(eager, "WORTH_A_PROGRAM", worth)
    last, ys = scan(X[:0])
    np.testing.assert_array_equal(last, np.ones(3))
    assert [y.shape for y in ys] == [(0,), (0, 3)]
