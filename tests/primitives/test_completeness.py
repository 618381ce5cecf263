"""Every rule of every primitive against an oracle, on the examples beside this file.

abstract_eval against impl; jvp, once and twice, against difference quotients; transpose against the dot-product
identity; batch against a loop; staging against running; Taylor mode against nested jvp. A primitive without examples
fails.
"""

from __future__ import annotations

import copy
import pickle
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

import functrans as ft
from functrans.compiler.backends.interpreter import InterpretedProgram
from functrans.compiler.simplify import simplify
from functrans.core.avals import ZERO, ShapedArray
from functrans.core.jaxpr import check_jaxpr, eval_jaxpr
from functrans.core.primitive import Primitive, UndefinedPrimal, registry
from functrans.core.printing import jaxpr_text
from functrans.core.trace import typeof
from functrans.errors import TransposeError
from functrans.primitives.families import Bilinear
from functrans.primitives.foundation import Linear, reduce_sum
from functrans.transforms.forward import jvp_flat
from tests.helpers.cases import Case, all_cases
from tests.helpers.oracles import (
    ROUNDING,
    assert_all_close,
    assert_close,
    assert_same_type,
    difference_quotient,
    direction,
    each_tangent_subset,
    is_differentiable,
    lane_loop,
    nonempty_subsets,
    pairing,
    precision,
    pushed,
    same_bits,
    same_but_for_rounding,
    stacked_operands,
)

CASES = all_cases()
#: Primitives that no example can reach. Empty: an entry must say why.
EXEMPT: dict[str, str] = {}
RULES = ("abstract_eval", "impl", "jvp", "transpose", "batch", "batch_named")
LANES = 3


@pytest.fixture(autouse=True)
def quiet():
    """Examples lie at poles and branch points too; what NumPy warns of there is not under test."""
    with np.errstate(all="ignore"):
        yield


def each(cases: Sequence[Case]) -> Any:
    """Parametrize a test by cases, each under its readable name."""
    return pytest.mark.parametrize("case", cases, ids=[case.name for case in cases])


def first_of_each_primitive(cases: Sequence[Case], count: int = 2) -> list[Case]:
    """The first examples of each primitive."""
    seen: Counter[str] = Counter()
    chosen: list[Case] = []
    for case in cases:
        seen[case.primitive.name] += 1
        if seen[case.primitive.name] <= count:
            chosen.append(case)
    return chosen


def each_first_and_slowly_each(cases: Sequence[Case], count: int = 2) -> Any:
    """As `each`; all but the first examples of each primitive are slow tests."""
    chosen = {case.name for case in first_of_each_primitive(cases, count)}
    marks = {False: [pytest.mark.slow], True: []}
    return pytest.mark.parametrize(
        "case", [pytest.param(case, id=case.name, marks=marks[case.name in chosen]) for case in cases]
    )


#: Each once, if it is an example for several primitives.
DISTINCT = {(case.function, *map(id, case.args)): case.name for case in reversed(CASES)}
DIFFERENTIABLE = [case for case in CASES if case.is_differentiable and case.name in DISTINCT.values()]


def test_every_primitive_has_examples():
    covered = {case.primitive.name for case in CASES}
    missing = sorted(set(registry) - covered - set(EXEMPT))
    assert not missing, f"no examples in tests/primitives/examples_*.py for {', '.join(missing)}"


def test_copies_and_pickles_of_primitives_are_themselves():
    for primitive in registry.values():
        assert pickle.loads(pickle.dumps(primitive)) is copy.deepcopy(primitive) is copy.copy(primitive) is primitive


def test_exemptions_are_needed():
    assert set(EXEMPT) <= set(registry) - {case.primitive.name for case in CASES}
    assert all(EXEMPT.values())


# ---- abstract_eval, impl, staging


