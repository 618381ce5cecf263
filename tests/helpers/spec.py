"""The specification of a pass: what holds of every jaxpr before and after it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from functrans.control.cond import Cond
from functrans.control.loop import Loop, entry_aval
from functrans.core.avals import PYTHON_SCALARS
from functrans.core.jaxpr import Atom, Eqn, Jaxpr, Literal, check_jaxpr, sub_jaxprs
from functrans.core.trace import typeof


def check_pass(name: str, before: Jaxpr, after: Jaxpr) -> None:
    """Raise unless both programs are well-formed, constants have the types they say, and the signature is the same."""
    for jaxpr in (before, after):
        check_jaxpr(jaxpr)
        check_constants(jaxpr)
        check_programs(jaxpr)
    assert after.inputs == before.inputs, f"{name} changed the inputs"
    assert after.out_avals == before.out_avals, f"{name} changed the types of results"


def check_constants(jaxpr: Jaxpr) -> None:
    """Raise unless every constant is of the type that it says, and Python scalars are where weak types say so."""
    for eqn in jaxpr.eqns:
        for atom in eqn.inputs:
            check_constant(atom)
        for inner in sub_jaxprs(eqn):
            check_constants(inner)
    for atom in jaxpr.outputs:
        check_constant(atom)


def check_constant(atom: Atom) -> None:
    if isinstance(atom, Literal):
        assert typeof(atom.value) == atom.aval, (atom.value, atom.aval)
        assert atom.aval.weak == (type(atom.value) in PYTHON_SCALARS)


def check_programs(jaxpr: Jaxpr) -> None:
    """Raise unless loops and branches are given what their programs take, and loops what these return."""
    for eqn in jaxpr.eqns:
        if isinstance(eqn.primitive, Loop):
            check_loop(eqn)
        if isinstance(eqn.primitive, Cond):
            for branch in eqn.params["branches"]:
                assert _types(eqn.inputs[1:]) == _types(branch.inputs), eqn.params["branches"]
        for inner in sub_jaxprs(eqn):
            check_programs(inner)


def check_loop(eqn: Eqn) -> None:
    _, consts, carry, xs = eqn.primitive.split(eqn.params, eqn.inputs)  # type: ignore[attr-defined]
    body = eqn.params["body"]
    rows = [entry_aval(x.aval).strong() for x in xs]
    assert [*_types([*consts, *carry]), *rows] == _types(body.inputs), body
    assert _types(carry) == _types(body.outputs[: len(carry)]), body


def _types(atoms: Sequence[Atom]) -> list[Any]:
    return [atom.aval.strong() for atom in atoms]
