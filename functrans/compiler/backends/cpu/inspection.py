"""A native program to look at: what LLVM gets and makes of it, threads, and the time of each instruction."""

from __future__ import annotations

import ctypes
from array import array
from collections.abc import Mapping, Sequence
from statistics import median
from time import perf_counter_ns
from typing import Any

from ....settings import thread_count
from ...assembly import Assembled
from ...inspection.listing import Row
from ...instructions import ChainRun, KernelRun, ProductRun
from .encoding import Encoder
from .engine import engine
from .native import Binding, Result
from .runtime import PATIENCE, WORK_LEFT
from .runtime.threads import SMALL
from .writer import AS_WRITTEN, NUMBER_BY_NUMBER, Writer

#: An instruction is run so many times in a row that this many nanoseconds go by, if it may be run again at all.
LONG_ENOUGH = 50_000
#: All instructions are run until this many nanoseconds have gone by, but so many times at least and at most.
ENOUGH, FEWEST, MOST = 300_000_000, 5, 1000
#: What tells the functions of one instruction apart.
LETTERS = [f"{chr(ord('a') + k % 26)}{k // 26 or ''}" for k in range(2600)]


class Recorder(Encoder):
    """Turns instructions to numbers, and remembers what comes of each.

    Attributes:
        entries: the functions that run an instruction and the addresses of their arguments, by its id.
        writers: the functions that were written for it alone, by its id.
    """

    def __init__(self, assembled: Assembled):
        super().__init__(assembled)
        self.entries: dict[int, list[tuple[int, int]]] = {}
        self.writers: dict[int, list[Writer]] = {}
        self._taken: set[int] = set()

    def instruction(self, instruction: Any) -> list[tuple[int, int]]:
        before = len(self.kernels)
        found = self.entries[id(instruction)] = super().instruction(instruction)
        own = [k for k in range(before, len(self.kernels)) if k not in self._taken]
        self._taken.update(own)
        self.writers[id(instruction)] = [self.kernels[k].writer for k in own]
        return found


class InspectedBinding(Binding):
    """A binding that knows what belongs to which instruction."""

    recorder: Recorder

    def encoder(self) -> Encoder:
        self.recorder = Recorder(self.assembled)
        return self.recorder


class NativeInspection:
    """An assembled program, compiled to be looked at.

    Args:
        rows: all instructions of the program.

    Attributes:
        is_quick: whether it is compiled quickly at first, to slow code.
        work: about how many nanoseconds it is thought to take.
    """

    def __init__(self, assembled: Assembled, rows: Sequence[Row], outputs: Sequence[Result]):
        self.rows = rows
        self.binding = InspectedBinding(assembled, outputs)
        self.recorder = self.binding.recorder
        self.is_quick = bool(self.binding.tiers.quick)
        self.work = self.recorder.work

    def functions(self) -> dict[str, Writer]:
        """The functions of the program, by names that say which instruction they are for; equal ones are there once.

        Where an instruction has several, what fills results to begin with among them, they have letters.
        """
        found: dict[str, Writer] = {}
        known: set[str] = set()
        for row in self.rows:
            writers = self.recorder.writers.get(id(row.instruction), [])
            for letter, writer in zip(LETTERS if len(writers) > 1 else [""], writers):
                text = "\n".join(writer.lines)
                if text not in known:
                    known.add(text)
                    found[f"kernel_{row.number.replace('.', '_')}{letter}"] = writer
        return found

    def llvm(self, is_optimized: bool) -> str:
        """A module with all functions as they are written; or as LLVM makes them, then maybe two modules."""
        if not is_optimized:
            return self.module(self.functions())
        compiler = engine().thorough
        return "\n".join(str(compiler.optimized(text, compiler.machine)) for text in self.modules())

    def assembly(self) -> str:
        """The machine's instructions, as text."""
        return "\n".join(map(engine().thorough.assembly, self.modules()))

    def modules(self) -> list[str]:
        """One module, or several where LLVM treats some functions otherwise than others."""
        groups: dict[tuple[bool, ...], dict[str, Writer]] = {}
        for name, writer in self.functions().items():
            marks = tuple(mark in writer.lines for mark in (NUMBER_BY_NUMBER, AS_WRITTEN))
            groups.setdefault(marks, {})[name] = writer
        return [self.module(groups[marks]) for marks in sorted(groups)] or [self.module({})]

    def module(self, functions: Mapping[str, Writer]) -> str:
        """A module with functions, by their names."""
        called = {"\n".join(writer.lines): writer.functions for writer in functions.values()}
        return engine().module_of(called, list(functions))

    def threads_of(self, row: Row) -> int:
        """How many threads an instruction is divided among."""
        addresses = {function for function, _ in self.recorder.entries.get(id(row.instruction), [])}
        names = {name for name, address in engine().runtime.items() if address in addresses}
        return thread_count() if any("parallel" in name for name in names) else 1

    def wakes(self, row: Row) -> bool:
        """Whether threads that sleep are woken for an instruction that is divided."""
        parallel = engine().runtime["run_parallel"]
        entries = self.recorder.entries.get(id(row.instruction), [])
        places = [arguments + 8 * SMALL for function, arguments in entries if function == parallel]
        return not all(ctypes.c_int64.from_address(place).value for place in places)

    def times(self, values: Sequence[Any]) -> dict[str, float]:
        """The seconds that each instruction outside of loops takes, by number, for some arguments."""
        binding = self.binding
        binding.tiers.compile_thoroughly()
        outer = [row for row in self.rows if not row.depth]
        timer = _Timer(binding.run, [self.recorder.entries.get(id(row.instruction), []) for row in outer])
        original, binding.run = binding.run, timer
        try:
            begin = perf_counter_ns()
            while timer.runs < FEWEST or (timer.runs < MOST and perf_counter_ns() - begin < ENOUGH):
                binding(values, values)
                if timer.runs == 1:
                    timer.repeat([is_repeatable(row.instruction) for row in outer])
        finally:
            binding.run = original
        return {row.number: median(times) * 1e-9 for row, times in zip(outer, timer.times)}


