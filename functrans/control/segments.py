"""A reverse sweep as a program: loops that run the steps, forwards and backwards, in the order of a schedule.

The schedule is an array, so that the sweep is native where loops are. All states that are kept are rows of the same
arrays: allocated one by one, among segments of many lengths, they took twice the memory.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..core.avals import ShapedArray
from ..core.jaxpr import Jaxpr, eval_jaxpr, memoized
from ..core.primitive import Primitive
from ..core.staging import trace_closed
from ..core.trace import typeof
from ..primitives.dynamic_slice import dynamic_slice, dynamic_update_slice
from ..primitives.elementwise import add, maximum, minimum, negative, subtract
from ..primitives.foundation import convert, reshape, zeros
from ..primitives.python_numbers import python_number
from ..source import inherited_source
from .loop import partition
from .schedule import reversed_segments

#: Numbers of a schedule are as small as they may be: a long loop with few states has many of them.
NUMBER = np.dtype(np.int32)
#: Values of one kind.
Group = Sequence[Any]
INTEGER = ShapedArray((), np.dtype(np.int64))


class Schedule(NamedTuple):
    """A schedule as arrays with an element for each of its parts.

    Attributes:
        begins: the number of the step that it begins with.
        rows: the row of the state that this step begins with.
        steps: how many steps it has; negative where they are only run, to keep the state after them in the next row.
    """

    begins: Any
    rows: Any
    steps: Any


def schedule(length: int, slots: int) -> Schedule:
    """How to reverse so many steps with so many states kept."""
    parts: list[tuple[int, int, int]] = []

    def advance(row: int, begin: int, end: int) -> int:
        parts.append((begin, row, begin - end))
        return row + 1

    parts.extend((begin, row, end - begin) for begin, row, end in reversed_segments(advance, 0, length, slots))
    return Schedule(*np.array(parts, NUMBER).reshape(-1, 3).T.copy())


def rows_for(length: int, slots: int) -> int:
    """How many states there are: those that are kept, and that with which the last step of a segment begins."""
    return max(min(slots + 1, length), 1)


class Sweep(NamedTuple):
    """A reverse sweep.

    Attributes:
        step: `consts, state, x -> state`.
        pull: `consts, back, state, x, z -> back, y`.
        scan: the primitive of loops.
        avals: the types of consts, state, xs, back and zs.
        length: the number of steps, and of elements of xs, zs and ys.
        reverse: whether the forward direction starts at the last element.
    """

    step: Jaxpr
    pull: Jaxpr
    scan: Primitive
    avals: tuple[tuple[Any, ...], ...]
    length: int
    reverse: bool

    @property
    def types(self) -> list[Any]:
        """The types of all operands."""
        return [aval for group in self.avals for aval in group]

    def traced(self, program: Callable[..., list[Any]], types: Sequence[Any]) -> Jaxpr:
        """The jaxpr of a program, which stands where the step does in the user's code."""
        token = inherited_source.set(next((eqn.source for eqn in self.step.eqns), None))
        try:
            return trace_closed(program, types)
        finally:
            inherited_source.reset(token)

    def run(self, numbers: Schedule, count: Any, rows: int, operands: Sequence[Any]) -> list[Any]:
        """The results `back, y` for operands `consts, state, xs, back, zs`.

        Args:
            count: how many parts the schedule has.
            rows: how many states there are at a time.
        """
        consts, state, xs, back, zs, _ = partition(operands, list(map(len, self.avals)))
        rooms = [with_element(zeros(typeof(x).strong().with_lanes(rows)), 0, x) for x in state]
        ys = [zeros(aval.strong().with_lanes(self.length)) for aval in self.pull.out_avals[len(back) :]]
        if isinstance(count, int) and count == 0:
            return [*back, *ys]
        _, back, ys = self.loop(count, self.part, (numbers, consts, xs, zs), (rooms, back, ys))
        return [*back, *ys]

    def part(
        self, number: Any, columns: Group, consts: Group, xs: Group, zs: Group, rooms: Group, back: Group, ys: Group
    ) -> tuple[Group, Group, Group]:
        """A part of a schedule: some steps are only run, others are run and gone through backwards."""
        begin, row, steps = (convert(element(column, number), dtype=INTEGER.dtype) for column in columns)
        skipped, last = maximum(negative(steps), 0), maximum(subtract(steps, 1), 0)
        given = [begin, row], consts, xs

        state = [element(room, row) for room in rooms]
        (after,) = self.loop(skipped, self.advance, given, (state,))
        behind = add(row, minimum(skipped, 1))
        rooms = [with_element(room, behind, x) for room, x in zip(rooms, after)]
        _, rooms = self.loop(last, self.fill, given, (state, rooms))
        ends = [add(begin, last), add(row, last)]
        back, ys = self.loop(maximum(steps, 0), self.pull_back, (ends, consts, xs, zs, rooms), (back, ys))
        return rooms, back, ys

    def advance(self, number: Any, first: Group, consts: Group, xs: Group, state: Group) -> tuple[Group]:
        """The state after the next one of some steps."""
        elements = self.elements(xs, add(first[0], number))
        return (run_typed(self.step, *consts, *state, *elements),)

    def fill(
        self, number: Any, first: Group, consts: Group, xs: Group, state: Group, rooms: Group
    ) -> tuple[Group, Group]:
        """The same, and with it the states so far."""
        (after,) = self.advance(number, first, consts, xs, state)
        behind = add(add(first[1], number), 1)
        return after, [with_element(room, behind, x) for room, x in zip(rooms, after)]

    def pull_back(
        self, number: Any, last: Group, consts: Group, xs: Group, zs: Group, rooms: Group, back: Group, ys: Group
    ) -> tuple[Group, Group]:
        """What is carried backwards before another step, the ones from the last on, and the ys so far."""
        at, row = (subtract(x, number) for x in last)
        state = [element(room, row) for room in rooms]
        elements = self.elements([*xs, *zs], at)
        outs = run_typed(self.pull, *consts, *back, *state, *elements)
        found = [with_element(y, self.place(at), x) for y, x in zip(ys, outs[len(back) :])]
        return outs[: len(back)], found

    def elements(self, wholes: Group, step: Any) -> list[Any]:
        """What a step reads of arrays with an element for each step."""
        return [element(x, self.place(step)) for x in wholes]

    def place(self, step: Any) -> Any:
        return subtract(self.length - 1, step) if self.reverse else step

    def loop(
        self, count: Any, body: Callable[..., Sequence[Group]], fixed: Sequence[Group], carry: Sequence[Group]
    ) -> list[Group]:
        """What is carried after some steps of `number, fixed, carry -> carry`, by groups.

        Args:
            count: how many steps; a Python number, if that is known.
        """
        is_known = isinstance(count, int)
        values, state = ([x for group in groups for x in group] for groups in (fixed, carry))
        sizes = [*map(len, fixed), 1, *map(len, carry)]

        def flat(*args: Any) -> list[Any]:
            groups = partition(args, sizes)[:-1]
            (number,) = groups.pop(len(fixed))
            return [add(number, 1), *(x for group in body(number, *groups) for x in group)]

        types = [*map(typeof, values), INTEGER, *(typeof(x).strong() for x in state)]
        found = self.scan.bind(
            *([] if is_known else [count]), *values, 0, *state, body=trace_closed(flat, types), consts=len(values),
            carry=1 + len(state), length=count if is_known else None, reverse=False, slots=None, progress=None,
        )  # fmt: skip
        return partition(found[1:], sizes[len(fixed) + 1 :])[:-1]


