"""The intermediate representation: straight-line programs of primitives on typed variables."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import wraps
from typing import Any, NamedTuple, TypeVar

import numpy as np

from ..errors import JaxprError
from ..source import Source, inherited_source
from .avals import ShapedArray
from .devices import exemplar, here
from .primitive import Primitive, UndefinedPrimal
from .trace import Params, current_trace, typeof


class Var(UndefinedPrimal):
    """A variable: its identity is its name. It is itself the hole in the transpose rule of what it is used by."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"Var({self.aval})"


@dataclass(eq=False, slots=True)
class Literal:
    """A constant operand: a Python scalar, an array, or (in a linear program being transposed) a tracer."""

    value: Any
    aval: ShapedArray


def literal(value: Any) -> Literal:
    """A constant operand and its type."""
    return Literal(value, typeof(value))


Atom = Var | Literal


class Eqn(NamedTuple):
    """One application of a primitive: `outputs = primitive[params] inputs`, and the line it came from."""

    primitive: Primitive
    inputs: Sequence[Atom]
    params: Params
    outputs: Sequence[Var]
    source: Source | None = None


class Jaxpr:
    """A closed program: `inputs` to `outputs` by way of `eqns`.

    Arrays captured while tracing are literals; captured tracers are leading inputs. A jaxpr is not changed once
    it is made, and derived jaxprs are remembered in `memo`, so that they live exactly as long as it does.
    """

    __slots__ = ("__weakref__", "eqns", "inputs", "memo", "outputs")

    def __init__(self, inputs: Sequence[Var], eqns: Sequence[Eqn], outputs: Sequence[Atom]):
        self.inputs = list(inputs)
        self.eqns = list(eqns)
        self.outputs = list(outputs)
        self.memo: dict[Any, Any] = {}

    def __reduce__(self) -> tuple[Any, ...]:
        return Jaxpr, (self.inputs, self.eqns, self.outputs)  # what was derived from it stays here

    def __deepcopy__(self, memo: Any) -> Jaxpr:
        return self

    @property
    def in_avals(self) -> list[ShapedArray]:
        return [v.aval for v in self.inputs]

    @property
    def out_avals(self) -> list[ShapedArray]:
        return [a.aval for a in self.outputs]


F = TypeVar("F", bound=Callable[..., Any])


def memoized(derive: F) -> F:
    """Remember `derive(jaxpr, *key)` on the jaxpr itself; the key must be hashable."""

    @wraps(derive)
    def lookup(jaxpr: Jaxpr, *key: Any) -> Any:
        full_key = (derive, *key)
        try:
            return jaxpr.memo[full_key]
        except KeyError:
            result = jaxpr.memo[full_key] = derive(jaxpr, *key)
            return result

    return lookup  # type: ignore[return-value]


def eval_jaxpr(jaxpr: Jaxpr, *args: Any) -> list[Any]:
    """Run a jaxpr by binding each primitive to the current trace: it can itself be traced."""
    if exemplar.get() is not None:
        jaxpr = _with_constants_here(jaxpr, exemplar.get().device.id)
    env: dict[Var, Any] = dict(zip(jaxpr.inputs, args, strict=True))
    trace = current_trace.get()
    process = trace.process
    token = inherited_source.set(inherited_source.get())
    try:
        for primitive, inputs, params, outputs, source in jaxpr.eqns:
            if source is not None:
                inherited_source.set(source)
            values = [env[a] if type(a) is Var else a.value for a in inputs]  # type: ignore[union-attr]
            env.update(zip(outputs, process(primitive, values, params)))
    finally:
        inherited_source.reset(token)
    return [env[a] if type(a) is Var else a.value for a in jaxpr.outputs]  # type: ignore[union-attr]


@memoized
def _with_constants_here(jaxpr: Jaxpr, number: int) -> Jaxpr:
    """The same program with its constants on the GPU of a number, where new arrays are made now."""

    def moved(atom: Atom) -> Atom:
        is_host = isinstance(atom, Literal) and isinstance(atom.value, np.ndarray)
        return Literal(here(atom.value), atom.aval) if is_host else atom  # type: ignore[union-attr]

    eqns = [eqn._replace(inputs=list(map(moved, eqn.inputs))) for eqn in jaxpr.eqns]
    return Jaxpr(jaxpr.inputs, eqns, list(map(moved, jaxpr.outputs)))


def prune(eqns: Sequence[Eqn], live: Iterable[Atom], keep_effects: bool = True) -> list[Eqn]:
    """The equations that the live variables depend on, and those with effects, in order.

    Args:
        keep_effects: False for equations that are run again, whose effects have been had.
    """
    needed = {a for a in live if type(a) is Var}
    kept: list[Eqn] = []
    for eqn in reversed(eqns):
        is_needed = any(v in needed for v in eqn.outputs)
        if is_needed or (keep_effects and eqn.primitive.has_effects(eqn.params)):
            kept.append(eqn)
            needed.update(a for a in eqn.inputs if type(a) is Var)
    return kept[::-1]


def substitute(eqns: Sequence[Eqn], atoms: Mapping[Var, Atom]) -> list[Eqn]:
    """The same equations with some of the variables that they use replaced."""
    return [eqn._replace(inputs=[atoms.get(a, a) if isinstance(a, Var) else a for a in eqn.inputs]) for eqn in eqns]


def sub_jaxprs(eqn: Eqn) -> list[Jaxpr]:
    """The jaxprs among the parameters of an equation."""
    return programs_in(eqn.params)


def programs_in(params: Params) -> list[Jaxpr]:
    """The jaxprs among some parameters."""
    found: list[Jaxpr] = []
    for value in params.values():
        candidates: Iterable[Any] = value if isinstance(value, tuple) else (value,)
        found += [j for j in (getattr(c, "jaxpr", c) for c in candidates) if isinstance(j, Jaxpr)]
    return found


def check_jaxpr(jaxpr: Jaxpr) -> None:
    """Raise JaxprError unless every variable is defined once and before use, with the type its primitive gives it."""
    defined: set[Var] = set()

    def define(var: Var, place: str) -> None:
        if var in defined:
            raise JaxprError(f"A variable of type {var.aval} is defined twice, the second time in {place}.")
        defined.add(var)

    def use(atom: Atom, place: str) -> None:
        if type(atom) is Var and atom not in defined:
            raise JaxprError(f"A variable of type {atom.aval} is used in {place} before it is defined.")

    for var in jaxpr.inputs:
        define(var, "the inputs")
    for eqn in jaxpr.eqns:
        for atom in eqn.inputs:
            use(atom, f"`{eqn.primitive.name}`")
        expected = eqn.primitive.abstract_eval(*[a.aval for a in eqn.inputs], **eqn.params)
        found = [v.aval for v in eqn.outputs]
        if [a.strong() for a in expected] != [a.strong() for a in found]:
            shown = ", ".join(map(str, expected)), ", ".join(map(str, found))
            raise JaxprError(f"`{eqn.primitive.name}` gives ({shown[0]}), its equation says ({shown[1]}).")
        for inner in sub_jaxprs(eqn):
            check_jaxpr(inner)
        for var in eqn.outputs:
            define(var, f"`{eqn.primitive.name}`")
    for atom in jaxpr.outputs:
        use(atom, "the outputs")
