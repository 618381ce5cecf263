"""Spherical harmonics."""

from __future__ import annotations

from math import pi
from typing import Any

import numpy as np

from ...core.devices import beside
from ...core.trace import typeof
from ...core.tracer import Tracer
from ...errors import ConcretizationError, UnsupportedArgumentError, UnsupportedDtypeError
from ...numpy.common import as_operand
from ...numpy.indexing import take


def sph_harm_y(n: Any, m: Any, theta: Any, phi: Any, *, diff_n: int | None = None, n_max: int | None = None) -> Any:
    """The spherical harmonic of degree n and order m, orthonormal, with the sign of Condon and Shortley.

    Args:
        n, m: arrays of integers, n at least zero; the result is zero where abs(m) > n.
        theta, phi: the angle from the pole, and that around the axis; both broadcast with n and m. Of theta outside
            of 0 to pi the cosine counts, as for SciPy: there its negative has the same value.
        n_max: the largest degree, which is needed where degrees are traced; those of larger ones are NaN. The time is
            proportional to it.

    Returns:
        Complex numbers. To differentiate, use jvp or jacfwd, or grad of a real function of them.

    Raises:
        ConcretizationError: n is traced, and n_max is not given.
        UnsupportedDtypeError: n or m are no integers.
        UnsupportedArgumentError: diff_n is given; other transformations give derivatives.

    Example:
        >>> from functrans.scipy import special
        >>> special.sph_harm_y([0, 1, 2], [0, 0, 1], 0.5, 0.25).round(6)
        array([ 0.282095+0.j      ,  0.428789+0.j      , -0.314934-0.080416j])
    """
    if diff_n is not None:
        raise UnsupportedArgumentError(
            f"scipy.special.sph_harm_y was called with diff_n={diff_n!r}.",
            "It returns derivatives beside the values, which the transformations give here.",
            "Use functrans.jvp or functrans.jacfwd by theta and phi.",
        )
    n, m, theta, phi = (as_operand(x) for x in (n, m, theta, phi))
    for x in (n, m):
        if typeof(x).dtype.kind not in "iu":
            raise UnsupportedDtypeError(
                f"scipy.special.sph_harm_y was given a degree or an order of dtype {typeof(x).dtype.name}.",
                "Degrees and orders are integers.",
                "Convert them with `astype(int)`.",
            )
    if n_max is None:
        n_max = _largest(n)
    order = np.abs(m)
    sine = np.sin(theta)
    sine = np.where(np.less(sine, 0), -sine, sine)  # whose derivative at the pole is that towards larger angles
    legendre = _normalized_legendre(n, order, np.cos(theta), sine, n_max)
    sign = np.where(np.less(m, 0) & np.equal(order % 2, 1), -1.0, 1.0)
    angle = m * phi
    return sign * legendre * (np.cos(angle) + 1j * np.sin(angle))


def _largest(n: Any) -> int:
    """The largest degree."""
    if isinstance(n, Tracer):
        raise ConcretizationError(
            "scipy.special.sph_harm_y was called with degrees that are traced.",
            "It goes from degree to degree, up to the largest, which has to be known.",
            "Pass n_max, or degrees that are NumPy arrays.",
        )
    return int(np.max(n, initial=0))


def _normalized_legendre(n: Any, m: Any, cosine: Any, sine: Any, n_max: int) -> Any:
    """Associated Legendre functions of order m >= 0, times what makes harmonics of them orthonormal.

    From degree m on each follows from the two before (DLMF 14.10.3, with the factors of norm 14.30.1), which is stable.
    """
    factors = np.cumprod([1.0, *((2 * j + 1) / (2 * j) for j in range(1, n_max + 1))])
    known = np.clip(m, 0, n_max)
    table = np.sqrt(factors / (4 * pi)) * (-1.0) ** np.arange(n_max + 1)
    first = take(beside(sine, table), known) * sine**known
    before, here, found = 0.0 * first, 0.0 * first, 0.0
    for degree in range(n_max + 1):
        below = np.where(np.less(m, degree), m, 0)  # elsewhere the recurrence has not begun
        squares = degree**2 - below * below
        step = np.sqrt(max(4 * degree**2 - 1, 1) / np.maximum(squares, 1))
        rest = np.sqrt(np.maximum((degree - 1) ** 2 - below * below, 0) / max(4 * (degree - 1) ** 2 - 1, 1))
        following = step * (cosine * here - rest * before)
        is_first, is_later = np.equal(m, degree), np.less(m, degree)
        before, here = here, np.where(is_first, first, np.where(is_later, following, 0.0))
        found = np.where(np.equal(n, degree), here, found)
    return np.where(np.greater(n, n_max), np.nan, found)