@each([case for case in CASES if case.direct])
def test_abstract_eval_gives_the_types_of_the_results(case: Case):
    results = case.function(*case.args)
    *_, eqn = ft.make_jaxpr(case.function)(*case.args).eqns  # a Python integer is made to fit before
    types = case.primitive.abstract_eval(*map(typeof, case.args), **eqn.params)
    assert types == [typeof(y) for y in results]


@each([case for case in first_of_each_primitive(CASES) if case.direct])
def test_what_cannot_fail_does_not(case: Case):
    *_, eqn = ft.make_jaxpr(case.function)(*case.args).eqns
    avals = [a.aval for a in eqn.inputs]
    if eqn.primitive.holds_programs or eqn.primitive.may_fail(avals, eqn.params):
        return
    for number in range(4):
        operands = [np.full(aval.shape, extremes(aval.dtype)[number], aval.dtype) for aval in avals]
        eqn.primitive.run_on_bfloat16(*operands, **eqn.params)


@each([case for case in first_of_each_primitive(CASES) if case.direct and case.primitive.is_pointwise])
def test_what_is_pointwise_computes_each_element_by_itself(case: Case):
    (wanted,) = case.function(*case.args)
    spread = [np.broadcast_to(x, np.shape(wanted)).ravel()[::-1].copy() if np.ndim(x) else x for x in case.args]
    (found,) = case.function(*spread)
    assert same_but_for_rounding(np.ravel(found), np.ravel(wanted)[::-1])


@each([case for case in CASES if case.direct and case.primitive.commutes])
def test_what_commutes_may_have_its_operands_exchanged(case: Case):
    (found,), (wanted,) = case.function(*case.args[::-1]), case.function(*case.args)
    same = same_but_for_rounding if np.iscomplexobj(wanted) else same_bits
    assert same(found, wanted)


def extremes(dtype: np.dtype[Any]) -> Sequence[Any]:
    """Four numbers that functions stumble over: zero, the ends of what a dtype has, and one more."""
    if dtype.kind in "iu":
        return 0, 1, np.iinfo(dtype).min, np.iinfo(dtype).max
    return (False, True, False, True) if dtype.kind == "b" else (0, np.nan, -np.inf, np.inf)


@each(CASES)
def test_running_leaves_operands_alone(case: Case):
    args = [x.copy() if isinstance(x, np.ndarray) else x for x in case.args]
    case.function(*args)
    assert all(map(same_bits, args, case.args))


@each(CASES)
def test_staged_as_run(case: Case):
    wanted = case.function(*case.args)
    jaxpr = ft.make_jaxpr(case.function)(*case.args)
    check_jaxpr(jaxpr)
    assert jaxpr_text(jaxpr, sources=True).startswith("{ lambda ")
    assert jaxpr.out_avals == [typeof(y) for y in wanted]
    interpreted = InterpretedProgram(simplify(jaxpr, exact=True))(*case.args)
    same = same_bits if case.direct else same_but_for_rounding  # what is jitted inside ran natively
    for results in (eval_jaxpr(jaxpr, *case.args), interpreted):
        for found, y in zip(results, wanted, strict=True):
            assert same(found, y), f"{found!r} differs from {y!r}"
    for found, y in zip(ft.jit(case.function)(*case.args), wanted, strict=True):
        assert same_but_for_rounding(found, y, cancelling(case)), f"{found!r} differs from {y!r}"


def cancelling(case: Case) -> float:
    """The size of terms that cancel in a result, where all of it may, or by which two versions of LAPACK may differ."""
    if case.primitive.name in ("eig", "pinv") and case.args[0].size:
        condition = np.minimum(np.linalg.cond(case.args[0]), 100)
        return float(np.max(condition) * np.max(np.abs(case.function(*case.args)[0])))
    if case.primitive.name not in ("cofactors", "cofactor_derivative") or not case.args[0].size:
        return 0.0
    return max(np.max(np.abs(x)) for x in case.args) ** (case.args[0].shape[-1] - 1)


