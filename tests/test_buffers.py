"""What the user owns and what the library keeps are apart: buffers may be overwritten, results written to."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import functrans as ft

X = np.array([0.5, -1.0, 2.0])


def memory(x: Any) -> set[int]:
    """The addresses of the elements of an array."""
    x = np.asarray(x)
    start, strides = x.__array_interface__["data"][0], x.strides
    return {start + sum(i * s for i, s in zip(index, strides)) for index in np.ndindex(x.shape)}


def assert_apart(results: Any, others: Any = ()) -> None:
    """All result arrays are writable, and share memory neither with each other nor with the others."""
    arrays = [r for r in ft.tree.leaves(results) if isinstance(r, np.ndarray)]
    outside = [o for o in ft.tree.leaves(others) if isinstance(o, np.ndarray)]
    for i, r in enumerate(arrays):
        assert r.flags.writeable
        assert len(memory(r)) == r.size, "elements of one result share memory"
        for other in [*arrays[:i], *outside]:
            assert not np.shares_memory(r, other)


# ---- a buffer that changes while a function is traced


@pytest.mark.parametrize("wrap", [lambda f: f, ft.checkpoint, ft.jit], ids=["plain", "checkpoint", "jit"])
def test_a_buffer_reused_in_a_loop(wrap: Any):
    """Each step multiplies by what the buffer held then, in derivatives of all orders."""

    def f(x: Any) -> Any:
        buffer = np.empty(3)
        y = x * 0.0
        for i in range(1, 5):
            buffer[:] = i
            y = y + x**2 * buffer
        return np.sum(y)

    f = wrap(f)
    assert f(X) == np.sum(10 * X**2)
    np.testing.assert_allclose(ft.grad(f)(X), 20 * X)
    np.testing.assert_allclose(ft.hessian(f)(X), 20 * np.eye(3), atol=1e-12)
    np.testing.assert_allclose(ft.jvp(ft.grad(f), (X,), (X,))[1], 20 * X)
    np.testing.assert_allclose(ft.vmap(ft.grad(f))(np.stack([X, 2 * X])), [20 * X, 40 * X])
    np.testing.assert_allclose(ft.jit(ft.grad(f))(X), 20 * X)


def test_a_view_of_a_buffer_reused_in_a_loop():
    def f(x: Any) -> Any:
        buffer = np.zeros((2, 3))
        row, y = buffer[1], x * 0.0
        for i in range(1, 4):
            buffer[:] = i
            y = y + np.sin(x) * row
        return np.sum(y)

    np.testing.assert_allclose(ft.grad(f)(X), 6 * np.cos(X))
    np.testing.assert_allclose(ft.jit(ft.grad(f))(X), 6 * np.cos(X))


def test_an_index_buffer_reused_in_a_loop():
    def f(x: Any) -> Any:
        index, y = np.zeros(2, int), 0.0
        for i in range(2):
            index[:] = i, i + 1
            y = y + np.sum(x[index] ** 2 * (i + 1))
        return y

    wanted = np.array([2 * X[0], 2 * X[1] + 4 * X[1], 4 * X[2]])
    np.testing.assert_allclose(ft.grad(f)(X), wanted)
    np.testing.assert_allclose(ft.jit(ft.grad(f))(X), wanted)


# ---- a buffer that changes between forward and backward


def test_arguments_overwritten_before_the_pullback():
    w, x = X.copy(), X + 3
    kept = w.copy(), x.copy()
    value, pull_back = ft.vjp(lambda w, x: np.sum(np.sin(w) * x * w), w, x)
    w[:], x[:] = 100.0, np.nan
    by_w, by_x = pull_back(1.0)
    np.testing.assert_allclose(by_w, kept[1] * (np.sin(kept[0]) + kept[0] * np.cos(kept[0])))
    np.testing.assert_allclose(by_x, np.sin(kept[0]) * kept[0])
    assert value == np.sum(np.sin(kept[0]) * kept[1] * kept[0])


def test_captured_arrays_overwritten_before_the_pullback():
    table, x = X.copy(), X + 3
    _, pull_back = ft.vjp(lambda x: x * table, x)
    _, push_forward = ft.linearize(lambda x: x * table, x)
    table[:] = 100.0
    np.testing.assert_array_equal(pull_back(np.ones(3))[0], X)
    np.testing.assert_array_equal(push_forward(np.ones(3)), X)


def test_values_overwritten_before_the_pullback():
    """The value that vjp returns is the caller's, though exp keeps it as a residual."""
    value, pull_back = ft.vjp(np.exp, X)
    value[:] = 0.0
    np.testing.assert_array_equal(pull_back(np.ones(3))[0], np.exp(X))
    value, push_forward = ft.linearize(np.exp, X)
    value[:] = 0.0
    np.testing.assert_array_equal(push_forward(np.ones(3)), np.exp(X))


