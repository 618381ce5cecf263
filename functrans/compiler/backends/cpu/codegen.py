"""A kernel as the text of an LLVM function.

The function takes an array of 64-bit numbers: the extents of its loops, then for each operand the slot that its address
is in, an offset and strides in bytes along the loops. Index arithmetic is in those strides; only whether an operand
moves along the innermost loop by one element, not at all, or otherwise is part of the text, for the vectoriser's sake.
Then come numbers that may well be sizes: what a mean divides by, what an index must be less than. The other arguments
are the slots, and the part of one of the loops that is to be run: so the same function serves one thread and many, and
blocks of rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ...accesses import is_argument, is_compensated, numbers_of, operands_of, prepared, structure_of
from ...costs import is_transcendental
from ...loopnest import Apply, Constant, Expression, Kernel, Output, Position
from ...operations.division import Divisor
from ...operations.values import Value
from .combining import combined, identity, improve, is_scattered_extreme
from .formulas import Formulas
from .held import Tile, write_tiles
from .operations import LlvmCode, is_supported, literal, type_in_memory, type_name
from .staging import is_staged, make_rows, staged_loop
from .writer import ALIGNED, APART, READS, ROLLED, Writer

#: Elements that are summed in a row before their sum is added to the total with its rounding error.
BLOCK = 512


#: A function that runs a part of a loop block by block.
IN_BLOCKS = """\
define i64 @{name}(ptr %arguments, ptr %slots, i64 %begin, i64 %end) #0 {{
entry:
  br label %look
look:
  %low = phi i64 [%begin, %entry], [%high, %run]
  %more = icmp slt i64 %low, %end
  br i1 %more, label %run, label %done
run:
  %far = add i64 %low, {block}
  %is_whole = icmp slt i64 %far, %end
  %high = select i1 %is_whole, i64 %far, i64 %end
  %status = call i64 @{name}_part(ptr %arguments, ptr %slots, i64 %low, i64 %high)
  br label %look
done:
  ret i64 0
}}
"""


class Layout(NamedTuple):
    """What the text of a kernel depends on beside its expressions.

    Attributes:
        loops: how many there are, one inside the other.
        reduced: the position of the loop that is reduced in registers, or None.
        accumulates: whether what is reduced is combined with what is in the results.
        split: the position of the loop of which a call runs a part.
        steps: for each operand, by how many elements it moves along the innermost loop; None: known when it runs.
        ways: the same for each operand with each of its terms.
        divides: whether to prepare for divisions, in the innermost loop, by what stays the same in it.
        same: for each operand the number of the one whose pointer and strides it has: its own, or that of an output.
        block: in parts of how many points the split loop is run, with all other loops for each of them.
        columns: the same for the innermost loop, where the split one is the loop around it: together these make tiles.
        tile: the tile of results that is held in registers; `steps` are then those along its columns.
    """

    loops: int
    reduced: int | None
    accumulates: bool
    split: int
    steps: tuple[int | None, ...]
    ways: tuple[tuple[int | None, ...], ...]
    same: tuple[int, ...]
    divides: bool = False
    block: int | None = None
    columns: int | None = None
    tile: Tile | None = None


def supports(expression: Expression) -> bool:
    """Whether kernels know a dtype, and an operation, a reduction (`reduce_add` and so on) or an update on it."""
    if not isinstance(expression, Apply):
        return type_name(expression.dtype) is not None
    what, dtype = expression.operation.split("_")[0], expression.dtype
    if what not in ("reduce", "update"):
        return is_supported(expression)
    return dtype.kind in ("fiub" if what == "reduce" else "fiubc") and type_name(dtype) not in (None, "half")


#: The functions that were written last, by the structure and layout of a kernel, and how many.
_kept: dict[Any, Writer] = {}
MOST_KEPT = 2048


def kernel_function(kernel: Kernel, layout: Layout, name: str) -> Writer:
    """The text of a kernel's function. It depends on the structure of the kernel and the layout, and nothing else."""
    key = structure_of(kernel), layout, name
    found = _kept.get(key)
    if found is None:
        if len(_kept) >= MOST_KEPT:
            _kept.clear()
        found = _kept[key] = written(kernel, layout, name)
    return found.about(kernel)


