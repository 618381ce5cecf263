"""scan: a loop whose number of steps is known before it begins."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..compiler.program import compile_jaxpr
from ..core.avals import ZERO, ShapedArray
from ..core.jaxpr import Jaxpr, eval_jaxpr, memoized, prune
from ..core.primitive import is_hole
from ..core.stack import BLOCK_BYTES
from ..core.staging import trace_closed
from ..core.trace import Params, current_trace, operators, running, typeof
from ..primitives.elementwise import add, less, subtract
from ..primitives.foundation import all_mapped, broadcast_lanes, instantiate
from ..primitives.stacks import stack_length
from ..transforms.batching import batch_jaxpr
from ..transforms.partial_eval import PartialEvalTrace, UnknownTracer, partial_eval_jaxpr
from ..transforms.transpose import backward_pass, transpose_jaxpr
from .loop import (
    Flags,
    Groups,
    Loop,
    are_arrays,
    choose_lanes,
    make_room,
    most_steps,
    partition,
    spread,
    stacked_aval,
    swap_lanes,
    unknown_carry,
)  # fmt: skip
from .programs import guarded
from .progress import run_shown, steps_shown
from .reversal import ReverseSweep


class Scan(Loop):
    """Runs `body` once for each element of xs.

    Params:
        body: `consts, carry, x -> carry, y`.
        consts, carry: how many operands there are of each.
        length: the number of steps; None: the first operand holds it.
        reverse: whether to start at the last element.
        slots: how many states of the carry the derivative may keep (a number, LOGARITHMIC or a Budget); None: it keeps
            the residuals of every step.
        progress: the text of a progress bar, or None.
    """

    adds_to_totals = True

    def abstract_eval(self, *avals: Any, body: Jaxpr, carry: int, length: int | None, **params: Any) -> list[Any]:
        out = body.out_avals
        return [*out[:carry], *(stacked_aval(aval, length) for aval in out[carry:])]

    def impl(self, *args: Any, **params: Any) -> list[Any]:
        head, consts, carry, xs = self.split(params, args)
        length = params["length"] if params["length"] is not None else int(head[0])
        program, count = compile_jaxpr(params["body"]), params["carry"]
        ys = [make_room(aval, params["length"], length) for aval in params["body"].out_avals[count:]]
        order = range(length - 1, -1, -1) if params["reverse"] else range(length)
        if params["progress"] is not None and are_arrays([*params["body"].in_avals, *map(typeof, ys)]):
            return self._run_shown(order, (consts, carry, xs), ys, params)
        weak = [aval.weak for aval in params["body"].in_avals[len(consts) + count :]]
        for step in steps_shown(order, params["progress"]):
            outs = program(*consts, *carry, *[x[step].item() if w else x[step] for x, w in zip(xs, weak)])
            carry = outs[:count]
            for y, value in zip(ys, outs[count:]):
                y[step] = value
        return [*carry, *ys]

    def _run_shown(self, order: range, operands: Any, ys: Sequence[Any], params: Params) -> list[Any]:
        """Run with a progress bar, in blocks of steps that are programs of their own."""
        consts, carry, xs = operands
        body, reverse, count = params["body"], params["reverse"], params["carry"]

        def run(block: range) -> int:
            nonlocal carry
            begin, end = min(block[0], block[-1]), max(block[0], block[-1]) + 1
            program = compile_jaxpr(block_of_steps(body, params["consts"], count, len(block), reverse))
            outs = program(*consts, *carry, *(x[begin:end] for x in xs))
            carry = outs[:count]
            for y, part in zip(ys, outs[count:]):
                y[begin:end] = part
            return len(block)

        step_bytes = sum(y.nbytes for y in ys) // max(len(order), 1)
        run_shown(order, params["progress"], run, max(1, BLOCK_BYTES // max(step_bytes, 1)))
        return [*carry, *ys]

    def assemble(
        self, assembler: Any, block: list[Any], sources: Sequence[Any], targets: Sequence[Any], params: Params
    ) -> bool:
        """Not with a progress bar, or a state that is a stack."""
        operands = self.split(params, sources)
        _, finals, ys = self.split_results(params, targets)
        if params["progress"] is not None or not assembler.can_loop(operands.carry):
            return False
        length = operands.head[0] if params["length"] is None else params["length"]
        assembler.loop(
            block, params["body"], length, params["reverse"], operands.consts, operands.carry, operands.xs, finals, ys
        )
        return True

    def has_known_length(self, params: Params, unknown: Groups) -> bool:
        return not any(unknown.head)

    def guarded(self, params: Params) -> tuple[Params, int]:
        changed = {**params, "body": guarded(params["body"]), "consts": params["consts"] + 1}
        return changed, int(params["length"] is None)

    def widened(self, params: Params, consts: Flags, carry: Flags, body: Jaxpr) -> Params:
        return {**params, "body": body, "consts": len(consts), "carry": len(carry)}

    def narrowed(self, params: Params, consts: Flags, carry: Flags, body: Jaxpr) -> Params:
        return {**params, "body": body, "consts": sum(consts), "carry": sum(carry)}

    def as_scan(self, params: Params, operands: Groups, results: Sequence[Any], body: Jaxpr, **changed: Any) -> Any:
        return self, operands.head, {**params, "body": body, "progress": None, **changed}

    def batch_named(
        self, axis_name: Any, size: int, values: Sequence[Any], mapped: Sequence[bool], **params: Any
    ) -> tuple[list[Any], list[bool]]:
        if params["length"] is not None or not mapped[0]:
            return super().batch_named(axis_name, size, values, mapped, **params)
        return self._batch_of_lengths(axis_name, size, values, mapped, params)

    def _batch_of_lengths(
        self, axis_name: Any, size: int, values: Sequence[Any], mapped: Sequence[bool], params: Params
    ) -> tuple[list[Any], list[bool]]:
        """Each lane has its own number of steps: all run as long as the longest, the finished ones standing still."""
        operands, flags = self.split(params, values), self.split(params, mapped)
        (counts,) = operands.head
        longest = most_steps(counts)
        body = frozen_body(params["body"], params["carry"], size, tuple(flags.consts), tuple(flags.xs), axis_name)
        carry = all_mapped(size, operands.carry, flags.carry)
        first, step = (subtract(longest, 1), -1) if params["reverse"] else (instantiate(ZERO, typeof(longest)), 1)
        xs = [swap_lanes(x) if m else x for x, m in zip(operands.xs, flags.xs)]
        outs = self.bind(
            longest, counts, step, *operands.consts, first, *carry, *xs,
            **{**params, "body": body, "consts": params["consts"] + 2, "carry": params["carry"] + 1},
        )  # fmt: skip
        return outs[1:], [True] * (len(outs) - 1)

    def transpose(
        self, cotangents: Sequence[Any], *args: Any, totals: Sequence[Any], **params: Any
    ) -> Sequence[Any]:
        operands = self.split(params, args)
        holes = Groups(*(tuple(map(is_hole, group)) for group in operands))
        linear = unknown_carry(params["body"], holes.consts, holes.carry, holes.xs)
        if all(linear) or params["slots"] is not None:
            given = self.split(params, totals).consts
            found = self._transpose_linear(cotangents, operands, holes._replace(carry=linear), given, params)
            return [*[None] * len(operands.head), *found]
        return self._transpose_after_splitting(cotangents, args, totals, params)

    def _transpose_after_splitting(
        self, cotangents: Sequence[Any], args: Sequence[Any], totals: Sequence[Any], params: Params
    ) -> list[Any]:
        """Some carries are known: run the loop for them first, which leaves residuals for a loop that is linear."""
        trace = PartialEvalTrace(current_trace.get())
        inputs = [UnknownTracer(trace, a.aval) if is_hole(a) else a for a in args]
        with running(trace):
            outputs = [trace.atom(out) for out in self.bind(*inputs, **params)]
        variables = [x.atom if is_hole(a) else None for x, a in zip(inputs, args)]
        return backward_pass(trace.eqns, variables, outputs, cotangents, totals)

    def _transpose_linear(
        self,
        cotangents: Sequence[Any],
        operands: Groups,
        linear: Groups,
        totals: Sequence[Any],
        params: Params,
    ) -> list[Any]:
        """The loop backwards. Cotangents of constants are added to `totals` on the way, the carry's handed on."""
        count, body = params["carry"], params["body"]
        carry_cts, ys_cts = cotangents[:count], cotangents[count:]
        ct_active = tuple(ct is not ZERO and f for ct, f in zip(carry_cts, linear.carry))
        ys_active = tuple(ct is not ZERO for ct in ys_cts)
        pull = pull_back_body(body, linear.consts, linear.carry, linear.xs, ct_active, ys_active)
        totals = _chosen(totals, linear.consts)
        sums = [
            instantiate(total, var.aval.strong())
            for var, total, is_active in zip(_chosen(body.inputs, linear.consts), totals, pull.consts_active)
            if is_active
        ]
        handed = [
            instantiate(ct, aval.strong())
            for ct, aval, is_active in zip(carry_cts, body.out_avals, pull.carry_active)
            if is_active
        ]
        known = [_chosen(group, [not f for f in flags]) for group, flags in zip(operands, linear)]
        ys_given = [ct for ct in ys_cts if ct is not ZERO]
        back = [*sums, *handed]
        if all(linear.carry):
            outs = self.bind(
                *operands.head, *known[1], *back, *known[3], *ys_given,
                body=pull.body, consts=len(known[1]), carry=len(back), length=params["length"],
                reverse=not params["reverse"], slots=None, progress=None,
            )  # fmt: skip
        else:
            outs = reverse_sweep.bind(
                *operands.head, *known[1], *known[2], *known[3], *back, *ys_given,
                step=known_step(body, linear.consts, linear.carry, linear.xs), pull=pull.body,
                consts=len(known[1]), state=len(known[2]), xs=len(known[3]), back=len(back),
                length=params["length"], reverse=params["reverse"], slots=params["slots"],
            )  # fmt: skip
        consts_found, carry_found, xs_found = partition(outs, (len(sums), len(handed)))
        by_carry = spread(carry_found, pull.carry_active)
        by_consts = [t if ct is ZERO else ct for ct, t in zip(spread(consts_found, pull.consts_active), totals)]
        return [
            *_placed(by_consts, linear.consts),
            *(ct if is_linear else None for ct, is_linear in zip(by_carry, linear.carry)),
            *_placed(spread(xs_found, pull.xs_active), linear.xs),
        ]