def test_pullbacks_may_be_called_again():
    _, pull_back = ft.vjp(lambda x: (x * 2, np.sin(x)), X)
    first = pull_back((np.ones(3), np.ones(3)))[0]
    wanted = first.copy()
    first[:] = 0.0
    np.testing.assert_array_equal(pull_back((np.ones(3), np.ones(3)))[0], wanted)
    ct = np.ones(3)
    (second,) = ft.vjp(lambda x: x, X)[1](ct)
    ct[:] = 5.0
    np.testing.assert_array_equal(second, np.ones(3))


def test_auxiliary_results_are_the_users():
    (_, aux), gradient = ft.value_and_grad(lambda x: (np.sum(x * x), x * 1.0), has_aux=True)(X)
    aux[:] = 0.0
    np.testing.assert_array_equal(gradient, 2 * X)


# ---- constants of jitted functions


def test_constants_are_taken_when_traced():
    table = X.copy()
    f = ft.jit(lambda x: x * table)
    np.testing.assert_array_equal(f(np.ones(3)), X)
    table[:] = 100.0
    np.testing.assert_array_equal(f(np.ones(3)), X)
    np.testing.assert_array_equal(ft.grad(lambda x: np.sum(f(x)))(np.ones(3)), X)


def test_returned_constants_do_not_change_the_program():
    table = X.copy()
    f = ft.jit(lambda x: (x + table, table))
    f(X)[1][:] = 100.0
    np.testing.assert_array_equal(f(X)[1], X)
    np.testing.assert_array_equal(table, X)


# ---- what is written to, or into, while another function is traced


#: Transformations of the identity, at an array.
IDENTITIES = {
    "vmap": lambda y: ft.vmap(lambda v: v)(y),
    "vmap of a constant": lambda y: ft.vmap(lambda v: y, out_axes=None)(y),
    "two results": lambda y: ft.vmap(lambda v: (v, v))(y)[1],
    "tangent": lambda y: ft.jvp(lambda v: v, (y * 2,), (y,))[1],
    "value of vjp": lambda y: ft.vjp(lambda v: v, y)[0],
    "cotangent": lambda y: ft.vjp(lambda v: v, y * 2)[1](y)[0],
    "value of linearize": lambda y: ft.linearize(lambda v: v, y)[0],
    "pushed forward": lambda y: ft.linearize(lambda v: v, y * 2)[1](y),
    "transposed": lambda y: ft.linear_transpose(lambda v: v, y)(y)[0],
    "value of jet": lambda y: ft.jet(lambda v: v, (y,), ([y],))[0],
    "coefficient": lambda y: ft.jet(lambda v: v, (y * 2,), ([y],))[1][0],
    "jit": lambda y: ft.jit(lambda v: v)(y),
    "checkpoint": lambda y: ft.checkpoint(lambda v: v)(y),
}
OUTER = [
    lambda f: f, ft.jit, lambda f: lambda x: ft.vmap(f)(x[None])[0], lambda f: lambda x: ft.jvp(f, (x,), (x,))[0],
]  # fmt: skip


@pytest.mark.parametrize("name", IDENTITIES)
@pytest.mark.parametrize("outer", OUTER, ids=["plain", "jit", "vmap", "jvp"])
def test_results_of_inner_transformations_are_apart(name: str, outer: Any):
    """Writing to the result leaves the operand alone, and the other way round, whether something is traced or not."""

    def after_writing(which: int) -> Any:
        def f(x: Any) -> Any:
            y = x * 1.0
            pair = y, IDENTITIES[name](y)
            pair[which][...] = 7.0
            return pair[1 - which] * 1.0

        return outer(f)(X)

    np.testing.assert_array_equal(after_writing(0), X)
    np.testing.assert_array_equal(after_writing(1), X)


