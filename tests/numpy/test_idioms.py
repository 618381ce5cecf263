"""Idioms of NumPy programs, as they stand: `out=`, parts of complex arrays, windows, sums of parts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special

import functrans as ft
from functrans.errors import (
    ConcretizationError,
    DtypeMismatchError,
    TracerConversionError,
    UnsupportedArgumentError,
    UnsupportedDtypeError,
)

windows = np.lib.stride_tricks.sliding_window_view
X = np.array([0.4, -1.2, 0.7, 2.1, -0.3, 1.6])
M = np.sin(np.arange(20.0)).reshape(5, 4)
Z = X + 1j * X[::-1]


def limited(x: Any) -> Any:
    y = x.copy()
    np.clip(y, -0.5, 1.0, out=y)
    y.clip(-0.4, 0.65, out=y)
    return y * x


def rounded(x: Any) -> Any:
    y = np.zeros_like(x)
    np.round(x, 1, out=y)
    y[:2] = np.fix(x[:2], out=y[2:4].copy())
    return y


def signs_of_infinity(x: Any) -> Any:
    y = np.zeros(x.shape, bool, like=x)
    np.isneginf(-np.inf * x, out=y)
    return y | np.isposinf(x, out=y.copy())


def parts_written(z: Any) -> Any:
    z = z.copy()
    z.real[0] = 5.0
    z.imag *= 2
    z.real = z.imag[::-1].copy()
    z.imag[1:3] = X[:2]
    return z


def real_of_real(x: Any) -> Any:
    y = x.copy()
    y.real = 2 * x
    return y


def diagonal_written(x: Any) -> Any:
    y = x.T.copy()
    y.flat[:: len(x) + 1] += 10.0
    y.flat[1] = x[0, 0] * 7
    y.flat[[0, 2]] *= 2
    return y


def filled_by_turns(x: Any) -> Any:
    y = x.copy()
    y.flat = [1.0, 2.0, 3.0]
    return x * y


def read_one_by_one(x: Any) -> Any:
    return sum(i * v**2 for i, v in enumerate(x.flat)) + np.sum(x.flat) + x.T.flat[1] * len(x.flat)


def bits_written(x: Any) -> Any:
    y = x.copy()
    y.view(np.int64)[0] &= -(1 << 40)
    y.view(np.uint8)[-1] ^= 128
    return y * x.view("u4")[::2] + (x.view("i8") >> 52)


def bits_there_and_back(x: Any) -> Any:
    return x.astype("f4").view("u8").view("f4")


CASES = [
    (bits_written, np.abs(X)), (bits_there_and_back, X), (lambda x: x.view(), X),
    (diagonal_written, M), (filled_by_turns, M), (read_one_by_one, M), (limited, X), (rounded, X), (signs_of_infinity, X), (parts_written, Z), (real_of_real, X),
    (lambda x: windows(x, 3), X), (lambda x: windows(x, (2, 3)), M), (lambda x: windows(x, 2, axis=0), M),
    (lambda x: windows(x, (2, 2), axis=(0, 0)), M), (lambda x: windows(x, (), axis=()), M),
    (lambda x: special.log1p(x * x) + special.expm1(x) + special.cosm1(x) + special.exp2(x), X),
    (lambda x: special.exp10(x) + special.cbrt(x), X),
]  # fmt: skip


def assert_alike(found: Any, expected: Any) -> None:
    assert found.shape == expected.shape
    assert found.dtype == expected.dtype
    np.testing.assert_allclose(found, expected, rtol=1e-13, atol=1e-15)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("case", CASES)
def test_idioms_mean_what_they_mean_in_numpy(case: Any):
    function, x = case
    expected = function(x)
    assert_alike(ft.jit(function)(x), expected)
    assert_alike(ft.vmap(function)(np.stack([x, 2 * x]))[0], expected)
    if expected.dtype.kind in "fc" and function not in (rounded, bits_written, bits_there_and_back):
        ft.testing.check_grads(function, (x,), order=2, rtol=1e-4, atol=1e-4)


@settings(max_examples=30)
@given(
    st.sampled_from([np.add, np.multiply, np.maximum, np.minimum]),
    st.lists(st.integers(0, 4), max_size=6),
    st.sampled_from([0, 1]),
    st.sampled_from(["f8", "?", "i2"]),
)
def test_reductions_of_parts(ufunc: Any, indices: Any, axis: int, dtype: str):
    x = np.round(3 * M[:, :4] if axis == 0 else 3 * M[:4].T).astype(dtype)
    x = x if axis == 0 else np.concatenate([x, x], axis=1)

    def function(x: Any) -> Any:
        return ufunc.reduceat(x, np.array(indices, int), axis=axis)

    assert_alike(ft.jit(function)(x), function(x))
    if dtype == "f8":
        _, tangent = ft.jvp(function, (x,), (x,))
        _, pull_back = ft.vjp(function, x)
        np.testing.assert_allclose(np.sum(pull_back(np.ones_like(tangent))[0] * x), np.sum(tangent), atol=1e-9)


@pytest.mark.parametrize("call", [lambda x: x.view(complex), lambda x: x[0].view("u4"), lambda x: x.view("?")])
def test_bits_that_are_no_numbers(call: Any):
    with pytest.raises(UnsupportedDtypeError, match="Convert numbers"):
        ft.jit(call)(X)


def test_a_view_of_another_shape_is_pytorchs():
    with pytest.raises(UnsupportedArgumentError, match=r"Write x\.reshape\(2, 3\)"):
        ft.jit(lambda x: x.view(2, 3))(X)


def test_what_cannot_be_says_so():
    with pytest.raises(UnsupportedArgumentError, match=r"x\.reshape\(shape\)"):
        ft.jit(lambda x: setattr(x.copy(), "shape", (2, 3)))(X)
    with pytest.raises(TypeError, match="imaginary part"):
        ft.jit(lambda x: setattr(x.copy(), "imag", 1.0))(X)
    with pytest.raises(ValueError, match="window shape"):
        ft.jit(lambda x: windows(x, 7))(X)
    with pytest.raises(ValueError, match="matching length"):
        ft.jit(lambda x: windows(x, (2, 2), axis=0))(X)
    with pytest.raises(IndexError, match="out-of-bounds"):
        ft.jit(lambda x: np.add.reduceat(x, [6]))(X)
    with pytest.raises(ConcretizationError, match="indices"):
        ft.jit(lambda x: np.add.reduceat(x, x.astype(int)))(X)
    with pytest.raises(DtypeMismatchError):
        ft.jit(lambda x: np.clip(x, 0, 1, out=np.zeros(6, int, like=x)))(X)
    with pytest.raises(TracerConversionError, match="out"):
        ft.jit(lambda x: np.round(x, out=np.zeros(6)))(X)
