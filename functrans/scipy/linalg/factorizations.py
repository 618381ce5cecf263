"""Factorizations, eigenvalues and singular values."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...core.devices import beside
from ...core.trace import typeof
from ...errors import UnsupportedArgumentError
from ...lax.linalg import lu_pivots_to_permutation
from ...primitives import linalg
from ...primitives.linalg import solve_triangle
from ...primitives.matrices import check_matrix, check_square, mH, mT
from .operands import for_columns, operands


def cholesky(a: Any, lower: bool = False, overwrite_a: bool = False, check_finite: bool = True) -> Any:
    """The triangle r with r^H r = a, or l with l l^H = a if `lower`; that triangle of a is read.

    Arguments that tell SciPy what it may skip change nothing, here and everywhere in this module.

    Raises:
        numpy.linalg.LinAlgError: a matrix is not positive definite.

    Example:
        >>> from functrans.scipy import linalg
        >>> linalg.cholesky([[4.0, 2.0], [2.0, 5.0]])
        array([[2., 1.],
               [0., 2.]])
    """
    (a,) = operands(a)
    return np.linalg.cholesky(a, upper=not lower)


def cho_factor(
    a: Any, lower: bool = False, overwrite_a: bool = False, check_finite: bool = True
) -> tuple[Any, bool]:
    """The triangle of `cholesky`, and `lower`, for `cho_solve`; its other triangle is zero.

    Example:
        >>> import numpy as np
        >>> from functrans.scipy import linalg
        >>> factor = linalg.cho_factor([[4.0, 2.0], [2.0, 5.0]])
        >>> linalg.cho_solve(factor, np.array([8.0, 8.0]))
        array([1.5, 1. ])
    """
    return cholesky(a, lower), lower


def cho_solve(c_and_lower: tuple[Any, bool], b: Any, overwrite_b: bool = False, check_finite: bool = True) -> Any:
    """The solution of a x = b from what `cho_factor` made of a; b is a vector or has columns.

    Example:
        >>> import numpy as np
        >>> from functrans.scipy import linalg
        >>> linalg.cho_solve(linalg.cho_factor([[4.0, 2.0], [2.0, 5.0]]), np.array([8.0, 8.0])).round(6)
        array([1.5, 1. ])
    """
    c, lower = c_and_lower
    c, b = operands(c, b)

    def solve(c: Any, b: Any) -> Any:
        first = solve_triangle(c, b, lower=bool(lower), transpose_a=not lower, conjugate_a=not lower)
        return solve_triangle(c, first, lower=bool(lower), transpose_a=bool(lower), conjugate_a=bool(lower))

    return for_columns(c, b, solve)


def lu(a: Any, permute_l: bool = False, overwrite_a: bool = False, check_finite: bool = True) -> tuple[Any, ...]:
    """(p, l, u) with a = p l u: a permutation, a lower triangle with ones on its diagonal, and an upper triangle.

    Args:
        permute_l: return (p l, u).

    Example:
        >>> from functrans.scipy import linalg
        >>> p, l, u = linalg.lu([[1.0, 2.0], [2.0, 2.0]])
        >>> u
        array([[2., 2.],
               [0., 1.]])
    """
    (a,) = operands(a)
    packed, _, permutation = linalg.lu.bind(_matrix(a))
    m, n = typeof(packed).shape[-2:]
    k = min(m, n)
    below = np.tril(packed[..., :k], -1) + beside(a, np.eye(m, k, dtype=typeof(a).dtype))
    above = np.triu(packed[..., :k, :])
    order = np.equal(beside(a, np.arange(m))[:, None], permutation[..., None, :]).astype(typeof(a).dtype)
    return (np.matmul(order, below), above) if permute_l else (order, below, above)


def lu_factor(a: Any, overwrite_a: bool = False, check_finite: bool = True) -> tuple[Any, Any]:
    """Both triangles of `lu` in one matrix, and LAPACK's pivots, for `lu_solve`.

    Example:
        >>> import numpy as np
        >>> from functrans.scipy import linalg
        >>> factors = linalg.lu_factor(np.array([[1.0, 3.0], [2.0, 4.0]]))
        >>> linalg.lu_solve(factors, np.array([7.0, 10.0]))
        array([1., 2.])
    """
    (a,) = operands(a)
    packed, pivots, _ = linalg.lu.bind(_matrix(a))
    return packed, pivots


def lu_solve(
    lu_and_piv: tuple[Any, Any], b: Any, trans: int = 0, overwrite_b: bool = False, check_finite: bool = True
) -> Any:
    """The solution of a x = b from what `lu_factor` made of a; b is a vector or has columns.

    Args:
        trans: 1 and 2 solve with the transposed and the conjugate transposed matrix.

    Example:
        >>> import numpy as np
        >>> from functrans.scipy import linalg
        >>> linalg.lu_solve(linalg.lu_factor([[1.0, 2.0], [2.0, 2.0]]), np.array([5.0, 6.0]))
        array([1., 2.])
    """
    packed, pivots = lu_and_piv
    packed, b = operands(packed, b)
    check_square(typeof(packed), "A square matrix")
    if trans not in (0, 1, 2):
        raise UnsupportedArgumentError(
            f"lu_solve was called with trans={trans!r}.", "It is 0, 1 or 2.", "Pass one of these."
        )
    order = lu_pivots_to_permutation(pivots, typeof(packed).shape[-1])
    turned = {"transpose_a": trans > 0, "conjugate_a": trans == 2}

    def solve(packed: Any, b: Any) -> Any:
        if not trans:
            b = np.take_along_axis(b, _rows(order, b), -2)
        for lower in (True, False) if not trans else (False, True):
            b = solve_triangle(packed, b, lower=lower, unit_diagonal=lower, **turned)
        return np.take_along_axis(b, _rows(np.argsort(order, -1), b), -2) if trans else b

    return for_columns(packed, b, solve)


def _rows(order: Any, b: Any) -> Any:
    """Indices of rows for each column."""
    return np.broadcast_to(order[..., None], typeof(b).shape)


def qr(
    a: Any,
    overwrite_a: bool = False,
    lwork: Any = None,
    mode: str = "full",
    pivoting: bool = False,
    check_finite: bool = True,
) -> tuple[Any, ...]:
    """(q, r) with a = q r: orthonormal columns and an upper triangle.

    Args:
        mode: "full" for a square q, "economic" for one with no more columns than a, "r" for (r,).

    Raises:
        UnsupportedArgumentError: another mode, or pivoting.

    Example:
        >>> from functrans.scipy import linalg
        >>> q, r = linalg.qr([[3.0, 1.0], [4.0, 2.0]])
        >>> abs(r).round(6)
        array([[5. , 2.2],
               [0. , 0.4]])
    """
    modes = {"full": "complete", "economic": "reduced", "r": "complete"}
    if mode not in modes or pivoting:
        raise UnsupportedArgumentError(
            f"scipy.linalg.qr was called with mode={mode!r}, pivoting={pivoting}.",
            "The modes are 'full', 'economic' and 'r', and pivoting has no derivative rule.",
            "Use mode='economic' without pivoting.",
        )
    (a,) = operands(a)
    q, r = np.linalg.qr(a, modes[mode])
    return (r,) if mode == "r" else (q, r)


def qr_multiply(
    a: Any,
    c: Any,
    mode: str = "right",
    pivoting: bool = False,
    conjugate: bool = False,
    overwrite_a: bool = False,
    overwrite_c: bool = False,
) -> tuple[Any, Any]:
    """(c q, r) for the factors a = q r, where q has no more columns than a; (q c, r) for mode="left".

    Args:
        c: a matrix or a vector, for which the product is a vector too.
        conjugate: whether to multiply by the complex conjugate of q.

    Raises:
        UnsupportedArgumentError: another mode, or pivoting.

    Example:
        >>> from functrans.scipy import linalg
        >>> product, r = linalg.qr_multiply([[3.0, 1.0], [4.0, 2.0]], [3.0, 4.0])
        >>> abs(product).round(6)
        array([5., 0.])
    """
    if mode not in ("left", "right") or pivoting:
        raise UnsupportedArgumentError(
            f"scipy.linalg.qr_multiply was called with mode={mode!r}, pivoting={pivoting}.",
            "The modes are 'left' and 'right', and pivoting has no derivative rule.",
            "Multiply by a factor of functrans.scipy.linalg.qr.",
        )
    a, c = operands(a, c)
    q, r = np.linalg.qr(a)
    q = np.conj(q) if conjugate else q
    return (q @ c if mode == "left" else c @ q), r


def svd(
    a: Any,
    full_matrices: bool = True,
    compute_uv: bool = True,
    overwrite_a: bool = False,
    check_finite: bool = True,
    lapack_driver: str = "gesdd",
) -> Any:
    """(u, s, vh) with a = u s vh and the singular values s, largest first; s alone without `compute_uv`.

    Example:
        >>> from functrans.scipy import linalg
        >>> linalg.svd([[0.0, 2.0], [3.0, 0.0]], compute_uv=False)
        array([3., 2.])
    """
    (a,) = operands(a)
    found = np.linalg.svd(a, full_matrices=full_matrices, compute_uv=compute_uv)
    return tuple(found) if compute_uv else found


def polar(a: Any, side: str = "right", **options: Any) -> tuple[Any, Any]:
    """(u, p) with orthonormal u and positive semidefinite p: a = u p, or a = p u for side="left".

    It comes from the singular values; JAX's options (`method`, `eps`, `max_iterations`) change nothing.

    Example:
        >>> from functrans.scipy import linalg
        >>> u, p = linalg.polar([[0.0, -2.0], [3.0, 0.0]])
        >>> p.round(12)
        array([[3., 0.],
               [0., 2.]])
    """
    if side not in ("right", "left"):
        raise UnsupportedArgumentError(
            f"polar was called with side={side!r}.", "It is 'right' or 'left'.", "Pass one of these."
        )
    w, s, vh = svd(a, full_matrices=False)
    u = np.matmul(w, vh)
    return u, np.matmul(mH(vh) * s[..., None, :], vh) if side == "right" else np.matmul(w * s[..., None, :], mH(w))


def eigh(
    a: Any,
    b: Any = None,
    lower: bool = True,
    eigvals_only: bool = False,
    overwrite_a: bool = False,
    overwrite_b: bool = False,
    turbo: bool = True,
    eigvals: None = None,
    type: int = 1,
    check_finite: bool = True,
) -> Any:
    """(w, v) with a v = v w, or a v = b v w, for Hermitian a and positive definite b; w alone with `eigvals_only`.

    The eigenvalues w ascend; the eigenvectors, the columns of v, are orthonormal, v^H b v = 1.

    Args:
        lower: which triangle of a and b is read.
        type: only 1, the equation above.

    Raises:
        UnsupportedArgumentError: another type, or a range of eigenvalues.

    Example:
        >>> from functrans.scipy import linalg
        >>> linalg.eigh([[3.0, 0.0], [0.0, 8.0]], [[1.0, 0.0], [0.0, 4.0]], eigvals_only=True)
        array([2., 3.])
    """
    if type != 1 or eigvals is not None:
        raise UnsupportedArgumentError(
            f"scipy.linalg.eigh was called with type={type}, eigvals={eigvals}.",
            "It solves a v = b v w (type 1), for all eigenvalues.",
            "Select from what it returns; the other types follow by substitution.",
        )
    uplo = "L" if lower else "U"
    if b is None:
        (a,) = operands(a)
        return np.linalg.eigvalsh(a, uplo) if eigvals_only else tuple(np.linalg.eigh(a, uplo))
    a, b = operands(a, b)
    root = np.linalg.cholesky(b) if lower else mH(np.linalg.cholesky(b, upper=True))
    half = solve_triangle(root, _hermitian(a, lower), lower=True)
    reduced = solve_triangle(root, half, lower=True, left_side=False, transpose_a=True, conjugate_a=True)
    if eigvals_only:
        return np.linalg.eigvalsh(reduced)
    w, v = np.linalg.eigh(reduced)
    return w, solve_triangle(root, v, lower=True, transpose_a=True, conjugate_a=True)


def eigh_tridiagonal(d: Any, e: Any, *, eigvals_only: bool = False, select: str = "a", **options: Any) -> Any:
    """`eigh` of the real symmetric matrix with the diagonal d and e beside it, which is written out for that.

    Raises:
        UnsupportedArgumentError: a selection of eigenvalues.

    Example:
        >>> import numpy as np
        >>> from functrans.scipy import linalg
        >>> linalg.eigh_tridiagonal(np.array([2.0, 2.0]), np.array([1.0]), eigvals_only=True)
        array([1., 3.])
    """
    if select != "a":
        raise UnsupportedArgumentError(
            f"eigh_tridiagonal was called with select={select!r}.", "It computes all eigenvalues.", "Select from them."
        )
    d, e = operands(d, e)
    n = typeof(d).shape[-1]
    before = np.zeros_like(e, shape=(*typeof(e).shape[:-1], 1))
    beside_it = np.concatenate([before, e], axis=-1)[..., None] * beside(e, np.eye(n, k=-1))
    matrix = d[..., None] * beside(d, np.eye(n)) + beside_it + mT(beside_it)
    return eigh(matrix, eigvals_only=eigvals_only)


def _hermitian(a: Any, lower: bool) -> Any:
    """A Hermitian matrix of which one triangle is given."""
    one = np.tril(a, -1) if lower else np.triu(a, 1)
    return one + mH(one) + np.real(a) * beside(a, np.eye(typeof(a).shape[-1], dtype=typeof(np.real(a)).dtype))


def _matrix(a: Any) -> Any:
    check_matrix(typeof(a), "A matrix")
    return a
