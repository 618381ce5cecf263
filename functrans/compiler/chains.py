"""Chains: kernels in a row that can be run together, some rows at a time, so that rows stay in the cache.

Softmax, layer norm and their gradients are a few kernels over the same leading axis: reductions of rows, and what is
computed from rows and their reductions. Row i of each needs row i of those before only. Run row block by row block,
they read and write what is in the cache; and threads need to meet once, at the end.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

from .instructions import ChainRun, KernelRun, Place, Slot
from .loopnest import Affine, Kernel, Load, Output, axis_index, substituted

#: Chains over fewer elements are left as they are: everything is in the cache anyway.
FEWEST_ELEMENTS = 1 << 13
#: Reductions of at least so many elements to one number are divided.
WORTH_PARTS = 1 << 15
#: Into so many parts, whatever the number of threads: the result does not depend on that.
PARTS = 64


def chained(block: Sequence[Any], slots: Sequence[Slot], times: dict[int, int]) -> list[Any]:
    """The instructions of a block, with kernels that can be run together in chains.

    Temporaries of a chain last as long as all of it.

    Args:
        times: when an instruction runs, by its id.
    """
    found: list[Any] = []
    links: list[KernelRun] = []

    def finish() -> None:
        if len(links) > 1 and max(prod(run.kernel.shape) for run in links) >= FEWEST_ELEMENTS:
            first, last = times[id(links[0])], times[id(links[-1])]
            found.append(ChainRun(tuple(links), _own_places(links, slots, first, last)))
            for place in _places(links):
                slot = slots[place.slot]
                slot.first, slot.last = min(slot.first, first - 1), max(slot.last, last)
        else:
            found.extend(links)
        links.clear()

    for instruction in block:
        if isinstance(instruction, KernelRun) and _has_rows(instruction):
            if links and not _follows(instruction, links):
                finish()
            links.append(instruction)
        else:
            finish()
            found.append(instruction)
    finish()
    return found


def _has_rows(run: KernelRun) -> bool:
    """Whether a kernel can be run for some rows only."""
    kernel = run.kernel
    has_rows = len(kernel.shape) > kernel.reduced and kernel.shape[0] > 1 and 0 not in kernel.shape
    return has_rows and all(output.place is None for output in kernel.outputs)


def _follows(run: KernelRun, links: Sequence[KernelRun]) -> bool:
    """Whether row i of a kernel needs row i only of what the links compute."""
    if run.kernel.shape[0] != links[0].kernel.shape[0]:
        return False
    written = {target.slot for link in links for target in link.targets}
    if any(target.slot in written for target in run.targets):
        return False
    places = dict(zip(run.kernel.operands, run.sources))
    produced = {target for link in links for target in link.targets}
    for load in run.kernel.loads():
        place = places[load.operand]
        if place.slot in written and (place not in produced or not _is_by_row(load)):
            return False
    read = {source.slot for link in links for source in link.sources}
    return not any(target.slot in read for target in run.targets)


def _is_by_row(load: Load) -> bool:
    """Whether a load stays in the row of the point."""
    first, *rest = load.index
    return first == axis_index(0) and all(i.factor(0) == 0 and not i.terms for i in rest)


def _places(links: Sequence[KernelRun]) -> list[Place]:
    return [place for link in links for place in (*link.sources, *link.targets)]


def _own_places(links: Sequence[KernelRun], slots: Sequence[Slot], first: int, last: int) -> tuple[Place, ...]:
    """The targets that nobody needs but the chain: rows of these may take the place of earlier ones."""
    targets = [target for link in links for target in link.targets]
    return tuple(
        target
        for target in targets
        if slots[target.slot].kind == "temporary"
        and slots[target.slot].first >= first - 1
        and slots[target.slot].last <= last
    )


def parts_of(kernel: Kernel) -> tuple[list[Kernel], Kernel] | None:
    """A reduction to one number as kernels that reduce parts of its first axis, and one that reduces their results.

    The first of these has PARTS results for each output, the other one, if there is a rest, a single one; the last
    kernel reads all, of which operand i is the array of those of output i. None if it is not worth it.
    """
    if kernel.reduced != len(kernel.shape) or prod(kernel.shape) < WORTH_PARTS or kernel.shape[0] < 2 * PARTS:
        return None
    extent, others = kernel.shape[0], kernel.shape[1:]
    size, rest = divmod(extent, PARTS)
    own = tuple(axis_index(axis + 2) for axis in range(len(others)))
    pieces = [_piece(kernel, (PARTS, size, *others), (Affine(0, ((0, size), (1, 1))), *own))]
    if rest:
        pieces.append(_piece(kernel, (1, rest, *others), (Affine(extent - rest, ((1, 1),)), *own)))
    results = tuple(
        Output(Load(i, (axis_index(0),), o.expression.dtype), o.combine) for i, o in enumerate(kernel.outputs)
    )
    return pieces, Kernel((PARTS + bool(rest),), 1, results, tuple(range(len(results))))


def _piece(kernel: Kernel, shape: tuple[int, ...], index: tuple[Affine, ...]) -> Kernel:
    """The kernel over another space, of which the first axis counts results."""
    outputs = tuple(Output(substituted(o.expression, index), o.combine) for o in kernel.outputs)
    return Kernel(shape, len(shape) - 1, outputs, kernel.operands)
