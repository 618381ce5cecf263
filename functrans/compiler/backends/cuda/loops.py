"""Loops whose steps are little work as one kernel of one block, which keeps step: what would be a launch is a function
that all threads of the block call, and then they wait for each other.

The state stays in memory, where the block's own cache has it. A step takes a microsecond or less for each of its
kernels; as launches they would take two or three, and a loop of unknown length would wait for the host in each step.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from math import prod
from typing import Any, Final, NamedTuple

from ...costs import cost_of
from ...instructions import (
    Block,
    BranchRun,
    ChainRun,
    CheckRun,
    KernelRun,
    LoopRun,
    ParallelRun,
    ProductRun,
    ScanRun,
    WhileRun,
)
from ...loopnest import Apply, Kernel, Load, Output, axis_index
from ...places import Place
from . import layouts
from .launches import MOST_DECLARED, NAME, Argument, Launch, Pointer, declared_by, parameters_of
from .layouts import BLOCK
from .operations import type_name
from .text import Text, signature

#: Launches of a step at most, and arguments of all of them: a kernel has four kilobytes for these.
MOST_LAUNCHES: Final = 64
MOST_ARGUMENTS: Final = 400

#: What stands around the type of a parameter that is none of the type.
_QUALIFIERS: Final = re.compile(r"(?<=\*)(__restrict__ )?const \w+$| \w+$")
#: What lowers an instruction to launches whose blocks may as well be one; None for what is no launch.
Lower = Callable[[Any], list[Launch] | None]


class Function(NamedTuple):
    """A launch as a function that the threads of a block call."""

    launch: Launch


class Repeat(NamedTuple):
    """A loop, of a known length or until a test fails."""

    run: LoopRun | WhileRun
    test: Statements
    body: Statements


class Choose(NamedTuple):
    """One of several blocks."""

    index: Place
    branches: tuple[Statements, ...]


Statement = Function | Repeat | Choose
Statements = tuple[Statement, ...]


def block_loop(run: LoopRun | WhileRun, lower: Lower, failed: int | None) -> Launch | None:
    """The launch of a loop; None if its steps are more than little work for one block.

    Args:
        failed: the slot of what checks of indices report.
    """
    found = _repeat(run, lower)
    if found is None:
        return None
    launches = [f.launch for f in functions_in((found,))]
    values, declared = sum(len(launch.arguments) for launch in launches), declared_by(launches)
    if not launches or len(launches) > MOST_LAUNCHES or values > MOST_ARGUMENTS or declared > MOST_DECLARED:
        return None
    writer = _Writer(found, failed)
    source = writer.function()
    shared, scratch = (max(sizes) for sizes in zip(*((launch.shared, launch.scratch) for launch in launches)))
    about = "\n".join(["a loop, in one block, of", *dict.fromkeys(launch.about for launch in launches)])
    return Launch(source, (1, 1, 1), (BLOCK, 1, 1), shared, tuple(writer.arguments), about, scratch, declared)


def functions_in(statements: Statements) -> Iterator[Function]:
    """All calls."""
    for s in statements:
        if isinstance(s, Function):
            yield s
        elif isinstance(s, Repeat):
            yield from functions_in((*s.test, *s.body))
        else:
            for branch in s.branches:
                yield from functions_in(branch)


def _repeat(run: LoopRun | WhileRun, lower: Lower) -> Repeat | None:
    if run.tape is not None or (isinstance(run, LoopRun) and not isinstance(run.length, int)):
        return None
    test = _statements(run.test, lower) if isinstance(run, WhileRun) else ()
    body = _statements(run.body, lower)
    return None if test is None or body is None else Repeat(run, test, body)


def _statements(block: Block, lower: Lower) -> Statements | None:
    """What a block does, if that is little work for one block of threads."""
    found: list[Statement] = []
    for instruction in block:
        if isinstance(instruction, (LoopRun, WhileRun)):
            inner = _repeat(instruction, lower)
            if inner is None:
                return None
            found.append(inner)
        elif isinstance(instruction, BranchRun):
            branches = [_statements(branch, lower) for branch in instruction.blocks]
            if None in branches:
                return None
            found.append(Choose(instruction.index, tuple(b for b in branches if b is not None)))
        elif isinstance(instruction, ParallelRun):
            members = _statements([*instruction.members], lower)
            if members is None:
                return None
            found += members
        else:
            launches = _small_launches(instruction, lower)
            if launches is None:
                return None
            found += map(Function, launches)
    return tuple(found)


def _small_launches(instruction: Any, lower: Lower) -> list[Launch] | None:
    if isinstance(instruction, ProductRun) and _is_stored_once(instruction):
        instruction = _as_kernel(instruction)
    is_known = isinstance(instruction, (KernelRun, ChainRun, ScanRun, CheckRun))
    launches = lower(instruction) if is_known and _work(instruction) <= layouts.LITTLE_WORK else None
    if launches is None or any((x.grid[1:], x.block) != ((1, 1), (BLOCK, 1, 1)) for x in launches):
        return None
    return launches


def _is_stored_once(run: ProductRun) -> bool:
    """Whether nothing is added to what is there, or to the product of other matrices."""
    return not run.adds and (run.z.shape[0] == 1 or run.z.strides[0] != 0)


def _as_kernel(run: ProductRun) -> KernelRun:
    """A product of matrices as sums of products."""
    b, i, j, k = map(axis_index, range(4))
    factors = Load(0, (b, i, k), run.x.dtype), Load(1, (b, k, j), run.y.dtype)
    total = Output(Apply("multiply", factors, run.z.dtype), "add")
    return KernelRun(Kernel((*run.z.shape, run.x.shape[2]), 1, (total,), (0, 1)), (run.x, run.y), (run.z,))


def _work(instruction: KernelRun | ChainRun | ScanRun | CheckRun) -> int:
    """How many operations there are, loads and stores included."""
    if isinstance(instruction, ChainRun):
        return sum(map(_work, instruction.links))
    if isinstance(instruction, KernelRun):
        kernel = instruction.kernel
        return prod(kernel.shape) * (cost_of(kernel) + len(kernel.loads()) + len(kernel.outputs))
    place = instruction.numbers if isinstance(instruction, CheckRun) else instruction.source
    return 4 * prod(place.shape)


class _Writer:
    """Writes the kernel; the addresses of slots are variables `s` and their numbers."""

    def __init__(self, loop: Repeat, failed: int | None):
        self.loop, self.failed = loop, failed
        self.text = Text()
        self.functions: dict[str, int] = {}  # by text, their numbers
        self.slots: dict[int, None] = {}
        self.parameters: list[str] = []
        self.arguments: list[Argument] = []
        self.depth = 0

    def function(self) -> str:
        body = Text()
        body.depth = 1
        self.text = body
        self.repeat(self.loop, is_outermost=True)
        parameters = [*(f"char *const a{slot}" for slot in self.slots), *self.parameters]
        self.arguments = [*(Pointer(slot, 0) for slot in self.slots), *self.arguments]
        head = signature(f"KERNEL __launch_bounds__({BLOCK}) {NAME}", parameters)
        locals_ = [f"  char *s{slot} = a{slot};" for slot in self.slots]
        parts = [self.as_function(source, number) for source, number in self.functions.items()]
        return "\n".join([*parts, f"{head} {{", *locals_, str(body), "}"])

    @staticmethod
    def as_function(source: str, number: int) -> str:
        """The text of a kernel as that of a function. What it reads others may have written a moment ago."""
        text = source.replace(f"KERNEL __launch_bounds__({BLOCK}) ", "FUNCTION void ").replace("__restrict__ ", "")
        return text.replace(NAME, f"{NAME}_{number}")

    def slot(self, number: int) -> str:
        self.slots[number] = None
        return f"s{number}"

    def value(self, type_: str, argument: Argument) -> str:
        """A number, as a parameter."""
        name = f"c{len(self.parameters)}"
        self.parameters.append(f"const {type_} {name}")
        self.arguments.append(argument)
        return name

    def address(self, slot: int, offset: int, way: str = "") -> str:
        parts = [self.slot(slot), *([self.value("int64", offset)] if offset else []), *([way] if way else [])]
        return " + ".join(parts)

    def element(self, place: Place) -> str:
        """A single number."""
        return f"*({type_name(place.dtype)} *)({self.address(place.slot, place.offset)})"

    # ---- statements

    def statements(self, statements: Statements) -> None:
        for s in statements:
            if isinstance(s, Function):
                self.call(s.launch)
            elif isinstance(s, Repeat):
                self.repeat(s)
            else:
                self.choose(s)

    def call(self, launch: Launch) -> None:
        number = self.functions.setdefault(launch.source, len(self.functions))
        given = []
        for parameter, argument in zip(parameters_of(launch.source), launch.arguments, strict=True):
            type_ = _QUALIFIERS.sub("", parameter)
            if isinstance(argument, Pointer):
                given.append(f"({type_})({self.address(argument.slot, argument.offset)})")
            else:
                given.append(self.value(type_.removeprefix("const "), argument))
        self.text.line(f"{NAME}_{number}({', '.join(given)});")
        self.text.line("__syncthreads();")

    def repeat(self, s: Repeat, is_outermost: bool = False) -> None:
        """A loop; the host has set what the outermost one begins with."""
        run, text = s.run, self.text
        step = f"step{self.depth}"
        self.depth += 1
        for slot, whole in () if is_outermost else run.begins:
            text.line(f"{self.slot(slot)} = {self.address(whole.slot, whole.offset)};")
        if isinstance(run, LoopRun):
            end = self.value("int64", run.length)
            with text.block(f"for (int64 {step} = 0; {step} < {end}; ++{step})"):
                for slot, whole in run.steps:
                    self.step(run, slot, whole, step)
                self.statements(s.body)
                self.swap(run.swaps)
            return
        text.line(f"int64 {step} = 0;")
        with text.block(f"for (;; ++{step})"):
            self.statements(s.test)
            goes_on = self.text.let("bool", self.element(run.going))
            if self.failed is not None:
                goes_on = self.text.let("bool", f"{goes_on} && !*(const int32 *){self.slot(self.failed)}")
            text.line("__syncthreads();")
            text.line(f"if (!{goes_on}) break;")
            self.statements(s.body)
            self.swap(run.swaps)
        text.line(f"if (threadIdx.x == 0) {self.element(run.count)} = {step};")
        text.line("__syncthreads();")

    def step(self, run: LoopRun, slot: int, whole: Place, step: str) -> None:
        """Where the element of a step is."""
        stride, length = whole.strides[0], run.length
        assert isinstance(length, int)
        first = whole.offset + (max(length - 1, 0) * stride if run.reverse else 0)
        way = self.value("int64", -stride if run.reverse else stride)
        self.text.line(f"{self.slot(slot)} = {self.address(whole.slot, first, f'{step} * {way}')};")

    def swap(self, swaps: Sequence[tuple[int, int]]) -> None:
        for first, second in swaps:
            kept = self.text.let("auto", self.slot(first))
            self.text.line(f"{self.slot(first)} = {self.slot(second)};")
            self.text.line(f"{self.slot(second)} = {kept};")

    def choose(self, s: Choose) -> None:
        number = self.text.let("int64", self.element(s.index))
        self.text.line("__syncthreads();")
        for k, branch in enumerate(s.branches):
            words = "else " if k else ""
            words += f"if ({number} == {k})" if k < len(s.branches) - 1 else ""
            with self.text.block(words.strip() or "if (true)"):
                self.statements(branch)
