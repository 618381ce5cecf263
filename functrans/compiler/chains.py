"""Chains: kernels in a row that can be run together, some rows at a time, so that rows stay in the cache.

Softmax, layer norm and their gradients are a few kernels over the same leading axis: reductions of rows, and what is
computed from rows and their reductions. Row i of each needs row i of those before only. Run row block by row block,
they read and write what is in the cache; and threads need to meet once, at the end. So it is with the images of a
convolution: zeros are put around one, its windows side by side, and products are summed up. And so it is with a matrix
and the sums of its columns: these are summed up in parts (compiler/partials.py), each of which reads a group of rows
that has just been computed. Products of a batch of matrices belong to a chain over the batch, with the kernels that
make the factors and those that read the products, if some matrices of each are in the cache together; kernels for which
the batch is several axes take these as one. Scans along rows, cumulative sums for one, are links as well.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from itertools import accumulate, groupby, pairwise
from math import prod
from operator import mul
from typing import Any, NamedTuple

from .instructions import ChainRun, CheckRun, KernelRun, ProductRun, ScanRun
from .loopnest import (
    INT,
    ORIGIN,
    Affine,
    Expression,
    Index,
    Kernel,
    Load,
    Position,
    at_index,
    axis_index,
    derived,
    digit,
    has_terms,
    index_strides,
    kernel_over,
)
from .overlap import accessed
from .places import Place, Slot

#: Chains over fewer elements are left as they are: everything is in the cache anyway.
FEWEST_ELEMENTS = 1 << 13
#: A chain has so many kernels at most, so that the time to find it stays bounded.
MOST_LINKS = 64
#: A product belongs to a chain if there are at least so many rows, or else threads had better share each product, and
#: if one matrix of each kind has so many bytes together at most.
FEWEST_ROWS, LARGEST_PRODUCT = 8, 1 << 20

#: So many rows may lie side by side (backends/cpu/side_by_side.py), if they have so few bytes: there is room for whole
#: groups of them.
GROUP, SHORT_ROW = 32, 2048

#: Rows are read at indices that are computed from their number if they have so many elements.
LONG_ROW = 32

Run = KernelRun | ProductRun | ScanRun

#: Accesses to memory, by slot.
_Touched = dict[int, list[Place | None]]


def chained(
    block: Sequence[Any],
    slots: Sequence[Slot],
    notes: Sequence[dict[int, Any]],
    may_be_mixed: bool,
    results: Collection[int],
) -> list[Any]:
    """The instructions of a block, with those that can be run together in chains.

    Temporaries of a chain last as long as all of it.

    Args:
        notes: what is known of instructions, by their ids; first of all when they run.
        may_be_mixed: whether the rows of some links may be groups of the rows of others, and links may be products, as
            on a CPU.
        results: the slots of what the block computes for others, who may be still to come.
    """
    times = notes[0]
    found: list[Any] = []
    given = (with_rows_of_products if may_be_mixed else with_rows_of_reductions)(block, notes)
    for may_be_links, instructions in groupby(given, lambda run: isinstance(run, Run | CheckRun)):
        runs = list(instructions)
        if may_be_links and len(runs) > 1 and (not may_be_mixed or any(map(_is_long, runs))):
            found += _in_chains(runs, slots, times, may_be_mixed, results)
        else:
            found += runs
    return found


def _in_chains(
    runs: Sequence[Run | CheckRun],
    slots: Sequence[Slot],
    times: dict[int, int],
    may_be_mixed: bool,
    results: Collection[int],
) -> list[Any]:
    """Kernels and products, with those that can be run together in chains."""
    found: list[Any] = []
    chain = _Chain(may_be_mixed)
    rest = _after_long_ones(runs) if may_be_mixed else len(runs)
    for number, instruction in enumerate(runs):
        if number >= rest and not any(map(_is_long, chain.links)):
            return [*found, *chain.links, *runs[number:]]
        if has_rows(instruction, may_be_mixed) and chain.takes(instruction):
            chain.add(instruction)
        elif (may_be_mixed or isinstance(instruction, CheckRun)) and chain.may_come_after(instruction):
            start = times[id(chain.links[0])]
            for target in () if isinstance(instruction, CheckRun) else instruction.targets:
                slots[target.slot].use(start, start)
            found.append(instruction)
        elif has_rows(instruction, may_be_mixed):
            found += chain.instructions(slots, times, results)
            chain = _Chain(may_be_mixed)
            chain.add(instruction)
        else:
            found += chain.instructions(slots, times, results)
            chain = _Chain(may_be_mixed)
            found.append(instruction)
    return found + chain.instructions(slots, times, results)


def _after_long_ones(runs: Sequence[Run | CheckRun]) -> int:
    """The number of the first instruction that only short ones come after, and that is one: these are no chain."""
    rest = len(runs)
    while rest and not _is_long(runs[rest - 1]):
        rest -= 1
    return rest


def has_rows(run: Any, may_be_mixed: bool) -> bool:
    """Whether an instruction can be run for some rows only."""
    if isinstance(run, ProductRun):
        if not may_be_mixed or run.rows < FEWEST_ROWS or run.z.strides[0] == 0:
            return False
        return sum([prod(p.shape[1:]) for p in (run.x, run.y, run.z)]) * run.z.dtype.itemsize <= LARGEST_PRODUCT
    if isinstance(run, ScanRun):
        rank, places = len(run.source.shape), (run.source, run.target)
        lie_side_by_side = rank == 2 and all(abs(place.strides[1]) == place.dtype.itemsize for place in places)
        return run.rows > 1 and rank > 1 and (may_be_mixed or lie_side_by_side)
    if not isinstance(run, KernelRun):
        return False
    kernel = run.kernel
    has_rows = len(kernel.shape) > kernel.reduced and kernel.shape[0] > 1 and 0 not in kernel.shape
    return has_rows and not has_places(kernel)


@derived
def has_places(kernel: Kernel) -> bool:
    """Whether a kernel writes to arrays that were there before."""
    return any(output.place is not None for output in kernel.outputs)


def _is_long(run: Run | CheckRun) -> bool:
    """Whether so many elements are computed that they had better stay in the cache."""
    if isinstance(run, CheckRun):
        return False
    shape = run.kernel.shape if isinstance(run, KernelRun) else run.targets[0].shape
    return prod(shape) >= FEWEST_ELEMENTS


def with_rows_of_products(block: Sequence[Any], notes: Iterable[dict[int, Any]]) -> list[Any]:
    """The instructions of a block; kernels next to a product of a batch take several axes as one, if that is the batch.

    Args:
        notes: what is known of instructions, by their ids; the same is known of those that take the place of others.
    """
    found = _Block(block, notes, may_compute=False)
    for k, product in enumerate(block):
        if isinstance(product, ProductRun) and has_rows(product, True):
            found.give_rows_beside(k, product.rows)
    return found.runs


def with_rows_of_reductions(block: Sequence[Any], notes: Iterable[dict[int, Any]]) -> list[Any]:
    """The instructions of a block; reductions of rows take all other axes as one, and so do the kernels next to them.

    The same goes for the softmax of matrices and of batches of these then.
    """
    found = _Block(block, notes, may_compute=True)
    for k, run in enumerate(block):
        if not (isinstance(run, KernelRun) and run.kernel.reduced and has_rows(run, False)):
            continue
        rows = prod(run.kernel.shape[: len(run.kernel.shape) - run.kernel.reduced])
        if found.runs[k] is run and run.rows != rows and found.gives_rows(k, rows):
            found.give_rows_beside(k, rows)
    return found.runs


class _Block:
    """Instructions, some of which give way to those that do the same with several axes as one.

    Attributes:
        runs: the instructions.
    """

    def __init__(self, block: Sequence[Any], notes: Iterable[dict[int, Any]], may_compute: bool):
        self.given = block
        self.may_compute = may_compute
        self.runs = list(block)
        self.notes = notes

    def give_rows_beside(self, k: int, rows: int) -> None:
        """Have the kernels before and after an instruction go through so many rows, as far as they can."""
        for way in (-1, 1):
            j = k + way
            while 0 <= j < len(self.runs) and isinstance(self.runs[j], KernelRun) and has_rows(self.runs[j], True):
                if not self.gives_rows(j, rows):
                    break
                j += way

    def gives_rows(self, j: int, rows: int) -> bool:
        """Have a kernel that has not been changed yet go through so many rows; whether it does."""
        run = self.runs[j]
        if run.rows == rows:
            return True
        found = _with_one_axis(run, rows, self.may_compute) if run is self.given[j] else None
        if found is None:
            return False
        for known in self.notes:
            if id(run) in known:
                known[id(found)] = known[id(run)]
        self.runs[j] = found
        return True


def _with_one_axis(run: KernelRun, extent: int, may_compute: bool) -> KernelRun | None:
    """A kernel with so many rows: with its first axes as one, if that can be done.

    Args:
        may_compute: whether rows that do not lie in memory as one axis, those of a mask for all matrices of a batch,
            say, may be read at indices that are computed from the number of a row.
    """
    shape, reduced, outputs, _ = run.kernel
    sizes = list(accumulate(shape[: len(shape) - reduced], mul))
    if extent not in sizes:
        return None
    count, rank = sizes.index(extent) + 1, len(shape)
    kept = [axis for axis in range(count, rank) if shape[axis] != 1 or axis >= rank - reduced]
    targets = [_merged(place, count, [k for k in kept if k < rank - reduced]) for place in run.targets]
    moved = _with_merged_loads(run, count, kept, may_compute and prod(shape[count:]) >= LONG_ROW)
    if None in targets or moved is None:
        return None
    found, sources = moved
    new_outputs = tuple(output._replace(expression=found[id(output.expression)]) for output in outputs)
    new_kernel = kernel_over((extent, *(shape[axis] for axis in kept)), reduced, new_outputs)
    return KernelRun(new_kernel, tuple(sources[k] for k in new_kernel.operands), tuple(targets))


def _with_merged_loads(
    run: KernelRun, count: int, kept: Sequence[int], may_compute: bool
) -> tuple[dict[int, Expression], list[Place]] | None:
    """The expressions of a kernel, by id, with so many first axes as one, and the places that they read.

    None if there is something that cannot be read so, or that reads no rows.

    Args:
        kept: the other axes that are left.
    """
    kernel, shape, rank = run.kernel, run.kernel.shape, len(run.kernel.shape)
    places = dict(zip(kernel.operands, run.sources))
    inside = {axis: axis_index(k) for k, axis in enumerate(kept, 1)}
    moves = (*_digits(shape[:count]), *(inside.get(axis, ORIGIN) for axis in range(count, rank)))
    sources: list[Place] = []
    found: dict[int, Expression] = {}
    # A reduction of what is no row anywhere sums up products of rows and columns, or windows.
    has_rows = not kernel.reduced
    for e in kernel.expressions():
        moved = at_index(e, moves, found)
        if isinstance(e, Load):
            own = places[e.operand]
            merged, walked = _merged_rows(e, own, shape, count)
            if merged is not None:
                moved, own = moved._replace(index=(axis_index(0), *(inside[axis] for axis in walked))), merged
                has_rows = has_rows or merged.strides[0] != 0
            elif not (may_compute and _is_along(e, own, rank)):
                return None
            moved = moved._replace(operand=len(sources))
            sources.append(own)
        elif isinstance(e, Position) and moved.index.terms and not may_compute:
            return None
        found[id(e)] = moved
    return (found, sources) if has_rows else None


def _digits(shape: Sequence[int]) -> Index:
    """The indices along axes by the number of a point, which counts all of them."""
    row = Position(axis_index(0), INT)
    numbers = [digit(row, prod(shape[axis + 1 :]), extent) for axis, extent in enumerate(shape)]
    return tuple(Affine(0, (), ((1, i),)) if n != 1 else ORIGIN for i, n in zip(numbers, shape))


def _merged_rows(load: Load, place: Place, shape: tuple[int, ...], count: int) -> tuple[Place | None, list[int]]:
    """What a load reads, with the first axes as one, and those of the other axes along which it moves."""
    if has_terms(load.index):
        return None, []
    touched = accessed(load, place, shape)
    walked = [axis for axis in range(count, len(shape)) if shape[axis] != 1 and touched.strides[axis]]
    return _merged(touched, count, walked), walked


def _is_along(load: Load, place: Place, rank: int) -> bool:
    """Whether a load moves by one element at most with the last axis."""
    return abs(index_strides(load.index, place.strides, rank)[-1]) <= place.dtype.itemsize


def _merged(place: Place, count: int, kept: Sequence[int]) -> Place | None:
    """An array with its first axes as one, and some of the others; None if they do not lie in memory as one."""
    axes = list(zip(place.shape, place.strides))
    walked = [(n, stride) for n, stride in axes[:count] if n != 1]
    if any(outer != n * inner for (_, outer), (n, inner) in pairwise(walked)):
        return None
    rows = prod(place.shape[:count]), walked[-1][1] if walked else 0
    shape, strides = zip(rows, *(axes[axis] for axis in kept))
    return place._replace(shape=shape, strides=strides)


class _Chain:
    """Kernels and products that can be run together, in order.

    Attributes:
        extents: those of their first axes: one, or another one for parts of sums, which is a divisor of it.
        written: the slots that they write to; slots: those, and what they read.
        touched: what the first of them, `looked_at`, read and write over all points, by slot; None for what is read at
            computed indices.
        asked: the same for the kernel that was asked for last.
    """

    def __init__(self, may_be_mixed: bool) -> None:
        self.may_be_mixed = may_be_mixed
        self.links: list[Run] = []
        self.has_products = False
        self.extents: set[int] = set()
        self.written: set[int] = set()
        self.slots: set[int] = set()
        self.touched: _Touched = {}
        self.looked_at = 0
        self.asked: tuple[Run | None, _Touched] = None, {}

    def takes(self, run: Run) -> bool:
        """Whether row i of an instruction has to do with row i only of what the links read and write."""
        if not self.links:
            return True
        if len(self.links) == MOST_LINKS or not self.has_same_rows(run):
            return False
        common = self.slots_in_common(run)
        if not common:
            return True
        self.look()
        rows = min(*self.extents, run.rows)
        self.asked = run, touched_by(run)
        return all(_are_apart([*self.touched[slot], *self.asked[1][slot]], rows) for slot in common)

    def slots_in_common(self, run: Any) -> set[int]:
        """The slots that an instruction touches and the links write to, or the other way round."""
        reads, writes = ({place.slot for place in places} for places in (run.sources, run.targets))
        return self.written & reads | self.slots & writes

    def may_come_after(self, run: Any) -> bool:
        """Whether an instruction between the links and others may as well run before them: a check of indices that they
        do not compute, or a kernel that has nothing to do with them, and that is too short for a chain, or copies what
        a product in the chain will read."""
        if not self.links:
            return False
        if isinstance(run, CheckRun):
            return run.numbers.slot not in self.written
        if not isinstance(run, KernelRun):
            return False
        if not self.has_products and _is_long(run):
            return False
        return not self.slots_in_common(run)

    def has_same_rows(self, run: Run) -> bool:
        """Whether an instruction has the rows of the links, or reduces groups of rows that they have computed."""
        rows = min(*self.extents, run.rows)
        if rows < FEWEST_ROWS and (self.has_products or isinstance(run, ProductRun)):
            return False
        if run.rows in self.extents:
            return True
        is_reduced = isinstance(run, KernelRun) and run.kernel.reduced > 0
        if not (self.may_be_mixed and is_reduced and len(self.extents) == 1):
            return False
        return min(self.extents) % run.rows == 0 and any(source.slot in self.written for source in run.sources)

    def add(self, run: Run) -> None:
        self.links.append(run)
        self.has_products = self.has_products or isinstance(run, ProductRun)
        self.extents.add(run.rows)
        self.written.update([target.slot for target in run.targets])
        self.slots.update([place.slot for place in (*run.sources, *run.targets)])

    def look(self) -> None:
        """Note what the links touch that have come since somebody asked; most kernels are in no chain at all."""
        for run in self.links[self.looked_at :]:
            asked, touched = self.asked
            for slot, places in (touched if asked is run else touched_by(run)).items():
                self.touched.setdefault(slot, []).extend(places)
        self.looked_at = len(self.links)

    def instructions(self, slots: Sequence[Slot], times: dict[int, int], results: Collection[int]) -> list[Any]:
        """The links as one instruction, if they are several and long enough; on a GPU each link would be a launch, and
        those that have nothing to do with the others are."""
        links = self.links
        if len(links) < 2 or (self.may_be_mixed and not any(map(_is_long, links))):
            return [*links]
        first, last = times[id(links[0])], times[id(links[-1])]
        for place in (place for link in links for place in (*link.sources, *link.targets)):
            slots[place.slot].use(first, last)
        chains = [links] if self.may_be_mixed else self.with_rows_in_common()
        return [self.instruction(links, slots, (first, last), results) for links in chains]

    def instruction(
        self, links: list[Run], slots: Sequence[Slot], span: tuple[int, int], results: Collection[int]
    ) -> Run | ChainRun:
        """Links as one instruction, that run during some time."""
        own = tuple(place for place in _own_places(links, slots, *span) if place.slot not in results)
        for place in own if self.may_be_mixed else ():
            row = place.strides[0] * (place.shape[0] // min(self.extents))
            if row <= SHORT_ROW:
                size = -(-min(self.extents) // GROUP) * GROUP * row
                slots[place.slot].size = max(slots[place.slot].size, size)
        return ChainRun(tuple(links), own) if len(links) > 1 else links[0]

    def with_rows_in_common(self) -> list[list[Run]]:
        """The links, those together that read the same rows, or what others write."""
        self.look()
        found: list[tuple[set[int], list[Run]]] = []
        for link in self.links:
            rows = {
                slot
                for slot, places in touched_by(link).items()
                if slot in self.written or any(place is not None and place.strides[0] for place in places)
            }
            together = [part for part in found if part[0] & rows]
            found = [part for part in found if not part[0] & rows]
            slots = rows.union(*(part[0] for part in together))
            found.append((slots, [*(run for _, links in together for run in links), link]))
        return [links for _, links in found]


def touched_by(run: Run) -> _Touched:
    """What is read and written over all rows, by slot; None for what is read at computed indices."""
    found: _Touched = {place.slot: [] for place in run.sources}
    if not isinstance(run, KernelRun):
        for place in (*run.sources, *run.targets):
            found.setdefault(place.slot, []).append(place)
        return found
    kernel, places = run.kernel, dict(zip(run.kernel.operands, run.sources))
    for load in kernel.loads():
        place = places[load.operand]
        found[place.slot].append(None if has_terms(load.index) else accessed(load, place, kernel.shape))
    for place in run.targets:
        found.setdefault(place.slot, []).append(place)
    return found


class RowBytes(NamedTuple):
    """The bytes that an access touches in the first row, and how far it is to the next row."""

    low: int
    high: int
    way: int


def row_bytes(place: Place, rows: int) -> RowBytes:
    """Those of what an access touches over a space, of which some neighbours along the first axis are one row."""
    _, low, shape, dtype, strides = place
    group, high = shape[0] // rows, low + dtype.itemsize
    for n, stride in zip((group, *shape[1:]), strides):
        if stride < 0:
            low += (n - 1) * stride
        else:
            high += (n - 1) * stride
    return tuple.__new__(RowBytes, (low, high, group * strides[0]))


def _are_apart(places: Sequence[Place | None], rows: int) -> bool:
    """Whether row i of each access to a slot shares memory with row i only of the others."""
    found = [None if place is None else row_bytes(place, rows) for place in places]
    (first, *_) = found
    if first is None or first.way <= 0:
        return False
    return all(row is not None and row.way == first.way and row.low >= 0 and row.high <= row.way for row in found)


def _own_places(links: Sequence[Run], slots: Sequence[Slot], first: int, last: int) -> tuple[Place, ...]:
    """The targets that nobody needs but the chain: rows of these may take the place of earlier ones."""
    targets = [target for link in links for target in link.targets]
    return tuple(
        target
        for target in targets
        if slots[target.slot].kind == "temporary"
        and slots[target.slot].first >= first
        and slots[target.slot].last <= last
    )
