"""Equations whose form for one lane needs more than the rule of an element: what moves parts of arrays."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import numpy as np

from ...core.jaxpr import Atom, Eqn, Literal
from ..apart.access import SCATTERS
from ..apart.cumulative import CUMULATIVE
from .reading import Axes


class NotLanewise(Exception):
    """Lanes have to do with each other; the message is a clause that says where."""


def adapted_params(eqn: Eqn, axis: int, read: Axes) -> dict[str, Any]:
    """The parameters of an equation for one lane, where these have extents.

    Args:
        axis: that of the result along which lanes lie.
        read: those of the operands.
    """
    params = dict(eqn.params)
    if params.get("shape") == eqn.outputs[0].aval.shape:
        params["shape"] = _with(params["shape"], axis, 1)
    own = read.get(0)
    if "limits" in params and own is not None:
        params["limits"] = _with(params["limits"], own, 1)
    return params


def _with(values: Sequence[Any], position: int, value: Any) -> tuple[Any, ...]:
    return (*values[:position], value, *values[position + 1 :])


def concatenate(program: Any, eqn: Eqn) -> None:
    axis = _axis_of_any(program, eqn.inputs)
    if axis == eqn.params["axis"]:
        raise NotLanewise("lanes are put one after the other")
    _add(program, eqn, axis, [axis] * len(eqn.inputs), eqn.params)


def pad(program: Any, eqn: Eqn) -> None:
    axis = program.axis(eqn.inputs[0])
    if axis is None or eqn.params["padding"][axis] != (0, 0, 0):
        raise NotLanewise("lanes are padded")
    _add(program, eqn, axis, [axis, None], eqn.params)


def reshape(program: Any, eqn: Eqn) -> None:
    """A reshape that leaves the axis of the lanes as it is."""
    axis, have, shape = program.axis(eqn.inputs[0]), eqn.inputs[0].aval.shape, eqn.params["shape"]
    before = prod(have[:axis])
    for after, n in enumerate(shape):
        if n == program.size and prod(shape[:after]) == before:
            _add(program, eqn, after, [axis], {"shape": _with(shape, after, 1)})
            return
    raise NotLanewise("lanes are mixed with other axes by a reshape")


def accumulate(program: Any, eqn: Eqn) -> None:
    axis = program.axis(eqn.inputs[0])
    if axis == eqn.params["axis"]:
        raise NotLanewise("lanes are added up")
    _add(program, eqn, axis, [axis], eqn.params)


def update_slice(program: Any, eqn: Eqn) -> None:
    x, update = eqn.inputs
    behind = len(x.aval.shape) - len(update.aval.shape)
    own = program.axis(update)
    axis = program.axis(x) if own is None else own + behind
    starts, limits, strides = (eqn.params[name] for name in ("starts", "limits", "strides"))
    if (starts[axis], limits[axis], strides[axis]) != (0, program.size, 1):
        raise NotLanewise("some lanes are overwritten")
    has_axis = axis >= behind and update.aval.shape[axis - behind] == program.size
    axes = [axis, axis - behind if has_axis else None]
    _add(program, eqn, axis, axes, {**eqn.params, "limits": _with(limits, axis, 1)})


def dynamic_slice(program: Any, eqn: Eqn) -> None:
    x, *starts = eqn.inputs
    axis, sizes = program.axis(x), eqn.params["sizes"]
    if axis is None or sizes[axis] != program.size:
        raise NotLanewise("some lanes are read")
    _add(program, eqn, axis, [axis, *[None] * len(starts)], {"sizes": _with(sizes, axis, 1)})


def dynamic_update_slice(program: Any, eqn: Eqn) -> None:
    axis = _axis_of_any(program, eqn.inputs[:2])
    if eqn.inputs[1].aval.shape[axis] != program.size:
        raise NotLanewise("some lanes are overwritten")
    _add(program, eqn, axis, [axis, axis, *[None] * (len(eqn.inputs) - 2)], eqn.params)


def gather(program: Any, eqn: Eqn) -> None:
    """Each lane reads its own part of an array at the same indices, or the whole of it at its own, or both."""
    x, *indices = eqn.inputs
    spec = eqn.params["spec"]
    own = _counted_axis(program, spec, x, indices) if program.axis(x) is None else program.axis(x)
    own, inputs, result = _selection(program, spec, own, indices)
    _add_of(program, eqn, result, [program.version(x, own), *inputs], eqn.params)


def _counted_axis(program: Any, spec: Any, x: Atom, indices: Sequence[Atom]) -> int | None:
    """The axis of an array along which each lane reads at its own number, if there is one."""
    rank = _rank(indices)
    along = {axis + rank - len(i.aval.shape) for i in indices if (axis := program.axis(i)) is not None}
    for i, axis in zip(indices, spec.axes):
        position = min(along) - rank + len(i.aval.shape)
        if x.aval.shape[axis] == program.size and _counts_at(program, i, position):
            return axis
    return None


def scatter(program: Any, eqn: Eqn) -> None:
    x, updates, *indices = eqn.inputs
    spec = eqn.params["spec"]
    result, own = program.axis(updates), program.axis(x)
    if own is None and result is not None:
        own = _axis_behind(spec, len(x.aval.shape), result, _rank(indices))
    own, inputs, result = _selection(program, spec, own, indices)
    if own is None:
        raise NotLanewise("lanes write to the same array")
    update = program.version(updates, result if _has_axis(updates, result, program.size) else None)
    _add_of(program, eqn, own, [program.version(x, own), update, *inputs], eqn.params)


def _selection(program: Any, spec: Any, own: int | None, indices: Sequence[Atom]) -> tuple[int | None, list[Atom], int]:
    """How elements of an array are selected in one lane: the axis of its lanes, the indices, and the axis of the lanes
    in what is selected.

    Args:
        own: the axis of its lanes, as far as it is known.
    """
    rank = _rank(indices)
    along = {axis + rank - len(i.aval.shape) for i in indices if (axis := program.axis(i)) is not None}
    if len(along) > 1:
        raise NotLanewise("indices have lanes along two axes")
    if not along:
        if own is None or own in spec.axes:
            raise NotLanewise("lanes are picked by index")
        before = sum(axis not in spec.axes for axis in range(own))
        return own, [program.version(i, None) for i in indices], before if before < spec.position else before + rank
    (lane,) = along
    inputs: list[Atom] = []
    is_own = own is None
    for i, axis in zip(indices, spec.axes):
        position = lane - rank + len(i.aval.shape)
        if axis == own and _counts_at(program, i, position):
            is_own = True
            inputs.append(_zero(i))
        else:
            inputs.append(program.version(i, position if _has_axis(i, position, program.size) else None))
    if not is_own:
        raise NotLanewise("lanes read each other at indices of their own")
    return own, inputs, spec.position + lane


def _zero(index: Atom) -> Literal:
    """The number of the lane in one lane: the only one that there is."""
    value = np.zeros((1,) * len(index.aval.shape), index.aval.dtype)
    return Literal(value, index.aval.with_shape(value.shape))


def _counts_at(program: Any, index: Atom, axis: int) -> bool:
    """Whether an index that is the same for all lanes, and has an axis for them, is their number."""
    is_shared = program.axis(index) is None and _has_axis(index, axis, program.size)
    return is_shared and counts_lanes(program, index, axis)


def counts_lanes(program: Any, atom: Atom, axis: int) -> bool:
    """Whether an array of indices is the number of the lane along an axis."""
    if isinstance(atom, Literal):
        values = np.asarray(atom.value)
        counts = np.arange(program.size).reshape(-1, *[1] * (values.ndim - axis - 1))
        return bool(np.array_equal(values, np.broadcast_to(counts, values.shape)))
    maker = program.makers.get(atom)
    if maker is None:
        return False
    name, params = maker.primitive.name, maker.params
    if name == "iota":
        return params["axis"] == axis
    if name == "reshape" and len(maker.inputs[0].aval.shape) == 1:
        return prod(atom.aval.shape) == program.size and counts_lanes(program, maker.inputs[0], 0)
    return False


def _rank(indices: Sequence[Atom]) -> int:
    return max((len(i.aval.shape) for i in indices), default=0)


def _has_axis(atom: Atom, axis: int, size: int) -> bool:
    return 0 <= axis < len(atom.aval.shape) and atom.aval.shape[axis] == size


def _axis_behind(spec: Any, rank: int, result: int, index_rank: int) -> int | None:
    """The axis of an array that is an axis of what is selected of it; None if that belongs to the indices."""
    if spec.position <= result < spec.position + index_rank:
        return None
    rest = [axis for axis in range(rank) if axis not in spec.axes]
    return rest[result if result < spec.position else result - index_rank]


def _axis_of_any(program: Any, atoms: Sequence[Atom]) -> int:
    """The axis of the lanes in arrays that have it at the same place."""
    return next(axis for axis in map(program.axis, atoms) if axis is not None)


def _add(program: Any, eqn: Eqn, axis: int, axes: Sequence[int | None], params: Any) -> None:
    """Add an equation with one result for one lane, of operands with lanes along some axes."""
    _add_of(program, eqn, axis, list(map(program.version, eqn.inputs, axes)), params)


def _add_of(program: Any, eqn: Eqn, axis: int, inputs: Sequence[Atom], params: Any) -> None:
    """Add an equation with one result for one lane."""
    found = program.add(eqn, axis, inputs, params)
    if found is None:
        raise NotLanewise(f"`{eqn.primitive.name}` has no form for one lane")
    program.name(eqn.outputs[0], axis, found)


#: What has the axes of its first operand.
KEEPING = frozenset(
    ("concatenate", "pad", "update_slice", "dynamic_slice", "dynamic_update_slice", *SCATTERS, *CUMULATIVE)
)
#: How to add an equation for one lane, by the name of its primitive.
RULES: dict[str, Callable[[Any, Eqn], None]] = {
    "concatenate": concatenate, "pad": pad, "reshape": reshape, "update_slice": update_slice,
    "dynamic_slice": dynamic_slice, "dynamic_update_slice": dynamic_update_slice, "gather": gather,
    **dict.fromkeys(SCATTERS, scatter), **dict.fromkeys(CUMULATIVE, accumulate),
}  # fmt: skip
