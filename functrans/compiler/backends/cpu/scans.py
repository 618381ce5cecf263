"""Scans of rows: all elements of each combined up to each one, in order, as NumPy does.

Each step waits for the one before. So some rows go along together, whose steps do not wait for each other; where the
operation is a long one, LLVM makes vectors of them.
"""

from __future__ import annotations

from functools import lru_cache
from math import prod
from typing import Any

import numpy as np

from ...costs import cost_of_expressions
from ...instructions import ScanRun
from ...loopnest import Apply, Register
from .codegen import alignment
from .formulas import Formulas
from .layouts import merged
from .links import Link
from .operations import type_in_memory, type_name
from .runtime import HEADER
from .writer import ROLLED, Writer

#: So many rows go along together.
TOGETHER = 4


def scan_link(run: ScanRun, name: str, keeps_first: bool = False) -> Link:
    """A scan as something to call for some of its rows.

    Args:
        name: of the function.
        keeps_first: a row is all that is at one index of the first axis.
    """
    places = (run.source, run.target)
    shape, rank = run.source.shape, len(run.source.shape) - 1
    columns = list(zip(*(place.strides for place in places)))
    inner = merged(range(int(keeps_first), rank), shape, columns)
    loops = [(0, shape[0]), *inner] if keeps_first else inner
    loops = loops or [(0, 1)]
    arguments = [*(extent for _, extent in loops[1:]), shape[-1]]
    for place in places:
        arguments += [HEADER + place.slot, place.offset, *(place.strides[axis] for axis, _ in loops), place.strides[-1]]
    dtype = run.source.dtype
    work = prod(shape) * (10 + cost_of_expressions([combined(run.operation, dtype)])) // 10
    return Link(loops[0][1], TOGETHER, work, arguments, (), scan_function(run.operation, dtype, len(loops), name))


def combined(operation: str, dtype: np.dtype[Any]) -> Apply:
    """Two elements together."""
    return Apply(operation, (Register(0, dtype), Register(1, dtype)), dtype)


@lru_cache(256)
def scan_function(operation: str, dtype: np.dtype[Any], loops: int, name: str) -> Writer:
    """The text of the function for an operation, and so many loops over rows."""
    return _ScanWriter(operation, dtype, loops).function(name)


