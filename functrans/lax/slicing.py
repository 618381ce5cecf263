"""Slices whose start is traced, under JAX's names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..numpy.common import as_operand
from ..primitives import dynamic_slice as _primitives


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
