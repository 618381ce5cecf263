"""Values of zeta and polygamma that are known in closed form or from elsewhere."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.special

import functrans as ft
from functrans.errors import UnsupportedDtypeError
from functrans.primitives.special import digamma, polygamma
from functrans.primitives.zeta import zeta

EULER = 0.5772156649015329
GLAISHER = 1.2824271291006226


def test_derivative_of_riemanns_function_at_two():
    wanted = np.pi**2 / 6 * (EULER + np.log(2 * np.pi) - 12 * np.log(GLAISHER))
    np.testing.assert_allclose(ft.grad(zeta)(2.0, 1.0), wanted, rtol=1e-14)


def test_derivatives_by_the_exponent_are_sums_of_logarithms():
    k = np.arange(1, 60.0)
    for order in (1, 2, 3):
        f = zeta
        for _ in range(order):
            f = ft.grad(f)
        np.testing.assert_allclose(f(12.0, 1.0), np.sum((-np.log(k)) ** order * k**-12), rtol=1e-12)


def test_far_from_one():
    np.testing.assert_allclose(ft.grad(zeta)(40.0, 1.0), -np.log(2) * 2.0**-40, rtol=1e-6)
    np.testing.assert_allclose(ft.grad(zeta, argnums=1)(2.0, 1e6), -2 * scipy.special.zeta(3.0, 1e6), rtol=1e-14)


def test_polygamma_of_complex_numbers_is_that_of_real_ones_on_the_axis():
    x = np.array([0.2, 1.7, 12.0, -2.4, -30.3])
    for order in (1, 2, 3, 6):
        np.testing.assert_allclose(polygamma(x + 0j, order=order), scipy.special.polygamma(order, x), rtol=1e-12)


def test_reflection_of_trigamma():
    z = np.array([0.3 + 0.2j, -4.6 + 2j, 0.1 - 50j, -7.5 - 300j])
    wanted = (np.pi / np.sin(np.pi * z[:3])) ** 2
    np.testing.assert_allclose(polygamma(z, order=1)[:3] + polygamma(1 - z, order=1)[:3], wanted, rtol=1e-9, atol=1e-13)
    assert np.all(np.isfinite(polygamma(z, order=2)))


def test_digamma_is_holomorphic():
    z = 1.3 - 0.4j
    np.testing.assert_allclose(ft.grad(digamma, holomorphic=True)(z), polygamma(z, order=1), rtol=1e-14)


def test_zeta_of_complex_numbers_is_unknown():
    with pytest.raises(UnsupportedDtypeError, match="zeta"):
        ft.jit(zeta)(2.0 + 1j, 1.0)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_compiled_programs_agree_on_what_is_no_number(dtype):
    x = np.array([np.nan, 0.5, 1, 1.5, 2], dtype)[:, None]
    q = np.array([np.nan, 0, -2, -1.5, 1, 3.5, np.inf, -np.inf], dtype)
    with np.errstate(all="ignore"):
        found, wanted = ft.jit(lambda x, q: zeta(x, q))(x, q), zeta(x, q)
    for of in (np.isnan, np.isinf, np.sign):
        np.testing.assert_array_equal(of(found), of(wanted))
