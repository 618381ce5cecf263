"""Lanes of a batched loop or branch do not see what other lanes do, nor what they would do if they ran on."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import functrans as ft
from functrans import lax
from functrans.errors import MappedAxisError
from tests.helpers.interruptions import interrupted

TABLE = np.array([1.0, 2.0, 4.0, 8.0])


def sum_of_first(n: Any, x: Any) -> Any:
    """Reads x[0], ..., x[n-1]; one step more would read past the end."""
    return lax.while_loop(
        lambda c: c[0] < n, lambda c: (c[0] + 1, c[1] + ft.numpy.take(x, c[0])), (np.int64(0), 0.0)
    )[1]


def test_finished_lanes_do_not_read_past_the_end() -> None:
    ns = np.array([4, 0, 2])
    found = ft.vmap(sum_of_first, (0, None))(ns, TABLE)
    np.testing.assert_array_equal(found, [15.0, 0.0, 3.0])
    by_lane = ft.vmap(ft.grad(sum_of_first, 1), (0, None))(ns, TABLE)
    np.testing.assert_array_equal(by_lane, [[1, 1, 1, 1], [0, 0, 0, 0], [1, 1, 0, 0]])


def reciprocal_chain(x: Any) -> Any:
    """Stops at zero, where a step more would divide by it."""
    return lax.while_loop(lambda c: c[0] > 0, lambda c: (c[0] - 1.0, c[1] + np.log(c[0]) / c[0]), (x, 0.0 * x))[1]


def test_no_nan_from_lanes_that_have_stopped() -> None:
    xs = np.array([1.0, 3.0, 0.0, -2.0])
    with np.errstate(all="raise"):
        found = ft.vmap(reciprocal_chain)(xs)
        slopes = ft.vmap(ft.grad(reciprocal_chain))(xs)
        curves = ft.vmap(ft.grad(ft.grad(reciprocal_chain)))(xs)
    np.testing.assert_allclose(found, [reciprocal_chain(x) for x in xs])
    np.testing.assert_allclose(slopes, [ft.grad(reciprocal_chain)(x) for x in xs])
    np.testing.assert_allclose(curves, [ft.grad(ft.grad(reciprocal_chain))(x) for x in xs])


def test_a_lane_that_never_starts_leaves_others_alone() -> None:
    def halve(x: Any) -> Any:
        return lax.while_loop(lambda x: np.abs(x) > 1, lambda x: x / 2 + 1 / (x - 0.5) * 0, x)

    xs = np.array([0.5, 8.0, np.nan, 0.25])  # the body divides by zero at 0.5
    np.testing.assert_array_equal(ft.vmap(halve)(xs), [0.5, 1.0, np.nan, 0.25])


def test_a_branch_that_no_lane_takes_does_not_run() -> None:
    def checked(x: Any) -> Any:
        return lax.cond(x > 0, lambda x: ft.numpy.take(TABLE, x.astype(int)), lambda x: x, x)

    # Index 9 is out of bounds; the branch runs for no lane, or for the lanes in bounds only.
    np.testing.assert_array_equal(ft.vmap(checked)(np.array([-1.0, -9.0])), [-1.0, -9.0])
    np.testing.assert_array_equal(ft.vmap(checked)(np.array([-9.0, 2.0, 3.0])), [-9.0, 4.0, 8.0])
    with pytest.raises(IndexError):
        ft.vmap(checked)(np.array([-9.0, 2.0, 9.0]))


def test_a_branch_is_safe_from_the_lanes_that_do_not_take_it() -> None:
    def root(x: Any) -> Any:
        return lax.cond(x > 0, np.sqrt, lambda x: -np.sqrt(-x), x)

    xs = np.array([4.0, -9.0, 0.25])
    with np.errstate(all="raise"):
        np.testing.assert_array_equal(ft.vmap(root)(xs), [2.0, -3.0, 0.5])
        np.testing.assert_allclose(ft.vmap(ft.grad(root))(xs), [0.25, 1 / 6, 1.0])


def test_lanes_with_a_common_condition_share_it() -> None:
    def loop(n: Any, x: Any) -> Any:
        return lax.while_loop(lambda c: c[0] < n, lambda c: (c[0] + 1, c[1] * x), (0, 1.0))[1]

    jaxpr = ft.make_jaxpr(ft.vmap(loop, (None, 0)))(3, np.array([1.0, 2.0]))
    (eqn,) = [eqn for eqn in jaxpr.eqns if eqn.primitive.name == "while_loop"]
    assert len(eqn.params["cond"].eqns) == 1  # a comparison, and no reduction over lanes
    np.testing.assert_array_equal(ft.vmap(loop, (None, 0))(3, np.array([1.0, 2.0])), [1.0, 8.0])


def test_named_axes_in_loops() -> None:
    def step(c: Any, x: Any) -> Any:
        return c + lax.psum(x, "lanes"), lax.axis_index("lanes")

    xs = np.arange(6.0).reshape(2, 3)
    found, indices = ft.vmap(lambda x: lax.scan(step, 0.0, x), axis_name="lanes")(xs)
    np.testing.assert_array_equal(found, [15.0, 15.0])
    np.testing.assert_array_equal(indices, [[0, 0, 0], [1, 1, 1]])


def test_an_endless_loop_can_be_interrupted() -> None:
    endless = ft.vmap(lambda x: lax.while_loop(lambda x: x < 1, lambda x: x * 0.5, x))
    interrupted(lambda: endless(np.array([0.5, 2.0])))
    np.testing.assert_array_equal(ft.vmap(np.sin)(np.zeros(2)), np.zeros(2))  # nothing is left behind


def test_lanes_cannot_meet_where_only_some_of_them_are() -> None:
    xs = np.array([1.0, -2.0, 3.0])

    def in_branch(x: Any) -> Any:
        return lax.cond(x > 0, lambda: x / lax.psum(x, "i"), lambda: x)

    def in_loop(x: Any) -> Any:
        return lax.while_loop(lambda x: x < 5, lambda x: x + 1 + 0 * lax.psum(x, "i"), x)

    for function in (in_branch, in_loop):
        with pytest.raises(MappedAxisError, match="not all of them are there"):
            ft.vmap(function, axis_name="i")(xs)
    common = ft.vmap(lambda x: lax.fori_loop(0, 2, lambda _, y: y + lax.psum(y, "i"), x), axis_name="i")
    np.testing.assert_array_equal(common(xs), xs + 2 + (2 + 6))
