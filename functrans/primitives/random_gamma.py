"""Gamma-distributed random numbers: a rejection sampler that works on all elements at once, and its derivative.

Everything is done on the logarithm of the variate, which does not underflow for small shape parameters.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any, Final

import numpy as np

from ..core.avals import ShapedArray
from ..core.devices import here
from ..core.dtypes import finfo, kind_of
from ..core.primitive import Primitive
from ..core.trace import Params, typeof
from ..errors import DtypeMismatchError, ShapeMismatchError
from . import gamma_lanes
from .elementwise import (
    absolute,
    add,
    divide,
    exp,
    expm1,
    less_equal,
    minimum,
    multiply,
    negative,
    select,
    sqrt,
    subtract,
)
from .foundation import all_mapped, reduce_sum, reshape, scale
from .random import check_key, fold_in, random_bits
from .special import digamma, erfinv


class LogGamma(Primitive):
    """Logarithms of gamma variates of shape parameter `a`, one for each element of `a`.

    `key` has shape (*batch, 2) and `a` shape (*batch, *shape): each key draws for its own part of `a`.
    """

    is_left_to_programs = True

    def abstract_eval(self, key: ShapedArray, a: ShapedArray) -> list[ShapedArray]:
        check_key(key)
        if kind_of(a.dtype) != "f":
            raise DtypeMismatchError(
                f"The shape parameter of a gamma distribution has type {a}.",
                "It is a real floating-point number.",
                "Convert it with `.astype(float)`.",
            )
        if a.shape[: key.ndim - 1] != key.shape[:-1]:
            raise ShapeMismatchError(f"Keys of type {key} were given for shape parameters of type {a}.")
        return [a.strong()]

    def impl(self, key: Any, a: Any) -> list[Any]:
        keys = descendants(key, prod(a.shape[key.ndim - 1 :]))
        return [draw_log_gamma(keys.reshape(-1, 2), a.reshape(-1)).reshape(a.shape)]

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Sequence[Any], Sequence[Any]]:
        y = self(*primals)
        return [y], [scale(tangents[1], log_gamma_slope(primals[1], y))]

    def batch(self, size: int, values: Sequence[Any], mapped: Sequence[bool]) -> tuple[Sequence[Any], Sequence[bool]]:
        return [self(*all_mapped(size, values, mapped))], [True]

    def assemble(
        self, assembler: Any, block: list[Any], sources: Sequence[Any], targets: Sequence[Any], params: Params
    ) -> bool:
        gamma_lanes.assemble(assembler, block, *sources, *targets)
        return True


log_gamma_variate = LogGamma("log_gamma_variate")


def descendants(keys: Any, count: int) -> Any:
    """`count` keys derived from each of an array of keys, along a new axis before the last."""
    return fold_in.impl(keys[..., None, :], np.arange(count, dtype=np.uint32, like=keys))[0]


def draw_uniform(keys: Any, dtype: np.dtype[Any]) -> Any:
    return random_bits.impl(keys, shape=(), dtype=dtype)[0]


def draw_normal(keys: Any, dtype: np.dtype[Any]) -> Any:
    """One standard normal number for each key, as `functrans.random.normal` draws it."""
    low = np.nextafter(dtype.type(-1), dtype.type(0))
    return dtype.type(np.sqrt(2)) * erfinv.impl(draw_uniform(keys, dtype) * (dtype.type(1) - low) + low)[0]


def draw_positive(keys: Any, c: Any) -> tuple[Any, Any]:
    """Normal numbers x with v = 1 + c * x > 0, and v; one pair for each key, drawn again until v is positive."""
    x, v = np.zeros_like(c), np.zeros_like(c)
    pending = np.arange(len(keys), like=keys)
    while len(pending):
        keys, normal_key = np.moveaxis(descendants(keys, 2), 1, 0)
        drawn = draw_normal(normal_key, c.dtype)
        x[pending], v[pending] = drawn, 1 + drawn * c[pending]
        again = v[pending] <= 0
        keys, pending = keys[again], pending[again]
    return x, v


def draw_log_gamma(keys: Any, a: Any) -> Any:
    """Marsaglia and Tsang's rejection method (ACM TOMS 26, 2000), repeated for the elements that are still rejected.

    Where a < 1 it draws for a + 1, and the result is lowered by a factor U**(1/a).
    """
    state, boost_key = np.moveaxis(descendants(keys, 2), 1, 0)
    log_cube = np.zeros_like(a)
    pending = np.arange(len(a), like=keys)
    with np.errstate(divide="ignore", invalid="ignore"):
        d = np.where(a < 1, a + 1, a) - a.dtype.type(1 / 3)
        c = a.dtype.type(1 / 3) / np.sqrt(d)
        while len(pending):
            state, normal_key, uniform_key = np.moveaxis(descendants(state, 3), 1, 0)
            x, v = draw_positive(normal_key, c[pending])
            square, cube, u = x * x, v * v * v, draw_uniform(uniform_key, a.dtype)
            log_cube[pending] = np.log(cube)
            bound = square * 0.5 + d[pending] * (1 - cube + log_cube[pending])
            rejected = (u >= 1 - 0.0331 * (square * square)) & (np.log(u) >= bound)
            state, pending = state[rejected], pending[rejected]
        log_u = np.log1p(-draw_uniform(boost_key, a.dtype))
        boost = np.where((a < 1) & (log_u != 0), log_u * (1 / a), a.dtype.type(0))
        return np.log(d) + log_cube + boost


#: Nodes and weights of the exp-sinh rule for integrals over [0, inf) of what decays like exp(-u): the trapezoidal rule
#: in t with u = exp(t - exp(-t)) (H. Takahasi and M. Mori, "Double exponential formulas for numerical integration",
#: Publ. RIMS 9, 1974). With this step the slopes below are right to 11 digits.
_STEP: Final = 1 / 16
_T: Final = np.arange(-4.0, 4.25, _STEP)
NODES: Final = np.exp(_T - np.exp(-_T))
WEIGHTS: Final = _STEP * NODES * (1 + np.exp(-_T))


def log_gamma_slope(a: Any, y: Any) -> Any:
    """dy/da of the logarithm y of a gamma variate x, at a fixed quantile of the distribution.

    The quantile F(a, x) does not move if dx/da = -(dF/da) / p(x), p being the density: implicit reparametrization
    (M. Figurnov, S. Mohamed and A. Mnih, NeurIPS 2018). With x * exp(-sw) for the variable of integration, s = 1 below
    the mode and s = -1 above it, dF/da is the integral of smooth functions that decay fast:

        dy/da = -s * integral over w > 0 of (y - digamma(a) - s w) * exp(-s a w - x * expm1(-s w))
    """
    aval = typeof(y)
    nodes, weights = here(NODES.astype(aval.dtype)), here(WEIGHTS.astype(aval.dtype))
    a, y = (reshape(v, shape=(*aval.shape, 1)) for v in (a, y))
    x = exp(y)
    below = less_equal(x, a)
    s = select(below, aval.dtype.type(1), aval.dtype.type(-1))
    # The width of the integrand; `tiny` keeps the derivative of the root finite where x underflows to zero.
    root = sqrt(add(x, finfo(aval.dtype).tiny))
    width = divide(1, add(absolute(subtract(a, x)), select(below, minimum(root, a), add(root, 1))))
    sw = multiply(multiply(s, width), nodes)
    # Where the argument of expm1 is cut off the integrand is zero already.
    cut = minimum(negative(sw), 0.9 * np.log(finfo(aval.dtype).max))
    density = exp(subtract(negative(multiply(a, sw)), multiply(x, expm1(cut))))
    integrand = multiply(subtract(subtract(y, digamma(a)), sw), density)
    integral = reduce_sum(multiply(integrand, weights), axes=(len(aval.shape),))
    return negative(multiply(reshape(multiply(s, width), shape=aval.shape), integral))
