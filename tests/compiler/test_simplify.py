"""The passes of simplification: inlining, dead code, sharing, folding; and what they keep."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest

import functrans as ft
from functrans.compiler.backends.interpreter import InterpretedProgram
from functrans.compiler.simplify import observers, passes, simplify
from functrans.compiler.simplify.rewriting import rewrite
from functrans.core.jaxpr import Eqn, Jaxpr, Var, literal, sub_jaxprs
from functrans.core.staging import trace_closed
from functrans.errors import JaxprError
from functrans.primitives.elementwise import add, multiply, sin
from functrans.primitives.foundation import full
from tests.helpers.bits import assert_same_bits
from tests.helpers.calls import calls_in

F64 = np.dtype(np.float64)
X = np.linspace(-1.0, 2.0, 3)


def simplified(f: Any, *args: Any, exact: bool = False) -> Jaxpr:
    """The simplified jaxpr of a function that returns one result."""
    return simplify(ft.jit(f).lower(*args).jaxpr, exact)


def names(f: Any, *args: Any) -> list[str]:
    return [eqn.primitive.name for eqn in simplified(f, *args).eqns]


def run(jaxpr: Jaxpr, *args: Any) -> list[Any]:
    return InterpretedProgram(jaxpr)(*args)


def test_zeros_of_either_sign_are_not_shared():
    def f():
        return [full(value=v, shape=(2,), dtype=F64) for v in (0.0, -0.0, 0, 1.0, True)]

    for results in (f(), ft.jit(f)()):
        np.testing.assert_array_equal(np.signbit(results), [[False] * 2, [True] * 2, *[[False] * 2] * 3])
        np.testing.assert_array_equal(np.abs(results), [[0.0] * 2] * 3 + [[1.0] * 2] * 2)


def test_equal_equations_are_shared_and_dead_ones_dropped():
    def f(x):
        np.exp(x)
        return np.sin(x) * np.sin(x) + ft.jit(np.sin)(x)

    assert names(f, np.ones(3)) == ["sin", "multiply", "add"]


def test_operands_of_commutative_operations_are_exchanged():
    assert names(lambda x, y: (x * y) / (y * x), X, X) == ["multiply", "divide"]
    assert names(lambda x, y: np.maximum(x, y) / np.maximum(y, x), X, X) == ["maximum", "maximum", "divide"]
    assert names(lambda x, y: (x - y) * (y - x), X, X) == ["subtract", "subtract", "multiply"]


def test_small_constants_are_compared_by_their_bits():
    a, b = np.arange(3.0), np.arange(3.0)
    assert names(lambda x: (x + a) * (x + b), X) == ["add", "multiply"]
    assert names(lambda x: (x + a) * (x + np.float32(a)), X) == ["add", "add", "multiply"]
    assert names(lambda x: (x + 0.0) * (x + -0.0), X) == ["add", "multiply"]  # x + -0.0 is x


# ---- inlining


def test_calls_at_any_depth_are_inlined():
    inner = ft.jit(lambda x: np.sin(x) + 1)
    outer = ft.jit(lambda x: inner(inner(x)))
    assert names(lambda x: outer(x) + outer(2 * x), X).count("sin") == 4
    assert "call" not in names(lambda x: outer(x) + outer(2 * x), X)


def test_functions_with_rules_of_their_own_are_programs_where_nothing_is_left_to_be_differentiated():
    @ft.custom_jvp
    def f(x):
        return np.sin(x) * 2

    f.defjvp(lambda primals, tangents: (f(*primals), 7 * tangents[0]))

    @ft.custom_vjp
    def g(x):
        return np.cos(x)

    g.defvjp(lambda x: (g(x), x), lambda x, ct: (5 * ct,))
    assert names(lambda x: f(g(x)), X) == ["cos", "sin", "multiply"]
    assert ft.jit(ft.grad(f))(1.0) == 7
    assert ft.jit(ft.grad(g))(1.0) == 5


def test_implicit_functions_are_what_solves_them():
    def f(b):
        return ft.lax.custom_linear_solve(lambda x: 2 * x, b, lambda matvec, b: b / 2)

    assert names(f, X) == ["multiply"]
    np.testing.assert_array_equal(ft.jit(f)(X), X / 2)


def test_calls_nested_ten_thousand_deep_are_inlined():
    aval = literal(1.5).aval.strong()
    jaxpr = trace_closed(lambda x: [sin(x)], [aval])
    call = ft.jit(lambda x: ft.jit(np.sin)(x)).lower(1.5).jaxpr.eqns[0].primitive
    for _ in range(10_000):
        x, y = Var(aval), Var(aval)
        jaxpr = Jaxpr([x], [Eqn(call, [x], {"jaxpr": jaxpr, "name": "f"}, [y])], [y])
    observed, observers[:] = list(observers), []  # the checker is recursive
    try:
        found = simplify(jaxpr)
    finally:
        observers[:] = observed
    assert [eqn.primitive for eqn in found.eqns] == [sin]


# ---- dead code, and what programs inside of equations compute for nobody


def only_loop(f, *args):
    """The one loop or branch of the simplified program of f."""
    (eqn,) = [e for e in simplified(f, *args).eqns if e.primitive.name in ("scan", "while_loop", "cond")]
    return eqn


def test_unused_results_of_a_scan_are_dropped():
    def used(x):
        def step(carry, row):
            a, b, c = carry
            return (a + row, b * np.exp(c), c + 1), (np.sin(row), np.cos(a))

        (a, _, _), (sines, _) = ft.lax.scan(step, (x, x, x), np.arange(3.0))
        return a + sines[0]

    eqn = only_loop(used, 1.5)
    assert len(eqn.outputs) == 2
    assert eqn.params["carry"] == 1
    assert {e.primitive.name for e in eqn.params["body"].eqns} == {"add", "sin"}
    assert ft.jit(used)(1.5) == used(1.5)


def test_a_carry_that_another_one_needs_stays():
    def used(x):
        return ft.lax.while_loop(lambda c: c[0] < 5, lambda c: (c[0] + 1, c[1] * c[2], c[2] + 1), (0, x, x))[1]

    eqn = only_loop(used, 1.5)
    assert eqn.params["carry"] == 3  # the counter for the condition, and the factor for the product
    assert ft.jit(used)(1.5) == used(1.5)


def test_unused_results_of_branches_are_dropped():
    def used(p, x, y):
        return ft.lax.cond(p, lambda: (np.sin(x), np.exp(y)), lambda: (x, y * y))[0]

    eqn = only_loop(used, True, 1.5, 2.0)
    assert len(eqn.outputs) == 1
    assert len(eqn.inputs) == 2  # the index and x
    assert ft.jit(used)(True, 1.5, 2.0) == np.sin(1.5)


def test_what_is_dropped_raises_no_errors():
    def f(x, i):
        x[i]
        return x * 2

    with pytest.raises(IndexError):
        f(X, 5)
    np.testing.assert_array_equal(ft.jit(f)(X, 5), X * 2)
    with pytest.raises(IndexError):
        ft.jit(lambda x, i: x[i])(X, 5)


def test_effects_stay_in_their_order():
    told: list[float] = []

    @ft.jit
    def f(x):
        ft.debug.callback(lambda v: told.append(float(v)), x)
        ft.debug.callback(lambda v: told.append(float(v)), x + 1)
        ft.debug.callback(lambda v: told.append(float(v)), x)
        return None

    f(1.0)
    assert told == [1.0, 2.0, 1.0]


# ---- folding


def test_constants_are_folded_within_bounds():
    table = np.linspace(0.0, 1.0, 2000)
    assert names(lambda x: x * np.sum(np.sin(table)), X) == ["multiply"]
    assert names(lambda x: x + np.sin(table)[:3], X) == ["add"]
    large = np.ones(10_000)
    assert "multiply" in names(lambda x: ft.numpy.asarray(large) * 2 + x, 1.5)  # 80 kB
    assert "broadcast_to" not in names(lambda x: x + ft.numpy.broadcast_to(np.float64(2.0), (100,)), 1.5)
    assert names(lambda x: x + ft.numpy.arange(100.0), 1.5)[-1] == "add"


def test_arrays_of_one_value_are_known_as_such():
    def f(x):
        y = ft.numpy.zeros_like(x) + 3.0
        return np.sqrt(y * 3) * x - ft.numpy.full((3,), 0.5).reshape(1, 3)[0] * 0.0

    jaxpr = simplified(f, X)
    assert [eqn.primitive.name for eqn in jaxpr.eqns] == ["full", "multiply"]
    np.testing.assert_array_equal(run(jaxpr, X)[0], 3 * X)


def test_neither_random_numbers_nor_callbacks_are_folded():
    calls: list[int] = []

    def count() -> Any:
        calls.append(1)
        return np.float64(1.0)

    def f(x):
        key = ft.random.key(0)
        drawn = ft.random.uniform(key, ())
        return x + drawn + ft.pure_callback(count, ft.ShapeDtypeStruct((), "f8"))

    found = names(f, 1.5)
    assert {"random_bits", "callback"} <= set(found)
    assert not calls


def test_errors_of_constants_are_left_to_run_time():
    def f(x):
        return x + ft.numpy.take(ft.numpy.asarray(np.arange(3.0)), 7)

    jaxpr = simplified(f, 1.5)
    with pytest.raises(IndexError):
        run(jaxpr, 1.5)


# ---- what is kept


def test_surviving_equations_keep_their_lines():
    def f(x):
        y = ft.jit(np.sin)(x)  # inlined
        z = (x / 4) * y  # a quotient
        return np.log(1 + z)  # a logarithm

    lines = {eqn.primitive.name: eqn.source.text for eqn in simplified(f, X).eqns}
    assert lines == {
        "sin": "y = ft.jit(np.sin)(x)  # inlined",
        "multiply": "z = (x / 4) * y  # a quotient",
        "log1p": "return np.log(1 + z)  # a logarithm",
    }


def test_simplifying_twice_changes_nothing():
    def f(x):
        def step(c, row):
            return c * np.sin(x[0]) + row, np.log(1 + c)

        return ft.lax.scan(step, x, np.ones((4, 3)))

    once = simplified(f, X)
    assert simplify(once) is once
    (loop,) = [eqn for eqn in once.eqns if eqn.primitive.name == "scan"]
    (body,) = sub_jaxprs(loop)
    assert simplify(body) is body


def test_python_scalars_stay_python_scalars():
    def f(x, y):
        return x * 1 + 0.5, (x * 2.0) * y

    for x in (2, 2.5, np.float32(2.5)):
        y = np.ones(2, np.float32)
        assert_same_bits(ft.jit(f)(x, y), f(x, y))


def test_the_specification_is_checked_around_every_pass():
    seen = []
    observers.append(lambda name, before, after: seen.append(name))
    simplified(lambda x: ft.jit(np.sin)(x) * 1, X)
    observers.pop()
    assert seen == list(passes())
    x, y = Var(literal(X).aval), Var(literal(X).aval)
    with pytest.raises(JaxprError):
        simplify(Jaxpr([x], [Eqn(add, [x, y], {}, [Var(x.aval)])], [x]))


# ---- the time it takes


def long_program(count: int) -> Jaxpr:
    """A chain of equations of several kinds."""
    aval = literal(X).aval
    x = Var(aval)
    eqns, last = [], x
    for i in range(count):
        primitive = (add, multiply, sin)[i % 3]
        inputs = [last] if primitive is sin else [last, x if i % 2 else literal(0.5)]
        eqns.append(Eqn(primitive, inputs, {}, [Var(aval)]))
        last = eqns[-1].outputs[0]
    return Jaxpr([x], eqns, [last])


def test_work_is_linear_in_the_number_of_equations():
    observed, observers[:] = list(observers), []
    try:
        calls = {}
        for count in (1_000, 8_000):
            jaxpr = long_program(count)
            calls[count] = calls_in(lambda: simplify(jaxpr), of_c=True).total()
            assert len(simplify(jaxpr).eqns) == count
    finally:
        observers[:] = observed
    assert calls[8_000] < 10 * calls[1_000], calls  # 8 if linear, 64 if quadratic
    assert sys.getrecursionlimit() <= 10_000


def test_rules_that_undo_each_other_come_to_an_end():
    def turned(rewriter: Any, eqn: Eqn) -> Any:
        return rewriter.emit(multiply if eqn.primitive is add else add, *eqn.inputs)

    jaxpr = ft.jit(lambda x: x + x).lower(X).jaxpr
    found = rewrite(jaxpr, {"add": (turned,), "multiply": (turned,)}, simplify, lambda program: program)
    assert [eqn.primitive.name for eqn in found.eqns] == ["add"]
