"""Convolutions: which instructions they come to."""

from __future__ import annotations

from itertools import product
from math import isinf, prod
from typing import Any

import numpy as np

from ...core.avals import ShapedArray
from ...core.dtypes import SINGLE, is_half, kind_of, single_of
from ..instructions import Block
from ..loopnest import Apply, Load, axis_index, constant
from ..places import Place
from ..regions import pad_at_once
from .geometry import Parts, Phase, Shape, Steps, part, phases, split
from .held import add_held, held_cost
from .loops import add_loops, loop_cost, sum_of_products
from .products import add_products, is_direct, product_cost
from .tiles import FEWEST_FEATURES, add_tiles, are_worth_it

#: With more phases than this, zeros are put into the gaps of the operand.
MOST_PHASES = 32


def convolve(assembler: Any, block: Block, x: Place, w: Place, z: Place, how: tuple[Any, ...], groups: int) -> bool:
    """Add the instructions for a convolution (primitives/convolution.py says what that is).

    Args:
        how: the fields of Steps.

    Returns:
        False if the backend has neither kernels nor products for the dtype.
    """
    has_halves = z.dtype.char in assembler.product_types and w.shape[0] // groups >= FEWEST_FEATURES
    dtype = SINGLE if is_half(z.dtype) and not has_halves else z.dtype
    if not (dtype.char in "fdFD" or has_halves or has_kernels(assembler, dtype)):
        return False
    if 0 in z.shape:
        return True
    if 0 in (*x.shape, *w.shape):
        assembler.fill_with_zeros(block, z)
        return True
    x, w = (assembler.converted(block, place, dtype) for place in (x, w))
    to = z if z.dtype == dtype and z.is_contiguous else assembler.contiguous("temporary", ShapedArray(z.shape, dtype))
    if len(z.shape) == 2:
        by_phases(assembler, block, *map(with_axis, (x, w, to)), Steps((1,), ((0, 0),), (1,), (1,)), groups)
    else:
        by_phases(assembler, block, x, w, to, Steps(*how), groups)
    if to != z:
        assembler.convert(block, to, z)
    return True


def with_axis(place: Place) -> Place:
    """An array without axes of space as one with an axis of a single element."""
    return place._replace(shape=(*place.shape, 1), strides=(*place.strides, place.dtype.itemsize))


def has_kernels(assembler: Any, dtype: np.dtype[Any]) -> bool:
    """Whether the backend can sum up products in kernels."""
    x = Load(0, (axis_index(0),), dtype)
    total = sum_of_products([(x, x), (x, x)], dtype)
    return all(map(assembler.supports, (x, total, Apply("multiply", (x, x), dtype), Apply("reduce_add", (x,), dtype))))


def by_phases(assembler: Any, block: Block, x: Place, w: Place, z: Place, steps: Steps, groups: int) -> None:
    """Gaps in the operand: results that lie in phase with them are convolutions of the operand without gaps."""
    rank = len(z.shape) - 2
    if prod(steps.x_dilation) > MOST_PHASES:
        x, steps = spread(assembler, block, x, steps)
    by_axis = [phases(w.shape[2 + i], z.shape[2 + i], steps, i) for i in range(rank)]
    met = [[phase for phase in found if phase.window] for found in by_axis]
    if any(len(some) < len(found) for some, found in zip(met, by_axis)):
        assembler.fill_with_zeros(block, z)
    if not all(met):
        return
    spans = [(min(p.start for p in found), max(p.end for p in found)) for found in met]
    x = cropped_or_padded(assembler, block, x, spans)
    for some in product(*met):
        image, weights, to = x, w, z
        for axis, (phase, (low, _)) in enumerate(zip(some, spans), 2):
            image = part(image, axis, phase.start - low, phase.end - low)
            weights = part(weights, axis, phase.tap, w.shape[axis], phase.tap_step)
            to = part(to, axis, phase.first, z.shape[axis], phase.step)
        one_phase(assembler, block, image, weights, to, some, groups)


def spread(assembler: Any, block: Block, x: Place, steps: Steps) -> tuple[Place, Steps]:
    """The operand with zeros in its gaps."""
    gaps = steps.x_dilation
    shape = (*x.shape[:2], *((n - 1) * gap + 1 for n, gap in zip(x.shape[2:], gaps)))
    found = assembler.contiguous("temporary", ShapedArray(shape, x.dtype))
    assembler.fill_with_zeros(block, found)
    elements = found
    for axis, gap in enumerate(gaps, 2):
        elements = part(elements, axis, 0, shape[axis], gap)
    assembler.copy(block, x, elements)
    return found, steps._replace(x_dilation=(1,) * len(gaps))


