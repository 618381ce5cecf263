"""Indexing and the NumPy functions that read and write by position, against NumPy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of

import functrans as ft
import functrans.numpy as fnp
from functrans.errors import (
    ConcretizationError,
    DtypeMismatchError,
    InvalidIndexError,
    OutOfBoundsError,
    TracedMaskError,
    TracerConversionError,
    UnknownFunctionError,
)
from functrans.primitives.subscripts import getitem, setitem

rng = np.random.default_rng(11)
X = rng.normal(size=(3, 4))
V = rng.normal(size=5)
CUBE = rng.normal(size=(3, 3, 4))
I = np.array([0, 2, -1])  # noqa: E741
FLAGS = np.array([True, False, True])


def assert_same(found: Any, wanted: Any) -> None:
    """Equal values, shapes and dtypes, in tuples as well."""
    if isinstance(wanted, tuple):
        assert len(found) == len(wanted)
        for pair in zip(found, wanted):
            assert_same(*pair)
        return
    found, wanted = np.asarray(found), np.asarray(wanted)
    assert (found.shape, found.dtype) == (wanted.shape, wanted.dtype)
    np.testing.assert_array_equal(found, wanted)


# ---- what an index means


INDICES = [
    0, -1, (1, 2), slice(1, 3), slice(None, None, -1), slice(3, 0, -2), slice(5, 9), (slice(0, 0),), ..., None, (),
    (None, 1), (..., 2), (slice(None), None, 1, ...), [0, 2], [], ([0, 2], [1, 1]), ([0, 2], slice(None), [1, 1]),
    (0, slice(None), [1, 2]), (0, [1, 2]), ([1, 2], 0), (slice(None), [1, 2], [0, 1]), (slice(None), 0, [0, 1]),
    ([[0], [1]], [[0, 1]]), (slice(1, 3), [0, 2], slice(None, None, 2)), (None, [0, 1]), ([0, 1], None, [0, 1]),
    ([0, 1], ..., [0, 1], slice(None)), (slice(None), [0, 1], ..., [0, 1]), (..., [1], None), CUBE > 0.5,
    CUBE[..., 0] > 0, (slice(None), CUBE[0] > 0.5), (CUBE[..., 0] > 0, 0), (CUBE[:, 0, 0] > -9, slice(None), [0]),
    True, False, (0, True), (True, [0, 1]), (slice(None), True, slice(1, 2)), np.array(True), np.array(1),
    (np.array(1), slice(None), [0]), np.int8(1), np.array([-1, -2]), (np.array([[1, 0], [0, 1]]), slice(0, 2), -1),
    ([True, False, True], slice(None), 0), np.array([1, 0], np.uint8), (range(2),), (0, slice(None), None, [1, 0]),
]  # fmt: skip


@pytest.mark.parametrize("index", INDICES, ids=str)
def test_reading_is_numpys(index):
    wanted = CUBE[index]
    found, is_view = getitem(CUBE, index)
    assert_same(found, wanted)
    if wanted.size:
        assert is_view == (isinstance(wanted, np.ndarray) and np.shares_memory(wanted, CUBE))
    assert_same(ft.jit(lambda x: x[index])(CUBE), wanted)
    assert_same(ft.vmap(lambda x: x[index])(np.stack([CUBE, CUBE]))[1], wanted)


@pytest.mark.parametrize("index", INDICES, ids=str)
def test_writing_is_numpys(index):
    shape = CUBE[index].shape
    trailing = shape[1:]
    for value in (1.5, rng.normal(size=shape), rng.normal(size=trailing), rng.normal(size=(1, *shape))):
        if isinstance(index, np.ndarray) and index.dtype == bool and np.ndim(value) > 1:
            continue  # NumPy wants at most one axis here
        wanted = CUBE.copy()
        wanted[index] = value
        assert_same(setitem(CUBE, index, value), wanted)
        assert_same(ft.jit(lambda x, v: fnp.at(x)[index].set(v))(CUBE, value), wanted)


@given(st.data())
def test_random_indices(data: st.DataObject):
    shape = data.draw(arrays_of.array_shapes(min_dims=1, max_dims=4, min_side=1, max_side=4))
    x = np.arange(float(np.prod(shape))).reshape(shape)
    if data.draw(st.booleans()):
        index = data.draw(arrays_of.basic_indices(shape, allow_newaxis=True))
    else:
        index = data.draw(arrays_of.integer_array_indices(shape))
    assert_same(getitem(x, index)[0], x[index])
    value = np.sin(x[index])
    wanted = x.copy()
    wanted[index] = value
    assert_same(setitem(x, index, value), wanted)
    assert_same(ft.vmap(lambda x: x[index])(np.stack([x, x * 2]))[1], (x * 2)[index])
    counts = np.zeros_like(x)
    np.add.at(counts, index, 1.0)
    assert_same(ft.grad(lambda x: np.sum(x[index]))(x), counts)


ENTRIES = [0, -1, 1, "i", "j", slice(None), slice(1, 3), slice(None, None, -1), slice(0, 1), np.array([0, 2, 0]), None]


@settings(max_examples=25)
@given(st.lists(st.sampled_from(ENTRIES), min_size=1, max_size=4))
def test_integers_that_are_not_known_beside_whatever_else(entries: list[Any]):
    """They are NumPy's integers, in reading and in writing, also where they differ from lane to lane."""

    def index(i, j):
        return tuple({"i": i, "j": j}.get(e, e) if isinstance(e, str) else e for e in entries)

    def changed(x, i, j):
        x = fnp.array(x)
        part = x[index(i, j)] * 2
        x[index(i, j)] = part + np.arange(float(part.shape[-1])) if part.shape else part + 1
        return x, part

    x, places = CUBE[:, :, :3], (np.array([2, -1]), np.array([0, -3]))
    assume(sum(e is not None for e in entries) <= 3)
    wanted = [changed(x, int(i), int(j)) for i, j in zip(*places)]
    lanes = ft.vmap(changed, (None, 0, 0))(x, *places)
    for lane, want in enumerate(wanted):
        assert_same(ft.jit(changed)(x, *(int(place[lane]) for place in places)), want)
        assert_same(tuple(values[lane] for values in lanes), want)


