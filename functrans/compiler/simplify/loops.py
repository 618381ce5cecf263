"""Loops and branches: simpler programs inside, constants known there, and what is the same in each step done before."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, Any

from ...core.jaxpr import Atom, Eqn, Jaxpr, Literal, Var, substitute
from ...core.primitive import SharedOperands
from ...core.trace import Params
from .choices import given_results
from .invariants import Invariants

if TYPE_CHECKING:
    from .rewriting import Rewriter


def simplify_programs(rewriter: Rewriter, eqn: Eqn) -> Sequence[Atom]:
    """Append an equation that holds programs, after all that can be done to it; the atoms of its results."""
    index = rewriter.constant(eqn.inputs[0]) if eqn.primitive.name == "cond" else None
    if index is not None and 0 <= int(index) < len(eqn.params["branches"]):
        return _taken(rewriter, eqn, rewriter.nested(eqn.params["branches"][int(index)]))
    eqn = eqn._replace(params=_with_programs(eqn.params, rewriter.nested))
    results: Sequence[Atom] = eqn.outputs
    if "body" in eqn.params and "carry" in eqn.params:
        eqn, results = _without_settled(rewriter, eqn)
    shared = eqn.primitive.shared_operands(eqn.params)
    if shared is not None:
        if shared.repeats:
            eqn = _without_invariants(rewriter, eqn, shared)
        eqn = _with_constants_inside(rewriter, eqn)
        eqn = _without_repeats(rewriter, eqn)
    eqn = eqn._replace(params=_with_programs(eqn.params, rewriter.nested))
    rewriter.source = eqn.source
    if eqn.primitive.name == "cond":
        results = [simpler or a for simpler, a in zip(given_results(rewriter, eqn), results)]
    if eqn.primitive.has_effects(eqn.params):
        rewriter.append(eqn)
        return results
    names = dict(zip(eqn.outputs, rewriter.shared(eqn)))
    return [names.get(a, a) if isinstance(a, Var) else a for a in results]


def _taken(rewriter: Rewriter, eqn: Eqn, branch: Jaxpr) -> Sequence[Atom]:
    """The results of the branch that is known to be taken, in the place of the whole."""
    env: dict[Any, Atom] = dict(zip(branch.inputs, eqn.inputs[1:]))
    rewriter.splice(branch.eqns, env)
    return [env.get(a, a) for a in branch.outputs]


def _with_programs(params: Params, change: Callable[[Jaxpr], Jaxpr]) -> Params:
    """Parameters with other programs in the place of those they hold."""
    changed = dict(params)
    for name, value in params.items():
        if isinstance(value, Jaxpr):
            changed[name] = change(value)
        elif isinstance(value, tuple) and any(isinstance(v, Jaxpr) for v in value):
            changed[name] = tuple(change(v) if isinstance(v, Jaxpr) else v for v in value)
    return changed


# ---- carries that never change


def _without_settled(rewriter: Rewriter, eqn: Eqn) -> tuple[Eqn, Sequence[Atom]]:
    """A loop whose carries all change from step to step: the others are constants. And its results."""
    body: Jaxpr = eqn.params["body"]
    shared = eqn.primitive.shared_operands(eqn.params)
    if shared is None:
        return eqn, eqn.outputs
    count, first = eqn.params["carry"], shared.start + shared.number
    carried = body.inputs[shared.number : shared.number + count]
    lead = len(eqn.outputs) - len(body.outputs)
    settled = [
        after is before and operand.aval == before.aval == out.aval
        for before, after, operand, out in zip(carried, body.outputs, eqn.inputs[first:], eqn.outputs[lead:])
    ]
    if not any(settled):
        return eqn, eqn.outputs
    results: list[Atom] = list(eqn.outputs)
    for i, is_settled in enumerate(settled):
        if is_settled:
            results[lead + i] = eqn.inputs[first + i]

    def reordered(items: Sequence[Any], start: int) -> list[Any]:
        """Inputs with the settled carries before the others."""
        carry = items[start : start + count]
        still = [item for item, is_settled in zip(carry, settled) if is_settled]
        moving = [item for item, is_settled in zip(carry, settled) if not is_settled]
        return [*items[:start], *still, *moving, *items[start + count :]]

    def kept(items: Sequence[Any], start: int) -> list[Any]:
        return [item for i, item in enumerate(items) if not (0 <= i - start < count and settled[i - start])]

    def changed(program: Jaxpr) -> Jaxpr:
        outputs = kept(program.outputs, 0) if program is body else program.outputs
        return rewriter.mark(Jaxpr(reordered(program.inputs, shared.number), program.eqns, outputs))

    params = _with_programs(eqn.params, changed)
    params.update(consts=params["consts"] + sum(settled), carry=count - sum(settled))
    inputs, outputs = reordered(eqn.inputs, first), kept(eqn.outputs, lead)
    return eqn._replace(params=params, inputs=inputs, outputs=outputs), results


# ---- what is the same in each step


def _without_invariants(rewriter: Rewriter, eqn: Eqn, shared: SharedOperands) -> Eqn:
    """A loop after the equations that compute the same in each step, which are appended."""
    for name in shared.programs:
        program: Jaxpr = eqn.params[name]
        found = Invariants(program, shared)
        if not found.eqns:
            continue
        end = shared.start + shared.number
        env: dict[Any, Atom] = dict(zip(program.inputs, eqn.inputs[shared.start : end]))
        rewriter.splice(found.eqns, env)
        shorter = Jaxpr(program.inputs, found.rest, program.outputs)
        params = dict(eqn.params)
        for other in shared.programs:
            own = found.passed if other == name else [Var(v.aval) for v in found.passed]
            params[other] = rewriter.mark(_widened(shorter if other == name else params[other], shared.number, own))
        params["consts"] = shared.number + len(found.passed)
        inputs = [*eqn.inputs[:end], *(env[v] for v in found.passed), *eqn.inputs[end:]]
        eqn = eqn._replace(params=params, inputs=inputs)
        shared = shared._replace(number=params["consts"])
    return eqn


def _widened(program: Jaxpr, place: int, new: Sequence[Var]) -> Jaxpr:
    """A program with more inputs, before the one of some number."""
    return Jaxpr([*program.inputs[:place], *new, *program.inputs[place:]], program.eqns, program.outputs)


# ---- constants that are known inside


def _with_constants_inside(rewriter: Rewriter, eqn: Eqn) -> Eqn:
    """An equation without operands that are constant scalars, arrays of one value, or counts: programs hold those."""
    shared = eqn.primitive.shared_operands(eqn.params)
    assert shared is not None
    programs = [p for name in shared.programs for p in _as_tuple(eqn.params[name])]
    known: dict[int, Atom] = {}
    for i in range(shared.number):
        atom = eqn.inputs[shared.start + i]
        is_constant = rewriter.constant(atom) is not None or rewriter.definition(atom, "iota") is not None
        if is_constant and all(program.inputs[i].aval == atom.aval for program in programs):
            known[i] = atom
    if not known:
        return eqn

    def narrowed(program: Jaxpr) -> Jaxpr:
        if program not in programs:
            return program
        return _with_inputs_known(rewriter, program, known)

    return _without_shared(eqn, narrowed, known, shared)


def _with_inputs_known(rewriter: Rewriter, program: Jaxpr, known: dict[int, Atom]) -> Jaxpr:
    """A program without some inputs, which are constants."""
    made: list[Eqn] = []
    atoms: dict[Var, Atom] = {}
    for i, atom in known.items():
        var = program.inputs[i]
        if isinstance(atom, Literal):
            atoms[var] = atom
        else:
            made.append(rewriter.definitions[atom]._replace(outputs=[var]))
    outputs = [atoms.get(a, a) if isinstance(a, Var) else a for a in program.outputs]
    inputs = [v for i, v in enumerate(program.inputs) if i not in known]
    return Jaxpr(inputs, [*made, *substitute(program.eqns, atoms)], outputs)


# ---- operands that come twice


def _without_repeats(rewriter: Rewriter, eqn: Eqn) -> Eqn:
    """An equation whose programs share no variable twice: what branches close over, each for itself, is one array.

    Of an array that comes twice nobody could tell that it may be changed where it is.
    """
    shared = eqn.primitive.shared_operands(eqn.params)
    assert shared is not None
    programs = [p for name in shared.programs for p in _as_tuple(eqn.params[name])]
    firsts: dict[Any, int] = {}
    repeats: dict[int, int] = {}
    for i, atom in enumerate(eqn.inputs[shared.start : shared.start + shared.number]):
        first = firsts.setdefault((atom, *(p.inputs[i].aval for p in programs)), i)
        if first != i:
            repeats[i] = first
    if not repeats:
        return eqn

    def narrowed(program: Jaxpr) -> Jaxpr:
        if program not in programs:
            return program
        names: dict[Var, Atom] = {program.inputs[i]: program.inputs[first] for i, first in repeats.items()}
        outputs = [names.get(a, a) if isinstance(a, Var) else a for a in program.outputs]
        inputs = [v for i, v in enumerate(program.inputs) if i not in repeats]
        return Jaxpr(inputs, substitute(program.eqns, names), outputs)

    return _without_shared(eqn, narrowed, repeats, shared)


def _without_shared(
    eqn: Eqn, narrowed: Callable[[Jaxpr], Jaxpr], left_out: Collection[int], shared: SharedOperands
) -> Eqn:
    """An equation without some of the operands that its programs share, by number; `narrowed` are its programs."""
    params = _with_programs(eqn.params, narrowed)
    if "consts" in params:
        params["consts"] -= len(left_out)
    return eqn._replace(params=params, inputs=[a for i, a in enumerate(eqn.inputs) if i - shared.start not in left_out])


def _as_tuple(value: Any) -> tuple[Any, ...]:
    return value if isinstance(value, tuple) else (value,)


