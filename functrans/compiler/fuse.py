"""Fusion: equations to kernels and, for the rest, single steps.

Equations that compute each element of their result from a few elements of their operands (`Primitive.lower`) are not
run one by one: those over the same shape form a group that becomes one kernel. What a group needs of another one at
other places (broadcast, transposed, reduced) is computed there again if that is cheap or if nobody else needs it, so
that it need not be stored.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from math import prod
from typing import Any, NamedTuple

import numpy as np

from ..core.avals import ShapedArray
from ..core.jaxpr import Atom, Eqn, Jaxpr, Var
from ..core.primitive import Lowered
from .costs import measured
from .loopnest import (
    BOOL,
    INT,
    ORIGIN,
    Affine,
    Apply,
    Expression,
    Index,
    Kernel,
    Load,
    Output,
    Position,
    cast,
    constant,
    expressions_in,
    flattened,
    normalized,
    point,
    replaced,
    substituted,
)
from .unrolling import FEW, MOST_OPERATIONS, points_of, written_out

#: A kernel has about this many operations at most, so that the time to compile one stays bounded.
LARGEST_KERNEL = 600
#: A value of at most this cost is computed again wherever it is needed rather than stored.
CHEAP = 3
#: An expression of more operations than this is stored, whoever needs it.
LARGEST_EXPRESSION = 300

#: The shape of an iteration space, and how many of its last axes are reduced.
Space = tuple[tuple[int, ...], int]


class KernelStep(NamedTuple):
    """Run a kernel, whose operands are atoms of the jaxpr; where its outputs go.

    Attributes:
        equations: those that it computes.
        again: those of other kernels, or that only move elements, which it computes where it needs them.
    """

    kernel: Kernel
    outputs: tuple[Var, ...]
    equations: tuple[Eqn, ...] = ()
    again: tuple[Eqn, ...] = ()


class Value:
    """A variable or constant, as rules and groups see it.

    Attributes:
        uses: how many equations and results need it.
        step: the number of the step that computes it; -1 for what is there from the beginning.
        expression: what it is at the index that is the point of its own space, if a kernel can compute it again; for
            a view in terms of other values.
        view: the equation, for a value that moves the elements of others only; such a value belongs to no step.
        is_stored: whether it is in memory after its step.
        equation: what computes it in a kernel, or moves it.
        elsewhere: the expression for readers at other places. It computes operands again that are cheap, or that only
            this value needs; the others it reads.
        read: how often that expression stands for a reader of a value of the same shape at the same place.
    """

    __slots__ = (
        "atom",
        "aval",
        "cost",
        "elsewhere",
        "equation",
        "expression",
        "is_stored",
        "operations",
        "read",
        "step",
        "uses",
        "view",
    )

    def __init__(self, atom: Atom, uses: int, step: int = -1, is_stored: bool = True):
        self.atom = atom
        self.aval: Any = atom.aval
        self.uses = uses
        self.step = step
        self.is_stored = is_stored
        self.expression: Expression | None = None
        self.elsewhere: Expression | None = None
        self.view: Eqn | None = None
        self.equation: Eqn | None = None
        self.cost = self.operations = 0
        self.read: Counter[Value] = Counter()

    def take_over(self, operand: Value, is_same: bool) -> None:
        """Count what it takes to compute an operand again, at the same place or at another."""
        self.cost += operand.cost
        self.operations = min(self.operations + operand.operations, LARGEST_EXPRESSION)
        if is_same:
            self.read.update(operand.read)

    def is_repeatable(self, size: int) -> bool:
        """Whether to compute it again in a space of this size, where it is needed at other places."""
        is_free = self.cost <= CHEAP or (self.uses == 1 and size <= self.aval.size)
        return is_free and self.operations < LARGEST_EXPRESSION


class Group:
    """What one kernel computes: values over a shape, or reductions over the last axes of one."""

    __slots__ = ("again", "operations", "reduced", "shape", "values")

    def __init__(self, shape: tuple[int, ...], reduced: int):
        self.shape = shape
        self.reduced = reduced
        self.values: list[tuple[Value, Output]] = []
        self.again: dict[Any, Eqn] = {}
        self.operations = 0


class Reader:
    """An operand in a rule: its elements by index."""

    def __init__(self, value: Value):
        self.value = value
        self.aval = value.aval

    def at(self, index: Index) -> Expression:
        """The element at an index of the rank of the operand."""
        return Load(self.value, index, self.aval.dtype)

    def broadcast(self, index: Index) -> Expression:
        """The element that broadcasting puts at an index of the result."""
        shape = self.aval.shape
        own = index[len(index) - len(shape) :]
        return self.at(tuple(ORIGIN if extent == 1 else i for i, extent in zip(own, shape)))


class Builder:
    """What a rule makes expressions of: the type of its result, and operations on elements."""

    def __init__(self, aval: ShapedArray):
        self.aval = aval

    def apply(
        self,
        operation: str,
        *operands: Expression,
        computes_in: np.dtype[Any] | None = None,
        gives: np.dtype[Any] | None = None,
    ) -> Expression:
        """A scalar operation on operands cast to the dtype it computes in; that and what it gives: as the result."""
        dtype = self.aval.dtype if computes_in is None else computes_in
        return Apply(operation, tuple(cast(x, dtype) for x in operands), gives or self.aval.dtype)

    def call(self, function: str, *operands: tuple[Expression, np.dtype[Any]], gives: np.dtype[Any]) -> Expression:
        """A function that a user wrote, of operands each in a dtype of its own; cast to the dtype of the result."""
        return self.cast(Apply(function, tuple(cast(x, dtype) for x, dtype in operands), gives))

    def choose(self, condition: Expression, x: Expression, y: Expression) -> Expression:
        """x where the condition holds, else y."""
        dtype = self.aval.dtype
        return Apply("select", (cast(condition, np.dtype(bool)), cast(x, dtype), cast(y, dtype)), dtype)

    def cast(self, x: Expression) -> Expression:
        """x in the dtype of the result."""
        return cast(x, self.aval.dtype)

    @staticmethod
    def without_units(index: Index, shape: Sequence[int], other: Sequence[int]) -> Index:
        """An index of one shape as that of another, which differs in axes of extent one only."""
        rest = iter(i for i, extent in zip(index, shape) if extent != 1)
        return tuple(ORIGIN if extent == 1 else next(rest) for extent in other)

    @staticmethod
    def offset(start: Expression, extent: int, size: int) -> Expression:
        """A computed offset of so many elements among `extent`: negative ones count from the end, none is too large."""
        return normalized(start, extent, extent - size)

    def constant(self, value: Any) -> Expression:
        """A number in the dtype of the result."""
        return constant(value, self.aval.dtype)

    def position(self, index: Affine, dtype: np.dtype[Any] | None = None) -> Expression:
        """An index as a value, by default in the dtype of the result."""
        return cast(Position(index, INT), dtype or self.aval.dtype)

    @staticmethod
    def fixed(number: int) -> Affine:
        """A number as an index."""
        return Affine(number, ())

    @staticmethod
    def flat(index: Index, shape: Sequence[int]) -> Affine:
        """How many elements of an array come before one."""
        return flattened(index, shape)

    def is_at_most(self, i: Affine, j: Affine) -> Expression:
        """Whether one index is no larger than another."""
        return Apply("less_equal", (self.position(i, INT), self.position(j, INT)), BOOL)

    def of(self, dtype: np.dtype[Any]) -> Builder:
        """What makes expressions of another dtype."""
        return type(self)(ShapedArray((), dtype))


def fuse(jaxpr: Jaxpr, supports: Callable[[Expression], bool]) -> list[Eqn | KernelStep]:
    """The steps of a program: kernels, and equations that are steps of their own.

    Args:
        supports: whether the backend knows a dtype, and an operation on operands of their dtypes.
    """
    return _Fuser(jaxpr, supports).run()


class _Fuser:
    """Goes through the equations once and gives each a place in a group or a step of its own."""

    def __init__(self, jaxpr: Jaxpr, supports: Callable[[Expression], bool]):
        self.jaxpr = jaxpr
        self.supports = supports
        self.steps: list[Eqn | Group] = []
        self.moved: dict[Any, tuple[Expression, Expression]] = {}  # with what their keys name by id
        self.uses = Counter(a for eqn in jaxpr.eqns for a in set(eqn.inputs) if isinstance(a, Var))
        self.uses.update(a for a in jaxpr.outputs if isinstance(a, Var))
        self.values: dict[Var, Value] = {v: Value(v, self.uses[v]) for v in jaxpr.inputs}

    def run(self) -> list[Eqn | KernelStep]:
        for eqn in self.jaxpr.eqns:
            if not self.fuse(eqn):
                self.single(eqn)
        for atom in self.jaxpr.outputs:
            if isinstance(atom, Var):
                self.store(self.values[atom])
        return [step for number in range(len(self.steps)) for step in self.finished(number)]

    def finished(self, number: int) -> list[Eqn | KernelStep]:
        """A step for the program; none for a group whose values were all computed elsewhere."""
        step = self.steps[number]
        if isinstance(step, Eqn):
            return [step]
        stored = [(value, output) for value, output in step.values if value.is_stored]
        if not stored:
            return []
        outputs = tuple(output for _, output in stored)
        everything = list(expressions_in(output.expression for output in outputs))
        operands = tuple(dict.fromkeys(e.operand for e in everything if isinstance(e, Load)))
        kernel = Kernel(step.shape, step.reduced, outputs, operands)
        written = tuple(value.atom for value, _ in stored)
        computed = set(map(id, everything))
        own = tuple(v.equation for v, o in step.values if v.is_stored or id(o.expression) in computed)
        return [KernelStep(kernel, written, own, tuple(step.again.values()))]  # type: ignore[arg-type]

    def value(self, atom: Atom) -> Value:
        if isinstance(atom, Var):
            return self.values[atom]
        value = Value(atom, 1)
        if atom.aval.shape == () and isinstance(atom.aval, ShapedArray):
            value.expression = constant(atom.value, atom.aval.dtype)
        return value

    def single(self, eqn: Eqn) -> None:
        """A step of its own: its operands must be in memory."""
        for atom in eqn.inputs:
            if isinstance(atom, Var):
                self.store(self.values[atom])
        self.steps.append(eqn)
        for var in eqn.outputs:
            self.values[var] = Value(var, self.uses[var], len(self.steps) - 1)

    def store(self, value: Value) -> None:
        """Have a value in memory. NumPy makes views at no cost, so that they are steps of their own where needed."""
        if value.view is not None:
            eqn, value.view = value.view, None
            value.expression = None
            for atom in eqn.inputs:
                if isinstance(atom, Var):
                    self.store(self.values[atom])
            self.steps.append(eqn)
            value.step = len(self.steps) - 1
        value.is_stored = True

    def fuse(self, eqn: Eqn) -> bool:
        """Give an equation a place in a group, if there is a rule for it and it pays."""
        operands = [self.value(a) for a in eqn.inputs]
        if len(eqn.outputs) != 1 or not all(isinstance(a.aval, ShapedArray) for a in (*operands, *eqn.outputs)):
            return False
        (var,) = eqn.outputs
        builder, readers = Builder(var.aval), list(map(Reader, operands))
        reduction = eqn.primitive.lower_reduction(builder, *readers, **eqn.params)
        if reduction is not None and not self.is_written_out(reduction):
            return self.reduce(eqn, reduction)
        rule = written_out(reduction) if reduction else eqn.primitive.lower(builder, *readers, **eqn.params)
        if rule is None or not var.aval.size:
            return False
        found = rule(point(var.aval.ndim))
        everything = expressions_in([found])
        if not all(map(self.supports, everything)):
            return False
        value = self.values[var] = Value(var, self.uses[var], is_stored=False)
        value.equation = eqn
        if isinstance(found, Load) and len(everything) == 1:
            value.expression, value.view = found, eqn
            value.cost, value.operations = operands[0].cost, operands[0].operations
            for operand in operands:
                operand.uses += value.uses - 1  # whoever reads the view reads them
            return True
        number = self.place(_leaves(everything), (var.aval.shape, 0))
        value.step = number
        value.expression = self.resolved(found, everything, number, (var.aval.shape, 0))
        self.measure(value, found, everything)
        self.add(number, eqn, value, None)
        return True

    def measure(self, value: Value, found: Expression, everything: Sequence[Expression]) -> None:
        """Note what it takes to compute a value at other places: what its rule made of it, and what that reads.

        What the operands share is counted for each, which is quicker than to look at everything again.

        Args:
            found: what the rule made.
            everything: all expressions in it.
        """
        value.cost, value.operations = measured(everything)
        loads = {(id(e.operand), e.index): e for e in _leaves(everything)}
        inlined: set[int] = set()
        for load in loads.values():
            operand, is_same = load.operand, _is_own(load, (value.aval.shape, 0))
            if operand.elsewhere is None:
                continue
            if operand.is_repeatable(points_of(load, value.aval.shape, 0)):
                inlined.add(id(operand))
                value.take_over(operand, is_same)
            elif is_same:
                value.read[operand] += 1
        expression = replaced(found, lambda load: self.inlined(load, inlined), everything) if inlined else found
        while own := [x for x, count in value.read.items() if count == x.uses and x.operations < LARGEST_EXPRESSION]:
            for operand in own:  # nobody else reads these
                del value.read[operand]
                value.take_over(operand, True)
            numbers = set(map(id, own))
            expression = replaced(expression, lambda load, numbers=numbers: self.inlined(load, numbers))
        value.elsewhere = expression

    def is_written_out(self, reduction: Lowered) -> bool:
        """Whether a reduction is over so few elements that it is an expression of them."""
        extents = reduction.shape[len(reduction.shape) - reduction.reduced :]
        found = reduction.element(point(len(reduction.shape)))
        if not 0 < prod(extents) <= FEW or (prod(extents) == 1 and isinstance(found, Load)):
            return False
        everything = expressions_in([found])
        operations = 1 + measured(everything)[1]
        for leaf in _leaves(everything):
            if leaf.operand.is_repeatable(prod(reduction.shape)):
                operations += leaf.operand.operations
        return found.dtype != np.float16 and operations * prod(extents) <= MOST_OPERATIONS

    def reduce(self, eqn: Eqn, reduction: Lowered) -> bool:
        """Give a reduction a place among others over the same shape and axes."""
        (var,), shape, count = eqn.outputs, reduction.shape, reduction.reduced
        if not count or 0 in shape:
            return False
        found = reduction.element(point(len(shape)))
        everything = expressions_in([found])
        combines = Apply(f"reduce_{reduction.combine}", (found,), found.dtype)
        if not all(map(self.supports, [*everything, combines])):
            return False
        number = self.place(_leaves(everything), (shape, count))
        value = self.values[var] = Value(var, self.uses[var], number)
        value.expression = self.resolved(found, everything, number, (shape, count))
        self.add(number, eqn, value, reduction.combine)
        value.expression = None
        return True

    def add(self, number: int, eqn: Eqn, value: Value, combine: str | None) -> None:
        group = self.steps[number]
        assert isinstance(group, Group)
        assert value.expression is not None
        group.operations += 1
        value.equation = eqn
        group.values.append((value, Output(value.expression, combine)))

    def place(self, leaves: Sequence[Load], space: Space) -> int:
        """The last group over a space that comes after everything that is read; a new one if need be."""
        earliest = max([self.earliest(e, space) for e in leaves], default=0)
        for number in reversed(range(earliest, len(self.steps))):
            step = self.steps[number]
            if isinstance(step, Group) and (step.shape, step.reduced) == space and step.operations < LARGEST_KERNEL:
                return number
        self.steps.append(Group(*space))
        return len(self.steps) - 1

    def earliest(self, leaf: Load, space: Space) -> int:
        """The first step over a space that can read an element of a value."""
        value = leaf.operand
        if value.expression is None:
            return value.step + 1
        if value.view is not None or value.step < 0:
            inner = self.at(value.expression, leaf.index)
            return max([self.earliest(e, space) for e in _leaves(expressions_in([inner]))], default=0)
        if _is_own(leaf, space):
            return value.step
        if not value.is_repeatable(points_of(leaf, *space)):
            return value.step + 1
        return max([self.earliest(e, space) for e in _leaves(expressions_in([self.again(leaf)]))], default=0)

    def resolved(
        self, expression: Expression, inside: Sequence[Expression] | None, number: int, space: Space
    ) -> Expression:
        """An expression in terms of loads from memory, and of what its own group computes.

        Args:
            inside: all expressions in it, if they are known.
        """

        def in_memory(load: Load) -> Expression:
            return self.read(load, number, space) if isinstance(load.operand, Value) else load

        return replaced(expression, in_memory, inside)

    def read(self, leaf: Load, number: int, space: Space) -> Expression:
        value = leaf.operand
        if value.expression is not None:
            if value.view is not None or value.step < 0:
                self.note(value, number)
                return self.resolved(self.at(value.expression, leaf.index), None, number, space)
            if value.step == number and _is_own(leaf, space):
                return value.expression
            if value.is_repeatable(points_of(leaf, *space)):
                self.note(value, number)
                return self.resolved(self.again(leaf), None, number, space)
        self.store(value)
        return Load(value.atom, leaf.index, leaf.dtype)

    def again(self, load: Load) -> Expression:
        """What it takes to compute the element of a value that a load reads."""
        return self.at(load.operand.elsewhere, load.index)

    def inlined(self, load: Load, values: set[int]) -> Expression:
        """What a load reads, computed again if it is one of some values, given by id."""
        return self.again(load) if id(load.operand) in values else load

    def at(self, expression: Expression, index: Index) -> Expression:
        """An expression at another index: once, if many ask for the same."""
        if any(i.terms for i in index):  # which take long to compare
            return substituted(expression, index)
        key = id(expression), index
        if key not in self.moved:
            self.moved[key] = expression, substituted(expression, index)
        return self.moved[key][1]

    def note(self, value: Value, number: int) -> None:
        """That a group computes what belongs to another one, or to none."""
        if value.equation is not None:
            self.steps[number].again[value.atom] = value.equation  # type: ignore[union-attr]


def _is_own(leaf: Load, space: Space) -> bool:
    """Whether a value is read at the point of the space itself, by a reader over the same shape."""
    shape, reduced = space
    return not reduced and leaf.operand.aval.shape == shape and leaf.index == point(len(shape))


def _leaves(expressions: Sequence[Expression]) -> list[Load]:
    """The reads of values."""
    return [e for e in expressions if isinstance(e, Load) and isinstance(e.operand, Value)]


