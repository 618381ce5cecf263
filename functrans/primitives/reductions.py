"""Reductions: products, extremes, truth values, places of extremes, and log-sum-exp."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..core.avals import BOOL, ZERO, typeof
from .elementwise import divide, equal, exp, isfinite, multiply, select, subtract
from .families import Reduction
from .foundation import (
    Shape,
    add_any,
    convert,
    reduce_sum,
    reshape,
    restore_axes,
    scale,
)
from .structural import concatenate, slice_axis, transpose


class ReduceProd(Reduction):
    """The product. Its derivative is that of a tree of products of pairs, which no zero can spoil."""

    def impl(self, x: Any, *, axes: Shape) -> list[Any]:
        return [np.prod(x, axis=axes, dtype=x.dtype)]

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Any], *, axes: Shape) -> tuple[Any, Any]:
        x, dx = (_flatten_axes(v, axes) for v in (primals[0], tangents[0]))
        extent = typeof(x).shape[0]
        if extent == 0:
            return [self(primals[0], axes=axes)], [ZERO]
        while extent > 1:
            half = extent // 2
            (a, da), (b, db) = ([slice_axis(v, i, i + half, axis=0) for v in (x, dx)] for i in (0, half))
            product, slope = multiply(a, b), add_any(scale(da, b), scale(db, a))
            if extent % 2:
                product = concatenate(product, slice_axis(x, extent - 1, extent, axis=0), axis=0)
                slope = concatenate(slope, slice_axis(dx, extent - 1, extent, axis=0), axis=0)
            x, dx, extent = product, slope, half + extent % 2
        shape = typeof(x).shape[1:]
        return [self(primals[0], axes=axes)], [reshape(dx, shape=shape)]


class Extreme(Reduction):
    """The maximum or minimum; elements that tie share the cotangent equally, and NaN wins."""

    def __init__(self, name: str, function: Any):
        super().__init__(name)
        self.function = function

    def impl(self, x: Any, *, axes: Shape) -> list[Any]:
        return [self.function(x, axis=axes)]

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Any], *, axes: Shape) -> tuple[Any, Any]:
        (x,), (dx,) = primals, tangents
        y = self(x, axes=axes)
        aval = typeof(x)
        winners = convert(equal(x, restore_axes(y, aval.shape, axes)), dtype=aval.dtype)
        shares = divide(winners, restore_axes(reduce_sum(winners, axes=axes), aval.shape, axes))
        return [y], [reduce_sum(scale(dx, shares), axes=axes)]


class Truth(Reduction):
    """Whether any or all elements are true."""

    def __init__(self, name: str, function: Any):
        super().__init__(name)
        self.function = function

    def result_dtype(self, dtype: np.dtype[Any]) -> np.dtype[Any]:
        return BOOL

    def impl(self, x: Any, *, axes: Shape) -> list[Any]:
        return [self.function(x, axis=axes)]

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Any], *, axes: Shape) -> tuple[Any, Any]:
        return [self(primals[0], axes=axes)], [ZERO]


class ArgExtreme(Truth):
    """The index of the first maximum or minimum along one axis (`axes` has one entry): int64."""

    def result_dtype(self, dtype: np.dtype[Any]) -> np.dtype[Any]:
        return np.dtype(np.int64)

    def impl(self, x: Any, *, axes: Shape) -> list[Any]:
        return [self.function(x, axis=axes[0])]


class LogSumExp(Reduction):
    """log(sum(exp(x))) without overflow; -inf if all elements are, inf if one is."""

    def impl(self, x: Any, *, axes: Shape) -> list[Any]:
        if x.size == 0:
            return [np.log(np.sum(np.exp(x), axis=axes))]
        largest = np.max(x, axis=axes, keepdims=True)
        shift = np.where(np.isfinite(largest), largest, 0)
        with np.errstate(divide="ignore"):
            y = np.log(np.sum(np.exp(x - shift), axis=axes, keepdims=True)) + shift
        return [y.reshape([n for i, n in enumerate(x.shape) if i not in axes])[()].astype(x.dtype)]

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Any], *, axes: Shape) -> tuple[Any, Any]:
        (x,), (dx,) = primals, tangents
        y = self(x, axes=axes)
        shape = typeof(x).shape
        # Where every element is -inf no element has a share; x - 0 keeps exp at zero there.
        shift = restore_axes(select(isfinite(y), y, typeof(x).dtype.type(0)), shape, axes)
        return [y], [reduce_sum(scale(dx, exp(subtract(x, shift))), axes=axes)]


def _flatten_axes(x: Any, axes: Shape) -> Any:
    """The axes to be reduced as one, in front of the others."""
    shape = typeof(x).shape
    kept = tuple(i for i in range(len(shape)) if i not in axes)
    moved = transpose(x, permutation=(*axes, *kept))
    extent = int(np.prod([shape[i] for i in axes], dtype=int))
    return reshape(moved, shape=(extent, *(shape[i] for i in kept)))


reduce_prod = ReduceProd("reduce_prod")
reduce_max = Extreme("reduce_max", np.max)
reduce_min = Extreme("reduce_min", np.min)
reduce_any = Truth("reduce_any", np.any)
reduce_all = Truth("reduce_all", np.all)
argmax = ArgExtreme("argmax", np.argmax)
argmin = ArgExtreme("argmin", np.argmin)
logsumexp = LogSumExp("logsumexp")
