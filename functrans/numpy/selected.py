"""NumPy's functions of `x[mask]` where the mask is not known: of elements whose number is not known either.

Functions of single elements are applied to all of them, reductions have `where=mask`. An extreme of no elements raises
IndexError when it runs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from ..core.avals import INT, is_inexact
from ..core.selected import Selected
from ..core.trace import typeof
from ..primitives.elementwise import greater
from ..primitives.indexing import gather
from ..primitives.indices import Indexing
from ..primitives.masks import number_of, per_element
from ..primitives.selection import select
from .common import cast, check_cast, normalize_axes, with_shape
from .positions import counted

_PER_ELEMENT = {
    np.where, np.clip, np.isclose, np.nan_to_num, np.real, np.imag, np.round, np.around, np.angle, np.sinc, np.i0,
    np.fix, np.isreal, np.iscomplex, np.isneginf, np.isposinf, np.copy, np.zeros_like, np.ones_like,
}  # fmt: skip
_WITH_WHERE = {
    np.sum, np.prod, np.mean, np.var, np.std, np.any, np.all, np.nansum, np.nanprod, np.nanmean, np.nanvar, np.nanstd,
}  # fmt: skip
_EXTREMES = {np.max: False, np.nanmax: False, np.amax: False, np.min: True, np.nanmin: True, np.amin: True}
_REDUCTIONS_OF_UFUNCS = {
    np.add: np.sum, np.multiply: np.prod, np.logical_or: np.any, np.logical_and: np.all, np.maximum: np.max,
    np.minimum: np.min,
}  # fmt: skip
_METHODS = {
    "all", "any", "clip", "copy", "cumprod", "cumsum", "dot", "max", "mean", "min", "prod", "round", "std", "sum",
    "var",
}  # fmt: skip
_ATTRIBUTES = {"real", "imag"}


def apply_ufunc_to_selected(ufunc: Any, method: str, inputs: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """What `__array_ufunc__` of selected elements calls.

    Raises:
        TracedMaskError: it needs the number of elements.
    """
    chosen = _first(inputs)
    if method == "reduce" and ufunc in _REDUCTIONS_OF_UFUNCS:
        return apply_function_to_selected(_REDUCTIONS_OF_UFUNCS[ufunc], inputs, {"axis": 0, **kwargs})
    if method == "__call__" and ufunc is np.matmul:
        return _product(*inputs)
    if method != "__call__" or ufunc.signature or chosen is None:
        _first([*inputs, *kwargs.values()]).uncounted()
    (out,) = kwargs.pop("out", (None,))
    result = per_element(partial(ufunc, **kwargs), inputs)
    if out is None:
        return result
    check_cast(result, out.dtype)
    out[...] = result
    return out


def apply_function_to_selected(function: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    """What `__array_function__` of selected elements calls.

    Raises:
        TracedMaskError: it needs the number of elements.
    """
    is_direct = any(type(arg) is Selected for arg in args)
    if is_direct and function in _PER_ELEMENT:
        return per_element(partial(function, **kwargs), args)
    ours = _FUNCTIONS.get(function)
    if not is_direct or ours is None:
        _first([*args, *kwargs.values()]).uncounted()
    return ours(*args, **kwargs)


def attribute_of_selected(chosen: Selected, name: str) -> Any:
    """A method or property of ndarray, of selected elements."""
    if name == "astype":
        return lambda dtype: per_element(lambda x: cast(x, dtype), [chosen])
    if name in _METHODS:
        return partial(getattr(np, name), chosen)
    if name in _ATTRIBUTES:
        return getattr(np, name)(chosen)
    if name in ("T", "ravel", "flatten") and chosen.ndim == 1:
        return chosen if name == "T" else partial(np.copy, chosen)
    if hasattr(np.ndarray, name):
        chosen.uncounted()
    raise AttributeError(f"an array has no attribute {name!r}")


def _first(args: Any) -> Any:
    """The first selected elements among arguments; in nested lists of them, if need be."""
    found = (_first(arg) if isinstance(arg, (list, tuple)) else arg for arg in args)
    return next((x for x in found if type(x) is Selected), None)


def _mask(chosen: Selected) -> Any:
    """The mask, to go with the elements."""
    return with_shape(chosen.mask, (*typeof(chosen.mask).shape, *(1,) * (chosen.ndim - 1)))


def _filled(chosen: Selected, value: Any = 0) -> Any:
    """All elements, those that are not selected replaced by a number."""
    return select(_mask(chosen), chosen.array, cast(value, chosen.dtype))


def _with_where(function: Callable[..., Any], chosen: Selected, axis: Any = None, **kwargs: Any) -> Any:
    """A reduction that leaves elements out by `where`, if it is one over the selected axis."""
    if kwargs.get("where", True) is not True:
        chosen.uncounted()
    if 0 not in normalize_axes(axis, chosen.ndim):
        return per_element(lambda x: function(x, axis, **kwargs), [chosen])
    kwargs["where"] = np.broadcast_to(_mask(chosen), typeof(chosen.array).shape)
    return function(chosen.array, axis, **kwargs)


def _extreme(function: Callable[..., Any], is_least: bool, chosen: Selected, axis: Any = None, **kwargs: Any) -> Any:
    """The least or the greatest element."""
    if "initial" in kwargs or 0 not in normalize_axes(axis, chosen.ndim):
        return _with_where(function, chosen, axis, **kwargs)
    found = _with_where(function, chosen, axis, initial=_farthest(chosen.dtype, is_least), **kwargs)
    index = select(greater(number_of(chosen.mask), 0), INT.type(0), INT.type(1))
    return gather(with_shape(found, (1, *typeof(found).shape)), index, spec=Indexing((0,)))


def _farthest(dtype: np.dtype[Any], is_least: bool) -> Any:
    """What no element goes beyond."""
    if is_inexact(dtype):
        return dtype.type(np.inf if is_least else -np.inf)
    if dtype.kind == "b":
        return dtype.type(is_least)
    return np.iinfo(dtype).max if is_least else np.iinfo(dtype).min


def _cumulative(function: Callable[..., Any], identity: int, chosen: Selected, axis: Any = None, **kwargs: Any) -> Any:
    if axis not in (None, 0) or (axis is None and chosen.ndim > 1):
        chosen.uncounted()
    kwargs.setdefault("dtype", None)
    return Selected(function(_filled(chosen, identity), 0, **kwargs), chosen.mask, chosen.key)


def _sorted(chosen: Selected, axis: Any = -1, kind: Any = None) -> Selected:
    """numpy.sort: the selected elements come first."""
    if chosen.ndim > 1 or axis not in (None, 0, -1):
        chosen.uncounted()
    order = np.argsort(chosen.array)
    array = chosen.array[order[np.argsort(~chosen.mask[order], kind="stable")]]
    mask = counted(typeof(array).size) < number_of(chosen.mask)
    return Selected(array, mask, mask)


def _median(chosen: Selected, axis: Any = None) -> Any:
    """numpy.median: NaN of no elements, and if one of them is NaN."""
    ordered = _sorted(chosen, axis)
    number = number_of(ordered.mask)
    places = [np.maximum(number - 1, 0) // 2, np.minimum(number // 2, typeof(ordered.mask).size - 1)]
    middle = np.mean(ordered.array[np.stack(places)])
    last = cast(ordered.array[np.maximum(number - 1, 0)], middle.dtype)
    return select((number == 0) | np.isnan(last), middle.dtype.type(np.nan), middle)


def _product(x: Any, y: Any) -> Any:
    """`x @ y`: over the selected elements of both, or row by row of x."""
    if type(x) is Selected and type(y) is Selected and x.ndim == 1 and y.ndim in (1, 2):
        return np.sum((x if y.ndim == 1 else x[:, None]) * y, axis=0)
    if type(x) is not Selected or type(y) is Selected or x.ndim == 1:
        _first([x, y]).uncounted()
    return per_element(lambda rows: np.matmul(rows, y), [x])


def _norm(chosen: Selected, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:
    """numpy.linalg.norm where elements that are zero count for nothing."""
    is_over_all = 0 in normalize_axes(axis, chosen.ndim)
    if is_over_all and isinstance(ord, (int, float)) and ord < 0:
        chosen.uncounted()
    if is_over_all:
        return np.linalg.norm(_filled(chosen), ord, axis, keepdims)
    return per_element(lambda x: np.linalg.norm(x, ord, axis, keepdims), [chosen])


def _count_nonzero(chosen: Selected, axis: Any = None, *, keepdims: bool = False) -> Any:
    return np.sum(chosen != 0, axis=axis, keepdims=keepdims)


_FUNCTIONS: dict[Any, Callable[..., Any]] = {
    **{function: partial(_with_where, function) for function in _WITH_WHERE},
    **{function: partial(_extreme, function, is_least) for function, is_least in _EXTREMES.items()},
    np.cumsum: partial(_cumulative, np.cumsum, 0),
    np.cumprod: partial(_cumulative, np.cumprod, 1),
    np.dot: _product,
    np.vdot: lambda x, y: _product(np.conj(x), y),
    np.count_nonzero: _count_nonzero,
    np.linalg.norm: _norm,
    np.sort: _sorted,
    np.median: _median,
    np.size: lambda chosen: chosen.size,
    np.ndim: lambda chosen: chosen.ndim,
}
