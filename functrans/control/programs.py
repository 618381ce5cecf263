"""HoldsPrograms: what primitives with jaxprs among their parameters answer alike."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from ..core.avals import BOOL, ShapedArray
from ..core.jaxpr import Atom, Eqn, Jaxpr, Var, memoized, programs_in
from ..core.primitive import Primitive
from ..core.trace import Params
from ..errors import MappedAxisError


class HoldsPrograms(Primitive):
    """A primitive whose rules transform the programs it holds."""

    holds_programs = stands_for_program = may_be_weak = True

    def batch(
        self, size: int, values: Sequence[Any], mapped: Sequence[bool], **params: Any
    ) -> tuple[Sequence[Any], Sequence[bool]]:
        return self.batch_named(None, size, values, mapped, **params)

    def uses_axis(self, axis_name: Any, params: Params) -> bool:
        return any(mentions_axis(program, axis_name) for program in programs_in(params))

    def has_effects(self, params: Params) -> bool:
        return any(map(jaxpr_has_effects, programs_in(params)))



@memoized
def jaxpr_has_effects(jaxpr: Jaxpr) -> bool:
    """Whether some equation does something beside computing results."""
    return any(eqn.primitive.has_effects(eqn.params) for eqn in jaxpr.eqns)


@memoized
def guarded(jaxpr: Jaxpr) -> Jaxpr:
    """The same program with one more input, before the others: a boolean without which effects are not had.

    It is for lanes that run only because others do. What is computed for them is thrown away; effects cannot be.
    """
    flag = Var(ShapedArray((), BOOL))
    eqns = [_guarded_equation(eqn, flag) if eqn.primitive.has_effects(eqn.params) else eqn for eqn in jaxpr.eqns]
    return Jaxpr([flag, *jaxpr.inputs], eqns, jaxpr.outputs)


def _guarded_equation(eqn: Eqn, flag: Var) -> Eqn:
    params, place = eqn.primitive.guarded(eqn.params)
    return eqn._replace(inputs=[*eqn.inputs[:place], flag, *eqn.inputs[place:]], params=params)


@memoized
def mentions_axis(jaxpr: Jaxpr, axis_name: Any) -> bool:
    """Whether some equation names an axis of an enclosing vmap."""
    return any(eqn.primitive.uses_axis(axis_name, eqn.params) for eqn in jaxpr.eqns)


@memoized
def inlined(jaxpr: Jaxpr) -> Jaxpr:
    """The same program with the equations of what it calls in the place of the calls."""
    eqns: list[Eqn] = []

    def run(program: Jaxpr, inputs: Sequence[Atom]) -> list[Atom]:
        env: dict[Atom, Atom] = dict(zip(program.inputs, inputs, strict=True))
        for eqn in program.eqns:
            atoms = [env.get(a, a) for a in eqn.inputs]
            body = eqn.primitive.inlined_jaxpr(eqn.params)
            outputs: Sequence[Atom] = run(body, atoms) if body is not None else [Var(v.aval) for v in eqn.outputs]
            if body is None:
                eqns.append(eqn._replace(inputs=atoms, outputs=outputs))
            env.update(zip(eqn.outputs, outputs))
        return [env.get(a, a) for a in program.outputs]

    outputs = run(jaxpr, jaxpr.inputs)
    return Jaxpr(jaxpr.inputs, eqns, outputs)


def check_no_collective(programs: Iterable[Jaxpr], axis_name: Any, where: str) -> None:
    """Raise MappedAxisError if lanes were to meet in a place that not all of them come to.

    There the lanes that stay away are stood in for by others, which a sum over lanes would count.
    """
    if axis_name is not None and any(mentions_axis(program, axis_name) for program in programs):
        raise MappedAxisError(
            f"A collective over the axis {axis_name!r} stands in {where}.",
            "It speaks of all lanes, but not all of them are there.",
            "Call it before the loop or branch (`total = lax.psum(x, ...)`), and use what it returned there.",
        )
