"""The loop IR: what a kernel computes, for whoever turns it into machine code.

A kernel is an iteration space, scalar expressions over loads at affine index expressions, and outputs, each a store at
every point of the space or a reduction over its last axes. Extents and strides are arguments of a kernel: the text of
one says nothing of sizes, so a second shape needs no second kernel.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..core.avals import short_dtype


class Affine(NamedTuple):
    """An index: `offset + sum(factor * axis)` over axes of the iteration space."""

    offset: int
    factors: tuple[tuple[int, int], ...]  # (axis, factor), by axis

    def plus(self, offset: int) -> Affine:
        return Affine(self.offset + offset, self.factors)

    def times(self, factor: int) -> Affine:
        return Affine(self.offset * factor, tuple((axis, f * factor) for axis, f in self.factors))

    def factor(self, axis: int) -> int:
        """How far the index moves with an axis."""
        return dict(self.factors).get(axis, 0)


def axis_index(axis: int) -> Affine:
    """The index that is an axis of the space."""
    return Affine(0, ((axis, 1),))


ORIGIN = Affine(0, ())
Index = tuple[Affine, ...]


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


Expression = Load | Constant | Position | Apply


def constant(value: Any, dtype: np.dtype[Any]) -> Constant:
    """A number in a dtype."""
    return Constant(np.asarray(value).astype(dtype).tobytes(), dtype)


def cast(expression: Expression, dtype: np.dtype[Any]) -> Expression:
    """The expression in a dtype."""
    if expression.dtype == dtype:
        return expression
    if isinstance(expression, Constant):
        with np.errstate(all="ignore"):
            return constant(expression.number, dtype)
    return Apply("convert", (expression,), dtype)


class Output(NamedTuple):
    """One result: an expression stored at every point of the space, or combined over its last axes.

    Attributes:
        combine: None, or "add", "maximum", "minimum" for a reduction.
    """

    expression: Expression
    combine: str | None


class Kernel(NamedTuple):
    """An iteration space and what is computed over it.

    Attributes:
        shape: extents for the call at hand; machine code does not depend on them.
        reduced: how many of the last axes are reduced.
        operands: what the loads read, in the order of the arguments.
    """

    shape: tuple[int, ...]
    reduced: int
    outputs: tuple[Output, ...]
    operands: tuple[Any, ...]

    def expressions(self) -> Iterator[Expression]:
        """All expressions, each once, operands first."""
        return expressions_in(output.expression for output in self.outputs)

    def loads(self) -> list[Load]:
        """The different loads, in order of first use."""
        return list(dict.fromkeys(e for e in self.expressions() if isinstance(e, Load)))

    def __str__(self) -> str:
        """The loop nest as Python-like text."""
        return kernel_text(self)


def kernel_text(kernel: Kernel) -> str:
    """A kernel as nested loops that a person can read."""
    names: dict[int, str] = {}
    axes = [f"i{axis}" for axis in range(len(kernel.shape))]
    operands = {operand: f"x{i}" for i, operand in enumerate(kernel.operands)}
    parallel = len(axes) - kernel.reduced
    lines = [f"{'    ' * d}for {a} in range({n}):" for d, (a, n) in enumerate(zip(axes, kernel.shape))]
    indent = "    " * len(axes)

    def shown(expression: Expression) -> str:
        if isinstance(expression, Constant):
            return str(expression.number)
        return names[id(expression)]

    for expression in kernel.expressions():
        if isinstance(expression, Constant):
            continue
        names[id(expression)] = f"v{len(names)}"
        if isinstance(expression, Load):
            where = ", ".join(index_text(i, axes) for i in expression.index)
            text = f"{operands[expression.operand]}[{where}]"
        elif isinstance(expression, Position):
            text = index_text(expression.index, axes)
        else:
            text = f"{expression.operation}({', '.join(map(shown, expression.operands))})"
        lines.append(f"{indent}{names[id(expression)]}:{short_dtype(expression.dtype)} = {text}")
    for i, (expression, combine) in enumerate(kernel.outputs):
        place = f"y{i}[{', '.join(axes[:parallel] if combine else axes)}]"
        value = shown(expression)
        lines.append(f"{indent}{place} = {value if combine is None else f'{combine}({place}, {value})'}")
    return "\n".join(lines)


def index_text(index: Affine, axes: Sequence[str]) -> str:
    """`2*i0 + 1`, as one would write it."""
    terms = [axes[axis] if factor == 1 else f"{factor}*{axes[axis]}" for axis, factor in index.factors if factor]
    if index.offset or not terms:
        terms.append(str(index.offset))
    return " + ".join(terms).replace("+ -", "- ")


def expressions_in(roots: Iterable[Expression]) -> Iterator[Expression]:
    """All expressions that some are made of, each once, operands first."""
    seen: set[int] = set()
    for root in roots:
        stack: list[tuple[Expression, bool]] = [(root, False)]
        while stack:
            expression, is_done = stack.pop()
            if is_done:
                yield expression
            elif id(expression) not in seen:
                seen.add(id(expression))
                stack.append((expression, True))
                if isinstance(expression, Apply):
                    stack += [(e, False) for e in reversed(expression.operands)]


def replaced(root: Expression, leaves: dict[int, Expression]) -> Expression:
    """An expression with some of those it is made of replaced, given by their ids; what is shared stays shared."""
    results = dict(leaves)
    for expression in expressions_in([root]):
        if id(expression) in results:
            continue
        if isinstance(expression, Apply):
            operands = tuple(results[id(e)] for e in expression.operands)
            if expression.operation == "convert":
                results[id(expression)] = cast(operands[0], expression.dtype)
            elif all(x is y for x, y in zip(operands, expression.operands)):
                results[id(expression)] = expression
            else:
                results[id(expression)] = expression._replace(operands=operands)
        else:
            results[id(expression)] = expression
    return results[id(root)]


def substituted(root: Expression, index: Index) -> Expression:
    """An expression over another space: each axis replaced by an index there."""
    leaves: dict[int, Expression] = {}
    for expression in expressions_in([root]):
        if isinstance(expression, Load):
            leaves[id(expression)] = expression._replace(index=tuple(moved(i, index) for i in expression.index))
        elif isinstance(expression, Position):
            leaves[id(expression)] = expression._replace(index=moved(expression.index, index))
    return replaced(root, leaves)


def moved(index: Affine, moves: Index) -> Affine:
    """An index with each axis replaced by an index."""
    offset = index.offset
    factors: dict[int, int] = {}
    for axis, factor in index.factors:
        to = moves[axis]
        offset += factor * to.offset
        for other, f in to.factors:
            factors[other] = factors.get(other, 0) + factor * f
    return Affine(offset, tuple(sorted((a, f) for a, f in factors.items() if f)))
