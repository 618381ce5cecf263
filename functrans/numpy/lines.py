"""Functions applied along axes, and angles unwrapped along one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..api.vmap import vmap
from ..core.avals import is_inexact
from ..core.cells import view_of
from ..core.dtypes import result_type
from ..core.trace import typeof
from ..errors import ConcretizationError
from ..primitives.elementwise import absolute, add, equal, greater, less, logical_and, remainder, subtract
from ..primitives.selection import select
from .common import as_operand, cast, known_value, normalize_axes, normalize_axis, with_shape
from .creation import asarray
from .differences import diff
from .indexing import take
from .manipulation import expand_dims, moveaxis
from .positions import counted
from .protocols import FUNCTIONS
from .reductions import cumsum


def apply_along_axis(func1d: Callable[..., Any], axis: int, arr: Any, *args: Any, **kwargs: Any) -> Any:
    """numpy.apply_along_axis; the function is run once, for all lines together, as by functrans.vmap."""
    x = as_operand(arr)
    axis = normalize_axis(axis, typeof(x).ndim)
    lines = moveaxis(x, axis, -1)
    *others, extent = typeof(lines).shape
    if 0 in others:
        raise ValueError("Cannot apply_along_axis when any iteration dimensions are 0")
    flat = with_shape(lines, (int(np.prod(others, dtype=int)), extent))
    found = vmap(lambda line: asarray(func1d(line, *args, **kwargs)))(flat)  # never a view of x, as in NumPy
    result = with_shape(found, (*others, *typeof(found).shape[1:]))
    rest = list(range(len(others), typeof(result).ndim))
    return moveaxis(result, rest, [axis + i for i in range(len(rest))])


def _sliding_window_view(
    x: Any, window_shape: Any, axis: Any = None, *, subok: bool = False, writeable: bool = False
) -> Any:
    """numpy.lib.stride_tricks.sliding_window_view, of which nothing can be written through to x."""
    base = x = as_operand(x)
    lengths = tuple(map(int, np.atleast_1d(window_shape)))
    every = range(typeof(x).ndim) if axis is None else axis
    axes = np.lib.array_utils.normalize_axis_tuple(every, typeof(x).ndim, allow_duplicate=True)
    if len(lengths) != len(axes):
        raise ValueError("Must provide matching length window_shape and axis")
    for length, place in zip(lengths, axes):
        count = typeof(x).shape[place] - length + 1
        if length < 0 or count < 1:
            raise ValueError("window shape cannot be larger than input array shape, or negative")
        index = add(counted(count, 2), counted(length, 2, 1))
        x = moveaxis(take(x, index, place), place + 1, -1)
    return view_of(base, x)


def apply_over_axes(func: Callable[..., Any], a: Any, axes: Any) -> Any:
    """numpy.apply_over_axes."""
    x = as_operand(a)
    ndim = typeof(x).ndim
    for axis in np.ravel(np.asarray(axes)):
        axis = normalize_axis(int(axis), ndim)
        found = func(x, axis)
        found = found if typeof(found).ndim == ndim else expand_dims(found, axis)
        if typeof(found).ndim != ndim:
            raise ValueError("function is not returning an array of the correct shape")
        x = found
    return x


def unwrap(p: Any, discont: Any = None, axis: int = -1, *, period: Any = 2 * np.pi) -> Any:
    """numpy.unwrap: multiples of the period are added where neighbours differ by more than half of it."""
    p = as_operand(p)
    axis = normalize_axis(axis, typeof(p).ndim)
    steps = diff(p, axis=axis)
    dtype = result_type(typeof(steps).dtype, period)
    discont = period / 2 if discont is None else discont
    if is_inexact(dtype):
        high, is_ambiguous = period / 2, True
    else:
        high, rest = divmod(period, 2)
        is_ambiguous = rest == 0
    short = add(remainder(subtract(steps, -high), period), -high)
    if is_ambiguous:
        short = select(logical_and(equal(short, -high), greater(steps, 0)), high, short)
    jumps = select(less(absolute(steps), discont), 0, subtract(short, steps))
    correction = cumsum(cast(jumps, dtype), axis)
    widths = [(1, 0) if i == axis else (0, 0) for i in range(typeof(p).ndim)]
    return cast(add(p, np.pad(correction, widths)) if typeof(p).shape[axis] else p, dtype)


def trim_zeros(filt: Any, trim: str = "fb", axis: Any = None) -> Any:
    """numpy.trim_zeros; where the zeros are must be known while tracing.

    Raises:
        ConcretizationError: it is not known.
    """
    kind = trim.lower()
    if kind not in ("fb", "bf", "f", "b"):
        raise ValueError(f"unexpected character(s) in `trim`: {trim!r}")
    x = as_operand(filt)
    known = known_value(x)
    if known is None:
        raise ConcretizationError(
            f"The zeros of a traced array of type {typeof(x)} were to be trimmed.",
            "How many there are decides the shape of the result, which must be known while tracing.",
            "Keep the zeros, or cut at known positions.",
        )
    bounds = [slice(None)] * known.ndim
    for i in normalize_axes(axis, known.ndim):
        places = np.nonzero(known)[i]
        first, last = (places.min(), places.max()) if places.size else (known.shape[i], -1)
        bounds[i] = slice(first if "f" in kind else 0, last + 1 if "b" in kind else None)
    return x[tuple(bounds)]


FUNCTIONS[np.lib.stride_tricks.sliding_window_view] = _sliding_window_view
