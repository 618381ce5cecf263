"""odeint against closed forms, difference quotients, itself by other ways, and the laws of flows."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import expm

import functrans as ft
from functrans.errors import DtypeMismatchError, PytreeMismatchError, ShapeMismatchError, SolverError, TimesError
from functrans.integrate import odeint
from functrans.integrate.dormand_prince import Curve, attempt
from tests.helpers.oracles import difference_quotient

TIGHT = {"rtol": 1e-11, "atol": 1e-11}
WAYS = pytest.mark.parametrize("gradient", ["adjoint", "solver"])
A = np.array([[-0.2, 1.0, 0.0], [-1.3, -0.1, 0.4], [0.3, 0.0, -0.5]])
Y0 = np.array([1.0, -0.5, 0.7])
T = np.array([0.2, 0.5, 1.1, 1.9])
WEIGHTS = np.cos(np.arange(12.0)).reshape(4, 3)


def linear(y: Any, t: Any, a: Any) -> Any:
    return a @ y


def decay(y: Any, t: Any, k: Any) -> Any:
    return -k * y


def lotka_volterra(y: Any, t: Any, rates: Any) -> Any:
    a, b, c, d = rates
    prey, predators = y
    return np.stack([a * prey - b * prey * predators, c * prey * predators - d * predators])


def exact(y0: Any, t: Any, a: Any) -> Any:
    return np.stack([expm(a * (s - t[0])) @ y0 for s in t])


def close(found: Any, wanted: Any, tolerance: float) -> None:
    for x, y in zip(ft.tree.leaves(found), ft.tree.leaves(wanted), strict=True):
        np.testing.assert_allclose(x, y, rtol=tolerance, atol=tolerance)


# ---- one step


def test_orders_of_a_step_of_its_error_estimate_and_of_the_curve() -> None:
    """Halving a step divides its error by 2**6, that of the curve and the estimate by 2**5."""
    f = lambda y, t: np.stack([y[1], -y[0] + 0.2 * np.sin(y[1]) + np.cos(2 * t)])  # noqa: E731
    y, t = np.array([1.0, 0.3]), 0.4

    def errors(h: float) -> tuple[float, float, float]:
        fine = odeint(f, y, np.array([t, t + h / 3, t + h]), rtol=1e-14, atol=1e-14, hmax=h / 20)
        trial = attempt(f, np.float64(t), y, f(y, t), np.float64(h))
        curve = Curve(np.float64(t), np.float64(h), y, trial.y, f(y, t), trial.slope, trial.bend)
        off = lambda x, w: float(np.max(np.abs(x - w)))  # noqa: E731
        return off(trial.y, fine[2]), float(np.max(np.abs(trial.error))), off(curve.at(t + h / 3), fine[1])

    orders = np.log2(np.divide(errors(0.4), errors(0.2)))
    np.testing.assert_allclose(orders, [6, 5, 5], atol=0.4)


def test_the_curve_is_smooth() -> None:
    f = lambda y, t: -y  # noqa: E731
    trial = attempt(f, np.float64(0), np.float64(1), np.float64(-1), np.float64(0.5))
    curve = Curve(np.float64(0), np.float64(0.5), np.float64(1), trial.y, np.float64(-1), trial.slope, trial.bend)
    close([curve.at(0.0), curve.at(0.5)], [1.0, trial.y], 1e-15)
    close([ft.grad(curve.at)(0.0), ft.grad(curve.at)(0.5)], [-1.0, trial.slope], 1e-13)


# ---- values


@pytest.mark.parametrize("sign", [1, -1])
def test_linear_equations(sign: int) -> None:
    t = sign * T
    close(odeint(linear, Y0, t, A), exact(Y0, t, A), 1e-7)
    close(odeint(linear, Y0, t, A, **TIGHT), exact(Y0, t, A), 1e-10)
    close(ft.jit(lambda *args: odeint(linear, *args))(Y0, t, A), odeint(linear, Y0, t, A), 1e-14)


def test_the_error_follows_the_tolerance() -> None:
    errors = [np.max(np.abs(odeint(linear, Y0, T, A, rtol=r, atol=r) - exact(Y0, T, A))) for r in (1e-4, 1e-7, 1e-10)]
    assert errors[0] < 1e-3
    assert errors[1] < errors[0] / 100
    assert errors[2] < errors[1] / 100


def test_harmonic_oscillator_of_pytrees() -> None:
    def f(y: Any, t: Any) -> Any:
        return {"x": y["v"][0], "v": [-y["x"], None]}

    t = np.linspace(0, 7, 5)
    found = odeint(f, {"x": np.zeros((2, 1)), "v": [np.ones((2, 1)), None]}, t, **TIGHT)
    assert found["x"].shape == (5, 2, 1)
    close(found["x"][:, 1, 0], np.sin(t), 1e-9)
    close(found["v"][0][:, 0, 0], np.cos(t), 1e-9)


def test_complex_states() -> None:
    y = odeint(lambda y, t: 1j * y, 1 + 0j, T, **TIGHT)
    close(y, np.exp(1j * (T - T[0])), 1e-10)
    mixed = odeint(lambda y, t: (1j * y[0], -y[1]), (1 + 0j, 1.0), T, **TIGHT)
    assert mixed[0].dtype == complex
    assert mixed[1].dtype == float
    close(mixed, (np.exp(1j * (T - T[0])), np.exp(T[0] - T)), 1e-10)


@pytest.mark.parametrize("time", [np.float32, np.float64])
def test_single_precision_stays(time: Any) -> None:
    k, t = np.float32(0.5), T.astype(time)
    solve = lambda y, k: odeint(decay, y, t, k)  # noqa: E731
    assert solve(np.float32(1), k).dtype == np.float32
    close(solve(np.float32(1), k), np.exp(-0.5 * (T - T[0])), 1e-5)
    by_y, by_k = ft.grad(lambda y, k: solve(y, k)[-1], (0, 1))(np.float32(1), k)
    assert (by_y.dtype, by_k.dtype) == (np.float32, np.float32)
    close((by_y, by_k), (np.exp(-0.85), -1.7 * np.exp(-0.85)), 1e-5)
    leaves = odeint(lambda y, t: (-y[0], -y[1]), (np.float32(1), 1.0), t)
    assert [y.dtype for y in leaves] == [np.float32, np.float64]


def test_integers_become_floats() -> None:
    assert odeint(decay, 1, [0, 1], 0.5).dtype == np.float64


@pytest.mark.parametrize("jit", [lambda f: f, ft.jit])
def test_few_times_and_nothing_to_solve(jit: Any) -> None:
    close(jit(lambda y: odeint(decay, y, np.zeros(0), 0.5))(1.0), np.zeros(0), 0)
    close(jit(lambda y: odeint(decay, y, np.array([2.0]), 0.5))(1.0), np.ones(1), 0)
    close(jit(lambda y: odeint(decay, y, np.array([1.0, 1.0]), 0.5))(1.0), np.ones(2), 0)
    assert jit(lambda y: odeint(lambda y, t: y, y, T))(np.zeros((0, 2))).shape == (4, 0, 2)
    assert jit(lambda y: odeint(lambda y, t: y, y, T))({}) == {}
    for t in (np.zeros(0), np.array([2.0]), np.array([1.0, 1.0])):
        for gradient in ("adjoint", "solver"):
            loss = lambda y: np.sum(odeint(decay, y, t, 0.5, gradient=gradient))  # noqa: E731
            assert float(jit(ft.grad(loss))(1.0)) == t.size


def test_no_step_goes_beyond_the_last_time() -> None:
    """The right side is NaN after t = 1."""
    y = odeint(lambda y, t: np.sqrt(1 - t), 0.0, np.array([0.0, 0.7, 1.0]))
    close(y, 2 / 3 * (1 - np.array([1.0, 0.3, 0.0]) ** 1.5), 1e-6)


def test_longest_step() -> None:
    """A bump that long steps would step over."""
    bump = lambda y, t: np.exp(-(((t - 50) / 0.1) ** 2))  # noqa: E731
    t = np.array([0.0, 100.0])
    assert abs(odeint(bump, 0.0, t)[-1]) < 1e-3
    close(odeint(bump, 0.0, t, hmax=0.3)[-1], 0.1 * np.sqrt(np.pi), 1e-7)


flows = settings(max_examples=8)


@flows
@given(st.floats(0.1, 2.0), st.floats(-3, 3), st.floats(0.1, 0.9), st.integers(0, 99))
def test_laws_of_flows(span: float, start: float, part: float, seed: int) -> None:
    """There and back; by way of a time in between; at another time of the day."""
    y0 = np.random.default_rng(seed).normal(size=2)
    f = lambda y, t: np.stack([np.sin(y[1]), np.cos(y[0]) - y[1] / 2])  # noqa: E731
    flow = ft.jit(lambda y, s, t: odeint(f, y, np.stack([s, t]), **TIGHT)[-1])
    end = flow(y0, start, start + span)
    close(flow(end, start + span, start), y0, 1e-8)
    middle = start + part * span
    close(flow(flow(y0, start, middle), middle, start + span), end, 1e-8)
    close(flow(y0, 0.0, span), end, 1e-8)


# ---- derivatives


@WAYS
class TestDerivatives:
    def test_by_state_times_and_arguments(self, gradient: str) -> None:
        solve = lambda y0, t, a: [odeint(linear, y0, t, a, gradient=gradient, **TIGHT)]  # noqa: E731
        loss = lambda *args: np.sum(WEIGHTS * solve(*args)[0])  # noqa: E731
        wanted = lambda *args: [np.sum(WEIGHTS * exact(*args))]  # noqa: E731
        found = ft.grad(loss, (0, 1, 2))(Y0, T, A)
        close(ft.jit(ft.grad(loss, (0, 1, 2)))(Y0, T, A), found, 1e-12)
        tangents = (np.cos(Y0), np.sin(3 * T), np.sin(A))
        slope = sum(float(np.sum(g * v)) for g, v in zip(found, tangents))
        (difference,) = difference_quotient(wanted, (Y0, T, A), tangents)
        close(slope, difference, 1e-7)
        close(ft.jvp(loss, (Y0, T, A), tangents)[1], difference, 1e-7)
        by_t = np.sum(WEIGHTS * (exact(Y0, T, A) @ A.T), axis=1)
        close(found[1][1:], by_t[1:], 1e-7)
        close(found[1][0], -np.sum(by_t[1:]), 1e-7)  # moving all times changes nothing

    def test_backwards_in_time(self, gradient: str) -> None:
        loss = lambda y0, t, a: np.sum(WEIGHTS * odeint(linear, y0, t, a, gradient=gradient, **TIGHT))  # noqa: E731
        wanted = lambda y0, t, a: [np.sum(WEIGHTS * exact(y0, t, a))]  # noqa: E731
        point, tangents = (Y0, -T, A), (np.cos(Y0), np.sin(3 * T), np.sin(A))
        slope = sum(float(np.sum(g * v)) for g, v in zip(ft.grad(loss, (0, 1, 2))(*point), tangents))
        close(slope, difference_quotient(wanted, point, tangents)[0], 1e-7)

    def test_a_right_side_that_depends_on_time(self, gradient: str) -> None:
        """y' = t y has y = y0 exp((t^2 - t0^2) / 2)."""
        loss = lambda y0, t: odeint(lambda y, t: t * y, y0, t, gradient=gradient, **TIGHT)[-1]  # noqa: E731
        by_y, by_t = ft.grad(loss, (0, 1))(1.5, np.array([0.5, 0.8, 1.2]))
        growth = np.exp((1.2**2 - 0.5**2) / 2)
        close((by_y, by_t), (growth, np.array([-0.5, 0.0, 1.2]) * 1.5 * growth), 1e-7)

    def test_second_order_of_a_closed_form(self, gradient: str) -> None:
        """exp(-2 k) y has the second derivatives 4 exp(-2 k) y, -2 exp(-2 k) and 0."""

        def final(x: Any) -> Any:
            return odeint(decay, x[0], np.array([0.0, 2.0]), x[1], gradient=gradient, rtol=1e-9, atol=1e-9)[-1]

        x = np.array([1.5, 0.4])
        cross = -2 * np.exp(-0.8)
        wanted = np.array([[0.0, cross], [cross, -2 * cross * 1.5]])
        close(ft.hessian(final)(x), wanted, 1e-6)
        close(ft.jit(ft.jacrev(ft.grad(final)))(x), wanted, 1e-6)
        close(ft.jacfwd(ft.jacfwd(final))(x), wanted, 1e-6)
        v = np.array([0.3, -1.0])
        close(ft.grad(lambda x: ft.jvp(final, (x,), (v,))[1])(x), wanted @ v, 1e-6)

    def test_times_to_second_order(self, gradient: str) -> None:
        """d^2/dt^2 exp(-k (t - t0)), and of the first time; only the adjoint knows the slope at a time exactly."""
        final = lambda t: odeint(decay, 1.0, t, 0.4, gradient=gradient, **TIGHT)[-1]  # noqa: E731
        wanted = 0.16 * np.exp(-0.8) * np.array([[1.0, -1.0], [-1.0, 1.0]])
        tolerance = 1e-7 if gradient == "adjoint" else 1e-4
        close(ft.jacrev(ft.grad(final))(np.array([0.5, 2.5])), wanted, tolerance)

    def test_lotka_and_volterra(self, gradient: str) -> None:
        rates, y0, t = np.array([1.1, 0.4, 0.1, 0.4]), np.array([10.0, 5.0]), np.linspace(0, 6, 4)

        def loss(rates: Any, y0: Any) -> Any:
            return np.mean(np.log(odeint(lotka_volterra, y0, t, rates, gradient=gradient, **TIGHT)) ** 2)

        found = ft.grad(loss, (0, 1))(rates, y0)
        tangents = (np.array([1.0, -0.5, 0.2, 0.3]), np.array([2.0, 1.0]))
        (difference,) = difference_quotient(lambda *args: [loss(*args)], (rates, y0), tangents)
        close(sum(g @ v for g, v in zip(found, tangents)), difference, 1e-6)

    def test_closures_over_tracers(self, gradient: str) -> None:
        """What the right side closes over differentiates and batches like an argument."""
        t, options = np.array([0.0, 2.0]), {"gradient": gradient, "rtol": 1e-9, "atol": 1e-9}

        def final(k: Any) -> Any:
            inner = lambda m: odeint(lambda y, t: -k * m * y, 1.0, t, **options)[-1]  # noqa: E731
            return ft.grad(inner)(0.5) + inner(1.0)  # -2k exp(-k) + exp(-2k)

        value = lambda k: -2 * k * np.exp(-k) + np.exp(-2 * k)  # noqa: E731
        slope = lambda k: 2 * (k - 1) * np.exp(-k) - 2 * np.exp(-2 * k)  # noqa: E731
        k = np.array([0.3, 0.8])
        close(final(0.3), value(0.3), 1e-6)
        close(ft.jit(ft.vmap(ft.value_and_grad(final)))(k), (value(k), slope(k)), 1e-6)

    def test_lanes(self, gradient: str) -> None:
        """Each lane has its own steps."""
        loss = lambda y, t, k: np.sum(odeint(decay, y, t, k, gradient=gradient))  # noqa: E731
        y, k, t = np.array([1.0, -3.0, 0.0]), np.array([0.1, 20.0, 1.0]), np.stack([T, 2 * T, -T])
        found = ft.vmap(ft.value_and_grad(loss, (0, 1, 2)))(y, t, k)
        by_lane = [ft.value_and_grad(loss, (0, 1, 2))(*lane) for lane in zip(y, t, k)]
        close(found, ft.tree.map(lambda *xs: np.stack(xs), *by_lane), 1e-12)
        shared = ft.vmap(ft.grad(loss, 2), (None, None, 0))(1.0, T, k)
        close(shared, np.stack([ft.grad(loss, 2)(1.0, T, one) for one in k]), 1e-12)

    def test_complex_gradient(self, gradient: str) -> None:
        loss = lambda w, solve: np.abs(solve(w) - 1) ** 2  # noqa: E731
        ours = lambda w: odeint(lambda y, t, w: 1j * w * y, 1 + 0j, np.array([0, 2.0]), w, gradient=gradient, **TIGHT)[-1]  # noqa: E731
        w = 1.3 + 0.2j
        close(ft.grad(lambda w: loss(w, ours))(w), ft.grad(lambda w: loss(w, lambda w: np.exp(2j * w)))(w), 1e-7)

    def test_tiny_and_huge_cotangents(self, gradient: str) -> None:
        """The derivative is linear, whatever the tolerances."""
        loss = lambda a, c: c * np.sum(odeint(linear, Y0, T, a, gradient=gradient))  # noqa: E731
        once = ft.grad(loss)(A, 1.0)
        for factor in (2.0**-60, 2.0**60):
            close(ft.grad(loss)(A, factor) / factor, once, 1e-12)
        close(ft.grad(loss)(A, 0.0), 0 * A, 0)

    def test_integers_among_the_arguments(self, gradient: str) -> None:
        f = lambda y, t, n, k, flags: np.where(flags["up"], -n * k * y, y)  # noqa: E731
        loss = lambda n, k: odeint(f, 1.0, np.array([0.0, 1.0]), n, k, {"up": np.bool_(True)}, gradient=gradient)[-1]  # noqa: E731
        close(ft.grad(loss, 1)(2, 0.5), -2 * np.exp(-1), 1e-6)
        close(ft.jit(ft.grad(loss, 1))(2, 0.5), -2 * np.exp(-1), 1e-6)
        close(ft.jit(lambda k: ft.jvp(lambda k: loss(2, k), (k,), (1.0,)))(0.5), (np.exp(-1), -2 * np.exp(-1)), 1e-6)

    def test_taylor_mode(self, gradient: str) -> None:
        final = lambda k: odeint(decay, 1.0, np.array([0.0, 2.0]), k, gradient=gradient, **TIGHT)[-1]  # noqa: E731
        value, series = ft.jet(final, (0.5,), ((1.0, 0.0, 0.0),))
        close([value, *series], [(-2) ** n * np.exp(-1) for n in range(4)], 1e-7)

    def test_inside_loops_and_branches(self, gradient: str) -> None:
        def f(y: Any, t: Any, k: Any) -> Any:
            return -k * y if t < 1 else k * y

        def loss(k: Any) -> Any:
            step = lambda y, i: (odeint(f, y, np.array([0.5, 1.0, 1.25]), k, gradient=gradient)[-1], None)  # noqa: E731
            return ft.lax.scan(step, 1.0, None, length=3)[0]  # each step multiplies by exp(-k / 4)

        close(ft.value_and_grad(loss)(0.8), (np.exp(-0.6), -0.75 * np.exp(-0.6)), 1e-5)
        close(ft.jit(ft.grad(loss))(0.8), ft.grad(loss)(0.8), 1e-12)


