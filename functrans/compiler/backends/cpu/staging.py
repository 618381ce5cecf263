"""Elements brought together before a loop that is vectorised, where they lie apart from each other in memory.

A kernel whose points are small matrices reads and writes dozens of numbers, each of them a matrix away from that of the
next point. LLVM would put together each vector of such numbers where it is used, and take seconds to find out how: 7 s
for the solution of six equations. So the loop runs block by block: the numbers are copied one by one to rows on the
stack, the loop over the block is one over rows, and its results are copied from there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ...accesses import operands_of
from ...loopnest import Kernel, Load, Output
from .operations import type_in_memory

#: How many points a block has.
BLOCK = 32
#: A kernel with so many operands that lie apart is run in blocks.
MANY = 8


def staged_operands(kernel: Kernel, layout: Any) -> list[int]:
    """The numbers of the operands that lie apart along the innermost loop."""
    return [
        k
        for k, (operand, step) in enumerate(zip(operands_of(kernel), layout.steps))
        if isinstance(operand.source, (Load, Output)) and not operand.terms and step not in (0, 1)
    ]


def is_staged(kernel: Kernel, layout: Any) -> bool:
    """Whether a kernel is run in blocks: not if there are complex numbers in it, of which LLVM makes no vectors."""
    is_plain = not kernel.reduced and layout.columns is None and all(o.place is None for o in kernel.outputs)
    if not is_plain or len(staged_operands(kernel, layout)) < MANY:
        return False
    return all(e.dtype.kind != "c" for e in kernel.expressions())


def make_rows(writer: Any) -> None:
    """Declare the rows, at the beginning of a function."""
    for k in staged_operands(writer.kernel, writer.layout):
        writer.rows[k] = f"%row{k}"
        writer.writer.write(f"%row{k} = alloca [{BLOCK} x {type_in_memory(_dtype(writer, k))}], align 32")


def staged_loop(writer: Any, depth: int, bases: list[str], block: str) -> str:
    """The innermost loop, in blocks. Returns the block of text that it ends in."""
    w, fixed, first_output = writer.writer, writer.fixed_values(bases, depth), writer.outputs_start
    rows = writer.rows
    w.write("br label %blocks")
    w.label("blocks")
    w.lines.append(f"  %low = phi i64 [0, %{block}], [%high, %write_done]")
    w.write(f"br i1 {w.emit(f'icmp slt i64 %low, {writer.innermost}')}, label %block, label %end{depth}")
    w.label("block")
    left = w.emit(f"sub i64 {writer.innermost}, %low")
    w.write(f"%count = call i64 @llvm.smin.i64(i64 {left}, i64 {BLOCK})")
    w.write("%high = add nsw i64 %low, %count")
    read, written = ([k for k in rows if (k < first_output) == is_load] for is_load in (True, False))
    _loop(writer, "read", "block", lambda: _copy(writer, read, bases, depth), ", !llvm.loop !one_by_one")
    compute = lambda: writer.every_output(bases, fixed, depth, "compute")  # noqa: E731
    _loop(writer, "compute", "read_done", compute, writer.hint(fixed))
    _loop(writer, "write", "compute_done", lambda: _copy(writer, written, bases, depth), ", !llvm.loop !one_by_one")
    w.write("br label %blocks")
    w.label(f"end{depth}")
    return f"end{depth}"


def _loop(writer: Any, name: str, before: str, act: Callable[[], object], hint: str) -> None:
    """A loop over the points of a block."""
    w = writer.writer
    w.write(f"br label %{name}")
    w.label(name)
    writer.in_row = f"%{name}_row"
    w.lines.append(f"  {writer.in_row} = phi i64 [0, %{before}], [%{name}_next, %{name}]")
    writer.point = w.emit(f"add nsw i64 %low, {writer.in_row}")
    act()
    w.write(f"%{name}_next = add nuw nsw i64 {writer.in_row}, 1")
    w.write(f"br i1 {w.emit(f'icmp slt i64 %{name}_next, %count')}, label %{name}, label %{name}_done{hint}")
    w.label(f"{name}_done")


def _copy(writer: Any, operands: Sequence[int], bases: list[str], depth: int) -> None:
    """Copy the elements of a point from where operands are to rows, or those of results from rows to there."""
    rows, w = writer.rows, writer.writer
    for k in operands:
        dtype = _dtype(writer, k)
        in_row = writer.element(k, bases[k], depth, dtype, {})
        writer.rows = {}
        apart = writer.element(k, bases[k], depth, dtype, {})
        writer.rows = rows
        source, target = (apart, in_row) if k < writer.outputs_start else (in_row, apart)
        type_ = type_in_memory(dtype)
        value = w.emit(f"load {type_}, ptr {source}, align {dtype.itemsize}")
        w.write(f"store {type_} {value}, ptr {target}, align {dtype.itemsize}")


def _dtype(writer: Any, k: int) -> Any:
    source = writer.operands[k].source
    return source.expression.dtype if isinstance(source, Output) else source.dtype
