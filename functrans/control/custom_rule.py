"""The primitive of functions with any of four rules of their own: jvp, vjp, batch and jet."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from ..core.avals import ZERO
from ..core.staging import call_deciding
from ..core.trace import typeof
from ..primitives.foundation import broadcast_lanes, instantiate
from ..transforms.batching import batch_flat
from ..transforms.forward import jvp_flat
from .custom_rules import (
    CustomVJPCall,
    Flat,
    as_arguments,
    batched_vjp_rule,
    inexact_only,
)


class Rules(NamedTuple):
    """Rules on flat values; None where one is derived.

    Attributes:
        jvp: `*primals, *tangents -> [*results, *result tangents]`.
        vjp: `*primals -> results, residuals, backward`, as for functions with a custom vjp.
        batch: `size, mapped, *values -> results, which of them are mapped`.
        jet: `order, series -> series of the results`, with Taylor coefficients.
    """

    jvp: Flat | None = None
    vjp: Callable[..., Any] | None = None
    batch: Callable[..., Any] | None = None
    jet: Callable[..., Any] | None = None


class CustomRuleCall(CustomVJPCall):
    """A function with some rules; what has none follows from the others, or from the function."""

    def jvp(
        self, primals: Sequence[Any], tangents: Sequence[Any], *, function: Flat, rule: Rules, name: str
    ) -> tuple[list[Any], list[Any]]:
        if rule.vjp is not None:
            push = None if rule.jvp is None else _push_forward(rule.jvp)
            return self.jvp_by_vjp(primals, tangents, rule.vjp, name, push)
        if rule.jvp is None:
            return jvp_flat(function, primals, tangents)
        filled = [instantiate(t, typeof(p)) for t, p in zip(tangents, primals)]
        outs = call_deciding(rule.jvp, *as_arguments([*primals, *filled]))
        count = len(outs) // 2
        return outs[:count], inexact_only(outs[:count], outs[count:])

    def jet(self, order: int, series: Sequence[Any], /, *, rule: Rules, **params: Any) -> list[Any] | None:
        return None if rule.jet is None else rule.jet(order, series)

    def without_captured(self, rule: Rules, count: int) -> Rules:
        jvp, vjp, batch, jet = rule

        def shorter_jvp(*args: Any) -> list[Any]:
            half = len(args) // 2
            assert jvp is not None
            return jvp(*args[count:half], *args[half + count :])

        return Rules(
            None if jvp is None else shorter_jvp,
            None if vjp is None else CustomVJPCall.without_captured(self, vjp, count),
            None if batch is None else lambda size, mapped, *values: batch(size, mapped[count:], *values[count:]),
            None if jet is None else lambda order, series: jet(order, series[count:]),
        )

    def batch(
        self, size: int, values: Sequence[Any], mapped: Sequence[bool], *, function: Flat, rule: Rules, name: str
    ) -> tuple[list[Any], list[bool]]:
        if rule.batch is not None:
            return rule.batch(size, tuple(mapped), *values)
        batched = Rules(
            None if rule.jvp is None else self.batched_function(rule.jvp, size, [*mapped, *mapped]),
            None if rule.vjp is None else batched_vjp_rule(rule.vjp, size, mapped),
            None,
            None if rule.jet is None else _batched_jet(rule.jet, size, mapped),
        )
        outs = self.bind(*values, function=self.batched_function(function, size, mapped), rule=batched, name=name)
        return outs, [True] * len(outs)


def _push_forward(rule: Flat) -> Flat:
    """The tangents only: `*primals, *tangents -> result tangents`."""

    def push(*args: Any) -> list[Any]:
        outs = rule(*args)
        return list(outs[len(outs) // 2 :])

    return push


def _batched_jet(rule: Callable[..., Any], size: int, mapped: Sequence[bool]) -> Callable[..., Any]:
    """A rule for series for all lanes: every coefficient of an operand with lanes has lanes, or is ZERO."""

    def batched(order: int, series: Sequence[Any]) -> list[Any]:
        places = [(i, k) for i, s in enumerate(series) for k, c in enumerate(s) if c is not ZERO]
        form: list[list[bool]] = []

        def flat(*values: Any) -> list[Any]:
            given = [[ZERO] * (order + 1) for _ in series]
            for (i, k), value in zip(places, values):
                given[i][k] = value
            outs = rule(order, given)
            form[:] = [[c is ZERO for c in out] for out in outs]
            return [c for out in outs for c in out if c is not ZERO]

        values = [series[i][k] for i, k in places]
        found, found_mapped = batch_flat(flat, size, values, [mapped[i] for i, _ in places])
        lanes = iter(v if m else broadcast_lanes(v, size) for v, m in zip(found, found_mapped))
        return [[ZERO if is_zero else next(lanes) for is_zero in out] for out in form]

    return batched


custom_rule_call = CustomRuleCall("custom_rule_call")
