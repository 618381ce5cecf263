"""From low-level functions (language.py) to LLVM IR.

Variables become values that are assigned once, as in M. Braun et al., "Simple and Efficient Construction of Static
Single Assignment Form" (Compiler Construction, 2013): what a variable is at the beginning of a block is looked up in
the blocks before it, and where these differ, or are not known yet, it is a phi.
"""

from __future__ import annotations

import ast
import re
import struct
from collections.abc import Callable, Mapping, Sequence
from itertools import count
from typing import Any, NamedTuple

from .language import Symbol
from .operations import OPERATIONS, Value

#: Begins the names of symbols in the text.
PREFIX = "functrans_"
#: The types of what is annotated so; all else is a 64-bit number.
TYPES = {"bool": "i1", "CInt": "i32", "float": "double", "None": "void"}
ARITHMETIC: dict[type, str] = {
    ast.Add: "add", ast.Sub: "sub", ast.Mult: "mul", ast.FloorDiv: "sdiv", ast.Mod: "srem", ast.LShift: "shl",
    ast.RShift: "ashr", ast.BitAnd: "and", ast.BitOr: "or",
}  # fmt: skip
COMPARISONS: dict[type, str] = {
    ast.Eq: "eq", ast.NotEq: "ne", ast.Lt: "slt", ast.LtE: "sle", ast.Gt: "sgt", ast.GtE: "sge",
}  # fmt: skip
#: The same of floats. NaN is neither less nor equal nor greater, and unequal to all.
ARITHMETIC_OF_FLOATS: dict[type, str] = {ast.Add: "fadd", ast.Sub: "fsub", ast.Mult: "fmul", ast.Div: "fdiv"}
COMPARISONS_OF_FLOATS = {"eq": "oeq", "ne": "une", "slt": "olt", "sle": "ole", "sgt": "ogt", "sge": "oge"}


TRUE, FALSE, ZERO = Value("true", "i1"), Value("false", "i1"), Value("0")


class Phi(NamedTuple):
    """What a variable is where several blocks meet."""

    value: Value
    operands: list[tuple[Value, str]]


class Signature(NamedTuple):
    """The types of a function."""

    result: str
    parameters: tuple[str, ...]


def translated(
    node: ast.FunctionDef,
    signatures: Mapping[str, Signature],
    known: Mapping[str, int | float | Symbol],
    linkage: str = "",
    attributes: str = "",
) -> str:
    """The text of a function.

    Args:
        signatures: of it, and of those that it calls.
        known: numbers and symbols, by the names that the function has for them.

    Raises:
        SyntaxError: the function has what low-level functions have not.
    """
    return _Translator(node, signatures, known).text(linkage, attributes)


def signature(node: ast.FunctionDef) -> Signature:
    """The types of a function, by its annotations."""
    return Signature(_type(node.returns), tuple(_type(argument.annotation) for argument in node.args.args))


def _type(annotation: ast.expr | None) -> str:
    return "i64" if annotation is None else TYPES.get(ast.unparse(annotation), "i64")


def literal(number: float) -> Value:
    """A number as it stands in the text."""
    if isinstance(number, int):
        return Value(str(number))
    return Value(f"0x{struct.unpack('<Q', struct.pack('<d', number))[0]:016X}", "double")


