"""Functions that make arrays: the same as NumPy's, and tracers of the current trace under a transformation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import functrans as ft
import functrans.numpy as fnp
from functrans.core.trace import current_trace
from functrans.core.tracer import Tracer
from functrans.errors import (
    ConcretizationError,
    InvalidShapeError,
    ShapeMismatchError,
    TracerConversionError,
    UnsupportedDtypeError,
)
from functrans.testing import check_grads
from tests.helpers.oracles import same_bits, same_but_for_rounding

ONES = np.ones((2, 3), "f4")

CALLS: dict[str, list[tuple[Any, ...]]] = {
    "zeros": [(3,), ((2, 3),), (3, "f4"), ((), int), ([2, 2], bool), (np.int64(3),), (np.array([2, 3]), complex), (0,)],
    "ones": [(3,), ((2, 3), "i1"), ((), complex)],
    "full": [
        (3, 2.5), ((2, 3), [1, 2, 3]), (3, 1, "f4"), (2, True), (2, -0.0), (2, np.nan), (2, np.float32(2)),
        (2, 1 + 2j), (2, complex(-0.0, -0.0)), (2, 2.7, int),
    ],
    "zeros_like": [(ONES,), ([1, 2],), (3.0,), (ONES, int), (ONES, None, "K", True, (4,))],
    "ones_like": [(ONES,), ([1, 2],)],
    "full_like": [(ONES, 2.5), (np.ones(2, int), 2.5), (np.ones(2, int), 2.5, float)],
    "arange": [
        (5,), (2, 7), (2, 9, 3), (9, 2, -2), (5.0,), (0.5, 3), (0, 1, 0.1), (2, 7, 2, float), (3, 3), (5, 2),
        (np.int8(5),), (np.uint64(3),), (0, 2**40, 2**38), (True,), (np.float32(3),),
    ],
    "linspace": [
        (0, 1), (0, 1, 5), (0, 1, 5, False), (0, 10, 4, True, False, int), (1, 0, 7), (0, 1, 1), (0, 1, 0),
        (np.float32(0), np.float32(1), 3), ([0, 1], [2, 3], 4), (0, 1j, 4), (0.1, 0.7, 13), (-3.3, 1e10, 11),
        (np.zeros((2, 1)), np.ones(3), 4, True, False, None, -1),
    ],
    "logspace": [
        (0, 2, 5), (0, 2, 5, True, 2.0), (0, 2, 4, False), ([0, 1], 2, 3), (0, 2, 3, True, 10.0, int),
        (0, 2, 3, True, [2.0, 3.0]), (0, 2, 3, True, [2.0, 3.0], None, -1),
    ],
    "geomspace": [
        (1, 1000, 4), (1, 256, 9), (1000, 1, 4), (-1000, -1, 4), (1, 256, 9, True, int), (1j, 1000j, 4),
        (1, 1000, 3, False), ([1, 2], [10, 20], 3, True, None, 1), (1, 8, 0), (1, 8, 1),
        (np.float32(1), np.float32(8), 4), (np.float32(1), np.float32(8), 4, True, "f4"),
    ],
    "eye": [(3,), (3, 4), (3, 4, 1), (3, None, -1, int), (0,), (2, 2, 0, "c8")],
    "identity": [(3,), (2, int)],
    "tri": [(3,), (3, 4), (3, 4, 1), (3, None, -1, int)],
    "vander": [
        ([1, 2, 3],), (np.array([1.0, 2, 3]), 2), (np.array([1, 2, 3], "f4"), 4, True), (np.ones(3), 0),
        (np.ones(3), 1), (np.zeros(0), 2), (np.array([True, False]),),
    ],
    "indices": [((2, 3),), ((2, 3), int, True), ((2, 3), "f4"), ((4,),)],
    "meshgrid": [(np.arange(3), np.arange(2.0)), (np.arange(3), np.arange(2.0), [1, 2, 3, 4]), (np.ones(3),), (1.0, [2])],
    "array": [
        ([1, 2, 3],), ([[1, 2], [3, 4.0]],), (2.0,), (3,), (np.arange(3), float), (np.float32(2),), (True,), ([],),
        ((1, 2), "f2"), (np.arange(3, dtype=">i4"),),
    ],
    "asarray": [([1, 2, 3],), (np.arange(3),), (np.arange(3), float), (2.0,), (range(3),)],
    "asanyarray": [([1, 2],)],
    "ascontiguousarray": [(2.0,), (ONES.T,)],
    "asfortranarray": [(ONES,)],
    "copy": [(np.arange(3),), (2.0,)],
    "fromfunction": [(lambda i, j: i + j * 2, (2, 3))],
    "frombuffer": [(b"12345678", float)],
    "fromiter": [(range(4), float)],
    "hanning": [(7,), (1,)], "hamming": [(7,)], "bartlett": [(7,)], "blackman": [(7,)],
    "kaiser": [(7, 3.0), (1, 2.0), (0, 1.0)],
}  # fmt: skip

TRANSFORMS: dict[str, Callable[[Callable[[], Any]], Any]] = {
    "jvp": lambda f: ft.jvp(lambda _: f(), (1.0,), (1.0,))[0],
    "vjp": lambda f: ft.vjp(lambda _: f(), 1.0)[0],
    "vmap": lambda f: ft.vmap(lambda _: f(), out_axes=None)(np.ones(2)),
    "jit": lambda f: ft.jit(lambda _: f())(1.0),
    "jvp in jit": lambda f: ft.jit(lambda t: ft.jvp(lambda _: f(), (1.0,), (t,))[0])(1.0),
}


def parts(result: Any) -> tuple[Any, ...]:
    return tuple(result) if isinstance(result, (tuple, list)) else (result,)


def check(ours: Callable[[], Any], theirs: Callable[[], Any]) -> None:
    """Values, dtypes and signs of zeros as NumPy's, outside of and under every transformation."""
    wanted = parts(theirs())

    def traced() -> Any:
        result = ours()
        for part in parts(result):
            assert isinstance(part, Tracer)
            assert part.trace is current_trace.get()
        return result

    for found in (parts(ours()), *(parts(transform(traced)) for transform in TRANSFORMS.values())):
        for x, y in zip(found, wanted, strict=True):
            if y.dtype.isnative:
                assert same_bits(x, y), f"{x!r} is not {y!r}"
            else:
                np.testing.assert_array_equal(x, y)


