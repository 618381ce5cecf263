"""Instructions as arrays of numbers for the machine that runs programs, and the kernels that they launch."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any, Final

import numpy as np

from ....core.jaxpr import Eqn
from ....settings import config
from ....source import Source
from ...assembly import Assembled
from ...fuse import KernelStep
from ...instructions import (
    VIEWS,
    Block,
    BranchRun,
    ChainRun,
    CheckRun,
    KernelRun,
    LoopRun,
    Place,
    ProductRun,
    PythonRun,
    RecurrenceRun,
    ScanRun,
    WhileRun,
    is_row_major,
)
from ...operations.values import HALF, SINGLE
from ..cpu.runtime import HEADER
from .chains import chain_launches
from .checks import check_launch
from .device import Device, Module
from .launches import NAME, PRELUDE, Launch, Pointer, module_text
from .layouts import VECTOR
from .lowering import Target, launches_of
from .recurrences import recurrence_launch
from .runtime import functions
from .scans import scan_launches

#: In place of the address of a tape.
NO_TAPE: Final = 0
#: The functions of cuBLAS by the character of the dtype.
LETTERS: Final = {"f": "S", "d": "D", "F": "C", "D": "Z"}


class Extra:
    """Slots after those of the program, by number: the stream, the handle of cuBLAS, the code of an error and the
    number of the instruction that met it, memory for stages of reductions, and what checks of indices report: which of
    them has failed first, and for which index."""

    STREAM, BLAS, ERROR, ERROR_AT, SCRATCH, FAILED, COUNT = range(7)
    FAILED_SIZE = 16


class Encoded:
    """A program as numbers.

    Attributes:
        code, count: where the instructions are, and how many.
        mails: how many numbers are read back; the first two are what the checks report.
        kept: what the instructions point to.
    """

    code: int
    count: int

    def __init__(self, encoder: Encoder):
        self.assembled = encoder.assembled
        self.mails = encoder.mails
        self.scratch = encoder.scratch
        self.checks = encoder.checks
        self.has_products = encoder.has_products
        self.calls_python = encoder.calls_python
        self.instructions = encoder.instructions
        self.kept: list[Any] = []

    @property
    def slots(self) -> int:
        """How many there are after the header."""
        return len(self.assembled.slots) + Extra.COUNT + self.mails

    def extra(self, number: int) -> int:
        """A slot after those of the program."""
        return len(self.assembled.slots) + number

    def mail(self, number: int) -> int:
        """The slot of a number that is read back."""
        return len(self.assembled.slots) + Extra.COUNT + number

    def about(self, number: int) -> tuple[str, Source | None]:
        """What an instruction is, and the user's line that it is for."""
        instruction = self.instructions[number]
        origin = self.assembled.origins.get(id(instruction))
        equations = origin.equations if isinstance(origin, KernelStep) else [origin] if isinstance(origin, Eqn) else []
        source = next((eqn.source for eqn in equations if eqn.source is not None), None)
        names = ", ".join(dict.fromkeys(eqn.primitive.name for eqn in equations))
        return f"{_NOUNS.get(type(instruction), 'An instruction')}{f' ({names})' if names else ''}", source


_NOUNS: Final = {
    KernelRun: "A kernel", ChainRun: "A chain of kernels", ProductRun: "A product of matrices by cuBLAS",
    RecurrenceRun: "A loop in one kernel", CheckRun: "A check of indices",
    ScanRun: "A cumulative operation",
}  # fmt: skip


