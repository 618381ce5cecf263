"""Eigenvalues and singular values by a library, for compiler/matrices.py."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core.avals import ShapedArray, real_dtype
from .instructions import Block, BranchRun, PythonRun
from .loopnest import BOOL, INT, ORIGIN, Apply, Kernel, Load, Output, Position, cast, constant
from .matrix_parts import (
    as_vectors,
    batched,
    columns_of,
    conjugated,
    flipped,
    library,
    like,
    room_to_work,
    rooms_to_work,
    unless_failed,
    wide,
)
from .places import Place, space_of


def eigh(
    assembler: Any, block: Block, a: Place, values: Place, vectors: Place | None, run: PythonRun, *, lower: bool
) -> None:
    """Eigenvalues of Hermitian matrices, and eigenvectors if they are wanted."""
    x = batched(a)
    n = x.shape[1]
    columns = columns_of(assembler, block, x, wide(x.dtype))
    found = like(assembler, as_vectors(values))
    sizes = (1 + 6 * n + 2 * n * n, 1 + 5 * n + 2 * n * n, 3 + 5 * n)
    if vectors is None:
        sizes = (2 * n + 1, n + 1, 1)
    work = rooms_to_work(assembler, x.shape[0], columns.dtype, (64 * n + sizes[0], *sizes[1:]))
    options = {"vectors": vectors is not None, "lower": lower}
    failed = library(assembler, block, "eigh", [columns, found, *work], options)
    copies = [] if vectors is None else [(flipped(columns), batched(vectors))]
    unless_failed(assembler, block, failed, [(found, as_vectors(values)), *copies], run)


def eig(assembler: Any, block: Block, a: Place, values: Place, vectors: Place | None, run: PythonRun) -> None:
    """Eigenvalues of any matrices, and eigenvectors if they are wanted; what is not finite is refused, as by NumPy."""
    x, is_refused = batched(a), assembler.contiguous("temporary", ShapedArray((), INT))
    element = Load(0, space_of(x), x.dtype)
    is_strange = cast(Apply("logical_not", (Apply("isfinite", (element,), BOOL),), BOOL), INT)
    kernel = Kernel(x.shape, 3, (Output(is_strange, "maximum"),), (0,))
    assembler.kernel(block, kernel, (x,), (is_refused,))
    found: Block = []
    otherwise: Block = []
    assembler.blocks += [found, otherwise]
    columns = columns_of(assembler, found, x, wide(x.dtype))
    batch, n, dtype = x.shape[0], x.shape[1], columns.dtype
    is_real = dtype.kind != "c"
    parts = [assembler.contiguous("temporary", ShapedArray((batch, n), dtype)) for _ in range(1 + is_real)]
    turned = assembler.contiguous("temporary", ShapedArray(x.shape, dtype))
    work = room_to_work(assembler, batch, (dtype, 66 * n), *([] if is_real else [(real_dtype(dtype), 2 * n)]))
    options = {"vectors": vectors is not None}
    failed = library(assembler, found, "eig", [columns, *parts, turned, *work], options)
    copies = [(_joined(assembler, found, *parts) if is_real else parts[0], as_vectors(values))]
    if vectors is not None:
        whole = _with_pairs(assembler, found, turned, parts[1]) if is_real else turned
        copies.append((flipped(whole), batched(vectors)))
    unless_failed(assembler, found, failed, copies, run)
    assembler.step(otherwise, run._replace(is_rare=True), [*run.sources, *run.targets])
    places = [*parts, turned, columns, *work, failed, *run.sources, *run.targets]
    assembler.step(block, BranchRun(is_refused, (found, otherwise)), [is_refused, *places])


def _joined(assembler: Any, block: Block, re: Place, im: Place) -> Place:
    """Complex numbers of real and imaginary parts."""
    dtype = np.dtype(np.complex128)
    target = assembler.contiguous("temporary", ShapedArray(re.shape, dtype))
    element = Apply("complex", tuple(Load(k, space_of(re), re.dtype) for k in range(2)), dtype)
    assembler.kernel(block, Kernel(re.shape, 0, (Output(element, None),), (0, 1)), (re, im), (target,))
    return target


def _with_pairs(assembler: Any, block: Block, rows: Place, imaginary: Place) -> Place:
    """Eigenvectors, row by row, of real matrices: those of conjugate eigenvalues are a row for the real parts, and
    then one for the imaginary parts."""
    dtype, real = np.dtype(np.complex128), rows.dtype
    b, j, k = space_of(rows)
    last, zero = constant(rows.shape[1] - 1, INT), constant(0, INT)
    before = Apply("maximum", (Position(j.plus(-1), INT), zero), INT)
    after = Apply("minimum", (Position(j.plus(1), INT), last), INT)
    own, former, latter = (Load(0, (b, row, k), real) for row in (j, ORIGIN.shifted(before), ORIGIN.shifted(after)))
    part, nothing = Load(1, (b, j), real), constant(0, real)
    is_first, is_second = (Apply(order, (part, nothing), BOOL) for order in ("greater", "less"))
    other = Apply("select", (is_second, Apply("negative", (own,), real), nothing), real)
    im = Apply("select", (is_first, latter, other), real)
    element = Apply("complex", (Apply("select", (is_second, former, own), real), im), dtype)
    target = assembler.contiguous("temporary", ShapedArray(rows.shape, dtype))
    assembler.kernel(block, Kernel(rows.shape, 0, (Output(element, None),), (0, 1)), (rows, imaginary), (target,))
    return target


def svd(
    assembler: Any, block: Block, a: Place, u: Place | None, values: Place, vh: Place | None, run: PythonRun
) -> None:
    """Singular values, and vectors on both sides if they are wanted."""
    x = batched(a)
    batch, m, n = x.shape
    small, large = min(m, n), max(m, n)
    columns = columns_of(assembler, block, x, wide(x.dtype))
    dtype, found = columns.dtype, like(assembler, as_vectors(values))
    left, right = (0, 0) if u is None or vh is None else (u.shape[-1], vh.shape[-2])
    u_columns = assembler.contiguous("temporary", ShapedArray((batch, max(left, 1), m), dtype))
    v_columns = assembler.contiguous("temporary", ShapedArray((batch, n, max(right, 1)), dtype))
    real = small * max(5 * small + 7, 2 * large + 2 * small + 1)
    work = rooms_to_work(
        assembler, batch, dtype, (4 * small * small + 7 * small + 2 * large + 64 * (m + n), real, 8 * small)
    )
    options = {"vectors": u is not None, "full": left == m and right == n}
    failed = library(assembler, block, "svd", [columns, found, u_columns, v_columns, *work], options)
    copies = [] if u is None or vh is None else [(flipped(u_columns), batched(u)), (flipped(v_columns), batched(vh))]
    unless_failed(assembler, block, failed, [(found, as_vectors(values)), *copies], run)


def pseudo_inverse(assembler: Any, block: Block, a: Place, limits: Place, target: Place, run: PythonRun) -> None:
    """v 1/s u^H, of the singular values s above a limit, which is a part of the largest one."""
    x, dtype, real = batched(a), a.dtype, real_dtype(a.dtype)
    batch, m, n = x.shape
    k = min(m, n)
    shapes = ((batch, m, k), dtype), ((batch, k), real), ((batch, k, n), dtype)
    u, values, vh = (assembler.contiguous("temporary", ShapedArray(*aval)) for aval in shapes)
    svd(assembler, block, x, u, values, vh, run)
    if not limits.is_contiguous:
        limits = assembler.contiguous_copy(block, limits)
    lane, row, column = space_of(u)
    size, largest, part_of = Load(1, (lane, column), real), Load(1, (lane, ORIGIN), real), Load(2, (lane,), real)
    counts = Apply("greater", (size, Apply("multiply", (part_of, largest), real)), BOOL)
    factor = Apply("select", (counts, Apply("divide", (constant(1, real), size), real), constant(0, real)), real)
    element = Apply("conjugate", (Load(0, (lane, row, column), dtype),), dtype)
    scaled = assembler.contiguous("temporary", ShapedArray(u.shape, dtype))
    kernel = Kernel(u.shape, 0, (Output(Apply("multiply", (element, cast(factor, dtype)), dtype), None),), (0, 1, 2))
    assembler.kernel(block, kernel, (u, values, limits.reshaped((batch,))), (scaled,))
    v = vh
    if dtype.kind == "c":
        v = assembler.contiguous("temporary", ShapedArray(vh.shape, dtype))
        conjugated(assembler, block, vh, v)
    assembler.multiply(block, flipped(v), flipped(scaled), batched(target))
