"""Taking equations apart: what becomes of their operands, element by element or in loops through arrays in memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

from ...core.avals import ShapedArray
from ...core.jaxpr import Eqn
from ..accesses import identity_value
from ..costs import cost_of_expressions
from ..loopnest import INT, Apply, Expression, Index, Register, cast, constant
from ..recurrence import Store
from ..small_matrices import is_written_out
from .access import check_operands, gather
from .collector import Collector, no_rule
from .cumulative import CUMULATIVE, accumulated
from .elements import (
    LARGEST_ARRAY,
    LARGEST_CHOICE,
    LARGEST_VECTOR,
    Array,
    ElementBuilder,
    TooLarge,
    at_value,
    boxed,
    in_dtype,
    is_number_known,
)
from .matrices import linear_algebra
from .triangles import LARGEST_MATRIX, goes_along_rows

#: Vectors of which an element costs more than this, in additions, are computed by kernels.
LARGEST_COST = 60
#: An element that costs more than this is not computed again for each of those who need it. Remainders are usually
#: cheaper than they look here (compiler/ranges.py).
WORTH_STORING = 12
#: More than a few totals that cost more than this together, in additions, are left to kernels, which go through memory
#: in its order and compute several of them at a time.
LARGEST_TOTALS = 512
#: How much cheaper the totals are that vectors are added to: sums along rows.
IN_VECTORS = 16
#: What moves elements, and at most adds or multiplies them: where the indices are known, if there are such, its
#: implementation does that with expressions as well.
MOVES = frozenset((
    "transpose", "slice", "reverse", "reshape", "concatenate", "pad", "update_slice", "gather", "dynamic_slice",
    "scatter_set", "scatter_add", "scatter_multiply", "dynamic_update_slice",
))  # fmt: skip


class Equations(Collector):
    """Collects the statements of equations.

    Args:
        has_vectors: whether larger arrays may be computed with, in loops.
        has_triangles: whether matrices may be, of which only a part may be needed.
        is_alone: whether this is not for a lane of many.

    Attributes:
        sums: the totals of rows of matrices, with what to say if these are needed as a whole.
    """

    def __init__(
        self,
        supports: Callable[[Expression], bool],
        source: Any,
        has_vectors: bool,
        has_triangles: bool,
        is_alone: bool,
    ):
        super().__init__(supports, source)
        self.has_vectors = has_vectors
        self.has_triangles = has_triangles
        self.is_alone = is_alone
        self.sums: dict[Register, str] = {}

    def equation(self, eqn: Eqn, operands: list[Any]) -> list[Any]:
        """The results of an equation that neither changes an array in memory nor holds a program."""
        if is_written_out(eqn.primitive.name, [a.aval for a in eqn.inputs]):
            return list(linear_algebra(self, eqn, [self.boxes(x) for x in operands]))
        if len(eqn.outputs) != 1:
            raise TooLarge(no_rule(eqn))
        if moves_known_elements(eqn, operands) and are_few(eqn, operands):
            return [self.moved_elements(eqn, operands)]
        return [RULES.get(eqn.primitive.name, Equations.by_elements)(self, eqn, operands)]

    def moved_elements(self, eqn: Eqn, operands: list[Any]) -> Any:
        """What an implementation makes of arrays of expressions."""
        first = eqn.primitive.first_index or len(operands)
        indices = [int(x[()].expression.number) for x in operands[first:]]
        try:
            found = eqn.primitive.impl(*map(self.boxes, operands[:first]), *indices, **eqn.params)[0]
        except IndexError:
            raise TooLarge("a fixed index in it is out of bounds") from None
        return in_dtype(found, eqn.outputs[0].aval.dtype)

    # ---- rules, in RULES by the names of primitives

    def gathered(self, eqn: Eqn, operands: list[Any]) -> Any:
        return gather(self, eqn, self.addressable(operands[0], operands[1:]), operands[1:])

    def accumulated(self, eqn: Eqn, operands: list[Any]) -> Any:
        return accumulated(self, eqn, operands[0])

    def sliced(self, eqn: Eqn, operands: list[Any]) -> Any:
        starts = [self.kept(self.boxes(x)) for x in operands[1:]]
        return self.view(eqn, [self.addressable(operands[0], starts), *starts])

    def viewed(self, eqn: Eqn, operands: list[Any]) -> Any:
        return (self.by_elements if are_few(eqn, operands) else self.view)(eqn, operands)

    def by_elements(self, eqn: Eqn, operands: list[Any]) -> Any:
        """What the primitive's own rule makes of them."""
        check_operands(self, eqn, operands)
        aval = eqn.outputs[0].aval
        if self.has_vectors and not are_few(eqn, operands):
            return self.vector(eqn, aval, operands)
        return self.computed(eqn, aval, [self.boxes(x) for x in operands])

    # ---- what rules consist of

    def addressable(self, value: Any, indices: Sequence[Any]) -> Any:
        """A value as it can be read at indices: in memory, unless they are known or there is little choice."""
        return value if can_be_indexed(value) or all(map(is_number_known, indices)) else self.in_memory(value)

    def view(self, eqn: Eqn, operands: list[Any]) -> Any:
        """What moves elements of arrays, or computes them from nothing but their places."""
        check_operands(self, eqn, operands)
        aval = eqn.outputs[0].aval
        if aval.size > LARGEST_ARRAY:
            operands = [x if can_be_indexed(x) else self.in_memory(x) for x in operands]
        rule = eqn.primitive.lower(ElementBuilder(aval), *map(self.reader, operands), **eqn.params)
        if rule is None:
            raise TooLarge(no_rule(eqn))
        return self.made(aval, rule, operands)

    def vector(self, eqn: Eqn, aval: ShapedArray, operands: list[Any]) -> Any:
        """What a rule makes of larger arrays: computed where it is needed, element by element."""
        largest = max([aval.size, *(a.aval.size for a in eqn.inputs)])
        if largest > (LARGEST_MATRIX if self.has_triangles else LARGEST_VECTOR):
            raise TooLarge(f"`{eqn.primitive.name}` works on {largest} elements, and {LARGEST_VECTOR} is the limit")
        values = [self.in_memory(x) if not isinstance(x, Array) and x.size > 1 else self.kept(x) for x in operands]
        builder, readers = ElementBuilder(aval), [self.reader(x) for x in values]
        reduction = eqn.primitive.lower_reduction(builder, *readers, **eqn.params)
        if reduction is not None:
            return self.reduced_in_loops(aval, reduction)
        rule = eqn.primitive.lower(builder, *readers, **eqn.params)
        if rule is None:
            raise TooLarge(no_rule(eqn))
        found = self.made(aval, lambda index: self.checked(rule(index)), values)
        limit = LARGEST_COST if largest <= LARGEST_VECTOR else WORTH_STORING
        if isinstance(found, Array) and self.cost(found) > limit:
            raise TooLarge(f"`{eqn.primitive.name}` takes long on {aval.size} elements, which kernels do better")
        return found

    def cost(self, value: Array) -> int:
        """What an element costs, in additions."""
        return cost_of_expressions([self.looked_at(value.at, [self.register(INT) for _ in value.aval.shape])])

    def looked_at(self, element: Callable[[Index], Expression], counters: Sequence[Register]) -> Expression:
        """An element at counters, of which nothing is kept."""
        operations = self.operations
        with self.block():
            found = element(tuple(map(at_value, counters)))
        self.operations = operations
        return found

    def reduced_in_loops(self, aval: ShapedArray, reduction: Any) -> Any:
        """A reduction, by loops: a few numbers, or a vector in memory."""
        shape, count = reduction.shape, len(reduction.shape) - reduction.reduced
        if 0 in shape[count:]:
            raise TooLarge("something of no elements is reduced")
        why = self.takes_long(aval, reduction)
        if why and not (self.has_triangles and count == len(shape) - 1 and aval.size > LARGEST_CHOICE):
            raise TooLarge(why)
        first = constant(identity_value(reduction.combine, aval.dtype), aval.dtype)

        def total(index: Index) -> Expression:
            register = self.register(aval.dtype)
            self.assign([register], [first])
            if why:
                self.sums[register] = why

            def add(rest: Index) -> None:
                term = cast(reduction.element((*index, *rest)), aval.dtype)
                self.assign([register], [self.checked(Apply(reduction.combine, (register, term), aval.dtype))])

            self.over(shape[count:], (), add)
            return register

        if aval.size <= (LARGEST_CHOICE if self.is_alone else LARGEST_ARRAY):
            return boxed(aval.shape, total)
        room = self.scratch(aval)
        self.over(aval.shape, (), lambda index: self.store(room, index, total(index)))
        return self.renewed(room)

    def takes_long(self, aval: ShapedArray, reduction: Any) -> str:
        """Why kernels should compute a reduction, if all of it is needed, as a clause; empty if loops may."""
        elements = prod(reduction.shape)
        if elements > LARGEST_VECTOR:
            return f"{elements} elements are reduced, and {LARGEST_VECTOR} is the limit"
        if not self.is_alone or aval.size <= LARGEST_CHOICE:
            return ""
        counters = [self.register(INT) for _ in reduction.shape]
        term = self.looked_at(reduction.element, counters)
        is_in_vectors = reduction.combine == "add" and goes_along_rows([term], counters[-1], self.arrays)
        cost = elements * (1 + cost_of_expressions([term]))
        if cost <= LARGEST_TOTALS * (IN_VECTORS if is_in_vectors else 1):
            return ""
        return f"{aval.size} totals of {elements} elements take long, which kernels do better"

    def store(self, x: Array, index: Index, value: Expression) -> None:
        """Write one element."""
        assert x.home is not None
        self.statements.append(Store(x.home[0].number, (*x.home[1], *index), value))
        x.home[0].change()


def moves_known_elements(eqn: Eqn, operands: list[Any]) -> bool:
    """Whether an equation only moves elements, and from where to where is known."""
    primitive = eqn.primitive
    return primitive.name in MOVES and all(map(is_number_known, operands[primitive.first_index or len(operands) :]))


def can_be_indexed(value: Any) -> bool:
    """Whether a value can be read at computed indices as it is: it is in memory, or there is little choice."""
    return isinstance(value, Array) or value.size <= LARGEST_CHOICE


def are_few(eqn: Eqn, operands: list[Any]) -> bool:
    """Whether an equation is of small arrays only."""
    avals = [eqn.outputs[0].aval, *(x.aval for x in operands if isinstance(x, Array))]
    return all(aval.size <= LARGEST_ARRAY for aval in avals)


#: How equations are taken apart that do not move a few elements to places that are known.
RULES: dict[str, Callable[[Equations, Eqn, list[Any]], Any]] = {
    "gather": Equations.gathered, "dynamic_slice": Equations.sliced,
    **dict.fromkeys(CUMULATIVE, Equations.accumulated),
    **dict.fromkeys(("transpose", "slice", "reverse", "reshape", "broadcast_to", "full", "iota"), Equations.viewed),
}  # fmt: skip