@pytest.mark.parametrize("index", [lambda i: (i, 2), lambda i: (slice(1, 40), i), lambda i: (3, i), lambda i: (I, 4)])
def test_what_is_read_and_written_beside_an_index_is_no_more_than_a_row(index):
    """Not all of the part that slices and integers cut out."""
    x, value = np.zeros((50, 60)), 1.0
    jaxpr = ft.make_jaxpr(lambda x, i: fnp.at(x)[index(i)].set(value))(x, 1)
    whole = [eqn.primitive.name for eqn in jaxpr.eqns if eqn.outputs[0].aval.size > 60]
    assert whole == ["scatter_set"]
    jaxpr = ft.make_jaxpr(lambda x, i: x[index(i)])(x, 1)
    assert all(eqn.outputs[0].aval.size <= 60 for eqn in jaxpr.eqns)


@st.composite
def indices_with_numbers(draw: st.DrawFn) -> tuple[Any, ...]:
    """Numbers, slices, new axes and perhaps an ellipsis, for CUBE."""
    entries: list[Any] = [draw(st.one_of(st.integers(-n, n - 1), st.slices(n))) for n in CUBE.shape]
    entries = entries[: draw(st.integers(1, 3))]
    for _ in range(draw(st.integers(0, 2))):
        entries.insert(draw(st.integers(0, len(entries))), None)
    missing = sum(entry is not None for entry in entries) < CUBE.ndim
    return (*entries, ...) if missing and draw(st.booleans()) else tuple(entries)


