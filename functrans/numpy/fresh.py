"""What the functions that make new arrays share: the current trace owns what they make, and may assign into it."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from operator import index
from typing import Any, TypeVar

import numpy as np

from ..core.avals import is_supported
from ..core.devices import here, is_on_device
from ..core.trace import EVAL, as_supported_array, current_trace
from ..core.tracer import Tracer
from ..errors import InvalidShapeError
from ..primitives.foundation import full
from ..primitives.python_operators import has_integer, integer_range_error

F = TypeVar("F", bound=Callable[..., Any])


def creates(ours: F) -> F:
    """A function that is NumPy's own where nothing is traced, and ours elsewhere."""
    theirs = getattr(np, ours.__name__)
    takes_any = ours.__name__ in ("array", "asarray", "asanyarray", "ascontiguousarray", "asfortranarray")

    @wraps(ours)
    def create(*args: Any, **kwargs: Any) -> Any:
        if current_trace.get() is EVAL:
            for arg in args:
                if isinstance(arg, Tracer):
                    return ours(*args, **kwargs)
            if not (kwargs and any(isinstance(arg, Tracer) for arg in kwargs.values())):
                if args and takes_any and is_on_device(args[0]):
                    kwargs["like"] = args[0]
                return theirs(*args, **kwargs)
        return ours(*args, **kwargs)

    return create


def owned(value: Any) -> Any:
    """A value as a tracer of the current trace, which can be assigned into; as it is where nothing is traced."""
    trace = current_trace.get()
    return value if isinstance(value, Tracer) and value.trace is trace else trace.pure(value)


def constant(array: Any) -> Any:
    """A new array that nobody else has, as a tracer of the current trace."""
    array = here(as_supported_array(array))
    if current_trace.get() is EVAL:
        return array
    if type(array) is np.ndarray:
        array.flags.writeable = False  # so that a trace need not copy it once more
    return owned(array)


def filled(value: Any, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Any:
    """An array of one concrete value.

    Raises:
        IntegerRangeError: the dtype has no such integer.
    """
    if type(value) is int and dtype.kind in "iu" and not has_integer(dtype, value):
        raise integer_range_error(value, dtype, "full")
    scalar = np.asarray(value).astype(dtype)
    if not scalar.any() and scalar.tobytes().strip(b"\0"):  # a negative zero equals the other one as a parameter
        return constant(np.full(shape, scalar))
    return owned(full(value=scalar.item(), shape=shape, dtype=dtype))


def as_shape(shape: Any) -> tuple[int, ...]:
    """NumPy's argument `shape` as a tuple of integers.

    Raises:
        InvalidShapeError: an extent is negative.
        ConcretizationError: an extent is not known while tracing.
    """
    several = isinstance(shape, (tuple, list)) or (isinstance(shape, np.ndarray) and shape.ndim == 1)
    items: Any = shape if several else (shape,)
    extents = tuple(map(index, items))
    if any(extent < 0 for extent in extents):
        raise InvalidShapeError(
            f"An array of shape {extents} was asked for.",
            "Negative dimensions are not allowed.",
            "Check how the shape was computed.",
        )
    return extents


def as_dtype(dtype: Any, default: Any = float) -> np.dtype[Any]:
    """NumPy's argument `dtype`.

    Raises:
        UnsupportedDtypeError: arrays of this dtype cannot be traced.
    """
    wanted = np.dtype(default if dtype is None else dtype)
    return wanted if is_supported(wanted) else as_supported_array(np.zeros(0, wanted)).dtype
