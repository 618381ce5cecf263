"""vmap: axes in and out, pytrees, sizes, nesting."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

import functrans as ft

A = np.arange(24.0).reshape(2, 3, 4)


@pytest.mark.parametrize(("into", "out"), list(itertools.product([0, 1, 2, -1, -3], [0, 1, 2, -1, -3])))
def test_positions_of_the_mapped_axis(into: int, out: int):
    f = lambda x: np.sin(x) * x.shape[0] + np.arange(x.shape[1])  # noqa: E731
    found = ft.vmap(f, in_axes=into, out_axes=out)(A)
    lanes = np.moveaxis(A, into, 0)
    np.testing.assert_array_equal(found, np.moveaxis(np.stack([f(x) for x in lanes]), 0, out))


def test_some_arguments_mapped():
    x, y = np.arange(3.0), np.arange(4.0)
    for axes in ((0, None), [0, None]):
        np.testing.assert_array_equal(ft.vmap(np.multiply, in_axes=axes)(x, y), np.outer(x, y))
    np.testing.assert_array_equal(ft.vmap(np.multiply, in_axes=(None, 0))(x, y), np.outer(y, x))
    np.testing.assert_array_equal(ft.vmap(np.multiply, in_axes=(None, 0), out_axes=1)(x, y), np.outer(x, y))
    np.testing.assert_array_equal(ft.vmap(np.multiply, (None, np.int64(0)), np.int32(1))(x, y), np.outer(x, y))


def test_trees_of_axes():
    p = {"a": A, "b": (np.arange(3.0), np.float64(5))}
    f = lambda p, n: {"y": p["a"] * n, "z": p["b"][0] + p["b"][1]}  # noqa: E731
    found = ft.vmap(f, in_axes=({"a": 1, "b": (0, None)}, None), out_axes={"y": -1, "z": 0})(p, 2.0)
    np.testing.assert_array_equal(found["y"], np.moveaxis(A, 1, -1) * 2)
    np.testing.assert_array_equal(found["z"], np.arange(3.0) + 5)
    found = ft.vmap(f, in_axes=({"a": 1, "b": (0, None)}, None), out_axes=0)(p, 2.0)
    np.testing.assert_array_equal(found["y"], np.moveaxis(A, 1, 0) * 2)


def test_prefixes():
    """One entry stands for a whole subtree."""
    p = {"a": A, "b": (A + 1, A + 2)}
    found = ft.vmap(lambda p: p["a"] + p["b"][0] - p["b"][1], in_axes=({"a": 0, "b": 0},))(p)
    np.testing.assert_array_equal(found, A - 1)


def test_keyword_arguments_are_mapped_over_their_first_axis():
    found = ft.vmap(lambda x, y: x * y)(np.arange(2.0), y=A)
    np.testing.assert_array_equal(found, np.arange(2.0)[:, None, None] * A)


def test_unmapped_arguments_may_be_anything():
    f = lambda x, name: x * len(name)  # noqa: E731
    np.testing.assert_array_equal(ft.vmap(f, in_axes=(0, None))(A, "abc"), 3 * A)


def test_results_that_do_not_depend_on_the_lane():
    mapped, constant, scalar = ft.vmap(lambda x: (x, np.ones(2), 7), out_axes=(0, 1, 0))(np.arange(3.0))
    np.testing.assert_array_equal(constant, np.ones((2, 3)))
    np.testing.assert_array_equal(scalar, [7, 7, 7])
    assert scalar.dtype == np.int64
    _, constant = ft.vmap(lambda x: (x, np.ones(2)), out_axes=(0, None))(np.arange(3.0))
    np.testing.assert_array_equal(constant, np.ones(2))


def test_axis_size():
    np.testing.assert_array_equal(ft.vmap(lambda: np.ones(2), axis_size=3)(), np.ones((3, 2)))
    np.testing.assert_array_equal(ft.vmap(lambda x: x, in_axes=None, axis_size=2)(5.0), [5.0, 5.0])
    np.testing.assert_array_equal(ft.vmap(np.sin, axis_size=2)(A), np.sin(A))


def test_no_lanes():
    assert ft.vmap(lambda x: (np.sum(x), x @ x.T))(np.zeros((0, 2, 3)))[1].shape == (0, 2, 2)
    assert ft.vmap(ft.grad(np.sum))(np.zeros((0, 3))).shape == (0, 3)


def test_none_is_an_empty_tree():
    assert ft.vmap(lambda x: None)(A) is None
    assert ft.vmap(lambda p: (p[0], None))((A, None))[1] is None


def test_nested():
    x, y = np.arange(3.0), np.arange(4.0)
    outer = ft.vmap(ft.vmap(lambda a, b: a * 10 + b, in_axes=(None, 0)), in_axes=(0, None))
    np.testing.assert_array_equal(outer(x, y), x[:, None] * 10 + y)
    np.testing.assert_array_equal(ft.vmap(ft.vmap(ft.vmap(np.sin)))(A), np.sin(A))
    np.testing.assert_array_equal(ft.vmap(ft.vmap(np.sum, in_axes=1), in_axes=2)(A), A.sum(0).T)


def test_per_example_gradients():
    w, xs = np.array([1.0, 2.0, 3.0]), np.arange(6.0).reshape(2, 3)
    loss = lambda w, x: np.tanh(w @ x) ** 2  # noqa: E731
    found = ft.vmap(ft.grad(loss), in_axes=(None, 0))(w, xs)
    np.testing.assert_allclose(found, np.stack([ft.grad(loss)(w, x) for x in xs]))
    np.testing.assert_allclose(ft.jit(ft.vmap(ft.grad(loss), in_axes=(None, 0)))(w, xs), found)


def test_gradient_of_a_batched_function():
    xs = np.arange(6.0).reshape(2, 3)
    found = ft.grad(lambda xs: np.sum(ft.vmap(lambda x: x[0] * x[1] ** 2)(xs)))(xs)
    wanted = np.stack([xs[:, 1] ** 2, 2 * xs[:, 0] * xs[:, 1], 0 * xs[:, 0]], axis=1)
    np.testing.assert_allclose(found, wanted)


def test_concrete_values_of_unmapped_arguments_steer_python():
    f = lambda x, n: x * 2 if n > 0 else x  # noqa: E731
    np.testing.assert_array_equal(ft.vmap(f, in_axes=(0, None))(A, 1), A * 2)


def test_lanes_do_not_mix_in_item_assignment():
    def f(x: Any, i: Any) -> Any:
        y = np.zeros_like(x)
        y[i] = x[0]
        y[-1] += 10
        return y

    xs, where = np.arange(6.0).reshape(2, 3) + 1, np.array([1, 2])
    np.testing.assert_array_equal(ft.vmap(f)(xs, where), [f(x, i) for x, i in zip(xs, where)])


def test_fresh_arrays_take_lanes_when_assigned():
    def f(x: Any) -> Any:
        out = ft.numpy.zeros(3)
        out[1] = x * 2
        return out

    np.testing.assert_array_equal(ft.vmap(f)(np.array([1.0, 2.0])), [[0, 2, 0], [0, 4, 0]])


def test_mixed_ranks_broadcast_within_lanes():
    """A scalar lane must not broadcast against the axis of lanes of another operand."""
    scalars, vectors = np.arange(3.0), np.arange(9.0).reshape(3, 3)
    np.testing.assert_array_equal(ft.vmap(np.add)(scalars, vectors), scalars[:, None] + vectors)
    np.testing.assert_array_equal(
        ft.vmap(lambda c, x, y: np.where(c, x, y))(scalars > 0, scalars, vectors),
        np.where((scalars > 0)[:, None], scalars[:, None], vectors),
    )


def test_lanes_are_divided_over_one_device():
    x = np.arange(6.0).reshape(2, 3)
    np.testing.assert_array_equal(ft.vmap(np.sum, spmd_axis_name="devices")(x), x.sum(1))
