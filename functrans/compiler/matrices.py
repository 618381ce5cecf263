"""Linear algebra by a library: what is done to matrices before and after it, as instructions.

LAPACK counts columns first. Where it matters a matrix is copied as its transpose, by a kernel, which reads any strides;
where it does not (a Cholesky factor, triangular equations) what is row by row is told to be the transpose. What NumPy
does for single precision it does in double precision; so do these functions, but for LU and triangular equations. A
backend that is plain reads matrices as they are, in their own precision, for a Cholesky factor and for equations.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from ..core.avals import ShapedArray, real_dtype
from .builder import Builder
from .instructions import Block, PythonRun
from .loopnest import BOOL, INT, ORIGIN, Apply, Expression, Kernel, Load, Output, Position, axis_index, cast, constant
from .matrix_loops import add_loops, are_loops
from .matrix_parts import (
    INT32,
    as_vectors,
    batched,
    check_diagonal,
    columns_of,
    conjugated,
    flipped,
    library,
    like,
    move_rows,
    part,
    position,
    readable,
    room_to_work,
    unless_failed,
    wide,
)
from .patterns import Reader
from .places import Place, is_row_major, space_of
from .small_matrices import add_kernel, is_written_out
from .spectra import eig, eigh, pseudo_inverse, svd

#: A backend that is plain has kernels for matrices of so many rows and columns at most.
MOST_ROWS = 32


def cholesky(assembler: Any, block: Block, a: Place, target: Place, run: PythonRun) -> None:
    """The lower triangle l with l l^H = a."""
    result = batched(target)
    if assembler.has_launches:
        unless_failed(assembler, block, library(assembler, block, "cholesky", [batched(a), result]), (), run)
        return
    factor = like(assembler, result)
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
    columns = columns_of(assembler, block, x, x.dtype)
    found = assembler.contiguous("temporary", ShapedArray((x.shape[0], min(x.shape[1:])), INT32))
    library(assembler, block, "lu", [columns, found])
    assembler.copy(block, flipped(columns), batched(packed))
    element = Apply("subtract", (Load(0, space_of(found), INT32), constant(1, INT32)), INT32)
    kernel = Kernel(found.shape, 0, (Output(element, None),), (0,))
    assembler.kernel(block, kernel, (found,), (as_vectors(pivots),))
    order = as_vectors(permutation)
    count = Kernel(order.shape, 0, (Output(position(1, INT32), None),), ())
    assembler.kernel(block, count, (), (order,))
    library(assembler, block, "permute", [as_vectors(pivots), order])


def solve(assembler: Any, block: Block, a: Place, b: Place, target: Place, run: PythonRun) -> None:
    """The solution of a x = b."""
    x = batched(a)
    if assembler.has_launches:
        places = [x, batched(b), batched(target)]
        unless_failed(assembler, block, library(assembler, block, "solve", places), (), run)
        return
    columns, right = (columns_of(assembler, block, y, wide(x.dtype)) for y in (x, batched(b)))
    pivots = assembler.contiguous("temporary", ShapedArray(x.shape[:2], INT32))
    failed = library(assembler, block, "solve", [columns, pivots, right])
    unless_failed(assembler, block, failed, [(flipped(right), batched(target))], run)


def solve_with_factors(
    assembler: Any, block: Block, a: Place, packed: Place, permutation: Place, b: Place, target: Place,
    run: PythonRun, *, transposed: bool,
) -> None:  # fmt: skip
    """The solution of a x = b, or of the transposed equation, from the factors of a."""
    factors, order = readable(assembler, block, batched(packed)), as_vectors(permutation)
    right, x = batched(b), batched(target)
    check_diagonal(assembler, block, factors, run)
    lower = {"lower": True, "unit_diagonal": True}
    upper = {"lower": False, "unit_diagonal": False}
    common = {"left_side": True, "transpose_a": transposed, "conjugate_a": False}
    i, j, k = space_of(right)
    row = ORIGIN.shifted(cast(Load(1, (i, j), INT32), INT))
    if not transposed:
        start = assembler.contiguous("temporary", ShapedArray(right.shape, right.dtype))
        move_rows(assembler, block, right, start, order, (i, row, k), None)
    first, second = (upper, lower) if transposed else (lower, upper)
    begin = right if transposed else start
    middle = assembler.contiguous("temporary", ShapedArray(right.shape, right.dtype))
    triangular_solve(assembler, block, factors, begin, middle, **common, **first)
    if not transposed:
        triangular_solve(assembler, block, factors, middle, x, **common, **second)
        return
    last = assembler.contiguous("temporary", ShapedArray(right.shape, right.dtype))
    triangular_solve(assembler, block, factors, middle, last, **common, **second)
    move_rows(assembler, block, last, x, order, None, (i, row, k))


def qr(assembler: Any, block: Block, a: Place, q: Place | None, r: Place) -> None:
    """a = q r: Householder's reflections, then r from above the diagonal and q, if it is wanted, from those."""
    x, triangle = batched(a), batched(r)
    batch, m, n = x.shape
    k = triangle.shape[1]
    dtype = wide(a.dtype)
    both = assembler.contiguous("temporary", ShapedArray((batch, max(n, k), m), dtype))
    columns = both.sliced((0, 0, 0), (batch, n, m), (1, 1, 1))
    assembler.convert(block, flipped(x), columns)
    tau = assembler.contiguous("temporary", ShapedArray((batch, min(m, n)), dtype))
    library(assembler, block, "reflections", [columns, tau, *room_to_work(assembler, batch, (dtype, 64 * n))])
    above = flipped(columns).sliced((0, 0, 0), (batch, k, n), (1, 1, 1))
    part(assembler, block, above, triangle, lower=False, k=0)
    if q is None:
        return
    base = both.sliced((0, 0, 0), (batch, k, m), (1, 1, 1))
    library(assembler, block, "orthogonal", [base, tau, *room_to_work(assembler, batch, (dtype, 64 * k))])
    assembler.convert(block, flipped(base), batched(q))


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
    columns = columns_of(assembler, block, x, wide(x.dtype))
    inverse = assembler.contiguous("temporary", ShapedArray(x.shape, columns.dtype))
    _, row, column = space_of(inverse)
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
    columns = columns_of(assembler, block, x, wide(x.dtype))
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
    stays = Apply("equal", (Load(1, (i, j), INT32), position(1, INT32, 1)), BOOL)
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
        left, right = (x.sliced((0, s), (x.shape[0], s + half), (1, 1)) for s in (0, half))
        if x.shape[1] % 2:
            first, last = (x.sliced((0, s), (x.shape[0], s + 1), (1, 1)) for s in (0, 2 * half))
            _multiply(assembler, block, first, last, first)
        _multiply(assembler, block, left, right, left)
        x = left
    return x._replace(shape=x.shape[:1], strides=x.strides[:1])


