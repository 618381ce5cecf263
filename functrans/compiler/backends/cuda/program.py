"""Programs for a GPU: instructions as launches, and the calls that run them.

A program is one native call, as on the CPU: the machine of the CPU backend goes through instructions that launch
kernels, and follows loops and branches. What these depend on is read back; all else happens when the GPU gets to it.
"""

from __future__ import annotations

import ctypes
from array import array
from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import numpy as np

from ....core.avals import ShapedArray
from ....core.jaxpr import Jaxpr
from ....core.trace import EVAL, running
from ....errors import DeviceError, FunctransError, OutOfBoundsError, OutOfMemoryError
from ....settings import config
from ....source import is_from_library
from ...assembly import Fused, assemble
from ...instructions import CheckRun, ObjectPlace, Place, PythonRun
from ..cpu.runtime import FRAME, HEADER, LOOK, PATIENCE, WORK_LEFT
from .device import Device
from .encoding import Encoded, Encoder, Extra
from .layouts import VECTOR
from .operations import supports
from .runtime import functions

_RUN = ctypes.PYFUNCTYPE(ctypes.c_int64, ctypes.c_void_p, ctypes.c_int64, ctypes.c_void_p)


class CudaProgram:
    """A jaxpr for a GPU. Launches depend on the strides of arguments, and on whether their addresses are aligned.

    Results that are arguments are handed on as they are.
    """

    def __init__(self, jaxpr: Jaxpr, fused: Callable[[Jaxpr], Fused], device: Device):
        final = fused(jaxpr).jaxpr
        self.device = device
        self.fused = fused
        self.given: dict[Any, Any] = {v: i for i, v in enumerate(final.inputs)}
        self.outputs = final.outputs
        self.jaxpr = computed_part(jaxpr, fused)
        self.types = [(v.aval.shape, v.aval.dtype) if isinstance(v.aval, ShapedArray) else None for v in final.inputs]
        self.is_weak = [getattr(a.aval, "weak", False) for a in self.jaxpr.outputs]
        self.bindings: dict[tuple[Any, ...], Binding] = {}

    def entry(self, leaves: Sequence[Any], inside: Any, outside: Any) -> None:
        """There is no quicker way to call it."""

    def __call__(self, *args: Any) -> list[Any]:
        values = [x if own is None else self.argument(x, own[1]) for x, own in zip(args, self.types)]
        layouts = [None if own is None else self.layout(x) for x, own in zip(values, self.types)]
        key = (*layouts, config.deterministic)
        binding = self.bindings.get(key)
        if binding is None:
            encoder = bound(self.jaxpr, self.fused, layouts, self.device.processors)
            binding = self.bindings[key] = Binding(encoder, self)
        results = iter(binding(values))
        return [args[self.given[a]] if a in self.given else next(results) for a in self.outputs]

    def argument(self, x: Any, dtype: np.dtype[Any]) -> Any:
        """An argument on the device: numbers are brought there, arrays must be there."""
        if self.device.is_array(x):
            return x if x.dtype == dtype else x.astype(dtype)
        return self.device.upload(np.asarray(x, dtype))

    def layout(self, x: Any) -> tuple[tuple[int, ...], bool]:
        """Strides, and whether the address is aligned."""
        return x.strides, self.device.pointer(x) % VECTOR == 0


def computed_part(jaxpr: Jaxpr, fused: Callable[[Jaxpr], Fused]) -> Jaxpr:
    """The program of those results that are not arguments."""
    final = fused(jaxpr).jaxpr
    computed = [a for a in final.outputs if a not in final.inputs]
    return jaxpr if len(computed) == len(final.outputs) else Jaxpr(final.inputs, final.eqns, computed)


