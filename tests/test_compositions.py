"""Every ordered triple of {jvp, vjp, vmap, jit, checkpoint}, over a table of functions, against exact derivatives.

Each transformation is put into a form that makes a function R^3 -> R^3 of another, so that all triples make sense;
what they should give is computed from closed forms, without any transformation.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import functrans as ft
from tests.helpers.closed_forms import ClosedForm, Sum, term

Function = Callable[[Any], Any]
V, W = np.array([0.7, -1.1, 0.4]), np.array([1.3, 0.6, -0.8])
SCALES, WEIGHTS = np.array([1.0, -0.5, 0.75, 0.2]), np.array([0.9, 0.4, -1.2, 0.3])
POINT = np.array([0.8, -0.3, 0.5])


def jvp(f: Function) -> Function:
    """The derivative in the direction V."""
    return lambda x: ft.jvp(f, (x,), (V,))[1]


def vjp(f: Function) -> Function:
    """The cotangent W pulled back."""
    return lambda x: ft.vjp(f, x)[1](W)[0]


def vmap(f: Function) -> Function:
    """A weighted sum of f at multiples of x, the multiples in lanes."""
    return lambda x: np.sum(WEIGHTS[:, None] * ft.vmap(f)(SCALES[:, None] * x), axis=0)


TRANSFORMATIONS: dict[str, Function] = {
    "jvp": jvp,
    "vjp": vjp,
    "vmap": vmap,
    "jit": ft.jit,
    "checkpoint": ft.checkpoint,
}
EXACT: dict[str, Callable[[ClosedForm], ClosedForm]] = {
    "jvp": lambda f: f.jvp(V),
    "vjp": lambda f: f.vjp(W),
    "vmap": lambda f: f.vmap(SCALES, WEIGHTS),
    "jit": lambda f: f,
    "checkpoint": lambda f: f,
}

# ---- the table: functions as users write them, and their closed forms

E = np.eye(3)
A = np.array([[0.5, -1.0, 0.3], [0.8, 0.2, -0.6], [-0.4, 0.7, 1.1]])
CUBES = ClosedForm(tuple({term(powers=(3 * E[i]).astype(int)): 1.0} for i in range(3)))


def wave(row: np.ndarray, phase: int = 0) -> Sum:
    """cos(row . x + phase * pi / 2)"""
    return {term(wave=row, phase=phase): 1.0}


def sine_of_product(x: Any) -> Any:
    return np.sin(A @ x)


def cyclic_product(x: Any) -> Any:
    return x * x[[1, 2, 0]] ** 2


def exponential_times(x: Any) -> Any:
    return np.exp(np.sum(x) / 2) * x


def quadratic_by_einsum(x: Any) -> Any:
    return np.einsum("ij,i,j->i", A, x, x)


def by_stacking(x: Any) -> Any:
    return np.stack([x[0] * x[1], np.cos(x[2] * 2), np.prod(x)])


def by_assignment(x: Any) -> Any:
    y = np.zeros_like(x)
    y[:2] = x[1:] * x[0]
    y[-1] = np.sin(x[0])
    y[1:] *= 2
    return y


def by_accumulation(x: Any) -> Any:
    return np.cumsum(x**2)[::-1]


@ft.custom_jvp
def cube_by_jvp_rule(x: Any) -> Any:
    return x * x * x


@cube_by_jvp_rule.defjvp
def _(primals: Any, tangents: Any) -> Any:
    (x,), (t,) = primals, tangents
    return cube_by_jvp_rule(x), 3 * x**2 * t


@ft.custom_vjp
def cube_by_vjp_rule(x: Any) -> Any:
    return x * x * x


cube_by_vjp_rule.defvjp(lambda x: (x * x * x, x), lambda x, ct: (3 * x**2 * ct,))


def with_inner_jit(x: Any) -> Any:
    return ft.jit(lambda y: y * x)(x) * x


def with_inner_vmap(x: Any) -> Any:
    return ft.vmap(lambda r, s: np.sin(r @ x) * s, in_axes=(0, 0))(A, x)


def with_inner_gradient(x: Any) -> Any:
    return ft.grad(lambda y: np.sum(np.cos(A @ y)))(x)


TABLE: dict[str, tuple[Function, ClosedForm]] = {
    "sine_of_product": (sine_of_product, ClosedForm(tuple(wave(row, 3) for row in A))),
    "cyclic_product": (
        cyclic_product,
        ClosedForm(tuple({term(powers=p): 1.0} for p in [(1, 2, 0), (0, 1, 2), (2, 0, 1)])),
    ),
    "exponential_times": (
        exponential_times,
        ClosedForm(tuple({term(powers=E[i].astype(int), growth=(0.5, 0.5, 0.5)): 1.0} for i in range(3))),
    ),
    "quadratic_by_einsum": (
        quadratic_by_einsum,
        ClosedForm(tuple({term(powers=(E[i] + E[j]).astype(int)): A[i, j] for j in range(3)} for i in range(3))),
    ),
    "by_stacking": (
        by_stacking,
        ClosedForm(({term(powers=(1, 1, 0)): 1.0}, wave(2 * E[2]), {term(powers=(1, 1, 1)): 1.0})),
    ),
    "by_assignment": (
        by_assignment,
        ClosedForm(
            ({term(powers=(1, 1, 0)): 1.0}, {term(powers=(1, 0, 1)): 2.0}, {term(wave=E[0], phase=3): 2.0})
        ),
    ),
    "by_accumulation": (
        by_accumulation,
        ClosedForm(tuple({term(powers=(2 * E[j]).astype(int)): 1.0 for j in range(k)} for k in (3, 2, 1))),
    ),
    "cube_by_jvp_rule": (cube_by_jvp_rule, CUBES),
    "cube_by_vjp_rule": (cube_by_vjp_rule, CUBES),
    "with_inner_jit": (with_inner_jit, CUBES),
    "with_inner_vmap": (
        with_inner_vmap,
        ClosedForm(tuple({term(powers=E[i].astype(int), wave=A[i], phase=3): 1.0} for i in range(3))),
    ),
    "with_inner_gradient": (
        with_inner_gradient,
        ClosedForm(tuple({term(wave=A[i], phase=1): A[i, j] for i in range(3)} for j in range(3))),
    ),
}

TRIPLES = list(itertools.product(TRANSFORMATIONS, repeat=3))
QUADRUPLES = list(itertools.product(TRANSFORMATIONS, repeat=4))


def compose(names: tuple[str, ...], f: Function) -> Function:
    """The innermost transformation last, as one writes it."""
    for name in reversed(names):
        f = TRANSFORMATIONS[name](f)
    return f


def compose_exactly(names: tuple[str, ...], f: ClosedForm) -> ClosedForm:
    for name in reversed(names):
        f = EXACT[name](f)
    return f


def check(names: tuple[str, ...], function: str) -> None:
    f, closed = TABLE[function]
    wanted = compose_exactly(names, closed)(POINT)
    found = compose(names, f)(POINT)
    assert found.dtype == wanted.dtype
    np.testing.assert_allclose(found, wanted, rtol=1e-9, atol=1e-9 * max(1.0, np.abs(wanted).max()))


@pytest.mark.parametrize("function", TABLE)
def test_closed_forms_are_the_functions(function: str):
    f, closed = TABLE[function]
    for x in (POINT, -2 * POINT, np.array([0.1, 1.2, -0.7])):
        np.testing.assert_allclose(f(x), closed(x), rtol=1e-12)


@pytest.mark.parametrize("function", TABLE)
def test_closed_forms_have_the_right_derivatives(function: str):
    """The oracle itself, against differences."""
    _, closed = TABLE[function]
    h = 1e-6
    columns = [(closed(POINT + h * e) - closed(POINT - h * e)) / (2 * h) for e in E]
    jacobian = np.stack(columns, axis=1)
    np.testing.assert_allclose(closed.jvp(V)(POINT), jacobian @ V, rtol=1e-7, atol=1e-7)
    np.testing.assert_allclose(closed.vjp(W)(POINT), W @ jacobian, rtol=1e-7, atol=1e-7)
    lanes = sum(w * closed(s * POINT) for s, w in zip(SCALES, WEIGHTS))
    np.testing.assert_allclose(closed.vmap(SCALES, WEIGHTS)(POINT), lanes, rtol=1e-12)


@pytest.mark.parametrize("function", TABLE)
@pytest.mark.parametrize("names", TRIPLES, ids=lambda names: " of ".join(names))
def test_triple(names: tuple[str, ...], function: str):
    check(names, function)


@pytest.mark.slow
@pytest.mark.parametrize("names", QUADRUPLES, ids=lambda names: " of ".join(names))
def test_quadruple(names: tuple[str, ...]):
    for function in TABLE:
        check(names, function)
