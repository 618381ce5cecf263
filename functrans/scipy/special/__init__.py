"""Special functions under SciPy's names, for arrays and traced values alike.

The ufuncs of `scipy.special` themselves take traced values too, those that have a function here and a few more; the
other functions of `scipy.special` do not. All functions broadcast, and promote as SciPy's do.
"""

from ...core.libraries import absent_from
from ...nn import logsumexp
from .bessel import (
    bessel_jn,
    i0,
    i0e,
    i1,
    i1e,
    iv,
    ive,
    j0,
    j1,
    jv,
    k0,
    k0e,
    k1,
    k1e,
    y0,
    y1,
)
from .errors import (
    dawsn,
    erf,
    erfc,
    erfcinv,
    erfcx,
    erfinv,
    log_ndtr,
    ndtr,
    ndtri,
    owens_t,
    wofz,
)
from .gammas import (
    bernoulli,
    beta,
    betainc,
    betaincc,
    betaincinv,
    betaln,
    binom,
    comb,
    digamma,
    factorial,
    gamma,
    gammainc,
    gammaincc,
    gammainccinv,
    gammaincinv,
    gammaln,
    gammasgn,
    loggamma,
    multigammaln,
    poch,
    polygamma,
    stdtr,
    stdtrit,
    zeta,
)
from .harmonics import sph_harm_y
from .information import (
    boxcox,
    boxcox1p,
    entr,
    expit,
    exprel,
    huber,
    inv_boxcox,
    inv_boxcox1p,
    kl_div,
    log_expit,
    log_softmax,
    logit,
    pseudo_huber,
    rel_entr,
    softmax,
    xlog1py,
    xlogy,
)
from .integrals import (
    ellipe,
    ellipk,
    exp1,
    expi,
    expn,
    fresnel,
    hyp1f1,
    hyp2f1,
    sici,
    spence,
)

__getattr__ = absent_from(__name__)

__all__ = [
    "bernoulli", "bessel_jn", "beta", "betainc", "betaincc", "betaincinv", "betaln", "binom", "boxcox", "boxcox1p",
    "comb", "dawsn", "digamma", "ellipe", "ellipk", "entr", "erf", "erfc", "erfcinv", "erfcx", "erfinv", "exp1", "expi",
    "expit", "expn", "exprel", "factorial", "fresnel", "gamma", "gammainc", "gammaincc", "gammainccinv", "gammaincinv",
    "gammaln", "gammasgn", "huber", "hyp1f1", "hyp2f1", "i0", "i0e", "i1", "i1e", "inv_boxcox", "inv_boxcox1p", "iv",
    "ive", "j0", "j1", "jv", "k0", "k0e", "k1", "k1e", "kl_div", "log_expit", "log_ndtr", "log_softmax", "loggamma",
    "logit", "logsumexp", "multigammaln", "ndtr", "ndtri", "owens_t", "poch", "polygamma", "pseudo_huber", "rel_entr",
    "sici", "softmax", "spence", "sph_harm_y", "stdtr", "stdtrit", "wofz", "xlog1py", "xlogy", "y0", "y1", "zeta",
]  # fmt: skip
