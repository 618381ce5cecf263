"""root and fixed_point against closed forms and the implicit function theorem; the linear solvers against NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import functrans as ft
from functrans.errors import ShapeMismatchError, SolverError, SolverOptionError
from functrans.optimize import fixed_point, root
from functrans.optimize.linear import DENSE, conjugate_gradients, gmres


def close(found: Any, wanted: Any, tolerance: float) -> None:
    for x, y in zip(ft.tree.leaves(found), ft.tree.leaves(wanted), strict=True):
        np.testing.assert_allclose(x, y, rtol=tolerance, atol=tolerance)


def circle_and_line(x: Any, r: Any, m: Any) -> Any:
    return {"circle": x["u"] ** 2 + x["v"] ** 2 - r**2, "line": x["v"] - m * x["u"]}


def crossing(r: Any, m: Any) -> Any:
    u = r / np.sqrt(1 + m**2)
    return {"u": u, "v": m * u}


START = {"u": 1.0, "v": 0.3}
WAYS = pytest.mark.parametrize("transform", [lambda f: f, ft.jit], ids=["plain", "jit"])


@WAYS
@pytest.mark.parametrize("method", ["hybr", "lm", "newton", "krylov"])
def test_a_system(transform: Any, method: str) -> None:
    found = transform(lambda r, m: root(circle_and_line, START, (r, m), method, tol=1e-10))(2.0, 0.5)
    close(found.x, crossing(2.0, 0.5), 1e-6)
    close(found.fun, {"circle": 0.0, "line": 0.0}, 1e-6)
    assert (bool(found.success), int(found.status)) == (True, 0)
    assert found.jac is None
    assert found.nfev >= 2


@WAYS
def test_derivatives(transform: Any) -> None:
    solve = lambda r, m: root(circle_and_line, START, (r, m)).x  # noqa: E731
    for derive in (ft.jacrev, ft.jacfwd):
        close(transform(derive(solve, (0, 1)))(2.0, 0.5), derive(crossing, (0, 1))(2.0, 0.5), 1e-9)
    second = lambda f: ft.jacfwd(ft.jacrev(f, 1), 1)  # noqa: E731
    close(transform(second(solve))(2.0, 0.5), second(crossing)(2.0, 0.5), 1e-8)
    third = lambda f: ft.grad(ft.grad(ft.grad(lambda m: f(2.0, m)["v"])))  # noqa: E731
    close(transform(third(solve))(0.5), third(crossing)(0.5), 1e-7)


def test_lanes() -> None:
    r, m = np.array([1.0, 2.0, 30.0]), np.array([0.5, -0.5, 0.1])
    found = ft.vmap(lambda r, m: root(circle_and_line, START, (r, m)))(r, m)
    close(found.x, crossing(r, m), 1e-9)
    assert found.success.tolist() == [True] * 3
    slope = lambda f: ft.vmap(ft.grad(lambda r, m: f(r, m)["u"], (0, 1)))(r, m)  # noqa: E731
    close(slope(lambda r, m: root(circle_and_line, START, (r, m)).x), slope(crossing), 1e-9)


def test_closures_and_dtypes() -> None:
    def cube_root(a: Any) -> Any:
        return root(lambda x: x**3 - a, np.ones((), a.dtype)).x

    for dtype, tolerance in ((np.float32, 1e-5), (np.float64, 1e-9)):
        a = dtype(2.5)
        value, slope = ft.jit(ft.value_and_grad(cube_root))(a)
        assert (value.dtype, slope.dtype) == (dtype, dtype)
        close((value, slope), (2.5 ** (1 / 3), 2.5 ** (-2 / 3) / 3), tolerance)
        assert cube_root(a).dtype == dtype


def test_steps_are_shortened() -> None:
    """Newton's full steps would go ever farther away."""
    found = ft.jit(lambda x: root(lambda x: np.arctan(x - 1), x))(10.0)
    assert found.success
    close(found.x, 1.0, 1e-12)


def test_why_it_stopped() -> None:
    def run(f: Any, x: Any, **options: Any) -> tuple[bool, int]:
        found = ft.jit(lambda x: root(f, x, options=options))(np.float64(x))
        return bool(found.success), int(found.status)

    assert run(lambda x: x**2 - 2, 0.0) == (False, 2)  # no slope there
    assert run(lambda x: x**2 + 2, 1.0) == (False, 2)  # no root
    assert run(lambda x: x**2 - 2, 100.0, maxiter=3) == (False, 1)
    assert run(lambda x: np.log(x), -1.0) == (False, 3)
    assert run(lambda x: x**3, 0.0) == (True, 0)
    assert run(lambda x: np.sinh(x) + 1 - 1, 1.0) == (True, 0)
    assert not root(lambda x: x**2 + 2, 1.0).success
    assert root(lambda x: x**2 - 2, 1.0, options={"xtol": 1e-3}).success


