"""What a program moves and computes: bytes, operations, and memory."""

from __future__ import annotations

from collections.abc import Iterable
from math import prod
from typing import Any, NamedTuple

from ...core.avals import INT
from ..assembly import Assembled
from ..donation import handed_out
from ..instructions import (
    BranchRun,
    ChainRun,
    CheckRun,
    FourierRun,
    KernelRun,
    LibraryRun,
    LoopRun,
    ParallelRun,
    ProductRun,
    PythonRun,
    RecurrenceRun,
    Room,
    ScanRun,
    SortRun,
    WhileRun,
)
from ..loopnest import Apply, Constant, Load, expressions_in
from ..places import Place
from ..recurrence import Choose, Repeat, Statement, Store, roots
from .units import amount, bytes_text, html_table, table


class Cost(NamedTuple):
    """What an instruction, or a program, moves and computes.

    Bytes are those of different elements: what is read twice counts once for each instruction. An operation is one
    on single numbers, transcendental functions included; conversions of dtypes are none.

    Attributes:
        read, written: in bytes.
        is_complete: False if there is more: steps of a loop of unknown length (one is counted), or operations of
            functions that Python calls (none are).
    """

    read: int
    written: int
    operations: int
    is_complete: bool = True

    @property
    def bytes(self) -> int:
        return self.read + self.written

    def times(self, number: int) -> Cost:
        """What so many repetitions cost."""
        return Cost(self.read * number, self.written * number, self.operations * number, self.is_complete)

    def __str__(self) -> str:
        more = "" if self.is_complete else " or more"
        return (
            f"reads {bytes_text(self.read)}, writes {bytes_text(self.written)}, "
            f"{amount(self.operations)} operations{more}"
        )


def total(costs: Iterable[Cost]) -> Cost:
    """What several things cost together."""
    found = list(costs)
    return Cost(
        sum(c.read for c in found),
        sum(c.written for c in found),
        sum(c.operations for c in found),
        all(c.is_complete for c in found),
    )


def elements(place: Any) -> int:
    """How many different elements an array has; those along a repeated axis are the same."""
    if not isinstance(place, Place):
        return 0
    return prod(n for n, stride in zip(place.shape, place.strides) if stride or not n)


def size(place: Any) -> int:
    """The bytes of different elements of an array; 0 for what is no array."""
    return elements(place) * place.dtype.itemsize if isinstance(place, Place) else 0


def cost(instruction: Any) -> Cost:
    """What an instruction costs, the blocks in it included."""
    return COSTS[type(instruction)](instruction)


def _kernel(run: KernelRun) -> Cost:
    points = prod(run.kernel.shape)
    combined = sum(output.combine is not None for output in run.kernel.outputs)
    operations = points * (operations_in(run.kernel.expressions()) + combined)
    return Cost(sum(_reads(run).values()), sum(_writes(run).values()), operations)


def _chain(run: ChainRun) -> Cost:
    """Rows stay in the cache: what links read of each other, or read again, costs no bytes."""
    read: dict[Place, int] = {}
    written: dict[Place, int] = {}
    for link in run.links:
        for place, bytes_ in _reads(link).items():
            if place not in written:
                read[place] = max(bytes_, read.get(place, 0))
        written |= _writes(link)
    kept = sum(bytes_ for place, bytes_ in written.items() if place not in run.own)
    return Cost(sum(read.values()), kept, sum(cost(link).operations for link in run.links))


def _reads(run: KernelRun | ProductRun | ScanRun) -> dict[Place, int]:
    """The bytes of different elements that a kernel, a product or a scan reads."""
    if not isinstance(run, KernelRun):
        return {place: size(place) for place in run.sources}
    kernel, points = run.kernel, prod(run.kernel.shape)
    touched: dict[Place, int] = {}
    places = dict(zip(kernel.operands, run.sources))
    for load in kernel.loads():
        place = places[load.operand]
        axes = {axis for index in load.index for axis, factor in index.factors if factor}
        is_computed = any(index.terms for index in load.index)
        count = points if is_computed else prod(kernel.shape[axis] for axis in axes)
        touched[place] = touched.get(place, 0) + min(count, points)
    found = {place: min(count, elements(place)) * place.dtype.itemsize for place, count in touched.items()}
    for output, target in zip(kernel.outputs, run.targets):
        if output.combine is not None and output.place is not None:
            found[target] = found.get(target, 0) + _writes(run)[target]
    return found


