"""Functions of numbers that users write: eager, transformed, compiled, and where they end."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import functrans as ft
from functrans.errors import ScalarFunctionError
from functrans.primitives.scalar_functions import known
from tests.helpers.stand_in_cupy import installed, ndarray


@ft.elementwise
def bend(x: Any, y: Any) -> Any:
    return math.sin(x) * y if x > 0 else x * math.exp(-y * y)


@ft.elementwise(derivatives=lambda y, x: 1 / (3 * y**2), name="cube_root")
def newton(x: Any) -> Any:
    y = x
    while abs(y * y * y - x) > 1e-13 * abs(x):
        y -= (y * y * y - x) / (3 * y * y)
    return y


@ft.elementwise
def collatz(n: Any) -> Any:
    steps = 0
    while n > 1:
        n = n // 2 if n % 2 == 0 else 3 * n + 1
        steps += 1
    return steps


@ft.elementwise
def checked(x: Any) -> Any:
    if x < 0:
        raise ValueError("a negative number")
    return math.sqrt(x)


def reference(x: Any, y: Any) -> Any:
    return np.where(x > 0, np.sin(x) * y, x * np.exp(-y * y))


floats = st.floats(-4, 4, allow_subnormal=False) | st.sampled_from([0.0, -0.0, np.nan])


@settings(deadline=None)
@given(arrays(np.float64, (3, 1), elements=floats), arrays(np.float64, 5, elements=floats))
def test_every_way_gives_the_same(x: np.ndarray, y: np.ndarray) -> None:
    wanted = reference(x, y)
    for found in (
        bend(x, y),
        ft.jit(bend)(x, y),
        ft.jit(lambda x, y: bend(x, y) * 2.0 / 2.0)(x, y),
        ft.vmap(lambda u: bend(u, y))(x),
        np.array([[bend(u, v) for v in y] for u in x[:, 0]]),
    ):
        assert found.dtype == np.float64
        np.testing.assert_allclose(found, wanted, rtol=1e-14, atol=1e-14)


@settings(deadline=None, max_examples=12)
@given(arrays(np.float64, 4, elements=st.floats(0.1, 3)), arrays(np.float64, 4, elements=st.floats(-2, 2)))
def test_derivatives_are_those_of_the_formula(x: np.ndarray, y: np.ndarray) -> None:
    for sign in (1, -1):
        u = sign * x
        for transform in (lambda f: f, ft.jit):
            loss = lambda f: lambda a, b: np.sum(f(a, b) ** 2)  # noqa: E731
            found = transform(ft.grad(loss(bend), (0, 1)))(u, y)
            wanted = ft.grad(loss(lambda a, b: np.where(a > 0, np.sin(a) * b, a * np.exp(-b * b))), (0, 1))(u, y)
            np.testing.assert_allclose(found, wanted, rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(
            ft.hessian(lambda a: np.sum(bend(a, y)))(u),
            ft.hessian(lambda a: np.sum(np.sin(a) * y if sign == 1 else a * np.exp(-y * y)))(u),
            rtol=1e-12, atol=1e-12,
        )  # fmt: skip


def test_a_loop_of_unknown_length_with_a_derivative_of_its_own() -> None:
    x = np.array([1.0, 8.0, 27.0, 0.3])
    np.testing.assert_allclose(newton(x), np.cbrt(x), rtol=1e-12)
    np.testing.assert_allclose(ft.jit(ft.grad(lambda x: np.sum(newton(x))))(x), x ** (-2 / 3) / 3, rtol=1e-12)
    np.testing.assert_allclose(ft.jit(ft.hessian(newton))(8.0), -2 / 9 * 8 ** (-5 / 3), rtol=1e-10)
    with pytest.raises(ScalarFunctionError, match=r"(?s)was to be traced.*derivatives="):
        ft.grad(ft.elementwise(newton.function.python))(8.0)


def test_integers() -> None:
    n = np.array([1, 2, 3, 27], np.int32)
    found = ft.jit(lambda n: collatz(n) + 1)(n)
    assert found.dtype == collatz(n).dtype == np.int64
    np.testing.assert_array_equal(found, [1, 2, 8, 112])


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_results_have_the_precision_of_the_operands(dtype: Any) -> None:
    x = np.array([0.5, -1.5], dtype)
    for found in (bend(x, 2.0), ft.jit(bend)(x, 2.0), ft.grad(lambda x: np.sum(bend(x, 2.0)))(x)):
        assert found.dtype == dtype
    assert ft.eval_shape(bend, x, 2.0).dtype == dtype
    assert bend(x, np.float64(2)).dtype == np.float64


def test_it_is_a_part_of_the_kernel_around_it() -> None:
    lowered = ft.jit(lambda x: np.sum(np.cos(bend(x, 2.0)) + 1)).lower(np.ones(1000))
    assert str(lowered.kernels).count("kernel") == 1
    assert "bend(" in lowered.kernels
    assert "call double @functrans_c_sin(" in lowered.llvm


def test_what_may_raise_is_called_and_raises() -> None:
    x = np.array([4.0, 9.0])
    np.testing.assert_allclose(ft.jit(lambda x: checked(x) + 1)(x), [3.0, 4.0])
    for f in (checked, ft.jit(lambda x: checked(x) + 1)):
        with pytest.raises(ValueError, match="a negative number"):
            f(-x)


def test_both_backends_agree() -> None:
    x = np.linspace(-3, 3, 101)
    f = lambda x: np.tanh(bend(x, x[::-1])) * newton(np.abs(x) + 1)  # noqa: E731
    with ft.config.using(backend="interpreter"):
        wanted = ft.jit(f)(x)
    np.testing.assert_allclose(ft.jit(f)(x), wanted, rtol=1e-13, atol=1e-15)


def test_two_functions_of_one_name_are_two() -> None:
    def make(factor: float) -> Any:
        return ft.elementwise(lambda x: x * factor, name="times")

    double, triple = make(2.0), make(3.0)
    np.testing.assert_array_equal(ft.jit(lambda x: double(x) + triple(x))(np.ones(3)), [5.0] * 3)


def test_functions_are_forgotten_with_their_last_user() -> None:
    before = len(known)
    ft.elementwise(lambda x: x + 1.0)(np.ones(2))
    assert len(known) <= before + 1


def test_loops_and_lanes() -> None:
    f = ft.jit(lambda x: ft.lax.fori_loop(0, 3, lambda i, c: bend(c, 1.0) + i, x))
    wanted = 0.7
    for i in range(3):
        wanted = float(reference(wanted, 1.0)) + i
    np.testing.assert_allclose(f(0.7), wanted, rtol=1e-14)
    value, (slope,) = ft.jet(lambda x: bend(x, 1.0), (0.5,), ([1.0],))
    np.testing.assert_allclose([value, slope], [np.sin(0.5), np.cos(0.5)])


def test_on_a_gpu_it_is_traced_or_refused() -> None:
    x = np.array([0.5, -1.0])
    with installed():
        there = ft.device_put(x, "cuda")
        found = bend(there, 2.0)
        assert isinstance(found, ndarray)
        np.testing.assert_allclose(ft.device_get(found), reference(x, 2.0))
        np.testing.assert_allclose(ft.device_get(ft.grad(lambda x: np.sum(bend(x, 2.0)))(there)), [2 * np.cos(0.5), np.exp(-4)])
        with pytest.raises(ScalarFunctionError, match="Give `derivatives=`"):
            newton(there)


def test_cuda_text() -> None:
    f = ft.elementwise(lambda x, n: x * n, cuda="x * n").function
    g = ft.elementwise(cuda="if (x > 0) return x; return 0;", parameters="x", dtype=np.float32).function
    aval = lambda dtype: ft.ShapeDtypeStruct((), dtype).aval  # noqa: E731
    operation = f.operation(f.signature([aval("f8"), aval("i4")]))
    assert f.cuda_lambda(operation) == "[](double x, int n) -> double { return x * n; }"
    operation = g.operation(g.signature([aval("f4")]))
    assert g.cuda_lambda(operation) == "[](float x) -> float { if (x > 0) return x; return 0; }"
    with pytest.raises(ScalarFunctionError, match="written in CUDA C"):
        ft.elementwise(cuda="x", parameters="x", dtype=float)(1.0)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ft.elementwise(cuda="x", parameters="x"), "without the names of its operands or the dtype"),
        (lambda: ft.elementwise(lambda *xs: xs[0]), "a fixed number of operands"),
        (lambda: ft.elementwise(lambda x, y: x, derivatives=(1.0,)), "has 2 operands and was given 1 derivatives"),
        (lambda: ft.elementwise(lambda x, y: x, derivatives="ab"), "has 2 operands and was given 1 derivatives"),
        (lambda: ft.elementwise(lambda x: np.linalg.inv(x))(1.0), "Numba could not compile"),
        (lambda: ft.elementwise(lambda x: (x, x))(1.0), "and not one number"),
        (lambda: ft.elementwise(lambda x: x)(1.0, 2.0), "takes 1 positional arguments, and 2"),
        (lambda: ft.elementwise(3), "expects a function"),
    ],
)
def test_mistakes_are_named(make: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        make()
