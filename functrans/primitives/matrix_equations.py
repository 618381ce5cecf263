"""Sylvester's equation and square roots of matrices.

The square root: N. Higham, "Functions of Matrices: Theory and Computation", 2008, chapter 6.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..core.avals import ZERO, ShapedArray
from ..core.primitive import is_hole
from ..core.trace import typeof
from ..errors import DtypeMismatchError, MatrixShapeError
from .elementwise import negative
from .foundation import add_tangents
from .late_scipy import linalg
from .matrices import MatrixPrimitive, check_matrix, check_square, matmul, mT


class Sylvester(MatrixPrimitive):
    """The solution x of a x + x b = c, for square a and b without eigenvalues that add up to zero."""

    def abstract_eval(self, a: ShapedArray, b: ShapedArray, c: ShapedArray) -> list[ShapedArray]:
        check_square(a, "A square matrix")
        check_square(b, "A square matrix")
        check_matrix(c, "A matrix on the right side")
        if c.shape != (*a.shape[:-1], b.shape[-1]) or a.shape[:-2] != b.shape[:-2]:
            raise MatrixShapeError(
                f"Sylvester's equation a x + x b = c has matrices of types {a}, {b} and {c}.",
                "The right side has as many rows as a and as many columns as b, and all the same leading axes.",
                "Check the shapes.",
            )
        if not a.dtype == b.dtype == c.dtype:
            raise DtypeMismatchError(
                f"Sylvester's equation has matrices of types {a}, {b} and {c}.",
                "They must have the same dtype.",
                "Convert them with `.astype(...)`.",
            )
        return [c]

    def impl(self, a: Any, b: Any, c: Any) -> list[Any]:
        self.abstract_eval(typeof(a), typeof(b), typeof(c))
        x = np.empty_like(c)
        for lane in np.ndindex(c.shape[:-2]):
            x[lane] = linalg().solve_sylvester(a[lane], b[lane], c[lane])
        return [x]

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
        (a, b, c), (da, db, rhs) = primals, tangents
        x = self(a, b, c)
        if da is not ZERO:
            rhs = add_tangents(rhs, negative(matmul(da, x)))
        if db is not ZERO:
            rhs = add_tangents(rhs, negative(matmul(x, db)))
        return [x], [self(a, b, rhs)]

    def transpose(self, cotangents: Sequence[Any], a: Any, b: Any, c: Any) -> list[Any]:
        if is_hole(a) or is_hole(b):
            return super().transpose(cotangents, a, b, c)
        return [None, None, self(mT(a), mT(b), cotangents[0])]


class SquareRoot(MatrixPrimitive):
    """The principal square root of complex matrices: x x = a. There is no derivative at singular ones."""

    def abstract_eval(self, a: ShapedArray) -> list[ShapedArray]:
        check_square(a, "A square matrix")
        return [a]

    def impl(self, a: Any) -> list[Any]:
        self.abstract_eval(typeof(a))
        x = np.empty_like(a)
        for lane in np.ndindex(a.shape[:-2]):
            x[lane] = linalg().sqrtm(a[lane])
        return [x]

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
        """dx x + x dx = da."""
        x = self(*primals)
        return [x], [sylvester(x, x, tangents[0])]


sylvester = Sylvester("sylvester")
square_root = SquareRoot("square_root")
