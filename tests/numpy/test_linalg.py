"""numpy.linalg on traced arrays: values and types against NumPy, derivatives against difference quotients."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

import functrans as ft
import functrans.numpy as fnp
from functrans.errors import MatrixShapeError, UnsupportedArgumentError, UnsupportedDtypeError
from functrans.primitives import lapack, linalg
from functrans.tree import leaves
from tests.helpers.oracles import (
    assert_all_close,
    assert_close,
    assert_same_type,
    difference_quotient,
    direction,
    lane_loop,
    pairing,
    pushed,
    stacked_operands,
)

la = np.linalg
RANDOM = np.random.default_rng(5)
LANES = 3


def matrix(*shape: int, dtype: str = "f8") -> Any:
    x = RANDOM.uniform(-1, 1, shape)
    return (x + 1j * RANDOM.uniform(-1, 1, shape) if np.dtype(dtype).kind == "c" else x).astype(dtype)


def regular(*shape: int, dtype: str = "f8") -> Any:
    return (matrix(*shape, dtype=dtype) + 2 * np.roll(np.eye(shape[-1]), 1, axis=0)).astype(dtype)


def positive(*shape: int, dtype: str = "f8") -> Any:
    """Positive definite matrices with separate eigenvalues."""
    x = matrix(*shape, dtype=dtype) / 4
    return (x + np.swapaxes(x, -1, -2).conj() + np.diag(np.arange(2.0, shape[-1] + 2))).astype(dtype)


def orthogonal(n: int) -> Any:
    return la.qr(matrix(n, n))[0]


def with_values(values: Sequence[float], shape: tuple[int, int] | None = None) -> Any:
    """A matrix with given eigenvalues (symmetric), or with given singular values (of another shape)."""
    if shape is None:
        q = orthogonal(len(values))
        return q @ np.diag(values) @ q.T
    m, n = shape
    middle = np.zeros(shape)
    np.fill_diagonal(middle, values)
    return orthogonal(m) @ middle @ orthogonal(n)


def sym(a: Any) -> Any:
    """What NumPy reads only one triangle of, made symmetric in the eyes of difference quotients."""
    return 0.5 * (a + np.conjugate(np.swapaxes(a, -1, -2)))


def flat(function: Callable[..., Any]) -> Callable[..., list[Any]]:
    return lambda *args: leaves(function(*args))


def check_derivatives(function: Callable[..., Any], args: Sequence[Any], order: int = 2, tolerance: float = 1e-6):
    """Forward mode against differences, reverse mode against forward mode; the second derivative likewise."""
    f = flat(function)
    tangents = [direction(x, i) for i, x in enumerate(args)]
    found = pushed(f, args, tangents)
    for dy, wanted in zip(found, difference_quotient(f, args, tangents), strict=True):
        assert_close(dy, wanted, tolerance, "tangent")
    y, pull_back = ft.vjp(f, *args)
    cotangents = [direction(v, 10 + i) for i, v in enumerate(y)]
    found_ct = pull_back(cotangents)
    for ct, x in zip(found_ct, args, strict=True):
        assert_same_type(ct, x, "cotangent")
    assert pairing(found_ct, tangents) == pytest.approx(pairing(cotangents, found), rel=1e-8, abs=1e-10)
    if order == 2:
        again = [direction(x, 20 + i) for i, x in enumerate(args)]

        def slope(*xs: Any) -> list[Any]:
            return list(ft.jvp(lambda *ys: f(*ys), tuple(xs), tuple(tangents))[1])

        def gradient(*xs: Any) -> list[Any]:
            return list(ft.vjp(f, *xs)[1](cotangents))

        for first in (slope, gradient):
            for dy, wanted in zip(pushed(first, args, again), difference_quotient(first, args, again), strict=True):
                assert_close(dy, wanted, 10 * tolerance, "second tangent")


# ---- every function: values and types as in NumPy, staged, mapped and differentiated


def product_of_vectors(u: Any, a: Any, b: Any, v: Any) -> Any:
    return la.multi_dot([u, a, b, v])


# name: (function, operands, whether derivatives exist and NumPy's choice of signs and phases is that of the rules)
TABLE: dict[str, tuple[Callable[..., Any], tuple[Any, ...], bool]] = {
    "solve": (la.solve, (regular(3, 3), matrix(3, 2)), True),
    "solve vector": (la.solve, (regular(3, 3), matrix(3)), True),
    "solve lanes": (la.solve, (regular(2, 3, 3), matrix(2, 3, 2)), True),
    "solve one matrix": (la.solve, (regular(3, 3), matrix(2, 2, 3, 2)), True),
    "solve one right side": (la.solve, (regular(2, 3, 3), matrix(3, 2)), True),
    "solve complex": (la.solve, (regular(3, 3, dtype="c16"), matrix(3, dtype="c16")), True),
    "solve broadcast": (la.solve, (regular(2, 1, 3, 3), matrix(2, 3, 1)), True),
    "inv": (la.inv, (regular(3, 3),), True),
    "inv complex": (la.inv, (regular(2, 3, 3, dtype="c16"),), True),
    "inv empty": (la.inv, (np.zeros((0, 0)),), True),
    "det": (la.det, (matrix(2, 4, 4),), True),
    "det complex": (la.det, (matrix(3, 3, dtype="c16"),), True),
    "slogdet": (la.slogdet, (regular(2, 3, 3),), True),
    "slogdet complex": (la.slogdet, (regular(3, 3, dtype="c16"),), True),
    "cholesky": (lambda a: la.cholesky(sym(a)), (positive(3, 3),), True),
    "cholesky upper": (lambda a: la.cholesky(sym(a), upper=True), (positive(2, 3, 3, dtype="c16"),), True),
    "qr": (la.qr, (matrix(4, 2),), True),
    "qr wide": (la.qr, (matrix(2, 4, dtype="c16"),), True),
    "qr complete": (lambda a: la.qr(a, "complete"), (matrix(4, 2),), False),
    "qr r": (lambda a: la.qr(a, "r"), (matrix(2, 3, 2),), True),
    "eigh": (lambda a: la.eigh(sym(a)), (positive(3, 3),), True),
    "eigh upper": (lambda a: la.eigh(sym(a), "U"), (positive(2, 3, 3),), True),
    "eigvalsh": (lambda a: la.eigvalsh(sym(a)), (positive(3, 3, dtype="c16"),), True),
    "eig": (la.eig, (matrix(3, 3, dtype="c16"),), True),
    "eigvals": (la.eigvals, (matrix(3, 3, dtype="c16"),), True),
    "svd": (lambda a: la.svd(a, full_matrices=False), (matrix(4, 2),), True),
    "svd full": (la.svd, (matrix(2, 4),), False),
    "svd square": (la.svd, (matrix(3, 3),), True),
    "svd values": (lambda a: la.svd(a, compute_uv=False), (matrix(2, 4, dtype="c16"),), True),
    "svd hermitian": (lambda a: la.svd(sym(a), compute_uv=False, hermitian=True), (positive(3, 3),), True),
    "svdvals": (la.svdvals, (matrix(2, 3, 2),), True),
    "pinv": (la.pinv, (matrix(4, 2),), True),
    "pinv wide": (la.pinv, (matrix(2, 2, 3, dtype="c16"),), True),
    "pinv rtol": (lambda a: la.pinv(a, rtol=None), (matrix(3, 2),), True),
    "pinv hermitian": (lambda a: la.pinv(sym(a), hermitian=True), (positive(3, 3),), True),
    "lstsq": (lambda a, b: la.lstsq(a, b)[:2], (matrix(4, 2), matrix(4)), True),
    "lstsq columns": (lambda a, b: la.lstsq(a, b)[:2], (matrix(4, 2, dtype="c16"), matrix(4, 3, dtype="c16")), True),
    "lstsq wide": (la.lstsq, (matrix(2, 4), matrix(2)), False),
    "lstsq all": (la.lstsq, (matrix(4, 2), matrix(4)), False),
    "matrix_power": (lambda a: la.matrix_power(a, 5), (matrix(2, 3, 3),), True),
    "matrix_power negative": (lambda a: la.matrix_power(a, -3), (regular(3, 3),), True),
    "matrix_power zero": (lambda a: la.matrix_power(a, 0), (matrix(3, 3),), True),
    "matrix_power integers": (lambda a: la.matrix_power(a, 3), (np.arange(4).reshape(2, 2),), False),
    "multi_dot": (product_of_vectors, (matrix(3), matrix(3, 4), matrix(4, 2), matrix(2)), True),
    "multi_dot matrices": (lambda *xs: la.multi_dot(xs), (matrix(2, 5), matrix(5, 1), matrix(1, 3)), True),
    "tensorsolve": (la.tensorsolve, (regular(6, 6).reshape(2, 3, 6), matrix(2, 3)), True),
    "tensorsolve axes": (
        lambda a, b: la.tensorsolve(a, b, axes=(0,)), (regular(6, 6).reshape(6, 2, 3), matrix(2, 3)), True
    ),
    "tensorinv": (la.tensorinv, (regular(6, 6).reshape(2, 3, 6),), True),
    "tensorinv ind": (lambda a: la.tensorinv(a, ind=1), (regular(6, 6).reshape(6, 2, 3),), True),
    "matrix_rank": (la.matrix_rank, (matrix(2, 3, 2),), False),
    "matrix_rank vector": (la.matrix_rank, (matrix(3),), False),
    "matrix_rank tol": (lambda a: la.matrix_rank(a, tol=0.5), (np.diag([1.0, 0.1, 2.0]),), False),
    "matrix_rank hermitian": (lambda a: la.matrix_rank(a, hermitian=True), (with_values([1, 0, 2]),), False),
    "cond": (la.cond, (regular(2, 3, 3),), True),
    "cond -2": (lambda a: la.cond(a, -2), (regular(3, 3),), True),
    "cond 1": (lambda a: la.cond(a, 1), (regular(3, 3),), True),
    "cond fro": (lambda a: la.cond(a, "fro"), (regular(3, 3, dtype="c16"),), True),
    "trace": (lambda a: la.trace(a, offset=1), (matrix(2, 3, 3),), True),
    "diagonal": (lambda a: la.diagonal(a, offset=-1), (matrix(2, 3, 3),), True),
    "cross": (la.cross, (matrix(2, 3), matrix(2, 3)), True),
    "outer": (la.outer, (matrix(2), matrix(3)), True),
    "matmul": (la.matmul, (matrix(2, 3), matrix(3, 2)), True),
    "tensordot": (lambda a, b: la.tensordot(a, b, axes=1), (matrix(2, 3), matrix(3, 2)), True),
    "matrix_transpose": (la.matrix_transpose, (matrix(2, 3, 2),), True),
    "vecdot": (la.vecdot, (matrix(2, 3), matrix(2, 3)), True),
    "vecdot axis": (lambda a, b: la.vecdot(a, b, axis=0), (matrix(2, 3), matrix(2, 3)), True),
    "vecdot complex": (la.vecdot, (matrix(2, 3, dtype="c16"), matrix(2, 3, dtype="c16")), True),
    "norm": (la.norm, (matrix(2, 3),), True),
    "norm of a tensor": (la.norm, (matrix(2, 3, 2),), True),
    "norm keepdims": (lambda a: la.norm(a, keepdims=True), (matrix(2, 3, dtype="c16"),), True),
    "norm moved axes": (lambda a: la.norm(a, 2, axis=(2, 0), keepdims=True), (matrix(2, 3, 2),), True),
    "norm 1 of moved axes": (lambda a: la.norm(a, 1, axis=(1, 0)), (matrix(2, 3, 2),), True),
    "norm over an axis": (lambda a: la.norm(a, axis=1, keepdims=True), (matrix(2, 3),), True),
    "vector_norm axes": (lambda a: la.vector_norm(a, axis=(0, 2), ord=3, keepdims=True), (matrix(2, 3, 2),), True),
    "vector_norm": (la.vector_norm, (matrix(2, 3),), True),
    "matrix_norm": (lambda a: la.matrix_norm(a, ord="nuc", keepdims=True), (matrix(2, 3, 2),), True),
    **{
        f"vector norm {order}": (lambda a, order=order: la.norm(a, order), (matrix(4),), order != 0)
        for order in (np.inf, -np.inf, 0, 1, 2, 3, 2.5, -1, -2)
    },
    **{
        f"matrix norm {order}": (lambda a, order=order: la.norm(a, order), (matrix(3, 3, dtype="c16"),), True)
        for order in (np.inf, -np.inf, 1, -1, 2, -2, "fro", "nuc")
    },
}
SMOOTH = [name for name, (_, _, smooth) in TABLE.items() if smooth]


@pytest.mark.parametrize("name", TABLE)
def test_staged_as_numpy(name: str):
    function, args, _ = TABLE[name]
    wanted = flat(function)(*args)
    assert_all_close(leaves(ft.jit(function)(*args)), [np.asarray(y) for y in wanted])


@pytest.mark.parametrize("name", TABLE)
def test_mapped_as_in_a_loop(name: str):
    function, args, _ = TABLE[name]
    f = flat(function)
    for mapped in [tuple(range(len(args))), *((i,) for i in range(len(args)) if len(args) > 1)]:
        values = stacked_operands(args, mapped, LANES)
        axes = tuple(0 if i in mapped else None for i in range(len(args)))
        assert_all_close(ft.vmap(f, in_axes=axes)(*values), lane_loop(f, values, mapped, LANES))


@pytest.mark.parametrize("name", SMOOTH)
def test_derivatives(name: str):
    function, args, _ = TABLE[name]
    check_derivatives(function, args)


@pytest.mark.parametrize("dtype", ["f4", "c8", "i8", "?"])
@pytest.mark.parametrize(
    "function",
    [la.inv, la.det, la.slogdet, la.cholesky, la.qr, la.eigh, la.eigvalsh, la.svd, la.pinv, la.norm, la.cond,
     la.matrix_rank, lambda a: la.solve(a, a), lambda a: la.solve(a, np.eye(3, dtype="f4")),
     lambda a: la.norm(a, 3, axis=0), lambda a: la.norm(a, "nuc"), lambda a: la.norm(a, 0, axis=0),
     lambda a: la.matrix_power(a, 2)],
)  # fmt: skip
def test_dtypes_as_numpy(function: Callable[..., Any], dtype: str):
    a = np.diag([3, 1, 2]).astype(dtype)
    if function is la.matrix_power and dtype == "?":
        pytest.skip("NumPy has no product of boolean matrices")
    for found, wanted in zip(leaves(ft.jit(function)(a)), leaves(function(a)), strict=True):
        assert_same_type(found, np.asarray(wanted))
        assert_close(found, np.asarray(wanted))


@pytest.mark.parametrize("dtype", ["f4", "f8", "c8", "c16"])
def test_eigenvalues_of_general_matrices_are_complex(dtype: str):
    a = np.diag([1.0, 2.0]).astype(dtype)
    w, v = ft.jit(la.eig)(a)
    assert w.dtype == v.dtype == ft.jit(la.eigvals)(a).dtype == np.result_type(dtype, "c8")
    assert_close(a @ v, v * w)


def test_namespace_is_numpys():
    assert fnp.linalg.solve is np.linalg.solve
    assert fnp.linalg.LinAlgError is np.linalg.LinAlgError
    assert all(hasattr(fnp.linalg, name) for name in np.linalg.__all__)


@pytest.mark.parametrize("shape", [(0, 0), (1, 1), (2, 0, 0)])
@pytest.mark.parametrize(
    "function",
    [la.inv, la.det, la.slogdet, la.cholesky, la.qr, la.eigh, la.eig, la.svd, la.pinv, la.eigvalsh, la.norm,
     lambda a: la.solve(a, a), lambda a: la.matrix_power(a, 3)],
)  # fmt: skip
def test_tiny_matrices(function: Callable[..., Any], shape: tuple[int, ...]):
    a = np.full(shape, 4.0)
    for found, wanted in zip(leaves(ft.jit(function)(a)), leaves(function(a)), strict=True):
        assert np.shape(found) == np.shape(wanted)
        assert_close(found, np.asarray(wanted))
    value, pull_back = ft.vjp(function, a)
    (ct,) = pull_back(ft.tree.map(np.ones_like, value))
    assert ct.shape == shape
    assert np.isfinite(ct).all()


# ---- identities


@pytest.mark.parametrize("dtype", ["f8", "c16"])
@pytest.mark.parametrize("shape", [(3, 3), (4, 2), (2, 4), (2, 3, 2)])
def test_what_is_put_together_again_has_derivative_one(shape: tuple[int, ...], dtype: str):
    def through_qr(a: Any) -> Any:
        q, r = la.qr(a)
        return q @ r

    def through_full_qr(a: Any) -> Any:
        q, r = la.qr(a, "complete")
        return q @ r

    def through_svd(a: Any) -> Any:
        u, s, v_h = la.svd(a, full_matrices=False)
        return (u * s[..., None, :]) @ v_h

    def through_full_svd(a: Any) -> Any:
        u, s, v_h = la.svd(a)
        k = s.shape[-1]
        return (u[..., :k] * s[..., None, :]) @ v_h[..., :k, :]

    a, t = matrix(*shape, dtype=dtype), matrix(*shape, dtype=dtype)
    for function in (through_qr, through_full_qr, through_svd, through_full_svd):
        value, tangent = ft.jvp(function, (a,), (t,))
        assert_close(value, a, 1e-10)
        assert_close(tangent, t, 1e-10)
        _, second = ft.jvp(lambda x, f=function: ft.jvp(f, (x,), (t,))[1], (a,), (t,))
        assert_close(second + t, t, 1e-8)


@pytest.mark.parametrize("dtype", ["f8", "c16"])
def test_eigenvectors_of_hermitian_matrices(dtype: str):
    def rebuilt(a: Any) -> Any:
        w, v = la.eigh(a)
        return (v * np.exp(w)[..., None, :]) @ np.conjugate(np.swapaxes(v, -1, -2))

    check_derivatives(lambda a: rebuilt(sym(a)), (positive(2, 3, 3, dtype=dtype),))


@pytest.mark.parametrize("shape", [(4, 2), (2, 4)])
def test_projectors_of_full_bases(shape: tuple[int, int]):
    """The further columns of full bases are arbitrary, the space that they span is not."""

    def off_range(a: Any) -> Any:
        q = la.qr(a, "complete")[0][:, 2:]
        return q @ q.T

    def off_both(a: Any) -> Any:
        u, _, v_h = la.svd(a)
        u, v = u[:, 2:], v_h[2:].T
        return u @ u.T, v @ v.T

    if shape[0] > shape[1]:
        check_derivatives(off_range, (matrix(*shape),))
    check_derivatives(off_both, (matrix(*shape),))


def test_gradients_of_hermitian_functions_are_hermitian():
    a = positive(3, 3, dtype="c16")
    for function in (lambda a: la.eigvalsh(a)[0], lambda a: np.abs(la.cholesky(a)[2, 0]), lambda a: la.eigh(a)[0][1]):
        g = ft.grad(function)(a)
        assert_close(g, g.conj().T, 1e-12)


def test_one_triangle_is_read():
    a = positive(3, 3)
    noise = np.triu(matrix(3, 3), 1)
    assert_close(ft.jit(la.cholesky)(a + noise), la.cholesky(a))
    assert_close(ft.jit(la.eigvalsh)(a + noise), la.eigvalsh(a))
    assert_close(ft.jit(lambda a: la.eigvalsh(a, "U"))(a + noise.T), la.eigvalsh(a))


def test_real_eigenvectors_keep_numpys_normalization():
    a, t = matrix(4, 4), matrix(4, 4)
    found = leaves(ft.jvp(la.eig, (a,), (t,))[1])
    for f, w in zip(found, difference_quotient(lambda x: [*la.eig(x)], (a,), (t,)), strict=True):
        assert_close(f, w, 1e-6)


# ---- repeated eigenvalues and singular values (docs/semantics_linalg.md)


@pytest.mark.parametrize("values", [[1, 1, 1], [1, 1, 2], [0, 0, 3, 3]])
def test_symmetric_functions_of_repeated_eigenvalues(values: list[float]):
    """The gradient of sum(f(w)) is the matrix function f'."""
    a = with_values(values)
    w, v = la.eigh(a)
    wanted = (v * np.exp(w)) @ v.T
    assert_close(ft.grad(lambda a: np.sum(np.exp(la.eigvalsh(a))))(a), wanted, 1e-10)
    assert_close(ft.grad(lambda a: np.sum(np.exp(la.eigh(a)[0])))(a), wanted, 1e-10)


