"""Callbacks: Python functions that a program calls when it runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from .. import tree
from ..control.callback import callback as callback_primitive
from ..core.avals import PYTHON_SCALARS, ShapedArray, supported_dtype
from ..core.dtypes import can_cast, kind_of
from ..core.trace import Traced, typeof
from ..errors import CallbackError
from ..source import Source, current_source
from .arguments import describe_leaf, hides_internals, input_leaf, name_of

_VMAP_METHODS = ("sequential", "sequential_unrolled", "expand_dims", "broadcast_all")


@hides_internals
def pure_callback(
    callback: Callable[..., Any],
    result_shape_dtypes: Any,
    *args: Any,
    vmap_method: str | None = None,
    **kwargs: Any,
) -> Any:
    """The result of a Python function that is called, with NumPy arrays, when the program runs.

    The function must be pure: it may be called once or often or, if nobody uses its result, never. It has no
    derivative; give it one with custom_jvp or custom_vjp.

    Args:
        callback: takes arrays (read-only), scalars and pytrees of them, and returns a pytree of arrays.
        result_shape_dtypes: a pytree like its result with a `shape` and `dtype` at each leaf (ShapeDtypeStruct, or an
            array or number like it).
        vmap_method: "sequential" to call it for each lane; "expand_dims" or "broadcast_all" to call it once, with
            leading axes of lanes: of extent one where an argument is the same for all lanes, or broadcast. None: it
            cannot be mapped.

    Raises:
        CallbackError: the result is not as declared; or vmap met a callback without vmap_method.

    Example:
        >>> import numpy as np, functrans as ft
        >>> def median(x):
        ...     return np.float64(np.median(x))
        >>> f = ft.jit(lambda x: ft.pure_callback(median, ft.ShapeDtypeStruct((), float), x) * 2)
        >>> float(f(np.array([1.0, 5.0, 2.0])))
        4.0
    """
    if vmap_method is not None and vmap_method not in _VMAP_METHODS:
        raise ValueError(f"vmap_method is one of {', '.join(_VMAP_METHODS)} or None, not {vmap_method!r}")
    return _call("pure", callback, result_shape_dtypes, args, kwargs, False, vmap_method)


@hides_internals
def io_callback(
    callback: Callable[..., Any], result_shape_dtypes: Any, *args: Any, ordered: bool = False, **kwargs: Any
) -> Any:
    """As `pure_callback`, for functions that read or change the world: each call in the program is a call.

    Calls are made in the order in which they stand in the program. Under vmap there is one call for each lane, in the
    order of the lanes, unless `ordered`, which vmap refuses.

    Raises:
        CallbackError: the result is not as declared; or an ordered callback stands under vmap.

    Example:
        >>> import functrans as ft
        >>> readings = iter([3, 4, 5])
        >>> f = ft.jit(lambda: ft.io_callback(lambda: next(readings), ft.ShapeDtypeStruct((), int)))
        >>> int(f()), int(f())
        (3, 4)
    """
    return _call("io", callback, result_shape_dtypes, args, kwargs, ordered, None)


def debug_callback(callback: Callable[..., Any], args: Any, kwargs: Any, ordered: bool) -> None:
    """Call a function for what it does, not for a result; any leaf that is no array or number is passed as it is."""
    _call("debug", callback, None, args, kwargs, ordered, None)


def _call(
    kind: str, function: Callable[..., Any], results: Any, args: Any, kwargs: Any, ordered: bool, method: str | None
) -> Any:
    if not callable(function):
        raise TypeError(f"a callback is a function, not {type(function).__name__}")
    leaves, treedef = tree.flatten((args, kwargs))
    places = [i for i, x in enumerate(leaves) if kind != "debug" or _is_operand(x)]
    expected, out_tree = tree.flatten(results)
    name = name_of(function)
    out_avals = tuple(_declared(x, name, partial(describe_leaf, out_tree, i)) for i, x in enumerate(expected))
    source = current_source()

    def flat(out_avals: Sequence[ShapedArray], *values: Any) -> list[Any]:
        given = list(leaves)
        for i, value in zip(places, values):
            given[i] = value
        new_args, new_kwargs = treedef.unflatten(given)
        found = function(*new_args, **new_kwargs)
        return [] if kind == "debug" else _checked(found, out_avals, out_tree, name, source)

    static = [x for i, x in enumerate(leaves) if i not in set(places)]
    assert not any(isinstance(x, Traced) for x in static)
    outs = callback_primitive.bind(
        *(input_leaf(leaves[i]) for i in places),
        function=flat, out_avals=out_avals, kind=kind, ordered=ordered, vmap_method=method, name=name,
    )  # fmt: skip
    return out_tree.unflatten(outs)


def _declared(x: Any, name: str, leaf_name: Callable[[], str]) -> ShapedArray:
    """The type of a result, by something of that type."""
    if type(x) in PYTHON_SCALARS:
        return typeof(x).strong()
    if not hasattr(x, "shape") or not hasattr(x, "dtype"):
        leaf = leaf_name()
        raise CallbackError(
            f"The results of the callback `{name}` were declared by {x!r}{f' at {leaf}' if leaf else ''}.",
            "The types of its results must be known before it is called.",
            "Give a ShapeDtypeStruct(shape, dtype), or an array or number like the result.",
        )
    return ShapedArray(tuple(x.shape), supported_dtype(x.dtype))


def _is_operand(x: Any) -> bool:
    is_array = isinstance(x, np.ndarray | np.generic) and kind_of(x.dtype) in "biufc"
    return is_array or isinstance(x, (Traced, bool, int, float, complex))


def _checked(
    found: Any, out_avals: Sequence[ShapedArray], out_tree: Any, name: str, source: Source | None
) -> list[Any]:
    """What a callback returned, as arrays of the types that were declared."""
    leaves, found_tree = tree.flatten(found)
    if found_tree != out_tree:
        raise CallbackError(
            f"The callback `{name}` returned another pytree than was declared: {found_tree} against {out_tree}.",
            "The program was made for results of the declared structure.",
            "Correct result_shape_dtypes, or what the callback returns.",
            source,
        )
    arrays = [np.asarray(x) for x in leaves]
    for position, (x, aval) in enumerate(zip(arrays, out_avals)):
        is_number = type(leaves[position]) in PYTHON_SCALARS
        kind_fits = is_number and can_cast(x.dtype, aval.dtype, "same_kind")
        if x.shape != aval.shape or (x.dtype != aval.dtype and not kind_fits):
            leaf = describe_leaf(out_tree, position)
            raise CallbackError(
                f"The callback `{name}` returned {x.dtype.name}{list(x.shape)}{f' at {leaf}' if leaf else ''}, but "
                f"{aval.dtype.name}{list(aval.shape)} was declared.",
                "The program was made for results of the declared shapes and dtypes.",
                "Correct result_shape_dtypes, or convert the result (`.astype(...)`).",
                source,
            )
    return [x.astype(aval.dtype, copy=True)[()] for x, aval in zip(arrays, out_avals)]
