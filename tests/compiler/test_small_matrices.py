"""Linear algebra of small matrices without a library: batches and loops on both backends, against the interpreter."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import functrans as ft
from functrans import lax
from functrans.compiler.backends.cpu import native
from functrans.compiler.instructions import KernelRun, LibraryRun, PythonRun, RecurrenceRun
from functrans.compiler.program import fused
from functrans.primitives import determinants, linalg
from tests.helpers.cuda.device import is_possible
from tests.helpers.cuda.running import emulated
from tests.helpers.limits import limited
from tests.helpers.oracles import assert_all_close
from tests.helpers.tiers import interpreted, natively, staged

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")


def quickly(jaxpr: Any, args: Any) -> list[Any]:
    """What native code makes of a program, compiled quickly."""
    return natively(jaxpr, args, "quick")


def in_threads(jaxpr: Any, args: Any) -> list[Any]:
    """The same by two threads, compiled thoroughly."""
    return natively(jaxpr, args, "threads")


EMULATED = pytest.param(
    emulated, marks=pytest.mark.skipif(not is_possible(), reason="the emulator of GPUs needs g++ and an x86-64 processor")
)
BACKENDS = pytest.mark.parametrize("run", [quickly, EMULATED])
#: Ways to run a program, those that take longer less often.
RUNS = st.sampled_from([quickly, quickly, natively, in_threads, *([emulated] if is_possible() else [])])
DTYPES = st.sampled_from(["f4", "f8", "c8", "c16"])
SIZES = st.sampled_from([1, 2, 3, 4, 5])
LANES = st.sampled_from([(), (1,), (5,), (2, 3), (33,)])
#: How the elements of matrices are drawn: any numbers; few numbers, so that there are ties; nearly dependent rows; rows
#: of very different size.
KINDS = st.sampled_from(["any", "ties", "nearly singular", "scaled"])
LAYOUTS: dict[str, Callable[[Any], Any]] = {
    "as it is": lambda x: x,
    "transposed": lambda x: np.ascontiguousarray(np.swapaxes(x, -1, -2)).swapaxes(-1, -2),
    "backwards": lambda x: x[..., ::-1, ::-1].copy()[..., ::-1, ::-1],
    "with room": lambda x: np.repeat(np.repeat(x, 2, -1), 2, -2)[..., ::2, ::2],
    "lanes last": lambda x: np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 0, -1)), -1, 0),
}


@st.composite
def matrices(draw: Any, dtype: str, lanes: tuple[int, ...], shape: tuple[int, int], kind: str = "any") -> Any:
    """A batch of matrices."""
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    draw_one = (lambda: random.integers(-2, 3, (*lanes, *shape))) if kind == "ties" else (
        lambda: random.normal(size=(*lanes, *shape))
    )
    x = (draw_one() + 1j * draw_one() if dtype[0] == "c" else draw_one()).astype(dtype)
    if kind == "nearly singular" and shape[0] > 1:
        x[..., -1, :] = x[..., 0, :] * (1 + random.choice([1e-3, 1e-6]) * random.normal(size=(*lanes, shape[1])))
    if kind == "scaled":
        x *= (10.0 ** random.integers(-8, 9, (*lanes, shape[0], 1))).astype(x.real.dtype)
    layout = draw(st.sampled_from([*LAYOUTS]))
    return LAYOUTS[layout](x) if lanes or layout != "lanes last" else x


def eps(dtype: str) -> float:
    return float(np.finfo(dtype).eps)


def norm(x: Any) -> Any:
    """The largest sum of absolute values of a row, for each matrix."""
    return np.abs(x).sum(-1).max(-1)


def call(run: Any, function: Callable[..., Any], *args: Any) -> list[Any]:
    """The results of a backend, or the error that it raises."""
    return run(staged(function, args), args)


def outcome(run: Any, function: Callable[..., Any], *args: Any) -> Any:
    """The results of a backend, or the error that it raises."""
    try:
        return call(run, function, *args)
    except np.linalg.LinAlgError as error:
        return str(error)


def instructions(function: Callable[..., Any], *args: Any) -> list[type]:
    """The kinds of instructions of a native program."""
    program = native.NativeProgram(staged(function, args), fused)
    program(*args)
    (binding,) = program.bindings.values()
    return [type(run) for run in binding.assembled.block]


# ---- the bounds are backward errors of a few units of the last place for each row


@settings(max_examples=10, deadline=None)
@given(run=RUNS, data=st.data(), dtype=DTYPES, lanes=LANES, n=SIZES, columns=st.sampled_from([1, 3]), kind=KINDS)
def test_solutions(run: Any, data: Any, dtype: str, lanes: Any, n: int, columns: int, kind: str) -> None:
    a, b = data.draw(matrices(dtype, lanes, (n, n), kind)), data.draw(matrices(dtype, lanes, (n, columns)))
    wanted = outcome(interpreted, linalg.solve, a, b)
    found = outcome(run, linalg.solve, a, b)
    if isinstance(wanted, str) or isinstance(found, str):
        assert found == wanted
        return
    (x,) = found
    assert x.dtype == dtype
    assert x.shape == b.shape
    residual = norm(a.astype("c16") @ x - b)
    assert (residual <= 30 * n * eps(dtype) * (norm(a) * norm(x) + norm(b)) * n).all()
    if kind == "any" and dtype in ("f8", "c16"):
        scale = norm(np.linalg.inv(a)) * norm(a)
        assert (norm(x - wanted[0]) <= 30 * n * eps(dtype) * scale * norm(x)).all()


@settings(max_examples=10, deadline=None)
@given(run=RUNS, data=st.data(), dtype=DTYPES, lanes=LANES, n=SIZES, width=SIZES, kind=KINDS)
def test_factors(run: Any, data: Any, dtype: str, lanes: Any, n: int, width: int, kind: str) -> None:
    a = data.draw(matrices(dtype, lanes, (n, width), kind))
    packed, pivots, order = call(run, linalg.lu.bind, a)
    rank = min(n, width)
    lower = np.tril(packed, -1)[..., :rank] + np.eye(n, rank, dtype=a.dtype)
    product = lower @ np.triu(packed)[..., :rank, :]
    permuted = np.take_along_axis(a, order[..., None].astype(int), -2)
    assert (norm(product - permuted) <= 10 * n * eps(dtype) * norm(a) * n).all()
    size = np.abs(a.real) + np.abs(a.imag)
    np.testing.assert_array_equal(pivots[..., 0], size[..., 0].argmax(-1))
    assert (np.abs(lower.real) + np.abs(lower.imag) <= 2 + 10 * eps(dtype)).all()
    _, pivots_of_lapack, order_of_lapack = call(interpreted, linalg.lu.bind, a)
    assert pivots.dtype == order.dtype == pivots_of_lapack.dtype
    if n <= 2 or kind == "any":  # no ties but exact ones
        np.testing.assert_array_equal(pivots, pivots_of_lapack)
        np.testing.assert_array_equal(order, order_of_lapack)


@settings(max_examples=10, deadline=None)
@given(run=RUNS, data=st.data(), dtype=DTYPES, lanes=LANES, n=SIZES, transposed=st.booleans(), kind=KINDS)
def test_solutions_by_factors(run: Any, data: Any, dtype: str, lanes: Any, n: int, transposed: bool, kind: str) -> None:
    a, b = data.draw(matrices(dtype, lanes, (n, n), kind)), data.draw(matrices(dtype, lanes, (n, 2)))
    packed, _, order = linalg.lu_factors(a)
    function = lambda *args: linalg.solve_with_factors(*args, transposed=transposed)  # noqa: E731
    wanted, found = (outcome(way, function, a, packed, order, b) for way in (interpreted, run))
    if isinstance(wanted, str) or isinstance(found, str):
        assert found == wanted
        return
    (x,), op = found, np.swapaxes(a, -1, -2) if transposed else a
    bound = 30 * n * n * eps(dtype) * (norm(op) * norm(x) + norm(b)) * max(1, np.max(norm(a) / norm(op)))
    assert (norm(op.astype("c16") @ x - b) <= bound).all()


@settings(max_examples=15, deadline=None)
@given(
    run=RUNS, data=st.data(), dtype=st.sampled_from(["f4", "f8"]), lanes=LANES, n=SIZES, width=SIZES, kind=KINDS,
    is_full=st.booleans(),
)  # fmt: skip
def test_orthogonal_factors(
    run: Any, data: Any, dtype: str, lanes: Any, n: int, width: int, kind: str, is_full: bool
) -> None:
    a = data.draw(matrices(dtype, lanes, (n, width), kind))
    q, r = call(run, lambda a: linalg.qr.bind(a, full_matrices=is_full), a)
    assert [x.dtype for x in (q, r)] == [a.dtype, a.dtype]
    assert not np.tril(r, -1).any()
    turned = np.swapaxes(q, -1, -2) @ q
    assert (np.abs(turned - np.eye(turned.shape[-1])) <= 20 * n * eps(dtype)).all()
    columns = np.abs(a).max(-2, keepdims=True)
    assert (np.abs(q.astype("f8") @ r - a) <= 20 * n * eps(dtype) * n * columns).all()
    if kind == "any":
        assert_all_close([q, r], call(interpreted, lambda a: linalg.qr.bind(a, full_matrices=is_full), a), eps(dtype) ** 0.5)


@BACKENDS
def test_orthogonal_factors_of_what_is_done_already(run: Any) -> None:
    """Where nothing is to be turned nothing is: signs are LAPACK's."""
    a = np.stack([np.zeros((3, 3)), np.eye(3), -np.eye(3), np.triu(np.arange(9.0).reshape(3, 3)), np.full((3, 3), np.nan)])
    wanted = np.linalg.qr(a)
    for found, expected in zip(call(run, lambda a: np.linalg.qr(a), a), wanted):
        np.testing.assert_allclose(found, expected, atol=1e-15)


