"""Sums of products of which a tile is held in registers until all its products are added, as products of matrices are.

A row of the tile meets one number of the first factor, and a column one of the second, whose neighbours are a vector.
So a step along the sum loads few numbers for many products, and what is summed up is never read or written meanwhile.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ...loopnest import Apply, Kernel, Load
from .operations import literal, type_name, vector_literal
from .writer import AS_WRITTEN

#: The most rows of a tile, how many vectors it may have in any case and how many if it has few rows, and the registers
#: that are left for the factors.
MOST_ROWS, ANY_VECTORS, MOST_VECTORS, FOR_FACTORS = 8, 3, 6, 4
#: Tiles are worth their code from so many rows and so many bytes of columns on.
FEWEST_ROWS, FEWEST_BYTES = 2, 8
#: What a vector costs that is not whole, or is alone with its rows, in whole vectors.
NOT_WHOLE, ALONE = 1.3, 1.15

Loop = tuple[int, int]


class Machine(NamedTuple):
    """What the processor has for floats.

    Attributes:
        has_fma: whether it multiplies and adds with one rounding.
        width: the bytes of a vector.
        registers: how many vectors it holds.
    """

    has_fma: bool
    width: int
    registers: int


class Tile(NamedTuple):
    """A tile in the text of a kernel.

    Attributes:
        depth: the position of the loop over columns, inside which is the one over rows, and then those of the sum.
        rows, vectors, lanes: how many rows it has, how many vectors side by side, and how many numbers each of these.
        is_whole: whether there are as many rows as so many tiles have.
        step: by how many elements rows of the first factor lie apart, if that is one.
        factors: the numbers of the operands that rows and columns meet.
    """

    depth: int
    rows: int
    vectors: int
    lanes: int
    is_whole: bool
    step: int | None
    factors: tuple[int, int]


def tile_of(
    kernel: Kernel, parallel: Sequence[Loop], moves: Sequence[Sequence[int]], machine: Machine
) -> tuple[Tile, list[Loop]] | None:
    """The tile for a kernel that is summed up in its results otherwise, and its parallel loops with rows and columns
    last; None if it is no sum of products of rows and columns.

    Args:
        moves: for each operand how far it moves along each axis, in bytes.
    """
    if not is_sum_of_products(kernel):
        return None
    size = kernel.outputs[0].expression.dtype.itemsize
    lanes = machine.width // size
    for first, second in ((0, 1), (1, 0)):
        columns = [loop for loop in parallel if _moved(moves, loop, (first, second, 2)) == [0, size, size]]
        if not columns or columns[-1][1] * size < FEWEST_BYTES:
            continue
        rows = [
            loop
            for loop in parallel
            if _moved(moves, loop, (second,)) == [0] and 0 not in _moved(moves, loop, (first, 2))
        ]
        row = max(rows, key=lambda loop: loop[1], default=(0, 0))
        if row[1] < FEWEST_ROWS:
            continue
        outer = [loop for loop in parallel if loop not in (row, columns[-1])]
        room = machine.registers - FOR_FACTORS
        most = min(MOST_VECTORS, max(ANY_VECTORS, (room - FOR_FACTORS) // min(row[1], MOST_ROWS)))
        vectors = _vectors(columns[-1][1], lanes, most)
        count = _rows(row[1], min(MOST_ROWS, room // vectors))
        step = 1 if moves[first][row[0]] == size else None
        tile = Tile(len(outer), count, vectors, lanes, row[1] % count == 0, step, (first, second))
        return tile, [*outer, columns[-1], row]
    return None


def is_sum_of_products(kernel: Kernel) -> bool:
    """Whether a kernel adds up products of two elements, floats at places that are not computed."""
    if len(kernel.outputs) != 1 or kernel.outputs[0].combine != "add":
        return False
    ((e, _, place),) = kernel.outputs
    if not (isinstance(e, Apply) and e.operation == "multiply" and e.dtype in (np.float32, np.float64)):
        return False
    if not all(isinstance(x, Load) and x.dtype == e.dtype for x in e.operands) or e.operands[0] == e.operands[1]:
        return False
    indices = [*e.operands[0].index, *e.operands[1].index, *(place or ())]
    return not any(i.terms for i in indices)


def _moved(moves: Sequence[Sequence[int]], loop: Loop, operands: Sequence[int]) -> list[int]:
    """How far some operands move along a loop."""
    return [moves[k][loop[0]] for k in operands]


def _rows(rows: int, most: int) -> int:
    """How many rows to have in a tile, so that few are computed twice."""
    dividing = max(n for n in range(1, most + 1) if rows % n == 0)
    return dividing if 2 * dividing > most else -(-rows // -(-rows // most))


def _vectors(columns: int, lanes: int, most: int) -> int:
    """How many vectors to have side by side."""

    def cost(vectors: int) -> float:
        whole, rest = divmod(columns, vectors * lanes)
        return whole * vectors * (1 if vectors > 1 else ALONE) + -(-rest // lanes) * NOT_WHOLE

    return min(range(most, 0, -1), key=cost)


def write_tiles(writer: Any, bases: Sequence[str], block: str) -> str:
    """The loops over columns, rows and the sum. Returns the block that they end in.

    Args:
        writer: the kernel's.
        bases: the addresses of operands, outside of these loops.
    """
    writer.writer.lines.append(AS_WRITTEN)
    return _Tiles(writer, bases).columns(block)


class _Tiles:
    """Writes the tiles of a kernel."""

    def __init__(self, writer: Any, bases: Sequence[str]):
        self.kernel_writer, self.w, self.tile = writer, writer.writer, writer.layout.tile
        self.dtype = writer.kernel.outputs[0].expression.dtype
        self.size, self.number = self.dtype.itemsize, type_name(self.dtype)
        self.vector = f"<{self.tile.lanes} x {self.number}>"
        self.suffix = f"v{self.tile.lanes}f{8 * self.size}"
        self.bases = [*(bases[k] for k in self.tile.factors), bases[2]]
        self.mask = ""

    def stride(self, which: int, depth: int) -> str:
        """That of a factor, or of the results, along a loop."""
        return f"%s{(*self.tile.factors, 2)[which]}_{depth}"

    def columns(self, block: str) -> str:
        """Whole tiles, and then vectors one by one, of which the last may not be whole."""
        w, (depth, _, vectors, lanes, *_) = self.w, self.tile
        w.write("br label %columns")
        w.label("columns")
        w.lines.append(f"  %column = phi i64 [0, %{block}], [%after_whole, %whole_end], [%after_rest, %rest_end]")
        left = w.emit(f"sub i64 %n{depth}, %column")
        w.write(f"br i1 {w.emit(f'icmp sgt i64 {left}, 0')}, label %some_columns, label %tiled")
        w.label("some_columns")
        w.write(f"br i1 {w.emit(f'icmp sge i64 {left}, {vectors * lanes}')}, label %whole, label %rest")
        for name, some in (("whole", vectors), ("rest", 1)):
            w.label(name)
            self.mask = "" if name == "whole" else self.mask_for(left)
            self.rows(name, some)
            w.lines.append(f"  %after_{name} = add nsw i64 %column, {some * lanes}")
            w.write("br label %columns")
        w.label("tiled")
        return "tiled"

    def mask_for(self, left: str) -> str:
        """Which columns of a vector there are."""
        w, lanes = self.w, self.tile.lanes
        t = f"<{lanes} x i64>"
        one = w.emit(f"insertelement {t} poison, i64 {left}, i64 0")
        every = w.emit(f"shufflevector {t} {one}, {t} poison, <{lanes} x i32> zeroinitializer")
        numbers = f"<{', '.join(f'i64 {lane}' for lane in range(lanes))}>"
        return w.emit(f"icmp slt {t} {numbers}, {every}")

    def rows(self, name: str, vectors: int) -> None:
        """The loop over rows, for some vectors of columns; it ends in a block `{name}_end`.

        What is not there of the last rows is the last one again: that is computed alike, and written alike.
        """
        w, depth = self.w, self.tile.depth + 1
        second, results = (w.emit(f"getelementptr {self.number}, ptr {self.bases[k]}, i64 %column") for k in (1, 2))
        last = w.emit(f"sub nsw i64 %n{depth}, 1")
        w.write(f"br label %{name}_rows")
        w.label(f"{name}_rows")
        w.lines.append(f"  %{name}_row = phi i64 [0, %{name}], [%{name}_row_next, %{name}_k0_end]")
        w.write(f"br i1 {w.emit(f'icmp sle i64 %{name}_row, {last}')}, label %{name}_tile, label %{name}_end")
        w.label(f"{name}_tile")
        numbers = [self.row_number(f"%{name}_row", row, last) for row in range(self.tile.rows)]
        targets = [self.along(results, number, 2, depth) for number in numbers]
        first, self.apart = self.bases[0], []
        if self.tile.is_whole:
            first = self.along(first, f"%{name}_row", 0, depth)
            numbers = [str(row) for row in range(self.tile.rows)]
        if not (self.tile.is_whole and self.tile.step):
            self.apart = [w.emit(f"mul i64 {number}, {self.stride(0, depth)}") for number in numbers]
        zero = vector_literal(literal(-0.0, self.dtype), self.number, self.tile.lanes)
        begin = [[zero] * vectors for _ in targets]
        totals = self.sum(f"{name}_k", 0, f"{name}_tile", begin, (first, second))
        self.store(totals, targets)
        w.write(f"%{name}_row_next = add nsw i64 %{name}_row, {self.tile.rows}")
        w.write(f"br label %{name}_rows")
        w.label(f"{name}_end")

    def row_number(self, start: str, row: int, last: str) -> str:
        """That of a row of the tile that begins at one, or of the last row there is."""
        if not row:
            return start
        number = self.w.emit(f"add nsw i64 {start}, {row}")
        return number if self.tile.is_whole else self.w.emit(f"call i64 @llvm.smin.i64(i64 {number}, i64 {last})")

    def along(self, place: str, number: str, which: int, depth: int) -> str:
        """The address so many steps of a loop away."""
        distance = self.w.emit(f"mul i64 {number}, {self.stride(which, depth)}")
        return self.w.emit(f"getelementptr i8, ptr {place}, i64 {distance}")

    def sum(
        self, name: str, level: int, block: str, totals: list[list[str]], places: tuple[str, str]
    ) -> list[list[str]]:
        """The loops of the sum from some level inwards. Returns the totals afterwards, in a block `{name}{level}_end`.

        Args:
            totals: those so far, by rows and vectors.
            places: the addresses of the first row of the first factor, and of the columns of the second.
        """
        w, depth = self.w, self.tile.depth + 2 + level
        own, is_last = f"{name}{level}", depth == self.kernel_writer.layout.loops - 1
        end = own if is_last else f"{name}{level + 1}_end"
        w.write(f"br label %{own}")
        w.label(own)
        w.lines.append(f"  %{own}_i = phi i64 [0, %{block}], [%{own}_next, %{end}]")
        so_far = [[f"%{own}_{i}_{v}" for v in range(len(row))] for i, row in enumerate(totals)]
        head = len(w.lines)
        inside = self.along(places[0], f"%{own}_i", 0, depth), self.along(places[1], f"%{own}_i", 1, depth)
        if is_last:
            after = self.added(so_far, inside)
        else:
            after = self.sum(name, level + 1, own, so_far, inside)
        w.lines[head:head] = [
            f"  {now} = phi {self.vector} [{before}, %{block}], [{next_}, %{end}]"
            for rows in zip(so_far, totals, after)
            for now, before, next_ in zip(*rows)
        ]
        w.write(f"%{own}_next = add nuw nsw i64 %{own}_i, 1")
        w.write(f"br i1 {w.emit(f'icmp slt i64 %{own}_next, %n{depth}')}, label %{own}, label %{own}_end")
        w.label(f"{own}_end")
        return after

    def added(self, totals: list[list[str]], places: tuple[str, str]) -> list[list[str]]:
        """Totals with the products at one point of the sum."""
        w, t = self.w, self.vector
        columns = [self.load(places[1], v) for v in range(len(totals[0]))]
        found: list[list[str]] = []
        for number, row in enumerate(totals):
            unit, count = ("i8", self.apart[number]) if self.apart else (self.number, number)
            place = w.emit(f"getelementptr {unit}, ptr {places[0]}, i64 {count}")
            element = w.emit(f"load {self.number}, ptr {place}, align {self.size}")
            one = w.emit(f"insertelement {t} poison, {self.number} {element}, i64 0")
            every = w.emit(f"shufflevector {t} {one}, {t} poison, <{self.tile.lanes} x i32> zeroinitializer")
            product = f"call {t} @llvm.fmuladd.{self.suffix}({t} {every}, {t} "
            found.append([w.emit(f"{product}{x}, {t} {total})") for x, total in zip(columns, row)])
        return found

    def load(self, place: str, number: int) -> str:
        """The vector with a number, of those that begin at a place."""
        w, t, place = self.w, self.vector, self.beside(place, number)
        if not self.mask:
            return w.emit(f"load {t}, ptr {place}, align {self.size}")
        mask = f"<{self.tile.lanes} x i1> {self.mask}"
        return w.emit(
            f"call {t} @llvm.masked.load.{self.suffix}.p0(ptr {place}, i32 {self.size}, {mask}, {t} zeroinitializer)"
        )

    def store(self, totals: list[list[str]], targets: Sequence[str]) -> None:
        """Write totals, added to what is there if that is to be: all of that is read before, for the sake of rows that
        are there twice."""
        w, t = self.w, self.vector
        if self.kernel_writer.kernel.outputs[0].place is not None:
            totals = [
                [w.emit(f"fadd {t} {self.load(target, v)}, {total}") for v, total in enumerate(row)]
                for row, target in zip(totals, targets)
            ]
        for row, target in zip(totals, targets):
            for v, total in enumerate(row):
                place = self.beside(target, v)
                if not self.mask:
                    w.write(f"store {t} {total}, ptr {place}, align {self.size}")
                    continue
                mask = f"<{self.tile.lanes} x i1> {self.mask}"
                w.write(
                    f"call void @llvm.masked.store.{self.suffix}.p0({t} {total}, ptr {place}, i32 {self.size}, {mask})"
                )

    def beside(self, place: str, number: int) -> str:
        """Where a vector begins that is so many after the one at a place."""
        return self.w.emit(f"getelementptr {self.vector}, ptr {place}, i64 {number}") if number else place
