"""Scans: kernels that combine all elements of a row up to each one.

Where rows lie beside each other, a thread goes along each. Otherwise a warp or a block does, tile by tile: each thread
combines some neighbours, warps exchange what their threads have, and the block what its warps have. Few long rows are
divided into parts: what each part comes to is scanned first, and then each part starts with what is before it.

What is combined is computed where it is needed, twice in rows that are divided, and what is computed from the results
is stored in their place (compiler/scanned.py).

The order in which elements are combined depends on the shape, the strides and the GPU, not on when threads run. Only a
thread that goes along all of its row combines as NumPy does, one after the other.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from math import prod
from typing import Any

import numpy as np

from ...accesses import numbers_of, operands_of
from ...inspection.texts import scan_text
from ...instructions import SCANNED, KernelRun, ScanRun
from ...loopnest import Apply, Kernel, Load, Output, Register, expressions_in, point
from ...operations import write_operation
from ...places import Place, contiguous_strides
from . import layouts
from .codegen import KernelWriter
from .launches import NAME, Argument, Launch, Pointer
from .layouts import BLOCK, MOST_LANES, Form, Nest, access, divisor, divisors_of, is_short, lanes, merged, moves, told
from .lowering import WAVES, Target
from .operations import CudaCode, type_name
from .text import Text, signature

#: What a scan does: go through whole rows, find what each of their parts comes to, or go on from there.
WHOLE, TOTALS, RESUMED = "whole", "totals", "resumed"

#: What is a tile to a thread that goes along a row by itself.
COLUMN = 16


def scan_launches(run: ScanRun, target: Target, may_divide: bool = True) -> list[Launch]:
    """A scan as one launch, or as three where its rows are few and long."""
    nest = _nest(run)
    team, length = _team(nest), nest.extents[-1]
    count = lanes(nest, -1, target.is_aligned) if team > 1 else 1
    items = MOST_LANES if team > 1 and count == 1 else count
    form = Form(
        parallel=nest.parallel,
        reduced=1,
        team=team,
        lanes=count,
        moves=moves(nest, -1),
        is_wide=not is_short(nest),
        is_divided=False,
        is_guarded=target.failed is not None and any(a.terms for a in nest.accesses),
        updates=(None,) * len(nest.kernel.outputs),
    )
    size = _part(nest, team, items, target) if may_divide and target.processors else length
    parts = -(-length // size)
    writers = [_ScanWriter(run, nest, form, items, phase) for phase in ([WHOLE] if parts == 1 else [TOTALS, RESUMED])]
    if parts == 1:
        return [_launch(writers[0], target, [], 1)]
    dtype, shape = run.source.dtype, run.source.shape[:-1]
    strides = contiguous_strides((parts, *shape), dtype.itemsize)
    totals = Place(target.scratch, 0, (*shape, parts), dtype, (*strides[1:], strides[0]))
    first, last = (_launch(writer, target, [size, Pointer(target.scratch, 0)], parts) for writer in writers)
    between = scan_launches(ScanRun(run.operation, totals, totals), target, may_divide=False)
    return [first._replace(scratch=prod(totals.shape) * dtype.itemsize), *between, last]


def _nest(run: ScanRun) -> Nest:
    """The loops over rows, and last the one along them. What is combined is the first output, which is in no memory."""
    around = run.around or _plain(run)
    shape, dtype = run.source.shape, run.source.dtype
    nowhere = Place(0, 0, shape, dtype, (0,) * len(shape))
    sources = {**dict(zip(around.kernel.operands, around.sources)), SCANNED: nowhere}
    targets = iter((nowhere, *around.targets))
    accesses = [access(operand, sources, targets, len(shape)) for operand in operands_of(around.kernel)]
    accesses = [a._replace(slot=None) if is_in_registers(a.operand.source) else a for a in accesses]
    loops = merged(range(len(shape) - 1), shape, [a.strides for a in accesses])
    axes = [*(axis for axis, _ in loops), len(shape) - 1]
    return Nest(
        around.kernel,
        (*(extent for _, extent in loops), shape[-1]),
        len(loops),
        tuple(a._replace(strides=tuple(a.strides[axis] for axis in axes)) for a in accesses),
    )


def _plain(run: ScanRun) -> KernelRun:
    """What is done around a scan if that is no more than to read what it combines and to store its results."""
    index, dtype = point(len(run.source.shape)), run.source.dtype
    outputs = Output(Load(0, index, dtype), f"scan_{run.operation}"), Output(Load(SCANNED, index, dtype), None)
    return KernelRun(Kernel(run.source.shape, 0, outputs, (0,)), (run.source,), (run.target,))


def is_in_registers(source: Any) -> bool:
    """Whether an access is to what a scan combines, or to its results."""
    if isinstance(source, Output):
        return source.combine is not None
    return isinstance(source, Load) and source.operand == SCANNED


def _team(nest: Nest) -> int:
    """How many threads share a row."""
    own = [a for a in nest.accesses if a.slot is not None]
    along, across = (sum(abs(a.strides[loop]) for a in own) for loop in (-1, max(nest.parallel - 1, 0)))
    if nest.extents[-1] < layouts.SHORT_ROW or (nest.parallel and across < along):
        return 1
    return 32 if nest.extents[-1] <= layouts.LONG_ROW else BLOCK


def _part(nest: Nest, team: int, items: int, target: Target) -> int:
    """The length of the parts that rows are divided into, so that all multiprocessors have something to do."""
    length, tile = nest.extents[-1], team * items if team > 1 else COLUMN
    wanted = target.threads // max(nest.results * team, 1)
    parts = layouts.parts_of(length // tile, wanted)
    return -(-length // (parts * tile)) * tile if parts > 1 else length


def _launch(writer: _ScanWriter, target: Target, parts: Sequence[Argument], count: int) -> Launch:
    form, nest = writer.form, writer.nest
    blocks = max(1, min(-(-nest.results * form.team // BLOCK), WAVES * target.processors))
    arguments: list[Argument] = [*nest.extents, *map(divisor, divisors_of(nest, form).values())]
    for k in writer.used:
        a = nest.accesses[k]
        arguments.append(a.offset if a.slot is None else Pointer(a.slot, a.offset))
        arguments += [a.strides[d] for d in told(a, form.moves[k], writer.inner)]
        arguments += a.terms
    arguments += [int.from_bytes(n.value.ljust(8, b"\0"), "little", signed=True) for n in numbers_of(nest.kernel)]
    if form.is_guarded:
        assert target.failed is not None
        arguments.append(Pointer(target.failed, 0))
    return Launch(writer.function(), (blocks, count, 1), (BLOCK, 1, 1), 0, (*arguments, *parts), writer.about())


def combining(text: Text, name: str, operation: str, dtype: np.dtype[Any]) -> None:
    """Write a struct that says how two elements are combined."""
    type_ = str(type_name(dtype))
    with text.block(f"struct {name}", end="};"), text.block(f"FUNCTION {type_} of({type_} x, {type_} y)"):
        applied = Apply(operation, (Register(0, dtype), Register(1, dtype)), dtype)
        text.line(f"return {write_operation(CudaCode(text.let), applied, ['x', 'y'])};")


class _ScanWriter(KernelWriter):
    """Writes the function of a scan.

    Args:
        items: how many neighbours a thread combines by itself.

    Attributes:
        before, after: what is combined and what is stored, with all that they are made of.
        used: the numbers of the accesses to memory that are made.
    """

    def __init__(self, run: ScanRun, nest: Nest, form: Form, items: int, phase: str):
        super().__init__(nest, form)
        self.run, self.items, self.phase = run, items, phase
        self.type = str(type_name(run.source.dtype))
        self.combine = f"{NAME}_combine"
        first, *others = self.outputs
        self.before = expressions_in([first.expression])
        self.after = expressions_in([output.expression for output in others]) if phase != TOTALS else []
        touched = {*self.before, *self.after} if phase == TOTALS else None
        sources = [a.operand.source for a in nest.accesses]
        in_memory = [k for k, source in enumerate(sources) if not is_in_registers(source)]
        self.used = [k for k in in_memory if touched is None or sources[k] in touched]
        self.scanned = [k for k in range(self.first_output) if k not in in_memory]

    def about(self) -> str:
        """What the kernel does, for people."""
        share = {WHOLE: "", TOTALS: ", part by part", RESUMED: " in parts"}[self.phase]
        head = f"{self.run.operation} along rows{share}"
        if self.run.around is None:
            return head
        return f"{head}, with what is before and after\n{scan_text(self.kernel, self.run.operation)}"

    def function(self) -> str:
        form, text = self.form, self.text
        combining(text, self.combine, self.run.operation, self.run.source.dtype)
        with text.block(signature(f"KERNEL __launch_bounds__({BLOCK}) {NAME}", self.parameters())):
            if form.is_guarded:
                text.line("if (*failed) return;")
            extents = [f"n{d}" for d in range(form.parallel)]
            text.line(f"const {self.index} rows = {self.product(extents)};")
            per_block = BLOCK // form.team
            own = {1: "threadIdx.x", BLOCK: "0"}.get(form.team, f"threadIdx.x / {form.team}")
            head = f"{self.index} row = ({self.index})blockIdx.x * {per_block} + {own}; row < rows"
            with text.block(f"for ({head}; row += ({self.index})gridDim.x * {per_block})"):
                self.unpack("row", range(form.parallel), extents)
                unused = [k for k in range(len(self.nest.accesses)) if k not in self.used]
                self.names = self.values.outer(self.loops, self.pointers(), self.types, unused)
                self.part()
                if form.team == 1:
                    self.along()
                else:
                    self.tiles()
        return str(text)

    def parameters(self) -> list[str]:
        found = [f"const {self.index} n{d}" for d in range(self.count)]
        found += [f"const Divisor d{d}" for d in self.divisors]
        slots = [{self.nest.accesses[k].slot for k in group} for group in self.split(self.used)]
        for k in self.used:
            access = self.nest.accesses[k]
            alone = "" if access.slot in slots[0] & slots[1] else "__restrict__ "
            found.append(f"const int64 p{k}" if access.slot is None else f"{self.types[k]} *{alone}const p{k}")
            found += [f"const {self.index} s{k}_{d}" for d in told(access, self.form.moves[k], self.inner)]
            found += [f"const int64 t{k}_{j}" for j in range(len(access.terms))]
        found += [f"const {type_name(n.dtype)} k{j}" for j, n in enumerate(numbers_of(self.kernel))]
        if self.form.is_guarded:
            found.append("const int32 *const failed")
        if self.phase != WHOLE:
            found += [f"const {self.index} size", f"{self.type} *const totals"]
        return found

    def split(self, accesses: Sequence[Any]) -> tuple[Sequence[Any], Sequence[Any]]:
        return [k for k in accesses if k < self.first_output], [k for k in accesses if k >= self.first_output]

    def part(self) -> None:
        """The part of the row that is this block's."""
        length = f"n{self.inner}"
        if self.phase == WHOLE:
            self.text.line(f"const {self.index} begin = 0, end = {length};")
        else:
            self.text.line(f"const {self.index} begin = ({self.index})blockIdx.y * size;")
            self.text.line(f"const {self.index} end = {length} - begin < size ? {length} : begin + size;")

    def value(self, i: str, loaded: dict[int, str]) -> str:
        """An element that is combined."""
        return self.values.at(i, self.names, loaded, self.before)[id(self.outputs[0].expression)]

    def carried(self, name: str) -> None:
        """A variable for what has been combined so far: that of all parts before this one to begin with."""
        self.text.line(f"{self.type} {name}{{}};")
        self.text.line(f"bool has_{name} = false;")
        if self.phase == RESUMED:
            with self.text.block("if (blockIdx.y)"):
                self.text.line(f"{name} = totals[({self.index})(blockIdx.y - 1) * rows + row];")
                self.text.line(f"has_{name} = true;")

    def along(self) -> None:
        """One thread goes along the row."""
        text = self.text
        self.carried("total")
        with text.block(f"for ({self.index} i = begin; i < end; ++i)"):
            value = self.value("i", {})
            text.line(f"total = has_total ? {self.combine}::of(total, {value}) : {value};")
            text.line("has_total = true;")
            if self.phase != TOTALS:
                self.store_at("i", dict.fromkeys(self.scanned, "total"))
        if self.phase == TOTALS:
            text.line(f"totals[({self.index})blockIdx.y * rows + row] = total;")

    def tiles(self) -> None:
        """Threads go along the row together."""
        form, text, items = self.form, self.text, self.items
        text.line(f"const int32 member = threadIdx.x % {form.team};")
        self.carried("carry")
        with text.block(f"for ({self.index} tile = begin; tile < end; tile += {form.team * items})"):
            text.line(f"const {self.index} at = tile + member * {items};")
            text.line(f"Vector<{self.type}, {items}> v{{}};")  # what is beyond the end has no influence before it
            with self.neighbours(self.before) as (i, loaded):
                text.line(f"v.at[lane] = {self.value(i, loaded)};")
            self.each("1", f"v.at[k] = {self.combine}::of(v.at[k - 1], v.at[k]);")
            text.line(f"{self.type} before = v.at[{items - 1}], together;")
            text.line(f"prefixes<{self.combine}, {form.team}>(before, together);")
            text.line(f"if (has_carry) before = member ? {self.combine}::of(carry, before) : carry;")
            text.line("if (has_carry || member)")
            self.each("0", f"v.at[k] = {self.combine}::of(before, v.at[k]);")
            if self.phase == TOTALS:
                self.each("0", f"if (at + k == end - 1) totals[({self.index})blockIdx.y * rows + row] = v.at[k];")
            else:
                with self.neighbours(self.after, has_stores=True) as (i, loaded):
                    self.store_at(i, {**loaded, **dict.fromkeys(self.scanned, "v.at[lane]")})
            text.line(f"carry = has_carry ? {self.combine}::of(carry, together) : together;")
            text.line("has_carry = true;")

    def each(self, first: str, line: str) -> None:
        self.text.line("#pragma unroll")
        self.text.line(f"for (int32 k = {first}; k < {self.items}; ++k) {line}")

    @contextmanager
    def neighbours(self, expressions: Sequence[Any], has_stores: bool = False) -> Iterator[tuple[str, dict[int, str]]]:
        """A loop over the neighbours that a thread has, as far as there are any: the index, and what has been loaded,
        for what lies side by side is moved at once, if it can be."""
        text = self.text
        vectors = {k: f"x{k}" for k in self.used if self.is_vector(k) and self.form.lanes > 1}
        made = {self.values.by_source[e] for e in expressions if e in self.values.by_source}
        read = {k: f"{x}.at[lane]" for k, x in vectors.items() if k in made}
        written = [k for k in vectors if has_stores and k >= self.first_output]
        with text.block("if (at < end)") if self.form.lanes > 1 else nullcontext():
            for k in [*read, *written]:
                type_ = self.vector(k)
                own = f"const {type_} x{k} = *(const {type_} *)({self.names[k]} + at)" if k in read else f"{type_} x{k}"
                text.line(f"{own};")
            text.line("#pragma unroll")
            with text.block(f"for (int32 lane = 0; lane < {self.items}; ++lane)"):
                i = text.let(self.index, "at + lane")
                with text.block(f"if ({i} < end)") if self.form.lanes == 1 else nullcontext():
                    yield i, read
            for k in written:
                text.line(f"*({self.vector(k)} *)({self.names[k]} + at) = x{k};")

    def vector(self, k: int) -> str:
        return f"Vector<{self.types[k].removeprefix('const ')}, {self.items}>"

    def store_at(self, i: str, loaded: dict[int, str]) -> None:
        """Store what is computed from the result at a point."""
        known = self.values.at(i, self.names, loaded, self.after)
        for k, output in enumerate(self.outputs[1:], self.first_output + 1):
            is_vector = self.form.lanes > 1 and self.is_vector(k)
            place = f"x{k}.at[lane]" if is_vector else self.values.place(k, self.names[k], i, known)
            self.store(k, output, known[id(output.expression)], place)
