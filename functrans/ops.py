"""Reductions over segments, under JAX's names: rows that have one number are combined, wherever they stand."""

from __future__ import annotations

from typing import Any

import numpy as np

from .core.trace import typeof
from .errors import ShapeMismatchError
from .numpy.assignment import at
from .numpy.common import as_operand, concrete_value
from .numpy.creation import full, zeros
from .primitives.elementwise import less
from .primitives.selection import select


def segment_sum(data: Any, segment_ids: Any, num_segments: int | None = None) -> Any:
    """The sum of the rows of `data` with each number; zero where there are none.

    Args:
        data: of shape (n, ...).
        segment_ids: integers of shape (n,), in any order; rows with others than 0 to num_segments - 1 are left out.
        num_segments: the extent of the result's first axis; by default one more than the largest number, which must be
            known then: under `jit` it has to be given.

    Returns:
        An array of shape (num_segments, ...) and of the dtype of `data`.

    Raises:
        ShapeMismatchError: there is not one number for each row.
        ConcretizationError: num_segments is not given, and the numbers are traced.

    Example:
        >>> import numpy as np, functrans as ft
        >>> ft.ops.segment_sum(np.array([1.0, 2.0, 4.0]), np.array([0, 2, 0]))
        array([5., 0., 2.])
        >>> ft.grad(lambda x: ft.ops.segment_sum(x, np.array([0, 2, 0]), 3)[0] ** 2)(np.array([1.0, 2.0, 4.0]))
        array([10.,  0., 10.])
    """
    data, ids, shape = _segments(data, segment_ids, num_segments)
    return at(zeros(shape, typeof(data).dtype))[ids].add(data, mode="drop")


def segment_prod(data: Any, segment_ids: Any, num_segments: int | None = None) -> Any:
    """The product of the rows of `data` with each number, one where there are none; else as `segment_sum`.

    Example:
        >>> import numpy as np, functrans as ft
        >>> ft.ops.segment_prod(np.array([3.0, 2.0, 4.0]), np.array([0, 2, 0]))
        array([12.,  1.,  2.])
    """
    data, ids, shape = _segments(data, segment_ids, num_segments)
    return at(full(shape, 1, typeof(data).dtype))[ids].multiply(data, mode="drop")


def segment_max(data: Any, segment_ids: Any, num_segments: int | None = None) -> Any:
    """The largest elements of the rows of `data` with each number, else as `segment_sum`.

    Where there are none, the least number of the dtype: -inf, or the smallest integer.

    Example:
        >>> import numpy as np, functrans as ft
        >>> ft.ops.segment_max(np.array([3.0, 2.0, 4.0]), np.array([0, 2, 0]))
        array([  4., -inf,   2.])
    """
    data, ids, shape = _segments(data, segment_ids, num_segments)
    return at(full(shape, _least(typeof(data).dtype), typeof(data).dtype))[ids].max(data, mode="drop")


def segment_min(data: Any, segment_ids: Any, num_segments: int | None = None) -> Any:
    """The least elements of the rows of `data` with each number, else as `segment_sum`.

    Where there are none, the largest number of the dtype: inf, or the largest integer.

    Example:
        >>> import numpy as np, functrans as ft
        >>> ft.ops.segment_min(np.array([3.0, 2.0, 4.0]), np.array([0, 2, 0]))
        array([ 3., inf,  2.])
    """
    data, ids, shape = _segments(data, segment_ids, num_segments)
    return at(full(shape, _largest(typeof(data).dtype), typeof(data).dtype))[ids].min(data, mode="drop")


def _segments(data: Any, segment_ids: Any, num_segments: int | None) -> tuple[Any, Any, tuple[int, ...]]:
    """The rows; their numbers, one beyond the last for those that are left out; and the shape of the result."""
    data, ids = as_operand(data), as_operand(segment_ids)
    shape, numbers = typeof(data).shape, typeof(ids).shape
    if len(numbers) != 1 or shape[:1] != numbers:
        raise ShapeMismatchError(
            f"Segments were asked for with data of shape {shape} and numbers of shape {numbers}.",
            "There is one number for each row of the data.",
            "Give an array of integers as long as the first axis of the data.",
        )
    if num_segments is None:
        known = concrete_value(ids, "segment_ids", "Give num_segments, how many segments there are.")
        num_segments = int(np.max(known)) + 1 if numbers[0] else 0
    return data, select(less(ids, 0), num_segments, ids), (num_segments, *shape[1:])


def _least(dtype: np.dtype[Any]) -> Any:
    return False if dtype.kind == "b" else np.iinfo(dtype).min if dtype.kind in "iu" else -np.inf


def _largest(dtype: np.dtype[Any]) -> Any:
    return True if dtype.kind == "b" else np.iinfo(dtype).max if dtype.kind in "iu" else np.inf


__all__ = ["segment_max", "segment_min", "segment_prod", "segment_sum"]
