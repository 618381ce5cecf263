"""The state of a loop from one step to the next, and arrays of it that change places instead of being copied.

Where a step computes an array of its state from other places of the same array (`y + a * y[::-1]`, a relaxation, a wave
of which two moments are kept), the new one is in memory of its own, and the next step works there. That is the same
statements with the arrays renamed; after a few steps everything is where it was. So the body is written once for each
of these arrangements, and a register says which one it is. Compilers see different arrays, which never overlap.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..dividing import FEWEST_STEPS, LARGEST_BODY, replaced_in
from ..loopnest import BOOL, INT, Apply, Constant, Expression, Load, Register, cast, constant, expressions_in
from ..recurrence import Assign, Choose, Statement, roots, statements_in
from .elements import Array, Buffer, is_at

#: A body is written at most so many times.
MOST_ARRANGEMENTS = 3
#: An array of the state, and what it is to become.
Pair = tuple[Array, Array]


def following(
    body: Any, state: Sequence[Any], outs: Sequence[Any], stays: Sequence[bool], own_room: int
) -> tuple[list[Expression], list[Pair]]:
    """Have arrays of a state in memory ready for the next step; what its numbers become, and the arrays that are left
    for `next_step`.

    Args:
        stays: which parts of the state are in memory.
        own_room: the number of the first array that belongs to the step.
    """
    values = [y if s else body.boxes(y) for y, s in zip(outs, stays)]
    numbers = [
        cast(b.expression, a.expression.dtype)
        for x, y, s in zip(state, values, stays)
        if not s
        for a, b in zip(x.flat, y.flat)
    ]
    pairs = [(x, y) for x, y, s in zip(state, values, stays) if s and not is_at(y, x.home)]
    places = moving(pairs, own_room) if body.is_alone and not body.sums else []
    body.bring([pair for pair in pairs if pair not in places])
    return numbers, places


def next_step(
    body: Any,
    pairs: Sequence[Pair],
    statements: list[Statement],
    numbers: Sequence[tuple[Any, Expression]],
    asked: Sequence[Expression],
    length: Expression | None,
) -> list[Statement]:
    """Have arrays change places or copied, and registers assigned; what is to be done after the loop.

    Args:
        statements: those of a step, to which these are added.
        numbers: registers, and what they become.
        asked: what is asked before each step.
        length: the number of steps, if it is known.
    """
    is_arranged = bool(pairs) and is_worth_it(pairs, statements, asked, length)
    with body.block() as last:
        if not is_arranged:
            body.bring(pairs)
        else:  # what counts steps stays where it can be seen
            numbers = [(r, e if r.dtype.kind in "iu" else body.kept_expression(e)) for r, e in numbers]
    statements += last
    finish = arrange(body, pairs, statements) if is_arranged else []
    with body.block() as last:
        body.assign([r for r, _ in numbers], [e for _, e in numbers])
    statements += last
    return finish


def arrange(body: Any, pairs: Sequence[Pair], statements: list[Statement]) -> list[Statement]:
    """Have arrays change places after each step; what brings them back after the loop."""
    ways, phase = arrangements(pairs), body.register(INT)
    body.assign([phase], [constant(0, INT)])
    statements[:] = arranged(statements, ways, phase)
    blocks: list[tuple[Statement, ...]] = []
    for way in ways:
        arrays = {x: body.buffers[way[x.home[0].number]] for x, _ in pairs}
        with body.block() as copies:
            body.bring([(x, Array.of(buffer)) for x, buffer in arrays.items() if buffer is not x.home[0]])
        blocks.append(tuple(copies))
    return [Choose(phase, tuple(blocks))]


def moving(pairs: Sequence[Pair], own_room: int) -> list[Pair]:
    """Those of some arrays that can change places with what they are to become."""
    found = [
        (x, y)
        for x, y in pairs
        if is_whole(x) and is_whole(y) and y.uses(y.home[0]) and are_alike(x.home[0], y.home[0])
    ]
    while True:
        targets, sources = {x.home[0] for x, _ in found}, [y.home[0] for _, y in found]
        kept = [
            pair
            for pair, source in zip(found, sources)
            if sources.count(source) == 1 and (source.number >= own_room or source in targets)
        ]
        if len(kept) == len(found):
            return kept
        found = kept


def is_whole(x: Array) -> bool:
    """Whether a value is, or was, all of a buffer that may be overwritten."""
    return isinstance(x, Array) and x.home is not None and not x.home[1] and not x.home[0].is_fixed


def are_alike(x: Buffer, y: Buffer) -> bool:
    return x.shape == y.shape and x.dtype == y.dtype and x is not y


def arrangements(pairs: Sequence[Pair]) -> list[dict[int, int]]:
    """Where arrays are after 0, 1, 2... steps, by their numbers, until they are back."""
    step = {x.home[0].number: y.home[0].number for x, y in pairs}
    for start in [k for k in step if k not in step.values()]:
        end = start
        while end in step:
            end = step[end]
        step[end] = start  # nobody needs what is there: it is room for the next step
    found = [{k: k for k in step}]
    while (after := {k: step[found[-1][k]] for k in step}) != found[0]:
        found.append(after)
    return found


def is_worth_it(
    pairs: Sequence[Pair], statements: Sequence[Statement], asked: Sequence[Expression], length: Expression | None
) -> bool:
    """Whether a step had better be written several times than copy arrays."""
    ways = arrangements(pairs)
    size = sum(1 for _ in expressions_in(e for s in statements_in(statements) for e in roots(s)))
    is_long = not isinstance(length, Constant) or length.number >= FEWEST_STEPS
    is_apart = not any(isinstance(e, Load) and e.operand in ways[0] for e in expressions_in(asked))
    return is_long and is_apart and len(ways) <= MOST_ARRANGEMENTS and size * (len(ways) - 1) <= LARGEST_BODY


def arranged(statements: Sequence[Statement], ways: Sequence[Mapping[int, int]], phase: Register) -> list[Statement]:
    """A step whose arrays change places after it."""
    last, one = constant(len(ways) - 1, INT), constant(1, INT)
    is_last = Apply("equal", (phase, last), BOOL)
    after = Apply("select", (is_last, constant(0, INT), Apply("add", (phase, one), INT)), INT)
    branches = tuple(tuple(replaced_in(s, {}, way) for s in statements) for way in ways)
    return [Choose(phase, branches), Assign((phase,), (after,))]
