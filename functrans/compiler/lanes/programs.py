"""The program of one lane: what a program over many lanes computes for each of them.

A function that was batched works on arrays with an axis for the lanes. Where no lane has to do with another one, that
axis can have extent one everywhere: that is the program of one lane. It is found equation by equation. Values are the
same for all lanes, or have lanes along an axis; what is the same and is needed with lanes, an array of zeros for one,
is computed so, and inputs turn out to have lanes where they are read so. So what is the same is not computed before it
is known how it is needed: only where an input has been needed as a whole already does the walk begin again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np

from ...core.avals import ShapedArray
from ...core.jaxpr import Atom, Eqn, Jaxpr, Literal, Var
from ...primitives.reductions import reduce_any
from .reading import Axes, axes_read
from .rules import KEEPING, RULES, NotLanewise, adapted_params

#: The axis of an array along which lanes lie; None: it is the same for all lanes.
Axis = int | None
#: Programs with more equations are not looked at, and none more often than so many times.
MOST_EQUATIONS, MOST_WALKS = 2000, 20


class OneLane(NamedTuple):
    """The program of one lane.

    Attributes:
        jaxpr: its inputs are parts of constants, and then those of the program with extent one along lanes.
        inputs, outputs: the axes of the lanes.
        constants: those of which each lane reads a part, and the axes of the lanes.
        stops_alone: whether a condition is that of the lane, and the loop over all lanes goes on as long as any does.
    """

    jaxpr: Jaxpr
    inputs: tuple[Axis, ...]
    outputs: tuple[Axis, ...]
    constants: tuple[tuple[Literal, int], ...]
    stops_alone: bool


class _Needed(Exception):
    """Inputs must have lanes, along axes by their numbers, that have been needed as a whole before."""

    def __init__(self, axes: Mapping[int, int]):
        super().__init__()
        self.axes = axes


T = TypeVar("T")


def _settled(
    axes: Sequence[Axis], start: Callable[[Sequence[Axis]], list[_Program]], end: Callable[[list[_Program]], T]
) -> tuple[T, Sequence[Axis]]:
    """What is made of programs of the same inputs once it is known which of these have lanes; and these axes.

    Args:
        axes: those that are known.
        start: makes programs that are to be run.
        end: makes something of them when they have been.

    Raises:
        NotLanewise: lanes have to do with each other.
    """
    for _ in range(MOST_WALKS):
        programs = start(axes)
        made, why, needed = None, None, {}
        try:
            for program in programs:
                program.run()
            made = end(programs)
        except _Needed as found:
            needed = found.axes
        except NotLanewise as reason:
            why = reason
        own = [program.axes_of_inputs() for program in programs]
        known = list(map(_agreed, axes, *own, [needed.get(number) for number in range(len(axes))]))
        if made is not None and all(each == known for each in own):
            return made, known
        if why is not None and known == axes:
            raise why
        axes = known
    raise NotLanewise("it would take long to find out which arrays have lanes")


def _agreed(*axes: Axis) -> Axis:
    """The only axis along which lanes may lie, if there is one."""
    found = {axis for axis in axes if axis is not None}
    if len(found) > 1:
        raise NotLanewise("an array has lanes along two axes")
    return found.pop() if found else None


def one_lane_of_loop(
    body: Jaxpr, first: int, carry: int, axes: Sequence[Axis], size: int, prepare: Callable[[Jaxpr], Jaxpr]
) -> OneLane:
    """The body of a loop for one lane.

    Args:
        first, carry: the number of the first input that is carried, and how many are.
        axes: those of the inputs, as far as they are known.
        size: the number of lanes.

    Raises:
        NotLanewise: lanes have to do with each other.
    """
    found, _ = _settled(
        list(axes),
        lambda known: [_Program(prepare(body), known, size, prepare)],
        lambda programs: programs[0].as_step(first, carry),
    )
    return found


def one_lane_of_cond(cond: Jaxpr, axes: Sequence[Axis], size: int, prepare: Callable[[Jaxpr], Jaxpr]) -> OneLane:
    """The condition of a loop for one lane, whose inputs are those of the body.

    Raises:
        NotLanewise: lanes have to do with each other, other than that the loop goes on as long as any lane does.
    """
    program = _Program(prepare(cond), list(axes), size, prepare, is_condition=True)
    try:
        program.run()
    except _Needed:
        raise NotLanewise("its condition is about lanes in another way than its body") from None
    if program.axis(program.jaxpr.outputs[0]) is not None:
        raise NotLanewise("its condition is not a number")
    return program.result([None])


class _Program:
    """Finds the program of one lane.

    Args:
        axes: those of the inputs.
        is_condition: whether what any lane says may be taken for what the lane says, as the last step.
    """

    def __init__(
        self,
        jaxpr: Jaxpr,
        axes: Sequence[Axis],
        size: int,
        prepare: Callable[[Jaxpr], Jaxpr],
        is_condition: bool = False,
    ):
        if len(jaxpr.eqns) > MOST_EQUATIONS:
            raise NotLanewise("its body is long")
        self.jaxpr = jaxpr
        self.size = size
        self.prepare = prepare
        self.is_condition = is_condition
        self.stops_alone = False
        self.numbers = {v: k for k, v in enumerate(jaxpr.inputs)}
        self.axes: dict[Var, int] = {v: axis for v, axis in zip(jaxpr.inputs, axes) if axis is not None}
        self.makers: dict[Var, Eqn] = {}
        self.waiting: dict[Atom, Eqn] = {}  # those that nobody has needed as a whole
        self.whole: set[Atom] = set()  # inputs that somebody has
        self.counts: set[Var] = set()  # how often inner loops ran, of which lanes know only their own part
        self.eqns: list[Eqn] = []
        self.constants: list[tuple[Literal, int, Var]] = []
        self.versions: dict[tuple[int, int], Atom] = {}  # by the id of an atom, and the axis of lanes
        self.asked: dict[tuple[Var, int], Axes | None] = {}  # by a result, and the axis of lanes in it
        for v, axis in self.axes.items():
            self.versions[id(v), axis] = Var(self.aval(v.aval, axis))

    def run(self) -> None:
        for eqn in self.jaxpr.eqns:
            if any(self.axis(a) is not None for a in eqn.inputs):
                self.equation(eqn)
                continue
            self.makers.update((v, eqn) for v in eqn.outputs)
            if len(eqn.outputs) == 1 and not eqn.primitive.has_effects(eqn.params):
                self.waiting[eqn.outputs[0]] = eqn
            else:
                self.compute(eqn)

    def as_step(self, first: int, carry: int) -> OneLane:
        """The program as one step of a loop, after which each carry has lanes along the axis that it had before."""
        before: list[Axis] = []
        while before != (before := self.axes_of_inputs()):
            own = before[first : first + carry]
            missing = {k: self.axis(self.jaxpr.outputs[k]) for k in range(carry) if own[k] is None}
            needed = {first + k: axis for k, axis in missing.items() if axis is not None}
            if needed:
                raise _Needed(needed)
            for a, axis in zip(self.jaxpr.outputs, own):
                if axis is not None:
                    self.with_lanes(a, axis)
        return self.result([*before[first : first + carry], *self.axes_of_outputs()[carry:]])

    def result(self, outputs: Sequence[Axis]) -> OneLane:
        """The program whose results have lanes along these axes."""
        atoms = [self.version(a, axis) for a, axis in zip(self.jaxpr.outputs, outputs)]
        inputs = [self.versions[id(v), self.axes[v]] if v in self.axes else v for v in self.jaxpr.inputs]
        variables: Any = [*(v for _, _, v in self.constants), *inputs]
        constants = tuple((literal, axis) for literal, axis, _ in self.constants)
        axes = tuple(self.axes_of_inputs())
        return OneLane(Jaxpr(variables, self.eqns, atoms), axes, tuple(outputs), constants, self.stops_alone)

    # ---- values

    def axis(self, atom: Atom) -> Axis:
        if atom in self.counts:
            raise NotLanewise("the number of steps that all lanes take together is needed")
        return self.axes.get(atom) if isinstance(atom, Var) else None

    def axes_of_inputs(self) -> list[Axis]:
        return list(map(self.axes.get, self.jaxpr.inputs))

    def axes_of_outputs(self) -> list[Axis]:
        return list(map(self.axis, self.jaxpr.outputs))

    def aval(self, aval: Any, axis: Axis) -> Any:
        """The type of one lane of an array."""
        if axis is None:
            return aval
        if not isinstance(aval, ShapedArray):
            raise NotLanewise("a tape is read by lane")
        if aval.shape[axis] != self.size:
            raise NotLanewise("an axis of another extent than the lanes is read by lane")
        return ShapedArray((*aval.shape[:axis], 1, *aval.shape[axis + 1 :]), aval.dtype)

    def version(self, atom: Atom, axis: Axis) -> Atom:
        """An atom with lanes along an axis, or one that is the same for all of them."""
        if axis is not None:
            return self.with_lanes(atom, axis)
        pending = [atom]
        while pending:
            eqn = self.waiting.get(pending[-1])
            before = [] if eqn is None else [a for a in eqn.inputs if a in self.waiting]
            if not before:
                self.take_whole(pending.pop())
            pending += before
        return atom

    def take_whole(self, atom: Atom) -> None:
        """Have a value computed that is the same for all lanes, as what it is made of has been."""
        if self.axis(atom) is not None:
            raise NotLanewise("what has lanes is needed as a whole")
        if atom in self.numbers:
            self.whole.add(atom)
        eqn = self.waiting.pop(atom, None)
        if eqn is not None:
            self.compute(eqn)

    def compute(self, eqn: Eqn) -> None:
        """Add an equation as it is."""
        for a in eqn.inputs:
            self.version(a, None)
        self.eqns.append(eqn)

    def with_lanes(self, atom: Atom, axis: int) -> Atom:
        """One lane of an atom."""
        pending = [(atom, axis)]
        while pending:
            a, own = pending[-1]
            before = [] if (id(a), own) in self.versions else self.read_by_lane(a, own)
            pending += before
            if not before:
                pending.pop()
                if (id(a), own) not in self.versions:
                    self.versions[id(a), own] = self.found(a, own)
        return self.versions[id(atom), axis]

    def read_by_lane(self, atom: Atom, axis: int) -> list[tuple[Atom, int]]:
        """What one lane of an atom is made of that is not known by lane yet."""
        eqn = self.makers.get(atom)
        if eqn is None or len(eqn.outputs) > 1 or atom in self.axes:
            return []
        read = self.axes_read(eqn, axis) or ({0: axis} if eqn.primitive.name in KEEPING else {})
        found = [(a, own) for k, a in enumerate(eqn.inputs) if (own := read.get(k)) is not None]
        return [(a, own) for a, own in found if a in self.makers and (id(a), own) not in self.versions]

    def found(self, atom: Atom, axis: int) -> Atom:
        aval = self.aval(atom.aval, axis)
        if isinstance(atom, Literal):
            values = np.asarray(atom.value)
            first = np.take(values, [0], axis)
            if values.strides[axis] == 0 or is_repeated(values, first):
                return Literal(first, aval)
            self.constants.append((atom, axis, Var(aval)))
            return self.constants[-1][2]
        if atom in self.axes:
            raise NotLanewise("an array has lanes along two axes")
        if atom in self.numbers:
            if atom in self.whole or self.is_condition:
                raise _Needed({self.numbers[atom]: axis})
            self.axes[atom] = axis
            return Var(aval)
        eqn = self.makers[atom]
        if len(eqn.outputs) > 1:
            raise NotLanewise(f"a result of `{eqn.primitive.name}` is needed by lane")
        found = self.attempt(eqn, axis)
        if found is None and eqn.primitive.name in KEEPING:
            return self.by_rule(eqn, axis)
        if found is None:
            raise NotLanewise(f"`{eqn.primitive.name}` is not the same in each lane")
        return found

    def by_rule(self, eqn: Eqn, axis: int) -> Atom:
        """The result of an equation without lanes, with lanes along an axis, which the first operand has as well."""
        first, result = Var(eqn.inputs[0].aval), Var(eqn.outputs[0].aval)
        self.name(first, axis, self.with_lanes(eqn.inputs[0], axis))
        RULES[eqn.primitive.name](self, eqn._replace(inputs=[first, *eqn.inputs[1:]], outputs=[result]))
        return self.with_lanes(result, axis)

    def axes_read(self, eqn: Eqn, axis: int) -> Axes | None:
        """What the element of the result of an equation reads; each is asked for once."""
        key = eqn.outputs[0], axis
        if key not in self.asked:
            self.asked[key] = axes_read(eqn, axis)
        return self.asked[key]

    # ---- equations

    def equation(self, eqn: Eqn) -> None:
        """Add an equation for one lane, some of whose operands have lanes."""
        if self.is_condition and eqn.primitive is reduce_any and eqn.outputs[0] is self.jaxpr.outputs[0]:
            self.any_lane(eqn)
            return
        name = eqn.primitive.name
        rule = PROGRAMS.get(name) or RULES.get(name)
        if rule is not None:
            rule(self, eqn)
            return
        if len(eqn.outputs) == 1:
            (v,) = eqn.outputs
            for axis in [axis for axis, n in enumerate(v.aval.shape) if n == self.size]:
                found = self.attempt(eqn, axis)
                if found is not None:
                    self.name(v, axis, found)
                    return
        raise NotLanewise(f"lanes have to do with each other in `{name}`")

    def any_lane(self, eqn: Eqn) -> None:
        """Whether the loop goes on: here, whether the lane does."""
        (x,) = eqn.inputs
        if x.aval.shape != (self.size,):
            raise NotLanewise("its condition is about more than one number of each lane")
        self.stops_alone = True
        self.eqns.append(eqn._replace(inputs=[self.with_lanes(x, 0)]))

    def name(self, v: Var, axis: int, found: Atom) -> None:
        """Note which variable is one lane of another."""
        self.axes[v] = axis
        self.versions[id(v), axis] = found

    def attempt(self, eqn: Eqn, axis: int) -> Atom | None:
        """The result of an equation for one lane, if lanes surely have nothing to do with each other in it."""
        read = self.axes_read(eqn, axis)
        if read is None or any(self.axis(a) not in (None, read.get(k)) for k, a in enumerate(eqn.inputs)):
            return None
        if any(self.axis(a) is not None and k not in read for k, a in enumerate(eqn.inputs)):
            return None
        inputs = [self.version(a, read.get(k)) for k, a in enumerate(eqn.inputs)]
        return self.add(eqn, axis, inputs, adapted_params(eqn, axis, read))

    def add(self, eqn: Eqn, axis: int, inputs: Sequence[Atom], params: Any) -> Var | None:
        """Add an equation with one result for one lane; None if its result is not what it should be."""
        aval = self.aval(eqn.outputs[0].aval, axis)
        (expected,) = eqn.primitive.abstract_eval(*[a.aval for a in inputs], **params)
        if expected.strong() != aval.strong():
            return None
        v = Var(aval)
        self.eqns.append(Eqn(eqn.primitive, list(inputs), params, [v], eqn.source))
        return v

    # ---- loops and branches

    def loop(self, eqn: Eqn) -> None:
        """A loop inside the program."""
        params, body, is_scan = eqn.params, eqn.params["body"], eqn.primitive.name == "scan"
        head = len(eqn.inputs) - len(body.inputs) if is_scan else 0
        first, carry = params["consts"], params["carry"]
        lengths = [self.version(a, None) for a in eqn.inputs[:head]]
        axes = [self.axis(a) for a in eqn.inputs[head:]]
        along = [False] * (first + carry) + [True] * (len(axes) - first - carry)
        if any(is_along and axis == 0 for axis, is_along in zip(axes, along)):
            raise NotLanewise("a loop goes from lane to lane")
        own = [axis if axis is None else axis - is_along for axis, is_along in zip(axes, along)]
        found = one_lane_of_loop(body, first, carry, own, self.size, self.prepare)
        inputs = [
            self.version(a, axis if axis is None else axis + is_along)
            for a, axis, is_along in zip(eqn.inputs[head:], found.inputs, along)
        ]
        params = {**params, "body": found.jaxpr, "consts": first + len(found.constants)}
        if not is_scan:
            params["cond"] = self.condition(eqn, found, first + carry)
        constants = [self.with_lanes(literal, axis) for literal, axis in found.constants]
        ways = [*found.outputs[:carry], *(axis if axis is None else axis + 1 for axis in found.outputs[carry:])]
        self.several(eqn, params, [*lengths, *constants, *inputs], ways if is_scan else [None, *ways])

    def condition(self, eqn: Eqn, body: OneLane, count: int) -> Jaxpr:
        """The condition of a loop inside the program."""
        found = one_lane_of_cond(eqn.params["cond"], body.inputs[:count], self.size, self.prepare)
        if found.constants:
            raise NotLanewise("its condition reads a constant by lane")
        if found.stops_alone:
            self.counts.add(eqn.outputs[0])
        unused = [Var(v.aval) for v in body.jaxpr.inputs[: len(body.constants)]]
        return Jaxpr([*unused, *found.jaxpr.inputs], found.jaxpr.eqns, found.jaxpr.outputs)

    def branch(self, eqn: Eqn) -> None:
        """A branch that is the same for all lanes."""
        index, *operands = eqn.inputs
        axes = list(map(self.axis, operands))
        (found, ways), axes = _settled(
            axes,
            lambda known: [_Program(self.prepare(b), known, self.size, self.prepare) for b in eqn.params["branches"]],
            _as_branches,
        )
        if any(own.constants for own in found):
            raise NotLanewise("a branch reads a constant by lane")
        inputs = [self.version(index, None), *map(self.version, operands, axes)]
        self.several(eqn, {**eqn.params, "branches": tuple(own.jaxpr for own in found)}, inputs, ways)

    def several(self, eqn: Eqn, params: Any, inputs: Sequence[Atom], axes: Sequence[Axis]) -> None:
        """Add an equation with any number of results for one lane."""
        outputs: list[Var] = []
        for v, axis in zip(eqn.outputs, axes, strict=True):
            if not isinstance(v.aval, ShapedArray):
                raise NotLanewise("a loop in it leaves a tape")
            outputs.append(v if axis is None else Var(self.aval(v.aval, axis)))
            if axis is None:
                self.makers[v] = eqn
            else:
                self.name(v, axis, outputs[-1])
        self.eqns.append(Eqn(eqn.primitive, list(inputs), params, outputs, eqn.source))


def _as_branches(programs: Sequence[_Program]) -> tuple[list[OneLane], list[Axis]]:
    """Programs with the same results, which have lanes where those of any of them do; and along which axes."""
    axes_of = zip(*(program.axes_of_outputs() for program in programs))
    ways = [next((a for a in own if a is not None), None) for own in axes_of]
    return [program.result(ways) for program in programs], ways


#: Equations that hold programs.
PROGRAMS: dict[str, Callable[[_Program, Eqn], None]] = {
    "scan": _Program.loop, "while_loop": _Program.loop, "cond": _Program.branch,
}  # fmt: skip


def is_repeated(values: np.ndarray[Any, Any], first: np.ndarray[Any, Any]) -> bool:
    """Whether an array is the same all along an axis, to the bit."""
    return values.tobytes() == np.broadcast_to(first, values.shape).tobytes()
