"""Versions: what becomes of values, one after the other in the same place, until one is a result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..core.jaxpr import Atom, Eqn, Var
from .fuse import KernelStep


class Versions:
    """The chains of values of one program each of which may be computed in the place of the one before.

    Args:
        makers: the numbers of the steps that compute values.
        wanted: the numbers of the results that values are.
        last_uses: the numbers of the last steps that need values.

    Attributes:
        updates: for a value the number of the update that needs it last.
        successors: for a value the one that a kernel may compute in its place.
        becomes: the number of the result that a value becomes by way of these; None: none.
        chains: what is known of `around`.
    """

    def __init__(
        self,
        steps: Sequence[Eqn | KernelStep],
        makers: Mapping[Var, int],
        wanted: Mapping[Atom, int],
        last_uses: Mapping[Var, float],
    ):
        self.steps = steps
        self.makers = makers
        self.wanted = wanted
        self.updates: dict[Var, int] = {
            x: n for n in range(len(steps)) if self.is_update(n) and last_uses.get(x := self.updated(n)) == n
        }
        self.successors: dict[Var, Var] = {}
        self.becomes: dict[Any, int | None] = dict(wanted)
        self.chains: dict[int, list[int] | None] = {}

    def result_of(self, var: Var) -> int | None:
        """The number of the result that a value is, or whose place it has until others are computed there."""
        versions: list[Var] = []
        while var not in self.becomes:
            versions.append(var)
            if var in self.updates:
                (var,) = self.steps[self.updates[var]].outputs
            elif var in self.successors:
                var = self.successors[var]
            else:
                self.becomes[var] = None
        found = self.becomes[var]
        self.becomes.update(dict.fromkeys(versions, found))
        return found

    def around(self, later: int) -> list[int] | None:
        """The numbers of the updates that lead from an input to a result, each the last use of the version before."""
        if later in self.chains:
            return self.chains[later]
        found = [later]
        while (x := self.updated(found[-1])) in self.makers:
            if not self.is_update(self.makers[x]):
                self.chains.update(dict.fromkeys(found))
                return None
            found.append(self.makers[x])
        found.reverse()
        while (y := self.steps[found[-1]].outputs[0]) not in self.wanted:
            if y not in self.updates:
                return None
            found.append(self.updates[y])
        if any(self.updates.get(self.updated(number)) != number for number in found):
            return None
        self.chains.update(dict.fromkeys(found, found))
        return found

    def updated(self, number: int) -> Any:
        """The first operand of an update."""
        eqn = self.steps[number]
        assert isinstance(eqn, Eqn)
        return eqn.inputs[0]

    def is_update(self, number: int) -> bool:
        step = self.steps[number]
        return isinstance(step, Eqn) and step.primitive.updates_first
