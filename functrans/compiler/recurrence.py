"""Loops over single numbers as statements: what is in registers, what is read from and written to arrays, step by step.

A recurrence is a loop, with all loops and branches inside it, that runs as one function. Numbers are in registers,
arrays in memory where they are changed in place. `compiler/apart/` makes recurrences of programs, `ranges.py` leaves
out of them what is known; backends print them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from .accesses import FORMULAIC, is_argument
from .loopnest import INT, Affine, Apply, Constant, Expression, Index, Load, Register, constant, expressions_in, parts

#: Inner loops of at most so many steps have their length in the text, so that compilers can unroll them.
FEW_STEPS = 8
#: Operations of which one gathers an extreme.
EXTREMES = ("maximum", "minimum")


class Assign(NamedTuple):
    """Registers get new values, all at once."""

    registers: tuple[Register, ...]
    values: tuple[Expression, ...]


class Store(NamedTuple):
    """A number is written to memory: the number of the array, the index in it, and what is written."""

    array: int
    index: Index
    value: Expression


class Failure(NamedTuple):
    """What raises the error for indices out of bounds.

    Attributes:
        function: of the index arrays.
        shapes: of these.
        name: of the primitive.
        source: the line of the user's code.
    """

    function: Any
    shapes: tuple[tuple[int, ...], ...]
    name: str
    source: Any


class Check(NamedTuple):
    """All indices must lie in [-extent, extent) of their axes; otherwise the recurrence ends with a failure.

    Attributes:
        failure: what is said of all indices otherwise.
        unclear: the numbers of those that need a look; None: all.
    """

    indices: tuple[Expression, ...]
    extents: tuple[int, ...]
    failure: Failure
    unclear: tuple[int, ...] | None = None


class Repeat(NamedTuple):
    """A loop.

    Attributes:
        counter: the number of the step.
        length: the number of steps, known when the loop begins; None: `going` tells.
        test: what is done before `going` is asked.
        going: a boolean without which the loop ends; where there is a length, it holds in every step.
        sums: registers that only gather a sum of floats, whose terms may be added in any order, or an extreme of them.
        most: more steps than this are not to be expected; None: nobody knows.
        turns: whether somebody may move arrays before a step: the entries of stacks.
    """

    counter: Register
    length: Expression | None
    test: tuple[Statement, ...]
    going: Expression | None
    body: tuple[Statement, ...]
    sums: frozenset[int] = frozenset()
    most: int | None = None
    turns: bool = False


class Choose(NamedTuple):
    """One of several branches runs: the one with the number."""

    number: Expression
    branches: tuple[tuple[Statement, ...], ...]


class Extend(NamedTuple):
    """A tape gets memory for entries up to some number of them, if it has no more than for fewer.

    Attributes:
        tape: its number.
    """

    tape: int
    count: Expression


Statement = Assign | Store | Check | Repeat | Choose | Extend


class Lanes(NamedTuple):
    """That statements are those of one lane of many, which have nothing to do with each other.

    Attributes:
        number: the register that has the number of the lane.
        count: how many lanes there are.
        axes: for each array the axis along which lanes lie; None: all lanes share it.
        together: how many lanes run side by side, as long as rooms are (`instructions.Room`); None: whatever suits.
    """

    number: Register
    count: int
    axes: tuple[int | None, ...]
    together: int | None = None


class Recurrence(NamedTuple):
    """Statements over registers, and over arrays that whoever runs it has in memory.

    Attributes:
        length: the number of steps of the loop itself, if it is known.
        lanes: whether they are run for each of many lanes, in any order.
    """

    statements: tuple[Statement, ...]
    length: int | None
    lanes: Lanes | None = None


def inside(statement: Statement) -> Sequence[tuple[Statement, ...]]:
    """The blocks of statements that one holds."""
    if isinstance(statement, Repeat):
        return statement.test, statement.body
    return statement.branches if isinstance(statement, Choose) else ()


def roots(statement: Statement) -> Sequence[Expression]:
    """The expressions that a statement has itself."""
    if isinstance(statement, Assign):
        return statement.values
    if isinstance(statement, Store):
        return *(e for i in statement.index for _, e in i.terms), statement.value
    if isinstance(statement, Check):
        return statement.indices
    if isinstance(statement, Choose):
        return (statement.number,)
    if isinstance(statement, Extend):
        return (statement.count,)
    return [e for e in (statement.length, statement.going) if e is not None]


def statements_in(statements: Sequence[Statement]) -> Iterator[Statement]:
    """All statements, those inside others too."""
    for statement in statements:
        yield statement
        for block in inside(statement):
            yield from statements_in(block)


def arrays_in(statements: Sequence[Statement]) -> list[int]:
    """The numbers of the arrays that statements read or write."""
    everything = list(statements_in(statements))
    loads = (e for e in expressions_in(e for s in everything for e in roots(s)) if isinstance(e, Load))
    return sorted({*(e.operand for e in loads), *(s.array for s in everything if isinstance(s, Store))})


def failures_in(statements: Sequence[Statement]) -> list[Failure]:
    """What checks may say, in order."""
    failures = (s.failure for s in statements_in(statements) if isinstance(s, Check))
    return list({id(failure): failure for failure in failures}.values())


def registers_in(statements: Sequence[Statement]) -> list[Register]:
    """The registers that statements assign."""
    assigned = (r for s in statements_in(statements) if isinstance(s, Assign) for r in s.registers)
    return list(dict.fromkeys(assigned))


def every_register(statements: Sequence[Statement]) -> list[Register]:
    """The registers that are assigned, and those that count steps."""
    counters = [s.counter for s in statements_in(statements) if isinstance(s, Repeat)]
    return list(dict.fromkeys([*registers_in(statements), *counters]))


def numbers_of(statements: Sequence[Statement]) -> list[Constant]:
    """The integers that are arguments of the function, so that its text does not depend on sizes."""
    found: list[Constant] = []
    everything = list(statements_in(statements))
    for e in expressions_in(e for s in everything for e in roots(s)):
        if isinstance(e, Apply):
            found += [x for x in e.operands if isinstance(x, Constant) and x.dtype == INT and is_argument(e, x)]
        if isinstance(e, Load):
            found += [constant(i.offset, INT) for i in e.index if is_backwards(i)]
    for s in everything:
        if isinstance(s, Store):
            found += [constant(i.offset, INT) for i in s.index if is_backwards(i)]
        if isinstance(s, Repeat) and isinstance(s.length, Constant) and is_sized(s, statements):
            found.append(s.length)
        if isinstance(s, Check):
            found += [constant(n, INT) for n in s.extents if n not in FORMULAIC]
    return list(dict.fromkeys(found))


def is_backwards(index: Affine) -> bool:
    """Whether an index counts down, from what may well be a size."""
    return index.offset not in FORMULAIC and any(factor < 0 for factor, _ in index.terms)


def numbers_given(recurrence: Recurrence) -> list[Constant]:
    """The same for a recurrence: also how many lanes there are."""
    lanes, found = recurrence.lanes, numbers_of(recurrence.statements)
    return found if lanes is None else list(dict.fromkeys([*found, constant(lanes.count, INT)]))


def is_sized(s: Repeat, statements: Sequence[Statement]) -> bool:
    """Whether the known length of a loop is thought to be a size: that of an outermost loop always is."""
    return s.length.number > FEW_STEPS or any(s is outer for outer in statements)


def useful(statements: Sequence[Statement]) -> tuple[Statement, ...]:
    """Statements without registers that nobody reads, and without what does nothing then."""
    count, before = _size(statements), -1
    while count != before:
        own = [e for s in statements_in(statements) for e in roots(s)]
        read = {e.number for e in expressions_in(own) if isinstance(e, Register)}
        statements = _without(statements, read)
        count, before = _size(statements), count
    return tuple(statements)


def _size(statements: Sequence[Statement]) -> int:
    return sum(len(s.registers) if isinstance(s, Assign) else 1 for s in statements_in(statements))


def _without(statements: Sequence[Statement], read: set[int]) -> tuple[Statement, ...]:
    """Statements without the registers that are not among those read."""
    found: list[Statement] = []
    for s in statements:
        if isinstance(s, Assign):
            kept = [(r, e) for r, e in zip(s.registers, s.values) if r.number in read]
            found += [Assign(tuple(r for r, _ in kept), tuple(e for _, e in kept))] if kept else []
        elif isinstance(s, Repeat):
            s = s._replace(test=_without(s.test, read), body=_without(s.body, read))
            is_idle = s.length is not None and not s.turns and s.counter.number not in read
            found += [] if is_idle and not s.body else [s]
        elif isinstance(s, Choose):
            s = s._replace(branches=tuple(_without(branch, read) for branch in s.branches))
            found += [s] if any(s.branches) else []
        else:
            found.append(s)
    return tuple(found)


class ExpressionWriter:
    """What backends share that print recurrences: expressions are written operands first, each once."""

    def value(self, root: Expression, known: dict[int, str]) -> str:
        """The name of an expression, which is written if it has not been.

        Args:
            known: the names of those that have been, by id.
        """
        stack = [root]
        while stack:
            e = stack[-1]
            missing = [] if self.is_at_hand(e, known) else [x for x in parts(e) if not self.is_at_hand(x, known)]
            stack += missing
            if not missing:
                stack.pop()
                if not self.is_at_hand(e, known):
                    known[id(e)] = self.computed(e, known)
        return self.at_hand(root, known)

    def is_at_hand(self, e: Expression, known: dict[int, str]) -> bool:
        return isinstance(e, (Constant, Register)) or id(e) in known

    def at_hand(self, e: Expression, known: dict[int, str]) -> str:
        """The name of a constant, of a register, or of what has been written."""
        raise NotImplementedError

    def computed(self, e: Expression, known: dict[int, str]) -> str:
        """Write an expression whose operands have been; its name."""
        raise NotImplementedError