def test_projector_on_a_repeated_eigenvalue():
    a = with_values([1, 1, 3, 3])

    def projector(a: Any) -> Any:
        v = la.eigh(sym(a))[1][:, :2]
        return v @ v.T

    check_derivatives(projector, (a,))


def test_repeated_eigenvalues_never_give_nan():
    def vectors(a: Any) -> Any:
        w, v = la.eigh(a)
        return np.sum(v[0] * w)

    for a in (np.eye(3), np.zeros((3, 3)), np.diag([1.0, 1.0, 2.0])):
        assert np.isfinite(ft.grad(vectors)(a)).all()
        assert np.isfinite(ft.hessian(vectors)(a)).all()
        assert np.isfinite(ft.hessian(lambda a: np.sum(la.svd(a)[0][0] * la.svd(a)[1]))(a)).all()
        assert np.isfinite(ft.grad(lambda a: np.sum(np.abs(la.eig(a)[1][0])))(a + 0.0)).all()


@pytest.mark.parametrize("shape", [(3, 3), (4, 3), (3, 4)])
@pytest.mark.parametrize("values", [[2, 2, 2], [3, 1, 1]])
def test_nuclear_norm_at_repeated_singular_values(values: list[float], shape: tuple[int, int]):
    """Its gradient is the polar factor, which is smooth as long as no singular value is zero."""
    check_derivatives(lambda a: la.norm(a, "nuc"), (with_values(values, shape),))


