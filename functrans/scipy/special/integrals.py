"""Exponential, sine, cosine and elliptic integrals, and hypergeometric functions."""

from __future__ import annotations

from typing import Any

from ...numpy.common import as_operand
from ...numpy.scipy_ufuncs import fresnel as _fresnel
from ...numpy.scipy_ufuncs import sici as _sici
from ...primitives.integrals import ellipe as _ellipe
from ...primitives.integrals import ellipk as _ellipk
from ...primitives.integrals import expn as _expn
from ...primitives.integrals import hyp1f1 as _hyp1f1
from ...primitives.integrals import hyp2f1 as _hyp2f1
from ...primitives.integrals import spence as _spence
from ...primitives.special import exp1 as _exp1
from ...primitives.special import expi as _expi


def exp1(x: Any) -> Any:
    """The exponential integral E1: of exp(-t) / t from x to infinity."""
    return _exp1(as_operand(x))


def expi(x: Any) -> Any:
    """The exponential integral Ei: of exp(t) / t from minus infinity to x, as a principal value.

    Example:
        >>> from functrans.scipy import special
        >>> float(special.expi(1.0).round(6))
        1.895118
    """
    return _expi(as_operand(x))


def expn(n: Any, x: Any) -> Any:
    """The exponential integral of an order: of exp(-x * t) / t**n from 1 to infinity.

    It differentiates in x.

    Example:
        >>> from functrans.scipy import special
        >>> float(special.expn(2, 0.5).round(6))
        0.326644
    """
    return _expn(as_operand(n), as_operand(x))


def spence(x: Any) -> Any:
    """Spence's function: the integral of log(t) / (1 - t) from 1 to x, the dilogarithm of 1 - x."""
    return _spence(as_operand(x))


def hyp1f1(a: Any, b: Any, x: Any) -> Any:
    """Kummer's confluent hypergeometric function; it differentiates in x."""
    return _hyp1f1(as_operand(a), as_operand(b), as_operand(x))


def hyp2f1(a: Any, b: Any, c: Any, x: Any) -> Any:
    """Gauss's hypergeometric function; it differentiates in x."""
    return _hyp2f1(as_operand(a), as_operand(b), as_operand(c), as_operand(x))


def ellipk(m: Any) -> Any:
    """The complete elliptic integral of the first kind: of 1 / sqrt(1 - m sin(t)**2) from 0 to pi / 2.

    Example:
        >>> import numpy as np, functrans as ft
        >>> from functrans.scipy import special
        >>> period = lambda angle: 4 * special.ellipk(np.sin(angle / 2) ** 2)    # of a pendulum
        >>> float(period(1.0).round(6)), float(ft.grad(period)(1.0).round(6))
        (6.699976, 0.885207)
    """
    return _ellipk(as_operand(m))


def ellipe(m: Any) -> Any:
    """The complete elliptic integral of the second kind: of sqrt(1 - m sin(t)**2) from 0 to pi / 2."""
    return _ellipe(as_operand(m))


def sici(x: Any) -> tuple[Any, Any]:
    """The sine and the cosine integral: of sin(t) / t from 0 to x, and of cos(t) / t from infinity to x.

    Example:
        >>> from functrans.scipy import special
        >>> [float(y.round(6)) for y in special.sici(1.0)]
        [0.946083, 0.337404]
    """
    return _sici(x)


def fresnel(x: Any) -> tuple[Any, Any]:
    """Fresnel's integrals of sin(pi t**2 / 2) and cos(pi t**2 / 2) from 0 to x.

    Example:
        >>> from functrans.scipy import special
        >>> [float(part.round(4)) for part in special.fresnel(1.0)]
        [0.4383, 0.7799]
    """
    return _fresnel(x)
