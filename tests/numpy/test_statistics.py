"""Sorting, order statistics and statistics: NumPy's values, and derivatives against differences."""

import numpy as np
import pytest

import functrans as ft

SMOOTH = {
    "sort": lambda x: np.sort(x, axis=0),
    "sort_flat": lambda x: np.sort(x, axis=None),
    "median": lambda x: np.median(x, axis=1),
    "quantile": lambda x: np.quantile(x, [0.1, 0.7], axis=0),
    "quantile_lower": lambda x: np.quantile(x, 0.3, method="lower"),
    "quantile_midpoint": lambda x: np.quantile(x, 0.3, axis=(0, 1), method="midpoint", keepdims=True),
    "percentile": lambda x: np.percentile(x, 80.0, axis=1),
    "nanmedian": lambda x: np.nanmedian(x, axis=1),
    "nansum": lambda x: np.nansum(x, axis=0),
    "nanprod": lambda x: np.nanprod(x),
    "nanmean": lambda x: np.nanmean(x, axis=0),
    "nanvar": lambda x: np.nanvar(x, axis=0),
    "nanstd": lambda x: np.nanstd(x),
    "nanmax": lambda x: np.nanmax(x, axis=1),
    "nanmin": lambda x: np.nanmin(x),
    "cov": lambda x: np.cov(x),
    "cov_columns": lambda x: np.cov(x, rowvar=False),
    "corrcoef": lambda x: np.corrcoef(x),
    "ediff1d": lambda x: np.ediff1d(x, to_end=[1.0]),
    "gradient": lambda x: np.gradient(x, 0.5, axis=0),
    "gradient_positions": lambda x: np.gradient(x, np.array([0.0, 1.0, 3.0, 3.5]), axis=0, edge_order=2),
    "gradients": lambda x: np.stack(np.gradient(x)),
}
DISCRETE = {
    "argsort": lambda x: np.argsort(x, axis=0, kind="stable"),
    "lexsort": lambda x: np.lexsort((x[0], np.round(x[1]))),
    "searchsorted": lambda x: np.searchsorted(np.array([-1.0, 0.0, 0.5]), x),
    "searchsorted_right": lambda x: np.searchsorted(np.array([-1.0, 0.0, 0.5]), x, side="right"),
    "digitize": lambda x: np.digitize(x, np.array([1.0, 0.0, -0.5])),
    "histogram": lambda x: np.histogram(x, bins=4, range=(-2.0, 2.0))[0],
    "nanargmax": lambda x: np.nanargmax(x, axis=1),
    "count_nonzero": lambda x: np.count_nonzero(x > 0, axis=1),
}


def points(missing):
    x, direction = np.random.default_rng(1).normal(size=(2, 4, 3))
    if missing:
        x[1, 2] = np.nan
    return x, direction


@pytest.mark.parametrize("name", SMOOTH)
def test_values_and_derivatives_agree_with_numpy(name):
    function = SMOOTH[name]
    x, direction = points(missing=name.startswith("nan"))
    expected, jitted = function(x), ft.jit(function)(x)
    assert (np.shape(jitted), jitted.dtype) == (np.shape(expected), expected.dtype)
    np.testing.assert_allclose(jitted, expected, rtol=1e-12)
    slope = (function(x + 1e-6 * direction) - function(x - 1e-6 * direction)) / 2e-6
    np.testing.assert_allclose(ft.jvp(function, (x,), (direction,))[1], slope, atol=1e-7)
    np.testing.assert_allclose(np.tensordot(ft.jacrev(function)(x), direction, 2), slope, atol=1e-7)
    np.testing.assert_allclose(ft.vmap(function)(np.stack([x, x]))[1], expected, rtol=1e-12)


@pytest.mark.parametrize("function", DISCRETE.values(), ids=DISCRETE.keys())
def test_discrete_results_agree_with_numpy(function):
    x, _ = points(missing=False)
    expected, jitted = function(x), ft.jit(function)(x)
    assert jitted.dtype == expected.dtype
    np.testing.assert_array_equal(jitted, expected)
    np.testing.assert_array_equal(ft.vmap(function)(np.stack([x, x]))[1], expected)


def test_nan_is_sorted_last():
    x = np.array([2.0, np.nan, 1.0])
    np.testing.assert_array_equal(ft.jit(np.sort)(x), [1.0, 2.0, np.nan])
    np.testing.assert_array_equal(ft.grad(lambda x: np.sort(x)[0])(x), [0.0, 0.0, 1.0])


def test_top_k_gives_the_largest_in_descending_order():
    values, indices = ft.jit(lambda x: ft.lax.top_k(x, 2))(np.array([1.0, 3.0, 2.0, 3.0]))
    np.testing.assert_array_equal(values, [3.0, 3.0])
    np.testing.assert_array_equal(indices, [1, 3])
    np.testing.assert_array_equal(ft.grad(lambda x: ft.lax.top_k(x, 2)[0].sum())(np.array([1.0, 3.0, 2.0])), [0, 1, 1])


def test_unique_of_traced_values_says_what_it_needs():
    with pytest.raises(ft.errors.ConcretizationError, match="unique"):
        ft.jit(np.unique)(np.ones(3))


def test_bincount_of_traced_values_has_the_length_asked_for():
    np.testing.assert_array_equal(ft.jit(lambda x: np.bincount(x, minlength=4))(np.array([1, 1, 3])), [0, 2, 0, 1])