@pytest.mark.parametrize("shape", [(3, 3), (4, 3), (3, 4)])
def test_polar_factor_at_repeated_singular_values(shape: tuple[int, int]):
    def polar(a: Any) -> Any:
        u, _, v_h = la.svd(a, full_matrices=False)
        return u @ v_h

    check_derivatives(polar, (with_values([2, 2, 1], shape),))


def test_nuclear_norm_at_zero_singular_values():
    """A kink, where the derivative is zero as for abs: only the singular vectors of the others take part."""
    assert_close(ft.grad(lambda a: la.norm(a, "nuc"))(np.zeros((3, 2))), np.zeros((3, 2)))
    a = with_values([3, 2, 0])
    u, _, v_h = la.svd(a)
    assert_close(ft.grad(lambda a: la.norm(a, "nuc"))(a), u[:, :2] @ v_h[:2], 1e-10)


def test_spectral_norm_shares_ties():
    assert_close(ft.grad(lambda a: la.norm(a, 2))(np.eye(2)), np.eye(2) / 2)


@pytest.mark.parametrize("rank", [0, 1, 2, 3])
@pytest.mark.parametrize("n", [2, 3, 4])
@pytest.mark.parametrize("dtype", ["f8", "c16"])
def test_determinants_of_singular_matrices(n: int, rank: int, dtype: str):
    rank = min(n, rank)
    a = matrix(n, rank, dtype=dtype) @ matrix(rank, n, dtype=dtype)
    check_derivatives(la.det, (a,))
    t = matrix(n, n, dtype=dtype)

    def along(s: Any) -> Any:
        return la.det(a + s * t)

    third = ft.jvp(lambda s: ft.jvp(lambda s: ft.jvp(along, (s,), (1.0,))[1], (s,), (1.0,))[1], (0.0,), (1.0,))[1]
    circle = np.exp(2j * np.pi * np.arange(8) / 8)
    wanted = 6 * np.mean([la.det(a + s * t) * s**-3 for s in circle])
    assert_close(third, wanted if dtype == "c16" else wanted.real, 1e-9)


