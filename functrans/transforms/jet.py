"""Taylor mode: truncated power series in place of values.

A series is a list of coefficients c with x(t) = sum_k c[k] t^k. Linear primitives act on each coefficient, products
are Cauchy products, and everything else is integrated from its jvp rule: y' is the derivative of the primitive in the
direction x', itself computed in Taylor mode one order lower (Bettencourt, Johnson and Duvenaud 2019 give the idea of
propagating series through primitives; the recurrence is the classical one of Griewank and Walther, ch. 13).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any

from ..core.avals import ZERO, ShapedArray
from ..core.cells import argument
from ..core.conversion import lossy_conversion_error
from ..core.jaxpr import Jaxpr, eval_jaxpr, memoized
from ..core.primitive import Primitive
from ..core.selected import Selected
from ..core.staging import trace_closed
from ..core.trace import Params, Trace, current_trace, running, typeof
from ..core.tracer import Tracer
from ..primitives.elementwise import Product
from ..primitives.families import Bilinear
from ..primitives.foundation import Elementwise, Linear, Scale, add_tangents, instantiate, match, scale

Series = list[Any]


class JetTracer(Tracer):
    """The coefficients of a series, from the constant upwards; each but the first may be ZERO."""

    __slots__ = ("coefficients",)
    payload = ("coefficients",)

    def __init__(self, trace: Trace, coefficients: Series):
        self.trace = trace
        self.coefficients = coefficients

    @property
    def aval(self) -> ShapedArray:
        return typeof(self.coefficients[0])

    def concrete(self, wanted: str) -> Any:
        if wanted not in ("bool", "index") and any(c is not ZERO for c in self.coefficients[1:]):
            lossy_conversion_error(self, wanted, "series")
        primal = self.coefficients[0]
        return primal.concrete(wanted) if isinstance(primal, Tracer) else primal


class JetTrace(Trace):
    """Propagates series up to an order.

    Attributes:
        known: results of primitives without parameters by operands, shared by the traces of lower order that the
            recurrence makes: without it the work would double with each order.
    """

    __slots__ = ("known", "order")

    def __init__(self, parent: Trace, order: int, known: dict[Any, Any] | None = None):
        self.parent = parent
        self.order = order
        self.known: dict[Any, Any] = {} if known is None else known

    def split(self, value: Any) -> Series:
        """The coefficients of any value."""
        if type(value) is JetTracer and value.trace is self:
            return value.coefficients
        if type(value) is Selected:
            value.uncounted()
        return [value, *[ZERO] * self.order]

    def pure(self, value: Any) -> JetTracer:
        return JetTracer(self, self.split(value))

    def process(self, primitive: Primitive, args: Sequence[Any], params: Params) -> list[Any]:
        if not any(type(a) is JetTracer and a.trace is self for a in args):
            return self.parent.process(primitive, args, params)
        body = primitive.inlined_jaxpr(params)
        if body is not None:
            return eval_jaxpr(body, *args)
        series = [self.split(a) for a in args]
        with running(self.parent):
            outs = self._propagate(primitive, series, params)
        return [JetTracer(self, coefficients) for coefficients in outs]

    def _propagate(self, primitive: Primitive, series: list[Series], params: Params) -> list[Series]:
        if all(c is ZERO for s in series for c in s[1:]):
            outs = primitive.bind(*(s[0] for s in series), **params)
            return [[y, *[ZERO] * self.order] for y in outs]
        outs = primitive.jet(self.order, series, **params)
        if outs is not None:
            return outs
        if isinstance(primitive, Linear):
            return _linear(primitive, series[0], params)
        if isinstance(primitive, Product) and not primitive.is_bilinear:
            return [_quotient(primitive, *series, self.order)]
        if isinstance(primitive, (Bilinear, Product, Scale)):
            return [_cauchy(lambda x, y: primitive(x, y, **params), *series, self.order)]
        if isinstance(primitive, Elementwise) and all(type(d) is int for d in primitive.derivatives):
            return [_sum(primitive, series)]
        return self._remembered(primitive, series, params)

    def _remembered(self, primitive: Primitive, series: list[Series], params: Params) -> list[Series]:
        if params:
            return self._integrate(primitive, series, params)
        key = (primitive, self.order, tuple(id(c) for s in series for c in s))
        if key not in self.known:
            # The series are kept with the result: an id is unique only as long as its object lives.
            self.known[key] = series, self._integrate(primitive, series, params)
        return self.known[key][1]

    def _integrate(self, primitive: Primitive, series: list[Series], params: Params) -> list[Series]:
        """y' is the jvp of the primitive at x(t) in the direction x'(t): one order less gives one coefficient more."""
        if self.order == 1:
            primals, tangents = [s[0] for s in series], [s[1] for s in series]
            outs, out_tangents = primitive.jvp(primals, tangents, **params)
            return [[y, dy] for y, dy in zip(outs, out_tangents)]
        lower = JetTrace(self.parent, self.order - 1, self.known)
        primals = [_shortened(lower, s) for s in series]
        tangents = [_derivative(lower, s) for s in series]
        with running(lower):
            outs, out_tangents = primitive.jvp(primals, tangents, **params)
        return [_extended(lower.split(y), lower, dy) for y, dy in zip(outs, out_tangents)]


def jet_by_tangents(
    rule: Callable[[list[Any], list[Any]], tuple[Sequence[Any], Sequence[Any]]], order: int, series: Sequence[Series]
) -> list[Series]:
    """Series of results by a rule for tangents alone: what is said of the derivative by the results does not count."""
    lower = JetTrace(current_trace.get(), order - 1)
    with running(lower):
        primals, tangents = [_shortened(lower, s) for s in series], [_derivative(lower, s) for s in series]
        outs, out_tangents = rule(primals, tangents)
    slopes = [[ZERO] * order if t is ZERO else lower.split(t) for t in out_tangents]
    firsts = [lower.split(y)[0] for y in outs]
    return [[y, *(scaled(c, 1.0 / (k + 1)) for k, c in enumerate(s))] for y, s in zip(firsts, slopes)]


def _shortened(trace: JetTrace, series: Series) -> Any:
    """A series for a trace of one order less; what does not move is its value, so that rules see constants."""
    return JetTracer(trace, series[:-1]) if is_moving(series) else series[0]


def _derivative(trace: JetTrace, series: Series) -> Any:
    if all(c is ZERO for c in series[1:]):
        return ZERO
    like = series[0]
    slopes = [scaled(c, float(k)) for k, c in enumerate(series)][1:]
    first = match(0.0, like) if slopes[0] is ZERO else slopes[0]
    return JetTracer(trace, [first, *slopes[1:]])


def _extended(series: Series, lower: JetTrace, slope: Any) -> Series:
    """A series with one more coefficient, from the highest one of its derivative.

    The others stay the same objects, so that results of lower order are found again in `known`.
    """
    top = ZERO if slope is ZERO else scaled(lower.split(slope)[-1], 1.0 / (lower.order + 1))
    return [*series, top]


def scaled(c: Any, factor: float) -> Any:
    """A coefficient times a number."""
    return c if c is ZERO or factor == 1.0 else scale(c, factor)


def _linear(primitive: Primitive, series: Series, params: Params) -> list[Series]:
    """Each coefficient by itself; the rule for tangents knows when the result has none (a cast to integers)."""
    outs = [primitive(series[0], **params)]
    for c in series[1:]:
        outs.append(ZERO if c is ZERO else primitive.jvp([series[0]], [c], **params)[1][0])
    return [outs]


def _sum(primitive: Elementwise, series: list[Series]) -> Series:
    """Sums and differences: each coefficient by itself, brought to the type of the result."""
    y = primitive(*(s[0] for s in series))
    result = [y]
    for coefficients in list(zip(*series))[1:]:
        terms = (scaled(c, float(d)) for d, c in zip(primitive.derivatives, coefficients))
        result.append(reduce(add_tangents, (match(term, y) for term in terms)))
    return result


def _cauchy(product: Callable[[Any, Any], Any], x: Series, y: Series, order: int) -> Series:
    """The product of two series."""
    result = [product(x[0], y[0])]
    for k in range(1, order + 1):
        pairs = ((x[i], y[k - i]) for i in range(k + 1))
        terms = (match(product(a, b), result[0]) for a, b in pairs if a is not ZERO and b is not ZERO)
        result.append(reduce(add_tangents, terms, ZERO))
    return result


def _quotient(divide: Primitive, x: Series, y: Series, order: int) -> Series:
    """z = x / y from z y = x, coefficient by coefficient."""
    z = [divide(x[0], y[0])]
    for k in range(1, order + 1):
        pairs = ((z[i], y[k - i]) for i in range(k))
        known = reduce(add_tangents, (scale(a, b) for a, b in pairs if a is not ZERO and b is not ZERO), ZERO)
        top = add_tangents(x[k], ZERO if known is ZERO else scale(known, -1))
        z.append(ZERO if top is ZERO else match(divide(top, y[0]), z[0]))
    return z


def jet_flat(
    function: Callable[..., Sequence[Any]], series: Sequence[Series], order: int
) -> list[Series]:
    """Series of the results of a function of flat arguments, from the series of its arguments."""
    trace = JetTrace(current_trace.get(), order)
    with running(trace):
        return [trace.split(out) for out in function(*(argument(JetTracer(trace, s)) for s in series))]


def is_moving(series: Series) -> bool:
    """Whether anything but the value is there."""
    return any(c is not ZERO for c in series[1:])


def active_coefficients(series: Sequence[Series]) -> tuple[tuple[bool, ...], list[Any]]:
    """Which series are active, and the coefficients of these one after the other, for `jet_jaxpr`."""
    active = tuple(map(is_moving, series))
    return active, [instantiate(c, typeof(s[0]).strong()) for s, f in zip(series, active) if f for c in s[1:]]


def series_of(values: Sequence[Any], active: Sequence[bool], order: int) -> list[Series]:
    """The series of inputs or results of a program that `jet_jaxpr` has made."""
    rest = iter(values[len(active) :])
    return [
        [x, *((next(rest) if is_active else ZERO) for _ in range(order))] for x, is_active in zip(values, active)
    ]


@memoized
def jet_jaxpr(
    jaxpr: Jaxpr, order: int, active: tuple[bool, ...], forced: tuple[bool, ...] | None = None
) -> tuple[Jaxpr, tuple[bool, ...]]:
    """The jaxpr of values and of the `order` further coefficients of the active ones; which results are active.

    Inputs and results are all values first, and then the coefficients of one active value after the other.

    Args:
        forced: results that must be active.
    """
    out_active: list[bool] = []

    def function(*args: Any) -> list[Any]:
        outs = jet_flat(lambda *xs: eval_jaxpr(jaxpr, *xs), series_of(args, active, order), order)
        moving = [is_moving(out) for out in outs]
        out_active[:] = [a or b for a, b in zip(moving, forced or moving)]
        coefficients = [
            match(instantiate(c, aval.strong()), out[0])
            for out, aval, is_active in zip(outs, jaxpr.out_avals, out_active)
            if is_active
            for c in out[1:]
        ]
        return [*(out[0] for out in outs), *coefficients]

    avals = jaxpr.in_avals
    moving = [aval.strong() for aval, is_active in zip(avals, active) if is_active for _ in range(order)]
    return trace_closed(function, [*avals, *moving]), tuple(out_active)
