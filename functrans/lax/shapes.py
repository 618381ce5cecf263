"""Functions that make, move, repeat and join elements, and reduce axes, under JAX's names."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from ..core.trace import typeof
from ..numpy import creation, ranges
from ..numpy.common import as_operand, cast, stretched, with_shape
from ..primitives import structural


def full(shape: Sequence[int], fill_value: Any, dtype: Any = None) -> Any:
    """An array of one number."""
    return creation.full(shape, fill_value, dtype)


def full_like(x: Any, fill_value: Any, dtype: Any = None, shape: Sequence[int] | None = None) -> Any:
    """An array of one number, by default with the dtype and shape of x."""
    return np.full_like(x, fill_value, dtype=dtype, shape=shape)


def iota(dtype: Any, size: int) -> Any:
    """0, 1, ..., size - 1."""
    return ranges.arange(size, dtype=dtype)


def broadcast(operand: Any, sizes: Sequence[int]) -> Any:
    """The operand repeated along new axes in front."""
    x = as_operand(operand)
    return stretched(x, (*sizes, *typeof(x).shape))


def broadcast_in_dim(operand: Any, shape: Sequence[int], broadcast_dimensions: Sequence[int]) -> Any:
    """The operand repeated to a shape, in which its axes are those named.

    Example:
        >>> import numpy as np, functrans as ft
        >>> ft.lax.broadcast_in_dim(np.arange(2), (2, 3), (0,))
        array([[0, 0, 0],
               [1, 1, 1]])
    """
    x = as_operand(operand)
    extents = dict(zip(broadcast_dimensions, typeof(x).shape, strict=True))
    return stretched(with_shape(x, tuple(extents.get(axis, 1) for axis in range(len(shape)))), tuple(shape))


def reshape(operand: Any, new_sizes: Sequence[int]) -> Any:
    """The same elements in another shape."""
    return np.reshape(operand, new_sizes)


def collapse(operand: Any, start_dimension: int, stop_dimension: int | None = None) -> Any:
    """Axes from one up to another in one; to the last without another."""
    x = as_operand(operand)
    shape = typeof(x).shape
    start, stop, _ = slice(start_dimension, stop_dimension).indices(len(shape))
    return with_shape(x, (*shape[:start], prod(shape[start:stop]), *shape[stop:]))


def expand_dims(array: Any, dimensions: Sequence[int]) -> Any:
    """New axes of extent one, at these places of the result."""
    return np.expand_dims(array, tuple(dimensions))


def squeeze(array: Any, dimensions: Sequence[int]) -> Any:
    """Without these axes, which have extent one."""
    return np.squeeze(array, tuple(dimensions))


def transpose(operand: Any, permutation: Sequence[int]) -> Any:
    """Axes in another order."""
    return np.transpose(operand, permutation)


def rev(operand: Any, dimensions: Sequence[int]) -> Any:
    """Elements from last to first along axes."""
    return np.flip(operand, tuple(dimensions))


def concatenate(operands: Sequence[Any], dimension: int) -> Any:
    """Arrays one after the other along an axis."""
    return np.concatenate(operands, dimension)


def pad(operand: Any, padding_value: Any, padding_config: Sequence[tuple[int, int, int]]) -> Any:
    """For each axis (low, high, interior) numbers before, after and between; negative ones take elements away.

    Example:
        >>> import numpy as np, functrans as ft
        >>> ft.lax.pad(np.array([1, 2, 3]), 0, [(1, -1, 1)])
        array([0, 1, 0, 2, 0])
    """
    x = as_operand(operand)
    value = cast(as_operand(padding_value), typeof(x).dtype)
    return structural.pad(x, value, padding=tuple((low, high, interior) for low, high, interior in padding_config))


def sort(operand: Any, dimension: int = -1) -> Any:
    """In order along an axis."""
    return np.sort(operand, dimension)


def argmax(operand: Any, axis: int, index_dtype: Any) -> Any:
    """Where the first of the largest elements is."""
    return np.argmax(operand, axis).astype(index_dtype)


def argmin(operand: Any, axis: int, index_dtype: Any) -> Any:
    """Where the first of the smallest elements is."""
    return np.argmin(operand, axis).astype(index_dtype)


def reduce_sum(operand: Any, axes: Sequence[int]) -> Any:
    """Sums along axes."""
    x = as_operand(operand)
    return np.sum(x, axis=tuple(axes), dtype=typeof(x).dtype)


def reduce_prod(operand: Any, axes: Sequence[int]) -> Any:
    """Products along axes."""
    x = as_operand(operand)
    return np.prod(x, axis=tuple(axes), dtype=typeof(x).dtype)


def reduce_max(operand: Any, axes: Sequence[int]) -> Any:
    """The largest along axes."""
    return np.max(operand, axis=tuple(axes))


def reduce_min(operand: Any, axes: Sequence[int]) -> Any:
    """The smallest along axes."""
    return np.min(operand, axis=tuple(axes))


def reduce_and(operand: Any, axes: Sequence[int]) -> Any:
    """Whether all along axes are true."""
    return np.all(operand, axis=tuple(axes))


def reduce_or(operand: Any, axes: Sequence[int]) -> Any:
    """Whether any along axes is true."""
    return np.any(operand, axis=tuple(axes))


def dot(lhs: Any, rhs: Any) -> Any:
    """Products of vectors and matrices."""
    return np.dot(lhs, rhs)


def batch_matmul(lhs: Any, rhs: Any) -> Any:
    """Products of many matrices."""
    return np.matmul(lhs, rhs)


def dot_general(
    lhs: Any,
    rhs: Any,
    dimension_numbers: tuple[tuple[Sequence[int], Sequence[int]], tuple[Sequence[int], Sequence[int]]],
) -> Any:
    """Sums of products over pairs of axes, for each place along other pairs.

    Args:
        dimension_numbers: `((lhs, rhs), (lhs, rhs))`: the axes to sum over, and those to walk along together, which
            come first in the result; the other axes of lhs and rhs follow.

    Example:
        >>> import numpy as np, functrans as ft
        >>> ft.lax.dot_general(np.ones((5, 2, 3)), np.ones((5, 3, 4)), (((2,), (1,)), ((0,), (0,)))).shape
        (5, 2, 4)
    """
    (summed_left, summed_right), (walked_left, walked_right) = dimension_numbers
    x, y = as_operand(lhs), as_operand(rhs)
    left = list(range(typeof(x).ndim))
    right = [len(left) + axis for axis in range(typeof(y).ndim)]
    for i, j in zip((*summed_left, *walked_left), (*summed_right, *walked_right), strict=True):
        right[j] = left[i]
    walked = [left[i] for i in walked_left]
    free = [axis for axis in (*left, *right) if (axis in left) != (axis in right)]
    return np.einsum(x, left, y, right, [*walked, *free])


__all__ = [
    "argmax", "argmin", "batch_matmul", "broadcast", "broadcast_in_dim", "collapse", "concatenate", "dot",
    "dot_general", "expand_dims", "full", "full_like", "iota", "pad", "reduce_and", "reduce_max", "reduce_min",
    "reduce_or", "reduce_prod", "reduce_sum", "reshape", "rev", "sort", "squeeze", "transpose",
]  # fmt: skip
