"""Elementwise functions on traced arrays: dtypes and values are NumPy's, for every dtype and for Python scalars."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special

import functrans as ft
import functrans.numpy as fnp
from functrans.errors import (
    ArgumentMutationError,
    ConcretizationError,
    DtypeMismatchError,
    ShapeMismatchError,
    TransposeError,
    UnknownFunctionError,
    UnsupportedDtypeError,
)
from functrans.numpy.protocols import UFUNCS

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")

DTYPES = ["?", "i1", "u1", "i4", "u8", "i8", "f2", "f4", "f8", "c8", "c16"]
PAIRS = [*zip(DTYPES, DTYPES), ("i1", "u1"), ("i8", "u8"), ("?", "i1"), ("i4", "f2"), ("i8", "f4"), ("f4", "f8")]
PAIRS += [("f8", "c8"), ("f4", "i1"), ("c8", "f4")]
SCALARS = [True, 2, 0.5, 0.5 + 1j]
GENERALIZED = {f for f in vars(np).values() if isinstance(f, np.ufunc) and f.signature}
ALL_UFUNCS = sorted({f for f in vars(np).values() if isinstance(f, np.ufunc)}, key=lambda f: f.__name__)
UNARY = [f for f in ALL_UFUNCS if f.nin == 1 and f is not np.isnat]
BINARY = [f for f in ALL_UFUNCS if f.nin == 2 and f not in GENERALIZED]
OPERATORS = "add sub mul truediv floordiv mod pow and_ or_ xor lshift rshift eq ne lt le gt ge"
SPECIAL = "erf erfc erfinv erfcinv gammaln psi expit logit log_expit entr ndtr log_ndtr ndtri i0 i1 i0e i1e"
SPECIAL += " erfcx gamma loggamma gammasgn exp1 expi j0 j1 y0 y1 k0 k1 k0e k1e"
SPECIAL_OF_TWO = "xlogy xlog1py beta betaln poch rel_entr kl_div gammainc gammaincc"


def first(dtype: str) -> Any:
    return np.array([1, 0, 2, 3]).astype(dtype)


def second(dtype: str) -> Any:
    return np.array([2, 1, 1, 3]).astype(dtype)


def attempt(f: Callable[..., Any], args: Sequence[Any]) -> tuple[Any, ...] | None:
    """Results, or None where there is none."""
    try:
        results = f(*args)
    except (TypeError, OverflowError, ValueError, ZeroDivisionError):
        return None
    return results if isinstance(results, tuple) else (results,)


def one_lane(f: Callable[..., Any]) -> Callable[..., Any]:
    """f of traced operands without a compiler."""
    return lambda *args: ft.tree_util.tree_map(lambda y: y[0], ft.vmap(f)(*(x[None] for x in args)))


def agree(f: Callable[..., Any], *args: Any, traced: Callable[..., Any] = ft.jit) -> None:
    """The same types and values on traced operands as on NumPy's, and an error where NumPy has one."""
    wanted, found = attempt(f, args), attempt(traced(f), args)
    assert (wanted is None) == (found is None), f"{args}: {wanted} but {found}"
    for w, x in zip(wanted or (), found or (), strict=True):
        is_scalar = type(w) in (bool, int, float, complex)
        assert is_scalar == (type(x) in (bool, int, float, complex)), f"{args}: {type(w)} but {type(x)}"
        assert np.asarray(w).dtype == np.asarray(x).dtype, f"{args}"
        rounding = 1e-2 if np.asarray(w).dtype == np.float16 else 1e-6
        np.testing.assert_allclose(x, w, rtol=rounding)


def test_every_ufunc_is_traced():
    assert set(ALL_UFUNCS) - set(UFUNCS) - GENERALIZED == {np.isnat}


@pytest.mark.parametrize("f", UNARY, ids=lambda f: f.__name__)
def test_unary_ufuncs(f: Any):
    for dtype in DTYPES:
        agree(f, first(dtype))
        agree(f, first(dtype)[2])
    for x in SCALARS:
        agree(f, x)


@pytest.mark.parametrize("f", BINARY, ids=lambda f: f.__name__)
def test_binary_ufuncs(f: Any):
    for one, two in PAIRS:
        agree(f, first(one), second(two))
    for dtype, x in product(DTYPES, SCALARS):
        agree(f, first(dtype), x)
        agree(f, x, second(dtype))
    for x, y in product(SCALARS, SCALARS):
        agree(f, x, y)