@each([case for case in CASES if not case.direct])
def test_control_examples_use_their_primitive(case: Case, monkeypatch: pytest.MonkeyPatch):
    uses = Counter[str]()

    def counting(rule: str) -> Callable[..., Any]:
        original = getattr(case.primitive, rule)

        def counted(*args: Any, **kwargs: Any) -> Any:
            uses[rule] += 1
            return original(*args, **kwargs)

        return counted

    for rule in RULES:
        monkeypatch.setattr(case.primitive, rule, counting(rule))
    ft.clear_caches()  # what was derived and compiled in other tests uses no rules any more
    case.function(*case.args)
    if case.is_differentiable:
        ft.vjp(case.function, *case.args)
    assert uses


# ---- jvp


@each(DIFFERENTIABLE)
def test_jvp_against_differences(case: Case):
    check_jvp(case.function, case.args, case.tolerance, case.is_double)


def check_jvp(function: Callable[..., Any], args: Sequence[Any], tolerance: float, is_double: bool) -> None:
    """Types of tangents, their values for each set of active operands, and for complex operands also i times them."""
    for tangents in each_tangent_subset(args):
        results, _ = jvp_flat(function, args, tangents)
        found = pushed(function, args, tangents)
        for y, wanted, dy in zip(results, function(*args), found, strict=True):
            assert_close(y, wanted, what="primal")
            assert_same_type(dy, y, "tangent")
        compare_tangents(function, args, tangents, found, tolerance, is_double)
        if any(np.iscomplexobj(t) for t in tangents):
            turned = [t if t is ZERO or not np.iscomplexobj(t) else 1j * t for t in tangents]
            turned = [t if t is ZERO or np.ndim(x) == 0 else t.astype(x.dtype) for t, x in zip(turned, args)]
            compare_tangents(function, args, turned, pushed(function, args, turned), tolerance, is_double)


def compare_tangents(
    function: Callable[..., Any], args: Any, tangents: Any, found: Any, tolerance: float, is_double: bool
) -> None:
    """Tangents against difference quotients; in lower precision, against the same rule in double precision."""
    if is_double:
        wanted = difference_quotient(function, args, tangents)
    else:
        tolerance = max(tolerance, *(10 * ROUNDING[precision(t)] for t in found if is_differentiable(t)), 1e-3)
        wanted = pushed(function, widened(args), widened(tangents))
    for dy, quotient in zip(found, wanted, strict=True):
        if is_differentiable(dy):
            assert_close(dy, quotient, tolerance, "tangent")


def widened(args: Sequence[Any]) -> list[Any]:
    """Float and complex operands in double precision."""
    return [x + np.zeros((), np.float64) if x is not ZERO and is_differentiable(x) else x for x in args]


@each_first_and_slowly_each([case for case in DIFFERENTIABLE if case.is_double])
def test_second_derivative_against_differences(case: Case):
    check_second_derivative(case.function, case.args, case.tolerance)


def check_second_derivative(function: Callable[..., Any], args: Sequence[Any], tolerance: float) -> None:
    """The jvp of the jvp, against difference quotients of the jvp."""
    count = len(args)

    def first(*both: Any) -> list[Any]:
        results, tangents = jvp_flat(function, both[:count], both[count:])
        return [y * 0.0 if t is ZERO else t for y, t in zip(results, tangents) if is_differentiable(y)]

    places = [i for i, x in enumerate(args) if is_differentiable(x)]

    def of_active(*xs: Any) -> list[Any]:
        everything, tangents = list(args), [ZERO] * count
        for k, i in enumerate(places):
            everything[i], tangents[i] = xs[k], xs[len(places) + k]
        return first(*everything, *tangents)

    point = [args[i] for i in places] + [direction(args[i], 10 + i) for i in places]
    tangents = [direction(x, 20 + k) for k, x in enumerate(point)]
    found, wanted = pushed(of_active, point, tangents), difference_quotient(of_active, point, tangents)
    for dy, quotient in zip(found, wanted, strict=True):
        assert_close(dy, quotient, tolerance, "second tangent")


