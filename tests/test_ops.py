"""Reductions over segments, against loops over their numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import functrans as ft
from functrans.errors import ConcretizationError, ShapeMismatchError
from functrans.testing import check_grads

REDUCTIONS: dict[str, tuple[Callable[..., Any], Callable[..., Any], Any]] = {
    "sum": (ft.ops.segment_sum, np.sum, 0),
    "prod": (ft.ops.segment_prod, np.prod, 1),
    "max": (ft.ops.segment_max, np.max, -np.inf),
    "min": (ft.ops.segment_min, np.min, np.inf),
}


@pytest.mark.parametrize("name", REDUCTIONS)
@settings(max_examples=15, deadline=None)
@given(n=st.integers(0, 12), count=st.integers(1, 6), tail=st.sampled_from([(), (3,), (2, 2)]), seed=st.integers(0, 99))
def test_segments_are_those_of_a_loop(name: str, n: int, count: int, tail: Any, seed: int) -> None:
    """Numbers below zero, and beyond the last segment, are left out."""
    reduction, by_hand, nothing = REDUCTIONS[name]
    rng = np.random.default_rng(seed)
    data, ids = rng.normal(size=(n, *tail)), rng.integers(-2, count + 2, n)
    wanted = np.full((count, *tail), nothing, float)
    for i in range(count):
        if np.any(ids == i):
            wanted[i] = by_hand(data[ids == i], axis=0)
    for function in (reduction, ft.jit(reduction, static_argnums=2)):
        np.testing.assert_allclose(function(data, ids, count), wanted, rtol=1e-12)


@pytest.mark.parametrize("name", REDUCTIONS)
def test_derivatives_and_lanes(name: str) -> None:
    reduction = REDUCTIONS[name][0]
    rng = np.random.default_rng(0)
    data, ids = rng.normal(size=(2, 7, 2)), np.array([0, 2, 1, 0, 2, 1, 0])
    check_grads(lambda x: reduction(x, ids, 3), (data[0],), order=2)
    lanes = ft.vmap(lambda x: reduction(x, ids, 3))(data)
    np.testing.assert_array_equal(lanes, np.stack([reduction(x, ids, 3) for x in data]))


def test_dtypes_and_empty_segments() -> None:
    ids = np.array([2, 2])
    assert ft.ops.segment_max(np.array([3, 1], np.int8), ids).tolist() == [-128, -128, 3]
    assert ft.ops.segment_min(np.array([3, 1], np.uint8), ids).tolist() == [255, 255, 1]
    assert ft.ops.segment_sum(np.array([3, 1], np.float32), ids).dtype == np.float32
    assert ft.ops.segment_sum(np.ones((0, 2)), np.zeros(0, int)).shape == (0, 2)


def test_what_is_refused() -> None:
    with pytest.raises(ShapeMismatchError, match="one number for each row"):
        ft.ops.segment_sum(np.ones(3), np.zeros(2, int))
    with pytest.raises(ConcretizationError):
        ft.jit(ft.ops.segment_sum)(np.ones(3), np.zeros(3, int))
