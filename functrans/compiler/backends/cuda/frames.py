"""Memory that runs of a program need at a time, kept for the next run on the same stream.

What a run leaves behind in this memory may still be read when the call has returned. The next run on the stream comes
after it; runs on other streams have frames of their own. So nobody waits for anybody, and no event is needed.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from math import prod
from typing import Any, Final
from weakref import WeakSet

import numpy as np

from ....errors import OutOfMemoryError
from ...places import Place
from ..cpu.runtime import FRAME, HEADER, LOOK, PATIENCE, WORK_LEFT
from ..cpu.tapes import Reel, Spool, keep_some
from .device import Device
from .encoded import Encoded, Extra
from .entry import Held
from .graphs import Replays
from .numbers import WORD
from .runtime import functions

#: From so many bytes on, memory for temporaries is taken for each call and given back after it: to CuPy's pool, which
#: keeps it for whoever comes next on the same stream.
LARGE: Final = 1 << 20
#: Addresses in an arena are multiples of it, as those of CuPy's pool are.
ALIGNMENT: Final = 512
#: For how many frames there are counters at a time.
SOME_FRAMES: Final = 64
#: For how many streams frames are kept.
MOST_STREAMS: Final = 8


def is_lent(encoded: Encoded) -> bool:
    """Whether memory for the temporaries of a program is taken for each call."""
    return encoded.assembled.arena + encoded.scratch > LARGE


class Counters:
    """Numbers in which kernels count their blocks, one for each frame; they are zero whenever no kernel counts.

    There are some for frames to come: while a stream is captured nothing can be copied for one that is made then.
    """

    def __init__(self, device: Device):
        self.device = device
        self.left: list[tuple[Any, int]] = []
        self.add()

    def add(self) -> None:
        array = room(self.device, (SOME_FRAMES,), np.dtype(np.uint32), "the numbers of blocks that are done")
        array.fill(0)
        first = self.device.pointer(array)
        self.left += [(array, first + k * array.itemsize) for k in range(SOME_FRAMES)]

    def next(self) -> tuple[Any, int]:
        """One that nobody else has, or will have: an array, and the address in it."""
        if not self.left:
            self.add()
            self.device.synchronize()
        return self.left.pop()


class Frame:
    """Memory for one run at a time.

    Attributes:
        slots: the addresses, after the header.
        host: numbers that are read back from the device, and what is reported of errors; memory of the host.
        objects: values that are no arrays.
        spools: memory of tapes, kept for the next run.
        replays: what is kept of its graphs (graphs.py).
    """

    def __init__(self, encoded: Encoded, device: Device, constants: dict[int, Any], counters: Counters | None):
        assembled = encoded.assembled
        self.encoded, self.device = encoded, device
        self.objects: list[Any] = [None] * assembled.objects
        self.spools: dict[Reel, Spool] = {}
        self.host = device.host_memory(max(encoded.mails, 1))
        self.slots = encoded.new_slots()
        self.slots[FRAME], self.slots[WORK_LEFT] = id(self), PATIENCE
        self.slots[LOOK] = functions()["look_for_signals"]
        self.pointer = self.slots.buffer_info()[0]
        self.temporaries = [(k, s.offset) for k, s in enumerate(assembled.slots, HEADER) if s.kind == "temporary"]
        self.size = assembled.arena + encoded.scratch
        self.is_lent = is_lent(encoded)
        self.own, base = self._own_memory(0 if self.is_lent else self.size)
        for k, constant in constants.items():
            self.slots[HEADER + k] = device.pointer(constant)
        self.slots[encoded.extra(Extra.FAILED)] = base
        base += Extra.FAILED_SIZE
        for slot in encoded.number_slots:
            self.slots[slot] = base
            base += WORD * 2
        if counters is not None:
            self.counters, self.slots[encoded.extra(Extra.COUNTER)] = counters.next()
        self.arena: Any = None
        self.base = 0
        if not self.is_lent:
            self._place_temporaries(-(-base // ALIGNMENT) * ALIGNMENT)
        for k, slot in enumerate(encoded.mail_slots):
            self.slots[slot] = self.host.ctypes.data + 8 * k
        self.replays = Replays(encoded.segments, self.slots, device, encoded.kept)

    def _own_memory(self, size: int) -> tuple[Any, int]:
        """Memory that stays with the frame, and where it begins."""
        size += Extra.FAILED_SIZE + WORD * 2 * len(self.encoded.number_slots)
        memory = room(self.device, (size + ALIGNMENT,), np.dtype(np.uint8), "the temporary values")
        return memory, self.device.pointer(memory)

    def take_arena(self) -> None:
        """Have memory for temporaries."""
        if self.is_lent:
            self.arena = room(self.device, (self.size + ALIGNMENT,), np.dtype(np.uint8), "the temporary values")
            base = -(-self.device.pointer(self.arena) // ALIGNMENT) * ALIGNMENT
            if base != self.base:
                self._place_temporaries(base)

    def _place_temporaries(self, base: int) -> None:
        self.base = base
        for k, offset in self.temporaries:
            self.slots[k] = base + offset
        self.slots[self.encoded.extra(Extra.SCRATCH)] = base + self.encoded.assembled.arena

    def leave(self) -> None:
        """Let go of what belongs to one run; what is under way may go on to use its memory."""
        self.objects[:] = [None] * len(self.objects)
        keep_some(self.spools)
        self.arena = None

    def view(self, place: Place) -> Any:
        """The array at a place, without a copy."""
        start = self.slots[HEADER + place.slot] + place.offset
        owner = (self.own, self.arena)
        return self.device.view(start, place.shape, place.dtype, place.strides, owner)


class Frames:
    """The frames of a program for the streams that it has been run on lately, and those that its entries hold."""

    __slots__ = ("__weakref__", "by_stream", "held")

    def __init__(self) -> None:
        self.by_stream: dict[Hashable, list[Frame]] = {}
        self.held: WeakSet[Held] = WeakSet()
        _everywhere.add(self)

    def on(self, stream: Hashable) -> list[Frame]:
        """Those that are free, for a stream. It is kept too: nobody else may get its address meanwhile."""
        found = self.by_stream.get(stream)
        if found is None:
            while len(self.by_stream) >= MOST_STREAMS:
                self.by_stream.pop(next(iter(self.by_stream)), None)
            found = self.by_stream.setdefault(stream, [])
        return found


#: All that there are.
_everywhere: WeakSet[Frames] = WeakSet()


def clear_frames() -> None:
    """Let go of all memory that is kept for the next runs."""
    for frames in list(_everywhere):
        frames.by_stream.clear()
        for held in list(frames.held):
            held.let_go()


def room(device: Device, shape: Sequence[int], dtype: np.dtype[Any], what: str) -> Any:
    """A new array of a device.

    Raises:
        OutOfMemoryError: there is no memory for it, not even if nothing is kept for runs to come.
    """
    try:
        return device.empty(shape, dtype)
    except MemoryError:
        clear_frames()
    try:
        return device.empty(shape, dtype)
    except MemoryError:
        size = prod(shape) * dtype.itemsize
        type_ = f", {dtype}{list(shape)}" if dtype != np.uint8 or len(shape) != 1 else ""
        raise OutOfMemoryError(
            f"There is no memory on {device.name} for {what} of a compiled function: {size} bytes{type_}.",
            "All results, and the values that are needed meanwhile, have to be there at once.",
            "Work on smaller parts, with functrans.lax.scan or functrans.lax.map for one.",
        ) from None
