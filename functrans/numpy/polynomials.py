"""Polynomials as arrays of coefficients, highest power first.

NumPy drops leading zeros of products, remainders and polynomials to be solved. Where coefficients are not known while
tracing, they are taken to be different from zero.
"""

from __future__ import annotations

from operator import index
from typing import Any

import numpy as np

from ..core.avals import is_inexact
from ..core.devices import here
from ..core.dtypes import finfo, result_type
from ..core.trace import typeof
from .common import as_operand, cast, known_value
from .contractions import convolve
from .creation import vander
from .manipulation import atleast_1d

INEXACT = np.dtype(float)


def _coefficients(p: Any, what: str = "p") -> Any:
    """Coefficients as a vector."""
    p = atleast_1d(as_operand(p))
    if typeof(p).ndim != 1:
        raise ValueError(f"{what} is a vector of coefficients, but has shape {typeof(p).shape}")
    return p


def _inexact(p: Any) -> Any:
    """Floats in place of integers and booleans."""
    return p if is_inexact(typeof(p).dtype) else cast(p, INEXACT)


def _without_leading_zeros(p: Any) -> Any:
    """The same polynomial, as far as its coefficients are known."""
    known = known_value(p)
    if known is None or not known.size:
        return p
    nonzero = np.flatnonzero(known)
    return p[nonzero[0] if nonzero.size else known.size - 1 :]


def polyadd(a1: Any, a2: Any) -> Any:
    """numpy.polyadd."""
    a, b = _aligned(a1, a2)
    return np.add(a, b)


def polysub(a1: Any, a2: Any) -> Any:
    """numpy.polysub."""
    a, b = _aligned(a1, a2)
    return np.subtract(a, b)


def _aligned(a1: Any, a2: Any) -> list[Any]:
    """Two polynomials with as many coefficients each."""
    polynomials = [_coefficients(a1, "a1"), _coefficients(a2, "a2")]
    count = max(typeof(p).size for p in polynomials)
    return [np.pad(p, (count - typeof(p).size, 0)) for p in polynomials]


def polymul(a1: Any, a2: Any) -> Any:
    """numpy.polymul."""
    return convolve(_without_leading_zeros(_coefficients(a1, "a1")), _without_leading_zeros(_coefficients(a2, "a2")))


def polydiv(u: Any, v: Any) -> tuple[Any, Any]:
    """numpy.polydiv: quotient and remainder."""
    u, v = np.add(_coefficients(u, "u"), 0.0), np.add(_coefficients(v, "v"), 0.0)
    dtype = result_type(typeof(u).dtype, typeof(v).dtype)
    divisors, rest = typeof(v).size, cast(u, dtype)
    steps = typeof(u).size - divisors + 1
    if steps < 1:
        return np.zeros(1, dtype), _without_leading_zeros(rest)
    quotient: list[Any] = []
    for _ in range(steps):
        quotient.append(np.divide(rest[0], v[0]))
        rest = np.concatenate([rest[1:divisors] - quotient[-1] * v[1:], rest[divisors:]])
    rest = rest if divisors > 1 else np.zeros(1, dtype)
    return np.stack(quotient), _without_leading_zeros(rest)


def polyder(p: Any, m: int = 1) -> Any:
    """numpy.polyder: the coefficients of the m-th derivative."""
    m = index(m)
    if m < 0:
        raise ValueError("Order of derivative must be positive (see polyint)")
    p = as_operand(p)
    for _ in range(m):
        p = np.multiply(p[:-1], here(np.arange(typeof(p).size - 1, 0, -1)))
    return p


def polyint(p: Any, m: int = 1, k: Any = None) -> Any:
    """numpy.polyint: the coefficients of the m-th antiderivative, with integration constants k."""
    m = index(m)
    if m < 0:
        raise ValueError("Order of integral must be positive (see polyder)")
    constants = here(np.zeros(m)) if k is None else atleast_1d(as_operand(k))
    count = typeof(constants).size
    if count < m and not (count == 1 and m > 1):
        raise ValueError("k must be a scalar or a rank-1 array of length 1 or >m.")
    p = as_operand(p)
    for i in range(m):
        whole = np.divide(p, here(np.arange(typeof(p).size, 0, -1)))
        p = np.concatenate([whole, constants[min(i, count - 1)][None]])
    return p


