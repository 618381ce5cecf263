"""Determinants and their derivatives, which exist at singular matrices too.

The derivative of det is the inner product with the matrix of cofactors, whose elements are polynomials in those of a.
At singular matrices it and its own derivative come from a singular value decomposition a = u diag(s) v^H as products of
all singular values but one or two, with no division; u and v only change the basis (G. Stewart, "On the adjugate
matrix", Linear Algebra and its Applications 283, 1998).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from math import prod
from typing import Any

import numpy as np

from ..core.avals import ZERO, ShapedArray, real_dtype
from ..core.devices import checked, eye_like
from ..core.primitive import is_hole
from ..core.trace import Params, typeof
from ..errors import ShapeMismatchError
from . import determinant_formulas as formulas
from .complex import imag, real
from .elementwise import multiply
from .foundation import add_tangents
from .linalg import inverse
from .matrices import MatrixPrimitive, check_square, inner, mT


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
            u, s, v_h = np.linalg.svd(a)
            others = products_without_each(s)[..., None, :]
            return [orientation(u, v_h) * np.conj((u * others) @ v_h)]

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
        return [self(*primals)], [cofactor_derivative(*primals, *tangents)]

    def assemble(
        self, assembler: Any, block: list[Any], sources: Sequence[Any], targets: Sequence[Any], params: Params
    ) -> bool:
        if assembler.linear_algebra(block, self, sources, targets, params):
            return True
        if not assembler.is_plain or 0 in sources[0].shape:
            return False
        # Where singular matrices cannot be told from others.
        formulas.assemble(assembler, block, formulas.cofactors_by_values, [det], sources, *targets)
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
        return [cofactor_slope(a, *directions) if len(directions) == 1 else cofactor_derivative_of_order(a, directions)]

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
        others, formula = [det], formulas.cofactor_slope
        if len(sources) > 2:
            others, formula = [cofactors], formulas.cofactor_derivative_of_order
        formulas.assemble(assembler, block, formula, others, sources, *targets)
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


def orientation(u: Any, v_h: Any) -> Any:
    """det(u v^H) of the unitary factors, as 1 by 1 matrices."""
    return (np.linalg.det(u) * np.linalg.det(v_h))[..., None, None]


def cofactor_slope(a: Any, e: Any) -> Any:
    """The derivative of the cofactors of a in the direction e."""
    u, s, v_h = np.linalg.svd(a)
    others = products_without_pairs(s)
    turned = np.conj(np.swapaxes(u, -1, -2)) @ e @ np.conj(np.swapaxes(v_h, -1, -2))
    on_diagonal = np.einsum("...ij,...jj->...i", others, turned)
    # The adjugate of diag(s) + t is this, to first order in t; the cofactors are its transpose.
    slope = eye_like(s, s.shape[-1], s.dtype) * on_diagonal[..., None, :] - others * turned
    return orientation(u, v_h) * (np.conj(u) @ np.swapaxes(slope, -1, -2) @ np.conj(v_h))


def cofactor_derivative_of_order(a: Any, directions: Sequence[Any]) -> Any:
    """The derivative of the cofactors of a in several directions, by polarization and interpolation.

    Along a line the cofactors are a polynomial of degree n - 1, and its coefficients the Fourier transform of its
    values on a circle in the complex plane.
    """
    k, n = len(directions), a.shape[-1]
    total = np.zeros_like(a)
    if k >= n:
        return total
    for signs in product((1, -1), repeat=k - 1):
        e = sum((sign * e for sign, e in zip(signs, directions[1:])), directions[0])
        coefficient = _taylor_coefficient(a, e, k)
        total = total + prod(signs) * (coefficient if a.dtype.kind == "c" else coefficient.real)
    return (total / 2 ** (k - 1)).astype(a.dtype, copy=False)


def _taylor_coefficient(a: Any, e: Any, k: int) -> Any:
    """The coefficient of t**k of the cofactors of a + t e, complex."""
    n = a.shape[-1]
    size, length = (np.abs(x).max(axis=(-1, -2), keepdims=True) for x in (a, e))
    # Where (size + t length)**(n - 1) / t**k is smallest, which is what rounding errors are proportional to.
    radius = np.where((size > 0) & (length > 0), size, 1) / np.where(length > 0, length, 1)
    radius = radius * min(1.0, k / max(1, n - 1 - k))
    circle = np.exp(2j * np.pi * np.arange(n, like=a) / n).reshape(n, *(1,) * a.ndim)
    values = cofactors.impl(a + radius * circle * e)[0]
    return (values * circle**-k).mean(axis=0) / radius**k


def products_without_each(s: Any) -> Any:
    """The product of all other elements, for each element of the last axis."""
    ones = np.ones_like(s[..., :1])
    before = np.cumprod(np.concatenate([ones, s[..., :-1]], axis=-1), axis=-1)
    after = np.cumprod(np.concatenate([ones, s[..., :0:-1]], axis=-1), axis=-1)
    return before * after[..., ::-1] if s.shape[-1] else s


def products_without_pairs(s: Any) -> Any:
    """For each pair of different elements of the last axis, the product of all others; zeros on the diagonal."""
    n = s.shape[-1]
    mask = eye_like(s, n, bool)
    without_row = products_without_each(np.where(mask, s.dtype.type(1), s[..., None, :]))
    return np.where(mask, s.dtype.type(0), without_row)
