"""Sums of products: dot_general, which matrix products, tensordot and einsum are made of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from math import prod
from typing import Any, NamedTuple

import numpy as np

from ..core.avals import ShapedArray
from ..core.primitive import Lowered, is_hole
from ..core.trace import Params, current_trace, typeof
from ..errors import ShapeMismatchError
from .families import Bilinear
from .foundation import Shape, promoted, unbroadcast
from .structural import transpose

#: ((contracted axes of x, of y), (batch axes of x, of y)), as in JAX.
DimensionNumbers = tuple[tuple[Shape, Shape], tuple[Shape, Shape]]

#: Inner products of at most this length, many at once, are quicker in einsum's own loop than in BLAS.
_SHORT = 16
#: Matrices of at least this size are worth a call of BLAS each, where one call for all of them would need a copy.
_WORTH_A_CALL = 1024
#: Sums of so few products are expressions in compiled code, which fuse with what makes the factors and what reads them.
_FEW_TERMS = 4


class DotGeneral(Bilinear):
    """Sums over pairs of axes, and maps over others: `dot_general(x, y, dimension_numbers=)`.

    The axes of the result are the batch axes, the remaining axes of x, and those of y.
    """

    def __call__(self, x: Any, y: Any, *, dimension_numbers: DimensionNumbers) -> Any:
        return current_trace.get().process(self, (x, y), {"dimension_numbers": dimension_numbers})[0]

    def abstract_eval(
        self, x: ShapedArray, y: ShapedArray, *, dimension_numbers: DimensionNumbers
    ) -> list[ShapedArray]:
        (xc, yc), (xb, yb) = dimension_numbers
        have, others = x.shape, y.shape
        if [have[axis] for axis in (*xc, *xb)] != [others[axis] for axis in (*yc, *yb)]:
            raise contraction_error(have, others, (*xc, *xb), (*yc, *yb))
        x_free, y_free = _axes(dimension_numbers, len(have), len(others))
        shape = (*[have[axis] for axis in (*xb, *x_free)], *[others[axis] for axis in y_free])
        return [ShapedArray(shape, promoted(x, y))]

    def impl(self, x: Any, y: Any, *, dimension_numbers: DimensionNumbers) -> list[Any]:
        return [_contraction(dimension_numbers, getattr(x, "ndim", 0), getattr(y, "ndim", 0))(x, y)]

    def transpose(
        self, cotangents: Sequence[Any], x: Any, y: Any, *, dimension_numbers: DimensionNumbers
    ) -> list[Any]:
        self.check_one_hole(x, y)
        (ct,) = cotangents
        x_aval, y_aval = typeof(x), typeof(y)
        to_x, to_y = _transposes(dimension_numbers, x_aval.ndim, y_aval.ndim)
        if is_hole(x):
            return [unbroadcast(_apply(to_x, ct, y), x_aval), None]
        return [None, unbroadcast(_apply(to_y, ct, x), y_aval)]

    def batch(
        self, size: int, values: Sequence[Any], mapped: Sequence[bool], *, dimension_numbers: DimensionNumbers
    ) -> tuple[Any, Any]:
        ndims = (len(typeof(v).shape) - m for v, m in zip(values, mapped))
        return [_apply(_batched(dimension_numbers, *mapped, *ndims), *values)], [True]

    def lower_reduction(self, result: Any, x: Any, y: Any, *, dimension_numbers: DimensionNumbers) -> Lowered | None:
        """Small matrices, and numbers that BLAS does not know; it is the better place for all others."""
        (xc, yc), (xb, yb) = dimension_numbers
        if self.is_for_library(x.aval, y.aval, dimension_numbers):
            return None
        axes = _axes(dimension_numbers, x.aval.ndim, y.aval.ndim)
        extents = [x.aval.shape[axis] for axis in xc]
        x_places = _places((*xb, *axes.x_free), xc, result.aval.ndim)
        y_free = range(result.aval.ndim - len(axes.y_free), result.aval.ndim)
        y_places = {**_places(yb, yc, result.aval.ndim), **dict(zip(axes.y_free, y_free))}

        def element(index: Any) -> Any:
            factors = (
                operand.at(tuple(index[places[axis]] for axis in range(operand.aval.ndim)))
                for operand, places in ((x, x_places), (y, y_places))
            )
            return result.apply("multiply", *factors)

        return Lowered((*result.aval.shape, *extents), len(xc), "add", element)

    def lowering_key(self, avals: Sequence[Any], params: Params) -> Any:
        numbers = params["dimension_numbers"]
        return numbers, self.is_for_library(*avals, numbers)

    @staticmethod
    def is_for_library(x: ShapedArray, y: ShapedArray, dimension_numbers: DimensionNumbers) -> bool:
        """Whether a call of a library is worth it, and there is one."""
        axes = _axes(dimension_numbers, x.ndim, y.ndim)
        contracted = prod([x.shape[axis] for axis in dimension_numbers[0][0]])
        return promoted(x, y).char in "eEfdFD" and not _is_small(x, y, axes, contracted)

    def assemble(
        self, assembler: Any, block: list[Any], sources: Sequence[Any], targets: Sequence[Any], params: Params
    ) -> bool:
        """A product of matrices of one dtype."""
        (x, y), (z,) = sources, targets
        if z.dtype.char not in assembler.product_types or {x.dtype, y.dtype} != {z.dtype} or 0 in (*x.shape, *y.shape):
            return False
        (xc, yc), (xb, yb) = params["dimension_numbers"]
        axes = _axes(params["dimension_numbers"], len(x.shape), len(y.shape))
        assembler.contract(block, x, y, z, (xb, axes.x_free, xc), (yb, yc, axes.y_free))
        return True


dot_general = DotGeneral("dot_general")


def contraction_error(x_shape: Shape, y_shape: Shape, x_axes: Shape, y_axes: Shape) -> ShapeMismatchError:
    """For two arrays whose paired axes have different extents."""
    i, j = next((i, j) for i, j in zip(x_axes, y_axes) if x_shape[i] != y_shape[j])
    return ShapeMismatchError(
        f"Shapes {x_shape} and {y_shape} are not aligned: {x_shape[i]} (dim {i}) != {y_shape[j]} (dim {j}).",
        "Axes that are summed over or mapped together must have the same extent.",
        "Transpose one of the arrays, or choose other axes.",
    )


def _is_small(x: ShapedArray, y: ShapedArray, axes: _Axes, contracted: int) -> bool:
    """Whether a contraction is as quick as a call of BLAS: with a vector (which can be fused), or of small matrices."""
    rows, columns = (prod(aval.shape[axis] for axis in free) for aval, free in zip((x, y), axes))
    if min(rows, columns) == 1 or contracted <= _FEW_TERMS:
        return True
    return max(rows, columns, contracted) <= _SHORT or rows * columns * contracted <= _WORTH_A_CALL


def _places(first: Shape, contracted: Shape, rank: int) -> dict[int, int]:
    """Where the axes of an operand stand in the space: the first ones from the beginning, the others at the end."""
    return {**{axis: i for i, axis in enumerate(first)}, **{axis: rank + i for i, axis in enumerate(contracted)}}


# ---- which axis goes where


class _Axes(NamedTuple):
    """The axes of two operands by their role."""

    x_free: Shape
    y_free: Shape


@cache
def _axes(dimension_numbers: DimensionNumbers, x_ndim: int, y_ndim: int) -> _Axes:
    (xc, yc), (xb, yb) = dimension_numbers
    return _Axes(
        tuple(i for i in range(x_ndim) if i not in xc and i not in xb),
        tuple(i for i in range(y_ndim) if i not in yc and i not in yb),
    )


class _Step(NamedTuple):
    """A contraction, its operands swapped if need be, and a permutation of its result (None: as it is)."""

    dimension_numbers: DimensionNumbers
    swap: bool
    permutation: Shape | None


def _apply(step: _Step, x: Any, y: Any) -> Any:
    z = dot_general(*((y, x) if step.swap else (x, y)), dimension_numbers=step.dimension_numbers)
    return z if step.permutation is None else transpose(z, permutation=step.permutation)


def _step(dimension_numbers: DimensionNumbers, x_ndim: int, y_ndim: int, order: Sequence[Any], names: Any) -> _Step:
    """The contraction whose result has its axes in a given order, in one of the two orders of the operands.

    Args:
        order: the wanted axes by name.
        names: the names of the axes of x and of y; those of batch axes are taken from x.
    """
    (xc, yc), (xb, yb) = dimension_numbers
    x_free, y_free = _axes(dimension_numbers, x_ndim, y_ndim)
    batch = [names[0][i] for i in xb]
    x_names, y_names = [names[0][i] for i in x_free], [names[1][i] for i in y_free]
    if batch + x_names + y_names == list(order):
        return _Step(dimension_numbers, False, None)
    swapped = batch + y_names + x_names
    permutation = tuple(swapped.index(name) for name in order)
    return _Step(((yc, xc), (yb, xb)), True, None if swapped == list(order) else permutation)


@cache
def _transposes(dimension_numbers: DimensionNumbers, x_ndim: int, y_ndim: int) -> tuple[_Step, _Step]:
    """How a cotangent and the other operand give the cotangent of x, and of y."""
    (xc, yc), (xb, yb) = dimension_numbers
    x_free, y_free = _axes(dimension_numbers, x_ndim, y_ndim)
    x_names: list[Any] = [("x", i) for i in range(x_ndim)]
    y_names: list[Any] = [("y", i) for i in range(y_ndim)]
    for i, j in zip((*xc, *xb), (*yc, *yb)):
        y_names[j] = x_names[i]
    ct_names = [*(x_names[i] for i in xb), *(x_names[i] for i in x_free), *(y_names[i] for i in y_free)]
    n_batch, n_x = len(xb), len(xb) + len(x_free)
    ct_batch, ct_x = tuple(range(n_batch)), tuple(range(n_batch, n_x))
    ct_y, ndim = tuple(range(n_x, n_x + len(y_free))), n_x + len(y_free)
    to_x: DimensionNumbers = ((ct_y, y_free), (ct_batch, yb))
    to_y: DimensionNumbers = ((ct_x, x_free), (ct_batch, xb))
    return (
        _step(to_x, ndim, y_ndim, x_names, (ct_names, y_names)),
        _step(to_y, ndim, x_ndim, y_names, (ct_names, x_names)),
    )


@cache
def _batched(dimension_numbers: DimensionNumbers, x_mapped: bool, y_mapped: bool, x_ndim: int, y_ndim: int) -> _Step:
    """The same contraction for operands with a leading axis of lanes: a batch axis of two, a free axis of one."""
    (xc, yc), (xb, yb) = (
        (tuple(i + x_mapped for i in of_x), tuple(i + y_mapped for i in of_y)) for of_x, of_y in dimension_numbers
    )
    if x_mapped and y_mapped:
        return _Step(((xc, yc), ((0, *xb), (0, *yb))), False, None)
    x_free, y_free = _axes(dimension_numbers, x_ndim, y_ndim)
    x_names = ["lane"] * x_mapped + [("x", i) for i in range(x_ndim)]
    y_names = ["lane"] * y_mapped + [("y", i) for i in range(y_ndim)]
    order = ["lane", *(x_names[i] for i in xb), *(("x", i) for i in x_free), *(("y", i) for i in y_free)]
    return _step(((xc, yc), (xb, yb)), x_ndim + x_mapped, y_ndim + y_mapped, order, (x_names, y_names))


# ---- NumPy's part: transpose, reshape, and one call of BLAS for each matrix product


@cache
def _contraction(dimension_numbers: DimensionNumbers, x_ndim: int, y_ndim: int) -> Callable[[Any, Any], Any]:
    """A function of two arrays that does the contraction."""
    (xc, _), (xb, _) = dimension_numbers
    if not xc:
        return _product(dimension_numbers, x_ndim, y_ndim)
    if len(xc) == 1 and not xb and x_ndim <= 2 and y_ndim <= 2:
        return _matrix_product(dimension_numbers, x_ndim, y_ndim)
    by_x = _general(dimension_numbers, x_ndim, y_ndim, True)
    if len(xc) == 1:
        return by_x
    by_y = _general(dimension_numbers, x_ndim, y_ndim, False)
    return lambda x, y: (by_x if x.size >= y.size else by_y)(x, y)


def _matrix_product(dimension_numbers: DimensionNumbers, x_ndim: int, y_ndim: int) -> Callable[[Any, Any], Any]:
    """Vectors and matrices; BLAS reads transposed operands in place."""
    ((xc,), (yc,)), _ = dimension_numbers
    x_turned, y_turned = x_ndim == 2 and xc == 0, y_ndim == 2 and yc == 1
    if x_turned and y_turned:
        return lambda x, y: np.dot(x.T, y.T)
    if x_turned:
        return lambda x, y: np.dot(x.T, y)
    if y_turned:
        return lambda x, y: np.dot(x, y.T)
    return np.dot


def _product(dimension_numbers: DimensionNumbers, x_ndim: int, y_ndim: int) -> Callable[[Any, Any], Any]:
    """Nothing to sum: elementwise on the batch axes, and the outer product of the others."""
    _, (xb, yb) = dimension_numbers
    x_free, y_free = _axes(dimension_numbers, x_ndim, y_ndim)
    x_order, y_order, stretch = (*xb, *x_free), (*yb, *y_free), (1,) * len(x_free)
    n_batch, n_new = len(xb), len(y_free)
    if not x_ndim or not y_ndim:
        return np.multiply

    def multiply(x: Any, y: Any) -> Any:
        x, y = np.transpose(x, x_order), np.transpose(y, y_order)
        x = x.reshape(x.shape + (1,) * n_new)
        return np.multiply(x, y.reshape(y.shape[:n_batch] + stretch + y.shape[n_batch:]))

    return multiply


def _general(dimension_numbers: DimensionNumbers, x_ndim: int, y_ndim: int, by_x: bool) -> Callable[[Any, Any], Any]:
    """Any contraction as products of matrices.

    Args:
        by_x: whether contracted axes are taken in the order they have in x, so that x need not be copied, or in y.
    """
    (xc, yc), (xb, yb) = dimension_numbers
    x_free, y_free = _axes(dimension_numbers, x_ndim, y_ndim)
    pairs = sorted(zip(xc, yc), key=lambda pair: pair[0 if by_x else 1])
    xc, yc = tuple(i for i, _ in pairs), tuple(j for _, j in pairs)
    if not x_free and not y_free:
        return _inner_products((*xb, *xc), (*yb, *yc), len(xb))
    merged = _matrix_products(xb, (), x_free, xc, yb, (), y_free, yc)
    x_loop, y_loop = _outer_axes(x_free, xc), _outer_axes(y_free, yc)
    if not x_loop and not y_loop:
        return merged
    x_rest, y_rest = x_free[len(x_loop) :], y_free[len(y_loop) :]
    looped = _matrix_products(xb, x_loop, x_rest, xc, yb, y_loop, y_rest, yc)

    def choose(x: Any, y: Any) -> Any:
        length = prod(x.shape[i] for i in xc)
        rows, columns = prod(x.shape[i] for i in x_rest), prod(y.shape[i] for i in y_rest)
        large = (not x_loop or rows * length >= _WORTH_A_CALL) and (not y_loop or columns * length >= _WORTH_A_CALL)
        return (looped if large else merged)(x, y)

    return choose


def _outer_axes(free: Shape, contracted: Shape) -> Shape:
    """The free axes outside of the contracted ones, if others lie inside: merging the two groups takes a copy."""
    outside = tuple(i for i in free if i < min(contracted))
    return outside if len(outside) < len(free) else ()


def _inner_products(x_order: Shape, y_order: Shape, n_batch: int) -> Callable[[Any, Any], Any]:
    """All axes that are not mapped are summed over."""

    def inner(x: Any, y: Any) -> Any:
        x, y = np.transpose(x, x_order), np.transpose(y, y_order)
        batch, length = x.shape[:n_batch], prod(x.shape[n_batch:])
        x, y = x.reshape(*batch, length), y.reshape(*batch, length)
        if not batch:
            return np.dot(x, y)
        if length <= _SHORT:
            return np.einsum("...i,...i->...", x, y)
        return np.matmul(x[..., None, :], y[..., None])[..., 0, 0]

    return inner


def _matrix_products(
    xb: Shape, x_loop: Shape, x_rest: Shape, xc: Shape, yb: Shape, y_loop: Shape, y_rest: Shape, yc: Shape
) -> Callable[[Any, Any], Any]:
    """Matrix products, one for each index of the batch and loop axes."""
    n_batch, n_xl, n_xr, n_yl = len(xb), len(x_loop), len(x_rest), len(y_loop)
    x_order, y_order = (*xb, *x_loop, *x_rest, *xc), (*yb, *y_loop, *yc, *y_rest)
    x_lead, y_lead = n_batch + n_xl, n_batch + n_yl
    n_lead = x_lead + n_yl
    order = (*range(x_lead), *range(n_lead, n_lead + n_xr), *range(x_lead, n_lead)) if n_yl else ()

    def products(x: Any, y: Any) -> Any:
        x, y = np.transpose(x, x_order), np.transpose(y, y_order)
        x_shape, y_shape = x.shape, y.shape
        rows, columns = x_shape[x_lead : x_lead + n_xr], y_shape[y_lead + len(yc) :]
        length, m, n = prod(x_shape[x_lead + n_xr :]), prod(rows), prod(columns)
        if not n_lead:
            return np.dot(x.reshape(m, length), y.reshape(length, n)).reshape(rows + columns)
        x = x.reshape(x_shape[:x_lead] + (1,) * n_yl + (m, length))
        y = y.reshape(y_shape[:n_batch] + (1,) * n_xl + y_shape[n_batch:y_lead] + (length, n))
        z = np.matmul(x, y)
        z = z.reshape(z.shape[:n_lead] + rows + columns)
        return np.transpose(z, order + tuple(range(len(order), z.ndim))) if order else z

    return products
