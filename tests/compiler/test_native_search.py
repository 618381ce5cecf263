"""Places in sorted arrays, in compiled programs: as NumPy has them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import functrans as ft
from tests.helpers.bits import assert_same_bits
from tests.helpers.tiers import TIERS, tier

DTYPES = [np.dtype(d) for d in ("f8", "f4", "f2", "i8", "i2", "u1", "?")]


@pytest.mark.parametrize("how", TIERS)
@settings(max_examples=12, deadline=None)
@given(data=st.data(), dtype=st.sampled_from(DTYPES), other=st.sampled_from(DTYPES), side=st.sampled_from(["left", "right"]))
def test_searchsorted_is_numpys(how: Any, data: Any, dtype: Any, other: Any, side: str) -> None:
    a = np.sort(data.draw(hnp.arrays(dtype, st.sampled_from([1, 2, 5, 8, 17]))))
    v = data.draw(hnp.arrays(other, st.sampled_from([(), (3,), (2, 5)])))
    with tier(how):
        jitted = ft.jit(lambda a, v: np.searchsorted(a, v, side))
        found = jitted(a, v)
    assert_same_bits([found], [np.searchsorted(a, v, side)])
    assert "Python" not in jitted.lower(a, v).kernels


def test_arrays_of_any_length_are_searched() -> None:
    """LLVM took twice to four times as long for each digit of the length, hours for this one."""
    for a in (np.arange(n) for n in [*range(1, 40), 100_000]):
        v = np.arange(-1, len(a) + 1, max(len(a) // 100, 1))
        found = ft.jit(np.searchsorted)(a, v)
        assert_same_bits([found], [np.searchsorted(a, v)])


#: Sorted arrays of the elements of x, which are in memory only if somebody sees to that.
COMPUTED: dict[str, Any] = {
    "scaled": lambda x: x * 2,
    "backwards": lambda x: -x[::-1],
    "in order": lambda x: x[np.argsort(x)],
    "in order and scaled": lambda x: np.exp(x[np.argsort(x)]),
    "of a row": lambda x: (x + np.ones((3, 1)))[1],
}


@pytest.mark.parametrize("name", COMPUTED)
def test_what_is_searched_is_computed_once(name: str) -> None:
    """Each step had in it what all steps before it read, once more: 1,000 elements took minutes to compile."""
    table, v = COMPUTED[name], np.linspace(-1.5, 1.5, 7)
    x = np.sort(np.random.default_rng(0).normal(size=100))
    jitted = ft.jit(lambda x, v: np.searchsorted(table(x), v))
    assert_same_bits([jitted(x, v)], [np.searchsorted(table(x), v)])
    alone = len(ft.jit(np.searchsorted).lower(table(x), v).kernels) + len(ft.jit(table).lower(x).kernels)
    assert len(jitted.lower(x, v).kernels) < 2 * alone


def test_each_lane_has_its_own_sorted_array() -> None:
    rng = np.random.default_rng(0)
    a, v = np.sort(rng.normal(size=(4, 9))), rng.normal(size=(4, 6))
    found = ft.jit(ft.vmap(np.searchsorted))(a, v)
    assert_same_bits([found], [np.stack([np.searchsorted(x, y) for x, y in zip(a, v)])])


def test_a_histogram_is_one_program() -> None:
    x = np.random.default_rng(0).normal(size=500)
    jitted = ft.jit(lambda x: np.histogram(x, bins=8, range=(-2, 2))[0])
    assert_same_bits([jitted(x)], [np.histogram(x, bins=8, range=(-2, 2))[0]])
    assert "Python" not in jitted.lower(x).kernels
