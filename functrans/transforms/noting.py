"""Notes that primitives leave on values for later ones (`Primitive.takes_notes`), across the border of a program."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..core.avals import ZERO, ShapedArray
from ..core.jaxpr import Jaxpr, eval_jaxpr, memoized
from ..core.staging import trace_closed
from ..core.trace import current_trace, running
from .forward import JVPTrace, JVPTracer

#: For each value None, or its note with the values in it left out, and where in a pool of values those are.
Packed = tuple[tuple[Any, tuple[int, ...]] | None, ...]


def pack_notes(notes: Sequence[Any], pool: list[Any]) -> Packed:
    """Notes in terms of a pool of values, which grows by the values that are not in it."""
    places = {id(value): place for place, value in enumerate(pool)}
    packed: list[Any] = []
    for note in notes:
        if note is None:
            packed.append(None)
            continue
        values, form = note.emptied()
        for value in values:
            if id(value) not in places:
                places[id(value)] = len(pool)
                pool.append(value)
        packed.append((form, tuple(places[id(value)] for value in values)))
    return tuple(packed)


def unpack_notes(packed: Packed, pool: Sequence[Any]) -> list[Any]:
    """The notes of `pack_notes`, with the values of a pool."""
    return [None if note is None else note[0].filled(pool[place] for place in note[1]) for note in packed]


@memoized
def jvp_jaxpr_noting(
    jaxpr: Jaxpr, active: tuple[bool, ...], notes: Packed, extra_avals: tuple[ShapedArray, ...]
) -> tuple[Jaxpr, tuple[bool, ...], Packed]:
    """As `jvp_jaxpr`, for operands and results with notes.

    Args:
        notes: those of the operands, in a pool of primals, active tangents and further inputs of types `extra_avals`.

    Returns:
        The jaxpr, which results have a tangent, and the notes of the results in a pool of all inputs and all outputs:
        results, active tangents, and what else the notes speak of.
    """
    out_active: list[bool] = []
    out_notes: list[Any] = []

    def function(*args: Any) -> list[Any]:
        trace = JVPTrace(current_trace.get())
        rest = iter(args[len(active) :])
        operands = [
            JVPTracer(trace, primal, next(rest), note) if is_active else primal
            for primal, is_active, note in zip(args, active, unpack_notes(notes, args))
        ]
        with running(trace):
            results = eval_jaxpr(jaxpr, *operands)
        outs = [trace.split(out) for out in results]
        out_active[:] = [dy is not ZERO for _, dy in outs]
        pool = [*args, *(y for y, _ in outs), *(dy for _, dy in outs if dy is not ZERO)]
        out_notes[:] = pack_notes([out.note if type(out) is JVPTracer else None for out in results], pool)
        return pool[len(args) :]

    tangent_avals = [aval for aval, is_active in zip(jaxpr.in_avals, active) if is_active]
    derived = trace_closed(function, [*jaxpr.in_avals, *tangent_avals, *extra_avals])
    return derived, tuple(out_active), tuple(out_notes)
