"""Reductions, averages and cumulative functions, traced: NumPy's values, dtypes, errors and derivatives."""

import functools
import warnings

import numpy as np
import pytest

import functrans as ft
from functrans.errors import TracerConversionError
from tests.helpers.agreement import check_agreement

X = np.random.default_rng(0).permutation(np.linspace(-2.0, 2.3, 12)).reshape(3, 4)
COMPLEX = X + 1j * X[::-1]
WITH_NAN = X.copy()
WITH_NAN[[0, 2], [1, 3]] = np.nan
MASK = np.array([True, False, True, True])
INTS = np.array([[3, 1, 2, 0], [1, 1, 0, 2], [5, 3, 2, 1]])
DTYPES = ("?", "i1", "i4", "i8", "u1", "u8", "f2", "f4", "f8", "c8", "c16")

PLAIN = ("sum", "prod", "mean", "var", "std", "max", "min", "ptp")
NAN = ("nansum", "nanprod", "nanmean", "nanvar", "nanstd", "nanmax", "nanmin")


def named(name):
    """A NumPy function, and an array for it."""
    return getattr(np, name), WITH_NAN if name.startswith("nan") else X


@pytest.mark.parametrize("options", [{}, {"axis": 0}, {"axis": (-1,), "keepdims": True}, {"axis": (0, 1)}], ids=str)
@pytest.mark.parametrize("name", PLAIN + NAN)
def test_reductions_over_axes(name, options):
    function, x = named(name)
    check_agreement(lambda x: function(x, **options), x)


@pytest.mark.parametrize("name", PLAIN)
def test_reductions_over_no_axes(name):
    check_agreement(lambda x: getattr(np, name)(x, axis=()), X, smooth=name != "std")


@pytest.mark.parametrize("name", [name for name in PLAIN + NAN if name != "ptp"])
def test_reductions_of_chosen_elements(name):
    function, x = named(name)
    initial = {} if name[-3:] not in ("max", "min") else {"initial": -9.0 if name.endswith("max") else 9.0}
    check_agreement(lambda x: function(x, axis=1, where=MASK, **initial), x)
    check_agreement(lambda x, w: function(x, where=w > 0, **initial), x, X[::-1].copy())


@pytest.mark.parametrize("name", ["sum", "prod", "max", "min", "nansum", "nanprod", "nanmax", "nanmin"])
def test_initial_values(name):
    function, x = named(name)
    check_agreement(lambda x: function(x, axis=1, initial=0.4), x)
    check_agreement(lambda x: function(x[:0], axis=0, initial=2.0), x)


@pytest.mark.parametrize("name", ["max", "min", "nanmax", "nanmin"])
@pytest.mark.parametrize("dtype", ["f4", "f8", "c16"])
@pytest.mark.parametrize("initial", [2.5, np.inf, -np.inf])
def test_initial_values_are_in_the_dtype_of_the_result(name, dtype, initial):
    """Which is that of `out` if that is the wider one."""

    def stored(module, x):
        out = module.zeros((), dtype)
        getattr(np, name)(x, initial=initial, out=out)
        return out

    for x in (np.array([1, 2, 3]), np.array([1, 4], "u1")):
        np.testing.assert_array_equal(ft.jit(lambda x: stored(ft.numpy, x))(x), stored(np, x), strict=False)


@pytest.mark.parametrize("name", ["sum", "max", "nanprod", "nanmin"])
def test_initial_values_that_the_dtype_has_not_are_refused(name):
    for x, initial in ((np.arange(3), np.inf), (np.arange(3), np.nan), (X, 1j), (X, [2.0])):
        function = functools.partial(getattr(np, name), initial=initial)
        for transform in (lambda f: f, ft.jit, ft.vmap):
            with pytest.raises((OverflowError, ValueError, TypeError)):
                transform(function)(x[None])


