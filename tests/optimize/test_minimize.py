"""minimize against closed forms, SciPy and the implicit function theorem; the line search against its conditions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import functrans as ft
from functrans.errors import NonDifferentiableError, NonScalarOutputError, SolverOptionError
from functrans.optimize import OptimizeResult, minimize
from functrans.optimize.descent import BFGS, LBFGS, NewtonCG
from functrans.optimize.line_search import line_search
from functrans.optimize.linear import DENSE

METHODS = pytest.mark.parametrize("method", ["BFGS", "L-BFGS", "Newton-CG"])
EXACT = {"BFGS": {"gtol": 1e-10}, "L-BFGS": {"gtol": 1e-10, "ftol": 0}, "Newton-CG": {"xtol": 1e-10}}
Q = np.array([[3.0, 1.0], [1.0, 2.0]])
B = np.array([1.0, -2.0])


def close(found: Any, wanted: Any, tolerance: float) -> None:
    for x, y in zip(ft.tree.leaves(found), ft.tree.leaves(wanted), strict=True):
        np.testing.assert_allclose(x, y, rtol=tolerance, atol=tolerance)


def quadratic(x: Any, q: Any, b: Any) -> Any:
    return x @ q @ x / 2 - b @ x


def rosenbrock(x: Any) -> Any:
    return np.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)


def well(x: Any, a: Any) -> Any:
    """Least where x**3 + x = a."""
    return np.sum(x**4 / 4 + x**2 / 2 - a * x)


# ---- where the minimum is

problems = settings(max_examples=6)


@METHODS
@problems
@given(st.integers(1, 6), st.integers(0, 1000), st.floats(0.1, 100.0))
def test_convex_quadratics(method: str, size: int, seed: int, scale: float) -> None:
    """Found from anywhere, traced and by SciPy; the solution moves as inv(Q) db."""
    random = np.random.default_rng(seed)
    root = random.normal(size=(size, size))
    q, b, x0 = scale * (root @ root.T + np.eye(size)), random.normal(size=size), 10 * random.normal(size=size)
    solve = lambda b: minimize(quadratic, x0, (q, b), method=method, options=EXACT[method]).x  # noqa: E731
    wanted, tolerance = np.linalg.solve(q, b), 1e-7 / min(scale, 1)
    close(ft.jit(solve)(b), wanted, tolerance)
    close(minimize(quadratic, x0, (q, b), method=method, tol=1e-8).x, wanted, 1e-4 / min(scale, 1))
    close(ft.jvp(solve, (b,), (x0,))[1], np.linalg.solve(q, x0), 1e-9 / min(scale, 1))


@METHODS
@pytest.mark.parametrize("transform", [lambda f: f, ft.jit], ids=["scipy", "jit"])
def test_rosenbrock(method: str, transform: Any) -> None:
    found = transform(lambda x: minimize(rosenbrock, x, method=method, tol=1e-8))(np.array([-1.2, 1.0, 1.5]))
    assert isinstance(found, OptimizeResult)
    assert (bool(found.success), int(found.status)) == (True, 0)
    assert found.message == found.text or found.message == "Converged."
    close(found.x, np.ones(3), 1e-3)
    close((found.fun, found.jac), (0.0, np.zeros(3)), 1e-3)
    assert 10 < found.nit <= found.nfev < 200
    assert f"success: {found.success}" in repr(found)


@METHODS
def test_lanes(method: str) -> None:
    """Each lane stops for itself; one begins at the solution."""
    starts = np.array([[-1.2, 1.0], [2.0, 2.0], [1.0, 1.0]])
    found = ft.vmap(lambda x: minimize(rosenbrock, x, method=method, options=EXACT[method]))(starts)
    close(found.x, np.ones((3, 2)), 1e-6)
    assert found.message == ["Converged."] * 3
    assert found.nit[0] > found.nit[2] == 0
    one = ft.jit(lambda x: minimize(rosenbrock, x, method=method, options=EXACT[method]))(starts[0])
    assert (int(one.nit), int(one.nfev)) == (found.nit[0], found.nfev[0])


def test_pytrees_and_dtypes() -> None:
    def loss(x: Any, target: Any) -> Any:
        return np.sum((x["w"] - target) ** 2) + (x["b"][0] - 3) ** 2

    x0 = {"w": np.zeros((2, 2), np.float32), "b": (1, None)}
    target = np.arange(4, dtype=np.float32).reshape(2, 2)
    for transform in (lambda f: f, ft.jit):
        found = transform(lambda x, target: minimize(loss, x, target))(x0, target)
        close(found.x, {"w": target, "b": (3.0, None)}, 1e-4)
        assert (found.x["w"].dtype, found.jac["w"].dtype) == (np.float32, np.float32)
        assert found.jac["b"][1] is None
    single = ft.jit(lambda x: minimize(well, x, np.float32(2.0)))(np.float32(0.0))
    assert {x.dtype for x in (single.x, single.fun, single.jac)} == {np.dtype(np.float32)}
    close(single.x, 1.0, 1e-5)


# ---- how it moves


@METHODS
class TestDerivatives:
    def test_of_a_quadratic(self, method: str) -> None:
        solve = lambda q, b: minimize(quadratic, np.zeros(2), (q, b), method=method, options=EXACT[method]).x  # noqa: E731
        exact = lambda q, b: np.linalg.solve((q + q.T) / 2, b)  # noqa: E731
        for transform in (lambda f: f, ft.jit):
            close(transform(ft.jacrev(solve, (0, 1)))(Q, B), ft.jacrev(exact, (0, 1))(Q, B), 1e-9)
            close(transform(ft.jacfwd(solve, 1))(Q, B), np.linalg.inv(Q), 1e-9)
        second = lambda f: ft.jacfwd(ft.jacrev(lambda s: f(s * Q, B)))(1.5)  # noqa: E731
        close(second(solve), second(exact), 1e-8)

    def test_higher_orders_and_closures(self, method: str) -> None:
        """x**3 + x = a has x' = 1 / (3 x**2 + 1)."""

        def solve(a: Any) -> Any:
            return minimize(lambda x: well(x, a), 0.5, method=method, options=EXACT[method]).x

        x = solve(2.0)
        close(x, 1.0, 1e-5)  # SciPy's
        slope = 1 / 4
        close(ft.grad(solve)(2.0), slope, 1e-9)
        close(ft.grad(ft.grad(solve))(2.0), -6 * slope**3, 1e-8)
        close(ft.jit(ft.grad(ft.grad(ft.grad(solve))))(2.0), -6 * slope**4 + 108 * slope**5, 1e-7)
        a = np.array([2.0, 10.0, 0.0])
        close(ft.vmap(ft.value_and_grad(solve))(a), (np.array([1.0, 2.0, 0.0]), 1 / np.array([4.0, 13.0, 1.0])), 1e-7)
        value, series = ft.jet(solve, (2.0,), ((1.0, 0.0),))
        close([value, *series], [1.0, slope, -6 * slope**3], 1e-7)

    def test_the_value_and_the_start(self, method: str) -> None:
        """The value moves as the function does at the solution (the envelope theorem); the start does not matter."""

        def least(a: Any, x0: Any) -> Any:
            return minimize(well, x0, a, method=method, options=EXACT[method]).fun

        close(ft.grad(least, (0, 1))(2.0, 0.5), (-1.0, 0.0), 1e-7)
        close(ft.grad(ft.grad(least))(2.0, 0.5), -1 / 4, 1e-7)


