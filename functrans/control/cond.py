"""cond: one of several programs, chosen by an index."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import compress
from typing import Any, NamedTuple

import numpy as np

from ..compiler.program import compile_jaxpr
from ..core.avals import ZERO, ShapedArray, StackAval
from ..core.jaxpr import Jaxpr, Var, eval_jaxpr, memoized, prune
from ..core.primitive import SharedOperands, is_hole
from ..core.staging import trace_closed
from ..core.trace import Params, typeof
from ..primitives.elementwise import equal
from ..primitives.foundation import convert, zeros
from ..primitives.reductions import reduce_any
from ..transforms.batching import batch_jaxpr
from ..transforms.forward import jvp_jaxpr
from ..transforms.jet import active_coefficients, jet_jaxpr, series_of
from ..transforms.partial_eval import partial_eval_jaxpr
from ..transforms.residuals import split_jaxpr
from ..transforms.transpose import transpose_jaxpr
from .loop import Flags, choose_lanes, first_lane, spread, stand_in, used_inputs
from .programs import HoldsPrograms, check_no_collective, guarded

Branches = tuple[Jaxpr, ...]


class Cond(HoldsPrograms):
    """Runs the branch that the first operand, an integer, gives the number of, on the other operands.

    Params:
        branches: jaxprs with the same types of inputs and of results.
    """

    adds_to_totals = True

    def abstract_eval(self, *avals: Any, branches: Branches) -> list[Any]:
        return branches[0].out_avals

    def impl(self, index: Any, *args: Any, branches: Branches) -> list[Any]:
        return compile_jaxpr(branches[int(index)])(*args)

    def assemble(
        self, assembler: Any, block: list[Any], sources: Sequence[Any], targets: Sequence[Any], params: Params
    ) -> bool:
        if sources[0].dtype != np.int64:
            return False
        assembler.branch(block, sources[0], params["branches"], sources[1:], targets)
        return True

    def jvp(
        self, primals: Sequence[Any], tangents: Sequence[Any], *, branches: Branches
    ) -> tuple[list[Any], list[Any]]:
        active = tuple(t is not ZERO for t in tangents[1:])
        derived, out_active = agreeing(branches, lambda branch, forced: jvp_jaxpr(branch, active, forced))
        outs = self.bind(*primals, *(t for t in tangents[1:] if t is not ZERO), branches=derived)
        count = len(out_active)
        return outs[:count], spread(outs[count:], out_active)

    def jet(self, order: int, series: Sequence[Any], *, branches: Branches) -> list[Any]:
        active, coefficients = active_coefficients(series[1:])
        derived, out_active = agreeing(branches, lambda branch, forced: jet_jaxpr(branch, order, active, forced))
        outs = self.bind(*(s[0] for s in series), *coefficients, branches=derived)
        return series_of(outs, out_active, order)

    def transpose(
        self, cotangents: Sequence[Any], index: Any, *args: Any, branches: Branches, totals: Sequence[Any]
    ) -> Sequence[Any]:
        linear = tuple(map(is_hole, args))
        active = tuple(ct is not ZERO for ct in cotangents)
        given = [ct for ct in cotangents if ct is not ZERO]
        ct_avals = tuple(map(typeof, given))
        so_far = list(compress(totals[1:], linear))
        has_total = tuple(total is not ZERO for total in so_far)
        derived, found = agreeing(
            branches, lambda branch, forced: transpose_jaxpr(branch, linear, active, ct_avals, forced, has_total)
        )
        others = [a for a, is_linear in zip(args, linear) if not is_linear]
        sums = [total for total, is_found in zip(so_far, found) if is_found and total is not ZERO]
        outs = spread(self.bind(index, *others, *given, *sums, branches=derived), found)
        cts = iter(total if ct is ZERO else ct for ct, total in zip(outs, so_far))
        return [None, *(next(cts) if is_linear else None for is_linear in linear)]

    def batch_named(
        self, axis_name: Any, size: int, values: Sequence[Any], mapped: Sequence[bool], *, branches: Branches
    ) -> tuple[list[Any], Sequence[bool]]:
        flags = tuple(mapped[1:])
        if mapped[0]:
            return self._batch_lanewise(axis_name, size, values, flags, branches)
        derived, out_mapped = agreeing(
            branches, lambda branch, forced: batch_jaxpr(branch, size, flags, forced, axis_name)
        )
        return self.bind(*values, branches=derived), out_mapped

    def _batch_lanewise(
        self, axis_name: Any, size: int, values: Sequence[Any], mapped: Flags, branches: Branches
    ) -> tuple[list[Any], list[bool]]:
        """Each lane chooses for itself: every branch that some lane takes runs, for all lanes.

        In it the lanes that do not take the branch hold the operands of one that does, so that no branch sees values
        that it was not meant for.
        """
        indices, *args = values
        check_no_collective(branches, axis_name, "a branch that only some lanes take")
        results: list[Any] = []
        for number, branch in enumerate(branches):
            takes = equal(indices, number)
            example = first_lane(takes)
            taken = lanewise_branch(branch, size, mapped, axis_name)
            outs = self.bind(
                convert(reduce_any(takes, axes=(0,)), dtype=np.dtype(np.int64)), takes, example, *args,
                branches=(unused_branch(taken), taken),
            )  # fmt: skip
            results = [choose_lanes(takes, new, old) for new, old in zip(outs, results)] if results else outs
        return results, [True] * len(results)

    def guarded(self, params: Params) -> tuple[Params, int]:
        return {**params, "branches": tuple(map(guarded, params["branches"]))}, 1

    def shared_operands(self, params: Params) -> SharedOperands:
        return SharedOperands(1, len(params["branches"][0].inputs), ("branches",))

    def without_results(self, params: Params, wanted: Sequence[bool]) -> tuple[Params, Flags, Flags]:
        branches, used = smaller_branches(params["branches"], tuple(wanted))
        return {**params, "branches": branches}, (True, *used), tuple(wanted)

    def partial_eval(self, trace: Any, unknown: Sequence[bool], args: Sequence[Any], params: Params) -> list[Any]:
        flags = tuple(unknown[1:])
        if unknown[0]:
            return trace.record(self, args, params)
        split = split_branches(params["branches"], flags)
        known_args = [a for a, is_unknown in zip(args[1:], flags) if not is_unknown]
        outs = trace.parent.process(self, [args[0], *known_args], {"branches": split.known})
        count = split.out_unknown.count(False)
        residuals = [*(known_args[i] for i in split.operands), *outs[count:]]
        unknown_args = [a for a, is_unknown in zip(args[1:], flags) if is_unknown]
        recorded = iter(trace.record(self, [args[0], *residuals, *unknown_args], {"branches": split.rest}))
        known = iter(outs[:count])
        return [next(recorded) if is_unknown else next(known) for is_unknown in split.out_unknown]


def agreeing(branches: Branches, derive: Any) -> tuple[Branches, Flags]:
    """Derived branches whose results agree: what one of them has, `derive(branch, forced)` makes all of them have."""
    flags = [derive(branch, None)[1] for branch in branches]
    forced = tuple(any(group) for group in zip(*flags))
    return tuple(derive(branch, forced)[0] for branch in branches), forced


def smaller_branches(branches: Branches, wanted: Flags) -> tuple[Branches, Flags]:
    """Branches with the wanted results only, and the inputs that one of them needs for those; and which these are."""
    smaller = [with_some_results(branch, wanted) for branch in branches]
    used = tuple(any(group) for group in zip(*map(used_inputs, smaller)))
    return tuple(with_some_inputs(branch, used) for branch in smaller), used


@memoized
def with_some_results(jaxpr: Jaxpr, wanted: Flags) -> Jaxpr:
    """The same jaxpr without results that nobody wants."""
    outputs = [a for a, is_wanted in zip(jaxpr.outputs, wanted) if is_wanted]
    return Jaxpr(jaxpr.inputs, prune(jaxpr.eqns, outputs), outputs)


@memoized
def with_some_inputs(jaxpr: Jaxpr, used: Flags) -> Jaxpr:
    """The same jaxpr without inputs that it does not use."""
    return Jaxpr([v for v, is_used in zip(jaxpr.inputs, used) if is_used], jaxpr.eqns, jaxpr.outputs)


class SplitBranches(NamedTuple):
    """Branches by what is known.

    Attributes:
        known: `known operands -> known results, residuals`.
        rest: `residuals that are operands, residuals, unknown operands -> unknown results`.
        operands: the known operands that are residuals.
        out_unknown: which results are unknown.
    """

    known: Branches
    rest: Branches
    operands: tuple[int, ...]
    out_unknown: Flags


@memoized
def _split(first: Jaxpr, others: Branches, unknown: Flags) -> SplitBranches:
    branches = (first, *others)
    flags = [partial_eval_jaxpr(branch, unknown)[2] for branch in branches]
    out_unknown = tuple(any(group) for group in zip(*flags))
    halves = [split_jaxpr(branch, unknown, out_unknown)[:2] for branch in branches]
    count = out_unknown.count(False)
    operands = sorted(
        {known.inputs.index(a) for known, _ in halves for a in known.outputs[count:] if a in known.inputs}
    )
    slots: list[Any] = []
    places = [_places(known, known.outputs[count:], slots) for known, _ in halves]
    joined = [
        _joined(known, rest, count, operands, tuple(slots), where) for (known, rest), where in zip(halves, places)
    ]
    return SplitBranches(
        tuple(known for known, _ in joined), tuple(rest for _, rest in joined), tuple(operands), out_unknown
    )


def split_branches(branches: Branches, unknown: Flags) -> SplitBranches:
    """Split all branches alike: they share the room for residuals, of which each fills its part."""
    return _split(branches[0], branches[1:], unknown)


def _places(known: Jaxpr, residuals: Sequence[Any], slots: list[Any]) -> list[int | None]:
    """The slot for each residual of a branch, None for operands; slots are added for types that have none free.

    Stacks have slots of their own: where it lies says more of one than its type.
    """
    free = list(range(len(slots)))
    places: list[int | None] = []
    for atom in residuals:
        if atom in known.inputs:
            places.append(None)
            continue
        aval = atom.aval
        is_stack = isinstance(aval, StackAval)
        slot = None if is_stack else next((i for i in free if slots[i] == aval), None)
        if slot is None:
            slot = len(slots)
            slots.append(aval)
        else:
            free.remove(slot)
        places.append(slot)
    return places


def _joined(
    known: Jaxpr, rest: Jaxpr, count: int, operands: Sequence[int], slots: tuple[Any, ...], places: Sequence[int | None]
) -> tuple[Jaxpr, Jaxpr]:
    """The halves of one branch, with results and inputs for the residuals of all branches."""
    residuals = known.outputs[count:]
    filled = {place: i for i, place in enumerate(places) if place is not None}

    def known_half(*args: Any) -> list[Any]:
        outs = eval_jaxpr(known, *args)
        rows = [outs[count + filled[s]] if s in filled else zeros(aval) for s, aval in enumerate(slots)]
        return [*outs[:count], *rows]

    given = rest.inputs[: len(residuals)]
    passed = [next((v for v, a in zip(given, residuals) if a is known.inputs[i]), None) for i in operands]
    stored = [given[filled[s]] if s in filled else None for s in range(len(slots))]
    avals = [*(known.inputs[i].aval for i in operands), *slots]
    inputs = [Var(aval) if v is None else v for v, aval in zip([*passed, *stored], avals)]
    return trace_closed(known_half, known.in_avals), Jaxpr(
        [*inputs, *rest.inputs[len(residuals) :]], rest.eqns, rest.outputs
    )


@memoized
def lanewise_branch(branch: Jaxpr, size: int, mapped: Flags, axis_name: Any) -> Jaxpr:
    """`takes, example, operands -> results` for all lanes, those that do not take the branch doing as the example."""
    batched, _ = batch_jaxpr(guarded(branch), size, (True, *mapped), (True,) * len(branch.outputs), axis_name)

    def function(takes: Any, example: Any, *args: Any) -> list[Any]:
        safe = [stand_in(takes, a, example) if m else a for a, m in zip(args, mapped)]
        return eval_jaxpr(batched, takes, *safe)

    lanes, *avals = batched.in_avals
    return trace_closed(function, [lanes, ShapedArray((), np.dtype(np.int64)), *avals])


@memoized
def unused_branch(branch: Jaxpr) -> Jaxpr:
    """What stands for a branch that no lane takes: zeros."""
    return trace_closed(lambda *args: [zeros(aval.strong()) for aval in branch.out_avals], branch.in_avals)


cond = Cond("cond")
