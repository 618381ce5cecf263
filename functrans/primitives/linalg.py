"""Factorizations without a spectrum (Cholesky, LU, QR) and the solution of linear equations.

Derivatives: M. Giles, "An extended collection of matrix derivative results for forward and reverse mode algorithmic
differentiation", 2008; I. Murray, "Differentiation of the Cholesky decomposition", arXiv:1602.07527; S. Walter and
L. Lehmann, "Algorithmic differentiation of linear algebra functions with application in optimum experimental
design", arXiv:1001.1654 (QR); J. Townsend, "Differentiating the QR decomposition", 2018.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..core.avals import ZERO, ShapedArray, real_dtype
from ..core.devices import checked, here, is_on_device
from ..core.primitive import is_hole
from ..core.staging import trace_closed
from ..core.trace import Params, typeof
from ..errors import DtypeMismatchError, MatrixShapeError
from .elementwise import add, equal, multiply, negative, subtract
from .foundation import add_tangents, convert, reshape
from .lapack import lu_factors, solve_factored, solve_triangular
from .matrices import (
    MatrixPrimitive,
    check_matrix,
    check_square,
    column,
    conj,
    half_lower_weights,
    identity_like,
    matmul,
    mH,
    mT,
    triangle,
)
from .structural import concatenate, slice_axis, transpose

INT32 = np.dtype(np.int32)


class Cholesky(MatrixPrimitive):
    """The lower triangle l with l l^H = a, of which the lower triangle is read."""

    def abstract_eval(self, a: ShapedArray) -> list[ShapedArray]:
        check_square(a, "A positive definite matrix")
        return [a]

    def impl(self, a: Any) -> list[Any]:
        with checked(a):
            return [np.linalg.cholesky(a)]

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
        root = self(*primals)
        half = half_lower(tangents[0])
        da = add(half, mH(half))
        inner = solve_triangle(root, da, lower=True)
        inner = solve_triangle(root, inner, lower=True, left_side=False, transpose_a=True, conjugate_a=True)
        return [root], [matmul(root, half_lower(inner))]

    def assemble(
        self, assembler: Any, block: list[Any], sources: Sequence[Any], targets: Sequence[Any], params: Params
    ) -> bool:
        return assembler.linear_algebra(block, self, sources, targets, params)


def half_lower(x: Any) -> Any:
    """The lower triangle with half of the diagonal: Phi of Murray's note."""
    aval = typeof(x)
    return multiply(half_lower_weights(aval.shape[-1], real_dtype(aval.dtype)), x)


class TriangularSolve(MatrixPrimitive):
    """The solution x of op(a) x = b, or of x op(a) = b if not `left_side`; one triangle of a is read.

    op transposes (`transpose_a`) and conjugates (`conjugate_a`); with `unit_diagonal` the diagonal of a is taken for
    ones. A zero on the diagonal gives infinities, not an error.
    """

    def abstract_eval(self, a: ShapedArray, b: ShapedArray, *, left_side: bool, **params: Any) -> list[ShapedArray]:
        check_equation(a, b, -2 if left_side else -1)
        return [b]

    def impl(self, a: Any, b: Any, **params: Any) -> list[Any]:
        return [solve_triangular(a, b, **params)]

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Any], **params: Any) -> tuple[Any, Any]:
        (a, b), (da, rhs) = primals, tangents
        x = self(a, b, **params)
        if da is not ZERO:
            da = triangle(da, lower=params["lower"], k=_off_diagonal(**params))
            da = mT(da) if params["transpose_a"] else da
            da = conj(da) if params["conjugate_a"] else da
            rhs = add_tangents(rhs, negative(matmul(da, x) if params["left_side"] else matmul(x, da)))
        return [x], [self(a, rhs, **params)]

    def transpose(self, cotangents: Sequence[Any], a: Any, b: Any, **params: Any) -> list[Any]:
        if is_hole(a):
            return super().transpose(cotangents, a, b, **params)
        return [None, self(a, cotangents[0], **{**params, "transpose_a": not params["transpose_a"]})]

    def batch(
        self, size: int, values: Sequence[Any], mapped: Sequence[bool], **params: Any
    ) -> tuple[Sequence[Any], Sequence[bool]]:
        if mapped[0] or typeof(values[0]).ndim > 2:
            return super().batch(size, values, mapped, **params)
        axis = 1 if params["left_side"] else 0
        return [solve_lanes(lambda b: self(values[0], b, **params), values[1], axis)], [True]

    def assemble(
        self, assembler: Any, block: list[Any], sources: Sequence[Any], targets: Sequence[Any], params: Params
    ) -> bool:
        return assembler.linear_algebra(block, self, sources, targets, params, **params)


