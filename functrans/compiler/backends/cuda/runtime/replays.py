"""The instruction that launches a graph instead of kernels one by one (../graphs.py).

What a frame keeps for it: how many graphs there are, or -1 if there are to be none; how often none did; then the
graphs. A graph is the executable graph, the number of nodes, and four numbers for each node: the arguments of its
launch, the values of its parameters, its handle, and what it is told anew with.
"""

from __future__ import annotations

from typing import Any

from ...cpu.lowlevel.language import Words, c_int, exported, int32, room
from .launches import argument_of, checked

GRAPHS, MISSES, FIRST_GRAPH = 0, 1, 2
#: How many graphs are kept of the same launches.
MOST_GRAPHS = 4
#: How often launches are gone through one by one before there is a graph of them.
FIRST_TIMES = 1
#: Among the arguments of a launch: how many of them the kernel has.
ARGUMENT_COUNT = 12
#: More nodes than any graph has.
VERY_MANY = 1 << 62


def has_changed(node: Words, slots: Words) -> bool:
    """Whether the parameters of a node are others now."""
    launch, values = node[0:]
    for k in range(launch[ARGUMENT_COUNT]):
        if argument_of(launch, k, slots) != values[k]:
            return True
    return False


def count_changed(graph: Words, slots: Words) -> int:
    """The number of nodes whose parameters are others now."""
    found = 0
    for k in range(graph[1]):
        if has_changed(graph[4 * k + 2 :], slots):
            found += 1
    return found


def tell_anew(graph: Words, slots: Words, function: Any) -> int:
    """Tell nodes of their new parameters, by cuGraphExecKernelNodeSetParams; its code."""
    for k in range(graph[1]):
        node = graph[4 * k + 2 :]
        if has_changed(node, slots):
            launch, values, handle, parameters = node[0:]
            for i in range(launch[ARGUMENT_COUNT]):
                values[i] = argument_of(launch, i, slots)
            code = c_int(function(graph[0], handle, parameters))
            if code != 0:
                return code
    return 0


def is_recorded(function: Any, stream: Words) -> bool:
    """Whether somebody records what is launched on a stream, by cuStreamIsCapturing; or it cannot be told."""
    status = room(1)
    status[0] = 0
    return c_int(function(stream, status)) != 0 or int32(status) != 0


@exported
def replay(a: Words, slots: Words) -> int:
    """Launches in a row, as a graph if there is one that fits, or should be one.

    The arguments: slot of errors, number of the instruction, slot of the stream; cuGraphLaunch,
    cuGraphExecKernelNodeSetParams, cuStreamIsCapturing; the slot of what is kept; `run_python`, and its arguments for
    who makes graphs; `run_program`, code and count of the launches.
    """
    error, number, stream_slot, launches, tells, asks, kept_slot, calls, maker, runs, code, count = a[0:]
    stream, kept = slots[stream_slot], slots[kept_slot]
    graphs = kept[GRAPHS]
    if graphs < 0 or is_recorded(asks, stream):
        return runs(code, count, slots)
    best, least = 0, VERY_MANY
    for k in range(graphs):
        changed = count_changed(kept[FIRST_GRAPH + k], slots)
        if changed < least:
            best, least = k, changed
    if graphs > 0 and 2 * least <= kept[FIRST_GRAPH + best][1]:
        if least != 0 and tell_anew(kept[FIRST_GRAPH + best], slots, tells) != 0:
            kept[GRAPHS] = -1
            return runs(code, count, slots)
    else:
        misses = kept[MISSES] + 1
        kept[MISSES] = misses
        if misses <= FIRST_TIMES or graphs >= MOST_GRAPHS:
            return runs(code, count, slots)
        if calls(maker, slots) != 0:
            return 1
        if kept[GRAPHS] <= graphs:
            return runs(code, count, slots)
        best = graphs
    graph = kept[FIRST_GRAPH + best]
    return checked(c_int(launches(graph[0], stream)), slots, error, number)
