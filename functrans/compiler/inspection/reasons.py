"""Why kernels are apart, why they compute something again, and why arrays are copied: clauses of sentences."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...core.jaxpr import Atom, Var
from ...primitives.contractions import dot_general
from ...primitives.convolution import conv_general
from ...primitives.foundation import View, reshape
from ..fuse import LARGEST_KERNEL, KernelStep
from ..instructions import PythonRun
from ..loopnest import Apply, Load, Position, point
from .listing import Row, is_copy, kind


def noun(row: Row) -> str:
    """What an instruction is."""
    is_python = isinstance(row.instruction, PythonRun) and not is_copy(row.instruction)
    return "call of Python" if is_python else kind(row.instruction)


def shared_operations(rows: Sequence[Row]) -> dict[int, dict[str, list[str]]]:
    """For each kernel (by the id of its step) the operations that earlier ones do too, by the number of the first."""
    numbers: dict[Any, int] = {}
    first: dict[int, str] = {}
    found: dict[int, dict[str, list[str]]] = {}
    for row in rows:
        step = row.origin
        if not isinstance(step, KernelStep) or id(step) in found:
            continue
        own = found[id(step)] = {}
        known: dict[int, int] = {}
        atoms = dict(zip(step.kernel.operands, step.sources))
        seen: set[int] = set()
        for e in step.kernel.expressions():
            key = _content(e, known, atoms)
            number = known[id(e)] = numbers.setdefault(key, len(numbers))
            if isinstance(e, Apply) and e.operation != "convert" and number not in seen:
                seen.add(number)
                if number in first and first[number] != row.number:
                    own.setdefault(first[number], []).append(e.operation)
                first.setdefault(number, row.number)
    return found


def _content(expression: Any, known: dict[int, int], atoms: dict[Any, Atom]) -> Any:
    """What an expression is, its parts by their numbers."""
    if isinstance(expression, Apply):
        return expression.operation, tuple(known[id(e)] for e in expression.operands), expression.dtype
    if not isinstance(expression, (Load, Position)):
        return expression
    indices = expression.index if isinstance(expression, Load) else (expression.index,)
    where = tuple((i.offset, i.factors, tuple((f, known[id(e)]) for f, e in i.terms)) for i in indices)
    return atoms[expression.operand] if isinstance(expression, Load) else None, where, expression.dtype


#: What a kernel is that an instruction other than a step of fused equations runs, such as those of scatter.
OWN_KERNEL = "a kernel that fuses with no other"


def why_apart(maker: Row, step: KernelStep, var: Var) -> str:
    """Why a kernel does not compute itself what another instruction makes for it."""
    other = maker.origin
    if not isinstance(other, KernelStep):
        what = noun(maker)
        return f"[{maker.number}] is {OWN_KERNEL if what == 'kernel' else f'no kernel but a {what}'}"
    if other.kernel.reduced:
        return "a reduction must be finished before its result is used"
    if other.kernel.shape != step.kernel.shape:
        return "the two go over different shapes, and to compute the value again for each use would cost more"
    if step.kernel.reduced:
        return "others need the value too, so it is stored; to compute it again here would cost more than to read it"
    if len(other.equations) >= LARGEST_KERNEL:
        return f"a kernel has about {LARGEST_KERNEL} operations at most"
    space = point(len(step.kernel.shape))
    if any(atom is var and load.index != space for atom, load in step.reads()):
        return "it needs the value at other places than the point it is at"
    return "what it needs besides is made between the two"


def why_copied(row: Row) -> str:
    """Why an array was copied."""
    origin = row.origin
    if origin is None or isinstance(origin, KernelStep):
        return "a result is memory of its own, and what is copied is an argument, a constant, a view or another result"
    primitive, name = origin.primitive, origin.primitive.name
    if primitive is reshape:
        return "what is reshaped does not lie in memory in the order of its elements"
    if isinstance(primitive, View):
        return "a view of an array is needed in memory"
    if primitive.holds_programs:
        return f"a loop (`{name}`) changes its state where the result is to be, and it begins or ends elsewhere"
    if primitive.updates_first:
        return f"`{name}` changes a part of an array that is read around it, or later, or is not the program's own"
    if primitive is dot_general:
        return "BLAS cannot read the operand as it lies in memory"
    if primitive is conv_general:
        return "a convolution needs zeros around its operand, or what its windows show side by side"
    return f"`{name}` moves elements"
