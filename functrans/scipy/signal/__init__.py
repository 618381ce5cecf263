"""Convolutions, correlations and spectra (`jax.scipy.signal`)."""

from ...core.libraries import absent_from
from .convolutions import convolve, convolve2d, correlate, correlate2d, detrend, fftconvolve
from .spectra import csd, istft, periodogram, spectrogram, stft, welch

__getattr__ = absent_from(__name__)

__all__ = [
    "convolve", "convolve2d", "correlate", "correlate2d", "csd", "detrend", "fftconvolve", "istft", "periodogram",
    "spectrogram", "stft", "welch",
]  # fmt: skip
