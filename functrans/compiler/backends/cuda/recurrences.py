"""A recurrence as a kernel of one thread, or of one for each lane."""

from __future__ import annotations

from collections.abc import Sequence

from ...accesses import is_argument, steps_of, wide_axes
from ...instructions import RecurrenceRun
from ...loopnest import INT, Affine, Apply, Constant, Expression, Index, Load, Register, constant
from ...operations import write_operation
from ...recurrence import (
    Assign,
    Check,
    Choose,
    ExpressionWriter,
    Repeat,
    Statement,
    Store,
    arrays_in,
    every_register,
    failures_in,
    is_backwards,
    is_sized,
    numbers_of,
    statements_in,
)
from .launches import NAME, Argument, Launch, Pointer
from .operations import CudaCode, literal, type_name
from .text import Text, signature

#: The threads of a block, where there is one for each lane: few, so that a few thousand lanes have blocks for all
#: multiprocessors.
LANES = 64


def recurrence_launch(run: RecurrenceRun, first_failure: int, failed: int | None) -> Launch:
    """The launch of a loop.

    Args:
        first_failure: the number of its first failure among all checks of the program.
        failed: the slot of what checks report.
    """
    statements = run.recurrence.statements
    arguments: list[Argument] = []
    for k in arrays_in(statements):
        place = run.arrays[k]
        arguments += [Pointer(place.slot, place.offset), *(place.strides[axis] for axis in wide_axes(run, k))]
    arguments += [int(number.number) for number in numbers_of(statements)]
    if failed is not None and run.refused is not None:
        arguments += [Pointer(run.refused.slot, run.refused.offset), first_failure, Pointer(failed, 0)]
    source, about = _Writer(run).function(), "a loop that keeps its state in registers"
    lanes = run.recurrence.lanes
    if lanes is None:
        return Launch(source, (1, 1, 1), (1, 1, 1), 0, tuple(arguments), about)
    grid = (-(-lanes.count // LANES), 1, 1)
    return Launch(source, grid, (LANES, 1, 1), 0, (*arguments, lanes.count), f"{about}, for each of many lanes")


class _Writer(ExpressionWriter):
    def __init__(self, run: RecurrenceRun):
        self.run = run
        self.statements = run.recurrence.statements
        self.lanes = run.recurrence.lanes
        self.failures = {id(failure): k for k, failure in enumerate(failures_in(self.statements))}
        self.numbers = {number: f"k{k}" for k, number in enumerate(numbers_of(self.statements))}
        self.written = {s.array for s in statements_in(self.statements) if isinstance(s, Store)}
        self.text = Text()
        self.code = CudaCode(self.text.let)

    def parameters(self) -> list[str]:
        found: list[str] = []
        for k in arrays_in(self.statements):
            place = self.run.arrays[k]
            found.append(f"{'' if k in self.written else 'const '}{type_name(place.dtype)} *const a{k}")
            found += [f"const int64 s{k}_{axis}" for axis in wide_axes(self.run, k)]
        found += [f"const int64 {name}" for name in self.numbers.values()]
        if self.failures:
            found += ["int64 *const refused", "const int64 first_failure", "int64 *const failed"]
        return found if self.lanes is None else [*found, "const int64 lanes"]

    def function(self) -> str:
        text, threads = self.text, 1 if self.lanes is None else LANES
        with text.block(signature(f"KERNEL __launch_bounds__({threads}) {NAME}", self.parameters())):
            if self.failures:
                text.line("if (*failed) return;")
            if self.lanes is not None:
                lane = f"q{self.lanes.number.number}"
                text.line(f"const int64 {lane} = (int64)blockIdx.x * {LANES} + threadIdx.x;")
                text.line(f"if ({lane} >= lanes) return;")
            for register in every_register(self.statements):
                text.line(f"{type_name(register.dtype)} q{register.number};")
            self.block(self.statements, {})
        return str(text)

    # ---- statements

    def block(self, statements: Sequence[Statement], known: dict[int, str]) -> None:
        """Write statements.

        Args:
            known: the variables of what has been computed, by the id of the expression.
        """
        for statement in statements:
            getattr(self, type(statement).__name__)(statement, known)

    def Assign(self, s: Assign, known: dict[int, str]) -> None:
        values = [self.value(e, known) for e in s.values]
        if len(values) > 1:  # all at once
            values = [self.text.let(str(type_name(r.dtype)), value) for r, value in zip(s.registers, values)]
        for register, value in zip(s.registers, values):
            self.text.line(f"q{register.number} = {value};")

    def Store(self, s: Store, known: dict[int, str]) -> None:
        value = self.value(s.value, known)
        self.text.line(f"{self.element(s.array, s.index, known)} = {value};")

    def Check(self, s: Check, known: dict[int, str]) -> None:
        values = [self.value(e, known) for e in s.indices]
        extents = [self.numbers.get(constant(n, INT), f"{n}ll") for n in s.extents]
        tests = [
            f"(uint64){values[k]} + (uint64){extents[k]} >= 2 * (uint64){extents[k]}"
            for k in (range(len(values)) if s.unclear is None else s.unclear)
        ]
        number = f"(uint64)first_failure + {self.failures[id(s.failure)]}"
        with self.text.block(f"if ({' || '.join(tests) or 'false'})"):
            with self.text.block(f"if (atomicCAS((uint64 *)failed, (uint64)0, {number}) == 0)"):
                for k, value in enumerate(values):
                    self.text.line(f"refused[{k}] = {value};")
            self.text.line("return;")

    def Choose(self, s: Choose, known: dict[int, str]) -> None:
        number = self.value(s.number, known)
        for k, branch in enumerate((*s.branches[1:], s.branches[0]), 1):
            words = ["else"] if k > 1 else []
            words += [f"if ({number} == {k})"] if k < len(s.branches) else []
            with self.text.block(" ".join(words)):
                self.block(branch, dict(known))

    def Repeat(self, s: Repeat, known: dict[int, str]) -> None:
        counter, inside = f"q{s.counter.number}", dict(known)
        if s.length is None:
            assert s.going is not None
            with self.text.block(f"for ({counter} = 0;; ++{counter})"):
                self.block(s.test, inside)
                self.text.line(f"if (!{self.value(s.going, inside)}) break;")
                self.block(s.body, inside)
            return
        is_number = isinstance(s.length, Constant) and is_sized(s, self.statements)
        length = self.numbers[s.length] if is_number else self.value(s.length, known)
        end = self.text.let("int64", length)
        with self.text.block(f"for ({counter} = 0; {counter} < {end}; ++{counter})"):
            self.block(s.body, inside)

    # ---- expressions

    def at_hand(self, e: Expression, known: dict[int, str]) -> str:
        if isinstance(e, Constant):
            return literal(e.number, e.dtype)
        return f"q{e.number}" if isinstance(e, Register) else known[id(e)]

    def computed(self, e: Expression, known: dict[int, str]) -> str:
        if isinstance(e, Load):
            return self.text.let(str(type_name(e.dtype)), self.element(e.operand, e.index, known))
        assert isinstance(e, Apply)
        return write_operation(self.code, e, [self.operand(e, x, known) for x in e.operands])

    def operand(self, applied: Apply, e: Expression, known: dict[int, str]) -> str:
        is_number = isinstance(e, Constant) and e in self.numbers and is_argument(applied, e)
        return self.numbers[e] if is_number else self.at_hand(e, known)

    def element(self, array: int, index: Index, known: dict[int, str]) -> str:
        """An element of an array."""
        positions = [self.position(i, known) for i in index]
        ways: list[str] = []
        elements: list[str] = []
        for axis, (i, step) in enumerate(zip(positions, steps_of(self.run, array))):
            if i != "0" and step != 0:
                if step is None:
                    ways.append(f"{i} * s{array}_{axis}")
                else:
                    elements.append(i if step == 1 else f"{i} * {step}")
        base = f"after(a{array}, {' + '.join(ways)})" if ways else f"a{array}"
        return f"{base}[{' + '.join(elements) or '0'}]"

    def position(self, index: Affine, known: dict[int, str]) -> str:
        """An index as a number."""
        terms = [
            self.value(e, known) if factor == 1 else f"{self.value(e, known)} * {factor}" for factor, e in index.terms
        ]
        if index.offset or not terms:
            number = self.numbers.get(constant(index.offset, INT)) if is_backwards(index) else None
            terms.append(number or str(index.offset))
        return terms[0] if len(terms) == 1 and " " not in terms[0] else f"({' + '.join(terms)})"
