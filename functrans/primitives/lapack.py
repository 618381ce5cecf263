"""What NumPy's linalg lacks, on concrete arrays: triangular solves and LU.

LAPACK does the work for NumPy's arrays, cuSOLVER and cuBLAS for CuPy's. Other arrays, and many small matrices on a GPU,
take array operations on all matrices at once.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core.devices import cupy_linalg, is_on_device
from .late_scipy import linalg


def solve_triangular(
    a: Any, b: Any, *, left_side: bool, lower: bool, transpose_a: bool, conjugate_a: bool, unit_diagonal: bool
) -> Any:
    """The solution of op(a) x = b, or of x op(a) = b; see `linalg.TriangularSolve`."""
    if conjugate_a and a.dtype.kind == "c":
        a = a.conj()
    if b.size == 0:
        return np.zeros_like(b)
    if is_on_device(a):
        return solve_by_cublas(a, b, left_side, lower, transpose_a, unit_diagonal)
    if type(a) is not np.ndarray or type(b) is not np.ndarray:
        if transpose_a:
            a, lower = np.swapaxes(a, -1, -2), not lower
        if left_side:
            return substitute(a, b, lower, unit_diagonal)
        a, b = np.swapaxes(a, -1, -2), np.swapaxes(b, -1, -2)
        return np.swapaxes(substitute(a, b, not lower, unit_diagonal), -1, -2)
    trsm = linalg().get_blas_funcs("trsm", (a, b))
    x = np.empty(b.shape, b.dtype)
    matrices = zip(*(v.reshape(-1, *v.shape[-2:]) for v in (a, b, x)))
    for a_one, b_one, x_one in matrices:
        # BLAS wants columns: the transposed equation, on transposed views, is the same in its eyes.
        x_one[...] = trsm(
            1.0, a_one.T, b_one.T, side=int(left_side), lower=int(not lower), trans_a=int(transpose_a),
            diag=int(unit_diagonal),
        ).T  # fmt: skip
    return x


def solve_by_cublas(a: Any, b: Any, left_side: bool, lower: bool, transpose_a: bool, unit_diagonal: bool) -> Any:
    """The same for CuPy's arrays, all matrices at once; x op(a) = b is the equation with everything transposed."""
    trans = int(transpose_a == left_side)
    right = b if left_side else np.swapaxes(b, -1, -2)
    x = cupy_linalg().solve_triangular(a, right, trans, lower, unit_diagonal)
    return x if left_side else np.swapaxes(x, -1, -2)


def substitute(a: Any, b: Any, lower: bool, unit_diagonal: bool) -> Any:
    """The solution of a x = b, row by row, for all matrices at once."""
    x = b.copy()
    n = a.shape[-1]
    with np.errstate(all="ignore"):
        for i in range(n) if lower else range(n - 1, -1, -1):
            known = slice(0, i) if lower else slice(i + 1, n)
            row = slice(i, i + 1)
            x[..., row, :] -= np.matmul(a[..., row, known], x[..., known, :])
            if not unit_diagonal:
                x[..., row, :] /= a[..., row, row]
    return x


def lu_factors(a: Any) -> tuple[Any, Any, Any]:
    """Packed factors, pivots and permutation of each matrix; see `linalg.LU`."""
    *lanes, m, n = a.shape
    count = int(np.prod(lanes))
    lu = a.reshape(count, m, n).copy()
    if type(a) is np.ndarray:
        pivots = np.zeros((count, min(m, n)), np.int32)
        if lu.size:
            getrf = linalg().get_lapack_funcs("getrf", (a,))
            for i in range(count):
                lu[i], pivots[i], _ = getrf(lu[i])
    elif is_on_device(a) and 0 < count <= min(m, n):
        pivots = np.zeros_like(a, dtype=np.int32, shape=(count, min(m, n)))
        for i in range(count):
            lu[i], pivots[i] = cupy_linalg().lu_factor(lu[i], check_finite=False)
    else:  # one column of all matrices after the other
        pivots = eliminate(lu)
    permutation = permutation_of(pivots, m)
    return lu.reshape(a.shape), pivots.reshape(*lanes, min(m, n)), permutation.reshape(*lanes, m)


def eliminate(a: Any) -> Any:
    """Gauss's elimination with partial pivoting of all matrices (count, m, n) at once and in place; the pivots."""
    count, m, n = a.shape
    pivots = np.zeros_like(a, dtype=np.int32, shape=(count, min(m, n)))
    every = np.arange(count, like=a)
    for j in range(min(m, n)):
        column = a[:, j:, j]
        # LAPACK's measure of a complex number, so that the choice is the same as its.
        size = np.abs(column.real) + np.abs(column.imag) if a.dtype.kind == "c" else np.abs(column)
        pivots[:, j] = pivot = j + np.argmax(size, axis=1)
        best = a[every, pivot].copy()
        a[every, pivot] = a[:, j]
        a[:, j] = best
        divisor = np.where(best[:, j] == 0, 1, best[:, j]).astype(a.dtype)
        a[:, j + 1 :, j] /= divisor[:, None]
        a[:, j + 1 :, j + 1 :] -= a[:, j + 1 :, j : j + 1] * a[:, j : j + 1, j + 1 :]
    return pivots


def permutation_of(pivots: Any, m: int) -> Any:
    """The order of the rows that successive swaps of row j with row pivots[:, j] lead to."""
    count = len(pivots)
    every = np.arange(count, like=pivots)
    order = np.zeros_like(pivots, shape=(count, m)) + np.arange(m, dtype=np.int32, like=pivots)
    for j in range(pivots.shape[1]):
        pivot = pivots[:, j]
        chosen = order[every, pivot].copy()
        order[every, pivot] = order[:, j]
        order[:, j] = chosen
    return order


def solve_factored(lu: Any, permutation: Any, b: Any, transposed: bool) -> Any:
    """The solution of a x = b, or of the transposed equation, from the factors of a.

    Raises:
        numpy.linalg.LinAlgError: a matrix is singular, as in numpy.linalg.solve.
    """
    if (np.diagonal(lu, axis1=-2, axis2=-1) == 0).any():
        raise np.linalg.LinAlgError("Singular matrix")
    lower = {"lower": True, "unit_diagonal": True}
    upper = {"lower": False, "unit_diagonal": False}
    first, second = (upper, lower) if transposed else (lower, upper)
    order = permutation[..., None].astype(np.int64)
    if not transposed:
        b = np.take_along_axis(b, order, axis=-2)
    for factor in (first, second):
        b = solve_triangular(lu, b, left_side=True, transpose_a=transposed, conjugate_a=False, **factor)
    if not transposed:
        return b
    return np.take_along_axis(b, np.argsort(order, axis=-2), axis=-2)
