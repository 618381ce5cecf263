"""Arguments that a program may overwrite, because they are donated, and the results that are put in their memory."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from .places import ObjectPlace, Place, contiguous_strides


class Lent:
    """Decides which result takes the place of which argument, as soon as that one is no longer needed.

    A result that has nothing in its own place yet may be moved to that of an argument. It must be one of as many bytes.

    Args:
        places: of the arguments, whole arrays in row-major order.
        outputs: where the results are to be; changed here.
        holders: the values that are in the slots of results and arguments.
        sources: for each result those of the places whose values it depends on.

    Attributes:
        sizes: the bytes of the arguments, by slot; slots: those of arguments of so many bytes.
        taken: the slots of those that are overwritten or handed out.
        promised: by slot, the number of the result that is to be there.
        partners: for a result, the slot of the argument that suits it best: the first one of its type that it depends
            on and that is no other result's partner; without such, the first one of its type. paired: all of these.
    """

    def __init__(
        self,
        places: Sequence[Place],
        outputs: list[Place | ObjectPlace],
        holders: Mapping[int, Any],
        sources: Sequence[Collection[Place]],
    ):
        self.outputs = outputs
        self.holders = holders
        self.sizes = {place.slot: place.nbytes for place in places}
        self.slots: dict[int, list[int]] = {}
        for slot, size in self.sizes.items():
            self.slots.setdefault(size, []).append(slot)
        self.taken: set[int] = set()
        self.promised: dict[int, int] = {}
        self.partners: dict[int, int] = {}
        free = list(places)
        for may_suit in (sources, [free] * len(sources)):
            for number, suitable in enumerate(may_suit):
                place = outputs[number]
                fits = (p for p in free if p in suitable and isinstance(place, Place) and p[2:4] == place[2:4])
                partner = next(fits, None) if number not in self.partners else None
                if partner is not None:
                    self.partners[number] = partner.slot
                    free.remove(partner)
        self.paired = set(self.partners.values())

    def __contains__(self, slot: int) -> bool:
        return slot in self.sizes

    def offers(self, result: int | None, aval: Any) -> Iterator[Place]:
        """The places of arguments that a value of a type may take which becomes a result, the best first."""
        shape = getattr(aval, "shape", ())
        if result is None or not shape:
            return
        slots = self.slots.get(aval.size * aval.dtype.itemsize, ())
        strides = contiguous_strides(shape, aval.dtype.itemsize)
        partner = self.partners.get(result)
        unpaired = [slot for slot in slots if slot not in self.paired]
        for slot in [partner, *unpaired, *(slot for slot in slots if slot in self.paired and slot != partner)]:
            place = None if slot is None else Place(slot, 0, shape, aval.dtype, strides)
            if place is not None and self.may_hold(result, place):
                yield place

    def may_hold(self, result: int | None, place: Place) -> bool:
        """Whether a result may still be moved to a place, which must not be that of another one."""
        own = None if result is None else self.outputs[result]
        is_free = self.promised.get(place.slot, result) == result
        return is_free and isinstance(own, Place) and own.slot not in self.holders and self.is_whole(place)

    def is_whole(self, place: Place) -> bool:
        """Whether a place is all of an argument, and an array: numbers are made of what is in memory of their own."""
        is_all = place.offset == 0 and place.is_contiguous and place.nbytes == self.sizes.get(place.slot)
        return is_all and bool(place.shape)

    def rank(self, result: int | None, place: Any) -> int:
        """How well a place suits a result: the lower, the better; last comes what is the partner of another one."""
        slot = place.slot if isinstance(place, Place) else None
        if slot not in self.paired:
            return 1
        return 0 if result is not None and slot == self.partners.get(result) else 2

    def take(self, result: int | None, place: Place) -> None:
        """The place of an argument is overwritten, by what becomes a result, if that has a number."""
        self.taken.add(place.slot)
        if result is not None:
            self.outputs[result] = place
            self.promised[place.slot] = result

    def hands_out(self, number: int, source: Place | ObjectPlace) -> bool:
        """Whether a result stays in the memory of an argument that it is in, which nobody else has."""
        if not isinstance(source, Place) or not self.may_hold(number, source):
            return False
        self.take(number, source)
        return True
