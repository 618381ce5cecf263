"""What programs for GPUs run on the host: low-level functions (../../cpu/lowlevel), as the CPU backend's runtime is."""

from __future__ import annotations

from ...cpu.engine import engine, once
from ...cpu.lowlevel.modules import Module
from ...cpu.runtime import objects
from . import enter, launches, replays

#: The instructions, and the quick way into a program.
RUNTIME, ENTER = Module([launches, replays]), Module([objects, enter])


@once
def functions() -> dict[str, int]:
    """The addresses of these instructions, and of those of the machine."""
    return {**engine().runtime, **engine().plain.added(RUNTIME)}
