"""Cumulative operations on the emulated GPU: every form, along any axis, in both directions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import functrans as ft
from functrans import lax
from functrans.compiler.backends.cuda import layouts, scans
from functrans.lax import associative_scan
from functrans.primitives.cumulative import cumlogsumexp, cummax, cummin, cumprod, cumsum
from tests.helpers.bits import assert_same_bits, special_array
from tests.helpers.cuda.running import DIVISIONS, ORDERS, emulated, lowered, prepare_all
from tests.helpers.oracles import assert_all_close
from tests.helpers.tiers import interpreted, staged

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")

OPERATIONS = {
    cumsum: "bhilBHILefdFD", cumprod: "bhilBHILefdFD", cummax: "?bhilBHILefd", cummin: "?bhilBHILefd",
    cumlogsumexp: "fd",
}  # fmt: skip
#: For each form a shape, the axis, how work is divided, and what launches there are: the phase, and the threads that
#: share a row.
FORMS = {
    "one thread, short rows": ((50, 5), 1, "usual", [("whole", 1)]),
    "one thread, columns": ((40, 30), 0, "usual", [("whole", 1)]),
    "columns in parts": ((600, 3), 0, "warps", [("totals", 1), ("whole", 1), ("resumed", 1)]),
    "a warp": ((6, 129), 1, "usual", [("whole", 32)]),
    "a warp, neighbours at once": ((6, 256), 1, "usual", [("whole", 32)]),
    "a block": ((5, 2500), 1, "usual", [("whole", 256)]),
    "a block, not aligned": ((5, 2501), 1, "usual", [("whole", 256)]),
    "a row in parts": ((4101,), 0, "warps", [("totals", 256), ("whole", 32), ("resumed", 256)]),
    "rows in parts": ((2, 4100), 1, "warps", [("totals", 256), ("whole", 1), ("resumed", 256)]),
}  # fmt: skip


def program(primitive, x, axis, reverse=False):
    return staged(lambda x: [primitive.bind(x, axis=axis, reverse=reverse)[0]], (x,))


def forms_of(monkeypatch, jaxpr, x, division):
    """The phase and the team of each launch."""
    found = []
    write = scans._ScanWriter.__init__

    def spy(self, run, nest, form, items, phase):
        found.append((phase, form.team))
        write(self, run, nest, form, items, phase)

    monkeypatch.setattr(scans._ScanWriter, "__init__", spy)
    lowered(jaxpr, (x,), division)
    return found


def integers(shape):
    return np.random.default_rng(0).integers(-100, 100, shape)


@pytest.mark.parametrize("name", FORMS)
def test_forms_by_shape(name, monkeypatch):
    shape, axis, division, forms = FORMS[name]
    found = forms_of(monkeypatch, program(cumsum, integers(shape), axis), integers(shape), division)
    assert sorted(found) == sorted(forms)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("name", FORMS)
def test_every_form(name, reverse):
    shape, axis, division, _ = FORMS[name]
    whole, reals = integers(shape), integers(shape) / 64.0 + 1e-3
    programs = [(program(p, whole, axis, reverse), (whole,)) for p in (cumsum, cummax)]
    programs += [(program(p, reals, axis, reverse), (reals,)) for p in (cumsum, cumlogsumexp)]
    prepare_all(programs, division)
    for jaxpr, args in programs:
        wanted = interpreted(jaxpr, args)
        found = [emulated(jaxpr, args, order, division) for order in ORDERS]
        assert_all_close(found[0], wanted, 1e-12 if args[0] is reals else 0)
        for other in found[1:]:  # what is combined with what does not depend on when threads run
            assert_same_bits(other, found[0])


@settings(max_examples=20)
@given(data=st.data())
def test_any_array(data):
    primitive = data.draw(st.sampled_from(list(OPERATIONS)))
    dtype = np.dtype(data.draw(st.sampled_from(OPERATIONS[primitive])))
    shape = tuple(data.draw(st.lists(st.integers(1, 40), min_size=1, max_size=3)))
    axis, reverse = data.draw(st.integers(0, len(shape) - 1)), data.draw(st.booleans())
    x = np.random.default_rng(data.draw(st.integers(0, 9))).normal(1, 0.1, shape)
    x = (x * (20 if dtype.kind in "iu" else 1)).astype(dtype)
    if data.draw(st.booleans()):
        x = np.flip(np.swapaxes(x, 0, -1), 0)
        axis = data.draw(st.integers(0, x.ndim - 1))
    jaxpr = program(primitive, x, axis, reverse)
    found = emulated(jaxpr, (x,), data.draw(st.sampled_from(ORDERS)), data.draw(st.sampled_from(list(DIVISIONS))))
    (wanted,) = interpreted(jaxpr, (x,))
    if dtype.kind in "biu" or primitive in (cummax, cummin):
        assert_same_bits(found, [wanted])
    else:
        steps = 2 * x.shape[axis]
        assert_all_close(found, [wanted], steps * np.finfo(dtype).eps)


@pytest.mark.parametrize("division", ["usual", "warps", "blocks"])
def test_what_is_not_finite_stays_where_it_begins(division):
    x = np.zeros((2, 300))
    x[0, 100], x[1, 50] = np.nan, -np.inf
    primitives = (cumsum, cumprod, cummax, cummin, cumlogsumexp)
    programs = [(program(primitive, x, 1, reverse), (x,)) for primitive in primitives for reverse in (False, True)]
    prepare_all(programs, division)
    for jaxpr, args in programs:
        assert_all_close(emulated(jaxpr, args, division=division), interpreted(jaxpr, args), 1e-14)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_extremes_of_special_numbers_are_those_of_numpy(dtype):
    x = special_array(np.random.default_rng(0), (3, 200), dtype)
    for primitive in (cummax, cummin):
        jaxpr = program(primitive, x, 1)
        assert_same_bits(emulated(jaxpr, (x,)), interpreted(jaxpr, (x,)))


def test_sums_of_negative_zeros_are_negative_zeros():
    x = np.full((3, 100), -0.0)
    assert np.signbit(emulated(program(cumsum, x, 1), (x,))[0]).all()


def test_columns_are_summed_as_numpy_sums_them():
    x = np.random.default_rng(0).normal(size=(100, 40))
    jaxpr = program(cumsum, x, 0)
    assert_same_bits(emulated(jaxpr, (x,)), interpreted(jaxpr, (x,)))


def test_sums_of_long_rows_are_accurate():
    """The error grows with the parts and tiles of a row rather than with its elements."""
    x = np.random.default_rng(0).uniform(0, 1, 20_000).astype("f4")
    exact = np.cumsum(x, dtype="f8")
    found = emulated(program(cumsum, x, 0), (x,))[0]
    assert np.max(np.abs(found - exact) / exact) < 2e-6


def test_arrays_of_no_elements_need_no_launch():
    x = np.zeros((3, 0))
    encoder = lowered(program(cumsum, x, 1), (x,))
    assert not encoder.functions
    assert not encoder.calls_python


def test_programs_with_scans():
    x = np.random.default_rng(0).normal(1, 0.3, (6, 90))

    def loss(x):
        return np.sum(np.cumsum(np.sin(x), 1) * np.cumprod(x, 1) + cummax(x, axis=0, reverse=True))

    for function in (loss, ft.grad(loss), ft.vmap(ft.grad(lambda x: np.sum(np.cumsum(x * x) ** 2)))):
        jaxpr = staged(function, (x,))
        assert not lowered(jaxpr, (x,)).calls_python
        assert_all_close(emulated(jaxpr, (x,)), interpreted(jaxpr, (x,)), 1e-10)
    jaxpr = staged(lambda x: ft.tree.leaves(associative_scan(np.add, x, axis=1)), (x,))
    assert_all_close(emulated(jaxpr, (x,)), interpreted(jaxpr, (x,)), 1e-12)


def test_wide_indices(monkeypatch):
    x = integers((3, 400))
    monkeypatch.setattr(layouts, "FEW", 0)
    jaxpr = program(cumsum, x, 1)
    (launch,) = (launch for found in lowered(jaxpr, (x,)).launches.values() for launch in found)
    assert "const int64 n0" in launch.source
    assert_all_close(emulated(jaxpr, (x,)), interpreted(jaxpr, (x,)), 0)


@pytest.mark.parametrize("shape", [(40, 100), (600, 33), (300, 1500), (500, 7), (300, 1)], ids=str)
@pytest.mark.parametrize("primitive", [cumsum, cummax, cumlogsumexp], ids=lambda p: p.name)
def test_scans_of_rows_are_one_kernel_with_what_is_around_them(primitive, shape):
    """From the first operand to the last reader, with a reduction before and one after them."""
    is_reverse, dtype = shape[0] == 600, np.float32 if shape[1] == 100 else np.float64
    x = np.random.default_rng(0).normal(size=shape).astype(dtype)

    def function(x):
        made = x * 3 - np.max(x, axis=1, keepdims=True)
        (found,) = primitive.bind(made, axis=1, reverse=is_reverse)
        return [np.sum(found < made, axis=1), found * 2 - x]

    jaxpr = staged(function, (x,))
    assert len(lowered(jaxpr, (x,)).functions) == 1
    counts, wanted = interpreted(jaxpr, (x,))
    for order in ORDERS if shape[1] <= 100 else ORDERS[:1]:
        own_counts, found = emulated(jaxpr, (x,), order)
        np.testing.assert_array_equal(own_counts, counts)
        tolerance = 1e-5 if dtype == np.float32 else 1e-12
        np.testing.assert_allclose(found, wanted, rtol=tolerance, atol=tolerance * np.max(np.abs(wanted)))


def wave(x):
    return np.sin(x) + 1


#: Functions of one array, and their scans, each of which is two launches where it is divided, and they are one otherwise.
WITH_KERNELS = {
    "before and after": (lambda x: np.cumsum(wave(x)) * 2, (5000,), 1),
    "reverse": (lambda x: 3 - lax.cumsum(wave(x), reverse=True), (5000,), 1),
    "what is scanned is a result as well": (lambda x: (np.cumsum(wave(x)), wave(x)), (5000,), 1),
    "what is scanned is read again": (lambda x: lax.cummax(wave(x)) - wave(x), (5000,), 1),
    "results are read twice": (lambda x: (np.cumsum(x) * 2, 1 / (2 + np.cumsum(x) ** 2)), (5000,), 1),
    "columns": (lambda x: np.cumsum(wave(x), 0) * x, (200, 3), 1),
    "long rows": (lambda x: np.cumsum(wave(x), 1) * x, (2, 5000), 1),
    "matrices": (lambda x: np.cumsum(wave(x), 1)[::-1] * 2, (3, 60, 5), 1),
    "broadcast": (lambda x: np.cumsum(wave(x), 0) * x[0], (200, 3), 1),
    "one scan after the other": (lambda x: np.cumsum(np.sin(lax.cummax(wave(x)))) - 1, (5000,), 2),
    "gradient": (ft.grad(lambda x: np.sum(np.sin(np.cumsum(wave(x))))), (5000,), 2),
    "gathered": (lambda x: np.cumsum(np.take(x, (np.abs(x) * 1000).astype(int), mode="clip")) * 2, (5000,), 1),
}  # fmt: skip


@pytest.mark.parametrize("name", WITH_KERNELS)
def test_kernels_before_and_after_scans_are_part_of_these(name):
    function, shape, scans = WITH_KERNELS[name]
    x = np.random.default_rng(0).uniform(-1, 1, shape)
    jaxpr = staged(lambda x: ft.tree.leaves(function(x)), (x,))
    wanted = interpreted(jaxpr, (x,))
    for division, launches in ("usual", 1), ("warps", 2 * scans):
        found = lowered(jaxpr, (x,), division)
        assert not found.calls_python
        assert sum(map(len, found.launches.values())) == launches
        for order in ORDERS:
            assert_all_close(emulated(jaxpr, (x,), order, division), wanted, 1e-11)


#: Of two arrays, what is scanned; and of the two, what is scanned and the result, what is computed.
BEFORE = (
    lambda x, y: x * 3 + y,
    lambda x, y: np.flip(x) - 1,
    lambda x, y: x,
    lambda x, y: np.roll(x, 1, 0) * y,
    lambda x, y: np.take(x, y % 50, 0, mode="clip") if x.ndim == 1 else x & y,
)
AFTER = (
    lambda x, y, made, found: found * 2,
    lambda x, y, made, found: np.flip(found) + y,
    lambda x, y, made, found: made,
    lambda x, y, made, found: found - made,
    lambda x, y, made, found: found ^ np.flip(x, 0),
    lambda x, y, made, found: found.T + 1,
    lambda x, y, made, found: np.where(found > x, found, np.flip(y)),
    lambda x, y, made, found: found + found[:1],
    lambda x, y, made, found: np.sum(found, 0) + y,
)


@settings(max_examples=25)
@given(data=st.data())
def test_kernels_around_scans_are_as_apart(data):
    """Whatever is read of what is written, with arguments that may be overwritten: integers come out the same."""
    shape = tuple(data.draw(st.lists(st.sampled_from([1, 2, 7, 40, 300]), min_size=1, max_size=2)))
    axis, reverse = data.draw(st.integers(0, len(shape) - 1)), data.draw(st.booleans())
    scan = data.draw(st.sampled_from([cumsum, cumprod, cummax]))
    before = data.draw(st.sampled_from(BEFORE))
    afters = data.draw(st.lists(st.sampled_from(AFTER), min_size=1, max_size=3))

    def function(x, y):
        made = before(x, y)
        (found,) = scan.bind(made, axis=axis, reverse=reverse)
        return [after(x, y, made, found) for after in afters]

    x, y = integers(shape), integers(shape)[::-1].copy()
    jaxpr, donated = staged(function, (x, y)), data.draw(st.sampled_from([(), (0,), (0, 1)]))
    order, division = data.draw(st.sampled_from(ORDERS)), data.draw(st.sampled_from(list(DIVISIONS)))
    assert_same_bits(emulated(jaxpr, (x, y), order, division, donated), interpreted(jaxpr, (x, y)))


def test_scans_among_all_kinds_of_instructions():
    """Of which some have no time of their own: checks, calls, products, loops, branches, decompositions."""
    x = np.random.default_rng(0).uniform(1, 2, 40)

    def function(x):
        a = np.linalg.cholesky(np.outer(x, x) + 50 * np.eye(40))
        y = np.cumsum(a[0] * 2) + x[(x * 9).astype(int)]
        y = lax.cond(np.sum(y) > 0, lambda y: np.cumsum(np.sin(y)) * 2, lambda y: y, y)
        return lax.fori_loop(0, 3, lambda i, y: np.cumsum(np.sort(y)) / 40 - np.max(np.abs(y)), a @ y)

    jaxpr = staged(function, (x,))
    for division in ("usual", "warps", "launches"):
        assert_all_close(emulated(jaxpr, (x,), division=division), interpreted(jaxpr, (x,)), 1e-9)