@pytest.mark.parametrize(
    ("name", "args"), [pytest.param(name, args, id=f"{name}{i}") for name in CALLS for i, args in enumerate(CALLS[name])]
)
def test_the_same_as_numpy(name: str, args: tuple[Any, ...]):
    check(lambda: getattr(fnp, name)(*args), lambda: getattr(np, name)(*args))


@pytest.mark.parametrize(
    "options",
    [{"stop": 4}, {"start": 1, "stop": 7, "step": 2}, {"stop": 3, "dtype": "f4"}, {"stop": 5, "dtype": "i1"}],
)
def test_arange_by_name(options: Any):
    check(lambda: fnp.arange(**options), lambda: np.arange(**options))
    check(lambda: fnp.arange(2, stop=5), lambda: np.arange(2, stop=5))
    check(lambda: fnp.arange(5, step=2), lambda: np.arange(5, step=2))


@pytest.mark.parametrize(
    "key", [np.s_[0:3], np.s_[0:1:5j], np.s_[0:3, 0:2], np.s_[0:3, 0:1:4j], np.s_[:3.0:0.5, 1:3], np.s_[5:0:-1,]]
)
def test_grids(key: Any):
    check(lambda: fnp.mgrid[key], lambda: np.mgrid[key])
    check(lambda: fnp.ogrid[key], lambda: np.ogrid[key])


def test_meshgrid_options():
    x, y = np.arange(3.0), np.arange(2)
    for options in ({"indexing": "ij"}, {"sparse": True}, {"sparse": True, "indexing": "ij"}, {"copy": False}):
        check(lambda o=options: fnp.meshgrid(x, y, **o), lambda o=options: np.meshgrid(x, y, **o))
    with pytest.raises(ValueError, match="indexing"):
        ft.jit(lambda x: fnp.meshgrid(x, x, indexing="yx"))(x)


def test_empty_is_zeros_while_tracing():
    assert ft.jit(lambda _: (fnp.empty(3), fnp.empty_like(ONES)))(1.0)[1].dtype == np.float32


def test_linspace_tells_its_step():
    y, step = ft.jit(lambda stop: fnp.linspace(0.0, stop, 5, retstep=True))(2.0)
    np.testing.assert_array_equal(y, np.linspace(0, 2, 5))
    assert step == 0.5


# ---- traced operands

A = np.array


