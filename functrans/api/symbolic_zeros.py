"""What rules with `symbolic_zeros=True` are given."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..core.avals import ShapedArray
from ..core.trace import typeof


class SymbolicZero:
    """A tangent or cotangent that is zero whatever the arguments are, and for which there is no array.

    Rules may return it, too. It has `shape`, `dtype`, `ndim`, `size` and `aval` of the array that it stands for.

    Example:
        >>> import functrans as ft
        >>> ft.custom_derivatives.SymbolicZero.from_primal_value(2.0)
        SymbolicZero(f64[])
    """

    __slots__ = ("aval",)

    def __init__(self, aval: ShapedArray):
        self.aval = aval

    @staticmethod
    def from_primal_value(value: Any) -> SymbolicZero:
        """The zero tangent of a value."""
        return SymbolicZero(typeof(value).strong())

    @property
    def shape(self) -> tuple[int, ...]:
        return self.aval.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.aval.dtype

    @property
    def ndim(self) -> int:
        return self.aval.ndim

    @property
    def size(self) -> int:
        return self.aval.size

    def __repr__(self) -> str:
        return f"SymbolicZero({self.aval})"


@dataclass(frozen=True, slots=True)
class CustomVJPPrimal:
    """An argument of the forward half of a vjp rule with `symbolic_zeros=True`.

    Attributes:
        value: the array; perturbed: whether derivatives with respect to it are wanted.
    """

    value: Any
    perturbed: bool
