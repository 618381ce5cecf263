"""What the functions that read and those that write by position share."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core.avals import BOOL, INT
from ..core.dtypes import kind_of
from ..core.trace import typeof
from ..core.tracer import Tracer
from ..errors import InvalidIndexError, ShapeMismatchError, TracerConversionError
from ..primitives.structural import iota
from ..primitives.subscripts import as_array
from .common import as_operand, cast, with_shape

_MODES = {None: "raise", "promise_in_bounds": "raise", "fill": "drop"}
_MODE_NAMES = ("raise", "clip", "wrap", "drop")


def index_mode(mode: str | None) -> str:
    """The mode of an Indexing by NumPy's and JAX's names."""
    mode = _MODES.get(mode, mode)
    if mode not in _MODE_NAMES:
        raise ValueError(f"index mode {mode!r} is none of 'raise', 'clip', 'wrap', 'fill', 'drop'")
    return mode


def default_fill(dtype: np.dtype[Any]) -> Any:
    """What mode="fill" puts where an index points outside, unless told: NaN, or the integer farthest from use."""
    if kind_of(dtype) in "fc":
        return np.nan
    if dtype == BOOL:
        return True
    return np.iinfo(dtype).min if dtype.kind == "i" else np.iinfo(dtype).max


def counted(count: int, ndim: int = 1, axis: int = 0) -> Any:
    """0, 1, ... along one axis, the others of extent one."""
    return with_shape(iota(shape=(count,), axis=0, dtype=INT), tuple(count if i == axis else 1 for i in range(ndim)))


def as_integers(x: Any) -> Any:
    """Indices as an operand."""
    x = as_array(x) if isinstance(x, (list, tuple)) else as_operand(x)
    aval = typeof(x)
    if aval.dtype.kind in "iu":
        return x
    if aval.dtype == BOOL or not aval.size:
        return cast(x, INT)
    raise InvalidIndexError(
        f"An array of dtype {aval.dtype} was used as indices.",
        "Indices are integers.",
        "Convert them with `.astype(int)`.",
    )


def cell(array: Any, name: str) -> Tracer:
    """An array that can be assigned into while tracing.

    Raises:
        TracerConversionError: it is a plain NumPy array.
    """
    if isinstance(array, Tracer):
        return array
    raise TracerConversionError(
        f"A traced value was to be stored in a plain NumPy array (argument `{name}`).",
        "A NumPy array cannot hold a traced value: its derivative or batch would be lost.",
        "Make the array with np.zeros_like(x), np.zeros(n, like=x) or functrans.numpy.zeros(n).",
    )


def stored(result: Any, out: Any) -> Any:
    """A result, assigned into `out` if there is one.

    Raises:
        ShapeMismatchError: it is not the shape of the result.
    """
    if out is None:
        return result
    shape = typeof(result).shape
    if cell(out, "out").shape != shape:
        raise ShapeMismatchError(
            f"A result of shape {shape} was to be stored in an array of shape {out.shape}.",
            "The argument `out` has the shape of the result.",
            f"Make it with functrans.numpy.zeros({shape}).",
        )
    out[...] = result
    return out


def along_axis(shape: tuple[int, ...], indices: Any, axis: int) -> tuple[Any, ...]:
    """The index that take_along_axis and put_along_axis stand for."""
    have = typeof(indices).shape
    if len(have) != len(shape):
        raise ValueError("`indices` and `arr` must have the same number of dimensions")
    return tuple(indices if i == axis else counted(n, len(shape), i) for i, n in enumerate(shape))