class _Translator:
    """Translates one function."""

    def __init__(
        self, node: ast.FunctionDef, signatures: Mapping[str, Signature], known: Mapping[str, int | float | Symbol]
    ):
        self.node = node
        self.signatures = signatures
        self.known = known
        self.signature = signatures[node.name]
        self.serial = count()
        self.lines: dict[str, list[str]] = {}
        self.phis: dict[str, dict[str, Phi]] = {}
        self.variables: dict[str, dict[str, Value]] = {}
        self.before: dict[str, list[str]] = {}
        self.sealed: set[str] = set()
        self.types: dict[str, str] = {}
        self.same: dict[str, str] = {}  # phis that turned out to be other values
        self.loops: list[tuple[str, str]] = []  # where `continue` and `break` lead to
        self.block: str | None = None

    def text(self, linkage: str, attributes: str) -> str:
        """The definition."""
        self.begin(self.new_block("entry"), sealed=True)
        parameters = []
        for argument, type_ in zip(self.node.args.args, self.signature.parameters):
            parameters.append(Value(f"%{argument.arg}", type_))
            self.assign(argument.arg, parameters[-1])
        self.statements(self.node.body)
        if self.block is not None:
            self.emit("ret void")
        body = "".join(self.block_text(block) for block in self.lines)
        head = f"define {linkage}{self.signature.result} @{self.node.name}({', '.join(map(str, parameters))})"
        return f"{head} {attributes}{{\n" + re.sub(r"%[\w.]+", lambda match: self.settled(match[0]), body) + "}\n"

    def block_text(self, block: str) -> str:
        found = [f"{block}:\n"]
        for value, operands in self.phis[block].values():
            if value.name not in self.same:
                pairs = ", ".join(f"[{operand.name}, %{origin}]" for operand, origin in operands)
                found.append(f"  {value.name} = phi {value.type} {pairs}\n")
        return "".join([*found, *self.lines[block]])

    def settled(self, name: str) -> str:
        while name in self.same:
            name = self.same[name]
        return name

    # ---- blocks

    def new_block(self, name: str) -> str:
        block = name if name == "entry" else f"{name}.{next(self.serial)}"
        self.lines[block], self.phis[block], self.variables[block], self.before[block] = [], {}, {}, []
        return block

    def begin(self, block: str, sealed: bool) -> None:
        """Go on in a block; if it is sealed, all that lead there are known."""
        self.block = block
        self.lines[block] = self.lines.pop(block)  # blocks stand in the order in which they begin
        if sealed:
            self.seal(block)

    def seal(self, block: str) -> None:
        self.sealed.add(block)
        for name, phi in list(self.phis[block].items()):
            self.complete(name, phi, block)

    def jump(self, block: str) -> None:
        if self.block is not None:
            self.before[block].append(self.block)
            self.emit(f"br label %{block}")
            self.block = None

    def branch(self, condition: Value, then: str, otherwise: str) -> None:
        assert self.block is not None
        self.before[then].append(self.block)
        self.before[otherwise].append(self.block)
        self.emit(f"br {condition}, label %{then}, label %{otherwise}")
        self.block = None

    def emit(self, line: str) -> None:
        assert self.block is not None, f"line {self.node.lineno}: nothing leads here"
        self.lines[self.block].append(f"  {line}\n")

    def result(self, line: str, type_: str = "i64") -> Value:
        value = Value(f"%v{next(self.serial)}", type_)
        self.emit(f"{value.name} = {line}")
        return value

    # ---- variables

    def assign(self, name: str, value: Value) -> None:
        assert self.block is not None
        if self.types.setdefault(name, value.type) != value.type:
            raise self.error(self.node, f"{name} has two types")
        self.variables[self.block][name] = value

    def read(self, name: str, block: str) -> Value:
        found = self.variables[block].get(name)
        if found is not None:
            return found
        if block in self.sealed and len(self.before[block]) == 1:
            value = self.read(name, self.before[block][0])
        else:
            value = Value(f"%{name}.{next(self.serial)}", self.types[name])
            phi = self.phis[block][name] = Phi(value, [])
            self.variables[block][name] = value
            if block in self.sealed:
                self.complete(name, phi, block)
        self.variables[block][name] = value
        return value

    def complete(self, name: str, phi: Phi, block: str) -> None:
        """Find what a phi has from each block before; if that is always the same, or itself, it is no phi."""
        if not self.before[block]:
            raise self.error(self.node, f"{name} has no value")
        phi.operands.extend((self.read(name, origin), origin) for origin in self.before[block])
        others = {self.settled(value.name) for value, _ in phi.operands} - {phi.value.name}
        if len(others) == 1:
            self.same[phi.value.name] = others.pop()

    # ---- statements

    def statements(self, nodes: Sequence[ast.stmt]) -> None:
        for node in nodes:
            getattr(self, f"do_{type(node).__name__}", self.refuse)(node)

    def do_Expr(self, node: ast.Expr) -> None:
        if not isinstance(node.value, ast.Constant):  # a docstring
            self.value(node.value)

    def do_Pass(self, node: ast.Pass) -> None:
        pass

    def do_Assign(self, node: ast.Assign) -> None:
        parts = node.value.elts if isinstance(node.value, ast.Tuple) else [node.value]
        values = [self.value(part) for part in parts]
        for target in node.targets:
            if not isinstance(target, ast.Tuple):
                self.store(target, values[0])
            elif isinstance(node.value, ast.Tuple):
                for part, value in zip(target.elts, values, strict=True):
                    self.store(part, value)
            else:  # numbers that follow each other in memory
                for i, part in enumerate(target.elts):
                    self.store(part, self.load(values[0], Value(str(i))))

    def do_AugAssign(self, node: ast.AugAssign) -> None:
        assert isinstance(node.target, ast.Name)
        self.store(node.target, self.arithmetic(node.op, self.value_of_name(node.target), self.value(node.value)))

    def store(self, target: ast.expr, value: Value) -> None:
        if isinstance(target, ast.Name):
            self.assign(target.id, value)
        elif isinstance(target, ast.Subscript):
            place = self.place(self.value(target.value), self.value(target.slice))
            self.emit(f"store {self.typed(value, 'i64')}, ptr {place}")
        else:
            self.refuse(target)

    def do_Return(self, node: ast.Return) -> None:
        result = None if node.value is None else self.typed(self.value(node.value), self.signature.result)
        self.emit(f"ret {result or 'void'}")
        self.block = None

    def do_If(self, node: ast.If) -> None:
        then, after = self.new_block("then"), self.new_block("after")
        otherwise = self.new_block("else") if node.orelse else after
        self.condition(node.test, then, otherwise)
        self.begin(then, sealed=True)
        self.statements(node.body)
        self.jump(after)
        if node.orelse:
            self.begin(otherwise, sealed=True)
            self.statements(node.orelse)
            self.jump(after)
        self.go_on(after)

    def go_on(self, block: str) -> None:
        """Go on in a block, if anything leads there."""
        if self.before[block]:
            self.begin(block, sealed=True)
        else:
            del self.lines[block]

    def do_While(self, node: ast.While) -> None:
        test, body, after = map(self.new_block, ("while", "do", "after"))
        self.jump(test)
        self.begin(test, sealed=False)
        self.condition(node.test, body, after)
        self.loop(body, node.body, test, after)
        self.seal(test)
        self.go_on(after)

    def do_For(self, node: ast.For) -> None:
        """A variable that counts is assigned at the end of each turn, and keeps its last value."""
        assert isinstance(node.target, ast.Name)
        assert isinstance(node.iter, ast.Call)
        *first, stop = map(self.value, node.iter.args)
        self.assign(node.target.id, first[0] if first else ZERO)
        test, body, step, after = map(self.new_block, ("for", "do", "next", "after"))
        self.jump(test)
        self.begin(test, sealed=False)
        self.branch(self.compare("slt", self.value_of_name(node.target), stop), body, after)
        self.loop(body, node.body, step, after)
        self.begin(step, sealed=True)
        counted = self.value_of_name(node.target)
        self.assign(node.target.id, self.result(f"add nsw {counted}, 1"))
        self.jump(test)
        self.seal(test)
        self.go_on(after)

    def loop(self, block: str, body: Sequence[ast.stmt], again: str, after: str) -> None:
        self.loops.append((again, after))
        self.begin(block, sealed=True)
        self.statements(body)
        self.jump(again)
        self.loops.pop()

    def do_Continue(self, node: ast.Continue) -> None:
        self.jump(self.loops[-1][0])

    def do_Break(self, node: ast.Break) -> None:
        self.jump(self.loops[-1][1])

    # ---- expressions

    def condition(self, node: ast.expr, then: str, otherwise: str) -> None:
        """Branch; the second of two conditions is looked at only if it matters."""
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            self.condition(node.operand, otherwise, then)
        elif isinstance(node, ast.BoolOp):
            *first, last = node.values
            for part in first:
                following = self.new_block("and" if isinstance(node.op, ast.And) else "or")
                self.condition(part, *((following, otherwise) if isinstance(node.op, ast.And) else (then, following)))
                self.begin(following, sealed=True)
            self.condition(last, then, otherwise)
        elif isinstance(node, ast.Constant) and node.value is True:
            self.jump(then)
        else:
            self.branch(self.truth(self.value(node)), then, otherwise)

    def truth(self, value: Value) -> Value:
        return value if value.type == "i1" else self.compare("ne", value, ZERO)

    def value(self, node: ast.expr) -> Value:
        return getattr(self, f"value_of_{type(node).__name__.lower()}", self.refuse)(node)

    def value_of_constant(self, node: ast.Constant) -> Value:
        if isinstance(node.value, bool):
            return TRUE if node.value else FALSE
        return literal(node.value)

    def value_of_name(self, node: ast.Name) -> Value:
        assert self.block is not None
        if node.id in self.types:
            return self.read(node.id, self.block)
        known = self.known.get(node.id)
        if known is None:
            raise self.error(node, f"{node.id} is not known")
        return Value(f"ptrtoint (ptr @{PREFIX}{known} to i64)") if isinstance(known, Symbol) else literal(known)

    def value_of_binop(self, node: ast.BinOp) -> Value:
        return self.arithmetic(node.op, self.value(node.left), self.value(node.right))

    def arithmetic(self, op: ast.operator, x: Value, y: Value) -> Value:
        if x.type != "double":
            return self.result(f"{ARITHMETIC[type(op)]} {x}, {y.name}", x.type)
        if isinstance(op, ast.Pow):
            return self.result(f"call double @llvm.pow.f64({x}, {y})", "double")
        return self.result(f"{ARITHMETIC_OF_FLOATS[type(op)]} {x}, {y.name}", "double")

    def value_of_unaryop(self, node: ast.UnaryOp) -> Value:
        if isinstance(node.op, ast.Not):
            return self.result(f"xor {self.truth(self.value(node.operand))}, true", "i1")
        x = self.value(node.operand)
        return self.result(f"fneg {x}", "double") if x.type == "double" else self.result(f"sub i64 0, {x.name}")

    def value_of_compare(self, node: ast.Compare) -> Value:
        (op,), (right,), left = node.ops, node.comparators, self.value(node.left)
        if not isinstance(op, (ast.In, ast.NotIn)):
            return self.compare(COMPARISONS[type(op)], left, self.value(right))
        assert isinstance(right, ast.Tuple)
        how, joined = ("eq", "or") if isinstance(op, ast.In) else ("ne", "and")
        first, *others = (self.compare(how, left, self.value(x)) for x in right.elts)
        for other in others:
            first = self.result(f"{joined} {first}, {other.name}", "i1")
        return first

    def compare(self, how: str, x: Value, y: Value) -> Value:
        how = f"fcmp {COMPARISONS_OF_FLOATS[how]}" if x.type == "double" else f"icmp {how}"
        return self.result(f"{how} {x}, {y.name}", "i1")

    def value_of_boolop(self, node: ast.BoolOp) -> Value:
        return self.either(node, lambda: TRUE, lambda: FALSE)

    def value_of_ifexp(self, node: ast.IfExp) -> Value:
        return self.either(node.test, lambda: self.value(node.body), lambda: self.value(node.orelse))

    def either(self, test: ast.expr, first: Callable[[], Value], second: Callable[[], Value]) -> Value:
        """One of two values, as an unnamed variable."""
        name = f"either{next(self.serial)}"
        then, otherwise, after = map(self.new_block, ("then", "else", "after"))
        self.condition(test, then, otherwise)
        for block, make in ((then, first), (otherwise, second)):
            self.begin(block, sealed=True)
            self.assign(name, make())
            self.jump(after)
        self.begin(after, sealed=True)
        return self.read(name, after)

    def value_of_subscript(self, node: ast.Subscript) -> Value:
        base = self.value(node.value)
        if isinstance(node.slice, ast.Slice):
            assert node.slice.lower is not None
            assert node.slice.upper is None
            return self.result(f"add {base}, {self.times_eight(self.value(node.slice.lower)).name}")
        return self.load(base, self.value(node.slice))

    def times_eight(self, x: Value) -> Value:
        return Value(str(8 * int(x.name))) if x.name.isdigit() else self.result(f"shl {x}, 3")

    def load(self, base: Value, index: Value) -> Value:
        return self.result(f"load i64, ptr {self.place(base, index)}")

    def place(self, base: Value, index: Value | None = None) -> str:
        """A pointer to what stands at an address."""
        pointer = self.result(f"inttoptr {base} to ptr", "ptr")
        if index is None or index == ZERO:
            return pointer.name
        return self.result(f"getelementptr i64, {pointer}, {index}", "ptr").name

    # ---- calls

    def value_of_call(self, node: ast.Call) -> Value:
        assert isinstance(node.func, ast.Name)
        name = node.func.id
        operation = OPERATIONS.get(name)
        if operation is not None:
            return operation(self, *map(self.value, node.args)) or ZERO
        if name in self.signatures:
            result, parameters = self.signatures[name]
            arguments = [self.typed(self.value(x), type_) for x, type_ in zip(node.args, parameters, strict=True)]
            return self.call(f"@{name}", result, arguments)
        function = self.place(self.value_of_name(node.func))
        return self.call(function, "i64", [self.value(x) for x in node.args])

    def call(self, function: str, result: str, arguments: Sequence[Value]) -> Value:
        line = f"call {result} {function}({', '.join(map(str, arguments))})"
        if result == "void":
            self.emit(line)
            return ZERO
        return self.widened(self.result(line, result))

    def typed(self, value: Value, type_: str) -> Value:
        """A value as one of another type."""
        if value.type == type_:
            return value
        if value.type == "i64" and type_ == "i32":
            return Value(value.name, "i32") if value.name.isdigit() else self.result(f"trunc {value} to i32", "i32")
        if value.type == "i1" and type_ == "i64":
            return self.result(f"zext {value} to i64")
        return self.truth(value)

    def widened(self, value: Value) -> Value:
        return self.result(f"sext {value} to i64") if value.type == "i32" else value

    # ---- errors

    def refuse(self, node: Any) -> Any:
        raise self.error(node, f"low-level functions have no {type(node).__name__}")

    def error(self, node: Any, message: str) -> SyntaxError:
        return SyntaxError(f"{self.node.name}, line {node.lineno}: {message}")
