"""Words of matrix algebra that the rules of linear algebra are written in; all leading axes are lanes."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np

from ..core.avals import ShapedArray, is_inexact, real_dtype
from ..core.devices import eye_like, here
from ..core.primitive import Primitive
from ..core.trace import typeof
from ..errors import MatrixShapeError, UnsupportedDtypeError
from .contractions import dot_general
from .elementwise import add, conjugate, multiply
from .families import Structural
from .foundation import all_mapped, broadcast_to, reduce_sum, reshape
from .selection import select
from .structural import transpose


class MatrixPrimitive(Primitive):
    """A primitive whose operands and results have matrices (or vectors) last and the same lanes before them."""

    def batch(
        self, size: int, values: Sequence[Any], mapped: Sequence[bool], **params: Any
    ) -> tuple[Sequence[Any], Sequence[bool]]:
        outs = self.bind(*all_mapped(size, values, mapped), **params)
        return outs, [True] * len(outs)


class Triangle(Structural):
    """The elements on and below the k-th diagonal (`lower`) or on and above it; zeros elsewhere."""

    only_moves = True

    def abstract_eval(self, x: ShapedArray, *, lower: bool, k: int) -> list[ShapedArray]:
        return [ShapedArray(x.shape, x.dtype)]

    def impl(self, x: Any, *, lower: bool, k: int) -> list[Any]:
        return [(np.tril if lower else np.triu)(x, k)]

    def transpose(self, cotangents: Sequence[Any], x: Any, *, lower: bool, k: int) -> list[Any]:
        return [self(cotangents[0], lower=lower, k=k)]

    def batch(
        self, size: int, values: Sequence[Any], mapped: Sequence[bool], *, lower: bool, k: int
    ) -> tuple[Any, Any]:
        return [self(values[0], lower=lower, k=k)], [True]

    def lower(self, result: Any, x: Any, *, lower: bool, k: int) -> Any:
        def element(index: Any) -> Any:
            ends = index[-1], index[-2].plus(k)
            return result.choose(result.is_at_most(*(ends if lower else ends[::-1])), x.at(index), result.constant(0))

        return element


class HermitianPart(MatrixPrimitive):
    """A Hermitian matrix of which one triangle is read; its derivative is that of (a + a^H) / 2.

    On Hermitian matrices the two are the same function. The value is NumPy's and the gradient Hermitian.
    """

    def abstract_eval(self, a: ShapedArray, *, lower: bool) -> list[ShapedArray]:
        check_square(a, "A Hermitian matrix")
        return [a]

    def impl(self, a: Any, *, lower: bool) -> list[Any]:
        n = a.shape[-1]
        below = np.tri(n, n, -1, bool, like=a)
        one_side = np.where(below if lower else below.T, a, np.swapaxes(a, -1, -2).conj())
        return [np.where(eye_like(a, n, np.dtype(bool)), a.real, one_side)]

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Any], *, lower: bool) -> tuple[Any, Any]:
        (t,) = tangents
        return [self(*primals, lower=lower)], [multiply(0.5, add(t, mH(t)))]

    def lower(self, result: Any, a: Any, *, lower: bool) -> Any:
        is_complex = a.aval.dtype.kind == "c"

        def element(index: Any) -> Any:
            *lanes, i, j = index
            here, there = a.at(index), a.at((*lanes, j, i))
            if is_complex:
                there = result.apply("conjugate", there)
                real = result.of(real_dtype(a.aval.dtype)).apply("real", here, computes_in=a.aval.dtype)
            else:
                real = here
            below = result.is_at_most(j, i) if lower else result.is_at_most(i, j)
            other = result.is_at_most(i, j) if lower else result.is_at_most(j, i)
            return result.choose(below, result.choose(other, real, here), there)

        return element


triangle = Triangle("triangle")
hermitian_part = HermitianPart("hermitian_part")


def check_square(a: ShapedArray, what: str) -> None:
    """Raise MatrixShapeError unless this is the type of square matrices, UnsupportedDtypeError unless LAPACK's."""
    check_matrix(a, what)
    if a.shape[-1] != a.shape[-2]:
        raise MatrixShapeError(
            f"{what} was wanted, and an array of type {a} given.",
            "The last two axes must have the same extent.",
            "Check the shape; for rectangular matrices there are lstsq, pinv, qr and svd.",
        )