@settings(max_examples=10, deadline=None)
@given(run=RUNS, data=st.data(), dtype=DTYPES, lanes=LANES, n=SIZES)
def test_cholesky_factors(run: Any, data: Any, dtype: str, lanes: Any, n: int) -> None:
    root = data.draw(matrices(dtype, lanes, (n, n)))
    a = root @ np.swapaxes(root, -1, -2).conj() + eps(dtype) * 100 * norm(root)[..., None, None] ** 2 * np.eye(n, dtype=dtype)
    wanted, found = (call(way, linalg.cholesky, a) for way in (interpreted, run))
    assert found[0].dtype == a.dtype
    assert not np.triu(found[0], 1).any()
    assert (norm(found[0] @ np.swapaxes(found[0], -1, -2).conj() - a) <= 10 * n * eps(dtype) * norm(a)).all()
    assert_all_close(found, wanted, eps(dtype) ** 0.4)


@settings(max_examples=10, deadline=None)
@given(
    run=RUNS, data=st.data(), dtype=DTYPES, lanes=LANES, n=SIZES,
    options=st.fixed_dictionaries(
        {key: st.booleans() for key in ("left_side", "lower", "transpose_a", "conjugate_a", "unit_diagonal")}
    ),
)  # fmt: skip
def test_triangular_equations(run: Any, data: Any, dtype: str, lanes: Any, n: int, options: Any) -> None:
    a = data.draw(matrices(dtype, lanes, (n, n)))
    b = data.draw(matrices(dtype, lanes, (n, 2) if options["left_side"] else (2, n)))
    a = a + 2 * np.eye(n, dtype=a.dtype)
    function = lambda a, b: linalg.triangular_solve(a, b, **options)  # noqa: E731
    wanted, found = (call(way, function, a, b) for way in (interpreted, run))
    assert found[0].dtype == a.dtype
    assert_all_close(found, wanted, 1e3 * eps(dtype) * max(1, np.max(np.abs(wanted[0]))))


