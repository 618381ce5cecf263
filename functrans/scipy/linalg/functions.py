"""Functions of square matrices: exponentials and square roots."""

from __future__ import annotations

from math import comb, factorial
from typing import Any, Final

import numpy as np

from ...api.grad import jvp
from ...core.trace import typeof
from ...lax.loops import fori_loop
from ...numpy.common import cast
from ...primitives.matrices import check_square, identity_like
from ...primitives.matrix_equations import square_root
from ...primitives.selection import stop_gradient
from .operands import operands

#: The Pade approximant of degree 13, and the norm up to which it has full accuracy (N. Higham, "The scaling and
#: squaring method for the matrix exponential revisited", SIAM J. Matrix Anal. Appl. 26, 2005).
_COEFFICIENTS: Final = [factorial(26 - k) * comb(13, k) / factorial(26) for k in range(14)]
_LARGEST_NORM: Final = 5.371920351148152


def expm(A: Any, *, upper_triangular: bool = False, max_squarings: int = 16) -> Any:
    """The exponential of square matrices, by scaling and squaring; it differentiates to any order in both directions.

    Args:
        upper_triangular: JAX's promise, which is not needed.
        max_squarings: matrices that need more give NaN; the default is enough for norms up to 3.5e5.

    Example:
        >>> import numpy as np
        >>> from functrans.scipy import linalg
        >>> linalg.expm(np.array([[0.0, 1.0], [0.0, 0.0]]))
        array([[1., 1.],
               [0., 1.]])
    """
    (A,) = operands(A)
    check_square(typeof(A), "A square matrix")
    dtype = np.real(A).dtype
    norm = stop_gradient(np.max(np.sum(np.abs(A), axis=-2), axis=-1, initial=0))
    needed = np.ceil(np.log2(np.maximum(norm / dtype.type(_LARGEST_NORM), 1)))
    squarings = np.minimum(needed, dtype.type(max_squarings))
    root = _pade(A * (dtype.type(2) ** -squarings)[..., None, None])

    def square(i: Any, power: Any) -> Any:
        return np.where((i < squarings)[..., None, None], np.matmul(power, power), power)

    most = np.max(np.where(np.isfinite(squarings), squarings, 0), initial=0).astype(int)
    result = fori_loop(0, most, square, root)
    return np.where((needed > max_squarings)[..., None, None], typeof(A).dtype.type(np.nan), result)


def _pade(a: Any) -> Any:
    """r(a) for a of a small norm: the quotient of the even part plus and minus the odd part."""
    b = _COEFFICIENTS
    one = identity_like(a)
    a2 = np.matmul(a, a)
    a4 = np.matmul(a2, a2)
    a6 = np.matmul(a4, a2)
    odd = np.matmul(a6, b[13] * a6 + b[11] * a4 + b[9] * a2) + b[7] * a6 + b[5] * a4 + b[3] * a2 + b[1] * one
    odd = np.matmul(a, odd)
    even = np.matmul(a6, b[12] * a6 + b[10] * a4 + b[8] * a2) + b[6] * a6 + b[4] * a4 + b[2] * a2 + b[0] * one
    return np.linalg.solve(even - odd, even + odd)


def expm_frechet(A: Any, E: Any, *, method: str | None = None, compute_expm: bool = True) -> Any:
    """The exponential of A and its derivative in the direction E; the derivative alone without `compute_expm`.

    Example:
        >>> import numpy as np
        >>> from functrans.scipy import linalg
        >>> linalg.expm_frechet(np.zeros((2, 2)), np.eye(2), compute_expm=False)
        array([[1., 0.],
               [0., 1.]])
    """
    A, E = operands(A, E)
    value, derivative = jvp(expm, (A,), (E,))
    return (value, derivative) if compute_expm else derivative


def sqrtm(A: Any, blocksize: int = 1) -> Any:
    """The principal square root x of square matrices, x x = A; complex, whatever A is.

    SciPy computes it by Schur factors; the derivative is not defined at singular matrices.

    Example:
        >>> import numpy as np
        >>> from functrans.scipy import linalg
        >>> linalg.sqrtm(np.array([[5.0, 4.0], [4.0, 5.0]])).real.round(12)
        array([[2., 1.],
               [1., 2.]])
    """
    (A,) = operands(A)
    return square_root(cast(A, np.result_type(typeof(A).dtype, np.complex64)))
