"""Numbers at regular distances, and windows over them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..core.avals import PYTHON_SCALARS
from ..core.dtypes import as_dtype as _in_dtype
from ..core.dtypes import result_type
from ..core.trace import EVAL, current_trace, typeof
from ..core.tracer import Tracer
from ..primitives.elementwise import add, divide, floor, log10, multiply, power, sign
from ..primitives.foundation import broadcast_shapes, promoted
from ..primitives.structural import concatenate, iota, slice_axis
from .common import as_operand, cast, concrete_value, stretched, with_shape
from .elementwise import i0
from .fresh import as_dtype, as_shape, constant, creates, filled, owned
from .manipulation import expand_dims, moveaxis

CREATES_ARRAYS = True

_HOW_MANY = "Use linspace, whose end points may be traced, or mark the argument with static_argnums."


@creates
def arange(*args: Any, dtype: Any = None, device: Any = None, like: Any = None, **named: Any) -> Any:
    """numpy.arange: `arange(stop)` or `arange(start, stop, step)`; their values must be known while tracing.

    Raises:
        ConcretizationError: an end point or the step is not known.
    """
    if len(args) == 4:
        *args, dtype = args
    names = ("start", "stop", "step") if len(args) > 1 or "stop" in named else ("stop",)
    span: dict[str, Any] = {**dict(zip(names, args)), **named}
    if set(span) - {"start", "stop", "step"} or "stop" not in span:
        raise TypeError("arange() takes start, stop and step, and requires stop to be specified")
    start, stop, step = (_known(span.get(name), f"`{name}` of arange") for name in ("start", "stop", "step"))
    if stop is None:
        start, stop = None, start
    start, step = 0 if start is None else start, 1 if step is None else step
    natural = result_type(*(np.asarray(x).dtype for x in (start, stop, step)))
    if natural.kind not in "iu":
        return constant(np.arange(start, stop, step, dtype=dtype))
    target = as_dtype(dtype, natural)
    values = iota(shape=(len(range(start, stop, step)),), dtype=target, axis=0)
    values = values if step == 1 else multiply(values, target.type(step))
    return owned(values if start == 0 else add(values, target.type(start)))


def _known(x: Any, what: str) -> Any:
    return concrete_value(x, what, _HOW_MANY)[()] if isinstance(x, Tracer) else x


@creates
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
    """numpy.linspace; the end points may be traced.

    Example:
        >>> import functrans as ft, functrans.numpy as fnp
        >>> ft.jacobian(lambda stop: fnp.linspace(0.0, stop, 5))(1.0)
        array([0.  , 0.25, 0.5 , 0.75, 1.  ])
    """
    (count,) = as_shape(num)
    start, stop = as_operand(start), as_operand(stop)
    inner = promoted(typeof(start), typeof(stop), PYTHON_SCALARS[float])
    start, stop = (cast(x, inner) if isinstance(x, Tracer) else _in_dtype(x, inner)[()] for x in (start, stop))
    delta = stop - start
    shape = typeof(delta).shape
    parts = count - 1 if endpoint else count
    values = with_shape(iota(shape=(count,), dtype=inner, axis=0), (count, *(1,) * len(shape)))
    step = delta / inner.type(parts) if parts > 0 else np.nan
    values = add(multiply(values, step if parts > 0 else delta), start)
    if endpoint and count > 1:
        values = concatenate(slice_axis(values, 0, count - 1, axis=0), _row(stop, shape), axis=0)
    values = moveaxis(values, 0, axis) if axis else values
    target = as_dtype(dtype, inner)
    values = owned(cast(floor(values) if target.kind in "iu" else values, target))
    return (values, step) if retstep else values


def _row(x: Any, shape: tuple[int, ...]) -> Any:
    """x broadcast to a shape, under a new first axis."""
    return with_shape(stretched(x, shape), (1, *shape))


@creates
def logspace(
    start: Any,
    stop: Any,
    num: int = 50,
    endpoint: bool = True,
    base: Any = 10.0,
    dtype: Any = None,
    axis: int = 0,
) -> Any:
    """numpy.logspace; end points and base may be traced."""
    start, stop, base = as_operand(start), as_operand(stop), as_operand(base)
    if typeof(base).shape:
        ndim = len(broadcast_shapes(*(typeof(x).shape for x in (start, stop, base))))
        start, stop, base = (
            with_shape(x, (1,) * (ndim - typeof(x).ndim) + typeof(x).shape) for x in (start, stop, base)
        )
        base = expand_dims(base, axis)
    return owned(cast(power(base, linspace(start, stop, num, endpoint, axis=axis)), dtype))


@creates
def geomspace(start: Any, stop: Any, num: int = 50, endpoint: bool = True, dtype: Any = None, axis: int = 0) -> Any:
    """numpy.geomspace; the end points may be traced, if their signs are known to agree."""
    (count,) = as_shape(num)
    start, stop = as_operand(start), as_operand(stop)
    if any(not isinstance(x, Tracer) and np.any(np.equal(x, 0)) for x in (start, stop)):
        raise ValueError("Geometric sequence cannot include zero")
    inner = result_type(typeof(start).dtype, typeof(stop).dtype, as_dtype(dtype), 0.0)
    start, stop = cast(start, inner), cast(stop, inner)
    direction = sign(start)
    start, stop = divide(start, direction), divide(stop, direction)
    values = power(10.0, linspace(log10(start), log10(stop), count, endpoint))
    shape, exact = typeof(values).shape[1:], int(endpoint and count > 1)
    first, last = _row(start, shape), _row(stop, shape)
    middle = slice_axis(values, min(count, 1), count - exact, axis=0)
    values = concatenate(*[first] * (count > 0), middle, *[last] * exact, axis=0)
    values = multiply(values, direction)
    return owned(cast(moveaxis(values, 0, axis) if axis else values, as_dtype(dtype, inner)))


class _Grid:
    """numpy.mgrid and numpy.ogrid: grids by slices, `mgrid[0:3, 0:1:5j]`."""

    def __init__(self, theirs: Any, sparse: bool):
        self.theirs = theirs
        self.sparse = sparse

    def __getitem__(self, key: Any) -> Any:
        if current_trace.get() is EVAL:
            return self.theirs[key]
        several = isinstance(key, tuple)
        spans = [
            slice(*(_known(x, "A slice of a grid") for x in (s.start, s.stop, s.step)))
            for s in (key if several else (key,))
        ]
        lines = np.ogrid[tuple(spans)]
        if not several:
            return constant(lines[0])
        if self.sparse:
            return tuple(map(constant, lines))
        shape = np.broadcast_shapes(*(x.shape for x in lines))
        dtype = result_type(*lines)
        return concatenate(*(stretched(constant(x.astype(dtype)[None]), (1, *shape)) for x in lines), axis=0)


mgrid, ogrid = _Grid(np.mgrid, False), _Grid(np.ogrid, True)


def _window(name: str) -> Callable[..., Any]:
    """A window function: its length must be known."""
    theirs = getattr(np, name)

    def window(M: Any) -> Any:
        return constant(theirs(_known(M, "The length of a window")))

    window.__name__ = window.__qualname__ = name
    window.__doc__ = f"numpy.{name}."
    return window


bartlett, blackman, hamming, hanning = map(_window, ("bartlett", "blackman", "hamming", "hanning"))


def kaiser(M: Any, beta: Any) -> Any:
    """numpy.kaiser; beta may be traced."""
    count = _known(M, "The length of a window")
    if not isinstance(beta, Tracer):
        return constant(np.kaiser(count, beta))
    if count <= 1:
        return filled(1, (max(int(count), 0),), np.dtype(float))
    half = (count - 1) / 2.0
    profile = np.sqrt(1 - ((np.arange(count) - half) / half) ** 2.0)
    return divide(i0(multiply(beta, profile)), i0(beta))