@pytest.mark.parametrize("method", ["L-BFGS", "Newton-CG"])
def test_many_unknowns(method: str) -> None:
    """A chain of springs, too long for its matrix to be written out."""
    size = DENSE + 50
    weights = 1 + np.arange(size) % 7

    def energy(x: Any, load: Any) -> Any:
        return np.sum(weights * x**2) / 2 + np.sum((x[1:] - x[:-1]) ** 2) / 2 - load @ x

    matrix = np.diag(weights) + np.diag(np.r_[1.0, np.full(size - 2, 2.0), 1.0]) - np.eye(size, k=1) - np.eye(size, k=-1)
    load = np.cos(np.arange(size))
    v = np.sin(np.arange(size))
    solve = lambda load: minimize(energy, np.zeros(size), load, method=method, options=EXACT[method]).x  # noqa: E731
    x, pull_back = ft.vjp(solve, load)
    close(x, np.linalg.solve(matrix, load), 1e-7)
    close(pull_back(v)[0], np.linalg.solve(matrix, v), 1e-9)
    close(ft.jvp(solve, (load,), (v,))[1], np.linalg.solve(matrix, v), 1e-9)


# ---- what is not found


@METHODS
def test_why_it_stopped(method: str) -> None:
    def run(f: Any, x: Any, **options: Any) -> OptimizeResult:
        return ft.jit(lambda x: minimize(f, x, method=method, options=options))(np.array(x))

    early = run(rosenbrock, [-1.2, 1.0], maxiter=2)
    assert (bool(early.success), int(early.status), int(early.nit)) == (False, 1, 2)
    assert "largest number of iterations" in early.message
    assert int(run(rosenbrock, [-1.2, 1.0], maxiter=0).status) == 1
    undefined = run(lambda x: np.log(x[0]), [-1.0])
    assert (bool(undefined.success), int(undefined.status)) == (False, 3)
    assert "NaN" in undefined.message
    unbounded = run(lambda x: -np.exp(x[0]), [1.0])
    assert not unbounded.success
    edge = run(lambda x: x[0] - np.log(x[0]), [9.0])  # NaN where the search goes too far
    assert edge.success
    close(edge.x, np.ones(1), 1e-4)


