"""Every row of docs/semantics.md: in forward and reverse mode, to second order, eager, under jit and under vmap."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest
from scipy import special

import functrans as ft
import functrans.numpy as fnp
from functrans.core.tracer import Tracer
from functrans.errors import OutOfBoundsError
from functrans.primitives.selection import stop_gradient


class Row(NamedTuple):
    """A function of a real number, a point, and the first and second derivative there."""

    name: str
    f: Callable[[Any], Any]
    x: float
    first: float
    second: float = 0.0


def norm(x: Any) -> Any:
    """The length of (x, 2 x, -x)."""
    v = x * np.array([1.0, 2.0, -1.0])
    return np.sqrt(np.sum(v * v))


def masked(f: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """f where it is asked for, which is nowhere near zero."""
    return lambda x: np.where(x > 0.1, f(x), 0.0)


EXPONENTS = np.array([0, 1, 2, 3])

KINKS = [
    Row("abs", np.abs, 0.0, 0.0),
    Row("fabs", np.fabs, 0.0, 0.0),
    Row("sqrt of square", lambda x: np.sqrt(x**2), 0.0, 0.0),
    Row("sign", np.sign, 0.0, 0.0),
    Row("sign away", np.sign, 2.0, 0.0),
    *[Row(f.__name__, f, x, 0.0) for f in (np.floor, np.ceil, np.rint, np.trunc, np.fix) for x in (1.0, 0.3)],
    Row("round", lambda x: np.round(x, 1), 0.25, 0.0),
    Row("maximum tie", lambda x: np.maximum(x, 0.0), 0.0, 0.5),
    Row("minimum tie", lambda x: np.minimum(0.0, x), 0.0, 0.5),
    Row("maximum of itself", lambda x: np.maximum(x, x), 1.0, 1.0),
    Row("maximum of three", lambda x: np.maximum(np.maximum(x, 2 * x), 0.0), 0.0, 0.75),
    Row("fmax of nan", lambda x: np.fmax(x, np.nan), 2.0, 1.0),
    Row("clip at low", lambda x: np.clip(x, 0.0, 1.0), 0.0, 0.5),
    Row("clip at high", lambda x: np.clip(x, 0.0, 1.0), 1.0, 0.5),
    Row("clip outside", lambda x: np.clip(x, 0.0, 1.0) * x, 3.0, 1.0),
    *[
        Row(f"root of {f.__name__}, which x does not attain", lambda x, f=f, y=y: np.sqrt(f(x, y)), x, 0.0)
        for f, x, y in ((np.maximum, -1.0, 0.0), (np.minimum, 1.0, 0.0), (np.fmax, -1.0, 0.0), (np.fmin, 1.0, 0.0))
    ],
    Row("root of a clipped number", lambda x: np.sqrt(np.clip(x, 0.0, 1.0)), -1.0, 0.0),
    *[
        Row(f"root of {f.__name__}, which x does not attain", lambda x, f=f: np.sqrt(f(np.stack([x, 0.0]))), x, 0.0)
        for f, x in ((np.max, -1.0), (np.min, 1.0), (np.nanmax, -1.0))
    ],
    Row("root of a scattered maximum", lambda x: np.sqrt(fnp.at(np.zeros_like(x)[None])[0].max(x)[0]), -1.0, 0.0),
    Row("remainder", lambda x: np.remainder(x, 1.0), 2.0, 1.0),
    Row("remainder by divisor", lambda x: np.remainder(7.5, x), 2.0, -3.0),
    Row("fmod by divisor", lambda x: np.fmod(-7.5, x), 2.0, 3.0),
    Row("floor_divide", lambda x: x // 0.3, 1.0, 0.0),
    Row("copysign", lambda x: np.copysign(x, -1.0), 0.0, 0.0),
    Row("heaviside", lambda x: np.heaviside(x, 0.5), 0.0, 0.0),
    Row("hypot", lambda x: np.hypot(x, 0.0 * x), 0.0, 0.0),
    Row("arctan2 at the origin", lambda x: np.arctan2(x, 0.0), 0.0, 0.0),
    Row("logaddexp of -inf", lambda x: np.logaddexp(x - np.inf, -np.inf), 0.0, 0.5),
    Row("max of an array", lambda x: np.max(x * np.array([1.0, 1.0, 0.5, 3.0])[:3]), 2.0, 1.0),
    Row("tie in an array", lambda x: np.max(np.stack([x, 2 * x - 2.0, 0.5 * x, x])), 2.0, 4 / 3),
    Row("tie of running maxima", lambda x: np.sum(ft.lax.cummax(np.stack([x, 2.0, 2 * x - 2]))), 2.0, 2.5),
    Row("tie of running minima", lambda x: np.sum(ft.lax.cummin(np.stack([x, 2.0, 2 * x - 2]))), 2.0, 2.5),
    Row("maximum.accumulate", lambda x: np.sum(np.maximum.accumulate(np.stack([x, 2.0, 2 * x - 2]))), 2.0, 2.5),
    Row("tie of a median", lambda x: np.median(np.stack([x, 2 * x - 2.0, 3 * x - 4])), 2.0, 2.0),
    *[
        Row(f"{f.__name__} of nan", lambda x, f=f: f(np.stack([x, np.nan, x])), 2.0, 0.0)
        for f in (np.max, np.min, np.ptp)
    ],
    Row("maximum of nan", lambda x: np.maximum(x, np.nan), 2.0, 0.0),
    Row("running maximum of nan", lambda x: ft.lax.cummax(np.stack([np.nan, x]))[1], 2.0, 0.0),
    Row("nanmax", lambda x: np.nanmax(np.stack([x, np.nan, x])), 2.0, 1.0),
    Row("logsumexp of inf", lambda x: ft.nn.logsumexp(np.stack([x + np.inf, 2 * x])), 1.0, 1.0),
    Row("logsumexp of two inf", lambda x: ft.nn.logsumexp(np.stack([x + np.inf, 2 * x + np.inf])), 1.0, 1.5),
    Row("logsumexp of -inf", lambda x: ft.nn.logsumexp(np.stack([x - np.inf, 3 * x - np.inf])), 1.0, 2.0),
    Row("logsumexp with -inf", lambda x: ft.nn.logsumexp(np.stack([2 * x, 3 * x - np.inf])), 1.0, 2.0),
    Row("std of equal elements", lambda x: np.std(np.stack([x, 1.0, 1.0])), 1.0, 0.0),
    Row("std of elements that stay equal", lambda x: np.std(np.stack([x, x])), 1.0, 0.0),
    Row("relu", ft.nn.relu, 0.0, 0.0),
    Row("linalg.norm", lambda x: np.linalg.norm(x * np.array([3.0, 4.0])), 0.0, 0.0),
    Row("where", lambda x: np.where(x < 0, -x, 2 * x), 0.0, 2.0),
    Row("stop_gradient", lambda x: stop_gradient(x) * x, 3.0, 3.0),
]

POWERS = [
    Row("x**0", lambda x: x**0, 0.0, 0.0),
    Row("x**1", lambda x: x**1, 0.0, 1.0),
    Row("x**2", lambda x: x**2, 0.0, 0.0, 2.0),
    Row("x**3", lambda x: x**3, 0.0, 0.0, 0.0),
    Row("x**2.0", lambda x: x**2.0, 0.0, 0.0, 2.0),
    Row("x**2.5", lambda x: x**2.5, 0.0, 0.0, 0.0),
    Row("power of arrays", lambda x: np.sum(x**EXPONENTS), 0.0, 1.0, 2.0),
    Row("power of float arrays", lambda x: np.sum(np.power(x, EXPONENTS + 0.0)), 0.0, 1.0, 2.0),
    Row("float_power", lambda x: np.float_power(x, 2), 0.0, 0.0, 2.0),
    Row("negative base", lambda x: x**3.0, -2.0, 12.0, -12.0),
    Row("0**x", lambda x: 0.0**x, 2.0, 0.0, 0.0),
    Row("0**x at zero", lambda x: 0.0**x, 0.0, 0.0, 0.0),
    Row("0**x of an array", lambda x: np.sum(np.zeros(2) ** x), 1.5, 0.0, 0.0),
]

REMOVABLE = [
    Row("norm squared", lambda x: norm(x) ** 2, 0.0, 0.0, 12.0),
    Row("norm times norm", lambda x: (lambda r: r * r)(norm(x)), 0.0, 0.0, 12.0),
    Row("square of norm", lambda x: np.square(norm(x)), 0.0, 0.0, 12.0),
    Row("norm cubed", lambda x: norm(x) ** 3, 0.0, 0.0, 0.0),
    Row("norm to the fourth", lambda x: norm(x) ** 4, 0.0, 0.0, 0.0),
    Row("hypot squared", lambda x: np.hypot(x, 2 * x) ** 2, 0.0, 0.0, 10.0),
    Row("hypot of a square, squared", lambda x: np.hypot(x**2, x) ** 2, 0.0, 0.0, 2.0),
    Row("hypot of hypot, squared", lambda x: np.square(np.hypot(np.hypot(x, x), x)), 0.0, 0.0, 6.0),
    Row("std squared", lambda x: np.std(np.stack([x, 1.0, 1.0])) ** 2, 1.0, 0.0, 4 / 9),
    Row("var", lambda x: np.var(np.stack([x, 1.0, 1.0])), 1.0, 0.0, 4 / 9),
    Row("sqrt squared", lambda x: np.sqrt(x) ** 2, 0.0, 1.0, 0.0),
    Row("sqrt of fourth power", lambda x: np.sqrt(x**4), 0.0, 0.0, 2.0),
    Row("sqrt of product", lambda x: np.sqrt(x * x * x * x), 0.0, 0.0, 2.0),
    Row("power of power", lambda x: (x**6) ** (1 / 3), 0.0, 0.0, 2.0),
    Row("abs squared", lambda x: np.abs(x) ** 2, 0.0, 0.0, 2.0),
    Row("abs of square", lambda x: np.abs(x * x), 0.0, 0.0, 2.0),
    Row("abs times abs", lambda x: abs(x) * abs(x), 0.0, 0.0, 2.0),
    Row("cbrt cubed", lambda x: np.cbrt(x) ** 3, 0.0, 1.0, 0.0),
    Row("cbrt of cube", lambda x: np.cbrt(x**3), 0.0, 1.0, 0.0),
    Row("cbrt cubed below zero", lambda x: np.cbrt(x) ** 6, -2.0, -4.0, 2.0),
    Row("cbrt squared below zero", lambda x: np.cbrt(x) ** 2, -8.0, -1 / 3, -1 / 72),
    Row("x sqrt(x)", lambda x: x * np.sqrt(x), 0.0, 0.0, np.inf),
    Row("reciprocal twice", lambda x: np.reciprocal(np.reciprocal(x)) ** 2, 3.0, 6.0, 2.0),
    Row("in half the precision", lambda x: np.sqrt(x**4).astype(np.float32) ** 1, 0.0, 0.0, 2.0),
    Row("sinc", np.sinc, 0.0, 0.0, -(np.pi**2) / 3),
    Row("i1", special.i1, 0.0, 0.5, 0.0),
    Row("xlogy", lambda x: special.xlogy(0.0, x), 0.0, 0.0, 0.0),
    Row("digamma", special.psi, 1.0, np.pi**2 / 6, -2 * special.zeta(3)),
    Row("expm1", np.expm1, 0.0, 1.0, 1.0),
]

MASKED = [
    *[Row(f"masked {f.__name__}", masked(f), 0.0, 0.0) for f in (np.sqrt, np.log, np.reciprocal, np.cbrt, np.log2)],
    Row("masked log1p", masked(np.log1p), -1.0, 0.0),
    Row("masked division", masked(lambda x: 1.0 / x), 0.0, 0.0),
    Row("masked division by itself", masked(lambda x: x / x), 0.0, 0.0),
    Row("masked division of arrays", lambda x: np.sum(np.where([True, False], x / np.array([2.0, 0.0]), 0)), 1.0, 0.5),
    Row("masked power", masked(lambda x: x**-1.5), 0.0, 0.0),
    Row("masked power by exponent", lambda x: np.where(x > 5, (-1.0) ** x, 0.0), 1.0, 0.0),
    Row("masked arccos", lambda x: np.where(x < 0.9, np.arccos(x), 0.0), 1.0, 0.0),
    Row("masked arcsin", lambda x: np.where(x < 0.9, np.arcsin(x), 0.0), 1.0, 0.0),
    Row("masked arctanh", lambda x: np.where(x < 0.9, np.arctanh(x), 0.0), 1.0, 0.0),
    Row("masked arccosh", lambda x: np.where(x > 1.1, np.arccosh(x), 0.0), 1.0, 0.0),
    Row("masked overflow of a product", masked(lambda x: np.tan(x * 1e300) * np.exp(1e4 / x)), 1e-3, 0.0),
    Row("masked overflow", lambda x: np.where(x > 5, np.exp(x * 1e3), x), 2.0, 1.0),
    Row("masked chain", masked(lambda x: np.sqrt(np.log(1 / x))), 0.0, 0.0),
    Row("masked norm", masked(norm), 0.0, 0.0),
    Row("masked logit", masked(special.logit), 0.0, 0.0),
    Row("selected sqrt", lambda x: np.select([x > 1, x > 0], [np.log(-x), np.sqrt(x)]), 0.25, 1.0, -2.0),
]

ROWS = [*KINKS, *POWERS, *REMOVABLE, *MASKED]
each = pytest.mark.parametrize("row", ROWS, ids=[row.name.replace(" ", "-") for row in ROWS])
quiet = pytest.mark.filterwarnings("ignore::RuntimeWarning")  # values are NumPy's, and so are its warnings


def forward(f: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda x: ft.jvp(f, (x,), (1.0,))[1]


def transforms(derivative: Callable[[Any], Any]) -> list[Callable[[Any], Any]]:
    """A derivative as it is, compiled, and of every lane."""
    return [derivative, ft.jit(derivative), of_lanes(derivative)]


def of_lanes(derivative: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda x: ft.vmap(derivative)(np.array([x, x]))[1]


@quiet
@each
def test_first_derivative(row: Row):
    for derivative in (forward, ft.grad):
        for f in (row.f, ft.jit(row.f), lambda x: ft.vmap(row.f)(x[None])[0] if isinstance(x, Tracer) else row.f(x)):
            for transformed in transforms(derivative(f)):
                np.testing.assert_allclose(transformed(row.x), row.first, rtol=1e-6, atol=1e-12)


@quiet
@each
@pytest.mark.parametrize("outer", [forward, ft.grad])
@pytest.mark.parametrize("inner", [forward, ft.grad])
def test_second_derivative(row: Row, outer: Any, inner: Any):
    plain, *of_compiled = outer(inner(row.f)), outer(inner(ft.jit(row.f))), outer(ft.jit(inner(row.f)))
    for derivative in (*transforms(plain), *of_compiled, *map(of_lanes, of_compiled)):
        np.testing.assert_allclose(derivative(row.x), row.second, rtol=1e-6, atol=1e-12)


@each
def test_derivatives_do_not_warn(row: Row):
    """What the value warns of is NumPy's to say; a derivative adds nothing."""
    with np.errstate(all="raise"):
        try:
            row.f(np.float64(row.x))
        except FloatingPointError:
            return
        ft.grad(row.f)(row.x)
        forward(forward(row.f))(row.x)