@settings(max_examples=30, deadline=None)
@given(indices_with_numbers(), st.data())
def test_numbers_that_are_not_known_among_slices(index: tuple[Any, ...], data: st.DataObject):
    unknown = [k for k, entry in enumerate(index) if type(entry) is int and data.draw(st.booleans())]
    numbers = np.array([index[k] for k in unknown], int)

    def with_numbers(numbers: Any) -> tuple[Any, ...]:
        entries = list(index)
        for k, number in zip(unknown, numbers):
            entries[k] = number
        return tuple(entries)

    def changed(x: Any, numbers: Any) -> tuple[Any, ...]:
        i = with_numbers(numbers)
        written = x.copy()
        written[i] = x[i] * 2
        return x[i], written, fnp.at(x)[i].add(5.0), fnp.at(x)[i].min(x[i] - 1, mode="clip")

    lowered, raised = CUBE.copy(), CUBE.copy()
    lowered[index] -= 1
    raised[index] += 5
    doubled = CUBE.copy()
    doubled[index] *= 2
    wanted = CUBE[index], doubled, raised, lowered
    numbers = list(map(np.int64, numbers))
    assert_same(ft.jit(changed)(CUBE, numbers), wanted)
    lanes = ft.vmap(changed)(np.stack([CUBE, -CUBE]), [np.array([n, n]) for n in numbers])
    assert_same(tuple(x[0] for x in lanes), wanted)


@pytest.mark.parametrize("index", [1.0, "a", (0, 1, 2, 3), np.array([1.5]), (..., ...), 4, (0, 0, -6), [7], object()])
def test_what_is_no_index_raises_as_in_numpy(index):
    with pytest.raises(IndexError):
        CUBE[index]
    with pytest.raises((InvalidIndexError, OutOfBoundsError)) as caught:
        getitem(CUBE, index)
    assert isinstance(caught.value, IndexError)


# ---- functions


def changed(change: Callable[..., Any]) -> Callable[..., Any]:
    """The function that returns a changed copy of its first argument."""

    def function(x: Any, *args: Any) -> Any:
        x = x.copy()
        change(x, *args)
        return x

    return function


