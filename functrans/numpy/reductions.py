"""Sums, products, extremes and statistics."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core.avals import typeof
from ..primitives.foundation import convert, reduce_sum, reshape


def normalize_axes(axis: Any, ndim: int) -> tuple[int, ...]:
    """NumPy's axis argument as a tuple of non-negative integers; None stands for all axes."""
    if axis is None:
        return tuple(range(ndim))
    return np.lib.array_utils.normalize_axis_tuple(axis, ndim)


def sum(x: Any, axis: Any = None, dtype: Any = None, out: None = None, keepdims: bool = False) -> Any:
    """numpy.sum."""
    aval = typeof(x)
    axes = normalize_axes(axis, aval.ndim)
    target = np.dtype(dtype) if dtype is not None else np.add.reduce(np.zeros(0, aval.dtype)).dtype
    y = reduce_sum(x if aval.dtype == target else convert(x, dtype=target), axes=axes)
    return reshape(y, shape=tuple(1 if i in axes else n for i, n in enumerate(aval.shape))) if keepdims else y
