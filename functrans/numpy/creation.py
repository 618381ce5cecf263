"""Arrays out of nothing and out of lists. Under a transformation they are its tracers, and can be assigned into."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..core.devices import here, is_on_device
from ..core.dtypes import result_type
from ..core.trace import EVAL, as_supported_array, current_trace, typeof
from ..core.tracer import Tracer
from ..errors import ShapeMismatchError
from ..primitives.elementwise import equal, greater_equal, multiply
from ..primitives.structural import concatenate, iota
from .common import as_operand, cast, stretched, with_shape
from .fresh import as_dtype, as_shape, constant, creates, filled, owned

CREATES_ARRAYS = True

_INT = np.dtype(np.int64)


# ---- one value throughout


@creates
def zeros(shape: Any, dtype: Any = float, order: Any = "C", *, device: Any = None, like: Any = None) -> Any:
    """numpy.zeros.

    Example:
        >>> import functrans as ft, functrans.numpy as fnp
        >>> def squares(x):
        ...     out = fnp.zeros(3)
        ...     out[1] = x**2
        ...     return out
        >>> ft.jvp(squares, (3.0,), (1.0,))
        (array([0., 9., 0.]), array([0., 6., 0.]))
    """
    return filled(0, as_shape(shape), as_dtype(dtype))


@creates
def ones(shape: Any, dtype: Any = None, order: Any = "C", *, device: Any = None, like: Any = None) -> Any:
    """numpy.ones."""
    return filled(1, as_shape(shape), as_dtype(dtype))


@creates
def empty(shape: Any, dtype: Any = float, order: Any = "C", *, device: Any = None, like: Any = None) -> Any:
    """numpy.empty; zeros while tracing."""
    return filled(0, as_shape(shape), as_dtype(dtype))


@creates
def full(
    shape: Any, fill_value: Any, dtype: Any = None, order: Any = "C", *, device: Any = None, like: Any = None
) -> Any:
    """numpy.full; the value broadcasts, and may be traced."""
    extents = as_shape(shape)
    value = as_operand(fill_value)
    target = as_dtype(dtype, typeof(value).dtype)
    if isinstance(value, Tracer):
        result = stretched(cast(value, target), extents)
        return owned(result.copy() if result is value else result)
    if np.ndim(value):
        return constant(np.full(extents, value, target))
    return filled(value, extents, target)


@creates
def zeros_like(
    a: Any, dtype: Any = None, order: Any = "K", subok: bool = True, shape: Any = None, *, device: Any = None
) -> Any:
    """numpy.zeros_like."""
    return filled(0, *_like(a, dtype, shape))


@creates
def ones_like(
    a: Any, dtype: Any = None, order: Any = "K", subok: bool = True, shape: Any = None, *, device: Any = None
) -> Any:
    """numpy.ones_like."""
    return filled(1, *_like(a, dtype, shape))


@creates
def empty_like(
    prototype: Any, /, dtype: Any = None, order: Any = "K", subok: bool = True, shape: Any = None, *, device: Any = None
) -> Any:
    """numpy.empty_like; zeros while tracing."""
    return filled(0, *_like(prototype, dtype, shape))


@creates
def full_like(
    a: Any,
    fill_value: Any,
    dtype: Any = None,
    order: Any = "K",
    subok: bool = True,
    shape: Any = None,
    *,
    device: Any = None,
) -> Any:
    """numpy.full_like."""
    extents, target = _like(a, dtype, shape)
    return full(extents, fill_value, target)


def _like(a: Any, dtype: Any, shape: Any) -> tuple[tuple[int, ...], np.dtype[Any]]:
    aval = typeof(as_operand(a))
    return aval.shape if shape is None else as_shape(shape), as_dtype(dtype, aval.dtype)


# ---- matrices


@creates
def eye(
    N: Any,
    M: Any = None,
    k: int = 0,
    dtype: Any = float,
    order: Any = "C",
    *,
    device: Any = None,
    like: Any = None,
) -> Any:
    """numpy.eye."""
    return owned(cast(equal(*_rows_and_columns(N, M, k)), as_dtype(dtype)))


@creates
def identity(n: Any, dtype: Any = None, *, like: Any = None) -> Any:
    """numpy.identity."""
    return eye(n, dtype=as_dtype(dtype))


@creates
def tri(N: Any, M: Any = None, k: int = 0, dtype: Any = float, *, like: Any = None) -> Any:
    """numpy.tri: ones at and below a diagonal."""
    return owned(cast(greater_equal(*_rows_and_columns(N, M, k)), as_dtype(dtype)))


def _rows_and_columns(rows: Any, columns: Any, k: int) -> tuple[Any, Any]:
    """The numbers of the rows, shifted by k, and of the columns, ready to be compared."""
    (m,), (n,) = as_shape(rows), as_shape(rows if columns is None else columns)
    down = iota(shape=(m, 1), dtype=_INT, axis=0)
    return down + k if k else down, iota(shape=(1, n), dtype=_INT, axis=1)


@creates
def vander(x: Any, N: int | None = None, increasing: bool = False) -> Any:
    """numpy.vander: the powers of each element."""
    x = as_operand(x)
    aval = typeof(x)
    if aval.ndim != 1:
        raise ShapeMismatchError("x must be a one-dimensional array or sequence.")
    x = with_shape(cast(x, result_type(aval.dtype, np.dtype(int))), (aval.size, 1))
    count = aval.size if N is None else N
    columns = [full((aval.size, 1), 1, typeof(x).dtype)]
    for _ in range(count - 1):
        columns.append(multiply(columns[-1], x) if len(columns) > 1 else x)
    columns = columns[:count] if increasing else columns[:count][::-1]
    return owned(concatenate(*columns, axis=1)) if columns else zeros((aval.size, 0), typeof(x).dtype)


# ---- grids


@creates
def indices(dimensions: Any, dtype: Any = int, sparse: bool = False) -> Any:
    """numpy.indices."""
    shape, target = as_shape(tuple(dimensions)), as_dtype(dtype)
    ndim = len(shape)
    lines = [
        owned(iota(shape=tuple(n if i == axis else 1 for i in range(ndim)), dtype=target, axis=axis))
        for axis, n in enumerate(shape)
    ]
    return tuple(lines) if sparse else _stacked_grids(lines, shape, target)


def _stacked_grids(lines: list[Any], shape: tuple[int, ...], dtype: np.dtype[Any]) -> Any:
    """Open grids along a new first axis, each repeated to the whole shape."""
    if not lines:
        return zeros((0,), dtype)
    return concatenate(*(stretched(with_shape(x, (1, *typeof(x).shape)), (1, *shape)) for x in lines), axis=0)


@creates
def meshgrid(*xi: Any, copy: bool = True, sparse: bool = False, indexing: str = "xy") -> tuple[Any, ...]:
    """numpy.meshgrid."""
    if indexing not in ("xy", "ij"):
        raise ValueError("Valid values for `indexing` are 'xy' and 'ij'.")
    ndim = len(xi)
    order = [1, 0, *range(2, ndim)] if indexing == "xy" and ndim > 1 else list(range(ndim))
    lines = [_own_array(x, None) for x in xi]
    sizes = [typeof(x).size for x in lines]
    shape = tuple(sizes[order[i]] for i in range(ndim))
    grids = []
    for number, x in enumerate(lines):
        grid = np.reshape(x, tuple(sizes[number] if order[i] == number else 1 for i in range(ndim)))
        grid = grid if sparse else np.broadcast_to(grid, shape)
        grids.append(owned(grid.copy()) if copy else grid)
    return tuple(grids)


@creates
def fromfunction(
    function: Callable[..., Any], shape: Any, *, dtype: Any = float, like: Any = None, **kwargs: Any
) -> Any:
    """numpy.fromfunction."""
    return function(*indices(shape, dtype), **kwargs)


# ---- arrays out of what is there


@creates
def array(
    object: Any,
    dtype: Any = None,
    *,
    copy: bool | None = True,
    order: Any = "K",
    subok: bool = False,
    ndmin: int = 0,
    like: Any = None,
) -> Any:
    """numpy.array; nested lists may hold traced values.

    Example:
        >>> import functrans as ft, functrans.numpy as fnp
        >>> ft.jacobian(lambda x: fnp.array([x, x**2, 1.0]))(3.0)
        array([1., 6., 0.])
    """
    result = _own_array(object, dtype)
    shape = typeof(result).shape
    if len(shape) < ndmin:
        return with_shape(result, (1,) * (ndmin - len(shape)) + shape)
    return result.copy() if result is object and copy else result


@creates
def asarray(
    a: Any, dtype: Any = None, order: Any = None, *, device: Any = None, copy: bool | None = None, like: Any = None
) -> Any:
    """numpy.asarray; nested lists may hold traced values, and an ndarray becomes a tracer that has a copy of it."""
    result = _own_array(a, dtype)
    return result.copy() if result is a and copy else result


@creates
def asanyarray(
    a: Any, dtype: Any = None, order: Any = None, *, device: Any = None, copy: bool | None = None, like: Any = None
) -> Any:
    """numpy.asanyarray."""
    return asarray(a, dtype, copy=copy)


@creates
def ascontiguousarray(a: Any, dtype: Any = None, *, like: Any = None) -> Any:
    """numpy.ascontiguousarray: at least one axis."""
    result = asarray(a, dtype)
    return result if typeof(result).shape else with_shape(result, (1,))


@creates
def asfortranarray(a: Any, dtype: Any = None, *, like: Any = None) -> Any:
    """numpy.asfortranarray; the order in memory is nothing that is traced."""
    return asarray(a, dtype)


@creates
def copy(a: Any, order: Any = "K", subok: bool = False) -> Any:
    """numpy.copy."""
    return array(a)


def _own_array(x: Any, dtype: Any) -> Any:
    """An array-like as a tracer, of the current trace unless it is one already; ndarrays are copied."""
    if isinstance(x, Tracer):
        return cast(x, as_dtype(dtype, x.dtype))
    if isinstance(x, (list, tuple)) and _holds_tracer(x):
        stacked = _stacked(x)
        return owned(cast(stacked, as_dtype(dtype, typeof(stacked).dtype)))
    if current_trace.get() is EVAL:
        return np.array(x, dtype, copy=None, like=x) if is_on_device(x) else np.asarray(x, dtype)
    # The caller may overwrite the array before the derivative is taken.
    given = as_supported_array(x if is_on_device(x) else np.asarray(x))
    return constant(given.astype(as_dtype(dtype, given.dtype)))


def _holds_tracer(x: Any) -> bool:
    return any(map(_holds_tracer, x)) if isinstance(x, (list, tuple)) else isinstance(x, Tracer)


def _stacked(x: Any) -> Any:
    """A nested list as one array, all of whose elements take part in its dtype."""
    if not isinstance(x, (list, tuple)):
        x = x if isinstance(x, Tracer) or is_on_device(x) else here(as_supported_array(np.asarray(x)))
        return cast(x, typeof(x).dtype)
    parts = [_stacked(part) for part in x]
    shapes = {typeof(part).shape for part in parts}
    if len(shapes) > 1:
        raise ShapeMismatchError(
            f"An array was asked for of a list with elements of shapes {', '.join(map(str, sorted(shapes)))}.",
            "The elements of a list become one array only if they have one shape.",
            "Broadcast or pad them first.",
        )
    if not parts:
        return here(np.zeros(0))
    return concatenate(*(with_shape(part, (1, *typeof(part).shape)) for part in parts), axis=0)


def _reader(name: str) -> Callable[..., Any]:
    """A function that reads an array from somewhere."""
    theirs = getattr(np, name)

    def read(*args: Any, **kwargs: Any) -> Any:
        result = theirs(*args, **kwargs)
        return _own_array(result, None) if current_trace.get() is not EVAL else result

    read.__name__ = read.__qualname__ = name
    read.__doc__ = f"numpy.{name}."
    return read


frombuffer, fromiter, fromstring, fromfile = map(_reader, ("frombuffer", "fromiter", "fromstring", "fromfile"))
load, loadtxt, genfromtxt = map(_reader, ("load", "loadtxt", "genfromtxt"))
