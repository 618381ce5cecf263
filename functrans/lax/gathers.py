"""gather and scatter under JAX's names: windows of an array at computed places, with dimension numbers as in XLA."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import Enum
from typing import Any, NamedTuple

import numpy as np

from ..api.arguments import gives_its_own
from ..core.avals import INT, is_inexact
from ..core.trace import typeof
from ..errors import ShapeMismatchError
from ..numpy.common import as_operand, cast, stretched, with_shape
from ..primitives import indexing
from ..primitives.elementwise import add, logical_and, maximum, minimum, negative
from ..primitives.elementwise import equal as _equal
from ..primitives.indexing import Indexing
from ..primitives.selection import select
from ..primitives.structural import slice_axis
from ..primitives.structural import transpose as _transpose

Axes = Sequence[int]


class GatherDimensionNumbers(NamedTuple):
    """Which axes mean what in a gather.

    Attributes:
        offset_dims: the axes of the result that run through a window; the others are those of the indices.
        collapsed_slice_dims: the axes of the operand along which windows have extent one, and which the result lacks.
        start_index_map: the axis of the operand that each component of an index is for.
        operand_batching_dims, start_indices_batching_dims: pairs of axes of the operand and of the indices that are
            walked along together.
    """

    offset_dims: tuple[int, ...]
    collapsed_slice_dims: tuple[int, ...]
    start_index_map: tuple[int, ...]
    operand_batching_dims: tuple[int, ...] = ()
    start_indices_batching_dims: tuple[int, ...] = ()


class ScatterDimensionNumbers(NamedTuple):
    """Which axes mean what in a scatter.

    Attributes:
        update_window_dims: the axes of the updates that run through a window; the others are those of the indices.
        inserted_window_dims: the axes of the operand along which windows have extent one, and which the updates lack.
        scatter_dims_to_operand_dims: the axis of the operand that each component of an index is for.
        operand_batching_dims, scatter_indices_batching_dims: pairs of axes of the operand and of the indices that are
            walked along together.
    """

    update_window_dims: tuple[int, ...]
    inserted_window_dims: tuple[int, ...]
    scatter_dims_to_operand_dims: tuple[int, ...]
    operand_batching_dims: tuple[int, ...] = ()
    scatter_indices_batching_dims: tuple[int, ...] = ()


class GatherScatterMode(Enum):
    """What becomes of windows that do not lie inside the operand.

    CLIP: they are moved inside. FILL_OR_DROP: they are read as a fill value, and not written. PROMISE_IN_BOUNDS: there
    are none; here they are moved inside, too.
    """

    CLIP = "clip"
    FILL_OR_DROP = "fill"
    PROMISE_IN_BOUNDS = "promise_in_bounds"

    @staticmethod
    def from_any(mode: Any) -> GatherScatterMode:
        """The mode that is meant by one of its names; None is FILL_OR_DROP."""
        if isinstance(mode, GatherScatterMode):
            return mode
        return GatherScatterMode({None: "fill", "drop": "fill"}.get(mode, mode))


class _Windows(NamedTuple):
    """Where windows are in an operand.

    Attributes:
        places: for each axis of the operand that is indexed the numbers along it, which broadcast to the axes of the
            indices and those of the windows along indexed axes.
        kept: the indexed axes along which windows are kept, in order.
        is_inside: for each index whether its window lies inside.
        batch: the shape of the indices.
    """

    places: dict[int, Any]
    kept: tuple[int, ...]
    is_inside: Any
    batch: tuple[int, ...]


@gives_its_own
def gather(
    operand: Any,
    start_indices: Any,
    dimension_numbers: GatherDimensionNumbers,
    slice_sizes: Axes,
    *,
    unique_indices: bool = False,
    indices_are_sorted: bool = False,
    mode: Any = None,
    fill_value: Any = None,
) -> Any:
    """Windows of an array that begin at computed places. `x[i]` and `functrans.numpy.take` are easier to write.

    Args:
        start_indices: integers; the last axis has the components of an index. Negative ones are outside.
        dimension_numbers: which axes mean what.
        slice_sizes: the extents of a window, one for each axis of the operand.
        unique_indices: a promise that no element is read twice.
        indices_are_sorted: JAX's promise, which is not needed.
        mode: a GatherScatterMode or its name, for windows that do not lie inside; "fill" if it is None, for which JAX
            says nothing about such windows.
        fill_value: for windows outside; by default NaN, the least signed or largest unsigned integer, or True.

    Raises:
        ShapeMismatchError: dimension numbers or sizes do not belong to the arrays.

    Example:
        >>> import numpy as np, functrans as ft
        >>> rows = ft.lax.GatherDimensionNumbers((1,), (0,), (0,))
        >>> ft.lax.gather(np.array([[1, 2], [3, 4], [5, 6]]), np.array([[2], [0]]), rows, (1, 2))
        array([[5, 6],
               [1, 2]])
    """
    numbers, mode = dimension_numbers, GatherScatterMode.from_any(mode)
    x, indices, sizes = as_operand(operand), as_operand(start_indices), tuple(slice_sizes)
    pairs = (tuple(numbers.operand_batching_dims), tuple(numbers.start_indices_batching_dims))
    without_axis = (*numbers.collapsed_slice_dims, *pairs[0])
    offsets = tuple(numbers.offset_dims)
    named = tuple(numbers.start_index_map)
    _check("gather", typeof(x).shape, typeof(indices).shape, sizes, named, without_axis, pairs, offsets)
    windows = _windows(typeof(x).shape, indices, sizes, named, without_axis, pairs)
    whole = [axis for axis in range(len(sizes)) if axis not in windows.places]
    if windows.places:
        spec = Indexing(tuple(windows.places), 0, "clip", unique_indices)
        found = indexing.gather(x, *windows.places.values(), spec=spec)
    else:
        found = stretched(x, (*windows.batch, *sizes))
    count = len(windows.batch)
    at = {axis: count + i for i, axis in enumerate((*windows.kept, *whole))}
    window = iter(at[axis] for axis in sorted(at))
    behind = iter(range(count))
    found = _transpose(
        found, permutation=tuple(next(window) if axis in offsets else next(behind) for axis in range(count + len(at)))
    )
    if mode is not GatherScatterMode.FILL_OR_DROP:
        return found
    shape = typeof(found).shape
    is_inside = with_shape(windows.is_inside, tuple(1 if i in offsets else n for i, n in enumerate(shape)))
    return select(stretched(is_inside, shape), found, _fill(typeof(x).dtype, fill_value))


def _fill(dtype: np.dtype[Any], value: Any) -> Any:
    """What stands for elements that there are not."""
    if value is None:
        limits = np.iinfo(dtype) if dtype.kind in "iu" else None
        value = True if limits is None else limits.max if dtype.kind == "u" else limits.min
        value = np.nan if is_inexact(dtype) else value
    return dtype.type(value)


def _check(
    name: str,
    shape: Axes,
    indices: Axes,
    sizes: Axes,
    named: Axes,
    without_axis: Axes,
    pairs: tuple[Axes, Axes],
    along: Axes,
    given: Axes | None = None,
) -> None:
    """Raise ShapeMismatchError for dimension numbers that do not belong to the arrays.

    Args:
        along: the axes of the result, or of the updates, that run through a window.
        given: the shape of the updates.
    """
    batch = tuple(indices[:-1])
    rank = len(batch) + len(along)
    unknown = sorted({*named, *without_axis} - {*range(len(shape))})
    if len(indices) == 0 or indices[-1] != len(named):
        problem = f"indices have {len(named)} components, but their shape is {tuple(indices)}"
    elif unknown:
        problem = f"it has no axis {unknown[0]}"
    elif len(along) != len(shape) - len(without_axis) or sorted({*along} & {*range(rank)}) != list(along):
        problem = f"windows have {len(shape) - len(without_axis)} axes, which cannot be {tuple(along)} of {rank}"
    elif given is not None and tuple(n for axis, n in enumerate(given) if axis not in along) != batch:
        problem = f"updates have shape {tuple(given)}, and there are {batch} indices"
    elif len(sizes) != len(shape) or any(not 0 <= n <= extent for n, extent in zip(sizes, shape)):
        problem = f"windows of shape {tuple(sizes)} do not fit"
    elif any(sizes[axis] != 1 for axis in without_axis):
        problem = f"windows of shape {tuple(sizes)} have more than one element along the axes {tuple(without_axis)}"
    elif len(pairs[0]) != len(pairs[1]) or any(not 0 <= j < len(batch) or shape[i] != batch[j] for i, j in zip(*pairs)):
        problem = f"the axes {tuple(pairs[0])} and {tuple(pairs[1])} are not walked along together"
    else:
        return
    raise ShapeMismatchError(
        f"{name} was asked for of an array of shape {tuple(shape)}: {problem}.",
        "The last axis of the indices has one component for each axis that the dimension numbers map it to.",
        "Correct the dimension numbers; `x[i]` and functrans.numpy.at(x)[i] need none.",
    )


def _windows(
    shape: Axes, indices: Any, sizes: Axes, named: Axes, without_axis: Axes, pairs: tuple[Axes, Axes]
) -> _Windows:
    batch = typeof(indices).shape[:-1]
    starts: dict[int, Any] = {}
    is_inside: Any = np.ones(batch, bool)
    for i, axis in enumerate(named):
        start = with_shape(slice_axis(cast(indices, INT), i, i + 1, axis=len(batch)), batch)
        starts[axis] = maximum(minimum(start, shape[axis] - sizes[axis]), 0)
        is_inside = logical_and(is_inside, _equal(start, starts[axis]))
    for axis, other in zip(*pairs):
        starts[axis] = np.arange(batch[other]).reshape(tuple(n if i == other else 1 for i, n in enumerate(batch)))
    for axis, (extent, size) in enumerate(zip(shape, sizes)):
        if axis not in starts and (size < extent or axis in without_axis):
            starts[axis] = np.zeros((1,) * len(batch), int)
    kept = tuple(axis for axis in sorted(starts) if axis not in without_axis)
    places: dict[int, Any] = {}
    for axis in sorted(starts):
        start = with_shape(starts[axis], (*typeof(starts[axis]).shape, *(1 for _ in kept)))
        along = tuple(sizes[axis] if axis == other else 1 for other in kept)
        places[axis] = add(start, np.arange(sizes[axis]).reshape(along)) if axis in kept else start
    if places:  # one of them has all axes, whatever the others have
        first = next(iter(places))
        places[first] = stretched(places[first], (*batch, *(sizes[axis] for axis in kept)))
    return _Windows(places, kept, is_inside, batch)


def _scatter(
    name: str, primitive: Any, operand: Any, indices: Any, updates: Any, numbers: Any, unique: bool, mode: Any
) -> Any:
    mode = GatherScatterMode.from_any(mode)
    x, indices = as_operand(operand), as_operand(indices)
    updates = cast(as_operand(updates), typeof(x).dtype)
    shape, given = typeof(x).shape, typeof(updates).shape
    if not shape:
        numbers = numbers._replace(inserted_window_dims=(0,))
        found = _scatter(name, primitive, with_shape(x, (1,)), indices, updates, numbers, unique, mode)
        return with_shape(found, ())
    pairs = (tuple(numbers.operand_batching_dims), tuple(numbers.scatter_indices_batching_dims))
    without_axis = (*numbers.inserted_window_dims, *pairs[0])
    along = tuple(numbers.update_window_dims)
    window = iter([given[axis] for axis in along if axis < len(given)])
    sizes = tuple(1 if axis in without_axis else next(window, -1) for axis in range(len(shape)))
    named = numbers.scatter_dims_to_operand_dims
    _check(name, shape, typeof(indices).shape, sizes, named, without_axis, pairs, along, given)
    windows = _windows(shape, indices, sizes, named, without_axis, pairs)
    whole = [axis for axis in range(len(shape)) if axis not in windows.places]
    at = dict(zip((axis for axis in range(len(shape)) if axis not in without_axis), along))
    behind = [axis for axis in range(len(given)) if axis not in along]
    order = (*behind, *(at[axis] for axis in windows.kept), *(at[axis] for axis in whole))
    updates = _transpose(updates, permutation=order)
    if not windows.places:  # everything is in every window
        windows.places[0] = stretched(np.arange(shape[0]), (*windows.batch, shape[0]))
    places, kind = list(windows.places.values()), "clip"
    if mode is GatherScatterMode.FILL_OR_DROP and named:
        axis = min(windows.places)
        is_inside = with_shape(windows.is_inside, (*windows.batch, *(1 for _ in windows.kept)))
        places[0], kind = select(stretched(is_inside, typeof(places[0]).shape), places[0], shape[axis]), "drop"
    return primitive(x, updates, *places, spec=Indexing(tuple(windows.places), 0, kind, unique))


def scatter(
    operand: Any,
    scatter_indices: Any,
    updates: Any,
    dimension_numbers: ScatterDimensionNumbers,
    *,
    indices_are_sorted: bool = False,
    unique_indices: bool = False,
    mode: Any = None,
) -> Any:
    """An array with windows at computed places overwritten; of several the last stays. See `functrans.numpy.at`.

    Args:
        scatter_indices: integers; the last axis has the components of an index. Negative ones are outside.
        updates: a window for each index.
        dimension_numbers: which axes mean what.
        indices_are_sorted: JAX's promise, which is not needed.
        unique_indices: a promise that no element is written twice.
        mode: a GatherScatterMode or its name, for windows that do not lie inside; "drop" if it is None.

    Raises:
        ShapeMismatchError: dimension numbers do not belong to the arrays.

    Example:
        >>> import numpy as np, functrans as ft
        >>> rows = ft.lax.ScatterDimensionNumbers((1,), (0,), (0,))
        >>> ft.lax.scatter(np.zeros((3, 2)), np.array([[2], [9]]), np.array([[1.0, 2.0], [3.0, 4.0]]), rows)
        array([[0., 0.],
               [0., 0.],
               [1., 2.]])
    """
    return _scatter(
        "scatter", indexing.scatter_set, operand, scatter_indices, updates, dimension_numbers, unique_indices, mode
    )


def _combining(name: str, primitive: Any, what: str, example: str) -> Callable[..., Any]:
    """A scatter that combines elements.

    Args:
        what: is done to elements.
        example: what becomes of 5 by updates of 2 and 8.
    """

    def scatter_combining(
        operand: Any,
        scatter_indices: Any,
        updates: Any,
        dimension_numbers: ScatterDimensionNumbers,
        *,
        indices_are_sorted: bool = False,
        unique_indices: bool = False,
        mode: Any = None,
    ) -> Any:
        return _scatter(name, primitive, operand, scatter_indices, updates, dimension_numbers, unique_indices, mode)

    scatter_combining.__name__ = scatter_combining.__qualname__ = name
    scatter_combining.__doc__ = f"""As `scatter`, with elements {what}, as often as windows name them.

    Example:
        >>> import numpy as np, functrans as ft
        >>> single = ft.lax.ScatterDimensionNumbers((), (0,), (0,))
        >>> ft.lax.{name}(np.array([4.0, 5.0, 6.0]), np.array([[1], [1]]), np.array([2.0, 8.0]), single)
        array([{example}])
    """
    return scatter_combining


def _subtract_at(x: Any, updates: Any, *places: Any, spec: Indexing) -> Any:
    return indexing.scatter_add(x, negative(updates), *places, spec=spec)


scatter_add = _combining("scatter_add", indexing.scatter_add, "added to", " 4., 15.,  6.")
scatter_sub = _combining("scatter_sub", _subtract_at, "subtracted from", " 4., -5.,  6.")
scatter_mul = _combining("scatter_mul", indexing.scatter_multiply, "multiplied by updates", " 4., 80.,  6.")
scatter_min = _combining("scatter_min", indexing.scatter_min, "replaced by updates that are less", "4., 2., 6.")
scatter_max = _combining("scatter_max", indexing.scatter_max, "replaced by updates that are greater", "4., 8., 6.")
