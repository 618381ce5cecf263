"""Values in a recurrence: small arrays as an expression for each element, the others as arrays in memory.

What only moves elements of a small array (stacks, slices, updates) moves expressions, and costs nothing when it runs.
An array in memory is read and written at indices; a view of one is index arithmetic.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import count, product
from math import prod
from typing import Any, NamedTuple

import numpy as np

from ...core.avals import ShapedArray
from ...core.jaxpr import Literal
from ..builder import Builder
from ..loopnest import (
    BOOL,
    INT,
    Affine,
    Apply,
    Constant,
    Expression,
    Index,
    Load,
    cast,
    constant,
)

#: An array of more elements than this is not taken apart.
LARGEST_ARRAY = 64
#: Vectors of more elements than this are computed by kernels.
LARGEST_VECTOR = 2048
#: The versions of buffers, none of which comes twice.
VERSIONS = count(1)
#: An axis along which a computed index picks among registers has at most this extent.
LARGEST_CHOICE = 8


class TooLarge(Exception):
    """A loop is not one for registers; the message is a clause that says why."""


class Box:
    """An expression as an element of an array: a tuple itself would be taken for a row."""

    __slots__ = ("expression",)

    def __init__(self, expression: Expression):
        self.expression = expression

    def __add__(self, other: Box) -> Box:
        return self._with("add", other)

    def __mul__(self, other: Box) -> Box:
        return self._with("multiply", other)

    def _with(self, operation: str, other: Box) -> Box:
        dtype = self.expression.dtype
        return Box(Apply(operation, (self.expression, cast(other.expression, dtype)), dtype))


Boxes = np.ndarray[Any, np.dtype[np.object_]]


class Buffer:
    """An array in memory.

    Attributes:
        is_fixed: whether nobody writes to it while the recurrence runs.
        is_taped: whether it is an entry of a stack, which somebody moves before some steps.
        version: changes whenever something writes to it.
    """

    __slots__ = ("dtype", "is_fixed", "is_taped", "number", "shape", "version")

    def __init__(self, number: int, shape: tuple[int, ...], dtype: np.dtype[Any], is_fixed: bool):
        self.number = number
        self.shape = shape
        self.dtype = dtype
        self.is_fixed = is_fixed
        self.is_taped = False
        self.version = 0

    def change(self) -> None:
        """Something has been written to it."""
        self.version = next(VERSIONS)


class Array:
    """A value in memory, or a view of one.

    Attributes:
        element: the expression at an index.
        reads: the versions of the buffers that it is made of.
        home: the buffer that it is all of, or all behind some leading indices; None for other views.
        may_write: whether nobody else needs what is in the buffer, so that it can be changed in place.
        boxes: its elements, if these are known without a look at memory.
    """

    def __init__(
        self,
        aval: ShapedArray,
        element: Callable[[Index], Expression],
        reads: Mapping[Buffer, int],
        home: tuple[Buffer, Index] | None = None,
        may_write: bool = False,
        boxes: Boxes | None = None,
    ):
        self.aval = aval
        self.element = element
        self.reads = dict(reads)
        self.home = home
        self.may_write = may_write
        self.boxes = boxes

    @classmethod
    def of(cls, buffer: Buffer, leading: Index = (), may_write: bool = False, boxes: Boxes | None = None) -> Array:
        """What a buffer has now, behind some leading indices."""
        aval = ShapedArray(buffer.shape[len(leading) :], buffer.dtype)
        element = lambda index: Load(buffer.number, (*leading, *index), buffer.dtype)  # noqa: E731
        return cls(aval, element, {buffer: buffer.version}, (buffer, leading), may_write, boxes)

    @property
    def is_fixed(self) -> bool:
        """Whether it is the same all the time that the recurrence runs."""
        return all(buffer.is_fixed for buffer in self.reads)

    @property
    def is_taped(self) -> bool:
        """Whether it is an entry of a stack, which somebody moves before some steps."""
        return any(buffer.is_taped for buffer in self.reads)

    def uses(self, buffer: Buffer) -> bool:
        """Whether a part of it is in a buffer, as that is now."""
        return self.reads.get(buffer) == buffer.version

    def at(self, index: Index) -> Expression:
        if any(buffer.version != version for buffer, version in self.reads.items()):
            raise TooLarge("an array that is changed is needed as it was before")
        return self.element(index)

    def broadcast(self, index: Index) -> Expression:
        return self.at(broadcast_index(index, self.aval.shape))


class Rows(NamedTuple):
    """A stack as a value: entries that lie one after the other in a buffer, behind those of earlier stacks.

    Attributes:
        levels: if the entries are stacks themselves, where each of them begins and how many entries it has; if those
            are stacks, the same for these, and so on.
        entries: the buffer with the innermost entries, which are arrays.
        start: the place of the first entry.
        count: the number of entries.
    """

    levels: tuple[tuple[Buffer, Buffer], ...]
    entries: Buffer
    start: Expression
    count: Expression

    @property
    def buffers(self) -> list[Buffer]:
        return [*(buffer for level in self.levels for buffer in level), self.entries]


class NoRows:
    """A stack without entries, on no tape."""


class Elements:
    """A small array in a rule, with an expression for each element.

    Args:
        spilled: puts it in memory, for the sake of computed indices.
    """

    def __init__(self, boxes: Boxes, aval: ShapedArray, spilled: Callable[[Boxes, ShapedArray], Array]):
        self.boxes = boxes
        self.aval = aval
        self.spilled = spilled

    def at(self, index: Index) -> Expression:
        extents = [n for n, i in zip(self.boxes.shape, index) if i.terms]
        if prod(extents) > LARGEST_CHOICE:
            return self.spilled(self.boxes, self.aval).at(index)
        return self._chosen([], index)

    def broadcast(self, index: Index) -> Expression:
        return self.at(broadcast_index(index, self.boxes.shape))

    def _chosen(self, known: list[int], rest: Index) -> Expression:
        """The element at an index; where the index is computed, a choice among all."""
        if not rest:
            return self.boxes[tuple(known)].expression
        index, others = rest[0], rest[1:]
        if not index.terms:
            return self._chosen([*known, index.offset], others)
        extent = self.boxes.shape[len(known)]
        if extent == 0:
            raise TooLarge("an array without elements is read")
        position = computed(index)
        found = self._chosen([*known, extent - 1], others)
        for i in reversed(range(extent - 1)):
            is_here = Apply("equal", (position, constant(i, INT)), BOOL)
            found = Apply("select", (is_here, self._chosen([*known, i], others), found), self.aval.dtype)
        return found


class ElementBuilder(Builder):
    """What rules make expressions of, where no index has axes."""

    def position(self, index: Affine, dtype: np.dtype[Any] | None = None) -> Expression:
        return cast(computed(index), dtype or self.aval.dtype)


def broadcast_index(index: Index, shape: tuple[int, ...]) -> Index:
    """An index of the result of broadcasting as one of an operand."""
    own = index[len(index) - len(shape) :]
    return tuple(Affine(0, ()) if n == 1 else i for i, n in zip(own, shape))


def computed(index: Affine) -> Expression:
    """An index without axes as an expression."""
    total: Expression = constant(index.offset, INT)
    for factor, expression in index.terms:
        term = cast(expression, INT)
        scaled = term if factor == 1 else Apply("multiply", (term, constant(factor, INT)), INT)
        total = scaled if is_number(total, 0) else Apply("add", (total, scaled), INT)
    return total


def is_number(expression: Expression, number: int) -> bool:
    """Whether an expression is a known number."""
    return isinstance(expression, Constant) and expression.number == number


def fixed(number: int) -> Affine:
    """A number as an index."""
    return Affine(number, ())


def at_value(expression: Expression) -> Affine:
    """An integer as an index."""
    if isinstance(expression, Constant):
        return fixed(int(expression.number))
    return Affine(0, (), ((1, cast(expression, INT)),))


def added(i: Affine, j: Affine) -> Affine:
    """The sum of indices without axes."""
    return Affine(i.offset + j.offset, (), (*i.terms, *j.terms))


def boxed(shape: tuple[int, ...], element: Callable[[Index], Expression]) -> Boxes:
    """An array of expressions."""
    found = np.empty(shape, object)
    for index in product(*map(range, shape)):
        found[index] = Box(element(tuple(map(fixed, index))))
    return found


def constants(literal: Literal) -> Boxes:
    """The elements of a constant."""
    values = np.asarray(literal.value, literal.aval.dtype)
    return boxed(values.shape, lambda index: constant(values[tuple(i.offset for i in index)], values.dtype))


def in_dtype(boxes: Boxes, dtype: np.dtype[Any]) -> Boxes:
    """Expressions cast to a dtype.

    NumPy puts an array without axes into an array of objects as it is: then the element is in that.
    """
    boxes = np.asarray(boxes, object)

    def element(index: Index) -> Expression:
        found = boxes[tuple(i.offset for i in index)]
        return cast(found[()].expression if isinstance(found, np.ndarray) else found.expression, dtype)

    return boxed(boxes.shape, element)


def too_many(what: str) -> str:
    """The clause that says that something has too many elements."""
    return f"{what}, and {LARGEST_ARRAY} is the limit"


def known_indices(shape: Sequence[int]) -> list[Index]:
    """All indices of an array, in row-major order."""
    return [tuple(map(fixed, index)) for index in product(*map(range, shape))]


def protected(value: Any) -> Any:
    """A value that must not be overwritten."""
    if not isinstance(value, Array):
        return value
    return Array(value.aval, value.element, value.reads, value.home, False, value.boxes)


def is_number_known(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.shape == () and isinstance(value[()].expression, Constant)


def is_at(value: Any, home: Any) -> bool:
    """Whether an array is in a buffer now, all of it."""
    return isinstance(value, Array) and value.home == home and value.uses(home[0])
