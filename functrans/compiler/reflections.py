"""Small matrices as expressions: Householder's reflections written out, element by element, with LAPACK's signs."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import NamedTuple

from .elimination import Row, Rows, apply, choose, compared, dot, number_like
from .loopnest import Expression, constant

#: The elements of a column; None for zeros that nobody need compute with.
Column = list[Expression | None]


class Reflection(NamedTuple):
    """1 - factor v v^T, on the rows from some number on.

    Attributes:
        vector: v without its first element, which is one.
    """

    first: int
    vector: Row
    factor: Expression


def orthogonalized(a: Rows, columns: int) -> tuple[Rows, Rows]:
    """Of a matrix of real numbers so many columns of q, and as many rows of r, with a = q r."""
    m, n, dtype = len(a), len(a[0]), a[0][0].dtype
    zero, one = constant(0, dtype), constant(1, dtype)
    r: list[Column] = [[row[k] for row in a] for k in range(n)]
    q: list[Column] = [[one if i == k else None for i in range(m)] for k in range(columns)]
    found: list[Reflection] = []
    for j in range(min(m - 1, n)):
        own = [x for x in r[j][j:] if x is not None]
        r[j][j], turn = _reflection(j, own)
        for column in r[j + 1 :]:
            _reflect(column, turn)
        found.append(turn)
    for turn in reversed(found):
        for column in q:
            _reflect(column, turn)
    return (
        [[q[k][i] or zero for k in range(columns)] for i in range(m)],
        [[(r[k][i] if k >= i else None) or zero for k in range(n)] for i in range(columns)],
    )


def _reflection(first: int, column: Row) -> tuple[Expression, Reflection]:
    """The reflection after which only the first element of a column is not zero, and that one; none, if it is so."""
    head, *tail = column
    zero, one = number_like(head, 0), number_like(head, 1)
    below = _largest(tail)
    is_done = compared("equal", below, zero)
    size = apply("maximum", apply("absolute", head), below)
    size = choose(compared("equal", size, zero), one, size)
    scaled = [apply("divide", x, size) for x in column]
    length = apply("multiply", size, apply("sqrt", dot(scaled, scaled)))
    found = apply("negative", apply("copysign", length, head))
    difference = apply("subtract", head, found)
    divisor, length = choose(is_done, one, difference), choose(is_done, one, found)
    vector = [apply("divide", x, divisor) for x in tail]
    factor = choose(is_done, zero, apply("divide", apply("negative", difference), length))
    return choose(is_done, head, found), Reflection(first, vector, factor)


def _largest(row: Sequence[Expression]) -> Expression:
    return reduce(lambda x, y: apply("maximum", x, y), [apply("absolute", x) for x in row])


def _reflect(column: Column, turn: Reflection) -> None:
    """Apply a reflection to a column."""
    first, vector, factor = turn
    pairs = [(v, x) for v, x in zip(vector, column[first + 1 :]) if x is not None]
    head = column[first]
    if head is None and not pairs:
        return
    terms = [] if head is None else [head]
    terms += [dot(*zip(*pairs))] if pairs else []
    amount = apply("multiply", factor, reduce(lambda x, y: apply("add", x, y), terms))
    column[first] = apply("negative", amount) if head is None else apply("subtract", head, amount)
    for i, v in enumerate(vector, first + 1):
        x, part = column[i], apply("multiply", v, amount)
        column[i] = apply("negative", part) if x is None else apply("subtract", x, part)
