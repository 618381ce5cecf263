"""Distributions and statistics under SciPy's names, for arrays and traced values alike.

Each distribution is an object with functions that take the shape parameters after what they are asked about, and then
`loc` and `scale`: `stats.gamma.logpdf(x, 2.5, loc=0, scale=3)`. The continuous ones have logpdf, pdf, cdf, logcdf, sf,
logsf, ppf and isf, the discrete ones logpmf, pmf, cdf, logcdf, sf and logsf. They differentiate in all parameters.

    >>> import functrans as ft
    >>> from functrans.scipy.stats import norm, poisson, t
    >>> float(ft.grad(norm.logpdf, 2)(1.0, 0.0, 2.0))    # by the scale
    -0.375
    >>> float(ft.grad(t.cdf, 1)(1.0, 5.0).round(6))      # by the degrees of freedom
    0.004337
    >>> float(poisson.cdf(2, mu=1.5).round(6))
    0.808847
"""

from ...core.libraries import absent_from
from .continuous import (
    cauchy,
    expon,
    gumbel_l,
    gumbel_r,
    halfcauchy,
    laplace,
    logistic,
    pareto,
    rayleigh,
    uniform,
    vonmises,
    weibull_min,
    wrapcauchy,
)
from .discrete import bernoulli, betabinom, binom, geom, nbinom, poisson
from .gammas import beta, chi2, f, gamma, invgamma, t
from .multivariate import dirichlet, multinomial, multivariate_normal
from .normals import gennorm, halfnorm, lognorm, norm, truncnorm
from .samples import gaussian_kde, mode, rankdata, sem

__getattr__ = absent_from(__name__)

__all__ = [
    "bernoulli", "beta", "betabinom", "binom", "cauchy", "chi2", "dirichlet", "expon", "f", "gamma", "gaussian_kde",
    "gennorm", "geom", "gumbel_l", "gumbel_r", "halfcauchy", "halfnorm", "invgamma", "laplace", "logistic", "lognorm",
    "mode", "multinomial", "multivariate_normal", "nbinom", "norm", "pareto", "poisson", "rankdata", "rayleigh", "sem",
    "t", "truncnorm", "uniform", "vonmises", "weibull_min", "wrapcauchy",
]  # fmt: skip