def bound(
    jaxpr: Jaxpr,
    fused: Callable[[Jaxpr], Fused],
    layouts: Sequence[tuple[tuple[int, ...], bool] | None],
    processors: int,
) -> Encoder:
    """The launches of a program, for arguments of some layouts; no device is needed."""
    strides = [None if own is None else own[0] for own in layouts]
    assembled = assemble(jaxpr, fused, supports, strides, is_plain=True)
    is_aligned = [own is not None and own[1] for own in layouts]
    return Encoder(assembled, is_aligned, processors)


class Frame:
    """Memory that one run of a program needs at a time.

    Attributes:
        slots: the addresses, after the header.
        host: numbers that are read back from the device, and what is reported of errors.
    """

    def __init__(self, binding: Binding):
        encoded, device = binding.encoded, binding.device
        assembled = encoded.assembled
        self.device = device
        self.objects: list[Any] = [None] * assembled.objects
        self.host = array("q", [0]) * max(encoded.mails, 1)
        self.slots = array("q", [0]) * (HEADER + encoded.slots)
        size = assembled.arena + encoded.scratch + Extra.FAILED_SIZE
        try:
            self.arena = device.empty((size,), np.dtype(np.uint8))
        except MemoryError:
            raise out_of_memory("the temporary values", size, "") from None
        base = device.pointer(self.arena)
        self.slots[FRAME], self.slots[WORK_LEFT] = id(self), PATIENCE
        self.slots[LOOK] = functions()["look_for_signals"]
        for k, slot in enumerate(assembled.slots, HEADER):
            if slot.kind == "temporary":
                self.slots[k] = base + slot.offset
            elif slot.kind == "constant":
                self.slots[k] = device.pointer(binding.constants[k - HEADER])
        self.slots[HEADER + encoded.extra(Extra.SCRATCH)] = base + assembled.arena
        self.slots[HEADER + encoded.extra(Extra.FAILED)] = base + assembled.arena + encoded.scratch
        for k in range(encoded.mails):
            self.slots[HEADER + encoded.mail(k)] = self.host.buffer_info()[0] + 8 * k
        self.pointer = self.slots.buffer_info()[0]

    def array(self, place: Place) -> Any:
        """The array at a place, without a copy."""
        start = self.slots[HEADER + place.slot] + place.offset
        return self.device.view(start, place.shape, place.dtype, place.strides, self)


def out_of_memory(what: str, size: int, type_: str) -> OutOfMemoryError:
    """The error for something that there is no room for."""
    return OutOfMemoryError(
        f"There is no memory on the GPU for {what} of a compiled function: {size} bytes{type_}.",
        "All results, and the values that are needed meanwhile, have to be there at once.",
        "Work on smaller parts, with functrans.lax.scan or functrans.lax.map for one.",
    )


