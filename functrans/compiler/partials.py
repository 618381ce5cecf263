"""Partial results: large reductions in parts that threads can share, and what combines the results of the parts.

The parts depend on the shape only, so the result does not depend on the number of threads. A reduction to one number
has nothing else to divide. One along the first axis of a matrix could be divided by columns, but then memory is read in
short pieces far from each other, which takes two to three times as long as row after row. Where nothing is read so, as
between all pairs of two lists of points, threads share the results.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import NamedTuple

from .loopnest import Affine, Kernel, Load, Output, axis_index, index_strides, substituted
from .places import Place

#: Reductions of at least so many elements are divided.
WORTH_PARTS = 1 << 15
#: Into so many parts, or as many as have this number of elements, if that are more: they fit the cache, where what
#: computes the elements leaves them for the part.
PARTS, ELEMENTS_OF_PART = 64, 1 << 14
#: Rows are not cut into pieces shorter than so many elements, whose loops take longer; parts are whole rows then.
LEAST_ROW = 256
#: Of how many elements a part makes each of its results at least: otherwise there would be too many to combine.
LEAST_EXTENT = 16


class Divided(NamedTuple):
    """A reduction in parts.

    Attributes:
        pieces: kernels with partial results, of which the first axis counts the parts: one for parts of equal size,
            another one if there is a rest.
        last: what combines them; operand i is the array of the partial results of output i.
    """

    pieces: list[Kernel]
    last: Kernel


def divided_reduction(kernel: Kernel, sources: Sequence[Place]) -> Divided | None:
    """A reduction in parts; None if it is not worth it."""
    kept = len(kernel.shape) - kernel.reduced
    adds_to_results = any(output.place is not None for output in kernel.outputs)
    if not kernel.reduced or adds_to_results or prod(kernel.shape) < WORTH_PARTS:
        return None
    axis = _axis_to_divide(kernel, sources)
    count = _parts_along(axis, kernel)
    if count < 2 or not _is_outermost(axis, kernel, sources):
        return None
    if prod(kernel.shape[:kept]) >= PARTS and not _is_crossed(axis, kernel):
        return None
    size, rest = divmod(kernel.shape[axis], count)
    pieces = [_piece(kernel, axis, count, size, 0)]
    if rest:
        pieces.append(_piece(kernel, axis, 1, rest, count * size))
    own = (axis_index(kept), *map(axis_index, range(kept)))
    results = tuple(Output(Load(i, own, o.expression.dtype), o.combine) for i, o in enumerate(kernel.outputs))
    shape = (*kernel.shape[:kept], count + bool(rest))
    return Divided(pieces, Kernel(shape, 1, results, tuple(range(len(results)))))


def _axis_to_divide(kernel: Kernel, sources: Sequence[Place]) -> int:
    """The longest axis that is reduced; another one if rows, which memory is walked along, would be cut too short."""
    axes = range(len(kernel.shape) - kernel.reduced, len(kernel.shape))
    longest = max(axes, key=lambda axis: kernel.shape[axis])
    others = [axis for axis in axes if axis != longest and _parts_along(axis, kernel) >= PARTS // 4]
    if not others or kernel.shape[longest] >= LEAST_ROW * _parts_along(longest, kernel):
        return longest
    steps = _steps(kernel, sources)
    is_row = all(steps[longest] < steps[axis] for axis in others)
    return max(others, key=lambda axis: kernel.shape[axis]) if is_row else longest


def _steps(kernel: Kernel, sources: Sequence[Place]) -> list[int]:
    """For each axis the most bytes that anything read moves by along it."""
    places, rank = dict(zip(kernel.operands, sources)), len(kernel.shape)
    moves = [index_strides(load.index, places[load.operand].strides, rank) for load in kernel.loads()]
    return [max((abs(found[axis]) for found in moves), default=0) for axis in range(rank)]


def _parts_along(axis: int, kernel: Kernel) -> int:
    """Into how many parts an axis that is reduced would be divided."""
    reduced = prod(kernel.shape[len(kernel.shape) - kernel.reduced :])
    extent = kernel.shape[axis]
    return number_of_parts(extent, prod(kernel.shape), -(-LEAST_EXTENT * extent // reduced))


def number_of_parts(extent: int, elements: int, least: int = LEAST_EXTENT) -> int:
    """Into how many parts an axis is divided: of equal size, if that is possible with not less than half as many.

    Args:
        least: what a part has at least along the axis.
    """
    most = min(max(PARTS, elements // ELEMENTS_OF_PART), extent // least)
    return next((count for count in range(most, most // 2, -1) if extent % count == 0), most)


def _is_outermost(axis: int, kernel: Kernel, sources: Sequence[Place]) -> bool:
    """Whether memory is walked in larger steps along an axis that is reduced than along those that are not."""
    places = dict(zip(kernel.operands, sources))
    kept = range(len(kernel.shape) - kernel.reduced)
    for load in kernel.loads():
        moves = index_strides(load.index, places[load.operand].strides, len(kernel.shape))
        if moves[axis] and any(abs(moves[k]) > abs(moves[axis]) for k in kept if kernel.shape[k] != 1):
            return False
    return True


def _is_crossed(axis: int, kernel: Kernel) -> bool:
    """Whether an array is read along an axis that is reduced and along one that is not, as the columns of a matrix are.

    Otherwise little is read for each result.
    """
    kept = [k for k in range(len(kernel.shape) - kernel.reduced) if kernel.shape[k] != 1]
    moving = [{a for i in load.index for a, _ in i.factors} for load in kernel.loads()]
    return any(axis in axes and not axes.isdisjoint(kept) for axes in moving)


def _piece(kernel: Kernel, axis: int, count: int, size: int, start: int) -> Kernel:
    """The kernel over so many parts of an axis; what is before them is left out."""
    shape = (count, *kernel.shape[:axis], size, *kernel.shape[axis + 1 :])
    index = [axis_index(k + 1) for k in range(len(kernel.shape))]
    index[axis] = Affine(start, ((0, size), (axis + 1, 1)))
    outputs = tuple(Output(substituted(o.expression, tuple(index)), o.combine) for o in kernel.outputs)
    return Kernel(shape, kernel.reduced, outputs, kernel.operands)
