"""From a jaxpr to something that runs."""

from __future__ import annotations

from typing import Any

from ..core.devices import cupy, exemplar
from ..core.jaxpr import Jaxpr, memoized
from ..settings import changes, config
from .assembly import Fused
from .backends.cpu.arenas import clear_arenas
from .backends.cpu.codegen import supports
from .backends.cpu.engine import clear_engine
from .backends.cpu.native import NativeProgram
from .backends.cpu.reductions import reductions_of_kernels
from .backends.cuda.failures import FAULTS, Recent, explained
from .backends.cuda.frames import clear_frames
from .backends.cuda.gpu import gpu, has_driver
from .backends.cuda.operations import supports as supports_on_gpu
from .backends.cuda.products import products_of_halves
from .backends.cuda.program import CudaProgram
from .backends.interpreter import InterpretedProgram, WatchedProgram
from .disk import clear_disk
from .fuse import fuse
from .garbage import no_collection
from .simplify import simplify


def compile_jaxpr(jaxpr: Jaxpr, donated: tuple[int, ...] = ()) -> Any:
    """The program of a jaxpr: a callable of flat arguments that returns a list of results.

    It is for arrays in the place where new ones are made now.

    Args:
        donated: the numbers of inputs whose memory the program may overwrite and hand out.
    """
    if changes.debugging and config.debug_nans:
        return WatchedProgram(jaxpr, _program(jaxpr, ()))
    return _program(jaxpr, donated)


def _program(jaxpr: Jaxpr, donated: tuple[int, ...]) -> Any:
    place = exemplar.get()
    if place is None:
        return _compiled(jaxpr, config.backend, donated)
    return program_for_gpu(jaxpr, place.device.id, donated)


def program_for_gpu(jaxpr: Jaxpr, number: int, donated: tuple[int, ...] = ()) -> Any:
    """The program of a jaxpr for the GPU of a number."""
    return _compiled_for_gpu(jaxpr, number, config.backend, donated)


def native_program(jaxpr: Jaxpr, donated: tuple[int, ...] = ()) -> NativeProgram:
    """The native program of a jaxpr, whatever backend runs programs now."""
    return _compiled(jaxpr, "cpu", donated)


@memoized
def _compiled(jaxpr: Jaxpr, backend: str, donated: tuple[int, ...]) -> Any:
    if backend == "interpreter":
        return InterpretedProgram(simplified(jaxpr))
    return NativeProgram(jaxpr, fused, donated)


@memoized
def _compiled_for_gpu(jaxpr: Jaxpr, number: int, backend: str, donated: tuple[int, ...]) -> Any:
    if backend == "interpreter" or not has_driver():
        return InterpretedProgram(simplified(jaxpr))
    return CudaProgram(jaxpr, fused_for_gpu, gpu(number), donated)


@memoized
def simplified(jaxpr: Jaxpr) -> Jaxpr:
    """The jaxpr after all passes."""
    return simplify(jaxpr)


@memoized
def fused(jaxpr: Jaxpr) -> Fused:
    """A program simplified, and its equations and kernels in order."""
    with no_collection():
        final = reductions_of_kernels(simplified(jaxpr))
        return Fused(final, fuse(final, supports))


@memoized
def fused_for_gpu(jaxpr: Jaxpr) -> Fused:
    """The same for kernels in CUDA C++."""
    with no_collection():
        final = products_of_halves(simplified(jaxpr))
        return Fused(final, fuse(final, supports_on_gpu))


def fault_of_kernel(error: Exception, number: int | None = None) -> Exception:
    """The error that says which kernel may have failed, if that is what one of CuPy's is about; any other as it is.

    After a kernel has failed, whatever CUDA is asked for fails.

    Args:
        number: of the GPU; None: the current one.
    """
    if getattr(error, "status", None) not in FAULTS or not has_driver():
        return error
    number = cupy().cuda.runtime.getDevice() if number is None else number
    try:
        own = gpu(number)
    except RuntimeError:  # nothing compiled has been there, and now it does not tell its name
        return explained(error, f"GPU {number}", Recent())
    return explained(error, own.name, own.recent)


def all_is_done(number: int) -> None:
    """A GPU has done all that it was given: none of its kernels has failed."""
    if has_driver():
        gpu(number).recent.clear()


def forget_programs(disk: bool) -> None:
    """Forget the machine code that no program has any more, on disk too if that is wanted, and memory kept for runs.

    Programs are remembered by their jaxprs, and live no longer.
    """
    clear_engine()
    clear_arenas()
    clear_frames()
    if disk:
        clear_disk()