def is_repeatable(instruction: Any) -> bool:
    """Whether an instruction does the same when it is run again at once: it must not change what it reads."""
    if isinstance(instruction, ProductRun):
        return True
    if isinstance(instruction, ChainRun):
        written = {place.slot for link in instruction.links for place in link.targets}
        made: set[int] = set()
        for link in instruction.links:
            if {place.slot for place in link.sources} & (written - made):
                return False
            made |= {place.slot for place in link.targets}
        return True
    if not isinstance(instruction, KernelRun) or any(output.place is not None for output in instruction.kernel.outputs):
        return False
    return not {place.slot for place in instruction.sources} & {place.slot for place in instruction.targets}


class _Timer:
    """Stands for the function that runs programs: runs one instruction after the other, and notes the time of each."""

    def __init__(self, run: Any, entries: Sequence[list[tuple[int, int]]]):
        self.run = run
        self.entries = entries
        self.times: list[list[float]] = [[] for _ in entries]
        self.repeats = [1] * len(entries)
        self.codes = [self.code(k) for k in range(len(entries))]
        self.runs = 0

    def code(self, k: int) -> array[int]:
        numbers = [number for entry in self.entries[k] for number in entry]
        return array("q", numbers * self.repeats[k])

    def repeat(self, may: Sequence[bool]) -> None:
        """Run short instructions several times in a row from now on, so that the clock is fine enough."""
        for k, is_allowed in enumerate(may):
            if is_allowed:
                self.repeats[k] = max(1, min(1000, int(LONG_ENOUGH / max(self.times[k][-1], 10))))
                self.codes[k] = self.code(k)
        for times in self.times:
            times.clear()

    def __call__(self, code: int, count: int, slots: int) -> int:
        self.runs += 1
        work_left = ctypes.c_int64.from_address(slots + 8 * WORK_LEFT)
        empty = self.elapsed(0, 0, slots)[1]
        for times, own, repeats in zip(self.times, self.codes, self.repeats):
            work_left.value = PATIENCE
            status, elapsed = self.elapsed(own.buffer_info()[0], len(own) // 2, slots)
            if status:
                return status
            times.append(max(elapsed - empty, 0) / repeats)
        return 0

    def elapsed(self, code: int, count: int, slots: int) -> tuple[int, int]:
        start = perf_counter_ns()
        status = self.run(code, count, slots)
        return status, perf_counter_ns() - start
