"""How long recurrences take: for Ctrl-C, and to tell what is worth vectors, threads and compiling well."""

from __future__ import annotations

from collections.abc import Sequence, Set

from ...costs import operation_cost
from ...instructions import RecurrenceRun
from ...loopnest import Apply, Constant, Expression, Load, Register, expressions_in, parts
from ...ranges import strides
from ...recurrence import EXTREMES, Assign, Choose, Repeat, Statement, inside, registers_in, roots, statements_in

#: A loop of at most so many operations in all is never interrupted.
SHORT = 1 << 16
#: The steps that a loop of unknown length is thought to have.
USUAL_STEPS = 1000
#: From this cost on an operation keeps others of its kind from beginning: a division, a root, a function. It counts as
#: so many times its cost among operations that a processor does at the same time.
SLOW, BLOCKING = 4, 4
#: So many operations at least, for each of the longest chain, are worth being put side by side in vectors.
WORTH_VECTORS = 8


def is_innermost(s: Repeat) -> bool:
    """Whether a loop has no loops inside."""
    return not any(isinstance(inner, Repeat) for inner in statements_in(s.body))


def is_short(s: Repeat) -> bool:
    """Whether a loop surely ends soon."""
    most = most_work([s])
    return most is not None and most <= SHORT


def most_work(statements: Sequence[Statement], seen: frozenset[int] = frozenset()) -> int | None:
    """The most operations that statements can come to; None if nobody knows.

    Args:
        seen: what has been computed before, by the id of the expression.
    """
    total, known = 0, set(seen)
    for s in statements:
        total += own_work(s, known)
        inner = [most_work(block, frozenset(known)) for block in inside(s)]
        if None in inner or (isinstance(s, Repeat) and s.most is None):
            return None
        if isinstance(s, Repeat):
            total += s.most * sum(inner)
        elif inner:
            total += max(inner)
    return total


def work_of(statements: Sequence[Statement], seen: frozenset[int] = frozenset()) -> int:
    """The operations of statements without those of loops that count themselves."""
    total, known = 0, set(seen)
    for s in statements:
        total += own_work(s, known)
        if isinstance(s, Choose):
            total += max(work_of(branch, frozenset(known)) for branch in s.branches)
        elif isinstance(s, Repeat) and isinstance(s.length, Constant) and is_short(s):
            total += int(s.length.number) * work_of(s.body, frozenset(known))
    return total


def own_work(s: Statement, known: set[int]) -> int:
    """The operations of a statement itself that have not been done; these are known then."""
    return 1 + sum(isinstance(e, (Apply, Load)) for e in expressions_in(roots(s), known))


def likely_work(
    statements: Sequence[Statement], usual_steps: int = USUAL_STEPS, seen: frozenset[int] = frozenset()
) -> int:
    """About how many operations statements come to.

    Args:
        usual_steps: those of a loop of unknown length. One inside another counts as one step: a product of guesses
            would be no guess.
        seen: what has been computed before, by the id of the expression.
    """
    total, known = 0, set(seen)
    for s in statements:
        total += own_work(s, known)
        steps = likely_steps(s, usual_steps) if isinstance(s, Repeat) else 1
        is_guess = isinstance(s, Repeat) and s.most is None and not isinstance(s.length, Constant)
        inside_steps = 1 if is_guess else usual_steps
        total += steps * sum(likely_work(block, inside_steps, frozenset(known)) for block in inside(s))
    return total


def likely_steps(s: Repeat, usual_steps: int) -> int:
    """About how many steps a loop has."""
    if isinstance(s.length, Constant):
        return int(s.length.number)
    return usual_steps if s.most is None else s.most // 2


def is_unbounded(run: RecurrenceRun) -> bool:
    """Whether nobody knows how long a recurrence takes."""
    return most_work(run.recurrence.statements) is None


def do_wait(statements: Sequence[Statement]) -> bool:
    """Whether the steps of loops take as long as their longest chains of operations, each of which waits for the one
    before and the first for the last step: there is time enough for the other operations meanwhile."""
    bodies = [(*s.test, *s.body) for s in statements_in(statements) if isinstance(s, Repeat)]
    chains = [(longest_chain(body), body) for body in bodies]
    return any(chain for chain, _ in chains) and all(
        work_at_once(body) < WORTH_VECTORS * chain for chain, body in chains if chain
    )


