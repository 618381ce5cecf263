"""Linear algebra of small matrices without a library: each element of a result as an expression of those of operands.

A batch of matrices is one kernel, whose points are the matrices; a loop that keeps its state in registers
(compiler/apart/) has the same expressions among its statements.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import product
from math import prod
from typing import Any, NamedTuple

import numpy as np

from ..core.avals import ShapedArray, real_dtype
from ..core.trace import Params
from . import elimination
from .elimination import Row, Rows, in_dtype, transposed
from .instructions import Block, PythonRun
from .loopnest import INT, Affine, Expression, Index, Kernel, Load, Output, cast, constant, point
from .places import Place
from .reflections import orthogonalized

#: What is written out has about so many operations at most, so that the time to compile it stays bounded.
MOST_OPERATIONS = 650
#: To read an element of an operand, and to write one of a result, counts as so many.
PER_ELEMENT = 3
#: An operation on complex numbers counts as so many.
COMPLEX = 3
#: The cofactors of matrices of so many rows at most are polynomials of their elements, and so are their derivatives
#: where operands and result have so many elements at most: the registers of a GPU's thread must do for their places.
MOST_MINORS, MOST_PLACES = 4, 48


class WrittenOut(NamedTuple):
    """What a primitive comes to.

    Attributes:
        results: their elements: rows of matrices, vectors, or one number.
        failed: whether it has no result, and its implementation raises an error.
    """

    results: Sequence[Any]
    failed: Expression | None = None


def _cholesky(a: Rows) -> WrittenOut:
    factor, failed = elimination.cholesky(_wide(a))
    return WrittenOut([factor], failed)


def _solve(a: Rows, b: Rows) -> WrittenOut:
    x, failed = elimination.solve(_wide(a), _wide(b))
    return WrittenOut([x], failed)


def _solve_with_factors(a: Rows, packed: Rows, order: Row, b: Rows, transposed: bool) -> WrittenOut:
    x, failed = elimination.solve_with_factors(packed, order, b, transposed)
    return WrittenOut([x], failed)


def _factors(a: Rows) -> WrittenOut:
    places = [constant(i, real_dtype(a[0][0].dtype)) for i in range(len(a))]
    found = elimination.eliminate(a, [[place] for place in places])
    return WrittenOut([found.packed, found.pivots, [place for (place,) in found.beside]])


def _triangular_solve(
    a: Rows, b: Rows, left_side: bool, lower: bool, transpose_a: bool, conjugate_a: bool, unit_diagonal: bool
) -> WrittenOut:
    if conjugate_a and a[0][0].dtype.kind == "c":
        a = [[elimination.apply("conjugate", x) for x in row] for row in a]
    if transpose_a == left_side:  # x a = b is a^T x^T = b^T
        a, lower = transposed(a), not lower
    if left_side:
        return WrittenOut([elimination.substitute(a, b, lower, unit_diagonal)])
    return WrittenOut([transposed(elimination.substitute(a, transposed(b), lower, unit_diagonal))])


def _det(a: Rows) -> WrittenOut:
    return WrittenOut([elimination.determinant(_wide(a))])


def _slogdet(a: Rows) -> WrittenOut:
    return WrittenOut(elimination.sign_and_log(_wide(a)))


def _cofactors(a: Rows, *directions: Rows) -> WrittenOut:
    return WrittenOut([elimination.cofactors(_wide(a), *map(_wide, directions))])


def _qr(a: Rows, full_matrices: bool, orthogonal: bool = True) -> WrittenOut:
    q, r = orthogonalized(_wide(a), len(a) if full_matrices else min(len(a), len(a[0])))
    return WrittenOut([q, r] if orthogonal else [r])


def _wide(rows: Rows) -> Rows:
    """A matrix in double precision, in which NumPy computes."""
    return in_dtype(rows, np.dtype(np.complex128 if rows[0][0].dtype.kind == "c" else np.float64))


class Form(NamedTuple):
    """How a primitive is written out.

    Attributes:
        rule: from the elements of its operands.
        is_short: whether that pays for operands with such shapes and dtypes, none of which is empty.
    """

    rule: Callable[..., WrittenOut]
    is_short: Callable[[Sequence[Any]], bool]


def _of_few(operations: Callable[[int, int, int], int], of_complex: bool = True) -> Callable[[Sequence[Any]], bool]:
    """Whether a form has few operations.

    Args:
        operations: about how many there are for each matrix, by its height and width, and how many columns the last
            operand has.
        of_complex: whether there is a form for complex numbers.
    """

    def is_short(operands: Sequence[Any]) -> bool:
        first, is_complex = operands[0], operands[0].dtype.kind == "c"
        if is_complex and not of_complex:
            return False
        height, width = first.shape[-2:]
        columns = prod(operands[-1].shape[-2:]) // height
        read = sum(prod(x.shape[len(first.shape) - 2 :]) for x in operands)
        factor = COMPLEX if is_complex else 1
        return factor * (operations(height, width, columns) + PER_ELEMENT * read) <= MOST_OPERATIONS

    return is_short


def _products(height: int, width: int, columns: int) -> int:
    return min(height, width) * height * width // 3


def _factorization(height: int, width: int, columns: int) -> int:
    return 2 * _products(height, width, columns) + height * (height - 1) * width


def _substitution(height: int, width: int, columns: int) -> int:
    return height * (height - 1) * columns


def _equations(height: int, width: int, columns: int) -> int:
    return _factorization(height, width, columns) + 3 * _substitution(height, width, columns)


def _equations_with_factors(height: int, width: int, columns: int) -> int:
    return 2 * _substitution(height, width, columns) + height * height * columns


def _orthogonalization(height: int, width: int, columns: int) -> int:
    steps = [(height - j, width - j) for j in range(min(height - 1, width))]
    return sum(rows * (4 * (rest - 1) + 4 * rows + 6) for rows, rest in steps)


def _of_few_minors(operands: Sequence[Any]) -> bool:
    n, most = operands[0].shape[-1], MOST_MINORS - (operands[0].dtype.kind == "c")
    return n <= MOST_MINORS and len(operands) <= most and (len(operands) + 1) * n * n <= MOST_PLACES


#: By the names of primitives, which are below this floor: they know nothing of elimination in terms of expressions.
FORMS: dict[str, Form] = {
    "cholesky": Form(_cholesky, _of_few(_products)),
    "solve": Form(_solve, _of_few(_equations)),
    "solve_with_factors": Form(_solve_with_factors, _of_few(_equations_with_factors)),
    "lu": Form(_factors, _of_few(_factorization)),
    "factors": Form(_factors, _of_few(_factorization)),
    "triangular_solve": Form(_triangular_solve, _of_few(_substitution)),
    "det": Form(_det, _of_few(_factorization)),
    "slogdet": Form(_slogdet, _of_few(_factorization)),
    "cofactors": Form(_cofactors, _of_few_minors),
    "cofactor_derivative": Form(_cofactors, _of_few_minors),
    "qr": Form(_qr, _of_few(_orthogonalization, of_complex=False)),
}


def is_written_out(name: str, operands: Sequence[Any]) -> bool:
    """Whether to write out a primitive of operands with such shapes and dtypes."""
    form = FORMS.get(name)
    return form is not None and not any(0 in x.shape for x in operands) and form.is_short(operands)


def elements(shape: Sequence[int], element: Callable[[Index], Expression]) -> Any:
    """The elements of a matrix as rows, those of a vector as a list, or a number."""
    if not shape:
        return element(())
    return [elements(shape[1:], lambda rest, i=i: element((Affine(i, ()), *rest))) for i in range(shape[0])]


def in_order(shape: Sequence[int], nested: Any) -> Iterator[tuple[tuple[int, ...], Expression]]:
    """The elements of such rows, or of a list, or a number, with their indices."""
    for index in product(*map(range, shape)):
        found = nested
        for i in index:
            found = found[i]
        yield index, found


def refusal(function: Any, operands: Sequence[Any], params: Params) -> Callable[..., Sequence[Any]]:
    """What raises the error of a primitive that has no result: its implementation, for matrices of zeros."""
    shapes = [(x.shape[len(operands[0].shape) - 2 :], x.dtype) for x in operands]
    return lambda *_: function(*(np.zeros(shape, dtype) for shape, dtype in shapes), **params)[:0]


def add_kernel(
    assembler: Any, block: Block, primitive: Any, sources: Sequence[Place], targets: Sequence[Place], params: Params
) -> bool:
    """Add the kernel whose points are matrices; whether the backend has all operations for it."""
    lanes = sources[0].shape[:-2]
    space, rank = point(len(lanes)), len(lanes)

    def operand(k: int, place: Place) -> Any:
        return elements(place.shape[rank:], lambda rest: Load(k, (*space, *rest), place.dtype))

    found = FORMS[primitive.name].rule(*(operand(k, place) for k, place in enumerate(sources)), **params)
    outputs: list[Output] = []
    places: list[Place] = []
    for target, nested in zip(targets, found.results, strict=True):
        for index, expression in in_order(target.shape[rank:], nested):
            outputs.append(Output(cast(expression, target.dtype), None))
            offset = sum(i * stride for i, stride in zip(index, target.strides[rank:]))
            places.append(target._replace(offset=target.offset + offset, shape=lanes, strides=target.strides[:rank]))
    if found.failed is not None:
        outputs.append(Output(cast(found.failed, INT), None))
        places.append(assembler.contiguous("temporary", ShapedArray(lanes, INT)))
    kernel = Kernel(lanes, 0, tuple(outputs), tuple(range(len(sources))))
    if not all(map(assembler.supports, kernel.expressions())):
        return False
    assembler.kernel(block, kernel, sources, places)
    if found.failed is not None:
        function = refusal(primitive.impl, sources, params)
        refuse = PythonRun(function, {}, (places[-1],), (), primitive.name, assembler.source)
        assembler.check(block, places[-1], 1, refuse)
    return True
