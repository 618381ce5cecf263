"""Native convolutions against their definition and the interpreter: every way to do them, whole and by tiny blocks."""

from __future__ import annotations

from contextlib import contextmanager
from math import prod
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import functrans as ft
from functrans.compiler import convolution
from functrans.compiler.backends.cpu import links
from functrans.compiler.backends.cpu.engine import engine
from functrans.compiler.backends.cpu.held import Machine
from functrans.compiler.convolution import held, loops, products
from functrans.compiler.operations.reals import REALS
from functrans.compiler.places import Place
from functrans.primitives.convolution import conv_general
from tests.helpers.native import native
from tests.helpers.tiers import TIERS, interpreted, natively, staged

FLOATS = [np.float32, np.float64]
OTHERS = [np.bool_, np.int8, np.uint8, np.int64, np.float16, np.complex64, np.complex128]
WAYS = ["kernels", "tiles", "products"]
#: Processors by their vectors: those of AVX-512, AVX2 and Neon.
MACHINES = [Machine(True, 64, 32), Machine(True, 32, 16), Machine(True, 16, 32)]


@contextmanager
def way(name: str, tiny: bool = False):
    """Convolutions of floats are done so; with blocks of a few elements, if that is asked for."""
    sizes = {
        (loops, "BLOCK"): 32, (loops, "ROOM"): 64, (products, "ROOM"): 256, (products, "FEW_POSITIONS"): 4,
        (held, "ROOM"): 512, (held, "TERMS"): 6, (held, "NEIGHBOURS"): 8,
    }  # fmt: skip
    costs = {"loop_cost": "kernels", "held_cost": "tiles", "product_cost": "products"}
    wanted: dict[Any, Any] = dict(sizes) if tiny else {}
    for cost, own in costs.items():
        wanted[convolution, cost] = lambda parts, own=own: 1.0 if name == own else 1e15
    before = {key: getattr(*key) for key in wanted}
    try:
        for (module, attribute), value in wanted.items():
            setattr(module, attribute, value)
        yield
    finally:
        for (module, attribute), value in before.items():
            setattr(module, attribute, value)


@contextmanager
def processor(machine: Machine):
    """Kernels are arranged for another processor."""
    before, engine().processor = engine().processor, machine
    links._kept.clear()
    try:
        yield
    finally:
        engine().processor = before
        links._kept.clear()


@st.composite
def convolutions(draw: st.DrawFn, dtypes: list[Any], rank: int = 3):
    """Operands and parameters; any extent may be zero, but for that of the window."""
    rank, groups = draw(st.integers(0, rank)), draw(st.integers(1, 3))
    small = st.integers(0, 4)

    def extents(low: int, high: int) -> tuple[int, ...]:
        return tuple(draw(st.lists(st.integers(low, high), min_size=rank, max_size=rank)))

    most = {0: 1, 1: 30, 2: 9, 3: 5}[rank]
    channels, batch, features = draw(small), draw(small), draw(st.integers(0, 3))
    window = extents(1, {0: 1, 1: 24, 2: 5, 3: 3}[rank])
    random = np.random.default_rng(draw(st.integers(0, 99)))
    dtype = np.dtype(draw(st.sampled_from(dtypes)))
    x = numbers(random, (batch, groups * channels, *extents(0, most)), dtype)
    w = numbers(random, (groups * features, channels, *window), dtype)
    params = {
        "strides": extents(1, 3),
        "padding": tuple(zip(extents(-2, 4), extents(-2, 4))),
        "x_dilation": extents(1, 3) if draw(st.booleans()) else (1,) * rank,
        "w_dilation": extents(1, 3) if draw(st.booleans()) else (1,) * rank,
        "groups": groups,
    }
    return x, w, params


def numbers(random: Any, shape: tuple[int, ...], dtype: np.dtype[Any]) -> np.ndarray:
    """Small integers, so that sums are exact in every order; with an imaginary part, if there is one."""
    found = random.integers(-3 if dtype.kind in "ifc" else 0, 4, shape)
    return (found + 1j * random.integers(-3, 4, shape) if dtype.kind == "c" else found).astype(dtype)


