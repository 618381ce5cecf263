"""Arrays of which only a part is read: a loop that fills one has steps only for that.

`where(places >= k, x, 0)`, divided at k (dividing.py), reads x from there on. Where a loop before it puts x in an array
that is made anew in each step, what lies below k need not be computed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from .dividing import new_registers, replaced_in
from .loopnest import INT, Affine, Apply, Constant, Expression, Load, Register, constant, expressions_in
from .ranges import Linear, combined
from .recurrence import (
    Assign,
    Choose,
    Repeat,
    Statement,
    Store,
    every_register,
    registers_in,
    roots,
    statements_in,
)

#: Loops of fewer steps than this are left as they are.
FEWEST_STEPS = 16
ZERO, ONE = constant(0, INT), constant(1, INT)


class Span(NamedTuple):
    """From the least to the greatest of some integers, which depend on the step of a loop at hand."""

    low: Expression
    high: Expression


def demanded(statements: Sequence[Statement], own: frozenset[int]) -> tuple[Statement, ...]:
    """Statements without the steps of loops whose results nobody reads.

    Args:
        own: the arrays that nobody else reads, before or after.
    """
    return _Demand(own, reads_of(statements), new_registers(statements)).block(statements) if own else tuple(statements)


def reads_of(statements: Sequence[Statement]) -> Counter[Register | int]:
    """How many statements read each register, and how often each array is read."""
    everything = (expressions_in(roots(s)) for s in statements_in(statements))
    read = (dict.fromkeys(e for e in found if isinstance(e, Register)) for found in everything)
    return Counter([*(r for registers in read for r in registers), *(load.operand for load in loads_of(statements))])


def loads_of(statements: Sequence[Statement]) -> list[Load]:
    """What statements read, each element once for each statement."""
    return [e for s in statements_in(statements) for e in expressions_in(roots(s)) if isinstance(e, Load)]


class _Demand:
    """Goes through blocks, from their ends.

    Args:
        reads: how often each register and each array is read in all statements.
        free: registers that nobody has.
    """

    def __init__(self, own: frozenset[int], reads: Mapping[Register | int, int], free: Iterator[Register]):
        self.own = own
        self.reads = reads
        self.free = free

    def block(self, statements: Sequence[Statement]) -> tuple[Statement, ...]:
        after: list[Statement] = []
        for s in reversed(statements):
            if isinstance(s, Choose):
                s = s._replace(branches=tuple(map(self.block, s.branches)))
            if not isinstance(s, Repeat):
                after.insert(0, s)
                continue
            s = s._replace(test=self.block(s.test), body=self.block(s.body))
            after[:0] = self.narrowed(s, after)
        return tuple(after)

    def narrowed(self, s: Repeat, after: Sequence[Statement]) -> list[Statement]:
        """A loop over that part of an array which statements after it read, if that is all that it is for."""
        array = filled(s)
        if array is None or array not in self.own or not self.is_closed(s):
            return [s]
        spans = _Reads(array, s, after).spans
        if None in spans or len(spans) != self.reads[array] or not spans:
            return [s]
        last = _sum(s.length, ONE, -1)
        low = _one_of("minimum", [x.low for x in spans], ZERO)
        high = _one_of("maximum", [x.high for x in spans], last)
        if (low, high) == (ZERO, last):
            return [s]
        first, step = next(self.free), next(self.free)
        begin = Assign((first,), (_one_of("maximum", [low, ZERO]),))
        stop = _one_of("minimum", [_sum(high, ONE), s.length])
        length = _one_of("maximum", [_sum(stop, first, -1), ZERO])
        shifted = Apply("add", (step, first), INT)
        body = tuple(replaced_in(inner, {s.counter: shifted}) for inner in s.body)
        return [begin, s._replace(counter=step, length=length, body=body)]

    def is_closed(self, s: Repeat) -> bool:
        """Whether nobody outside a loop reads its registers, and no step of it those of another one."""
        own, reads = {s.counter, *every_register(s.body)}, reads_of(s.body)
        assigned = {r.number for r in registers_in(s.body)}
        return all(self.reads[r] == reads[r] for r in own) and not _is_read_before(s.body, assigned)


def filled(s: Repeat) -> int | None:
    """The array that a loop does nothing but fill, one element or row in each step; None if it is no such loop."""
    if not isinstance(s.length, Constant) or s.length.number < FEWEST_STEPS or s.test or s.turns:
        return None
    everything = list(statements_in(s.body))
    stores = [inner for inner in everything if isinstance(inner, Store)]
    at_counter = Affine(0, (), ((1, s.counter),))
    if len({store.array for store in stores}) != 1 or any(store.index[:1] != (at_counter,) for store in stores):
        return None
    may_be_left_out = all(isinstance(inner, (Assign, Store)) or is_counted(inner) for inner in everything)
    return stores[0].array if may_be_left_out else None


def is_counted(s: Statement) -> bool:
    """Whether a statement is a loop that does nothing but its steps."""
    return isinstance(s, Repeat) and s.length is not None and not s.turns


def _is_read_before(statements: Sequence[Statement], assigned: set[int]) -> bool:
    """Whether registers are read before statements assign them.

    Args:
        assigned: those that they assign, until they do.
    """
    for s in statements:
        if any(isinstance(e, Register) and e.number in assigned for e in expressions_in(roots(s))):
            return True
        if isinstance(s, Assign):
            assigned = assigned - {r.number for r in s.registers}
        if isinstance(s, Repeat) and (_is_read_before(s.test, assigned) or _is_read_before(s.body, assigned)):
            return True
    return False


class _Reads:
    """What statements that run one after the other read of an array.

    Args:
        loop: what runs before them.

    Attributes:
        spans: the places along its first axis, read by read; None for those that are not known beforehand.
    """

    def __init__(self, array: int, loop: Repeat, after: Sequence[Statement]):
        self.array = array
        self.spans: list[Span | None] = []
        last = max((k for k, s in enumerate(after) if self.loads([s])), default=-1)
        statements = after[: last + 1]
        #: Of registers that change before the last read, by number; None: nobody knows.
        self.known: dict[int, Span | None] = dict.fromkeys(r.number for r in every_register([loop, *statements]))
        for s in statements:
            self.look(s)
            if isinstance(s, Assign):
                spans = list(map(self.span, s.values))
                self.known.update((r.number, span) for r, span in zip(s.registers, spans))

    def loads(self, statements: Sequence[Statement]) -> list[Load]:
        return [load for load in loads_of(statements) if load.operand == self.array]

    def look(self, s: Statement) -> None:
        """Note the reads of a statement, and those inside it."""
        if not isinstance(s, Assign):
            self.known.update(dict.fromkeys(r.number for r in every_register([s])))
        for inner in statements_in([s]):
            if isinstance(inner, Repeat):
                steps = None if inner.length is None else self.span(inner.length)
                span = None if steps is None else Span(ZERO, _sum(steps.high, ONE, -1))
                self.known[inner.counter.number] = span
        self.spans += [self.at(load.index[0]) for load in self.loads([s])]

    def at(self, index: Affine) -> Span | None:
        """The places of an index."""
        found = Span(constant(index.offset, INT), constant(index.offset, INT))
        for factor, e in index.terms:
            own = self.span(e)
            if own is None or factor != 1:
                return None
            found = Span(_sum(found.low, own.low), _sum(found.high, own.high))
        return found

    def span(self, e: Expression) -> Span | None:
        """Between what an integer is, in terms of what is known before the statements."""
        if isinstance(e, Constant):
            return Span(e, e)
        if isinstance(e, Register):
            return self.known.get(e.number, Span(e, e))
        if not isinstance(e, Apply) or e.dtype != INT or len(e.operands) != 2:
            return None
        x, y = map(self.span, e.operands)
        if x is None or y is None:
            return None
        if e.operation in ("add", "subtract"):
            sign = 1 if e.operation == "add" else -1
            ends = (y.low, y.high)[::sign]
            return Span(_sum(x.low, ends[0], sign), _sum(x.high, ends[1], sign))
        if e.operation not in ("minimum", "maximum"):
            return None
        return Span(_one_of(e.operation, [x.low, y.low]), _one_of(e.operation, [x.high, y.high]))


def _one_of(operation: str, expressions: Sequence[Expression], end: Expression | None = None) -> Expression:
    """The least or the greatest of some numbers.

    Args:
        end: a number beyond which none of them matters.
    """
    first, *others = dict.fromkeys(expressions)
    if end is not None and end in expressions:
        return end
    for e in others:
        first = Apply(operation, (first, e), INT)
    return first


def _sum(x: Expression, y: Expression, sign: int = 1) -> Expression:
    """The sum or difference of two integers, in which equal parts are put together."""
    form = combined(_terms(x), _terms(y), sign)
    number = constant(form.pop(None, 0), INT)
    total: Expression | None = None
    for e, factor in sorted(form.items(), key=lambda term: -term[1]):
        part = e if abs(factor) == 1 else Apply("multiply", (e, constant(abs(factor), INT)), INT)
        if factor > 0 and total is None:
            total = part
        elif factor:
            total = Apply("add" if factor > 0 else "subtract", (total or number, part), INT)
    if total is None:
        return number
    is_in = number == ZERO or all(factor <= 0 for factor in form.values())
    return total if is_in else Apply("add", (total, number), INT)


def _terms(e: Expression) -> Linear:
    """An integer as a sum of others, by which of them how often, and of a number, by None."""
    if isinstance(e, Constant):
        return {None: int(e.number)}
    if isinstance(e, Apply) and e.operation in ("add", "subtract"):
        return combined(*map(_terms, e.operands), 1 if e.operation == "add" else -1)
    return {e: 1}
