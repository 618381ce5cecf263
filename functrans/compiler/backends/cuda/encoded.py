"""A program as numbers: where its instructions are, what its slots are for, and what to call what fails."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from ....core.jaxpr import Eqn
from ....source import Source
from ...fuse import KernelStep
from ...instructions import (
    ChainRun,
    CheckRun,
    KernelRun,
    LibraryRun,
    LoopRun,
    ParallelRun,
    ProductRun,
    RecurrenceRun,
    ScanRun,
    WhileRun,
)
from ..cpu.runtime import HEADER
from .graphs import Segment
from .numbers import words_of

if TYPE_CHECKING:
    from .encoding import Encoder


#: What waiting for a stream returns is not less, where something has failed; the codes of cuBLAS are.
FIRST_OF_STREAMS: Final = 100


class Extra:
    """Slots after those of the program, by number: the stream, the handle of cuBLAS, the code of an error and the
    number of the instruction that met it, memory for stages of reductions, what checks of indices report (which of them
    has failed first, and for which index), and a number that counts blocks, zero between launches."""

    STREAM, BLAS, ERROR, ERROR_AT, SCRATCH, FAILED, COUNTER, COUNT = range(8)
    FAILED_SIZE = 16


class Encoded:
    """A program as numbers.

    Attributes:
        code, count: where the instructions are, and how many.
        numbers: the arguments that are numbers of the host.
        mails: how many numbers are read back; the first two are what the checks report.
        counts_blocks: whether kernels count their blocks.
        segments: launches in a row, which may become graphs.
        is_synchronous: whether each launch is waited for.
        launched: the ids of instructions that are launches.
        kept: what the instructions point to.
    """

    code: int
    count: int

    def __init__(self, encoder: Encoder, segments: Sequence[Segment]):
        self.assembled = encoder.assembled
        self.mails = encoder.mails
        self.numbers = encoder.numbers
        self.is_synchronous = encoder.is_synchronous
        self.segments = segments
        self.scratch = encoder.scratch
        self.counts_blocks = encoder.counts_blocks
        self.checks = encoder.checks
        self.has_products = encoder.has_products
        self.calls_python = encoder.calls_python
        self.instructions = encoder.instructions
        self.launched = set(encoder.launches)
        self.kept: list[Any] = []

    def new_slots(self) -> array[int]:
        """Room for the header and all addresses."""
        return array("q", [0]) * (HEADER + self.first_mail + self.mails + len(self.segments))

    @property
    def first_number(self) -> int:
        return len(self.assembled.slots) + Extra.COUNT

    @property
    def first_mail(self) -> int:
        return self.first_number + sum(words_of(place.dtype) for _, place in self.numbers)

    def extra(self, number: int) -> int:
        """A slot after those of the program."""
        return HEADER + len(self.assembled.slots) + number

    @property
    def number_slots(self) -> list[int]:
        """The slots of the places of numbers."""
        return [HEADER + place.slot for _, place in self.numbers]

    @property
    def mail_slots(self) -> range:
        """The slots of numbers that are read back."""
        return range(HEADER + self.first_mail, HEADER + self.first_mail + self.mails)

    def is_launch(self, number: int) -> bool:
        """Whether an instruction launches kernels, and is none for several others."""
        instruction = self.instructions[number]
        return id(instruction) in self.launched or isinstance(instruction, tuple(_NOUNS))

    def is_of_cublas(self, code: int, number: int) -> bool:
        """Whether a code comes from cuBLAS, which has few, and not from the driver."""
        return isinstance(self.instructions[number], ProductRun) and code < FIRST_OF_STREAMS

    def about(self, number: int) -> tuple[str, Source | None]:
        """What an instruction is, and the user's line that it is for."""
        instruction = self.instructions[number]
        if instruction is None:
            return "What hands numbers to kernels", None
        if isinstance(instruction, list):
            return f"A graph of {len(instruction)} kernels", self.about(instruction[0])[1]
        origin = self.assembled.origins.get(id(instruction))
        equations = [*origin.again, *origin.equations] if isinstance(origin, KernelStep) else [origin]
        equations = [eqn for eqn in equations if isinstance(eqn, Eqn)]
        source = next((eqn.source for eqn in equations if eqn.source is not None), None)
        names = ", ".join(dict.fromkeys(eqn.primitive.name for eqn in equations))
        is_loop = isinstance(instruction, (LoopRun, WhileRun)) and id(instruction) in self.launched
        noun = "A loop in one kernel" if is_loop else _NOUNS.get(type(instruction), "An instruction")
        return f"{noun}{f' ({names})' if names else ''}", source


_NOUNS: Final = {
    KernelRun: "A kernel", ChainRun: "A chain of kernels", ProductRun: "A product of matrices by cuBLAS",
    RecurrenceRun: "A loop in one kernel", CheckRun: "A check of indices",
    ScanRun: "A cumulative operation", ParallelRun: "A set of kernels", LibraryRun: "A decomposition of matrices",
}  # fmt: skip