@each_first_and_slowly_each([case for case in DIFFERENTIABLE if case.is_double])
def test_jet_is_nested_jvp(case: Case):
    check_jet(case.function, case.args)


def check_jet(function: Callable[..., Any], args: Sequence[Any], order: int = 3) -> None:
    """Derivatives along a curve: in Taylor mode, and by jvp of jvp of jvp of the curve."""
    places = [i for i, x in enumerate(args) if is_differentiable(x)]
    point = [args[i] for i in places]
    series = [[direction(x, 30 + 3 * i + k) for k in range(order)] for i, x in enumerate(point)]

    def of_active(*xs: Any) -> list[Any]:
        everything = list(args)
        for i, x in zip(places, xs):
            everything[i] = x
        return [y for y in function(*everything) if is_differentiable(y)]

    def along(t: Any) -> list[Any]:
        moved = []
        for x, terms in zip(point, series):
            for k, term in enumerate(terms):
                x = x + term * (t ** (k + 1) / [1, 2, 6][k])
            moved.append(x)
        return of_active(*moved)

    derivative = along
    _, found = ft.jet(of_active, tuple(point), tuple(series))
    for k in range(order):
        derivative = slope(derivative)
        for terms, wanted in zip(found[k], derivative(0.0), strict=True):
            assert_close(terms, wanted, 1e-7, f"derivative of order {k + 1}")


