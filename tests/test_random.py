"""Random numbers: the published vectors, what JAX draws, what the distributions should be, and every transformation."""

import json
from pathlib import Path

import ml_dtypes  # noqa: F401  (NumPy knows bfloat16 by name then)
import numpy as np
import pytest
import scipy.special
import scipy.stats

import functrans as ft
import functrans.numpy as fnp
from functrans import random
from functrans.errors import (
    InvalidKeyError,
    InvalidShapeError,
    RandomParameterError,
    ShapeMismatchError,
    UnsupportedDtypeError,
)
from functrans.primitives.random import CHUNK, FEW, random_bits, threefry2x32_in_place, threefry2x32_words

KEY = random.key(0)
RECORDED = json.loads((Path(__file__).parent / "data" / "jax_random.json").read_text())["cases"]
#: Functions whose results are JAX's to the last bit; the others apply functions that round differently.
EXACT = {
    "key", "split", "fold_in", "bits", "uniform", "randint", "permutation", "choice", "bernoulli", "rademacher",
    "categorical", "poisson", "binomial", "geometric", "multinomial",
}  # fmt: skip
#: Relative errors allowed of the others: JAX's erf_inv and exp(log x) are right to this.
TOLERANCE = {"float64": 1e-12, "complex128": 1e-12, "float32": 6e-6, "complex64": 6e-6, "float16": 1e-3, "bfloat16": 1e-2}

#: What draws with a key and a shape; with the distribution function of what is drawn.
CONTINUOUS = {
    "uniform": (random.uniform, scipy.stats.uniform()),
    "uniform(-2, 3)": (lambda key, shape: random.uniform(key, shape, float, -2.0, 3.0), scipy.stats.uniform(-2, 5)),
    "normal": (random.normal, scipy.stats.norm()),
    "exponential": (random.exponential, scipy.stats.expon()),
    "gumbel": (random.gumbel, scipy.stats.gumbel_r()),
    "laplace": (random.laplace, scipy.stats.laplace()),
    "logistic": (random.logistic, scipy.stats.logistic()),
    "cauchy": (random.cauchy, scipy.stats.cauchy()),
    "truncated": (lambda key, shape: random.truncated_normal(key, -0.5, 2.0, shape), scipy.stats.truncnorm(-0.5, 2)),
    "gamma(0.3)": (lambda key, shape: random.gamma(key, 0.3, shape), scipy.stats.gamma(0.3)),
    "gamma(1)": (lambda key, shape: random.gamma(key, 1.0, shape), scipy.stats.gamma(1)),
    "gamma(7)": (lambda key, shape: random.gamma(key, 7.0, shape), scipy.stats.gamma(7)),
    "beta": (lambda key, shape: random.beta(key, 0.5, 2.0, shape), scipy.stats.beta(0.5, 2)),
    "lognormal": (lambda key, shape: random.lognormal(key, 0.7, shape), scipy.stats.lognorm(0.7)),
    "rayleigh": (lambda key, shape: random.rayleigh(key, 2.0, shape), scipy.stats.rayleigh(scale=2)),
    "pareto": (lambda key, shape: random.pareto(key, 1.5, shape), scipy.stats.pareto(1.5)),
    "weibull_min": (
        lambda key, shape: random.weibull_min(key, 2.0, 1.5, shape), scipy.stats.weibull_min(1.5, scale=2)
    ),
    "maxwell": (random.maxwell, scipy.stats.maxwell()),
    "double_sided_maxwell": (
        lambda key, shape: np.abs(random.double_sided_maxwell(key, 0.0, 1.0, shape)), scipy.stats.maxwell()
    ),
    "chisquare": (lambda key, shape: random.chisquare(key, 3.5, shape), scipy.stats.chi2(3.5)),
    "f": (lambda key, shape: random.f(key, 3.5, 6.0, shape), scipy.stats.f(3.5, 6)),
    "t": (lambda key, shape: random.t(key, 3.5, shape), scipy.stats.t(3.5)),
    "generalized_normal": (
        lambda key, shape: random.generalized_normal(key, 1.5, shape), scipy.stats.gennorm(1.5)
    ),
    "ball": (
        lambda key, shape: np.sum(random.ball(key, 3, 2, shape) ** 2, axis=-1) ** 1.5, scipy.stats.uniform()
    ),
    "triangular": (
        lambda key, shape: random.triangular(key, -1.0, 0.5, 2.0, shape), scipy.stats.triang(0.5, -1, 3)
    ),
    "wald": (lambda key, shape: random.wald(key, 2.0, shape), scipy.stats.invgauss(2)),
}
COUNTS = {
    "poisson(3)": lambda key, shape: random.poisson(key, 3.0, shape),
    "poisson(40)": lambda key, shape: random.poisson(key, 40.0, shape),
    "binomial(9, 0.3)": lambda key, shape: random.binomial(key, 9, 0.3, shape),
    "binomial(90, 0.7)": lambda key, shape: random.binomial(key, 90, 0.7, shape),
    "geometric(0.2)": lambda key, shape: random.geometric(key, 0.2, shape),
    "multinomial": lambda key, shape: random.multinomial(key, 20, np.full((*shape, 3), 1 / 3)),
}
DRAWS = {name: draw for name, (draw, _) in CONTINUOUS.items()} | {
    "bits": random.bits,
    "randint": lambda key, shape: random.randint(key, shape, -3, 1000),
    "bernoulli": lambda key, shape: random.bernoulli(key, 0.3, shape),
    "rademacher": random.rademacher,
    "choice": lambda key, shape: random.choice(key, 9, shape),
    "weighted choice": lambda key, shape: random.choice(key, 3, shape, p=np.array([1.0, 2.0, 0.5])),
    "categorical": lambda key, shape: random.categorical(key, np.array([0.0, 1.0, 2.0]), shape=shape),
    "permutation": lambda key, shape: random.permutation(key, np.arange(12.0).reshape(4, 3)),
    "dirichlet": lambda key, shape: random.dirichlet(key, np.array([1.0, 2.0]), shape),
    "multivariate": lambda key, shape: random.multivariate_normal(key, np.zeros(2), np.eye(2) + 0.3, shape),
    "complex normal": lambda key, shape: random.normal(key, shape, complex),
    "orthogonal": lambda key, shape: random.orthogonal(key, 3, shape).round(10),
    **COUNTS,
    "float32 normal": lambda key, shape: random.normal(key, shape, np.float32),
    "split": lambda key, shape: random.split(key, shape),
    "fold_in": lambda key, shape: random.fold_in(key, 7),
}


