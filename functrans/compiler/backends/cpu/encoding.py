"""Instructions as arrays of numbers: for each the function of `runtime/` that runs it, and its arguments."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any, NamedTuple

import numpy as np

from ....settings import processors
from ...assembly import Assembled
from ...instructions import (
    Block,
    BranchRun,
    ChainRun,
    CheckRun,
    FourierRun,
    KernelRun,
    LibraryRun,
    LoopRun,
    ProductRun,
    PythonRun,
    RecurrenceRun,
    ScanRun,
    SortRun,
    Tape,
    WhileRun,
)
from ...loopnest import point
from ...places import Place
from . import lapack, threads
from .chains import encoded_chain, encoded_staggered
from .engine import NAME, engine
from .lanes import LanesWriter, lanes_work, parts_of
from .library import division, gemm_arguments, is_large, product_work, threads_of_blas
from .links import links_of
from .numbers import Numbers
from .python_steps import computed_on_host, python_step
from .recurrences import RecurrenceWriter, recurrence_arguments
from .rows import factor_bits, fourier_arguments, fourier_range, sort_arguments, sort_work
from .runtime import HEADER
from .scans import scan_link
from .tapes import NestReel, Reel
from .tiers import Written
from .vectors import VectorsWriter
from .work import is_unbounded, likely_work
from .writer import Writer

#: How many steps a loop is thought to take if that is not known.
UNKNOWN_LENGTH = 1000
#: The work that is worth dividing among threads that are awake, that for which they are woken, and that of a thread in
#: addition to two, about in nanoseconds.
WORTH_THREADS, WORTH_WAKING, WORTH_THREAD = 30_000, 60_000, 30_000


class Range(NamedTuple):
    """What threads may share.

    Attributes:
        grain: what parts are multiples of.
        work: that of all, about in nanoseconds.
    """

    extent: int
    grain: int
    work: int


def _writes_apart(run: KernelRun) -> bool:
    """Whether a kernel writes to another element at each point, so that threads may share these."""
    return all(
        o.place is None or (o.place == point(len(o.place)) and _is_spread(target))
        for o, target in zip(run.kernel.outputs, run.targets)
    )


def _is_spread(place: Place) -> bool:
    """Whether no two elements of an array are the same for being repeated."""
    return all(stride or extent == 1 for extent, stride in zip(place.shape, place.strides))


class Encoder(Numbers):
    """Turns instructions to numbers.

    Attributes:
        is_divided: whether threads share some instruction.
        is_apart_from_blas: whether the threads of BLAS itself are to be kept out.
        work: about how many nanoseconds a call takes.
    """

    def __init__(self, assembled: Assembled):
        super().__init__(assembled, engine().runtime)
        self.is_divided = self.is_apart_from_blas = False
        self.slot_count = HEADER + len(assembled.slots)
        self.processors = processors()
        self.work = 0
        self.is_unbounded = False  # whether there are loops of which nobody knows how long they take
        self.kernels: list[Written] = []

    def block(self, block: Block) -> tuple[int, int]:
        """The address of the code of a block, and how many instructions there are."""
        code: list[int] = []
        for instruction in block:
            for function, arguments in self.instruction(instruction):
                code += [function, arguments]
        return self.address(code or [0]), len(code) // 2

    def instruction(self, instruction: Any) -> list[tuple[int, int]]:
        """The functions that run one instruction, and the addresses of their arguments."""
        return getattr(self, type(instruction).__name__)(instruction)

    # ---- instructions, by the names of their types

    def KernelRun(self, run: KernelRun) -> list[tuple[int, int]]:
        links = links_of(run)
        for link in links:
            self.work += link.work
        code: list[tuple[int, int]] = []
        for link in links:
            is_divided = link.extent > 1 and link.work > WORTH_THREADS and _writes_apart(run)
            range_ = Range(link.extent, link.grain, link.work)
            code.append(self.spread(range_, is_divided, link.arguments, link.writer))
        return code

    def spread(
        self,
        range_: Range,
        is_divided: bool,
        numbers: Sequence[int],
        writer: Writer | int,
        is_guess: bool = False,
    ) -> tuple[int, int]:
        """An instruction that calls a function for a range: one that is written, or one with an address."""
        extent, grain, work = range_
        head = [0 if isinstance(writer, Writer) else writer, 0, extent]
        if is_divided:
            self.is_divided = True
            head = [threads.POOL, head[0], max(2, work // WORTH_THREAD), int(work <= WORTH_WAKING), extent, grain]
        arguments = self.keep([*head, *numbers])
        if isinstance(writer, Writer):
            self.kernels.append(Written(arguments, int(is_divided), writer, work, is_guess))
        return self.runtime["run_parallel" if is_divided else "run_kernel"], arguments.buffer_info()[0]

    def ChainRun(self, run: ChainRun) -> list[tuple[int, int]]:
        if run.shifts:
            return self.staggered(run)
        chain = encoded_chain(self, run.links, run.rows, run.own)
        self.work += chain.work
        are_large = any(isinstance(link, ProductRun) and is_large(link) for link in run.links)
        is_divided = chain.work > WORTH_THREADS and (not are_large or threads_of_blas().can_be_set)
        self.is_apart_from_blas |= are_large and is_divided
        range_ = Range(run.rows, chain.numbers[0], chain.work)
        code = self.spread(range_, is_divided, chain.numbers, self.runtime["run_rows"])
        arguments = self.kept[-1]
        self.kernels += chain.written(arguments, len(arguments) - len(chain.numbers))
        return [code]

    def staggered(self, run: ChainRun) -> list[tuple[int, int]]:
        """A chain in strips, and then what has waited at the borders between these."""
        chain = encoded_staggered(self, run)
        self.work += chain.work
        strip = chain.numbers[0]
        strips, waiting = -(-run.rows // strip), max(sum(shift) for shift in run.shifts)
        ranges = [("run_strips", Range(strips, 1, chain.work))]
        if waiting:
            ranges.append(("run_borders", Range(strips - 1, 1, chain.work * waiting // strip)))
        code: list[tuple[int, int]] = []
        for function, range_ in ranges:
            code.append(self.spread(range_, range_.work > WORTH_THREADS, chain.numbers, self.runtime[function]))
            arguments = self.kept[-1]
            self.kernels += chain.written(arguments, len(arguments) - len(chain.numbers))
        return code

    def ScanRun(self, run: ScanRun) -> list[tuple[int, int]]:
        link = scan_link(run, NAME)
        self.work += link.work
        range_ = Range(link.extent, link.grain, link.work)
        return [self.spread(range_, link.extent > 1 and link.work > WORTH_THREADS, link.arguments, link.writer)]

    def ProductRun(self, run: ProductRun) -> list[tuple[int, int]]:
        extent, parts, are_large = division(run, self.processors)
        is_divided = extent > 1
        self.is_apart_from_blas |= is_divided and are_large
        work = product_work(run)
        self.work += work
        range_ = Range(extent, 1, work)
        return [self.spread(range_, is_divided, gemm_arguments(run, parts), self.runtime["run_gemm"])]

    def CheckRun(self, run: CheckRun) -> list[tuple[int, int]]:
        ((otherwise, arguments),) = self.PythonRun(run.otherwise)
        count = int(np.prod(run.numbers.shape))
        numbers = [HEADER + run.numbers.slot, run.numbers.offset, count, run.extent, otherwise, arguments]
        return [(self.runtime["run_check"], self.address(numbers))]

    def PythonRun(self, run: PythonRun) -> list[tuple[int, int]]:
        return [self.call_of_python(python_step(run, computed_on_host))]

    def LibraryRun(self, run: LibraryRun) -> list[tuple[int, int]]:
        batch, *extents = run.places[0].shape
        work = batch * prod(extents) * min(extents) // 4
        self.work += work
        constants = self.keep(lapack.constants(run))
        numbers = lapack.library_arguments(run, constants.buffer_info()[0])
        if run.name == "permute":
            return [(self.runtime["run_permute"], self.address(numbers))]
        is_divided = work > WORTH_THREADS and lapack.is_shared(run)
        self.is_apart_from_blas |= lapack.would_wait(run, is_divided)
        clear = self.address([HEADER + run.failed.slot, run.failed.offset])
        call = self.spread(Range(batch, 1, work), is_divided, numbers, self.runtime["run_library"])
        return [(self.runtime["run_clear"], clear), call]

    def SortRun(self, run: SortRun) -> list[tuple[int, int]]:
        work = sort_work(run)
        self.work += work
        range_ = Range(run.rows.shape[0], 1, work)
        return [self.spread(range_, work > WORTH_THREADS, sort_arguments(run), self.runtime["run_sort"])]

    def FourierRun(self, run: FourierRun) -> list[tuple[int, int]]:
        range_ = Range(*fourier_range(run))
        self.work += range_.work
        arguments = fourier_arguments(run, self.keep(factor_bits(run)).buffer_info()[0])
        return [self.spread(range_, range_.work > WORTH_THREADS, arguments, self.runtime["run_fourier"])]

    def reel(self, tape: Tape, *length_and_ways: Any) -> Reel:
        """What Python does for a tape."""
        return Reel(tape, *length_and_ways, self.shared)

    def nest_reel(self, run: RecurrenceRun) -> NestReel:
        """What Python does for the tapes of loops inside a recurrence."""
        return NestReel(run, self.shared)

    def repeat(self, first: int, length: int | None, work: int) -> None:
        """Count the work of a loop, of which one step has been counted.

        Args:
            first: the number of the first function in it.
            length: that of the loop; None: nobody knows.
            work: that of a step.
        """
        times = UNKNOWN_LENGTH if length is None else max(length, 1)
        self.work += work * (times - 1)
        self.kernels[first:] = [kernel.repeated(times, length is None) for kernel in self.kernels[first:]]

    def LoopRun(self, run: LoopRun) -> list[tuple[int, int]]:
        work, before = self.work, len(self.kernels)
        code, count = self.block(run.body)
        step_work = self.work - work + 1
        length = run.length if isinstance(run.length, int) else -1
        self.is_unbounded |= length < 0
        self.repeat(before, None if length < 0 else length, step_work)
        where = (HEADER + run.length.slot, run.length.offset) if isinstance(run.length, Place) else (0, 0)
        reel = None if run.tape is None else self.reel(run.tape, run.length, None, run.reverse, False)
        return self.loop(run, (code, count), length, where, step_work, reel)

    def RecurrenceRun(self, run: RecurrenceRun) -> list[tuple[int, int]]:
        is_guess = is_unbounded(run)
        self.is_unbounded |= is_guess
        numbers, reel = recurrence_arguments(run), None
        failing = [number for python in run.otherwise for pair in self.PythonRun(python) for number in pair]
        if run.recurrence.lanes is not None:
            return [self.lanes(run, numbers, failing)]
        numbers += failing
        if run.tape is not None:
            steps = None if run.count is not None else run.length
            reel = self.reel(run.tape, steps, run.count, run.is_reverse, True)
            numbers += [reel.limit, *self.call_of_python(reel.turn)]
        nest = None if run.nest is None else self.nest_reel(run)
        if nest is not None:
            numbers += self.call_of_python(nest.extend)
        work = likely_work(run.recurrence.statements)
        self.work += work
        arguments = self.keep([0, *numbers])
        self.kernels.append(Written(arguments, 0, RecurrenceWriter(run).function(NAME), work, is_guess))
        code = self.with_tape(reel, (self.runtime["run_function"], arguments.buffer_info()[0]))
        return code if nest is None else [self.call_of_python(nest.begin), *code, self.call_of_python(nest.end)]

    def lanes(self, run: RecurrenceRun, numbers: Sequence[int], failing: Sequence[int]) -> tuple[int, int]:
        """A recurrence of many lanes, which threads share.

        Args:
            failing: for each failure what raises the error, and its arguments.
        """
        extent, work = parts_of(run.recurrence.lanes), lanes_work(run)
        self.work += work
        kind = LanesWriter if run.recurrence.lanes.together is None else VectorsWriter
        writer = kind(run).function(NAME)
        code = self.spread(Range(extent, 1, work), work > WORTH_THREADS, numbers, writer, is_unbounded(run))
        return (self.runtime["run_lanes"], self.address([*code, *failing])) if failing else code

    def WhileRun(self, run: WhileRun) -> list[tuple[int, int]]:
        work, before = self.work, len(self.kernels)
        test, test_count = self.block(run.test)
        code, count = self.block(run.body)
        step_work = self.work - work + 1
        self.repeat(before, None, step_work)
        self.is_unbounded = True
        reel = None if run.tape is None else self.reel(run.tape, None, run.count, False, False)
        places = [HEADER + run.going.slot, run.going.offset, HEADER + run.count.slot, run.count.offset]
        return self.while_loop(run, (test, test_count, code, count), places, step_work, reel)

    def BranchRun(self, run: BranchRun) -> list[tuple[int, int]]:
        blocks = [number for block in run.blocks for number in self.block(block)]
        return [(self.runtime["run_branch"], self.address([HEADER + run.index.slot, run.index.offset, *blocks]))]
