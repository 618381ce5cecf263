"""A recurrence of many lanes as the text of an LLVM function: all steps of a block of lanes, then of the next one.

Within a block the loop over lanes is the innermost one, so that LLVM computes with vectors of lanes. What a lane keeps
from one such loop to the next is in an array with an element for each lane of the block, on the stack: blocks are small
enough for the fastest cache. What is the same for all lanes is computed once for a block. A call runs a range of parts,
each of a few lanes, so that threads get whole vectors.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any, NamedTuple

from ...accesses import steps_of
from ...instructions import RecurrenceRun
from ...lanes.statements import differs, varying_registers
from ...loopnest import INT, Affine, Load, Register, constant, expressions_in
from ...recurrence import (
    Assign,
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
from .operations import type_in_memory, type_name
from .recurrences import RecurrenceWriter
from .runtime import LOOK, STOPPED
from .work import likely_work, work_of

#: What the lanes of a block keep takes about so many bytes.
BLOCK_BYTES = 1 << 13
#: So many lanes are in a part, and at least and at most in a block; fewer where their elements are far apart, each on a
#: cache line.
FEWEST, MOST, MOST_APART = 16, 512, 64
#: After so many operations on all lanes of a block somebody looks whether the user wants to interrupt the loop.
PATIENT_OPERATIONS = 1 << 23
#: The operations that take as long as one on a single number.
AT_ONCE = 4


#: What is so many bytes ahead of what a lane reads is brought near, in arrays of more than so many bytes.
AHEAD, NEAR_BYTES = 128, 1 << 19


class Together(NamedTuple):
    """Statements that run for each lane of a block, one lane after the other."""

    statements: tuple[Statement, ...]


class LanesWriter(RecurrenceWriter):
    """Writes one function."""

    range_parameters = ", i64 %begin, i64 %end"

    def __init__(self, run: RecurrenceRun):
        super().__init__(run)
        assert run.recurrence.lanes is not None
        self.lanes: Lanes = run.recurrence.lanes
        self.groups = Groups(self.statements, self.lanes)
        self.kept = self.groups.kept()
        size = sum(type_.dtype.itemsize for type_ in every_register(self.statements) if type_.number in self.kept)
        self.block_size = block_size(size, MOST_APART if any(map(self.is_apart, self.arrays)) else MOST)
        self.distant = set(filter(self.is_distant, self.arrays))

    def is_distant(self, array: int) -> bool:
        """Whether the elements of lanes are far apart in an array that is too large to be near anyway."""
        place = self.run.arrays[array]
        return self.is_apart(array) and prod(place.shape) * place.dtype.itemsize > NEAR_BYTES

    def is_apart(self, array: int) -> bool:
        """Whether the elements of lanes in an array are far apart."""
        axis = self.lanes.axes[array]
        return axis is not None and steps_of(self.run, array)[axis] is None

    def declare(self) -> None:
        entry = self.writer.lines
        for register in [*every_register(self.statements), self.lanes.number]:
            type_ = type_name(register.dtype)
            if register.number in self.kept:
                type_ = f"[{self.block_size} x {type_in_memory(register.dtype)}], align 64"
            entry.append(f"  %q{register.number} = alloca {type_}")
        entry += ["  %block = alloca i64", "  %within = alloca i64", "  %any = alloca i8"]

    def all_statements(self) -> None:
        w, count = self.writer, self.numbers[constant(self.lanes.count, INT)]
        w.write(f"store i64 {w.emit(f'mul nsw i64 %begin, {FEWEST}')}, ptr %block")
        last = w.emit(f"call i64 @llvm.smin.i64(i64 {w.emit(f'mul nsw i64 %end, {FEWEST}')}, i64 {count})")
        w.write("br label %blocks")
        w.label("blocks")
        w.write("%first = load i64, ptr %block")
        w.write(f"%left = sub i64 {last}, %first")
        w.write(f"%size = call i64 @llvm.smin.i64(i64 %left, i64 {self.block_size})")
        w.write("%is_left = icmp sgt i64 %left, 0")
        w.write("br i1 %is_left, label %run, label %over")
        w.label("run")
        self.block(self.statements, {})
        w.write("%following = add nsw i64 %first, %size")
        w.write("store i64 %following, ptr %block")
        w.write("br label %blocks")
        w.label("over")

    # ---- statements

    def block(self, statements: Sequence[Statement], known: dict[int, str]) -> None:
        for item in self.groups.of(statements):
            if isinstance(item, Together):
                self.together(lambda inner, own=item: super(LanesWriter, self).block(own.statements, inner), known)
            else:
                getattr(self, type(item).__name__)(item, known)

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
        self.look_ahead(s, dict(known))
        self.step_done(s)
        self.next_step(s, length, body, end)

    def look_ahead(self, s: Repeat, known: dict[int, str]) -> None:
        """Have what lanes read in steps to come brought near, where each lane reads on a cache line of its own."""
        w, far = self.writer, self.read_ahead(s)
        if not far:
            return

        def fetch(inner: dict[int, str]) -> None:
            for load in far:
                address = self.address(load.operand, load.index, inner)
                w.write(f"call void @llvm.prefetch.p0(ptr {address}, i32 0, i32 3, i32 1)")

        self.together(fetch, known)

    def read_ahead(self, s: Repeat) -> list[Load]:
        """For each array with an element for each step, and lanes far apart, what is read there some steps later."""
        found: dict[Any, Load] = {}
        for e in expressions_in(e for inner in statements_in(s.body) for e in roots(inner)):
            if isinstance(e, Load) and e.operand not in found and e.operand in self.distant:
                index = [self.ahead(i, stride, s) for i, stride in zip(e.index, self.run.arrays[e.operand].strides)]
                if any(i is not own for i, own in zip(index, e.index)):
                    found[e.operand] = e._replace(index=tuple(index))
        return list(found.values())

    @staticmethod
    def ahead(index: Affine, stride: int, s: Repeat) -> Affine:
        """An index some steps later, if it moves with the steps of a loop."""
        factor = sum(factor for factor, term in index.terms if term == s.counter)
        return index.plus(factor * max(AHEAD // abs(factor * stride), 1)) if factor and stride else index

    def unending(self, s: Repeat, known: dict[int, str]) -> None:
        """A loop that ends when a condition says so, in all lanes of the block."""
        assert s.going is not None
        w = self.writer
        head, body, end = (self.label(part) for part in ("head", "body", "end"))
        w.write(f"store i64 0, ptr %q{s.counter.number}")
        w.write(f"br label %{head}")
        w.label(head)
        self.block(s.test, known)
        going = self.going_on(s, known)
        w.write(f"br i1 {going}, label %{body}, label %{end}")
        w.label(body)
        self.block(s.body, known)
        count = w.emit(f"load i64, ptr %q{s.counter.number}")
        w.write(f"store i64 {w.emit(f'add nuw nsw i64 {count}, 1')}, ptr %q{s.counter.number}")
        self.step_done(s)
        w.write(f"br label %{head}")
        w.label(end)

    def going_on(self, s: Repeat, known: dict[int, str]) -> str:
        """Whether a condition holds in any lane of the block."""
        w, going = self.writer, s.going
        assert going is not None
        if not self.groups.differs([going]):
            return self.value(going, known)

        def gather(inner: dict[int, str]) -> None:
            own = w.emit(f"zext i1 {self.value(going, inner)} to i8")
            before = w.emit("load i8, ptr %any")
            w.write(f"store i8 {w.emit(f'or i8 {before}, {own}')}, ptr %any")

        w.write("store i8 0, ptr %any")
        self.together(gather, known)
        return w.emit(f"icmp ne i8 {w.emit('load i8, ptr %any')}, 0")

    def step_done(self, s: Repeat) -> None:
        """Count the operations of a step, and look for signals after many."""
        self.worked(self.writer.emit(f"mul i64 %size, {work_of((*s.test, *s.body))}"))
        self.look()

    def look(self) -> None:
        w = self.writer
        ask, alone, failed, fine = (self.label(part) for part in ("ask", "alone", "failed", "fine"))
        due = w.emit(f"icmp sgt i64 {w.emit('load i64, ptr %work')}, {PATIENT_OPERATIONS}")
        w.write(f"br i1 {due}, label %{ask}, label %{fine}")
        w.label(ask)
        w.write("store i64 0, ptr %work")
        stopped = w.emit(f"getelementptr i64, ptr %slots, i64 {STOPPED}")
        others = w.emit(f"load atomic i64, ptr {stopped} seq_cst, align 8")
        w.write(f"br i1 {w.emit(f'icmp eq i64 {others}, 0')}, label %{alone}, label %{failed}")
        w.label(alone)
        looks = w.emit(f"load ptr, ptr {w.emit(f'getelementptr ptr, ptr %slots, i64 {LOOK}')}")
        status = w.emit(f"call i64 {looks}(ptr null, ptr %slots)")
        w.write(f"br i1 {w.emit(f'icmp eq i64 {status}, 0')}, label %{fine}, label %{failed}")
        w.label(failed)
        w.write("ret i64 1")
        w.label(fine)

    # ---- registers

    def give(self, register: Register, value: str) -> None:
        if register.number not in self.kept:
            super().give(register, value)
            return
        if register.dtype.kind == "b":
            value = self.writer.emit(f"zext i1 {value} to i8")
        type_ = type_in_memory(register.dtype)
        self.writer.write(f"store {type_} {value}, ptr {self.own(register)}, align {alignment(register.dtype)}")

    def taken(self, register: Register) -> str:
        if register.number not in self.kept:
            return super().taken(register)
        type_ = type_in_memory(register.dtype)
        value = self.writer.emit(f"load {type_}, ptr {self.own(register)}, align {alignment(register.dtype)}")
        value = self.writer.emit(f"freeze {type_} {value}")
        return self.writer.emit(f"icmp ne i8 {value}, 0") if register.dtype.kind == "b" else value

    def own(self, register: Register) -> str:
        """Where the lane has a number that it keeps."""
        within, type_ = self.writer.emit("load i64, ptr %within"), type_in_memory(register.dtype)
        return self.writer.emit(f"getelementptr {type_}, ptr %q{register.number}, i64 {within}")


class Groups:
    """Statements in groups that run lane by lane, between those that run once for all lanes of a block."""

    def __init__(self, statements: tuple[Statement, ...], lanes: Lanes):
        self.statements = statements
        self.varying = varying_registers(statements, lanes)
        self.arrays = {k for k, axis in enumerate(lanes.axes) if axis is not None}
        self.found: dict[int, list[Statement | Together]] = {}  # by the id of a block

    def differs(self, roots: Sequence[object]) -> bool:
        """Whether expressions differ from lane to lane."""
        return differs(roots, self.varying, self.arrays)  # type: ignore[arg-type]

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
                found.append(Together(tuple(group)))
                group.clear()

        for s in statements:
            for part in self.parts(s):
                if isinstance(part, (Repeat, Choose)):
                    finish()
                    found.append(part)
                elif self.is_by_lane(part):
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
