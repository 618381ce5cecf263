"""One element of each row: updates of it as choices, which kernels make where they compute the row, and sums of them.

`x.at[arange(n), labels].add(u)` is `where(arange(m) == labels[:, None], x + u[:, None], x)`. So are the derivatives of
`x[arange(n), labels]`, of `take_along_axis`, and of indexing under vmap: in the gradient of a cross-entropy nothing but
the gradient itself is in memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ...core.avals import INT
from ...core.jaxpr import Atom, Eqn, Literal
from ...primitives import elementwise as e
from ...primitives.foundation import broadcast_shapes, broadcast_to, convert, reduce_sum, reshape
from ...primitives.indexing import element_number
from ...primitives.indices import are_integers
from ...primitives.selection import select
from ...primitives.structural import iota, transpose
from .rewriting import Rewriter, Rules

#: What an element and its update become together; None: the update takes its place.
OPERATIONS = {
    "scatter_set": None, "scatter_add": e.add, "scatter_multiply": e.multiply, "scatter_min": e.minimum,
    "scatter_max": e.maximum,
}  # fmt: skip
#: What an array goes through that is stretched along the axes of another one.
STRETCHED = ("reshape", "broadcast_to", "transpose")


class OneOfRow(NamedTuple):
    """Index arrays that name one element of each row.

    Attributes:
        number: of the index array that says which element of the row; the others count rows.
        axes: for each axis of the index arrays together the axis of x that it goes along; None: it has extent one.
    """

    number: int
    axes: Sequence[int | None]


# ---- updates


def update_of_rows(rewriter: Rewriter, eqn: Eqn) -> Atom | None:
    """An update of one element in each row as a choice, where rows are computed: what is in memory is updated there."""
    x, updates, *indices = eqn.inputs
    spec, shape = eqn.params["spec"], x.aval.shape
    is_possible = are_integers([i.aval for i in indices]) and is_computed(rewriter, x)
    found = one_of_row(rewriter, shape, indices, spec.axes) if is_possible else None
    if found is None:
        return None
    axis = spec.axes[found.number]
    number = rewriter.emit(element_number, indices[found.number], of=shape, axis=axis, mode=spec.mode)
    together = broadcast_shapes(*(i.aval.shape for i in indices))
    number = aligned(rewriter, stretched(rewriter, number, together), found.axes, len(shape))
    others = [a for a in range(len(shape)) if a not in spec.axes]
    axes = [*others[: spec.position], *found.axes, *others[spec.position :]]
    value = aligned(rewriter, updates, axes, len(shape))
    counts = rewriter.emit(iota, shape=(shape[axis],), axis=0, dtype=INT)
    is_named = rewriter.emit(e.equal, aligned(rewriter, counts, [axis], len(shape)), number)
    operation = OPERATIONS[eqn.primitive.name]
    return rewriter.emit(select, is_named, value if operation is None else rewriter.emit(operation, x, value), x)


def is_computed(rewriter: Rewriter, x: Atom) -> bool:
    """Whether kernels compute an array element by element, so that it need not be in memory for others."""
    if rewriter.constant(x) is not None:
        return True
    made = rewriter.definitions.get(x)
    if made is None or not made.primitive.lowers_by_dtype:
        return False
    return made.primitive is convert or not made.primitive.only_moves


def one_of_row(
    rewriter: Rewriter, shape: Sequence[int], indices: Sequence[Atom], axes: Sequence[int]
) -> OneOfRow | None:
    """What index arrays name, if it is one element for each index along the other axes that are indexed.

    Args:
        shape: that of x.
        axes: those of x that are indexed.
    """
    together = broadcast_shapes(*(i.aval.shape for i in indices))
    along: list[int | None] = [None] * len(together)
    others = []
    for number, (index, axis) in enumerate(zip(indices, axes)):
        own = counted_axis(rewriter, index)
        place = None if own is None else own + len(together) - index.aval.ndim
        if place is not None and along[place] is None and together[place] == shape[axis] == index.aval.shape[own]:
            along[place] = axis
        else:
            others.append(number)
    is_one = len(others) == 1 and len(indices) > 1
    has_all = all(n == 1 or axis is not None for n, axis in zip(together, along))
    return OneOfRow(others[0], along) if is_one and has_all else None


def counted_axis(rewriter: Rewriter, atom: Atom) -> int | None:
    """The only axis of an array along which its elements count from zero; None if they do not."""
    shape = atom.aval.shape
    long = [axis for axis, n in enumerate(shape) if n != 1]
    if len(long) != 1 or not fits_index(atom):
        return None
    if type(atom) is Literal:
        counts = np.asarray(atom.value).ravel()
        return long[0] if np.array_equal(counts, np.arange(len(counts))) else None
    made = atom
    while (move := rewriter.definition(made, *STRETCHED)) is not None:
        made = move.inputs[0]
    counting = rewriter.definition(made, "iota")
    extent = shape[long[0]]
    if counting is None or made.aval.size != extent:  # which is repeated, or has another axis
        return None
    is_long = counting.params["shape"][counting.params["axis"]] == extent
    return long[0] if is_long and extent <= np.iinfo(made.aval.dtype).max else None


def aligned(rewriter: Rewriter, atom: Atom, axes: Sequence[int | None], rank: int) -> Atom:
    """An array as one that broadcasts against x.

    Args:
        axes: the axes of x along which its axes go; None: it has extent one.
        rank: that of x.
    """
    order = sorted(range(len(axes)), key=lambda k: rank if axes[k] is None else axes[k])
    if order != list(range(len(axes))):
        atom = rewriter.emit(transpose, atom, permutation=tuple(order))
    extents = {axes[k]: n for k, n in zip(order, atom.aval.shape)}
    return rewriter.emit(reshape, atom, shape=tuple(extents.get(axis, 1) for axis in range(rank)))


def stretched(rewriter: Rewriter, atom: Atom, shape: tuple[int, ...]) -> Atom:
    return atom if atom.aval.shape == shape else rewriter.emit(broadcast_to, atom, shape=shape)


# ---- sums


def sum_of_row(rewriter: Rewriter, eqn: Eqn) -> Atom | None:
    """The sum of rows that are zero but for one element, which is the same wherever in the row it is."""
    choice = rewriter.definition(eqn.inputs[0], "select")
    same = None if choice is None else rewriter.definition(choice.inputs[0], "equal")
    if choice is None or same is None or rewriter.constant(choice.inputs[2]) != 0:
        return None
    shape, axes = choice.outputs[0].aval.shape, eqn.params["axes"]
    for counts, number in (same.inputs, same.inputs[::-1]):
        own = counted_axis(rewriter, counts)
        axis = -1 if own is None else own + len(shape) - counts.aval.ndim
        if axis not in axes or counts.aval.shape[own] != shape[axis] or not fits_index(number):
            continue
        number, value = (without_axis(rewriter, atom, axis, len(shape)) for atom in (number, choice.inputs[1]))
        if number is None or value is None:
            return None
        if not names_element(rewriter, number, shape[axis]):
            number = rewriter.emit(convert, number, dtype=INT)
            bounds = rewriter.emit(e.greater_equal, number, 0), rewriter.emit(e.less, number, shape[axis])
            value = rewriter.emit(select, rewriter.emit(e.logical_and, *bounds), value, value.aval.dtype.type(0))
        rows = stretched(rewriter, value, (*shape[:axis], *shape[axis + 1 :]))
        rest = tuple(a - (a > axis) for a in axes if a != axis)
        return rewriter.fit(rewriter.emit(reduce_sum, rows, axes=rest) if rest else rows, eqn.outputs[0].aval)
    return None


def fits_index(number: Atom) -> bool:
    """Whether an array holds integers that an index has room for."""
    return are_integers([number.aval]) and np.can_cast(number.aval.dtype, INT, "safe")


def without_axis(rewriter: Rewriter, atom: Atom, axis: int, rank: int) -> Atom | None:
    """An array that broadcasting, if nothing else, gives an axis of the result, as one without; None if it has it."""
    value, shape = rewriter.constant(atom), (1,) * (rank - atom.aval.ndim) + atom.aval.shape
    if value is not None:
        return rewriter.filled(value, atom.aval.with_shape(()))
    if shape[axis] == 1:
        return rewriter.emit(reshape, atom, shape=(*shape[:axis], *shape[axis + 1 :]))
    inner = rewriter.operand(atom, "broadcast_to")
    return None if inner is None else without_axis(rewriter, inner, axis, rank)


def names_element(rewriter: Rewriter, number: Atom, extent: int) -> bool:
    """Whether all numbers are known to be those of elements."""
    while (move := rewriter.definition(number, *STRETCHED)) is not None:
        number = move.inputs[0]
    named = rewriter.definition(number, "element_number")
    return named is not None and named.params["mode"] != "drop" and named.params["of"][named.params["axis"]] <= extent


UPDATES: Rules = dict.fromkeys(OPERATIONS, (update_of_rows,))
SUMS: Rules = {"reduce_sum": (sum_of_row,)}
