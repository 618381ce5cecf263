"""Families: kinds of primitives whose rules are derived once."""

from __future__ import annotations

import operator as op
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np

from ..core.avals import BOOL, PYTHON_SCALARS, ZERO, ShapedArray
from ..core.primitive import Primitive, is_hole
from ..core.trace import Traced, current_trace
from ..core.tracer import ufunc_primitives
from ..errors import TransposeError, UnsupportedDtypeError
from .foundation import (
    Linear,
    Shape,
    add_any,
    add_tangents,
    align_ranks,
    broadcast_shapes,
    match,
    scale,
    unbroadcast,
    without,
)

#: The derivative of a result with respect to one operand: a function `(y, *xs) -> dy/dx`, a number where it is
#: constant, or None where it is zero.
Derivative = Callable[..., Any] | int | float | None


INT: Final = np.dtype(np.int64)


def _power(x: Any, y: Any) -> Any:
    """x**y in the dtype that numpy.power says, which for booleans is not that of the operator."""
    return np.power(x, y) if getattr(x, "dtype", None) == BOOL else x**y


#: Several times faster on NumPy scalars than the ufuncs they stand for.
_PYTHON_OPERATORS: Final = {
    "positive": op.pos, "negative": op.neg, "absolute": op.abs, "invert": op.inv, "add": op.add,
    "subtract": op.sub, "multiply": op.mul, "divide": op.truediv, "floor_divide": op.floordiv, "remainder": op.mod,
    "power": _power, "bitwise_and": op.and_, "bitwise_or": op.or_, "bitwise_xor": op.xor, "left_shift": op.lshift,
    "right_shift": op.rshift, "equal": op.eq, "not_equal": op.ne, "less": op.lt, "less_equal": op.le,
    "greater": op.gt, "greater_equal": op.ge,
}  # fmt: skip
#: The operators that make a bool of Python bools; to all others these are 0 and 1, unlike NumPy's.
_OF_BOOLS: Final = (op.and_, op.or_, op.xor)


class Elementwise(Primitive):
    """A function of each element; operands broadcast and promote as NumPy's ufuncs do.

    Args:
        ufunc: the NumPy (or SciPy) ufunc behind it; its type resolution decides the dtype of the result.
        derivatives: one for each operand.
        operator: whether it is an operator of Python, which makes Python scalars of Python scalars.
    """

    def __init__(self, name: str, ufunc: Any, derivatives: Sequence[Derivative] = (), operator: bool = False):
        super().__init__(name)
        self.ufunc = ufunc
        self.derivatives = tuple(derivatives) or (None,) * ufunc.nin
        self.operator = operator
        self.python_operator = _PYTHON_OPERATORS[name] if operator else ufunc
        self._dtypes: dict[Any, tuple[np.dtype[Any], bool]] = {}
        if not operator:  # an operator is weak on Python scalars, its ufunc is not: protocols.apply_ufunc
            ufunc_primitives[ufunc] = self

    def __call__(self, *xs: Any) -> Any:
        return current_trace.get().process(self, xs, {})[0]

    def abstract_eval(self, *avals: ShapedArray) -> list[ShapedArray]:
        key = tuple([a[1:] for a in avals])  # the dtype, and whether it is weak
        known = self._dtypes.get(key)
        if known is None:
            weak = self.operator and all(a.weak for a in avals)
            known = self._dtypes[key] = (self.resolve_dtype(avals), weak)
        shape = avals[0].shape if len(avals) == 1 else broadcast_shapes(*[a.shape for a in avals])
        return [tuple.__new__(ShapedArray, (shape, *known))]

    def resolve_dtype(self, avals: Sequence[ShapedArray]) -> np.dtype[Any]:
        """The dtype of the result."""
        if all(a.weak for a in avals):
            counts = self.operator and self.python_operator not in _OF_BOOLS
            kinds = [INT if counts and a.dtype == BOOL else a.dtype for a in avals]
        else:
            kinds = [type(a.dtype.type(0).item()) if a.weak and a.dtype != BOOL else a.dtype for a in avals]
        try:
            return self.ufunc.resolve_dtypes((*kinds, *(None,) * self.ufunc.nout))[self.ufunc.nin]
        except TypeError:
            shown = ", ".join(a.dtype.name for a in avals)
            raise UnsupportedDtypeError(
                f"`{self.name}` is not defined for operands of dtype {shown}.",
                "NumPy has no loop for them.",
                "Convert the operands with `.astype(...)`.",
            ) from None

    def impl(self, *xs: Any) -> list[Any]:
        if not self.operator:
            return [self.ufunc(*xs)]
        if type(xs[0]) in PYTHON_SCALARS and type(xs[-1]) in PYTHON_SCALARS:
            if self.python_operator not in _OF_BOOLS:
                xs = tuple(int(x) if type(x) is bool else x for x in xs)
            return [self.ufunc(*xs).item()]
        if type(xs[0]) is complex:  # it would take a NumPy float for a Python one
            return [self.ufunc(*xs)]
        return [self.python_operator(*xs)]

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
        y = current_trace.get().process(self, primals, {})[0]
        total: Any = ZERO
        for derivative, t in zip(self.derivatives, tangents):
            if t is ZERO or derivative is None:
                continue
            if derivative != 1:
                with np.errstate(all="ignore"):  # an infinite derivative is an answer, not an accident
                    t = scale(t, derivative(y, *primals) if callable(derivative) else derivative)
            t = match(t, y)
            total = t if total is ZERO else add_any(total, t)
        return [y], [total]

    def transpose(self, cotangents: Sequence[Any], *args: Any) -> list[Any]:
        """For the operators of linear programs that users write: add, subtract, negative, and products."""
        (ct,) = cotangents
        constant = all(type(d) in (int, float) for d in self.derivatives)
        if not constant or any(not is_hole(a) and not _may_be_zero(a) for a in args):
            return super().transpose(cotangents, *args)  # type: ignore[return-value]
        return [
            unbroadcast(ct if d == 1 else scale(ct, d), a.aval) if is_hole(a) else None
            for d, a in zip(self.derivatives, args, strict=True)
        ]

    def batch(self, size: int, values: Sequence[Any], mapped: Sequence[bool]) -> tuple[Any, Any]:
        return [self(*align_ranks(size, values, mapped))], [True]


