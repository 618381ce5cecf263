"""The method of Dormand and Prince: one step, its error, the next step's size, and the curve in between.

Coefficients, starting step, step control and dense output: Hairer, Norsett, Wanner, Solving Ordinary Differential
Equations I (2nd edition, 1993), tables II.5.2 and II.6 and section II.4.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

import numpy as np

from ..core.avals import real_dtype
from ..core.trace import typeof
from ..primitives.selection import stop_gradient

#: `f(y, t)` for arrays y.
Field = Callable[[Any, Any], Any]

_NODES: Final = (1 / 5, 3 / 10, 4 / 5, 8 / 9, 1.0)
_STAGES: Final = (
    (1 / 5,),
    (3 / 40, 9 / 40),
    (44 / 45, -56 / 15, 32 / 9),
    (19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729),
    (9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656),
)
_SOLUTION: Final = (35 / 384, 0.0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84)
#: The solution of order 5 less that of order 4.
_ERROR: Final = (71 / 57600, 0.0, -71 / 16695, 71 / 1920, -17253 / 339200, 22 / 525, -1 / 40)
#: The term of fourth order in the curve between two steps.
_BEND: Final = (
    -12715105075 / 11282082432,
    0.0,
    87487479700 / 32700410799,
    -10690763975 / 1880347072,
    701980252875 / 199316789632,
    -1453857185 / 822651844,
    69997945 / 29380423,
)

# Step control with a little memory (PI, stabilised): section IV.2 of volume II, and the authors' code DOPRI5.
_MEMORY: Final = 0.04
_EXPONENT: Final = 0.2 - 0.75 * _MEMORY
_SAFETY, _SHRINK, _GROW = 0.9, 0.2, 10.0


class Trial(NamedTuple):
    """Where one step leads.

    Attributes:
        y: the value after it; slope: the derivative there.
        error: an estimate of the error of y.
        bend: what the curve of the step needs beside values and derivatives at both ends.
    """

    y: Any
    slope: Any
    error: Any
    bend: Any


class Curve(NamedTuple):
    """The solution over one step, a polynomial of degree 4 that has the right values and derivatives at both ends."""

    start: Any
    width: Any
    y_old: Any
    y_new: Any
    slope_old: Any
    slope_new: Any
    bend: Any

    def at(self, t: Any) -> Any:
        """The value at a time."""
        dtype = real_dtype(typeof(self.y_new).dtype)
        width = self.width.astype(dtype)
        theta = ((t - self.start) / self.width).astype(dtype)
        rest = 1 - theta
        rise = self.y_new - self.y_old
        left, right = width * self.slope_old - rise, rise - width * self.slope_new
        return self.y_old + theta * (rise + rest * (left + theta * ((right - left) + rest * (width * self.bend))))


def attempt(f: Field, t: Any, y: Any, slope: Any, width: Any) -> Trial:
    """One step from t to t + width."""
    h = width.astype(real_dtype(typeof(y).dtype))
    slopes = [slope]
    for node, weights in zip(_NODES, _STAGES):
        slopes.append(f(y + h * _combined(weights, slopes), t + node * width))
    y_new = y + h * _combined(_SOLUTION, slopes)
    slopes.append(f(y_new, t + width))
    return Trial(y_new, slopes[-1], h * _combined(_ERROR, slopes), _combined(_BEND, slopes))


def _combined(weights: Sequence[float], slopes: Sequence[Any]) -> Any:
    """The sum of slopes times weights."""
    total: Any = None
    for weight, slope in zip(weights, slopes):
        if weight:
            total = weight * slope if total is None else total + weight * slope
    return total


def error_ratio(error: Any, y_old: Any, y_new: Any, rtol: float, atol: float) -> Any:
    """The error relative to what is allowed, a root mean square; infinite where it is not a number."""
    error, y_old, y_new = map(stop_gradient, (error, y_old, y_new))
    allowed = atol + rtol * np.maximum(np.abs(y_old), np.abs(y_new))
    ratio = _size(error / allowed)
    return np.where(np.isfinite(ratio), ratio, np.inf)


def next_step(h: Any, ratio: Any, last_ratio: Any, may_grow: Any) -> Any:
    """The size of the next step after one of size h whose error had that ratio.

    Args:
        last_ratio: that of the accepted step before; may_grow: whether the step was accepted at the first attempt.
    """
    grown = np.where(may_grow, _GROW, 1.0)
    factor = _SAFETY * last_ratio**_MEMORY / np.maximum(ratio, 1e-10) ** _EXPONENT
    after_success = np.minimum(np.maximum(factor, _SHRINK), grown)
    after_failure = np.maximum(_SAFETY / np.maximum(ratio, 1.0) ** _EXPONENT, _SHRINK)
    return h * np.where(ratio <= 1, after_success, after_failure).astype(typeof(h).dtype)


def first_step(f: Field, t: Any, y: Any, slope: Any, sign: Any, rtol: float, atol: float) -> Any:
    """A size for the first step, from the slope and how fast that changes (section II.4)."""
    y, slope = stop_gradient(y), stop_gradient(slope)
    real = real_dtype(typeof(y).dtype)
    allowed = atol + rtol * np.abs(y)
    size, speed = _size(y / allowed), _size(slope / allowed)
    is_plain = (size > 1e-5) & (speed > 1e-5)
    tiny = np.where(is_plain, 0.01 * size / np.where(is_plain, speed, 1.0), 1e-6).astype(real)
    after = stop_gradient(f(y + tiny * sign.astype(real) * slope, t + (sign * tiny).astype(typeof(t).dtype)))
    change = _size((after - slope) / allowed) / tiny
    largest = np.maximum(speed, change)
    is_moving = largest > 1e-15
    h = np.where(is_moving, (0.01 / np.where(is_moving, largest, 1.0)) ** 0.2, np.maximum(1e-6, 1e-3 * tiny))
    h = np.minimum(100 * tiny, h)
    return np.where(np.isfinite(h), h, 1e-6).astype(typeof(t).dtype)


def _size(x: Any) -> Any:
    """The root mean square of all elements."""
    return np.sqrt(np.sum(np.abs(x) ** 2) / max(typeof(x).size, 1))
