"""Linear algebra with SciPy's names and signatures, for arrays and traced values alike.

Gradients by Hermitian matrices are Hermitian, as those of `numpy.linalg`; docs/semantics_linalg.md says what holds
where eigenvalues or singular values coincide.
"""

from ...core.libraries import absent_from
from .equations import det, inv, solve, solve_sylvester, solve_triangular
from .factorizations import (
    cho_factor,
    cho_solve,
    cholesky,
    eigh,
    eigh_tridiagonal,
    lu,
    lu_factor,
    lu_solve,
    polar,
    qr,
    qr_multiply,
    svd,
)
from .functions import expm, expm_frechet, sqrtm
from .special_matrices import (
    block_diag,
    circulant,
    companion,
    convolution_matrix,
    dft,
    fiedler,
    hadamard,
    hankel,
    helmert,
    hilbert,
    invhilbert,
    invpascal,
    leslie,
    pascal,
    toeplitz,
)

__getattr__ = absent_from(__name__)

__all__ = [
    "block_diag", "cho_factor", "cho_solve", "cholesky", "circulant", "companion", "convolution_matrix", "det", "dft",
    "eigh", "eigh_tridiagonal", "expm", "expm_frechet", "fiedler", "hadamard", "hankel", "helmert", "hilbert", "inv",
    "invhilbert", "invpascal", "leslie", "lu", "lu_factor", "lu_solve", "pascal", "polar", "qr", "qr_multiply", "solve",
    "solve_sylvester", "solve_triangular", "sqrtm", "svd", "toeplitz",
]  # fmt: skip
