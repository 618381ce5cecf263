"""Reads whose indices are surely within bounds: nobody has to look at the indices before.

`x[np.clip(i, 0, n - 1)]`, `x[i % n]` and `x[np.argmax(y)]` cannot fail. So the indices need not be in memory, and what
computes them is in the kernels that read there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ...core.jaxpr import Atom, Eqn, Literal
from ...primitives.elementwise import minimum
from ...primitives.foundation import View
from ..intervals import OPERATIONS, Interval, full, interval_of_operation
from .rewriting import Rewriter, Rules

#: How many operations back somebody looks for what an integer may be.
DEEPEST = 12
#: Constants of more elements are not searched for their extremes.
LARGEST = 1 << 16
#: What counts from zero, and to where.
COUNTS: dict[str, Callable[[Eqn], int]] = {
    "iota": lambda eqn: eqn.params["shape"][eqn.params["axis"]],
    "argmax": lambda eqn: eqn.inputs[0].aval.shape[eqn.params["axes"][0]],
    "argmin": lambda eqn: eqn.inputs[0].aval.shape[eqn.params["axes"][0]],
    "argsort": lambda eqn: eqn.inputs[0].aval.shape[eqn.params["axis"]],
}


def read_within_bounds(rewriter: Rewriter, eqn: Eqn) -> Atom | None:
    """A gather that raises no error as one that moves indices to the bounds, which they need not be moved to before."""
    x, *indices = eqn.inputs
    spec = eqn.params["spec"]
    if spec.mode != "raise":
        return None
    known: dict[Atom, Interval | None] = {}
    for index, axis in zip(indices, spec.axes):
        found = interval_of_atom(rewriter, index, known, DEEPEST)
        if found is None or found[0] < 0 or found[1] >= x.aval.shape[axis]:
            return None
    given = [without_clip(rewriter, index, x.aval.shape[axis]) for index, axis in zip(indices, spec.axes)]
    return rewriter.emit(eqn.primitive, x, *given, **{**eqn.params, "spec": spec._replace(mode="clip")})


def without_clip(rewriter: Rewriter, index: Atom, extent: int) -> Atom:
    """What is left of an index that will be moved to the bounds of an axis, without what moves it there already."""
    while (eqn := rewriter.definition(index, "minimum", "maximum")) is not None:
        x, y = eqn.inputs if rewriter.constant(eqn.inputs[0]) is None else eqn.inputs[::-1]
        bound = rewriter.constant(y)
        is_idle = bound is not None and (bound >= extent - 1 if eqn.primitive is minimum else bound <= 0)
        if not is_idle or x.aval != index.aval or x.aval.dtype.kind != "i":
            break
        index = x
    return index


def interval_of_atom(
    rewriter: Rewriter, atom: Atom, known: dict[Atom, Interval | None], depth: int
) -> Interval | None:
    """From where to where the elements of an array of integers go; None for other arrays.

    Args:
        known: intervals found before.
        depth: how many operations back to look.
    """
    if isinstance(atom, Literal):
        return _extremes(atom.value) if atom.aval.dtype.kind in "iub" else None
    if atom not in known:
        known[atom] = _interval(rewriter, atom, known, depth)
    return known[atom]


def _interval(rewriter: Rewriter, atom: Atom, known: dict[Atom, Interval | None], depth: int) -> Interval | None:
    dtype, eqn = atom.aval.dtype, rewriter.definitions.get(atom)
    if dtype.kind not in "iub":
        return None
    value = rewriter.constant(atom)
    if value is not None:
        return int(value), int(value)
    if eqn is None or not depth:
        return full(dtype)
    name = eqn.primitive.name
    if name in COUNTS:
        last = COUNTS[name](eqn) - 1
        return (0, max(last, 0)) if last <= full(dtype)[1] else full(dtype)
    if isinstance(eqn.primitive, View):
        return interval_of_atom(rewriter, eqn.inputs[0], known, depth - 1)
    if name not in OPERATIONS:
        return full(dtype)
    return interval_of_operation(name, dtype, [interval_of_atom(rewriter, x, known, depth - 1) for x in eqn.inputs])


def _extremes(value: Any) -> Interval | None:
    numbers = np.asarray(value)
    return (int(numbers.min()), int(numbers.max())) if 0 < numbers.size <= LARGEST else None


BOUNDS: Rules = {"gather": (read_within_bounds,)}