def defined(x: Any, w: Any, strides: Any, padding: Any, x_dilation: Any, w_dilation: Any, groups: int) -> np.ndarray:
    """The definition: for each tap the elements that it meets, zero in gaps and beyond the ends."""
    extents = [
        max(0, ((n - 1) * gap + 1 if n else 0) + low + high - ((k - 1) * step + 1) + stride) // stride
        for n, k, stride, (low, high), gap, step in zip(
            x.shape[2:], w.shape[2:], strides, padding, x_dilation, w_dilation
        )
    ]
    z = np.zeros((x.shape[0], w.shape[0], *extents), np.result_type(x, w))
    if 0 in (*z.shape, *x.shape, w.shape[1]):
        return z
    by_group = w.reshape(groups, -1, *w.shape[1:])
    for tap in np.ndindex(*w.shape[2:]):
        met = np.ones(tuple(extents), bool)
        index = []
        for axis, k in enumerate(tap):
            place = strides[axis] * np.arange(extents[axis]) + w_dilation[axis] * k - padding[axis][0]
            element, rest = np.divmod(place, x_dilation[axis])
            is_met = (rest == 0) & (element >= 0) & (element < x.shape[2 + axis])
            met &= is_met.reshape(-1, *(1,) * (len(extents) - axis - 1))
            index.append(np.where(is_met, element, 0))
        elements = x[(slice(None), slice(None), *np.ix_(*index))] if index else x
        elements = np.where(met, elements, np.zeros((), x.dtype))
        elements = elements.reshape(x.shape[0], groups, -1, *extents)
        for group in range(groups):
            some = slice(group * by_group.shape[1], (group + 1) * by_group.shape[1])
            term = np.tensordot(by_group[(group, ..., *tap)], elements[:, group], (1, 1))
            z[:, some] += np.moveaxis(term, 0, 1).astype(z.dtype)
    return z


def run(x: Any, w: Any, params: dict[str, Any], tier: str = "thorough") -> np.ndarray:
    """The convolution by native code, which never returns to Python."""
    lowered = ft.jit(lambda x, w: conv_general(x, w, **params)).lower(x, w)
    assert "runs in Python" not in repr(lowered.explain())
    (found,) = natively(lowered.jaxpr, (x, w), tier)
    return found


@settings(max_examples=60, deadline=None)
@given(convolutions(FLOATS), st.sampled_from(WAYS), st.booleans(), st.sampled_from(sorted(TIERS)))
def test_every_way_is_the_definition(case, name, tiny, tier):
    x, w, params = case
    with way(name, tiny):
        found = run(x, w, params, tier)
    np.testing.assert_array_equal(found, defined(x, w, **params), strict=True)


@settings(max_examples=8, deadline=None)
@given(st.data(), st.sampled_from(FLOATS), st.sampled_from(MACHINES), st.booleans(), st.sampled_from(sorted(TIERS)))
def test_tiles_of_any_extents_and_their_derivatives_are_the_definition(data, dtype, machine, tiny, tier):
    """Rows and columns that are no whole tiles, and are added to what is there."""
    draw, random = lambda low, high: data.draw(st.integers(low, high)), np.random.default_rng(2)
    rank, features, channels = draw(1, 2), draw(3, 20), draw(1, 12)
    space = (draw(1, 80),) if rank == 1 else (draw(1, 12), draw(1, 12))
    x = numbers(random, (draw(1, 3), channels, *space), np.dtype(dtype))
    w = numbers(random, (features, channels, *(draw(1, 3),) * rank), np.dtype(dtype))
    params = {"strides": (draw(1, 2),) * rank, "x_dilation": (1,) * rank, "w_dilation": (1,) * rank, "groups": 1}
    params["padding"] = ((1, 1),) * rank
    ct = numbers(random, defined(x, w, **params).shape, x.dtype)

    def all_three(x, w, ct):
        y, pull = ft.vjp(lambda x, w: conv_general(x, w, **params), x, w)
        return y, *pull(ct)

    with way("tiles", tiny), processor(machine):
        jaxpr = staged(all_three, (x, w, ct))
        for got, want in zip(natively(jaxpr, (x, w, ct), tier), interpreted(jaxpr, (x, w, ct))):
            np.testing.assert_array_equal(got, want, strict=True)
        np.testing.assert_array_equal(interpreted(jaxpr, (x, w, ct))[0], defined(x, w, **params))


def test_tiles_are_shared_by_threads():
    """Whatever part of rows or columns each of them gets, all results are there."""
    x, w = np.ones((1, 16, 40, 300), "f4"), np.arange(11 * 16 * 9, dtype="f4").reshape(11, 16, 3, 3) % 7
    with way("tiles"):
        lowered = ft.jit(lambda x, w: ft.lax.conv_general_dilated(x, w, (1, 1), "SAME")).lower(x, w)
        assert "hold tiles of results in registers" in repr(lowered.explain())
        want = interpreted(lowered.jaxpr, (x, w))[0]
        for count in (1, 3):
            with ft.config.using(threads=count):
                np.testing.assert_array_equal(natively(lowered.jaxpr, (x, w))[0], want)


@settings(max_examples=40, deadline=None)
@given(convolutions(OTHERS), st.booleans())
def test_every_dtype_is_the_definition(case, tiny):
    x, w, params = case
    with way("kernels", tiny):
        found = run(x, w, params)
    np.testing.assert_array_equal(found, defined(x, w, **params), strict=True)


