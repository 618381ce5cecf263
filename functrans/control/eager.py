"""Loops that are run outside of programs: step after step, or, once there are enough steps for that, as programs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from ..compiler.program import compile_jaxpr
from ..core.avals import ShapedArray, StackAval
from ..core.devices import exemplar
from ..core.jaxpr import Jaxpr, memoized
from ..core.staging import trace_closed
from ..core.trace import Params, typeof
from ..settings import config

#: So many steps, from Python, take about as long as it takes to compile a loop.
WORTH_A_PROGRAM: Final = 2000
#: A step with stacks of its own takes about as long as so many others: Python has a part in each of them.
STEPS_OF_STACKS: Final = 10

#: Of so many loops with one body, which differ in length for one, programs and numbers of steps are remembered.
MOST_KEPT: Final = 16


def run_loop(loop: Any, args: Sequence[Any], params: Params) -> list[Any]:
    """Run a loop; by `loop.impl` if it is not worth a program, or cannot be one."""
    avals = tuple(map(typeof, args))
    if params["progress"] is not None or config.backend != "cpu" or exemplar.get() is not None:
        return loop.impl(*args, **params)
    rest = {name: value for name, value in params.items() if name not in ("body", "slots")}
    length = params.get("length")
    loops, key = loops_with(params["body"]), (loop, avals, *rest.items())
    steps = loops.get(key, 0)
    if isinstance(steps, Jaxpr):
        return compile_jaxpr(steps)(*args)
    if len(loops) >= MOST_KEPT:
        loops.clear()
    weight = weight_of_step(params["body"])
    if steps + weight * (length or 0) >= WORTH_A_PROGRAM:
        program = loops[key] = as_program(loop, avals, {**params, "slots": None})
        return compile_jaxpr(program)(*args)
    results = loop.impl(*args, **params)
    taken = int(results[0] if loop.leading_results else args[0]) if length is None else length
    loops[key] = steps + weight * taken
    return results


@memoized
def weight_of_step(body: Jaxpr) -> int:
    """How many simple steps take as long as a step."""
    has_stacks = any(isinstance(aval, StackAval) for aval in (*body.in_avals, *body.out_avals))
    return STEPS_OF_STACKS if has_stacks else 1


@memoized
def loops_with(body: Jaxpr) -> dict[Any, int | Jaxpr]:
    """The loops with a body: programs, or how many of their steps have been run so far."""
    return {}


def as_program(loop: Any, avals: Sequence[ShapedArray], params: Params) -> Jaxpr:
    """A loop as a program of its own."""
    return trace_closed(lambda *args: loop.bind(*args, **params), avals)