@settings(max_examples=10, deadline=None)
@given(run=RUNS, data=st.data(), dtype=DTYPES, lanes=LANES, n=SIZES, kind=KINDS)
def test_determinants(run: Any, data: Any, dtype: str, lanes: Any, n: int, kind: str) -> None:
    a = data.draw(matrices(dtype, lanes, (n, n), kind))
    function = lambda a: (determinants.det(a), *determinants.slogdet.bind(a))  # noqa: E731
    wanted, found = (call(way, function, a) for way in (interpreted, run))
    assert [x.dtype for x in found] == [x.dtype for x in wanted]
    # By Hadamard, so large is the determinant at most, and so large are the changes that errors of a row come to.
    bound = np.prod(np.sqrt((np.abs(a.astype("c16")) ** 2).sum(-1)), axis=-1)
    assert (np.abs(found[0] - wanted[0]) <= 50 * n * n * eps(dtype) * bound).all()
    product = found[1] * np.exp(found[2])
    assert (np.abs(product - wanted[0]) <= 100 * n * n * eps(dtype) * (1 + np.abs(np.log(bound + 1e-300))) * bound).all()
    is_zero = found[0] == 0
    np.testing.assert_array_equal(found[1][is_zero], 0)
    np.testing.assert_array_equal(found[2][is_zero], -np.inf)


