"""The roots that norms are made of: their derivative at zero is zero, as for abs, and not infinite as for sqrt."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..core.avals import ShapedArray
from ..core.primitive import Primitive
from .elementwise import divide, equal, multiply
from .foundation import scale
from .powers import Power
from .selection import select


class Root(Primitive):
    """x**(1 / degree) of what is not negative: a sum of absolute values to that power."""

    takes_notes = True
    is_pointwise = True

    def abstract_eval(self, x: ShapedArray, *, degree: float) -> list[ShapedArray]:
        return [x]

    def impl(self, x: Any, *, degree: float) -> list[Any]:
        return [np.sqrt(x) if degree == 2 else np.power(x, 1 / degree)]

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Any], *, degree: float) -> tuple[Any, Any]:
        (x,) = primals
        y = self(x, degree=degree)
        is_zero = equal(x, 0)
        slope = divide(y, multiply(degree, select(is_zero, 1, x)))
        return [y], [scale(tangents[0], slope)]

    def jvp_noting(
        self, primals: Sequence[Any], tangents: Sequence[Any], notes: Sequence[Any], *, degree: float
    ) -> tuple[Any, Any, Any]:
        """A power of the root is a power of the sum: the square of a norm is smooth."""
        y, dy = self.jvp(primals, tangents, degree=degree)
        return y, dy, [Power(((primals[0], tangents[0]),), 1).raised(1 / degree)]

    def batch(
        self, size: int, values: Sequence[Any], mapped: Sequence[bool], *, degree: float
    ) -> tuple[Any, Any]:
        return [self(values[0], degree=degree)], [True]

    def lower(self, result: Any, x: Any, *, degree: float) -> Any:
        if degree == 2:
            return lambda index: result.apply("sqrt", x.at(index))
        return lambda index: result.apply("power", x.at(index), result.constant(1 / degree))


root = Root("root")
