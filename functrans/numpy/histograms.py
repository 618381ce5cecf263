"""How many values there are of each kind: bincount and histograms."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from ..core.avals import BOOL, INT, is_inexact
from ..core.devices import here
from ..core.trace import Traced, typeof
from ..errors import ConcretizationError
from ..primitives.elementwise import (
    add,
    divide,
    equal,
    greater,
    greater_equal,
    less,
    less_equal,
    logical_and,
    logical_not,
    logical_or,
    minimum,
    multiply,
    subtract,
)
from ..primitives.foundation import full
from ..primitives.indexing import gather, scatter_add
from ..primitives.indices import Indexing
from ..primitives.permutations import searchsorted
from ..primitives.selection import select
from ..primitives.structural import slice_axis
from .common import as_operand, cast, concrete_value, known_value, with_shape
from .differences import diff
from .ranges import linspace
from .reductions import max, min, sum

#: Exported as ours: NumPy's namesake does not take `length`.
ALWAYS_OURS = frozenset({"bincount"})


def bincount(x: Any, /, weights: Any = None, minlength: int = 0, *, length: int | None = None) -> Any:
    """numpy.bincount.

    Args:
        length: the number of bins, by default one more than the largest value, and at least `minlength`. Where the
            values are not known while tracing, `length` or `minlength` must say it.

    Raises:
        ConcretizationError: the values are not known while tracing, and there is no length.
        OutOfBoundsError: a value that was not known while tracing is negative, or not less than the length.
    """
    if length is None and not isinstance(x, Traced) and not isinstance(weights, Traced):
        return np.bincount(x, weights, minlength)
    x = as_operand(x)
    aval = typeof(x)
    if aval.ndim != 1:
        depth = "too deep" if aval.ndim else "of too small depth"
        raise ValueError(f"object {depth} for desired array")
    if aval.dtype.kind not in "iub":
        raise TypeError(f"Cannot cast array data from {aval.dtype!r} to dtype('int64') according to the rule 'safe'")
    known = known_value(x)
    if known is not None and known.size and known.min() < 0:
        raise ValueError("'list' argument must have no negative elements")
    if length is None:
        length = _length(x, known, minlength)
    # Negative indices would count from the end.
    places = select(less(x, 0), length, cast(x, INT))
    return _counts(places, length, None if weights is None else cast(as_operand(weights), np.float64), "raise")


def _length(x: Any, known: Any, minlength: int) -> int:
    if known is not None:
        return int(np.max(known, initial=minlength - 1)) + 1
    if minlength:
        return minlength
    raise ConcretizationError(
        f"The number of bins for a traced array of type {typeof(x)} is not known (bincount).",
        "It is one more than the largest value, and would be a shape, which must be known while tracing.",
        "Give it as np.bincount(x, minlength=n) or functrans.numpy.bincount(x, length=n).",
    )


def _counts(places: Any, length: int, weights: Any, mode: str) -> Any:
    """How many places, or what weights, there are for each of 0, 1, ..., length - 1."""
    size = typeof(places).size
    if weights is None:
        weights = full(value=1, shape=(size,), dtype=INT)
    elif typeof(weights).shape != (size,):
        raise ValueError("The weights and list don't have the same length.")
    empty = full(value=0, shape=(length,), dtype=typeof(weights).dtype)
    return scatter_add(empty, weights, places, spec=Indexing((0,), mode=mode)) if size else empty


def histogram(
    a: Any, bins: Any = 10, range: Any = None, density: Any = None, weights: Any = None
) -> tuple[Any, Any]:
    """numpy.histogram; the counts are differentiable by the weights, the edges by the array."""
    x = _flattened(a)
    edges = histogram_bin_edges(x, bins, range)
    if weights is not None:
        if typeof(as_operand(weights)).shape != typeof(as_operand(a)).shape:
            raise ValueError("weights should have the same shape as a.")
        weights = _flattened(weights)
        weights = cast(weights, INT) if typeof(weights).dtype == BOOL else weights
    bin_count = typeof(edges).size - 1
    are_even = isinstance(bins, str) or not typeof(as_operand(bins)).ndim
    places, outside = _even_places(x, edges) if are_even else _places(x, edges)
    counts = _counts(select(outside, bin_count, places), bin_count, weights, "drop")
    if density:
        return divide(divide(counts, cast(diff(edges), np.float64)), sum(counts)), edges
    return counts, edges


def _places(x: Any, edges: Any) -> tuple[Any, Any]:
    """In which bin each number lies, and whether it lies in none."""
    count = typeof(edges).size - 1
    last = slice_axis(edges, count, count + 1, axis=0)
    places = subtract(searchsorted(edges, x, side="right"), 1)
    places = select(equal(x, last), count - 1, places)
    return places, logical_or(less(places, 0), logical_or(greater(x, last), np.isnan(x)))


def _even_places(x: Any, edges: Any) -> tuple[Any, Any]:
    """The same where all bins are as wide: their numbers are computed, and compared with the edges next to them.

    So NumPy finds them, too. Rounding may be wrong by one bin.
    """
    count = typeof(edges).size - 1
    low, high = (slice_axis(edges, i, i + 1, axis=0) for i in (0, count))
    inside = logical_and(greater_equal(x, low), less_equal(x, high))
    number, first, last = (cast(v, np.float64) for v in (x, low, high))
    found = multiply(divide(subtract(number, first), subtract(last, first)), count)
    found = minimum(cast(select(inside, found, 0.0), INT), count - 1)
    found = subtract(found, cast(less(x, _edge(edges, found)), INT))
    is_next = logical_and(greater_equal(x, _edge(edges, add(found, 1))), less(found, count - 1))
    return add(found, cast(is_next, INT)), logical_not(inside)


def _edge(edges: Any, number: Any) -> Any:
    return gather(edges, number, spec=Indexing((0,), mode="clip"))


def histogramdd(
    sample: Any, bins: Any = 10, range: Any = None, density: Any = None, weights: Any = None
) -> tuple[Any, list[Any]]:
    """numpy.histogramdd; differentiable as `histogram` is."""
    columns = _columns(sample)
    count = len(columns)
    each_bins = list(bins) if isinstance(bins, (list, tuple)) or np.ndim(bins) else [bins] * count
    if len(each_bins) != count:
        raise ValueError("The dimension of bins must be equal to the dimension of the sample x.")
    ranges = [None] * count if range is None else list(range)
    if len(ranges) != count:
        raise ValueError("range argument must have one entry per dimension")
    edges = [histogram_bin_edges(x, b, r) for x, b, r in zip(columns, each_bins, ranges)]
    extents = tuple(typeof(e).size - 1 for e in edges)
    length = prod(extents)
    places: Any = 0
    is_outside: Any = False
    for x, e, extent in zip(columns, edges, extents):
        place, outside = _places(x, e)
        places, is_outside = add(multiply(places, extent), place), logical_or(is_outside, outside)
    weights = here(np.ones(typeof(columns[0]).size)) if weights is None else cast(_flattened(weights), np.float64)
    counts = with_shape(_counts(select(is_outside, length, places), length, weights, "drop"), extents)
    if density:
        total = sum(counts)
        for i, e in enumerate(edges):
            widths = cast(diff(e), np.float64)
            counts = divide(counts, with_shape(widths, tuple(n if i == j else 1 for j, n in enumerate(extents))))
        counts = divide(counts, total)
    return counts, edges


def _columns(sample: Any) -> list[Any]:
    """The coordinates of a sample: those in an array's columns, or in a list for each."""
    if isinstance(sample, (list, tuple)):
        return [_flattened(x) for x in sample]
    x = as_operand(sample)
    x = x if typeof(x).ndim == 2 else with_shape(x, (typeof(x).size, 1))
    return [_flattened(x[:, i]) for i in np.arange(typeof(x).shape[1]).tolist()]


