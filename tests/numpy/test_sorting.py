"""Sorting, searching, quantiles, sets and histograms, traced: NumPy's values, errors and derivatives."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import functrans as ft
import functrans.numpy as fnp
import functrans.numpy.sorting as ours
from functrans.errors import ConcretizationError, OutOfBoundsError, UnsupportedArgumentError
from functrans.primitives.sorting import sort as sort_together
from functrans.primitives.sorting import top_k
from tests.helpers.agreement import check_agreement

X = np.random.default_rng(0).permutation(np.linspace(-2.0, 2.3, 12)).reshape(3, 4)
COMPLEX = X + 1j * X[::-1]
WITH_NAN = X.copy()
WITH_NAN[[0, 2], [1, 3]] = np.nan

# ---- sorting


@pytest.mark.parametrize("x", [X, COMPLEX, np.round(X), X.astype("f2"), X > 0], ids=["f8", "c16", "ties", "f2", "bool"])
@pytest.mark.parametrize("axis", [-1, 0, None])
@pytest.mark.parametrize("name", ["sort", "argsort"])
def test_sort(name, axis, x):
    check_agreement(lambda x: getattr(np, name)(x, axis=axis, kind="stable"), x, smooth=x is X)


def test_nan_is_sorted_last():
    check_agreement(np.sort, WITH_NAN, smooth=False)
    np.testing.assert_array_equal(ft.grad(lambda x: np.sort(x)[0])(np.array([2.0, np.nan, 1.0])), [0.0, 0.0, 1.0])


@pytest.mark.parametrize("x", [X, COMPLEX, np.round(X), X > 0, (X * 9).astype("i1"), np.abs(X * 9).astype("u1")])
def test_descending(x):
    """As in NumPy 2.5; equal elements keep their order, and NaN stays last."""
    rows = np.sort(x)[:, ::-1]
    np.testing.assert_array_equal(ft.jit(lambda x: ours.sort(x, descending=True))(x), rows)
    order = ft.jit(lambda x: ours.argsort(x, axis=None, descending=True))(x)
    np.testing.assert_array_equal(x.ravel()[order], np.sort(x, None)[::-1])
    assert all(a < b for a, b in pairwise(order) if x.ravel()[a] == x.ravel()[b])
    found = ft.jit(lambda x: (lambda y: (y.sort(descending=True), y)[1])(x.copy()))(x)
    np.testing.assert_array_equal(found, rows)


def test_descending_derivatives_and_nan():
    found = ft.grad(lambda x: ours.sort(x, descending=True) @ np.arange(3.0))(np.array([2.0, 1.0, 3.0]))
    np.testing.assert_array_equal(found, [1.0, 2.0, 0.0])
    found = ft.vmap(lambda x: ours.sort(x, descending=True))(np.array([[1.0, np.nan, 2.0]]))
    np.testing.assert_array_equal(found, [[2.0, 1.0, np.nan]])


def test_sorting_in_place():
    def sorted_rows(x):
        y = x.copy()
        y.sort()
        z = x.copy()
        z.sort(axis=0)
        w = x.copy()
        w.partition(1)
        w.sort()
        return y, z, w

    check_agreement(sorted_rows, X)


def test_partitions():
    for kth in (2, -1, [0, 2]):
        found = ft.jit(lambda x, kth=kth: np.partition(x, kth, axis=1))(X)
        np.testing.assert_array_equal(found[:, kth], np.partition(X, kth, axis=1)[:, kth])
    order = ft.jit(lambda x: np.argpartition(x, 1))(X)
    np.testing.assert_array_equal(np.take_along_axis(X, order, 1)[:, 1], np.partition(X, 1)[:, 1])
    with pytest.raises(ValueError):
        ft.jit(lambda x: np.partition(x, 4))(X)


def test_lexsort():
    check_agreement(lambda a, b: np.lexsort((a, b)), X.ravel(), np.floor(X.ravel()))
    check_agreement(lambda a: np.lexsort(a, axis=0), np.floor(np.stack([X, -X])))


def test_sorting_several_arrays_by_two_keys():
    a, b, c = np.array([2.0, 1.0, 2.0, 1.0]), np.array([3.0, 5.0, 1.0, 4.0]), np.arange(4.0)
    found = ft.jit(lambda *xs: sort_together.bind(*xs, axis=0, num_keys=2))(a, b, c)
    np.testing.assert_array_equal(found, [[1, 1, 2, 2], [4, 5, 1, 3], [3, 1, 2, 0]])
    np.testing.assert_array_equal(ft.grad(lambda c: sort_together.bind(a, b, c, axis=0, num_keys=2)[2][0])(c), [0, 0, 0, 1])


def test_top_k():
    x = np.array([[1.0, 3.0, 2.0, 3.0], [4.0, np.nan, 0.0, 5.0]])
    values, indices = ft.jit(lambda x: top_k(x, 2))(x)
    np.testing.assert_array_equal(values, [[3.0, 3.0], [np.nan, 5.0]])
    np.testing.assert_array_equal(indices, [[1, 3], [1, 3]])
    check_agreement(lambda x: top_k(x, 3), X)
    assert [np.shape(y) for y in top_k(x, 0)] == [(2, 0), (2, 0)]
    with pytest.raises(ValueError, match="5 largest"):
        top_k(x, 5)


def test_order_of_fields_has_no_meaning():
    with pytest.raises(UnsupportedArgumentError):
        ft.jit(lambda x: np.sort(x, order="name"))(X)


# ---- searching

EDGES = np.array([-1.0, 0.0, 0.0, 1.0])


@pytest.mark.parametrize("side", ["left", "right"])
def test_searchsorted(side):
    check_agreement(lambda a, v: np.searchsorted(a, v, side=side), EDGES, np.round(X))
    check_agreement(lambda v: np.searchsorted(EDGES[::-1], v, side, sorter=np.arange(4)[::-1]), np.float64(0.0))
    check_agreement(lambda v: np.searchsorted(np.arange(5), v, side), np.array([1, 7], "u1"))
    check_agreement(lambda a: a.searchsorted(0.3, side), EDGES)
    with pytest.raises(ValueError):
        ft.jit(lambda x: np.searchsorted(x, 0.0))(X)


@pytest.mark.parametrize("bins", [EDGES, EDGES[::-1], EDGES[:1], EDGES[:0]], ids=["up", "down", "one", "none"])
@pytest.mark.parametrize("right", [False, True])
def test_digitize(bins, right):
    check_agreement(lambda x: np.digitize(x, bins, right), np.round(X))
    if bins.size:
        check_agreement(lambda x, bins: np.digitize(x, bins, right), np.round(X), bins, smooth=False)


def test_digitize_wants_monotonic_bins():
    with pytest.raises(ValueError):
        ft.jit(lambda x: np.digitize(x, [0.0, 2.0, 1.0]))(X)


# ---- quantiles

METHODS = (
    "inverted_cdf", "averaged_inverted_cdf", "closest_observation", "interpolated_inverted_cdf", "hazen", "weibull",
    "linear", "median_unbiased", "normal_unbiased", "lower", "higher", "midpoint", "nearest",
)  # fmt: skip


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("q", [0.3, 1.0, 0, [0.1, 0.5, 0.77], np.array([[0.2, 0.6]])], ids=str)
def test_quantile(method, q):
    check_agreement(lambda x: np.quantile(x, q, axis=1, method=method), X)
    check_agreement(lambda x: np.nanquantile(x, q, axis=1, method=method), WITH_NAN)


@pytest.mark.parametrize("method", METHODS)
def test_percentile(method):
    check_agreement(lambda x: np.percentile(x, [25, 60], method=method, keepdims=True), X)
    check_agreement(lambda x: np.nanpercentile(x, 33, axis=0, method=method, keepdims=True), WITH_NAN)


@pytest.mark.parametrize("dtype", ["i1", "i8", "u1", "f2", "f4", "f8"])
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("q", [0.3, np.float32(0.3), np.array([0.3]), np.array([0.2], "f4")], ids=repr)
def test_dtypes_of_quantiles(method, q, dtype):
    x = np.array([[3, 1, 2, 0], [1, 1, 0, 2], [5, 3, 2, 1]], dtype)
    check_agreement(lambda x: np.quantile(x, q, axis=0, method=method), x, smooth=False, lanes=False)
    check_agreement(lambda x: np.nanpercentile(x, q, axis=0, method=method), x, smooth=False, lanes=False)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("q", [0, 1, np.array([0, 1])], ids=repr)
def test_extremes_as_quantiles_of_integers(q, method):
    """By some methods they are integers, by others not."""
    x = np.array([[3, 1, 2, 0], [1, 1, 0, 2]], "i1")
    check_agreement(lambda x: np.quantile(x, q, axis=0, method=method), x)
    check_agreement(lambda x: np.nanquantile(x, q, axis=1, method=method), x)


@pytest.mark.parametrize("q", [[], np.zeros(0, int), 0.5, [0.5]], ids=repr)
@pytest.mark.parametrize("x", [np.zeros((2, 3)), np.zeros((2, 0)), np.zeros((2, 0), int)], ids=repr)
def test_quantiles_of_nothing_or_none(q, x):
    """No element is taken where nothing is asked for; NumPy looks for NaN first."""
    try:
        wanted = np.quantile(x, q, axis=1)
    except IndexError:
        with pytest.raises(IndexError, match="out of bounds for axis 0 with size 0"):
            ft.jit(lambda x: np.quantile(x, q, axis=1))(x)
    else:
        np.testing.assert_array_equal(ft.jit(lambda x: np.quantile(x, q, axis=1))(x), wanted, strict=True)


@pytest.mark.parametrize("method", METHODS)
def test_extremes_by_unsigned_numbers(method):
    """Places before the first element have a sign, which NumPy has no room for."""
    x, q = np.array([3, 1, 2, 0]), np.array([0, 1], "u1")
    np.testing.assert_array_equal(ft.jit(lambda x: np.quantile(x, q, method=method))(x), [0, 3])


@pytest.mark.parametrize("options", [{}, {"axis": 0}, {"axis": (0, 1), "keepdims": True}, {"axis": 1}], ids=str)
def test_median(options):
    check_agreement(lambda x: np.median(x, **options), X)
    check_agreement(lambda x: np.median(x, **options), X[:, :3].astype("f2"))
    check_agreement(lambda x: np.median(x, **options), X[:2, :3].astype(int))
    check_agreement(lambda x: np.nanmedian(x, **options), WITH_NAN)
    check_agreement(lambda x: np.median(x, **options), WITH_NAN, smooth=False)
    check_agreement(lambda x: np.quantile(x, 0.3, **options), WITH_NAN, smooth=False)


def test_quantiles_are_differentiable_by_the_part():
    check_agreement(lambda x, q: np.quantile(x, q, axis=0), X, np.array([0.31, 0.67]))
    check_agreement(lambda x, q: np.percentile(x, q), X, np.float64(31.3))


def test_nothing_but_nan():
    x = np.array([[np.nan, 1.0], [np.nan, 2.0]])
    np.testing.assert_array_equal(ft.jit(lambda x: np.nanmedian(x, axis=0))(x), [np.nan, 1.5])
    np.testing.assert_array_equal(ft.jit(lambda x: np.nanquantile(x, 0.5, axis=0))(x), [np.nan, 1.5])
    assert np.isnan(ft.jit(np.median)(np.zeros(0)))


@pytest.mark.filterwarnings("ignore:Mean of empty slice", "ignore:invalid value")
@pytest.mark.parametrize("x", [np.zeros(0), np.zeros((0, 3)), np.zeros((3, 0), "f4"), np.zeros((0, 2), int)], ids=repr)
@pytest.mark.parametrize("q", [0.5, [0.2, 0.3]])
def test_quantiles_of_nothing(x, q):
    for keepdims in (False, True):
        check_agreement(lambda x: np.nanquantile(x, q, axis=0, keepdims=keepdims), x, smooth=False, lanes=False)


@pytest.mark.parametrize(
    "function",
    [
        lambda x: np.quantile(x, 1.1),
        lambda x: np.percentile(x, -1),
        lambda x: np.quantile(x, 0.5, method="cubic"),
        lambda x: np.quantile(x[:0], 0.5),
        lambda x: np.quantile(x + 1j, 0.5),
        lambda x: np.histogram(x, 0),
        lambda x: np.histogram(x, [1.0, 0.0]),
        lambda x: np.histogram(x, 3, (1.0, 0.0)),
        lambda x: np.histogram(x, 3, weights=np.ones(3)),
        lambda x: np.bincount(np.array([0, -1]), x[:2, 0]),
        lambda x: np.bincount(np.array([0, 1]), x[0]),
        lambda x: np.lexsort([]),
        lambda x: np.sort(x[0, 0]),
    ],
)
def test_mistakes_raise_what_numpy_raises(function):
    with pytest.raises(Exception) as numpys:
        function(X)
    with pytest.raises(type(numpys.value)):
        ft.jit(function)(X)


# ---- different values


@pytest.mark.parametrize("x", [np.array([3, 1, 3, 2]), np.array([[2.0, np.nan], [np.nan, 2.0]]), np.array([True, True])])
@pytest.mark.parametrize("equal_nan", [True, False])
def test_unique_of_given_size(x, equal_nan):
    wanted = np.unique(x, True, True, True, equal_nan=equal_nan)
    size = wanted[0].size
    found = ft.jit(lambda x: fnp.unique(x, True, True, True, equal_nan=equal_nan, size=size))(x)
    for f, w in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(f, w)
        assert f.dtype == w.dtype


def test_unique_is_cut_and_filled():
    x = np.array([5, 2, 5, 9])
    values, index, inverse, counts = ft.jit(lambda x: fnp.unique(x, True, True, True, size=5))(x)
    np.testing.assert_array_equal(values, [2, 5, 9, 2, 2])
    np.testing.assert_array_equal(index, [1, 0, 3, 1, 1])
    np.testing.assert_array_equal(inverse, [1, 0, 1, 2])
    np.testing.assert_array_equal(counts, [1, 2, 1, 0, 0])
    np.testing.assert_array_equal(ft.jit(lambda x: fnp.unique(x, size=2))(x), [2, 5])
    np.testing.assert_array_equal(ft.vmap(lambda x: fnp.unique(x, size=3, fill_value=-1))(np.array([x, x * 0])), [[2, 5, 9], [0, -1, -1]])
    np.testing.assert_array_equal(ft.jit(lambda x: fnp.unique(x[:0], size=2, fill_value=7))(x), [7, 7])


def test_unique_of_known_values_keeps_derivatives():
    x = np.array([3.0, 1.0, 3.0])
    np.testing.assert_array_equal(ft.jacrev(np.unique)(x), [[0, 1, 0], [1, 0, 0]])
    np.testing.assert_array_equal(ft.grad(lambda x: np.sum(np.unique_counts(x).values))(x), [1, 1, 0])
    rows = ft.jvp(lambda x: np.unique(x, axis=0), (x[:, None],), (np.ones((3, 1)),))[1]
    np.testing.assert_array_equal(rows, np.ones((2, 1)))
    for name in ("unique_values", "unique_counts", "unique_inverse", "unique_all"):
        found, wanted = ft.jvp(getattr(np, name), (x,), (x,))[0], getattr(np, name)(x)
        assert type(found) is type(wanted)
        np.testing.assert_array_equal(np.concatenate(found, None), np.concatenate(wanted, None))


def test_unique_of_unknown_values_says_what_it_needs():
    with pytest.raises(ConcretizationError, match="size=n"):
        ft.jit(np.unique)(np.ones(3))
    np.testing.assert_array_equal(fnp.unique([2, 1, 2]), [1, 2])


# ---- counts


def test_bincount():
    x = np.array([1, 2, 2, 4])
    check_agreement(lambda x: np.bincount(x, minlength=6), x)
    check_agreement(lambda w: np.bincount(x, w, 3), X[0])
    check_agreement(lambda x: np.bincount(x, minlength=5), x.astype("u1"))
    np.testing.assert_array_equal(ft.grad(lambda w: np.bincount(x, w)[2])(np.ones(4)), [0, 1, 1, 0])
    np.testing.assert_array_equal(ft.jit(lambda x: fnp.bincount(x, length=5))(x), [0, 1, 2, 0, 1])
    np.testing.assert_array_equal(fnp.bincount(x), np.bincount(x))
    np.testing.assert_array_equal(ft.jit(lambda x: fnp.bincount(x[:0], length=2))(x), [0, 0])


def test_bincount_of_what_is_not_known_or_does_not_fit():
    with pytest.raises(ConcretizationError, match="minlength"):
        ft.jit(np.bincount)(np.array([1, 2]))
    for values in ([0, 3], [0, -1]):
        with pytest.raises(OutOfBoundsError):
            ft.jit(lambda x: np.bincount(x, minlength=3))(np.array(values))
    with pytest.raises(TypeError):
        ft.jit(lambda x: np.bincount(x, minlength=3))(np.array([1.0]))


HISTOGRAMS = {
    "number_of_bins": lambda x: np.histogram(x, 5),
    "range": lambda x: np.histogram(x, 5, (-1, 1)),
    "edges": lambda x: np.histogram(x, EDGES),
    "density": lambda x: np.histogram(x, 4, density=True),
    "equal_values": lambda x: np.histogram(x * 0 + 2.0, 3),
    "no_values": lambda x: np.histogram(x[:0], 3),
    "bin_edges": lambda x: np.histogram_bin_edges(x, 7),
}


@pytest.mark.parametrize("function", HISTOGRAMS.values(), ids=HISTOGRAMS.keys())
@pytest.mark.parametrize("x", [X, WITH_NAN[1], np.arange(12), X.astype("f4")], ids=["f8", "row", "i8", "f4"])
def test_histogram(function, x):
    check_agreement(function, x)


@settings(max_examples=20)
@given(
    bins=st.integers(1, 40),
    low=st.sampled_from([-3.0, 0.1, 1e3, -1e-9]),
    width=st.sampled_from([1e-3, 0.3, 1.0, 7.0]),
    dtype=st.sampled_from(["f8", "f4", "f2", "i8"]),
    given_range=st.booleans(),
)
def test_numbers_on_the_edges_of_even_bins_are_where_they_belong(bins, low, width, dtype, given_range):
    """Where rounding decides, and for numbers right beside the edges; some lie outside of the range."""
    edges = np.linspace(low, low + width * bins, bins + 1)
    beside = [np.nextafter(edges, np.inf), np.nextafter(edges, -np.inf), np.repeat(edges, 2)]
    x = np.concatenate([edges, *beside, [low - width, low + width * (bins + 1)]]).astype(dtype)
    span = (float(low), float(low + width * bins)) if given_range else None
    function = lambda x: np.histogram(x, bins, span)  # noqa: E731
    for counts, found in (ft.jit(function)(x), map(np.ravel, ft.vmap(function)(x[None]))):
        np.testing.assert_array_equal(found, np.histogram_bin_edges(x, bins, span))
        np.testing.assert_array_equal(counts, np.histogram(x, found)[0])


def test_weights_of_histograms_are_differentiable():
    check_agreement(lambda x, w: np.histogram(x, [-1, 0, 2.5], weights=w, density=True), X, np.abs(X) + 1)


def test_estimated_bins_need_known_values():
    np.testing.assert_array_equal(ft.jit(lambda x: np.histogram(x, np.histogram_bin_edges(X, "sturges"))[0])(X), np.histogram(X, "sturges")[0])
    with pytest.raises(ConcretizationError, match="bins"):
        ft.jit(lambda x: np.histogram(x, "auto"))(X)