@settings(max_examples=10, deadline=None)
@given(run=RUNS, data=st.data(), dtype=DTYPES, lanes=LANES, n=st.sampled_from([1, 2, 3, 4]), kind=KINDS)
def test_cofactors(run: Any, data: Any, dtype: str, lanes: Any, n: int, kind: str) -> None:
    a = data.draw(matrices(dtype, lanes, (n, n), kind))
    wanted, found = (call(way, determinants.cofactors, a)[0] for way in (interpreted, run))
    assert found.dtype == wanted.dtype
    for one, x, y in zip(a.reshape(-1, n, n), found.reshape(-1, n, n), wanted.reshape(-1, n, n)):
        sizes = np.sqrt((np.abs(one.astype("c16")) ** 2).sum(-1)) + 1e-30
        bound = np.prod(sizes) / sizes  # of the cofactors of each row
        error = np.abs(x - y).max(-1)
        assert (error <= 1e3 * eps(dtype) * bound * (1 if kind == "any" else 1e10)).all()


# ---- loops over rows and columns (compiler/matrix_loops.py) do the same, in the same order


#: What there is for primitives of matrices: functions of one batch of n x m and one of n x k.
PRIMITIVES: dict[str, Callable[..., Any]] = {
    "solve": lambda a, b: linalg.solve(square(a), b),
    "factors": lambda a, b: linalg.lu.bind(a),
    "solve_with_factors": lambda a, b: solved_by_factors(square(a), b, False),
    "solve_with_factors_of_transposed": lambda a, b: solved_by_factors(square(a), b, True),
    "cholesky": lambda a, b: linalg.cholesky(square(a) + 4 * np.eye(a.shape[-2], dtype=a.dtype)),
    "det": lambda a, b: determinants.det(square(a)),
    "slogdet": lambda a, b: determinants.slogdet.bind(square(a)),
    "qr": lambda a, b: linalg.qr.bind(a, full_matrices=False),
    "full_qr": lambda a, b: linalg.qr.bind(a, full_matrices=True),
    "triangle_of_qr": lambda a, b: linalg.qr.bind(a, full_matrices=False, orthogonal=False),
}


def square(a: Any) -> Any:
    """A batch of square matrices, of the first columns and zeros."""
    n, m = a.shape[-2:]
    return a[..., :n] if n <= m else np.concatenate([a, np.zeros((*a.shape[:-1], n - m), a.dtype, like=a)], -1)


def solved_by_factors(a: Any, b: Any, transposed: bool) -> Any:
    packed, _, order = linalg.lu.bind(a)
    return linalg.solve_with_factors(a, packed, order, b, transposed=transposed)


MANY = st.sampled_from([(8,), (9,), (17,), (5, 7), (2, 1, 8)])
IN_LOOPS, WRITTEN_OUT = ["small matrices in loops"], ["no matrices in loops"]
TIER = st.sampled_from(["quick", "quick", "quick", "thorough", "threads"])


def outcome_with(limits: list[str], name: str, function: Callable[..., Any], *args: Any) -> Any:
    """The results of native code with some limits, or the error that it raises."""
    with limited(limits):
        return outcome(lambda jaxpr, args: natively(jaxpr, args, name), function, *args)


@settings(max_examples=20, deadline=None)
@given(
    data=st.data(), name=st.sampled_from([*PRIMITIVES]), tier=TIER, dtype=st.sampled_from(["f4", "f8"]), lanes=MANY,
    shape=st.tuples(SIZES, SIZES), columns=SIZES, kind=KINDS, special=st.sampled_from([None, None, np.nan, np.inf]),
)  # fmt: skip
def test_loops_do_what_is_written_out(
    data: Any, name: str, tier: str, dtype: str, lanes: Any, shape: Any, columns: int, kind: str, special: Any
) -> None:
    a, b = (data.draw(matrices(dtype, lanes, s, kind)) for s in (shape, (shape[0], columns)))
    if special is not None:
        a = a.copy()
        a.flat[data.draw(st.integers(0, a.size - 1))] = special
    function = PRIMITIVES[name]
    wanted, found = (outcome_with(limits, tier, function, a, b) for limits in (WRITTEN_OUT, IN_LOOPS))
    if isinstance(wanted, str) or isinstance(found, str):
        assert found == wanted
        return
    for x, y in zip(found, wanted, strict=True):
        if name == "det":  # of few rows it is not scaled on the way
            np.testing.assert_allclose(x, y, 4 * eps(dtype))
        elif special is not None and "qr" in name:  # where zeros are multiplied with what is no number
            np.testing.assert_array_equal(x[is_finite(a)], y[is_finite(a)])
        else:
            np.testing.assert_array_equal(x, y)