@pytest.mark.filterwarnings("ignore:All-NaN slice:RuntimeWarning")
@pytest.mark.parametrize("function", [np.nanmax, np.nanmin, np.fmax.reduce])
def test_an_initial_nan_is_left_out_too(function):
    x = np.array([[np.nan, 1.0, 2.0], [np.nan, np.nan, np.nan]])
    for initial in (np.nan, np.float32(np.nan), 0.5):
        wanted = function(x, axis=1, initial=initial)
        np.testing.assert_array_equal(ft.jit(lambda x: function(x, axis=1, initial=initial))(x), wanted)
        np.testing.assert_array_equal(ft.jit(lambda x, y: function(x, axis=1, initial=y))(x, initial), wanted)


@pytest.mark.parametrize("name", ["var", "std", "nanvar", "nanstd"])
def test_options_of_variances(name):
    function, x = named(name)
    check_agreement(lambda x: function(x, axis=1, ddof=1), x)
    check_agreement(lambda x: function(x, axis=1, correction=1.5), x)
    check_agreement(lambda x: function(x, axis=1, mean=np.ones((3, 1)), keepdims=True), x)
    check_agreement(lambda x: function(x, axis=1), COMPLEX)
    with pytest.raises(ValueError):
        ft.jit(lambda x: function(x, ddof=1, correction=1))(x)


@pytest.mark.parametrize(
    "name",
    ["sum", "prod", "mean", "cumsum", "cumprod", "nansum", "nanprod", "nancumsum", "nancumprod", "var", "std"],
)
@pytest.mark.parametrize("dtype", ["c16", "f4"])
def test_dtype_is_that_of_the_computation(name, dtype):
    function, x = named(name)
    check_agreement(lambda x: function(x, axis=1, dtype=dtype), x, smooth=dtype == "c16", tolerance=1e-5)


@pytest.mark.parametrize("name", ["sum", "prod", "mean", "max", "min"])
def test_reductions_of_complex_numbers(name):
    check_agreement(lambda x: getattr(np, name)(x, axis=1), COMPLEX)


@pytest.mark.parametrize("name", ["any", "all", "count_nonzero", "argmax", "argmin", "nanargmax", "nanargmin"])
def test_counts_truth_values_and_places(name):
    function, x = named(name)
    check_agreement(lambda x: function(x > 0.1, axis=1, keepdims=True), x)
    check_agreement(lambda x: function(x, axis=0), x)
    if name != "count_nonzero":
        check_agreement(lambda x: function(x), x)
        check_agreement(lambda x: function(x, keepdims=True), x)
    found = ft.jit(np.count_nonzero)(x)
    assert (found, found.dtype) == (12, np.int64)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", ["two axes", "one axis", "scalar", "empty"])
@pytest.mark.parametrize(
    "name", [*PLAIN, *NAN, "any", "all", "cumsum", "cumprod", "argmax", "argmin", "median", "nanmedian", "average"]
)
def test_dtypes_shapes_and_errors_of_numpy(name, dtype, shape):
    x = INTS.astype(dtype)
    x = {"two axes": x, "one axis": x[0], "scalar": x[0, 0], "empty": x[:, :0]}[shape]
    function = getattr(np, name)
    for options in ({}, {"axis": 0}, {"axis": -1}):
        with np.errstate(all="ignore"):
            compare(lambda x, options=options: function(x, **options), x)