KINDS = st.sampled_from(DTYPES)
OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "dtype": KINDS,
        "casting": st.sampled_from(["safe", "same_kind", "unsafe", "no such rule"]),
        "out": KINDS,
        "where": st.sampled_from([True, 1, [True, False, True, False], np.arange(4)]),
    },
)


@settings(max_examples=100)
@given(f=st.sampled_from(UNARY + BINARY), one=KINDS, two=st.one_of(KINDS, st.sampled_from(SCALARS)), options=OPTIONS)
def test_options_of_ufuncs(f: Any, one: str, two: Any, options: dict[str, Any]):
    """What is computed in another dtype is computed in it, not cast to it afterwards; casts are allowed or not."""
    y = second(two) if isinstance(two, str) else two
    if "where" in options:
        options = {"out": "f8", **options}  # elsewhere nobody says what the result is

    def called(x: Any) -> Any:
        outs = {"out": tuple(np.full_like(x, 7, options["out"]) for _ in range(f.nout))} if "out" in options else {}
        return f(*(x, y)[: f.nin], **(options | outs))

    agree(called, first(one), traced=one_lane)


def test_ufuncs_compute_in_the_dtype_that_is_asked_for():
    x = np.array([200, 100], np.uint8)
    np.testing.assert_array_equal(ft.jit(lambda x: np.add(x, x, dtype=int))(x), [400, 200])
    np.testing.assert_array_equal(ft.jit(lambda x: np.sin(x, dtype=float))(x), np.sin(x, dtype=float))
    np.testing.assert_array_equal(ft.jit(lambda x: np.matmul(x, x, dtype="i8"))(x), 50_000)


def test_casts_that_numpy_refuses_are_refused():
    with pytest.raises(DtypeMismatchError, match="(?s)operands of dtype uint8, float64.*same_kind"):
        ft.jit(lambda x: np.add(x, 0.5, out=x.copy()))(np.arange(3, dtype=np.uint8))
    with pytest.raises(ShapeMismatchError, match="result of shape \\(3,\\) in one of shape \\(1, 1\\)"):
        ft.jit(lambda x: np.add(x, x, out=fnp.zeros((1, 1))))(np.arange(3.0))
    with pytest.raises(ShapeMismatchError, match="(?s)result of shape \\(3,\\).*array of shape \\(2, 3\\)"):
        ft.jit(lambda x: np.sum(x, 0, out=x.copy()))(np.ones((2, 3)))


@pytest.mark.parametrize("name", OPERATORS.split())
def test_operators(name: str):
    f = getattr(operator, name)
    for one, two in PAIRS:
        agree(f, first(one), second(two))
    for dtype, x in product(DTYPES, SCALARS):
        if (name, dtype, x) != ("pow", "?", 2):  # int8 by NumPy's operator, and int64 by its function
            agree(f, first(dtype), x)
        agree(f, x, second(dtype))
    orders = name in ("lt", "le", "gt", "ge")
    for x, y in product(SCALARS, SCALARS):
        if not (orders and complex in (type(x), type(y))):  # NumPy orders complex numbers, Python does not
            agree(f, x, y)


@pytest.mark.parametrize("name", ["neg", "pos", "abs", "invert"])
@pytest.mark.filterwarnings("ignore:Bitwise inversion:DeprecationWarning")
def test_unary_operators(name: str):
    for x in [*map(first, DTYPES), *SCALARS]:
        agree(getattr(operator, name), x)


@pytest.mark.parametrize("name", SPECIAL.split())
def test_special_functions(name: str):
    for dtype in DTYPES:
        agree(getattr(special, name), first(dtype))


@pytest.mark.parametrize("name", SPECIAL_OF_TWO.split())
def test_special_functions_of_two_operands(name: str):
    f = getattr(special, name)
    for one, two in PAIRS:
        agree(f, first(one), second(two))
    for dtype in ("f4", "f8", "i8"):
        agree(f, first(dtype), 0.5)
        agree(f, 2, second(dtype))