def is_finite(a: Any) -> Any:
    """The matrices of a batch that have nothing but numbers."""
    return np.isfinite(a).all((-1, -2))


@settings(max_examples=15, deadline=None)
@given(
    data=st.data(), tier=TIER, dtype=st.sampled_from(["f4", "f8"]), lanes=MANY, n=SIZES, columns=SIZES,
    options=st.fixed_dictionaries(
        {key: st.booleans() for key in ("left_side", "lower", "transpose_a", "conjugate_a", "unit_diagonal")}
    ),
)  # fmt: skip
def test_loops_solve_triangular_equations(
    data: Any, tier: str, dtype: str, lanes: Any, n: int, columns: int, options: Any
) -> None:
    shape = (n, columns) if options["left_side"] else (columns, n)
    a, b = data.draw(matrices(dtype, lanes, (n, n))), data.draw(matrices(dtype, lanes, shape))
    function = lambda a, b: linalg.triangular_solve.bind(a, b, **options)  # noqa: E731
    wanted, found = (outcome_with(limits, tier, function, a, b) for limits in (WRITTEN_OUT, IN_LOOPS))
    np.testing.assert_array_equal(found[0], wanted[0])


def test_many_matrices_are_loops() -> None:
    random = np.random.default_rng(0)
    a, b = 0.1 * random.normal(size=(40, 9, 9)), random.normal(size=(40, 9, 9))
    for function in PRIMITIVES.values():
        kinds = instructions(function, a, b)
        assert RecurrenceRun in kinds
        assert not {PythonRun, LibraryRun} & {*kinds}


@pytest.mark.parametrize("place", [0, 7, 8, 32, 39])
def test_one_of_many_matrices_has_no_result(place: int) -> None:
    random = np.random.default_rng(place)
    a, b = random.normal(size=(40, 7, 7)), np.ones((40, 7, 1))
    a[place] = np.ones((7, 7))
    definite = a @ np.swapaxes(a, -1, -2)
    definite[place, 3, 3] = -1
    for function, args in ((linalg.solve, (a, b)), (linalg.cholesky, (definite,))):
        wanted = outcome(interpreted, function, *args)
        assert isinstance(wanted, str)
        for run in (quickly, in_threads):
            assert outcome(run, function, *args) == wanted


@settings(max_examples=5, deadline=None)
@given(data=st.data(), n=st.sampled_from([6, 11, 20]), steps=st.integers(1, 3), dtype=st.sampled_from(["f4", "f8"]))
def test_loops_of_matrices_in_loops(data: Any, n: int, steps: int, dtype: str) -> None:
    """What a step makes of the state takes its place."""
    a = data.draw(matrices(dtype, (19,), (n, n))) / n + 2 * np.eye(n, dtype=dtype)

    def function(a: Any) -> Any:
        return lax.fori_loop(0, steps, lambda i, x: linalg.solve(x, a) + np.tril(linalg.lu.bind(x)[0]), a)

    wanted, found = (call(way, function, a) for way in (interpreted, quickly))
    assert_all_close(found, wanted, eps(dtype) ** 0.5)


# ---- where there is no result, and numbers that are none

SINGULAR = {
    "zeros": np.zeros((3, 3)),
    "a zero pivot at the end": np.array([[2.0, 1, 4], [4, 2, 8], [0, 1, 0]]),
    "equal rows": np.array([[1.0, 2, 3], [1, 2, 3], [0, 1, 5]]),
    "a zero column": np.array([[1.0, 0, 3], [2, 0, 1], [0, 0, 5]]),
}


