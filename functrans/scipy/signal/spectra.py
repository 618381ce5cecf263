"""Spectra of signals, piece by piece: short-time Fourier transforms and what is averaged of them.

P. Welch, "The use of fast Fourier transform for the estimation of power spectra", IEEE Trans. Audio Electroacoust. 15,
1967.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np

from ...core.devices import beside
from ...core.trace import typeof
from ...errors import ShapeMismatchError, UnsupportedArgumentError
from ...numpy.assignment import at
from ...primitives.late_scipy import signal as scipy_signal
from ..linalg.operands import operands
from .convolutions import detrend as without_trend

#: What stands beyond the ends of a signal, as `np.pad` calls it; odd extensions by `reflect_type`.
_BOUNDARIES: Final = {
    "even": {"mode": "reflect"},
    "odd": {"mode": "reflect", "reflect_type": "odd"},
    "constant": {"mode": "edge"},
    "zeros": {"mode": "constant"},
}


class _Pieces(NamedTuple):
    """How a signal is cut: a window of so many samples, every so many samples, padded for the transform."""

    window: Any
    length: int
    step: int
    nfft: int


class _Transforms(NamedTuple):
    """The transforms of pieces of some signals: pieces along the last axis but one, frequencies along the last."""

    pieces: _Pieces
    spectra: list[Any]
    frequencies: Any
    times: Any
    onesided: bool


def stft(
    x: Any, fs: float = 1.0, window: Any = "hann", nperseg: int | None = 256, noverlap: int | None = None,
    nfft: int | None = None, detrend: Any = False, return_onesided: bool = True, boundary: str | None = "zeros",
    padded: bool = True, axis: int = -1, scaling: str = "spectrum",
) -> tuple[Any, Any, Any]:  # fmt: skip
    """Fourier transforms of a signal's pieces, each multiplied by a window.

    Args:
        fs: samples for each unit of time.
        window: the name of one of SciPy's windows, a tuple of its name and parameters, or an array.
        nperseg: the length of a piece, by default 256, or that of a window that is an array.
        noverlap: how many samples neighbours have in common; half of them by default.
        nfft: the length of the transform; zeros are appended to the pieces.
        detrend: what is taken off each piece: "constant", "linear", False for nothing; or a function of pieces.
        return_onesided: whether negative frequencies are left out, of real signals.
        boundary: what is added at both ends: "zeros", "even", "odd", "constant", or None.
        padded: whether zeros are appended so that the last piece is whole.
        scaling: "spectrum" for amplitudes, "psd" for their square's density.

    Returns:
        The frequencies, the times of the middles of the pieces, and the transforms: with the axis of frequencies where
        that of time was, and one for the pieces behind all others.

    Raises:
        ShapeMismatchError: the lengths of window, pieces, overlap and transform do not fit.
        UnsupportedArgumentError: another boundary, trend or scaling.

    Example:
        >>> import numpy as np
        >>> from functrans.scipy import signal
        >>> x = np.cos(2 * np.pi * 0.25 * np.arange(64))
        >>> f, t, z = signal.stft(x, nperseg=16)
        >>> f[np.argmax(np.abs(z[:, 4]))], z.shape, np.allclose(signal.istft(z, nperseg=16)[1], x)
        (np.float64(0.25), (9, 9), True)
    """
    _check_choice("scaling", scaling, ("spectrum", "psd"))
    ends = (boundary, padded)
    found = _transforms([x], fs, window, nperseg, noverlap, nfft, detrend, return_onesided, axis, *ends)
    weight = _weight(found.pieces, scaling, fs)
    return found.frequencies, found.times, _frequencies_at(found.spectra[0] * np.sqrt(weight), axis)


def istft(
    Zxx: Any, fs: float = 1.0, window: Any = "hann", nperseg: int | None = None, noverlap: int | None = None,
    nfft: int | None = None, input_onesided: bool = True, boundary: bool = True, time_axis: int = -1,
    freq_axis: int = -2, scaling: str = "spectrum",
) -> tuple[Any, Any]:  # fmt: skip
    """The signal of which `stft` with the same arguments gives these transforms, as nearly as there is one.

    Args:
        Zxx: Fourier transforms of pieces.
        input_onesided: whether negative frequencies have been left out.
        boundary: whether something had been added at both ends, half a piece each.
        time_axis, freq_axis: the axes of pieces and of frequencies.

    Returns:
        Times and the signal, along the axis where frequencies were.

    Raises:
        ShapeMismatchError: the lengths do not fit. UnsupportedArgumentError: another scaling.

    Example:
        >>> import numpy as np
        >>> from functrans.scipy import signal
        >>> x = np.sin(np.arange(32.0))
        >>> _, _, pieces = signal.stft(x, nperseg=8)
        >>> bool(np.allclose(signal.istft(pieces, nperseg=8)[1], x))
        True
    """
    _check_choice("scaling", scaling, ("spectrum", "psd"))
    (z,) = operands(Zxx)
    ndim = typeof(z).ndim
    time_axis, freq_axis = time_axis % ndim, freq_axis % ndim
    z = np.moveaxis(z, (time_axis, freq_axis), (-2, -1))
    count, frequencies = typeof(z).shape[-2:]
    whole = 2 * (frequencies - 1) if input_onesided else frequencies
    length = whole if nperseg is None else nperseg
    is_odd = nfft is None and input_onesided and length == whole + 1
    pieces = _pieces(window, length, noverlap, length if is_odd else whole if nfft is None else nfft, length, z)
    transform = np.fft.irfft if input_onesided else np.fft.ifft
    parts = transform(z, n=pieces.nfft)[..., : pieces.length]
    parts = parts / np.sqrt(_weight(pieces, scaling, fs))
    size = pieces.length + (count - 1) * pieces.step
    places = pieces.step * np.arange(count)[:, None] + np.arange(pieces.length)
    x = at(np.zeros_like(parts, shape=(*typeof(z).shape[:-2], size)))[..., beside(z, places)].add(parts * pieces.window)
    squares = np.broadcast_to(pieces.window**2, places.shape)
    norm = at(np.zeros_like(squares, shape=(size,)))[beside(z, places)].add(squares)
    x = x / np.where(norm > 1e-10, norm, 1.0)
    if boundary:
        x = x[..., pieces.length // 2 : size - pieces.length // 2]
    return np.arange(typeof(x).shape[-1]) / fs, np.moveaxis(x, -1, time_axis - (freq_axis < time_axis))


def csd(
    x: Any, y: Any, fs: float = 1.0, window: Any = "hann", nperseg: int | None = None, noverlap: int | None = None,
    nfft: int | None = None, detrend: Any = "constant", return_onesided: bool = True, scaling: str = "density",
    axis: int = -1, average: str = "mean",
) -> tuple[Any, Any]:  # fmt: skip
    """The cross power spectrum of two signals, averaged over pieces; the shorter one is padded with zeros.

    Args:
        scaling: "density" for power by frequency, "spectrum" for power.
        average: "mean" or "median" (of real and imaginary parts, corrected for its bias).

    The others are those of `stft`.

    Returns:
        The frequencies and the spectrum.

    Raises:
        ShapeMismatchError: the lengths of window, pieces, overlap and transform do not fit.
        UnsupportedArgumentError: another trend, scaling or average.

    Example:
        >>> import numpy as np
        >>> from functrans.scipy import signal
        >>> x = np.cos(np.arange(64) * np.pi / 4)
        >>> frequencies, spectrum = signal.csd(x, 2 * x, nperseg=16)
        >>> frequencies[np.argmax(np.abs(spectrum))]
        np.float64(0.125)
    """
    f, _, power = _powers([x, y], fs, window, nperseg, noverlap, nfft, detrend, return_onesided, scaling, axis)
    return f, _averaged(power, average)


def welch(
    x: Any, fs: float = 1.0, window: Any = "hann", nperseg: int | None = None, noverlap: int | None = None,
    nfft: int | None = None, detrend: Any = "constant", return_onesided: bool = True, scaling: str = "density",
    axis: int = -1, average: str = "mean",
) -> tuple[Any, Any]:  # fmt: skip
    """The power spectrum of a signal, averaged over pieces: `csd` of the signal with itself.

    Example:
        >>> import numpy as np, functrans as ft
        >>> from functrans.scipy import signal
        >>> x = np.sin(np.arange(100.0))
        >>> f, power = signal.welch(x, nperseg=32)
        >>> f[np.argmax(power)], ft.grad(lambda x: signal.welch(x, nperseg=32)[1][5])(x).shape
        (np.float64(0.15625), (100,))
    """
    f, _, power = _powers([x], fs, window, nperseg, noverlap, nfft, detrend, return_onesided, scaling, axis)
    return f, np.real(_averaged(power, average))


def periodogram(
    x: Any, fs: float = 1.0, window: Any = "boxcar", nfft: int | None = None, detrend: Any = "constant",
    return_onesided: bool = True, scaling: str = "density", axis: int = -1,
) -> tuple[Any, Any]:  # fmt: skip
    """The power spectrum of a signal as one piece; the arguments are those of `welch`.

    Example:
        >>> import numpy as np
        >>> from functrans.scipy import signal
        >>> frequencies, powers = signal.periodogram(np.cos(np.arange(64) * np.pi / 4))
        >>> frequencies[np.argmax(powers)]
        np.float64(0.125)
    """
    (x,) = operands(x)
    size = typeof(x).shape[axis]
    if nfft is not None and nfft < size:
        x, size = np.moveaxis(np.moveaxis(x, axis, -1)[..., :nfft], -1, axis), nfft
    return welch(x, fs, window, size, 0, nfft, detrend, return_onesided, scaling, axis)


def spectrogram(
    x: Any, fs: float = 1.0, window: Any = ("tukey", 0.25), nperseg: int | None = None, noverlap: int | None = None,
    nfft: int | None = None, detrend: Any = "constant", return_onesided: bool = True, scaling: str = "density",
    axis: int = -1,
) -> tuple[Any, Any, Any]:  # fmt: skip
    """The power spectra of a signal's pieces: frequencies, times and powers; the arguments are those of `welch`.

    Neighbours have an eighth of a piece in common by default.

    Example:
        >>> import numpy as np
        >>> from functrans.scipy import signal
        >>> frequencies, times, powers = signal.spectrogram(np.sin(np.arange(64.0)), nperseg=16)
        >>> powers.shape == (frequencies.size, times.size)
        True
    """
    (x,) = operands(x)
    if noverlap is None:
        chosen = _pieces(window, nperseg, 0, None, typeof(x).shape[axis], x)
        nperseg, noverlap = chosen.length, chosen.length // 8
    f, t, power = _powers([x], fs, window, nperseg, noverlap, nfft, detrend, return_onesided, scaling, axis)
    return f, t, np.real(power)


# ---- pieces


def _transforms(
    signals: list[Any], fs: float, window: Any, nperseg: Any, noverlap: Any, nfft: Any, trend: Any, onesided: bool,
    axis: int, boundary: str | None = None, padded: bool = False,
) -> _Transforms:  # fmt: skip
    _check_choice("boundary", boundary, (None, *_BOUNDARIES))
    signals = [np.moveaxis(x, axis, -1) for x in operands(*signals)]
    onesided = onesided and all(typeof(x).dtype.kind != "c" for x in signals)
    size = max(typeof(x).shape[-1] for x in signals)
    pieces = _pieces(window, nperseg, noverlap, nfft, size, signals[0])
    signals = [_lengthened(x, 0, size - typeof(x).shape[-1]) for x in signals]
    if boundary is not None:
        half = pieces.length // 2
        signals = [_lengthened(x, half, half, boundary) for x in signals]
    if padded:
        rest = -(typeof(signals[0]).shape[-1] - pieces.length) % pieces.step
        signals = [_lengthened(x, 0, rest) for x in signals]
    spectra = [_spectra(_without(trend, _cut(x, pieces)), pieces, onesided) for x in signals]
    frequencies = (np.fft.rfftfreq if onesided else np.fft.fftfreq)(pieces.nfft, 1 / fs)
    begins = pieces.step * np.arange(typeof(spectra[0]).shape[-2])
    times = (begins + (pieces.length / 2 if boundary is None else 0)) / fs
    return _Transforms(pieces, spectra, frequencies, times, onesided)


def _pieces(window: Any, nperseg: Any, noverlap: Any, nfft: Any, size: int, like: Any) -> _Pieces:
    """Lengths worked out, and the window as an array."""
    is_named = isinstance(window, (str, tuple))
    array = None if is_named else operands(window)[0]
    own = None if is_named else typeof(array).shape
    length = nperseg if nperseg is not None else 256 if own is None else own[0]
    length = min(int(length), size) if is_named else int(length)
    overlap = length // 2 if noverlap is None else int(noverlap)
    nfft = length if nfft is None else int(nfft)
    if not 0 < length <= size or not 0 <= overlap < length or nfft < length or own not in (None, (length,)):
        raise ShapeMismatchError(
            f"A spectrum of {size} samples was asked for, by pieces of {length} that have {overlap} in common, a "
            f"transform of {nfft} and a window of " + ("any length." if own is None else f"shape {own}."),
            "Pieces are no longer than the signal and the transform, have less in common than they are long, and the "
            "window has their length.",
            "Correct nperseg, noverlap, nfft or the window.",
        )
    if is_named:
        array = beside(like, scipy_signal().get_window(window, length))
    if typeof(array).dtype.kind != "c":
        array = array.astype(typeof(np.real(like)).dtype)
    return _Pieces(array, length, length - overlap, nfft)


def _lengthened(x: Any, before: int, after: int, boundary: str = "zeros") -> Any:
    """The array with so many more elements at the ends of its last axis."""
    widths = [(0, 0)] * (typeof(x).ndim - 1) + [(before, after)]
    return np.pad(x, widths, **_BOUNDARIES[boundary]) if before or after else x


def _cut(x: Any, pieces: _Pieces) -> Any:
    """The pieces along a new axis, which is the last but one."""
    count = (typeof(x).shape[-1] - pieces.length) // pieces.step + 1
    return x[..., beside(x, pieces.step * np.arange(count)[:, None] + np.arange(pieces.length))]


def _without(trend: Any, parts: Any) -> Any:
    if callable(trend):
        return trend(parts)
    _check_choice("detrend", trend, (False, "constant", "linear", "l", "c"))
    return without_trend(parts, type=trend) if trend else parts


def _spectra(parts: Any, pieces: _Pieces, onesided: bool) -> Any:
    return (np.fft.rfft if onesided else np.fft.fft)(parts * pieces.window, n=pieces.nfft)


def _weight(pieces: _Pieces, scaling: str, fs: float) -> Any:
    """What the square of a transform is multiplied by."""
    w = pieces.window
    return 1 / np.sum(w) ** 2 if scaling == "spectrum" else 1 / (fs * np.sum(w * w))


def _powers(
    signals: list[Any], fs: float, window: Any, nperseg: Any, noverlap: Any, nfft: Any, trend: Any, onesided: bool,
    scaling: str, axis: int,
) -> tuple[Any, Any, Any]:  # fmt: skip
    """Frequencies, times, and the products of transforms of pieces; without negative frequencies twice the others."""
    _check_choice("scaling", scaling, ("density", "spectrum"))
    found = _transforms(signals, fs, window, nperseg, noverlap, nfft, trend, onesided, axis)
    power = np.conj(found.spectra[0]) * found.spectra[-1] * _weight(found.pieces, scaling, fs)
    if found.onesided:
        times = np.full(typeof(power).shape[-1], 2, typeof(np.real(power)).dtype)
        times[0] = 1
        times[found.pieces.nfft // 2 + found.pieces.nfft % 2 :] = 1  # the last one, if its negative is itself
        power = power * beside(power, times)
    return found.frequencies, found.times, _frequencies_at(power, axis)


def _frequencies_at(spectra: Any, axis: int) -> Any:
    """Frequencies along an axis of the signal, pieces along the last."""
    return np.moveaxis(np.swapaxes(spectra, -1, -2), -2, axis - 1 if axis < 0 else axis)


def _averaged(power: Any, average: str) -> Any:
    """The average over the last axis."""
    _check_choice("average", average, ("mean", "median"))
    if average == "mean":
        return np.mean(power, axis=-1)
    count = typeof(power).shape[-1]
    bias = 1 + sum(1 / (k + 1) - 1 / k for k in range(2, count, 2))
    return (np.median(np.real(power), axis=-1) + 1j * np.median(np.imag(power), axis=-1)) / bias


def _check_choice(name: str, value: Any, choices: Any) -> None:
    if value not in choices:
        raise UnsupportedArgumentError(
            f"A spectrum was asked for with {name}={value!r}.",
            f"It is one of {', '.join(map(repr, choices))}.",
            "Pass one of these.",
        )
