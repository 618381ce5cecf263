"""JaxprTrace: records what a function does as equations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..source import current_source
from .avals import SCALARS, ShapedArray
from .conversion import abstract_value_error
from .devices import is_on_device
from .jaxpr import Atom, Eqn, Literal, Var, literal
from .primitive import Primitive
from .trace import Params, Trace, Traced, as_supported_array, typeof
from .tracer import Tracer
from .truth import Undecided, truth_value

if TYPE_CHECKING:
    from .paths import Decision, Paths
    from .snapshot import Snapshots


class JaxprTracer(Tracer):
    """A variable of the jaxpr that is being recorded."""

    __slots__ = ("aval", "variable")
    payload = ("aval", "variable")

    def __init__(self, trace: Trace, aval: ShapedArray, variable: Var | None = None):
        self.trace = trace
        self.aval = aval
        self.variable = Var(aval) if variable is None else variable

    def concrete(self, wanted: str) -> bool:
        return truth_value(self) if wanted == "bool" else abstract_value_error(self, wanted)


class JaxprTrace(Trace):
    """Records every primitive as an equation, whether or not its operands are of this trace.

    Attributes:
        captured: variables for tracers of enclosing traces, by what those hold, and for arrays on a GPU.
        constants: variables for constants that were made tracers; they are replaced when the jaxpr is closed.
        paths: follows both outcomes where Python decides by a value that is not known; None: nobody does.
        decisions: how that went so far.
        undecided: the signal that was sent because nobody does.
    """

    __slots__ = ("captured", "constants", "decisions", "eqns", "paths", "snapshots", "undecided")

    def __init__(self, parent: Trace, paths: Paths | None = None):
        self.parent = parent
        self.paths = paths
        self.eqns: list[Eqn] = []
        self.captured: dict[Any, tuple[Var, Any]] = {}
        self.constants: list[tuple[Var, Any]] = []
        self.decisions: list[Decision] = []
        self.snapshots = parent.shared_snapshots()
        self.undecided: Undecided | None = None

    def process(self, primitive: Primitive, args: Sequence[Any], params: Params) -> list[Any]:
        return primitive.stage(self, args, params)

    def record(self, primitive: Primitive, args: Sequence[Any], params: Params) -> list[JaxprTracer]:
        """Append an equation; its results."""
        atoms: list[Atom] = []
        avals: list[ShapedArray] = []
        for arg in args:
            is_own = type(arg) is JaxprTracer and arg.trace is self
            atom = arg.variable if is_own else self.atom(arg, primitive)
            atoms.append(atom)
            avals.append(atom.aval)
        tracers: list[JaxprTracer] = []
        variables: list[Var] = []
        for aval in primitive.abstract_eval(*avals, **params):
            variable = Var(aval)
            variables.append(variable)
            tracers.append(JaxprTracer(self, aval, variable))
        self.eqns.append(tuple.__new__(Eqn, (primitive, atoms, params, variables, current_source())))
        return tracers

    def atom(self, value: Any, user: Any = "return") -> Atom:
        """A value as an operand: a variable if it is traced, here or outside, and a constant otherwise."""
        if isinstance(value, Traced):
            return self.variable(value, user)
        scalar = SCALARS.get(type(value))
        if scalar is not None:
            return Literal(value, scalar)
        value = self.snapshots.of(as_supported_array(value))
        return self.of_gpu(value) if self.captures(value) else literal(value)

    def shared_snapshots(self) -> Snapshots:
        return self.snapshots

    def captures(self, value: Any) -> bool:
        """Whether a constant is to be an operand of the program: an array on a GPU, where that is possible."""
        return self.paths is not None and is_on_device(value)

    def of_gpu(self, array: Any) -> Var:
        """The variable for an array on a GPU, which is no constant: programs are the same wherever they run."""
        return self.captured.setdefault(id(array), (Var(typeof(array)), array))[0]

    def variable(self, value: Traced, user: Any) -> Var:
        """The variable for a tracer of this or of an enclosing trace; `user` is who wants it, for messages."""
        if isinstance(value, JaxprTracer) and value.trace is self:
            return value.variable
        if not self.parent.knows(value.trace):
            raise value.trace.leak_error(value, user)
        return self.captured.setdefault(identity(value), (Var(value.aval), value))[0]

    def pure(self, value: Any) -> JaxprTracer:
        if isinstance(value, Traced):
            var = self.variable(value, "copy")
            return JaxprTracer(self, var.aval, var)
        value = self.snapshots.of(as_supported_array(value))
        if self.captures(value):
            var = self.of_gpu(value)
            return JaxprTracer(self, var.aval, var)
        return self.constant(value)

    def constant(self, value: Any) -> JaxprTracer:
        """A constant as a tracer."""
        tracer = JaxprTracer(self, literal(value).aval)
        self.constants.append((tracer.variable, value))
        return tracer

    def decide(self, predicate: Traced) -> bool:
        var = self.variable(predicate, "bool")
        if self.paths is None:
            self.undecided = Undecided(self, predicate)
            raise self.undecided
        for known, value in self.constants:
            if known is var:
                return bool(value)
        return self.paths.decide(self, var)


def identity(value: Any) -> tuple[int, ...]:
    """The same for a tracer and its copies, which each run of a function makes anew; of an array its own."""
    if not isinstance(value, Tracer):
        return (id(value),)
    return id(value.trace), *[id(getattr(value, slot)) for slot in value.payload]
