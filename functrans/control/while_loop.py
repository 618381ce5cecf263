"""while_loop: a loop that goes on as long as a condition holds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..compiler.program import compile_jaxpr
from ..core.avals import ZERO, ShapedArray, StackAval
from ..core.jaxpr import Jaxpr, eval_jaxpr, memoized
from ..core.stack import Stack
from ..core.staging import trace_closed
from ..core.trace import Params
from ..primitives.elementwise import add, bitwise_and, less
from ..primitives.foundation import all_mapped, convert, instantiate
from ..primitives.reductions import reduce_any
from ..transforms.batching import batch_jaxpr
from .loop import (
    Flags,
    Groups,
    Loop,
    are_arrays,
    choose_lanes,
    first_lane,
    partition,
    stand_in,
    used_inputs,
    with_inputs,
    without_inputs,
)
from .programs import check_no_collective, guarded, jaxpr_has_effects
from .progress import UNENDING, run_shown, steps_shown
from .scan import scan


class WhileLoop(Loop):
    """Runs `body` while `cond` holds. The first result is the number of steps.

    Params:
        cond: `consts, carry -> boolean`.
        body: `consts, carry -> carry, y`; each y is collected in a stack.
        consts, carry: how many operands there are of each.
        slots: how many states of the carry the derivative may keep (a number, LOGARITHMIC or a Budget); None: it keeps
            the residuals of every step.
        progress: the text of a progress bar, or None.
    """

    leading_results = 1
    step_programs = ("cond", "body")

    def abstract_eval(self, *avals: Any, body: Jaxpr, carry: int, **params: Any) -> list[Any]:
        out = body.out_avals
        steps = ShapedArray((), np.dtype(np.int64))
        return [steps, *out[:carry], *(StackAval(aval.strong()) for aval in out[carry:])]

    def impl(self, *args: Any, **params: Any) -> list[Any]:
        _, consts, carry, _ = self.split(params, args)
        if params["progress"] is not None and can_run_in_blocks(params["cond"], params["body"], params["carry"]):
            return self._run_shown(consts, carry, params)
        goes_on, program, count = compile_jaxpr(params["cond"]), compile_jaxpr(params["body"]), params["carry"]
        ys = [Stack(StackAval(aval.strong())) for aval in params["body"].out_avals[count:]]
        steps = 0
        for step in steps_shown(UNENDING, params["progress"]):
            steps = step
            if not goes_on(*consts, *carry)[0]:
                break
            outs = program(*consts, *carry)
            carry = outs[:count]
            for y, value in zip(ys, outs[count:]):
                y.append(value)
        return [np.int64(steps), *carry, *ys]

    def _run_shown(self, consts: Sequence[Any], carry: Sequence[Any], params: Params) -> list[Any]:
        """Run with a progress bar, in blocks of steps that are runs of one program."""
        program = compile_jaxpr(block_of_steps(params["cond"], params["body"], params["consts"], params["carry"]))
        steps = 0

        def run(block: range) -> int:
            nonlocal carry, steps
            done, *carry = program(len(block), *consts, *carry)
            steps += int(done)
            return int(done)

        run_shown(UNENDING, params["progress"], run)
        return [np.int64(steps), *carry]

    def assemble(
        self, assembler: Any, block: list[Any], sources: Sequence[Any], targets: Sequence[Any], params: Params
    ) -> bool:
        """Not with a progress bar, or a state that is a stack."""
        _, consts, carry, _ = self.split(params, sources)
        (count,), finals, ys = self.split_results(params, targets)
        if params["progress"] is not None or not assembler.can_loop(carry):
            return False
        assembler.while_loop(block, params["cond"], params["body"], consts, carry, count, finals, ys)
        return True

    def has_known_length(self, params: Params, unknown: Groups) -> bool:
        known = (*(not f for f in unknown.consts), *(not f for f in unknown.carry))
        return without_inputs(params["cond"], known) is not None

    def guarded(self, params: Params) -> tuple[Params, int]:
        cond, body = guarded(params["cond"]), guarded(params["body"])
        return {**params, "cond": cond, "body": body, "consts": params["consts"] + 1}, 0

    def widened(self, params: Params, consts: Flags, carry: Flags, body: Jaxpr) -> Params:
        old = (*consts, *carry)
        new = tuple(aval for aval, is_old in zip(body.in_avals, old) if not is_old)
        cond = with_inputs(params["cond"], old, new)
        return {**params, "cond": cond, "body": body, "consts": len(consts), "carry": len(carry)}

    def narrowed(self, params: Params, consts: Flags, carry: Flags, body: Jaxpr) -> Params:
        cond = without_inputs(params["cond"], (*consts, *carry))
        return {**params, "cond": cond, "body": body, "consts": sum(consts), "carry": sum(carry)}

    def always_needed(self, params: Params) -> tuple[Flags, Flags]:
        used = used_inputs(params["cond"])
        return used[: params["consts"]], used[params["consts"] :]

    def as_scan(self, params: Params, operands: Groups, results: Sequence[Any], body: Jaxpr, **changed: Any) -> Any:
        return scan, results[:1], {"body": body, "length": None, "reverse": False, "progress": None, **changed}

    def batch_named(
        self, axis_name: Any, size: int, values: Sequence[Any], mapped: Sequence[bool], **params: Any
    ) -> tuple[list[Any], list[bool]]:
        flags = self.split(params, mapped)
        carry_mapped = self._mapped_carry(axis_name, size, params, flags)
        _, (is_lanewise,) = batch_jaxpr(params["cond"], size, (*flags.consts, *carry_mapped), None, axis_name)
        if not is_lanewise:
            return self._batch_together(axis_name, size, values, mapped, params, carry_mapped)
        return self._batch_lanewise(axis_name, size, values, mapped, params)

    def _batch_together(
        self, axis_name: Any, size: int, values: Sequence[Any], mapped: Sequence[bool], params: Params, carry: Flags
    ) -> tuple[list[Any], list[bool]]:
        """The condition is the same for all lanes."""
        flags = self.split(params, mapped)
        cond, _ = batch_jaxpr(params["cond"], size, (*flags.consts, *carry), None, axis_name)
        return super().batch_named(axis_name, size, values, mapped, **{**params, "cond": cond})

    def _batch_lanewise(
        self, axis_name: Any, size: int, values: Sequence[Any], mapped: Sequence[bool], params: Params
    ) -> tuple[list[Any], list[bool]]:
        """Each lane stops for itself; the loop ends with the last one.

        A lane that has stopped repeats its last step, and one that never starts repeats the first step of another
        lane: both run on values that the body was meant for, and what comes out is not used. That way there is no
        NaN, no index out of bounds and no endless inner loop from lanes that ran on.
        """
        check_no_collective((params["cond"], params["body"]), axis_name, "a loop that some lanes leave before others")
        operands, flags = self.split(params, values), self.split(params, mapped)
        carry = all_mapped(size, operands.carry, flags.carry)
        cond, _ = batch_jaxpr(
            params["cond"], size, (*flags.consts, *[True] * len(carry)), (True,), axis_name
        )
        (starts,) = eval_jaxpr(cond, *operands.consts, *carry)
        example = first_lane(starts)
        consts = [
            stand_in(starts, c, example) if m else c for c, m in zip(operands.consts, flags.consts)
        ]
        safe = [stand_in(starts, c, example) for c in carry]
        count = len(carry)
        loop_cond, loop_body = lanewise_jaxprs(
            params["cond"], params["body"], size, tuple(flags.consts), count, axis_name
        )
        steps = instantiate(ZERO, ShapedArray((size,), np.dtype(np.int64)))
        outs = self.bind(
            *consts, starts, steps, *carry, *safe,
            **{**params, "cond": loop_cond, "body": loop_body, "carry": 2 + 2 * count},
        )  # fmt: skip
        _, (_, steps, *final), ys = self.split_results({"carry": 2 + 2 * count}, outs)
        results = [steps, *final[:count], *ys]
        return results, [True] * len(results)

    def _mapped_carry(self, axis_name: Any, size: int, params: Params, flags: Groups) -> Flags:
        """Which carries are mapped sooner or later."""
        carry = tuple(flags.carry)
        while True:
            _, out_mapped = batch_jaxpr(params["body"], size, (*flags.consts, *carry), None, axis_name)
            after = tuple(a or b for a, b in zip(carry, out_mapped))
            if after == carry:
                return carry
            carry = after


def can_run_in_blocks(cond: Jaxpr, body: Jaxpr, carry: int) -> bool:
    """Whether the condition may be asked once more at the end of a block, and nothing is collected on the way."""
    has_stacks = not are_arrays([*body.in_avals, *body.out_avals])
    return len(body.outputs) == carry and not has_stacks and not jaxpr_has_effects(cond)


@memoized
def block_of_steps(cond: Jaxpr, body: Jaxpr, consts: int, carry: int) -> Jaxpr:
    """At most so many steps of a loop: `most, consts, carry -> how many there were, carry`."""
    integer = ShapedArray((), np.dtype(np.int64))
    given, carried = body.in_avals[:consts], body.in_avals[consts:]

    def goes_on(most: Any, *args: Any) -> list[Any]:
        values, i, state = args[:consts], args[consts], args[consts + 1 :]
        return [bitwise_and(less(i, most), *eval_jaxpr(cond, *values, *state))]

    def step(most: Any, *args: Any) -> list[Any]:
        values, i, state = args[:consts], args[consts], args[consts + 1 :]
        return [add(i, 1), *eval_jaxpr(body, *values, *state)]

    avals = [integer, *given, integer, *carried]
    programs = {"cond": trace_closed(goes_on, avals), "body": trace_closed(step, avals)}

    def block(most: Any, *args: Any) -> list[Any]:
        start = instantiate(ZERO, integer)
        outs = while_loop.bind(
            most, *args[:consts], start, *args[consts:],
            **programs, consts=consts + 1, carry=carry + 1, slots=None, progress=None,
        )  # fmt: skip
        return outs[1:]

    return trace_closed(block, [integer, *given, *carried])


@memoized
def lanewise_jaxprs(
    cond: Jaxpr, body: Jaxpr, size: int, consts: Flags, count: int, axis_name: Any
) -> tuple[Jaxpr, Jaxpr]:
    """Condition and body for lanes that stop for themselves: `consts, running, steps, carry, safe -> ...`.

    `safe` holds for each lane the last carry that its body was run on, or is to be run on next.
    """
    flags = (True, *consts, *[True] * count)
    batched_body, _ = batch_jaxpr(guarded(body), size, flags, (True,) * len(body.outputs), axis_name)
    batched_cond, _ = batch_jaxpr(guarded(cond), size, flags, (True,), axis_name)
    lanes, *avals = batched_body.in_avals
    steps = ShapedArray((size,), np.dtype(np.int64))
    given, carried = avals[: len(consts)], avals[len(consts) :]

    def any_runs(*args: Any) -> list[Any]:
        return [reduce_any(args[len(consts)], axes=(0,))]

    def step(*args: Any) -> list[Any]:
        constants, (running, steps), carry, safe = partition(args, (len(consts), 2, count))
        outs = eval_jaxpr(batched_body, running, *constants, *safe)
        after, ys = outs[:count], outs[count:]
        (goes_on,) = eval_jaxpr(batched_cond, running, *constants, *after)
        still = bitwise_and(running, goes_on)
        return [
            still,
            add(steps, convert(running, dtype=np.dtype(np.int64))),
            *(choose_lanes(running, new, old) for new, old in zip(after, carry)),
            *(choose_lanes(still, new, old) for new, old in zip(after, safe)),
            *ys,
        ]

    inputs = [*given, lanes, steps, *carried, *carried]
    return trace_closed(any_runs, inputs), trace_closed(step, inputs)


while_loop = WhileLoop("while_loop")
