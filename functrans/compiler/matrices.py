"""Linear algebra by a library: what is done to matrices before and after it, as instructions.

LAPACK counts columns first. Where it matters a matrix is copied as its transpose, by a kernel, which reads any strides;
where it does not (a Cholesky factor, triangular equations) what is row by row is told to be the transpose. What NumPy
does for single precision it does in double precision; so do these functions, but for LU and triangular equations.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..core.avals import ShapedArray, real_dtype
from .builder import Builder
from .instructions import VIEWS, Block, BranchRun, LibraryRun, Place, PythonRun, as_matrices, as_numbers, is_row_major
from .loopnest import (
    BOOL,
    INT,
    ORIGIN,
    Affine,
    Apply,
    Expression,
    Kernel,
    Load,
    Output,
    Position,
    axis_index,
    cast,
    constant,
)
from .patterns import Reader
from .small_matrices import add_kernel, is_written_out, refusal

INT32 = np.dtype(np.int32)
#: Bytes of room to work in, at most, if each matrix of a batch has its own.
MOST_ROOM = 1 << 22
#: A backend that is plain has kernels for matrices of so many rows and columns at most.
MOST_ROWS = 32
#: What may have no result there, and raises an error then. Eigenvalues and singular values are NaN where they must be.
FALLIBLE = frozenset(("cholesky", "solve"))


def cholesky(assembler: Any, block: Block, a: Place, target: Place, run: PythonRun) -> None:
    """The lower triangle l with l l^H = a."""
    result = batched(target)
    factor = _like(assembler, result)
    part(assembler, block, batched(a), factor, lower=True, k=0)
    unless_failed(assembler, block, library(assembler, block, "cholesky", [factor]), [(factor, result)], run)


def triangular_solve(
    assembler: Any,
    block: Block,
    a: Place,
    b: Place,
    target: Place,
    *,
    left_side: bool,
    lower: bool,
    transpose_a: bool,
    conjugate_a: bool,
    unit_diagonal: bool,
) -> None:
    """The solution of op(a) x = b, or of x op(a) = b."""
    matrices, x = readable(assembler, block, batched(a)), batched(target)
    assembler.copy(block, batched(b), x)
    # BLAS wants columns: the transposed equation, on transposed views, is the same in its eyes.
    in_columns = not is_row_major(matrices)
    if conjugate_a and a.dtype.kind == "c" and transpose_a == in_columns:  # BLAS conjugates what it transposes only
        conjugate = assembler.contiguous("temporary", ShapedArray(matrices.shape, a.dtype))
        conjugated(assembler, block, matrices, conjugate)
        matrices, in_columns, conjugate_a = conjugate, False, False
    options = {
        "right": left_side, "lower": lower == in_columns, "transpose": transpose_a != in_columns,
        "conjugate": conjugate_a and a.dtype.kind == "c", "unit": unit_diagonal,
    }  # fmt: skip
    library(assembler, block, "triangular_solve", [matrices, x], options)


def lu(assembler: Any, block: Block, a: Place, packed: Place, pivots: Place, permutation: Place) -> None:
    """Packed factors, LAPACK's pivots counted from zero, and the permutation that they lead to."""
    x = batched(a)
    columns = _columns_of(assembler, block, x, x.dtype)
    found = assembler.contiguous("temporary", ShapedArray((x.shape[0], min(x.shape[1:])), INT32))
    library(assembler, block, "lu", [columns, found])
    assembler.copy(block, _flipped(columns), batched(packed))
    element = Apply("subtract", (Load(0, _space(found), INT32), constant(1, INT32)), INT32)
    kernel = Kernel(found.shape, 0, (Output(element, None),), (0,))
    assembler.kernel(block, kernel, (found,), (_rows(pivots),))
    order = _rows(permutation)
    count = Kernel(order.shape, 0, (Output(_position(1, INT32), None),), ())
    assembler.kernel(block, count, (), (order,))
    library(assembler, block, "permute", [_rows(pivots), order])


