"""reverse_sweep: a loop run backwards over the states of another one, of which only a few are kept at a time.

With `s` states kept and none computed more than `r` times, (s + r)! / (s! r!) steps can be reversed; the choice of the
states to keep is the binomial one of Griewank and Walther, "Algorithm 799: Revolve" (2000). The loop has been run once
before, so that the number of steps is known here even if it was not known when that loop began.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from math import comb
from typing import Any, NamedTuple

import numpy as np

from ..compiler.program import compile_jaxpr
from ..core.avals import ZERO, ShapedArray
from ..core.jaxpr import Jaxpr, eval_jaxpr, memoized
from ..core.primitive import Primitive, SharedOperands
from ..core.staging import trace_closed
from ..core.trace import Params, running, typeof
from ..primitives.elementwise import add, less
from ..primitives.foundation import broadcast_lanes, instantiate, match
from ..primitives.reductions import argmax, reduce_max
from ..transforms.batching import batch_jaxpr
from ..transforms.forward import jvp_jaxpr
from .loop import Flags, choose_lanes, make_room, partition, spread, stacked_aval, stand_in, swap_lanes
from .programs import HoldsPrograms

#: In place of a number of slots: as many as the logarithm of the number of steps.
LOGARITHMIC = "log"


class Budget(NamedTuple):
    """In place of a number of slots: as many states as this many bytes have room for."""

    bytes: int


class Operands(NamedTuple):
    """The operands of a reverse sweep by groups: those of `step`, then those that only `pull` has."""

    head: Sequence[Any]
    consts: Sequence[Any]
    state: Sequence[Any]
    xs: Sequence[Any]
    back: Sequence[Any]
    zs: Sequence[Any]


class ReverseSweep(HoldsPrograms):
    """`s[i+1] = step(consts, s[i], x[i])`, then `b[i], y[i] = pull(consts, b[i+1], s[i], x[i], z[i])` backwards.

    Results are the last b and all y.

    Params:
        step: `consts, state, x -> state`.
        pull: `consts, back, state, x, z -> back, y`.
        consts, state, xs, back: how many operands there are of each; the others are zs.
        length: the number of steps; None: the first operand holds it.
        reverse: whether the forward direction starts at the last element.
        slots: how many states may be kept, the first one included; or LOGARITHMIC, or a Budget.
    """

    def __init__(self, name: str, scan: Primitive):
        super().__init__(name)
        self.scan = scan

    def abstract_eval(self, *avals: Any, pull: Jaxpr, back: int, length: int | None, **params: Any) -> list[Any]:
        out = pull.out_avals
        return [*out[:back], *(stacked_aval(aval, length) for aval in out[back:])]

    def impl(self, *args: Any, **params: Any) -> list[Any]:
        head, consts, state, xs, back, zs = _split(params, args)
        length = params["length"] if params["length"] is not None else int(head[0])
        step, pull, count = compile_jaxpr(params["step"]), compile_jaxpr(params["pull"]), params["back"]
        ys = [make_room(aval, params["length"], length) for aval in params["pull"].out_avals[count:]]
        place = (lambda i: length - 1 - i) if params["reverse"] else (lambda i: i)

        def advance(state: Any, begin: int, end: int) -> Any:
            for i in range(begin, end):
                state = step(*consts, *state, *[x[place(i)] for x in xs])
            return state

        for i, kept in reversed_states(advance, state, length, slots_for(params["slots"], length, state)):
            at = place(i)
            outs = pull(*consts, *back, *kept, *[x[at] for x in xs], *[z[at] for z in zs])
            back = outs[:count]
            for y, value in zip(ys, outs[count:]):
                y[at] = value
        return [*back, *ys]

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Any], **params: Any) -> tuple[list[Any], list[Any]]:
        values, slopes = _split(params, primals), _split(params, tangents)
        active = Operands(*(tuple(t is not ZERO for t in group) for group in slopes))
        step, pull, state, back, ys_active = tangent_sweep(
            params["step"], params["pull"], *(getattr(active, name) for name in Operands._fields[1:])
        )
        active = active._replace(state=state, back=back)
        operands: list[Any] = list(values.head)
        for group, group_slopes, flags in list(zip(values, slopes, active))[1:]:
            operands += group
            operands += [
                match(instantiate(t, typeof(p).strong()), p) for p, t, f in zip(group, group_slopes, flags) if f
            ]
        counts = {name: params[name] + sum(getattr(active, name)) for name in ("consts", "state", "xs", "back")}
        outs = self.bind(*operands, **{**params, **counts, "step": step, "pull": pull})
        final, final_slopes, ys, ys_slopes = partition(outs, (params["back"], sum(back), len(ys_active)))
        return [*final, *ys], [*spread(final_slopes, back), *spread(ys_slopes, ys_active)]

    def batch_named(
        self, axis_name: Any, size: int, values: Sequence[Any], mapped: Sequence[bool], **params: Any
    ) -> tuple[list[Any], list[bool]]:
        if params["length"] is None and mapped[0]:
            return self._batch_of_lengths(axis_name, size, values, mapped, params)
        operands, flags = _split(params, values), Operands(*map(tuple, _split(params, mapped)))
        state, back = self._mapped_carries(axis_name, size, params, flags)
        step, _ = batch_jaxpr(params["step"], size, (*flags.consts, *state, *flags.xs), state, axis_name)
        inputs = (*flags.consts, *back, *state, *flags.xs, *flags.zs)
        forced = (*back, *[False] * (len(params["pull"].outputs) - len(back)))
        pull, out_mapped = batch_jaxpr(params["pull"], size, inputs, forced, axis_name)
        groups = {
            "state": _with_lanes(operands.state, flags.state, state, size),
            "back": _with_lanes(operands.back, flags.back, back, size),
            "xs": [swap_lanes(x) if m else x for x, m in zip(operands.xs, flags.xs)],
            "zs": [swap_lanes(z) if m else z for z, m in zip(operands.zs, flags.zs)],
        }
        moved = operands._replace(**groups)
        outs = self.bind(*(x for group in moved for x in group), **{**params, "step": step, "pull": pull})
        count = params["back"]
        ys = [swap_lanes(y) if m else y for y, m in zip(outs[count:], out_mapped[count:])]
        return [*outs[:count], *ys], [*out_mapped]

    def _mapped_carries(self, axis_name: Any, size: int, params: Params, flags: Operands) -> tuple[Flags, Flags]:
        state, back = flags.state, flags.back
        while True:
            _, found = batch_jaxpr(params["step"], size, (*flags.consts, *state, *flags.xs), None, axis_name)
            inputs = (*flags.consts, *back, *state, *flags.xs, *flags.zs)
            _, pulled = batch_jaxpr(params["pull"], size, inputs, None, axis_name)
            after = tuple(a or b for a, b in zip(state, found)), tuple(a or b for a, b in zip(back, pulled))
            if after == (state, back):
                return after
            state, back = after
    def _batch_of_lengths(
        self, axis_name: Any, size: int, values: Sequence[Any], mapped: Sequence[bool], params: Params
    ) -> tuple[list[Any], list[bool]]:
        """Each lane has its own number of steps: it stays in the state that its last step began with."""
        operands, flags = _split(params, values), Operands(*map(tuple, _split(params, mapped)))
        (counts,) = operands.head
        starts = less(0, counts)
        example = argmax(counts, axes=(0,))
        consts = [stand_in(starts, c, example) if m else c for c, m in zip(operands.consts, flags.consts)]
        state = _with_lanes(operands.state, flags.state, (True,) * params["state"], size)
        state = [stand_in(starts, s, example) for s in state]
        back = _with_lanes(operands.back, flags.back, (True,) * params["back"], size)
        xs = [swap_lanes(x) if m else x for x, m in zip(operands.xs, flags.xs)]
        zs = [swap_lanes(z) if m else z for z, m in zip(operands.zs, flags.zs)]
        step, pull = frozen_sweep(params["step"], params["pull"], size, flags.consts, flags.xs, flags.zs, axis_name)
        outs = self.bind(
            reduce_max(counts, axes=(0,)), counts, *consts, 0, *state, *xs, *back, *zs,
            **{**params, "step": step, "pull": pull, "consts": params["consts"] + 1, "state": params["state"] + 1},
        )  # fmt: skip
        ys = [swap_lanes(y) for y in outs[params["back"] :]]
        return [*outs[: params["back"]], *ys], [True] * len(outs)

    def shared_operands(self, params: Params) -> SharedOperands:
        return SharedOperands(int(params["length"] is None), params["consts"], ("step", "pull"), True)

    def partial_eval(self, trace: Any, unknown: Sequence[bool], args: Sequence[Any], params: Params) -> list[Any]:
        """Only derivatives of derivatives get here: as two plain loops, whose derivatives keep every step."""
        with running(trace):
            return self.as_two_loops(args, params)

    def as_two_loops(self, args: Sequence[Any], params: Params) -> list[Any]:
        """The definition: a loop that keeps all its states, and one over those states."""
        operands = _split(params, args)
        sizes = (params["consts"], params["state"], params["back"])
        forwards, backwards = loop_bodies(params["step"], params["pull"], *sizes)
        common = {"consts": params["consts"], "length": params["length"], "slots": None, "progress": None}
        outs = self.scan.bind(
            *operands.head, *operands.consts, *operands.state, *operands.xs,
            body=forwards, carry=params["state"], reverse=params["reverse"], **common,
        )  # fmt: skip
        states = outs[params["state"] :]
        return self.scan.bind(
            *operands.head, *operands.consts, *operands.back, *states, *operands.xs, *operands.zs,
            body=backwards, carry=params["back"], reverse=not params["reverse"], **common,
        )  # fmt: skip


def reversed_states(
    advance: Callable[[Any, int, int], Any], state: Any, length: int, slots: int
) -> Iterator[tuple[int, Any]]:
    """The states that the steps length-1, ..., 0 begin with, at most `slots` of them kept at a time.

    Args:
        advance: `(state, begin, end)` runs steps begin, ..., end-1.
    """
    kept = [(0, state, length)]  # a state, the step it begins, and the end of the steps to reverse from it
    while kept:
        begin, state, end = kept.pop()
        if end - begin == 1:
            yield begin, state
        elif end > begin:
            free = slots - len(kept)  # this state included
            middle = begin + (split_point(end - begin, free) if free > 1 else end - begin - 1)
            later = advance(state, begin, middle)
            if free > 1:
                kept += [(begin, state, middle), (middle, later, end)]
            else:
                yield middle, later
                kept.append((begin, state, middle))


def split_point(length: int, slots: int) -> int:
    """How far to run before the next of `slots` states is kept, the first included, so that the least is run again."""
    repeats = 0
    while comb(slots + repeats, slots) < length:
        repeats += 1
    least = comb(slots + repeats - 2, slots) if repeats >= 2 else 1
    return min(max(least, length - comb(slots + repeats - 1, slots - 1), 1), length - 1)


def slots_for(slots: Any, length: int, state: Sequence[Any]) -> int:
    """How many states to keep in a loop of this length."""
    if slots == LOGARITHMIC:
        return length.bit_length() + 1
    return max(1, slots.bytes // sum(np.asarray(x).nbytes for x in state)) if type(slots) is Budget else slots


@memoized
def tangent_sweep(
    step: Jaxpr, pull: Jaxpr, consts: Flags, state: Flags, xs: Flags, back: Flags, zs: Flags
) -> tuple[Jaxpr, Jaxpr, Flags, Flags, Flags]:
    """Step and pull with tangents beside the operands that have them, and which states, backs and ys those are."""
    ys = (False,) * (len(pull.outputs) - len(back))
    while True:
        forwards, state_found = jvp_jaxpr(step, (*consts, *state, *xs), state)
        backwards, found = jvp_jaxpr(pull, (*consts, *back, *state, *xs, *zs), (*back, *ys))
        if (state_found, found[: len(back)]) == (state, back):
            break
        state, back = state_found, found[: len(back)]
    return (
        _interleaved(forwards, [consts, state, xs], [len(state)], state),
        _interleaved(backwards, [consts, back, state, xs, zs], [len(back), len(ys)], found),
        state,
        back,
        found[len(back) :],
    )


def _interleaved(derived: Jaxpr, inputs: Sequence[Flags], outputs: Sequence[int], active: Flags) -> Jaxpr:
    """A jaxpr of primals and then tangents, with the tangents of each group behind the primals of that group."""
    sizes = [len(flags) for flags in inputs]
    primals = partition(derived.inputs, sizes)[:-1]
    slopes = partition(derived.inputs[sum(sizes) :], [sum(flags) for flags in inputs])[:-1]
    results = partition(derived.outputs, outputs)
    out_slopes = partition(results[-1], [sum(flags) for flags in partition(active, outputs)[:-1]])[:-1]
    return Jaxpr(
        [v for pair in zip(primals, slopes) for group in pair for v in group],
        derived.eqns,
        [a for pair in zip(results[:-1], out_slopes) for group in pair for a in group],
    )


@memoized
def frozen_sweep(
    step: Jaxpr, pull: Jaxpr, size: int, consts: Flags, xs: Flags, zs: Flags, axis_name: Any
) -> tuple[Jaxpr, Jaxpr]:
    """All lanes, each for its own number of steps; the first constant holds those, the first state the step."""
    states, backs = len(step.outputs), len(pull.outputs)
    state = (True,) * states
    back = (True,) * (len(pull.inputs) - len(consts) - states - len(xs) - len(zs))
    batched_step, _ = batch_jaxpr(step, size, (*consts, *state, *xs), state, axis_name)
    inputs = (*consts, *back, *state, *xs, *zs)
    batched_pull, _ = batch_jaxpr(pull, size, inputs, (True,) * backs, axis_name)
    integer = ShapedArray((), np.dtype(np.int64))

    def forwards(counts: Any, *args: Any) -> list[Any]:
        given, (i,), before, elements = partition(args, (len(consts), 1, states))
        after = eval_jaxpr(batched_step, *given, *before, *elements)
        goes_on = less(add(i, 1), counts)
        return [add(i, 1), *(choose_lanes(goes_on, new, old) for new, old in zip(after, before))]

    def backwards(counts: Any, *args: Any) -> list[Any]:
        given, before, (i,), rest = partition(args, (len(consts), len(back), 1))
        outs = eval_jaxpr(batched_pull, *given, *before, *rest)
        runs = less(i, counts)
        return [*(choose_lanes(runs, new, old) for new, old in zip(outs, before)), *outs[len(back) :]]

    count = len(consts)
    step_avals, pull_avals = batched_step.in_avals, batched_pull.in_avals
    middle = count + len(back)
    return (
        trace_closed(forwards, [integer.with_lanes(size), *step_avals[:count], integer, *step_avals[count:]]),
        trace_closed(backwards, [integer.with_lanes(size), *pull_avals[:middle], integer, *pull_avals[middle:]]),
    )


@memoized
def loop_bodies(step: Jaxpr, pull: Jaxpr, consts: int, state: int, back: int) -> tuple[Jaxpr, Jaxpr]:
    """The two bodies of `as_two_loops`: the state that each step begins with is an element of ys."""
    first = step.inputs[consts : consts + state]
    given, backs, rest = partition(pull.inputs, (consts, back))
    backwards = Jaxpr([*given, *backs, *rest], pull.eqns, pull.outputs)
    return Jaxpr(step.inputs, step.eqns, [*step.outputs, *first]), backwards


def _split(params: Params, operands: Sequence[Any]) -> Operands:
    sizes = [params["length"] is None, *(params[name] for name in ("consts", "state", "xs", "back"))]
    return Operands(*partition(operands, sizes))


def _with_lanes(values: Sequence[Any], before: Flags, after: Flags, size: int) -> list[Any]:
    """Values with lanes where they must have them and had none."""
    return [broadcast_lanes(v, size) if new and not old else v for v, old, new in zip(values, before, after)]
