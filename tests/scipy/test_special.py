"""functrans.scipy.special: values against SciPy's, and every function under jit, vmap, grad and twice grad."""

from __future__ import annotations

from typing import Any

import mpmath
import numpy as np
import pytest
import scipy.linalg
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special as theirs

import functrans as ft
from functrans.errors import (
    ConcretizationError,
    UnknownFunctionError,
    UnsupportedArgumentError,
    UnsupportedDtypeError,
)
from functrans.scipy import special as ours
from tests.helpers.agreement import check_agreement

POSITIVE = np.array([0.3, 1.2, 4.5])
OTHER = np.array([2.2, 0.7, 1.4])
REAL = np.array([-1.3, 0.4, 2.1])
INSIDE = np.array([0.15, 0.4, 0.83])
ORDERS = np.array([3, 1, 2])


def each(names: str, *args: Any) -> dict[str, tuple[Any, ...]]:
    """The same arguments for several functions."""
    return dict.fromkeys(names.split(), args)


CASES: dict[str, tuple[Any, ...]] = {
    **each("dawsn erf erfc erfcx expit log_expit log_ndtr ndtr j0 j1 i0 i1 i0e i1e exprel sici fresnel", REAL),
    **each("softmax log_softmax logsumexp", REAL),
    **each("digamma gamma gammaln loggamma entr exp1 expi spence k0 k1 k0e k1e y0 y1", POSITIVE),
    **each("ellipe ellipk erfcinv erfinv logit ndtri", INSIDE),
    **each("beta betaln binom boxcox boxcox1p gammainc gammaincc kl_div rel_entr poch xlogy xlog1py", POSITIVE, OTHER),
    **each("pseudo_huber huber", POSITIVE, OTHER),
    **each("gammaincinv gammainccinv inv_boxcox inv_boxcox1p owens_t", POSITIVE, INSIDE),
    **each("stdtr", POSITIVE, REAL),
    **each("stdtrit", POSITIVE, INSIDE),
    **each("betainc betaincc betaincinv", POSITIVE, OTHER, INSIDE),
    "zeta": (POSITIVE + 1,),
    "expn": (ORDERS, POSITIVE),
    "hyp1f1": (ORDERS, 4, REAL),
    "hyp2f1": (1, ORDERS, 4, INSIDE),
    "wofz": (REAL + 1j,),
}


@pytest.mark.parametrize("name", CASES)
def test_scipy_is_met(name: str):
    args = CASES[name]
    wanted = getattr(theirs, name)(*args)
    np.testing.assert_allclose(getattr(ours, name)(*args), wanted, rtol=1e-11)
    single = [x.astype(np.float32) if getattr(x, "dtype", None) == np.float64 else x for x in args]
    got, expected = (np.asarray(getattr(m, name)(*single)) for m in (ours, theirs))
    if name not in ("expn", "hyp1f1", "hyp2f1"):
        assert got.dtype == expected.dtype
    check_agreement(getattr(ours, name), *args)


@pytest.mark.parametrize("order", [0, 1, 3])
def test_polygamma(order: int):
    wanted = theirs.polygamma(order, POSITIVE)
    np.testing.assert_allclose(ours.polygamma(order, POSITIVE), wanted, rtol=1e-12)
    np.testing.assert_allclose(ours.polygamma(np.full(3, order), POSITIVE), wanted, rtol=1e-12)
    check_agreement(lambda x: ours.polygamma(order, x), POSITIVE)
    check_agreement(lambda x: ours.polygamma(np.array([order, 1, 2]), x), POSITIVE)


@pytest.mark.parametrize("d", [1, 2, 5])
def test_multigammaln(d: int):
    a = POSITIVE + d / 2
    np.testing.assert_allclose(ours.multigammaln(a, d), theirs.multigammaln(a, d), rtol=1e-13)
    check_agreement(lambda a: ours.multigammaln(a, d), a)


def test_counting():
    n, k = np.array([5, 5, 5, 0, 3, 2]), np.array([2, 0, 6, 0, -1, 1])
    np.testing.assert_allclose(ours.comb(n, k), theirs.comb(n, k))
    np.testing.assert_allclose(ours.comb(n, k, repetition=True), theirs.comb(n, k, repetition=True))
    np.testing.assert_allclose(ours.factorial(n), theirs.factorial(n))
    np.testing.assert_allclose(ours.bernoulli(6), theirs.bernoulli(6))
    for refused in (lambda: ours.comb(5, 2, exact=True), lambda: ours.factorial(5, exact=True)):
        with pytest.raises(UnsupportedArgumentError, match="asked for exact integers"):
            refused()