def solve(assembler: Any, block: Block, a: Place, b: Place, target: Place, run: PythonRun) -> None:
    """The solution of a x = b."""
    x = batched(a)
    columns, right = (_columns_of(assembler, block, y, wide(x.dtype)) for y in (x, batched(b)))
    pivots = assembler.contiguous("temporary", ShapedArray(x.shape[:2], INT32))
    failed = library(assembler, block, "solve", [columns, pivots, right])
    unless_failed(assembler, block, failed, [(_flipped(right), batched(target))], run)


def solve_with_factors(
    assembler: Any, block: Block, packed: Place, permutation: Place, b: Place, target: Place, run: PythonRun, *,
    transposed: bool,
) -> None:  # fmt: skip
    """The solution of a x = b, or of the transposed equation, from the factors of a."""
    factors, order = readable(assembler, block, batched(packed)), _rows(permutation)
    right, x = batched(b), batched(target)
    _check_diagonal(assembler, block, factors, run)
    lower = {"lower": True, "unit_diagonal": True}
    upper = {"lower": False, "unit_diagonal": False}
    common = {"left_side": True, "transpose_a": transposed, "conjugate_a": False}
    i, j, k = _space(right)
    row = ORIGIN.shifted(cast(Load(1, (i, j), INT32), INT))
    if not transposed:
        start = assembler.contiguous("temporary", ShapedArray(right.shape, right.dtype))
        _move(assembler, block, right, start, order, (i, row, k), None)
    first, second = (upper, lower) if transposed else (lower, upper)
    begin = right if transposed else start
    middle = assembler.contiguous("temporary", ShapedArray(right.shape, right.dtype))
    triangular_solve(assembler, block, factors, begin, middle, **common, **first)
    if not transposed:
        triangular_solve(assembler, block, factors, middle, x, **common, **second)
        return
    last = assembler.contiguous("temporary", ShapedArray(right.shape, right.dtype))
    triangular_solve(assembler, block, factors, middle, last, **common, **second)
    _move(assembler, block, last, x, order, None, (i, row, k))


def qr(assembler: Any, block: Block, a: Place, q: Place, r: Place) -> None:
    """a = q r: Householder's reflections, then r from above the diagonal and q from those."""
    x, orthogonal, triangle = batched(a), batched(q), batched(r)
    batch, m, n = x.shape
    k = orthogonal.shape[2]
    dtype = wide(a.dtype)
    both = assembler.contiguous("temporary", ShapedArray((batch, max(n, k), m), dtype))
    columns = VIEWS["slice"](both, (0, 0, 0), (batch, n, m), (1, 1, 1))
    assembler.convert(block, _flipped(x), columns)
    tau = assembler.contiguous("temporary", ShapedArray((batch, min(m, n)), dtype))
    library(assembler, block, "reflections", [columns, tau, *_work(assembler, batch, (dtype, 64 * n))])
    height = triangle.shape[1]
    above = VIEWS["slice"](_flipped(columns), (0, 0, 0), (batch, height, n), (1, 1, 1))
    part(assembler, block, above, triangle, lower=False, k=0)
    base = VIEWS["slice"](both, (0, 0, 0), (batch, k, m), (1, 1, 1))
    library(assembler, block, "orthogonal", [base, tau, *_work(assembler, batch, (dtype, 64 * k))])
    assembler.convert(block, _flipped(base), orthogonal)


def eigh(
    assembler: Any, block: Block, a: Place, values: Place, vectors: Place | None, run: PythonRun, *, lower: bool
) -> None:
    """Eigenvalues of Hermitian matrices, and eigenvectors if they are wanted."""
    x = batched(a)
    n = x.shape[1]
    columns = _columns_of(assembler, block, x, wide(x.dtype))
    found = _like(assembler, _rows(values))
    sizes = (1 + 6 * n + 2 * n * n, 1 + 5 * n + 2 * n * n, 3 + 5 * n)
    if vectors is None:
        sizes = (2 * n + 1, n + 1, 1)
    work = _works(assembler, x.shape[0], columns.dtype, (64 * n + sizes[0], *sizes[1:]))
    options = {"vectors": vectors is not None, "lower": lower}
    failed = library(assembler, block, "eigh", [columns, found, *work], options)
    copies = [] if vectors is None else [(_flipped(columns), batched(vectors))]
    unless_failed(assembler, block, failed, [(found, _rows(values)), *copies], run)


