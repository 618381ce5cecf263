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
