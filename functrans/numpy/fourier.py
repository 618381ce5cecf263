"""The functions of numpy.fft."""

from __future__ import annotations

from math import prod, sqrt
from typing import Any

import numpy as np

from ..core.trace import typeof
from ..primitives.complex import conjugate
from ..primitives.elementwise import multiply
from ..primitives.fft import fft as _fft
from ..primitives.fft import resize
from ..primitives.foundation import convert

_SWAPPED = {None: "forward", "backward": "forward", "forward": "backward", "ortho": "ortho"}


def fft(a: Any, n: int | None = None, axis: int = -1, norm: str | None = None) -> Any:
    """numpy.fft.fft."""
    return _transform("fft", a, None if n is None else (n,), (axis,), norm)


def ifft(a: Any, n: int | None = None, axis: int = -1, norm: str | None = None) -> Any:
    """numpy.fft.ifft."""
    return _transform("ifft", a, None if n is None else (n,), (axis,), norm)


def rfft(a: Any, n: int | None = None, axis: int = -1, norm: str | None = None) -> Any:
    """numpy.fft.rfft."""
    return _transform("rfft", a, None if n is None else (n,), (axis,), norm)


def irfft(a: Any, n: int | None = None, axis: int = -1, norm: str | None = None) -> Any:
    """numpy.fft.irfft; as in NumPy, of half precision (which irfftn is not) if the operand is."""
    y = _transform("irfft", a, None if n is None else (n,), (axis,), norm)
    return convert(y, dtype=np.dtype(np.float16)) if typeof(a).dtype == np.float16 else y


def hfft(a: Any, n: int | None = None, axis: int = -1, norm: str | None = None) -> Any:
    """numpy.fft.hfft."""
    return irfft(np.conjugate(a), n, axis, _swapped(norm))


def ihfft(a: Any, n: int | None = None, axis: int = -1, norm: str | None = None) -> Any:
    """numpy.fft.ihfft."""
    return conjugate(rfft(a, n, axis, _swapped(norm)))


def fftn(a: Any, s: Any = None, axes: Any = None, norm: str | None = None) -> Any:
    """numpy.fft.fftn."""
    return _transform("fft", a, s, axes, norm)


def ifftn(a: Any, s: Any = None, axes: Any = None, norm: str | None = None) -> Any:
    """numpy.fft.ifftn."""
    return _transform("ifft", a, s, axes, norm)


def rfftn(a: Any, s: Any = None, axes: Any = None, norm: str | None = None) -> Any:
    """numpy.fft.rfftn."""
    return _transform("rfft", a, s, axes, norm)


def irfftn(a: Any, s: Any = None, axes: Any = None, norm: str | None = None) -> Any:
    """numpy.fft.irfftn."""
    return _transform("irfft", a, s, axes, norm)


def fft2(a: Any, s: Any = None, axes: Any = (-2, -1), norm: str | None = None) -> Any:
    """numpy.fft.fft2."""
    return _transform("fft", a, s, axes, norm)


def ifft2(a: Any, s: Any = None, axes: Any = (-2, -1), norm: str | None = None) -> Any:
    """numpy.fft.ifft2."""
    return _transform("ifft", a, s, axes, norm)


def rfft2(a: Any, s: Any = None, axes: Any = (-2, -1), norm: str | None = None) -> Any:
    """numpy.fft.rfft2."""
    return _transform("rfft", a, s, axes, norm)


def irfft2(a: Any, s: Any = None, axes: Any = (-2, -1), norm: str | None = None) -> Any:
    """numpy.fft.irfft2."""
    return _transform("irfft", a, s, axes, norm)


