"""Cumulative operations: scans where there are many long rows, or if the backend divides them; else loops over the
elements of an axis."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

from ..core.avals import ShapedArray
from ..core.jaxpr import Jaxpr
from .instructions import Block, ScanRun
from .loopnest import Apply, Load, point
from .places import Place

#: Along so many elements at most, all rows go from one to the next together, wherever in memory they are.
SHORT = 32
#: With so many elements beside each other, they are worth a kernel for each step.
WIDE = 64


def goes_by_rows(shape: tuple[int, ...], axis: int) -> bool:
    """Whether to accumulate row after row, rather than all rows together."""
    return prod(shape[:axis]) > 1 and shape[axis] > SHORT and prod(shape[axis + 1 :]) < WIDE


def accumulate(
    assembler: Any,
    block: Block,
    x: Place,
    target: Place,
    axis: int,
    reverse: bool,
    operation: str,
    body_for: Callable[[tuple[int, ...]], Jaxpr],
) -> bool:
    """Combine all elements of an axis up to each one, if there are any.

    Args:
        operation: combines two elements.
        body_for: makes the body of a loop for arrays of some shape: `so far, x -> together, together`.
    """
    if 0 in x.shape:
        return True
    if (assembler.has_launches or goes_by_rows(x.shape, axis)) and assembler.supports(_combined(x, operation)):
        _scan(assembler, block, x, target, axis, reverse, operation)
        return True
    if not target.is_contiguous:
        return False
    order = (axis, *(a for a in range(len(x.shape)) if a != axis))
    steps, results = x.transposed(order), target.transposed(order)
    length = x.shape[axis]
    first, rest = ((length - 1, length), (0, length - 1)) if reverse else ((0, 1), (1, length))
    start = _element(_part(steps, *first))
    assembler.copy(block, start, _element(_part(results, *first)))
    if length > 1:
        body = body_for(start.shape)
        last = assembler.contiguous("temporary", ShapedArray(start.shape, start.dtype))
        operands = _part(steps, *rest), _part(results, *rest)
        assembler.loop(block, body, length - 1, reverse, (), [start], [operands[0]], [last], [operands[1]])
    return True


def _combined(x: Place, operation: str) -> Apply:
    """Two elements together."""
    element = Load(0, point(len(x.shape)), x.dtype)
    return Apply(operation, (element, element), x.dtype)


def _scan(assembler: Any, block: Block, x: Place, target: Place, axis: int, reverse: bool, operation: str) -> None:
    """Add the instruction that scans an axis; from its end on, if that is wanted."""
    order = (*(a for a in range(len(x.shape)) if a != axis), axis)
    source, target = (place.transposed(order) for place in (x, target))
    if reverse:
        source, target = (place.reversed((len(order) - 1,)) for place in (source, target))
    assembler.step(block, ScanRun(operation, source, target), (source, target))


def _part(x: Place, start: int, stop: int) -> Place:
    others = x.shape[1:]
    return x.sliced((start, *[0] * len(others)), (stop, *others), (1,) * len(x.shape))


def _element(x: Place) -> Place:
    return x._replace(shape=x.shape[1:], strides=x.strides[1:])