@quiet
@pytest.mark.parametrize("row", [*POWERS, *REMOVABLE[:4]], ids=lambda row: row.name.replace(" ", "-"))
def test_in_single_precision(row: Row):
    x, one = np.float32(row.x), np.float32(1)
    value, tangent = ft.jvp(row.f, (x,), (one,))
    gradient, second = ft.jvp(ft.grad(row.f), (x,), (one,))
    assert tangent.dtype == np.asarray(value).dtype
    assert gradient.dtype == second.dtype == np.float32
    np.testing.assert_allclose([tangent, gradient, second], [row.first, row.first, row.second], rtol=1e-5, atol=1e-6)


# ---- removable singularities in several variables, and what limits them


def test_hessian_of_the_squared_norm_is_twice_the_identity():
    def f(x: Any) -> Any:
        return np.sqrt(np.sum(x * x)) ** 2

    zero = np.zeros(3)
    for hessian in (ft.hessian(f), ft.jit(ft.hessian(f)), ft.hessian(ft.jit(f)), ft.jacrev(ft.jacrev(f))):
        np.testing.assert_array_equal(hessian(zero), 2 * np.eye(3))
    np.testing.assert_array_equal(ft.vmap(ft.hessian(f))(np.zeros((2, 3)))[1], 2 * np.eye(3))
    np.testing.assert_array_equal(ft.hessian(lambda x: np.sum(ft.vmap(f)(x)))(np.zeros((1, 2)))[0, :, 0], 2 * np.eye(2))


