"""Functions and rules that close over tracers of any level: derivatives and lanes of these come from the code."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from typing import Any

import numpy as np
import pytest

import functrans as ft
import functrans.numpy as fnp
from functrans import lax
from tests.helpers.oracles import assert_trees_close

X, V = np.array([0.4, 1.1, -0.7]), np.array([0.3, -1.0, 0.7])
Function = Callable[..., Any]


def scaled(x: Any, c: Any) -> Any:
    return np.sin(x) * c


class Model:
    def __init__(self, scale: Any):
        self.scale = scale

    def value(self, x: Any) -> Any:
        return scaled(x, self.scale[0])

    def forward(self, x: Any) -> Any:
        return scaled(x, self.scale), x

    def backward(self, unused: Any, x: Any, ct: Any) -> Any:
        return (np.cos(x) * ct * self.scale,)


def closing(kind: str, c: Any) -> Any:
    """A function and rules that close over c, each in another way."""
    holder = {"c": [c]}
    fun = lambda x: scaled(x, holder["c"][0])  # noqa: E731
    push = lambda p, t: (scaled(*p, c), np.cos(p[0]) * t[0] * c)  # noqa: E731
    back = lambda x, ct, c=c: (np.cos(x) * ct * c,)  # noqa: E731
    if kind == "custom_jvp":
        f = ft.custom_jvp(fun)
        f.defjvp(push)
        return f
    if kind == "custom_vjp":
        f = ft.custom_vjp(fun)
        f.defvjp(lambda x: (f.fun(x), x), back)
        return f
    if kind == "nondiff":
        f = ft.custom_vjp(lambda c, x: scaled(x, c), nondiff_argnums=0)
        f.defvjp(lambda c, x: (scaled(x, c), x), lambda c, x, ct: (np.cos(x) * ct * c,))
        return partial(f, c)
    if kind == "recursive":
        f = ft.custom_rule(fun)
        f.def_jvp(lambda p, t: (f(*p), np.cos(p[0]) * t[0] * c))
        return f
    if kind == "nested":
        inner = closing("custom_vjp", c)
        f = ft.custom_jvp(lambda x: inner(x))
        f.defjvp(lambda p, t: ft.jvp(inner, p, t))
        return f
    if kind == "method":
        f = ft.custom_vjp(Model([c]).value)
        f.defvjp(Model(c).forward, partial(Model(c).backward, None))
        return f
    if kind == "linear functions":
        push_forward, pull_back = ft.linearize(lambda y: y * c, c)[1], ft.vjp(lambda y: y * c, c)[1]
        f = ft.custom_vjp(lambda x: push_forward(np.sin(x)))
        f.defvjp(lambda x: (fun(x), ft.vjp(np.sin, x)[1]), lambda kept, ct: pull_back(*kept(ct)))
        return f
    if kind == "programs":
        of_scan = lambda x: lax.scan(lambda s, row: (s, np.sin(row[0]) * row[1]), 0.0, (x, c))[1]  # noqa: E731
        f = ft.custom_vjp(lambda x: lax.cond(np.sum(c) < 9, ft.jit(fun), np.sin, x))
        f.defvjp(lambda x: (of_scan(x), x), lambda x, ct: (ft.jit(lambda ct: np.cos(x) * ct * c)(ct),))
        return f
    f = ft.custom_rule(fun)
    if "jvp" in kind:
        f.def_jvp(push)
    if "vjp" in kind:
        f.def_vjp(lambda x: (scaled(x, c), x), back)
    if "batch" in kind:
        f.def_batch(lambda size, mapped, x: (scaled(x, c), mapped[0]))
    if "jet" in kind:
        f.def_jet(lambda primals, terms: ft.jet(lambda x: scaled(x, c), primals, terms))
    return f


C = np.array([1.5, -0.2, 0.6])
KINDS = [
    "custom_jvp", "custom_vjp", "nondiff", "recursive", "nested", "method", "linear functions", "programs", "jvp", "vjp",
    "batch", "jet", "jvp vjp batch jet",
]  # fmt: skip
#: From functions of two arguments to functions of two arguments: by the first, by the second, by both.
OF_TWO: dict[str, Any] = {
    "value": lambda f: f,
    "grad 0": lambda f: lambda c, x: ft.grad(lambda c: np.sum(f(c, x) * V))(c),
    "grad 1": lambda f: lambda c, x: ft.grad(lambda x: np.sum(f(c, x) * V))(x),
    "grad 01": lambda f: lambda c, x: sum(ft.vjp(f, c, x)[1](V)),
    "jvp 0": lambda f: lambda c, x: ft.jvp(lambda c: f(c, x), (c,), (V,))[1],
    "jvp 01": lambda f: lambda c, x: ft.jvp(f, (c, x), (V, x))[1],
    "vmap 0": lambda f: lambda c, x: np.sum(ft.vmap(f, (0, None))(np.stack([c, x]), x), axis=0),
    "vmap 1": lambda f: lambda c, x: np.sum(ft.vmap(f, (None, 0))(c, np.stack([c, x])), axis=0),
    "vmap 01": lambda f: lambda c, x: np.sum(ft.vmap(f)(np.stack([c, x]), np.stack([x, x])), axis=0),
    "jet 01": lambda f: lambda c, x: ft.jet(f, (c, x), ([V, x], [x, V]))[1][1],
    "jet 1": lambda f: lambda c, x: ft.jet(lambda x: f(c, x), (x,), ([V, x],))[1][1],
    "jit": ft.jit,
    "checkpoint": ft.checkpoint,
    "scan": lambda f: lambda c, x: lax.scan(lambda x, _: (f(c, x), None), x, None, length=2)[0],
    "while": lambda f: lambda c, x: lax.while_loop(lambda s: s[0] < 2, lambda s: (s[0] + 1, f(c, s[1])), (0, x))[1],
    "cond": lambda f: lambda c, x: lax.cond(np.sum(x) > 0, f, np.multiply, c, x),
}


@cache
def scaled_plainly(first: str, second: str) -> Any:
    return OF_TWO[second](OF_TWO[first](lambda c, x: scaled(x, c)))(C, X)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("first", OF_TWO)
def test_closures(first: str, kind: str):
    """Function and rules close over a tracer of any level, or of several."""
    for second in OF_TWO:
        found = OF_TWO[second](OF_TWO[first](lambda c, x: closing(kind, c)(x)))
        assert_trees_close(found(C, X), scaled_plainly(first, second))


def test_closures_over_several_levels():
    def f(a: Any, b: Any, x: Any, wrap: Any) -> Any:
        g = ft.custom_vjp(lambda x: np.sin(x) * a * b) if wrap else (lambda x: np.sin(x) * a * b)
        if wrap:
            g.defvjp(lambda x: (np.sin(x) * a * b, x), lambda x, ct: (np.cos(x) * ct * a * b,))
        return g(x * b)

    def derivative(wrap: bool) -> Any:
        by_b = lambda a, x: ft.grad(lambda b: ft.grad(lambda x: f(a, b, x, wrap))(x))(0.7)  # noqa: E731
        return ft.jit(ft.vmap(ft.grad(by_b, (0, 1)), (0, None)))(X, 0.4)

    assert_trees_close(derivative(True), derivative(False))


@pytest.mark.parametrize("wrap", [lambda f: f, ft.jit, ft.checkpoint])
def test_rules_are_used_beside_closures(wrap: Any):
    """A rule for ten times the derivative, under a derivative by what is closed over."""

    def outer(c: Any, x: Any) -> Any:
        f = ft.custom_jvp(lambda x: x * c)
        f.defjvp(lambda p, t: (p[0] * c, 10 * t[0] * c))
        return f(x)

    value = wrap(lambda x: ft.jvp(lambda c: outer(c, x), (2.0,), (1.0,))[0])
    assert ft.grad(value)(3.0) == 20.0
    assert ft.grad(wrap(outer), (0, 1))(2.0, 3.0) == (3.0, 20.0)


def test_assigning_closures():
    """The function assigns a captured tracer into a copy of its argument; the rule one into an array of its own."""

    def outer(c: Any, x: Any, wrap: bool) -> Any:
        def fun(x: Any) -> Any:
            y = x.copy()
            y[0] = c[1]
            y[1:] *= c[1:]
            d = c.copy()
            d[0] = x[0]
            return y * d

        def push(primals: Any, tangents: Any) -> Any:
            slope = fnp.array(c)
            slope[0] = c[1]
            slope[1:] *= c[1:]
            return fun(*primals), slope * tangents[0]

        if not wrap:
            return fun(x * 2.0)
        f = ft.custom_jvp(fun)
        f.defjvp(push)
        return f(x * 2.0)

    for transform in OF_TWO.values():
        found = transform(lambda c, x: outer(c, x, True))
        wanted = transform(lambda c, x: outer(c, x, False))
        assert_trees_close(ft.jit(found)(C, X), ft.jit(wanted)(C, X))


@pytest.mark.parametrize("rule", [ft.custom_jvp, ft.custom_vjp])
def test_what_is_captured_may_decide(rule: Any):
    """Python's `if` on a captured value, known or not."""

    def outer(c: Any, x: Any) -> Any:
        f = rule(lambda x: x * c if c > 0 else x)
        if rule is ft.custom_jvp:
            f.defjvp(lambda p, t: (p[0] * c, t[0] * c) if c > 0 else (p[0], t[0]))
        else:
            fwd = lambda x: (x * c, np.stack([c, x])) if c > 0 else (x, np.stack([x, c]))  # noqa: E731
            f.defvjp(fwd, lambda kept, ct: (ct * c if c > 0 else ct,))
        return f(x)

    for c in (2.0, -2.0):
        wanted = max(c, 1.0)
        assert ft.grad(outer, 1)(c, 3.0) == wanted
        assert ft.jit(ft.grad(outer, 1))(c, 3.0) == wanted
        assert ft.vmap(ft.grad(outer, 1), (0, None))(np.array([c]), 3.0) == wanted
        assert ft.grad(outer, 0)(c, 3.0) == (3.0 if c > 0 else 0.0)
        assert ft.jit(ft.grad(outer, 0))(c, 3.0) == (3.0 if c > 0 else 0.0)
        assert ft.jit(ft.grad(outer, (0, 1)))(c, 3.0) == ((3.0 if c > 0 else 0.0), wanted)
        mapped = ft.vmap(ft.grad(outer, (0, 1)), (0, None))(np.array([c, 1.0]), 3.0)
        assert_trees_close(mapped, (np.array([3.0 if c > 0 else 0.0, 3.0]), np.array([wanted, 1.0])))


