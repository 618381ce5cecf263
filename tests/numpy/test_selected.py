"""`x[mask]` where the mask is not known while tracing: NumPy itself, on arrays, is the oracle."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import functrans as ft
from functrans.errors import DtypeMismatchError, OutOfBoundsError, TracedMaskError

X = np.array([0.5, -1.0, 2.0, -0.25, 1.5, 3.0])
Y = np.array([1.0, 2.0, -3.0, 4.0, -5.0, 0.1])
M = np.array([[0.5, -1.0, 2.0], [-0.25, 1.5, 3.0], [1.0, 0.0, -2.0], [0.75, -0.5, 0.1]])


def doubled(x):
    y = x.copy()
    y[y > 0] *= 2
    return y


def replaced(x, y):
    mask = x > 0
    z = y.copy()
    z[mask] = -x[mask]
    return z


def masks_taken_twice(x):
    y = x.copy()
    y[y > 0] = np.sqrt(y[y > 0])
    return y


def by_number(x):
    y = x.copy()
    y[np.argsort(x) < 3] = x[np.argsort(-x) < 3]
    return y


def values(x):
    y = x.copy()
    y[np.argsort(x) < 3] = np.array([1.0, 2.0, 3.0])
    return y


def one_column(x):
    y = x.copy()
    y[x[:, 0] > 0.6, 1] = 7.0
    y[x[:, 0] > 0.6, 1:] *= 3
    return y


def centred(x):
    y, mask = x.copy(), x[:, 1] < 1
    y[mask] -= np.mean(x[mask], axis=0)
    return y


def nested(x):
    mask = x > -1
    t, y = x[mask], x.copy()
    t[t > 1] = 1.0
    t[...] = t + 1
    y[mask] = t
    return y


def residual(x, y):
    r = x[x > 0] - y[x > 0]
    return r @ r


def assigned_by_positions(x, y):
    z = y.copy()
    z[np.where(x > 0)] = -1.0
    z[np.nonzero(x < 0)] *= x[np.nonzero(x < 0)]
    (places,) = np.where(x > 1)
    z[places] += x[places] ** 2
    return z


def rows_by_positions(x):
    y = x.copy()
    y[np.flatnonzero(x[:, 0] > 0.6), 1] = 7.0
    y[np.where(x < -0.4)] = 0.0
    return y


CASES = [
    (assigned_by_positions, X, Y), (rows_by_positions, M),
    (lambda x: x[np.where(x > 0)].sum() + x[np.nonzero(x > 1)[0]].max() + np.flatnonzero(x < 0).sum(), X),
    (lambda x: x.ravel()[np.flatnonzero(x > 0)].sum() * np.argwhere(x > 1)[:, 1].max(), M),
    (lambda x: (x[np.nonzero(x[:, 0] > 0.6)][:, 1] * np.where(x[:, 0] > 0.6)[0]).sum() + np.where(x > 0)[0][0], M),
    (doubled, X), (replaced, X, Y), (masks_taken_twice, X), (by_number, X), (values, X), (one_column, M), (centred, M),
    (nested, X), (residual, X, Y),
    (lambda x: np.extract(x > 0, x).sum() * np.compress(x[:3] > 0, x).max() + x.compress(x > 1).mean(), X),
    (lambda x: np.extract(x > 0, 2 * x).sum() + np.compress(x[:, 0] > 0.6, x, axis=0).sum(), M),
    (lambda x: x[x > 0].sum(), X),
    (lambda x: x[x > 0].sum() / x[x > 0].size, X),
    (lambda x: x[:2].sum() * x[x > 0].max() - np.min(x[x < 0]) * x[0], X),
    (lambda x: np.std(x[x > 0], ddof=1) + np.var(x[x > 0]) + x[x > 0].prod(), X),
    (lambda x: np.median(x[x > 0]) + np.median(x[x > 1]), X),
    (lambda x: np.sort(x[x > 0])[0] + np.sort(x[x > 0])[-2], X),
    (lambda x: x[x > 0][0] * x[x > 0][-1], X),
    (lambda x: x[x > 0][np.argmax(x) - 3], X),
    (lambda x: x[x > 0][x[x > 0] < 2].sum(), X),
    (lambda x: np.where(x[x > 0] > 1, x[x > 0], 0.5).sum() + np.clip(x[x > 0], 0.75, 1).mean(), X),
    (lambda x: np.linalg.norm(x[x > 0]) + np.cumsum(x[x > 0]).max() + np.cumprod(x[x > 0])[-1], X),
    (lambda x: (x[0] * x[x > 0] + np.exp(x[x > 0]) * x[1]).sum(), X),
    (lambda x: np.maximum(x[x > -1] - 0.5, 0).sum(), X),
    (lambda x: np.count_nonzero(x[x > 0] > 1) + x[x > 0].astype(np.int32).max(), X),
    (lambda x: (x[x > 0] > 1).any() & (x[x > 0] < 9).all() & np.logical_or.reduce(x[x > 0] > 2), X),
    (lambda x: x[np.argsort(x)[x > 0]].sum() + np.add.reduce(x[x > 0]) + np.maximum.reduce(x[x > 0]), X),
    (lambda x: np.modf(x[x > 0])[1].sum() + (x[x > 0] ** 2).real.sum(), X),
    (lambda x: x[x > 0][()].sum() + x[x > 0][..., None].sum(), X),
    (lambda x: x[x > 0].sum(), M),
    (lambda x: x[x[:, 0] > 0].sum(0) + x[x[:, 0] > 0].max(axis=0), M),
    (lambda x: np.max(x[x[:, 0] > 0].sum(1)) + x[x[:, 0] > 0, 1].mean() + x[x[:, 0] > 0][:, 2].sum(), M),
    (lambda x: (x[x[:, 0] > 0] @ x[:3]).sum() + np.linalg.norm(x[x[:, 0] > 0], axis=1).sum(), M),
    (lambda x: x[x[:, 0] > 0, 0] @ x[x[:, 0] > 0], M),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=range(len(CASES)))
def test_what_a_mask_selects_is_what_numpy_says(case):
    function, *args = case
    expected = function(*args)
    np.testing.assert_allclose(ft.jit(function)(*args), expected, rtol=1e-14)
    assert ft.jit(function)(*args).dtype == np.asarray(expected).dtype
    lanes = [np.stack([arg, arg[::-1]]) for arg in args]
    for mapped in (ft.vmap(function), ft.jit(ft.vmap(function))):
        np.testing.assert_allclose(mapped(*lanes)[0], expected, rtol=1e-14)
        np.testing.assert_allclose(mapped(*lanes)[1], function(*(lane[1] for lane in lanes)), rtol=1e-14)


@pytest.mark.parametrize("case", CASES[:26], ids=range(26))
def test_derivatives_are_those_of_the_elements_that_are_selected(case):
    """Eager derivatives know the mask, so that NumPy's own indexing selects."""
    function, *args = case

    def loss(*args):
        return np.sum(function(*args) ** 2 * 1.0)

    every = tuple(range(len(args)))
    expected = ft.grad(loss, every)(*args)
    for compiled in (ft.jit(ft.grad(loss, every)), ft.grad(ft.jit(loss), every)):
        np.testing.assert_allclose(compiled(*args), expected, rtol=1e-12, atol=1e-14)
    tangents = [np.cos(arg) for arg in args]
    _, expected_tangent = ft.jvp(loss, tuple(args), tuple(tangents))
    _, tangent = ft.jit(lambda *args: ft.jvp(loss, args, tuple(tangents)))(*args)
    np.testing.assert_allclose(tangent, expected_tangent, rtol=1e-12, atol=1e-14)


