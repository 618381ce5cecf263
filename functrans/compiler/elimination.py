"""Small matrices as expressions: factorizations and linear equations written out, element by element.

A matrix is a list of rows of expressions (compiler/loopnest.py), so whoever has these, a kernel over a batch of
matrices or a loop that keeps its state in registers, computes with matrices as with numbers. The order of operations is
that of OpenBLAS for small matrices, column by column with sums before differences: of 1200 singular matrices of small
integers, of three and four rows, the same ones have a pivot of exactly zero as there; row by row it is 80 to 95 %. Rows
change places by selections: there are no branches, and all matrices of a batch do the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import Any, NamedTuple

import numpy as np

from ..core.avals import real_dtype
from .loopnest import BOOL, INT, Apply, Expression, cast, constant

Row = list[Expression]
Rows = list[Row]
#: Those of rows, columns or matrices.
Numbers = tuple[int, ...]


class Eliminated(NamedTuple):
    """What Gauss's elimination with partial pivoting makes of a matrix and of what stands beside it.

    Attributes:
        packed: the factors, the ones on the diagonal of the lower one left out.
        beside: further columns, their rows in the order of those of the factors.
        pivots: for each step the row that changed places with that of the step, in the dtype of real numbers.
    """

    packed: Rows
    beside: Rows
    pivots: Row


def apply(operation: str, *operands: Expression, gives: np.dtype[Any] | None = None) -> Expression:
    """A scalar operation, by default with a result in the dtype of the first operand."""
    return Apply(operation, operands, gives or operands[0].dtype)


def compared(operation: str, x: Expression, y: Expression) -> Expression:
    return Apply(operation, (x, y), BOOL)


def choose(condition: Expression, x: Expression, y: Expression) -> Expression:
    """x where the condition holds, else y."""
    return x if x is y else Apply("select", (condition, x, y), x.dtype)


def number_like(x: Expression, value: Any) -> Expression:
    return constant(value, x.dtype)


def in_dtype(rows: Sequence[Sequence[Expression]], dtype: np.dtype[Any]) -> Rows:
    """A matrix cast to a dtype."""
    return [[cast(x, dtype) for x in row] for row in rows]


def transposed(rows: Rows) -> Rows:
    return [list(column) for column in zip(*rows)]


def any_of(conditions: Sequence[Expression]) -> Expression:
    """Whether some condition holds."""
    return reduce(lambda x, y: compared("logical_or", x, y), conditions)


def dot(xs: Sequence[Expression], ys: Sequence[Expression]) -> Expression:
    """The sum of products of at least one pair of numbers."""
    products = [apply("multiply", x, y) for x, y in zip(xs, ys)]
    return reduce(lambda x, y: apply("add", x, y), products)


# ---- Gauss's elimination


def eliminate(a: Rows, beside: Rows) -> Eliminated:
    """The factors of a matrix with partial pivoting: the pivot is the first of the largest numbers of its column.

    What is below a pivot of zero, or of less than the least normal number, stays as it is, as in LAPACK.
    """
    height, width = len(a), len(a[0])
    rows = [[*row, *others] for row, others in zip(a, beside)]
    pivots: Row = []
    for j in range(width):
        for i in range(1, height):
            left = rows[i][: min(i, j)]
            if left:
                total = dot(left, [rows[k][j] for k in range(len(left))])
                rows[i][j] = apply("subtract", rows[i][j], total)
        if j < height:
            pivot, size = _bring_up_pivot(rows, j)
            pivots.append(pivot)
            if j + 1 < height:
                is_tiny = compared("less", size, number_like(size, np.finfo(size.dtype).tiny))
                inverse = apply("reciprocal", rows[j][j])
                inverse = choose(is_tiny, number_like(inverse, 1), inverse)
                for i in range(j + 1, height):
                    rows[i][j] = apply("multiply", rows[i][j], inverse)
    return Eliminated([row[:width] for row in rows], [row[width:] for row in rows], pivots)


def _bring_up_pivot(rows: Rows, j: int) -> tuple[Expression, Expression]:
    """Have row j change places with that of the pivot of column j; the number of that row, and the pivot's size."""
    sizes = [_size(row[j]) for row in rows[j:]]
    largest, top = sizes[0], rows[j]
    pivot = number_like(largest, j)
    for i, size in enumerate(sizes[1:], j + 1):
        is_larger = compared("greater", size, largest)
        largest = choose(is_larger, size, largest)
        pivot = choose(is_larger, number_like(largest, i), pivot)
        top = [choose(is_larger, x, y) for x, y in zip(rows[i], top)]
    # The number of a row is compared as a float: so its result is a mask for floats, which costs vectors nothing.
    for i in range(j + 1, len(rows)):
        is_pivot = compared("equal", pivot, number_like(pivot, i))
        rows[i] = [choose(is_pivot, x, y) for x, y in zip(rows[j], rows[i])]
    rows[j] = top
    return pivot, largest


