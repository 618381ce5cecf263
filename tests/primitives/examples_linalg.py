"""Examples for functrans.primitives: matrices, linalg, spectral, determinants, roots."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.helpers.examples import Example

RANDOM = np.random.default_rng(7)
DTYPES = ("f8", "f4", "c16", "c8")


def matrices(*shape: int, dtype: str = "f8") -> Any:
    """Random matrices."""
    x = RANDOM.uniform(-1, 1, shape)
    if np.dtype(dtype).kind == "c":
        x = x + 1j * RANDOM.uniform(-1, 1, shape)
    return np.asarray(x).astype(dtype)


def regular(*shape: int, dtype: str = "f8") -> Any:
    """Well-conditioned square matrices, with pivots on and off the diagonal."""
    n = shape[-1]
    shift = np.roll(np.diag(np.arange(2.0, n + 2)), 1, axis=0) if n else np.zeros((0, 0))
    return (matrices(*shape, dtype=dtype) + shift).astype(dtype)


def hermitian(*shape: int, dtype: str = "f8") -> Any:
    """Hermitian matrices with separate eigenvalues."""
    x = matrices(*shape, dtype=dtype) / 4
    return (x + np.swapaxes(x, -1, -2).conj() + np.diag(np.arange(1.0, shape[-1] + 1))).astype(dtype)


def triangular(*shape: int, dtype: str = "f8") -> Any:
    return (matrices(*shape, dtype=dtype) + 2 * np.eye(shape[-1])).astype(dtype)


def singular(n: int, rank: int, dtype: str = "f8") -> Any:
    """A matrix of lower rank."""
    return matrices(n, rank, dtype=dtype) @ matrices(rank, n, dtype=dtype)


def triangular_params(**changes: bool) -> dict[str, bool]:
    usual = {"left_side": True, "lower": True, "transpose_a": False, "conjugate_a": False, "unit_diagonal": False}
    return {**usual, **changes}


def factored(a: Any, b: Any, transposed: bool) -> Example:
    """An equation with the factors of its matrix."""
    permutation = np.empty(a.shape[:-1], np.int32)
    lu = np.empty_like(a)
    for i in np.ndindex(a.shape[:-2]):
        lu[i], permutation[i] = packed_lu(a[i])
    # The factors are no variables: differences of the result by `a` alone say nothing.
    return Example("solve_with_factors", (a, lu, permutation, b), {"transposed": transposed}, smooth=False)


def positive_definite(a: Any, b: Any) -> Example:
    """An equation with the triangle of its matrix, a Hermitian one, which is no variable either."""
    a = a @ np.swapaxes(a, -1, -2).conj() + np.eye(a.shape[-1], dtype=a.dtype)
    return Example("solve_with_triangle", (a, np.linalg.cholesky(a), b), smooth=False)


def packed_lu(a: Any) -> tuple[Any, Any]:
    """Gauss's elimination, as in a textbook."""
    lu, order = a.copy(), np.arange(len(a))
    for j in range(len(a)):
        pivot = j + int(np.argmax(np.abs(lu[j:, j].real) + np.abs(lu[j:, j].imag)))
        lu[[j, pivot]], order[[j, pivot]] = lu[[pivot, j]], order[[pivot, j]]
        lu[j + 1 :, j] /= lu[j, j]
        lu[j + 1 :, j + 1 :] -= np.outer(lu[j + 1 :, j], lu[j, j + 1 :])
    return lu, order


TRIANGLES = [
    Example("triangle", (matrices(3, 4),), {"lower": True, "k": 0}),
    Example("triangle", (matrices(2, 3, 2, dtype="c16"),), {"lower": False, "k": 1}),
    Example("triangle", (matrices(3, 3, dtype="f4"),), {"lower": True, "k": -1}),
    Example("triangle", (np.arange(9).reshape(3, 3),), {"lower": False, "k": -1}),
    Example("triangle", (matrices(0, 3),), {"lower": True, "k": 0}),
    # The derivative is that of (a + a^H) / 2, which equals the value at Hermitian matrices only.
    *(Example("hermitian_part", (hermitian(3, 3, dtype=d),), {"lower": True}, smooth=False) for d in DTYPES),
    Example("hermitian_part", (hermitian(2, 3, 3, dtype="c16"),), {"lower": False}, smooth=False),
    Example("hermitian_part", (np.zeros((0, 0)),), {"lower": True}, smooth=False),
]