@settings(max_examples=25, deadline=None)
@given(convolutions(FLOATS, rank=2), st.sampled_from(WAYS), st.booleans())
def test_derivatives_are_those_of_the_interpreter(case, name, tiny):
    x, w, params = case
    ct = numbers(np.random.default_rng(1), defined(x, w, **params).shape, x.dtype)

    def both(x, w, ct):
        y, pull = ft.vjp(lambda x, w: conv_general(x, w, **params), x, w)
        return y, *pull(ct)

    with way(name, tiny):
        jaxpr = staged(both, (x, w, ct))
        for got, want in zip(natively(jaxpr, (x, w, ct)), interpreted(jaxpr, (x, w, ct))):
            np.testing.assert_array_equal(got, want, strict=True)


@settings(max_examples=25, deadline=None)
@given(convolutions([np.float64], rank=2), st.sampled_from(WAYS), st.integers(0, 10**6), st.sampled_from([np.nan, np.inf]))
def test_a_number_that_is_not_finite_stays_in_its_windows(case, name, place, number):
    x, w, params = case
    if not x.size:
        return
    x[np.unravel_index(place % x.size, x.shape)] = number
    w = np.where(w == 0, 1, w)
    with way(name, True), np.errstate(all="ignore"):
        np.testing.assert_array_equal(run(x, w, params), defined(x, w, **params))


@pytest.mark.parametrize("name", WAYS)
def test_lanes_and_second_derivatives(name):
    random = np.random.default_rng(2)
    x, w, dx = random.normal(size=(3, 2, 4, 9, 8)), random.normal(size=(3, 6, 2, 3, 3)), random.normal(size=(2, 4, 9, 8))

    def f(x, w):
        return ft.lax.conv_general_dilated(x, w, (2, 1), "SAME", feature_group_count=2)

    def loss(x, w):
        return (f(x, w) ** 3).sum()

    functions = [
        (ft.vmap(f), (x, w)),
        (ft.vmap(f, in_axes=(0, None)), (x, w[0])),
        (ft.vmap(f, in_axes=(None, 0)), (x[0], w)),
        (lambda x, w, dx: ft.jvp(lambda x: ft.grad(loss)(x, w), (x,), (dx,)), (x[0], w[0], dx)),
        (ft.vmap(ft.grad(loss, argnums=(0, 1))), (x, w)),
    ]
    with way(name):
        for function, args in functions:
            jaxpr = staged(function, args)
            for got, want in zip(natively(jaxpr, args), interpreted(jaxpr, args)):
                np.testing.assert_allclose(got, want, rtol=1e-11, atol=1e-10)


@pytest.mark.parametrize("arrange", [lambda x: x, lambda x: x[..., ::-1], lambda x: np.moveaxis(x.copy(), 1, -1)])
@pytest.mark.parametrize("name", WAYS)
def test_operands_in_any_layout(name, arrange):
    random = np.random.default_rng(3)
    x, w = (arrange(numbers(random, shape, np.dtype(np.float32))) for shape in ((2, 5, 5, 5), (5, 5, 5, 5)))
    params = {"strides": (1, 2), "padding": ((1, 1), (0, 2)), "x_dilation": (1, 1), "w_dilation": (1, 1), "groups": 1}
    with way(name):
        np.testing.assert_array_equal(run(x, w, params), defined(x, w, **params))


def test_a_chain_of_convolutions_shares_rows():
    random = np.random.default_rng(4)
    x, w = random.normal(size=(8, 4, 24, 24)), random.normal(size=(4, 4, 3, 3))

    def f(x, w):
        same = lambda x: ft.lax.conv_general_dilated(x, w, (1, 1), "SAME")  # noqa: E731
        return ft.nn.relu(x + same(ft.nn.relu(same(x))))

    with way("kernels"):
        jaxpr = staged(f, (x, w))
        assert "in 1 chain" in repr(ft.jit(f).lower(x, w).explain())
        want = interpreted(jaxpr, (x, w))[0]
        for tier in TIERS:
            np.testing.assert_allclose(natively(jaxpr, (x, w), tier)[0], want, rtol=1e-11, atol=1e-11)


def test_a_convolution_that_no_kernel_can_do_says_so():
    def loss(x, w):
        y = ft.lax.conv_general_dilated(x, w, (2, 1, 3), [(1, 2), (1, 3), (1, 2)])
        return np.sum(y**2)

    x, w = np.ones((6, 1, 7, 1, 5), np.float32), np.ones((3, 1, 1, 3, 3), np.float32)
    gradient = ft.grad(loss, argnums=(0, 1))
    for found, wanted in zip(ft.jit(gradient)(x, w), gradient(x, w)):
        np.testing.assert_allclose(found, wanted, rtol=1e-5)
    assert "neighbours are too far apart" in repr(ft.jit(gradient).lower(x, w).explain())


