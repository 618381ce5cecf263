"""What statements of a recurrence are collected with: registers, arrays, and how values are read and written."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import product
from math import prod
from typing import Any

import numpy as np

from ...core.avals import ShapedArray
from ...core.jaxpr import Eqn, Literal
from ..instructions import Column
from ..loopnest import INT, Apply, Constant, Expression, Index, Load, Register, cast, constant
from ..places import Place
from ..recurrence import Assign, Repeat, Statement, Store
from .elements import (
    LARGEST_ARRAY,
    LARGEST_CHOICE,
    LARGEST_VECTOR,
    Array,
    Box,
    Boxes,
    Buffer,
    ElementBuilder,
    Elements,
    NoRows,
    Rows,
    TooLarge,
    at_value,
    boxed,
    computed,
    constants,
    fixed,
    known_indices,
    too_many,
)

#: A body of more operations is not taken apart: time to compile grows with it.
LARGEST_BODY = 2500
#: Constants that count further than this are read from memory.
LARGEST_COUNT = 1 << 40


class Collector:
    """Collects statements."""

    def __init__(self, supports: Callable[[Expression], bool], source: Any):
        self.supports = supports
        self.source = source
        self.operations = 0
        self.statements: list[Statement] = []
        self.count = 0
        self.arrays: list[Place | Literal | ShapedArray | Column] = []
        self.buffers: list[Buffer] = []
        self.literals: dict[int, Array] = {}
        self.supported: dict[Any, bool] = {}
        self.read: dict[Load, Register] = {}  # what has been read into registers where the statements at hand are

    # ---- registers and arrays

    def register(self, dtype: np.dtype[Any]) -> Register:
        self.count += 1
        return Register(self.count - 1, dtype)

    def buffer(self, array: Place | Literal | ShapedArray | Column, is_fixed: bool) -> Buffer:
        """An array in memory; the one that it was before, if it is at the same place."""
        aval = array.aval if isinstance(array, (Literal, Column)) else array
        if isinstance(array, Place):
            for known, buffer in zip(self.arrays, self.buffers):
                if known == array and buffer.is_fixed == is_fixed:
                    return buffer
        self.arrays.append(array)
        self.buffers.append(Buffer(len(self.buffers), aval.shape, aval.dtype, is_fixed))
        return self.buffers[-1]

    def given(self, place: Place, value: Any) -> Array:
        """An operand; a few integers are known as such, for the sake of indices."""
        boxes = None
        if value is not None and value.dtype.kind in "iub" and value.size <= LARGEST_CHOICE:
            boxes = boxed(value.shape, lambda i: constant(value[tuple(x.offset for x in i)], value.dtype))
        return Array.of(self.buffer(place, True), boxes=boxes)

    def scratch(self, aval: ShapedArray) -> Array:
        """Room for an array."""
        return Array.of(self.buffer(ShapedArray(aval.shape, aval.dtype), False), may_write=True)

    @contextmanager
    def block(self) -> Iterator[list[Statement]]:
        """Statements are collected apart from the others meanwhile."""
        outer, self.statements = (self.statements, self.read), []
        self.read = dict(self.read)
        try:
            yield self.statements
        finally:
            self.statements, self.read = outer

    def registers(self, boxes: Boxes) -> Boxes:
        """A register for each element."""
        found = np.empty(boxes.shape, object)
        for index, box in np.ndenumerate(boxes):
            found[index] = Box(self.register(box.expression.dtype))
        return found

    def assign(self, registers: Sequence[Any], values: Sequence[Expression]) -> None:
        pairs = [(r, e) for r, e in zip(registers, values) if r is not e]
        if pairs:
            self.statements.append(Assign(tuple(r for r, _ in pairs), tuple(e for _, e in pairs)))

    # ---- values

    def kept_expression(self, expression: Expression) -> Expression:
        """A register with the value that an expression has now; what nobody changes is read once."""
        if isinstance(expression, (Constant, Register)):
            return expression
        is_lasting = isinstance(expression, Load) and self.is_lasting(expression)
        if is_lasting and expression in self.read:
            return self.read[expression]
        self.counted(1)
        register = self.register(expression.dtype)
        self.statements.append(Assign((register,), (expression,)))
        if is_lasting:
            self.read[expression] = register
        return register

    def is_lasting(self, load: Load) -> bool:
        """Whether an element is the same wherever in a step it is read."""
        at_registers = all(isinstance(e, Register) for i in load.index for _, e in i.terms)
        return self.buffers[load.operand].is_fixed and at_registers

    def kept_together(self, expressions: Sequence[Expression]) -> list[Expression]:
        """Registers with the values of expressions that are made of the same parts: these count once."""
        found = [e if isinstance(e, (Constant, Register)) else self.register(e.dtype) for e in expressions]
        self.assign(found, expressions)
        return found

    def kept(self, value: Any) -> Any:
        """A value as others can use it later: what is computed is in registers."""
        if isinstance(value, (Array, Rows, NoRows)):
            return value
        found = np.empty(value.shape, object)
        for index, box in np.ndenumerate(value):
            found[index] = Box(self.kept_expression(box.expression))
        return found

    def boxes(self, value: Any) -> Boxes:
        """The elements of a value; those that are in memory are read now."""
        if not isinstance(value, Array):
            return value
        if value.boxes is not None:
            return value.boxes
        if value.aval.size > LARGEST_ARRAY:
            raise TooLarge(too_many(f"an array that is needed as a whole has {value.aval.size} elements"))
        found = boxed(value.aval.shape, value.at)
        if not value.is_fixed:
            return self.kept(found)
        value.boxes = found
        return found

    def made(self, aval: ShapedArray, element: Callable[[Index], Expression], sources: Sequence[Any]) -> Any:
        """A value by its elements: a view, if they are many."""
        arrays = [x for x in sources if isinstance(x, Array)]
        if aval.size > LARGEST_ARRAY:
            reads = {buffer: version for x in arrays for buffer, version in x.reads.items()}
            return Array(aval, element, reads)
        found = boxed(aval.shape, lambda index: self.checked(element(index)))
        return found if all(x.is_fixed for x in arrays) else self.kept(found)

    def reader(self, value: Any) -> Any:
        """What a rule reads a value by."""
        if isinstance(value, Array):
            return value
        aval = ShapedArray(value.shape, value.flat[0].expression.dtype if value.size else INT)
        return Elements(value, aval, self.spilled)

    def spilled(self, boxes: Boxes, aval: ShapedArray) -> Array:
        """A small array in memory."""
        room = self.scratch(aval)
        self.fill(room, boxes)
        return self.renewed(room)

    def constant(self, literal: Literal) -> Any:
        """A constant: its elements, if they are few, otherwise an array in memory."""
        if literal.aval.size <= LARGEST_CHOICE:
            return constants(literal)
        found = self.literals.get(id(literal))
        if found is None and literal.aval.size > LARGEST_ARRAY and (counts := counting(literal.value)) is not None:
            found = self.literals[id(literal)] = counts
        if found is None:
            boxes = constants(literal) if literal.aval.size <= LARGEST_ARRAY else None
            found = self.literals[id(literal)] = Array.of(self.buffer(literal, True), boxes=boxes)
        return found

    # ---- writing

    def write(
        self, x: Array, value: Any, shape: tuple[int, ...], place: Callable[[Index], Index], combine: str | None
    ) -> None:
        """Write a value, which broadcasts to a shape, into an array, or combine it with what is there."""
        assert x.home is not None
        buffer, leading = x.home
        dtype = buffer.dtype
        if isinstance(value, Array) and prod(shape) > LARGEST_ARRAY:
            value = self.apart_from(value, x)
        else:
            value = self.boxes(value)
            if prod(shape) > LARGEST_ARRAY and value.size > 1:
                value = self.in_memory(value)
        reader = self.reader(value)

        def store(index: Index) -> None:
            where = (*leading, *place(index))
            new = cast(reader.broadcast(index), dtype)
            if isinstance(new, Apply) and isinstance(value, Array) and prod(shape) > LARGEST_VECTOR:
                raise TooLarge(f"a matrix of {prod(shape)} elements is computed, and {LARGEST_VECTOR} is the limit")
            if combine is not None:
                old = self.kept_expression(Load(buffer.number, where, dtype))
                new = self.checked(Apply(combine, (old, new), dtype))
            self.statements.append(Store(buffer.number, where, new))
            self.counted(1)

        if prod(shape) > LARGEST_ARRAY:
            self.over(shape, (), store)
        else:
            for index in known_indices(shape):
                store(index)
        buffer.change()

    def over(self, shape: tuple[int, ...], index: Index, act: Callable[[Index], None]) -> None:
        """Do something at all indices of a shape, in loops."""
        if not shape:
            act(index)
            return
        counter = self.register(INT)
        with self.block() as statements:
            self.over(shape[1:], (*index, at_value(counter)), act)
        self.statements.append(
            Repeat(counter, constant(shape[0], INT), (), None, tuple(statements), most=shape[0])
        )

    def fill(self, x: Array, value: Any) -> None:
        """Write a value to all of an array."""
        self.write(x, value, x.aval.shape, lambda index: index, None)

    def moved(self, value: Any) -> Array:
        """A value in memory of its own."""
        aval = value.aval if isinstance(value, Array) else self.reader(value).aval
        room = self.scratch(aval)
        self.fill(room, value)
        return self.renewed(room)

    def apart_from(self, value: Any, x: Array) -> Any:
        """A value that is not read from an array while that is written to."""
        is_read = isinstance(value, Array) and value.aval.size > 1 and any(map(value.uses, x.reads))
        return self.moved(value) if is_read else value

    def renewed(self, x: Array) -> Array:
        """An array as it is after it has been written to."""
        assert x.home is not None
        return Array.of(*x.home, may_write=x.may_write)

    def in_memory(self, value: Any) -> Array:
        """A value as an array in memory."""
        return value if isinstance(value, Array) else self.spilled(value, self.reader(value).aval)

    def through_steps(self, value: Any) -> Array:
        """A value of which each step of a loop gets an element: counts, or an array in memory."""
        if isinstance(value, NoRows):
            raise TooLarge("it reads a stack without entries")
        boxes = value.boxes if isinstance(value, Array) else value
        if boxes is not None and all(isinstance(box.expression, Constant) for box in boxes.flat):
            counts = counting([box.expression.number for box in boxes]) if boxes.ndim == 1 else None
            return counts or self.in_memory(value)
        return self.in_memory(value)

    def bring(self, pairs: Sequence[tuple[Array, Any]]) -> None:
        """Write values to arrays, some of which the values may be read from."""
        own = [x.home[0] for x, _ in pairs if x.home is not None]
        ready = [self.moved(y) if isinstance(y, Array) and any(map(y.uses, own)) else y for _, y in pairs]
        for (x, _), y in zip(pairs, ready):
            self.fill(x, y)

    # ---- what rules compute

    def computed(self, eqn: Eqn, aval: ShapedArray, operands: list[Boxes]) -> Boxes:
        """What a rule says, element by element."""
        if aval.size > LARGEST_ARRAY:
            raise TooLarge(too_many(f"`{eqn.primitive.name}` makes {aval.size} elements"))
        builder = ElementBuilder(aval)
        readers = [Elements(x, a.aval, self.spilled) for x, a in zip(operands, eqn.inputs)]
        reduction = eqn.primitive.lower_reduction(builder, *readers, **eqn.params)
        if reduction is not None:
            return self.reduced(aval, reduction)
        rule = eqn.primitive.lower(builder, *readers, **eqn.params)
        if rule is None:
            raise TooLarge(no_rule(eqn))
        return boxed(aval.shape, lambda index: self.checked(rule(index)))

    def reduced(self, aval: ShapedArray, reduction: Any) -> Boxes:
        extents = reduction.shape[len(reduction.shape) - reduction.reduced :]
        if 0 in extents:
            raise TooLarge("something of no elements is reduced")

        def total(index: Index) -> Expression:
            terms = [reduction.element((*index, *map(fixed, rest))) for rest in product(*map(range, extents))]
            while len(terms) > 1:
                pairs = list(zip(terms[::2], terms[1::2]))
                joined = [self.checked(Apply(reduction.combine, pair, aval.dtype)) for pair in pairs]
                terms = [*joined, *terms[2 * len(pairs) :]]
            return self.checked(terms[0])

        return boxed(aval.shape, total)

    def checked(self, expression: Expression) -> Expression:
        """An expression that the backend can compute, counted."""
        if isinstance(expression, Apply):
            self.counted(1)
        for e in _near(expression):
            if not self.is_supported(e):
                name = getattr(expression, "operation", "load")
                raise TooLarge(f"there is no native {name} on {expression.dtype}")
        return expression

    def is_supported(self, expression: Expression) -> bool:
        """Whether the backend can compute an expression; what it says of operands that are no constants is kept."""
        if not isinstance(expression, Apply) or any(isinstance(x, Constant) for x in expression.operands):
            return self.supports(expression)
        key = expression.operation, expression.dtype, *[x.dtype for x in expression.operands]
        if key not in self.supported:
            self.supported[key] = self.supports(expression)
        return self.supported[key]

    def counted(self, operations: int) -> None:
        self.operations += operations
        if self.operations > LARGEST_BODY:
            raise TooLarge(f"a step has more than {LARGEST_BODY} operations on single numbers")


def counting(values: Any) -> Array | None:
    """An array of integers that counts along an axis, without a place in memory; None if it does not."""
    values = np.asarray(values)
    if values.dtype != INT or values.size < 2:
        return None
    axis = next(axis for axis, n in enumerate(values.shape) if n > 1)
    line = values[tuple(slice(None) if a == axis else 0 for a in range(values.ndim))]
    first, step = int(line[0]), int(line[1]) - int(line[0])
    if max(abs(first), abs(step) * len(line)) > LARGEST_COUNT:
        return None
    own = np.arange(len(line)) * step + first
    if not np.array_equal(values, np.broadcast_to(own.reshape(-1, *[1] * (values.ndim - axis - 1)), values.shape)):
        return None
    return Array(ShapedArray(values.shape, INT), lambda index: computed(index[axis].times(step).plus(first)), {})


def no_rule(eqn: Eqn) -> str:
    """The clause that says that an equation cannot be taken apart."""
    return f"`{eqn.primitive.name}` is not computed element by element"


def _near(expression: Expression) -> list[Expression]:
    """An expression and its operands: what a rule has just made, and a little more."""
    return [expression, *(expression.operands if isinstance(expression, Apply) else ())]
