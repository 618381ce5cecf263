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

from .instructions import Place
from .loopnest import Affine, Kernel, Load, Output, axis_index, index_strides, substituted

#: Reductions of at least so many elements are divided.
WORTH_PARTS = 1 << 15
#: Into so many parts, or as many as have this number of elements, if that are more: they fit the cache, where what
#: computes the elements leaves them for the part.
PARTS, ELEMENTS_OF_PART = 64, 1 << 14
#: What a part has at least along the axis that is divided: otherwise there would be too many results to combine.
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
    rank, kept = len(kernel.shape), len(kernel.shape) - kernel.reduced
    adds_to_results = any(output.place is not None for output in kernel.outputs)
    if not kernel.reduced or adds_to_results or prod(kernel.shape) < WORTH_PARTS:
        return None
    axis = max(range(kept, rank), key=lambda axis: kernel.shape[axis])
    count = number_of_parts(kernel.shape[axis], prod(kernel.shape))
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


def number_of_parts(extent: int, elements: int) -> int:
    """Into how many parts an axis is divided: of equal size, if that is possible with not less than half as many."""
    most = min(max(PARTS, elements // ELEMENTS_OF_PART), extent // LEAST_EXTENT)
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
