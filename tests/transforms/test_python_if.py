"""Python `if` on values that are not known while tracing: both ways are traced, and meet in a cond."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import partial
from random import Random
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import functrans as ft
import functrans.numpy as fnp
from functrans import errors
from tests.helpers.shares import share

Function = Callable[..., Any]
X = np.array([0.7, -1.3, 2.1, 0.2])


def equations(jaxpr: Any, name: str | None = None) -> int:
    """How many equations there are, inner ones included; or those of one primitive."""
    inner = [b for eqn in jaxpr.eqns for v in eqn.params.values() for b in (v if isinstance(v, tuple) else (v,))]
    nested = sum(equations(b, name) for b in inner if hasattr(b, "eqns"))
    return nested + sum(name in (None, eqn.primitive.name) for eqn in jaxpr.eqns)


def hessian_product(f: Function, x: Any, v: Any) -> Any:
    return ft.jvp(ft.grad(f), (x,), (v,))[1]


def agrees(f: Function, x: Any, *, order: int = 2) -> None:
    """f under every transformation is what it is without, where Python knows which way to go."""
    same = partial(np.testing.assert_allclose, rtol=1e-9, atol=1e-12)
    lanes = np.stack([x, -x, 0.3 * x + 0.1])
    value = f(x)
    staged = ft.jit(f)(x)
    same(staged, value)
    assert np.asarray(staged).dtype == np.asarray(value).dtype
    same(ft.jit(f)(-x), f(-x))
    by_lane = np.stack([f(row) for row in lanes])
    for g in (ft.vmap(f), ft.jit(ft.vmap(f)), ft.vmap(ft.jit(f))):
        same(g(lanes), by_lane)
    if not order:
        return
    gradient = ft.grad(f)(x)
    for g in (ft.jit(ft.grad(f)), ft.grad(ft.jit(f)), ft.grad(ft.checkpoint(f))):
        same(g(x), gradient)
    gradients = np.stack([ft.grad(f)(row) for row in lanes])
    for g in (ft.vmap(ft.grad(f)), ft.jit(ft.vmap(ft.grad(f))), ft.vmap(ft.grad(ft.jit(f)))):
        same(g(lanes), gradients)
    same(ft.grad(lambda x: np.sum(ft.vmap(f)(x)))(lanes), gradients)
    if order < 2:
        return
    v = np.cos(np.arange(x.size)).reshape(x.shape)
    product = hessian_product(f, x, v)
    same(ft.jit(partial(hessian_product, f))(x, v), product)
    same(hessian_product(ft.jit(f), x, v), product)
    same(ft.vmap(partial(hessian_product, f), (0, None))(lanes, v)[0], product)
    same(ft.hessian(ft.jit(f))(x) @ v, product)


# ---- random programs


class Step(NamedTuple):
    """One statement: its kind, numbers that say on what, and for an `if` the statements on either side."""

    kind: str
    a: int
    b: int
    level: float
    then: tuple[Step, ...] = ()
    otherwise: tuple[Step, ...] = ()


class Return(Exception):
    """Leaves a random program early."""


def random_block(random: Random, depth: int) -> tuple[Step, ...]:
    """Up to three statements, in which `if`s are nested at most so deep."""
    steps = []
    for _ in range(random.randint(1, 3)):
        branches = depth and random.random() < 0.6
        kinds = ["if", "if", "both", "not"] if branches else ["sin", "multiply", "add", "assign", "update", "return"]
        inner = [random_block(random, depth - 1) for _ in range(2)] if branches else [(), ()]
        level = random.uniform(-1.5, 1.5)
        steps.append(Step(random.choice(kinds), random.randrange(4), random.randrange(4), level, *inner))
    return tuple(steps)


def run_block(block: tuple[Step, ...], values: list[Any], out: Any) -> None:
    """Run statements: `values` are four scalars, `out` an array of four elements."""
    for step in block:
        x, y = values[step.a], values[step.b]
        match step.kind:
            case "sin":
                values[step.b] = np.sin(x) + step.level
            case "multiply":
                values[step.a] = x * y
            case "add":
                values[step.a] = 0.5 * x + y
            case "assign":
                out[step.a] = y * step.level
            case "update":
                out[step.a :] += x
            case "return":
                raise Return
            case "if":
                run_block(step.then if x > step.level else step.otherwise, values, out)
            case "both":
                run_block(step.then if x > step.level and y < 1.0 else step.otherwise, values, out)
            case "not":
                run_block(step.then if not x > y else step.otherwise, values, out)


def program(block: tuple[Step, ...]) -> Function:
    def run(x: Any) -> Any:
        values, out = [x[i] for i in range(4)], x * 2.0
        try:
            run_block(block, values, out)
        except Return:
            return np.sum(out * out)
        return np.sum(np.cos(out)) + values[0] * values[1] - values[2] ** 2 * values[3]

    return run


@share(12)
@given(st.randoms(use_true_random=True))
def test_random_programs(random):
    f = program(random_block(random, 2))
    with ft.config.using(max_paths=8):
        try:
            ft.make_jaxpr(f)(X)
        except errors.TooManyPathsError:
            return
        agrees(f, np.array([random.uniform(-2, 2) for _ in X]))


# ---- what Python makes decisions of


def test_if_and_else():
    def f(x):
        y = np.sin(x)
        if x[0] > 0:
            return np.sum(y * 2)
        return np.sum(-y * y)

    agrees(f, X)


def test_elif_chain():
    def f(x):
        s = np.sum(x)
        if s > 3:
            s = s * 2
        elif s > 0:
            s = s**2
        elif s > -3:
            s = np.exp(s)
        else:
            s = s - 1
        return s * x[0]

    for shift in (-2.0, -0.5, 0.5, 2.0):
        agrees(f, X + shift)


def test_ternary_and_or_not_chain():
    agrees(lambda x: x[0] ** 2 if -1 < x[0] < 1 else np.abs(x[0]), X)
    agrees(lambda x: x[0] * (x[1] if not (x[0] > 0 or x[1] > 0) else x[2]), X)
    agrees(lambda x: x[0] * 2 if x[0] > 0 and x[1] > 0 and x[2] > 0 else x[1] * x[3], X)
    agrees(lambda x: (x[0] > 0 and x[1]) or x[2], X)  # what `and` and `or` return is an operand


def test_pythons_max_min_sorted_any_all():
    agrees(lambda x: max(x[0], x[1]) * min(x[2], x[3]), X)
    agrees(lambda x: sum(i * y for i, y in enumerate(sorted(x[:3]))), X)
    agrees(lambda x: x[0] ** 2 if any(y > 1.5 for y in x) else x[1], X)
    agrees(lambda x: x[0] ** 2 if all(y > -1 for y in x) else x[1], X)


def test_loop_with_break_and_continue():
    def f(x):
        total = 0.0
        for y in x:
            if y < -1:
                continue
            if total > 2:
                break
            total = total + y * y
        return total * x[0]

    with ft.config.using(max_paths=64):
        agrees(f, X)


def test_bounded_while():
    def f(x):
        n, s = 0, np.sum(x * x)
        while s > 1 and n < 4:
            s, n = s / 3, n + 1
        return s * n

    agrees(f, X, order=1)
    np.testing.assert_allclose(ft.jit(f)(X), f(X), rtol=1e-14)


def test_item_assignment():
    def f(x):
        out = np.zeros_like(x)
        view = out[1:]
        if x[0] > 0:
            view[0] = x[1] ** 2
            out[0] = x[0]
        else:
            out[:] = x * 3
        out[-1] += x[0] * x[1]
        if out[1] > 1:
            out = out * 2
        return np.sum(out**2)

    agrees(f, X)


def test_recursion_and_nested_functions():
    def power(x, n):
        return 1.0 if n == 0 else x * power(x, n - 1)

    def f(x):
        def g(y):
            return power(y, 3) if y > 0 else power(y, 2)

        return g(x[0]) + g(x[1])

    agrees(f, X)


def test_predicates_that_are_no_booleans():
    agrees(lambda x: x[0] if np.floor(x[1]) else x[2], X)
    agrees(lambda x: x[0] if np.floor(x[1:2]) else x[2], X)  # one element
    f = ft.jit(lambda n: 1 if n else 2)
    assert (f(3), f(0)) == (1, 2)
    assert ft.jit(lambda z: 1 if z else 2)(0j) == 2
    assert ft.jit(lambda x: 1 if x else 2)(np.nan) == 1


def test_membership():
    f = ft.jit(lambda x, y: 1 if y in x else 0)
    assert (f(X, X[2]), f(X, 5.0)) == (1, 0)


def test_several_results():
    def f(x, flag):
        kept = x * 2
        if flag:
            return {"a": kept, "b": (x + 1, 3)}, None
        return {"a": kept, "b": (x - 1, 3)}, None

    for flag in (True, False):
        (found, none), (expected, _) = ft.jit(f)(X, flag), f(X, flag)
        np.testing.assert_array_equal(found["a"], expected["a"])
        np.testing.assert_array_equal(found["b"][0], expected["b"][0])
        assert found["b"][1] == 3
        assert none is None


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex64, np.int32])
def test_dtypes(dtype):
    def f(x):
        if np.real(x) > 1:
            return x * 2
        if np.real(x) > 0:
            return 0
        return -x

    for value in (2, 0.5, -2):
        x = dtype(value)
        found = ft.jit(f)(x)
        assert found == f(x)
        assert found.dtype == dtype
        np.testing.assert_array_equal(ft.vmap(f)(np.full(3, x)), np.full(3, f(x), dtype))


def test_python_scalars_stay_weak():
    choose = ft.jit(lambda x: 0 if x > 1 else 0.5)
    f = ft.jit(lambda x, y: choose(x) * y)
    assert f(2.0, np.float32(3)).dtype == np.float32
    assert f(0.0, np.float32(3)) == 1.5
    assert ft.jit(lambda x: True if x > 0 else False)(1.0) == True  # noqa: E712, SIM210
    assert ft.jit(bool)(0.0) == False  # noqa: E712


def test_lanes_leave_no_trace_in_branches_they_do_not_take():
    def f(x):
        return np.log(x) if x > 0 else x * 0

    x = np.array([1.0, -1.0, 0.0, np.e])
    with np.errstate(all="raise"):
        np.testing.assert_allclose(ft.vmap(f)(x), [0, 0, 0, 1])
        np.testing.assert_allclose(ft.vmap(ft.grad(f))(x), [1, 0, 0, 1 / np.e])


def test_jet():
    def f(x):
        return np.exp(x) * x if x > 0 else x**3

    for x in (0.8, -0.8):
        expected = ft.jet(f, (x,), ([1.0, 0.0, 0.0],))
        for g in (ft.jit(f), ft.checkpoint(f)):
            found = ft.jet(g, (x,), ([1.0, 0.0, 0.0],))
            np.testing.assert_allclose(np.hstack([found[0], *found[1]]), np.hstack([expected[0], *expected[1]]))


# ---- which trace decides


def test_values_of_an_outer_trace():
    def outer(x, ys):
        return ft.vmap(lambda y: y * x if x > 0 else y - x)(ys)

    def scanned(x, ys):
        return ft.lax.scan(lambda c, y: (c + y if x > 0 else c - y * x, None), 0.0, ys)[0]

    def differentiated(x, ys):
        return ft.grad(lambda y: np.sum(y * y if x > 0 else y * x))(ys)

    def staged(x, ys):
        return ft.jit(lambda y: y * y if x > 0 else y * x)(ys)

    for f in (outer, scanned, differentiated, staged):
        for x in (2.0, -2.0):
            np.testing.assert_allclose(ft.jit(f)(x, X), f(x, X))
            xs = np.array([x, -x, 1.0])
            np.testing.assert_allclose(ft.vmap(f, (0, None))(xs, X), [f(x, X) for x in xs])
            slope = ft.grad(lambda x, ys, f=f: np.sum(f(x, ys) ** 2))
            np.testing.assert_allclose(ft.jit(slope)(x, X), slope(x, X))
            np.testing.assert_allclose(ft.vmap(slope, (0, None))(xs, X), [slope(x, X) for x in xs])


def test_a_jitted_function_that_decides_by_an_outer_value_is_traced_again_each_time():
    def f(x, y):
        @ft.jit
        def g(y):
            return y * 2 if x > 0 else y * 3

        return g(y) + g(y)

    g = ft.jit(f)
    assert (g(1.0, 1.0), g(-1.0, 1.0)) == (4.0, 6.0)


def test_nested_vmaps():
    def f(x, y):
        return x * y if x > y else x - y * y

    xs, ys = X, np.array([0.1, -2.0, 1.0])
    expected = [[f(x, y) for y in ys] for x in xs]
    over_y = ft.vmap(f, (None, 0))
    for g in (ft.vmap(over_y, (0, None)), ft.jit(ft.vmap(over_y, (0, None)))):
        np.testing.assert_allclose(g(xs, ys), expected)

    def outer(x):
        return ft.vmap(lambda y: f(x, y) if x > 0 else y)(ys)

    np.testing.assert_allclose(ft.vmap(outer)(xs), [[f(x, y) if x > 0 else y for y in ys] for x in xs])


def test_vmap_with_axes_names_and_keywords():
    def f(x, table, *, scale):
        if x["a"] > 0:
            return {"out": x["a"] * scale, "table": table + x["b"]}
        return {"out": -x["a"], "table": table - x["b"]}

    a, b = X, np.arange(12.0).reshape(3, 4)
    run = ft.vmap(f, in_axes=({"a": 0, "b": 1}, None), out_axes={"out": 0, "table": 1})
    found = run({"a": a, "b": b}, np.ones(3), scale=np.full(4, 2.0))
    for i in range(4):
        one = f({"a": a[i], "b": b[:, i]}, np.ones(3), scale=2.0)
        np.testing.assert_allclose(found["out"][i], one["out"])
        np.testing.assert_allclose(found["table"][:, i], one["table"])


def test_collectives_before_and_after():
    def f(x):
        mean = ft.lax.pmean(x, "i")
        return x * mean if x > mean else mean - x

    mean = np.mean(X)
    expected = np.where(mean < X, X * mean, mean - X)
    np.testing.assert_allclose(ft.vmap(f, axis_name="i")(X), expected)
    np.testing.assert_allclose(ft.jit(ft.vmap(f, axis_name="i"))(X), expected)


def test_arguments_without_lanes_stay_concrete():
    seen = []

    def f(x, n):
        seen.append(type(n))
        return x ** int(n) if x > 0 else x * list(range(5))[n]

    np.testing.assert_allclose(ft.vmap(f, (0, None))(X, 3), [f(x, 3) for x in X])
    assert set(seen) == {int}
    with pytest.raises(errors.ConcretizationError):
        ft.jit(f)(1.0, 3)


def test_in_bodies_of_control_flow():
    def body(c, x):
        return (c + x if c < 2 else c * 0.5), (x if x > 0 else 0.0)

    expected, rows = 0.0, []
    for x in X:
        expected, row = body(expected, x)
        rows.append(row)
    for scan in (ft.lax.scan, ft.jit(partial(ft.lax.scan, body))):
        carry, ys = scan(body, 0.0, X) if scan is ft.lax.scan else scan(0.0, X)
        np.testing.assert_allclose(carry, expected)
        np.testing.assert_allclose(ys, rows)
    collatz = ft.jit(
        lambda n: ft.lax.while_loop(lambda s: s[0] > 1, lambda s: (s[0] // 2 if s[0] % 2 == 0 else 3 * s[0] + 1, s[1] + 1), (n, 0))[1]
    )
    assert collatz(27) == 111
    np.testing.assert_array_equal(ft.vmap(collatz)(np.array([1, 6, 27])), [0, 8, 111])


def test_in_custom_rules():
    @ft.custom_jvp
    def f(x):
        return x * x if x > 0 else -x

    @f.defjvp
    def f_jvp(primals, tangents):
        (x,), (dx,) = primals, tangents
        return (x * x, 2 * x * dx) if x > 0 else (-x, -dx)

    @ft.custom_vjp
    def g(x):
        return x * x if x > 0 else -x

    g.defvjp(
        lambda x: (x * x, (x, 2.0)) if x > 0 else (-x, (x, -1.0)),
        lambda res, ct: (res[0] * res[1] * ct,) if res[0] > 0 else (res[1] * ct,),
    )
    expected = [2 * x if x > 0 else -1.0 for x in X]
    for h in (f, g):
        slope = ft.grad(h)
        for one in (slope, ft.jit(slope), ft.grad(ft.jit(h)), ft.grad(ft.checkpoint(h)), ft.jit(ft.grad(ft.jit(h)))):
            np.testing.assert_allclose([one(x) for x in X], expected)
            np.testing.assert_allclose(ft.vmap(one)(X), expected)
            np.testing.assert_allclose(ft.jit(ft.vmap(one))(X), expected)
        np.testing.assert_allclose(ft.grad(lambda x, h=h: np.sum(ft.vmap(h)(x)))(X), expected)
        np.testing.assert_allclose([ft.jvp(ft.jit(h), (x,), (1.0,))[1] for x in X], expected)


# ---- how much is traced, and what comes of it


def test_nothing_is_decided_nothing_changes():
    runs = itertools.count()

    def f(x):
        next(runs)
        return np.sin(x) if x.shape == (4,) else x

    assert equations(ft.make_jaxpr(f)(X), "cond") == 0
    assert next(runs) == 1


def test_number_of_runs_and_what_is_shared():
    runs = []

    def f(x):
        y = np.sin(x)
        z = np.exp(y) * y
        runs.append(None)
        if z > 0:
            return z * 2
        if z > -1:
            return z * 3
        return z * 4

    jaxpr = ft.make_jaxpr(f)(0.5)
    assert len(runs) == 3
    assert equations(jaxpr, "cond") == 2
    assert equations(jaxpr, "sin") == equations(jaxpr, "exp") == 1
    assert equations(jaxpr, "multiply") == 4  # one before, one at the end of each path
    ft.jit(lambda x: f(x))(0.5)
    assert len(runs) == 6


def test_a_value_decides_once():
    def f(x):
        positive = np.sum(x) > 0
        y = x * 2 if positive else x
        y = y + 1 if positive else y
        if np.sum(x) > 0:  # the same again, computed anew
            extra = 3
        if np.sum(x) > 0:
            y = y * extra  # bound where the first is true
        return np.sum(y)

    assert equations(ft.make_jaxpr(f)(X), "cond") == 1
    agrees(f, X)


def test_results_that_do_not_depend_on_the_way_pass_by():
    def f(x):
        y = np.sin(x)
        if x > 0:
            return y, x * 2, 5
        return y, x * 3, 5

    [cond] = [eqn for eqn in ft.make_jaxpr(f)(1.0).eqns if eqn.primitive.name == "cond"]
    assert len(cond.outputs) == 1
    assert ft.jit(f)(2.0) == (np.sin(2.0), 4.0, 5)

    def unused(x):
        y = x * 2
        if x > 0:
            np.sin(x)
        return y

    assert equations(ft.make_jaxpr(unused)(1.0), "cond") == 0


def test_known_constants_are_no_decisions():
    assert equations(ft.make_jaxpr(lambda x: x if fnp.array(True).copy() else -x)(1.0), "cond") == 0


def test_captured_copies_are_recognised():
    def f(x, y):
        def body(c, t):
            z = x.copy()
            z[0] = c
            return (np.sum(z) if c > 0 else z[1] * t), None

        return ft.lax.scan(body, y, X)[0]

    def by_hand(x, y):
        for t in X:
            y = y + np.sum(x[1:]) if y > 0 else x[1] * t
        return y

    np.testing.assert_allclose(ft.jit(f)(X, 0.3), by_hand(X, 0.3))
    lanes = np.stack([X, -X])
    np.testing.assert_allclose(ft.vmap(f)(lanes, X[:2]), [by_hand(x, y) for x, y in zip(lanes, X)])


def test_arrays_made_in_the_function_are_constants():
    def f(x):
        weights = np.arange(4.0)
        y = x * weights
        weights[0] = 5.0
        z = x + weights
        return np.sum(y) if z[0] > 5 else np.sum(z * weights)

    agrees(f, X)


def test_sources():
    def f(x):
        return x * 2 if x > 0 else -x

    [cond] = [eqn for eqn in ft.make_jaxpr(f)(1.0).eqns if eqn.primitive.name == "cond"]
    assert cond.source.text == "return x * 2 if x > 0 else -x"


# ---- bounds and mistakes


def message(error: type[Exception], f: Function, *args: Any) -> str:
    texts = []
    for transformed in (ft.jit(f), lambda *xs: ft.vmap(f)(*(np.asarray(x)[None] for x in xs))):
        with pytest.raises(error) as caught:
            transformed(*args)
        texts.append(str(caught.value).replace("[]*", "[]"))  # lanes are no Python scalars
    assert texts[0] == texts[1]
    return texts[0]


def test_a_while_loop_without_bound():
    def f(x):
        while x > 1:
            x = x / 2
        return x

    text = message(errors.TooManyPathsError, f, 100.0)
    assert "`while x > 1:`" in text
    assert "more than 16 ways" in text
    assert "decided 16 times" in text
    assert "functrans.lax.while_loop" in text
    assert issubclass(errors.TooManyPathsError, errors.ConcretizationError)
    with ft.config.using(max_paths=1), pytest.raises(errors.TooManyPathsError, match="more than 1 "):
        ft.jit(f)(100.0)


def test_too_many_choices_in_a_loop():
    def f(x):
        total = 0.0
        for y in x:
            if y > 0:
                total = total + y
        return total

    long = np.ones(5)
    text = message(errors.TooManyPathsError, f, long)
    assert "`if y > 0:`" in text
    assert "functrans.lax.cond" in text
    assert "functrans.config.max_paths" in text
    with ft.config.using(max_paths=32):
        assert ft.jit(f)(long) == 5.0


def test_too_many_choices_side_by_side():
    def f(x):
        s = x * 1.0
        s = s + 1 if x > 1 else s
        s = s + 2 if x > 2 else s
        s = s + 3 if x > 3 else s
        s = s + 4 if x > 4 else s
        return s + 5 if x > 5 else s

    with ft.config.using(max_paths=4):
        text = message(errors.TooManyPathsError, f, 1.0)
    assert "what comes after a decision is there twice" in text


def test_the_bound_holds_if_the_error_is_caught():
    def f(x):
        try:
            while x > 1:
                x = x / 2
        except TypeError:
            return x * np.nan
        return x

    message(errors.TooManyPathsError, f, 100.0)


def test_a_bare_except_does_not_hide_the_decision():
    def f(x):
        try:
            if x > 0:
                return x * 2
        except:  # noqa: E722
            return x * np.nan
        return -x

    np.testing.assert_allclose(ft.vmap(f)(X), [f(x) for x in X])
    np.testing.assert_allclose(ft.jit(ft.vmap(f))(X), [f(x) for x in X])


def test_exceptions_that_depend_on_values():
    def f(x):
        if x < 0:
            raise ValueError("negative")
        return np.sqrt(x)

    def g(x):
        assert x > 0, "not positive"
        return np.sqrt(x)

    text = message(errors.ConditionalExceptionError, f, 4.0)
    assert "`ValueError: negative` was raised where the condition is true" in text
    assert "`if x < 0:`" in text
    text = message(errors.ConditionalExceptionError, g, 4.0)
    assert "`AssertionError: not positive` was raised where the condition is false" in text
    with pytest.raises(errors.ConditionalExceptionError) as caught:
        ft.jit(f)(4.0)
    assert isinstance(caught.value.__cause__, ValueError)


def test_unbound_local():
    def f(x):
        if x > 0:
            y = 1
        return x + y

    assert "UnboundLocalError" in message(errors.ConditionalExceptionError, f, 1.0)


def test_exceptions_on_all_paths_are_raised_as_they_are():
    def f(x):
        y = x if x > 0 else -x
        raise KeyError(y.shape)

    message(KeyError, f, 1.0)

    def g(x):
        y = x if np.sum(x) > 0 else -x
        return y @ np.ones(7)

    with pytest.raises(ValueError, match="7") as caught:
        ft.jit(g)(X)
    assert isinstance(caught.value, errors.FunctransError)
    assert any("`y = x if np.sum(x) > 0 else -x`" in note for note in caught.value.__notes__)


def test_exceptions_that_the_function_handles_itself():
    def f(x):
        try:
            if x < 0:
                raise ValueError
        except ValueError:
            return x * x
        return np.sqrt(x)

    np.testing.assert_allclose(ft.vmap(f)(X), [f(x) for x in X])


def test_results_that_do_not_fit():
    def structure(x):
        if x > 0:
            return {"a": x, "b": x}
        return {"a": x}

    def nothing(x):
        if x > 0:
            return x

    def shape(x):
        return {"y": np.stack([x, x])} if x > 0 else {"y": x}

    def dtype(x):
        return x.astype(np.float32) if x > 0 else x

    def aux(x):
        return (x, {"n": x}) if x > 0 else (x, [x])

    text = message(errors.BranchMismatchError, structure, np.float64(1.0))
    assert "{'a': *, 'b': *} where it is true" in text
    assert "{'a': *} where the condition is false" in text
    assert "`if x > 0:`" in text
    assert "None where the condition is false" in message(errors.BranchMismatchError, nothing, 1.0)
    text = message(errors.BranchMismatchError, shape, np.float64(1.0))
    assert "types of ['y']: f64[2]" in text
    assert "f64[] where the condition is false" in text
    assert "f32[]" in message(errors.BranchMismatchError, dtype, np.float64(1.0))
    with pytest.raises(errors.BranchMismatchError, match=r"structures: .*'n'"):
        ft.jit(lambda x: ft.grad(aux, has_aux=True)(x))(1.0)


def test_impure_functions():
    def mistake(f: Function) -> str:
        with pytest.raises(errors.ImpureFunctionError) as caught:
            ft.jit(f)(1.0)
        return str(caught.value)

    numbers, flips = itertools.count(), itertools.cycle([True, False])

    def counts(x):
        x = x * next(numbers)
        return x if x > 0 else -x

    def wavers(x):
        x = np.sin(x) if next(flips) else np.cos(x)
        return x if x > 0 else -x

    calls = []

    def stops(x):
        calls.append(None)
        if len(calls) == 1:
            return x if x > 0 else -x
        return x

    def turns(x):
        calls.append(None)
        a, b = x > 0, x < 5
        return x if (a if len(calls) % 2 else b) else -x

    def reshapes(x):
        y = np.broadcast_to(x, (next(numbers),))
        return np.sum(y) if x > 0 else x

    def remembers(x):
        calls.append(x * 2)
        return x if x > 0 else calls[-2]

    text = mistake(counts)
    assert "`multiply` had other operands" in text
    assert "x = x * next(numbers)" in text
    assert "random numbers" in text
    assert "`cos` in place of `sin`" in mistake(wavers)
    assert "ended earlier" in mistake(stops)
    calls.clear()
    assert "another value" in mistake(turns)
    assert "another type" in mistake(reshapes)
    calls[:] = [1.0]
    with pytest.raises(errors.LeakedTracerError):
        ft.jit(remembers)(1.0)


def test_numbers_are_still_not_known():
    for convert in (int, float, complex, range, lambda n: [1, 2, 3][n]):
        with pytest.raises(errors.ConcretizationError):
            ft.jit(lambda x: convert(x))(1)
    for f in (float, lambda x: x if float(x) > 0 else -x):
        with pytest.raises((errors.ConcretizationError, errors.TracerConversionError)):
            ft.vmap(f)(X)


def test_a_value_from_outside_is_a_leak():
    kept = []
    ft.jit(lambda x: kept.append(x) or x)(1.0)
    for use in (lambda: bool(kept[0]), lambda: ft.jit(lambda y: y if kept[0] else -y)(1.0)):
        with pytest.raises(errors.LeakedTracerError):
            use()
    ft.vmap(lambda x: kept.append(x) or x)(X)
    with pytest.raises(errors.LeakedTracerError):
        bool(kept[-1])


def test_views_taken_before_a_decision_are_retired_on_either_side():
    def f(x):
        out = x * 1.0
        row = np.flip(out)
        if x[0] > 0:
            out[0] = 1.0
        return row

    with pytest.raises(errors.FunctransError, match="view"):
        ft.jit(f)(X)


# ---- settings


def test_settings():
    assert ft.config.max_paths == 16
    with ft.config.using(max_paths=3) as inside:
        assert inside.max_paths == ft.config.max_paths == 3
        with ft.config.using(max_paths=4):
            assert ft.config.max_paths == 4
        assert ft.config.max_paths == 3
    ft.config.max_paths = 20
    try:
        assert repr(ft.config).startswith("Config(max_paths=20, backend='cpu', threads=None")
        assert "max_paths" in dir(ft.config)
    finally:
        ft.config.max_paths = 16
    for value in (0, -1, 1.5, "16", True):
        with pytest.raises(ValueError, match="positive integer"):
            ft.config.max_paths = value
    with pytest.raises(AttributeError, match="no setting 'paths'"):
        ft.config.paths = 3
    with pytest.raises(AttributeError, match="no setting 'paths'"):
        _ = ft.config.paths
    with pytest.raises(AttributeError), ft.config.using(paths=3):
        pass