def svd(
    assembler: Any, block: Block, a: Place, u: Place | None, values: Place, vh: Place | None, run: PythonRun
) -> None:
    """Singular values, and vectors on both sides if they are wanted."""
    x = batched(a)
    batch, m, n = x.shape
    small, large = min(m, n), max(m, n)
    columns = _columns_of(assembler, block, x, wide(x.dtype))
    dtype, found = columns.dtype, _like(assembler, _rows(values))
    left, right = ((0, 0) if u is None or vh is None else (u.shape[-1], vh.shape[-2]))
    u_columns = assembler.contiguous("temporary", ShapedArray((batch, max(left, 1), m), dtype))
    v_columns = assembler.contiguous("temporary", ShapedArray((batch, n, max(right, 1)), dtype))
    real = small * max(5 * small + 7, 2 * large + 2 * small + 1)
    work = _works(assembler, batch, dtype, (4 * small * small + 7 * small + 2 * large + 64 * (m + n), real, 8 * small))
    options = {"vectors": u is not None, "full": left == m and right == n}
    failed = library(assembler, block, "svd", [columns, found, u_columns, v_columns, *work], options)
    copies = [] if u is None or vh is None else [(_flipped(u_columns), batched(u)), (_flipped(v_columns), batched(vh))]
    unless_failed(assembler, block, failed, [(found, _rows(values)), *copies], run)


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
    lane, row, column = _space(u)
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
    assembler.multiply(block, _flipped(v), _flipped(scaled), batched(target))


def determinant(assembler: Any, block: Block, a: Place, target: Place) -> None:
    """The determinants, from their signs and logarithms, as NumPy's are."""
    x = batched(a)
    sign, log = _signs_and_logs(assembler, block, *_factored(assembler, block, x))
    assembler.convert(block, _product_with_exp(assembler, block, sign, log), target.reshaped(sign.shape))


def sign_and_log(assembler: Any, block: Block, a: Place, sign: Place, log: Place) -> None:
    """The signs of determinants, or their phases, and the logarithms of their absolute values."""
    found = _signs_and_logs(assembler, block, *_factored(assembler, block, batched(a)))
    for source, target in zip(found, (sign, log)):
        assembler.convert(block, source, target.reshaped(source.shape))


def cofactors(assembler: Any, block: Block, a: Place, target: Place, run: PythonRun) -> None:
    """The determinants times the transposed inverses; singular matrices are left to Python."""
    x = batched(a)
    columns = _columns_of(assembler, block, x, wide(x.dtype))
    inverse = assembler.contiguous("temporary", ShapedArray(x.shape, columns.dtype))
    _, row, column = _space(inverse)
    is_diagonal = Apply("equal", (Position(row, INT), Position(column, INT)), BOOL)
    kernel = Kernel(inverse.shape, 0, (Output(cast(is_diagonal, columns.dtype), None),), ())
    assembler.kernel(block, kernel, (), (inverse,))
    pivots = assembler.contiguous("temporary", ShapedArray(x.shape[:2], INT32))
    failed = library(assembler, block, "solve", [columns, pivots, inverse])
    signs, logs = _signs_and_logs(assembler, block, columns, pivots)
    scale = _product_with_exp(assembler, block, signs, logs)
    # The solutions, row by row, are the columns of the inverse.
    scaled = assembler.contiguous("temporary", ShapedArray(inverse.shape, inverse.dtype))
    scale = scale._replace(shape=inverse.shape, strides=(*scale.strides, 0, 0))
    _multiply(assembler, block, inverse, scale, scaled)
    unless_failed(assembler, block, failed, [(scaled, batched(target))], run)


def _factored(assembler: Any, block: Block, x: Place) -> tuple[Place, Place]:
    """The factors of matrices in double precision, column by column, and LAPACK's pivots."""
    columns = _columns_of(assembler, block, x, wide(x.dtype))
    pivots = assembler.contiguous("temporary", ShapedArray(x.shape[:2], INT32))
    library(assembler, block, "lu", [columns, pivots])
    return columns, pivots


