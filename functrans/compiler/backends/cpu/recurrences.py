"""A loop over registers as the text of an LLVM function.

The function takes an array of 64-bit numbers and the slots. The first two numbers are the number of steps, or the slot
and offset of it; then there are for each load and store the slot that its address is in, an offset, and the way to the
next step in bytes.
"""

from __future__ import annotations

from typing import Any

from ...instructions import Place, RecurrenceRun
from ...loopnest import Apply, Constant, Expression, Load, Register, expressions_in
from ...recurrence import Recurrence, Store
from .codegen import Writer, alignment
from .operations import emit_operation, literal, type_in_memory, type_name
from .runtime import HEADER, LOOK

#: After about so many operations somebody looks whether the user wants to interrupt the loop; a power of two.
PATIENT_OPERATIONS = 1 << 20


class RecurrenceWriter:
    """Writes one function."""

    def __init__(self, run: RecurrenceRun):
        recurrence = self.recurrence = run.recurrence
        self.writer = Writer("a loop that keeps its state in registers")
        self.registers: dict[int, str] = {}
        self.places = accesses(recurrence)
        self.numbers = {id(x): k for k, x in enumerate(self.places)}
        self.is_taped = [is_on_tape(place_of(x, run), run) for x in self.places]
        self.offsets: dict[int, str] = {}  # in an entry of a stack
        self.has_tape = run.tape is not None

    def function(self, name: str) -> Writer:
        r, w = self.recurrence, self.writer
        w.lines += [f"define i64 @{name}(ptr %arguments, ptr %slots) #0 {{", "entry:"]
        length = self.length()
        bases, ways = self.addresses()
        first = {id(e): self.load(e, bases[k]) for e, k in self.fixed_loads()}
        begin = [self.value(e, first) for e in r.first]
        w.write("br label %head")
        w.label("head")
        w.lines.append("  %t = phi i64 [0, %entry], [%t_next, %latch]")
        for k, (e, start) in enumerate(zip(r.first, begin)):
            w.lines.append(f"  %c{k} = phi {type_name(e.dtype)} [{start}, %entry], [%c{k}_next, %latch]")
        known = dict(first)
        if r.going is None:
            w.lines.append(f"  %goes_on = icmp slt i64 %t, {length}")
        else:
            self.compute([r.going], known, bases, ways)
            self.name_as("%goes_on", known[id(r.going)], "i1")
        w.write("br i1 %goes_on, label %look, label %done")
        operations = sum(isinstance(e, Apply) for e in expressions_in(r.roots()))
        patient_steps = max(16, PATIENT_OPERATIONS >> operations.bit_length())
        w.label("look")
        w.lines += [
            f"  %rest = and i64 %t, {patient_steps - 1}",
            f"  %due = icmp eq i64 %rest, {patient_steps - 1}",
            "  br i1 %due, label %ask, label %step",
            "ask:",
            f"  %look_at = getelementptr ptr, ptr %slots, i64 {LOOK}",
            "  %looks = load ptr, ptr %look_at",
            "  %status = call i64 %looks(ptr null, ptr %slots)",
            "  %fine = icmp eq i64 %status, 0",
            "  br i1 %fine, label %step, label %failed",
            "failed:",
            "  ret i64 1",
        ]
        w.label("step")
        if self.has_tape:
            self.turn()
        self.compute([*r.following, *(s.expression for s in r.stores)], known, bases, ways)
        for store in r.stores:
            self.store(store, known[id(store.expression)], self.moved(bases, ways, self.numbers[id(store)]))
        for k, e in enumerate(r.following):
            self.name_as(f"%c{k}_next", known[id(e)], type_name(e.dtype))
        w.write("br label %latch")
        w.label("latch")
        w.lines.append("  %t_next = add nuw nsw i64 %t, 1")
        w.write("br label %head")
        w.label("done")
        for store in r.finals:
            self.store(store, self.value(store.expression, {}), bases[self.numbers[id(store)]])
        if r.going is not None:
            w.write(f"store i64 %t, ptr {bases[-1]}")
        w.write("ret i64 0")
        w.lines.append("}")
        return w

    def turn(self) -> None:
        """Let somebody place the entries of stacks, if that is due."""
        w, first = self.writer, 2 + 3 * (len(self.places) + (self.recurrence.going is not None))
        limit_slot, function, argument = (self.argument(first + i) for i in range(3))
        limit = w.emit(f"load i64, ptr {w.emit(f'getelementptr i64, ptr %slots, i64 {limit_slot}')}")
        w.lines += [
            f"  %is_over = icmp eq i64 %t, {limit}",
            "  br i1 %is_over, label %turn, label %run",
            "turn:",
            f"  %turns = inttoptr i64 {function} to ptr",
            f"  %turns_for = inttoptr i64 {argument} to ptr",
            "  %turned = call i64 %turns(ptr %turns_for, ptr %slots)",
            "  %has_turned = icmp eq i64 %turned, 0",
            "  br i1 %has_turned, label %run, label %failed",
        ]
        w.label("run")

    def name_as(self, name: str, value: str, type_: str | None) -> None:
        self.writer.lines.append(f"  {name} = select i1 true, {type_} {value}, {type_} {value}")

    def argument(self, number: int) -> str:
        place = self.writer.emit(f"getelementptr i64, ptr %arguments, i64 {number}")
        return self.writer.emit(f"load i64, ptr {place}")

    def address(self, slot: str, offset: str) -> str:
        place = self.writer.emit(f"getelementptr ptr, ptr %slots, i64 {slot}")
        return self.writer.emit(f"getelementptr i8, ptr {self.writer.emit(f'load ptr, ptr {place}')}, i64 {offset}")

    def length(self) -> str:
        """The number of steps, or what stands in memory as such."""
        if self.recurrence.length is not None or self.recurrence.going is not None:
            return self.argument(0)
        return self.writer.emit(f"load i64, ptr {self.address(self.argument(0), self.argument(1))}")

    def addresses(self) -> tuple[list[str], list[str]]:
        """The addresses of all accesses in the first step, and the ways to the next step."""
        bases: list[str] = []
        ways: list[str] = []
        for k in range(len(self.places) + (self.recurrence.going is not None)):
            slot, offset, way = (self.argument(2 + 3 * k + i) for i in range(3))
            taped = k < len(self.places) and self.is_taped[k]
            if taped:
                self.offsets[k] = offset
                bases.append(self.writer.emit(f"getelementptr ptr, ptr %slots, i64 {slot}"))
            else:
                bases.append(self.address(slot, offset))
            ways.append(way)
        return bases, ways

    def fixed_loads(self) -> list[tuple[Load, int]]:
        """What is loaded once, before the loop."""
        return [(x, k) for k, x in enumerate(self.places) if isinstance(x, Load) and not moves(x)]

    def moved(self, bases: list[str], ways: list[str], k: int) -> str:
        """The address of what is another one in each step; on a tape it is counted from what the slot has now."""
        offset, base = self.writer.emit(f"mul i64 %t, {ways[k]}"), bases[k]
        if self.is_taped[k]:
            base = self.writer.emit(f"load ptr, ptr {base}")
            offset = self.writer.emit(f"add i64 {offset}, {self.offsets[k]}")
        return self.writer.emit(f"getelementptr i8, ptr {base}, i64 {offset}")

    def load(self, load: Load, address: str) -> str:
        value = self.writer.emit(f"load {type_in_memory(load.dtype)}, ptr {address}, align {alignment(load.dtype)}")
        return self.writer.emit(f"icmp ne i8 {value}, 0") if load.dtype.kind == "b" else value

    def store(self, store: Store, value: str, address: str) -> None:
        dtype = store.expression.dtype
        if dtype.kind == "b":
            value = self.writer.emit(f"zext i1 {value} to i8")
        self.writer.write(f"store {type_in_memory(dtype)} {value}, ptr {address}, align {alignment(dtype)}")

    def value(self, expression: Expression, known: dict[int, str]) -> str:
        """What needs no instruction, or has been computed."""
        if isinstance(expression, Constant):
            return literal(expression.number, expression.dtype)
        if isinstance(expression, Register):
            return f"%c{expression.number}"
        return known[id(expression)]

    def compute(self, roots: list[Expression], known: dict[int, str], bases: list[str], ways: list[str]) -> None:
        """Write what has not been computed yet in this step."""
        w = self.writer
        for e in expressions_in(roots):
            if id(e) in known:
                continue
            if isinstance(e, Load):
                known[id(e)] = self.load(e, self.moved(bases, ways, self.numbers[id(e)]))
            elif isinstance(e, Apply):
                known[id(e)] = emit_operation(e, [self.value(x, known) for x in e.operands], w.emit, w.call)
            else:
                known[id(e)] = self.value(e, known)


