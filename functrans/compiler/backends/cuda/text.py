"""Statements of C++, and the values of a kernel's expressions at one point."""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from ...accesses import is_argument, numbers_of, prepared
from ...loopnest import Apply, Constant, Expression, Kernel, Load, Position
from ...operations import write_operation
from ...operations.values import DOUBLE, SINGLE
from .layouts import Access, told
from .operations import CudaCode, literal, type_name

#: Functions that CUDA has in one, and which part each is.
TURNS: Final = {"sin": "sine", "cos": "cosine"}
#: Lines of parameters are at most so long.
WIDTH = 100


def signature(head: str, parameters: Sequence[str]) -> str:
    """A function's head with its parameters, in lines that a person can read."""
    lines, line = [], head + "("
    for k, parameter in enumerate(parameters):
        part = parameter + ("," if k < len(parameters) - 1 else ")")
        if len(line) + len(part) > WIDTH:
            lines.append(line.rstrip())
            line = "    "
        line += part + " "
    return "\n".join([*lines, line.rstrip() if parameters else f"{head}()"])


def turned_twice(kernel: Kernel) -> set[Any]:
    """What a kernel takes both the sine and the cosine of, as derivatives do: angles are reduced once."""
    functions: dict[str, set[Any]] = {name: set() for name in TURNS}
    for e in kernel.expressions():
        if isinstance(e, Apply) and e.operation in TURNS and e.dtype in (SINGLE, DOUBLE):
            functions[e.operation].add(_key(e.operands[0]))
    return set.intersection(*functions.values())


def _key(e: Expression) -> Any:
    """The same for what is loaded from the same place, and for one expression."""
    return e if isinstance(e, Load) else id(e)


class Text:
    """Collects lines, and counts variables."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.depth = 0
        self.count = 0

    def line(self, line: str) -> None:
        self.lines.append("  " * self.depth + line)

    def let(self, type_: str, expression: str) -> str:
        """A new variable that is never changed."""
        name = f"v{self.count}"
        self.count += 1
        self.line(f"const {type_} {name} = {expression};")
        return name

    @contextmanager
    def block(self, head: str, end: str = "}") -> Iterator[None]:
        """`head { ... }` around the lines that are written meanwhile."""
        self.line(f"{head} {{")
        self.depth += 1
        yield
        self.depth -= 1
        self.line(end)

    def __str__(self) -> str:
        return "\n".join(self.lines)


class Values:
    """Writes the values of a kernel's expressions at a point.

    Args:
        moves: how accesses move along the innermost loop.
        inner: the number of the innermost loop, -1 if there is none.
    """

    def __init__(self, text: Text, kernel: Kernel, accesses: Sequence[Access], moves: Sequence[str], inner: int):
        self.text = text
        self.kernel = kernel
        self.accesses = accesses
        self.moves = moves
        self.inner = inner
        self.code = CudaCode(text.let)
        self.numbers = {number: f"k{k}" for k, number in enumerate(numbers_of(kernel))}
        self.by_source = {a.operand.source: k for k, a in enumerate(accesses[: len(accesses) - len(kernel.outputs)])}
        self.turned = turned_twice(kernel)

    def outer(
        self, loops: Sequence[str], pointers: Sequence[str], types: Sequence[str], skipped: Container[int] = ()
    ) -> list[str]:
        """Names of the pointers (and positions) moved along all loops but the innermost one."""
        names: list[str] = []
        for k, (access, pointer, type_) in enumerate(zip(self.accesses, pointers, types)):
            ways = [f"{loops[d]} * s{k}_{d}" for d in told(access, "none", self.inner)]
            if not ways or k in skipped:
                names.append(pointer)
            elif access.slot is None:
                names.append(self.text.let("int64", " + ".join([pointer, *ways])))
            else:
                names.append(f"q{k}")
                self.text.line(f"{type_} *const q{k} = after({pointer}, {' + '.join(ways)});")
        return names

    def place(self, k: int, name: str, i: str, known: dict[int, str]) -> str:
        """The element of an access at the point, or a position as a value."""
        access, move = self.accesses[k], self.moves[k]
        ways = [f"{known[id(term)]} * t{k}_{j}" for j, term in enumerate(access.operand.terms)]
        if move == "any":
            ways.insert(0, f"{i} * s{k}_{self.inner}")
        if access.slot is None:
            return " + ".join([name, *([i] if move == "one" else []), *ways])
        if ways:
            name = f"after({name}, {' + '.join(ways)})"
        return f"{name}[{i}]" if move == "one" else f"*{name}"

    def at(
        self, i: str, names: Sequence[str], loaded: dict[int, str], expressions: Sequence[Expression] | None = None
    ) -> dict[int, str]:
        """What stands for each expression, by its id.

        Args:
            i: the variable of the innermost loop.
            loaded: the accesses that have been loaded.
            expressions: those that are wanted, operands first; all of the kernel, if left out.
        """
        known: dict[int, str] = {}
        turns: dict[Any, str] = {}
        loads = dict(loaded)
        for e in self.kernel.expressions() if expressions is None else expressions:
            if isinstance(e, Constant):
                known[id(e)] = literal(e.number, e.dtype)
            elif isinstance(e, Apply) and e.operation in TURNS and _key(e.operands[0]) in self.turned:
                angle = e.operands[0]
                if _key(angle) not in turns:
                    turns[_key(angle)] = self.text.let("auto", f"sine_and_cosine({self.operand(e, angle, known)})")
                known[id(e)] = f"{turns[_key(angle)]}.{TURNS[e.operation]}"
            elif isinstance(e, Apply):
                applied = prepared(e)
                operands = [self.operand(applied, x, known) for x in applied.operands]
                known[id(e)] = write_operation(self.code, applied, operands)
            else:
                k = self.by_source[e]
                if k not in loads:
                    type_ = "int64" if isinstance(e, Position) else str(type_name(e.dtype))
                    loads[k] = self.text.let(type_, self.place(k, names[k], i, known))
                known[id(e)] = loads[k]
        return known

    def operand(self, applied: Apply, e: Expression, known: dict[int, str]) -> str:
        if isinstance(e, Constant) and e in self.numbers and is_argument(applied, e):
            return self.numbers[e]
        return literal(e.number, e.dtype) if isinstance(e, Constant) else known[id(e)]
