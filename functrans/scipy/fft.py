"""Cosine transforms; the functions of numpy.fft have SciPy's names already.

By Fourier transforms of one half of the length: J. Makhoul, "A fast cosine transform in one and two dimensions", IEEE
Trans. Acoust. Speech Signal Process. 28, 1980.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..core.devices import beside
from ..core.trace import typeof
from ..errors import UnsupportedArgumentError
from ..numpy.common import as_operand, normalize_axes
from .linalg.operands import operands


def dct(x: Any, type: int = 2, n: int | None = None, axis: int = -1, norm: str | None = None) -> Any:
    """The cosine transform of type 2 along an axis: 2 * sum over j of x[j] * cos(pi * k * (2 * j + 1) / (2 * n)).

    Args:
        n: how many elements count; zeros are appended where there are fewer.
        norm: None for the sum above, "ortho" for the orthogonal matrix.

    Raises:
        UnsupportedArgumentError: another type or norm.

    Example:
        >>> from functrans.scipy import fft
        >>> fft.dct([1.0, 1.0])
        array([4., 0.])
    """
    _check(type, norm)
    return _along(x, n, axis, lambda v: _cosine(v) * _weights(v, norm, inverse=False))


def idct(x: Any, type: int = 2, n: int | None = None, axis: int = -1, norm: str | None = None) -> Any:
    """The inverse of `dct`.

    Example:
        >>> from functrans.scipy import fft
        >>> fft.idct(fft.dct([1.0, 2.0, 4.0])).round(12)
        array([1., 2., 4.])
    """
    _check(type, norm)
    return _along(x, n, axis, lambda v: _inverse_cosine(v * _weights(v, norm, inverse=True)))


def dctn(
    x: Any, type: int = 2, s: Sequence[int] | None = None, axes: Sequence[int] | None = None, norm: str | None = None
) -> Any:
    """`dct` along several axes, by default along all, or along the last ones if there is s."""
    return _each_axis(dct, x, type, s, axes, norm)


def idctn(
    x: Any, type: int = 2, s: Sequence[int] | None = None, axes: Sequence[int] | None = None, norm: str | None = None
) -> Any:
    """The inverse of `dctn`."""
    return _each_axis(idct, x, type, s, axes, norm)


def _each_axis(transform: Callable[..., Any], x: Any, type: int, s: Any, axes: Any, norm: str | None) -> Any:
    x = as_operand(x)
    ndim = typeof(x).ndim
    chosen = tuple(range(ndim - len(s), ndim)) if axes is None and s is not None else normalize_axes(axes, ndim)
    for axis, n in zip(chosen, s or [None] * len(chosen), strict=True):
        x = transform(x, type, n, axis, norm)
    return x


def _check(type: int, norm: str | None) -> None:
    if type != 2 or norm not in (None, "backward", "ortho"):
        raise UnsupportedArgumentError(
            f"A cosine transform of type {type} with norm={norm!r} was asked for.",
            "There is type 2, with the norms None and 'ortho'.",
            "Write other types with numpy.fft.",
        )


def _along(x: Any, n: int | None, axis: int, transform: Callable[[Any], Any]) -> Any:
    (x,) = operands(x)
    v = np.moveaxis(x, axis, -1)
    have = typeof(v).shape[-1]
    if n is not None and n > have:
        v = np.pad(v, [(0, 0)] * (typeof(v).ndim - 1) + [(0, n - have)])
    return np.moveaxis(transform(v[..., :n]), -1, axis)


def _weights(v: Any, norm: str | None, inverse: bool) -> Any:
    """What the sums are multiplied by, or for the inverse divided by."""
    n = typeof(v).shape[-1]
    weights = np.ones(n)
    if norm == "ortho":
        weights = np.where(np.arange(n) == 0, 0.5, np.sqrt(0.5)) / np.sqrt(max(n, 1))
    return beside(v, (1 / weights if inverse else weights).astype(typeof(v).dtype))


def _turns(v: Any, sign: float) -> Any:
    """exp(sign * i pi k / (2 n))."""
    n = typeof(v).shape[-1]
    dtype = np.result_type(typeof(v).dtype, np.complex64)
    return beside(v, np.exp(sign * 0.5j * np.pi * np.arange(n) / max(n, 1)).astype(dtype))


def _cosine(v: Any) -> Any:
    """Elements at even places, then those at odd ones backwards: of these it is a Fourier transform, turned."""
    ordered = np.concatenate([v[..., ::2], np.flip(v[..., 1::2], -1)], axis=-1)
    return 2 * np.real(np.fft.fft(ordered) * _turns(v, -1.0))


def _inverse_cosine(v: Any) -> Any:
    n = typeof(v).shape[-1]
    backwards = np.concatenate([np.zeros_like(v[..., :1]), np.flip(v[..., 1:], -1)], axis=-1)
    ordered = np.real(np.fft.ifft(0.5 * (v - 1j * backwards) * _turns(v, 1.0)))
    places = np.where(np.arange(n) % 2 == 0, np.arange(n) // 2, n - 1 - np.arange(n) // 2)
    return ordered[..., beside(v, places)]
