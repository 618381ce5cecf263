"""Primitives for functions with derivative rules of their own.

Their parameters are Python functions of flat arguments. Only staging turns the function itself into a jaxpr; rules
stay Python functions and run when a derivative is taken.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..core.avals import ZERO, ShapedArray, is_inexact
from ..core.jaxpr import Jaxpr, eval_jaxpr
from ..core.paths import Leaves, leaves_of
from ..core.primitive import Primitive
from ..core.staging import call_deciding, trace_to_jaxpr
from ..core.trace import EVAL, Params, running, typeof
from ..core.tracer import Tracer, argument
from ..primitives.foundation import broadcast_lanes, instantiate, reduce_sum
from ..transforms.batching import batch_flat
from ..transforms.forward import jvp_flat
from ..transforms.partial_eval import partial_eval_flat
from ..transforms.transpose import backward_pass
from .programs import jaxpr_has_effects

Flat = Callable[..., list[Any]]


class StagedFunction:
    """A jaxpr as a function."""

    __slots__ = ("jaxpr",)

    def __init__(self, jaxpr: Jaxpr):
        self.jaxpr = jaxpr

    def __call__(self, *args: Any) -> list[Any]:
        return eval_jaxpr(self.jaxpr, *args)


class CustomCall(Primitive):
    """What functions with custom rules have in common: parameters `function`, `rule` and `name`."""

    holds_programs = True

    def abstract_eval(self, *avals: ShapedArray, function: Any, rule: Any, name: str) -> list[ShapedArray]:
        return function.jaxpr.out_avals

    def impl(self, *args: Any, function: Flat, rule: Any, name: str) -> list[Any]:
        with running(EVAL):
            return function(*args)

    def stage(self, trace: Any, args: Sequence[Any], params: Params) -> list[Any]:
        """Make a jaxpr of the function; tracers it captured become operands that the rule does not see."""
        function, rule = params["function"], params["rule"]
        if not isinstance(function, StagedFunction):
            jaxpr, captured = trace_to_jaxpr(function, [typeof(a) for a in args])
            function = StagedFunction(jaxpr)
            if captured:
                rule = self.without_captured(rule, len(captured))
                args = [*captured, *args]
        return trace.record(self, args, {**params, "function": function, "rule": rule})

    def has_effects(self, params: Params) -> bool:
        function = params["function"]
        return isinstance(function, StagedFunction) and jaxpr_has_effects(function.jaxpr)

    def without_captured(self, rule: Any, count: int) -> Any:
        """The rule for a function with `count` more operands in front."""
        raise NotImplementedError

    def partial_eval(self, trace: Any, unknown: Sequence[bool], args: Sequence[Any], params: Params) -> list[Any]:
        """Only linear programs written by users get here: the function is what is linear, its rule is not needed."""
        with running(trace):
            return params["function"](*args)

    def batched_function(self, function: Flat, size: int, mapped: Sequence[bool]) -> Flat:
        """All lanes at once, every result with lanes."""

        def batched(*values: Any) -> list[Any]:
            return _force_lanes(*batch_flat(function, size, values, mapped), size)

        return batched


class CustomJVPCall(CustomCall):
    """A function with a rule for tangents: `rule(*primals, *tangents) -> [*results, *result tangents]`."""

    def jvp(
        self, primals: Sequence[Any], tangents: Sequence[Any], *, function: Flat, rule: Flat, name: str
    ) -> tuple[list[Any], list[Any]]:
        filled = [instantiate(t, typeof(p)) for t, p in zip(tangents, primals)]
        outs = call_deciding(rule, *as_arguments([*primals, *filled]))
        count = len(outs) // 2
        return outs[:count], inexact_only(outs[:count], outs[count:])

    def without_captured(self, rule: Flat, count: int) -> Flat:
        def shorter(*args: Any) -> list[Any]:
            half = len(args) // 2
            return rule(*args[count:half], *args[half + count :])

        return shorter

    def batch(
        self, size: int, values: Sequence[Any], mapped: Sequence[bool], *, function: Flat, rule: Flat, name: str
    ) -> tuple[list[Any], list[bool]]:
        batched_rule = self.batched_function(rule, size, [*mapped, *mapped])
        batched = self.batched_function(function, size, mapped)
        outs = self.bind(*values, function=batched, rule=batched_rule, name=name)
        return outs, [True] * len(outs)


class CustomVJPCall(CustomCall):
    """A function with a rule for cotangents.

    `rule(*primals)` returns results, residuals, and a function `backward(residuals, cotangents)` that returns the
    cotangents of the primals, ZERO where there is none.
    """

    def jvp(
        self, primals: Sequence[Any], tangents: Sequence[Any], *, function: Flat, rule: Any, name: str
    ) -> tuple[list[Any], list[Any]]:
        return self.jvp_by_vjp(primals, tangents, rule, name, None)

    def jvp_by_vjp(
        self, primals: Sequence[Any], tangents: Sequence[Any], rule: Any, name: str, push: Flat | None
    ) -> tuple[list[Any], list[Any]]:
        """Results, and a linear equation for their tangents, which is transposed by the rule.

        Args:
            push: what the equation means forwards, `*primals, *tangents -> result tangents`; None: the transpose of
                the rule.
        """
        forward = _FlatForward(rule)
        outs, residuals = forward.split(call_deciding(forward, *as_arguments(primals)))
        backward = forward.backward
        active = [i for i, t in enumerate(tangents) if t is not ZERO]

        own = 0 if push is None else len(primals)

        def backward_active(residuals: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
            def flat(*args: Any) -> list[Any]:
                found = backward(args[own:count], args[count:])
                return [instantiate(found[i], typeof(primals[i])) for i in active]

            count = len(residuals)
            return list(call_deciding(flat, *as_arguments([*residuals, *cotangents])))

        def push_active(residuals: Sequence[Any], given: Sequence[Any]) -> list[Any]:
            assert push is not None
            slopes = [ZERO] * own
            for i, t in zip(active, given):
                slopes[i] = t
            filled = [instantiate(t, typeof(p)) for t, p in zip(slopes, residuals)]
            return list(call_deciding(push, *as_arguments([*residuals[:own], *filled])))

        kept = [*primals[:own], *residuals]
        out_tangents = custom_linear.bind(
            *kept,
            *(tangents[i] for i in active),
            backward=backward_active,
            push=None if push is None else push_active,
            residual_count=len(kept),
            out_avals=tuple(typeof(out).strong() for out in outs),
            name=name,
        )
        return outs, inexact_only(outs, out_tangents)

    def without_captured(self, rule: Any, count: int) -> Any:
        def shorter(*args: Any) -> Any:
            outs, residuals, backward = rule(*args[count:])
            return outs, residuals, lambda res, cts: [*[ZERO] * count, *backward(res, cts)]

        return shorter

    def batch(
        self, size: int, values: Sequence[Any], mapped: Sequence[bool], *, function: Flat, rule: Any, name: str
    ) -> tuple[list[Any], list[bool]]:
        batched = self.batched_function(function, size, mapped)
        outs = self.bind(*values, function=batched, rule=batched_vjp_rule(rule, size, mapped), name=name)
        return outs, [True] * len(outs)


class _FlatForward:
    """The forward half of a rule for cotangents, as a function that returns results and residuals in one list."""

    def __init__(self, rule: Any):
        self.rule = rule
        self.count = 0
        self.backward: Any = None

    def __call__(self, *args: Any) -> Leaves:
        outs, residuals, self.backward = self.rule(*args)
        self.count = len(outs)
        return leaves_of([*outs, *residuals], *getattr(outs, "structure", ()), *getattr(residuals, "structure", ()))

    def split(self, leaves: Sequence[Any]) -> tuple[Sequence[Any], Sequence[Any]]:
        """Results and residuals."""
        return leaves[: self.count], leaves[self.count :]


class CustomLinear(Primitive):
    """The derivative of a function with a custom vjp: linear in its last operands, known by its transpose.

    Transposed it is the user's rule. Applied to tangents, in forward mode, it is the transpose of that rule, which
    is linear in the cotangents.
    """

    def abstract_eval(self, *avals: ShapedArray, out_avals: Any, **params: Any) -> list[ShapedArray]:
        return list(out_avals)

    def impl(self, *args: Any, **params: Any) -> list[Any]:
        with running(EVAL):
            return self.push_forward(args, **params)

    def push_forward(
        self, args: Sequence[Any], *, backward: Any, push: Any, residual_count: int, out_avals: Any, name: str
    ) -> list[Any]:
        """The rule for it, or the transpose of the backward rule, by primitives that can be differentiated again."""
        residuals, tangents = args[:residual_count], args[residual_count:]
        if push is not None:
            return push(residuals, tangents)
        trace, inputs, outs = partial_eval_flat(lambda *cts: backward(residuals, cts), out_avals)
        atoms = [trace.atom(out) for out in outs]
        found = backward_pass(trace.eqns, [x.atom for x in inputs], atoms, tangents)
        return [instantiate(c, aval) for c, aval in zip(found, out_avals)]

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Any], **params: Any) -> tuple[list[Any], list[Any]]:
        residual_count = params["residual_count"]
        if all(t is ZERO for t in tangents[:residual_count]):
            filled = [instantiate(t, typeof(p)) for p, t in zip(primals, tangents)][residual_count:]
            return self.bind(*primals, **params), self.bind(*primals[:residual_count], *filled, **params)
        return jvp_flat(lambda *args: self.push_forward(args, **params), primals, tangents)

    def transpose(
        self,
        cotangents: Sequence[Any],
        *args: Any,
        backward: Any,
        push: Any,
        residual_count: int,
        out_avals: Any,
        name: str,
    ) -> list[Any]:
        filled = [instantiate(c, aval) for c, aval in zip(cotangents, out_avals)]
        return [*[None] * residual_count, *backward(args[:residual_count], filled)]

    def batch(
        self,
        size: int,
        values: Sequence[Any],
        mapped: Sequence[bool],
        *,
        backward: Any,
        push: Any,
        residual_count: int,
        out_avals: Any,
        name: str,
    ) -> tuple[list[Any], list[bool]]:
        lanes = _force_lanes(values, mapped, size)
        everywhere = [True] * (len(values) - residual_count)
        outs = self.bind(
            *lanes,
            backward=_batched_backward(backward, size, everywhere),
            push=None if push is None else _batched_push(push, size),
            residual_count=residual_count,
            out_avals=tuple(aval.with_shape((size, *aval.shape)) for aval in out_avals),
            name=name,
        )
        return outs, [True] * len(outs)


def as_arguments(values: Sequence[Any]) -> list[Any]:
    """Operands for a rule of the user's: traced ones belong to the current trace, and so does what is made of them."""
    return [argument(x.copy()) if isinstance(x, Tracer) else x for x in values]


