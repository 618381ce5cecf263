"""Launches of a single block after others as part of these: the last block that is done with the one does the next.

The second stage of a reduction is such a launch, and so is what is computed from its result: a mean, a norm, the step
of a method of gradients. Nobody waits for anybody: each block notes that it is done, and the one that finds that all
others are goes on. What is added up in which order does not depend on which one that is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from . import layouts
from .launches import MOST_DECLARED, Launch, Pointer, declared_by
from .parts import MOST_ARGUMENTS, Parts, has_rooms, may_be_part
from .text import Text

#: Blocks of what comes before, at most, for each notes that it is done; and launches that become one.
MOST_BLOCKS, MOST_LAUNCHES = 1024, 16
#: Lines of a kernel that comes after one of many blocks, which need as many registers as it does then; or that one
#: block does for several, which takes as many times longer.
MOST_LINES_AFTER: Final = 100


def in_sequence(launches: Sequence[Launch], counter: int) -> Launch:
    """One launch for several, of which all but the first may be one block's.

    Args:
        counter: the slot of an integer that is zero before and after each launch.
    """
    if len(launches) == 1:
        return launches[0]
    parts, text = Parts(launches, 1), Text()
    text.depth = 1
    first = launches[0]
    text.line(parts.call(0, "blockIdx.x, blockIdx.y", "gridDim.x, gridDim.y"))
    if blocks_of(first) > 1:
        parts.parameters.append("uint32 *const counter")
        parts.arguments.append(Pointer(counter, 0))
        text.line("if (!is_last_block(counter)) return;")
    else:
        text.line("__syncthreads();")
    for k, launch in enumerate(launches[1:], 1):
        if launch.grid[0] > 1:
            parts.parameters.append(f"const uint32 x{k}")
            parts.arguments.append(launch.grid[0])
            with text.block(f"for (uint32 block = 0; block < x{k}; ++block)"):
                text.line(parts.call(k, "block, 0", f"x{k}, 1"))
                text.line("__syncthreads();")
        else:
            text.line(parts.call(k, "0, 0", "1, 1"))
            text.line("__syncthreads();")
    return first._replace(
        source=parts.source(text.lines),
        shared=max(launch.shared for launch in launches),
        arguments=tuple(parts.arguments),
        about="\n".join(launch.about for launch in launches),
        scratch=max(launch.scratch for launch in launches),
        declared=declared_by(launches),
    )


def may_follow(launches: Sequence[Launch], launch: Launch) -> bool:
    """Whether a launch may be part of others that come before it."""
    first = launches[0]
    told = sum(1 + len(x.arguments) for x in (*launches, launch))
    if told > MOST_ARGUMENTS or len(launches) == MOST_LAUNCHES or not (may_be_part(first) and may_be_part(launch)):
        return False
    if declared_by([*launches, launch]) > MOST_DECLARED:
        return False
    is_alone = blocks_of(first) == blocks_of(launch) == 1
    is_short = is_alone or (launch.source.count("\n") <= MOST_LINES_AFTER and not has_rooms(launch))
    return is_short and blocks_of(first) <= MOST_BLOCKS and launch.grid[1] == 1 and launch.grid[0] <= layouts.FEW_BLOCKS


def blocks_of(launch: Launch) -> int:
    """How many blocks a launch has."""
    return launch.grid[0] * launch.grid[1]
