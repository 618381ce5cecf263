"""The primitive of functions with rules of their own: jvp, vjp, batch and jet.

Its parameters are Python functions of flat arguments. Only staging turns the function itself into a jaxpr; rules stay
Python functions, and run when a transformation wants them.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from ..core.avals import ZERO, ShapedArray, is_inexact
from ..core.jaxpr import Jaxpr, eval_jaxpr
from ..core.primitive import Primitive
from ..core.staging import call_deciding, trace_to_jaxpr
from ..core.trace import EVAL, Params, running, typeof
from ..errors import CustomRuleError
from ..transforms.batching import batch_flat
from ..transforms.forward import jvp_flat
from ..transforms.jet import is_moving, jet_by_tangents
from .closed_rules import Flat, Rules, Series, closed_function, closed_rules, flat_jet, flat_jvp, rows
from .custom_linear import batched_vjp_rule, jvp_by_vjp
from .programs import guarded, jaxpr_has_effects, mentions_axis
from .zeros import WithoutZeros, as_arguments, with_lanes


class StagedFunction:
    """A jaxpr as a function."""

    __slots__ = ("jaxpr",)

    def __init__(self, jaxpr: Jaxpr):
        self.jaxpr = jaxpr

    def __call__(self, *args: Any) -> list[Any]:
        return eval_jaxpr(self.jaxpr, *args)


class CustomCall(Primitive):
    """A function with some rules; what has none follows from the others, or from the function.

    Params:
        function: takes and returns flat values.
        rules: its Rules; name: what users call it.
    """

    holds_programs = stands_for_program = True
    may_name_axes = True

    def abstract_eval(self, *avals: ShapedArray, function: Any, rules: Rules, name: str) -> list[ShapedArray]:
        return function.jaxpr.out_avals

    def impl(self, *args: Any, function: Flat, rules: Rules, name: str) -> list[Any]:
        with running(EVAL):
            return list(function(*args))

    def jvp(
        self, primals: Sequence[Any], tangents: Sequence[Any], *, function: Flat, rules: Rules, name: str
    ) -> tuple[Sequence[Any], Sequence[Any]]:
        """By the rules; with respect to what the function closes over, and without rules, by its own code."""
        if not rules.for_tangents:
            return jvp_flat(function, primals, tangents)
        if all(t is ZERO for t in tangents[rules.captured :]):  # the results keep the rules for whoever comes next
            outs = self.bind(*primals, function=function, rules=rules, name=name)
            return outs, jvp_flat(function, primals, tangents)[1]
        if rules.vjp is not None:
            push = None if rules.jvp is None else lambda ps, ts: _jvp_by_rule(rules.jvp, ps, ts)[1]
            outs, out_tangents = jvp_by_vjp(primals, tangents, rules.vjp, push, name)
        else:
            outs, out_tangents = _jvp_by_rule(rules.jvp, primals, tangents)
        _check_results([typeof(y) for y in outs], function, "jvp" if rules.vjp is None else "vjp", name)
        return outs, [t if is_inexact(typeof(y).dtype) else ZERO for y, t in zip(outs, out_tangents)]

    def jet(
        self, order: int, series: Sequence[Series], /, *, function: Flat, rules: Rules, name: str
    ) -> list[Series] | None:
        if rules.jet is None or any(map(is_moving, series[: rules.captured])):
            if not rules.for_tangents or not any(map(is_moving, series[rules.captured :])):
                return None
            by_tangents = partial(self.jvp, function=function, rules=rules, name=name)
            return jet_by_tangents(by_tangents, order, series)
        flat = WithoutZeros(flat_jet(rules.jet, order), [c for s in series for c in s])
        found = rows(flat.run(), order + 1)
        _check_results([typeof(s[0]) for s in found], function, "jet", name)
        return found

    def batch(self, size: int, values: Sequence[Any], mapped: Sequence[bool], **params: Any) -> Any:
        return self.batch_named(None, size, values, mapped, **params)

    def batch_named(
        self,
        axis_name: Any,
        size: int,
        values: Sequence[Any],
        mapped: Sequence[bool],
        *,
        function: Flat,
        rules: Rules,
        name: str,
    ) -> tuple[Sequence[Any], Sequence[bool]]:
        staged = isinstance(function, StagedFunction)
        if not any(mapped) and not (staged and mentions_axis(function.jaxpr, axis_name)):
            outs = self.bind(*values, function=function, rules=rules, name=name)
            return outs, [False] * len(outs)
        if rules.batch is not None and not any(mapped[: rules.captured]):
            outs, flags = _batch_by_rule(rules.batch, size, tuple(mapped), values)
            avals = [typeof(y).without_lanes() if is_mapped else typeof(y) for y, is_mapped in zip(outs, flags)]
            _check_results(avals, function, "batch", name)
            return outs, flags

        def all_lanes(*args: Any) -> list[Any]:
            return with_lanes(*batch_flat(function, size, args, mapped, axis_name), size)

        batched = Rules(
            None if rules.jvp is None else _batched_jvp(rules.jvp, size, mapped, axis_name),
            None if rules.vjp is None else batched_vjp_rule(rules.vjp, size, mapped, axis_name),
            None,
            None if rules.jet is None else _batched_jet(rules.jet, size, mapped, axis_name),
            rules.captured,
        )
        outs = self.bind(*values, function=all_lanes, rules=batched, name=name)
        return outs, [True] * len(outs)

    def uses_axis(self, axis_name: Any, params: Params) -> bool:
        function = params["function"]
        return isinstance(function, StagedFunction) and mentions_axis(function.jaxpr, axis_name)

    def stage(self, trace: Any, args: Sequence[Any], params: Params) -> list[Any]:
        """Make a jaxpr of the function; tracers it captured become operands."""
        function = params["function"]
        if not isinstance(function, StagedFunction):
            jaxpr, captured = trace_to_jaxpr(function, [typeof(a) for a in args])
            rules = closed_rules(captured, params["rules"])
            params = {**params, "function": StagedFunction(jaxpr), "rules": rules}
            args = [*captured, *args]
        return trace.record(self, args, params)

    def program_to_run(self, params: Params, avals: Sequence[Any]) -> Jaxpr | None:
        return getattr(params["function"], "jaxpr", None)

    def has_effects(self, params: Params) -> bool:
        function = params["function"]
        return isinstance(function, StagedFunction) and jaxpr_has_effects(function.jaxpr)

    def guarded(self, params: Params) -> tuple[Params, int]:
        function = StagedFunction(guarded(params["function"].jaxpr))
        return {**params, "function": function, "rules": closed_rules([None], params["rules"])}, 0

    def partial_eval(self, trace: Any, unknown: Sequence[bool], args: Sequence[Any], params: Params) -> list[Any]:
        """Only linear programs written by users get here: the function is what is linear, its rules are not needed."""
        with running(trace):
            return list(params["function"](*args))


custom_call = CustomCall("custom_call")


def call_with_rules(
    function: Flat, rules: Rules, name: str, captured: Sequence[Any], args: Sequence[Any]
) -> list[Any]:
    """`function(*args)`, to be transformed by its rules.

    Args:
        captured: tracers that the function and its rules close over.
    """
    if captured:
        function, rules = closed_function(captured, function), closed_rules(captured, rules)
    return custom_call.bind(*captured, *args, function=function, rules=rules, name=name)


def _jvp_by_rule(rule: Any, primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[list[Any], list[Any]]:
    """Results and tangents by a rule for forward mode."""
    outs = WithoutZeros(flat_jvp(rule, len(primals)), [*primals, *tangents]).run(len(primals))
    return outs[: len(outs) // 2], outs[len(outs) // 2 :]


def _batch_by_rule(
    rule: Any, size: int, mapped: tuple[bool, ...], values: Sequence[Any]
) -> tuple[Sequence[Any], Sequence[bool]]:
    """Results by a rule for lanes, and which of them are mapped."""
    flags: list[bool] = []

    def flat(*xs: Any) -> Sequence[Any]:
        outs, flags[:] = rule(size, mapped, list(xs))
        return outs

    return call_deciding(flat, *as_arguments(values, len(values))), flags


def _batched_jvp(rule: Any, size: int, mapped: Sequence[bool], axis_name: Any) -> Any:
    """A rule for forward mode for all lanes."""

    def batched(primals: list[Any], tangents: list[Any]) -> tuple[list[Any], list[Any]]:
        flat = WithoutZeros(flat_jvp(rule, len(primals)), [*primals, *tangents])
        outs = with_lanes(*flat.run_lanes(size, [*mapped, *mapped], axis_name), size)
        return outs[: len(outs) // 2], outs[len(outs) // 2 :]

    return batched


def _batched_jet(rule: Any, size: int, mapped: Sequence[bool], axis_name: Any) -> Any:
    """A rule for Taylor mode for all lanes: every coefficient of an operand with lanes has lanes, or is ZERO."""

    def batched(order: int, series: list[Series]) -> list[Series]:
        flat = WithoutZeros(flat_jet(rule, order), [c for s in series for c in s])
        flags = [is_mapped for is_mapped in mapped for _ in range(order + 1)]
        return rows(with_lanes(*flat.run_lanes(size, flags, axis_name), size), order + 1)

    return batched


def _check_results(avals: Sequence[ShapedArray], function: Flat, kind: str, name: str) -> None:
    """Raise CustomRuleError if results by a rule have other types than those of the function, as far as is known."""
    if isinstance(function, StagedFunction):
        check_types(avals, function.jaxpr.out_avals, kind, name)


def check_types(found: Sequence[ShapedArray], wanted: Sequence[ShapedArray], kind: str, name: str) -> None:
    """Raise CustomRuleError if results by a rule have other types than those of the function."""
    for by_rule, own in zip(found, wanted):
        if by_rule.strong() != own.strong():
            raise CustomRuleError(
                f"The {kind} rule of `{name}` returned a result of type {by_rule}, but `{name}` itself one of type "
                f"{own}.",
                "A rule returns what the function returns, and its derivative with it.",
                "Correct the rule, or convert the result with `.astype(...)`.",
            )
