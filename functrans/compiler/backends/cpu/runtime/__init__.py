"""What runs instructions: a few functions in LLVM IR that are the same for every program.

An instruction is an address of a function and one of its arguments, an array of 64-bit numbers. The function gets
these and the slots, and returns 0, or another number to end the program. A block is an array of instructions, and a
loop is an instruction with blocks among its arguments: so a whole program runs without a way back to Python, and
nothing but its kernels is ever compiled.

The first slots are the header: the frame, a Python object; how much work is left until somebody is to look for signals,
the address of the function that does, how many threads to use, and whether one of them has stopped the others.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from ....instructions import Step
from .blocks import PYTHON, RUN_BLOCK, RUN_FUNCTION, RUN_KERNEL, RUN_LANES, WORKED
from .calls import LIBRARY_ARGUMENTS, RUN_CHECK, RUN_CLEAR, RUN_GEMM, RUN_LIBRARY, RUN_PERMUTE
from .header import FRAME, HEADER, LOOK, PATIENCE, STOPPED, THREADS, WORK_LEFT
from .loops import EXCHANGE, RUN_BRANCH, RUN_LOOP, RUN_WHILE, STEPS, with_tape, without_tape
from .rows import RUN_FOURIER, RUN_SORT
from .threads import POOL_SIZE, RUN_PARALLEL, RUN_ROWS, WORK


def expanded(text: str) -> str:
    """LLVM IR, from text in which `get TYPE %name = %array[index]` stands for a load from an array of numbers."""

    def load(match: re.Match[str]) -> str:
        type_, name, source, index = match.groups()
        number = {"FRAME": FRAME, "WORK_LEFT": WORK_LEFT, "LOOK": LOOK, "THREADS": THREADS}.get(index, index)
        return f"%{name}_at = getelementptr i64, ptr %{source}, i64 {number}\n  %{name} = load {type_}, ptr %{name}_at"

    return re.sub(r"get (\w+) %(\w+) = %(\w+)\[(%?\w+)\]", load, text)


_PARTS = (
    RUN_BLOCK, PYTHON, WORKED, EXCHANGE, STEPS, RUN_KERNEL, WORK, RUN_PARALLEL, RUN_ROWS, RUN_FUNCTION, RUN_LANES,
    *map(without_tape, (RUN_LOOP, RUN_WHILE)), *map(with_tape, (RUN_LOOP, RUN_WHILE)), RUN_BRANCH, RUN_CHECK, RUN_GEMM,
    RUN_CLEAR, RUN_LIBRARY, RUN_PERMUTE, RUN_SORT, RUN_FOURIER,
)  # fmt: skip
#: The text of all, and the functions that instructions name.
TEXT = expanded("".join(_PARTS))
FUNCTIONS = re.findall(r"define i64 @(\w+)", TEXT)


def setting(nothing: int, begins: Sequence[Step]) -> list[int]:
    """The arguments of a loop of one step that does nothing but set slots.

    Args:
        nothing: the address of a block without instructions.
    """
    places = [n for slot, whole in begins for n in (HEADER + slot, HEADER + whole.slot, whole.offset, 0)]
    return [nothing, 0, 1, 0, 0, 1, len(begins), 0, 0, *places]


__all__ = [
    "FRAME", "FUNCTIONS", "HEADER", "LIBRARY_ARGUMENTS", "LOOK", "PATIENCE", "POOL_SIZE", "STOPPED", "TEXT",
    "THREADS", "WORK_LEFT", "expanded", "setting",
]  # fmt: skip