def solve_triangle(
    a: Any,
    b: Any,
    *,
    lower: bool,
    left_side: bool = True,
    transpose_a: bool = False,
    conjugate_a: bool = False,
    unit_diagonal: bool = False,
) -> Any:
    """`triangular_solve` with the usual defaults."""
    return triangular_solve(
        a,
        b,
        left_side=left_side,
        lower=lower,
        transpose_a=transpose_a,
        conjugate_a=conjugate_a,
        unit_diagonal=unit_diagonal,
    )


def _off_diagonal(*, lower: bool, unit_diagonal: bool, **params: Any) -> int:
    """The first diagonal that is read."""
    return 0 if not unit_diagonal else -1 if lower else 1


def solve_lanes(solve_one: Any, b: Any, axis: int) -> Any:
    """Equations with one matrix for all lanes: the right sides of all lanes, side by side along `axis`, in one go."""
    aval = typeof(b)
    size, *shape = aval.shape
    order = (1, 0, 2) if axis == 1 else (0, 1, 2)
    moved = [aval.shape[i] for i in order]
    flat = (shape[0], size * shape[1]) if axis == 1 else (size * shape[0], shape[1])
    x = solve_one(reshape(transpose(b, permutation=order), shape=flat))
    return transpose(reshape(x, shape=tuple(moved)), permutation=order)


def check_equation(a: ShapedArray, b: ShapedArray, axis: int) -> None:
    """Raise unless a is square and `axis` of b has its extent, with the same lanes and dtype."""
    check_square(a, "A square matrix")
    check_matrix(b, "A matrix on the right side")
    if b.shape[:-2] != a.shape[:-2] or b.shape[axis] != a.shape[-1]:
        raise MatrixShapeError(
            f"A linear equation has a matrix of type {a} and a right side of type {b}.",
            "They must have the same leading axes, and as many rows.",
            "Check the shapes; a right side with one column has shape (..., n, 1).",
        )
    if a.dtype != b.dtype:
        raise DtypeMismatchError(
            f"A linear equation has a matrix of type {a} and a right side of type {b}.",
            "The two must have the same dtype.",
            "Convert one of them with `.astype(...)`.",
        )


class LU(MatrixPrimitive):
    """Packed factors of a[permutation] = l u with partial pivoting, LAPACK's pivots, and the permutation.

    l has ones on its diagonal and stands below that of the result, u on it and above. At matrices whose leading
    columns are linearly dependent there is no derivative (it is not finite).
    """

    def abstract_eval(self, a: ShapedArray) -> list[ShapedArray]:
        check_matrix(a, "A matrix")
        *lanes, m, n = a.shape
        return [a, ShapedArray((*lanes, min(m, n)), INT32), ShapedArray((*lanes, m), INT32)]

    def impl(self, a: Any) -> list[Any]:
        return list(lu_factors(a))

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
        lu, pivots, permutation = self.bind(*primals)
        dtype = typeof(lu).dtype
        m, n = typeof(lu).shape[-2:]
        rows = here(np.arange(m, dtype=INT32))
        da = matmul(convert(equal(column(permutation), rows), dtype=dtype), tangents[0])
        below = triangle(_pad_square(lu, m, lower=True), lower=True, k=-1)
        above = triangle(_pad_square(lu, n, lower=False), lower=False, k=0)
        inner = solve_triangle(below, da, lower=True, unit_diagonal=True)
        inner = solve_triangle(above, inner, lower=False, left_side=False)
        d_below = matmul(add(below, here(np.eye(m, dtype=dtype))), triangle(inner, lower=True, k=-1))
        d_above = matmul(triangle(inner, lower=False, k=0), above)
        return [lu, pivots, permutation], [add(d_below, d_above), ZERO, ZERO]

    def assemble(
        self, assembler: Any, block: list[Any], sources: Sequence[Any], targets: Sequence[Any], params: Params
    ) -> bool:
        return assembler.linear_algebra(block, self, sources, targets, params)