def slope(f: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """The derivative of a function of one real number."""
    return lambda t: ft.jvp(f, (t,), (1.0,))[1]


# ---- transpose


@each(DIFFERENTIABLE)
def test_transpose_by_the_dot_product_identity(case: Case):
    check_vjp(case.function, case.args)


def check_vjp(function: Callable[..., Any], args: Sequence[Any]) -> None:
    """<ct, J t> = <J^T ct, t> for the derivative by every set of operands, and cotangents typed like primals."""
    results = function(*args)
    cotangents = [direction(y, 40 + i) for i, y in enumerate(results)]
    given = [np.zeros(np.shape(y), ft.float0) if ct is ZERO else ct for y, ct in zip(results, cotangents)]
    for tangents in each_tangent_subset(args, seed=50):
        subset = [i for i, t in enumerate(tangents) if t is not ZERO]
        of_subset = function_of(subset, function, args)
        _, pull_back = ft.vjp(of_subset, *(args[i] for i in subset))
        found = pull_back(given)
        for i, ct in zip(subset, found, strict=True):
            if not typeof(args[i]).weak:
                assert_same_type(ct, args[i], "cotangent")
        compare_pairings(cotangents, pushed(function, args, tangents), found, [tangents[i] for i in subset])


def function_of(
    subset: Sequence[int], function: Callable[..., Any], args: Sequence[Any]
) -> Callable[..., list[Any]]:
    """A function of some of its arguments; the others are as given."""

    def of_subset(*xs: Any) -> list[Any]:
        everything = list(args)
        for i, x in zip(subset, xs, strict=True):
            everything[i] = x
        return list(function(*everything))

    return of_subset


def compare_pairings(cotangents: Any, out_tangents: Any, in_cotangents: Any, in_tangents: Any) -> None:
    """The two sides of the dot-product identity, relative to the size of their terms."""
    forward, backward = pairing(cotangents, out_tangents), pairing(in_cotangents, in_tangents)
    sizes = [
        float(np.sum(np.abs(np.asarray(a, complex) * b)))
        for a, b in [*zip(cotangents, out_tangents), *zip(in_cotangents, in_tangents)]
        if a is not ZERO and b is not ZERO and is_differentiable(a)
    ]
    widths = [typeof(x).dtype for x in [*out_tangents, *in_tangents] if is_differentiable(x)]
    tolerance = max((ROUNDING[d.itemsize // (2 if d.kind == "c" else 1)] for d in widths), default=1e-10)
    assert np.isfinite(forward)
    assert abs(forward - backward) <= tolerance * max([*sizes, 1e-6]), f"{forward} forwards, {backward} backwards"


LINEAR = [
    case
    for case in DIFFERENTIABLE
    if case.direct and type(case.primitive).transpose is not Primitive.transpose
]


@each(LINEAR)
def test_transposes_of_linear_primitives(case: Case):
    check_linear_transpose(case.function, case.args)


def check_linear_transpose(function: Callable[..., Any], args: Sequence[Any]) -> int:
    """The transpose by each set of operands that the primitive is linear in, straight from its rule.

    Returns:
        For how many sets there is one.
    """
    count = 0
    for tangents in each_tangent_subset(args, seed=60):
        subset = [i for i, t in enumerate(tangents) if t is not ZERO]
        of_subset = function_of(subset, function, args)
        inputs = [tangents[i] for i in subset]
        types = jvp_flat(function, args, tangents)[0]
        cotangents = [direction(y, 70 + i) for i, y in enumerate(types)]
        if any(ct is ZERO for ct in cotangents):
            continue
        try:
            found = ft.linear_transpose(of_subset, *inputs)(cotangents)
        except TransposeError:
            continue
        outputs = [a - b for a, b in zip(of_subset(*inputs), of_subset(*(0 * t for t in inputs)))]
        count += 1
        for ct, t in zip(found, inputs, strict=True):
            if not typeof(t).weak:
                assert_same_type(ct, t, "cotangent")
        compare_pairings(cotangents, outputs, found, inputs)
    return count


def test_linear_primitives_have_transposes():
    """The test above is not empty: every primitive of the linear and bilinear families is transposed."""
    transposed = Counter[str]()
    for case in first_of_each_primitive(LINEAR):
        transposed[case.primitive.name] += check_linear_transpose(case.function, case.args)
    families = {case.primitive.name for case in LINEAR if isinstance(case.primitive, (Linear, Bilinear))}
    assert families <= set(+transposed)
    assert {"scale", "add_any", "reduce_sum"} <= set(+transposed)


READS = [case for case in DIFFERENTIABLE if case.direct and case.primitive.reads_part]


@each(READS)
def test_cotangents_of_parts_are_added_in_place(case: Case):
    """The second time that a part is read, its cotangent is added to the first one (`add_cotangent`)."""
    x, *others = case.args
    cotangents = [direction(y, 80) for y in case.function(*case.args)]
    _, once = ft.vjp(lambda x: case.function(x, *others), x)
    _, twice = ft.vjp(lambda x: [*case.function(x, *others), *case.function(x, *others)], x)
    assert_all_close(twice(cotangents * 2), [2 * once(cotangents)[0]])


def test_what_reads_parts():
    assert {"gather", "slice", "dynamic_slice"} <= {case.primitive.name for case in READS}


# ---- batch


@each([case for case in CASES if case.args])
def test_batch_against_a_loop(case: Case):
    check_batch(case.function, case.args)


def check_batch(function: Callable[..., Any], args: Sequence[Any]) -> None:
    """vmap with every mix of mapped operands: values, shapes and dtypes of a loop over the lanes."""
    for mapped in nonempty_subsets(range(len(args))):
        values = stacked_operands(args, mapped, LANES)
        axes = tuple(0 if i in mapped else None for i in range(len(args)))
        found = ft.vmap(function, in_axes=axes)(*values)
        assert_all_close(found, lane_loop(function, values, mapped, LANES))


@each([case for case in CASES if case.args and case.direct])
def test_batch_with_one_lane_and_none(case: Case):
    everything = tuple(range(len(case.args)))
    values = stacked_operands(case.args, everything, 1)
    assert_all_close(ft.vmap(case.function)(*values), lane_loop(case.function, values, everything, 1))
    empty = ft.vmap(case.function)(*(v[:0] for v in values))
    wanted = case.function(*(v[0] for v in values))
    assert [np.shape(y) for y in empty] == [(0, *np.shape(y)) for y in wanted]
    assert [y.dtype for y in empty] == [np.asarray(y).dtype for y in wanted]


@each_first_and_slowly_each([case for case in DIFFERENTIABLE if case.args])
def test_derivatives_under_batch_against_a_loop(case: Case):
    check_batched_derivatives(case.function, case.args)


def check_batched_derivatives(function: Callable[..., Any], args: Sequence[Any]) -> None:
    """jvp and vjp under vmap, with all operands mapped and with each alone; Python scalars stay as they are."""
    places = [i for i, x in enumerate(args) if is_differentiable(x)]
    mappable = [i for i, x in enumerate(args) if not typeof(x).weak]
    tangents = [direction(args[i], 80 + i) for i in places]
    cotangents = [direction(y, 90 + i) for i, y in enumerate(function(*args))]
    kept = [ct for ct in cotangents if ct is not ZERO]
    count = len(args)

    def forward(*operands: Any) -> list[Any]:
        full = dict(zip(places, operands[count:]))
        out = jvp_flat(function, operands[:count], [full.get(i, ZERO) for i in range(count)])
        return [y if t is ZERO else t for y, t in zip(*out)]

    def backward(*operands: Any) -> list[Any]:
        def of_active(*xs: Any) -> list[Any]:
            everything = list(operands[:count])
            for i, x in zip(places, xs):
                everything[i] = x
            return [y for y in function(*everything) if is_differentiable(y)]

        return list(ft.vjp(of_active, *(operands[i] for i in places))[1](list(operands[count:])))

    for derivative, others in ((forward, tangents), (backward, kept)):
        operands = [*args, *others]
        seconds = [count + k for k, t in enumerate(others) if not typeof(t).weak]
        choices = [(*mappable, *seconds), *((i,) for i in mappable), *((i,) for i in seconds)]
        for mapped in filter(None, dict.fromkeys(choices)):
            values = stacked_operands(operands, mapped, LANES)
            axes = tuple(0 if i in mapped else None for i in range(len(operands)))
            found = ft.vmap(derivative, in_axes=axes)(*values)
            for f, w in zip(found, lane_loop(derivative, values, mapped, LANES), strict=True):
                assert_close(f, w, what="derivative")


@each_first_and_slowly_each(DIFFERENTIABLE)
def test_derivatives_staged_as_run(case: Case):
    places = [i for i, x in enumerate(case.args) if is_differentiable(x)]
    tangents = [direction(case.args[i], 100 + i) for i in places]
    count = len(case.args)

    def forward(*operands: Any) -> list[Any]:
        full = dict(zip(places, operands[count:]))
        out = jvp_flat(case.function, operands[:count], [full.get(i, ZERO) for i in range(count)])
        return [t for t in out[1] if t is not ZERO]

    jaxpr = ft.make_jaxpr(forward)(*case.args, *tangents)
    check_jaxpr(jaxpr)
    wanted = forward(*case.args, *tangents)
    for f, w in zip(ft.jit(forward)(*case.args, *tangents), wanted, strict=True):
        assert_same_type(f, w)
        assert_close(f, w)


# ---- the harness itself: each check fails for a rule that is wrong


class Doubling(Primitive):
    """A correct primitive for the mutants below: twice the sum of x and y."""

    def abstract_eval(self, x: ShapedArray, y: ShapedArray) -> list[ShapedArray]:
        return [x]

    def impl(self, x: Any, y: Any) -> list[Any]:
        return [2 * x + 2 * y]

    def jvp(self, primals: Any, tangents: Any) -> Any:
        terms = [t * 2 for t in tangents if t is not ZERO]
        return self.bind(*primals), [sum(terms[1:], terms[0])]

    def transpose(self, cotangents: Any, x: Any, y: Any) -> list[Any]:
        return [2 * cotangents[0] if isinstance(a, UndefinedPrimal) else None for a in (x, y)]

    def batch(self, size: int, values: Any, mapped: Any) -> Any:
        lanes = [v if m else v + np.zeros((size, 1)) for v, m in zip(values, mapped)]
        return self.bind(*lanes), [True]


class WrongType(Doubling):
    def abstract_eval(self, x: ShapedArray, y: ShapedArray) -> list[ShapedArray]:
        return [ShapedArray(x.shape, np.dtype("f4"))]


class WritesToOperand(Doubling):
    def impl(self, x: Any, y: Any) -> list[Any]:
        x += y
        return [2 * x]


class WrongTangent(Doubling):
    def jvp(self, primals: Any, tangents: Any) -> Any:
        return self.bind(*primals), [sum(t for t in tangents if t is not ZERO)]


class ForgetsSecondTangent(Doubling):
    def jvp(self, primals: Any, tangents: Any) -> Any:
        return self.bind(*primals), [ZERO if tangents[0] is ZERO else 2 * tangents[0]]


class WrongTranspose(Doubling):
    def jvp(self, primals: Any, tangents: Any) -> Any:
        return self.bind(*primals), self.bind(*(x * 0 if t is ZERO else t for x, t in zip(primals, tangents)))

    def transpose(self, cotangents: Any, x: Any, y: Any) -> list[Any]:
        return [cotangents[0], 2 * cotangents[0]]


class WrongLanes(Doubling):
    def batch(self, size: int, values: Any, mapped: Any) -> Any:
        return [2 * reduce_sum(values[0], axes=(0,)) + 2 * values[-1]], [mapped[-1]]


class WrongPrecision(Doubling):
    def jvp(self, primals: Any, tangents: Any) -> Any:
        (y,), (dy,) = super().jvp(primals, tangents)
        return [y], [dy.astype(np.float64)]


@pytest.fixture
def mutant():
    """Makes a primitive, and forgets it after the test."""
    before = dict(registry)
    yield lambda kind: kind("mutant")
    registry.clear()
    registry.update(before)


def case_of(primitive: Primitive, dtype: str = "f8") -> Case:
    args = (np.arange(3, dtype=dtype), np.full(3, 0.5, dtype))
    return Case("mutant", primitive, primitive.bind, args, True, 1e-5, True)


@pytest.mark.parametrize(
    ("kind", "check"),
    [
        (WrongType, test_abstract_eval_gives_the_types_of_the_results),
        (WritesToOperand, test_running_leaves_operands_alone),
        (WrongType, test_staged_as_run),
        (WrongTangent, test_jvp_against_differences),
        (ForgetsSecondTangent, test_jvp_against_differences),
        (WrongTranspose, test_transpose_by_the_dot_product_identity),
        (WrongTranspose, test_transposes_of_linear_primitives),
        (WrongLanes, test_batch_against_a_loop),
    ],
)
def test_a_wrong_rule_is_found(kind: type[Primitive], check: Callable[..., Any], mutant: Any):
    with pytest.raises(AssertionError):
        check(case_of(mutant(kind)))


def test_a_wrong_precision_is_found(mutant: Any):
    with pytest.raises(AssertionError, match="dtype"):
        test_jvp_against_differences(case_of(mutant(WrongPrecision), "f4"))


def test_a_primitive_without_examples_is_found(mutant: Any):
    mutant(Doubling)
    with pytest.raises(AssertionError, match="mutant"):
        test_every_primitive_has_examples()


@pytest.mark.parametrize(
    "check",
    [
        test_abstract_eval_gives_the_types_of_the_results,
        test_staged_as_run,
        test_jvp_against_differences,
        test_second_derivative_against_differences,
        test_jet_is_nested_jvp,
        test_batch_against_a_loop,
    ],
)
def test_right_rules_pass(check: Callable[..., Any], mutant: Any):
    check(case_of(mutant(Doubling)))