compiled_norm = ft.jit(lambda x: np.sqrt(np.sum(x * x)))
compiled_product = ft.jit(lambda a, b: a * b)


@pytest.mark.parametrize(
    "f",
    [
        lambda x: compiled_norm(x) ** 2,
        lambda x: ft.jit(np.square)(compiled_norm(x)),
        lambda x: compiled_product(*[compiled_norm(x)] * 2),
        lambda x: ft.jit(compiled_norm)(x) ** 2,
        lambda x: ft.jit(lambda x: (x, compiled_norm(x)))(x)[1] ** 2,
        lambda x: ft.checkpoint(compiled_norm)(x) ** 2,
        lambda x: ft.vmap(compiled_norm)(x[None])[0] ** 2,
        lambda x: np.linalg.norm(x) ** 2,
        lambda x: np.sum(ft.vmap(lambda r, s: r * s)(abs(x), abs(x))),
        lambda x: np.sum(np.sqrt(np.sum(x * x, keepdims=True))[:, None].T ** 2),
        lambda x: np.sum(np.broadcast_to(compiled_norm(x), (2, 4))[1, ::-2] ** 2) / 2,
        lambda x: np.sum(np.hypot(x, np.zeros((1, 2)) * x).reshape(2)[np.array([1, 0])] ** 2),
    ],
)
def test_a_power_stays_one_through_programs_and_moves(f: Any):
    zero = np.zeros(2)
    for hessian in (ft.hessian(f), ft.jit(ft.hessian(f)), ft.jacrev(ft.grad(f)), ft.jacfwd(ft.jacfwd(f))):
        np.testing.assert_array_equal(hessian(zero), 2 * np.eye(2))
    np.testing.assert_array_equal(ft.vmap(ft.hessian(f))(np.zeros((2, 2)))[1], 2 * np.eye(2))


