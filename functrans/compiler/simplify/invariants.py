"""Loop invariants: equations of the body of a loop that compute the same in each step."""

from __future__ import annotations

from collections.abc import Sequence

from ...core.avals import ShapedArray
from ...core.dtypes import is_half
from ...core.jaxpr import Eqn, Jaxpr, Var, prune
from ...core.primitive import SharedOperands
from ...primitives.foundation import convert
from ..costs import COSTS, TRANSCENDENTAL

#: What costs so many additions at most costs no more than to read its result from memory, where that is larger than
#: what it is made of.
CHEAP = 2


class Invariants:
    """The equations of a program that need run only once, though the program runs again and again.

    Attributes:
        eqns: those that are worth it, and what they need.
        passed: their results that the program needs.
        rest: the equations of the program without them.
    """

    def __init__(self, program: Jaxpr, shared: SharedOperands):
        known = set(program.inputs[: shared.number])
        found: list[Eqn] = []
        for eqn in program.eqns:
            if all(a in known for a in eqn.inputs if isinstance(a, Var)) and _may_move(eqn, shared):
                found.append(eqn)
                known.update(eqn.outputs)
        costly = [eqn for eqn in found if not _is_cheap(eqn)]
        moved = {id(eqn) for eqn in costly}
        rest = [eqn for eqn in program.eqns if id(eqn) not in moved]
        self.rest: Sequence[Eqn] = prune(rest, program.outputs)
        used = {a for eqn in self.rest for a in eqn.inputs} | set(program.outputs)
        self.passed = [v for eqn in costly for v in eqn.outputs if v in used]
        self.eqns: Sequence[Eqn] = prune(found, self.passed)


def _may_move(eqn: Eqn, shared: SharedOperands) -> bool:
    """Whether an equation may run before the loop, also if the loop may end at once and the equation may fail."""
    if not all(type(v.aval) is ShapedArray for v in eqn.outputs) or eqn.primitive.has_effects(eqn.params):
        return False
    return shared.at_least_once or not eqn.primitive.may_fail([a.aval for a in eqn.inputs], eqn.params)


def _is_cheap(eqn: Eqn) -> bool:
    """Whether to compute it in each step is no more work than to read it from memory."""
    if eqn.primitive.only_indexes:
        return True
    if eqn.primitive is convert and is_half(eqn.inputs[0].aval.dtype):
        return True  # which takes half as much memory
    largest = max((a.aval.size for a in eqn.inputs if type(a.aval) is ShapedArray), default=0)
    return COSTS.get(eqn.primitive.name, TRANSCENDENTAL) <= CHEAP and eqn.outputs[0].aval.size > largest
