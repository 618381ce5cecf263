"""Functions that make, move, repeat and join elements, and reduce axes, under JAX's names."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from math import prod
from typing import Any

import numpy as np

from .. import tree
from ..api.arguments import gives_its_own, own_results
from ..core.trace import typeof
from ..numpy import creation, ranges
from ..numpy.common import as_operand, cast, stretched, with_shape
from ..numpy.sorting import lexsort
from ..primitives import selection, structural
from ..primitives.sorting import top_k


def full(shape: Sequence[int], fill_value: Any, dtype: Any = None) -> Any:
    """An array of one number.

    Example:
        >>> import functrans as ft
        >>> ft.lax.full((2,), 0.5)
        array([0.5, 0.5])
    """
    return creation.full(shape, fill_value, dtype)


def full_like(x: Any, fill_value: Any, dtype: Any = None, shape: Sequence[int] | None = None) -> Any:
    """An array of one number, by default with the dtype and shape of x.

    Example:
        >>> import numpy as np, functrans as ft
        >>> ft.lax.full_like(np.zeros(2, np.float32), 7)
        array([7., 7.], dtype=float32)
    """
    return np.full_like(x, fill_value, dtype=dtype, shape=shape)


def iota(dtype: Any, size: int) -> Any:
    """0, 1, ..., size - 1.

    Example:
        >>> import numpy as np, functrans as ft
        >>> ft.lax.iota(np.float32, 3)
        array([0., 1., 2.], dtype=float32)
    """
    return ranges.arange(size, dtype=dtype)


@gives_its_own
def broadcast(operand: Any, sizes: Sequence[int]) -> Any:
    """The operand repeated along new axes in front.

    Example:
        >>> import numpy as np, functrans as ft
        >>> ft.lax.broadcast(np.zeros(2), (4, 3)).shape
        (4, 3, 2)
    """
    x = as_operand(operand)
    return stretched(x, (*sizes, *typeof(x).shape))


@gives_its_own
def broadcast_to_rank(x: Any, rank: int) -> Any:
    """New axes of extent one in front, up to a number of axes.

    Example:
        >>> import numpy as np, functrans as ft
        >>> ft.lax.broadcast_to_rank(np.array([1, 2]), 3)
        array([[[1, 2]]])
    """
    x = as_operand(x)
    shape = typeof(x).shape
    return with_shape(x, ((1,) * (rank - len(shape)) + shape))


def broadcasted_iota(dtype: Any, shape: Sequence[int], dimension: int) -> Any:
    """0, 1, 2, ... along an axis, the same along the others.

    Example:
        >>> import functrans as ft
        >>> ft.lax.broadcasted_iota(int, (2, 3), 1)
        array([[0, 1, 2],
               [0, 1, 2]])
    """
    row = iota(dtype, shape[dimension])
    return broadcast_in_dim(row, shape, (dimension % len(shape),))


def empty(shape: Sequence[int], dtype: Any = float) -> Any:
    """An array that is to be filled; of zeros here.

    Example:
        >>> import functrans as ft
        >>> ft.lax.empty((2,), int)
        array([0, 0])
    """
    return creation.zeros(shape, dtype)


def tile(operand: Any, reps: Sequence[int]) -> Any:
    """The array repeated along each axis.

    Example:
        >>> import numpy as np, functrans as ft
        >>> ft.lax.tile(np.array([[1, 2]]), (2, 2))
        array([[1, 2, 1, 2],
               [1, 2, 1, 2]])
    """
    return np.tile(operand, tuple(reps))


@gives_its_own
def split(operand: Any, sizes: Sequence[int], axis: int = 0) -> list[Any]:
    """Parts of given sizes along an axis.

    Example:
        >>> import numpy as np, functrans as ft
        >>> ft.lax.split(np.arange(3), [1, 2])
        [array([0]), array([1, 2])]
    """
    return list(np.split(operand, np.cumsum(sizes)[:-1].tolist(), axis))


def stack(operands: Sequence[Any], axis: int = 0) -> Any:
    """Arrays of one shape along a new axis.

    Example:
        >>> import numpy as np, functrans as ft
        >>> ft.lax.stack([np.array([1, 2]), np.array([3, 4])], axis=1)
        array([[1, 3],
               [2, 4]])
    """
    return np.stack(list(operands), axis)


@gives_its_own
def unstack(x: Any, axis: int = 0) -> tuple[Any, ...]:
    """The parts of an array along an axis, without it.

    Example:
        >>> import numpy as np, functrans as ft
        >>> ft.lax.unstack(np.array([[1, 2], [3, 4]]), axis=1)
        (array([1, 3]), array([2, 4]))
    """
    return tuple(np.moveaxis(x, axis, 0))


def stop_gradient(x: Any) -> Any:
    """The values of a pytree of arrays, without derivatives of any order.

    Arrays are copies: what is assigned into them leaves x alone.

    Example:
        >>> import functrans as ft
        >>> ft.grad(lambda x: x * ft.lax.stop_gradient(x))(3.0)
        np.float64(3.0)
    """
    leaves, treedef = tree.flatten(x)
    return treedef.unflatten(own_results([selection.stop_gradient(leaf) for leaf in leaves], leaves))


def optimization_barrier(operand: Any) -> Any:
    """A copy of the operand, a pytree; nothing is moved across values that are needed anyway.

    Example:
        >>> import functrans as ft
        >>> ft.lax.optimization_barrier((1.0, 2.0))
        (1.0, 2.0)
    """
    leaves, treedef = tree.flatten(operand)
    return treedef.unflatten(own_results(list(leaves), leaves))


@gives_its_own
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


@gives_its_own
def reshape(operand: Any, new_sizes: Sequence[int]) -> Any:
    """The same elements in another shape.

    Example:
        >>> import numpy as np, functrans as ft
        >>> ft.lax.reshape(np.arange(4), (2, 2))
        array([[0, 1],
               [2, 3]])
    """
    return np.reshape(operand, new_sizes)


@gives_its_own
def collapse(operand: Any, start_dimension: int, stop_dimension: int | None = None) -> Any:
    """Axes from one up to another in one; to the last without another.

    Example:
        >>> import numpy as np, functrans as ft
        >>> ft.lax.collapse(np.zeros((2, 3, 4)), 0, 2).shape
        (6, 4)
    """
    x = as_operand(operand)
    shape = typeof(x).shape
    start, stop, _ = slice(start_dimension, stop_dimension).indices(len(shape))
    return with_shape(x, (*shape[:start], prod(shape[start:stop]), *shape[stop:]))


@gives_its_own
def expand_dims(array: Any, dimensions: Sequence[int]) -> Any:
    """New axes of extent one, at these places of the result.

    Example:
        >>> import numpy as np, functrans as ft
        >>> ft.lax.expand_dims(np.zeros(3), (0, 2)).shape
        (1, 3, 1)
    """
    return np.expand_dims(array, tuple(dimensions))


@gives_its_own
def squeeze(array: Any, dimensions: Sequence[int]) -> Any:
    """Without these axes, which have extent one.

    Example:
        >>> import numpy as np, functrans as ft
        >>> ft.lax.squeeze(np.zeros((1, 3, 1)), (0,)).shape
        (3, 1)
    """
    return np.squeeze(array, tuple(dimensions))


@gives_its_own
def transpose(operand: Any, permutation: Sequence[int]) -> Any:
    """Axes in another order.

    Example:
        >>> import numpy as np, functrans as ft
        >>> ft.lax.transpose(np.zeros((2, 3, 4)), (2, 0, 1)).shape
        (4, 2, 3)
    """
    return np.transpose(operand, permutation)


@gives_its_own
def rev(operand: Any, dimensions: Sequence[int]) -> Any:
    """Elements from last to first along axes.

    Example:
        >>> import numpy as np, functrans as ft
        >>> ft.lax.rev(np.array([1, 2, 3]), (0,))
        array([3, 2, 1])
    """
    return np.flip(operand, tuple(dimensions))


def concatenate(operands: Sequence[Any], dimension: int) -> Any:
    """Arrays one after the other along an axis.

    Example:
        >>> import numpy as np, functrans as ft
        >>> ft.lax.concatenate([np.zeros(1), np.ones(2)], 0)
        array([0., 1., 1.])
    """
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


def sort(operand: Any, dimension: int = -1, is_stable: bool = True, num_keys: int = 1) -> Any:
    """In order along an axis; of several arrays, the others in the order that the first ones have then.

    Args:
        operand: an array, or a sequence of arrays of one shape.
        is_stable: JAX's; equal elements keep their order always.
        num_keys: how many of several arrays decide the order, the first one before the second.

    Example:
        >>> import numpy as np, functrans as ft
        >>> ft.lax.sort((np.array([2, 1, 2]), np.array([5, 6, 4])), num_keys=2)
        (array([1, 2, 2]), array([6, 4, 5]))
    """
    if not isinstance(operand, tuple | list):
        return np.sort(operand, dimension)
    arrays = [as_operand(x) for x in operand]
    order = lexsort(arrays[:num_keys][::-1], dimension)
    return tuple(np.take_along_axis(x, order, dimension) for x in arrays)


def sort_key_val(keys: Any, values: Any, dimension: int = -1, is_stable: bool = True) -> tuple[Any, Any]:
    """Keys in order along an axis, and values in the order of the keys.

    Example:
        >>> import numpy as np, functrans as ft
        >>> ft.lax.sort_key_val(np.array([2, 1]), np.array([5, 6]))
        (array([1, 2]), array([6, 5]))
    """
    found = sort((keys, values), dimension, is_stable)
    return found[0], found[1]


def approx_max_k(
    operand: Any, k: int, reduction_dimension: int = -1, recall_target: float = 0.95, **options: Any
) -> tuple[Any, Any]:
    """The k largest along an axis and where they are: exactly, whatever recall is asked for.

    Example:
        >>> import numpy as np, functrans as ft
        >>> ft.lax.approx_max_k(np.array([3.0, 1.0, 2.0]), 2)
        (array([3., 2.]), array([0, 2]))
    """
    values, places = top_k(np.moveaxis(operand, reduction_dimension, -1), k)
    return np.moveaxis(values, -1, reduction_dimension), np.moveaxis(places, -1, reduction_dimension)


def approx_min_k(
    operand: Any, k: int, reduction_dimension: int = -1, recall_target: float = 0.95, **options: Any
) -> tuple[Any, Any]:
    """The k smallest along an axis and where they are: exactly, whatever recall is asked for.

    Example:
        >>> import numpy as np, functrans as ft
        >>> ft.lax.approx_min_k(np.array([3.0, 1.0, 2.0]), 2)
        (array([1., 2.]), array([1, 2]))
    """
    values, places = approx_max_k(np.negative(operand), k, reduction_dimension)
    return np.negative(values), places


def argmax(operand: Any, axis: int, index_dtype: Any) -> Any:
    """Where the first of the largest elements is.

    Example:
        >>> import numpy as np, functrans as ft
        >>> ft.lax.argmax(np.array([1, 3, 3]), 0, np.int32)
        np.int32(1)
    """
    return np.argmax(operand, axis).astype(index_dtype)


def argmin(operand: Any, axis: int, index_dtype: Any) -> Any:
    """Where the first of the smallest elements is.

    Example:
        >>> import numpy as np, functrans as ft
        >>> ft.lax.argmin(np.array([[3, 1, 1], [0, 2, 2]]), 1, np.int32)
        array([1, 0], dtype=int32)
    """
    return np.argmin(operand, axis).astype(index_dtype)


def reduce_sum(operand: Any, axes: Sequence[int]) -> Any:
    """Sums along axes.

    Example:
        >>> import numpy as np, functrans as ft
        >>> ft.lax.reduce_sum(np.ones((2, 3)), (1,))
        array([3., 3.])
    """
    x = as_operand(operand)
    return np.sum(x, axis=tuple(axes), dtype=typeof(x).dtype)


def reduce_prod(operand: Any, axes: Sequence[int]) -> Any:
    """Products along axes.

    Example:
        >>> import numpy as np, functrans as ft
        >>> ft.lax.reduce_prod(np.array([[6, 3], [4, 1]]), (1,))
        array([18,  4])
    """
    x = as_operand(operand)
    return np.prod(x, axis=tuple(axes), dtype=typeof(x).dtype)


def reduce_max(operand: Any, axes: Sequence[int]) -> Any:
    """The largest along axes.

    Example:
        >>> import numpy as np, functrans as ft
        >>> ft.lax.reduce_max(np.array([[1, 5], [3, 2]]), (0,))
        array([3, 5])
    """
    return np.max(operand, axis=tuple(axes))


def reduce_min(operand: Any, axes: Sequence[int]) -> Any:
    """The smallest along axes.

    Example:
        >>> import numpy as np, functrans as ft
        >>> ft.lax.reduce_min(np.array([[6, 3], [4, 1]]), (1,))
        array([3, 1])
    """
    return np.min(operand, axis=tuple(axes))


def reduce_and(operand: Any, axes: Sequence[int]) -> Any:
    """Whether all along axes are true; of integers, bit by bit.

    Example:
        >>> import numpy as np, functrans as ft
        >>> ft.lax.reduce_and(np.array([[6, 3], [4, 1]]), (1,))
        array([2, 0])
    """
    return _of_bits(np.all, np.bitwise_and, operand, axes)


def reduce_xor(operand: Any, axes: Sequence[int]) -> Any:
    """Whether an odd number along axes is true; of integers, bit by bit.

    Example:
        >>> import numpy as np, functrans as ft
        >>> ft.lax.reduce_xor(np.array([[6, 3], [4, 1]]), (1,))
        array([5, 5])
    """
    return np.bitwise_xor.reduce(as_operand(operand), axis=tuple(axes))


def reduce_or(operand: Any, axes: Sequence[int]) -> Any:
    """Whether any along axes is true; of integers, bit by bit.

    Example:
        >>> import numpy as np, functrans as ft
        >>> ft.lax.reduce_or(np.array([[6, 3], [4, 1]]), (1,))
        array([7, 5])
    """
    return _of_bits(np.any, np.bitwise_or, operand, axes)


def _of_bits(of_booleans: Any, of_integers: np.ufunc, operand: Any, axes: Sequence[int]) -> Any:
    x = as_operand(operand)
    reduce = of_booleans if typeof(x).dtype.kind == "b" else of_integers.reduce
    return reduce(x, axis=tuple(axes))


class Precision(Enum):
    """JAX's wishes for the precision of products; here they have that of their operands."""

    DEFAULT = 0
    HIGH = 1
    HIGHEST = 2


