"""A kernel as the text of an LLVM function.

The function takes one array of 64-bit numbers: the extents of its loops, then for each load an address and its strides
in bytes along the loops, then the same for each output. Index arithmetic is in those strides; only whether a load
moves along the innermost loop by one element, not at all, or otherwise is part of the text, for the vectoriser's sake.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from ...loopnest import Apply, Constant, Kernel, Load
from .operations import emit_operation, type_in_memory, type_name

#: Elements that are summed in a row before their sum is added to the total with its rounding error.
BLOCK = 512


class Layout(NamedTuple):
    """What the text of a kernel depends on beside its expressions.

    Attributes:
        loops: how many there are, one inside the other.
        reduced: the position of the loop that is reduced, or None.
        steps: for each load, and then each output, how it moves along the innermost loop: "one", "none" or "any".
    """

    loops: int
    reduced: int | None
    steps: tuple[str, ...]


class Writer:
    """Collects lines, and counts registers and blocks."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.functions: dict[str, tuple[str, int]] = {}
        self.count = 0

    def emit(self, right_side: str) -> str:
        """`%n = ...`; the register."""
        register = f"%r{self.count}"
        self.count += 1
        self.lines.append(f"  {register} = {right_side}")
        return register

    def write(self, line: str) -> None:
        self.lines.append(f"  {line}")

    def label(self, name: str) -> None:
        self.lines.append(f"{name}:")

    def call(self, function: str, type_: str, operands: Sequence[str]) -> str:
        """A C function with a vector version."""
        self.functions[function] = (type_, len(operands))
        arguments = ", ".join(f"{type_} {x}" for x in operands)
        return self.emit(f"call {type_} @{function}({arguments}) #vector_{function}#")


def kernel_function(kernel: Kernel, layout: Layout, name: str) -> Writer:
    """The text of a kernel's function."""
    return _KernelWriter(kernel, layout).function(name)


