"""Sorting and Fourier transforms in compiled programs: by NumPy's functions, without Python."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import functrans as ft
from functrans import lax
from functrans.compiler.backends.cpu import native
from functrans.compiler.backends.cpu.rows import sampling
from functrans.compiler.instructions import FourierRun, KernelRun
from functrans.primitives import numpy_functions
from functrans.primitives.sorting import argsort, sort
from tests.helpers.bits import assert_same_bits
from tests.helpers.tiers import TIERS, assembled, interpreted, natively, staged, tier

DTYPES = [np.dtype(c) for c in "?bBhHiIlLefdFD"]
SHAPES = [(1,), (2,), (7,), (300,), (4, 9), (3, 1, 5), (2, 6, 20), (0,), (3, 0), (0, 4)]
#: Arrays as they come: in order, transposed, reversed, and with gaps.
VIEWS: list[Callable[[Any], Any]] = [lambda x: x, lambda x: x.T, lambda x: x[::-1], lambda x: np.repeat(x, 2, -1)[..., ::2]]


def numbers(seed: int, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Any:
    """Numbers many of which are equal, and zeros of both signs and NaN among them."""
    rng = np.random.default_rng(seed)
    x = rng.integers(-5, 6, shape) * rng.choice([0.0, 1.0, 1.0], shape)
    if dtype.kind in "fc":
        x = np.where(rng.random(shape) < 0.1, np.nan, x)
    if dtype.kind == "c":
        x = x + 1j * rng.integers(-2, 3, shape)
    with np.errstate(all="ignore"):
        return x.astype(dtype)


@pytest.mark.parametrize("how", TIERS)
@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 99), shape=st.sampled_from(SHAPES), dtype=st.sampled_from(DTYPES), view=st.sampled_from(VIEWS),
    data=st.data(),
)  # fmt: skip
def test_rows_are_sorted_as_numpy_sorts_them(how: str, seed: int, shape: Any, dtype: Any, view: Any, data: Any) -> None:
    x = view(numbers(seed, shape, dtype))
    axis = data.draw(st.integers(-x.ndim, x.ndim - 1))
    with tier(how):
        found = ft.jit(lambda x: (np.sort(x, axis), np.argsort(x, axis, kind="stable"), x[:1]))(x)
    assert_same_bits(found, [np.sort(x, axis), np.argsort(x, axis, kind="stable"), x[:1]])


@pytest.mark.parametrize("dtype", DTYPES)
def test_equal_elements_keep_their_order(dtype: np.dtype[Any]) -> None:
    x = np.sort(numbers(1, (900,), dtype))
    with np.errstate(all="ignore"):
        bits = np.random.default_rng(2).integers(0, 256, (300, dtype.itemsize), np.uint8)
        anything = (bits % 2 == 0).reshape(-1) if dtype.kind == "b" else bits.view(dtype).ravel()
    order = ft.jit(np.argsort)
    for rows in (x, x[::-1], np.zeros_like(x), np.tile(x[:300], 3), anything, np.sort(anything), np.tile(anything, 3)):
        np.testing.assert_array_equal(order(rows), np.argsort(rows, kind="stable"))


#: Rows from which part of the order is wanted: few values, many, such as samples at equal distances say nothing about,
#: in order, and all NaN.
ROWS: list[Callable[[Any, int], Any]] = [
    lambda rng, n: numbers(rng.integers(99), (2, n), np.dtype(float)),
    lambda rng, n: np.where(rng.random((2, n)) < 0.01, np.nan, 100 * rng.normal(size=(2, n))),
    lambda rng, n: np.where(np.arange(n) % (n // int(n ** (2 / 3))) == 0, -120.0, 50 * rng.random((2, n))),
    lambda rng, n: np.where(rng.random((2, n)) < 0.2, rng.choice([np.inf, -np.inf, -0.0], (2, n)), rng.normal(size=(2, n))),
    lambda rng, n: np.arange(2.0 * n).reshape(2, n),
    lambda rng, n: np.full((2, n), np.nan),
]


@pytest.mark.parametrize("how", TIERS)
@settings(max_examples=50, deadline=None)
@given(
    seed=st.integers(0, 99), n=st.sampled_from([1, 9, 512, 700, 5000]), rows=st.sampled_from(ROWS),
    dtype=st.sampled_from([*DTYPES, np.dtype("e")]), axis=st.integers(0, 1), data=st.data(),
)  # fmt: skip
def test_part_of_an_order_is_that_of_all(how: str, seed: int, n: int, rows: Any, dtype: Any, axis: int, data: Any) -> None:
    first = data.draw(st.integers(0, n))
    last = data.draw(st.sampled_from([first, min(first + 1, n), min(first + n // 20, n), n]))
    with np.errstate(all="ignore"):
        x = rows(np.random.default_rng(seed), n).astype(dtype)
    order = np.argsort(x, kind="stable")[:, first:last]
    if axis == 0:
        x, order = x.T, order.T
    part = lambda x: argsort(x, axis=axis, part=(first, last))  # noqa: E731
    with tier(how):
        assert_same_bits(ft.jit(part)(x), order)
    assert_same_bits(part(x), order)


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 99), n=st.sampled_from([600, 3000]), rows=st.sampled_from(ROWS), k=st.sampled_from([0, 1, 5, 600]))
def test_the_largest_of_long_rows_and_their_derivative(seed: int, n: int, rows: Any, k: int) -> None:
    x = rows(np.random.default_rng(seed), n)
    places = n - 1 - np.argsort(x[:, ::-1], kind="stable")[:, ::-1][:, :k]
    wanted = [np.take_along_axis(x, places, 1), places]
    weights = np.arange(1.0, 2 * k + 1).reshape(2, k)
    slope = np.zeros_like(x)
    np.put_along_axis(slope, places, weights, 1)

    def every(x: Any) -> Any:
        _, pull = ft.vjp(lambda x: lax.top_k(x, k)[0], x)
        return *lax.top_k(x, k), *ft.vmap(lambda x: lax.top_k(x, k))(x), *pull(weights)

    for way in (every, ft.jit(every)):
        assert_same_bits(way(x), [*wanted, *wanted, slope])


def test_part_of_an_order_is_found_without_sorting_all() -> None:
    kernels = ft.jit(lambda x: lax.top_k(x, 5)).lower(np.ones((2, 600))).kernels
    assert re.search(r"\[:, :5\] = argsort\(.*\)\[:, 595:600\]", kernels)
    x = np.arange(1200.0).reshape(2, 600) % 7
    for part, first, last in (
        (lambda order: order[:, :3], 0, 3), (lambda order: order[:, -3:], 597, 600),
        (lambda order: order[:, ::-1][:, 1:3], 597, 599), (lambda order: order[:, 300], 300, 301),
    ):  # fmt: skip
        f = ft.jit(lambda x, part=part: part(np.argsort(x)))
        assert f"[:, {first}:{last}]" in f.lower(x).kernels
        assert_same_bits(f(x), part(np.argsort(x, kind="stable")))
    told = str(ft.explain(lambda x: lax.top_k(x, 5), np.ones((2, 600))))
    assert "2 rows of 600 are put in order by their indices, of which 5 are wanted," in told
    samples, low, high = sampling(10**6, 500_000, 500_001)
    assert 0 < low < high < samples < 10**6 // 20
    assert high - low < samples // 20


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 99), keys=st.integers(1, 3), axis=st.integers(0, 1), dtype=st.sampled_from(DTYPES))
def test_several_arrays_are_sorted_by_several_keys(seed: int, keys: int, axis: int, dtype: np.dtype[Any]) -> None:
    xs = [numbers(seed + i, (5, 8), d) for i, d in enumerate((np.dtype("i4"), np.dtype("f8"), dtype, np.dtype("D")))]
    jaxpr = staged(lambda *xs: sort.bind(*xs, axis=axis, num_keys=keys), xs)
    assert_same_bits(natively(jaxpr, xs), interpreted(jaxpr, xs))


POINTS = [2, 3, 4, 5, 8, 9, 16, 30, 97]
AXES = [((0,), 0), ((1,), 1), ((0,), 2), ((1,), 2), ((2,), 2), ((0, 1), 2), ((2, 0), 2), ((0, 1, 2), 2)]


@pytest.mark.parametrize("how", TIERS)
@pytest.mark.parametrize("dtype", ["F", "D"])
@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 99), n=st.sampled_from(POINTS), m=st.integers(1, 4), axes=st.sampled_from(AXES),
    view=st.sampled_from(VIEWS[:3]), kind=st.sampled_from(["fft", "ifft", "rfft", "irfft", "odd irfft"]),
)  # fmt: skip
def test_transforms_are_numpys(
    how: str, dtype: str, seed: int, n: int, m: int, axes: Any, view: Any, kind: str
) -> None:
    over, last = axes
    shape = [m, m + 1, m + 2][: last + 1]
    shape[over[-1]] = n
    rng = np.random.default_rng(seed)
    z = view((rng.normal(size=shape) + 1j * rng.normal(size=shape)).astype(dtype))
    if not last:
        over = (0,)
    extents = [z.shape[a] for a in over]
    if kind.endswith("irfft"):
        extents[-1] = max(2 * extents[-1] - (1 if kind == "odd irfft" else 2), 1)
        function = lambda z: np.fft.irfftn(z, extents, over)  # noqa: E731
    elif kind == "rfft":
        function, z = lambda x: np.fft.rfftn(x, axes=over), z.real
    else:
        function = lambda z: getattr(np.fft, f"{kind}n")(z, axes=over)  # noqa: E731
    with tier(how):
        jitted = ft.jit(function)
        found = jitted(z)
    wanted = function(z.astype(np.result_type(z, np.float64)))
    # The error of a transform is that of some log2(n) additions, against the largest result.
    eps = np.finfo(z.dtype).eps
    assert np.max(np.abs(found - wanted)) <= 20 * eps * np.max(np.abs(wanted), initial=1.0)
    assert "Python" not in jitted.lower(z).kernels


def test_double_precision_transforms_are_numpys_to_the_last_bit() -> None:
    rng = np.random.default_rng(0)
    for n, axis in product((6, 15, 64, 97), (0, 1)):
        x = rng.normal(size=(n, 5) if axis == 0 else (5, n))
        z = x + 1j * x[::-1]
        found = ft.jit(lambda x, z: (np.fft.rfft(x, axis=axis), np.fft.fft(z, axis=axis), np.fft.ifft(z, axis=axis)))(x, z)
        assert_same_bits(found, [np.fft.rfft(x, axis=axis), np.fft.fft(z, axis=axis), np.fft.ifft(z, axis=axis)])


@pytest.mark.parametrize("how", TIERS)
def test_lanes_that_contend_for_the_cache_are_transformed_as_rows(how: str) -> None:
    rng = np.random.default_rng(0)
    real, spectra = rng.normal(size=(3, 20, 256)), rng.normal(size=(2, 20, 128)) + 1j * rng.normal(size=(2, 20, 128))
    cases: list[tuple[Callable[[Any], Any], Any, int]] = [
        (lambda x: np.fft.rfft(x, axis=1), real, 3 * 256),
        (lambda x: np.fft.irfft(x, 33, axis=1), spectra, 2 * 128),
        (lambda x: np.fft.fft2(x), spectra[0], 128),
        (lambda x: np.fft.ifft(x, axis=0), spectra[0].T.copy().T[::-1], 128),
    ]
    for function, x, lanes in cases:
        with tier(how):
            jitted = ft.jit(function)
            assert_same_bits([jitted(x)], [function(x)])
        block = assembled(function, x).block
        runs = [i for i in block if isinstance(i, FourierRun)]
        copies = [i.targets[0] for i in block if isinstance(i, KernelRun)]
        assert [run.source.shape[:2] for run in runs][-1] == (1, lanes)
        assert all(place.strides[-1] == place.dtype.itemsize for run in runs for place in (run.source, run.target))
        assert len(copies) == 2
        assert all(list(place.strides) == sorted(place.strides, reverse=True) for place in copies)


def heat(u: Any, decay: Any) -> Any:
    return lax.fori_loop(0, 5, lambda _, u: np.fft.ifft2(np.fft.fft2(u) * decay).real, u)


def medians(x: Any) -> Any:
    return lax.scan(lambda total, row: (total + np.sort(row), np.argsort(row + total)), 0 * x[0], x)


@pytest.mark.parametrize("how", TIERS)
def test_loops_and_derivatives_stay_out_of_python(how: str) -> None:
    rng = np.random.default_rng(0)
    u, decay, x = rng.normal(size=(8, 6)), rng.random((8, 6)), rng.normal(size=(7, 9))
    cases: list[tuple[Callable[..., Any], list[Any]]] = [
        (heat, [u, decay]), (ft.grad(lambda u, decay: np.sum(heat(u, decay) ** 3)), [u, decay]),
        (medians, [x]), (ft.grad(lambda x: np.sum(medians(x)[0] ** 2)), [x]), (ft.vmap(np.sort), [x]),
        (ft.vmap(lambda k: lax.top_k(k, 3)), [x]),
    ]  # fmt: skip
    for function, args in cases:
        jaxpr = staged(function, args)
        for found, wanted in zip(natively(jaxpr, args, how), interpreted(jaxpr, args), strict=True):
            np.testing.assert_allclose(found, wanted, rtol=1e-12, atol=1e-12)
        assert "Python" not in ft.jit(function).lower(*args).kernels


def test_without_numpys_functions_python_calls_numpy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "has_library", lambda name: name == "lapack")
    x = np.random.default_rng(0).normal(size=(4, 6))
    found = ft.jit(lambda x: (np.sort(x, 0), np.argsort(x), np.fft.fft(x)))(x)
    assert_same_bits(found, [np.sort(x, 0), np.argsort(x), np.fft.fft(x)])


def test_there_are_functions_for_every_dtype() -> None:
    assert all(numpy_functions.sort_function(dtype, name) for dtype in DTYPES for name in numpy_functions.SORTS)
    for kind, letters in (("fft", "FD"), ("ifft", "FD"), ("rfft", "fd"), ("irfft", "FD")):
        assert all(numpy_functions.fourier_function(kind, odd, np.dtype(c))[0] for c in letters for odd in (False, True))
    assert numpy_functions.fourier_function("fft", False, np.dtype("i4")) == (0, 0)


def test_a_program_says_what_it_sorts_and_transforms() -> None:
    x = np.ones((4, 6))
    told = str(ft.explain(lambda x: (np.sort(x, 0), np.argsort(x), np.fft.rfft(x)), x))
    for part in ("6 rows of 4 are sorted", "4 rows of 6 are put in order by their indices", "`rfft`", "4 lanes of 6"):
        assert part in told
    lowered = ft.jit(lambda x: (np.sort(x, 0), np.argsort(x), np.fft.rfft(x))).lower(x)
    for part in (".sort()", "argsort(", "rfft("):
        assert part in lowered.kernels