def longest_chain(body: Sequence[Statement]) -> int:
    """The cost of the longest chain of operations from a float of the step before to one of this step."""
    lengths = {register.number: 0 for register in registers_in(body) if register.dtype.kind in "fc"}
    _follow(body, lengths, {})
    return max(lengths.values(), default=0)


def _follow(statements: Sequence[Statement], lengths: dict[int, int], known: dict[int, int | None]) -> None:
    """Find the lengths of chains that end in registers, by their numbers, after some statements.

    Args:
        lengths: those before; what does not depend on the step before has none.
        known: those of expressions by their ids, None for what has none.
    """
    for s in statements:
        for e in expressions_in(roots(s)):
            if isinstance(e, Register) or id(e) not in known:
                known[id(e)] = _length(e, lengths, known)
        if isinstance(s, Assign):
            for register, value in zip(s.registers, s.values):
                lengths.pop(register.number, None)
                if known[id(value)] is not None:
                    lengths[register.number] = known[id(value)]
        ways = [dict(lengths) for _ in inside(s)]
        for block, way in zip(inside(s), ways):
            _follow(block, way, dict(known))
            lengths.update({number: max(length, lengths.get(number, 0)) for number, length in way.items()})


def _length(e: Expression, lengths: dict[int, int], known: dict[int, int | None]) -> int | None:
    if isinstance(e, Register):
        return lengths.get(e.number)
    before = [length for part in parts(e) if (length := known[id(part)]) is not None]
    return max(before) + (operation_cost(e) if isinstance(e, Apply) else 1) if before else None


def work_at_once(body: Sequence[Statement]) -> int:
    """The operations of a step, as a processor counts them that does several at a time; without loops inside."""
    own = [s for s in body if not isinstance(s, Repeat)]
    costs = [operation_cost(e) for e in expressions_in(e for s in own for e in roots(s)) if isinstance(e, Apply)]
    branches = [max(map(work_at_once, s.branches)) for s in own if isinstance(s, Choose)]
    return sum(BLOCKING * cost if cost >= SLOW else 1 for cost in costs) + sum(branches)


def gathered(s: Repeat, run: RecurrenceRun) -> frozenset[int]:
    """The registers of a loop whose terms are put together in any order: extremes only if LLVM makes vectors of it.

    Of one number after the other, a step waits less for an extreme in the program's order (`operations/reals.py`).
    """
    pairs = [pair for a in s.body if isinstance(a, Assign) for pair in zip(a.registers, a.values)]
    extremes = {r.number for r, e in pairs if isinstance(e, Apply) and e.operation in EXTREMES} & s.sums
    return s.sums - extremes if extremes and not is_for_vectors(s, run) else s.sums


def is_for_vectors(s: Repeat, run: RecurrenceRun) -> bool:
    """Whether a loop only gathers totals of what it reads in one place after the other."""
    if s.test or not all(isinstance(inner, Assign) for inner in s.body):
        return False
    own = {s.counter.number, *(r.number for r in registers_in(s.body))}
    growing = {r.number for r, step in strides(s).items() if step == 1}
    if not carried(s.body) <= growing | s.sums:
        return False
    loads = [e for e in expressions_in(e for a in s.body for e in a.values) if isinstance(e, Load)]
    return all(is_along_row(load, own, run.arrays[load.operand].strides) for load in loads)


def carried(body: Sequence[Assign]) -> set[int]:
    """The registers that have something from the step before when they are read."""
    found: set[int] = set()
    assigned: set[int] = set()
    for a in body:
        found |= {e.number for e in expressions_in(a.values) if isinstance(e, Register)} - assigned
        assigned |= {r.number for r in a.registers}
    return found & assigned


def is_along_row(load: Load, own: Set[int], strides: Sequence[int]) -> bool:
    """Whether an element lies one after that of the step before, if it is another one.

    Args:
        own: registers that differ from step to step.
    """
    moved = [
        (axis, factor)
        for axis, index in enumerate(load.index)
        for factor, term in index.terms
        if any(isinstance(e, Register) and e.number in own for e in expressions_in([term]))
    ]
    return not moved or (len(moved) == 1 and moved[0][1] * strides[moved[0][0]] == load.dtype.itemsize)
