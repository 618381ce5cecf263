"""Error functions, the normal distribution, and related integrals."""

from __future__ import annotations

from typing import Any

from ...numpy.common import as_operand
from ...primitives.integrals import dawsn as _dawsn
from ...primitives.integrals import owens_t as _owens_t
from ...primitives.integrals import wofz as _wofz
from ...primitives.special import erf as _erf
from ...primitives.special import erfc as _erfc
from ...primitives.special import erfcinv as _erfcinv
from ...primitives.special import erfcx as _erfcx
from ...primitives.special import erfinv as _erfinv
from ...primitives.special import log_ndtr as _log_ndtr
from ...primitives.special import ndtr as _ndtr
from ...primitives.special import ndtri as _ndtri


def erf(x: Any) -> Any:
    """The error function: 2 / sqrt(pi) times the integral of exp(-t**2) from 0 to x.

    Example:
        >>> from functrans.scipy import special
        >>> float(special.erf(0.5).round(6))
        0.5205
    """
    return _erf(as_operand(x))


def erfc(x: Any) -> Any:
    """1 - erf(x), without loss for large x.

    Example:
        >>> from functrans.scipy import special
        >>> float((special.erfc(10.0) * 1e45).round(4))
        2.0885
    """
    return _erfc(as_operand(x))


def erfcx(x: Any) -> Any:
    """exp(x**2) * erfc(x), without overflow."""
    return _erfcx(as_operand(x))


def erfinv(y: Any) -> Any:
    """The x with erf(x) = y.

    Example:
        >>> from functrans.scipy import special
        >>> float(special.erfinv(special.erf(0.5)).round(6))
        0.5
    """
    return _erfinv(as_operand(y))


def erfcinv(y: Any) -> Any:
    """The x with erfc(x) = y."""
    return _erfcinv(as_operand(y))


def ndtr(x: Any) -> Any:
    """The distribution function of the standard normal distribution.

    Example:
        >>> from functrans.scipy import special
        >>> special.ndtr([0.0, 1.96]).round(4)
        array([0.5  , 0.975])
    """
    return _ndtr(as_operand(x))


def log_ndtr(x: Any) -> Any:
    """log(ndtr(x)), without loss for large negative x.

    Example:
        >>> from functrans.scipy import special
        >>> float(special.log_ndtr(-40.0).round(4))
        -804.6084
    """
    return _log_ndtr(as_operand(x))


def ndtri(y: Any) -> Any:
    """The x with ndtr(x) = y.

    Example:
        >>> from functrans.scipy import special
        >>> special.ndtri([0.5, 0.975]).round(4)
        array([0.  , 1.96])
    """
    return _ndtri(as_operand(y))


def dawsn(x: Any) -> Any:
    """Dawson's integral: exp(-x**2) times the integral of exp(t**2) from 0 to x."""
    return _dawsn(as_operand(x))


def wofz(z: Any) -> Any:
    """Faddeeva's function exp(-z**2) * erfc(-1j * z), complex."""
    return _wofz(as_operand(z))


def owens_t(h: Any, a: Any) -> Any:
    """Owen's T: the probability of X > h and 0 < Y < a * X for independent standard normal X and Y."""
    return _owens_t(as_operand(h), as_operand(a))