CASES: dict[str, tuple[Any, ...]] = {
    "take flat": (lambda x, i: np.take(x, i), X, I),
    "take rows": (lambda x, i: np.take(x, i, 0), X, I),
    "take clip": (lambda x, i: np.take(x, i, axis=1, mode="clip"), X, np.array([[5, -3], [1, 1]])),
    "take wrap": (lambda x, i: x.take(i, mode="wrap"), X, np.array(77)),
    "take_along_axis": (lambda x, i: np.take_along_axis(x, i, axis=0), X, np.array([[2, 1, 0, 0]])),
    "take_along_axis sorts": (lambda x: np.take_along_axis(x, np.argsort(x, 1), 1), X),
    "take_along_axis flat": (lambda x, i: np.take_along_axis(x, i, axis=None), X, np.array([2, 11])),
    "choose": (lambda x, a: np.choose(a, [x, x * 2, -x]), X[:, :3], np.array([0, 2, 1])),
    "choose wrap": (lambda x, a: np.choose(a, x, mode="wrap"), X.T, np.array([-1, 5, 2])),
    "choose method": (lambda x, a: fnp.asarray(a).choose(x), X, np.array([0, 2, 1, 1])),
    "compress": (lambda x: np.compress(FLAGS, x, axis=0), X),
    "compress method": (lambda x: x.compress([0, 1, 1]), X),
    "extract": (lambda x: np.extract(X > 0, x), X),
    "diag": (lambda x: np.diag(x), V),
    "diag above": (lambda x: np.diag(x, 1), V),
    "diag below": (lambda x: np.diag(x, -2), V),
    "diag of matrix": (lambda x: np.diag(x, 2), X),
    "diag outside": (lambda x: np.diag(x, 9), X),
    "diagonal": (lambda x: np.diagonal(x, 1, 2, 0), CUBE),
    "diagonal method": (lambda x: x.diagonal(-1, 1, 2), CUBE),
    "diagflat": (lambda x: np.diagflat(x, 1), X),
    "trace": (lambda x: np.trace(x), CUBE),
    "trace of int8": (lambda x: np.trace(x), np.arange(4, dtype=np.int8).reshape(2, 2)),
    "tril": (lambda x: np.tril(x, -1), CUBE),
    "tril of int8": (lambda x: np.tril(x), np.arange(6, dtype=np.int8).reshape(2, 3)),
    "triu": (lambda x: np.triu(x, 1), X),
    "triu of vector": (lambda x: np.triu(x), V),
    "tril_indices_from": (lambda x: x[np.tril_indices_from(x)], X),
    "triu_indices_from": (lambda x: x[np.triu_indices_from(x, 1)], X),
    "diag_indices_from": (lambda x: x[np.diag_indices_from(x)], X[:, :3]),
    "ix_": (lambda x, i, j: x[np.ix_(i, j)], X, I, np.array([1, 1])),
    "unravel_index": (lambda i: np.unravel_index(i, (3, 4)), np.array([[3, 11], [0, 5]])),
    "unravel_index F": (lambda i: np.unravel_index(i, (3, 4), order="F"), np.array([3, 11])),
    "ravel_multi_index": (lambda i, j: np.ravel_multi_index((i, j), (3, 4)), np.array([1, 2]), np.array([3, 0])),
    "ravel_multi_index modes": (
        lambda i, j: np.ravel_multi_index((i, j), (3, 4), mode=("wrap", "clip"), order="F"),
        np.array([1, 7]),
        np.array([-3, 9]),
    ),
    "fill_diagonal": (changed(lambda x: np.fill_diagonal(x, 7)), X),
    "fill_diagonal cycles": (changed(lambda x: np.fill_diagonal(x, [1.0, 2.0])), X),
    "fill_diagonal wraps": (changed(lambda x: np.fill_diagonal(x, 3, wrap=True)), rng.normal(size=(7, 3))),
    "fill_diagonal tall": (changed(lambda x: np.fill_diagonal(x, 3)), rng.normal(size=(7, 3))),
    "fill_diagonal cube": (changed(lambda x: np.fill_diagonal(x, 3)), rng.normal(size=(3, 3, 3))),
    "put": (changed(lambda x, i: np.put(x, i, [1.0, 2.0])), X, I),
    "put clip": (changed(lambda x, i: x.put(i, [5.0], mode="clip")), X, np.array([99, -3])),
    "put nothing": (changed(lambda x: np.put(x, [], 5.0)), X),
    "place": (changed(lambda x: np.place(x, X > 0, [1.0, 2.0])), X),
    "place scalar": (changed(lambda x: np.place(x, x > 0.5, 9.0)), X),
    "place where it says": (changed(lambda x: np.place(x, x > 0, [1, 2, 3])), X),
    "putmask": (changed(lambda x: np.putmask(x, x > 0.5, [1.0, 2.0, 3.0])), X),
    "put_along_axis": (changed(lambda x, i: np.put_along_axis(x, i, 9.0, 1)), X, np.array([[0], [1], [3]])),
    "put_along_axis flat": (changed(lambda x, i: np.put_along_axis(x, i, i * 1.0, None)), X, np.array([3, 1])),
    "copyto": (changed(lambda x: np.copyto(x, 3.0)), X),
    "copyto where": (changed(lambda x: np.copyto(x, x * 2, where=x > 0.5)), X),
    "fill": (changed(lambda x: x.fill(3)), X),
    "add.at": (changed(lambda x, i: np.add.at(x, i, x[0])), X, np.array([0, 0, 1])),
    "subtract.at": (changed(lambda x, i: np.subtract.at(x, (i, i), 2.0)), X, np.array([0, 0, 1])),
    "multiply.at": (changed(lambda x, i: np.multiply.at(x, i, 2.0)), V, np.array([0, 0, 1])),
    "divide.at": (changed(lambda x, i: np.divide.at(x, i, 2.0)), V, np.array([0, 0, 1])),
    "minimum.at": (changed(lambda x, i: np.minimum.at(x, i, 0.5)), V, np.array([0, 0, 1])),
    "maximum.at": (changed(lambda x, i: np.maximum.at(x, i, 0.5)), V, np.array([0, 0, 1])),
}