@BACKENDS
@pytest.mark.parametrize("name", [*SINGULAR])
def test_singular_matrices(run: Any, name: str) -> None:
    good = np.array([[2.0, 1, 0], [1, 3, 1], [0, 1, 4]])
    a, b = np.stack([good, SINGULAR[name]]), np.ones((2, 3, 1))
    functions: list[Callable[..., Any]] = [
        linalg.solve,
        lambda a, b: lax.scan(lambda x, m: (linalg.solve(m, x), x), b[0], a),
        lambda a, b: ft.jvp(linalg.solve, (a, b), (a, b)),
        lambda a, b: linalg.cholesky(-a),
    ]
    for function in functions:
        for values in (a, a[::-1]):
            found = outcome(run, function, values, b)
            assert isinstance(found, str)
            assert found == outcome(interpreted, function, values, b)
    for function in (determinants.det, determinants.slogdet.bind, linalg.lu.bind):
        for x, y in zip(call(run, function, a), call(interpreted, function, a)):
            assert_all_close(x, y, 1e-12)


@settings(max_examples=10, deadline=None)
@given(
    run=RUNS, data=st.data(), value=st.sampled_from([np.nan, np.inf, -np.inf]), dtype=DTYPES, where=st.tuples(*[st.integers(0, 2)] * 2)
)
def test_special_values(run: Any, data: Any, value: float, dtype: str, where: tuple[int, int]) -> None:
    a = data.draw(matrices(dtype, (3,), (3, 3))) + 4 * np.eye(3, dtype=dtype)
    b, bad = np.ones((3, 3, 1), dtype), a.copy()
    bad[(1, *where)] = value
    for function, args, good in ((linalg.solve, (bad, b), (a, b)), (linalg.lu.bind, (bad,), (a,))):
        found = outcome(run, function, *args)
        if isinstance(found, str):
            assert np.isinf(value)
            continue
        for x, y in zip(found, call(run, function, *good)):
            np.testing.assert_array_equal(x[::2], y[::2])  # the other matrices know nothing of it
        if np.isnan(value):
            assert not np.isfinite(found[0][1]).all()
    spd = a @ np.swapaxes(a, -1, -2).conj()
    spd[1, 2, 0] = value
    wanted, found = (outcome(way, linalg.cholesky, spd) for way in (interpreted, run))
    if np.isnan(value):
        np.testing.assert_array_equal(np.isfinite(found[0]), np.isfinite(wanted[0]))
    else:
        assert isinstance(found, str) or not np.isfinite(found[0][1]).all() or found[0][1, 2, 0] == 0


@BACKENDS
def test_tiny_pivots(run: Any) -> None:
    a = np.stack([np.diag([1e-310, 1.0, 2.0]), np.diag([1.0, 5e-324, 1.0])])
    (x,) = call(run, linalg.solve, a, a[..., :2])
    np.testing.assert_array_equal(x, np.broadcast_to(np.eye(3, 2), (2, 3, 2)))


@BACKENDS
def test_determinants_do_not_overflow_on_the_way(run: Any) -> None:
    diagonals = np.array([
        [1e200, 1e200, 1e-300, -1e-90], [1e-200, 1e-200, 1e300, 1e90], [5e-324, 1e300, 1e20, 1.0], [1e308, 1e308, 1, 1],
        [1.0, 1.0, 1.0, 1 + 1e-15], [np.inf, 1, 1, 1], [np.nan, 1, 1, 1],
    ])  # fmt: skip
    a = np.stack([np.diag(x) for x in diagonals])
    for values in (a, a.astype("c16")):
        det, sign, log = call(run, lambda a: (determinants.det(a), *determinants.slogdet.bind(a)), values[:5])
        wanted = [-1e10, 1e-10, 5e-4, np.inf, 1 + 1e-15]
        np.testing.assert_allclose(det.real[[0, 1, 3, 4]], np.array(wanted)[[0, 1, 3, 4]], 1e-13)
        np.testing.assert_allclose(det.real[2], 5e-324 * 1e300 * 1e20, 1e-13)
        np.testing.assert_array_equal(sign, [-1, 1, 1, 1, 1])
        np.testing.assert_allclose(log, np.linalg.slogdet(a[:5])[1], 1e-14, 1e-15)
    det, sign, log = call(run, lambda a: (determinants.det(a), *determinants.slogdet.bind(a)), a[5:])
    assert det[0] == np.inf
    assert np.isnan(det[1])
    assert log[0] == np.inf
    assert np.isnan(log[1])


# ---- what these come to


