"""Jacobians, Hessians and Hessian-vector products."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import functrans as ft

X = np.array([0.5, -1.0, 2.0])
A = np.arange(6.0).reshape(2, 3)
each_jacobian = pytest.mark.parametrize("jacobian", [ft.jacfwd, ft.jacrev, ft.jacobian])


@each_jacobian
def test_of_a_linear_map(jacobian: Any):
    np.testing.assert_array_equal(jacobian(lambda x: A @ x)(X), A)
    np.testing.assert_array_equal(ft.jit(jacobian(lambda x: A @ x))(X), A)
    np.testing.assert_array_equal(ft.vmap(jacobian(lambda x: A @ x))(np.stack([X, X])), [A, A])


@each_jacobian
def test_shapes_are_output_then_input(jacobian: Any):
    w = np.arange(4.0).reshape(2, 2)
    f = lambda w: w[:, :, None] * A[0]  # noqa: E731
    found = jacobian(f)(w)
    assert found.shape == (2, 2, 3, 2, 2)
    np.testing.assert_array_equal(np.einsum("abcde,de->abc", found, w), f(w))
    assert jacobian(lambda x: np.sum(x))(w).shape == (2, 2)
    assert jacobian(lambda x: x * w)(2.0).shape == (2, 2)
    assert jacobian(lambda x: x**2)(3.0) == 6.0


@each_jacobian
def test_trees_in_trees(jacobian: Any):
    f = lambda p: {"sum": np.sum(p["a"]) * p["b"], "both": (p["a"] * p["b"], p["b"] ** 2)}  # noqa: E731
    found = jacobian(f)({"a": X, "b": np.float64(3)})
    np.testing.assert_allclose(found["sum"]["a"], np.full(3, 3.0))
    np.testing.assert_allclose(found["sum"]["b"], X.sum())
    np.testing.assert_allclose(found["both"][0]["a"], 3 * np.eye(3))
    np.testing.assert_allclose(found["both"][0]["b"], X)
    np.testing.assert_allclose(found["both"][1]["a"], np.zeros(3))
    np.testing.assert_allclose(found["both"][1]["b"], 6.0)


@each_jacobian
def test_argnums(jacobian: Any):
    f = lambda x, y: x * y  # noqa: E731
    by_x, by_y = jacobian(f, (0, 1))(X, 2 * X)
    np.testing.assert_array_equal(by_x, np.diag(2 * X))
    np.testing.assert_array_equal(by_y, np.diag(X))
    np.testing.assert_array_equal(jacobian(f, 1)(X, 2 * X), np.diag(X))
    np.testing.assert_array_equal(jacobian(f, -1)(X, 2 * X), np.diag(X))


@each_jacobian
def test_aux(jacobian: Any):
    found, aux = jacobian(lambda x: (x**2, {"x": x, "n": 2}), has_aux=True)(X)
    np.testing.assert_array_equal(found, np.diag(2 * X))
    np.testing.assert_array_equal(aux["x"], X)
    assert aux["n"] == 2


@each_jacobian
def test_nothing_in_nothing_out(jacobian: Any):
    assert jacobian(lambda x: x * 2)(np.zeros(0)).shape == (0, 0)
    assert jacobian(lambda x: x[:0])(X).shape == (0, 3)
    assert jacobian(lambda x: np.sum(x) * X)(np.zeros(0)).shape == (3, 0)


@each_jacobian
def test_low_precision(jacobian: Any):
    assert jacobian(lambda x: np.sin(x))(X.astype("f4")).dtype == np.float32


def test_jacrev_by_complex_numbers():
    """Of real outputs: each row is a gradient, in JAX's convention."""
    z = np.array([1.0 + 2.0j, 3.0 - 1.0j])
    np.testing.assert_allclose(ft.jacrev(lambda z: np.abs(z) ** 2)(z), np.diag(2 * np.conj(z)))


# ---- second derivatives


def primitives_of(function: Any, x: Any) -> list[str]:
    """Those that a function binds, but for those that only move elements."""
    return [e.primitive.name for e in ft.make_jaxpr(function)(x).eqns if e.primitive.name != "reshape"]


