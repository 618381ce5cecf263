"""Shapes, the order of axes, and the order of elements along them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from operator import index
from typing import Any

import numpy as np

from ..core.cells import is_view, view_of
from ..core.devices import here
from ..core.trace import typeof
from ..errors import ShapeMismatchError, UnsupportedArgumentError, UnsupportedDtypeError
from ..primitives import foundation as _foundation
from ..primitives import structural as _structural
from ..primitives.elementwise import bits, remainder, subtract
from ..primitives.foundation import broadcast_shapes
from ..primitives.structural import concatenate, slice_axis
from .common import as_operand, known_value, normalize_axes, normalize_axis, with_shape
from .protocols import METHODS, PROPERTIES
from .reducing import axes_of_ufunc

Shape = tuple[int, ...]

# ---- shapes


def reshape(a: Any, /, shape: Any, order: str = "C", *, copy: Any = None) -> Any:
    """numpy.reshape.

    The result counts as a view of the array, as it is in NumPy for an array in row-major order.
    """
    x = as_operand(a)
    y, restore = _reshaped(x, shape, order)
    return y if copy else view_of(x, y, restore=restore)


def _reshaped(x: Any, target: Any, order: str) -> tuple[Any, Callable[[Any], Any] | None]:
    """An array in another shape; and the way back, if NumPy always makes a view of it."""
    if order not in ("C", "F", "A"):
        raise ValueError(f"order must be one of 'C', 'F', or 'A' (got {order!r})")
    shape, target = typeof(x).shape, _resolved_shape(target, typeof(x).size)
    if order == "F":
        reshaped, always = _reshaped_backwards, _only_splits(shape[::-1], target[::-1])
    else:
        reshaped, always = _foundation.reshape, _only_splits(shape, target)
    return reshaped(x, shape=target), partial(reshaped, shape=shape) if always else None


def _reshaped_backwards(x: Any, shape: Shape) -> Any:
    """With the elements in column-major order."""
    flipped = _structural.transpose(x, permutation=_backwards(typeof(x).ndim))
    return _structural.transpose(with_shape(flipped, shape[::-1]), permutation=_backwards(len(shape)))


def _only_splits(shape: Shape, target: Shape) -> bool:
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


def _resolved_shape(shape: Any, size: int) -> Shape:
    """A shape with its -1 worked out."""
    extents = tuple(map(index, shape)) if isinstance(shape, (tuple, list, np.ndarray)) else (index(shape),)
    unknown = extents.count(-1)
    if unknown > 1:
        raise ValueError("can only specify one unknown dimension")
    known = 1
    for extent in extents:
        known *= extent if extent != -1 else 1
    if known != size and not (unknown and known and size % known == 0):
        raise ShapeMismatchError(
            f"cannot reshape array of size {size} into shape {extents}",
            "A reshaped array has the same elements.",
            "Check the shape; one extent may be -1, and is then worked out.",
        )
    return tuple(size // known if extent == -1 else extent for extent in extents)


def _backwards(ndim: int) -> Shape:
    return tuple(range(ndim))[::-1]


def ravel(a: Any, order: str = "C") -> Any:
    """numpy.ravel."""
    x = as_operand(a)
    flat, restore = _reshaped(x, (typeof(x).size,), "C" if order == "K" else order)
    return view_of(x, flat, restore=None if is_view(x) else restore)  # NumPy copies what has gaps


def squeeze(a: Any, axis: Any = None) -> Any:
    """numpy.squeeze."""
    x = as_operand(a)
    shape = typeof(x).shape
    axes = tuple(i for i, n in enumerate(shape) if n == 1) if axis is None else axes_of_ufunc(axis, len(shape))
    if any(shape[i] != 1 for i in axes):
        raise ValueError("cannot select an axis to squeeze out which has size not equal to one")
    return reshape(x, tuple(n for i, n in enumerate(shape) if i not in axes))


def expand_dims(a: Any, axis: Any) -> Any:
    """numpy.expand_dims."""
    x = as_operand(a)
    rest = iter(typeof(x).shape)
    axes = tuple(axis) if isinstance(axis, (tuple, list)) else (axis,)
    ndim = typeof(x).ndim + len(axes)
    axes = normalize_axes(axes, ndim)
    return reshape(x, tuple(1 if i in axes else next(rest) for i in range(ndim)))


def broadcast_to(array: Any, shape: Any, subok: bool = False) -> Any:
    """numpy.broadcast_to."""
    x = as_operand(array)
    target = tuple(map(index, shape)) if isinstance(shape, (tuple, list, np.ndarray)) else (index(shape),)
    return view_of(x, _foundation.broadcast_to(x, shape=target))


def broadcast_arrays(*args: Any, subok: bool = False) -> tuple[Any, ...]:
    """numpy.broadcast_arrays."""
    operands = [as_operand(x) for x in args]
    shape = broadcast_shapes(*(typeof(x).shape for x in operands)) if operands else ()
    return tuple(broadcast_to(x, shape) for x in operands)


def atleast_1d(*arys: Any) -> Any:
    """numpy.atleast_1d."""
    return _at_least(1, lambda shape: (1,), arys)


def atleast_2d(*arys: Any) -> Any:
    """numpy.atleast_2d."""
    return _at_least(2, lambda shape: (1,) * (2 - len(shape)) + shape, arys)


def atleast_3d(*arys: Any) -> Any:
    """numpy.atleast_3d."""
    return _at_least(3, lambda shape: (*shape, 1) if len(shape) == 2 else (1, *(shape or (1,)), 1), arys)


def _at_least(ndim: int, widened: Callable[[Shape], Shape], arrays: Sequence[Any]) -> Any:
    operands = [as_operand(x) for x in arrays]
    wide = [x if typeof(x).ndim >= ndim else reshape(x, widened(typeof(x).shape)) for x in operands]
    return wide[0] if len(wide) == 1 else tuple(wide)


def size(a: Any, axis: Any = None) -> int:
    """numpy.size."""
    aval = typeof(as_operand(a))
    extents = [aval.shape[i] for i in normalize_axes(axis, aval.ndim)]
    return int(np.prod(extents, dtype=int))


def shape(a: Any) -> Shape:
    """numpy.shape."""
    return typeof(as_operand(a)).shape


def ndim(a: Any) -> int:
    """numpy.ndim."""
    return typeof(as_operand(a)).ndim


# ---- the order of axes


def transpose(a: Any, axes: Any = None) -> Any:
    """numpy.transpose."""
    x = as_operand(a)
    count = typeof(x).ndim
    if axes is None:
        backwards = partial(_structural.transpose, permutation=_backwards(count))
        return view_of(x, backwards(x), restore=backwards)
    given = tuple(axes) if isinstance(axes, (tuple, list, np.ndarray)) else (axes,)
    if len(given) != count:
        raise ValueError("axes don't match array")
    order = tuple(normalize_axis(index(axis), count) for axis in given)
    if len(set(order)) != count:
        raise ValueError("repeated axis in transpose")
    inverse = tuple(sorted(range(count), key=order.__getitem__))
    restore = partial(_structural.transpose, permutation=inverse)
    return view_of(x, _structural.transpose(x, permutation=order), restore=restore)


def permute_dims(a: Any, axes: Any = None) -> Any:
    """numpy.permute_dims."""
    return transpose(a, axes)


def matrix_transpose(x: Any, /) -> Any:
    """numpy.matrix_transpose: the last two axes exchanged."""
    if typeof(x).ndim < 2:
        raise ValueError(f"Input array must be at least 2-dimensional, but it is {typeof(x).ndim}")
    return swapaxes(x, -1, -2)


def swapaxes(a: Any, axis1: int, axis2: int) -> Any:
    """numpy.swapaxes."""
    order = list(range(typeof(a).ndim))
    i, j = (normalize_axis(axis, len(order)) for axis in (axis1, axis2))
    order[i], order[j] = order[j], order[i]
    return transpose(a, order)


def moveaxis(a: Any, source: Any, destination: Any) -> Any:
    """numpy.moveaxis."""
    count = typeof(a).ndim
    sources, targets = normalize_axes(source, count), normalize_axes(destination, count)
    if len(sources) != len(targets):
        raise ValueError("`source` and `destination` arguments must have the same number of elements")
    order = [axis for axis in range(count) if axis not in sources]
    for target, axis in sorted(zip(targets, sources)):
        order.insert(target, axis)
    return transpose(a, order)


def rollaxis(a: Any, axis: int, start: int = 0) -> Any:
    """numpy.rollaxis."""
    count = typeof(a).ndim
    axis = normalize_axis(axis, count)
    if not -count <= start <= count:
        raise np.exceptions.AxisError(f"'start' arg requires {-count} <= start < {count + 1}, but it is {start}")
    start = start + count if start < 0 else start
    return moveaxis(a, axis, start - 1 if axis < start else start)


# ---- the order of elements


def flip(m: Any, axis: Any = None) -> Any:
    """numpy.flip."""
    x = as_operand(m)
    reverse = partial(_structural.reverse, axes=normalize_axes(axis, typeof(x).ndim))
    return view_of(x, reverse(x), restore=reverse)


def flipud(m: Any) -> Any:
    """numpy.flipud."""
    if typeof(m).ndim < 1:
        raise ValueError("Input must be >= 1-d.")
    return flip(m, 0)


def fliplr(m: Any) -> Any:
    """numpy.fliplr."""
    if typeof(m).ndim < 2:
        raise ValueError("Input must be >= 2-d.")
    return flip(m, 1)


def rot90(m: Any, k: int = 1, axes: Any = (0, 1)) -> Any:
    """numpy.rot90."""
    if len(axes) != 2:
        raise ValueError("len(axes) must be 2.")
    first, second = (normalize_axis(axis, typeof(m).ndim) for axis in axes)
    if first == second:
        raise ValueError("Axes must be different.")
    turns = k % 4
    if turns == 0:
        return flip(m, ())
    if turns == 2:
        return flip(m, (first, second))
    return swapaxes(flip(m, second), first, second) if turns == 1 else flip(swapaxes(m, first, second), second)


def roll(a: Any, shift: Any, axis: Any = None) -> Any:
    """numpy.roll; shifts may be traced."""
    x = as_operand(a)
    if axis is None:
        return with_shape(roll(ravel(x), shift, 0), typeof(x).shape)
    if typeof(as_operand(shift)).ndim > 1:
        raise ValueError("'shift' and 'axis' should be scalars or 1D sequences")
    shifts = [shift[i] for i in range(typeof(shift).shape[0])] if typeof(as_operand(shift)).ndim else [shift]
    axes = axis if isinstance(axis, (tuple, list)) else (axis,)
    count = broadcast_shapes((len(shifts),), (len(axes),))[0]
    for i in range(count):
        x = _rolled(x, shifts[i % len(shifts)], normalize_axis(axes[i % len(axes)], typeof(x).ndim))
    return x


def _rolled(x: Any, shift: Any, axis: int) -> Any:
    extent = typeof(x).shape[axis]
    known = known_value(shift)
    if known is None:
        return np.take(x, remainder(subtract(here(np.arange(extent)), shift), max(extent, 1)), axis=axis)
    cut = -index(known[()]) % extent if extent else 0
    if not cut:
        return x
    return concatenate(slice_axis(x, cut, extent, axis=axis), slice_axis(x, 0, cut, axis=axis), axis=axis)


# ---- methods and properties


def _reshape_method(x: Any, *shape: Any, order: str = "C", copy: Any = None) -> Any:
    """ndarray.reshape, which takes the extents one by one as well."""
    return reshape(x, shape[0] if len(shape) == 1 else shape, order, copy=copy)


def _transpose_method(x: Any, *axes: Any) -> Any:
    """ndarray.transpose, which takes the axes one by one as well."""
    return transpose(x, axes[0] if len(axes) == 1 and not isinstance(axes[0], int) else axes or None)


def _flatten_method(x: Any, order: str = "C") -> Any:
    """ndarray.flatten: a copy always."""
    return ravel(x, order).copy()


def _view(x: Any, dtype: Any = None, *shape: int) -> Any:
    """ndarray.view: the same bits as numbers of another dtype; the last axis becomes longer or shorter with it."""
    if dtype is None:
        return x[...]
    if shape or isinstance(dtype, int):
        raise UnsupportedArgumentError(
            f"`.view` of an array of type {x.aval} was called with a shape.",
            "Arrays of NumPy take a dtype there: it is their bits that are looked at in another way.",
            f"Write x.reshape({', '.join(map(str, (dtype, *shape)))}).",
        )
    want, shape = np.dtype(dtype), x.shape
    if not {x.dtype.kind, want.kind} <= set("iuf") or (not shape and x.dtype.itemsize != want.itemsize):
        raise UnsupportedDtypeError(
            f"The bits of {x.aval} were to be read as {want.name}.",
            "Traced arrays of integers and floats can be read so, along the last axis.",
            "Convert numbers with `.astype(...)`; take the real and imaginary parts of complex ones.",
        )
    return view_of(x, _read_as(x, want), restore=lambda y: _read_as(y, x.dtype))


def _read_as(x: Any, dtype: np.dtype[Any]) -> Any:
    shape, have, want = typeof(x).shape, typeof(x).dtype.itemsize, dtype.itemsize
    if have == want:
        return bits(x, dtype=dtype)
    size = shape[-1] * have
    if size % want:
        raise ValueError(
            "When changing to a larger dtype, its size must be a divisor of the total size in bytes of the last axis "
            "of the array."
        )
    if have < want:
        x = with_shape(x, (*shape[:-1], size // want, want // have))
    return with_shape(bits(x, dtype=dtype), (*shape[:-1], size // want))


METHODS.update(
    reshape=_reshape_method, transpose=_transpose_method, flatten=_flatten_method, ravel=ravel, squeeze=squeeze,
    swapaxes=swapaxes, view=_view,
)  # fmt: skip
PROPERTIES.update(T=transpose, mT=matrix_transpose)
