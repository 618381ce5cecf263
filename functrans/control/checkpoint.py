"""checkpoint: a call whose intermediate values are computed again in the backward pass instead of being kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..core.jaxpr import Atom, Eqn, Jaxpr, Var, memoized, prune, substitute
from ..core.trace import Params
from ..errors import CheckpointPolicyError
from ..primitives.names import name as name_primitive
from ..transforms.jet import active_coefficients, jet_jaxpr, series_of
from ..transforms.partial_eval import partial_eval_jaxpr
from .call import Call
from .cond import with_some_inputs, with_some_results
from .loop import Flags, used_inputs
from .programs import inlined

#: `policy(primitive, *types of the operands, **params) -> bool`: whether the results of an equation may be kept. A
#: policy that has an attribute `refused_names` keeps no value of such a name, whatever it says of its equation.
Policy = Callable[..., bool]


class Checkpoint(Call):
    """As call, but partial evaluation keeps as residuals known operands and what a policy allows, and nothing else.

    The unknown half computes the other known values again: transposition evaluates what is not linear in place.

    Params:
        policy: which values may be kept; None or missing: none.
    """

    def inlined_jaxpr(self, params: Params) -> None:
        return None  # sharing the recomputation with the first computation would undo it

    def secluded_program(self, params: Params) -> Jaxpr:
        return params["jaxpr"]

    def assemble(
        self, assembler: Any, block: list[Any], sources: Sequence[Any], targets: Sequence[Any], params: Params
    ) -> bool:
        block += assembler.block(params["jaxpr"], sources, targets)
        return True

    def without_results(self, params: Params, wanted: Sequence[bool]) -> tuple[Params, Flags, Flags]:
        smaller = with_some_results(params["jaxpr"], tuple(wanted))
        used = used_inputs(smaller)
        return {**params, "jaxpr": with_some_inputs(smaller, used)}, used, tuple(wanted)

    def jet(self, order: int, series: Sequence[Any], /, *, jaxpr: Jaxpr, **params: Any) -> list[Any]:
        active, coefficients = active_coefficients(series)
        derived, out_active = jet_jaxpr(jaxpr, order, active)
        outs = self.bind(*(s[0] for s in series), *coefficients, jaxpr=derived, **params)
        return series_of(outs, out_active, order)

    def partial_eval(self, trace: Any, unknown: Sequence[bool], args: Sequence[Any], params: Params) -> list[Any]:
        split = split_for_recomputation(params["jaxpr"], tuple(unknown), params.get("policy"))
        known_args = [a for a, is_unknown in zip(args, unknown) if not is_unknown]
        outs: list[Any] = []
        if split.known.eqns or split.known.outputs:
            outs = trace.parent.process(self, known_args, {**params, "jaxpr": split.known})
        count = split.out_unknown.count(False)
        residuals = [*(known_args[i] for i in split.operands), *outs[count:]]
        unknown_args = [a for a, is_unknown in zip(args, unknown) if is_unknown]
        recorded = iter(trace.record(self, [*residuals, *unknown_args], {**params, "jaxpr": split.again}))
        known = iter(outs[:count])
        return [next(recorded) if is_unknown else next(known) for is_unknown in split.out_unknown]


checkpoint_call = Checkpoint("checkpoint")


class Split(NamedTuple):
    """A program by what is known and what is kept.

    Attributes:
        known: `known inputs -> known results, kept values`.
        again: `kept inputs, kept values, unknown inputs -> unknown results`; it computes again what was not kept.
        operands: the known inputs that are kept, because it takes them.
        out_unknown: which results are unknown.
    """

    known: Jaxpr
    again: Jaxpr
    operands: tuple[int, ...]
    out_unknown: Flags


@memoized
def split_for_recomputation(jaxpr: Jaxpr, unknown: Flags, policy: Policy | None) -> Split:
    """Split a program so that the known values which a policy does not allow to be kept are computed twice."""
    known, rest, out_unknown = partial_eval_jaxpr(inlined(jaxpr), unknown)
    count = out_unknown.count(False)
    results, residuals = known.outputs[:count], known.outputs[count:]
    plan = Recomputation(known, residuals, policy)
    atoms = dict(zip(rest.inputs, plan.wanted))
    eqns = [*plan.again, *substitute(rest.eqns, atoms)]
    outputs = [atoms.get(a, a) if isinstance(a, Var) else a for a in rest.outputs]
    used = {a for eqn in eqns for a in eqn.inputs} | set(outputs)
    operands = tuple(i for i, v in enumerate(known.inputs) if v in used)
    inputs = [*(known.inputs[i] for i in operands), *plan.kept, *rest.inputs[len(residuals) :]]
    known_outputs = [*results, *plan.kept]
    return Split(
        Jaxpr(known.inputs, prune(plan.first, known_outputs), known_outputs),
        Jaxpr(inputs, eqns, outputs),
        operands,
        out_unknown,
    )


class Recomputation:
    """How to come by some values of a program once more.

    Attributes:
        first: the equations of the program; nested checkpoints give out what is kept of their inside.
        kept: variables of these equations, to be kept.
        again: the equations that make the values of `kept` and of the inputs of the program.
        wanted: what the values are called there.
    """

    def __init__(self, jaxpr: Jaxpr, wanted: Sequence[Atom], policy: Policy | None):
        self.policy = policy
        self.kept: list[Var] = []
        self.first: list[Eqn] = []
        self.again: list[Eqn] = []
        self.keepable, self.same = _keepable(jaxpr, policy)
        self.wanted = [self.resolve(a) for a in wanted]
        self.needed = {a for a in self.wanted if isinstance(a, Var)}
        for eqn in reversed(jaxpr.eqns):
            self.visit(eqn)
        self.first.reverse()
        self.again.reverse()
        self.kept.reverse()

    def resolve(self, atom: Atom) -> Atom:
        """The variable under which a value is kept, if it is: one value may have names besides its own variable."""
        return self.same.get(atom, atom) if isinstance(atom, Var) else atom

    def visit(self, eqn: Eqn) -> None:
        """Decide about an equation, after all that use its results."""
        used = [v for v in eqn.outputs if v in self.needed]
        if not used or all(v in self.keepable for v in used):
            self.keep(eqn, used)
        elif eqn.primitive is checkpoint_call:
            self.look_into(eqn, used)
        elif eqn.primitive.has_effects(eqn.params):  # which are not to be had twice
            self.keep(eqn, used)
        else:
            self.first.append(eqn)
            self.do_again(eqn)

    def keep(self, eqn: Eqn, used: Sequence[Var]) -> None:
        """Keep the results of an equation that are used."""
        self.first.append(eqn)
        self.kept += used[::-1]

    def do_again(self, eqn: Eqn) -> None:
        """Add an equation to those that run once more."""
        inputs = [self.resolve(a) for a in eqn.inputs]
        self.again.append(eqn._replace(inputs=inputs))
        self.needed.update(a for a in inputs if isinstance(a, Var))

    def look_into(self, eqn: Eqn, used: Sequence[Var]) -> None:
        """Keep values from inside of a nested checkpoint, and compute only the rest of it again."""
        program = inlined(eqn.params["jaxpr"])
        plan = Recomputation(program, [a for a, v in zip(program.outputs, eqn.outputs) if v in used], self.policy)
        kept = [Var(v.aval) for v in plan.kept]
        whole = Jaxpr(program.inputs, plan.first, [*program.outputs, *plan.kept])
        self.first.append(eqn._replace(params={**eqn.params, "jaxpr": whole}, outputs=[*eqn.outputs, *kept]))
        again = Jaxpr([*program.inputs, *plan.kept], plan.again, plan.wanted)
        flags = used_inputs(again)
        inputs = [a for a, is_used in zip([*eqn.inputs, *kept], flags) if is_used]
        params = {**eqn.params, "jaxpr": with_some_inputs(again, flags)}
        self.do_again(eqn._replace(params=params, inputs=inputs, outputs=list(used)))
        self.kept += kept[::-1]


def _keepable(jaxpr: Jaxpr, policy: Policy | None) -> tuple[set[Var], dict[Var, Atom]]:
    """The variables that may be kept; and for variables that are others by a name, the one to be kept for all of them.

    A name of a value speaks for the value, so that `y = checkpoint_name(exp(x), "y")` is what the derivative of exp
    uses.
    """
    if policy is None:
        return set(), {}
    unnamed: dict[Var, Atom] = {}
    names: dict[Atom, list[Eqn]] = {}
    keepable: set[Var] = set()
    for eqn in jaxpr.eqns:
        if eqn.primitive is name_primitive:
            (x,), (y,) = eqn.inputs, eqn.outputs
            unnamed[y] = unnamed.get(x, x) if isinstance(x, Var) else x
            names.setdefault(unnamed[y], []).append(eqn)
        elif allows(policy, eqn):
            keepable.update(eqn.outputs)
    same: dict[Var, Atom] = {}
    for value, eqns in names.items():
        variables = [eqn.outputs[0] for eqn in eqns]
        if not isinstance(value, Var) or value in jaxpr.inputs:
            same.update(dict.fromkeys(variables, value))
        elif any(eqn.params["name"] in getattr(policy, "refused_names", ()) for eqn in eqns):
            keepable.discard(value)
        else:
            kept = next((eqn.outputs[0] for eqn in eqns if allows(policy, eqn)), value)
            if kept is not value or value in keepable:
                same.update(dict.fromkeys([value, *variables], kept))
                keepable.add(kept)
    return keepable, same


def allows(policy: Policy, eqn: Eqn) -> bool:
    """What a policy says about an equation.

    Raises:
        CheckpointPolicyError: it does not say yes or no.
    """
    answer = policy(eqn.primitive, *(a.aval for a in eqn.inputs), **eqn.params)
    if not isinstance(answer, (bool, np.bool_)):
        raise CheckpointPolicyError(
            f"A checkpoint policy returned {type(answer).__name__} for `{eqn.primitive.name}`.",
            "It is asked for each equation `policy(primitive, *avals, **params)`, and says whether the results may be "
            "kept: True or False.",
            "Return a bool. Policies with arguments are called first: `policy=save_only_these_names('a', 'b')`.",
        )
    return bool(answer)