@pytest.mark.parametrize(("f", "args"), [(f, args) for f, *args in CASES.values()], ids=list(CASES))
def test_functions_are_numpys(f, args):
    wanted = f(*args)
    assert_same(ft.jit(f)(*args), wanted)
    lanes = ft.vmap(f)(*(np.stack([x, x]) for x in args))
    assert_same(ft.tree.map(lambda y: y[1], lanes), wanted)
    if args[0].dtype.kind != "f":
        return
    x, rest = args[0], args[1:]
    direction = rng.normal(size=x.shape)
    value, slope = ft.jvp(lambda x: f(x, *rest), (x,), (direction,))
    assert_same(value, wanted)
    step = 1e-6 * direction
    np.testing.assert_allclose(slope, (f(x + step, *rest) - f(x - step, *rest)) / 2e-6, atol=1e-8)
    cotangent = rng.normal(size=np.shape(value))
    (pulled,) = ft.vjp(lambda x: f(x, *rest), x)[1](cotangent)
    np.testing.assert_allclose(np.sum(pulled * direction), np.sum(cotangent * slope), atol=1e-12)


def test_concrete_calls_are_numpys_own():
    assert fnp.diag is np.diag
    assert fnp.put_along_axis is np.put_along_axis
    assert_same(fnp.take(X, I, axis=0), X[I])
    assert_same(fnp.nonzero(X > 0), np.nonzero(X > 0))
    assert_same(fnp.tril_indices(3), np.tril_indices(3))


def test_take_from_a_plain_table():
    table = np.arange(5.0)
    assert_same(ft.jit(lambda i: fnp.take(table, i))(I), table[I])
    assert_same(ft.vmap(lambda i: fnp.take(table, i))(I), table[I])
    assert_same(fnp.take(table, np.array([7, 1]), mode="fill"), np.array([np.nan, 1.0]))
    filled = ft.jit(lambda i: fnp.take(table, i, mode="fill", fill_value=-1.0))
    assert_same(filled(np.array([7, 1])), np.array([-1.0, 1.0]))


def test_nonzero_with_a_size():
    def positions(x, size):
        return fnp.nonzero(x > 0, size=size, fill_value=-1)

    rows, columns = np.nonzero(X > 0)
    for size in (2, len(rows), 15):
        padding = [-1] * (size - len(rows))
        wanted = tuple(np.array([*column[:size], *padding]) for column in (rows, columns))
        assert_same(ft.jit(lambda x, n=size: positions(x, n))(X), wanted)
    assert_same(ft.jit(lambda x: fnp.flatnonzero(x > 0, size=2))(X), np.flatnonzero(X > 0)[:2])
    with pytest.raises(ValueError, match="size=-1"):
        fnp.flatnonzero(X, size=-1)
    assert_same(ft.jit(lambda x: fnp.argwhere(x > 0, size=3))(X), np.argwhere(X > 0)[:3])


@pytest.mark.parametrize("f", [np.nonzero, np.argwhere, np.flatnonzero, np.where, lambda m: np.compress(m[0], m, axis=1)])
def test_positions_that_decide_shapes(f):
    assert_same(ft.jvp(lambda x: f(x > 0), (X,), (X,))[0], f(X > 0))
    with pytest.raises((ConcretizationError, TracedMaskError), match=r"functrans\.numpy\.nonzero\(\w+, size=n\)"):
        ft.jit(lambda x: f(x > 0))(X)


