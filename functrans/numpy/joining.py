"""Arrays put together, taken apart, repeated, and with parts inserted or deleted."""

from __future__ import annotations

from itertools import pairwise
from math import prod
from operator import index
from typing import Any

import numpy as np

from ..core.avals import INT
from ..core.cells import view_of
from ..core.devices import here
from ..core.dtypes import can_cast
from ..core.trace import Traced, typeof
from ..primitives import structural as _structural
from ..primitives.structural import slice_axis
from ..primitives.subscripts import converted
from .common import as_operand, cast, concrete_value, normalize_axis, stretched, with_shape
from .manipulation import atleast_1d, atleast_2d, atleast_3d, expand_dims, moveaxis, ravel, reshape
from .positions import stored
from .protocols import METHODS

#: Exported as ours: NumPy's namesake does not take `total_repeat_length`.
ALWAYS_OURS = frozenset({"repeat"})

# ---- together


def concatenate(
    arrays: Any, /, axis: Any = 0, out: Any = None, *, dtype: Any = None, casting: str = "same_kind"
) -> Any:
    """numpy.concatenate."""
    operands = [as_operand(x) for x in arrays]
    if not operands:
        raise ValueError("need at least one array to concatenate")
    if axis is None:
        operands, axis = [ravel(x) for x in operands], 0
    if not all(typeof(x).shape for x in operands):
        raise ValueError("zero-dimensional arrays cannot be concatenated")
    axis = normalize_axis(axis, typeof(operands[0]).ndim)
    target = None if out is None else out.dtype if dtype is None else dtype
    target = dtype if target is None else target
    if target is not None:
        operands = [_cast_safely(x, np.dtype(target), casting) for x in operands]
    return stored(_structural.concatenate(*operands, axis=axis), out)


def _cast_safely(x: Any, dtype: np.dtype[Any], casting: Any) -> Any:
    if not can_cast(typeof(x).dtype, dtype, casting):
        have = typeof(x).dtype
        raise TypeError(f"Cannot cast array data from {have!r} to {dtype!r} according to the rule {casting!r}")
    return cast(x, dtype)


concat = concatenate


def stack(arrays: Any, axis: int = 0, out: Any = None, *, dtype: Any = None, casting: str = "same_kind") -> Any:
    """numpy.stack."""
    operands = [as_operand(x) for x in arrays]
    if not operands:
        raise ValueError("need at least one array to stack")
    if len({typeof(x).shape for x in operands}) != 1:
        raise ValueError("all input arrays must have the same shape")
    axis = normalize_axis(axis, typeof(operands[0]).ndim + 1)
    return concatenate([expand_dims(x, axis) for x in operands], axis, out, dtype=dtype, casting=casting)


def hstack(tup: Any, *, dtype: Any = None, casting: str = "same_kind") -> Any:
    """numpy.hstack."""
    operands = [atleast_1d(x) for x in tup]
    along = 0 if operands and typeof(operands[0]).ndim == 1 else 1
    return concatenate(operands, along, dtype=dtype, casting=casting)


def vstack(tup: Any, *, dtype: Any = None, casting: str = "same_kind") -> Any:
    """numpy.vstack."""
    return concatenate([atleast_2d(x) for x in tup], 0, dtype=dtype, casting=casting)


def row_stack(tup: Any, *, dtype: Any = None, casting: str = "same_kind") -> Any:
    """vstack, by its name in older versions of NumPy."""
    return vstack(tup, dtype=dtype, casting=casting)


def dstack(tup: Any) -> Any:
    """numpy.dstack."""
    return concatenate([atleast_3d(x) for x in tup], 2)


def column_stack(tup: Any) -> Any:
    """numpy.column_stack."""
    operands = [as_operand(x) for x in tup]
    return concatenate([reshape(x, (-1, 1)) if typeof(x).ndim < 2 else x for x in operands], 1)


def append(arr: Any, values: Any, axis: Any = None) -> Any:
    """numpy.append."""
    return concatenate([arr, values], axis)


def block(arrays: Any) -> Any:
    """numpy.block."""
    levels = _depth(arrays)
    count = max(levels, *(typeof(as_operand(x)).ndim for x in _entries(arrays)))
    joined = _joined(arrays, levels, count)
    return joined if levels else np.copy(joined)