def compare(function, x):
    """Values, dtypes and kinds of errors under jit."""
    try:
        wanted = np.asarray(quietly(function, x))
    except Exception as error:
        if type(error) is not ZeroDivisionError:
            with pytest.raises(type(error)):
                ft.jit(function)(x)
        return
    found = np.asarray(ft.jit(function)(x))
    assert (found.dtype, found.shape) == (wanted.dtype, wanted.shape)
    tolerance = {2: 2e-3, 4: 1e-5}.get(wanted.dtype.itemsize // (2 if wanted.dtype.kind == "c" else 1), 1e-12)
    np.testing.assert_allclose(found, wanted, rtol=tolerance)


def quietly(function, x):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return function(x)


def test_float16_is_summed_in_float32_by_mean():
    x = np.full(10_000, 0.1, np.float16)
    assert ft.jit(np.mean)(x) == np.mean(x) == np.float16(0.1)
    assert ft.jit(np.std)(x) == np.std(x)
    assert ft.jit(lambda x: np.mean(x, dtype=np.float16))(x) == np.mean(x, dtype=np.float16)


@pytest.mark.parametrize("name", ["cumsum", "cumprod", "nancumsum", "nancumprod"])
def test_cumulative_functions(name):
    function, x = named(name)
    check_agreement(lambda x: function(x), x)
    check_agreement(lambda x: function(x, axis=1), x)
    check_agreement(lambda x: function(x > 0, axis=0), x)


@pytest.mark.parametrize("name", ["cumulative_sum", "cumulative_prod"])
def test_cumulative_functions_of_the_array_api(name):
    function = getattr(np, name)
    check_agreement(function, X[0])
    check_agreement(lambda x: function(x, axis=1, include_initial=True), X)
    check_agreement(lambda x: function(x[0, 0], include_initial=True), X)
    with pytest.raises(ValueError):
        ft.jit(function)(X)


@pytest.mark.parametrize("zeros", [0, 1, 2, 3])
def test_derivatives_of_products_with_zeros(zeros):
    x = np.array([2.0, 3.0, 5.0, 7.0])
    x[:zeros] = 0.0
    others = np.array([np.prod(np.delete(x, i)) for i in range(4)])
    pairs = [[0.0 if i == j else np.prod(np.delete(x, [i, j])) for j in range(4)] for i in range(4)]
    for product in (np.prod, lambda x: np.cumprod(x)[-1], np.multiply.reduce, np.nanprod):
        np.testing.assert_allclose(ft.grad(product)(x), others)
        np.testing.assert_allclose(ft.hessian(product)(x), pairs)
        np.testing.assert_allclose(ft.jacrev(ft.jacrev(product))(x), pairs)


def test_third_derivative_of_a_product_of_zeros():
    third = ft.jacfwd(ft.jacfwd(ft.grad(np.prod)))(np.zeros(3))
    np.testing.assert_array_equal(third[0, 1, 2], 1.0)
    assert np.sum(third) == 6.0


def test_ties_share_the_derivative():
    x = np.array([1.0, 3.0, 3.0])
    np.testing.assert_array_equal(ft.grad(np.max)(x), [0.0, 0.5, 0.5])
    np.testing.assert_array_equal(ft.grad(np.min)(-x), [0.0, 0.5, 0.5])
    np.testing.assert_array_equal(ft.jvp(np.max, (x,), (np.array([1.0, 2.0, 4.0]),))[1], 3.0)
    np.testing.assert_array_equal(ft.hessian(np.max)(x), np.zeros((3, 3)))


def test_ties_of_cumulative_extremes_share_the_derivative_among_all_so_far():
    x = np.array([2.0, 2.0, 1.0, 2.0, 3.0])
    thirds = [1 / 3, 1 / 3, 0, 1 / 3, 0]
    wanted = [[1, 0, 0, 0, 0], [0.5, 0.5, 0, 0, 0], [0.5, 0.5, 0, 0, 0], thirds, [0, 0, 0, 0, 1]]
    for jacobian in (ft.jacfwd, ft.jacrev):
        np.testing.assert_allclose(jacobian(np.maximum.accumulate)(x), wanted)
        np.testing.assert_allclose(jacobian(np.minimum.accumulate)(-x), wanted)


def test_nan_wins_and_has_no_derivative():
    x = np.array([1.0, np.nan, 3.0])
    assert np.isnan(ft.jit(np.max)(x))
    np.testing.assert_array_equal(ft.grad(np.max)(x), np.zeros(3))
    np.testing.assert_array_equal(ft.jacfwd(np.maximum.accumulate)(x), [[1, 0, 0], [0, 0, 0], [0, 0, 0]])


def test_derivative_of_a_deviation_is_zero_where_all_are_equal():
    np.testing.assert_array_equal(ft.grad(np.std)(np.ones(3)), np.zeros(3))
    np.testing.assert_allclose(ft.hessian(lambda x: np.std(x) ** 2)(np.ones(3)), (np.eye(3) - 1 / 3) * 2 / 3, atol=1e-15)


def test_nothing_but_nan():
    x = np.array([[np.nan, np.nan], [1.0, np.nan]])
    np.testing.assert_array_equal(ft.jit(lambda x: np.nanmax(x, axis=1))(x), [np.nan, 1.0])
    np.testing.assert_array_equal(ft.jit(lambda x: np.nanmean(x, axis=1))(x), [np.nan, 1.0])
    np.testing.assert_array_equal(ft.jit(lambda x: np.nansum(x, axis=1))(x), [0.0, 1.0])
    np.testing.assert_array_equal(ft.jit(lambda x: np.nanargmin(x, axis=1))(x), [-1, 0])
    with pytest.raises(ValueError, match="All-NaN"):
        ft.grad(lambda x: x[0, np.nanargmax(x, axis=1)[0]])(x)


def test_errors_name_the_operation():
    with pytest.raises(ValueError, match="zero-size array to reduction operation maximum which has no identity"):
        ft.jit(np.max)(np.zeros(0))
    with pytest.raises(ValueError, match="attempt to get argmin of an empty sequence"):
        ft.grad(lambda x: np.sum(x[np.argmin(x[:0])]))(np.ones(2))
    with pytest.raises(ValueError, match="reduction operation 'minimum' does not have an identity"):
        ft.jit(lambda x: np.min(x, where=MASK))(X)
    with pytest.raises(np.exceptions.AxisError):
        ft.jit(lambda x: np.sum(x, axis=2))(X)
    with pytest.raises(ValueError, match="axis"):
        ft.jit(lambda x: np.sum(x, axis=(0, 0)))(X)


def test_results_can_be_stored_in_traced_arrays_only():
    def total(x):
        out = np.zeros_like(x[0])
        assert np.sum(x, axis=0, out=out) is out
        np.mean(x, axis=0, out=out[:])
        return out

    np.testing.assert_allclose(ft.jit(total)(X), X.mean(0))
    with pytest.raises(TracerConversionError):
        ft.jit(lambda x: np.max(x, axis=0, out=np.zeros(4)))(X)


@pytest.mark.parametrize("name", ["mean", "var", "std", "nanmean", "nanvar", "nanstd", "sum"])
@pytest.mark.parametrize("dtype", ["i4", "?", "f4"])
@pytest.mark.parametrize("given", ["f8", "i8"])
def test_results_are_cast_to_those_arrays_that_numpy_casts_them_to(name, given, dtype):
    x = np.array([1.5, 2.0, 4.0, 9.0]).astype(given)
    run = ft.jit(lambda x: getattr(np, name)(x, out=ft.numpy.zeros((), dtype)))
    try:
        wanted = getattr(np, name)(x, out=np.zeros((), dtype))
    except TypeError:
        with pytest.raises(TypeError, match=r"same_kind|inexact"):
            run(x)
    else:
        np.testing.assert_allclose(run(x), wanted, 1e-6)


@pytest.mark.parametrize("name", ["mean", "var", "std", "nanmean", "nanvar", "nanstd", "sum", "nansum", "prod"])
@pytest.mark.parametrize("dtypes", [("f4", "f8"), ("c8", "c16"), ("i4", "f8"), ("f8", "f4")])
def test_a_wider_array_for_results_makes_for_more_precision(name, dtypes):
    x = np.linspace(0.1, 3.0, 23).astype(dtypes[0])
    dtype = dtypes[1].replace("c16", "f8") if "var" in name or "std" in name else dtypes[1]
    found = ft.jit(lambda x: getattr(np, name)(x, out=ft.numpy.zeros((), dtype)))(x)
    wanted = getattr(np, name)(x, out=np.zeros((), dtype))
    assert found.dtype == wanted.dtype
    np.testing.assert_allclose(found, wanted, rtol=8 * np.finfo(dtype).eps)


def test_means_that_are_not_stored_in_integers():
    for function in (np.nanmean, np.nanvar, np.nanstd):
        with pytest.raises(TypeError, match="out must be inexact"):
            ft.jit(lambda x, function=function: function(x, out=ft.numpy.zeros((), int)))(X)


# ---- averages


def test_weighted_averages():
    weights = np.abs(X) + 1
    check_agreement(lambda x, w: np.average(x, weights=w), X, weights)
    check_agreement(lambda x, w: np.average(x, 1, w, returned=True), X, weights[0])
    check_agreement(lambda x, w: np.average(x, (1, 0), w), X, weights.T.copy())
    check_agreement(lambda x: np.average(x, (0, 1), returned=True, keepdims=True), X)
    check_agreement(lambda x: np.average(x, 0, np.array([1, 2, 3])), INTS.astype("f4"))
    with pytest.raises(TypeError):
        ft.jit(lambda x: np.average(x, weights=np.ones(4)))(X)
    with pytest.raises(ValueError):
        ft.jit(lambda x: np.average(x, 0, weights=np.ones(4)))(X)


COVARIANCES = {
    "rows": lambda x: np.cov(x),
    "columns": lambda x: np.cov(x, rowvar=False, bias=True),
    "one_variable": lambda x: np.cov(x[0]),
    "two_arrays": lambda x: np.cov(x, x[::-1] * 2 + x**2),
    "float32": lambda x: np.cov(x, dtype="c16"),
    "frequencies": lambda x: np.cov(x, fweights=np.array([1, 2, 3, 1]), aweights=np.array([1.0, 2.0, 0.5, 1.0])),
    "no_variables": lambda x: np.cov(x[:0]),
    "correlations": lambda x: np.corrcoef(x + np.cos(9 * x)),
    "correlation_of_one": lambda x: np.corrcoef(x[0]),
}


@pytest.mark.parametrize("function", COVARIANCES.values(), ids=COVARIANCES.keys())
@pytest.mark.parametrize("x", [X, COMPLEX], ids=["real", "complex"])
def test_covariances(function, x):
    check_agreement(function, x)


def test_weights_of_covariances_are_differentiable():
    weights = np.array([1.0, 2.0, 0.5, 1.0])
    check_agreement(lambda x, w: np.cov(x, aweights=w), X, weights)
    check_agreement(lambda x, w: np.cov(x, aweights=w, ddof=0), X, weights)


# ---- methods of ufuncs

REDUCE = (np.add, np.multiply, np.maximum, np.minimum, np.logaddexp, np.fmax, np.fmin)


@pytest.mark.parametrize("ufunc", REDUCE, ids=lambda u: u.__name__)
def test_reduce(ufunc):
    check_agreement(lambda x: ufunc.reduce(x), X)
    check_agreement(lambda x: ufunc.reduce(x, axis=None, keepdims=True, initial=0.5), X)
    check_agreement(lambda x: ufunc.reduce(x, 1, "f8"), INTS.astype("f4"))


@pytest.mark.parametrize("ufunc", REDUCE[:5], ids=lambda u: u.__name__)
def test_accumulate(ufunc):
    check_agreement(lambda x: ufunc.accumulate(x), X)
    check_agreement(lambda x: ufunc.accumulate(x, 1), X)
    with pytest.raises(TypeError, match="scalar"):
        ft.jit(ufunc.accumulate)(np.float64(1.0))


@pytest.mark.parametrize("ufunc", [np.add, np.subtract, np.multiply, np.arctan2, np.hypot, np.greater], ids=lambda u: u.__name__)
def test_outer(ufunc):
    check_agreement(lambda x, y: ufunc.outer(x, y), X, np.array([0.35, 1.21]))


@pytest.mark.parametrize("dtype", ["i4", "u1", "?"])
@pytest.mark.parametrize(
    "ufunc", [np.bitwise_and, np.bitwise_or, np.bitwise_xor, np.logical_and, np.logical_or, np.logical_xor],
    ids=lambda u: u.__name__,
)  # fmt: skip
def test_reduce_of_bits_and_truth_values(ufunc, dtype):
    x = INTS.astype(dtype)
    check_agreement(lambda x: ufunc.reduce(x, axis=1), x)
    check_agreement(lambda x: ufunc.reduce(x, axis=1, initial=1, where=MASK), x)
    check_agreement(lambda x: ufunc.reduce(x[:, :0], axis=1), x)


def test_results_of_ufunc_methods_can_be_stored():
    def total(x):
        out = np.zeros_like(x[0])
        np.add.reduce(x, out=out)
        np.maximum.accumulate(x, out=x.copy())
        return out

    np.testing.assert_array_equal(ft.jit(total)(X), X.sum(0))
