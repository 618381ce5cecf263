"""What samples are like: ranks, the most frequent value, standard errors, and densities estimated by kernels."""

from __future__ import annotations

from collections.abc import Callable
from math import sqrt
from typing import Any, NamedTuple

import numpy as np

from ... import nn
from ...api.vmap import vmap
from ...core.devices import beside
from ...core.trace import typeof
from ...errors import ShapeMismatchError, UnsupportedArgumentError
from ...numpy.common import as_operand, normalize_axis
from ...primitives.linalg import solve_triangle
from ...random.continuous import normal
from ...random.discrete import choice
from ...random.keys import split
from ..linalg.operands import operands
from ..special import ndtr


class ModeResult(NamedTuple):
    """The most frequent values, and how often they occur."""

    mode: Any
    count: Any


def sem(a: Any, axis: int | None = 0, ddof: int = 1, nan_policy: str = "propagate", *, keepdims: bool = False) -> Any:
    """The standard error of the mean: the standard deviation over the root of the number of elements.

    Example:
        >>> from functrans.scipy import stats
        >>> float(stats.sem([1.0, 2.0, 3.0, 6.0]).round(6))
        1.080123
    """
    _refuse_policy(nan_policy)
    a = as_operand(a)
    count = typeof(a).size if axis is None else typeof(a).shape[axis]
    return np.std(a, axis=axis, ddof=ddof, keepdims=keepdims) / sqrt(count)


def rankdata(a: Any, method: str = "average", *, axis: int | None = None, nan_policy: str = "propagate") -> Any:
    """The place of each element in ascending order, from one; elements that are equal share theirs.

    Args:
        method: what they share: the "average" place, the "min" or "max"; with "dense" places are numbered without
            gaps, with "ordinal" equal elements take their places in order.

    Example:
        >>> from functrans.scipy import stats
        >>> stats.rankdata([30, 10, 20, 20])
        array([4. , 1. , 2.5, 2.5])
    """
    _refuse_policy(nan_policy)
    if method not in _RANKS:
        raise UnsupportedArgumentError(
            f"rankdata was called with method={method!r}.", f"The methods are {', '.join(_RANKS)}.", "Choose one."
        )
    a = as_operand(a)
    if axis is None:
        return _RANKS[method](np.ravel(a))
    return _along(a, axis, _RANKS[method])


def mode(a: Any, axis: int | None = 0, nan_policy: str = "propagate", keepdims: bool = False) -> ModeResult:
    """The most frequent value along an axis, the least of several, and how often it occurs.

    Example:
        >>> from functrans.scipy import stats
        >>> stats.mode([3, 1, 3, 1, 2])
        ModeResult(mode=array(1), count=array(2))
    """
    _refuse_policy(nan_policy)
    a = as_operand(a)
    rows, place = (np.ravel(a), 0) if axis is None else (a, normalize_axis(axis, typeof(a).ndim))
    ordered = np.sort(rows, place)
    counts = _along(ordered, place, lambda x: np.searchsorted(x, x, "right") - np.searchsorted(x, x))
    first = np.argmax(counts, place, keepdims=True)
    found = [np.take_along_axis(x, first, place) for x in (ordered, counts)]
    if axis is None and keepdims:
        return ModeResult(*(np.reshape(x, (1,) * typeof(a).ndim) for x in found))
    return ModeResult(*(x if keepdims else np.squeeze(x, place) for x in found))


def _along(a: Any, axis: int, function: Callable[[Any], Any]) -> Any:
    """A function of vectors along an axis."""
    moved = np.moveaxis(a, axis, -1)
    shape = typeof(moved).shape
    return np.moveaxis(np.reshape(vmap(function)(np.reshape(moved, (-1, shape[-1]))), shape), -1, axis)


def _ordinal(x: Any) -> Any:
    return np.argsort(np.argsort(x, kind="stable"), kind="stable") + 1


def _dense(x: Any) -> Any:
    ordered = np.sort(x)
    is_new = np.concatenate([np.ones_like(ordered[:1], dtype=int), np.not_equal(ordered[1:], ordered[:-1]).astype(int)])
    return np.cumsum(is_new)[np.searchsorted(ordered, x)]


def _first(x: Any) -> Any:
    return np.searchsorted(np.sort(x), x) + 1


def _last(x: Any) -> Any:
    return np.searchsorted(np.sort(x), x, "right")


_RANKS: dict[str, Callable[[Any], Any]] = {
    "average": lambda x: 0.5 * (_first(x) + _last(x)),
    "min": _first,
    "max": _last,
    "dense": _dense,
    "ordinal": _ordinal,
}


def _refuse_policy(nan_policy: str) -> None:
    if nan_policy != "propagate":
        raise UnsupportedArgumentError(
            f"A function of functrans.scipy.stats was called with nan_policy={nan_policy!r}.",
            "What is NaN makes the result NaN.",
            "Select the other elements first.",
        )