def _signs_and_logs(assembler: Any, block: Block, factors: Place, pivots: Place) -> tuple[Place, Place]:
    """The product of the directions of what is on the diagonal, and the sum of the logarithms of its size."""
    batch, n, _ = factors.shape
    dtype, real = factors.dtype, real_dtype(factors.dtype)
    i, j = axis_index(0), axis_index(1)
    x, one, zero = Load(0, (i, j, j), dtype), constant(1, dtype), constant(0, real)
    size = Apply("absolute", (x,), real)
    if dtype.kind == "c":
        parts = (Apply("divide", (Apply(part, (x,), real), size), real) for part in ("real", "imag"))
        direction: Expression = Apply("complex", tuple(parts), dtype)
    else:
        direction = Apply("select", (Apply("less", (x, zero), BOOL), constant(-1, dtype), one), dtype)
    direction = Apply("select", (Apply("equal", (size, zero), BOOL), constant(0, dtype), direction), dtype)
    stays = Apply("equal", (Load(1, (i, j), INT32), _position(1, INT32, 1)), BOOL)
    direction = Apply("select", (stays, direction, Apply("negative", (direction,), dtype)), dtype)
    log = Apply("log", (size,), real)
    signs = assembler.contiguous("temporary", ShapedArray((batch, n), dtype))
    logs = assembler.contiguous("temporary", ShapedArray((batch,), real))
    sources = (factors, pivots)
    assembler.kernel(block, Kernel((batch, n), 0, (Output(direction, None),), (0, 1)), sources, (signs,))
    assembler.kernel(block, Kernel((batch, n), 1, (Output(log, "add"),), (0,)), (factors,), (logs,))
    return _products_of_rows(assembler, block, signs), logs


def _products_of_rows(assembler: Any, block: Block, x: Place) -> Place:
    """The product of each row, by multiplying one half with the other; complex numbers have no reduction."""
    while x.shape[1] > 1:
        half = x.shape[1] // 2
        left, right = (VIEWS["slice"](x, (0, s), (x.shape[0], s + half), (1, 1)) for s in (0, half))
        if x.shape[1] % 2:
            first, last = (VIEWS["slice"](x, (0, s), (x.shape[0], s + 1), (1, 1)) for s in (0, 2 * half))
            _multiply(assembler, block, first, last, first)
        _multiply(assembler, block, left, right, left)
        x = left
    return x._replace(shape=x.shape[:1], strides=x.strides[:1])


def _multiply(assembler: Any, block: Block, x: Place, y: Place, target: Place) -> None:
    """Multiply arrays of the same shape element by element."""
    element = Apply("multiply", tuple(Load(k, _space(x), x.dtype) for k in range(2)), x.dtype)
    assembler.kernel(block, Kernel(x.shape, 0, (Output(element, None),), (0, 1)), (x, y), (target,))


def _product_with_exp(assembler: Any, block: Block, signs: Place, logs: Place) -> Place:
    """The numbers with some signs, and logarithms of absolute values."""
    i = (axis_index(0),)
    size = cast(Apply("exp", (Load(1, i, logs.dtype),), logs.dtype), signs.dtype)
    element = Apply("multiply", (Load(0, i, signs.dtype), size), signs.dtype)
    target = assembler.contiguous("temporary", ShapedArray(signs.shape, signs.dtype))
    assembler.kernel(block, Kernel(signs.shape, 0, (Output(element, None),), (0, 1)), (signs, logs), (target,))
    return target


# ---- by the names of primitives