@pytest.mark.parametrize(
    "f",
    [
        lambda i: fnp.take(X, i, axis=0), lambda i: np.take_along_axis(fnp.asarray(X), i[None, None], 0),
        lambda i: np.choose(i, fnp.asarray(X)), lambda i: fnp.asarray(X)[i],
    ],
)  # fmt: skip
def test_outside_is_noticed(f):
    for i in (3, -4):
        with pytest.raises((OutOfBoundsError, IndexError)):
            ft.jit(f)(np.int64(i))
    with pytest.raises(OutOfBoundsError):
        ft.jit(lambda i: np.choose(i, fnp.asarray(X)))(-1)


def test_in_place_functions_refuse_plain_arrays():
    for f in (
        lambda x: np.copyto(np.zeros(4), x),
        lambda x: np.put_along_axis(np.zeros((3, 4)), np.zeros((3, 1), int), x[:1, None], 1),
        lambda x: np.putmask(np.zeros(4), x > 0, x),
    ):
        with pytest.raises((TracerConversionError, ConcretizationError)):
            ft.vmap(f)(X)
    with pytest.raises(DtypeMismatchError, match="same_kind"):
        ft.jit(changed(lambda x: np.copyto(x, 2.5)))(np.arange(3))


def test_the_method_trace_says_what_to_write():
    with pytest.raises(UnknownFunctionError, match=r"np\.trace\(x\)"):
        ft.jit(lambda x: x.trace())(X)


# ---- at


def test_at_makes_new_arrays():
    x = X.copy()
    a = fnp.at(x)
    wanted = X.copy()
    wanted[0, 1:] = 5.0
    assert_same(a[0, 1:].set(5.0), wanted)
    assert_same(a[[0, 0, 1]].add(1.0), X + [[2.0], [1.0], [0.0]])
    assert_same(a[[0, 0, 1], 1].subtract([1.0, 2.0, 3.0])[:, 1], X[:, 1] - [3.0, 3.0, 0.0])
    assert_same(a[[0, 0]].multiply(2.0), X * [[4.0], [1.0], [1.0]])
    assert_same(a[[0, 0]].divide(2.0), X / [[4.0], [1.0], [1.0]])
    assert_same(a[[1, 1]].power(2.0)[1], X[1] ** 4.0)
    assert_same(a[:, 0].min(0.0)[:, 0], np.minimum(X[:, 0], 0.0))
    assert_same(a[[2, 2]].max(0.0)[2], np.maximum(X[2], 0.0))
    assert_same(a[1].apply(np.exp)[1], np.exp(X[1]))
    assert_same(a[-1, 1].get(), X[-1, 1])
    assert_same(a[X > 0].set(0.0), np.minimum(X, 0.0))
    assert_same(a[X > 0].add(1.0), np.where(X > 0, X + 1.0, X))
    assert_same(x, X)
    assert_same(fnp.at([1, 2])[0].add(1), np.array([2, 2]))


def test_at_is_traced_and_differentiated():
    def f(x, i):
        y = fnp.at(x)[i].multiply(x[0])
        y = fnp.at(y)[x > 0.5].add(y[1, 1])
        return np.sum(np.sin(fnp.at(y)[[0, 0], i].max(x[1, :2])))

    i = np.array([1, 1])
    step = 1e-6 * np.cos(X)
    slope = (f(X + step, i) - f(X - step, i)) / 2e-6
    for gradient in (ft.grad(f)(X, i), ft.jit(ft.grad(f))(X, i), ft.vmap(ft.grad(f))(X[None], i[None])[0]):
        np.testing.assert_allclose(np.sum(gradient * np.cos(X)), slope, rtol=1e-7)