def assert_same(got, want) -> None:
    got, want = np.asarray(got), np.asarray(want)
    assert (got.dtype, got.shape) == (want.dtype, want.shape)
    np.testing.assert_array_equal(got, want)


# ---- the generator


@pytest.mark.parametrize(
    ("counter", "key", "block"),
    [
        ((0, 0), (0, 0), (0x6B200159, 0x99BA4EFE)),
        ((0xFFFFFFFF,) * 2, (0xFFFFFFFF,) * 2, (0x1CB996FC, 0xBB002BE7)),
        ((0x243F6A88, 0x85A308D3), (0x13198A2E, 0x03707344), (0xC4923A9C, 0x483DF7A0)),
    ],
)
def test_published_vectors(counter, key, block) -> None:
    """Threefry2x32 with 20 rounds, from `kat_vectors` of the Random123 distribution."""
    assert threefry2x32_words(*key, *counter) == block
    words = [np.array([word], np.uint32) for word in (*key, *counter)]
    threefry2x32_in_place(*words)
    assert (words[2][0], words[3][0]) == block


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32", "uint64", "float16", "bfloat16", "float32", "float64"])
def test_few_elements_are_drawn_like_many(dtype) -> None:
    """Python integers for a few blocks, arrays for more, several chunks for many: always element i of one stream."""
    dtype = np.dtype(dtype)
    many = random_bits(KEY, shape=(2 * CHUNK + 7,), dtype=dtype)
    assert_same(random_bits(KEY, shape=(FEW,), dtype=dtype), many[:FEW])
    assert_same(random_bits(KEY, shape=(5, 100), dtype=dtype), many[:500].reshape(5, 100))
    assert many.dtype == dtype


@pytest.mark.parametrize("size", [0, 1, 3, 200, CHUNK + 1])
def test_keys_in_a_batch_draw_like_each_alone(size) -> None:
    keys = random.split(KEY, (2, 3))
    drawn = random_bits(keys, shape=(size,), dtype=np.dtype(np.uint32))
    for index in np.ndindex(2, 3):
        assert_same(drawn[index], random.bits(keys[index], (size,), np.uint32))


