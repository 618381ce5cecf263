"""Plans: what fusion decided of one program, for all programs that are alike but for sizes.

A second shape is traced and simplified anew, but which equations share a kernel was decided before. Programs have the
same outline if they have the same primitives on the same operands, with the same dtypes, where extents are equal in
the one as in the other, small ones are the same, and all else is that rules look at (`Primitive.lowering_key`). What
fusion decides by weighing sizes against each other is noted with the plan, and weighed again before it is used. So the
kernels are those that fusing anew would make; and what was derived from them (`loopnest.derived`) need not be again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import prod
from typing import Any, NamedTuple

from ..core.avals import ShapedArray
from ..core.jaxpr import Atom, Eqn, Jaxpr, Literal, Var
from ..core.primitive import Primitive
from .loopnest import Constant, Expression, Kernel, Load, Output, all_replaced, constant, expressions_in, kernel_over
from .unrolling import FEW, TINY

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
    """

    kernel: Kernel
    sources: tuple[Atom, ...]
    outputs: tuple[Var, ...]
    equations: tuple[Eqn, ...] = ()
    again: tuple[Eqn, ...] = ()

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
        classes: a number for each extent; small ones are their own.
    """

    def __init__(self, jaxpr: Jaxpr, supports: Callable[[Expression], bool]):
        self.jaxpr = jaxpr
        self.numbers: dict[Atom, int] = {}
        self.literals: list[Literal] = []
        self.filled: list[tuple[Var, Any]] = []
        self.classes: dict[int, int] = _Classes({n: n for n in range(SMALL + 1)})
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
            key += (primitive, primitive.lowering_key([a.aval for a in inputs], params))
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
            self.literals.append(atom)  # type: ignore[arg-type]
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
        """A type with the classes of extents in the place of these."""
        if type(aval) is not ShapedArray:
            return type(aval)
        classes = self.classes
        return aval.dtype.num, aval.weak, *[classes[n] for n in aval.shape]

    def extents(self) -> dict[int, int]:
        """The extent of each class."""
        return {number: extent for extent, number in self.classes.items()}


class _Classes(dict[int, int]):
    """Numbers for extents that are not small, in order of appearance, below zero."""

    def __missing__(self, extent: int) -> int:
        number = self[extent] = -len(self)
        return number


def may_be_lowered(primitive: Primitive) -> bool:
    """Whether a primitive has a rule for kernels."""
    kind = type(primitive)
    return kind.lower is not Primitive.lower or kind.lower_reduction is not Primitive.lower_reduction


class Weighed(NamedTuple):
    """Whether so many points are no more than a value has elements: shapes in classes of extents, and the answer."""

    points: tuple[int, ...]
    shape: tuple[int, ...]
    is_as_large: bool

    def holds(self, extents: Mapping[int, int]) -> bool:
        return (prod([extents[n] for n in self.points]) <= prod([extents[n] for n in self.shape])) is self.is_as_large


class PlannedKernel:
    """A kernel step of all programs with the same outline.

    Args:
        shape: that of the kernel, in classes of extents.
        outputs: they call scalar constants by their numbers, too.
        targets: the numbers of the variables that are computed; equations, again: those of equations.
        constants: the scalar constants of the program at hand, by number.
    """

    def __init__(
        self,
        shape: Sequence[int],
        kernel: Kernel,
        targets: Sequence[int],
        equations: Sequence[int],
        again: Sequence[int],
        constants: Mapping[int, Constant],
    ):
        self.shape = shape
        self.kernel = kernel
        self.targets = targets
        self.equations = equations
        self.again = again
        self.literals = [number for number in kernel.operands if number in constants]
        self.last: tuple[Any, Kernel] | None = None  # what was made with which constants

    def step(
        self, eqns: Sequence[Eqn], atoms: Sequence[Any], extents: Mapping[int, int], constants: Mapping[int, Constant]
    ) -> KernelStep:
        """The step of one of them."""
        kernel = self.with_constants(constants).over(tuple([extents[n] for n in self.shape]))
        return KernelStep(
            kernel,
            tuple([atoms[n] for n in kernel.operands]),
            tuple([atoms[n] for n in self.targets]),
            tuple([eqns[n] for n in self.equations]),
            tuple([eqns[n] for n in self.again]),
        )

    def with_constants(self, constants: Mapping[int, Constant]) -> Kernel:
        """The kernel with these constants; the last one, if they are the same as then."""
        if not self.literals:
            return self.kernel
        key = [constants[number] for number in self.literals]
        last = self.last
        if last is None or last[0] != key:
            last = self.last = key, _with_constants(self.kernel, constants)
        return last[1]


def _with_constants(kernel: Kernel, constants: Mapping[int, Constant]) -> Kernel:
    """A kernel with constants in the place of loads of them."""
    everything = expressions_in([output.expression for output in kernel.outputs])
    found = all_replaced(everything, lambda load: constants.get(load.operand, load))
    outputs = [Output(found[id(output.expression)], output.combine) for output in kernel.outputs]
    return kernel_over(kernel.shape, kernel.reduced, tuple(outputs))


class Plan(NamedTuple):
    """The steps of all programs with the same outline: kernels, and the numbers of equations.

    Attributes:
        weighed: what was decided by weighing sizes.
        is_general: whether all extents of kernels are extents of arrays, so that it is known what becomes of them.
    """

    steps: Sequence[int | PlannedKernel]
    weighed: Sequence[Weighed]
    is_general: bool

    def steps_of(self, outline: Outline) -> list[Eqn | KernelStep]:
        """The steps of one of them."""
        eqns, atoms, extents, constants = outline.jaxpr.eqns, list(outline.numbers), outline.extents(), scalars(outline)
        return [
            eqns[step] if type(step) is int else step.step(eqns, atoms, extents, constants)  # type: ignore[union-attr]
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
    if known is not None:
        extents = outline.extents()
        if all(weighed.holds(extents) for weighed in known.weighed):
            return known
    plan, length = make(outline), len(outline.key)
    if plan.is_general and length <= MOST_PARTS:
        if sum(map(len, list(_kept))) + length > MOST_PARTS:
            _kept.clear()
        _kept[outline.key] = plan
    return plan
