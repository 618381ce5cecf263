"""The interpreter backend: op by op through Primitive.impl. The oracle for every other backend."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from ...core.jaxpr import Jaxpr, Literal, Var
from ...core.trace import EVAL, running


class Instruction(NamedTuple):
    """One equation with its variables numbered: slots of a list in place of a dictionary."""

    impl: Callable[..., Sequence[Any]]
    inputs: tuple[int, ...]
    params: dict[str, Any]
    outputs: tuple[int, ...]
    dead: tuple[int, ...]


class InterpretedProgram:
    """A jaxpr made ready to run: slots instead of variables, values let go of after their last use."""

    def __init__(self, jaxpr: Jaxpr):
        self.constants: list[Any] = []
        self.slots: dict[Any, int] = {}
        for var in jaxpr.inputs:
            self.slots[var] = len(self.slots)
        literals = [a for eqn in jaxpr.eqns for a in eqn.inputs if type(a) is Literal]
        for literal in dict.fromkeys([*literals, *(a for a in jaxpr.outputs if type(a) is Literal)]):
            self.slots[literal] = len(self.slots)
            self.constants.append(literal.value)
        for eqn in jaxpr.eqns:
            for var in eqn.outputs:
                self.slots[var] = len(self.slots)
        self.instructions = self._schedule(jaxpr)
        self.results = [self.slots[a] for a in jaxpr.outputs]
        self.room = [None] * sum(len(eqn.outputs) for eqn in jaxpr.eqns)

    def _schedule(self, jaxpr: Jaxpr) -> list[Instruction]:
        alive = {a for a in jaxpr.outputs if type(a) is Var}
        backwards: list[Instruction] = []
        for eqn in reversed(jaxpr.eqns):
            dead = {v for v in (*eqn.inputs, *eqn.outputs) if type(v) is Var and v not in alive}
            alive |= {v for v in eqn.inputs if type(v) is Var}
            backwards.append(
                Instruction(
                    eqn.primitive.impl,
                    tuple(self.slots[a] for a in eqn.inputs),
                    eqn.params,
                    tuple(self.slots[v] for v in eqn.outputs),
                    tuple(self.slots[v] for v in dead),
                )
            )
        return backwards[::-1]

    def __call__(self, *args: Any) -> list[Any]:
        values = [*args, *self.constants, *self.room]
        with running(EVAL), np.errstate(all="ignore"):
            for impl, inputs, params, outputs, dead in self.instructions:
                for slot, value in zip(outputs, impl(*[values[i] for i in inputs], **params)):
                    values[slot] = value
                for slot in dead:
                    values[slot] = None
        return [values[i] for i in self.results]
