"""Eigenvalues and singular values.

Derivatives: M. Giles, "An extended collection of matrix derivative results for forward and reverse mode algorithmic
differentiation", 2008; M. Seeger et al., "Auto-differentiating linear algebra", arXiv:1710.08717; Z.-Q. Wan and
S.-X. Zhang, "Automatic differentiation for complex valued SVD", arXiv:1909.02659; G. Golub and V. Pereyra, "The
differentiation of pseudo-inverses and nonlinear least squares problems whose variables separate", 1973.

Where eigenvalues or singular values coincide their vectors are not functions of the matrix. What such a pair
contributes to the derivative of the vectors is masked to zero; docs/semantics_linalg.md says which functions of the
results nevertheless have the right derivative.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..core.avals import ZERO, ShapedArray, real_dtype, typeof
from .complex import imag, real
from .elementwise import (
    absolute,
    add,
    divide,
    equal,
    greater_equal,
    less_equal,
    logical_and,
    multiply,
    select,
    subtract,
)
from .foundation import convert, reduce_sum
from .linalg import block_skew, half_lower, solve
from .matrices import (
    MatrixPrimitive,
    check_matrix,
    check_square,
    column,
    conj,
    diagonal,
    matmul,
    mH,
    row,
)
from .reductions import reduce_max
from .structural import slice_axis


class Eigh(MatrixPrimitive):
    """Eigenvalues, ascending, and orthonormal eigenvectors of Hermitian matrices, of which one triangle is read.

    Without `vectors` the eigenvalues alone. The phase of a complex eigenvector is taken to turn as little as it can.
    """

    def abstract_eval(self, a: ShapedArray, *, lower: bool, vectors: bool) -> list[ShapedArray]:
        check_square(a, "A Hermitian matrix")
        w = ShapedArray(a.shape[:-1], real_dtype(a.dtype))
        return [w, a] if vectors else [w]

    def impl(self, a: Any, *, lower: bool, vectors: bool) -> list[Any]:
        function = np.linalg.eigh if vectors else np.linalg.eigvalsh
        result = function(a, "L" if lower else "U")
        return list(result) if vectors else [result]

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Any], *, lower: bool, vectors: bool) -> tuple[Any, Any]:
        w, v = self.bind(*primals, lower=lower, vectors=True)
        half = half_lower(tangents[0] if lower else mH(tangents[0]))
        turned = matmul(mH(v), matmul(add(half, mH(half)), v))
        dw = _real(diagonal(turned))
        if not vectors:
            return [w], [dw]
        gap = subtract(row(w), column(w))
        return [w, v], [dw, matmul(v, multiply(separated_reciprocal(gap, row(resolution(w))), turned))]


class Eig(MatrixPrimitive):
    """Eigenvalues and eigenvectors of any square matrices, complex; without `vectors` the eigenvalues alone.

    Eigenvectors have length one and, as LAPACK gives them, a largest component that is real. Defective matrices have
    no derivative.
    """

    def abstract_eval(self, a: ShapedArray, *, vectors: bool) -> list[ShapedArray]:
        check_square(a, "A square matrix")
        dtype = np.result_type(a.dtype, np.complex64)
        w = ShapedArray(a.shape[:-1], dtype)
        return [w, ShapedArray(a.shape, dtype)] if vectors else [w]

    def impl(self, a: Any, *, vectors: bool) -> list[Any]:
        dtype = np.result_type(a.dtype, np.complex64)
        results = np.linalg.eig(a) if vectors else [np.linalg.eigvals(a)]
        return [x.astype(dtype, copy=False) for x in results]

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Any], *, vectors: bool) -> tuple[Any, Any]:
        w, v = self.bind(*primals, vectors=True)
        da = convert(tangents[0], dtype=typeof(v).dtype)
        turned = solve(v, matmul(da, v))
        dw = diagonal(turned)
        if not vectors:
            return [w], [dw]
        gap = subtract(row(w), column(w))
        dv = matmul(v, multiply(separated_reciprocal(gap, row(resolution(w))), turned))
        length = _sum_columns(_real(multiply(conj(v), dv)))
        # The component that LAPACK made real stays real: its share of dv that is imaginary is turned away.
        reference = _real_reference(v)
        phase = divide(imag(_sum_columns(multiply(reference, dv))), real(_sum_columns(multiply(reference, v))))
        return [w, v], [dw, subtract(dv, multiply(v, row(add(length, multiply(1j, phase)))))]


def _real_reference(v: Any) -> Any:
    """One at the largest real component of each column of v, and zero elsewhere."""
    size = select(equal(imag(v), 0), absolute(v), -1.0)
    if not typeof(v).shape[-1]:
        return size
    largest = greater_equal(size, row(reduce_max(size, axes=(typeof(v).ndim - 2,))))
    # Among equally large components the first counts.
    n = typeof(v).shape[-2]
    order = np.arange(n, 0, -1, dtype=typeof(size).dtype)[:, None]
    rank = select(largest, order, 0.0)
    first = greater_equal(rank, row(reduce_max(rank, axes=(typeof(v).ndim - 2,))))
    return convert(logical_and(largest, first), dtype=typeof(size).dtype)


def _sum_columns(x: Any) -> Any:
    return reduce_sum(x, axes=(typeof(x).ndim - 2,))


class SVD(MatrixPrimitive):
    """a = u diag(s) v^H: u, s (descending) and v^H; s alone without `vectors`.

    u has min(m, n) columns and v^H as many rows; with `full_matrices` both are square, and what is beyond
    min(m, n) is determined up to a rotation among itself only.
    """

    def abstract_eval(self, a: ShapedArray, *, full_matrices: bool, vectors: bool) -> list[ShapedArray]:
        check_matrix(a, "A matrix")
        *lanes, m, n = a.shape
        k = min(m, n)
        s = ShapedArray((*lanes, k), real_dtype(a.dtype))
        if not vectors:
            return [s]
        rows, columns = (m, n) if full_matrices else (k, k)
        return [ShapedArray((*lanes, m, rows), a.dtype), s, ShapedArray((*lanes, columns, n), a.dtype)]

    def impl(self, a: Any, *, full_matrices: bool, vectors: bool) -> list[Any]:
        result = np.linalg.svd(a, full_matrices, vectors)
        return list(result) if vectors else [result]

    def jvp(
        self, primals: Sequence[Any], tangents: Sequence[Any], *, full_matrices: bool, vectors: bool
    ) -> tuple[Any, Any]:
        """With M = u^H da v and skew-Hermitian rotations du = u R, dv = v Q: R s - s Q + M is diagonal and real.

        Below, the Hermitian part of M rotates u and v alike and the skew part against each other: equal singular
        values make only the former indefinite, and pairs of zeros only the latter.
        """
        (da,) = tangents
        u, s, v_h = self.bind(*primals, full_matrices=full_matrices and vectors, vectors=True)
        k = typeof(s).shape[-1]
        v = mH(v_h)
        da_v = matmul(da, slice_axis(v, 0, k, axis=-1))
        u_da_v = matmul(mH(u), da_v)
        core = slice_axis(u_da_v, 0, k, axis=-2)
        ds = _real(diagonal(core))
        if not vectors:
            return [s], [ds]
        tolerance = resolution(s)
        together = separated_reciprocal(subtract(row(s), column(s)), row(tolerance))
        against = separated_reciprocal(add(row(s), column(s)), row(tolerance))
        even = multiply(together, multiply(0.5, add(core, mH(core))))
        odd = multiply(against, multiply(0.5, subtract(core, mH(core))))
        inverse_s = row(separated_reciprocal(s, tolerance))
        da_u = matmul(mH(da), slice_axis(u, 0, k, axis=-1))
        du = self._rotate(u, add(even, odd), da_v, u_da_v, inverse_s)
        dv = self._rotate(v, subtract(even, odd), da_u, matmul(mH(v), da_u), inverse_s)
        return [u, s, v_h], [du, ds, mH(dv)]

    def _rotate(self, u: Any, rotation: Any, image: Any, turned: Any, inverse_s: Any) -> Any:
        """u times its rotation, with what leaves the span of its first k columns: (1 - u u^H) image / s."""
        rows, columns = typeof(u).shape[-2:]
        k = typeof(rotation).shape[-1]
        if columns > k:
            below = multiply(slice_axis(turned, k, columns, axis=-2), inverse_s)
            return matmul(u, block_skew(rotation, below))
        du = matmul(u, rotation)
        if rows == k:
            return du
        return add(du, multiply(subtract(image, matmul(u, turned)), inverse_s))


class Pinv(MatrixPrimitive):
    """Pseudo-inverses; singular values up to `rcond` times the largest count as zero, and stay zero.

    `rcond` is a real number for each matrix, and has no derivative.
    """

    def abstract_eval(self, a: ShapedArray, rcond: ShapedArray) -> list[ShapedArray]:
        check_matrix(a, "A matrix")
        *lanes, m, n = a.shape
        return [ShapedArray((*lanes, n, m), a.dtype)]

    def impl(self, a: Any, rcond: Any) -> list[Any]:
        return [np.linalg.pinv(a, rcond)]

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
        a, da = primals[0], tangents[0]
        p = self(*primals)
        if da is ZERO:
            return [p], [ZERO]
        p_h, da_h = mH(p), mH(da)
        inner = matmul(p, matmul(da, p))
        # The two terms that vanish for invertible matrices: what leaves the row space and the column space.
        rows = matmul(p, matmul(p_h, da_h))
        rows = subtract(rows, matmul(matmul(rows, a), p))
        columns = matmul(da_h, matmul(p_h, p))
        columns = subtract(columns, matmul(p, matmul(a, columns)))
        return [p], [subtract(add(rows, columns), inner)]


def _real(x: Any) -> Any:
    """The real part, which of a real array is itself."""
    return real(x) if typeof(x).dtype.kind == "c" else x


def resolution(w: Any) -> Any:
    """The difference below which eigenvalues or singular values cannot be told apart; the last axis has extent one."""
    aval = typeof(w)
    eps = float(np.finfo(aval.dtype).eps)
    return column(multiply(8 * eps, reduce_sum(absolute(w), axes=(aval.ndim - 1,))))


def separated_reciprocal(x: Any, tolerance: Any) -> Any:
    """1 / x, or zero where x is zero to within the tolerance."""
    negligible = less_equal(absolute(x), tolerance)
    return select(negligible, 0.0, divide(1.0, select(negligible, 1.0, x)))


eigh = Eigh("eigh")
eig = Eig("eig")
svd = SVD("svd")
pinv = Pinv("pinv")
