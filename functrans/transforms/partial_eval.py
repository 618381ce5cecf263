"""Partial evaluation: run what is known now, record what is not. Reverse mode's linear half."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..core.avals import SCALARS, ShapedArray
from ..core.conversion import abstract_value_error
from ..core.devices import is_on_device
from ..core.jaxpr import Atom, Eqn, Jaxpr, Literal, Var, eval_jaxpr, memoized, prune
from ..core.primitive import Primitive
from ..core.snapshot import Snapshots
from ..core.staging import trace_closed
from ..core.trace import EVAL, Params, Trace, Traced, current_trace, running, typeof
from ..core.tracer import Tracer
from ..source import current_source


class UnknownTracer(Tracer):
    """A variable of the program that is being recorded; or a known value in a cell.

    A known value needs no tracer, unless it was made to be assigned into: then `atom` is a literal, until an unknown
    value is assigned.
    """

    __slots__ = ("atom", "aval")
    payload = ("atom", "aval")
    atom: Any

    def __init__(self, trace: Trace, aval: ShapedArray, atom: Atom | None = None):
        self.trace = trace
        self.aval = aval
        self.atom = Var(aval) if atom is None else atom

    def concrete(self, wanted: str) -> Any:
        if type(self.atom) is Var:
            abstract_value_error(self, wanted)
        value = self.atom.value
        return value.concrete(wanted) if isinstance(value, Tracer) else value


class PartialEvalTrace(Trace):
    """Primitives of known operands run in the parent; the others are recorded, known operands as literals.

    Attributes:
        user_arrays: arrays that the traced function brought in and may still write to; they are copied before
            they become residuals.
    """

    __slots__ = ("eqns", "is_staged", "snapshots", "user_arrays")

    def __init__(self, parent: Trace):
        self.parent = parent
        self.is_staged = parent is not EVAL  # only then will anybody read the sources of equations
        self.eqns: list[Eqn] = []
        self.user_arrays: dict[int, Any] = {}
        self.snapshots = parent.shared_snapshots()

    def process(self, primitive: Primitive, args: Sequence[Any], params: Params) -> list[Any]:
        in_cells = False
        for arg in args:
            if type(arg) is UnknownTracer and arg.trace is self:
                if type(arg.atom) is not Var:
                    in_cells = True
                elif primitive.holds_programs:
                    args = self.without_cells(args)
                    return primitive.partial_eval(self, [self.is_unknown(a) for a in args], args, params)
                else:
                    return self.record(primitive, args, params)
        if in_cells:
            return [self.pure(out) for out in self.parent.process(primitive, self.without_cells(args), params)]
        return self.parent.process(primitive, args, params)

    def pure(self, value: Any) -> UnknownTracer:
        atom = self.atom(value)
        return UnknownTracer(self, atom.aval, atom)

    def is_unknown(self, value: Any) -> bool:
        return type(value) is UnknownTracer and value.trace is self and type(value.atom) is Var

    def shared_snapshots(self) -> Snapshots:
        return self.snapshots

    def without_cells(self, values: Sequence[Any]) -> list[Any]:
        """The same values, the known ones as the parent knows them."""
        bare: list[Any] = []
        for x in values:
            in_cell = type(x) is UnknownTracer and x.trace is self and type(x.atom) is not Var
            bare.append(x.atom.value if in_cell else x)
        return bare

    def atom(self, value: Any) -> Atom:
        """An operand of a recorded equation."""
        if type(value) is UnknownTracer and value.trace is self:
            return value.atom
        if id(value) in self.user_arrays:
            value = self.snapshots.of(value)
        return Literal(value, typeof(value))

    def record(self, primitive: Primitive, args: Sequence[Any], params: Params) -> list[UnknownTracer]:
        """Append an equation; its results."""
        atoms: list[Atom] = []
        avals: list[ShapedArray] = []
        for arg in args:
            if type(arg) is UnknownTracer and arg.trace is self:
                atom = arg.atom
            elif type(arg) in SCALARS or id(arg) not in self.user_arrays:
                atom = Literal(arg, typeof(arg))
            else:
                atom = self.atom(arg)
            atoms.append(atom)
            avals.append(atom.aval)
        tracers: list[UnknownTracer] = []
        variables: list[Var] = []
        for aval in primitive.abstract_eval(*avals, **params):
            tracer = UnknownTracer(self, aval)
            tracers.append(tracer)
            variables.append(tracer.atom)
        source = current_source() if self.is_staged else None
        self.eqns.append(tuple.__new__(Eqn, (primitive, atoms, params, variables, source)))
        return tracers


@memoized
def partial_eval_jaxpr(
    jaxpr: Jaxpr, unknown: tuple[bool, ...], forced: tuple[bool, ...] | None = None
) -> tuple[Jaxpr, Jaxpr, tuple[bool, ...]]:
    """Split a jaxpr by what is known.

    Args:
        forced: results that are to count as unknown even if they are known.

    Returns:
        known: `known inputs -> known results, residuals`; rest: `residuals, unknown inputs -> unknown results`;
        and which results are unknown.
    """
    rest: list[Jaxpr] = []
    out_unknown: list[bool] = []

    def known_half(*known: Any) -> list[Any]:
        trace = PartialEvalTrace(current_trace.get())
        given = iter(known)
        inputs = [
            UnknownTracer(trace, aval) if is_unknown else next(given)
            for aval, is_unknown in zip(jaxpr.in_avals, unknown)
        ]
        with running(trace):
            outs = trace.without_cells(eval_jaxpr(jaxpr, *inputs))
        out_unknown[:] = [trace.is_unknown(out) for out in outs]
        if forced is not None:
            out_unknown[:] = [a or b for a, b in zip(out_unknown, forced)]
        linear, residuals = close_over_residuals(
            trace.eqns,
            [x.atom for x, is_unknown in zip(inputs, unknown) if is_unknown],
            [trace.atom(out) for out, is_unknown in zip(outs, out_unknown) if is_unknown],
        )
        rest[:] = [linear]
        return [out for out, is_unknown in zip(outs, out_unknown) if not is_unknown] + residuals

    known = trace_closed(known_half, [a for a, is_unknown in zip(jaxpr.in_avals, unknown) if not is_unknown])
    return known, rest[0], tuple(out_unknown)


def close_over_residuals(
    eqns: Sequence[Eqn], inputs: Sequence[Var], outputs: Sequence[Atom], numbers: bool = False
) -> tuple[Jaxpr, list[Any]]:
    """The jaxpr `residuals, inputs -> outputs` of recorded equations, and the residuals (tracers and arrays).

    Args:
        numbers: whether those of NumPy are residuals too, so that all points have one program.
    """
    residuals: dict[int, tuple[Var, Any]] = {}

    def close(atom: Atom) -> Atom:
        if type(atom) is not Literal:
            return atom
        if isinstance(atom.value, Traced) or np.ndim(atom.value) or is_on_device(atom.value):
            return residuals.setdefault(id(atom.value), (Var(typeof(atom.value)), atom.value))[0]
        if numbers and isinstance(atom.value, (np.generic, np.ndarray)):  # True and False are one object each
            return residuals.setdefault(id(atom), (Var(typeof(atom.value)), atom.value))[0]
        return atom

    closed = [eqn._replace(inputs=[close(a) for a in eqn.inputs]) for eqn in prune(eqns, outputs)]
    closed_outputs = [close(a) for a in outputs]
    jaxpr = Jaxpr([var for var, _ in residuals.values()] + list(inputs), closed, closed_outputs)
    return jaxpr, [value for _, value in residuals.values()]


def partial_eval_flat(
    function: Callable[..., Sequence[Any]], avals: Sequence[ShapedArray]
) -> tuple[PartialEvalTrace, list[UnknownTracer], list[Any]]:
    """Run a function on unknown arguments: the trace with what was recorded, the arguments, the results."""
    trace = PartialEvalTrace(current_trace.get())
    inputs = [UnknownTracer(trace, aval) for aval in avals]
    with running(trace):
        outs = list(function(*inputs))
    return trace, inputs, outs
