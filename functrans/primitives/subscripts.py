"""What `x[index]` and `x[index] = value` mean: every form of NumPy's indexing, in terms of primitives."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..core.avals import BOOL, PYTHON_SCALARS, ShapedArray, as_supported_array, typeof
from ..core.trace import Traced, current_trace
from ..core.tracer import Tracer, operators
from ..errors import (
    ConcretizationError,
    DtypeMismatchError,
    InvalidIndexError,
    ShapeMismatchError,
    TracedMaskError,
    TracerConversionError,
)
from .dynamic_slice import update_slice
from .foundation import Shape, broadcast_shapes, broadcast_to, convert, reshape
from .indexing import INT, Indexing, gather, out_of_bounds_error, scatter_set
from .selection import select
from .structural import concatenate, reverse
from .structural import slice as static_slice


class Region(NamedTuple):
    """What integers, slices, None and Ellipsis select: a slice of each axis, and a new shape.

    Attributes:
        starts, limits, strides: for each axis; strides are positive.
        flipped: the axes that are walked backwards.
        shape: what the region looks like, without the axes of integers and with new ones.
        axes: for each axis of the array its number in `shape`, or None if an integer removed it.
        is_whole: whether nothing is left out and no axis is flipped.
    """

    starts: Shape
    limits: Shape
    strides: Shape
    flipped: Shape
    shape: Shape
    axes: tuple[int | None, ...]
    is_whole: bool

    def read(self, x: Any) -> Any:
        """The region of an array, in its new shape."""
        if not self.is_whole:
            x = static_slice(x, starts=self.starts, limits=self.limits, strides=self.strides)
            if self.flipped:
                x = reverse(x, axes=self.flipped)
        return x if typeof(x).shape == self.shape else reshape(x, shape=self.shape)

    def write(self, x: Any, value: Any) -> Any:
        """An array with its region overwritten by a value of the same dtype, which broadcasts to the new shape."""
        shape = typeof(value).shape
        if shape:
            shape = (1,) * (len(self.shape) - len(shape)) + shape
            aligned = tuple(1 if axis is None else shape[axis] for axis in self.axes)
            while aligned and aligned[0] == 1 and len(aligned) > typeof(value).ndim:
                aligned = aligned[1:]
            if typeof(value).shape != aligned:
                value = reshape(value, shape=aligned)
            missing = len(self.axes) - len(aligned)
            flipped = tuple(a - missing for a in self.flipped if a >= missing and aligned[a - missing] > 1)
            if flipped:
                value = reverse(value, axes=flipped)
        return update_slice(x, value, starts=self.starts, limits=self.limits, strides=self.strides)


class Subscript(NamedTuple):
    """An index of an array: first a region of it, then index arrays along some axes of the region.

    Attributes:
        indices: the index arrays, none for basic indexing; `spec` says what they mean.
        is_view: whether NumPy's result would share memory with the array.
    """

    region: Region
    indices: Sequence[Any] = ()
    spec: Indexing | None = None
    is_view: bool = True


# ---- the two operators


def getitem(x: Any, index: Any) -> tuple[Any, bool]:
    """`x[index]`, and whether it would be a view in NumPy."""
    subscript = parse(typeof(x).shape, index)
    result = read(x, subscript)
    return (result.copy() if result is x and isinstance(x, Tracer) else result), subscript.is_view


def setitem(x: Any, index: Any, value: Any) -> Any:
    """`x` after `x[index] = value`."""
    aval = typeof(x)
    value = converted(value, aval.dtype)
    mask = _single_mask(index)
    if mask is not None:
        selected = _write_by_mask(x, mask, value)
        if selected is not None:
            return selected
    subscript = parse(aval.shape, index)
    return write(x, subscript, value)


def read(x: Any, subscript: Subscript, fill: Any = 0) -> Any:
    """The elements that a parsed index selects."""
    x = subscript.region.read(x)
    return x if subscript.spec is None else gather(x, *subscript.indices, spec=subscript.spec, fill=fill)


def write(x: Any, subscript: Subscript, value: Any, scatter: Callable[..., Any] = scatter_set) -> Any:
    """An array with a value of its dtype scattered into the elements that a parsed index selects.

    Raises:
        ShapeMismatchError: the value does not broadcast to the shape of these elements.
    """
    region, indices, spec, _ = subscript
    if spec is None:
        value = _fitting(value, region.shape)
        if region.is_whole and region.shape == typeof(value).shape and _is_current(value):
            return value if region.shape == typeof(x).shape else reshape(value, shape=typeof(x).shape)
        return region.write(x, value)
    shape = spec.result_shape(region.shape, broadcast_shapes(*(typeof(i).shape for i in indices)))
    value = _fitting(value, shape)
    updates = value if typeof(value).shape == shape else broadcast_to(value, shape=shape)
    if region.is_whole and region.shape == typeof(x).shape:
        return scatter(x, updates, *indices, spec=spec)
    return region.write(x, scatter(region.read(x), updates, *indices, spec=spec))


def _is_current(value: Any) -> bool:
    return isinstance(value, Tracer) and value.trace is current_trace.get()


def converted(value: Any, dtype: np.dtype[Any]) -> Any:
    """A value to be stored in an array of some dtype, as NumPy would cast it.

    Raises:
        DtypeMismatchError: it is complex and the array is not.
    """
    if type(value) in PYTHON_SCALARS:
        if type(value) is complex and dtype.kind not in "cb":
            raise _complex_into_real(dtype)
        return dtype.type(value)
    if isinstance(value, (list, tuple)):
        value = as_array(value)
    value = as_supported_array(value)
    aval = typeof(value)
    if aval.dtype == dtype and not aval.weak:
        return value
    if aval.dtype.kind == "c" and dtype.kind not in "cb":
        raise _complex_into_real(dtype)
    return convert(value, dtype=dtype) if isinstance(value, Traced) else value.astype(dtype)


def _complex_into_real(dtype: np.dtype[Any]) -> Exception:
    return DtypeMismatchError(
        f"A complex value was to be stored in an array of dtype {dtype.name}.",
        "Its imaginary part would be lost.",
        "Store `value.real`, or make the array complex with `.astype(complex)`.",
    )


def _fitting(value: Any, shape: Shape) -> Any:
    """A value without leading axes of extent one that the target has not; raises unless it then broadcasts."""
    have = typeof(value).shape
    if have == shape or not have:
        return value
    extra = max(len(have) - len(shape), 0)
    kept = have[extra:]
    aligned = shape[len(shape) - len(kept) :]
    if have[:extra] != (1,) * extra or any(n != m and n != 1 for n, m in zip(kept, aligned)):
        raise ShapeMismatchError(
            f"A value of shape {have} was to be stored in elements of shape {shape}.",
            "Aligned at the right, each extent of the value must be 1 or that of the elements.",
            "Reshape the value, or correct the index.",
        )
    return reshape(value, shape=kept) if extra else value


# ---- masks


def _single_mask(index: Any) -> Any:
    """The mask in `x[mask]` and `x[mask, ...]`, if the index is one."""
    if type(index) is tuple and len(index) == 2 and index[1] is Ellipsis:
        index = index[0]
    is_array = isinstance(index, (np.ndarray, Traced))
    return index if is_array and typeof(index).dtype == BOOL and typeof(index).shape else None


def _write_by_mask(x: Any, mask: Any, value: Any) -> Any:
    """`x[mask] = value` where each element gets the same whatever the number of elements; None if it depends on it."""
    shape, covered = typeof(x).shape, typeof(mask).shape
    rest = shape[len(covered) :]
    have = typeof(value).shape
    if shape[: len(covered)] != covered or have[: len(have) - len(rest)] not in ((), (1,)):
        return None
    value = _fitting(value, rest)
    if rest:
        mask = reshape(mask, shape=covered + (1,) * len(rest))
    return select(mask, value, x)


def concrete_mask(mask: Any) -> Any:
    """The elements of a mask.

    Raises:
        TracedMaskError: they are not known while tracing.
    """
    if not isinstance(mask, Traced):
        return mask
    try:
        return np.asarray(mask.concrete("index"))  # type: ignore[attr-defined]
    except (ConcretizationError, TracerConversionError):
        raise TracedMaskError(
            f"A boolean mask of type {mask.aval}, whose elements are not known while tracing, was used as an index.",
            "The number of elements that it selects would be a shape, and shapes are fixed while tracing.",
            "Use functrans.numpy.where(mask, x, other), as in np.sum(np.where(mask, x, 0)); assigning by a mask works "
            "for values that are the same for all elements (`x[mask] = 0.0`).",
        ) from None


# ---- parsing


def parse(shape: Shape, index: Any, mode: str = "raise") -> Subscript:
    """What an index means for an array of some shape, by NumPy's rules.

    Raises:
        InvalidIndexError: it is no index, or has too many entries.
        OutOfBoundsError: an integer points outside its axis.
        TracedMaskError: it holds a mask whose elements are not known.
    """
    entries = _entries(index if type(index) is tuple else (index,))
    consumed = sum(entry is not None and entry is not Ellipsis and not _is_flag(entry) for entry in entries)
    missing = len(shape) - consumed
    if missing < 0:
        raise InvalidIndexError(
            f"Too many indices: an array of shape {shape} was indexed by {consumed}.",
            f"It has {len(shape)} axes.",
            "Leave indices out, or add axes with `x[..., None]`.",
        )
    ellipses = entries.count_ellipses()
    if ellipses > 1:
        raise InvalidIndexError("An index can only have a single ellipsis ('...').")
    return _assemble(shape, entries, missing, mode)
