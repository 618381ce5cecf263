"""Simplification keeps every value bit for bit."""

import numpy as np

import functrans as ft
from functrans.primitives.foundation import full

F64 = np.dtype(np.float64)


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

    names = [eqn.primitive.name for eqn in ft.jit(f).lower(np.ones(3)).simplified.eqns]
    assert names == ["sin", "multiply", "add"]


# ---- what programs inside of equations compute for nobody


def only_loop(f, *args):
    """The one loop or branch of the simplified program of f."""
    (eqn,) = [e for e in ft.jit(f).lower(*args).simplified.eqns if e.primitive.name in ("scan", "while_loop", "cond")]
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