def linear_algebra(
    assembler: Any,
    block: Block,
    primitive: Any,
    sources: Sequence[Place],
    targets: Sequence[Place],
    params: dict[str, Any],
    **options: Any,
) -> bool:
    """Add the instructions for a primitive, if its matrices are small, or the backend has LAPACK.

    Args:
        params: those of the primitive.
        options: what the function that is named after it wants to know.
    """
    if is_written_out(primitive.name, sources) and add_kernel(assembler, block, primitive, sources, targets, params):
        return True
    is_empty = any(0 in place.shape for place in (*sources, *targets))
    if not _has_library(assembler, primitive.name, sources) or is_empty or not all(y.is_contiguous for y in targets):
        return False
    name, run = primitive.name, assembler.python(primitive, sources, targets, params)
    operands = [in_lanes(assembler, block, x) for x in sources]
    common = assembler, block, *operands
    if name in ("lu", "factors"):
        lu(*common, *targets)
    elif name == "qr":
        qr(*common, *targets)
    elif name == "det":
        determinant(*common, *targets)
    elif name == "slogdet":
        sign_and_log(*common, *targets)
    elif name == "triangular_solve":
        triangular_solve(*common, *targets, **options)
    elif name == "eigh":
        eigh(*common, targets[0], targets[1] if len(targets) > 1 else None, run, **options)
    elif name == "svd":
        u, values, vh = targets if len(targets) > 1 else (None, targets[0], None)
        svd(*common, u, values, vh, run)
    elif name == "pinv":
        pseudo_inverse(*common, *targets, run)
    elif name == "solve_with_factors":
        solve_with_factors(*common[:2], *operands[1:], *targets, run, **options)
    else:
        {"cholesky": cholesky, "solve": solve, "cofactors": cofactors}[name](*common, *targets, run)
    return True


def element_by_element(
    assembler: Any, block: Block, rule: Any, sources: Sequence[Place], target: Place, params: dict[str, Any]
) -> bool:
    """Add one kernel for a rule like those of `Primitive.lower`; with this one nothing fuses."""
    readers = [Reader(k, ShapedArray(x.shape, x.dtype), target.shape) for k, x in enumerate(sources)]
    element = rule(Builder(ShapedArray(target.shape, target.dtype)), *readers, **params)(_space(target))
    kernel = Kernel(target.shape, 0, (Output(element, None),), tuple(range(len(sources))))
    if 0 in target.shape or not all(map(assembler.supports, kernel.expressions())):
        return False
    assembler.kernel(block, kernel, sources, (target,))
    return True


def _has_library(assembler: Any, name: str, sources: Sequence[Place]) -> bool:
    """Whether the backend has LAPACK, or kernels that do the same for matrices of this size."""
    if not assembler.is_plain:
        return assembler.has_library("lapack")
    return name != "cofactors" and max(sources[0].shape[-2:]) <= MOST_ROWS  # singular ones would need a branch


def in_lanes(assembler: Any, block: Block, x: Place) -> Place:
    """An array whose lanes follow from one stride; a copy, if they do not."""
    lanes, ways = x.shape[:-2], x.strides[:-2]
    if all(way == ways[i + 1] * lanes[i + 1] for i, way in enumerate(ways[:-1])):
        return x
    target = assembler.contiguous("temporary", ShapedArray(x.shape, x.dtype))
    assembler.copy(block, x, target)
    return target


# ---- parts


def batched(place: Place) -> Place:
    """Matrices with one axis for all lanes, which must follow from one stride."""
    count = int(np.prod(place.shape[:-2], dtype=np.int64))
    if len(place.shape) == 3:
        return place
    way = place.strides[-3] if len(place.shape) > 2 else 0
    return place._replace(shape=(count, *place.shape[-2:]), strides=(way, *place.strides[-2:]))


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
    space = _space(source)
    ends = (_position(2, INT), _position(1, INT, k))
    inside = Apply("less_equal", ends if lower else ends[::-1], BOOL)
    element = cast(Load(0, space, source.dtype), target.dtype)
    element = Apply("select", (inside, element, constant(0, target.dtype)), target.dtype)
    assembler.kernel(block, Kernel(source.shape, 0, (Output(element, None),), (0,)), (source,), (target,))


def conjugated(assembler: Any, block: Block, source: Place, target: Place) -> None:
    """Copy conjugate numbers."""
    element = Apply("conjugate", (Load(0, _space(source), source.dtype),), source.dtype)
    assembler.kernel(block, Kernel(source.shape, 0, (Output(element, None),), (0,)), (source,), (target,))


