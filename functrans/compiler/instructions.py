"""Instructions: what a program comes to in terms of places in memory (places.py), for whoever runs it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from math import prod
from typing import Any, NamedTuple

import numpy as np

from ..core.avals import ShapedArray, StackAval
from ..source import Source
from .loopnest import Kernel, Load, Output, point
from .places import ObjectPlace, Place, contiguous_strides

Block = list[Any]


class KernelRun(NamedTuple):
    """Run a kernel: `sources` has a place for each operand of the kernel, `targets` one for each output.

    What a kernel reads may be what it overwrites if each point reads there only the element that it writes: all that is
    read at a point is read before anything is written there. Otherwise the two have no memory in common.
    """

    kernel: Kernel
    sources: tuple[Place, ...]
    targets: tuple[Place, ...]

    @property
    def rows(self) -> int:
        """The extent of the first axis."""
        return self.kernel.shape[0]


class ProductRun(NamedTuple):
    """Multiply matrices: places of shapes (batch, m, k), (batch, k, n) and (batch, m, n).

    Attributes:
        z: its rows are contiguous. Matrices of a batch that is summed up are at one place.
        adds: whether to add to what is there.
    """

    x: Place
    y: Place
    z: Place
    adds: bool = False

    @property
    def sources(self) -> tuple[Place, ...]:
        return (self.x, self.y, self.z) if self.adds else (self.x, self.y)

    @property
    def targets(self) -> tuple[Place, ...]:
        return (self.z,)

    @property
    def rows(self) -> int:
        """How many matrices there are."""
        return self.z.shape[0]


class Shift(NamedTuple):
    """How many of the first and of the last rows of a strip wait until the strips above and below it have been done."""

    above: int
    below: int


class ChainRun(NamedTuple):
    """Run kernels, scans and products of a batch of matrices over the same rows, block of rows by block of rows.

    The first axis of some may be several times as long as that of the others, whose rows are then groups of its own.

    Attributes:
        own: the targets that only the chain needs, row by row: a block may take the place of the one before.
        shifts: for each link of a staggered chain (compiler/staggered.py), which rows wait; else nothing.
    """

    links: tuple[KernelRun | ProductRun | ScanRun, ...]
    own: tuple[Place, ...]
    shifts: tuple[Shift, ...] = ()

    @property
    def sources(self) -> tuple[Place, ...]:
        return tuple(place for link in self.links for place in link.sources)

    @property
    def targets(self) -> tuple[Place, ...]:
        return tuple(place for link in self.links for place in link.targets)

    @property
    def rows(self) -> int:
        """The number of rows, or of groups; the largest in a staggered chain."""
        return (max if self.shifts else min)(link.rows for link in self.links)


class PythonRun(NamedTuple):
    """Call a Python function on arrays (or objects), and copy what it returns.

    Attributes:
        source: the line of the user's code that this is for, if it is known.
        is_rare: whether it is run only where something went wrong.
    """

    function: Callable[..., Sequence[Any]]
    params: dict[str, Any]
    sources: tuple[Place | ObjectPlace, ...]
    targets: tuple[Place | ObjectPlace, ...]
    name: str
    source: Source | None = None
    is_rare: bool = False


#: What the other outputs of a scan's kernel load the result of the scan from, at the point.
SCANNED = "scanned"


class ScanRun(NamedTuple):
    """Combine all elements along the last axis up to each one, by an operation that is associative but for rounding.

    The two places have the same shape, of which no extent is zero, and are the same or have no memory in common.

    Attributes:
        around: a kernel over that shape with what is done before and after (compiler/scanned.py). Its first output is
            what is combined, and goes nowhere: there are targets for the others, which may load from SCANNED. Then
            nothing is read from the source, and nothing written to the target, but by this kernel.
    """

    operation: str
    source: Place
    target: Place
    around: KernelRun | None = None

    @property
    def sources(self) -> tuple[Place, ...]:
        return (self.source,) if self.around is None else self.around.sources

    @property
    def targets(self) -> tuple[Place, ...]:
        return (self.target,) if self.around is None else self.around.targets

    @property
    def rows(self) -> int:
        """The extent of the first axis."""
        return self.source.shape[0]


class ParallelRun(NamedTuple):
    """Run kernels, chains and scans that have nothing to do with each other, in any order or at the same time."""

    members: tuple[KernelRun | ChainRun | ScanRun, ...]

    @property
    def sources(self) -> tuple[Place, ...]:
        return tuple(place for run in self.members for place in run.sources)

    @property
    def targets(self) -> tuple[Place, ...]:
        return tuple(place for run in self.members for place in run.targets)


class SortRun(NamedTuple):
    """Sort rows, places of two axes that are contiguous, in place; or leave them, and find the indices that sort them.

    In ascending order, NaN last, complex numbers by their real parts first; what is equal keeps its order.

    Attributes:
        order: where the indices go, int64 numbers in rows as long as the others.
        part: which of the indices are wanted, from the first to before the last: they are put where their row begins,
            and what follows them is left undefined.
    """

    rows: Place
    order: Place | None
    part: tuple[int, int] = (0, 0)


class FourierRun(NamedTuple):
    """A discrete Fourier transform along the last of three axes, times a factor.

    Attributes:
        kind: "fft" and "ifft" take complex numbers to complex ones, "rfft" real ones to half of the spectrum, and
            "irfft" back.
        factor: a real number of the precision of the points.
    """

    kind: str
    factor: Any
    source: Place
    target: Place


class LibraryRun(NamedTuple):
    """Call a library of linear algebra for each of a batch of matrices (compiler/matrices.py).

    Attributes:
        places: what it reads and writes: three axes for matrices, two for vectors, and two for room to work in, which
            has one row for each matrix, or one for all.
        failed: where to put whether it found no result, as an integer.
    """

    name: str
    options: dict[str, Any]
    places: tuple[Place, ...]
    failed: Place


class CheckRun(NamedTuple):
    """Run `otherwise`, which raises the error, if one of some int64 numbers does not lie in [-extent, extent)."""

    numbers: Place
    extent: int
    otherwise: PythonRun


class Step(NamedTuple):
    """The slot of the element that a loop is at, in an array with one element for each step."""

    slot: int
    whole: Place


def at(step: Step | StackStep) -> Place | ObjectPlace:
    """The element of the step that a loop is at."""
    if isinstance(step, StackStep):
        return step.entry
    whole = step.whole
    return Place(step.slot, 0, whole.shape[1:], whole.dtype, whole.strides[1:])


class StackStep(NamedTuple):
    """The entry of the step that a loop is at, in a stack: an array, or an object if that is a stack itself."""

    stack: ObjectPlace
    aval: StackAval
    entry: Place | ObjectPlace


class Tape(NamedTuple):
    """The stacks that a loop reads or writes, one entry in each step.

    The blocks of a stack are reached one after the other: before a step in which one of them ends, and before the
    first one, somebody places the entries anew.

    Attributes:
        limit: the slot with the number of the step before which that is to be done.
        spare: where zeros are, which a stack without entries stands for.
    """

    limit: int
    spare: ObjectPlace
    read: tuple[StackStep, ...]
    written: tuple[StackStep, ...]


class Column(NamedTuple):
    """An array with one entry behind the other, on a tape that grows while a recurrence runs, or has grown before.

    Attributes:
        tape: the number of the former; None: it is the latter.
        aval: of as much of it as one entry.
    """

    tape: int | None
    aval: ShapedArray


class NestedStack(NamedTuple):
    """A stack of stacks that a recurrence goes through.

    Attributes:
        columns: the numbers of the arrays that it is in: two for each level of stacks inside it, which say where each
            of these begins and how many entries it has, and one with the innermost entries.
    """

    stack: ObjectPlace
    aval: StackAval
    columns: tuple[int, ...]


class Nest(NamedTuple):
    """The tapes of loops in loops of a recurrence.

    Attributes:
        rooms: for each tape that grows the slot with the number of entries that it has room for.
        columns: for each the numbers of its arrays.
        read, written: the stacks of stacks that the outermost loop reads and leaves.
    """

    rooms: tuple[int, ...]
    columns: tuple[tuple[int, ...], ...]
    read: tuple[NestedStack, ...]
    written: tuple[NestedStack, ...]


class LoopRun(NamedTuple):
    """Run a block so many times; after each time the slots of the carry before and after are exchanged.

    Attributes:
        why: why its state is not in registers, as a clause.
        begins: what is in the slots of the carry at first: of each array there the only element.
    """

    body: Block
    length: int | Place
    reverse: bool
    steps: tuple[Step, ...]
    swaps: tuple[tuple[int, int], ...]
    why: str = ""
    tape: Tape | None = None
    begins: tuple[Step, ...] = ()


class RecurrenceRun(NamedTuple):
    """Run a loop as one function (compiler/recurrence.py).

    Attributes:
        arrays: what it reads and writes, by number: in memory, or rooms of lanes.
        refused: room for the indices that a check has refused, int64 numbers in a row.
        otherwise: for each failure what raises the error.
        registers: how many numbers its state has in registers.
        tape: that of the outermost loop, of which `length` and `count` say how many steps it has: the latter has the
            number afterwards, if nobody knows it before.
    """

    recurrence: Any
    arrays: tuple[Place | Room, ...]
    refused: Place | None
    otherwise: tuple[PythonRun, ...]
    registers: int
    tape: Tape | None = None
    length: int | Place | None = None
    count: Place | None = None
    is_reverse: bool = False
    nest: Nest | None = None

    @property
    def grown(self) -> dict[int, int]:
        """The arrays that grow, with the numbers of their tapes."""
        return {} if self.nest is None else {k: tape for tape, own in enumerate(self.nest.columns) for k in own}

    @property
    def places(self) -> list[Place]:
        """The arrays in memory."""
        return [array for array in self.arrays if isinstance(array, Place)]


class Room(NamedTuple):
    """An array in which lanes that run side by side, the last axis, keep what is theirs while they run."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @property
    def strides(self) -> tuple[int, ...]:
        return contiguous_strides(self.shape, self.dtype.itemsize)

    @property
    def size(self) -> int:
        """In bytes."""
        return prod(self.shape) * self.dtype.itemsize


class WhileRun(NamedTuple):
    """Run `test`, then, as long as that has left True, `body` and `test` again; count the times.

    Attributes:
        begins: as in a LoopRun.
    """

    test: Block
    going: Place
    body: Block
    swaps: tuple[tuple[int, int], ...]
    count: Place
    why: str = ""
    tape: Tape | None = None
    begins: tuple[Step, ...] = ()


class BranchRun(NamedTuple):
    """Run one of several blocks."""

    index: Place
    blocks: tuple[Block, ...]


def blocks_of(instruction: Any) -> tuple[Block, ...]:
    """The blocks that a loop or branch holds; nothing for other instructions."""
    if isinstance(instruction, LoopRun):
        return (instruction.body,)
    if isinstance(instruction, WhileRun):
        return instruction.test, instruction.body
    return instruction.blocks if isinstance(instruction, BranchRun) else ()


def copying(place: Place) -> Kernel:
    """The kernel that copies an array of the type of a place."""
    return _copying(len(place.shape), place.dtype).over(place.shape)


@lru_cache(256)
def _copying(rank: int, dtype: np.dtype[Any]) -> Kernel:
    return Kernel((1,) * rank, 0, (Output(Load(0, point(rank), dtype), None),), (0,))