@pytest.mark.parametrize("f", [special.jv, special.jn, special.iv, special.ive], ids=["jv", "jn", "iv", "ive"])
@pytest.mark.parametrize("order", [0, 1, 2, -3, np.int64(2), 1.0])
def test_bessel_functions_of_whole_orders(f: Any, order: Any):
    x = np.array([0.0, 0.3, 1.2, 9.5])
    np.testing.assert_allclose(ft.jit(lambda x: f(order, x))(x), f(order, x), rtol=1e-12)
    slope = (f(order - 1, x) - f(order + 1, x)) / 2 if f in (special.jv, special.jn) else None
    if slope is not None:
        np.testing.assert_allclose(ft.jvp(lambda x: f(order, x), (x,), (np.ones(4),))[1], slope, rtol=1e-12)


@pytest.mark.parametrize("order", [0.5, np.array([1, 2])])
def test_other_orders_are_refused(order: Any):
    with pytest.raises(ConcretizationError, match="an order that is traced, or no whole number"):
        ft.jit(lambda x: special.jv(order, x))(np.ones(2))
    with pytest.raises(ConcretizationError, match="an order that is traced, or no whole number"):
        ft.jit(special.jv)(2, np.ones(2))


def test_zeta():
    x, q = np.array([1.5, 2.0, 7.25]), np.array([0.5, 1.0, 3.0])
    np.testing.assert_allclose(ft.jit(special.zeta)(x), special.zeta(x), rtol=1e-14)
    np.testing.assert_allclose(ft.jit(special.zeta)(x, q), special.zeta(x, q), rtol=1e-14)
    np.testing.assert_allclose(ft.grad(lambda q: special.zeta(2.0, q))(0.5), -2 * special.zeta(3.0, 0.5), rtol=1e-12)


def test_incomplete_gamma_functions_at_the_ends():
    for x in (0.0, np.inf):
        assert ft.grad(special.gammainc, 0)(1.5, x) == 0
        assert ft.grad(special.gammaincc, 0)(1.5, x) == 0


def test_what_is_not_known_is_said():
    with pytest.raises(UnknownFunctionError, match="derivative of hyp1f1 by a was asked for"):
        ft.grad(lambda a: special.hyp1f1(a, 0.5, 0.3))(2.0)
    with pytest.raises(UnknownFunctionError, match="Take np.round"):
        ft.jit(special.round)(0.5)


FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "round": np.round,
    "around": lambda x: np.around(x, 1),
    "round to tens": lambda x: np.round(x, -1),
    "fix": np.fix,
    "nan_to_num": np.nan_to_num,
    "nan_to_num with": lambda x: np.nan_to_num(x, nan=1.5, posinf=7, neginf=-7),
    "angle": np.angle,
    "angle in degrees": lambda x: np.angle(x, deg=True),
    "sinc": np.sinc,
    "i0": np.i0,
    "isclose": lambda x: np.isclose(x, 1.0),
    "isclose to itself": lambda x: np.isclose(x, x, equal_nan=True),
    "allclose": lambda x: np.asarray(np.allclose(x, x)) if isinstance(x, np.ndarray) else np.allclose(x, x),
    "clip": lambda x: np.clip(x, 0, 1),
    "clip to float": lambda x: np.clip(x, 0.5, 2),
    "clip by a number and single precision": lambda x: np.clip(x, -2.5, np.float32(1.5)),
    "clip above": lambda x: np.clip(x, None, 2),
    "clip by keyword": lambda x: np.clip(x, min=1),
    "clip beyond": lambda x: np.clip(x, -1000, 1000),
    "clip method": lambda x: x.clip(0, 2),
    "real": np.real,
    "imag": np.imag,
    "parts": lambda x: x.real + 2 * x.imag,
    "conj": lambda x: x.conj() + x.conjugate() + np.conj(x),
    "round method": lambda x: x.round(1),
    "select": lambda x: np.select([x > 1, x < 1], [x, 1.5], 2),
    "select one": lambda x: np.select([x > 0], [x]),
    "piecewise": lambda x: np.piecewise(x, [x > 1, x < 0], [2.5, lambda x: x + x, 1]),
    "piecewise of one": lambda x: np.piecewise(x, x > 1, [lambda x: x * x, 0]),
    "where": lambda x: np.where(x, x, 0),
    "where scalars": lambda x: np.where(x > 0, 1, 2.0),
    "where mixed": lambda x: np.where(x > 0, 1.0, x),
    "iscomplex": np.iscomplex,
    "isreal": np.isreal,
    "isposinf": np.isposinf,
    "isneginf": np.isneginf,
    "modf": np.modf,
    "frexp": np.frexp,
    "divmod": lambda x: np.divmod(x, 2),
    "divmod operator": lambda x: divmod(x, 2),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions(name: str):
    f = FUNCTIONS[name]
    odd = np.array([np.nan, np.inf, -np.inf, -1.75, -0.0, 1e-3, 2.5, 3.5, -2.5])
    rounds = "round" in name and name != "round"
    for dtype in DTYPES:
        if not (dtype == "?" and rounds):  # NumPy's fails
            agree(f, first(dtype))
    for dtype in ("f2", "f4", "f8", "c8", "c16"):
        agree(f, odd.astype(dtype))


