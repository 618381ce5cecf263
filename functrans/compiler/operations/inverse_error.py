"""The inverse of the error function, which the C library does not have.

erfinv(x) is x p(w) with w = -log(1 - x**2): p hardly bends, so that polynomials do for it, in w near its zero and in
the square root of w further out (the substitution is from M. Giles, "Approximating the erfinv function", GPU Computing
Gems 2, 2011). The coefficients are our own Chebyshev fits to values with 50 digits.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from .values import DOUBLE, Value, copysign, fabs, function, multiply_add, sqrt, where

log = function("log")


class Piece(NamedTuple):
    """A polynomial, lowest coefficient first, around a centre, for numbers less than a limit."""

    limit: float
    centre: float
    coefficients: Sequence[float]


#: In w, and for what is at least its limit in the square root of w.
DOUBLE_PIECES: Final = (
    Piece(6.25, 0.0, (
        0.8862269254527583, 0.23201366653461486, 0.01154934203938668, -0.0023351016541072896, -0.00012804322000938738,
        4.6611169707724115e-05, 2.0206493982500628e-06, -1.0136964661914765e-06, -3.584026528723205e-08,
        2.1389705678753587e-08, 1.8000784601828992e-09, -1.1331460536188674e-09, 2.62766935297804e-10,
        -8.840910598710333e-11, 2.879476971133168e-11, -6.4761801180632214e-12, 9.94766357274119e-13,
        -1.0646829165189822e-13, 7.905407690947709e-15, -3.9096676083792816e-16, 1.1586545492239633e-17,
        -1.5163201447492573e-19, -2.362369698566107e-22,
    )),
    Piece(4.0, 3.25, (
        3.0838856104922208, 1.0052589676941592, 0.0053709145535581985, -0.0037512085075638536, 0.0024914420976198813,
        -0.0016882755561681802, 0.0009532893521118177, -0.00035503751863069763, 2.4031363245440546e-05,
        6.828484052292924e-05, -4.731952918337189e-05, 1.2475343474376931e-05, 2.9273722115986924e-06,
        -4.013946398190292e-06, 1.4958263152984917e-06, 1.832399988132858e-08, -2.6860975725571463e-07,
        9.071950571029922e-08, -3.831039946072411e-10,
    )),
    Piece(float("inf"), 5.0, (
        4.849906401408584, 1.0103004648645448, -0.0001387193183802193, -0.00021503011980053286, 7.599527809905669e-05,
        -1.9681771171607953e-05, 4.526052498646386e-06, -9.930256957623955e-07, 2.2905298309556223e-07,
        -6.757183602264799e-08, 2.9018094055372935e-08, -1.521604123593241e-08, 7.82251130757271e-09,
        -3.5303623420620313e-09, 1.3148063466158505e-09, -3.8433272629025555e-10, 7.025707132833335e-11,
        1.6550136908395478e-11, -2.055431105314157e-11, 5.490944936009033e-12,
    )),
)  # fmt: skip
SINGLE_PIECES: Final = (
    Piece(5.0, 0.0, (
        0.886226926, 0.232013636, 0.0115496288, -0.00233614443, -0.000126117829, 4.45691571e-05, 3.33110535e-06,
        -1.51759603e-06, 6.46632103e-08, 2.07280305e-08, -2.96124603e-09, 1.23465771e-10,
    )),
    Piece(float("inf"), 3.25, (
        3.08388561, 1.00525896, 0.00537104355, -0.00375119588, 0.00248977915, -0.00168720782, 0.000960832427,
        -0.000361506399, 8.98514179e-06, 8.21492224e-05, -3.4223371e-05,
    )),
)  # fmt: skip


def erfinv(x: Value) -> Value:
    """The y with erf(y) = x: infinite at -1 and 1, NaN beyond."""
    near, *far = DOUBLE_PIECES if x.dtype == DOUBLE else SINGLE_PIECES
    w = -log((1.0 - x) * (1.0 + x))
    root = sqrt(w)
    slope = _polynomial(near, w)
    is_near = w < near.limit
    for piece, former in zip(far, (None, *far)):
        is_here = is_near if former is None else is_near | (root < former.limit)
        slope = where(is_here, slope, _polynomial(piece, root))
    return where(fabs(x) == 1.0, copysign(float("inf"), x), x * slope + 0.0)  # SciPy knows no negative zero


def _polynomial(piece: Piece, x: Value) -> Value:
    """Its value, by Horner's rule."""
    t = x - piece.centre
    *rest, total = (x.like(c) for c in piece.coefficients)
    for coefficient in reversed(rest):
        total = multiply_add(total, t, coefficient)
    return total
