"""Fusion: equations to kernels and, for the rest, single steps.

Equations that compute each element of their result from a few elements of their operands (`Primitive.lower`) are not
run one by one: those over the same shape form a group that becomes one kernel. What a group needs of another one at
other places (broadcast, transposed, reduced) is computed there again if that is cheap or if nobody else needs it, so
that it need not be stored. What was decided of one program serves others at other sizes (plans.py).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from math import prod
from typing import Any

import numpy as np

from ..core.avals import ShapedArray
from ..core.jaxpr import Atom, Eqn, Jaxpr, Var
from ..core.primitive import Lowered
from .builder import Builder
from .costs import measured
from .groups import Group, Inside, Space, Value
from .loopnest import (
    Apply,
    Constant,
    Expression,
    Index,
    Kernel,
    Load,
    Output,
    all_substituted,
    at_index,
    expressions_in,
    has_terms,
    kernel_over,
    parts,
    point,
    rebuilt,
    replaced,
)
from .patterns import Pattern, Reader, pattern_of
from .plans import CommonKernel, Extent, KernelStep, Outline, Plan, PlannedKernel, Weighed, likeness, plan_for, scalars
from .unrolling import FEW, MOST_OPERATIONS, MOST_WRITTEN, moving_axes, still_points, written_out

#: A kernel has about this many operations at most, so that the time to compile one stays bounded.
LARGEST_KERNEL = 600
#: A value of at most this cost is computed again wherever it is needed rather than stored.
CHEAP = 3
#: An expression of more operations than this is stored, whoever needs it.
LARGEST_EXPRESSION = 300


def fuse(jaxpr: Jaxpr, supports: Callable[[Expression], bool]) -> list[Eqn | KernelStep]:
    """The steps of a program: kernels, and equations that are steps of their own.

    Args:
        supports: whether the backend knows a dtype, and an operation on operands of their dtypes.
    """
    outline = Outline(jaxpr, supports)
    return plan_for(outline, lambda outline: _Fuser(outline, supports).plan()).steps_of(outline)


class _Fuser:
    """Goes through the equations once and gives each a place in a group or a step of its own.

    Attributes:
        steps: groups, and the numbers of equations.
        turn: the number of the equation whose turn it is.
        weighed: what was decided by weighing sizes.
        reductions: the numbers of those that are kernels, and their spaces.
        is_general: whether all extents of groups are extents of arrays.
        groups: the numbers of those steps that are groups, by their spaces.
        effects: the number of the first step after all that have effects: an error comes after what was printed before.
        moved: expressions at other indices, by the ids of those that they are of and by index.
        leaves: the values that these would read, likewise.
        insides: what these and others are made of, by id; so they stay, and no id is used again.
        kernels: those of finished groups, by what they are alike in (`likeness`).
    """

    def __init__(self, outline: Outline, supports: Callable[[Expression], bool]):
        self.outline = outline
        self.jaxpr = jaxpr = outline.jaxpr
        self.supports = supports
        self.steps: list[int | Group] = []
        self.turn = 0
        self.weighed: dict[Any, bool] = {}
        self.reductions: list[tuple[int, Space]] = []
        self.is_general = True
        self.groups: dict[Space, list[int]] = {}
        self.effects = 0
        self.moved: dict[Any, Expression] = {}
        self.leaves: dict[Any, Sequence[Load]] = {}
        self.insides: dict[int, Inside] = {}
        self.kernels: dict[Any, CommonKernel] = {}
        self.uses = Counter([a for eqn in jaxpr.eqns for a in set(eqn.inputs) if type(a) is Var])
        self.uses.update([a for a in jaxpr.outputs if type(a) is Var])
        self.values: dict[Any, Value] = {v: Value(v, self.uses[v]) for v in jaxpr.inputs}

    def plan(self) -> Plan:
        for number, eqn in enumerate(self.jaxpr.eqns):
            self.turn = number
            if not self.fuse(eqn):
                self.single(eqn)
        for atom in self.jaxpr.outputs:
            if isinstance(atom, Var) and not self.compute_view(self.values[atom]):
                self.store(self.values[atom])
        constants = scalars(self.outline)
        finished = [self.finished(step, constants) for step in self.steps]
        weighed = [Weighed(*question, answer) for question, answer in self.weighed.items()]
        spaces = {space: number for number, space in enumerate(dict.fromkeys([space for _, space in self.reductions]))}
        reductions = [(self.extents(number, space), space[1], spaces[space]) for number, space in self.reductions]
        return Plan([step for step in finished if step is not None], weighed, reductions, self.is_general)

    def compute_view(self, value: Value) -> bool:
        """Compute a result that only moves the elements of a value where they belong, if nobody else needs that value
        or it is cheap, and if what is read then lies apart no more often than before."""
        if not value.is_view or has_terms(value.expression.index):
            return False
        self.turn = value.equation
        load, space = self.behind(value.expression), (value.aval.shape, 0)
        operand = load.operand
        if operand.rule is None or operand.is_stored or not self.is_repeatable_for(load, space):
            return False
        own = operand.aval.shape
        if self.apart(operand, load.index, len(space[0]) - 1) > self.apart(operand, point(len(own)), len(own) - 1):
            return False
        shown, value.is_view = value.expression, False
        value.step = self.place([load], space)
        value.expression = self.resolved(load, value.step, space)
        self.add(value, None)
        value.shown, value.expression, value.is_stored = shown, None, True
        return True

    def apart(self, value: Value, index: Index, axis: int) -> int:
        """How many arrays that a value is computed from are read across their rows along an axis of a space."""
        leaves = [self.behind(load) for load in self.leaves_at(self.elsewhere(value), index)]
        return sum(any(i.factor(axis) for i in load.index[:-1]) for load in leaves)

    def finished(self, step: int | Group, constants: dict[int, Constant]) -> int | PlannedKernel | None:
        """A step for the program; None for a group whose values were all computed elsewhere."""
        if isinstance(step, int):
            return step
        stored = [(value, output) for value, output in step.values if value.is_stored]
        if not stored:
            return None
        outputs = tuple([output for _, output in stored])
        kernel = kernel_over(step.shape, step.reduced, outputs)
        written = [self.outline.numbers[value.atom] for value, _ in stored]
        computed = set(map(id, kernel.expressions()))
        own = [v.equation for v, o in step.values if v.is_stored or id(o.expression) in computed]
        shape = self.extents(step.values[0][0].equation, (step.shape, step.reduced))
        again, checks = [*step.again.values()], [n for n in sorted(step.checks) if self.reads_checked(n, kernel)]
        return PlannedKernel(shape, self.common(kernel, constants), kernel.operands, written, own, again, checks)

    def common(self, kernel: Kernel, constants: dict[int, Constant]) -> CommonKernel:
        """What a kernel has in common with others: programs that repeat themselves have few different ones."""
        literals = tuple([k for k, operand in enumerate(kernel.operands) if operand in constants])
        return self.kernels.setdefault(likeness(kernel, literals), CommonKernel(kernel, literals))

    def reads_checked(self, number: int, kernel: Kernel) -> bool:
        """Whether a kernel reads the operands of an equation that are to be checked."""
        inputs = self.jaxpr.eqns[number].inputs
        checked = self.jaxpr.eqns[number].primitive.checked_operands
        numbers = [k for k, _ in checked([a.aval for a in inputs], **self.jaxpr.eqns[number].params)]
        return all(self.outline.numbers[inputs[k]] in kernel.operands for k in numbers)

    def extents(self, number: int, space: Space) -> tuple[Extent, ...]:
        """The space that an equation is computed over as extents of its result, or of its operands if it reduces."""
        numbers, eqn, (shape, reduced) = self.outline.numbers, self.jaxpr.eqns[number], space
        if not reduced:
            return tuple([(numbers[eqn.outputs[0]], axis) for axis in range(len(shape))])
        found: dict[int, Extent] = {}
        for atom in (*eqn.outputs, *eqn.inputs):
            for axis, extent in enumerate(atom.aval.shape):
                found.setdefault(extent, (numbers[atom], axis))
        self.is_general = self.is_general and found.keys() >= set(shape)
        return tuple([found.get(extent, extent) for extent in shape])

    def value(self, atom: Atom) -> Value:
        return self.values[atom] if type(atom) is Var else Value(atom, 1)

    def single(self, eqn: Eqn) -> None:
        """A step of its own: its operands must be in memory."""
        for atom in eqn.inputs:
            if isinstance(atom, Var):
                self.store(self.values[atom])
        self.steps.append(self.turn)
        if eqn.primitive.has_effects(eqn.params):
            self.effects = len(self.steps)
        for var in eqn.outputs:
            self.values[var] = Value(var, self.uses[var], len(self.steps) - 1)

    def store(self, value: Value) -> None:
        """Have a value in memory. NumPy makes views at no cost, so that they are steps of their own where needed."""
        if value.is_view:
            assert value.equation is not None
            value.is_view = False
            value.shown, value.expression = value.expression, None
            for atom in self.jaxpr.eqns[value.equation].inputs:
                if isinstance(atom, Var):
                    self.store(self.values[atom])
            self.steps.append(value.equation)
            value.step = len(self.steps) - 1
        value.is_stored = True

    def fuse(self, eqn: Eqn) -> bool:
        """Give an equation a place in a group, if there is a rule for it and it pays."""
        if len(eqn.outputs) != 1:
            return False
        for atom in (*eqn.outputs, *eqn.inputs):
            if type(atom.aval) is not ShapedArray:
                return False
        (var,) = eqn.outputs
        if eqn.primitive.fills:
            return self.fill(var)
        pattern = pattern_of(eqn, self.supports)
        if pattern is not None:
            return pattern.is_supported and 0 not in var.aval.shape and self.like(pattern, eqn)
        operands = [self.value(a) for a in eqn.inputs]
        builder, readers = Builder(var.aval), [Reader(x, x.aval, var.aval.shape) for x in operands]
        reduction = eqn.primitive.lower_reduction(builder, *readers, **eqn.params)
        if reduction is not None and not self.is_written_out(reduction):
            return self.reduce(eqn, reduction)
        if reduction is None:
            readers = self.checked(eqn, readers)
        rule = written_out(reduction) if reduction else eqn.primitive.lower(builder, *readers, **eqn.params)
        return rule is not None and var.aval.size > 0 and self.compute(eqn, rule(point(len(var.aval.shape))))

    def compute(self, eqn: Eqn, found: Expression) -> bool:
        """Give an equation a place in a group, whose element at a point is an expression, if that is supported."""
        inside = self.inside(found)
        if not all(map(self.supports, inside.everything)):
            return False
        (var,) = eqn.outputs
        value = self.values[var] = Value(var, self.uses[var], is_stored=False)
        value.equation = self.turn
        if type(found) is Load and len(inside.everything) == 1:
            self.view(value, found)
            return True
        if stored := self.searched(inside):
            found = replaced(found, lambda e: e._replace(operand=stored.get(e.operand, e.operand)), inside.everything)
            inside = self.inside(found)
        space = (var.aval.shape, 0)
        if eqn.primitive.checked_operands([a.aval for a in eqn.inputs], **eqn.params):
            value.checks = frozenset([self.turn])
        value.step = self.place(inside.leaves, space, self.effects if value.checks else 0)
        value.expression = self.resolved(found, value.step, space)
        value.rule = lambda: found
        value.cost, value.operations = measured(inside.everything)
        value.cost += CHEAP * inside.is_computed  # elements that lie anywhere are not read again and again
        self.measure(value, inside.leaves)
        self.add(value, None)
        return True

    def searched(self, inside: Inside) -> dict[Value, Value]:
        """Values that are read where it depends on what was read of them before, as in a search; and these in memory.

        If they were computed again there, each step would have the expressions of all steps before it once more.
        """
        stored: dict[Value, Value] = {}
        for leaf in inside.leaves if inside.is_computed else ():
            value, terms = leaf.operand, [e for i in leaf.index for _, e in i.terms]
            if value not in stored and any(type(e) is Load and e.operand is value for e in expressions_in(terms)):
                self.store(value)
                stored[value] = Value(value.atom, 1, value.step)
        return stored

    def checked(self, eqn: Eqn, readers: Sequence[Reader]) -> Sequence[Reader]:
        """What a rule reads operands by; all of them in memory if some are checked before, for what is computed in
        place of an array may not depend on where it is read, and then nobody would check that."""
        if not eqn.primitive.checked_operands([a.aval for a in eqn.inputs], **eqn.params):
            return readers
        values = [self.value(atom) for atom in eqn.inputs]
        for value in values:
            self.store(value)
        shape = eqn.outputs[0].aval.shape
        return [Reader(Value(value.atom, 1, value.step), value.aval, shape) for value in values]

    def like(self, pattern: Pattern, eqn: Eqn) -> bool:
        """Give an equation a place in a group, if it is known what its rule makes."""
        (var,) = eqn.outputs
        operands = [self.value(a) for a in eqn.inputs]
        value = self.values[var] = Value(var, self.uses[var], is_stored=False)
        value.equation = self.turn
        loads = [tuple.__new__(Load, (operands[number], index, dtype)) for number, index, dtype in pattern.loads]
        if type(pattern.expression) is Load:
            self.view(value, loads[0])
            return True
        space = (var.aval.shape, 0)
        step = value.step = self.place(loads, space)
        value.expression = pattern.of([self.read(load, step, space) for load in loads])
        value.rule = partial(pattern.of, loads)
        value.cost, value.operations = pattern.cost, pattern.operations
        self.measure(value, loads)
        self.add(value, None)
        return True

    def fill(self, var: Var) -> bool:
        """Give an array of one number a place in a group: most readers do without."""
        element = Load(self.outline.numbers[var], (), var.aval.dtype)
        if not var.aval.size or not self.supports(element):
            return False
        value = self.values[var] = Value(var, self.uses[var], is_stored=False)
        value.equation, value.is_number = self.turn, True
        value.step = self.place((), (var.aval.shape, 0))
        value.expression = element
        value.rule = lambda: element
        self.add(value, None)
        return True

    def view(self, value: Value, found: Load) -> None:
        """A value that only moves the elements of another one."""
        operand: Value = found.operand
        value.expression, value.is_view = found, True
        value.cost, value.operations, value.written = operand.cost, operand.operations, operand.written
        operand.uses += value.uses - 1  # whoever reads the view reads it

    def measure(self, value: Value, leaves: Sequence[Load]) -> None:
        """Add to what a value takes itself what its operands take, where it is computed at other places.

        What the operands share is counted for each, which is quicker than to look at everything again. Operations are
        those for a reader of few elements, who computes more again than readers of all: so no expression is too large.

        Args:
            leaves: what its rule reads.
        """
        shape = value.aval.shape
        leaves = [e for e in leaves if e.operand.rule is not None or e.operand.is_view]
        if not leaves:
            return
        if any(e.operand.is_view for e in leaves):
            self.measure_views(value, leaves)
            leaves = [e for e in leaves if e.operand.rule is not None]
        if len(leaves) > 1:
            leaves = list({(id(e.operand), e.index): e for e in leaves}.values())
        inlined: list[Value] = []
        for load in leaves:
            operand, is_same = load.operand, _is_own(load, (shape, 0))
            if self.is_repeatable_for(load, (shape, 0), is_same):
                inlined.append(operand)
                value.take_over(operand, is_same, LARGEST_EXPRESSION)
                self.measure_writing(value, load, is_same)
            elif self.is_repeatable(operand, (shape, 0), ()):
                value.count(operand, LARGEST_EXPRESSION)
            elif is_same:
                value.read[operand] = value.read.get(operand, 0) + 1
        turns = [inlined] if inlined else []
        while own := [x for x, count in value.read.items() if count == x.uses and x.operations < LARGEST_EXPRESSION]:
            for operand in own:  # nobody else reads these
                del value.read[operand]
                value.take_over(operand, True, LARGEST_EXPRESSION)
            turns.append(own)
        value.inlined = turns
        value.checks = value.checks.union(*(operand.checks for turn in turns for operand in turn))

    def measure_views(self, value: Value, leaves: Sequence[Load]) -> None:
        """Add what it takes to compute again what a value reads through views, each element once."""
        space = value.aval.shape, 0
        behind = [self.behind(e) for e in leaves if e.operand.is_view]
        for load in {(id(e.operand), e.index): e for e in behind}.values():
            if load.operand.rule is not None and self.is_repeatable_for(load, space):
                value.take_over(load.operand, False, LARGEST_EXPRESSION)
                self.measure_writing(value, load, False)
            elif load.operand.rule is not None and self.is_repeatable(load.operand, space, ()):
                value.count(load.operand, LARGEST_EXPRESSION)

    def measure_writing(self, value: Value, load: Load, is_same: bool) -> None:
        """Note how many elements of a value are written out, so that what it loads is computed once."""
        space = value.aval.shape, 0
        still = 1 if is_same else still_points(moving_axes(load, *space), *space)
        value.written = max(value.written, load.operand.written * still)

    def behind(self, load: Load) -> Load:
        """The load of what a view shows."""
        while load.operand.is_view:
            load = self.at(load.operand.expression, load.index)
        return load

    def is_written_out(self, reduction: Lowered) -> bool:
        """Whether a reduction is over so few elements that it is an expression of them."""
        extents = reduction.shape[len(reduction.shape) - reduction.reduced :]
        if not 0 < prod(extents) <= FEW:
            return False
        found = reduction.element(point(len(reduction.shape)))
        if prod(extents) == 1 and isinstance(found, Load):
            return False
        everything, leaves, _ = self.inside(found)
        operations = 1 + measured(everything)[1]
        for leaf in leaves:
            if self.is_repeatable(leaf.operand, (reduction.shape, reduction.reduced), range(len(reduction.shape))):
                operations += leaf.operand.operations
        return found.dtype != np.float16 and operations * prod(extents) <= MOST_OPERATIONS

    def is_repeatable(self, value: Value, space: Space, axes: Sequence[int]) -> bool:
        """Whether to compute a value again along some axes of a space, where it is needed at other places."""
        if value.operations >= LARGEST_EXPRESSION:
            return False
        return value.cost <= CHEAP or (value.uses == 1 and (not axes or self.is_as_large(value, space, axes)))

    def is_repeatable_for(self, load: Load, space: Space, is_own: bool = False) -> bool:
        """The same for a load in a space, where a load at the point itself (`is_own`) is done once for each element.

        A load that does not move along a tiny axis is done once if that axis is written out, and so is what the value
        reads of others; but only so many axes can be.
        """
        value = load.operand
        needs_size = not is_own and value.cost > CHEAP and value.uses == 1
        if not needs_size:
            return self.is_repeatable(value, space, ())
        axes = moving_axes(load, *space)
        return value.written * still_points(axes, *space) <= MOST_WRITTEN and self.is_repeatable(value, space, axes)

    def is_as_large(self, value: Value, space: Space, axes: Sequence[int]) -> bool:
        """Whether a value has as many elements as a space has points along some axes, which is noted."""
        extents = self.extents(self.turn, space)
        question = tuple([extents[axis] for axis in axes]), self.outline.numbers[value.atom]
        answer = self.weighed[question] = prod([space[0][axis] for axis in axes]) <= value.aval.size
        return answer

    def reduce(self, eqn: Eqn, reduction: Lowered) -> bool:
        """Give a reduction a place among others over the same shape and axes."""
        (var,), shape, count = eqn.outputs, reduction.shape, reduction.reduced
        if not count or 0 in shape:
            return False
        found = reduction.element(point(len(shape)))
        everything, leaves, _ = self.inside(found)
        combines = Apply(f"reduce_{reduction.combine}", (found,), found.dtype)
        if not all(map(self.supports, [*everything, combines])):
            return False
        step = self.place(leaves, (shape, count))
        value = self.values[var] = Value(var, self.uses[var], step)
        value.equation = self.turn
        value.expression = self.resolved(found, step, (shape, count))
        self.add(value, reduction.combine)
        value.expression = None
        self.reductions.append((self.turn, (shape, count)))
        return True

    def add(self, value: Value, combine: str | None) -> None:
        group = self.steps[value.step]
        assert isinstance(group, Group)
        assert value.expression is not None
        group.operations += 1
        group.checks |= value.checks
        group.values.append((value, Output(value.expression, combine)))

    def place(self, leaves: Sequence[Load], space: Space, earliest: int = 0) -> int:
        """The last group over a space that comes after everything that is read; a new one if need be."""
        for leaf in leaves:
            earliest = max(earliest, self.earliest(leaf, space))
        groups = self.groups.setdefault(space, [])
        for number in reversed(groups):
            if number < earliest:
                break
            if self.steps[number].operations < LARGEST_KERNEL:
                return number
        groups.append(len(self.steps))
        self.steps.append(Group(*space))
        return groups[-1]

    def earliest(self, leaf: Load, space: Space) -> int:
        """The first step over a space that can read an element of a value."""
        value = leaf.operand
        if value.expression is None:
            return value.step + 1
        if value.is_number:
            return 0
        if value.is_view:
            expression = value.expression
        elif _is_own(leaf, space):
            return value.step
        elif self.is_repeatable_for(leaf, space):
            expression = self.elsewhere(value)
        else:
            return value.step + 1
        return max([self.earliest(e, space) for e in self.leaves_at(expression, leaf.index)], default=0)

    def resolved(self, expression: Expression, number: int, space: Space) -> Expression:
        """An expression in terms of loads from memory, and of what its own group computes."""

        def in_memory(load: Load) -> Expression:
            return self.read(load, number, space) if type(load.operand) is Value else load

        return replaced(expression, in_memory, self.inside(expression).everything)

    def resolved_at(self, expression: Expression, index: Index, number: int, space: Space) -> Expression:
        """The same for an expression at another index."""
        inside = self.inside(expression)
        if inside.is_computed or has_terms(index):
            return self.resolved(self.at(expression, index), number, space)
        results: dict[int, Expression] = {}
        for leaf, load in zip(inside.leaves, self.leaves_at(expression, index)):
            results[id(leaf)] = self.read(load, number, space)
        for e in inside.everything:
            if type(e) is Apply:
                results[id(e)] = rebuilt(e, results)
            elif id(e) not in results:
                results[id(e)] = at_index(e, index, results)
        return results[id(expression)]

    def read(self, leaf: Load, number: int, space: Space) -> Expression:
        value = leaf.operand
        if value.expression is not None:
            if value.is_number:
                return value.expression
            if value.is_view:
                self.note(value, number)
                return self.resolved_at(value.expression, leaf.index, number, space)
            if value.step == number and _is_own(leaf, space):
                return value.expression
            if self.is_repeatable_for(leaf, space):
                self.note(value, number)
                return self.resolved_at(self.elsewhere(value), leaf.index, number, space)
        elif value.shown is not None and number <= value.step:  # read before it is in memory
            self.note(value, number)
            return self.resolved_at(value.shown, leaf.index, number, space)
        self.store(value)
        return tuple.__new__(Load, (self.outline.numbers[value.atom], leaf.index, leaf.dtype))

    def again(self, load: Load) -> Expression:
        """What it takes to compute the element of a value that a load reads."""
        return self.at(self.elsewhere(load.operand), load.index)

    def elsewhere(self, value: Value) -> Expression:
        """The expression of a value for readers at other places. Most values have none, so that it is made late."""
        waiting = [value]  # a stack of our own: what an expression is made of may be nested deeply
        while waiting:
            last = waiting[-1]
            missing = [x for turn in last.inlined for x in turn if x.elsewhere is None]
            waiting += missing
            if not missing:
                waiting.pop()
                last.elsewhere = last.elsewhere or self.composed(last)
        return value.elsewhere

    def composed(self, value: Value) -> Expression:
        """What the rule of a value made, with the operands that are computed again in the place of reads of them."""
        assert value.rule is not None
        found = value.rule()
        for turn in value.inlined:
            again, inside = frozenset(turn), self.inside(found).everything
            found = replaced(
                found, lambda load, again=again: self.again(load) if load.operand in again else load, inside
            )
        return found

    def at(self, expression: Expression, index: Index) -> Expression:
        """An expression at another index: once, if many ask for the same."""
        if index == point(len(index)):
            return expression
        if has_terms(index):  # which take long to compare
            return all_substituted(self.inside(expression).everything, index)[-1]
        key = id(expression), index
        found = self.moved.get(key)
        if found is None:
            everything = all_substituted(self.inside(expression).everything, index)
            found = self.moved[key] = self.noted(everything).everything[-1]
        return found

    def leaves_at(self, expression: Expression, index: Index) -> Sequence[Load]:
        """The values that an expression reads at another index, load by load."""
        inside = self.inside(expression)
        if index == point(len(index)):
            return inside.leaves
        if inside.is_computed or has_terms(index):
            return self.inside(self.at(expression, index)).leaves
        key = id(expression), index
        found = self.leaves.get(key)
        if found is None:
            found = self.leaves[key] = [at_index(leaf, index, {}) for leaf in inside.leaves]
        return found

    def inside(self, expression: Expression) -> Inside:
        """What an expression is made of."""
        return self.insides.get(id(expression)) or self.noted(expressions_in([expression]))

    def noted(self, everything: Sequence[Expression]) -> Inside:
        """What the last of some expressions is made of, which are all of these."""
        leaves = [e for e in everything if type(e) is Load and type(e.operand) is Value]
        is_computed = any(type(e) is not Apply and parts(e) for e in everything)
        found = self.insides[id(everything[-1])] = Inside(everything, leaves, is_computed)
        return found

    def note(self, value: Value, number: int) -> None:
        """That a group computes what belongs to another one, or to none."""
        if value.equation is not None:
            self.steps[number].again[value.atom] = value.equation
        self.steps[number].checks |= value.checks


def _is_own(leaf: Load, space: Space) -> bool:
    """Whether a value is read at the point of the space itself, by a reader over the same shape."""
    shape, reduced = space
    return not reduced and leaf.index == point(len(shape)) and leaf.operand.aval.shape == shape


