"""Loops and branches against the same thing written in Python, under every transformation and through second order."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest

import functrans as ft
from functrans import lax

_random = np.random.default_rng(21)
W = _random.normal(size=(3, 3)) * 0.4
X = _random.normal(size=3)
XS = _random.normal(size=(5, 3))


class Pair(NamedTuple):
    """A function with a loop or branch of ours and the same in plain Python, of one vector; the result is a scalar."""

    ours: Callable[[Any], Any]
    plain: Callable[[Any], Any]


def recurrence(**options: Any) -> Pair:
    def ours(x: Any) -> Any:
        def step(c: Any, row: Any) -> Any:
            c = np.tanh(W @ c + row * x)
            return c, np.sum(c**2)

        c, ys = lax.scan(step, np.sin(x), XS, **options)
        return np.sum(ys * np.arange(1, 6)) * c[0]

    def plain(x: Any) -> Any:
        c, total = np.sin(x), 0.0
        order = reversed(range(5)) if options.get("reverse") else range(5)
        for i in order:
            c = np.tanh(W @ c + XS[i] * x)
            total = total + np.sum(c**2) * (i + 1)
        return total * c[0]

    return Pair(ours, plain)


def growth(**options: Any) -> Pair:
    def ours(x: Any) -> Any:
        a, b = lax.while_loop(
            lambda c: np.sum(c[0]) < 50,
            lambda c: (c[0] * c[1] + np.sin(c[0]) ** 2 + 0.1, c[1] * 1.01 + 0.001 * np.sum(x)),
            (np.exp(x), x * 0.1 + 1.2),
            **options,
        )
        return np.sum(np.log(a) * b)

    def plain(x: Any) -> Any:
        a, b = np.exp(x), x * 0.1 + 1.2
        while np.sum(a) < 50:
            a, b = a * b + np.sin(a) ** 2 + 0.1, b * 1.01 + 0.001 * np.sum(x)
        return np.sum(np.log(a) * b)

    return Pair(ours, plain)


def counted(**options: Any) -> Pair:
    def ours(x: Any) -> Any:
        n = 3 + (x[0] > 0)  # traced under jit
        return np.sum(lax.fori_loop(1, n, lambda i, y: y * np.cos(x * i) + i, x, **options))

    def plain(x: Any) -> Any:
        y = x
        for i in range(1, 4 if x[0] > 0 else 3):
            y = y * np.cos(x * i) + i
        return np.sum(y)

    return Pair(ours, plain)


def choice() -> Pair:
    def ours(x: Any) -> Any:
        out = lax.cond(np.sum(x) > 0, lambda u: (np.log(u + 5) * x, u), lambda u: (u * u, np.exp(x)), x * 2)
        return np.sum(out[0] * np.sin(out[1]))

    def plain(x: Any) -> Any:
        u = x * 2
        out = (np.log(u + 5) * x, u) if np.sum(x) > 0 else (u * u, np.exp(x))
        return np.sum(out[0] * np.sin(out[1]))

    return Pair(ours, plain)


def choice_of_three() -> Pair:
    def ours(x: Any) -> Any:
        index = (x[0] > 0).astype(int) + (x[1] > 0).astype(int)
        return np.sum(lax.switch(index, [np.sin, lambda u: u**3, lambda u: np.exp(u) * x], x * 0.5))

    def plain(x: Any) -> Any:
        u = x * 0.5
        index = int(x[0] > 0) + int(x[1] > 0)
        return np.sum((np.sin(u), u**3, np.exp(u) * x)[index])

    return Pair(ours, plain)


def loop_in_branch_in_loop() -> Pair:
    def ours(x: Any) -> Any:
        def grow(c: Any) -> Any:
            return lax.while_loop(lambda u: np.sum(u**2) < 9, lambda u: u * 1.4 + np.cos(u) * 0.1, c + x)

        def step(c: Any, row: Any) -> Any:
            c = lax.cond(np.sum(c * row) > 0, grow, lambda c: np.tanh(W @ c) * x, c)
            return c * 0.5, np.sum(np.sin(c))

        c, ys = lax.scan(step, x, XS)
        return np.sum(c**2) + np.sum(ys)

    def plain(x: Any) -> Any:
        c, total = x, 0.0
        for row in XS:
            if np.sum(c * row) > 0:
                c = c + x
                while np.sum(c**2) < 9:
                    c = c * 1.4 + np.cos(c) * 0.1
            else:
                c = np.tanh(W @ c) * x
            c, total = c * 0.5, total + np.sum(np.sin(c))
        return np.sum(c**2) + total

    return Pair(ours, plain)


def loop_in_loop() -> Pair:
    def ours(x: Any) -> Any:
        def outer(c: Any, row: Any) -> Any:
            d, ys = lax.scan(lambda d, e: (d * np.cos(e + np.sum(c)), d * e), row[0] * x[0], row)
            return np.tanh(c + d), np.sum(ys)

        c, ys = lax.scan(outer, x, XS)
        return np.sum(c) * np.sum(ys)

    def plain(x: Any) -> Any:
        c, total = x, 0.0
        for row in XS:
            d = row[0] * x[0]
            for e in row:
                total = total + d * e
                d = d * np.cos(e + np.sum(c))
            c = np.tanh(c + d)
        return np.sum(c) * total

    return Pair(ours, plain)


PAIRS = {
    "scan": recurrence(),
    "scan reverse": recurrence(reverse=True),
    "scan unrolled by 2": recurrence(unroll=2),
    "scan unrolled": recurrence(unroll=True, reverse=True),
    "scan recomputing": recurrence(checkpoint=True),
    "scan with 1 state": recurrence(checkpoint=1),
    "scan with 2 states": recurrence(checkpoint=2, reverse=True),
    "scan with few states": recurrence(checkpoint="log"),
    "scan with a budget": recurrence(budget=100),
    "while_loop": growth(),
    "while_loop recomputing": growth(checkpoint=True),
    "while_loop with 2 states": growth(checkpoint=2),
    "while_loop with few states": growth(checkpoint="log"),
    "while_loop with a budget": growth(budget=200),
    "fori_loop": counted(),
    "fori_loop with 2 states": counted(checkpoint=2),
    "cond": choice(),
    "switch": choice_of_three(),
    "loop in branch in loop": loop_in_branch_in_loop(),
    "loop in loop": loop_in_loop(),
}
pairs = pytest.mark.parametrize("pair", PAIRS.values(), ids=PAIRS.keys())
V = np.array([0.3, -1.0, 0.7])
POINTS = (X, -X, np.abs(X) + 3.0)


def agree(found: Any, wanted: Any) -> None:
    for x, y in zip(ft.tree.leaves(found), ft.tree.leaves(wanted), strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-10, atol=1e-10)


def lanes(f: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda xs: np.stack([f(x) for x in xs])


def gradient_of_gradient(f: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return ft.grad(lambda x: np.sum(np.sin(ft.grad(f)(x))))


@pairs
def test_values_and_forward_mode(pair: Pair) -> None:
    compiled = ft.jit(pair.ours)
    for x in POINTS:
        agree(pair.ours(x), pair.plain(x))
        agree(compiled(x), pair.plain(x))
        agree(ft.jvp(pair.ours, (x,), (V,)), ft.jvp(pair.plain, (x,), (V,)))
        agree(ft.jvp(compiled, (x,), (V,)), ft.jvp(pair.plain, (x,), (V,)))


@pairs
def test_reverse_mode(pair: Pair) -> None:
    outside, inside = ft.jit(ft.grad(pair.ours)), ft.grad(ft.jit(pair.ours))
    for x in POINTS:
        wanted = ft.grad(pair.plain)(x)
        agree(ft.grad(pair.ours)(x), wanted)
        agree(outside(x), wanted)
        agree(inside(x), wanted)
        agree(ft.grad(ft.checkpoint(pair.ours))(x), wanted)
        agree(ft.linearize(pair.ours, x)[1](V), np.dot(wanted, V))


@pairs
def test_second_order(pair: Pair) -> None:
    forward, backward = ft.jit(ft.jacfwd(ft.jacfwd(pair.ours))), ft.jit(ft.jacrev(ft.jacrev(pair.ours)))
    for x in POINTS[:2]:
        agree(ft.hvp(pair.ours, x, V), ft.hvp(pair.plain, x, V))
        wanted = ft.hessian(pair.plain)(x)
        agree(ft.hessian(pair.ours)(x), wanted)
        agree(forward(x), wanted)
        agree(backward(x), wanted)
        agree(ft.jacrev(ft.jacfwd(pair.ours))(x), wanted)
        agree(gradient_of_gradient(pair.ours)(x), gradient_of_gradient(pair.plain)(x))


@pairs
def test_lanes(pair: Pair) -> None:
    xs = np.stack(POINTS)
    agree(ft.vmap(pair.ours)(xs), lanes(pair.plain)(xs))
    agree(ft.jit(ft.vmap(pair.ours))(xs), lanes(pair.plain)(xs))
    agree(ft.vmap(ft.grad(pair.ours))(xs), lanes(ft.grad(pair.plain))(xs))
    agree(ft.grad(lambda xs: np.sum(ft.vmap(pair.ours)(xs)))(xs), lanes(ft.grad(pair.plain))(xs))


@pairs
def test_no_lanes(pair: Pair) -> None:
    none = np.zeros((0, 3))
    for f, shape in ((pair.ours, (0,)), (ft.grad(pair.ours), (0, 3)), (ft.hessian(pair.ours), (0, 3, 3))):
        for run in (ft.vmap(f), ft.jit(ft.vmap(f)), ft.vmap(ft.jit(f))):
            assert run(none).shape == shape
    assert ft.grad(lambda xs: np.sum(ft.vmap(pair.ours)(xs)))(none).shape == (0, 3)
    assert ft.vmap(ft.vmap(pair.ours))(np.zeros((2, 0, 3))).shape == (2, 0)


@pairs
def test_second_order_by_lanes(pair: Pair) -> None:
    xs = np.stack(POINTS[:2])
    agree(ft.jit(ft.vmap(ft.hessian(pair.ours)))(xs), lanes(ft.hessian(pair.plain))(xs))
    agree(ft.vmap(gradient_of_gradient(pair.ours))(xs), lanes(gradient_of_gradient(pair.plain))(xs))
    agree(
        ft.hessian(lambda xs: np.sum(ft.vmap(pair.ours)(xs)))(xs),
        ft.hessian(lambda xs: np.sum(lanes(pair.plain)(xs)))(xs),
    )
    nested = np.stack([xs, xs[::-1]])
    agree(ft.vmap(ft.vmap(ft.grad(pair.ours)))(nested), lanes(lanes(ft.grad(pair.plain)))(nested))


@pairs
def test_taylor_mode(pair: Pair) -> None:
    series = (V, 0.5 * V**2, -0.1 * V)
    agree(ft.jet(pair.ours, (X,), (series,)), ft.jet(pair.plain, (X,), (series,)))
    agree(ft.jet(ft.jit(pair.ours), (X,), (series,)), ft.jet(pair.plain, (X,), (series,)))


@pairs
def test_derivatives_through_jit_of_derivatives(pair: Pair) -> None:
    agree(ft.jvp(ft.jit(ft.grad(pair.ours)), (X,), (V,)), ft.jvp(ft.grad(pair.plain), (X,), (V,)))
    agree(ft.jit(gradient_of_gradient(pair.ours))(X), gradient_of_gradient(pair.plain)(X))