def test_hessian_of_the_squared_hypot():
    def f(x: Any, y: Any) -> Any:
        return np.hypot(x, 3 * y) ** 2

    hessian = ft.hessian(f, argnums=(0, 1))(0.0, 0.0)
    np.testing.assert_array_equal(hessian, [[2, 0], [0, 18]])


def test_fourth_derivative_of_a_root():
    assert ft.grad(ft.grad(ft.grad(ft.grad(lambda x: np.sqrt(x**8)))))(0.0) == 24


def test_where_the_value_is_nan_it_stays():
    value, slope = ft.value_and_grad(lambda x: np.sqrt(x) ** 2)(4.0)
    assert (value, slope) == (4.0, 1.0)
    with np.errstate(invalid="ignore"):
        assert np.isnan(ft.value_and_grad(lambda x: np.sqrt(x) ** 2)(-1.0)[0])


def test_an_assignment_replaces_what_was_noted():
    def f(x: Any) -> Any:
        r = np.sqrt(x * np.ones(2))
        r[0] = x
        return np.sum(r**2)

    assert ft.grad(f)(3.0) == 7.0
    assert ft.grad(ft.grad(f))(3.0) == pytest.approx(2.0)


def test_an_operand_assigned_into_later_does_not_change_what_was_noted():
    def f(x: Any) -> Any:
        s = x * np.ones(2)
        r = np.sqrt(s)
        s[0] = 7 * x
        return np.sum(r**2) + 0 * np.sum(s)

    assert ft.grad(f)(3.0) == pytest.approx(2.0)