@given(
    x=hnp.arrays(np.float64, (5,), elements=st.sampled_from([0.0, -0.0, 1.0, -2.0, np.nan, np.inf])),
    mask=hnp.arrays(np.bool_, (5,)),
    other=hnp.arrays(np.bool_, (5,)),
)
def test_any_mask_selects_as_in_numpy_and_as_many_are_needed_as_are_given(x, mask, other):
    def moved(x, mask, other):
        y = x.copy()
        y[mask] = x[other]
        return y, x[mask] + x[other]

    def reduced(x, mask):
        return x[mask].sum(), np.sort(x[mask]).max(initial=-np.inf), x[mask].size, x[mask].any()

    with np.errstate(all="ignore"):
        for y, z in zip(ft.jit(reduced)(x, mask), reduced(x, mask)):
            np.testing.assert_array_equal(y, z)
        if mask.sum() == other.sum():
            y, _ = moved(x, mask, other)
            np.testing.assert_array_equal(ft.jit(lambda *args: moved(*args)[0])(x, mask, other), y)
        else:
            with pytest.raises(OutOfBoundsError):
                ft.jit(lambda *args: moved(*args)[0])(x, mask, other)


def test_an_extreme_of_nothing_is_an_error_when_it_runs():
    greatest = ft.jit(lambda x, mask: x[mask].max())
    assert greatest(X, X > 0) == 3.0
    with pytest.raises(OutOfBoundsError):
        greatest(X, X > 9)
    with pytest.raises(OutOfBoundsError):
        ft.jit(lambda x, mask: x[mask][2])(X, X > 1.6)
    assert ft.jit(lambda x, mask: x[mask].max(initial=-1.0))(X, X > 9) == -1.0
    assert np.isnan(ft.jit(lambda x, mask: x[mask].mean())(X, X > 9))