def histogram2d(
    x: Any, y: Any, bins: Any = 10, range: Any = None, density: Any = None, weights: Any = None
) -> tuple[Any, Any, Any]:
    """numpy.histogram2d; differentiable as `histogram` is."""
    if typeof(as_operand(x)).size != typeof(as_operand(y)).size:
        raise ValueError("x and y must have the same length.")
    several = isinstance(bins, (list, tuple)) or np.ndim(bins) > 0
    if several and len(bins) not in (1, 2):
        bins = [as_operand(bins)] * 2
    counts, edges = histogramdd([x, y], bins, range, density, weights)
    return counts, edges[0], edges[1]


def histogram_bin_edges(a: Any, bins: Any = 10, range: Any = None, weights: Any = None) -> Any:
    """numpy.histogram_bin_edges; where `bins` names an estimator, the array must be known while tracing."""
    x = _flattened(a)
    if isinstance(bins, str):
        known = concrete_value(x, "The array whose bins are estimated", "Give the number of bins.")
        return np.histogram_bin_edges(known, bins, range)
    if typeof(as_operand(bins)).ndim == 1:
        known = known_value(bins)
        if known is not None and np.any(known[:-1] > known[1:]):
            raise ValueError("`bins` must increase monotonically, when an array")
        return as_operand(bins)
    if typeof(as_operand(bins)).ndim:
        raise ValueError("`bins` must be 1d, when an array")
    if int(bins) < 1:
        raise ValueError("`bins` must be positive, when an integer")
    if range is not None or not typeof(x).size:
        return np.histogram_bin_edges(np.zeros(0, typeof(x).dtype), int(bins), range)
    low, high = min(x), max(x)
    low, high = (x if is_inexact(typeof(x).dtype) else cast(x, np.float64) for x in (low, high))
    margin = cast(select(equal(low, high), 0.5, 0.0), typeof(low).dtype)
    return linspace(subtract(low, margin), add(high, margin), int(bins) + 1)


def _flattened(a: Any) -> Any:
    x = as_operand(a)
    x = cast(x, np.uint8) if typeof(x).dtype == BOOL else x
    return with_shape(x, (typeof(x).size,))
