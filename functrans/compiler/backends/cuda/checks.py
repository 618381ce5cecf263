"""Checks of indices: the first index that does not fit is noted, with the number of the check."""

from __future__ import annotations

from math import prod

from ...instructions import CheckRun
from .launches import NAME, Launch, Pointer
from .layouts import BLOCK

TEXT = f"""\
KERNEL __launch_bounds__({BLOCK}) {NAME}(
    const int64 *const numbers, const int64 count, const int64 extent, const int64 check, uint64 *const failed) {{
  for (int64 i = (int64)blockIdx.x * {BLOCK} + threadIdx.x; i < count; i += (int64)gridDim.x * {BLOCK}) {{
    const int64 number = numbers[i];
    if ((uint64)number + (uint64)extent >= 2 * (uint64)extent && atomicCAS(failed, (uint64)0, (uint64)check) == 0)
      failed[1] = (uint64)number;
  }}
}}"""


def check_launch(run: CheckRun, number: int, failed: int) -> list[Launch]:
    """The launch that looks at all numbers of a check; none if there are none.

    Args:
        failed: the slot of what is reported.
    """
    count = prod(run.numbers.shape)
    if not count:
        return []
    blocks = min(-(-count // BLOCK), 1024)
    arguments = (Pointer(run.numbers.slot, run.numbers.offset), count, run.extent, number, Pointer(failed, 0))
    return [Launch(TEXT, (blocks, 1, 1), (BLOCK, 1, 1), 0, arguments, "a check of indices")]
