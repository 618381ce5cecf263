"""Fourier transforms under JAX's names."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import Any

import numpy as np

from ..core.trace import typeof
from ..numpy.common import as_operand


class FftType(Enum):
    """The kinds of transforms, by the names of NumPy's functions of several axes."""

    FFT = "fftn"
    IFFT = "ifftn"
    RFFT = "rfftn"
    IRFFT = "irfftn"


def fft(x: Any, fft_type: FftType | str | int, fft_lengths: Sequence[int]) -> Any:
    """The transform of the last axes, one for each length.

    Args:
        fft_type: an FftType, its name, or its number in the order there.
        fft_lengths: the extents of the axes; for IRFFT those of the result.

    Example:
        >>> import numpy as np, functrans as ft
        >>> ft.lax.fft(np.ones(4), "rfft", (4,)).real
        array([4., 0., 0.])
    """
    kinds = list(FftType)
    kind = fft_type
    if isinstance(kind, str):
        kind = FftType[kind.upper()]
    elif isinstance(kind, int):
        kind = kinds[kind]
    x = as_operand(x)
    axes = range(typeof(x).ndim - len(fft_lengths), typeof(x).ndim)
    return getattr(np.fft, kind.value)(x, s=tuple(fft_lengths), axes=tuple(axes))


__all__ = ["FftType", "fft"]
