"""Where the text of a function is collected."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any


class Writer:
    """Collects lines, and counts registers and blocks.

    Args:
        subject: what the text is of; its own text is for people.
    """

    def __init__(self, subject: Any = "") -> None:
        self.subject = subject
        self.lines: list[str] = []
        self.functions: dict[str, tuple[str, int]] = {}
        self.count = 0

    @cached_property
    def text(self) -> str:
        """All lines, of which there will be no more."""
        return "\n".join(self.lines)

    def about(self, subject: Any) -> Writer:
        """The same text, as that of something else."""
        other = Writer(subject)
        other.lines, other.functions, other.count, other.text = self.lines, self.functions, self.count, self.text
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