def _writes(run: KernelRun | ProductRun | ScanRun) -> dict[Place, int]:
    """The bytes of different elements that a kernel, a product or a scan writes."""
    if not isinstance(run, KernelRun):
        return {place: size(place) for place in run.targets}
    points = prod(run.kernel.shape)
    return {
        target: size(target) if output.place is None else min(elements(target), points) * target.dtype.itemsize
        for output, target in zip(run.kernel.outputs, run.targets)
    }


def operations_in(expressions: Iterable[Any]) -> int:
    """How many operations there are, conversions left out."""
    return sum(isinstance(e, Apply) and e.operation != "convert" for e in expressions)


def _product(run: ProductRun) -> Cost:
    batch, rows, columns = run.z.shape
    both = 8 if run.z.dtype.kind == "c" else 2
    return Cost(size(run.x) + size(run.y), size(run.z), both * batch * rows * columns * run.x.shape[2])


def _scan(run: ScanRun) -> Cost:
    read, written = sum(_reads(run).values()), sum(_writes(run).values())
    own = elements(run.target)
    others = () if run.around is None else run.around.kernel.expressions()
    return Cost(read, written, own * (1 + operations_in(others)))


def _python(run: PythonRun) -> Cost:
    return Cost(sum(map(size, run.sources)), sum(map(size, run.targets)), 0, False)


def _library(run: LibraryRun) -> Cost:
    matrix = run.places[0]
    both = 8 if matrix.dtype.kind == "c" else 2
    operations = both * elements(matrix) * min(matrix.shape[1:])
    return Cost(sum(map(size, run.places)), sum(map(size, run.places)), operations, False)


def _sort(run: SortRun) -> Cost:
    """A comparison of each element in each of as many passes as it takes to halve rows until they have one element,
    or to halve them until one has no more elements than are wanted."""
    rows, order, (first, last) = run
    count = rows.shape[1]
    if order is None:
        return Cost(size(rows), size(rows), elements(rows) * (count - 1).bit_length())
    passes = 1 + (last - first - 1).bit_length() if last - first < count else (count - 1).bit_length()
    return Cost(size(rows), rows.shape[0] * (last - first) * INT.itemsize, elements(rows) * passes)


