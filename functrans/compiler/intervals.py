"""Intervals of integers: what operations make of them, and what an operation comes to where they are known."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product
from typing import Any

import numpy as np

from .loopnest import BOOL, Apply, Constant, Expression, Register, constant

#: From the least to the greatest value, both included.
Interval = tuple[int, int]


def full(dtype: np.dtype[Any]) -> Interval:
    """All numbers of a type."""
    if dtype.kind == "b":
        return 0, 1
    limits = np.iinfo(dtype)
    return int(limits.min), int(limits.max)


def join(x: Interval, y: Interval) -> Interval:
    """The least interval around both."""
    return min(x[0], y[0]), max(x[1], y[1])


def meet(x: Interval, y: Interval) -> Interval:
    """What lies in both; x if nothing does, in code that never runs."""
    found = max(x[0], y[0]), min(x[1], y[1])
    return found if found[0] <= found[1] else x


def _corners(function: Callable[[int, int], int]) -> Callable[[Interval, Interval], Interval]:
    """The interval of a function that has its extremes at extremes."""

    def interval(x: Interval, y: Interval) -> Interval:
        values = [function(a, b) for a, b in product(x, y)]
        return min(values), max(values)

    return interval


def _remainder(x: Interval, y: Interval) -> Interval | None:
    if y[0] <= 0:
        return None
    return x if x[0] >= 0 and x[1] < y[0] else (0, y[1] - 1)


def _floor_divide(x: Interval, y: Interval) -> Interval | None:
    return None if y[0] <= 0 else _corners(lambda a, b: a // b)(x, y)


def _less(x: Interval, y: Interval) -> Interval:
    return int(x[1] < y[0]), int(x[0] < y[1])


def _less_equal(x: Interval, y: Interval) -> Interval:
    return int(x[1] <= y[0]), int(x[0] <= y[1])


def _equal(x: Interval, y: Interval) -> Interval:
    return int(x[0] == x[1] == y[0] == y[1]), int(x[0] <= y[1] and y[0] <= x[1])


def _not(x: Interval) -> Interval:
    return 1 - x[1], 1 - x[0]


def _bitwise_and(x: Interval, y: Interval) -> Interval | None:
    limits = [i[1] for i in (x, y) if i[0] >= 0]
    return (0, min(limits)) if limits else None


def _absolute(x: Interval) -> Interval:
    low = 0 if x[0] <= 0 <= x[1] else min(abs(x[0]), abs(x[1]))
    return low, max(abs(x[0]), abs(x[1]))


#: The interval of an operation, in whole numbers without bounds; None if nothing is known.
OPERATIONS: dict[str, Callable[..., Interval | None]] = {
    "add": lambda x, y: (x[0] + y[0], x[1] + y[1]),
    "subtract": lambda x, y: (x[0] - y[1], x[1] - y[0]),
    "multiply": _corners(lambda a, b: a * b),
    "negative": lambda x: (-x[1], -x[0]),
    "positive": lambda x: x,
    "convert": lambda x: x,
    "absolute": _absolute,
    "square": lambda x: tuple(v * v for v in _absolute(x)),
    "maximum": lambda x, y: (max(x[0], y[0]), max(x[1], y[1])),
    "minimum": lambda x, y: (min(x[0], y[0]), min(x[1], y[1])),
    "remainder": _remainder,
    "floor_divide": _floor_divide,
    "bitwise_and": _bitwise_and,
    "less": _less,
    "less_equal": _less_equal,
    "greater": lambda x, y: _less(y, x),
    "greater_equal": lambda x, y: _less_equal(y, x),
    "equal": _equal,
    "not_equal": lambda x, y: _not(_equal(x, y)),
    "logical_and": lambda x, y: (min(x[0], y[0]), min(x[1], y[1])),
    "logical_or": lambda x, y: (max(x[0], y[0]), max(x[1], y[1])),
    "logical_not": _not,
    "select": lambda c, x, y: join(x, y),
}  # fmt: skip


def interval_of(expression: Expression, operands: Sequence[Interval | None]) -> Interval | None:
    """The interval of an expression by those of its operands; None if it is no integer."""
    dtype = expression.dtype
    if dtype.kind not in "iub":
        return None
    if isinstance(expression, Constant):
        return int(expression.number), int(expression.number)
    if isinstance(expression, Apply) and expression.operation in OPERATIONS:
        return interval_of_operation(expression.operation, dtype, operands)
    return full(dtype)


def interval_of_operation(name: str, dtype: np.dtype[Any], operands: Sequence[Interval | None]) -> Interval:
    """The interval of an operation of the table by those of its operands, where the result has a dtype."""
    if None not in operands and not (dtype.kind == "b" and name in ("add", "multiply", "convert")):
        found = OPERATIONS[name](*operands)
        if found is not None and full(dtype)[0] <= found[0] and found[1] <= full(dtype)[1]:
            return found
    return full(dtype)


def simpler(expression: Apply, operands: Sequence[Interval | None], own: Interval | None) -> Expression | None:
    """What an operation comes to, by the intervals of its operands and its own; None if that is itself."""
    if own is not None and own[0] == own[1]:
        return constant(own[0], expression.dtype)
    name, dtype = expression.operation, expression.dtype
    if name == "select" and operands[0] is not None and operands[0][0] == operands[0][1]:
        return expression.operands[1 if operands[0][0] else 2]
    if None in operands or len(operands) != 2:
        return None
    (x, y), (a, b) = operands, expression.operands
    assert x is not None
    assert y is not None
    if name in ("maximum", "minimum"):
        if x[0] >= y[1]:
            return a if name == "maximum" else b
        if y[0] >= x[1]:
            return b if name == "maximum" else a
    if name == "remainder" and y[0] == y[1] > 0 and dtype.kind == "i":
        return _near_remainder(a, x, b, y[0])
    return None


def _near_remainder(a: Expression, x: Interval, b: Expression, n: int) -> Expression | None:
    """A remainder by a positive number without a division, if what is divided is near enough."""
    if x[0] >= 0 and x[1] < n:
        return a
    zero = constant(0, a.dtype)
    if -n <= x[0] and x[1] < n:
        return Apply("select", (Apply("less", (a, zero), BOOL), Apply("add", (a, b), a.dtype), a), a.dtype)
    if x[0] >= 0 and x[1] < 2 * n:
        is_far = Apply("greater_equal", (a, b), BOOL)
        return Apply("select", (is_far, Apply("subtract", (a, b), a.dtype), a), a.dtype)
    return Apply("fmod", (a, b), a.dtype) if x[0] >= 0 else None


def moved_by(interval: Interval, step: int, most: int) -> Interval:
    """Where a number is that is moved by a step at most so many times."""
    way = step * most
    return interval[0] + min(way, 0), interval[1] + max(way, 0)


def within(interval: Interval, register: Register) -> Interval | None:
    """An interval that a register can hold; None for one that it would wrap around in."""
    low, high = full(register.dtype)
    return interval if low <= interval[0] and interval[1] <= high else None


def joined(x: Interval | None, y: Interval | None) -> Interval | None:
    """The join of two intervals, if both are known."""
    return None if x is None or y is None else join(x, y)


def covers(x: Interval | None, y: Interval | None) -> bool:
    """Whether all that is known to lie in y is known to lie in x; nothing known of x covers everything."""
    return x is None or (y is not None and x[0] <= y[0] and y[1] <= x[1])


def widened(x: Interval | None, y: Interval | None, register: Register) -> Interval | None:
    """An interval with the ends that move as far away as they can be."""
    if x is None or y is None:
        return None
    low, high = full(register.dtype)
    return (x[0] if x[0] <= y[0] else low), (x[1] if x[1] >= y[1] else high)
