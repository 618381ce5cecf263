"""gather and scatter by dimension numbers, against loops over indices and windows."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import functrans as ft
from functrans import lax
from functrans.errors import ShapeMismatchError
from functrans.lax import GatherDimensionNumbers, GatherScatterMode, ScatterDimensionNumbers
from functrans.testing import check_grads

COMBINE: dict[str, Any] = {
    "scatter": lambda x, u: u, "scatter_add": np.add, "scatter_sub": np.subtract, "scatter_mul": np.multiply,
    "scatter_min": np.minimum, "scatter_max": np.maximum,
}  # fmt: skip


@st.composite
def cases(draw: Any) -> Any:
    """Shapes, dimension numbers as of a gather, indices inside and outside, and sizes of windows."""
    rank = draw(st.integers(1, 3))
    shape = tuple(draw(st.integers(1, 4)) for _ in range(rank))
    axes = draw(st.permutations(range(rank)))
    named = tuple(axes[: draw(st.integers(0, rank))])
    walked = tuple(a for a in axes[len(named) :][: draw(st.integers(0, 1))])
    batch = (*(shape[a] for a in walked), *draw(st.lists(st.integers(1, 3), max_size=2)))
    sizes = tuple(1 if a in walked else draw(st.integers(1, shape[a])) for a in range(rank))
    collapsed = tuple(sorted(a for a in range(rank) if a not in walked and sizes[a] == 1 and draw(st.booleans())))
    window = rank - len(collapsed) - len(walked)
    places = draw(st.permutations(range(window + len(batch))))
    offset = tuple(sorted(places[:window]))
    numbers = GatherDimensionNumbers(offset, collapsed, named, walked, tuple(range(len(walked))))
    seed = draw(st.integers(0, 2**32 - 1))
    indices = np.random.default_rng(seed).integers(-1, 5, (*batch, len(named)))
    return shape, numbers, indices, sizes, draw(st.sampled_from(["clip", "fill"])), seed


def windows(shape: Any, numbers: GatherDimensionNumbers, indices: Any, sizes: Any, mode: str) -> Any:
    """For each element of the result its place, and that in the operand, or None outside."""
    batch = indices.shape[:-1]
    without = (*numbers.collapsed_slice_dims, *numbers.operand_batching_dims)
    kept = [axis for axis in range(len(shape)) if axis not in without]
    rank = len(batch) + len(kept)
    for number in np.ndindex(batch):
        start = [0] * len(shape)
        for component, axis in zip(indices[number], numbers.start_index_map):
            start[axis] = int(component)
        for axis, other in zip(numbers.operand_batching_dims, numbers.start_indices_batching_dims):
            start[axis] = number[other]
        moved = [min(max(s, 0), n - size) for s, n, size in zip(start, shape, sizes)]
        is_inside = moved == start or mode == "clip"
        for inside in product(*(range(sizes[axis]) for axis in kept)):
            rest, own = iter(number), iter(inside)
            place = tuple(next(own) if axis in numbers.offset_dims else next(rest) for axis in range(rank))
            at = dict(zip(kept, inside))
            yield place, tuple(s + at.get(axis, 0) for axis, s in enumerate(moved)) if is_inside else None


def result_shape(numbers: GatherDimensionNumbers, indices: Any, sizes: Any) -> tuple[int, ...]:
    without = (*numbers.collapsed_slice_dims, *numbers.operand_batching_dims)
    inside = iter(size for axis, size in enumerate(sizes) if axis not in without)
    batch = iter(indices.shape[:-1])
    rank = len(indices.shape) - 1 + len(sizes) - len(without)
    return tuple(next(inside) if axis in numbers.offset_dims else next(batch) for axis in range(rank))


@settings(max_examples=40)
@given(cases())
def test_gather_is_a_loop_over_windows(case: Any):
    shape, numbers, indices, sizes, mode, seed = case
    x = np.random.default_rng(seed).normal(size=shape)
    wanted = np.full(result_shape(numbers, indices, sizes), np.nan)
    for place, source in windows(shape, numbers, indices, sizes, mode):
        wanted[place] = np.nan if source is None else x[source]
    np.testing.assert_array_equal(lax.gather(x, indices, numbers, sizes, mode=mode), wanted)


@settings(max_examples=40)
@given(cases(), st.sampled_from(sorted(COMBINE)))
def test_scatter_is_a_loop_over_windows(case: Any, name: str):
    shape, numbers, indices, sizes, mode, seed = case
    random = np.random.default_rng(seed)
    x, updates = random.normal(size=shape), random.normal(size=result_shape(numbers, indices, sizes))
    wanted = x.copy()
    for place, target in windows(shape, numbers, indices, sizes, mode):
        if target is not None:
            wanted[target] = COMBINE[name](wanted[target], updates[place])
    found = getattr(lax, name)(x, indices, updates, ScatterDimensionNumbers(*numbers), mode=mode)
    np.testing.assert_allclose(found, wanted, rtol=1e-12, atol=1e-12)


X = np.random.default_rng(3).normal(size=(4, 5))
INDICES = np.array([[1, 3], [0, 9], [2, 2]])
NUMBERS = GatherDimensionNumbers((1,), (0,), (0, 1))


@pytest.mark.parametrize("name", COMBINE)
def test_they_differentiate_batch_and_compile(name: str):
    updates = np.random.default_rng(4).normal(size=(3, 2))
    scatter, numbers = getattr(lax, name), ScatterDimensionNumbers(*NUMBERS)

    def f(x: Any, updates: Any) -> Any:
        y = scatter(x, INDICES, updates, numbers)
        return np.sum(np.sin(lax.gather(y, INDICES, NUMBERS, (1, 2), fill_value=0.5)) * updates)

    check_grads(f, (X, updates), order=2)
    np.testing.assert_allclose(ft.jit(ft.grad(f))(X, updates), ft.grad(f)(X, updates), rtol=1e-12)
    lanes = ft.jit(ft.vmap(lambda x, i: scatter(x, i, updates, numbers), (0, 0)))
    found = lanes(np.stack([X, 2 * X]), np.stack([INDICES, INDICES[::-1]]))
    np.testing.assert_allclose(found[1], scatter(2 * X, INDICES[::-1], updates, numbers), rtol=1e-12)


@pytest.mark.parametrize(
    ("dtype", "fill"), [("f4", np.nan), ("i2", -(2**15)), ("u1", 255), ("?", True), ("c8", complex(np.nan))]
)
def test_fill_values(dtype: str, fill: Any):
    row = GatherDimensionNumbers((), (0,), (0,))
    found = lax.gather(np.zeros(3, dtype), np.array([[5]]), row, (1,))
    assert found.dtype == dtype
    np.testing.assert_array_equal(found, np.array([fill], dtype))


def test_scalars_and_modes():
    assert lax.scatter_add(1.0, np.zeros((3, 0), int), np.ones(3), ScatterDimensionNumbers((), (), ())) == 4.0
    assert GatherScatterMode.from_any(None) is GatherScatterMode.from_any("drop") is GatherScatterMode.FILL_OR_DROP
    with pytest.raises(ValueError, match="nearest"):
        GatherScatterMode.from_any("nearest")


@pytest.mark.parametrize(
    ("indices", "numbers", "sizes"),
    [
        (np.zeros((2, 1), int), NUMBERS, (1, 1)),
        (INDICES, NUMBERS, (1, 6)),
        (INDICES, NUMBERS, (1,)),
        (INDICES, NUMBERS, (2, 1)),
        (INDICES[:, :1], GatherDimensionNumbers((), (), (1,), (0,), (0,)), (1, 1)),
        (INDICES[:, :1], GatherDimensionNumbers((), (), (1,), (0,), (9,)), (1, 1)),
        (INDICES[:, :1], GatherDimensionNumbers((1,), (0,), (7,)), (1, 2)),
        (INDICES[:, :1], GatherDimensionNumbers((), (0,), (0,)), (1, 2)),
        (INDICES[:, :1], GatherDimensionNumbers((5,), (0,), (0,)), (1, 2)),
        (INDICES[:, :1], GatherDimensionNumbers((2, 1), (), (0,)), (1, 2)),
    ],
)
def test_dimension_numbers_that_do_not_fit(indices: Any, numbers: Any, sizes: Any):
    with pytest.raises(ShapeMismatchError, match="dimension numbers"):
        lax.gather(X, indices, numbers, sizes)


@pytest.mark.parametrize(
    ("numbers", "shape"),
    [
        (ScatterDimensionNumbers((1,), (0,), (0,)), (len(INDICES) + 1, 2)),
        (ScatterDimensionNumbers((1,), (), (0,)), (len(INDICES), 2)),
        (ScatterDimensionNumbers((3,), (0,), (0,)), (len(INDICES), 2)),
        (ScatterDimensionNumbers((1,), (0,), (0,)), (len(INDICES), 9)),
        (ScatterDimensionNumbers((1,), (4,), (0,)), (len(INDICES), 2)),
    ],
)
def test_updates_that_do_not_belong_to_the_numbers(numbers: Any, shape: Any):
    with pytest.raises(ShapeMismatchError, match="dimension numbers"):
        lax.scatter_add(X, INDICES[:, :1], np.ones(shape), numbers)