def test_singular_matrices_on_the_way() -> None:
    """At the start one of the two equations has no derivative at all."""
    f = lambda x: np.stack([x[0] ** 2 + x[1] - 3, x[0] ** 2 - 1])  # noqa: E731
    found = ft.jit(lambda x: root(f, x))(np.array([0.0, 0.5]))
    assert int(found.status) in (0, 2)
    found = ft.jit(lambda x: root(f, x))(np.array([0.1, 0.5]))
    assert found.success
    close(found.x, np.array([1.0, 2.0]), 1e-9)


def test_many_unknowns() -> None:
    """A nonlinear chain, too long for its Jacobian to be written out; the derivative against a difference."""
    size = DENSE + 20
    matrix = 3 * np.eye(size) - np.eye(size, k=1) - 0.5 * np.eye(size, k=-1)

    def f(x: Any, c: Any) -> Any:
        return 3 * x - np.append(x[1:], 0.0) - 0.5 * np.insert(x[:-1], 0, 0.0) + c * x**3 - 1

    solve = ft.jit(lambda c: root(f, np.zeros(size), c, tol=1e-12).x)
    x = solve(0.7)
    close(matrix @ x + 0.7 * x**3, np.ones(size), 1e-9)
    wanted = -np.linalg.solve(matrix + np.diag(2.1 * x**2), x**3)
    close(ft.jvp(solve, (0.7,), (1.0,))[1], wanted, 1e-9)
    close(ft.grad(lambda c: np.sum(solve(c)))(0.7), np.sum(wanted), 1e-9)


@WAYS
def test_fixed_points(transform: Any) -> None:
    """cos(a x) = x has x' = -x sin(a x) / (1 + a sin(a x))."""
    solve = lambda a: fixed_point(lambda x, a: {"x": np.cos(a * x["x"])}, {"x": 1}, a, xtol=1e-12)["x"]  # noqa: E731
    x = transform(solve)(1.0)
    close(np.cos(x), x, 1e-11)
    slope = lambda a, x: -x * np.sin(a * x) / (1 + a * np.sin(a * x))  # noqa: E731
    close(transform(ft.grad(solve))(1.0), slope(1.0, x), 1e-9)
    difference = (ft.grad(solve)(1 + 1e-4) - ft.grad(solve)(1 - 1e-4)) / 2e-4
    close(transform(ft.grad(ft.grad(solve)))(1.0), difference, 1e-6)
    a = np.array([0.3, 1.0])
    close(transform(ft.vmap(ft.grad(solve)))(a), np.array([slope(c, solve(c)) for c in a]), 1e-9)
    close(transform(lambda x: fixed_point(lambda x: x / 2, x))(1.0), 0.0, 1e-15)


def test_no_fixed_point() -> None:
    away = lambda x: 2 * x + 1  # noqa: E731
    with pytest.raises(SolverError, match="not found in 20 iterations"):
        fixed_point(away, 1.0, maxiter=20)
    with pytest.raises(SolverError, match="not found in 0 iterations"):
        fixed_point(away, 1.0, maxiter=0)
    with pytest.raises(SolverError):
        ft.grad(lambda x: fixed_point(away, x, maxiter=20))(1.0)
    assert np.isnan(ft.jit(lambda x: fixed_point(away, x, maxiter=20))(1.0))
    found = ft.vmap(lambda k: fixed_point(lambda x: k * x + 1, 0.0))(np.array([0.5, 2.0]))
    close(found, np.array([2.0, np.nan]), 1e-6)


@settings(max_examples=10)
@given(st.integers(1, 60), st.integers(0, 1000))
def test_linear_solvers(size: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    a = random.normal(size=(size, size)) / np.sqrt(size) + 3 * np.eye(size)
    b = random.normal(size=size)
    close(gmres(lambda x: a @ x, b, 1e-12), np.linalg.solve(a, b), 1e-9)
    close(gmres(lambda x: a @ x, 0 * b, 1e-12), 0 * b, 0)
    s = a @ a.T
    close(conjugate_gradients(lambda x: s @ x, b, 1e-13, 1000), np.linalg.solve(s, b), 1e-9)
    indefinite = s - 3 * np.eye(size)
    assert b @ conjugate_gradients(lambda x: indefinite @ x, b, 1e-13, 1000) > 0


def test_methods_options_and_shapes() -> None:
    with pytest.raises(SolverOptionError, match="asked for the method 'bisect'"):
        root(np.cos, 1.0, method="bisect")
    with pytest.raises(SolverOptionError, match="option 'xtol' while tracing"):
        ft.jit(lambda x: root(np.cos, x, options={"xtol": 1e-3}).x)(1.0)
    for transform in (lambda f: f, ft.jit):
        with pytest.raises(ShapeMismatchError, match="returned 2 numbers for 1 unknowns"):
            transform(lambda x: root(lambda x: np.stack([x, x]), x).x)(1.0)
    found = root(lambda x: np.stack([x - 1, x - 2]), 0.0, method="lm")  # least squares
    close(found.x, 1.5, 1e-6)