def cropped_or_padded(assembler: Any, block: Block, x: Place, spans: list[tuple[int, int]]) -> Place:
    """The part of an array that is needed, with zeros around it where it goes beyond the array."""
    inside = [(min(max(0, low), high), min(n, high)) for n, (low, high) in zip(x.shape[2:], spans)]
    for axis, (low, high) in enumerate(inside, 2):
        x = part(x, axis, max(0, low), max(0, low, high))
    if inside == spans:
        return x
    found = assembler.contiguous("temporary", ShapedArray((*x.shape[:2], *(b - a for a, b in spans)), x.dtype))
    if assembler.has_launches and 0 not in x.shape:
        padding = [(low - begin, 0, 0) for (low, _), (begin, _) in zip(inside, spans)]
        pad_at_once(assembler, block, x, constant(0, x.dtype), found, [(0, 0, 0), (0, 0, 0), *padding])
        return found
    target = found
    for axis, ((low, high), (begin, end)) in enumerate(zip(inside, spans), 2):
        low, high = low - begin, max(low, high) - begin
        for start, stop in ((0, low), (high, end - begin)):
            if start < stop:
                assembler.fill_with_zeros(block, part(target, axis, start, stop))
        target = part(target, axis, low, high)
    if 0 not in x.shape:
        assembler.copy(block, x, target)
    return found


def one_phase(assembler: Any, block: Block, x: Place, w: Place, z: Place, some: tuple[Phase, ...], groups: int) -> None:
    """A convolution without gaps and padding, in the way that is thought to be the quickest."""
    strides: Shape = tuple(phase.stride for phase in some)
    dilation: Shape = tuple(phase.dilation for phase in some)
    own = split(x, 1, x.shape[1] // groups), split(w, 0, w.shape[0] // groups)
    start = len(block)

    def parts_for(target: Place) -> Parts:
        return Parts(*own, split(target, 1, z.shape[1] // groups), strides, dilation)

    has_features = own[1].shape[1] >= FEWEST_FEATURES
    has_tiles = assembler.has_launches and has_features and has_kernels(assembler, single_of(x.dtype))
    if has_tiles and (kind_of(x.dtype) not in "fc" or are_worth_it(parts_for(z))):
        add_tiles(assembler, block, parts_for(z))
        assembler.remark(block, start, "The convolution is one kernel that reads windows where they lie, tile by tile.")
        return
    room = z if z.is_contiguous else assembler.contiguous("temporary", ShapedArray(z.shape, z.dtype))
    parts = parts_for(room)
    by_kernels, by_products, by_tiles = loop_cost(parts), product_cost(parts), held_cost(parts)
    ratio = by_products / by_kernels
    if not has_kernels(assembler, single_of(x.dtype)):
        add_products(assembler, block, parts)
        assembler.remark(block, start, "The convolution is done by BLAS: kernels do not sum up numbers of this kind.")
    elif kind_of(x.dtype) not in "fc":
        add_loops(assembler, block, parts)
        assembler.remark(block, start, "The convolution is done by kernels: BLAS does not know numbers of this kind.")
    elif has_tiles:
        add_products(assembler, block, parts)
        assembler.remark(block, start, f"The convolution is done by cuBLAS, {how_windows_are_read(parts)}.")
    elif by_tiles < min(by_kernels, by_products):
        add_held(assembler, block, parts)
        assembler.remark(block, start, held_remark(by_products / by_tiles))
    elif ratio < 1:
        add_products(assembler, block, parts)
        assembler.remark(block, start, product_remark(parts, by_kernels / by_products))
    else:
        add_loops(assembler, block, parts)
        assembler.remark(block, start, loop_remark(parts, ratio))
    assembler.copy(block, room, z)


def how_windows_are_read(parts: Parts) -> str:
    """How a library reads windows."""
    return "which reads windows as they lie in memory" if is_direct(parts) else "after copies of windows side by side"


def product_remark(parts: Parts, ratio: float) -> str:
    """Why BLAS does a convolution."""
    why = f"kernels are thought to take {ratio:.2g} times as long"
    if isinf(ratio):
        why = "for kernels, neighbours are too far apart"
    return f"The convolution is done by BLAS, {how_windows_are_read(parts)}: {why}."


def held_remark(ratio: float) -> str:
    """Why kernels do a convolution that hold tiles in registers."""
    return (
        "The convolution is done by kernels that hold tiles of results in registers: copies and BLAS are thought to "
        f"take {ratio:.2g} times as long."
    )


def loop_remark(parts: Parts, ratio: float) -> str:
    """Why kernels do a convolution."""
    what = "positions" if parts.has_long_window else "products"
    return (
        f"The convolution is done by kernels, a few {what} at a time: copies and BLAS are thought to take {ratio:.2g} "
        "times as long."
    )
