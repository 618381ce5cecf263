"""Scans together with the kernels that make what they scan, and that compute with their results point by point.

On a GPU each of these would be a launch, and read and write all elements once more.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

from .chains import has_places, has_rows
from .costs import cost_of
from .instructions import SCANNED, CheckRun, KernelRun, ScanRun
from .loopnest import (
    ORIGIN,
    Affine,
    Expression,
    Index,
    Kernel,
    Load,
    Output,
    all_replaced,
    all_substituted,
    axis_index,
    expressions_in,
    kernel_over,
    point,
)
from .overlap import accessed, are_same, do_overlap
from .places import Place, Slot

#: Where rows are divided, what is scanned is computed twice: it costs so much at most, and reads so many arrays.
MOST_COST, MOST_READS = 100, 3
#: A scan and kernels that are one, at most.
MOST_MEMBERS = 8

#: Whether nobody needs an array after some instructions, the last of which is given.
IsOver = Callable[[Place, Any], bool]


def with_kernels(
    block: Sequence[Any], slots: Sequence[Slot], notes: Sequence[dict[int, Any]], results: Collection[int]
) -> list[Any]:
    """The instructions of a block, in which scans have taken up the kernels before and after them, but for scans that
    chains take up.

    Args:
        notes: what is known of instructions, by their ids, first of all when they run.
        results: the slots of what the block computes for others, who may be still to come.
    """
    times = notes[0]
    start = 0  # when the checks of indices began that are right before a group; 0 if there are none

    def is_over(place: Place, last: Any) -> bool:
        slot = slots[place.slot]
        is_own = slot.kind == "temporary" and place.slot not in results
        return is_own and slot.first >= start and slot.last <= times[id(last)]

    found: list[Any] = []
    for members in _groups(block, lambda run: isinstance(run, ScanRun) and not has_rows(run, False)):
        first = members[0]
        if len(members) == 1 or any(id(member) not in times for member in members):
            is_next = isinstance(first, CheckRun) and id(first) in times
            start = (start or times[id(first)]) if is_next else 0
            found += members
            continue
        start = start or times[id(first)]
        run = _as_one(members, is_over)
        for place in (place for member in members for place in (*member.sources, *member.targets)):
            slots[place.slot].use(times[id(members[0])], times[id(members[-1])])
        scan = next(member for member in members if isinstance(member, ScanRun))
        for known in notes:
            if id(scan) in known:
                known[id(run)] = known[id(scan)]
        found.append(run)
        start = 0
    return found


def scans_with_kernels(links: Sequence[Any], own: Collection[Place]) -> list[Any]:
    """The links of a chain, in which scans have taken up the kernels before and after them.

    Args:
        own: what only the chain needs.
    """

    def is_over(place: Place, last: Any) -> bool:
        after = links[[id(link) for link in links].index(id(last)) + 1 :]
        is_read = any(source.slot == place.slot for link in after for source in link.sources)
        return not is_read and any(place.slot == other.slot for other in own)

    groups = _groups(links, lambda run: isinstance(run, ScanRun))
    return [_as_one(members, is_over) if len(members) > 1 else members[0] for members in groups]


def _groups(block: Sequence[Any], may_take: Callable[[Any], bool]) -> list[list[Any]]:
    """The instructions, each scan with the kernels that it takes up."""
    found: list[list[Any]] = []
    for run in block:
        last = found[-1] if found else []
        scans = sum(map(may_take, [*last, run]))
        is_known = len(last) < MOST_MEMBERS and all(isinstance(x, KernelRun) or may_take(x) for x in [*last, run])
        if last and scans == 1 and is_known and _combined([*last, run]):
            last.append(run)
        else:
            found.append([run])
    return found


def _as_one(members: Sequence[Any], is_over: IsOver) -> ScanRun:
    """A scan and the kernels around it as one instruction."""
    combined = _combined(members)
    assert combined is not None
    stored = [(place, e) for place, e in combined.stored if not is_over(place, members[-1])]
    scan = combined.scan
    outputs = (Output(combined.value, f"scan_{scan.operation}"), *(Output(e, None) for _, e in stored))
    kernel = kernel_over(scan.source.shape, 0, outputs)
    operands = tuple(operand for operand in kernel.operands if operand != SCANNED)
    around = KernelRun(
        Kernel(kernel.shape, 0, outputs, operands),
        tuple(combined.places[operand] for operand in operands),
        tuple(place for place, _ in stored),
    )
    return scan._replace(around=around)


def _combined(members: Sequence[Any]) -> _Combined | None:
    """What members do together: a scan, maybe after the kernel that makes what it scans, and kernels that come later.

    None if they cannot be one.
    """
    has_maker = not isinstance(members[0], ScanRun)
    scan, *after = members[has_maker:]
    found = _Combined(scan)
    if has_maker and not found.takes_maker(members[0]):
        return None
    is_done = found.scans() and all(map(found.takes_after, after))
    return found if is_done and found.is_sound() else None


class _Combined:
    """What a scan and the kernels around it do at each point of the scan.

    Attributes:
        value: what is combined.
        stored: what is stored where, over the space of the scan; the later ones stand for those before.
        places: what is read, by operand.
    """

    def __init__(self, scan: ScanRun):
        self.scan = scan
        self.places: list[Place] = []
        self.numbers: dict[Place, int] = {}
        self.value: Expression = self.load(scan.source, point(len(scan.source.shape)))
        self.stored: list[tuple[Place, Expression]] = []

    def load(self, place: Place, index: Index) -> Load:
        number = self.numbers.setdefault(place, len(self.places))
        if number == len(self.places):
            self.places.append(place)
        return Load(number, index, place.dtype)

    def takes_maker(self, run: KernelRun) -> bool:
        """Take up the kernel that makes what is scanned."""
        if not _is_pointwise(run) or cost_of(run.kernel) > MOST_COST or len(run.sources) > MOST_READS:
            return False
        moves = next(filter(None, (_moves(target, self.scan.source) for target in run.targets)), None)
        if moves is None:
            return False
        self.places, self.numbers = [], {}  # in place of what is scanned, this is read
        self.store(run, moves, {})
        found = self.known(self.scan.source)
        if found is None:
            return False
        self.value = found
        return True

    def scans(self) -> bool:
        """What is scanned is known, and its results take their place."""
        scanned = Load(SCANNED, point(len(self.scan.target.shape)), self.scan.target.dtype)
        return self.keep(self.scan.target, scanned)

    def takes_after(self, run: KernelRun) -> bool:
        """Take up a kernel that reads results, over the same points."""
        if not _is_pointwise(run):
            return False
        kernel, places, shape = run.kernel, dict(zip(run.kernel.operands, run.sources)), run.kernel.shape
        touched = {load: accessed(load, places[load.operand], shape) for load in kernel.loads()}
        moves = next(filter(None, (_moves(place, self.scan.target) for place in touched.values())), None)
        if moves is None:
            return False
        replaced: dict[Load, Expression] = {}
        for load, place in touched.items():
            if any(i.terms for i in load.index):
                if any(do_overlap(place, written) for written, _ in self.stored):
                    return False
                continue
            there = _moved(place, moves, self.scan.target.shape)
            found = self.known(there)
            if found is not None:
                replaced[load] = found
            elif any(do_overlap(there, written) for written, _ in self.stored):
                return False
        return self.store(run, moves, replaced)

    def known(self, place: Place) -> Expression | None:
        """What has been stored at a place last."""
        return next((e for written, e in self.stored if are_same(written, place)), None)

    def store(self, run: KernelRun, moves: Index, replaced: dict[Load, Expression]) -> bool:
        """Keep what a kernel stores, of which some loads are known."""
        kernel, places = run.kernel, dict(zip(run.kernel.operands, run.sources))
        inside = expressions_in([output.expression for output in kernel.outputs])
        moved = dict(zip(map(id, inside), all_substituted(inside, moves)))
        by_load = {moved[id(load)]: replaced.get(load) for load in inside if isinstance(load, Load)}

        def by(load: Load) -> Expression:
            return by_load.get(load) or self.load(places[load.operand], load.index)

        roots = [moved[id(output.expression)] for output in kernel.outputs]
        found = all_replaced(expressions_in(roots), by)
        shape = self.scan.target.shape
        targets = [_moved(target, moves, shape) for target in run.targets]
        kept = [self.keep(target, found[id(root)]) for target, root in zip(targets, roots)]
        return all(kept)

    def keep(self, place: Place, e: Expression) -> bool:
        """Something is stored, in place of what was there; False if that is another part of what was stored."""
        self.stored = [(written, old) for written, old in self.stored if not are_same(written, place)]
        is_apart = not any(do_overlap(place, written) for written, _ in self.stored)
        self.stored.append((place, e))
        return is_apart

    def is_sound(self) -> bool:
        """Whether each point reads of what is written only the element that it writes itself, and all of the arrays are
        best read along the same direction."""
        shape = self.scan.target.shape
        roots = [self.value, *(e for _, e in self.stored)]
        loads = [e for e in expressions_in(roots) if isinstance(e, Load) and e.operand != SCANNED]
        read = [accessed(load, self.places[load.operand], shape) for load in loads]
        written = [place for place, _ in self.stored]
        is_apart = all(are_same(x, y) or not do_overlap(x, y) for x in read for y in written)
        straight = [x for x, load in zip(read, loads) if not any(i.terms for i in load.index)]
        return is_apart and len(set(filter(None, map(_direction, [*straight, *written])))) == 1


def _is_pointwise(run: KernelRun) -> bool:
    kernel = run.kernel
    return not kernel.reduced and not has_places(kernel) and 0 not in kernel.shape


def _moves(own: Place, scanned: Place) -> Index | None:
    """How the axes of a place are those of a scan that has to do with the same elements; None if it has not.

    Axes may come in another order, and from the end.
    """
    if (own.slot, own.dtype) != (scanned.slot, scanned.dtype):
        return None
    left = {axis for axis, extent in enumerate(scanned.shape) if extent != 1}
    moves: list[Affine] = []
    offset = own.offset
    for extent, stride in zip(own.shape, own.strides):
        if extent == 1:
            moves.append(ORIGIN)
            continue
        there = (axis for axis in left if (scanned.shape[axis], abs(scanned.strides[axis])) == (extent, abs(stride)))
        axis = next(there, None)
        if axis is None:
            return None
        left.discard(axis)
        is_turned = scanned.strides[axis] != stride
        moves.append(Affine(extent - 1, ((axis, -1),)) if is_turned else axis_index(axis))
        offset += (extent - 1) * stride if is_turned else 0
    return tuple(moves) if not left and offset == scanned.offset else None


def _moved(place: Place, moves: Index, shape: Sequence[int]) -> Place:
    """A place over the space of a scan."""
    strides = [0] * len(shape)
    offset = place.offset
    for move, stride in zip(moves, place.strides):
        offset += move.offset * stride
        for axis, factor in move.factors:
            strides[axis] += factor * stride
    return Place(place.slot, offset, tuple(shape), place.dtype, tuple(strides))


def _direction(place: Place) -> int | None:
    """One more than the axis along which elements lie nearest to each other."""
    ways = [(abs(stride), axis) for axis, stride in enumerate(place.strides) if stride and place.shape[axis] != 1]
    return 1 + min(ways)[1] if ways else None


__all__ = ["scans_with_kernels", "with_kernels"]