def _may_be_zero(x: Any) -> bool:
    """Whether a known summand leaves a function linear; a traced one is given the benefit of the doubt."""
    return isinstance(x, Traced) or not np.any(x)


class Product(Elementwise):
    """An elementwise function linear in its first operand, or in each of two: multiply and divide."""

    def transpose(self, cotangents: Sequence[Any], x: Any, y: Any) -> list[Any]:
        (ct,) = cotangents
        if is_hole(x) and not is_hole(y):
            return [unbroadcast(scale(ct, self.derivatives[0](None, None, y)), x.aval), None]  # type: ignore[operator,misc]
        if is_hole(y) and not is_hole(x) and self.name == "multiply":
            return [None, unbroadcast(scale(ct, x), y.aval)]
        raise TransposeError(
            f"`{self.name}` is not linear in the operands that are to be transposed.",
            "A product of two linear values is quadratic, and a quotient is linear in its numerator only.",
            "Use vjp for a function that is not linear.",
        )


class Structural(Linear):
    """Moves the elements of one operand and computes nothing: linear, and of any dtype.

    Subclasses write abstract_eval, impl, transpose and batch.
    """


class Reduction(Primitive):
    """Combines the elements along `axes`, which disappear from the shape."""

    def abstract_eval(self, x: ShapedArray, *, axes: Shape) -> list[ShapedArray]:
        return [ShapedArray(without(x.shape, axes), self.result_dtype(x.dtype))]

    def result_dtype(self, dtype: np.dtype[Any]) -> np.dtype[Any]:
        return dtype

    def batch(self, size: int, values: Sequence[Any], mapped: Sequence[bool], *, axes: Shape) -> tuple[Any, Any]:
        return [self(values[0], axes=tuple(axis + 1 for axis in axes))], [True]


class Bilinear(Primitive):
    """Linear in each of two operands: contractions and convolutions. Subclasses write transpose and batch."""

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Any], **params: Any) -> tuple[Any, Any]:
        (x, y), (dx, dy) = primals, tangents
        z = self(x, y, **params)
        terms = [ZERO if dx is ZERO else self(dx, y, **params), ZERO if dy is ZERO else self(x, dy, **params)]
        return [z], [match(add_tangents(*terms), z)]

    def check_one_hole(self, x: Any, y: Any) -> None:
        """Raise TransposeError unless exactly one operand is to be transposed: in both together it is quadratic."""
        if is_hole(x) and is_hole(y):
            super().transpose((), x, y)
