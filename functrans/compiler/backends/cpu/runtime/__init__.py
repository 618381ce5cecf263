"""What runs instructions: a few functions that are the same for every program (../lowlevel: Python that is compiled).

An instruction is an address of a function and one of its arguments, an array of 64-bit numbers. The function gets
these and the slots, and returns 0, or another number to end the program. A block is an array of instructions, and a
loop is an instruction with blocks among its arguments: so a whole program runs without a way back to Python, and
nothing but its kernels is ever compiled.

The first slots are the header: the frame, a Python object; how much work is left until somebody is to look for signals,
the address of the function that does, how many threads to use, and whether one of them has stopped the others.
"""

from __future__ import annotations

from collections.abc import Sequence

from ....instructions import Step
from ..lowlevel.modules import Module
from . import arguments, blocks, calls, dispatch, enter, loops, objects, results, rows, threads
from .calls import LIBRARY_ARGUMENTS
from .header import FRAME, HEADER, LOOK, PATIENCE, STOPPED, THREADS, WORK_LEFT
from .threads import ABSENT, OF_LINUX, POOL_SIZE

#: All functions that instructions name.
RUNTIME = Module([objects, blocks, threads, loops, calls, rows], inserted=calls.ANY_OUTSIDE)
#: The quick way into a program, and the method that asks such ways.
ENTER, CALL = Module([objects, arguments, results, enter]), Module([objects, dispatch])


def setting(nothing: int, begins: Sequence[Step]) -> list[int]:
    """The arguments of a loop of one step that does nothing but set slots.

    Args:
        nothing: the address of a block without instructions.
    """
    places = [n for slot, whole in begins for n in (HEADER + slot, HEADER + whole.slot, whole.offset, 0)]
    return [nothing, 0, 1, 0, 0, 1, len(begins), 0, 0, *places]


__all__ = [
    "ABSENT", "CALL", "ENTER", "FRAME", "HEADER", "LIBRARY_ARGUMENTS", "LOOK", "OF_LINUX", "PATIENCE", "POOL_SIZE",
    "RUNTIME", "STOPPED", "THREADS", "WORK_LEFT", "setting",
]  # fmt: skip
