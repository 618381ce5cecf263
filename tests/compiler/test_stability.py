"""Stability rules: digits that formulas lose, and overflow on the way, are gone; special values are limits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest

import functrans as ft
from functrans.compiler.backends.interpreter import InterpretedProgram
from functrans.compiler.simplify import simplify
from functrans.compiler.simplify.rewriting import rewrite
from functrans.compiler.simplify.stability import STABILITY
from functrans.compiler.simplify.tables import ALL_RULES
from tests.helpers.bits import assert_same_bits, special_values, ulps

EXACT = np.longdouble


def softplus(x: Any) -> Any:
    return np.maximum(x, 0) + np.log1p(np.exp(-abs(x)))


def logsumexp(x: Any, axis: int, keepdims: bool = False) -> Any:
    largest = np.max(x, axis, keepdims=True)
    y = np.log(np.sum(np.exp(x - largest), axis, keepdims=True)) + largest
    return y if keepdims else np.squeeze(y, axis)


class Case(NamedTuple):
    """A formula as users write it.

    Attributes:
        formula: of arrays.
        exact: its value, for numbers in extended precision.
        left: the primitives after simplification.
        points: where the formula as written is wrong by many units of the last place, or by all of them.
        limits: pairs of special operands and results.
        tolerance: units of the last place, beside those of the functions that the result is made of.
    """

    formula: Callable[..., Any]
    exact: Callable[..., Any]
    left: str
    points: Any
    limits: tuple[tuple[Any, Any], ...]
    tolerance: float = 4.0


INF, NAN = np.inf, np.nan
SMALL = np.exp2(np.random.default_rng(0).uniform(-40, -3, 1000))
BOTH = np.concatenate([SMALL, -SMALL])
LARGE = np.concatenate([np.linspace(-2000, 2000, 1001), BOTH])

CASES = {
    "log(1 + x)": Case(lambda x: np.log(1 + x), np.log1p, "log1p", BOTH, ((-1, -INF), (-2, NAN), (INF, INF), (NAN, NAN))),
    "log(x + 1)": Case(lambda x: np.log(x + 1.0), np.log1p, "log1p", BOTH, ((-1, -INF), (0.0, 0.0))),
    "log(1 - x)": Case(lambda x: np.log(1 - x), lambda x: np.log1p(-x), "negative log1p", BOTH, ((1, -INF), (INF, NAN), (-INF, INF))),
    "exp(x) - 1": Case(lambda x: np.exp(x) - 1, np.expm1, "expm1", BOTH, ((-INF, -1), (INF, INF), (NAN, NAN), (0.0, 0.0))),
    "-1 + exp(x)": Case(lambda x: -1 + np.exp(x), np.expm1, "expm1", BOTH, ((-INF, -1), (INF, INF))),
    "1 - exp(x)": Case(lambda x: 1 - np.exp(x), lambda x: -np.expm1(x), "expm1 negative", BOTH, ((-INF, 1), (INF, -INF))),
    "log(exp(x))": Case(lambda x: np.log(np.exp(x)), lambda x: x, "", LARGE, ((-INF, -INF), (INF, INF), (NAN, NAN)), 0),
    "log(1 + exp(x))": Case(
        lambda x: np.log(1 + np.exp(x)), softplus, "absolute negative exp log1p maximum add", LARGE,
        ((-INF, 0), (INF, INF), (NAN, NAN)),
    ),
    "log1p(exp(x))": Case(
        lambda x: np.log1p(np.exp(x)), softplus, "absolute negative exp log1p maximum add", LARGE, ((INF, INF), (NAN, NAN))
    ),
    "log(1 / (1 + exp(-x)))": Case(
        lambda x: np.log(1 / (1 + np.exp(-x))), lambda x: -softplus(-x),
        "negative absolute negative exp log1p maximum add negative", LARGE, ((-INF, -INF), (INF, 0), (NAN, NAN)),
    ),
    "log(1 - 1 / (1 + exp(-x)))": Case(
        lambda x: np.log(1 - 1 / (1 + np.exp(-x))), lambda x: -softplus(x),
        "absolute negative exp log1p maximum add negative", LARGE, ((-INF, 0), (INF, -INF), (NAN, NAN)),
    ),
    "log(expit(x))": Case(
        lambda x: np.log(ft.nn.sigmoid(x)), lambda x: -softplus(-x),
        "negative absolute negative exp log1p maximum add negative", LARGE, ((-INF, -INF), (INF, 0), (NAN, NAN)),
    ),
    "log1p(-expit(x))": Case(
        lambda x: np.log1p(-ft.nn.sigmoid(x)), lambda x: -softplus(x),
        "absolute negative exp log1p maximum add negative", LARGE, ((-INF, 0), (INF, -INF), (NAN, NAN)),
    ),
    "exp(x) / (1 + exp(x))": Case(
        lambda x: np.exp(x) / (1 + np.exp(x)), lambda x: np.exp(-softplus(-x)),
        "absolute negative exp greater_equal select add divide", LARGE, ((-INF, 0), (INF, 1), (NAN, NAN)), 6,
    ),
    "(exp(x) - exp(-x)) / (exp(x) + exp(-x))": Case(
        lambda x: (np.exp(x) - np.exp(-x)) / (np.exp(x) + np.exp(-x)), np.tanh, "tanh", LARGE,
        ((-INF, -1), (INF, 1), (NAN, NAN), (0.0, 0.0)),
    ),
    "log(exp(x) + exp(2 x))": Case(
        lambda x: np.log(np.exp(x) + np.exp(2 * x)), lambda x: np.maximum(x, 2 * x) + np.log1p(np.exp(-abs(x))),
        "multiply logaddexp", LARGE[:1001], ((-INF, -INF), (INF, INF), (NAN, NAN)),
    ),
    "sqrt(x * x)": Case(lambda x: np.sqrt(x * x), abs, "absolute", np.concatenate([LARGE * 1e-170, LARGE * 1e-25]), ((-INF, INF), (NAN, NAN), (-0.0, 0.0)), 0),
    "sqrt(x**2)": Case(lambda x: np.sqrt(x**2), abs, "absolute", np.concatenate([LARGE * 1e300, LARGE * 1e30]), ((-INF, INF), (NAN, NAN)), 0),
    "sum of equals": Case(
        lambda x: np.sum(np.broadcast_to(x, (1000, *np.shape(x))), 0), lambda x: 1000 * x, "multiply", LARGE,
        ((-INF, -INF), (INF, INF), (NAN, NAN)), 1,
    ),
}  # fmt: skip

ROWS = np.array([[0.0, 1.0, 2.0], [1000.0, 999.0, -1000.0], [-2000.0, -2001.0, -1999.5], [1e-3, 2e-3, 3e-3]])
LOG_SUMS = {
    "log(sum(exp(x)))": Case(
        lambda x: np.log(np.sum(np.exp(x), 1)), lambda x: logsumexp(x, 1),
        "reduce_max isfinite select reshape subtract exp reduce_sum log add", ROWS,
        (((-INF, -INF, -INF), -INF), ((INF, 0, 1), INF), ((NAN, 0, 1), NAN), ((-INF, 0, 0), np.log(2))),
    ),
    "log(sum(exp(x), keepdims))": Case(
        lambda x: np.log(np.sum(np.exp(x), 1, keepdims=True)), lambda x: logsumexp(x, 1, True),
        "reduce_max isfinite select reshape subtract exp reduce_sum log add reshape", ROWS, (),
    ),
    "log(softmax(x))": Case(
        lambda x: np.log(np.exp(x) / np.sum(np.exp(x), 1, keepdims=True)), lambda x: x - logsumexp(x, 1, True),
        "reduce_max isfinite select reshape subtract exp reduce_sum log reshape subtract", ROWS,
        (((-INF, 0, 0), (-INF, -np.log(2), -np.log(2))), ((NAN, 0, 1), (NAN, NAN, NAN)), ((INF, 0, 0), (NAN, -INF, -INF))),
    ),
    "log(softmax(x - max(x)))": Case(
        lambda x: np.log(_softmax(x)), lambda x: x - logsumexp(x, 1, True),
        "reduce_max reshape subtract exp reduce_sum log reshape subtract", ROWS, (),
    ),
    "exp(log_softmax(x))": Case(
        lambda x: np.exp(ft.nn.log_softmax(x, 1)), lambda x: np.exp(x - logsumexp(x, 1, True)),
        "reduce_max isfinite select reshape subtract exp reduce_sum reshape divide", ROWS,
        (((-INF, 0, 0), (0, 0.5, 0.5)), ((NAN, 0, 1), (NAN, NAN, NAN)), ((INF, 0, 0), (NAN, 0, 0)), ((-INF, -INF), (NAN, NAN))),
    ),
}  # fmt: skip


def _softmax(x: Any) -> Any:
    z = np.exp(x - np.max(x, 1, keepdims=True))
    return z / np.sum(z, 1, keepdims=True)


def run(case: Case, x: Any) -> tuple[str, Any]:
    jaxpr = simplify(ft.jit(case.formula).lower(x).jaxpr)
    with np.errstate(all="ignore"):
        return " ".join(eqn.primitive.name for eqn in jaxpr.eqns), InterpretedProgram(jaxpr)(x)[0]


def errors(found: Any, case: Case, x: Any) -> Any:
    with np.errstate(all="ignore"):
        return ulps(found, case.exact(x.astype(EXACT)))


@pytest.mark.parametrize("dtype", ["f8", "f4"])
@pytest.mark.parametrize("name", [*CASES, *LOG_SUMS])
def test_digits_are_kept(name: str, dtype: str) -> None:
    case = CASES.get(name) or LOG_SUMS[name]
    with np.errstate(all="ignore"):
        x = case.points.astype(dtype)
    left, found = run(case, x)
    assert left == case.left
    assert found.dtype == x.dtype
    with np.errstate(all="ignore"):
        as_written = case.formula(x)
    after, before = errors(found, case, x), errors(as_written, case, x)
    assert np.max(after) <= case.tolerance
    assert not np.max(before) <= max(3 * case.tolerance, 1), "the formula as written does as well"


@pytest.mark.parametrize("name", [*CASES, *LOG_SUMS])
def test_special_values_are_limits(name: str) -> None:
    case = CASES.get(name) or LOG_SUMS[name]
    for given, wanted in case.limits:
        x = np.atleast_1d(np.asarray(given, float))
        found = run(case, x[None] if name in LOG_SUMS else x)[1]
        np.testing.assert_allclose(found[0], np.asarray(wanted, float), rtol=1e-15)


@pytest.mark.parametrize("dtype", ["f8", "f4", "f2"])
@pytest.mark.parametrize("name", CASES)
def test_nan_and_infinities_appear_only_where_the_value_is_none(name: str, dtype: str) -> None:
    """Against the exact value at all special values, beside the limits."""
    case = CASES[name]
    x = special_values(dtype)
    _, found = run(case, x)
    with np.errstate(all="ignore"):
        wanted = case.exact(x.astype(EXACT)).astype(dtype)
        as_written = case.formula(x)
    mended = np.isnan(found) == np.isnan(wanted)
    assert np.all(mended | (np.isnan(as_written) == np.isnan(found)))
    assert np.all((np.isinf(found) == np.isinf(wanted)) | (np.isinf(as_written) == np.isinf(found)))


@pytest.mark.parametrize("dtype", ["c16", "i8"])
def test_rules_are_for_real_floats(dtype: str) -> None:
    x = np.array([1, 2, 3]).astype(dtype)
    for case in CASES.values():
        jaxpr = ft.jit(case.formula)
        try:
            with np.errstate(all="ignore"):
                wanted = case.formula(x)
        except TypeError:
            continue
        np.testing.assert_allclose(jaxpr(x), wanted, rtol=1e-12)


@pytest.mark.parametrize("dtype", ["f8", "f4", "f2", "c16"])
@pytest.mark.parametrize("axes", [(0,), (1,), (0, 1), ()])
def test_logsumexp_is_written_out_without_changing_a_bit(dtype: str, axes: tuple[int, ...]) -> None:
    values = special_values("f8" if dtype == "c16" else dtype)
    for x in (values[None], np.resize(values, (4, 7)), np.zeros((2, 3)) - INF, ROWS):
        jaxpr = ft.jit(lambda x: ft.nn.logsumexp(x, axes)).lower(x.astype(dtype)).jaxpr
        exact = simplify(jaxpr, exact=True)
        assert "logsumexp" not in [eqn.primitive.name for eqn in exact.eqns]
        assert len(simplify(jaxpr).eqns) <= len(exact.eqns)
        with np.errstate(all="ignore"):
            assert_same_bits(InterpretedProgram(exact)(x.astype(dtype)), InterpretedProgram(jaxpr)(x.astype(dtype)))


def test_a_sigmoid_stays_as_it_is():
    jaxpr = simplify(ft.jit(lambda x: 1 / (1 + np.exp(-x))).lower(np.ones(3)).jaxpr)
    assert [eqn.primitive.name for eqn in jaxpr.eqns] == ["negative", "exp", "add", "divide"]


def test_exact_simplification_leaves_formulas_alone():
    jaxpr = ft.jit(lambda x: np.log(1 + x)).lower(np.ones(3)).jaxpr
    assert [eqn.primitive.name for eqn in simplify(jaxpr, exact=True).eqns] == ["add", "log"]
    assert [eqn.primitive.name for eqn in simplify(jaxpr).eqns] == ["log1p"]


def test_losses_of_classifiers_are_finite_where_their_formulas_overflow():
    def loss(x: Any, y: Any) -> Any:
        p = 1 / (1 + np.exp(-x))
        return -np.sum(y * np.log(p) + (1 - y) * np.log(1 - p))

    x, y = np.array([800.0, -800.0, 3.0]), np.array([0.0, 1.0, 1.0])
    assert ft.jit(loss)(x, y) == pytest.approx(1600 + np.log1p(np.exp(-3.0)))


def test_every_rule_has_a_case():
    """A rule that is never used would not be missed."""
    used: set[str] = set()
    table = {name: [_counting(rule, used) for rule in rules] for name, rules in ALL_RULES.items()}
    for case in (*CASES.values(), *LOG_SUMS.values()):
        jaxpr = ft.jit(case.formula).lower(np.ones((2, 3))).jaxpr
        rewrite(jaxpr, table, simplify, lambda program: program)
    assert {rule.__name__ for rules in STABILITY.values() for rule in rules} - used == {"notice_sigmoid"}


def _counting(rule: Any, used: set[str]) -> Any:
    def counted(rewriter: Any, eqn: Any) -> Any:
        found = rule(rewriter, eqn)
        if found is not None:
            used.add(rule.__name__)
        return found

    return counted
