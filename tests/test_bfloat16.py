"""bfloat16 (of ml_dtypes): like float16 wherever that may stand, computed in float32 and rounded once."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import functrans as ft
from functrans import lax, nn
from functrans.core.dtypes import is_bfloat16
from functrans.errors import UnsupportedDtypeError
from tests.helpers.cases import Case, all_cases
from tests.helpers.native import native
from tests.helpers.oracles import assert_same_type
from tests.helpers.tiers import interpreted, natively, staged

fnp = ft.numpy
BF16 = np.dtype(ml_dtypes.bfloat16)
HALF, SINGLE = np.dtype(np.float16), np.dtype(np.float32)
EVERY = np.arange(1 << 16, dtype=np.uint16).view(BF16)
OTHERS = ("?", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8", "c8", "c16")
#: Half of the distance from one to the number before it: what rounding once may do, relatively.
ROUNDING = 2.0**-8
BACKENDS = ["cpu", "interpreter"]


@pytest.fixture(autouse=True)
def quiet():
    with np.errstate(all="ignore"):
        yield


def bits(x: Any) -> Any:
    """The bits of numbers; of all NaN the same."""
    x = np.asarray(x)
    return np.where(np.isnan(x), np.uint16(0x7FC0), x.view(np.uint16))


# ---- every primitive


def in_dtype(x: Any, dtype: np.dtype[Any]) -> Any:
    is_float = isinstance(x, np.ndarray | np.generic) and x.dtype.kind == "f"
    return x.astype(dtype) if is_float else x


def program_of(case: Case, args: Sequence[Any]) -> Any:
    """The program of an example, or the class of the error that it raises."""
    try:
        return staged(case.function, args)
    except Exception as error:
        return type(error)


#: One example with floats for each primitive. Callbacks declare the dtype of their results themselves.
EXAMPLES = {
    case.primitive.name: case
    for case in reversed(all_cases())
    if case.primitive.name != "callback" and any(in_dtype(x, HALF) is not x for x in case.args)
}


@pytest.mark.parametrize("case", EXAMPLES.values(), ids=list(EXAMPLES))
def test_primitives_take_what_they_take_of_float16(case: Case):
    """The same dtypes as for float16, and the values of float32 but for rounding; or the same error."""
    half, args = ([in_dtype(x, dtype) for x in case.args] for dtype in (HALF, BF16))
    like, jaxpr = program_of(case, half), program_of(case, args)
    if isinstance(like, type):
        assert jaxpr is like
        return
    assert [a.dtype for a in jaxpr.out_avals] == [BF16 if a.dtype == HALF else a.dtype for a in like.out_avals]
    wanted = interpreted(jaxpr, args)
    for y, z in zip(natively(jaxpr, args), wanted, strict=True):
        assert_same_type(y, z)
        assert_near(y, z)


def assert_near(found: Any, wanted: Any) -> None:
    """The same but for two roundings, relative to the largest number."""
    x, y = (np.asarray(v).astype(complex) for v in (found, wanted))
    finite = np.isfinite(x) & np.isfinite(y)
    size = np.max(np.abs(y[finite]), initial=0.0)
    np.testing.assert_array_equal(np.isfinite(x), np.isfinite(y))
    np.testing.assert_allclose(x[finite], y[finite], rtol=0, atol=2 * ROUNDING * size)


# ---- casts


@pytest.mark.parametrize("dtype", OTHERS)
def test_casts_from_every_number(dtype: str):
    """Of integers those that are in range."""
    wanted = np.dtype(dtype)
    x = EVERY
    if wanted.kind in "iu":
        info = np.iinfo(wanted)
        number = x.astype(float)
        x = x[(number > float(info.min) - 1) & (number < float(info.max) * (1 - 2.0**-20))]
    got = ft.jit(lambda x: x.astype(wanted))(x)
    np.testing.assert_array_equal(got, x.astype(wanted))
    if wanted.kind == "f":
        np.testing.assert_array_equal(np.signbit(got), np.signbit(x))


@pytest.mark.parametrize("dtype", OTHERS)
def test_casts_to_it(dtype: str):
    have = np.dtype(dtype)
    random = np.random.default_rng(0)
    x = random.integers(0, 256, 4000 * have.itemsize, np.uint8).view("u1" if dtype == "?" else have)
    x = (x % 2).astype(bool) if dtype == "?" else x
    if have.kind in "fc":
        ties = np.float32(1) + np.arange(64, dtype=np.float32) * np.float32(2.0**-9)
        x = np.concatenate([x, ties.astype(have), np.array([np.inf, -np.inf, np.nan, 0.0, -0.0, 3.4e38, 1e-40], have)])
    wanted = (x.real if have.kind == "c" else x).astype(BF16)
    np.testing.assert_array_equal(bits(ft.jit(lambda x: x.astype(BF16))(x)), bits(wanted))


@pytest.mark.parametrize("backend", BACKENDS)
def test_arrays_of_the_other_byte_order_are_read_in_it(backend: str):
    x = np.array([[-1.0, 3.5], [0.0, 2.0]], BF16)
    swapped = x.astype(BF16.newbyteorder())
    with ft.config.using(backend=backend):
        for function in (lambda x: x * 1, lambda x: np.sum(x, 0), ft.grad(lambda x: np.sum(x * x)), ft.vmap(np.sin)):
            run = ft.jit(function)
            for a, b in ((x, swapped), (x[0], swapped[0])) * 2:
                found, wanted = run(b), run(a)
                assert found.dtype == BF16
                np.testing.assert_array_equal(bits(found), bits(wanted))


def test_signs_of_zeros_and_nan_survive():
    got = native("convert", [EVERY.astype(SINGLE)], BF16)
    np.testing.assert_array_equal(bits(got), bits(EVERY))
    np.testing.assert_array_equal(np.signbit(got), np.signbit(EVERY))


# ---- rounding once


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    "function", [np.add, np.subtract, np.multiply, np.divide, np.maximum, np.less, np.hypot], ids=lambda f: f.__name__
)
def test_what_is_exact_but_for_rounding_is_as_in_ml_dtypes(function: Any, backend: str):
    random = np.random.default_rng(1)
    x, y = random.integers(0, 1 << 16, (2, 20_000), np.uint16).view(BF16)
    with ft.config.using(backend=backend):
        got = ft.jit(function)(x, y)
    wanted = function(x, y)
    assert got.dtype == wanted.dtype
    np.testing.assert_array_equal(*(bits(v) if is_bfloat16(v.dtype) else v for v in (got, wanted)))


@pytest.mark.parametrize("function", [np.square, np.sqrt, np.negative, np.abs, np.floor, np.rint, np.isnan])
def test_functions_of_every_number(function: Any):
    got, wanted = ft.jit(function)(EVERY), function(EVERY)
    np.testing.assert_array_equal(*(bits(v) if is_bfloat16(v.dtype) else v for v in (got, wanted)))


@pytest.mark.parametrize("backend", BACKENDS)
def test_neighbours_are_numbers_of_the_dtype(backend: str):
    with ft.config.using(backend=backend):
        np.testing.assert_array_equal(bits(ft.jit(np.spacing)(EVERY)), bits(np.spacing(EVERY)))
        for towards in (EVERY[::-1], EVERY, BF16.type(np.inf), BF16.type(-0.0)):
            found = ft.jit(np.nextafter)(EVERY, towards)
            np.testing.assert_array_equal(bits(found), bits(np.nextafter(EVERY, towards)))
        assert ft.jit(lambda x: np.nextafter(x, 2.0))(BF16.type(1)) == 1 + 2.0**-7


@pytest.mark.parametrize("function", [np.exp, np.log, np.sin, np.tanh, np.cbrt, np.log1p])
def test_functions_are_off_by_one_number_at_most(function: Any):
    x = EVERY[np.isfinite(EVERY)]
    got, wanted = ft.jit(function)(x), function(x)
    assert got.dtype == BF16
    assert_numbers_apart(got, np.asarray(wanted), 1)


def assert_numbers_apart(x: Any, y: Any, most: int) -> None:
    """How many numbers are between two, at most; NaN and infinity where the other has them."""
    np.testing.assert_array_equal(np.isnan(x), np.isnan(y))
    places = [v.view(np.int16).astype(int) for v in (x[~np.isnan(x)], y[~np.isnan(y)])]
    ordered = [np.where(p < 0, -(p & 0x7FFF), p) for p in places]
    assert np.max(np.abs(ordered[0] - ordered[1]), initial=0) <= most


@pytest.mark.parametrize("backend", BACKENDS)
def test_sums_are_rounded_at_the_end(backend: str):
    """ml_dtypes rounds after each number, and stays at 256."""
    x = np.ones((3, 1000), BF16)
    with ft.config.using(backend=backend):
        assert ft.jit(np.sum)(x) == 3000
        np.testing.assert_array_equal(ft.jit(lambda x: np.sum(x, 1))(x), np.full(3, 1000, BF16))
        np.testing.assert_array_equal(ft.jit(lambda x: x @ x.T)(x), np.full((3, 3), 1000, BF16))
        assert ft.jit(lambda x: np.cumsum(x, 1))(x)[0, -1] == 1000
        np.testing.assert_array_equal(
            ft.jit(ft.grad(lambda x: np.sum(x[np.zeros(1000, int)])))(np.zeros(2, BF16)), np.array([1000, 0], BF16)
        )


def test_each_operation_rounds_under_jit_too():
    """What fuses is no more precise than what does not: the same bits in and out of `jit`."""
    x = np.linspace(0.5, 2, 500).astype(BF16)
    f = lambda x: ((x * x + x) * x - x) / (x + x * x)  # noqa: E731
    np.testing.assert_array_equal(bits(ft.jit(f)(x)), bits(f(x)))


# ---- dtypes of results


@pytest.mark.parametrize("other", OTHERS)
@pytest.mark.parametrize("function", [np.add, np.multiply, np.divide, np.maximum, np.arctan2, np.equal])
def test_promotion_is_that_of_ml_dtypes(function: Any, other: str):
    x, y = np.ones(3, BF16), np.ones(3, other)
    for a, b in ((x, y), (y, x), (x[0], y), (x, y[0])):
        try:
            wanted = function(a, b).dtype
        except TypeError:
            continue
        assert ft.jit(function)(a, b).dtype == wanted
        assert ft.jvp(lambda a: function(a, b), (a,), (a,))[0].dtype == wanted if a.dtype == BF16 else True


@pytest.mark.parametrize("transform", [ft.jit, ft.vmap, lambda f: lambda x: ft.jvp(f, (x,), (x,))[0]])
def test_python_numbers_are_weak(transform: Callable[..., Any]):
    """Unlike in NumPy, which makes float32 of them: 2.1 is rounded first, as it is for float16."""
    x = np.array([1.5, -3.0], BF16)
    got = transform(lambda x: 2.1 * x + 1)(x)
    assert got.dtype == BF16
    np.testing.assert_array_equal(got, BF16.type(2.1) * x + 1)
    for f in (lambda x: np.where(x > 0.1, x, 0.0), lambda x: np.clip(x, 0.0, 1.0), lambda x: x**2.0, nn.gelu, np.mean):
        assert ft.jit(f)(x).dtype == BF16


def test_with_float16_it_makes_float32():
    x, y = np.ones(2, BF16), np.ones(2, HALF)
    for f in (np.add, lambda x, y: np.concatenate([x, y]), lambda x, y: np.where(x > 0, x, y), np.matmul):
        assert ft.jit(f)(x, y).dtype == SINGLE
    assert fnp.promote_types(BF16, HALF) == SINGLE
    assert not fnp.can_cast(BF16, HALF)
    assert fnp.can_cast(BF16, SINGLE)


def test_what_is_known_of_it():
    assert fnp.bfloat16 is ml_dtypes.bfloat16
    assert fnp.finfo(BF16).eps == 2.0**-7
    assert fnp.issubdtype(BF16, np.floating)
    assert not fnp.issubdtype(BF16, np.integer)
    assert str(ft.make_jaxpr(np.sin)(np.ones(3, BF16))).startswith("{ lambda a:bf16[3]")


def test_it_is_not_needed():
    """Nobody imports the package unless the dtype is asked for, and that it is missing is said."""
    program = """
