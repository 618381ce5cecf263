"""A recurrence of lanes that run side by side as the text of an LLVM function: what differs among them is a vector.

A block has as many lanes as the rooms of the recurrence, in which the numbers of a vector lie one after the other. The
last block begins where it is whole, so that some lanes run twice, and write the same again.
"""

from __future__ import annotations

from collections.abc import Sequence

from ...accesses import steps_of
from ...instructions import RecurrenceRun
from ...loopnest import INT, Apply, Expression, Index, Load, Register, constant
from ...recurrence import Check, Repeat, Store, every_register
from .codegen import alignment
from .lanes import PATIENT_OPERATIONS, LanesWriter, Together
from .operations import emit_operation, type_in_memory, type_name, vector_literal
from .recurrences import RecurrenceWriter
from .writer import ROLLED

#: Rooms begin at multiples of so many bytes.
ALIGNED = 64
#: A block counts as so many operations, however small its matrices are: signals are looked for between blocks.
BLOCK_OPERATIONS = PATIENT_OPERATIONS // 32


class VectorsWriter(LanesWriter):
    """Writes one function."""

    #: Unrolled, what is vectors anyway would take twice as long to compile, and as long to run.
    hint = ROLLED

    def __init__(self, run: RecurrenceRun):
        super().__init__(run)
        assert self.lanes.together is not None
        self.block_size = self.lanes.together
        self.streams = []
        self.vectors: set[str] = set()  # those of the values that have been written

    def declare(self) -> None:
        entry = self.writer.lines
        for register in every_register(self.statements):
            entry.append(f"  %q{register.number} = alloca {self.type(register)}")
        entry += [f"  %a{k} = alloca i8, i64 %size{k}, align {ALIGNED}" for k in self.rooms]

    def place_block(self, count: str) -> None:
        w = self.writer
        w.write(f"%last = sub i64 {count}, {self.block_size}")
        w.write("%first = call i64 @llvm.smin.i64(i64 %start, i64 %last)")
        w.write(f"%size = add i64 {self.block_size}, 0")
        self.worked(str(BLOCK_OPERATIONS))
        self.look()

    # ---- statements

    def group(self, item: Together, known: dict[int, str]) -> None:
        RecurrenceWriter.block(self, (*item.statements, *item.checks), dict(known))

    def step_done(self, s: Repeat) -> None:
        """Steps are short, and are not counted."""

    def Store(self, s: Store, known: dict[int, str]) -> None:
        w, type_ = self.writer, type_in_memory(s.value.dtype)
        value = self.spread(self.value(s.value, known), type_name(s.value.dtype))
        if s.value.dtype.kind == "b":
            value = w.emit(f"zext {self.vector('i1')} {value} to {self.vector('i8')}")
        places = self.places(s.array, s.index, known)
        if len(places) == 1:
            w.write(f"store {self.vector(type_)} {value}, ptr {places[0]}, align {self.aligned(s.array)}")
            return
        for lane, place in enumerate(places):
            own = w.emit(f"extractelement {self.vector(type_)} {value}, i64 {lane}")
            w.write(f"store {type_} {own}, ptr {place}, align {alignment(s.value.dtype)}")

    def looked_at(self, s: Check, known: dict[int, str]) -> list[str]:
        """Of each number that of the lane that is farthest from where it should be."""
        w, found, t = self.writer, [], self.vector("i64")
        for value, extent in zip(super().looked_at(s, known), s.extents):
            shift = self.number(constant(extent, INT))
            shifted = w.emit(f"add {t} {self.spread(value, 'i64')}, {self.spread(shift, 'i64')}")
            worst = w.emit(f"call i64 @llvm.vector.reduce.umax.v{self.block_size}i64({t} {shifted})")
            found.append(w.emit(f"sub i64 {worst}, {shift}"))
        return found

    # ---- values

    def type(self, register: Register) -> str:
        type_ = type_name(register.dtype)
        return self.vector(type_) if self.is_varying(register) else str(type_)

    def vector(self, type_: str | None) -> str:
        return f"<{self.block_size} x {type_}>"

    def is_varying(self, register: Register) -> bool:
        return register.number in self.groups.varying

    def spread(self, value: str, type_: str | None) -> str:
        """A value as a vector."""
        if value in self.vectors:
            return value
        if not value.startswith("%"):
            return vector_literal(value, type_, self.block_size)
        t = self.vector(type_)
        one = self.writer.emit(f"insertelement {t} poison, {type_} {value}, i64 0")
        zeros = f"<{self.block_size} x i32> zeroinitializer"
        return self.new(self.writer.emit(f"shufflevector {t} {one}, {t} poison, {zeros}"))

    def new(self, value: str) -> str:
        """A vector that has been written."""
        self.vectors.add(value)
        return value

    def give(self, register: Register, value: str) -> None:
        if self.is_varying(register):
            value = self.spread(value, type_name(register.dtype))
        self.writer.write(f"store {self.type(register)} {value}, ptr %q{register.number}")

    def taken(self, register: Register) -> str:
        found = self.writer.emit(f"load {self.type(register)}, ptr %q{register.number}")
        return self.new(found) if self.is_varying(register) else found

    def computed(self, e: Expression, known: dict[int, str]) -> str:
        if isinstance(e, Load):
            return self.load(e, known)
        assert isinstance(e, Apply)
        operands = [self.operand(e, x, known) for x in e.operands]
        if not self.vectors.intersection(operands):
            return self.formulas.write(e, operands)
        vectors = [self.spread(value, type_name(x.dtype)) for value, x in zip(operands, e.operands)]
        return self.new(emit_operation(e, vectors, self.writer.emit, self.call, self.block_size))

    def call(self, function: str, type_: str, operands: Sequence[str]) -> str:
        """The call of a C function for one lane after the other."""
        w, scalar, found = self.writer, type_.split(" x ")[1][:-1], "poison"
        for lane in range(self.block_size):
            own = [w.emit(f"extractelement {type_} {x}, i64 {lane}") for x in operands]
            found = w.emit(f"insertelement {type_} {found}, {scalar} {w.call(function, scalar, own)}, i64 {lane}")
        return found

    def load(self, load: Load, known: dict[int, str]) -> str:
        if self.lanes.axes[load.operand] is None:
            return super().load(load, known)
        w, type_ = self.writer, type_in_memory(load.dtype)
        places = self.places(load.operand, load.index, known)
        if len(places) == 1:
            found = w.emit(f"load {self.vector(type_)}, ptr {places[0]}, align {self.aligned(load.operand)}")
        else:
            found = "poison"
            for lane, place in enumerate(places):
                own = w.emit(f"load {type_}, ptr {place}, align {alignment(load.dtype)}")
                found = w.emit(f"insertelement {self.vector(type_)} {found}, {type_} {own}, i64 {lane}")
        if load.dtype.kind == "b":
            found = w.emit(f"icmp ne {self.vector(type_)} {found}, zeroinitializer")
        return self.new(found)

    # ---- places

    def aligned(self, array: int) -> int:
        """To how many bytes the vectors of an array are aligned."""
        size = self.run.arrays[array].dtype.itemsize
        return min(ALIGNED, self.block_size * size) if array in self.rooms else size

    def places(self, array: int, index: Index, known: dict[int, str]) -> list[str]:
        """The addresses of the elements of all lanes; that of the first, if they lie one after the other."""
        w, own = self.writer, self.lanes.axes[array]
        terms = [[] if axis == own else [self.value(e, known) for _, e in i.terms] for axis, i in enumerate(index)]
        differ = bool(self.vectors.intersection(name for names in terms for name in names))

        def positions(lane: int) -> list[str]:
            return [self.total(i, [self.of_lane(name, lane) for name in names]) for i, names in zip(index, terms)]

        def address(lane: int) -> str:
            found = positions(lane)
            first = "0" if array in self.rooms else "%first"
            found[own] = first if not lane else str(lane) if first == "0" else w.emit(f"add i64 %first, {lane}")
            return self.address_at(array, found)

        if not differ and steps_of(self.run, array)[own] == 1:
            return [address(0)]
        return [address(lane) for lane in range(self.block_size)]

    def of_lane(self, value: str, lane: int) -> str:
        """What a number of indices is for a lane."""
        if value not in self.vectors:
            return value
        return self.writer.emit(f"extractelement {self.vector('i64')} {value}, i64 {lane}")
