"""Forward mode: a value and its tangent, together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..core.avals import SCALARS, ZERO, ShapedArray
from ..core.cells import argument
from ..core.conversion import lossy_conversion_error
from ..core.devices import here, is_device_type
from ..core.jaxpr import Jaxpr, eval_jaxpr, memoized
from ..core.primitive import Primitive
from ..core.selected import Selected
from ..core.staging import trace_closed
from ..core.trace import Params, Trace, current_trace, running, typeof
from ..core.tracer import Tracer
from ..primitives.foundation import instantiate, match


class JVPTracer(Tracer):
    """A primal and its tangent, which may be ZERO; and what the primitive that made them noted for later ones."""

    __slots__ = ("note", "primal", "tangent")
    payload = ("primal", "tangent", "note")

    def __init__(self, trace: Trace, primal: Any, tangent: Any, note: Any = None):
        self.trace = trace
        self.primal = primal
        self.tangent = tangent
        self.note = note

    @property
    def aval(self) -> ShapedArray:
        return typeof(self.primal)

    def concrete(self, wanted: str) -> Any:
        if wanted not in ("bool", "index") and self.tangent is not ZERO:
            lossy_conversion_error(self, wanted, "derivative")
        primal = self.primal
        return primal.concrete(wanted) if isinstance(primal, Tracer) else primal

    def __repr__(self) -> str:
        return f"JVPTracer<primal={self.primal!r}, tangent={self.tangent!r}>"


class JVPTrace(Trace):
    """Applies each primitive's jvp rule.

    Args:
        user_arrays: where to note the arrays that the traced function brought in from outside; a linear program
            recorded behind this trace copies those before it keeps them.
    """

    __slots__ = ("user_arrays",)

    def __init__(self, parent: Trace, user_arrays: dict[int, Any] | None = None):
        self.parent = parent
        self.user_arrays = user_arrays

    def process(self, primitive: Primitive, args: Sequence[Any], params: Params) -> list[Any]:
        primals: list[Any] = []
        tangents: list[Any] = []
        notes: list[Any] = []
        own = active = False
        for arg in args:
            if type(arg) is JVPTracer and arg.trace is self:
                own = True
                tangent = arg.tangent
                if tangent is not ZERO:
                    active = True
                primals.append(arg.primal)
                tangents.append(tangent)
                notes.append(arg.note)
            else:
                primals.append(arg if type(arg) in SCALARS else self.brought_in(arg))
                tangents.append(ZERO)
                notes.append(None)
        token = current_trace.set(self.parent)
        try:
            if not active:
                outs = self.parent.process(primitive, primals, params)
                out_tangents, out_notes = [ZERO] * len(outs), [None] * len(outs)
            elif primitive.takes_notes:
                outs, out_tangents, out_notes = primitive.jvp_noting(primals, tangents, notes, **params)
            else:
                outs, out_tangents = primitive.jvp(primals, tangents, **params)
                out_notes = [None] * len(outs)
        finally:
            current_trace.reset(token)
        if not own:
            return outs
        if len(outs) == 1:  # as most have
            return [JVPTracer(self, outs[0], out_tangents[0], out_notes[0])]
        return [JVPTracer(self, y, dy, note) for y, dy, note in zip(outs, out_tangents, out_notes)]

    def brought_in(self, value: Any) -> Any:
        """An operand that is no tracer of this trace, as the parent is to have it."""
        if type(value) is list or type(value) is tuple:
            return here(np.asarray(value))
        if type(value) is Selected:
            value.uncounted()
        elif self.user_arrays is not None and (type(value) is np.ndarray or is_device_type(type(value))):
            self.user_arrays[id(value)] = value
        return value

    def pure(self, value: Any) -> JVPTracer:
        if self.user_arrays is not None and (type(value) is np.ndarray or is_device_type(type(value))):
            self.user_arrays[id(value)] = value
        return JVPTracer(self, value, ZERO)

    def split(self, value: Any) -> tuple[Any, Any]:
        """The primal and tangent of any value."""
        if type(value) is JVPTracer and value.trace is self:
            return value.primal, value.tangent
        return value, ZERO


def jvp_flat(
    function: Callable[..., Sequence[Any]], primals: Sequence[Any], tangents: Sequence[Any]
) -> tuple[list[Any], list[Any]]:
    """Results and tangents of a function of flat arguments; tangents may be ZERO."""
    return run_jvp(JVPTrace(current_trace.get()), function, primals, tangents)


def run_jvp(
    trace: JVPTrace, function: Callable[..., Sequence[Any]], primals: Sequence[Any], tangents: Sequence[Any]
) -> tuple[list[Any], list[Any]]:
    """The same in a trace that is given."""
    args: list[Any] = []
    for p, t in zip(primals, tangents):
        args.append(p if t is ZERO else argument(JVPTracer(trace, p, t)))
    results: list[Any] = []
    out_tangents: list[Any] = []
    with running(trace):
        for out in function(*args):
            y, dy = trace.split(out)
            results.append(y)
            out_tangents.append(dy)
    return results, out_tangents


@memoized
def jvp_jaxpr(
    jaxpr: Jaxpr, active: tuple[bool, ...], forced: tuple[bool, ...] | None = None
) -> tuple[Jaxpr, tuple[bool, ...]]:
    """The jaxpr `primals, active tangents -> results, active result tangents`, and which of the latter are active.

    Args:
        forced: results that must have a tangent, zeros if need be.
    """
    out_active: list[bool] = []

    def function(*args: Any) -> list[Any]:
        primals, rest = args[: len(active)], iter(args[len(active) :])
        outs, tangents = jvp_flat(
            lambda *xs: eval_jaxpr(jaxpr, *xs), primals, [next(rest) if is_active else ZERO for is_active in active]
        )
        if forced is not None:
            tangents = [
                match(instantiate(t, a.strong()), y) if is_forced else t
                for t, y, a, is_forced in zip(tangents, outs, jaxpr.out_avals, forced)
            ]
        out_active[:] = [t is not ZERO for t in tangents]
        return [*outs, *(t for t in tangents if t is not ZERO)]

    avals = jaxpr.in_avals
    derived = trace_closed(function, avals + [a.strong() for a, is_active in zip(avals, active) if is_active])
    return derived, tuple(out_active)
