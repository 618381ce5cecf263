"""Products of arrays on traced operands: values and dtypes against NumPy, derivatives against difference quotients."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

import functrans as ft
import functrans.numpy as fnp
from functrans.errors import (
    DtypeMismatchError,
    EinsumNotationError,
    ShapeMismatchError,
    TracerConversionError,
    UnsupportedArgumentError,
    ViewAssignmentError,
)
from tests.helpers.oracles import (
    assert_close,
    assert_same_type,
    difference_quotient,
    direction,
    lane_loop,
    nonempty_subsets,
    pairing,
    pushed,
    stacked_operands,
)

RANDOM = np.random.default_rng(8)
Shapes = Sequence[tuple[int, ...]]


def array(*shape: int, dtype: str = "f8") -> Any:
    if np.dtype(dtype).kind in "biu":
        return RANDOM.integers(0, 4, shape).astype(dtype)
    x = RANDOM.uniform(-1, 1, shape)
    return (x + 1j * RANDOM.uniform(-1, 1, shape) if np.dtype(dtype).kind == "c" else np.asarray(x)).astype(dtype)


def arrays(shapes: Shapes, dtype: str = "f8") -> list[Any]:
    return [array(*shape, dtype=dtype) for shape in shapes]


def check(function: Callable[..., Any], args: Sequence[Any]) -> None:
    """Values and types as NumPy gives them, in jit and under jvp; derivatives; lanes."""
    wanted = function(*args)
    inexact = all(x.dtype.kind in "fc" for x in args)
    values = [ft.jit(function)(*args)]
    if inexact:
        values.append(ft.vjp(function, *args)[0])
    for found in values:
        assert_same_type(found, wanted)
        assert_close(found, wanted)
    if {x.dtype for x in args} <= {np.dtype("f8"), np.dtype("c16")}:
        check_derivatives(lambda *xs: [function(*xs)], args)
    for mapped in nonempty_subsets(range(len(args))):
        lanes = stacked_operands(args, mapped, 2)
        axes = tuple(0 if i in mapped else None for i in range(len(args)))
        found = ft.vmap(function, in_axes=axes)(*lanes)
        (looped,) = lane_loop(lambda *xs: [function(*xs)], lanes, mapped, 2)
        assert_same_type(found, looped)
        assert_close(found, looped)


def check_derivatives(function: Callable[..., Sequence[Any]], args: Sequence[Any]) -> None:
    tangents = [direction(x, i) for i, x in enumerate(args)]
    found, wanted = pushed(function, args, tangents), difference_quotient(function, args, tangents)
    assert_close(found[0], wanted[0], 1e-8, "tangent")
    (y,), pull_back = ft.vjp(lambda *xs: list(function(*xs)), *args)
    cotangent = [direction(y, 10)]
    np.testing.assert_allclose(pairing(cotangent, found), pairing(pull_back(cotangent), tangents), rtol=1e-9, atol=1e-12)


DTYPES = ["f8", "c16", "f4", "f2", "i8", "i1", "u2", "?"]


# ---- products of two arrays


@pytest.mark.parametrize(
    "shapes",
    [
        [(3,), (3,)], [(2, 3), (3,)], [(3,), (3, 4)], [(2, 3), (3, 4)], [(5, 2, 3), (3, 4)], [(5, 2, 3), (5, 3, 4)],
        [(2, 3), (5, 3, 4)], [(3,), (5, 3, 4)], [(5, 2, 3), (3,)], [(1, 4, 2, 3), (5, 1, 3, 2)],
        [(1, 2, 3), (5, 3, 4)], [(2, 0), (0, 2)], [(5, 2, 0), (5, 0, 2)], [(0, 2, 3), (1, 3, 2)],
    ],
)  # fmt: skip
def test_matmul(shapes: Shapes):
    check(np.matmul, arrays(shapes))
    check(lambda x, y: x @ y, arrays(shapes, "c16"))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("function", [np.matmul, np.dot, np.inner, np.outer, np.kron, np.vdot, np.tensordot, np.vecdot])
def test_dtypes(function: Callable[..., Any], dtype: str):
    x, y = arrays([(3, 3), (3, 3)], dtype)
    wanted = function(x, y)
    assert_same_type(ft.jit(function)(x, y), wanted)
    assert_close(ft.jit(function)(x, y), wanted)


@pytest.mark.parametrize(("first", "second"), [("f4", "f8"), ("i1", "u1"), ("f4", "i4"), ("?", "f4"), ("f4", "c16")])
@pytest.mark.parametrize("function", [np.matmul, np.dot, lambda x, y: np.einsum("ij,jk->ki", x, y), np.kron])
def test_operands_of_two_dtypes(function: Callable[..., Any], first: str, second: str):
    x, y = array(2, 3, dtype=first), array(3, 2, dtype=second)
    assert_same_type(ft.jit(function)(x, y), function(x, y))
    assert_close(ft.jit(function)(x, y), function(x, y))


def test_a_python_scalar_is_an_array():
    x = array(3, dtype="f4")
    assert_same_type(ft.jit(np.dot)(2.0, x), np.dot(2.0, x))
    assert_same_type(ft.jit(lambda c, x: np.einsum(",i->i", c, x))(2.0, x), np.einsum(",i->i", 2.0, x))


@pytest.mark.parametrize(
    "shapes",
    [[(), ()], [(3,), ()], [(), (2, 3)], [(3,), (3,)], [(2, 3), (3,)], [(5, 2, 3), (2, 3, 4)], [(2, 3), (2, 3, 1)]],
)
def test_dot(shapes: Shapes):
    check(np.dot, arrays(shapes))


@pytest.mark.parametrize("shapes", [[(), (3,)], [(3,), (3,)], [(2, 3), (3,)], [(2, 3), (4, 2, 3)], [(2, 0), (3, 0)]])
def test_inner(shapes: Shapes):
    check(np.inner, arrays(shapes, "c16"))


def test_outer_vdot_kron():
    check(np.outer, arrays([(3,), (2,)]))
    check(np.outer, arrays([(2, 2), (3,)]))
    check(np.vdot, arrays([(3, 2), (2, 3)], "c16"))
    for shapes in ([(3,), (2,)], [(2, 3), (3,)], [(2,), (2, 3, 2)], [(), (2, 2)]):
        check(np.kron, arrays(shapes))


@pytest.mark.parametrize(
    ("shapes", "axes"),
    [
        ([(2, 3), (3, 4)], 1), ([(2, 3), (2, 3)], 2), ([(2, 3), (2,)], 0), ([(2, 3, 4), (4, 3, 5)], ([1, 2], [1, 0])),
        ([(2, 3), (5, 2)], (0, 1)), ([(2, 3, 4), (5, 3)], ((-2,), (-1,))),
    ],
)  # fmt: skip
def test_tensordot(shapes: Shapes, axes: Any):
    check(lambda x, y: np.tensordot(x, y, axes), arrays(shapes))


@pytest.mark.parametrize("shapes", [[(3,), (3,)], [(5, 3), (3,)], [(5, 1, 3), (4, 3)], [(2, 0), (2, 0)]])
def test_vecdot(shapes: Shapes):
    check(np.vecdot, arrays(shapes, "c16"))


def test_vecdot_along_another_axis():
    check(lambda x, y: np.vecdot(x, y, axis=0), arrays([(3, 2), (3, 2)], "c16"))
    check(lambda x, y: np.linalg.vecdot(x, y, axis=0), arrays([(3, 2), (3, 2)]))


@pytest.mark.skipif(not hasattr(np, "matvec"), reason="NumPy 2.2 and later")
@pytest.mark.parametrize("batch", [((), ()), ((5,), ()), ((), (5,)), ((4, 1), (5,))])
def test_matvec_and_vecmat(batch: Any):
    first, second = batch
    check(lambda x, y: np.matvec(x, y), arrays([(*first, 2, 3), (*second, 3)], "c16"))
    check(lambda x, y: np.vecmat(x, y), arrays([(*first, 2), (*second, 2, 3)], "c16"))


@pytest.mark.parametrize(
    ("shapes", "options"),
    [
        ([(3,), (3,)], {}), ([(5, 3), (3,)], {}), ([(3, 5), (5, 3)], {"axisa": 0, "axisc": 0}),
        ([(2, 3, 4), (2, 3, 4)], {"axis": 1}),
    ],
)  # fmt: skip
def test_cross(shapes: Shapes, options: Any):
    check(lambda x, y: np.cross(x, y, **options), arrays(shapes))


@pytest.mark.parametrize(("m", "n"), [(2, 2), (2, 3), (3, 2)])
def test_cross_of_flat_vectors(m: int, n: int):
    x, y = array(4, m), array(4, n)
    padded = [np.concatenate([v, np.zeros((4, 3 - v.shape[1]))], 1) for v in (x, y)]
    wanted = np.cross(*padded)
    assert_close(ft.jit(np.cross)(x, y), wanted[:, 2] if m == n == 2 else wanted)


@pytest.mark.parametrize("mode", ["full", "same", "valid"])
@pytest.mark.parametrize("shapes", [[(3,), (4,)], [(1,), (3,)], [(5,), (2,)], [(4,), (4,)], [(7,), (3,)]])
def test_convolve_and_correlate(shapes: Shapes, mode: str):
    check(lambda x, y: np.convolve(x, y, mode), arrays(shapes, "c16"))
    check(lambda x, y: np.correlate(x, y, mode), arrays(shapes, "c16"))
    x, y = arrays(shapes, "i4")
    assert_same_type(ft.jit(lambda x, y: np.correlate(x, y, mode))(x, y), np.correlate(x, y, mode))


def test_polyval():
    for shapes in ([(3,), ()], [(4,), (2, 3)], [(1,), (3,)]):
        check(np.polyval, arrays(shapes))
    x = array(3, dtype="f4")
    for p in ([1, 2], np.zeros(0), array(3, 1), array(2, 3)):
        assert_same_type(ft.jit(lambda x, p=p: np.polyval(p, x))(x), np.polyval(p, x))
        np.testing.assert_allclose(ft.jit(np.polyval)(np.asarray(p), x), np.polyval(p, x))


# ---- einsum

EINSUMS = [
    ("ij,jk", [(2, 3), (3, 4)]), ("ij,jk->ki", [(2, 3), (3, 4)]), ("ij->ji", [(2, 3)]), ("ba", [(2, 3)]),
    ("ii", [(3, 3)]), ("ii->i", [(3, 3)]), ("iij->j", [(3, 3, 2)]), ("ijij->ji", [(2, 3, 2, 3)]),
    ("iii->i", [(3, 3, 3)]), ("ij,jj->i", [(2, 3), (3, 3)]), ("i,i", [(3,), (3,)]), ("i,j", [(3,), (2,)]),
    ("i,i->i", [(3,), (3,)]), ("ij,ij->j", [(2, 3), (2, 3)]), ("ij,kj->", [(2, 3), (4, 3)]),
    ("bij,bjk->ikb", [(5, 2, 3), (5, 3, 4)]), ("bqhd,bkhd->bhqk", [(2, 3, 2, 4), (2, 5, 2, 4)]),
    ("...ij,...jk", [(5, 2, 3), (3, 4)]), ("...ij,...jk->...ik", [(4, 1, 2, 3), (5, 3, 2)]),
    ("i...->...i", [(2, 3, 4)]), ("...,...", [(2, 1, 3), (5, 3)]), ("i...j,...->...j", [(4, 2, 3), (2,)]),
    ("ij,jk", [(2, 1), (3, 4)]), ("ij,ij->", [(1, 3), (2, 1)]), ("ij,kj,kl->il", [(1, 3), (2, 3), (2, 4)]),
    ("i,ij,j", [(2,), (2, 3), (3,)]), ("ij,jk,kl,lm->mi", [(2, 3), (3, 4), (4, 2), (2, 5)]),
    ("a,b,c->abc", [(2,), (3,), (4,)]), (",ij", [(), (2, 3)]), (" i j , j k -> i k ", [(2, 3), (3, 4)]),
    ("Ab,bA", [(2, 3), (3, 2)]), ("ij,jk->ik", [(2, 0), (0, 4)]), ("ij,jk->ik", [(0, 3), (3, 4)]),
]  # fmt: skip


@pytest.mark.parametrize(("notation", "shapes"), EINSUMS)
def test_einsum(notation: str, shapes: Shapes):
    check(lambda *xs: np.einsum(notation, *xs), arrays(shapes))
    for dtype in ("c8", "i2"):
        xs = arrays(shapes, dtype)
        found, wanted = ft.jit(lambda *xs: np.einsum(notation, *xs))(*xs), np.einsum(notation, *xs)
        assert_same_type(found, wanted)
        assert_close(found, wanted)


def test_einsum_with_lists_of_axes():
    x, y = array(2, 3), array(3, 4)
    check(lambda x, y: np.einsum(x, [0, 1], y, [1, 2], [2, 0]), [x, y])
    check(lambda x, y: np.einsum(x, [0, 1], y, [1, 30]), [x, y])
    check(lambda x, y: np.einsum(x, [..., 1], y, [1, 2], [..., 2]), [x, y])


@pytest.mark.parametrize("optimize", [False, True, "greedy", "optimal", ("greedy", 100)])
def test_einsum_paths(optimize: Any):
    xs = arrays([(2, 3), (3, 4), (4, 2)])
    wanted = np.einsum("ij,jk,kl", *xs)
    assert_close(ft.jit(lambda *xs: np.einsum("ij,jk,kl", *xs, optimize=optimize))(*xs), wanted)


def test_a_path_that_is_given_is_taken():
    xs = arrays([(2, 3), (3, 4), (4, 2)])

    def shapes_on_the_way(path: Any) -> list[Any]:
        jaxpr = ft.make_jaxpr(lambda *xs: np.einsum("ij,jk,kl", *xs, optimize=["einsum_path", *path]))(*xs)
        return [eqn.outputs[0].aval.shape for eqn in jaxpr.eqns if eqn.primitive.name == "dot_general"]

    assert shapes_on_the_way([(0, 1), (0, 1)]) == [(2, 4), (2, 2)]
    assert shapes_on_the_way([(1, 2), (0, 1)]) == [(3, 2), (2, 2)]


def test_einsum_path_of_traced_arrays():
    xs = arrays([(2, 3), (3, 4), (4, 2)])
    wanted = np.einsum_path("ij,jk,kl", *xs)
    found = []
    ft.jit(lambda *xs: [found.append(np.einsum_path("ij,jk,kl", *xs)), xs[0]][1])(*xs)
    assert found == [wanted]


def test_einsum_options():
    x = array(2, 3, dtype="f4")
    assert ft.jit(lambda x: np.einsum("ij->i", x, dtype="f8"))(x).dtype == np.float64

    def stored(x: Any) -> Any:
        out = np.zeros(2, like=x)
        np.einsum("ij->i", x, out=out)
        np.dot(x, x[0], out=out[:])
        return out

    assert_close(ft.jit(stored)(array(2, 3)).shape, (2,))
    with pytest.raises(DtypeMismatchError, match="float64 to int32"):
        ft.jit(lambda x: np.einsum("ij->i", x, dtype="i4"))(array(2, 3))
    with pytest.raises(TracerConversionError):
        ft.jit(lambda x: np.einsum("ij->i", x, out=np.zeros(2)))(x)


def test_a_diagonal_is_a_view_that_cannot_be_written_through():
    def f(x: Any) -> Any:
        x = x.copy()
        np.einsum("ii->i", x)[:] = 1.0
        return x

    with pytest.raises(ViewAssignmentError):
        ft.jit(f)(array(3, 3))


@pytest.mark.parametrize(
    ("notation", "shapes", "message"),
    [
        ("...i->i", [(2, 3)], "missing from the result"),
        ("ij->ik", [(2, 3)], "'k' of the result never appears"),
        ("ij->ii", [(2, 3)], "more than once"),
        ("ij,jk", [(2, 3)], r"name 2 operand\(s\), but there are 1"),
        ("ijk", [(2, 3)], "names 3 axes, but the operand has 2"),
        ("i", [(2, 3)], "names 1 axes, but the operand has 2"),
        ("i$", [(2, 3)], r"'\$' is no letter"),
        ("i...j...", [(2, 3)], "nor part of an ellipsis"),
    ],
)
def test_mistakes_in_the_notation(notation: str, shapes: Shapes, message: str):
    with pytest.raises(EinsumNotationError, match=message) as caught:
        ft.jit(lambda *xs: np.einsum(notation, *xs))(*arrays(shapes))
    with pytest.raises(ValueError):
        np.einsum(notation, *arrays(shapes))
    assert isinstance(caught.value, ValueError)


# ---- mistakes in shapes


@pytest.mark.parametrize(
    ("function", "shapes", "message"),
    [
        (np.dot, [(2, 3), (2, 3)], r"3 \(dim 1\) != 2 \(dim 0\)"),
        (np.matmul, [(2, 3), (4,)], r"3 \(dim 1\) != 4 \(dim 0\)"),
        (np.matmul, [(2, 3), ()], "at least one axis"),
        (np.matmul, [(4, 2, 3), (5, 3, 2)], "cannot be broadcast together"),
        (np.matmul, [(4, 2, 3), (4, 2, 3)], r"3 \(dim 2\) != 2 \(dim 1\)"),
        (np.inner, [(2, 3), (2,)], "not aligned"),
        (np.vecdot, [(2, 3), (2,)], "not aligned"),
        (np.cross, [(4,), (4,)], "4 components"),
        (np.convolve, [(2, 2), (2,)], "must be vectors"),
        (np.convolve, [(0,), (2,)], "not empty"),
        (lambda x, y: np.tensordot(x, y, 3), [(2, 3), (3, 2)], "cannot sum over 3 axes"),
        (lambda x, y: np.tensordot(x, y, ((0, 1), (0,))), [(2, 3), (2, 2)], "2 axes of one array and 1"),
        (lambda x, y: np.einsum("ij,jk", x, y), [(2, 3), (2, 3)], "'j' have different extents, 3 and 2"),
        (lambda x, y: np.einsum("ii,j", x, y), [(1, 3), (2,)], "'i' have different extents"),
        (lambda x, y: np.einsum("...,...", x, y), [(2, 3), (2,)], "do not broadcast"),
    ],
)
def test_shapes_that_do_not_fit(function: Callable[..., Any], shapes: Shapes, message: str):
    with pytest.raises(ShapeMismatchError, match=message):
        ft.jit(function)(*arrays(shapes))
    with pytest.raises((ValueError, IndexError)):
        function(*arrays(shapes))


def test_options_without_a_meaning():
    with pytest.raises(UnsupportedArgumentError, match="axes"):
        ft.jit(lambda x: np.matmul(x, x, axes=[(0, 1), (0, 1), (0, 1)]))(array(2, 2))
    with pytest.raises(ValueError, match="mode"):
        ft.jit(lambda x: np.convolve(x, x, "most"))(array(3))


# ---- all names are NumPy's own


@pytest.mark.parametrize("name", ["dot", "matmul", "vecdot", "einsum", "tensordot", "kron", "cross", "convolve"])
def test_concrete_calls_cost_nothing(name: str):
    assert getattr(fnp, name) is getattr(np, name)


def test_second_derivatives():
    a, x = array(3, 3), array(3)
    np.testing.assert_allclose(ft.hessian(lambda x: x @ a @ x)(x), a + a.T)
    np.testing.assert_allclose(ft.hessian(lambda x: np.einsum("i,ij,j", x, a, x))(x), a + a.T)
    np.testing.assert_allclose(ft.hessian(lambda x: np.convolve(x, x)[2])(x), np.eye(3)[::-1] * 2)
    ft.testing.check_grads(lambda a, x: np.sum(np.tanh(a @ x) ** 2), (a, x), order=2)


def test_an_inner_product_under_vmap_is_one_contraction():
    x = array(5, 3)
    jaxpr = ft.make_jaxpr(ft.vmap(np.dot))(x, x)
    assert [eqn.primitive.name for eqn in jaxpr.eqns] == ["dot_general"]
    one_mapped = ft.make_jaxpr(ft.vmap(lambda a, x: a @ x, in_axes=(None, 0)))(array(4, 3), x)
    assert [eqn.primitive.name for eqn in one_mapped.eqns] == ["dot_general"]
