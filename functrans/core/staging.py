"""Staging: run a function on tracers that record equations, and get a jaxpr."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any, Final, NoReturn

from ..source import current_source
from .avals import ShapedArray, as_supported_array
from .conversion import abstract_value_error
from .jaxpr import Atom, Eqn, Jaxpr, Literal, Var, literal
from .primitive import Primitive
from .snapshot import Snapshots
from .trace import EVAL, Params, Trace, Traced, current_trace, running
from .tracer import Tracer, argument


class JaxprTracer(Tracer):
    """A variable of the jaxpr that is being recorded."""

    __slots__ = ("aval", "var")
    payload = ("aval", "var")

    def __init__(self, trace: Trace, aval: ShapedArray, var: Var | None = None):
        self.trace = trace
        self.aval = aval
        self.var = Var(aval) if var is None else var

    def concrete(self, wanted: str) -> NoReturn:
        abstract_value_error(self, wanted)


#: Who uses a value that is returned, for messages.
_RESULT: Final = SimpleNamespace(name="return")


class JaxprTrace(Trace):
    """Records every primitive as an equation, whether or not its operands are of this trace."""

    __slots__ = ("captured", "eqns", "snapshots")

    def __init__(self, parent: Trace):
        self.parent = parent
        self.eqns: list[Eqn] = []
        self.captured: dict[int, tuple[Var, Any]] = {}
        self.snapshots = Snapshots()

    def process(self, primitive: Primitive, args: Sequence[Any], params: Params) -> list[Any]:
        return primitive.stage(self, args, params)

    def record(self, primitive: Primitive, args: Sequence[Any], params: Params) -> list[JaxprTracer]:
        """Append an equation; its results."""
        atoms = [self.atom(a, primitive) for a in args]
        out_avals = primitive.abstract_eval(*[a.aval for a in atoms], **params)
        tracers = [JaxprTracer(self, aval) for aval in out_avals]
        self.eqns.append(Eqn(primitive, atoms, params, [t.var for t in tracers], current_source()))
        return tracers

    def atom(self, value: Any, user: Any = _RESULT) -> Atom:
        """A value as an operand: a variable if it is traced, here or outside, and a constant otherwise."""
        if isinstance(value, JaxprTracer) and value.trace is self:
            return value.var
        if isinstance(value, Traced):
            if not self.is_inside(value.trace):
                raise value.trace.leak_error(value, user)
            return self.captured.setdefault(id(value), (Var(value.aval), value))[0]
        return literal(self.snapshots.of(as_supported_array(value)))

    def is_inside(self, other: Trace) -> bool:
        """Whether another trace encloses this one, so that its tracers may be captured."""
        trace = self.parent
        while trace is not other and trace is not EVAL:
            trace = trace.parent
        return trace is other

    def pure(self, value: Any) -> Any:
        atom = self.atom(value)
        if isinstance(atom, Var):
            return JaxprTracer(self, atom.aval, atom)
        return _constant(self, atom)


def _constant(trace: JaxprTrace, constant: Literal) -> JaxprTracer:
    """A constant as a tracer: its variable is bound to the literal when the jaxpr is closed."""
    tracer = JaxprTracer(trace, constant.aval)
    trace.captured[id(tracer.var)] = (tracer.var, constant.value)
    return tracer


def trace_to_jaxpr(function: Callable[..., Sequence[Any]], avals: Sequence[ShapedArray]) -> tuple[Jaxpr, list[Any]]:
    """Record what a function does with arguments of the given types.

    Args:
        function: takes one value for each type, and returns a sequence of values.

    Returns:
        The jaxpr, whose leading inputs stand for the tracers of enclosing traces that the function captured, and
        those tracers.
    """
    trace = JaxprTrace(current_trace.get())
    inputs = [JaxprTracer(trace, aval) for aval in avals]
    with running(trace):
        outputs = [trace.atom(out) for out in function(*[argument(t) for t in inputs])]
    tracers = [(var, value) for var, value in trace.captured.values() if isinstance(value, Traced)]
    constants = [(var, value) for var, value in trace.captured.values() if not isinstance(value, Traced)]
    literals = {var: Literal(value, var.aval) for var, value in constants}
    eqns = substitute(trace.eqns, literals) if literals else trace.eqns
    outputs = [literals.get(a, a) if isinstance(a, Var) else a for a in outputs]
    jaxpr = Jaxpr([var for var, _ in tracers] + [t.var for t in inputs], eqns, outputs)
    return jaxpr, [value for _, value in tracers]


def substitute(eqns: Sequence[Eqn], literals: dict[Var, Literal]) -> list[Eqn]:
    """The same equations with some variables replaced by constants."""
    return [
        eqn._replace(inputs=[literals.get(a, a) if isinstance(a, Var) else a for a in eqn.inputs]) for eqn in eqns
    ]


def trace_closed(function: Callable[..., Sequence[Any]], avals: Sequence[ShapedArray]) -> Jaxpr:
    """The jaxpr of a function that captures no tracer."""
    jaxpr, captured = trace_to_jaxpr(function, avals)
    assert not captured, "a derived jaxpr captured a tracer"
    return jaxpr


