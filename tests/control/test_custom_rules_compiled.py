"""Functions with a rule for cotangents, pushed forward in compiled programs."""

from __future__ import annotations

from typing import Any

import numpy as np

import functrans as ft
from functrans import lax
from tests.helpers.oracles import assert_close

X = np.linspace(0.2, 1.5, 6)


@ft.custom_vjp
def cubes(x: Any) -> Any:
    return x * x * x


cubes.defvjp(lambda x: (x * x * x, x), lambda x, ct: (3.0 * x * x * ct,))


def test_the_rule_transposed_is_part_of_the_program() -> None:
    def f(x: Any) -> Any:
        return np.sum(lax.scan(lambda c, _: (np.sin(cubes(c)), None), x, None, length=4)[0])

    def plain(x: Any) -> Any:
        return np.sum(lax.scan(lambda c, _: (np.sin(c * c * c), None), x, None, length=4)[0])

    for derivative in (ft.jacfwd, ft.hessian, lambda f: lambda x: ft.hvp(f, x, x)):
        jitted = ft.jit(derivative(f))
        assert_close(jitted(X), derivative(plain)(X), 1e-10)
        assert "Python" not in jitted.lower(X).kernels


def test_a_rule_that_needs_values_is_run_by_python() -> None:
    @ft.custom_vjp
    def doubled(x: Any) -> Any:
        return 2.0 * x

    def backward(x: Any, ct: Any) -> Any:
        return (ct * float(np.float64(2.0) if float(np.sum(x)) > 0 else 3.0),)

    doubled.defvjp(lambda x: (2.0 * x, x), backward)
    jitted = ft.jit(lambda x, t: ft.jvp(lambda x: doubled(x) + x, (x,), (t,)))
    value, slope = jitted(X, X)
    assert_close(value, 3.0 * X)
    assert_close(slope, 3.0 * X)
    assert "Python" in jitted.lower(X, X).kernels