def _depth(nest: Any) -> int:
    """How deeply lists are nested."""
    if isinstance(nest, tuple):
        raise TypeError("only lists can be used to arrange blocks, and np.block does not allow tuples")
    if not isinstance(nest, list):
        return 0
    if not nest:
        raise ValueError("lists in block cannot be empty")
    depths = {_depth(item) for item in nest}
    if len(depths) > 1:
        raise ValueError("list depths are mismatched")
    return depths.pop() + 1


def _entries(nest: Any) -> list[Any]:
    return [entry for item in nest for entry in _entries(item)] if isinstance(nest, list) else [nest]


def _joined(nest: Any, level: int, count: int) -> Any:
    if not isinstance(nest, list):
        x = as_operand(nest)
        return with_shape(x, (1,) * (count - typeof(x).ndim) + typeof(x).shape)
    return concatenate([_joined(item, level - 1, count) for item in nest], -level)


# ---- apart


def array_split(ary: Any, indices_or_sections: Any, axis: int = 0) -> list[Any]:
    """numpy.array_split."""
    x = as_operand(ary)
    axis = normalize_axis(axis, typeof(x).ndim)
    cuts = _cuts(indices_or_sections, typeof(x).shape[axis])
    whole = (slice(None),) * axis
    return [
        view_of(x, slice_axis(x, start, max(start, stop), axis=axis), (*whole, slice(start, max(start, stop))))
        for start, stop in pairwise(cuts)
    ]


def _cuts(indices_or_sections: Any, extent: int) -> list[int]:
    """Where the parts begin and end."""
    if not isinstance(indices_or_sections, (int, np.integer)) and np.ndim(indices_or_sections):
        return [0, *(slice(None, index(i)).indices(extent)[1] for i in indices_or_sections), extent]
    count = (index if isinstance(indices_or_sections, Traced) else int)(indices_or_sections)
    if count <= 0:
        raise ValueError("number sections must be larger than 0.")
    each, longer = divmod(extent, count)
    return [i * each + min(i, longer) for i in range(count + 1)]


def split(ary: Any, indices_or_sections: Any, axis: int = 0) -> list[Any]:
    """numpy.split."""
    if isinstance(indices_or_sections, (int, np.integer)) and typeof(ary).shape[axis] % int(indices_or_sections):
        raise ValueError("array split does not result in an equal division")
    return array_split(ary, indices_or_sections, axis)


def hsplit(ary: Any, indices_or_sections: Any) -> list[Any]:
    """numpy.hsplit."""
    if typeof(ary).ndim == 0:
        raise ValueError("hsplit only works on arrays of 1 or more dimensions")
    return split(ary, indices_or_sections, 1 if typeof(ary).ndim > 1 else 0)


def vsplit(ary: Any, indices_or_sections: Any) -> list[Any]:
    """numpy.vsplit."""
    if typeof(ary).ndim < 2:
        raise ValueError("vsplit only works on arrays of 2 or more dimensions")
    return split(ary, indices_or_sections, 0)


def dsplit(ary: Any, indices_or_sections: Any) -> list[Any]:
    """numpy.dsplit."""
    if typeof(ary).ndim < 3:
        raise ValueError("dsplit only works on arrays of 3 or more dimensions")
    return split(ary, indices_or_sections, 2)


def unstack(x: Any, /, *, axis: int = 0) -> tuple[Any, ...]:
    """numpy.unstack."""
    if typeof(x).ndim == 0:
        raise ValueError("Input array must be at least 1-d.")
    front = moveaxis(x, axis, 0)
    return tuple(front[i] for i in range(typeof(front).shape[0]))


# ---- repeated


def tile(A: Any, reps: Any) -> Any:
    """numpy.tile."""
    x = as_operand(A)
    counts = tuple(map(index, reps)) if isinstance(reps, (tuple, list, np.ndarray)) else (index(reps),)
    count = max(typeof(x).ndim, len(counts))
    counts = (1,) * (count - len(counts)) + counts
    shape = (1,) * (count - typeof(x).ndim) + typeof(x).shape
    apart = with_shape(x, tuple(extent for n in shape for extent in (1, n)))
    repeated = stretched(apart, tuple(extent for pair in zip(counts, shape) for extent in pair))
    return reshape(repeated, tuple(times * n for times, n in zip(counts, shape)), copy=True)