def _fourier(run: FourierRun) -> Cost:
    """Cooley and Tukey's 5 n log2(n) for complex numbers, half of it for real ones."""
    x, y = run.source, run.target
    n = max(x.shape[2], y.shape[2])
    operations = 5 * prod(x.shape[:2]) * n * (n - 1).bit_length()
    return Cost(size(x), size(y), operations if x.dtype == y.dtype else operations // 2)


def _check(run: CheckRun) -> Cost:
    return Cost(size(run.numbers), 0, 2 * elements(run.numbers))


def _loop(run: LoopRun) -> Cost:
    step = total(map(cost, run.body))
    return step.times(run.length) if isinstance(run.length, int) else step._replace(is_complete=False)


def _while(run: WhileRun) -> Cost:
    return total(map(cost, [*run.test, *run.body]))._replace(is_complete=False)


def _branch(run: BranchRun) -> Cost:
    """The costliest of the branches."""
    return max((total(map(cost, block)) for block in run.blocks), key=lambda c: (c.operations, c.bytes))


def _recurrence(run: RecurrenceRun) -> Cost:
    lanes, own = run.recurrence.lanes, total(map(_statement, run.recurrence.statements))
    if any(isinstance(array, Room) for array in run.arrays):  # most of what is read and written is there
        memory = sum(map(size, run.places))
        return Cost(memory, memory, own.times(lanes.count).operations, False)
    return own if lanes is None else own.times(lanes.count)


def _statement(s: Statement) -> Cost:
    everything = list(expressions_in(roots(s)))
    read = sum(e.dtype.itemsize for e in dict.fromkeys(e for e in everything if isinstance(e, Load)))
    own = Cost(read, s.value.dtype.itemsize if isinstance(s, Store) else 0, operations_in(everything))
    if isinstance(s, Choose):
        branches = (total(map(_statement, branch)) for branch in s.branches)
        return total([own, max(branches, key=lambda c: c.operations)])
    if not isinstance(s, Repeat):
        return own
    step = total(map(_statement, (*s.test, *s.body)))
    if isinstance(s.length, Constant):
        return step.times(int(s.length.number))
    steps = 1 if s.most is None else max(1, s.most // 2)
    return total([own, step.times(steps)])._replace(is_complete=False)


COSTS: dict[type, Any] = {
    KernelRun: _kernel,
    ChainRun: _chain,
    ProductRun: _product,
    ScanRun: _scan,
    ParallelRun: lambda run: total(map(cost, run.members)),
    PythonRun: _python,
    LibraryRun: _library,
    SortRun: _sort,
    FourierRun: _fourier,
    CheckRun: _check,
    LoopRun: _loop,
    WhileRun: _while,
    BranchRun: _branch,
    RecurrenceRun: _recurrence,
}


class Temporary(NamedTuple):
    """An intermediate result, or room for one: what it is called, and how many bytes it has at which offset."""

    name: str
    size: int
    offset: int


class Memory:
    """The memory of one call, in bytes.

    Attributes:
        arguments, results, constants: of all arrays of the kind.
        reused: for each result that is in the memory of a donated argument, the numbers of both.
        donated: the bytes of these results.
        temporaries: what is kept for a while, each a name, a size and an offset in the arena.
        arena: what these take together; those that are never in use at the same time share room.
        peak: arena, constants and results in new memory: what a call needs beside its arguments. Functions that Python
            calls (LAPACK and the like) may take more for themselves.
    """

    def __init__(self, assembled: Assembled, names: Any):
        slots = assembled.slots
        self.arguments = sum(map(size, assembled.arguments))
        self.results = sum(map(size, assembled.results))
        self.reused = handed_out(assembled)
        self.donated = sum(size(assembled.results[k]) for k in self.reused)
        self.constants = sum(slot.value.nbytes for slot in slots if slot.kind == "constant")
        self.temporaries = [
            Temporary(names.slot(number), slot.size, slot.offset)
            for number, slot in enumerate(slots)
            if slot.kind == "temporary"
        ]
        self.arena = assembled.arena
        self.peak = self.arena + self.constants + self.results - self.donated
        self._names = [names.place(place) for place in assembled.arguments]

    def rows(self) -> list[tuple[str, str]]:
        """Names and sizes, for a table."""
        together = sum(t.size for t in self.temporaries)
        count = f"{len(self.temporaries)} temporar{'y' if len(self.temporaries) == 1 else 'ies'}"
        return [
            ("arguments", bytes_text(self.arguments)),
            ("results", bytes_text(self.results)),
            *((f"  result {k}", f"in the memory of {self._names[i]}") for k, i in self.reused.items()),
            ("constants", bytes_text(self.constants)),
            ("arena", f"{bytes_text(self.arena)} for {count} of {bytes_text(together)}"),
            *((f"  {t.name}", f"{bytes_text(t.size)} at {t.offset}") for t in self.temporaries),
            ("peak", f"{bytes_text(self.peak)} beside the arguments"),
        ]

    def __repr__(self) -> str:
        return table([], self.rows(), 2)

    def _repr_html_(self) -> str:
        return html_table([], self.rows(), 2)


class Costs:
    """What each instruction of a program costs.

    Attributes:
        rows: pairs of a number, as in the listing of the program, what the instruction is, and its cost.
        total: of all together.
    """

    def __init__(self, rows: list[tuple[str, str, Cost]]):
        self.rows = rows
        self.total = total(cost for _, _, cost in rows)

    def table(self) -> tuple[list[str], list[tuple[str, ...]]]:
        """Headings and rows as text."""
        head = ["", "instruction", "read", "written", "operations"]
        return head, [
            (number, what, bytes_text(c.read), bytes_text(c.written), amount(c.operations) + "+" * (not c.is_complete))
            for number, what, c in [*self.rows, ("", "total", self.total)]
        ]

    def __repr__(self) -> str:
        return table(*self.table(), 2)

    def _repr_html_(self) -> str:
        return html_table(*self.table(), 2)
