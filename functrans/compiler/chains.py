"""Chains: kernels in a row that can be run together, some rows at a time, so that rows stay in the cache.

Softmax, layer norm and their gradients are a few kernels over the same leading axis: reductions of rows, and what is
computed from rows and their reductions. Row i of each needs row i of those before only. Run row block by row block,
they read and write what is in the cache; and threads need to meet once, at the end. So it is with the images of a
convolution: zeros are put around one, its windows side by side, and products are summed up.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

from .instructions import ChainRun, KernelRun, Place, Slot
from .loopnest import Affine, Kernel, Load, Output, axis_index, substituted

#: Chains over fewer elements are left as they are: everything is in the cache anyway.
FEWEST_ELEMENTS = 1 << 13
#: A chain has so many kernels at most, so that the time to find it stays bounded.
MOST_LINKS = 64
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
                slot.first, slot.last = min(slot.first, first), max(slot.last, last)
        else:
            found.extend(links)
        links.clear()

    for instruction in block:
        if isinstance(instruction, KernelRun) and _has_rows(instruction):
            if links and (len(links) == MOST_LINKS or not _follows(instruction, links)):
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
    """Whether row i of a kernel has to do with row i only of what the links read and write."""
    if run.kernel.shape[0] != links[0].kernel.shape[0]:
        return False
    earlier, own = _by_slot(links), _by_slot([run])
    written = {target.slot for link in links for target in link.targets}
    writes = {target.slot for target in run.targets}
    for slot in earlier.keys() & own.keys():
        if slot not in written and slot not in writes:
            continue
        if not _have_same_rows([*earlier[slot], *own[slot]]):
            return False
        if (slot in written and not _reads_by_row(run, slot)) or (
            slot in writes and not all(_reads_by_row(link, slot) for link in links)
        ):
            return False
    return True


def _by_slot(runs: Sequence[KernelRun]) -> dict[int, list[Place]]:
    """The places that kernels read and write."""
    found: dict[int, list[Place]] = {}
    for place in _places(runs):
        found.setdefault(place.slot, []).append(place)
    return found


def _reads_by_row(run: KernelRun, slot: int) -> bool:
    """Whether a kernel reads an array at the row of the point only."""
    places = dict(zip(run.kernel.operands, run.sources))
    return all(_is_by_row(load) for load in run.kernel.loads() if places[load.operand].slot == slot)


def _have_same_rows(places: Sequence[Place]) -> bool:
    """Whether row i of each of some places in a slot shares memory with row i only of the others."""
    (stride, *others) = {place.strides[0] if place.shape else 0 for place in places}
    if others or stride <= 0:
        return False
    for place in places:
        inside = list(zip(place.shape[1:], place.strides[1:]))
        low = place.offset + sum((n - 1) * s for n, s in inside if s < 0)
        high = place.offset + sum((n - 1) * s for n, s in inside if s > 0) + place.dtype.itemsize
        if low < 0 or high > stride:
            return False
    return True


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
        and slots[target.slot].first >= first
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
