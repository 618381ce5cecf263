"""Dead code: equations that no result depends on, and what loops, branches and others compute for nobody."""

from __future__ import annotations

from collections.abc import Callable

from ...core.jaxpr import Eqn, Jaxpr, Var, programs_in


def drop_unused(jaxpr: Jaxpr, mark: Callable[[Jaxpr], Jaxpr] | None = None, exact: bool = False) -> Jaxpr:
    """The same program without equations whose results nobody needs. Those with effects stay.

    An equation that would have raised an error (an index out of bounds) does not raise it once it is dropped.

    Args:
        mark: called with each program that is a part of one that was simplified; None: none was.
        exact: no bit of what is left may change, as that of eigenvalues does without eigenvectors.
    """
    needed = {a for a in jaxpr.outputs if isinstance(a, Var)}
    kept: list[Eqn] = []
    is_whole = True
    for eqn in reversed(jaxpr.eqns):
        for var in eqn.outputs:
            if var in needed:
                break
        else:
            if not eqn.primitive.has_effects(eqn.params):
                is_whole = False
                continue
        if eqn.primitive.holds_programs or (len(eqn.outputs) > 1 and not exact):
            smaller = _smaller(eqn, [v in needed for v in eqn.outputs], mark)
            is_whole = is_whole and smaller is eqn
            eqn = smaller
        kept.append(eqn)
        for atom in eqn.inputs:
            if type(atom) is Var:
                needed.add(atom)
    return jaxpr if is_whole else Jaxpr(jaxpr.inputs, kept[::-1], jaxpr.outputs)


def _smaller(eqn: Eqn, wanted: list[bool], mark: Callable[[Jaxpr], Jaxpr] | None) -> Eqn:
    """An equation without the results that are not wanted, and the operands that it needs for those only."""
    found = eqn.primitive.without_results(eqn.params, wanted)
    if found is None:
        return eqn
    params, operands, results = found
    if all(operands) and all(results):
        return eqn
    if mark is not None:
        for program in programs_in(params):
            mark(program)
    inputs = [a for a, is_kept in zip(eqn.inputs, operands) if is_kept]
    return eqn._replace(params=params, inputs=inputs, outputs=[v for v, k in zip(eqn.outputs, results) if k])
