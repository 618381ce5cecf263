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

if TYPE_CHECKING:
    from .frames import Frame

#: Launches in a row that are worth a graph.
LEAST: Final = 4

#: How many graphs are kept of the same launches.
MOST_GRAPHS: Final = 4
#: How often launches are gone through one by one before there is a graph of them.
FIRST_TIMES: Final = 1
#: The numbers of what a replay keeps in a frame: how many graphs there are, or -1 if there are to be none; how often
#: none did; then the graphs.
GRAPHS, MISSES, FIRST_GRAPH = 0, 1, 2

#: The k-th argument of a launch as `value`: a slot and an offset, or -1 and a number.
ARGUMENT: Final = """\
  %twice = shl i64 %k, 1
  %first = add i64 %twice, 13
  %second = add i64 %twice, 14
  get i64 %slot = %a[%first]
  get i64 %plain = %a[%second]
  %is_plain = icmp slt i64 %slot, 0
  %some_slot = select i1 %is_plain, i64 0, i64 %slot
  get i64 %base = %slots[%some_slot]
  %address = add i64 %base, %plain
  %value = select i1 %is_plain, i64 %plain, i64 %address"""

#: `replay`: slot of errors, number of the instruction, slot of the stream; cuGraphLaunch,
#: cuGraphExecKernelNodeSetParams, cuStreamIsCapturing; the slot of what is kept; `run_python`, and its arguments for
#: who makes graphs; `run_program`, code and count of the launches. A graph is the executable graph, the number of
#: nodes, and four numbers for each node: the arguments of its launch, the values of its parameters, its handle, and
#: what it is told anew with.
REPLAY = f"""
define internal i64 @has_changed(ptr %node, ptr %slots) {{
entry:
  get ptr %a = %node[0]
  get ptr %values = %node[1]
  get i64 %count = %a[12]
  br label %look
look:
  %k = phi i64 [0, %entry], [%next, %compare]
  %more = icmp slt i64 %k, %count
  br i1 %more, label %compare, label %fine
compare:
  %next = add nuw nsw i64 %k, 1
{ARGUMENT}
  get i64 %before = %values[%k]
  %is_same = icmp eq i64 %value, %before
  br i1 %is_same, label %look, label %changed
changed:
  ret i64 1
fine:
  ret i64 0
}}
define internal i64 @count_changed(ptr %graph, ptr %slots) {{
entry:
  get i64 %count = %graph[1]
  %nodes = getelementptr i64, ptr %graph, i64 2
  br label %node
node:
  %k = phi i64 [0, %entry], [%next, %node]
  %had = phi i64 [0, %entry], [%has, %node]
  %at = shl i64 %k, 2
  %own = getelementptr i64, ptr %nodes, i64 %at
  %changed = call i64 @has_changed(ptr %own, ptr %slots)
  %has = add i64 %had, %changed
  %next = add nuw nsw i64 %k, 1
  %more = icmp slt i64 %next, %count
  br i1 %more, label %node, label %done
done:
  ret i64 %has
}}
define internal i32 @tell_anew(ptr %graph, ptr %slots, ptr %function) {{
entry:
  get ptr %executable = %graph[0]
  get i64 %count = %graph[1]
  %nodes = getelementptr i64, ptr %graph, i64 2
  br label %node
node:
  %k = phi i64 [0, %entry], [%next, %go_on]
  %at = shl i64 %k, 2
  %own = getelementptr i64, ptr %nodes, i64 %at
  %changed = call i64 @has_changed(ptr %own, ptr %slots)
  %is_same = icmp eq i64 %changed, 0
  br i1 %is_same, label %go_on, label %tell
tell:
  get ptr %a = %own[0]
  get ptr %values = %own[1]
  get ptr %handle = %own[2]
  get ptr %parameters = %own[3]
  get i64 %n = %a[12]
  br label %argument
argument:
  %i = phi i64 [0, %tell], [%i_next, %set]
  %more_arguments = icmp slt i64 %i, %n
  br i1 %more_arguments, label %set, label %told
set:
  %i_next = add nuw nsw i64 %i, 1
{ARGUMENT.replace('%k', '%i')}
  %value_at = getelementptr i64, ptr %values, i64 %i
  store i64 %value, ptr %value_at
  br label %argument
told:
  %code = call i32 %function(ptr %executable, ptr %handle, ptr %parameters)
  %is_wrong = icmp ne i32 %code, 0
  br i1 %is_wrong, label %wrong, label %go_on
go_on:
  %next = add nuw nsw i64 %k, 1
  %more = icmp slt i64 %next, %count
  br i1 %more, label %node, label %done
wrong:
  ret i32 %code
done:
  ret i32 0
}}
define i64 @replay(ptr %a, ptr %slots) {{
entry:
  %status_at = alloca i32
  get i64 %error = %a[0]
  get i64 %number = %a[1]
  get i64 %stream_slot = %a[2]
  get ptr %launches = %a[3]
  get ptr %tells = %a[4]
  get ptr %asks = %a[5]
  get i64 %kept_slot = %a[6]
  get ptr %calls = %a[7]
  get ptr %maker = %a[8]
  get ptr %runs = %a[9]
  get ptr %code = %a[10]
  get i64 %count = %a[11]
  get ptr %stream = %slots[%stream_slot]
  get ptr %kept = %slots[%kept_slot]
  get i64 %graphs = %kept[{GRAPHS}]
  %are_possible = icmp sge i64 %graphs, 0
  br i1 %are_possible, label %ask, label %one_by_one
ask:
  store i32 0, ptr %status_at
  %asked = call i32 %asks(ptr %stream, ptr %status_at)
  %status = load i32, ptr %status_at
  %either = or i32 %asked, %status
  %is_recorded = icmp ne i32 %either, 0
  br i1 %is_recorded, label %one_by_one, label %choose
choose:
  %g = phi i64 [0, %ask], [%g_next, %compare]
  %best = phi i64 [0, %ask], [%better, %compare]
  %least = phi i64 [9223372036854775807, %ask], [%less, %compare]
  %more = icmp slt i64 %g, %graphs
  br i1 %more, label %compare, label %chosen
compare:
  %g_next = add nuw nsw i64 %g, 1
  %g_at = add i64 %g, {FIRST_GRAPH}
  get ptr %graph = %kept[%g_at]
  %changed = call i64 @count_changed(ptr %graph, ptr %slots)
  %is_better = icmp slt i64 %changed, %least
  %better = select i1 %is_better, i64 %g, i64 %best
  %less = select i1 %is_better, i64 %changed, i64 %least
  br label %choose
chosen:
  %fits = icmp eq i64 %least, 0
  br i1 %fits, label %launch, label %consider
consider:
  %any = icmp sgt i64 %graphs, 0
  br i1 %any, label %weigh, label %miss
weigh:
  %w_at = add i64 %best, {FIRST_GRAPH}
  get ptr %candidate = %kept[%w_at]
  get i64 %nodes = %candidate[1]
  %twice = shl i64 %least, 1
  %are_few = icmp sle i64 %twice, %nodes
  br i1 %are_few, label %tell, label %miss
tell:
  %told = call i32 @tell_anew(ptr %candidate, ptr %slots, ptr %tells)
  %is_told = icmp eq i32 %told, 0
  br i1 %is_told, label %launch, label %give_up
give_up:
  store i64 -1, ptr %graphs_at
  br label %one_by_one
miss:
  get i64 %had = %kept[{MISSES}]
  %misses = add i64 %had, 1
  store i64 %misses, ptr %had_at
  %is_again = icmp sgt i64 %misses, {FIRST_TIMES}
  %is_room = icmp slt i64 %graphs, {MOST_GRAPHS}
  %is_worth = and i1 %is_again, %is_room
  br i1 %is_worth, label %make, label %one_by_one
make:
  %raised = call i64 %calls(ptr %maker, ptr %slots)
  %has_raised = icmp ne i64 %raised, 0
  br i1 %has_raised, label %failed, label %made
made:
  %graphs_now = load i64, ptr %graphs_at
  %is_made = icmp sgt i64 %graphs_now, %graphs
  br i1 %is_made, label %launch, label %one_by_one
launch:
  %l = phi i64 [%best, %chosen], [%best, %tell], [%graphs, %made]
  %l_at = add i64 %l, {FIRST_GRAPH}
  get ptr %ready = %kept[%l_at]
  get ptr %executable = %ready[0]
  %launched = call i32 %launches(ptr %executable, ptr %stream)
  %checked = call i64 @checked(i32 %launched, ptr %slots, i64 %error, i64 %number)
  ret i64 %checked
one_by_one:
  %ran = call i64 %runs(ptr %code, i64 %count, ptr %slots)
  ret i64 %ran
failed:
  ret i64 1
}}
"""


class Segment(NamedTuple):
    """Launches in a row.

    Attributes:
        launches: the arguments of `launch` (runtime.py) for each.
        slot: that of what a frame keeps of them.
    """

    launches: tuple[array[int], ...]
    slot: int


#: The numbers among the arguments of `launch`: the kernel, blocks, threads, bytes, and the first parameter.
KERNEL, GRID, BLOCK, SHARED, FIRST_ARGUMENT = 4, 5, 8, 11, 13


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