@pytest.mark.parametrize("rank", [1, 2])
def test_pseudo_inverse_at_constant_rank(rank: int):
    def along(s: Any, left: Any, right: Any) -> Any:
        return la.pinv((left + s * left[::-1]) @ (right + s * right[::-1]), rcond=1e-8)

    left, right = matrix(4, rank), matrix(rank, 3)
    check_derivatives(lambda s: along(s, left, right), (np.float64(0.1),))


@pytest.mark.parametrize("shape", [(60, 3), (3, 60)])
def test_derivatives_of_least_squares_need_no_large_square_matrix(shape: tuple[int, int]):
    def solution(a: Any, b: Any) -> Any:
        return la.lstsq(a, b)[0] * 2

    a, b = matrix(*shape), matrix(shape[0], 1)[:, 0]
    step = lambda a, b: ft.jvp(solution, (a, b), (a, b))  # noqa: E731
    for function in (step, ft.grad(lambda a, b: np.sum(solution(a, b)), (0, 1))):
        sizes = [x.aval.size for eqn in ft.make_jaxpr(function)(a, b).eqns for x in eqn.outputs]
        assert max(sizes) <= 60 * 3


# ---- norms at zero


def test_norms_at_zero():
    x = np.zeros(3)
    for order in (None, 1, 2, np.inf, 3):
        assert_close(ft.grad(lambda x, order=order: la.norm(x, order))(x), x)
    for order in ("fro", "nuc"):
        a = np.zeros((2, 2))
        assert_close(ft.grad(lambda a, order=order: la.norm(a, order))(a), a)


