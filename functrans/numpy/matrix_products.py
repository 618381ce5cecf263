"""numpy.linalg: the products and views that it shares with the main namespace."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core.trace import typeof


def matmul(x1: Any, x2: Any, /) -> Any:
    """numpy.linalg.matmul."""
    return np.matmul(x1, x2)


def tensordot(x1: Any, x2: Any, /, *, axes: Any = 2) -> Any:
    """numpy.linalg.tensordot."""
    return np.tensordot(x1, x2, axes)


def vecdot(x1: Any, x2: Any, /, *, axis: int = -1) -> Any:
    """numpy.linalg.vecdot."""
    return np.vecdot(np.moveaxis(x1, axis, -1), np.moveaxis(x2, axis, -1))


def outer(x1: Any, x2: Any, /) -> Any:
    """numpy.linalg.outer."""
    if typeof(x1).ndim != 1 or typeof(x2).ndim != 1:
        raise ValueError(
            f"Input arrays must be one-dimensional, but they are x1.ndim={typeof(x1).ndim} and "
            f"x2.ndim={typeof(x2).ndim}."
        )
    return np.outer(x1, x2)


def cross(x1: Any, x2: Any, /, *, axis: int = -1) -> Any:
    """numpy.linalg.cross."""
    if typeof(x1).shape[axis] != 3 or typeof(x2).shape[axis] != 3:
        raise ValueError(
            "Both input arrays must be (arrays of) 3-dimensional vectors, but they are "
            f"{typeof(x1).shape[axis]} and {typeof(x2).shape[axis]} dimensional instead."
        )
    return np.cross(x1, x2, axis=axis)


def trace(x: Any, /, *, offset: int = 0, dtype: Any = None) -> Any:
    """numpy.linalg.trace: of the last two axes."""
    return np.trace(x, offset, axis1=-2, axis2=-1, dtype=dtype)


def diagonal(x: Any, /, *, offset: int = 0) -> Any:
    """numpy.linalg.diagonal: of the last two axes."""
    return np.diagonal(x, offset, axis1=-2, axis2=-1)


def matrix_transpose(x: Any, /) -> Any:
    """numpy.linalg.matrix_transpose."""
    return np.swapaxes(x, -1, -2)


def multi_dot(arrays: Any) -> Any:
    """numpy.linalg.multi_dot: the product in the order that takes the fewest multiplications."""
    arrays = list(arrays)
    if len(arrays) < 2:
        raise ValueError("Expecting at least two arrays.")
    first_is_vector, last_is_vector = typeof(arrays[0]).ndim == 1, typeof(arrays[-1]).ndim == 1
    arrays[0] = np.expand_dims(arrays[0], 0) if first_is_vector else arrays[0]
    arrays[-1] = np.expand_dims(arrays[-1], 1) if last_is_vector else arrays[-1]
    for a in arrays:
        if typeof(a).ndim != 2:
            raise np.linalg.LinAlgError(
                f"{typeof(a).ndim}-dimensional array given. Array must be two-dimensional"
            )
    extents = [typeof(arrays[0]).shape[0], *(typeof(a).shape[1] for a in arrays)]
    split = _best_splits(extents)

    def product(i: int, j: int) -> Any:
        return arrays[i] if i == j else np.matmul(product(i, split[i, j]), product(split[i, j] + 1, j))

    result = product(0, len(arrays) - 1)
    result = result[0] if first_is_vector else result
    return result[..., 0] if last_is_vector else result


def _best_splits(extents: list[int]) -> dict[tuple[int, int], int]:
    """Where to split each chain of matrices, by dynamic programming (Cormen et al., section 14.2)."""
    count = len(extents) - 1
    cost = {(i, i): 0 for i in range(count)}
    split: dict[tuple[int, int], int] = {}
    for length in range(1, count):
        for i in range(count - length):
            j = i + length
            costs = {
                k: cost[i, k] + cost[k + 1, j] + extents[i] * extents[k + 1] * extents[j + 1] for k in range(i, j)
            }
            split[i, j] = min(costs, key=costs.__getitem__)
            cost[i, j] = costs[split[i, j]]
    return split