def dot(lhs: Any, rhs: Any, precision: Any = None, preferred_element_type: Any = None) -> Any:
    """Products of vectors and matrices; operands are cast to a dtype that is preferred for the result.

    Example:
        >>> import numpy as np, functrans as ft
        >>> ft.lax.dot(np.array([[1.0, 2.0]]), np.array([3.0, 4.0]))
        array([11.])
    """
    return np.dot(*_preferred(lhs, rhs, preferred_element_type))


def batch_matmul(lhs: Any, rhs: Any, precision: Any = None) -> Any:
    """Products of many matrices.

    Example:
        >>> import numpy as np, functrans as ft
        >>> ft.lax.batch_matmul(np.ones((5, 2, 3)), np.ones((5, 3, 4))).shape
        (5, 2, 4)
    """
    return np.matmul(lhs, rhs)


def _preferred(lhs: Any, rhs: Any, dtype: Any) -> list[Any]:
    """Operands in the dtype that the result is to have."""
    operands = [as_operand(lhs), as_operand(rhs)]
    return operands if dtype is None else [cast(x, dtype) for x in operands]


def dot_general(
    lhs: Any,
    rhs: Any,
    dimension_numbers: tuple[tuple[Sequence[int], Sequence[int]], tuple[Sequence[int], Sequence[int]]],
    precision: Any = None,
    preferred_element_type: Any = None,
) -> Any:
    """Sums of products over pairs of axes, for each place along other pairs.

    Args:
        dimension_numbers: `((lhs, rhs), (lhs, rhs))`: the axes to sum over, and those to walk along together, which
            come first in the result; the other axes of lhs and rhs follow.
        precision: JAX's; products have that of their operands.
        preferred_element_type: a dtype to which the operands are cast.

    Example:
        >>> import numpy as np, functrans as ft
        >>> ft.lax.dot_general(np.ones((5, 2, 3)), np.ones((5, 3, 4)), (((2,), (1,)), ((0,), (0,)))).shape
        (5, 2, 4)
    """
    (summed_left, summed_right), (walked_left, walked_right) = dimension_numbers
    x, y = _preferred(lhs, rhs, preferred_element_type)
    left = list(range(typeof(x).ndim))
    right = [len(left) + axis for axis in range(typeof(y).ndim)]
    for i, j in zip((*summed_left, *walked_left), (*summed_right, *walked_right), strict=True):
        right[j] = left[i]
    walked = [left[i] for i in walked_left]
    free = [axis for axis in (*left, *right) if (axis in left) != (axis in right)]
    return np.einsum(x, left, y, right, [*walked, *free])


__all__ = [
    "Precision", "approx_max_k", "approx_min_k", "argmax", "argmin", "batch_matmul", "broadcast", "broadcast_in_dim",
    "broadcast_to_rank", "broadcasted_iota", "collapse", "concatenate", "dot", "dot_general", "empty", "expand_dims",
    "full", "full_like", "iota", "optimization_barrier", "pad", "reduce_and", "reduce_max", "reduce_min", "reduce_or",
    "reduce_prod", "reduce_sum", "reduce_xor", "reshape", "rev", "sort", "sort_key_val", "split", "squeeze", "stack",
    "stop_gradient", "tile", "transpose", "unstack",
]  # fmt: skip
