"""dtypes: what NumPy says, under every transformation; Python scalars stay weak on the way in and through."""

from __future__ import annotations

import array
import itertools
from collections.abc import Callable
from typing import Any

import ml_dtypes  # noqa: F401  (NumPy knows bfloat16 by name then)
import numpy as np
import pytest
import scipy.sparse

import functrans as ft
from functrans import errors, lax
from tests.helpers.bits import special_values

FLOATS = ("f2", "f4", "f8")
INEXACT = (*FLOATS, "c8", "c16")
ALL = ("?", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", *INEXACT)
SCALARS = (True, 2, 2.0, 2.0 + 1j)
BINARY = [np.add, np.multiply, np.divide, np.maximum, np.power, np.arctan2, np.equal, np.floor_divide]


@pytest.fixture(autouse=True)
def quiet():
    with np.errstate(all="ignore"):
        yield


def outcome(f: Callable[..., Any], *args: Any) -> Any:
    """The dtype of a result, or that it is a TypeError or OverflowError."""
    try:
        return np.asarray(f(*args)).dtype
    except (TypeError, OverflowError) as error:
        return OverflowError if isinstance(error, OverflowError) else TypeError


@pytest.mark.parametrize("dtype", ALL)
@pytest.mark.parametrize("function", BINARY, ids=lambda f: f.__name__)
def test_jit_promotes_as_numpy(function: Any, dtype: str):
    """Of arrays and NumPy scalars, as arguments and as constants; what NumPy refuses is refused."""
    x = np.ones(2, dtype)
    others = [np.ones(2, d) for d in ALL] + [np.dtype(d).type(1) for d in ALL]
    pairs = [pair for other in others for pair in ((x, other), (other, x))]
    wanted = [outcome(function, *pair) for pair in pairs]
    for pair, kind in zip(pairs, wanted):
        if not isinstance(kind, np.dtype):
            of_constant = ft.jit(lambda y: function(pair[0], y))
            assert outcome(ft.jit(function), *pair) == outcome(of_constant, pair[1]) == kind
    allowed = [(pair, kind) for pair, kind in zip(pairs, wanted) if isinstance(kind, np.dtype)]
    dtypes = [kind for _, kind in allowed]
    as_arguments = ft.jit(lambda pairs: [function(*pair) for pair in pairs])([pair for pair, _ in allowed])
    assert [y.dtype for y in as_arguments] == dtypes
    as_constants = ft.jit(lambda y: [function(*(y if z is x else z for z in pair)) for pair, _ in allowed])(x)
    assert [y.dtype for y in as_constants] == dtypes
    for y, (pair, _) in zip(as_arguments, allowed):
        np.testing.assert_allclose(y, function(*pair), rtol=1e-3)


@pytest.mark.parametrize("dtype", ALL)
@pytest.mark.parametrize("function", BINARY, ids=lambda f: f.__name__)
def test_python_scalars_are_weak(function: Any, dtype: str):
    """As arguments of a jitted function, as constants in it, and as operands of operators."""
    x = np.ones(2, dtype)
    for scalar in SCALARS:
        wanted = outcome(function, x, scalar)
        assert outcome(ft.jit(function), x, scalar) == wanted
        assert outcome(ft.jit(lambda y, s=scalar: function(y, s)), x) == wanted
        assert outcome(ft.vmap(function, in_axes=(0, None)), x, scalar) == wanted
        assert outcome(ft.jit(ft.jit(function)), x, scalar) == wanted


COMPARISONS = [np.less, np.less_equal, np.greater, np.greater_equal, np.equal, np.not_equal]
INTEGERS = (-(2**70), -(2**63), -129, -1, 0, 5, 128, 255, 256, 2**31, 2**62, 2**63, 2**64 - 1, 2**70)


def compared(x: Any, y: Any) -> list[Any]:
    return [function(x, y) for function in COMPARISONS]


@pytest.mark.parametrize("dtype", [d for d in ALL if d[0] in "iu"])
def test_integers_are_compared_as_numbers(dtype: str):
    """Python's with those of any dtype, which need not have them; signed ones with unsigned ones."""
    x = special_values(dtype)
    both = lambda x, y: compared(x, y) + compared(y, x)  # noqa: E731
    for number in INTEGERS:
        wanted = both(x, number)
        for of_constant in (ft.jit(lambda x, y=number: both(x, y)), ft.vmap(lambda x, y=number: both(x, y))):
            np.testing.assert_array_equal(of_constant(x), wanted)
        if -(2**63) <= number < 2**63:
            for of_argument in (ft.jit(both), ft.vmap(both, (0, None)), ft.jit(ft.vmap(both, (0, None)))):
                np.testing.assert_array_equal(of_argument(x, number), wanted)
    others = [special_values(other) for other in ("i1", "u4", "i8", "u8")]
    program = ft.jit(lambda x, others: [compared(x[:, None], y) for y in others])
    for found, y in zip(program(x, others), others):
        np.testing.assert_array_equal(found, compared(x[:, None], y))
    assert "calls of Python" not in str(program.lower(x, others).explain())


@pytest.mark.parametrize("dtype", ALL)
@pytest.mark.parametrize("function", [np.add, np.multiply, np.divide, np.floor_divide, np.bitwise_and, np.full_like])
def test_python_integers_out_of_range(function: Any, dtype: str):
    """What NumPy refuses is refused while tracing; floating numbers take integers of any size."""
    x = np.ones(2, dtype)
    for number in INTEGERS:
        wanted, traced = outcome(function, x, number), ft.jit(lambda x, n=number: function(x, n))
        if dtype == "?" and number.bit_length() > 63 and not isinstance(wanted, np.dtype):
            continue  # full_like
        assert outcome(traced, x) == wanted
        if isinstance(wanted, np.dtype):
            np.testing.assert_array_equal(traced(x), function(x, number))


@pytest.mark.parametrize("scalar", SCALARS)
@pytest.mark.parametrize("dtype", ALL)
def test_operators_with_python_scalars(dtype: str, scalar: Any):
    x = np.ones(2, dtype)
    if dtype == "?" and type(scalar) is int:
        scalar = 3  # a square by an exponent that is not known while tracing: below
    for operate in (
        lambda a, b: a + b, lambda a, b: b - a, lambda a, b: a * b, lambda a, b: b / a, lambda a, b: a**b,
        lambda a, b: a < b, lambda a, b: -(a * b), lambda a, b: (b + b) * a, lambda a, b: abs(b) * a,
    ):  # fmt: skip
        assert outcome(ft.jit(operate), x, scalar) == outcome(operate, x, scalar)


def test_squares_of_booleans():
    """NumPy computes `booleans**2` by squaring, which gives int8 where np.power gives int64."""
    x = np.array([True, False])
    for f in (
        lambda x: x**2, lambda x: np.power(x, 2), lambda x: x**0, lambda x: x**1, lambda x: x**3, lambda x: x[0] ** 2,
        lambda x: x**x, lambda x: x**2.0, lambda x: x ** np.int8(2), lambda x: x ** np.array([2, 2]), lambda x: x ** True,
    ):  # fmt: skip
        assert outcome(ft.jit(f), x) == outcome(f, x)
        np.testing.assert_array_equal(ft.jit(f)(x), f(x))


@pytest.mark.parametrize(("a", "b"), list(itertools.product(SCALARS, repeat=2)))
def test_operators_on_python_scalars_alone(a: Any, b: Any):
    """The result is weak again, so that what follows has the dtype it has outside of jit."""
    for operate in (lambda a, b: a + b, lambda a, b: a * b, lambda a, b: a / b, lambda a, b: a**2 - b):
        for dtype in ("f4", "f8", "c8"):
            x = np.ones(2, dtype)
            f = lambda x, a, b, operate=operate: x * operate(a, b)  # noqa: E731
            assert ft.jit(f)(x, a, b).dtype == f(x, a, b).dtype
            np.testing.assert_allclose(ft.jit(f)(x, a, b), f(x, a, b), rtol=1e-6)


def test_numpy_functions_of_python_scalars_are_strong():
    f = lambda x, s: x * np.sin(s)  # noqa: E731
    x = np.ones(2, "f4")
    assert f(x, 2.0).dtype == ft.jit(f)(x, 2.0).dtype == np.float64


@pytest.mark.parametrize("dtype", INEXACT)
def test_derivatives_have_the_dtype_of_the_primal(dtype: str):
    x = np.array([0.5, 0.25, 1.0]).astype(dtype)
    f = lambda x: np.sum(np.sin(x) * 2.0 * x**2 / 3)  # noqa: E731
    loss = lambda x: np.sum(np.abs(f(x)))  # noqa: E731
    assert ft.grad(loss)(x).dtype == x.dtype
    assert ft.jit(ft.grad(loss))(x).dtype == x.dtype
    value, tangent = ft.jvp(f, (x,), (x,))
    assert value.dtype == tangent.dtype == f(x).dtype
    _, pull_back = ft.vjp(f, x)
    assert pull_back(np.ones((), dtype)[()])[0].dtype == x.dtype
    assert ft.vmap(ft.grad(loss))(x).dtype == x.dtype
    if dtype in FLOATS:
        assert ft.hessian(loss)(x).dtype == x.dtype
        assert ft.hvp(loss, x, x).dtype == x.dtype
        assert ft.jet(f, (x,), ([x, x],))[1][1].dtype == x.dtype


@pytest.mark.parametrize("transform", [lambda f: f, ft.jit, ft.checkpoint], ids=["plain", "jit", "checkpoint"])
def test_gradients_of_mixed_precision(transform: Any):
    """Each gradient has the dtype of its argument, whatever the others are."""
    f = transform(lambda a, b, c: np.sum(a * b * c))
    a, b, c = np.ones(2, "f2"), np.ones(2, "f4"), np.ones(2, "f8")
    assert [g.dtype for g in ft.grad(f, (0, 1, 2))(a, b, c)] == [np.float16, np.float32, np.float64]
    assert ft.grad(f)(a, b, 2.0).dtype == np.float16
    assert ft.grad(f, 1)(a, b, 2).dtype == np.float32


@pytest.mark.parametrize("transform", [lambda f: f, ft.jit, ft.checkpoint], ids=["plain", "jit", "checkpoint"])
def test_gradient_by_a_python_scalar(transform: Any):
    x = np.array([1.0, 2.0], "f4")
    f = transform(lambda s, x: np.sum(s * x))
    assert f(2.0, x).dtype == np.float32
    gradient = ft.grad(f)(2.0, x)
    assert np.asarray(gradient).dtype in (np.float32, np.float64)
    assert gradient == 3.0
    assert ft.grad(f, 1)(2.0, x).dtype == np.float32
    value, tangent = ft.jvp(f, (2.0, x), (1.0, np.zeros(2, "f4")))
    assert np.asarray(value).dtype == np.asarray(tangent).dtype == np.float32


@pytest.mark.parametrize("dtype", ALL)
def test_eval_shape_knows_the_dtype(dtype: str):
    x = np.ones((2, 3), dtype)
    for f in (np.sum, np.cumsum, lambda x: x / 2, lambda x: x + 1, np.sqrt, lambda x: x @ x.T, np.abs, lambda x: x > 0):
        assert outcome(lambda x, f=f: np.zeros(0, ft.eval_shape(f, x).dtype), x) == outcome(f, x)


@pytest.mark.parametrize("dtype", [*INEXACT, "bfloat16"])
def test_loops_of_updates_keep_their_dtype(dtype: str):
    """A training step in low precision stays in it: no float64 sneaks in by a constant."""
    step = ft.jit(lambda w, x: w - 0.1 * ft.grad(lambda w: np.sum(np.abs(np.tanh(w * x)) ** 2))(w))
    w = x = np.linspace(0.1, 1, 4).astype(dtype)
    for _ in range(3):
        w = step(w, x)
    assert w.dtype == x.dtype


def test_integers_and_booleans_have_float0_tangents():
    f = lambda n, b, x: (n * 2, b, x * n)  # noqa: E731
    n, b, x = np.arange(3), np.array([True, False, True]), np.ones(3)
    none = np.zeros(3, ft.float0)
    _, tangents = ft.jvp(f, (n, b, x), (none, none, x))
    assert [t.dtype for t in tangents] == [ft.float0, ft.float0, np.float64]
    _, pull_back = ft.vjp(f, n, b, x)
    assert [c.dtype for c in pull_back((none, none, x))] == [ft.float0, ft.float0, np.float64]
    assert [c.shape for c in pull_back((none, none, x))] == [(3,)] * 3


@pytest.mark.parametrize("dtype", [">f8", ">i4", ">c8"])
def test_foreign_byte_order(dtype: str):
    x = np.arange(3).astype(dtype)
    result = ft.jit(lambda x: x + x)(x)
    np.testing.assert_array_equal(result, x + x)
    assert result.dtype.isnative
    if x.dtype.kind == "f":
        np.testing.assert_array_equal(ft.grad(lambda x: np.sum(x * x))(x), 2 * x)


def test_subclasses_are_taken_for_arrays():

    class Subclass(np.ndarray):
        pass

    x = np.array([[1.0, 2.0]]).view(Subclass)
    assert type(ft.jit(lambda x: x * x)(x)) is np.ndarray
    np.testing.assert_array_equal(ft.grad(lambda x: np.sum(x * x))(x), [[2.0, 4.0]])


def written(write: Callable[[Any, int], None]) -> Callable[[Any, int], Any]:
    """A copy of an array after something was written into it."""

    def function(x: Any, value: int) -> Any:
        y = x.copy()
        write(y, value)
        return y

    return function


#: What casts a number to the dtype of an array.
CASTS: dict[str, Callable[[Any, int], Any]] = {
    "max": lambda x, v: np.max(x, initial=v),
    "sum": lambda x, v: np.sum(x, dtype=x.dtype, initial=v),
    "reduce": lambda x, v: np.bitwise_or.reduce(x, initial=v),
    "full_like": np.full_like,
    "pad": lambda x, v: np.pad(x, 1, constant_values=v),
    "insert": lambda x, v: np.insert(x, 0, v),
    "piecewise": lambda x, v: np.piecewise(x, [x > 1], [v]),
    "put": written(lambda y, v: np.put(y, [0], v)),
    "putmask": written(lambda y, v: np.putmask(y, y > 1, v)),
    "place": written(lambda y, v: np.place(y, y > 1, [v])),
    "fill_diagonal": lambda x, v: written(np.fill_diagonal)(np.stack([x, x, x]), v),
    "fill": written(lambda y, v: y.fill(v)),
    "element": written(lambda y, v: y.__setitem__(0, v)),
    "list": written(lambda y, v: y.__setitem__(slice(2), [v, 1])),
}


@pytest.mark.parametrize("dtype", ["u1", "i2"])
@pytest.mark.parametrize("name", CASTS)
def test_integers_that_a_dtype_has_not_are_refused_as_in_numpy(name: str, dtype: str):
    x = np.array([1, 2, 3], dtype)
    for value in (7, -1, 300, 70_000):
        wanted = outcome(CASTS[name], x, value)
        assert outcome(ft.jit(lambda x, v=value: CASTS[name](x, v)), x) is wanted
        assert outcome(ft.jit(CASTS[name]), x, value) is wanted
        if wanted is not OverflowError:
            np.testing.assert_array_equal(ft.jit(lambda x, v=value: CASTS[name](x, v))(x), CASTS[name](x, value))


@pytest.mark.parametrize("dtype", ["i1", "u1", "i4", "u4", "u8"])
def test_integers_as_arguments_are_as_in_numpy(dtype: str):
    """At both ends of what the dtype has, and outside: computed with, or refused; comparisons and bounds take all."""
    info = np.iinfo(dtype)
    x = np.array([info.min, 1, min(info.max, 2**63 - 1)], dtype)
    functions = (np.add, np.subtract, np.minimum, np.bitwise_xor, np.floor_divide, np.less, np.equal)
    for function in (*functions, lambda x, n: n * x, lambda x, n: np.clip(x, n, None), lambda x, n: x.clip(max=n)):
        jitted = ft.jit(function)
        for n in (info.min, info.min - 1, 3, info.max, info.max + 1):
            if not -(2**63) <= n < 2**63:
                continue
            wanted = outcome(function, x, n)
            assert outcome(jitted, x, n) == wanted
            if wanted is not OverflowError:
                np.testing.assert_array_equal(jitted(x, n), function(x, n))


@pytest.mark.parametrize("size", [(), (3,), (300,)])
@pytest.mark.parametrize("backend", ["cpu", "interpreter"])
def test_integers_in_loops_are_looked_at(size: tuple[int, ...], backend: str):
    x = np.zeros(size, np.uint8)
    counted = ft.jit(lambda x, n: lax.fori_loop(0, n, lambda i, y: y ^ i, x))
    carried = ft.jit(lambda x, n: lax.fori_loop(0, 3, lambda i, c: (c[0] | c[1], 2 * c[1]), (x, n)))
    lanes = ft.jit(lambda x, n: ft.vmap(lambda y: lax.fori_loop(0, n, lambda i, z: z + i, y))(np.stack([x, x])))
    with ft.config.using(backend=backend):
        assert np.all(counted(x, 256) == 0)
        assert np.all(carried(x, 63)[0] == 63 | 126 | 252)
        assert np.all(lanes(x, 20) == 190)
        for refused in (lambda: counted(x, 257), lambda: carried(x, 64), lambda: carried(x, -1), lambda: lanes(x, 257)):
            with pytest.raises(errors.IntegerRangeError, match="uint8"):
                refused()


@pytest.mark.parametrize("dtype", ["u1", "i2", "f4", "c8"])
def test_numbers_to_choose_among_take_the_dtype_of_arrays(dtype: str):
    x, places = np.array([1, 2, 3], dtype), np.array([0, 1, 2])
    for numbers in ((1, 2), (1, 2.5), (True, 2)):
        wanted = np.choose(places, [x, *numbers])
        found = ft.jit(lambda x, p, n=numbers: np.choose(p, [x, *n]))(x, places)
        assert found.dtype == wanted.dtype
        np.testing.assert_array_equal(found, wanted)


class Foreign:
    """An array of another library, which has an `aval` of its own."""

    aval = "f8[3]"
    shape = (3,)
    dtype = "float64 of that library"

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        return np.array([1.0, 2.0, 3.0])


@pytest.mark.parametrize("x", [Foreign(), array.array("d", [1, 2, 3]), memoryview(np.array([1.0, 2.0, 3.0]))])
def test_arrays_of_others_become_ours(x: Any):
    want = np.array([1.0, 4.0, 9.0])
    for transform in (ft.jit, ft.vmap):
        np.testing.assert_array_equal(transform(lambda x: x * x)(x), want)
    np.testing.assert_array_equal(ft.grad(lambda x: np.sum(x * x))(x), [2.0, 4.0, 6.0])


@pytest.mark.filterwarnings("ignore:the matrix subclass:PendingDeprecationWarning")
@pytest.mark.parametrize("kind", [np.matrix, np.ma.masked_array])
def test_arrays_with_other_operators_are_refused(kind: Any):
    """What their `*` and their sums mean would be lost without a word."""
    x = kind(np.array([[1.0, 2.0]]))
    f = lambda x: np.sum(x * x)  # noqa: E731
    plain = np.array([[1.0, 2.0]])
    compiled = ft.jit(f)
    compiled(plain)
    for call in (lambda: compiled(x), lambda: ft.grad(f)(x), lambda: ft.vmap(f)(x)):
        with pytest.raises(ft.errors.UnsupportedDtypeError, match="cannot be traced"):
            call()
    with pytest.raises(ft.errors.UnsupportedDtypeError, match="cannot be traced"):
        ft.jit(lambda y: y * x)(plain)


@pytest.mark.parametrize("x", [lambda: 1, scipy.sparse.csr_array(np.eye(2)), np.float64, {1, 2}], ids=type)
def test_what_is_no_array_is_said_to_be_none(x: Any):
    for transform in (ft.jit, ft.grad, ft.vmap):
        with pytest.raises(ft.errors.UnsupportedDtypeError, match="pytrees of them"):
            transform(lambda x: x)(x)


@pytest.mark.parametrize("transform", [lambda f: f, ft.jit], ids=["eager", "jit"])
def test_scalars_are_scalars(transform: Any):
    """Results without axes are NumPy scalars, as they are in NumPy."""
    x = np.array([1.0, 2.0])
    assert isinstance(transform(lambda x: np.sum(x))(x), np.float64)
    assert isinstance(transform(ft.grad(lambda x: x * x))(np.float32(2)), np.float32)
    assert isinstance(transform(ft.value_and_grad(lambda x: np.sum(x * x)))(x)[0], np.float64)
