"""Matrices with a pattern. Those that depend on their size alone are SciPy's own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ...core.devices import beside, here
from ...core.trace import typeof
from ...errors import MatrixShapeError, UnsupportedArgumentError
from ...numpy.common import as_operand, stretched
from ...primitives.foundation import broadcast_shapes
from ...primitives.late_scipy import linalg
from .operands import operands


def block_diag(*arrs: Any) -> Any:
    """Matrices along the diagonal of a matrix of zeros; vectors count as rows.

    Example:
        >>> from functrans.scipy import linalg
        >>> linalg.block_diag([[1, 2]], 3)
        array([[1, 2, 0],
               [0, 0, 3]])
    """
    blocks = [np.atleast_2d(as_operand(a)) for a in (arrs or ([[]],))]
    if any(typeof(block).ndim > 2 for block in blocks):
        raise MatrixShapeError(
            f"block_diag was given blocks of types {', '.join(str(typeof(block)) for block in blocks)}.",
            "Blocks have at most two axes.",
            "Map over further axes with vmap.",
        )
    columns = [typeof(block).shape[1] for block in blocks]
    before = np.cumsum([0, *columns])
    rows = [
        np.pad(block, ((0, 0), (before[i], before[-1] - before[i + 1]))) for i, block in enumerate(blocks)
    ]
    return np.concatenate(rows)


def toeplitz(c: Any, r: Any = None) -> Any:
    """Matrices that are constant along diagonals, with first columns c and first rows r (by default conj(c)).

    Args:
        c: of shape (..., m).
        r: of shape (..., n); its first element is not read.

    Example:
        >>> from functrans.scipy import linalg
        >>> linalg.toeplitz([1, 2, 3], [1, 4])
        array([[1, 4],
               [2, 1],
               [3, 2]])
    """
    c = _vectors(c)
    r = np.conj(c) if r is None else _vectors(r)
    return _by_difference(np.flip(c, -1), r[..., 1:])


def _by_difference(first: Any, second: Any) -> Any:
    """The matrix of the elements of both vectors, in order, at last row - row + column."""
    m, n = typeof(first).shape[-1], typeof(second).shape[-1] + 1
    lanes = broadcast_shapes(typeof(first).shape[:-1], typeof(second).shape[:-1])
    parts = [stretched(part, (*lanes, *typeof(part).shape[-1:])) for part in (first, second)]
    elements = np.concatenate(parts, axis=-1)
    return elements[..., beside(elements, np.arange(m)[::-1, None] + np.arange(n))]


def hankel(c: Any, r: Any = None) -> Any:
    """Matrices that are constant along antidiagonals, with first columns c and last rows r (by default zero).

    Example:
        >>> from functrans.scipy import linalg
        >>> linalg.hankel([1, 2, 3])
        array([[1, 2, 3],
               [2, 3, 0],
               [3, 0, 0]])
    """
    c = _vectors(c)
    r = np.zeros_like(c) if r is None else _vectors(r)
    return np.flip(_by_difference(c, r[..., 1:]), -2)


def circulant(c: Any) -> Any:
    """Matrices whose columns are c, turned on by one row from column to column.

    Example:
        >>> from functrans.scipy import linalg
        >>> linalg.circulant([1, 2, 3])
        array([[1, 3, 2],
               [2, 1, 3],
               [3, 2, 1]])
    """
    c = _vectors(c)
    n = typeof(c).shape[-1]
    return c[..., beside(c, (np.arange(n)[:, None] - np.arange(n)) % max(n, 1))]


def convolution_matrix(a: Any, n: int, mode: str = "full") -> Any:
    """The matrix that times a vector v of n elements is np.convolve(a, v, mode).

    Example:
        >>> from functrans.scipy import linalg
        >>> linalg.convolution_matrix([1, 2], 2)
        array([[1, 0],
               [2, 1],
               [0, 2]])
    """
    a = _vectors(a)
    m = typeof(a).shape[-1]
    cut = {"full": 0, "same": min(m, n) - 1, "valid": 2 * (min(m, n) - 1)}
    if mode not in cut or m < 1 or n < 1:
        raise UnsupportedArgumentError(
            f"convolution_matrix was called for vectors of {m} and {n} elements, with mode={mode!r}.",
            "The modes are 'full', 'same' and 'valid', and there is at least one element of each.",
            "Pass such a mode and such vectors.",
        )
    pads = [(0, 0)] * (typeof(a).ndim - 1)
    rows = toeplitz(np.pad(a, [*pads, (0, n - 1)]), np.pad(a[..., :1], [*pads, (0, n - 1)]))
    return rows[..., cut[mode] // 2 : m + n - 1 - (cut[mode] - cut[mode] // 2), :]


def companion(a: Any) -> Any:
    """The matrix whose eigenvalues are the roots of the polynomial with coefficients a, highest first.

    Example:
        >>> from functrans.scipy import linalg
        >>> linalg.companion([1.0, -3.0, 2.0])
        array([[ 3., -2.],
               [ 1.,  0.]])
    """
    (a,) = operands(a)
    n = typeof(a).shape[-1]
    row = -a[..., 1:] / a[..., :1]
    return np.concatenate([row[..., None, :], _below(row, n - 2)], axis=-2)


def _below(row: Any, count: int) -> Any:
    """Rows of the identity matrix under a first row."""
    eye = beside(row, np.eye(count, count + 1, dtype=typeof(row).dtype))
    return stretched(eye, (*typeof(row).shape[:-1], count, count + 1))


def leslie(f: Any, s: Any) -> Any:
    """The matrix of a population with fecundities f, the first row, and survivals s, below the diagonal.

    Example:
        >>> from functrans.scipy import linalg
        >>> linalg.leslie([0.1, 2.0], [0.5])
        array([[0.1, 2. ],
               [0.5, 0. ]])
    """
    f, s = as_operand(f), as_operand(s)
    below = s[..., :, None] * _below(f, typeof(s).shape[-1])
    return np.concatenate([f[..., None, :], below], axis=-2)


def fiedler(a: Any) -> Any:
    """The matrix of distances |a_i - a_j|."""
    a = _vectors(a)
    return np.abs(a[..., :, None] - a[..., None, :])


def _vectors(x: Any) -> Any:
    return np.atleast_1d(as_operand(x))


def _of_size(name: str, text: str) -> Callable[..., Any]:
    """A matrix of SciPy's, where arrays are."""

    def matrix(n: int, *args: Any, **options: Any) -> Any:
        return here(getattr(linalg(), name)(n, *args, **options))

    matrix.__name__ = matrix.__qualname__ = name
    matrix.__doc__ = f"{text}\n\n    The arguments are those of scipy.linalg.{name}.\n    "
    return matrix


dft = _of_size("dft", "The matrix of the discrete Fourier transform.")
hadamard = _of_size("hadamard", "Hadamard's matrix: orthogonal rows of ones and minus ones.")
helmert = _of_size("helmert", "Helmert's matrix.")
hilbert = _of_size("hilbert", "Hilbert's matrix 1 / (i + j + 1).")
invhilbert = _of_size("invhilbert", "The inverse of Hilbert's matrix.")
invpascal = _of_size("invpascal", "The inverse of Pascal's matrix.")
pascal = _of_size("pascal", "Pascal's matrix of binomial coefficients.")
