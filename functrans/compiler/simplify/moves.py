"""Moves: elements that go elsewhere and are not computed with. Two moves in a row are one, or none."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...core.jaxpr import Atom, Eqn, Literal
from ...primitives import elementwise as e
from ...primitives.contractions import dot_general
from ...primitives.foundation import broadcast_to, convert, full, reduce_sum, reshape
from ...primitives.permutations import argsort
from ...primitives.selection import select
from ...primitives.structural import concatenate, reverse, transpose
from ...primitives.structural import slice as static_slice
from .rewriting import Rewriter, Rule, Rules

Shape = tuple[int, ...]

#: Part of an order is small if it is one of so many places.
SMALL_PART = 16


def same(rewriter: Rewriter, eqn: Eqn) -> Atom:
    """The operand, if it has the type of the result (which is checked wherever a rule is applied)."""
    return eqn.inputs[0]


def of_uniform(rewriter: Rewriter, eqn: Eqn) -> Atom | None:
    """An array of one value is the same in any order."""
    value = rewriter.constant(eqn.inputs[0])
    aval = eqn.outputs[0].aval
    if value is None or aval.shape == ():
        return None
    return rewriter.emit(full, value=np.asarray(value).item(), shape=aval.shape, dtype=aval.dtype)


def over_no_axes(rewriter: Rewriter, eqn: Eqn) -> Atom | None:
    """A reduction of nothing but each element itself."""
    return eqn.inputs[0] if eqn.params["axes"] == () else None


def of_no_elements(rewriter: Rewriter, eqn: Eqn) -> Atom | None:
    """A reduction of no elements is what one begins with, and so are a sum of no products and a determinant."""
    aval = eqn.outputs[0].aval
    if not aval.size or all(a.aval.size for a in eqn.inputs):
        return None
    value = np.asarray(EMPTY[eqn.primitive.name]).astype(aval.dtype)
    return rewriter.emit(full, value=value.item(), shape=aval.shape, dtype=aval.dtype)


# ---- reshape, transpose, broadcast, reverse


def reshape_of_reshape(rewriter: Rewriter, eqn: Eqn) -> Atom | None:
    x = rewriter.operand(eqn.inputs[0], "reshape")
    return None if x is None else rewriter.emit(reshape, x, **eqn.params)


def transpose_in_place(rewriter: Rewriter, eqn: Eqn) -> Atom | None:
    permutation = eqn.params["permutation"]
    return eqn.inputs[0] if permutation == tuple(range(len(permutation))) else None


def transpose_of_transpose(rewriter: Rewriter, eqn: Eqn) -> Atom | None:
    inner = rewriter.definition(eqn.inputs[0], "transpose")
    if inner is None:
        return None
    order = inner.params["permutation"]
    return rewriter.emit(transpose, inner.inputs[0], permutation=tuple(order[i] for i in eqn.params["permutation"]))


def broadcast_of_broadcast(rewriter: Rewriter, eqn: Eqn) -> Atom | None:
    """Also of a reshape that puts axes of extent one in front, which broadcasting does itself."""
    inner = rewriter.definition(eqn.inputs[0], "broadcast_to", "reshape")
    if inner is None:
        return None
    x = inner.inputs[0]
    if inner.primitive is reshape:
        shape, before = inner.params["shape"], x.aval.shape
        if shape != (1,) * (len(shape) - len(before)) + before:
            return None
    return rewriter.emit(broadcast_to, x, **eqn.params)


def reverse_in_place(rewriter: Rewriter, eqn: Eqn) -> Atom | None:
    """Axes of one element need no reversing."""
    x, axes = eqn.inputs[0], eqn.params["axes"]
    longer = tuple(axis for axis in axes if x.aval.shape[axis] > 1)
    if longer == axes:
        return None
    return rewriter.emit(reverse, x, axes=longer) if longer else x


def reverse_of_reverse(rewriter: Rewriter, eqn: Eqn) -> Atom | None:
    inner = rewriter.definition(eqn.inputs[0], "reverse")
    if inner is None:
        return None
    axes = tuple(sorted(set(inner.params["axes"]) ^ set(eqn.params["axes"])))
    return rewriter.emit(reverse, inner.inputs[0], axes=axes) if axes else inner.inputs[0]


# ---- convert


def convert_of_convert(rewriter: Rewriter, eqn: Eqn) -> Atom | None:
    """A cast of a cast that lost nothing is a cast."""
    x = rewriter.operand(eqn.inputs[0], "convert")
    if x is None or x.aval.weak:
        return None
    via, dtype = eqn.inputs[0].aval.dtype, eqn.params["dtype"]
    if dtype == x.aval.dtype and is_lossless(dtype, via):
        return x
    # What floats out of range become as integers depends on the float.
    same_rules = x.aval.dtype.kind not in "fc" or dtype.kind in "fc"
    return rewriter.emit(convert, x, dtype=dtype) if same_rules and is_lossless(x.aval.dtype, via) else None


def is_lossless(have: np.dtype[Any], want: np.dtype[Any]) -> bool:
    """Whether every value of one dtype is a value of the other; NumPy thinks so of int64 and float64 too."""
    if have.kind in "iu" and want.kind in "fc":
        digits = np.finfo(want).nmant + 1
        return 8 * have.itemsize - (have.kind == "i") <= digits
    return np.can_cast(have, want, "safe")


# ---- slice, concatenate, pad


def whole_slice(rewriter: Rewriter, eqn: Eqn) -> Atom | None:
    x = eqn.inputs[0]
    is_whole = eqn.outputs[0].aval.shape == x.aval.shape and not any(eqn.params["starts"])
    return x if is_whole and all(s == 1 or n < 2 for s, n in zip(eqn.params["strides"], x.aval.shape)) else None


def slice_of_slice(rewriter: Rewriter, eqn: Eqn) -> Atom | None:
    inner = rewriter.definition(eqn.inputs[0], "slice")
    if inner is None or 0 in eqn.outputs[0].aval.shape:
        return None
    starts, limits, strides = [], [], []
    extents = eqn.outputs[0].aval.shape
    for axis, extent in enumerate(extents):
        step = inner.params["strides"][axis]
        start = inner.params["starts"][axis] + eqn.params["starts"][axis] * step
        stride = step * eqn.params["strides"][axis]
        starts.append(start)
        strides.append(stride)
        limits.append(start + (extent - 1) * stride + 1)
    region = {"starts": tuple(starts), "limits": tuple(limits), "strides": tuple(strides)}
    return rewriter.emit(static_slice, inner.inputs[0], **region)


def slice_of_reverse(rewriter: Rewriter, eqn: Eqn) -> Atom | None:
    """Only what the slice leaves is reversed, so that what is below it can be sliced."""
    inner = rewriter.definition(eqn.inputs[0], "reverse")
    if inner is None or 0 in eqn.outputs[0].aval.shape:
        return None
    starts, limits, strides = (list(eqn.params[name]) for name in ("starts", "limits", "strides"))
    for axis in inner.params["axes"]:
        last = starts[axis] + (eqn.outputs[0].aval.shape[axis] - 1) * strides[axis]
        extent = inner.inputs[0].aval.shape[axis]
        starts[axis], limits[axis] = extent - 1 - last, extent - starts[axis]
    region = {"starts": tuple(starts), "limits": tuple(limits), "strides": tuple(strides)}
    return rewriter.emit(reverse, rewriter.emit(static_slice, inner.inputs[0], **region), axes=inner.params["axes"])


def slice_of_argsort(rewriter: Rewriter, eqn: Eqn) -> Atom | None:
    """A small part of an order is found without sorting all, which costs little even if others want all of it."""
    inner = rewriter.definition(eqn.inputs[0], "argsort")
    if inner is None or len(inner.inputs) > 1 or set(eqn.params["strides"]) != {1}:
        return None
    shape, axis = eqn.outputs[0].aval.shape, inner.params["axis"]
    is_whole = all(n == m for i, (n, m) in enumerate(zip(shape, inner.outputs[0].aval.shape)) if i != axis)
    if not is_whole or SMALL_PART * shape[axis] > inner.inputs[0].aval.shape[axis]:
        return None
    first = inner.params["part"][0] + eqn.params["starts"][axis]
    return rewriter.emit(argsort, inner.inputs[0], axis=axis, part=(first, first + shape[axis]))


def slice_of_concatenate(rewriter: Rewriter, eqn: Eqn) -> Atom | None:
    """A slice of the one piece that it lies in."""
    inner = rewriter.definition(eqn.inputs[0], "concatenate")
    if inner is None or 0 in eqn.outputs[0].aval.shape:
        return None
    axis = inner.params["axis"]
    first = eqn.params["starts"][axis]
    last = first + (eqn.outputs[0].aval.shape[axis] - 1) * eqn.params["strides"][axis]
    found = piece_at(inner, first, last)
    if found is None:
        return None
    piece, offset = found
    starts, limits = list(eqn.params["starts"]), list(eqn.params["limits"])
    starts[axis], limits[axis] = first - offset, last + 1 - offset
    region = {"starts": tuple(starts), "limits": tuple(limits), "strides": eqn.params["strides"]}
    return fitted(rewriter, rewriter.emit(static_slice, piece, **region), eqn)


def piece_at(eqn: Eqn, first: int, last: int) -> tuple[Atom, int] | None:
    """The operand of a concatenation that holds all rows from the first to the last one, and where it begins."""
    offset = 0
    for piece in eqn.inputs:
        after = offset + piece.aval.shape[eqn.params["axis"]]
        if first < after:
            return (piece, offset) if offset <= first and last < after else None
        offset = after
    return None


def fitted(rewriter: Rewriter, atom: Atom, eqn: Eqn) -> Atom:
    """An atom cast and broadcast to the type of a result."""
    return rewriter.fit(atom, eqn.outputs[0].aval)


def gather_at_constant(rewriter: Rewriter, eqn: Eqn) -> Atom | None:
    """x[2] within bounds is a slice: kernels need not look whether it is."""
    x, spec = eqn.inputs[0], eqn.params["spec"]
    numbers = [rewriter.constant(i) if i.aval.shape == () else None for i in eqn.inputs[1:]]
    if spec.mode != "raise" or any(n is None for n in numbers):
        return None
    starts, limits = [0] * x.aval.ndim, list(x.aval.shape)
    for axis, number in zip(spec.axes, map(int, numbers)):
        extent = x.aval.shape[axis]
        if not -extent <= number < extent:
            return None
        starts[axis] = number % extent
        limits[axis] = number % extent + 1
    region = {"starts": tuple(starts), "limits": tuple(limits), "strides": (1,) * x.aval.ndim}
    return rewriter.emit(reshape, rewriter.emit(static_slice, x, **region), shape=eqn.outputs[0].aval.shape)


def concatenate_of_one(rewriter: Rewriter, eqn: Eqn) -> Atom | None:
    return fitted(rewriter, eqn.inputs[0], eqn) if len(eqn.inputs) == 1 else None


def concatenate_of_concatenate(rewriter: Rewriter, eqn: Eqn) -> Atom | None:
    """Pieces of pieces are pieces, if no dtype comes in between; empty ones are none."""
    axis, pieces = eqn.params["axis"], []
    for atom in eqn.inputs:
        inner = rewriter.definition(atom, "concatenate")
        is_part = inner is not None and inner.params["axis"] == axis
        pieces += list(inner.inputs) if inner is not None and is_part else [atom]
    dtype = eqn.outputs[0].aval.dtype
    if any(p.aval.dtype != dtype for p in pieces) or len(pieces) > 8 * len(eqn.inputs):
        return None
    filled = [p for p in pieces if p.aval.shape[axis]] or pieces[:1]
    changed = len(filled) != len(eqn.inputs) or any(a is not b for a, b in zip(filled, eqn.inputs))
    return rewriter.emit(concatenate, *filled, axis=axis) if changed else None


def concatenate_of_uniform(rewriter: Rewriter, eqn: Eqn) -> Atom | None:
    values = [rewriter.constant(a) for a in eqn.inputs]
    dtype = eqn.outputs[0].aval.dtype
    if any(v is None for v in values) or any(a.aval.dtype != dtype for a in eqn.inputs):
        return None
    return rewriter.filled(values[0], eqn.outputs[0].aval) if len(set(map(repr, values))) == 1 else None


def pad_with_nothing(rewriter: Rewriter, eqn: Eqn) -> Atom | None:
    x = eqn.inputs[0]
    padding = zip(eqn.params["padding"], x.aval.shape)
    return x if all(p[:2] == (0, 0) and (p[2] == 0 or n < 2) for p, n in padding) else None


def pad_with_the_same(rewriter: Rewriter, eqn: Eqn) -> Atom | None:
    x, value = map(rewriter.constant, eqn.inputs)
    dtype = eqn.outputs[0].aval.dtype
    if x is None or value is None or eqn.inputs[1].aval.dtype != dtype:
        return None
    return rewriter.filled(x, eqn.outputs[0].aval) if repr(dtype.type(x)) == repr(dtype.type(value)) else None


# ---- updates


def update_of_all(rewriter: Rewriter, eqn: Eqn) -> Atom | None:
    """y[...] = v is v."""
    x, update = eqn.inputs
    shape = x.aval.shape
    whole = eqn.params["starts"] == (0,) * len(shape) and eqn.params["limits"] == shape
    is_whole = whole and eqn.params["strides"] == (1,) * len(shape)
    may_overflow = update.aval.weak and x.aval.dtype.kind in "iu"
    return fitted(rewriter, update, eqn) if is_whole and not may_overflow else None


def update_of_update(rewriter: Rewriter, eqn: Eqn) -> Atom | None:
    """What is overwritten at once need not be written."""
    inner = rewriter.definition(eqn.inputs[0], "update_slice")
    if inner is None or inner.params != eqn.params:
        return None
    return rewriter.emit(eqn.primitive, inner.inputs[0], eqn.inputs[1], **eqn.params)


def dynamic_slice_of_all(rewriter: Rewriter, eqn: Eqn) -> Atom | None:
    """There is one place for a region as large as the array."""
    return eqn.inputs[0] if eqn.params["sizes"] == eqn.inputs[0].aval.shape else None


def dynamic_slice_at_constant(rewriter: Rewriter, eqn: Eqn) -> Atom | None:
    x, *starts = eqn.inputs
    values = [rewriter.constant(s) for s in starts]
    if any(v is None for v in values):
        return None
    sizes = eqn.params["sizes"]
    clamped = [
        max(0, min(int(v) + (n if v < 0 else 0), n - size)) for v, n, size in zip(values, x.aval.shape, sizes)
    ]
    limits = tuple(start + size for start, size in zip(clamped, sizes))
    return rewriter.emit(static_slice, x, starts=tuple(clamped), limits=limits, strides=(1,) * len(sizes))


def dynamic_update_of_all(rewriter: Rewriter, eqn: Eqn) -> Atom | None:
    x, update = eqn.inputs[:2]
    is_whole = x.aval.shape == update.aval.shape and x.aval.dtype == update.aval.dtype
    return fitted(rewriter, update, eqn) if is_whole else None


# ---- choices


def known_choice(rewriter: Rewriter, eqn: Eqn) -> Atom | None:
    """A mask that is known to be true everywhere, or false everywhere."""
    condition, x, y = eqn.inputs
    value = rewriter.constant(condition)
    if value is None and type(condition) is Literal and condition.aval.size:
        mask = np.asarray(condition.value)
        value = True if mask.all() else None if mask.any() else False
    return None if value is None else fitted(rewriter, x if value else y, eqn)


def no_choice(rewriter: Rewriter, eqn: Eqn) -> Atom | None:
    _, x, y = eqn.inputs
    return fitted(rewriter, x, eqn) if x is y else None


def opposite_choice(rewriter: Rewriter, eqn: Eqn) -> Atom | None:
    condition, x, y = eqn.inputs
    other = rewriter.operand(condition, "logical_not")
    return None if other is None else rewriter.emit(select, other, y, x)


def choice_between_equals(rewriter: Rewriter, eqn: Eqn) -> Atom | None:
    aval = eqn.outputs[0].aval
    x, y = map(rewriter.constant, eqn.inputs[1:])
    if x is None or y is None or any(a.aval.dtype != aval.dtype for a in eqn.inputs[1:]):
        return None
    return rewriter.filled(x, aval) if repr(aval.dtype.type(x)) == repr(aval.dtype.type(y)) else None


# ---- reductions


def extreme_of_repeated(rewriter: Rewriter, eqn: Eqn) -> Atom | None:
    """The maximum of equal elements is any of them: along axes of one element, and along those of a broadcast."""
    x, axes = eqn.inputs[0], eqn.params["axes"]
    if 0 in x.aval.shape:
        return None
    if all(x.aval.shape[axis] == 1 for axis in axes):
        return fitted(rewriter, rewriter.emit(reshape, x, shape=eqn.outputs[0].aval.shape), eqn)
    found = without_repeats(rewriter, x, axes)
    if found is None:
        return None
    inner, _, rest = found
    return rewriter.fit(rewriter.emit(eqn.primitive, inner, axes=rest) if rest else inner, eqn.outputs[0].aval)


def sum_of_repeated_integers(rewriter: Rewriter, eqn: Eqn) -> Atom | None:
    """The sum of n equal integers is n times one of them, modulo what the dtype holds."""
    aval = eqn.outputs[0].aval
    if aval.dtype.kind not in "iu":
        return None
    return sum_of_repeated(rewriter, eqn, np.asarray)


def sum_of_repeated(rewriter: Rewriter, eqn: Eqn, as_factor: Any) -> Atom | None:
    """The sum over axes along which an array repeats itself, as a multiple."""
    aval = eqn.outputs[0].aval
    found = without_repeats(rewriter, eqn.inputs[0], eqn.params["axes"])
    if found is None:
        return None
    inner, count, rest = found
    if count == 0:
        return rewriter.filled(0, aval)
    total = rewriter.emit(reduce_sum, inner, axes=rest) if rest else inner
    return rewriter.fit(rewriter.emit(e.multiply, total, as_factor(count).astype(aval.dtype)[()]), aval)


def without_repeats(rewriter: Rewriter, x: Atom, axes: Shape) -> tuple[Atom, int, Shape] | None:
    """An array without those of some axes along which it repeats itself; how often it does; the others of the axes."""
    shape = x.aval.shape
    value = rewriter.constant(x)
    if value is not None:
        before: Shape = ()
    else:
        made = rewriter.operand(x, "broadcast_to")
        if made is None:
            return None
        before = made.aval.shape
    extents = (1,) * (len(shape) - len(before)) + before
    repeated = {axis for axis in axes if extents[axis] == 1 != shape[axis]}
    if not repeated:
        return None
    kept = [axis for axis in range(len(shape)) if axis not in repeated]
    new_shape = tuple(extents[axis] for axis in kept)
    if value is not None:
        inner = rewriter.filled(value, x.aval.with_shape(new_shape))
    else:
        inner = rewriter.emit(reshape, made, shape=new_shape)
    rest = tuple(kept.index(axis) for axis in axes if axis not in repeated)
    return inner, int(np.prod([shape[axis] for axis in repeated])), rest


# ---- contractions


def transposed_operand(rewriter: Rewriter, eqn: Eqn) -> Atom | None:
    """A contraction says which axes it takes: an operand need not be transposed first, if the result stays as it is."""
    (xc, yc), (xb, yb) = eqn.params["dimension_numbers"]
    operands, numbers = list(eqn.inputs), [(xc, xb), (yc, yb)]
    changed = False
    for i, atom in enumerate(eqn.inputs):
        inner = rewriter.definition(atom, "transpose")
        if inner is None:
            continue
        order = inner.params["permutation"]
        contracted, batch = (tuple(order[axis] for axis in axes) for axes in numbers[i])
        free = [order[axis] for axis in range(len(order)) if axis not in numbers[i][0] and axis not in numbers[i][1]]
        if free == sorted(free):
            operands[i], numbers[i], changed = inner.inputs[0], (contracted, batch), True
    if not changed:
        return None
    (xc, xb), (yc, yb) = numbers
    return rewriter.emit(dot_general, *operands, dimension_numbers=((xc, yc), (xb, yb)))


# ---- matrices


def cholesky_of_lower_part(rewriter: Rewriter, eqn: Eqn) -> Atom | None:
    """Only the lower triangle is read, and the real parts of the diagonal."""
    inner = rewriter.definition(eqn.inputs[0], "hermitian_part")
    return rewriter.emit(eqn.primitive, inner.inputs[0]) if inner is not None and inner.params["lower"] else None


def _moves(*rules: Rule) -> Sequence[Rule]:
    """Rules for a move of one operand."""
    return (same, of_uniform, *rules)


#: What reductions come to where there are no elements. (Extremes are an error then.)
NOTHING = {
    "reduce_sum": 0, "reduce_prod": 1, "reduce_any": False, "reduce_all": True, "reduce_and": -1, "reduce_or": 0,
    "reduce_xor": 0,
}  # fmt: skip
EMPTY = {**NOTHING, "dot_general": 0, "det": 1}

MOVES: Rules = {
    "stop_gradient": (same,),
    "name": (same,),
    "reshape": _moves(reshape_of_reshape),
    "transpose": (transpose_in_place, of_uniform, transpose_of_transpose),
    "broadcast_to": _moves(broadcast_of_broadcast),
    "reverse": (of_uniform, reverse_in_place, reverse_of_reverse),
    "convert": (same, convert_of_convert),
    "slice": (whole_slice, of_uniform, slice_of_slice, slice_of_concatenate, slice_of_reverse, slice_of_argsort),
    "gather": (gather_at_constant,),
    "concatenate": (concatenate_of_one, concatenate_of_uniform, concatenate_of_concatenate),
    "pad": (pad_with_nothing, pad_with_the_same),
    "update_slice": (update_of_all, update_of_update),
    "dynamic_slice": (dynamic_slice_of_all, dynamic_slice_at_constant),
    "dynamic_update_slice": (dynamic_update_of_all,),
    "select": (known_choice, no_choice, opposite_choice, choice_between_equals),
    **dict.fromkeys(NOTHING, (over_no_axes, of_no_elements)),
    "reduce_max": (over_no_axes, extreme_of_repeated),
    "reduce_min": (over_no_axes, extreme_of_repeated),
    "reduce_sum": (over_no_axes, of_no_elements, sum_of_repeated_integers),
    "det": (of_no_elements,),
    "dot_general": (of_no_elements, transposed_operand),
    "cholesky": (cholesky_of_lower_part,),
}