def _multiply(assembler: Any, block: Block, x: Place, y: Place, target: Place) -> None:
    """Multiply arrays of the same shape element by element."""
    element = Apply("multiply", tuple(Load(k, space_of(x), x.dtype) for k in range(2)), x.dtype)
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
    is_in_loops = not assembler.has_launches and are_loops(primitive.name, sources)
    is_short = is_written_out(primitive.name, sources) and not is_in_loops
    if is_short and add_kernel(assembler, block, primitive, sources, targets, params):
        return True
    is_empty = any(0 in place.shape for place in (*sources, *targets))
    call = _call(assembler, primitive.name, sources)
    if call is None or is_empty or not all(y.is_contiguous for y in targets):
        return False
    rank = len(sources[0].shape) - 2
    operands = [in_lanes(assembler, block, x, rank) for x in sources]
    if is_in_loops:
        lanes = [[batched(x, rank) for x in places] for places in (operands, targets)]
        add_loops(assembler, block, primitive, *lanes, params)
        return True
    run = [assembler.python(primitive, sources, targets, params)] if call.may_fail else []
    before, after = call.vectors if len(targets) == 1 else (0, 0)
    call.function(assembler, block, *operands, *[None] * before, *targets, *[None] * after, *run, **options)
    return True


class Call(NamedTuple):
    """What adds the instructions that call a library for a primitive.

    Attributes:
        may_fail: whether Python raises the error if the library finds no result; the function is then given how.
        vectors: how many results with vectors there are before and after the one that a decomposition always has; where
            nobody needs them the function is given None.
        needs_lapack: whether backends that are plain have no kernels for it.
    """

    function: Callable[..., None]
    may_fail: bool = False
    vectors: tuple[int, int] = (0, 0)
    needs_lapack: bool = False


#: By the names of primitives. Without LAPACK, singular matrices would need a branch, and Hessenberg's form many steps.
CALLS: dict[str, Call] = {
    "lu": Call(lu),
    "factors": Call(lu),
    "det": Call(determinant),
    "slogdet": Call(sign_and_log),
    "triangular_solve": Call(triangular_solve),
    "qr": Call(qr, vectors=(1, 0)),
    "solve_with_factors": Call(solve_with_factors, may_fail=True),
    "cholesky": Call(cholesky, may_fail=True),
    "solve": Call(solve, may_fail=True),
    "cofactors": Call(cofactors, may_fail=True, needs_lapack=True),
    "pinv": Call(pseudo_inverse, may_fail=True),
    "eigh": Call(eigh, may_fail=True, vectors=(0, 1)),
    "eig": Call(eig, may_fail=True, vectors=(0, 1), needs_lapack=True),
    "svd": Call(svd, may_fail=True, vectors=(1, 1)),
}


def _call(assembler: Any, name: str, sources: Sequence[Place]) -> Call | None:
    """What calls LAPACK, or kernels that do the same for matrices of this size; None if the backend has neither."""
    call = CALLS.get(name)
    if call is None:
        return None
    if assembler.has_launches:
        has_it = not call.needs_lapack and max(sources[0].shape[-2:]) <= MOST_ROWS
    else:
        has_it = assembler.has_library("lapack")
    return call if has_it else None


def element_by_element(
    assembler: Any, block: Block, rule: Any, sources: Sequence[Place], target: Place, params: dict[str, Any]
) -> bool:
    """Add one kernel for a rule like those of `Primitive.lower`; with this one nothing fuses."""
    readers = [Reader(k, ShapedArray(x.shape, x.dtype), target.shape) for k, x in enumerate(sources)]
    element = rule(Builder(ShapedArray(target.shape, target.dtype)), *readers, **params)(space_of(target))
    kernel = Kernel(target.shape, 0, (Output(element, None),), tuple(range(len(sources))))
    if 0 in target.shape or not all(map(assembler.supports, kernel.expressions())):
        return False
    assembler.kernel(block, kernel, sources, (target,))
    return True


def in_lanes(assembler: Any, block: Block, x: Place, rank: int) -> Place:
    """An array whose lanes, its first axes, follow from one stride; a copy, if they do not."""
    lanes, ways = x.shape[:rank], x.strides[:rank]
    if all(way == ways[i + 1] * lanes[i + 1] for i, way in enumerate(ways[:-1])):
        return x
    target = assembler.contiguous("temporary", ShapedArray(x.shape, x.dtype))
    assembler.copy(block, x, target)
    return target