def peak(function: Callable[[], Any]) -> int:
    function()
    tracemalloc.start()
    function()
    _, bytes_used = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return bytes_used


def test_what_gradients_keep() -> None:
    """The adjoint keeps no step, the solver all of them, or as many as the budget holds."""
    y0, t = np.ones(2000), np.array([0.0, 0.5])

    def gradient(**options: Any) -> Callable[[], Any]:
        loss = lambda k: np.sum(odeint(decay, y0, t, k, hmax=0.008, **options))  # noqa: E731
        compiled = ft.jit(ft.grad(loss))
        return lambda: compiled(0.7)

    ways = [gradient(gradient="solver"), gradient(gradient="solver", budget=16 * y0.nbytes), gradient()]
    solver, bounded, adjoint = map(peak, ways)
    assert bounded < 0.5 * solver
    assert adjoint < 0.2 * solver
    close(ways[1](), ways[0](), 1e-12)
    close(gradient(gradient="solver", checkpoint="log")(), ways[0](), 1e-12)
    close(gradient(gradient="solver", checkpoint=True)(), ways[0](), 1e-12)
    close(ways[2](), ways[0](), 1e-6)


# ---- what cannot be solved


def squared(y: Any, t: Any) -> Any:
    """The solution 1 / (1 - t) ends at t = 1."""
    return y**2


