"""Logits, entropies and powers: functions of probabilities, and x log y where x is zero."""

from __future__ import annotations

from typing import Any

import numpy as np

from ... import nn
from ...numpy.common import as_operand
from ...primitives.integrals import boxcox as _boxcox
from ...primitives.integrals import boxcox1p as _boxcox1p
from ...primitives.integrals import exprel as _exprel
from ...primitives.special import entr as _entr
from ...primitives.special import expit as _expit
from ...primitives.special import kl_div as _kl_div
from ...primitives.special import log_expit as _log_expit
from ...primitives.special import logit as _logit
from ...primitives.special import rel_entr as _rel_entr
from ...primitives.special import xlog1py as _xlog1py
from ...primitives.special import xlogy as _xlogy


def expit(x: Any) -> Any:
    """1 / (1 + exp(-x)), without overflow.

    Example:
        >>> from functrans.scipy import special
        >>> special.expit([-1000.0, 0.0, 1000.0])
        array([0. , 0.5, 1. ])
    """
    return _expit(as_operand(x))


def log_expit(x: Any) -> Any:
    """log(expit(x)), without loss for large negative x."""
    return _log_expit(as_operand(x))


def logit(p: Any) -> Any:
    """log(p / (1 - p)).

    Example:
        >>> from functrans.scipy import special
        >>> float(special.logit(special.expit(2.0)).round(6))
        2.0
    """
    return _logit(as_operand(p))


def xlogy(x: Any, y: Any) -> Any:
    """x * log(y), and 0 where x is 0.

    Example:
        >>> from functrans.scipy import special
        >>> special.xlogy([0.0, 2.0], [0.0, 1.0])
        array([0., 0.])
    """
    return _xlogy(as_operand(x), as_operand(y))


def xlog1py(x: Any, y: Any) -> Any:
    """x * log(1 + y), and 0 where x is 0.

    Example:
        >>> from functrans.scipy import special
        >>> special.xlog1py([0.0, 2.0], [-1.0, 0.0])
        array([0., 0.])
    """
    return _xlog1py(as_operand(x), as_operand(y))


def entr(x: Any) -> Any:
    """-x * log(x); 0 at 0, and minus infinity below.

    Example:
        >>> from functrans.scipy import special
        >>> special.entr([-1.0, 0.0, 0.5]).round(4)
        array([  -inf, 0.    , 0.3466])
    """
    return _entr(as_operand(x))


def rel_entr(x: Any, y: Any) -> Any:
    """x * log(x / y); 0 where x is 0 and y is not negative, infinity where either is negative.

    Example:
        >>> from functrans.scipy import special
        >>> special.rel_entr([0.0, 0.5, -1.0], [0.5, 1.0, 1.0]).round(4)
        array([ 0.    , -0.3466,     inf])
    """
    return _rel_entr(as_operand(x), as_operand(y))


def kl_div(x: Any, y: Any) -> Any:
    """x * log(x / y) - x + y; infinity where either is negative.

    Example:
        >>> from functrans.scipy import special
        >>> special.kl_div([0.5, 0.5], [0.5, 1.0]).round(4)
        array([0.    , 0.1534])
    """
    return _kl_div(as_operand(x), as_operand(y))


def boxcox(x: Any, lmbda: Any) -> Any:
    """(x**lmbda - 1) / lmbda, and log(x) where lmbda is 0; smooth in both operands.

    Example:
        >>> from functrans.scipy import special
        >>> [float(special.boxcox(3.0, k).round(4)) for k in (0.0, 1e-9, 1.0)]
        [1.0986, 1.0986, 2.0]
    """
    return _boxcox(as_operand(x), as_operand(lmbda))


def boxcox1p(x: Any, lmbda: Any) -> Any:
    """boxcox(1 + x, lmbda), without loss for small x."""
    return _boxcox1p(as_operand(x), as_operand(lmbda))


def exprel(x: Any) -> Any:
    """(exp(x) - 1) / x, and 1 at 0.

    Example:
        >>> from functrans.scipy import special
        >>> special.exprel([0.0, 1e-9, 1.0]).round(4)
        array([1.    , 1.    , 1.7183])
    """
    return _exprel(as_operand(x))


def inv_boxcox(y: Any, lmbda: Any) -> Any:
    """The x with boxcox(x, lmbda) = y."""
    return np.exp(_log_inverse(y, lmbda))


def inv_boxcox1p(y: Any, lmbda: Any) -> Any:
    """The x with boxcox1p(x, lmbda) = y."""
    return np.expm1(_log_inverse(y, lmbda))


def _log_inverse(y: Any, lmbda: Any) -> Any:
    """log(1 + lmbda * y) / lmbda; for small z = lmbda * y, y times a series in z."""
    y, lmbda = as_operand(y), as_operand(lmbda)
    z = np.multiply(lmbda, y)
    is_small = np.abs(z) < 1e-3
    near = np.where(is_small, z, 0.0)
    series = 1 / 7
    for k in range(6, 0, -1):
        series = 1 / k - near * series
    ratio = np.log1p(np.where(is_small, 1.0, z)) / np.where(is_small, 1.0, z)
    return y * np.where(is_small, series, ratio)


def huber(delta: Any, r: Any) -> Any:
    """r**2 / 2 where |r| <= delta, and delta * (|r| - delta / 2) beyond; infinity for negative delta.

    Example:
        >>> from functrans.scipy import special
        >>> special.huber(1.0, [0.5, 3.0])
        array([0.125, 2.5  ])
    """
    delta, size = as_operand(delta), np.abs(as_operand(r))
    value = np.where(size <= delta, 0.5 * size**2, delta * (size - np.multiply(0.5, delta)))
    return np.where(np.less(delta, 0), np.inf, value)[()]


def pseudo_huber(delta: Any, r: Any) -> Any:
    """delta**2 * (sqrt(1 + (r / delta)**2) - 1)."""
    delta = as_operand(delta)
    ratio = np.divide(r, delta) ** 2
    return delta**2 * ratio / (1 + np.sqrt(1 + ratio))


def softmax(x: Any, axis: Any = None) -> Any:
    """exp(x) / sum(exp(x)) along axes (by default all of them), without overflow.

    Example:
        >>> from functrans.scipy import special
        >>> special.softmax([0.0, 1000.0])
        array([0., 1.])
    """
    return nn.softmax(x, axis)


def log_softmax(x: Any, axis: Any = None) -> Any:
    """log(softmax(x)) along axes (by default all of them), without overflow.

    Example:
        >>> from functrans.scipy import special
        >>> special.log_softmax([0.0, 1000.0])
        array([-1000.,     0.])
    """
    return nn.log_softmax(x, axis)
