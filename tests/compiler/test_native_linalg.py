"""Linear algebra in native programs: LAPACK and BLAS called without Python, against the interpreter."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import functrans as ft
from functrans import lax
from functrans.compiler import matrix_parts
from functrans.compiler.backends.cpu import library, native
from functrans.compiler.instructions import PythonRun
from functrans.compiler.program import fused
from functrans.compiler.simplify import simplify
from functrans.primitives import late_scipy, linalg, spectral
from functrans.primitives.matrices import hermitian_part, triangle
from functrans.primitives.random import fold_in, random_bits
from tests.fuzz import Case
from tests.helpers.bits import assert_same_bits
from tests.helpers.oracles import assert_all_close
from tests.helpers.tiers import TIERS, interpreted, natively, staged

fnp = ft.numpy
pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")
RANDOM = np.random.default_rng(0)
TIER = st.sampled_from(["quick", "quick", "thorough"])
TURNED = {
    "as it is": lambda x: x,
    "transposed": lambda x: np.ascontiguousarray(np.swapaxes(x, -1, -2)).swapaxes(-1, -2),
    "backwards": lambda x: x[..., ::-1, ::-1].copy()[..., ::-1, ::-1],
    "with room": lambda x: np.repeat(np.repeat(x, 2, -1), 2, -2)[..., ::2, ::2],
    "lanes last": lambda x: np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 0, -1)), -1, 0),
}


def positive(a: Any) -> Any:
    return a @ np.swapaxes(a, -1, -2).conj() + a.shape[-1] * np.eye(a.shape[-1], dtype=a.dtype)


def solved(a: Any, b: Any, **options: Any) -> Any:
    usual = {"left_side": True, "lower": True, "transpose_a": False, "conjugate_a": False, "unit_diagonal": False}
    return linalg.triangular_solve(a + np.eye(a.shape[-1], dtype=a.dtype) * 3, b, **{**usual, **options})


def with_factors(a: Any, b: Any, transposed: bool) -> Any:
    packed, _, permutation = linalg.factors.bind(a)
    return linalg.solve_with_factors(a, packed, permutation, b, transposed=transposed)


#: Functions of square matrices a, matrices b with as many rows, and wide matrices w.
FUNCTIONS: dict[str, Callable[..., Any]] = {
    "cholesky": lambda a, b, w: linalg.cholesky(positive(a)),
    "lu": lambda a, b, w: (linalg.lu.bind(a), linalg.lu.bind(w), linalg.lu.bind(np.swapaxes(w, -1, -2))),
    "solve": lambda a, b, w: linalg.solve(a, b),
    "solve with factors": lambda a, b, w: with_factors(a, b, False),
    "solve with factors, transposed": lambda a, b, w: with_factors(a, b, True),
    "qr": lambda a, b, w: [linalg.qr.bind(x, full_matrices=False) for x in (a, w, np.swapaxes(w, -1, -2))],
    "full qr": lambda a, b, w: [linalg.qr.bind(x, full_matrices=True) for x in (w, np.swapaxes(w, -1, -2))],
    "eigh": lambda a, b, w: [spectral.eigh.bind(positive(a), lower=side, vectors=True) for side in (True, False)],
    "eigvalsh": lambda a, b, w: spectral.eigh.bind(positive(a), lower=True, vectors=False),
    "svd": lambda a, b, w: [spectral.svd.bind(x, full_matrices=False, vectors=True) for x in (w, np.swapaxes(w, -1, -2))],
    "full svd": lambda a, b, w: spectral.svd.bind(w, full_matrices=True, vectors=True)[1],
    "singular values": lambda a, b, w: spectral.svd.bind(w, full_matrices=False, vectors=False),
    "pseudo-inverses": lambda a, b, w: [np.linalg.pinv(x, 0.1) for x in (a, w, np.swapaxes(w, -1, -2))],
    "triangle": lambda a, b, w: [triangle(x, lower=side, k=k) for x in (a, w) for side in (True, False) for k in (-1, 0, 2)],
    "hermitian part": lambda a, b, w: [hermitian_part(a, lower=side) for side in (True, False)],
}


def matrices(dtype: str, lanes: tuple[int, ...], n: int, columns: int) -> list[Any]:
    found = []
    for shape in ((n, n), (n, columns), (n, n + 2)):
        x = RANDOM.normal(size=(*lanes, *shape))
        found.append((x + 1j * RANDOM.normal(size=x.shape) if dtype[0] == "c" else x).astype(dtype))
    return found


def calls_of_python(function: Any, args: Any) -> list[str]:
    program = native.NativeProgram(staged(function, args), fused)
    program(*args)
    (binding,) = program.bindings.values()
    return [run.name for run in binding.assembled.block if isinstance(run, PythonRun)]


@pytest.mark.parametrize("name", [*FUNCTIONS])
@settings(max_examples=12)
@given(
    dtype=st.sampled_from(["f4", "f8", "c8", "c16"]),
    lanes=st.sampled_from([(), (1,), (4,), (2, 3)]),
    n=st.sampled_from([1, 2, 3, 8, 33]),
    columns=st.sampled_from([1, 3]),
    turned=st.sampled_from([*TURNED]),
    tier=TIER,
)
def test_functions(name: str, dtype: str, lanes: Any, n: int, columns: int, turned: str, tier: str) -> None:
    args = [TURNED[turned](x) if x.ndim > 2 or turned != "lanes last" else x for x in matrices(dtype, lanes, n, columns)]
    Case(name, FUNCTIONS[name], tuple(args), 1e-2 if dtype in ("f4", "c8") else 1e-7).check(tier)
    assert calls_of_python(FUNCTIONS[name], args) == []


@settings(max_examples=60)
@given(
    options=st.fixed_dictionaries(
        {key: st.booleans() for key in ("left_side", "lower", "transpose_a", "conjugate_a", "unit_diagonal")}
    ),
    dtype=st.sampled_from(["f4", "f8", "c8", "c16"]),
    lanes=st.sampled_from([(), (3,), (2, 2)]),
    flips=st.tuples(st.booleans(), st.booleans()),
)
def test_triangular_equations(options: Any, dtype: str, lanes: Any, flips: Any) -> None:
    a, b, _ = matrices(dtype, lanes, 4, 3)
    b = b if options["left_side"] else np.swapaxes(b, -1, -2)
    a, b = (TURNED["transposed"](x) if flip else x for x, flip in zip((a, b), flips))
    function = lambda a, b: solved(a, b, **options)  # noqa: E731
    Case("triangular equations", function, (a, b), 1e-3 if dtype in ("f4", "c8") else 1e-10).check("quick")
    assert calls_of_python(function, (a, b)) == []


@pytest.mark.parametrize("name", [*FUNCTIONS])
@pytest.mark.parametrize("shape", [(0, 3), (2, 0)])
def test_nothing_at_all(name: str, shape: Any) -> None:
    lanes, n = shape
    Case(name, FUNCTIONS[name], tuple(matrices("f8", (lanes,), n, 2)), None).check("quick")


@pytest.mark.parametrize("name", ["solve", "cholesky", "factors"])
@pytest.mark.parametrize("dtype", ["f4", "f8", "c16"])
def test_errors_are_those_of_numpy(name: str, dtype: str) -> None:
    bad = np.stack([np.eye(3), np.array([[1, 2, 0], [2, 4, 0], [0, 0, 1]])]).astype(dtype)
    b = np.ones((2, 3, 1), dtype)
    functions = {
        "solve": lambda a: np.linalg.solve(a, b),
        "cholesky": lambda a: np.linalg.cholesky(a - 2 * np.eye(3, dtype=a.dtype)),
        "factors": lambda a: with_factors(a, b, False),
    }
    f = ft.jit(functions[name])
    with pytest.raises(np.linalg.LinAlgError):
        f(bad)
    if name != "cholesky":
        assert_all_close(f(bad + np.eye(3, dtype=dtype)), functions[name](bad + np.eye(3, dtype=dtype)), 1e-5)
    with pytest.raises(np.linalg.LinAlgError):
        f(bad)


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("name", ["cholesky", "lu", "solve", "qr"])
def test_special_values(name: str, value: float) -> None:
    args = matrices("f8", (2,), 3, 2)
    args[0][1, 1, 1] = value
    jaxpr = staged(FUNCTIONS[name], args)
    try:
        wanted = interpreted(jaxpr, args)
    except np.linalg.LinAlgError:
        with pytest.raises(np.linalg.LinAlgError):
            natively(jaxpr, args)
        return
    for x, y in zip(natively(jaxpr, args), wanted):
        np.testing.assert_array_equal(np.isfinite(x[0]), np.isfinite(y[0]))
        assert_all_close(x[0], y[0], 1e-9)  # the other matrix


DERIVATIVES: dict[str, Callable[..., Any]] = {
    "cholesky": lambda a: np.sum(np.linalg.cholesky(positive(a)) ** 2),
    "solve": lambda a: np.sum(np.linalg.solve(a + 5 * np.eye(4), a[:, :2]) ** 2),
    "qr": lambda a: np.sum(np.linalg.qr(a)[1] ** 3),
    "eigh": lambda a: np.sum(np.linalg.eigh(positive(a))[0] ** 3),
    "svd": lambda a: np.sum(np.linalg.svd(a)[1] ** 3),
    "inverse": lambda a: np.sum(np.linalg.inv(a) ** 2),
    "least squares": lambda a: np.sum(np.linalg.lstsq(a[:, :3], a[:, 3], rcond=None)[0] ** 3),
}


@pytest.mark.parametrize("name", [*DERIVATIVES])
def test_derivatives(name: str) -> None:
    a = np.random.default_rng(5).normal(size=(4, 4))
    Case(name, ft.grad(DERIVATIVES[name]), (a,), 1e-8).check("quick")
    Case(name, ft.vmap(ft.grad(DERIVATIVES[name])), (np.stack([a, a.T, 2 * a]),), 1e-8).check("quick")


#: What there is of a decomposition if nobody needs the rest: the values, or the triangle.
PARTS: dict[str, tuple[Callable[..., Any], str]] = {
    "eigh": (lambda a: np.linalg.eigh(a @ np.swapaxes(a, -1, -2))[0], "vectors"),
    "eig": (lambda a: fnp.sort(fnp.abs(np.linalg.eig(a @ np.swapaxes(a, -1, -2))[0])), "vectors"),
    "svd": (lambda a: np.linalg.svd(a)[1], "vectors"),
    "qr": (lambda a: np.linalg.qr(a)[1], "orthogonal"),
    "complete qr": (lambda a: np.linalg.qr(a, "complete")[1], "orthogonal"),
}


@pytest.mark.parametrize("shape", [(3, 4, 2), (2, 4), (9, 9), (40, 12, 9)])
@pytest.mark.parametrize("name", PARTS)
def test_what_nobody_needs_of_a_decomposition_is_not_computed(name: str, shape: tuple[int, ...]) -> None:
    function, param = PARTS[name]
    a = np.random.default_rng(0).normal(size=shape)
    jaxpr = staged(lambda a: [function(a)], (a,))
    found, exact = (
        [eqn.params.get(param, True) for eqn in simplify(jaxpr, exact=is_exact).eqns if eqn.primitive.name in name]
        for is_exact in (False, True)
    )
    assert (found, exact) == ([False], [True])
    np.testing.assert_allclose(ft.jit(function)(a), function(a), rtol=1e-12, atol=1e-12 * np.max(a @ a.swapaxes(-1, -2)))


def test_in_loops_and_threads() -> None:
    @ft.jit
    def f(a: Any, b: Any) -> Any:
        return lax.scan(lambda x, m: (np.linalg.solve(m, x), np.linalg.cholesky(m @ m.T + np.eye(5))), b, a)

    a = np.random.default_rng(6).normal(size=(7, 5, 5)) + 3 * np.eye(5)
    bs = np.random.default_rng(7).normal(size=(8, 5))
    wanted = [f(a, b) for b in bs]
    with ThreadPoolExecutor(8) as pool:
        for _ in range(20):
            for found, own in zip(pool.map(lambda b: f(a, b), bs), wanted):
                assert_all_close(ft.tree.leaves(found), ft.tree.leaves(own), 1e-12)


# ---- random numbers


@settings(max_examples=40)
@given(
    shape=st.sampled_from([(), (1,), (7,), (3, 5), (0,), (2, 0)]),
    dtype=st.sampled_from(["u1", "u2", "u4", "u8", "f2", "f4", "f8"]),
    keys=st.sampled_from([(), (3,), (2, 2)]),
    tier=TIER,
)
def test_random_bits(shape: Any, dtype: str, keys: Any, tier: str) -> None:
    key = RANDOM.integers(0, 2**32, (*keys, 2), dtype=np.uint32)
    function = lambda key: random_bits(key, shape=shape, dtype=np.dtype(dtype))  # noqa: E731
    Case("random bits", function, (key,), None).check(tier)
    assert 0 in shape or calls_of_python(function, (key,)) == []
    data = RANDOM.integers(0, 2**32, keys, dtype=np.uint32)
    Case("fold in", lambda key, data: fold_in(key, data), (key, data), None).check(tier)


def test_random_numbers_in_a_loop() -> None:
    def walk(key: Any) -> Any:
        def step(carry: Any, _: Any) -> Any:
            x, key = carry
            key, own = ft.random.split(key)
            x = x + ft.random.uniform(own, (3,))
            return (x, key), x

        return lax.scan(step, (np.zeros(3), key), None, length=20)[1]

    key = ft.random.key(4)
    jaxpr = staged(walk, (key,))
    assert_same_bits(natively(jaxpr, (key,))[0], interpreted(jaxpr, (key,))[0])


@pytest.mark.parametrize("worth", [1, 150, 1 << 18])
@pytest.mark.parametrize("shape", [(1, 6, 5, 9), (3, 6, 5, 4), (40, 6, 5, 4), (2, 40, 5, 60), (9, 0, 5, 4)], ids=str)
def test_products_among_threads(monkeypatch: pytest.MonkeyPatch, worth: int, shape: tuple[int, ...]) -> None:
    """Threads take some of the products, or parts of each."""
    monkeypatch.setattr(library, "WORTH_THREADS", worth)
    batch, rows, inner, columns = shape
    random = np.random.default_rng(0)
    x = random.integers(-9, 9, (batch, rows, inner)).astype(float)
    y = random.integers(-9, 9, (batch, inner, columns)).astype(float)
    turned = np.ascontiguousarray(np.swapaxes(y, -1, -2))
    program = lambda x, y, turned: (x @ y, x @ np.swapaxes(turned, -1, -2), np.swapaxes(x @ y, -1, -2) @ x)  # noqa: E731
    wanted = program(x, y, turned)
    f = ft.jit(program)
    with ft.config.using(threads=2):
        for _ in range(3):
            for found, exact in zip(f(x, y, turned), wanted):
                np.testing.assert_array_equal(found, exact)


@pytest.mark.parametrize("name", ["cholesky", "eigvalsh", "singular values"])
@pytest.mark.parametrize("room", [0, 1 << 22])
def test_threads_share_matrices(monkeypatch: pytest.MonkeyPatch, name: str, room: int) -> None:
    """If each has room of its own; and one matrix that has no result is found by whichever thread gets it."""
    monkeypatch.setattr(matrix_parts, "MOST_ROOM", room)
    args = matrices("f8", (37,), 7, 3)
    jaxpr = staged(FUNCTIONS[name], args)
    assert_all_close(natively(jaxpr, args, "threads"), interpreted(jaxpr, args), 1e-9)
    if name == "cholesky":
        bad = np.tile(np.eye(7), (37, 1, 1))
        bad[29, 3, 3] = -1
        with pytest.raises(np.linalg.LinAlgError):
            natively(staged(linalg.cholesky, [bad]), [bad], "threads")


def test_blas_has_its_threads_back() -> None:
    """Where our threads share the work, or its own would only wait, a library uses none; afterwards it does again."""
    a = np.random.default_rng(0).normal(size=(120, 100))
    ft.jit(np.linalg.svd)(a)
    usual = [own.get() for own in late_scipy.library_threads]
    for own in late_scipy.library_threads:
        own.set(2)
    try:
        seen: list[int] = []
        look = lambda x: seen.extend(own.get() for own in late_scipy.library_threads) or x  # noqa: E731
        ft.jit(lambda a: np.linalg.svd(ft.pure_callback(look, a, a))[1])(a)
        assert set(seen) == {1}
        assert {own.get() for own in late_scipy.library_threads} == {2}
    finally:
        for own, number in zip(late_scipy.library_threads, usual, strict=True):
            own.set(number)


@pytest.mark.parametrize("tier", TIERS)
def test_products_of_float16_are_those_of_blas(tier):
    """In single precision and rounded once; without Python, whose own loop takes a hundred times as long."""
    x, y = (np.random.default_rng(k).normal(size=(40, 40)).astype(np.float16) for k in range(2))
    function = lambda x, y: [x @ y, ft.grad(lambda x: np.sum(np.tanh(x @ y.T)))(x), (x.T @ y).T]  # noqa: E731
    jaxpr = staged(function, (x, y))
    assert_all_close(natively(jaxpr, (x, y), tier), interpreted(jaxpr, (x, y)), 4e-3)
    exact = np.full((20, 20), 2.0, np.float16)
    assert natively(staged(lambda x: [x @ x], (exact,)), (exact,), tier)[0].tolist() == (exact @ exact).tolist()
    assert "Python" not in str(ft.explain(lambda x, y: x @ y, x, y))
