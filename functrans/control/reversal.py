"""reverse_sweep: a loop run backwards over the states of another one, of which only a few are kept at a time.

Which ones, control/schedule.py says. The loop has been run once before, so that the number of steps is known here even
if it was not known when that loop began.
"""

from __future__ import annotations

from collections.abc import Sequence
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
from ..transforms.batching import batch_jaxpr
from ..transforms.forward import jvp_jaxpr
from .loop import (
    Flags,
    are_arrays,
    choose_lanes,
    first_lane,
    make_room,
    most_steps,
    partition,
    spread,
    stacked_aval,
    stand_in,
    swap_lanes,
)
from .programs import HoldsPrograms
from .schedule import reversed_segments, slots_for
from .segments import program_of_any_length, program_of_sweep, rows_for, schedule


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
        operands = _split(params, args)
        avals = Operands(*(tuple(map(typeof, group)) for group in operands))
        length = params["length"] if params["length"] is not None else int(operands.head[0])
        slots = slots_for(params["slots"], length, avals.state)
        if _is_about_arrays(params, avals):
            return self._run_as_program(operands, avals, params, length, slots)
        ys = [make_room(aval, params["length"], length) for aval in params["pull"].out_avals[params["back"] :]]
        back, steps = operands.back, _Steps(operands, params, length, ys)
        for begin, state, end in reversed_segments(steps.advance, operands.state, length, slots):
            back = steps.pull_back(state, back, begin, end)
        return [*back, *ys]

    def _run_as_program(
        self, operands: Operands, avals: Operands, params: Params, length: int, slots: int
    ) -> list[Any]:
        """Run by a program, which is that of loops of similar lengths if these are known only now."""
        values = [x for group in operands[1:] for x in group]
        if params["length"] is not None:
            return compile_jaxpr(self._program(params, avals, slots))(*values)
        numbers = schedule(length, slots)
        count = len(numbers.steps)
        parts, rows = (1 << max(n - 1, 0).bit_length() for n in (count, rows_for(length, slots)))
        columns = [np.pad(column, (0, parts - count)) for column in numbers]
        program = program_of_any_length(params["step"], params["pull"], self.scan, avals[1:], parts, rows)
        return compile_jaxpr(program)(np.int64(count), *columns, *values)

    def program_to_run(self, params: Params, avals: Sequence[Any]) -> Jaxpr | None:
        """Loops, where the number of steps is known and all is about arrays."""
        groups = Operands(*map(tuple, _split(params, avals)))
        if params["length"] is None or not _is_about_arrays(params, groups):
            return None
        return self._program(params, groups, slots_for(params["slots"], params["length"], groups.state))

    def _program(self, params: Params, avals: Operands, slots: int) -> Jaxpr:
        """The program of a sweep of known length."""
        programs = params["step"], params["pull"], self.scan
        return program_of_sweep(*programs, tuple(avals[1:]), params["length"], params["reverse"], slots)

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
        example = first_lane(starts)
        consts = [stand_in(starts, c, example) if m else c for c, m in zip(operands.consts, flags.consts)]
        state = _with_lanes(operands.state, flags.state, (True,) * params["state"], size)
        state = [stand_in(starts, s, example) for s in state]
        back = _with_lanes(operands.back, flags.back, (True,) * params["back"], size)
        xs = [swap_lanes(x) if m else x for x, m in zip(operands.xs, flags.xs)]
        zs = [swap_lanes(z) if m else z for z, m in zip(operands.zs, flags.zs)]
        step, pull = frozen_sweep(params["step"], params["pull"], size, flags.consts, flags.xs, flags.zs, axis_name)
        outs = self.bind(
            most_steps(counts), counts, *consts, 0, *state, *xs, *back, *zs,
            **{**params, "step": step, "pull": pull, "consts": params["consts"] + 1, "state": params["state"] + 1},
        )  # fmt: skip
        ys = [swap_lanes(y) for y in outs[params["back"] :]]
        return [*outs[: params["back"]], *ys], [True] * len(outs)

    def shared_operands(self, params: Params) -> SharedOperands:
        return SharedOperands(int(params["length"] is None), params["consts"], ("step", "pull"), True)

    def partial_eval(self, trace: Any, unknown: Sequence[bool], args: Sequence[Any], params: Params) -> list[Any]:
        """Only derivatives of derivatives get here: as two plain loops, whose derivatives keep every step."""
        with running(trace):
            return self.as_two_loops(args, params)[0]

    def as_two_loops(self, args: Sequence[Any], params: Params) -> tuple[list[Any], list[Any]]:
        """The definition: a loop that keeps all its states, and one over those states. The results, and the states."""
        operands = _split(params, args)
        sizes = (params["consts"], params["state"], params["back"])
        forwards, backwards = loop_bodies(params["step"], params["pull"], *sizes)
        common = {"consts": params["consts"], "length": params["length"], "slots": None, "progress": None}
        outs = self.scan.bind(
            *operands.head, *operands.consts, *operands.state, *operands.xs,
            body=forwards, carry=params["state"], reverse=params["reverse"], **common,
        )  # fmt: skip
        states = outs[params["state"] :]
        outs = self.scan.bind(
            *operands.head, *operands.consts, *operands.back, *states, *operands.xs, *operands.zs,
            body=backwards, carry=params["back"], reverse=not params["reverse"], **common,
        )  # fmt: skip
        return outs, states


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


class _Steps:
    """Steps that are run one by one, each by two programs: where elements of stacks are read or written."""

    def __init__(self, operands: Operands, params: Params, length: int, ys: Sequence[Any]):
        self.step, self.pull = compile_jaxpr(params["step"]), compile_jaxpr(params["pull"])
        self.operands = operands
        self.places = range(length)[::-1] if params["reverse"] else range(length)
        self.ys = ys

    def advance(self, state: Any, begin: int, end: int) -> Any:
        """The state that step `end` begins with."""
        for at in self.places[begin:end]:
            state = self.step(*self.operands.consts, *state, *[x[at] for x in self.operands.xs])
        return state

    def pull_back(self, state: Any, back: Any, begin: int, end: int) -> Any:
        """What is carried backwards, before these steps; the ys are written."""
        states = [state]
        for i in range(begin, end - 1):
            states.append(self.advance(states[-1], i, i + 1))
        consts, _, xs, _, zs = self.operands[1:]
        for at in self.places[begin:end][::-1]:
            outs = self.pull(*consts, *back, *states.pop(), *[x[at] for x in xs], *[z[at] for z in zs])
            back = outs[: len(back)]
            for y, value in zip(self.ys, outs[len(back) :]):
                y[at] = value
        return back


def _is_about_arrays(params: Params, avals: Operands) -> bool:
    """Whether no step reads or leaves an entry of a stack."""
    ys = [stacked_aval(aval, params["length"]) for aval in params["pull"].out_avals[params["back"] :]]
    return are_arrays([*avals.xs, *avals.zs, *ys])


def _split(params: Params, operands: Sequence[Any]) -> Operands:
    sizes = [params["length"] is None, *(params[name] for name in ("consts", "state", "xs", "back"))]
    return Operands(*partition(operands, sizes))


def _with_lanes(values: Sequence[Any], before: Flags, after: Flags, size: int) -> list[Any]:
    """Values with lanes where they must have them and had none."""
    return [broadcast_lanes(v, size) if new and not old else v for v, old, new in zip(values, before, after)]