@pytest.mark.parametrize(
    ("function", "args"),
    [
        (lambda a, b: np.linspace(a, b, 5), (0.3, 1.7)),
        (lambda a, b: np.linspace(a, b, 5, endpoint=False), (0.3, 1.7)),
        (lambda b: fnp.linspace(0, b, 5), (1.7,)),
        (lambda b: fnp.linspace(b, 2, 1), (1.7,)),
        (lambda a, b: np.linspace(a, b, 4, axis=-1), (A([1.0, 2]), A([[3.0], [4.0]]))),
        (lambda a, b: np.logspace(a, b, 4), (0.3, 0.7)),
        (lambda a, b, c: np.logspace(a, b, 4, base=c), (0.3, 0.7, A([2.0, 3.0]))),
        (lambda a, b: np.geomspace(a, b, 4), (0.3, 0.7)),
        (lambda a, b: np.geomspace(a, b, 4), (-0.3, -0.7)),
        (lambda a, b: np.geomspace(a, b, 4, endpoint=False, axis=1), (A([1.0, 2]), A([3.0, 4]))),
        (np.vander, (A([1.0, 2, 0]),)),
        (lambda x: np.vander(x, 4, increasing=True), (A([1.0, 2, 0]),)),
        (lambda x: fnp.full((2, 3), x), (A([1.0, 2, 3]),)),
        (lambda x: fnp.full_like(np.zeros((2, 2)), x), (2.0,)),
        (lambda x: np.full_like(x, 3.0) * x, (A([1.0, 2]),)),
        (lambda x: fnp.array([[x, 1], [0, x * x]]), (3.0,)),
        (lambda x: fnp.array([x, [1.0, 2]]), (A([3.0, 4]),)),
        (lambda x: fnp.asarray((x[0], np.float32(1), x[1])), (A([3.0, 4]),)),
        (lambda x: fnp.array(x, ndmin=3), (A([3.0, 4]),)),
        (lambda x: np.copy(x) * 2, (A([3.0, 4]),)),
        (lambda x, y: np.stack(np.meshgrid(x, y)), (A([1.0, 2]), A([3.0, 4, 5]))),
        (lambda x: np.stack(fnp.meshgrid(x, np.arange(2.0), indexing="ij")), (A([1.0, 2, 3]),)),
        (lambda x: fnp.fromfunction(lambda i, j: i * x + j, (2, 3)), (2.0,)),
        (lambda b: fnp.kaiser(6, b), (2.0,)),
    ],
)
def test_traced_operands(function: Callable[..., Any], args: tuple[Any, ...]):
    wanted = function(*args)
    for found in (ft.jit(function)(*args), ft.vjp(function, *args)[0]):
        assert same_but_for_rounding(found, wanted)
    check_grads(function, args, order=2)
    lanes = [np.stack([x, x * 1.1]) for x in args]
    found = ft.vmap(function)(*lanes)
    np.testing.assert_allclose(found, [function(*(x[i] for x in lanes)) for i in range(2)])


@pytest.mark.parametrize(
    "function",
    [
        lambda x: fnp.array([x, 2.0]), lambda x: fnp.array([x, 2]), lambda x: fnp.array([x, np.float32(1)]),
        lambda x: fnp.asarray([x, True]), lambda x: fnp.array([x, 1], "i4"), lambda x: fnp.asarray(x),
        lambda x: fnp.full(2, x), lambda x: fnp.zeros_like(x), lambda x: fnp.full_like(x, 2.5),
    ],
)  # fmt: skip
@pytest.mark.parametrize("x", [2.0, 3, np.float32(2), np.int8(2), True])
def test_dtypes_with_traced_elements(function: Callable[[Any], Any], x: Any):
    """A Python scalar is a float64 or an int64 when it becomes an array."""
    assert same_but_for_rounding(ft.jit(function)(x), function(x))


# ---- assignment


@pytest.mark.parametrize(
    "make",
    [
        lambda x: fnp.zeros(3), lambda x: fnp.array([0.0, 0, 0]), lambda x: fnp.asarray(np.zeros(3)),
        lambda x: fnp.copy(np.zeros(3)), lambda x: fnp.full(3, 0.0), lambda x: fnp.zeros_like(np.ones(3)),
        lambda x: np.zeros(3, like=x), lambda x: np.full(3, 0.0, like=x), lambda x: np.zeros_like(x, shape=3),
        lambda x: np.asarray([0.0, 0, 0], like=x), lambda x: np.array([0.0, 0, 0], like=x),
        lambda x: np.ones(3, like=x) - 1, lambda x: np.arange(3.0, like=x) * 0, lambda x: np.eye(3, like=x)[0] * 0,
        lambda x: np.identity(3, like=x)[0] * 0, lambda x: np.tri(3, like=x)[0] * 0,
    ],
)  # fmt: skip
def test_new_arrays_can_be_assigned_into(make: Callable[[Any], Any]):
    def f(x: Any) -> Any:
        out = make(x)
        out[1] = x
        out[2] = out[1] * x
        return out

    for transform in (lambda f: f, ft.jit):
        y, dy = transform(lambda x: ft.jvp(f, (x,), (1.0,)))(3.0)
        np.testing.assert_array_equal(y, [0.0, 3.0, 9.0])
        np.testing.assert_array_equal(dy, [0.0, 1.0, 6.0])
    np.testing.assert_array_equal(ft.vmap(f)(A([1.0, 2.0])), [[0.0, 1, 1], [0.0, 2, 4]])
    np.testing.assert_array_equal(ft.jit(f)(3.0), [0.0, 3, 9])


