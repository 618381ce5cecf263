"""Rules on flat values; and rules that close over tracers, as rules with more operands."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from ..core.avals import ZERO, ShapedArray
from ..core.jaxpr import eval_jaxpr
from ..core.paths import Leaves, leaves_of
from ..core.trace import current_trace, running, typeof
from ..primitives.foundation import add_tangents, match
from ..transforms.partial_eval import PartialEvalTrace, UnknownTracer, close_over_residuals
from ..transforms.transpose import transpose_jaxpr
from .closures import call_closed
from .custom_linear import VJPRule
from .zeros import WithoutZeros

Flat = Callable[..., Sequence[Any]]
Series = list[Any]


class Rules(NamedTuple):
    """Rules on flat values; None where one is derived.

    Attributes:
        jvp: `primals, tangents -> results, result tangents`; tangents, given and returned, may be ZERO.
        vjp: `primals, which are differentiated -> results, residuals, backward`, where `backward` is a function
            `residuals, cotangents -> cotangents of the primals`; cotangents, given and returned, may be ZERO.
        batch: `size, mapped, values -> results, which of them are mapped`.
        jet: `order, series -> series of the results`, with Taylor coefficients, which may be ZERO.
        captured: how many of the first operands are tracers that function and rules close over. The rules for
            batch and jet know them only as constants.
    """

    jvp: Callable[[list[Any], list[Any]], tuple[Sequence[Any], Sequence[Any]]] | None = None
    vjp: VJPRule | None = None
    batch: Callable[..., tuple[Sequence[Any], Sequence[bool]]] | None = None
    jet: Callable[[int, list[Series]], Sequence[Series]] | None = None
    captured: int = 0

    @property
    def for_tangents(self) -> bool:
        """Whether derivatives have a rule."""
        return self.jvp is not None or self.vjp is not None


def flat_jvp(rule: Any, count: int) -> Any:
    """A rule for forward mode as a function of one list that returns one list, and its types."""

    def flat(values: list[Any]) -> tuple[Leaves, list[ShapedArray]]:
        outs, tangents = rule(values[:count], values[count:])
        avals = [typeof(y).strong() for y in outs]
        return leaves_of([*outs, *tangents], *getattr(outs, "structure", ())), [*avals, *avals]

    return flat


def flat_jet(rule: Any, order: int) -> Any:
    """A rule for Taylor mode as a function of one list that returns one list, and its types."""

    def flat(values: list[Any]) -> tuple[list[Any], list[ShapedArray]]:
        found = rule(order, rows(values, order + 1))
        avals = [typeof(s[0]).strong() for s in found for _ in s]
        structure = getattr(found, "structure", ())
        return leaves_of([c for s in found for c in s], *structure), avals

    return flat


def rows(values: Sequence[Any], length: int) -> list[list[Any]]:
    """A flat list cut into lists of one length."""
    return [list(values[i : i + length]) for i in range(0, len(values), length)]


# ---- captured tracers as operands


def closed_function(captured: Sequence[Any], function: Flat) -> Flat:
    """A function whose first operands stand for tracers that it captured."""
    count = len(captured)

    def closed(*args: Any) -> Leaves:
        return call_closed(captured, function, args[:count], [ZERO] * count, args[count:])[0]

    return closed


def closed_rules(captured: Sequence[Any], rules: Rules) -> Rules:
    """The rules for a function whose first operands stand for captured tracers, or (None) for nothing."""
    if not captured:
        return rules
    return Rules(
        None if rules.jvp is None else _closed_jvp(captured, rules.jvp),
        None if rules.vjp is None else _closed_vjp(captured, rules.vjp),
        None if rules.batch is None else _closed_batch(captured, rules.batch),
        None if rules.jet is None else _closed_jet(captured, rules.jet),
        rules.captured + len(captured),
    )


def _closed_jvp(captured: Sequence[Any], rule: Any) -> Any:
    """By what it captured, the code of the rule that computes results is differentiated."""
    count = len(captured)

    def closed(primals: list[Any], tangents: list[Any]) -> tuple[Leaves, list[Any]]:
        fixed = len(primals) - count
        flat = flat_jvp(rule, fixed)
        values, operands = primals[:count], [*primals[count:], *tangents[count:]]
        found, moved = call_closed(captured, lambda *xs: flat(list(xs))[0], values, tangents[:count], operands, fixed)
        half = len(found) // 2
        outs = leaves_of(found[:half], *found.structure)
        return outs, [add_tangents(t, match(m, y)) for t, m, y in zip(found[half:], moved, outs)]

    return closed


def _closed_vjp(captured: Sequence[Any], rule: VJPRule) -> VJPRule:
    """As for forward mode, transposed. What the captured tracers stand for is among the residuals."""
    count = len(captured)

    def closed(primals: list[Any], perturbed: list[bool]) -> Any:
        values, still = primals[:count], [ZERO] * count
        inner: list[Any] = []

        def forward(*xs: Any) -> Leaves:
            outs, residuals, backward = rule(list(xs), perturbed[count:])
            inner[:] = [len(outs), backward]
            structure = (*getattr(outs, "structure", ()), *getattr(residuals, "structure", ()))
            return leaves_of([*outs, *residuals], *structure)

        def with_slopes(given: list[Any]) -> tuple[Leaves, list[ShapedArray]]:
            found, moved = call_closed(captured, forward, given[:count], given[count : 2 * count], given[2 * count :])
            avals = [typeof(y).strong() for y in found]
            return leaves_of([*found, *moved], *found.structure), [*avals, *avals]

        trace = PartialEvalTrace(current_trace.get())
        slopes = [UnknownTracer(trace, typeof(v)) if p else ZERO for v, p in zip(values, perturbed)]
        with running(trace):
            found = WithoutZeros(with_slopes, [*values, *slopes, *primals[count:]]).run()
        size, backward = inner
        half = len(found) // 2
        linear = _Linear(trace, slopes, found[half : half + size])
        split = count + len(linear.residuals)

        def closed_backward(kept: list[Any], cotangents: list[Any]) -> list[Any]:
            rest = len(kept) - split
            flat = lambda *xs: backward(list(xs[:rest]), list(xs[rest:]))  # noqa: E731
            by_rule, _ = call_closed(captured, flat, kept[:count], still, [*kept[split:], *cotangents], rest)
            return [*linear.pull_back(kept[count:split], cotangents), *by_rule]

        known = trace.without_cells(found[:half])
        return known[:size], [*values, *linear.residuals, *known[size:]], closed_backward

    return closed


class _Linear:
    """The linear program that was recorded from some inputs, UnknownTracers or ZERO, to some results."""

    def __init__(self, trace: PartialEvalTrace, inputs: Sequence[Any], outputs: Sequence[Any]):
        self.is_input = [x is not ZERO for x in inputs]
        self.is_output = [y is not ZERO for y in outputs]
        variables = [x.atom for x in inputs if x is not ZERO]
        atoms = [trace.atom(y) for y in outputs if y is not ZERO]
        self.jaxpr, self.residuals = close_over_residuals(trace.eqns, variables, atoms)

    def pull_back(self, residuals: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        """Cotangents of the inputs; those given and returned may be ZERO."""
        given = [c for c, is_output in zip(cotangents, self.is_output) if is_output]
        active = tuple(c is not ZERO for c in given)
        given = [c for c in given if c is not ZERO]
        linear = tuple(i >= len(residuals) for i in range(len(self.jaxpr.inputs)))
        transposed, out_active = transpose_jaxpr(self.jaxpr, linear, active, tuple(map(typeof, given)))
        outs = iter(eval_jaxpr(transposed, *residuals, *given))
        found = iter([next(outs) if is_active else ZERO for is_active in out_active])
        return [next(found) if is_input else ZERO for is_input in self.is_input]


def _closed_batch(captured: Sequence[Any], rule: Any) -> Any:
    count = len(captured)

    def closed(size: int, mapped: Sequence[bool], values: list[Any]) -> tuple[Leaves, list[bool]]:
        flags: list[bool] = []

        def flat(*xs: Any) -> Sequence[Any]:
            outs, flags[:] = rule(size, mapped[count:], list(xs))
            return outs

        return call_closed(captured, flat, values[:count], [ZERO] * count, values[count:])[0], flags

    return closed


def _closed_jet(captured: Sequence[Any], rule: Any) -> Any:
    count = len(captured)

    def closed(order: int, series: list[Series]) -> Leaves:
        flat = flat_jet(rule, order)
        values, operands = [s[0] for s in series[:count]], [c for s in series[count:] for c in s]
        found, _ = call_closed(captured, lambda *xs: flat(list(xs))[0], values, [ZERO] * count, operands)
        return leaves_of(rows(found, order + 1), *found.structure)

    return closed
