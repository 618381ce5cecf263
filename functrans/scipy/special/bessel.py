"""Bessel functions, and modified ones."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...numpy.common import as_operand
from ...numpy.scipy_ufuncs import iv as _iv
from ...numpy.scipy_ufuncs import ive as _ive
from ...numpy.scipy_ufuncs import jv as _jv
from ...primitives.special import i0 as _i0
from ...primitives.special import i0e as _i0e
from ...primitives.special import i1 as _i1
from ...primitives.special import i1e as _i1e
from ...primitives.special import j0 as _j0
from ...primitives.special import j1 as _j1
from ...primitives.special import k0 as _k0
from ...primitives.special import k0e as _k0e
from ...primitives.special import k1 as _k1
from ...primitives.special import k1e as _k1e
from ...primitives.special import y0 as _y0
from ...primitives.special import y1 as _y1


def j0(x: Any) -> Any:
    """The Bessel function of the first kind of order 0.

    Example:
        >>> from functrans.scipy import special
        >>> special.j0([0.0, 1.0]).round(6)
        array([1.      , 0.765198])
    """
    return _j0(as_operand(x))


def j1(x: Any) -> Any:
    """The Bessel function of the first kind of order 1."""
    return _j1(as_operand(x))


def y0(x: Any) -> Any:
    """The Bessel function of the second kind of order 0."""
    return _y0(as_operand(x))


def y1(x: Any) -> Any:
    """The Bessel function of the second kind of order 1."""
    return _y1(as_operand(x))


def i0(x: Any) -> Any:
    """The modified Bessel function of the first kind of order 0.

    Example:
        >>> from functrans.scipy import special
        >>> special.i0([0.0, 1.0]).round(6)
        array([1.      , 1.266066])
    """
    return _i0(as_operand(x))


def i1(x: Any) -> Any:
    """The modified Bessel function of the first kind of order 1."""
    return _i1(as_operand(x))


def i0e(x: Any) -> Any:
    """exp(-|x|) * i0(x), without overflow."""
    return _i0e(as_operand(x))


def i1e(x: Any) -> Any:
    """exp(-|x|) * i1(x), without overflow."""
    return _i1e(as_operand(x))


def k0(x: Any) -> Any:
    """The modified Bessel function of the second kind of order 0."""
    return _k0(as_operand(x))


def k1(x: Any) -> Any:
    """The modified Bessel function of the second kind of order 1."""
    return _k1(as_operand(x))


def k0e(x: Any) -> Any:
    """exp(x) * k0(x), without underflow."""
    return _k0e(as_operand(x))


def k1e(x: Any) -> Any:
    """exp(x) * k1(x), without underflow."""
    return _k1e(as_operand(x))


def jv(v: int, z: Any) -> Any:
    """The Bessel function of the first kind of integer order.

    Example:
        >>> from functrans.scipy import special
        >>> float(special.jv(2, 1.0).round(6))
        0.114903
    """
    return _jv(v, as_operand(z))


def iv(v: int, z: Any) -> Any:
    """The modified Bessel function of the first kind of integer order.

    Example:
        >>> from functrans.scipy import special
        >>> float(special.iv(2, 1.0).round(6))
        0.135748
    """
    return _iv(v, as_operand(z))


def ive(v: int, z: Any) -> Any:
    """exp(-|z|) * iv(v, z), without overflow."""
    return _ive(v, as_operand(z))


def bessel_jn(z: Any, *, v: int, n_iter: int = 50) -> Any:
    """The Bessel functions of the first kind of orders 0 to v, along a new first axis.

    `n_iter` is JAX's, and is not needed.

    Example:
        >>> from functrans.scipy import special
        >>> special.bessel_jn(1.0, v=2).round(4)
        array([0.7652, 0.4401, 0.1149])
    """
    return np.stack([jv(order, z) for order in range(v + 1)])