import sys
import functrans.numpy as fnp
assert "ml_dtypes" not in sys.modules
sys.modules["ml_dtypes"] = None
try:
    fnp.bfloat16
except ImportError as error:
    print(error)
"""
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert "pip install 'functrans[bfloat16]'" in said


def test_other_dtypes_of_users_are_refused_by_name():
    for transform in (ft.grad, ft.jit, ft.vmap):
        with pytest.raises(UnsupportedDtypeError, match="float8_e5m2"):
            transform(lambda x: np.sum(x * x))(np.ones(3, ml_dtypes.float8_e5m2))


def test_lapack_does_not_know_it():
    with pytest.raises(UnsupportedDtypeError, match="bf16"):
        ft.jit(np.linalg.inv)(np.eye(2, dtype=BF16))


# ---- transformations


def loss(w: Any, x: Any) -> Any:
    return -np.mean(nn.log_softmax(np.tanh(x @ w) @ w.T)[:, 0])


def test_derivatives_are_those_of_float32():
    random = np.random.default_rng(2)
    w, x = (random.normal(size=s).astype(BF16) for s in ((8, 5), (20, 8)))
    for f in (ft.grad(loss), ft.jit(ft.grad(loss)), lambda w, x: ft.vjp(loss, w, x)[1](BF16.type(1))[0]):
        got = f(w, x)
        assert got.dtype == BF16
        wanted = ft.grad(loss)(w.astype(SINGLE), x.astype(SINGLE))
        np.testing.assert_allclose(got.astype(float), wanted, atol=0.05 * np.abs(wanted).max())
    ft.testing.check_grads(loss, (w, x))
    assert ft.hessian(lambda x: np.sum(x**3))(x[0]).dtype == BF16
    assert [c.dtype for c in ft.jet(np.sin, (x,), ([x, x],))[1]] == [BF16, BF16]


@pytest.mark.parametrize("transform", [lambda f: f, ft.jit], ids=["eager", "jit"])
def test_loops_and_branches(transform: Callable[..., Any]):
    xs = np.linspace(0, 1, 50).astype(BF16)
    last, states = transform(lambda xs: lax.scan(lambda c, x: (c * 0.5 + x, c), BF16.type(1), xs))(xs)
    c, wanted = np.float32(1), []
    for x in xs.astype(np.float32):
        wanted.append(c)
        halved = np.float32(BF16.type(c * np.float32(0.5)))
        c = np.float32(BF16.type(halved + x))
    np.testing.assert_array_equal(states, np.array(wanted, BF16))
    assert last == BF16.type(c)
    assert type(last) is ml_dtypes.bfloat16
    assert transform(lambda x: lax.while_loop(lambda c: c < 100.0, lambda c: c * 2, x))(xs[-1]) == 128
    assert transform(lambda x: lax.cond(x > 0.5, lambda x: x * 3, lambda x: x, x))(xs[-1]) == 3
    gradient = transform(ft.grad(lambda xs: lax.scan(lambda c, x: (c * 0.5 + x, None), BF16.type(1), xs)[0]))(xs)
    np.testing.assert_array_equal(gradient[-3:], np.array([0.25, 0.5, 1], BF16))


def test_calls_that_went_the_quick_way():
    """Results are of the dtype when a function is called again and again, arrays and numbers alike."""
    double, first = ft.jit(lambda x: x * 2), ft.jit(lambda x: x[0].astype(BF16))
    x = np.array([1.5, 2.5], BF16)
    for _ in range(5):
        np.testing.assert_array_equal(double(x), np.array([3, 5], BF16), strict=True)
        assert double(x[0]) == 3
        assert type(double(x[0])) is type(first(x.astype(SINGLE))) is ml_dtypes.bfloat16


def test_updates_of_elements():
    x, i = np.zeros(8, BF16), np.array([1, 1, 3])

    def f(x: Any, i: Any) -> list[Any]:
        at = fnp.at(x)
        return [
            at[i].add(1.5), at[i].set(2.5), at[i].max(0.5), at[i].min(-1), at[2].add(300.0), at[i[0]].add(1),
            fnp.at(x + 1)[i].multiply(3),
        ]  # fmt: skip

    wanted = interpreted(staged(f, (x, i)), (x, i))
    for found in (f(x, i), ft.jit(f)(x, i)):
        for y, z in zip(found, wanted, strict=True):
            np.testing.assert_array_equal(y, z, strict=True)
    assert wanted[0].tolist() == [0, 3, 0, 1.5, 0, 0, 0, 0]


@pytest.mark.parametrize("transform", [lambda f: f, ft.jit], ids=["eager", "jit"])
def test_rules_and_functions_of_users(transform: Callable[..., Any]):
    """Python functions are called with the dtype, and rules of derivatives see it."""
    seen: list[Any] = []

    def double(x: Any) -> Any:
        seen.append(x.dtype)
        return x + x

    x = np.array([1.5, -2.0], BF16)
    called = transform(lambda x: ft.pure_callback(double, ft.ShapeDtypeStruct(x.shape, BF16), x))
    np.testing.assert_array_equal(called(x), x + x, strict=True)
    assert called(x[0]) == 3
    assert set(seen) == {BF16}

    @ft.custom_vjp
    def square(x: Any) -> Any:
        return x * x

    def backward(x: Any, ct: Any) -> Any:
        seen.append(ct.dtype)
        return (3 * x * ct,)

    square.defvjp(lambda x: (square(x), x), backward)
    np.testing.assert_array_equal(transform(ft.grad(lambda x: np.sum(square(x))))(x), 3 * x, strict=True)
    kinked = ft.elementwise(lambda x: x * 2 if x > 0 else -x)
    np.testing.assert_array_equal(transform(kinked)(x), np.array([3, 2], BF16), strict=True)
    np.testing.assert_array_equal(transform(ft.grad(lambda x: np.sum(kinked(x))))(x), np.array([2, -1], BF16), strict=True)
    assert set(seen) == {BF16}


def test_donated_arguments_are_handed_out():
    step = ft.jit(lambda x: np.tanh(x) * 2, donate_argnums=0)
    x = np.linspace(-1, 1, 8).astype(BF16)
    wanted = np.tanh(x) * 2
    for _ in range(4):
        given = x.copy()
        found = step(given)
        np.testing.assert_array_equal(found, wanted, strict=True)
        assert found is given
