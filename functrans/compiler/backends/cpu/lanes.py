"""A recurrence of many lanes as the text of an LLVM function: all steps of a block of lanes, then of the next one.

Within a block the loop over lanes is the innermost one, so that LLVM computes with vectors of lanes. What a lane keeps
from one such loop to the next is in an array with an element for each lane of the block, on the stack: blocks are small
enough for the fastest cache. What is the same for all lanes is computed once for a block. A call runs a range of parts,
each of a few lanes, so that threads get whole vectors.

Indices are checked in all lanes of a block before any of them uses one. The first thread that refuses some writes them
down and has the others end; the call ends with two and the number of the failure (`run_lanes`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from ....core.avals import real_dtype
from ...accesses import steps_of
from ...instructions import RecurrenceRun
from ...lanes.statements import differs, varying_registers
from ...loopnest import INT, Index, Load, Register, constant, expressions_in
from ...operations.values import Value
from ...recurrence import (
    Assign,
    Check,
    Choose,
    Lanes,
    Repeat,
    Statement,
    Store,
    every_register,
    inside,
    registers_in,
    roots,
    statements_in,
)
from .codegen import alignment
from .operations import LlvmCode, type_in_memory, type_name
from .recurrences import RecurrenceWriter
from .runtime import STOPPED
from .work import likely_work, work_of
from .writer import APART

#: What the lanes of a block keep takes about so many bytes.
BLOCK_BYTES = 1 << 13
#: So many lanes are in a part, and at least and at most in a block; at most so many where the elements of lanes are far
#: apart, each on a cache line, in some array.
FEWEST, MOST, MOST_APART = 16, 512, 64
#: Where steps go through such arrays, a block has at least and at most so many lanes.
FEWEST_STREAMED, MOST_STREAMED = 4, 8
#: The processor follows about so many streams of memory at a time; so many where their strides are multiples of so many
#: bytes, since their lines contend for the same few places of the fastest cache.
STREAMS, CONTENDING_STREAMS, CONTENTION = 16, 8, 1 << 12
#: After so many operations on all lanes of a block somebody looks whether the user wants to interrupt the loop.
PATIENT_OPERATIONS = 1 << 23
#: The operations that take as long as one on a single number.
AT_ONCE = 4


class Together(NamedTuple):
    """Statements that run for each lane of a block, one lane after the other, and checks that come after them."""

    statements: tuple[Statement, ...]
    checks: tuple[Check, ...]


class LanesWriter(RecurrenceWriter):
    """Writes one function."""

    range_parameters = ", i64 %begin, i64 %end"

    def __init__(self, run: RecurrenceRun):
        super().__init__(run)
        assert run.recurrence.lanes is not None
        self.lanes: Lanes = run.recurrence.lanes
        self.groups = Groups(self.statements, self.lanes)
        self.kept = self.groups.kept()
        self.streams = [k for k in self.arrays if self.is_apart(k) and k in walked(self.statements)]
        self.block_size = self.streamed_size() if self.streams else self.usual_size()

    def usual_size(self) -> int:
        size = sum(type_.dtype.itemsize for type_ in every_register(self.statements) if type_.number in self.kept)
        return block_size(size, MOST_APART if any(map(self.is_apart, self.arrays)) else MOST)

    def streamed_size(self) -> int:
        """How many lanes a block has, each of which is a stream in some arrays."""
        strides = [self.run.arrays[k].strides[self.lanes.axes[k]] for k in self.streams]
        most = CONTENDING_STREAMS if all(stride % CONTENTION == 0 for stride in strides) else STREAMS
        return FEWEST_STREAMED if 2 * FEWEST_STREAMED * len(strides) > most else MOST_STREAMED

    def is_apart(self, array: int) -> bool:
        """Whether the elements of lanes in an array are far apart."""
        axis = self.lanes.axes[array]
        return axis is not None and steps_of(self.run, array)[axis] is None

    def declare(self) -> None:
        entry = self.writer.lines
        for register in [*every_register(self.statements), self.lanes.number]:
            if register.number not in self.kept:
                entry.append(f"  %q{register.number} = alloca {type_name(register.dtype)}")
                continue
            for name, dtype in kept_arrays(register):
                entry.append(f"  {name} = alloca [{self.block_size} x {type_in_memory(dtype)}], align 64")
        entry += ["  %within = alloca i64", "  %any = alloca i8", "  %refuses = alloca i8"]

    def body(self, name: str, parameters: Sequence[str]) -> None:
        """Small blocks are a function of their own, one for a number of lanes that is known and one for any."""
        w = self.writer
        if self.streams:
            head = f"{', '.join(parameters)}, ptr %work, i64 %first, i64 %size"
            w.lines.append(f"define internal i64 @{name}_block({head}) alwaysinline #0 {{")
            w.label("entry")
            self.declare()
            self.block(self.statements, {})
            w.write("ret i64 0")
            w.lines.append("}")
            w.inlined += len(w.lines)
        given = ", ".join(parameters) + self.range_parameters
        w.lines.append(f"define internal i64 @{name}_body({given}) {APART}")
        w.label("entry")
        w.lines += ["  %work = alloca i64", "  %block = alloca i64"]
        if not self.streams:
            self.declare()
        w.write("store i64 0, ptr %work")
        arguments = ", ".join(parameter.replace(" noalias", "") for parameter in parameters)
        self.blocks(lambda: self.call_block(name, arguments) if self.streams else self.block(self.statements, {}))
        w.write("ret i64 0")
        w.lines.append("}")

    def call_block(self, name: str, arguments: str) -> None:
        """Run a block."""
        w = self.writer
        w.write(f"%is_full = icmp eq i64 %size, {self.block_size}")
        w.write("br i1 %is_full, label %full, label %rest")
        for label, size in (("full", self.block_size), ("rest", "%size")):
            w.label(label)
            w.write(f"%{label}_status = call i64 @{name}_block({arguments}, ptr %work, i64 %first, i64 {size})")
            w.write(f"br i1 {w.emit(f'icmp eq i64 %{label}_status, 0')}, label %fine, label %failed")
        w.label("failed")
        w.write("%status = phi i64 [%full_status, %full], [%rest_status, %rest]")
        w.write("ret i64 %status")
        w.label("fine")

    def blocks(self, run: Callable[[], None]) -> None:
        """A loop over blocks of lanes."""
        w, count = self.writer, self.numbers[constant(self.lanes.count, INT)]
        w.write(f"store i64 {w.emit(f'mul nsw i64 %begin, {FEWEST}')}, ptr %block")
        last = w.emit(f"call i64 @llvm.smin.i64(i64 {w.emit(f'mul nsw i64 %end, {FEWEST}')}, i64 {count})")
        w.write("br label %blocks")
        w.label("blocks")
        w.write("%start = load i64, ptr %block")
        w.write(f"%left = sub i64 {last}, %start")
        w.write("%is_left = icmp sgt i64 %left, 0")
        w.write("br i1 %is_left, label %run, label %over")
        w.label("run")
        self.place_block(count)
        run()
        w.write("%following = add nsw i64 %start, %size")
        w.write("store i64 %following, ptr %block")
        w.write("br label %blocks")
        w.label("over")

    def place_block(self, count: str) -> None:
        """Which lanes are in the block that is to begin at `%start`: the first one, and how many."""
        self.writer.write("%first = add i64 %start, 0")
        self.writer.write(f"%size = call i64 @llvm.smin.i64(i64 %left, i64 {self.block_size})")

    # ---- statements

    def block(self, statements: Sequence[Statement], known: dict[int, str]) -> None:
        for item in self.groups.of(statements):
            if isinstance(item, Together):
                self.group(item, known)
            else:
                getattr(self, type(item).__name__)(item, known)

    def group(self, item: Together, known: dict[int, str]) -> None:
        w = self.writer

        def run(inner: dict[int, str]) -> None:
            super(LanesWriter, self).block(item.statements, inner)
            for check in item.checks:
                fits = self.fits(check, [self.value(e, inner) for e in check.indices])
                self.gather("refuses", w.emit(f"xor i1 {fits}, true"))

        if item.checks:
            w.write("store i8 0, ptr %refuses")
        self.together(run, known)
        if item.checks:
            refused, accepted = self.label("refused"), self.label("accepted")
            refuses = w.emit("load i8, ptr %refuses")
            w.write(f"br i1 {w.emit(f'icmp eq i8 {refuses}, 0')}, label %{accepted}, label %{refused}")
            w.label(refused)
            self.together(lambda inner: super(LanesWriter, self).block(item.checks, inner), known)
            w.write(f"br label %{accepted}")
            w.label(accepted)

    def gather(self, name: str, value: str) -> None:
        """Note whether something holds in any lane."""
        before = self.writer.emit(f"load i8, ptr %{name}")
        own = self.writer.emit(f"zext i1 {value} to i8")
        self.writer.write(f"store i8 {self.writer.emit(f'or i8 {before}, {own}')}, ptr %{name}")

    def refuse(self, s: Check, values: Sequence[str]) -> None:
        w = self.writer
        first, later = self.label("first"), self.label("later")
        stopped = w.emit(f"getelementptr i64, ptr %slots, i64 {STOPPED}")
        status = 2 + self.failures[id(s.failure)]
        before = w.emit(f"cmpxchg ptr {stopped}, i64 0, i64 {status} seq_cst seq_cst")
        w.write(f"br i1 {w.emit(f'extractvalue {{i64, i1}} {before}, 1')}, label %{first}, label %{later}")
        w.label(first)
        self.write_down(values)
        w.write(f"ret i64 {status}")
        w.label(later)
        w.write(f"ret i64 {w.emit(f'extractvalue {{i64, i1}} {before}, 0')}")

    def together(self, act: Callable[[dict[int, str]], None], known: dict[int, str]) -> None:
        """Write something in a loop over the lanes of a block."""
        w = self.writer
        body, end = self.label("lane"), self.label("lanes_end")
        w.write("store i64 0, ptr %within")
        w.write(f"br label %{body}")
        w.label(body)
        within = w.emit("load i64, ptr %within")
        w.write(f"store i64 {w.emit(f'add nsw i64 %first, {within}')}, ptr %q{self.lanes.number.number}")
        act(dict(known))
        following = w.emit(f"add nuw nsw i64 {w.emit('load i64, ptr %within')}, 1")
        w.write(f"store i64 {following}, ptr %within")
        w.write(f"br i1 {w.emit(f'icmp slt i64 {following}, %size')}, label %{body}, label %{end}")
        w.label(end)

    def Repeat(self, s: Repeat, known: dict[int, str]) -> None:
        if s.length is None:
            self.unending(s, dict(known))
            return
        length = self.length(s, s.length, known)
        body, end = self.steps(s, "0", length, dict(known))
        self.step_done(s)
        self.next_step(s, length, body, end)

    def going_on(self, s: Repeat, known: dict[int, str]) -> str:
        """Whether a condition holds in any lane of the block."""
        w, going = self.writer, s.going
        if not self.groups.differs([going]):
            return super().going_on(s, known)
        w.write("store i8 0, ptr %any")
        self.together(lambda inner: self.gather("any", self.value(going, inner)), known)
        return w.emit(f"icmp ne i8 {w.emit('load i8, ptr %any')}, 0")

    def step_done(self, s: Repeat) -> None:
        self.worked(self.writer.emit(f"mul i64 %size, {work_of((*s.test, *s.body))}"))
        self.look()

    def look(self) -> None:
        w = self.writer
        ask, alone, ended, failed, fine = (self.label(part) for part in ("ask", "alone", "ended", "failed", "fine"))
        self.if_due(PATIENT_OPERATIONS, ask, fine)
        stopped = w.emit(f"getelementptr i64, ptr %slots, i64 {STOPPED}")
        others = w.emit(f"load atomic i64, ptr {stopped} seq_cst, align 8")
        w.write(f"br i1 {w.emit(f'icmp eq i64 {others}, 0')}, label %{alone}, label %{ended}")
        w.label(ended)
        w.write(f"ret i64 {others}")
        w.label(alone)
        self.end_if_wanted(failed, fine)

    # ---- registers

    def give(self, register: Register, value: str) -> None:
        if register.number not in self.kept:
            super().give(register, value)
            return
        if register.dtype.kind == "b":
            value = self.writer.emit(f"zext i1 {value} to i8")
        code = LlvmCode(self.writer.emit, self.writer.call)
        values = code.parts(value, register.dtype) if register.dtype.kind == "c" else [value]
        for (array, dtype), part in zip(kept_arrays(register), values, strict=True):
            place = self.own(array, dtype)
            self.writer.write(f"store {type_in_memory(dtype)} {part}, ptr {place}, align {alignment(dtype)}")

    def taken(self, register: Register) -> str:
        if register.number not in self.kept:
            return super().taken(register)
        code = LlvmCode(self.writer.emit, self.writer.call)
        values = []
        for array, dtype in kept_arrays(register):
            type_, place = type_in_memory(dtype), self.own(array, dtype)
            value = code.emit(f"load {type_}, ptr {place}, align {alignment(dtype)}")
            values.append(Value(code, dtype, code.frozen(value, dtype)))
        if register.dtype.kind == "c":
            return code.whole(*values)
        found = values[0].register
        return code.emit(f"icmp ne i8 {found}, 0") if register.dtype.kind == "b" else found

    def own(self, array: str, dtype: np.dtype[Any]) -> str:
        """Where the lane has a number that it keeps in an array."""
        within = self.writer.emit("load i64, ptr %within")
        return self.writer.emit(f"getelementptr {type_in_memory(dtype)}, ptr {array}, i64 {within}")


def kept_arrays(register: Register) -> list[tuple[str, np.dtype[Any]]]:
    """The arrays with a number of each lane, two for a complex one: vectors of lanes are vectors of real parts."""
    if register.dtype.kind != "c":
        return [(f"%q{register.number}", register.dtype)]
    return [(f"%q{register.number}{part}", real_dtype(register.dtype)) for part in ("re", "im")]


def walked(statements: Sequence[Statement]) -> set[int]:
    """The arrays of which loops read or write another element in each step."""
    found: set[int] = set()
    for s in statements_in(statements):
        if isinstance(s, Repeat):
            inner = list(statements_in(s.body))
            loads = [e for e in expressions_in(e for i in inner for e in roots(i)) if isinstance(e, Load)]
            stores = [i for i in inner if isinstance(i, Store)]
            found |= {e.operand for e in loads if moves_with(e.index, s.counter)}
            found |= {i.array for i in stores if moves_with(i.index, s.counter)}
    return found


def moves_with(index: Index, counter: Register) -> bool:
    """Whether an index changes in each step of a loop."""
    return any(factor and counter in expressions_in([e]) for i in index for factor, e in i.terms)


class Groups:
    """Statements in groups that run lane by lane, between those that run once for all lanes of a block."""

    def __init__(self, statements: tuple[Statement, ...], lanes: Lanes):
        self.statements = statements
        self.varying = varying_registers(statements, lanes)
        self.arrays = {k for k, axis in enumerate(lanes.axes) if axis is not None}
        self.found: dict[int, list[Statement | Together]] = {}  # by the id of a block

    def differs(self, roots: Sequence[object]) -> bool:
        """Whether expressions differ from lane to lane."""
        return differs(roots, self.varying, self.arrays)

    def of(self, statements: Sequence[Statement]) -> list[Statement | Together]:
        """A block in groups. What is the same for all lanes goes before the group that it stands in, unless that
        still needs what was there."""
        found = self.found.get(id(statements))
        if found is None:
            found = self.found[id(statements)] = self.divided(statements)
        return found

    def divided(self, statements: Sequence[Statement]) -> list[Statement | Together]:
        found: list[Statement | Together] = []
        group: list[Statement] = []

        def finish() -> None:
            if group:
                end = next((k for k in range(len(group), 0, -1) if not isinstance(group[k - 1], Check)), 0)
                found.append(Together(tuple(group[:end]), tuple(group[end:])))
                group.clear()

        for s in statements:
            for part in self.parts(s):
                if isinstance(part, (Repeat, Choose)):
                    finish()
                    found.append(part)
                elif self.is_by_lane(part):
                    if group and isinstance(group[-1], Check) and not isinstance(part, Check):
                        finish()
                    group.append(part)
                else:
                    if isinstance(part, Assign) and self.reads(group, part.registers):
                        finish()
                    found.append(part)
        finish()
        return found

    def parts(self, s: Statement) -> Sequence[Statement]:
        """A statement, as one by lane and one that is the same for all lanes."""
        if not isinstance(s, Assign):
            return (s,)
        pairs = list(zip(s.registers, s.values))
        own = [pair for pair in pairs if pair[0].number in self.varying]
        shared = [pair for pair in pairs if pair[0].number not in self.varying]
        return [Assign(tuple(r for r, _ in part), tuple(e for _, e in part)) for part in (own, shared) if part]

    def is_by_lane(self, s: Statement) -> bool:
        if isinstance(s, Assign):
            return s.registers[0].number in self.varying
        return (isinstance(s, Store) and s.array in self.arrays) or self.differs(roots(s))

    @staticmethod
    def reads(group: Sequence[Statement], registers: Sequence[Register]) -> bool:
        numbers = {r.number for r in registers}
        return any(isinstance(e, Register) and e.number in numbers for s in group for e in expressions_in(roots(s)))

    def kept(self) -> set[int]:
        """The registers that are given in one group and read in another one, or in the next step."""
        found: set[int] = set()
        homes: dict[int, object] = {}

        def visit(statements: Sequence[Statement]) -> None:
            for item in self.of(statements):
                if isinstance(item, Together):
                    given: set[int] = set()
                    for s in item.statements:
                        read = {e.number for e in expressions_in(roots(s)) if isinstance(e, Register)}
                        own = {r.number for r in s.registers} if isinstance(s, Assign) else set()
                        found.update(n for n in read & self.varying if n not in given)
                        found.update(n for n in own if homes.setdefault(n, item) is not item)
                        given |= own
                    checked = expressions_in(e for s in item.checks for e in roots(s))
                    found.update(e.number for e in checked if isinstance(e, Register))
                elif isinstance(item, (Repeat, Choose)):
                    going = [item.going] if isinstance(item, Repeat) and item.going is not None else []
                    found.update(e.number for e in expressions_in(going) if isinstance(e, Register))
                    for block in inside(item):
                        visit(block)

        visit(self.statements)
        return found & self.varying & {r.number for r in registers_in(self.statements)}


def block_size(size: int, most: int) -> int:
    """How many lanes a block has that keep so many bytes each."""
    lanes = FEWEST
    while lanes < most and 2 * lanes * size <= BLOCK_BYTES:
        lanes *= 2
    return lanes


def parts_of(lanes: Lanes) -> int:
    """Into how many parts lanes can be divided among threads."""
    return -(-lanes.count // FEWEST)


def lanes_work(run: RecurrenceRun) -> int:
    """About how many nanoseconds all lanes take together."""
    lanes = run.recurrence.lanes
    return lanes.count * likely_work(run.recurrence.statements) // AT_ONCE
