"""Operations in the text of a function: those with long formulas as functions of their own, beside it.

Text that is compiled quickly takes the longer the longer it is, and a formula of fifty instructions may be needed ten
times. Where LLVM takes its time, its passes put each formula in the place of its calls again, before all else.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...costs import is_transcendental
from ...loopnest import Apply, Constant
from .operations import emit_operation, type_name
from .writer import Writer

#: A formula of more instructions than this is a function.
LONG = 12


class Formulas:
    """The formulas that a function needs.

    Args:
        name: that of the function, with which the names of the others begin.
        writer: what writes the function.
    """

    def __init__(self, name: str, writer: Writer):
        self.name = name
        self.writer = writer
        self.lines: list[str] = []
        self.known: dict[Any, tuple[str, int] | None] = {}  # name and length of a function, None for a short formula

    def write(self, applied: Apply, operands: Sequence[str]) -> str:
        """Write an operation on registers; the register of its result."""
        w = self.writer
        found = self.function(applied)
        if found is None:
            return emit_operation(applied, operands, w.emit, w.call)
        function, length = found
        w.inlined += length
        typed = ", ".join(f"{type_name(e.dtype)} {register}" for e, register in zip(applied.operands, operands))
        return w.emit(f"call {type_name(applied.dtype)} @{function}({typed})")

    def function(self, applied: Apply) -> tuple[str, int] | None:
        """The function for an operation and its length; None for a short formula, and for one of known numbers."""
        if not is_transcendental(applied) or any(type(e) is Constant for e in applied.operands):
            return None
        key = applied.operation, applied.dtype, *[e.dtype for e in applied.operands]
        if key not in self.known:
            self.known[key] = self.defined(applied)
        return self.known[key]

    def defined(self, applied: Apply) -> tuple[str, int] | None:
        """The name and length of a new function, if the formula is long."""
        w = Writer()
        registers = [f"%x{k}" for k in range(len(applied.operands))]
        result = emit_operation(applied, registers, w.emit, w.call)
        if len(w.lines) <= LONG:
            return None
        self.writer.functions.update(w.functions)
        function = f"{self.name}_formula{len(self.known)}"
        parameters = ", ".join(f"{type_name(e.dtype)} {x}" for e, x in zip(applied.operands, registers))
        returned = type_name(applied.dtype)
        self.lines += [f"define internal {returned} @{function}({parameters}) alwaysinline #0 {{", *w.lines]
        self.lines += [f"  ret {returned} {result}", "}"]
        return function, len(w.lines)
