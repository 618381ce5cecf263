"""Short rows of a chain side by side: arrays that only a chain sees lie in memory as vectors want them.

Rows of three elements make no vectors, and a loop over such rows finds its operands three elements apart. So in a group
of rows first come the first elements of all, then the second ones. A chain is run group by group then.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from ...chains import GROUP, SHORT_ROW
from ...instructions import KernelRun
from ...loopnest import axis_index
from ...overlap import accessed
from ...places import Place
from ...unrolling import unrolled
from .layouts import SHORT, cost_of_rows


class SideBySide(NamedTuple):
    """The arrays of a chain whose rows lie side by side.

    Attributes:
        rows: the bytes of a row, by slot.
    """

    rows: Mapping[int, int]

    def moved(self, run: Any) -> Any:
        """An instruction with these arrays where they are now."""
        if not isinstance(run, KernelRun) or not self.rows:
            return run
        sources, targets = (tuple(map(self.place, places)) for places in (run.sources, run.targets))
        return run._replace(sources=sources, targets=targets)

    def place(self, place: Place) -> Place:
        """Where an array is now: elements are a group apart, and rows an element."""
        row = self.rows.get(place.slot)
        if row is None:
            return place
        strides = [place.dtype.itemsize if stride == row else GROUP * stride for stride in place.strides]
        return place._replace(offset=GROUP * place.offset, strides=tuple(strides))

    def way(self, place: Place, row: int) -> int:
        """How far it is from one row of an array to the next, given the bytes of a row."""
        return place.dtype.itemsize if place.slot in self.rows else row


def side_by_side(runs: Sequence[Any], rows: int, own: Iterable[Place]) -> SideBySide:
    """Which arrays of a chain are to lie so: none, if the loops over them would not cost less."""
    found = {place.slot: place for place in own if place.dtype.itemsize < place.strides[0] <= SHORT_ROW}
    for run in runs:
        for slot in {place.slot for place in (*run.sources, *run.targets)} & found.keys():
            if not _is_row_by_row(run, found[slot], rows):
                del found[slot]
    turned = SideBySide({slot: place.strides[0] for slot, place in found.items()})
    concerned = [run for run in runs if any(place.slot in found for place in (*run.sources, *run.targets))]
    before, after = (
        sum(cost_of_rows(unrolled(run, True)) for run in given)
        for given in (concerned, map(turned.moved, concerned))
    )
    return turned if after < before else SideBySide({})


def _is_row_by_row(run: Any, own: Place, rows: int) -> bool:
    """Whether an instruction is a kernel over short rows, and nothing of it depends on how those of an array lie."""
    if not isinstance(run, KernelRun) or run.kernel.reduced or run.rows != rows:
        return False
    shape = [extent for extent in run.kernel.shape[1:] if extent != 1]
    if shape and shape[-1] >= SHORT:
        return False
    places = dict(zip(run.kernel.operands, run.sources))
    loads = [load for load in run.kernel.loads() if places[load.operand].slot == own.slot]
    if any(load.index[0] != axis_index(0) for load in loads):
        return False
    read = [accessed(load, places[load.operand], run.kernel.shape) for load in loads]
    named = [places[load.operand] for load in loads]
    return all(_has_rows(place, own) for place in (*read, *named, *(p for p in run.targets if p.slot == own.slot)))


def _has_rows(place: Place, own: Place) -> bool:
    """Whether a view has one row of an array at each index of its first axis, and whole elements of it in these."""
    row, size = own.strides[0], own.dtype.itemsize
    inside = (place.offset, *place.strides[1:])
    is_whole = all(0 <= n < row and n % size == 0 for n in inside)
    return place.strides[0] == row and place.dtype.itemsize == size and is_whole