@pytest.mark.parametrize(("have", "want"), [*product(DTYPES, DTYPES)])
@pytest.mark.filterwarnings("ignore::numpy.exceptions.ComplexWarning")
def test_casts(have: str, want: str):
    agree(lambda x: x.astype(want), first(have))
    agree(lambda x: x.astype(want, copy=False), first(have))
    if have[0] in "fc" and want[0] in "?fc":
        agree(lambda x: x.astype(want), np.array([np.nan, np.inf, -0.0, 1e-3], have))
    staged = ft.jit(lambda x: fnp.astype(x, want))(first(have))
    assert staged.dtype == np.dtype(want)


def test_a_cast_keeps_to_its_rule():
    with pytest.raises(TypeError, match="safe"):
        ft.jit(lambda x: x.astype("f4", casting="safe"))(np.ones(2))


def test_dtype_functions():
    def f(x: Any, weak: Any) -> Any:
        assert np.result_type(x, 2.0) == np.result_type(x, weak) == np.float32
        assert np.result_type(x, np.int64) == np.float64
        assert np.can_cast(x.dtype, np.float64)
        assert not np.iscomplexobj(x)
        assert np.isrealobj(x)
        return x

    ft.jit(f)(np.float32(1), 2.0)
    assert fnp.finfo(np.float32).eps == np.finfo(np.float32).eps
    assert fnp.promote_types("f4", "i8") == np.float64


def test_ufuncs_are_numpys_own():
    assert fnp.sin is np.sin
    assert fnp.abs is fnp.absolute is np.abs
    assert fnp.acos is np.arccos
    assert fnp.true_divide is np.divide
    assert fnp.where is np.where
    assert fnp.divmod is np.divmod
    assert not hasattr(fnp, "erf")


# ---- derivatives of compositions


@pytest.mark.parametrize(
    ("f", "x", "slope"),
    [
        (lambda x: np.modf(x)[0], 2.75, 1.0),
        (lambda x: np.modf(x)[1], 2.75, 0.0),
        (lambda x: np.modf(x)[0], -3.0, 1.0),
        (lambda x: np.frexp(x)[0], 5.0, 0.125),
        (lambda x: np.divmod(x, 0.7)[1], 2.0, 1.0),
        (lambda x: divmod(x, 0.7)[0], 2.0, 0.0),
        (lambda x: np.nan_to_num(1 / x), 0.0, 0.0),
        (lambda x: np.nan_to_num(x * x), 3.0, 6.0),
        (lambda x: np.select([x < 0, x < 1], [x, x**2], x**3), 2.0, 12.0),
        (lambda x: np.piecewise(x, [x < 0, x >= 0], [lambda x: -x, lambda x, a: a * x, 3.0][:2], 2.5), -1.0, None),
        (lambda x: np.angle(1 + 1j * x), 0.5, 0.8),
        (lambda x: np.angle(x), 2.0, 0.0),
        (lambda x: np.round(x, 2), 0.123, 0.0),
    ],
)
def test_derivatives(f: Any, x: float, slope: float | None):
    if slope is None:
        with pytest.raises(TypeError):
            ft.grad(f)(x)
        return
    assert ft.grad(f)(x) == pytest.approx(slope)
    assert ft.jit(ft.grad(f))(x) == pytest.approx(slope)


def test_real_and_imag_are_views():
    def f(z: Any) -> Any:
        z = z.copy()
        part = z.real
        z[0] = 0
        return part + 0

    with pytest.raises(ValueError, match="view"):
        ft.jit(f)(np.ones(2, complex))


# ---- interp


TABLE = np.array([0.0, 1.0, 3.0, 4.5])
HEIGHTS = np.array([1.0, -1.0, 2.0, 0.0])


