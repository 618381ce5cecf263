"""Numbers of Python: `integer`, what `round`, `math.trunc` and the like make; `python_number`, with no precision."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..core.avals import INT, PYTHON_SCALARS, ZERO, ShapedArray
from ..core.dtypes import kind_of
from ..core.primitive import Primitive
from ..core.trace import operators, typeof
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


class PythonNumber(Primitive):
    """A number of a dtype of Python's as one of Python's, which takes the dtype of what it meets."""

    may_be_weak = True

    def abstract_eval(self, x: ShapedArray) -> list[ShapedArray]:
        if np.dtype(type(x.dtype.type(0).item())) != x.dtype:
            raise TypeError(f"Python has no numbers of dtype {x.dtype}")
        return [ShapedArray(x.shape, x.dtype, True)]

    def impl(self, x: Any) -> list[Any]:
        return [x if type(x) in PYTHON_SCALARS else x.item()]

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
        return [self(primals[0])], [tangents[0]]

    def transpose(self, cotangents: Sequence[Any], x: Any) -> list[Any]:
        return [cotangents[0]]

    def batch(self, size: int, values: Sequence[Any], mapped: Sequence[bool]) -> tuple[Any, Any]:
        return [values[0]], [True]

    def lower(self, result: Any, x: Any) -> Any:
        return x.at


integer = Integer("integer")
python_number = PythonNumber("python_number")


def _rounded(rounding: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda x: integer(rounding(x) if kind_of(typeof(x).dtype) == "f" else x)


operators.round, operators.trunc = _rounded(rint), integer
operators.floor, operators.ceil = _rounded(floor), _rounded(ceil)
