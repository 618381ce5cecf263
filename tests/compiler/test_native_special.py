"""Zeta functions, derivatives of digamma and Bessel functions in native programs, against SciPy or more digits."""

import mpmath
import numpy as np
import pytest
import scipy.special
from hypothesis import given, settings
from hypothesis import strategies as st

import functrans as ft
from functrans.primitives.special import polygamma
from functrans.primitives.zeta import zeta
from tests.helpers.native import ulps

EDGES = [0.0, -1.0, -0.5, 1e-300, 1.0, 10.0, 1e8, 1e9, 1e300, np.inf, -np.inf, np.nan]
arguments = st.lists(st.sampled_from(EDGES) | st.floats(-25, 40) | st.floats(1e-8, 1e9), min_size=1, max_size=20)


def natively(function, *args):
    assert "Python" not in str(ft.jit(function).lower(*args).kernels)
    return ft.jit(function)(*args)


def agree(got, want):
    """But for cancellation between the first terms, where q is below zero."""
    np.testing.assert_allclose(got, want, rtol=1e-13 if want.dtype == np.float64 else 1e-5, atol=1e-300)


@settings(deadline=None, max_examples=60)
@given(st.sampled_from([1, 2, 3, 8, 20]), arguments, st.sampled_from([np.float64, np.float32]))
def test_derivatives_of_digamma(order, x, dtype):
    with np.errstate(all="ignore"):
        x = np.array(x, dtype)
        whole = (x < 0) & (np.abs(x - np.rint(x)) < 1e-3)  # next to a pole
        x = np.where(whole, np.rint(x), x).astype(dtype)
        agree(natively(lambda x: polygamma(x, order=order), x), scipy.special.polygamma(order, x).astype(dtype))


@settings(deadline=None, max_examples=60)
@given(st.sampled_from([1.0, 0.5, 1.25, 2.0, 3.7, 10.0, -1.0, np.nan]), st.lists(st.floats(1e-3, 1e12), min_size=1))
def test_zeta(s, q):
    agree(natively(zeta, np.array(s), np.array(q)), scipy.special.zeta(s, np.array(q)))


@pytest.mark.parametrize("s", [1.0001, 1.25, 2.0, 3.0, 3.7, 5.0, 6.0, 7.0, 8.0, 9.0, 20.0, 50.0])
def test_zeta_to_some_units_in_the_last_place(s):
    """However many terms are added up before the formula."""
    q = np.append(10.0 ** np.linspace(-6, 3, 7), np.linspace(0.1, 70, 30))
    with mpmath.workdps(int(20 + 3 * s)):  # its error is small against one
        want = np.array([float(mpmath.zeta(s, v)) for v in q.tolist()])
    assert ulps(natively(zeta, np.array(s), q), want).max() <= 6 + s / 20  # q + k is rounded


@pytest.mark.parametrize("jump", [-0.0, 0.0, -1.0, -2.5])
def test_zeta_at_poles_and_below_zero(jump):
    s = np.array([2.0, 3.0, 2.5])
    np.testing.assert_allclose(natively(zeta, s, np.array(jump)), scipy.special.zeta(s, jump), rtol=1e-13)


@pytest.mark.parametrize("order", range(6))
@pytest.mark.parametrize("scaled", [False, True])
def test_modified_bessel_functions(order, scaled):
    """Against values with 30 digits, next to where the series ends too; SciPy's function of high orders has its own."""
    sizes = [1e-200, 1e-9, 0.1, 3.0, 11.0, 11.9999, 12.0, 12.0001, 16.0, 40.0, 250.0, 713.0, *np.arange(0.7, 60.0, 1.3)]
    x = np.concatenate([sizes, np.negative(sizes)])
    function = ft.scipy.special.ive if scaled else ft.scipy.special.iv
    with mpmath.workdps(30):
        factors = [mpmath.exp(-abs(mpmath.mpf(v))) if scaled else 1 for v in x.tolist()]
        want = np.array([float(mpmath.besseli(order, v) * factor) for v, factor in zip(x.tolist(), factors)])
    got = natively(lambda x: function(order, x), x)
    assert ulps(got, want).max() <= (6 if order <= 4 else 4000)
    single = natively(lambda x: function(order, x), x.astype(np.float32))
    usual = np.abs(want) < 1e38
    np.testing.assert_allclose(single[usual], function(order, x.astype(np.float32))[usual], 1e-6)


def test_derivatives_of_bessel_functions_stay_native():
    x = np.array([-20.0, -3.0, -1e-5, 0.0, 0.5, 11.0, 14.0])
    for name, order in (("i0", 0), ("i1", 1)):
        third = ft.grad(ft.grad(ft.grad(getattr(ft.scipy.special, name))))
        np.testing.assert_allclose(natively(ft.vmap(third), x), scipy.special.ivp(order, x, 3), 1e-12, 1e-15)


def test_second_derivatives_of_log_gamma_stay_native():
    f = lambda a: np.sum(ft.scipy.special.gammaln(a) * a)  # noqa: E731
    a = np.linspace(0.3, 4.0, 7)
    hessian = natively(ft.hessian(f), a)
    np.testing.assert_allclose(np.diag(hessian), 2 * scipy.special.psi(a) + a * scipy.special.polygamma(1, a))