EQUATIONS = [
    *(Example("cholesky", (hermitian(3, 3, dtype=d),)) for d in DTYPES),
    *(Example("cholesky", (hermitian(*shape),)) for shape in [(2, 2, 2), (1, 1), (0, 0)]),
    *(
        Example("triangular_solve", (triangular(3, 3, dtype=d), matrices(3, 2, dtype=d)), triangular_params())
        for d in DTYPES
    ),
    *(
        Example("triangular_solve", (triangular(3, 3, dtype="c16"), b), triangular_params(**changes))
        for b in [matrices(3, 3, dtype="c16")]
        for changes in [
            {"lower": False},
            {"transpose_a": True},
            {"transpose_a": True, "conjugate_a": True, "lower": False},
            {"conjugate_a": True, "left_side": False},
            {"unit_diagonal": True},
            {"unit_diagonal": True, "lower": False, "left_side": False},
            {"transpose_a": True, "left_side": False},
        ]
    ),
    Example(
        "triangular_solve", (triangular(2, 3, 3), matrices(2, 4, 3)), triangular_params(left_side=False, lower=False)
    ),
    Example("triangular_solve", (triangular(2, 2), matrices(2, 0)), triangular_params()),
    Example("triangular_solve", (np.zeros((0, 0)), np.zeros((0, 2))), triangular_params()),
    *(Example("lu", (regular(3, 3, dtype=d),)) for d in DTYPES),
    *(
        Example("lu", (matrices(*shape) + np.eye(*shape[-2:], k=-1) * 3,))
        for shape in [(4, 2), (2, 4), (2, 3, 3), (1, 1), (0, 0), (0, 2), (3, 0)]
    ),
    # What is known of a matrix beside it: no derivative, by definition.
    *(Example("factors", (regular(*shape),), smooth=False) for shape in [(3, 3), (2, 2, 2)]),
    *(Example("solve", (regular(3, 3, dtype=d), matrices(3, 2, dtype=d))) for d in DTYPES),
    Example("solve", (regular(2, 3, 3), matrices(2, 3, 1))),
    Example("solve", (np.zeros((0, 0)), np.zeros((0, 2)))),
    Example("solve", (regular(2, 2), matrices(2, 0))),
    factored(regular(3, 3), matrices(3, 2), False),
    factored(regular(3, 3, dtype="c16"), matrices(3, 2, dtype="c16"), True),
    factored(regular(2, 3, 3), matrices(2, 3, 1), True),
]

ORTHOGONAL = [
    *(Example("qr", (matrices(*shape, dtype=d),), {"full_matrices": False}) for shape, d in [
        ((3, 3), "f8"), ((4, 2), "f8"), ((2, 4), "f8"), ((4, 2), "f4"), ((3, 3), "c16"), ((4, 2), "c16"),
        ((2, 3), "c8"), ((2, 3, 2), "f8"), ((1, 1), "f8"), ((3, 0), "f8"), ((0, 2), "f8"),
    ]),
    Example("qr", (matrices(2, 3),), {"full_matrices": True}),
    Example("qr", (matrices(3, 3),), {"full_matrices": True}),
    # The last columns of q, and vectors in general, are determined up to a rotation or phase.
    Example("qr", (matrices(4, 2),), {"full_matrices": True}, smooth=False),
    *(Example("eigh", (hermitian(3, 3, dtype=d),), {"lower": True, "vectors": False}) for d in DTYPES),
    *(Example("eigh", (hermitian(3, 3, dtype=d),), {"lower": True, "vectors": True}) for d in ("f8", "f4")),
    Example("eigh", (hermitian(3, 3),), {"lower": False, "vectors": True}),
    Example("eigh", (hermitian(2, 3, 3, dtype="c16"),), {"lower": False, "vectors": False}),
    Example("eigh", (hermitian(2, 2, 2),), {"lower": True, "vectors": True}),
    Example("eigh", (hermitian(3, 3, dtype="c16"),), {"lower": True, "vectors": True}, smooth=False),
    *(Example("eigh", (hermitian(n, n),), {"lower": True, "vectors": True}) for n in (0, 1)),
    *(Example("eig", (regular(3, 3, dtype=d),), {"vectors": v}) for d in DTYPES for v in (True, False)),
    *(Example("eig", (regular(*shape),), {"vectors": True}) for shape in [(2, 2, 2), (4, 4), (1, 1), (0, 0)]),
    *(
        Example("svd", (matrices(3, 3, dtype=d),), {"full_matrices": False, "vectors": v})
        for d, v in [("f8", True), ("f4", True), ("f8", False), ("c16", False), ("c8", False)]
    ),
    *(
        Example("svd", (matrices(*shape),), {"full_matrices": False, "vectors": True})
        for shape in [(4, 2), (2, 4), (2, 2, 2), (1, 1), (0, 0), (3, 0)]
    ),
    Example("svd", (matrices(3, 3),), {"full_matrices": True, "vectors": True}),
    Example("svd", (matrices(4, 2),), {"full_matrices": True, "vectors": True}, smooth=False),
    Example("svd", (matrices(2, 4, dtype="c16"),), {"full_matrices": True, "vectors": True}, smooth=False),
    Example("svd", (matrices(4, 2, dtype="c16"),), {"full_matrices": False, "vectors": True}, smooth=False),
    *(Example("pinv", (matrices(*shape, dtype=d), np.float64(1e-9))) for shape, d in [
        ((4, 2), "f8"), ((2, 4), "f8"), ((3, 3), "f8"), ((4, 2), "c16"), ((2, 3), "c16"), ((0, 2), "f8"),
    ]),
    Example("pinv", (matrices(4, 2, dtype="f4"), np.float32(1e-5))),
    Example("pinv", (matrices(2, 4, 2), np.full(2, 1e-9))),
]