def _pad_square(lu: Any, n: int, lower: bool) -> Any:
    """One factor of packed ones, extended to n by n with a part of the identity matrix."""
    shape = typeof(lu).shape
    if shape[-2] == shape[-1]:
        return lu
    rank = min(shape[-2:])
    if rank == n:  # the other factor is the larger one
        return slice_axis(slice_axis(lu, 0, n, axis=-2), 0, n, axis=-1)
    axis = -1 if lower else -2
    eye = here(np.eye(n, dtype=typeof(lu).dtype))
    extra = eye[:, rank:] if lower else eye[rank:]
    extra = np.broadcast_to(extra, (*shape[:-2], *extra.shape))
    return concatenate(lu, extra, axis=len(shape) + axis)


class Factors(LU):
    """The results of LU as a mere aid to computing with a: they have no derivative of their own."""

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
        return self.bind(*primals), [ZERO, ZERO, ZERO]


class Solve(MatrixPrimitive):
    """The solution x of a x = b."""

    def abstract_eval(self, a: ShapedArray, b: ShapedArray) -> list[ShapedArray]:
        check_equation(a, b, -2)
        return [b]

    def impl(self, a: Any, b: Any) -> list[Any]:
        if not b.size and is_on_device(b):  # CuPy divides by the bytes of one
            return [np.zeros_like(b)]
        with checked(a):
            return [np.linalg.solve(a, b)]

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
        """dx = a^-1 (db - da x), with the factors of a kept for every later use (the cotangents', for instance)."""
        (a, b), (da, db) = primals, tangents
        lu, _, permutation = factors.bind(a)
        x = solve_with_factors(a, lu, permutation, b, transposed=False)
        rhs = db if da is ZERO else add_tangents(db, negative(matmul(da, x)))
        return [x], [solve_with_factors(a, lu, permutation, rhs, transposed=False)]

    def transpose(self, cotangents: Sequence[Any], a: Any, b: Any) -> list[Any]:
        if is_hole(a):
            return super().transpose(cotangents, a, b)
        return [None, self(mT(a), cotangents[0])]

    def batch(
        self, size: int, values: Sequence[Any], mapped: Sequence[bool]
    ) -> tuple[Sequence[Any], Sequence[bool]]:
        if mapped[0] or typeof(values[0]).ndim > 2:
            return super().batch(size, values, mapped)
        return [solve_lanes(lambda b: self(values[0], b), values[1], 1)], [True]

    def assemble(
        self, assembler: Any, block: list[Any], sources: Sequence[Any], targets: Sequence[Any], params: Params
    ) -> bool:
        return assembler.linear_algebra(block, self, sources, targets, params)


