"""A loop over registers as a kernel of one thread."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...instructions import Place, RecurrenceRun
from ...loopnest import Apply, Constant, Expression, Load, Register, expressions_in
from ...operations import write_operation
from ...recurrence import Recurrence, Store
from .launches import NAME, Argument, Launch, Pointer
from .operations import CudaCode, literal, type_name
from .text import Text, signature


def recurrence_launch(run: RecurrenceRun) -> Launch:
    """The launch of a loop."""
    source = _Writer(run.recurrence).function()
    return Launch(source, (1, 1, 1), (1, 1, 1), 0, tuple(_arguments(run)), "a loop that keeps its state in registers")


def accesses(recurrence: Recurrence) -> list[Load | Store]:
    """All loads and stores, in the order of the parameters."""
    loads = [e for e in expressions_in([*recurrence.first, *recurrence.roots()]) if isinstance(e, Load)]
    return [*loads, *recurrence.stores, *recurrence.finals]


def _arguments(run: RecurrenceRun) -> list[Argument]:
    recurrence = run.recurrence
    found: list[Argument] = []
    if run.length is not None:
        found.append(Pointer(run.length.slot, run.length.offset))
    elif recurrence.length is not None:
        found.append(recurrence.length)
    for access in accesses(recurrence):
        place = run.sources[access.operand] if isinstance(access, Load) else run.targets[access.target]
        offset, way = _start_and_way(access.index, place, recurrence)
        found += [Pointer(place.slot, offset), way]
    if run.count is not None:
        found.append(Pointer(run.count.slot, run.count.offset))
    return found


def _start_and_way(index: Sequence[Any], place: Place, recurrence: Recurrence) -> tuple[int, int]:
    """The offset in the first step, and the way to the next one, in bytes."""
    offset = place.offset + sum(i.offset * s for i, s in zip(index, place.strides))
    way = sum(i.factor(0) * s for i, s in zip(index, place.strides))
    if recurrence.is_reverse and way:
        offset += (max(recurrence.length or 0, 1) - 1) * way
        way = -way
    return offset, way


class _Writer:
    def __init__(self, recurrence: Recurrence):
        self.recurrence = recurrence
        self.text = Text()
        self.code = CudaCode(self.text.let)
        self.places = accesses(recurrence)
        self.numbers = {id(x): k for k, x in enumerate(self.places)}

    def parameters(self) -> list[str]:
        r = self.recurrence
        found: list[str] = []
        if r.going is None:
            found.append("const int64 *const length_at" if r.length is None else "const int64 length")
        for k, access in enumerate(self.places):
            is_load = isinstance(access, Load)
            type_ = f"const {type_name(access.dtype)}" if is_load else type_name(access.expression.dtype)
            found += [f"{type_} *const p{k}", f"const int64 w{k}"]
        if r.going is not None:
            found.append("int64 *const count")
        return found

    def function(self) -> str:
        r, text = self.recurrence, self.text
        with text.block(signature(f"KERNEL __launch_bounds__(1) {NAME}", self.parameters())):
            if r.going is None and r.length is None:
                text.line("const int64 length = *length_at;")
            known: dict[int, str] = {}
            for e in expressions_in([*r.first, *r.roots()]):
                if isinstance(e, Load) and not _moves(e):
                    known[id(e)] = text.let(str(type_name(e.dtype)), f"*p{self.numbers[id(e)]}")
            for k, e in enumerate(r.first):
                text.line(f"{type_name(e.dtype)} q{k} = {self.value(e, known)};")
            text.line("int64 t = 0;")
            with text.block("for (;; ++t)"):
                self.step(known)
            for store in r.finals:
                text.line(f"*p{self.numbers[id(store)]} = {self.value(store.expression, known)};")
            if r.going is not None:
                text.line("*count = t;")
        return str(text)

    def step(self, fixed: dict[int, str]) -> None:
        r, text, known = self.recurrence, self.text, dict(fixed)
        if r.going is None:
            text.line("if (t >= length) break;")
        else:
            self.compute([r.going], known)
            text.line(f"if (!{self.value(r.going, known)}) break;")
        self.compute([*r.following, *(s.expression for s in r.stores)], known)
        for store in r.stores:
            text.line(f"{self.place(store)} = {self.value(store.expression, known)};")
        changed = [
            (k, type_name(e.dtype), self.value(e, known))
            for k, e in enumerate(r.following)
            if not (isinstance(e, Register) and e.number == k)
        ]
        for k, type_, value in changed:
            text.line(f"const {type_} next{k} = {value};")
        for k, _, _ in changed:
            text.line(f"q{k} = next{k};")

    def place(self, access: Any) -> str:
        k = self.numbers[id(access)]
        return f"*after(p{k}, t * w{k})"

    def value(self, e: Expression, known: dict[int, str]) -> str:
        if isinstance(e, Constant):
            return literal(e.number, e.dtype)
        return f"q{e.number}" if isinstance(e, Register) else known[id(e)]

    def compute(self, roots: Sequence[Expression], known: dict[int, str]) -> None:
        """Write what has not been computed yet in this step."""
        for e in expressions_in(roots):
            if id(e) in known or isinstance(e, (Constant, Register)):
                continue
            if isinstance(e, Load):
                known[id(e)] = self.text.let(str(type_name(e.dtype)), self.place(e))
            else:
                assert isinstance(e, Apply)
                known[id(e)] = write_operation(self.code, e, [self.value(x, known) for x in e.operands])


def _moves(load: Load) -> bool:
    """Whether a load is another one in each step."""
    return any(i.factors for i in load.index)
