"""The solution of a differential equation at given times, and its derivatives."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

import numpy as np

from ..api.custom_rule import custom_rule
from ..api.grad import jvp, vjp
from ..core.avals import float0, is_inexact
from ..core.trace import typeof
from ..flatten_util import ravel_pytree
from ..lax.loops import scan, while_loop
from ..primitives.selection import stop_gradient
from .dormand_prince import Curve, attempt, error_ratio, first_step, next_step

#: `field(consts, y, t) -> dy/dt` for a list of constants and a vector y. It closes over nothing that is traced.
Field = Callable[[Sequence[Any], Any, Any], Any]

REACHED: Final = 0
TOO_MANY_STEPS: Final = 1
STUCK: Final = 2


class Options(NamedTuple):
    """How to solve: the arguments of odeint."""

    rtol: float
    atol: float
    mxstep: int
    hmax: float
    by_adjoint: bool
    checkpoint: Any
    budget: Any


class Solution(NamedTuple):
    """What solving gave.

    Attributes:
        ys: the values at the times, NaN from the first time on that was not reached.
        failure: REACHED, TOO_MANY_STEPS or STUCK.
        count: how many times were reached.
    """

    ys: Any
    failure: Any
    count: Any


def solution(field: Field, options: Options, consts: Sequence[Any], y0: Any, t: Any) -> Solution:
    """Solve dy/dt = field(consts, y, t) from y0 at t[0]; differentiable in consts, y0 and t."""

    def odeint(consts: Sequence[Any], y0: Any, t: Any) -> tuple[Any, Any, Any]:
        return tuple(solve(field, options, consts, y0, t))

    if not options.by_adjoint:
        return Solution(*odeint(consts, y0, t))
    rules = AdjointRules(field, options, odeint)
    flow = custom_rule(odeint, jvp=rules.push_forward, vjp=(rules.forward, rules.backward))
    return Solution(*flow(list(consts), y0, t))


class State(NamedTuple):
    """Where the solver is.

    Attributes:
        t: how far it got; curve: the last step that led there.
        h: the size of the next step.
        ratio: the error ratio of the last step; is_fresh: whether no attempt has failed since.
        attempts: the number of steps since the last time that was asked for; failure: as in Solution.
    """

    t: Any
    curve: Curve
    h: Any
    ratio: Any
    is_fresh: Any
    attempts: Any
    failure: Any


class Solver:
    """Steps from the first time to the last. How large the steps are is no part of the derivative.

    Attributes:
        f: the derivative of y at a time.
        end: the last time; sign: -1.0 if it is before the first one, else 1.0.
    """

    def __init__(self, f: Callable[[Any, Any], Any], options: Options, end: Any, sign: Any):
        self.f, self.options, self.end, self.sign = f, options, end, sign

    def begin(self, t: Any, y: Any) -> State:
        """At the first time."""
        slope = self.f(y, t)
        h = first_step(self.f, t, y, slope, self.sign, self.options.rtol, self.options.atol)
        curve = Curve(t, self.sign, y, y, slope, slope, slope * 0)
        return State(t, curve, h, np.full_like(h, 1e-4), np.bool_(True), np.int64(0), np.int64(REACHED))

    def is_before(self, state: State, t: Any) -> Any:
        """Whether a time is still to come."""
        return self.sign * (t - state.t) > 0

    def step(self, state: State) -> State:
        """Try a step; without success the next one is smaller."""
        end, sign, curve = self.end, self.sign, state.curve
        h = np.minimum(state.h, self.options.hmax)
        t = np.where(1.01 * h >= sign * (end - state.t), end, state.t + sign * h)
        width = t - state.t
        y, slope = curve.y_new, curve.slope_new
        trial = attempt(self.f, state.t, y, slope, width)
        ratio = error_ratio(trial.error, y, trial.y, self.options.rtol, self.options.atol)
        ratio = ratio.astype(typeof(state.ratio).dtype)
        is_good = ratio <= 1
        is_stuck = (t == state.t) | (~is_good & (state.t + 0.1 * width == state.t))
        taken = Curve(state.t, width, y, trial.y, slope, trial.slope, trial.bend)
        return State(
            t=np.where(is_good, t, state.t),
            curve=Curve(*(np.where(is_good, new, old) for new, old in zip(taken, curve))),
            h=next_step(sign * width, ratio, state.ratio, state.is_fresh),
            ratio=np.where(is_good, np.maximum(ratio, 1e-4), state.ratio),
            is_fresh=is_good,
            attempts=state.attempts + 1,
            failure=np.where(is_stuck, STUCK, state.failure),
        )

    def advance(self, state: State, target: tuple[Any, Any]) -> tuple[State, tuple[Any, Any]]:
        """Step up to a time, given without its derivative and with it: the value there, and whether it was reached."""
        t, moving = target
        mxstep, checkpoint, budget = self.options.mxstep, self.options.checkpoint, self.options.budget
        state = while_loop(
            lambda s: self.is_before(s, t) & (s.attempts < mxstep) & (s.failure == REACHED),
            self.step,
            state._replace(attempts=np.int64(0)),
            checkpoint=checkpoint,
            budget=budget,
        )
        is_late = self.is_before(state, t)
        failure = np.where((state.failure == REACHED) & is_late, TOO_MANY_STEPS, state.failure)
        is_reached = ~is_late & (self.sign * (t - state.curve.start) >= 0)
        y = np.where(is_reached, state.curve.at(moving), np.nan)
        return state._replace(failure=failure), (y, is_reached)


@np.errstate(all="ignore")  # a trial step may well overflow
def solve(field: Field, options: Options, consts: Sequence[Any], y0: Any, t: Any) -> Solution:
    """Step by step, from time to time."""
    if typeof(t).shape[0] == 0:
        return Solution(np.zeros((0, *typeof(y0).shape), typeof(y0).dtype), np.int64(REACHED), np.int64(0))
    times = stop_gradient(t)
    shift = t[0] - times[0]  # zero, but for its derivative: with the first time all steps move
    sign = np.where(times[-1] < times[0], -1.0, 1.0).astype(typeof(t).dtype)
    solver = Solver(lambda y, s: field(consts, y, s + shift), options, times[-1], sign)
    state, (ys, are_reached) = scan(
        solver.advance,
        solver.begin(times[0], y0),
        (times[1:], t[1:] - shift),
        checkpoint=options.checkpoint,
        budget=options.budget,
    )
    return Solution(np.concatenate([y0[None], ys]), state.failure, 1 + np.sum(are_reached))


class AdjointRules:
    """Derivatives of a solution.

    Forwards, tangents go along with the steps. Backwards, the adjoint equation is integrated from the last time to the
    first, together with the solution itself: nothing of the way there is kept. With y' = f(c, y, t), and cotangents
    g_i of the values y_i at t_i, that is

        y' = f,  a' = -f_y^T a,  b' = -f_c^T a,   a jumps by g_i at t_i;

    a and b then arrive as the cotangents of y_0 and c, and t_i has g_i f(c, y_i, t_i) (Pontryagin; Chen, Rubanova,
    Bettencourt, Duvenaud, Neural Ordinary Differential Equations, 2018, appendix B). The equation is itself solved by
    `solution`, so that it can be differentiated again.
    """

    def __init__(self, field: Field, options: Options, through: Callable[..., Any]):
        self.field = field
        self.options = options
        self.through = through

    def push_forward(self, primals: Any, tangents: Any) -> tuple[Any, Any]:
        """The rule for tangents."""
        consts, dy, dt = tangents
        slopes = [t if is_inexact(typeof(c).dtype) else np.zeros(typeof(c).shape, float0)
                  for c, t in zip(primals[0], consts)]  # fmt: skip
        return jvp(self.through, primals, (slopes, dy, dt))

    def forward(self, consts: Sequence[Any], y0: Any, t: Any) -> tuple[Any, Any]:
        """The first half of the rule for cotangents."""
        found = self.through(consts, y0, t)
        return found, (consts, t, found[0])

    def backward(self, residuals: Any, cotangents: Any) -> tuple[Any, Any, Any]:
        """The second half. The equation is solved for cotangents of size one: it is linear, but tolerances are not."""
        consts, t, ys = residuals
        if typeof(t).shape[0] == 0:
            return None, None, None
        largest = stop_gradient(np.max(np.abs(cotangents[0]), initial=0.0))
        scale = np.where(largest > 0, largest, 1.0).astype(largest.dtype)
        g = cotangents[0] / scale
        moving = [c for c in consts if is_inexact(typeof(c).dtype)]
        sums = [c * 0 for c in moving]
        adjoint = AdjointField(self.field, consts, (ys[0], g[0], sums))

        def to_previous(carry: tuple[Any, Any], point: tuple[Any, ...]) -> tuple[Any, Any]:
            (a, sums), (y, g, t, t_before) = carry, point
            start = adjoint.pack((y, a + g, sums))
            found = solution(adjoint, self.options, consts, start, np.stack([t, t_before]))
            _, a, sums = adjoint.unpack(found.ys[-1])
            return (a, sums), self._by_time(consts, y, t, g)

        points = (ys[1:], g[1:], t[1:], t[:-1])
        (a, sums), by_later_times = scan(to_previous, (g[0] * 0, sums), points, reverse=True)
        by_first_time = -self._by_time(consts, ys[0], t[0], a)
        by_t = np.concatenate([by_first_time[None], by_later_times])
        found = iter(sums)
        by_consts = [next(found) * scale if is_inexact(typeof(c).dtype) else c for c in consts]
        return by_consts, (a + g[0]) * scale, by_t * scale

    def _by_time(self, consts: Sequence[Any], y: Any, t: Any, cotangent: Any) -> Any:
        product = np.sum(cotangent * self.field(consts, y, t))
        return np.real(product).astype(typeof(t).dtype)


class AdjointField:
    """The adjoint equation as a field: of the vector that holds y, a and b.

    Args:
        consts, example: the constants, and (y, a, b), of which only the types matter.
    """

    def __init__(self, field: Field, consts: Sequence[Any], example: Any):
        self.field = field
        self.is_moving = [is_inexact(typeof(c).dtype) for c in consts]
        self.unpack = ravel_pytree(example)[1]

    def pack(self, parts: Any) -> Any:
        """(y, a, b) as one vector."""
        return ravel_pytree(parts)[0]

    def __call__(self, consts: Sequence[Any], z: Any, t: Any) -> Any:
        y, a, _ = self.unpack(z)
        moving = [c for c, is_moving in zip(consts, self.is_moving) if is_moving]

        def f(y: Any, moving: Sequence[Any]) -> Any:
            rest = iter(moving)
            return self.field([next(rest) if m else c for c, m in zip(consts, self.is_moving)], y, t)

        dy, pull_back = vjp(f, y, moving)
        by_y, by_moving = pull_back(a)
        return self.pack((dy, -by_y, [-c for c in by_moving]))
