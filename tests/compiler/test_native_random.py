"""Random numbers in native programs: the bits that NumPy draws, without a return to Python."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import functrans.numpy as fnp
from functrans import grad, jit, lax, random, vmap
from functrans.primitives.random_gamma import log_gamma_variate

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


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 2**63), st.sampled_from([(), (3,), (20,), (2, 30)]), st.sampled_from([np.float32, np.float64]))
def test_gamma_variates(seed, shape, dtype):
    key = random.key(seed)
    a = random.uniform(random.key(seed // 2), shape, dtype, 0.05, 6.0)
    got = jit(lambda k, a: random.loggamma(k, a, shape, dtype))(key, a)
    assert got.dtype == dtype
    np.testing.assert_allclose(got, random.loggamma(key, a, shape, dtype), rtol=0, atol=300 * np.finfo(dtype).eps)


def test_gamma_variates_of_unusual_shape_parameters():
    a = np.array([0.0, 1e-6, 1e-300, 1.0, 1e6, 1e300, np.inf, np.nan, 2.0, 0.5] * 3)
    for key in random.split(random.key(1), 3):
        with np.errstate(invalid="ignore"):
            want = log_gamma_variate(key, a)
        np.testing.assert_allclose(jit(log_gamma_variate)(key, a), want, rtol=1e-13)
    assert jit(log_gamma_variate)(random.key(1), np.zeros(0)).shape == (0,)


@pytest.mark.parametrize("dtype", [np.float16, fnp.bfloat16])
def test_gamma_variates_of_short_floats(dtype):
    draw_all = lambda k: random.gamma(k, 2.0, (40,), dtype)  # noqa: E731
    got, want = jit(draw_all)(random.key(3)), draw_all(random.key(3))
    assert got.dtype == want.dtype
    np.testing.assert_allclose(got.astype(float), want.astype(float), rtol=0.02)


def test_each_key_of_a_batch_draws_its_own_gamma_variates():
    keys, a = random.split(random.key(5), 4), np.linspace(0.2, 3.0, 12).reshape(4, 3)
    draw_all = vmap(lambda k, a: random.gamma(k, a, (3,)))
    np.testing.assert_allclose(jit(draw_all)(keys, a), draw_all(keys, a), rtol=1e-13)


def test_a_rejected_gamma_variate_is_drawn_again():
    """Among so many some are rejected, and some are drawn from several normal numbers."""
    keys = random.split(random.key(9), 300)
    draw_all = lambda keys: vmap(lambda k: random.loggamma(k, 1.001, (7,)))(keys)  # noqa: E731
    np.testing.assert_allclose(jit(draw_all)(keys), draw_all(keys), rtol=0, atol=1e-12)


def of_gamma(key):
    return random.gamma(key, np.linspace(0.3, 3.0, 40), (40,))


def by_shape(key):
    a = np.linspace(0.3, 3.0, 20)
    return grad(lambda a: fnp.sum(random.dirichlet(key, a)[:3] + random.beta(key, 2.0, a, (20,))[:3]))(a)


@pytest.mark.parametrize(
    "function",
    [
        walk,
        of_gamma,
        by_shape,
        lambda k: random.normal(k, (30,)),
        lambda k: random.split(k, 4),
        lambda k: random.normal(k, (9,), np.float32),
    ],
)
def test_nothing_returns_to_python(function):
    key = random.key(3)
    assert "Python" not in str(jit(function).lower(key).kernels)
    tolerance = 1e-6 if function(key).dtype == np.float32 else 1e-12
    np.testing.assert_allclose(jit(function)(key), function(key), rtol=tolerance)
