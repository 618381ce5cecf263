"""Jaxprs: construction, evaluation, pruning, and the checker."""

from __future__ import annotations

from itertools import count
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import functrans as ft
from functrans.core.avals import ShapedArray
from functrans.core.jaxpr import Eqn, Jaxpr, Literal, Var, check_jaxpr, eval_jaxpr, literal, memoized, prune, sub_jaxprs
from functrans.core.primitive import registry
from functrans.errors import JaxprError

F64 = ShapedArray((), np.dtype("f8"))
VECTOR = ShapedArray((3,), np.dtype("f8"))
sin, add, reduce_sum = registry["sin"], registry["add"], registry["reduce_sum"]
X = np.array([0.1, 0.2, 0.3])


def traced(f: Any, *args: Any) -> Jaxpr:
    return ft.make_jaxpr(f)(*args)


def names(jaxpr: Jaxpr) -> list[str]:
    return [eqn.primitive.name for eqn in jaxpr.eqns]


def test_straight_line_program():
    jaxpr = traced(lambda x, y: np.sin(x) + y, 1.0, X)
    assert names(jaxpr) == ["sin", "add"]
    assert jaxpr.in_avals == [ShapedArray((), np.dtype("f8"), weak=True), VECTOR]
    assert jaxpr.out_avals == [VECTOR]
    check_jaxpr(jaxpr)
    np.testing.assert_array_equal(eval_jaxpr(jaxpr, 1.0, X)[0], np.sin(1.0) + X)


def test_results_that_are_inputs_and_constants():
    jaxpr = traced(lambda x: (x, 2.0, X, x), 1.0)
    assert jaxpr.eqns == []
    assert jaxpr.outputs[0] is jaxpr.outputs[3] is jaxpr.inputs[0]
    assert isinstance(jaxpr.outputs[1], Literal)
    check_jaxpr(jaxpr)
    results = eval_jaxpr(jaxpr, 5.0)
    assert results[:2] == [5.0, 2.0]
    np.testing.assert_array_equal(results[2], X)


def test_captured_arrays_are_constants_and_captured_tracers_inputs():
    inner: list[Jaxpr] = []

    def f(x: Any) -> Any:
        inner.append(traced(lambda y: y * x + X, 2.0))
        return x

    ft.jvp(f, (X,), (X,))
    (jaxpr,) = inner
    assert jaxpr.in_avals == [VECTOR, ShapedArray((), np.dtype("f8"), weak=True)]
    assert sum(isinstance(a, Literal) for eqn in jaxpr.eqns for a in eqn.inputs) == 1


def loop(f: Any) -> Any:
    return lambda x: ft.lax.scan(lambda c, _: (f(c), None), x, None, 2)[0]


def constants(jaxpr: Jaxpr) -> list[Any]:
    """The arrays in a program and in those inside it."""
    own = [a.value for eqn in jaxpr.eqns for a in eqn.inputs if isinstance(a, Literal)]
    return own + [value for eqn in jaxpr.eqns for inner in sub_jaxprs(eqn) for value in constants(inner)]


NUMBERS = count()
WRAPPERS = {
    "loop": loop,
    "jit": ft.jit,
    "grad": lambda f: lambda x: ft.grad(lambda x: np.sum(f(x) ** 2))(x),
    "jvp": lambda f: lambda x: ft.jvp(f, (x,), (x,))[1],
    "vmap": lambda f: lambda x: ft.vmap(f)(np.stack([x, x * 2]))[0],
    "branch": lambda f: lambda x: ft.lax.cond(x[0] > 0, f, np.sin, x),
}


@settings(max_examples=30, deadline=None)
@given(st.lists(st.sampled_from(sorted(WRAPPERS)), max_size=4))
def test_one_copy_of_a_captured_array_serves_all_programs_inside(wrappers: list[str]):
    table = np.arange(9.0).reshape(3, 3) + next(NUMBERS)  # of programs that are alike, the first one is kept
    f = lambda x: np.tanh(x @ table)  # noqa: E731
    for name in wrappers:
        f = WRAPPERS[name](f)
    jaxpr = traced(lambda x: f(x) + np.sin(f(x) @ table), X)
    found = [value for value in constants(jaxpr) if np.shape(value) == table.shape and np.array_equal(value, table)]
    assert found
    assert all(value is found[0] for value in found)
    assert found[0] is not table


@pytest.mark.parametrize("wrapper", sorted(WRAPPERS))
def test_an_array_that_changes_while_it_is_captured_is_read_as_it_was_each_time(wrapper: str):
    def total(x: Any) -> Any:
        table = np.eye(3)
        f = WRAPPERS[wrapper](lambda x: np.tanh(x @ table))
        before = f(x)
        table *= 3.0
        return before + f(x) * 10.0

    np.testing.assert_allclose(eval_jaxpr(traced(total, X), X)[0], total(X), rtol=1e-12)
    np.testing.assert_allclose(ft.jit(total)(X), total(X), rtol=1e-12)


def test_eval_jaxpr_is_traceable():
    jaxpr = traced(lambda x: np.sum(np.sin(x) * x), X)
    run = lambda x: eval_jaxpr(jaxpr, x)[0]  # noqa: E731
    np.testing.assert_allclose(ft.grad(run)(X), np.cos(X) * X + np.sin(X))
    assert names(traced(run, X)) == names(jaxpr)
    np.testing.assert_allclose(ft.vmap(run)(np.stack([X, 2 * X])), [run(X), run(2 * X)])


