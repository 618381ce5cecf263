"""Collectives across the lanes of a named vmap, in every transformation."""

import numpy as np
import pytest

import functrans as ft
from functrans import lax

X = np.array([0.5, -1.0, 2.0, 0.25])


@pytest.mark.parametrize("wrap", [lambda f: f, ft.jit, lambda f: ft.jit(ft.jit(f))], ids=["eager", "jit", "jit of jit"])
def test_reductions_over_lanes(wrap):
    def mapped(f):
        return ft.vmap(wrap(f), axis_name="lanes")(X)

    np.testing.assert_allclose(mapped(lambda x: x - lax.psum(x, "lanes")), X - X.sum())
    np.testing.assert_allclose(mapped(lambda x: x * lax.pmean(x * x, "lanes")), X * np.mean(X * X))
    np.testing.assert_allclose(mapped(lambda x: x + lax.pmax(x, "lanes")), X + X.max())
    np.testing.assert_allclose(mapped(lambda x: x + lax.pmin(x, "lanes")), X + X.min())
    np.testing.assert_allclose(mapped(lambda x: x * lax.all_gather(x, "lanes")), X[:, None] * X)
    np.testing.assert_allclose(mapped(lambda x: x * lax.axis_index("lanes")), X * np.arange(4))


@pytest.mark.parametrize("reduce", [lax.psum, lax.pmean, lax.pmax])
@pytest.mark.parametrize("wrap", [lambda f: f, ft.jit], ids=["eager", "jit"])
def test_gradients_through_the_lanes(reduce, wrap):
    def loss(v):
        return np.sum(np.sin(ft.vmap(wrap(lambda x: x * reduce(x * x, "lanes")), axis_name="lanes")(v)))

    ft.testing.check_grads(loss, (X,), order=2)
    np.testing.assert_allclose(ft.jit(ft.grad(loss))(X), ft.grad(loss)(X))


def test_gradient_inside_the_lanes_sums_over_them():
    found = ft.vmap(ft.grad(lambda x: lax.psum(x * x, "lanes")), axis_name="lanes")(X)
    np.testing.assert_allclose(found, 4 * 2 * X)  # every lane's loss counts, as in JAX


def test_the_inner_of_two_axes_with_one_name_counts():
    count = ft.vmap(ft.vmap(lambda x: lax.psum(x, "a"), axis_name="a"), axis_name="a")(np.ones((2, 3)))
    np.testing.assert_array_equal(count, np.full((2, 3), 3.0))


def test_both_of_two_axes_can_be_named():
    grid = np.arange(6.0).reshape(2, 3)

    def f(x):
        return x - lax.psum(x, "rows") + 10 * lax.psum(x, "columns")

    found = ft.vmap(ft.vmap(f, axis_name="columns"), axis_name="rows")(grid)
    np.testing.assert_allclose(found, grid - grid.sum(0) + 10 * grid.sum(1, keepdims=True))


def test_pytrees_and_lanes_that_agree():
    found = ft.vmap(lambda x: lax.psum({"a": x, "b": 1.0}, "lanes"), axis_name="lanes", out_axes=None)(X)
    assert found["a"] == X.sum()
    assert found["b"] == 4.0


def test_an_axis_that_nobody_binds():
    with pytest.raises(ft.errors.UnboundAxisError, match="'nowhere'.*no enclosing vmap"):
        ft.vmap(lambda x: lax.psum(x, "nowhere"))(X)


# ---- several axes at once, and where gathered lanes go

LANES = np.arange(6.0).reshape(2, 3) ** 2


def over_two_axes(f):
    return ft.vmap(ft.vmap(f, axis_name="j"), axis_name="i")(LANES)


def test_several_axes():
    both = ("i", "j")
    np.testing.assert_array_equal(over_two_axes(lambda x: x - lax.psum(x, both)), LANES - LANES.sum())
    np.testing.assert_array_equal(over_two_axes(lambda x: x - lax.pmean(x, both)), LANES - LANES.mean())
    np.testing.assert_array_equal(over_two_axes(lambda x: x - lax.pmax(x, both)), LANES - LANES.max())
    np.testing.assert_array_equal(over_two_axes(lambda x: x - lax.pmin(x, both)), LANES - LANES.min())
    np.testing.assert_array_equal(over_two_axes(lambda x: lax.axis_index(both)), np.arange(6).reshape(2, 3))
    np.testing.assert_array_equal(over_two_axes(lambda x: lax.axis_index(("j", "i"))), np.arange(6).reshape(3, 2).T)
    np.testing.assert_array_equal(over_two_axes(lambda x: lax.axis_size(both)), np.full((2, 3), 6))
    np.testing.assert_array_equal(over_two_axes(lambda x: lax.all_gather(x, both))[1, 2], LANES.ravel())
    np.testing.assert_array_equal(over_two_axes(lambda x: lax.all_gather(x, ("j", "i")))[1, 2], LANES.T.ravel())


