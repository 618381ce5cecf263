"""Matrices of which a loop needs a part: triangles, more often than not.

What a loop computes of large matrices is left to kernels, which have threads. But of a decomposition masks, zeros that
nothing has taken the place of yet, and results that nobody reads may leave a sixth to do, in loops whose bounds depend
on the step. So sums along the rows of matrices are taken apart, and left to kernels if their loops turn out to be
whole.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ...core.avals import ShapedArray
from ...core.jaxpr import Jaxpr
from ..demand import demanded
from ..dividing import COMPARISONS
from ..loopnest import Constant, Expression, Load, Register, expressions_in
from ..places import Place
from ..ranges import narrowed
from ..recurrence import Assign, Repeat, Statement, inside, roots
from ..zeros import masked
from .elements import TooLarge

#: Matrices of more elements than this are left to kernels in any case.
LARGEST_MATRIX = 1 << 16


def has_masks(jaxpr: Jaxpr) -> bool:
    """Whether a program compares arrays of integers, as masks of triangles do."""
    return any(
        eqn.primitive.name in COMPARISONS and eqn.outputs[0].aval.ndim and eqn.inputs[0].aval.dtype.kind in "iu"
        for eqn in jaxpr.eqns
    )


def simplified(
    statements: Sequence[Statement], arrays: Sequence[Any], zeros: frozenset[int], sums: Mapping[Register, str]
) -> tuple[Statement, ...]:
    """Statements without what is superfluous.

    Args:
        arrays: for each array what it is (`Apart`).
        zeros: the arrays that begin with 0.0 in all places.
        sums: the totals of rows of large matrices, with the clause that says that these are large.

    Raises:
        TooLarge: such a matrix is needed as a whole.
    """
    found = narrowed(statements)
    shorter = masked(found, zeros)
    if shorter != found:
        found = narrowed(shorter)
    found = demanded(found, frozenset(k for k, array in enumerate(arrays) if isinstance(array, ShapedArray)))
    for total, why in sums.items():
        if not is_partial(list(loops_adding_to(total, found)), arrays):
            raise TooLarge(why)
    return found


Path = tuple[Repeat, ...]


def loops_adding_to(total: Register, statements: Sequence[Statement], path: Path = ()) -> Iterator[Path]:
    """The innermost loops that do nothing but add to a register in each step, with those around them."""
    for s in statements:
        around = (*path, s) if isinstance(s, Repeat) else path
        if isinstance(s, Assign) and total in s.registers and path and len(path[-1].body) == 1:
            yield path
        for block in inside(s):
            yield from loops_adding_to(total, block, around)


def is_partial(paths: Sequence[Path], arrays: Sequence[Any]) -> bool:
    """Whether loops go along rows, and over a part of a matrix only."""
    long = [path for path in paths if path[-1].most != 1]
    if len(long) != 1:
        return not long
    _, *loops = long[0]
    if all(isinstance(s.length, Constant) for s in loops):
        return False
    innermost = loops[-1]
    return goes_along_rows([e for s in innermost.body for e in roots(s)], innermost.counter, arrays)


def goes_along_rows(terms: Sequence[Expression], counter: Register, arrays: Sequence[Any]) -> bool:
    """Whether what terms read in one step after the other lies in one place after the other."""
    return all(is_row(e, counter, arrays[e.operand]) for e in expressions_in(terms) if isinstance(e, Load))


def is_row(load: Load, counter: Register, array: Any) -> bool:
    """Whether a counter moves an access by one element, if at all."""
    moving = [axis for axis, i in enumerate(load.index) if any(has(e, counter) for _, e in i.terms)]
    strides = array.strides if isinstance(array, Place) else None
    last = len(load.index) - 1
    return moving in ([], [last]) and (not moving or strides is None or strides[last] == load.dtype.itemsize)


def has(root: Expression, register: Register) -> bool:
    return register in expressions_in([root])
