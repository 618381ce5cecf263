"""How a kernel runs over the arrays at hand: its loops, how operands move in them, and which threads do what."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any, NamedTuple

from ...accesses import Operand, index_of, numbers_of, operands_of
from ...loopnest import Kernel, Load, Output, Position
from ...places import Place
from .launches import Argument, Pointer

#: Threads of a block.
BLOCK = 256
#: The most bytes that a thread moves at once.
VECTOR = 16
#: The most elements that a thread works on at once: more take too many registers.
MOST_LANES = 4
#: How many registers, of four bytes, may hold what a thread has loaded of neighbours: half of those that it can have.
MOST_HELD = 128
#: Numbers of elements and of bytes that 32-bit indices are used for; the rest leaves room for the last steps of loops.
FEW = 1 << 30
#: Threads that a multiprocessor has room for.
RESIDENT = 2048
#: A row of fewer elements is reduced by one thread, one of more by a warp, or by a part of one.
SHORT_ROW = 16
#: A row of more elements is reduced by a block.
LONG_ROW = 2048
#: A reduction is divided among blocks where a thread of one would load more often than this; then each loads so often
#: at least, for that many loads are on their way at the same time.
WORTH_DIVIDING, LEAST_SHARE = 32, 4
#: Bytes that each multiprocessor should have on their way from memory: what comes in the time that one takes to come
#: (18 KB for 132 of them, 3.35 TB/s and 0.7 microseconds), and most of that again.
IN_FLIGHT = 32 << 10
#: The edge of tiles that are turned in shared memory: as many elements as a warp has threads.
TILE = 32
#: Along fewer elements than this in one direction, most of a tile would be empty.
FEWEST_TO_TURN = 16
#: Neighbours that are fewer bytes apart are as well read where they are: memory is read in pieces of this size.
SECTOR = 32
#: The elements of the tiles of one kernel come to at most so many bytes, so that several blocks have room for theirs.
TURNED_BYTES = 24
#: A sum of products shares tiles of its operands from so many rows, columns and terms on, and so many results.
LEAST_EDGE, LEAST_TILE = 8, 1024
#: What one block is left to do in each step of a loop, in operations for each kernel: about a microsecond.
LITTLE_WORK = 1 << 16
#: Blocks of a launch that one block may as well do, one after the other: it takes no longer than to launch them.
FEW_BLOCKS = 4
#: Parts that a reduction is divided into at most.
MOST_PARTS = 512
#: Where updates meet in so few bytes, each block has a copy of these, which it updates with so many points for each
#: place at least.
MOST_COPIED, LEAST_MEETINGS = 8 << 10, 4


class Access(NamedTuple):
    """An operand of a kernel in memory; for an index as a value, numbers in place of bytes.

    Attributes:
        slot: that the address is counted from; None for an index as a value.
        itemsize: in bytes.
        strides: the way along each loop.
        terms: the way by each of the computed terms.
    """

    operand: Operand
    slot: int | None
    offset: int
    itemsize: int
    strides: tuple[int, ...]
    terms: tuple[int, ...]


class Nest(NamedTuple):
    """The loops of a kernel, outermost first, those that are reduced last.

    Attributes:
        parallel: how many are not reduced.
    """

    kernel: Kernel
    extents: tuple[int, ...]
    parallel: int
    accesses: tuple[Access, ...]

    @property
    def results(self) -> int:
        return prod(self.extents[: self.parallel])

    @property
    def reduced(self) -> int:
        return prod(self.extents[self.parallel :])


class Form(NamedTuple):
    """What the text of a kernel depends on beside its expressions.

    Attributes:
        parallel, reduced: how many loops there are.
        team: the threads that work on one result together: one, some of a warp, a warp, or all of a block. 0 for
            columns: threads of a block that are side by side work on neighbouring results.
        lanes: how many neighbours along the innermost loop (of columns: the innermost one of results) a thread works on
            at once.
        moves: for each access, how it moves along that loop: "one" element, "none" or "any".
        is_wide: whether indices need 64 bits.
        is_divided: whether blocks reduce parts of each row.
        is_guarded: whether nothing is done after a check of indices has failed.
        updates: for each output, None, or how it is combined with what is there: "atomic" or "alone".
        turned: the numbers of the accesses that are read through tiles in shared memory.
        across: the loop along which these move by one element.
        columns: how many threads of a block are side by side, if it works on columns.
        is_apart: whether neighbours are loaded one by one.
        has_copies: whether each block updates a copy of its own of the one result, in shared memory.
        checked: the number of the output that is checked (checks.py); None if there is none.
        together: the numbers of the accesses that are moved as one at each point, in groups.
    """

    parallel: int
    reduced: int
    team: int
    lanes: int
    moves: tuple[str, ...]
    is_wide: bool
    is_divided: bool
    is_guarded: bool
    updates: tuple[str | None, ...]
    turned: tuple[int, ...] = ()
    across: int = -1
    columns: int = 1
    is_apart: bool = False
    has_copies: bool = False
    checked: int | None = None
    together: tuple[tuple[int, ...], ...] = ()


def nest_of(
    kernel: Kernel,
    sources: Sequence[Place],
    targets: Sequence[Place],
    serial: Sequence[int] = (),
    has_rows: bool = False,
) -> Nest:
    """Merge loops that everything walks alike.

    Args:
        serial: axes that are walked by one thread, in order, as if they were reduced.
        has_rows: whether the first axis is to be a loop of its own.
    """
    rank = len(kernel.shape)
    by_operand, by_output = dict(zip(kernel.operands, sources)), iter(targets)
    accesses = [access(o, by_operand, by_output, rank) for o in operands_of(kernel)]
    inner = [*(a for a in range(rank - kernel.reduced) if a in serial), *range(rank - kernel.reduced, rank)]
    outer = [a for a in range(rank) if a not in inner]
    loops = [merged(axes, kernel.shape, [a.strides for a in accesses]) for axes in (outer[has_rows:], inner)]
    if has_rows:
        loops[0].insert(0, (0, kernel.shape[0]))
    axes = [axis for group in loops for axis, _ in group]
    return Nest(
        kernel,
        tuple(extent for group in loops for _, extent in group),
        len(loops[0]),
        tuple(a._replace(strides=tuple(a.strides[axis] for axis in axes)) for a in accesses),
    )


def access(operand: Operand, by_operand: dict[object, Place], by_output: object, rank: int) -> Access:
    """An operand, with strides along all axes of the kernel."""
    source = operand.source
    if isinstance(source, Position):
        i = source.index
        strides = tuple(i.factor(axis) for axis in range(rank))
        return Access(operand, None, i.offset, 8, strides, tuple(factor for factor, _ in i.terms))
    place: Place = by_operand[source.operand] if isinstance(source, Load) else next(by_output)
    index, size = index_of(source), place.dtype.itemsize
    if isinstance(source, Output) and source.place is None:
        return Access(operand, place.slot, place.offset, size, (*place.strides, *[0] * (rank - len(place.strides))), ())
    pairs = list(zip(index, place.strides))
    return Access(
        operand,
        place.slot,
        place.offset + sum(i.offset * s for i, s in pairs),
        size,
        tuple(sum(i.factor(axis) * s for i, s in pairs) for axis in range(rank)),
        tuple(factor * s for i, s in pairs for factor, _ in i.terms),
    )


def merged(axes: Sequence[int], shape: Sequence[int], strides: Sequence[Sequence[int]]) -> list[tuple[int, int]]:
    """Loops over some axes, as (axis whose strides it has, extent): neighbours that everything walks alike are one."""
    loops: list[tuple[int, int]] = []
    for axis in axes:
        extent = shape[axis]
        if extent == 1:
            continue
        if loops and all(s[loops[-1][0]] == s[axis] * extent for s in strides):
            loops[-1] = (axis, loops[-1][1] * extent)
        else:
            loops.append((axis, extent))
    return loops


def colliding_axes(kernel: Kernel) -> set[int]:
    """The axes along which different points may write to the same place, since computed indices depend on them."""
    return {
        axis
        for output in kernel.outputs
        for i in output.place or ()
        for load in _loads_in([e for _, e in i.terms])
        for j in load.index
        for axis, _ in j.factors
        if kernel.shape[axis] != 1
    }


def _loads_in(expressions: Sequence[object]) -> list[Load]:
    from_kernel = Kernel((), 0, tuple(Output(e, None) for e in expressions), ())
    return from_kernel.loads()


def is_short(nest: Nest) -> bool:
    """Whether 32 bits are enough for all indices, in elements and in bytes."""
    far = (sum(abs(s) * (n - 1) for s, n in zip(a.strides, nest.extents)) for a in nest.accesses)
    return prod(nest.extents) < FEW and all(distance < FEW for distance in far)


def moves(nest: Nest, loop: int) -> tuple[str, ...]:
    """How accesses move along a loop."""

    def move(a: Access) -> str:
        if not nest.extents or not a.strides[loop]:
            return "none"
        return "one" if a.strides[loop] == (1 if a.slot is None else a.itemsize) else "any"

    return tuple(map(move, nest.accesses))


def lanes(nest: Nest, loop: int, is_aligned: Sequence[bool]) -> int:
    """How many neighbours along a loop one thread can load and store at once; 1 if the addresses do not allow for it.

    Args:
        is_aligned: for each slot, whether its address is a multiple of VECTOR.
    """
    if not nest.extents:
        return 1
    loop %= len(nest.extents)
    own = [
        a
        for a, move in zip(nest.accesses, moves(nest, loop))
        if move == "one" and a.slot is not None and not a.terms
    ]
    apart = moves(nest, loop).count("any")
    count = min(MOST_LANES, *(VECTOR // a.itemsize for a in own)) if len(own) > apart else 1
    held = sum(-(-a.itemsize // 4) for a in nest.accesses)
    while count > 1 and not (
        nest.extents[loop] % count == 0
        and count * held <= MOST_HELD
        and all(
            is_aligned[a.slot or 0]
            and a.offset % (count * a.itemsize) == 0
            and all(s % (count * a.itemsize) == 0 for k, s in enumerate(a.strides) if k != loop)
            for a in own
        )
    ):
        count //= 2
    return max(count, 1)


def side_by_side(nest: Nest, is_aligned: Sequence[bool], has_lanes: bool) -> tuple[tuple[int, ...], ...]:
    """The accesses that are side by side at each point, as the elements of small matrices are, in groups of as many
    as are moved at once: threads side by side ask for pieces that are far apart, each of which had better be large.

    Args:
        is_aligned: as in `lanes`.
        has_lanes: whether threads have several points; then what is the same for these is all that is meant.
    """
    still = [not has_lanes or move == "none" for move in moves(nest, -1)]
    split = len(nest.accesses) - len(nest.kernel.outputs)
    alike: dict[Any, dict[int, int]] = {}
    for k, a in enumerate(nest.accesses):
        if a.slot is not None and not a.terms and is_aligned[a.slot] and still[k]:
            dtype = (a.operand.source.expression if k >= split else a.operand.source).dtype
            if dtype.itemsize == a.itemsize:  # what is rounded as it is stored is another matter
                alike.setdefault((k < split, a.slot, dtype, a.strides), {}).setdefault(a.offset, k)
    found: list[tuple[int, ...]] = []
    for (_, _, dtype, strides), by_offset in alike.items():
        left, size = dict(by_offset), dtype.itemsize
        for count in (c for c in (16, 8, 4, 2) if c * size <= VECTOR and not any(s % (c * size) for s in strides)):
            for start in sorted(o for o in left if o % (count * size) == 0):
                offsets = range(start, start + count * size, size)
                if all(o in left for o in offsets):
                    found.append(tuple(left.pop(o) for o in offsets))
    return tuple(found)


def along_results(nest: Nest) -> Nest:
    """The same loops, those along which the first result moves least innermost."""
    first = nest.accesses[len(nest.accesses) - len(nest.kernel.outputs)]
    order = sorted(range(len(nest.extents)), key=lambda loop: -abs(first.strides[loop]))
    return nest._replace(
        extents=tuple(nest.extents[loop] for loop in order),
        accesses=tuple(a._replace(strides=tuple(a.strides[loop] for loop in order)) for a in nest.accesses),
    )


def turned(nest: Nest) -> tuple[tuple[int, ...], int]:
    """What is read side by side along another loop than the innermost one, along which results are written, and which.

    A warp that reads such an operand where it is takes a piece of memory for each of its threads. It is read along its
    own direction instead, into a tile of shared memory, and then from there.
    """
    last = len(nest.extents) - 1
    split = len(nest.accesses) - len(nest.kernel.outputs)
    is_along = all(abs(a.strides[last]) == a.itemsize for a in nest.accesses[split:]) if last > 0 else False
    if not is_along or nest.extents[last] < FEWEST_TO_TURN:
        return (), -1
    found: dict[int, list[int]] = {}
    for k, a in enumerate(nest.accesses[:split]):
        across = next((d for d in range(last) if abs(a.strides[d]) == a.itemsize), -1)
        is_far = a.slot is not None and not a.terms and abs(a.strides[last]) >= max(SECTOR, 2 * a.itemsize)
        room = TURNED_BYTES - sum(nest.accesses[j].itemsize for j in found.get(across, ()))
        if across >= 0 and is_far and nest.extents[across] >= FEWEST_TO_TURN and a.itemsize <= room:
            found.setdefault(across, []).append(k)
    across = max(found, key=lambda loop: len(found[loop]), default=-1)
    return tuple(found.get(across, ())), across


def parts_of(loads: int, wanted: int) -> int:
    """Into how many parts to divide what is reduced, or scanned.

    Args:
        loads: how often each thread would load if nothing were divided.
        wanted: how many parts would keep a GPU busy.
    """
    if loads <= WORTH_DIVIDING:
        return 1
    return max(1, min(wanted, loads // LEAST_SHARE, MOST_PARTS))


def told(access: Access, move: str, inner: int) -> list[int]:
    """The loops along which a kernel is told how far an operand moves: not where it stays, or moves by one element.

    Where it stays is part of the text, so that what does not change in a loop is loaded before it.
    """
    return [d for d, stride in enumerate(access.strides) if stride and (d != inner or move == "any")]


def divisors_of(nest: Nest, form: Form, first: int = 0) -> dict[int, int]:
    """What the numbers of points are divided by to find the indices of loops: the extents of all but the outermost one
    of those that are counted together, by loop. A kernel is told how to do that without a division.

    Args:
        first: the first loop that is counted.
    """
    extents, count = list(nest.extents), len(nest.extents)
    if form.is_wide:
        return {}
    if form.turned:
        others = [d for d in range(count - 1) if d != form.across]
        for d in (form.across, count - 1):
            extents[d] = -(-extents[d] // TILE)
        return {d: extents[d] for d in [*others, form.across, count - 1][1:]}
    if form.lanes > 1:
        extents[-1 if form.team or not form.reduced else form.parallel - 1] //= form.lanes
    groups = range(first, form.parallel), range(form.parallel, count if nest.kernel.reduced else form.parallel)
    return {d: extents[d] for group in groups for d in group[1:]}


def divisor(number: int) -> int:
    """What takes the place of a division of a number below 2**31 by another one (`Divisor` in prelude.cuh): a
    multiplier that is a power of two over that one, rounded up, and the exponent of the power (Granlund and Montgomery
    1994)."""
    exponent = 31 + (number - 1).bit_length()
    return ((1 << exponent) // number + 1) | exponent << 32


def arguments_of(nest: Nest, form: Form) -> list[Argument]:
    """What the function of a kernel is called with, in the order of its parameters."""
    found: list[Argument] = [*nest.extents, *map(divisor, divisors_of(nest, form).values())]
    last = len(nest.extents) - 1 if form.team or not form.reduced else form.parallel - 1
    for a, move in zip(nest.accesses, form.moves):
        found.append(a.offset if a.slot is None else Pointer(a.slot, a.offset))
        found += [a.strides[d] for d in told(a, move, last)]
        found += a.terms
    return found + [int.from_bytes(n.value.ljust(8, b"\0"), "little", signed=True) for n in numbers_of(nest.kernel)]