def test_many_keys_are_split_like_few() -> None:
    assert_same(random.split(KEY, CHUNK + 3)[: FEW - 1], random.split(KEY, FEW - 1))


@pytest.mark.parametrize("case", RECORDED, ids=lambda case: f"{case['function']}-{case['arguments']}")
def test_draws_what_jax_draws(case) -> None:
    arguments = {
        name: value if not isinstance(value, list) else tuple(value) if name in ("shape", "num") else np.array(value)
        for name, value in case["arguments"].items()
    }
    take = arguments.pop("take", None)
    key = random.key(case["seed"])
    drawn = np.asarray(key if case["function"] == "key" else getattr(random, case["function"])(key, **arguments))
    assert drawn.dtype == case["dtype"]
    assert list(drawn.shape) == case["shape"]
    if drawn.dtype.kind == "c":
        recorded = np.array(case["values"][0]) + 1j * np.array(case["values"][1])
    else:
        recorded = np.array(case["values"], drawn.dtype)
    drawn = drawn if take is None else drawn[:take]
    if case["function"] in EXACT:
        np.testing.assert_array_equal(drawn, recorded)
    else:
        np.testing.assert_allclose(drawn.astype(complex), recorded.astype(complex), rtol=TOLERANCE[case["dtype"]])


def test_normal_maps_uniform_through_erfinv() -> None:
    u = random.uniform(KEY, (50,), float, np.nextafter(-1.0, 0.0), 1.0)
    assert_same(random.normal(KEY, (50,)), np.sqrt(2) * scipy.special.erfinv(u))


# ---- keys


def test_key_is_a_numpy_array() -> None:
    for key in (KEY, random.PRNGKey(0), random.key(np.int64(0)), random.key(np.uint8(0))):
        assert type(key) is np.ndarray
        assert_same(key, np.zeros(2, np.uint32))


def test_key_of_a_numpy_integer_is_that_of_its_bits() -> None:
    assert_same(random.key(np.int64(-1)), random.key(-1))
    assert_same(random.key(np.uint64(2**64 - 1)), random.key(-1))
    assert_same(random.key(np.int32(-1)), np.array([0, 0xFFFFFFFF], np.uint32))


def test_drawing_leaves_the_key_alone() -> None:
    key = random.key(5)
    for draw in DRAWS.values():
        draw(key, (3,))
    assert_same(key, random.key(5))


def test_derived_keys_differ() -> None:
    keys = np.concatenate([random.split(KEY, 1000), random.split(random.key(1), 1000)])
    assert len(np.unique(keys, axis=0)) == 2000


def test_split_is_fold_in_of_counters() -> None:
    assert_same(random.split(KEY, 3)[2], random.fold_in(KEY, 2))


# ---- distributions


@pytest.mark.parametrize("name", CONTINUOUS)
def test_continuous_distribution(name) -> None:
    draw, distribution = CONTINUOUS[name]
    drawn = draw(random.key(11), (20_000,))
    assert scipy.stats.kstest(drawn, distribution.cdf).pvalue > 1e-3


@pytest.mark.parametrize(
    ("name", "distribution"),
    [
        ("poisson(3)", scipy.stats.poisson(3)),
        ("poisson(40)", scipy.stats.poisson(40)),
        ("binomial(9, 0.3)", scipy.stats.binom(9, 0.3)),
        ("binomial(90, 0.7)", scipy.stats.binom(90, 0.7)),
        ("geometric(0.2)", scipy.stats.geom(0.2)),
    ],
)
def test_counts_are_as_likely_as_they_should_be(name, distribution) -> None:
    drawn = COUNTS[name](random.key(11), (20_000,))
    low, high = distribution.ppf(0.005), distribution.ppf(0.995)
    cells = np.arange(low, high + 1)
    seen = [np.sum(drawn <= low), *(np.sum(drawn == k) for k in cells[1:-1]), np.sum(drawn >= high)]
    likely = [distribution.cdf(low), *distribution.pmf(cells[1:-1]), distribution.sf(high - 1)]
    assert scipy.stats.chisquare(seen, np.multiply(likely, 20_000) / np.sum(likely)).pvalue > 1e-3


