"""Special functions that CUDA has not, and those of bits of floats, on the emulated GPU and compiled for the CPU."""

from __future__ import annotations

import numpy as np
import pytest

import functrans as ft
from functrans.primitives.special import bessel_i, bessel_j, polygamma, scaled_bessel_i, sinc
from functrans.primitives.zeta import zeta
from tests.helpers.bits import assert_same_bits
from tests.helpers.cuda.running import emulated, lowered
from tests.helpers.tiers import interpreted, staged

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")

X = np.concatenate([
    np.random.default_rng(0).normal(size=40) * 5,
    [0.0, 1e-3, 5.5, -0.2, 29.99, 30.01, 100.0, -700.0, 712.0, 1e-12, -1e-9, 1e5, np.nan],
])  # fmt: skip
Q = np.array([0.3, 1, 2.5, -1.5, 0, -2, 12, 1e9])
FUNCTIONS = {
    **{f"Bessel {n}": lambda x, n=n: bessel_i(x, order=n) for n in (0, 2, 3, 20)},
    **{f"Bessel J {n}": lambda x, n=n: bessel_j(x, order=n) for n in (0, 1, 3, 20)},
    **{f"scaled Bessel {n}": lambda x, n=n: scaled_bessel_i(x, order=n) for n in (0, 2, 3, 20)},
    **{f"polygamma {n}": lambda x, n=n: polygamma(x, order=n) for n in (1, 2, 5, 20)},
    **{f"sinc {n}": lambda x, n=n: sinc(x, order=n) for n in (1, 2, 4, 8)},
    "zeta": lambda x: zeta(np.abs(x)[:, None] + 0.5, Q.astype(x.dtype)),
    "zeta of whole numbers": lambda x: zeta(np.arange(2, 20, dtype=x.dtype), x[:, None]),
}


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("name", list(FUNCTIONS))
def test_special_functions(name, dtype):
    function, x = FUNCTIONS[name], X.astype(dtype)
    jaxpr = staged(function, (x,))
    assert not lowered(jaxpr, (x,)).calls_python
    (wanted,) = interpreted(jaxpr, (x,))
    eps = np.finfo(dtype).eps
    least = 100 * eps * np.nanmax(np.abs(wanted)) if name[:4] == "sinc" or "J" in name else np.finfo(dtype).tiny
    for found in (*emulated(jaxpr, (x,)), ft.jit(function)(x)):
        assert found.dtype == wanted.dtype
        np.testing.assert_allclose(found, wanted, 1000 * eps, least)


def test_parts_of_floats():
    values = np.concatenate([X, [np.inf, -np.inf, -0.0, 5e-324, 1e-310, 1.7e308]])
    for x in (values, values.astype("f4"), values.astype("f2"), np.arange(-3, 9)):
        powers = np.arange(len(x)) * 7 - 99

        def function(x, n=powers):
            return (*np.frexp(x), np.ldexp(x, n))

        jaxpr = staged(function, (x,))
        assert not lowered(jaxpr, (x,)).calls_python
        assert_same_bits(emulated(jaxpr, (x,)), interpreted(jaxpr, (x,)))
        assert_same_bits(ft.jit(function)(x), function(x))
    np.testing.assert_allclose(ft.grad(lambda x: np.frexp(x)[0])(5.0), 0.125)
