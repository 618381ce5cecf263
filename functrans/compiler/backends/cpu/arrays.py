"""The arrays that programs are given, and new ones."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from ....errors import IntegerRangeError, OutOfMemoryError
from ...donation import shared_arrays
from .tapes import address_of


def usable(x: Any, dtype: np.dtype[Any]) -> np.ndarray[Any, Any]:
    """An argument as an aligned array of the machine's byte order.

    Raises:
        IntegerRangeError: it is a Python integer that the dtype has not.
    """
    try:
        return np.require(np.asarray(x, dtype), requirements="A")
    except OverflowError:
        raise IntegerRangeError(
            f"The Python integer {x} is out of bounds for {dtype.name}.",
            "As an argument of a compiled program, a Python integer is of that dtype.",
            "Give it as a float, or as a number of another dtype: `np.uint64(...)`.",
        ) from None


def copy_what_is_not_given(values: list[Any], overwritten: Sequence[int]) -> None:
    """Replace arguments that are to be overwritten by copies, unless their memory is theirs alone.

    An array may be overwritten that has memory of its own and may be written to, if no other argument is a part of it,
    or the same array once more.
    """
    arrays = {i: x for i, x in enumerate(values) if isinstance(x, np.ndarray)}
    shared = shared_arrays(arrays, {i: address_of(x) for i, x in arrays.items()}, overwritten)
    for i in overwritten:
        x = values[i]
        if i in shared or not (x.flags.owndata and x.flags.writeable):
            values[i] = room(x.shape, x.dtype, f"a copy of argument {i}")
            values[i][...] = x


def room(shape: tuple[int, ...], dtype: np.dtype[Any], name: str) -> np.ndarray[Any, Any]:
    """A new array.

    Raises:
        OutOfMemoryError: there is no memory for it.
    """
    try:
        return np.empty(shape, dtype)
    except (MemoryError, ValueError):  # the latter for more bytes than can be counted
        size = prod(shape) * dtype.itemsize
        raise OutOfMemoryError(
            f"There is no memory for {name} of a compiled function: {size} bytes, {dtype}{list(shape)}.",
            "All results, and the values that are needed meanwhile, have to be in memory at once.",
            "Work on smaller parts, with functrans.lax.scan or functrans.lax.map for one.",
        ) from None
