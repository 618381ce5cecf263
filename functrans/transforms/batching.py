"""Batching: every lane of a mapped function at once. The mapped axis always leads (docs/design/0002)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..core.avals import INT, ShapedArray
from ..core.cells import argument
from ..core.conversion import abstract_value_error, lossy_conversion_error
from ..core.jaxpr import Jaxpr, eval_jaxpr, memoized
from ..core.primitive import Primitive
from ..core.selected import Selected
from ..core.staging import call_staged, trace_closed
from ..core.trace import Params, Trace, Traced, current_trace, running, typeof
from ..core.tracer import Tracer
from ..core.truth import Undecided, truth_value
from ..primitives.foundation import Elementwise, broadcast_lanes, convert
from ..primitives.python_operators import fitting


class BatchTracer(Tracer):
    """The values of all lanes, along a leading axis; or one value for all lanes, if not mapped.

    Attributes:
        weak: whether the values of lanes are Python scalars, though the array of all of them has a dtype.
    """

    __slots__ = ("mapped", "value", "weak")
    payload = ("value", "mapped", "weak")

    def __init__(self, trace: Trace, value: Any, mapped: bool, weak: bool = False):
        self.trace = trace
        self.value = value
        self.mapped = mapped
        self.weak = weak

    @property
    def aval(self) -> ShapedArray:
        aval = typeof(self.value)
        if not self.mapped:
            return aval
        return ShapedArray((), aval.dtype, True) if self.weak else aval.without_lanes()

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
        own = weak = False
        for arg in args:
            if type(arg) is BatchTracer and arg.trace is self:
                own = True
                weak = weak or arg.weak
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
            if weak and isinstance(primitive, Elementwise):
                values = self.cast(primitive, args, values)
            if names_axis:
                outs, out_mapped = primitive.batch_named(self.axis_name, self.axis_size, values, mapped, **params)
            elif True in mapped:
                outs, out_mapped = primitive.batch(self.axis_size, values, mapped, **params)
            else:
                outs = self.parent.process(primitive, values, params)
                if not own:
                    return outs
                return [BatchTracer(self, out, False) for out in outs]
            if weak or primitive.may_be_weak:
                return self.of_lanes(primitive.abstract_eval(*map(typeof, args), **params), outs, out_mapped)
        finally:
            current_trace.reset(token)
        return [BatchTracer(self, out, is_mapped) for out, is_mapped in zip(outs, out_mapped)]

    def cast(self, function: Elementwise, args: Sequence[Any], values: Sequence[Any]) -> list[Any]:
        """Operands of a function, lanes of Python scalars in the dtypes that it casts those to, if it casts any."""
        avals = list(map(typeof, args))
        if all(aval.weak for aval in avals):
            return list(values)
        return [
            self.cast_lanes(value, arg.aval, dtype, function.name) if type(arg) is BatchTracer and arg.weak else value
            for arg, value, dtype in zip(args, values, function.resolve_dtypes(avals))
        ]

    def cast_lanes(self, value: Any, aval: Any, dtype: Any, user: str) -> Any:
        """Lanes of Python scalars in a dtype, which must have them if they are integers."""
        is_integer = aval.dtype == INT and dtype.kind in "iu"
        return fitting(value, dtype, user) if is_integer else convert(value, dtype=dtype)

    def of_lanes(self, avals: Sequence[Any], outs: Sequence[Any], mapped: Sequence[bool]) -> list[Any]:
        """Results in the dtypes that they have in each lane for itself, where weak operands take those of others."""
        found: list[Any] = []
        for aval, out, is_mapped in zip(avals, outs, mapped):
            if is_mapped and typeof(out).dtype != aval.dtype:
                out = convert(out, dtype=aval.dtype)
            found.append(BatchTracer(self, out, is_mapped, is_mapped and aval.weak))
        return found

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
    weak: Sequence[bool] | None = None,
) -> tuple[list[Any], list[bool]]:
    """Run a function of flat arguments on all lanes at once: results, and which of them have a leading axis.

    If it decides by the truth value of a lane (`if`), it is staged for one lane first, and the jaxpr is run.

    Args:
        weak: which arguments are Python scalars in each lane.
    """
    trace = BatchTrace(current_trace.get(), size, axis_name)
    args = [
        argument(BatchTracer(trace, v, True, w)) if m else v
        for v, m, w in zip(values, mapped, weak or [False] * len(values), strict=True)
    ]
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
        weak = [aval.weak for aval in jaxpr.in_avals]
        outs, are_mapped = batch_flat(lambda *xs: eval_jaxpr(jaxpr, *xs), size, args, mapped, axis_name, weak)
        forced = all_mapped or (False,) * len(outs)
        out_mapped[:] = [m or f for m, f in zip(are_mapped, forced)]
        return [
            broadcast_lanes(out, size) if f and not m else out for out, m, f in zip(outs, are_mapped, forced)
        ]

    avals = [a.with_lanes(size) if is_mapped else a for a, is_mapped in zip(jaxpr.in_avals, mapped)]
    return trace_closed(function, avals), tuple(out_mapped)