# ---- complex numbers: JAX's convention


Z = 0.6 - 0.8j


def compare(found: Any, wanted: Any) -> None:
    np.testing.assert_allclose(found, wanted, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("f", "wanted"),
    [
        (np.abs, lambda z: np.conj(z) / abs(z)),
        (lambda z: np.abs(z) ** 2, lambda z: 2 * np.conj(z)),
        (lambda z: np.real(z * np.conj(z)), lambda z: 2 * np.conj(z)),
        (np.real, lambda z: 1),
        (np.imag, lambda z: -1j),
        (np.angle, lambda z: -1j / z),
        (lambda z: np.real(np.exp(z)), np.exp),
        (lambda z: np.imag(np.exp(z)), lambda z: -1j * np.exp(z)),
        (lambda z: z.real**3, lambda z: 3 * z.real**2),
    ],
)
def test_gradient_of_a_real_loss(f: Any, wanted: Any):
    for gradient in (ft.grad(f), ft.jit(ft.grad(f)), ft.grad(ft.jit(f))):
        compare(gradient(Z), wanted(Z))
    compare(ft.vmap(ft.grad(f))(np.array([Z, 1j]))[1], wanted(1j))
    for t in (1.0 + 0j, 1j):
        compare(ft.jvp(f, (Z,), (t,))[1], np.real(wanted(Z) * t))