def test_new_arrays_belong_to_the_innermost_transformation():
    def f(x: Any) -> Any:
        def g(y: Any) -> Any:
            total = 0.0
            for z in (fnp.zeros_like(x), fnp.array(x), fnp.full(x.shape, x), fnp.copy(x)):
                z[0] = y * x[1]
                total = total + (z * z).sum()
            return total

        return ft.grad(g)(2.0)

    np.testing.assert_allclose(ft.grad(f)(A([1.0, 3.0])), [0.0, 4 * 2 * 2 * 2 * 3.0])


def test_copies_are_cells_of_their_own():
    def f(x: Any) -> Any:
        copies = [fnp.array(x), fnp.copy(x), fnp.full(x.shape, x), fnp.asarray(x, copy=True), fnp.meshgrid(x)[0]]
        for y in copies:
            y[0] = 0.0
        return x

    np.testing.assert_array_equal(ft.jit(f)(A([1.0, 2.0])), [1.0, 2.0])


def test_arrays_of_the_user_are_copied():
    table = np.ones(3)

    def f(x: Any) -> Any:
        y = fnp.asarray(table) * x
        table[:] = 100.0
        return y

    _, pull_back = ft.vjp(f, 2.0)
    assert pull_back(np.ones(3)) == (3.0,)

    def g(x: Any) -> Any:
        y = fnp.asarray(table)
        y[0] = x
        return y

    ft.jvp(g, (2.0,), (1.0,))
    assert table[0] == 100.0


# ---- what is recorded


def test_large_arrays_are_no_literals():
    def f(x: Any) -> Any:
        return fnp.arange(1000) + x, fnp.eye(100) * x, fnp.zeros((50, 50)), fnp.linspace(0, 1, 1000), fnp.mgrid[:9, :9]

    jaxpr = ft.make_jaxpr(f)(1.0)
    literals = [a for eqn in jaxpr.eqns for a in eqn.inputs if hasattr(a, "value")]
    assert max(a.aval.size for a in literals) <= 9


# ---- mistakes


@pytest.mark.parametrize(
    ("function", "error"),
    [
        (lambda x: fnp.zeros(x), ConcretizationError),
        (lambda x: fnp.eye(x), ConcretizationError),
        (lambda x: fnp.arange(x), ConcretizationError),
        (lambda x: fnp.linspace(0, 1, x), ConcretizationError),
        (lambda x: fnp.hanning(x), ConcretizationError),
        (lambda x: fnp.mgrid[0:x], ConcretizationError),
        (lambda x: np.array([x, x]), ConcretizationError),
        (lambda x: fnp.zeros(-3), InvalidShapeError),
        (lambda x: fnp.zeros(3, dtype=object), UnsupportedDtypeError),
        (lambda x: fnp.array(["a"]), UnsupportedDtypeError),
        (lambda x: fnp.array([x, [x, x]]), ShapeMismatchError),
        (lambda x: fnp.vander(fnp.ones((2, 2))), ShapeMismatchError),
        (lambda x: np.geomspace(x, 0.0, 4), ValueError),
    ],
)
def test_mistakes(function: Callable[[Any], Any], error: type[Exception]):
    with pytest.raises(error):
        ft.jit(function)(3)


def test_arange_offers_linspace():
    for transform in (ft.jit, ft.grad):
        with pytest.raises(ConcretizationError, match="linspace"):
            transform(lambda x: fnp.sum(fnp.arange(0.0, x, 0.1)))(1.0)


def test_a_numpy_array_of_tracers_offers_ours():
    with pytest.raises(TracerConversionError, match=r"np\.stack or functrans\.numpy\.array"):
        ft.grad(lambda x: np.array([x, x]).sum())(1.0)


def test_a_float_is_no_length():
    with pytest.raises(TypeError):
        ft.grad(lambda x: fnp.sum(fnp.zeros(x)))(1.0)


# ---- the namespace


def test_the_array_namespace():
    def f(x: Any) -> Any:
        xp = x.__array_namespace__()
        assert isinstance(x, xp.ndarray)
        y = xp.astype(xp.asarray(x, dtype=xp.float32), xp.float64)
        assert xp.isdtype(y.dtype, "real floating")
        assert xp.result_type(x, xp.complex64) == xp.complex128
        rows = xp.concat([x[None], y[None]], axis=0)
        return xp.sum(xp.permute_dims(rows, (1, 0)) @ rows) + xp.vecdot(x, x) + xp.linalg.vector_norm(x)

    np.testing.assert_allclose(ft.jit(f)(A([1.0, 2, 3])), 72 + 14 + np.sqrt(14))


@pytest.mark.parametrize("name", ["pi", "inf", "newaxis", "float32", "bool", "iinfo", "dtype", "integer", "s_"])
def test_constants_and_types_are_numpys(name: str):
    assert getattr(fnp, name) is getattr(np, name)
