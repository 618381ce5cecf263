"""HoldsPrograms: what primitives with jaxprs among their parameters answer alike."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..core.jaxpr import Jaxpr, memoized, programs_in
from ..core.primitive import Primitive
from ..core.trace import Params


class HoldsPrograms(Primitive):
    """A primitive whose rules transform the programs it holds."""

    holds_programs = True

    def batch(
        self, size: int, values: Sequence[Any], mapped: Sequence[bool], **params: Any
    ) -> tuple[Sequence[Any], Sequence[bool]]:
        return self.batch_named(None, size, values, mapped, **params)

    def uses_axis(self, axis_name: Any, params: Params) -> bool:
        return any(mentions_axis(program, axis_name) for program in programs_in(params))


@memoized
def mentions_axis(jaxpr: Jaxpr, axis_name: Any) -> bool:
    """Whether some equation names an axis of an enclosing vmap."""
    return any(eqn.primitive.uses_axis(axis_name, eqn.params) for eqn in jaxpr.eqns)
