"""functrans.lax.linalg: factorizations of matrices with any leading axes, with the signatures of `jax.lax.linalg`."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core.trace import Traced, typeof
from ..numpy.common import as_operand, stretched
from ..primitives import linalg
from ..primitives.foundation import broadcast_shapes
from ..primitives.lapack import permutation_of
from ..primitives.matrices import mH, mT
from .loops import fori_loop, scan


def cholesky(x: Any, *, symmetrize_input: bool = True) -> Any:
    """The lower triangle l with l l^H = x.

    Args:
        symmetrize_input: whether to take the mean of both triangles; without it the lower one is read.

    Example:
        >>> import numpy as np, functrans as ft
        >>> ft.lax.linalg.cholesky(np.array([[4.0, 2.0], [2.0, 5.0]]))
        array([[2., 0.],
               [1., 2.]])
    """
    x = as_operand(x)
    return np.linalg.cholesky((x + mH(x)) / 2 if symmetrize_input else x)


def eigh(x: Any, *, lower: bool = True, symmetrize_input: bool = True, sort_eigenvalues: bool = True) -> Any:
    """(v, w) with x v = v w for Hermitian x: the eigenvectors first, and the eigenvalues in ascending order.

    Args:
        lower, symmetrize_input: which triangle is read; by default the mean of both.

    Example:
        >>> import numpy as np, functrans as ft
        >>> ft.lax.linalg.eigh(np.diag([2.0, 1.0]))[1]
        array([1., 2.])
    """
    x = as_operand(x)
    w, v = np.linalg.eigh((x + mH(x)) / 2 if symmetrize_input else x, "L" if lower else "U")
    return v, w


def lu(x: Any) -> tuple[Any, Any, Any]:
    """Both triangles of x[permutation] = l u in one matrix, LAPACK's pivots, and the permutation.

    Example:
        >>> import numpy as np, functrans as ft
        >>> packed, pivots, permutation = ft.lax.linalg.lu(np.array([[1.0, 3.0], [2.0, 4.0]]))
        >>> packed, permutation
        (array([[2. , 4. ],
               [0.5, 1. ]]), array([1, 0], dtype=int32))
    """
    packed, pivots, permutation = linalg.lu.bind(as_operand(x))
    return packed, pivots, permutation


def lu_pivots_to_permutation(pivots: Any, permutation_size: int) -> Any:
    """The order of the rows that swapping row j with row pivots[j], one after the other, leads to.

    Example:
        >>> import numpy as np, functrans as ft
        >>> ft.lax.linalg.lu_pivots_to_permutation(np.array([2, 2]), 3)
        array([2, 0, 1])
    """
    pivots = as_operand(pivots)
    *lanes, count = typeof(pivots).shape
    flat = np.reshape(pivots, (-1, count))
    if not isinstance(pivots, Traced):
        return permutation_of(flat, permutation_size).reshape(*lanes, permutation_size)
    every = np.arange(typeof(flat).shape[0])

    def swap(j: Any, order: Any) -> Any:
        order = order.copy()
        there = flat[every, j]
        mine, other = order[every, j], order[every, there]
        order[every, j] = other
        order[every, there] = mine
        return order

    shape = (typeof(flat).shape[0], permutation_size)
    start = np.zeros_like(flat, shape=shape) + np.arange(permutation_size, dtype=typeof(flat).dtype)
    return np.reshape(fori_loop(0, count, swap, start), (*lanes, permutation_size))


def qr(x: Any, *, full_matrices: bool = True) -> tuple[Any, Any]:
    """(q, r) with x = q r; q is square with `full_matrices`.

    Example:
        >>> import numpy as np, functrans as ft
        >>> q, r = ft.lax.linalg.qr(np.array([[3.0, 1.0], [4.0, 2.0]]))
        >>> (q @ r).round(6)
        array([[3., 1.],
               [4., 2.]])
    """
    q, r = np.linalg.qr(as_operand(x), "complete" if full_matrices else "reduced")
    return q, r


def svd(x: Any, *, full_matrices: bool = True, compute_uv: bool = True) -> Any:
    """(u, s, vh) with x = u s vh, largest singular values first; s alone without `compute_uv`.

    Example:
        >>> import numpy as np, functrans as ft
        >>> ft.lax.linalg.svd(np.diag([1.0, 3.0]), compute_uv=False)
        array([3., 1.])
    """
    found = np.linalg.svd(as_operand(x), full_matrices=full_matrices, compute_uv=compute_uv)
    return tuple(found) if compute_uv else found


def eig(x: Any, *, compute_left_eigenvectors: bool = False, compute_right_eigenvectors: bool = True) -> list[Any]:
    """[w], with the eigenvectors after it: those of x^H (left), then those of x (right); all complex.

    Example:
        >>> import numpy as np, functrans as ft
        >>> w, v = ft.lax.linalg.eig(np.array([[0.0, -1.0], [1.0, 0.0]]))
        >>> np.sort_complex(w)
        array([0.-1.j, 0.+1.j])
    """
    w, v = np.linalg.eig(as_operand(x))
    found = [w]
    if compute_left_eigenvectors:
        left = mH(np.linalg.inv(v))
        found.append(left / np.linalg.norm(left, axis=-2, keepdims=True))
    return [*found, v] if compute_right_eigenvectors else found


def triangular_solve(
    a: Any,
    b: Any,
    *,
    left_side: bool = False,
    lower: bool = False,
    transpose_a: bool = False,
    conjugate_a: bool = False,
    unit_diagonal: bool = False,
) -> Any:
    """The solution x of op(a) x = b (`left_side`), or of x op(a) = b; one triangle of a is read.

    b is a vector if it has one axis less than a, and otherwise the two have the same leading axes.

    Example:
        >>> import numpy as np, functrans as ft
        >>> a = np.array([[2.0, 0.0], [1.0, 4.0]])
        >>> ft.lax.linalg.triangular_solve(a, np.array([2.0, 9.0]), left_side=True, lower=True)
        array([1., 2.])
    """
    a, b = as_operand(a), as_operand(b)
    is_vector = typeof(b).ndim == typeof(a).ndim - 1
    if is_vector:
        b = np.expand_dims(b, -1 if left_side else -2)
    x = linalg.triangular_solve(
        a,
        b,
        left_side=left_side,
        lower=lower,
        transpose_a=transpose_a,
        conjugate_a=conjugate_a,
        unit_diagonal=unit_diagonal,
    )
    return np.squeeze(x, -1 if left_side else -2) if is_vector else x


def symmetric_product(
    a_matrix: Any, c_matrix: Any, *, alpha: Any = 1.0, beta: Any = 0.0, symmetrize_output: bool = False
) -> Any:
    """alpha a a^T + beta c for symmetric c; the result is symmetric whatever `symmetrize_output` says.

    Example:
        >>> import numpy as np, functrans as ft
        >>> ft.lax.linalg.symmetric_product(np.array([[1.0, 2.0]]), np.array([[3.0]]), beta=2.0)
        array([[11.]])
    """
    a = as_operand(a_matrix)
    return alpha * np.matmul(a, mT(a)) + beta * as_operand(c_matrix)


def tridiagonal_solve(dl: Any, d: Any, du: Any, b: Any) -> Any:
    """The solution x of a x = b for tridiagonal a, by elimination without pivoting (the Thomas algorithm).

    Args:
        dl, d, du: of shape (..., n): below, on and above the diagonal; dl[..., 0] and du[..., -1] are not read.
        b: of shape (..., n, k).

    Example:
        >>> import numpy as np, functrans as ft
        >>> ones = np.ones(3)
        >>> ft.lax.linalg.tridiagonal_solve(ones, 4 * ones, ones, np.array([[5.0], [6.0], [5.0]]))[:, 0]
        array([1., 1., 1.])
    """
    dl, d, du, b = (as_operand(x) for x in (dl, d, du, b))
    lanes = broadcast_shapes(*(typeof(x).shape[:-1] for x in (dl, d, du)), typeof(b).shape[:-2])
    n, k = typeof(b).shape[-2:]
    diagonals = [np.moveaxis(stretched(x, (*lanes, n)), -1, 0)[..., None] for x in (dl, d, du)]
    rows = np.moveaxis(stretched(b, (*lanes, n, k)), -2, 0)

    def forward(above: tuple[Any, Any], row: tuple[Any, ...]) -> Any:
        (ratio, value), (low, middle, high, right) = above, row
        pivot = middle - low * ratio
        eliminated = (high / pivot, (right - low * value) / pivot)
        return eliminated, eliminated

    def backward(below: Any, row: tuple[Any, Any]) -> Any:
        x = row[1] - row[0] * below
        return x, x

    zero = rows[0] * 0
    _, eliminated = scan(forward, (diagonals[0][0] * 0, zero), (*diagonals, rows))
    _, x = scan(backward, zero, eliminated, reverse=True)
    return np.moveaxis(x, 0, -2)


__all__ = [
    "cholesky", "eig", "eigh", "lu", "lu_pivots_to_permutation", "qr", "svd", "symmetric_product", "triangular_solve",
    "tridiagonal_solve",
]  # fmt: skip
