"""What calls of a library of linear algebra consist of: matrices as one axis of lanes and two more, copies of them
column by column, room to work in, and what is done where a library has found no result."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from ..core.avals import ShapedArray, real_dtype
from .instructions import Block, BranchRun, LibraryRun, PythonRun
from .loopnest import BOOL, INT, Apply, Expression, Kernel, Load, Output, Position, axis_index, cast, constant
from .places import Place, as_matrices, as_numbers, space_of
from .small_matrices import refusal

INT32 = np.dtype(np.int32)
#: Bytes of room to work in, at most, if each matrix of a batch has its own.
MOST_ROOM = 1 << 22
#: What may have no result on a backend that is plain, and raises an error then. Eigenvalues and singular values are NaN
#: where they must be.
FALLIBLE = frozenset(("cholesky", "solve"))


def batched(place: Place, rank: int | None = None) -> Place:
    """Matrices, or what there is for so many axes of lanes, with one axis for all lanes, which must follow from one
    stride."""
    rank = len(place.shape) - 2 if rank is None else rank
    if rank == 1:
        return place
    way = place.strides[rank - 1] if rank else 0
    return place._replace(shape=(prod(place.shape[:rank]), *place.shape[rank:]), strides=(way, *place.strides[rank:]))


def readable(assembler: Any, block: Block, x: Place) -> Place:
    """Matrices that BLAS can read; a copy, if these are not such."""
    found = as_matrices(x, ((0,), (1,), (2,)))
    if found is not None:
        return found
    target = assembler.contiguous("temporary", ShapedArray(x.shape, x.dtype))
    assembler.copy(block, x, target)
    return target


def part(assembler: Any, block: Block, source: Place, target: Place, *, lower: bool, k: int) -> None:
    """Copy what is on one side of the k-th diagonal, in the dtype of the target, with zeros elsewhere."""
    source, target = as_numbers(source), as_numbers(target)
    space = space_of(source)
    ends = (position(2, INT), position(1, INT, k))
    inside = Apply("less_equal", ends if lower else ends[::-1], BOOL)
    element = cast(Load(0, space, source.dtype), target.dtype)
    element = Apply("select", (inside, element, constant(0, target.dtype)), target.dtype)
    assembler.kernel(block, Kernel(source.shape, 0, (Output(element, None),), (0,)), (source,), (target,))


def conjugated(assembler: Any, block: Block, source: Place, target: Place) -> None:
    """Copy conjugate numbers."""
    element = Apply("conjugate", (Load(0, space_of(source), source.dtype),), source.dtype)
    assembler.kernel(block, Kernel(source.shape, 0, (Output(element, None),), (0,)), (source,), (target,))


def library(
    assembler: Any, block: Block, name: str, places: Sequence[Place], options: dict[str, Any] | None = None
) -> Place:
    """Add the instruction that calls a library for each of a batch of matrices; where it says whether that failed.

    A backend that is plain says so of each matrix, if it can.
    """
    is_noted_for_each = assembler.has_launches and name in FALLIBLE
    failed = assembler.contiguous("temporary", ShapedArray(places[0].shape[:1] if is_noted_for_each else (), INT))
    assembler.step(block, LibraryRun(name, options or {}, tuple(places), failed), [*places, failed])
    return failed


def unless_failed(
    assembler: Any, block: Block, failed: Place, copies: Sequence[tuple[Place, Place]], run: PythonRun
) -> None:
    """Add the instructions that copy what a library has found; where it failed, what raises the error instead.

    A backend that is plain does not wait for the answer: it looks at the end of the program.
    """
    if assembler.has_launches:
        for source, target in copies:
            assembler.convert(block, source, target)
        if failed.shape:
            refuse = run._replace(function=refusal(run.function, run.sources, run.params), params={})
            assembler.check(block, failed, 1, refuse._replace(sources=(failed,), targets=()))
        return
    found: Block = []
    otherwise: Block = []
    assembler.blocks += [found, otherwise]
    for source, target in copies:
        assembler.convert(found, source, target)
    assembler.step(otherwise, run._replace(is_rare=True), [*run.sources, *run.targets])
    places = [place for pair in copies for place in pair]
    assembler.step(block, BranchRun(failed, (found, otherwise)), [failed, *places, *run.sources, *run.targets])


def wide(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Double precision."""
    return np.dtype(np.complex128 if dtype.kind == "c" else np.float64)


def like(assembler: Any, x: Place) -> Place:
    """A contiguous array itself, or room for it in double precision."""
    dtype = wide(x.dtype)
    return x if x.dtype == dtype else assembler.contiguous("temporary", ShapedArray(x.shape, dtype))


def columns_of(assembler: Any, block: Block, x: Place, dtype: np.dtype[Any]) -> Place:
    """A copy of matrices, column by column: the transposes row by row."""
    batch, m, n = x.shape
    columns = assembler.contiguous("temporary", ShapedArray((batch, n, m), dtype))
    assembler.convert(block, flipped(x), columns)
    return columns


def check_diagonal(assembler: Any, block: Block, factors: Place, run: PythonRun) -> None:
    """Run something if there is a zero on a diagonal."""
    batch, n, _ = factors.shape
    dtype = factors.dtype
    i, j = axis_index(0), axis_index(1)
    is_zero = Apply("equal", (Load(0, (i, j, j), dtype), constant(0, dtype)), BOOL)
    found = assembler.contiguous("temporary", ShapedArray((batch, n), INT))
    kernel = Kernel((batch, n), 0, (Output(cast(is_zero, INT), None),), (0,))
    assembler.kernel(block, kernel, (factors,), (found,))
    assembler.check(block, found, 1, run)


def move_rows(
    assembler: Any, block: Block, source: Place, target: Place, order: Place, read: Any, written: Any
) -> None:
    """Copy rows that `order` names, or to where it says."""
    element: Expression = Load(0, read or space_of(source), source.dtype)
    kernel = Kernel(source.shape, 0, (Output(element, None, written),), (0, 1))
    assembler.kernel(block, kernel, (source, order), (target,))


def room_to_work(assembler: Any, batch: int, *wanted: tuple[np.dtype[Any], int]) -> list[Place]:
    """Room to work in, of some dtypes and sizes: for each matrix of a batch, so that threads can share them, if that is
    not too much. A backend that is plain has its own."""
    found: list[Place] = []
    for dtype, size in () if assembler.has_launches else wanted:
        is_shared = batch * size * dtype.itemsize > MOST_ROOM
        room = assembler.contiguous("temporary", ShapedArray((1 if is_shared else batch, size), dtype))
        found.append(room._replace(strides=(0, dtype.itemsize)) if is_shared else room)
    return found


def rooms_to_work(assembler: Any, batch: int, dtype: np.dtype[Any], sizes: Sequence[int]) -> list[Place]:
    """Room for numbers, for the real numbers that complex matrices need in addition, and for integers."""
    kinds = (dtype, real_dtype(dtype), INT32)
    return room_to_work(assembler, batch, *((kind, max(1, size)) for kind, size in zip(kinds, sizes)))


def as_vectors(place: Place) -> Place:
    """Vectors with one axis for all lanes, of a contiguous array."""
    count = int(np.prod(place.shape[:-1], dtype=np.int64))
    return place.reshaped((count, place.shape[-1]))


def flipped(x: Place) -> Place:
    return x.transposed((0, 2, 1))


def position(axis: int, dtype: np.dtype[Any], offset: int = 0) -> Expression:
    return cast(Position(axis_index(axis).plus(offset), INT), dtype)