def run_typed(jaxpr: Jaxpr, *args: Any) -> list[Any]:
    """The results of a program whose Python numbers have been elements of arrays, which made dtypes of them."""
    pairs = zip(args, jaxpr.in_avals, strict=True)
    return eval_jaxpr(jaxpr, *(python_number(x) if aval.weak and not typeof(x).weak else x for x, aval in pairs))


def element(x: Any, number: Any) -> Any:
    """An element of an array along its first axis."""
    shape = typeof(x).shape[1:]
    return reshape(dynamic_slice(x, number, *[0] * len(shape), sizes=(1, *shape)), shape=shape)


def with_element(x: Any, number: Any, value: Any) -> Any:
    """An array with another element along its first axis."""
    shape = typeof(x).shape[1:]
    return dynamic_update_slice(x, reshape(value, shape=(1, *shape)), number, *[0] * len(shape))


@memoized
def program_of_sweep(
    step: Jaxpr,
    pull: Jaxpr,
    scan: Primitive,
    avals: tuple[tuple[Any, ...], ...],
    length: int,
    reverse: bool,
    slots: int,
) -> Jaxpr:
    """The program `consts, state, xs, back, zs -> back, y` of a sweep with so many states kept."""
    sweep, numbers = Sweep(step, pull, scan, avals, length, reverse), schedule(length, slots)
    rows, parts = rows_for(length, slots), len(numbers.steps)
    return sweep.traced(lambda *args: sweep.run(numbers, parts, rows, args), sweep.types)


@memoized
def program_of_any_length(
    step: Jaxpr, pull: Jaxpr, scan: Primitive, avals: tuple[tuple[Any, ...], ...], parts: int, rows: int
) -> Jaxpr:
    """The program `count, begins, rows, steps, consts, state, back -> back` of sweeps over no arrays, by schedules with
    room for some parts, of which there are `count`."""
    sweep = Sweep(step, pull, scan, avals, 0, False)
    columns = [ShapedArray((parts,), NUMBER)] * 3
    return sweep.traced(
        lambda count, *args: sweep.run(Schedule(*args[:3]), count, rows, args[3:]), [INTEGER, *columns, *sweep.types]
    )
