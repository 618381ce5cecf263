"""Reading elements by position: take, diagonals and triangles, positions of nonzero elements, flat indices."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from ..core.avals import BOOL, INT
from ..core.cells import view_of
from ..core.devices import here, is_on_device
from ..core.selected import Positions, Selected
from ..core.trace import Traced, typeof
from ..core.tracer import Tracer
from ..errors import ConcretizationError, TracerConversionError
from ..primitives.elementwise import add, floor_divide, greater_equal, less, logical_not, multiply, not_equal, remainder
from ..primitives.foundation import promoted, reduce_sum, zeros
from ..primitives.indexing import gather, scatter_set
from ..primitives.indices import Indexing
from ..primitives.masks import known_mask
from ..primitives.selection import select
from ..primitives.sorting import argsort
from ..primitives.structural import slice_axis
from ..primitives.subscripts import as_array, getitem, parse, read
from . import reductions as _reductions
from .common import as_operand, cast, normalize_axis, stretched, with_shape
from .positions import along_axis, as_integers, counted, default_fill, index_mode, stored
from .protocols import METHODS

#: Names that are exported as ours: NumPy's namesakes do not look at the argument that may be traced, or lack options.
ALWAYS_OURS = frozenset({"take", "nonzero", "flatnonzero", "argwhere"})

# ---- elements by index


def take(
    a: Any, indices: Any, axis: int | None = None, out: None = None, mode: str | None = "raise", fill_value: Any = None
) -> Any:
    """numpy.take: elements along an axis, or of the flattened array.

    Args:
        mode: what an index outside means: "raise", "clip", "wrap", or "fill" (with `fill_value`, by default NaN or
            the integer farthest from zero).

    Raises:
        OutOfBoundsError: an index points outside, with mode "raise".
    """
    a, indices = as_operand(a), as_integers(indices)
    is_plain = not any(isinstance(x, Tracer) or is_on_device(x) for x in (a, indices))  # CuPy's has no modes
    if is_plain and mode in ("raise", "clip", "wrap"):
        return np.take(a, indices, axis, out, mode)
    if axis is None or not typeof(a).shape:
        a, axis = with_shape(a, (typeof(a).size,)), 0 if axis is None else axis
    axis = normalize_axis(axis, typeof(a).ndim)
    fill = default_fill(typeof(a).dtype) if fill_value is None else fill_value
    spec = Indexing((axis,), axis, index_mode(mode), typeof(indices).shape == ())
    return stored(gather(a, indices, spec=spec, fill=fill if spec.mode == "drop" else 0), out)


def take_along_axis(arr: Any, indices: Any, axis: int | None = -1) -> Any:
    """numpy.take_along_axis: one index array for each line along an axis."""
    arr, indices = as_operand(arr), as_integers(indices)
    if axis is None:
        arr, axis = with_shape(arr, (typeof(arr).size,)), 0
    shape = typeof(arr).shape
    index = along_axis(shape, indices, normalize_axis(axis, len(shape)))
    return read(arr, parse(shape, index))


def choose(a: Any, choices: Any, out: None = None, mode: str = "raise") -> Any:
    """numpy.choose: the element of the choice that an integer array names.

    Raises:
        OutOfBoundsError: there is no such choice, with mode "raise".
    """
    a = as_integers(a)
    rows = [as_operand(choices[i]) for i in range(len(choices))]
    count, avals = len(rows), list(map(typeof, rows))
    shape, dtype = np.broadcast_shapes(typeof(a).shape, *(aval.shape for aval in avals)), promoted(*avals)
    table = as_array([stretched(cast(row, dtype), shape) for row in rows])
    if mode == "raise":  # negative numbers name no choice
        a = select(less(a, 0), count, cast(a, INT))
    index = (stretched(a, shape), *(counted(n, len(shape), i) for i, n in enumerate(shape)))
    return stored(read(table, parse((count, *shape), index, index_mode(mode))), out)


def compress(condition: Any, a: Any, axis: int | None = None, out: None = None) -> Any:
    """numpy.compress; along other axes than the first the condition must be known while tracing."""
    if axis is None:
        a, axis = with_shape(as_operand(a), (typeof(as_operand(a)).size,)), 0
    if axis == 0 and out is None and _is_unknown(condition):
        mask = as_operand(not_equal(condition, 0))
        return getitem(slice_axis(as_operand(a), 0, typeof(mask).shape[0], axis=0), mask)[0]
    return take(a, np.nonzero(_known(condition, "compress"))[0], axis, out)


def extract(condition: Any, arr: Any) -> Any:
    """numpy.extract."""
    if not _is_unknown(condition):
        return compress(_known(condition, "extract").reshape(-1), arr)
    return compress(with_shape(condition, (typeof(condition).size,)), arr)


# ---- positions


def _known(x: Any, name: str) -> Any:
    """The elements of an array, as far as they decide a shape."""
    try:
        known = x.known("index") if isinstance(x, Traced) else x
        return known if is_on_device(known) else np.asarray(known)
    except (ConcretizationError, TracerConversionError):
        raise ConcretizationError(
            f"The positions of nonzero elements of a traced array of type {x.aval} were asked for ({name}).",
            "Their number would be a shape, which must be known while tracing.",
            "Give their number, as in functrans.numpy.nonzero(x, size=n), or use functrans.numpy.where(mask, x, 0).",
        ) from None


def _is_unknown(a: Any) -> bool:
    """Whether the elements of an array with axes are not known while tracing."""
    return isinstance(a, Traced) and typeof(a).shape != () and known_mask(a) is None


def _selected_positions(a: Any) -> Positions:
    """The positions of the nonzero elements of an array, whatever their number."""
    mask, shape = as_operand(not_equal(a, 0)), typeof(a).shape
    flat = with_shape(mask, (typeof(mask).size,))
    columns = unravel_index(counted(typeof(mask).size), shape)
    return Positions(Selected(column, flat, mask, is_position=True) for column in columns)


def nonzero(a: Any, *, size: int | None = None, fill_value: int = 0) -> tuple[Any, ...]:
    """numpy.nonzero: for each axis the positions of elements that are not zero.

    Args:
        size: how many positions to return: surplus ones are left out, missing ones are `fill_value`.

    Without a size, positions that are not known are selected ones: `x[np.nonzero(mask)]` is `x[mask]`.
    """
    if size is None:
        return _selected_positions(a) if _is_unknown(a) else np.nonzero(_known(a, "nonzero"))
    if size < 0:
        raise ValueError(f"The number of positions must not be negative (size={size})")
    aval = typeof(as_operand(a))
    mask = with_shape(not_equal(a, 0), (aval.size,))
    order = argsort(logical_not(mask), part=(0, min(size, aval.size)))
    found = less(counted(min(size, aval.size)), reduce_sum(cast(mask, INT), axes=(0,)))
    columns = [select(found, column, fill_value) for column in unravel_index(order, aval.shape)]
    padding = here(np.full(max(size - aval.size, 0), fill_value, INT))
    return tuple(np.concatenate([column, padding]) if padding.size else column for column in columns)


def flatnonzero(a: Any, *, size: int | None = None, fill_value: int = 0) -> Any:
    """numpy.flatnonzero; for `size` see nonzero."""
    if size is None and not _is_unknown(a):
        return np.flatnonzero(_known(a, "flatnonzero"))
    a = as_operand(a)
    return nonzero(with_shape(a, (typeof(a).size,)), size=size, fill_value=fill_value)[0]


def argwhere(a: Any, *, size: int | None = None, fill_value: int = 0) -> Any:
    """numpy.argwhere; for `size` see nonzero."""
    if size is None and _is_unknown(a):
        first, *others = _selected_positions(a)
        return Selected(np.stack([i.array for i in (first, *others)], axis=-1), first.mask, first.key)
    if size is None:
        return np.argwhere(_known(a, "argwhere"))
    return np.stack(nonzero(a, size=size, fill_value=fill_value), axis=-1)


def ix_(*args: Any) -> tuple[Any, ...]:
    """numpy.ix_: an open mesh of index arrays."""
    lines = [_mesh_line(as_operand(x)) for x in args]
    return tuple(
        with_shape(x, tuple(typeof(x).size if i == place else 1 for i in range(len(lines))))
        for place, x in enumerate(lines)
    )


def _mesh_line(x: Any) -> Any:
    if typeof(x).ndim != 1:
        raise ValueError("Cross index must be 1 dimensional")
    return np.nonzero(_known(x, "ix_"))[0] if typeof(x).dtype == BOOL else x


def unravel_index(indices: Any, shape: Any, order: str = "C") -> tuple[Any, ...]:
    """numpy.unravel_index, without its check: of an index outside, the first coordinate lies outside."""
    rest = cast(as_integers(indices), INT)
    extents = (int(shape),) if isinstance(shape, (int, np.integer)) else tuple(map(int, shape))
    coordinates: list[Any] = []
    for extent in extents[:0:-1] if order == "C" else extents[:-1]:
        coordinates.append(remainder(rest, max(extent, 1)))
        rest = floor_divide(rest, max(extent, 1))
    coordinates.append(rest)
    return tuple(coordinates[::-1] if order == "C" else coordinates) if extents else ()


def ravel_multi_index(multi_index: Any, dims: Any, mode: Any = "raise", order: str = "C") -> Any:
    """numpy.ravel_multi_index; mode "raise" is taken for a promise that all indices lie inside."""
    dims = (int(dims),) if isinstance(dims, (int, np.integer)) else tuple(map(int, dims))
    modes = (mode,) * len(dims) if isinstance(mode, str) else tuple(mode)
    strides = [prod(dims[i + 1 :] if order == "C" else dims[:i]) for i in range(len(dims))]
    flat: Any = 0
    for index, extent, stride, how in zip(multi_index, dims, strides, modes):
        index = cast(as_integers(index), INT)
        if how == "clip":
            index = np.clip(index, 0, extent - 1)
        elif how == "wrap":
            index = remainder(index, extent)
        flat = add(flat, multiply(index, stride))
    return flat


# ---- diagonals and triangles


def _diagonal_places(rows: int, columns: int, offset: int) -> tuple[Any, Any]:
    """Row and column numbers along a diagonal."""
    top, left = max(-offset, 0), max(offset, 0)
    steps = counted(max(min(rows - top, columns - left), 0))
    return add(steps, top), add(steps, left)


def diagonal(a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    """numpy.diagonal: the diagonals of the matrices along two axes, as the last axis."""
    a = as_operand(a)
    shape = typeof(a).shape
    if len(shape) < 2:
        raise ValueError("diag requires an array of at least two dimensions")
    axes = normalize_axis(axis1, len(shape)), normalize_axis(axis2, len(shape))
    if axes[0] == axes[1]:
        raise ValueError("axis1 and axis2 cannot be the same")
    places = _diagonal_places(shape[axes[0]], shape[axes[1]], int(offset))
    return view_of(a, gather(a, *places, spec=Indexing(axes, len(shape) - 2, unique=True)))


def diag(v: Any, k: int = 0) -> Any:
    """numpy.diag: the diagonal of a matrix, or the matrix with a given diagonal."""
    v = as_operand(v)
    shape = typeof(v).shape
    if len(shape) == 2:
        return diagonal(v, k)
    if len(shape) != 1:
        raise ValueError("Input must be 1- or 2-d.")
    extent = shape[0] + abs(k)
    places = _diagonal_places(extent, extent, int(k))
    blank = zeros(typeof(v).with_shape((extent, extent)))
    return scatter_set(blank, v, *places, spec=Indexing((0, 1), unique=True))


def diagflat(v: Any, k: int = 0) -> Any:
    """numpy.diagflat: the matrix whose diagonal holds all elements of v."""
    v = as_operand(as_array(v) if isinstance(v, (list, tuple)) else v)
    return diag(with_shape(v, (typeof(v).size,)), k)


def trace(a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1, dtype: Any = None, out: None = None) -> Any:
    """numpy.trace: the sums of diagonals."""
    return stored(_reductions.sum(diagonal(a, offset, axis1, axis2), -1, dtype), out)


def _below(m: Any, k: Any) -> tuple[Any, Any]:
    """A matrix, and where its elements lie on or below the k-th diagonal."""
    m = as_operand(m)
    shape = typeof(m).shape
    if not shape:
        raise ValueError("a triangle is taken of an array with at least one axis")
    shape = shape * 2 if len(shape) == 1 else shape
    return stretched(m, shape), greater_equal(add(counted(shape[-2], 2), k), counted(shape[-1], 2, 1))


def tril(m: Any, k: Any = 0) -> Any:
    """numpy.tril: zeros above the k-th diagonal."""
    m, below = _below(m, k)
    return select(below, m, typeof(m).dtype.type(0))


def triu(m: Any, k: Any = 0) -> Any:
    """numpy.triu: zeros below the k-th diagonal."""
    m, below = _below(m, add(k, -1))
    return select(below, typeof(m).dtype.type(0), m)


def tril_indices_from(arr: Any, k: int = 0) -> tuple[Any, ...]:
    """numpy.tril_indices_from."""
    rows, columns = typeof(arr).shape
    return np.tril_indices(rows, k, columns)


def triu_indices_from(arr: Any, k: int = 0) -> tuple[Any, ...]:
    """numpy.triu_indices_from."""
    rows, columns = typeof(arr).shape
    return np.triu_indices(rows, k, columns)


def diag_indices_from(arr: Any) -> tuple[Any, ...]:
    """numpy.diag_indices_from."""
    shape = typeof(arr).shape
    if len(shape) < 2 or len(set(shape)) != 1:
        raise ValueError("All dimensions of input must be of equal length")
    return np.diag_indices(shape[0], len(shape))


METHODS.update(
    take=take,
    diagonal=diagonal,
    nonzero=nonzero,
    choose=choose,
    compress=lambda a, condition, axis=None, out=None: compress(condition, a, axis, out),
)
