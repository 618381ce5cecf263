"""Random numbers in native programs: the bits that NumPy draws, without a return to Python."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from functrans import jit, lax, random, vmap

DTYPES = [np.uint8, np.uint16, np.uint32, np.uint64, np.float16, np.float32, np.float64]
shapes = st.lists(st.integers(0, 9), max_size=3).map(tuple)


def draw(key, shape, dtype):
    return (random.uniform if np.dtype(dtype).kind == "f" else random.bits)(key, shape, dtype)


def same(got, want):
    assert got.dtype == want.dtype
    np.testing.assert_array_equal(got, want)


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**63), shapes, st.sampled_from(DTYPES), st.integers(0, 4))
def test_bits(seed, shape, dtype, lanes):
    key = random.key(seed)
    keys = random.split(key, lanes)
    same(jit(lambda k: draw(k, shape, dtype))(key), draw(key, shape, dtype))
    same(jit(vmap(lambda k: draw(k, shape, dtype)))(keys), vmap(lambda k: draw(k, shape, dtype))(keys))


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**63), st.integers(0, 2**32 - 1), st.integers(1, 5))
def test_keys(seed, data, lanes):
    key = random.key(seed)
    keys, numbers = random.split(key, lanes), np.arange(lanes, dtype=np.uint32) + np.uint32(data)
    same(jit(lambda k: random.split(k, lanes))(key), keys)
    for axes in ((0, None), (None, 0), (0, 0)):
        operands = [(key, keys)[axes[0] == 0], (data, numbers)[axes[1] == 0]]
        same(jit(vmap(random.fold_in, axes))(*operands), vmap(random.fold_in, axes)(*operands))


def walk(key):
    def step(state, _):
        key, x = state
        key, own = random.split(key)
        return (key, x + random.uniform(own)), x

    return lax.scan(step, (key, 0.0), None, length=50)[1]


@pytest.mark.parametrize("function", [walk, lambda k: random.normal(k, (30,)), lambda k: random.split(k, 4)])
def test_nothing_returns_to_python(function):
    key = random.key(3)
    assert "Python" not in str(jit(function).lower(key).kernels)
    np.testing.assert_allclose(jit(function)(key), function(key), rtol=1e-14)
