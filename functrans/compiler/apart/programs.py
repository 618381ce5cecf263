"""Taking loops apart: programs as statements over single numbers (compiler/recurrence.py).

Rules of primitives (`Primitive.lower`) are asked for every element of small arrays. Arrays that are large, or that are
indexed by numbers known only when the program runs, stay in memory, and what updates them writes where they are: an
array is copied first only if somebody needs it as it was. Loops and branches in a body become statements of it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from math import prod
from typing import Any, NamedTuple

from ...core.avals import ShapedArray, StackAval
from ...core.jaxpr import Atom, Eqn, Jaxpr, Literal, Var
from ..instructions import Column
from ..loopnest import INT, Affine, Apply, Constant, Expression, Load, Register, cast, constant
from ..places import Place
from ..recurrence import Assign, Choose, Recurrence, Repeat, Statement, Store, roots, statements_in
from .access import UPDATES
from .collector import counting
from .counting import steps_of
from .elements import (
    LARGEST_ARRAY,
    Array,
    Buffer,
    NoRows,
    Rows,
    TooLarge,
    added,
    at_value,
    boxed,
    is_at,
    protected,
    too_many,
)
from .equations import WORTH_STORING, Equations, moves_known_elements
from .exchange import following, next_step
from .stacks import OneOf, Tapes, Winding
from .triangles import has_masks, simplified
from .updates import LOOPS, addressed, reads_first, written


class PlacedLoop(NamedTuple):
    """A loop, and where all is that it works with.

    Attributes:
        body: from `consts, carry, x` to `carry, y`.
        cond: from `consts, carry` to whether there is one more step, where the length is not known.
        consts, carry, xs: the constants, the carry at the beginning, and what has one element for each step.
        finals, ys: the carry at the end, and what is computed in each step. The carry at the end may be where it was at
            the beginning. Of xs and ys that are stacks of stacks there are types only.
        count: where the number of steps goes, if that is wanted.
    """

    body: Jaxpr
    cond: Jaxpr | None
    consts: Sequence[Place]
    carry: Sequence[Place]
    xs: Sequence[Place | StackAval]
    finals: Sequence[Place]
    ys: Sequence[Place | StackAval]
    length: int | Place | None = None
    is_reverse: bool = False
    count: Place | None = None


class Apart(NamedTuple):
    """A loop taken apart.

    Attributes:
        arrays: for each array of the recurrence its place, or a constant, or the type of one that is room to work in.
        copied: places of the carry at the beginning and at the end that must be the same when the recurrence begins.
        registers: how many numbers of its state are in registers.
        given, left: the stacks of stacks among xs and among ys, each as the numbers of its arrays (`Rows.buffers`).
    """

    recurrence: Recurrence
    arrays: list[Place | Literal | ShapedArray | Column]
    copied: list[tuple[Place, Place]]
    registers: int
    given: tuple[tuple[int, ...], ...] = ()
    left: tuple[tuple[int, ...], ...] = ()


def take_apart(
    loop: PlacedLoop,
    prepare: Callable[[Jaxpr], Jaxpr],
    supports: Callable[[Expression], bool],
    known: Callable[[Place], Any],
    source: Any,
    taped: frozenset[int] = frozenset(),
    has_tapes: bool = False,
    is_alone: bool = False,
    is_zero: Callable[[Place], bool] | None = None,
) -> Apart:
    """A loop as a recurrence.

    Args:
        known: what is at a place, if that is a constant.
        source: the line of the user's code that the loop stands in.
        taped: slots of arrays that are entries of stacks: those go forwards, even if the loop does not.
        has_tapes: whether whoever runs it has memory for the stacks of loops inside.
        is_alone: whether it is not a lane of many, which share what is the same for all.
        is_zero: whether what is at a place is known to be 0.0 everywhere; None leaves matrices to kernels, whatever may
            be left out of them.

    Raises:
        TooLarge: there are parts that are not computed number by number.
    """
    indexed, first = addressed(loop.body, prepare), len(loop.consts)
    starts_at_zero = [is_zero is not None and first + i in indexed and is_zero(p) for i, p in enumerate(loop.carry)]
    has_triangles = is_zero is not None and (any(starts_at_zero) or has_masks(prepare(loop.body)))
    apart = _Body(prepare, supports, source, bool(indexed), bool(indexed) and has_triangles, has_tapes, is_alone)
    steps = apart.steps(loop.length)
    consts = [apart.given(p, known(p)) for p in loop.consts]
    stays = apart.addressed_carry(loop.body, first, len(loop.carry))
    begin = [
        Array.of(apart.buffer(final, False), may_write=True) if is_addressed else apart.boxes(apart.given(p, known(p)))
        for p, final, is_addressed in zip(loop.carry, loop.finals, stays)
    ]
    rows = [
        (counting(known(x)) or Array.of(apart.buffer(x, True)))
        if isinstance(x, Place)
        else apart.given_stack(x, constant(0, INT))
        for x in loop.xs
    ]
    targets = [Array.of(apart.buffer(y, False), may_write=True) if isinstance(y, Place) else None for y in loop.ys]
    for buffer, array in zip(apart.buffers, apart.arrays):
        buffer.is_taped = isinstance(array, Place) and array.slot in taped
    done, after, ys = apart.loop(
        loop.body, loop.cond, steps, loop.is_reverse, consts, begin, stays, rows, targets, bool(taped)
    )
    _deliver(apart, loop, stays, after, done)
    zeros = frozenset(apart.buffer(final, False).number for final, zero in zip(loop.finals, starts_at_zero) if zero)
    statements = simplified(apart.statements, apart.arrays, zeros, apart.sums)
    recurrence = Recurrence(statements, None if isinstance(loop.length, Place) else loop.length)
    copied = [(p, final) for p, final, is_addressed in zip(loop.carry, loop.finals, stays) if is_addressed]
    registers = sum(prod(p.shape) for p, is_addressed in zip(loop.carry, stays) if not is_addressed)
    given, left = (
        tuple(tuple(b.number for b in x.buffers) for x in group if isinstance(x, Rows)) for group in (rows, ys)
    )
    return Apart(recurrence, apart.arrays, copied, registers, given, left)


def _deliver(apart: _Body, loop: PlacedLoop, stays: Sequence[bool], after: Sequence[Any], done: Expression) -> None:
    """Add what puts the state at the end, and the number of steps, where they are to be.

    Args:
        stays: which parts of the state are there already.
        after: the state.
    """
    for value, final, is_addressed in zip(after, loop.finals, stays):
        if not is_addressed:
            apart.fill(Array.of(apart.buffer(final, False), may_write=True), value)
    if loop.count is not None:
        apart.statements.append(Store(apart.buffer(loop.count, False).number, (), done))
    if apart.ends:
        apart.statements.insert(0, Assign(tuple(apart.ends), (constant(0, INT),) * len(apart.ends)))


class _Body(Equations, Tapes):
    """Takes programs apart."""

    def __init__(
        self,
        prepare: Callable[[Jaxpr], Jaxpr],
        supports: Callable[[Expression], bool],
        source: Any,
        has_vectors: bool,
        has_triangles: bool,
        has_tapes: bool,
        is_alone: bool,
    ):
        super().__init__(supports, source, has_vectors, has_triangles, is_alone)
        self.has_tapes = has_tapes
        self.ends: list[Register] = []
        self.prepare = prepare

    def run(self, jaxpr: Jaxpr, inputs: Sequence[Any], rooms: Sequence[Array | None] = ()) -> list[Any]:
        """The results of a program.

        Args:
            rooms: for each result where it is to be in the end, if that is known; some are put there at once.
        """
        jaxpr = self.prepare(jaxpr)
        return _Program(self, jaxpr, inputs, rooms).run()

    def steps(self, length: int | Place | None) -> Expression | None:
        """The number of steps, if that is known when the loop begins."""
        if isinstance(length, Place):
            return self.kept_expression(Load(self.buffer(length, True).number, (), length.dtype))
        return None if length is None else constant(length, INT)

    def addressed_carry(self, body: Jaxpr, consts: int, carry: int) -> list[bool]:
        """Which parts of a loop's carry stay in memory: large ones, and those that are indexed as the program runs."""
        avals = [v.aval for v in body.inputs[consts : consts + carry]]
        if any(isinstance(aval, StackAval) for aval in avals):
            raise TooLarge("a stack is a part of its state")
        indexed = addressed(body, self.prepare)
        found = [aval.size > LARGEST_ARRAY or consts + i in indexed for i, aval in enumerate(avals)]
        size = sum(aval.size for aval, stays in zip(avals, found) if not stays)
        if size > LARGEST_ARRAY:
            raise TooLarge(too_many(f"its state has {size} elements"))
        return found

    def loop(
        self,
        body: Jaxpr,
        cond: Jaxpr | None,
        length: Expression | None,
        is_reverse: bool,
        consts: Sequence[Any],
        carry: Sequence[Any],
        stays: Sequence[bool],
        rows: Sequence[Any],
        targets: Sequence[Array | None],
        turns: bool = False,
    ) -> tuple[Expression, list[Any], list[Any]]:
        """Add a loop.

        Args:
            carry: what it begins with; what stays in memory may be overwritten.
            rows: what has one element for each step.
            targets: where what is computed in each step goes; None: to a tape.
            turns: whether some of these are entries of stacks that somebody moves.

        Returns:
            The number of steps, the carry at the end, and what was computed in each step.
        """
        state = [x if s else self.registers(x) for x, s in zip(carry, stays)]
        numbers = [b.expression for x, s in zip(state, stays) if not s for b in x.flat]
        self.assign(numbers, [b.expression for x, s in zip(carry, stays) if not s for b in x.flat])
        rows = [x if isinstance(x, Rows) else self.through_steps(x) for x in rows]
        counter = self.register(INT)
        winding = Winding(self) if None in targets else None
        inner, own_room = len(self.ends), len(self.buffers)
        with self.block() as test:
            shown = [*consts, *map(protected, state)]
            going = None if cond is None else self.boxes(self.run(cond, shown)[0])[()].expression
        with self.block() as statements:
            forwards = step = at_value(counter)
            if is_reverse and length is not None:
                step = added(at_value(length).plus(-1), step.times(-1))
            along = [forwards if turns and isinstance(x, Array) and x.is_taped else step for x in (*rows, *targets)]
            places = along[len(rows) :]
            rooms = [
                None if target is None else Array.of(target.home[0], (*target.home[1], own), may_write=True)
                for target, own in zip(targets, places)
            ]
            outs = self.run(body, [*consts, *state, *map(self.row, rows, along)], [*[None] * len(carry), *rooms])
            for y, aval, room, own in zip(outs[len(carry) :], body.out_avals[len(carry) :], rooms, places):
                self.leave(y, aval, room, own, winding)
            after, pairs = following(self, state, outs[: len(carry)], stays, own_room)
            statements[:0] = self.emptied(inner, [] if winding is None else winding.stacks)
        if length is None:
            length = steps_of(test, going, {r.number: e for r, e in zip(numbers, after)})
        length = None if length is None else self.kept_expression(length)
        if winding is not None and length is None:
            statements.insert(0, winding.room(Apply("add", (counter, constant(1, INT)), INT)))
        elif winding is not None:
            self.statements.append(winding.room(length))
        most = int(length.number) if isinstance(length, Constant) else None
        asked = [e for s in statements_in(test) for e in roots(s)] + ([] if going is None else [going])
        finish = next_step(self, pairs, statements, list(zip(numbers, after)), asked, length)
        repeated = Repeat(counter, length, tuple(test), going, tuple(statements), most=most, turns=turns)
        self.statements += [repeated, *finish]
        after = [self.renewed(x) if s else x for x, s in zip(state, stays)]
        done = counter if length is None else length
        stacks = iter([] if winding is None else winding.done(done))
        return done, after, [next(stacks) if target is None else self.renewed(target) for target in targets]

    def leave(self, y: Any, aval: Any, room: Array | None, step: Affine, winding: Winding | None) -> None:
        """Have what a step computes in the room for it, unless it is there already, or on the tape."""
        if room is None and winding is not None:
            winding.leave(y, aval, step)
        elif room is not None and not is_at(y, room.home):
            self.fill(room, y)

    def row(self, whole: Any, step: Affine) -> Any:
        """The element of a step."""
        if isinstance(whole, Rows):
            return self.entry(whole, step)
        aval = ShapedArray(whole.aval.shape[1:], whole.aval.dtype)
        return Array(aval, lambda index: whole.at((step, *index)), whole.reads)


