"""Convolutions as one sum of products that reads windows where they lie: for a backend whose threads share tiles of
both operands (implicit GEMM)."""

from __future__ import annotations

from math import prod
from typing import Any

from ...core.avals import ShapedArray
from ...core.dtypes import single_of
from ..instructions import Block
from ..loopnest import Apply, Kernel, Load, Output, axis_index, cast
from .geometry import Parts
from .products import is_direct

#: With fewer features in a group than this, elements of an image that are shared serve too few products.
FEWEST_FEATURES = 8
#: What a product of numbers takes of a thread, in that of one by a library, in single precision and in half precision,
#: which the library has units of their own for.
PRODUCT, PRODUCT_OF_HALVES = 2, 20
#: What it takes to copy an element to where the library reads it, in products by the library: writing it and reading
#: it again, where a GPU multiplies ten times in the time in which it moves a byte. And what one more launch takes.
COPY, COPY_OF_HALF, LAUNCH = 80, 400, 1 << 26


def are_worth_it(parts: Parts) -> bool:
    """Whether sums of products that read windows where they lie are quicker than copies and a library."""
    if is_direct(parts):
        return False
    is_half = parts.image.dtype.itemsize == 2
    product, copy = (PRODUCT_OF_HALVES, COPY_OF_HALF) if is_half else (PRODUCT, COPY)
    return parts.work * product < parts.work + prod(parts.windows.shape) * copy + LAUNCH


def add_tiles(assembler: Any, block: Block, parts: Parts) -> None:
    """Add the kernel that sums up all products, and the one that rounds sums of numbers of bfloat16."""
    rank, dtype = len(parts.window), parts.image.dtype
    sums, z = single_of(dtype), parts.z
    if sums != dtype:
        z = assembler.contiguous("temporary", ShapedArray(z.shape, sums))
    batch, group, feature = map(axis_index, range(3))
    positions = tuple(map(axis_index, range(3, 3 + rank)))
    terms = tuple(map(axis_index, range(3 + rank, 4 + 2 * rank)))
    weight = Load(0, (group, feature, *terms), dtype)
    element = Load(1, (batch, group, *terms, *positions), dtype)
    total = Output(Apply("multiply", (cast(weight, sums), cast(element, sums)), sums), "add")
    kernel = Kernel((*z.shape, *parts.w.shape[2:]), 1 + rank, (total,), (0, 1))
    assembler.kernel(block, kernel, (parts.w, parts.windows), (z,))
    if z is not parts.z:
        assembler.convert(block, z, parts.z)
