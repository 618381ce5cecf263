"""Algebra and moves: what an expression becomes, and that no bit of its results changes, of special values neither."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import functrans as ft
from functrans import lax
from functrans.compiler.backends.interpreter import InterpretedProgram
from functrans.compiler.simplify import simplify
from functrans.primitives.complex import complex_
from functrans.primitives.foundation import add_any, reduce_sum, scale, scale_both
from functrans.primitives.structural import pad
from functrans.primitives.structural import slice as static_slice
from tests.helpers.bits import assert_same_bits, special_array, special_values

fnp = ft.numpy
FLOATS = ("f8", "f4", "f2")
COMPLEX = ("c16", "c8")
INTEGERS = ("i8", "i4", "i1", "u1", "u8")
REAL = (*FLOATS, *INTEGERS)
NUMBERS = (*REAL, *COMPLEX)
ALL = (*NUMBERS, "?")


class Case(NamedTuple):
    """A function of arrays x and y of one dtype, and the names of the primitives that are left of it."""

    function: Callable[..., Any]
    left: str
    dtypes: tuple[str, ...] = FLOATS


ARITHMETIC = {
    "x * 1": Case(lambda x, y: x * 1, "", REAL),
    "1 * x": Case(lambda x, y: 1 * x, "", REAL),
    "x * 1 of complex numbers": Case(lambda x, y: x * 1, "multiply", COMPLEX),
    "x / 1": Case(lambda x, y: x / 1, ""),
    "x - 0": Case(lambda x, y: x - 0, "", NUMBERS),
    "x - -0.0": Case(lambda x, y: x - -0.0, "subtract"),
    "x + -0.0": Case(lambda x, y: x + -0.0, ""),
    "x + 0.0": Case(lambda x, y: x + 0.0, "add", FLOATS),
    "x + 0 of integers": Case(lambda x, y: x + 0, "", INTEGERS),
    "x + -0.0 of complex numbers": Case(lambda x, y: x + -0.0, "add", COMPLEX),
    "x - x": Case(lambda x, y: x - x, "subtract", FLOATS),
    "x - x of integers": Case(lambda x, y: x - x, "full", INTEGERS),
    "minus minus x": Case(lambda x, y: np.negative(-x), "", NUMBERS),
    "+x": Case(lambda x, y: +x, "", NUMBERS),
    "x + -y": Case(lambda x, y: x + -y, "subtract", NUMBERS),
    "-x + y": Case(lambda x, y: -x + y, "subtract", NUMBERS),
    "x - -y": Case(lambda x, y: x - -y, "add", NUMBERS),
    "-x * -y": Case(lambda x, y: -x * -y, "multiply", NUMBERS),
    "-x / -y": Case(lambda x, y: -x / -y, "divide"),
    "x * -1": Case(lambda x, y: x * -1, "negative", (*FLOATS, "i8", "i1")),
    "x / -1": Case(lambda x, y: x / -1, "negative"),
    "x / 4": Case(lambda x, y: x / 4, "multiply"),
    "x / 0.125": Case(lambda x, y: x / 0.125, "multiply"),
    "x / 3": Case(lambda x, y: x / 3, "divide"),
    "x / 0": Case(lambda x, y: x / 0.0, "divide"),
    "x / 2**1023": Case(lambda x, y: x / 2.0**1023, "divide", ("f8",)),
    "x / 2**15": Case(lambda x, y: x / 2.0**15, "divide", ("f2",)),
    "abs(-x)": Case(lambda x, y: abs(-x), "absolute", (*FLOATS, *COMPLEX, "i8", "i1")),
    "abs(-x) of unsigned": Case(lambda x, y: abs(-x), "negative absolute", ("u1",)),
    "fabs(-x) of unsigned": Case(lambda x, y: np.fabs(-x), "negative fabs", ("u1", "u8")),
    "abs(abs(x))": Case(lambda x, y: abs(abs(x)), "absolute", (*FLOATS, *COMPLEX)),
    "abs(x * x)": Case(lambda x, y: abs(x * x), "multiply"),
    "abs(exp(x) + 1)": Case(lambda x, y: abs(np.exp(x) + 1), "exp add"),
    "abs(sqrt(x))": Case(lambda x, y: abs(np.sqrt(x)), "sqrt absolute"),
    "square(-x)": Case(lambda x, y: np.square(-x), "square", NUMBERS),
    "max(x, x)": Case(lambda x, y: np.maximum(x, x), "", REAL),
    "max(-0.0, x)": Case(lambda x, y: np.maximum(x, 0.0), "maximum"),
    "min(x, x)": Case(lambda x, y: np.fmin(x, x), "", REAL),
    "not not x": Case(lambda x, y: np.logical_not(np.logical_not(x)), "", ("?",)),
    "~~x": Case(lambda x, y: ~~x, "", (*INTEGERS, "?")),
    "not x == y": Case(lambda x, y: np.logical_not(x == y), "not_equal", ALL),
    "not x < y": Case(lambda x, y: np.logical_not(x < y), "less logical_not", FLOATS),
    "x and True": Case(lambda x, y: x & True, "", ("?",)),
    "x and False": Case(lambda x, y: np.logical_and(x, False), "full", ("?",)),
    "x or True": Case(lambda x, y: x | True, "full", ("?",)),
    "x or False": Case(lambda x, y: np.logical_or(x, False), "", ("?",)),
    "x ^ x": Case(lambda x, y: x ^ x, "full", INTEGERS),
    "real of a complex number": Case(lambda x, y: complex_(x, y).real, "", ("f8", "f4")),
    "imag of a complex number": Case(lambda x, y: complex_(x, y).imag, "", ("f8", "f4")),
    "complex of parts": Case(lambda x, y: complex_(x.real, x.imag), "", COMPLEX),
    "conjugate twice": Case(lambda x, y: np.conj(np.conj(x)), "", NUMBERS),
    "real of conjugate": Case(lambda x, y: np.conj(x).real, "real", COMPLEX),
    "x * ones": Case(lambda x, y: x * fnp.ones_like(x), "", REAL),
    "x**0": Case(lambda x, y: x**0, "full", NUMBERS),
    "x**1": Case(lambda x, y: x**1, "", REAL),
    "x**1 of complex numbers": Case(lambda x, y: x**1, "power", COMPLEX),
    "x**3 of integers": Case(lambda x, y: x**3, "square multiply", INTEGERS),
    "x**16 of integers": Case(lambda x, y: x**16, "square square square square", INTEGERS),
    "x**0.5": Case(lambda x, y: x**0.5, "sqrt"),
    "x**-0.5": Case(lambda x, y: x**-0.5, "power"),
}  # fmt: skip

MOVES = {
    "reshape to the same": Case(lambda x, y: x.reshape(2, 3), "", ALL),
    "reshape twice": Case(lambda x, y: x.reshape(6).reshape(3, 2), "reshape", ALL),
    "reshape and back": Case(lambda x, y: x.reshape(6).reshape(2, 3), "", ALL),
    "transpose twice": Case(lambda x, y: x.T.T, "", ALL),
    "transposes": Case(
        lambda x, y: x.reshape(1, 2, 3).transpose(1, 2, 0).transpose(2, 1, 0), "reshape transpose", ALL
    ),
    "flip twice": Case(lambda x, y: np.flip(np.flip(x, 0), 0), "", ALL),
    "flips": Case(lambda x, y: np.flip(np.flip(x, 0), 1), "reverse", ALL),
    "flip of one": Case(lambda x, y: x[:1][::-1], "slice", ALL),
    "broadcast twice": Case(
        lambda x, y: np.broadcast_to(np.broadcast_to(x, (4, 2, 3)), (5, 4, 2, 3)), "broadcast_to", ALL
    ),
    "broadcast of new axes": Case(lambda x, y: np.broadcast_to(x[None], (4, 2, 3)), "broadcast_to", ALL),
    "whole slice": Case(lambda x, y: x[:, ::1], "", ALL),
    "slice of slice": Case(lambda x, y: x[:, 1:][1:, ::2], "slice", ALL),
    "slice of flip": Case(lambda x, y: np.flip(x)[1:, :2], "slice reverse", ALL),
    "steps of flip": Case(lambda x, y: np.flip(x, 1)[:, ::2], "slice reverse", ALL),
    "element": Case(lambda x, y: x[1, -1], "slice reshape", ALL),
    "empty slice": Case(lambda x, y: static_slice(x, starts=(0, 0), limits=(2, 0), strides=(1, 1)), "slice", ALL),
    "element of a stack": Case(lambda x, y: np.stack([x[0, 0], y[0, 0], x[0, 1]])[1], "slice reshape", ALL),
    "row of a stack": Case(lambda x, y: np.stack([x, y])[1], "", ALL),
    "part of a concatenation": Case(lambda x, y: np.concatenate([x, y])[2:4], "", ALL),
    "parts of several": Case(lambda x, y: np.concatenate([x, y])[1:3], "concatenate slice", ALL),
    "nested concatenation": Case(
        lambda x, y: np.concatenate([np.concatenate([x, y]), np.concatenate([y, x])]), "concatenate", ALL
    ),
    "concatenation with nothing": Case(lambda x, y: np.concatenate([x, y[:0]]), "", ALL),
    "concatenation of zeros": Case(
        lambda x, y: np.concatenate([fnp.zeros_like(x), fnp.zeros_like(y)]), "full", ALL
    ),
    "concatenation of zeros of either sign": Case(
        lambda x, y: np.concatenate([fnp.zeros((2,)), fnp.full((2,), -0.0)]), "full concatenate", ("f8",)
    ),
    "pad with nothing": Case(lambda x, y: np.pad(x, 0), "", NUMBERS),
    "pad with the same": Case(lambda x, y: pad(fnp.zeros_like(x), x.dtype.type(0), padding=((1, 1, 0), (0, 0, 1))), "full", NUMBERS),
    "cast to the same": Case(lambda x, y: x.astype(x.dtype), "", ALL),
    "cast there and back": Case(lambda x, y: x.astype("f8").astype(x.dtype), "", ("f8", "f4", "f2", "i4", "i1", "u1", "?")),
    "cast that loses": Case(lambda x, y: x.astype("f4").astype(x.dtype), "convert convert", ("f8", "i4")),
    "cast by way of larger": Case(lambda x, y: x.astype("f8").astype("c16"), "convert", ("f4", "i1", "?")),
    "where True": Case(lambda x, y: np.where(True, x, y), "", ALL),
    "where False": Case(lambda x, y: np.where(np.zeros((2, 3), bool), x, y), "", ALL),
    "where mixed": Case(lambda x, y: np.where(np.eye(2, 3, dtype=bool), x, y), "select", ALL),
    "where the same": Case(lambda x, y: np.where(x == y, x, x), "", ALL),
    "where not": Case(lambda x, y: np.where(np.logical_not(x == y), x, y), "not_equal select", ALL),
    "where one of equals": Case(lambda x, y: np.where(x == y, fnp.zeros_like(x), x.dtype.type(0)), "full", NUMBERS),
    "where one of two zeros": Case(lambda x, y: np.where(x == y, 0.0, -0.0), "equal select", NUMBERS),
    "assignment to all": Case(lambda x, y: _assigned(x, y), "", ALL),
    "assignment twice": Case(lambda x, y: _assigned_twice(x, y), "slice reshape update_slice", ALL),
    "dynamic slice of all": Case(lambda x, y: lax.dynamic_slice(x, (0, 0), (2, 3)), "", ALL),
    "dynamic slice at constants": Case(lambda x, y: lax.dynamic_slice(x, (7, -2), (1, 2)), "slice", ALL),
    "dynamic update of all": Case(lambda x, y: lax.dynamic_update_slice(x, y, (0, 0)), "", ALL),
    "max of repeated": Case(lambda x, y: np.max(np.broadcast_to(x, (4, 2, 3)), 0), "", REAL),
    "max of repeated, and more": Case(lambda x, y: np.max(np.broadcast_to(x, (4, 2, 3)), (0, 2)), "reduce_max", REAL),
    "max along one": Case(lambda x, y: np.max(x[:1], 0), "slice reshape", REAL),
    "max of one value": Case(lambda x, y: np.max(fnp.full((4, 2), 3.0), 0), "full", ("f8",)),
    "sum of repeated integers": Case(
        lambda x, y: reduce_sum(np.broadcast_to(x, (400, 2, 3)), axes=(0,)), "multiply", ("i8", "i1", "u1")
    ),
    "stop_gradient": Case(lambda x, y: lax.stop_gradient(x), "", ALL),
    "checkpoint_name": Case(lambda x, y: ft.checkpoint_name(x, "x"), "", ALL),
}  # fmt: skip


def _assigned(x: Any, y: Any) -> Any:
    z = x.copy()
    z[...] = y
    return z


def _assigned_twice(x: Any, y: Any) -> Any:
    z = x.copy()
    z[0] = y[1]
    z[0] = y[0]
    return z


CASES = {**ARITHMETIC, **MOVES}
PARAMETERS = [(name, dtype) for name, case in CASES.items() for dtype in case.dtypes]


@pytest.mark.parametrize(("name", "dtype"), PARAMETERS, ids=[f"{n} [{d}]" for n, d in PARAMETERS])
def test_no_bit_changes(name: str, dtype: str) -> None:
    case = CASES[name]
    random = np.random.default_rng(1)
    values = special_values(dtype)
    x = np.resize(values, (2, 3)) if name in MOVES else np.resize(values, (4, len(values)))
    y = random.permuted(x, axis=1) if name not in MOVES else special_array(random, x.shape, dtype)
    jaxpr = ft.jit(case.function).lower(x, y).jaxpr
    shorter = simplify(jaxpr, exact=True)
    assert " ".join(eqn.primitive.name for eqn in shorter.eqns) == case.left
    for shift in range(len(values) if name in ARITHMETIC else 1):
        args = x, np.roll(y, shift, axis=1)
        assert_same_bits(InterpretedProgram(shorter)(*args), InterpretedProgram(jaxpr)(*args))


@pytest.mark.parametrize("dtype", ["f8", "f4"])
@pytest.mark.parametrize("swap", [(False, False), (True, False), (False, True), (True, True)])
def test_transposes_are_folded_into_contractions(dtype: str, swap: tuple[bool, bool]) -> None:
    random = np.random.default_rng(0)
    x, y = (random.normal(size=(7, 5)[:: -1 if s else 1]).astype(dtype) for s in swap)
    y = y.T.copy()

    def f(x: Any, y: Any) -> Any:
        return (x.T if swap[0] else x) @ (y.T if swap[1] else y)

    jaxpr = ft.jit(f).lower(x, y).jaxpr
    shorter = simplify(jaxpr, exact=True)
    assert [eqn.primitive.name for eqn in shorter.eqns] == ["dot_general"]
    assert_same_bits(InterpretedProgram(shorter)(x, y), InterpretedProgram(jaxpr)(x, y))


def test_a_transpose_that_orders_the_axes_of_the_result_stays():
    def f(x, y, z):
        return np.tensordot(x.transpose(1, 0, 2), y, 1), np.tensordot(x.transpose(0, 2, 1), z, 1)

    random = np.random.default_rng(0)
    args = random.normal(size=(2, 3, 4)), random.normal(size=(4, 2)), random.normal(size=(3, 2))
    shorter = simplify(ft.jit(f).lower(*args).jaxpr)
    assert [eqn.primitive.name for eqn in shorter.eqns].count("transpose") == 1
    for found, wanted in zip(InterpretedProgram(shorter)(*args), f(*args)):
        np.testing.assert_allclose(found, wanted, rtol=1e-13)


# ---- derivatives: where a symbolic zero was made an array, it is gone again


def test_symbolic_zeros_are_gone():
    def f(t, c):
        zero = fnp.zeros_like(t)
        return (
            add_any(scale(zero, c), t), scale_both(t, zero), scale(fnp.ones_like(t), c), scale(t, 1),
            scale(t, -2.0), scale(2.0, c),
        )  # fmt: skip

    values = special_values("f8")
    c, t = np.meshgrid(values, values)
    jaxpr = ft.jit(f).lower(t, c).jaxpr
    shorter = simplify(jaxpr)
    assert [eqn.primitive.name for eqn in shorter.eqns] == ["full", "multiply", "multiply"]
    found, wanted = InterpretedProgram(shorter)(t, c), InterpretedProgram(jaxpr)(t, c)
    assert_same_bits(found, wanted, signs_of_zeros=False)


@pytest.mark.parametrize("primitive", [scale, scale_both])
def test_scaling_by_one_of_some_constants_is_a_product_unless_it_absorbs(primitive: Any):
    values = special_values("f8")
    c, t = np.meshgrid(values, values)
    with_zero = primitive is scale  # a zero takes part only as a (co)tangent
    for shares, is_product in (((0.5, 1.0, -3.0), True), ((0.5, np.inf, 1.0), False), ((1.0, 2.0, 0.0), with_zero)):
        jaxpr = ft.jit(
            lambda t, c, s=shares: primitive(t, fnp.where(c > 1, s[0], fnp.where(c > 0, s[1], s[2])))
        ).lower(t, c).jaxpr  # fmt: skip
        shorter = simplify(jaxpr)
        assert ("multiply" in {eqn.primitive.name for eqn in shorter.eqns}) == is_product
        assert_same_bits(InterpretedProgram(shorter)(t, c), InterpretedProgram(jaxpr)(t, c), signs_of_zeros=False)


def test_a_scale_that_absorbs_stays():
    values = special_values("f8")
    c, t = np.meshgrid(values, values)
    for f in (lambda t, c: scale(t, c), lambda t, c: scale(t, np.inf), lambda t, c: scale_both(t, 2 / c)):
        shorter = simplify(ft.jit(f).lower(t, c).jaxpr)
        assert {"scale", "scale_both"} & {eqn.primitive.name for eqn in shorter.eqns}
        assert_same_bits(InterpretedProgram(shorter)(t, c), InterpretedProgram(ft.jit(f).lower(t, c).jaxpr)(t, c))


@pytest.mark.parametrize("primitive", [scale, scale_both])
@pytest.mark.parametrize("dtype", ["f8", "c16"])
def test_scaling_by_any_constant_absorbs_the_zeros_that_it_absorbs_elsewhere(primitive: Any, dtype: str) -> None:
    values, numbers = special_values(dtype), special_values("f8").tolist()
    if dtype == "c16":
        numbers = [z for v in numbers for z in (complex(v, 0.0), complex(0.0, v)) if z != 1]  # 1 * inf is inf, not NaN
    for number in numbers:
        array = np.full(values.shape, number, dtype)
        for f in (
            lambda x, c=number: primitive(x, c), lambda x, c=number: primitive(c, x),
            lambda x, c=array: primitive(x, c), lambda x, c=array: primitive(c, x),
        ):  # fmt: skip
            jaxpr = ft.make_jaxpr(f)(values)
            found, wanted = InterpretedProgram(simplify(jaxpr))(values), InterpretedProgram(jaxpr)(values)
            assert_same_bits(found, wanted, signs_of_zeros=False)


def test_constant_arrays_of_one_value_count_as_that():
    x, ones = special_values("f8"), np.ones(len(special_values("f8")))
    zeros, signed = np.zeros_like(ones), np.copysign(0.0, np.resize([1.0, -1.0], len(ones)))
    for f in (lambda x: x * ones, lambda x: x - zeros, lambda x: x + -zeros, lambda x: scale(ones, x)):
        assert not simplify(ft.make_jaxpr(f)(x)).eqns
    for f in (lambda x: x + zeros, lambda x: x - signed, lambda x: x + signed, lambda x: x * (ones + zeros.cumsum())):
        jaxpr = ft.make_jaxpr(f)(x)
        assert_same_bits(InterpretedProgram(simplify(jaxpr))(x), InterpretedProgram(jaxpr)(x))


def test_constant_arrays_of_one_value_have_zeros_of_one_sign_in_each_part():
    x, parts = special_values("f8"), np.resize([1.0, -0.0], len(special_values("f8")))
    for real, imaginary in ((1.0, np.copysign(0.0, parts)), (np.copysign(0.0, parts), 1.0)):
        c = np.empty(len(x), complex)
        c.real, c.imag = real, imaginary
        jaxpr = ft.make_jaxpr(lambda x, c=c: np.where(x > 0, c, c))(x)
        assert_same_bits(InterpretedProgram(simplify(jaxpr))(x), [c])


def test_small_integers_wrap_around_before_they_meet_larger_ones():
    x, y = np.array([-128, 127, 5], np.int8), np.array([1000, -1000, 7])
    for f in (lambda x, y: y + -x, lambda x, y: y - -x, lambda x, y: -x * -y, lambda x, y: abs(-x) + y):
        assert_same_bits(ft.jit(f)(x, y)[None], f(x, y)[None])


def test_long_concatenations_are_not_copied_again_and_again():
    def f(x):
        y = x
        for _ in range(200):
            y = np.concatenate([y, x])
        return y

    jaxpr = simplify(ft.jit(f).lower(np.ones(2)).jaxpr)
    assert sum(len(eqn.inputs) for eqn in jaxpr.eqns) < 500
    np.testing.assert_array_equal(ft.jit(f)(np.arange(2.0)), np.tile(np.arange(2.0), 201))



# ---- sums of pieces


def gradient_names(f: Callable[..., Any], x: Any, others: Any = (), exact: bool = True) -> list[str]:
    """What is left of the gradient of a sum, whose value is compared with that of the whole program."""
    gradient = ft.grad(lambda x, *others: np.sum(f(x, *others)))
    jaxpr = ft.jit(gradient).lower(x, *others).jaxpr
    shorter = simplify(jaxpr, exact)
    found, wanted = InterpretedProgram(shorter)(x, *others), InterpretedProgram(jaxpr)(x, *others)
    if exact:
        assert_same_bits(found, wanted, signs_of_zeros=False)
    else:
        np.testing.assert_allclose(*found, *wanted, rtol=1e-12, atol=1e-14)
    return [eqn.primitive.name for eqn in shorter.eqns]


def test_the_gradient_of_slices_side_by_side_is_a_concatenation():
    def gates(z):
        return np.tanh(z[:2]) * np.exp(z[2:4]) + np.sin(z[4:6]) * z[6:]

    names = gradient_names(gates, np.linspace(0, 1, 8))
    assert names.count("concatenate") == 1
    assert "pad" not in names

    def columns(z):
        return np.tanh(z[:, :2]) * z[:, 2:]

    assert "pad" not in gradient_names(columns, np.linspace(0, 1, 8).reshape(2, 4))


def test_the_gradient_of_elements_is_a_stack():
    def lorenz(s):
        return np.stack([10 * (s[1] - s[0]), s[0] * (28 - s[2]) - s[1], s[0] * s[1] - s[2]]) ** 2

    names = gradient_names(lorenz, np.array([1.0, 2.0, 3.0]))
    assert names.count("concatenate") == 2  # the state, and its cotangent
    assert not {"scatter_add", "pad", "full"} & set(names)


def test_pieces_in_any_order_and_with_gaps():
    def f(z):
        return z[2:3] * z[0:1] * z[1:2] + np.sin(z[5:6]) + z[-1] + z[1] * np.sum(z[2:4]) + lax.dynamic_slice(z, (4,), (1,))

    x = np.linspace(1, 2, 7)
    gradient_names(f, x)
    gradient_names(lambda z: f(z[0] * z[1]) + f(z[0]), np.stack([x, x + 1, x + 2]))
    gradient_names(lambda z: f(z[:, 0] * z[:, 1]) + f(z[:, 0]), np.stack([x, x + 1, x + 2], 1))


def test_what_is_added_to_an_element_of_a_tiny_array():
    def f(x, y):
        z = np.sin(x) * y
        return np.sum(z) + z[1] * z[2] + x[0] * z[0] + x[-1]

    names = gradient_names(f, np.array([1.0, 2.0, 3.0]), (np.array([0.5, 2.0, -1.0]),))
    assert not {"scatter_add", "pad"} & set(names)
    gradient_names(f, np.linspace(1, 2, 50), (np.linspace(0, 1, 50),))


def test_what_is_added_as_a_negative_piece_is_taken_away():
    x = np.random.default_rng(0).normal(size=(5, 4))
    for axis in (0, 1):
        assert "negative" not in gradient_names(lambda x, axis=axis: np.diff(x, axis=axis) ** 2, x)
    assert "negative" not in gradient_names(lambda x: np.diff(x, axis=0) ** 2 * np.diff(x, axis=1)[:4, :1], x)


REGIONS = [(slice(1, -1),), (slice(None, None, 2),), (slice(1, 6, 3), slice(1, 3)), (2, slice(1, 4, 2))]


@pytest.mark.parametrize("index", [*REGIONS, "element", "row"])
def test_what_is_added_to_a_part_leaves_nothing_to_do_backwards(index: Any) -> None:
    x, y, weights = np.random.default_rng(0).normal(size=(3, 7, 4))
    at = {"element": lambda i: (i, i + 1), "row": lambda i: i}.get(str(index), lambda i: index)

    def f(x, y, weights, i):
        return np.sum(fnp.at(x)[at(i)].set(x[at(i)] + y[at(i)]) * weights)

    jaxpr = ft.jit(ft.grad(f)).lower(x, y, weights, 2).simplified
    assert not {"pad", "update_slice", "scatter_add", "scatter_set", "add_any"} & {e.primitive.name for e in jaxpr.eqns}
    gradient = ft.grad(f, (0, 1))
    for found, wanted in zip(ft.jit(gradient)(x, y, weights, 2), gradient(x, y, weights, 2)):
        np.testing.assert_array_equal(found, wanted)


OFFSETS = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2), st.integers(0, 3)), min_size=1, max_size=7)


@settings(max_examples=12, deadline=None)
@given(OFFSETS)
def test_a_slice_that_is_read_often_leaves_one_piece(reads: list[tuple[int, int, int]]) -> None:
    def f(x: Any) -> Any:
        total = 0.0
        for i, j, kind in reads:
            part = x[i : i + 5, j : j + 4]
            total = total + (part, 3 * part, -part, part * part)[kind]
        return np.sum(total * np.sin(total))

    x = np.random.default_rng(len(reads)).normal(size=(7, 6))
    names = gradient_names(f, x, exact=False)
    assert names.count("pad") <= len({(i, j) for i, j, _ in reads})


def test_a_stencil_written_into_the_inside_leaves_a_piece_for_each_neighbour() -> None:
    def step(u: Any) -> Any:
        v = u.copy()
        v[1:-1] = u[1:-1] - 0.1 * u[1:-1] * (u[2:] - u[:-2]) + 0.05 * (u[2:] - 2 * u[1:-1] + u[:-2])
        return np.sum(v**3)

    names = gradient_names(step, np.linspace(-1, 1, 30), exact=False)
    assert names.count("pad") == 3
    assert names.count("update_slice") == 1  # forwards


def test_elements_out_of_bounds_are_no_pieces():
    def f(x, ct):
        y = ft.numpy.at(ft.numpy.zeros(3))[5].add(ct)
        return add_any(x, y)

    with pytest.raises(IndexError):
        ft.jit(f)(np.ones(3), 1.0)


# ---- what is added at places known only when the program runs

READS = {
    "element": lambda x, i, j: x[i, j],
    "row": lambda x, i, j: x[i],
    "column": lambda x, i, j: x[:, j],
    "rows": lambda x, i, j: x[np.stack([i, j, i])],
    "region": lambda x, i, j: lax.dynamic_slice(x, (i, j), (2, 3)),
}


def equations(jaxpr: Any) -> Iterator[Any]:
    """Those of a program, and of the programs in it."""
    for eqn in jaxpr.eqns:
        yield eqn
        for value in eqn.params.values():
            if isinstance(value, ft.core.jaxpr.Jaxpr):
                yield from equations(value)


def whole_sums(f: Callable[..., Any], *args: Any) -> int:
    """How often arrays as large as the first argument are added in a program."""
    found = equations(ft.jit(f).lower(*args).simplified)
    return sum(eqn.primitive.name == "add_any" and eqn.outputs[0].aval.shape == args[0].shape for eqn in found)


@settings(max_examples=30)
@given(reads=st.lists(st.sampled_from(sorted(READS)), min_size=1, max_size=5), looped=st.booleans())
def test_cotangents_of_parts_are_added_to_one_array(reads: list[str], looped: bool) -> None:
    """In loops too, to what they close over and to what they carry."""
    x = np.arange(30.0).reshape(5, 6)

    def step(i, carry):
        total, y = carry
        for k, name in enumerate(reads):
            total += np.sum(READS[name](x_now, i, i + 1) * READS[name](y, i + 1, i) * (k + 1))
        return total, fnp.at(y)[i].add(y[i + 1] * 2)

    def f(x):
        nonlocal x_now
        x_now = x
        carry = 0.0, x * 2
        return lax.fori_loop(1, 4, step, carry)[0] if looped else step(2, carry)[0]

    x_now: Any = None
    gradient = ft.grad(f)
    np.testing.assert_array_equal(ft.jit(gradient)(x), gradient(x))
    if looped:
        assert whole_sums(gradient, x) <= 1  # what came by way of y to what x has itself


def test_sums_of_additions_to_other_arrays_stay():
    """There is nothing to gain where both sides have been something else before."""
    x, i = np.arange(12.0).reshape(3, 4), 1

    def f(x, i):
        return add_any(fnp.at(np.sin(x))[i].add(x[0]), fnp.at(np.cos(x))[i + 1].add(x[1]))

    np.testing.assert_allclose(ft.jit(f)(x, i), f(x, i), rtol=1e-15)
    assert whole_sums(f, x, i) == 1


def test_long_chains_of_additions_take_linear_time():
    def f(x, i):
        total, zero = x, fnp.zeros_like(x)
        for k in range(100):
            zero = fnp.at(zero)[i + k].add(x[k])
            total = add_any(total, zero)
        return total

    x, i = np.zeros(200), 0
    np.testing.assert_array_equal(ft.jit(f)(x, i), f(x, i))
    assert len(ft.jit(f).lower(x, i).simplified.eqns) < 4000
