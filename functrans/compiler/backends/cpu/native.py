"""Native programs: instructions as arrays of numbers, and the calls that run them."""

from __future__ import annotations

import ctypes
from array import array
from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from math import prod
from typing import Any, NamedTuple

import numpy as np

from ....core.avals import ShapedArray
from ....core.jaxpr import Jaxpr, Literal
from ....settings import config
from ...accesses import identity_value
from ...arena import ALIGNMENT
from ...assembly import Assembled, Fused, assemble
from ...costs import cost_of
from ...donation import handed_out, is_of_type
from ...garbage import no_collection
from ...instructions import (
    Block,
    BranchRun,
    ChainRun,
    CheckRun,
    FourierRun,
    KernelRun,
    LibraryRun,
    LoopRun,
    ObjectPlace,
    Place,
    ProductRun,
    PythonRun,
    RecurrenceRun,
    SortRun,
    Step,
    Tape,
    WhileRun,
)
from ...loopnest import Kernel, Output, constant
from ...nests import Nest, scalar_type
from ...unrolling import unrolled
from ..interpreter import InterpretedProgram
from . import arenas, lapack, threads
from .arrays import copy_what_is_not_given, room, usable
from .chains import Link, encoded_chain
from .codegen import kernel_function, supports
from .engine import NAME, engine
from .entry import Entry
from .functions import is_possible
from .lanes import LanesWriter, lanes_work, parts_of
from .layouts import arrange
from .library import division, gemm_arguments, is_large, product_work, threads_of_blas
from .python_steps import python_step
from .recurrences import RecurrenceWriter, recurrence_arguments
from .rows import factor_bits, fourier_arguments, fourier_range, has_library, sort_arguments, sort_work
from .runtime import FRAME, HEADER, LOOK, PATIENCE, THREADS, WORK_LEFT, setting
from .tapes import Reel, Spool, address_of, keep_some, shared_objects
from .tiers import CompilationFailure, Tiers, Written
from .work import is_unbounded, likely_work
from .writer import Writer

#: Raises what is raised inside.
_RUN = ctypes.PYFUNCTYPE(ctypes.c_int64, ctypes.c_void_p, ctypes.c_int64, ctypes.c_void_p)


