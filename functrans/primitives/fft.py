"""Discrete Fourier transforms."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from ..core.avals import ShapedArray, real_dtype
from ..core.devices import here
from ..core.dtypes import result_type
from ..core.trace import Params, typeof
from ..errors import DtypeMismatchError, ShapeMismatchError
from .complex import conjugate, real
from .elementwise import multiply
from .foundation import Linear, Shape
from .structural import concatenate, slice_axis


class FFT(Linear):
    """The Fourier transform over some axes, of one of four kinds.

    "fft" and "ifft" take complex numbers to complex numbers. "rfft" takes real numbers, and keeps of the last of `axes`
    the first n // 2 + 1 elements; "irfft" is its inverse, with `length` as the extent n of the result, and ignores the
    imaginary parts that a transform of real numbers cannot have. The inverse kinds divide by the number of points.
    """

    def abstract_eval(
        self, x: ShapedArray, *, kind: str, axes: Shape, length: int | None = None
    ) -> list[ShapedArray]:
        wanted = "f" if kind == "rfft" else "c"
        if x.dtype.kind != wanted or x.dtype.itemsize < 4:
            raise DtypeMismatchError(
                f"`{kind}` was called on an array of type {x}.",
                "It works on float32 and float64." if wanted == "f" else "It works on complex64 and complex128.",
                "Convert it with `.astype(...)`.",
            )
        last = axes[-1]
        if kind == "irfft":
            if length is None or x.shape[last] != length // 2 + 1:
                raise ShapeMismatchError(f"`irfft` to length {length} was called on an array of type {x}.")
            return [ShapedArray(_with_extent(x.shape, last, length), real_dtype(x.dtype))]
        if kind == "rfft":
            shape = _with_extent(x.shape, last, x.shape[last] // 2 + 1)
            return [ShapedArray(shape, result_type(x.dtype, np.complex64))]
        return [x]

    def impl(self, x: Any, *, kind: str, axes: Shape, length: int | None = None) -> list[Any]:
        extents = [x.shape[axis] for axis in axes]
        if kind == "irfft":
            extents[-1] = length
        function = {"fft": np.fft.fftn, "ifft": np.fft.ifftn, "rfft": np.fft.rfftn, "irfft": np.fft.irfftn}[kind]
        return [function(x, extents, axes)]

    def transpose(
        self, cotangents: Sequence[Any], x: Any, *, kind: str, axes: Shape, length: int | None = None
    ) -> list[Any]:
        """The matrix of a transform is symmetric; what the real kinds leave out is added as zeros or counted twice."""
        (ct,) = cotangents
        if kind in ("fft", "ifft"):
            return [self(ct, kind=kind, axes=axes)]
        last = axes[-1]
        if kind == "rfft":
            full = resize(ct, last, x.aval.shape[last])
            return [real(self(full, kind="fft", axes=axes))]
        weights = twice_inside(length, typeof(ct).dtype) / prod(typeof(ct).shape[axis] for axis in axes)
        shape = _with_extent((1,) * x.aval.ndim, last, len(weights))
        return [conjugate(multiply(weights.reshape(shape), self(ct, kind="rfft", axes=axes)))]

    def batch(
        self,
        size: int,
        values: Sequence[Any],
        mapped: Sequence[bool],
        *,
        kind: str,
        axes: Shape,
        length: int | None = None,
    ) -> tuple[Any, Any]:
        axes = tuple(axis + 1 for axis in axes)
        return [self(values[0], kind=kind, axes=axes, length=length)], [True]

    def assemble(
        self, assembler: Any, block: list[Any], sources: Sequence[Any], targets: Sequence[Any], params: Params
    ) -> bool:
        return assembler.fourier(block, *sources, *targets, params["kind"], params["axes"], params.get("length"))


fft = FFT("fft")


def _with_extent(shape: Shape, axis: int, extent: int) -> Shape:
    return (*shape[:axis], extent, *shape[axis + 1 :])


def twice_inside(length: Any, dtype: np.dtype[Any]) -> Any:
    """How often each element of a half spectrum stands in the whole one: twice, but for the ends that are real."""
    count = length // 2 + 1
    weights = np.full(count, 2, dtype)
    weights[0] = 1
    if length % 2 == 0:
        weights[-1] = 1
    return here(weights)


def resize(x: Any, axis: int, extent: int) -> Any:
    """The first elements along an axis, with zeros after them if there are too few."""
    shape = typeof(x).shape
    if extent == shape[axis]:
        return x
    if extent < shape[axis]:
        return slice_axis(x, 0, extent, axis=axis)
    zeros = here(np.zeros(_with_extent(shape, axis, extent - shape[axis]), typeof(x).dtype))
    return concatenate(x, zeros, axis=axis)
