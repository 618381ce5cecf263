"""Stacks under native loops: Python makes and finds their blocks, and the loops run through these by address."""

from __future__ import annotations

import ctypes
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from math import prod
from typing import Any, NamedTuple

import numpy as np

from ....core.avals import StackAval
from ....core.stack import Stack, block_size, entry_bytes, new_block
from ...assembly import Assembled
from ...instructions import Block, CheckRun, PythonRun, RecurrenceRun, StackStep, Tape, blocks_of
from ...places import ObjectPlace, Place
from ...tapes import ON_TAPES
from .runtime import HEADER

#: Where in NumPy's structure of an array the address of the first element is, in bytes.
DATA = 2 * ctypes.sizeof(ctypes.c_void_p)
#: How much memory of a tape is kept for the next call, in bytes: new pages take longer than what is written to them.
KEPT = 1 << 25


def address_of(x: np.ndarray[Any, Any]) -> int:
    """Where the first element of an array is."""
    return ctypes.c_int64.from_address(id(x) + DATA).value


class Spool:
    """Memory for the stacks that one run of a loop writes: blocks, each with a part for each stack.

    Attributes:
        record: how many bytes all stacks need for a step.
        starts: the number of the first step of each block.
        room: how many steps the blocks have room for.
        spare: blocks of an earlier run, to be used again.
    """

    __slots__ = ("addresses", "blocks", "record", "room", "spare", "starts")

    def __init__(self, record: int, spare: list[Any]):
        self.record = record
        self.spare = spare
        self.blocks: list[Any] = []
        self.addresses: list[int] = []
        self.starts: list[int] = []
        self.room = 0

    def add_block(self, count: int) -> None:
        """Make room for so many more steps."""
        size = count * self.record
        if self.spare and self.spare[0].nbytes != size:
            self.spare.clear()
        block = self.spare.pop(0) if self.spare else self.memory(size, count)
        self.blocks.append(block)
        self.addresses.append(self.address(block))
        self.starts.append(self.room)
        self.room += count

    def memory(self, size: int, count: int) -> Any:
        """Room for so many steps, of some bytes."""
        return new_block((size,), np.dtype(np.uint8), count, self.room)

    def keep_some(self) -> None:
        """Let go of most of it, if it is much."""
        size = 0
        for number, block in enumerate(self.blocks):
            size += block.nbytes
            if size > KEPT:
                del self.blocks[number:]
                break

    @staticmethod
    def address(block: Any) -> int:
        """Where the first element of an array is."""
        return address_of(block)

    def ends(self) -> Iterator[int]:
        """The number of the step after each block."""
        yield from self.starts[1:]
        yield self.room


class WoundStack(Stack):
    """A stack in a spool."""

    __slots__ = ("offset", "spool")

    def __init__(self, aval: StackAval, spool: Spool, offset: int, length: int):
        self.aval = aval
        self.spool = spool
        self.offset = offset
        self.length = length

    @property
    def blocks(self) -> list[Any]:
        entry, size, found = self.aval.entry, entry_bytes(self.aval.entry), []
        for block, start, end in zip(self.spool.blocks, self.spool.starts, self.spool.ends()):
            first, count = (end - start) * self.offset, end - start
            part = block[first : first + count * size]
            found.append(part.view(entry.dtype).reshape(count, *entry.shape))
        return found

    @property
    def starts(self) -> list[int]:
        return self.spool.starts

    @property
    def room(self) -> int:
        return self.spool.room


class Way(NamedTuple):
    """How a loop goes through a stack.

    Attributes:
        stack: the number of the stack among objects.
        slot: that of the entry.
        size: of an entry, in bytes.
        offset: of the stack in what a spool has of a step, in bytes.
    """

    stack: int
    slot: int
    size: int
    offset: int
    aval: StackAval