@pytest.mark.parametrize("options", [{}, {"left": 7, "right": -3.0}, {"period": 5.0}, {"period": 2.5}])
def test_interp(options: Any):
    x = np.array([-1, 0, 0.5, 1, 2, 3, 4.5, 9, np.nan])
    for heights in (HEIGHTS, HEIGHTS * (1 + 2j)):
        wanted = np.interp(x, TABLE, heights, **options)
        for found in (
            ft.jit(lambda x, xp, fp: np.interp(x, xp, fp, **options))(x, TABLE, heights),
            ft.jit(lambda x: np.interp(x, TABLE, heights, **options))(x),
            ft.vmap(lambda x: np.interp(x, TABLE, heights, **options))(x),
        ):
            np.testing.assert_allclose(found, wanted)
            assert found.dtype == wanted.dtype


def test_interp_of_one_node():
    assert ft.jit(np.interp)(np.float32(2), np.array([5]), np.array([3.0])) == 3.0


def test_derivatives_of_interp():
    for x in (0.5, 2.0, 4.0):
        for k, args in enumerate([(x, TABLE, HEIGHTS)] * 3):
            point, step = np.asarray(args[k]), 1e-6
            found = ft.jacobian(np.interp, argnums=k)(*args)
            for i in np.ndindex(point.shape):
                unit = np.zeros_like(point)
                unit[i] = step
                ends = [np.interp(*args[:k], point + s * unit, *args[k + 1 :]) for s in (1, -1)]
                assert np.asarray(found)[i] == pytest.approx((ends[0] - ends[1]) / (2 * step), abs=1e-8)


def test_interp_wants_a_table():
    with pytest.raises(ValueError, match="one-dimensional"):
        ft.jit(np.interp)(np.ones(3), np.ones((2, 2)), np.ones((2, 2)))


# ---- linear transposes


@pytest.mark.parametrize(
    ("f", "wanted"),
    [
        (lambda x: x + x - 3 * x, -1.0),
        (lambda x: -x / 4.0, -0.25),
        (lambda x: +x * 2j, 2j),
        (lambda x: np.where([True, False], x, 0.0).sum(), 1.0),
        (lambda x: np.where(True, 2 * x, 3 * x), 2.0),
        (lambda x: np.deg2rad(x.real), np.pi / 180),
        (lambda x: x.astype(np.complex64).imag, -1j),
        (lambda x: x.conj(), 1.0),
    ],
)
def test_linear_transpose(f: Any, wanted: Any):
    x = np.complex128(1)
    (found,) = ft.linear_transpose(f, x)(f(x) * 0 + 1)
    np.testing.assert_allclose(found, wanted, rtol=1e-6)


@pytest.mark.parametrize("f", [lambda x: x * x, lambda x: 1 / x, lambda x: x + 1, lambda x: np.sin(x), lambda x: x**2])
def test_nonlinear_functions_have_no_transpose(f: Any):
    with pytest.raises(TransposeError):
        ft.linear_transpose(f, 1.0)(1.0)


# ---- errors


def test_errors():
    with pytest.raises(UnsupportedDtypeError, match="bitwise_and"):
        ft.jit(np.bitwise_and)(1.0, 2.0)
    with pytest.raises(TypeError, match="subtract"):
        ft.jit(np.subtract)(np.array(True), np.array(False))
    with pytest.raises(UnsupportedDtypeError, match="erfinv"):
        ft.jit(special.erfinv)(1j)
    with pytest.raises(UnknownFunctionError, match="isnat"):
        ft.jit(np.isnat)(1.0)
    with pytest.raises(ArgumentMutationError):
        ft.jit(lambda x: np.clip(x, 0, 1, out=x))(1.0)
    with pytest.raises(ValueError, match="same length"):
        ft.jit(lambda x: np.select([x > 0], [x, x]))(np.ones(1))
    with pytest.raises(TypeError, match="boolean"):
        ft.jit(lambda x: np.select([x], [x]))(np.ones(1))
    with pytest.raises(ValueError, match="neither"):
        ft.jit(lambda x: np.where(x > 0, x))(np.ones(1))
    with pytest.raises(ValueError, match="functions are expected"):
        ft.jit(lambda x: np.piecewise(x, [x > 0], [1, 2, 3]))(np.ones(1))
