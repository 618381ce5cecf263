"""Sums of products of two operands as kernels that share tiles of both: matrices, and convolutions without copies of
windows (implicit GEMM).

A loop of such a kernel moves one operand (along rows of results), the other one (along columns), both, or is summed
over. A block computes a tile of results, each of its threads some rows and columns of that. Of both operands it brings
a few terms of the sum to shared memory, while it multiplies those that it has brought before.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from math import prod
from typing import Any, Final, NamedTuple

import numpy as np

from ...instructions import KernelRun
from ...loopnest import Apply, Expression, Load
from ...operations import write_operation
from . import layouts
from .launches import NAME, Argument, Pointer
from .layouts import BLOCK, VECTOR, Access, Nest, is_short, nest_of
from .operations import CudaCode, literal, type_name
from .text import Text, signature


class Tile(NamedTuple):
    """How a block divides results: rows and columns of a tile, terms of the sum that it has at once, and rows of
    threads."""

    rows: int
    columns: int
    terms: int
    across: int

    @property
    def of_thread(self) -> tuple[int, int]:
        """The rows and columns of one thread."""
        return self.rows // self.across, self.columns * self.across // BLOCK

    def fits(self, itemsize: int) -> bool:
        """Whether elements of some size have room."""
        return (
            prod(self.of_thread) * itemsize <= MOST_RESULTS
            and 2 * self.terms * (itemsize * (self.rows + self.columns) + 2 * VECTOR) <= MOST_SHARED
        )

    @property
    def loads_per_product(self) -> float:
        """What a thread reads of shared memory for each product."""
        rows, columns = self.of_thread
        return 1 / rows + 1 / columns


#: Larger tiles read less often, smaller ones leave less empty.
TILES: Final = (
    Tile(128, 128, 8, 16), Tile(64, 128, 16, 16), Tile(128, 64, 16, 16), Tile(64, 64, 16, 16), Tile(32, 128, 16, 8),
    Tile(128, 32, 16, 32), Tile(16, 256, 16, 4), Tile(256, 16, 16, 64), Tile(32, 32, 16, 16),
)  # fmt: skip
#: Results of one thread, in bytes at most, so that they stay in registers; and the bytes of tiles of a block.
MOST_RESULTS: Final = 256
MOST_SHARED: Final = 44 << 10
#: Terms that each block should sum up at least, as a multiple of those that it has at once.
LEAST_TERMS: Final = 8
#: Terms that are written out: more take more registers than two blocks of a multiprocessor have.
UNROLLED: Final = 4
#: Bytes that the parts of a divided sum come to at most.
MOST_SCRATCH: Final = 1 << 28


class Shares(NamedTuple):
    """What each block does: a tile of results, and one of so many parts of their sums."""

    tile: Tile
    parts: int


class Contraction(NamedTuple):
    """A sum of products.

    Attributes:
        factors: what is multiplied: elements of operands, perhaps converted.
        numbers: which accesses of the nest these are.
        batch, rows, columns, sums: the loops of each kind.
    """

    nest: Nest
    factors: tuple[Expression, Expression]
    numbers: tuple[int, int]
    batch: tuple[int, ...]
    rows: tuple[int, ...]
    columns: tuple[int, ...]
    sums: tuple[int, ...]

    def extent(self, loops: Sequence[int]) -> int:
        return prod(self.nest.extents[d] for d in loops)

    @property
    def accesses(self) -> tuple[Access, Access, Access]:
        """Both operands, and the result."""
        first, second = self.numbers
        return self.nest.accesses[first], self.nest.accesses[second], self.nest.accesses[-1]

    @property
    def dtype(self) -> np.dtype[Any]:
        """What is summed up in."""
        dtype: np.dtype[Any] = self.nest.kernel.outputs[0].expression.dtype
        return dtype

    def shared_out(self, processors: int) -> Shares:
        """The tile, and the parts of sums, that are thought to be done first."""
        fitting = [self._shares(tile, processors) for tile in TILES if tile.fits(self.dtype.itemsize)]
        return min(fitting, key=lambda shares: self._time(shares, processors))

    def _shares(self, tile: Tile, processors: int) -> Shares:
        """How to divide sums, so that all multiprocessors have something to do."""
        wanted = 2 * processors // self.tiles(tile)
        most = self.nest.reduced // (tile.terms * LEAST_TERMS)
        room = MOST_SCRATCH // (self.nest.results * self.dtype.itemsize)
        return Shares(tile, max(1, min(wanted, most, room, layouts.MOST_PARTS)))

    def _time(self, shares: Shares, processors: int) -> float:
        """The products that a multiprocessor computes, and what it reads for them; those beyond results included."""
        tile, parts = shares
        turns = max(1, self.tiles(tile) * parts / processors)
        return turns * tile.rows * tile.columns * (1 + tile.loads_per_product) * self.nest.reduced / parts

    def tiles(self, tile: Tile) -> int:
        """How many tiles there are."""
        edges = -(-self.extent(self.rows) // tile.rows), -(-self.extent(self.columns) // tile.columns)
        return self.extent(self.batch) * prod(edges)


def contraction_of(run: KernelRun) -> Contraction | None:
    """A reduction as a sum of products with rows and columns enough for tiles; None if it is none."""
    kernel = run.kernel
    (output, *others), dtype = kernel.outputs, kernel.outputs[0].expression.dtype
    factors = _factors(output.expression)
    if others or output.combine != "add" or output.place is not None or factors is None or dtype.kind not in "fiuc":
        return None
    nest = nest_of(kernel, run.sources, run.targets)
    by_source = {a.operand.source: k for k, a in enumerate(nest.accesses[:-1])}
    numbers = by_source[_loaded(factors[0])], by_source[_loaded(factors[1])]
    x, y = (nest.accesses[k] for k in numbers)
    if x.terms or y.terms:
        return None
    kinds: dict[str, list[int]] = {"batch": [], "rows": [], "columns": []}
    for d in range(nest.parallel):
        kind = "batch" if bool(x.strides[d]) == bool(y.strides[d]) else "rows" if x.strides[d] else "columns"
        kinds[kind].append(d)
    sums = tuple(range(nest.parallel, len(nest.extents)))
    found = Contraction(nest, factors, numbers, *map(tuple, kinds.values()), sums)
    rows, columns = found.extent(found.rows), found.extent(found.columns)
    is_large = min(rows, columns, nest.reduced) >= layouts.LEAST_EDGE and rows * columns >= layouts.LEAST_TILE
    return found if is_large else None


def _factors(e: Expression) -> tuple[Expression, Expression] | None:
    is_product = isinstance(e, Apply) and e.operation == "multiply"
    if not is_product or any(_loaded(x) is None for x in e.operands):
        return None
    return e.operands


def _loaded(factor: Expression) -> Load | None:
    """The element that a factor is."""
    if isinstance(factor, Apply) and factor.operation == "convert":
        factor = factor.operands[0]
    return factor if isinstance(factor, Load) else None


def arguments_of(c: Contraction) -> list[Argument]:
    """What the function is called with, in the order of its parameters."""
    found: list[Argument] = list(c.nest.extents)
    for a in c.accesses:
        assert a.slot is not None
        found += [Pointer(a.slot, a.offset), *a.strides]
    return found


class Operand(NamedTuple):
    """How one of the operands is brought to shared memory.

    Attributes:
        name: of its tile and tables.
        edge: how many rows or columns the tile has.
        is_along: whether neighbouring threads read terms of the sum, not rows or columns, that follow one another.
    """

    name: str
    access: Access
    factor: Expression
    edge: int
    is_along: bool


def contraction_function(c: Contraction, tile: Tile, is_divided: bool) -> str:
    """The text of the kernel's function."""
    return _Writer(c, tile, is_divided).function()


