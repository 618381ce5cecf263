"""Staging: run a function on tracers that record equations, and get a jaxpr."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from .avals import ShapedArray
from .cells import argument
from .conversion import abstract_value_error
from .devices import On
from .jaxpr import Atom, Eqn, Jaxpr, Var, eval_jaxpr
from .paths import Paths, without_constants
from .primitive import Primitive
from .recording import JaxprTrace, JaxprTracer
from .trace import Params, Traced, current_trace, running
from .truth import Undecided


def trace_to_jaxpr(function: Callable[..., Sequence[Any]], avals: Sequence[ShapedArray]) -> tuple[Jaxpr, list[Any]]:
    """Record what a function does with arguments of the given types.

    Where it decides by the truth value of a traced array (`if`), it is run again to go the other way, and the
    equations after the decision become the branches of a `cond`.

    Args:
        function: takes one value for each type, and returns a sequence of values.

    Returns:
        The jaxpr, whose leading inputs stand for the tracers of enclosing traces that the function captured, and
        those tracers.
    """
    inputs = [Var(aval) for aval in avals]
    paths = Paths(function, inputs)
    trace = JaxprTrace(current_trace.get(), paths)
    with On(None):  # constants of programs are on the host, whoever runs them
        eqns, outputs, _ = paths.follow(trace)
    return _closed(trace, inputs, eqns, outputs)


def trace_closed(function: Callable[..., Sequence[Any]], avals: Sequence[ShapedArray]) -> Jaxpr:
    """The jaxpr of a function that captures no tracer. It is run once: it may have side effects.

    Raises:
        ConcretizationError: it decides by the truth value of a traced array.
    """
    inputs = [Var(aval) for aval in avals]
    trace = JaxprTrace(current_trace.get())
    outputs = _run_once(function, inputs, trace)
    jaxpr, captured = _closed(trace, inputs, *without_constants(trace, outputs))
    assert not captured, "a derived jaxpr captured a tracer"
    return jaxpr


def types_of_results(function: Callable[..., Sequence[Any]], avals: Sequence[ShapedArray]) -> list[ShapedArray]:
    """The types of what a function returns for arguments of the given types. It is run once, and computes nothing.

    Raises:
        ConcretizationError: it decides by the truth value of a traced array.
        TooLongError: it does so much that it takes long to trace.
    """
    outputs = _run_once(function, [Var(aval) for aval in avals], BriefTrace(current_trace.get()))
    return [atom.aval for atom in outputs]


class TooLongError(Exception):
    """A function has more equations than are worth recording."""


class BriefTrace(JaxprTrace):
    """Records the equations of functions that have not too many of them."""

    __slots__ = ()
    MOST = 5000

    def record(self, primitive: Primitive, args: Sequence[Any], params: Params) -> list[JaxprTracer]:
        if len(self.eqns) >= self.MOST:
            raise TooLongError
        return super().record(primitive, args, params)


def _run_once(function: Callable[..., Sequence[Any]], inputs: Sequence[Var], trace: JaxprTrace) -> list[Atom]:
    """The results of one run of a function, in a trace."""
    outputs: list[Atom] = []
    with On(None), running(trace):
        try:
            outputs = [trace.atom(out) for out in function(*(argument(JaxprTracer(trace, v.aval, v)) for v in inputs))]
        except Undecided as signal:
            if signal.trace is not trace:
                raise
    if trace.undecided is not None and not trace.undecided.is_handled:
        abstract_value_error(trace.undecided.predicate, "bool")
    return outputs


def _closed(
    trace: JaxprTrace, inputs: Sequence[Var], eqns: Sequence[Eqn], outputs: Sequence[Atom]
) -> tuple[Jaxpr, list[Any]]:
    """A jaxpr that takes what the trace captured before its own inputs; and that."""
    captured = list(trace.captured.values())
    return Jaxpr([*(var for var, _ in captured), *inputs], eqns, outputs), [value for _, value in captured]


def call_staged(function: Callable[..., Sequence[Any]], args: Sequence[Any], abstract: Sequence[bool]) -> list[Any]:
    """`function(*args)` by way of a jaxpr of the abstract arguments, by whose truth values it can then decide."""
    places = [i for i, is_abstract in enumerate(abstract) if is_abstract]

    def function_of_abstract(*given: Any) -> Sequence[Any]:
        full = list(args)
        for i, value in zip(places, given):
            full[i] = value
        return function(*full)

    jaxpr, captured = trace_to_jaxpr(function_of_abstract, [args[i].aval for i in places])
    return eval_jaxpr(jaxpr, *captured, *(args[i] for i in places))


def call_deciding(function: Callable[..., Sequence[Any]], *args: Any) -> Sequence[Any]:
    """`function(*args)`, staged if it decides by a truth value that is not known."""
    try:
        return function(*args)
    except Undecided as signal:
        signal.is_handled = True
    return call_staged(function, args, [isinstance(arg, Traced) for arg in args])
