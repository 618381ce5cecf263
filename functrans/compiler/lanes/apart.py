"""Loops over many lanes taken apart: the recurrence of one lane, and where the elements of all lanes are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from ...core.avals import ShapedArray
from ...core.jaxpr import Jaxpr, Literal, Var
from ..apart import Apart, PlacedLoop, TooLarge, take_apart
from ..loopnest import INT, Apply, Register, expressions_in
from ..overlap import do_overlap
from ..places import Place
from ..recurrence import Lanes, Recurrence, Repeat, Statement, Store, registers_in, roots, statements_in
from .programs import Axis, OneLane, one_lane_of_cond, one_lane_of_loop
from .rules import NotLanewise
from .statements import check_lanes, of_lanes

#: Fewer lanes are not worth it.
FEWEST_LANES = 16


#: What one lane does in a step is written out, in so many operations at most: time to compile grows with them.
MOST_OPERATIONS = 1000


class LanesApart(NamedTuple):
    """A loop over many lanes taken apart.

    Attributes:
        apart: the recurrence of any lane, and the arrays of all.
        delivered: places of what all lanes share, and where that is to be afterwards.
        counts: the steps that each lane took, the most of which are wanted.
    """

    apart: Apart
    delivered: list[tuple[Place, Place]]
    counts: Place | None


def take_lanes_apart(assembler: Any, loop: PlacedLoop, known: Any) -> LanesApart | str:
    """A loop as the recurrence of one of its lanes, or why it is not, as a clause, which is empty if it has no lanes.

    Args:
        known: that of `take_apart`.
    """
    why = ""
    for size, axes in candidates(loop.body, len(loop.consts), len(loop.carry)):
        try:
            found = _LanesOfLoop(assembler, loop, size, axes).taken_apart(known)
        except (NotLanewise, TooLarge) as reason:
            why = why or str(reason)
            continue
        statements = found.apart.recurrence.statements
        if operations_of(statements) <= MOST_OPERATIONS:
            return found
        why = "there is much to do for each"
    return why


def operations_of(statements: Sequence[Statement]) -> int:
    """How many operations are written out."""
    everything = expressions_in(e for s in statements_in(statements) for e in roots(s))
    return sum(isinstance(e, Apply) for e in everything)


def candidates(body: Jaxpr, first: int, carry: int) -> Iterator[tuple[int, list[Axis]]]:
    """Numbers of lanes that a loop may have, and which inputs have lanes along which axes then: batches come first."""
    shapes = [v.aval.shape for v in body.inputs[first : first + carry]]
    seen: list[tuple[int, list[Axis]]] = []
    for position in (0, -1):
        for size in sorted({shape[position] for shape in shapes if shape}, reverse=True):
            if size >= FEWEST_LANES:
                own = [position % len(s) if s and s[position] == size else None for s in shapes]
                if (size, own) not in seen:
                    seen.append((size, own))
                    yield size, [*[None] * first, *own, *[None] * (len(body.inputs) - first - carry)]


class _LanesOfLoop:
    """A loop of so many lanes.

    Args:
        axes: the axes of lanes that are known.
    """

    def __init__(self, assembler: Any, loop: PlacedLoop, size: int, axes: Sequence[Axis]):
        self.assembler = assembler
        self.loop = loop
        self.size = size
        self.first, self.carry = len(loop.consts), len(loop.carry)
        self.prepare = lambda jaxpr: assembler.fused(jaxpr).jaxpr
        self.body = one_lane_of_loop(loop.body, self.first, self.carry, axes, size, self.prepare)
        self.cond = None if loop.cond is None else self.condition(loop.cond)
        self.wholes: dict[Place, tuple[Place, Axis]] = {}  # by the part of one lane

    def condition(self, cond: Jaxpr) -> OneLane:
        found = one_lane_of_cond(cond, self.body.inputs[: self.first + self.carry], self.size, self.prepare)
        if found.constants:
            raise NotLanewise("its condition reads a constant by lane")
        unused = [Var(v.aval) for v in self.body.jaxpr.inputs[: len(self.body.constants)]]
        jaxpr = Jaxpr([*unused, *found.jaxpr.inputs], found.jaxpr.eqns, found.jaxpr.outputs)
        return found._replace(jaxpr=jaxpr)

    def part(self, whole: Place, axis: Axis) -> Place:
        """The part of an array that one lane has."""
        part = whole
        if axis is not None:
            part = whole._replace(shape=(*whole.shape[:axis], 1, *whole.shape[axis + 1 :]))
        self.wholes[part] = whole, axis
        return part

    def taken_apart(self, known: Any) -> LanesApart:
        assembler, loop, own, split = self.assembler, self.loop, self.body.inputs, self.first + self.carry
        constants = [self.part(assembler.constant(literal), axis) for literal, axis in self.body.constants]
        consts = [*constants, *map(self.part, loop.consts, own)]
        carry = list(map(self.part, loop.carry, own[self.first :]))
        xs = list(map(self.part, loop.xs, map(behind_steps, own[split:])))
        targets, delivered = self.targets(loop.finals, [*loop.consts, *loop.carry, *loop.xs])
        finals = list(map(self.part, targets, self.body.outputs))
        ys = list(map(self.part, loop.ys, map(behind_steps, self.body.outputs[self.carry :])))
        counts, count = None, loop.count
        if count is not None:
            counts = assembler.contiguous("temporary", ShapedArray((self.size,), INT))
            count = counts._replace(shape=(), strides=())
            self.wholes[count] = counts, 0
        cond = None if self.cond is None else self.cond.jaxpr
        one = PlacedLoop(self.body.jaxpr, cond, consts, carry, xs, finals, ys, loop.length, loop.is_reverse, count)
        found = take_apart(one, self.prepare, assembler.supports, known, assembler.source)
        return LanesApart(self.apart(found), delivered, counts)

    def targets(self, finals: Sequence[Place], read: Sequence[Place]) -> tuple[list[Place], list[tuple[Place, Place]]]:
        """Where the carry goes: what all lanes share is not to be where one of them still reads."""
        targets: list[Place] = []
        delivered: list[tuple[Place, Place]] = []
        for final, axis in zip(finals, self.body.outputs):
            target = final
            if axis is None and any(do_overlap(final, place) for place in read):
                target = self.assembler.contiguous("temporary", ShapedArray(final.shape, final.dtype))
                delivered.append((target, final))
            targets.append(target)
        return targets, delivered

    def apart(self, found: Apart) -> Apart:
        """The recurrence of any lane."""
        arrays: list[Any] = []
        axes: list[Axis] = []
        for array in found.arrays:
            whole, axis = self.whole(array)
            arrays.append(whole)
            axes.append(axis)
        statements = found.recurrence.statements
        numbers = [r.number for r in registers_in(statements)]
        numbers += [s.counter.number for s in statements_in(statements) if isinstance(s, Repeat)]
        lanes = Lanes(Register(max(numbers, default=-1) + 1, INT), self.size, tuple(axes))
        placed = {k: axis for k, axis in enumerate(axes) if axis is not None}
        statements = of_lanes(statements, lanes.number, placed)
        check_lanes(statements, lanes, {k for k, array in enumerate(arrays) if isinstance(array, ShapedArray)})
        check_places(arrays, axes, statements)
        copied = [(self.wholes[x][0], self.wholes[y][0]) for x, y in found.copied]
        recurrence = Recurrence(statements, found.recurrence.length, lanes)
        return Apart(recurrence, arrays, copied, found.registers)

    def whole(self, array: Any) -> tuple[Any, Axis]:
        """An array of all lanes, and the axis along which they lie."""
        if isinstance(array, Place):
            return self.wholes.get(array, (array, None))
        if isinstance(array, Literal):
            return array, None
        return ShapedArray((*array.shape, self.size), array.dtype), len(array.shape)


def behind_steps(axis: Axis) -> Axis:
    """An axis of an element as one of an array with an element for each step."""
    return axis if axis is None else axis + 1


def check_places(arrays: Sequence[Any], axes: Sequence[Axis], statements: Any) -> None:
    """See whether what one lane writes is nothing that another one reads.

    Raises:
        NotLanewise: it may be.
    """
    written = {s.array for s in statements_in(statements) if isinstance(s, Store)}
    places = [(k, x) for k, x in enumerate(arrays) if isinstance(x, Place)]
    for k, x in places:
        for j, y in places if k in written else ():
            is_own = x == y and axes[k] == axes[j] is not None
            if j != k and not is_own and do_overlap(x, y):
                raise NotLanewise("lanes write where others read")
