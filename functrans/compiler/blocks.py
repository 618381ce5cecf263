"""Blocks: the steps of one program become instructions, and its values get places (compiler/homes.py says which)."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

from ..core.avals import ShapedArray
from ..core.jaxpr import Eqn, Jaxpr, Var
from . import regions
from .chains import chained
from .checks import refusal_of
from .fuse import KernelStep
from .homes import Homes
from .instructions import Block
from .loopnest import Kernel
from .overlap import are_same, do_overlap
from .parallel import in_parallel
from .patchworks import MOST_BOXES, Patchwork, divided, put_together
from .places import ObjectPlace, Place
from .scanned import with_kernels
from .staggered import staggered
from .totals import added_up
from .uses import is_number, is_view, region_of, viewed


class Fused(NamedTuple):
    """A jaxpr, and the equations and kernels that it comes to."""

    jaxpr: Jaxpr
    steps: list[Eqn | KernelStep]


class OpenBlock(NamedTuple):
    """A block that is being assembled.

    Attributes:
        constants: the slots of what is the same in all steps of a loop that has a first step for sure, if it is the
            body of one.
    """

    block: Block
    constants: Collection[int]


class BlockAssembler:
    """Assembles one program.

    Args:
        outputs: where the results are to be. Those that take the memory of a donated argument are there in its place.
        lent: the slots of inputs that may be overwritten.

    Attributes:
        stayed: the numbers of the results of a loop's body that are where the carry was before.
    """

    def __init__(
        self,
        assembler: Any,
        fused: Fused,
        inputs: Sequence[Place | ObjectPlace],
        outputs: list[Place | ObjectPlace],
        carry: Sequence[Place],
        lent: Collection[int] = (),
    ):
        self.assembler = assembler
        self.jaxpr, self.steps = fused
        self.outputs = outputs
        self.carry = carry
        self.stayed: set[int] = set()
        self.instructions: Block = []
        assembler.blocks.append(self.instructions)
        self.homes = Homes(assembler, self.instructions, self.jaxpr, self.steps, (inputs, outputs, carry), lent)
        self.places = self.homes.places

    def run(self, constants: Collection[int] = ()) -> Block:
        """The instructions.

        Args:
            constants: those of an OpenBlock.
        """
        self.assembler.open.append(OpenBlock(self.instructions, constants))
        for number, step in enumerate(self.steps):
            before = len(self.instructions)
            if isinstance(step, KernelStep):
                self.kernel(number, step)
            elif not self.view(number, step):
                self.equation(number, step)
            if len(self.instructions) > before or self.assembler.ahead:
                self.assembler.note_origin([*self.instructions[before:], *self.assembler.ahead], step)
                self.assembler.ahead.clear()
        self.assembler.open.pop()
        for number, (atom, place) in enumerate(zip(self.jaxpr.outputs, self.outputs)):
            source = self.homes.place(atom)
            if number < len(self.carry) and source == self.carry[number]:
                self.stayed.add(number)
            elif not self.homes.lent.hands_out(number, source):
                self.assembler.copy(self.instructions, source, place)
        results = {place.slot for place in self.outputs if isinstance(place, Place)}
        known = self.assembler
        notes = known.times, known.origins, known.remarks
        instructions = self.instructions
        if known.has_launches:
            instructions = with_kernels(added_up(instructions, known.slots, notes), known.slots, notes, results)
        found = chained(instructions, known.slots, notes, not known.has_launches, results)
        finish = in_parallel if known.has_launches else staggered
        return finish(found, known.slots, known.times)

    def target(self, number: int, var: Var) -> Place | ObjectPlace:
        """Where a step computes a variable."""
        place = self.homes.ahead.get(var) or self.homes.fresh(var, number)
        self.places[var] = place
        return place

    def kernel(self, number: int, step: KernelStep) -> None:
        """A kernel; nothing for numbers that fill an array, which are read where they are."""
        for k, (var, output) in enumerate(zip(step.outputs, step.kernel.outputs)):
            if is_number(output) and var not in self.homes.wanted:
                self.places[var] = self.assembler.number(output.expression).broadcast(var.aval.shape)
                continue
            part = self.homes.part_for(number, k)
            if part is not None:
                self.places[var] = part
        self.homes.replace(number)
        sources = [self.homes.place(atom) for atom in step.sources]
        has_pieces = any(isinstance(source, Patchwork) for source in sources)
        computed, targets = [], []
        for var, output in zip(step.outputs, step.kernel.outputs):
            if not is_number(output) or var in self.homes.wanted:
                targets.append(self.places.get(var) or self.output_of_kernel(number, var, has_pieces))
                computed.append(output)
        if computed:
            for eqn in step.checked:
                self.check(eqn)
            is_whole = len(computed) == len(step.outputs)
            kernel = step.kernel if is_whole else step.kernel._replace(outputs=tuple(computed))
            if has_pieces:
                self.kernels_over_pieces(kernel, sources, targets)
            else:
                self.assembler.kernel(self.instructions, kernel, sources, targets)

    def output_of_kernel(self, number: int, var: Var, has_pieces: bool) -> Place | ObjectPlace:
        """Where a kernel computes a variable; piece by piece it writes a transposed result as such."""
        turned = self.homes.turned_parts(var) if has_pieces and var not in self.homes.ahead else None
        if turned is None:
            return self.target(number, var)
        self.places[var] = turned
        return turned

    def check(self, eqn: Eqn) -> None:
        """Have the operands of an equation checked that must lie within bounds."""
        avals, before = [atom.aval for atom in eqn.inputs], len(self.instructions)
        for number, extent in eqn.primitive.checked_operands(avals, **eqn.params):
            place = self.homes.place(eqn.inputs[number])
            place = self.in_memory(place) if isinstance(place, Patchwork) else place
            assert isinstance(place, Place)
            otherwise = refusal_of(eqn, number, place, self.assembler.source)
            self.assembler.check(self.instructions, place, extent, otherwise)
        self.assembler.note_origin([*self.instructions[before:], *self.assembler.ahead], eqn)

    def kernels_over_pieces(self, kernel: Kernel, sources: Sequence[Any], targets: Sequence[Any]) -> None:
        """A kernel that reads patchworks: box by box, or put together in memory if the boxes were too many."""
        boxes = divided(kernel, sources)
        if len(boxes) > MOST_BOXES:
            whole = [self.in_memory(source) if isinstance(source, Patchwork) else source for source in sources]
            self.assembler.kernel(self.instructions, kernel, whole, targets)
            return
        for part, places, box in boxes:
            self.assembler.kernel(self.instructions, part, places, [regions.part(target, box) for target in targets])

    def in_memory(self, source: Patchwork) -> Place:
        """A patchwork put together."""
        target = self.assembler.contiguous("temporary", ShapedArray(source.shape, source.pieces[0][1].dtype))
        for region, place in source.pieces:
            self.assembler.copy(self.instructions, place, regions.part(target, region))
        return target

    def view(self, number: int, eqn: Eqn) -> bool:
        """Whether an equation only looks at an array in another way; then nothing need be done, or a copy be made."""
        if not is_view(eqn):
            return False
        source = self.homes.place(eqn.inputs[0])
        if isinstance(source, Patchwork):
            self.places[eqn.outputs[0]] = put_together(eqn, [source])
            return True
        assert isinstance(source, Place)
        found = viewed(eqn, source)
        if found is None:
            room = self.homes.fresh(eqn.outputs[0], number)
            assert isinstance(room, Place)
            found = room if room.is_contiguous else self.assembler.temporary(eqn.outputs[0].aval)
            self.assembler.copy(self.instructions, source, found.reshaped(source.shape))
        self.places[eqn.outputs[0]] = found
        self.assembler.use(source)
        return True

    def equation(self, number: int, eqn: Eqn) -> None:
        """What the primitive knows to do, or else a call of its implementation."""
        sources = [self.homes.place(atom) for atom in eqn.inputs]
        if self.homes.is_patchwork(eqn):
            self.places[eqn.outputs[0]] = put_together(eqn, sources)
            return
        before, self.assembler.source = self.assembler.source, eqn.source or self.assembler.source
        if eqn.primitive.updates_first:
            sources, targets = self.update(number, eqn, sources)
        else:
            targets = [
                self.homes.continued(number, k) or self.homes.turned(number, k) or self.target(number, v)
                for k, v in enumerate(eqn.outputs)
            ]
            self.places.update(zip(eqn.outputs, targets))
        is_known = eqn.primitive.assemble(self.assembler, self.instructions, sources, targets, eqn.params)
        if not is_known and not has_nothing_to_do(eqn):
            avals = [atom.aval for atom in eqn.inputs]
            run = self.assembler.python(eqn.primitive, sources, targets, eqn.params, avals)
            self.assembler.step(self.instructions, run, (*sources, *targets))
        self.assembler.source = before

    def update(self, number: int, eqn: Eqn, sources: Sequence[Any]) -> tuple[list[Any], list[Any]]:
        """The sources and targets of an update: where both are the same, all but its region is there.

        What is read from the memory that is written to is copied first, unless it is known to lie elsewhere.
        """
        target = self.homes.of_update(number)
        x, *others = sources
        region = region_of(eqn)
        self.assembler.overwritten.add(target.slot)
        written = target if region is None else regions.part(target, region)
        found = [target if region is not None else x]
        for other in others:
            is_apart = not isinstance(other, Place) or not do_overlap(other, written)
            if is_apart or (region is not None and are_same(other.broadcast(written.shape), written)):
                found.append(other)
                continue
            copy = self.assembler.contiguous("temporary", ShapedArray(other.shape, other.dtype))
            self.assembler.copy(self.instructions, other, copy)
            found.append(copy)
        self.places[eqn.outputs[0]] = target
        return found, [target]


def has_nothing_to_do(eqn: Eqn) -> bool:
    """Whether an equation computes no elements, and nobody can tell whether it has been run."""
    is_empty = all(isinstance(v.aval, ShapedArray) and 0 in v.aval.shape for v in eqn.outputs)
    return is_empty and not eqn.primitive.may_refuse and not eqn.primitive.has_effects(eqn.params)
