"""odeint: an ordinary differential equation, with derivatives of its solution."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .. import tree
from ..api.arguments import hides_internals, input_leaf, is_concrete, known_value
from ..api.vmap import vmap
from ..core.avals import is_inexact, real_dtype
from ..core.dtypes import finfo, kind_of, result_type
from ..core.jaxpr import eval_jaxpr
from ..core.trace import typeof
from ..core.tracer import Tracer
from ..errors import (
    DtypeMismatchError,
    PytreeMismatchError,
    ShapeMismatchError,
    SolverError,
    TimesError,
)
from ..flatten_util import ravel_pytree
from ..lax.programs import Program, leaf_name, staged
from ..primitives.foundation import convert
from ..tree import structure_text
from .solution import REACHED, TOO_MANY_STEPS, Field, Options, Solution, solution


@hides_internals
def odeint(
    func: Callable[..., Any],
    y0: Any,
    t: Any,
    *args: Any,
    rtol: float = 1.4e-8,
    atol: float = 1.4e-8,
    mxstep: int = 10_000,
    hmax: float = np.inf,
    gradient: str = "adjoint",
    checkpoint: bool | int | str | None = None,
    budget: int | None = None,
) -> Any:
    """The solution of dy/dt = func(y, t, *args) at the times t, from y0 at t[0].

    The method is Dormand and Prince's of order 5, with steps as long as the tolerances allow, and in between the
    polynomials of degree 4 that belong to it. No step goes beyond the last time.

    Everything differentiates with respect to y0, t, args and the traced values that func closes over, forwards and
    backwards, to any order; `vmap`, `jit` and complex values are welcome. Step sizes are no part of derivatives.

    Args:
        func: `func(y, t, *args)` returns dy/dt, a pytree like y. It is traced.
        y0: a pytree of arrays; integers become float64.
        t: a vector of times, none before its predecessor, or none after it.
        args: pytrees that func gets.
        rtol, atol: how large the error of a step may be, relative and absolute; the root mean square over all elements
            of y counts. An rtol below ten rounding errors is raised to that.
        mxstep: the number of steps, from one time to the next, after which to give up.
        hmax: the longest step.
        gradient: how reverse mode works. "adjoint" solves the adjoint equation from the last time to the first, and
            keeps nothing but the values at the times t; its error is of the size of the tolerances. "solver" goes
            backwards through the steps themselves: the derivative of what was computed, but memory grows with their
            number, which `checkpoint` and `budget` bound as in `lax.while_loop`.

    Returns:
        A pytree like y0, each leaf with a leading axis for the times. Where the solver gives up, under `jit` and
        `vmap`, the values from that time on are NaN.

    Raises:
        SolverError: the solver gave up: too many steps, or a solution that is infinite or NaN (outside of `jit` and
            `vmap`, where values are known).
        TimesError: t is no vector, or its times (where they are known) are not in order.
        PytreeMismatchError, ShapeMismatchError, DtypeMismatchError: func returns something unlike y0.

    Example:
        >>> import numpy as np, functrans as ft
        >>> from functrans.integrate import odeint
        >>> def decay(y, t, rate):
        ...     return -rate * y
        >>> t = np.array([0.0, 1.0, 2.0])
        >>> odeint(decay, 1.0, t, 0.5).round(6)
        array([1.      , 0.606531, 0.367879])
        >>> round(float(ft.grad(lambda rate: odeint(decay, 1.0, t, rate)[-1])(0.5)), 6)    # -2 exp(-2 * 0.5)
        -0.735759
    """
    y0 = tree.map(_as_inexact, y0)
    start, unravel = ravel_pytree(y0)
    if not is_inexact(typeof(start).dtype):
        start = start.astype(float)  # there is nothing in it
    dtype = real_dtype(typeof(start).dtype)
    times = _checked_times(t, dtype)
    program = _traced(func, y0, typeof(times).dtype, args)
    field = _field(program, unravel, typeof(start).dtype)
    if not (rtol >= 0 and atol >= 0 and rtol + atol > 0 and hmax > 0 and mxstep >= 1):
        raise ValueError(f"rtol={rtol}, atol={atol}, hmax={hmax} and mxstep={mxstep} of odeint are positive")
    options = Options(
        max(float(rtol), 10 * float(finfo(dtype).eps)), float(atol), int(mxstep), float(hmax),
        _is_adjoint(gradient, checkpoint, budget), checkpoint, budget,
    )  # fmt: skip
    consts = [*program.captured, *map(input_leaf, tree.leaves(args))]
    found = solution(field, options, consts, start, times)
    _check_arrival(found, times, options)
    return vmap(unravel)(found.ys)


def _as_inexact(x: Any) -> Any:
    x = input_leaf(x)
    aval = typeof(x)
    if is_inexact(aval.dtype):
        return convert(x, dtype=aval.dtype) if aval.weak else x
    return convert(x, dtype=np.dtype(float))


def _is_adjoint(gradient: Any, checkpoint: Any, budget: Any) -> bool:
    if gradient not in ("adjoint", "solver"):
        raise ValueError(f'gradient is "adjoint" or "solver", not {gradient!r}')
    if gradient == "adjoint" and not (checkpoint is None and budget is None):
        raise ValueError('checkpoint= and budget= are for gradient="solver": the adjoint equation keeps nothing')
    return gradient == "adjoint"


def _checked_times(t: Any, dtype: np.dtype[Any]) -> Any:
    """The times in a precision that is enough for y."""
    t = input_leaf(t) if isinstance(t, Tracer) else np.asarray(t)
    aval = typeof(t)
    if len(aval.shape) != 1 or kind_of(aval.dtype) not in "fiu":
        raise TimesError(
            f"odeint was given times of type {aval}.",
            "They are a vector of real numbers, of which the first belongs to y0.",
            "Write `np.array([0.0, 1.0])` for the solution at 1 from y0 at 0.",
        )
    if is_concrete([t]):
        steps = np.diff(t)
        if not np.all(np.isfinite(t)) or (np.any(steps > 0) and np.any(steps < 0)):
            raise TimesError(
                f"odeint was given times that are not in order: {_first_disorder(t)}.",
                "The solver goes from each time to the next, in one direction.",
                "Sort them (`np.sort(t)`); solve from y0 to both sides by two calls.",
            )
    floating = aval.dtype if kind_of(aval.dtype) == "f" else np.dtype(float)
    return convert(t, dtype=result_type(floating, dtype))


def _first_disorder(t: np.ndarray[Any, Any]) -> str:
    """The place where times are no longer in order."""
    if not np.all(np.isfinite(t)):
        i = int(np.argmin(np.isfinite(t)))
        return f"t[{i}] is {t[i]}"
    steps = np.sign(np.diff(t))
    moving = np.flatnonzero(steps)
    i = int(moving[np.argmax(steps[moving] != steps[moving[0]])])
    return f"t[{i}] is {t[i]}, t[{i + 1}] is {t[i + 1]}, but t[0] is {t[0]}"


def _traced(func: Callable[..., Any], y0: Any, time: np.dtype[Any], args: tuple[Any, ...]) -> Program:
    """The right side as a program of the leaves of y, of t and of the leaves of args; checked."""
    leaves, y_tree = tree.flatten(y0)
    args_tree = tree.structure(args)
    count = len(leaves)

    def rebuild(flat: Sequence[Any]) -> Sequence[Any]:
        return y_tree.unflatten(flat[:count]), flat[count], *args_tree.unflatten(flat[count + 1 :])

    avals = [typeof(x) for x in leaves]
    given = [typeof(input_leaf(x)) for x in tree.leaves(args)]
    program = staged(func, rebuild, [*avals, typeof(time.type(0)), *given])
    if program.out_tree != y_tree:
        raise PytreeMismatchError(
            "The right side of the differential equation returned the structure "
            f"{structure_text(program.out_tree)} for y of structure {structure_text(y_tree)}.",
            "dy/dt is a pytree like y.",
            "Return a pytree like the first argument.",
            source=program.source_of(0),
        )
    for position, (have, want) in enumerate(zip(program.jaxpr.out_avals, avals)):
        if have.shape != want.shape:
            raise ShapeMismatchError(
                f"The right side of the differential equation returned {have} for {leaf_name(y_tree, position)} of y, "
                f"which is {want}.",
                "dy/dt has the shapes of y.",
                "Return an array of that shape, or start with a y0 of the other one.",
                source=program.source_of(position),
            )
        if have.dtype.kind == "c" and want.dtype.kind != "c":
            raise DtypeMismatchError(
                f"The right side of the differential equation returned {have} for {leaf_name(y_tree, position)} of y, "
                f"which is {want}.",
                "A real solution has a real derivative.",
                "Start with a complex y0 (`y0.astype(complex)`).",
                source=program.source_of(position),
            )
    return program


def _field(program: Program, unravel: Callable[[Any], Any], dtype: np.dtype[Any]) -> Field:
    """The right side as a function of a vector."""
    captured = len(program.captured)

    def field(consts: Sequence[Any], y: Any, t: Any) -> Any:
        leaves = tree.leaves(unravel(y))
        outs = eval_jaxpr(program.jaxpr, *consts[:captured], *leaves, t, *consts[captured:])
        vector, _ = ravel_pytree(outs)
        return convert(vector, dtype=dtype)

    return field


def _check_arrival(found: Solution, times: Any, options: Options) -> None:
    """Raise SolverError if the solver gave up and that is known here."""
    failure = known_value(found.failure)
    if failure is None or failure == REACHED:
        return
    count = int(known_value(found.count))
    target = f"t[{count}]"
    t = known_value(times)
    if t is not None:
        target += f" = {t[count]:g}"
    if failure == TOO_MANY_STEPS:
        raise SolverError(
            f"The differential equation was not solved as far as {target}: {options.mxstep} steps after the time "
            "before it were not enough.",
            "Steps become short where the solution changes fast, or where the equation is stiff.",
            "Allow for more steps (mxstep), more error (rtol, atol), or ask for more times in between.",
        )
    raise SolverError(
        f"The differential equation was not solved as far as {target}: the steps became too short.",
        "The solution or its derivative is infinite or NaN on the way there, or not continuous.",
        "Look at what the right side returns, and where the solution ends.",
    )

