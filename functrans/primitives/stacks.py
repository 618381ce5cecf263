"""Stacks outside of loops: how to begin one, how long one is, and the choice between two. Loops do all else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..core.avals import ZERO, ShapedArray, StackAval
from ..core.primitive import Primitive, is_hole
from ..core.stack import Stack
from ..core.trace import operators, typeof
from .foundation import all_mapped


class EmptyStack(Primitive):
    """A stack without entries, which stands for zeros: `empty_stack(aval=)`."""

    only_moves = True

    def abstract_eval(self, *, aval: StackAval) -> list[Any]:
        return [aval]

    def impl(self, *, aval: StackAval) -> list[Any]:
        return [Stack(aval)]


class StackLength(Primitive):
    """How many entries a stack has; the same for all lanes."""

    only_moves = True

    def abstract_eval(self, stack: ShapedArray) -> list[ShapedArray]:
        return [ShapedArray((), np.dtype(np.int64))]

    def impl(self, stack: Stack) -> list[Any]:
        return [np.int64(stack.length)]

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
        return [self(primals[0])], [ZERO]

    def batch(self, size: int, values: Sequence[Any], mapped: Sequence[bool]) -> tuple[Any, Any]:
        return [self(values[0])], [False]


class ChooseEntries(Primitive):
    """`choose_entries(lanes, x, y)`: the entries of x in the lanes where the condition holds, those of y elsewhere.

    The axes of `lanes` are the leading ones of each entry.
    """

    only_moves = True

    def abstract_eval(self, lanes: ShapedArray, x: Any, y: Any) -> list[Any]:
        return [x]

    def impl(self, lanes: Any, x: Stack, y: Stack) -> list[Any]:
        return [x.chosen(lanes, y)]

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
        lanes, x, y = primals
        zero = empty_stack(aval=typeof(x))
        dx, dy = (zero if t is ZERO else t for t in tangents[1:])
        return [self(lanes, x, y)], [self(lanes, dx, dy)]

    def jet(self, order: int, series: Sequence[Any]) -> list[Any]:
        (lanes, *_), x, y = series
        zero = empty_stack(aval=typeof(x[0]))
        return [[self(lanes, *(zero if c is ZERO else c for c in pair)) for pair in zip(x, y)]]

    def transpose(self, cotangents: Sequence[Any], lanes: Any, x: Any, y: Any) -> list[Any]:
        (ct,) = cotangents
        zero = empty_stack(aval=typeof(ct))
        return [None, self(lanes, ct, zero) if is_hole(x) else None, self(lanes, zero, ct) if is_hole(y) else None]

    def batch(self, size: int, values: Sequence[Any], mapped: Sequence[bool]) -> tuple[Any, Any]:
        return [self(*all_mapped(size, values, mapped))], [True]


empty_stack = EmptyStack("empty_stack")
stack_length = StackLength("stack_length")
choose_entries = ChooseEntries("choose_entries")
operators.empty_stack = empty_stack
