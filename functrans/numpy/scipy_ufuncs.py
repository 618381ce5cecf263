"""Functions of scipy.special whose meaning is not one elementwise primitive."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core.tracer import Tracer
from ..errors import ConcretizationError
from ..primitives.elementwise import cbrt, exp2, expm1, log1p, multiply, power, sin, square
from ..primitives.integrals import cosine_integral, fresnel_c, fresnel_s, sine_integral
from ..primitives.late_scipy import LateUfunc
from ..primitives.special import Indexed, bessel_i, bessel_j, digamma, gamma, scaled_bessel_i
from ..primitives.special import polygamma as derivative_of_digamma
from ..primitives.zeta import zeta
from .common import as_operand
from .protocols import register_ufunc


def riemann_zeta(x: Any) -> Any:
    """scipy.special.zeta of one operand."""
    return zeta(as_operand(x), 1.0)


def hurwitz_zeta(x: Any, q: Any) -> Any:
    """scipy.special.zeta of two operands.

    Example:
        >>> import functrans as ft
        >>> round(float(ft.lax.zeta(2.0, 1.0)), 6)
        1.644934
    """
    return zeta(as_operand(x), as_operand(q))


def polygamma(n: Any, x: Any) -> Any:
    """scipy.special.polygamma: a Python integer n is known for complex x too, and n may be an array or traced.

    Example:
        >>> import functrans as ft
        >>> round(float(ft.lax.polygamma(1, 1.0)), 6)
        1.644934
    """
    x = as_operand(x)
    if type(n) is int:
        return digamma(x) if n == 0 else derivative_of_digamma(x, order=n)
    n = np.add(as_operand(n), 0.0)
    s = np.where(n == 0, 2.0, n + 1.0)
    sign = np.where(s % 2 == 0, 1.0, -1.0)
    return np.where(n == 0, digamma(x), sign * gamma(s) * zeta(s, x))


def sici(x: Any) -> tuple[Any, Any]:
    """scipy.special.sici."""
    x = as_operand(x)
    return sine_integral(x), cosine_integral(x)


def fresnel(x: Any) -> tuple[Any, Any]:
    """scipy.special.fresnel."""
    x = as_operand(x)
    return fresnel_s(x), fresnel_c(x)


def cosm1(x: Any) -> Any:
    """scipy.special.cosm1: cos(x) - 1, precise where that is small."""
    return multiply(-2, square(sin(multiply(0.5, as_operand(x)))))


def exp10(x: Any) -> Any:
    """scipy.special.exp10."""
    return power(10.0, as_operand(x))


def _bessel(name: str, primitive: Indexed, alternates: bool) -> Any:
    """A Bessel function of integer order; those of negative order may have another sign (DLMF 10.4.1, 10.27.1)."""

    def function(order: Any, x: Any) -> Any:
        if isinstance(order, Tracer) or np.ndim(order) or order != int(order):
            raise ConcretizationError(
                f"scipy.special.{name} was called on a traced array with an order that is traced, or no whole number.",
                "The derivative is made of the functions of the orders beside it, which functrans knows by number.",
                "Pass a Python integer, or wrap the call with functrans.pure_callback.",
            )
        sign = -1.0 if alternates and order < 0 and order % 2 else 1.0
        value = primitive(as_operand(x), order=abs(int(order)))
        return value if sign == 1 else multiply(sign, value)

    return function


jv = _bessel("jv", bessel_j, alternates=True)
iv = _bessel("iv", bessel_i, alternates=False)
ive = _bessel("ive", scaled_bessel_i, alternates=False)

for _ufunc, _ours in (
    (LateUfunc("_riemann_zeta"), riemann_zeta),
    (LateUfunc("_zeta", 2), hurwitz_zeta),
    (LateUfunc("sici"), sici),
    (LateUfunc("fresnel"), fresnel),
    (LateUfunc("jv", 2), jv),
    (LateUfunc("iv", 2), iv),
    (LateUfunc("ive", 2), ive),
    (LateUfunc("log1p"), log1p),
    (LateUfunc("expm1"), expm1),
    (LateUfunc("cosm1"), cosm1),
    (LateUfunc("exp2"), exp2),
    (LateUfunc("exp10"), exp10),
    (LateUfunc("cbrt"), cbrt),
):
    register_ufunc(_ufunc, _ours)
