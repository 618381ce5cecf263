"""What the functions of functrans.random ask of their arguments."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import index
from typing import Any, Final

import numpy as np

from ..core.devices import beside
from ..core.trace import Traced, typeof
from ..errors import (
    FunctransError,
    InvalidKeyError,
    InvalidShapeError,
    RandomParameterError,
    ShapeMismatchError,
    UnsupportedDtypeError,
)
from ..primitives.foundation import broadcast_shapes
from ..primitives.random import MANTISSA, check_key, mantissa_of

Shape = int | Sequence[int]

FLOATS: Final = frozenset(MANTISSA)
COMPLEX: Final = frozenset((np.dtype(np.complex64), np.dtype(np.complex128)))
INTEGERS: Final = frozenset(np.dtype(f"{kind}{size}") for kind in "iu" for size in (1, 2, 4, 8))
UNSIGNED: Final = frozenset(dtype for dtype in INTEGERS if dtype.kind == "u")


def checked_key(key: Any) -> Any:
    """One key. An array of keys would make it unclear which axes of the parameters belong to it."""
    aval = typeof(key)
    check_key(aval)
    if len(aval.shape) > 1:
        raise InvalidKeyError(
            f"An array of keys of type {aval} was given where one key is expected.",
            "Each function of functrans.random draws from one key of shape (2,).",
            "Draw from one of them (`keys[0]`), or from each: `vmap(lambda key: random.normal(key, (3,)))(keys)`.",
        )
    return key


def checked_shape(shape: Any) -> tuple[int, ...]:
    if type(shape) is tuple and all(type(extent) is int and extent >= 0 for extent in shape):
        return shape
    try:
        extents = tuple(map(index, shape if isinstance(shape, Sequence | np.ndarray) else (shape,)))
    except FunctransError:
        raise
    except TypeError:
        extents = (-1,)
    if min(extents, default=0) < 0:
        raise InvalidShapeError(
            f"Random numbers of shape {shape!r} were asked for.",
            "A shape is an integer or a sequence of integers, none of them negative.",
            "Pass a tuple such as `(3, 4)`.",
        )
    return extents


def checked_dtype(dtype: Any, allowed: frozenset[np.dtype[Any]]) -> np.dtype[Any]:
    dtype = np.dtype(dtype)
    if dtype not in allowed and not (is_float(dtype) and allowed >= FLOATS):
        names = ", ".join(sorted(allowed_dtype.name for allowed_dtype in allowed))
        raise UnsupportedDtypeError(
            f"Random numbers of dtype {dtype.name} were asked for.",
            f"This function draws {names}.",
            "Draw one of these and convert it with `.astype(...)`.",
        )
    return dtype


def is_float(dtype: np.dtype[Any]) -> bool:
    """Whether real numbers are drawn in this dtype: those of `FLOATS`, and bfloat16."""
    return mantissa_of(dtype) is not None


def checked_count(n: Any) -> int:
    if typeof(n).dtype not in INTEGERS or index(n) < 0:
        raise RandomParameterError(
            f"A scalar of type {typeof(n)} was given in place of an array to draw from.",
            "A scalar stands for `arange(n)`, and is an integer that is not negative.",
            "Pass such an integer, or an array.",
        )
    return index(n)


def sample_shape(shape: Any, *parameters: Any) -> tuple[int, ...]:
    """The shape of the numbers to be drawn: the given one, or if None that of the parameters."""
    shapes = [typeof(parameter).shape for parameter in parameters]
    if shape is None:
        return broadcast_shapes(*shapes)
    shape = checked_shape(shape)
    if any(shapes) and broadcast_shapes(shape, *shapes) != shape:
        raise broadcast_error(shape, *parameters)
    return shape


def broadcast_error(shape: tuple[int, ...], *parameters: Any) -> ShapeMismatchError:
    return ShapeMismatchError(
        f"Random numbers of shape {shape} were asked for, with parameters of types "
        f"{', '.join(str(typeof(parameter)) for parameter in parameters)}.",
        "The parameters have to broadcast to the shape of the result.",
        "Enlarge `shape`, or draw for each parameter with `vmap`.",
    )


def as_dtype(x: Any, dtype: np.dtype[Any]) -> Any:
    """A real parameter in the dtype of the numbers to be drawn."""
    aval = typeof(x)
    if aval.dtype.kind == "c":
        raise UnsupportedDtypeError(
            f"A parameter of type {aval} was given to a distribution of real numbers.",
            "Its parameters are real.",
            "Pass the real part.",
        )
    if not hasattr(x, "astype"):
        return np.asarray(x, dtype)[()]  # a number is at home on every device
    return x if aval.dtype == dtype and not aval.weak else x.astype(dtype)


def as_float(x: Any) -> Any:
    """A parameter that decides the dtype of the result; integers and Python numbers become float64."""
    dtype = typeof(x).dtype
    return as_dtype(x, dtype if is_float(dtype) else np.dtype(np.float64))


def for_each(x: Any, shape: tuple[int, ...], key: Any) -> Any:
    """A parameter for each of the numbers to be drawn; one number is put where the key is."""
    found = np.broadcast_to(x, shape)
    return beside(key, found) if isinstance(x, np.generic) else found


def is_traced(x: Any) -> bool:
    """Whether the values of a parameter are unknown, or must not be looked at."""
    return isinstance(x, Traced)


def require(x: Any, holds: Callable[[Any], Any], what: str, rule: str) -> None:
    """Raise RandomParameterError unless a condition holds for all of a parameter whose values are known."""
    if is_traced(x) or np.all(holds(x if hasattr(x, "dtype") else np.asarray(x))):
        return
    raise RandomParameterError(
        f"{what} of random numbers were given as {x}.",
        f"They {rule}.",
        "Look where they come from; `np.clip` keeps rounding errors within bounds.",
    )
