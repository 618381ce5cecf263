"""Arrays out of nothing: under a transformation they are tracers of it, and can be assigned into."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..core.avals import as_supported_array, typeof
from ..core.trace import EVAL, current_trace
from ..core.tracer import Tracer
from ..errors import ConcretizationError
from ..primitives.foundation import full as _full
from ..primitives.structural import iota as _iota
from .common import cast, stretched, with_shape
from .manipulation import stack

CREATES_ARRAYS = True


def _shape(shape: Any) -> tuple[int, ...]:
    return tuple(int(n) for n in shape) if isinstance(shape, (tuple, list, np.ndarray)) else (int(shape),)


def _filled(shape: Any, value: Any, dtype: Any) -> Any:
    """An array of one value as a tracer of the current trace."""
    return current_trace.get().pure(_full(value=value, shape=_shape(shape), dtype=np.dtype(dtype)))


def _constant(array: Any) -> Any:
    """A new array as a tracer of the current trace, if there is one."""
    trace = current_trace.get()
    return array if trace is EVAL else trace.pure(array)


def zeros(shape: Any, dtype: Any = float, order: str = "C", *, device: Any = None, like: Any = None) -> Any:
    """numpy.zeros."""
    if current_trace.get() is EVAL:
        return np.zeros(shape, dtype, order)
    return _filled(shape, 0, dtype)


def ones(shape: Any, dtype: Any = None, order: str = "C", *, device: Any = None, like: Any = None) -> Any:
    """numpy.ones."""
    if current_trace.get() is EVAL:
        return np.ones(shape, dtype, order)
    return _filled(shape, 1, float if dtype is None else dtype)


def empty(shape: Any, dtype: Any = float, order: str = "C", *, device: Any = None, like: Any = None) -> Any:
    """numpy.empty; zeros while tracing."""
    if current_trace.get() is EVAL:
        return np.empty(shape, dtype, order)
    return _filled(shape, 0, dtype)


def full(
    shape: Any, fill_value: Any, dtype: Any = None, order: str = "C", *, device: Any = None, like: Any = None
) -> Any:
    """numpy.full; the value may be traced, and broadcasts."""
    if current_trace.get() is EVAL and not isinstance(fill_value, Tracer):
        return np.full(shape, fill_value, dtype, order)
    value = cast(fill_value, typeof(fill_value).dtype if dtype is None else dtype)
    return _constant(stretched(value, _shape(shape)))


def zeros_like(
    x: Any, dtype: Any = None, order: str = "K", subok: bool = True, shape: Any = None, *, device: Any = None
) -> Any:
    """numpy.zeros_like."""
    return zeros(np.shape(x) if shape is None else shape, _dtype_like(x, dtype))


def ones_like(
    x: Any, dtype: Any = None, order: str = "K", subok: bool = True, shape: Any = None, *, device: Any = None
) -> Any:
    """numpy.ones_like."""
    return ones(np.shape(x) if shape is None else shape, _dtype_like(x, dtype))


def empty_like(
    x: Any, dtype: Any = None, order: str = "K", subok: bool = True, shape: Any = None, *, device: Any = None
) -> Any:
    """numpy.empty_like; zeros while tracing."""
    return empty(np.shape(x) if shape is None else shape, _dtype_like(x, dtype))


def full_like(
    x: Any,
    fill_value: Any,
    dtype: Any = None,
    order: str = "K",
    subok: bool = True,
    shape: Any = None,
    *,
    device: Any = None,
) -> Any:
    """numpy.full_like."""
    return full(np.shape(x) if shape is None else shape, fill_value, _dtype_like(x, dtype))


def _dtype_like(x: Any, dtype: Any) -> Any:
    return typeof(x).dtype if dtype is None else dtype


def _numbers(values: tuple[Any, ...], name: str) -> None:
    for value in values:
        if isinstance(value, Tracer) and not _is_concrete(value):
            raise ConcretizationError(
                f"np.{name} was called with a traced value of type {value.aval}.",
                "The number of elements of the result must be known while tracing.",
                "Use linspace, whose end points may be traced, or mark the argument with static_argnums.",
            )


def _is_concrete(value: Tracer) -> bool:
    try:
        np.asarray(value)
    except TypeError:
        return False
    return True


def arange(*args: Any, dtype: Any = None, device: Any = None, like: Any = None, **kwargs: Any) -> Any:
    """numpy.arange."""
    _numbers((*args, *kwargs.values()), "arange")
    trace = current_trace.get()
    if trace is EVAL:
        return np.arange(*args, dtype=dtype, **kwargs)
    counts = np.arange(*args, dtype=dtype, **kwargs)
    if len(args) == 1 and not kwargs:
        return trace.pure(_iota(shape=counts.shape, dtype=counts.dtype, axis=0))
    return trace.pure(counts)


def linspace(
    start: Any,
    stop: Any,
    num: int = 50,
    endpoint: bool = True,
    retstep: bool = False,
    dtype: Any = None,
    axis: int = 0,
    *,
    device: Any = None,
) -> Any:
    """numpy.linspace; end points may be traced."""
    if not isinstance(start, Tracer) and not isinstance(stop, Tracer):
        result = np.linspace(start, stop, num, endpoint, retstep, dtype, axis)
        return (_constant(result[0]), result[1]) if retstep else _constant(result)
    parts = num - 1 if endpoint else num
    fractions = np.arange(num) / max(parts, 1)
    span = np.subtract(stop, start)
    ndim = typeof(span).ndim
    steps = fractions.reshape((-1,) + (1,) * ndim)
    values = start + steps * span
    values = cast(np.moveaxis(values, 0, axis), typeof(values).dtype if dtype is None else dtype)
    return (values, span / parts) if retstep else values


def logspace(
    start: Any, stop: Any, num: int = 50, endpoint: bool = True, base: Any = 10.0, dtype: Any = None, axis: int = 0
) -> Any:
    """numpy.logspace."""
    return cast(np.power(base, linspace(start, stop, num, endpoint, axis=axis)), dtype)


def geomspace(start: Any, stop: Any, num: int = 50, endpoint: bool = True, dtype: Any = None, axis: int = 0) -> Any:
    """numpy.geomspace, for end points of one sign."""
    sign = np.sign(start)
    logs = linspace(np.log(np.abs(start)), np.log(np.abs(stop)), num, endpoint, axis=axis)
    return cast(sign * np.exp(logs), dtype)


def _from_numpy(name: str) -> Callable[..., Any]:
    """A function whose result depends on shapes only."""
    theirs = getattr(np, name)

    def function(*args: Any, **kwargs: Any) -> Any:
        result = theirs(*args, **kwargs)
        return tuple(map(_constant, result)) if isinstance(result, tuple) else _constant(result)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"numpy.{name}."
    return function


eye, identity, tri, indices = map(_from_numpy, ("eye", "identity", "tri", "indices"))
hanning, hamming, bartlett, blackman, kaiser = map(
    _from_numpy, ("hanning", "hamming", "bartlett", "blackman", "kaiser")
)


def meshgrid(*xs: Any, copy: bool = True, sparse: bool = False, indexing: str = "xy") -> tuple[Any, ...]:
    """numpy.meshgrid."""
    ndim = len(xs)
    shape = [np.size(x) for x in xs]
    grids = [np.reshape(x, tuple(-1 if i == axis else 1 for i in range(ndim))) for axis, x in enumerate(xs)]
    grids = grids if sparse else [np.broadcast_to(grid, tuple(shape)) for grid in grids]
    return tuple(np.swapaxes(grid, 0, 1) for grid in grids) if indexing == "xy" and ndim > 1 else tuple(grids)


def vander(x: Any, N: int | None = None, increasing: bool = False) -> Any:
    """numpy.vander."""
    count = np.size(x) if N is None else N
    powers = np.arange(count) if increasing else np.arange(count)[::-1]
    return np.power(np.expand_dims(x, -1), powers)


def array(
    x: Any, dtype: Any = None, *, copy: bool | None = True, order: str = "K", ndmin: int = 0, like: Any = None
) -> Any:
    """numpy.array; nested lists may hold traced values."""
    result = _as_array(x, dtype)
    if isinstance(result, Tracer) and copy:
        result = result.copy()
    missing = ndmin - typeof(result).ndim
    return with_shape(result, (1,) * missing + typeof(result).shape) if missing > 0 else result


def asarray(
    x: Any, dtype: Any = None, order: Any = None, *, device: Any = None, copy: bool | None = None, like: Any = None
) -> Any:
    """numpy.asarray; nested lists may hold traced values."""
    return _as_array(x, dtype)


def asanyarray(x: Any, dtype: Any = None, order: Any = None, *, like: Any = None) -> Any:
    """numpy.asanyarray."""
    return _as_array(x, dtype)


def ascontiguousarray(x: Any, dtype: Any = None, *, like: Any = None) -> Any:
    """numpy.ascontiguousarray."""
    return _as_array(x, dtype)


def copy(x: Any, order: str = "K", subok: bool = False) -> Any:
    """numpy.copy."""
    return array(x)


def _as_array(x: Any, dtype: Any) -> Any:
    if isinstance(x, Tracer):
        return cast(x, dtype) if dtype is not None or x.aval.weak is False else cast(x, x.dtype)
    if isinstance(x, (list, tuple)) and _holds_tracer(x):
        return cast(stack([_as_array(item, None) for item in x]), dtype)
    if current_trace.get() is EVAL:
        return np.asarray(x, dtype)
    # The caller may overwrite the array later: what is traced is a copy.
    return _constant(np.array(as_supported_array(x), dtype))


def _holds_tracer(x: Any) -> bool:
    if isinstance(x, (list, tuple)):
        return any(map(_holds_tracer, x))
    return isinstance(x, Tracer)
