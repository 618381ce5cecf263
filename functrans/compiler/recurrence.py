"""Loops whose whole state is a few numbers: their bodies as scalar expressions, so that the state stays in registers.

A body that computes with small arrays of fixed shape (a state of three numbers, a block of four by four) is taken apart
to elements: an array is an array of expressions here, rules of primitives (`Primitive.lower`) are asked for every
element, and what only moves elements (stacks, slices, updates) moves expressions and costs nothing when it runs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product
from typing import Any, NamedTuple

import numpy as np

from ..core.avals import ShapedArray
from ..core.jaxpr import Atom, Eqn, Jaxpr, Literal
from .fuse import Builder
from .instructions import Place
from .loopnest import (
    INT,
    Affine,
    Apply,
    Constant,
    Expression,
    Index,
    Load,
    Register,
    cast,
    constant,
    expressions_in,
)

#: An array of more elements than this is not taken apart.
LARGEST_ARRAY = 64
#: A body of more operations is not taken apart: time to compile grows with it.
LARGEST_BODY = 2500
#: An axis along which a computed index picks among registers has at most this extent.
LARGEST_CHOICE = 8
#: What only moves elements: its implementation moves expressions as well.
MOVING = frozenset(("transpose", "slice", "reverse", "reshape", "concatenate", "pad", "update_slice"))
#: The same where the operands from this one on are numbers that are known.
MOVING_BY_INDEX = {
    "gather": 1, "scatter_set": 2, "scatter_add": 2, "scatter_multiply": 2, "dynamic_slice": 1,
    "dynamic_update_slice": 2,
}  # fmt: skip


class Store(NamedTuple):
    """A number written to memory: the number of the target, the index in it, and what is written."""

    target: int
    index: Index
    expression: Expression


class Recurrence(NamedTuple):
    """A loop over registers.

    Loads and stores during a step have the number of the step as axis 0 of their indices.

    Attributes:
        length: the number of steps; None if `going` tells.
        is_reverse: whether the last element of what is read and written step by step comes first.
        first: what the registers begin with.
        following: what they are after a step.
        going: a boolean of the registers before a step, without which the loop ends; None: it always goes on.
        stores: what each step writes.
        finals: what is written at the end, of the registers then.
    """

    length: int | None
    is_reverse: bool
    first: tuple[Expression, ...]
    following: tuple[Expression, ...]
    going: Expression | None
    stores: tuple[Store, ...]
    finals: tuple[Store, ...]

    def roots(self) -> list[Expression]:
        """Everything that a step computes."""
        going = [] if self.going is None else [self.going]
        return [*going, *self.following, *(store.expression for store in self.stores)]


class TooLarge(Exception):
    """A body is not one for registers; the message is a clause that says why."""


class Box:
    """An expression as an element of an array: a tuple itself would be taken for a row."""

    __slots__ = ("expression",)

    def __init__(self, expression: Expression):
        self.expression = expression

    def __add__(self, other: Box) -> Box:
        return self._with("add", other)

    def __mul__(self, other: Box) -> Box:
        return self._with("multiply", other)

    def _with(self, operation: str, other: Box) -> Box:
        dtype = self.expression.dtype
        return Box(Apply(operation, (self.expression, cast(other.expression, dtype)), dtype))


Boxes = np.ndarray[Any, np.dtype[np.object_]]


class Elements:
    """An operand in a rule, with an expression for each element."""

    def __init__(self, boxes: Boxes, aval: ShapedArray):
        self.boxes = boxes
        self.aval = aval

    def at(self, index: Index) -> Expression:
        return self._chosen([], index)

    def broadcast(self, index: Index) -> Expression:
        own = index[len(index) - self.boxes.ndim :]
        return self.at(tuple(Affine(0, ()) if n == 1 else i for i, n in zip(own, self.boxes.shape)))

    def _chosen(self, known: list[int], rest: Index) -> Expression:
        """The element at an index; where the index is computed, a choice among all."""
        if not rest:
            return self.boxes[tuple(known)].expression
        index, others = rest[0], rest[1:]
        if not index.terms:
            return self._chosen([*known, index.offset], others)
        extent = self.boxes.shape[len(known)]
        if extent > LARGEST_CHOICE:
            raise TooLarge(f"a computed index picks among {extent} elements, and {LARGEST_CHOICE} is the limit")
        position = computed(index)
        found = self._chosen([*known, extent - 1], others)
        for i in reversed(range(extent - 1)):
            is_here = Apply("equal", (position, constant(i, INT)), np.dtype(np.bool_))
            found = Apply("select", (is_here, self._chosen([*known, i], others), found), self.aval.dtype)
        return found


def computed(index: Affine) -> Expression:
    """An index without axes as an expression."""
    total: Expression = constant(index.offset, INT)
    for factor, expression in index.terms:
        term = cast(expression, INT)
        scaled = term if factor == 1 else Apply("multiply", (term, constant(factor, INT)), INT)
        total = scaled if _is_zero(total) else Apply("add", (total, scaled), INT)
    return total


def _is_zero(expression: Expression) -> bool:
    return isinstance(expression, Constant) and expression.number == 0


class ElementBuilder(Builder):
    """What rules make expressions of, where every index is a number."""

    def position(self, index: Affine, dtype: np.dtype[Any] | None = None) -> Expression:
        return cast(computed(index), dtype or self.aval.dtype)


class _Body:
    """Takes programs apart."""

    def __init__(self, prepare: Callable[[Jaxpr], Jaxpr], supports: Callable[[Expression], bool]):
        self.prepare = prepare
        self.supports = supports
        self.operations = 0

    def run(self, jaxpr: Jaxpr, inputs: Sequence[Boxes]) -> list[Boxes]:
        """The elements of the results."""
        jaxpr = self.prepare(jaxpr)
        env: dict[Any, Boxes] = dict(zip(jaxpr.inputs, inputs, strict=True))

        def read(atom: Atom) -> Boxes:
            return constants(atom) if isinstance(atom, Literal) else env[atom]

        for eqn in jaxpr.eqns:
            for v in eqn.outputs:
                if not isinstance(v.aval, ShapedArray):
                    raise TooLarge(f"`{eqn.primitive.name}` makes something that is no array")
                if v.aval.size > LARGEST_ARRAY:
                    raise TooLarge(_too_many(f"`{eqn.primitive.name}` makes {v.aval.size} elements"))
            env.update(zip(eqn.outputs, self.equation(eqn, [read(a) for a in eqn.inputs])))
        return [read(atom) for atom in jaxpr.outputs]

    def equation(self, eqn: Eqn, operands: list[Boxes]) -> list[Boxes]:
        operands = self.with_known_indices(eqn, operands)
        if operands and (eqn.primitive.name in MOVING or not isinstance(operands[-1], np.ndarray)):
            dtype = eqn.outputs[0].aval.dtype
            return [in_dtype(eqn.primitive.impl(*operands, **eqn.params)[0], dtype)]
        if len(eqn.outputs) != 1:
            raise TooLarge(_no_rule(eqn))
        aval = eqn.outputs[0].aval
        builder = ElementBuilder(aval)
        readers = [Elements(x, a.aval) for x, a in zip(operands, eqn.inputs)]
        reduction = eqn.primitive.lower_reduction(builder, *readers, **eqn.params)
        if reduction is not None:
            return [self.reduced(aval, reduction)]
        rule = eqn.primitive.lower(builder, *readers, **eqn.params)
        if rule is None:
            raise TooLarge(_no_rule(eqn))
        return [boxed(aval.shape, lambda index: self.checked(rule(index)))]

    def with_known_indices(self, eqn: Eqn, operands: list[Any]) -> list[Any]:
        """The operands, those that are indices as integers if all of them are known."""
        first = MOVING_BY_INDEX.get(eqn.primitive.name)
        indices = [] if first is None else operands[first:]
        if not indices or not all(x.shape == () and isinstance(x[()].expression, Constant) for x in indices):
            return operands
        return [*operands[:first], *(int(x[()].expression.number) for x in indices)]

    def reduced(self, aval: ShapedArray, reduction: Any) -> Boxes:
        extents = reduction.shape[len(reduction.shape) - reduction.reduced :]
        if 0 in extents:
            raise TooLarge("something of no elements is reduced")
        operation = {"logical_or": "logical_or", "logical_and": "logical_and"}.get(reduction.combine, reduction.combine)

        def total(index: Index) -> Expression:
            terms = [reduction.element((*index, *map(fixed, rest))) for rest in product(*map(range, extents))]
            while len(terms) > 1:
                pairs = list(zip(terms[::2], terms[1::2]))
                joined = [self.checked(Apply(operation, pair, aval.dtype)) for pair in pairs]
                terms = [*joined, *terms[2 * len(pairs) :]]
            return self.checked(terms[0])

        return boxed(aval.shape, total)

    def checked(self, expression: Expression) -> Expression:
        """An expression that the backend can compute, counted."""
        if isinstance(expression, Apply):
            self.operations += 1
            if self.operations > LARGEST_BODY:
                raise TooLarge(f"a step has more than {LARGEST_BODY} operations on single numbers")
        if not all(map(self.supports, _near(expression))):
            raise TooLarge(f"there is no native {getattr(expression, 'operation', 'load')} on {expression.dtype}")
        return expression


def _near(expression: Expression) -> list[Expression]:
    """An expression and its operands: what a rule has just made, and a little more."""
    return [expression, *(expression.operands if isinstance(expression, Apply) else ())]


def fixed(number: int) -> Affine:
    """A number as an index."""
    return Affine(number, ())


def boxed(shape: tuple[int, ...], element: Callable[[Index], Expression]) -> Boxes:
    """An array of expressions."""
    found = np.empty(shape, object)
    for index in product(*map(range, shape)):
        found[index] = Box(element(tuple(map(fixed, index))))
    return found


def constants(literal: Literal) -> Boxes:
    """The elements of a constant."""
    values = np.asarray(literal.value, literal.aval.dtype)
    if values.size > LARGEST_ARRAY:
        raise TooLarge(_too_many(f"a constant has {values.size} elements"))
    return boxed(values.shape, lambda index: constant(values[tuple(i.offset for i in index)], values.dtype))


def in_dtype(boxes: Boxes, dtype: np.dtype[Any]) -> Boxes:
    """Expressions cast to a dtype."""
    boxes = np.asarray(boxes, object)
    return boxed(boxes.shape, lambda index: cast(boxes[tuple(i.offset for i in index)].expression, dtype))


def loaded(operand: int, place: Place, by_step: bool) -> Boxes:
    """The elements of an array in memory, or of that of the step if there is one for each."""
    shape = place.shape[1:] if by_step else place.shape
    size = int(np.prod(shape))
    if size > LARGEST_ARRAY:
        raise TooLarge(_too_many(f"{'an element of a sequence' if by_step else 'an array'} has {size} elements"))
    step = (Affine(0, ((0, 1),)),) if by_step else ()
    return boxed(shape, lambda index: Load(operand, (*step, *index), place.dtype))


def take_apart(
    body: Jaxpr,
    cond: Jaxpr | None,
    prepare: Callable[[Jaxpr], Jaxpr],
    supports: Callable[[Expression], bool],
    places: tuple[Sequence[Place], Sequence[Place], Sequence[Place]],
    length: int | None,
    is_reverse: bool,
) -> Recurrence:
    """A loop over registers.

    Args:
        places: of the constants, of the carry at the beginning, and of what has one element for each step; these are
            the operands, in this order. The targets are the carry at the end, and what is computed in each step.

    Raises:
        TooLarge: the state is too large, or has parts that no kernel computes.
    """
    consts, carry, xs = places
    size = sum(int(np.prod(p.shape)) for p in carry)
    if size > LARGEST_ARRAY:
        raise TooLarge(_too_many(f"its state has {size} elements"))
    apart = _Body(prepare, supports)
    fixed_operands = [loaded(i, p, False) for i, p in enumerate(consts)]
    first = [loaded(len(consts) + i, p, False) for i, p in enumerate(carry)]
    by_step = [loaded(len(consts) + len(carry) + i, p, True) for i, p in enumerate(xs)]
    registers, count = [], 0
    for place in carry:
        numbers = iter(range(count, count + LARGEST_ARRAY))
        registers.append(boxed(place.shape, lambda _, n=numbers, p=place: Register(next(n), p.dtype)))
        count += registers[-1].size
    going = None if cond is None else apart.run(cond, [*fixed_operands, *registers])[0][()].expression
    outs = apart.run(body, [*fixed_operands, *registers, *by_step])
    if not all(apart.supports(e) for e in expressions_in([b.expression for x in outs for b in x.flat])):
        raise TooLarge("it uses a dtype that native code does not know")
    following = [in_dtype(x, p.dtype) for x, p in zip(outs, carry)]
    step = Affine(0, ((0, 1),))
    return Recurrence(
        length,
        is_reverse,
        tuple(b.expression for x in first for b in x.flat),
        tuple(b.expression for x in following for b in x.flat),
        going,
        tuple(_stores(outs[len(carry) :], len(carry), (step,))),
        tuple(_stores(registers, 0, ())),
    )


def _too_many(what: str) -> str:
    return f"{what}, and {LARGEST_ARRAY} is the limit"


def _no_rule(eqn: Eqn) -> str:
    return f"`{eqn.primitive.name}` is not computed element by element"


def _stores(arrays: Sequence[Boxes], first_target: int, leading: Index) -> list[Store]:
    return [
        Store(target, (*leading, *map(fixed, index)), x[index].expression)
        for target, x in enumerate(arrays, first_target)
        for index in product(*map(range, x.shape))
    ]
