"""custom_linear_solve and custom_root against closed forms and differentiated NumPy solvers, to third order."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import functrans as ft
from functrans import lax
from functrans.errors import CustomRuleError, TransposeError

_random = np.random.default_rng(31)
A = _random.normal(size=(3, 3)) + 3 * np.eye(3)
S = A @ A.T
B = _random.normal(size=3)


def agree(found: Any, wanted: Any) -> None:
    for x, y in zip(ft.tree.leaves(found), ft.tree.leaves(wanted), strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-8, atol=1e-9)


def general(a: Any, b: Any) -> Any:
    return lax.custom_linear_solve(
        lambda x: a @ x, b, lambda _, b: np.linalg.solve(a, b), lambda _, b: np.linalg.solve(a.T, b)
    )


def conjugate_gradients(matvec: Callable[[Any], Any], b: Any) -> Any:
    def step(carry: Any) -> Any:
        x, r, p, n = carry
        q = matvec(p)
        alpha = np.sum(r * r) / np.sum(p * q)
        after = r - alpha * q
        return x + alpha * p, after, after + p * (np.sum(after * after) / np.sum(r * r)), n + 1

    x = np.zeros_like(b)
    return lax.while_loop(lambda c: (c[3] < 10) & (np.sum(c[1] ** 2) > 1e-28), step, (x, b, b, 0))[0]


def symmetric(s: Any, b: Any) -> Any:
    return lax.custom_linear_solve(lambda x: s @ x, b, conjugate_gradients, symmetric=True)


def by_pytree(a: Any, b: Any) -> Any:
    """The same system in two parts."""

    def matvec(x: Any) -> Any:
        whole = a @ np.concatenate([x["head"], x["tail"]])
        return {"head": whole[:1], "tail": whole[1:]}

    def solver(m: Any) -> Callable[..., Any]:
        def solve(_: Any, b: Any) -> Any:
            x = np.linalg.solve(m, np.concatenate([b["head"], b["tail"]]))
            return {"head": x[:1], "tail": x[1:]}

        return solve

    x = lax.custom_linear_solve(matvec, {"head": b[:1], "tail": b[1:]}, solver(a), solver(a.T))
    return np.concatenate([x["head"], x["tail"]])


@pytest.mark.parametrize(("solve", "a"), [(general, A), (symmetric, S), (by_pytree, A)], ids=["lu", "cg", "pytree"])
class TestLinearSolves:
    def test_first_and_second_order(self, solve: Any, a: Any) -> None:
        ours = lambda a, b: np.sum(np.sin(solve(a @ a.T if solve is symmetric else a, b)))  # noqa: E731
        plain = lambda a, b: np.sum(np.sin(np.linalg.solve(a @ a.T if solve is symmetric else a, b)))  # noqa: E731
        agree(ours(A, B), plain(A, B))
        agree(ft.grad(ours, (0, 1))(A, B), ft.grad(plain, (0, 1))(A, B))
        agree(ft.jit(ft.grad(ours, (0, 1)))(A, B), ft.grad(plain, (0, 1))(A, B))
        agree(ft.jvp(ours, (A, B), (S, B)), ft.jvp(plain, (A, B), (S, B)))
        agree(ft.jit(ft.hessian(ours))(A, B), ft.hessian(plain)(A, B))
        agree(ft.hessian(ours, 1)(A, B), ft.hessian(plain, 1)(A, B))

    def test_lanes(self, solve: Any, a: Any) -> None:
        matrices, sides = np.stack([a, a + np.eye(3)]), np.stack([B, -2 * B])
        loss = lambda a, b: np.sum(np.sin(solve(a, b)))  # noqa: E731
        agree(ft.vmap(solve)(matrices, sides), np.stack([np.linalg.solve(m, b) for m, b in zip(matrices, sides)]))
        agree(ft.vmap(solve, (None, 0))(a, sides), np.stack([np.linalg.solve(a, b) for b in sides]))
        by_lane = ft.vmap(ft.grad(loss, (0, 1)))(matrices, sides)
        for i in range(2):
            agree(tuple(g[i] for g in by_lane), ft.grad(loss, (0, 1))(matrices[i], sides[i]))


def test_aux_of_a_linear_solve() -> None:
    def solve(a: Any, b: Any) -> Any:
        return lax.custom_linear_solve(lambda x: a * x, b, lambda _, b: (b / a, {"steps": 3}), symmetric=True, has_aux=True)

    x, aux = ft.jit(solve)(2.0, 6.0)
    assert (float(x), int(aux["steps"])) == (3.0, 3)
    (slope, _) = ft.grad(solve, has_aux=True)(2.0, 6.0)
    assert float(slope) == -1.5


def test_reverse_mode_needs_a_transposed_solver() -> None:
    solve = lambda b: np.sum(lax.custom_linear_solve(lambda x: A @ x, b, lambda _, b: np.linalg.solve(A, b)))  # noqa: E731
    agree(ft.jvp(solve, (B,), (B,))[1], np.sum(np.linalg.solve(A, B)))
    with pytest.raises(TransposeError):
        ft.grad(solve)(B)


def newton(f: Callable[[Any], Any], x: Any) -> Any:
    return lax.while_loop(lambda x: np.abs(f(x)) > 1e-13, lambda x: x - f(x) / ft.grad(f)(x), x)


def cube_root(a: Any) -> Any:
    return lax.custom_root(lambda x: x**3 - a, 1.0, newton, lambda g, y: y / g(1.0))


@pytest.mark.parametrize("order", range(4))
def test_derivatives_of_a_root(order: int) -> None:
    ours, plain = cube_root, lambda a: a ** (1 / 3)
    for _ in range(order):
        ours, plain = ft.grad(ours), ft.grad(plain)
    agree(ours(2.5), plain(2.5))
    agree(ft.jit(ours)(2.5), plain(2.5))
    agree(ft.vmap(ours)(np.array([2.5, 1.2])), np.array([plain(2.5), plain(1.2)]))


def test_forward_and_taylor_mode_of_a_root() -> None:
    plain = lambda a: a ** (1 / 3)  # noqa: E731
    agree(ft.jacfwd(ft.jacfwd(cube_root))(2.0), ft.grad(ft.grad(plain))(2.0))
    series = ((1.0, 0.5, 0.0),)
    agree(ft.jet(cube_root, (2.0,), series), ft.jet(plain, (2.0,), series))


def system(c: Any, x: Any) -> Any:
    return {"u": x["u"] ** 2 + x["v"] - c[0], "v": np.sin(x["v"]) + x["u"] - c[1]}


def solved_system(c: Any) -> Any:
    def newton(f: Any, x: Any) -> Any:
        for _ in range(12):
            flat, rebuild = ft.flatten_util.ravel_pytree(x)
            residual = lambda z: ft.flatten_util.ravel_pytree(f(rebuild(z)))[0]  # noqa: E731
            x = rebuild(flat - np.linalg.solve(ft.jacfwd(residual)(flat), residual(flat)))
        return x

    def tangent_solve(g: Any, y: Any) -> Any:
        flat, rebuild = ft.flatten_util.ravel_pytree(y)
        matrix = ft.jacfwd(lambda z: ft.flatten_util.ravel_pytree(g(rebuild(z)))[0])(flat)
        return rebuild(np.linalg.solve(matrix, flat))

    return lax.custom_root(lambda x: system(c, x), {"u": 0.7, "v": 0.4}, newton, tangent_solve)


def test_a_system_of_equations() -> None:
    c = np.array([1.3, 1.2])
    x = solved_system(c)
    agree(system(c, x), {"u": 0.0, "v": 0.0})
    jacobian = ft.jacrev(solved_system)(c)
    inverse = np.linalg.inv(np.array([[2 * x["u"], 1.0], [1.0, np.cos(x["v"])]]))
    agree(np.stack([jacobian["u"], jacobian["v"]]), inverse)
    loss = lambda c: solved_system(c)["u"] * solved_system(c)["v"]  # noqa: E731
    step = 1e-4
    differences = [(ft.grad(loss)(c + step * e) - ft.grad(loss)(c - step * e)) / (2 * step) for e in np.eye(2)]
    np.testing.assert_allclose(ft.hessian(loss)(c), differences, rtol=1e-6)


def test_what_solvers_must_return() -> None:
    with pytest.raises(CustomRuleError, match=r"`solve` returned the structure \(\*, \*\)"):
        lax.custom_root(lambda x: x, 1.0, lambda f, x: (x, x), lambda g, y: y)
    with pytest.raises(CustomRuleError, match=r"`f` returned f64\[2\] for f64\[\]"):
        ft.jit(lambda a: lax.custom_root(lambda x: np.stack([x, a]), 1.0, newton, lambda g, y: y))(1.0)
    with pytest.raises(CustomRuleError, match=r"`matvec` returned f64\[2\] for f64\[3\]"):
        ft.jit(lambda b: lax.custom_linear_solve(lambda x: x[:2], b, lambda m, b: b))(B)
    with pytest.raises(CustomRuleError, match="With has_aux=True `solve`"):
        ft.jit(lambda b: lax.custom_linear_solve(lambda x: x, b, lambda m, b: b, has_aux=True))(B)