def kalman(a: Any, q: Any, ys: Any) -> Any:
    """The logarithm of a likelihood: two observations of four numbers in each step."""
    h, r = np.eye(2, 4) + 0.1, 0.2 * np.eye(2)

    def step(carry: Any, y: Any) -> Any:
        m, p = carry
        m, p = a @ m, a @ p @ a.T + q
        s = h @ p @ h.T + r
        k = np.linalg.solve(s, h @ p).T
        v = y - h @ m
        fit = v @ np.linalg.solve(s, v) + np.log(np.linalg.det(s)) + np.linalg.slogdet(p)[1]
        root = np.linalg.cholesky(p)
        return (m + k @ v, p - k @ s @ k.T), fit + np.sum(np.linalg.inv(root) ** 2)

    return np.sum(lax.scan(step, (np.zeros(4), np.eye(4)), ys)[1])


ARGUMENTS = (
    np.random.default_rng(1).normal(size=(4, 4)) * 0.1 + np.eye(4), np.eye(4) * 0.1,
    np.random.default_rng(2).normal(size=(20, 2)),
)  # fmt: skip


@BACKENDS
@pytest.mark.parametrize("function", [kalman, ft.grad(kalman, argnums=(0, 1))])
def test_loops_stay_in_registers(run: Any, function: Any) -> None:
    wanted, found = (call(way, function, *ARGUMENTS) for way in (interpreted, run))
    assert_all_close(found, wanted, 1e-9)
    kinds = instructions(function, *ARGUMENTS)
    assert RecurrenceRun in kinds
    assert not {PythonRun, LibraryRun} & {*kinds}


def test_lanes_of_a_loop_are_lanes_of_kernels() -> None:
    several = np.stack([ARGUMENTS[2], 2 * ARGUMENTS[2], -ARGUMENTS[2]])
    function = lambda ys: ft.vmap(lambda y: kalman(*ARGUMENTS[:2], y))(ys)  # noqa: E731
    assert_all_close(call(natively, function, several), [np.array([kalman(*ARGUMENTS[:2], y) for y in several])], 1e-9)


@settings(max_examples=5, deadline=None)
@given(lanes=st.sampled_from([1, 31, 32, 33, 64, 70]), layout=st.sampled_from([*LAYOUTS]), dtype=st.sampled_from(["f4", "f8"]))
def test_a_batch_is_one_kernel(lanes: int, layout: str, dtype: str) -> None:
    random = np.random.default_rng(lanes)
    a, b = (LAYOUTS[layout](random.normal(size=(lanes, 4, k)).astype(dtype)) for k in (4, 1))
    (x,) = call(natively, linalg.solve, a, b)
    np.testing.assert_array_equal(x, np.concatenate([call(natively, linalg.solve, y[None], z[None])[0] for y, z in zip(a, b)]))
    kinds = instructions(linalg.solve, a, b)
    assert kinds.count(KernelRun) == 1
    assert not {PythonRun, LibraryRun} & {*kinds}


@pytest.mark.parametrize("n", [7, 9, 34])
@pytest.mark.parametrize("dtype", ["f4", "f8", "c8", "c16"])
def test_determinants_of_any_size(n: int, dtype: str) -> None:
    random = np.random.default_rng(n)
    for lanes in ((), (3,), (2, 2)):
        a = random.normal(size=(*lanes, n, n)) / np.sqrt(n)
        a = (a + 1j * random.normal(size=a.shape) / np.sqrt(n) if dtype[0] == "c" else a).astype(dtype)
        for function in (determinants.det, determinants.slogdet.bind, determinants.cofactors):
            wanted, found = (call(way, function, a) for way in (interpreted, quickly))
            assert [x.dtype for x in found] == [x.dtype for x in wanted]
            assert_all_close(found, wanted, 1e4 * eps(dtype))
            assert PythonRun not in instructions(function, a)


@pytest.mark.parametrize("shape", [(0, 3, 3), (2, 0, 0)])
def test_nothing_at_all(shape: Any) -> None:
    a = np.ones(shape)
    functions: list[Callable[..., Any]] = [
        lambda a: linalg.solve(a, a), linalg.cholesky, linalg.lu.bind, determinants.det, determinants.slogdet.bind,
    ]  # fmt: skip
    for function in functions:
        for x, y in zip(call(natively, function, a), call(interpreted, function, a)):
            np.testing.assert_array_equal(x, y)
