"""Polynomials, sets, lines, angles, comparisons and index expressions, traced: NumPy's values, errors and derivatives."""

import numpy as np
import pytest

import functrans as ft
import functrans.numpy as fnp
from functrans.errors import ConcretizationError, UnsupportedArgumentError
from tests.helpers.agreement import check_agreement

X = np.random.default_rng(0).permutation(np.linspace(-2.0, 2.3, 12)).reshape(3, 4)
V = X.ravel()
P = np.array([2.0, -3.0, 0.5, 1.5, -0.7])
Q = np.array([0.5, 1.0, -2.0])
N = np.array([3, 1, 2, 3, 1, 7])


def each(table):
    return pytest.mark.parametrize("function", table.values(), ids=table.keys())


# ---- polynomials

POLYNOMIALS = {
    "polyadd": np.polyadd,
    "polyadd_longer": lambda p, q: np.polyadd(q, p),
    "polyadd_number": lambda p, q: np.polyadd(p, 2),
    "polysub": np.polysub,
    "polymul": np.polymul,
    "polydiv": np.polydiv,
    "polydiv_by_number": lambda p, q: np.polydiv(p, q[:1])[0],
    "polydiv_shorter": lambda p, q: np.polydiv(q, p),
    "polyder": lambda p, q: np.polyder(p),
    "polyder_twice": lambda p, q: np.polyder(p, 2),
    "polyder_never": lambda p, q: np.polyder(p, 0),
    "polyder_of_constant": lambda p, q: np.polyder(p[:1]),
    "polyint": lambda p, q: np.polyint(p),
    "polyint_with_constants": lambda p, q: np.polyint(p, 3, q),
    "polyint_with_one_constant": lambda p, q: np.polyint(p, 2, q[0]),
    "polyval": lambda p, q: np.polyval(p, q),
    "poly": lambda p, q: np.poly(p),
    "poly_of_nothing": lambda p, q: np.poly(p[:0]),
    "vander": lambda p, q: np.vander(p, 3),
}


@each(POLYNOMIALS)
def test_polynomials(function):
    check_agreement(function, P, Q)


@each(POLYNOMIALS)
@pytest.mark.parametrize("dtype", ["f4", "c16", "i8"])
def test_polynomials_have_numpys_dtypes(function, dtype):
    if dtype == "i8" and function is POLYNOMIALS["polydiv"]:
        return  # a remainder of zeros
    p, q = (P * 10).astype(dtype), (Q * 10).astype(dtype)
    p = p * (1 + 2j) if dtype == "c16" else p  # NumPy makes real polynomials of conjugate roots
    check_agreement(function, p, q, lanes=False, tolerance=1e-5 if dtype == "f4" else None)


def test_remainder_of_a_constant_divisor():
    quotient, remainder = ft.jit(lambda p: np.polydiv(p, 2.0))(P)
    np.testing.assert_allclose(quotient, P / 2)
    np.testing.assert_array_equal(remainder, [0.0])


def test_known_zeros_are_dropped():
    p = np.array([0.0, 0.0, 1.0, 2.0])
    for f in (lambda x: np.polymul(p, x), lambda x: np.polymul(x * 0 + 1, p)):
        np.testing.assert_allclose(ft.jvp(f, (P,), (P,))[0], f(P))


def test_roots():
    wanted = np.sort_complex(np.roots(P))
    np.testing.assert_allclose(ft.jit(lambda p: np.sort_complex(np.roots(p)))(P), wanted, rtol=1e-12)
    wanted = [[-(root**k) / slope for k in (3, 2, 1, 0)] for root, slope in ((1, 2), (2, -1), (3, 2))]
    slopes = ft.jacobian(lambda p: np.sort(np.real(np.roots(p))))(np.array([1.0, -6.0, 11.0, -6.0]))
    np.testing.assert_allclose(slopes, wanted, rtol=1e-9)
    assert ft.jvp(np.roots, (np.zeros(3),), (np.ones(3),))[0].shape == (0,)
    p = np.array([0.0, 1.0, -3.0, 2.0, 0.0, 0.0])
    for f in (np.roots, lambda p: ft.jvp(np.roots, (p,), (p,))[0]):
        np.testing.assert_allclose(np.sort(np.real(f(p))), [0, 0, 1, 2], atol=1e-12)


def test_polynomial_of_a_matrix():
    np.testing.assert_allclose(ft.jit(lambda x: np.poly(x[:, :3]))(X), np.poly(X[:, :3]), atol=1e-12)