SPECTRAL_PARTS = [
    # What the rules are made of: only together with them do the derivatives mean anything.
    Example(
        "diagonalized",
        (np.array([1.0, 2.0, 2.0]), np.eye(3), np.diag([1.0, 2.0, 2.0]), np.eye(3)),
        {"hermitian": True},
        smooth=False,
    ),
    Example(
        "diagonalized",
        (np.array([[1j, 1]]), *(np.eye(2, dtype="c16")[None], np.diag([1j, 1])[None], np.eye(2, dtype="c16")[None])),
        {"hermitian": False},
        smooth=False,
    ),
    *(
        Example(
            "spectral_quotient", (np.diag(w), matrices(3, 3, dtype=w.dtype.str), np.full((1, 1), 1e-5, w.real.dtype)),
            {"by": by}, smooth=False,
        )
        for by in ("differences", "sums", "columns")
        for w in (np.array([3.0, 1.0, 1.0]), np.array([3.0, 1.0, 0.0], "f4"), np.array([1j, 1.0, 0.0]))
    ),
    Example("spectral_quotient", (np.diag([3.0, 1.0]), matrices(4, 2), np.zeros((1, 1))), {"by": "columns"}, smooth=False),
    Example("root", (np.array([0.5, 2.0, 3.0]),), {"degree": 2}),
    Example("root", (np.array([[0.5, 2.0]], "f4"),), {"degree": 2.5}),
    Example("root", (np.float64(4.0),), {"degree": 3}),
    Example("root", (np.zeros((0, 2)),), {"degree": 2}),
    Example("root", (np.array([0.0, 1.0]),), {"degree": 2}, smooth=False),
]

DETERMINANTS = [
    *(Example("det", (regular(n, n, dtype=d),)) for d in DTYPES for n in (3, 4)),
    *(Example("det", (regular(*shape),)) for shape in [(0, 0), (1, 1), (2, 2), (2, 3, 3)]),
    *(Example("cofactors", (regular(n, n, dtype=d),)) for d in DTYPES for n in (3, 4)),
    *(Example("cofactors", (regular(*shape),)) for shape in [(0, 0), (1, 1), (2, 2), (2, 3, 3)]),
    *(Example("cofactors", (singular(n, rank),)) for n, rank in [(3, 2), (3, 1), (4, 2), (2, 0)]),
    *(
        Example("cofactor_derivative", (regular(n, n, dtype=d), matrices(n, n, dtype=d)))
        for d in DTYPES
        for n in (2, 3, 4)
    ),
    *(Example("cofactor_derivative", (regular(*shape), matrices(*shape))) for shape in [(0, 0), (1, 1), (2, 3, 3)]),
    Example("cofactor_derivative", (singular(3, 1, "c16"), matrices(3, 3, dtype="c16"))),
    *(
        Example("cofactor_derivative", (a, *(matrices(n, n, dtype=d) for _ in range(k))))
        for k, n, d in [(2, 3, "f8"), (2, 4, "f8"), (2, 5, "c16"), (3, 4, "f8"), (2, 4, "f4"), (2, 2, "f8")]
        for a in (regular(n, n, dtype=d), singular(n, 2, d))
    ),
    *(Example("slogdet", (regular(3, 3, dtype=d),)) for d in DTYPES),
    *(Example("slogdet", (regular(*shape),)) for shape in [(0, 0), (1, 1), (2, 4, 4)]),
]

def shifted(n: int, dtype: str) -> Any:
    """A matrix with eigenvalues far from zero."""
    return matrices(n, n, dtype=dtype) + 4 * np.eye(n, dtype=dtype)


MATRIX_EQUATIONS = [
    *(
        Example("sylvester", (shifted(3, d), regular(2, 2, dtype=d), matrices(3, 2, dtype=d)))
        for d in DTYPES
    ),
    Example("sylvester", (4 * np.eye(2) + np.zeros((2, 1, 1)), regular(2, 2, 2), matrices(2, 2, 2))),
    Example("sylvester", (np.zeros((0, 0)), regular(2, 2), np.zeros((0, 2)))),
    *(Example("square_root", (shifted(n, "c16"),)) for n in (1, 2, 3)),
    Example("square_root", ((4 * np.eye(2) + matrices(2, 2, 2)).astype("c16"),)),
    Example("square_root", ((4 * np.eye(2) + matrices(2, 2)).astype("c8"),)),
]

PARTS = [
    Example("qr", (matrices(*shape),), {"full_matrices": is_full, "orthogonal": False})
    for shape in [(4, 2), (2, 4), (2, 3, 3), (3, 0)]
    for is_full in (False, True)
]

#: After all others, of which some depend on their numbers: eigenvectors are normalised by their largest element.
DEFINITE = [
    positive_definite(regular(3, 3), matrices(3, 2)),
    positive_definite(regular(3, 3, dtype="c16"), matrices(3, 2, dtype="c16")),
    positive_definite(regular(2, 3, 3), matrices(2, 3, 1)),
]

EXAMPLES = TRIANGLES + EQUATIONS + ORTHOGONAL + SPECTRAL_PARTS + DETERMINANTS + MATRIX_EQUATIONS + PARTS + DEFINITE
