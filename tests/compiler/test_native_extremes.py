"""Extremes and their places in native programs."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from functrans import explain, jit, lax, vmap
from functrans.numpy import at
from tests.helpers.bits import assert_same_bits, special_array
from tests.helpers.tiers import tier

DTYPES = [np.bool_, np.int8, np.uint8, np.int32, np.uint64, np.int64, np.float16, np.float32, np.float64]


@st.composite
def arrays(draw):
    dtype = np.dtype(draw(st.sampled_from(DTYPES)))
    shape = draw(hnp.array_shapes(min_dims=1, max_dims=2, min_side=1, max_side=20))
    special = {"f": [0.0, -0.0, 1.0, np.nan, np.inf, -np.inf], "b": [False, True]}
    limits = [0, 1, 3] if dtype.kind not in "iu" else [0, 1, np.iinfo(dtype).min, np.iinfo(dtype).max]
    x = draw(hnp.arrays(dtype, shape, elements=st.sampled_from(special.get(dtype.kind, limits))))
    return x[..., ::-1] if draw(st.booleans()) else x


@settings(deadline=None, max_examples=120)
@given(arrays(), st.data(), st.sampled_from([np.argmax, np.argmin]))
def test_places_of_extremes(x, data, function):
    axis = data.draw(st.one_of(st.none(), st.integers(-x.ndim, x.ndim - 1)))
    want = function(x, axis=axis)
    got = jit(lambda x: function(x, axis=axis))(x)
    assert got.dtype == want.dtype
    np.testing.assert_array_equal(got, want)
    np.testing.assert_array_equal(jit(vmap(lambda x: function(x.ravel())))(x), [function(row) for row in x])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("function", [np.max, np.min])
@pytest.mark.parametrize("name", ["quick", "thorough"])
def test_extremes_of_special_values(function, dtype, name):
    """Infinities, and one NaN anywhere among many vectors of numbers; of zeros either may be the extreme."""
    random = np.random.default_rng(0)
    x = special_array(random, (150, 150), dtype)
    x[np.isnan(x)] = 0.5
    np.fill_diagonal(x[::2], np.nan)
    for axis in (0, 1, None):
        with tier(name):
            found = jit(lambda x, axis=axis: function(x, axis=axis))(x)
        assert_same_bits([found], [function(x, axis=axis)], signs_of_zeros=False)


@pytest.mark.parametrize("function", [np.argmax, np.argmin])
def test_first_of_equal_ones_among_many(function):
    x = np.tile(np.random.default_rng(0).permutation(1000) % 7, (3, 40)).astype(float)
    for axis in (0, 1, None):
        np.testing.assert_array_equal(jit(lambda x, axis=axis: function(x, axis=axis))(x), function(x, axis=axis))
    long = np.tile(x, (1, 2))
    np.testing.assert_array_equal(jit(lambda x: function(x, axis=1))(long), function(long, axis=1))


def test_a_loop_does_not_return_to_python():
    def viterbi(steps):
        def step(best, scores):
            total = best[:, None] + scores
            return np.max(total, axis=0), np.argmax(total, axis=0)

        return lax.scan(step, np.zeros_like(steps[0, 0]), steps)

    steps = np.random.default_rng(1).normal(size=(30, 12, 12))
    assert "Python" not in str(jit(viterbi).lower(steps).kernels)
    for got, want in zip(jit(viterbi)(steps), viterbi(steps)):
        np.testing.assert_array_equal(got, want)


def test_a_loop_over_single_elements_may_look_for_the_least_of_few():
    """Which of some servers is free first."""

    def wait(free, x):
        arrival, service = x
        k = np.argmin(free)
        start = np.maximum(arrival, free[k])
        return at(free)[k].set(start + service), start - arrival

    arrivals, services = np.cumsum(np.arange(40.0) % 3), np.arange(40.0) % 7
    program = jit(lambda x, y: lax.scan(wait, np.zeros(8), (x, y)))
    assert "as one function" in str(explain(program, arrivals, services))
    free, waits = np.zeros(8), []
    for arrival, service in zip(arrivals, services):
        k = np.argmin(free)
        start = max(arrival, free[k])
        free[k] = start + service
        waits.append(start - arrival)
    np.testing.assert_array_equal(program(arrivals, services)[0], free)
    np.testing.assert_array_equal(program(arrivals, services)[1], waits)


STEPS = {
    "highest": lambda m, x: np.maximum(m, x),
    "lowest so far": lambda m, x: np.minimum(x, m),
    "queue": lambda m, x: np.maximum(0.0, m + x),
    "clipped": lambda m, x: np.clip(m - x, -1.0, 2.0),
    "fewest": lambda m, x: np.fmin(np.fmax(m, -x), 3.0),
    "nearest": lambda m, x: np.minimum(np.maximum(m, x), np.minimum(x - m, m)),
}


@pytest.mark.parametrize("name", ["quick", "thorough"])
@pytest.mark.parametrize("step", STEPS.values(), ids=STEPS)
@settings(deadline=None, max_examples=12)
@given(st.integers(1, 40), st.integers(0, 99), st.sampled_from([np.float32, np.float64]), st.booleans())
def test_extremes_of_the_step_before(name, step, length, seed, dtype, is_last_wanted):
    """In loops that write each of them down or leave the last one, with NaN anywhere."""
    x = special_array(np.random.default_rng(seed), (length,), dtype)
    want, m = [], dtype(0.5)
    with np.errstate(all="ignore"):
        for number in x:
            m = step(m, number)
            want.append(m)

    def run(m, x):
        if is_last_wanted:
            return lax.fori_loop(0, len(x), lambda i, m: step(m, x[i]), m)
        return lax.scan(lambda m, x: (step(m, x),) * 2, m, x)[1]

    with tier(name):
        found = jit(run)(dtype(0.5), x)
    assert_same_bits([found], [want[-1] if is_last_wanted else np.array(want)], signs_of_zeros=False)


def test_a_step_waits_for_one_instruction_of_an_extreme():
    """What is true of nearly all numbers stays a choice of its own through LLVM's passes, and is guessed in the end."""
    lowered = jit(lambda x: lax.scan(lambda m, x: (np.maximum(m, x),) * 2, -np.inf, x)).lower(np.ones(1000))
    choices = [line for line in lowered.optimized_llvm.splitlines() if " select " in line]
    assert 0 < len(choices) == 2 * sum("!prof" in line for line in choices)


@pytest.mark.parametrize("order", ["C", "F"])
def test_extremes_of_rows_are_found_in_vectors(order):
    """Those of columns are not, of which LLVM would make none."""
    x = np.asarray(np.random.default_rng(0).normal(size=(50, 50)), order=order)

    def highest(x):
        def row(i, y):
            y = y.copy()
            y[i] = lax.fori_loop(0, 50, lambda k, m: np.maximum(m, abs(x[i, k])), 0.0)
            return y

        return lax.fori_loop(0, 50, row, np.zeros_like(x[0]))

    assert ("@llvm.maximum" in jit(highest).lower(x).llvm) == (order == "C")
    np.testing.assert_array_equal(jit(highest)(x), abs(x).max(1))
