"""What rules make the expressions of kernels with (`Primitive.lower`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..core.avals import ShapedArray
from .loopnest import (
    BOOL,
    INT,
    ORIGIN,
    Affine,
    Apply,
    Expression,
    Index,
    Position,
    cast,
    constant,
    flattened,
    named_element,
    normalized,
)


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
        given = tuple([x if x.dtype is dtype else cast(x, dtype) for x in operands])
        return tuple.__new__(Apply, (operation, given, gives or self.aval.dtype))

    def apply_to(self, operation: str, *operands: Expression) -> Expression:
        """A scalar operation on operands as they are; it gives what the result has for a dtype."""
        return Apply(operation, operands, self.aval.dtype)

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

    @staticmethod
    def named(index: Expression, extent: int, mode: str) -> tuple[Affine, Expression | None]:
        """What an integer means as an index, and whether there is such an element, where that is not certain."""
        i, exists = named_element(index, extent, mode)
        return ORIGIN.shifted(i), exists

    def element_number(self, index: Expression, extent: int, mode: str) -> Expression:
        """The number of the element that an integer names as an index; -1 if there is none."""
        i, exists = named_element(index, extent, mode)
        return self.cast(i) if exists is None else self.choose(exists, i, self.constant(-1))

    def both(self, x: Expression | None, y: Expression | None) -> Expression | None:
        """Whether two things hold; None: one of which nobody doubts."""
        return x if y is None else y if x is None else Apply("logical_and", (x, y), BOOL)

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
