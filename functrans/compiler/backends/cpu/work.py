"""How long recurrences take: for Ctrl-C, and to tell what is worth compiling well and sharing among threads."""

from __future__ import annotations

from collections.abc import Sequence

from ...instructions import RecurrenceRun
from ...loopnest import Apply, Constant, Load, expressions_in
from ...recurrence import Choose, Repeat, Statement, inside, roots, statements_in

#: A loop of at most so many operations in all is never interrupted.
SHORT = 1 << 16
#: The steps that a loop of unknown length is thought to have.
USUAL_STEPS = 1000


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
