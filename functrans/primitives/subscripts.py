"""What `x[index]` and `x[index] = value` mean: every form of NumPy's indexing, in terms of primitives."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache, lru_cache
from math import prod
from typing import Any, NamedTuple

import numpy as np

from ..core.avals import INT, PYTHON_SCALARS
from ..core.devices import here, is_on_device
from ..core.selected import Selected
from ..core.trace import Traced, as_supported_array, current_trace, operators, typeof
from ..core.tracer import Tracer
from ..errors import (
    ConcretizationError,
    DtypeMismatchError,
    InvalidIndexError,
    ShapeMismatchError,
)
from .dynamic_slice import update_slice
from .foundation import Shape, broadcast_shapes, broadcast_to, convert, reshape, without
from .indexing import gather, scatter_set
from .indices import Indexing, out_of_bounds_error
from .masks import BASIC, concrete_mask, known_mask, leading_mask, per_element, selected, written
from .python_operators import fitting, is_traced_integer
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

    def without(self, axes: Shape) -> Region:
        """The region in an array without some axes, which are taken whole; there are no new ones."""
        spans = (without(spans, axes) for spans in (self.starts, self.limits, self.strides))
        kept = without(tuple(range(len(self.axes))), axes)
        flipped, shape = tuple(map(kept.index, self.flipped)), without(self.shape, axes)
        return Region(*spans, flipped, shape, tuple(range(len(kept))), False)


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
    shape = typeof(x).shape
    integers = _leading_integers(shape, index)
    if integers:
        return gather(x, *integers, spec=_leading(len(integers))), len(integers) < len(shape)
    chosen = _selected(x, index)
    if chosen is not None:
        return chosen, False
    subscript = parse(shape, index)
    result = read(x, subscript)
    return (result.copy() if result is x and isinstance(x, Tracer) else result), subscript.is_view


def setitem(x: Any, index: Any, value: Any) -> Any:
    """`x` after `x[index] = value`."""
    aval = typeof(x)
    value = converted(value, aval.dtype)
    by_mask = leading_mask(index)
    if by_mask is not None:
        result = _written(x, *by_mask, value)
        if result is not None:
            return result
    integers = _leading_integers(aval.shape, index)
    return write(x, _parse_integers(aval.shape, *integers) if integers else parse(aval.shape, index), value)


def _selected(x: Any, index: Any) -> Selected | None:
    """`x[index]` for an index that selects by what is not known while tracing; None for any other."""
    if type(index) is Selected and index.dtype.kind in "iu" and typeof(x).shape[:1] > (0,):
        return per_element(lambda i: gather(x, select(_rows(index, i), i, 0), spec=_leading(1)), [index])
    by_mask = leading_mask(index)
    if by_mask is None or known_mask(by_mask[0]) is not None:
        return None
    mask, rest = by_mask
    return selected(getitem(x, _behind(mask, rest))[0] if rest else x, mask)


def _rows(chosen: Selected, like: Any) -> Any:
    """The mask of selected elements, to go with an array of all of them."""
    shape = typeof(chosen.mask).shape
    return reshape(chosen.mask, shape=shape + (1,) * (typeof(like).ndim - len(shape)))


def _behind(mask: Any, rest: tuple[Any, ...]) -> tuple[Any, ...]:
    """An index for the axes behind those of a mask."""
    return (slice(None),) * typeof(mask).ndim + rest


def _written(x: Any, mask: Any, rest: tuple[Any, ...], value: Any) -> Any:
    """`x` after `x[mask, *rest] = value`; None if this needs the elements of the mask."""
    if not rest:
        return written(x, mask, value)
    if known_mask(mask) is not None:
        return None
    part = _behind(mask, rest)
    result = written(getitem(x, part)[0], mask, value)
    return None if result is None else setitem(x, part, result)


def _leading_integers(shape: Shape, index: Any) -> list[int]:
    """The entries of an index that consists of integers within bounds, and nothing if it is any other."""
    places: list[int] = []
    for entry, extent in zip(index if type(index) is tuple else (index,), shape):
        if type(entry) is not int or not -extent <= entry < extent:
            return []
        places.append(entry + extent if entry < 0 else entry)
    return [] if type(index) is tuple and len(index) > len(shape) else places


@lru_cache(maxsize=4096)
def _parse_integers(shape: Shape, *integers: int) -> Subscript:
    return parse(shape, integers)


@cache
def _leading(count: int) -> Indexing:
    return Indexing(tuple(range(count)), unique=True)


def read(x: Any, subscript: Subscript, fill: Any = 0) -> Any:
    """The elements that a parsed index selects."""
    region, indices, spec, _ = subscript
    if spec is None:
        return region.read(x)
    if _is_of_row(x, subscript):
        return region.without(spec.axes).read(gather(x, *indices, spec=spec, fill=fill))
    return gather(region.read(x), *indices, spec=spec, fill=fill)


def _is_of_row(x: Any, subscript: Subscript) -> bool:
    """Whether an index selects a part of a row, and the row is less to read and to write back than a part of all."""
    region, indices, spec, _ = subscript
    if spec is None or region.is_whole or any(typeof(i).ndim for i in indices):
        return False
    shape = typeof(x).shape
    return len(region.shape) == len(region.axes) == len(shape) and prod(without(shape, spec.axes)) <= prod(region.shape)


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
    if scatter is scatter_set and _is_of_row(x, subscript):
        row = region.without(spec.axes).write(gather(x, *indices, spec=spec), value)
        return scatter_set(x, row, *indices, spec=spec)
    return region.write(x, scatter(region.read(x), updates, *indices, spec=spec))


def _is_current(value: Any) -> bool:
    return isinstance(value, Tracer) and value.trace is current_trace.get()


def converted(value: Any, dtype: np.dtype[Any]) -> Any:
    """A value to be stored in an array of some dtype, as NumPy would cast it.

    Raises:
        DtypeMismatchError: it is complex and the array is not.
    """
    if type(value) is Selected:
        return Selected(converted(value.array, dtype), value.mask, value.key)
    if type(value) in PYTHON_SCALARS:
        if type(value) is complex and dtype.kind not in "cb":
            raise _complex_into_real(dtype)
        return dtype.type(value)
    if isinstance(value, (list, tuple)):
        array = as_array(value)
        is_checked = typeof(array).dtype.kind in "iu" and dtype.kind in "iu"
        value = as_array(_each_converted(value, dtype)) if is_checked else array  # what the dtype has not is refused
    value = as_supported_array(value)
    aval = typeof(value)
    if aval.dtype == dtype and not aval.weak:
        return value
    if aval.dtype.kind == "c" and dtype.kind not in "cb":
        raise _complex_into_real(dtype)
    if is_traced_integer(value) and dtype.kind in "iu":
        return fitting(value, dtype, "setitem")
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


# ---- parsing


class Along(NamedTuple):
    """An index array along one axis, or along a new axis of extent one.

    Attributes:
        extent: what the axis must measure, for the part of a mask; names no element twice.
        is_new: whether the axis is new, for a mask without axes.
    """

    index: Any
    extent: int | None = None
    is_new: bool = False


def parse(shape: Shape, index: Any, mode: str = "raise") -> Subscript:
    """What an index means for an array of some shape, by NumPy's rules.

    Args:
        mode: what integers and index arrays that point outside mean, as in Indexing.

    Raises:
        InvalidIndexError: it is no index, or has too many entries.
        OutOfBoundsError: an integer points outside its axis.
        TracedMaskError: it holds a mask whose elements are not known.
        ConcretizationError: a bound of a slice is not known.
    """
    given = index if type(index) is tuple else (index,)
    has_ellipsis = False
    entries: list[Any] = []
    for entry in given:
        if entry is Ellipsis:
            if has_ellipsis:
                raise InvalidIndexError("An index can only have a single ellipsis ('...').")
            has_ellipsis = True
        entries += (entry,) if type(entry) in BASIC else _index_arrays(entry)
    if mode != "raise":
        entries = [Along(e) if type(e) is int else e for e in entries]
    missing = len(shape) - sum(e is not None and e is not Ellipsis and not getattr(e, "is_new", False) for e in entries)
    if missing < 0:
        raise InvalidIndexError(
            f"Too many indices: an array of shape {shape} was indexed by {len(shape) - missing}.",
            f"It has {len(shape)} axes.",
            "Leave indices out, or add axes with `x[..., None]`.",
        )
    walk = _Walk(shape, any(type(e) is Along and not e.is_new for e in entries))
    for entry in entries if has_ellipsis else [*entries, Ellipsis]:
        walk.step(entry, missing)
    return walk.subscript(mode, has_ellipsis)


class _Walk:
    """Goes through the entries of an index and the axes of the array together.

    Args:
        has_arrays: whether there are index arrays, along which integers go too: so no part of the array is written back
            to change elements of that part.
    """

    def __init__(self, shape: Shape, has_arrays: bool):
        self.extents = shape
        self.has_arrays = has_arrays
        self.spans: list[tuple[int, int, int]] = []
        self.flipped: list[int] = []
        self.shape: list[int] = []
        self.axes: list[int | None] = []
        self.arrays: list[tuple[Along, int]] = []
        self.positions: list[int] = []  # of the entries that NumPy counts as advanced
        self.rest_before = 0  # how many axes of the result come before the first of those
        self.steps = 0

    def step(self, entry: Any, missing: int) -> None:
        """Take the next entry; an Ellipsis stands for `missing` axes."""
        kind = type(entry)
        if kind is slice:
            self.take(_bounds(entry, self.extents[len(self.spans)]))
        elif kind is int:
            self.advanced()
            axis = len(self.spans)
            extent = self.extents[axis]
            if not -extent <= entry < extent:
                raise out_of_bounds_error(entry, axis, self.extents)
            start = entry + extent if entry < 0 else entry
            if self.has_arrays:
                self.arrays.append((Along(start, extent), len(self.shape)))
                self.take(range(extent))
            else:
                self.spans.append((start, start + 1, 1))
                self.axes.append(None)
        elif entry is None:
            self.shape.append(1)
        elif entry is Ellipsis:
            for extent in self.extents[len(self.spans) : len(self.spans) + missing]:
                self.take(range(extent))
        else:
            self.advanced()
            self.arrays.append((entry, len(self.shape)))
            if entry.is_new:
                self.shape.append(1)
            else:
                self.check_mask(entry)
                self.take(range(self.extents[len(self.spans)]))
        self.steps += 1

    def take(self, places: range) -> None:
        """Take the elements of the next axis at places in arithmetic progression."""
        if not places:
            self.spans.append((0, 0, 1))
        elif places.step > 0:
            self.spans.append((places[0], places[-1] + 1, places.step))
        else:
            self.spans.append((places[-1], places[0] + 1, -places.step))
            self.flipped.append(len(self.axes))
        self.axes.append(len(self.shape))
        self.shape.append(len(places))

    def advanced(self) -> None:
        if not self.positions:
            self.rest_before = len(self.shape)
        self.positions.append(self.steps)

    def check_mask(self, entry: Along) -> None:
        axis = len(self.spans)
        if entry.extent is not None and entry.extent != self.extents[axis]:
            raise InvalidIndexError(
                f"A boolean mask with extent {entry.extent} was used along axis {axis} with size {self.extents[axis]}, "
                f"of an array of shape {self.extents}.",
                "A mask has the extents of the axes that it stands for.",
                "Correct the shape of the mask.",
            )

    def subscript(self, mode: str, has_ellipsis: bool) -> Subscript:
        """What was found."""
        whole = all(span == (0, extent, 1) for span, extent in zip(self.spans, self.extents)) and not self.flipped
        starts, limits, strides = zip(*self.spans) if self.spans else ((), (), ())
        region = Region(
            starts, limits, strides, tuple(self.flipped), tuple(self.shape), tuple(self.axes), whole
        )
        is_scalar = not has_ellipsis and len(self.shape) == len(self.arrays)
        if not self.arrays:
            return Subscript(region, is_view=not is_scalar)
        indices = [along.index for along, _ in self.arrays]
        scalars = _common_shape(indices) == ()
        adjacent = self.positions[-1] - self.positions[0] == len(self.positions) - 1
        of_masks = all(along.extent is not None or along.is_new for along, _ in self.arrays)
        spec = Indexing(
            tuple(axis for _, axis in self.arrays),
            self.rest_before if adjacent and not scalars else 0,
            mode,
            scalars or of_masks,
        )
        is_view = scalars and not is_scalar and all(isinstance(i, (Traced, int)) for i in indices)
        return Subscript(region, indices, spec, is_view)


def _common_shape(indices: Sequence[Any]) -> Shape:
    try:
        return broadcast_shapes(*(typeof(i).shape for i in indices))
    except ShapeMismatchError:
        raise InvalidIndexError(
            f"Index arrays of shapes {', '.join(str(typeof(i).shape) for i in indices)} were used together.",
            "They are broadcast to one shape, which these cannot be.",
            "Index one axis after the other (`x[rows][:, columns]`), or use np.ix_(rows, columns).",
        ) from None


def _bounds(entry: slice, extent: int) -> range:
    try:
        return range(*entry.indices(extent))
    except ConcretizationError:
        raise ConcretizationError(
            "A slice was taken with a bound that is not known while tracing.",
            "Its length would be a shape, and shapes are fixed while tracing.",
            "Use functrans.lax.dynamic_slice(x, starts, sizes), whose sizes are fixed; index with an array, as in "
            "`x[i + np.arange(n)]`; or mark the argument with static_argnums.",
        ) from None


def _index_arrays(entry: Any) -> list[Any]:
    """Entries for anything but Python integers, slices, None and Ellipsis."""
    if isinstance(entry, (bool, np.bool_)):
        return [Along(here(np.zeros(int(entry), INT)), is_new=True)]
    if isinstance(entry, np.integer):
        return [int(entry)]
    if not isinstance(entry, str) and isinstance(entry, Sequence):
        entry = as_array(entry)
        if not entry.size:
            entry = entry.astype(INT)
    kind = getattr(getattr(entry, "dtype", None), "kind", "")
    if kind == "b":
        mask = concrete_mask(entry)
        if not mask.ndim:
            return [Along(here(np.zeros(int(mask), INT)), is_new=True)]
        return [Along(i, extent) for i, extent in zip(mask.nonzero(), mask.shape)]
    if kind and kind in "iu":
        return [Along(entry)]
    if not kind and hasattr(entry, "__index__"):
        return [entry.__index__()]
    shown = f"an array of dtype {entry.dtype}" if kind else f"an object of type {type(entry).__name__}"
    raise InvalidIndexError(
        f"An array was indexed by {shown}.",
        "Only integers, slices (`:`), ellipsis (`...`), None, and integer or boolean arrays are indices.",
        "Convert the index with `.astype(int)`.",
    )


def as_array(value: Any) -> Any:
    """A nested list of scalars, arrays and tracers as one array."""
    if not _holds_tracers(value):
        return value if is_on_device(value) else here(np.asarray(value))
    if not isinstance(value, (list, tuple)):
        return value
    rows = [as_array(v) for v in value]
    return concatenate(*(reshape(row, shape=(1, *typeof(row).shape)) for row in rows), axis=0)


def _each_converted(value: Any, dtype: np.dtype[Any]) -> Any:
    """A nested list with everything in it converted."""
    is_list = isinstance(value, (list, tuple))
    return [_each_converted(v, dtype) for v in value] if is_list else converted(value, dtype)


def _holds_tracers(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return any(map(_holds_tracers, value))
    return isinstance(value, Traced)


operators.getitem = getitem
operators.setitem = setitem
