"""Launches that have nothing to do with each other as one, whose blocks of threads belong to one or another of them.

What was a kernel is a function that is told which of its blocks it is, and how many there are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import zip_longest
from typing import Final

from .launches import NAME, Argument, Launch, Pointer, parameters_of
from .layouts import BLOCK
from .lowering import Target
from .text import Text, signature

#: Arguments of a launch at most: a kernel has four kilobytes for these.
MOST_ARGUMENTS: Final = 400
#: Lines of a kernel at most: a long one needs many registers, which the blocks of others would have to have too.
MOST_LINES: Final = 300
#: Bytes of shared memory of a block at most: the blocks of others would have them too.
MOST_SHARED: Final = 8 << 10
#: What the text of a kernel begins with.
HEAD: Final = f"KERNEL __launch_bounds__({BLOCK}) {NAME}("


def at_once(members: Sequence[list[Launch]], target: Target) -> list[Launch]:
    """The launches of several instructions: the first of each as one, then the second ones, and so on.

    What they share among themselves is in memory of their own.
    """
    apart, size = [], 0
    for launches in members:
        apart.append([_moved(launch, target.scratch, size) for launch in launches])
        size += sum(-(-launch.scratch // 256) * 256 for launch in launches)
    found = [launch for stage in zip_longest(*apart) for launch in _merged([x for x in stage if x is not None])]
    return [found[0]._replace(scratch=size), *found[1:]] if found else []


def _moved(launch: Launch, scratch: int, by: int) -> Launch:
    """A launch whose part of the memory that stages share begins later."""
    is_there = [isinstance(a, Pointer) and a.slot == scratch for a in launch.arguments]
    moved = (Pointer(a.slot, a.offset + by) if there else a for a, there in zip(launch.arguments, is_there))
    return launch._replace(arguments=tuple(moved), scratch=0)


def _merged(launches: Sequence[Launch]) -> Iterator[Launch]:
    """Launches as few: those that may be one as one, if it has room for what all are told."""
    group: list[Launch] = []
    for launch in launches:
        if not _may_be_merged(launch):
            yield launch
            continue
        told = sum(2 + len(x.arguments) for x in (*group, launch))
        if group and told > MOST_ARGUMENTS:
            yield _as_one(group)
            group = []
        group.append(launch)
    if group:
        yield _as_one(group)


def _may_be_merged(launch: Launch) -> bool:
    """Whether the blocks of a launch are like others, and have no tiles of their own."""
    source = launch.source
    is_usual = source.count(HEAD) == 1 and launch.block == (BLOCK, 1, 1) and source.count("\n") <= MOST_LINES
    return is_usual and launch.shared <= MOST_SHARED and "__shared__" not in source


def _as_one(launches: Sequence[Launch]) -> Launch:
    """One launch, of all the blocks."""
    if len(launches) == 1:
        return launches[0]
    read, written = _touched(launches)
    functions: dict[str, int] = {}  # by text, their numbers
    parameters: list[str] = []
    arguments: list[Argument] = []
    main = Text()
    main.depth = 1
    main.line("int32 block = blockIdx.x;")
    for k, launch in enumerate(launches):
        function = f"{NAME}_{functions.setdefault(launch.source, len(functions))}"
        given = []
        for j, (parameter, argument) in enumerate(zip(parameters_of(launch.source), launch.arguments, strict=True)):
            type_, _, _ = parameter.rpartition(" ")
            both = isinstance(argument, Pointer) and argument.slot in read & written
            given.append(f"m{k}_{j}")
            parameters.append(f"{type_.replace(' __restrict__', '') if both else type_} m{k}_{j}")
        arguments += [*launch.arguments, *launch.grid[: 1 + (launch.grid[1] > 1)]]
        parameters.append(f"const int32 x{k}")
        blocks, own = f"x{k}", [f"Blocks{{(uint32)block, 0}}, Blocks{{(uint32)x{k}, 1}}"]
        if launch.grid[1] > 1:
            parameters.append(f"const int32 y{k}")
            rest = f"(uint32)(block % x{k}), (uint32)(block / x{k})"
            blocks, own = f"x{k} * y{k}", [f"Blocks{{{rest}}}, Blocks{{(uint32)x{k}, (uint32)y{k}}}"]
        with main.block(f"if (block < {blocks})"):
            main.line(f"return {signature(function, [*own, *given])};")
        main.line(f"block -= {blocks};")
    main.lines.pop()  # no more blocks
    texts = [_as_function(source, number) for source, number in functions.items()]
    head = signature(f"KERNEL __launch_bounds__({BLOCK}) {NAME}", parameters)
    return Launch(
        "\n".join([*texts, f"{head} {{", *main.lines, "}"]),
        (sum(launch.grid[0] * launch.grid[1] for launch in launches), 1, 1),
        (BLOCK, 1, 1),
        max(launch.shared for launch in launches),
        tuple(arguments),
        "\n".join(launch.about for launch in launches),
    )


def _touched(launches: Sequence[Launch]) -> tuple[set[int], set[int]]:
    """The slots that are read, and those that are written to."""
    pairs = [(p, a) for x in launches for p, a in zip(parameters_of(x.source), x.arguments) if isinstance(a, Pointer)]
    return tuple({a.slot for p, a in pairs if p.startswith("const ") is is_read} for is_read in (True, False))


def _as_function(source: str, number: int) -> str:
    """The text of a kernel as that of a function."""
    blocks = "const Blocks blockIdx, const Blocks gridDim"
    return source.replace(HEAD, f"FUNCTION void {NAME}(\n    {blocks}, ").replace(NAME, f"{NAME}_{number}")
