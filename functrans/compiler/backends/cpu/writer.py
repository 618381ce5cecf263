"""Where the text of a function is collected."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

#: The line of a text of which LLVM makes no vectors but those of whole loops.
NUMBER_BY_NUMBER = "; number by number"
#: Ends the head of a function with loops, which is called by one that reads the arguments. It stays apart from that,
#: where LLVM's passes would go over the loops once more.
APART = "noinline #0 {"
#: The same of one with more vectors than there are registers: each that is put aside lies in one line of the cache.
#: That takes a register itself.
ALIGNED = f"alignstack(64) {APART}"
#: Ends the head of a function that reads the arguments one by one and calls another: no pass would gain anything.
READS = f"optnone {APART}"
#: Ends the last line of a loop of which LLVM would write out several steps, to no avail: one around others above all.
ROLLED = ", !llvm.loop !rolled"
#: The line of a text that LLVM's passes would not improve, as it has vectors and loops already.
AS_WRITTEN = "; as written"


class Writer:
    """Collects lines, and counts registers and blocks.

    Args:
        subject: what the text is of; its own text is for people.

    Attributes:
        inlined: how many lines more there are where each formula is in the place of its calls.
    """

    def __init__(self, subject: Any = "") -> None:
        self.subject = subject
        self.lines: list[str] = []
        self.functions: dict[str, tuple[str, int]] = {}
        self.count = self.inlined = 0

    @cached_property
    def text(self) -> str:
        """All lines, of which there will be no more."""
        return "\n".join(self.lines)

    @property
    def length(self) -> int:
        """How many lines LLVM has to do with when it compiles thoroughly."""
        return len(self.lines) + self.inlined

    def about(self, subject: Any) -> Writer:
        """The same text, as that of something else."""
        other = Writer(subject)
        other.__dict__.update(self.__dict__, subject=subject, text=self.text)
        return other

    def emit(self, right_side: str) -> str:
        """`%n = ...`; the register."""
        register = f"%r{self.count}"
        self.count += 1
        self.lines.append(f"  {register} = {right_side}")
        return register

    def write(self, line: str) -> None:
        self.lines.append(f"  {line}")

    def label(self, name: str) -> None:
        self.lines.append(f"{name}:")

    def call(self, function: str, type_: str, operands: Sequence[str]) -> str:
        """A C function with a vector version."""
        self.functions[function] = (type_, len(operands))
        arguments = ", ".join(f"{type_} {x}" for x in operands)
        return self.emit(f"call {type_} @{function}({arguments}) #vector_{function}#")
