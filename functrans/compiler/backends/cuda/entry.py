"""The quick way into a program for a GPU: a function for CPython, for arrays of just some types and layouts.

CuPy's arrays and streams are asked through their attributes, in C: there is no public layout of them. What the function
is not for (other arrays, another stream, a thread without a context, another call under way in its frame, no memory for
a result, a launch that fails) goes to the way in Python, which takes three microseconds more, and says what is wrong.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

import numpy as np

from ..cpu.engine import engine, once
from ..cpu.functions import Method, function, method
from .device import Quick
from .runtime import ENTER

#: The attributes that are asked.
NAMES: Final = ("data", "ptr", "device_id", "dtype", "shape", "strides")


@once
def _method() -> Method:
    return method(ENTER, {"RUN_PROGRAM": engine().runtime["run_program"]})


class Leaf(NamedTuple):
    """What is expected of an argument."""

    slot: int
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class Made(NamedTuple):
    """An array that is to be made for a result."""

    slot: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]


class Held:
    """What an entry holds while it is of use."""

    __slots__ = ("__weakref__", "objects", "table")

    def __init__(self, table: array[int], objects: Any):
        self.table, self.objects = table, objects

    def let_go(self) -> None:
        """Have all calls go the way in Python from now on, unless one is under way."""
        if not self.table[0]:
            self.table[0] = 1
            self.objects = None


def entry(
    device: Quick,
    stream: Any,
    leaves: Sequence[Leaf],
    results: Sequence[Made],
    is_single: bool,
    run: tuple[int, int, array[int], int],
    context_of: int,
    remember: tuple[Callable[[Any], None], Any],
    in_python: Callable[..., Any],
    kept: Any,
) -> tuple[Callable[..., Any], Held]:
    """A way into a program, for one stream, and what it holds.

    Args:
        is_single: whether the one result is returned as such, and not in a tuple.
        run: code, its count, the slots, which are this entry's own, and the slot for codes of errors.
        context_of: the address of `cuCtxGetCurrent`.
        remember: what is called for each run, and with what.
        in_python: the way for what this one is not for.
        kept: what the program needs to stay alive, until it is let go of.
    """
    code, steps, slots, error_slot = run
    told, what = remember
    made_of = [(result.shape, result.dtype) for result in results]
    needed = (device, stream, leaves, made_of, told, what, in_python)
    table = [
        0, len(leaves), len(results), int(is_single), code, steps, slots.buffer_info()[0], error_slot, id(in_python),
        id(device.stream_of), id(stream), 0 if device.device_of is None else id(device.device_of),
        context_of, id(device.array_type), id(device.empty), id(device.number), id(told), id(what), *map(id, NAMES),
    ]  # fmt: skip
    for leaf in leaves:
        table += [leaf.slot, id(leaf.dtype), id(leaf.shape), id(leaf.strides)]
    for result, parts in zip(results, made_of):
        table += [result.slot, id(parts)]
    held = Held(array("q", table), (slots, kept))
    return function(_method(), held.table, (needed, held)), held
