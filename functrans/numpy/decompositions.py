"""numpy.linalg: factorizations, eigenvalues and singular values.

Hermitian matrices are read as NumPy reads them, from one triangle; the gradient by them is Hermitian. Where eigenvalues
or singular values coincide, see docs/semantics_linalg.md.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core.avals import real_dtype
from ..core.devices import here
from ..core.dtypes import finfo
from ..core.trace import typeof
from ..errors import UnsupportedArgumentError
from ..primitives import linalg, spectral
from ..primitives.foundation import convert
from ..primitives.matrices import check_matrix, check_square, hermitian_part, mH

# The types of NumPy's results, so that a traced result is the same pytree.
_ONE = np.ones((1, 1))
_QRResult: Any = type(np.linalg.qr(_ONE))
_EigResult: Any = type(np.linalg.eig(_ONE))
_EighResult: Any = type(np.linalg.eigh(_ONE))
_SVDResult: Any = type(np.linalg.svd(_ONE))


def cholesky(a: Any, /, *, upper: bool = False) -> Any:
    """numpy.linalg.cholesky; the gradient is Hermitian."""
    root = linalg.cholesky(hermitian_part(_square(a), lower=not upper))
    return mH(root) if upper else root


def qr(a: Any, mode: str = "reduced") -> Any:
    """numpy.linalg.qr, with mode "reduced", "complete" or "r"."""
    if mode not in ("reduced", "complete", "r"):
        raise UnsupportedArgumentError(
            f"np.linalg.qr was called on a traced array with mode={mode!r}.",
            "Householder reflectors have no derivative rule; the modes are 'reduced', 'complete' and 'r'.",
            "Use mode='reduced'.",
        )
    q, r = linalg.qr.bind(_matrix(a), full_matrices=mode == "complete")
    return r if mode == "r" else _QRResult(q, r)


def eigh(a: Any, UPLO: str = "L") -> Any:
    """numpy.linalg.eigh; the gradient is Hermitian, and complex eigenvectors turn their phase as little as they can."""
    return _EighResult(*spectral.eigh.bind(_hermitian(a, UPLO), lower=True, vectors=True))


def eigvalsh(a: Any, UPLO: str = "L") -> Any:
    """numpy.linalg.eigvalsh; the gradient is Hermitian."""
    return spectral.eigh(_hermitian(a, UPLO), lower=True, vectors=False)


def eig(a: Any) -> Any:
    """numpy.linalg.eig; the results are complex, whatever the eigenvalues are."""
    return _EigResult(*spectral.eig.bind(_square(a), vectors=True))


def eigvals(a: Any) -> Any:
    """numpy.linalg.eigvals; complex, whatever the eigenvalues are."""
    return spectral.eig(_square(a), vectors=False)


def svd(a: Any, full_matrices: bool = True, compute_uv: bool = True, hermitian: bool = False) -> Any:
    """numpy.linalg.svd; a Hermitian operand is read from its lower triangle."""
    a = _hermitian(a, "L") if hermitian else _matrix(a)
    if not compute_uv:
        return spectral.svd(a, full_matrices=False, vectors=False)
    return _SVDResult(*spectral.svd.bind(a, full_matrices=full_matrices, vectors=True))


def svdvals(x: Any, /) -> Any:
    """numpy.linalg.svdvals."""
    return spectral.svd(_matrix(x), full_matrices=False, vectors=False)


def pinv(a: Any, rcond: Any = None, hermitian: bool = False, *, rtol: Any = np._NoValue) -> Any:
    """numpy.linalg.pinv; the derivative is that at constant rank."""
    a = _hermitian(a, "L") if hermitian else _matrix(a)
    aval = typeof(a)
    if rcond is not None and rtol is not np._NoValue:
        raise ValueError("`rtol` and `rcond` can't be both set.")
    if rcond is None:
        rcond = 1e-15 if rtol is np._NoValue else rtol
    if rcond is None:
        rcond = max(aval.shape[-2:]) * float(finfo(aval.dtype).eps)
    rcond = convert(here(np.broadcast_to(rcond, aval.shape[:-2])), dtype=real_dtype(aval.dtype))
    return spectral.pinv(a, rcond)


def matrix_rank(A: Any, tol: Any = None, hermitian: bool = False, *, rtol: Any = None) -> Any:
    """numpy.linalg.matrix_rank; an integer, which has no derivative."""
    if rtol is not None and tol is not None:
        raise ValueError("`tol` and `rtol` can't be both set.")
    if typeof(A).ndim < 2:
        return np.any(A != 0).astype(int)
    s = np.abs(eigvalsh(A)) if hermitian else svdvals(A)
    if tol is None:
        natural = max(typeof(A).shape[-2:]) * float(finfo(s.dtype).eps)
        rtol = natural if rtol is None else here(np.expand_dims(rtol, -1))
        tol = np.max(s, axis=-1, keepdims=True, initial=0) * rtol
    else:
        tol = here(np.expand_dims(tol, -1))
    return np.sum(s > tol, axis=-1)


def _matrix(a: Any) -> Any:
    """The operand as matrices of a dtype that LAPACK knows: integers and booleans become float64."""
    if typeof(a).dtype.kind in "biu":
        a = convert(a, dtype=np.dtype(np.float64))
    check_matrix(typeof(a), "A matrix")
    return a


def _square(a: Any) -> Any:
    a = _matrix(a)
    check_square(typeof(a), "A square matrix")
    return a


def _hermitian(a: Any, uplo: str) -> Any:
    if uplo.upper() not in ("L", "U"):
        raise ValueError("UPLO argument must be 'L' or 'U'")
    return hermitian_part(_square(a), lower=uplo.upper() == "L")