class NativeProgram:
    """A jaxpr as native code. Machine code depends on structure only; instructions on the strides of arguments too.

    Results that are arguments or constants, and no arrays, are handed on as they are.

    Attributes:
        donated: the numbers of the arguments whose memory it may overwrite and hand out.
    """

    takes_leaves = False

    def __init__(self, jaxpr: Jaxpr, fused: Callable[[Jaxpr], Fused], donated: tuple[int, ...] = ()):
        self.whole = jaxpr
        self.donated = donated
        final = fused(jaxpr).jaxpr
        given: dict[Any, Any] = {v: i for i, v in enumerate(final.inputs)}
        given.update((a, a) for a in final.outputs if isinstance(a, Literal))
        given = {a: source for a, source in given.items() if not isinstance(a.aval, ShapedArray)}
        computed = [a for a in final.outputs if a not in given]
        self.handed_on = [(i, given[a]) for i, a in enumerate(final.outputs) if a in given]
        self.jaxpr = Jaxpr(final.inputs, final.eqns, computed) if self.handed_on else jaxpr  # which is fused already
        self.fused = fused
        self.types = [(v.aval.shape, v.aval.dtype) if isinstance(v.aval, ShapedArray) else None for v in final.inputs]
        numbers = {v: i for i, v in enumerate(final.inputs)}
        sources = [numbers.get(a) if isinstance(a.aval, ShapedArray) and not a.aval.shape else None for a in computed]
        self.outputs = [Result(getattr(a.aval, "weak", False), source) for a, source in zip(computed, sources)]
        self.bindings: dict[tuple[Any, ...], Binding] = {}
        self.interpreted: InterpretedProgram | None = None  # what runs in place of what could not be compiled

    def entries(self, leaves: Sequence[Any]) -> Callable[..., Entry | None] | None:
        """What makes quicker ways to call the program with arguments like these (`Binding.entry`), if there are any."""
        binding = None if self.handed_on else self.bindings.get(self.strides_of(leaves))
        return binding.entry if binding is not None and binding.may_have_entry else None

    def strides_of(self, values: Iterable[Any]) -> tuple[Any, ...]:
        """The key of a binding: the strides of arguments, None for what is no array."""
        return tuple([None if own is None else getattr(x, "strides", ()) for x, own in zip(values, self.types)])

    def __call__(self, *args: Any) -> list[Any]:
        if self.interpreted is not None:
            return self.interpreted(*args)
        values = [
            x if own is None or (type(x) is np.ndarray and x.dtype == own[1] and x.flags.aligned) else usable(x, own[1])
            for x, own in zip(args, self.types)
        ]
        key = self.strides_of(values)
        binding = self.bindings.get(key)
        if binding is None:
            try:
                with no_collection():
                    assembled = assemble(self.jaxpr, self.fused, supports, key, has_library, donated=self.donated)
                    binding = Binding(assembled, self.outputs)
            except CompilationFailure as failure:
                failure.warn("The function is interpreted from now on, which gives the same results more slowly.")
                self.donated, self.interpreted = (), InterpretedProgram(self.fused(self.whole).jaxpr)
                return self.interpreted(*args)
            if len(self.bindings) >= MOST_BINDINGS:
                self.bindings.clear()
            self.bindings[key] = binding
        if binding.overwritten:
            copy_what_is_not_given(values, binding.overwritten)
        results = binding(values, args)
        for i, source in self.handed_on:
            results.insert(i, source.value if isinstance(source, Literal) else args[source])
        return results


class Result(NamedTuple):
    """What the caller gets for a result without axes.

    Attributes:
        is_weak: whether that is a Python scalar.
        argument: the number of the argument that it is, if it is one.
    """

    is_weak: bool
    argument: int | None

    def is_array(self, given: Sequence[Any]) -> bool:
        """Whether it is an array, as the argument that it is."""
        return self.argument is not None and type(given[self.argument]) is np.ndarray


