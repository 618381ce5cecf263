"""Complex numbers: their parts, their conjugates, and how they are put together.

Derivatives are real-linear, with the pairing Re(ct * t) behind transposes: those are never conjugated
(docs/semantics.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..core.avals import BOOL, PYTHON_SCALARS, ZERO, ShapedArray, real_dtype
from ..core.dtypes import result_type
from ..core.primitive import is_hole
from ..core.trace import typeof
from .foundation import Elementwise, Linear, Plain, align_ranks, broadcast_shapes, match, promoted, scale, unbroadcast


def _part(x: ShapedArray) -> ShapedArray:
    """The type of the real or imaginary part; those of Python's True are integers."""
    dtype = np.dtype(np.int64) if x.weak and x.dtype == BOOL else real_dtype(x.dtype)
    return ShapedArray(x.shape, dtype, x.weak)


class Part(Linear):
    """The real or the imaginary part, which are properties of numbers and arrays under the same names."""

    is_pointwise = True
    work = 1

    def abstract_eval(self, x: ShapedArray) -> list[ShapedArray]:
        return [_part(x)]

    def impl(self, x: Any) -> list[Any]:
        part = getattr(x, self.name)
        return [part if type(x) in PYTHON_SCALARS else part.copy()]

    def batch(self, size: int, values: Sequence[Any], mapped: Sequence[bool]) -> tuple[Any, Any]:
        return [self(values[0])], [True]

    def lower(self, result: Any, x: Any) -> Any:
        return lambda index: result.apply(self.name, x.at(index), computes_in=x.aval.dtype)


class Real(Part):
    """The real part; real numbers as they are."""

    def transpose(self, cotangents: Sequence[Any], x: Any) -> list[Any]:
        return [unbroadcast(cotangents[0], x.aval)]


class Imag(Part):
    """The imaginary part; zero for real numbers."""

    def transpose(self, cotangents: Sequence[Any], x: Any) -> list[Any]:
        return [scale(unbroadcast(cotangents[0], x.aval), -1j) if x.aval.dtype.kind == "c" else ZERO]


class Conjugate(Elementwise):
    """The complex conjugate; real-linear, and its own transpose."""

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
        return [self(primals[0])], [self(tangents[0])]

    def transpose(self, cotangents: Sequence[Any], x: Any) -> list[Any]:
        return [self(cotangents[0])]


class Complex(Plain):
    """`complex_(re, im)`: the complex number of two real ones of one precision, which broadcast."""

    never_fails = True

    def abstract_eval(self, re: ShapedArray, im: ShapedArray) -> list[ShapedArray]:
        dtype = result_type(promoted(re, im), np.complex64)
        return [ShapedArray(broadcast_shapes(re.shape, im.shape), dtype)]

    def impl(self, re: Any, im: Any) -> list[Any]:
        (aval,) = self.abstract_eval(typeof(re), typeof(im))
        z = np.empty_like(re if hasattr(re, "shape") else im, shape=aval.shape, dtype=aval.dtype)
        z.real, z.imag = re, im
        return [z[()]]

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
        z = self(*primals)
        re, im = (0.0 if t is ZERO else match(t, real(z)) for t in tangents)
        return [z], [match(self(re, im), z)]

    def transpose(self, cotangents: Sequence[Any], re: Any, im: Any) -> list[Any]:
        (ct,) = cotangents
        by_re = unbroadcast(real(ct), re.aval) if is_hole(re) else None
        return [by_re, unbroadcast(scale(imag(ct), -1), im.aval) if is_hole(im) else None]

    def batch(self, size: int, values: Sequence[Any], mapped: Sequence[bool]) -> tuple[Any, Any]:
        return [self(*align_ranks(values, mapped))], [True]

    def lower(self, result: Any, re: Any, im: Any) -> Any:
        dtype = real_dtype(result.aval.dtype)
        return lambda index: result.apply(self.name, re.broadcast(index), im.broadcast(index), computes_in=dtype)


real = Real("real")
imag = Imag("imag")
conjugate = Conjugate("conjugate", np.conjugate)
complex_ = Complex("complex")
