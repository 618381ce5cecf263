"""Families of primitives on axes, whose rules are derived once; that of elementwise functions is in foundation.py."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..core.avals import ZERO, ShapedArray
from ..core.primitive import Lowered, Primitive, is_hole
from ..core.trace import Params
from .foundation import Linear, Shape, add_tangents, match, reduced, without


class Structural(Linear):
    """Moves the elements of one operand and computes nothing: linear, and of any dtype.

    Subclasses write abstract_eval, impl, transpose and batch.
    """


class Reduction(Primitive):
    """Combines the elements along `axes`, which disappear from the shape."""

    never_fails = True
    work = 1
    #: How two elements are combined, where kernels can do that.
    combine: str | None = None

    def abstract_eval(self, x: ShapedArray, *, axes: Shape) -> list[ShapedArray]:
        return [ShapedArray(without(x.shape, axes), self.result_dtype(x.dtype))]

    def result_dtype(self, dtype: np.dtype[Any]) -> np.dtype[Any]:
        return dtype

    def batch(self, size: int, values: Sequence[Any], mapped: Sequence[bool], *, axes: Shape) -> tuple[Any, Any]:
        return [self(values[0], axes=tuple(axis + 1 for axis in axes))], [True]

    def lower_reduction(self, result: Any, x: Any, *, axes: Shape) -> Lowered | None:
        return None if self.combine is None else reduced(self.combine, result, x, axes)

    def lowering_key(self, avals: Sequence[Any], params: Params) -> Any:
        return (*params.items(),)


class Bilinear(Primitive):
    """Linear in each of two operands: contractions and convolutions. Subclasses write transpose and batch."""

    never_fails = True

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Any], **params: Any) -> tuple[Any, Any]:
        (x, y), (dx, dy) = primals, tangents
        z = self(x, y, **params)
        terms = [ZERO if dx is ZERO else self(dx, y, **params), ZERO if dy is ZERO else self(x, dy, **params)]
        return [z], [match(add_tangents(*terms), z)]

    def check_one_hole(self, x: Any, y: Any) -> None:
        """Raise TransposeError unless exactly one operand is to be transposed: in both together it is quadratic."""
        if is_hole(x) and is_hole(y):
            super().transpose((), x, y)
