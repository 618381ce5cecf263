"""Determinants and their derivatives, which exist at singular matrices too.

The derivative of det is the inner product with the matrix of cofactors, whose elements are polynomials in those of a.
At singular matrices it and its own derivative come from a singular value decomposition a = u diag(s) v^H as products of
all singular values but one or two, with no division; u and v only change the basis (G. Stewart, "On the adjugate
matrix", Linear Algebra and its Applications 283, 1998). The formulas are written with other primitives, which compiled
programs consist of, too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import product
from math import prod
from typing import Any

import numpy as np

from ..core.avals import ZERO, ShapedArray, real_dtype
from ..core.devices import checked, here, place_of
from ..core.dtypes import as_dtype
from ..core.jaxpr import Jaxpr
from ..core.primitive import is_hole
from ..core.staging import trace_closed
from ..core.trace import EVAL, Params, running, typeof
from ..errors import ShapeMismatchError
from .complex import imag, real
from .cumulative import cumprod
from .elementwise import absolute, add, divide, greater, logical_and, multiply, negative, subtract
from .foundation import add_tangents, broadcast_to, full, reduce_sum, reshape
from .linalg import inverse
from .matrices import (
    MatrixPrimitive,
    check_square,
    column,
    conj,
    diagonal,
    identity_like,
    inner,
    matmul,
    mH,
    mT,
    on_diagonal,
    row,
)
from .reductions import reduce_max
from .selection import select
from .spectral import svd
from .structural import concatenate, slice_axis

#: A function of matrices (and of directions).
Formula = Callable[..., Any]


class Det(MatrixPrimitive):
    """Determinants of square matrices."""

    def abstract_eval(self, a: ShapedArray) -> list[ShapedArray]:
        check_square(a, "A square matrix")
        return [ShapedArray(a.shape[:-2], a.dtype)]

    def impl(self, a: Any) -> list[Any]:
        return [np.linalg.det(a)]

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
        return [self(*primals)], [inner(cofactors(*primals), tangents[0])]

    def assemble(
        self, assembler: Any, block: list[Any], sources: Sequence[Any], targets: Sequence[Any], params: Params
    ) -> bool:
        return assembler.linear_algebra(block, self, sources, targets, params)


class Cofactors(MatrixPrimitive):
    """The matrices of cofactors: the gradient of det, and det(a) times the transposed inverse of a regular a."""

    def abstract_eval(self, a: ShapedArray) -> list[ShapedArray]:
        check_square(a, "A square matrix")
        return [a]

    def impl(self, a: Any) -> list[Any]:
        try:
            with checked(a):
                return [np.linalg.det(a)[..., None, None] * np.swapaxes(np.linalg.inv(a), -1, -2)]
        except np.linalg.LinAlgError:
            return [run(cofactors_by_values, a)]

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
        return [self(*primals)], [cofactor_derivative(*primals, *tangents)]

    def assemble(
        self, assembler: Any, block: list[Any], sources: Sequence[Any], targets: Sequence[Any], params: Params
    ) -> bool:
        if assembler.linear_algebra(block, self, sources, targets, params):
            return True
        if not assembler.has_launches or 0 in sources[0].shape:
            return False
        # Where singular matrices cannot be told from others.
        assemble(assembler, block, cofactors_by_values, sources, *targets)
        return True


class CofactorDerivative(MatrixPrimitive):
    """The k-th derivative of the cofactors of `a` in k >= 1 directions: linear in each, and symmetric in them.

    With one direction more, and the inner product with that, it is the derivative of order k + 1 of the determinant.
    """

    def abstract_eval(self, a: ShapedArray, *directions: ShapedArray) -> list[ShapedArray]:
        check_square(a, "A square matrix")
        for e in directions:
            if a.shape != e.shape:
                raise ShapeMismatchError(f"A direction of type {e} was given for matrices of type {a}.")
        return [a]

    def impl(self, a: Any, *directions: Any) -> list[Any]:
        return [run(_formula_of(len(directions)), a, *directions)]

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
        (a, *directions), (da, *changes) = primals, tangents
        total: Any = ZERO
        # Cofactors are polynomials of degree n - 1.
        if da is not ZERO and len(directions) + 1 < typeof(a).shape[-1]:
            total = self(a, da, *directions)
        for i, change in enumerate(changes):
            if change is not ZERO:
                total = add_tangents(total, self(a, *directions[:i], change, *directions[i + 1 :]))
        return [self(*primals)], [total]

    def transpose(self, cotangents: Sequence[Any], *args: Any) -> list[Any]:
        holes = [i for i, x in enumerate(args) if is_hole(x)]
        if len(holes) > 1 or holes[0] == 0:
            return super().transpose(cotangents, *args)
        ct = self(*(cotangents[0] if is_hole(x) else x for x in args))
        return [ct if is_hole(x) else None for x in args]

    def assemble(
        self, assembler: Any, block: list[Any], sources: Sequence[Any], targets: Sequence[Any], params: Params
    ) -> bool:
        if assembler.linear_algebra(block, self, sources, targets, params):
            return True
        if 0 in sources[0].shape:
            return False
        assemble(assembler, block, _formula_of(len(sources) - 1), sources, *targets)
        return True


class SlogDet(MatrixPrimitive):
    """Signs (or phases) and logarithms of the absolute values of determinants."""

    def abstract_eval(self, a: ShapedArray) -> list[ShapedArray]:
        check_square(a, "A square matrix")
        return [ShapedArray(a.shape[:-2], a.dtype), ShapedArray(a.shape[:-2], real_dtype(a.dtype))]

    def impl(self, a: Any) -> list[Any]:
        return list(np.linalg.slogdet(a))

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
        sign, log = self.bind(*primals)
        slope = inner(mT(inverse(primals[0])), tangents[0])
        if typeof(slope).dtype.kind != "c":
            return [sign, log], [ZERO, slope]
        return [sign, log], [multiply(multiply(1j, sign), imag(slope)), real(slope)]

    def assemble(
        self, assembler: Any, block: list[Any], sources: Sequence[Any], targets: Sequence[Any], params: Params
    ) -> bool:
        return assembler.linear_algebra(block, self, sources, targets, params)


det = Det("det")
cofactors = Cofactors("cofactors")
cofactor_derivative = CofactorDerivative("cofactor_derivative")
slogdet = SlogDet("slogdet")


def run(formula: Formula, *operands: Any) -> Any:
    """What a formula makes of arrays: one with the shape of the first of them."""
    if 0 in operands[0].shape:
        return np.zeros_like(operands[0])
    with running(EVAL), place_of(operands):
        return formula(*operands)


@lru_cache(maxsize=128)
def program_of(formula: Formula, avals: tuple[ShapedArray, ...]) -> Jaxpr:
    """A formula as a program for operands of some types."""
    return trace_closed(lambda *operands: [formula(*operands)], avals)


def assemble(assembler: Any, block: list[Any], formula: Formula, sources: Sequence[Any], target: Any) -> None:
    """Add the instructions for a formula."""
    avals = tuple(ShapedArray(x.shape, x.dtype) for x in sources)
    block += assembler.block(program_of(formula, avals), sources, [target])


def cofactors_by_values(a: Any) -> Any:
    """The matrices of cofactors, from the singular values."""
    u, s, v_h = svd.bind(a, full_matrices=False, vectors=True)
    others = as_dtype(products_without_each(s), typeof(a).dtype)
    return multiply(orientation(u, v_h), conj(matmul(multiply(u, row(others)), v_h)))


def cofactor_slope(a: Any, e: Any) -> Any:
    """The derivative of the cofactors of a in the direction e."""
    u, s, v_h = svd.bind(a, full_matrices=False, vectors=True)
    others = as_dtype(products_without_pairs(s), typeof(a).dtype)
    turned = matmul(mH(u), matmul(e, mH(v_h)))
    on_diagonals = reduce_sum(multiply(others, row(diagonal(turned))), axes=(typeof(a).ndim - 1,))
    # The adjugate of diag(s) + t is this, to first order in t; the cofactors are its transpose.
    slope = subtract(multiply(identity_like(a), column(on_diagonals)), multiply(others, turned))
    return multiply(orientation(u, v_h), matmul(conj(u), matmul(mT(slope), conj(v_h))))


def _formula_of(directions: int) -> Formula:
    """The formula for the derivative of the cofactors in so many directions."""
    return cofactor_slope if directions == 1 else cofactor_derivative_of_order


def cofactor_derivative_of_order(a: Any, *directions: Any) -> Any:
    """The derivative of the cofactors of a in several directions, by polarization and interpolation.

    Along a line the cofactors are a polynomial of degree n - 1, and its coefficients the Fourier transform of its
    values on a circle in the complex plane.
    """
    aval, k = typeof(a), len(directions)
    total = full(value=0, shape=aval.shape, dtype=aval.dtype)
    if k >= aval.shape[-1]:
        return total
    for signs in product((1, -1), repeat=k - 1):
        e = directions[0]
        for sign, other in zip(signs, directions[1:]):
            e = add(e, other) if sign > 0 else subtract(e, other)
        coefficient = _taylor_coefficient(a, e, k)
        coefficient = coefficient if aval.dtype.kind == "c" else real(coefficient)
        total = add(total, as_dtype(coefficient if prod(signs) > 0 else negative(coefficient), aval.dtype))
    return divide(total, aval.dtype.type(2 ** (k - 1)))


def _taylor_coefficient(a: Any, e: Any, k: int) -> Any:
    """The coefficient of t**k of the cofactors of a + t e, complex."""
    shape = typeof(a).shape
    n = shape[-1]
    size, length = (_largest(absolute(x)) for x in (a, e))
    has_length = greater(length, 0)
    radius = divide(
        select(logical_and(greater(size, 0), has_length), size, typeof(size).dtype.type(1)),
        select(has_length, length, typeof(length).dtype.type(1)),
    )
    radius = multiply(radius, typeof(radius).dtype.type(min(1.0, k / max(1, n - 1 - k))))
    circle = np.exp(2j * np.pi * np.arange(n) / n).reshape(n, *(1,) * len(shape))
    values = cofactors(add(row_of(a), multiply(multiply(row_of(radius), here(circle)), row_of(e))))
    mean = divide(reduce_sum(multiply(values, here(circle**-k)), axes=(0,)), np.complex128(n))
    power = radius
    for _ in range(k - 1):
        power = multiply(power, radius)
    return divide(mean, power)


def row_of(x: Any) -> Any:
    """With one more axis, in front."""
    return reshape(x, shape=(1, *typeof(x).shape))


def _largest(x: Any) -> Any:
    """The largest element of each matrix, as a matrix of one."""
    aval = typeof(x)
    return reshape(reduce_max(x, axes=(aval.ndim - 2, aval.ndim - 1)), shape=(*aval.shape[:-2], 1, 1))


def orientation(u: Any, v_h: Any) -> Any:
    """det(u v^H) of the unitary factors, as 1 by 1 matrices."""
    return column(column(multiply(det(u), det(v_h))))


def products_without_each(s: Any) -> Any:
    """The product of all other elements, for each element of the last axis."""
    aval = typeof(s)
    n, axis = aval.shape[-1], aval.ndim - 1
    ones = full(value=1, shape=(*aval.shape[:-1], 1), dtype=aval.dtype)
    before = cumprod(concatenate(ones, slice_axis(s, 0, n - 1, axis=axis), axis=axis), axis=axis, reverse=False)
    after = cumprod(concatenate(slice_axis(s, 1, n, axis=axis), ones, axis=axis), axis=axis, reverse=True)
    return multiply(before, after)


def products_without_pairs(s: Any) -> Any:
    """For each pair of different elements of the last axis, the product of all others; zeros on the diagonal."""
    aval = typeof(s)
    n = aval.shape[-1]
    number = aval.dtype.type
    matrices = broadcast_to(row(s), shape=(*aval.shape, n))
    without_row = products_without_each(select(on_diagonal(n), number(1), matrices))
    return select(on_diagonal(n), number(0), without_row)
