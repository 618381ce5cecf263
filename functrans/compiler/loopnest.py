"""The loop IR: what a kernel computes, for whoever turns it into machine code.

A kernel is an iteration space, scalar expressions over loads at index expressions, and outputs, each a store at every
point of the space or a reduction over its last axes. Extents and strides are arguments of a kernel: the text of one
says nothing of sizes, so a second shape needs no second kernel.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache, lru_cache, wraps
from math import prod
from operator import is_
from typing import Any, NamedTuple, TypeVar

import numpy as np

T = TypeVar("T")


class Affine(NamedTuple):
    """An index: `offset + sum(factor * axis) + sum(factor * expression)`, over axes of the iteration space.

    Attributes:
        factors: pairs of an axis and its factor, by axis.
        terms: pairs of a factor and an integer expression that is known only when the kernel runs.
    """

    offset: int
    factors: tuple[tuple[int, int], ...]
    terms: tuple[tuple[int, Any], ...] = ()

    def plus(self, offset: int) -> Affine:
        return self._replace(offset=self.offset + offset)

    def times(self, factor: int) -> Affine:
        if factor == 1:
            return self
        return Affine(
            self.offset * factor,
            tuple((axis, f * factor) for axis, f in self.factors),
            tuple((f * factor, expression) for f, expression in self.terms),
        )

    def shifted(self, expression: Any) -> Affine:
        """The index plus an integer that is known only when the kernel runs."""
        return self._replace(terms=(*self.terms, (1, expression)))

    def factor(self, axis: int) -> int:
        """How far the index moves with an axis."""
        return dict(self.factors).get(axis, 0)


@cache
def axis_index(axis: int) -> Affine:
    """The index that is an axis of the space."""
    return Affine(0, ((axis, 1),))


ORIGIN = Affine(0, ())
Index = tuple[Affine, ...]


def has_terms(index: Index) -> bool:
    """Whether an index depends on integers that are known only when the kernel runs."""
    for i in index:  # noqa: SIM110 (called very often)
        if i.terms:
            return True
    return False


@cache
def point(rank: int) -> Index:
    """The index of the point of a space itself."""
    return tuple(map(axis_index, range(rank)))


class Load(NamedTuple):
    """An element of an operand of the kernel."""

    operand: Any
    index: Index
    dtype: np.dtype[Any]


class Constant(NamedTuple):
    """A number that is part of the program."""

    value: Any  # as bytes, so that 0.0 is not -0.0
    dtype: np.dtype[Any]

    @property
    def number(self) -> Any:
        return np.frombuffer(self.value, self.dtype)[0]


class Position(NamedTuple):
    """An index as a value."""

    index: Affine
    dtype: np.dtype[Any]


class Apply(NamedTuple):
    """A scalar operation, named after its primitive; operands have the dtype that it computes in."""

    operation: str
    operands: tuple[Any, ...]
    dtype: np.dtype[Any]

    def __hash__(self) -> int:
        """Of the operation alone: what operands share is one object, but would be counted once for each way to it."""
        return hash((self.operation, len(self.operands), self.dtype.num))


class Register(NamedTuple):
    """A number that a loop keeps from step to step (compiler/recurrence.py)."""

    number: int
    dtype: np.dtype[Any]


Expression = Load | Constant | Position | Apply | Register


def constant(value: Any, dtype: np.dtype[Any]) -> Constant:
    """A number in a dtype."""
    return Constant(np.asarray(value).astype(dtype).tobytes(), dtype)


def cast(expression: Expression, dtype: np.dtype[Any]) -> Expression:
    """The expression in a dtype."""
    if expression.dtype == dtype:
        return expression
    return _cast_number(expression, dtype) if type(expression) is Constant else Apply("convert", (expression,), dtype)


@lru_cache(1024)
def _cast_number(number: Constant, dtype: np.dtype[Any]) -> Constant:
    with np.errstate(all="ignore"):
        return constant(number.number, dtype)


INT, BOOL = np.dtype(np.int64), np.dtype(np.bool_)


def normalized(start: Expression, extent: int, largest: int) -> Expression:
    """An offset that may count from the end, moved into [0, largest]."""
    if isinstance(start, Constant):
        number = int(start.number)
        return constant(min(max(number + extent if number < 0 else number, 0), largest), INT)
    if start.dtype == np.uint64:  # as large as it may be, rather than negative
        start = Apply("minimum", (start, constant(np.iinfo(INT).max, start.dtype)), start.dtype)
    s = from_the_end(start, extent)
    s = Apply("maximum", (s, constant(0, INT)), INT)
    return Apply("minimum", (s, constant(largest, INT)), INT)


def from_the_end(index: Expression, extent: int) -> Expression:
    """An index as a number of elements from the beginning, if it is negative and so counts from the end."""
    i = cast(index, INT)
    is_negative = Apply("less", (i, constant(0, INT)), BOOL)
    return Apply("select", (is_negative, Apply("add", (i, constant(extent, INT)), INT), i), INT)


def clipped(index: Expression, extent: int) -> Expression:
    """The nearest index that is that of an element."""
    return Apply("minimum", (Apply("maximum", (index, constant(0, INT)), INT), constant(extent - 1, INT)), INT)


def fits(index: Expression, extent: int) -> Expression:
    """Whether an index is that of an element."""
    is_positive = Apply("greater_equal", (index, constant(0, INT)), BOOL)
    return Apply("logical_and", (is_positive, Apply("less", (index, constant(extent, INT)), BOOL)), BOOL)


def named_element(index: Expression, extent: int, mode: str) -> tuple[Expression, Expression | None]:
    """The element along an axis that an integer names, and whether there is one, where that is not certain.

    Args:
        mode: what an integer outside the array is: "raise" (there is none: that has been checked), "clip" (the element
            at the end), "wrap" (modulo the extent) or "drop" (no element).
    """
    i = cast(index, INT) if mode in ("clip", "wrap") else from_the_end(index, extent)
    if mode == "wrap":
        return Apply("remainder", (i, constant(extent, INT)), INT), None
    if mode == "raise":
        return i, None
    return clipped(i, extent), fits(i, extent) if mode == "drop" else None


class Output(NamedTuple):
    """One result: an expression stored at every point of the space, or combined over its last axes.

    Attributes:
        combine: None, or "add", "maximum", "minimum" for a reduction.
        place: where in the result each point of the space goes, if the result is an array that was there before and
            is written to in part; None: the result has the shape of the space (without the axes that are reduced).
    """

    expression: Expression
    combine: str | None
    place: Index | None = None


class _Kernel(NamedTuple):
    shape: tuple[int, ...]
    reduced: int
    outputs: tuple[Output, ...]
    operands: tuple[Any, ...]


class Kernel(_Kernel):
    """An iteration space and what is computed over it.

    Attributes:
        shape: extents for the call at hand; machine code does not depend on them.
        reduced: how many of the last axes are reduced.
        operands: what the loads read, in the order of the arguments.

    What is derived from it (`derived`) is remembered with it.
    """

    def over(self, shape: tuple[int, ...]) -> Kernel:
        """The same over a space of other extents, on which nothing depends that is derived from a kernel."""
        kernel = Kernel(shape, *self[1:])
        kernel.__dict__ = self.__dict__
        return kernel

    def expressions(self) -> Sequence[Expression]:
        """All expressions, each once, operands first."""
        return _expressions_of(self)

    def loads(self) -> Sequence[Load]:
        """The different loads, in order of first use."""
        return _loads_of(self)

    def positions(self) -> Sequence[Position]:
        """The different indices that are used as values."""
        return _positions_of(self)


def derived(derive: Callable[[Kernel], T]) -> Callable[[Kernel], T]:
    """Remember what is derived from a kernel with it. It must not depend on the extents of the space."""

    @wraps(derive)
    def lookup(kernel: Kernel) -> T:
        known: dict[Any, Any] = kernel.__dict__
        found = known.get(derive)
        if found is None:
            found = known[derive] = derive(kernel)
        return found

    return lookup


def remember(derive: Callable[[Kernel], T], kernel: Kernel, found: T) -> None:
    """Remember with a kernel what would be derived from it (`derived`)."""
    kernel.__dict__[derive.__wrapped__] = found


@derived
def _expressions_of(kernel: Kernel) -> Sequence[Expression]:
    places = [e for output in kernel.outputs for i in output.place or () for _, e in i.terms]
    return expressions_in([*places, *(output.expression for output in kernel.outputs)])


@derived
def _loads_of(kernel: Kernel) -> Sequence[Load]:
    return list(dict.fromkeys([e for e in kernel.expressions() if type(e) is Load]))


@derived
def _positions_of(kernel: Kernel) -> Sequence[Position]:
    return list(dict.fromkeys([e for e in kernel.expressions() if type(e) is Position]))


def kernel_over(shape: tuple[int, ...], reduced: int, outputs: tuple[Output, ...]) -> Kernel:
    """The kernel that computes outputs without places, whose operands are what these read, in order of first use."""
    everything = expressions_in([output.expression for output in outputs])
    loads = list(dict.fromkeys([e for e in everything if type(e) is Load]))
    kernel = Kernel(shape, reduced, outputs, tuple(dict.fromkeys([load.operand for load in loads])))
    remember(_expressions_of, kernel, everything)
    remember(_loads_of, kernel, loads)
    return kernel


def expressions_in(roots: Iterable[Expression], seen: set[int] | None = None) -> list[Expression]:
    """All expressions that some are made of, each once, operands first.

    Args:
        seen: the ids of those that are left out, to which those that are found are added.
    """
    found: list[Expression] = []
    seen = set() if seen is None else seen
    for root in roots:
        stack: list[Any] = [root]  # None stands above an expression whose parts have been found
        while stack:
            expression = stack.pop()
            if expression is None:
                found.append(stack.pop())
                continue
            key = id(expression)
            if key in seen:
                continue
            seen.add(key)
            inner = expression.operands if type(expression) is Apply else parts(expression)
            if inner:
                stack += (expression, None, *inner[::-1])
            else:
                found.append(expression)
    return found


def parts(expression: Expression) -> Sequence[Expression]:
    """The expressions that one is made of directly."""
    kind = type(expression)
    if kind is Apply:
        return expression.operands
    if kind is Load:
        index: Index = expression.index
        for i in index:
            if i.terms:
                return [e for i in index for _, e in i.terms]
        return ()
    return [e for _, e in expression.index.terms] if kind is Position else ()


def replaced(
    root: Expression, by: Callable[[Load], Expression], inside: Sequence[Expression] | None = None
) -> Expression:
    """An expression with the loads that it is made of replaced; what is shared stays shared.

    Args:
        inside: `expressions_in([root])`, if that is known.
    """
    return all_replaced(expressions_in([root]) if inside is None else inside, by)[id(root)]


def all_replaced(
    inside: Sequence[Expression], by: Callable[[Load], Expression], known: Mapping[int, Expression] | None = None
) -> dict[int, Expression]:
    """The same for expressions in the order of `expressions_in`; what became of each, by id.

    Args:
        known: what became of others that these are made of; they are among those that are returned.
    """
    results: dict[int, Expression] = dict(known or ())
    for expression in inside:
        kind = type(expression)
        if kind is Apply:
            found = rebuilt(expression, results)
        else:
            found = expression if kind is Constant else with_parts(expression, results)
            if kind is Load:
                found = by(found)
        results[id(expression)] = found
    return results


def rebuilt(applied: Apply, results: dict[int, Expression]) -> Expression:
    """An operation on what became of its operands, by their ids."""
    if applied.operation == "convert":
        return cast(results[id(applied.operands[0])], applied.dtype)
    return _with_operands(applied, results)


def with_parts(expression: Expression, results: dict[int, Expression]) -> Expression:
    """A load or position, with the expressions in its index replaced."""
    if not parts(expression):
        return expression
    if isinstance(expression, Load):
        return expression._replace(index=tuple([_with_terms(i, results) for i in expression.index]))
    assert isinstance(expression, Position)
    return expression._replace(index=_with_terms(expression.index, results))


def _with_operands(applied: Apply, results: dict[int, Expression]) -> Apply:
    operation, before, dtype = applied
    operands = tuple([results[id(e)] for e in before])
    return applied if all(map(is_, operands, before)) else tuple.__new__(Apply, (operation, operands, dtype))


def _with_terms(index: Affine, results: dict[int, Expression]) -> Affine:
    if not index.terms:
        return index
    return index._replace(terms=tuple((factor, results[id(e)]) for factor, e in index.terms))


def substituted(root: Expression, index: Index) -> Expression:
    """An expression over another space: each axis replaced by an index there."""
    if index == point(len(index)):
        return root
    return all_substituted(expressions_in([root]), index)[-1]


def all_substituted(inside: Sequence[Expression], index: Index) -> list[Expression]:
    """The same for all expressions that one is made of, given in the order of `expressions_in`.

    Those are all that the new one is made of, unless the index has terms.
    """
    results: dict[int, Expression] = {}
    for expression in inside:
        results[id(expression)] = at_index(expression, index, results)
    return list(results.values())


def index_strides(index: Sequence[Affine], strides: Sequence[int], rank: int) -> list[int]:
    """How far an access moves with each axis of the space."""
    found = [0] * rank
    for i, stride in zip(index, strides):
        for axis, factor in i.factors:
            found[axis] += factor * stride
    return found


def at_index(expression: Expression, index: Index, results: dict[int, Expression]) -> Expression:
    """The same for one expression, whose parts have been dealt with.

    Args:
        results: what became of the parts, by id.
    """
    if isinstance(expression, Apply):
        return _with_operands(expression, results)
    if isinstance(expression, Load):
        operand, places, dtype = expression
        places = tuple([moved(_with_terms(i, results) if i.terms else i, index) for i in places])
        return tuple.__new__(Load, (operand, places, dtype))
    if isinstance(expression, Position):
        return expression._replace(index=moved(_with_terms(expression.index, results), index))
    return expression


def digit(number: Expression, inside: int, extent: int) -> Expression:
    """The index along an axis, of so many points inside it, of the point with a number."""
    rows = Apply("floor_divide", (number, constant(inside, INT)), INT) if inside > 1 else number
    return Apply("remainder", (rows, constant(extent, INT)), INT)


def flattened(index: Index, shape: Sequence[int]) -> Affine:
    """How many elements of an array come before one."""
    factors = [prod(shape[axis + 1 :]) for axis in range(len(shape))]
    return moved(Affine(0, tuple(enumerate(factors))), index)


def moved(index: Affine, moves: Index) -> Affine:
    """An index with each axis replaced by an index."""
    offset, own_factors, own_terms = index
    if not own_factors:
        return index
    if len(own_factors) == 1 and not offset and not own_terms:
        ((axis, factor),) = own_factors
        return moves[axis] if factor == 1 else moves[axis].times(factor)
    factors: dict[int, int] = {}
    terms = list(own_terms)
    for axis, factor in own_factors:
        to = moves[axis].times(factor)
        offset += to.offset
        terms += to.terms
        for other, f in to.factors:
            factors[other] = factors.get(other, 0) + f
    return Affine(offset, tuple(sorted((a, f) for a, f in factors.items() if f)), tuple(terms))
