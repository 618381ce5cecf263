"""Functions with their own derivative rules under every transformation, item assignment in the rules included."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import functrans as ft
import functrans.numpy as fnp
from functrans import lax

X, V = np.array([1.0, 2.0, -0.5]), np.array([0.3, -1.0, 0.7])


def by_assignment(x: Any) -> Any:
    """x[0] squared, and twice the others."""
    y = np.zeros_like(x)
    y[...] = x * 2
    y[0] = x[0] * x[0]
    return y


def by_copy(x: Any) -> Any:
    y = x.copy()
    y[1:] *= np.sin(x[1:])
    return y[()] * 1.0


def by_result(x: Any) -> Any:
    """Known results are assigned into."""
    y = x * 2
    y[0] = np.sin(x[1])
    y[1:] -= y[:-1]
    return y


def plainly(x: Any) -> Any:
    return np.exp(x) * x[::-1]


def with_jvp_rule(f: Callable[..., Any]) -> Any:
    g = ft.custom_jvp(f)
    g.defjvp(lambda primals, tangents: (f(*primals), ft.jvp(f, primals, tangents)[1]))
    return g


def with_vjp_rule(f: Callable[..., Any]) -> Any:
    g = ft.custom_vjp(f)
    g.defvjp(lambda x: (f(x), x), lambda x, ct: ft.vjp(f, x)[1](ct))
    return g


def with_own_gradient(f: Callable[..., Any]) -> Any:
    """The rule is a closure over what the function has computed."""
    return ft.custom_gradient(lambda x: ft.vjp(f, x))


Function = Callable[[Any], Any]
DERIVATIVES: dict[str, Callable[[Function], Function]] = {
    "value": lambda f: f,
    "grad": lambda f: ft.grad(f),
    "jvp": lambda f: lambda x: ft.jvp(f, (x,), (V,)),
    "jit": lambda f: ft.jit(f),
    "vmap": lambda f: lambda x: ft.vmap(f)(np.stack([x, 2 * x])),
    "checkpoint grad": lambda f: ft.grad(ft.checkpoint(f)),
    "grad jit": lambda f: ft.grad(ft.jit(f)),
    "grad vmap": lambda f: ft.grad(lambda x: np.sum(ft.vmap(f)(np.stack([x, 2 * x])))),
    "grad jvp": lambda f: ft.grad(lambda x: ft.jvp(f, (x,), (V,))[1]),
    "jet": lambda f: lambda x: ft.jet(f, (x,), ([V, V, V],)),
    "jit grad": lambda f: ft.jit(ft.grad(f)),
    "vmap grad": lambda f: lambda x: ft.vmap(ft.grad(f))(np.stack([x, 2 * x])),
    "jvp grad": lambda f: lambda x: ft.jvp(ft.grad(f), (x,), (V,))[1],
    "grad grad": lambda f: ft.grad(lambda x: np.sum(ft.grad(f)(x) * V)),
}


def assert_same(found: Function, wanted: Function, transform: Callable[[Function], Function]) -> None:
    """One transformation of a scalar function of the results of each gives the same."""
    a, b = (ft.tree.leaves(transform(lambda x, f=f: np.sum(np.sin(f(x)) * V))(X)) for f in (found, wanted))
    for one, other in zip(a, b, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("rule", [with_jvp_rule, with_vjp_rule, with_own_gradient])
@pytest.mark.parametrize("f", [plainly, by_assignment, by_copy, by_result])
@pytest.mark.parametrize("derivative", DERIVATIVES)
def test_a_true_rule_changes_nothing(derivative: str, f: Function, rule: Any):
    assert_same(rule(f), f, DERIVATIVES[derivative])


def test_gradients_of_several_arguments_use_what_was_computed():
    @ft.custom_gradient
    def f(x: Any, y: Any) -> Any:
        product = {"xy": x * y}
        return product, lambda ct: (10 * ct["xy"] * product["xy"], ct["xy"] * x)

    g = lambda x, y: np.sum(f(x, y)["xy"])  # noqa: E731
    for gradient in (ft.grad(g, (0, 1)), ft.jit(ft.grad(g, (0, 1))), ft.grad(ft.jit(g), (0, 1))):
        by_x, by_y = gradient(X, V)
        np.testing.assert_allclose(by_x, 10 * X * V)
        np.testing.assert_allclose(by_y, X)


def test_converted_closures():
    def f(x: Any, y: Any) -> Any:
        fun = lambda z: {"a": np.sin(z["b"]) * x, "c": z["b"] + y}  # noqa: E731
        converted, consts = ft.closure_convert(fun, {"b": x})
        with pytest.raises(ft.errors.PytreeMismatchError, match="made for"):
            converted(x, *consts)
        assert len(consts) <= 2
        by_const = ft.jvp(lambda c: converted({"b": V}, c, *consts[1:])["a"], consts[:1], [1.0]) if consts else None
        return converted({"b": V}, *consts), by_const, len(consts)

    expected = {"a": np.sin(V) * 2.0, "c": V + 3.0}
    for call, count in ((f, 0), (ft.jit(f), 2), (lambda x, y: ft.jvp(lambda x: f(x, y), (x,), (1.0,))[0], 1)):
        found, by_const, consts = call(2.0, 3.0)
        assert consts == count
        np.testing.assert_allclose([found["a"], found["c"]], [expected["a"], expected["c"]])
        if by_const is not None:
            np.testing.assert_allclose(by_const[1], np.sin(V))


def f_by_hand(x: Any) -> Any:
    return np.concatenate([x[:1] ** 2, 2 * x[1:]])


def into_new_arrays(primals: Any, tangents: Any) -> Any:
    (x,), (dx,) = primals, tangents
    y, dy = fnp.zeros(3), fnp.zeros(3)
    y[0], y[1:] = x[0] ** 2, 2 * x[1:]
    dy[0], dy[1:] = 2 * x[0] * dx[0], 2 * dx[1:]
    return y, dy


def tangents_into_primals(primals: Any, tangents: Any) -> Any:
    """The array for the tangents holds known values at first."""
    (x,), (dx,) = primals, tangents
    y = fnp.array(x) ** 2
    y[1:] = 2 * x[1:]
    dy = fnp.array(x)
    dy[0], dy[1:] = 2 * x[0] * dx[0], dx[1:]
    dy[1:] += dx[1:]
    return y, dy


def through_views_and_masks(primals: Any, tangents: Any) -> Any:
    (x,), (dx,) = primals, tangents
    first = np.array([True, False, False])
    y, dy = fnp.array(x), fnp.zeros(3)
    tail, dtail = y[1:], dy[1:]
    tail *= 2
    dtail += 2 * dx[1:]
    y[first] = x[0] * x[0]
    dy[first] = 2 * x[0] * dx[0]
    return y, dy


def through_programs(primals: Any, tangents: Any) -> Any:
    """A known array that was assigned into is an operand of a jit, a cond and a scan beside an unknown one."""
    (x,), (dx,) = primals, tangents
    slope = fnp.zeros(3)
    slope[0], slope[1:] = 2 * x[0], 2.0
    product = lambda a, b: a * b  # noqa: E731
    y = ft.jit(product)(fnp.array(x), fnp.ones(3) * 2)
    y[0] = x[0] ** 2
    by_scan = lax.scan(lambda c, row: (c, row[0] * row[1]), 0.0, (slope, dx))[1]
    by_cond = lax.cond(True, product, lambda a, b: b, slope, dx)
    return y, (ft.jit(product)(slope, dx) + by_scan + by_cond) / 3


@pytest.mark.parametrize("rule", [into_new_arrays, tangents_into_primals, through_views_and_masks, through_programs])
@pytest.mark.parametrize("derivative", DERIVATIVES)
def test_rules_that_assign(derivative: str, rule: Any):
    g = ft.custom_jvp(f_by_hand)
    g.defjvp(rule)
    assert_same(g, f_by_hand, DERIVATIVES[derivative])


@pytest.mark.parametrize("derivative", DERIVATIVES)
def test_a_backward_rule_that_assigns(derivative: str):
    def forward(x: Any) -> Any:
        y = fnp.array(x)
        y[0] = x[0] ** 2
        y[1:] *= 2.0
        return y, (x, y)

    def backward(residuals: Any, ct: Any) -> Any:
        x, y = residuals
        slope = y / x
        slope[0] *= 2.0
        found = fnp.zeros(3)
        found[...] = ct
        found *= slope
        return (found,)

    g = ft.custom_vjp(f_by_hand)
    g.defvjp(forward, backward)
    assert_same(g, f_by_hand, DERIVATIVES[derivative])


@pytest.mark.parametrize("derivative", ["jit grad", "vmap grad", "jvp grad", "grad grad", "grad jit"])
def test_a_rule_may_not_assign_into_its_arguments(derivative: str):
    def rule(primals: Any, tangents: Any) -> Any:
        primals[0][0] = 1.0
        return primals[0] * 2, tangents[0] * 2

    g = ft.custom_jvp(lambda x: x * 2)
    g.defjvp(rule)
    with pytest.raises(ft.errors.ArgumentMutationError, match="x = x.copy()"):
        DERIVATIVES[derivative](lambda x: np.sum(g(x * 2) * V))(X)


def test_linear_programs_that_assign():
    def f(x: Any) -> Any:
        y = fnp.ones(3)
        y[0] = 2 * x[2]
        y[1:] = x[:2]
        return y

    np.testing.assert_array_equal(ft.linear_transpose(f, X)(V)[0], [-1.0, 0.7, 0.6])
    np.testing.assert_array_equal(ft.linearize(f, X)[1](V), f(V))


@pytest.mark.parametrize("derivative", [name for name in DERIVATIVES if name not in ("value", "jit", "vmap")])
def test_a_false_rule_is_believed(derivative: str):
    """The rules are what is used: with ten times the derivative, first derivatives are ten times as large."""
    by_jvp, by_vjp = ft.custom_jvp(np.sum), ft.custom_vjp(np.sum)
    by_jvp.defjvp(lambda primals, tangents: (np.sum(primals[0]), 10 * np.sum(tangents[0])))
    by_vjp.defvjp(lambda x: (np.sum(x), None), lambda _, ct: (10 * ct * np.ones(3),))
    scaled = lambda x: np.sum(x * 10)  # noqa: E731
    true, *_ = ft.tree.leaves(ft.tree.map(np.asarray, DERIVATIVES[derivative](scaled)(X)))[-1:]
    for f in (by_jvp, by_vjp):
        found, *_ = ft.tree.leaves(ft.tree.map(np.asarray, DERIVATIVES[derivative](f)(X)))[-1:]
        np.testing.assert_allclose(found, true, atol=1e-14)


def test_some_arguments_active():
    """The tangent of the other one is zero, and the rule may add it without harm to reverse mode."""
    f = ft.custom_jvp(lambda x, y: x * y)
    f.defjvp(lambda p, t: (p[0] * p[1], t[0] * p[1] + p[0] * t[1]))
    for wrap in (lambda f: f, ft.jit, ft.checkpoint):
        g = wrap(f)
        assert ft.grad(g, 0)(2.0, 3.0) == 3.0
        assert ft.grad(g, 1)(2.0, 3.0) == 2.0
        assert ft.grad(g, (0, 1))(2.0, 3.0) == (3.0, 2.0)


def test_a_rule_with_control_flow_on_concrete_values():
    f = ft.custom_jvp(lambda x: abs(x))
    f.defjvp(lambda p, t: (abs(p[0]), t[0] if p[0] > 0 else -t[0]))
    assert ft.grad(f)(-2.0) == -1.0
    assert ft.jvp(ft.grad(lambda x: f(x) ** 2), (-2.0,), (1.0,))[1] == 2.0


def test_a_rule_that_calls_its_function():
    """Recursion in the rule gives derivatives of all orders."""
    f = ft.custom_jvp(lambda x: np.exp(x))
    f.defjvp(lambda p, t: (f(*p), f(*p) * t[0]))
    g = f
    for _ in range(4):
        g = ft.grad(g)
        assert g(0.5) == pytest.approx(np.exp(0.5))


def test_captured_tracers_are_constants_to_the_rule():
    def outer(scale: Any, x: Any) -> Any:
        f = ft.custom_vjp(lambda x: x * scale)
        f.defvjp(lambda x: (x * scale, None), lambda _, ct: (ct * scale,))
        return f(x)

    assert ft.grad(outer, 1)(3.0, 2.0) == 3.0
    assert ft.vmap(ft.grad(outer, 1), in_axes=(0, None))(np.array([3.0, 4.0]), 2.0).tolist() == [3.0, 4.0]
    assert ft.jit(ft.grad(outer, 1))(3.0, 2.0) == 3.0