# ---- what lanes give each other

PARTS = np.sin(np.arange(64.0)).reshape(4, 2, 4, 2)  # four lanes


def lanes(f, x=PARTS, wrap=lambda f: f):
    return ft.vmap(wrap(f), axis_name="i")(x)


@pytest.mark.parametrize("wrap", [lambda f: f, ft.jit], ids=["eager", "jit"])
def test_lanes_give_to_others(wrap):
    found = lanes(lambda x: lax.ppermute({"a": x}, "i", [(0, 2), (3, 0)])["a"], wrap=wrap)
    np.testing.assert_array_equal(found, np.stack([PARTS[3], 0 * PARTS[0], PARTS[0], 0 * PARTS[0]]))
    order = [2, 0, 3, 1]
    np.testing.assert_array_equal(lanes(lambda x: lax.pshuffle(x, "i", order), wrap=wrap), PARTS[order])
    for split, concat in ((1, 0), (-2, 1), (1, -1)):
        found = lanes(lambda x, s=split, c=concat: lax.all_to_all(x, "i", s, c), wrap=wrap)
        for i in range(4):
            np.testing.assert_array_equal(found[i], np.stack(list(np.take(PARTS, i, 2)), concat))
    wide = np.arange(4 * 3 * 8.0).reshape(4, 3, 8)
    for concat in (0, -1):
        found = lanes(lambda x, c=concat: lax.all_to_all(x, "i", 1, c, tiled=True), wide, wrap)
        for i in range(4):
            np.testing.assert_array_equal(found[i], np.concatenate(list(wide[:, :, 2 * i : 2 * i + 2]), concat))
    np.testing.assert_array_equal(
        lanes(lambda x: lax.psum_scatter(x, "i", scatter_dimension=1), wrap=wrap), np.moveaxis(PARTS.sum(0), 1, 0)
    )
    found = lanes(lambda x: lax.psum_scatter(x, "i", scatter_dimension=-1, tiled=True), wide, wrap)
    np.testing.assert_array_equal(found, np.stack(np.split(wide.sum(0), 4, -1)))


@pytest.mark.parametrize(
    "f",
    [
        lambda x: lax.ppermute(x, "i", [(0, 2), (3, 0)]),
        lambda x: lax.all_to_all(x, "i", 1, 0),
        lambda x: lax.psum_scatter(x, "i", scatter_dimension=1),
    ],
    ids=["ppermute", "all_to_all", "psum_scatter"],
)
def test_gradients_of_what_was_given(f):
    ft.testing.check_grads(lambda x: lanes(lambda x: np.sin(f(x)) * f(x * x), x), (PARTS,), order=1)
    twice = ft.vmap(lambda x: lanes(f, x), in_axes=-1, out_axes=-1)(PARTS)
    np.testing.assert_array_equal(twice, np.stack([lanes(f, PARTS[..., k]) for k in range(2)], axis=-1))


def test_lanes_over_two_axes_give_to_others():
    both = ("i", "j")
    ring = [(k, (k + 1) % 6) for k in range(6)]
    found = over_two_axes(lambda x: lax.ppermute(x, both, ring))
    np.testing.assert_array_equal(found, np.roll(LANES.ravel(), 1).reshape(2, 3))


def test_gifts_that_are_none():
    for perm in ([(0, 4)], [(0, 1), (2, 1)], [(0, 1), (0, 2)], [(-1, 0)]):
        with pytest.raises(ft.errors.MappedAxisError, match="over 4 lanes"):
            lanes(lambda x, perm=perm: lax.ppermute(x, "i", perm))
    for f in (lambda x: lax.all_to_all(x, "i", 0, 0), lambda x: lax.psum_scatter(x, "i", tiled=True)):
        with pytest.raises(ft.errors.MappedAxisError, match="for 4 lanes"):
            lanes(f)


def test_where_gathered_lanes_go():
    x = np.arange(24.0).reshape(2, 3, 4)
    for axis, wanted in ((0, x), (1, np.moveaxis(x, 0, 1)), (-1, np.moveaxis(x, 0, 2))):
        found = ft.vmap(lambda v, axis=axis: lax.all_gather(v, "i", axis=axis), axis_name="i")(x)
        np.testing.assert_array_equal(found[1], wanted)
    for axis in (0, 1, -1):
        found = ft.vmap(lambda v, axis=axis: lax.all_gather(v, "i", axis=axis, tiled=True), axis_name="i")(x)
        np.testing.assert_array_equal(found[1], np.concatenate(list(x), axis))
    with pytest.raises(np.exceptions.AxisError):
        ft.vmap(lambda v: lax.all_gather(v, "i", tiled=True), axis_name="i")(x[:, 0, 0])