class _ScanWriter:
    def __init__(self, operation: str, dtype: np.dtype[Any], loops: int):
        self.applied = combined(operation, dtype)
        self.dtype = dtype
        self.loops = loops
        self.in_memory = type_in_memory(dtype)
        self.type = type_name(dtype)
        self.writer = Writer(f"{operation} along rows")

    def function(self, name: str) -> Writer:
        """A function that goes through all loops but the first, around one for some rows."""
        w = self.writer
        self.formulas = Formulas(name, w)
        self.rows(f"{name}_rows")
        w.lines += [f"define i64 @{name}(ptr %arguments, ptr %slots, i64 %begin, i64 %end) #0 {{", "entry:"]
        place = 0

        def following() -> str:
            nonlocal place
            place += 1
            return w.emit(f"load i64, ptr {w.emit(f'getelementptr i64, ptr %arguments, i64 {place - 1}')}")

        extents, length = [following() for _ in range(self.loops - 1)], following()
        count, bases, ways = w.emit("sub i64 %end, %begin"), [], []
        for _ in range(2):
            slot = w.emit(f"getelementptr ptr, ptr %slots, i64 {following()}")
            base = w.emit(f"getelementptr i8, ptr {w.emit(f'load ptr, ptr {slot}')}, i64 {following()}")
            ways.append([following() for _ in range(self.loops + 1)])
            bases.append(self.moved(base, "%begin", ways[-1][0]))
        self.nest(1, extents, bases, ways, f"{name}_rows(i64 {count}, i64 {length}", "entry")
        w.write("ret i64 0")
        w.lines += ["}", *self.formulas.lines]
        return w

    def nest(
        self, depth: int, extents: list[str], bases: list[str], ways: list[list[str]], call: str, block: str
    ) -> str:
        """The loops from some depth inwards. Returns the block that it ends in."""
        w = self.writer
        if depth == self.loops:
            given = [f"ptr {base}, i64 {way[0]}, i64 {way[-1]}" for base, way in zip(bases, ways)]
            w.write(f"call void @{call}, {', '.join(given)})")
            return block
        body, end = f"outer{depth}", f"outer_end{depth}"
        w.write(f"br label %{body}")
        w.label(body)
        start = len(w.lines)
        inside = [self.moved(base, f"%o{depth}", way[depth]) for base, way in zip(bases, ways)]
        latch = self.nest(depth + 1, extents, inside, ways, call, body)
        w.lines.insert(start, f"  %o{depth} = phi i64 [0, %{block}], [%o{depth}_next, %{latch}]")
        w.lines.append(f"  %o{depth}_next = add nuw nsw i64 %o{depth}, 1")
        more = w.emit(f"icmp slt i64 %o{depth}_next, {extents[depth - 1]}")
        w.write(f"br i1 {more}, label %{body}, label %{end}{ROLLED}")
        w.label(end)
        return end

    def rows(self, name: str) -> None:
        """The function for some rows: groups of them, and then the rest one by one."""
        w = self.writer
        given = ", ".join(f"ptr %{p}, i64 %{p}_row, i64 %{p}_along" for p in "xy")
        w.lines.append(f"define internal void @{name}(i64 %count, i64 %length, {given}) #0 {{")
        w.label("entry")
        w.lines.append(f"  %state = alloca [{TOGETHER} x {self.type}]")
        w.write("br label %groups")
        w.label("groups")
        w.lines.append("  %g = phi i64 [0, %entry], [%g_next, %group_end]")
        w.lines.append(f"  %g_next = add nuw nsw i64 %g, {TOGETHER}")
        w.write(f"br i1 {w.emit('icmp sle i64 %g_next, %count')}, label %group, label %rest")
        w.label("group")
        self.group(*(self.moved(f"%{p}", "%g", f"%{p}_row") for p in "xy"))
        w.write(f"br label %groups{ROLLED}")
        w.label("rest")
        w.lines.append("  %r = phi i64 [%g, %groups], [%r_next, %row_end]")
        w.write(f"br i1 {w.emit('icmp slt i64 %r, %count')}, label %row, label %done")
        w.label("row")
        self.row(*(self.moved(f"%{p}", "%r", f"%{p}_row") for p in "xy"))
        w.lines.append("  %r_next = add nuw nsw i64 %r, 1")
        w.write(f"br label %rest{ROLLED}")
        w.label("done")
        w.write("ret void")
        w.lines.append("}")

    def group(self, x: str, y: str) -> None:
        """Some rows step by step; what each has come to is on the stack, or in registers if LLVM unrolls the loops."""
        w = self.writer
        self.each("first", "group", lambda k: self.keep(k, self.load(self.moved(x, k, "%x_row"))))
        self.each("first_out", "first_end", lambda k: self.store(self.kept(k), self.moved(y, k, "%y_row")))
        w.write("br label %steps")
        w.label("steps")
        w.lines.append("  %i = phi i64 [1, %first_out_end], [%i_next, %out_end]")
        w.write(f"br i1 {w.emit('icmp slt i64 %i, %length')}, label %step, label %group_end")
        w.label("step")
        source, target = self.moved(x, "%i", "%x_along"), self.moved(y, "%i", "%y_along")

        def combine(k: str) -> None:
            element = self.load(self.moved(source, k, "%x_row"))
            self.keep(k, self.formulas.write(self.applied, [self.kept(k), element]))

        self.each("combine", "step", combine)
        self.each("out", "combine_end", lambda k: self.store(self.kept(k), self.moved(target, k, "%y_row")))
        w.lines.append("  %i_next = add nuw nsw i64 %i, 1")
        w.write(f"br label %steps{ROLLED}")
        w.label("group_end")

    def each(self, name: str, block: str, body: Any) -> None:
        """A loop over the rows of a group."""
        w = self.writer
        w.write(f"br label %{name}")
        w.label(name)
        w.lines.append(f"  %{name}_k = phi i64 [0, %{block}], [%{name}_next, %{name}]")
        body(f"%{name}_k")
        w.lines.append(f"  %{name}_next = add nuw nsw i64 %{name}_k, 1")
        more = w.emit(f"icmp slt i64 %{name}_next, {TOGETHER}")
        w.write(f"br i1 {more}, label %{name}, label %{name}_end")
        w.label(f"{name}_end")

    def row(self, x: str, y: str) -> None:
        """One row, in a register."""
        w = self.writer
        first = self.load(x)
        self.store(first, y)
        w.write("br label %along")
        w.label("along")
        start = len(w.lines)
        w.write(f"br i1 {w.emit('icmp slt i64 %j, %length')}, label %next, label %row_end")
        w.label("next")
        element = self.load(self.moved(x, "%j", "%x_along"))
        total = self.formulas.write(self.applied, ["%so_far", element])
        self.store(total, self.moved(y, "%j", "%y_along"))
        w.lines.append("  %j_next = add nuw nsw i64 %j, 1")
        w.write(f"br label %along{ROLLED}")
        w.lines[start:start] = [
            "  %j = phi i64 [1, %row], [%j_next, %next]",
            f"  %so_far = phi {self.type} [{first}, %row], [{total}, %next]",
        ]
        w.label("row_end")

    # ---- elements

    def moved(self, base: str, count: str, stride: str) -> str:
        """The address so many steps further."""
        return self.writer.emit(f"getelementptr i8, ptr {base}, i64 {self.writer.emit(f'mul i64 {count}, {stride}')}")

    def load(self, place: str) -> str:
        value = self.writer.emit(f"load {self.in_memory}, ptr {place}, align {alignment(self.dtype)}")
        return self.writer.emit(f"icmp ne i8 {value}, 0") if self.dtype.kind == "b" else value

    def store(self, value: str, place: str) -> None:
        if self.dtype.kind == "b":
            value = self.writer.emit(f"zext i1 {value} to i8")
        self.writer.write(f"store {self.in_memory} {value}, ptr {place}, align {alignment(self.dtype)}")

    def kept(self, k: str) -> str:
        """What a row has come to."""
        return self.writer.emit(
            f"load {self.type}, ptr {self.writer.emit(f'getelementptr {self.type}, ptr %state, i64 {k}')}"
        )

    def keep(self, k: str, value: str) -> None:
        place = self.writer.emit(f"getelementptr {self.type}, ptr %state, i64 {k}")
        self.writer.write(f"store {self.type} {value}, ptr {place}")
