"""What reductions, averages and their kin share."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any, NamedTuple

import numpy as np

from ..core.avals import INT, is_inexact, real_dtype
from ..core.dtypes import SINGLE, is_half, result_type
from ..core.trace import typeof
from ..errors import ShapeMismatchError
from ..primitives.complex import imag, real
from ..primitives.elementwise import add, square
from ..primitives.foundation import promoted, reduce_sum, without
from ..primitives.selection import select
from .common import as_operand, cast, normalize_axes, stretched, with_shape
from .positions import stored

F16, F32, F64 = np.dtype(np.float16), np.dtype(np.float32), np.dtype(np.float64)


class Reduction(NamedTuple):
    """How a ufunc reduces, with all of NumPy's options.

    Attributes:
        name: of the ufunc.
        identity: what the elements outside `where` count as; None if the ufunc has no identity.
        combine: the elementwise primitive that brings in an initial value.
    """

    name: str
    primitive: Callable[..., Any]
    identity: Any
    combine: Callable[[Any, Any], Any] | None = None

    def __call__(self, x: Any, axis: Any, out: Any, keepdims: bool, initial: Any = None, where: Any = True) -> Any:
        """The reduction with NumPy's options, in the dtype of x."""
        dtype = typeof(x).dtype
        initial = None if initial is None else as_initial(initial, dtype)
        neutral = initial if self.identity is None else self.identity
        if where is not True:
            if neutral is None:
                raise ValueError(
                    f"reduction operation '{self.name}' does not have an identity, so to use a where mask one has to "
                    "specify 'initial'"
                )
            x = select(stretched(as_operand(where), typeof(x).shape), x, cast(neutral, dtype))
        shape = typeof(x).shape
        axes = axes_of_ufunc(axis, len(shape))
        if self.identity is None and 0 in (shape[axis] for axis in axes):
            if initial is None:
                raise ValueError(f"zero-size array to reduction operation {self.name} which has no identity")
            y = stretched(initial, without(shape, axes))
        else:
            y = self.primitive(x, axes=axes)
            if initial is not None and self.combine is not None:
                y = self.combine(y, initial)
        return stored(with_shape(y, kept(shape, axes)) if keepdims else y, out)


def as_wide_as(a: Any, out: Any) -> Any:
    """An operand in the dtype of `out`, if that is the wider one: an initial value may be of that only."""
    x = as_operand(a)
    return x if out is None else cast(x, promoted(typeof(x), typeof(out)))


def as_initial(initial: Any, dtype: np.dtype[Any]) -> Any:
    """An initial value in the dtype of the array.

    Raises:
        OverflowError, ValueError, TypeError: it is a number that the dtype has not, such as an infinity for integers.
        ShapeMismatchError: it is no single number.
    """
    if isinstance(initial, (int, float, complex, np.generic)):
        return dtype.type(initial)
    initial = as_operand(initial)
    if typeof(initial).shape:
        raise ShapeMismatchError(
            f"A reduction was to begin with an array of shape {typeof(initial).shape}.",
            "All results begin with the same number.",
            "Give one number, and combine the result with the array afterwards, as in np.maximum(np.max(x, axis), y).",
        )
    return cast(initial, dtype)


def kept(shape: tuple[int, ...], axes: tuple[int, ...]) -> tuple[int, ...]:
    """A shape with extents of one on the axes that were reduced."""
    return tuple(1 if axis in axes else extent for axis, extent in enumerate(shape))


def axes_of_ufunc(axis: Any, ndim: int) -> tuple[int, ...]:
    """As normalize_axes, but ufuncs (and squeeze) let scalars pass for arrays of one axis."""
    return () if not ndim and axis in (0, -1) else normalize_axes(axis, ndim)


def working_dtypes(x: Any, dtype: Any) -> tuple[np.dtype[Any], np.dtype[Any]]:
    """The dtype in which means are summed, and that of the result."""
    if dtype is not None:
        return np.dtype(dtype), np.dtype(dtype)
    given = typeof(x).dtype
    if not is_inexact(given):
        return F64, F64
    return SINGLE if is_half(given) else given, given


def widened(dtype: np.dtype[Any], asked: Any, out: Any) -> np.dtype[Any]:
    """The dtype of sums that are stored in `out`: that of `out`, if it is the wider one, and none was asked for."""
    return dtype if out is None or asked is not None else result_type(dtype, typeof(out).dtype)


def count(x: Any, axes: tuple[int, ...], keepdims: bool, where: Any, dtype: np.dtype[Any]) -> Any:
    """The number of elements along axes: an integer, or an array if `where` leaves some out."""
    shape = typeof(x).shape
    if where is True:
        return prod(shape[axis] for axis in axes)
    counted = reduce_sum(cast(stretched(cast(as_operand(where), bool), shape), INT), axes=axes)
    counted = with_shape(counted, kept(shape, axes)) if keepdims else counted
    return cast(counted, real_dtype(dtype) if is_inexact(dtype) else F64)


def chosen_correction(ddof: Any, correction: Any) -> Any:
    """The one of two names for the same thing that was given."""
    if correction is None:
        return ddof
    if ddof != 0:
        raise ValueError("ddof and correction can't be provided simultaneously.")
    return correction


def squared_magnitude(z: Any) -> Any:
    """The square of the absolute value: real, and smooth at zero."""
    return add(square(real(z)), square(imag(z))) if typeof(z).dtype.kind == "c" else square(z)