def test_holomorphic_derivatives():
    for f, slope in ((np.sin, np.cos), (np.log, lambda z: 1 / z), (lambda z: z**3, lambda z: 3 * z**2)):
        compare(ft.grad(f, holomorphic=True)(Z), slope(Z))
    compare(ft.grad(ft.grad(np.exp, holomorphic=True), holomorphic=True)(Z), np.exp(Z))


def test_the_modulus_is_flat_at_zero():
    assert ft.grad(np.abs)(0j) == 0
    assert ft.jvp(np.sign, (0j,), (1j,))[1] == 0


def test_the_squared_modulus_is_smooth_at_zero():
    def gradient(z: Any) -> Any:
        return ft.grad(lambda z: np.abs(z) ** 2)(z)

    for t in (1.0 + 0j, 1j):
        for f in (gradient, ft.jit(gradient)):
            compare(ft.jvp(f, (0j,), (t,))[1], 2 * np.conj(t))


def test_the_sign_of_a_complex_number_turns():
    z, t, step = 0.6 - 0.8j, 0.3 + 0.5j, 1e-6
    quotient = (np.sign(z + step * t) - np.sign(z - step * t)) / (2 * step)
    np.testing.assert_allclose(ft.jvp(np.sign, (z,), (t,))[1], quotient, rtol=1e-8)


# ---- dtypes


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "c8", "c16"])
def test_derivatives_have_the_dtype_of_their_primal(dtype: str):
    x = np.array([0.5, 0.25], dtype)
    for f in (np.sin, np.sqrt, np.abs, lambda x: x**2, lambda x: 2.5 * x, lambda x: np.where(x == 0, 1.0, x)):
        y, dy = ft.jvp(f, (x,), (x,))
        _, pull_back = ft.vjp(f, x)
        assert dy.dtype == y.dtype == f(x).dtype == ft.jit(f)(x).dtype
        assert pull_back(y)[0].dtype == x.dtype


def test_mixed_precision():
    single, double = np.float32(2), np.array([1.0, 3.0])
    by_single, by_double = ft.grad(lambda s, d: np.sum(s * d), argnums=(0, 1))(single, double)
    assert by_single.dtype == np.float32
    assert by_single == 4
    assert by_double.dtype == np.float64


@pytest.mark.parametrize("x", [True, 3, 2.5, 1 + 2j])
def test_python_scalars_stay_weak(x: Any):
    y = np.float32(2)
    for f in (
        lambda a, b: a * b,
        lambda a, b: (a + a) * b,
        lambda a, b: (a == 1) * 2 * b,
        lambda a, b: np.add(a, a) * b,
    ):
        eager, staged = f(x, y), ft.jit(f)(x, y)
        assert eager.dtype == staged.dtype
        assert eager == staged


# ---- errors of what nobody uses


def test_dropping_a_read_drops_its_error():
    table, far = np.arange(3.0), np.int64(10)
    for unused in (lambda t, i: (t[i], t)[1], lambda t, i: ft.jit(lambda t, i: (t[i], t))(t, i)[1]):
        np.testing.assert_array_equal(ft.jit(unused)(table, far), table)
    for used in (lambda t, i: t[i], lambda t, i: t * 0 * t[i], lambda t, i: ft.numpy.at(t)[i].set(0.0)[0]):
        with pytest.raises(OutOfBoundsError, match=r"10.*\n.*test_semantics"):
            ft.jit(used)(table, far)
    with pytest.raises(IndexError):
        ft.vmap(lambda i: (ft.numpy.take(table, i), i)[1])(np.array([0, 10]))  # nothing is dropped outside of jit
