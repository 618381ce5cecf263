"""Precision: what computes with bfloat16 does it in float32, and whoever runs the program only moves and casts it.

So do large products of matrices of float16, which few libraries have; who has them puts them back (cuda/products.py).
"""

from __future__ import annotations

from sys import modules
from typing import Any

import numpy as np

from ...core.avals import ShapedArray
from ...core.dtypes import HALF, ML_DTYPES, SINGLE, is_bfloat16, is_half
from ...core.jaxpr import Atom, Eqn, Jaxpr, Var
from ...primitives.contractions import dot_general
from ...primitives.foundation import convert


def compute_in_single(jaxpr: Jaxpr, exact: bool = False) -> Jaxpr:
    """The same program with casts around equations that compute with bfloat16, as `Primitive.run_on_bfloat16` has them.

    Programs that equations hold are left to their own turn.

    Args:
        exact: leave products of float16 as they are, whose terms a library adds up in another order.
    """
    if ML_DTYPES not in modules and not any(eqn.primitive is dot_general for eqn in jaxpr.eqns):
        return jaxpr
    eqns: list[Eqn] = []
    for eqn in jaxpr.eqns:
        if _computes_with_bfloat16(eqn) or (not exact and _multiplies_halves(eqn)):
            _append(eqns, eqn)
        else:
            eqns.append(eqn)
    return Jaxpr(jaxpr.inputs, eqns, jaxpr.outputs) if len(eqns) > len(jaxpr.eqns) else jaxpr


def _computes_with_bfloat16(eqn: Eqn) -> bool:
    for atom in eqn.inputs:
        if is_bfloat16(atom.aval.dtype):
            return eqn.primitive.computes([a.aval for a in eqn.inputs], eqn.params)
    return False


def _multiplies_halves(eqn: Eqn) -> bool:
    """Whether an equation is a product of matrices of float16 that are large enough for a library."""
    if eqn.primitive is not dot_general or eqn.outputs[0].aval.dtype != HALF:
        return False
    return dot_general.is_for_library(*(a.aval for a in eqn.inputs), eqn.params["dimension_numbers"])


def _append(eqns: list[Eqn], eqn: Eqn) -> None:
    """Append casts of operands, the equation, and casts of its results."""
    def cast(atom: Atom, dtype: np.dtype[Any]) -> Var:
        target = Var(ShapedArray(atom.aval.shape, dtype))
        eqns.append(Eqn(convert, [atom], {"dtype": dtype}, [target], eqn.source))
        return target

    def widened(atom: Atom, want: np.dtype[Any]) -> Atom:
        have = atom.aval.dtype
        if not is_half(want) or (want == HALF and eqn.primitive is not dot_general):
            return cast(atom, want) if is_bfloat16(have) else atom
        rounded = atom if have == want and not atom.aval.weak else cast(atom, want)
        return rounded if eqn.primitive.is_of_dtype else cast(rounded, SINGLE)

    dtypes = eqn.primitive.operand_dtypes([a.aval for a in eqn.inputs])
    inputs = list(map(widened, eqn.inputs, dtypes))
    avals = eqn.primitive.abstract_eval(*[a.aval for a in inputs], **eqn.params)
    wide = [v if v.aval.dtype == aval.dtype else Var(aval) for v, aval in zip(eqn.outputs, avals, strict=True)]
    eqns.append(eqn._replace(inputs=inputs, outputs=wide))
    for v, found in zip(eqn.outputs, wide):
        if found is not v:
            eqns.append(Eqn(convert, [found], {"dtype": v.aval.dtype}, [v], eqn.source))
