"""Linear algebra of small matrices by threads and warps, on the emulated GPU."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import functrans as ft
from functrans.primitives import linalg, spectral
from tests.helpers.cuda.running import ORDERS, emulated, lowered
from tests.helpers.oracles import assert_all_close
from tests.helpers.tiers import interpreted, staged

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")
EPS = np.finfo(float).eps
#: What a residual may be in multiples of the rounding unit, for each row: rotations of a column number some hundreds.
MULTIPLE = 10
#: One thread has a matrix, a warp has one with room for eight rows, and one with room for all that there may be.
SIZES = st.sampled_from([1, 2, 3, 4, 7, 8])


def adjoint(a: Any) -> Any:
    return np.swapaxes(a, -1, -2).conj()


@st.composite
def matrices(draw: Any, m: int, n: int) -> Any:
    """Of known singular values, which may be zero, equal, close, or of very different sizes; and with graded rows."""
    random = np.random.default_rng(draw(st.integers(0, 99)))
    is_complex = draw(st.booleans())
    k = min(m, n)
    kind = draw(st.sampled_from(["any", "equal", "close", "deficient", "steep", "graded", "zero", "sparse", "large", "tiny"]))
    values = {
        "equal": np.ones(k), "close": 1 + 1e-12 * np.arange(k), "deficient": np.arange(k) % 2 * 1.0,
        "steep": 10.0 ** (-4 * np.arange(k)),
    }.get(kind, random.uniform(0.1, 2, k))  # fmt: skip

    def unitary(size: int) -> Any:
        x = random.normal(size=(2, size, size)) + 1j * is_complex * random.normal(size=(2, size, size))
        return np.linalg.qr(x if is_complex else x.real)[0]

    a = (unitary(m)[:, :, :k] * values) @ unitary(n)[:, :k]
    scale = {"large": 1e300, "tiny": 1e-300, "zero": 0}.get(kind, 1)
    a = a * scale
    if kind == "graded":
        a = a * 10.0 ** (-8 * np.arange(m))[:, None]
    if kind == "sparse":
        a = np.where(random.uniform(size=a.shape) < 0.5, np.round(a * 2), 0)
    return a if is_complex else a.real


def norm(a: Any) -> Any:
    """The largest element, and at least something."""
    return max(np.max(np.abs(a), initial=0), np.finfo(float).tiny)


def assert_unitary(q: Any) -> None:
    n = q.shape[-1]
    assert np.max(np.abs(adjoint(q) @ q - np.eye(n)), initial=0) <= MULTIPLE * max(q.shape[-2:]) * EPS


def run(function: Callable[..., Any], *args: Any, order: int = 0) -> Any:
    """The results on the emulator, of a program that needs no Python."""
    jaxpr = staged(function, args)
    assert not lowered(jaxpr, args).calls_python
    return emulated(jaxpr, args, order)


def eigh(a: Any, lower: bool = True, vectors: bool = True) -> Any:
    return spectral.eigh.bind(a, lower=lower, vectors=vectors)


def svd(a: Any, full: bool = False, vectors: bool = True) -> Any:
    return spectral.svd.bind(a, full_matrices=full, vectors=vectors)


def check_eigh(a: Any, order: int = 0) -> None:
    n, size = a.shape[-1], norm(a)
    w, v = run(eigh, a, order=order)
    whole = np.tril(a) + adjoint(np.tril(a, -1))
    limit = MULTIPLE * n * EPS * size
    assert_unitary(v)
    assert np.max(np.abs((whole @ v) / size - v * (w / size)[..., None, :])) <= limit / size
    assert np.all(np.diff(w) >= 0)
    assert np.max(np.abs(w - np.linalg.eigvalsh(whole))) <= limit


def check_svd(a: Any, full: bool, order: int = 0) -> None:
    u, s, vh = run(lambda a: svd(a, full), a, order=order)
    k, size = s.shape[-1], norm(a)
    limit = MULTIPLE * max(a.shape[-2:]) * EPS * size
    assert_unitary(u)
    assert_unitary(adjoint(vh))
    assert np.max(np.abs(u[..., :k] * (s / size)[..., None, :] @ vh[..., :k, :] - a / size)) <= limit / size
    assert np.all(s >= 0)
    assert np.all(np.diff(s) <= 0)
    assert np.max(np.abs(s - np.linalg.svd(a, compute_uv=False))) <= limit


@settings(max_examples=30)
@given(data=st.data())
def test_eigenvalues_and_eigenvectors(data):
    n = data.draw(SIZES)
    a = data.draw(matrices(n, n))
    check_eigh((a + adjoint(a)) / 2, data.draw(st.sampled_from(ORDERS)))


@settings(max_examples=30)
@given(data=st.data())
def test_singular_values_and_vectors(data):
    check_svd(
        data.draw(matrices(data.draw(SIZES), data.draw(SIZES))), data.draw(st.booleans()), data.draw(st.sampled_from(ORDERS))
    )


@pytest.mark.parametrize("n", [3, 6, 12])
def test_singular_values_that_should_be_zero_have_vectors_like_others(n):
    """Where rows are the same, a singular value may come out as 1e-150: its column is noise, and orthogonal to none."""
    a = np.random.default_rng(n).normal(size=(4, n, n))
    a[:, 0] = a[:, 1]
    check_svd(a, full=False)


def test_matrices_that_fill_a_warp():
    a = np.random.default_rng(0).normal(size=(2, 32, 32))
    check_eigh(a + adjoint(a))
    check_svd(a[:, :, :31], full=True)


def test_which_triangle_is_read_and_no_vectors():
    a = np.random.default_rng(0).normal(size=(3, 5, 5))
    for lower in (True, False):
        half = np.tril(a) if lower else np.triu(a)
        whole = half + adjoint(half) - np.eye(5) * a
        (w,) = run(lambda a, lower=lower: eigh(a, lower, vectors=False), a)
        assert_all_close([w], [np.linalg.eigvalsh(whole)], 1e-13)
    (s,) = run(lambda a: svd(a, vectors=False), a)
    assert_all_close([s], [np.linalg.svd(a, compute_uv=False)], 1e-13)


def test_the_largest_element_of_a_vector_is_positive():
    """Of an eigenvector, and of a left singular vector: the first of those that are about as large as the largest."""
    a = np.random.default_rng(0).normal(size=(4, 5, 5)) + 1j * np.random.default_rng(1).normal(size=(4, 5, 5))
    for x in (a.real, a):
        for y in (x + adjoint(x), np.broadcast_to(np.array([[0, 1.0], [1, 0]]), (4, 2, 2)).astype(x.dtype)):
            for vectors in (run(eigh, y)[1], run(svd, y)[0]):
                sizes = np.abs(vectors)
                first = np.argmax(sizes >= 0.99 * sizes.max(-2, keepdims=True), axis=-2)
                found = np.take_along_axis(vectors, first[..., None, :], -2)
                assert np.all(found.real > 0)
                assert np.all(np.abs(np.imag(found)) <= 4 * EPS)


def test_what_is_not_finite_has_no_values():
    """Other matrices of the batch have theirs; nothing is raised, for nobody waits."""
    a = np.random.default_rng(0).normal(size=(3, 5, 5))
    a = a + adjoint(a)
    a[0, 2, 1], a[2, 3, 3] = np.nan, np.inf
    for results in (run(eigh, a), run(svd, a)):
        for x in results:
            assert np.all(np.isnan(x[[0, 2]]))
            assert np.all(np.isfinite(x[1]))


def positive(a: Any) -> Any:
    return a @ adjoint(a) + 3 * np.eye(a.shape[-1], dtype=a.dtype)


def triangular(a: Any, b: Any, **options: Any) -> Any:
    usual = {"left_side": True, "lower": True, "transpose_a": False, "conjugate_a": False, "unit_diagonal": False}
    return linalg.triangular_solve(a + 9 * np.eye(a.shape[-1], dtype=a.dtype), b, **{**usual, **options})


#: Of matrices with nine rows, more than are written out, and right-hand sides, some more than a warp has room for.
FUNCTIONS: dict[str, Callable[..., Any]] = {
    "cholesky": lambda a, b: np.linalg.cholesky(positive(a)),
    "LU": lambda a, b: (linalg.lu.bind(a), linalg.lu.bind(b[..., :12]), linalg.lu.bind(adjoint(b[..., :12]))),
    "solve": lambda a, b: (np.linalg.solve(a, b), np.linalg.solve(a, b[..., 0:1])),
    "triangular": lambda a, b: (
        triangular(a, b), triangular(a, b, lower=False, transpose_a=True, unit_diagonal=True),
        triangular(a, adjoint(b), left_side=False), triangular(a, b, transpose_a=True, conjugate_a=True),
    ),
    "QR": lambda a, b: (np.linalg.qr(a), np.linalg.qr(b[..., :12]), np.linalg.qr(adjoint(b[..., :12]), "complete")),
    "determinant": lambda a, b: (np.linalg.det(a), np.linalg.slogdet(a)),
    "pseudo-inverse": lambda a, b: np.linalg.pinv(b[..., :4]),
    "derivatives": lambda a, b: ft.vjp(lambda a, b: np.linalg.solve(positive(a), b[..., :3]), a, b)[1](b[..., :3]),
}  # fmt: skip


@pytest.mark.parametrize(("name", "dtype"), [(n, "f4" if n == "determinant" else "c16") for n in FUNCTIONS])
def test_elimination_and_reflections(name, dtype):
    random = np.random.default_rng(0)
    shapes = ((2, 3, 9, 9), (2, 3, 9, 40))
    args = [random.normal(size=shape) for shape in shapes]
    if dtype[0] == "c":
        args = [x + 1j * random.normal(size=x.shape) for x in args]
    args = [x.astype(dtype) for x in args]
    jaxpr = staged(FUNCTIONS[name], args)
    assert not lowered(jaxpr, args).calls_python
    wanted = interpreted(jaxpr, args)
    for order in ORDERS[:2]:
        assert_all_close(emulated(jaxpr, args, order), wanted, 1e-3 if dtype == "f4" else 1e-10)


@pytest.mark.parametrize("size", [4, 9, 32])
@pytest.mark.parametrize("name", ["cholesky", "solve", "inv"])
def test_matrices_without_a_result_are_refused(name, size):
    """By the kernel that decomposes them, and no other."""
    a = np.random.default_rng(0).normal(size=(300, size, size))
    a[171] = 0
    right = np.ones((300, size, 2))
    function = {"solve": lambda a: np.linalg.solve(a, right)}.get(name, getattr(np.linalg, name))
    assert len(lowered(staged(function, (a,)), (a,)).all_launches) == 1
    with pytest.raises(np.linalg.LinAlgError):
        run(function, a)


def test_an_exchange_of_rows_where_a_pivot_is_zero():
    a = np.eye(9)[::-1].copy()
    b = np.arange(9.0)[:, None]
    assert_all_close(run(np.linalg.solve, a, b), [b[::-1]], 0)


def test_larger_matrices_are_the_library_s():
    a = np.random.default_rng(0).normal(size=(2, 33, 33))
    jaxpr = staged(lambda a: np.linalg.eigvalsh(a + adjoint(a)), (a,))
    assert lowered(jaxpr, (a,)).calls_python
    assert_all_close(emulated(jaxpr, (a,)), interpreted(jaxpr, (a,)), 1e-12)


def test_vectors_under_derivatives():
    """What does not depend on signs and phases has the derivatives that it has on the host."""
    a = np.random.default_rng(0).normal(size=(3, 5, 5))

    def function(a: Any) -> Any:
        w, v = np.linalg.eigh(a + adjoint(a))
        u, s, vh = np.linalg.svd(a)
        return np.sum((v * np.sin(w)[..., None, :]) @ adjoint(v)) + np.sum((u * np.cos(s)[..., None, :]) @ vh)

    jaxpr = staged(ft.grad(function), (a,))
    assert not lowered(jaxpr, (a,)).calls_python
    assert_all_close(emulated(jaxpr, (a,)), interpreted(jaxpr, (a,)), 1e-9)


@settings(max_examples=12)
@given(data=st.data())
def test_equations_and_factors_of_matrices_that_lie_anywhere(data):
    """They are read where they are, in their precision, and computed in double: that is all there is to do."""
    n, sides = data.draw(st.sampled_from([9, 12, 16, 20])), data.draw(st.sampled_from([1, 3, 40]))
    dtype, order = data.draw(st.sampled_from(["f4", "f8", "c8", "c16"])), data.draw(st.sampled_from(ORDERS))
    layout = data.draw(st.sampled_from(["as they are", "transposed", "apart", "one of them"]))
    random = np.random.default_rng(data.draw(st.integers(0, 9)))
    x = random.normal(size=(2, 3, 2 * n, n + 1)) + 1j * random.normal(size=(2, 3, 2 * n, n + 1))
    x = (x if dtype[0] == "c" else x.real).astype(dtype)
    b = random.normal(size=(3, sides, n)).astype(dtype)

    def placed(x):
        return {
            "as they are": lambda: x[0, :, :n, :n].copy(), "transposed": lambda: x[0, :, :n, :n].mT,
            "apart": lambda: x[0, ::-1, ::2, 1:], "one of them": lambda: np.broadcast_to(x[1, 1, :n, :n], (3, n, n)),
        }[layout]()  # fmt: skip

    def function(a, b):
        return placed(a), np.linalg.cholesky(placed(a)), np.linalg.solve(placed(a), b.mT)

    rows, columns = (slice(None, None, 2), slice(1, None)) if layout == "apart" else (slice(n), slice(n))
    m = x[:, :, rows, columns]
    x[:, :, rows, columns] = m @ adjoint(m) / n + 2 * np.eye(n)
    a, factor, solution = run(function, x, b, order=order)
    eps = float(np.finfo(dtype).eps)
    wide = np.complex128 if dtype[0] == "c" else np.float64
    np.testing.assert_allclose(factor, np.linalg.cholesky(a.astype(wide)), atol=20 * eps)
    np.testing.assert_allclose(solution, np.linalg.solve(a.astype(wide), b.mT.astype(wide)), atol=50 * eps)
    only = staged(lambda x, b: np.linalg.solve(np.linalg.cholesky(x), b.mT), (a, b))
    kinds = [type(i).__name__ for i in lowered(only, (a, b)).assembled.block]
    assert n < 16 or kinds == ["LibraryRun", "CheckRun"] * 2
