"""NaN hunting: what `config.debug_nans` has done to the results of every primitive."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import NaNError
from ..source import Source
from .avals import ShapedArray, is_inexact
from .devices import is_on_device, on_host


def has_nan(x: Any) -> bool:
    """Whether an element of a value is NaN."""
    if isinstance(x, (np.ndarray, np.generic)) or is_on_device(x):
        return is_inexact(x.dtype) and bool(np.isnan(x).any())
    return isinstance(x, (float, complex)) and x != x


def check_nans(name: str, args: Sequence[Any], results: Sequence[Any], source: Source | None = None) -> None:
    """Raise NaNError if NaN appears: a result has it, and no operand.

    Args:
        name: of the primitive that computed the results.
        source: the line that it stands in; None: the one that runs now.
    """
    for result in results:
        if has_nan(result) and not any(map(has_nan, args)):
            raise NaNError(
                f"`{name}` gave NaN{_place(args, np.asarray(on_host(result)))}, and no operand has NaN.",
                "`config.debug_nans` is set: the first operation that does so is an error.",
                "Keep such operands away from it: np.where on what it is given, not on what it returns.",
                source,
            )


def _place(args: Sequence[Any], result: Any) -> str:
    """Where the first NaN is, and which operands are there, if all broadcast to the result."""
    place = tuple(int(i) for i in np.argwhere(np.isnan(result))[0])
    where = f" at element {place} of {ShapedArray(result.shape, result.dtype)}" if place else ""
    arrays = [np.asarray(on_host(arg)) for arg in args]
    try:
        found = [str(np.broadcast_to(array, result.shape)[place]) for array in arrays]
    except ValueError:
        return where
    of = f" of {', '.join(found)}" if found else ""
    return of + ("," if of and where else "") + where
