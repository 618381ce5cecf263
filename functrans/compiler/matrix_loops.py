"""Linear algebra of many matrices as loops over rows and columns, which take each step for some matrices side by side.

What `elimination.py` and `reflections.py` write out element by element stands here in loops, with the same operations
in the same order. Matrices are lanes (compiler/recurrence.py); those that run side by side are in rooms, where the same
element of all of them lies in one place after the other, so that each operation is one on vectors.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from math import prod
from typing import Any, NamedTuple

import numpy as np

from ..core.trace import Params
from .elimination import apply, choose, compared, logarithm, number_like, scaled, times_power_of_two
from .instructions import Block, RecurrenceRun, Room
from .loopnest import BOOL, INT, Affine, Expression, Index, Load, Register, cast, constant
from .places import Place
from .recurrence import Assign, Check, Failure, Lanes, Recurrence, Repeat, Statement, Store
from .recurring import add_run
from .small_matrices import refusal

#: How many matrices run side by side, and how many there are at least.
TOGETHER, FEWEST = 8, 16
#: Smaller matrices are written out. Rooms of larger ones, on the stack, would not stay in the cache.
FEWEST_ROWS, MOST_ROWS = 6, 32
FLOAT, INT32 = np.dtype(np.float64), np.dtype(np.int32)

#: An index: a number, or one that loops know; and a range of them.
Number = int | Affine
Numbers = tuple[Number, Number]


class Matrix(NamedTuple):
    """The matrix of each lane, or a part of it, in memory.

    Attributes:
        array: the number of the array.
        place: the index of an element, by its row and column.
    """

    array: int
    dtype: np.dtype[Any]
    shape: tuple[int, int]
    place: Callable[[Affine, Affine], Index]

    @property
    def turned(self) -> Matrix:
        """The transpose."""
        return self._replace(shape=self.shape[::-1], place=lambda i, j: self.place(j, i))


class Loops:
    """Writes the statements of one lane.

    Args:
        places: operands and results, with lanes first.
    """

    def __init__(self, places: Sequence[Place]):
        self.arrays: list[Place | Room] = list(places)
        self.axes = [0] * len(places)
        self.lane = Register(0, INT)
        self.count = 1
        self.statements: list[Statement] = []

    # ---- matrices

    def given(self, number: int) -> Matrix:
        """An operand or result; vectors are columns, numbers matrices of one."""
        place, lane = self.arrays[number], at(self.lane)
        height, width = (*place.shape[1:], 1, 1)[:2]
        return Matrix(number, place.dtype, (height, width), lambda i, j: (lane, i, j)[: len(place.shape)])

    def room(self, shape: tuple[int, int], dtype: np.dtype[Any]) -> Matrix:
        """Room for a matrix."""
        self.arrays.append(Room((*shape, TOGETHER), dtype))
        self.axes.append(2)
        lane = at(self.lane)
        return Matrix(len(self.arrays) - 1, dtype, shape, lambda i, j: (i, j, lane))

    def copied(self, source: Matrix, dtype: np.dtype[Any]) -> Matrix:
        """A matrix in a room."""
        target = self.room(source.shape, dtype)
        self.copy(source, target)
        return target

    def copy(self, source: Matrix, target: Matrix) -> None:
        height, width = source.shape
        with self.each(0, height, height) as i, self.each(0, width, width) as j:
            self.put(target, i, j, self.get(source, i, j))

    def get(self, x: Matrix, i: Number, j: Number) -> Expression:
        return Load(x.array, x.place(index(i), index(j)), x.dtype)

    def put(self, x: Matrix, i: Number, j: Number, number: Expression) -> None:
        self.statements.append(Store(x.array, x.place(index(i), index(j)), cast(number, x.dtype)))

    def fill(self, x: Matrix, i: Number, columns: Numbers, number: float) -> None:
        """Put a number into some columns of a row."""
        with self.each(*columns, x.shape[1]) as j:
            self.put(x, i, j, constant(number, x.dtype))

    # ---- numbers

    def register(self, dtype: np.dtype[Any]) -> Register:
        self.count += 1
        return Register(self.count - 1, dtype)

    def kept(self, number: Expression) -> Register:
        """What a number is now."""
        register = self.register(number.dtype)
        self.give((register, number))
        return register

    def give(self, *pairs: tuple[Register, Expression]) -> None:
        """Registers get new values, all at once."""
        registers, numbers = zip(*pairs)
        self.statements.append(Assign(registers, numbers))

    @contextmanager
    def each(self, first: Number, end: Number, most: int) -> Iterator[Affine]:
        """A loop over some numbers, which are so many at most."""
        counter, outer = self.register(INT), self.statements
        self.statements = []
        yield plus(first, at(counter))
        body, self.statements = tuple(self.statements), outer
        self.statements.append(Repeat(counter, value(minus(end, first)), (), None, body, most=most))

    def folded(
        self, operation: str, first: Expression, numbers: Numbers, most: int, term: Callable[[Affine], Expression]
    ) -> Register:
        """A number combined with the terms of some numbers, one after the other."""
        total = self.kept(first)
        with self.each(*numbers, most) as k:
            self.give((total, apply(operation, total, term(k))))
        return total

    def dot(
        self, x: Callable[[Affine], Expression], y: Callable[[Affine], Expression], numbers: Numbers, most: int
    ) -> Register:
        """The sum of products of two functions of some numbers."""
        zero = number_like(x(index(0)), 0)
        return self.folded("add", zero, numbers, most, lambda k: apply("multiply", x(k), y(k)))


def at(register: Register) -> Affine:
    """The index that a register has."""
    return Affine(0, (), ((1, register),))


def index(number: Number) -> Affine:
    return Affine(number, ()) if isinstance(number, int) else number


def plus(x: Number, y: Number) -> Affine:
    x, y = index(x), index(y)
    return Affine(x.offset + y.offset, (), (*x.terms, *y.terms))


def minus(x: Number, y: Number) -> Affine:
    return plus(x, index(y).times(-1))


def value(number: Number) -> Expression:
    """An index as a number."""
    i = index(number)
    total: Expression = constant(i.offset, INT)
    for sign, register in i.terms:  # of which there are sums and differences only
        is_first = sign == 1 and total == constant(0, INT)
        total = register if is_first else apply("add" if sign == 1 else "subtract", total, register)
    return total


# ---- Gauss's elimination


def eliminate(loops: Loops, x: Matrix, width: int, act: Callable[[Affine, Register], None]) -> Register:
    """Put the factors of the first columns where these are, and have the others change places alike (`elimination.py`).

    Args:
        act: what is done in each step after the rows have changed places, with its number and that of the other row.

    Returns:
        Whether the upper factor has a zero on its diagonal.
    """
    height, rank = x.shape[0], min(x.shape[0], width)
    singular = loops.kept(constant(False, BOOL))

    def subtract_products(j: Affine) -> None:
        with loops.each(1, height, height) as i:
            end = at(loops.kept(apply("minimum", value(i), value(j))))
            total = loops.dot(lambda k: loops.get(x, i, k), lambda k: loops.get(x, k, j), (0, end), rank)
            loops.put(x, i, j, apply("subtract", loops.get(x, i, j), total))

    with loops.each(0, rank, rank) as j:
        subtract_products(j)
        pivot, size = _find_pivot(loops, x, j)
        exchange(loops, x, j, pivot)
        act(j, pivot)
        own = loops.kept(loops.get(x, j, j))
        loops.give((singular, compared("logical_or", singular, compared("equal", own, number_like(own, 0)))))
        is_tiny = compared("less", size, number_like(size, np.finfo(size.dtype).tiny))
        inverse = loops.kept(choose(is_tiny, number_like(own, 1), apply("reciprocal", own)))
        with loops.each(plus(j, 1), height, height) as i:
            loops.put(x, i, j, apply("multiply", loops.get(x, i, j), inverse))
    if width > rank:
        with loops.each(rank, width, width) as j:
            subtract_products(j)
    return singular


def _find_pivot(loops: Loops, x: Matrix, j: Affine) -> tuple[Register, Register]:
    """The row of the first of the largest numbers of a column, from the diagonal on, and their size."""
    largest = loops.kept(apply("absolute", loops.get(x, j, j)))
    pivot = loops.kept(value(j))
    with loops.each(plus(j, 1), x.shape[0], x.shape[0]) as i:
        size = apply("absolute", loops.get(x, i, j))
        is_larger = compared("greater", size, largest)
        loops.give((largest, choose(is_larger, size, largest)), (pivot, choose(is_larger, value(i), pivot)))
    return pivot, largest


def exchange(loops: Loops, x: Matrix, j: Affine, pivot: Register) -> None:
    """Have two rows change places."""
    with loops.each(0, x.shape[1], x.shape[1]) as c:
        upper, lower = loops.kept(loops.get(x, j, c)), loops.kept(loops.get(x, at(pivot), c))
        loops.put(x, j, c, lower)
        loops.put(x, at(pivot), c, upper)


def substitute(loops: Loops, a: Matrix, x: Matrix, lower: bool, unit_diagonal: bool) -> None:
    """Solve a triangular equation in place."""
    n, columns = x.shape
    with loops.each(0, n, n) as step:
        i = step if lower else minus(n - 1, step)
        if not unit_diagonal:
            with loops.each(0, columns, columns) as c:
                loops.put(x, i, c, apply("divide", loops.get(x, i, c), loops.get(a, i, i)))
        others = (plus(i, 1), n) if lower else (0, i)
        with loops.each(*others, n) as k, loops.each(0, columns, columns) as c:
            part = apply("multiply", loops.get(a, k, i), loops.get(x, i, c))
            loops.put(x, k, c, apply("subtract", loops.get(x, k, c), part))


# ---- by the names of primitives: each returns whether a matrix has no result, if that can be


def _solve(loops: Loops, a: Matrix, b: Matrix, result: Matrix) -> Register:
    factors, x = loops.copied(a, FLOAT), loops.copied(b, FLOAT)
    singular = eliminate(loops, factors, a.shape[1], lambda j, pivot: exchange(loops, x, j, pivot))
    substitute(loops, factors, x, lower=True, unit_diagonal=True)
    substitute(loops, factors, x, lower=False, unit_diagonal=False)
    loops.copy(x, result)
    return singular


def _solve_with_factors(
    loops: Loops, a: Matrix, packed: Matrix, order: Matrix, b: Matrix, result: Matrix, transposed: bool
) -> Register:
    factors, (n, columns) = loops.copied(packed, packed.dtype), b.shape
    x = loops.room(b.shape, b.dtype)
    row = lambda i: at(loops.kept(cast(loops.get(order, i, 0), INT)))  # noqa: E731
    with loops.each(0, n, n) as i:
        source = i if transposed else row(i)
        with loops.each(0, columns, columns) as c:
            loops.put(x, i, c, loops.get(b, source, c))
    if transposed:
        substitute(loops, factors.turned, x, lower=True, unit_diagonal=False)
        substitute(loops, factors.turned, x, lower=False, unit_diagonal=True)
    else:
        substitute(loops, factors, x, lower=True, unit_diagonal=True)
        substitute(loops, factors, x, lower=False, unit_diagonal=False)
    with loops.each(0, n, n) as i:
        target = row(i) if transposed else i
        with loops.each(0, columns, columns) as c:
            loops.put(result, target, c, loops.get(x, i, c))
    zero = constant(0, factors.dtype)
    is_zero = lambda i: compared("equal", loops.get(factors, i, i), zero)  # noqa: E731
    return loops.folded("logical_or", constant(False, BOOL), (0, n), n, is_zero)


def _triangular_solve(
    loops: Loops, a: Matrix, b: Matrix, result: Matrix, left_side: bool, lower: bool, transpose_a: bool,
    conjugate_a: bool, unit_diagonal: bool,
) -> None:  # fmt: skip
    if transpose_a == left_side:  # x a = b is a^T x^T = b^T
        a, lower = a.turned, not lower
    if not left_side:
        b, result = b.turned, result.turned
    x, once = loops.copied(b, b.dtype), b.shape[1] == 1
    substitute(loops, a if once else loops.copied(a, a.dtype), x, lower, unit_diagonal)
    loops.copy(x, result)


def _factors(loops: Loops, a: Matrix, packed: Matrix, pivots: Matrix, order: Matrix) -> None:
    x, places = loops.copied(a, a.dtype), loops.room(order.shape, INT32)
    with loops.each(0, order.shape[0], order.shape[0]) as i:
        loops.put(places, i, 0, value(i))

    def act(j: Affine, pivot: Register) -> None:
        loops.put(pivots, j, 0, pivot)
        exchange(loops, places, j, pivot)

    eliminate(loops, x, a.shape[1], act)
    loops.copy(x, packed)
    loops.copy(places, order)


def _det(loops: Loops, a: Matrix, result: Matrix) -> None:
    product, exponent, _, _ = _diagonal(loops, a)
    loops.put(result, 0, 0, times_power_of_two(product, exponent))


def _slogdet(loops: Loops, a: Matrix, sign: Matrix, log: Matrix) -> None:
    product, exponent, direction, singular = _diagonal(loops, a)
    loops.put(sign, 0, 0, choose(singular, number_like(direction, 0), direction))
    loops.put(log, 0, 0, logarithm(apply("absolute", product), exponent))


def _diagonal(loops: Loops, a: Matrix) -> tuple[Register, Register, Register, Register]:
    """The determinant as a number near one and the exponent of a power of two, its sign, and whether it is zero."""
    x = loops.copied(a, FLOAT)
    product, exponent, sign = (loops.kept(e) for e in (constant(1, FLOAT), constant(0, INT), constant(1, FLOAT)))

    def act(j: Affine, pivot: Register) -> None:
        own = loops.get(x, j, j)
        factor = loops.kept(choose(compared("equal", pivot, value(j)), own, apply("negative", own)))
        near_one, power = scaled(factor)
        direction = choose(compared("less", factor, number_like(factor, 0)), constant(-1, FLOAT), constant(1, FLOAT))
        loops.give(
            (product, apply("multiply", product, near_one)), (exponent, apply("add", exponent, power)),
            (sign, apply("multiply", sign, direction)),
        )  # fmt: skip

    return product, exponent, sign, eliminate(loops, x, a.shape[1], act)


def _cholesky(loops: Loops, a: Matrix, result: Matrix) -> Register:
    n, x = a.shape[0], loops.room(a.shape, FLOAT)
    failed = loops.kept(constant(False, BOOL))
    with loops.each(0, n, n) as i, loops.each(0, plus(i, 1), n) as j:
        loops.put(x, i, j, loops.get(a, i, j))
    with loops.each(0, n, n) as j:
        row = lambda k: loops.get(x, j, k)  # noqa: E731
        rest = loops.kept(apply("subtract", row(j), loops.dot(row, row, (0, j), n)))
        root = loops.kept(apply("sqrt", rest))
        loops.give((failed, compared("logical_or", failed, compared("less_equal", rest, number_like(rest, 0)))))
        loops.put(x, j, j, root)
        with loops.each(plus(j, 1), n, n) as i:
            total = loops.dot(lambda k: loops.get(x, i, k), row, (0, j), n)
            loops.put(x, i, j, apply("divide", apply("subtract", loops.get(x, i, j), total), root))
    with loops.each(0, n, n) as i:
        with loops.each(0, plus(i, 1), n) as j:
            loops.put(result, i, j, loops.get(x, i, j))
        loops.fill(result, i, (plus(i, 1), n), 0)
    return failed


def _qr(loops: Loops, a: Matrix, *results: Matrix, full_matrices: bool, orthogonal: bool = True) -> None:
    """Reflections (`reflections.py`), whose vectors are kept below the diagonal of what becomes r."""
    (m, n), triangle = a.shape, results[-1]
    x, steps = loops.copied(a, FLOAT), min(m - 1, n)
    factors = loops.room((max(1, steps), 1), FLOAT)
    with loops.each(0, steps, steps) as j:
        loops.put(factors, j, 0, _reflection(loops, x, j))
        with loops.each(plus(j, 1), n, n) as c:
            _reflect(loops, x, c, x, j, loops.get(factors, j, 0))
    with loops.each(0, triangle.shape[0], m) as i:
        loops.fill(triangle, i, (0, at(loops.kept(apply("minimum", value(i), constant(n, INT))))), 0)
        with loops.each(i, n, n) as c:
            loops.put(triangle, i, c, loops.get(x, i, c))
    if orthogonal:
        q = loops.room(results[0].shape, FLOAT)
        columns = q.shape[1]
        with loops.each(0, m, m) as i:
            loops.fill(q, i, (0, columns), 0)
        with loops.each(0, columns, columns) as c:
            loops.put(q, c, c, constant(1, FLOAT))
        with loops.each(0, steps, steps) as step:
            j = minus(steps - 1, step)
            with loops.each(j, columns, columns) as c:
                _reflect(loops, q, c, x, j, loops.get(factors, j, 0))
        loops.copy(q, results[0])


def _reflection(loops: Loops, x: Matrix, j: Affine) -> Expression:
    """Find the reflection after which a column is zero below the diagonal, and put its vector there; its factor."""
    height = x.shape[0]
    zero, one, below = constant(0, FLOAT), constant(1, FLOAT), (plus(j, 1), height)
    column = lambda i: loops.get(x, i, j)  # noqa: E731
    head = loops.kept(column(j))
    size_of = lambda i: apply("absolute", column(i))  # noqa: E731
    largest = loops.folded("maximum", size_of(plus(j, 1)), below, height, size_of)
    is_done = loops.kept(compared("equal", largest, zero))
    size = apply("maximum", apply("absolute", head), largest)
    size = loops.kept(choose(compared("equal", size, zero), one, size))
    part = lambda i: apply("divide", column(i), size)  # noqa: E731
    squares = loops.dot(part, part, (j, height), height)
    found = apply("negative", apply("copysign", apply("multiply", size, apply("sqrt", squares)), head))
    found = loops.kept(found)
    difference = apply("subtract", head, found)
    divisor = loops.kept(choose(is_done, one, difference))
    with loops.each(*below, height) as i:
        loops.put(x, i, j, apply("divide", column(i), divisor))
    loops.put(x, j, j, choose(is_done, head, found))
    turned = apply("divide", apply("negative", difference), choose(is_done, one, found))
    return choose(is_done, zero, turned)


def _reflect(loops: Loops, x: Matrix, c: Affine, vectors: Matrix, j: Affine, factor: Expression) -> None:
    """Apply a reflection to a column."""
    height, below = x.shape[0], (plus(j, 1), x.shape[0])
    vector = lambda i: loops.get(vectors, i, j)  # noqa: E731
    column = lambda i: loops.get(x, i, c)  # noqa: E731
    total = loops.dot(vector, column, below, height)
    amount = loops.kept(apply("multiply", factor, apply("add", column(j), total)))
    loops.put(x, j, c, apply("subtract", column(j), amount))
    with loops.each(*below, height) as i:
        loops.put(x, i, c, apply("subtract", column(i), apply("multiply", vector(i), amount)))


#: By the names of primitives, as FORMS of `small_matrices.py`.
RULES: dict[str, Callable[..., Register | None]] = {
    "cholesky": _cholesky,
    "solve": _solve,
    "solve_with_factors": _solve_with_factors,
    "lu": _factors,
    "factors": _factors,
    "triangular_solve": _triangular_solve,
    "det": _det,
    "slogdet": _slogdet,
    "qr": _qr,
}


def are_loops(name: str, operands: Sequence[Any]) -> bool:
    """Whether a primitive of operands with such shapes and dtypes is loops: of many real matrices, neither very small
    nor large."""
    *lanes, height, width = operands[0].shape
    sizes = (height, width, *operands[-1].shape[len(lanes) :])
    is_many = name in RULES and operands[0].dtype.kind == "f" and prod(lanes) >= FEWEST
    return is_many and max(height, width) >= FEWEST_ROWS and max(sizes) <= MOST_ROWS and 0 not in sizes


def add_loops(
    assembler: Any, block: Block, primitive: Any, sources: Sequence[Place], targets: Sequence[Place], params: Params
) -> None:
    """Add the loops, whose operands and results have one axis of lanes."""
    loops = Loops([*sources, *targets])
    matrices = map(loops.given, range(len(loops.arrays)))
    failed = RULES[primitive.name](loops, *matrices, **params)
    if failed is not None:
        failure = Failure(refusal(primitive.impl, sources, params), ((1,),), primitive.name, assembler.source)
        loops.statements.append(Check((cast(failed, INT),), (1,), failure))
    lanes = Lanes(loops.lane, sources[0].shape[0], tuple(loops.axes), TOGETHER)
    recurrence = Recurrence(tuple(loops.statements), None, lanes)
    add_run(assembler, block, RecurrenceRun(recurrence, tuple(loops.arrays), None, (), 0))