class _Writer:
    def __init__(self, c: Contraction, tile: Tile, is_divided: bool):
        self.c, self.tile, self.is_divided = c, tile, is_divided
        self.index = "int32" if is_short(c.nest) else "int64"
        self.type = str(type_name(c.dtype))
        self.text = Text()
        x, y, self.result = c.accesses
        self.operands = (
            Operand("x", x, c.factors[0], self.tile.rows, self.is_along(x, c.rows)),
            Operand("y", y, c.factors[1], self.tile.columns, self.is_along(y, c.columns)),
        )

    def is_along(self, access: Access, loops: Sequence[int]) -> bool:
        """Whether an operand has neighbours in memory along what is summed over."""

        def distance(loops: Sequence[int]) -> int:
            return min((abs(access.strides[d]) for d in loops if access.strides[d]), default=1 << 62)

        return distance(self.c.sums) < distance(loops)

    # ---- the function

    def parameters(self) -> list[str]:
        found = [f"const {self.index} n{d}" for d in range(len(self.c.nest.extents))]
        types = [f"const {type_name(_dtype(o.access))}" for o in self.operands]
        for name, type_ in zip("xyz", [*types, "float16" if self.is_rounded else self.type]):
            found.append(f"{type_} *__restrict__ const {name}")
            found += [f"const {self.index} {name}{d}" for d in range(len(self.c.nest.extents))]
        return [*found, "const int64 part_size"] if self.is_divided else found

    @property
    def is_rounded(self) -> bool:
        """Whether sums in single precision have results in half."""
        return self.result.itemsize < self.c.dtype.itemsize

    def function(self) -> str:
        c, text, tile, index = self.c, self.text, self.tile, self.index
        with text.block(signature(f"KERNEL __launch_bounds__({BLOCK}) {NAME}", self.parameters())):
            self.shared_memory()
            rows, columns, batch, length = (
                text.let(index, self.product(loops)) for loops in (c.rows, c.columns, c.batch, c.sums)
            )
            across = text.let(index, f"quotient({rows} + {tile.rows - 1}, {tile.rows})")
            along = text.let(index, f"quotient({columns} + {tile.columns - 1}, {tile.columns})")
            begin, end = self.share(length)
            per_row = BLOCK // tile.across
            text.line(f"const int32 row = threadIdx.x / {per_row}, column = threadIdx.x % {per_row};")
            head = f"{index} u = blockIdx.x; u < {batch} * {along} * {across}; u += ({index})gridDim.x"
            with text.block(f"for ({head})"):
                text.line(f"const {index} u_0 = quotient(u, {across}), u_1 = quotient(u_0, {along});")
                text.line(f"const {index} first_row = (u - u_0 * {across}) * {tile.rows};")
                text.line(f"const {index} first_column = (u_0 - u_1 * {along}) * {tile.columns};")
                self.unpack("u_1", c.batch)
                for name in "xyz":
                    text.line(f"const auto base_{name} = after({name}, {self.way(name, c.batch)});")
                self.table(tile.rows, "first_row", rows, c.rows, {"x_edges": "x", "z_rows": "z"})
                self.table(tile.columns, "first_column", columns, c.columns, {"y_edges": "y", "z_columns": "z"})
                self.sums(begin, end)
                self.results(rows, columns)
                text.line("__syncthreads();")
        return str(text)

    def shared_memory(self) -> None:
        """The tiles, twice, so that one is filled while the other one is read, and where elements are from."""
        text, tile = self.text, self.tile
        for o in self.operands:
            type_ = str(type_name(o.factor.dtype))
            shift = VECTOR // o.factor.dtype.itemsize  # so that neighbouring terms are not in the same banks
            text.line(f"__shared__ __align__({VECTOR}) {type_} {o.name}_tile[2][{tile.terms}][{o.edge + shift}];")
            text.line(f"__shared__ {self.index} {o.name}_edges[{o.edge}], {o.name}_terms[2][{tile.terms}];")
        text.line(f"__shared__ {self.index} z_rows[{tile.rows}], z_columns[{tile.columns}];")

    def product(self, loops: Sequence[int]) -> str:
        return " * ".join(f"n{d}" for d in loops) or "1"

    def share(self, length: str) -> tuple[str, str]:
        """The terms that the block sums up."""
        if not self.is_divided:
            return "0", length
        text, index = self.text, self.index
        size = text.let(index, f"quotient({length} + (int32)gridDim.y - 1, (int32)gridDim.y)")
        begin = text.let(index, f"(int32)blockIdx.y * {size}")
        return begin, text.let(index, f"{begin} + {size} < {length} ? {begin} + {size} : {length}")

    def unpack(self, name: str, loops: Sequence[int]) -> None:
        """Variables of loops from a number that counts all of them."""
        for d in reversed(loops[1:]):
            rest = f"{name}_{d}"
            self.text.line(f"const {self.index} {rest} = quotient({name}, n{d}), i{d} = {name} - {rest} * n{d};")
            name = rest
        for d in loops[:1]:
            self.text.line(f"const {self.index} i{d} = {name};")

    def way(self, name: str, loops: Sequence[int]) -> str:
        """How many bytes an operand moves along some loops."""
        return " + ".join(f"i{d} * {name}{d}" for d in loops) or "0"

    def table(self, count: int, first: str, extent: str, loops: Sequence[int], tables: dict[str, str]) -> None:
        """Write down how far some elements lie from the first one; what is not there is read as the last one."""
        text, index = self.text, self.index
        with text.block(f"for (int32 k = threadIdx.x; k < {count}; k += {BLOCK})"):
            text.line(f"const {index} q = {first} + k < {extent} ? {first} + k : {extent} - 1;")
            self.unpack("q", loops)
            for table, name in tables.items():
                text.line(f"{table}[k] = {self.way(name, loops)};")

    # ---- the sum

    def sums(self, begin: str, end: str) -> None:
        """Bring terms to shared memory, and multiply those that were brought before."""
        text, tile, (rows, columns) = self.text, self.tile, self.tile.of_thread
        zero = literal(0, self.c.dtype)
        text.line(f"{self.type} sum[{rows}][{columns}];")
        with self.each(rows, columns):
            text.line(f"sum[r][c] = {zero};")
        for o in self.operands:
            text.line(f"{type_name(_dtype(o.access))} {o.name}_next[{o.edge * tile.terms // BLOCK}];")
        self.terms(begin, end, "0")
        text.line("__syncthreads();")
        self.fetch(begin, end, "0")
        self.put("0")
        self.terms(f"{begin} + {tile.terms}", end, "1")
        text.line("__syncthreads();")
        text.line("int32 now = 0;")
        with text.block(f"for ({self.index} first = {begin}; first < {end}; first += {tile.terms}, now ^= 1)"):
            text.line(f"const bool goes_on = first + {tile.terms} < {end};")
            with text.block("if (goes_on)"):
                self.fetch(f"first + {tile.terms}", end, "now ^ 1")
            self.multiply()
            with text.block("if (goes_on)"):
                self.put("now ^ 1")
                self.terms(f"first + {2 * tile.terms}", end, "now")
            text.line("__syncthreads();")

    def terms(self, first: str, end: str, which: str) -> None:
        tables = {f"{o.name}_terms[{which}]": o.name for o in self.operands}
        self.table(self.tile.terms, f"({first})", end, self.c.sums, tables)

    @contextmanager
    def each(self, rows: int, columns: int) -> Iterator[None]:
        """Unrolled loops over the results of a thread."""
        text = self.text
        text.line("#pragma unroll")
        with text.block(f"for (int32 r = 0; r < {rows}; ++r)"):
            text.line("#pragma unroll")
            with text.block(f"for (int32 c = 0; c < {columns}; ++c)"):
                yield

    @contextmanager
    def own_elements(self, o: Operand) -> Iterator[None]:
        """An unrolled loop over the elements of a tile that a thread brings, with variables for their places there."""
        text, terms, edge = self.text, self.tile.terms, o.edge
        text.line("#pragma unroll")
        with text.block(f"for (int32 j = 0; j < {edge * terms // BLOCK}; ++j)"):
            text.line(f"const int32 own = threadIdx.x + {BLOCK} * j;")
            if o.is_along:
                text.line(f"const int32 term = own % {terms}, place = own / {terms};")
            else:
                text.line(f"const int32 term = own / {edge}, place = own % {edge};")
            yield

    def fetch(self, first: str, end: str, which: str) -> None:
        """Load the elements of the next tiles; zeros after the last term."""
        text = self.text
        for o in self.operands:
            with self.own_elements(o):
                element = f"*after(base_{o.name}, {o.name}_edges[place] + {o.name}_terms[{which}][term])"
                text.line(f"{o.name}_next[j] = {literal(0, _dtype(o.access))};")
                text.line(f"if ({first} + term < {end}) {o.name}_next[j] = {element};")

    def put(self, which: str) -> None:
        """Store what has been loaded in shared memory."""
        text = self.text
        for o in self.operands:
            with self.own_elements(o):
                value = f"{o.name}_next[j]"
                if isinstance(o.factor, Apply):
                    value = write_operation(CudaCode(text.let), o.factor, [value])
                text.line(f"{o.name}_tile[{which}][term][place] = {value};")

    def multiply(self) -> None:
        text, tile, counts = self.text, self.tile, self.tile.of_thread
        text.line(f"#pragma unroll {UNROLLED}")
        with text.block(f"for (int32 term = 0; term < {tile.terms}; ++term)"):
            for o, count, own in zip(self.operands, counts, ("row", "column")):
                type_, lanes = type_name(o.factor.dtype), self.lanes(count)
                vector = f"Vector<{type_}, {lanes}>"
                text.line(f"{vector} {o.name}_own[{count // lanes}];")
                text.line("#pragma unroll")
                place = f"k * {o.edge * lanes // count} + {own} * {lanes}"
                text.line(f"for (int32 k = 0; k < {count // lanes}; ++k)")
                text.line(f"  {o.name}_own[k] = *(const {vector} *)&{o.name}_tile[now][term][{place}];")
            x, y = (f"{name}_own[{i} / {n}].at[{i} % {n}]" for name, i, n in zip("xy", "rc", map(self.lanes, counts)))
            with self.each(*counts):
                text.line(f"sum[r][c] = multiply_add({x}, {y}, sum[r][c]);")

    def lanes(self, count: int) -> int:
        """How many neighbours a thread has of each group of its rows or columns, so that it reads them as one."""
        return min(count, layouts.MOST_LANES, VECTOR // self.c.dtype.itemsize)

    def results(self, rows: str, columns: str) -> None:
        text, tile, counts = self.text, self.tile, self.tile.of_thread
        way = "blockIdx.y * part_size" if self.is_divided else "0"
        text.line(f"const auto target = after(base_z, {way});")
        names = []
        for i, count, edge, own in zip("rc", counts, (tile.rows, tile.columns), ("row", "column")):
            n = self.lanes(count)
            names.append(f"{i} / {n} * {edge * n // count} + {own} * {n} + {i} % {n}")
        value = "half(sum[r][c])" if self.is_rounded else "sum[r][c]"
        with self.each(*counts):
            text.line(f"const int32 at_row = {names[0]}, at_column = {names[1]};")
            text.line(f"if (first_row + at_row < {rows} && first_column + at_column < {columns})")
            text.line(f"  *after(target, z_rows[at_row] + z_columns[at_column]) = {value};")


def _dtype(access: Access) -> np.dtype[Any]:
    """The dtype of an operand in memory."""
    dtype: np.dtype[Any] = access.operand.source.dtype
    return dtype
