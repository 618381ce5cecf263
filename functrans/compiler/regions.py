"""Steps that read or write a part of an array: concatenation, padding, and indices known only when the program runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from .instructions import VIEWS, Block, Place, PythonRun
from .loopnest import (
    INT,
    ORIGIN,
    Affine,
    Apply,
    Expression,
    Index,
    Kernel,
    Load,
    Output,
    axis_index,
    cast,
    constant,
    from_the_end,
    normalized,
)


class Selection(NamedTuple):
    """Which elements integer arrays name.

    Attributes:
        axes: the axis that each index array runs along; the remaining ones are taken whole.
        position: how many of the remaining axes come before those of the index arrays in the result.
        clips: whether an index beyond the array means the element at its end; otherwise it is an error.
    """

    axes: tuple[int, ...]
    position: int
    clips: bool


def region(place: Place, starts: Sequence[int], limits: Sequence[int], strides: Sequence[int] | None = None) -> Place:
    """The part of an array."""
    return VIEWS["slice"](place, starts, limits, strides or (1,) * len(place.shape))


def concatenate(assembler: Any, block: Block, sources: Sequence[Place], target: Place, axis: int) -> None:
    """Copy arrays one after the other into the target, converted to its dtype."""
    start = 0
    for source in sources:
        stop = start + source.shape[axis]
        starts = [start if a == axis else 0 for a in range(len(target.shape))]
        limits = [stop if a == axis else extent for a, extent in enumerate(target.shape)]
        assembler.convert(block, source, region(target, starts, limits))
        start = stop


def pad(assembler: Any, block: Block, x: Place, value: Place, target: Place, padding: Sequence[Any]) -> None:
    """Fill the target with a value, and copy what the padding leaves of x into it."""
    assembler.convert(block, value.broadcast(target.shape), target)
    source_spans, target_spans = [], []
    for have, want, (low, _, interior) in zip(x.shape, target.shape, padding):
        step = interior + 1
        first = max(0, -(low // step))  # the first element of x that lies in the target
        last = min(have, -((low - want) // step))
        source_spans.append((first, max(first, last)))
        target_spans.append((low + first * step, low + max(first, last) * step - interior, step))
    if any(first == last for first, last in source_spans):
        return
    source = region(x, *zip(*source_spans))
    starts, limits, strides = zip(*target_spans)
    assembler.convert(block, source, region(target, starts, limits, strides))


def update_region(
    assembler: Any,
    block: Block,
    x: Place,
    update: Place,
    starts: Sequence[Place | int],
    target: Place,
    strides: Sequence[int],
) -> None:
    """Copy x, and write the update, which broadcasts, to a region.

    Args:
        starts: where it begins, for each axis: a number, or the place of one that may count from the end and is moved
            so that the region lies within x.
        strides: one for each axis, positive.
    """
    assembler.copy(block, x, target)
    sizes = update.shape
    known = [start if isinstance(start, int) else 0 for start in starts]
    place = [axis_index(axis).times(stride).plus(start) for axis, (start, stride) in enumerate(zip(known, strides))]
    computed = [(axis, start) for axis, start in enumerate(starts) if isinstance(start, Place)]
    for number, (axis, start) in enumerate(computed, 1):
        load = Load(number, (), start.dtype)
        place[axis] = place[axis].shifted(normalized(load, x.shape[axis], x.shape[axis] - sizes[axis]))
    element = cast(Load(0, _space(update), update.dtype), target.dtype)
    kernel = Kernel(sizes, 0, (Output(element, None, tuple(place)),), tuple(range(1 + len(computed))))
    assembler.kernel(block, kernel, (update, *(start for _, start in computed)), (target,))


def gather(
    assembler: Any,
    block: Block,
    x: Place,
    indices: Sequence[Place],
    target: Place,
    which: tuple[Any, ...],
    run: PythonRun,
) -> None:
    """Read the elements that indices name.

    Args:
        which: the fields of a Selection.
        run: what raises the error for an index out of bounds.
    """
    kernel_index = _selected(assembler, block, x, indices, target.shape, Selection(*which), run, 1)
    element = Load(0, kernel_index, x.dtype)
    kernel = Kernel(target.shape, 0, (Output(element, None),), tuple(range(1 + len(indices))))
    assembler.kernel(block, kernel, (x, *indices), (target,))


def scatter(
    assembler: Any,
    block: Block,
    x: Place,
    updates: Place,
    indices: Sequence[Place],
    target: Place,
    which: tuple[Any, ...],
    combine: str | None,
    run: PythonRun,
) -> None:
    """Copy x, and write updates to the elements that indices name, or combine them with what is there.

    Args:
        which: the fields of a Selection.
    """
    place = _selected(assembler, block, x, indices, updates.shape, Selection(*which), run, 1)
    assembler.copy(block, x, target)
    element = Load(0, _space(updates), updates.dtype)
    kernel = Kernel(updates.shape, 0, (Output(element, combine, place),), tuple(range(1 + len(indices))))
    assembler.kernel(block, kernel, (updates, *indices), (target,))


def _selected(
    assembler: Any,
    block: Block,
    x: Place,
    indices: Sequence[Place],
    shape: tuple[int, ...],
    which: Selection,
    run: PythonRun,
    first: int,
) -> Index:
    """The index of x at each point of the space of what is selected; checked before, if it is to be.

    Args:
        shape: of the space.
        first: the number of the operand that is the first index array.
    """
    ndim = len(shape) - (len(x.shape) - len(which.axes))  # of the index arrays, broadcast
    space = tuple(map(axis_index, range(len(shape))))
    end = which.position + ndim
    own, rest = space[which.position : end], iter([*space[: which.position], *space[end:]])
    found: list[Affine | None] = [None] * len(x.shape)
    for number, (axis, place) in enumerate(zip(which.axes, indices), first):
        extent = x.shape[axis]
        if not which.clips:
            assembler.check(block, place, extent, run)
        at = own[ndim - len(place.shape) :]
        load = Load(number, tuple(ORIGIN if n == 1 else i for i, n in zip(at, place.shape)), place.dtype)
        if which.clips:
            i = Apply("maximum", (cast(load, INT), constant(0, INT)), INT)
            expression: Expression = Apply("minimum", (i, constant(extent - 1, INT)), INT)
        else:
            expression = from_the_end(load, extent)
        found[axis] = ORIGIN.shifted(expression)
    return tuple(next(rest) if i is None else i for i in found)


def _space(place: Place) -> Index:
    return tuple(map(axis_index, range(len(place.shape))))
