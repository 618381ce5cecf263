"""vmap: a function of one example becomes a function of many."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from .. import tree
from ..core.trace import typeof
from ..errors import MappedAxisError, PytreeMismatchError
from ..primitives.foundation import broadcast_lanes
from ..primitives.indexing import move_axis
from ..transforms.batching import batch_flat
from .arguments import (
    FlatFunction,
    argument_name,
    describe_leaf,
    hides_internals,
    input_leaf,
    input_leaves,
    own_results,
    wraps_function,
)


def vmap(
    fun: Callable[..., Any],
    in_axes: Any = 0,
    out_axes: Any = 0,
    axis_size: int | None = None,
    axis_name: Any = None,
    spmd_axis_name: Any = None,
) -> Callable[..., Any]:
    """A function that maps `fun` over axes of its arguments, all lanes at once.

    Args:
        in_axes: which axis of each positional argument to map over; an integer for all, or a tuple with one entry
            for each, each an integer, None (not mapped), or a pytree prefix of the argument. Keyword arguments are
            mapped over their first axis.
        out_axes: where the mapped axis goes in each result: an integer, None (the result is the same for all
            lanes), or a pytree prefix of the result.
        axis_size: the number of lanes, needed only if no argument is mapped.
        axis_name: a name for the axis, for functrans.lax.psum and its kin.
        spmd_axis_name: over which devices JAX divides the lanes. There is one device, and it changes nothing.

    If `fun` uses `if` on a value that differs between lanes, each lane goes its own way (docs/python_if.md).

    Raises:
        MappedAxisError: an axis is out of range, the sizes differ, or nothing is mapped.
        PytreeMismatchError: in_axes or out_axes is no prefix of the arguments or results.

    Example:
        >>> import numpy as np, functrans as ft
        >>> ft.vmap(np.dot)(np.ones((3, 2)), np.arange(6.0).reshape(3, 2))
        array([1., 5., 9.])
    """

    @wraps_function(fun, "vmap")
    @hides_internals
    def vmap_fun(*args: Any, **kwargs: Any) -> Any:
        leaves, treedef = tree.flatten((args, kwargs))
        axes = _argument_axes(in_axes, args, kwargs)
        places = [i for i, axis in enumerate(axes) if axis is not None]
        given = iter(input_leaves([leaves[i] for i in places], lambda k: argument_name(treedef, places[k])))
        values = [x if axis is None else next(given) for x, axis in zip(leaves, axes)]
        axes = [_check_axis(axis, x, treedef, i) for i, (axis, x) in enumerate(zip(axes, values))]
        size = _lane_count(values, axes, treedef, axis_size)
        values = [x if axis is None else move_axis(x, axis, 0) for x, axis in zip(values, axes)]

        def rebuild(flat: Sequence[Any]) -> Any:
            new_args, new_kwargs = treedef.unflatten(flat)
            function.kwargs = new_kwargs
            return new_args

        function = FlatFunction(fun, rebuild, {}, False)
        outs, mapped = batch_flat(function, size, values, [axis is not None for axis in axes], axis_name)
        out_tree = function.out_tree
        targets = _prefix(out_axes, out_tree.unflatten(outs), "out_axes", "results")
        placed = [
            _place(out, is_mapped, target, size, partial(describe_leaf, out_tree, i))
            for i, (out, is_mapped, target) in enumerate(zip(outs, mapped, targets))
        ]
        return out_tree.unflatten(own_results(placed, leaves))

    return vmap_fun


def _argument_axes(in_axes: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Any]:
    if isinstance(in_axes, list):
        in_axes = tuple(in_axes)
    if isinstance(in_axes, tuple) and len(in_axes) != len(args):
        raise MappedAxisError(
            f"in_axes has {len(in_axes)} entries, but the function was called with {len(args)} positional arguments.",
            "A tuple has one entry for each positional argument.",
            "Give one integer for all of them, or None for those that are not mapped.",
        )
    return [*_prefix(in_axes, args, "in_axes", "arguments"), *_prefix(0, kwargs, "in_axes", "keyword arguments")]


def _prefix(axes: Any, full: Any, name: str, what: str) -> list[Any]:
    try:
        return tree.flatten_prefix(axes, full)
    except ValueError as error:
        raise PytreeMismatchError(
            f"{name}={axes!r} is not a prefix of the pytree of the {what}.",
            f"{name} may stop short of the structure of the {what}, but not differ from it ({error}).",
            f"Give one integer or None, or a tree of them like the {what}.",
        ) from None


def _check_axis(axis: Any, x: Any, treedef: Any, position: int) -> int | None:
    if axis is None:
        return None
    shape = typeof(x).shape
    is_integer = isinstance(axis, (int, np.integer)) and not isinstance(axis, bool)
    if not is_integer or not -len(shape) <= axis < len(shape):
        raise MappedAxisError(
            f"Axis {axis!r} of an argument of shape {shape} was to be mapped ({argument_name(treedef, position)}).",
            "A mapped axis is an integer within the rank of its argument.",
            "Use None in in_axes for arguments that are not mapped, or correct the axis.",
        )
    return int(axis) % len(shape)


def _lane_count(values: Sequence[Any], axes: Sequence[int | None], treedef: Any, axis_size: int | None) -> int:
    sizes = {i: typeof(x).shape[axis] for i, (x, axis) in enumerate(zip(values, axes)) if axis is not None}
    if not sizes and axis_size is None:
        raise MappedAxisError(
            "vmap was called with no mapped argument.",
            "Without one the number of lanes is not known.",
            "Map at least one argument (in_axes), or give axis_size.",
        )
    if axis_size is not None and not (isinstance(axis_size, (int, np.integer)) and axis_size >= 0):
        raise MappedAxisError(
            f"axis_size={axis_size!r} was given to vmap.",
            "It is the number of lanes.",
            "Give an integer that is not negative.",
        )
    count = axis_size if axis_size is not None else next(iter(sizes.values()))
    if any(size != count for size in sizes.values()):
        shown = ", ".join(f"{argument_name(treedef, i)}: {size}" for i, size in sizes.items())
        raise MappedAxisError(
            f"The mapped axes have different sizes ({shown}"
            + (f"; axis_size={axis_size})." if axis_size is not None else ")."),
            "All mapped axes are walked along together.",
            "Correct the shapes, or use None in in_axes for arguments that are not mapped.",
        )
    return count


def _place(out: Any, is_mapped: bool, target: Any, size: int, leaf: Callable[[], str]) -> Any:
    if target is None:
        if is_mapped:
            name = leaf()
            raise MappedAxisError(
                f"out_axes is None for a result that differs between lanes{f' (result {name})' if name else ''}.",
                "None promises that the result is the same for all lanes.",
                "Give an axis, or reduce over the lanes (functrans.lax.psum with axis_name).",
            )
        return out
    out = out if is_mapped else broadcast_lanes(input_leaf(out), size)
    ndim = len(typeof(out).shape)
    is_integer = isinstance(target, (int, np.integer)) and not isinstance(target, bool)
    if not is_integer or not -ndim <= target < ndim:
        raise MappedAxisError(
            f"out_axes={target!r} is out of range for a result with {ndim} axes, the mapped one included.",
            "The mapped axis is put where out_axes says.",
            f"Use an integer from {-ndim} to {ndim - 1}.",
        )
    return move_axis(out, 0, int(target) % ndim)
