"""Reading and writing arrays of a recurrence at computed indices: gather, scatter and regions, element by element."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import numpy as np

from ...core.avals import ShapedArray
from ...core.dtypes import kind_of
from ...core.jaxpr import Eqn
from ...primitives.indexing import Scatter
from ..loopnest import INT, Apply, Expression, Index, cast, constant, from_the_end, normalized
from ..recurrence import Check, Failure
from .elements import (
    LARGEST_ARRAY,
    LARGEST_VECTOR,
    Array,
    TooLarge,
    added,
    at_value,
    boxed,
    broadcast_index,
    known_indices,
    too_many,
)

SCATTERS = ("scatter_set", "scatter_add", "scatter_multiply", "scatter_min", "scatter_max")


def gather(body: Any, eqn: Eqn, x: Any, indices: Sequence[Any]) -> Any:
    """The elements that indices name; a view, if they are many."""
    aval = eqn.outputs[0].aval
    reader = body.reader(x)
    place = _selection(body, eqn, reader.aval.shape, aval.shape, indices, 1)
    return body.made(aval, lambda index: reader.at(place(index)), [x, *indices])


def scatter(body: Any, eqn: Eqn, x: Array, updates: Any, indices: Sequence[Any]) -> Array:
    """An array with updates written to the elements that indices name, where it is."""
    shape = eqn.inputs[1].aval.shape
    indices = [body.apart_from(i, x) for i in indices]
    place = _selection(body, eqn, x.aval.shape, shape, indices, 2)
    assert isinstance(eqn.primitive, Scatter)
    combine = eqn.primitive.combine
    if combine is not None and kind_of(x.aval.dtype) not in "fiu":
        raise TooLarge(f"`{eqn.primitive.name}` has no native form for {x.aval.dtype}")
    _write(body, eqn, x, updates, shape, place, combine)
    return body.renewed(x)


def check_operands(body: Any, eqn: Eqn, operands: Sequence[Any]) -> None:
    """Have the operands of an equation checked that its rule takes to lie within bounds: from some number on, all."""
    avals = [a.aval for a in eqn.inputs]
    checked = eqn.primitive.checked_operands(avals, **eqn.params)
    if checked:
        elements = [_elements(body, operands[number], avals[number]) for number, _ in checked]
        _check(body, eqn, [extent for _, extent in checked], elements, checked[0][0])


def update_region(body: Any, eqn: Eqn, x: Array, update: Any, starts: Sequence[Any]) -> Array:
    """An array with a region overwritten that begins at computed offsets."""
    offsets, shape = [], eqn.inputs[1].aval.shape
    for start, extent, size in zip(starts, x.aval.shape, shape):
        offset = normalized(body.boxes(start)[()].expression, extent, extent - size)
        offsets.append(at_value(body.kept_expression(offset)))
    place = lambda index: tuple(map(added, index, offsets))  # noqa: E731
    _write(body, eqn, x, update, shape, place, None)
    return body.renewed(x)


def update_slice(body: Any, eqn: Eqn, x: Array, update: Any, _: Sequence[Any]) -> Array:
    """An array with a strided region overwritten."""
    starts, limits, strides = (eqn.params[name] for name in ("starts", "limits", "strides"))
    shape = tuple(len(range(*span)) for span in zip(starts, limits, strides))
    place = lambda index: tuple(i.times(s).plus(start) for i, s, start in zip(index, strides, starts))  # noqa: E731
    _write(body, eqn, x, update, shape, place, None)
    return body.renewed(x)


def _write(
    body: Any,
    eqn: Eqn,
    x: Array,
    value: Any,
    shape: tuple[int, ...],
    place: Callable[[Index], Index],
    combine: str | None,
) -> None:
    """Have a part of an array written to, if it is not so large that a kernel does better."""
    size = prod(shape)
    if size > LARGEST_VECTOR:
        raise TooLarge(f"`{eqn.primitive.name}` writes {size} elements, and {LARGEST_VECTOR} is the limit")
    body.write(x, value, shape, place, combine)


def _selection(
    body: Any, eqn: Eqn, x: tuple[int, ...], shape: tuple[int, ...], indices: Sequence[Any], leading: int
) -> Callable[[Index], Index]:
    """The index of x for each index of what is selected; checked, if it is to be.

    Args:
        x, shape: the shapes of x and of what is selected.
        leading: how many operands come before the indices.
    """
    spec = eqn.params["spec"]
    if spec.mode not in ("raise", "clip"):
        raise TooLarge(f"`{eqn.primitive.name}` has no native form for indices in mode '{spec.mode}'")
    avals = [a.aval for a in eqn.inputs[leading:]]
    if any(aval.dtype.kind not in "iu" for aval in avals):
        raise TooLarge(f"`{eqn.primitive.name}` is indexed with something else than integers")
    if any(aval.size > LARGEST_ARRAY for aval in avals) and not body.has_vectors:
        raise TooLarge(too_many(f"an index array has {max(aval.size for aval in avals)} elements"))
    extents = [x[axis] for axis in spec.axes]
    elements = [_elements(body, i, aval) for i, aval in zip(indices, avals)]
    if spec.mode == "raise":
        _check(body, eqn, extents, elements, leading)
    ndim = len(shape) - (len(x) - len(spec.axes))
    end = spec.position + ndim

    def place(index: Index) -> Index:
        own, rest = index[spec.position : end], iter([*index[: spec.position], *index[end:]])
        named = {
            axis: at_value(_within(element(broadcast_index(own, aval.shape)), extent, spec.mode))
            for axis, extent, element, aval in zip(spec.axes, extents, elements, avals)
        }
        return tuple(named[axis] if axis in named else next(rest) for axis in range(len(x)))

    return place


Element = Callable[[Index], Expression]


def _elements(body: Any, array: Any, aval: ShapedArray) -> Element:
    """The elements of an index array as int64 numbers; what is too large for these stays so."""

    def integer(e: Expression) -> Expression:
        if e.dtype == np.uint64:
            e = Apply("minimum", (e, constant(np.iinfo(INT).max, e.dtype)), e.dtype)
        return cast(e, INT)

    if aval.size > LARGEST_ARRAY:
        return lambda index: integer(array.at(index))
    boxes = body.boxes(array)
    kept = boxed(aval.shape, lambda i: body.kept_expression(integer(boxes[tuple(x.offset for x in i)].expression)))

    def element(index: Index) -> Expression:
        if any(i.terms for i in index):
            raise TooLarge("an index array is itself read at a computed index")
        return kept[tuple(i.offset for i in index)].expression

    return element


def _within(index: Expression, extent: int, mode: str) -> Expression:
    if mode == "raise":
        return from_the_end(index, extent)
    low = Apply("maximum", (index, constant(0, INT)), INT)
    return Apply("minimum", (low, constant(extent - 1, INT)), INT)


def _check(body: Any, eqn: Eqn, extents: Sequence[int], elements: Sequence[Element], leading: int) -> None:
    """Have indices checked: few together, many one after the other."""
    others, avals = ([a.aval for a in group] for group in (eqn.inputs[:leading], eqn.inputs[leading:]))
    few = [k for k, aval in enumerate(avals) if aval.size <= LARGEST_ARRAY]
    flat = [(elements[k](index), extents[k]) for k in few for index in known_indices(avals[k].shape)]
    source = eqn.source or body.source
    if flat:
        failure = Failure(_refusal(eqn, others, few), tuple(avals[k].shape for k in few), eqn.primitive.name, source)
        body.statements.append(Check(tuple(e for e, _ in flat), tuple(n for _, n in flat), failure))
    for k in set(range(len(avals))) - set(few):
        failure = Failure(_refusal(eqn, others, [k]), ((),), eqn.primitive.name, source)
        _check_all(body, avals[k].shape, elements[k], extents[k], failure)


def _check_all(body: Any, shape: tuple[int, ...], element: Element, extent: int, failure: Failure) -> None:
    """Have all elements of an index array checked."""

    def check(index: Index) -> None:
        number = body.kept_expression(element(index))
        body.statements.append(Check((number,), (extent,), failure))

    body.over(shape, (), check)


def _refusal(eqn: Eqn, others: Sequence[ShapedArray], which: Sequence[int]) -> Callable[..., Sequence[Any]]:
    """What the implementation of a primitive says to some of its indices, whatever else its operands are."""

    def refuse(*indices: Any) -> Sequence[Any]:
        arrays = [np.broadcast_to(np.zeros((), aval.dtype), aval.shape) for aval in others]
        given = dict(zip(which, indices))
        everything = [given.get(k, np.int64(0)) for k in range(len(eqn.inputs) - len(others))]
        return eqn.primitive.impl(*arrays, *everything, **eqn.params)[:0]

    return refuse


#: What writes the result of an update where the array is.
UPDATES: dict[str, Callable[..., Array]] = {
    **dict.fromkeys(SCATTERS, scatter), "dynamic_update_slice": update_region, "update_slice": update_slice,
}  # fmt: skip
