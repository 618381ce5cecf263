"""Chains of kernels over the same rows as one kernel: a team of threads goes through all links for one row at a time.

A team is as large as the row asks for: one thread, some of a warp, a warp, or a block.

What a link reduces a row to stays in registers. Rows that only the chain needs are in shared memory, if there is room,
and so are rows that several links read: they come from memory once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import groupby
from math import prod
from typing import NamedTuple

from ...accesses import numbers_of
from ...inspection.texts import kernel_text
from ...instructions import ChainRun, KernelRun, ProductRun, ScanRun, copying
from ...loopnest import Output, axis_index
from ...places import Place, contiguous_strides
from ...scanned import scans_with_kernels
from . import layouts
from .codegen import KernelWriter
from .contractions import contraction_of
from .launches import NAME, Argument, Launch, Pointer
from .layouts import (
    BLOCK,
    Form,
    Nest,
    along_results,
    divisor,
    divisors_of,
    is_short,
    lanes,
    moves,
    nest_of,
    side_by_side,
    told,
    turned,
)
from .lowering import WAVES, Target, in_single, launches_of
from .operations import type_name
from .scans import combining, scan_launches
from .text import Text, signature

#: Rows of at most so many elements are a warp's.
WARP_ROW = 1024
#: The shared memory that a block may have without being asked for more, in bytes.
SHARED = 48 * 1024
#: Rows of more elements are in no multiprocessor's memory, but may stay in the cache of all while a block goes through
#: them: a large one, and as many of these at a time as there are multiprocessors.
LONG_ROW, LARGE_BLOCK = 1 << 14, 1024
#: Rows of more elements are too long for one block, if there are fewer rows than multiprocessors, or if they are
#: columns.
LONGEST_OF_FEW = 1 << 12
#: The elements of a row that a thread should have, if that leaves threads for all of the GPU.
PER_THREAD = 4
#: What the outputs of scans are combined by, before the name of the operation.
SCAN = "scan_"
#: The threads of a block that has one row of at most WARP_ROW elements.
SMALL_BLOCK = 128


class Link(NamedTuple):
    """A kernel of a chain.

    Attributes:
        kinds: for each access "memory", "shared" or "register", which is for what a row has one of.
        is_stored: for each output, whether it goes to memory.
    """

    nest: Nest
    form: Form
    kinds: tuple[str, ...]
    is_stored: tuple[bool, ...]


def chain_launches(run: ChainRun, target: Target) -> list[Launch]:
    """A chain as one launch; as several, if rows are too few and too long, or if a link had better go across rows."""
    given, run = run, run._replace(links=tuple(map(_as_kernel, run.links)))
    if len(run.links) == 1:
        return _alone(run.links[0], target)
    across = {id(link) for link in run.links if target.processors and _goes_across(link, target)}
    if across:
        groups = groupby(run.links, lambda link: id(link) if id(link) in across else 0)
        pieces = [ChainRun(tuple(links), ()) for _, links in groups]  # each leaves all that it writes to the others
        return [launch for piece in pieces for launch in chain_launches(piece, target)]
    rows = run.links[0].kernel.shape[0]
    longest = max(prod(link.kernel.shape[1:]) for link in run.links)
    if _has_idle_processors(rows, longest, target):
        links = scans_with_kernels(given.links, run.own)
        return [launch for link in links for launch in _alone(link, target)]
    team, teams = _team(run, rows, longest, target)
    run, target = _staged(run, teams, target)
    homes = _homes(run, teams)
    links = _links(run, target, team, homes)
    source = _ChainWriter(links, team, teams).function()
    most = target.processors * (1 if team == LARGE_BLOCK else WAVES)
    blocks = max(1, min(-(-rows // teams), most))
    arguments: list[Argument] = [rows, homes.size]
    for link in links:
        arguments += _arguments(link)
    if any(link.form.is_guarded for link in links):
        assert target.failed is not None
        arguments.append(Pointer(target.failed, 0))
    about = "\n".join(kernel_text(link.nest.kernel) for link in links)
    return [Launch(source, (blocks, 1, 1), (team * teams, 1, 1), homes.size * teams, tuple(arguments), about)]


def _as_kernel(link: KernelRun | ProductRun | ScanRun) -> KernelRun:
    """A link that is a scan as a kernel that copies, whose output says how elements are combined."""
    if not isinstance(link, ScanRun):
        assert isinstance(link, KernelRun)
        return link
    kernel = copying(link.source)
    output = kernel.outputs[0]._replace(combine=SCAN + link.operation)
    return KernelRun(kernel._replace(outputs=(output,)), link.sources, link.targets)


def _is_scan(link: KernelRun) -> bool:
    return str(link.kernel.outputs[0].combine).startswith(SCAN)


def _alone(link: KernelRun | ProductRun | ScanRun, target: Target) -> list[Launch]:
    """A link by itself."""
    if isinstance(link, ScanRun):
        return scan_launches(link, target)
    assert isinstance(link, KernelRun)
    if _is_scan(link):
        operation = str(link.kernel.outputs[0].combine).removeprefix(SCAN)
        return scan_launches(ScanRun(operation, *link.sources, *link.targets), target)
    return launches_of(link, target)


def _has_idle_processors(rows: int, longest: int, target: Target) -> bool:
    """Whether rows are so few and so long that kernels one by one, of more blocks each, are done before a chain is."""
    if not target.processors:
        return rows * min(longest, 32) < BLOCK
    return rows < target.processors and longest > LONGEST_OF_FEW


def _team(run: ChainRun, rows: int, longest: int, target: Target) -> tuple[int, int]:
    """How many threads go through a row together, and how many such teams a block has.

    Several teams of a block are parts of warps, or warps. Where the rows of eight warps are more than shared memory has
    room for, a block of fewer threads has one row.
    """
    if longest > LONG_ROW and target.processors:
        return LARGE_BLOCK, 1
    if longest > WARP_ROW:
        return BLOCK, 1
    is_enough = rows * longest >= PER_THREAD * target.threads
    threads = min(32, 1 << (-(-longest // (PER_THREAD if is_enough else 1)) - 1).bit_length())
    threads = 32 if any(map(_is_scan, run.links)) else threads
    teams = BLOCK // threads
    is_long = threads == 32 and longest >= PER_THREAD * SMALL_BLOCK // 2
    if is_long and target.processors and _size(run, 1, target) > _size(run, teams, target):
        return SMALL_BLOCK, 1
    return threads, teams


def _size(run: ChainRun, teams: int, target: Target) -> int:
    """The bytes of rows in shared memory that a team has, if a block has so many teams."""
    staged, _ = _staged(run, teams, target)
    return _homes(staged, teams).size


def _goes_across(link: KernelRun, target: Target) -> bool:
    """Whether a kernel has to do with neighbouring rows at a time: it sums up products of rows and columns, or reads an
    operand along another direction than rows, or its rows lie beside each other."""
    if _has_columns(link, target):
        return True
    if link.kernel.reduced:
        return contraction_of(in_single(link)) is not None
    return bool(turned(along_results(nest_of(link.kernel, link.sources, link.targets)))[0])


def _has_columns(link: KernelRun, target: Target) -> bool:
    """Whether long rows, or many, are columns in memory: threads side by side had better have neighbouring ones."""
    nest = nest_of(link.kernel, link.sources, link.targets, has_rows=True)
    rows, length = nest.extents[0], prod(nest.extents[1:])
    is_much = length > LONGEST_OF_FEW or rows * length >= target.threads

    def distance(loop: int) -> int:
        return sum(abs(a.strides[loop]) for a in nest.accesses if a.slot is not None)

    return is_much and length > layouts.SHORT_ROW and distance(0) < distance(-1)


def _is_single(place: Place) -> bool:
    """Whether there is one number for each row."""
    return prod(place.shape[1:]) == 1


class Homes(NamedTuple):
    """Where the rows of arrays are that a chain writes.

    Attributes:
        shared: offsets of rows in shared memory, by slot.
        size: what these come to for a row.
        registers: the slots of which a row has one number, which one link writes and others read.
        own: the slots that only the chain needs.
    """

    shared: dict[int, int]
    size: int
    registers: set[int]
    own: set[int]


def _homes(run: ChainRun, teams: int) -> Homes:
    """What fits into shared memory is there: rows that are not needed at the same time may be in the same place."""
    own = {place.slot for place in run.own}
    registers = {slot for slot in _written(run) if _is_register(run, slot)}
    sizes = {place.slot: -(-place.strides[0] // 16) * 16 for place in run.own if place.slot not in registers}
    lives = _lives(run)
    shared: dict[int, int] = {}
    for slot in sorted(sizes, key=lambda slot: (lives[slot], slot)):
        beside = [other for other in shared if _meet(lives[slot], lives[other])]
        ends = sorted({0, *(shared[other] + sizes[other] for other in beside)})
        free = (
            start
            for start in ends
            if all(start + sizes[slot] <= shared[o] or shared[o] + sizes[o] <= start for o in beside)
        )
        start = next(free)
        if (start + sizes[slot]) * teams <= SHARED:
            shared[slot] = start
    return Homes(shared, max((shared[slot] + sizes[slot] for slot in shared), default=0), registers, own)


def _lives(run: ChainRun) -> dict[int, tuple[int, int]]:
    """The first and the last link that have to do with each slot."""
    found: dict[int, tuple[int, int]] = {}
    for k, link in enumerate(run.links):
        for place in (*link.sources, *link.targets):
            found[place.slot] = found.get(place.slot, (k, k))[0], k
    return found


def _meet(one: tuple[int, int], other: tuple[int, int]) -> bool:
    return one[0] <= other[1] and other[0] <= one[1]


def _staged(run: ChainRun, teams: int, target: Target) -> tuple[ChainRun, Target]:
    """A chain that first copies rows which several links read, as far as there is room, and then reads the copies."""
    kept = set(_homes(run, teams).shared)
    for place in _read_again(run):
        slot = len(target.is_aligned)
        copy = Place(slot, 0, place.shape, place.dtype, contiguous_strides(place.shape, place.dtype.itemsize))
        links = [link._replace(sources=tuple(copy if p == place else p for p in link.sources)) for link in run.links]
        longer = ChainRun((KernelRun(copying(place), (place,), (copy,)), *links), (*run.own, copy))
        if not {*kept, slot} <= set(_homes(longer, teams).shared):
            break
        kept.add(slot)
        run, target = longer, target._replace(is_aligned=[*target.is_aligned, True])
    return run, target


def _read_again(run: ChainRun) -> list[Place]:
    """The places of which several links read the row that they are at, and none another row, nor writes there."""
    written, rows = _written(run), run.links[0].kernel.shape[0]
    counts: Counter[Place] = Counter()
    others: set[Place] = set()
    for link in run.links:
        elsewhere = {load.operand for load in link.kernel.loads() if load.index[:1] != (axis_index(0),)}
        sources = dict(zip(link.kernel.operands, link.sources))
        others.update(place for operand, place in sources.items() if operand in elsewhere)
        counts.update(set(link.sources))
    return [
        place
        for place, count in counts.items()
        if count > 1 and place not in others and place.slot not in written and _has_rows(place, rows)
    ]


def _has_rows(place: Place, rows: int) -> bool:
    """Whether there is a row for each point of the first axis, and its elements lie one after another."""
    row = place.shape[1:]
    return (
        place.shape[:1] == (rows,)
        and prod(row) > 1
        and place.strides[0] != 0
        and place.strides[1:] == contiguous_strides(row, place.dtype.itemsize)
    )


def _written(run: ChainRun) -> set[int]:
    return {place.slot for link in run.links for place in link.targets}


def _is_register(run: ChainRun, slot: int) -> bool:
    """Whether one link writes one number for each row to a slot, and those after it read just that."""
    writes = [(k, p) for k, link in enumerate(run.links) for p in link.targets if p.slot == slot]
    reads = [(k, p) for k, link in enumerate(run.links) for p in link.sources if p.slot == slot]
    (first, place) = writes[0]
    return _is_single(place) and len(writes) == 1 and all(k > first and p == place for k, p in reads)


def _links(run: ChainRun, target: Target, team: int, homes: Homes) -> list[Link]:
    links = [in_single(link) for link in run.links]
    nests = [nest_of(link.kernel, link.sources, link.targets, has_rows=True) for link in links]
    is_wide = not all(map(is_short, nests))
    found: list[Link] = []
    for link, nest in zip(links, nests):
        accesses = tuple(
            a._replace(strides=(0, *a.strides[1:]), offset=homes.shared[a.slot] + a.offset)
            if a.slot in homes.shared
            else a
            for a in nest.accesses
        )
        nest = nest._replace(accesses=accesses)
        has_lanes = len(nest.extents) > (nest.parallel if nest.kernel.reduced else 1)
        form = Form(
            parallel=nest.parallel,
            reduced=len(nest.extents) - nest.parallel,
            team=team,
            lanes=lanes(nest, -1, target.is_aligned) if has_lanes else 1,
            moves=moves(nest, -1),
            is_wide=is_wide,
            is_divided=False,
            is_guarded=target.failed is not None and any(a.terms for a in nest.accesses),
            updates=(None,) * len(link.targets),
        )
        kinds = tuple(
            "shared" if a.slot in homes.shared else "register" if a.slot in homes.registers else "memory"
            for a in nest.accesses
        )
        stored = tuple(place.slot not in homes.registers & homes.own for place in link.targets)
        if form.parallel > 1 and not form.reduced and not _is_scan(link):
            groups = side_by_side(nest, target.is_aligned, form.lanes > 1)
            apart = [group for group in groups if all(kinds[k] != "register" for k in group)]
            form = form._replace(together=tuple(apart))
        found.append(Link(nest, form, kinds, stored))
    return found


def _arguments(link: Link) -> list[Argument]:
    nest, form = link.nest, link.form
    found: list[Argument] = [*nest.extents[1:], *map(divisor, divisors_of(nest, form, first=1).values())]
    last = len(nest.extents) - 1
    for a, move, kind in zip(nest.accesses, form.moves, link.kinds):
        is_output = isinstance(a.operand.source, Output)
        if kind == "register" and not is_output:
            continue
        found.append(a.offset if a.slot is None or kind == "shared" else Pointer(a.slot, a.offset))
        found += [a.strides[d] for d in told(a, move, last)]
        found += a.terms
    return found + [int.from_bytes(n.value.ljust(8, b"\0"), "little", signed=True) for n in numbers_of(nest.kernel)]


class _LinkWriter(KernelWriter):
    """Writes a link as a function of the row, and of the number of the thread in its team."""

    first_loop = 1

    def __init__(self, link: Link, number: int, written: set[int]):
        super().__init__(link.nest, link.form)
        self.link = link
        self.number = number
        self.written = written
        combine = str(self.outputs[0].combine)
        self.is_scan, self.operation = combine.startswith(SCAN), combine.removeprefix(SCAN)
        self.combine = f"{NAME}_{number}_combine"

    @property
    def results(self) -> list[int]:
        """The outputs of which a row has one."""
        return [j for j in range(len(self.outputs)) if self.link.kinds[self.first_output + j] == "register"]

    @property
    def overwrites(self) -> bool:
        """Whether it writes to what it has read: all threads of a team have to have read it before."""
        read, written = ({a.slot for a in group} for group in self.split(self.nest.accesses))
        return not read.isdisjoint(written)

    def own_parameters(self) -> list[tuple[str, str]]:
        """Types and names of what the kernel is called with for this link."""
        found = [(f"const {self.index}", f"n{d}") for d in range(1, self.count)]
        found += [("const Divisor", f"d{d}") for d in self.divisors]
        for k, (a, move, kind) in enumerate(zip(self.nest.accesses, self.form.moves, self.link.kinds)):
            if kind == "register" and k < self.first_output:
                continue
            if a.slot is None:
                found.append(("const int64", f"p{k}"))
            elif kind == "shared":
                found.append(("const int32", f"p{k}"))
            else:
                alone = "" if a.slot in self.written else "__restrict__ "
                found.append((f"{self.types[k]} *{alone}const", f"p{k}"))
            found += [(f"const {self.index}", f"s{k}_{d}") for d in told(a, move, self.inner)]
            found += [("const int64", f"t{k}_{j}") for j in range(len(a.terms))]
        return found + [(f"const {type_name(n.dtype)}", f"k{j}") for j, n in enumerate(numbers_of(self.kernel))]

    def registers(self) -> list[int]:
        """The loads of which a row has one."""
        return [k for k in range(self.first_output) if self.link.kinds[k] == "register"]

    def function(self) -> str:
        parameters = [f"const {self.index} i0", "const int32 member", "unsigned char *const shared"]
        for type_, name in self.own_parameters():
            parameters.append(f"{type_} {name}{'_at' if self.is_shared(name) else ''}")
        parameters += [f"{self.types[k]} x{k}" for k in self.registers()]
        for j in self.results:
            parameters.append(f"{self.types[self.first_output + j]} &y{j}")
        if self.is_scan:
            combining(self.text, self.combine, self.operation, self.outputs[0].expression.dtype)
        with self.text.block(signature(f"FUNCTION void {NAME}_{self.number}", parameters)):
            for k, kind in enumerate(self.link.kinds):
                if kind == "shared":
                    self.text.line(f"{self.types[k]} *const p{k} = ({self.types[k]} *)(shared + p{k}_at);")
            if self.is_scan and self.form.parallel > 1:
                self.scan()
            elif not self.kernel.reduced:
                self.elements()
            elif self.form.parallel == 1:
                self.row()
            else:
                self.several()
        return str(self.text)

    def is_shared(self, name: str) -> bool:
        return name.startswith("p") and self.link.kinds[int(name[1:])] == "shared"

    def loaded(self) -> dict[int, str]:
        return {k: f"x{k}" for k in self.registers()}

    def elements(self) -> None:
        """Each thread computes some elements of the row; all of them compute what a row has one of."""
        form, text = self.form, self.text
        if form.parallel == 1:
            names = self.values.outer(self.loops, self.pointers(), self.types, skipped=self.registers())
            known = self.values.at("i0", names, self.loaded())
            if self.overwrites:
                text.line(f"meet<{form.team}>();")
            for j, output in enumerate(self.outputs):
                self.give(j, known[id(output.expression)])
            return
        extents = [f"n{d}" for d in range(1, form.parallel)]
        if form.lanes > 1:
            extents[-1] = text.let(self.index, f"quotient(n{self.inner}, {form.lanes})")
        all_ = text.let(self.index, self.product(extents))
        with text.block(f"for ({self.index} u = member; u < {all_}; u += {form.team})"):
            self.unpack("u", range(1, form.parallel), extents)
            self.stores()

    def scan(self) -> None:
        """All threads scan the row together, tile by tile; each combines some neighbours by itself."""
        form, text, lanes = self.form, self.text, self.form.lanes
        names = self.values.outer(self.loops, self.pointers(), self.types, self.loaded())
        type_ = self.types[1]
        vector = f"Vector<{type_}, {lanes}>"
        text.line(f"{type_} carry{{}};")
        text.line("bool has_carry = false;")
        units = text.let(self.index, f"quotient(n1, {lanes})" if lanes > 1 else "n1")
        with text.block(f"for ({self.index} tile = 0; tile < {units}; tile += {form.team})"):
            text.line(f"const {self.index} i1 = tile + member;")
            text.line(f"{vector} v{{}};")
            with text.block(f"if (i1 < {units})"):
                if self.is_vector(0):
                    text.line(f"v = ((const {vector} *){names[0]})[i1];")
                else:
                    for k in range(lanes):
                        text.line(f"v.at[{k}] = {self.values.place(0, names[0], self.neighbours(k), {})};")
            for k in range(1, lanes):
                text.line(f"v.at[{k}] = {self.combine}::of(v.at[{k - 1}], v.at[{k}]);")
            text.line(f"{type_} before = v.at[{lanes - 1}], together;")
            text.line(f"prefixes<{self.combine}, {form.team}>(before, together);")
            text.line(f"if (has_carry) before = member ? {self.combine}::of(carry, before) : carry;")
            with text.block("if (has_carry || member)"):
                for k in range(lanes):
                    text.line(f"v.at[{k}] = {self.combine}::of(before, v.at[{k}]);")
            with text.block(f"if (i1 < {units})"):
                if self.is_vector(1):
                    text.line(f"(({vector} *){names[1]})[i1] = v;")
                else:
                    for k in range(lanes):
                        text.line(f"{self.values.place(1, names[1], self.neighbours(k), {})} = v.at[{k}];")
            text.line(f"carry = has_carry ? {self.combine}::of(carry, together) : together;")
            text.line("has_carry = true;")

    def neighbours(self, k: int) -> str:
        """The number of an element that a thread has of a row."""
        return self.text.let(self.index, f"i1 * {self.form.lanes} + {k}") if self.form.lanes > 1 else "i1"

    def row(self) -> None:
        """All threads reduce the row together."""
        reduced = [f"n{d}" for d in range(1, self.count)]
        if self.form.lanes > 1:
            reduced[-1] = self.text.let(self.index, f"quotient(n{self.inner}, {self.form.lanes})")
        length = self.text.let(self.index, self.product(reduced))
        self.accumulators()
        with self.text.block(f"for ({self.index} r = member; r < {length}; r += {self.form.team})"):
            self.unpack("r", range(1, self.count), reduced)
            self.take()
        for j in range(len(self.outputs)):
            self.give(j, self.total(j, f"a{j}.value()"))

    def several(self) -> None:
        """Each thread reduces a part of the row by itself, for some of the results."""
        form, text = self.form, self.text
        parallel = [f"n{d}" for d in range(1, form.parallel)]
        reduced = [f"n{d}" for d in range(form.parallel, self.count)]
        if form.lanes > 1:
            reduced[-1] = text.let(self.index, f"quotient(n{self.inner}, {form.lanes})")
        all_ = text.let(self.index, self.product(parallel))
        length = text.let(self.index, self.product(reduced))
        with text.block(f"for ({self.index} u = member; u < {all_}; u += {form.team})"):
            self.unpack("u", range(1, form.parallel), parallel)
            self.accumulators()
            with text.block(f"for ({self.index} r = 0; r < {length}; ++r)"):
                self.unpack("r", range(form.parallel, self.count), reduced)
                self.take()
            self.write_results([f"a{j}.value()" for j in range(len(self.outputs))], "")

    def give(self, j: int, value: str) -> None:
        """What a row has one of goes to all threads, and to memory."""
        k, value = self.first_output + j, self.rounded(j, value)
        if self.link.kinds[k] == "register":
            self.text.line(f"y{j} = {value};")
            value = f"y{j}"
        if self.link.is_stored[j]:
            moved = f"*after(p{k}, i0 * s{k}_0)" if self.nest.accesses[k].strides[0] else f"*p{k}"
            place = self.values.place(k, f"p{k}", "i0", {}) if self.inner == 0 else moved
            self.text.line(f"if (member == 0) {place} = {value};")


class _ChainWriter:
    def __init__(self, links: Sequence[Link], team: int, teams: int):
        self.team, self.teams = team, teams
        written = {a.slot for link in links for a in link.nest.accesses if isinstance(a.operand.source, Output)}
        self.links = [_LinkWriter(link, number, written) for number, link in enumerate(links)]
        self.index = self.links[0].index
        self.is_guarded = any(link.form.is_guarded for link in links)

    def function(self) -> str:
        """The functions of the links, and the kernel that calls them."""
        functions = [link.function() for link in self.links]
        main = Text()
        parameters = [f"const {self.index} rows", "const int32 shared_size"]
        for link in self.links:
            parameters += [f"{type_} l{link.number}_{name}" for type_, name in link.own_parameters()]
        if self.is_guarded:
            parameters.append("const int32 *const failed")
        with main.block(signature(f"KERNEL __launch_bounds__({self.team * self.teams}) {NAME}", parameters)):
            if self.is_guarded:
                main.line("if (*failed) return;")
            main.line(f"const int32 member = threadIdx.x % {self.team}, team = threadIdx.x / {self.team};")
            main.line("unsigned char *const shared = shared_memory + team * shared_size;")
            head = f"{self.index} row = ({self.index})blockIdx.x * {self.teams} + team; row < rows"
            with main.block(f"for ({head}; row += ({self.index})gridDim.x * {self.teams})"):
                singles: dict[int | None, str] = {}
                for link in self.links:
                    self.call(main, link, singles)
                    main.line(f"meet<{self.team}>();")
        return "\n".join([*functions, str(main)])

    def call(self, main: Text, link: _LinkWriter, singles: dict[int | None, str]) -> None:
        number, accesses = link.number, link.nest.accesses
        given = ["row", "member", "shared", *(f"l{number}_{name}" for _, name in link.own_parameters())]
        given += [singles[accesses[k].slot] for k in link.registers()]
        for j in link.results:
            k = link.first_output + j
            name = f"y{number}_{j}"
            main.line(f"{link.types[k]} {name};")
            singles[accesses[k].slot] = name
            given.append(name)
        main.line(f"{NAME}_{number}({', '.join(given)});")
