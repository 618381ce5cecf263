"""From a jaxpr to something that runs."""

from __future__ import annotations

from typing import Any

from ..core.jaxpr import Jaxpr, memoized
from ..settings import config
from .backends.cpu.kernels import NativeKernel
from .backends.cpu.operations import is_supported
from .backends.interpreter import InterpretedProgram, Step, equation_step
from .fuse import KernelStep, fuse
from .simplify import simplify


def compile_jaxpr(jaxpr: Jaxpr) -> Any:
    """The program of a jaxpr: a callable of flat arguments that returns a list of results."""
    return _compiled(jaxpr, config.backend)


@memoized
def _compiled(jaxpr: Jaxpr, backend: str) -> Any:
    if backend == "interpreter":
        return InterpretedProgram(simplified(jaxpr))
    steps = [
        Step(NativeKernel(step), step.kernel.operands, {}, step.outputs)
        if isinstance(step, KernelStep)
        else equation_step(step)
        for step in fused(jaxpr)
    ]
    return InterpretedProgram(simplified(jaxpr), steps)


@memoized
def simplified(jaxpr: Jaxpr) -> Jaxpr:
    """The jaxpr after all passes."""
    return simplify(jaxpr)


@memoized
def fused(jaxpr: Jaxpr) -> list[Any]:
    """The equations and kernels of a program, in order."""
    return fuse(simplified(jaxpr), is_supported)
