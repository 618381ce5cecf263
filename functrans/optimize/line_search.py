"""How far to go in a direction."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

import numpy as np

from ..core.dtypes import finfo
from ..core.trace import typeof
from ..lax.loops import while_loop

_DECREASE, _CURVATURE = 1e-4, 0.9
MAX_EVALUATIONS: Final = 30


class Point(NamedTuple):
    """A place on the line.

    Attributes:
        a: how far away; f: the value; slope: along the line; g: the gradient.
    """

    a: Any
    f: Any
    slope: Any
    g: Any


class Search(NamedTuple):
    """An interval with acceptable points in it.

    Attributes:
        low: the best point so far, which the derivative says to leave towards high; high: how far to go at most.
        a: where to look next.
    """

    low: Point
    high: Point
    a: Any
    evaluations: Any
    is_done: Any


def line_search(value_and_grad: Callable[[Any], Any], x: Any, p: Any, f: Any, g: Any, a: Any) -> tuple[Point, Any]:
    """A point x + a p that satisfies the strong Wolfe conditions, and the number of evaluations.

    If none was found, the best point that was; it is x itself (a = 0) if no other is lower. Bracketing and zooming of
    Nocedal and Wright (Numerical Optimization, 2nd edition, algorithms 3.5 and 3.6) in one loop. Near the minimum,
    where differences of values are rounding errors, slopes decide (the approximate Wolfe conditions of Hager and Zhang,
    2005).

    Args:
        f, g: value and gradient at x; a: where to look first.
    """
    slope = np.sum(g * p)
    noise = float(finfo(typeof(f).dtype).eps) ** (2 / 3) * np.abs(f)

    def falls_enough(here: Point) -> Any:
        exactly = here.f <= f + _DECREASE * here.a * slope
        nearly = (here.f <= f + noise) & (here.slope <= (2 * _DECREASE - 1) * slope)
        return exactly | nearly

    def look(search: Search) -> Search:
        low, high = search.low, search.high
        value, gradient = value_and_grad(x + search.a * p)
        here = Point(search.a, value, np.sum(gradient * p), gradient)
        is_lower = np.isfinite(here.f) & np.isfinite(here.slope) & falls_enough(here) & (here.f <= low.f + noise)
        is_done = is_lower & (np.abs(here.slope) <= -_CURVATURE * slope)
        turns = is_lower & (here.slope * np.sign(high.a - low.a) >= 0)
        new_high = _chosen(is_lower, _chosen(turns, low, high), here)
        new_low = _chosen(is_lower, here, low)
        return Search(new_low, new_high, _between(new_low, new_high), search.evaluations + 1, is_done)

    start = Point(a * 0, f, slope, g)
    unknown = Point(np.full_like(a, np.inf), f, slope, g)
    search = while_loop(
        lambda s: ~s.is_done & (s.evaluations < MAX_EVALUATIONS),
        look,
        Search(start, unknown, a, np.int64(0), np.bool_(False)),
    )
    return search.low, search.evaluations


def _chosen(condition: Any, x: Point, y: Point) -> Point:
    return Point(*(np.where(condition, one, other) for one, other in zip(x, y)))


def _between(low: Point, high: Point) -> Any:
    """Where a cubic polynomial through both ends is least, kept away from the ends; twice as far if there is no end."""
    is_bounded = np.isfinite(high.a) & np.isfinite(high.f) & np.isfinite(high.slope)
    end = np.where(np.isfinite(high.a), high.a, 2 * low.a)
    width = np.where(end == low.a, 1, end - low.a)
    rise = np.where(is_bounded, high.f - low.f, 0)
    slope = np.where(is_bounded, high.slope, 0)
    d = low.slope + slope - 3 * rise / width
    root = np.sign(width) * np.sqrt(np.maximum(d * d - low.slope * slope, 0))
    below = slope - low.slope + 2 * root
    part = 1 - (slope + root - d) / np.where(below == 0, 1, below)
    part = np.where(is_bounded & (below != 0) & np.isfinite(part), np.clip(part, 0.1, 0.9), 0.5)
    return np.where(np.isfinite(high.a), low.a + part * (high.a - low.a), 2 * low.a)
