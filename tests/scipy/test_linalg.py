"""functrans.scipy.linalg: values against SciPy's, and every function under jit, vmap, grad and twice grad."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import linalg as theirs

import functrans as ft
from functrans.errors import MatrixShapeError, UnsupportedArgumentError
from functrans.lax import linalg as lax_linalg
from functrans.scipy import linalg as ours
from tests.helpers.agreement import check_agreement

RANDOM = np.random.default_rng(8)
A = RANDOM.normal(size=(3, 3)) + 3 * np.eye(3)
COMPLEX = A + 1j * RANDOM.normal(size=(3, 3))
POSITIVE = A @ A.T + np.eye(3)
HERMITIAN = COMPLEX @ COMPLEX.conj().T + np.eye(3)
WIDE = RANDOM.normal(size=(2, 3))
B = RANDOM.normal(size=(3, 2))
V = RANDOM.normal(size=3)
STACK = np.stack([POSITIVE, POSITIVE + np.eye(3)])


def symmetric(a: Any) -> Any:
    return (a + np.swapaxes(a, -1, -2).conj()) / 2


CASES: dict[str, Any] = {
    "cholesky": (lambda m, a: m.cholesky(symmetric(a)), HERMITIAN),
    "cholesky lower": (lambda m, a: m.cholesky(symmetric(a), lower=True), POSITIVE),
    "cho_solve": (lambda m, a, b: m.cho_solve(m.cho_factor(symmetric(a)), b), HERMITIAN, B),
    "cho_solve lower": (lambda m, a, b: m.cho_solve(m.cho_factor(symmetric(a), True), b), POSITIVE, V),
    "lu": (lambda m, a: m.lu(a), A),
    "lu wide": (lambda m, a: m.lu(a), WIDE),
    "lu tall": (lambda m, a: m.lu(a, permute_l=True), B),
    "lu_factor": (lambda m, a: m.lu_factor(a), A),
    **{f"lu_solve {t}": (lambda m, a, b, t=t: m.lu_solve(m.lu_factor(a), b, t), COMPLEX, B) for t in (0, 1, 2)},
    "lu_solve vector": (lambda m, a, b: m.lu_solve(m.lu_factor(a), b), A, V),
    "qr r": (lambda m, a: m.qr(a, mode="r")[0], A),
    "qr": (lambda m, a: m.qr(a, mode="economic"), B),
    "qr_multiply": (lambda m, a, c: m.qr_multiply(a, c), B, WIDE[:, :3]),
    "qr_multiply vector": (lambda m, a, c: m.qr_multiply(a, c), B, V),
    "qr_multiply left": (lambda m, a, c: m.qr_multiply(a, c, mode="left"), B, WIDE[:, :3]),
    "qr_multiply left vector": (lambda m, a, c: m.qr_multiply(a, c, mode="left"), A, V),
    "qr_multiply conjugate": (lambda m, a, c: m.qr_multiply(a, c, mode="left", conjugate=True), COMPLEX, B),
    "svd": (lambda m, a: m.svd(a, compute_uv=False), WIDE),
    "polar": (lambda m, a: m.polar(a), COMPLEX),
    "polar left": (lambda m, a: m.polar(a, side="left"), WIDE),
    "eigh": (lambda m, a: m.eigh(symmetric(a), eigvals_only=True), HERMITIAN),
    "generalized eigh": (lambda m, a, b: m.eigh(symmetric(a), symmetric(b))[0], symmetric(COMPLEX), HERMITIAN),
    "generalized eigh upper": (
        lambda m, a, b: np.abs(m.eigh(symmetric(a), symmetric(b), lower=False)[1]), symmetric(A), POSITIVE,
    ),
    "eigh_tridiagonal": (lambda m, d, e: m.eigh_tridiagonal(d, e, eigvals_only=True), V, V[:2]),
    **{
        f"solve {kind}": (lambda m, a, b, kind=kind: m.solve(symmetric(a), b, assume_a=kind), POSITIVE, B)
        for kind in ("gen", "sym", "her", "pos")
    },
    "solve sym upper": (lambda m, a, b: m.solve(a, b, assume_a="sym"), A, V),
    "solve sym lower": (lambda m, a, b: m.solve(a, b, assume_a="sym", lower=True), COMPLEX, V),
    **{
        f"solve_triangular {trans} {lower}": (
            lambda m, a, b, t=trans, lo=lower: m.solve_triangular(a, b, t, lo), COMPLEX, B,
        )
        for trans in (0, "T", 2)
        for lower in (False, True)
    },
    "solve_triangular unit": (lambda m, a, b: m.solve_triangular(a, b, unit_diagonal=True), A, V),
    "solve_sylvester": (lambda m, a, b, c: m.solve_sylvester(a, b, c), A, POSITIVE, COMPLEX),
    "inv": (lambda m, a: m.inv(a), COMPLEX),
    "det": (lambda m, a: m.det(a), A),
    "expm": (lambda m, a: m.expm(a), A),
    "expm small": (lambda m, a: m.expm(a), 0.01 * COMPLEX),
    "expm large": (lambda m, a: m.expm(a), 5 * A),
    "expm_frechet": (lambda m, a, e: m.expm_frechet(a, e), A, POSITIVE),
    "sqrtm": (lambda m, a: m.sqrtm(a).astype(complex), POSITIVE),
    "sqrtm complex": (lambda m, a: m.sqrtm(a), COMPLEX),
    "block_diag": (lambda m, a, b, c: m.block_diag(a, b, c), A, V, WIDE),
    "toeplitz": (lambda m, c: m.toeplitz(c), V + 1j),
    "toeplitz wide": (lambda m, c, r: m.toeplitz(c, r), V, V[:2]),
    "hankel": (lambda m, c: m.hankel(c), V),
    "hankel wide": (lambda m, c, r: m.hankel(c, r), V, np.array([9.0, 1.0, 2.0, 3.0])),
    "circulant": (lambda m, c: m.circulant(c), V),
    "companion": (lambda m, c: m.companion(c), V),
    "leslie": (lambda m, f, s: m.leslie(f, s), V, V[:2]),
    "fiedler": (lambda m, a: m.fiedler(a), V),
    **{
        f"convolution_matrix {mode} {n}": (lambda m, a, mode=mode, n=n: m.convolution_matrix(a, n, mode), V)
        for mode in ("full", "same", "valid")
        for n in (2, 4)
    },
}


@pytest.mark.parametrize("name", CASES)
def test_scipy_is_met(name: str):
    function, *args = CASES[name]
    wanted = function(theirs, *args)
    got = function(ours, *args)
    for mine, other in zip(*(v if isinstance(v, tuple) else (v,) for v in (got, wanted)), strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-10, atol=1e-11)
        assert np.asarray(mine).dtype.kind == np.asarray(other).dtype.kind
    check_agreement(lambda *xs: function(ours, *xs), *args, tolerance=1e-10)


@pytest.mark.parametrize("name", ["dft", "hadamard", "helmert", "hilbert", "invhilbert", "invpascal", "pascal"])
def test_matrices_of_a_size(name: str):
    np.testing.assert_array_equal(getattr(ours, name)(4), getattr(theirs, name)(4))
    sums = ft.jit(lambda x: getattr(ours, name)(4) @ x)(np.ones(4))
    np.testing.assert_allclose(sums, getattr(theirs, name)(4).sum(1), atol=1e-14)


def test_leading_axes():
    """Each function of a stack of matrices is that of each of them."""
    right = np.stack([B, 2 * B])
    for f in (
        lambda a, b: ours.cho_solve(ours.cho_factor(a), b),
        lambda a, b: ours.lu_solve(ours.lu_factor(a), b),
        lambda a, b: ours.lu_solve(ours.lu_factor(a), b, 1),
        lambda a, b: ours.solve_triangular(a, b, lower=True),
        lambda a, b: ours.solve_sylvester(a, a[..., :2, :2], b),
        lambda a, b: ours.expm(a) @ b,
        lambda a, b: ours.sqrtm(a) @ b,
        lambda a, b: ours.polar(a)[0] @ b,
        lambda a, b: ours.lu(a)[0] @ b,
        lambda a, b: ours.toeplitz(a[..., 0], a[..., 1]) @ b,
        lambda a, b: ours.eigh(a, a + np.eye(3), eigvals_only=True)[..., None] * b,
    ):
        wanted = [f(a, b) for a, b in zip(STACK, right)]
        np.testing.assert_allclose(f(STACK, right), wanted, rtol=1e-10)
        np.testing.assert_allclose(ft.jit(f)(STACK, right), wanted, rtol=1e-10)
    np.testing.assert_allclose(ours.solve_triangular(STACK, V), [ours.solve_triangular(a, V) for a in STACK])


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 4), st.floats(-4, 2), st.integers(0, 2**31))
def test_exponentials_undo_each_other(n: int, log_size: float, seed: int):
    a = np.random.default_rng(seed).normal(size=(n, n))
    a *= 10**log_size / max(1, np.abs(a).sum(0).max())
    np.testing.assert_allclose(ours.expm(a), theirs.expm(a), rtol=1e-8, atol=1e-12 * np.exp(min(10**log_size, 100)))


def test_expm_at_its_ends():
    assert np.isnan(ours.expm(1e9 * np.eye(2))).all()
    assert np.isnan(ours.expm(np.full((2, 2), np.nan))).any()
    assert ours.expm(np.zeros((0, 0))).shape == (0, 0)
    np.testing.assert_array_equal(ours.expm(np.zeros((2, 2))), np.eye(2))
    np.testing.assert_allclose(ft.grad(lambda t: ours.expm(t * A)[0, 1])(0.0), A[0, 1])
    np.testing.assert_allclose(ft.grad(ft.grad(lambda t: ours.expm(t * A)[0, 1]))(0.0), (A @ A)[0, 1])


def test_lax_names():
    """The signatures of jax.lax.linalg, by what defines each."""
    x = symmetric(A)
    v, w = lax_linalg.eigh(x)
    np.testing.assert_allclose(x @ v, v * w, atol=1e-12)
    np.testing.assert_allclose(lax_linalg.cholesky(POSITIVE), np.linalg.cholesky(POSITIVE))
    packed, pivots, permutation = lax_linalg.lu(A)
    np.testing.assert_array_equal(lax_linalg.lu_pivots_to_permutation(pivots, 3), permutation)
    np.testing.assert_array_equal(ft.jit(lambda p: lax_linalg.lu_pivots_to_permutation(p, 5))(np.array([[2, 3, 4]])), [
        lax_linalg.lu_pivots_to_permutation(np.array([2, 3, 4]), 5)
    ])  # fmt: skip
    np.testing.assert_allclose(A[permutation], (np.tril(packed, -1) + np.eye(3)) @ np.triu(packed))
    np.testing.assert_allclose(lax_linalg.triangular_solve(A, V), theirs.solve_triangular(A.T, V, lower=True))
    np.testing.assert_allclose(lax_linalg.symmetric_product(B, A, beta=2.0), B @ B.T + 2 * A)
    q, r = lax_linalg.qr(B)
    np.testing.assert_allclose(q @ r, B)
    u, s, vh = lax_linalg.svd(B, full_matrices=False)
    np.testing.assert_allclose((u * s) @ vh, B)
    values, left, right = lax_linalg.eig(A, compute_left_eigenvectors=True)
    np.testing.assert_allclose(A @ right, right * values, atol=1e-12)
    np.testing.assert_allclose(left.conj().T @ A, values[:, None] * left.conj().T, atol=1e-12)
    low, middle, high = V, V + 9, V[::-1]
    dense = np.diag(middle) + np.diag(low[1:], -1) + np.diag(high[:-1], 1)
    np.testing.assert_allclose(lax_linalg.tridiagonal_solve(low, middle, high, B), np.linalg.solve(dense, B))
    check_agreement(lax_linalg.tridiagonal_solve, low, middle, high, B, tolerance=1e-12)


def test_what_is_refused():
    for call in (
        lambda: ours.qr(A, pivoting=True),
        lambda: ours.eigh(A, B, type=2),
        lambda: ours.eigh_tridiagonal(V, V[:2], select="i"),
        lambda: ours.solve(A, V, assume_a="banded"),
        lambda: ours.solve_triangular(A, V, trans="X"),
        lambda: ours.polar(A, side="up"),
        lambda: ours.lu_solve((A, np.arange(3)), V, 3),
        lambda: ours.convolution_matrix(V, 0),
    ):
        with pytest.raises(UnsupportedArgumentError):
            call()
    for call in (
        lambda: ours.expm(B), lambda: ours.sqrtm(B), lambda: ours.solve_sylvester(A, A, B), lambda: ours.block_diag(STACK)
    ):  # fmt: skip
        with pytest.raises(MatrixShapeError):
            call()


@pytest.mark.parametrize("lower", [False, True])
@pytest.mark.parametrize("dtype", [float, complex])
def test_the_triangle_of_a_positive_definite_matrix_serves_all_derivatives(dtype, lower):
    """It is not differentiated: with one right side, nothing but the decomposition takes cubic time."""
    parts = np.random.default_rng(0).normal(size=(2, 5, 6))
    parts = parts[0] + 1j * parts[1] if dtype is complex else parts[0]
    a, b = parts[:, :5] @ parts[:, :5].conj().T + np.eye(5), parts[:, 5]

    def loss(assume_a):
        return lambda a, b: np.sum(np.abs(ours.solve(a, b, lower=lower, assume_a=assume_a)) ** 2)

    gradient, general = (ft.grad(loss(assume_a), (0, 1)) for assume_a in ("pos", "her"))
    for function, oracle in ((gradient, general), (ft.jit(gradient), general)):
        for found, wanted in zip(function(a, b), oracle(a, b), strict=True):
            np.testing.assert_allclose(found, wanted, rtol=1e-11)
        twice = [ft.jvp(f, (a, b), (np.eye(5, dtype=dtype), b[::-1]))[1] for f in (function, oracle)]
        for found, wanted in zip(*twice, strict=True):
            np.testing.assert_allclose(found, wanted, rtol=1e-10)
    eqns = ft.jit(gradient).lower(a, b).simplified.eqns
    assert [eqn.primitive.name for eqn in eqns].count("cholesky") == 1
    solved = [eqn.outputs[0].aval.shape for eqn in eqns if eqn.primitive.name == "triangular_solve"]
    assert solved == [(5, 1)] * 4
