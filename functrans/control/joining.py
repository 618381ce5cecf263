"""Where two ways of a Python `if` meet: a cond of what comes after it on either (core/paths.py)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NoReturn

import numpy as np

from ..core.avals import BOOL
from ..core.jaxpr import Atom, Eqn, Jaxpr, Literal, Var, prune, substitute
from ..core.paths import Block, Decision, joining
from ..core.staging import trace_closed
from ..errors import BranchMismatchError
from ..primitives.foundation import convert, reshape
from ..tree import paths, structure_text
from ..tree_util import keystr
from .agreement import meet, with_result_types
from .cond import cond

_WAYS = ("where the condition is false", "where it is true")


def join(decision: Decision, false: Block, true: Block) -> Block:
    """What goes the one way or the other by the predicate of a decision; results that are the same pass it by."""
    ways = (false, true)
    _check_structures(decision, ways)
    differing = [i for i, atoms in enumerate(zip(false.outputs, true.outputs)) if not _is_same(*atoms)]
    blocks = [_needed(way, differing) for way in ways]
    if not any(block.eqns or block.outputs for block in blocks):
        return true._replace(eqns=[])
    avals = [_common_type(decision, ways, i) for i in differing]
    operands = list(dict.fromkeys(var for block in blocks for var in _free(block)))
    branches = tuple(with_result_types(_closed(block, operands), avals) for block in blocks)
    eqns, index = _as_index(decision)
    results = [Var(aval) for aval in branches[0].out_avals]
    eqns.append(Eqn(cond, [index, *operands], {"branches": branches}, results, decision.source))
    outputs = list(true.outputs)
    for i, var in zip(differing, results):
        outputs[i] = var
    return Block(eqns, outputs, true.structure)


def _is_same(a: Atom, b: Atom) -> bool:
    """Whether both ways give the same variable, which comes from before the decision, or the same Python number."""
    if isinstance(a, Literal) and isinstance(b, Literal):
        is_scalar = a.aval == b.aval and a.aval.shape == () and type(a.value) is type(b.value)
        return is_scalar and np.asarray(a.value).tobytes() == np.asarray(b.value).tobytes()
    return a is b


def _needed(block: Block, positions: Sequence[int]) -> Block:
    """Some of the results, and what they are computed from."""
    outputs = [block.outputs[i] for i in positions]
    return Block(prune(block.eqns, outputs), outputs, None)


def _free(block: Block) -> Iterable[Var]:
    """The variables from before that a block uses."""
    defined = {var for eqn in block.eqns for var in eqn.outputs}
    for atom in (*(a for eqn in block.eqns for a in eqn.inputs), *block.outputs):
        if isinstance(atom, Var) and atom not in defined:
            yield atom


def _closed(block: Block, operands: Sequence[Var]) -> Jaxpr:
    """A block as a program of these operands."""
    inputs = {var: Var(var.aval) for var in operands}
    outputs = [inputs.get(a, a) if isinstance(a, Var) else a for a in block.outputs]
    return Jaxpr(list(inputs.values()), substitute(block.eqns, inputs), outputs)


def _as_index(decision: Decision) -> tuple[list[Eqn], Atom]:
    """Equations that make the number of a branch of the predicate, and that number."""

    def number(x: Any) -> list[Any]:
        x = reshape(x, shape=()) if decision.predicate.aval.shape else x
        x = x if decision.predicate.aval.dtype == BOOL else convert(x, dtype=BOOL)
        return [convert(x, dtype=np.dtype(np.int64))]

    jaxpr = trace_closed(number, [decision.predicate.aval])
    eqns = substitute(jaxpr.eqns, {jaxpr.inputs[0]: decision.predicate})
    return [eqn._replace(source=decision.source) for eqn in eqns], jaxpr.outputs[0]


def _check_structures(decision: Decision, ways: Sequence[Block]) -> None:
    """Raise BranchMismatchError unless both ways give the same pytrees."""
    false, true = ways
    if false.structure == true.structure and len(false.outputs) == len(true.outputs):
        return
    if false.structure is None or true.structure is None:
        _mismatch(decision, f"results: {len(true.outputs)}", str(len(false.outputs)), "number")
    shown = next((a, b) for a, b in zip(false.structure, true.structure) if a != b)
    _mismatch(decision, f"structures: {structure_text(shown[1])}", structure_text(shown[0]), "pytree")


def _common_type(decision: Decision, ways: Sequence[Block], position: int) -> Any:
    """The type of one result, whichever way it comes."""
    false, true = (way.outputs[position].aval for way in ways)
    common = meet(false, true)
    if common is None:
        name = _leaf_name(ways[1].structure, position)
        _mismatch(decision, f"types{name and f' of {name}'}: {true}", str(false), "shapes and dtypes")
    return common


def _mismatch(decision: Decision, true: str, false: str, what: str) -> NoReturn:
    raise BranchMismatchError(
        f"The function returns different {true} {_WAYS[1]}, and {false} {_WAYS[0]}.",
        f"It is traced both ways, and what comes after it must find the same {what}.",
        "Return the same structure, shapes and dtypes (`.astype(...)`, np.zeros_like) both ways; a function without "
        "`return` returns None.",
        source=decision.source,
    )


def _leaf_name(structure: Sequence[Any] | None, position: int) -> str:
    """Where in the results a leaf stands; nothing for a bare one."""
    for treedef in structure or ():
        if position < treedef.num_leaves:
            return keystr(paths(treedef)[position])
        position -= treedef.num_leaves
    return ""


joining.join = join
