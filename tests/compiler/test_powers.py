"""Powers by products and roots: within the bound on roundings, and special values as those of numpy.power."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import functrans as ft
from functrans.compiler.backends.interpreter import InterpretedProgram
from functrans.compiler.simplify import simplify
from functrans.core.jaxpr import Jaxpr
from tests.helpers.bits import assert_same_bits, special_values, ulps

INTEGERS = (-5, -4, -3, -2, -1, 2, 3, 4, 5, 6)
HALVES = (-2.5, -1.5, -0.5, 0.5, 1.5, 2.5)
#: Exponents for which `power` stays.
OTHERS = (-16, -6, -4.5, 4.5, 7, 17, 2.2, np.inf)


def roundings(n: float) -> float:
    """What the docstring of powers.py promises."""
    return min(4, abs(n) // 1 + 2 if n % 1 else n - 1 if n > 0 else -n)


def powers(n: Any, x: Any) -> tuple[Jaxpr, Any]:
    jaxpr = simplify(ft.jit(lambda x: x**n).lower(x).jaxpr)
    with np.errstate(all="ignore"):
        return jaxpr, InterpretedProgram(jaxpr)(x)[0]


def names(jaxpr: Jaxpr) -> set[str]:
    return {eqn.primitive.name for eqn in jaxpr.eqns}


def range_of(n: float, dtype: Any) -> np.ndarray[Any, Any]:
    """Numbers of either sign, of all magnitudes for which the power is a normal number."""
    info = np.finfo(dtype)
    largest = min(info.maxexp, -info.minexp) / max(abs(n), 1) * 0.98
    magnitudes = np.exp2(np.random.default_rng(3).uniform(-largest, largest, 20_000))
    return (magnitudes * np.resize([1, -1], 20_000)).astype(dtype)


@pytest.mark.parametrize("dtype", ["f8", "f4"])
@pytest.mark.parametrize("n", INTEGERS)
def test_integer_powers_have_few_roundings(n: int, dtype: str) -> None:
    x = range_of(n, dtype)
    jaxpr, found = powers(n, x)
    assert names(jaxpr) <= {"square", "multiply", "reciprocal", "divide"}
    assert found.dtype == x.dtype
    with np.errstate(all="ignore"):
        wanted = x.astype(np.longdouble) ** n
    assert np.max(ulps(found, wanted)) <= roundings(n)


@pytest.mark.parametrize("dtype", ["f8", "f4"])
@pytest.mark.parametrize("n", HALVES)
def test_half_integer_powers_of_magnitudes_have_few_roundings(n: float, dtype: str) -> None:
    x = range_of(n, dtype)
    jaxpr = simplify(ft.jit(lambda x: abs(x) ** n).lower(x).jaxpr)
    assert names(jaxpr) <= {"square", "multiply", "reciprocal", "divide", "sqrt", "absolute"}
    with np.errstate(all="ignore"):
        found = InterpretedProgram(jaxpr)(x)[0]
        wanted = abs(x).astype(np.longdouble) ** n
    assert np.max(ulps(found, wanted)) <= roundings(n)


@pytest.mark.parametrize("dtype", ["f8", "f4", "f2"])
@pytest.mark.parametrize("n", [*INTEGERS, *HALVES, *OTHERS, 0, 1, -0.0])
def test_special_values(n: Any, dtype: str) -> None:
    x = special_values(dtype)
    for base, function in ((x, lambda x: x**n), (abs(x), lambda x: abs(x) ** n)):
        jaxpr = simplify(ft.jit(function).lower(x).jaxpr)
        with np.errstate(all="ignore"):
            found, wanted = InterpretedProgram(jaxpr)(x)[0], base**n
        for of in (np.isnan, np.isinf, np.sign):
            np.testing.assert_array_equal(of(found), of(wanted))
        np.testing.assert_array_equal(np.signbit(found)[wanted == 0], np.signbit(wanted)[wanted == 0])


@pytest.mark.parametrize("dtype", ["i8", "i1", "u1", "u8", "?"])
@pytest.mark.parametrize("n", [0, 1, 2, 3, 7, 16])
def test_powers_of_integers_are_exact(n: int, dtype: str) -> None:
    x = special_values(dtype)
    assert_same_bits([powers(n, x)[1]], [np.power(x, n) if dtype != "?" else x**n])


def test_negative_powers_of_integers_are_refused():
    x = np.arange(3)
    jaxpr = simplify(ft.jit(lambda x: x**-2).lower(x).jaxpr)
    with pytest.raises(ValueError, match="negative integer powers"):
        InterpretedProgram(jaxpr)(x)


@pytest.mark.parametrize("dtype", ["f8", "f4"])
@pytest.mark.parametrize("n", HALVES)
def test_half_integer_powers_of_what_may_be_negative_are_those_of_magnitudes(n: float, dtype: str):
    x = range_of(n, dtype)
    jaxpr, found = powers(np.full(len(x), n, dtype)[0], x)
    if n != 0.5:  # which NumPy takes the root for
        assert "power" not in names(jaxpr)
    np.testing.assert_array_equal(np.isnan(found), x < 0)
    with np.errstate(all="ignore"):
        wanted = np.where(x < 0, 1, x).astype(np.longdouble) ** n
    assert np.max(ulps(np.where(x < 0, x.dtype.type(1), found), wanted)) <= roundings(n)


def test_half_integer_powers_of_zeros_and_infinities():
    x = np.array([-np.inf, -0.0, 4.0, 0.0, np.inf])
    for n in (1.5, -0.5, 2.5, -1.5):
        jaxpr, found = powers(n, x)
        assert "power" not in names(jaxpr)
        with np.errstate(all="ignore"):
            assert_same_bits([found], [x**n])
        jaxpr = simplify(ft.jit(lambda x: (abs(x) * -0.0) ** n).lower(x).jaxpr)
        with np.errstate(all="ignore"):
            assert_same_bits(InterpretedProgram(jaxpr)(x), [(abs(x) * -0.0) ** n])


@pytest.mark.parametrize("dtype", ["f8", "f4"])
@pytest.mark.parametrize("function", [np.power, np.float_power])
def test_roots_of_special_values_are_those_of_the_function(function: Any, dtype: str) -> None:
    """NumPy takes the square root for powers, of -inf and -0.0 too, but not for float_power."""
    x = special_values(dtype)
    with np.errstate(all="ignore"):
        assert_same_bits([ft.jit(lambda x: function(x, 0.5))(x)], [function(x, 0.5)])


def test_half_integer_powers_of_python_numbers_stay():
    jaxpr = simplify(ft.jit(lambda x: x**1.5).lower(2.0).jaxpr)
    assert names(jaxpr) == {"power"}


def test_differences_of_squares_may_be_negative():
    x = np.array([3.0, 1.0])
    jaxpr = simplify(ft.jit(lambda x: (x * x - 4.0) ** -1.5 + (x * x + -4.0) ** -1.5).lower(x).jaxpr)
    assert "select" in names(jaxpr)
    jaxpr = simplify(ft.jit(lambda x: (np.sum(x * x) + 1e-3) ** -1.5).lower(x).jaxpr)
    assert "power" not in names(jaxpr)


def test_powers_of_half_precision_are_rounded_once():
    x = np.linspace(0.1, 5, 1000).astype(np.float16)
    for n in (3, 5, -2, 2, -1):
        jaxpr, found = powers(n, x)
        with np.errstate(all="ignore"):
            assert_same_bits([found], [x**n])


def test_python_scalars_and_arrays_of_exponents():
    for x in (1.5, 3, np.float32(1.5), np.full(2, 1.5, np.float32)):
        for n in (2, 3, 2.0, -1.0, np.float64(3)):
            found = ft.jit(lambda x, n=n: (x * 1) ** n)(x)
            wanted = x**n
            assert np.asarray(found).dtype == np.asarray(wanted).dtype
            np.testing.assert_allclose(found, wanted, rtol=1e-6)
    n = np.array([1.0, 2.0])
    assert_same_bits([powers(n, np.array([2.0, 3.0]))[1]], [np.array([2.0, 9.0])])
    assert_same_bits([powers(np.full(2, 2.0), np.array([2.0, 3.0]))[1]], [np.array([4.0, 9.0])])


@pytest.mark.parametrize("dtype", ["f8", "f4"])
@pytest.mark.parametrize("n", [7, 8, 13, 31, 64])
def test_kernels_make_whole_powers_of_products_that_lose_nothing(n: int, dtype: str) -> None:
    x, special = range_of(n, dtype), special_values(dtype)
    compiled = ft.jit(lambda x: x**n)
    assert "pow" not in compiled.lower(x).llvm
    with np.errstate(all="ignore"):
        assert np.max(ulps(compiled(x), x.astype(np.longdouble) ** n)) <= 1
        wanted = special ** np.dtype(dtype).type(n)
    found = compiled(special)
    np.testing.assert_array_equal(np.copysign(1, found)[wanted == wanted], np.copysign(1, wanted)[wanted == wanted])
    np.testing.assert_allclose(found, wanted, rtol=2 * np.finfo(dtype).eps, atol=np.finfo(dtype).smallest_subnormal)