class _Program:
    """Takes one program apart."""

    def __init__(self, body: _Body, jaxpr: Jaxpr, inputs: Sequence[Any], rooms: Sequence[Array | None]):
        self.body = body
        self.jaxpr = jaxpr
        self.env: dict[Var, Any] = dict(zip(jaxpr.inputs, inputs, strict=True))
        self.eqns = reads_first(jaxpr.eqns)
        self.last: dict[Atom, float] = {a: n for n, eqn in enumerate(self.eqns) for a in eqn.inputs}
        self.last.update((a, float("inf")) for a in jaxpr.outputs)
        self.uses = Counter(a for eqn in self.eqns for a in set(eqn.inputs))
        self.uses.update(jaxpr.outputs)
        self.destinations = {a: x for a, x in zip(jaxpr.outputs, rooms) if x is not None and self.uses[a] == 1}

    def run(self) -> list[Any]:
        for number, eqn in enumerate(self.eqns):
            may_leave_stacks = self.body.has_tapes and eqn.primitive.name in LEAVE_STACKS
            if not may_leave_stacks and any(not isinstance(v.aval, ShapedArray) for v in eqn.outputs):
                raise TooLarge(f"`{eqn.primitive.name}` makes something that is no array")
            outer, self.body.source = self.body.source, eqn.source or self.body.source
            results = self.equation(number, eqn)
            self.env.update((v, self.shared(v, y)) for v, y in zip(eqn.outputs, results))
            self.body.source = outer
        return [self.read(atom) for atom in self.jaxpr.outputs]

    def shared(self, var: Var, value: Any) -> Any:
        """A vector in memory, if it takes long to compute and several need it."""
        if not isinstance(value, Array) or value.home is not None or self.uses[var] < 2:
            return value
        return self.body.moved(value) if self.body.cost(value) > WORTH_STORING else value

    def read(self, atom: Atom) -> Any:
        return self.body.constant(atom) if isinstance(atom, Literal) else self.env[atom]

    def equation(self, number: int, eqn: Eqn) -> list[Any]:
        operands = [self.read(a) for a in eqn.inputs]
        rule = RULES.get(eqn.primitive.name)
        return self.body.equation(eqn, operands) if rule is None else rule(self, number, eqn, operands)

    def reading(self, number: int, eqn: Eqn, operands: list[Any]) -> list[Any]:
        """What is read of an array at indices; whoever comes later finds that in memory."""
        if isinstance(eqn.inputs[0], Var):
            operands[0] = self.env[eqn.inputs[0]] = self.body.addressable(operands[0], operands[1:])
        return self.body.equation(eqn, operands)

    def update(self, number: int, eqn: Eqn, operands: list[Any]) -> list[Any]:
        """An array with a part of it changed: where it is, if it is in memory, or the part is not known."""
        is_in_memory = isinstance(operands[0], Array) and operands[0].boxes is None
        if not is_in_memory and moves_known_elements(eqn, operands):
            return self.body.equation(eqn, operands)
        x = self.own(number, eqn, 0, operands)
        return [UPDATES[eqn.primitive.name](self.body, eqn, x, operands[1], operands[2:])]

    def own(self, number: int, eqn: Eqn, position: int, operands: Sequence[Any]) -> Array:
        """An operand as an array that may be overwritten: a copy, if somebody needs what it is now.

        Where that is less, what is needed of it is copied instead.
        """
        value = operands[position]
        if self.is_free(number, eqn, position, operands):
            return value
        needed = self.needed(number, value)
        if needed and value.may_write and sum(v.aval.size for v in needed) < value.aval.size:
            self.env.update((v, self.body.moved(self.env[v])) for v in needed)
        return value if self.is_free(number, eqn, position, operands) else self.body.moved(value)

    def needed(self, number: int, value: Any) -> list[Var]:
        """The variables needed after an equation that are computed from what is in memory for a value."""
        if not isinstance(value, Array) or value.home is None:
            return []
        later = [v for v, last in self.last.items() if last > number and isinstance(self.env.get(v), Array)]
        return [v for v in later if self.env[v].uses(value.home[0])]

    def is_free(self, number: int, eqn: Eqn, position: int, operands: Sequence[Any]) -> bool:
        """Whether nobody but one equation needs what is in memory for an operand of it."""
        value = operands[position]
        if not isinstance(value, Array) or value.home is None or not value.may_write:
            return False
        buffer = value.home[0]
        others = [x for k, x in enumerate(operands) if k != position] if eqn.primitive.holds_programs else []
        return not self.needed(number, value) and not any(isinstance(x, Array) and x.uses(buffer) for x in others)

    def loop(self, number: int, eqn: Eqn, operands: list[Any]) -> list[Any]:
        """The results of a loop: a number of steps, if it is not known beforehand, the carry, and what is stacked."""
        params, body = eqn.params, self.body
        if params["progress"] is not None:
            raise TooLarge("a loop in it shows its progress")
        is_scan = "cond" not in params
        head = len(operands) - len(params["body"].inputs)
        consts, carry = head + params["consts"], head + params["consts"] + params["carry"]
        stays = body.addressed_carry(params["body"], params["consts"], params["carry"])
        begin = [
            self.own(number, eqn, k, operands) if s else body.boxes(operands[k])
            for k, s in zip(range(consts, carry), stays)
        ]
        length = None
        if is_scan:
            steps = body.boxes(operands[0])[()].expression if head else constant(params["length"], INT)
            length = body.kept_expression(cast(steps, INT))
        stacked = [self.room(v) for v in eqn.outputs[params["carry"] + int(not is_scan) :]]
        done, after, ys = body.loop(
            params["body"], params.get("cond"), length, params.get("reverse", False),
            [protected(body.kept(x)) for x in operands[head:consts]], begin, stays, operands[carry:], stacked,
        )  # fmt: skip
        leading = [] if is_scan else [boxed((), lambda _: done)]
        return [*leading, *after, *ys]

    def room(self, var: Var) -> Array | None:
        """Where all steps of a loop's result go: where the program leaves it, if that is all; None: to a tape."""
        if not isinstance(var.aval, ShapedArray):
            return None
        return self.destinations.get(var) or self.body.scratch(var.aval)

    def branch(self, number: int, eqn: Eqn, operands: list[Any]) -> list[Any]:
        """The results of one of several programs."""
        body, branches = self.body, eqn.params["branches"]
        which = body.kept_expression(cast(body.boxes(operands[0])[()].expression, INT))
        changing = {k for branch in branches for k in written(branch, body.prepare)}
        inputs: list[Any] = []
        for k, x in enumerate(operands[1:], 1):
            is_free = self.is_free(number, eqn, k, operands)
            if k - 1 in changing and isinstance(x, Array) and x.boxes is None:
                inputs.append(x if is_free else body.moved(x))
            else:
                inputs.append(body.kept(x) if is_free else protected(body.kept(x)))
        blocks: list[tuple[Statement, ...]] = []
        results: list[Any] = []
        versions = {b: b.version for b in body.buffers}
        changed: set[Buffer] = set()
        for branch in branches:
            for buffer, version in versions.items():
                buffer.version = version
            with body.block() as statements:
                outs = body.run(branch, inputs)
                results = results or self.rooms(outs, [v.aval for v in eqn.outputs])
                self.deliver(outs, results)
            blocks.append(tuple(statements))
            changed.update(b for b, version in versions.items() if b.version != version)
        for buffer, version in versions.items():
            buffer.version = version
            if buffer in changed:
                buffer.change()
        body.statements.append(Choose(which, tuple(blocks)))
        results = [y.done() if isinstance(y, OneOf) else y for y in results]
        return [body.renewed(y) if isinstance(y, Array) else y for y in results]

    def rooms(self, outs: Sequence[Any], avals: Sequence[ShapedArray | StackAval]) -> list[Any]:
        """Where the results of branches go, by those of the first one."""
        found: list[Any] = []
        for value, aval in zip(outs, avals):
            if isinstance(aval, StackAval):
                found.append(OneOf(self.body))
            elif isinstance(value, Array) and value.home is not None and value.may_write:
                is_taken = any(isinstance(x, Array) and x.home == value.home for x in found)
                found.append(self.body.scratch(aval) if is_taken else value)
            elif isinstance(value, Array) and aval.size > LARGEST_ARRAY:
                found.append(self.body.scratch(aval))
            else:
                found.append(boxed(aval.shape, lambda _, t=aval.dtype: self.body.register(t)))
        return found

    def deliver(self, outs: Sequence[Any], results: Sequence[Any]) -> None:
        """Have results of a branch where they are to be."""
        body = self.body
        for x, y in zip(outs, results):
            if isinstance(y, OneOf):
                y.give(x)
        numbers = [(y, body.boxes(x)) for x, y in zip(outs, results) if not isinstance(y, (Array, OneOf))]
        body.bring([(y, x) for x, y in zip(outs, results) if isinstance(y, Array) and not is_at(x, y.home)])
        pairs = [(r.expression, e.expression) for y, x in numbers for r, e in zip(y.flat, x.flat)]
        body.assign([r for r, _ in pairs], [cast(e, r.dtype) for r, e in pairs])


#: The primitives whose results may be stacks.
LEAVE_STACKS = (*LOOPS, "cond", "empty_stack")
#: How equations are taken apart that hold programs, or read and change arrays in memory.
RULES: dict[str, Callable[[_Program, int, Eqn, list[Any]], list[Any]]] = {
    "scan": _Program.loop, "while_loop": _Program.loop, "cond": _Program.branch,
    "empty_stack": lambda *_: [NoRows()], "gather": _Program.reading, "dynamic_slice": _Program.reading,
    **dict.fromkeys(UPDATES, _Program.update),
}  # fmt: skip