class PullBack:
    """The body of a transposed loop: `known consts, sums, carry cotangents, known (carry,) x, y cotangents -> sums,
    carry cotangents, x cotangents`; and which of these there are, among the linear ones."""

    __slots__ = ("body", "carry_active", "consts_active", "xs_active")

    def __init__(self, body: Jaxpr, consts_active: Flags, carry_active: Flags, xs_active: Flags):
        self.body = body
        self.consts_active, self.carry_active, self.xs_active = consts_active, carry_active, xs_active


@memoized
def pull_back_body(
    body: Jaxpr, consts: Flags, carry: Flags, xs: Flags, ct_active: Flags, ys_active: Flags
) -> PullBack:
    """Transpose a body by its linear inputs. `carry_active` of the result has a flag for each carry."""
    linear = (*consts, *carry, *xs)
    out_avals = [aval.strong() for aval in body.out_avals]
    totals = (*[True] * sum(consts), *[False] * (sum(linear) - sum(consts)))
    while True:
        active = (*ct_active, *ys_active)
        ct_avals = tuple(aval for aval, is_active in zip(out_avals, active) if is_active)
        forced = (*[False] * sum(consts), *_chosen(ct_active, carry), *[False] * sum(xs))
        transposed, found = transpose_jaxpr(body, linear, active, ct_avals, forced, totals)
        consts_active, moving, xs_active = partition(found, (sum(consts), sum(carry)))
        after = tuple(_placed_flags(moving, carry))
        if after == ct_active:
            break
        ct_active = after
    others = (consts.count(False), len(linear) - len(consts) - sum((*carry, *xs)))
    first, rest, cts, ys, sums = partition(transposed.inputs, (*others, sum(ct_active), sum(ys_active)))
    ordered = Jaxpr([*first, *sums, *cts, *rest, *ys], transposed.eqns, transposed.outputs)
    return PullBack(ordered, tuple(consts_active), ct_active, tuple(xs_active))


