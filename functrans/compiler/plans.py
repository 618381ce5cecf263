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
from .loopnest import Constant, Expression, Kernel, Load, Output, all_replaced, constant, kernel_over, parts
from .unrolling import FEW, TINY

#: An extent of a program: which one of what atom, by its number; or a number.
Extent = tuple[int, int] | int

#: Extents up to this one are part of an outline: it counts how few elements there are along an axis.
SMALL = max(FEW, TINY)
#: How long the keys of the plans are together that are kept; an equation makes five to ten parts.
MOST_PARTS = 1 << 18


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


class PlannedKernel:
    """A kernel step of all programs with the same outline.

    Args:
        outputs: they call scalar constants by their numbers, too.
        targets: the numbers of the variables that are computed; equations, again, checked: those of equations.
        constants: the scalar constants of the program at hand, by number.
    """

    def __init__(
        self,
        shape: Sequence[Extent],
        kernel: Kernel,
        targets: Sequence[int],
        equations: Sequence[int],
        again: Sequence[int],
        checked: Sequence[int],
        constants: Mapping[int, Constant],
    ):
        self.shape = shape
        self.kernel = kernel
        self.targets = targets
        self.equations = equations
        self.again = again
        self.checked = checked
        self.literals = [number for number in kernel.operands if number in constants]
        self.last: tuple[Any, Kernel] | None = None  # what was made with which constants

    def step(self, eqns: Sequence[Eqn], atoms: Sequence[Any], constants: Mapping[int, Constant]) -> KernelStep:
        """The step of one of them."""
        kernel = self.with_constants(constants).over(extents(self.shape, atoms))
        return KernelStep(
            kernel,
            tuple([atoms[n] for n in kernel.operands]),
            tuple([atoms[n] for n in self.targets]),
            tuple([eqns[n] for n in self.equations]),
            tuple([eqns[n] for n in self.again]),
            tuple([eqns[n] for n in self.checked]),
        )

    def with_constants(self, constants: Mapping[int, Constant]) -> Kernel:
        """The kernel with these constants; the last one, if they are the same as then."""
        if not self.literals:
            return self.kernel
        key = [constants[number] for number in self.literals]
        last = self.last
        if last is None or last[0] != key:
            kernel = self.made_with(constants)
            if last is not None:
                take_over(kernel, last[1])
            last = self.last = key, kernel
        return last[1]

    def made_with(self, constants: Mapping[int, Constant]) -> Kernel:
        """The kernel with constants in the place of loads of them."""
        others = {id(e): e for e in self.kernel.expressions()}
        found = all_replaced(self.with_literals, lambda load: constants.get(load.operand, load), others)
        outputs = [Output(found[id(output.expression)], output.combine) for output in self.kernel.outputs]
        return kernel_over(self.kernel.shape, self.kernel.reduced, tuple(outputs))

    @cached_property
    def with_literals(self) -> Sequence[Expression]:
        """Literals among the expressions of the kernel, and all that is made of them."""
        numbers = set(self.literals)
        found: dict[int, Expression] = {}
        for e in self.kernel.expressions():
            if any(id(part) in found for part in parts(e)) or (type(e) is Load and e.operand in numbers):
                found[id(e)] = e
        return list(found.values())


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
