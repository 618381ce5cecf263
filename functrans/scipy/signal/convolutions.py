"""Convolutions and correlations of arrays with any number of axes, and straight lines taken off."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...core.devices import beside
from ...core.trace import typeof
from ...errors import ShapeMismatchError, UnsupportedArgumentError
from ...lax.convolution import conv_general_dilated
from ...numpy.common import as_operand, cast, normalize_axes
from ..linalg.operands import operands


def convolve(in1: Any, in2: Any, mode: str = "full", method: str = "auto", precision: Any = None) -> Any:
    """The sum over j of in1[j] * in2[k - j], along all axes.

    Args:
        mode: "full" for all k where both meet, "same" for those in the middle, as many as in1 has, "valid" for those
            where one lies within the other.
        method: "direct" for the sum as it is ("auto" too), "fft" for Fourier transforms.

    Raises:
        ShapeMismatchError: the arrays have different numbers of axes, or with "valid" neither contains the other.
        UnsupportedArgumentError: another mode or method.

    Example:
        >>> import numpy as np
        >>> from functrans.scipy import signal
        >>> signal.convolve(np.array([1.0, 2.0, 3.0]), np.array([1.0, 1.0]), mode="same")
        array([1., 3., 5.])
    """
    if method == "fft":
        return fftconvolve(in1, in2, mode)
    if method not in ("auto", "direct"):
        raise UnsupportedArgumentError(
            f"convolve was called with method={method!r}.", "It is 'auto', 'direct' or 'fft'.", "Pass one of these."
        )
    x, w = _same_dtype(in1, in2)
    _check(typeof(x).shape, typeof(w).shape, mode)
    if mode == "valid" and typeof(x).size < typeof(w).size:
        x, w = w, x
    shape, window = typeof(x).shape, typeof(w).shape
    if not shape:
        return x * w
    padding = [(0, 0) if mode == "valid" else (m - 1, m - 1) for m in window]
    full = conv_general_dilated(x[None, None], np.flip(w)[None, None], (1,) * len(shape), padding)[0, 0]
    return full if mode != "same" else _middle(full, shape, range(len(shape)))


def correlate(in1: Any, in2: Any, mode: str = "full", method: str = "auto", precision: Any = None) -> Any:
    """`convolve` with in2 backwards and conjugated: the sum over j of in1[j + k] * conj(in2[j]).

    Example:
        >>> import numpy as np
        >>> from functrans.scipy import signal
        >>> signal.correlate(np.array([1.0, 2.0, 3.0]), np.array([0.0, 1.0]))
        array([1., 2., 3., 0.])
    """
    x, w = _same_dtype(in1, in2)
    turned = np.conj(np.flip(w))
    if mode == "valid" and typeof(x).size < typeof(w).size:
        return np.flip(convolve(np.conj(np.flip(x)), w, mode, method)).conj()
    return convolve(x, turned, mode, method)


def fftconvolve(in1: Any, in2: Any, mode: str = "full", axes: Sequence[int] | None = None) -> Any:
    """`convolve` along some axes (by default all) by Fourier transforms; the others broadcast.

    Example:
        >>> import numpy as np
        >>> from functrans.scipy import signal
        >>> signal.fftconvolve(np.array([1.0, 2.0, 3.0]), np.array([1.0, 1.0])).round(12)
        array([1., 3., 5., 3.])
    """
    x, w = operands(in1, in2)
    shape, window = typeof(x).shape, typeof(w).shape
    chosen = sorted(normalize_axes(axes, len(shape)))
    _check([shape[a] for a in chosen], [window[a] for a in chosen] if len(window) == len(shape) else window, mode)
    if mode == "valid" and any(shape[a] < window[a] for a in chosen):
        x, w, shape, window = w, x, window, shape
    extents = [shape[a] + window[a] - 1 for a in chosen]
    lengths = list(map(_quick_length, extents))
    is_complex = typeof(x).dtype.kind == "c"
    forward, backward = (np.fft.fftn, np.fft.ifftn) if is_complex else (np.fft.rfftn, np.fft.irfftn)
    full = backward(forward(x, lengths, chosen) * forward(w, lengths, chosen), lengths, chosen)
    meeting = dict(zip(chosen, extents))
    full = full[tuple(slice(meeting.get(a)) for a in range(len(shape)))]
    if mode == "full":
        return full
    wanted = {a: shape[a] if mode == "same" else shape[a] - window[a] + 1 for a in chosen}
    return _middle(full, [wanted.get(a, n) for a, n in enumerate(typeof(full).shape)], chosen)


def _quick_length(n: int) -> int:
    """The least length from n on that has no prime factors but 2, 3 and 5, for Fourier transforms take longer else."""
    threes = (3**i for i in range(n.bit_length()))
    products = [three * 5**i for three in threes for i in range(n.bit_length())]
    return min(x << (-(-n // x) - 1).bit_length() for x in products)


def convolve2d(
    in1: Any, in2: Any, mode: str = "full", boundary: str = "fill", fillvalue: float = 0, precision: Any = None
) -> Any:
    """`convolve` of matrices; what lies beyond them is zero.

    Raises:
        UnsupportedArgumentError: another boundary.

    Example:
        >>> import numpy as np
        >>> from functrans.scipy import signal
        >>> signal.convolve2d(np.ones((2, 2)), np.ones((2, 2)))
        array([[1., 2., 1.],
               [2., 4., 2.],
               [1., 2., 1.]])
    """
    _check_matrices(in1, in2, boundary, fillvalue)
    return convolve(in1, in2, mode)


def correlate2d(
    in1: Any, in2: Any, mode: str = "full", boundary: str = "fill", fillvalue: float = 0, precision: Any = None
) -> Any:
    """`correlate` of matrices; what lies beyond them is zero.

    Raises:
        UnsupportedArgumentError: another boundary.
    """
    _check_matrices(in1, in2, boundary, fillvalue)
    if mode != "same":
        return correlate(in1, in2, mode)
    full, shape = correlate(in1, in2), typeof(as_operand(in1)).shape
    begins = [m // 2 for m in typeof(as_operand(in2)).shape]  # half an element after the middle, as in SciPy
    return full[tuple(slice(begin, begin + n) for begin, n in zip(begins, shape, strict=True))]


def detrend(data: Any, axis: int = -1, type: str = "linear", bp: int = 0, overwrite_data: Any = None) -> Any:
    """The data less its mean ("constant") or the straight line of least squares ("linear") along an axis.

    Raises:
        UnsupportedArgumentError: another type, or break points.

    Example:
        >>> import numpy as np
        >>> from functrans.scipy import signal
        >>> np.abs(signal.detrend(np.array([1.0, 3.0, 5.0]))).max().round(12)
        np.float64(0.0)
    """
    if type not in ("linear", "constant", "l", "c") or np.any(np.asarray(bp) != 0):
        raise UnsupportedArgumentError(
            f"detrend was called with type={type!r} and bp={bp!r}.",
            "The types are 'linear' and 'constant', over the whole axis.",
            "Cut the data at break points first.",
        )
    (data,) = operands(data)
    x = np.moveaxis(data, axis, -1)
    x = x - np.mean(x, axis=-1, keepdims=True)
    n = typeof(x).shape[-1]
    if type in ("linear", "l") and n > 1:
        t = np.arange(n) - (n - 1) / 2
        t = beside(x, (t / np.sqrt(np.sum(t * t))).astype(typeof(np.real(x)).dtype))
        x = x - np.sum(x * t, axis=-1, keepdims=True) * t
    return np.moveaxis(x, -1, axis)


def _same_dtype(in1: Any, in2: Any) -> list[Any]:
    found = [as_operand(in1), as_operand(in2)]
    dtype = np.result_type(*(typeof(x).dtype for x in found))
    return [cast(x, dtype) for x in found]


def _check(shape: Sequence[int], window: Sequence[int], mode: str) -> None:
    if mode not in ("full", "same", "valid"):
        raise UnsupportedArgumentError(
            f"A convolution with mode={mode!r} was asked for.", "It is 'full', 'same' or 'valid'.", "Pass one of these."
        )
    pairs = list(zip(shape, window, strict=False))
    is_within = all(n >= m for n, m in pairs) or all(n <= m for n, m in pairs)
    if len(shape) != len(window) or 0 in (*shape, *window) or (mode == "valid" and not is_within):
        raise ShapeMismatchError(
            f"Arrays of shapes {tuple(shape)} and {tuple(window)} were to be convolved with mode={mode!r}.",
            "They have the same number of axes, at least one element, and for 'valid' one lies within the other.",
            "Insert axes of extent one, or use another mode.",
        )


def _check_matrices(in1: Any, in2: Any, boundary: str, fillvalue: float) -> None:
    if boundary != "fill" or fillvalue != 0:
        raise UnsupportedArgumentError(
            f"A convolution was asked for with boundary={boundary!r} and fillvalue={fillvalue!r}.",
            "Beyond the matrices there is zero.",
            "Use numpy.pad first, and mode='valid'.",
        )
    if typeof(as_operand(in1)).ndim != 2 or typeof(as_operand(in2)).ndim != 2:
        raise ShapeMismatchError("A convolution of matrices was given other arrays.", "", "Use `convolve`.")


def _middle(full: Any, shape: Sequence[int], axes: Sequence[int]) -> Any:
    """The elements in the middle along axes."""
    have = typeof(full).shape
    cuts = [
        slice((have[a] - shape[a]) // 2, (have[a] - shape[a]) // 2 + shape[a]) if a in axes else slice(None)
        for a in range(len(have))
    ]
    return full[tuple(cuts)]
