"""BFGS, L-BFGS and Newton-CG as loops that can be traced (Nocedal and Wright, Numerical Optimization, 2nd edition)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ..api.grad import grad, linearize, value_and_grad
from ..core.devices import here
from ..core.dtypes import finfo
from ..core.trace import typeof
from ..lax.loops import scan, while_loop
from .line_search import line_search
from .linear import conjugate_gradients, largest
from .result import CONVERGED, NOT_A_NUMBER, RUNNING, STALLED, TOO_MANY_ITERATIONS

Objective = Callable[[Any], Any]


class Method:
    """How to choose a direction, from what the steps before have shown. `memory` is a pytree, maybe an empty one."""

    def start(self, x: Any) -> Any:
        """What is known at first."""
        return ()

    def direction(self, objective: Objective, memory: Any, x: Any, g: Any) -> Any:
        """Where to go from x."""
        raise NotImplementedError

    def learned(self, memory: Any, s: Any, y: Any) -> Any:
        """What is known after a step s that changed the gradient by y."""
        return memory

    def first_length(self, g: Any, is_first: Any) -> Any:
        """Which part of the direction to try first."""
        size = np.sqrt(np.sum(g * g))
        return np.where(is_first & (size > 1), 1 / np.where(size > 1, size, 1), 1).astype(typeof(g).dtype)


class BFGS(Method):
    """The inverse of the Hessian is estimated from gradients (algorithm 6.1)."""

    class Memory(NamedTuple):
        inverse: Any
        is_empty: Any

    def start(self, x: Any) -> Any:
        aval = typeof(x)
        return self.Memory(here(np.eye(aval.size, dtype=aval.dtype)), np.bool_(True))

    def direction(self, objective: Objective, memory: Any, x: Any, g: Any) -> Any:
        return -(memory.inverse @ g)

    def learned(self, memory: Any, s: Any, y: Any) -> Any:
        is_useful, sy = _curvature(s, y)
        scale = np.where(memory.is_empty & is_useful, sy / np.where(is_useful, np.sum(y * y), 1), 1)
        h = memory.inverse * scale
        hy = h @ y
        u = s / sy
        updated = h - u[:, None] * hy - hy[:, None] * u + (1 + np.sum(y * hy) / sy) * u[:, None] * s
        return self.Memory(np.where(is_useful, updated, h), memory.is_empty & ~is_useful)


class LBFGS(Method):
    """As BFGS, from the last few steps only (algorithm 7.4)."""

    class Memory(NamedTuple):
        steps: Any
        changes: Any
        inverse_products: Any
        scale: Any

    def __init__(self, count: int):
        self.count = count

    def start(self, x: Any) -> Any:
        aval = typeof(x)
        rows = here(np.zeros((self.count, aval.size), aval.dtype))
        return self.Memory(rows, rows, here(np.zeros(self.count, aval.dtype)), np.ones((), aval.dtype)[()])

    def direction(self, objective: Objective, memory: Any, x: Any, g: Any) -> Any:
        pairs = memory.steps, memory.changes, memory.inverse_products

        def down(q: Any, pair: Any) -> tuple[Any, Any]:
            s, y, rho = pair
            alpha = rho * np.sum(s * q)
            return q - alpha * y, alpha

        def up(r: Any, pair: Any) -> tuple[Any, None]:
            (s, y, rho), alpha = pair
            return r + s * (alpha - rho * np.sum(y * r)), None

        q, alphas = scan(down, g, pairs, reverse=True)
        return -scan(up, memory.scale * q, (pairs, alphas))[0]

    def learned(self, memory: Any, s: Any, y: Any) -> Any:
        is_useful, sy = _curvature(s, y)
        updated = self.Memory(
            np.concatenate([memory.steps[1:], s[None]]),
            np.concatenate([memory.changes[1:], y[None]]),
            np.concatenate([memory.inverse_products[1:], (1 / sy)[None]]),
            sy / np.where(is_useful, np.sum(y * y), 1),
        )
        return self.Memory(*(np.where(is_useful, new, old) for new, old in zip(updated, memory)))


class NewtonCG(Method):
    """Newton's equation, solved by conjugate gradients no better than needed (algorithm 7.1)."""

    def direction(self, objective: Objective, memory: Any, x: Any, g: Any) -> Any:
        _, times_hessian = linearize(grad(objective), x)
        size = np.sqrt(np.sum(g * g))
        tolerance = np.minimum(0.5, np.sqrt(size)) * size
        return conjugate_gradients(times_hessian, -g, tolerance, 20 * typeof(x).size)

    def first_length(self, g: Any, is_first: Any) -> Any:
        return np.ones_like(g[0])


def _curvature(s: Any, y: Any) -> tuple[Any, Any]:
    """Whether a step shows a positive curvature, and s y (1 if not)."""
    sy = np.sum(s * y)
    eps = float(finfo(typeof(s).dtype).eps)
    is_useful = sy > eps * np.sqrt(np.sum(s * s) * np.sum(y * y))
    return is_useful, np.where(is_useful, sy, 1)


class Limits(NamedTuple):
    """When to stop: at a gradient, a relative decrease of the value or a mean step as small as this; after maxiter."""

    gtol: float
    ftol: float
    xtol: float
    maxiter: int


class Descent(NamedTuple):
    """Where a method is, and in the end what it found."""

    x: Any
    f: Any
    g: Any
    memory: Any
    nit: Any
    nfev: Any
    status: Any


def descend(objective: Objective, x: Any, method: Method, limits: Limits) -> Descent:
    """Go down from x."""
    both = value_and_grad(objective)

    def is_flat(g: Any) -> Any:
        return largest(g) <= limits.gtol

    def step(now: Descent) -> Descent:
        p = method.direction(objective, now.memory, now.x, now.g)
        p = np.where(np.isfinite(np.sum(p)) & (np.sum(p * now.g) < 0), p, -now.g)
        length = method.first_length(now.g, now.nit == 0)
        point, evaluations = line_search(both, now.x, p, now.f, now.g, length)
        s = point.a * p
        relative = (now.f - point.f) / np.maximum(np.maximum(np.abs(now.f), np.abs(point.f)), 1)
        is_done = is_flat(point.g) | (np.abs(relative) < limits.ftol) | (np.mean(np.abs(s)) < limits.xtol)
        status = np.where(now.nit + 1 >= limits.maxiter, TOO_MANY_ITERATIONS, RUNNING)
        status = np.where(is_done, CONVERGED, status)
        status = np.where(point.a == 0, STALLED, status)
        return Descent(
            now.x + s, point.f, point.g, method.learned(now.memory, s, point.g - now.g), now.nit + 1,
            now.nfev + evaluations, status,
        )  # fmt: skip

    f, g = both(x)
    status = np.where(is_flat(g), CONVERGED, RUNNING if limits.maxiter > 0 else TOO_MANY_ITERATIONS)
    status = np.where(np.isfinite(f) & np.all(np.isfinite(g)), status, NOT_A_NUMBER)
    first = Descent(x, f, g, method.start(x), np.int64(0), np.int64(1), status)
    return while_loop(lambda now: now.status == RUNNING, step, first)
