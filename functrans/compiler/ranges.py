"""What is known of integers before a recurrence runs, and what can be left out for that.

Counters of loops lie between their bounds, clamps and remainders keep what they say. Indices that lie within their axis
are not checked, nor counted from the end where they cannot be negative; a remainder of what is nearly in range needs no
division. A check that has been passed is a fact for all that comes after it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from .dividing import divided
from .intervals import Interval, covers, full, interval_of, joined, meet, moved_by, simpler, widened, within
from .loopnest import (
    BOOL,
    INT,
    Affine,
    Apply,
    Constant,
    Expression,
    Load,
    Register,
    constant,
    expressions_in,
    parts,
)
from .recurrence import (
    EXTREMES,
    Assign,
    Check,
    Choose,
    Extend,
    Repeat,
    Statement,
    Store,
    registers_in,
    roots,
    statements_in,
    useful,
)

#: So many expressions are looked at in loops with care; then everything that a loop changes may be anything.
PATIENCE = 100_000
#: A bound of so many steps comes from the type of a number, and says nothing about what is to be expected.
TOO_MANY = 1 << 30
#: A sum of registers, by number, of other things, by negative numbers, and of a constant, by None: the factors.
Linear = dict[Any, int]


def combined(x: Linear, y: Linear, factor: int) -> Linear:
    """The sum of one form and a multiple of another."""
    found = dict(x)
    for part, number in y.items():
        found[part] = found.get(part, 0) + factor * number
    return found


class Known:
    """The intervals of registers, and of expressions over them as long as these stay as they are."""

    def __init__(
        self,
        registers: dict[int, Interval],
        facts: tuple[Linear, ...] = (),
        definitions: dict[int, Linear] | None = None,
    ):
        self.registers = registers
        self.facts = facts  # what is not negative
        self.definitions = definitions or {}  # registers as sums of others
        self.found: dict[int, tuple[Expression, Interval | None, Expression]] = {}  # by the id of the last
        self.seen: set[int] = set()  # the registers that these are made of
        self.linear: dict[int, Linear] = {}  # sums of registers that expressions are, by id
        self.looked = 0

    def copy(self) -> Known:
        return Known(dict(self.registers), self.facts, dict(self.definitions))

    def set(self, register: Register, interval: Interval | None) -> None:
        if interval is not None:
            self.registers[register.number] = interval
        if register.number in self.seen:
            self.forget()

    def forget(self) -> None:
        """Registers have changed."""
        self.found.clear()
        self.seen.clear()
        self.linear.clear()

    def simplified(self, expression: Expression) -> Expression:
        return self.look(expression)[0]

    def interval(self, expression: Expression) -> Interval | None:
        return self.look(expression)[1]

    def look(self, root: Expression) -> tuple[Expression, Interval | None]:
        """What an expression comes to, and its interval."""
        stack = [root]
        while stack:
            e = stack[-1]
            missing = () if id(e) in self.found else [x for x in parts(e) if id(x) not in self.found]
            stack += missing
            if not missing:
                stack.pop()
                if id(e) not in self.found:
                    self.looked += 1
                    self.found[id(e)] = (*self.looked_at(e), e)
        return self.found[id(root)][:2]

    def looked_at(self, e: Expression) -> tuple[Expression, Interval | None]:
        if isinstance(e, Register):
            self.seen.add(e.number)
            unknown = full(e.dtype) if e.dtype.kind in "iub" else None
            interval = self.registers.get(e.number, unknown)
            is_known = interval is not None and interval[0] == interval[1]
            return (constant(interval[0], e.dtype) if is_known else e), interval
        if isinstance(e, Load):
            index = tuple(self.index(i) for i in e.index) if parts(e) else e.index
            return e._replace(index=index), interval_of(e, ())
        if not isinstance(e, Apply):
            return e, interval_of(e, ())
        found = [self.found[id(x)] for x in e.operands]
        operands, intervals = tuple(x for x, _, _ in found), [i for _, i, _ in found]
        own = interval_of(e, intervals)
        if own is not None and e.operation in ("add", "subtract") and own != full(e.dtype):
            own = self.closer(e, own)
        if any(x is not y for x, y in zip(operands, e.operands)):
            e = e._replace(operands=operands)
        better = simpler(e, intervals, own)
        if better is None:
            return e, own
        own = next((i for x, i in zip(operands, intervals) if x is better), own)
        return better, own

    # ---- sums of registers

    def closer(self, e: Apply, own: Interval) -> Interval:
        """The interval of a sum that cannot overflow, by what is known not to be negative."""
        form = self.linear[id(e)] = combined(*map(self.form, e.operands), 1 if e.operation == "add" else -1)
        for fact in self.facts:
            if not fact.keys() & form.keys() - {None}:
                continue
            above, below = self.span(combined(form, fact, -1)), self.span(combined(form, fact, 1))
            own = meet(own, (own[0] if above is None else above[0], own[1] if below is None else below[1]))
        return own

    def form(self, e: Expression) -> Linear:
        """An integer as a sum of registers; of itself, if nothing else is known."""
        if isinstance(e, Constant):
            return {None: int(e.number)}
        if isinstance(e, Register):
            return self.definitions.get(e.number, {e.number: 1})
        return self.linear.get(id(e), {-1 - id(e): 1})

    def span(self, form: Linear) -> Interval | None:
        """The interval of a sum."""
        low = high = form.get(None, 0)
        for part, factor in form.items():
            if part is None or not factor:
                continue
            interval = self.registers.get(part)
            if interval is None:
                return None
            ends = interval[0] * factor, interval[1] * factor
            low, high = low + min(ends), high + max(ends)
        return low, high

    def define(self, register: Register, e: Expression) -> None:
        """Note that a register is a sum of others now."""
        if register.dtype.kind not in "iu":
            return
        form = self.form(e)
        if register.number not in form and min(form.keys() - {None}, default=0) >= 0:
            self.definitions[register.number] = form

    def changed(self, numbers: set[int]) -> None:
        """Registers have other values now: what was known of sums with them is no more."""
        self.facts = tuple(fact for fact in self.facts if not fact.keys() & numbers)
        self.definitions = {
            n: form for n, form in self.definitions.items() if n not in numbers and not form.keys() & numbers
        }

    def learn(self, low: Expression, high: Expression, least: int) -> None:
        """Note that one integer is less than or equal to another, by at least so much."""
        form = combined(combined(self.form(high), self.form(low), -1), {None: least}, -1)
        self.facts = (*self.facts, form)

    def index(self, index: Affine) -> Affine:
        """An index with its expressions simplified, and those that are numbers added up."""
        terms = [(factor, self.look(e)[0]) for factor, e in index.terms]
        offset = index.offset + sum(factor * int(e.number) for factor, e in terms if isinstance(e, Constant))
        return Affine(offset, index.factors, tuple(t for t in terms if not isinstance(t[1], Constant)))


def narrowed(statements: Sequence[Statement]) -> tuple[Statement, ...]:
    """Statements without what intervals show to be superfluous."""
    return useful(tuple(_Pass().block(divided(statements), Known({}))))


class _Pass:
    """Goes through statements in order, and knows at each what registers may be."""

    def __init__(self) -> None:
        self.looked = 0

    def block(self, statements: Sequence[Statement], known: Known) -> list[Statement]:
        found: list[Statement] = []
        for statement in statements:
            found += getattr(self, type(statement).__name__)(statement, known)
        self.looked += known.looked
        known.looked = 0
        return found

    # ---- statements, by the names of their types

    def Assign(self, s: Assign, known: Known) -> list[Statement]:
        pairs = [known.look(e) for e in s.values]
        for register, (_, interval) in zip(s.registers, pairs):
            known.set(register, interval)
        known.changed({register.number for register in s.registers})
        for register, e in zip(s.registers, s.values) if len(s.registers) == 1 else ():
            known.define(register, e)
        return [Assign(s.registers, tuple(e for e, _ in pairs))]

    def Store(self, s: Store, known: Known) -> list[Statement]:
        return [Store(s.array, tuple(map(known.index, s.index)), known.simplified(s.value))]

    def Check(self, s: Check, known: Known) -> list[Statement]:
        intervals = [known.interval(e) for e in s.indices]
        unclear = [
            k for k, (i, n) in enumerate(zip(intervals, s.extents)) if i is None or i[0] < -n or i[1] >= n
        ]
        indices = tuple(map(known.simplified, s.indices))
        for e, n in zip(s.indices, s.extents):
            if isinstance(e, Register) and n:
                known.set(e, meet(known.registers.get(e.number, full(e.dtype)), (-n, n - 1)))
        if not unclear:
            return []
        return [s._replace(indices=indices, unclear=tuple(unclear))]

    def Extend(self, s: Extend, known: Known) -> list[Statement]:
        return [s._replace(count=known.simplified(s.count))]

    def Choose(self, s: Choose, known: Known) -> list[Statement]:
        number, interval = known.look(s.number)
        if interval is not None and interval[0] == interval[1] and 0 <= interval[0] < len(s.branches):
            return self.block(s.branches[interval[0]], known)
        ends, blocks = [], []
        for branch in s.branches:
            inside = known.copy()
            blocks.append(tuple(self.block(branch, inside)))
            ends.append(inside.registers)
        known.changed({r.number for r in registers_in([s])})
        for register in registers_in([s]):
            intervals = [end[register.number] for end in ends if register.number in end]
            known.registers.pop(register.number, None)
            if len(intervals) == len(ends):
                known.registers[register.number] = (min(i[0] for i in intervals), max(i[1] for i in intervals))
        known.forget()
        return [Choose(number, tuple(blocks))]

    def Repeat(self, s: Repeat, known: Known) -> list[Statement]:
        length, steps = (None, None) if s.length is None else known.look(s.length)
        if steps is not None and steps[1] <= 0:
            nothing = constant(0, INT)
            return self.Assign(Assign((s.counter,), (nothing,)), known)
        most = None if steps is None or steps[1] >= full(INT)[1] else steps[1]
        s = s._replace(length=length)
        begin = {r.number: known.registers.get(r.number) for r in registers_in([s])}
        during = self.during(s, known, begin, most)
        inside = self.inside(s, known, during, most)
        test = tuple(self.block(s.test, inside))
        going = None if s.going is None else inside.simplified(s.going)
        self.refine(s, inside)
        body = tuple(self.block(s.body, inside))
        self.leave(s, known, begin, inside, most)
        expected = None if most is None or most >= TOO_MANY else most
        found = s._replace(test=test, going=going, body=body, sums=sums_of(s), most=expected)
        return [once(found) if adds_nothing(found) else found]

    # ---- loops

    def inside(self, s: Repeat, known: Known, during: dict[int, Interval | None], most: int | None) -> Known:
        """What is known at the beginning of a step."""
        inside = known.copy()
        for number, interval in during.items():
            inside.registers.pop(number, None)
            if interval is not None:
                inside.registers[number] = interval
        inside.registers[s.counter.number] = (0, full(INT)[1] if most is None else most - 1)
        inside.changed({r.number for r in registers_in([s])} | {s.counter.number})
        if s.length is not None:
            inside.look(s.length)
            inside.learn(s.counter, s.length, 1)
        return inside

    def refine(self, s: Repeat, inside: Known) -> None:
        """Add what the condition says to what is known in a step."""
        conditions = [s.going]
        while conditions:
            going = conditions.pop()
            if isinstance(going, Apply) and going.operation in ("logical_and", "bitwise_and") and going.dtype == BOOL:
                conditions += going.operands
            else:
                self.compare(going, inside)

    def compare(self, going: Expression | None, inside: Known) -> None:
        """Add what a comparison says."""
        if isinstance(going, Apply) and going.operation in ("less", "less_equal", "greater", "greater_equal"):
            x, y = going.operands
            strict = int(going.operation in ("less", "greater"))
            low, high = (x, y) if going.operation.startswith("less") else (y, x)
            below, above = inside.interval(low), inside.interval(high)
            if below is None or above is None:
                return
            if isinstance(low, Register):
                inside.set(low, meet(below, (below[0], above[1] - strict)))
            if isinstance(high, Register):
                inside.set(high, meet(above, (below[0] + strict, above[1])))
            inside.learn(low, high, strict)

    def during(
        self, s: Repeat, known: Known, begin: dict[int, Interval | None], most: int | None
    ) -> dict[int, Interval | None]:
        """The intervals of what a loop changes, at the beginning of any step."""
        regular = {}
        for r, step in strides(s).items():
            first = begin.get(r.number)
            if first is not None and most is not None:
                regular[r.number] = within(moved_by(first, step, max(most - 1, 0)), r)
        types = {r.number: r for r in registers_in([s])}
        anything = {n: regular.get(n) for n in begin}
        if self.looked > PATIENCE:
            return anything
        state = {n: regular.get(n, interval) for n, interval in begin.items()}
        for is_last in (False, True):
            after = self.after(s, known, state, most)
            new = {n: regular.get(n, joined(begin[n], after.get(n))) for n in begin}
            if all(covers(state[n], new[n]) for n in begin):
                return new
            if is_last:
                return anything
            state = {n: regular.get(n, widened(state[n], new[n], types[n])) for n in begin}
        return anything

    def after(
        self, s: Repeat, known: Known, state: dict[int, Interval | None], most: int | None
    ) -> dict[int, Interval]:
        """The intervals after a step."""
        inside = self.inside(s, known, state, most)
        self.block(s.test, inside)
        self.refine(s, inside)
        self.block(s.body, inside)
        return inside.registers

    def leave(
        self, s: Repeat, known: Known, begin: dict[int, Interval | None], inside: Known, most: int | None
    ) -> None:
        """What is known after a loop: what was before it, or what is after a step."""
        for number, first in begin.items():
            last = joined(first, inside.registers.get(number))
            known.registers.pop(number, None)
            if last is not None:
                known.registers[number] = last
        known.registers[s.counter.number] = (0, full(INT)[1] if most is None else most)
        known.changed({*begin, s.counter.number})
        known.forget()


def once(s: Repeat) -> Repeat:
    """A loop of one step, if it has any."""
    assert s.length is not None
    return s._replace(length=Apply("minimum", (s.length, constant(1, INT)), INT), most=1)


def adds_nothing(s: Repeat) -> bool:
    """Whether all that a loop does is to add zero, which needs to be done only once: it makes -0.0 of no number."""
    pairs = [pair for a in s.body if isinstance(a, Assign) for pair in zip(a.registers, a.values)]
    is_simple = s.length is not None and all(isinstance(a, Assign) for a in s.body)
    return is_simple and all(_adds_to(r, e) and _is_zero(e) for r, e in pairs)


def _is_zero(e: Expression) -> bool:
    """Whether an addition to a register is one of zero."""
    return isinstance(e, Apply) and any(isinstance(x, Constant) and x.number == 0 for x in e.operands)


def strides(s: Repeat) -> dict[Register, int]:
    """The registers that grow by the same number in each step, and that number."""
    found: dict[Register, int] = {}
    assigned = [r for inner in statements_in((*s.test, *s.body)) if isinstance(inner, Assign) for r in inner.registers]
    for statement in s.body:
        for r, e in zip(statement.registers, statement.values) if isinstance(statement, Assign) else ():
            if isinstance(e, Apply) and e.operation in ("add", "subtract") and assigned.count(r) == 1:
                x, y = e.operands
                if x == r and isinstance(y, Constant) and r.dtype.kind in "iu":
                    found[r] = int(y.number) if e.operation == "add" else -int(y.number)
    return found


def sums_of(s: Repeat) -> frozenset[int]:
    """The registers of a loop that only gather a sum of floats, or an extreme of them."""
    own = [e for inner in statements_in((*s.test, *s.body)) for e in roots(inner)]
    own += [] if s.going is None else [s.going]
    everything = [*own, *(x for e in expressions_in(own) for x in parts(e))]
    used = Counter(e.number for e in everything if isinstance(e, Register))
    read = Counter(map(id, everything))
    pairs = [pair for a in s.body if isinstance(a, Assign) for pair in zip(a.registers, a.values)]
    alone = [(r, e) for r, e in pairs if used[r.number] == read[id(e)] == 1]
    return frozenset(r.number for r, e in alone if _adds_to(r, e) or _is_extreme(r, e))


def addition(r: Register, e: Expression) -> Expression | None:
    """What an expression adds to a register."""
    if not isinstance(e, Apply) or e.operation != "add" or r not in e.operands:
        return None
    return e.operands[1 if e.operands[0] == r else 0]


def _is_extreme(r: Register, e: Expression) -> bool:
    """Whether an expression is an extreme of a register and something else."""
    return isinstance(e, Apply) and e.operation in EXTREMES and r.dtype.str[1:] in ("f4", "f8") and r in e.operands


def _adds_to(r: Register, e: Expression) -> bool:
    """Whether an expression is a register and something added to or subtracted from it."""
    if not isinstance(e, Apply) or r.dtype.str[1:] not in ("f4", "f8"):
        return False
    return (e.operation in ("add", "subtract") and e.operands[0] == r) or (e.operation == "add" and e.operands[1] == r)