def _size(x: Expression) -> Expression:
    """What LAPACK takes for the absolute value where it looks for a pivot."""
    if x.dtype.kind != "c":
        return apply("absolute", x)
    real = real_dtype(x.dtype)
    parts = (apply("absolute", apply(part, x, gives=real)) for part in ("real", "imag"))
    return apply("add", *parts)


def is_singular(factors: Rows) -> Expression:
    """Whether there is a zero on the diagonal."""
    return any_of([compared("equal", row[i], number_like(row[i], 0)) for i, row in enumerate(factors)])


def solve(a: Rows, b: Rows) -> tuple[Rows, Expression]:
    """The solution of a x = b, and whether a is singular."""
    found = eliminate(a, b)
    middle = substitute(found.packed, found.beside, lower=True, unit_diagonal=True)
    return substitute(found.packed, middle, lower=False, unit_diagonal=False), is_singular(found.packed)


def solve_with_factors(packed: Rows, order: Row, b: Rows, transposes: bool) -> tuple[Rows, Expression]:
    """The solution of a x = b, or of the transposed equation, where a[order] has these factors."""
    n, real = len(packed), real_dtype(packed[0][0].dtype)
    # As floats, for the sake of masks.
    places = [cast(i, real) for i in order]
    if transposes:
        flipped = transposed(packed)
        middle = substitute(flipped, b, lower=True, unit_diagonal=False)
        last = substitute(flipped, middle, lower=False, unit_diagonal=True)
        x = [_picked([compared("equal", i, constant(k, real)) for i in places], last) for k in range(n)]
    else:
        first = [_picked([compared("equal", i, constant(k, real)) for k in range(n)], b) for i in places]
        middle = substitute(packed, first, lower=True, unit_diagonal=True)
        x = substitute(packed, middle, lower=False, unit_diagonal=False)
    return x, is_singular(packed)


def _picked(conditions: Sequence[Expression], rows: Rows) -> Row:
    """The one row whose condition holds."""
    found = rows[-1]
    for condition, row in zip(conditions[:-1], rows):
        found = [choose(condition, x, y) for x, y in zip(row, found)]
    return found


def substitute(a: Rows, b: Rows, lower: bool, unit_diagonal: bool) -> Rows:
    """The solution of a x = b, where a is triangular."""
    n, x = len(a), [list(row) for row in b]
    for i in range(n) if lower else reversed(range(n)):
        if not unit_diagonal:
            x[i] = [apply("divide", y, a[i][i]) for y in x[i]]
        for k in range(i + 1, n) if lower else range(i):
            x[k] = [apply("subtract", y, apply("multiply", a[k][i], z)) for y, z in zip(x[k], x[i])]
    return x


# ---- Cholesky's factor


def cholesky(a: Rows) -> tuple[Rows, Expression]:
    """The lower triangle l with l l^H = a, and whether a is not positive definite."""
    n, dtype = len(a), a[0][0].dtype
    real, zero = real_dtype(dtype), constant(0, dtype)
    factor = [[zero] * n for _ in range(n)]
    failures: Row = []
    for j in range(n):
        rest = apply("real", a[j][j], gives=real) if dtype.kind == "c" else a[j][j]
        if j:
            rest = apply("subtract", rest, _square_length(factor[j][:j]))
        failures.append(compared("less_equal", rest, constant(0, real)))
        root = apply("sqrt", rest)
        factor[j][j] = cast(root, dtype)
        for i in range(j + 1, n):
            x = a[i][j]
            if j:
                x = apply("subtract", x, dot(factor[i][:j], [_conjugate(y) for y in factor[j][:j]]))
            factor[i][j] = _over(x, root)
    return factor, any_of(failures)


def _conjugate(x: Expression) -> Expression:
    return apply("conjugate", x) if x.dtype.kind == "c" else x


def _square_length(row: Sequence[Expression]) -> Expression:
    """The sum of squares of absolute values."""
    if row[0].dtype.kind == "c":
        real = real_dtype(row[0].dtype)
        row = [apply(part, x, gives=real) for x in row for part in ("real", "imag")]
    return dot(row, row)


def _over(x: Expression, divisor: Expression) -> Expression:
    """The quotient by a real number."""
    if x.dtype.kind != "c":
        return apply("divide", x, divisor)
    parts = (apply("divide", apply(part, x, gives=divisor.dtype), divisor) for part in ("real", "imag"))
    return apply("complex", *parts, gives=x.dtype)


# ---- determinants


def factored_determinant(a: Rows) -> Row:
    """Numbers whose product is the determinant: the diagonal of the upper factor, with the signs of the swaps."""
    found = eliminate(a, [[] for _ in a])
    diagonal = [row[i] for i, row in enumerate(found.packed)]
    stays = [compared("equal", pivot, number_like(pivot, i)) for i, pivot in enumerate(found.pivots[:-1])]
    return [*(choose(stay, x, apply("negative", x)) for stay, x in zip(stays, diagonal)), diagonal[-1]]