def written(kernel: Kernel, layout: Layout, name: str) -> Writer:
    """The same, written anew."""
    return _KernelWriter(kernel, layout).function(name)


def has_unknown_steps(layout: Layout) -> bool:
    """Whether a kernel's function has one more argument, which is zero."""
    return None in layout.steps


class _KernelWriter:
    def __init__(self, kernel: Kernel, layout: Layout):
        self.kernel = kernel
        self.layout = layout
        self.operands = operands_of(kernel)
        self.loads = kernel.loads()
        self.outputs_start = len(self.operands) - len(kernel.outputs)
        self.numbers = {number: f"%k{k}" for k, number in enumerate(numbers_of(kernel))}
        self.writer = Writer(kernel)
        self.expressions = list(kernel.expressions())
        self.invariant = self.invariants()
        self.strides: dict[int, str] = {}  # of operands along the innermost loop, where it is known when it runs
        self.divisors: dict[int, Divisor] = {}
        self.innermost = f"%n{layout.loops - 1}"  # the extent of the innermost loop
        self.point = f"%i{layout.loops - 1}"  # how many steps of it have been done
        self.rows: dict[int, str] = {}  # where elements of operands are brought together (staging.py)
        self.in_row = ""  # which of these belong to the point

    def invariants(self) -> set[int]:
        """The expressions that stay the same along the innermost loop, by id."""
        numbers = {operand.source: k for k, operand in enumerate(self.operands[: self.outputs_start])}
        found: set[int] = set()
        for e in self.expressions:
            if isinstance(e, Apply):
                is_invariant = all(id(x) in found for x in e.operands)
            else:
                k = numbers.get(e)  # None for a constant
                is_invariant = k is None or (self.layout.steps[k] == 0 and not self.operands[k].terms)
            if is_invariant:
                found.add(id(e))
        return found

    def function(self, name: str) -> Writer:
        """A function that reads the arguments, around one that has them as parameters, none of which alias."""
        w, loops = self.writer, range(self.layout.loops)
        self.formulas = Formulas(name, w)
        parameters = [f"i64 %n{d}" for d in loops]
        for k, operand in enumerate(self.operands):
            kind = "i64" if isinstance(operand.source, Position) else "ptr noalias"
            parameters += [f"{kind} %p{k}", *(f"i64 %s{k}_{d}" for d in loops)]
            parameters += [f"i64 %t{k}_{j}" for j in range(len(operand.terms))]
        parameters += [f"{type_name(number.dtype)} {register}" for number, register in self.numbers.items()]
        parameters += ["i64 %zero"] * has_unknown_steps(self.layout)
        has_formulas = any(isinstance(e, Apply) and is_transcendental(e) for e in self.expressions)
        end = ALIGNED if has_formulas else APART
        w.lines.append(f"define internal void @{name}_body({', '.join(parameters)}) {end}")
        w.label("entry")
        if is_staged(self.kernel, self.layout):
            make_rows(self)
        self.ask()
        self.nest(0, [f"%p{k}" for k in self.layout.same], "some")
        w.write("br label %none")
        w.label("none")
        w.write("ret void")
        w.lines.append("}")
        part = f"internal i64 @{name}_part" if self.layout.block else f"i64 @{name}"
        w.lines += [f"define {part}(ptr %arguments, ptr %slots, i64 %begin, i64 %end) {READS}", "entry:"]
        w.write(f"call void @{name}_body({', '.join(self.arguments())})")
        w.write("ret i64 0")
        w.lines.append("}")
        if self.layout.block:
            w.lines += IN_BLOCKS.format(name=name, block=self.layout.block).splitlines()
        w.lines += self.formulas.lines
        return w

    def arguments(self) -> list[str]:
        """What the outer function hands on: the part of the loops that is asked for, and addresses where it begins."""
        w, split, place = self.writer, self.layout.split, 0

        def following(type_: str | None = "i64") -> str:
            nonlocal place
            address = w.emit(f"getelementptr i64, ptr %arguments, i64 {place}")
            place += 1
            return w.emit(f"load {type_}, ptr {address}")

        extents = [following() for _ in range(self.layout.loops)]
        extents[split] = w.emit("sub i64 %end, %begin")
        found = [f"i64 {extent}" for extent in extents]
        for operand in self.operands:
            if isinstance(operand.source, Position):
                base = following()
            else:
                slot = w.emit(f"getelementptr ptr, ptr %slots, i64 {following()}")
                base = w.emit(f"getelementptr i8, ptr {w.emit(f'load ptr, ptr {slot}')}, i64 {following()}")
            strides = [following() for _ in range(self.layout.loops)]
            skipped = w.emit(f"mul i64 %begin, {strides[split]}")
            if isinstance(operand.source, Position):
                found.append(f"i64 {w.emit(f'add i64 {base}, {skipped}')}")
            else:
                found.append(f"ptr {w.emit(f'getelementptr i8, ptr {base}, i64 {skipped}')}")
            found += [f"i64 {stride}" for stride in strides]
            found += [f"i64 {following()}" for _ in operand.terms]
        types = [type_name(number.dtype) for number in self.numbers]
        found += [f"{t} {following(t)}" for t in types]
        return [*found, f"i64 {following()}"] if has_unknown_steps(self.layout) else found

    # ---- loops

    def ask(self) -> None:
        """Whether there is anything to do: a call may run no part of its loop; the others are not over nothing.

        So each loop has a step at least. If the loops inside of others asked, LLVM would write the others twice, once
        for where there is nothing to do.
        """
        any_ = self.writer.emit(f"icmp sgt i64 %n{self.layout.split}, 0")
        self.writer.write(f"br i1 {any_}, label %some, label %none")
        self.writer.label("some")

    def nest(self, depth: int, bases: list[str], block: str) -> str:
        """The loops from some depth inwards; `bases` are the addresses there. Returns the block that it ends in."""
        last = self.layout.loops - 1
        if self.layout.tile is not None and depth == self.layout.tile.depth:
            return write_tiles(self, bases, block)
        if depth == last - 1 and self.layout.columns:
            return self.tiles(depth, bases, block, self.layout.columns)
        if depth < last:
            return self.outer_loop(depth, bases, block)
        if self.layout.reduced == last:
            return self.row_reduction(depth, bases, block)
        return self.inner_loop(depth, bases, block)

    def outer_loop(self, depth: int, bases: list[str], block: str) -> str:
        w = self.writer
        body, end = f"body{depth}", f"end{depth}"
        w.write(f"br label %{body}")
        w.label(body)
        start = len(w.lines)
        inside = [self.moved(k, base, f"%i{depth}", depth) for k, base in enumerate(bases)]
        latch = self.nest(depth + 1, inside, body)
        w.lines.insert(start, f"  %i{depth} = phi i64 [0, %{block}], [%i{depth}_next, %{latch}]")
        w.lines.append(f"  %i{depth}_next = add nuw nsw i64 %i{depth}, 1")
        more = w.emit(f"icmp slt i64 %i{depth}_next, %n{depth}")
        w.write(f"br i1 {more}, label %{body}, label %{end}{ROLLED}")
        w.label(end)
        return end

    def tiles(self, depth: int, bases: list[str], block: str, extent: int) -> str:
        """A loop over parts of the innermost loop, in each of which the one outside of it is run."""
        w, last = self.writer, depth + 1
        w.write("br label %tiles")
        w.label("tiles")
        w.lines.append(f"  %column = phi i64 [0, %{block}], [%next_column, %end{depth}]")
        more = w.emit(f"icmp slt i64 %column, %n{last}")
        w.write(f"br i1 {more}, label %tile, label %tiled")
        w.label("tile")
        inside = [self.moved(k, base, "%column", last) for k, base in enumerate(bases)]
        left = w.emit(f"sub i64 %n{last}, %column")
        self.innermost = w.emit(f"call i64 @llvm.smin.i64(i64 {left}, i64 {extent})")
        self.outer_loop(depth, inside, "tile")
        w.lines.append(f"  %next_column = add nuw nsw i64 %column, {extent}")
        w.write(f"br label %tiles{ROLLED}")
        w.label("tiled")
        return "tiled"

    def moved(self, k: int, base: str, count: str, depth: int, stride: str | None = None) -> str:
        """The address (or the position) that is so many steps of a loop away."""
        stride = stride or f"%s{self.layout.same[k]}_{depth}"
        offset = self.writer.emit(f"mul i64 {count}, {stride}")
        if isinstance(self.operands[k].source, Position):
            return self.writer.emit(f"add i64 {base}, {offset}")
        return self.writer.emit(f"getelementptr i8, ptr {base}, i64 {offset}")

    def inner_loop(self, depth: int, bases: list[str], block: str) -> str:
        """The loop that is vectorised; in it every output is stored, or combined with what is stored there."""
        if is_staged(self.kernel, self.layout):
            return staged_loop(self, depth, bases, block)
        w = self.writer
        body, end = f"body{depth}", f"end{depth}"
        fixed = self.fixed_values(bases, depth)
        w.write(f"br label %{body}")
        w.label(body)
        start = len(w.lines)
        latch = self.every_output(bases, fixed, depth, body)
        w.lines.insert(start, f"  %i{depth} = phi i64 [0, %{block}], [%i{depth}_next, %{latch}]")
        w.lines.append(f"  %i{depth}_next = add nuw nsw i64 %i{depth}, 1")
        more = w.emit(f"icmp slt i64 %i{depth}_next, {self.innermost}")
        w.write(f"br i1 {more}, label %{body}, label %{end}{self.hint(fixed)}")
        w.label(end)
        return end

    def every_output(self, bases: list[str], fixed: dict[int, str], depth: int, block: str) -> str:
        """What happens at one point, where nothing is reduced in registers. Returns the block that it ends in."""
        values = self.values(bases, fixed, depth)
        for k, output in enumerate(self.kernel.outputs, self.outputs_start):
            place = self.element(k, bases[k], depth, output.expression.dtype, values)
            if is_scattered_extreme(self, k):
                block = improve(self, values[id(output.expression)], place, output, f"{block}_{k}")
            else:
                self.finish(values[id(output.expression)], place, output)
        return block

    def hint(self, fixed: dict[int, str]) -> str:
        """What LLVM is told of the innermost loop."""
        is_long = any(isinstance(e, Apply) and is_transcendental(e) and id(e) not in fixed for e in self.expressions)
        return ", !llvm.loop !interleaved" if is_long else ""

    def row_reduction(self, depth: int, bases: list[str], block: str) -> str:
        """The innermost loop is reduced: in registers, in blocks whose sums are added with their rounding errors."""
        w, outputs = self.writer, self.kernel.outputs
        types = [type_name(o.expression.dtype) for o in outputs]
        fixed = self.fixed_values(bases, depth)
        w.write("br label %block")
        w.label("block")
        w.lines.append(f"  %start = phi i64 [0, %{block}], [%stop, %block_done]")
        for j, (t, output) in enumerate(zip(types, outputs)):
            first = identity(output.combine, output.expression.dtype)
            w.lines.append(f"  %total{j} = phi {t} [{first}, %{block}], [%total{j}_next, %block_done]")
            if is_compensated(output):
                w.lines.append(f"  %error{j} = phi {t} [0.0, %{block}], [%error{j}_next, %block_done]")
        w.lines.append(f"  %far = add nsw i64 %start, {BLOCK}")
        w.lines.append(f"  %left = icmp slt i64 %far, %n{depth}")
        w.lines.append(f"  %stop = select i1 %left, i64 %far, i64 %n{depth}")
        w.write("br label %row")
        w.label("row")
        w.lines.append(f"  %i{depth} = phi i64 [%start, %block], [%i{depth}_next, %row]")
        for j, (t, output) in enumerate(zip(types, outputs)):
            first = identity(output.combine, output.expression.dtype)
            w.lines.append(f"  %sum{j} = phi {t} [{first}, %block], [%sum{j}_next, %row]")
        values = self.values(bases, fixed, depth)
        for j, output in enumerate(outputs):
            self.name_as(f"%sum{j}_next", self.added(f"%sum{j}", output, values), output.expression.dtype)
        w.lines.append(f"  %i{depth}_next = add nuw nsw i64 %i{depth}, 1")
        w.lines.append(f"  %more = icmp slt i64 %i{depth}_next, %stop")
        w.write("br i1 %more, label %row, label %block_done")
        w.label("block_done")
        for j, output in enumerate(outputs):
            self.add_block(j, output)
        w.write(f"br i1 %left, label %block, label %reduced{ROLLED}")
        w.label("reduced")
        for j, output in enumerate(outputs):
            self.finish(self.total(j, output), bases[self.outputs_start + j], output)
        return "reduced"

    def added(self, total: str, output: Output, values: dict[int, str]) -> str:
        """A total that is kept in a register, combined with an expression; products are added in one instruction."""
        e, w = output.expression, self.writer
        if not (isinstance(e, Apply) and e.operation == "multiply" and is_compensated(output)):
            return combined(output.combine, e.dtype, total, values[id(e)], w.emit, "reassoc ")
        t = type_name(e.dtype)
        x, y = (self.operand(e, part, values) for part in e.operands)
        return w.emit(f"call reassoc {t} @llvm.fmuladd.f{8 * e.dtype.itemsize}({t} {x}, {t} {y}, {t} {total})")

    def name_as(self, name: str, value: str, dtype: np.dtype[Any]) -> None:
        """Give a value the name that an earlier phi knows it by."""
        t = type_name(dtype)
        self.writer.lines.append(f"  {name} = select i1 true, {t} {value}, {t} {value}")

    def add_block(self, j: int, output: Output) -> None:
        """Add the sum of a block to the total, and the rounding error of that (Knuth's two-sum) to the error."""
        w, dtype, t = self.writer, output.expression.dtype, type_name(output.expression.dtype)
        total, block = f"%total{j}", f"%sum{j}_next"
        if not is_compensated(output):
            self.name_as(f"%total{j}_next", combined(output.combine, dtype, total, block, w.emit, ""), dtype)
            return
        after = w.emit(f"fadd {t} {total}, {block}")
        came = w.emit(f"fsub {t} {after}, {total}")
        stayed = w.emit(f"fsub {t} {after}, {came}")
        lost = w.emit(f"fsub {t} {total}, {stayed}")
        missed = w.emit(f"fsub {t} {block}, {came}")
        error = w.emit(f"fadd {t} {lost}, {missed}")
        self.name_as(f"%total{j}_next", after, dtype)
        w.lines.append(f"  %error{j}_next = fadd {t} %error{j}, {error}")

    def total(self, j: int, output: Output) -> str:
        """The result of a reduction, with the rounding errors if they are finite."""
        if not is_compensated(output):
            return f"%total{j}_next"
        w, t = self.writer, type_name(output.expression.dtype)
        corrected = w.emit(f"fadd {t} %total{j}_next, %error{j}_next")
        is_nan = w.emit(f"fcmp uno {t} %error{j}_next, 0.0")
        return w.emit(f"select i1 {is_nan}, {t} %total{j}_next, {t} {corrected}")

    # ---- what happens at one point

    def element(self, k: int, base: str, depth: int, dtype: np.dtype[Any], values: dict[int, str]) -> str:
        """The address of an operand's element (or its position) at the point of the innermost loop."""
        if k in self.rows:
            return self.writer.emit(f"getelementptr {type_in_memory(dtype)}, ptr {self.rows[k]}, i64 {self.in_row}")
        is_position = isinstance(self.operands[k].source, Position)
        for j, term in enumerate(self.operands[k].terms):
            way = self.layout.ways[k][j]
            unit = "i8" if way is None else type_in_memory(dtype)
            count = values[id(term)]
            if way != 1:
                count = self.writer.emit(f"mul i64 {count}, {f'%t{k}_{j}' if way is None else way}")
            text = f"add i64 {base}, {count}" if is_position else f"getelementptr {unit}, ptr {base}, i64 {count}"
            base = self.writer.emit(text)
        step = self.layout.steps[k]
        if step == 0:
            return base
        if is_position or step is None:
            return self.moved(k, base, self.point, depth, self.strides.get(self.layout.same[k]))
        count = self.point if step == 1 else self.writer.emit(f"mul nsw i64 {self.point}, {step}")
        return self.writer.emit(f"getelementptr inbounds {type_in_memory(dtype)}, ptr {base}, i64 {count}")

    def fixed_values(self, bases: list[str], depth: int) -> dict[int, str]:
        """What does not depend on the innermost loop, computed before it: the registers of expressions, by id."""
        w, registers = self.writer, {}
        for k, operand in enumerate(self.operands):
            if self.layout.steps[k] is None and not isinstance(operand.source, Position):
                # LLVM would write a version for a stride of one byte, and no vectors for all others
                self.strides[k] = w.emit(f"add i64 %s{k}_{depth}, %zero")
        everything = self.expressions
        self.evaluate([e for e in everything if id(e) in self.invariant], bases, depth, registers)
        for e in everything if self.layout.divides else ():
            if isinstance(e, Apply) and id(e) not in self.invariant and prepared(e).operation == "divide":
                divisor = e.operands[1]
                if e.dtype == np.float64 and id(divisor) in self.invariant and id(divisor) not in self.divisors:
                    d = Value(LlvmCode(w.emit, w.call), divisor.dtype, self.operand(e, divisor, registers))
                    self.divisors[id(divisor)] = Divisor(d)
        return registers

    def load(self, place: str, dtype: np.dtype[Any], is_overwritten: bool = False) -> str:
        """What is at a place."""
        type_ = type_in_memory(dtype)
        value = self.writer.emit(f"load {type_}, ptr {place}, align {alignment(dtype)}")
        value = LlvmCode(self.writer.emit, self.writer.call).frozen(value, dtype) if is_overwritten else value
        return self.writer.emit(f"icmp ne i8 {value}, 0") if dtype.kind == "b" else value

    def finish(self, value: str, place: str, output: Output) -> None:
        """Store a value, combined with what is there where that is to be."""
        dtype = output.expression.dtype
        if output.combine is not None and (self.layout.accumulates or output.place is not None):
            value = combined(output.combine, dtype, self.load(place, dtype), value, self.writer.emit, "")
        self.store(value, place, dtype)

    def store(self, value: str, place: str, dtype: np.dtype[Any]) -> None:
        if dtype.kind == "b":
            value = self.writer.emit(f"zext i1 {value} to i8")
        self.writer.write(f"store {type_in_memory(dtype)} {value}, ptr {place}, align {alignment(dtype)}")

    def values(self, bases: list[str], fixed: dict[int, str], depth: int) -> dict[int, str]:
        """The registers of all expressions at one point, by id."""
        registers = dict(fixed)
        self.evaluate([e for e in self.expressions if id(e) not in fixed], bases, depth, registers)
        return registers

    def evaluate(
        self, expressions: Sequence[Expression], bases: list[str], depth: int, registers: dict[int, str]
    ) -> None:
        """Add the registers of expressions, which come after their parts, by id."""
        numbers = {operand.source: k for k, operand in enumerate(self.operands[: self.outputs_start])}
        known: dict[int, str] = {}
        for expression in expressions:
            if isinstance(expression, Constant):
                registers[id(expression)] = literal(expression.number, expression.dtype)
            elif isinstance(expression, Apply):
                registers[id(expression)] = self.applied(expression, registers)
            else:
                k = numbers[expression]
                if k not in known:
                    place = self.element(k, bases[k], depth, expression.dtype, registers)
                    is_overwritten = self.layout.same[k] != k
                    is_position = isinstance(expression, Position)
                    known[k] = place if is_position else self.load(place, expression.dtype, is_overwritten)
                registers[id(expression)] = known[k]

    def applied(self, expression: Apply, registers: dict[int, str]) -> str:
        """The register of an operation on what has registers."""
        w, applied = self.writer, prepared(expression)
        operands = [self.operand(applied, e, registers) for e in applied.operands]
        divisor = self.divisors.get(id(applied.operands[-1]))
        if divisor is not None and applied.operation == "divide" and id(expression) not in self.invariant:
            return divisor.of(Value(LlvmCode(w.emit, w.call), applied.dtype, operands[0])).register
        return self.formulas.write(applied, operands)

    def operand(self, applied: Apply, e: Expression, registers: dict[int, str]) -> str:
        """An operand of an operation: a register or a literal."""
        if not isinstance(e, Constant):
            return registers[id(e)]
        return self.numbers[e] if e in self.numbers and is_argument(applied, e) else literal(e.number, e.dtype)


def alignment(dtype: np.dtype[Any]) -> int:
    """What the address of an element of an aligned array is a multiple of."""
    return dtype.itemsize // 2 if dtype.kind == "c" else dtype.itemsize
