"""Several steps of a scan written out in a row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..control.loop import Loop
from ..core.jaxpr import Jaxpr, eval_jaxpr, memoized
from ..core.staging import trace_closed
from ..core.trace import typeof
from ..primitives.foundation import reshape
from ..primitives.structural import concatenate, slice_axis


def unrolled(scan: Loop, unroll: int | bool, args: Sequence[Any], params: dict[str, Any]) -> list[Any]:
    """Bind a scan with `unroll` steps in its body; what does not fill a body is a scan of its own.

    Raises:
        ValueError: unroll is no positive integer and no boolean.
    """
    if not isinstance(unroll, (bool, int, np.integer)) or unroll < (0 if isinstance(unroll, bool) else 1):
        raise ValueError(f"unroll is a positive integer or a boolean, not {unroll!r}")
    length = params["length"]
    steps = max(1, length if unroll is True else min(int(unroll), length))
    if steps == 1:
        return scan.bind(*args, **params)
    groups = scan.split(params, args)
    whole = length // steps * steps
    rest_first = params["reverse"]
    carry, parts = groups.carry, []
    for start, stop in ((whole, length), (0, whole)) if rest_first else ((0, whole), (whole, length)):
        if start == stop:
            continue
        xs = [slice_axis(x, start, stop, axis=0) for x in groups.xs]
        if start == 0:
            xs = [reshape(x, shape=(whole // steps, steps, *typeof(x).shape[1:])) for x in xs]
            body = several_steps(params["body"], params["consts"], params["carry"], steps, params["reverse"])
            count = whole // steps
        else:
            body, count = params["body"], stop - start
        shown = params["progress"] if start == 0 or not whole else None  # one bar, of what is most of the loop
        outs = scan.bind(*groups.consts, *carry, *xs, **{**params, "body": body, "length": count, "progress": shown})
        carry, ys = outs[: params["carry"]], outs[params["carry"] :]
        if start == 0:
            ys = [reshape(y, shape=(whole, *typeof(y).shape[2:])) for y in ys]
        parts.append((start, ys))
    in_order = [ys for _, ys in sorted(parts, key=lambda part: part[0])]
    return [*carry, *(y[0] if len(y) == 1 else concatenate(*y, axis=0) for y in zip(*in_order))]


@memoized
def several_steps(body: Jaxpr, consts: int, carry: int, steps: int, reverse: bool) -> Jaxpr:
    """The body of a scan over blocks of elements."""

    def function(*args: Any) -> list[Any]:
        given, state, blocks = args[:consts], list(args[consts : consts + carry]), args[consts + carry :]
        collected: list[Any] = [None] * steps
        for i in reversed(range(steps)) if reverse else range(steps):
            rows = [slice_axis(block, i, i + 1, axis=0) for block in blocks]
            elements = [reshape(row, shape=typeof(row).shape[1:]) for row in rows]
            outs = eval_jaxpr(body, *given, *state, *elements)
            state, collected[i] = outs[:carry], outs[carry:]
        columns = ([reshape(y, shape=(1, *typeof(y).shape)) for y in column] for column in zip(*collected))
        ys = [concatenate(*column, axis=0) for column in columns]
        return [*state, *ys]

    avals = body.in_avals
    blocks = [aval.with_lanes(steps) for aval in avals[consts + carry :]]
    return trace_closed(function, [*avals[: consts + carry], *blocks])
