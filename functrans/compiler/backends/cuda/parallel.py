"""Launches that have nothing to do with each other as one, whose blocks of threads belong to one or another of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import zip_longest

from .launches import MOST_DECLARED, Launch, Pointer, declared_by
from .layouts import BLOCK
from .lowering import Target
from .parts import MOST_ARGUMENTS, Parts, may_be_part
from .text import Text


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
    """Launches as few: those that may be one as one, if it has room for what all are told and declare."""
    group: list[Launch] = []
    for launch in launches:
        if not may_be_part(launch):
            yield launch
            continue
        together = [*group, launch]
        is_much = sum(2 + len(x.arguments) for x in together) > MOST_ARGUMENTS or declared_by(together) > MOST_DECLARED
        if group and is_much:
            yield _as_one(group)
            group = []
        group.append(launch)
    if group:
        yield _as_one(group)


def _as_one(launches: Sequence[Launch]) -> Launch:
    """One launch, of all the blocks."""
    if len(launches) == 1:
        return launches[0]
    parts, text = Parts(launches, len(launches)), Text()
    text.depth = 1
    text.line("int32 block = blockIdx.x;")
    for k, launch in enumerate(launches):
        columns, rows, _ = launch.grid
        parts.parameters.append(f"const int32 x{k}")
        parts.arguments.append(columns)
        count, own = f"x{k}", ("(uint32)block, 0", f"(uint32)x{k}, 1")
        if rows > 1:
            parts.parameters.append(f"const int32 y{k}")
            parts.arguments.append(rows)
            count = f"x{k} * y{k}"
            own = f"(uint32)(block % x{k}), (uint32)(block / x{k})", f"(uint32)x{k}, (uint32)y{k}"
        with text.block(f"if (block < {count})"):
            text.line(f"return {parts.call(k, *own)}")
        text.line(f"block -= {count};")
    text.lines.pop()  # there are no others
    return Launch(
        parts.source(text.lines),
        (sum(launch.grid[0] * launch.grid[1] for launch in launches), 1, 1),
        (BLOCK, 1, 1),
        max(launch.shared for launch in launches),
        tuple(parts.arguments),
        "\n".join(launch.about for launch in launches),
        declared=declared_by(launches),
    )
