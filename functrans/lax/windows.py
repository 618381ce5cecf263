"""Reductions over windows, as in pooling."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product
from typing import Any

import numpy as np

from ..api.arguments import hides_internals
from ..core.trace import typeof
from ..errors import ShapeMismatchError
from ..numpy.common import as_operand, cast, stretched
from ..primitives.structural import pad, slice
from .convolution import window_pads


@hides_internals
def reduce_window(
    operand: Any,
    init_value: Any,
    computation: Callable[[Any, Any], Any],
    window_dimensions: Sequence[int],
    window_strides: Sequence[int],
    padding: str | Sequence[tuple[int, int]],
    base_dilation: Sequence[int] | None = None,
    window_dilation: Sequence[int] | None = None,
) -> Any:
    """The elements of each window, combined.

    Args:
        init_value: what to begin with, and what padding consists of.
        computation: takes two arrays and combines them element by element; associative.
        window_dimensions: the extents of the window, one for each axis; so are the other sequences.
        padding: "VALID", "SAME", "SAME_LOWER", or (low, high) for each axis.
        base_dilation: every how many places there is an element, with padding between.
        window_dilation: the distances between the elements of a window.

    Raises:
        ShapeMismatchError: the sequences have not one number for each axis.

    Example:
        >>> import numpy as np, functrans as ft
        >>> ft.lax.reduce_window(np.array([1.0, 4.0, 2.0, 3.0]), -np.inf, np.maximum, (2,), (2,), "VALID")
        array([4., 3.])
    """
    x = as_operand(operand)
    axes = typeof(x).ndim
    base = tuple(base_dilation or (1,) * axes)
    apart = tuple(window_dilation or (1,) * axes)
    window, strides = tuple(window_dimensions), tuple(window_strides)
    if {len(window), len(strides), len(base), len(apart)} != {axes}:
        raise ShapeMismatchError(
            f"A window of {len(window)} axes, with {len(strides)} strides, was to go over an array of {axes} axes.",
            "A window has one extent, and one stride, for each axis of the array.",
            "Give 1 for axes that are not reduced.",
        )
    initial = cast(as_operand(init_value), typeof(x).dtype)
    spread = [max(n + (n - 1) * (step - 1), 0) for n, step in zip(typeof(x).shape, base)]
    reach = [(n - 1) * step + 1 for n, step in zip(window, apart)]
    pads = window_pads(padding, spread, reach, strides)
    if any(low or high for low, high in pads) or any(step > 1 for step in base):
        x = pad(x, initial, padding=tuple((low, high, step - 1) for (low, high), step in zip(pads, base)))
    shape = typeof(x).shape
    counts = tuple(max((n - k) // stride + 1, 0) for n, k, stride in zip(shape, reach, strides))
    total = stretched(initial, counts)
    for place in product(*map(range, window)) if np.prod(counts) else ():
        starts = tuple(i * step for i, step in zip(place, apart))
        limits = tuple(i + (n - 1) * stride + 1 for i, n, stride in zip(starts, counts, strides))
        total = computation(total, slice(x, starts=starts, limits=limits, strides=strides))
    return total


__all__ = ["reduce_window"]
