"""The places of extremes: one kernel finds the extremes of rows, another the first element that is one."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from ..core.avals import ShapedArray
from .instructions import Block
from .loopnest import BOOL, INT, Apply, Expression, Kernel, Load, Output, Position, cast, constant, point
from .places import Place

#: NumPy looks through rows once, with vectors; beyond so many elements, in rows of so many at least, that is worth the
#: return to Python.
MANY, LONG = 1 << 15, 32
#: More than any place is.
NOWHERE = np.iinfo(INT).max


def arg_extreme(assembler: Any, block: Block, x: Place, target: Place, axis: int, combine: str) -> bool:
    """Put the places of the first extremes along an axis into the target, NaN being one, if kernels can and are quick.

    Args:
        combine: "maximum" or "minimum".
    """
    rank = len(x.shape)
    are_many = prod(x.shape) > MANY and x.shape[axis] >= LONG
    is_left_to_numpy = are_many and x.strides[axis] == x.dtype.itemsize and not assembler.has_launches
    if 0 in x.shape or is_left_to_numpy:
        return False
    rows = x.transposed((*(a for a in range(rank) if a != axis), axis))
    space = point(rank)
    dtype = np.dtype(np.uint8) if x.dtype.kind == "b" else x.dtype
    element = cast(Load(0, space, x.dtype), dtype)
    if not all(map(assembler.supports, (element, Apply(f"reduce_{combine}", (element,), dtype)))):
        return False
    extreme = assembler.contiguous("temporary", ShapedArray(rows.shape[:-1], dtype))
    assembler.kernel(block, Kernel(rows.shape, 1, (Output(element, combine),), (0,)), (rows,), (extreme,))
    is_one: Expression = Apply("equal", (element, Load(1, space[:-1], dtype)), BOOL)
    if dtype.kind == "f":
        is_one = Apply("logical_or", (is_one, Apply("isnan", (element,), BOOL)), BOOL)
    place = Apply("select", (is_one, Position(space[-1], INT), constant(NOWHERE, INT)), INT)
    assembler.kernel(block, Kernel(rows.shape, 1, (Output(place, "minimum"),), (0, 1)), (rows, extreme), (target,))
    return True
