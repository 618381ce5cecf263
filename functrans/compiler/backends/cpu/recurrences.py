"""A recurrence as the text of an LLVM function.

Registers are places on the stack, which LLVM turns into registers. The function takes an array of 64-bit numbers and
the slots: for each array the slot that its address is in, an offset, and its strides in bytes where elements do not lie
one after another; then numbers that may well be sizes; then where indices go that a check has refused, for each such
failure what to call, what the loop needs to know of its tape, and what has the tapes of loops inside extended. Of an
array on one of these there is the slot that its address is in: it may move.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from ...accesses import is_argument, steps_of, wide_axes
from ...instructions import RecurrenceRun, Room
from ...loopnest import (
    BOOL,
    INT,
    Affine,
    Apply,
    Constant,
    Expression,
    Index,
    Load,
    Register,
    constant,
    expressions_in,
)
from ...places import Place
from ...recurrence import (
    EXTREMES,
    Assign,
    Check,
    Choose,
    ExpressionWriter,
    Extend,
    Repeat,
    Statement,
    Store,
    arrays_in,
    every_register,
    failures_in,
    is_backwards,
    is_sized,
    numbers_given,
    registers_in,
    statements_in,
)
from ...tapes import slots
from .codegen import alignment
from .combining import combined
from .formulas import Formulas
from .operations import LlvmCode, literal, type_in_memory, type_name
from .runtime import HEADER, LOOK
from .work import do_wait, gathered, is_innermost, is_short, work_of
from .writer import APART, NUMBER_BY_NUMBER, READS, Writer

#: After about so many operations somebody looks whether the user wants to interrupt the loop.
PATIENT_OPERATIONS = 1 << 20
#: The line of a function's text where what is on the stack is declared, after the head and the first label.
ENTRY = 2


class RecurrenceWriter(ExpressionWriter):
    """Writes one function."""

    #: What it is called with beside arguments and slots, and what else it is handed on as.
    range_parameters = ""
    #: What LLVM is told of loops.
    hint = ""

    def __init__(self, run: RecurrenceRun):
        self.run = run
        self.statements = run.recurrence.statements
        self.arrays = arrays_in(self.statements)
        self.written = {s.array for s in statements_in(self.statements) if isinstance(s, Store)}
        self.failures = {id(failure): k for k, failure in enumerate(failures_in(self.statements))}
        self.numbers = {number: f"%k{k}" for k, number in enumerate(numbers_given(run.recurrence))}
        self.rooms = [k for k in self.arrays if isinstance(run.arrays[k], Room)]
        self.taped = {k for k in self.arrays if k not in self.rooms and run.arrays[k].slot in slots(run.tape)}
        self.grown = run.grown
        self.tapes = () if run.nest is None else run.nest.rooms
        self.sums: frozenset[int] = frozenset()
        self.labels = 0
        self.writer = Writer("a loop that keeps its state in registers")

    def function(self, name: str) -> Writer:
        """A function that reads the arguments, around one that has them as parameters."""
        w = self.writer
        self.formulas = Formulas(name, w)
        alone = lone_arrays(self.run)
        parameters: list[str] = []
        for k in self.arrays:
            if k in self.rooms:
                parameters.append(f"i64 %size{k}")
            else:
                parameters.append(f"ptr {'noalias ' if k in alone else ''}%a{k}")
            parameters += [f"i64 %o{k}"] if k in self.taped else []
            parameters += [f"i64 %s{k}_{axis}" for axis in wide_axes(self.run, k)]
        parameters += [f"ptr %t{tape}" for tape in range(len(self.tapes))]
        parameters += [f"i64 {register}" for register in self.numbers.values()]
        parameters += ["ptr %failing", "ptr %slots"]
        self.body(name, parameters)
        w.lines += [f"define i64 @{name}(ptr %arguments, ptr %slots{self.range_parameters}) {READS}", "entry:"]
        arguments = self.arguments()
        w.write(f"%status = call i64 @{name}_body({', '.join(arguments)}{self.range_parameters})")
        w.write("ret i64 %status")
        w.lines += ["}", *self.formulas.lines]
        if self.run.recurrence.lanes is None and do_wait(self.statements):
            w.lines.append(NUMBER_BY_NUMBER)
        return w

    def body(self, name: str, parameters: Sequence[str]) -> None:
        """The function that has the arguments as parameters."""
        w = self.writer
        given = ", ".join(parameters) + self.range_parameters
        w.lines.append(f"define internal i64 @{name}_body({given}) {APART}")
        w.label("entry")
        w.lines.append("  %work = alloca i64")
        self.declare()
        for k in self.own_columns():
            w.lines.append(f"  %b{k} = alloca ptr")
        for tape in range(len(self.tapes)):
            w.lines.append(f"  %room{tape} = alloca i64")
        w.write("store i64 0, ptr %work")
        for tape in range(len(self.tapes)):
            self.place_tape(tape)
        self.all_statements()
        w.write("ret i64 0")
        w.lines.append("}")

    def declare(self) -> None:
        """Have places for the registers."""
        for register in every_register(self.statements):
            self.writer.lines.append(f"  %q{register.number} = alloca {type_name(register.dtype)}")

    def all_statements(self) -> None:
        self.block(self.statements, {})

    def arguments(self) -> list[str]:
        """What the outer function hands on, in the order of `recurrence_arguments`."""
        w, place = self.writer, 0

        def following() -> str:
            nonlocal place
            address = w.emit(f"getelementptr i64, ptr %arguments, i64 {place}")
            place += 1
            return w.emit(f"load i64, ptr {address}")

        found: list[str] = []
        for k in self.arrays:
            if k in self.rooms:
                found += [f"i64 {following()}" for _ in range(1 + len(wide_axes(self.run, k)))]
                continue
            slot = w.emit(f"getelementptr ptr, ptr %slots, i64 {following()}")
            if k in self.grown:
                found.append(f"ptr {slot}")
            elif k in self.taped:
                found += [f"ptr {slot}", f"i64 {following()}"]
            else:
                base = w.emit(f"load ptr, ptr {slot}")
                found.append(f"ptr {w.emit(f'getelementptr i8, ptr {base}, i64 {following()}')}")
            found += [f"i64 {following()}" for _ in wide_axes(self.run, k)]
        found += [f"ptr {w.emit(f'getelementptr ptr, ptr %slots, i64 {following()}')}" for _ in self.tapes]
        found += [f"i64 {following()}" for _ in self.numbers]
        return [*found, f"ptr {w.emit(f'getelementptr i64, ptr %arguments, i64 {place}')}", "ptr %slots"]

    # ---- statements

    def block(self, statements: Sequence[Statement], known: dict[int, str]) -> None:
        """Write statements.

        Args:
            known: the registers of what has been computed, by the id of the expression.
        """
        for statement in statements:
            getattr(self, type(statement).__name__)(statement, known)

    def Assign(self, s: Assign, known: dict[int, str]) -> None:
        values = [self.summed(r, e, known) for r, e in zip(s.registers, s.values)]
        for register, value in zip(s.registers, values):
            self.give(register, value)

    def give(self, register: Register, value: str) -> None:
        """Write what a register is given."""
        self.writer.write(f"store {type_name(register.dtype)} {value}, ptr %q{register.number}")

    def Store(self, s: Store, known: dict[int, str]) -> None:
        dtype, value = s.value.dtype, self.value(s.value, known)
        address = self.address(s.array, s.index, known)
        if dtype.kind == "b":
            value = self.writer.emit(f"zext i1 {value} to i8")
        self.writer.write(f"store {type_in_memory(dtype)} {value}, ptr {address}, align {alignment(dtype)}")

    def Check(self, s: Check, known: dict[int, str]) -> None:
        w = self.writer
        refused, accepted = self.label("refused"), self.label("accepted")
        values = self.looked_at(s, known)
        w.write(f"br i1 {self.fits(s, values)}, label %{accepted}, label %{refused}")
        w.label(refused)
        self.refuse(s, values)
        w.label(accepted)

    def looked_at(self, s: Check, known: dict[int, str]) -> list[str]:
        """The numbers that a check is of."""
        return [self.value(e, known) for e in s.indices]

    def fits(self, s: Check, values: Sequence[str]) -> str:
        """Whether all indices are in range."""
        w, is_fine = self.writer, "true"
        for k in range(len(values)) if s.unclear is None else s.unclear:
            extent = self.number(constant(s.extents[k], INT))
            shifted, twice = w.emit(f"add i64 {values[k]}, {extent}"), w.emit(f"shl i64 {extent}, 1")
            is_fine = w.emit(f"and i1 {is_fine}, {w.emit(f'icmp ult i64 {shifted}, {twice}')}")
        return is_fine

    def refuse(self, s: Check, values: Sequence[str]) -> None:
        """End with the error for indices."""
        w = self.writer
        self.write_down(values)
        number = 2 + 2 * self.failures[id(s.failure)]
        function, arguments = (
            w.emit(f"load ptr, ptr {w.emit(f'getelementptr ptr, ptr %failing, i64 {number + k}')}") for k in range(2)
        )
        w.write(f"ret i64 {w.emit(f'call i64 {function}(ptr {arguments}, ptr %slots)')}")

    def write_down(self, values: Sequence[str]) -> None:
        """Put refused indices where they go."""
        room = self.room()
        for k, value in enumerate(values):
            self.writer.write(f"store i64 {value}, ptr {self.writer.emit(f'getelementptr i64, ptr {room}, i64 {k}')}")

    def room(self) -> str:
        """The address of where refused indices go."""
        w = self.writer
        slot = w.emit("load i64, ptr %failing")
        offset = w.emit(f"load i64, ptr {w.emit('getelementptr i64, ptr %failing, i64 1')}")
        base = w.emit(f"load ptr, ptr {w.emit(f'getelementptr ptr, ptr %slots, i64 {slot}')}")
        return w.emit(f"getelementptr i8, ptr {base}, i64 {offset}")

    def Choose(self, s: Choose, known: dict[int, str]) -> None:
        w, number = self.writer, self.value(s.number, known)
        labels, end = [self.label("branch") for _ in s.branches], self.label("chosen")
        cases = " ".join(f"i64 {k}, label %{label}" for k, label in enumerate(labels[1:], 1))
        w.write(f"switch i64 {number}, label %{labels[0]} [{cases}]")
        for label, branch in zip(labels, s.branches):
            w.label(label)
            self.block(branch, dict(known))
            w.write(f"br label %{end}")
        w.label(end)

    def Repeat(self, s: Repeat, known: dict[int, str]) -> None:
        outer, self.sums = self.sums, gathered(s, self.run)
        if s.length is None:
            self.unending(s, dict(known))
        elif is_innermost(s) and not is_short(s) and not s.turns:
            self.in_pieces(s, self.length(s, s.length, known), dict(known))
        else:
            self.whole(s, self.length(s, s.length, known), dict(known))
        self.sums = outer

    def Extend(self, s: Extend, known: dict[int, str]) -> None:
        w, room = self.writer, f"%t{s.tape}"
        few, failed, longer, enough = (self.label(part) for part in ("few", "failed", "longer", "enough"))
        wanted, most = self.value(s.count, known), w.emit(f"load i64, ptr %room{s.tape}")
        w.write(f"br i1 {w.emit(f'icmp sgt i64 {wanted}, {most}')}, label %{few}, label %{enough}")
        w.label(few)
        w.write(f"store i64 {wanted}, ptr {room}")
        status = self.call_of_python(2 + 2 * len(self.failures) + (3 if self.run.tape is not None else 0))
        w.write(f"br i1 {w.emit(f'icmp eq i64 {status}, 0')}, label %{longer}, label %{failed}")
        w.label(failed)
        w.write("ret i64 1")
        w.label(longer)
        self.place_tape(s.tape)
        w.write(f"br label %{enough}")
        w.label(enough)

    def own_columns(self, tape: int | None = None) -> list[int]:
        """The arrays on a tape that grows, or on any."""
        return [k for k in self.arrays if k in self.grown and tape in (None, self.grown[k])]

    def place_tape(self, tape: int) -> None:
        """Find the arrays of a tape, and for how many entries there is room."""
        w = self.writer
        for k in self.own_columns(tape):
            w.write(f"store ptr {w.emit(f'load ptr, ptr %a{k}')}, ptr %b{k}")
        w.write(f"store i64 {w.emit(f'load i64, ptr %t{tape}')}, ptr %room{tape}")

    # ---- loops

    def length(self, s: Repeat, length: Expression, known: dict[int, str]) -> str:
        """The number of steps."""
        is_number = isinstance(length, Constant) and is_sized(s, self.statements)
        return self.numbers[length] if is_number else self.value(length, known)

    def unending(self, s: Repeat, known: dict[int, str]) -> None:
        """A loop that ends when a condition says so."""
        w = self.writer
        head, body, end = (self.label(part) for part in ("head", "body", "end"))
        w.write(f"store i64 0, ptr %q{s.counter.number}")
        w.write(f"br label %{head}")
        w.label(head)
        for condition in first_conditions(s) if self.run.recurrence.lanes is None else ():
            looking = self.label("looking")
            w.write(f"br i1 {self.value(condition, known)}, label %{looking}, label %{end}")
            w.label(looking)
        self.block(s.test, known)
        w.write(f"br i1 {self.going_on(s, known)}, label %{body}, label %{end}")
        w.label(body)
        if s.turns:
            self.turn(s)
        self.block(s.body, known)
        count = w.emit(f"load i64, ptr %q{s.counter.number}")
        w.write(f"store i64 {w.emit(f'add nuw nsw i64 {count}, 1')}, ptr %q{s.counter.number}")
        self.step_done(s)
        w.write(f"br label %{head}")
        w.label(end)

    def going_on(self, s: Repeat, known: dict[int, str]) -> str:
        """Whether the condition of a loop holds."""
        assert s.going is not None
        return self.value(s.going, known)

    def step_done(self, s: Repeat) -> None:
        """Count the operations of a step, and look for signals after many."""
        self.worked(str(work_of((*s.test, *s.body))))
        self.look()

    def whole(self, s: Repeat, length: str, known: dict[int, str]) -> None:
        """A loop of a known length; signals are looked for after each step, unless it is short."""
        body, end = self.steps(s, "0", length, known)
        if not is_short(s):
            self.worked(str(work_of(s.body)))
            self.look()
        self.next_step(s, length, body, end)
        if is_short(s) and not isinstance(s.length, Constant):
            self.worked(self.writer.emit(f"mul i64 {length}, {work_of(s.body)}"))

    def in_pieces(self, s: Repeat, length: str, known: dict[int, str]) -> None:
        """A loop without loops inside, in pieces of so many steps that signals can be looked for between these."""
        w, work = self.writer, work_of(s.body)
        size = max(16, PATIENT_OPERATIONS // work)
        piece, done, start = self.label("piece"), self.label("done"), self.label("start")
        w.lines.insert(ENTRY, f"  %{start} = alloca i64")
        w.write(f"store i64 0, ptr %{start}")
        w.write(f"br label %{piece}")
        w.label(piece)
        first = w.emit(f"load i64, ptr %{start}")
        left = w.emit(f"sub i64 {length}, {first}")
        count = w.emit(f"call i64 @llvm.smin.i64(i64 {left}, i64 {size})")
        stop = w.emit(f"add nsw i64 {first}, {count}")
        body, end = self.steps(s, first, stop, known)
        self.next_step(s, stop, body, end)
        w.write(f"store i64 {stop}, ptr %{start}")
        self.worked(w.emit(f"mul i64 {count}, {work}"))
        self.look()
        more = w.emit(f"icmp slt i64 {stop}, {length}")
        w.write(f"br i1 {more}, label %{piece}, label %{done}")
        w.label(done)

    def steps(self, s: Repeat, first: str, stop: str, known: dict[int, str]) -> tuple[str, str]:
        """The beginning of a loop over a range of steps, and its body; the labels of the body and of the end."""
        w = self.writer
        body, end, counter = self.label("body"), self.label("end"), f"%q{s.counter.number}"
        w.write(f"store i64 {first}, ptr {counter}")
        w.write(f"br i1 {w.emit(f'icmp slt i64 {first}, {stop}')}, label %{body}, label %{end}")
        w.label(body)
        if s.turns:
            self.turn(s)
        self.block(s.body, known)
        return body, end

    def turn(self, s: Repeat) -> None:
        """Let somebody place the entries of stacks, if that is due."""
        w, first = self.writer, 2 + 2 * len(self.failures)
        turn, failed, run = (self.label(part) for part in ("turn", "failed", "run"))
        slot = w.emit(f"load i64, ptr {w.emit(f'getelementptr i64, ptr %failing, i64 {first}')}")
        limit = w.emit(f"load i64, ptr {w.emit(f'getelementptr i64, ptr %slots, i64 {slot}')}")
        is_over = w.emit(f"icmp eq i64 {w.emit(f'load i64, ptr %q{s.counter.number}')}, {limit}")
        w.write(f"br i1 {is_over}, label %{turn}, label %{run}")
        w.label(turn)
        status = self.call_of_python(first + 1)
        w.write(f"br i1 {w.emit(f'icmp eq i64 {status}, 0')}, label %{run}, label %{failed}")
        w.label(failed)
        w.write("ret i64 1")
        w.label(run)

    def call_of_python(self, first: int) -> str:
        """Call what the numbers behind the arguments say, from one on; the status."""
        w = self.writer
        pointers = [w.emit(f"getelementptr ptr, ptr %failing, i64 {first + k}") for k in range(2)]
        function, argument = (w.emit(f"load ptr, ptr {pointer}") for pointer in pointers)
        return w.emit(f"call i64 {function}(ptr {argument}, ptr %slots)")

    def next_step(self, s: Repeat, stop: str, body: str, end: str) -> None:
        w = self.writer
        count = w.emit(f"load i64, ptr %q{s.counter.number}")
        following = w.emit(f"add nuw nsw i64 {count}, 1")
        w.write(f"store i64 {following}, ptr %q{s.counter.number}")
        w.write(f"br i1 {w.emit(f'icmp slt i64 {following}, {stop}')}, label %{body}, label %{end}{self.hint}")
        w.label(end)

    def worked(self, amount: str) -> None:
        """Count operations."""
        total = self.writer.emit(f"add i64 {self.writer.emit('load i64, ptr %work')}, {amount}")
        self.writer.write(f"store i64 {total}, ptr %work")

    def look(self) -> None:
        """After many operations, see whether somebody wants the loop to end."""
        ask, failed, fine = (self.label(part) for part in ("ask", "failed", "fine"))
        self.if_due(PATIENT_OPERATIONS, ask, fine)
        self.end_if_wanted(failed, fine)

    def if_due(self, operations: int, ask: str, fine: str) -> None:
        """Go to a label after so many operations, which are counted anew from there, and to another one otherwise."""
        w = self.writer
        due = w.emit(f"icmp sgt i64 {w.emit('load i64, ptr %work')}, {operations}")
        w.write(f"br i1 {due}, label %{ask}, label %{fine}")
        w.label(ask)
        w.write("store i64 0, ptr %work")

    def end_if_wanted(self, failed: str, fine: str) -> None:
        """End the function if a look says so; the labels are for that, and for what comes after it."""
        w = self.writer
        looks = w.emit(f"load ptr, ptr {w.emit(f'getelementptr ptr, ptr %slots, i64 {LOOK}')}")
        status = w.emit(f"call i64 {looks}(ptr null, ptr %slots)")
        w.write(f"br i1 {w.emit(f'icmp eq i64 {status}, 0')}, label %{fine}, label %{failed}")
        w.label(failed)
        w.write("ret i64 1")
        w.label(fine)

    # ---- expressions

    def label(self, part: str) -> str:
        self.labels += 1
        return f"{part}{self.labels}"

    def number(self, number: Constant) -> str:
        """An integer: an argument or a literal."""
        return self.numbers.get(number) or literal(number.number, number.dtype)

    def at_hand(self, e: Expression, known: dict[int, str]) -> str:
        if isinstance(e, Constant):
            return literal(e.number, e.dtype)
        return self.taken(e) if isinstance(e, Register) else known[id(e)]

    def taken(self, register: Register) -> str:
        """What is in a register."""
        return self.writer.emit(f"load {type_name(register.dtype)}, ptr %q{register.number}")

    def computed(self, e: Expression, known: dict[int, str]) -> str:
        if isinstance(e, Load):
            return self.load(e, known)
        assert isinstance(e, Apply)
        return self.formulas.write(e, [self.operand(e, x, known) for x in e.operands])

    def operand(self, applied: Apply, e: Expression, known: dict[int, str]) -> str:
        is_number = isinstance(e, Constant) and e in self.numbers and is_argument(applied, e)
        return self.numbers[e] if is_number else self.at_hand(e, known)

    def summed(self, register: Register, e: Expression, known: dict[int, str]) -> str:
        """What a register is given; the terms of a sum may be added in any order."""
        if register.number not in self.sums or not isinstance(e, Apply):
            return self.value(e, known)
        x, y = (self.value(operand, known) for operand in e.operands)
        if e.operation in EXTREMES:
            total, term = (x, y) if e.operands[0] == register else (y, x)
            return combined(e.operation, e.dtype, total, term, self.writer.emit, "")
        return self.writer.emit(f"f{e.operation[:3]} reassoc {type_name(e.dtype)} {x}, {y}")

    def load(self, load: Load, known: dict[int, str]) -> str:
        address = self.address(load.operand, load.index, known)
        type_ = type_in_memory(load.dtype)
        value = self.writer.emit(f"load {type_}, ptr {address}, align {alignment(load.dtype)}")
        if load.operand in self.written:
            value = LlvmCode(self.writer.emit, self.writer.call).frozen(value, load.dtype)
        return self.writer.emit(f"icmp ne i8 {value}, 0") if load.dtype.kind == "b" else value

    def address(self, array: int, index: Index, known: dict[int, str]) -> str:
        """The address of an element."""
        return self.address_at(array, [self.position(i, known) for i in index])

    def address_at(self, array: int, positions: Sequence[str]) -> str:
        """The address of the element at some positions along the axes."""
        place, address, total = self.run.arrays[array], f"%a{array}", ""
        if array in self.grown:
            address = self.writer.emit(f"load ptr, ptr %b{array}")
        if array in self.taped:
            base = self.writer.emit(f"load ptr, ptr {address}")
            address = self.writer.emit(f"getelementptr i8, ptr {base}, i64 %o{array}")
        steps = steps_of(self.run, array)
        for axis, position in enumerate(positions):
            if position == "0":
                continue
            if steps[axis] is None:
                offset = self.writer.emit(f"mul nsw i64 {position}, %s{array}_{axis}")
                address = self.writer.emit(f"getelementptr i8, ptr {address}, i64 {offset}")
            else:
                if steps[axis] != 1:
                    position = self.writer.emit(f"mul nsw i64 {position}, {steps[axis]}")
                total = self.writer.emit(f"add nsw i64 {total}, {position}") if total else position
        if not total:
            return address
        return self.writer.emit(f"getelementptr {type_in_memory(place.dtype)}, ptr {address}, i64 {total}")

    def position(self, index: Affine, known: dict[int, str]) -> str:
        """An index as a number."""
        return self.total(index, [self.value(e, known) for _, e in index.terms])

    def total(self, index: Affine, terms: Sequence[str]) -> str:
        """An index whose expressions are known."""
        total = ""
        for (factor, _), term in zip(index.terms, terms):
            if factor != 1:
                term = self.writer.emit(f"mul nsw i64 {term}, {factor}")
            total = self.writer.emit(f"add nsw i64 {total}, {term}") if total else term
        offset = self.number(constant(index.offset, INT)) if is_backwards(index) else str(index.offset)
        if not total:
            return offset
        return self.writer.emit(f"add nsw i64 {total}, {offset}") if index.offset else total


def lone_arrays(run: RecurrenceRun) -> set[int]:
    """The arrays that no other name of the same memory changes."""
    statements = run.recurrence.statements
    used = [k for k, place in places_of(run) if place.slot not in slots(run.tape) and k not in run.grown]
    written = {s.array for s in statements_in(statements) if isinstance(s, Store)}
    names = Counter(run.arrays[k].slot for k in used)
    changed = {run.arrays[k].slot for k in used if k in written}
    return {k for k in used if names[run.arrays[k].slot] == 1 or run.arrays[k].slot not in changed}


def first_conditions(s: Repeat) -> list[Expression]:
    """What must hold for a loop to go on and is known before its test, which need not be made then if that cannot fail.

    `(j >= 0) & (x[maximum(j, 0)] > key)` is written for the sake of no index out of bounds; where j is at least 0, LLVM
    leaves the maximum out.
    """
    if not s.test or not all(isinstance(inner, Assign) for inner in s.test):
        return []
    tested, found, rest = set(registers_in(s.test)), [], [s.going]
    while rest:
        e = rest.pop()
        if isinstance(e, Apply) and e.operation in ("logical_and", "bitwise_and") and e.dtype == BOOL:
            rest += e.operands
        elif isinstance(e, Apply) and tested.isdisjoint(expressions_in([e])):
            found.append(e)
    return found


def places_of(run: RecurrenceRun) -> list[tuple[int, Place]]:
    """The arrays in memory that statements read or write, with their numbers."""
    arrays = [(k, run.arrays[k]) for k in arrays_in(run.recurrence.statements)]
    return [(k, array) for k, array in arrays if isinstance(array, Place)]


def recurrence_arguments(run: RecurrenceRun) -> list[int]:
    """The arguments of the function, without the addresses for failures; all slots counted with the header."""
    statements = run.recurrence.statements
    found: list[int] = []
    for k in arrays_in(statements):
        array = run.arrays[k]
        if isinstance(array, Room):
            found.append(array.size)
        else:
            found += [HEADER + array.slot] if k in run.grown else [HEADER + array.slot, array.offset]
        found += [array.strides[axis] for axis in wide_axes(run, k)]
    found += [HEADER + room for room in (() if run.nest is None else run.nest.rooms)]
    found += [int(number.number) for number in numbers_given(run.recurrence)]
    refused = run.refused
    return [*found, *((0, 0) if refused is None else (HEADER + refused.slot, refused.offset))]
