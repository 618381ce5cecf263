"""Patchworks: arrays that are put together from others and that nobody needs in memory.

`np.roll(u, 1)` is `concatenate([u[-1:], u[:-1]])`, and a padded array is one with numbers around it. A kernel that
reads such an array need not wait until it is copied together: its space is divided where one of the pieces ends, and
over each box it reads the pieces themselves.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import pairwise, product
from typing import Any, NamedTuple

from ..core.jaxpr import Eqn, Jaxpr, Var
from ..primitives import structural
from . import regions
from .fuse import KernelStep
from .loopnest import Affine, Expression, Kernel, Load, Output, axis_index, replaced, substituted
from .places import Place
from .uses import regions_of

#: Arrays that cost less to copy than so many calls of kernels are put together in memory; those that kernels compute
#: a part of, which they write there at once, and those whose parts are in memory elsewhere.
WORTH_CALLS, WORTH_CALLS_COPIED = 4, 1
#: Concatenations of more arrays are put together in memory.
MOST_PIECES = 3
#: A kernel is divided into so many boxes at most.
MOST_BOXES = 27


class Patchwork(NamedTuple):
    """An array as regions without gaps, and where the elements of each are."""

    shape: tuple[int, ...]
    pieces: tuple[tuple[regions.Region, Place], ...]

    def sliced(self, starts: Sequence[int], limits: Sequence[int]) -> Patchwork:
        """A part of the array."""
        found = []
        for region, place in self.pieces:
            first = tuple(max(low, start) for low, start in zip(region.starts, starts))
            last = tuple(min(high, limit) for high, limit in zip(region.limits, limits))
            if all(low < high for low, high in zip(first, last)):
                inside = regions.box(_minus(first, region.starts), _minus(last, region.starts))
                found.append((regions.box(_minus(first, starts), _minus(last, starts)), regions.part(place, inside)))
        return Patchwork(_minus(limits, starts), tuple(found))

    def moved(self, by: Sequence[int]) -> list[tuple[regions.Region, Place]]:
        """The pieces, so much further on in a larger array."""
        back = tuple(-n for n in by)
        return [(regions.box(_minus(r.starts, back), _minus(r.limits, back)), place) for r, place in self.pieces]


def _minus(x: Sequence[int], y: Sequence[int]) -> tuple[int, ...]:
    return tuple(a - b for a, b in zip(x, y))


def patchwork(place: Place | Patchwork) -> Patchwork:
    """An array in memory as one piece."""
    if isinstance(place, Patchwork):
        return place
    return Patchwork(place.shape, ((regions.box((0,) * len(place.shape), place.shape), place),))


def put_together(eqn: Eqn, sources: Sequence[Any]) -> Patchwork:
    """What a concatenation, a padding, or a slice of a patchwork is."""
    shape = eqn.outputs[0].aval.shape
    if eqn.primitive is structural.slice:
        return patchwork(sources[0]).sliced(eqn.params["starts"], eqn.params["limits"])
    parts = regions_of(eqn)
    found: list[tuple[regions.Region, Place]] = []
    for source, part in zip(sources, parts):
        if part is not None:
            found += patchwork(source).moved(part.starts)
    if eqn.primitive is structural.pad:
        (inside, _) = parts
        rest = regions.surroundings(shape, inside)
        found += [(r, sources[1].broadcast(_minus(r.limits, r.starts))) for r in rest]
    return Patchwork(shape, tuple(found))


def patchworks(jaxpr: Jaxpr, steps: Sequence[Eqn | KernelStep]) -> set[Var]:
    """The arrays that need not be in memory: only kernels read them, and each at places that move with its points.

    Slices of such arrays are among them, and slices that would be such if the array were one.
    """
    readers: dict[Any, list[Eqn | KernelStep]] = {}
    for step in steps:
        for atom in step.sources if isinstance(step, KernelStep) else step.inputs:
            readers.setdefault(atom, []).append(step)
    computed = {atom for step in steps if isinstance(step, KernelStep) for atom in step.outputs}
    results, found = {atom for atom in jaxpr.outputs if isinstance(atom, Var)}, set()
    for step in reversed(steps):
        if isinstance(step, Eqn) and _may_be_patchwork(step, computed):
            (var,) = step.outputs
            if var not in results and all(_reads_pieces(reader, var, found) for reader in readers.get(var, ())):
                found.add(var)
    return found


def _may_be_patchwork(eqn: Eqn, computed: Collection[Any]) -> bool:
    primitive = eqn.primitive
    if primitive is structural.slice:
        return set(eqn.params["strides"]) <= {1}
    if primitive not in (structural.pad, structural.concatenate):
        return False
    dtypes = {getattr(atom.aval, "dtype", None) for atom in (*eqn.inputs, *eqn.outputs)}
    calls = WORTH_CALLS if any(atom in computed for atom in eqn.inputs) else WORTH_CALLS_COPIED
    is_large = eqn.outputs[0].aval.size >= calls * regions.KERNEL_CALL
    if primitive is structural.pad:
        is_plain = primitive.part_of_result(0, [atom.aval for atom in eqn.inputs], **eqn.params) is not None
        return is_plain and len(dtypes) == 1 and is_large
    return len(dtypes) == 1 and len(eqn.inputs) <= MOST_PIECES and is_large


def _reads_pieces(step: Eqn | KernelStep, var: Var, found: set[Var]) -> bool:
    """Whether a step reads an array at places that move with the points of a space, one element with each."""
    if isinstance(step, Eqn):
        return step.outputs[0] in found
    parallel = len(step.kernel.shape) - step.kernel.reduced
    indices = [i for atom, load in step.reads() if atom is var for i in load.index]
    return all(not i.terms and (not i.factors or _axis(i) in range(parallel)) for i in indices)


def _axis(index: Affine) -> int | None:
    """The axis that an index is, but for an offset."""
    return index.factors[0][0] if len(index.factors) == 1 and index.factors[0][1] == 1 else None


def divided(kernel: Kernel, sources: Sequence[Place | Patchwork]) -> list[tuple[Kernel, list[Place], regions.Region]]:
    """A kernel as kernels over boxes, in each of which it reads one piece of each patchwork; and the boxes."""
    operands = dict(zip(kernel.operands, sources))
    parallel = len(kernel.shape) - kernel.reduced
    ends = [{0, extent} for extent in kernel.shape[:parallel]]
    for load in kernel.loads():
        source = operands[load.operand]
        for region, _ in source.pieces if isinstance(source, Patchwork) else ():
            for i, first, last in zip(load.index, region.starts, region.limits):
                if i.factors:
                    axis = i.factors[0][0]
                    ends[axis] |= {n - i.offset for n in (first, last) if 0 < n - i.offset < kernel.shape[axis]}
    spans = [list(pairwise(sorted(each))) for each in ends]
    return [_over_box(kernel, operands, tuple(zip(*box)) or ((), ())) for box in product(*spans)]


def _over_box(
    kernel: Kernel, operands: dict[Any, Place | Patchwork], box: tuple[tuple[int, ...], ...]
) -> tuple[Kernel, list[Place], regions.Region]:
    """A kernel over a part of its space."""
    starts, limits = box
    origin = (*starts, *[0] * kernel.reduced)
    index = tuple(axis_index(axis).plus(start) for axis, start in enumerate(origin))
    numbers: dict[Place, int] = {}

    def read(load: Load) -> Expression:
        source = operands[load.operand]
        if isinstance(source, Patchwork):
            first = tuple(i.offset for i in load.index)
            region, source = next(piece for piece in source.pieces if _holds(piece[0], first))
            load = load._replace(index=tuple(i.plus(-start) for i, start in zip(load.index, region.starts)))
        return load._replace(operand=numbers.setdefault(source, len(numbers)))

    outputs = tuple(
        Output(replaced(substituted(output.expression, index), read), output.combine) for output in kernel.outputs
    )
    shape = (*_minus(limits, starts), *kernel.shape[len(starts) :])
    part = Kernel(shape, kernel.reduced, outputs, tuple(range(len(numbers))))
    return part, list(numbers), regions.box(starts, limits)


def _holds(region: regions.Region, index: Sequence[int]) -> bool:
    return all(low <= i < high for low, i, high in zip(region.starts, index, region.limits))