def test_bessel_functions_of_whole_orders():
    np.testing.assert_allclose(ours.bessel_jn(REAL, v=3), [theirs.jv(k, REAL) for k in range(4)], rtol=1e-13)
    for name in ("jv", "iv", "ive"):
        np.testing.assert_allclose(getattr(ours, name)(2, REAL), getattr(theirs, name)(2, REAL), rtol=1e-13)


def test_a_scaled_bessel_function_has_a_derivative_far_out():
    """By that of order 1 itself: SciPy's function of any order is NaN there. It is what two numbers differ by."""
    x = np.array([-1e300, -1e20, -40.0, -1e-9, 0.0, 2.0, 1e6, 1e300])
    wanted = theirs.i1e(x) - np.sign(x) * theirs.i0e(x)
    for slope in (ft.vmap(ft.grad(ours.i0e)), ft.jit(ft.vmap(ft.grad(ours.i0e)))):
        np.testing.assert_array_less(np.abs(slope(x) - wanted), 1e-15 * theirs.i0e(x))


@pytest.mark.parametrize("axis", [None, 0, (0, 1)])
@pytest.mark.parametrize("weighted", [False, True])
def test_logsumexp(axis: Any, weighted: bool):
    x = np.array([[0.3, 700.0, -np.inf], [2.0, 800.0, -np.inf]])
    b = np.array([[1.0, -2.0, 1.0], [0.5, 1.0, 2.0]]) if weighted else None
    for keepdims in (False, True):
        got = ours.logsumexp(x, axis, b, keepdims, True)
        wanted = theirs.logsumexp(x, axis, b, keepdims, True)
        for mine, other in zip(got, wanted):
            np.testing.assert_allclose(mine, other, rtol=1e-13)
    finite = np.array([[0.3, 1.0, 0.2], [0.4, 2.5, 1.1]])
    check_agreement(lambda x: ours.logsumexp(x, axis, b, return_sign=True), finite)


