"""Transposition: run a linear program backwards. Reverse mode is this after partial evaluation of forward mode."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import compress, zip_longest
from typing import Any, Final

import numpy as np

from ..core.avals import ZERO, ShapedArray
from ..core.jaxpr import Atom, Eqn, Jaxpr, Var, eval_jaxpr, memoized
from ..core.primitive import Primitive
from ..core.staging import trace_closed
from ..core.trace import EVAL, Params, current_trace, running, typeof
from ..primitives.foundation import add_any, instantiate
from ..source import inherited_source
from .partial_eval import PartialEvalTrace, UnknownTracer

_KNOWN: Final = (np.ndarray, np.generic)


def backward_pass(
    eqns: Sequence[Eqn],
    inputs: Sequence[Any],
    outputs: Sequence[Any],
    cotangents: Sequence[Any],
    totals: Sequence[Any] = (),
) -> list[Any]:
    """Cotangents of `inputs` from those of `outputs`; some may be ZERO. Every operand is linear or a literal.

    Inputs and outputs that are no variables (None, ZERO, a literal) have no cotangent.

    Args:
        totals: for each input a cotangent that it has already, or ZERO; none for all of them. It is added to.
    """
    pending: dict[Any, Any] = {var: total for var, total in zip(inputs, totals) if total is not ZERO}
    own: dict[Any, Any] = {}
    _accumulate(pending, outputs, cotangents)
    outer_source = inherited_source.get()
    try:
        for primitive, atoms, params, results, source in reversed(eqns):
            given: list[Any] = []
            active = False
            for var in results:
                cotangent = pending.pop(var, ZERO)
                active = active or cotangent is not ZERO
                given.append(cotangent)
            if not active:
                continue
            if source is not None:
                inherited_source.set(source)
            args: list[Any] = []
            for atom in atoms:
                args.append(atom if type(atom) is Var else atom.value)
            if primitive.reads_part and _added_in_place(pending, own, primitive, given[0], args, params):
                continue
            if primitive.adds_to_totals:
                params = {**params, "totals": _taken_totals(pending, primitive, atoms, params)}
            _accumulate(pending, atoms, primitive.transpose(given, *args, **params))
    finally:
        if inherited_source.get() is not outer_source:
            inherited_source.set(outer_source)
    found: list[Any] = []
    for var in inputs:
        found.append(pending.get(var, ZERO))
    return found


def _accumulate(pending: dict[Any, Any], atoms: Sequence[Atom], cotangents: Sequence[Any]) -> None:
    """Add cotangents to those of the same variables; constants have none."""
    for atom, cotangent in zip(atoms, cotangents):
        if type(atom) is Var and cotangent is not ZERO and cotangent is not None:
            so_far = pending.get(atom)
            pending[atom] = cotangent if so_far is None else add_any(so_far, cotangent)


def _taken_totals(pending: dict[Any, Any], primitive: Primitive, atoms: Sequence[Atom], params: Params) -> list[Any]:
    """The cotangents of shared operands so far, which are no longer pending: a loop adds to them what each step gives.

    From zeros it would make another array as large as the operand, and a loop around it one in each of its steps.
    """
    shared = primitive.shared_operands(params)
    totals: list[Any] = []
    for number, atom in enumerate(atoms):
        is_shared = type(atom) is Var and 0 <= number - shared.start < shared.number
        total = pending.get(atom, ZERO) if is_shared else ZERO
        if total is not ZERO:
            if typeof(total) == atom.aval.strong():
                del pending[atom]
            else:
                total = ZERO
        totals.append(total)
    return totals


def _added_in_place(
    pending: dict[Any, Any], own: dict[Any, Any], primitive: Primitive, cotangent: Any, args: list[Any], params: Params
) -> bool:
    """Add the cotangent of a part of a variable to that of the variable, if it has one already.

    A loop that reads an array row by row would otherwise make an array of zeros, and a sum, for each of the rows.

    Args:
        own: sums that nothing else refers to, by their variables.

    Returns:
        Whether that was done, as it is where arrays are known, and NumPy's.
    """
    var = args[0]
    so_far = pending.get(var)
    if type(so_far) is not np.ndarray or current_trace.get() is not EVAL or not isinstance(cotangent, _KNOWN):
        return False
    if not cotangent.dtype == so_far.dtype == var.aval.dtype or so_far.dtype.kind not in "fc" or not so_far.ndim:
        return False
    if so_far is not own.get(var):
        so_far = pending[var] = own[var] = np.add(so_far, so_far.dtype.type(0), order="C")
    primitive.add_cotangent(so_far, cotangent, *args[1:], **params)
    return True


@memoized
def transpose_jaxpr(
    jaxpr: Jaxpr,
    linear: tuple[bool, ...],
    active: tuple[bool, ...],
    ct_avals: tuple[ShapedArray, ...],
    forced: tuple[bool, ...] | None = None,
    totals: tuple[bool, ...] = (),
) -> tuple[Jaxpr, tuple[bool, ...]]:
    """The jaxpr `other inputs, active cotangents, totals -> nonzero cotangents of the linear inputs`.

    Args:
        linear: which inputs to transpose; `jaxpr` must be linear in them for any value of the others.
        active: which results have a cotangent that is not ZERO; `ct_avals` are the types of those.
        forced: which of the linear inputs must have a cotangent: if need be what they have already, or zeros.
        totals: which of the linear inputs have a cotangent already (none of them by default), to which theirs is
            added. Those that nothing is added to, unless forced, are no inputs of the jaxpr, and have no cotangent.

    What does not depend on the linear inputs is evaluated first, by partial evaluation.

    Returns:
        The jaxpr, and which linear inputs have a cotangent at all.
    """
    out_active: list[bool] = []

    def function(*args: Any) -> list[Any]:
        trace = PartialEvalTrace(current_trace.get())
        given = iter(args)
        inputs = [
            UnknownTracer(trace, aval) if is_linear else next(given) for aval, is_linear in zip(jaxpr.in_avals, linear)
        ]
        cotangents = [next(given) if is_active else ZERO for is_active in active]
        so_far = [next(given) if has_total else ZERO for has_total in totals]
        with running(trace):
            outputs = [trace.atom(out) for out in eval_jaxpr(jaxpr, *inputs)]
        variables = [x.atom for x, is_linear in zip(inputs, linear) if is_linear]
        found = backward_pass(trace.eqns, variables, outputs, cotangents, so_far)
        given = zip_longest(found, so_far, fillvalue=ZERO)
        found = [
            instantiate(c, v.aval) if is_forced else ZERO if c is t else c
            for (c, t), v, is_forced in zip(given, variables, forced or (False,) * len(variables))
        ]
        out_active[:] = [c is not ZERO for c in found]
        return [c for c in found if c is not ZERO]

    others = [a for a, is_linear in zip(jaxpr.in_avals, linear) if not is_linear]
    linear_avals = [a.strong() for a, is_linear in zip(jaxpr.in_avals, linear) if is_linear]
    derived = trace_closed(function, [*others, *ct_avals, *compress(linear_avals, totals)])
    kept = [True] * (len(others) + len(ct_avals)) + list(compress(out_active, totals))
    return Jaxpr(list(compress(derived.inputs, kept)), derived.eqns, derived.outputs), tuple(out_active)

