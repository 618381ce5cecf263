"""Choices between an array and the same with parts of it updated: what becomes of the parts is chosen.

`where(p, x.at[i].set(v), x)` is `x.at[i].set(where(p, v, x[i]))`, which writes one element where x is. The other one
makes two arrays more.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import TYPE_CHECKING

from ...core.avals import ShapedArray
from ...core.jaxpr import Atom, Eqn
from ...primitives import elementwise as e
from ...primitives.dynamic_slice import dynamic_slice
from ...primitives.indexing import gather
from ...primitives.selection import select
from ...primitives.structural import slice as static_slice

if TYPE_CHECKING:
    from .rewriting import Rewriter, Rules

#: At most so many updates, one upon the other.
MOST_UPDATES = 16
#: The parts that updates concern are at most one in so many elements.
SMALL_PART = 4


def choice_of_updates(rewriter: Rewriter, eqn: Eqn) -> Atom | None:
    """A choice between two arrays."""
    return chosen(rewriter, *eqn.inputs)


def given_results(rewriter: Rewriter, eqn: Eqn) -> list[Atom | None]:
    """For each result of one of several programs what stands for it, if all have it from outside: it is the same, or a
    choice of updates."""
    outer = [dict(zip(branch.inputs, eqn.inputs[1:])) for branch in eqn.params["branches"]]
    ways = zip(*([env.get(a) for a in branch.outputs] for env, branch in zip(outer, eqn.params["branches"])))
    return [_given_result(rewriter, eqn.inputs[0], way, v.aval) for way, v in zip(ways, eqn.outputs)]


def _given_result(rewriter: Rewriter, index: Atom, way: Sequence[Atom | None], aval: ShapedArray) -> Atom | None:
    if any(atom is None or atom.aval != aval for atom in way):
        return None
    if all(atom is way[0] for atom in way):
        return way[0]
    return chosen(rewriter, rewriter.emit(e.greater, index, 0), way[1], way[0]) if len(way) == 2 else None


def chosen(rewriter: Rewriter, condition: Atom, x: Atom, y: Atom) -> Atom | None:
    """x where a boolean holds, else y, if one of them is the other one with small parts of it updated."""
    if condition.aval.shape != () or x.aval != y.aval:
        return None
    for old, new, holds in ((y, x, True), (x, y, False)):
        updates = updates_between(rewriter, old, new)
        for update in updates:
            kept, value = KEPT[update.primitive.name](rewriter, update, old), update.inputs[1]
            value = rewriter.emit(select, condition, *((value, kept) if holds else (kept, value)))
            old = rewriter.emit(update.primitive, old, value, *update.inputs[2:], **update.params)
        if updates:
            return old
    return None


def updates_between(rewriter: Rewriter, old: Atom, new: Atom) -> list[Eqn]:
    """The updates of small parts by which an array becomes another one; none if there are others, or too many."""
    found: list[Eqn] = []
    while new is not old:
        made = rewriter.definitions.get(new)
        if made is None or made.primitive.name not in KEPT or not is_small(made) or len(found) == MOST_UPDATES:
            return []
        found.append(made)
        new = made.inputs[0]
    return found[::-1]


def is_small(update: Eqn) -> bool:
    """Whether an update concerns a small part of its array."""
    x, value = (a.aval for a in update.inputs[:2])
    region = update.params if update.primitive.name == "update_slice" else None
    size = value.size if region is None else prod(map(len, map(range, *region.values())))
    return SMALL_PART * size <= x.size


# ---- what an update changes nothing by


def _elements(rewriter: Rewriter, update: Eqn, x: Atom) -> Atom:
    return rewriter.emit(gather, x, *update.inputs[2:], spec=update.params["spec"], fill=0)


def _region(rewriter: Rewriter, update: Eqn, x: Atom) -> Atom:
    return rewriter.emit(dynamic_slice, x, *update.inputs[2:], sizes=update.inputs[1].aval.shape)


def _slice(rewriter: Rewriter, update: Eqn, x: Atom) -> Atom:
    return rewriter.emit(static_slice, x, **update.params)


def _zero(rewriter: Rewriter, update: Eqn, x: Atom) -> Atom:
    """-0.0, which changes no zero that it is added to."""
    return rewriter.filled(complex(-0.0, -0.0) if x.aval.dtype.kind == "c" else -0.0, x.aval.with_shape(()))


#: By the name of an update what it is given to leave an array as it is.
KEPT: dict[str, Callable[[Rewriter, Eqn, Atom], Atom]] = {
    **dict.fromkeys(("scatter_set", "scatter_min", "scatter_max"), _elements),
    "scatter_add": _zero,
    "dynamic_update_slice": _region,
    "update_slice": _slice,
}
CHOICES: Rules = {"select": (choice_of_updates,)}
