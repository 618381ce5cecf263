"""checkpoint: a call whose intermediate values are computed again in the backward pass instead of being kept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..core.jaxpr import Jaxpr, memoized, prune
from ..core.trace import Params
from ..transforms.partial_eval import partial_eval_jaxpr
from .call import Call


class Checkpoint(Call):
    """As call, but partial evaluation keeps the known operands as residuals and nothing else.

    The unknown half is the whole jaxpr again; transposition evaluates the part that is not linear in place, which
    is the recomputation.
    """

    def inlined_jaxpr(self, params: Params) -> None:
        return None  # sharing the recomputation with the first computation would undo it

    def partial_eval(self, trace: Any, unknown: Sequence[bool], args: Sequence[Any], params: Params) -> list[Any]:
        known_jaxpr, again, out_unknown = split_for_recomputation(params["jaxpr"], tuple(unknown))
        known_args = [a for a, is_unknown in zip(args, unknown) if not is_unknown]
        known = iter(trace.parent.process(self, known_args, {**params, "jaxpr": known_jaxpr}))
        recorded = iter(trace.record(self, args, {**params, "jaxpr": again}))
        return [next(recorded) if is_unknown else next(known) for is_unknown in out_unknown]


@memoized
def split_for_recomputation(jaxpr: Jaxpr, unknown: tuple[bool, ...]) -> tuple[Jaxpr, Jaxpr, tuple[bool, ...]]:
    """The jaxprs `known inputs -> known results` and `all inputs -> unknown results`, and which results are unknown."""
    known, _, out_unknown = partial_eval_jaxpr(jaxpr, unknown)
    outputs = known.outputs[: len(out_unknown) - sum(out_unknown)]
    unknown_outputs = [a for a, is_unknown in zip(jaxpr.outputs, out_unknown) if is_unknown]
    return (
        Jaxpr(known.inputs, prune(known.eqns, outputs), outputs),
        Jaxpr(jaxpr.inputs, prune(jaxpr.eqns, unknown_outputs), unknown_outputs),
        out_unknown,
    )


checkpoint_call = Checkpoint("checkpoint")