def test_at_outside():
    a = fnp.at(X)
    assert_same(a[4, 9].get(mode="wrap"), X[1, 1])
    assert_same(a[4, -9].get(mode="clip"), X[2, 0])
    assert_same(a[-1].get(mode="clip"), X[-1])
    assert_same(a[7].get(mode="fill"), np.full(4, np.nan))
    assert_same(a[[7, -1]].get(mode="fill", fill_value=0.0), np.stack([np.zeros(4), X[-1]]))
    assert_same(fnp.at(np.arange(3, dtype=np.int8))[[0, 7]].get(mode="fill"), np.array([0, -128], np.int8))
    assert_same(fnp.at(np.arange(3, dtype=np.uint8))[7].get(mode="fill"), np.uint8(255))
    assert_same(a[[7, -1]].set(0.0, mode="drop"), np.concatenate([X[:2], np.zeros((1, 4))]))
    assert_same(a[[7, 0]].add(1.0, mode="clip"), X + [[1.0], [0.0], [1.0]])
    assert_same(ft.jit(lambda x, i: fnp.at(x)[i].set(9.0, mode="drop"))(X, 5), X)
    with pytest.raises(OutOfBoundsError):
        a[[0, 9]].add(1.0)
    with pytest.raises(ValueError, match="'raise', 'clip'"):
        a[0].get(mode="foo")


def test_at_keeps_the_dtype():
    x = np.arange(3)
    assert_same(ft.jit(lambda x: fnp.at(x)[0].add(1))(x), np.array([1, 1, 2]))
    assert_same(fnp.at(x.astype(np.float32))[0].add(0.5), np.array([0.5, 1, 2], np.float32))
    for change in (lambda a: a[0].add(1.5), lambda a: a[0].divide(2), lambda a: a[0].set(1j)):
        with pytest.raises(DtypeMismatchError):
            change(fnp.at(x))


# ---- derivatives where several values meet in one element


def test_the_last_of_several_values_has_the_derivative():
    indices = np.array([[0, 1], [1, 1], [0, 2]])
    f = lambda v: fnp.at(np.zeros(3))[indices].set(v)  # noqa: E731
    v = np.arange(6.0).reshape(3, 2)
    assert_same(f(v), np.array([4.0, 3.0, 5.0]))
    wanted = np.zeros((3, 3, 2))
    wanted[0, 2, 0] = wanted[1, 1, 1] = wanted[2, 2, 1] = 1.0
    assert_same(ft.jacrev(f)(v), wanted)
    assert_same(ft.jacfwd(f)(v), wanted)
    assert_same(f(np.asfortranarray(v)), f(v))
    assert_same(fnp.at(np.zeros(3))[np.asfortranarray(indices)].set(np.asfortranarray(v)), f(v))


def test_ties_of_min_and_max_share_the_derivative():
    f = lambda x, v: fnp.at(x)[[0, 0, 1]].max(v)[:2]  # noqa: E731
    x, v = np.array([1.0, 5.0, 0.0]), np.array([1.0, 1.0, 2.0])
    by_x, by_v = ft.jacrev(f, argnums=(0, 1))(x, v)
    np.testing.assert_allclose(by_x, [[1 / 3, 0, 0], [0, 1, 0]])
    np.testing.assert_allclose(by_v, [[1 / 3, 1 / 3, 0], [0, 0, 0]])
    np.testing.assert_allclose(ft.jacfwd(f, argnums=1)(x, v), by_v)


def test_products_with_zeros_have_all_derivatives():
    def f(v):
        return fnp.at(np.full(2, 2.0))[[0, 1, 0, 0]].multiply(v)[0]  # 2 v0 v2 v3

    v = np.array([0.0, 5.0, 0.0, 3.0])
    assert_same(ft.grad(f)(v), np.zeros(4))
    wanted = np.zeros((4, 4))
    wanted[0, 2] = wanted[2, 0] = 6.0
    assert_same(ft.hessian(f)(v), wanted)
    third = ft.jacfwd(ft.hessian(f))(v)
    assert third[0, 2, 3] == 2.0
