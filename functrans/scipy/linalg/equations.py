"""Linear equations, inverses and determinants."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...core.trace import typeof
from ...errors import UnsupportedArgumentError
from ...numpy.common import stretched
from ...primitives.foundation import broadcast_shapes
from ...primitives.linalg import cholesky, solve_triangle, solve_with_triangle
from ...primitives.matrices import check_square, hermitian_part, mT
from ...primitives.matrix_equations import sylvester
from ...primitives.selection import stop_gradient
from .operands import for_columns, operands


def solve(
    a: Any,
    b: Any,
    lower: bool = False,
    overwrite_a: bool = False,
    overwrite_b: bool = False,
    debug: bool = False,
    check_finite: bool = True,
    assume_a: str = "gen",
) -> Any:
    """The solution of a x = b; b is a vector or has columns.

    Args:
        assume_a: what a is: "gen", or "sym", "her" or "pos" (symmetric, Hermitian, positive definite), of which only
            the triangle that `lower` says is read, or "upper triangular" or "lower triangular".

    Raises:
        UnsupportedArgumentError: another structure. numpy.linalg.LinAlgError: a matrix is singular, or not positive
            definite.

    Example:
        >>> import numpy as np
        >>> from functrans.scipy import linalg
        >>> linalg.solve([[2.0, 1.0], [0.0, 4.0]], np.array([5.0, 8.0]), assume_a="sym")
        array([1.71428571, 1.57142857])
    """
    if assume_a in ("upper triangular", "lower triangular"):
        return solve_triangular(a, b, lower=assume_a == "lower triangular")
    a, b = operands(a, b)
    check_square(typeof(a), "A square matrix")
    if assume_a in ("pos", "positive definite"):
        return _positive_definite_solve(hermitian_part(a, lower=bool(lower)), b)
    if assume_a in ("her", "hermitian"):
        a = hermitian_part(a, lower=bool(lower))
    elif assume_a in ("sym", "symmetric"):
        a = np.tril(a) + mT(np.tril(a, -1)) if lower else np.triu(a) + mT(np.triu(a, 1))
    elif assume_a not in ("gen", "general"):
        raise UnsupportedArgumentError(
            f"scipy.linalg.solve was called with assume_a={assume_a!r}.",
            "It knows 'gen', 'sym', 'her', 'pos', 'upper triangular' and 'lower triangular'.",
            "Use assume_a='gen'.",
        )
    return np.linalg.solve(a, b)


def _positive_definite_solve(a: Any, b: Any) -> Any:
    """By one Cholesky decomposition, which serves the equations of all derivatives and is not differentiated itself."""
    factor = cholesky(stop_gradient(a))
    return for_columns(a, b, lambda a, b: solve_with_triangle(a, stretched(factor, typeof(a).shape), b))


def solve_triangular(
    a: Any,
    b: Any,
    trans: int | str = 0,
    lower: bool = False,
    unit_diagonal: bool = False,
    overwrite_b: bool = False,
    debug: Any = None,
    check_finite: bool = True,
) -> Any:
    """The solution of a x = b for a triangle a, of which nothing else is read; b is a vector or has columns.

    A zero on the diagonal gives infinities, not an error.

    Args:
        trans: "T" or 1 solves with the transposed, "C" or 2 with the conjugate transposed matrix.
        unit_diagonal: take the diagonal for ones.

    Example:
        >>> import numpy as np
        >>> from functrans.scipy import linalg
        >>> linalg.solve_triangular([[2.0, 1.0], [0.0, 4.0]], np.array([5.0, 8.0]))
        array([1.5, 2. ])
    """
    kinds = {0: 0, "N": 0, 1: 1, "T": 1, 2: 2, "C": 2}
    if trans not in kinds:
        raise UnsupportedArgumentError(
            f"solve_triangular was called with trans={trans!r}.",
            "It is 0, 1, 2, 'N', 'T' or 'C'.",
            "Pass one of these.",
        )
    kind = kinds[trans]
    a, b = operands(a, b)

    def solve(a: Any, b: Any) -> Any:
        return solve_triangle(
            a,
            b,
            lower=bool(lower),
            transpose_a=kind > 0,
            conjugate_a=kind == 2,
            unit_diagonal=bool(unit_diagonal),
        )

    return for_columns(a, b, solve)


def solve_sylvester(A: Any, B: Any, C: Any, *, method: str = "schur", tol: float = 1e-8) -> Any:
    """The solution x of A x + x B = C. There must be no eigenvalues of A and B that add up to zero.

    It is SciPy's, by Schur factors; JAX's options change nothing.

    Example:
        >>> import numpy as np
        >>> from functrans.scipy import linalg
        >>> linalg.solve_sylvester(np.diag([1.0, 2.0]), np.array([[3.0]]), np.array([[4.0], [5.0]]))
        array([[1.],
               [1.]])
    """
    matrices = operands(A, B, C)
    lanes = broadcast_shapes(*(typeof(x).shape[:-2] for x in matrices))
    return sylvester(*(stretched(x, (*lanes, *typeof(x).shape[-2:])) for x in matrices))


def inv(a: Any, overwrite_a: bool = False, check_finite: bool = True) -> Any:
    """The inverse of square matrices.

    Example:
        >>> from functrans.scipy import linalg
        >>> linalg.inv([[2.0, 0.0], [0.0, 4.0]])
        array([[0.5 , 0.  ],
               [0.  , 0.25]])
    """
    return np.linalg.inv(*operands(a))


def det(a: Any, overwrite_a: bool = False, check_finite: bool = True) -> Any:
    """The determinant of square matrices; at singular ones too the first and second derivatives are right.

    Example:
        >>> from functrans.scipy import linalg
        >>> float(linalg.det([[2.0, 1.0], [0.0, 4.0]]).round(6))
        8.0
    """
    return np.linalg.det(*operands(a))
