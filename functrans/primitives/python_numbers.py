"""integer: what `round`, `math.trunc`, `math.floor` and `math.ceil` make of a number, an integer of Python."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..core.avals import INT, ZERO, ShapedArray
from ..core.dtypes import kind_of
from ..core.primitive import Primitive
from ..core.trace import typeof
from ..core.tracer import operators
from ..errors import UnsupportedArgumentError
from .elementwise import ceil, floor, rint
from .foundation import convert


class Integer(Primitive):
    """A real number without its fraction, as a Python int, which takes the dtype of what it meets."""

    def abstract_eval(self, x: ShapedArray) -> list[ShapedArray]:
        if x.shape or x.dtype.kind == "c":
            raise UnsupportedArgumentError(
                f"A Python integer was wanted of a traced array of type {x} (round, math.trunc, floor or ceil).",
                "These functions are for one real number, in NumPy as well.",
                "Use np.round, np.trunc, np.floor or np.ceil.",
            )
        return [ShapedArray((), INT, True)]

    def impl(self, x: Any) -> list[Any]:
        return [int(x)]

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
        return [self(primals[0])], [ZERO]

    def batch(self, size: int, values: Sequence[Any], mapped: Sequence[bool]) -> tuple[Any, Any]:
        with np.errstate(invalid="ignore"):
            return [convert(values[0], dtype=INT)], [True]


integer = Integer("integer")


def _rounded(rounding: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda x: integer(rounding(x) if kind_of(typeof(x).dtype) == "f" else x)


operators.round, operators.trunc = _rounded(rint), integer
operators.floor, operators.ceil = _rounded(floor), _rounded(ceil)
