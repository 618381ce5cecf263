"""What scan and while_loop share: operands in groups, and rules that transform the body and loop over the result.

A loop has constants, a carry, and (scan) inputs with one element for each step, `xs`; its results are the carry at the
end and, for each step, an element of `ys`. The body is a jaxpr `constants, carry, x -> carry, y`. Where the number of
steps is known while tracing, xs and ys are arrays with a leading axis; where it is not, they are stacks.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ..core.avals import ZERO, ShapedArray, StackAval
from ..core.devices import empty_here
from ..core.jaxpr import Jaxpr, Var, eval_jaxpr, memoized, prune, substitute
from ..core.primitive import SharedOperands
from ..core.stack import Stack
from ..core.trace import Params, running, typeof
from ..primitives.dynamic_slice import dynamic_slice
from ..primitives.foundation import broadcast_lanes, convert, instantiate, match, reshape
from ..primitives.reductions import argmax, reduce_max
from ..primitives.selection import select
from ..primitives.stacks import choose_entries
from ..primitives.structural import transpose
from ..transforms.batching import batch_jaxpr
from ..transforms.forward import jvp_jaxpr
from ..transforms.jet import is_moving, jet_jaxpr
from ..transforms.partial_eval import partial_eval_jaxpr
from ..transforms.residuals import with_fewest_residuals
from .eager import run_loop
from .programs import HoldsPrograms, inlined, jaxpr_has_effects

Flags = tuple[bool, ...]


class Groups(NamedTuple):
    """The operands of a loop, or anything else that there is one of for each operand.

    Attributes:
        head: the number of steps of a scan, where it is known only at run time.
    """

    head: Sequence[Any]
    consts: Sequence[Any]
    carry: Sequence[Any]
    xs: Sequence[Any]


class Loop(HoldsPrograms):
    """A program run again and again on what it returned."""

    #: How many results stand before the carry.
    leading_results = 0
    #: The parameters that hold what runs in each step.
    step_programs: tuple[str, ...] = ("body",)

    # ---- what the two loops answer differently

    def widened(self, params: Params, consts: Flags, carry: Flags, body: Jaxpr) -> Params:
        """The parameters for another body, with these constants and carries among its own (True: old, False: new)."""
        raise NotImplementedError

    def narrowed(self, params: Params, consts: Flags, carry: Flags, body: Jaxpr) -> Params:
        """The parameters for another body that has kept only these constants and carries."""
        raise NotImplementedError

    def has_known_length(self, params: Params, unknown: Groups) -> bool:
        """Whether the number of steps is known where only some operands are."""
        raise NotImplementedError

    def as_scan(self, params: Params, operands: Groups, results: Sequence[Any], body: Jaxpr, **changed: Any) -> Any:
        """The scan primitive, the head and the parameters that run another body as often as this loop ran."""
        raise NotImplementedError

    # ---- operands and results in groups

    def split(self, params: Params, operands: Sequence[Any]) -> Groups:
        """Operands by groups."""
        head = len(operands) - len(params["body"].inputs) if "length" in params else 0
        consts = head + params["consts"]
        carry = consts + params["carry"]
        return Groups(operands[:head], operands[head:consts], operands[consts:carry], operands[carry:])

    def split_results(self, params: Params, results: Sequence[Any]) -> Sequence[Sequence[Any]]:
        """Results before the carry, the carry, and ys."""
        carry = self.leading_results + params["carry"]
        return results[: self.leading_results], results[self.leading_results : carry], results[carry:]

    def continues(self, number: int, params: Params) -> int | None:
        state = number - self.leading_results
        head = 1 if params.get("length", 0) is None else 0
        return head + params["consts"] + state if 0 <= state < params["carry"] else None

    def is_step_by_step(self, number: int, params: Params) -> bool:
        return number >= self.leading_results + params["carry"]

    # ---- rules

    def run(self, *args: Any, **params: Any) -> list[Any]:
        return run_loop(self, args, params)

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Any], **params: Any) -> tuple[list[Any], list[Any]]:
        slopes = [ZERO if t is ZERO else [t] for t in tangents]
        outs, out_slopes = self._push_forward(None, primals, slopes, params)
        return outs, [ZERO if t is ZERO else t[0] for t in out_slopes]

    def jet(self, order: int, series: Sequence[Any], **params: Any) -> list[Any]:
        slopes = [s[1:] if is_moving(s) else ZERO for s in series]
        outs, out_slopes = self._push_forward(order, [s[0] for s in series], slopes, params)
        return [[y, *([ZERO] * order if dy is ZERO else dy)] for y, dy in zip(outs, out_slopes)]

    def _push_forward(
        self, order: int | None, primals: Sequence[Any], slopes: Sequence[Any], params: Params
    ) -> tuple[list[Any], list[Any]]:
        """Run a loop over values and what goes with them: a tangent (order None), or `order` coefficients of a series.

        Args:
            slopes: ZERO, or a list with the tangent or the coefficients, for each operand; and so for each result.
        """
        values, moving = self.split(params, primals), self.split(params, slopes)
        active = [tuple(t is not ZERO for t in group) for group in moving]
        body, carry_active, ys_active = tangent_body(params["body"], order, active[1], active[2], active[3])
        each = order or 1
        carry_slopes = [
            match(instantiate(t, typeof(c).strong()), c)
            for ts, c, is_active in zip(moving.carry, values.carry, carry_active)
            if is_active
            for t in ([ZERO] * each if ts is ZERO else ts)
        ]
        consts_slopes, xs_slopes = (
            [instantiate(t, typeof(p).strong()) for ts, p in zip(*pair) if ts is not ZERO for t in ts]
            for pair in ((moving.consts, values.consts), (moving.xs, values.xs))
        )
        outs = self.bind(
            *values.head, *values.consts, *consts_slopes, *values.carry, *carry_slopes, *values.xs, *xs_slopes,
            **self.widened(
                params, olds(params["consts"], len(consts_slopes)), olds(params["carry"], len(carry_slopes)), body
            ),
        )  # fmt: skip
        sizes = (self.leading_results, params["carry"], len(carry_slopes), len(ys_active))
        lead, carry, out_slopes, ys, ys_slopes = partition(outs, sizes)
        return (
            [*lead, *carry, *ys],
            [*[ZERO] * len(lead), *_bundled(out_slopes, carry_active, each), *_bundled(ys_slopes, ys_active, each)],
        )

    def shared_operands(self, params: Params) -> SharedOperands:
        length = params.get("length", 0)
        return SharedOperands(int(length is None), params["consts"], self.step_programs, True, bool(length))

    def without_results(self, params: Params, wanted: Sequence[bool]) -> tuple[Params, Flags, Flags]:
        lead, carry, ys = self.split_results(params, wanted)
        needed = self.always_needed(params)
        body, flags = smaller_body(params["body"], params["consts"], tuple(carry), tuple(ys), needed)
        head = (True,) * ("length" in params and params["length"] is None)
        changed = self.narrowed(params, flags.consts, flags.carry, body)
        return changed, (*head, *flags.consts, *flags.carry, *flags.xs), (*[True] * len(lead), *flags.carry, *ys)

    def always_needed(self, params: Params) -> tuple[Flags, Flags]:
        """Which constants and carries the loop needs whatever its results are for."""
        return (False,) * params["consts"], (False,) * params["carry"]

    def batch_named(
        self, axis_name: Any, size: int, values: Sequence[Any], mapped: Sequence[bool], **params: Any
    ) -> tuple[list[Any], list[bool]]:
        operands, flags = self.split(params, values), self.split(params, mapped)
        carry_mapped = tuple(flags.carry)
        while True:
            body, out_mapped = batch_jaxpr(
                params["body"],
                size,
                (*flags.consts, *carry_mapped, *flags.xs),
                (*carry_mapped, *[False] * (len(params["body"].outputs) - params["carry"])),
                axis_name,
            )
            if out_mapped[: params["carry"]] == carry_mapped:
                break
            carry_mapped = out_mapped[: params["carry"]]
        carry = [
            broadcast_lanes(c, size) if after and not before else c
            for c, before, after in zip(operands.carry, flags.carry, carry_mapped)
        ]
        xs = [swap_lanes(x) if is_mapped else x for x, is_mapped in zip(operands.xs, flags.xs)]
        outs = self.bind(*operands.head, *operands.consts, *carry, *xs, **{**params, "body": body})
        lead, carry, ys = self.split_results(params, outs)
        ys_mapped = out_mapped[params["carry"] :]
        ys = [swap_lanes(y) if is_mapped else y for y, is_mapped in zip(ys, ys_mapped)]
        return [*lead, *carry, *ys], [*[False] * len(lead), *carry_mapped, *ys_mapped]

    def partial_eval(self, trace: Any, unknown: Sequence[bool], args: Sequence[Any], params: Params) -> list[Any]:
        flags, operands = self.split(params, unknown), self.split(params, args)
        carry_unknown = unknown_carry(params["body"], tuple(flags.consts), tuple(flags.carry), tuple(flags.xs))
        flags = flags._replace(carry=carry_unknown)
        if not self.has_known_length(params, flags):
            return trace.record(self, args, params)
        if params["slots"] is not None:
            return self._recorded_whole(trace, flags, operands, params)
        halves = split_body(params["body"], tuple(flags.consts), carry_unknown, tuple(flags.xs))
        outs = self._run_known(trace, flags, operands, params, halves.known)
        lead, carry, ys = self.split_results({**params, "carry": carry_unknown.count(False)}, outs)
        known_consts = [c for c, is_unknown in zip(operands.consts, flags.consts) if not is_unknown]
        with running(trace.parent):
            invariant = eval_jaxpr(halves.invariant, *known_consts)
        known_xs = [x for x, is_unknown in zip(operands.xs, flags.xs) if not is_unknown]
        residuals = [known_xs[i] if source == "xs" else ys[i] for source, i in halves.residuals]
        consts = [*invariant, *(c for c, is_unknown in zip(operands.consts, flags.consts) if is_unknown)]
        carried = [c for c, is_unknown in zip(operands.carry, carry_unknown) if is_unknown]
        xs = [*residuals, *(x for x, is_unknown in zip(operands.xs, flags.xs) if is_unknown)]
        scan, head, scan_params = self.as_scan(
            params, operands, outs, halves.rest, consts=len(consts), carry=len(carried), slots=None
        )
        recorded = trace.record(scan, [*head, *consts, *carried, *xs], scan_params)
        rest_carry, rest_ys = recorded[: len(carried)], recorded[len(carried) :]
        ys_unknown = halves.ys_unknown
        return [
            *lead,
            *merge(carry, rest_carry, carry_unknown),
            *merge(ys[: ys_unknown.count(False)], rest_ys, ys_unknown),
        ]

    def _run_known(self, trace: Any, flags: Groups, operands: Groups, params: Params, body: Jaxpr) -> list[Any]:
        """The known half of the loop, in the trace below."""
        keep_consts, keep_carry = (tuple(not f for f in group) for group in (flags.consts, flags.carry))
        known = [
            x
            for group, group_flags in zip(operands, flags)
            for x, is_unknown in zip(group, group_flags)
            if not is_unknown
        ]
        changed = {**self.narrowed(params, keep_consts, keep_carry, body), "slots": None}
        return trace.parent.process(self, known, changed)

    def _recorded_whole(self, trace: Any, flags: Groups, operands: Groups, params: Params) -> list[Any]:
        """Run the known half and keep nothing of it: what the derivative needs is computed again (checkpointing).

        Nothing but what equations with effects returned, which are not to be had twice.
        """
        known, again, ys_unknown = split_for_reversal(
            params["body"], (*flags.consts, *flags.carry, *flags.xs), tuple(flags.carry)
        )
        outs = self._run_known(trace, flags, operands, params, known)
        carry_unknown = tuple(flags.carry)
        lead, carry, ys = self.split_results({**params, "carry": carry_unknown.count(False)}, outs)
        ys, kept = partition(ys, (ys_unknown.count(False),))
        scan, head, scan_params = self.as_scan(
            params, operands, outs, again, consts=params["consts"], carry=params["carry"], slots=params["slots"]
        )
        recorded = trace.record(scan, [*head, *operands.consts, *operands.carry, *operands.xs, *kept], scan_params)
        rest_carry = [c for c, is_unknown in zip(recorded, carry_unknown) if is_unknown]
        rest_ys = recorded[len(carry_unknown) :]
        return [*lead, *merge(carry, rest_carry, carry_unknown), *merge(ys, rest_ys, ys_unknown)]


def stacked_aval(aval: Any, length: int | None) -> Any:
    """The type of all steps together: an array if their number is known and they are arrays, a stack otherwise."""
    if length is None or type(aval) is StackAval:
        return StackAval(aval.strong())
    return aval.with_lanes(length)


def entry_aval(aval: Any) -> Any:
    """The type of one step."""
    return aval.entry if type(aval) is StackAval else ShapedArray(aval.shape[1:], aval.dtype)


def are_arrays(avals: Sequence[Any]) -> bool:
    """Whether none of these types is that of a stack."""
    return all(isinstance(aval, ShapedArray) for aval in avals)


def swap_lanes(x: Any) -> Any:
    """Steps and lanes of an array in the other order; the lanes of a stack are in its entries already."""
    aval = typeof(x)
    if type(aval) is StackAval:
        return x
    return transpose(x, permutation=(1, 0, *range(2, aval.ndim)))


def choose_lanes(lanes: Any, x: Any, y: Any) -> Any:
    """The lanes of x where a vector of booleans holds, those of y elsewhere."""
    if type(typeof(x)) is StackAval:
        return choose_entries(lanes, x, y)
    shape = typeof(x).shape
    return select(reshape(lanes, shape=(shape[0], *(1,) * (len(shape) - 1))), x, y)


def make_room(aval: Any, static: int | None, length: int) -> Any:
    """Where the ys of a loop go: an array, or a stack if their number was not known while tracing."""
    if static is not None and isinstance(aval, ShapedArray):
        return empty_here((length, *aval.shape), aval.dtype)
    return Stack(StackAval(aval.strong()), length)


def first_lane(lanes: Any) -> Any:
    """The number of the first lane where a condition holds; 0 if it holds nowhere, or there are no lanes."""
    if not typeof(lanes).shape[0]:
        return np.int64(0)
    return argmax(convert(lanes, dtype=np.dtype(np.int8)), axes=(0,))


def most_steps(counts: Any) -> Any:
    """The largest of the numbers of steps of lanes; 0 if there are no lanes."""
    return reduce_max(counts, axes=(0,)) if typeof(counts).shape[0] else np.int64(0)


def stand_in(lanes: Any, x: Any, example: Any) -> Any:
    """The lanes of x where the condition holds, and one of them, the example, in place of the others.

    A stack is as good as it is: only derivatives of loops read it, which compute with any numbers.
    """
    aval = typeof(x)
    if type(aval) is StackAval or not aval.shape[0]:
        return x
    row = dynamic_slice(x, example, *[0] * (aval.ndim - 1), sizes=(1, *aval.shape[1:]))
    return choose_lanes(lanes, x, row)


@memoized
def tangent_body(
    body: Jaxpr, order: int | None, consts: Flags, carry: Flags, xs: Flags
) -> tuple[Jaxpr, Flags, Flags]:
    """The body `consts, dconsts, carry, dcarry, x, dx -> carry, dcarry, y, dy`; which carries and ys have tangents.

    With an order, what goes with a value is not a tangent but so many coefficients of its series.
    """
    count, each = len(carry), order or 1
    while True:
        forced = (*carry, *[False] * (len(body.outputs) - count))
        active = (*consts, *carry, *xs)
        derived, found = jvp_jaxpr(body, active, forced) if order is None else jet_jaxpr(body, order, active, forced)
        if found[:count] == carry:
            break
        carry = found[:count]
    sizes = (len(consts), count, len(xs), each * sum(consts), each * sum(carry), each * sum(xs))
    groups = partition(derived.inputs, sizes)
    inputs = [v for i in range(3) for group in (groups[i], groups[3 + i]) for v in group]
    outs, ys, out_slopes, ys_slopes = partition(derived.outputs, (count, len(found) - count, each * sum(carry)))
    return Jaxpr(inputs, derived.eqns, [*outs, *out_slopes, *ys, *ys_slopes]), carry, found[count:]


@memoized
def unknown_carry(body: Jaxpr, consts: Flags, carry: Flags, xs: Flags) -> Flags:
    """Which carries are unknown sooner or later."""
    while True:
        _, _, out_unknown = partial_eval_jaxpr(body, (*consts, *carry, *xs))
        after = tuple(a or b for a, b in zip(carry, out_unknown))
        if after == carry:
            return carry
        carry = after


class Halves(NamedTuple):
    """A body by what is known.

    Attributes:
        known: `known consts, carry, x -> known carry, known y, residuals`.
        invariant: `known consts -> residuals` that are the same in every step.
        rest: `invariant residuals, unknown consts, unknown carry, residuals, unknown x -> unknown carry, unknown y`.
        residuals: where the residuals of each step are found: ("xs", i), a known input, or ("ys", i), a known result.
        ys_unknown: which ys are unknown.
    """

    known: Jaxpr
    invariant: Jaxpr
    rest: Jaxpr
    residuals: tuple[tuple[str, int], ...]
    ys_unknown: Flags


@memoized
def split_body(body: Jaxpr, consts: Flags, carry: Flags, xs: Flags) -> Halves:
    """Split a body; what does not change from step to step is no residual of each step."""
    unknown = (*consts, *carry, *xs)
    forced = (*carry, *[False] * (len(body.outputs) - len(carry)))
    known, rest, out_unknown = partial_eval_jaxpr(body, unknown, forced)
    known_consts, known_carry, known_xs = partition(
        known.inputs, (consts.count(False), carry.count(False), xs.count(False))
    )[:3]
    changing = changing_variables(known, [*known_carry, *known_xs])
    unchanging = {v for eqn in known.eqns for v in eqn.outputs if v not in changing}
    count = out_unknown.count(False)
    at_hand = {*known_consts, *known_xs, *unchanging, *known.outputs[carry.count(False) : count]}
    known, rest = with_fewest_residuals(known, rest, count, at_hand)
    results, residuals = partition(known.outputs, (count,))
    invariant = [i for i, atom in enumerate(residuals) if atom not in changing]
    outputs = [residuals[i] for i in invariant]
    known_ys: list[Any] = list(results[carry.count(False) :])
    places: list[tuple[str, int]] = []
    stepwise = [i for i in range(len(residuals)) if i not in set(invariant)]
    for i in stepwise:
        if residuals[i] in known_xs:
            places.append(("xs", known_xs.index(residuals[i])))
        else:
            if residuals[i] not in known_ys:
                known_ys.append(residuals[i])
            places.append(("ys", known_ys.index(residuals[i])))
    known_outputs = [*results[: carry.count(False)], *known_ys]
    given = rest.inputs[: len(residuals)]
    u_consts, u_carry, u_xs = partition(rest.inputs[len(residuals) :], (sum(consts), sum(carry), sum(xs)))[:3]
    rest_inputs = [*(given[i] for i in invariant), *u_consts, *u_carry, *(given[i] for i in stepwise), *u_xs]
    return Halves(
        Jaxpr(known.inputs, prune(known.eqns, known_outputs), known_outputs),
        Jaxpr(known_consts, prune(known.eqns, outputs, keep_effects=False), outputs),
        Jaxpr(rest_inputs, rest.eqns, rest.outputs),
        tuple(places),
        out_unknown[len(carry) :],
    )


@memoized
def split_for_reversal(body: Jaxpr, unknown: Flags, carry: Flags) -> tuple[Jaxpr, Jaxpr, Flags]:
    """The known half without residuals; the whole body without the known ys; which ys are unknown.

    What equations with effects return, and the whole body needs, is among the last results of the known half, and of
    the last inputs of the whole body, which has no effects.
    """
    forced = (*carry, *[False] * (len(body.outputs) - len(carry)))
    body = inlined(body) if jaxpr_has_effects(body) else body
    known, rest, out_unknown = partial_eval_jaxpr(body, unknown, forced)
    results, residuals = partition(known.outputs, (out_unknown.count(False),))
    if not jaxpr_has_effects(known):
        again = [a for i, a in enumerate(body.outputs) if i < len(carry) or out_unknown[i]]
        return (
            Jaxpr(known.inputs, prune(known.eqns, results), results),
            Jaxpr(body.inputs, prune(body.eqns, again), again),
            out_unknown[len(carry) :],
        )
    atoms: dict[Var, Any] = dict(zip(rest.inputs, residuals))
    rest_outputs = [atoms.get(a, a) if type(a) is Var else a for a in rest.outputs]
    again = [*merge(results, rest_outputs, carry), *rest_outputs[sum(carry) :]]
    without_effects = [eqn for eqn in known.eqns if not eqn.primitive.has_effects(eqn.params)]
    eqns = prune([*without_effects, *substitute(rest.eqns, atoms)], again)
    used = {a for eqn in eqns for a in eqn.inputs if type(a) is Var} | {a for a in again if type(a) is Var}
    kept = [
        v for eqn in known.eqns if eqn.primitive.has_effects(eqn.params) for v in eqn.outputs if v in used
    ]
    inputs = merge(known.inputs, rest.inputs[len(residuals) :], unknown)
    known_outputs = [*results, *kept]
    return (
        Jaxpr(known.inputs, prune(known.eqns, known_outputs), known_outputs),
        Jaxpr([*inputs, *kept], eqns, again),
        out_unknown[len(carry) :],
    )


@memoized
def smaller_body(
    body: Jaxpr, consts: int, carry: Flags, ys: Flags, needed: tuple[Flags, Flags]
) -> tuple[Jaxpr, Groups]:
    """A body without the ys and carries that nobody wants, and which constants, carries and xs it still has."""
    carry = tuple(a or b for a, b in zip(carry, needed[1]))
    while True:
        outputs = [a for a, is_wanted in zip(body.outputs, (*carry, *ys)) if is_wanted]
        eqns = prune(body.eqns, outputs)
        used = {a for eqn in eqns for a in eqn.inputs if type(a) is Var} | {a for a in outputs if type(a) is Var}
        found = tuple(v in used for v in body.inputs)
        after = tuple(a or b for a, b in zip(carry, found[consts:]))
        if after == carry:
            break
        carry = after
    kept_consts = tuple(a or b for a, b in zip(found[:consts], needed[0]))
    kept = (*kept_consts, *carry, *found[consts + len(carry) :])
    inputs = [v for v, is_kept in zip(body.inputs, kept) if is_kept]
    return Jaxpr(inputs, eqns, outputs), Groups((), kept_consts, carry, kept[consts + len(carry) :])


def changing_variables(jaxpr: Jaxpr, sources: Sequence[Var]) -> set[Any]:
    """The variables that depend on some inputs, or on what effects bring."""
    changing: set[Any] = set(sources)
    for eqn in jaxpr.eqns:
        if eqn.primitive.has_effects(eqn.params) or any(a in changing for a in eqn.inputs if type(a) is Var):
            changing.update(eqn.outputs)
    return changing


@memoized
def used_inputs(jaxpr: Jaxpr) -> Flags:
    """Which inputs the results depend on."""
    eqns = prune(jaxpr.eqns, jaxpr.outputs)
    used = {a for eqn in eqns for a in eqn.inputs} | set(jaxpr.outputs)
    return tuple(v in used for v in jaxpr.inputs)


@memoized
def with_inputs(jaxpr: Jaxpr, old: Flags, avals: tuple[Any, ...]) -> Jaxpr:
    """The same jaxpr with further inputs, which it does not use, at the places that are not old."""
    own, new = iter(jaxpr.inputs), iter(avals)
    return Jaxpr([next(own) if is_old else Var(next(new)) for is_old in old], jaxpr.eqns, jaxpr.outputs)


@memoized
def without_inputs(jaxpr: Jaxpr, keep: Flags) -> Jaxpr | None:
    """The same jaxpr without inputs that it does not use; None if it uses one of those."""
    if any(is_used and not is_kept for is_used, is_kept in zip(used_inputs(jaxpr), keep)):
        return None
    inputs = [v for v, is_kept in zip(jaxpr.inputs, keep) if is_kept]
    return Jaxpr(inputs, prune(jaxpr.eqns, jaxpr.outputs), jaxpr.outputs)


def partition(items: Sequence[Any], counts: Sequence[int]) -> list[Sequence[Any]]:
    """Groups of given sizes, and the rest."""
    groups, start = [], 0
    for count in counts:
        groups.append(items[start : start + count])
        start += count
    return [*groups, items[start:]]


def olds(old: int, new: int) -> Flags:
    """Flags of some old things and some new ones after them."""
    return (*[True] * old, *[False] * new)


def spread(values: Sequence[Any], active: Flags) -> list[Any]:
    """Values where the flags are set, and ZERO elsewhere."""
    rest = iter(values)
    return [next(rest) if is_active else ZERO for is_active in active]


def _bundled(values: Sequence[Any], active: Flags, each: int) -> list[Any]:
    """Lists of so many values where the flags are set, and ZERO elsewhere."""
    rest = iter(values)
    return [[next(rest) for _ in range(each)] if is_active else ZERO for is_active in active]


def merge(known: Sequence[Any], unknown: Sequence[Any], flags: Flags) -> list[Any]:
    """Values from two lists: from the second where the flags are set."""
    ours, theirs = iter(known), iter(unknown)
    return [next(theirs) if is_unknown else next(ours) for is_unknown in flags]