def poly(seq_of_zeros: Any) -> Any:
    """numpy.poly: the polynomial with given roots, or the characteristic polynomial of a matrix.

    Unlike NumPy's, that of complex roots is complex even if they come in conjugate pairs.
    """
    zeros = atleast_1d(as_operand(seq_of_zeros))
    shape = typeof(zeros).shape
    if len(shape) == 2 and shape[0] == shape[1] != 0:
        zeros = np.linalg.eigvals(zeros)
    elif len(shape) != 1:
        raise ValueError("input must be 1d or non-empty square 2d array.")
    zeros = zeros if typeof(zeros).dtype.char in "fdFD" else cast(zeros, INEXACT)
    p = here(np.ones(1, typeof(zeros).dtype))
    for i in range(typeof(zeros).size):
        p = np.pad(p, (0, 1)) - np.pad(p * zeros[i], (1, 0))
    return p


def roots(p: Any) -> Any:
    """numpy.roots: the eigenvalues of the companion matrix, which are complex for a traced polynomial."""
    p = as_operand(p)
    if typeof(p).ndim != 1:
        raise ValueError("Input must be a rank-1 array.")
    known, at_zero = known_value(p), 0
    if known is not None:
        nonzero = np.flatnonzero(known)
        if not nonzero.size:
            return np.zeros(0)
        at_zero = known.size - int(nonzero[-1]) - 1
        p = p[nonzero[0] : nonzero[-1] + 1]
    p = _inexact(p)
    count = typeof(p).size - 1
    if count < 1:
        return np.zeros(at_zero)
    below = here(np.eye(count, dtype=typeof(p).dtype))[: count - 1]
    found = np.linalg.eigvals(np.concatenate([np.divide(-p[1:], p[0])[None], below]))
    return np.append(found, np.zeros(at_zero, typeof(found).dtype)) if at_zero else found


def polyfit(
    x: Any, y: Any, deg: int, rcond: Any = None, full: bool = False, w: Any = None, cov: Any = False
) -> Any:
    """numpy.polyfit: least squares, differentiable by points, values and weights."""
    x, y = np.add(as_operand(x), 0.0), np.add(as_operand(y), 0.0)
    count, order = typeof(x).size, index(deg) + 1
    _check_points(x, y, order)
    rcond = count * finfo(typeof(x).dtype).eps if rcond is None else rcond
    left, right = vander(x, order), y
    if w is not None:
        w = np.add(as_operand(w), 0.0)
        if typeof(w).ndim != 1:
            raise TypeError("expected a 1-d array for weights")
        if typeof(w).size != count:
            raise TypeError("expected w and y to have the same length")
        left, right = left * w[:, None], right * (w if typeof(y).ndim == 1 else w[:, None])
    lengths = np.sqrt(np.sum(left * left, axis=0))
    left = left / lengths
    c, residuals, rank, singular_values = np.linalg.lstsq(left, right, rcond)
    c = (c.T / lengths).T
    if full:
        return c, residuals, rank, singular_values, rcond
    if not cov:
        return c
    covariance = np.linalg.inv(left.T @ left) / np.outer(lengths, lengths)
    factor: Any = 1 if cov == "unscaled" else residuals / _degrees_of_freedom(count, order)
    return c, covariance * factor if typeof(y).ndim == 1 else covariance[:, :, None] * factor


def _check_points(x: Any, y: Any, order: int) -> None:
    """Raise what NumPy raises for points that no polynomial can be fitted to."""
    if order < 1:
        raise ValueError("expected deg >= 0")
    if typeof(x).ndim != 1:
        raise TypeError("expected 1D vector for x")
    if not typeof(x).size:
        raise TypeError("expected non-empty vector for x")
    if typeof(y).ndim not in (1, 2):
        raise TypeError("expected 1D or 2D array for y")
    if typeof(y).shape[0] != typeof(x).size:
        raise TypeError("expected x and y to have same length")


def _degrees_of_freedom(count: int, order: int) -> int:
    if count <= order:
        raise ValueError("the number of data points must exceed order to scale the covariance matrix")
    return count - order
