"""Sums of pieces: arrays that are zero but for a part of one axis, as the derivatives of slices and of elements are.

What a loop over `x[0]`, `x[1]`, ... leaves in reverse mode is a sum of such arrays, each as large as x. Side by side
they are a concatenation, at the same place the sum of two parts, and added to a concatenation they change one part.
Where the places are known only when the program runs, the parts are added to one array, one after the other. These are
sums of cotangents (`add_any`), where the signs of zeros are not defined.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import NamedTuple

from ...core.jaxpr import Atom, Eqn
from ...core.primitive import Primitive
from ...primitives.dynamic_slice import dynamic_slice, dynamic_update_slice, update_slice
from ...primitives.elementwise import subtract
from ...primitives.foundation import add_any, reshape
from ...primitives.indexing import scatter_add
from ...primitives.structural import concatenate, pad
from ...primitives.structural import slice as static_slice
from .rewriting import Rewriter, Rules

#: Rows of an array, and its elements, up to which it is cut into rows where something is added to one of them.
FEW_ROWS, FEW_ELEMENTS = 4, 16
#: Parts of a concatenation that are looked through for one to add to.
MOST_PARTS = 32


class Piece(NamedTuple):
    """A part of an array along one axis; the rest is zero."""

    part: Atom
    axis: int
    start: int
    shape: tuple[int, ...]

    @property
    def stop(self) -> int:
        return self.start + self.part.aval.shape[self.axis]


def sum_of_pieces(rewriter: Rewriter, eqn: Eqn) -> Atom | None:
    """The sum of two arrays of which one, at least, is a piece."""
    x, y = (piece_of(rewriter, a) for a in eqn.inputs)
    if eqn.inputs[0].aval != eqn.inputs[1].aval or (x is None and y is None):
        return None
    if x is not None and y is not None and x.axis == y.axis:
        if (x.start, x.stop) == (y.start, y.stop):
            return placed(rewriter, x._replace(part=rewriter.emit(add_any, x.part, y.part)))
        first, second = sorted((x, y), key=lambda piece: piece.start)
        if first.stop <= second.start:
            between = zeros_between(rewriter, first, second)
            joined = rewriter.emit(concatenate, first.part, *between, second.part, axis=x.axis)
            return placed(rewriter, first._replace(part=joined))
    for other, piece in zip(eqn.inputs, (y, x)):
        found = None if piece is None else changed_part(rewriter, other, piece)
        if found is not None:
            return found
    return None


def sum_with_what_was_there(rewriter: Rewriter, eqn: Eqn) -> Atom | None:
    """x with zeros in a region, plus what x had there, as x: what `x[region] += y` is backwards."""
    for zeroed, padded in (eqn.inputs, eqn.inputs[::-1]):
        placed_back = rewriter.definition(padded, "pad")
        if placed_back is not None and zeroed.aval == padded.aval:
            found = before_zeros(rewriter, zeroed, placed_back)
            if found is not None:
                return found
    return None


def before_zeros(rewriter: Rewriter, zeroed: Atom, placed_back: Eqn) -> Atom | None:
    """x, if an array is x with zeros in a region and what is padded is what x had there."""
    overwritten = rewriter.definition(zeroed, "update_slice")
    if overwritten is None:
        return None
    (x, value), (part, rest) = overwritten.inputs, placed_back.inputs
    read = rewriter.definition(part, "slice")
    is_same = read is not None and read.inputs[0] is x and read.params == overwritten.params
    is_zero = rewriter.constant(value) == rewriter.constant(rest) == 0
    return x if is_same and is_zero and region_of(placed_back) == overwritten.params else None


def sum_with_more_at_a_place(rewriter: Rewriter, eqn: Eqn) -> Atom | None:
    """A sum plus a piece, where a piece of the same place is among its terms already: they are added, and padded once.

    A stencil reads few slices, each several times: what it leaves backwards is one piece for each of them.
    """
    for total, padded in (eqn.inputs, eqn.inputs[::-1]):
        piece = rewriter.definition(padded, "pad")
        if piece is not None and total.aval == padded.aval and rewriter.constant(piece.inputs[1]) == 0:
            found = _with_more(rewriter, total, piece, [MOST_PARTS])
            if found is not None:
                return found
    return None


def _with_more(rewriter: Rewriter, total: Atom, piece: Eqn, attempts: list[int]) -> Atom | None:
    """A sum with a piece added to a term of it that has the same place; None if there is none."""
    eqn = rewriter.definition(total, "pad", "update_slice", "add_any", "subtract")
    if eqn is None or not attempts[0]:
        return None
    attempts[0] -= 1
    if eqn.primitive is pad:
        return _merged(rewriter, add_any, eqn, piece)
    if eqn.primitive is update_slice:
        return before_zeros(rewriter, total, piece)
    first, second = eqn.inputs
    if first.aval != total.aval or second.aval != total.aval:
        return None
    found = _with_more(rewriter, first, piece, attempts)
    if found is not None:
        return rewriter.emit(eqn.primitive, found, second)
    if eqn.primitive is add_any:
        found = _with_more(rewriter, second, piece, attempts)
    else:  # less a piece
        taken = rewriter.definition(second, "pad")
        found = None if taken is None else _merged(rewriter, subtract, piece, taken)
    return None if found is None else rewriter.emit(add_any, first, found)


def _merged(rewriter: Rewriter, primitive: Primitive, x: Eqn, y: Eqn) -> Atom | None:
    """The sum or difference of two pieces of the same place; None if they are not."""
    is_same = x.params == y.params and x.inputs[0].aval == y.inputs[0].aval
    if not is_same or not rewriter.constant(x.inputs[1]) == rewriter.constant(y.inputs[1]) == 0:
        return None
    return rewriter.emit(pad, rewriter.emit(primitive, x.inputs[0], y.inputs[0]), x.inputs[1], **x.params)


def sum_with_negative_piece(rewriter: Rewriter, eqn: Eqn) -> Atom | None:
    """x plus a piece of -y as x less a piece of y: differences of neighbours leave both, and y need only be stored."""
    for x, padded in (eqn.inputs, eqn.inputs[::-1]):
        made = rewriter.definition(padded, "pad")
        part = None if made is None else rewriter.operand(made.inputs[0], "negative")
        if made is not None and part is not None and rewriter.constant(made.inputs[1]) == 0 and x.aval == padded.aval:
            return rewriter.emit(subtract, x, rewriter.emit(pad, part, made.inputs[1], **made.params))
    return None


def region_of(eqn: Eqn) -> dict[str, tuple[int, ...]]:
    """Where padding puts what it pads, as the parameters of a slice."""
    padding, shape = eqn.params["padding"], eqn.inputs[0].aval.shape
    starts = tuple(before for before, _, _ in padding)
    strides = tuple(1 + between for _, _, between in padding)
    limits = tuple(first + (n - 1) * step + 1 for first, n, step in zip(starts, shape, strides))
    return {"starts": starts, "limits": limits, "strides": strides}


def zeros_between(rewriter: Rewriter, first: Piece, second: Piece) -> list[Atom]:
    """What fills the gap between two pieces: rows of their own in a tiny array, where more may come to each."""
    gap = second.start - first.stop
    aval = first.part.aval
    rows = [1] * gap if is_tiny(first) and is_tiny(second) else [gap] * (gap > 0)
    shapes = [(*aval.shape[: first.axis], n, *aval.shape[first.axis + 1 :]) for n in rows]
    return [rewriter.filled(0, aval.with_shape(shape)) for shape in shapes]


def changed_part(rewriter: Rewriter, atom: Atom, piece: Piece) -> Atom | None:
    """A concatenation, or a piece that is one, with something added to one of its parts."""
    whole = piece_of(rewriter, atom) or Piece(atom, piece.axis, 0, piece.shape)
    joined = rewriter.definition(whole.part, "concatenate")
    if joined is not None and whole.axis == piece.axis == joined.params["axis"] and len(joined.inputs) <= MOST_PARTS:
        parts = list(joined.inputs)
    elif whole.part is atom and is_tiny(piece):
        parts = rows_of(rewriter, atom, piece.axis)
    else:
        return None
    offset = whole.start
    for i, part in enumerate(parts):
        after = offset + part.aval.shape[piece.axis]
        if (offset, after) == (piece.start, piece.stop) and part.aval == piece.part.aval:
            parts[i] = rewriter.emit(add_any, part, piece.part)
            return placed(rewriter, whole._replace(part=rewriter.emit(concatenate, *parts, axis=piece.axis)))
        offset = after
    return None


def is_tiny(piece: Piece) -> bool:
    """Whether a piece is one of a few rows of a small array."""
    is_row = piece.part.aval.shape[piece.axis] == 1
    return is_row and piece.shape[piece.axis] <= FEW_ROWS and prod(piece.shape) <= FEW_ELEMENTS


def rows_of(rewriter: Rewriter, atom: Atom, axis: int) -> list[Atom]:
    """The slices of one element along an axis."""
    shape = atom.aval.shape
    ones, rows = (1,) * len(shape), []
    for i in range(shape[axis]):
        starts, limits = [0] * len(shape), list(shape)
        starts[axis], limits[axis] = i, i + 1
        rows.append(rewriter.emit(static_slice, atom, starts=tuple(starts), limits=tuple(limits), strides=ones))
    return rows


def placed(rewriter: Rewriter, piece: Piece) -> Atom:
    """The array that a piece stands for."""
    padding = [(0, 0, 0)] * len(piece.shape)
    padding[piece.axis] = (piece.start, piece.shape[piece.axis] - piece.stop, 0)
    return rewriter.emit(pad, piece.part, piece.part.aval.dtype.type(0), padding=tuple(padding))


def piece_of(rewriter: Rewriter, atom: Atom) -> Piece | None:
    """An array as a piece, if it is one: zeros with something written into them at a place that is known."""
    eqn = rewriter.definition(atom, "pad", "scatter_add", "dynamic_update_slice")
    if eqn is None:
        return None
    if eqn.primitive is pad:
        return _piece_of_pad(rewriter, eqn)
    if rewriter.constant(eqn.inputs[0]) != 0:
        return None
    return _piece_of_element(rewriter, eqn) if "spec" in eqn.params else _piece_of_region(rewriter, eqn)


def _piece_of_pad(rewriter: Rewriter, eqn: Eqn) -> Piece | None:
    part, value = eqn.inputs
    padding = eqn.params["padding"]
    axes = [axis for axis, widths in enumerate(padding) if widths != (0, 0, 0)]
    if len(axes) != 1 or rewriter.constant(value) != 0 or min(padding[axes[0]]) < 0 or padding[axes[0]][2]:
        return None
    return Piece(part, axes[0], padding[axes[0]][0], eqn.outputs[0].aval.shape)


def _piece_of_element(rewriter: Rewriter, eqn: Eqn) -> Piece | None:
    x, update, *indices = eqn.inputs
    spec, shape = eqn.params["spec"], x.aval.shape
    index = rewriter.constant(indices[0]) if len(indices) == 1 and indices[0].aval.shape == () else None
    if index is None or spec.mode != "raise" or not -shape[spec.axes[0]] <= index < shape[spec.axes[0]]:
        return None
    axis = spec.axes[0]
    part = rewriter.emit(reshape, update, shape=(*shape[:axis], 1, *shape[axis + 1 :]))
    return Piece(part, axis, int(index) % shape[axis], shape)


def _piece_of_region(rewriter: Rewriter, eqn: Eqn) -> Piece | None:
    x, part, *starts = eqn.inputs
    have, want = part.aval.shape, x.aval.shape
    axes = [axis for axis in range(len(want)) if have[axis] != want[axis]]
    start = rewriter.constant(starts[axes[0]]) if len(axes) == 1 else None
    if start is None:
        return None
    extent = want[axes[0]]
    clamped = max(0, min(int(start) + (extent if start < 0 else 0), extent - have[axes[0]]))
    return Piece(part, axes[0], clamped, want)


# ---- at places known only when the program runs


def sum_with_additions(rewriter: Rewriter, eqn: Eqn) -> Atom | None:
    """x plus zeros to which something was added at places, as x with that added to it there.

    A loop that reads elements or rows adds to elements or rows backwards, and goes through no whole array for it.
    """
    for x, total in (eqn.inputs, eqn.inputs[::-1]):
        additions = additions_to_zeros(rewriter, total) if x.aval == total.aval else None
        if additions is not None:
            for addition in reversed(additions):
                x = with_addition(rewriter, x, addition)
            return x
    return None


class Addition(NamedTuple):
    """What an equation adds to an array at places: the elements that indices name, or a region."""

    eqn: Eqn
    update: Atom


def additions_to_zeros(rewriter: Rewriter, atom: Atom) -> list[Addition] | None:
    """The additions that an array of zeros went through, the last one first; None if it is anything else."""
    additions: list[Addition] = []
    while len(additions) < MOST_PARTS:
        eqn = rewriter.definition(atom, "scatter_add", "dynamic_update_slice")
        if eqn is None:
            return None
        atom, update, *starts = eqn.inputs
        is_first = rewriter.constant(atom) == 0
        if eqn.primitive is dynamic_update_slice and not is_first:
            found = added_to_region(rewriter, atom, update, starts)
            if found is None:
                return None
            update = found
        additions.append(Addition(eqn, update))
        if is_first:
            return additions
    return None


def added_to_region(rewriter: Rewriter, x: Atom, update: Atom, starts: Sequence[Atom]) -> Atom | None:
    """What the update of a region adds to what was there."""
    total = rewriter.definition(update, "add_any")
    if total is None:
        return None
    for before, added in (total.inputs, total.inputs[::-1]):
        read = rewriter.definition(before, "dynamic_slice")
        if read is not None and read.inputs == [x, *starts]:
            return added
    return None


def with_addition(rewriter: Rewriter, x: Atom, addition: Addition) -> Atom:
    """An array with something added to it at places: what it was before zeros were put there, if this was there."""
    (_, _, *places), params = addition.eqn.inputs, addition.eqn.params
    zeroed = rewriter.definition(x, "scatter_set")
    read = None if zeroed is None else rewriter.definition(addition.update, "gather")
    if zeroed is not None and read is not None and params.get("spec") == zeroed.params["spec"] == read.params["spec"]:
        before, value, *there = zeroed.inputs
        is_same = read.inputs == [before, *places] and there == places and rewriter.constant(value) == 0
        if is_same and params["spec"].unique:
            return before
    if addition.eqn.primitive is scatter_add:
        return rewriter.emit(scatter_add, x, addition.update, *places, **params)
    before = rewriter.emit(dynamic_slice, x, *places, sizes=addition.update.aval.shape)
    total = rewriter.emit(add_any, before, addition.update)
    return rewriter.emit(dynamic_update_slice, x, total, *places)


ADDITIONS: Rules = {"add_any": (sum_with_additions,)}
#: Before others, which make differences of pieces.
PLACES: Rules = {"add_any": (sum_with_more_at_a_place,)}
