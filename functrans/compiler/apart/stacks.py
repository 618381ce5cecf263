"""Stacks in a recurrence: what loops leave of each step for their derivatives, and read of it again.

Whatever runs a loop has, its entries go to one tape, those of one run behind those of the last. So a stack is a stretch
of the tape, and an entry that is a stack is two numbers: where that begins, and how many entries it has.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...core.avals import ShapedArray, StackAval
from ..instructions import Column
from ..loopnest import INT, Affine, Apply, Expression, Load, Register, constant
from ..recurrence import Assign, Extend, Statement, Store
from .collector import Collector
from .elements import Array, Buffer, NoRows, Rows, TooLarge, added, at_value

#: The type of a number on a tape that says where a stack begins, or how many entries it has.
NUMBER = ShapedArray((), INT)


class Tapes(Collector):
    """Collects statements that go along tapes.

    Attributes:
        ends: for each tape a register with the number of entries on it that are still needed.
    """

    ends: list[Register]

    def column(self, tape: int | None, entry: ShapedArray) -> Buffer:
        """An array with one entry behind the other, on a tape that grows; on one that is there already, for None."""
        aval = ShapedArray((1, *entry.shape), entry.dtype)
        return self.buffer(Column(tape, aval), tape is None)

    def given_stack(self, aval: StackAval, count: Expression) -> Rows:
        """A stack on a tape that is there when the recurrence begins."""
        levels, entry = [], aval.entry
        while isinstance(entry, StackAval):
            levels.append((self.column(None, NUMBER), self.column(None, NUMBER)))
            entry = entry.entry
        return Rows(tuple(levels), self.column(None, entry), constant(0, INT), count)

    def entry(self, stack: Rows, step: Affine) -> Any:
        """An entry of a stack."""
        place = added(at_value(stack.start), step)
        if not stack.levels:
            return Array.of(stack.entries, (place,))
        numbers = (self.kept_expression(Load(column.number, (place,), INT)) for column in stack.levels[0])
        return Rows(stack.levels[1:], stack.entries, *numbers)

    def emptied(self, first: int, kept: Sequence[Rows]) -> list[Statement]:
        """What has tapes from a number on begin anew in each step, unless stacks on them are kept beyond it."""
        needed = {self.arrays[buffer.number].tape for rows in kept for buffer in rows.buffers}
        ends = [end for tape, end in enumerate(self.ends) if tape >= first and tape not in needed]
        return [Assign(tuple(ends), (constant(0, INT),) * len(ends))] if ends else []


class Winding:
    """The tape of a loop while its statements are collected.

    Attributes:
        start: where the entries of this run begin.
        stacks: what it leaves, without the number of entries, which is known in the end.
    """

    def __init__(self, body: Tapes):
        self.body = body
        self.tape = len(body.ends)
        self.start = body.register(INT)
        self.stacks: list[Rows] = []
        self.levels: dict[tuple[Expression, Expression], tuple[Buffer, Buffer]] = {}
        body.ends.append(body.register(INT))
        body.assign([self.start], [body.ends[self.tape]])

    def leave(self, value: Any, aval: Any, step: Affine) -> None:
        """Have an entry written."""
        place, zero = added(at_value(self.start), step), constant(0, INT)
        if isinstance(value, NoRows):
            raise TooLarge("a step leaves a stack without entries")
        if isinstance(value, Rows):
            level = self.level(value, place)
            self.stacks.append(Rows((level, *value.levels), value.entries, self.start, zero))
            return
        column = self.body.column(self.tape, aval)
        self.body.fill(Array.of(column, (place,), may_write=True), value)
        self.stacks.append(Rows((), column, self.start, zero))

    def level(self, stack: Rows, place: Affine) -> tuple[Buffer, Buffer]:
        """Where it is written down where an entry begins and how many entries it has; once for those that are alike."""
        if any(self.body.arrays[buffer.number].tape is None for buffer in stack.buffers):
            raise TooLarge("a step leaves a stack that it was given")
        numbers = stack.start, stack.count
        if numbers not in self.levels:
            self.levels[numbers] = self.body.column(self.tape, NUMBER), self.body.column(self.tape, NUMBER)
            for column, number in zip(self.levels[numbers], numbers):
                self.body.statements.append(Store(column.number, (place,), number))
                column.change()
        return self.levels[numbers]

    def room(self, steps: Expression) -> Extend:
        """What makes room for so many steps."""
        return Extend(self.tape, Apply("add", (self.start, steps), INT))

    def done(self, count: Expression) -> list[Rows]:
        """The stacks of a loop that has had so many steps."""
        self.body.assign([self.body.ends[self.tape]], [Apply("add", (self.start, count), INT)])
        return [stack._replace(count=count) for stack in self.stacks]


class OneOf:
    """A stack that some of several branches leave, on one tape: two numbers that each of them gives.

    Attributes:
        rows: what a branch has left.
    """

    def __init__(self, body: Tapes):
        self.body = body
        self.numbers = body.register(INT), body.register(INT)
        self.rows: Rows | None = None

    def give(self, value: Rows | NoRows) -> None:
        """Have a branch say where its stack begins, and how many entries it has."""
        if isinstance(value, NoRows):
            self.body.assign(self.numbers, [constant(0, INT)] * 2)
            return
        if self.rows is not None and self.rows.buffers != value.buffers:
            raise TooLarge("its branches leave a stack each")
        self.rows = value
        self.body.assign(self.numbers, [value.start, value.count])

    def done(self) -> Rows | NoRows:
        """The stack after the branches."""
        start, count = self.numbers
        return NoRows() if self.rows is None else self.rows._replace(start=start, count=count)