def determinant(a: Rows) -> Expression:
    """The determinant; what overflows or underflows on the way to it does so in the end."""
    if len(a) == 1:
        return a[0][0]
    factors = factored_determinant(a)
    if len(a) == 2:  # one product
        return apply("multiply", *factors)
    parts = [scaled(x) for x in factors]
    product = reduce(lambda x, y: apply("multiply", x, y), [x for x, _ in parts])
    return times_power_of_two(product, reduce(lambda x, y: apply("add", x, y), [e for _, e in parts]))


def scaled(x: Expression) -> tuple[Expression, Expression]:
    """A number as one near one times a power of two, whose exponent is an integer."""
    if x.dtype.kind != "c":
        return apply("significand", x), apply("binary_exponent", x, gives=INT)
    real = real_dtype(x.dtype)
    parts = [apply(part, x, gives=real) for part in ("real", "imag")]
    exponent = apply("binary_exponent", apply("maximum", *(apply("absolute", part) for part in parts)), gives=INT)
    return times_power_of_two(x, apply("negative", exponent)), exponent


def times_power_of_two(x: Expression, exponent: Expression) -> Expression:
    if x.dtype.kind != "c":
        return apply("ldexp", x, exponent)
    real = real_dtype(x.dtype)
    parts = (apply("ldexp", apply(part, x, gives=real), exponent) for part in ("real", "imag"))
    return apply("complex", *parts, gives=x.dtype)


def sign_and_log(a: Rows) -> tuple[Expression, Expression]:
    """The sign of the determinant, or its phase, and the logarithm of its absolute value."""
    factors = factored_determinant(a)
    dtype = factors[0].dtype
    if dtype.kind == "c":
        sizes = [apply("absolute", x, gives=real_dtype(dtype)) for x in factors]
        directions = [_over(x, size) for x, size in zip(factors, sizes)]
    else:
        sizes = [apply("absolute", x) for x in factors]
        zero, one = constant(0, dtype), constant(1, dtype)
        directions = [choose(compared("less", x, zero), apply("negative", one), one) for x in factors]
    sign = reduce(lambda x, y: apply("multiply", x, y), directions)
    vanishes = any_of([compared("equal", size, number_like(size, 0)) for size in sizes])
    parts = [scaled(size) for size in sizes]
    product = reduce(lambda x, y: apply("multiply", x, y), [x for x, _ in parts])
    exponent = reduce(lambda x, y: apply("add", x, y), [e for _, e in parts])
    return choose(vanishes, number_like(sign, 0), sign), logarithm(product, exponent)


def logarithm(product: Expression, exponent: Expression) -> Expression:
    """The logarithm of a positive number times a power of two."""
    # Of the number itself, where that is not too large or too small: so it is right near one.
    near = apply("minimum", apply("maximum", exponent, constant(-1000, INT)), constant(1000, INT))
    far = cast(apply("subtract", exponent, near), product.dtype)
    found = apply("log", apply("ldexp", product, near))
    return apply("add", found, apply("multiply", far, number_like(far, np.log(2))))


def cofactors(a: Rows, *directions: Rows) -> Rows:
    """The matrix of cofactors, by Laplace's expansion: there is no division, so singular matrices are like others.

    Minors are linear in each row, so the derivative in some directions is the sum of those with a row of each direction
    in the place of one of the matrix.
    """
    n, dtype = len(a), a[0][0].dtype
    known: dict[Any, Expression] = {}

    def minor(rows: Numbers, columns: Numbers, left: Numbers) -> Expression:
        """The determinant of a part of the matrix, along its first row; its derivative in the directions left."""
        if not rows:
            return constant(1, dtype)
        key = rows, columns, left
        if key not in known:
            known[key] = expanded(rows, columns, left)
        return known[key]

    def expanded(rows: Numbers, columns: Numbers, left: Numbers) -> Expression:
        total: Expression | None = None
        matrices = [(a, left), *((directions[e], _without(left, e)) for e in left)]
        for matrix, rest in matrices:
            if len(rest) >= len(rows):
                continue
            for k, c in enumerate(columns):
                x = matrix[rows[0]][c]
                term = apply("multiply", x, minor(rows[1:], _without(columns, c), rest)) if len(rows) > 1 else x
                if total is None:
                    total = term
                else:
                    total = apply("subtract" if k % 2 else "add", total, term)
        return constant(0, dtype) if total is None else total

    everything, left = tuple(range(n)), tuple(range(len(directions)))
    if len(directions) >= n:
        return [[constant(0, dtype)] * n for _ in range(n)]
    found = [[minor(_without(everything, i), _without(everything, j), left) for j in range(n)] for i in range(n)]
    return [[apply("negative", x) if (i + j) % 2 else x for j, x in enumerate(row)] for i, row in enumerate(found)]


def _without(numbers: Numbers, number: int) -> Numbers:
    return tuple(x for x in numbers if x != number)
