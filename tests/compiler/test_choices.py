"""Choices between an array and the same with parts of it updated choose the parts, bit for bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import functrans as ft
import functrans.numpy as fnp
from functrans import lax
from functrans.errors import OutOfBoundsError
from tests.helpers.bits import assert_same_bits, special_array
from tests.helpers.tiers import TIERS, tier

SHAPE = (17, 8)
UPDATES = {
    "element": lambda x, v, i: fnp.at(x)[i[0], i[1]].set(v[0, 0]),
    "row": lambda x, v, i: fnp.at(x)[i[0]].set(v[1]),
    "some of a column, some of them twice": lambda x, v, i: fnp.at(x)[i, 3].set(v[:4, 2]),
    "nowhere": lambda x, v, i: fnp.at(x)[i + 17, 1].set(v[0, 0], mode="drop"),
    "sum": lambda x, v, i: fnp.at(x)[i, i].add(v[0, :4]),
    "least": lambda x, v, i: fnp.at(x)[i].min(v[2]) if x.dtype.kind != "c" else x,
    "largest": lambda x, v, i: fnp.at(x)[i[2], 1:3].max(v[3, 1:3]) if x.dtype.kind != "c" else x,
    "region": lambda x, v, i: lax.dynamic_update_slice(x, v[:2, :3], (i[1], i[2])),
    "every other one": lambda x, v, i: fnp.at(x)[1::2, 5].set(v[0, 0]),
}
CHOICES = {
    "where": lambda p, new, old: np.where(p, new, old),
    "where not": lambda p, new, old: np.where(np.logical_not(p), old, new),
    "cond": lambda p, new, old: lax.cond(p, lambda: new, lambda: old),
    "cond with more": lambda p, new, old: lax.cond(p, lambda n: (n * 2, new), lambda n: (n, old), 1.0)[1],
    "switch": lambda p, new, old: lax.switch(3 * p - 1, [lambda: old, lambda: new]),
}


@pytest.mark.parametrize("compiled", TIERS)
@settings(deadline=None, max_examples=6)
@given(
    st.lists(st.sampled_from([*UPDATES]), min_size=1, max_size=3),
    st.sampled_from([*CHOICES]),
    st.sampled_from([np.float64, np.float32, np.int32, np.uint16, np.bool_, np.complex128]),
    st.booleans(),
    st.integers(0, 99),
)
def test_parts_are_chosen(compiled: Any, updates: Any, choice: str, dtype: Any, holds: bool, seed: int) -> None:
    random = np.random.default_rng(seed)
    x, v = (special_array(random, SHAPE, dtype) for _ in range(2))
    i = random.integers(-8, 8, 4)

    def function(x: Any, v: Any, i: Any, p: Any) -> Any:
        new = x
        for name in updates:
            new = UPDATES[name](new, v, i)
        return CHOICES[choice](p, new, x)

    with np.errstate(all="ignore"):
        want = function(x, v, i, holds)
    with tier(compiled):
        assert_same_bits([ft.jit(lambda *args: function(*args))(x, v, i, holds)], [want])
    for eqn in ft.jit(function).lower(x, v, i, holds).simplified.eqns:
        assert eqn.primitive.name not in ("select", "cond") or SHAPE not in [a.aval.shape for a in eqn.outputs]


def test_an_index_out_of_bounds_is_one_whatever_is_chosen() -> None:
    function = ft.jit(lambda x, i, p: np.where(p, fnp.at(x)[i].set(1.0), x))
    for p in (True, False):
        with pytest.raises(OutOfBoundsError):
            function(np.zeros(20), 20, p)


def test_a_loop_writes_where_the_array_is() -> None:
    """Numbers less than a pivot come first, as in quicksort; no step copies the array."""
    n = 100

    def partition(x: Any) -> Any:
        def step(j: Any, state: Any) -> Any:
            i, x = state
            is_less = x[j] < 0.0
            swapped = fnp.at(x)[i].set(x[j])
            swapped = fnp.at(swapped)[j].set(x[i])
            return np.where(is_less, i + 1, i), lax.cond(is_less, lambda: swapped, lambda: x)

        return lax.fori_loop(0, n, step, (0, x))

    x = np.random.default_rng(0).normal(size=n)
    count, found = ft.jit(partition)(x)
    assert count == np.sum(x < 0)
    np.testing.assert_array_equal(np.sort(found), np.sort(x))
    assert np.all(found[:count] < 0)
    (loop,) = ft.jit(partition).lower(x).simplified.eqns
    assert all(eqn.primitive.name != "cond" for eqn in loop.params["body"].eqns)
