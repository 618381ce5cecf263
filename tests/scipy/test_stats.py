"""functrans.scipy.stats: values against SciPy's, derivatives by every parameter, and the ends of the supports."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats as theirs

import functrans as ft
from functrans import random
from functrans.errors import ShapeMismatchError, UnknownFunctionError, UnsupportedArgumentError
from functrans.scipy import stats as ours
from tests.helpers.agreement import check_agreement

INNER = np.array([0.13, 0.45, 0.88])  # probabilities

#: Shape parameters of each distribution.
CONTINUOUS: dict[str, tuple[float, ...]] = {
    "norm": (), "halfnorm": (), "lognorm": (0.8,), "truncnorm": (-0.7, 1.9), "uniform": (), "expon": (),
    "gamma": (2.3,), "chi2": (3.5,), "invgamma": (2.3,), "beta": (1.7, 0.6), "f": (3.5, 6.2), "t": (4.5,),
    "cauchy": (), "halfcauchy": (), "laplace": (), "logistic": (), "gumbel_r": (), "gumbel_l": (), "pareto": (2.6,),
    "weibull_min": (1.8,), "rayleigh": (), "gennorm": (1.6,), "vonmises": (1.3,), "wrapcauchy": (0.4,),
}  # fmt: skip
DISCRETE: dict[str, tuple[float, ...]] = {
    "bernoulli": (0.3,), "binom": (7, 0.4), "betabinom": (7, 1.5, 2.5), "nbinom": (3.5, 0.4), "geom": (0.35,),
    "poisson": (2.4,),
}  # fmt: skip
#: Those with no formula for probabilities, or quantiles.
NO_CDF = {"vonmises", "betabinom"}
NO_PPF = {"vonmises", "wrapcauchy"}


@pytest.mark.parametrize("name", CONTINUOUS)
def test_continuous_distributions(name: str):
    shapes = CONTINUOUS[name]
    mine, other = getattr(ours, name), getattr(theirs, name)
    x = other.ppf(INNER, *shapes, 0.4, 1.7)
    functions = ["logpdf", "pdf"] + ["cdf", "logcdf", "sf", "logsf"] * (name not in NO_CDF)
    for function in functions:
        wanted = getattr(other, function)(x, *shapes, loc=0.4, scale=1.7)
        np.testing.assert_allclose(getattr(mine, function)(x, *shapes, loc=0.4, scale=1.7), wanted, rtol=1e-9)
        np.testing.assert_allclose(getattr(mine, function)(x, *shapes, 0.4, 1.7), wanted, rtol=1e-9)
    for function in ("ppf", "isf") * (name not in NO_PPF):
        wanted = getattr(other, function)(INNER, *shapes, 0.4, 1.7)
        np.testing.assert_allclose(getattr(mine, function)(INNER, *shapes, 0.4, 1.7), wanted, rtol=1e-9)
    assert mine.logpdf(x.astype(np.float32), *shapes).dtype == np.float32
    values = [np.float64(v) for v in (*shapes, 0.4, 1.7)]
    check_agreement(mine.logpdf, x, *values)
    if name not in NO_CDF:
        check_agreement(mine.cdf, x, *values)
        check_agreement(mine.logsf, x, *values)
    if name not in NO_PPF:
        check_agreement(mine.ppf, INNER, *values)


@np.errstate(all="ignore")
@pytest.mark.parametrize("name", CONTINUOUS)
def test_ends_of_supports(name: str):
    shapes = CONTINUOUS[name]
    mine, other = getattr(ours, name), getattr(theirs, name)
    low, high = other.support(*shapes)
    x = np.array([-np.inf, np.nextafter(low, -np.inf) - 0.01, high + 0.01, np.inf, np.nan])
    if name != "vonmises":
        np.testing.assert_array_equal(mine.logpdf(x, *shapes), np.where(np.isnan(x), np.nan, -np.inf))
        for function in ("pdf", "cdf", "sf", "logcdf", "logsf"):
            beyond = x[[0, 3, 4]] if function != "pdf" else x[-1:]
            got, wanted = (getattr(m, function)(beyond, *shapes) for m in (mine, other))
            np.testing.assert_allclose(got, wanted, atol=1e-12)
        np.testing.assert_array_equal(mine.pdf(x, *shapes), np.where(np.isnan(x), np.nan, 0))
    if np.isfinite(low):
        assert ft.grad(mine.logpdf)(low - 1.0, *shapes) == 0
        assert np.all(np.array(ft.grad(lambda p: mine.pdf(low - 1.0, *p))([*shapes, 0.0, 1.0])) == 0)
        np.testing.assert_allclose(mine.logpdf(low, *shapes), other.logpdf(low, *shapes), atol=1e-12)
    assert np.isnan(mine.logpdf(0.5, *shapes, scale=-1.0))
    if shapes and name != "truncnorm":
        assert np.isnan(mine.logpdf(0.5, *[-s for s in shapes]))
    if name not in NO_PPF:
        q = np.array([0.0, 1.0, -0.1, 1.1, np.nan])
        np.testing.assert_allclose(mine.ppf(q, *shapes), other.ppf(q, *shapes))
        np.testing.assert_allclose(mine.isf(q, *shapes), other.isf(q, *shapes))


@pytest.mark.parametrize("name", DISCRETE)
def test_discrete_distributions(name: str):
    shapes = DISCRETE[name]
    mine, other = getattr(ours, name), getattr(theirs, name)
    k = np.array([-1, 0, 1, 2, 5, 7, 8])
    for function in ("logpmf", "pmf", *("cdf", "sf", "logcdf", "logsf") * (name not in NO_CDF)):
        with np.errstate(divide="ignore"):
            wanted = getattr(other, function)(k, *shapes)
            moved = getattr(other, function)(k, *shapes, loc=1)
        np.testing.assert_allclose(getattr(mine, function)(k, *shapes), wanted, rtol=1e-10, atol=1e-15)
        np.testing.assert_allclose(getattr(mine, function)(k, *shapes, loc=1), moved, rtol=1e-10, atol=1e-15)
    assert mine.pmf(1.5, *shapes) == 0
    assert np.isnan(mine.pmf(1, *shapes[:-1], -1.0))
    assert np.isnan(mine.pmf(np.nan, *shapes))
    values = [np.float64(v) for v in shapes]
    check_agreement(lambda *ps: mine.logpmf(k[2:4] - (name == "bernoulli"), *ps), *values)
    if name not in NO_CDF:
        np.testing.assert_allclose(mine.cdf(1.5, *shapes), other.cdf(1.5, *shapes))
        inside = k[2:4] - 2 * (name == "bernoulli") + 1
        check_agreement(lambda *ps: mine.cdf(inside[:1] - 1, *ps), *values)


def test_bernoulli_quantiles():
    q = np.array([0.0, 0.5, 0.7, 0.71, 1.0, 1.1])
    np.testing.assert_array_equal(ours.bernoulli.ppf(q[1:], 0.3), theirs.bernoulli.ppf(q[1:], 0.3))


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(sorted(set(CONTINUOUS) - NO_PPF)), st.floats(1e-6, 1 - 1e-6), st.floats(-3, 3), st.floats(0.1, 9))
def test_laws(name: str, q: float, loc: float, scale: float):
    """Quantiles invert probabilities, both tails add up to one, and the density is the derivative of the probability."""
    distribution, shapes = getattr(ours, name), CONTINUOUS[name]
    x = distribution.ppf(q, *shapes, loc, scale)
    np.testing.assert_allclose(distribution.cdf(x, *shapes, loc, scale), q, rtol=1e-8)
    np.testing.assert_allclose(distribution.sf(x, *shapes, loc, scale), 1 - q, rtol=1e-8)
    slope = ft.grad(lambda x: distribution.cdf(x, *shapes, loc, scale))(x)
    np.testing.assert_allclose(slope, distribution.pdf(x, *shapes, loc, scale), rtol=1e-7)
    np.testing.assert_allclose(distribution.logcdf(x, *shapes, loc, scale), np.log(q), rtol=1e-6, atol=1e-12)


def test_far_tails():
    np.testing.assert_allclose(ours.norm.logsf(40.0), theirs.norm.logsf(40.0))
    np.testing.assert_allclose(ours.truncnorm.logpdf(31.0, 30.0, 40.0), theirs.truncnorm.logpdf(31.0, 30.0, 40.0))
    np.testing.assert_allclose(ours.cauchy.cdf(-1e200), theirs.cauchy.cdf(-1e200))
    np.testing.assert_allclose(ours.t.logpdf(0.3, 1e9), ours.norm.logpdf(0.3), rtol=1e-8)
    np.testing.assert_allclose(ft.grad(ours.t.cdf)(0.0, 3.0), ours.t.pdf(0.0, 3.0))


COVARIANCE = np.array([[2.0, 0.3, 0.1], [0.3, 1.5, -0.4], [0.1, -0.4, 1.1]])


def test_multivariate_normal():
    rng = np.random.default_rng(2)
    x, mean = rng.normal(size=(4, 5, 3)), rng.normal(size=3)
    for args in ((mean, COVARIANCE), (None, COVARIANCE), (mean, np.array([1.0, 2.0, 3.0]))):
        for function in ("logpdf", "pdf"):
            wanted = getattr(theirs.multivariate_normal, function)(x, *args)
            np.testing.assert_allclose(getattr(ours.multivariate_normal, function)(x, *args), wanted)
    np.testing.assert_allclose(ours.multivariate_normal.logpdf(0.3, 0.1, 2.0), theirs.norm.logpdf(0.3, 0.1, 2**0.5))
    stack = np.stack([COVARIANCE, 2 * COVARIANCE])
    each = [ours.multivariate_normal.logpdf(x[0, i], mean, c) for i, c in enumerate(stack)]
    np.testing.assert_allclose(ours.multivariate_normal.logpdf(x[0, :2], mean, stack), each)

    def logpdf(x: Any, mean: Any, cov: Any) -> Any:
        return ours.multivariate_normal.logpdf(x, mean, (cov + np.swapaxes(cov, -1, -2)) / 2)

    check_agreement(logpdf, x[0], mean, COVARIANCE)
    check_agreement(logpdf, x[0, :2], mean, stack)


def test_dirichlet_and_multinomial():
    alpha, x = np.array([1.2, 2.5, 0.7]), np.array([[0.2, 0.3], [0.5, 0.1], [0.3, 0.6]])
    np.testing.assert_allclose(ours.dirichlet.logpdf(x, alpha), theirs.dirichlet.logpdf(x, alpha))
    np.testing.assert_allclose(ours.dirichlet.pdf(x[:2], alpha), theirs.dirichlet.pdf(x, alpha))
    assert ours.dirichlet.logpdf([0.5, 0.7, -0.2], alpha) == -np.inf
    assert ours.dirichlet.logpdf([0.5, 0.5, 0.2], alpha) == -np.inf
    assert np.isnan(ours.dirichlet.logpdf([0.5, 0.3, 0.2], -alpha))
    check_agreement(lambda a: ours.dirichlet.logpdf(x, a), alpha)
    counts, p = np.array([[1, 2, 1], [4, 0, 0], [1, 1, 1]]), np.array([0.2, 0.5, 0.3])
    np.testing.assert_allclose(ours.multinomial.logpmf(counts, 4, p), theirs.multinomial.logpmf(counts, 4, p))
    check_agreement(lambda p: ours.multinomial.pmf(counts, 4, p), p)


def test_ranks_and_modes():
    a = np.array([[3.0, 1.0, 3.0, 2.0], [2.0, 2.0, 5.0, 1.0], [3.0, 1.0, 1.0, 1.0]])
    for method in ("average", "min", "max", "dense", "ordinal"):
        for axis in (None, 0, 1):
            got = ours.rankdata(a, method, axis=axis)
            np.testing.assert_array_equal(got, theirs.rankdata(a, method, axis=axis))
            np.testing.assert_array_equal(ft.jit(lambda a, m=method, x=axis: ours.rankdata(a, m, axis=x))(a), got)
    for axis in (None, 0, 1):
        for keepdims in (False, True):
            for mine, other in zip(ours.mode(a, axis, keepdims=keepdims), theirs.mode(a, axis, keepdims=keepdims)):
                np.testing.assert_array_equal(mine, other)
        np.testing.assert_allclose(ours.sem(a, axis), theirs.sem(a, axis))
    check_agreement(ours.sem, a)


@pytest.mark.parametrize("method", [None, "silverman", 0.5, lambda kde: 0.3 * kde.neff])
@pytest.mark.parametrize("d", [1, 2])
def test_kernel_densities(method: Any, d: int):
    rng = np.random.default_rng(3)
    data, weights, points = rng.normal(size=(d, 12)), rng.uniform(1, 2, 12), rng.normal(size=(d, 4))
    mine, other = (m.gaussian_kde(data, method, weights) for m in (ours, theirs))
    np.testing.assert_allclose(mine(points), other(points))
    np.testing.assert_allclose(mine.logpdf(points), other.logpdf(points))
    if d == 1:
        np.testing.assert_allclose(mine.integrate_box_1d(-1.0, 0.5), other.integrate_box_1d(-1.0, 0.5))
    check_agreement(lambda x, w, p: ours.gaussian_kde(x, method, w).logpdf(p), data, weights, points)
    drawn = mine.resample(random.key(0), (2000,))
    shares = weights / weights.sum()
    mean, variance = data @ shares, data**2 @ shares - (data @ shares) ** 2 + np.diag(np.atleast_2d(other.covariance))
    assert np.all(np.abs(drawn.mean(1) - mean) < 4 * np.sqrt(variance / 2000))
    np.testing.assert_allclose(drawn.var(1), variance, rtol=0.15)


def test_what_is_refused():
    with pytest.raises(UnknownFunctionError, match="distribution function of the distribution vonmises"):
        ours.vonmises.cdf(0.5, 1.0)
    for call in (lambda: ours.gamma.pdf(1.0), lambda: ours.norm.pdf(1.0, 0, 1, 2), lambda: ours.norm.pdf(1.0, 0, loc=1)):
        with pytest.raises(TypeError, match="parameters"):
            call()
    for call in (
        lambda: ours.dirichlet.pdf(np.ones(3) / 3, np.ones(5)),
        lambda: ours.multivariate_normal.pdf(np.ones(2), np.ones(2), COVARIANCE),
        lambda: ours.gaussian_kde(np.ones((2, 3)), weights=np.ones(2)),
    ):
        with pytest.raises(ShapeMismatchError):
            call()
    for call in (
        lambda: ours.rankdata([1.0], "best"),
        lambda: ours.sem([1.0], nan_policy="omit"),
        lambda: ours.gaussian_kde([1.0, 2.0], "wide"),
    ):
        with pytest.raises(UnsupportedArgumentError):
            call()
