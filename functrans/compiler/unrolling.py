"""Tiny axes written out.

A sum over three coordinates is an expression of three elements, and so fuses with whatever reads it. A result with
three elements for each point is three results in one loop: what they share is loaded and computed once, and the loop is
over the points, not over three elements.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product
from math import prod
from typing import Any

from ..core.primitive import Lowered
from .costs import operation_cost
from .instructions import KernelRun
from .loopnest import (
    Affine,
    Apply,
    Expression,
    Index,
    Kernel,
    Load,
    Position,
    at_index,
    axis_index,
)
from .places import Place

#: An axis of at most so many elements is tiny.
TINY = 4
#: A reduction over so many elements at most is written out.
FEW = 8
#: What is written out has so many operations at most, so that the time to compile it stays bounded.
MOST_OPERATIONS = 128
#: And so many results.
MOST_OUTPUTS = 16
#: A reduction loads at most so many elements at each point, so that there are registers for all.
MOST_LOADS = 16
#: Fusion relies on so many elements at most to be written out: those of two axes of three.
MOST_WRITTEN = 9


def written_out(reduction: Lowered) -> Callable[[Index], Expression]:
    """A reduction over few elements as a rule for the elements of its result."""
    extents = reduction.shape[len(reduction.shape) - reduction.reduced :]

    def rule(index: Index) -> Expression:
        first, *others = (
            reduction.element((*index, *(Affine(i, ()) for i in rest))) for rest in product(*map(range, extents))
        )
        for term in others:
            first = Apply(reduction.combine, (first, term), first.dtype)
        return first

    return rule


def moving_axes(load: Load, shape: Sequence[int], reduced: int) -> Sequence[int]:
    """Along which axes of a space a load is done anew, if axes that are kept and tiny are written out."""
    if any(i.terms for i in load.index):
        return range(len(shape))
    moving = {axis for i in load.index for axis, _ in i.factors}
    kept = len(shape) - reduced
    return [axis for axis, n in enumerate(shape) if n > TINY or axis in moving or axis >= kept]


def still_points(moving: Sequence[int], shape: Sequence[int], reduced: int) -> int:
    """At how many points of the axes that are kept a load is the same, given the axes along which it moves."""
    return prod(n for axis, n in enumerate(shape[: len(shape) - reduced]) if axis not in moving)


def unrolled(run: KernelRun, keeps_first: bool) -> KernelRun:
    """A kernel with tiny axes written out where that pays.

    Args:
        keeps_first: leave the first axis as it is.
    """
    for axis in reversed(range(keeps_first, len(run.kernel.shape) - run.kernel.reduced)):
        if _is_possible(run.kernel, axis):
            moving = _moving_along(run.kernel, axis)
            if _pays(run, axis, moving):
                run = _without(run, axis, moving)
    return run


def _is_possible(kernel: Kernel, axis: int) -> bool:
    """Whether an axis is tiny, and few results come of it."""
    extent = kernel.shape[axis]
    is_tiny = 1 < extent <= TINY and extent * len(kernel.outputs) <= MOST_OUTPUTS
    return is_tiny and all(output.place is None for output in kernel.outputs)


def _pays(run: KernelRun, axis: int, moving: set[int]) -> bool:
    """Whether to write an axis out, given the expressions that change along it."""
    kernel = run.kernel
    extent, rank, kept = kernel.shape[axis], len(kernel.shape), len(kernel.shape) - kernel.reduced
    operations = [e for e in kernel.expressions() if isinstance(e, Apply)]
    if extent * sum(id(e) in moving for e in operations) > MOST_OPERATIONS:
        return False
    places = dict(zip(kernel.operands, run.sources))
    moves = [_moves(load, places[load.operand], rank) for load in kernel.loads()]
    if kernel.reduced:
        if sum(extent if move[axis] else 1 for move in moves) > MOST_LOADS:
            return False
        last = rank - 1
        is_shared = any(not move[axis] and move[last] for move in moves)
        return is_shared or (axis == kept - 1 and sum(abs(m[axis]) for m in moves) < sum(abs(m[last]) for m in moves))
    if axis == rank - 1 and rank > 1 and kernel.shape[axis - 1] > 1:
        moves += [list(target.strides) for target in run.targets]
        return any(move[axis - 1] != move[axis] * extent for move in moves)
    return sum(operation_cost(e) for e in operations if id(e) not in moving) > TINY


def _moving_along(kernel: Kernel, axis: int) -> set[int]:
    """The expressions that are not the same all along an axis, by id."""
    moving: set[int] = set()
    for expression in kernel.expressions():
        inner: Sequence[Any] = expression.operands if isinstance(expression, Apply) else ()
        if isinstance(expression, (Load, Position)):
            indices = expression.index if isinstance(expression, Load) else (expression.index,)
            inner = [e for i in indices for _, e in i.terms]
            if any(i.factor(axis) for i in indices):
                moving.add(id(expression))
        if any(id(e) in moving for e in inner):
            moving.add(id(expression))
    return moving


def _moves(load: Load, place: Place, rank: int) -> list[int]:
    """How far a load moves along each axis of the space, in bytes."""
    return [sum(i.factor(axis) * s for i, s in zip(load.index, place.strides)) for axis in range(rank)]


def _without(run: KernelRun, axis: int, moving: set[int]) -> KernelRun:
    """The kernel over the other axes, with a result for each element along this one."""
    kernel, extent = run.kernel, run.kernel.shape[axis]
    elements = _elements_along(kernel, axis, moving)
    outputs = [o._replace(expression=found[id(o.expression)]) for o in kernel.outputs for found in elements]
    targets = [_element(target, axis, i) for target in run.targets for i in range(extent)]
    shape = kernel.shape[:axis] + kernel.shape[axis + 1 :]
    return KernelRun(Kernel(shape, kernel.reduced, tuple(outputs), kernel.operands), run.sources, tuple(targets))


def _elements_along(kernel: Kernel, axis: int, moving: set[int]) -> list[dict[int, Expression]]:
    """For each place along an axis what becomes of all expressions there, by id; equal ones become one."""
    others = [axis_index(a if a < axis else a - 1) for a in range(len(kernel.shape))]
    known: dict[Any, Expression] = {}
    still: dict[int, Expression] = {}
    elements: list[dict[int, Expression]] = []
    for i in range(kernel.shape[axis]):
        index = (*others[:axis], Affine(i, ()), *others[axis + 1 :])
        results = dict(still)
        for e in kernel.expressions():
            if id(e) not in results:
                results[id(e)] = _shared(at_index(e, index, results), known)
        elements.append(results)
        still = still or {key: found for key, found in results.items() if key not in moving}
    return elements


def _element(place: Place, axis: int, i: int) -> Place:
    """What is at an index along an axis of an array."""
    return place._replace(
        offset=place.offset + i * place.strides[axis],
        shape=place.shape[:axis] + place.shape[axis + 1 :],
        strides=place.strides[:axis] + place.strides[axis + 1 :],
    )


def _shared(expression: Expression, known: dict[Any, Expression]) -> Expression:
    """An expression of parts that are shared; the one that is known already, where there is an equal one."""
    key: Any = expression
    if isinstance(expression, Apply):
        key = (expression.operation, *map(id, expression.operands), expression.dtype)
    return known.setdefault(key, expression)
