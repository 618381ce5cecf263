"""Sums of products of matrices, where a library adds a product to what is there: no kernel has to.

Derivatives of derivatives are full of them: `x @ dw + dx @ w` is the tangent of `x @ w`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import prod
from operator import itemgetter
from typing import Any, NamedTuple

from .instructions import KernelRun, ProductRun
from .loopnest import Apply, Expression, Kernel, Load, Output, point, rebuilt, with_parts
from .places import Place, Slot

#: Of so few multiplications a product is left as it is: it may become part of the kernel of a loop.
LITTLE_WORK = 1 << 16


class Pair(NamedTuple):
    """Two products, by their positions in a block, and the operands of a kernel that they are only added up as."""

    first: int
    second: int
    kept: Any
    gone: Any


def added_up(block: Sequence[Any], slots: Sequence[Slot], notes: Iterable[dict[int, Any]]) -> list[Any]:
    """The instructions of a block, products that kernels would add up added up by the library.

    Args:
        notes: what is known of instructions, by their ids, first of all when they run; the same is known of those that
            take the place of others.
    """
    if not any(isinstance(instruction, ProductRun) for instruction in block):
        return list(block)
    return _Totals(block, slots, list(notes)).instructions()


class _Totals:
    """
    Attributes:
        block: the instructions; None where there was one.
        writers: the positions of the products that have been met and that others may be added to, by slot.
    """

    def __init__(self, block: Sequence[Any], slots: Sequence[Slot], notes: Sequence[dict[int, Any]]):
        self.block, self.slots, self.notes = list(block), slots, notes
        self.writers: dict[int, list[int]] = {}

    def instructions(self) -> list[Any]:
        for k, instruction in enumerate(self.block):
            if _may_be_added(instruction):
                self.writers.setdefault(instruction.z.slot, []).append(k)
            elif isinstance(instruction, KernelRun):
                self.kernel(k)
        return [instruction for instruction in self.block if instruction is not None]

    def kernel(self, k: int) -> None:
        """Have the library add up what a kernel would, as long as there is such a thing."""
        while isinstance(self.block[k], KernelRun) and (pair := self.pair(k)):
            z, gone = self.block[pair.first].z, self.block[pair.second].z
            self.replace(pair.second, self.block[pair.second]._replace(z=z, adds=True))
            self.replace(k, _without(self.block[k], pair))
            self.slots[gone.slot].size = 0
            writers = sorted((*self.writers[z.slot], *self.writers.pop(gone.slot)))
            self.writers[z.slot] = writers
            target = self.copied_to(k, writers[0], z)
            if target is not None:
                self.slots[target.slot].use(self.time(writers[0]))
                self.slots[z.slot].size = 0
                for j in writers:
                    self.replace(j, self.block[j]._replace(z=z._replace(slot=target.slot, offset=target.offset)))
                self.block[k] = None

    def time(self, k: int) -> int:
        """When an instruction runs."""
        return self.notes[0][id(self.block[k])]

    def replace(self, k: int, instruction: Any) -> None:
        for known in self.notes:
            if id(self.block[k]) in known:
                known[id(instruction)] = known[id(self.block[k])]
        self.block[k] = instruction

    def pair(self, k: int) -> Pair | None:
        """Two products before a kernel that nothing is done with but that the kernel adds them."""
        run = self.block[k]
        has_places = any(output.place is not None for output in run.kernel.outputs)
        if has_places or sum(place.slot in self.writers for place in run.sources) < 2:
            return None
        places = dict(zip(run.kernel.operands, run.sources))
        for e in run.kernel.expressions():
            pair = self.products_of(e, places) if _is_sum_of_loads(e) else None
            if pair is not None and _are_only_added(run.kernel, *e.operands) and self.are_alone(pair, k):
                return pair
        return None

    def products_of(self, e: Expression, places: dict[Any, Place]) -> Pair | None:
        """The products that a sum is one of, if they are alike and all that is at their places."""
        loads = [(self.writers.get(places[x.operand].slot), x.operand) for x in e.operands]
        if any(found is None for found, _ in loads):
            return None
        (first, kept), (second, gone) = sorted(((found[-1], x) for found, x in loads), key=itemgetter(0))
        (one, z), (other, added) = ((places[x], self.block[j].z) for x, j in ((kept, first), (gone, second)))
        are_alike = one._replace(slot=0) == other._replace(slot=0) and z._replace(slot=0) == added._replace(slot=0)
        are_whole = prod(one.shape) == prod(z.shape) and self.is_sum(z) and self.is_sum(added)
        is_found = are_alike and are_whole and len(self.writers[added.slot]) == 1
        return Pair(first, second, kept, gone) if is_found else None

    def is_sum(self, z: Place) -> bool:
        """Whether a product is stored at a place, and all others of the same slot are added to it."""
        first, *others = (self.block[j] for j in self.writers[z.slot])
        return first.z == z and not first.adds and all(run.z == z and run.adds for run in others)

    def are_alone(self, pair: Pair, k: int) -> bool:
        """Whether nobody but a kernel has to do with where two products are."""
        own = {self.block[j].z.slot for j in (pair.first, pair.second)}
        writers = {j for slot in own for j in self.writers[slot]}
        between = [self.block[j] for j in range(min(writers), k) if j not in writers]
        return _leave_alone(between, own) and all(
            self.slots[slot].kind == "temporary"
            and self.slots[slot].first >= self.time(self.writers[slot][0])
            and self.slots[slot].last <= self.time(k)
            for slot in own
        )

    def copied_to(self, k: int, first: int, z: Place) -> Place | None:
        """Where a kernel copies a sum to, if that may as well be computed there from its first product on."""
        run = self.block[k]
        (output, *others), (target, *_), (source, *_) = run.kernel.outputs, run.targets, run.sources
        e, shape = output.expression, run.kernel.shape
        is_copy = not others and not run.kernel.reduced and isinstance(e, Load) and e.index == point(len(shape))
        if not is_copy or shape != source.shape or target._replace(slot=z.slot, offset=z.offset) != source:
            return None
        slot = self.slots[target.slot]
        is_new = slot.kind == "result" or (slot.kind == "temporary" and slot.first >= self.time(k))
        return target if is_new and _leave_alone(self.block[first:k], {target.slot}) else None


def _may_be_added(instruction: Any) -> bool:
    """Whether an instruction is a product that another one may be added to."""
    if not isinstance(instruction, ProductRun):
        return False
    x, z = instruction.x, instruction.z
    is_apart = z.shape[0] == 1 or z.strides[0] != 0
    return is_apart and z.dtype.char in "fdFD" and prod(z.shape) * x.shape[2] > LITTLE_WORK


def _is_sum_of_loads(e: Expression) -> bool:
    if not isinstance(e, Apply) or e.operation != "add":
        return False
    x, y = e.operands
    return isinstance(x, Load) and isinstance(y, Load) and x.index == y.index and x.operand != y.operand


def _are_only_added(kernel: Kernel, x: Load, y: Load) -> bool:
    """Whether a kernel reads two operands to add their elements, and for nothing else."""
    own = {x.operand, y.operand}
    for e in kernel.expressions():
        if isinstance(e, Load) and e.operand in own and e not in (x, y):
            return False
        is_sum = isinstance(e, Apply) and e.operation == "add" and set(e.operands) == {x, y}
        if isinstance(e, Apply) and not is_sum and any(p in (x, y) for p in e.operands if isinstance(p, Load)):
            return False
    return all(output.expression not in (x, y) for output in kernel.outputs if isinstance(output.expression, Load))


def _leave_alone(instructions: Sequence[Any], own: set[int]) -> bool:
    """Whether kernels and products touch none of some slots; of other instructions nobody asks."""
    return all(
        isinstance(i, KernelRun | ProductRun) and own.isdisjoint(place.slot for place in (*i.sources, *i.targets))
        for i in instructions
        if i is not None
    )


def _without(run: KernelRun, pair: Pair) -> KernelRun:
    """The kernel that reads the sum of two products where one of them was."""
    results: dict[int, Expression] = {}
    for e in run.kernel.expressions():
        is_sum = _is_sum_of_loads(e) and {x.operand for x in e.operands} == {pair.kept, pair.gone}
        if is_sum:
            results[id(e)] = next(x for x in e.operands if x.operand == pair.kept)
        else:
            results[id(e)] = rebuilt(e, results) if isinstance(e, Apply) else with_parts(e, results)
    outputs = tuple(Output(results[id(o.expression)], o.combine) for o in run.kernel.outputs)
    sources = {o: place for o, place in zip(run.kernel.operands, run.sources) if o != pair.gone}
    kernel = Kernel(run.kernel.shape, run.kernel.reduced, outputs, tuple(sources))
    return KernelRun(kernel, tuple(sources.values()), run.targets)