class Reel:
    """What Python does for a loop with a tape: it begins stacks, places the entries, and says how many there are.

    Args:
        length: the number of steps, or its place; None: it is not known before the loop ends.
        count: the place of the number of steps then.
        counts_steps: whether the loop adds the number of the step, times the way to the next entry, to the address in
            a slot; otherwise it changes the address after each step.
        shared: the objects that something else than tapes may see, during a call or after it.

    Attributes:
        usual: about how many steps the loop had last, if it is not known before: one block for a loop in a loop.
    """

    def __init__(
        self,
        tape: Tape,
        length: int | Place | None,
        count: Place | None,
        reverse: bool,
        counts_steps: bool,
        shared: set[int],
    ):
        self.length = length
        self.count = count
        self.reverse = reverse
        self.counts_steps = counts_steps
        self.limit = HEADER + tape.limit
        self.spare = tape.spare.number
        self.reads, self.objects_read, _ = _sorted(tape.read)
        self.writes, self.objects_left, self.record = _sorted(tape.written)
        self.stacks_of_objects = [(s.stack.number, s.aval) for s in tape.written if isinstance(s.entry, ObjectPlace)]
        self.is_private = not any(way.stack in shared for way in self.writes)
        self.usual = block_size(0, self.record)

    @property
    def ways(self) -> list[tuple[int, int]]:
        """The slots of the entries, and the way to the next entry."""
        return [(way.slot, -way.size if self.reverse else way.size) for way in (*self.reads, *self.writes)]

    @property
    def ends(self) -> bool:
        """Whether there is something to do when the loop has ended."""
        return bool(self.objects_left) or (self.length is None and bool(self.writes))

    def begin(self, frame: Any) -> None:
        """Before the loop: new stacks, and the entries of the first steps."""
        objects, length = frame.objects, self._length(frame)
        frame.slots[self.limit] = 0
        if self.writes:
            before = frame.spools.get(self)
            spool = self.spool([] if before is None else before.blocks)
            if self.is_private:
                frame.spools[self] = spool
            if length:
                spool.add_block(length)
            for way in self.writes:
                objects[way.stack] = WoundStack(way.aval, spool, way.offset, length or 0)
        for number, aval in self.stacks_of_objects:
            objects[number] = Stack(aval, length or 0)
        if length != 0:
            self.turn(frame)

    def turn(self, frame: Any) -> None:
        """Before a step: place its entries, and tell before which step that is to be done again."""
        now, objects, length = frame.slots[self.limit], frame.objects, self._length(frame)
        at = length - 1 - now if self.reverse and length is not None else now
        if self.writes and length is None:
            spool = objects[self.writes[0].stack].spool
            if spool.room == now:
                is_first = now == 0 and not self.is_private
                spool.add_block(self.usual if is_first else block_size(now, self.record))
        for stack, entry in self.objects_read:
            objects[entry] = objects[stack][at]
        if now:
            self._take_objects(objects, at + 1 if self.reverse else at - 1)
        lasts = self._placed(frame, [*self.reads, *self.writes], now, at, length)
        frame.slots[self.limit] = now + (1 if self.objects_read or self.objects_left else lasts)

    def end(self, frame: Any) -> None:
        """After the loop: the objects of the last step, and the numbers of entries."""
        known = self._length(frame)
        count = self.number(frame, self.count) if known is None and self.count is not None else known or 0
        if count:
            self._take_objects(frame.objects, 0 if self.reverse else count - 1)
        if known is None and self.writes:
            for way in self.writes:
                frame.objects[way.stack].length = count
            if not self.usual // 2 <= count <= self.usual:
                self.usual = block_size(count + count // 8, self.record)

    def _length(self, frame: Any) -> int | None:
        return self.number(frame, self.length) if isinstance(self.length, Place) else self.length

    def spool(self, spare: list[Any]) -> Spool:
        """New memory for stacks, with blocks of an earlier run."""
        return Spool(self.record, spare)

    @staticmethod
    def address(block: Any) -> int:
        """Where the first element of an array is."""
        return address_of(block)

    def number(self, frame: Any, place: Place) -> int:
        """The number of steps that is at a place."""
        return ctypes.c_int64.from_address(frame.slots[HEADER + place.slot] + place.offset).value

    def zeros(self, aval: StackAval, length: int) -> Stack:
        """A stack of zeros."""
        return Stack.zeros(aval, length)

    def _take_objects(self, objects: list[Any], at: int) -> None:
        """Put the objects that a step has left into the stacks."""
        for stack, entry in self.objects_left:
            if self.length is None:
                objects[stack].append(objects[entry])
            else:
                objects[stack][at] = objects[entry]

    def _placed(self, frame: Any, ways: Sequence[Way], now: int, at: int, length: int | None) -> int:
        """Place entries; for how many steps the blocks last."""
        slots, objects, lasts = frame.slots, frame.objects, 1 << 62
        sign = 0 if not self.counts_steps else 1 if self.reverse else -1
        last_spool = None
        start = count = address = 0
        for way in ways:
            stack = objects[way.stack]
            if type(stack) is WoundStack and stack.room:
                spool = stack.spool
                if spool is not last_spool:
                    last_spool, starts = spool, spool.starts
                    number = bisect_right(starts, at) - 1
                    start, address = starts[number], spool.addresses[number]
                    end = starts[number + 1] if number + 1 < len(starts) else spool.room
                    count = end - start
                    lasts = min(lasts, at - start + 1 if self.reverse else end - at)
                slots[way.slot] = address + count * stack.offset + way.size * (at - start + sign * now)
            else:
                block, inside = (stack if stack.length else self._zeros(objects, way, length)).block_of(at)
                slots[way.slot] = self.address(block) + way.size * (inside + sign * now)
                lasts = min(lasts, inside + 1 if self.reverse else len(block) - inside)
        return lasts

    def _zeros(self, objects: list[Any], way: Way, length: int | None) -> Stack:
        """What a stack without entries stands for."""
        if objects[self.spare] is None:
            objects[self.spare] = {}
        known = objects[self.spare]
        if way.stack not in known or known[way.stack].length != length:
            known[way.stack] = self.zeros(way.aval, length or 0)
        return known[way.stack]


class RaggedStack(Stack):
    """A stack of stacks on the tapes of a recurrence, or an entry of one: a stretch of arrays.

    Attributes:
        columns: the arrays, two for each level of stacks inside it and one of the innermost entries.
        first: where its first entry is.
    """

    __slots__ = ("columns", "first")

    def __init__(self, aval: StackAval, columns: Sequence[np.ndarray[Any, Any]], first: int, length: int):
        self.aval = aval
        self.columns = columns
        self.first = first
        self.length = length

    @property
    def blocks(self) -> list[Any]:
        if not isinstance(self.aval.entry, StackAval):
            return [self.columns[0][self.first : self.first + self.length]]
        return [[self.inner(self.first + step) for step in range(self.length)]]

    def inner(self, place: int) -> RaggedStack:
        """The entry at a place."""
        starts, counts, *others = self.columns
        return RaggedStack(self.aval.entry, others, int(starts[place]), int(counts[place]))

    def block_of(self, step: int) -> tuple[Any, int]:
        if not isinstance(self.aval.entry, StackAval):
            return self.blocks[0], step
        return [self.inner(self.first + step)], 0

    @property
    def starts(self) -> list[int]:
        return [0]

    @property
    def room(self) -> int:
        return self.length


def layout_of(x: Any) -> str | None:
    """What `assemble` is told of an argument that is no array."""
    return ON_TAPES if type(x) is RaggedStack and isinstance(x.aval.entry, StackAval) else None


class Coil:
    """Memory for the tapes of loops inside one recurrence: for each tape its arrays, with room for as many entries.

    Attributes:
        types: the shapes of an entry and the dtypes of the arrays of each tape.
    """

    __slots__ = ("rooms", "tapes", "types")

    def __init__(self, types: Sequence[Sequence[tuple[tuple[int, ...], np.dtype[Any]]]]):
        self.types = types
        self.rooms = [0] * len(types)
        self.tapes: list[list[np.ndarray[Any, Any]]] = [[np.empty((0, *s), t) for s, t in own] for own in types]

    def extend(self, tape: int, count: int) -> None:
        """Make room for so many entries in all, array by array: what is there is copied."""
        before = self.rooms[tape]
        room = max(count, 2 * before)
        for k, ((shape, dtype), old) in enumerate(zip(self.types[tape], self.tapes[tape])):
            array = new_block((room, *shape), dtype, room - before, before)
            array[:before] = old[:before]
            self.tapes[tape][k] = array
        self.rooms[tape] = room

    def keep_some(self) -> None:
        """Let go of long tapes."""
        for tape, arrays in enumerate(self.tapes):
            if sum(array.nbytes for array in arrays) > KEPT:
                self.tapes[tape] = [array[:0].copy() for array in arrays]
                self.rooms[tape] = 0


class NestReel:
    """What Python does for the tapes of loops inside a recurrence: it makes room, and stacks of what is there then.

    Attributes:
        usual: how many entries the tapes had room for last, or of long ones a part.
    """

    def __init__(self, run: RecurrenceRun, shared: set[int]):
        nest = run.nest
        assert nest is not None
        self.rooms = [HEADER + slot for slot in nest.rooms]
        self.slots = [[HEADER + run.arrays[k].slot for k in own] for own in nest.columns]
        self.types = [[(run.arrays[k].shape[1:], run.arrays[k].dtype) for k in own] for own in nest.columns]
        self.read = [(s.stack.number, [HEADER + run.arrays[k].slot for k in s.columns]) for s in nest.read]
        places = {k: (tape, n) for tape, own in enumerate(nest.columns) for n, k in enumerate(own)}
        self.written = [(s.stack.number, s.aval, [places[k] for k in s.columns]) for s in nest.written]
        self.length = run.length if run.count is None else run.count
        self.is_private = not any(number in shared for number, *_ in self.written)
        self.sizes = [max(1, sum(prod(shape) * dtype.itemsize for shape, dtype in own)) for own in self.types]
        self.usual = [block_size(0, size) for size in self.sizes]

    def begin(self, frame: Any) -> None:
        """Before the loop: memory, and where what it reads is."""
        for number, slots in self.read:
            stack = frame.objects[number]
            for k, (slot, column) in enumerate(zip(slots, stack.columns)):
                first = stack.first if k < 2 else 0  # others are counted from the beginning of the tape
                frame.slots[slot] = address_of(column) + first * column.strides[0]
        coil = frame.spools.get(self) if self.is_private else None
        frame.spools[self] = coil = Coil(self.types) if coil is None else coil
        for tape, room in enumerate(self.usual):
            if coil.rooms[tape] < room:
                coil.extend(tape, room)
            self.place(frame, coil, tape)

    def extend(self, frame: Any) -> None:
        """Make room for as many entries as a slot says."""
        coil = frame.spools[self]
        for tape, slot in enumerate(self.rooms):
            if frame.slots[slot] > coil.rooms[tape]:
                coil.extend(tape, frame.slots[slot])
                self.usual[tape] = min(coil.rooms[tape], max(1, KEPT // self.sizes[tape]))
                self.place(frame, coil, tape)

    def place(self, frame: Any, coil: Coil, tape: int) -> None:
        """Note where a tape is, and how long."""
        frame.slots[self.rooms[tape]] = coil.rooms[tape]
        for slot, column in zip(self.slots[tape], coil.tapes[tape]):
            frame.slots[slot] = address_of(column)

    def end(self, frame: Any) -> None:
        """After the loop: stacks."""
        coil, length = frame.spools[self], self.length
        if isinstance(length, Place):
            address = frame.slots[HEADER + length.slot] + length.offset
            length = ctypes.c_int64.from_address(address).value
        for number, aval, columns in self.written:
            arrays = [coil.tapes[tape][k] for tape, k in columns]
            frame.objects[number] = RaggedStack(aval, arrays, 0, length)
        if not self.is_private:
            del frame.spools[self]


def keep_some(spools: dict[Any, Any]) -> None:
    """Let go of most of the memory of long loops after a call."""
    for spool in spools.values():
        spool.keep_some()


def shared_objects(assembled: Assembled) -> set[int]:
    """The numbers of objects that something else than tapes may see, during a call or after it."""
    found: set[int] = set()

    def see(block: Block) -> None:
        for instruction in block:
            run = instruction.otherwise if isinstance(instruction, CheckRun) else instruction
            if isinstance(run, PythonRun):
                found.update(place.number for place in (*run.sources, *run.targets) if isinstance(place, ObjectPlace))
            tape = getattr(run, "tape", None)
            steps = () if tape is None else (*tape.read, *tape.written)
            found.update(step.entry.number for step in steps if isinstance(step.entry, ObjectPlace))
            for inner in blocks_of(instruction):
                see(inner)

    see(assembled.block)
    found.update(place.number for place in assembled.results if isinstance(place, ObjectPlace))
    return found


def _sorted(steps: Sequence[StackStep]) -> tuple[list[Way], list[tuple[int, int]], int]:
    """Stacks with entries in memory, those of large items first, so that all are aligned; the numbers of those with
    entries that are objects, and of these; and the bytes of a step in memory."""
    ways: list[Way] = []
    record = 0
    for step in sorted(steps, key=lambda s: -s.aval.dtype.itemsize):
        if isinstance(step.entry, Place):
            size = step.entry.nbytes
            ways.append(Way(step.stack.number, HEADER + step.entry.slot, size, record, step.aval))
            record += size
    objects = [(s.stack.number, s.entry.number) for s in steps if isinstance(s.entry, ObjectPlace)]
    return ways, objects, record