def fftfreq(n: int, d: Any = 1.0, device: Any = None) -> Any:
    """numpy.fft.fftfreq."""
    return np.fft.ifftshift(np.arange(-(_integer(n) // 2), (n - 1) // 2 + 1, device=device)) * (1.0 / (n * d))


def rfftfreq(n: int, d: Any = 1.0, device: Any = None) -> Any:
    """numpy.fft.rfftfreq."""
    return np.arange(_integer(n) // 2 + 1, device=device) * (1.0 / (n * d))


def _integer(n: Any) -> int:
    if not isinstance(n, (int, np.integer)):
        raise ValueError("n should be an integer")
    return int(n)


def fftshift(x: Any, axes: Any = None) -> Any:
    """numpy.fft.fftshift."""
    axes = _shifted_axes(x, axes)
    return np.roll(x, [typeof(x).shape[axis] // 2 for axis in axes], axes)


def ifftshift(x: Any, axes: Any = None) -> Any:
    """numpy.fft.ifftshift."""
    axes = _shifted_axes(x, axes)
    return np.roll(x, [-(typeof(x).shape[axis] // 2) for axis in axes], axes)


def _shifted_axes(x: Any, axes: Any) -> tuple[int, ...]:
    if axes is None:
        return tuple(range(typeof(x).ndim))
    return (axes,) if isinstance(axes, (int, np.integer)) else tuple(axes)


def _transform(kind: str, x: Any, s: Any, axes: Any, norm: str | None) -> Any:
    """Any of the transforms: of extents `s` over `axes`, both or either of which may be None."""
    x = _converted(x, kind)
    extents, axes = _extents_and_axes(kind, typeof(x).shape, s, axes)
    factor = _factor(kind, prod(extents), norm)
    for group_kind, group, group_extents in _passes(kind, axes, extents):
        x = _transform_once(group_kind, x, group, group_extents)
    return x if factor == 1 else multiply(x, factor)


def _transform_once(kind: str, x: Any, axes: tuple[int, ...], extents: list[int]) -> Any:
    """One primitive over different axes, along which the operand is cut or filled up with zeros."""
    for axis, extent in zip(axes, extents):
        if extent < 1:
            raise ValueError(f"Invalid number of FFT data points ({extent}) specified.")
        x = resize(x, axis, extent // 2 + 1 if kind == "irfft" and axis == axes[-1] else extent)
    return _fft(x, kind=kind, axes=axes, length=extents[-1] if kind == "irfft" else None)


def _converted(x: Any, kind: str) -> Any:
    """The operand in a dtype that the transform works on: single precision stays single."""
    dtype = typeof(x).dtype
    if kind == "rfft" and dtype.kind == "c":
        raise TypeError(f"ufunc 'rfft_n_even' did not contain a loop with signature matching types {dtype} -> None")
    if dtype.kind in "biu":
        dtype = np.dtype(np.float64)
    wanted = np.result_type(dtype, np.float32 if kind == "rfft" else np.complex64)
    return x if typeof(x).dtype == wanted else convert(x, dtype=wanted)


def _extents_and_axes(kind: str, shape: tuple[int, ...], s: Any, axes: Any) -> tuple[list[int], tuple[int, ...]]:
    if axes is None:
        axes = range(-len(shape if s is None else s), 0)
    axes = tuple(axes)
    if s is not None and len(s) != len(axes):
        raise ValueError("Shape and axes have different lengths.")
    axes = tuple(np.lib.array_utils.normalize_axis_index(axis, len(shape)) for axis in axes)
    extents = [shape[axis] for axis in axes]
    if s is None:
        if kind == "irfft":
            extents[-1] = 2 * (extents[-1] - 1)
        return extents, axes
    return [extent if n == -1 or n is None else int(n) for n, extent in zip(s, extents)], axes


def _passes(kind: str, axes: tuple[int, ...], extents: list[int]) -> list[tuple[str, tuple[int, ...], list[int]]]:
    """All axes at once; or, if some axis occurs more than once, one after the other in NumPy's order."""
    if not axes:
        return []
    if len(set(axes)) == len(axes):
        return [(kind, axes, extents)]
    other = {"rfft": "fft", "irfft": "ifft"}.get(kind, kind)
    single = [(other, (axis,), [extent]) for axis, extent in zip(axes, extents)]
    single[-1] = (kind, *single[-1][1:])
    return single if kind == "irfft" else single[::-1]


def _factor(kind: str, points: int, norm: str | None) -> float:
    if norm not in _SWAPPED:
        raise ValueError(f'Invalid norm value {norm}; should be "backward", "ortho" or "forward".')
    if kind in ("fft", "rfft"):
        return {"ortho": 1 / sqrt(points), "forward": 1 / points}.get(norm, 1.0) if norm else 1.0
    return {"ortho": sqrt(points), "forward": float(points)}.get(norm, 1.0) if norm else 1.0


def _swapped(norm: str | None) -> str | None:
    """The other direction of normalization: that of the Hermitian transforms."""
    return _SWAPPED.get(norm, norm)