class SolveWithFactors(MatrixPrimitive):
    """The solution of a x = b or a^T x = b, where the factors of a are known: a function of a and b alone."""

    def abstract_eval(
        self, a: ShapedArray, lu: ShapedArray, permutation: ShapedArray, b: ShapedArray, *, transposed: bool
    ) -> list[ShapedArray]:
        check_equation(a, b, -2)
        return [b]

    def impl(self, a: Any, lu: Any, permutation: Any, b: Any, *, transposed: bool) -> list[Any]:
        return [solve_factored(lu, permutation, b, transposed)]

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Any], *, transposed: bool) -> tuple[Any, Any]:
        (a, lu, permutation, b), (da, _, _, rhs) = primals, tangents
        x = self(a, lu, permutation, b, transposed=transposed)
        if da is not ZERO:
            rhs = add_tangents(rhs, negative(matmul(mT(da) if transposed else da, x)))
        return [x], [ZERO if rhs is ZERO else self(a, lu, permutation, rhs, transposed=transposed)]

    def transpose(
        self, cotangents: Sequence[Any], a: Any, lu: Any, permutation: Any, b: Any, *, transposed: bool
    ) -> list[Any]:
        if is_hole(a):
            return super().transpose(cotangents, a, lu, permutation, b)
        return [None, None, None, self(a, lu, permutation, cotangents[0], transposed=not transposed)]

    def batch(
        self, size: int, values: Sequence[Any], mapped: Sequence[bool], *, transposed: bool
    ) -> tuple[Sequence[Any], Sequence[bool]]:
        *matrix, b = values
        if any(mapped[:3]) or typeof(matrix[0]).ndim > 2:
            return super().batch(size, values, mapped, transposed=transposed)
        return [solve_lanes(lambda b: self(*matrix, b, transposed=transposed), b, 1)], [True]

    def assemble(
        self, assembler: Any, block: list[Any], sources: Sequence[Any], targets: Sequence[Any], params: Params
    ) -> bool:
        return assembler.linear_algebra(block, self, sources, targets, params, **params)


class SolveWithTriangle(MatrixPrimitive):
    """The solution of a x = b, where the triangle l with a = l l^H is known: a function of a and b alone."""

    stands_for_program = True

    def abstract_eval(self, a: ShapedArray, lower: ShapedArray, b: ShapedArray) -> list[ShapedArray]:
        check_equation(a, b, -2)
        return [b]

    def impl(self, a: Any, lower: Any, b: Any) -> list[Any]:
        first = solve_triangle(lower, b, lower=True)
        return [solve_triangle(lower, first, lower=True, transpose_a=True, conjugate_a=True)]

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
        (a, lower, b), (da, _, rhs) = primals, tangents
        x = self(a, lower, b)
        if da is not ZERO:
            rhs = add_tangents(rhs, negative(matmul(da, x)))
        return [x], [ZERO if rhs is ZERO else self(a, lower, rhs)]

    def transpose(self, cotangents: Sequence[Any], a: Any, lower: Any, b: Any) -> list[Any]:
        """The transposed of a Hermitian matrix is its conjugate."""
        if is_hole(a):
            return super().transpose(cotangents, a, lower, b)
        return [None, None, self(conj(a), conj(lower), cotangents[0])]

    def batch(
        self, size: int, values: Sequence[Any], mapped: Sequence[bool]
    ) -> tuple[Sequence[Any], Sequence[bool]]:
        *matrix, b = values
        if any(mapped[:2]) or typeof(matrix[0]).ndim > 2:
            return super().batch(size, values, mapped)
        return [solve_lanes(lambda b: self(*matrix, b), b, 1)], [True]

    def program_to_run(self, params: Params, avals: Sequence[ShapedArray]) -> Any:
        return trace_closed(self.impl, [aval.strong() for aval in avals])