def test_captured_arrays_that_change_later():
    """The rule sees what was captured when the function was called."""

    def outer(c: Any) -> Any:
        c = c.copy()
        f = ft.custom_vjp(lambda x: x * c)
        f.defvjp(lambda x: (x * c, None), lambda _, ct: (ct * c,))
        y = f(c * 2.0)
        c[:] = 100.0
        return np.sum(y)

    assert_trees_close(ft.grad(outer)(C), 4 * C)


def test_named_axes():
    """Function and rules may speak of the axis of an enclosing vmap."""
    f = ft.custom_vjp(lambda x: x * 2.0)
    f.defvjp(lambda x: (x * 2.0, None), lambda _, ct: (lax.psum(ct, "i"),))
    g = ft.custom_jvp(lambda x: lax.psum(x, "i"))
    g.defjvp(lambda p, t: (lax.psum(p[0], "i"), t[0] * lax.psum(p[0], "i")))
    for jit in (lambda f: f, ft.jit):
        assert_trees_close(ft.vmap(ft.grad(lambda x: jit(f)(x) ** 2), axis_name="i")(X), np.full(3, np.sum(4 * X)))
        assert_trees_close(ft.vmap(ft.grad(jit(g)), axis_name="i")(X), np.full(3, np.sum(X)))
        assert_trees_close(ft.vmap(lambda x: jit(f)(2.0) * x, axis_name="i")(X), 4 * X)
        assert ft.vmap(lambda x: jit(f)(2.0), axis_name="i", out_axes=None)(X) == 4.0