def test_wrong_number_of_arguments():
    with pytest.raises(ValueError, match="zip"):
        eval_jaxpr(traced(np.sin, 1.0))


def test_prune_keeps_what_is_needed_in_order():
    a, b, c, d = (Var(F64) for _ in range(4))
    eqns = [Eqn(sin, [a], {}, [b]), Eqn(sin, [a], {}, [c]), Eqn(add, [b, b], {}, [d])]
    assert prune(eqns, [d]) == [eqns[0], eqns[2]]
    assert prune(eqns, [a, literal(1.0)]) == []
    assert prune(eqns, [c, d]) == eqns


def test_sub_jaxprs():
    jaxpr = traced(ft.jit(lambda x: ft.jit(np.sin)(x) * 2), 1.0)
    (call,) = jaxpr.eqns
    (body,) = sub_jaxprs(call)
    assert names(body) == ["call", "multiply"]
    assert sub_jaxprs(body.eqns[1]) == []


def test_memo_lives_on_the_jaxpr():
    calls: list[Any] = []

    @memoized
    def derive(jaxpr: Jaxpr, key: int) -> int:
        calls.append(key)
        return key * len(jaxpr.eqns)

    one, two = traced(np.sin, 1.0), traced(lambda x: np.sin(np.sin(x)), 1.0)
    assert [derive(one, 2), derive(one, 2), derive(two, 2), derive(one, 3)] == [2, 2, 4, 3]
    assert calls == [2, 2, 3]


def test_literals_compare_by_identity():
    """Arrays as constants must not be compared elementwise, nor NaN be unequal to itself."""
    one, other = literal(X), literal(X)
    assert one == one
    assert one != other
    assert len({one, other}) == 2


# ---- the checker


def test_use_before_definition():
    a, b = Var(F64), Var(F64)
    with pytest.raises(JaxprError, match=r"f64\[\] is used in `sin` before it is defined"):
        check_jaxpr(Jaxpr([], [Eqn(sin, [a], {}, [b])], [b]))
    with pytest.raises(JaxprError, match="used in the outputs before it is defined"):
        check_jaxpr(Jaxpr([], [], [a]))


def test_definition_twice():
    a, b = Var(F64), Var(F64)
    with pytest.raises(JaxprError, match=r"f64\[\] is defined twice, the second time in `sin`"):
        check_jaxpr(Jaxpr([a], [Eqn(sin, [a], {}, [b]), Eqn(sin, [a], {}, [b])], [b]))
    with pytest.raises(JaxprError, match="twice, the second time in the inputs"):
        check_jaxpr(Jaxpr([a, a], [], [a]))


def test_wrong_type_of_a_result():
    a, b = Var(F64), Var(VECTOR)
    with pytest.raises(JaxprError, match=r"`sin` gives \(f64\[\]\), its equation says \(f64\[3\]\)"):
        check_jaxpr(Jaxpr([a], [Eqn(sin, [a], {}, [b])], [b]))
    with pytest.raises(JaxprError, match=r"`sin` gives \(f64\[\]\), its equation says \(\)"):
        check_jaxpr(Jaxpr([a], [Eqn(sin, [a], {}, [])], [a]))


def test_mistakes_in_inner_jaxprs():
    good = traced(ft.jit(np.sin), 1.0)
    (call,) = good.eqns
    a = Var(F64)
    bad = Jaxpr([a], [], [Var(F64)])
    with pytest.raises(JaxprError, match="before it is defined"):
        check_jaxpr(Jaxpr(good.inputs, [call._replace(params={**call.params, "jaxpr": bad})], good.outputs))


# ---- what is recorded


def test_dead_code_is_recorded_and_not_run():
    jaxpr = traced(lambda x: (np.sin(x), x)[1], 1.0)
    assert names(jaxpr) == ["sin"]
    assert names(ft.jit(lambda x: (np.sin(x), x)[1]).lower(1.0).simplified) == []


def test_python_control_flow_is_gone():
    def f(x: Any, n: int) -> Any:
        for _ in range(n):
            x = np.sin(x) if n > 2 else np.cos(x)
        return x

    assert names(ft.make_jaxpr(f, static_argnums=1)(1.0, 3)) == ["sin"] * 3
    assert names(ft.make_jaxpr(f, static_argnums=1)(1.0, 2)) == ["cos"] * 2


def test_computation_on_constants_is_not_recorded_in_eager_derivatives():
    """A gradient by x records nothing of what does not depend on x."""
    _, f_jvp = ft.linearize(lambda x: x * np.sin(np.cos(X)), X)
    assert len(names(ft.make_jaxpr(f_jvp)(X))) <= 2


def test_shapes_instead_of_arrays():
    shape = ft.ShapeDtypeStruct((1000, 1000, 1000), "f4")
    jaxpr, result = ft.make_jaxpr(lambda x: {"total": np.sum(x, axis=0)}, return_shape=True)(shape)
    assert jaxpr.out_avals == [ShapedArray((1000, 1000), np.dtype("f4"))]
    assert result == {"total": ft.ShapeDtypeStruct((1000, 1000), "f4")}


@pytest.mark.parametrize("dtype", ["f8", "f4", "c8", "i4", "?"])
def test_constants_of_every_dtype(dtype: str):
    constant = np.array([1, 0, 1], dtype)
    jaxpr = traced(lambda x: np.where(x > 0, constant, constant), 1.0)
    check_jaxpr(jaxpr)
    assert eval_jaxpr(jaxpr, 1.0)[0].dtype == constant.dtype
