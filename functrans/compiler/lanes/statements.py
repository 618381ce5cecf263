"""Statements of one lane as those of any lane: where its elements are, and what differs from lane to lane."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

from ..loopnest import (
    BOOL,
    Affine,
    Apply,
    Constant,
    Expression,
    Index,
    Load,
    Register,
    cast,
    constant,
    expressions_in,
)
from ..recurrence import (
    Assign,
    Check,
    Choose,
    Lanes,
    Repeat,
    Statement,
    Store,
    inside,
    registers_in,
    roots,
    statements_in,
)
from .rules import NotLanewise


def of_lanes(statements: Sequence[Statement], lane: Register, axes: Mapping[int, int]) -> tuple[Statement, ...]:
    """The statements for the lane that a register says.

    Args:
        axes: for arrays, by number, the axis along which lanes lie; that behind the last one is a new one.
    """
    own = Affine(0, (), ((1, lane),))

    def place(array: int, index: Index) -> Index:
        if array not in axes:
            return index
        axis = axes[array]
        return (*index[:axis], own, *index[axis + 1 :])

    return _Replacing(place).block(statements)


class _Replacing:
    """Gives statements other indices; expressions that are shared stay shared."""

    def __init__(self, place: Callable[[int, Index], Index]):
        self.place = place
        self.results: dict[int, Expression] = {}
        self.seen: set[int] = set()  # the ids of the same

    def block(self, statements: Sequence[Statement]) -> tuple[Statement, ...]:
        return tuple(map(self.statement, statements))

    def statement(self, s: Statement) -> Statement:
        if isinstance(s, Assign):
            return s._replace(values=tuple(map(self.new, s.values)))
        if isinstance(s, Store):
            return Store(s.array, self.place(s.array, tuple(map(self.index, s.index))), self.new(s.value))
        if isinstance(s, Check):
            return s._replace(indices=tuple(map(self.new, s.indices)))
        if isinstance(s, Choose):
            return Choose(self.new(s.number), tuple(map(self.block, s.branches)))
        length, going = (None if e is None else self.new(e) for e in (s.length, s.going))
        return s._replace(length=length, test=self.block(s.test), going=going, body=self.block(s.body))

    def index(self, index: Affine) -> Affine:
        return index._replace(terms=tuple((factor, self.new(e)) for factor, e in index.terms))

    def new(self, root: Expression) -> Expression:
        for e in expressions_in([root], self.seen):
            self.results[id(e)] = self.rebuilt(e)
        return self.results[id(root)]

    def rebuilt(self, e: Expression) -> Expression:
        if isinstance(e, Apply):
            return e._replace(operands=tuple(self.results[id(x)] for x in e.operands))
        if isinstance(e, Load):
            return e._replace(index=self.place(e.operand, tuple(map(self.index, e.index))))
        return e


def varying_registers(statements: Sequence[Statement], lanes: Lanes) -> set[int]:
    """The registers that may differ from lane to lane, by number."""
    found = {lanes.number.number}
    arrays = {k for k, axis in enumerate(lanes.axes) if axis is not None}
    count = 0
    while count != len(found):
        count = len(found)
        _find_varying(statements, found, arrays, False)
    return found


def _find_varying(statements: Sequence[Statement], found: set[int], arrays: Collection[int], always: bool) -> None:
    for s in statements:
        if isinstance(s, Assign):
            pairs = zip(s.registers, s.values)
            found.update(r.number for r, e in pairs if always or differs([e], found, arrays))
        elif isinstance(s, (Repeat, Choose)):
            differing = always or differs(roots(s), found, arrays)
            if differing and isinstance(s, Repeat):
                found.add(s.counter.number)
            for block in inside(s):
                _find_varying(block, found, arrays, differing)


def differs(roots: Sequence[Expression], varying: Collection[int], arrays: Collection[int]) -> bool:
    """Whether expressions may differ from lane to lane."""
    return any(
        (isinstance(e, Register) and e.number in varying) or (isinstance(e, Load) and e.operand in arrays)
        for e in expressions_in(roots)
    )


def check_lanes(statements: Sequence[Statement], lanes: Lanes, own: Collection[int]) -> None:
    """See whether lanes can run in any order and side by side.

    Args:
        own: the arrays that nobody else sees.

    Raises:
        NotLanewise: they cannot.
    """
    varying = varying_registers(statements, lanes)
    arrays = {k for k, axis in enumerate(lanes.axes) if axis is not None}
    everything = list(statements_in(statements))
    read = {e.operand for e in expressions_in(e for s in everything for e in roots(s)) if isinstance(e, Load)}
    for s in everything:
        if isinstance(s, Store) and s.array not in arrays and (s.array in read or differs(roots(s), varying, arrays)):
            raise NotLanewise("lanes write to the same array")
        if isinstance(s, Choose) and differs([s.number], varying, arrays):
            raise NotLanewise("lanes take different branches")
        stops_alone = isinstance(s, Repeat) and differs(roots(s), varying, arrays)
        if stops_alone:
            outside = _read_outside(statements, s)
            kept = {e.number for e in outside if isinstance(e, Register)}
            loaded = {e.operand for e in outside if isinstance(e, Load)}
            if not is_frozen(s, kept, set(own) - loaded):
                raise NotLanewise("lanes go on differently after others have stopped")


def _read_outside(statements: Sequence[Statement], loop: Repeat) -> list[Expression]:
    """The expressions outside a loop."""
    found: list[Expression] = []
    for s in statements:
        if s is not loop:
            found += expressions_in(roots(s))
            found += [e for block in inside(s) for e in _read_outside(block, loop)]
    return found


def is_frozen(s: Repeat, read: Collection[int], own: Collection[int]) -> bool:
    """Whether further steps leave everything as it is, once the condition has been false: then all lanes may run as
    long as any does, and each may stop on its own.

    Args:
        read: the registers that are read outside the loop.
        own: the arrays that are not.
    """
    if s.length is not None or not isinstance(s.going, Register) or s.test:
        return False
    stored = {inner.array for inner in statements_in(s.body) if isinstance(inner, Store)}
    if stored - set(own):
        return False
    values: dict[int, Expression] = {s.going.number: constant(False, BOOL)}
    for inner in s.body:
        if isinstance(inner, Assign):
            memo: dict[int, Expression] = {}
            after = [_folded(e, values, memo) for e in inner.values]
            values.update((r.number, e) for r, e in zip(inner.registers, after))
        else:
            values.update((r.number, Register(-1 - r.number, r.dtype)) for r in registers_in([inner]))
    kept = (_kept_registers(s) | set(read)) & {r.number for r in registers_in(s.body)}
    return all(isinstance(e := values[n], Register) and e.number == n for n in kept - {s.going.number}) and (
        values[s.going.number] == constant(False, BOOL)
    )


def _kept_registers(s: Repeat) -> set[int]:
    """The registers of a loop that are read before a step has given them a value: those that it keeps."""
    found: set[int] = set()
    given: set[int] = set()
    for inner in s.body:
        expressions = [e for part in statements_in([inner]) for e in roots(part)]
        found |= {e.number for e in expressions_in(expressions) if isinstance(e, Register)} - given
        given |= {r.number for r in inner.registers} if isinstance(inner, Assign) else set()
    return found


def _folded(root: Expression, values: Mapping[int, Expression], memo: dict[int, Expression]) -> Expression:
    """What an expression comes to where registers have these values."""
    for e in expressions_in([root]):
        if id(e) not in memo:
            memo[id(e)] = _folded_once(e, values, memo)
    return memo[id(root)]


def _folded_once(e: Expression, values: Mapping[int, Expression], memo: Mapping[int, Expression]) -> Expression:
    if isinstance(e, Register):
        return values.get(e.number, e)
    if not isinstance(e, Apply):
        return e
    operands = tuple(memo[id(x)] for x in e.operands)
    known = [x.number if isinstance(x, Constant) else None for x in operands]
    if e.operation == "select" and known[0] is not None:
        return operands[1 if known[0] else 2]
    if e.operation in ("bitwise_and", "logical_and") and e.dtype == BOOL and False in known:
        return constant(False, BOOL)
    if e.operation == "convert" and known[0] is not None:
        return cast(operands[0], e.dtype)
    if e.operation == "add" and e.dtype.kind in "iu":
        for x, number in zip(operands, reversed(known)):
            if number == 0:
                return x
    return e._replace(operands=operands)
