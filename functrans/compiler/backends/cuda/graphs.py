"""CUDA graphs: launches in a row become one call, once they have been seen again.

A run of launches with nothing of the host between them is an instruction of its own, `replay`. It goes through its
launches one by one at first. When it comes by again, a graph is made of it: one node for each launch, each after the
one before, with the addresses that its parameters have then. From then on the addresses are compared with those of the
graph: nodes whose parameters have changed are told the new ones, unless these are most nodes. There may be several
graphs, for addresses that take turns: those of a loop's state before and after a step, or of parameters that a training
step replaces. Whatever cannot be done with graphs is done without.
"""

from __future__ import annotations

import ctypes
from array import array
from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from weakref import finalize

from .device import Device
from .runtime.launches import FIRST_ARGUMENT
from .runtime.replays import FIRST_GRAPH, GRAPHS, MOST_GRAPHS

if TYPE_CHECKING:
    from .frames import Frame

#: Launches in a row that are worth a graph.
LEAST: Final = 4


class Segment(NamedTuple):
    """Launches in a row.

    Attributes:
        launches: the arguments of `launch` (runtime/launches.py) for each.
        slot: that of what a frame keeps of them.
    """

    launches: tuple[array[int], ...]
    slot: int


#: The numbers among the arguments of `launch`: the kernel, blocks, threads, bytes.
KERNEL, GRID, BLOCK, SHARED = 4, 5, 8, 11


class NodeParams(ctypes.Structure):
    """CUDA_KERNEL_NODE_PARAMS_v2, in which the driver is told what a node launches."""

    _fields_ = [
        ("kernel", ctypes.c_void_p), ("grid", ctypes.c_uint * 3), ("block", ctypes.c_uint * 3),
        ("shared", ctypes.c_uint), ("parameters", ctypes.c_void_p), ("extra", ctypes.c_void_p),
        ("library_kernel", ctypes.c_void_p), ("context", ctypes.c_void_p),
    ]  # fmt: skip


class CannotReplayError(Exception):
    """The driver makes no graph of some launches."""


class Replays:
    """What a frame keeps of its graphs, until nobody has it any more."""

    def __init__(self, segments: Sequence[Segment], slots: array[int], device: Device, needed: Any):
        self.kept: list[Any] = []
        self.counts: list[array[int]] = []
        self.made: list[Callable[[], int]] = []  # what gives the graphs back, the last one first
        self.device = device
        for segment in segments:
            self.counts.append(array("q", [0] * (FIRST_GRAPH + MOST_GRAPHS)))
            slots[segment.slot] = self.counts[-1].buffer_info()[0]
        if segments:
            finalize(self, _forget, self.made, needed).atexit = False  # the driver's own end comes then

    def add(self, number: int, segment: Segment, slots: Sequence[int]) -> None:
        """Make a graph of launches with the addresses that are in the slots now; if that fails, never again."""
        counts = self.counts[number]
        try:
            graph = self._graph(segment, slots)
        except CannotReplayError:
            counts[GRAPHS] = -1
            return
        counts[FIRST_GRAPH + counts[GRAPHS]] = graph.buffer_info()[0]
        counts[GRAPHS] += 1

    def _graph(self, segment: Segment, slots: Sequence[int]) -> array[int]:
        device = self.device
        graph, executable = ctypes.c_void_p(), ctypes.c_void_p()
        _call(device, "cuGraphCreate", ctypes.byref(graph), ctypes.c_uint(0))
        self._owe("cuGraphDestroy", graph)
        found, before = [0, len(segment.launches)], ctypes.c_void_p()
        for launch in segment.launches:
            node, (values, params) = ctypes.c_void_p(), self._params(launch, slots)
            after = (ctypes.byref(before), ctypes.c_size_t(1)) if before.value else (None, ctypes.c_size_t(0))
            _call(device, "cuGraphAddKernelNode_v2", ctypes.byref(node), graph, *after, ctypes.byref(params))
            found += [launch.buffer_info()[0], values.buffer_info()[0], node.value or 0, ctypes.addressof(params)]
            before = node
        _call(device, "cuGraphInstantiateWithFlags", ctypes.byref(executable), graph, ctypes.c_ulonglong(0))
        self._owe("cuGraphExecDestroy", executable)
        found[0] = executable.value or 0
        record = array("q", found)
        self.kept.append(record)
        return record

    def _owe(self, name: str, handle: ctypes.c_void_p) -> None:
        """Have a function of the driver called at the end; it is looked up now, while the driver is there for sure."""
        self.made.append(partial(_function(self.device.entry(name)), ctypes.c_void_p(handle.value or 0)))

    def _params(self, launch: array[int], slots: Sequence[int]) -> tuple[array[int], NodeParams]:
        """What a node is told: the values of its parameters, and all of it."""
        pairs = zip(launch[FIRST_ARGUMENT::2], launch[FIRST_ARGUMENT + 1 :: 2])
        values = array("q", [offset if slot < 0 else slots[slot] + offset for slot, offset in pairs] or [0])
        first = values.buffer_info()[0]
        places = array("q", [first + 8 * k for k in range(len(values))])
        grid, block = (ctypes.c_uint * 3)(*launch[GRID:BLOCK]), (ctypes.c_uint * 3)(*launch[BLOCK:SHARED])
        params = NodeParams(launch[KERNEL], grid, block, launch[SHARED], places.buffer_info()[0])
        self.kept += [values, places, params]
        return values, params


def maker(number: int, segment: Segment) -> Callable[[Frame], None]:
    """What a program calls to have a graph of some launches."""

    def make(frame: Frame) -> None:
        frame.replays.add(number, segment, frame.slots)

    return make


@cache
def _function(address: int) -> Callable[..., int]:
    return ctypes.CFUNCTYPE(ctypes.c_int)(address)


def _call(device: Device, name: str, *args: Any) -> None:
    if _function(device.entry(name))(*args):
        raise CannotReplayError


def _forget(made: list[Callable[[], int]], *_: Any) -> None:
    """Give graphs back. The driver keeps what is still running."""
    for give_back in reversed(made):
        give_back()
