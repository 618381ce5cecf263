"""lax.conv_general_dilated against SciPy's correlation, and its layouts against each other."""

import numpy as np
import pytest
from scipy.signal import correlate

import functrans as ft
from functrans import lax

RNG = np.random.default_rng(7)


@pytest.mark.parametrize("padding", ["SAME", "VALID"])
@pytest.mark.parametrize("shape", [(3, 3), (2, 4), (1, 5)])
def test_one_channel_is_scipys_correlation(padding, shape):
    x, w = RNG.normal(size=(6, 7)), RNG.normal(size=shape)
    found = lax.conv_general_dilated(x[None, None], w[None, None], (1, 1), padding)[0, 0]
    if padding == "VALID":
        expected = correlate(x, w, mode="valid")
    else:
        low = [(n - 1) // 2 for n in shape]
        padded = np.pad(x, [(a, n - 1 - a) for a, n in zip(low, shape)])
        expected = correlate(padded, w, mode="valid")
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_layouts_are_transposes_of_each_other():
    x, w = RNG.normal(size=(2, 5, 6, 4)), RNG.normal(size=(3, 2, 2, 6))
    spelled = ("NHWC", "HWIO", "NHWC")
    options = {"feature_group_count": 2, "rhs_dilation": (1, 2), "lhs_dilation": (2, 1)}
    found = lax.conv_general_dilated(x, w, (1, 2), ((1, 0), (2, 1)), dimension_numbers=spelled, **options)
    plain = lax.conv_general_dilated(
        np.moveaxis(x, -1, 1), np.transpose(w, (3, 2, 0, 1)), (1, 2), ((1, 0), (2, 1)), **options
    )
    np.testing.assert_allclose(found, np.moveaxis(plain, 1, -1), atol=1e-12)


def test_derivatives_and_lanes():
    x, w = RNG.normal(size=(2, 2, 7)), RNG.normal(size=(4, 1, 3))

    def f(x, w):
        return np.sum(np.tanh(lax.conv_general_dilated(x, w, (2,), "SAME", feature_group_count=2)))

    ft.testing.check_grads(f, (x, w), order=2)
    lanes = ft.vmap(f, in_axes=(None, 0))(x, np.stack([w, 2 * w]))
    np.testing.assert_allclose(lanes, [f(x, w), f(x, 2 * w)])
    np.testing.assert_allclose(ft.jit(ft.grad(f, 1))(x, w), ft.grad(f, 1)(x, w))


def test_an_unknown_padding_is_named():
    with pytest.raises(ValueError, match="'FULL'"):
        lax.conv(np.ones((1, 1, 3)), np.ones((1, 1, 2)), (1,), "FULL")
