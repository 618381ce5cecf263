"""What the NumPy-named functions share."""

from __future__ import annotations

from operator import index
from typing import Any

import numpy as np

from ..core.devices import here, is_on_device, on_host
from ..core.dtypes import can_cast
from ..core.selected import Selected
from ..core.trace import Traced, typeof
from ..core.tracer import Tracer
from ..errors import ConcretizationError, DtypeMismatchError, TracerConversionError
from ..primitives.foundation import broadcast_to as _broadcast_to
from ..primitives.foundation import convert, promoted, reshape
from ..primitives.python_operators import fitting, is_traced_integer


def normalize_axes(axis: Any, ndim: int) -> tuple[int, ...]:
    """NumPy's axis argument as a tuple of non-negative integers; None stands for all axes."""
    if axis is None:
        return tuple(range(ndim))
    axis = index(axis) if isinstance(axis, Tracer) else axis  # whose error NumPy would not show
    return np.lib.array_utils.normalize_axis_tuple(axis, ndim)


def normalize_axis(axis: Any, ndim: int) -> int:
    """One axis as a non-negative integer."""
    return np.lib.array_utils.normalize_axis_index(axis, ndim)


def as_operand(x: Any) -> Any:
    """An array-like as an operand of primitives; lists become arrays."""
    is_operand = isinstance(x, (Tracer, np.ndarray, np.generic, int, float, complex)) or is_on_device(x)
    return x if is_operand else here(np.asarray(x))


def cast(x: Any, dtype: Any) -> Any:
    """x with a dtype; itself if it has it already.

    Raises:
        OverflowError: x is a Python integer, and the dtype has none such.
    """
    aval, dtype = typeof(x), None if dtype is None else np.dtype(dtype)
    if dtype is None or (aval.dtype == dtype and not aval.weak):
        return x
    if dtype.kind in "iu":
        if type(x) is int:
            return dtype.type(x)
        if is_traced_integer(x):
            return fitting(x, dtype, "asarray")
    return convert(x, dtype=dtype)


def with_shape(x: Any, shape: tuple[int, ...]) -> Any:
    """x reshaped; itself if it has the shape already."""
    return x if typeof(x).shape == shape else reshape(x, shape=shape)


def stretched(x: Any, shape: tuple[int, ...]) -> Any:
    """x broadcast; itself if it has the shape already."""
    return x if typeof(x).shape == shape else _broadcast_to(x, shape=shape)


def known_value(x: Any) -> Any:
    """The value of an operand as an array, where only its elements matter and not how they vary; None if unknown."""
    if not isinstance(x, Traced):
        return on_host(x)
    try:
        return on_host(x.known("index"))
    except (ConcretizationError, TracerConversionError):
        return None


def concrete_value(x: Any, what: str, repair: str) -> Any:
    """The value of an operand that decides shapes, as an array.

    Raises:
        ConcretizationError: it is not known while tracing.
    """
    try:
        return on_host(x)
    except TypeError:
        raise ConcretizationError(
            f"{what} is a traced array of type {typeof(x)}, whose value is not known here.",
            "It decides the shape of the result, which must be known while tracing.",
            repair,
        ) from None


def check_cast(value: Any, dtype: np.dtype[Any], casting: Any = "same_kind") -> None:
    """Raise DtypeMismatchError unless NumPy would cast a value to a dtype under a casting rule."""
    aval = typeof(value.array if type(value) is Selected else value)
    source = promoted(aval, typeof(dtype.type(0))) if aval.weak else aval.dtype
    if not can_cast(source, dtype, casting):
        raise DtypeMismatchError(
            f"A value of type {aval} was to be combined into an array of dtype {dtype.name}.",
            f"NumPy's rule {casting!r} does not allow this cast, which would lose part of the value.",
            "Convert one of them with `.astype(...)` first.",
        )