def test_a_solution_that_ends() -> None:
    t = np.array([0.0, 0.5, 2.0, 3.0])
    with pytest.raises(SolverError, match=r"as far as t\[2\] = 2: the steps became too short") as caught:
        odeint(squared, 1.0, t)
    assert "test_odeint.py" in str(caught.value)
    with pytest.raises(SolverError, match=r"t\[2\]"):
        ft.grad(lambda y: odeint(squared, y, t)[1])(1.0)
    wanted = np.array([1.0, 2.0, np.nan, np.nan])
    close(ft.jit(lambda y: odeint(squared, y, t))(1.0), wanted, 1e-6)
    found = ft.vmap(lambda y: odeint(squared, y, t))(np.array([1.0, 0.1]))
    close(found, np.stack([wanted, 0.1 / (1 - 0.1 * t)]), 1e-6)


def test_not_a_number() -> None:
    with pytest.raises(SolverError, match=r"t\[1\] = 1: the steps"):
        odeint(lambda y, t: y * np.nan, 1.0, [0.0, 1.0])
    with pytest.raises(SolverError, match=r"t\[1\] = 1: the steps"):
        odeint(decay, np.nan, [0.0, 1.0], 1.0)
    with pytest.raises(SolverError, match=r"t\[1\] = 1: the steps"):
        odeint(lambda y, t: 1 / y, 0.0, [0.0, 1.0])


