"""Chains of kernels over the same rows as one kernel: a warp or a block goes through all links for one row at a time.

What a link reduces a row to stays in registers. Rows that only the chain needs are in shared memory, if there is room.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import NamedTuple

from ...accesses import numbers_of
from ...inspection.texts import kernel_text
from ...instructions import ChainRun, KernelRun, Place
from ...loopnest import Load, Output, Position
from .codegen import KernelWriter
from .launches import NAME, Argument, Launch, Pointer
from .layouts import BLOCK, Form, Nest, is_short, lanes, moves, nest_of
from .lowering import WAVES, Target, launches_of
from .operations import type_name

#: Rows of at most so many elements are a warp's.
WARP_ROW = 1024
#: The shared memory that a block may have without being asked for more, in bytes.
SHARED = 48 * 1024
#: Rows of more elements are too long for one block, unless there are rows enough for all.
LONGEST_ROW = 1 << 14


class Link(NamedTuple):
    """A kernel of a chain.

    Attributes:
        kinds: for each access "memory", "shared" or "register", which is for what a row has one of.
        offsets: where in the shared memory of a row an access begins.
    """

    nest: Nest
    form: Form
    kinds: tuple[str, ...]
    offsets: tuple[int, ...]
    is_stored: tuple[bool, ...]


def chain_launches(run: ChainRun, target: Target) -> list[Launch]:
    """A chain as one launch, or one for each link if rows are too few and too long."""
    rows = run.links[0].kernel.shape[0]
    longest = max(prod(link.kernel.shape[1:]) for link in run.links)
    team = 32 if longest <= WARP_ROW else BLOCK
    if longest > LONGEST_ROW and rows * BLOCK < target.threads:
        return [launch for link in run.links for launch in launches_of(link, target)]
    shared, size = _shared_places(run, BLOCK // team)
    links = _links(run, target, team, shared)
    source = _ChainWriter(links, team).function()
    blocks = min(-(-rows * team // BLOCK), WAVES * target.processors)
    arguments: list[Argument] = [rows, size]
    for link in links:
        arguments += _arguments(link)
    if any(link.form.is_guarded for link in links):
        assert target.failed is not None
        arguments.append(Pointer(target.failed, 0))
    about = "\n".join(kernel_text(link.nest.kernel) for link in links)
    return [Launch(source, (blocks, 1, 1), (BLOCK, 1, 1), size * (BLOCK // team), tuple(arguments), about)]


def _is_single(place: Place) -> bool:
    """Whether there is one number for each row."""
    return prod(place.shape[1:]) == 1


def _shared_places(run: ChainRun, teams: int) -> tuple[dict[Place, int], int]:
    """Offsets of the rows that are in shared memory, and the size of these for one team."""
    found: dict[Place, int] = {}
    size = 0
    for place in run.own:
        need = -(-prod(place.shape[1:]) * place.dtype.itemsize // 16) * 16
        if not _is_single(place) and (size + need) * teams <= SHARED:
            found[place] = size
            size += need
    return found, size


def _links(run: ChainRun, target: Target, team: int, shared: dict[Place, int]) -> list[Link]:
    nests = [nest_of(link.kernel, link.sources, link.targets, has_rows=True) for link in run.links]
    is_wide = not all(map(is_short, nests))
    singles = {place for link in run.links for place in link.targets if _is_single(place)}
    found: list[Link] = []
    for link, nest in zip(run.links, nests):
        places = _places(link, nest)
        accesses = tuple(
            a._replace(strides=(0, *a.strides[1:])) if place in shared else a
            for a, place in zip(nest.accesses, places)
        )
        nest = nest._replace(accesses=accesses)
        has_lanes = len(nest.extents) > (nest.parallel if nest.kernel.reduced else 1)
        count = lanes(nest, -1, target.is_aligned) if has_lanes else 1
        form = Form(
            parallel=nest.parallel,
            reduced=len(nest.extents) - nest.parallel,
            team=team,
            lanes=count,
            moves=moves(nest, -1),
            is_wide=is_wide,
            is_divided=False,
            is_guarded=target.failed is not None and any(a.terms for a in nest.accesses),
            updates=(None,) * len(link.targets),
        )
        kinds = tuple(
            "shared" if place in shared else "register" if place in singles else "memory" for place in places
        )
        stored = tuple(not (place in run.own and _is_single(place)) for place in link.targets)
        found.append(Link(nest, form, kinds, tuple(shared.get(p, 0) if p else 0 for p in places), stored))
    return found


def _places(link: KernelRun, nest: Nest) -> list[Place | None]:
    """The place of each access; None for an index as a value."""
    by_operand, by_output = dict(zip(link.kernel.operands, link.sources)), iter(link.targets)
    found: list[Place | None] = []
    for a in nest.accesses:
        source = a.operand.source
        if isinstance(source, Position):
            found.append(None)
        else:
            found.append(by_operand[source.operand] if isinstance(source, Load) else next(by_output))
    return found


def _arguments(link: Link) -> list[Argument]:
    nest, form = link.nest, link.form
    found: list[Argument] = list(nest.extents[1:])
    last = len(nest.extents) - 1
    for k, (a, move, kind) in enumerate(zip(nest.accesses, form.moves, link.kinds)):
        is_output = isinstance(a.operand.source, Output)
        if kind == "register" and not is_output:
            continue
        if a.slot is None:
            found.append(a.offset)
        elif kind == "shared":
            found.append(link.offsets[k])
        else:
            found.append(Pointer(a.slot, a.offset))
        found += [s for d, s in enumerate(a.strides) if d != last or move == "any"]
        found += a.terms
    return found + [int.from_bytes(n.value.ljust(8, b"\0"), "little", signed=True) for n in numbers_of(nest.kernel)]


class _LinkWriter(KernelWriter):
    """Writes a link as a function of the row, and of the number of the thread in its team."""

    def __init__(self, link: Link, number: int, written: set[int]):
        super().__init__(link.nest, link.form)
        self.link = link
        self.number = number
        self.written = written

    @property
    def results(self) -> list[int]:
        """The outputs of which a row has one."""
        return [j for j in range(len(self.outputs)) if self.link.kinds[self.first_output + j] == "register"]

    def own_parameters(self) -> list[tuple[str, str]]:
        """Types and names of what the kernel is called with for this link."""
        found = [(f"const {self.index}", f"n{d}") for d in range(1, self.count)]
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
            kept = [d for d in range(self.count) if d != self.inner or move == "any"]
            found += [(f"const {self.index}", f"s{k}_{d}") for d in kept]
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
        with self.text.block(f"FUNCTION void {NAME}_{self.number}({', '.join(parameters)})"):
            for k, kind in enumerate(self.link.kinds):
                if kind == "shared":
                    self.text.line(f"{self.types[k]} *const p{k} = ({self.types[k]} *)(shared + p{k}_at);")
            if not self.kernel.reduced:
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
        k = self.first_output + j
        self.text.line(f"y{j} = {value};")
        if self.link.is_stored[j]:
            place = self.values.place(k, f"p{k}", "i0", {}) if self.inner == 0 else f"*after(p{k}, i0 * s{k}_0)"
            self.text.line(f"if (member == 0) {place} = y{j};")


class _ChainWriter:
    def __init__(self, links: Sequence[Link], team: int):
        self.team = team
        written = {a.slot for link in links for a in link.nest.accesses if isinstance(a.operand.source, Output)}
        self.links = [_LinkWriter(link, number, written) for number, link in enumerate(links)]  # type: ignore[arg-type]
        self.index = self.links[0].index
        self.is_guarded = any(link.form.is_guarded for link in links)

    def function(self) -> str:
        """The functions of the links, and the kernel that calls them."""
        functions = [link.function() for link in self.links]
        main = self.links[0].text.__class__()
        parameters = [f"const {self.index} rows", "const int32 shared_size"]
        for link in self.links:
            parameters += [f"{type_} l{link.number}_{name}" for type_, name in link.own_parameters()]
        if self.is_guarded:
            parameters.append("const int32 *const failed")
        sync = "__syncthreads();" if self.team == BLOCK else "__syncwarp();"
        with main.block(f"KERNEL __launch_bounds__({BLOCK}) {NAME}({', '.join(parameters)})"):
            if self.is_guarded:
                main.line("if (*failed) return;")
            main.line(f"const int32 member = threadIdx.x % {self.team}, team = threadIdx.x / {self.team};")
            main.line("unsigned char *const shared = shared_memory + team * shared_size;")
            teams = BLOCK // self.team
            head = f"{self.index} row = ({self.index})blockIdx.x * {teams} + team; row < rows"
            with main.block(f"for ({head}; row += ({self.index})gridDim.x * {teams})"):
                singles: dict[tuple[int | None, int], str] = {}
                for link in self.links:
                    self.call(main, link, singles)
                    main.line(sync)
        return "\n".join([*functions, str(main)])

    def call(self, main: object, link: _LinkWriter, singles: dict[tuple[int | None, int], str]) -> None:
        number, accesses = link.number, link.nest.accesses
        given = ["row", "member", "shared", *(f"l{number}_{name}" for _, name in link.own_parameters())]
        given += [singles[accesses[k].slot, accesses[k].offset] for k in link.registers()]
        for j in link.results:
            k = link.first_output + j
            name = f"y{number}_{j}"
            main.line(f"{link.types[k]} {name};")  # type: ignore[attr-defined]
            singles[accesses[k].slot, accesses[k].offset] = name
            given.append(name)
        main.line(f"{NAME}_{number}({', '.join(given)});")  # type: ignore[attr-defined]
