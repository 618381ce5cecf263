"""functrans.scipy.signal, ndimage, interpolate, fft, integrate and optimize against SciPy's, and traced."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.fft
import scipy.interpolate
import scipy.ndimage
import scipy.signal
from hypothesis import given, settings
from hypothesis import strategies as st

import functrans as ft
from functrans.errors import ShapeMismatchError, UnsupportedArgumentError
from functrans.scipy import fft, integrate, interpolate, ndimage, optimize, signal
from functrans.scipy.signal import convolutions
from tests.helpers.agreement import check_agreement

RANDOM = np.random.default_rng(4)
X, W = RANDOM.normal(size=(5, 6)), RANDOM.normal(size=(3, 2))
SERIES = RANDOM.normal(size=9)


@pytest.mark.parametrize("mode", ["full", "same", "valid"])
@pytest.mark.parametrize("name", ["convolve", "correlate", "fftconvolve", "convolve2d", "correlate2d"])
def test_convolutions(name: str, mode: str):
    mine, other = getattr(signal, name), getattr(scipy.signal, name)
    for x, w in ((X, W), (W, X), (X + 1j, W - 2j), (X, W - 2j)):
        if mode != "same" or x.size > w.size:
            np.testing.assert_allclose(mine(x, w, mode), other(x, w, mode), rtol=1e-9, atol=1e-12)
    if "2d" not in name:
        np.testing.assert_allclose(mine(SERIES, SERIES[:4], mode), other(SERIES, SERIES[:4], mode), atol=1e-12)
    if name != "fftconvolve":
        integers = np.arange(12).reshape(3, 4), np.array([[1, -2]])
        np.testing.assert_array_equal(mine(*integers, mode), other(*integers, mode))
    check_agreement(lambda x, w: mine(x, w, mode), X, W)


def test_convolutions_along_some_axes():
    got = signal.fftconvolve(X, X[:, :3], "same", axes=1)
    np.testing.assert_allclose(got, scipy.signal.fftconvolve(X, X[:, :3], "same", axes=1), atol=1e-12)
    np.testing.assert_allclose(signal.convolve(X, W, method="fft"), scipy.signal.convolve(X, W), atol=1e-12)


def test_convolutions_by_transforms_choose_a_length_that_has_small_factors():
    for x, w in ((np.sin(np.arange(90.0)), np.ones(12)), (LONG[:, :, 0] + 1j, LONG[:, :20, 1])):
        eqns = ft.make_jaxpr(signal.fftconvolve)(x, w).eqns
        shapes = [v.aval.shape for eqn in eqns if "fft" in eqn.primitive.name for v in (*eqn.inputs, *eqn.outputs)]
        assert {n for shape in shapes for n in shape} <= {108, 55, 3, 50}
        np.testing.assert_allclose(signal.fftconvolve(x, w), scipy.signal.fftconvolve(x, w), atol=1e-12)


@given(n=st.integers(1, 10**6))
def test_quick_lengths_are_the_next_ones_of_small_factors(n: int):
    assert convolutions._quick_length(n) == scipy.fft.next_fast_len(n, real=True)


@pytest.mark.parametrize("kind", ["linear", "constant"])
def test_detrend(kind: str):
    for axis in (0, 1):
        wanted = scipy.signal.detrend(X, axis, kind)
        np.testing.assert_allclose(signal.detrend(X, axis, kind), wanted, atol=1e-12)
    check_agreement(lambda x: signal.detrend(x, 0, kind), X)


# ---- spectra

LONG = RANDOM.normal(size=(2, 30, 2))
PIECES: tuple[dict[str, Any], ...] = (
    {"nperseg": 8}, {"nperseg": 9, "noverlap": 2}, {"nperseg": 8, "nfft": 11, "fs": 3.0}, {"nperseg": 1},
    {"window": np.hanning(7) + 0.1}, {"window": ("tukey", 0.3), "nperseg": 10, "noverlap": 9}, {},
)  # fmt: skip


def assert_same_arrays(found: Any, wanted: Any) -> None:
    for mine, other in zip(found, wanted, strict=True):
        assert (mine.shape, mine.dtype) == (other.shape, other.dtype)
        np.testing.assert_allclose(mine, other, rtol=1e-5, atol=1e-12 if other.itemsize > 4 else 1e-6)


@pytest.mark.filterwarnings("ignore:nperseg", "ignore:Input data is complex")
@pytest.mark.parametrize("options", PIECES, ids=str)
@pytest.mark.parametrize("x", [LONG, LONG + 1j * LONG[::-1], LONG.astype("f4")], ids=["real", "complex", "single"])
def test_spectra_are_those_of_scipy(x: Any, options: Any):
    for axis, onesided, scaling in ((1, True, "density"), (-2, False, "spectrum")):
        given = {**options, "axis": axis, "return_onesided": onesided and x.dtype.kind != "c", "scaling": scaling}
        for more in ({}, {"average": "median"}, {"detrend": "linear"}):
            if options.get("nperseg") != 1 or "detrend" not in more:
                assert_same_arrays(signal.welch(x, **given, **more), scipy.signal.welch(x, **given, **more))
        assert_same_arrays(signal.csd(x, x[:, :22], **given), scipy.signal.csd(x, x[:, :22], **given))
        assert_same_arrays(signal.spectrogram(x, **given), scipy.signal.spectrogram(x, **given))
    for nfft in (None, 20, 41):
        found, wanted = (s.periodogram(x, nfft=nfft, axis=1, return_onesided=False) for s in (signal, scipy.signal))
        assert_same_arrays(found, wanted)


@pytest.mark.filterwarnings("ignore:nperseg", "ignore:NOLA")
@pytest.mark.parametrize("options", PIECES[:3] + PIECES[4:], ids=str)
@pytest.mark.parametrize("boundary", ["zeros", "even", "odd", "constant", None])
def test_short_time_transforms_and_back(options: Any, boundary: str | None):
    options = {"nperseg": 7, **options} if isinstance(options.get("window"), np.ndarray) else options
    for x, onesided in ((LONG, True), (LONG + 1j * LONG[::-1], False)):
        for scaling, padded in (("spectrum", True), ("psd", False)):
            given = {**options, "axis": 1, "scaling": scaling, "return_onesided": onesided}
            found = signal.stft(x, boundary=boundary, padded=padded, **given)
            assert_same_arrays(found, scipy.signal.stft(x, boundary=boundary, padded=padded, **given))
            back = {**options, "scaling": scaling, "input_onesided": onesided, "boundary": boundary is not None}
            back.setdefault("nperseg", 30)
            z = np.moveaxis(found[2], 1, -1)
            wanted = scipy.signal.istft(z, time_axis=-2, freq_axis=-1, **back)[1]
            times, again = signal.istft(z, time_axis=-2, freq_axis=-1, **back)
            assert_same_arrays([again], [wanted])
            np.testing.assert_allclose(times, np.arange(again.shape[-1]) / options.get("fs", 1.0))
            if boundary and padded and options.get("noverlap") != 2:
                np.testing.assert_allclose(again[..., :30], np.swapaxes(x, 1, 2), atol=1e-12)


def test_derivatives_of_spectra():
    x, w = LONG[0, :16, 0], np.hanning(6) + 0.1
    check_agreement(lambda x, w: signal.welch(x, window=w, noverlap=2)[1], x, w)
    check_agreement(lambda x: np.abs(signal.stft(x, nperseg=6)[2]) ** 2, x)
    check_agreement(lambda x: signal.istft(signal.stft(x, nperseg=6)[2] * np.arange(4)[:, None], nperseg=6)[1], x)


@pytest.mark.parametrize("options", [{"nperseg": 8, "noverlap": 8}, {"nperseg": 8, "nfft": 7}, {"nperseg": 0},
                                     {"window": np.ones(40)}, {"window": np.ones(4), "nperseg": 5}])  # fmt: skip
def test_pieces_that_do_not_fit(options: Any):
    with pytest.raises(ShapeMismatchError, match="Correct nperseg"):
        signal.welch(LONG, axis=1, **options)


@pytest.mark.parametrize("mode", ["constant", "nearest", "wrap", "mirror", "reflect"])
@pytest.mark.parametrize("order", [0, 1])
def test_map_coordinates(order: int, mode: str):
    inside = np.array([[0.3, 2.9, 1.4], [4.2, 0.1, 2.6]])
    theirs = {"wrap": "grid-wrap", "constant": "grid-constant"}.get(mode, mode)
    for points in (inside, inside + 2.33, inside - 3.17, 3 * inside - 7.21):
        wanted = scipy.ndimage.map_coordinates(X, points, order=order, mode=theirs, cval=1.5)
        np.testing.assert_allclose(ndimage.map_coordinates(X, points, order, mode, 1.5), wanted, atol=1e-12)
    check_agreement(lambda x, c: ndimage.map_coordinates(x, list(c), order, mode, 1.5), X, inside)


@pytest.mark.parametrize("method", ["linear", "nearest"])
@pytest.mark.parametrize("fill", [None, -1.0])
def test_interpolation(method: str, fill: Any):
    grid = [np.array([0.0, 1.0, 1.5, 3.0]), np.array([-1.0, 0.0, 2.0])]
    points = np.array([[[0.2, 0.7], [2.9, -0.4]], [[1.2, 5.0], [-0.1, 0.3]]])
    for values in (X[:4, :3], RANDOM.normal(size=(4, 3, 2))):
        mine = interpolate.RegularGridInterpolator(grid, values, method, False, fill)
        other = scipy.interpolate.RegularGridInterpolator(grid, values, method, False, fill)
        np.testing.assert_allclose(mine(points), other(points), atol=1e-13)
    np.testing.assert_allclose(mine((points[..., 0], 0.5)), other((points[..., 0], 0.5)), atol=1e-13)

    def f(g: Any, v: Any, p: Any) -> Any:
        return interpolate.RegularGridInterpolator([g, grid[1]], v, method, False, fill)(p)

    check_agreement(f, grid[0], X[:4, :3], points)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 9), st.sampled_from([None, "ortho"]), st.sampled_from([None, 1, 5, 12]))
def test_cosine_transforms(size: int, norm: str | None, n: int | None):
    x = np.random.default_rng(size).normal(size=(2, size))
    np.testing.assert_allclose(fft.dct(x, n=n, norm=norm), scipy.fft.dct(x, n=n, norm=norm), atol=1e-12)
    np.testing.assert_allclose(fft.idct(x, n=n, norm=norm), scipy.fft.idct(x, n=n, norm=norm), atol=1e-12)
    np.testing.assert_allclose(fft.idct(fft.dct(x, norm=norm), norm=norm), x, atol=1e-12)


def test_cosine_transforms_along_several_axes():
    for options in ({}, {"axes": (0,)}, {"s": (4, 7)}, {"norm": "ortho"}):
        np.testing.assert_allclose(fft.dctn(X, **options), scipy.fft.dctn(X, **options), atol=1e-12)
        np.testing.assert_allclose(fft.idctn(X, **options), scipy.fft.idctn(X, **options), atol=1e-12)
    assert fft.dct(X.astype(np.float32)).dtype == np.float32
    check_agreement(fft.dctn, X)
    check_agreement(fft.idct, X)


def test_what_there_is_under_other_names():
    np.testing.assert_allclose(integrate.trapezoid(SERIES, dx=0.5), scipy.integrate.trapezoid(SERIES, dx=0.5))
    found = optimize.minimize(lambda x: np.sum((x - 2) ** 2), np.zeros(2), method="BFGS")
    np.testing.assert_allclose(found.x, [2, 2], atol=1e-5)
    assert ft.scipy.optimize.OptimizeResults is optimize.OptimizeResult


def test_what_is_refused():
    for call in (
        lambda: signal.convolve(X, W, mode="most"),
        lambda: signal.convolve(X, W, method="slow"),
        lambda: signal.convolve2d(X, W, boundary="wrap"),
        lambda: signal.detrend(X, type="square"),
        lambda: signal.welch(X, detrend="square"),
        lambda: signal.csd(X, X, average="most"),
        lambda: signal.stft(X, boundary="wrap"),
        lambda: signal.istft(X, scaling="density"),
        lambda: ndimage.map_coordinates(X, [0, 0], order=3),
        lambda: fft.dct(X, type=3),
        lambda: interpolate.RegularGridInterpolator([np.arange(5.0)], np.arange(5.0), "cubic"),
    ):
        with pytest.raises(UnsupportedArgumentError):
            call()
    for call in (
        lambda: signal.convolve(X, SERIES),
        lambda: signal.convolve(X, W.T[:, :1].repeat(9, 1), mode="valid"),
        lambda: signal.convolve2d(SERIES, SERIES),
        lambda: ndimage.map_coordinates(X, [0.0], order=1),
        lambda: interpolate.RegularGridInterpolator([np.arange(5.0)], np.arange(4.0)),
        lambda: interpolate.RegularGridInterpolator([np.arange(5.0)], np.arange(5.0))(np.zeros((2, 2))),
    ):
        with pytest.raises(ShapeMismatchError):
            call()