class gaussian_kde:  # SciPy's name
    """The mean of normal densities around the points of a sample.

    Args:
        dataset: of shape (n,), or (d, n) for points of d dimensions.
        bw_method: the width of the densities, relative to the covariance of the sample: "scott" (by default),
            "silverman", a number, or a function of this object.
        weights: of shape (n,): what each point counts.

    Example:
        >>> from functrans.scipy import stats
        >>> stats.gaussian_kde([0.0, 1.0, 2.0]).pdf(1.0).round(6)
        array([0.318156])
    """

    def __init__(self, dataset: Any, bw_method: Any = None, weights: Any = None):
        (dataset,) = operands(dataset)
        self.dataset = np.atleast_2d(dataset)
        self.d, self.n = typeof(self.dataset).shape
        weights = beside(self.dataset, np.ones(self.n)) if weights is None else operands(weights)[0]
        if typeof(weights).shape != (self.n,):
            raise ShapeMismatchError(
                f"Weights of type {typeof(weights)} were given for {self.n} points.",
                "There is one for each point.",
                f"Pass weights of shape {(self.n,)}.",
            )
        self.weights = weights / np.sum(weights)
        self.neff = 1 / np.sum(self.weights**2)
        self.factor = self._factor(bw_method)
        spread = np.cov(self.dataset, bias=False, aweights=self.weights)
        self.covariance = np.reshape(spread, (self.d, self.d)) * self.factor**2

    def _factor(self, method: Any) -> Any:
        if callable(method):
            return method(self)
        if not isinstance(method, str) and method is not None:
            return method
        if method in (None, "scott"):
            return self.scotts_factor()
        if method == "silverman":
            return self.silverman_factor()
        raise UnsupportedArgumentError(
            f"gaussian_kde was called with bw_method={method!r}.",
            "It is 'scott', 'silverman', a number or a function.",
            "Pass one of these.",
        )

    def scotts_factor(self) -> Any:
        """Scott's rule for the width."""
        return self.neff ** (-1 / (self.d + 4))

    def silverman_factor(self) -> Any:
        """Silverman's rule for the width."""
        return (self.neff * (self.d + 2) / 4) ** (-1 / (self.d + 4))

    def logpdf(self, x: Any) -> Any:
        """The logarithms of the density at points of shape (d, m), or (m,) in one dimension."""
        points = self._points(x)
        root = np.linalg.cholesky(self.covariance)
        centres, places = (solve_triangle(root, y, lower=True) for y in (self.dataset, points))
        distance = np.sum((centres[:, :, None] - places[:, None, :]) ** 2, axis=0)
        size = np.sum(np.log(np.diagonal(root))) + 0.5 * self.d * np.log(2 * np.pi)
        return nn.logsumexp(-0.5 * distance, axis=0, b=self.weights[:, None]) - size

    def pdf(self, x: Any) -> Any:
        """The density at points of shape (d, m), or (m,) in one dimension."""
        return np.exp(self.logpdf(x))

    def evaluate(self, points: Any) -> Any:
        """The same as `pdf`."""
        return self.pdf(points)

    __call__ = evaluate

    def integrate_box_1d(self, low: Any, high: Any) -> Any:
        """The probability between two numbers, in one dimension."""
        if self.d != 1:
            raise ShapeMismatchError(
                f"integrate_box_1d was called for points of {self.d} dimensions.", "It is for one.", "Use `pdf`."
            )
        scale = np.sqrt(self.covariance[0, 0])
        ends = (ndtr((end - self.dataset[0]) / scale) for end in (high, low))
        return np.sum(self.weights * np.subtract(*ends))

    def resample(self, key: Any, shape: Any = ()) -> Any:
        """Points drawn from the density, of shape (d, *shape)."""
        point_key, noise_key = split(key)
        chosen = choice(point_key, self.n, shape, p=self.weights)
        noise = normal(noise_key, (self.d, *typeof(chosen).shape), typeof(self.dataset).dtype)
        turned = np.tensordot(np.linalg.cholesky(self.covariance), noise, 1)
        return np.take(self.dataset, chosen, axis=1) + turned

    def _points(self, x: Any) -> Any:
        points = np.atleast_2d(*operands(x))
        if typeof(points).shape[0] != self.d and typeof(points).shape == (1, self.d):
            points = np.reshape(points, (self.d, 1))
        if typeof(points).ndim != 2 or typeof(points).shape[0] != self.d:
            raise ShapeMismatchError(
                f"Points of type {typeof(points)} were given to a density in {self.d} dimensions.",
                "The dimensions lie along the first axis.",
                f"Pass an array of shape ({self.d}, m).",
            )
        return points
