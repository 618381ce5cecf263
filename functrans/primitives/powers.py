"""Powers that cancel: sqrt(x)**2, hypot(x, y)**2 and sqrt(x**4) are smooth where their parts are not.

The chain rule fails at such points: the derivative of sqrt at zero is infinite, and that of the square zero. So a
power leaves a note on its result in forward mode (`Power`), and where a power of a noted value follows, its tangent is
that of the one power that both amount to. Values are computed as written; only tangents take the short way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, NamedTuple

import numpy as np

from ..core.avals import ZERO
from ..core.trace import operators, typeof
from .complex import imag, real
from .foundation import Elementwise, broadcast_to, match

#: base**exponent: the base is not negative unless the exponent is an integer.
POWER: Final = "power"
#: |base|**exponent
RADIUS: Final = "radius"
#: cbrt(base)**(3 * exponent), for bases of any sign
ROOT: Final = "root"

Part = tuple[Any, Any]


class Power(NamedTuple):
    """What a value is a power of.

    Attributes:
        parts: primal and tangent of the base; several parts stand for the root of the sum of their squares.
        exponent: a real constant.
        kind: POWER, RADIUS or ROOT.
    """

    parts: tuple[Part, ...]
    exponent: float
    kind: str = POWER

    @property
    def is_real(self) -> bool:
        return len(self.parts) == 1 and typeof(self.parts[0][0]).dtype.kind != "c"

    @property
    def is_polynomial(self) -> bool:
        """Whether the chain rule is safe."""
        even = self.kind == RADIUS
        return self.exponent >= 0 and self.exponent % (2 if even else 1) == 0 and self.kind != ROOT

    def raised(self, exponent: float | None) -> Power | None:
        """This to a power; None if that is not a power of the same base, or not for every base."""
        if exponent is None:
            return None
        product = _tidy(self.exponent * exponent)
        if self.kind == ROOT:
            return _normalized(self.parts, product) if product % 1 == 0 else None
        if self.kind == POWER and not self.is_real and exponent % 1 != 0:
            return None
        return _normalized(self.parts, product, self.kind)

    def times(self, other: Power) -> Power | None:
        """The product of two powers of one base."""
        if len(self.parts) != len(other.parts):
            return None
        if any(x is not p or dx is not dp for (x, dx), (p, dp) in zip(self.parts, other.parts)):
            return None
        exponent = _tidy(self.exponent + other.exponent)
        kinds = {self.kind, other.kind}
        if kinds == {POWER, RADIUS}:
            even = self if self.kind == RADIUS else other
            return _normalized(self.parts, exponent) if self.is_real and even.exponent % 2 == 0 else None
        if kinds == {ROOT, RADIUS}:
            return None
        kind = ROOT if ROOT in kinds and exponent % 1 != 0 else POWER if ROOT in kinds else self.kind
        return _normalized(self.parts, exponent, kind)

    def magnitude(self) -> Power:
        """The absolute value of this."""
        return Power(self.parts, self.exponent, RADIUS)

    def cube_root(self) -> Power | None:
        """The real cube root of this."""
        if self.exponent == 1 and self.kind == POWER:
            return Power(self.parts, 1 / 3, ROOT)
        exponent = _tidy(self.exponent / 3)
        is_safe = self.kind == RADIUS or exponent % 1 == 0 or self.exponent % 1 != 0
        return _normalized(self.parts, exponent, self.kind) if is_safe and self.kind != ROOT else None

    def moved(self, move: Callable[[Any], Any], shape: tuple[int, ...]) -> Power:
        """The note of an array of some shape, after its elements were moved."""

        def moved_part(x: Any) -> Any:
            if x is ZERO:
                return x
            return move(x if typeof(x).shape == shape else broadcast_to(x, shape=shape))

        return self._replace(parts=tuple((moved_part(x), moved_part(dx)) for x, dx in self.parts))

    def emptied(self) -> tuple[list[Any], Power]:
        """The values in this note, and what is left of it without them, which is hashable."""
        values = [value for part in self.parts for value in part if value is not ZERO]
        return values, self._replace(parts=tuple((None, ZERO if dx is ZERO else None) for _, dx in self.parts))

    def filled(self, values: Iterable[Any]) -> Power:
        """The note that `emptied` was called on, with other values."""
        given = iter(values)
        return self._replace(parts=tuple((next(given), ZERO if dx is ZERO else next(given)) for _, dx in self.parts))

    def tangent(self) -> Any:
        """The tangent of this power, by the rules for the base and one power of it."""
        (base, t), exponent = self.parts[0], self.exponent
        if self.kind == RADIUS and not (self.is_real and exponent % 2 == 0):
            if self.is_real:
                (base,), (t,) = operators.absolute.jvp([base], [t])
            else:
                base, t = _sum_of_squares(self.parts)
                exponent = _tidy(exponent / 2)
        if exponent == 1 or t is ZERO:
            return t
        return operators.power.jvp([base, exponent], [t, ZERO])[1][0]


def _normalized(parts: tuple[Part, ...], exponent: float, kind: str = POWER) -> Power:
    """Even powers of a real base are powers of its absolute value."""
    power = Power(parts, exponent, kind)
    return power.magnitude() if kind == POWER and exponent % 2 == 0 and power.is_real else power


def _tidy(exponent: float) -> float:
    """Integers as such, and what differs from one by rounding only."""
    nearest = round(exponent)
    return nearest if abs(exponent - nearest) < 1e-12 else exponent


def _sum_of_squares(parts: Sequence[Part]) -> Part:
    """The sum of |p|**2 over all parts, and its tangent."""
    components: list[Part] = []
    for p, dp in parts:
        if typeof(p).dtype.kind == "c":
            components += [(f(p), ZERO if dp is ZERO else f(dp)) for f in (real, imag)]
        else:
            components.append((p, dp))
    squares = [operators.multiply.jvp([p, p], [dp, dp]) for p, dp in components]
    (total,), (dtotal,) = squares[0]
    for (s,), (ds,) in squares[1:]:
        (total,), (dtotal,) = operators.add.jvp([total, s], [dtotal, ds])
    return total, dtotal


class PowerLike(Elementwise):
    """An elementwise function that is a power of its operand, or a product of powers.

    Args:
        note: the power that the result is, given those that the operands are.
        is_polynomial: whether the chain rule is safe unless an operand is itself a singular power.
    """

    takes_notes = True

    def __init__(
        self,
        name: str,
        ufunc: Any,
        derivatives: Sequence[Any],
        note: Callable[..., Power | None],
        operator: bool = False,
        is_polynomial: bool = False,
        work: int | None = None,
    ):
        super().__init__(name, ufunc, derivatives, operator, work=work)
        self.note = note
        self.is_polynomial = is_polynomial

    def jvp_noting(
        self, primals: Sequence[Any], tangents: Sequence[Any], notes: Sequence[Power | None]
    ) -> tuple[Any, Any, list[Power | None]]:
        bare = [Power(((x, t),), 1) for x, t in zip(primals, tangents)]
        given = [n for n in notes if n is not None]
        note = self.note(*(n or b for n, b in zip(notes, bare))) if given else None
        is_safe = self.is_polynomial and all(n.is_polynomial for n in given)
        if note is None or note.kind == ROOT or is_safe:
            return *self.jvp(primals, tangents), [note or self.note(*bare)]
        y = self(*primals)
        with np.errstate(all="ignore"):
            return [y], [match(note.tangent(), y)], [note]


def constant(exponent: Power) -> float | None:
    """The value of an operand, if it is a real constant of no dimensions."""
    x, t = exponent.parts[0]
    if t is not ZERO or type(x) is bool:
        return None
    if isinstance(x, (np.generic, np.ndarray)) and x.ndim == 0 and x.dtype.kind in "iuf":
        x = x.item()
    return x if type(x) in (int, float) and np.isfinite(x) else None
