"""Homes: where arrays are that are made of parts, so that parts are computed where they belong.

`y = update_slice(x, u)` overwrites a region of x. If nobody needs x afterwards, y is at home where x was; otherwise it
gets a home of its own, and what is around the region is copied there. Concatenation and padding have homes as well. A
kernel that computes `u`, or what is concatenated or padded, writes it there at once, long before the equation itself,
provided that nobody reads or writes these elements in between. A kernel may even read what it overwrites, if each point
reads there only the element that it writes: all that it reads at a point is read before anything is written there.
So what a kernel needs last is computed in the place of its result at once, which takes less memory and less time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from itertools import islice
from typing import Any

from ..core.jaxpr import Atom, Eqn, Jaxpr, Var
from ..primitives.foundation import reshape
from ..primitives.structural import transpose
from . import regions
from .fuse import KernelStep
from .instructions import Block
from .lent import Lent
from .loopnest import Load, has_terms, point
from .overlap import accessed, are_same, do_overlap, with_units
from .patchworks import Patchwork, patchworks
from .places import ObjectPlace, Place
from .uses import (
    is_number,
    is_view,
    last_uses,
    operands,
    owners,
    readers,
    region_of,
    regions_of,
    sources_of_results,
    viewed,
)
from .versions import Versions

#: What is written out of order is still together in the cache if it has so many bytes at most.
CLOSE = 512


class Homes:
    """Decides, for one program, where its values are.

    Attributes:
        places: where values are that have been computed.
        versions: what becomes of values by updates, and by kernels that compute others in their places.
        ahead: where arrays will be of which parts are computed already.
        given: the slots of the arguments.
        written: the numbers of the updates whose region has been computed in place.
        parts: values that are parts of others, whose memory is not theirs.
        lasting: numbers of carries and regions, around which both places of the carry always hold what it began with.
        holders: the last version of an array that is in a result's slot, in that of a carry before a step, or in that
            of an argument that may be overwritten.
        lent: such arguments.
    """

    def __init__(
        self,
        assembler: Any,
        block: Block,
        jaxpr: Jaxpr,
        steps: Sequence[Eqn | KernelStep],
        places: tuple[Sequence[Place | ObjectPlace], list[Place | ObjectPlace], Sequence[Place]],
        lent: Collection[int] = (),
    ):
        self.assembler = assembler
        self.block = block
        self.steps = steps
        self.inputs, self.outputs, self.carry = places
        self.carried = frozenset(self.carry)
        self.places: dict[Var, Place | ObjectPlace | Patchwork] = dict(zip(jaxpr.inputs, self.inputs, strict=True))
        self.given = {place.slot for place in self.inputs if isinstance(place, Place)}
        own = [place for place in self.inputs if isinstance(place, Place) and place.slot in lent]
        held = {*lent, *(place.slot for place in self.carry)}
        self.holders: dict[int, Var] = {
            p.slot: v for v, p in self.places.items() if isinstance(p, Place) and p.slot in held
        }
        self.lent = Lent(own, self.outputs, self.holders, sources_of_results(jaxpr, self.places, own))
        self.wanted: dict[Atom, int] = {}
        for number, atom in enumerate(jaxpr.outputs):
            if isinstance(atom, Var) and atom not in self.places:
                self.wanted.setdefault(atom, number)
        self.patchworks = patchworks(jaxpr, steps)
        self.owners = owners(steps, self.patchworks)
        self.last_uses = last_uses(jaxpr, steps, self.owners)
        self.readers = readers(steps)
        self.makers = {var: number for number, step in enumerate(steps) for var in step.outputs}
        self.versions = Versions(steps, self.makers, self.wanted, self.last_uses)
        # A GPU would rather keep the rows of a chain where only the chain can see them.
        self.versions.successors.update({} if assembler.has_launches else self.found_successors())
        self.regions: dict[int, dict[Any, regions.Region | None]] = {}  # what is known of `regions_of`
        self.ahead: dict[Var, Place] = {}
        self.written: set[int] = set()
        self.parts: set[Var] = set()
        self.lasting: list[tuple[int, regions.Region]] = []
        self.needed: tuple[int, Counter[Var]] = (-1, Counter())
        self.read: tuple[int, dict[int, list[tuple[Place, bool]]]] = (-1, {})

    # ---- whole arrays

    def fresh(self, var: Var, number: int) -> Place | ObjectPlace:
        """Room for a value that is made by a step: at once where the last version of it is wanted, if that is free."""
        result = self.versions.result_of(var)
        offers = self.lent.offers(result, var.aval)
        places = [] if result is None else [*offers, self.outputs[result], *self.carry[result : result + 1]]
        for place in places:
            if isinstance(place, ObjectPlace):
                return place
            holder = self.holders.get(place.slot)
            if holder is None or self.last_uses[holder] < number:
                self.occupy(var, place)
                return place
        return self.reshaped(var) or self.assembler.temporary(var.aval)

    def reshaped(self, var: Var) -> Place | None:
        """The room of a result that is a value under another shape, if it is free."""
        for step in (self.steps[number] for number in self.readers.get(var, ())):
            if isinstance(step, KernelStep) or step.primitive is not reshape:
                continue
            result = self.wanted.get(step.outputs[0])
            place = None if result is None or result < len(self.carry) else self.outputs[result]
            if isinstance(place, Place) and place.is_contiguous and place.slot not in self.holders:
                place = place.reshaped(var.aval.shape)
                self.occupy(var, place)
                return place
        return None

    def occupy(self, var: Var, place: Place) -> None:
        """A value takes a place that may be held by an earlier one."""
        if place.slot in self.lent:
            self.lent.take(self.versions.result_of(var), place)
        if place.slot in self.holders:
            self.assembler.overwritten.add(place.slot)
        self.holders[place.slot] = var

    def replace(self, number: int) -> None:
        """Have outputs of a kernel take the places of values that it needs last: of a carry, a result, or arguments.

        That is possible if each point reads there only what it overwrites; and in the place of an argument only results
        are put, or what becomes one.
        """
        step = self.steps[number]
        assert isinstance(step, KernelStep)
        free: dict[Any, list[Var]] = {}
        for x in step.sources:
            if isinstance(x, Var) and self.last_uses[x] <= number and not self.is_kept(x):
                free.setdefault((x.aval.shape, x.aval.dtype), []).append(x)
        for rank in range(3) if self.lent.paired else (1,):
            for var in step.outputs:
                values = free.get((var.aval.shape, var.aval.dtype))
                found = self.replaced(var, values, rank, number) if values and var not in self.places else None
                if found is not None:
                    values.remove(found)

    def replaced(self, var: Var, values: Sequence[Var], rank: int, number: int) -> Var | None:
        """Have a result of a kernel take the place of the first value that suits it so well; which one that is."""
        result = self.versions.result_of(var)
        for x in values:
            if self.lent.rank(result, self.places.get(x)) != rank:
                continue
            place = self.overwritable(x, var, number, number)
            if place is not None and self.may_replace(result, place) and self.is_free(place, number, number):
                self.settle(var, place)
                self.places[var] = place
                return x
        return None

    def may_replace(self, result: int | None, place: Place) -> bool:
        """Whether what becomes a result may be computed where a value is that a kernel needs last."""
        is_there = result is not None and place == self.outputs[result]
        return is_there or place in self.carried or self.lent.may_hold(result, place)

    def continued(self, number: int, k: int) -> Place | None:
        """Where the last state of a loop may be: where it begins, if the loop alone needs that."""
        eqn = self.steps[number]
        assert isinstance(eqn, Eqn)
        i = eqn.primitive.continues(k, eqn.params)
        if i is None or not isinstance(x := eqn.inputs[i], Var):
            return None
        y = eqn.outputs[k]
        needed = self.times_needed(number)
        is_shared = any(needed[own] > 1 for own in self.owners.get(x, {x}))
        if is_shared or (x.aval.shape, x.aval.dtype) != (y.aval.shape, y.aval.dtype):
            return None
        place = self.overwritable(x, y, number, number)
        if place is not None:
            self.settle(y, place)
        return place

    def times_needed(self, number: int) -> Counter[Var]:
        """How many operands of a step need the memory of values."""
        if self.needed[0] != number:
            variables = [a for a in operands(self.steps[number]) if isinstance(a, Var)]
            self.needed = number, Counter(own for a in variables for own in self.owners.get(a, {a}))
        return self.needed[1]

    def turned(self, number: int, k: int) -> Place | None:
        """Where what a loop computes in each step may be, if it is needed for nothing but a transposed result: there.

        A GPU would rather have threads beside each other write elements beside each other, and transpose them later.
        """
        eqn = self.steps[number]
        assert isinstance(eqn, Eqn)
        is_free = not self.assembler.has_launches and eqn.primitive.is_step_by_step(k, eqn.params)
        return self.in_transposed(eqn.outputs[k]) if is_free else None

    def turned_parts(self, var: Var) -> Place | None:
        """The same for an array that is put together from parts, if what changes places stays close together."""
        if self.assembler.has_launches:
            return None
        return self.in_transposed(var, CLOSE)

    def in_transposed(self, var: Var, most: int | None = None) -> Place | None:
        """The room of a result that is a value transposed, if nothing else needs that and the room is free.

        Args:
            most: the bytes of the axes that change places together, with those between and after them.
        """
        readers = self.readers.get(var, ())
        if var in self.wanted or len(readers) != 1:
            return None
        view = self.steps[readers[0]]
        if isinstance(view, KernelStep) or view.primitive is not transpose:
            return None
        result = self.wanted.get(view.outputs[0])
        place = None if result is None or result < len(self.carry) else self.outputs[result]
        if not isinstance(place, Place) or place.slot in self.holders:
            return None
        permutation = view.params["permutation"]
        first = next((axis for axis, other in enumerate(permutation) if axis != other), 0)
        if most is not None and place.strides[first] * place.shape[first] > most:
            return None
        self.occupy(var, place)
        return place.transposed(permutation=[permutation.index(axis) for axis in range(len(permutation))])

    def found_successors(self) -> dict[Var, Var]:
        """For each result of a kernel one of its operands, at most, that nobody needs afterwards, if there is one.

        The kernel must read of it, at each point, the element that it would overwrite.
        """
        found: dict[Var, Var] = {}
        for number, step in enumerate(self.steps):
            if isinstance(step, KernelStep) and not step.kernel.reduced:
                free = [x for x in self.read_by_point(step) if x in self.makers and self.last_uses[x] == number]
                for y in step.outputs:
                    same = (x for x in free if x not in found and _have_one_type(x, y))
                    found.update((x, y) for x in islice(same, 1))
        return found

    def read_by_point(self, step: KernelStep) -> list[Var]:
        """The operands of the shape of a kernel whose memory it reads at the point itself only."""
        shape = step.kernel.shape
        own = point(len(shape))
        others: set[Any] = set()
        for atom, load in step.reads():
            is_own = load.index == own and atom not in self.owners
            others |= set() if is_own else self.owners.get(atom, {atom})
        found = [x for x in step.sources if isinstance(x, Var) and x.aval.shape == shape]
        return [x for x in found if x not in others and x not in self.owners]

    def place(self, atom: Atom) -> Place | ObjectPlace:
        return self.places[atom] if isinstance(atom, Var) else self.assembler.constant(atom)

    def of_update(self, number: int) -> Place:
        """Where the result of an update is. What surrounds a region that is known is there already."""
        eqn = self.steps[number]
        (y,) = eqn.outputs
        if y in self.ahead:
            return self.ahead[y]
        place = self.in_place(number, number)
        if place is not None:
            self.settle(y, place)
            return place
        return self.moved(number, number) or self.fresh(y, number)

    def settle(self, y: Var, place: Place) -> None:
        """An array is a new version of the one that is at a place."""
        self.ahead[y] = place
        if place.slot in self.holders:
            self.occupy(y, place)

    def in_place(self, later: int, number: int) -> Place | None:
        """Where the operand of an update is, if the update may overwrite it."""
        eqn = self.steps[later]
        assert isinstance(eqn, Eqn)
        return self.overwritable(eqn.inputs[0], eqn.outputs[0], later, number)

    def overwritable(self, x: Atom, y: Var, later: int, number: int) -> Place | None:
        """Where a value is, if another one may take its place: nobody needs it after a later step."""
        if not isinstance(x, Var) or self.last_uses[x] > later or self.parts & self.owners.get(x, {x}):
            return None
        place = self.known(x, number)
        if not isinstance(place, Place):
            return None
        result = self.wanted.get(y)
        is_there = result is None or place in (self.outputs[result], *self.carry[result : result + 1])
        if not is_there and place.slot not in self.lent:
            return None
        return place if place.is_contiguous and self.is_own(place, y) else None

    def is_own(self, place: Place, y: Var) -> bool:
        """Whether a place belongs to this program alone, or to the result that y becomes."""
        result = self.versions.result_of(y)
        if result is not None and place == self.outputs[result]:
            return True
        if place.slot in self.lent:
            return result is None or self.lent.may_hold(result, place)
        is_temporary = self.assembler.slots[place.slot].kind == "temporary" and place.slot not in self.given
        return is_temporary or place in self.carried

    def is_kept(self, x: Atom) -> bool:
        """Whether a value is an argument that nobody may overwrite, of which there may be hundreds."""
        place = self.places.get(x) if isinstance(x, Var) else None
        if not isinstance(place, Place) or place.slot not in self.given:
            return False
        return place.slot not in self.lent and place not in self.carried

    def known(self, atom: Atom, number: int) -> Place | ObjectPlace | None:
        """Where an operand of an update is, or will be if it is the result of an update of a known region itself."""
        if not isinstance(atom, Var):
            return self.assembler.constant(atom)
        found = self.places.get(atom) or self.ahead.get(atom)
        maker = self.makers.get(atom, -1)
        if found is not None or maker < number or region_of(self.steps[maker]) is None:
            return found
        place = self.in_place(maker, number)
        if place is None:
            return self.moved(maker, number)
        self.settle(atom, place)
        return place

    def moved(self, later: int, number: int) -> Place | None:
        """A home of its own for the result of an update of a known region, with what is around the region."""
        eqn = self.steps[later]
        assert isinstance(eqn, Eqn)
        region = region_of(eqn)
        x, (y,) = eqn.inputs[0], eqn.outputs
        before = self.computed(x)
        if region is None or not isinstance(before, Place):  # not a known region, or not computed yet
            return None
        place = self.fresh(y, number)
        assert isinstance(place, Place)
        self.ahead[y] = place
        carry = self.lasting_carry(later)
        if carry is not None and {before, place} == {self.carry[carry], self.outputs[carry]}:
            self.lasting.append((carry, region))
            return place
        first = len(self.block)
        regions.copy_around(self.assembler, self.block, before, place, region)
        for instruction in self.block[first:]:
            self.assembler.origins[id(instruction)] = eqn
        return place

    def lasting_carry(self, later: int) -> int | None:
        """The number of the carry that an update is a version of, if what is around its region never changes.

        No other update between the beginning and the end of a step may write there.
        """
        eqn = self.steps[later]
        result = self.versions.result_of(eqn.outputs[0])
        if result is None or result >= len(self.carry):
            return None
        chain = self.versions.around(later)
        if chain is None:
            return None
        if self.place(self.versions.updated(chain[0])) != self.carry[result]:
            return None
        region = region_of(eqn)
        is_inside = all(regions.is_inside(region_of(self.steps[number]), region) for number in chain)
        return result if is_inside else None

    def computed(self, atom: Atom) -> Place | ObjectPlace | None:
        """Where a value is, if it has been computed or is a number everywhere."""
        if not isinstance(atom, Var):
            return self.assembler.constant(atom)
        maker = self.steps[self.makers[atom]] if atom in self.makers else None
        if atom not in self.places and isinstance(maker, KernelStep) and atom not in self.wanted:
            output = maker.kernel.outputs[maker.outputs.index(atom)]
            return self.assembler.number(output.expression).broadcast(atom.aval.shape) if is_number(output) else None
        return self.places.get(atom)

    # ---- parts of arrays

    def part_for(self, number: int, k: int) -> Place | None:
        """The part of a larger array that an output of a kernel becomes, if it may be computed there at once."""
        step = self.steps[number]
        assert isinstance(step, KernelStep)
        var = step.outputs[k]
        found = None if var in self.wanted else self.purpose(var)
        if found is None:
            return None
        later, region = found
        eqn = self.steps[later]
        assert isinstance(eqn, Eqn)
        (y,) = eqn.outputs
        if y.aval.dtype != var.aval.dtype or self.last_uses[var] > self.last_uses[y]:
            return None
        home = self.home_for(number, later, var, region)
        part = None if home is None else _part(home, region, var)
        if part is not None:
            self.parts.add(var)
            if eqn.primitive.updates_first:
                self.written.add(later)
        return part

    def is_patchwork(self, step: Eqn | KernelStep) -> bool:
        """Whether an array is put together from others, but not in memory."""
        is_view_of_one = isinstance(step, Eqn) and is_view(step)
        return not is_view_of_one and len(step.outputs) == 1 and step.outputs[0] in self.patchworks

    def purpose(self, var: Var) -> tuple[int, regions.Region] | None:
        """The equation of whose result a value becomes a part, and which."""
        for number in self.readers.get(var, ()):
            step = self.steps[number]
            if isinstance(step, KernelStep) or self.is_patchwork(step):
                continue
            if step.primitive is reshape:
                found = self.purpose(step.outputs[0])
                if found is not None:
                    return found
            region = self.regions_of(number).get(var)
            if region is not None:
                return number, region
        return None

    def regions_of(self, number: int) -> Mapping[Any, regions.Region | None]:
        """For the operands of an equation the parts of its result that they become, where they come first."""
        found = self.regions.get(number)
        if found is None:
            step = self.steps[number]
            assert isinstance(step, Eqn)
            parts = regions_of(step)
            found = self.regions[number] = dict(zip(step.inputs[::-1], parts[::-1])) if parts else {}
        return found

    def home_for(self, number: int, later: int, var: Var, region: regions.Region) -> Place | None:
        """Where the result of a later equation is, of which a kernel may now write a region."""
        eqn = self.steps[later]
        assert isinstance(eqn, Eqn)
        (y,) = eqn.outputs
        if _part(Place(-1, 0, y.aval.shape, y.aval.dtype, (1,) * y.aval.ndim), region, var) is None:
            return None
        if not eqn.primitive.updates_first:
            if y not in self.ahead:
                place = self.turned_parts(y) or self.fresh(y, number)
                assert isinstance(place, Place)
                self.ahead[y] = place
            return self.ahead[y]
        place = self.ahead.get(y) or self.in_place(later, number)
        if place is None:
            return self.moved(later, number)
        part = _part(place, region, var)
        if part is not None and self.is_free(part, number, later):
            if y not in self.ahead:
                self.settle(y, place)
            return place
        is_lasting = self.lasting_carry(later) is not None
        is_small = is_lasting or regions.cost_around(y.aval.shape, region) < var.aval.size
        return self.moved(later, number) if y not in self.ahead and is_small else None

    def is_free(self, part: Place, number: int, later: int) -> bool:
        """Whether a kernel may write to elements that an update would write to later."""
        step = self.steps[number]
        assert isinstance(step, KernelStep)
        for read, is_known in self.reads(number).get(part.slot, ()):
            is_point = is_known and are_same(read, part)
            if do_overlap(read, part) and (step.kernel.reduced or not is_point):
                return False
        others = [p for var in step.outputs if isinstance(p := self.places.get(var), Place) and p.slot == part.slot]
        between = [place for n in range(number + 1, later) for place in self.accesses(n)]
        return not any(do_overlap(place, part) for place in (*others, *between))

    def reads(self, number: int) -> dict[int, list[tuple[Place, bool]]]:
        """What the kernel whose turn it is reads, by slot, and whether that is the very array it names."""
        if self.read[0] != number:
            step, found = self.steps[number], {}
            for atom, load in step.reads():
                is_known = self.located(atom) is not None and not has_terms(load.index)
                for place in self.read_by(atom, load, step.kernel.shape):
                    found.setdefault(place.slot, []).append((place, is_known))
            self.read = number, found
        return self.read[1]

    def accesses(self, number: int) -> list[Place]:
        """What a step that is still to come reads and writes of what has a place by now."""
        step = self.steps[number]
        if isinstance(step, KernelStep):
            return [place for atom, load in step.reads() for place in self.read_by(atom, load, step.kernel.shape)]
        if self.is_patchwork(step):
            return []
        sources = list(map(self.located, step.inputs))
        if is_view(step):
            return [p for p in sources if p is not None and viewed(step, p) is None]
        target = self.ahead.get(step.outputs[0]) if step.outputs else None
        region = region_of(step)
        if step.primitive.updates_first and target is not None and region is not None:
            sources = [] if number in self.written else [*sources[1:], regions.part(target, region)]
        else:
            sources.append(target)
        return [place for place in sources if place is not None]

    def read_by(self, atom: Atom, load: Load, shape: Sequence[int]) -> list[Place]:
        """What a load of a kernel reads of what has a place by now: of a patchwork, all that it is made of."""
        place = self.located(atom)
        if place is not None:
            return [accessed(load, place, shape)]
        pieces = self.owners.get(atom, ()) if atom in self.patchworks else ()
        return [place for place in map(self.located, pieces) if place is not None]

    def located(self, atom: Atom) -> Place | None:
        """Where a value is or will be, as far as that is known; what is not known yet is elsewhere."""
        if not isinstance(atom, Var):
            return None
        found = self.places.get(atom) or self.ahead.get(atom)
        maker = self.steps[self.makers[atom]] if atom in self.makers else None
        if found is None and isinstance(maker, Eqn) and is_view(maker):
            source = self.located(maker.inputs[0])
            return None if source is None else viewed(maker, source)
        return found if isinstance(found, Place) else None


def _have_one_type(x: Var, y: Var) -> bool:
    return x.aval.shape == y.aval.shape and x.aval.dtype == y.aval.dtype


def _part(place: Place, region: regions.Region, var: Var) -> Place | None:
    """A region as an array of the shape of a value that it consists of."""
    return with_units(regions.part(place, region), var.aval.shape)