class _KernelWriter:
    def __init__(self, kernel: Kernel, layout: Layout):
        self.kernel = kernel
        self.layout = layout
        self.loads = kernel.loads()
        self.writer = Writer()
        self.extents: list[str] = []
        self.addresses: list[list[str]] = []  # for each load and output, its address and strides

    def function(self, name: str) -> Writer:
        """A function that reads the arguments, around one that has them as parameters, none of which alias."""
        w, loops = self.writer, self.layout.loops
        count = len(self.loads) + len(self.kernel.outputs)
        parameters = [f"i64 %n{d}" for d in range(loops)]
        for k in range(count):
            parameters += [f"ptr noalias %p{k}", *(f"i64 %s{k}_{d}" for d in range(loops))]
        w.lines.append(f"define internal void @{name}_body({', '.join(parameters)}) #0 {{")
        w.label("entry")
        self.nest(0, [f"%p{k}" for k in range(count)], "entry")
        w.write("ret void")
        w.lines.append("}")
        w.lines += [f"define void @{name}(ptr %arguments) #0 {{", "entry:"]
        arguments: list[str] = []
        for i, parameter in enumerate(parameters):
            kind = parameter.split()[0]
            place = w.emit(f"getelementptr i64, ptr %arguments, i64 {i}")
            arguments.append(f"{kind} {w.emit(f'load {kind}, ptr {place}')}")
        w.write(f"call void @{name}_body({', '.join(arguments)})")
        w.write("ret void")
        w.lines.append("}")
        return w

    # ---- loops

    def nest(self, depth: int, bases: list[str], block: str) -> str:
        """The loops from some depth inwards; `bases` are the addresses there. Returns the block that it ends in."""
        last = self.layout.loops - 1
        if depth < last:
            return self.outer_loop(depth, bases, block)
        if self.layout.reduced == last:
            return self.row_reduction(depth, bases, block)
        return self.inner_loop(depth, bases, block)

    def outer_loop(self, depth: int, bases: list[str], block: str) -> str:
        w = self.writer
        head, body, end = (f"{part}{depth}" for part in ("head", "body", "end"))
        w.write(f"br label %{head}")
        w.label(head)
        w.lines.append(f"  %i{depth} = phi i64 [0, %{block}], [%i{depth}_next, %{head}_latch]")
        more = w.emit(f"icmp slt i64 %i{depth}, %n{depth}")
        w.write(f"br i1 {more}, label %{body}, label %{end}")
        w.label(body)
        inside = [self.moved(k, base, depth) for k, base in enumerate(bases)]
        self.nest(depth + 1, inside, body)
        w.write(f"br label %{head}_latch")
        w.label(f"{head}_latch")
        w.lines.append(f"  %i{depth}_next = add nuw nsw i64 %i{depth}, 1")
        w.write(f"br label %{head}")
        w.label(end)
        return end

    def moved(self, k: int, base: str, depth: int) -> str:
        offset = self.writer.emit(f"mul i64 %i{depth}, %s{k}_{depth}")
        return self.writer.emit(f"getelementptr i8, ptr {base}, i64 {offset}")

    def inner_loop(self, depth: int, bases: list[str], block: str) -> str:
        """The loop that is vectorised; in it every output is stored, or combined with what is stored there."""
        w = self.writer
        body, end = f"body{depth}", f"end{depth}"
        fixed = self.fixed_loads(bases)
        any_ = w.emit(f"icmp sgt i64 %n{depth}, 0")
        w.write(f"br i1 {any_}, label %{body}, label %{end}")
        w.label(body)
        w.lines.append(f"  %i{depth} = phi i64 [0, %{block}], [%i{depth}_next, %{body}]")
        values = self.values(bases, fixed, depth)
        for j, output in enumerate(self.kernel.outputs):
            k = len(self.loads) + j
            place = self.element(k, bases[k], depth, output.expression.dtype)
            value = self.as_in_memory(values[id(output.expression)], output.expression.dtype)
            t = type_in_memory(output.expression.dtype)
            if output.combine is not None:
                old = w.emit(f"load {t}, ptr {place}, align {output.expression.dtype.itemsize}")
                value = combined(output.combine, t, old, value, w.emit, "")
            w.write(f"store {t} {value}, ptr {place}, align {output.expression.dtype.itemsize}")
        w.lines.append(f"  %i{depth}_next = add nuw nsw i64 %i{depth}, 1")
        more = w.emit(f"icmp slt i64 %i{depth}_next, %n{depth}")
        w.write(f"br i1 {more}, label %{body}, label %{end}")
        w.label(end)
        return end

    def row_reduction(self, depth: int, bases: list[str], block: str) -> str:
        """The innermost loop is reduced: in registers, in blocks whose sums are added with their rounding errors."""
        w, outputs = self.writer, self.kernel.outputs
        types = [type_name(o.expression.dtype) for o in outputs]
        fixed = self.fixed_loads(bases)
        w.write("br label %blocks")
        w.label("blocks")
        w.lines.append(f"  %start = phi i64 [0, %{block}], [%stop, %block_done]")
        for j, (t, output) in enumerate(zip(types, outputs)):
            first = identity(output.combine)
            w.lines.append(f"  %total{j} = phi {t} [{first}, %{block}], [%total{j}_next, %block_done]")
            w.lines.append(f"  %error{j} = phi {t} [0.0, %{block}], [%error{j}_next, %block_done]")
        w.lines.append(f"  %left = icmp slt i64 %start, %n{depth}")
        w.write("br i1 %left, label %block, label %reduced")
        w.label("block")
        w.lines.append(f"  %far = add nsw i64 %start, {BLOCK}")
        w.lines.append(f"  %whole = icmp slt i64 %far, %n{depth}")
        w.lines.append(f"  %stop = select i1 %whole, i64 %far, i64 %n{depth}")
        w.write("br label %row")
        w.label("row")
        w.lines.append(f"  %i{depth} = phi i64 [%start, %block], [%i{depth}_next, %row]")
        for j, (t, output) in enumerate(zip(types, outputs)):
            w.lines.append(f"  %sum{j} = phi {t} [{identity(output.combine)}, %block], [%sum{j}_next, %row]")
        values = self.values(bases, fixed, depth)
        for j, (t, output) in enumerate(zip(types, outputs)):
            value = combined(output.combine, t, f"%sum{j}", values[id(output.expression)], w.emit, "reassoc ")
            w.lines.append(f"  %sum{j}_next = select i1 true, {t} {value}, {t} {value}")
        w.lines.append(f"  %i{depth}_next = add nuw nsw i64 %i{depth}, 1")
        w.lines.append(f"  %more = icmp slt i64 %i{depth}_next, %stop")
        w.write("br i1 %more, label %row, label %block_done")
        w.label("block_done")
        for j, (t, output) in enumerate(zip(types, outputs)):
            self.add_block(j, t, output.combine)
        w.write("br label %blocks")
        w.label("reduced")
        for j, (t, output) in enumerate(zip(types, outputs)):
            corrected = w.emit(f"fadd {t} %total{j}, %error{j}")
            is_nan = w.emit(f"fcmp uno {t} %error{j}, 0.0")  # of infinite sums: the total itself is right
            value = w.emit(f"select i1 {is_nan}, {t} %total{j}, {t} {corrected}")
            base = bases[len(self.loads) + j]
            w.write(f"store {t} {value}, ptr {base}, align {output.expression.dtype.itemsize}")
        return "reduced"

    def add_block(self, j: int, t: str | None, combine: str | None) -> None:
        """Add the sum of a block to the total, and the rounding error of that (Knuth's two-sum) to the error."""
        w = self.writer
        if combine != "add":
            value = combined(combine, t, f"%total{j}", f"%sum{j}_next", w.emit, "")
            w.lines.append(f"  %total{j}_next = select i1 true, {t} {value}, {t} {value}")
            w.lines.append(f"  %error{j}_next = select i1 true, {t} 0.0, {t} 0.0")
            return
        total, block = f"%total{j}", f"%sum{j}_next"
        after = w.emit(f"fadd {t} {total}, {block}")
        came = w.emit(f"fsub {t} {after}, {total}")
        stayed = w.emit(f"fsub {t} {after}, {came}")
        lost = w.emit(f"fsub {t} {total}, {stayed}")
        missed = w.emit(f"fsub {t} {block}, {came}")
        error = w.emit(f"fadd {t} {lost}, {missed}")
        w.lines.append(f"  %total{j}_next = select i1 true, {t} {after}, {t} {after}")
        w.lines.append(f"  %error{j}_next = fadd {t} %error{j}, {error}")

    # ---- what happens at one point

    def element(self, k: int, base: str, depth: int, dtype: np.dtype[Any]) -> str:
        """The address of the element of a load or output at the point of the innermost loop."""
        if self.layout.steps[k] == "one":
            return self.writer.emit(f"getelementptr inbounds {type_in_memory(dtype)}, ptr {base}, i64 %i{depth}")
        return self.moved(k, base, depth)

    def fixed_loads(self, bases: list[str]) -> dict[int, str]:
        """The loads that do not move along the innermost loop, done before it."""
        return {
            k: self.load(bases[k], load.dtype) for k, load in enumerate(self.loads) if self.layout.steps[k] == "none"
        }

    def load(self, place: str, dtype: np.dtype[Any]) -> str:
        value = self.writer.emit(f"load {type_in_memory(dtype)}, ptr {place}, align {dtype.itemsize}")
        return self.writer.emit(f"icmp ne i8 {value}, 0") if dtype.kind == "b" else value

    def as_in_memory(self, value: str, dtype: np.dtype[Any]) -> str:
        return self.writer.emit(f"zext i1 {value} to i8") if dtype.kind == "b" else value

    def values(self, bases: list[str], fixed: dict[int, str], depth: int) -> dict[int, str]:
        """The registers of all expressions at one point, by id."""
        w = self.writer
        numbers = {load: k for k, load in enumerate(self.loads)}
        registers: dict[int, str] = {}
        loaded: dict[int, str] = dict(fixed)
        for expression in self.kernel.expressions():
            if isinstance(expression, Constant):
                registers[id(expression)] = literal_text(expression)
            elif isinstance(expression, Load):
                k = numbers[expression]
                if k not in loaded:
                    loaded[k] = self.load(self.element(k, bases[k], depth, expression.dtype), expression.dtype)
                registers[id(expression)] = loaded[k]
            elif isinstance(expression, Apply):
                operands = [registers[id(e)] for e in expression.operands]
                registers[id(expression)] = emit_operation(expression, operands, w.emit, w.call)
        return registers


def combined(
    combine: str | None, t: str | None, x: str, y: str, emit: Callable[[str], str], flags: str
) -> str:
    """Two values of a reduction put together."""
    if combine == "add":
        return emit(f"fadd {flags}{t} {x}, {y}")
    suffix = "f64" if t == "double" else "f32"
    return emit(f"call {t} @llvm.{combine}.{suffix}({t} {x}, {t} {y})")


def identity(combine: str | None) -> str:
    """What a reduction begins with."""
    return {"add": "-0.0", "maximum": "0xFFF0000000000000", "minimum": "0x7FF0000000000000"}[str(combine)]


def literal_text(expression: Constant) -> str:
    """A number as LLVM writes it: floats by the bits of a double."""
    number = expression.number
    if expression.dtype.kind == "f":
        return f"0x{np.float64(number).view(np.uint64):016X}"
    return str(int(number)) if expression.dtype.kind != "b" else ("true" if number else "false")