class Binding:
    """A program for arguments of some layouts, ready to run. Frames are kept for the next call on the same stream."""

    def __init__(self, encoder: Encoder, program: CudaProgram):
        self.device = program.device
        self.is_weak = program.is_weak
        self.encoded: Encoded = encoder.encoded(self.device, python_step)
        assembled = self.encoded.assembled
        self.constants = {
            k: self.device.upload(slot.value) for k, slot in enumerate(assembled.slots) if slot.kind == "constant"
        }
        self.arguments = [(i, p) for i, p in enumerate(assembled.arguments)]
        self.frames: dict[int, list[Frame]] = {}
        self.run = _RUN(functions()["run_program" if self.encoded.calls_python else "run_sharing"])

    def __call__(self, values: Sequence[Any]) -> list[Any]:
        stream = self.device.stream()
        frames = self.frames.setdefault(stream, [])
        try:
            frame = frames.pop()
        except IndexError:
            frame = Frame(self)
        results = self.prepared(frame, values, stream)
        with running(EVAL), np.errstate(all="ignore"):
            status = self.run(self.encoded.code, self.encoded.count, frame.pointer)
        if status or self.encoded.checks:
            self.look_for_errors(frame)
        for i, place in enumerate(self.encoded.assembled.results):
            if isinstance(place, ObjectPlace):
                results[i] = frame.objects[place.number]
            elif self.is_weak[i]:
                results[i] = self.device.download(results[i]).item()
        frame.objects[:] = [None] * len(frame.objects)
        frames.append(frame)
        return results

    def prepared(self, frame: Frame, values: Sequence[Any], stream: int) -> list[Any]:
        """Put addresses into the slots of a frame; room for the results."""
        encoded, slots = self.encoded, frame.slots
        slots[WORK_LEFT] = PATIENCE
        slots[HEADER + encoded.extra(Extra.STREAM)] = stream
        if encoded.has_products:
            slots[HEADER + encoded.extra(Extra.BLAS)] = self.device.blas()
        slots[HEADER + encoded.extra(Extra.ERROR)] = 0
        for i, place in self.arguments:
            if isinstance(place, ObjectPlace):
                frame.objects[place.number] = values[i]
            else:
                slots[HEADER + place.slot] = self.device.pointer(values[i])
        results: list[Any] = []
        for place in encoded.assembled.results:
            if isinstance(place, ObjectPlace):
                results.append(None)
                continue
            try:
                result = self.device.empty(place.shape, place.dtype)
            except MemoryError:
                size = prod(place.shape) * place.dtype.itemsize
                raise out_of_memory(f"result {len(results)}", size, f", {place.dtype}{list(place.shape)}") from None
            slots[HEADER + place.slot] = self.device.pointer(result)
            results.append(result)
        return results

    def look_for_errors(self, frame: Frame) -> None:
        """Raise what a program reports that has ended early, or whose checks of indices have failed."""
        encoded = self.encoded
        code = frame.slots[HEADER + encoded.extra(Extra.ERROR)]
        if code:
            what, source = encoded.about(frame.slots[HEADER + encoded.extra(Extra.ERROR) + 1])
            raise DeviceError(f"{what} failed on {self.device.name}, {self.device.error(code)}.", source=source)
        number = frame.host[0]
        if encoded.checks and number:
            check = encoded.checks[number - 1]
            if isinstance(check, CheckRun):
                raise_out_of_bounds(check.otherwise, frame.host[1])
            raise_refused(check, [self.device.download(frame.array(place)) for place in check.sources])


def raise_refused(run: PythonRun, indices: Sequence[Any]) -> None:
    """Raise the error for indices that a recurrence has refused."""
    try:
        run.function(*indices, **run.params)
    except FunctransError as error:
        if run.source is not None:
            error.blame(run.source)
        raise


def raise_out_of_bounds(run: PythonRun, number: int) -> None:
    """Raise the error that the implementation of a primitive raises for an index, with the line it is for."""
    arrays = [np.broadcast_to(np.zeros((), p.dtype), p.shape) for p in run.sources if isinstance(p, Place)]
    for k, x in enumerate(arrays):
        if not k or x.dtype.kind not in "iu" or not np.can_cast(np.min_scalar_type(number), x.dtype):
            continue
        found = np.broadcast_to(np.asarray(number, x.dtype), x.shape)
        try:
            run.function(*arrays[:k], found, *arrays[k + 1 :], **run.params)
        except FunctransError as error:
            if run.source is not None:
                error.blame(run.source)
            raise
    raise OutOfBoundsError(f"Index {number} does not fit its array.", source=run.source)


def python_step(run: PythonRun) -> Callable[[Frame], None]:
    """What a program calls for a Python function."""

    def value(frame: Frame, place: Place | ObjectPlace) -> Any:
        return frame.objects[place.number] if isinstance(place, ObjectPlace) else frame.array(place)

    def step(frame: Frame) -> None:
        try:
            outs = run.function(*[value(frame, place) for place in run.sources], **run.params)
        except FunctransError as error:
            if run.source is not None and is_from_library(error):
                error.blame(run.source)
            raise
        for place, out in zip(run.targets, outs):
            if isinstance(place, ObjectPlace):
                frame.objects[place.number] = out
            else:
                frame.array(place)[...] = out

    return step