@pytest.mark.parametrize("columns", [False, True])
def test_polyfit(columns):
    x = np.linspace(-1, 2, 7)
    y = np.sin(x) if not columns else np.stack([np.sin(x), np.cos(x)], 1)
    w = 1 + x**2
    for f in (
        lambda x, y, w: np.polyfit(x, y, 2),
        lambda x, y, w: np.polyfit(x, y, 3, w=w),
        lambda x, y, w: np.polyfit(x, y, 2, full=True)[:3],
        lambda x, y, w: np.polyfit(x, y, 2, cov=True),
        lambda x, y, w: np.polyfit(x, y, 2, w=w, cov="unscaled"),
    ):
        check_agreement(f, x, y, w, tolerance=1e-9, lanes=False)


def test_bad_polynomials():
    for bad in (
        lambda p: np.polyadd(p.reshape(1, -1), p), lambda p: np.polyder(p, -1), lambda p: np.polyint(p, -1),
        lambda p: np.polyint(p, 3, [1, 2]), lambda p: np.poly(p.reshape(1, -1)), lambda p: np.roots(p.reshape(1, -1)),
        lambda p: np.polyfit(p, p, -1),
    ):  # fmt: skip
        with pytest.raises(ValueError):
            ft.jit(bad)(P)
    for bad in (
        lambda p: np.polyfit(p[None], p, 1), lambda p: np.polyfit(p[:0], p, 1), lambda p: np.polyfit(p, p[:2], 1),
        lambda p: np.polyfit(p, p[0], 1), lambda p: np.polyfit(p, p, 1, w=p[:2]), lambda p: np.polyfit(p, p, 1, w=p[None]),
    ):  # fmt: skip
        with pytest.raises(TypeError):
            ft.jit(bad)(P)
    with pytest.raises(ValueError, match="data points"):
        ft.jit(lambda p: np.polyfit(p[:2], p[:2], 1, cov=True))(P)


# ---- sets and comparisons


@pytest.mark.parametrize("tested", [np.array([3, 7]), np.array([[1.0, 2.5], [9.0, 2.0]]), np.zeros(0), 3, [2, 2]])
@pytest.mark.parametrize("invert", [False, True])
def test_isin(tested, invert):
    check_agreement(lambda x: np.isin(x, tested, invert=invert), N, smooth=False)
    check_agreement(lambda x: np.isin(x.reshape(2, 3), tested), N * 1.0, smooth=False)


def test_isin_with_both_traced_and_nan():
    check_agreement(lambda x, t: np.isin(x, t), np.array([1.0, np.nan, 3.0]), np.array([np.nan, 3.0]), smooth=False)


def test_sets_of_known_values():
    x, y = np.array([3.0, 1.0, 2.0, 3.0]), np.array([[5.0, 3.0], [1.0, 4.0]])
    for f in (
        np.union1d, np.intersect1d, np.setdiff1d, np.setxor1d,
        lambda x, y: np.intersect1d(x, y, return_indices=True), lambda x, y: np.setdiff1d(x, y, True),
    ):  # fmt: skip
        wanted = f(x, y)
        ft.tree.map(np.testing.assert_array_equal, ft.jvp(f, (x, y), (x, y))[0], wanted)
    np.testing.assert_array_equal(ft.grad(lambda x: np.sum(np.intersect1d(x, y) ** 2))(x), [6.0, 2.0, 0.0, 0.0])
    np.testing.assert_array_equal(ft.grad(lambda x: np.sum(np.setxor1d(x, y) ** 2))(x), [0.0, 0.0, 4.0, 0.0])


def test_sets_of_unknown_values():
    x, y = np.array([3, 1, 2, 3]), np.array([5, 3])
    found = ft.jit(lambda x, y: fnp.union1d(x, y, size=5, fill_value=0))(x, y)
    np.testing.assert_array_equal(found, [1, 2, 3, 5, 0])
    for f in (np.union1d, np.intersect1d, np.setdiff1d, np.setxor1d):
        with pytest.raises(ConcretizationError, match="size"):
            ft.jit(f)(x, y)


def test_array_equal_and_equiv():
    nan = np.array([1.0, np.nan])
    for a, b in ((X, X), (X, X + 0.5), (nan, nan), (N, N * 1.0), (np.ones(2), np.ones((2, 2)))):
        for f in (np.array_equal, np.array_equiv, lambda a, b: np.array_equal(a, b, equal_nan=True)):
            check_agreement(lambda a, b, f=f: np.asarray(f(a, b)) if isinstance(f(a, b), bool) else f(a, b), a, b, smooth=False, lanes=False)
    assert ft.jit(lambda x: np.array_equal(x, x[:2]))(X) == False  # noqa: E712
    assert ft.jit(lambda x: np.array_equiv(x, x[:2]))(X) == False  # noqa: E712
    assert ft.vmap(np.array_equal)(X, X * np.array([[1.0], [2.0], [1.0]])).tolist() == [True, False, True]