def inexact_only(outs: Sequence[Any], tangents: Sequence[Any]) -> list[Any]:
    """Tangents of results, ZERO for those that are integers or booleans."""
    return [t if is_inexact(typeof(y).dtype) else ZERO for y, t in zip(outs, tangents)]


def _force_lanes(values: Sequence[Any], mapped: Sequence[bool], size: int) -> list[Any]:
    return [v if is_mapped else broadcast_lanes(v, size) for v, is_mapped in zip(values, mapped)]


def batched_vjp_rule(rule: Any, size: int, mapped: Sequence[bool]) -> Any:
    """A rule for cotangents for all lanes."""

    def batched(*values: Any) -> Any:
        forward = _FlatForward(rule)
        outs, residuals = forward.split(_force_lanes(*batch_flat(forward, size, values, mapped), size))
        return outs, residuals, _batched_backward(forward.backward, size, mapped)

    return batched


def _batched_push(push: Any, size: int) -> Any:
    """What a linear equation means forwards, for all lanes."""

    def batched(residuals: Sequence[Any], tangents: Sequence[Any]) -> list[Any]:
        count = len(residuals)
        values = [*residuals, *tangents]
        lanes = batch_flat(lambda *xs: push(xs[:count], xs[count:]), size, values, [True] * len(values))
        return _force_lanes(*lanes, size)

    return batched


def _batched_backward(backward: Any, size: int, mapped: Sequence[bool]) -> Any:
    """A backward rule for all lanes; an operand without lanes gets the sum of their cotangents."""

    def batched(residuals: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        count = len(residuals)
        zeros: list[bool] = []

        def flat(*xs: Any) -> list[Any]:
            found = backward(xs[:count], xs[count:])
            are_zero = [c is ZERO for c in found]
            zeros[:] = [a and b for a, b in zip(are_zero, zeros or are_zero)]  # it runs again for each way of an `if`
            return [0.0 if c is ZERO else c for c in found]

        values = [*residuals, *cotangents]
        found = _force_lanes(*batch_flat(flat, size, values, [True] * len(values)), size)
        return [
            ZERO if is_zero else c if is_mapped else reduce_sum(c, axes=(0,))
            for c, is_zero, is_mapped in zip(found, zeros, mapped)
        ]

    return batched


custom_jvp_call = CustomJVPCall("custom_jvp_call")
custom_vjp_call = CustomVJPCall("custom_vjp_call")
custom_linear = CustomLinear("custom_vjp_linear")