@METHODS
def test_beyond_what_values_can_tell(method: str) -> None:
    """The last digits of x make no difference to a value near one; the gradient still knows."""
    f = lambda x: 1 + rosenbrock(x)  # noqa: E731
    starts = 1.5 * np.random.default_rng(0).normal(size=(20, 4))
    found = ft.vmap(lambda x: minimize(f, x, method=method, options=EXACT[method]))(starts)
    assert found.success.all()
    assert np.max(np.abs(found.jac)) < 1e-10
    assert np.mean(found.nfev) < 70


def test_status_while_tracing() -> None:
    messages = []

    def f(x: Any) -> Any:
        found = minimize(well, x, 2.0)
        messages.append(found.message)
        return np.where(found.success, found.x, np.nan)

    close(ft.jit(f)(0.5), 1.0, 1e-4)
    assert messages == ["The status is not known while tracing."]


# ---- SciPy


def test_scipy_is_driven_by_our_derivatives() -> None:
    for method in ("CG", "trust-ncg", "trust-krylov", "l-bfgs-b", "newton-cg"):
        found = minimize(rosenbrock, np.array([-1.2, 1.0]), method=method, tol=1e-8)
        close(found.x, np.ones(2), 1e-3)
        assert found.text == found.message
    seen: list[Any] = []
    found = minimize(
        lambda x: (x["a"] - 1) ** 2 + x["b"] ** 2, {"a": 4.0, "b": 3.0}, method="L-BFGS", bounds=[(2, None), (None, None)],
        callback=seen.append, options={"maxiter": 50},
    )  # fmt: skip
    close(found.x, {"a": 2.0, "b": 0.0}, 1e-6)
    assert len(seen) == found.nit
    close(seen[-1], found.x, 1e-12)


# ---- the line search


@settings(max_examples=25)
@given(st.integers(0, 10_000), st.floats(1e-3, 1e3))
def test_strong_wolfe_conditions(seed: int, first: float) -> None:
    """On a curve with many wiggles, from any first step."""
    a, b, c = np.random.default_rng(seed).uniform(0.2, 3, size=3)
    both = ft.value_and_grad(lambda x: np.sum(x**2) / 2 + a * np.sin(b * x[0] + c))
    x = np.array([4.0])
    f, g = both(x)
    p = -g
    point, evaluations = line_search(both, x, p, f, g, np.float64(first))
    assert point.a > 0
    assert evaluations <= 20
    assert point.f <= f + 1e-4 * point.a * (g @ p) + 1e-12
    assert abs(point.slope) <= 0.9 * abs(g @ p)
    close((point.f, point.g), both(x + point.a * p), 1e-12)


def test_directions_lead_down() -> None:
    """What BFGS and L-BFGS learn stays positive definite; with all steps kept they are the same method."""
    random = np.random.default_rng(5)
    g, x = random.normal(size=4), np.zeros(4)
    dense, limited, objective = BFGS(), LBFGS(8), rosenbrock
    memories = [dense.start(x), limited.start(x)]
    for _ in range(6):
        s, y = random.normal(size=(2, 4))
        memories = [m.learned(memory, s, y) for m, memory in zip((dense, limited), memories)]
        direction = dense.direction(objective, memories[0], x, g)
        assert g @ direction < 0
        assert g @ limited.direction(objective, memories[1], x, g) < 0
        close(memories[0].inverse, memories[0].inverse.T, 1e-10)
    if s @ y > 0:
        close(memories[0].inverse @ y, s, 1e-10)
    assert g @ NewtonCG().direction(objective, (), x, ft.grad(objective)(x) * 0 + g) < 0


# ---- errors


def test_methods_and_options() -> None:
    x = np.zeros(2)
    with pytest.raises(SolverOptionError, match="asked for the method 'SGD'"):
        minimize(rosenbrock, x, method="SGD")
    with pytest.raises(SolverOptionError, match=r"'trust-ncg' while tracing"):
        ft.jit(lambda x: minimize(rosenbrock, x, method="trust-ncg").x)(x)
    with pytest.raises(SolverOptionError, match="bounds and the method 'BFGS'"):
        minimize(rosenbrock, x, bounds=[(0, 1)] * 2)
    with pytest.raises(SolverOptionError, match="given bounds while tracing"):
        ft.jit(lambda x: minimize(rosenbrock, x, method="L-BFGS", bounds=[(0, 1)] * 2).x)(x)
    with pytest.raises(SolverOptionError, match="given a callback while tracing"):
        ft.jit(lambda x: minimize(rosenbrock, x, callback=id).x)(x)
    with pytest.raises(SolverOptionError, match=r"option 'maxcor' while tracing[^$]*gtol, maxiter"):
        ft.jit(lambda x: minimize(rosenbrock, x, options={"maxcor": 3, "disp": False}).x)(x)
    with pytest.raises(NonDifferentiableError, match=r"start from c128\[\]\* in leaf \['z'\]"):
        minimize(lambda x: abs(x["z"]) ** 2, {"z": 1j})
    with pytest.raises(NonScalarOutputError):
        minimize(lambda x: x, x)
    with pytest.raises(TypeError, match="expects a function"):
        minimize(3, x)
