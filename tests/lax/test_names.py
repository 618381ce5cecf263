"""JAX's names for what NumPy has under others, against NumPy; windows against loops over their places."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special

import functrans as ft
from functrans import lax
from functrans.errors import CarryMismatchError, ShapeMismatchError, UnsupportedDtypeError
from functrans.primitives.foundation import Elementwise
from functrans.testing import check_grads

_random = np.random.default_rng(5)
X = _random.normal(size=(5, 6))
Y = _random.normal(size=(5, 6))
K = _random.integers(-9, 9, (5, 6))
POSITIVE = np.abs(X) + 0.1

#: What is written with `lax`, and what NumPy makes of it.
SAME: dict[str, tuple[Callable[..., Any], Callable[..., Any], tuple[Any, ...]]] = {
    "div": (lax.div, np.divide, (X, Y)),
    "div of integers": (lax.div, lambda x, y: np.trunc(x / y).astype(int), (K, np.where(K == 0, 3, K[::-1] | 1))),
    "rem": (lax.rem, np.fmod, (K, np.full_like(K, 4))),
    "rsqrt": (lax.rsqrt, lambda x: 1 / np.sqrt(x), (POSITIVE,)),
    "integer_pow": (lambda x: lax.integer_pow(x, -2), lambda x: 1 / (x * x), (POSITIVE,)),
    "clamp": (lambda x: lax.clamp(-0.5, x, 0.5), lambda x: np.clip(x, -0.5, 0.5), (X,)),
    "select": (lambda x, y: lax.select(lax.gt(x, y), x, y), np.maximum, (X, Y)),
    "complex": (lambda x, y: lax.real(lax.complex(x, y)) + lax.imag(lax.complex(x, y)), np.add, (X, Y)),
    "complex of infinite parts": (
        lax.complex, lambda x, y: np.array([1 + 0j, complex(2, np.inf), complex(-np.inf, 3)]),
        (np.array([1.0, 2.0, -np.inf]), np.array([0.0, np.inf, 3.0])),
    ),
    "logistic": (lax.logistic, lambda x: 1 / (1 + np.exp(-x)), (X,)),
    "convert_element_type": (lambda x: lax.convert_element_type(x, "float32"), lambda x: x.astype(np.float32), (X,)),
    "population_count": (lax.population_count, lambda x: np.vectorize(lambda i: (int(i) % 2**64).bit_count())(x), (K,)),
    "clz": (lax.clz, lambda x: np.vectorize(lambda i: 64 - (int(i) % 2**64).bit_length())(x), (K,)),
    "shift_right_logical": (
        lambda x: lax.shift_right_logical(x, 60), lambda x: (x.astype(np.uint64) >> np.uint64(60)).astype(int), (K,)
    ),
    "round": (lambda x: lax.round(2 * x), lambda x: np.copysign(np.floor(np.abs(2 * x) + 0.5), x), (X,)),
    "round to even": (lambda x: lax.round(x, lax.RoundingMethod.TO_NEAREST_EVEN), np.rint, (K + 0.5,)),
    "select_n": (lambda x, y: lax.select_n(x > y, x, y), np.minimum, (X, Y)),
    "select_n of three": (
        lambda x, y: lax.select_n(K % 3, x, y, x * y), lambda x, y: np.choose(K % 3, [x, y, x * y]), (X, Y)
    ),
    "igamma": (lambda x: lax.igamma(x, 1.0) + lax.igammac(x, 1.0), np.ones_like, (POSITIVE,)),
    "polygamma": (lambda x: lax.polygamma(1.0, x), lambda x: special.polygamma(1, x), (POSITIVE,)),
    "zeta": (lambda x: lax.zeta(2.0, x), lambda x: special.zeta(2.0, x), (POSITIVE,)),
    "bessel": (lambda x: lax.bessel_i0e(x) * lax.bessel_i1e(x), lambda x: special.i0e(x) * special.i1e(x), (X,)),
    "betainc": (lambda x: lax.betainc(x, 2.0, 0.3), lambda x: special.betainc(x, 2.0, 0.3), (POSITIVE,)),
    "broadcast_to_rank": (lambda x: lax.broadcast_to_rank(x, 4), lambda x: x[None, None], (X,)),
    "broadcasted_iota": (
        lambda x: lax.broadcasted_iota(int, (5, 6), 0) * x, lambda x: np.arange(5)[:, None] * x, (X,)
    ),
    "tile": (lambda x: lax.tile(x, (2, 1)), lambda x: np.tile(x, (2, 1)), (X,)),
    "split": (lambda x: lax.split(x, (1, 2, 3), 1)[1], lambda x: x[:, 1:3], (X,)),
    "reduce_xor": (lambda x: lax.reduce_xor(x, (0,)), lambda x: np.bitwise_xor.reduce(x, axis=0), (K,)),
    "sort_key_val": (
        lambda x, y: lax.sort_key_val(x, y, 0)[1], lambda x, y: np.take_along_axis(y, np.argsort(x, 0), 0), (X, Y)
    ),
    "sort by two": (
        lambda x, y: lax.sort((x, y, x * y), num_keys=2)[2],
        lambda x, y: np.take_along_axis(x * y, np.lexsort((y, x)), -1),
        (K.astype(float), Y),
    ),
    "approx_max_k": (lambda x: lax.approx_max_k(x, 2, 0)[0], lambda x: -np.sort(-x, 0)[:2], (X,)),
    "approx_min_k": (lambda x: lax.approx_min_k(x, 2)[0], lambda x: np.sort(x)[:, :2], (X,)),
    "fft": (lambda x: lax.fft(x + 0j, "fft", (6,)), lambda x: np.fft.fft(x), (X,)),
    "irfft": (
        lambda x: lax.fft(lax.fft(x, lax.FftType.RFFT, (5, 6)), lax.FftType.IRFFT, (5, 6)), lambda x: x, (X,)
    ),
    "optimization_barrier": (lax.optimization_barrier, lambda x: x, (X,)),
    "empty": (lambda x: lax.empty((5, 6)) + x, lambda x: x, (X,)),
    "dot in double": (
        lambda x: lax.dot(x, x.T, lax.Precision.HIGHEST, np.float64),
        lambda x: x.astype(float) @ x.T.astype(float),
        (X.astype(np.float32),),
    ),
    "full": (lambda x: lax.full((2, 2), 3.0) + x[0, 0], lambda x: np.full((2, 2), 3.0) + x[0, 0], (X,)),
    "full_like": (lambda x: lax.full_like(x, 3), lambda x: np.full_like(x, 3), (X,)),
    "iota": (lambda x: lax.iota("int32", 6) * x, lambda x: np.arange(6, dtype=np.int32) * x, (X,)),
    "broadcast": (lambda x: lax.broadcast(x, (2, 3)), lambda x: np.broadcast_to(x, (2, 3, 5, 6)), (X,)),
    "broadcast_in_dim": (
        lambda x: lax.broadcast_in_dim(x, (5, 2, 6), (0, 2)), lambda x: np.repeat(x[:, None], 2, axis=1), (X,)
    ),
    "reshape": (lambda x: lax.reshape(x, (6, 5)), lambda x: x.reshape(6, 5), (X,)),
    "collapse": (lambda x: lax.collapse(x[None], 0, 2), lambda x: x, (X,)),
    "collapse to the end": (lambda x: lax.collapse(x, 0), np.ravel, (X,)),
    "expand_dims": (lambda x: lax.expand_dims(x, (0, 3)), lambda x: x[None, :, :, None], (X,)),
    "squeeze": (lambda x: lax.squeeze(x[:1], (0,)), lambda x: x[0], (X,)),
    "transpose": (lambda x: lax.transpose(x, (1, 0)), np.transpose, (X,)),
    "rev": (lambda x: lax.rev(x, (1,)), lambda x: x[:, ::-1], (X,)),
    "concatenate": (lambda x, y: lax.concatenate([x, y], 1), lambda x, y: np.concatenate([x, y], 1), (X, Y)),
    "pad": (lambda x: lax.pad(x, 2, ((1, 0, 0), (0, 2, 0))), lambda x: np.pad(x, ((1, 0), (0, 2)), constant_values=2), (X,)),
    "sort": (lambda x: lax.sort(x, 0), lambda x: np.sort(x, 0), (X,)),
    "argmax": (lambda x: lax.argmax(x, 1, np.int32), lambda x: np.argmax(x, 1).astype(np.int32), (X,)),
    "argmin": (lambda x: lax.argmin(x, 0, np.int64), lambda x: np.argmin(x, 0), (X,)),
    "reduce_sum": (lambda x: lax.reduce_sum(x, (0,)), lambda x: np.sum(x, 0), (X,)),
    "reduce_sum of small integers": (
        lambda x: lax.reduce_sum(x, (0,)), lambda x: np.sum(x, 0, dtype=np.int8), (K.astype(np.int8),)
    ),
    "reduce_prod": (lambda x: lax.reduce_prod(x, (0, 1)), np.prod, (X,)),
    "reduce_max": (lambda x: lax.reduce_max(x, (1,)), lambda x: np.max(x, 1), (X,)),
    "reduce_min": (lambda x: lax.reduce_min(x, (0, 1)), np.min, (X,)),
    "reduce_and": (lambda x: lax.reduce_and(x > 0, (0,)), lambda x: np.all(x > 0, 0), (X,)),
    "reduce_and of integers": (lambda x: lax.reduce_and(x, (0,)), lambda x: np.bitwise_and.reduce(x, 0), (K,)),
    "reduce_or of integers": (lambda x: lax.reduce_or(x, (0, 1)), lambda x: np.bitwise_or.reduce(x, (0, 1)), (K,)),
    "reduce_or": (lambda x: lax.reduce_or(x > 0, (0,)), lambda x: np.any(x > 0, 0), (X,)),
    "dot": (lambda x, y: lax.dot(x, y.T), lambda x, y: x @ y.T, (X, Y)),
    "batch_matmul": (lambda x, y: lax.batch_matmul(x[None], y.T[None]), lambda x, y: (x @ y.T)[None], (X, Y)),
    "dot_general": (lambda x, y: lax.dot_general(x, y, (((1,), (1,)), ((), ()))), lambda x, y: x @ y.T, (X, Y)),
    "dot_general by lanes": (
        lambda x, y: lax.dot_general(x, y, (((1,), (1,)), ((0,), (0,)))), lambda x, y: np.sum(x * y, 1), (X, Y)
    ),
    "slice": (lambda x: lax.slice(x, (1, 0), (4, 6), (1, 2)), lambda x: x[1:4, ::2], (X,)),
    "slice_in_dim": (lambda x: lax.slice_in_dim(x, 1, -1, 2, axis=-1), lambda x: x[:, 1:-1:2], (X,)),
    "index_in_dim": (lambda x: lax.index_in_dim(x, -2, axis=1, keepdims=False), lambda x: x[:, -2], (X,)),
    "dynamic_slice_in_dim": (lambda x, i: lax.dynamic_slice_in_dim(x, i, 2, 1), lambda x, i: x[:, 3:5], (X, 3)),
    "dynamic_index_in_dim": (lambda x, i: lax.dynamic_index_in_dim(x, i), lambda x, i: x[3:4], (X, 3)),
    "dynamic_index_in_dim, clamped": (
        lambda x, i: lax.dynamic_index_in_dim(x, i, 0, keepdims=False), lambda x, i: x[-1], (X, 30)
    ),
    "dynamic_update_index_in_dim": (
        lambda x, i: lax.dynamic_update_index_in_dim(x, x[:, 0], i, 1),
        lambda x, i: np.where(np.arange(6) == i, x[:, :1], x), (X, 3),
    ),
    "dynamic_update_slice_in_dim": (
        lambda x, i: lax.dynamic_update_slice_in_dim(x, x[:2], i, 0), lambda x, i: np.concatenate([x[:3], x[:2]]), (X, 3)
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", SAME)
def test_names_mean_what_numpy_computes(name: str) -> None:
    function, wanted, args = SAME[name]
    want = wanted(*args)
    for found in (function(*args), ft.jit(function)(*args)):
        np.testing.assert_allclose(found, want, rtol=1e-12)
        assert found.dtype == want.dtype


@pytest.mark.parametrize("name", [n for n, (_, _, args) in SAME.items() if args[0].dtype.kind == "f"])
def test_names_are_batched(name: str) -> None:
    function, wanted, args = SAME[name]
    lanes = [np.stack([a, a]) for a in args]
    np.testing.assert_allclose(ft.vmap(function)(*lanes), np.stack([wanted(*args)] * 2), rtol=1e-12)


def windowed(x: Any, initial: float, combine: Any, window: Any, strides: Any, pads: Any, base: Any, apart: Any) -> Any:
    """The elements of each window, one by one."""
    spread = np.full([n + (n - 1) * (b - 1) for n, b in zip(x.shape, base)], initial)
    spread[tuple(slice(None, None, b) for b in base)] = x
    spread = np.pad(spread, pads, constant_values=initial)
    counts = [(n - (k - 1) * a - 1) // s + 1 for n, k, s, a in zip(spread.shape, window, strides, apart)]
    out = np.full([max(n, 0) for n in counts], initial)
    for place in np.ndindex(*out.shape):
        for i in product(*map(range, window)):
            at = tuple(p * s + j * a for p, s, j, a in zip(place, strides, i, apart))
            out[place] = combine(out[place], spread[at])
    return out


@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_windows_are_reduced(data: Any) -> None:
    pairs = st.tuples(st.integers(1, 3), st.integers(1, 3))
    window, strides, base, apart = (data.draw(pairs) for _ in range(4))
    shape = data.draw(st.tuples(st.integers(1, 6), st.integers(1, 6)))
    pads = data.draw(st.tuples(*[st.tuples(st.integers(0, 2), st.integers(0, 2))] * 2))
    initial, combine = data.draw(st.sampled_from([(-np.inf, np.maximum), (0.0, np.add), (1.0, np.multiply)]))
    x = _random.normal(size=shape)

    def pooled(x: Any) -> Any:
        return lax.reduce_window(x, initial, combine, window, strides, pads, base, apart)

    want = windowed(x, initial, combine, window, strides, pads, base, apart)
    np.testing.assert_allclose(pooled(x), want, rtol=1e-12)
    np.testing.assert_allclose(ft.jit(pooled)(x), want, rtol=1e-12)


def complex_product(x: Any, y: Any) -> Any:
    """Of numbers given by their parts."""
    return x[0] * y[0] - x[1] * y[1], x[0] * y[1] + x[1] * y[0]


@settings(deadline=None, max_examples=12)
@given(st.data())
def test_reductions_by_any_function(data: Any) -> None:
    """Of a structure of several arrays."""
    shape = data.draw(st.lists(st.integers(0, 5), min_size=1, max_size=3).map(tuple), "shape")
    axis = data.draw(st.integers(-len(shape), len(shape) - 1), "axis")
    x, y = (np.random.default_rng(k).uniform(-1, 1, shape) for k in range(2))
    wanted = np.prod(x + 1j * y, axis)
    reduced = lambda x, y: lax.reduce((x, y), (1.0, 0.0), complex_product, (axis,))  # noqa: E731
    for real, imag in (reduced(x, y), ft.jit(reduced)(x, y)):
        np.testing.assert_allclose(real + 1j * imag, wanted, rtol=1e-13, atol=1e-15)


def test_reductions_over_several_axes_and_what_they_refuse() -> None:
    check_grads(lambda x: lax.reduce(x, 1.0, np.multiply, (0,)), (X,), order=2)
    np.testing.assert_allclose(lax.reduce(X, -np.inf, np.maximum, (0, 1)), X.max())
    np.testing.assert_allclose(lax.reduce(X, 1.0, np.multiply, (-1,)), X.prod(axis=1))
    with pytest.raises(ShapeMismatchError, match="one initial value for each"):
        lax.reduce((X, Y), 0.0, np.add, (0,))
    with pytest.raises(CarryMismatchError, match="combines values"):
        lax.reduce(X, 0.0, lambda x, y: (x, y), (0,))


def test_pooling_has_derivatives_and_the_paddings_with_names() -> None:
    def pooled(x: Any) -> Any:
        return lax.reduce_window(x, -np.inf, lax.max, (2, 2), (2, 2), "SAME")

    assert pooled(X).shape == (3, 3)
    np.testing.assert_array_equal(pooled(X)[:2], X[:4].reshape(2, 2, 3, 2).max((1, 3)))
    check_grads(ft.jit(pooled), (X,), order=2)
    with pytest.raises(ShapeMismatchError):
        lax.reduce_window(X, 0.0, lax.add, (2,), (1,), "VALID")


@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=5), st.sampled_from(["f8", "f4", "f2", "i4", "u1"]))
def test_bits_go_there_and_back(numbers: list[int], dtype: str) -> None:
    x = np.array(numbers, np.uint64)
    for run in (lambda f: f, ft.jit):
        there = run(lambda x: lax.bitcast_convert_type(x, dtype))(x)
        assert there.tobytes() == x.tobytes()
        np.testing.assert_array_equal(run(lambda y: lax.bitcast_convert_type(y, "u8"))(there), x)


@given(
    st.lists(st.floats(width=32), min_size=1, max_size=20),
    st.sampled_from([("f4", "f2"), ("f8", "f2"), ("f8", "f4")]),
    st.sampled_from([lambda f: f, ft.jit, ft.vmap]),
)
def test_reduced_precision_is_that_of_the_smaller_format(numbers: list[float], dtypes: Any, transform: Any) -> None:
    """But for subnormal numbers, which it has not."""
    wide, narrow = map(np.dtype, dtypes)
    x, info = np.array(numbers, wide), np.finfo(narrow)
    with np.errstate(all="ignore"):
        want = x.astype(narrow).astype(wide)
    want = np.where(np.abs(want) < info.tiny, np.copysign(wide.type(0), want), want)
    got = transform(lambda x: lax.reduce_precision(x, info.nexp, info.nmant))(x)
    assert got.dtype == wide
    np.testing.assert_array_equal(got, want)
    np.testing.assert_array_equal(np.signbit(got)[want == 0], np.signbit(want)[want == 0])


def test_reduced_precision_rounds_tangents_and_cotangents() -> None:
    f = lambda x: lax.reduce_precision(x, 5, 2)  # noqa: E731
    assert ft.jvp(f, (1.1,), (0.3,)) == (1.0, 0.3125)
    assert ft.grad(lambda x: 0.3 * f(x))(1.1) == 0.3125
    assert ft.jit(ft.grad(ft.grad(lambda x: f(x) ** 2)))(1.1) == 2.0
    np.testing.assert_array_equal(f(np.array([1.125, 1.375, -np.inf, np.nan])), [1.0, 1.5, -np.inf, np.nan])  # to even
    with pytest.raises(UnsupportedDtypeError, match="real floats"):
        f(1)
    with pytest.raises(ValueError, match="0 bits of exponent"):
        lax.reduce_precision(1.0, 0, 2)


def test_bits_of_what_has_none_to_give() -> None:
    for x, dtype in ((1j, "i8"), (np.ones(4, "f4"), complex), (np.array(True), "u1")):
        with pytest.raises(UnsupportedDtypeError, match="integers and floats"):
            lax.bitcast_convert_type(x, dtype)
    with pytest.raises(ShapeMismatchError, match="2 numbers of float32"):
        lax.bitcast_convert_type(np.zeros(4, "f4"), "f8")


#: Functions that do nothing but move elements; some would be views in NumPy.
MOVES: dict[str, Callable[[Any], Any]] = {
    "slice": lambda x: lax.slice(x, (0, 1), (4, 5), (1, 2)),
    "slice_in_dim": lambda x: lax.slice_in_dim(x, 1, None),
    "index_in_dim": lambda x: lax.index_in_dim(x, 1, keepdims=False),
    "dynamic_slice": lambda x: lax.dynamic_slice(x, (1, 1), (2, 2)),
    "dynamic_slice_in_dim": lambda x: lax.dynamic_slice_in_dim(x, 1, 2),
    "dynamic_index_in_dim": lambda x: lax.dynamic_index_in_dim(x, 1, axis=1),
    "broadcast": lambda x: lax.broadcast(x, (2,)),
    "broadcast_to_rank": lambda x: lax.broadcast_to_rank(x, 3),
    "broadcast_in_dim": lambda x: lax.broadcast_in_dim(x, (5, 6, 2), (0, 1)),
    "reshape": lambda x: lax.reshape(x, (6, 5)),
    "collapse": lambda x: lax.collapse(x, 0),
    "expand_dims": lambda x: lax.expand_dims(x, (0,)),
    "squeeze": lambda x: lax.squeeze(x, ()),
    "transpose": lambda x: lax.transpose(x, (1, 0)),
    "rev": lambda x: lax.rev(x, (0,)),
    "split": lambda x: lax.split(x, [2, 3])[0],
    "unstack": lambda x: lax.unstack(x)[0],
    "pad": lambda x: lax.pad(x, 0.0, [(0, 0, 0), (0, -1, 0)]),
    "convert_element_type": lambda x: lax.convert_element_type(operand=x, new_dtype=x.dtype),
    "gather": lambda x: lax.gather(x, np.zeros(0, int), lax.GatherDimensionNumbers((0, 1), (), ()), x.shape, mode="clip"),
    "associative_scan": lambda x: lax.associative_scan(np.add, x[:1]),
}


@pytest.mark.parametrize("transform", [lambda f: f, ft.jit], ids=["plain", "jit"])
@pytest.mark.parametrize("name", MOVES)
def test_results_share_no_memory_with_operands(name: str, transform: Any):
    """Whoever writes into a result changes nothing else."""

    def overwritten(x: Any) -> Any:
        x = x.copy()
        y = MOVES[name](x)
        y[...] = 99.0
        return x, y

    x, y = transform(overwritten)(X)
    np.testing.assert_array_equal(x, X)
    assert np.all(y == 99.0)


@pytest.mark.parametrize("name", [name for name in lax.__all__ if isinstance(getattr(lax, name), Elementwise)])
def test_what_is_said_of_a_function_is_not_how_it_was_made(name: str):
    function = getattr(lax, name)
    assert function.__doc__.startswith(f"`{function.name}` of each element")
