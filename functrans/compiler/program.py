"""From a jaxpr to something that runs."""

from __future__ import annotations

from typing import Any

from ..core.jaxpr import Jaxpr, memoized
from .backends.interpreter import InterpretedProgram
from .simplify import simplify


@memoized
def compile_jaxpr(jaxpr: Jaxpr) -> Any:
    """The program of a jaxpr: a callable of flat arguments that returns a list of results."""
    return InterpretedProgram(simplified(jaxpr))


@memoized
def simplified(jaxpr: Jaxpr) -> Jaxpr:
    """The jaxpr after all passes."""
    return simplify(jaxpr)
