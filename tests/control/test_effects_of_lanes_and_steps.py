"""Effects in loops and branches: had once by each lane and step that gets there, and by no other, in any derivative."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import functrans as ft
from functrans import lax
from functrans.errors import CallbackError

X = np.array([1.0, 2.0, 3.0])
FLOAT = ft.ShapeDtypeStruct((), float)

Told = list[float]


def telling(told: Told) -> Callable[[Any], Any]:
    """The identity, telling of its argument."""

    def tell(x: Any) -> Any:
        ft.debug.callback(lambda x: told.append(float(x)), x)
        return x

    return tell


def with_custom_jvp(tell: Any) -> Any:
    f = ft.custom_jvp(tell)
    f.defjvp(lambda primals, tangents: (primals[0], tangents[0]))
    return f


def with_custom_vjp(tell: Any) -> Any:
    f = ft.custom_vjp(tell)
    f.defvjp(lambda x: (x, None), lambda _, ct: (ct,))
    return f


#: The identity in every program that a branch or loop may hold.
PROGRAMS: dict[str, Callable[[Any], Any]] = {
    "as it is": lambda tell: tell,
    "jit": ft.jit,
    "checkpoint": ft.checkpoint,
    "custom_jvp": with_custom_jvp,
    "custom_vjp": with_custom_vjp,
    "custom_rule": ft.custom_rule,
    "scan": lambda tell: lambda x: lax.scan(lambda c, _: (tell(c), None), x, None, length=1)[0],
    "while_loop": lambda tell: lambda x: lax.while_loop(
        lambda s: s[0] < 1, lambda s: (s[0] + 1, tell(s[1])), (0, x)
    )[1],
    "while_loop by lane": lambda tell: lambda x: lax.while_loop(
        lambda s: s[0] < np.sign(x), lambda s: (s[0] + 1, tell(s[1])), (0.0, x)
    )[1],
    "cond": lambda tell: lambda x: lax.cond(x > 0, tell, np.cos, x),
    "custom_root": lambda tell: lambda x: lax.custom_root(
        lambda y: y - x, x, lambda _, guess: tell(guess), lambda g, y: y / g(1.0)
    ),
    "custom_linear_solve": lambda tell: lambda x: lax.custom_linear_solve(
        lambda y: 1.0 * y, x, lambda _, b: tell(b), symmetric=True
    ),
}

every_program = pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS.keys())


@every_program
@pytest.mark.parametrize("wrap", [lambda f: f, ft.jit], ids=["eager", "jit"])
def test_a_lane_in_another_branch_does_not_call(program: Any, wrap: Any) -> None:
    told: Told = []
    chosen = program(telling(told))
    f = wrap(ft.vmap(lambda x: lax.cond(x > 1.5, chosen, lambda x: x, x)))
    np.testing.assert_array_equal(f(X), X)
    assert told == [2.0, 3.0]


@every_program
def test_nor_does_it_under_derivatives(program: Any) -> None:
    told: Told = []
    chosen = program(telling(told))

    def branch(x: Any) -> Any:
        return lax.cond(x > 1.5, chosen, lambda x: x, x)

    _, slopes = ft.jvp(ft.vmap(branch), (X,), (X,))
    np.testing.assert_array_equal(slopes, X)
    assert {1.0, 0.0}.isdisjoint(told)


@every_program
def test_a_lane_that_has_stopped_does_not_call(program: Any) -> None:
    told: Told = []
    step = program(telling(told))
    f = ft.vmap(lambda x: lax.while_loop(lambda c: c < 3.5, lambda c: step(c) + 1, x))
    np.testing.assert_array_equal(f(np.array([5.0, *X])), [5.0, 4.0, 4.0, 4.0])
    assert told == [1.0, 2.0, 3.0, 2.0, 3.0, 3.0]  # step by step; in each, lane by lane


def test_conditions_are_asked_by_running_lanes_only() -> None:
    told: Told = []
    tell = telling(told)
    ft.vmap(lambda x: lax.while_loop(lambda c: tell(c) < 2.5, lambda c: c + 1, x))(X)
    assert told == [1.0, 2.0, 3.0, 2.0, 3.0, 3.0]


@pytest.mark.parametrize(
    "run",
    [
        lambda f: ft.vmap(ft.grad(f))(X),
        lambda f: ft.grad(lambda x: np.sum(ft.vmap(f)(x)))(X),
        lambda f: ft.jit(ft.vmap(ft.grad(f)))(X),
        lambda f: ft.vmap(ft.grad(lambda x: f(x, checkpoint=1)))(X),
        lambda f: ft.vmap(ft.grad(ft.grad(f)))(X),
    ],
    ids=["vmap grad", "grad vmap", "jit", "checkpoint", "grad grad"],
)
def test_differentiated_loops_of_lanes(run: Any) -> None:
    told: Told = []
    tell = telling(told)
    run(lambda x, **options: lax.while_loop(lambda c: c < 3.5, lambda c: tell(c) + 1, x, **options))
    assert told == [1.0, 2.0, 3.0, 2.0, 3.0, 3.0]


def test_traced_trip_counts_and_python_if() -> None:
    told: Told = []
    tell = telling(told)
    ft.vmap(lambda n: lax.fori_loop(0, n, lambda i, c: c + tell(i), 0))(np.array([1, 3, 0]))
    assert told == [0, 0, 1, 2]
    told.clear()

    def f(x: Any) -> Any:
        if x > 1.5:
            return tell(x)
        return tell(-x)

    ft.vmap(f)(X)
    assert sorted(told) == [-1.0, 2.0, 3.0]


def test_lanes_of_lanes() -> None:
    told: Told = []
    tell = telling(told)
    f = ft.vmap(ft.vmap(lambda x: lax.while_loop(lambda c: c < 3.5, lambda c: tell(c) + 1, x)))
    np.testing.assert_array_equal(f(np.stack([X, X + 1])), np.full((2, 3), 4.0))
    assert sorted(told) == [1, 2, 2, 2, 3, 3, 3, 3, 3]


def test_what_stopped_lanes_are_given_makes_no_trouble() -> None:
    """They do not call, and what they compute with in place of a result warns of nothing."""
    calls: Told = []

    def one(x: Any) -> Any:
        calls.append(float(x))
        return np.float64(1.0)

    f = ft.vmap(
        lambda x: lax.while_loop(lambda c: c < 3.5, lambda c: c + 1 / ft.io_callback(one, FLOAT, c), x)
    )
    with np.errstate(all="raise"):
        np.testing.assert_array_equal(f(X), [4.0, 4.0, 4.0])
    assert calls == [1.0, 2.0, 3.0, 2.0, 3.0, 3.0]


def test_ordered_callbacks_of_lanes_are_refused_in_branches() -> None:
    def branch(x: Any) -> Any:
        return lax.cond(x > 1.5, lambda x: x * ft.io_callback(lambda: 1.0, FLOAT, ordered=True), lambda x: x, x)

    assert branch(2.0) == ft.jit(branch)(2.0) == 2.0
    with pytest.raises(CallbackError, match="ordered callback"):
        ft.vmap(branch)(X)


# ---- results of effects in derivatives: what was had once is kept, not had again


class Urn:
    """Numbers that are drawn, each one once."""

    def __init__(self) -> None:
        self.drawn: list[float] = []
        self.numbers: Iterator[float] = iter(np.linspace(0.5, 1.5, 6).tolist())

    def draw(self) -> Any:
        return ft.io_callback(self._next, FLOAT)

    def _next(self) -> float:
        self.drawn.append(next(self.numbers))
        return self.drawn[-1]


def in_python(step: Any, x: Any) -> Any:
    for _ in range(2):
        x = step(x)
    return x


INNER: dict[str, Callable[[Any, Any], Any]] = {
    "python": in_python,
    "jit": lambda step, x: ft.jit(lambda x: in_python(step, x))(x),
    "scan": lambda step, x: lax.scan(lambda c, _: (step(c), None), x, None, length=2)[0],
    "while_loop": lambda step, x: lax.while_loop(lambda s: s[0] < 2, lambda s: (s[0] + 1, step(s[1])), (0, x))[1],
    "cond": lambda step, x: lax.cond(x > -9, lambda x: in_python(step, x), np.cos, x),
    "checkpoint": lambda step, x: ft.checkpoint(lambda x: in_python(step, x))(x),
    "few states": lambda step, x: lax.scan(lambda c, _: (step(c), None), x, None, length=2, checkpoint=1)[0],
}

OUTER: dict[str, Callable[..., Any]] = {
    "scan": lambda step, x, **options: lax.scan(lambda c, _: (step(c), None), x, None, length=3, **options)[0],
    "reverse scan": lambda step, x, **options: lax.scan(
        lambda c, _: (step(c), None), x, None, length=3, reverse=True, **options
    )[0],
    "while_loop": lambda step, x, **options: lax.while_loop(
        lambda s: s[0] < 3, lambda s: (s[0] + 1, step(s[1])), (0, x), **options
    )[1],
}


@pytest.mark.parametrize("outer", OUTER.values(), ids=OUTER.keys())
@pytest.mark.parametrize("inner", INNER.values(), ids=INNER.keys())
@pytest.mark.parametrize(
    "options",
    [{}, {"checkpoint": True}, {"checkpoint": 1}, {"checkpoint": "log"}],
    ids=["plain", "checkpoint=True", "checkpoint=1", "checkpoint=log"],
)
@pytest.mark.parametrize("derivative", [ft.grad, lambda f: ft.grad(ft.jit(ft.grad(f)))], ids=["grad", "grad grad"])
def test_derivatives_use_what_was_drawn(outer: Any, inner: Any, options: Any, derivative: Any) -> None:
    def evaluated(loop: Any) -> tuple[Any, Urn]:
        urn = Urn()
        return derivative(lambda x: loop(lambda x: np.sin(x) * urn.draw() + 0.1 * x, x))(0.7), urn

    exact, _ = evaluated(lambda step, x: in_python(step, in_python(step, in_python(step, x))))
    found, urn = evaluated(lambda step, x: outer(lambda x: inner(step, x), x, **options))
    assert len(urn.drawn) == 6
    np.testing.assert_allclose(found, exact, rtol=1e-12)
