"""Primitives that move elements about and compute nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..core.avals import ShapedArray
from .families import Structural
from .foundation import Shape


class Transpose(Structural):
    """Axes in another order: axis i of the result is axis `permutation[i]` of the operand."""

    def abstract_eval(self, x: ShapedArray, *, permutation: Shape) -> list[ShapedArray]:
        return [ShapedArray(tuple(x.shape[axis] for axis in permutation), x.dtype)]

    def impl(self, x: Any, *, permutation: Shape) -> list[Any]:
        return [np.transpose(x, permutation)]

    def transpose(self, cotangents: Sequence[Any], x: Any, *, permutation: Shape) -> list[Any]:
        inverse = sorted(range(len(permutation)), key=permutation.__getitem__)
        return [self(cotangents[0], permutation=tuple(inverse))]

    def batch(
        self, size: int, values: Sequence[Any], mapped: Sequence[bool], *, permutation: Shape
    ) -> tuple[Any, Any]:
        return [self(values[0], permutation=(0, *(axis + 1 for axis in permutation)))], [True]


transpose = Transpose("transpose")
