"""Plans: what fusion decided of one program, for all programs that are alike but for sizes.

A second shape is traced and simplified anew, but which equations share a kernel was decided before. Programs have the
same outline if they have the same primitives on the same operands, with the same dtypes, where shapes are equal in the
one as in the other, small extents are the same, and all else is that rules look at (`Primitive.lowering_key`). What
fusion decides by comparing other sizes is noted with the plan, and compared again before it is used. So the kernels are
those that fusing anew would make; and what was derived from them (`loopnest.derived`) need not be again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from math import prod
from typing import Any, NamedTuple

from ..core.avals import ShapedArray
from ..core.jaxpr import Atom, Eqn, Jaxpr, Literal, Var
from ..core.primitive import Primitive
from .accesses import take_over
from .loopnest import (
    Affine,
    Apply,
    Constant,
    Expression,
    Kernel,
    Load,
    Output,
    Position,
    all_replaced,
    constant,
    kernel_over,
    parts,
)
from .unrolling import FEW, TINY

#: An extent of a program: which one of what atom, by its number; or a number.
Extent = tuple[int, int] | int

#: Extents up to this one are part of an outline: it counts how few elements there are along an axis.
SMALL = max(FEW, TINY)
#: How long the keys of the plans are together that are kept; an equation makes five to ten parts.
MOST_PARTS = 1 << 18
#: A kernel is kept with so many sets of constants at most.
MOST_MADE = 64


class KernelStep(NamedTuple):
    """Run a kernel; where its outputs go.

    Attributes:
        sources: the atoms of the jaxpr that are the operands of the kernel, which calls them by numbers.
        equations: those that it computes.
        again: those of other kernels, or that only move elements, which it computes where it needs them.
        checked: those whose operands are to be checked before (`Primitive.checked_operands`).
    """

    kernel: Kernel
    sources: tuple[Atom, ...]
    outputs: tuple[Var, ...]
    equations: tuple[Eqn, ...] = ()
    again: tuple[Eqn, ...] = ()
    checked: tuple[Eqn, ...] = ()

    def reads(self) -> list[tuple[Atom, Load]]:
        """What the kernel reads: each load, and the atom that it reads of."""
        atoms = dict(zip(self.kernel.operands, self.sources))
        return [(atoms[load.operand], load) for load in self.kernel.loads()]


class Outline:
    """What fusion sees of a program.

    Attributes:
        key: equal for programs of which fusion decides alike, but for what it weighs.
        numbers: those of all variables and literals, by which kernels call them.
        literals: those among them; filled: variables that are arrays of one number, and that.
        shapes: a number for each shape.
    """

    def __init__(self, jaxpr: Jaxpr, supports: Callable[[Expression], bool]):
        self.jaxpr = jaxpr
        self.numbers: dict[Atom, int] = {}
        self.literals: list[Literal] = []
        self.filled: list[tuple[Var, Any]] = []
        self.shapes: dict[tuple[int, ...], int] = {}
        self._types: dict[Any, Any] = {}
        key: list[Any] = [supports]
        for var in jaxpr.inputs:
            self.define(var, key)
        for eqn in jaxpr.eqns:
            self.add(eqn, key)
        for atom in jaxpr.outputs:
            self.use(atom, key)
        self.key = tuple(key)

    def add(self, eqn: Eqn, key: list[Any]) -> None:
        """Describe an equation; of one that is a step of its own, whatever it does, its operands and results."""
        primitive, inputs, params, outputs, _ = eqn
        if primitive.fills:
            key.append(primitive)
            self.filled.append((outputs[0], params["value"]))
        elif len(outputs) == 1 and may_be_lowered(primitive):
            avals = [a.aval for a in inputs]
            key += (primitive, primitive.lowering_key(avals, params))
            if not primitive.lowers_by_dtype:
                key.append(pattern((*avals, outputs[0].aval)))
        else:
            key.append(None)
        for atom in inputs:
            self.use(atom, key)
        for var in outputs:
            self.define(var, key)

    def use(self, atom: Atom, key: list[Any]) -> None:
        number = self.numbers.get(atom)
        if number is None:  # a literal
            number = len(self.numbers)
            self.literals.append(atom)
            self.define(atom, key)
        key.append(number)

    def define(self, atom: Atom, key: list[Any]) -> None:
        self.numbers[atom] = len(self.numbers)
        aval = atom.aval
        found = self._types.get(aval)
        if found is None:
            found = self._types[aval] = self.type_of(aval)
        key.append(found)

    def type_of(self, aval: Any) -> Any:
        """A type with the number of its shape, and its small extents, in the place of that."""
        if type(aval) is not ShapedArray:
            return type(aval)
        number = self.shapes.setdefault(aval.shape, len(self.shapes))
        return aval.dtype.num, aval.weak, number, *[n if n <= SMALL else -1 for n in aval.shape]


def extents(wanted: Sequence[Extent], atoms: Sequence[Any]) -> tuple[int, ...]:
    """The numbers that extents are, given the atoms of a program."""
    return tuple([n if type(n) is int else atoms[n[0]].aval.shape[n[1]] for n in wanted])


def pattern(avals: Sequence[Any]) -> tuple[int, ...]:
    """Which extents of some arrays are equal, and what small ones are."""
    seen: dict[int, int] = {}
    shapes = [aval.shape for aval in avals if type(aval) is ShapedArray]
    return tuple([n if n <= SMALL else -1 - seen.setdefault(n, len(seen)) for shape in shapes for n in shape])


def may_be_lowered(primitive: Primitive) -> bool:
    """Whether a primitive has a rule for kernels."""
    kind = type(primitive)
    return kind.lower is not Primitive.lower or kind.lower_reduction is not Primitive.lower_reduction


class Weighed(NamedTuple):
    """Whether so many points are no more than a value, by its number, has elements; and the answer."""

    points: tuple[Extent, ...]
    value: int
    answer: bool


class CommonKernel:
    """A kernel as steps have it in common that differ in what they read and in numbers.

    Args:
        kernel: it calls what it reads as one of those steps does, scalar constants too.
        literals: which of its operands are scalar constants.
    """

    def __init__(self, kernel: Kernel, literals: tuple[int, ...]):
        self.kernel = kernel
        self.literals = literals
        self.made: dict[tuple[Constant, ...], tuple[Kernel, Sequence[int]]] = {}

    def with_constants(self, constants: tuple[Constant, ...]) -> tuple[Kernel, Sequence[int]]:
        """The kernel with these in the place of the literals, and which of the operands it still has."""
        found = self.made.get(constants)
        if found is None:
            kernel = self.made_with(constants) if constants else self.kernel
            for other, _ in self.made.values():
                take_over(kernel, other)
                break
            if len(self.made) >= MOST_MADE:
                self.made.clear()
            places = {operand: k for k, operand in enumerate(self.kernel.operands)}
            found = self.made[constants] = kernel, [places[operand] for operand in kernel.operands]
        return found

    def made_with(self, constants: tuple[Constant, ...]) -> Kernel:
        """The kernel with constants in the place of loads of them."""
        named = {self.kernel.operands[k]: constant for k, constant in zip(self.literals, constants)}
        others = {id(e): e for e in self.kernel.expressions()}
        found = all_replaced(self.with_literals, lambda load: named.get(load.operand, load), others)
        outputs = [Output(found[id(output.expression)], output.combine) for output in self.kernel.outputs]
        return kernel_over(self.kernel.shape, self.kernel.reduced, tuple(outputs))

    @cached_property
    def with_literals(self) -> Sequence[Expression]:
        """Literals among the expressions of the kernel, and all that is made of them."""
        numbers = {self.kernel.operands[k] for k in self.literals}
        found: dict[int, Expression] = {}
        for e in self.kernel.expressions():
            if any(id(part) in found for part in parts(e)) or (type(e) is Load and e.operand in numbers):
                found[id(e)] = e
        return list(found.values())


def likeness(kernel: Kernel, literals: tuple[int, ...]) -> Any:
    """Equal for kernels that differ in nothing but the names of their operands, and in extents.

    Unlike `structure_of`, which is of the text of a function, it has all numbers: indices, offsets and constants.
    """
    places = {operand: k for k, operand in enumerate(kernel.operands)}
    numbers: dict[int, int] = {}

    def along(index: Affine) -> Any:
        return (index[0], index[1], *[(factor, numbers[id(e)]) for factor, e in index[2]]) if index[2] else index

    def row(e: Expression) -> tuple[Any, ...]:
        kind = type(e)
        if kind is Apply:
            operation, operands, dtype = e
            return operation, dtype.num, *[numbers[id(x)] for x in operands]
        if kind is Load:
            return places[e.operand], e.dtype.num, *map(along, e.index)
        return ("position", e.dtype.num, along(e.index)) if kind is Position else (e.value, e.dtype.num)

    rows: list[tuple[Any, ...]] = []
    for number, e in enumerate(kernel.expressions()):
        rows.append(row(e))
        numbers[id(e)] = number
    outputs = [(numbers[id(expression)], combine) for expression, combine, _ in kernel.outputs]
    return len(kernel.shape), kernel.reduced, literals, tuple(rows), tuple(outputs)


class PlannedKernel:
    """A kernel step of all programs with the same outline.

    Args:
        operands: what the kernel reads, by the numbers of variables and literals.
        targets: the numbers of the variables that are computed; equations, again, checked: those of equations.
    """

    def __init__(
        self,
        shape: Sequence[Extent],
        common: CommonKernel,
        operands: Sequence[int],
        targets: Sequence[int],
        equations: Sequence[int],
        again: Sequence[int],
        checked: Sequence[int],
    ):
        self.shape = shape
        self.common = common
        self.operands = operands
        self.targets = targets
        self.equations = equations
        self.again = again
        self.checked = checked
        self.literals = [operands[k] for k in common.literals]

    def step(self, eqns: Sequence[Eqn], atoms: Sequence[Any], constants: Mapping[int, Constant]) -> KernelStep:
        """The step of one of them, given the scalar constants there, by number."""
        kernel, read = self.common.with_constants(tuple([constants[number] for number in self.literals]))
        return KernelStep(
            kernel.over(extents(self.shape, atoms)),
            tuple([atoms[self.operands[k]] for k in read]),
            tuple([atoms[n] for n in self.targets]),
            tuple([eqns[n] for n in self.equations]),
            tuple([eqns[n] for n in self.again]),
            tuple([eqns[n] for n in self.checked]),
        )


class Plan(NamedTuple):
    """The steps of all programs with the same outline: kernels, and the numbers of equations.

    Attributes:
        weighed: what was decided by weighing sizes.
        reductions: the spaces of reductions, how many axes are reduced, and a number: equal where spaces are.
        is_general: whether all extents of kernels are extents of arrays, so that it is known what becomes of them.
    """

    steps: Sequence[int | PlannedKernel]
    weighed: Sequence[Weighed]
    reductions: Sequence[tuple[Sequence[Extent], int, int]]
    is_general: bool

    def serves(self, outline: Outline) -> bool:
        """Whether fusion would decide the same for a program of the same outline."""
        atoms = list(outline.numbers)
        for points, value, answer in self.weighed:
            if (prod(extents(points, atoms)) <= atoms[value].aval.size) is not answer:
                return False
        numbers: dict[Any, int] = {}
        for space, reduced, number in self.reductions:
            if numbers.setdefault((extents(space, atoms), reduced), number) != number:
                return False
        return len(numbers) == len({number for _, _, number in self.reductions})

    def steps_of(self, outline: Outline) -> list[Eqn | KernelStep]:
        """The steps of one of them."""
        eqns, atoms, constants = outline.jaxpr.eqns, list(outline.numbers), scalars(outline)
        return [
            eqns[step] if type(step) is int else step.step(eqns, atoms, constants)
            for step in self.steps
        ]


def scalars(outline: Outline) -> dict[int, Constant]:
    """The scalar constants of a program, and those that fill arrays, by number."""
    found: list[tuple[Atom, Any]] = [(a, a.value) for a in outline.literals if getattr(a.aval, "shape", None) == ()]
    return {outline.numbers[atom]: constant(value, atom.aval.dtype) for atom, value in found + outline.filled}


#: Plans by the keys of outlines.
_kept: dict[Any, Plan] = {}


def plan_for(outline: Outline, make: Callable[[Outline], Plan]) -> Plan:
    """The plan for a program: one that was made before, if it is what would be made now."""
    try:
        known = _kept.get(outline.key)
    except TypeError:  # a parameter is not hashable
        return make(outline)
    if known is not None and known.serves(outline):
        return known
    plan, length = make(outline), len(outline.key)
    if plan.is_general and length <= MOST_PARTS:
        if sum(map(len, list(_kept))) + length > MOST_PARTS:
            _kept.clear()
        _kept[outline.key] = plan
    return plan
