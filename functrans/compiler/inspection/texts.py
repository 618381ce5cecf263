"""Kernels and recurrences as Python-like text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from typing import Any

from ...core.avals import short_dtype
from ...primitives.scalar_functions import shown_operation
from ..instructions import SCANNED
from ..loopnest import (
    Affine,
    Apply,
    Constant,
    Expression,
    Index,
    Kernel,
    Load,
    Position,
    Register,
    expressions_in,
    parts,
)
from ..recurrence import Assign, Check, Choose, Recurrence, Repeat, Statement, Store, roots

INDENT = "    "
#: Operations that are written between their operands, and how strongly they bind.
INFIX = {
    "less": ("<", 1), "less_equal": ("<=", 1), "greater": (">", 1), "greater_equal": (">=", 1), "equal": ("==", 1),
    "not_equal": ("!=", 1), "add": ("+", 2), "add_any": ("+", 2), "subtract": ("-", 2), "multiply": ("*", 3),
    "scale": ("*", 3), "divide": ("/", 3), "floor_divide": ("//", 3), "remainder": ("%", 3),
}  # fmt: skip
#: How strongly names and calls bind.
ATOM = 9
#: Combinations that Python has an assignment for.
ASSIGNMENTS = {"add": "+=", "multiply": "*=", "logical_or": "|=", "logical_and": "&="}
#: An expression of more characters than this gets a name, even if it is used once.
WIDEST = 60


class Statements:
    """Expressions as assignments that a person can read: what is used once stands where it is used.

    Args:
        axes: names of the axes of the space.
        names: of the arrays, by operand.
        used: how many values have names already.
        registers: names of registers.
        changing: names of arrays that are read before all of them is written to.
    """

    def __init__(
        self,
        roots: Sequence[Expression],
        axes: Sequence[str],
        names: Callable[[Any], str],
        used: int = 0,
        registers: Callable[[Register], str] = str,
        changing: Collection[str] = (),
    ) -> None:
        self.axes = axes
        self.changing = changing
        self.registers = registers
        self.names = names
        self.used = used
        self.lines: list[str] = []
        self.found: dict[Any, tuple[str, int]] = {}
        everything = list(expressions_in(roots))
        counts = Counter(map(_key, roots))
        used_by = dict.fromkeys((_key(e), number, _key(p)) for e in everything for number, p in enumerate(parts(e)))
        counts.update(part for _, _, part in used_by)
        for expression in everything:
            if _key(expression) not in self.found:
                self.add(expression, counts[_key(expression)])

    def add(self, expression: Expression, uses: int) -> None:
        """Write an expression whose parts have been written."""
        text, level = self.written(expression)
        is_name = isinstance(expression, (Constant, Register))
        is_early = isinstance(expression, Load) and self.names(expression.operand) in self.changing
        if not is_name and (uses > 1 or len(text) > WIDEST or is_early):
            name = f"v{self.used}"
            self.used += 1
            self.lines.append(f"{name} = {text}")
            text, level = name, ATOM
        self.found[_key(expression)] = text, level

    def text(self, expression: Expression) -> str:
        """What stands for an expression."""
        return self.found[_key(expression)][0]

    def index(self, index: Index) -> str:
        """Indices of all axes of an array, in brackets."""
        return f"[{', '.join(map(self.affine, index))}]" if index else "[()]"

    def affine(self, index: Affine) -> str:
        """`2*i0 + 1`, as one would write it."""
        factors = [(self.axes[axis], factor) for axis, factor in index.factors]
        factors += [(self.operand(e, 3), factor) for factor, e in index.terms]
        terms = [name if factor == 1 else f"{factor}*{name}" for name, factor in factors if factor]
        if index.offset or not terms:
            terms.append(str(index.offset))
        return " + ".join(terms).replace("+ -", "- ")

    def operand(self, expression: Expression, level: int) -> str:
        """An expression in a place that binds so strongly."""
        text, own = self.found[_key(expression)]
        return text if own >= level else f"({text})"

    def written(self, expression: Expression) -> tuple[str, int]:
        """An expression in terms of its parts, and how strongly it binds."""
        if isinstance(expression, Constant):
            text = str(expression.number)
            return text, 2 if text.startswith("-") else ATOM
        if isinstance(expression, Register):
            return self.registers(expression), ATOM
        if isinstance(expression, Position):
            return self.affine(expression.index), 2
        if isinstance(expression, Load):
            return self.names(expression.operand) + self.index(expression.index), ATOM
        return self.applied(expression)

    def applied(self, expression: Apply) -> tuple[str, int]:
        operation, operands = expression.operation, expression.operands
        if operation in INFIX and len(operands) == 2:
            sign, level = INFIX[operation]
            return f"{self.operand(operands[0], level)} {sign} {self.operand(operands[1], level + 1)}", level
        if operation == "select":
            condition, yes, no = (self.operand(e, 1) for e in operands)
            return f"{yes} if {condition} else {no}", 0
        if operation == "negative":
            return f"-{self.operand(operands[0], 4)}", 2
        name = short_dtype(expression.dtype) if operation == "convert" else shown_operation(operation)
        return f"{name}({', '.join(map(self.text, operands))})", ATOM


def _key(expression: Expression) -> Any:
    """Expressions are the same if they are one object; loads and positions, if they are equal."""
    return expression if isinstance(expression, (Load, Position)) else id(expression)


def kernel_text(kernel: Kernel, sources: Sequence[str] = (), targets: Sequence[str] = ()) -> str:
    """A kernel as nested loops.

    Args:
        sources, targets: names of the arrays; x0, x1 and so on, and y0, y1 and so on, if left out.
    """
    sources = sources or [f"x{i}" for i in range(len(kernel.operands))]
    targets = targets or [f"y{i}" for i in range(len(kernel.outputs))]
    axes = [f"i{axis}" for axis in range(len(kernel.shape))]
    parallel = len(axes) - kernel.reduced
    roots = [e for o in kernel.outputs for e in (*(t for i in o.place or () for _, t in i.terms), o.expression)]
    changing = targets[:-1]  # what the last output overwrites nobody reads any more
    statements = Statements(roots, axes, dict(zip(kernel.operands, sources)).__getitem__, changing=changing)
    inner = statements.lines
    for target, (expression, combine, index) in zip(targets, kernel.outputs):
        own = axes[:parallel] if combine else axes
        where = statements.index(index) if index is not None else f"[{', '.join(own) or '()'}]"
        inner.append(combination(target + where, combine, statements.text(expression)))
    return _nested(axes, kernel.shape, inner)


def scan_text(kernel: Kernel, operation: str, sources: Sequence[str] = (), targets: Sequence[str] = ()) -> str:
    """A scan with what is done before and after it, as nested loops; the names are those of `kernel_text`."""
    sources = sources or [f"x{i}" for i in range(len(kernel.operands))]
    targets = targets or [f"y{i}" for i in range(len(kernel.outputs) - 1)]
    axes = [f"i{axis}" for axis in range(len(kernel.shape))]
    name, where = {**dict(zip(kernel.operands, sources)), SCANNED: SCANNED}.__getitem__, f"[{', '.join(axes)}]"
    first, *others = (output.expression for output in kernel.outputs)
    before = Statements([first], axes, name)
    after = Statements(others, axes, name, before.used)
    scan = f"{SCANNED}{where} = {operation}.accumulate({before.text(first)})  # along {axes[-1]}"
    stores = [f"{target}{where} = {after.text(e)}" for target, e in zip(targets, others)]
    return _nested(axes, kernel.shape, [*before.lines, scan, *after.lines, *stores])


def _nested(axes: Sequence[str], shape: Sequence[int], inner: Sequence[str]) -> str:
    """Lines in loops."""
    loops = [f"{INDENT * depth}for {axis} in range({n}):" for depth, (axis, n) in enumerate(zip(axes, shape))]
    return "\n".join([*loops, *(INDENT * len(axes) + line for line in inner)])


def combination(place: str, combine: str | None, value: str) -> str:
    """What is stored at a place, or combined with what is there."""
    if combine is None:
        return f"{place} = {value}"
    if combine in ASSIGNMENTS:
        return f"{place} {ASSIGNMENTS[combine]} {value}"
    return f"{place} = {combine}({place}, {value})"


def recurrence_text(recurrence: Recurrence, arrays: Sequence[str]) -> str:
    """A loop over single numbers: `q0`, `q1` and so on are registers, `t` is the number of the step.

    Args:
        arrays: their names, by number.
    """
    text, lanes = _RecurrenceText(arrays), recurrence.lanes
    if lanes is not None:
        text.add(0, f"for {text.lane(lanes.number)} in range({lanes.count}):  # lanes side by side")
    text.block(recurrence.statements, int(lanes is not None))
    return "\n".join(text.lines)


class _RecurrenceText:
    """Writes statements."""

    def __init__(self, arrays: Sequence[str]):
        self.arrays = arrays
        self.lines: list[str] = []
        self.counters = 0
        self.names: dict[int, str] = {}
        self.used = 0

    def block(self, statements: Sequence[Statement], depth: int) -> None:
        for statement in statements:
            getattr(self, type(statement).__name__)(statement, depth)

    def add(self, depth: int, line: str) -> None:
        self.lines.append(INDENT * depth + line)

    def written(self, roots: Sequence[Expression], depth: int) -> Statements:
        """Expressions in terms of names, after the assignments of these."""
        found = Statements(roots, [], self.arrays.__getitem__, self.used, self.register)
        self.used = found.used
        for line in found.lines:
            self.add(depth, line)
        return found

    def lane(self, register: Register) -> str:
        """The name of the register that has the number of the lane."""
        self.names[register.number] = "lane"
        return "lane"

    def register(self, register: Register) -> str:
        return self.names.get(register.number, f"q{register.number}")

    # ---- statements, by the names of their types

    def Assign(self, s: Assign, depth: int) -> None:
        values = self.written(s.values, depth)
        left, right = ", ".join(map(self.register, s.registers)), ", ".join(map(values.text, s.values))
        self.add(depth, f"{left} = {right}")

    def Store(self, s: Store, depth: int) -> None:
        values = self.written(roots(s), depth)
        self.add(depth, f"{self.arrays[s.array]}{values.index(s.index)} = {values.text(s.value)}")

    def Check(self, s: Check, depth: int) -> None:
        values = self.written(s.indices, depth)
        for k in range(len(s.indices)) if s.unclear is None else s.unclear:
            self.add(depth, f"assert -{s.extents[k]} <= {values.text(s.indices[k])} < {s.extents[k]}")

    def Extend(self, s: Extend, depth: int) -> None:
        count = self.written([s.count], depth).text(s.count)
        self.add(depth, f"extend(tape{s.tape}, {count})  # room for so many entries")

    def Repeat(self, s: Repeat, depth: int) -> None:
        self.names[s.counter.number] = f"t{self.counters or ''}"
        self.counters += 1
        if s.length is None:
            self.add(depth, "while True:")
            self.block(s.test, depth + 1)
            assert s.going is not None
            self.add(depth + 1, f"if not ({self.written([s.going], depth + 1).text(s.going)}): break")
        else:
            length = self.written([s.length], depth).text(s.length)
            self.add(depth, f"for {self.register(s.counter)} in range({length}):")
        self.block(s.body, depth + 1)

    def Choose(self, s: Choose, depth: int) -> None:
        self.add(depth, f"match {self.written([s.number], depth).text(s.number)}:")
        for k, branch in enumerate(s.branches):
            self.add(depth + 1, f"case {k}:")
            self.block(branch, depth + 2)
            if not branch:
                self.add(depth + 2, "pass")
