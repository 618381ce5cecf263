"""What functions of kernels are told when they are called: accesses to memory, and numbers that may well be sizes."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from math import frexp
from typing import Any, NamedTuple

import numpy as np

from .instructions import RecurrenceRun
from .loopnest import (
    Apply,
    Constant,
    Expression,
    Kernel,
    Load,
    Output,
    Position,
    constant,
    derived,
    expressions_in,
    parts,
    point,
    remember,
)


class Operand(NamedTuple):
    """An access to memory, or an index as a value (a `position`: what it has for strides are factors).

    Attributes:
        source: the load, position or output.
        terms: what its address moves by beside the loops, expressions that have a factor each.
        is_at_point: whether it is the element at the point of the space itself, or at the first axes of that.
    """

    source: Any
    terms: tuple[Any, ...]
    is_at_point: bool = False


@derived
def operands_of(kernel: Kernel) -> list[Operand]:
    """Loads, positions and outputs, in the order of the arguments of the kernel's function."""
    found = [*kernel.loads(), *kernel.positions(), *kernel.outputs]
    return [_operand(x) for x in found]


def _operand(source: Any) -> Operand:
    if type(source) is Output and source.place is None:
        return Operand(source, (), True)
    index = index_of(source)
    is_at_point = type(source) is not Position and index == point(len(index))
    return Operand(source, () if is_at_point else tuple([e for i in index for _, e in i.terms]), is_at_point)


class Walk(NamedTuple):
    """An operand as what its address is computed from.

    Attributes:
        number: of its array among those of the loads, by their operands, and of the outputs; -1 for a position, which
            walks along an array of single steps.
        offsets: pairs of an axis of the array and how many elements along it are skipped; one for a position, always.
        factors: an axis of the space, an axis of the array and a factor; None: at the point of the space itself.
        ways: for each term, an axis of the array and a factor.
    """

    number: int
    offsets: tuple[tuple[int, int], ...]
    factors: tuple[tuple[int, int, int], ...] | None
    ways: tuple[tuple[int, int], ...]


@derived
def walks_of(kernel: Kernel) -> list[Walk]:
    """The operands of a kernel (`operands_of`) as what their addresses are computed from."""
    numbers = {operand: number for number, operand in enumerate(kernel.operands)}
    outputs = count(len(kernel.operands))
    found: list[Walk] = []
    for source, _, is_at_point in operands_of(kernel):
        kind = type(source)
        number = -1 if kind is Position else numbers[source.operand] if kind is Load else next(outputs)
        if is_at_point:
            found.append(Walk(number, (), None, ()))
            continue
        index = index_of(source)
        offsets = tuple([(own, i.offset) for own, i in enumerate(index) if i.offset or kind is Position])
        factors = tuple([(axis, own, factor) for own, i in enumerate(index) for axis, factor in i.factors])
        ways = tuple([(own, factor) for own, i in enumerate(index) for factor, _ in i.terms])
        found.append(Walk(number, offsets, factors, ways))
    return found


@derived
def jumping_axes(kernel: Kernel) -> list[frozenset[int]]:
    """For each operand the axes of the space along which its computed indices change, and so may be anywhere next."""
    return [_axes_of(operand.terms) for operand in operands_of(kernel)]


def take_over(kernel: Kernel, other: Kernel) -> None:
    """Remember with a kernel how another one walks, if the two differ in nothing but numbers."""
    if kernel.loads() == other.loads() and kernel.positions() == other.positions():
        for derive in (walks_of, jumping_axes):
            remember(derive, kernel, derive(other))


def _axes_of(terms: Sequence[Expression]) -> frozenset[int]:
    """The axes of the space that expressions depend on."""
    indices = [e.index if type(e) is Load else (e.index,) for e in expressions_in(terms) if type(e) in (Load, Position)]
    return frozenset([axis for index in indices for i in index for axis, _ in i.factors])


#: By the kind of number, the operations for which it matters little whether LLVM knows the number.
INDIFFERENT = {
    "f": frozenset(("multiply", "divide", "scale", "scale_both")),
    "i": frozenset(("add", "subtract", "multiply", "maximum", "minimum", "less", "less_equal", "select")),
}
#: Numbers that belong to formulas rather than to sizes.
FORMULAIC = (0, 1, -1, 2, -2, 0.5, -0.5)
#: With more numbers than this as arguments, a kernel would have no registers left.
MOST_NUMBERS = 8
#: Elements of lanes that lie side by side are reached by steps in the text if they are at most so many.
MOST_TOGETHER = 8


@derived
def numbers_of(kernel: Kernel) -> list[Constant]:
    """The constants that are arguments of the kernel's function, each once."""
    applied = [prepared(e) for e in kernel.expressions() if type(e) is Apply]
    found = dict.fromkeys([x for e in applied for x in e.operands if type(x) is Constant and is_argument(e, x)])
    return list(found) if len(found) <= MOST_NUMBERS else [x for x in found if x.dtype.kind == "i"]