def test_explain_says_which_way_was_taken():
    def said(x, w):
        return repr(ft.jit(lambda x, w: ft.lax.conv_general_dilated(x, w, (1, 1), "SAME")).lower(x, w).explain())

    few, many = np.ones((2, 4, 32, 32), "f4"), np.ones((2, 128, 32, 32), "f4")
    assert "done by kernels, a few products at a time" in said(few, np.ones((2, 4, 3, 3), "f4"))
    assert "hold tiles of results in registers" in said(many, np.ones((128, 128, 3, 3), "f4"))
    small, wide = np.ones((1, 512, 7, 7), "f4"), np.ones((512, 512, 3, 3), "f4")
    assert "done by BLAS, after copies of windows side by side" in said(small, wide)
    assert "done by BLAS, which reads windows as they lie in memory" in said(small, wide[..., :1, :1].copy())
    assert "BLAS does not know numbers of this kind" in said(few.astype(int), np.ones((4, 4, 3, 3), int))
    assert "kernels do not sum up numbers of this kind" in said(few.astype(complex), np.ones((4, 4, 3, 3), complex))


def test_room_is_bounded():
    """Windows of a large image are copied a part at a time."""
    x, w = np.empty((4, 64, 96, 96), "f4"), np.empty((64, 64, 3, 3), "f4")
    with way("products"):
        lowered = ft.jit(lambda x, w: ft.lax.conv_general_dilated(x, w, (1, 1), "SAME")).lower(x, w)
        assert lowered.memory.arena < 2 * products.ROOM + x.nbytes * 1.1


@pytest.mark.parametrize("dtype", [*FLOATS, *OTHERS])
@pytest.mark.parametrize("mode", ["full", "same", "valid"])
def test_convolve_and_correlate_of_vectors(dtype, mode):
    random = np.random.default_rng(5)
    a, v = (numbers(random, (n,), np.dtype(dtype)) for n in (40, 7))
    for name in ("convolve", "correlate"):
        jitted = ft.jit(lambda a, v, name=name: getattr(ft.numpy, name)(a, v, mode))
        assert "runs in Python" not in repr(jitted.lower(a, v).explain())
        np.testing.assert_array_equal(jitted(a, v), getattr(np, name)(a, v, mode))


def test_a_convolution_of_booleans_is_boolean():
    x, w = np.ones((1, 1, 5), bool), np.ones((1, 1, 2), bool)
    assert ft.lax.conv_general_dilated(x, w, (1,), "VALID").dtype == bool


@pytest.mark.parametrize("dtype", FLOATS)
def test_multiply_add_rounds_once_or_twice(dtype):
    assert "multiply_add" in REALS
    random = np.random.default_rng(6)
    x, y, z = (random.normal(size=500).astype(dtype) for _ in range(3))
    found = native("multiply_add", (x, y, z), dtype)
    wide = np.longdouble
    once = (x.astype(wide) * y.astype(wide) + z.astype(wide)).astype(dtype)
    assert ((np.abs(found - once) <= np.spacing(np.abs(once))) | (found == x * y + z)).all()


def reshaped_views(seed: int):
    """A view of an array, and another shape for it."""
    random = np.random.default_rng(seed)
    shape = random.choice([1, 2, 3, 4, 6], random.integers(0, 5))
    x = np.arange(prod(shape.tolist())).reshape(shape).transpose(random.permutation(len(shape)))
    x = x[tuple(slice(None, None, step) for step in random.choice([1, 1, 1, -1, 2], x.ndim))]
    left, found = x.size, []
    while left > 1:
        found.append(int(random.choice([n for n in range(1, left + 1) if left % n == 0])))
        left //= found[-1]
    return x, tuple(found)


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 10**9))
def test_a_reshape_is_a_view_where_numpy_has_one(seed):
    x, shape = reshaped_views(seed)
    place = Place(0, 0, x.shape, x.dtype, x.strides).viewed(shape)
    try:
        want = np.reshape(x, shape, copy=False)
    except ValueError:
        want = None
    if place is None:
        assert want is None
    else:
        viewed = np.lib.stride_tricks.as_strided(x, place.shape, place.strides)
        np.testing.assert_array_equal(viewed, x.reshape(shape))


def test_tiles_are_compiled_as_they_are_written():
    """LLVM's passes are for the kernels around them, whose loops they make vectors of."""
    x, w = np.ones((2, 16, 32, 32), "f4"), np.ones((16, 16, 3, 3), "f4")
    with way("tiles"):
        lowered = ft.jit(lambda x, w: ft.nn.relu(ft.lax.conv_general_dilated(x, w, (1, 1), "SAME"))).lower(x, w)
        text = str(lowered.optimized_llvm)
        assert "llvm.fmuladd" in text
    assert "phi <" in text
    assert "vector.body" in text
