"""Scans: kernels that combine all elements of a row up to each one.

Where rows lie beside each other, a thread goes along each. Otherwise a warp or a block does, tile by tile: each thread
combines some neighbours, warps exchange what their threads have, and the block what its warps have. Few long rows are
divided into parts: what each part comes to is scanned first, and then each part starts with what is before it.

The order in which elements are combined depends on the shape, the strides and the GPU, not on when threads run. Only a
thread that goes along all of its row combines as NumPy does, one after the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any, NamedTuple

import numpy as np

from ...instructions import Place, ScanRun, contiguous_strides
from ...loopnest import Apply, Register
from ...operations import write_operation
from . import layouts
from .launches import NAME, Argument, Launch, Pointer
from .layouts import BLOCK, MOST_LANES, VECTOR, merged
from .lowering import WAVES, Target
from .operations import CudaCode, type_name
from .text import Text, signature

#: What a scan does: go through whole rows, find what each of their parts comes to, or go on from there.
WHOLE, TOTALS, RESUMED = "whole", "totals", "resumed"

#: What is a tile to a thread that goes along a row by itself.
COLUMN = 16


class Rows(NamedTuple):
    """The rows of a scan.

    Attributes:
        extents: of the loops over rows, outermost first.
        length: of a row.
        strides: for what is read and what is written the way along each loop, and last along a row, in bytes.
        offsets: where the two begin, in bytes from their slots.
        slots: of the two.
    """

    extents: tuple[int, ...]
    length: int
    strides: tuple[tuple[int, ...], tuple[int, ...]]
    offsets: tuple[int, int]
    slots: tuple[int, int]
    dtype: np.dtype[Any]

    @property
    def number(self) -> int:
        return prod(self.extents)

    @property
    def is_short(self) -> bool:
        """Whether 32 bits are enough for all indices, in elements and in bytes."""
        extents = (*self.extents, self.length)
        far = (sum(abs(s) * (n - 1) for s, n in zip(own, extents)) for own in self.strides)
        return prod(extents) < layouts.FEW and all(distance < layouts.FEW for distance in far)


class Form(NamedTuple):
    """What the text of a kernel depends on.

    Attributes:
        loops: over rows.
        team: the threads that share a row: 1, 32, or all of a block.
        items: how many neighbours a thread combines by itself.
        is_vector: whether these are moved at once.
        are_neighbours: for what is read and what is written, whether the elements of a row lie side by side.
        is_alone: whether nothing that is read is written to.
        phase: WHOLE, TOTALS or RESUMED.
    """

    operation: str
    dtype: np.dtype[Any]
    loops: int
    team: int
    items: int
    is_vector: bool
    are_neighbours: tuple[bool, bool]
    is_wide: bool
    is_alone: bool
    phase: str


def scan_launches(run: ScanRun, target: Target, may_divide: bool = True) -> list[Launch]:
    """A scan as one launch, or as three where its rows are few and long."""
    rows = _rows(run)
    team = _team(rows)
    is_vector, items = _items(rows, team, target)
    size = _part(rows, team, items, target) if may_divide and target.processors else rows.length
    parts = -(-rows.length // size)
    form = Form(
        run.operation,
        rows.dtype,
        len(rows.extents),
        team,
        items,
        is_vector,
        tuple(own[-1] == rows.dtype.itemsize for own in rows.strides),
        not rows.is_short,
        rows.slots[0] != rows.slots[1],
        WHOLE,
    )
    if parts == 1:
        return [_launch(rows, form, target, [], 1)]
    shape = run.source.shape[:-1]
    strides = contiguous_strides((parts, *shape), rows.dtype.itemsize)
    totals = Place(target.scratch, 0, (*shape, parts), rows.dtype, (*strides[1:], strides[0]))
    own = [size, Pointer(target.scratch, 0)]
    first, last = (_launch(rows, form._replace(phase=phase), target, own, parts) for phase in (TOTALS, RESUMED))
    between = scan_launches(ScanRun(run.operation, totals, totals), target, may_divide=False)
    return [first._replace(scratch=prod(totals.shape) * rows.dtype.itemsize), *between, last]


def _rows(run: ScanRun) -> Rows:
    places = (run.source, run.target)
    rank = len(run.source.shape) - 1
    loops = merged(range(rank), run.source.shape, [place.strides for place in places])
    axes = [axis for axis, _ in loops]
    return Rows(
        tuple(extent for _, extent in loops),
        run.source.shape[-1],
        tuple(tuple(place.strides[axis] for axis in (*axes, rank)) for place in places),
        (run.source.offset, run.target.offset),
        (run.source.slot, run.target.slot),
        run.source.dtype,
    )


def _team(rows: Rows) -> int:
    """How many threads share a row."""
    along, across = (sum(abs(own[k]) for own in rows.strides) for k in (-1, max(len(rows.extents) - 1, 0)))
    if rows.length < layouts.SHORT_ROW or (rows.extents and across < along):
        return 1
    return 32 if rows.length <= layouts.LONG_ROW else BLOCK


def _items(rows: Rows, team: int, target: Target) -> tuple[bool, int]:
    """Whether threads move neighbours at once, and how many each of them combines."""
    size = rows.dtype.itemsize
    count = min(MOST_LANES, VECTOR // size)
    if team == 1:
        return False, 1
    is_vector = (
        count > 1
        and rows.length % count == 0
        and all(own[-1] == size for own in rows.strides)
        and all(target.is_aligned[slot] for slot in rows.slots)
        and not any(offset % (count * size) for offset in rows.offsets)
        and not any(s % (count * size) for own in rows.strides for s in own[:-1])
    )
    return is_vector, count if is_vector else MOST_LANES


def _part(rows: Rows, team: int, items: int, target: Target) -> int:
    """The length of the parts that rows are divided into, so that all multiprocessors have something to do."""
    tile = team * items if team > 1 else COLUMN
    wanted = target.threads // max(rows.number * team, 1)
    most = rows.length // (tile * layouts.LEAST_SHARE)
    parts = max(1, min(wanted, most, layouts.MOST_PARTS))
    return -(-rows.length // (parts * tile)) * tile if parts > 1 else rows.length


def _launch(rows: Rows, form: Form, target: Target, parts: Sequence[Argument], count: int) -> Launch:
    per_block = BLOCK // form.team
    blocks = max(1, min(-(-rows.number // per_block), WAVES * target.processors))
    arguments: list[Argument] = [rows.length, *rows.extents]
    places = zip(rows.slots, rows.offsets, rows.strides, form.are_neighbours)
    for slot, offset, strides, is_neighbour in list(places)[: 1 + (form.phase != TOTALS)]:
        arguments += [Pointer(slot, offset), *(strides[:-1] if is_neighbour else strides)]
    grid = (blocks, count, 1)
    about = f"{form.operation} along rows" + {WHOLE: "", TOTALS: ", part by part", RESUMED: " in parts"}[form.phase]
    return Launch(_ScanWriter(form).function(), grid, (BLOCK, 1, 1), 0, (*arguments, *parts), about)


def combining(text: Text, name: str, operation: str, dtype: np.dtype[Any]) -> None:
    """Write a struct that says how two elements are combined."""
    type_ = str(type_name(dtype))
    with text.block(f"struct {name}", end="};"), text.block(f"FUNCTION {type_} of({type_} x, {type_} y)"):
        applied = Apply(operation, (Register(0, dtype), Register(1, dtype)), dtype)
        text.line(f"return {write_operation(CudaCode(text.let), applied, ['x', 'y'])};")


class _ScanWriter:
    """Writes the function of a form."""

    def __init__(self, form: Form):
        self.form = form
        self.type = str(type_name(form.dtype))
        self.index = "int64" if form.is_wide else "int32"
        self.text = Text()
        self.combine = f"{NAME}_combine"

    def function(self) -> str:
        form, text = self.form, self.text
        self.operation()
        with text.block(signature(f"KERNEL __launch_bounds__({BLOCK}) {NAME}", self.parameters())):
            text.line(f"const {self.index} rows = {' * '.join(f'n{d}' for d in range(form.loops)) or '1'};")
            per_block = BLOCK // form.team
            own = {1: "threadIdx.x", BLOCK: "0"}.get(form.team, f"threadIdx.x / {form.team}")
            head = f"{self.index} row = ({self.index})blockIdx.x * {per_block} + {own}; row < rows"
            with text.block(f"for ({head}; row += ({self.index})gridDim.x * {per_block})"):
                self.pointers()
                self.share()
                if form.team == 1:
                    self.along()
                else:
                    self.tiles()
        return str(text)

    def operation(self) -> None:
        """How two elements are combined."""
        combining(self.text, self.combine, self.form.operation, self.form.dtype)

    def parameters(self) -> list[str]:
        form = self.form
        found = [f"const {self.index} length", *(f"const {self.index} n{d}" for d in range(form.loops))]
        alone = "__restrict__ " if form.is_alone else ""
        for name, is_neighbour in zip("xy"[: 1 + (form.phase != TOTALS)], form.are_neighbours):
            found.append(f"{'const ' if name == 'x' else ''}{self.type} *{alone}const {name}")
            found += [f"const {self.index} {name}{d}" for d in range(form.loops)]
            found += [] if is_neighbour else [f"const {self.index} {name}_along"]
        if form.phase != WHOLE:
            found += [f"const {self.index} size", f"{self.type} *const totals"]
        return found

    def pointers(self) -> None:
        """Where the row begins."""
        form, text, name = self.form, self.text, "row"
        for d in reversed(range(form.loops)):
            if d:
                rest = text.let(self.index, f"quotient({name}, n{d})")
                text.line(f"const {self.index} i{d} = {name} - {rest} * n{d};")
                name = rest
            else:
                text.line(f"const {self.index} i0 = {name};")
        for pointer, given in zip(("from", "to")[: 1 + (form.phase != TOTALS)], "xy"):
            ways = " + ".join(f"i{d} * {given}{d}" for d in range(form.loops))
            const = "const " if given == "x" else ""
            text.line(f"{const}{self.type} *const {pointer} = {f'after({given}, {ways})' if ways else given};")

    def share(self) -> None:
        """The part of the row that is this block's."""
        if self.form.phase == WHOLE:
            self.text.line(f"const {self.index} begin = 0, end = length;")
        else:
            self.text.line(f"const {self.index} begin = ({self.index})blockIdx.y * size;")
            self.text.line(f"const {self.index} end = length - begin < size ? length : begin + size;")

    def element(self, pointer: str, i: str) -> str:
        """An element of the row."""
        number = ("from", "to").index(pointer)
        if self.form.are_neighbours[number]:
            return f"{pointer}[{i}]"
        return f"*after({pointer}, ({i}) * {'xy'[number]}_along)"

    def before(self) -> str:
        """What all parts before this one come to."""
        return f"totals[({self.index})(blockIdx.y - 1) * rows + row]"

    def along(self) -> None:
        """One thread goes along the row."""
        form, text = self.form, self.text
        text.line(f"{self.type} total = {self.element('from', 'begin')};")
        if form.phase == RESUMED:
            text.line(f"if (blockIdx.y) total = {self.combine}::of({self.before()}, total);")
        if form.phase != TOTALS:
            text.line(f"{self.element('to', 'begin')} = total;")
        with text.block(f"for ({self.index} i = begin + 1; i < end; ++i)"):
            text.line(f"total = {self.combine}::of(total, {self.element('from', 'i')});")
            if form.phase != TOTALS:
                text.line(f"{self.element('to', 'i')} = total;")
        if form.phase == TOTALS:
            text.line(f"totals[({self.index})blockIdx.y * rows + row] = total;")

    def tiles(self) -> None:
        """Threads go along the row together."""
        form, text = self.form, self.text
        text.line(f"const int32 member = threadIdx.x % {form.team};")
        text.line(f"{self.type} carry{{}};")
        text.line("bool has_carry = false;")
        if form.phase == RESUMED:
            with text.block("if (blockIdx.y)"):
                text.line(f"carry = {self.before()};")
                text.line("has_carry = true;")
        step = form.team * form.items
        with text.block(f"for ({self.index} tile = begin; tile < end; tile += {step})"):
            text.line(f"const {self.index} at = tile + member * {form.items};")
            self.load()
            self.each("1", f"v.at[k] = {self.combine}::of(v.at[k - 1], v.at[k]);")
            text.line(f"{self.type} before = v.at[{form.items - 1}], together;")
            text.line(f"prefixes<{self.combine}, {form.team}>(before, together);")
            text.line(f"if (has_carry) before = member ? {self.combine}::of(carry, before) : carry;")
            text.line("if (has_carry || member)")
            self.each("0", f"v.at[k] = {self.combine}::of(before, v.at[k]);")
            self.store()
            text.line(f"carry = has_carry ? {self.combine}::of(carry, together) : together;")
            text.line("has_carry = true;")

    def each(self, first: str, line: str) -> None:
        self.text.line("#pragma unroll")
        self.text.line(f"for (int32 k = {first}; k < {self.form.items}; ++k) {line}")

    def load(self) -> None:
        """Some neighbours; whatever comes after the end has no influence on what is before."""
        vector = f"Vector<{self.type}, {self.form.items}>"
        self.text.line(f"{vector} v{{}};")
        if self.form.is_vector:
            self.text.line(f"if (at < end) v = *(const {vector} *)(from + at);")
        else:
            self.each("0", f"if (at + k < end) v.at[k] = {self.element('from', 'at + k')};")

    def store(self) -> None:
        form = self.form
        if form.phase == TOTALS:
            self.each("0", f"if (at + k == end - 1) totals[({self.index})blockIdx.y * rows + row] = v.at[k];")
        elif form.is_vector:
            self.text.line(f"if (at < end) *(Vector<{self.type}, {form.items}> *)(to + at) = v;")
        else:
            self.each("0", f"if (at + k < end) {self.element('to', 'at + k')} = v.at[k];")