def moves(load: Load) -> bool:
    """Whether a load is another one in each step."""
    return any(i.factors for i in load.index)


def accesses(recurrence: Recurrence) -> list[Load | Store]:
    """All loads and stores, in the order of the arguments."""
    loads = [e for e in expressions_in([*recurrence.first, *recurrence.roots()]) if isinstance(e, Load)]
    return [*loads, *recurrence.stores, *recurrence.finals]


def recurrence_arguments(run: RecurrenceRun) -> list[int]:
    """The arguments of the function: all slots counted with the header."""
    recurrence = run.recurrence
    numbers = [recurrence.length or 0, 0] if run.length is None else [HEADER + run.length.slot, run.length.offset]
    for access in accesses(recurrence):
        numbers += access_arguments(access.index, place_of(access, run), run)
    if run.count is not None:
        numbers += [HEADER + run.count.slot, run.count.offset, 0]
    return numbers


def place_of(access: Load | Store, run: RecurrenceRun) -> Place:
    """The array that is read or written."""
    return run.sources[access.operand] if isinstance(access, Load) else run.targets[access.target]


def is_on_tape(place: Place, run: RecurrenceRun) -> bool:
    """Whether an array is the entry of a stack."""
    steps = () if run.tape is None else (*run.tape.read, *run.tape.written)
    return any(isinstance(step.entry, Place) and step.entry.slot == place.slot for step in steps)


def access_arguments(index: Any, place: Place, run: RecurrenceRun) -> list[int]:
    """Slot, offset in the first step (in an entry of a stack: always), and way to the next one."""
    recurrence = run.recurrence
    offset = place.offset + sum(i.offset * s for i, s in zip(index, place.strides))
    way = sum(i.factor(0) * s for i, s in zip(index, place.strides))
    if recurrence.is_reverse and way:
        if not is_on_tape(place, run):
            offset += (max(recurrence.length or 0, 1) - 1) * way
        way = -way
    return [HEADER + place.slot, offset, way]