def check_matrix(a: ShapedArray, what: str) -> None:
    """Raise MatrixShapeError unless this is the type of matrices, UnsupportedDtypeError unless LAPACK's."""
    if a.ndim < 2:
        raise MatrixShapeError(
            f"{what} was wanted, and an array of type {a} given.",
            "The last two axes of the operand are those of the matrices.",
            "Reshape it to at least two axes (`x[:, None]`, `x[None]`).",
        )
    check_dtype(a)


def check_dtype(a: ShapedArray) -> None:
    """Raise UnsupportedDtypeError unless LAPACK knows the dtype."""
    if not is_inexact(a.dtype) or a.dtype.itemsize < 4:
        raise UnsupportedDtypeError(
            f"An array of type {a} was given to a function of linear algebra.",
            "LAPACK works on float32, float64, complex64 and complex128.",
            "Convert it with `.astype(...)`.",
        )


def mT(x: Any) -> Any:
    """Matrices transposed."""
    ndim = typeof(x).ndim
    return transpose(x, permutation=(*range(ndim - 2), ndim - 1, ndim - 2))


def conj(x: Any) -> Any:
    """The complex conjugate, which of a real array is itself."""
    return conjugate(x) if typeof(x).dtype.kind == "c" else x


def mH(x: Any) -> Any:
    """Matrices transposed and conjugated."""
    return conj(mT(x))


def matmul(x: Any, y: Any) -> Any:
    """Products of matrices with the same lanes."""
    ndim = typeof(x).ndim
    lanes = tuple(range(ndim - 2))
    return dot_general(x, y, dimension_numbers=(((ndim - 1,), (ndim - 2,)), (lanes, lanes)))


def identity_like(a: Any) -> Any:
    """The identity matrix in the shape and dtype of square matrices."""
    aval = typeof(a)
    eye = here(np.eye(aval.shape[-1], dtype=aval.dtype))
    return broadcast_to(eye, shape=aval.shape) if aval.ndim > 2 else eye


def diagonal(x: Any) -> Any:
    """The diagonals of square matrices."""
    aval = typeof(x)
    return reduce_sum(select(on_diagonal(aval.shape[-1]), x, aval.dtype.type(0)), axes=(aval.ndim - 1,))


def inner(x: Any, y: Any) -> Any:
    """The sum over all elements of x * y (no conjugation) for each pair of matrices."""
    ndim = typeof(x).ndim
    return reduce_sum(multiply(x, y), axes=(ndim - 2, ndim - 1))


def row(d: Any) -> Any:
    """Vectors as matrices of one row."""
    shape = typeof(d).shape
    return reshape(d, shape=(*shape[:-1], 1, *shape[-1:]))


def column(d: Any) -> Any:
    """Vectors as matrices of one column."""
    return reshape(d, shape=(*typeof(d).shape, 1))


def on_diagonal(n: int) -> Any:
    """True on the diagonal of an n by n matrix."""
    return here(_diagonal_mask(n))


def half_lower_weights(n: int, dtype: np.dtype[Any]) -> Any:
    """One below the diagonal, a half on it, zero above."""
    return here(_lower_weights(n, dtype))


@cache
def _diagonal_mask(n: int) -> Any:
    return _frozen(np.eye(n, dtype=bool))


@cache
def _lower_weights(n: int, dtype: np.dtype[Any]) -> Any:
    return _frozen(np.tri(n, dtype=dtype) - np.eye(n, dtype=dtype) / 2)


def _frozen(x: Any) -> Any:
    x.flags.writeable = False
    return x