def test_counts_at_the_ends_of_their_parameters() -> None:
    assert_same(random.poisson(KEY, 0.0, (3,)), np.zeros(3, int))
    assert_same(random.binomial(KEY, np.array([0.0, 7.0, 7.0]), np.array([0.5, 0.0, 1.0])), np.array([0.0, 0.0, 7.0]))
    assert_same(random.geometric(KEY, 1.0, (3,)), np.ones(3, int))
    assert_same(random.multinomial(KEY, 100.0, [0.2, 0.5, 0.3]).sum(), np.float64(100))
    assert np.isnan(ft.jit(lambda p: random.binomial(KEY, 5, p))(-0.5))
    for call in (
        lambda: random.poisson(KEY, -1.0),
        lambda: random.binomial(KEY, -1, 0.5),
        lambda: random.binomial(KEY, 3, 1.5),
        lambda: random.geometric(KEY, 0.0),
        lambda: random.pareto(KEY, -1.0),
        lambda: random.wald(KEY, 0.0),
        lambda: random.triangular(KEY, 1.0, 1.0, 1.0),
        lambda: random.wrap_key_data(KEY, impl="rbg"),
    ):
        with pytest.raises(RandomParameterError):
            call()
    with pytest.raises(ShapeMismatchError):
        random.multinomial(KEY, 3, 0.5)


def test_derived_numbers_differentiate_in_their_parameters() -> None:
    for draw, x in (
        (lambda a: random.lognormal(KEY, a, (5,)), 0.7),
        (lambda a: random.wald(KEY, a, (5,)), 1.3),
        (lambda a: random.triangular(KEY, -a, 0.3 * a, 2.0, (5,)), 1.3),
        (lambda a: random.weibull_min(KEY, a, 2 * a, (5,)), 1.3),
    ):
        wanted = (draw(x + 1e-6) - draw(x - 1e-6)) / 2e-6
        np.testing.assert_allclose(ft.jvp(draw, (x,), (1.0,))[1], wanted, rtol=1e-6)
    by_df = ft.jvp(lambda df: random.chisquare(KEY, df, (5,)), (3.0,), (1.0,))
    by_shape = ft.jvp(lambda a: random.gamma(KEY, a, (5,)), (1.5,), (1.0,))
    np.testing.assert_allclose(by_df, np.array(by_shape) * [[2], [1]])


def test_orthogonal_matrices() -> None:
    for n, m in ((3, 3), (2, 4), (4, 2), (0, 3)):
        q = random.orthogonal(KEY, n, (5,), m=m)
        assert q.shape == (5, n, m)
        square = q @ q.mT if n <= m else q.mT @ q
        np.testing.assert_allclose(square, np.broadcast_to(np.eye(min(n, m)), square.shape), atol=1e-14)


def test_keys_are_their_own_data() -> None:
    assert_same(random.wrap_key_data(random.key_data(random.clone(KEY))), KEY)
    with pytest.raises(InvalidKeyError):
        random.wrap_key_data(np.zeros(3))


@pytest.mark.parametrize(("low", "high"), [(0, 10), (-4, 3), (0, 1 << 4)])
@pytest.mark.parametrize("dtype", [np.int8, np.uint16, np.int64])
def test_integers_are_equally_likely(low, high, dtype) -> None:
    if low < 0 and np.dtype(dtype).kind == "u":
        low, high = 0, high - low
    drawn = random.randint(random.key(3), (20_000,), low, high, dtype)
    assert scipy.stats.chisquare(np.bincount(drawn.astype(int) - low, minlength=high - low)).pvalue > 1e-3


def test_orders_are_equally_likely() -> None:
    orders = np.stack([random.permutation(key, 3) for key in random.split(KEY, 3000)])
    _, counts = np.unique(orders, axis=0, return_counts=True)
    assert len(counts) == 6
    assert scipy.stats.chisquare(counts).pvalue > 1e-3


@pytest.mark.parametrize("replace", [True, False])
def test_weights_of_choice(replace) -> None:
    p = np.array([0.1, 0.0, 0.4, 0.5])
    drawn = np.stack([random.choice(key, 4, (2,), replace, p) for key in random.split(KEY, 3000)])
    counts = np.bincount(drawn[:, 0], minlength=4)
    assert counts[1] == 0
    assert scipy.stats.chisquare(counts[[0, 2, 3]], 3000 * p[[0, 2, 3]]).pvalue > 1e-3
    assert replace or (drawn[:, 0] != drawn[:, 1]).all()


