"""From a jaxpr to something that runs."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from ..core.devices import CUPY, exemplar, is_on_device, placed
from ..core.jaxpr import Jaxpr, Literal, memoized, sub_jaxprs
from ..settings import config
from .assembly import Fused
from .backends.cpu.codegen import supports
from .backends.cpu.engine import clear_engine
from .backends.cpu.native import NativeProgram
from .backends.interpreter import InterpretedProgram
from .disk import clear_disk
from .fuse import fuse
from .garbage import no_collection
from .simplify import simplify


def compile_jaxpr(jaxpr: Jaxpr) -> Any:
    """The program of a jaxpr: a callable of flat arguments that returns a list of results.

    It is for arrays in the place where new ones are made now.
    """
    place = exemplar.get()
    if place is not None:
        return _compiled_for_gpu(jaxpr, place.device.id)
    if CUPY in sys.modules and (constant := gpu_constant(jaxpr)) is not None:
        return AtConstant(constant, _compiled_for_gpu(jaxpr, constant.device.id))
    return _compiled(jaxpr, config.backend)


class AtConstant:
    """A program that runs on a GPU because arrays that it closes over are there."""

    def __init__(self, constant: Any, program: Any):
        self.constant = constant
        self.program = program

    def entry(self, leaves: Sequence[Any], inside: Any, outside: Any) -> None:
        """There is no quicker way to call it."""

    def __call__(self, *args: Any) -> list[Any]:
        def name(i: int) -> str:
            return f"argument {i - 1} of a compiled function" if i else "an array that it closes over"

        with placed([self.constant, *args], name):
            return self.program(*args)


@memoized
def gpu_constant(jaxpr: Jaxpr) -> Any:
    """One of the arrays on a GPU that a program closes over; None if there is none."""
    atoms = [*jaxpr.outputs, *(a for eqn in jaxpr.eqns for a in eqn.inputs)]
    own = (a.value for a in atoms if isinstance(a, Literal) and is_on_device(a.value))
    inner = (gpu_constant(part) for eqn in jaxpr.eqns for part in sub_jaxprs(eqn))
    return next((x for x in (*own, *inner) if x is not None), None)


def native_program(jaxpr: Jaxpr) -> NativeProgram:
    """The native program of a jaxpr, whatever backend runs programs now."""
    return _compiled(jaxpr, "cpu")


@memoized
def _compiled(jaxpr: Jaxpr, backend: str) -> Any:
    if backend == "interpreter":
        return InterpretedProgram(simplified(jaxpr))
    return NativeProgram(jaxpr, fused)


@memoized
def _compiled_for_gpu(jaxpr: Jaxpr, number: int) -> Any:
    return InterpretedProgram(simplified(jaxpr))


@memoized
def simplified(jaxpr: Jaxpr) -> Jaxpr:
    """The jaxpr after all passes."""
    return simplify(jaxpr)


@memoized
def fused(jaxpr: Jaxpr) -> Fused:
    """A program simplified, and its equations and kernels in order."""
    with no_collection():
        final = simplified(jaxpr)
        return Fused(final, fuse(final, supports))


def forget_programs(disk: bool) -> None:
    """Forget the machine code that no program has any more, on disk too if that is wanted.

    Programs are remembered by their jaxprs, and live no longer.
    """
    clear_engine()
    if disk:
        clear_disk()