def repeat(a: Any, repeats: Any, axis: Any = None, *, total_repeat_length: int | None = None) -> Any:
    """numpy.repeat.

    Args:
        total_repeat_length: the extent of the result, needed where the numbers of repetitions are not known while
            tracing; what exceeds it is left out, and what is missing is the last element again.

    Raises:
        ConcretizationError: the numbers of repetitions are not known, and neither is the extent of the result.
    """
    if total_repeat_length is None and not isinstance(a, Traced) and not isinstance(repeats, Traced):
        return np.repeat(a, repeats, axis)
    x = as_operand(a)
    if axis is None or not typeof(x).shape:
        x, axis = ravel(x), 0 if axis is None else axis
    axis = normalize_axis(axis, typeof(x).ndim)
    shape = typeof(x).shape
    if total_repeat_length is not None:
        ends = np.cumsum(stretched(as_operand(repeats), (shape[axis],)))
        places = np.searchsorted(ends, here(np.arange(total_repeat_length)), side="right")
        return np.take(x, np.minimum(places, shape[axis] - 1), axis=axis)
    counts = concrete_value(repeats, "The number of repetitions", "Give total_repeat_length, or a plain array.")
    if isinstance(repeats, (list, tuple)) and not counts.size:
        counts = counts.astype(INT)  # an empty list says nothing of its type
    if counts.size != 1:
        return np.take(x, here(np.repeat(np.arange(shape[axis]), counts)), axis=axis)
    times = index(counts.reshape(()))
    if times < 0:
        raise ValueError("repeats may not contain negative values.")
    apart = with_shape(x, (*shape[: axis + 1], 1, *shape[axis + 1 :]))
    repeated = stretched(apart, (*shape[: axis + 1], times, *shape[axis + 1 :]))
    return with_shape(repeated, (*shape[:axis], shape[axis] * times, *shape[axis + 1 :]))


def resize(a: Any, new_shape: Any) -> Any:
    """numpy.resize: the elements over and over."""
    x = ravel(a)
    shape = tuple(new_shape) if isinstance(new_shape, (tuple, list)) else (new_shape,)
    if any(extent < 0 for extent in shape):
        raise ValueError("all elements of `new_shape` must be non-negative")
    size = prod(shape)
    if not size or not typeof(x).size:
        return np.zeros_like(x, shape=shape)
    return with_shape(np.take(x, here(np.arange(size) % typeof(x).size)), shape)


# ---- inserted and deleted


def insert(arr: Any, obj: Any, values: Any, axis: Any = None) -> Any:
    """numpy.insert; the places must be known while tracing."""
    x, axis = _flat_unless(arr, axis)
    extent = typeof(x).shape[axis]
    places = _known_places(obj, "The place to insert at")
    new = converted(values, typeof(x).dtype)
    new = with_shape(new, (1,) * (typeof(x).ndim - typeof(new).ndim) + typeof(new).shape)
    if not isinstance(places, slice) and places.dtype != bool and places.size == 1:
        new = moveaxis(new, 0, axis) if places.ndim == 0 else new
        count, places = typeof(new).shape[axis], int(places.reshape(()))
    else:
        count = np.insert(np.arange(extent), places, 0).size - extent
        if not count and not typeof(new).size:  # NumPy does not mind how often there is nothing
            new = with_shape(new, typeof(new).shape[-typeof(x).ndim :])
    new = stretched(new, tuple(count if i == axis else n for i, n in enumerate(typeof(x).shape)))
    order = np.insert(np.arange(extent), places, np.arange(extent, extent + count))
    return np.take(_structural.concatenate(x, new, axis=axis), here(order), axis=axis)


def delete(arr: Any, obj: Any, axis: Any = None) -> Any:
    """numpy.delete; the places must be known while tracing."""
    x, axis = _flat_unless(arr, axis)
    places = _known_places(obj, "The place to delete")
    return np.take(x, here(np.delete(np.arange(typeof(x).shape[axis]), places)), axis=axis)


def _known_places(obj: Any, what: str) -> Any:
    """A slice, or integers or booleans as an array; an empty list is one of integers, as in NumPy."""
    if isinstance(obj, slice):
        return obj
    places = concrete_value(obj, what, "Pass a plain integer.")
    return places.astype(int) if isinstance(obj, (list, tuple)) and not places.size else places


def _flat_unless(arr: Any, axis: Any) -> tuple[Any, int]:
    """The array and an axis of it; flattened if axis is None."""
    x = as_operand(arr)
    return (ravel(x), 0) if axis is None else (x, normalize_axis(axis, typeof(x).ndim))


METHODS.update(repeat=repeat)