class Frame:
    """Memory that one run of a program needs: slots, the arena, and values that are no arrays.

    Attributes:
        slots: the addresses, after the header.
    """

    def __init__(self, assembled: Assembled):
        self.slots = array("q", [0]) * (HEADER + len(assembled.slots))
        self.assembled = assembled
        self.objects: list[Any] = [None] * assembled.objects
        self.views: dict[int, tuple[int, np.ndarray[Any, Any]]] = {}  # addresses and arrays, by the ids of places
        self.spools: dict[Reel, Spool] = {}  # memory of tapes, kept for the next run
        self.slots[FRAME] = id(self)
        self.slots[WORK_LEFT] = PATIENCE
        self.slots[LOOK] = engine().runtime["look_for_signals"]
        for k, slot in enumerate(assembled.slots, HEADER):
            if slot.kind == "constant":
                self.slots[k] = address_of(slot.value)
        self.pointer = self.slots.buffer_info()[0]
        self.take_arena()

    def take_arena(self) -> None:
        """Get memory for temporaries, and say where they are."""
        size = self.assembled.arena + ALIGNMENT
        found = arenas.take(size) if size >= arenas.LARGE else None
        self.arena = room((size,), np.dtype(np.uint8), "the temporary values") if found is None else found
        base = -(-address_of(self.arena) // ALIGNMENT) * ALIGNMENT
        for k, slot in enumerate(self.assembled.slots, HEADER):
            if slot.kind == "temporary":
                self.slots[k] = base + slot.offset

    def array(self, place: Place) -> np.ndarray[Any, Any]:
        """The array at a place, without a copy."""
        if 0 in place.shape:
            return np.empty(place.shape, place.dtype)
        start = self.slots[HEADER + place.slot] + place.offset
        low = sum((n - 1) * s for n, s in zip(place.shape, place.strides) if s < 0)
        high = sum((n - 1) * s for n, s in zip(place.shape, place.strides) if s > 0) + place.dtype.itemsize
        memory = (ctypes.c_char * (high - low)).from_address(start + low)
        return np.ndarray(place.shape, place.dtype, memory, -low, place.strides)

    def view(self, place: Place) -> np.ndarray[Any, Any]:
        """The same, for a place that lives as long as the program: not made anew while it is where it was."""
        start = self.slots[HEADER + place.slot]
        known = self.views.get(id(place))
        if known is None or known[0] != start:
            known = self.views[id(place)] = (start, self.array(place))
        return known[1]


class Binding:
    """A program for arguments of some strides, ready to run. Frames are kept for the next call, one for each thread
    that calls at the same time."""

    def __init__(self, assembled: Assembled, outputs: Sequence[Result]):
        self.assembled = assembled
        self.outputs = outputs
        self.kept: list[Any] = []  # what instructions point to
        self.is_divided = self.has_products = False
        encoder = self.encoder()
        with no_collection():
            self.code, self.count = encoder.block(assembled.block)
        self.tiers = Tiers(encoder.kernels)
        self.argument_slots = [
            (i, HEADER + place.slot) for i, place in enumerate(assembled.arguments) if isinstance(place, Place)
        ]
        self.argument_objects = [
            (i, place.number) for i, place in enumerate(assembled.arguments) if isinstance(place, ObjectPlace)
        ]
        self.overwritten = assembled.overwritten
        self.handed_out = handed_out(assembled)
        self.frames: list[Frame] = []
        self.lends_arena = assembled.arena + ALIGNMENT >= arenas.LARGE
        self.runs = 0
        self.entries: dict[tuple[Any, ...], tuple[Entry, Frame]] = {}  # by the types of scalars among the arguments
        self.is_long = encoder.work > LONG or encoder.is_unbounded
        self.run = _RUN(engine().runtime["run_sharing" if self.is_long else "run_program"])

    def encoder(self) -> Encoder:
        """What turns the instructions to numbers."""
        return Encoder(self)

    def frame(self) -> Frame:
        """Memory that nobody else uses."""
        try:
            frame = self.frames.pop()
        except IndexError:
            return Frame(self.assembled)
        if self.lends_arena:
            frame.take_arena()
        return frame

    def __call__(self, values: Sequence[Any], given: Sequence[Any]) -> list[Any]:
        """The results for some arguments, `given` as what they were before they became arrays."""
        self.runs += 1
        if self.tiers.calls_left[0] <= 0:
            self.tiers.improve()
        self.tiers.calls_left[0] -= 1
        frame = self.frame()
        slots = frame.slots
        slots[WORK_LEFT] = PATIENCE
        for i, slot in self.argument_slots:
            slots[slot] = address_of(values[i])
        for i, number in self.argument_objects:
            frame.objects[number] = values[i]
        results: list[Any] = []
        for k, place in enumerate(self.assembled.results):
            if isinstance(place, ObjectPlace):
                results.append(None)
                continue
            if k in self.handed_out:
                given_away = values[self.handed_out[k]]
                is_same = is_of_type(given_away, place)
                results.append(given_away if is_same else np.ndarray(place.shape, place.dtype, given_away))
                continue
            result = room(place.shape, place.dtype, f"result {len(results)}")
            slots[HEADER + place.slot] = address_of(result)
            results.append(result)
        if self.is_divided:
            slots[THREADS] = threads.awake(config.threads)
        with threads_of_blas() if self.has_products else nullcontext():
            self.run(self.code, self.count, frame.pointer)
        for i, place in enumerate(self.assembled.results):
            if isinstance(place, ObjectPlace):
                results[i] = frame.objects[place.number]
            elif not place.shape and not self.outputs[i].is_array(given):
                results[i] = results[i].item() if self.outputs[i].is_weak else results[i][()]
        frame.objects[:] = [None] * len(frame.objects)  # stacks may be large
        keep_some(frame.spools)
        if self.lends_arena:
            arenas.give_back(frame.arena)
            del frame.arena
        self.frames.append(frame)
        return results

    @property
    def may_have_entry(self) -> bool:
        """Whether there is a quicker way. What is called once needs none, and the first in a process takes a while."""
        is_simple = not (self.has_products or self.assembled.objects or self.lends_arena)
        return is_simple and self.runs >= 2 and is_possible()

    def entry(self, leaves: Sequence[Any], inside: Nest, outside: Nest | int) -> Entry | None:
        """A quicker way to call this program with such arguments, if they are of types that it takes.

        Args:
            leaves: those of the arguments, in the order of their numbers in `inside`, a tuple of arguments.
            outside: what is to be returned, with the numbers of results.
        """
        places = self.assembled.arguments
        scalars = [scalar_type(x, place.dtype) for x, place in zip(leaves, places)]  # type: ignore[union-attr]
        if any(scalar is NotImplemented for scalar in scalars):
            return None
        key = (*scalars, inside, outside)
        found = self.entries.get(key)
        if found is None:
            if len(self.entries) >= MOST_ENTRIES:
                self.entries.clear()
            frame = self.frame()  # that of the last call, now the entry's own
            arguments: Any = list(zip(places, scalars))
            made = [None if output.is_array(leaves) else output.is_weak for output in self.outputs]
            results: Any = list(zip(self.assembled.results, made))
            program = self.code, self.count, frame.slots, self.tiers.calls_left
            donated = self.overwritten, self.handed_out
            entry = Entry(arguments, results, inside, outside, program, self.is_long, donated, (self, frame))
            found = self.entries.setdefault(key, (entry, frame))  # another thread may have been quicker
        entry, frame = found
        if self.is_divided:
            frame.slots[THREADS] = threads.awake(config.threads)
        return entry


#: How many sets of strides a program is kept ready for, and how many structures and types of scalars with each.
MOST_BINDINGS, MOST_ENTRIES = 16, 16
#: The work of programs that let other Python threads run meanwhile, about in nanoseconds.
LONG = 20_000
#: How many steps a loop is thought to take if that is not known.
UNKNOWN_LENGTH = 1000
#: The work that is worth dividing among threads, and that of a thread in addition to two, about in nanoseconds.
WORTH_THREADS, WORTH_THREAD = 60_000, 30_000


class Range(NamedTuple):
    """What threads may share.

    Attributes:
        grain: what parts are multiples of.
        work: that of all, about in nanoseconds.
    """

    extent: int
    grain: int
    work: int


class Encoder:
    """Turns instructions to numbers."""

    def __init__(self, binding: Binding):
        self.binding = binding
        self.slot_count = HEADER + len(binding.assembled.slots)
        self.runtime = engine().runtime
        self.work = 0
        self.shared: set[int] | None = None  # objects that others than tapes may see, once somebody asks
        self.is_unbounded = False  # whether there are loops of which nobody knows how long they take
        self.kernels: list[Written] = []

    def keep(self, numbers: Sequence[int]) -> array[int]:
        kept = array("q", numbers)
        self.binding.kept.append(kept)
        return kept

    def address(self, numbers: Sequence[int]) -> int:
        """The address of an array of these numbers, which lives as long as the program."""
        return self.keep(numbers).buffer_info()[0]

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
        links = self.links(run)
        for link in links:
            self.work += link.work
        code: list[tuple[int, int]] = []
        for link in links:
            divisible = link.extent > 1 and all(o.place is None for o in run.kernel.outputs)
            is_divided = divisible and link.work > WORTH_THREADS
            range_ = Range(link.extent, link.grain, link.work)
            code.append(self.spread(range_, is_divided, link.arguments, link.writer))
        return code

    def links(self, run: KernelRun, keeps_first: bool = False) -> list[Link]:
        """A kernel, after what fills its results if it adds to them.

        Args:
            keeps_first: the first axis stays that of the outermost loop.
        """
        if 0 in run.kernel.shape:
            return []
        run = unrolled(run, keeps_first)
        arranged = arrange(run.kernel, run.sources, run.targets, engine().features.get("fma", False), keeps_first)
        before: list[Link] = []
        if arranged.begins:
            for output, target in zip(run.kernel.outputs, run.targets):
                if output.place is None:
                    before += self.links(filling(output, target), keeps_first)
        work = prod(run.kernel.shape) * (5 + cost_of(run.kernel)) // 10
        writer = kernel_function(run.kernel, arranged.layout, NAME)
        return [*before, Link(arranged.extent, arranged.grain, work, arranged.arguments, writer)]

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
            self.binding.is_divided = True
            head = [threads.POOL, head[0], max(2, work // WORTH_THREAD), extent, grain]
        arguments = self.keep([*head, *numbers])
        if isinstance(writer, Writer):
            self.kernels.append(Written(arguments, int(is_divided), writer, work, is_guess))
        return self.runtime["run_parallel" if is_divided else "run_kernel"], arguments.buffer_info()[0]

    def ChainRun(self, run: ChainRun) -> list[tuple[int, int]]:
        chain = encoded_chain(self, run.links, run.rows, run.own)
        self.work += chain.work
        are_large = any(isinstance(link, ProductRun) and is_large(link) for link in run.links)
        is_divided = chain.work > WORTH_THREADS and (not are_large or threads_of_blas().can_be_set)
        self.binding.has_products |= are_large and is_divided
        range_ = Range(run.rows, chain.numbers[0], chain.work)
        code = self.spread(range_, is_divided, chain.numbers, self.runtime["run_rows"])
        arguments = self.binding.kept[-1]
        self.kernels += chain.written(arguments, len(arguments) - len(chain.numbers))
        return [code]

    def ProductRun(self, run: ProductRun) -> list[tuple[int, int]]:
        extent, parts, are_large = division(run, threads.available())
        is_divided = extent > 1
        self.binding.has_products |= is_divided and are_large
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
        return [self.call_of_python(python_step(run))]

    def LibraryRun(self, run: LibraryRun) -> list[tuple[int, int]]:
        batch, *extents = run.places[0].shape
        work = batch * prod(extents) * min(extents) // 4
        self.work += work
        constants = self.keep(lapack.constants(run))
        numbers = lapack.library_arguments(run, constants.buffer_info()[0])
        if run.name == "permute":
            return [(self.runtime["run_permute"], self.address(numbers))]
        is_divided = work > WORTH_THREADS and lapack.is_shared(run)
        self.binding.has_products |= lapack.would_wait(run, is_divided)
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

    def call_of_python(self, function: Callable[[Frame], None]) -> tuple[int, int]:
        """The instruction that calls a Python function with the frame."""
        self.binding.kept.append(function)
        return self.runtime["run_python"], self.address([id(function)])

    def reel(self, tape: Tape, *length_and_ways: Any) -> Reel:
        """What Python does for a tape."""
        if self.shared is None:
            self.shared = shared_objects(self.binding.assembled)
        return Reel(tape, *length_and_ways, self.shared)

    def with_tape(self, reel: Reel | None, loop: tuple[int, int]) -> list[tuple[int, int]]:
        """A loop between what begins its stacks and what ends them."""
        if reel is None:
            return [loop]
        after = [self.call_of_python(reel.end)] if reel.ends else []
        return [self.call_of_python(reel.begin), loop, *after]

    def tape_numbers(self, reel: Reel | None) -> int:
        """The address of what a loop needs to know of its tape, 0 without one."""
        if reel is None:
            return 0
        _, turns = self.call_of_python(reel.turn)
        entries = [number for slot, way in reel.ways for number in (slot, 0, 0, way)]
        return self.address([reel.limit, turns, len(entries) // 4, *entries])

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
        tape = self.tape_numbers(reel)
        numbers = [code, count, length, *where, step_work, len(run.steps), len(run.swaps), tape]
        for slot, whole in run.steps:
            stride = whole.strides[0]
            first = whole.offset + (max(length - 1, 0) * stride if run.reverse else 0)
            numbers += [HEADER + slot, HEADER + whole.slot, first, -stride if run.reverse else stride]
        numbers += [HEADER + slot for pair in run.swaps for slot in pair]
        loop = self.runtime["run_taped_loop" if tape else "run_loop"], self.address(numbers)
        return [*self.begun(run.begins), *self.with_tape(reel, loop)]

    def begun(self, begins: Sequence[Step]) -> list[tuple[int, int]]:
        """What sets the slots of a carry: a loop of one step in which nothing is done."""
        return [(self.runtime["run_loop"], self.address(setting(self.address([0]), begins)))] if begins else []

    def RecurrenceRun(self, run: RecurrenceRun) -> list[tuple[int, int]]:
        is_guess = is_unbounded(run)
        self.is_unbounded |= is_guess
        numbers, reel = recurrence_arguments(run), None
        for python in run.otherwise:
            numbers += [number for pair in self.PythonRun(python) for number in pair]
        if run.recurrence.lanes is not None:
            return [self.lanes(run, numbers)]
        if run.tape is not None:
            steps = None if run.count is not None else run.length
            reel = self.reel(run.tape, steps, run.count, run.is_reverse, True)
            numbers += [reel.limit, *self.call_of_python(reel.turn)]
        work = likely_work(run.recurrence.statements)
        self.work += work
        arguments = self.keep([0, *numbers])
        self.kernels.append(Written(arguments, 0, RecurrenceWriter(run).function(NAME), work, is_guess))
        return self.with_tape(reel, (self.runtime["run_function"], arguments.buffer_info()[0]))

    def lanes(self, run: RecurrenceRun, numbers: Sequence[int]) -> tuple[int, int]:
        """A recurrence of many lanes, which threads share."""
        extent, work = parts_of(run.recurrence.lanes), lanes_work(run)
        self.work += work
        writer = LanesWriter(run).function(NAME)
        return self.spread(Range(extent, 1, work), work > WORTH_THREADS, numbers, writer, is_unbounded(run))

    def WhileRun(self, run: WhileRun) -> list[tuple[int, int]]:
        work, before = self.work, len(self.kernels)
        test, test_count = self.block(run.test)
        code, count = self.block(run.body)
        step_work = self.work - work + 1
        self.repeat(before, None, step_work)
        self.is_unbounded = True
        reel = None if run.tape is None else self.reel(run.tape, None, run.count, False, False)
        tape = self.tape_numbers(reel)
        numbers = [
            test, test_count, code, count, HEADER + run.going.slot, run.going.offset, HEADER + run.count.slot,
            run.count.offset, step_work, len(run.swaps), tape,
        ]  # fmt: skip
        numbers += [HEADER + slot for pair in run.swaps for slot in pair]
        loop = self.runtime["run_taped_while" if tape else "run_while"], self.address(numbers)
        return [*self.begun(run.begins), *self.with_tape(reel, loop)]

    def BranchRun(self, run: BranchRun) -> list[tuple[int, int]]:
        blocks = [number for block in run.blocks for number in self.block(block)]
        return [(self.runtime["run_branch"], self.address([HEADER + run.index.slot, run.index.offset, *blocks]))]


def filling(output: Output, target: Place) -> KernelRun:
    """What puts into the result of a reduction what it begins with."""
    dtype = output.expression.dtype
    number = Output(constant(identity_value(output.combine, dtype), dtype), None)
    return KernelRun(Kernel(target.shape, 0, (number,), ()), (), (target,))