def test_categorical_probabilities() -> None:
    logits = np.array([[0.0, 1.0, -1.0], [3.0, 0.0, 0.0]])
    drawn = random.categorical(KEY, logits, shape=(20_000, 2))
    for row in range(2):
        counts = np.bincount(drawn[:, row], minlength=3)
        assert scipy.stats.chisquare(counts, 20_000 * scipy.special.softmax(logits[row])).pvalue > 1e-3


def test_bernoulli_and_rademacher_means() -> None:
    drawn = random.bernoulli(KEY, np.array([0.0, 0.25, 1.0]), (10_000, 3))
    np.testing.assert_allclose(drawn.mean(0), [0, 0.25, 1], atol=0.02)
    assert abs(random.rademacher(KEY, 10_000).mean()) < 0.04


@pytest.mark.parametrize("method", ["cholesky", "eigh", "svd"])
def test_multivariate_normal_moments(method) -> None:
    cov = np.array([[2.0, 0.6], [0.6, 0.5]])
    drawn = random.multivariate_normal(KEY, np.array([1.0, -2.0]), cov, (50_000,), method=method)
    np.testing.assert_allclose(drawn.mean(0), [1, -2], atol=0.03)
    np.testing.assert_allclose(np.cov(drawn.T), cov, atol=0.05)


def test_dirichlet_moments() -> None:
    alpha = np.array([0.5, 1.0, 3.0])
    drawn = random.dirichlet(KEY, alpha, 20_000)
    np.testing.assert_allclose(drawn.sum(-1), 1, rtol=1e-12)
    np.testing.assert_allclose(drawn.mean(0), scipy.stats.dirichlet(alpha).mean(), atol=0.01)
    np.testing.assert_allclose(drawn.var(0), scipy.stats.dirichlet(alpha).var(), atol=0.005)


def test_complex_normal_has_unit_variance() -> None:
    drawn = random.normal(KEY, (20_000,), complex)
    np.testing.assert_allclose([drawn.real.var(), drawn.imag.var()], 0.5, rtol=0.05)
    assert abs(np.mean(drawn**2)) < 0.03


def test_small_gamma_variates_do_not_underflow_in_logarithms() -> None:
    assert np.isfinite(random.loggamma(KEY, 1e-6, (100,))).all()
    assert (random.gamma(KEY, 1e-6, (100,)) == 0).any()


def test_bounds_of_intervals() -> None:
    assert (random.uniform(KEY, (10_000,), np.float16) < 1).all()
    drawn = random.truncated_normal(KEY, 3.0, 3.001, (10_000,))
    assert ((drawn > 3) & (drawn < 3.001)).all()


def test_permutation_moves_whole_slices_or_single_elements() -> None:
    x = np.arange(40.0).reshape(4, 10)
    whole = random.permutation(KEY, x, axis=1)
    assert_same(np.sort(whole, 1), x)
    assert (np.diff(whole, axis=0) == 10).all()
    single = random.permutation(KEY, x, axis=1, independent=True)
    assert_same(np.sort(single, 1), x)
    assert not (np.diff(single, axis=0) == 10).all()


# ---- transformations


@pytest.mark.parametrize("name", DRAWS)
def test_vmap_over_keys_is_a_loop(name) -> None:
    keys = random.split(random.key(2), 3)
    got, want = ft.vmap(lambda key: DRAWS[name](key, (4,)))(keys), np.stack([DRAWS[name](key, (4,)) for key in keys])
    if name == "multivariate":  # products of many matrices round differently
        np.testing.assert_allclose(got, want, rtol=1e-13)
    else:
        assert_same(got, want)


@pytest.mark.parametrize("name", DRAWS)
def test_jit_draws_the_same(name) -> None:
    got, want = ft.jit(lambda key: DRAWS[name](key, (4,)))(KEY), np.asarray(DRAWS[name](KEY, (4,)))
    assert (np.asarray(got).dtype, np.shape(got)) == (want.dtype, want.shape)
    if want.dtype.kind in "fc":
        np.testing.assert_allclose(got, want, rtol=1e-6 if want.dtype == np.float32 else 1e-14)
    else:
        np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("name", DRAWS)
