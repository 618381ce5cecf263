"""Random numbers from explicit keys, with JAX's names and the same bits for the same key.

A key is a NumPy array of two uint32. Every function draws from a key and never changes it: the same key gives the same
numbers, so split it and use each part once. Keys may be traced, and `vmap` over keys draws what a loop would.

    >>> from functrans import random
    >>> key, subkey = random.split(random.key(0))
    >>> random.normal(subkey, (3,)).round(4)
    array([-1.4009,  1.4321,  0.6248])

Numbers are drawn with Threefry-2x32 (J. Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011). They
agree with those of JAX for its default generator since 0.5 (threefry2x32, partitionable) with 64-bit types enabled:

* exactly for `key`, `split`, `fold_in`, `bits`, `randint`, `permutation` and `uniform`; but XLA may fuse the multiply
  and add that bring `uniform` to a range whose width is no power of two, which changes the last bit;
* to the rounding of the functions they apply for `normal` and all others. JAX's erf_inv is off by up to 2e-12
  (float64) and 6e-6 (float32) in the tails, where SciPy's, used here, is right to a few units in the last place.
  Counts (`poisson`, `binomial`, `geometric`, `multinomial`) are JAX's but where such a rounding decides.

What the functions have in common: `key` is one key of shape (2,), or InvalidKeyError is raised; `shape` is an integer
or a sequence of them, or InvalidShapeError; parameters broadcast to `shape`, or ShapeMismatchError, and where it is
None they decide it; a parameter outside its domain raises RandomParameterError unless it is traced; `dtype` is float64,
float32, float16 or bfloat16 for real numbers, or UnsupportedDtypeError. Results are differentiable in floating
parameters.
"""

from .continuous import (
    beta,
    cauchy,
    dirichlet,
    exponential,
    gamma,
    gumbel,
    laplace,
    loggamma,
    logistic,
    multivariate_normal,
    normal,
    truncated_normal,
    uniform,
)
from .counts import binomial, geometric, multinomial, poisson
from .derived import (
    ball,
    chisquare,
    double_sided_maxwell,
    f,
    generalized_normal,
    lognormal,
    maxwell,
    orthogonal,
    pareto,
    rayleigh,
    t,
    triangular,
    wald,
    weibull_min,
)
from .discrete import bernoulli, bits, categorical, choice, permutation, rademacher, randint
from .keys import PRNGKey, clone, fold_in, key, key_data, split, wrap_key_data

__all__ = [
    "PRNGKey", "ball", "bernoulli", "beta", "binomial", "bits", "categorical", "cauchy", "chisquare", "choice",
    "clone", "dirichlet", "double_sided_maxwell", "exponential", "f", "fold_in", "gamma", "generalized_normal",
    "geometric", "gumbel", "key", "key_data", "laplace", "loggamma", "logistic", "lognormal", "maxwell", "multinomial",
    "multivariate_normal", "normal", "orthogonal", "pareto", "permutation", "poisson", "rademacher", "randint",
    "rayleigh", "split", "t", "triangular", "truncated_normal", "uniform", "wald", "weibull_min", "wrap_key_data",
]  # fmt: skip
