"""The specification of a pass: what holds of every jaxpr before and after it."""

from __future__ import annotations

from functrans.core.avals import PYTHON_SCALARS
from functrans.core.jaxpr import Atom, Jaxpr, Literal, check_jaxpr, sub_jaxprs
from functrans.core.trace import typeof


def check_pass(name: str, before: Jaxpr, after: Jaxpr) -> None:
    """Raise unless both programs are well-formed, constants have the types they say, and the signature is the same."""
    for jaxpr in (before, after):
        check_jaxpr(jaxpr)
        check_constants(jaxpr)
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
