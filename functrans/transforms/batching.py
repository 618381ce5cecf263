"""Batching: every lane of a mapped function at once. The mapped axis always leads (docs/design/0002)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..core.avals import ShapedArray
from ..core.conversion import abstract_value_error, lossy_conversion_error
from ..core.jaxpr import Jaxpr, eval_jaxpr, memoized
from ..core.primitive import Primitive
from ..core.selected import Selected
from ..core.staging import call_staged, trace_closed
from ..core.trace import Params, Trace, Traced, current_trace, running, typeof
from ..core.tracer import Tracer, argument
from ..core.truth import Undecided, truth_value
from ..primitives.foundation import broadcast_lanes


class BatchTracer(Tracer):
    """The values of all lanes, along a leading axis; or one value for all lanes, if not mapped."""

    __slots__ = ("mapped", "value")
    payload = ("value", "mapped")

    def __init__(self, trace: Trace, value: Any, mapped: bool):
        self.trace = trace
        self.value = value
        self.mapped = mapped

    @property
    def aval(self) -> ShapedArray:  # type: ignore[override]
        aval = typeof(self.value)
        return aval.without_lanes() if self.mapped else aval

    def concrete(self, wanted: str) -> Any:
        if self.mapped:
            if wanted == "bool":
                return truth_value(self)
            if wanted == "index":
                abstract_value_error(self, wanted)
            lossy_conversion_error(self, wanted, "batch")
        return self.value.concrete(wanted) if isinstance(self.value, Tracer) else self.value

    def __repr__(self) -> str:
        return f"BatchTracer<{self.aval}, {'mapped' if self.mapped else 'unmapped'}, {self.value!r}>"


class BatchTrace(Trace):
    """Applies each primitive's batch rule.

    Attributes:
        undecided: the signal that Python wanted to go one way or the other by the truth value of a lane.
    """

    __slots__ = ("axis_name", "axis_size", "undecided")

    def __init__(self, parent: Trace, axis_size: int, axis_name: Any = None):
        self.parent = parent
        self.axis_size = axis_size
        self.axis_name = axis_name
        self.undecided: Undecided | None = None

    def process(self, primitive: Primitive, args: Sequence[Any], params: Params) -> list[Any]:
        values: list[Any] = []
        mapped: list[bool] = []
        own = False
        for arg in args:
            if type(arg) is BatchTracer and arg.trace is self:
                own = True
                values.append(arg.value)
                mapped.append(arg.mapped)
            elif type(arg) is Selected:
                arg.uncounted()
            else:
                values.append(arg)
                mapped.append(False)
        names_axis = self.axis_name is not None and (
            primitive.may_name_axes or primitive.uses_axis(self.axis_name, params)
        )
        token = current_trace.set(self.parent)
        try:
            if names_axis:
                outs, out_mapped = primitive.batch_named(self.axis_name, self.axis_size, values, mapped, **params)
            elif True in mapped:
                outs, out_mapped = primitive.batch(self.axis_size, values, mapped, **params)
            else:
                outs = self.parent.process(primitive, values, params)
                if not own:
                    return outs
                out_mapped = [False] * len(outs)
        finally:
            current_trace.reset(token)
        return [BatchTracer(self, out, is_mapped) for out, is_mapped in zip(outs, out_mapped)]

    def pure(self, value: Any) -> BatchTracer:
        return BatchTracer(self, value, False)

    def decide(self, predicate: Traced) -> None:
        if predicate.trace is self:
            self.undecided = Undecided(self, predicate)
            raise self.undecided

    def split(self, value: Any) -> tuple[Any, bool]:
        """A value and whether it has a leading axis of lanes."""
        if type(value) is BatchTracer and value.trace is self:
            return value.value, value.mapped
        return value, False


def batch_flat(
    function: Callable[..., Sequence[Any]],
    size: int,
    values: Sequence[Any],
    mapped: Sequence[bool],
    axis_name: Any = None,
) -> tuple[list[Any], list[bool]]:
    """Run a function of flat arguments on all lanes at once: results, and which of them have a leading axis.

    If it decides by the truth value of a lane (`if`), it is staged for one lane first, and the jaxpr is run.
    """
    trace = BatchTrace(current_trace.get(), size, axis_name)
    args = [argument(BatchTracer(trace, v, True)) if m else v for v, m in zip(values, mapped, strict=True)]
    with running(trace):
        results: Sequence[Any] = ()
        try:
            results = function(*args)
        except (Undecided, Exception):
            if trace.undecided is None or trace.undecided.is_handled:
                raise
        if trace.undecided is not None and not trace.undecided.is_handled:
            results = call_staged(function, args, mapped)
        outs = [trace.split(out) for out in results]
    return [out for out, _ in outs], [is_mapped for _, is_mapped in outs]


@memoized
def batch_jaxpr(
    jaxpr: Jaxpr,
    size: int,
    mapped: tuple[bool, ...],
    all_mapped: tuple[bool, ...] | None = None,
    axis_name: Any = None,
) -> tuple[Jaxpr, tuple[bool, ...]]:
    """The jaxpr that does all lanes at once, and which of its results have a leading axis.

    Args:
        mapped: which inputs have a leading axis of extent `size`.
        all_mapped: results that must have the leading axis, broadcast if they do not need it.
    """
    out_mapped: list[bool] = []

    def function(*args: Any) -> list[Any]:
        outs, are_mapped = batch_flat(lambda *xs: eval_jaxpr(jaxpr, *xs), size, args, mapped, axis_name)
        forced = all_mapped or (False,) * len(outs)
        out_mapped[:] = [m or f for m, f in zip(are_mapped, forced)]
        return [
            broadcast_lanes(out, size) if f and not m else out for out, m, f in zip(outs, are_mapped, forced)
        ]

    avals = [a.with_lanes(size) if is_mapped else a for a, is_mapped in zip(jaxpr.in_avals, mapped)]
    return trace_closed(function, avals), tuple(out_mapped)