def library(
    assembler: Any, block: Block, name: str, places: Sequence[Place], options: dict[str, Any] | None = None
) -> Place:
    """Add the instruction that calls a library for each of a batch of matrices; where it says whether that failed.

    A backend that is plain says so of each matrix, if it can.
    """
    is_noted_for_each = assembler.is_plain and name in FALLIBLE
    failed = assembler.contiguous("temporary", ShapedArray(places[0].shape[:1] if is_noted_for_each else (), INT))
    assembler.step(block, LibraryRun(name, options or {}, tuple(places), failed), [*places, failed])
    return failed


def unless_failed(
    assembler: Any, block: Block, failed: Place, copies: Sequence[tuple[Place, Place]], run: PythonRun
) -> None:
    """Add the instructions that copy what a library has found; where it failed, what raises the error instead.

    A backend that is plain does not wait for the answer: it looks at the end of the program.
    """
    if assembler.is_plain:
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


def _like(assembler: Any, x: Place) -> Place:
    """A contiguous array itself, or room for it in double precision."""
    dtype = wide(x.dtype)
    return x if x.dtype == dtype else assembler.contiguous("temporary", ShapedArray(x.shape, dtype))


def _columns_of(assembler: Any, block: Block, x: Place, dtype: np.dtype[Any]) -> Place:
    """A copy of matrices, column by column: the transposes row by row."""
    batch, m, n = x.shape
    columns = assembler.contiguous("temporary", ShapedArray((batch, n, m), dtype))
    assembler.convert(block, _flipped(x), columns)
    return columns


def _check_diagonal(assembler: Any, block: Block, factors: Place, run: PythonRun) -> None:
    """Run something if there is a zero on a diagonal."""
    batch, n, _ = factors.shape
    dtype = factors.dtype
    i, j = axis_index(0), axis_index(1)
    is_zero = Apply("equal", (Load(0, (i, j, j), dtype), constant(0, dtype)), BOOL)
    found = assembler.contiguous("temporary", ShapedArray((batch, n), INT))
    kernel = Kernel((batch, n), 0, (Output(cast(is_zero, INT), None),), (0,))
    assembler.kernel(block, kernel, (factors,), (found,))
    assembler.check(block, found, 1, run)


def _move(assembler: Any, block: Block, source: Place, target: Place, order: Place, read: Any, written: Any) -> None:
    """Copy rows that `order` names, or to where it says."""
    element: Expression = Load(0, read or _space(source), source.dtype)
    kernel = Kernel(source.shape, 0, (Output(element, None, written),), (0, 1))
    assembler.kernel(block, kernel, (source, order), (target,))


def _work(assembler: Any, batch: int, *wanted: tuple[np.dtype[Any], int]) -> list[Place]:
    """Room to work in, of some dtypes and sizes: for each matrix of a batch, so that threads can share them, if that is
    not too much. A backend that is plain has its own."""
    found: list[Place] = []
    for dtype, size in () if assembler.is_plain else wanted:
        is_shared = batch * size * dtype.itemsize > MOST_ROOM
        room = assembler.contiguous("temporary", ShapedArray((1 if is_shared else batch, size), dtype))
        found.append(room._replace(strides=(0, dtype.itemsize)) if is_shared else room)
    return found


def _works(assembler: Any, batch: int, dtype: np.dtype[Any], sizes: Sequence[int]) -> list[Place]:
    """Room for numbers, for the real numbers that complex matrices need in addition, and for integers."""
    kinds = (dtype, real_dtype(dtype), INT32)
    return _work(assembler, batch, *((kind, max(1, size)) for kind, size in zip(kinds, sizes)))


def _rows(place: Place) -> Place:
    """Vectors with one axis for all lanes, of a contiguous array."""
    count = int(np.prod(place.shape[:-1], dtype=np.int64))
    return place.reshaped((count, place.shape[-1]))


def _flipped(x: Place) -> Place:
    return VIEWS["transpose"](x, (0, 2, 1))


def _space(place: Place) -> tuple[Affine, ...]:
    return tuple(map(axis_index, range(len(place.shape))))


def _position(axis: int, dtype: np.dtype[Any], offset: int = 0) -> Expression:
    return cast(Position(axis_index(axis).plus(offset), INT), dtype)
