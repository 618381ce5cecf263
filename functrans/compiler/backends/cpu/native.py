"""Native programs: what their instructions point to, and the calls that run them."""

from __future__ import annotations

import ctypes
from array import array
from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from typing import Any, NamedTuple

import numpy as np

from ....core.avals import ShapedArray
from ....core.jaxpr import Jaxpr, Literal
from ...arena import ALIGNMENT
from ...assembly import Assembled, Fused, assemble
from ...donation import handed_out, is_of_type
from ...garbage import no_collection
from ...nests import Nest, scalar_type
from ...places import ObjectPlace, Place
from ..interpreter import InterpretedProgram
from . import arenas, threads
from .arrays import copy_what_is_not_given, room, usable
from .codegen import supports
from .encoding import Encoder
from .engine import engine
from .entry import Entry, Interface
from .functions import is_possible
from .library import threads_of_blas
from .rows import has_library
from .runtime import FRAME, HEADER, LOOK, PATIENCE, THREADS, WORK_LEFT
from .tapes import address_of, keep_some, layout_of
from .tiers import CompilationFailure, Tiers

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
        """The key of a binding: the strides of arguments, or where stacks are."""
        return tuple([layout_of(x) if own is None else getattr(x, "strides", ()) for x, own in zip(values, self.types)])

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
        arena: the memory of temporaries; None while the frame has none.
    """

    def __init__(self, assembled: Assembled):
        self.slots = array("q", [0]) * (HEADER + len(assembled.slots))
        self.assembled = assembled
        self.objects: list[Any] = [None] * assembled.objects
        self.views: dict[int, tuple[int, np.ndarray[Any, Any]]] = {}  # addresses and arrays, by the ids of places
        self.spools: dict[Any, Any] = {}  # memory of tapes, kept for the next run
        self.slots[FRAME] = id(self)
        self.slots[WORK_LEFT] = PATIENCE
        self.slots[LOOK] = engine().runtime["look_for_signals"]
        for k, slot in enumerate(assembled.slots, HEADER):
            if slot.kind == "constant":
                self.slots[k] = address_of(slot.value)
        self.pointer = self.slots.buffer_info()[0]
        self.arena: arenas.Arena | None = None

    def take_arena(self, is_lent: bool) -> None:
        """Get memory for temporaries, and say where they are.

        Args:
            is_lent: whether it is given back after the run.
        """
        size = self.assembled.arena + ALIGNMENT
        found = arenas.take(size) if is_lent or size >= arenas.WORTH else None
        if found is None:
            found = room((arenas.roomy(size) if is_lent else size,), np.dtype(np.uint8), "the temporary values")
        self.arena = found
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
        encoder = self.encoder()
        with no_collection():
            self.code, self.count = encoder.block(assembled.block)
        self.kept, self.is_divided = encoder.kept, encoder.is_divided
        self.is_apart_from_blas = encoder.is_apart_from_blas
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
        self.size = assembled.arena + ALIGNMENT
        self.lends_arena = self.size >= arenas.LARGE
        self.runs = 0
        self.entries: dict[tuple[Any, ...], tuple[Entry, Frame]] = {}  # by the types of scalars among the arguments
        self.is_long = encoder.work > LONG or encoder.is_unbounded
        self.run = _RUN(engine().runtime["run_sharing" if self.is_long else "run_program"])

    def encoder(self) -> Encoder:
        """What turns the instructions to numbers."""
        return Encoder(self.assembled)

    def frame(self, is_lent: bool = False) -> Frame:
        """Memory that nobody else uses.

        Args:
            is_lent: whether the arena is given back after the run.
        """
        try:
            frame = self.frames.pop()
        except IndexError:
            frame = Frame(self.assembled)
        if frame.arena is None:
            frame.take_arena(is_lent)
        return frame

    def __call__(self, values: Sequence[Any], given: Sequence[Any]) -> list[Any]:
        """The results for some arguments, `given` as what they were before they became arrays."""
        self.runs += 1
        if self.tiers.calls_left[0] <= 0:
            self.tiers.improve()
        self.tiers.calls_left[0] -= 1
        is_lent = self.lends_arena or (self.runs == 1 and self.size >= arenas.WORTH)
        frame = self.frame(is_lent)
        slots = frame.slots
        slots[WORK_LEFT] = PATIENCE
        for i, slot in self.argument_slots:
            slots[slot] = address_of(values[i])
        for i, number in self.argument_objects:
            frame.objects[number] = values[i]
        results = self.rooms(values, slots)
        if self.is_divided:
            slots[THREADS] = threads.awake()
        with threads_of_blas() if self.is_apart_from_blas else nullcontext():
            self.run(self.code, self.count, frame.pointer)
        self.unpack(results, frame, given)
        frame.objects[:] = [None] * len(frame.objects)  # stacks may be large
        keep_some(frame.spools)
        if is_lent and frame.arena is not None:
            arenas.give_back(frame.arena)
            frame.arena = None
        self.frames.append(frame)
        return results

    def rooms(self, values: Sequence[Any], slots: array[int]) -> list[Any]:
        """The arrays that the program writes results to, donated arguments among them; None for what is no array."""
        found: list[Any] = []
        for k, place in enumerate(self.assembled.results):
            if isinstance(place, ObjectPlace):
                found.append(None)
            elif k in self.handed_out:
                given_away = values[self.handed_out[k]]
                is_same = is_of_type(given_away, place)
                found.append(given_away if is_same else np.ndarray(place.shape, place.dtype, given_away))
            else:
                found.append(room(place.shape, place.dtype, f"result {k}"))
                slots[HEADER + place.slot] = address_of(found[k])
        return found

    def unpack(self, results: list[Any], frame: Frame, given: Sequence[Any]) -> None:
        """Put in place what is no array, and numbers for arrays without axes."""
        for i, (place, output) in enumerate(zip(self.assembled.results, self.outputs)):
            if isinstance(place, ObjectPlace):
                results[i] = frame.objects[place.number]
            elif not place.shape and not output.is_array(given):
                results[i] = results[i].item() if output.is_weak else results[i][()]

    @property
    def may_have_entry(self) -> bool:
        """Whether there is a quicker way. What is called once needs none, and the first in a process takes a while."""
        is_simple = not (self.is_apart_from_blas or self.assembled.objects or self.lends_arena)
        return is_simple and self.runs >= 2 and is_possible()

    def entry(self, leaves: Sequence[Any], inside: Nest, outside: Nest | int) -> Entry | None:
        """A quicker way to call this program with such arguments, if they are of types that it takes.

        Args:
            leaves: those of the arguments, in the order of their numbers in `inside`, a tuple of arguments.
            outside: what is to be returned, with the numbers of results.
        """
        places = self.assembled.arguments
        scalars = [scalar_type(x, place.dtype) for x, place in zip(leaves, places)]
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
            interface = Interface(arguments, results, inside, outside)
            entry = Entry(interface, program, self.is_long, donated, (self, frame))
            found = self.entries.setdefault(key, (entry, frame))  # another thread may have been quicker
        entry, frame = found
        if self.is_divided:
            frame.slots[THREADS] = threads.awake()
        return entry


#: How many sets of strides a program is kept ready for, and how many structures and types of scalars with each.
MOST_BINDINGS, MOST_ENTRIES = 16, 16
#: The work of programs that let other Python threads run meanwhile, about in nanoseconds.
LONG = 20_000