def test_squared_norm_at_zero():
    assert_close(ft.grad(lambda x: la.norm(x) ** 2)(np.zeros(3)), np.zeros(3))
    assert_close(ft.hessian(lambda x: la.norm(x) ** 2)(np.zeros(3)), 2 * np.eye(3))


# ---- compositions


@pytest.mark.parametrize(
    "function",
    [la.det, lambda a: la.slogdet(a)[1], lambda a: la.norm(la.inv(a)), lambda a: np.sum(la.cholesky(a)),
     lambda a: la.eigh(a)[1][0, 0] ** 2],
)  # fmt: skip
def test_derivatives_under_every_transformation(function: Callable[..., Any]):
    stacked = positive(LANES, 3, 3)
    gradients = np.stack([ft.grad(function)(a) for a in stacked])
    assert_close(ft.vmap(ft.grad(function))(stacked), gradients)
    assert_close(ft.jit(ft.vmap(ft.grad(function)))(stacked), gradients)
    assert_close(ft.vmap(ft.jit(ft.grad(ft.jit(function))))(stacked), gradients)
    assert_close(ft.grad(lambda a: np.sum(ft.vmap(function)(a)))(stacked), gradients)
    curvature = np.stack([ft.hessian(function)(a) for a in stacked])
    assert_close(ft.vmap(ft.hessian(function))(stacked), curvature, 1e-8)
    assert_close(ft.jacrev(ft.jacfwd(function))(stacked[0]), curvature[0], 1e-8)