class Encoder:
    """Makes launches of instructions, then numbers of both.

    Args:
        is_aligned: for each argument, whether its address is a multiple of VECTOR.
    """

    def __init__(self, assembled: Assembled, is_aligned: Sequence[bool], processors: int):
        self.assembled = assembled
        self.checks: list[CheckRun | PythonRun] = []
        self.failures: dict[int, int] = {}  # the number of the first one of a recurrence, by its id
        self.instructions: list[Any] = []
        self.mails = 2
        self.has_products = self.calls_python = False
        self.launches: dict[int, list[Launch]] = {}  # by the id of the instruction
        self._survey(assembled.block)
        own = len(assembled.slots)
        self.target = Target(
            processors,
            self._alignments(is_aligned),
            own + Extra.SCRATCH,
            own + Extra.FAILED if self.checks else None,
            config.deterministic,
        )
        self._lower(assembled.block)

    @property
    def scratch(self) -> int:
        """The bytes that stages of reductions share."""
        sizes = [launch.scratch for found in self.launches.values() for launch in found]
        return -(-max(sizes, default=0) // 256) * 256

    @cached_property
    def functions(self) -> dict[str, str]:
        """The kernels by name, each once."""
        texts = dict.fromkeys(launch.source for found in self.launches.values() for launch in found)
        return {f"kernel_{k}": text for k, text in enumerate(texts)}

    @property
    def source(self) -> str:
        """A module with all kernels."""
        return module_text(self.functions)

    @property
    def prelude(self) -> str:
        """What the kernels are written with."""
        return PRELUDE

    def listing(self) -> str:
        """The kernels, each with what it does and how it is launched."""
        launches = [launch for found in self.launches.values() for launch in found]
        parts: list[str] = []
        for name, text in self.functions.items():
            own = [launch for launch in launches if launch.source == text]
            about = "\n".join(f"// {line}" for line in own[0].about.splitlines())
            grids = "\n".join(f"// {launch.threads_text}" for launch in dict.fromkeys(own))
            parts.append(f"{about}\n{grids}\n{text.replace(NAME, name)}\n")
        return "\n".join(parts)

    def _survey(self, block: Block) -> None:
        for instruction in block:
            if isinstance(instruction, CheckRun):
                self.checks.append(instruction)
            elif isinstance(instruction, RecurrenceRun):
                self.failures[id(instruction)] = len(self.checks)
                self.checks += instruction.otherwise
            self.has_products |= isinstance(instruction, ProductRun)
            self.calls_python |= isinstance(instruction, PythonRun)
            for inner in blocks_of(instruction):
                self._survey(inner)

    def _alignments(self, arguments: Sequence[bool]) -> list[bool]:
        """For each slot, whether its address is always a multiple of VECTOR."""
        found = [True] * (len(self.assembled.slots) + Extra.COUNT)
        for place, is_aligned in zip(self.assembled.arguments, arguments):
            if isinstance(place, Place):
                found[place.slot] = is_aligned

        def steps(block: Block) -> None:
            for instruction in block:
                if isinstance(instruction, LoopRun):
                    for slot, whole in instruction.steps:
                        moves_well = whole.strides[0] % VECTOR == 0 and whole.offset % VECTOR == 0
                        found[slot] = found[whole.slot] and moves_well
                for inner in blocks_of(instruction):
                    steps(inner)

        steps(self.assembled.block)
        return found

    def _lower(self, block: Block) -> None:
        for instruction in block:
            found = self._launches(instruction)
            if found is not None:
                self.launches[id(instruction)] = found
            for inner in blocks_of(instruction):
                self._lower(inner)

    def _launches(self, instruction: Any) -> list[Launch] | None:
        if isinstance(instruction, KernelRun):
            return launches_of(instruction, self.target)
        if isinstance(instruction, ChainRun):
            return chain_launches(instruction, self.target)
        if isinstance(instruction, ScanRun):
            return scan_launches(instruction, self.target)
        if isinstance(instruction, RecurrenceRun):
            first = 1 + self.failures.get(id(instruction), 0)
            return [recurrence_launch(instruction, first, self.target.failed)]
        if isinstance(instruction, CheckRun):
            assert self.target.failed is not None
            return check_launch(instruction, 1 + self.checks.index(instruction), self.target.failed)
        return None

    def encoded(self, device: Device, python_step: Callable[[PythonRun], Any]) -> Encoded:
        """The program as numbers, with its kernels compiled for a device."""
        return _Writer(self, device, python_step).encoded()


def blocks_of(instruction: Any) -> tuple[Block, ...]:
    """The blocks that an instruction holds."""
    if isinstance(instruction, LoopRun):
        return (instruction.body,)
    if isinstance(instruction, WhileRun):
        return instruction.test, instruction.body
    return instruction.blocks if isinstance(instruction, BranchRun) else ()


Code = list[tuple[int, int]]


class _Writer:
    """Turns instructions to numbers."""

    def __init__(self, encoder: Encoder, device: Device, python_step: Callable[[PythonRun], Any]):
        self.encoder, self.device, self.python_step = encoder, device, python_step
        self.assembled = encoder.assembled
        self.functions = functions()
        self.module: Module | None = device.module(encoder.functions) if encoder.functions else None
        self.names = {text: name for name, text in encoder.functions.items()}
        self.kept: list[Any] = [self.module]
        self.own = len(self.assembled.slots)
        self.mails = encoder.mails

    def encoded(self) -> Encoded:
        code = self.code(self.assembled.block)
        if self.encoder.checks:
            self.encoder.instructions += [self.encoder.checks[0]] * 2
            number = len(self.encoder.instructions) - 1
            clear = self.call("clear", number, "cuMemsetD8Async", [self.extra(Extra.FAILED), Extra.FAILED_SIZE])
            code = [clear, *code, self.report(number)]
        self.encoder.mails = self.mails
        found = Encoded(self.encoder)
        found.code, found.count = self.address([n for pair in code for n in pair] or [0]), len(code)
        found.kept = self.kept
        return found

    def extra(self, number: int) -> int:
        return HEADER + self.own + number

    def mail(self) -> int:
        """The slot of one more number that is read back."""
        self.mails += 1
        return self.extra(Extra.COUNT) + self.mails - 1

    def keep(self, numbers: Sequence[int]) -> array[int]:
        kept = array("q", numbers)
        self.kept.append(kept)
        return kept

    def address(self, numbers: Sequence[int]) -> int:
        return self.keep(numbers).buffer_info()[0]

    def call(self, name: str, number: int, entries: str, arguments: Sequence[int]) -> tuple[int, int]:
        """An instruction that calls functions of CUDA, by their names."""
        slot = Extra.BLAS if name.startswith("product") else Extra.STREAM
        head = [self.extra(Extra.ERROR), number, self.extra(slot), *map(self.device.entry, entries.split())]
        return self.functions[name], self.address([*head, *arguments])

    def code(self, block: Block) -> Code:
        return [pair for instruction in block for pair in self.instruction(instruction)]

    def block(self, code: Code) -> list[int]:
        return [self.address([n for pair in code for n in pair] or [0]), len(code)]

    def instruction(self, instruction: Any) -> Code:
        number = len(self.encoder.instructions)
        self.encoder.instructions.append(instruction)
        launches = self.encoder.launches.get(id(instruction))
        if launches is not None:
            code = [self.launch(launch, number) for launch in launches]
            may_fail = isinstance(instruction, RecurrenceRun) and instruction.otherwise
            return [*code, *self.stop(number)] if may_fail else code
        return getattr(self, type(instruction).__name__)(instruction, number)

    def launch(self, launch: Launch, number: int) -> tuple[int, int]:
        assert self.module is not None
        kernel = self.module.function(self.names[launch.source])
        pairs = [(HEADER + a.slot, a.offset) if isinstance(a, Pointer) else (-1, a) for a in launch.arguments]
        numbers = [kernel, *launch.grid, *launch.block, launch.shared, len(pairs), *(n for pair in pairs for n in pair)]
        return self.call("launch", number, "cuLaunchKernel", numbers)

    def download(self, place: Place, number: int) -> tuple[tuple[int, int], int]:
        """An instruction that reads a number of the device, and the slot that it goes to."""
        mail = self.mail()
        arguments = [mail, HEADER + place.slot, place.offset, place.dtype.itemsize]
        return self.call("download", number, "cuMemcpyDtoHAsync_v2 cuStreamSynchronize", arguments), mail

    def report(self, number: int) -> tuple[int, int]:
        """An instruction that reads what the checks of indices have found."""
        arguments = [self.extra(Extra.COUNT), self.extra(Extra.FAILED), 0, Extra.FAILED_SIZE]
        return self.call("download", number, "cuMemcpyDtoHAsync_v2 cuStreamSynchronize", arguments)

    def stop(self, number: int) -> Code:
        """Instructions that end the program where a check of indices has failed."""
        return [self.report(number), (self.functions["stop_if"], self.address([self.extra(Extra.COUNT)]))]

    # ---- instructions that are no launches, by the names of their types

    def ProductRun(self, run: ProductRun, number: int) -> Code:
        name = "product_of_halves" if run.z.dtype == HALF else "product"
        return [self.call(name, number, _gemm(part), _gemm_arguments(part)) for part in one_by_one(run)]

    def PythonRun(self, run: PythonRun, number: int) -> Code:
        function = self.python_step(run)
        self.kept.append(function)
        return [(self.functions["run_python"], self.address([id(function)]))]

    def LoopRun(self, run: LoopRun, number: int) -> Code:
        before: Code = []
        length, where = run.length, (0, 0)
        if isinstance(length, Place):
            download, mail = self.download(length, number)
            before, where, length = [download], (mail, 0), -1
        body = self.code(run.body)
        numbers = [*self.block(body), length, *where, len(body), len(run.steps), len(run.swaps), NO_TAPE]
        for slot, whole in run.steps:
            stride = whole.strides[0]
            first = whole.offset + (max(length - 1, 0) * stride if run.reverse else 0)
            numbers += [HEADER + slot, HEADER + whole.slot, first, -stride if run.reverse else stride]
        numbers += [HEADER + slot for pair in run.swaps for slot in pair]
        return [*before, (self.functions["run_loop"], self.address(numbers))]

    def WhileRun(self, run: WhileRun, number: int) -> Code:
        read, going = self.download(run.going, number)
        test = [*self.code(run.test), read]
        if self.encoder.checks:
            test += self.stop(number)
        body = self.code(run.body)
        count = self.mail()
        work = len(test) + len(body)
        numbers = [*self.block(test), *self.block(body), going, 0, count, 0, work, len(run.swaps), NO_TAPE]
        numbers += [HEADER + slot for pair in run.swaps for slot in pair]
        arguments = [count, HEADER + run.count.slot, run.count.offset, run.count.dtype.itemsize]
        upload = self.call("upload", number, "cuMemcpyHtoDAsync_v2", arguments)
        return [(self.functions["run_while"], self.address(numbers)), upload]

    def BranchRun(self, run: BranchRun, number: int) -> Code:
        read, mail = self.download(run.index, number)
        blocks = [n for block in run.blocks for n in self.block(self.code(block))]
        return [read, (self.functions["run_branch"], self.address([mail, 0, *blocks]))]


def one_by_one(run: ProductRun) -> list[ProductRun]:
    """A product as such whose results lie apart: what is summed up is added one after the other."""
    count = run.z.shape[0]
    if count == 1 or run.z.strides[0]:
        return [run]

    def matrix(place: Place, k: int) -> Place:
        return VIEWS["slice"](place, (k, 0, 0), (k + 1, *place.shape[1:]), (1, 1, 1))

    return [ProductRun(*(matrix(p, k) for p in run[:3]), adds=run.adds or k > 0) for k in range(count)]


def _gemm(run: ProductRun) -> str:
    """The function of cuBLAS."""
    is_half = run.z.dtype == HALF
    return "cublasGemmStridedBatchedEx_64" if is_half else f"cublas{LETTERS[run.z.dtype.char]}gemmStridedBatched_64"


def _gemm_arguments(run: ProductRun) -> list[int]:
    """cuBLAS counts columns first: to it, what we have are transposed matrices, and z' = y' x'."""
    a, b, c = run.y, run.x, run.z
    batch, rows, columns = c.shape
    size = c.dtype.itemsize
    factors = SINGLE if c.dtype == HALF else c.dtype
    alpha, beta = (map(int, _bits(number, factors)) for number in (1, int(run.adds)))
    turned = [int(not is_row_major(p)) for p in (a, b)]

    def place(p: Place, lead: int) -> list[int]:
        return [HEADER + p.slot, p.offset, lead, p.strides[0] // size]

    leads = [max(p.strides[1:]) // size for p in (a, b)]
    return [
        *turned, columns, rows, a.shape[1], *alpha, *place(a, leads[0]), *place(b, leads[1]), *beta,
        *place(c, c.strides[1] // size if rows > 1 else columns), batch,
    ]  # fmt: skip


def _bits(number: float, dtype: np.dtype[Any]) -> np.ndarray[Any, np.dtype[np.int64]]:
    """A number, and nothing after it, as two 64-bit integers."""
    room = np.zeros(16 // dtype.itemsize, dtype)
    room[0] = number
    return room.view(np.int64)
