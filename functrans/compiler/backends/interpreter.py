"""The interpreter backend: step by step, an equation by Primitive.impl. The oracle for every other backend."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import numpy as np

from ...core.devices import exemplar, explain_failure, here, in_place
from ...core.dtypes import is_bfloat16
from ...core.jaxpr import Atom, Eqn, Jaxpr, Literal, Var
from ...core.nans import check_nans, has_nan
from ...core.trace import EVAL, running


class Step(NamedTuple):
    """Something to run: an equation, or a kernel in place of several.

    Attributes:
        run: takes values of the inputs, and returns those of the outputs.
    """

    run: Callable[..., Sequence[Any]]
    inputs: Sequence[Atom]
    params: dict[str, Any]
    outputs: Sequence[Var]


def equation_step(eqn: Eqn) -> Step:
    """An equation, by the implementation of its primitive."""
    run = eqn.primitive.run_on_bfloat16 if any(is_bfloat16(a.aval.dtype) for a in eqn.inputs) else eqn.primitive.impl
    return Step(run, eqn.inputs, eqn.params, eqn.outputs)


class WatchedProgram:
    """A program that is run once more, equation by equation, to find where NaN begins that a result has,
    or an error comes from.

    Args:
        jaxpr: as it was traced, for simpler equations have moved away from their lines.
        program: what runs it otherwise. It overwrites no argument.
    """

    donated: tuple[int, ...] = ()

    def __init__(self, jaxpr: Jaxpr, program: Callable[..., list[Any]]):
        self.jaxpr = jaxpr
        self.program = program

    def entries(self, leaves: Sequence[Any]) -> None:
        """There is no quicker way to call it."""

    def __call__(self, *args: Any) -> list[Any]:
        try:
            results = self.program(*args)
        except Exception as error:  # NaN may be why: decompositions do not converge then
            with suppress(type(error)):
                self.find(args)
            raise
        if any(map(has_nan, results)):
            self.find(args)
        return results

    def find(self, args: Sequence[Any]) -> None:
        """Raise NaNError for the first equation that makes NaN of operands without."""
        values: dict[Atom, Any] = dict(zip(self.jaxpr.inputs, args, strict=True))
        with running(EVAL), np.errstate(all="ignore"):
            for eqn in self.jaxpr.eqns:
                operands = [values[a] if type(a) is Var else here(a.value) for a in eqn.inputs]
                results = in_place(equation_step(eqn).run, operands, eqn.params)
                if not eqn.primitive.holds_programs:  # those look after their own
                    check_nans(eqn.primitive.name, operands, results, eqn.source)
                values.update(zip(eqn.outputs, results, strict=True))


class Instruction(NamedTuple):
    """One step with its variables numbered: slots of a list in place of a dictionary."""

    impl: Callable[..., Sequence[Any]]
    inputs: tuple[int, ...]
    params: dict[str, Any]
    outputs: tuple[int, ...]
    dead: tuple[int, ...]


class InterpretedProgram:
    """A jaxpr made ready to run: slots instead of variables, values let go of after their last use.

    Attributes:
        donated: the numbers of the arguments whose memory it may hand out: none.
    """

    donated: tuple[int, ...] = ()

    def __init__(self, jaxpr: Jaxpr, steps: Sequence[Step] | None = None):
        steps = list(map(equation_step, jaxpr.eqns)) if steps is None else steps
        self.constants: list[Any] = []
        self.slots: dict[Any, int] = {}
        for var in jaxpr.inputs:
            self.slots[var] = len(self.slots)
        literals = [a for step in steps for a in step.inputs if type(a) is Literal]
        for literal in dict.fromkeys([*literals, *(a for a in jaxpr.outputs if type(a) is Literal)]):
            self.slots[literal] = len(self.slots)
            self.constants.append(literal.value)
        for step in steps:
            for var in step.outputs:
                self.slots[var] = len(self.slots)
        self.instructions = self._schedule(jaxpr, steps)
        self.results = [self.slots[a] for a in jaxpr.outputs]
        self.moved: list[Any] | None = None
        self.room = [None] * sum(len(step.outputs) for step in steps)

    def _schedule(self, jaxpr: Jaxpr, steps: Sequence[Step]) -> list[Instruction]:
        alive = {a for a in jaxpr.outputs if type(a) is Var}
        backwards: list[Instruction] = []
        for step in reversed(steps):
            dead = {v for v in (*step.inputs, *step.outputs) if type(v) is Var and v not in alive}
            alive |= {v for v in step.inputs if type(v) is Var}
            backwards.append(
                Instruction(
                    step.run,
                    tuple(self.slots[a] for a in step.inputs),
                    step.params,
                    tuple(self.slots[v] for v in step.outputs),
                    tuple(self.slots[v] for v in dead),
                )
            )
        return backwards[::-1]

    def entries(self, leaves: Sequence[Any]) -> None:
        """There is no quicker way to call it."""

    def __call__(self, *args: Any) -> list[Any]:
        if exemplar.get() is not None:
            return self.on_gpu(args)
        values = [*args, *self.constants, *self.room]
        with running(EVAL), np.errstate(all="ignore"):
            for impl, inputs, params, outputs, dead in self.instructions:
                for slot, value in zip(outputs, impl(*[values[i] for i in inputs], **params)):
                    values[slot] = value
                for slot in dead:
                    values[slot] = None
        return [values[i] for i in self.results]

    def on_gpu(self, args: Sequence[Any]) -> list[Any]:
        """The same on the GPU where new arrays are made now; constants are moved there once."""
        if self.moved is None:
            self.moved = list(map(here, self.constants))
        values = [*args, *self.moved, *self.room]
        with running(EVAL):
            for impl, inputs, params, outputs, dead in self.instructions:
                operands = [values[i] for i in inputs]
                try:
                    results = in_place(impl, operands, params)
                except Exception as error:
                    explain_failure(impl.__self__.name, operands, error)
                    raise
                for slot, value in zip(outputs, results):
                    values[slot] = value
                for slot in dead:
                    values[slot] = None
        return [values[i] for i in self.results]
