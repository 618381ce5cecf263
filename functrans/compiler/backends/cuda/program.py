"""Programs for a GPU: instructions as launches, and the calls that run them.

A program is one native call, as on the CPU: the machine of the CPU backend goes through instructions that launch
kernels, and follows loops and branches. What these depend on is read back; all else happens when the GPU gets to it.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Collection, Sequence
from typing import Any, Final, NamedTuple

import numpy as np

from ....core.avals import ShapedArray
from ....core.devices import place_of
from ....core.jaxpr import Jaxpr
from ....core.trace import EVAL, running
from ....errors import UnsupportedArgumentError
from ....settings import changes, config
from ....source import user_traceback
from ...assembly import Fused, assemble
from ...donation import handed_out, is_of_type, shared_arrays
from ...instructions import CheckRun
from ...places import ObjectPlace, Place
from ..cpu.functions import is_possible
from ..cpu.runtime import HEADER, PATIENCE, WORK_LEFT
from .device import Device
from .encoded import Encoded, Extra
from .encoding import Encoder
from .entry import Leaf, Made, entry
from .failures import explained, failure, raise_out_of_bounds, raise_refused
from .frames import Counters, Frame, Frames, is_lent, room
from .layouts import VECTOR
from .numbers import bits_of
from .operations import supports
from .runtime import functions

_RUN = ctypes.PYFUNCTYPE(ctypes.c_int64, ctypes.c_void_p, ctypes.c_int64, ctypes.c_void_p)


class Layout(NamedTuple):
    """What launches depend on of an argument: its strides, whether its address is aligned, and whether it is a number
    of the host."""

    strides: tuple[int, ...]
    is_aligned: bool
    is_number: bool = False


#: A number of the host.
NUMBER: Final = Layout((), True, True)


class Entry(NamedTuple):
    """A quicker way to call a program; it returns NotImplemented for arguments that it is not for."""

    call: Callable[..., Any]


class CudaProgram:
    """A jaxpr for a GPU. Launches depend on the strides of arguments, and on whether their addresses are aligned.

    Results that are arguments are handed on as they are, but for donated ones.

    Attributes:
        donated: the numbers of the arguments whose memory it may overwrite and hand out.
        takes_leaves: what `entry` makes takes leaves, whatever the structure of the arguments is.
    """

    takes_leaves = True

    def __init__(
        self, jaxpr: Jaxpr, fused: Callable[[Jaxpr], Fused], device: Device, donated: tuple[int, ...] = ()
    ):
        final = fused(jaxpr).jaxpr
        self.device = device
        self.fused = fused
        self.donated = donated
        self.given = handed_on(final, donated)
        self.outputs = final.outputs
        self.hands_on = any(a in self.given for a in self.outputs)
        self.jaxpr = computed_part(jaxpr, fused, donated)
        self.types = [(v.aval.shape, v.aval.dtype) if isinstance(v.aval, ShapedArray) else None for v in final.inputs]
        self.is_weak = [getattr(a.aval, "weak", False) for a in self.jaxpr.outputs]
        self.bindings: dict[tuple[Any, ...], Binding] = {}
        self._state = -1  # of the settings
        self._flags: tuple[bool, ...] = ()

    def __call__(self, *args: Any) -> list[Any]:
        values = [x if own is None else self.argument(x, *own) for x, own in zip(args, self.types)]
        pointers, key = self.placed(values)
        binding = self.binding(key)
        if binding.overwritten:
            self.copy_what_is_not_given(values, pointers, binding.overwritten)
        results = iter(binding(values, pointers))
        return [args[self.given[a]] if a in self.given else next(results) for a in self.outputs]

    def entries(self, leaves: Sequence[Any]) -> Callable[..., Any] | None:
        """What makes quicker ways to call the program, if there may be any."""
        return None if self.hands_on or None in self.types else self.entry

    def entry(self, leaves: Sequence[Any], inside: Any, outside: Any) -> Entry | None:
        """A quicker way to call the program, for arrays of these types and layouts, and numbers of these types.

        It is good for as long as no setting changes.
        """
        device, is_single = self.device, isinstance(outside, int)
        is_there = [device.is_array(x) for x in leaves]
        if not any(is_there):
            return None
        binding = self.bindings.get(self.placed(leaves)[1])
        if binding is None:
            return None
        expected = [
            (type(x), *own, *self.layout(x)[:2]) if is_array else (type(x), None, None, None, True)
            for x, own, is_array in zip(leaves, self.types, is_there)
        ]
        count, pointer_of, is_array = len(expected), device.pointer, device.is_array
        overwritten = binding.overwritten

        def call(*args: Any) -> Any:
            if len(args) != count or not device.is_current():
                return NotImplemented
            pointers = []
            for x, (kind, shape, dtype, strides, is_aligned) in zip(args, expected):
                if type(x) is not kind:
                    return NotImplemented
                if dtype is None:
                    pointers.append(0)
                    continue
                pointer = pointer_of(x)
                is_usual = x.dtype == dtype and x.shape == shape and x.strides == strides and is_array(x)
                if not is_usual or (pointer % VECTOR == 0) is not is_aligned:
                    return NotImplemented
                if not is_aligned:
                    check_address(len(pointers), pointer, x)
                pointers.append(pointer)
            values = args
            if overwritten:
                values = list(args)
                self.copy_what_is_not_given(values, pointers, overwritten)
            try:
                results = binding(values, pointers)
            except Exception as error:
                shown = explained(error, device.name, device.recent)
                raise shown.with_traceback(user_traceback(error.__traceback__))  # noqa: B904
            return results[0] if is_single else tuple(results)

        if all(is_there):
            return Entry(binding.natively(leaves, call, is_single) or call)
        return Entry(call)

    def argument(self, x: Any, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Any:
        """An argument on the device: arrays must be there, numbers are told to a kernel."""
        if self.device.is_array(x):
            return x if x.dtype == dtype else x.astype(dtype)
        return x if not shape else self.device.upload(np.asarray(x, dtype))

    def copy_what_is_not_given(self, values: list[Any], pointers: list[int], overwritten: Sequence[int]) -> None:
        """Replace arguments that are to be overwritten by copies, unless their memory is theirs alone."""
        device = self.device
        arrays = {i: x for i, x in enumerate(values) if device.is_array(x)}
        shared = shared_arrays(arrays, {i: pointers[i] for i in arrays}, overwritten)
        for i in overwritten:
            if i in shared or not device.owns_memory(values[i]):
                values[i] = values[i].copy()
                pointers[i] = device.pointer(values[i])

    def layout(self, x: Any) -> Layout:
        """What launches depend on of an argument."""
        if not self.device.is_array(x):
            return NUMBER
        return Layout(x.strides, self.device.pointer(x) % VECTOR == 0)

    def placed(self, values: Sequence[Any]) -> tuple[list[int], tuple[Any, ...]]:
        """The addresses of arguments, and the key of what is bound to arguments like these."""
        device, pointers = self.device, []
        key: list[Any] = [*self.flags()]
        is_array, pointer_of = device.is_array, device.pointer
        for i, x in enumerate(values):
            if is_array(x):
                pointer = pointer_of(x)
                is_aligned = not pointer % VECTOR
                if not is_aligned:
                    check_address(i, pointer, x)
                pointers.append(pointer)
                key += (x.strides, is_aligned)
            else:
                pointers.append(0)
                key.append(None)
        return pointers, tuple(key)

    def flags(self) -> tuple[bool, ...]:
        """The settings that launches depend on."""
        if self._state != changes.count or changes.blocks:
            self._flags = config.deterministic, config.synchronous, config.cuda_graphs
            self._state = -1 if changes.blocks else changes.count
        return self._flags

    def binding(self, key: tuple[Any, ...]) -> Binding:
        """The program for arguments of some layouts."""
        found = self.bindings.get(key)
        if found is None:
            parts = iter(key[len(self.flags()) :])
            layouts = [
                None if own is None else NUMBER if strides is None else Layout(strides, next(parts))
                for own, strides in zip(self.types, parts)
            ]
            check_strides(layouts, self.types)
            encoder = bound(self.jaxpr, self.fused, layouts, self.device.processors, self.donated)
            found = self.bindings[key] = Binding(encoder, self)
        return found


def check_address(number: int, pointer: int, x: Any) -> None:
    """Refuse an array whose elements a GPU cannot read.

    Raises:
        UnsupportedArgumentError: its address is no multiple of what its elements are aligned to.
    """
    size = x.dtype.itemsize // (2 if x.dtype.kind == "c" else 1)
    if pointer % size and 0 not in x.shape:
        raise _unreadable(number, f"begins at an address that is no multiple of {size}", x.dtype)


def check_strides(layouts: Sequence[Layout | None], types: Sequence[Any]) -> None:
    """Refuse arrays with elements that lie where a GPU cannot read them.

    Raises:
        UnsupportedArgumentError: the way from one to the next is no multiple of what they are aligned to.
    """
    for i, (layout, own) in enumerate(zip(layouts, types)):
        if layout is None:
            continue
        shape, dtype = own
        size = dtype.itemsize // (2 if dtype.kind == "c" else 1)
        if any(s % size for n, s in zip(shape, layout.strides) if n > 1):
            raise _unreadable(i, f"has strides that are no multiples of {size} bytes", dtype)


def _unreadable(number: int, what: str, dtype: np.dtype[Any]) -> UnsupportedArgumentError:
    return UnsupportedArgumentError(
        f"Argument {number} of a compiled function, an array of {dtype} on a GPU, {what}.",
        "Kernels read elements only where they are aligned to their size.",
        "Copy its bytes to an array of its own: `x.view('u1').copy().view(dtype)` of contiguous memory.",
    )


def handed_on(final: Jaxpr, donated: Collection[int]) -> dict[Any, int]:
    """The inputs that become results as they are, and their numbers. Of donated arrays the program takes care."""
    return {v: i for i, v in enumerate(final.inputs) if i not in donated or not isinstance(v.aval, ShapedArray)}


def computed_part(jaxpr: Jaxpr, fused: Callable[[Jaxpr], Fused], donated: Collection[int] = ()) -> Jaxpr:
    """The program of those results that are not handed on."""
    final = fused(jaxpr).jaxpr
    given = handed_on(final, donated)
    computed = [a for a in final.outputs if a not in given]
    return jaxpr if len(computed) == len(final.outputs) else Jaxpr(final.inputs, final.eqns, computed)


def bound(
    jaxpr: Jaxpr,
    fused: Callable[[Jaxpr], Fused],
    layouts: Sequence[Layout | None],
    processors: int,
    donated: tuple[int, ...] = (),
) -> Encoder:
    """The launches of a program, for arguments of some layouts; no device is needed."""
    strides = [None if own is None else own.strides for own in layouts]
    assembled = assemble(jaxpr, fused, supports, strides, has_launches=True, donated=donated)
    is_aligned = [own is not None and own.is_aligned for own in layouts]
    is_number = [own is not None and own.is_number for own in layouts]
    return Encoder(assembled, is_aligned, is_number, processors)


class Binding:
    """A program for arguments of some layouts, ready to run."""

    def __init__(self, encoder: Encoder, program: CudaProgram):
        device = self.device = program.device
        self.is_weak = program.is_weak
        self.encoded: Encoded = encoder.encoded(device)
        assembled = self.encoded.assembled
        self.constants = {k: device.upload(s.value) for k, s in enumerate(assembled.slots) if s.kind == "constant"}
        self.counters = Counters(device) if self.encoded.counts_blocks else None
        if self.constants or self.counters:
            device.synchronize()  # other streams may be the next to read them
        self.overwritten = assembled.overwritten
        self.handed_out = handed_out(assembled)
        numbers = {i for i, _ in self.encoded.numbers}
        arguments = list(enumerate(assembled.arguments))
        self.arrays = [(i, HEADER + p.slot) for i, p in arguments if isinstance(p, Place) and i not in numbers]
        self.objects = [(i, p.number) for i, p in arguments if isinstance(p, ObjectPlace)]
        self.numbers = [(i, place.dtype) for i, place in self.encoded.numbers]
        self.results = [
            (0, (), None) if isinstance(p, ObjectPlace) or k in self.handed_out else (HEADER + p.slot, p.shape, p.dtype)
            for k, p in enumerate(assembled.results)
        ]
        has_lent = is_lent(self.encoded)
        self.prepares = has_lent or bool(assembled.objects or self.numbers) or self.encoded.has_products
        self.finishes = has_lent or bool(assembled.objects or self.handed_out) or any(self.is_weak)
        self.first_number = HEADER + self.encoded.first_number
        self.stream_slot, self.error_slot = map(self.encoded.extra, (Extra.STREAM, Extra.ERROR))
        self.frames = Frames()
        self.by_stream = self.frames.by_stream
        self.remember = device.recent.add
        self.run = _RUN(functions()["run_program" if self.encoded.calls_python else "run_sharing"])

    def __call__(self, values: Sequence[Any], pointers: Sequence[int]) -> list[Any]:
        device, encoded = self.device, self.encoded
        stream, key = device.stream()
        frames = self.by_stream.get(key)
        if frames is None:
            frames = self.frames.on(key)
        try:
            frame = frames.pop()
        except IndexError:
            frame = Frame(encoded, device, self.constants, self.counters)
        slots, results = frame.slots, []
        empty, pointer_of = device.empty, device.pointer
        slots[WORK_LEFT] = PATIENCE
        slots[self.stream_slot] = stream
        slots[self.error_slot] = 0
        for i, slot in self.arrays:
            slots[slot] = pointers[i]
        for slot, shape, dtype in self.results:
            try:
                result = None if dtype is None else empty(shape, dtype)
            except MemoryError:
                result = room(device, shape, dtype, f"result {len(results)}")
            if slot:
                slots[slot] = pointer_of(result)
            results.append(result)
        if self.prepares:
            self.prepare(frame, values)
        self.remember(encoded)
        if encoded.calls_python:
            with place_of([*values, *results]), running(EVAL), np.errstate(all="ignore"):
                status = self.run(encoded.code, encoded.count, frame.pointer)
        else:
            status = self.run(encoded.code, encoded.count, frame.pointer)
        if status or encoded.checks:
            self.look_for_errors(frame)
        if self.finishes:
            self.finish(frame, values, results)
        frames.append(frame)
        return results

    def natively(self, leaves: Sequence[Any], call: Callable[..., Any], is_single: bool) -> Callable[..., Any] | None:
        """A way to run it that is no Python, on the current stream and for arrays like these; None if there is none.

        Args:
            call: the way in Python.
            is_single: whether there is one result, which is to be returned as such.
        """
        device, encoded = self.device, self.encoded
        quick = device.quick()
        needs_python = self.prepares or self.finishes or self.overwritten or encoded.checks or encoded.calls_python
        if quick is None or needs_python or not is_possible():
            return None
        if any(device.pointer(x) % VECTOR for x in leaves):
            return None
        (number, key), stream = device.stream(), quick.stream_of(quick.number)
        if key is not stream:  # one that is another one in each thread
            return None
        try:
            frame = self.frames.on(key).pop()
        except IndexError:
            frame = Frame(encoded, device, self.constants, self.counters)
        frame.slots[self.stream_slot] = number
        own = [Leaf(slot, leaves[i].dtype, leaves[i].shape, leaves[i].strides) for i, slot in self.arrays]
        made = [Made(slot, shape, dtype) for slot, shape, dtype in self.results if dtype is not None]
        run = encoded.code, encoded.count, frame.slots, self.error_slot
        context_of, remember = device.entry("cuCtxGetCurrent"), (self.remember, encoded)
        found, held = entry(quick, stream, own, made, is_single, run, context_of, remember, call, (self, frame))
        self.frames.held.add(held)
        return found

    def prepare(self, frame: Frame, values: Sequence[Any]) -> None:
        """What most programs need not have: memory for each call, objects, numbers, and products of matrices."""
        slots = frame.slots
        frame.take_arena()
        if self.encoded.has_products:
            slots[self.encoded.extra(Extra.BLAS)] = self.device.blas()
        for i, number in self.objects:
            frame.objects[number] = values[i]
        where = self.first_number
        for i, dtype in self.numbers:
            for bits in bits_of(values[i], dtype):
                slots[where] = bits
                where += 1

    def finish(self, frame: Frame, values: Sequence[Any], results: list[Any]) -> None:
        """Objects, donated arguments that are results, and numbers that are Python's."""
        for i, place in enumerate(self.encoded.assembled.results):
            if isinstance(place, ObjectPlace):
                results[i] = frame.objects[place.number]
            elif i in self.handed_out:
                results[i] = self.given_away(values[self.handed_out[i]], place)
            elif self.is_weak[i]:
                results[i] = self.device.download(results[i]).item()
        frame.leave()

    def given_away(self, array: Any, place: Place) -> Any:
        """A donated argument as the result that is in its memory."""
        if is_of_type(array, place):
            return array
        return self.device.view(self.device.pointer(array), place.shape, place.dtype, place.strides, array)

    def look_for_errors(self, frame: Frame) -> None:
        """Raise what a program reports that has ended early, or whose checks of indices have failed."""
        encoded, device = self.encoded, self.device
        code = frame.slots[encoded.extra(Extra.ERROR)]
        if code:
            number = frame.slots[encoded.extra(Extra.ERROR_AT)]
            text = device.error(code, encoded.is_of_cublas(code, number))
            raise failure(code, text, device.name, encoded, number, device.recent)
        number = int(frame.host[0])
        if encoded.checks and number:
            check = encoded.checks[number - 1]
            if isinstance(check, CheckRun):
                raise_out_of_bounds(check.otherwise, int(frame.host[1]))
            raise_refused(check, [device.download(frame.view(place)) for place in check.sources])


__all__ = ["NUMBER", "Binding", "CudaProgram", "Layout", "bound", "computed_part"]
