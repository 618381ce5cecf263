"""What must hold for every program, whatever its operations and shapes: laws between transformations.

Programs, shapes and nestings are drawn by Hypothesis; `--slow` searches with other programs each time.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import functrans as ft
from functrans.core.jaxpr import Jaxpr, check_jaxpr, sub_jaxprs
from tests.helpers.oracles import assert_close, assert_same_type, difference_quotient, lane_loop, pairing
from tests.helpers.programs import Example, examples
from tests.helpers.shares import share
from tests.helpers.structured_programs import structured_programs, vectors

ALL_DTYPES = ("f8", "f8", "f4", "c16")


@pytest.fixture(autouse=True)
def quiet():
    with np.errstate(all="ignore"):
        yield


def jvp_of(f: Callable[..., Any]) -> Callable[..., Any]:
    """`(*primals, *tangents) -> tangent`."""

    def derivative(*both: Any) -> Any:
        half = len(both) // 2
        return ft.jvp(f, both[:half], both[half:])[1]

    return derivative


def vjp_of(f: Callable[..., Any]) -> Callable[..., Any]:
    """`(*primals, cotangent) -> cotangents`."""
    return lambda *args: ft.vjp(f, *args[:-1])[1](args[-1])


def loss_of(f: Callable[..., Any], weights: Any) -> Callable[..., Any]:
    """A real scalar function of the same arguments."""
    return lambda *xs: np.sum(np.sin(f(*xs)) * weights)


def same(found: Any, wanted: Any) -> None:
    """Types agree exactly, values up to rounding."""
    found, wanted = ft.tree.leaves(found), ft.tree.leaves(wanted)
    for f, w in zip(found, wanted, strict=True):
        assert_same_type(f, w)
        tolerance = 2e-3 if np.asarray(w).dtype.itemsize == 4 else 1e-8
        assert_close(f, w, tolerance if np.asarray(w).dtype.kind in "fc" else None)


@given(examples(smooth=True, dtypes=("f8", "f8", "c16")))
def test_jvp_is_a_difference_quotient(example: Example):
    found = ft.jvp(example.program, example.inputs, example.tangents)[1]
    (wanted,) = difference_quotient(lambda *xs: [example.program(*xs)], example.inputs, example.tangents)
    assert_close(found, wanted, 1e-5)


@given(examples(dtypes=ALL_DTYPES))
def test_jvp_is_vjp_transposed(example: Example):
    value, tangent = ft.jvp(example.program, example.inputs, example.tangents)
    same(value, example.program(*example.inputs))
    _, pull_back = ft.vjp(example.program, *example.inputs)
    cotangents = pull_back(example.cotangent)
    for ct, x in zip(cotangents, example.inputs, strict=True):
        assert_same_type(ct, x)
    forward, backward = pairing([example.cotangent], [tangent]), pairing(cotangents, example.tangents)
    terms = [np.abs(np.asarray(a, complex) * b).sum() for a, b in zip(cotangents, example.tangents)]
    size = max(np.abs(np.asarray(example.cotangent, complex) * tangent).sum(), *terms, 1.0)
    assert abs(forward - backward) <= (1e-3 if example.inputs[0].dtype == np.float32 else 1e-9) * size


@given(examples(dtypes=ALL_DTYPES), st.data())
def test_vmap_is_a_loop(example: Example, data: st.DataObject):
    count = len(example.inputs)
    mapped = data.draw(st.sampled_from([tuple(range(count)), (0,), (count - 1,)]))
    axes = [data.draw(st.integers(0, x.ndim)) if i in mapped else None for i, x in enumerate(example.inputs)]
    lanes = [np.stack([x, x * 0.5, -x]) if i in mapped else x for i, x in enumerate(example.inputs)]
    placed = [x if axis is None else np.moveaxis(x, 0, axis) for x, axis in zip(lanes, axes)]
    target = data.draw(st.integers(0, np.ndim(example.cotangent)))
    found = ft.vmap(example.program, in_axes=tuple(axes), out_axes=target)(*placed)
    (wanted,) = lane_loop(lambda *xs: [example.program(*xs)], lanes, mapped, 3)
    same(np.moveaxis(found, target, 0), wanted)


@given(examples(dtypes=ALL_DTYPES))
def test_jit_changes_nothing(example: Example):
    program, inputs = example.program, example.inputs
    same(ft.jit(program)(*inputs), program(*inputs))
    both = (*inputs, *example.tangents)
    same(ft.jit(jvp_of(program))(*both), jvp_of(program)(*both))
    same(jvp_of(ft.jit(program))(*both), jvp_of(program)(*both))
    back = (*inputs, example.cotangent)
    same(ft.jit(vjp_of(program))(*back), vjp_of(program)(*back))
    same(vjp_of(ft.jit(program))(*back), vjp_of(program)(*back))


@given(examples(smooth=True, max_steps=4))
def test_hessian_is_the_gradient_of_the_gradient(example: Example):
    loss = loss_of(example.program, example.cotangent)
    x = example.inputs[0]
    found = ft.hessian(loss)(*example.inputs)
    assert found.shape == x.shape * 2
    same(found, ft.jacrev(ft.grad(loss))(*example.inputs))
    same(found, ft.jacfwd(ft.jacfwd(loss))(*example.inputs))
    matrix = found.reshape(x.size, x.size)
    same(matrix, matrix.T)
    of_first = lambda x: loss(x, *example.inputs[1:])  # noqa: E731
    v = example.tangents[0]
    product = ft.hvp(of_first, x, v)
    same(product, (matrix @ v.ravel()).reshape(x.shape))
    same(ft.grad(lambda x: np.sum(ft.grad(of_first)(x) * v))(x), product)


@given(examples(smooth=True))
def test_jvp_of_grad_is_grad_of_jvp(example: Example):
    loss, places = loss_of(example.program, example.cotangent), tuple(range(len(example.inputs)))
    gradient = lambda *xs: ft.grad(loss, places)(*xs)  # noqa: E731
    found = ft.jvp(gradient, example.inputs, example.tangents)[1]
    wanted = ft.grad(lambda *xs: jvp_of(loss)(*xs, *example.tangents), places)(*example.inputs)
    same(found, wanted)


@given(examples(dtypes=ALL_DTYPES))
def test_linearize_is_jvp(example: Example):
    value, f_jvp = ft.linearize(example.program, *example.inputs)
    for tangents in (example.tangents, tuple(2 * t for t in example.tangents)):
        same((value, f_jvp(*tangents)), ft.jvp(example.program, example.inputs, tangents))


@given(examples(dtypes=("f8", "c16")))
def test_transposing_twice_changes_nothing(example: Example):
    _, f_jvp = ft.linearize(example.program, *example.inputs)
    transposed = ft.linear_transpose(f_jvp, *example.inputs)
    same(transposed(example.cotangent), vjp_of(example.program)(*example.inputs, example.cotangent))
    (back,) = ft.linear_transpose(lambda ct: transposed(ct), example.cotangent)(example.tangents)
    same(back, f_jvp(*example.tangents))


@given(examples(dtypes=ALL_DTYPES))
def test_linear_functions_are_pytrees(example: Example):
    program, inputs = example.program, example.inputs
    call = lambda f, *args: f(*args)  # noqa: E731
    for derive, args in (
        (lambda *xs: ft.vjp(program, *xs)[1], (example.cotangent,)),
        (lambda *xs: ft.linearize(program, *xs)[1], example.tangents),
    ):
        linear = derive(*inputs)
        wanted = linear(*args)
        leaves, treedef = ft.tree.flatten(linear)
        rebuilt = ft.tree.unflatten(treedef, leaves)
        assert ft.tree.structure(rebuilt) == treedef
        same(rebuilt(*args), wanted)
        same(ft.jit(call)(linear, *args), wanted)
        same(ft.jit(derive)(*inputs)(*args), wanted)
        of_lanes = ft.vmap(derive)(*(np.stack([x * 0.5, x]) for x in inputs))
        found = ft.vmap(call)(of_lanes, *(np.stack([ct, ct]) for ct in args))
        same(ft.tree.map(lambda y: y[1], found), wanted)


@given(examples(smooth=True, max_steps=4))
def test_jacobians_agree(example: Example):
    places = tuple(range(len(example.inputs)))
    forward = ft.jacfwd(example.program, places)(*example.inputs)
    same(forward, ft.jacrev(example.program, places)(*example.inputs))
    contracted = sum(np.tensordot(j, t, t.ndim) for j, t in zip(forward, example.tangents))
    same(np.asarray(contracted), np.asarray(jvp_of(example.program)(*example.inputs, *example.tangents)))


@given(examples(dtypes=("f8", "c16"), smooth=True, max_steps=4))
def test_jet_is_nested_jvp(example: Example):
    program, inputs, v = example.program, example.inputs, example.tangents
    series = tuple([t, np.zeros_like(t), np.zeros_like(t)] for t in v)
    value, found = ft.jet(program, inputs, series)
    same(value, program(*inputs))
    derivative: Callable[..., Any] = program
    for order in range(3):
        derivative = along(derivative, v)
        assert_close(found[order], derivative(*inputs), 1e-7)


def along(f: Callable[..., Any], v: tuple[Any, ...]) -> Callable[..., Any]:
    """The derivative in one direction, as a function of the point."""
    return lambda *xs: ft.jvp(f, xs, v)[1]


def check_everywhere(jaxpr: Jaxpr) -> None:
    """check_jaxpr here and in all inner jaxprs."""
    check_jaxpr(jaxpr)
    for eqn in jaxpr.eqns:
        for inner in sub_jaxprs(eqn):
            check_everywhere(inner)


@given(examples(dtypes=ALL_DTYPES))
def test_every_trace_is_well_typed(example: Example):
    program, inputs = example.program, example.inputs
    both, back = (*inputs, *example.tangents), (*inputs, example.cotangent)
    lanes = tuple(np.stack([x, x]) for x in inputs)
    for f, args in [
        (program, inputs), (jvp_of(program), both), (vjp_of(program), back), (ft.vmap(program), lanes),
        (jvp_of(ft.jit(program)), both), (vjp_of(ft.jit(program)), back), (vjp_of(ft.checkpoint(program)), back),
        (ft.vmap(ft.jit(program)), lanes),
    ]:  # fmt: skip
        jaxpr, shapes = ft.make_jaxpr(f, return_shape=True)(*args)
        check_everywhere(jaxpr)
        for shape, result in zip(ft.tree.leaves(shapes), ft.tree.leaves(f(*args)), strict=True):
            assert (shape.shape, shape.dtype) == (np.shape(result), np.asarray(result).dtype)


# ---- nestings: transformations that leave the value of a function alone, and so must leave its derivatives alone


def through_vmap(f: Callable[..., Any]) -> Callable[..., Any]:
    """The second of two lanes."""
    return lambda *xs: ft.vmap(f)(*(np.stack([x * 0.5, x]) for x in xs))[1]


def through_unmapped_vmap(f: Callable[..., Any]) -> Callable[..., Any]:
    """One of two lanes that are the same."""
    return lambda *xs: ft.vmap(lambda _: f(*xs))(np.zeros(2))[0]


def through_jvp(f: Callable[..., Any]) -> Callable[..., Any]:
    """The value that jvp returns."""
    return lambda *xs: ft.jvp(f, xs, tuple(np.ones_like(x) for x in xs))[0]


def through_linearize(f: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *xs: ft.linearize(f, *xs)[0]


def through_vjp(f: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *xs: ft.vjp(f, *xs)[0]


def through_custom_jvp(f: Callable[..., Any]) -> Callable[..., Any]:
    """A custom rule that says what is so anyway."""
    g = ft.custom_jvp(f)
    g.defjvp(lambda primals, tangents: ft.jvp(f, primals, tangents))
    return g


def through_custom_vjp(f: Callable[..., Any]) -> Callable[..., Any]:
    g = ft.custom_vjp(f)
    g.defvjp(lambda *xs: (f(*xs), xs), lambda xs, ct: ft.vjp(f, *xs)[1](ct))
    return g


def through_a_pull_back_that_is_kept(f: Callable[..., Any]) -> Callable[..., Any]:
    g = ft.custom_vjp(f)
    g.defvjp(lambda *xs: ft.vjp(f, *xs), lambda pull_back, ct: pull_back(ct))
    return g


WRAPPERS = [
    ft.jit, ft.checkpoint, through_vmap, through_unmapped_vmap, through_jvp, through_linearize, through_vjp,
    through_custom_jvp, through_custom_vjp, through_a_pull_back_that_is_kept,
]  # fmt: skip


@given(examples(smooth=True, max_steps=4), st.lists(st.sampled_from(WRAPPERS), min_size=1, max_size=4))
def test_nestings_leave_derivatives_alone(example: Example, wrappers: list[Any]):
    plain, inputs = example.program, example.inputs
    wrapped = reduce(lambda f, wrapper: wrapper(f), wrappers, plain)
    same(wrapped(*inputs), np.asarray(plain(*inputs)))
    both, back = (*inputs, *example.tangents), (*inputs, example.cotangent)
    same(jvp_of(wrapped)(*both), np.asarray(jvp_of(plain)(*both)))
    same(vjp_of(wrapped)(*back), vjp_of(plain)(*back))
    lanes = tuple(np.stack([x, x * 0.5]) for x in inputs)
    same(ft.vmap(wrapped)(*lanes), ft.vmap(plain)(*lanes))
    places = tuple(range(len(inputs)))
    gradient = ft.grad(loss_of(wrapped, example.cotangent), places)
    found = ft.jvp(gradient, inputs, example.tangents)[1]
    same(found, ft.jvp(ft.grad(loss_of(plain, example.cotangent), places), inputs, example.tangents)[1])


# ---- loops and branches, nested: functrans.lax does what Python does


def total(f: Callable[..., Any]) -> Callable[..., Any]:
    """A scalar function of one vector, the other held fixed."""
    return lambda x, p: np.sum(f(x, p) * np.array([1.0, -0.7]))


@given(structured_programs(), vectors(), vectors(), vectors())
@share(50)
def test_loops_and_branches_do_what_python_does(program: Any, x: Any, p: Any, v: Any):
    ours, plain = total(program.ours), total(program.plain)
    same(ours(x, p), plain(x, p))
    same(ft.jit(ours)(x, p), plain(x, p))
    wanted = ft.grad(plain, (0, 1))(x, p)
    same(ft.grad(ours, (0, 1))(x, p), wanted)
    same(ft.jit(ft.grad(ours, (0, 1)))(x, p), wanted)
    same(ft.grad(ft.jit(ours), (0, 1))(x, p), wanted)
    same(ft.jvp(ours, (x, p), (v, x))[1], np.asarray(np.dot(wanted[0], v) + np.dot(wanted[1], x)))


@given(structured_programs(), vectors(), vectors(), vectors())
@share(15)
def test_second_derivatives_of_loops_and_branches(program: Any, x: Any, p: Any, v: Any):
    ours, plain = total(program.ours), total(program.plain)
    wanted = ft.jvp(ft.grad(plain, (0, 1)), (x, p), (v, x))[1]
    same(ft.jvp(ft.grad(ours, (0, 1)), (x, p), (v, x))[1], wanted)
    same(ft.jit(lambda x, p: ft.jvp(ft.grad(ours, (0, 1)), (x, p), (v, x))[1])(x, p), wanted)
    of_gradient = lambda f: ft.grad(lambda x: np.sum(np.sin(ft.grad(f)(x, p))))  # noqa: E731
    same(of_gradient(ours)(x), of_gradient(plain)(x))


@given(structured_programs(), vectors(), vectors())
@share(8)
def test_lanes_of_loops_and_branches(program: Any, x: Any, p: Any):
    ours, plain = total(program.ours), total(program.plain)
    xs = np.stack([x, -x, p * 2])
    loop = lambda f: np.stack([f(row, p) for row in xs])  # noqa: E731
    same(ft.vmap(ours, (0, None))(xs, p), loop(plain))
    same(ft.vmap(ft.grad(ours), (0, None))(xs, p), loop(ft.grad(plain)))
    same(ft.jit(ft.vmap(ft.hessian(ours), (0, None)))(xs, p), loop(ft.hessian(plain)))
    summed = ft.grad(lambda p: np.sum(ft.vmap(ours, (0, None))(xs, p)))(p)
    same(summed, sum(ft.grad(plain, 1)(row, p) for row in xs))


@given(structured_programs(are_derived=True), vectors(), vectors())
@share(10)
def test_transformations_within_loops_and_branches(program: Any, x: Any, p: Any):
    ours, plain = total(program.ours), total(program.plain)
    wanted = plain(x, p)
    assume(np.abs(wanted) < 1e3)
    assert_close(ours(x, p), wanted, 1e-7)
    assert_close(ft.jit(ours)(x, p), wanted, 1e-7)


@given(structured_programs(), vectors(), vectors(), vectors())
@share(50)
def test_traces_of_loops_and_branches_are_well_typed(program: Any, x: Any, p: Any, v: Any):
    ours = total(program.ours)
    check_everywhere(ft.make_jaxpr(ours)(x, p))
    check_everywhere(ft.make_jaxpr(ft.grad(ours, (0, 1)))(x, p))
    check_everywhere(ft.make_jaxpr(ft.vmap(ft.grad(ours), (0, None)))(np.stack([x, -x]), p))
    check_everywhere(ft.make_jaxpr(lambda x: ft.jvp(ft.grad(lambda x: ours(x, p)), (x,), (v,)))(x))


@pytest.mark.parametrize("power", [1, 2, 3, 5])
def test_the_series_of_a_whole_power(power: int):
    """It is that of a polynomial; the exponent is a constant to the rule, which has no other cases to think of then."""
    given = np.array([0.0, 2.0, -1.0, 0.5, 3.0])  # coefficients of t, at a point where x**-1 would be infinite
    factorials = np.array([1.0, 1.0, 2.0, 6.0, 24.0])
    wanted = (np.polynomial.Polynomial(given) ** power).coef[:5] * factorials

    def series(x: Any, terms: Any) -> Any:
        return ft.jet(lambda x: x**power, (x,), (list(terms),))

    x, terms = given[0], given[1:] * factorials[1:]
    value, found = series(x, terms)
    np.testing.assert_allclose([value, *found], np.pad(wanted, (0, 5 - len(wanted))), rtol=1e-14)
    primitives = {eqn.primitive.name for eqn in ft.make_jaxpr(series)(x, terms).eqns}
    assert "select" not in primitives
