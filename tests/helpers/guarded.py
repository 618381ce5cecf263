"""Sanitised runs of native code: every buffer between pages that nobody may touch, and full of NaN before a call.

A read or write beyond a buffer ends the process, so that all this happens in a child process, which tells what it was
doing. What is read before it was written is NaN (or -1, or a boolean that is neither True nor False).
"""

from __future__ import annotations

import ctypes
import faulthandler
import mmap
import os
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

from functrans.compiler import assembly
from functrans.compiler.backends.cpu import arenas, native
from functrans.compiler.backends.cpu.runtime import HEADER
from functrans.compiler.program import fused
from functrans.core import stack
from functrans.core.jaxpr import Jaxpr
from tests.helpers.tiers import in_order, tier

PAGE = mmap.PAGESIZE
NOTHING, READ, READ_AND_WRITE = 0, 1, 3
_libc = ctypes.CDLL(None, use_errno=True)


class Fence:
    """Hands out memory, at the end or at the beginning of a page next to one that may not be touched.

    Attributes:
        made: the addresses of what was handed out, and their sizes.
    """

    def __init__(self, at_end: bool):
        self.at_end = at_end
        self.made: list[tuple[int, int]] = []

    def array(self, shape: Any, dtype: Any) -> np.ndarray[Any, Any]:
        """An array full of ones in all bits."""
        dtype = np.dtype(dtype)
        shape = (shape,) if isinstance(shape, int) else tuple(shape)
        size = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
        whole = -(-max(size, 1) // PAGE) * PAGE
        memory = mmap.mmap(-1, whole + 2 * PAGE)
        base = ctypes.addressof(ctypes.c_char.from_buffer(memory))
        ctypes.memset(base + PAGE, 0xFF, whole)
        start = PAGE + (whole - size if self.at_end else 0)
        self.protect(base, PAGE, NOTHING)
        self.protect(base + PAGE + whole, PAGE, NOTHING)
        self.made.append((base + start, size))
        return np.ndarray(shape, dtype, memory, start)

    def copy(self, x: Any) -> Any:
        """An array of the same numbers and strides that nobody may write to."""
        if not isinstance(x, np.ndarray):
            return x
        low = sum((n - 1) * s for n, s in zip(x.shape, x.strides) if s < 0) if x.size else 0
        high = sum((n - 1) * s for n, s in zip(x.shape, x.strides) if s > 0) + x.itemsize if x.size else 0
        room = self.array((high - low,), np.uint8)
        y = np.ndarray(x.shape, x.dtype, room, -low, x.strides)
        if x.size:
            y[...] = x
            begin = (room.ctypes.data // PAGE) * PAGE
            self.protect(begin, -(-(room.ctypes.data + high - low - begin) // PAGE) * PAGE, READ)
        return y

    @staticmethod
    def protect(address: int, size: int, how: int) -> None:
        if _libc.mprotect(ctypes.c_void_p(address), ctypes.c_size_t(size), how):
            raise OSError(ctypes.get_errno(), "mprotect")


class _Numpy:
    """NumPy, but for `empty`, whose arrays lie between fences."""

    def __init__(self, fence: Fence):
        self.empty = fence.array

    def __getattr__(self, name: str) -> Any:
        return getattr(np, name)


@contextmanager
def fenced(at_end: bool, separate: bool) -> Iterator[Fence]:
    """Everything that native programs made in this block work on lies between fences.

    Args:
        at_end: whether buffers end where a page does, or begin there.
        separate: whether each temporary has its own fences; otherwise they share the arena, as they do for users.
    """
    fence = Fence(at_end)
    arena_of, constant_of = native.Frame.take_arena, assembly.Assembler.constant

    def arena(self: Any, is_lent: bool) -> None:
        arena_of(self, is_lent)
        self.fenced = []
        if separate:
            for k, slot in enumerate(self.assembled.slots, HEADER):
                if slot.kind == "temporary":
                    self.fenced.append(fence.array(slot.size, np.uint8))
                    self.slots[k] = self.fenced[-1].ctypes.data

    def constant(self: Any, literal: Any) -> Any:
        place = constant_of(self, literal)
        slot = self.slots[place.slot]
        if not hasattr(self, "fenced"):
            self.fenced = set()
        if place.slot not in self.fenced:
            self.fenced.add(place.slot)
            slot.value = fence.copy(slot.value)
        return place

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(native, "np", _Numpy(fence))
        patch.setattr(stack, "np", _Numpy(fence))
        patch.setattr(native.Frame, "take_arena", arena)
        patch.setattr(arenas, "WORTH", sys.maxsize)  # or first runs would have one without fences
        patch.setattr(assembly.Assembler, "constant", constant)
        yield fence


def sanitised(jaxpr: Jaxpr, args: Sequence[Any], tier_name: str, donated: tuple[int, ...] = ()) -> list[list[Any]]:
    """Results of a program with its buffers at the end and at the beginning of pages, apart and in an arena.

    Nobody may write to the arguments: the program works on copies of those that are donated, also between pages.
    """
    found = []
    for at_end, separate in ((True, True), (False, True), (True, False)):
        with fenced(at_end, separate) as fence:
            with tier(tier_name):
                results = in_order(native.NativeProgram(jaxpr, fused, donated)(*map(fence.copy, args)))
            assert fence.made
            found.append([np.array(y) if isinstance(y, np.ndarray) else y for y in results])
    return found


def in_child(work: Callable[[Callable[[str], None]], None]) -> None:
    """Run something in a child process; AssertionError with what it said last if that fails or is killed.

    Args:
        work: takes a function to say what it is doing.
    """
    reader, writer = os.pipe()
    sys.stdout.flush()
    pid = os.fork()
    if not pid:
        status = 1
        try:
            os.close(reader)
            faulthandler.disable()  # it may be meant to be killed
            work(lambda text: _say(writer, text))
            status = 0
        except BaseException:
            _say(writer, traceback.format_exc())
        finally:
            os._exit(status)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        said = pipe.read().split(b"\0")
    _, status = os.waitpid(pid, 0)
    code = os.waitstatus_to_exitcode(status)
    assert code == 0, f"exit code {code} after: {said[-2].decode(errors='replace') if len(said) > 1 else ''}"


def _say(writer: int, text: str) -> None:
    data = text.encode() + b"\0"
    while data:
        data = data[os.write(writer, data) :]