@pytest.mark.parametrize("dtype", ["f8", "f4", "i2", "u2", "c8", "i8"])
def test_sort_complex(dtype):
    check_agreement(np.sort_complex, (V * 10).astype(dtype), smooth=dtype == "f8")


def test_common_type():
    assert ft.vmap(lambda x: x.astype(np.common_type(x, N)))(X.astype("f4")).dtype == np.float64


# ---- lines and angles


def test_apply_along_axis():
    for axis in (0, -1):
        for f in (np.sum, lambda r: r[::-1] * r[0], lambda r: np.outer(r, r[:2]), lambda r: 1.0):
            check_agreement(lambda x, f=f, axis=axis: np.apply_along_axis(f, axis, x), X)
    check_agreement(lambda x: np.apply_along_axis(lambda r, p, *, q: r[:2] * p + q, 1, x.reshape(3, 2, 2), 2.0, q=1.0), X)
    with pytest.raises(ValueError, match="iteration dimensions"):
        ft.jit(lambda x: np.apply_along_axis(np.sum, 0, x[:, :0]))(X)


def test_apply_over_axes():
    check_agreement(lambda x: np.apply_over_axes(np.sum, x.reshape(3, 2, 2), [0, -1]), X)
    check_agreement(lambda x: np.apply_over_axes(np.cumsum, x, 1), X)
    with pytest.raises(ValueError, match="correct shape"):
        ft.jit(lambda x: np.apply_over_axes(lambda x, axis: np.sum(x), x, [0]))(X)


@pytest.mark.parametrize("period", [2 * np.pi, 1.5, 4])
def test_unwrap(period):
    for discont in (None, 3.0):
        for axis in (-1, 0):
            check_agreement(lambda x, d=discont, a=axis: np.unwrap(x, d, a, period=period), 3 * X)


def test_unwrap_of_small_integers_keeps_their_dtype():
    check_agreement(lambda x: np.unwrap(x, period=6), np.array([3, 1, 0, -2, 5, 5], np.int8), smooth=False)


def test_unwrap_at_half_a_period():
    for x in (np.array([0.0, 2.0, 0.0, 4.0, -4.0, 1.0]), np.array([0, 2, 0, 4, -4, 1]), np.zeros(0), np.ones(1, "f4")):
        for period in (4, 3, 2.0):
            check_agreement(lambda x, period=period: np.unwrap(x, period=period), x, smooth=False)


def test_trim_zeros():
    v, m = np.array([0.0, 0.0, 1.0, 0.0, 2.0, 0.0]), np.pad(X, 1)
    for f in (np.trim_zeros, lambda x: np.trim_zeros(x, "f"), lambda x: np.trim_zeros(x, "b")):
        for x in (v, np.zeros(3), m):
            np.testing.assert_array_equal(ft.jvp(f, (x,), (x,))[0], f(x))
    np.testing.assert_array_equal(ft.grad(lambda x: np.sum(np.trim_zeros(x) ** 2))(v), 2 * v)
    np.testing.assert_array_equal(ft.jvp(lambda x: np.trim_zeros(x, axis=0), (m,), (m,))[0], np.trim_zeros(m, axis=0))
    with pytest.raises(ConcretizationError, match="zeros of a traced array"):
        ft.jit(np.trim_zeros)(v)
    with pytest.raises(ValueError, match="trim"):
        ft.jvp(lambda x: np.trim_zeros(x, "x"), (v,), (v,))


# ---- histograms of several coordinates


