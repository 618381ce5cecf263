"""Kernels whose results have nothing in common, which run one by one where memory is what they wait for.

Equations over the same shape are one kernel: the step of an optimiser, say, of all parameters of one shape. That saves
calls as long as everything is in the cache. But a processor follows a few streams of memory only: where one loop walks
through dozens of large arrays, lines are gone from the cache before they have been used up.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import prod
from typing import Any

from ...instructions import KernelRun
from ...loopnest import (
    Apply,
    Constant,
    Expression,
    Kernel,
    Load,
    derived,
    expressions_in,
    index_strides,
    kernel_over,
    parts,
)

#: The arrays that one loop may walk through, if these are larger together than the cache, in bytes.
MOST_STREAMS, CACHE = 8, 256 * 1024
#: Points of a space that takes longer than the call of another loop.
WORTH_A_LOOP = 2000
#: More axes than any space has.
AXES = range(64)


def apart(run: KernelRun) -> list[KernelRun]:
    """A kernel in parts, each with the results that have something in common; itself, if that is no gain."""
    kernel, points = run.kernel, prod(run.kernel.shape)
    if kernel.reduced and len(run.targets) > 1 and points > WORTH_A_LOOP:
        groups = in_groups(_ways(run))
        if len(groups) > 1:
            return [_part(run, group) for group in groups]
    streams = len(run.sources) + len(run.targets)
    if len(run.targets) == 1 or streams <= MOST_STREAMS or any(output.place for output in kernel.outputs):
        return [run]
    itemsize = min(place.dtype.itemsize for place in run.targets)
    if points == 1 or streams * points * itemsize <= CACHE:  # of one point any number that is read may be overwritten
        return [run]
    groups = in_groups([{*own, *_slots(run, own, k)} for k, own in enumerate(_in_common(kernel))])
    return [_part(run, group) for group in groups] if len(groups) > 1 else [run]


def _ways(run: KernelRun) -> list[set[Any]]:
    """For each reduction the axes along which it reads what lies one after the other; all together if one is read."""
    places = dict(zip(run.kernel.operands, run.sources))
    written = {place.slot for place in run.targets}
    if any(place.slot in written for place in run.sources):
        return [set(AXES) for _ in run.targets]
    found: list[set[Any]] = []
    for output in run.kernel.outputs:
        axes: set[Any] = set()
        for e in expressions_in([output.expression]):
            if isinstance(e, Load):
                place = places[e.operand]
                strides = index_strides(e.index, place.strides, len(run.kernel.shape))
                if sum(map(bool, strides)) > 1:
                    axes |= {axis for axis, stride in enumerate(strides) if abs(stride) == place.dtype.itemsize}
        found.append(axes or set(AXES))
    return found


def _slots(run: KernelRun, own: Iterable[Any], k: int) -> list[tuple[str, int]]:
    """The memory that a result has to do with: what another result is made of may be overwritten by it."""
    read = [place.slot for x, place in zip(run.kernel.operands, run.sources) if ("operand", x) in own]
    return [("slot", slot) for slot in (run.targets[k].slot, *read)]


@derived
def _in_common(kernel: Kernel) -> list[set[Any]]:
    """For each result what it may have in common with others: the arrays that it walks through, and what it computes at
    each point."""
    found: dict[int, set[Any]] = {}
    for e in kernel.expressions():
        found[id(e)] = _own(e).union(*(found[id(part)] for part in parts(e)))
        if isinstance(e, Apply) and found[id(e)]:
            found[id(e)].add(id(e))
    return [found[id(output.expression)] for output in kernel.outputs]


def _own(e: Expression) -> set[Any]:
    """What stands for an expression that is not the same at all points; nothing for others, and for operations."""
    if isinstance(e, Apply | Constant):
        return set()
    if isinstance(e, Load):
        return {("operand", e.operand)} if any(i.factors for i in e.index) else set()
    return {id(e)}


def in_groups(marks: Iterable[set[Any]]) -> list[list[int]]:
    """The numbers of sets, those together that have elements in common, be it by way of others."""
    groups: list[tuple[set[Any], list[int]]] = []
    for number, own in enumerate(marks):
        touching = [group for group in groups if not own.isdisjoint(group[0])]
        groups = [group for group in groups if own.isdisjoint(group[0])]
        groups.append((own.union(*(g[0] for g in touching)), sorted([number, *(n for g in touching for n in g[1])])))
    return sorted(numbers for _, numbers in groups)


def _part(run: KernelRun, numbers: list[int]) -> KernelRun:
    """The kernel with some of its results."""
    kernel, places = run.kernel, dict(zip(run.kernel.operands, run.sources))
    part = kernel_over(kernel.shape, kernel.reduced, tuple(kernel.outputs[k] for k in numbers))
    sources = tuple(places[operand] for operand in part.operands)
    return KernelRun(part, sources, tuple(run.targets[k] for k in numbers))