class QR(MatrixPrimitive):
    """a = q r with q^H q = 1 and r upper triangular; q has min(m, n) columns, or m with `full_matrices`.

    For m > n the further columns of a full q are determined by a up to a rotation among themselves only. Their
    derivative is that of the basis that turns the least; functions that do not depend on the choice of the basis get
    the right one. There is no derivative where the first min(m, n) columns of a are linearly dependent.

    Args:
        orthogonal: whether q is a result, too.
    """

    def abstract_eval(self, a: ShapedArray, *, full_matrices: bool, orthogonal: bool = True) -> list[ShapedArray]:
        check_matrix(a, "A matrix")
        *lanes, m, n = a.shape
        k = m if full_matrices else min(m, n)
        r = ShapedArray((*lanes, k, n), a.dtype)
        return [ShapedArray((*lanes, m, k), a.dtype), r] if orthogonal else [r]

    def impl(self, a: Any, *, full_matrices: bool, orthogonal: bool = True) -> list[Any]:
        if full_matrices or orthogonal:
            return list(np.linalg.qr(a, "complete" if full_matrices else "reduced"))[not orthogonal :]
        return [np.linalg.qr(a, "r")]

    def jvp(
        self, primals: Sequence[Any], tangents: Sequence[Any], *, full_matrices: bool, orthogonal: bool = True
    ) -> tuple[Any, Any]:
        q, r = self.bind(*primals, full_matrices=full_matrices)
        (da,) = tangents
        m, n = typeof(da).shape[-2:]
        if m == 0 or n == 0:
            return [q, r][not orthogonal :], [ZERO, ZERO][not orthogonal :]
        k = min(m, n)
        columns = typeof(q).shape[-1]
        r_square = slice_axis(slice_axis(r, 0, k, axis=-2), 0, k, axis=-1)
        da_rinv = solve_triangle(r_square, slice_axis(da, 0, k, axis=-1), lower=False, left_side=False)
        turned = matmul(mH(q), da_rinv)
        # dq = q omega + what leaves the span of q; omega is skew-Hermitian, and q^H da r^-1 - omega is triangular.
        omega = skew_from_lower(slice_axis(turned, 0, k, axis=-2))
        if columns == k:
            dq = add(matmul(q, subtract(omega, turned)), da_rinv)
        else:
            omega = block_skew(omega, slice_axis(turned, k, columns, axis=-2))
            dq = matmul(q, omega)
        dr = subtract(matmul(mH(q), da), matmul(omega, r))
        return [q, r][not orthogonal :], [dq, triangle(dr, lower=False, k=0)][not orthogonal :]

    def without_results(self, params: Params, wanted: Sequence[bool]) -> Any:
        return None if wanted[0] else ({**params, "orthogonal": False}, [True], [False, True])

    def assemble(
        self, assembler: Any, block: list[Any], sources: Sequence[Any], targets: Sequence[Any], params: Params
    ) -> bool:
        return assembler.linear_algebra(block, self, sources, targets, params)


def skew_from_lower(x: Any) -> Any:
    """The skew-Hermitian matrix with the strictly lower triangle of x and the imaginary part of its diagonal."""
    half = half_lower(x)
    strict = triangle(x, lower=True, k=-1)
    return subtract(half, mH(half)) if typeof(x).dtype.kind == "c" else subtract(strict, mT(strict))


def block_skew(corner: Any, below: Any) -> Any:
    """The skew-Hermitian matrix [[corner, -below^H], [below, 0]]."""
    *lanes, rows, _ = typeof(below).shape
    axis = len(lanes)
    left = concatenate(corner, below, axis=axis)
    nothing = here(np.zeros((*lanes, rows, rows), typeof(below).dtype))
    right = concatenate(negative(mH(below)), nothing, axis=axis)
    return concatenate(left, right, axis=axis + 1)


cholesky = Cholesky("cholesky")
triangular_solve = TriangularSolve("triangular_solve")
lu = LU("lu")
factors = Factors("factors")
solve = Solve("solve")
solve_with_factors = SolveWithFactors("solve_with_factors")
solve_with_triangle = SolveWithTriangle("solve_with_triangle")
qr = QR("qr")


def inverse(a: Any) -> Any:
    """The inverses of matrices."""
    return solve(a, identity_like(a))
