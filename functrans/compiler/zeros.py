"""Sums over what is known to be zero: an array that begins as zeros, and gets one column in each step of a loop, still
has zeros from the column of that step on.

Products of such elements with others that are zero too add nothing, so these sums get a mask, at which their loops are
divided (dividing.py). A product with anything else stays: zero times infinity is no number.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from .loopnest import BOOL, Affine, Apply, Constant, Expression, Load, Register, constant, expressions_in
from .ranges import addition, strides
from .recurrence import Assign, Choose, Repeat, Statement, Store, inside, statements_in

#: Of operands that are all 0.0, these are 0.0.
KEEP_ZERO = frozenset(("add", "subtract", "multiply", "square", "absolute", "convert"))


class Frontier(NamedTuple):
    """That an array has zeros along an axis from a place on, which grows from step to step.

    Attributes:
        place: the register that says where, at the beginning of a step.
    """

    array: int
    axis: int
    place: Register


def masked(statements: Sequence[Statement], zeros: frozenset[int]) -> tuple[Statement, ...]:
    """Statements with masks in sums that end where arrays have nothing but zeros.

    Args:
        zeros: the arrays that begin with 0.0 in all places.
    """
    found: list[Statement] = []
    for s in statements:
        if isinstance(s, Repeat) and zeros:
            s = _Masker(list(frontiers(s, zeros))).loop(s)
        zeros -= {inner.array for inner in statements_in([s]) if isinstance(inner, Store)}
        found.append(s)
    return tuple(found)


def frontiers(loop: Repeat, zeros: frozenset[int]) -> Iterator[Frontier]:
    """Up to where arrays of zeros have been written to before each step of a loop."""
    growing = {r for r, step in strides(loop).items() if step > 0} | {loop.counter}
    places: dict[int, list[Sequence[Affine]]] = {}
    for s in statements_in(loop.body):
        if isinstance(s, Store) and s.array in zeros:
            places.setdefault(s.array, []).append(s.index)
    for array, indices in places.items():
        for axis in range(len(indices[0])):
            registers = {_register(index[axis]) for index in indices}
            place = registers.pop()
            if not registers and place in growing:
                yield Frontier(array, axis, place)


def _register(index: Affine) -> Register | None:
    """The register that an index is."""
    if index.offset or index.factors or len(index.terms) != 1:
        return None
    ((factor, e),) = index.terms
    return e if factor == 1 and isinstance(e, Register) else None


class _Masker:
    """Goes through the statements of one loop in order.

    Attributes:
        written: the arrays that may have been written to in the step at hand.
    """

    def __init__(self, known: Sequence[Frontier]):
        self.known = known
        self.written: set[int] = set()

    def loop(self, s: Repeat) -> Repeat:
        """The loop whose steps move the frontiers."""
        return s._replace(body=tuple(map(self.statement, s.body))) if self.known else s

    def statement(self, s: Statement) -> Statement:
        if isinstance(s, Store):
            self.written.add(s.array)
        if isinstance(s, Choose):
            return s._replace(branches=tuple(tuple(map(self.statement, branch)) for branch in inside(s)))
        if not isinstance(s, Repeat):
            return s
        self.written.update(inner.array for inner in statements_in(s.body) if isinstance(inner, Store))
        if len(s.body) == 1 and isinstance(s.body[0], Assign) and isinstance(s.length, Constant):
            return s._replace(body=(self.sum(s.body[0], s.counter),))
        return s._replace(body=tuple(map(self.statement, s.body)))

    def sum(self, s: Assign, counter: Register) -> Assign:
        """What a step adds to a total, with a mask if it is zero from some step on."""
        added = addition(s.registers[0], s.values[0]) if len(s.registers) == 1 else None
        if added is None:
            return s
        for place in dict.fromkeys(known.place for known in self.known):
            ends = [known for known in self.known if known.place == place]
            used = [known for known in ends if vanishes(added, counter, ends)]
            if used:
                name = "less_equal" if any(known.array in self.written for known in ends) else "less"
                mask = Apply(name, (counter, place), BOOL)
                term = Apply("select", (mask, added, constant(0, added.dtype)), added.dtype)
                return s._replace(values=(Apply("add", (s.registers[0], term), added.dtype),))
        return s


def vanishes(root: Expression, counter: Register, known: Sequence[Frontier]) -> bool:
    """Whether an expression is 0.0 in all steps from the place of some frontiers on."""
    zero: set[int] = set()
    for e in expressions_in([root]):
        if isinstance(e, Load):
            is_zero = any(e.operand == f.array and _register(e.index[f.axis]) == counter for f in known)
        elif isinstance(e, Constant):
            is_zero = not any(e.value)
        elif isinstance(e, Apply) and e.operation == "select":
            is_zero = all(id(x) in zero for x in e.operands[1:])
        else:
            is_zero = isinstance(e, Apply) and e.operation in KEEP_ZERO and all(id(x) in zero for x in e.operands)
        if is_zero:
            zero.add(id(e))
    return id(root) in zero