@memoized
def block_of_steps(body: Jaxpr, consts: int, carry: int, length: int, reverse: bool) -> Jaxpr:
    """So many steps of a loop: `consts, carry, xs -> carry, ys`."""
    given, xs = body.in_avals[: consts + carry], body.in_avals[consts + carry :]
    params = {"consts": consts, "carry": carry, "length": length, "reverse": reverse, "slots": None, "progress": None}
    return trace_closed(
        lambda *args: scan.bind(*args, body=body, **params), [*given, *(aval.with_lanes(length) for aval in xs)]
    )


@memoized
def known_step(body: Jaxpr, consts: Flags, carry: Flags, xs: Flags) -> Jaxpr:
    """The body of a loop that computes the known carries only."""
    forced = (*carry, *[True] * (len(body.outputs) - len(carry)))
    known, _, _ = partial_eval_jaxpr(body, (*consts, *carry, *xs), forced)
    outputs = known.outputs[: carry.count(False)]
    return Jaxpr(known.inputs, prune(known.eqns, outputs, keep_effects=False), outputs)


@memoized
def frozen_body(
    body: Jaxpr, carry: int, size: int, consts_mapped: Flags, xs_mapped: Flags, axis_name: Any
) -> Jaxpr:
    """All lanes of a body, each for its own number of steps: `counts, step, consts, i, carry, x -> i, carry, y`."""
    results = len(body.outputs)
    batched, _ = batch_jaxpr(
        guarded(body), size, (True, *consts_mapped, *[True] * carry, *xs_mapped), (True,) * results, axis_name
    )
    consts = len(consts_mapped)

    def function(counts: Any, step: Any, *args: Any) -> list[Any]:
        given, i, before, xs = args[:consts], args[consts], args[consts + 1 :][:carry], args[consts + 1 + carry :]
        runs = less(i, counts)
        outs = eval_jaxpr(batched, runs, *given, *before, *xs)
        after = [choose_lanes(runs, new, old) for new, old in zip(outs, before)]
        return [add(i, step), *after, *outs[carry:]]

    integer = ShapedArray((), np.dtype(np.int64))
    _, *avals = batched.in_avals
    return trace_closed(function, [integer.with_lanes(size), integer, *avals[:consts], integer, *avals[consts:]])


def broadcast_stack(stack: Any, size: int) -> Any:
    """A stack that is the same for all lanes, with lanes in each entry."""
    body = lanes_body(typeof(stack).entry, size)
    return scan.bind(
        stack_length(stack), stack,
        body=body, consts=0, carry=0, length=None, reverse=False, slots=None, progress=None,
    )[0]  # fmt: skip


def lanes_body(entry: Any, size: int) -> Jaxpr:
    """One entry, for all lanes."""
    return trace_closed(lambda x: [broadcast_lanes(x, size)], [entry])


def _chosen(items: Sequence[Any], flags: Sequence[bool]) -> list[Any]:
    return [item for item, is_chosen in zip(items, flags) if is_chosen]


def _placed(values: Sequence[Any], linear: Flags) -> list[Any]:
    """Cotangents of the linear operands among all, None for the others."""
    rest = iter(values)
    return [next(rest) if is_linear else None for is_linear in linear]


def _placed_flags(flags: Sequence[bool], linear: Flags) -> list[bool]:
    rest = iter(flags)
    return [next(rest) if is_linear else False for is_linear in linear]


operators.broadcast_stack = broadcast_stack
scan = Scan("scan")
reverse_sweep = ReverseSweep("reverse_sweep", scan)
