"""r_ and c_: arrays, numbers and ranges put together by an index expression."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core.trace import EVAL, current_trace, typeof
from ..core.tracer import Tracer
from ..errors import UnsupportedArgumentError
from .common import as_operand, cast
from .creation import asarray
from .elementwise import result_type
from .joining import concatenate
from .manipulation import reshape
from .ranges import arange, linspace


class _Concatenator:
    """numpy.r_ and numpy.c_.

    Attributes:
        axis: the axis along which entries are put together.
        ndim: how many axes they have at least; of an entry that has fewer, the first will be axis `start`.
    """

    def __init__(self, theirs: Any, axis: int, ndim: int, start: int):
        self.theirs = theirs
        self.axis, self.ndim, self.start = axis, ndim, start

    def __getitem__(self, key: Any) -> Any:
        entries = list(key) if isinstance(key, tuple) else [key]
        if current_trace.get() is EVAL and not any(map(_is_traced, entries)):
            return self.theirs[key]
        axis, ndim, start = self.axis, self.ndim, self.start
        if entries and isinstance(entries[0], str):
            axis, ndim, start = _directive(entries.pop(0), axis, ndim, start)
        values = [_range(entry) if isinstance(entry, slice) else _value(entry) for entry in entries]
        dtype = result_type(*values) if values else np.dtype(float)
        arrays = [cast(_laid_out(value, ndim, start), dtype) for value in values]
        return concatenate(arrays, axis)


def _is_traced(entry: Any) -> bool:
    parts = (entry.start, entry.stop, entry.step) if isinstance(entry, slice) else (entry,)
    if isinstance(entry, (list, tuple)):
        return any(map(_is_traced, entry))
    return any(isinstance(part, Tracer) for part in parts)


def _directive(text: str, axis: int, ndim: int, start: int) -> tuple[int, int, int]:
    """What a string of up to three integers in front of the entries says."""
    try:
        numbers = [int(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if not 1 <= len(numbers) <= 3:
        raise UnsupportedArgumentError(
            f"The directive {text!r} was given to r_ or c_.",
            "With traced arrays it is up to three integers: the axis, the least number of axes, and where those of "
            "smaller arrays go. Matrices ('r' and 'c') cannot be traced.",
            "Use np.concatenate, np.stack or np.reshape.",
        )
    first, second, third = (*numbers, *(axis, ndim, start)[len(numbers) :])
    return first, second, third


def _range(entry: slice) -> Any:
    """The numbers that a slice stands for: a range, or with an imaginary step so many numbers."""
    begin, step = 0 if entry.start is None else entry.start, 1 if entry.step is None else entry.step
    if isinstance(step, complex):
        return linspace(begin, entry.stop, int(abs(step)))
    return arange(begin, entry.stop, step)


def _value(entry: Any) -> Any:
    return asarray(entry) if isinstance(entry, (list, tuple)) else as_operand(entry)


def _laid_out(value: Any, ndim: int, start: int) -> Any:
    """A value with at least so many axes, its own beginning at axis `start` (-1: they come last)."""
    shape = typeof(value).shape
    new = ndim - len(shape)
    if new <= 0:
        return value
    before = new if start == -1 else start if start >= 0 else start + new + 1
    return reshape(value, (*(1,) * min(before, new), *shape, *(1,) * max(new - before, 0)))


r_ = _Concatenator(np.r_, 0, 1, -1)
c_ = _Concatenator(np.c_, -1, 2, 0)