# ---- results


FUNCTIONS = {
    "identity": lambda x, y: (x, y),
    "one thing twice": lambda x, y: (x, x),
    "both orders": lambda x, y: (y, x + y),
    "views": lambda x, y: (x[::-1], x[:2], np.reshape(y, (1, 3)), np.broadcast_to(x, (2, 3))),
    "constants": lambda x, y: (X, X[1:], x * 0 + y),
    "parts": lambda x, y: (np.split(x + y, 3), (x + y)[None]),
}
each_function = pytest.mark.parametrize("name", FUNCTIONS)


@each_function
def test_results_of_jit_are_apart(name: str):
    x, y = X.copy(), X + 1
    results = ft.jit(FUNCTIONS[name])(x, y)
    assert_apart(results, (x, y, X))
    for r, w in zip(ft.tree.leaves(results), ft.tree.leaves(FUNCTIONS[name](x, y)), strict=True):
        np.testing.assert_array_equal(r, w)


@each_function
def test_tangents_and_cotangents_are_apart(name: str):
    f, x, y = FUNCTIONS[name], X.copy(), X + 1
    values, tangents = ft.jvp(f, (x, y), (y, x))
    assert_apart(tangents, (x, y, X, values))
    values, pull_back = ft.vjp(f, x, y)
    cts = ft.tree.map(np.ones_like, values)
    assert_apart(pull_back(cts), (x, y, X, cts, values))
    value, push_forward = ft.linearize(f, x, y)
    assert_apart(push_forward(x, y), (x, y, X, value))
    transposed = ft.linear_transpose(lambda x, y: (x + y, y, x), x, y)
    assert_apart(transposed((x, y, x)), (x, y))


@each_function
@pytest.mark.parametrize("wrap", [lambda f: f, ft.jit, ft.checkpoint], ids=["plain", "jit", "checkpoint"])
def test_gradients_are_apart(name: str, wrap: Any):
    f, x, y = wrap(FUNCTIONS[name]), X.copy(), X + 1
    loss = lambda x, y: sum(np.sum(r) for r in ft.tree.leaves(f(x, y)))  # noqa: E731
    gradients = ft.grad(loss, (0, 1))(x, y)
    assert_apart(gradients, (x, y, X))
    assert_apart(ft.jit(ft.grad(loss, (0, 1)))(x, y), (x, y, X))


def test_gradients_of_sums_are_writable():
    """The cotangent of a sum is a broadcast scalar inside."""
    gradient = ft.grad(np.sum)(X)
    gradient[0] = 5.0
    np.testing.assert_array_equal(gradient, [5.0, 1.0, 1.0])


def test_gradients_by_two_arguments_that_are_one_array():
    x = X.copy()
    assert_apart(ft.grad(lambda a, b: np.sum(a + b), (0, 1))(x, x), (x,))


def test_results_of_vmap_are_writable():
    x = np.stack([X, X])
    for out_axes in (0, 1):
        mapped, unmapped = ft.vmap(lambda r: (r * 1.0, X), out_axes=out_axes)(x)
        assert_apart((mapped, unmapped), (x, X))
    assert_apart(ft.vmap(lambda r: r)(x), (x,))


def test_jacobians_are_writable():
    assert_apart([ft.jacfwd(lambda x: x)(X), ft.jacrev(lambda x: x)(X), ft.hessian(np.sum)(X)], (X,))


def test_jets_are_apart():
    x, v = X.copy(), X + 1
    assert_apart(ft.jet(lambda x: (x, x), (x,), ([v, v],)), (x, v))


def test_results_of_aux_are_not_copied_needlessly():
    """Large things may pass through aux; they keep their identity."""
    big = np.zeros(10)
    _, aux = ft.grad(lambda x: (np.sum(x), big), has_aux=True)(X)
    assert aux is big


def test_donated_arguments_give_the_same_results():
    f = ft.jit(lambda x, y: (x + y, x * 2), donate_argnums=0)
    results = f(X.copy(), X)
    np.testing.assert_array_equal(results[0], 2 * X)
    np.testing.assert_array_equal(results[1], 2 * X)
    assert_apart(results, (X,))
