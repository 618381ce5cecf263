"""Indices: what a list of integer arrays means as an index, and what becomes of it on concrete arrays."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from itertools import pairwise
from string import ascii_lowercase
from typing import Any, NamedTuple

import numpy as np

from ..core.avals import INT, ShapedArray
from ..core.devices import is_on_device
from ..errors import OutOfBoundsError
from .foundation import Shape, without


class Indexing(NamedTuple):
    """What a list of integer arrays, broadcast to one shape, means as an index of an array x.

    Attributes:
        axes: the axis of x that each index array runs along; the remaining axes are taken whole.
        position: how many of the remaining axes come before those of the index arrays in the result.
        mode: what an index outside [-n, n) means: "raise", "clip" (to [0, n); negative ones too), "wrap" (modulo n),
            or "drop" (gather gives a fill value, scatter leaves it out). "raise" and "drop" count negative indices
            from the end.
        unique: a promise that no element is named twice.
    """

    axes: Shape
    position: int = 0
    mode: str = "raise"
    unique: bool = False

    def __str__(self) -> str:
        """As one would write it, with where the axes of the indices go if that is not where NumPy puts them."""
        names = {axis: ascii_lowercase[8:][i % 18] for i, axis in enumerate(self.axes)}
        text = ",".join(names.get(axis, ":") for axis in range(max(self.axes, default=-1) + 1))
        is_block = all(b == a + 1 for a, b in pairwise(self.axes))
        usual = self.axes[0] if self.axes and is_block else 0
        moved = "" if self.position == usual else f"->{self.position}"
        return f"x[{text or '...'}]{moved}" + ("" if self.mode == "raise" else f"/{self.mode}")

    def result_shape(self, x: Shape, index: Shape) -> Shape:
        """The shape of what the index selects."""
        rest = without(x, self.axes)
        return rest[: self.position] + index + rest[self.position :]

    def behind_lanes(self) -> Indexing:
        """The same index of an array with one more leading axis, which is taken whole."""
        return self._replace(axes=tuple(a + 1 for a in self.axes), position=self.position + 1)

    def with_lanes(self) -> Indexing:
        """The same with one more leading axis, and one more index array along it."""
        return self._replace(axes=(0, *(a + 1 for a in self.axes)))


def are_integers(places: Sequence[Any]) -> bool:
    """Whether arrays, or places of such, hold integers."""
    return all(place.dtype.kind in "iu" for place in places)


def block_order(ndim: int, source: int, target: int, width: int) -> Shape:
    """The permutation that moves a block of axes: `source` and `target` count the other axes before it."""
    block = tuple(range(source, source + width))
    rest = tuple(axis for axis in range(ndim) if axis not in block)
    return rest[:target] + block + rest[target:]


def numpy_index(shape: Shape, indices: Sequence[Any], axes: Shape) -> tuple[tuple[Any, ...], int, int]:
    """The index for NumPy, the position where NumPy will put the index axes, and how many these are."""
    places: list[Any] = [slice(None)] * len(shape)
    for axis, index in zip(axes, indices):
        places[axis] = index
    first = min(axes)
    adjacent = max(axes) - first == len(axes) - 1
    return tuple(places), first if adjacent else 0, max(map(np.ndim, indices))


def moved(y: Any, source: int, target: int, width: int) -> Any:
    """An array with a block of so many axes moved."""
    return y if source == target or not width else y.transpose(block_order(y.ndim, source, target, width))


def signed(index: Any) -> Any:
    """An index that can be negative."""
    return index if isinstance(index, int) else index.astype(np.intp)


def as_arrays(x: Any, indices: Sequence[Any]) -> list[Any]:
    """Indices as signed arrays in the place where x is."""
    if is_on_device(x):
        return [signed(i) if is_on_device(i) else np.array(i, np.intp, like=x) for i in indices]
    return [np.asarray(signed(i)) for i in indices]


def within_bounds(shape: Shape, indices: Sequence[Any], spec: Indexing) -> Sequence[Any]:
    """Indices that NumPy may be left to check, with the modes that it does not know applied."""
    if spec.mode == "clip":
        return [np.clip(signed(i), 0, shape[axis] - 1) for i, axis in zip(indices, spec.axes)]
    if spec.mode == "wrap":
        return [np.remainder(signed(i), max(shape[axis], 1)) for i, axis in zip(indices, spec.axes)]
    return indices


def is_outside(index: Any, extent: int) -> Any:
    """Which numbers name no element, neither from the beginning nor from the end."""
    return (index < -extent) | (index >= extent)


def dropped(
    x: Any, updates: Any, indices: Sequence[Any], spec: Indexing
) -> tuple[Any, Sequence[Any], Indexing]:
    """Updates and indices without those that point outside x, along one axis."""
    indices = as_arrays(x, indices)
    outside = reduce(np.logical_or, map(is_outside, indices, (x.shape[a] for a in spec.axes)))
    indices = [np.broadcast_to(i, outside.shape)[~outside] for i in indices]
    updates = np.array(updates, like=x) if is_on_device(x) else np.asarray(updates)
    updates = moved(updates, spec.position, 0, outside.ndim)[~outside]
    return updates, indices, spec._replace(position=0, mode="raise")


def flat_places(shape: Shape, indices: Sequence[Any], axes: Shape) -> tuple[Any, int]:
    """Positions in the flattened array, index axes first, and the number of index axes."""
    strides = [ShapedArray(shape[axis + 1 :], INT).size for axis in range(len(shape))]
    flat: Any = 0
    for axis, index in zip(axes, map(signed, indices)):
        if np.any(is_outside(index, shape[axis])):
            raise IndexError
        flat = flat + np.where(index < 0, index + shape[axis], index) * strides[axis]
    width = flat.ndim
    for axis, extent in enumerate(shape):
        if axis not in axes:
            flat = flat[..., None] + np.arange(extent, like=flat) * strides[axis]
    return flat, width


def out_of_bounds(shape: Shape, indices: Sequence[Any], spec: Indexing, error: Exception) -> OutOfBoundsError:
    """What is said of indices that NumPy has refused."""
    for axis, index in zip(spec.axes, indices):
        index = index.get() if is_on_device(index) else np.asarray(index)
        outside = index[is_outside(index, shape[axis])]
        if outside.size:
            return out_of_bounds_error(outside.flat[0], axis, shape)
    return OutOfBoundsError(f"An index does not fit an array of shape {shape}: {error}.")


def out_of_bounds_error(index: Any, axis: int, shape: Shape) -> OutOfBoundsError:
    """The error for an index of an array of a certain shape."""
    extent = shape[axis]
    return OutOfBoundsError(
        f"Index {index} is out of bounds for axis {axis} with size {extent}, of an array of shape {shape}.",
        f"Indices go from {-extent} to {extent - 1}." if extent else "The axis is empty.",
        "Correct the index, or say what an index outside means: functrans.numpy.at(x)[i].get(mode=...) with mode "
        "'clip', 'wrap' or 'fill', and .set(v, mode=...) with 'clip', 'wrap' or 'drop'.",
    )
