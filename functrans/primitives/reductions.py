"""Reductions: products, extremes, truth values, bits, places of extremes, and log-sum-exp."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from ..core.avals import BOOL, INT, ZERO, ShapedArray
from ..core.devices import is_on_device
from ..core.trace import Params, typeof
from .elementwise import add, divide, equal, exp, isfinite, multiply, select, subtract
from .families import Reduction
from .foundation import Shape, convert, reduce_sum, reshape, restore_axes, scale, without
from .on_gpu import reduce
from .selection import stop_gradient
from .structural import concatenate, slice_axis, transpose

#: Of so many elements the place of the extreme is an expression of all of them.
FEW_PLACES = 16


class ReduceProd(Reduction):
    """The product. Its derivative is that of a tree of products of pairs, which no zero can spoil."""

    combine = "multiply"

    def impl(self, x: Any, *, axes: Shape) -> list[Any]:
        return [np.prod(x, axis=axes, dtype=x.dtype.type)]

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Any], *, axes: Shape) -> tuple[Any, Any]:
        x, dx = (_merged(v, axes) for v in (primals[0], tangents[0]))
        while typeof(x).shape[0] > 1:
            x, dx = _products_of_pairs(x, dx)
        tangent = reshape(dx, shape=typeof(dx).shape[1:]) if typeof(dx).shape[0] else ZERO
        return [self(primals[0], axes=axes)], [tangent]


class Extreme(Reduction):
    """The maximum or minimum; elements that tie share the derivative equally. NaN wins, and has none."""

    def __init__(self, name: str, function: Any):
        super().__init__(name)
        self.function = function
        self.combine = {"reduce_max": "maximum", "reduce_min": "minimum"}[name]

    def impl(self, x: Any, *, axes: Shape) -> list[Any]:
        return [self.function(x, axis=axes)]

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Any], *, axes: Shape) -> tuple[Any, Any]:
        (x,), (dx,) = primals, tangents
        y = self(x, axes=axes)
        wins, share = _shares(x, y, axes)
        dx = select(wins, scale(dx, share), typeof(dx).dtype.type(0))
        return [y], [reduce_sum(dx, axes=axes)]


class ReduceBits(Reduction):
    """A bitwise operation on all elements: integers or booleans."""

    def __init__(self, name: str, ufunc: Any):
        super().__init__(name)
        self.ufunc = ufunc
        self.combine = name.replace("reduce", "bitwise")

    def impl(self, x: Any, *, axes: Shape) -> list[Any]:
        return [reduce(self.ufunc, x, axes) if is_on_device(x) else self.ufunc.reduce(x, axis=axes)]


class Truth(Reduction):
    """Whether any or all elements are true."""

    def __init__(self, name: str, function: Any):
        super().__init__(name)
        self.function = function
        self.combine = {"reduce_any": "logical_or", "reduce_all": "logical_and"}.get(name)

    def result_dtype(self, dtype: np.dtype[Any]) -> np.dtype[Any]:
        return BOOL

    def impl(self, x: Any, *, axes: Shape) -> list[Any]:
        return [self.function(x, axis=axes)]

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Any], *, axes: Shape) -> tuple[Any, Any]:
        return [self(primals[0], axes=axes)], [ZERO]


class ArgExtreme(Truth):
    """The index of the first maximum or minimum along one axis (`axes` has one entry), or of the first NaN: int64."""

    def result_dtype(self, dtype: np.dtype[Any]) -> np.dtype[Any]:
        return INT

    def abstract_eval(self, x: ShapedArray, *, axes: Shape) -> list[ShapedArray]:
        if not x.shape[axes[0]]:
            raise ValueError(f"attempt to get {self.name} of an empty sequence")
        return super().abstract_eval(x, axes=axes)

    def impl(self, x: Any, *, axes: Shape) -> list[Any]:
        if not x.size:  # NumPy refuses other axes of extent zero as well
            return [np.zeros_like(x, dtype=INT, shape=self.abstract_eval(typeof(x), axes=axes)[0].shape)]
        return [self.function(x, axis=axes[0])]

    def lower(self, result: Any, x: Any, *, axes: Shape) -> Any:
        """Among few elements: the better ones of pairs, of pairs of these, and so on."""
        (axis,) = axes
        if x.aval.shape[axis] > FEW_PLACES or x.aval.dtype.kind not in "biuf":
            return None

        def rule(index: Any) -> Any:
            places = [result.fixed(k) for k in range(x.aval.shape[axis])]
            found = [(x.at((*index[:axis], k, *index[axis:])), result.position(k)) for k in places]
            while len(found) > 1:
                pairs = [self._better(result, *pair) for pair in zip(found[::2], found[1::2])]
                found = [*pairs, *found[2 * len(pairs) :]]
            return found[0][1]

        return rule

    def lowering_key(self, avals: Sequence[Any], params: Params) -> Any:
        extent = avals[0].shape[params["axes"][0]]
        return params["axes"], extent if extent <= FEW_PLACES else None

    def _better(self, result: Any, first: Any, second: Any) -> Any:
        """The extreme of two elements, with its place: the first one, if they are equal."""
        (x, x_place), (y, y_place) = first, second
        truth, dtype = result.of(BOOL), x.dtype
        order = "greater" if self.function is np.argmax else "less"
        takes_second = truth.apply(order, y, x, computes_in=np.dtype(np.uint8) if dtype.kind == "b" else dtype)
        if dtype.kind == "f":
            is_new = truth.apply("isnan", y, computes_in=dtype)
            is_old = truth.apply("logical_not", truth.apply("isnan", x, computes_in=dtype))
            takes_second = truth.apply("logical_or", takes_second, truth.apply("logical_and", is_new, is_old))
        return result.of(dtype).choose(takes_second, y, x), result.choose(takes_second, y_place, x_place)

    def assemble(
        self, assembler: Any, block: list[Any], sources: Sequence[Any], targets: Sequence[Any], params: Params
    ) -> bool:
        combine = "maximum" if self.function is np.argmax else "minimum"
        return assembler.arg_extreme(block, *sources, *targets, params["axes"][0], combine)


class LogSumExp(Reduction):
    """log(sum(exp(x))) without overflow, of floats or complex numbers; -inf of nothing.

    If the result is infinite, its derivative is that of the maximum.
    """

    def impl(self, x: Any, *, axes: Shape) -> list[Any]:
        wide = x.astype(np.float32) if x.dtype == np.float16 else x
        if 0 in (wide.shape[axis] for axis in axes):
            return [np.full_like(x, -np.inf, shape=without(x.shape, axes))[()]]
        largest = np.max(wide.real, axis=axes, keepdims=True)
        shift = np.where(np.isfinite(largest), largest, largest.dtype.type(0))
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            y = np.log(np.sum(np.exp(wide - shift), axis=axes)) + shift.reshape(without(x.shape, axes))
        return [y.astype(x.dtype)]

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Any], *, axes: Shape) -> tuple[Any, Any]:
        (x,), (dx,) = primals, tangents
        y = self(x, axes=axes)
        is_finite, shape, zero = isfinite(y), typeof(x).shape, typeof(x).dtype.type(0)
        weights = exp(subtract(x, restore_axes(select(is_finite, y, zero), shape, axes)))
        is_ordered = typeof(x).dtype.kind == "f" and typeof(x).size
        largest = reduce_max(stop_gradient(x), axes=axes) if is_ordered else y  # the same where that is infinite
        weights = select(restore_axes(is_finite, shape, axes), weights, select(*_shares(x, largest, axes), zero))
        return [y], [reduce_sum(scale(dx, weights), axes=axes)]


reduce_prod = ReduceProd("reduce_prod")
reduce_max = Extreme("reduce_max", np.max)
reduce_min = Extreme("reduce_min", np.min)
reduce_any = Truth("reduce_any", np.any)
reduce_all = Truth("reduce_all", np.all)
reduce_and = ReduceBits("reduce_and", np.bitwise_and)
reduce_or = ReduceBits("reduce_or", np.bitwise_or)
reduce_xor = ReduceBits("reduce_xor", np.bitwise_xor)
argmax = ArgExtreme("argmax", np.argmax)
argmin = ArgExtreme("argmin", np.argmin)
logsumexp = LogSumExp("logsumexp")


def _merged(x: Any, axes: Shape) -> Any:
    """The axes to be reduced as one, in front of the others."""
    shape = typeof(x).shape
    kept = tuple(i for i in range(len(shape)) if i not in axes)
    moved = transpose(x, permutation=(*axes, *kept))
    return reshape(moved, shape=(prod(shape[i] for i in axes), *(shape[i] for i in kept)))


def _products_of_pairs(x: Any, dx: Any) -> tuple[Any, Any]:
    """The products of the first half of the rows with the second half, and their tangents; an odd row stays."""
    extent = typeof(x).shape[0]
    half = extent // 2
    (a, da), (b, db) = ([slice_axis(v, i, i + half, axis=0) for v in (x, dx)] for i in (0, half))
    product, slope = multiply(a, b), add(scale(da, b), scale(db, a))
    if extent % 2:
        product = concatenate(product, slice_axis(x, extent - 1, extent, axis=0), axis=0)
        slope = concatenate(slope, slice_axis(dx, extent - 1, extent, axis=0), axis=0)
    return product, slope


def _shares(x: Any, y: Any, axes: Shape) -> tuple[Any, Any]:
    """Which elements attain the extreme y, and what each gets of its derivative: equal parts of one."""
    aval = typeof(x)
    wins = equal(x, restore_axes(y, aval.shape, axes))
    count = reduce_sum(convert(wins, dtype=INT), axes=axes)
    share = convert(divide(1.0, select(equal(count, 0), 1, count)), dtype=aval.dtype)
    return wins, restore_axes(share, aval.shape, axes)
