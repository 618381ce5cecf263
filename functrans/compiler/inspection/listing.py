"""A program as an indented list of its instructions, each with a number, and the buffers that they work on."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any, NamedTuple

from ...core.avals import short_dtype
from ...core.jaxpr import Eqn
from ..assembly import Assembled
from ..fuse import KernelStep
from ..instructions import (
    Block,
    BranchRun,
    ChainRun,
    CheckRun,
    FourierRun,
    KernelRun,
    LibraryRun,
    LoopRun,
    ParallelRun,
    ProductRun,
    PythonRun,
    RecurrenceRun,
    Room,
    ScanRun,
    SortRun,
    Step,
    Tape,
    WhileRun,
)
from ..loopnest import Load, point
from ..places import ObjectPlace, Place, contiguous_strides
from ..small_matrices import FORMS
from .costs import cost
from .texts import INDENT, kernel_text, recurrence_text, scan_text
from .units import bytes_text, plural

#: What the parts of instructions are, where these hold blocks.
PREFIXES = {"argument": "a", "constant": "c", "result": "r", "temporary": "t", "step": "s"}


class Row(NamedTuple):
    """An instruction of a program.

    Attributes:
        number: its place, as in "3", or "3.1" for the first one in the body of the third.
        origin: the equation or the kernel that it is for; None for a copy of a result, and for a chain.
        equations: those that it computes, or helps to.
        remark: why there are this instruction and those after it for the same equation, as a sentence, or nothing.
    """

    number: str
    depth: int
    instruction: Any
    origin: Eqn | KernelStep | None
    equations: tuple[Eqn, ...]
    remark: str


def rows(assembled: Assembled) -> list[Row]:
    """All instructions, those in loops and branches after what holds them."""

    def walk(block: Block, prefix: str, depth: int) -> Iterator[Row]:
        for count, instruction in enumerate(block, 1):
            number = f"{prefix}{count}"
            yield row_of(assembled, instruction, number, depth)
            for name, inner in blocks_in(instruction):
                yield from walk(inner, f"{number}{name}.", depth + 1)

    return list(walk(assembled.block, "", 0))


def row_of(assembled: Assembled, instruction: Any, number: str, depth: int) -> Row:
    """An instruction, and what it is for."""
    origin = assembled.origins.get(id(instruction))
    links = parts_of(instruction)
    own = (*origin.equations, *origin.again) if isinstance(origin, KernelStep) else () if origin is None else (origin,)
    equations = (*own, *(e for link in links for e in row_of(assembled, link, "", 0).equations))
    return Row(number, depth, instruction, origin, equations, assembled.remarks.get(id(instruction), ""))


def parts_of(instruction: Any) -> tuple[Any, ...]:
    """The instructions that are run together as one."""
    if isinstance(instruction, ChainRun):
        return instruction.links
    return instruction.members if isinstance(instruction, ParallelRun) else ()


def blocks_in(instruction: Any) -> list[tuple[str, Block]]:
    """The blocks that an instruction holds, each with what tells them apart in numbers."""
    if isinstance(instruction, (ChainRun, ParallelRun)):
        return [("", list(parts_of(instruction)))]
    if isinstance(instruction, LoopRun):
        return [("", instruction.body)]
    if isinstance(instruction, WhileRun):
        return [("test", instruction.test), ("", instruction.body)]
    if isinstance(instruction, BranchRun):
        return [(chr(ord("a") + k % 26) + str(k // 26 or ""), block) for k, block in enumerate(instruction.blocks)]
    return []


def lines_of(equations: Sequence[Eqn]) -> str:
    """`lines 3 and 5 of model.py`, or nothing if that is not known."""
    places = sorted({(e.source.file, e.source.line) for e in equations if e.source is not None})
    texts: list[str] = []
    for file, group in groupby(places, key=lambda place: place[0]):
        numbers = [str(line) for _, line in group]
        shown = joined(numbers if len(numbers) <= 6 else [*numbers[:5], f"{len(numbers) - 5} more"])
        texts.append(f"{'line' if len(numbers) == 1 else 'lines'} {shown} of {os.path.basename(file)}")
    return joined(texts)


def joined(words: Sequence[str]) -> str:
    """`a, b and c`."""
    return " and ".join(filter(None, [", ".join(words[:-1]), *words[-1:]]))


def is_copy(instruction: Any) -> bool:
    """Whether an instruction moves an array and computes nothing."""
    if not isinstance(instruction, KernelRun):
        return isinstance(instruction, PythonRun) and instruction.name == "copy"
    ((expression, combine, place), *others) = instruction.kernel.outputs
    space = point(len(instruction.kernel.shape))
    is_stored = not others and combine is None and place is None
    return is_stored and isinstance(expression, Load) and expression.index == space


def is_of_matrices(run: CheckRun) -> bool:
    """Whether a check is of small matrices, which may have no result, and not of indices."""
    return run.otherwise.name in FORMS


def kind(instruction: Any) -> str:
    """What an instruction is, in a word or two."""
    if is_copy(instruction):
        return "copy"
    if isinstance(instruction, PythonRun):
        return f"Python: {instruction.name}"
    if isinstance(instruction, CheckRun) and is_of_matrices(instruction):
        return "check of matrices"
    if isinstance(instruction, RecurrenceRun) and are_matrices(instruction):
        return KINDS[LibraryRun]
    return KINDS[type(instruction)]


def are_matrices(run: RecurrenceRun) -> bool:
    """Whether the lanes of a loop are matrices (compiler/matrix_loops.py)."""
    return run.recurrence.lanes is not None and run.recurrence.lanes.together is not None


KINDS: dict[type, str] = {
    KernelRun: "kernel",
    ChainRun: "chain of kernels",
    ProductRun: "matrix product",
    LibraryRun: "linear algebra",
    SortRun: "sort",
    FourierRun: "Fourier transform",
    CheckRun: "check of indices",
    LoopRun: "loop",
    WhileRun: "while loop",
    BranchRun: "branch",
    RecurrenceRun: "loop as one function",
    ScanRun: "cumulative operation",
    ParallelRun: "set of kernels",
}


class Names:
    """What places are called: arguments by their names, temporaries t0, t1 and so on, results r0 and so on."""

    def __init__(self, assembled: Assembled, arguments: Sequence[str] = ()):
        self.slots: list[str] = []
        counts: dict[str, int] = {}
        for slot in assembled.slots:
            number = counts[slot.kind] = counts.get(slot.kind, -1) + 1
            self.slots.append(f"{PREFIXES[slot.kind]}{number}")
        for place, name in zip(assembled.arguments, arguments):
            if isinstance(place, Place):
                self.slots[place.slot] = name
        self.constants = [slot.value for slot in assembled.slots]

    def slot(self, number: int) -> str:
        return self.slots[number]

    def place(self, place: Place | ObjectPlace) -> str:
        """A name, and for a part or another view of an array what it looks at."""
        if isinstance(place, ObjectPlace):
            return f"object{place.number}"
        name = self.slots[place.slot]
        return f"{name}:{aval_text(place)}{view_text(place)}"

    def alias(self, place: Place) -> str | None:
        """What distinguishes a view from the array that begins at its slot."""
        return view_text(place) or None


def aval_text(place: Place | Room) -> str:
    """`f64[3,4]`."""
    return f"{short_dtype(place.dtype)}[{','.join(map(str, place.shape))}]"


def view_text(place: Place) -> str:
    """How a place differs from a whole array in row-major order."""
    parts = [f"byte {place.offset}"] if place.offset else []
    if not place.is_contiguous and contiguous_strides(place.shape, place.dtype.itemsize) != place.strides:
        parts.append(f"strides {','.join(map(str, place.strides))}")
    return f" ({'; '.join(parts)})" if parts else ""


class Listing:
    """The program of instructions as text.

    Args:
        name: of the function.
    """

    def __init__(self, name: str, assembled: Assembled, names: Names):
        self.assembled = assembled
        self.names = names
        self.lines: list[str] = []
        arguments = ", ".join(map(names.place, assembled.arguments))
        self.add(0, f"def {name}({arguments}):")
        self.block(assembled.block, "", 1)
        for k, slot in enumerate(assembled.slots):
            if slot.kind == "constant":
                value = slot.value
                shown = f" = {value}" if value.size == 1 else f", {bytes_text(value.nbytes)}"
                dtype = f"{short_dtype(value.dtype)}[{','.join(map(str, value.shape))}]"
                self.add(1, f"# constant {names.slot(k)}:{dtype}{shown}")
        self.add(1, f"return {', '.join(map(names.place, assembled.results))}".rstrip())

    def __str__(self) -> str:
        return "\n".join(self.lines)

    def add(self, depth: int, text: str) -> None:
        self.lines += [INDENT * depth + line for line in text.split("\n")]

    def block(self, block: Block, prefix: str, depth: int) -> None:
        if not block:
            self.add(depth, "pass")
        for count, instruction in enumerate(block, 1):
            number = f"{prefix}{count}"
            equations = row_of(self.assembled, instruction, number, depth).equations
            lines = lines_of(equations)
            is_computed = isinstance(instruction, (KernelRun, ChainRun, ParallelRun)) and not is_copy(instruction)
            of = f" of {plural(len(equations), 'equation')}" if is_computed and equations else ""
            self.add(depth, f"# [{number}] {kind(instruction)}{of}" + (f", {lines}" if lines else ""))
            if not isinstance(instruction, BranchRun):
                self.add(depth, f"#     {cost(instruction)}")
            getattr(self, type(instruction).__name__)(instruction, number, depth)

    def arrays(self, places: Sequence[Any], letter: str, depth: int) -> list[str]:
        """Names for places; a view of an array gets one of its own."""
        found: list[str] = []
        for place in places:
            if isinstance(place, Room):
                found.append(f"room{len(found)}")
                continue
            name = self.names.slot(place.slot)
            if self.names.alias(place):
                alias = f"{letter}{len(found)}"
                self.add(depth, f"{alias} = {name} as {aval_text(place)}{view_text(place)}")
                name = alias
            found.append(name)
        return found

    # ---- instructions, by the names of their types

    def ParallelRun(self, run: ParallelRun, number: str, depth: int) -> None:
        self.add(depth, "with parallel():  # at the same time")
        self.block(list(run.members), f"{number}.", depth + 1)

    def KernelRun(self, run: KernelRun, _: str, depth: int) -> None:
        sources, targets = self.arrays(run.sources, "x", depth), self.arrays(run.targets, "y", depth)
        if is_copy(run):
            self.add(depth, f"{targets[0]}[...] = {sources[0]}")
        else:
            self.add(depth, kernel_text(run.kernel, sources, targets))

    def ChainRun(self, run: ChainRun, number: str, depth: int) -> None:
        note = ", and last those that need others beside these" if any(map(any, run.shifts)) else ""
        self.add(depth, f"for rows in blocks(range({run.rows})):  # some rows at a time{note}")
        self.block(list(run.links), f"{number}.", depth + 1)

    def RecurrenceRun(self, run: RecurrenceRun, _: str, depth: int) -> None:
        self.tape(run.tape, depth)
        for k, room in enumerate(run.arrays):
            if isinstance(room, Room):
                self.add(depth, f"room{k} = empty({aval_text(room)})  # of the lanes that run side by side")
        self.add(depth, recurrence_text(run.recurrence, self.arrays(run.arrays, "x", depth)))

    def ProductRun(self, run: ProductRun, _: str, depth: int) -> None:
        x, y, z = map(self.names.place, (run.x, run.y, run.z))
        self.add(depth, f"{z} = {x} @ {y}  # BLAS")

    def ScanRun(self, run: ScanRun, _: str, depth: int) -> None:
        if run.around is not None:
            kernel, sources, targets = run.around
            names = self.arrays(sources, "x", depth), self.arrays(targets, "y", depth)
            self.add(depth, scan_text(kernel, run.operation, *names))
            return
        (source,), (target,) = self.arrays([run.source], "x", depth), self.arrays([run.target], "y", depth)
        self.add(depth, f"{target}[...] = {run.operation}.accumulate({source}, axis=-1)")

    def PythonRun(self, run: PythonRun, _: str, depth: int) -> None:
        sources, targets = (", ".join(map(self.names.place, group)) for group in (run.sources, run.targets))
        self.add(depth, f"{targets} = {run.name}({sources})" if targets else f"{run.name}({sources})")

    def LibraryRun(self, run: LibraryRun, _: str, depth: int) -> None:
        options = [f"{name}={value}" for name, value in run.options.items()]
        given = ", ".join([*map(self.names.place, run.places), *options])
        self.add(depth, f"{self.names.place(run.failed)} = {run.name}({given})  # in place")

    def SortRun(self, run: SortRun, _: str, depth: int) -> None:
        rows, (first, last) = self.names.place(run.rows), run.part
        if run.order is None:
            self.add(depth, f"{rows}.sort()")
        elif last - first == run.rows.shape[1]:
            self.add(depth, f"{self.names.place(run.order)} = argsort({rows})")
        else:
            self.add(depth, f"{self.names.place(run.order)}[:, :{last - first}] = argsort({rows})[:, {first}:{last}]")

    def FourierRun(self, run: FourierRun, _: str, depth: int) -> None:
        (source,), (target,) = self.arrays([run.source], "x", depth), self.arrays([run.target], "y", depth)
        self.add(depth, f"{target}[...] = {run.kind}({source}, axis=-1)")

    def CheckRun(self, run: CheckRun, _: str, depth: int) -> None:
        if is_of_matrices(run):
            self.add(depth, f"assert not any({self.names.place(run.numbers)})  # {run.otherwise.name} has results")
            return
        self.add(depth, f"assert all(-{run.extent} <= {self.names.place(run.numbers)} < {run.extent})")

    def LoopRun(self, run: LoopRun, number: str, depth: int) -> None:
        self.begins(run.begins, depth)
        length = str(run.length) if isinstance(run.length, int) else self.names.place(run.length)
        self.add(depth, f"for t in {f'reversed(range({length}))' if run.reverse else f'range({length})'}:")
        for step in run.steps:
            self.add(depth + 1, f"{self.names.slot(step.slot)} = {self.names.place(step.whole)}[t]")
        self.tape(run.tape, depth + 1)
        self.block(run.body, f"{number}.", depth + 1)
        self.swaps(run.swaps, depth + 1)

    def WhileRun(self, run: WhileRun, number: str, depth: int) -> None:
        self.begins(run.begins, depth)
        self.add(depth, "while True:")
        self.block(run.test, f"{number}test.", depth + 1)
        self.add(depth + 1, f"if not {self.names.place(run.going)}: break")
        self.tape(run.tape, depth + 1)
        self.block(run.body, f"{number}.", depth + 1)
        self.swaps(run.swaps, depth + 1)
        self.add(depth, f"{self.names.place(run.count)} = the number of steps")

    def BranchRun(self, run: BranchRun, number: str, depth: int) -> None:
        self.add(depth, f"match {self.names.place(run.index)}:")
        for k, (name, block) in enumerate(blocks_in(run)):
            self.add(depth + 1, f"case {k}:")
            self.block(block, f"{number}{name}.", depth + 2)

    def tape(self, tape: Tape | None, depth: int) -> None:
        """What names a loop has for the entries of stacks."""
        for step in () if tape is None else (*tape.read, *tape.written):
            entry = self.names.slot(step.entry.slot) if isinstance(step.entry, Place) else self.names.place(step.entry)
            self.add(depth, f"{entry} = {self.names.place(step.stack)}[t]  # an entry of a {step.aval}")

    def begins(self, begins: Sequence[Step], depth: int) -> None:
        """What the slots of a carry begin with."""
        for slot, whole in begins:
            self.add(depth, f"{self.names.slot(slot)} = {self.names.slot(whole.slot)}")

    def swaps(self, swaps: Sequence[tuple[int, int]], depth: int) -> None:
        for first, second in swaps:
            x, y = self.names.slot(first), self.names.slot(second)
            self.add(depth, f"{x}, {y} = {y}, {x}  # the buffers change places")