def test_removable_singularities():
    """Values and two derivatives, where the formulas are zero by zero."""
    for f, x, wanted in [
        (ours.exprel, 0.0, (1, 1 / 2, 1 / 3)),
        (lambda k: ours.boxcox(3.0, k), 0.0, [np.log(3.0) ** (j + 1) / (j + 1) for j in range(3)]),
        (lambda k: ours.boxcox1p(2.0, k), 0.0, [np.log(3.0) ** (j + 1) / (j + 1) for j in range(3)]),
        (ours.spence, 1.0, (0, -1, 1 / 2)),
        (ours.ellipk, 0.0, [np.pi / 2 * v for v in (1, 1 / 4, 9 / 32)]),
        (ours.ellipe, 0.0, [np.pi / 2 * v for v in (1, -1 / 4, -3 / 32)]),
        (lambda x: ours.sici(x)[0], 0.0, (0, 1, 0)),
        (lambda k: ours.inv_boxcox(0.5, k), 0.0, [np.exp(0.5) * v for v in (1, -0.125, 0.125**2 + 2 * 0.5**3 / 3)]),
    ]:
        for g, value in zip((f, ft.grad(f), ft.grad(ft.grad(f))), wanted):
            np.testing.assert_allclose(g(x), value, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(ft.grad(ours.boxcox, 1)(0.0, 2.0), 0.25)
    np.testing.assert_allclose(ft.grad(lambda x: ours.expn(0, x))(0.7), -np.exp(-0.7) * (1 + 1 / 0.7) / 0.7)


@settings(max_examples=30, deadline=None)
@given(st.floats(-3, 4), st.floats(-3, 4), st.floats(1e-4, 1 - 1e-4))
def test_betainc_by_its_parameters(log_a: float, log_b: float, level: float):
    """Against difference quotients with forty digits, from parameters of 0.001 to 10000."""
    a, b = 10**log_a, 10**log_b
    x = theirs.betaincinv(a, b, level)
    if not 1e-200 < x < 1 - 1e-12:
        return
    with mpmath.workdps(40):
        h = mpmath.mpf(10) ** -12
        for i in range(2):
            ends = [[mpmath.mpf(p) * (1 + s * h * (j == i)) for j, p in enumerate((a, b))] for s in (1, -1)]
            try:
                high, low = (mpmath.betainc(*end, 0, x, regularized=True) for end in ends)
            except (mpmath.libmp.NoConvergence, ValueError):
                return
            wanted = float((high - low) / (2 * h * (a, b)[i]))
            np.testing.assert_allclose(ft.grad(ours.betainc, i)(a, b, x), wanted, rtol=1e-7, atol=1e-14)


@settings(max_examples=30, deadline=None)
@given(st.floats(0.05, 50), st.floats(0.05, 50), st.floats(0.01, 0.99))
def test_inverses_undo_and_their_derivatives_too(a: float, b: float, y: float):
    for f in (lambda a, b, y: ours.betainc(a, b, ours.betaincinv(a, b, y)),
              lambda a, b, y: ours.gammainc(a, ours.gammaincinv(a, y)),
              lambda a, b, y: ours.gammaincc(a, ours.gammainccinv(a, y))):  # fmt: skip
        np.testing.assert_allclose(f(a, b, y), y, rtol=1e-7)
        np.testing.assert_allclose(ft.grad(f, (0, 1, 2))(a, b, y), (0, 0, 1), atol=1e-6)


def test_ends():
    assert [float(ft.grad(ours.betainc, i)(2.0, 3.0, x)) for i in (0, 1) for x in (0.0, 1.0)] == [0] * 4
    assert ours.entr(0.0) == 0
    assert ours.entr(-1.0) == -np.inf
    assert ours.rel_entr(1.0, 0.0) == np.inf
    assert np.isnan(ours.gammaln(np.nan))


@pytest.mark.parametrize("transform", [lambda f: f, ft.jit, ft.vmap], ids=["eager", "jit", "vmap"])
def test_spherical_harmonics(transform: Any):
    """And their derivatives, at the poles too; orders of both signs."""
    n, m = (np.array(x) for x in zip(*[(degree, order) for degree in range(7) for order in range(-degree, degree + 1)]))
    rng = np.random.default_rng(0)
    theta, phi = rng.uniform(0, np.pi, n.size), rng.uniform(0, 2 * np.pi, n.size)
    theta[::5], theta[1::5], theta[2::5] = 0.0, np.pi, rng.uniform(-2 * np.pi, 4 * np.pi, len(theta[2::5]))
    values, derivatives = theirs.sph_harm_y(n, m, theta, phi, diff_n=1)
    function = transform(lambda n, m, theta, phi: ours.sph_harm_y(n, m, theta, phi, n_max=6))
    np.testing.assert_allclose(function(n, m, theta, phi), values, 1e-12, 1e-14)
    for k, tangents in enumerate([(np.ones(n.size), np.zeros(n.size)), (np.zeros(n.size), np.ones(n.size))]):
        _, found = ft.jvp(lambda *angles: function(n, m, *angles), (theta, phi), tangents)
        np.testing.assert_allclose(found, derivatives[:, k], 1e-10, 1e-12)


def test_spherical_harmonics_of_high_degrees_and_of_none():
    orders = np.arange(-60, 61)
    np.testing.assert_allclose(ours.sph_harm_y(60, orders, 1.1, 0.3), theirs.sph_harm_y(60, orders, 1.1, 0.3), 1e-9, 1e-13)
    assert ours.sph_harm_y(1, 2, 0.3, 0.3) == 0
    assert np.isnan(ours.sph_harm_y(3, 1, 0.3, 0.3, n_max=2))
    with pytest.raises(ConcretizationError, match="Pass n_max"):
        ft.jit(ours.sph_harm_y)(1, 0, 0.1, 0.2)
    with pytest.raises(UnsupportedDtypeError, match="Degrees and orders are integers"):
        ours.sph_harm_y(1.0, 0, 0.1, 0.2)
    with pytest.raises(UnsupportedArgumentError, match="jacfwd"):
        ours.sph_harm_y(1, 0, 0.1, 0.2, diff_n=1)


def test_scipy_itself_takes_traced_values():
    for f in (theirs.sici, theirs.fresnel, theirs.hyp2f1, theirs.boxcox, theirs.gammaincinv):
        args = CASES[f.__name__]
        for got, wanted in zip(np.atleast_2d(ft.jit(f)(*args)), np.atleast_2d(f(*args))):
            np.testing.assert_allclose(got, wanted, rtol=1e-12)


def test_what_has_no_derivative_says_so():
    with pytest.raises(UnknownFunctionError, match="derivative of hyp2f1 by b was asked for"):
        ft.grad(ours.hyp2f1, 1)(1.0, 2.0, 3.0, 0.5)


@pytest.mark.parametrize("transform", [ft.jit, ft.grad], ids=["jit", "grad"])
def test_scipy_functions_that_are_no_ufuncs_name_ours(transform: Any):
    for function, name in (
        (theirs.logsumexp, "special.logsumexp"),
        (lambda x: theirs.polygamma(1, x), "special.polygamma"),
        (theirs.softmax, "special.softmax"),
        (scipy.linalg.expm, "linalg.expm"),
        (lambda x: scipy.linalg.cho_factor(x)[0], "linalg.cho_factor"),
        (lambda x: scipy.linalg.toeplitz(x[0]), "linalg.toeplitz"),
    ):
        with pytest.raises(TypeError, match=rf"Call functrans\.scipy\.{name}, which takes traced values"):
            transform(function)(np.eye(2))
