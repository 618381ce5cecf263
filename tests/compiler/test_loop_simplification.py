"""Loops and branches: their programs are simplified, invariants leave them, constants go inside."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import functrans as ft
from functrans import lax
from functrans.compiler.backends.interpreter import InterpretedProgram
from functrans.compiler.simplify import simplify
from functrans.core.jaxpr import Eqn, Jaxpr
from tests.helpers.bits import assert_same_bits

fnp = ft.numpy
X = np.array([0.5, -1.5, 2.0])
HOLDERS = ("scan", "while_loop", "cond", "reverse_sweep", "checkpoint")


def simplified(f: Any, *args: Any) -> Jaxpr:
    """The simplified program, whose results are those of the program as it was."""
    jaxpr = ft.jit(f).lower(*args).jaxpr
    shorter = simplify(jaxpr, exact=True)
    try:
        wanted = InterpretedProgram(jaxpr)(*args)
    except IndexError:
        return shorter
    assert_same_bits(InterpretedProgram(shorter)(*args), wanted, signs_of_zeros=False)
    return shorter


def names(jaxpr: Jaxpr) -> list[str]:
    return [eqn.primitive.name for eqn in jaxpr.eqns]


def only(jaxpr: Jaxpr) -> Eqn:
    """The one loop or branch."""
    (eqn,) = [eqn for eqn in jaxpr.eqns if eqn.primitive.name in HOLDERS]
    return eqn


# ---- programs inside


def test_programs_inside_are_simplified():
    def f(p, x):
        x = lax.scan(lambda c, row: (np.negative(-c) * row, c.T.T), x, np.ones((2, 3)))[0]
        x = lax.while_loop(lambda c: np.sum(c) * 1 < 3, lambda c: c * 1 + 1, x)
        x = lax.cond(p, lambda x: np.sin(x) * 1, lambda x: x / 1, x)
        return ft.checkpoint(lambda x: np.sin(x * 1))(ft.checkpoint(lambda x: np.sin(x / 1))(x))

    found = {eqn.primitive.name: eqn.params for eqn in simplified(f, True, X).eqns}
    assert names(found["scan"]["body"]) == ["multiply"]
    assert names(found["while_loop"]["cond"]) == ["reduce_sum", "less"]
    assert names(found["while_loop"]["body"]) == ["add"]
    assert sorted(map(names, found["cond"]["branches"])) == [[], ["sin"]]
    assert names(found["checkpoint"]["jaxpr"]) == ["sin"]


def test_calls_inside_are_inlined():
    inner = ft.jit(lambda c: np.sin(c) * 2)
    body = only(simplified(lambda x: lax.fori_loop(0, 3, lambda i, c: inner(inner(c)), x), X)).params["body"]
    assert "call" not in names(body)
    assert names(body).count("sin") == 2


def test_programs_inside_of_programs_inside():
    def f(x):
        def step(c, row):
            return lax.fori_loop(0, 2, lambda i, d: d * 1 + np.sin(x) * row, c), None

        return lax.scan(step, x, np.ones((2, 3)))[0]

    jaxpr = simplified(f, X)
    assert names(jaxpr) == ["sin", "scan"]
    inner = only(only(jaxpr).params["body"])
    assert names(only(jaxpr).params["body"]) == ["multiply", "scan"]
    assert "sin" not in names(inner.params["body"])
    assert names(inner.params["body"])[-1] == "add"


# ---- what is the same in each step


def test_invariants_leave_scans():
    def f(x, a):
        return lax.scan(lambda c, row: (c * (np.sin(a) * 2 + 1) + row, None), x, np.ones((4, 3)))[0]

    jaxpr = simplified(f, X, X)
    assert names(jaxpr) == ["sin", "multiply", "add", "scan"]
    assert names(only(jaxpr).params["body"]) == ["multiply", "add"]
    assert only(jaxpr).params["consts"] == 1


def test_invariants_leave_conditions_and_bodies_of_while_loops():
    def f(x, a):
        return lax.while_loop(lambda c: np.sum(c) < np.exp(a[0]), lambda c: c + np.exp(a[0]) * 0.3, x)

    jaxpr = simplified(f, X, X)
    assert names(jaxpr)[-1] == "while_loop"
    assert names(jaxpr).count("exp") == 1
    assert names(only(jaxpr).params["cond"]) == ["reduce_sum", "less"]
    assert names(only(jaxpr).params["body"]) == ["add"]
    assert_same_bits([ft.jit(f)(X + 100, X)], [X + 100])


def test_invariants_leave_loops_run_backwards():
    def f(x, a):
        def loss(x):
            step = lambda c, row: (np.tanh(c * np.sin(a)) + row, None)  # noqa: E731
            return np.sum(lax.scan(step, x, np.ones((4, 3)), checkpoint=2)[0])

        return ft.grad(loss)(x)

    jaxpr = simplified(f, X, X)
    for eqn in jaxpr.eqns:
        for name in ("body", "step", "pull"):
            assert "sin" not in names(eqn.params.get(name, Jaxpr([], [], [])))


def test_what_an_invariant_needs_is_computed_before_the_loop_and_what_else_needs_it_inside():
    def f(x, a):
        def step(c, row):
            wide = np.broadcast_to(a[:, None], (3, 3))
            return c @ np.exp(wide) + wide[0] * row, None

        return lax.scan(step, x, np.ones((4, 3)))[0]

    body = only(simplified(f, X, X)).params["body"]
    assert "exp" not in names(body)
    assert "broadcast_to" in names(body)


def test_views_and_cheap_arrays_larger_than_their_operands_stay_inside():
    def f(x, a, b):
        def step(c, row):
            return c + np.sum(a[:, None] * b[None, :] * c[0], 0) + fnp.zeros(3) + fnp.arange(3.0), None

        return lax.scan(step, x, np.ones((4, 3)))[0]

    jaxpr = simplified(f, X, X, X)
    assert names(only(jaxpr).params["body"]).count("multiply") == 2


def test_random_numbers_with_the_same_key_are_drawn_once():
    def f(x, key):
        return lax.scan(lambda c, row: (c + ft.random.uniform(key, (3,)), None), x, np.ones((4, 3)))[0]

    assert "random_bits" not in names(only(simplified(f, X, ft.random.key(1))).params["body"])


def test_what_may_fail_stays_in_loops_that_may_not_run():
    def bounded(x, i, n):
        return lax.fori_loop(0, n, lambda _, c: c + x[i], 0.0)

    assert "gather" in names(only(simplified(bounded, X, 7, 2)).params["body"])
    assert ft.jit(bounded)(X, 7, 0) == 0
    with pytest.raises(IndexError):
        ft.jit(bounded)(X, 7, 2)

    def sure(x, i):
        return lax.scan(lambda c, row: (c + x[i], None), 0.0, np.ones(4))[0]

    assert "gather" not in names(only(simplified(sure, X, 1)).params["body"])
    with pytest.raises(IndexError):
        ft.jit(sure)(X, 7)


def test_what_branches_need_is_computed_in_the_branch():
    def f(p, x):
        return lax.cond(p, lambda x: np.sin(x) * 2, lambda x: x, x)

    assert names(simplified(f, True, X))[-1] == "cond"
    assert "sin" not in names(simplified(f, True, X))


def test_effects_stay_inside():
    told: list[float] = []

    def f(x):
        def step(c, row):
            ft.debug.callback(lambda v: told.append(float(v)), x[0])
            return c + np.sin(x), None

        return lax.scan(step, x, np.ones((3, 3)))[0]

    jaxpr = simplify(ft.jit(f).lower(X).jaxpr)
    assert "sin" not in names(only(jaxpr).params["body"])
    InterpretedProgram(jaxpr)(X)
    assert told == [0.5, 0.5, 0.5]


# ---- carries that never change


def test_carries_that_never_change_are_constants():
    def f(x, a):
        return lax.scan(lambda c, row: ((c[0] * np.sin(c[1]) + row, c[1]), c[1]), (x, a), np.ones((4, 3)))

    jaxpr = simplified(f, X, X)
    loop = only(jaxpr)
    assert names(jaxpr) == ["sin", "scan"]
    assert (loop.params["consts"], loop.params["carry"]) == (2, 1)
    assert len(loop.outputs) == 2


def test_carries_of_while_loops_that_never_change():
    def f(x, n):
        return lax.while_loop(lambda c: c[1] < c[2], lambda c: (c[0] * np.exp(c[3]), c[1] + 1, c[2], c[3]), (x, 0, n, x))

    jaxpr = simplified(f, X, 3)
    assert only(jaxpr).params["carry"] == 2
    assert names(only(jaxpr).params["body"]) == ["multiply", "add"]


def test_a_carry_of_another_type_than_what_it_begins_with_is_kept():
    def f(x):
        return lax.scan(lambda c, row: (c, c + row), x, np.ones(3))

    for x in (2.0, np.float64(2.0)):
        found, wanted = ft.jit(f)(x), f(x)
        assert type(found[0]) is type(wanted[0])
        assert_same_bits(found, wanted)


# ---- constants go inside


def test_constants_go_inside():
    def f(x):
        one, zero = fnp.ones_like(x), fnp.zeros(())
        return lax.scan(lambda c, row: (c * one - zero + row, None), x, np.ones((4, 3)))[0]

    loop = only(simplified(f, X))
    assert names(loop.params["body"]) == ["add"]
    assert len(loop.inputs) == 2


def test_counts_go_inside():
    """And stay there: loops in loops find them too, and masks made of them divide loops (compiler/dividing.py)."""

    def f(x):
        places = fnp.arange(3)
        inner = lambda i, c: c + np.where(places < i, x, 0.0)  # noqa: E731
        return lax.fori_loop(0, 4, lambda i, c: lax.fori_loop(0, 3, inner, c) * 2, x)

    outer = only(simplified(f, X))
    inner = only(outer.params["body"])
    assert "iota" in names(inner.params["body"])
    assert not any(a.aval.dtype.kind == "i" and a.aval.shape for a in outer.inputs)
    np.testing.assert_allclose(ft.jit(f)(X), f(X), rtol=1e-14)


def test_constants_go_into_branches_and_checkpoints():
    def f(p, x):
        one = fnp.ones_like(x)
        x = lax.cond(p, lambda x: np.exp(x * one), lambda x: np.cos(x / one), x)
        return ft.checkpoint(lambda x: np.sin(x * one))(ft.checkpoint(lambda x: np.sin(x / one))(x))

    found = {eqn.primitive.name: eqn.params for eqn in simplified(f, True, X).eqns}
    assert list(map(names, found["cond"]["branches"])) == [["cos"], ["exp"]]
    assert names(found["checkpoint"]["jaxpr"]) == ["sin"]


def test_what_comes_twice_goes_in_once():
    def f(p, x):
        return lax.cond(p, lambda y: x + y, lambda y: y * np.sin(x), x)

    assert len(only(simplified(f, True, X)).inputs) == 2

    def g(x):
        y = x.copy()
        return lax.scan(lambda c, _: (c * lax.cond(c[0] > 1, lambda: x - y, lambda: x + y), None), X, None, length=2)[0]

    loop = only(simplified(g, X))
    assert loop.params["consts"] == 1
    assert len(only(loop.params["body"]).inputs) == 2


def test_copies_that_branches_close_over_are_one_operand():
    def changed(x):
        x = x.copy()
        x[0] = 1.0
        return x

    (branch,) = [
        eqn
        for eqn in ft.make_jaxpr(lambda p, x: lax.cond(p, lambda: changed(x), lambda: x))(True, X).eqns
        if eqn.primitive.name == "cond"
    ]
    assert len(branch.inputs) == 2


def test_a_branch_that_is_known_is_taken():
    def f(x):
        return lax.switch(1, [lambda x: x, lambda x: np.sin(x), lambda x: np.cos(x)], x)

    assert names(simplified(f, X)) == ["sin"]

    def g(x):
        return lax.scan(lambda c, row: (lax.cond(fnp.asarray(2.0) > 1.0, np.sin, np.cos, c), None), x, np.ones(2))[0]

    assert names(only(simplified(g, X)).params["body"]) == ["sin"]


def test_lines_of_what_leaves_a_loop_are_kept():
    def f(x, a):
        def step(c, row):
            angle = np.sin(a)  # the angle
            return c * angle + row, None

        return lax.scan(step, x, np.ones((4, 3)))[0]  # the loop

    lines = {eqn.primitive.name: eqn.source.text for eqn in simplified(f, X, X).eqns}
    assert lines["sin"] == "angle = np.sin(a)  # the angle"
    assert lines["scan"] == "return lax.scan(step, x, np.ones((4, 3)))[0]  # the loop"
