"""Newton's method for systems of equations, as a loop that can be traced."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ..api.grad import linearize, vjp
from ..core.devices import here
from ..core.trace import typeof
from ..lax.loops import while_loop
from .linear import DENSE, dense_matrix, gmres, largest, norm
from .result import CONVERGED, NOT_A_NUMBER, RUNNING, STALLED, TOO_MANY_ITERATIONS

_DECREASE, _SHORTEST = 1e-4, 1e-9


class Iterate(NamedTuple):
    """Where the method is."""

    x: Any
    f: Any
    nit: Any
    nfev: Any
    status: Any


def newton(function: Callable[[Any], Any], x: Any, tol: float, maxiter: int) -> Iterate:
    """Steps to the root of the linearised function, halved until they lead to smaller values.

    It has converged when a full step is small relative to x, or the function zero.
    """

    def step(now: Iterate) -> Iterate:
        p, is_newtons = _newton_step(function, now.x, now.f)
        size = norm(now.f)

        def shortened(trial: tuple[Any, ...]) -> tuple[Any, ...]:
            a, _, _, evaluations = trial
            return a / 2, *_value(function, now.x + a / 2 * p), evaluations + 1

        def is_too_long(trial: tuple[Any, ...]) -> Any:
            a, _, after, _ = trial
            return ~(after <= (1 - _DECREASE * a) * size) & (a > _SHORTEST)

        one = np.ones_like(size)
        a, f, after, evaluations = while_loop(is_too_long, shortened, (one, *_value(function, now.x + p), np.int64(1)))
        is_lower = after <= (1 - _DECREASE * a) * size
        is_small = is_newtons & (largest(p) <= tol * np.maximum(largest(now.x), tol))
        is_done = (after == 0) | (is_small & ((a == 1) | ~is_lower))
        status = np.where(now.nit + 1 >= maxiter, TOO_MANY_ITERATIONS, RUNNING)
        status = np.where(is_lower, status, STALLED)
        status = np.where(is_done, CONVERGED, status)
        return Iterate(
            np.where(is_lower, now.x + a * p, now.x), np.where(is_lower, f, now.f), now.nit + 1, now.nfev + evaluations,
            np.where(np.all(np.isfinite(p)), status, NOT_A_NUMBER),
        )  # fmt: skip

    f, size = _value(function, x)
    status = np.where(size == 0, CONVERGED, RUNNING if maxiter > 0 else TOO_MANY_ITERATIONS)
    status = np.where(np.isfinite(size), status, NOT_A_NUMBER)
    first = Iterate(x, f, np.int64(0), np.int64(1), status)
    return while_loop(lambda now: now.status == RUNNING, step, first)


def _newton_step(function: Callable[[Any], Any], x: Any, f: Any) -> tuple[Any, Any]:
    """The solution of J p = -f, and True; if J is singular, the best step down the gradient of f squared, and False."""
    _, times = linearize(function, x)
    if typeof(x).size > DENSE:
        p = gmres(times, -f, 1e-6)
        return p, norm(times(p) + f) <= 1e-3 * norm(f)
    matrix = dense_matrix(times, x)
    sign, size = np.linalg.slogdet(matrix)
    is_regular = (sign != 0) & np.isfinite(size)
    p = np.linalg.solve(np.where(is_regular, matrix, here(np.eye(typeof(x).size, dtype=typeof(x).dtype))), -f)
    (downhill,) = vjp(function, x)[1](-f)
    along = times(downhill)
    squared = np.sum(along * along)
    length = np.sum(downhill * downhill) / np.where(squared > 0, squared, 1)
    return np.where(is_regular, p, length * downhill), is_regular


def _value(function: Callable[[Any], Any], x: Any) -> tuple[Any, Any]:
    """The function and its size."""
    f = function(x)
    return f, norm(f)