def test_jit_of_vmap_of_jit_draws_the_same(name) -> None:
    keys = random.split(random.key(2), 3)
    draw = ft.jit(ft.vmap(ft.jit(lambda key: DRAWS[name](key, (2,)))))
    want = np.stack([DRAWS[name](key, (2,)) for key in keys])
    np.testing.assert_allclose(draw(keys), want, rtol=1e-6 if want.dtype == np.float32 else 1e-14)


def test_seeds_and_folded_numbers_can_be_traced() -> None:
    seeds = np.array([0, 7, -1, 2**40])
    assert_same(ft.vmap(random.key)(seeds), np.stack([random.key(int(seed)) for seed in seeds]))
    assert_same(ft.jit(random.key)(-1), random.key(-1))
    numbers = np.arange(5)
    want = np.stack([random.fold_in(KEY, int(number)) for number in numbers])
    assert_same(ft.vmap(lambda number: random.fold_in(KEY, number))(numbers), want)
    keys = random.split(KEY, 5)
    want = np.stack([random.fold_in(key, int(number)) for key, number in zip(keys, numbers)])
    assert_same(ft.vmap(random.fold_in)(keys, numbers), want)


def test_vmap_over_parameters_alone_uses_one_key() -> None:
    low, high = np.array([0.0, -1.0, 5.0]), np.array([1.0, 4.0, 7.0])
    got = ft.vmap(lambda low, high: random.uniform(KEY, (3,), float, low, high))(low, high)
    assert_same(got, np.stack([random.uniform(KEY, (3,), float, *bounds) for bounds in zip(low, high)]))
    got = ft.vmap(lambda low: random.randint(KEY, (3,), low, 100))(np.array([0, 50]))
    assert_same(got, np.stack([random.randint(KEY, (3,), low, 100) for low in (0, 50)]))
    got = ft.vmap(lambda a: random.gamma(KEY, a, (3,)))(np.array([0.5, 2.0]))
    assert_same(got, np.stack([random.gamma(KEY, a, (3,)) for a in (0.5, 2.0)]))


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int32, np.uint32, np.int64, np.uint64])
@pytest.mark.parametrize("span", [1, 7, 64, 100])
def test_traced_bounds_of_integers(dtype, span) -> None:
    def draw(low, high):
        return random.randint(KEY, (20,), low, high, dtype)

    assert_same(ft.jit(draw)(3, 3 + span), draw(3, 3 + span))
    assert_same(draw(np.full(20, 3), 3 + span), draw(3, 3 + span))


def test_wide_and_empty_ranges_of_traced_bounds() -> None:
    draw = ft.jit(lambda low, high: random.randint(KEY, (20,), low, high))
    assert_same(draw(-(2**63), 2**63 - 1), random.randint(KEY, (20,), -(2**63), 2**63 - 1))
    assert_same(draw(5, 5), np.full(20, 5))
    narrow = ft.jit(lambda low, high: random.randint(KEY, (20,), low, high, np.int32))
    assert_same(narrow(-(2**31), 2**31), random.randint(KEY, (20,), -(2**31), 2**31, np.int32))


REPARAMETRIZED = {
    "uniform": (lambda low, high: random.uniform(KEY, (6,), float, low, high), (-0.5, 1.7)),
    "normal": (lambda mean, width: mean + width * random.normal(KEY, (6,)), (0.3, 2.0)),
    "truncated": (lambda low, high: random.truncated_normal(KEY, low, high, (6,)), (-0.7, 1.2)),
    "multivariate": (
        lambda a, b: random.multivariate_normal(
            KEY, fnp.stack([a, b]), fnp.stack([fnp.stack([1 + a, b]), fnp.stack([b, 3 + a])]), (3,)
        ),
        (0.4, 0.2),
    ),
}