def test_a_selection_is_a_copy():
    def f(x):
        y, mask = x.copy(), x > 0
        before = y[mask]
        y[mask] = 0.0
        mask[:] = False
        return before.sum() + y.sum()

    np.testing.assert_allclose(ft.jit(f)(X), f(X))


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x[x > 0],
        lambda x: len(x[x > 0]),
        lambda x: x[x > 0].shape,
        lambda x: list(x[x > 0]),
        lambda x: float(x[x > 0]),
        lambda x: np.concatenate([x[x > 0], x]),
        lambda x: np.block([[x[x > 0], x]]),
        lambda x: np.array(x[x > 0]),
        lambda x: f"{x[x > 0]:.3f}",
        lambda x: np.percentile(x[x > 0], 30),
        lambda x: x[x > 0].reshape(-1, 1),
        lambda x: x[x > 0][:2],
        lambda x: np.stack([x, x])[:, x > 0],
        lambda x: x[x > 0] + np.ones((2, 1)),
        lambda x: np.add.outer(x[x > 0], x),
        lambda x: np.linalg.norm(x[x > 0], -1),
        lambda x: x @ x[x > 0],
    ],
)
def test_what_needs_the_number_of_elements_says_what_to_do(function):
    with pytest.raises(TracedMaskError, match=r"functrans\.numpy\.where\(mask, x, other\)"):
        ft.jit(function)(X)


def test_positions_that_were_changed_are_no_mask():
    def f(x):
        (places,) = np.where(x[:-1] > 0)
        places += 1
        return x[places].sum()

    np.testing.assert_allclose(ft.jit(f)(X), f(X))

    def g(x):
        y, places = x.copy(), np.where(x > 0)
        places[0][...] = 0
        y[places] = 7.0
        return y

    with pytest.raises(TracedMaskError):
        ft.jit(g)(X)


def test_in_place_operations_keep_the_dtype():
    def halved(x):
        y = x.copy()
        y[y > 1] *= 0.5
        return y

    with pytest.raises(DtypeMismatchError):
        ft.jit(halved)(np.arange(4))
    with pytest.raises(AttributeError):
        ft.jit(lambda x: x[x > 0].no_such_attribute)(X)
