"""Products of many small matrices: kernels that a library computes sooner, and factors that had better be transposed.

A product of small matrices is a kernel, for it may fuse with what makes its factors and what reads it
(`DotGeneral.lower_reduction`). One that has fused with nothing, of a batch, is better left to BLAS.

Products of rows with rows, a @ b.T, take up to four times as long as those of rows with columns, and transposing the
smaller factor takes a part of that.

Of a few rows and a large matrix a library brings the matrix into an order of its own first, which takes longer than the
product. A kernel reads it once, as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any, NamedTuple

from ..core.avals import ShapedArray
from .instructions import Block, KernelRun
from .loopnest import Affine, Apply, Kernel, Load, Output, axis_index
from .places import Place, is_row_major

#: Rows and columns of results from which on calls of BLAS take less time than a kernel, where sums are not written out.
FEWEST_ROWS = 5

#: A factor is transposed for the sake of so many rows or columns of the other one at least, which must be as many as
#: there are terms, if matrices take so many multiplications at most; larger ones BLAS puts together anew itself.
WORTH_TRANSPOSING, MOST_MULTIPLICATIONS = 16, 10**6
#: So many rows are few, of which the product with a matrix of so many elements at least is left to a kernel. That adds
#: up one term after the other: where there are more than these, a library does so in parts, and rounds less.
FEW_ROWS, LARGE, MOST_TERMS = range(2, 33), 1 << 14, 1 << 12
#: An operand is brought into rows if a kernel reads so many of its elements at each point, each so often at least.
FEWEST_READ, FEWEST_TIMES = 5, 5

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


def batches_of_products(kernel: Kernel, sources: Sequence[Place], targets: Sequence[Place]) -> list[Product]:
    """What a kernel multiplies for each of its results, if they all are nothing but products of a batch of matrices
    that are worth calls of BLAS."""
    found = [
        _batch_of_products(kernel, output, sources) if target.is_contiguous else None
        for output, target in zip(kernel.outputs, targets)
    ]
    return [] if None in found else [product for product in found if product is not None]


def _batch_of_products(kernel: Kernel, output: Output, sources: Sequence[Place]) -> Product | None:
    (expression, combine, place), rank = output, len(kernel.shape)
    if not kernel.reduced or combine != "add" or place is not None or not _multiplies_loads(expression):
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
    a, b = (
        places[load.operand]._replace(shape=tuple(kernel.shape[axis] for axis in axes))  # maybe not all of it is read
        for load, axes in zip(expression.operands, factors)
    )
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


def factors_for_library(assembler: Any, block: Block, x: Place, y: Place) -> tuple[Place, Place]:
    """The factors of matrices, one of them transposed in memory if both are read along their sums."""
    count, rows, terms = x.shape
    columns, item = y.shape[2], x.dtype.itemsize
    if (x.strides[2], y.strides[1]) != (item, item) or (count > 1 and 0 in (x.strides[0], y.strides[0])):
        return x, y
    is_worth = min(rows, columns, terms) > 1 and max(rows, columns) >= max(terms, WORTH_TRANSPOSING)
    if not is_worth or rows * terms * columns > MOST_MULTIPLICATIONS:
        return x, y
    if rows < columns:
        return assembler.contiguous_copy(block, x.transposed((0, 2, 1))).transposed((0, 2, 1)), y
    return x, assembler.contiguous_copy(block, y)


def multiplied_by_kernel(assembler: Any, block: Block, x: Place, y: Place, z: Place) -> bool:
    """Add the kernel for a product of matrices of which one has few rows, if that is what it is."""
    batch, rows, terms = x.shape
    columns, dtype = y.shape[2], z.dtype
    if batch != 1 or rows not in FEW_ROWS or terms * columns < LARGE or terms > MOST_TERMS:
        return False
    if dtype.char not in "fd" or not z.is_contiguous:
        return False
    start = len(block)
    _add_few_rows(assembler, block, x, y, z)
    assembler.remark(block, start, f"BLAS would put the matrix into another order, for {rows} rows only.")
    return True


def _add_few_rows(assembler: Any, block: Block, x: Place, y: Place, z: Place) -> None:
    """The product as one of rows with columns that are read in the order of memory."""
    if is_row_major(y):
        _add_product(assembler, block, x, y, z)
        return
    transposed = assembler.contiguous_copy(block, x.transposed((0, 2, 1)))
    results = assembler.contiguous("temporary", ShapedArray((1, y.shape[2], x.shape[1]), z.dtype))
    _add_product(assembler, block, y.transposed((0, 2, 1)), transposed, results)
    assembler.copy(block, results.transposed((0, 2, 1)), z)


def _add_product(assembler: Any, block: Block, x: Place, y: Place, z: Place) -> None:
    """The kernel that multiplies matrices."""
    batch, row, column, term = map(axis_index, range(4))
    factors = Load(0, (batch, row, term), x.dtype), Load(1, (batch, term, column), y.dtype)
    total = Output(Apply("multiply", factors, z.dtype), "add")
    run = KernelRun(Kernel((*z.shape, x.shape[2]), 1, (total,), (0, 1)), (x, y), (z,))
    assembler.step(block, run, (x, y, z))


def brought_into_rows(assembler: Any, block: Block, kernel: Kernel, sources: Sequence[Place]) -> Sequence[Place]:
    """What a kernel reads, copied where it reads many elements that lie apart along its last axis, and each again and
    again: sums of products that are written out, of rows with rows."""
    last = len(kernel.shape) - 1
    if kernel.reduced or kernel.shape[last:] < (FEWEST_READ,):
        return sources
    loads: dict[int, list[Load]] = {}
    for load in kernel.loads():
        loads.setdefault(load.operand, []).append(load)
    return [
        _in_rows(assembler, block, kernel, loads.get(number, []), place)
        for number, place in zip(kernel.operands, sources)
    ]


def _in_rows(assembler: Any, block: Block, kernel: Kernel, loads: Sequence[Load], place: Place) -> Place:
    """The copy of an operand that is read so, or the operand."""
    last = len(kernel.shape) - 1
    if len(loads) < FEWEST_READ or any(i.terms for load in loads for i in load.index):
        return place
    axes = {d for load in loads for d, i in enumerate(load.index) if i.factor(last)}
    moving = {axis for load in loads for i in load.index for axis, _ in i.factors}
    times = prod(n for axis, n in enumerate(kernel.shape) if axis not in moving)
    if times < FEWEST_TIMES or len(axes) != 1:
        return place
    (axis,) = axes
    if place.strides[axis] in (0, place.dtype.itemsize):
        return place
    order = (*(d for d in range(len(place.shape)) if d != axis), axis)
    copied = assembler.contiguous_copy(block, place.transposed(order))
    return copied.transposed(tuple(map(order.index, range(len(order)))))