def test_one_factorization_serves_value_and_gradient(monkeypatch: pytest.MonkeyPatch):
    count = 0

    def counted(a: Any) -> Any:
        nonlocal count
        count += 1
        return lapack.lu_factors(a)

    monkeypatch.setattr(linalg, "lu_factors", counted)
    ft.grad(lambda a, b: np.sum(la.solve(a, b)), argnums=(0, 1))(regular(4, 4), matrix(4))
    assert count == 1


# ---- errors


@pytest.mark.parametrize(
    ("function", "operand", "error"),
    [
        (la.inv, np.ones((2, 3)), MatrixShapeError),
        (la.det, np.ones(3), MatrixShapeError),
        (la.cholesky, np.ones((2, 3)), MatrixShapeError),
        (la.svd, np.ones(3), MatrixShapeError),
        (la.inv, np.ones((2, 2), "f2"), UnsupportedDtypeError),
        (lambda a: la.solve(a, np.ones((3, 1))), np.ones((2, 2)), MatrixShapeError),
        (lambda a: la.lstsq(a, np.ones(3)), np.ones((2, 2)), MatrixShapeError),
        (lambda a: la.qr(a, "raw"), np.ones((2, 2)), UnsupportedArgumentError),
        (lambda a: la.tensorsolve(a, np.ones(3)), np.ones((3, 2)), MatrixShapeError),
        (lambda a: la.matrix_power(a, 2), np.ones((2, 3)), MatrixShapeError),
        (la.cond, np.ones((0, 0)), np.linalg.LinAlgError),
        (lambda a: la.matrix_power(a, 1.5), np.ones((2, 2)), TypeError),
        (lambda a: la.eigh(a, "X"), np.ones((2, 2)), ValueError),
        (lambda a: la.norm(a, "x"), np.ones(2), ValueError),
        (lambda a: la.norm(a, 5), np.ones((2, 2)), ValueError),
        (lambda a: la.norm(a, 2), np.ones((2, 2, 2)), ValueError),
        (lambda a: la.norm(a, axis=(0, 0)), np.ones((2, 2)), ValueError),
        (lambda a: la.norm(a, axis="x"), np.ones((2, 2)), TypeError),
        (lambda a: la.tensorinv(a, 0), np.ones((2, 2)), ValueError),
        (lambda a: la.multi_dot([a]), np.ones((2, 2)), ValueError),
        (lambda a: la.outer(a, a), np.ones((2, 2)), ValueError),
        (lambda a: la.cross(a, a), np.ones((2, 2)), ValueError),
        (lambda a: la.pinv(a, 0.1, rtol=0.1), np.ones((2, 2)), ValueError),
        (lambda a: la.matrix_rank(a, 0.1, rtol=0.1), np.ones((2, 2)), ValueError),
    ],
)
def test_errors(function: Callable[..., Any], operand: Any, error: type[Exception]):
    with pytest.raises(error) as traced:
        ft.make_jaxpr(function)(operand)
    if operand.dtype != np.float16 and error is not UnsupportedArgumentError:
        with pytest.raises(tuple(c for c in (np.linalg.LinAlgError, ValueError, TypeError))):
            function(operand)
    assert str(traced.value)


@pytest.mark.parametrize(
    ("function", "message"),
    [(la.inv, "Singular"), (lambda a: la.slogdet(a)[1], "Singular"), (la.cholesky, "positive definite")],
)
def test_what_numpy_refuses_is_refused(function: Callable[..., Any], message: str):
    with pytest.raises(np.linalg.LinAlgError, match=message):
        ft.grad(lambda a: np.sum(function(a)))(np.zeros((2, 2)))


def test_error_sentences():
    with pytest.raises(MatrixShapeError, match=r"square matrix was wanted, and an array of type f64\[2,3\]"):
        ft.jit(la.inv)(np.ones((2, 3)))