def test_histograms_of_several_coordinates():
    x, y = np.random.default_rng(1).normal(size=(2, 30))
    w = np.linspace(0, 1, 30)
    for f in (
        np.histogram2d,
        lambda x, y: np.histogram2d(x, y, [3, 4], [[-1, 1], [-2, 2]]),
        lambda x, y: np.histogram2d(x, y, np.array([-1.0, 0.0, 0.5, 1.0])),
        lambda x, y: np.histogram2d(x, y, [np.array([-1.0, 0.0, 1.0]), 3], density=True),
        lambda x, y: np.histogramdd((x, y, x * y), 3),
        lambda x, y: np.histogramdd(np.stack([x, y], 1), (2, 3), density=True, weights=w),
        lambda x, y: np.histogramdd(x, 4),
    ):
        check_agreement(f, x, y, smooth=False, lanes=False)
    edges = [np.linspace(-3, 3, 4)] * 2
    check_agreement(lambda w: np.histogram2d(x, y, edges, weights=w)[0], w)
    for bad in (lambda x: np.histogram2d(x, x[:3]), lambda x: np.histogramdd([x, x], [1, 2, 3]), lambda x: np.histogramdd([x, x], range=[None])):
        with pytest.raises(ValueError):
            ft.jit(bad)(x)


# ---- index expressions

EXPRESSIONS = {
    "vectors": lambda r, c, x: (r[x, 1.0, x], c[x, x], c[np.ones(12), x]),
    "ranges": lambda r, c, x: (r[0:3, x], r[:3:0.5, x], r[-1:1:5j, x, 2], c[0:12, x], c[0:1:12j, x]),
    "matrices": lambda r, c, x: (r[x.reshape(3, 4), np.ones((1, 4))], c[x.reshape(3, 4), np.ones(3)], c[x[0], 1]),
    "lists": lambda r, c, x: (r[[1, 2], x], c[[1] * 12, x], r[[x[0], x[1]]]),
    "directives": lambda r, c, x: (
        r["-1", x.reshape(3, 4), np.ones((3, 1))], r["0,2", x, x], r["0,2,0", x, x], r["1,2,0", x, x],
        r["1,3,1", x, 0:12], r["0,3,-2", x, x], r["1,2", [[0]], [[1]], x[:1][None]], c["0,2", x, x],
    ),
    "dtypes": lambda r, c, x: (r[x.astype("f4"), 1, 2.5], r[x.astype("i4"), True], r[x.astype("f4"), np.float64(1)]),
}  # fmt: skip


@each(EXPRESSIONS)
def test_index_expressions(function):
    def ours_or_theirs(x):
        return function(np.r_, np.c_, x) if isinstance(x, np.ndarray) else function(fnp.r_, fnp.c_, x)

    check_agreement(ours_or_theirs, V, smooth=function is not EXPRESSIONS["dtypes"])


def test_index_expressions_of_nothing_traced():
    np.testing.assert_array_equal(fnp.r_["0,2", 1:3, 5:7], np.r_["0,2", 1:3, 5:7])
    assert isinstance(ft.jit(lambda x: fnp.r_[0:3] + x[:3])(V), np.ndarray)
    for text in ("r", "1,2,3,4", "x"):
        with pytest.raises(UnsupportedArgumentError, match="directive"):
            ft.jit(lambda x: fnp.r_[text, x])(V)


# ---- axes from the end

ALONG = [
    np.concatenate, np.stack, np.flip, np.cumsum, np.cumprod, np.sort, np.argsort, np.argmax, np.max, np.sum, np.median,
    np.diff, np.gradient, np.trapezoid, np.expand_dims, np.fft.fft, np.fft.rfft, np.linalg.norm, np.ptp,
    *([np.unstack] if hasattr(np, "unstack") else []),  # NumPy 2.1 and later
]  # fmt: skip
OURS_ALONG = [
    ft.lax.cumsum, ft.lax.cumprod, ft.lax.cummax, ft.lax.cummin, ft.lax.cumlogsumexp, ft.nn.softmax, ft.nn.log_softmax,
    ft.nn.logsumexp, lambda x, axis: ft.lax.associative_scan(np.add, x, axis=axis),
]  # fmt: skip


@pytest.mark.parametrize("function", [*ALONG, *OURS_ALONG], ids=lambda f: f.__name__)
def test_negative_axes_count_from_the_end(function):
    x = X.reshape(3, 2, 2)
    ndim = 4 if function in (np.stack, np.expand_dims) else 3
    joins = function in (np.concatenate, np.stack)
    for axis in range(-ndim, 0):
        for transform in (ft.jit, lambda f: lambda x: ft.jvp(f, (x,), (x,))[0], lambda f: lambda x: ft.vmap(f)(x[None])):
            found = transform(lambda x: function([x, x] if joins else x, axis=axis))(x)
            wanted = transform(lambda x: function([x, x] if joins else x, axis=axis + ndim))(x)
            ft.tree.map(np.testing.assert_array_equal, found, wanted)
    with pytest.raises((ValueError, IndexError)):
        ft.jit(lambda x: function([x, x] if joins else x, axis=ndim))(x)