def is_argument(applied: Apply, operand: Expression) -> bool:
    """Whether an operand of an operation is a number that had better not be part of the text."""
    if not isinstance(operand, Constant) or operand.dtype.str[1:] not in ("f4", "f8", "i8"):
        return False
    if np.isinf(operand.number):
        # Where extremes begin with it, LLVM would select among the totals, and not compute with vectors.
        return applied.operation == "select"
    is_indifferent = applied.operation in INDIFFERENT[operand.dtype.kind]
    return is_indifferent and bool(np.isfinite(operand.number)) and operand.number not in FORMULAIC


def prepared(applied: Apply) -> Apply:
    """An operation as it is written: a division by a power of two is a multiplication, with the same results."""
    if applied.operation != "divide":
        return applied
    divisor = applied.operands[-1]
    if not isinstance(divisor, Constant) or divisor.dtype.kind != "f":
        return applied
    mantissa, exponent = frexp(divisor.number)
    if abs(mantissa) != 0.5 or abs(exponent) > 10:
        return applied
    return Apply("multiply", (applied.operands[0], constant(1 / divisor.number, divisor.dtype)), applied.dtype)


class Structure:
    """What functions are written from, as a key of which the hash is worked out once."""

    __slots__ = ("hash", "value")

    def __init__(self, value: Any):
        self.value, self.hash = value, hash(value)

    def __hash__(self) -> int:
        return self.hash

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Structure) and self.value == other.value


@derived
def structure_of(kernel: Kernel) -> Structure:
    """All that the function of a kernel is written from beside its layout; it is free of sizes."""
    loads = {load: k for k, load in enumerate(kernel.loads())}
    positions = {position: k for k, position in enumerate(kernel.positions())}
    arguments = {number: k for k, number in enumerate(numbers_of(kernel))}
    numbers: dict[int, int] = {}

    def part(e: Expression) -> Any:
        return (e.value, e.dtype.num) if type(e) is Constant else numbers[id(e)]

    def operand(applied: Apply, e: Expression) -> Any:
        if type(e) is not Constant:
            return numbers[id(e)]
        return ("argument", arguments[e]) if e in arguments and is_argument(applied, e) else part(e)

    def row(e: Expression) -> tuple[Any, ...]:
        kind = type(e)
        if kind is Apply:
            applied = prepared(e)
            return applied.operation, applied.dtype.num, *[operand(applied, x) for x in applied.operands]
        if kind is Constant:
            return ()  # whoever has it as a part says which it is
        number = ("load", loads[e]) if kind is Load else ("position", positions[e])
        return *number, e.dtype.num, *[part(x) for x in parts(e)]

    rows: list[tuple[Any, ...]] = []
    for number, e in enumerate(kernel.expressions()):
        rows.append(row(e))
        numbers[id(e)] = number
    terms = [[part(x) for i in o.place or () for _, x in i.terms] for o in kernel.outputs]
    places = [None if o.place is None else tuple(t) for o, t in zip(kernel.outputs, terms)]
    outputs = [(part(o.expression), o.combine, place) for o, place in zip(kernel.outputs, places)]
    return Structure((len(kernel.shape), kernel.reduced, tuple(rows), tuple(outputs)))


def index_of(source: Any) -> Sequence[Any]:
    """The indices that a load, position or output has."""
    if isinstance(source, Position):
        return (source.index,)
    return source.index if isinstance(source, Load) else source.place or ()


def is_compensated(output: Output) -> bool:
    """Whether rounding errors are kept count of."""
    return output.combine == "add" and output.expression.dtype.kind == "f"


def identity_value(combine: str | None, dtype: np.dtype[Any]) -> Any:
    """What a reduction begins with."""
    if combine in ("maximum", "minimum"):
        if dtype.kind == "f":
            return -np.inf if combine == "maximum" else np.inf
        if dtype.kind == "b":
            return combine == "minimum"
        limits = np.iinfo(dtype)
        return limits.min if combine == "maximum" else limits.max
    if combine == "add":
        return -0.0 if dtype.kind == "f" else 0
    if combine == "bitwise_and":
        return True if dtype.kind == "b" else ~dtype.type(0)
    return {"multiply": 1, "logical_and": True, "logical_or": False, "bitwise_or": 0, "bitwise_xor": 0}[str(combine)]


def steps_of(run: RecurrenceRun, array: int) -> list[int | None]:
    """By how many elements each axis of an array moves, where that is part of the text: elements that lie one after
    another, and lanes that have few elements each."""
    place, lanes = run.arrays[array], run.recurrence.lanes
    own = None if lanes is None else lanes.axes[array]
    found: list[int | None] = []
    for axis, stride in enumerate(place.strides):
        step, rest = divmod(stride, place.dtype.itemsize)
        is_written = not rest and (step == 1 or (axis == own and 0 <= step <= MOST_TOGETHER))
        found.append(step if is_written else None)
    return found


def wide_axes(run: RecurrenceRun, array: int) -> list[int]:
    """The axes whose strides are arguments."""
    return [axis for axis, step in enumerate(steps_of(run, array)) if step is None]
