"""Reverse mode by a rule for cotangents: a linear primitive that is known by its transpose."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..core.avals import ZERO, ShapedArray
from ..core.jaxpr import Jaxpr
from ..core.paths import Leaves, leaves_of
from ..core.primitive import Primitive
from ..core.staging import trace_closed
from ..core.trace import EVAL, Params, running, typeof
from ..errors import TransposeError
from ..primitives.collectives import multiply_by_size
from ..primitives.foundation import instantiate, reduce_sum
from ..transforms.forward import jvp_flat
from ..transforms.partial_eval import partial_eval_flat
from ..transforms.transpose import backward_pass
from .zeros import WithoutZeros, with_lanes

#: `primals, which of them are differentiated -> results, residuals, backward`.
VJPRule = Callable[[list[Any], list[bool]], tuple[Sequence[Any], Sequence[Any], "Backward"]]
#: `residuals, cotangents of the results -> cotangents of the primals`; each cotangent may be ZERO.
Backward = Callable[[list[Any], list[Any]], Sequence[Any]]
#: `residuals, tangents of some primals -> tangents of the results`.
Push = Callable[[Sequence[Any], Sequence[Any]], list[Any]]


class Forward:
    """The first half of a rule for cotangents, as a function of a list that returns results and residuals.

    Attributes:
        count: how many of them are results; backward: the second half; avals: the types of the primals.
    """

    def __init__(self, rule: VJPRule, perturbed: Sequence[bool]):
        self.rule = rule
        self.perturbed = list(perturbed)
        self.count = 0
        self.backward: Any = None
        self.avals: list[ShapedArray] = []

    def __call__(self, primals: list[Any]) -> tuple[Leaves, list[ShapedArray]]:
        outs, residuals, self.backward = self.rule(primals, self.perturbed)
        self.count = len(outs)
        self.avals = [typeof(p) for p in primals]
        structure = (*getattr(outs, "structure", ()), *getattr(residuals, "structure", ()))
        found = leaves_of([*outs, *residuals], *structure)
        return found, [typeof(x) for x in found]


def jvp_by_vjp(
    primals: Sequence[Any], tangents: Sequence[Any], rule: VJPRule, push: Push | None, name: str
) -> tuple[list[Any], list[Any]]:
    """Results, and a linear equation for their tangents, which is transposed by the rule.

    Args:
        push: what the equation means forwards, `primals, tangents -> result tangents`; None: the transpose of the rule.
    """
    active = [i for i, t in enumerate(tangents) if t is not ZERO]
    forward = Forward(rule, [t is not ZERO for t in tangents])
    found = WithoutZeros(forward, primals).run()
    outs, residuals = found[: forward.count], found[forward.count :]
    own = 0 if push is None else len(primals)

    def backward_active(kept: list[Any], cotangents: list[Any]) -> list[Any]:
        count = len(kept)

        def flat(values: list[Any]) -> tuple[list[Any], list[ShapedArray]]:
            cts = forward.backward(values[own:count], values[count:])
            return [cts[i] for i in active], [forward.avals[i] for i in active]

        return WithoutZeros(flat, [*kept, *cotangents]).run(count)

    def push_active(kept: Sequence[Any], given: Sequence[Any]) -> list[Any]:
        assert push is not None
        slopes: list[Any] = [ZERO] * own
        for i, t in zip(active, given):
            slopes[i] = t
        return push(kept[:own], slopes)

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
    return outs, out_tangents


class CustomLinear(Primitive):
    """The derivative of a function with a rule for cotangents: linear in its last operands, known by its transpose.

    Transposed it is the user's rule. Applied to tangents, in forward mode, it is the transpose of that rule, which
    is linear in the cotangents; or a rule for tangents, if there is one (`push`).
    """

    only_moves = True
    stands_for_program = True
    may_name_axes = True

    def abstract_eval(self, *avals: ShapedArray, out_avals: Any, **params: Any) -> list[ShapedArray]:
        return list(out_avals)

    def impl(self, *args: Any, **params: Any) -> list[Any]:
        with running(EVAL):
            return self.push_forward(args, **params)

    def program_to_run(self, params: Params, avals: Sequence[Any]) -> Jaxpr | None:
        """What it does to tangents, traced; None for a rule that needs values, which Python runs then."""
        if not all(isinstance(aval, ShapedArray) for aval in avals):
            return None
        try:
            return trace_closed(lambda *args: self.push_forward(args, **params), [aval.strong() for aval in avals])
        except Exception:  # which comes again when the rule runs, if it is one
            return None

    def push_forward(
        self,
        args: Sequence[Any],
        *,
        backward: Backward,
        push: Push | None,
        residual_count: int,
        out_avals: Sequence[ShapedArray],
        name: str,
    ) -> list[Any]:
        """The rule for it, or the transpose of the backward rule, by primitives that can be differentiated again."""
        residuals, tangents = args[:residual_count], args[residual_count:]
        if push is not None:
            found = push(residuals, tangents)
        else:
            trace, inputs, outs = partial_eval_flat(lambda *cts: backward(list(residuals), list(cts)), out_avals)
            atoms = [None if out is ZERO else trace.atom(out) for out in outs]
            try:
                found = backward_pass(trace.eqns, [x.atom for x in inputs], atoms, tangents)
            except TransposeError as error:
                error.add_note(
                    f"Forward mode transposes the backward rule of `{name}`, which must be linear in the cotangent. "
                    "functrans.custom_rule takes a rule for forward mode beside one for reverse mode."
                )
                raise
        return [instantiate(t, aval) for t, aval in zip(found, out_avals)]

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Any], **params: Any) -> tuple[list[Any], list[Any]]:
        residual_count = params["residual_count"]
        if all(t is ZERO for t in tangents[:residual_count]):
            filled = [instantiate(t, typeof(p)) for p, t in zip(primals, tangents)][residual_count:]
            return self.bind(*primals, **params), self.bind(*primals[:residual_count], *filled, **params)
        return jvp_flat(lambda *args: self.push_forward(args, **params), primals, tangents)

    def transpose(
        self, cotangents: Sequence[Any], *args: Any, backward: Backward, residual_count: int, **params: Any
    ) -> list[Any]:
        return [*[None] * residual_count, *backward(list(args[:residual_count]), list(cotangents))]

    def batch(self, size: int, values: Sequence[Any], mapped: Sequence[bool], **params: Any) -> Any:
        return self.batch_named(None, size, values, mapped, **params)

    def batch_named(
        self,
        axis_name: Any,
        size: int,
        values: Sequence[Any],
        mapped: Sequence[bool],
        *,
        backward: Backward,
        push: Push | None,
        residual_count: int,
        out_avals: Any,
        **params: Any,
    ) -> tuple[list[Any], list[bool]]:
        if not any(mapped):
            kept = {"backward": backward, "push": push, "residual_count": residual_count, "out_avals": out_avals}
            outs = self.bind(*values, **kept, **params)
            return outs, [False] * len(outs)
        flags = mapped[:residual_count]
        tangents = with_lanes(values[residual_count:], mapped[residual_count:], size)
        lane_avals = [typeof(t).without_lanes() for t in tangents]
        outs = self.bind(
            *values[:residual_count],
            *tangents,
            backward=batched_backward(backward, size, flags, lane_avals, [True] * len(tangents), axis_name),
            push=None if push is None else _batched_push(push, size, flags, out_avals, axis_name),
            residual_count=residual_count,
            out_avals=tuple(aval.with_lanes(size) for aval in out_avals),
            **params,
        )
        return outs, [True] * len(outs)


def batched_vjp_rule(rule: VJPRule, size: int, mapped: Sequence[bool], axis_name: Any) -> VJPRule:
    """A rule for cotangents for all lanes."""

    def batched(primals: list[Any], perturbed: list[bool]) -> Any:
        forward = Forward(rule, perturbed)
        found, found_mapped = WithoutZeros(forward, primals).run_lanes(size, mapped, axis_name)
        count = forward.count
        outs = with_lanes(found[:count], found_mapped[:count], size)
        flags = found_mapped[count:]
        backward = batched_backward(forward.backward, size, flags, forward.avals, mapped, axis_name)
        return outs, found[count:], backward

    return batched


def batched_backward(
    backward: Backward,
    size: int,
    residuals_mapped: Sequence[bool],
    lane_avals: Sequence[ShapedArray],
    mapped: Sequence[bool],
    axis_name: Any,
) -> Backward:
    """A backward rule for all lanes; an operand without lanes gets the sum of their cotangents."""

    def batched(residuals: list[Any], cotangents: list[Any]) -> list[Any]:
        count = len(residuals)

        def flat(values: list[Any]) -> tuple[Sequence[Any], Sequence[ShapedArray]]:
            return backward(values[:count], values[count:]), lane_avals

        flags = [*residuals_mapped, *[True] * len(cotangents)]
        lanes = WithoutZeros(flat, [*residuals, *cotangents]).run_lanes(size, flags, axis_name)
        return [_gathered(c, has_lanes, is_mapped, size) for c, has_lanes, is_mapped in zip(*lanes, mapped)]

    return batched


def _gathered(ct: Any, has_lanes: bool, is_mapped: bool, size: int) -> Any:
    """The cotangent of an operand: one for each lane if it is mapped, otherwise their sum."""
    if is_mapped or ct is ZERO:
        return with_lanes([ct], [has_lanes], size)[0]
    return reduce_sum(ct, axes=(0,)) if has_lanes else multiply_by_size(ct, size)


def _batched_push(
    push: Push, size: int, residuals_mapped: Sequence[bool], out_avals: Sequence[ShapedArray], axis_name: Any
) -> Push:
    """What a linear equation means forwards, for all lanes."""

    def batched(residuals: Sequence[Any], tangents: Sequence[Any]) -> list[Any]:
        count = len(residuals)

        def flat(values: list[Any]) -> tuple[Sequence[Any], Sequence[ShapedArray]]:
            return push(values[:count], values[count:]), out_avals

        flags = [*residuals_mapped, *[True] * len(tangents)]
        return with_lanes(*WithoutZeros(flat, [*residuals, *tangents]).run_lanes(size, flags, axis_name), size)

    return batched


custom_linear = CustomLinear("custom_linear")
