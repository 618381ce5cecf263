"""Shapes and the order of elements: reshape, transpose, join, split, repeat, pad, roll."""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np

from ..core.avals import typeof
from ..core.tracer import Tracer, view_of
from ..primitives import foundation as _foundation
from ..primitives import structural as _structural
from ..primitives.foundation import broadcast_shapes
from ..primitives.structural import slice_axis
from .common import as_operand, cast, concrete_value, normalize_axes, normalize_axis, stretched, with_shape
from .protocols import METHODS, PROPERTIES


def _full_shape(shape: Any, size: int) -> tuple[int, ...]:
    """A shape with its -1 worked out."""
    shape = tuple(int(n) for n in shape) if isinstance(shape, (tuple, list, np.ndarray)) else (int(shape),)
    if shape.count(-1) > 1:
        raise ValueError("can only specify one unknown dimension")
    if -1 not in shape:
        return shape
    known = int(np.prod([n for n in shape if n != -1], dtype=int))
    if known == 0 or size % known:
        raise ValueError(f"cannot reshape array of size {size} into shape {shape}")
    return tuple(size // known if n == -1 else n for n in shape)


def reshape(x: Any, /, shape: Any, order: str = "C", *, copy: Any = None) -> Any:
    """numpy.reshape; order "C" or "F"."""
    x = as_operand(x)
    target = _full_shape(shape, typeof(x).size)
    if order == "F":
        return transpose(with_shape(transpose(x), target[::-1]))
    shape = typeof(x).shape
    restore = (lambda y: _foundation.reshape(y, shape=shape)) if _only_splits(shape, target) else None
    return view_of(x, _foundation.reshape(x, shape=target), restore=restore)


def _only_splits(shape: tuple[int, ...], target: tuple[int, ...]) -> bool:
    """Whether a reshape splits axes and merges none, so that NumPy always makes a view."""
    if 0 in shape:
        return True
    rest = [n for n in target if n != 1]
    for extent in shape:
        while extent > 1 and rest and extent % rest[0] == 0:
            extent //= rest.pop(0)
        if extent > 1:
            return False
    return not rest


def ravel(x: Any, order: str = "C") -> Any:
    """numpy.ravel."""
    return reshape(x, (-1,) if typeof(x).size else (0,), order)


def transpose(x: Any, axes: Any = None) -> Any:
    """numpy.transpose."""
    x = as_operand(x)
    ndim = typeof(x).ndim
    order = tuple(range(ndim))[::-1] if axes is None else tuple(normalize_axis(a, ndim) for a in axes)
    if sorted(order) != list(range(ndim)):
        raise ValueError("axes don't match array")
    inverse = tuple(sorted(range(ndim), key=order.__getitem__))
    restore = partial(_structural.transpose, permutation=inverse)
    return view_of(x, _structural.transpose(x, permutation=order), restore=restore)


def permute_dims(x: Any, axes: Any = None) -> Any:
    """numpy.permute_dims."""
    return transpose(x, axes)


def matrix_transpose(x: Any) -> Any:
    """numpy.matrix_transpose: the last two axes exchanged."""
    return swapaxes(x, -1, -2)


def swapaxes(x: Any, axis1: int, axis2: int) -> Any:
    """numpy.swapaxes."""
    order = list(range(typeof(x).ndim))
    i, j = normalize_axis(axis1, len(order)), normalize_axis(axis2, len(order))
    order[i], order[j] = order[j], order[i]
    return transpose(x, order)


def moveaxis(x: Any, source: Any, destination: Any) -> Any:
    """numpy.moveaxis."""
    ndim = typeof(x).ndim
    sources, targets = normalize_axes(source, ndim), normalize_axes(destination, ndim)
    if len(sources) != len(targets):
        raise ValueError("`source` and `destination` arguments must have the same number of elements")
    order = [axis for axis in range(ndim) if axis not in sources]
    for target, axis in sorted(zip(targets, sources)):
        order.insert(target, axis)
    return transpose(x, order)


def rollaxis(x: Any, axis: int, start: int = 0) -> Any:
    """numpy.rollaxis."""
    ndim = typeof(x).ndim
    axis = normalize_axis(axis, ndim)
    start = start + ndim if start < 0 else start
    return moveaxis(x, axis, start - 1 if axis < start else start)


def squeeze(x: Any, axis: Any = None) -> Any:
    """numpy.squeeze."""
    shape = typeof(x).shape
    axes = tuple(i for i, n in enumerate(shape) if n == 1) if axis is None else normalize_axes(axis, len(shape))
    if [a for a in axes if shape[a] != 1]:
        raise ValueError("cannot select an axis to squeeze out which has size not equal to one")
    return reshape(x, tuple(n for i, n in enumerate(shape) if i not in axes))


def expand_dims(x: Any, axis: Any) -> Any:
    """numpy.expand_dims."""
    shape = list(typeof(x).shape)
    axes = axis if isinstance(axis, (tuple, list)) else (axis,)
    for a in sorted(normalize_axes(tuple(axes), len(shape) + len(axes))):
        shape.insert(a, 1)
    return reshape(x, tuple(shape))


def broadcast_to(x: Any, shape: Any, subok: bool = False) -> Any:
    """numpy.broadcast_to."""
    x = as_operand(x)
    target = tuple(shape) if isinstance(shape, (tuple, list)) else (shape,)
    return view_of(x, _foundation.broadcast_to(x, shape=target))


def broadcast_arrays(*xs: Any, subok: bool = False) -> tuple[Any, ...]:
    """numpy.broadcast_arrays."""
    operands = [as_operand(x) for x in xs]
    shape = broadcast_shapes(*(typeof(x).shape for x in operands))
    return tuple(stretched(x, shape) for x in operands)


def _at_least(ndim: int, place: Any) -> Any:
    def function(*xs: Any) -> Any:
        results: list[Any] = []
        for x in xs:
            operand = as_operand(x)
            shape = typeof(operand).shape
            results.append(operand if len(shape) >= ndim else reshape(operand, place(shape)))
        return results[0] if len(results) == 1 else tuple(results)

    return function


def atleast_1d(*xs: Any) -> Any:
    """numpy.atleast_1d."""
    return _at_least(1, lambda shape: (1,))(*xs)


def atleast_2d(*xs: Any) -> Any:
    """numpy.atleast_2d."""
    return _at_least(2, lambda shape: (1,) * (2 - len(shape)) + shape)(*xs)


def atleast_3d(*xs: Any) -> Any:
    """numpy.atleast_3d."""
    return _at_least(3, lambda shape: {0: (1, 1, 1), 1: (1, *shape, 1), 2: (*shape, 1)}[len(shape)])(*xs)


def concatenate(
    arrays: Any, /, axis: Any = 0, out: None = None, *, dtype: Any = None, casting: str = "same_kind"
) -> Any:
    """numpy.concatenate."""
    operands = [as_operand(x) for x in arrays]
    if not operands:
        raise ValueError("need at least one array to concatenate")
    if axis is None:
        operands, axis = [ravel(x) for x in operands], 0
    if [x for x in operands if not typeof(x).shape]:
        raise ValueError("zero-dimensional arrays cannot be concatenated")
    axis = normalize_axis(axis, typeof(operands[0]).ndim)
    return cast(_structural.concatenate(*operands, axis=axis), dtype)


concat = concatenate


def stack(arrays: Any, axis: int = 0, out: None = None, *, dtype: Any = None, casting: str = "same_kind") -> Any:
    """numpy.stack."""
    operands = [as_operand(x) for x in arrays]
    if not operands:
        raise ValueError("need at least one array to stack")
    if len({typeof(x).shape for x in operands}) != 1:
        raise ValueError("all input arrays must have the same shape")
    axis = normalize_axis(axis, typeof(operands[0]).ndim + 1)
    return concatenate([expand_dims(x, axis) for x in operands], axis, dtype=dtype)


def _list_of(result: Any) -> Sequence[Any]:
    return result if isinstance(result, tuple) else (result,)


def hstack(arrays: Any, *, dtype: Any = None, casting: str = "same_kind") -> Any:
    """numpy.hstack."""
    operands = _list_of(atleast_1d(*arrays))
    return concatenate(operands, 0 if typeof(operands[0]).ndim == 1 else 1, dtype=dtype)


def vstack(arrays: Any, *, dtype: Any = None, casting: str = "same_kind") -> Any:
    """numpy.vstack."""
    return concatenate(_list_of(atleast_2d(*arrays)), 0, dtype=dtype)


def dstack(arrays: Any) -> Any:
    """numpy.dstack."""
    return concatenate(_list_of(atleast_3d(*arrays)), 2)


def column_stack(arrays: Any) -> Any:
    """numpy.column_stack."""
    operands = [as_operand(x) for x in arrays]
    return concatenate([x if typeof(x).ndim == 2 else reshape(x, (-1, 1)) for x in operands], 1)


def block(arrays: Any) -> Any:
    """numpy.block."""

    def depth(nest: Any) -> int:
        return 1 + depth(nest[0]) if isinstance(nest, list) else 0

    def join(nest: Any, level: int, ndim: int) -> Any:
        if not isinstance(nest, list):
            operand = as_operand(nest)
            shape = typeof(operand).shape
            return reshape(operand, (1,) * builtins.max(ndim - len(shape), 0) + shape)
        return concatenate([join(item, level - 1, ndim) for item in nest], -level)

    levels = depth(arrays)
    flat = arrays
    while isinstance(flat, list):
        flat = flat[0]
    return join(arrays, levels, builtins.max(levels, typeof(as_operand(flat)).ndim))


def array_split(x: Any, indices_or_sections: Any, axis: int = 0) -> list[Any]:
    """numpy.array_split."""
    x = as_operand(x)
    extent = typeof(x).shape[normalize_axis(axis, typeof(x).ndim)]
    if isinstance(indices_or_sections, (int, np.integer)):
        count = int(indices_or_sections)
        sizes = [extent // count + (i < extent % count) for i in range(count)]
        cuts = [0, *(int(c) for c in np.cumsum(sizes))]
    else:
        cuts = [0, *(slice(None, int(i)).indices(extent)[1] for i in indices_or_sections), extent]
    before = (slice(None),) * normalize_axis(axis, typeof(x).ndim)
    return [x[(*before, slice(a, builtins.max(a, b)))] for a, b in pairwise(cuts)]


def split(x: Any, indices_or_sections: Any, axis: int = 0) -> list[Any]:
    """numpy.split."""
    if isinstance(indices_or_sections, (int, np.integer)) and typeof(x).shape[axis] % int(indices_or_sections):
        raise ValueError("array split does not result in an equal division")
    return array_split(x, indices_or_sections, axis)


def hsplit(x: Any, indices_or_sections: Any) -> list[Any]:
    """numpy.hsplit."""
    return split(x, indices_or_sections, 0 if typeof(x).ndim == 1 else 1)


def vsplit(x: Any, indices_or_sections: Any) -> list[Any]:
    """numpy.vsplit."""
    return split(x, indices_or_sections, 0)


def dsplit(x: Any, indices_or_sections: Any) -> list[Any]:
    """numpy.dsplit."""
    return split(x, indices_or_sections, 2)


def unstack(x: Any, /, *, axis: int = 0) -> tuple[Any, ...]:
    """numpy.unstack."""
    return tuple(squeeze(part, axis) for part in split(x, typeof(x).shape[axis], axis))


def tile(x: Any, reps: Any) -> Any:
    """numpy.tile."""
    x = as_operand(x)
    counts = tuple(reps) if isinstance(reps, (tuple, list, np.ndarray)) else (reps,)
    shape = typeof(x).shape
    ndim = builtins.max(len(shape), len(counts))
    shape, counts = (1,) * (ndim - len(shape)) + shape, (1,) * (ndim - len(counts)) + counts
    spread = tuple(n for pair in zip((1,) * ndim, shape) for n in pair)
    repeated = tuple(n for pair in zip(counts, shape) for n in pair)
    return reshape(stretched(with_shape(x, spread), repeated), tuple(c * n for c, n in zip(counts, shape)))


def repeat(x: Any, repeats: Any, axis: Any = None) -> Any:
    """numpy.repeat; the numbers of repetitions must be known while tracing."""
    x = as_operand(x)
    if axis is None:
        x, axis = ravel(x), 0
    axis = normalize_axis(axis, typeof(x).ndim)
    counts = concrete_value(repeats, "The number of repetitions", "Pass it as a plain integer or array.")
    shape = typeof(x).shape
    if counts.size == 1:
        count = int(counts.reshape(()))
        wide = (*shape[: axis + 1], count, *shape[axis + 1 :])
        target = (*shape[:axis], shape[axis] * count, *shape[axis + 1 :])
        return reshape(stretched(with_shape(x, (*shape[: axis + 1], 1, *shape[axis + 1 :])), wide), target)
    return np.take(x, np.repeat(np.arange(shape[axis]), counts), axis=axis)


def flip(x: Any, axis: Any = None) -> Any:
    """numpy.flip."""
    x = as_operand(x)
    flipped = partial(_structural.reverse, axes=normalize_axes(axis, typeof(x).ndim))
    return view_of(x, flipped(x), restore=flipped)


def flipud(x: Any) -> Any:
    """numpy.flipud."""
    return flip(x, 0)


def fliplr(x: Any) -> Any:
    """numpy.fliplr."""
    return flip(x, 1)


def rot90(x: Any, k: int = 1, axes: Any = (0, 1)) -> Any:
    """numpy.rot90."""
    first, second = (normalize_axis(a, typeof(x).ndim) for a in axes)
    k %= 4
    if k == 0:
        return x
    if k == 2:
        return flip(flip(x, first), second)
    return swapaxes(flip(x, second), first, second) if k == 1 else flip(swapaxes(x, first, second), second)


def roll(x: Any, shift: Any, axis: Any = None) -> Any:
    """numpy.roll; shifts must be known while tracing."""
    x = as_operand(x)
    if axis is None:
        return reshape(roll(ravel(x), np.sum(shift), 0), typeof(x).shape)
    shifts, axes = np.broadcast_arrays(concrete_value(shift, "The shift", "Pass a plain integer."), np.asarray(axis))
    for count, along in zip(shifts.ravel().tolist(), axes.ravel().tolist()):
        extent = typeof(x).shape[along]
        cut = -count % extent if extent else 0
        if cut:
            x = concatenate([slice_axis(x, cut, extent, axis=along), slice_axis(x, 0, cut, axis=along)], along)
    return x


def append(x: Any, values: Any, axis: Any = None) -> Any:
    """numpy.append."""
    return concatenate([x, values], axis)


def pad(x: Any, pad_width: Any, mode: str = "constant", **options: Any) -> Any:
    """numpy.pad; modes constant, edge, reflect, symmetric, wrap and empty."""
    x = as_operand(x)
    ndim = typeof(x).ndim
    widths = np.broadcast_to(np.asarray(pad_width, dtype=int), (ndim, 2)).tolist()
    if mode in ("constant", "empty"):
        return _pad_constant(x, widths, options.pop("constant_values", 0))
    if mode not in ("edge", "reflect", "symmetric", "wrap"):
        raise ValueError(f"mode {mode!r} of pad is not supported for traced arrays")
    for axis, (low, high) in enumerate(widths):
        positions = np.pad(np.arange(typeof(x).shape[axis]), (low, high), mode=mode, **options)  # type: ignore[call-overload]
        if low or high:
            x = np.take(x, positions, axis=axis)
    return x


def _pad_constant(x: Any, widths: list[list[int]], values: Any) -> Any:
    dtype = typeof(x).dtype
    if isinstance(values, (Tracer, int, float, complex)) or np.ndim(values) == 0:
        padding = tuple((low, high, 0) for low, high in widths)
        return _structural.pad(x, cast(values, dtype), padding=padding)
    for axis, (low_value, high_value) in enumerate(np.broadcast_to(np.asarray(values), (len(widths), 2))):
        for side, value in enumerate((low_value, high_value)):
            width = widths[axis][side]
            here = (width, 0, 0) if side == 0 else (0, width, 0)
            padding = tuple(here if i == axis else (0, 0, 0) for i in range(len(widths)))
            x = _structural.pad(x, cast(value, dtype), padding=padding)
    return x


def diff(x: Any, n: int = 1, axis: int = -1, prepend: Any = None, append: Any = None) -> Any:
    """numpy.diff."""
    x = as_operand(x)
    axis = normalize_axis(axis, typeof(x).ndim)
    parts = [part if typeof(part).ndim else stretched(as_operand(part), _unit(x, axis)) for part in
             (prepend, x, append) if part is not None]  # fmt: skip
    x = concatenate(parts, axis) if len(parts) > 1 else x
    for _ in range(n):
        extent = typeof(x).shape[axis]
        after, before = slice_axis(x, 1, extent, axis=axis), slice_axis(x, 0, extent - 1, axis=axis)
        x = np.not_equal(after, before) if typeof(x).dtype == bool else np.subtract(after, before)
    return x


def _unit(x: Any, axis: int) -> tuple[int, ...]:
    return tuple(1 if i == axis else n for i, n in enumerate(typeof(x).shape))


def trapezoid(y: Any, x: Any = None, dx: Any = 1.0, axis: int = -1) -> Any:
    """numpy.trapezoid."""
    y = as_operand(y)
    axis = normalize_axis(axis, typeof(y).ndim)
    extent = typeof(y).shape[axis]
    if x is not None:
        dx = diff(as_operand(x), axis=axis if typeof(x).ndim > 1 else 0)
        if typeof(dx).ndim == 1:
            dx = with_shape(dx, tuple(extent - 1 if i == axis else 1 for i in range(typeof(y).ndim)))
    pairs = slice_axis(y, 1, extent, axis=axis) + slice_axis(y, 0, extent - 1, axis=axis)
    return np.sum(dx * pairs / 2.0, axis=axis)


def size(x: Any, axis: Any = None) -> int:
    """numpy.size."""
    aval = typeof(as_operand(x))
    return aval.size if axis is None else int(np.prod([aval.shape[a] for a in normalize_axes(axis, aval.ndim)]))


def shape(x: Any) -> tuple[int, ...]:
    """numpy.shape."""
    return typeof(as_operand(x)).shape


def ndim(x: Any) -> int:
    """numpy.ndim."""
    return typeof(as_operand(x)).ndim


def _method_reshape(x: Any, *shape: Any, order: str = "C", copy: Any = None) -> Any:
    return reshape(x, shape[0] if len(shape) == 1 else shape, order)


def _method_transpose(x: Any, *axes: Any) -> Any:
    if not axes or axes == (None,):
        return transpose(x)
    return transpose(x, axes[0] if isinstance(axes[0], (tuple, list)) else axes)


def _method_flatten(x: Any, order: str = "C") -> Any:
    return ravel(x, order).copy()


METHODS.update(
    reshape=_method_reshape, transpose=_method_transpose, flatten=_method_flatten, ravel=ravel, squeeze=squeeze,
    swapaxes=swapaxes, repeat=repeat,
)  # fmt: skip
PROPERTIES.update(T=transpose, mT=matrix_transpose)
