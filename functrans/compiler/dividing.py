"""Loops divided where a comparison with their counter changes: `where(i < k, x, y)` is x up to k, and y from there on.

Masked vectors, triangular matrices and borders are written so. In each of the parts the comparison is known, what is
computed for the other one is not, and indices that make sense only on one side are in range.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import count
from typing import NamedTuple

import numpy as np

from .loopnest import BOOL, INT, Affine, Apply, Constant, Expression, Load, Register, constant, expressions_in, parts
from .recurrence import (
    Assign,
    Check,
    Choose,
    Extend,
    Repeat,
    Statement,
    Store,
    every_register,
    inside,
    registers_in,
    roots,
    statements_in,
)

#: A loop is divided at so many points at most.
MOST_POINTS = 2
#: Loops of fewer steps than this are left as they are.
FEWEST_STEPS = 16
#: Bodies of more expressions than this are not written twice.
LARGEST_BODY = 200
#: What is added to a counter is at most this, so that the sum cannot overflow.
FARTHEST = 1 << 40
#: Comparisons of a counter with a bound: whether they hold below it, and how far from it they change.
COMPARISONS = {"less": (True, 0), "less_equal": (True, 1), "greater": (False, 1), "greater_equal": (False, 0)}
#: The same with the bound first.
MIRRORED = {"less": "greater", "less_equal": "greater_equal", "greater": "less", "greater_equal": "less_equal"}


class Point(NamedTuple):
    """Where the steps of a loop begin to be others.

    Attributes:
        comparison: what changes there.
        holds_below: whether it is true in the steps before.
        bound: the number of the first step after it.
    """

    comparison: Apply
    holds_below: bool
    bound: Expression


def divided(statements: Sequence[Statement]) -> list[Statement]:
    """Statements with loops divided, those inside others too."""
    return _Divider(new_registers(statements)).block(statements)


def new_registers(statements: Sequence[Statement]) -> Iterator[Register]:
    """Registers for integers that statements do not have, one after the other."""
    first = max((register.number for register in every_register(statements)), default=-1) + 1
    return (Register(number, INT) for number in count(first))


class _Divider:
    """Goes through statements.

    Args:
        free: registers that nobody has.
    """

    def __init__(self, free: Iterator[Register]):
        self.free = free

    def block(self, statements: Sequence[Statement]) -> list[Statement]:
        return [s for statement in statements for s in self.statement(statement)]

    def statement(self, s: Statement) -> list[Statement]:
        if isinstance(s, Choose):
            return [s._replace(branches=tuple(tuple(self.block(branch)) for branch in s.branches))]
        if not isinstance(s, Repeat):
            return [s]
        return self.loop(s._replace(test=tuple(self.block(s.test)), body=tuple(self.block(s.body))), MOST_POINTS)

    def loop(self, s: Repeat, most: int) -> list[Statement]:
        """A loop in parts, if there is a point to divide it at."""
        point = next(points(s), None) if most and is_worth_it(s) else None
        if point is None or s.length is None:
            return [s]
        low = Apply("maximum", (point.bound, constant(0, INT)), INT)
        middle, step = next(self.free), next(self.free)
        shifted = Apply("add", (step, middle), INT)
        rest = Apply("subtract", (s.length, middle), INT)
        below, above = constant(point.holds_below, BOOL), constant(not point.holds_below, BOOL)
        here = Apply("less", (s.counter, point.bound), BOOL)
        there = Apply("less_equal", (point.bound, shifted), BOOL)
        first = s._replace(length=middle, going=here, body=_with(s.body, {point.comparison: below}))
        body = _with(s.body, {point.comparison: above})
        second = s._replace(counter=step, length=rest, going=there, body=_with(body, {s.counter: shifted}))
        return [
            Assign((middle,), (Apply("minimum", (low, s.length), INT),)),
            *self.loop(first, most - 1),
            *self.loop(second, most - 1),
        ]


def is_worth_it(s: Repeat) -> bool:
    """Whether a loop of known length has many steps, and a body that can be written twice."""
    is_long = s.most is None or s.most >= FEWEST_STEPS
    size = sum(1 for _ in expressions_in(e for inner in statements_in(s.body) for e in roots(inner)))
    return s.length is not None and not s.turns and is_long and size <= LARGEST_BODY


def points(s: Repeat) -> Iterator[Point]:
    """The points at which a loop can be divided."""
    changing = {r.number for r in registers_in([s])} | {s.counter.number}
    conditions = (
        e.operands[0]
        for inner in s.body
        for e in expressions_in(roots(inner))
        if isinstance(e, Apply) and e.operation == "select"
    )
    for condition in conditions:
        if not isinstance(condition, Apply) or condition.operation not in COMPARISONS:
            continue
        x, y = condition.operands
        name = condition.operation
        if _steps_before(x, s.counter) is None:
            x, y, name = y, x, MIRRORED[name]
        offset = _steps_before(x, s.counter)
        if offset is not None and y.dtype == INT and _is_fixed(y, changing):
            holds_below, change = COMPARISONS[name]
            yield Point(condition, holds_below, _moved(y, change - offset))


def _moved(bound: Expression, way: int) -> Expression:
    """A bound plus a number; where that would overflow, it is as far away as need be."""
    if not way:
        return bound
    limit = np.iinfo(np.int64).max - abs(way)
    kept = Apply("minimum" if way > 0 else "maximum", (bound, constant(limit if way > 0 else -limit, INT)), INT)
    return Apply("add", (kept, constant(way, INT)), INT)


def _steps_before(e: Expression, counter: Register) -> int | None:
    """What is added to the counter, if an expression is that."""
    if e == counter:
        return 0
    if isinstance(e, Apply) and e.operation == "add" and e.dtype == INT:
        x, y = e.operands
        if y == counter:
            x, y = y, x
        if x == counter and isinstance(y, Constant) and abs(int(y.number)) <= FARTHEST:
            return int(y.number)
    return None


def _is_fixed(e: Expression, changing: set[int]) -> bool:
    """Whether a bound is the same in all steps, and known before them."""
    if isinstance(e, Register):
        return e.number not in changing
    return isinstance(e, Constant)


def _with(statements: Sequence[Statement], given: dict[Expression, Expression]) -> tuple[Statement, ...]:
    """Statements with other expressions in place of some."""
    return tuple(replaced_in(s, given) for s in statements)


def replaced_in(
    s: Statement, given: dict[Expression, Expression], arrays: Mapping[int, int] | None = None
) -> Statement:
    """A statement with other expressions in place of some: of registers, and of comparisons.

    Args:
        arrays: other arrays in place of some, by their numbers.
    """
    results: dict[int, Expression] = {}
    arrays = arrays or {}

    def new(root: Expression) -> Expression:
        for e in expressions_in([root]):
            if id(e) not in results:
                results[id(e)] = _rebuilt(e, results, given, arrays)
        return results[id(root)]

    def inner(statements: Sequence[Statement]) -> tuple[Statement, ...]:
        return tuple(replaced_in(inner, given, arrays) for inner in statements)

    def moved(index: Affine) -> Affine:
        return index._replace(terms=tuple((factor, new(e)) for factor, e in index.terms))

    if isinstance(s, Assign):
        return s._replace(values=tuple(map(new, s.values)))
    if isinstance(s, Store):
        place = arrays.get(s.array, s.array)
        return s._replace(array=place, index=tuple(map(moved, s.index)), value=new(s.value))
    if isinstance(s, Check):
        return s._replace(indices=tuple(map(new, s.indices)))
    if isinstance(s, Extend):
        return s._replace(count=new(s.count))
    if isinstance(s, Choose):
        return s._replace(number=new(s.number), branches=tuple(map(inner, inside(s))))
    length, going = (None if e is None else new(e) for e in (s.length, s.going))
    return s._replace(length=length, test=inner(s.test), going=going, body=inner(s.body))


def _rebuilt(
    e: Expression,
    results: dict[int, Expression],
    given: dict[Expression, Expression],
    arrays: Mapping[int, int],
) -> Expression:
    """An expression of new parts, or what is given for it."""
    if isinstance(e, Register):
        return given.get(e, e)
    if not parts(e) and not isinstance(e, Load):
        return e
    if isinstance(e, Apply):
        operands = tuple(results[id(x)] for x in e.operands)
        if e.dtype == BOOL and e.operation in COMPARISONS and e in given:
            return given[e]
        return e if all(x is y for x, y in zip(operands, e.operands)) else e._replace(operands=operands)
    assert isinstance(e, Load)
    index = tuple(i._replace(terms=tuple((f, results[id(x)]) for f, x in i.terms)) for i in e.index)
    return e._replace(operand=arrays.get(e.operand, e.operand), index=index)
