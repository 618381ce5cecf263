"""Products of matrices of 16 bits, which cuBLAS takes as they are, in the place of casts around products in float32;
and convolutions, which it does as such products."""

from __future__ import annotations

from collections import Counter
from math import prod
from typing import Any

from ....core.dtypes import HALF, is_half
from ....core.jaxpr import Atom, Eqn, Jaxpr, Var
from ....primitives.contractions import dot_general
from ....primitives.convolution import conv_general
from ....primitives.foundation import convert
from ...convolution.tiles import FEWEST_FEATURES
from ...simplify.dead_code import drop_unused
from . import layouts


def products_of_halves(jaxpr: Jaxpr) -> Jaxpr:
    """The same program; products of what was cast from float16, or bfloat16, and is cast to that, do without the casts.

    cuBLAS adds up in float32 and rounds once, as the casts have it.
    """
    if all(eqn.primitive not in (dot_general, conv_general) for eqn in jaxpr.eqns):
        return jaxpr
    definitions: dict[Atom, Eqn] = {v: eqn for eqn in jaxpr.eqns for v in eqn.outputs}
    rounded = _only_rounded(jaxpr)
    eqns: list[Eqn] = []
    replaced: dict[Atom, Atom] = {}
    for eqn in jaxpr.eqns:
        if eqn.primitive in (dot_general, conv_general) and eqn.outputs[0] in rounded:
            factors = [_before_cast(definitions.get(a)) for a in eqn.inputs]
            cast = rounded[eqn.outputs[0]]
            if _is_of_library([*factors, cast.outputs[0]], eqn):
                eqns.append(eqn._replace(inputs=[replaced.get(a, a) for a in factors], outputs=cast.outputs))
                replaced[eqn.outputs[0]] = cast.outputs[0]
                continue
        if eqn.primitive is convert and eqn.inputs[0] in replaced:
            continue
        eqns.append(eqn)
    return drop_unused(Jaxpr(jaxpr.inputs, eqns, jaxpr.outputs)) if replaced else jaxpr


def _only_rounded(jaxpr: Jaxpr) -> dict[Atom, Eqn]:
    """The variables that nothing is done with but one cast to 16 bits, and those casts."""
    uses = Counter(a for a in (*(a for eqn in jaxpr.eqns for a in eqn.inputs), *jaxpr.outputs) if type(a) is Var)
    casts = (eqn for eqn in jaxpr.eqns if eqn.primitive is convert and is_half(eqn.outputs[0].aval.dtype))
    return {eqn.inputs[0]: eqn for eqn in casts if uses[eqn.inputs[0]] == 1}


def _before_cast(eqn: Eqn | None) -> Any:
    """What a cast from 16 bits casts; None for all else."""
    if eqn is None or eqn.primitive is not convert or not is_half(eqn.inputs[0].aval.dtype):
        return None
    return eqn.inputs[0]


def _is_of_library(atoms: list[Any], eqn: Eqn) -> bool:
    """Whether cuBLAS is called for two factors and a result: smaller products are sums in kernels.

    So are those of bfloat16 that may be part of the kernel of a loop, which can add up numbers of float16 only. Of
    convolutions those with features enough come to calls of cuBLAS, or to kernels that read numbers of 16 bits.
    """
    if None in atoms or len({atom.aval.dtype for atom in atoms}) != 1:
        return False
    x, y, _ = (atom.aval for atom in atoms)
    if eqn.primitive is conv_general:
        return y.shape[0] // eqn.params["groups"] >= FEWEST_FEATURES
    dimension_numbers = eqn.params["dimension_numbers"]
    if not dot_general.is_for_library(x, y, dimension_numbers):
        return False
    (_, contracted), (_, batch) = dimension_numbers
    columns = prod(n for i, n in enumerate(y.shape) if i not in (*contracted, *batch))
    return x.dtype == HALF or prod(x.shape) * columns > layouts.LITTLE_WORK