@pytest.mark.parametrize("argnum", [0, 1])
@pytest.mark.parametrize("name", REPARAMETRIZED)
def test_derivatives_by_parameters(name, argnum) -> None:
    draw, at = REPARAMETRIZED[name]

    def along(t):
        return draw(*(x + t * (i == argnum) for i, x in enumerate(at)))

    step = 1e-5
    difference = (along(step) - along(-step)) / (2 * step)
    forward = ft.jvp(along, (0.0,), (1.0,))[1]
    np.testing.assert_allclose(forward, difference, rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(ft.jacrev(along)(0.0), difference, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("a", [1e-3, 0.05, 0.4, 1.0, 2.5, 30.0, 1e4])
def test_gamma_moves_with_its_quantile(a) -> None:
    """The derivative of the quantile function at a fixed quantile, by differences of SciPy's inverse."""
    x, slope = ft.jvp(lambda a: random.gamma(KEY, a, (8,)), (a,), (1.0,))
    quantile, upper = scipy.special.gammainc(a, x), scipy.special.gammaincc(a, x)
    step = 1e-4 * a

    def move(a):
        inverse = scipy.special.gammaincinv(a, quantile), scipy.special.gammainccinv(a, upper)
        return np.where(quantile < 0.5, *inverse)

    seen = x > 1e-250
    difference = (8 * (move(a + step) - move(a - step)) - (move(a + 2 * step) - move(a - 2 * step))) / (12 * step)
    np.testing.assert_allclose(slope[seen], difference[seen], rtol=2e-6)


def test_second_derivative_of_gamma() -> None:
    def slope(a):
        return ft.jvp(lambda a: random.loggamma(KEY, a, (8,)), (a,), (1.0,))[1]

    # The slope at (a, y) is differentiated along the path of the quantile, which the sampler follows only until a
    # rejection changes: so follow it explicitly.
    a, step = 1.3, 1e-4
    y = random.loggamma(KEY, a, (8,))
    quantile = scipy.special.gammainc(a, np.exp(y))
    move = [np.log(scipy.special.gammaincinv(a + k * step, quantile)) for k in (-1, 0, 1)]
    difference = (move[0] - 2 * move[1] + move[2]) / step**2
    np.testing.assert_allclose(ft.jvp(slope, (a,), (1.0,))[1], difference, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(ft.jacrev(slope)(a), ft.jvp(slope, (a,), (1.0,))[1], rtol=1e-9)


def test_gradient_of_an_expectation_over_gamma_variates() -> None:
    """d/da E[x**2] = d/da a (a + 1) = 2 a + 1."""
    gradient = ft.grad(lambda a: fnp.mean(random.gamma(KEY, a, (40_000,)) ** 2))(1.5)
    np.testing.assert_allclose(gradient, 4.0, rtol=0.05)


def test_gradients_of_means_of_beta_and_dirichlet_variates() -> None:
    """E[x] = a / (a + b) has derivative b / (a + b)**2 by a; and so for the first component of a Dirichlet vector."""
    gradient = ft.grad(lambda a: fnp.mean(random.beta(KEY, a, 3.0, (40_000,))))(0.6)
    np.testing.assert_allclose(gradient, 3.0 / 3.6**2, rtol=0.03)
    gradient = ft.grad(lambda alpha: fnp.mean(random.dirichlet(KEY, alpha, (40_000,))[:, 0]))(np.array([0.6, 3.0]))
    np.testing.assert_allclose(gradient, [3.0 / 3.6**2, -0.6 / 3.6**2], rtol=0.03)


def test_jit_of_grad_through_drawing() -> None:
    def loss(width, key):
        return fnp.mean((width * random.normal(key, (10,))) ** 2)

    np.testing.assert_allclose(ft.jit(ft.grad(loss))(2.0, KEY), 4 * np.mean(random.normal(KEY, (10,)) ** 2))


def test_one_key_is_one_equation() -> None:
    assert str(ft.make_jaxpr(lambda key: random.uniform(key, (3,)))(KEY)).count("=") <= 4


# ---- bad input


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: random.normal(0, (3,)), InvalidKeyError, r"random\.key\(seed\)"),
        (lambda: random.normal(np.zeros(2), (3,)), InvalidKeyError, r"f64\[2\] was given as a random key"),
        (lambda: random.normal(np.zeros(3, np.uint32)), InvalidKeyError, r"u32\[3\]"),
        (lambda: random.normal(random.split(KEY)), InvalidKeyError, r"vmap\(lambda key"),
        (lambda: random.split(random.split(KEY)), InvalidKeyError, "one key is expected"),
        (lambda: random.key(1.5), InvalidKeyError, "A seed is one integer"),
        (lambda: random.key(np.arange(3)), InvalidKeyError, r"vmap\(random\.key\)"),
        (lambda: random.key(2**64), RandomParameterError, "64 bits"),
        (lambda: random.fold_in(KEY, -1), RandomParameterError, "no sign"),
        (lambda: random.fold_in(KEY, np.arange(2)), RandomParameterError, r"vmap\(random\.fold_in"),
        (lambda: random.uniform(KEY, (2.0,)), InvalidShapeError, r"\(2\.0,\)"),
        (lambda: random.uniform(KEY, "ab"), InvalidShapeError, "sequence of integers"),
        (lambda: random.uniform(KEY, (3, -1)), InvalidShapeError, "none of them negative"),
        (lambda: random.split(KEY, -1), InvalidShapeError, "-1"),
        (lambda: random.uniform(KEY, (3,), int), UnsupportedDtypeError, "int64 were asked for"),
        (lambda: random.bits(KEY, (3,), np.int32), UnsupportedDtypeError, "uint16, uint32"),
        (lambda: random.randint(KEY, (3,), 0, 5, float), UnsupportedDtypeError, "float64 were asked for"),
        (lambda: random.normal(KEY, (3,), np.longdouble), UnsupportedDtypeError, "complex128"),
        (lambda: random.uniform(KEY, (3,), float, 1.0, 0.0), RandomParameterError, "Swap the bounds"),
        (lambda: random.uniform(KEY, (3,), float, 1j), UnsupportedDtypeError, "real part"),
        (lambda: random.uniform(KEY, (3,), float, np.zeros((2, 3))), ShapeMismatchError, "Enlarge `shape`"),
        (lambda: random.uniform(KEY, (3,), float, np.zeros(4)), ShapeMismatchError, "broadcast"),
        (lambda: random.randint(KEY, (3,), 4, 4), RandomParameterError, "minval = 4, maxval = 4"),
        (lambda: random.randint(KEY, (3,), 0, 257, np.uint8), RandomParameterError, "fit the dtype"),
        (lambda: random.randint(KEY, (3,), 0.0, 5), UnsupportedDtypeError, "Bounds of integers"),
        (lambda: random.permutation(KEY, 2.5), RandomParameterError, "arange"),
        (lambda: random.permutation(KEY, -1), RandomParameterError, "not negative"),
        (lambda: random.permutation(KEY, np.zeros(3), axis=1), np.exceptions.AxisError, "out of bounds"),
        (lambda: random.choice(KEY, 0, (2,)), RandomParameterError, "2 elements"),
        (lambda: random.choice(KEY, 3, (4,), False), RandomParameterError, "without replacement"),
        (lambda: random.choice(KEY, 3, (2,), p=np.ones(4)), ShapeMismatchError, r"\(3,\)"),
        (lambda: random.choice(KEY, 2, (2,), p=np.array([1.0, -1.0])), RandomParameterError, "not negative"),
        (lambda: random.choice(KEY, 2, (2,), p=np.zeros(2)), RandomParameterError, "at least 1"),
        (lambda: random.choice(KEY, 3, (2,), False, np.array([0.0, 1.0, 0.0])), RandomParameterError, "at least 2"),
        (lambda: random.bernoulli(KEY, 1.5), RandomParameterError, r"\[0, 1\]"),
        (lambda: random.gamma(KEY, -1.0), RandomParameterError, "not negative"),
        (lambda: random.dirichlet(KEY, 2.0), ShapeMismatchError, "Pass a vector"),
        (lambda: random.categorical(KEY, np.zeros((2, 3)), shape=(4,)), ShapeMismatchError, "broadcast"),
        (lambda: random.categorical(KEY, np.zeros(3), shape=(4,), replace=False), RandomParameterError, "3 categories"),
        (lambda: random.multivariate_normal(KEY, np.zeros(2), np.eye(3)), ShapeMismatchError, r"\(\.\.\., n, n\)"),
        (lambda: random.multivariate_normal(KEY, np.zeros(2), np.eye(2), method="lu"), RandomParameterError, "eigh"),
    ],
)
def test_bad_input_is_named(call, error, text) -> None:
    with pytest.raises(error, match=text):
        call()


def test_traced_batches_of_keys_are_refused_too() -> None:
    with pytest.raises(InvalidKeyError, match="one key is expected"):
        ft.jit(lambda keys: random.normal(keys, (3,)))(random.split(KEY))
