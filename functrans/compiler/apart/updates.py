"""What programs read and change of their inputs, and in which order their equations had better run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ...core.jaxpr import Eqn, Jaxpr, Literal, Var
from .elements import LARGEST_CHOICE

#: Equations are put in another order, for the sake of updates in place, in programs of at most so many.
LARGEST_ORDERED = 400
#: The primitives that are loops, by name: they are on a higher floor (control/).
LOOPS = ("scan", "while_loop")
#: Simplifies a program.
Prepare = Callable[[Jaxpr], Jaxpr]


def addressed(jaxpr: Jaxpr, prepare: Prepare) -> set[int]:
    """The inputs of a program that are read or written at indices known only when it runs."""
    jaxpr = prepare(jaxpr)
    owners: dict[Any, int] = {v: i for i, v in enumerate(jaxpr.inputs)}
    found: set[int] = set()
    for eqn in jaxpr.eqns:
        operands = _addressed_operands(eqn, prepare)
        found.update(owners[eqn.inputs[k]] for k in operands if eqn.inputs[k] in owners)
        _follow(eqn, owners)
    return found


def _addressed_operands(eqn: Eqn, prepare: Prepare) -> list[int]:
    name, params = eqn.primitive.name, eqn.params
    first_index = eqn.primitive.first_index
    if first_index is not None:
        is_large = eqn.inputs[0].aval.size > LARGEST_CHOICE
        return [0] if is_large and not all(isinstance(i, Literal) for i in eqn.inputs[first_index:]) else []
    if name in LOOPS:
        skipped = len(eqn.inputs) - len(params["body"].inputs)
        return [skipped + i for i in addressed(params["body"], prepare)]
    if name == "cond":
        return [1 + i for branch in params["branches"] for i in addressed(branch, prepare)]
    return []


def written(jaxpr: Jaxpr, prepare: Prepare) -> set[int]:
    """The inputs of a program that it changes."""
    jaxpr = prepare(jaxpr)
    owners: dict[Any, int] = {v: i for i, v in enumerate(jaxpr.inputs)}
    found: set[int] = set()
    for eqn in jaxpr.eqns:
        changed = [before for before, _ in updated(eqn)]
        if eqn.primitive.name == "cond":
            changed += [1 + k for branch in eqn.params["branches"] for k in written(branch, prepare)]
        found.update(owners[eqn.inputs[k]] for k in changed if eqn.inputs[k] in owners)
        _follow(eqn, owners)
    return found


def _follow(eqn: Eqn, owners: dict[Any, int]) -> None:
    """Note which results of an equation are updates of the inputs of a program."""
    for before, after in updated(eqn):
        if eqn.inputs[before] in owners:
            owners[eqn.outputs[after]] = owners[eqn.inputs[before]]


def updated(eqn: Eqn) -> list[tuple[int, int]]:
    """The operands that results of an equation are updates of, by number."""
    if eqn.primitive.updates_first:
        return [(0, 0)]
    if eqn.primitive.name not in LOOPS:
        return []
    params, leading = eqn.params, len(eqn.outputs) - len(eqn.params["body"].outputs)
    first = params["consts"] + (len(eqn.inputs) - len(params["body"].inputs) if leading == 0 else 0)
    return [(first + k, leading + k) for k in range(params["carry"])]


def reads_first(eqns: Sequence[Eqn]) -> Sequence[Eqn]:
    """Equations in an order in which an array is read before it is changed, where that is possible."""
    updates = [(eqn, [eqn.inputs[k] for k, _ in updated(eqn) if isinstance(eqn.inputs[k], Var)]) for eqn in eqns]
    if len(eqns) > LARGEST_ORDERED or not any(arrays for _, arrays in updates):
        return eqns
    makers = {v: eqn for eqn in eqns for v in eqn.outputs}
    readers: dict[Any, list[Eqn]] = {}
    for eqn in eqns:
        for atom in eqn.inputs:
            readers.setdefault(atom, []).append(eqn)
    order: dict[int, Eqn] = {}

    def add(eqn: Eqn, arrays: Sequence[Any] = ()) -> None:
        if id(eqn) in order:
            return
        for atom in eqn.inputs:
            if isinstance(atom, Var) and atom in makers:
                add(makers[atom])
        if arrays:
            after = _depending(eqn, eqns)
            for reader in (r for array in arrays if array.aval.ndim for r in readers[array]):
                if id(reader) not in after:
                    add(reader)
        order[id(eqn)] = eqn

    for eqn, arrays in updates:
        add(eqn, arrays)
    return list(order.values())


def _depending(first: Eqn, eqns: Sequence[Eqn]) -> set[int]:
    """An equation, and those that need its results, by id."""
    found, made = {id(first)}, set(first.outputs)
    for eqn in eqns:
        if any(isinstance(a, Var) and a in made for a in eqn.inputs):
            found.add(id(eqn))
            made.update(eqn.outputs)
    return found
