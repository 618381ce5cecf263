"""numpy.linalg: linear equations, inverses and determinants."""

from __future__ import annotations

from math import prod
from operator import index
from typing import Any

import numpy as np

from ..core.avals import is_inexact
from ..core.dtypes import finfo, result_type
from ..core.trace import typeof
from ..errors import MatrixShapeError
from ..primitives import determinants, linalg
from ..primitives.foundation import broadcast_shapes, broadcast_to, convert, reshape
from ..primitives.matrices import check_matrix, check_square, column, identity_like, matmul
from .decompositions import matrix_rank, pinv, svdvals

_SlogdetResult: Any = type(np.linalg.slogdet(np.ones((1, 1))))


def solve(a: Any, b: Any) -> Any:
    """numpy.linalg.solve."""
    a, b = _common_dtype(a, b)
    check_square(typeof(a), "A square matrix")
    if typeof(b).ndim == 1:
        return reshape(solved := solve(a, column(b)), shape=typeof(solved).shape[:-1])
    check_matrix(typeof(b), "A matrix on the right side")
    a_lanes, b_lanes = typeof(a).shape[:-2], typeof(b).shape[:-2]
    if a_lanes == b_lanes:
        return linalg.solve(a, b)
    shape = typeof(b).shape[-2:]
    if not a_lanes:  # one factorization for all right sides
        flat = reshape(b, shape=(prod(b_lanes), *shape))
        return reshape(linalg.solve_lanes(lambda rhs: linalg.solve(a, rhs), flat, 1), shape=(*b_lanes, *shape))
    lanes = broadcast_shapes(a_lanes, b_lanes)
    a = broadcast_to(a, shape=(*lanes, *typeof(a).shape[-2:]))
    return linalg.solve(a, broadcast_to(b, shape=(*lanes, *shape)))


def inv(a: Any) -> Any:
    """numpy.linalg.inv."""
    (a,) = _common_dtype(a)
    check_square(typeof(a), "A square matrix")
    return linalg.inverse(a)


def det(a: Any) -> Any:
    """numpy.linalg.det; at singular matrices too the first and second derivatives are right."""
    (a,) = _common_dtype(a)
    check_square(typeof(a), "A square matrix")
    return determinants.det(a)


def slogdet(a: Any) -> Any:
    """numpy.linalg.slogdet."""
    (a,) = _common_dtype(a)
    check_square(typeof(a), "A square matrix")
    return _SlogdetResult(*determinants.slogdet.bind(a))


def lstsq(a: Any, b: Any, rcond: Any = None) -> Any:
    """numpy.linalg.lstsq; the derivative is that at constant rank.

    The residuals are those of a matrix of full rank: an empty array unless a has more rows than columns.
    """
    a, b = _common_dtype(a, b)
    check_matrix(typeof(a), "A matrix")
    m, n = typeof(a).shape[-2:]
    if typeof(a).ndim != 2 or typeof(b).ndim not in (1, 2) or typeof(b).shape[0] != m:
        raise MatrixShapeError(
            f"Least squares were asked for a matrix of type {typeof(a)} and a right side of type {typeof(b)}.",
            "The matrix has two axes, and the right side one or two, with as many rows as the matrix.",
            "Map over further axes with vmap.",
        )
    eps = float(finfo(typeof(a).dtype).eps)
    cutoff = eps * max(m, n) if rcond is None else eps if rcond == -1 else rcond
    x = np.matmul(pinv(a, cutoff), b)
    residual = b - np.matmul(a, x)
    residuals = np.sum(residual.real**2 + residual.imag**2, axis=0, keepdims=typeof(b).ndim == 1)
    if m <= n:
        residuals = residuals[..., :0] if typeof(b).ndim == 1 else np.zeros(0, residuals.dtype)
    return x, residuals, matrix_rank(a, rtol=cutoff).astype(np.int32), svdvals(a)


def tensorsolve(a: Any, b: Any, axes: Any = None) -> Any:
    """numpy.linalg.tensorsolve."""
    ndim = typeof(a).ndim
    if axes is not None:
        moved = [axis % ndim for axis in axes]
        a = np.transpose(a, [axis for axis in range(ndim) if axis not in moved] + moved)
    shape = typeof(a).shape[typeof(b).ndim :]
    size = prod(shape)
    if typeof(a).size != size**2 or typeof(b).size != size:
        raise MatrixShapeError(
            f"A tensor equation has a coefficient of type {typeof(a)} and a right side of type {typeof(b)}.",
            "The first axes of the coefficient are those of the right side, the others those of the solution, and "
            "both must have the same number of elements.",
            "Check the shapes, or move axes to the end with `axes`.",
        )
    return np.reshape(solve(np.reshape(a, (size, size)), np.ravel(b)), shape)


def tensorinv(a: Any, ind: int = 2) -> Any:
    """numpy.linalg.tensorinv."""
    if ind <= 0:
        raise ValueError("Invalid ind argument.")
    shape = typeof(a).shape
    inverse = inv(np.reshape(a, (prod(shape[:ind]), prod(shape[ind:]))))
    return np.reshape(inverse, (*shape[ind:], *shape[:ind]))


def matrix_power(a: Any, n: int) -> Any:
    """numpy.linalg.matrix_power, by repeated squaring."""
    aval = typeof(a)
    try:
        n = index(n)
    except TypeError as error:
        raise TypeError("exponent must be an integer") from error
    if aval.ndim < 2 or aval.shape[-1] != aval.shape[-2]:
        check_square(aval, "A square matrix")
    if n < 0:
        a, n = inv(a), -n
    result = None
    while n:
        if n % 2:
            result = a if result is None else matmul(result, a)
        n //= 2
        a = matmul(a, a) if n else a
    return identity_like(a) if result is None else result


def _common_dtype(*arrays: Any) -> list[Any]:
    """The operands in the one dtype that NumPy's linalg computes in."""
    avals = [typeof(a) for a in arrays]
    dtype = result_type(*(a.dtype if is_inexact(a.dtype) else np.float64 for a in avals))
    return [a if aval.dtype == dtype else convert(a, dtype=dtype) for a, aval in zip(arrays, avals)]
