"""Kernels that are products of many small matrices, which a library computes sooner.

A product of small matrices is a kernel, for it may fuse with what makes its factors and what reads it
(`DotGeneral.lower_reduction`). One that has fused with nothing, of a batch, is better left to BLAS.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import NamedTuple

from .instructions import Place
from .loopnest import Affine, Apply, Kernel, Load

#: Rows and columns of results from which on calls of BLAS take less time than a kernel, where sums are not written out.
FEWEST_ROWS = 5

Axes = tuple[int, ...]


class Product(NamedTuple):
    """A product of two operands of a kernel.

    Attributes:
        x_axes: axes of the first operand: those of the batch, those that are left, and those that are summed over.
        y_axes: of the second one: those of the batch, those that are summed over, and those that are left.
    """

    x: Place
    y: Place
    x_axes: tuple[Axes, ...]
    y_axes: tuple[Axes, ...]


def batch_of_products(kernel: Kernel, sources: Sequence[Place], targets: Sequence[Place]) -> Product | None:
    """What a kernel multiplies, if it is nothing but products of a batch of matrices that are worth calls of BLAS."""
    if len(kernel.outputs) != 1 or not kernel.reduced or not targets[0].is_contiguous:
        return None
    (expression, combine, place), rank = kernel.outputs[0], len(kernel.shape)
    if combine != "add" or place is not None or not _multiplies_loads(expression):
        return None
    factors = [_axes_of(load.index) for load in expression.operands]
    if None in factors:
        return None
    x, y = factors
    kept = range(rank - kernel.reduced)
    batch, left, right = (
        tuple(axis for axis in kept if (axis in x, axis in y) == moves)
        for moves in ((True, True), (True, False), (False, True))
    )
    summed = tuple(range(rank - kernel.reduced, rank))
    if (*batch, *left, *right) != tuple(kept) or not {*summed} <= {*x} & {*y}:
        return None
    count, rows, columns = (prod(kernel.shape[axis] for axis in axes) for axes in (batch, left, right))
    if count < 2 or min(rows, columns) < FEWEST_ROWS:
        return None
    places = dict(zip(kernel.operands, sources))
    a, b = (places[load.operand] for load in expression.operands)
    return Product(a, b, _found(x, batch, left, summed), _found(y, batch, summed, right))


def _found(own: list[int], *groups: Axes) -> tuple[Axes, ...]:
    """Which axes of an array go along those of the space."""
    return tuple(tuple(map(own.index, axes)) for axes in groups)


def _multiplies_loads(e: object) -> bool:
    """Whether an expression is the product of two elements in memory, of its own dtype."""
    if not isinstance(e, Apply) or e.operation != "multiply":
        return False
    return all(isinstance(x, Load) and x.dtype == e.dtype for x in e.operands)


def _axes_of(index: Sequence[Affine]) -> list[int] | None:
    """The axes of the space that each axis of an array goes along; None if some does something else."""
    found = [i.factors[0][0] for i in index if len(i.factors) == 1 and i == Affine(0, ((i.factors[0][0], 1),))]
    return found if len(found) == len(index) == len(set(found)) else None
