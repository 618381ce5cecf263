"""Reductions and updates as kernels have them: of float16 in single precision, of complex numbers part by part.

Sums of both parts are two results of one kernel, whose loop LLVM makes vectors of. Products and extremes of complex
numbers, which are rare, are the last of the cumulative ones.
"""

from __future__ import annotations

from functools import partial, reduce
from math import prod
from typing import Any

import numpy as np

from ....core.dtypes import HALF, SINGLE
from ....core.jaxpr import Atom, Eqn, Jaxpr
from ....core.primitive import Primitive
from ....primitives import cumulative, indexing, reductions
from ....primitives.complex import complex_, imag, real
from ....primitives.contractions import dot_general
from ....primitives.elementwise import add, equal, isnan, logical_or, maximum, minimum, multiply, subtract
from ....primitives.foundation import convert, reduce_sum, reshape, without
from ....primitives.structural import slice as slice_
from ...simplify.rewriting import Rewriter, Rules, rewrite
from ...unrolling import FEW

_BYTE = np.dtype(np.uint8)
_CUMULATIVE = {
    "reduce_prod": (multiply, cumulative.cumprod),
    "reduce_max": (maximum, cumulative.cummax),
    "reduce_min": (minimum, cumulative.cummin),
}
_EXTREMES = {"argmax": reductions.reduce_max, "argmin": reductions.reduce_min}
#: What updates of booleans are as ones of the numbers zero and one.
_OF_BITS = {
    "scatter_add": indexing.scatter_max, "scatter_max": indexing.scatter_max,
    "scatter_multiply": indexing.scatter_min, "scatter_min": indexing.scatter_min,
}  # fmt: skip


def reductions_of_kernels(jaxpr: Jaxpr) -> Jaxpr:
    """The same program, without reductions and updates that kernels have not."""
    if not any(eqn.primitive.name in _RULES and eqn.inputs[0].aval.dtype.char in "eFD?" for eqn in jaxpr.eqns):
        return jaxpr
    as_it_is = lambda program: program  # noqa: E731
    return rewrite(jaxpr, _RULES, as_it_is, as_it_is)


def _in_single(rewriter: Rewriter, eqn: Eqn) -> Atom | None:
    """Of float16 in single precision, and rounded once."""
    return _widened(rewriter, eqn, eqn.primitive, HALF, SINGLE)


def _of_bits(rewriter: Rewriter, eqn: Eqn) -> Atom | None:
    return _widened(rewriter, eqn, _OF_BITS[eqn.primitive.name], np.dtype(np.bool_), _BYTE)


def _widened(
    rewriter: Rewriter, eqn: Eqn, primitive: Primitive, narrow: np.dtype[Any], wide: np.dtype[Any]
) -> Atom | None:
    """A primitive in place of another one's of a dtype, on operands that are cast to another one."""
    if eqn.inputs[0].aval.dtype != narrow or eqn.outputs[0].aval.dtype == wide:
        return None
    found = rewriter.emit(primitive, *(_cast(rewriter, x, narrow, wide) for x in eqn.inputs), **eqn.params)
    return _cast(rewriter, found, wide, narrow)


def _cast(rewriter: Rewriter, x: Atom, have: np.dtype[Any], want: np.dtype[Any]) -> Atom:
    return rewriter.emit(convert, x, dtype=want) if x.aval.dtype == have else x


def _sum_of_parts(rewriter: Rewriter, eqn: Eqn) -> Atom | None:
    (z,) = eqn.inputs
    if z.aval.dtype.kind != "c":
        return None
    parts = (rewriter.emit(part, z) for part in (real, imag))
    return rewriter.emit(complex_, *(rewriter.emit(reduce_sum, part, **eqn.params) for part in parts))


def _product_of_parts(rewriter: Rewriter, eqn: Eqn) -> Atom | None:
    """Products of complex numbers with vectors, and other small ones, by their parts; of few terms they are written
    out."""
    x, y = eqn.inputs
    numbers = eqn.params["dimension_numbers"]
    terms = prod(x.aval.shape[axis] for axis in numbers[0][0])
    is_complex = x.aval.dtype == y.aval.dtype and x.aval.dtype.kind == "c"
    if not is_complex or terms <= FEW or dot_general.is_for_library(x.aval, y.aval, numbers):
        return None
    a, b = (rewriter.emit(part, x) for part in (real, imag))
    c, d = (rewriter.emit(part, y) for part in (real, imag))
    ac, bd, ad, bc = (rewriter.emit(dot_general, *pair, **eqn.params) for pair in ((a, c), (b, d), (a, d), (b, c)))
    return rewriter.emit(complex_, rewriter.emit(subtract, ac, bd), rewriter.emit(add, ad, bc))


def _last_of_cumulative(rewriter: Rewriter, eqn: Eqn) -> Atom | None:
    """The product or an extreme of complex numbers, axis after axis; that of a few is written out."""
    x, axes = eqn.inputs[0], eqn.params["axes"]
    if x.aval.dtype.kind != "c" or 0 in x.aval.shape:
        return None
    combine, scan = _CUMULATIVE[eqn.primitive.name]
    for axis in sorted(axes, reverse=True):
        extent = x.aval.shape[axis]
        if extent <= FEW:
            x = reduce(partial(rewriter.emit, combine), [_taken(rewriter, x, axis, k) for k in range(extent)])
        else:
            x = _taken(rewriter, rewriter.emit(scan, x, axis=axis, reverse=False), axis, extent - 1)
    return x


def _taken(rewriter: Rewriter, x: Atom, axis: int, number: int) -> Atom:
    """What has a number along an axis."""
    shape = x.aval.shape
    starts = tuple(number if i == axis else 0 for i in range(len(shape)))
    limits = tuple(number + 1 if i == axis else n for i, n in enumerate(shape))
    part = rewriter.emit(slice_, x, starts=starts, limits=limits, strides=(1,) * len(shape))
    return rewriter.emit(reshape, part, shape=without(shape, (axis,)))


def _place_of_extreme(rewriter: Rewriter, eqn: Eqn) -> Atom | None:
    """The place of the first complex number that is equal to the extreme, or NaN."""
    (z,), params = eqn.inputs, eqn.params
    if z.aval.dtype.kind != "c" or 0 in z.aval.shape:
        return None
    extreme = rewriter.emit(_EXTREMES[eqn.primitive.name], z, **params)
    (axis,) = params["axes"]
    row = (*z.aval.shape[:axis], 1, *z.aval.shape[axis + 1 :])
    is_it = rewriter.emit(equal, z, rewriter.emit(reshape, extreme, shape=row))
    return rewriter.emit(reductions.argmax, rewriter.emit(logical_or, is_it, rewriter.emit(isnan, z)), **params)


_RULES: Rules = {
    "reduce_sum": (_in_single, _sum_of_parts),
    "dot_general": (_in_single, _product_of_parts),
    **dict.fromkeys(_CUMULATIVE, (_in_single, _last_of_cumulative)),
    **dict.fromkeys(_EXTREMES, (_in_single, _place_of_extreme)),
    **dict.fromkeys(_OF_BITS, (_in_single, _of_bits)),
}