def test_too_many_steps() -> None:
    with pytest.raises(SolverError, match=r"t\[1\] = 5: 3 steps after the time before it were not enough"):
        odeint(decay, 1.0, [0.0, 5.0], 1.0, mxstep=3)
    found = ft.jit(lambda k: odeint(decay, 1.0, np.array([0.0, 1e-3, 5.0, 6.0]), k, mxstep=3))(1.0)
    assert np.isnan(found).tolist() == [False, False, True, True]


def test_times_in_disorder() -> None:
    with pytest.raises(TimesError, match=r"t\[1\] is 1.0, t\[2\] is 0.5, but t\[0\] is 0.0"):
        odeint(decay, 1.0, [0.0, 1.0, 0.5], 1.0)
    with pytest.raises(TimesError, match=r"t\[1\] is nan"):
        odeint(decay, 1.0, [0.0, np.nan], 1.0)
    with pytest.raises(TimesError, match=r"times of type f64\[\]"):
        odeint(decay, 1.0, 1.0, 1.0)
    with pytest.raises(TimesError, match=r"times of type f64\[1,2\]"):
        ft.jit(lambda t: odeint(decay, 1.0, t, 1.0))(np.ones((1, 2)))
    found = ft.jit(lambda t: odeint(decay, 1.0, t, 1.0))(np.array([0.0, 1.0, -1.0]))
    assert np.isnan(found).any()


