"""Slices under JAX's names: static ones, and those whose start is traced."""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_index

from ..api.arguments import gives_its_own
from ..core.trace import typeof
from ..numpy.common import as_operand
from ..primitives import dynamic_slice as _primitives
from ..primitives import structural
from ..primitives.structural import slice_axis


@gives_its_own
def dynamic_slice(operand: Any, start_indices: Sequence[Any], slice_sizes: Sequence[int]) -> Any:
    """A region of static size at a traced place; starts are clamped so that the region lies inside.

    Example:
        >>> import numpy as np, functrans as ft
        >>> ft.jit(lambda x, i: ft.lax.dynamic_slice(x, (i,), (2,)))(np.arange(5), 3)
        array([3, 4])
    """
    starts = [as_operand(start) for start in start_indices]
    return _primitives.dynamic_slice(as_operand(operand), *starts, sizes=tuple(slice_sizes))


def dynamic_update_slice(operand: Any, update: Any, start_indices: Sequence[Any]) -> Any:
    """The operand with an update in place of a region at a traced place; starts are clamped.

    Example:
        >>> import numpy as np, functrans as ft
        >>> ft.jit(lambda x, i: ft.lax.dynamic_update_slice(x, np.zeros(2), (i,)))(np.ones(4), 1)
        array([1., 0., 0., 1.])
    """
    starts = [as_operand(start) for start in start_indices]
    return _primitives.dynamic_update_slice(as_operand(operand), as_operand(update), *starts)


@gives_its_own
def dynamic_slice_in_dim(operand: Any, start_index: Any, slice_size: int, axis: int = 0) -> Any:
    """A region of static size at a traced place along one axis; the start is clamped.

    Example:
        >>> import numpy as np, functrans as ft
        >>> ft.lax.dynamic_slice_in_dim(np.arange(5), 9, 2)    # 9 is too far
        array([3, 4])
    """
    x = as_operand(operand)
    sizes = list(typeof(x).shape)
    sizes[axis] = slice_size
    return dynamic_slice(x, _starts(x, start_index, axis), sizes)


@gives_its_own
def dynamic_index_in_dim(operand: Any, index: Any, axis: int = 0, keepdims: bool = True) -> Any:
    """What is at a traced place along one axis, which stays, with extent one, unless `keepdims=False`.

    Example:
        >>> import numpy as np, functrans as ft
        >>> ft.lax.dynamic_index_in_dim(np.array([[1, 2], [3, 4]]), 1, keepdims=False)
        array([3, 4])
    """
    x = dynamic_slice_in_dim(operand, index, 1, axis)
    return x if keepdims else np.squeeze(x, axis)


def dynamic_update_slice_in_dim(operand: Any, update: Any, start_index: Any, axis: int) -> Any:
    """The operand with an update in place of a region at a traced place along one axis; the start is clamped.

    Example:
        >>> import numpy as np, functrans as ft
        >>> ft.lax.dynamic_update_slice_in_dim(np.zeros(4), np.ones(2), 1, 0)
        array([0., 1., 1., 0.])
    """
    x = as_operand(operand)
    return dynamic_update_slice(x, update, _starts(x, start_index, axis))


def dynamic_update_index_in_dim(operand: Any, update: Any, index: Any, axis: int) -> Any:
    """The operand with an update at a traced place along one axis, which the update may lack.

    Example:
        >>> import numpy as np, functrans as ft
        >>> ft.lax.dynamic_update_index_in_dim(np.zeros((2, 2)), np.ones(2), 1, 0)
        array([[0., 0.],
               [1., 1.]])
    """
    x, new = as_operand(operand), as_operand(update)
    if typeof(new).ndim < typeof(x).ndim:
        new = np.expand_dims(new, axis)
    return dynamic_update_slice_in_dim(x, new, index, axis)


@gives_its_own
def slice(operand: Any, start_indices: Sequence[int], limit_indices: Sequence[int], strides: Any = None) -> Any:
    """A region between static places, every so many elements of it.

    Example:
        >>> import numpy as np, functrans as ft
        >>> ft.lax.slice(np.arange(8), (1,), (7,), (2,))
        array([1, 3, 5])
    """
    steps = (1,) * len(start_indices) if strides is None else tuple(strides)
    starts, limits = tuple(start_indices), tuple(limit_indices)
    return structural.slice(as_operand(operand), starts=starts, limits=limits, strides=steps)


@gives_its_own
def slice_in_dim(operand: Any, start_index: int | None, limit_index: int | None, stride: int = 1, axis: int = 0) -> Any:
    """A region along one axis; None stands for its ends, and negative places count from the last.

    Example:
        >>> import numpy as np, functrans as ft
        >>> ft.lax.slice_in_dim(np.arange(6), 1, None, 2)
        array([1, 3, 5])
    """
    x = as_operand(operand)
    extent = typeof(x).shape[axis]
    start, limit, _ = builtins.slice(start_index, limit_index).indices(extent)
    return slice_axis(x, start, limit, axis=axis % typeof(x).ndim, stride=stride)


@gives_its_own
def index_in_dim(operand: Any, index: int, axis: int = 0, keepdims: bool = True) -> Any:
    """What is at a static place along one axis, which stays, with extent one, unless `keepdims=False`.

    Example:
        >>> import numpy as np, functrans as ft
        >>> ft.lax.index_in_dim(np.array([[1, 2], [3, 4]]), -1, axis=1)
        array([[2],
               [4]])
    """
    x = as_operand(operand)
    place = normalize_axis_index(index, typeof(x).shape[axis])
    found = slice_axis(x, place, place + 1, axis=axis % typeof(x).ndim)
    return found if keepdims else np.squeeze(found, axis)


def _starts(x: Any, start: Any, axis: int) -> list[Any]:
    """Where a region begins that begins somewhere along one axis."""
    starts = [0] * typeof(x).ndim
    starts[axis] = start
    return starts