def test_no_lanes_are_needed_for_one_number():
    loss = lambda w: np.sum(np.tanh(A.T @ w) ** 2)  # noqa: E731
    curve = lambda t: np.sin(t * X) + np.outer(X, X)  # noqa: E731
    w = np.ones((2, 4))
    assert primitives_of(ft.jacrev(loss), w) == primitives_of(ft.grad(loss), w)
    assert primitives_of(ft.jacfwd(curve), 0.3) == primitives_of(lambda t: ft.jvp(curve, (t,), (1.0,))[1], 0.3)
    np.testing.assert_array_equal(ft.jacrev(loss)(w), ft.grad(loss)(w))
    for jacobian in (ft.jacfwd, ft.jacrev):
        for x in (0.5, np.float64(0.5), np.full((1, 1), 0.5)):  # of something that does not depend on it, too
            of_both = jacobian(lambda x: (np.sin(x), np.float64(3)))(x)
            shape = np.shape(x)
            for found, want, own in zip(of_both, (np.cos(0.5), 0), (2 * shape, shape)):
                assert type(found) is (np.ndarray if own else np.float64)
                np.testing.assert_array_equal(found, np.full(own, want))


def test_blocks_are_for_the_line_that_asks_for_the_jacobian():
    def function(p: Any) -> Any:
        blocks = ft.jacfwd(ft.jacrev(lambda p: np.sum(p["a"]) * p["b"]))(p)
        return np.exp(blocks["a"]["b"])

    eqns = ft.make_jaxpr(function)({"a": X, "b": np.ones(2)}).eqns
    first = function.__code__.co_firstlineno
    lines = [(eqn.primitive.name, eqn.source.line - first) for eqn in eqns if eqn.source is not None]
    assert len(lines) == len(eqns)
    assert lines[-1] == ("exp", 2)
    assert {line for _, line in lines[:-1]} == {1}


def test_hessian_of_a_quadratic_form():
    matrix = np.array([[2.0, 1.0, 0.0], [0.0, 3.0, -1.0], [1.0, 0.0, 1.0]])
    f = lambda x: x @ matrix @ x  # noqa: E731
    np.testing.assert_allclose(ft.hessian(f)(X), matrix + matrix.T)
    np.testing.assert_allclose(ft.jacrev(ft.jacfwd(f))(X), matrix + matrix.T)
    np.testing.assert_allclose(ft.jit(ft.hessian(f))(X), matrix + matrix.T)


def test_hessian_of_trees():
    f = lambda p: np.sum(p["a"] ** 2) * p["b"]  # noqa: E731
    found = ft.hessian(f)({"a": X, "b": 3.0})
    np.testing.assert_allclose(found["a"]["a"], 6 * np.eye(3))
    np.testing.assert_allclose(found["a"]["b"], 2 * X)
    np.testing.assert_allclose(found["b"]["a"], 2 * X)
    np.testing.assert_allclose(found["b"]["b"], 0.0)


def test_hessian_of_several_arguments():
    found = ft.hessian(lambda x, y: np.sum(x) * y**2, (0, 1))(X, 2.0)
    np.testing.assert_allclose(found[0][1], np.full(3, 4.0))
    np.testing.assert_allclose(found[1][1], 2 * X.sum())


def test_hessian_of_vectors():
    np.testing.assert_allclose(ft.hessian(lambda x: x**3)(X), np.einsum("i,ij,ik->ijk", 6 * X, np.eye(3), np.eye(3)))


def test_hvp():
    f = lambda p: np.sum(np.sin(p["x"]) * p["y"])  # noqa: E731
    p, v = {"x": X, "y": 2 * X}, {"x": np.ones(3), "y": X}
    found = ft.hvp(f, p, v)
    np.testing.assert_allclose(found["x"], -np.sin(X) * 2 * X + np.cos(X) * X)
    np.testing.assert_allclose(found["y"], np.cos(X))
    np.testing.assert_allclose(ft.hvp(lambda x: np.sum(x**3), X, X), 6 * X * X)


def test_hvp_is_cheap():
    """No Hessian is formed: a million variables are no trouble."""
    x = np.linspace(0, 1, 10**6)
    np.testing.assert_allclose(ft.hvp(lambda x: np.sum(x**4) + np.sum(x) ** 2, x, x), 12 * x**3 + 2 * x.sum())


def test_a_single_vector_is_not_batched():
    x = np.array([1.0, 2.0, 3.0])
    jaxpr = ft.make_jaxpr(ft.jacrev(lambda x: np.sum(np.sin(x))))(x)
    made = [v.aval.shape for eqn in jaxpr.eqns if eqn.primitive.name != "reshape" for v in eqn.outputs]
    assert set(made) == {(), (3,)}
    np.testing.assert_array_equal(ft.jacfwd(lambda t: t * x)(2.0), x)


def test_third_derivatives():
    found = ft.jacfwd(ft.hessian(lambda x: np.sum(x**4)))(X)
    wanted = np.zeros((3, 3, 3))
    wanted[np.arange(3), np.arange(3), np.arange(3)] = 24 * X
    np.testing.assert_allclose(found, wanted)