def test_right_sides_unlike_the_state() -> None:
    with pytest.raises(PytreeMismatchError, match=r"returned the structure \(\*,\) for y of structure \{'a': \*\}"):
        odeint(lambda y, t: (y["a"],), {"a": 1.0}, T)
    with pytest.raises(ShapeMismatchError, match=r"returned f64\[2\] for leaf \['a'\] of y, which is f64\[\]"):
        odeint(lambda y, t: {"a": np.ones(2) * t}, {"a": 1.0}, T)
    with pytest.raises(DtypeMismatchError, match=r"returned c128\[\] for leaf \[0\] of y") as caught:
        odeint(lambda y, t: [1j * y[0]], [1.0], T)
    assert "test_odeint.py" in str(caught.value)


def test_options() -> None:
    with pytest.raises(ValueError, match="not 'forward'"):
        odeint(decay, 1.0, T, 1.0, gradient="forward")
    with pytest.raises(ValueError, match='are for gradient="solver"'):
        odeint(decay, 1.0, T, 1.0, budget=1000)
    for options in ({"rtol": -1}, {"rtol": 0, "atol": 0}, {"mxstep": 0}, {"hmax": 0}, {"rtol": np.nan}):
        with pytest.raises(ValueError, match="of odeint are positive"):
            odeint(decay, 1.0, T, 1.0, **options)
