"""Kernels as functions of one kernel, each of which is told which of its blocks it is, and how many there are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from .launches import NAME, Argument, Launch, Pointer, parameters_of
from .layouts import BLOCK
from .text import signature

#: Arguments of a launch at most: a kernel has four kilobytes for these.
MOST_ARGUMENTS: Final = 400
#: Lines of a kernel at most: a long one needs many registers, which the blocks of others would have to have too.
MOST_LINES: Final = 300
#: Bytes of shared memory of a block at most: the blocks of others would have them too.
MOST_SHARED: Final = 8 << 10
#: What a kernel says of a pointer to memory that nothing else writes to.
ALONE: Final = "__restrict__ "
#: What the text of a kernel begins with.
HEAD: Final = f"KERNEL __launch_bounds__({BLOCK}) {NAME}("


def may_be_part(launch: Launch) -> bool:
    """Whether the blocks of a launch are like those of others, and have no tiles of their own."""
    source = launch.source
    has_tiles = has_rooms(launch) and not launch.declared
    is_usual = source.count(HEAD) == 1 and launch.block == (BLOCK, 1, 1) and source.count("\n") <= MOST_LINES
    return is_usual and launch.shared <= MOST_SHARED and not has_tiles


def has_rooms(launch: Launch) -> bool:
    """Whether the text of a launch declares shared memory for more than what is reduced."""
    return "__shared__" in launch.source


class Parts:
    """Writes a kernel that calls functions, those of some launches.

    Args:
        first: how many of the launches read nothing that others of them write. Whatever the kernels of the others say
            of their pointers, they may not use the read-only cache, which sees no writes.

    Attributes:
        parameters, arguments: of the kernel; what its own text needs may be added.
    """

    def __init__(self, launches: Sequence[Launch], first: int):
        self.launches = launches
        self.sources = [x.source if k < first else x.source.replace(ALONE, "") for k, x in enumerate(launches)]
        self.functions = {source: k for k, source in enumerate(dict.fromkeys(self.sources))}
        self.parameters: list[str] = []
        self.arguments: list[Argument] = []
        shared = self.written_and_touched()
        for k, (source, launch) in enumerate(zip(self.sources, launches)):
            for j, (parameter, argument) in enumerate(zip(parameters_of(source), launch.arguments, strict=True)):
                type_, _, _ = parameter.rpartition(" ")
                is_shared = isinstance(argument, Pointer) and argument.slot in shared
                self.parameters.append(f"{type_.replace(ALONE, '') if is_shared else type_} m{k}_{j}")
            self.arguments += launch.arguments

    def written_and_touched(self) -> set[int]:
        """The slots that one launch writes to and another one, or another pointer of the same, touches."""
        pairs = [
            (a.slot, p.startswith("const "))
            for launch in self.launches
            for p, a in zip(parameters_of(launch.source), launch.arguments)
            if isinstance(a, Pointer)
        ]
        slots = [slot for slot, _ in pairs]
        return {slot for slot, is_read in pairs if not is_read and slots.count(slot) > 1}

    def call(self, k: int, block: str, blocks: str) -> str:
        """A call of a launch's function, which is told a number of a block, and how many there are, along two axes."""
        function = f"{NAME}_{self.functions[self.sources[k]]}"
        given = [f"m{k}_{j}" for j in range(len(self.launches[k].arguments))]
        return signature(function, [f"Blocks{{{block}}}", f"Blocks{{{blocks}}}", *given]) + ";"

    def source(self, lines: Sequence[str]) -> str:
        """The text of the functions, and of the kernel with some lines."""
        head = signature(f"KERNEL __launch_bounds__({BLOCK}) {NAME}", self.parameters)
        return "\n".join([*map(_as_function, self.functions, self.functions.values()), f"{head} {{", *lines, "}"])


def _as_function(source: str, number: int) -> str:
    """The text of a kernel as that of a function."""
    blocks = "const Blocks blockIdx, const Blocks gridDim"
    return source.replace(HEAD, f"FUNCTION void {NAME}(\n    {blocks}, ").replace(NAME, f"{NAME}_{number}")
