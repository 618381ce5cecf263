"""What the compiler made of a function, and why, in sentences."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from math import prod
from typing import Any, NamedTuple

from ...core.avals import ShapedArray
from ...core.jaxpr import Jaxpr, Var
from ..assembly import Assembled
from ..fuse import KernelStep
from ..instructions import ChainRun, Nest, ProductRun, PythonRun, ScanRun
from ..loopnest import Kernel
from ..recurrence import Check, Store, statements_in
from ..simplify import passes
from ..small_matrices import FORMS, is_written_out
from ..staggered import strip_rows
from .costs import Memory, cost, size
from .donations import donations
from .listing import Names, Row, are_matrices, is_copy, is_of_matrices, joined, lines_of
from .reasons import noun, shared_operations, why_apart, why_copied
from .units import bytes_text, escaped, plural, seconds_text


class Native(NamedTuple):
    """What a backend says of a program.

    Attributes:
        threads: how many threads an instruction is divided among.
        wakes: whether those of them that sleep are woken for it.
        is_quick: whether the program is compiled quickly at first.
        work: about how many nanoseconds a call is thought to take.
        functions: how many functions were compiled.
        withheld: the donated arguments that a call would copy first, and why.
    """

    threads: Callable[[Row], int]
    wakes: Callable[[Row], bool]
    is_quick: bool
    work: int
    functions: int
    withheld: dict[int, str]


class Explanation:
    """Sentences about a compiled program, under headings.

    Attributes:
        sections: pairs of a heading and sentences, each with how far it is indented.
    """

    def __init__(self, name: str, sections: list[tuple[str, list[tuple[int, str]]]]):
        self.name = name
        self.sections = [section for section in sections if section[1]]

    @property
    def sentences(self) -> list[str]:
        """All sentences, in order."""
        return [sentence for _, sentences in self.sections for _, sentence in sentences]

    def __repr__(self) -> str:
        parts = [
            "\n".join([heading, *(f"  {'  ' * depth}{sentence}" for depth, sentence in sentences)])
            for heading, sentences in self.sections
        ]
        return "\n\n".join(parts)

    def _repr_html_(self) -> str:
        found = []
        for heading, sentences in self.sections:
            items = "".join(f'<li style="margin-left: {2 * d}em">{escaped(s)}</li>' for d, s in sentences)
            found.append(f"<p><b>{escaped(heading)}</b></p><ul>{items}</ul>")
        return "".join(found)


def explained(
    name: str, jaxpr: Jaxpr, simplified: Jaxpr, assembled: Assembled, rows: list[Row], names: Names, native: Native
) -> Explanation:
    """Everything there is to say about a program."""
    return Explanation(name, [
        (name, [(0, s) for s in overview(jaxpr, simplified, rows, names, assembled)]),
        ("Simplification", [(0, s) for s in simplification(jaxpr)]),
        ("Instructions", list(_Instructions(rows, names, native).run())),
        ("Results", [(0, s) for s in handed_on(simplified)]),
        ("Memory", [(0, s) for s in memory(Memory(assembled, names))]),
        ("Donation", [(0, s) for s in donations(assembled, names, native.withheld)]),
        ("Compilation", [(0, s) for s in compilation(native)]),
    ])  # fmt: skip


def overview(jaxpr: Jaxpr, simplified: Jaxpr, rows: list[Row], names: Names, assembled: Assembled) -> Iterator[str]:
    """The program in a sentence."""
    runs = [row for row in rows if not isinstance(row.instruction, ChainRun) and not is_rare(row)]
    kinds = Counter(map(noun, runs))
    what = joined([counted(number, name) for name, number in kinds.items()]) or "nothing"
    chains = [len(row.instruction.links) for row in rows if isinstance(row.instruction, ChainRun)]
    if chains:
        what += f", {sum(chains)} of them in {counted(len(chains), 'chain')}"
    before, after = len(jaxpr.eqns), len(simplified.eqns)
    count = plural(before, "equation") if before == after else f"{plural(before, 'equation')}, simplified to {after},"
    yield f"{count} {'runs' if count.startswith('1 ') and before == after else 'run'} as {what}."
    arguments = ", ".join(map(names.place, assembled.arguments))
    if arguments:
        yield f"It was compiled for {arguments}; machine code does not depend on the sizes."


def is_rare(row: Row) -> bool:
    """Whether an instruction runs only where something goes wrong."""
    return isinstance(row.instruction, PythonRun) and row.instruction.is_rare


def counted(number: int, name: str) -> str:
    """`2 chains of kernels`, `2 loops, each as one function`."""
    if number == 1:
        return f"1 {name}"
    if name.endswith(" as one function"):
        return f"{counted(number, name.removesuffix(' as one function'))}, each as one function"
    first, _, rest = name.partition(" of ")
    joint = name[len(first) : len(name) - len(rest)]
    plural_ = first[:-1] + "ies" if first.endswith("y") else first + ("es" if first.endswith("ch") else "s")
    return f"{number} {plural_}{joint}{rest}"


# ---- simplification


def simplification(jaxpr: Jaxpr) -> Iterator[str]:
    """What each pass took away and put in."""
    for name, transform in passes().items():
        before, jaxpr = jaxpr, transform(jaxpr)
        gone, came = _primitives(before), _primitives(jaxpr)
        gone.subtract(came)
        removed = {name: n for name, n in gone.items() if n > 0}
        added = {name: -n for name, n in gone.items() if n < 0}
        if removed or added:
            parts = [f"{_shown(removed)} went"] * bool(removed) + [f"{_shown(added)} came"] * bool(added)
            yield f"{name}: {joined(parts)} ({len(before.eqns)} equations before, {len(jaxpr.eqns)} after)."


def _primitives(jaxpr: Jaxpr) -> Counter[str]:
    return Counter(eqn.primitive.name for eqn in jaxpr.eqns)


def _shown(counts: dict[str, int]) -> str:
    return joined([name if n == 1 else f"{n} {name}" for name, n in counts.items()])


def handed_on(simplified: Jaxpr) -> Iterator[str]:
    """Results that nothing is run for."""
    for k, atom in enumerate(simplified.outputs):
        if not isinstance(atom, Var):
            yield f"Result {k} is a constant, known when the function was traced."
        elif atom in simplified.inputs:
            yield f"Result {k} is an argument, handed on as it is."


# ---- memory and compilation


def memory(found: Memory) -> Iterator[str]:
    together = sum(t.size for t in found.temporaries)
    if found.temporaries:
        shared = f", of {bytes_text(together)} in all, since they share room" if together > found.arena else ""
        take = "takes" if len(found.temporaries) == 1 else "take"
        yield f"{counted(len(found.temporaries), 'temporary')} {take} {bytes_text(found.arena)}{shared}."
    else:
        yield "There are no temporaries."
    new = found.results - found.donated
    yield f"A call needs {bytes_text(found.peak)} beside its arguments, {bytes_text(new)} of it for results."


def compilation(native: Native) -> Iterator[str]:
    if not native.functions:
        yield "There was nothing to compile."
        return
    functions = plural(native.functions, "function")
    work = seconds_text(native.work * 1e-9)
    if native.is_quick:
        yield (
            f"{functions} compiled quickly at first, without optimisation, for a call is thought to take {work} only; "
            "thoroughly once there have been so many calls that this pays."
        )
    else:
        yield f"{functions} compiled thoroughly at once, since a call is thought to take {work}."


# ---- instructions


class _Instructions:
    """Sentences about each instruction."""

    def __init__(self, rows: list[Row], names: Names, native: Native):
        self.rows = rows
        self.names = names
        self.native = native
        self.makers: dict[Any, Row] = {}
        self.shared = shared_operations(rows)
        self.of_step: dict[int, list[Row]] = {}
        for row in rows:
            self.of_step.setdefault(id(row.origin), []).append(row)
        self.links = {id(link) for row in rows for link in getattr(row.instruction, "links", ())}
        for row in rows:
            if not is_copy(row.instruction):
                outputs = row.origin.outputs if row.origin is not None else ()
                self.makers.update((var, row) for var in outputs)

    def run(self) -> Iterator[tuple[int, str]]:
        for row in self.rows:
            say = getattr(self, type(row.instruction).__name__)
            first, *others = [s for s in (self.copy(row) if is_copy(row.instruction) else say(row)) if s]
            yield 2 * row.depth, f"[{row.number}] {first}"
            for sentence in filter(None, [*others, row.remark]):
                yield 2 * row.depth + 1, sentence

    # ---- what is said of several of them

    def where(self, row: Row) -> str:
        lines = lines_of(row.equations)
        return f" ({lines})" if lines else ""

    def sources(self, row: Row) -> str:
        return joined([self.names.slot(p.slot) for p in row.instruction.sources if hasattr(p, "slot")])

    def targets(self, row: Row) -> str:
        return joined([self.names.slot(p.slot) for p in row.instruction.targets if hasattr(p, "slot")])

    # ---- instructions, by the names of their types

    def KernelRun(self, row: Row) -> Iterator[str]:
        parts = self.parts(row)
        if parts:
            over = _extents(row.instruction.kernel)
            yield f"A kernel over {over} puts what {joined(parts)} made together: {cost(row.instruction)}."
            return
        yield self.computes(row)
        yield from self.reduces(row)
        yield from self.threads(row)
        if isinstance(row.origin, KernelStep):
            yield from self.again(row.origin)
            yield from self.apart(row, row.origin)
        yield from self.stores(row)

    def computes(self, row: Row) -> str:
        """What a kernel is for."""
        equations = row.origin.equations if isinstance(row.origin, KernelStep) else row.equations
        what = joined(list(_counted([e.primitive.name for e in equations]))) or "a part of an array"
        does, more = f"computes {what}", ""
        if any(is_written_out(e.primitive.name, [a.aval for a in e.inputs]) for e in row.equations):
            more = ", a matrix at each point"
        elif not isinstance(row.origin, KernelStep):
            does = f"does a part of {what}"
        elif len(equations) > 1:
            does += " together, in one pass"
        over = _extents(row.instruction.kernel)
        return f"A kernel over {over} {does}{self.where(row)}{more}: {cost(row.instruction)}."

    def reduces(self, row: Row) -> Iterator[str]:
        kernel = row.instruction.kernel
        if not kernel.reduced:
            return
        last = "the last axis" if kernel.reduced == 1 else f"the last {kernel.reduced} axes"
        yield f"It reduces {last}." if kernel.shape[: -kernel.reduced] else "It reduces all to one number."
        if isinstance(row.origin, KernelStep) and kernel is not row.origin.kernel:
            yield "It does so in parts, so that threads can divide them; the result does not depend on how many do."

    def stores(self, row: Row) -> Iterator[str]:
        """What a kernel leaves in the memory of temporaries."""
        stored: Counter[str] = Counter()
        for place in row.instruction.targets:
            stored[self.names.slot(place.slot)] += size(place)
        for name, bytes_ in stored.items():
            if name.startswith("t"):
                yield f"What it writes to {name} is stored ({bytes_text(bytes_)}) for others."

    def parts(self, row: Row) -> list[str]:
        """The numbers of the kernels that make what this one puts together, if it is for the same step as they are."""
        same = self.of_step.get(id(row.origin), []) if isinstance(row.origin, KernelStep) else []
        others = [r for r in same if r is not row]
        read = {place.slot for place in row.instruction.sources}
        return [f"[{r.number}]" for r in others if read & {place.slot for place in r.instruction.targets}]

    def ChainRun(self, row: Row) -> Iterator[str]:
        run = row.instruction
        is_grouped = not run.shifts and any(link.rows != run.rows for link in run.links)
        rows = f"{run.rows} {'groups of ' if is_grouped else ''}rows"
        kinds = {ProductRun: "products", ScanRun: "scans"}
        others = [name for kind, name in kinds.items() if any(isinstance(link, kind) for link in run.links)]
        what = joined(["kernels", *others])
        yield f"{len(run.links)} {what} over the same {rows} run together: {cost(run)}."
        yield "They do some rows and then the next ones: what they read of each other, or again, is in the cache."
        if any(map(any, run.shifts)):
            strip = strip_rows(run.rows, run.shifts)
            yield f"Rows that need others beside them wait where strips of {strip} rows meet, until these are done."
        yield from self.threads(row)

    def threads(self, row: Row) -> Iterator[str]:
        count = self.native.threads(row)
        if id(row.instruction) in self.links:
            return  # it is said of the chain
        points = cost(row.instruction).operations
        if count > 1:
            asleep = "." if self.native.wakes(row) else ", if others are awake: to wake them takes as long as the work."
            yield f"It is divided among {count} threads{asleep}"
        elif points >= 1000:
            yield "It runs on one thread: there is too little to do for more, or threads would write to one place."

    def again(self, step: KernelStep) -> Iterator[str]:
        """What it computes that others compute too, and what only moves elements."""
        moved = [eqn for eqn in step.again if eqn.outputs[0] not in self.makers]
        if moved:
            names = joined(list(_counted([eqn.primitive.name for eqn in moved])))
            them = "it" if len(moved) == 1 else "them"
            yield f"It computes {names} in place, where it needs {them}; nothing of that is stored."
        for eqn in step.again:
            maker = self.makers.get(eqn.outputs[0])
            if maker is not None:
                yield (
                    f"{eqn.primitive.name} is computed in [{maker.number}], and here a second time: that costs less "
                    "than to read it."
                )
        for number, operations in self.shared.get(id(step), {}).items():
            are = "is" if len(operations) == 1 else "are"
            yield (
                f"{joined(list(_counted(operations)))} {are} computed in [{number}], and here a second time: that "
                "costs less than to store what comes of it, and to read that."
            )

    def apart(self, row: Row, step: KernelStep) -> Iterator[str]:
        """Why what it reads was not computed in it."""
        told: set[str] = set()
        for var in step.sources:
            maker = self.makers.get(var)
            if maker is not None and maker.number not in told and maker.depth == row.depth:
                told.add(maker.number)
                why = why_apart(maker, step, var)
                yield f"It is not one with [{maker.number}], which makes {_type(var)} for it: {why}."

    def copy(self, row: Row) -> Iterator[str]:
        yield (
            f"A copy of {self.sources(row)} to {self.targets(row)} ({bytes_text(cost(row.instruction).written)}): "
            f"{why_copied(row)}."
        )

    def ProductRun(self, row: Row) -> Iterator[str]:
        run = row.instruction
        (batch, m, n), k = run.z.shape, run.x.shape[2]
        shape = f"{m} x {k} by {k} x {n}" + (f", {batch} times" if batch != 1 else "")
        yield f"A matrix product, {shape}, by BLAS{self.where(row)}: {cost(run)}."
        yield "BLAS is a library: nothing fuses with its calls. Transposed operands are read as they are."
        if self.native.threads(row) > 1:
            yield from self.threads(row)

    def ScanRun(self, row: Row) -> Iterator[str]:
        run = row.instruction
        yield f"All elements of {run.source.shape[-1]} up to each one are combined{self.where(row)}: {cost(run)}."

    def LibraryRun(self, row: Row) -> Iterator[str]:
        run = row.instruction
        batch, rows, columns = (*run.places[0].shape, 0)[:3]
        if run.name == "permute":
            yield f"Pivots become a permutation{self.where(row)}."
            return
        what = f"{rows} x {columns}" + (f", {batch} times" if batch != 1 else "")
        yield f"`{run.name.replace('_', ' ')}`{self.where(row)} by LAPACK, {what}, without Python: {cost(run)}."

    def SortRun(self, row: Row) -> Iterator[str]:
        rows, count = row.instruction.rows.shape
        first, last = row.instruction.part
        what = "sorted" if row.instruction.order is None else "put in order by their indices"
        what += f", of which {last - first} are wanted," if 0 < last - first < count else ""
        yield f"{plural(rows, 'row')} of {count} are {what}{self.where(row)} by NumPy's function, without Python."
        yield from self.threads(row)

    def FourierRun(self, row: Row) -> Iterator[str]:
        run = row.instruction
        lanes, points = prod(run.source.shape[:2]), max(run.source.shape[2], run.target.shape[2])
        yield (
            f"`{run.kind}`{self.where(row)} of {plural(lanes, 'lane')} of {points} by NumPy's function, without "
            f"Python: {cost(run)}."
        )
        yield from self.threads(row)

    def PythonRun(self, row: Row) -> Iterator[str]:
        run = row.instruction
        if run.is_rare:
            yield f"Where a library found no result, `{run.name}` runs in Python, which raises the error."
            return
        yield f"`{run.name}`{self.where(row)} runs in Python, by NumPy or SciPy: {cost(run)}."
        yield (
            "No kernel computes it element by element, so it stands alone: its operands are stored before it, and its "
            "results after it."
        )

    def CheckRun(self, row: Row) -> Iterator[str]:
        run, numbers = row.instruction, self.names.place(row.instruction.numbers)
        if is_of_matrices(run):
            yield f"If `{run.otherwise.name}`{self.where(row)} has no result for a matrix, {numbers} says so: an error."
        else:
            yield f"The indices {numbers}{self.where(row)} are checked to lie within {run.extent}."

    def LoopRun(self, row: Row) -> Iterator[str]:
        run = row.instruction
        times = f"{run.length} times" if isinstance(run.length, int) else "a number of times known when it runs"
        yield f"A loop{self.where(row)} runs the instructions in it {times}, without Python: {cost(run)}."
        yield from self.tape(run)
        yield from self.state(run.why, run.swaps)

    def WhileRun(self, row: Row) -> Iterator[str]:
        run = row.instruction
        yield f"A while loop{self.where(row)}, without Python: {cost(run)} in each step."
        yield from self.tape(run)
        yield from self.state(run.why, run.swaps)

    def tape(self, run: Any) -> Iterator[str]:
        """What a loop does with stacks."""
        tape = run.tape
        if tape is not None and tape.written:
            what = joined([str(step.aval.entry) for step in tape.written])
            yield f"Each step leaves {what} for the derivative, on a tape in memory that grows in blocks."
        if tape is not None and tape.read:
            what = joined([str(step.aval.entry) for step in tape.read])
            yield f"Each step reads {what} from the tape of another loop."

    def state(self, why: str, swaps: Sequence[Any]) -> Iterator[str]:
        if why:
            yield f"Its state is in memory, not in registers: {why}."
        if swaps:
            yield f"{plural(len(swaps), 'pair')} of buffers for its state change places after each step."

    def RecurrenceRun(self, row: Row) -> Iterator[str]:
        run, recurrence = row.instruction, row.instruction.recurrence
        if are_matrices(run):
            yield from self.matrices(row)
            return
        length = recurrence.length
        times = f"{length} steps" if length is not None else "as many steps as it takes"
        yield f"A loop of {times}{self.where(row)} as one function: {cost(run)}."
        if recurrence.lanes is not None:
            count = recurrence.lanes.count
            yield f"Its {count} lanes have nothing to do with each other: each takes all steps in one go, side by side."
        if run.registers:
            of_lanes = "" if recurrence.lanes is None else " a lane"
            yield f"Its state, {plural(run.registers, 'number')}{of_lanes}, stays in registers."
        changed = {s.array for s in statements_in(recurrence.statements) if isinstance(s, Store)}
        in_memory = [k for k in sorted(changed) if run.arrays[k].shape and k not in run.grown]
        if in_memory:
            names = joined([self.names.place(run.arrays[k]) for k in in_memory])
            yield f"Elements of {names} are written one by one, where they are."
        checks = [s.failure.name for s in statements_in(recurrence.statements) if isinstance(s, Check)]
        solved = sum(name in FORMS for name in checks)
        if len(checks) > solved:
            places = plural(len(checks) - solved, "place")
            yield f"Indices are checked at {places} in it; all others are known to be in range."
        if solved:
            yield f"At {plural(solved, 'place')} in it a matrix may have no result, which is an error."
        yield from self.tape(run)
        if run.nest is not None:
            yield from self.nest(run.nest)

    def nest(self, nest: Nest) -> Iterator[str]:
        """What a loop as one function does with stacks of stacks."""
        if nest.columns:
            tapes = plural(len(nest.columns), "tape")
            yield f"Its loops leave what derivatives need on {tapes}, one run behind the other."
        for verb, stacks in (("leaves", nest.written), ("reads", nest.read)):
            if stacks:
                yield f"Each step {verb} {joined([str(stack.aval.entry) for stack in stacks])} there."

    def matrices(self, row: Row) -> Iterator[str]:
        """Linear algebra of many matrices in loops."""
        lanes = row.instruction.recurrence.lanes
        what = joined(list(_counted([e.primitive.name for e in row.equations]))) or "linear algebra"
        over = f"{lanes.count} matrices, {lanes.together} of them side by side"
        yield f"Loops over the rows of {over}, compute {what}{self.where(row)}: {cost(row.instruction)}."
        yield from self.threads(row)
        if row.instruction.otherwise:
            yield "A matrix may have no result, which is an error."

    def BranchRun(self, row: Row) -> Iterator[str]:
        blocks = row.instruction.blocks
        yield f"One of {len(blocks)} branches runs{self.where(row)}; the others cost nothing."


def _extents(kernel: Kernel) -> str:
    """`200 x 100`."""
    return " x ".join(map(str, kernel.shape)) or "a single point"


def _counted(names: Sequence[str]) -> Iterator[str]:
    for name, number in Counter(names).items():
        yield name if number == 1 else f"{name} ({number} times)"


def _type(var: Var) -> str:
    return str(var.aval) if isinstance(var.aval, ShapedArray) else "an object"
