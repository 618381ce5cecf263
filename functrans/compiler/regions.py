"""Steps that read or write a part of an array: concatenation, padding, and indices known only when the program runs."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any, NamedTuple

from ..core.avals import ShapedArray
from .checks import refusal
from .instructions import Block, PythonRun
from .loopnest import (
    BOOL,
    INT,
    ORIGIN,
    Affine,
    Apply,
    Constant,
    Expression,
    Index,
    Kernel,
    Load,
    Output,
    Position,
    axis_index,
    cast,
    clipped,
    constant,
    fits,
    named_element,
    normalized,
    point,
)
from .overlap import are_same
from .places import Place, space_of

#: What a call of a kernel costs, in elements that are copied meanwhile.
KERNEL_CALL = 500


class Selection(NamedTuple):
    """Which elements integer arrays name.

    Attributes:
        axes: the axis that each index array runs along; the remaining ones are taken whole.
        position: how many of the remaining axes come before those of the index arrays in the result.
        mode: what an index outside the array is: "raise" (an error), "clip" (the element at the end), "wrap" (modulo
            the extent) or "drop" (no element).
    """

    axes: tuple[int, ...]
    position: int
    mode: str


class Region(NamedTuple):
    """A part of an array: its elements from `starts` to `limits` by `strides`, which are positive."""

    starts: Sequence[int]
    limits: Sequence[int]
    strides: Sequence[int]


def part(place: Place, region: Region) -> Place:
    """The elements of an array in a region."""
    return place.sliced(*region)


def box(starts: Sequence[int], limits: Sequence[int]) -> Region:
    """A region without gaps."""
    return Region(starts, limits, (1,) * len(starts))


def around(shape: Sequence[int], region: Region) -> list[Region]:
    """What surrounds a region, or all of an array where boxes around the region are not worth it."""
    everything = [box((0,) * len(shape), shape)]
    if set(region.strides) - {1} or any(first >= last for first, last in zip(region.starts, region.limits)):
        return everything
    return min(surroundings(shape, region), everything, key=_cost)


def surroundings(shape: Sequence[int], region: Region) -> list[Region]:
    """The boxes around a region without gaps."""
    inner = list(zip(region.starts, region.limits))
    found = []
    for axis, extent in enumerate(shape):
        for span in ((0, region.starts[axis]), (region.limits[axis], extent)):
            if span[0] < span[1]:
                found.append(box(*zip(*inner[:axis], span, *((0, n) for n in shape[axis + 1 :]))))
    return found


def is_inside(inner: Region | None, outer: Region | None) -> bool:
    """Whether one region of an array is certainly inside another one."""
    if inner is None or outer is None or inner == outer:
        return inner is not None and inner == outer
    is_box = not set(outer.strides) - {1}
    return is_box and all(
        (low <= first and last <= high) or first >= last
        for first, last, low, high in zip(inner.starts, inner.limits, outer.starts, outer.limits)
    )


def _cost(boxes: Sequence[Region]) -> int:
    """What it costs to copy boxes, in elements."""
    return sum(prod(len(range(*span)) for span in zip(*each)) + KERNEL_CALL for each in boxes)


def cost_around(shape: Sequence[int], region: Region) -> int:
    """What it costs to copy what surrounds a region."""
    return _cost(around(shape, region))


def copy_around(assembler: Any, block: Block, source: Place, target: Place, region: Region) -> None:
    """Add the instructions that copy an array but for a region, which is copied only if that costs less."""
    for each in around(source.shape, region):
        assembler.copy(block, part(source, each), part(target, each))


def concatenate(assembler: Any, block: Block, sources: Sequence[Place], target: Place, axis: int) -> None:
    """Copy arrays one after the other into the target, converted to its dtype."""
    start = 0
    for source in sources:
        stop = start + source.shape[axis]
        assembler.convert(block, source, part(target, along(target.shape, axis, start, stop)))
        start = stop


def along(shape: Sequence[int], axis: int, start: int, stop: int) -> Region:
    """The elements of an array from one number along an axis to another one."""
    starts = [start if a == axis else 0 for a in range(len(shape))]
    return box(starts, [stop if a == axis else extent for a, extent in enumerate(shape)])


def pad(assembler: Any, block: Block, x: Place, value: Place, target: Place, padding: Sequence[Any]) -> None:
    """Copy what the padding leaves of x into the target, and a value around it."""
    source_spans, target_spans = [], []
    for have, want, (low, _, interior) in zip(x.shape, target.shape, padding):
        step = interior + 1
        first = max(0, -(low // step))  # the first element of x that lies in the target
        last = min(have, -((low - want) // step))
        source_spans.append((first, max(first, last)))
        target_spans.append((low + first * step, low + max(first, last) * step - interior, step))
    if any(first == last for first, last in source_spans) or not padding:
        assembler.convert(block, x if not padding else value.broadcast(target.shape), target)
        return
    inside = Region(*zip(*target_spans))
    is_there = are_same(x, part(target, inside))
    if assembler.has_launches and not is_there:
        pad_at_once(assembler, block, x, value, target, padding)
        return
    for each in (surroundings if is_there else around)(target.shape, inside):
        assembler.convert(block, value.broadcast(part(target, each).shape), part(target, each))
    assembler.convert(block, part(x, box(*zip(*source_spans))), part(target, inside))


def pad_at_once(
    assembler: Any, block: Block, x: Place, value: Place | Constant, target: Place, padding: Sequence[Any]
) -> None:
    """As `pad`, with one kernel, in which each element looks where it is: a launch costs more than that."""
    index: list[Affine] = []
    is_inside: Expression | None = None
    for axis, (have, want, (low, _, interior)) in enumerate(zip(x.shape, target.shape, padding)):
        if (have, low, interior) == (want, 0, 0):
            index.append(axis_index(axis))
            continue
        i: Expression = Position(axis_index(axis).plus(-low), INT)
        step, tests = constant(interior + 1, INT), []
        if interior:
            tests.append(Apply("equal", (Apply("remainder", (i, step), INT), constant(0, INT)), BOOL))
            i = Apply("floor_divide", (i, step), INT)
        for test in (*tests, fits(i, have)):
            is_inside = test if is_inside is None else Apply("logical_and", (is_inside, test), BOOL)
        index.append(ORIGIN.shifted(clipped(i, have)))
    element = cast(Load(0, tuple(index), x.dtype), target.dtype)
    around = value if isinstance(value, Constant) else cast(Load(1, (), value.dtype), target.dtype)
    if is_inside is not None:
        element = Apply("select", (is_inside, element, around), target.dtype)
    sources = (x,) if isinstance(value, Constant) or is_inside is None else (x, value)
    kernel = Kernel(target.shape, 0, (Output(element, None),), tuple(range(len(sources))))
    assembler.kernel(block, kernel, sources, (target,))


def integer_power(assembler: Any, block: Block, x: Place, n: Place, target: Place, run: PythonRun) -> bool:
    """Powers of integers; negative exponents are refused.

    Returns:
        False if the numbers are no integers.
    """
    if not {p.dtype.kind for p in (x, n, target)} <= set("iu") or 0 in target.shape:
        return False
    if n.dtype.kind == "i":
        exponent = cast(Load(0, space_of(n), n.dtype), INT)
        below = Apply("less", (exponent, constant(0, INT)), BOOL)
        refused = Apply("select", (below, Apply("subtract", (exponent, constant(1, INT)), INT), constant(0, INT)), INT)
        numbers = assembler.contiguous("temporary", ShapedArray(n.shape, INT))
        assembler.kernel(block, Kernel(n.shape, 0, (Output(refused, None),), (0,)), (n,), (numbers,))
        assembler.check(block, numbers, 1, run)
    places = tuple(place.broadcast(target.shape) for place in (x, n))
    operands = (cast(Load(k, space_of(target), place.dtype), target.dtype) for k, place in enumerate(places))
    powers = Apply("integer_power", tuple(operands), target.dtype)
    assembler.kernel(block, Kernel(target.shape, 0, (Output(powers, None),), (0, 1)), places, (target,))
    return True


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
    sizes = update.shape
    if all(isinstance(start, int) for start in starts):
        limits = [start + max(n - 1, 0) * stride + (n > 0) for start, n, stride in zip(starts, sizes, strides)]
        region = Region(starts, limits, strides)
        if x != target:
            copy_around(assembler, block, x, target, region)
        assembler.convert(block, update, part(target, region))
        return
    assembler.copy(block, x, target)
    known = [start if isinstance(start, int) else 0 for start in starts]
    place = [axis_index(axis).times(stride).plus(start) for axis, (start, stride) in enumerate(zip(known, strides))]
    computed = [(axis, start) for axis, start in enumerate(starts) if isinstance(start, Place)]
    for number, (axis, start) in enumerate(computed, 1):
        load = Load(number, (), start.dtype)
        place[axis] = place[axis].shifted(normalized(load, x.shape[axis], x.shape[axis] - sizes[axis]))
    element = cast(Load(0, space_of(update), update.dtype), target.dtype)
    kernel = Kernel(sizes, 0, (Output(element, None, tuple(place)),), tuple(range(1 + len(computed))))
    assembler.kernel(block, kernel, (update, *(start for _, start in computed)), (target,))


def gather(
    assembler: Any,
    block: Block,
    x: Place,
    indices: Sequence[Place],
    target: Place,
    which: tuple[Any, ...],
    fill: Any,
    run: PythonRun,
) -> None:
    """Read the elements that indices name.

    Args:
        which: the fields of a Selection.
        fill: stands for no element.
        run: what raises the error for an index out of bounds.
    """
    kernel_index, is_inside = _selected(assembler, block, x, indices, target.shape, Selection(*which), run, 1)
    element: Expression = Load(0, kernel_index, x.dtype)
    if is_inside is not None:
        element = Apply("select", (is_inside, element, constant(fill, x.dtype)), x.dtype)
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
) -> bool:
    """Copy x, and write updates to the elements that indices name, or combine them with what is there.

    Args:
        which: the fields of a Selection.

    Returns:
        False if the backend cannot combine elements of the dtype so.
    """
    combined = Apply(f"update_{combine}", (Load(0, (), x.dtype),), x.dtype)
    if combine is not None and (x.dtype.kind == "b" or not assembler.supports(combined)):
        return False
    selection = Selection(*which)
    place, is_inside = _selected(assembler, block, x, indices, updates.shape, selection, run, 1)
    to = own = target
    if is_inside is not None:  # what is dropped goes to one more element, which nobody reads
        axis, extent = selection.axes[0], x.shape[selection.axes[0]]
        shape = (*x.shape[:axis], extent + 1, *x.shape[axis + 1 :])
        to = assembler.contiguous("temporary", ShapedArray(shape, x.dtype))
        own = part(to, along(shape, axis, 0, extent))
        ((_, inside_index),) = place[axis].terms
        beyond = Apply("select", (is_inside, inside_index, constant(extent, INT)), INT)
        place = (*place[:axis], ORIGIN.shifted(beyond), *place[axis + 1 :])
    assembler.copy(block, x, own)
    element = Load(0, space_of(updates), updates.dtype)
    kernel = Kernel(updates.shape, 0, (Output(element, combine, place),), tuple(range(1 + len(indices))))
    assembler.kernel(block, kernel, (updates, *indices), (to,))
    assembler.copy(block, own, target)
    return True


def _selected(
    assembler: Any,
    block: Block,
    x: Place,
    indices: Sequence[Place],
    shape: tuple[int, ...],
    which: Selection,
    run: PythonRun,
    first: int,
) -> tuple[Index, Expression | None]:
    """The index of x at each point of the space of what is selected; checked before, if it is to be.

    Args:
        shape: of the space.
        first: the number of the operand that is the first index array.

    Returns:
        The index, and whether there is such an element, where that is not certain.
    """
    ndim = len(shape) - (len(x.shape) - len(which.axes))  # of the index arrays, broadcast
    space = point(len(shape))
    end = which.position + ndim
    own, rest = space[which.position : end], iter([*space[: which.position], *space[end:]])
    found: list[Affine | None] = [None] * len(x.shape)
    is_inside: Expression | None = None
    for number, (axis, place) in enumerate(zip(which.axes, indices), first):
        extent = x.shape[axis]
        if which.mode == "raise":
            assembler.check(block, place, extent, refusal(run, len(run.sources) - len(indices) + number - first))
        at = own[ndim - len(place.shape) :]
        load = Load(number, tuple(ORIGIN if n == 1 else i for i, n in zip(at, place.shape)), place.dtype)
        i, exists = named_element(load, extent, which.mode)
        if exists is not None:
            is_inside = exists if is_inside is None else Apply("logical_and", (is_inside, exists), BOOL)
        found[axis] = ORIGIN.shifted(i)
    return tuple(next(rest) if i is None else i for i in found), is_inside
