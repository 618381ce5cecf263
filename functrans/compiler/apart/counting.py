"""Loops that count: a while loop whose condition compares a counter with a bound has a number of steps."""

from __future__ import annotations

from collections.abc import Sequence

from ..loopnest import INT, Apply, Constant, Expression, Load, Register, cast, constant, expressions_in
from ..recurrence import Statement


def steps_of(
    test: Sequence[Statement], going: Expression | None, changed: dict[int, Expression]
) -> Expression | None:
    """The number of steps of a loop, if a counter among its registers ends it; those have their first values then."""
    if test or not isinstance(going, Apply) or going.operation != "less":
        return None
    i, bound = going.operands
    bounds = list(expressions_in([bound]))
    if not isinstance(i, Register) or i.dtype.kind != "i" or any(isinstance(e, Load) for e in bounds):
        return None
    if i.number not in changed or any(isinstance(e, Register) and e.number in changed for e in bounds):
        return None
    after = changed[i.number]
    if not isinstance(after, Apply) or after.operation != "add" or after.operands[0] is not i:
        return None
    if not isinstance(after.operands[1], Constant) or after.operands[1].number != 1:
        return None
    steps = Apply("subtract", (cast(bound, INT), cast(i, INT)), INT)
    return Apply("select", (going, steps, constant(0, INT)), INT)
