"""Kernels as functions to call with their arguments, worked out once for all places that are alike.

What a kernel comes to depends on how far it moves in memory and on what it overwrites, not on where that is: programs
copy dozens of blocks of the same kind, and at a second shape most arrays are often as large as they were at the first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from math import prod
from typing import Any, NamedTuple

import numpy as np

from ...accesses import identity_value
from ...costs import cost_of
from ...instructions import KernelRun
from ...loopnest import Kernel, Output, constant, derived
from ...places import Place
from ...unrolling import unrolled
from .codegen import kernel_function
from .engine import NAME, engine
from .held import is_sum_of_products
from .layouts import Arranged, arrange
from .runtime import HEADER
from .streams import apart
from .writer import Writer


class Link(NamedTuple):
    """A kernel as something to call.

    Attributes:
        extent: that of the loop of which a call may run a part.
        grain: what parts should be multiples of.
        work: that of all of it, about in nanoseconds.
        heads: the places among the arguments of slots, after each of which comes an offset.
    """

    extent: int
    grain: int
    work: int
    arguments: list[int]
    heads: Sequence[int]
    writer: Writer

    def moved(self, moves: Mapping[int, tuple[int, int]]) -> Link:
        """The same elsewhere in memory: by slot another one, and how much further places in it begin."""
        arguments = self.arguments.copy()
        for head in self.heads:
            slot, distance = moves[arguments[head] - HEADER]
            arguments[head] = HEADER + slot
            arguments[head + 1] += distance
        return Link(self.extent, self.grain, self.work, arguments, self.heads, self.writer)


#: So many products of those that are held in registers take a nanosecond at least.
PRODUCTS = 8
#: What kernels came to last, with the slots and offsets where they were, and how many times at most that is kept.
_kept: dict[Any, tuple[list[tuple[int, int]], list[Link]]] = {}
MOST_KEPT = 2048


def links_of(run: KernelRun, keeps_first: bool = False) -> list[Link]:
    """A kernel, after what fills its results if it adds to them.

    Args:
        keeps_first: the first axis stays that of the outermost loop.
    """
    if 0 in run.kernel.shape:
        return []
    places = (*run.sources, *run.targets)
    origins = [place[:2] for place in places]  # slots, and where the first places in them begin
    shared = ()
    if len({slot for slot, _ in origins}) < len(origins):
        origins, shared = _in_slots(origins)
    key = _token(run.kernel), run.kernel.shape, keeps_first, shared, *[place.strides for place in places]
    known = _kept.get(key)
    if known is not None:
        before, links = known
        pairs = zip(before, origins)
        moves = {slot: (other, offset - start) for (slot, start), (other, offset) in pairs}
        return [link.moved(moves) for link in links]
    found = _new_links(run, keeps_first)
    if len(_kept) >= MOST_KEPT:
        _kept.clear()
    _kept[key] = origins, found
    return found


def _in_slots(places: Sequence[tuple[int, int]]) -> tuple[list[tuple[int, int]], tuple[tuple[int, int], ...]]:
    """The first of some places in each slot, and for each place the number of that one and how far it is from there."""
    first: dict[int, int] = {}
    for slot, offset in places:
        first.setdefault(slot, offset)
    numbers = {slot: number for number, slot in enumerate(first)}
    return list(first.items()), tuple([(numbers[slot], offset - first[slot]) for slot, offset in places])


@derived
def _token(kernel: Kernel) -> object:
    """What stands for a kernel over spaces of any extents."""
    return object()


def _new_links(run: KernelRun, keeps_first: bool) -> list[Link]:
    """The same, worked out anew."""
    arranged = _arranged(run, keeps_first) if is_sum_of_products(run.kernel) else None
    if arranged is None or arranged.layout.tile is None:
        run = unrolled(run, keeps_first)
        pieces = apart(run)
        if len(pieces) > 1:
            return [link for piece in pieces for link in _new_links(piece, keeps_first)]
        arranged = _arranged(run, keeps_first)
    before: list[Link] = []
    if arranged.begins:
        for output, target in zip(run.kernel.outputs, run.targets):
            if output.place is None:
                before += _new_links(filling(output, target), keeps_first)
    points, is_held = prod(run.kernel.shape), arranged.layout.tile is not None
    work = points // PRODUCTS if is_held else points * (5 + cost_of(run.kernel)) // 10
    writer = kernel_function(run.kernel, arranged.layout, NAME)
    return [*before, Link(arranged.extent, arranged.grain, work, arranged.arguments, arranged.heads, writer)]


def _arranged(run: KernelRun, keeps_first: bool) -> Arranged:
    """A kernel for the arrays at hand, and this machine."""
    return arrange(run.kernel, run.sources, run.targets, engine().processor, keeps_first)


def filling(output: Output, target: Place) -> KernelRun:
    """What puts into the result of a reduction what it begins with."""
    kernel = _filling(output.combine, output.expression.dtype, len(target.shape))
    return KernelRun(kernel.over(target.shape), (), (target,))


@lru_cache(256)
def _filling(combine: str | None, dtype: np.dtype[Any], rank: int) -> Kernel:
    number = Output(constant(identity_value(combine, dtype), dtype), None)
    return Kernel((1,) * rank, 0, (number,), ())
