"""numpy.fft on traced arrays: values and types against NumPy, derivatives against difference quotients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import functrans as ft
import functrans.numpy as fnp
from tests.helpers.oracles import assert_all_close, assert_close, assert_same_type, difference_quotient, pairing

RANDOM = np.random.default_rng(3)
ONE = ("fft", "ifft", "rfft", "irfft", "hfft", "ihfft")
TWO = ("fft2", "ifft2", "rfft2", "irfft2")
MANY = ("fftn", "ifftn", "rfftn", "irfftn")
REAL = ("rfft", "ihfft", "rfft2", "rfftn")
NORMS = (None, "backward", "ortho", "forward")


def signal(*shape: int, dtype: str = "f8") -> Any:
    x = RANDOM.uniform(-1, 1, shape)
    return (x + 1j * RANDOM.uniform(-1, 1, shape) if np.dtype(dtype).kind == "c" else x).astype(dtype)


def operand(name: str, *shape: int) -> Any:
    return signal(*shape, dtype="f8" if name in REAL else "c16")


def check(function: Callable[..., Any], x: Any):
    """Values, types, lanes and derivatives; a linear function is its own tangent, so one check serves all orders."""
    wanted = function(x)
    assert_all_close([ft.jit(function)(x)], [wanted])
    t = signal(*x.shape, dtype=x.dtype.str)
    value, tangent = ft.jvp(function, (x,), (t,))
    assert_all_close([value, tangent], [wanted, function(t)])
    ct = signal(*wanted.shape, dtype=wanted.dtype.str)
    (found,) = ft.vjp(function, x)[1](ct)
    assert_same_type(found, x)
    assert pairing([found], [t]) == pytest.approx(pairing([ct], [tangent]), rel=1e-9, abs=1e-12)
    # The transpose of the transpose.
    transposed = ft.linear_transpose(function, x)
    assert_close(ft.linear_transpose(lambda c: transposed(c)[0], ct)(t)[0], tangent)
    lanes = np.stack([x, 2 * x, t])
    assert_all_close([ft.vmap(function)(lanes)], [np.stack([function(lane) for lane in lanes])])


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("n", [None, 1, 3, 4, 7])
@pytest.mark.parametrize("name", ONE)
def test_along_one_axis(name: str, n: int | None, norm: str | None):
    function = getattr(np.fft, name)
    check(lambda x: function(x, n, norm=norm), operand(name, 4))
    check(lambda x: function(x, n=n, axis=0, norm=norm), operand(name, 5, 2))


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("s", [None, (3, 4), (2, 5), (4, -1)])
@pytest.mark.parametrize("name", TWO)
def test_along_two_axes(name: str, s: Any, norm: str | None):
    function = getattr(np.fft, name)
    check(lambda x: function(x, s, norm=norm), operand(name, 2, 3, 4))
    check(lambda x: function(x, s, axes=(2, 0), norm=norm), operand(name, 2, 3, 4))


@pytest.mark.parametrize(
    ("s", "axes"),
    [(None, None), (None, (0,)), (None, (1, 0, 2)), ((3, 5), (0, 2)), ((2, 2, 2), (-1, 0, 1)), ((4,), (1,)),
     (None, (0, 0))],
)
@pytest.mark.parametrize("name", MANY)
def test_along_any_axes(name: str, s: Any, axes: Any):
    function = getattr(np.fft, name)
    if name == "irfftn" and axes == (0, 0):
        axes, s = (0, 0), (3, 3)
    check(lambda x: function(x, s, axes), operand(name, 3, 3, 4))


@pytest.mark.parametrize("dtype", ["?", "i4", "u8", "f2", "f4", "f8", "c8", "c16"])
@pytest.mark.parametrize("name", [*ONE, *TWO, *MANY])
def test_dtypes_as_numpy(name: str, dtype: str):
    x = signal(3, 4, dtype=dtype) if np.dtype(dtype).kind in "fc" else (signal(3, 4) > 0).astype(dtype)
    function = getattr(np.fft, name)
    if name in REAL and np.dtype(dtype).kind == "c":
        with pytest.raises(TypeError):
            ft.jit(function)(x)
        return
    found, wanted = ft.jit(function)(x), function(x)
    assert_same_type(found, wanted)
    assert_close(found, wanted, {"f2": 1e-2, "f4": 1e-5, "c8": 1e-5}.get(dtype, 1e-10))


@pytest.mark.parametrize("shape", [(4,), (5,), (2, 3), (1,), (0,)])
@pytest.mark.parametrize("name", ["fftshift", "ifftshift"])
def test_shifts(name: str, shape: tuple[int, ...]):
    function = getattr(np.fft, name)
    check(function, signal(*shape))
    check(lambda x: function(x, axes=0), signal(*shape))
    check(lambda x: function(x, axes=(-1,)), signal(*shape))


@pytest.mark.parametrize("n", [1, 4, 5, 49])
def test_frequencies(n: int):
    for ours, theirs in ((fnp.fft.fftfreq, np.fft.fftfreq), (fnp.fft.rfftfreq, np.fft.rfftfreq)):
        np.testing.assert_array_equal(ours(n, 0.1), theirs(n, 0.1))
        _, slope = ft.jvp(lambda d, f=ours: f(n, d), (0.5,), (1.0,))
        assert_close(slope, difference_quotient(lambda d, f=theirs: [f(n, d)], (0.5,), (1.0,))[0], 1e-8)
        with pytest.raises(ValueError):
            ours(2.5)


def test_convolution_theorem_has_the_right_second_derivative():
    kernel, x, t = signal(6), signal(6), signal(6)

    def loss(x: Any) -> Any:
        y = np.fft.irfft(np.fft.rfft(x) * np.fft.rfft(kernel), n=6)
        return np.sum(y**3)

    gradient = ft.grad(loss)
    found = ft.jvp(gradient, (x,), (t,))[1]
    assert_close(found, difference_quotient(lambda x: [gradient(x)], (x,), (t,))[0], 1e-7)
    assert_close(ft.jit(gradient)(x), gradient(x))


def test_namespace_is_numpys():
    assert fnp.fft.fft is np.fft.fft
    assert all(hasattr(fnp.fft, name) for name in np.fft.__all__)


@pytest.mark.parametrize(
    ("function", "error"),
    [
        (lambda x: np.fft.fft(x, 0), ValueError),
        (lambda x: np.fft.fft(x, norm="other"), ValueError),
        (lambda x: np.fft.fftn(x, (2, 2), (0,)), ValueError),
        (lambda x: np.fft.fft(x, axis=5), IndexError),
        (lambda x: np.fft.irfft(x), ValueError),
    ],
)
def test_errors_as_numpy(function: Callable[..., Any], error: type[Exception]):
    x = signal(1, 1)
    for run in (function, ft.make_jaxpr(function)):
        with pytest.raises(error):
            run(x)
