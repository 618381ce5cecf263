"""callback: a Python function of the user's in the middle of a program."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..core.avals import ZERO, ShapedArray
from ..core.primitive import Primitive
from ..core.trace import Params, typeof
from ..errors import CallbackError, NonDifferentiableError
from ..primitives.foundation import broadcast_lanes, reshape


class Callback(Primitive):
    """Calls a Python function with NumPy arrays.

    Params:
        function: takes the types of its results and arrays, and returns a list of arrays.
        out_avals: the types of those.
        kind: "debug" (it is told of values and returns nothing), "io" (it may do anything) or "pure" (it is a function
            of its operands, and may be called less or more often than it seems).
        ordered: whether calls must not be batched; they are always made in the order of the program.
        vmap_method: how a pure callback is batched, by JAX's names, or None.
        name: of the function, for messages.
    """

    def abstract_eval(self, *avals: ShapedArray, out_avals: Any, **params: Any) -> list[ShapedArray]:
        return list(out_avals)

    def impl(self, *args: Any, function: Callable[..., Any], out_avals: Any, **params: Any) -> list[Any]:
        return function(out_avals, *map(_read_only, args))

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Any], **params: Any) -> tuple[list[Any], list[Any]]:
        if params["kind"] == "debug":
            return self.bind(*primals, **params), []
        raise NonDifferentiableError(
            f"The callback `{params['name']}` was to be differentiated.",
            "A Python function that is called when the program runs has no derivative that could be known.",
            "Wrap it in a function with custom_jvp or custom_vjp, or use stop_gradient on its arguments.",
        )

    def jet(self, order: int, series: Sequence[Any], /, **params: Any) -> list[Any] | None:
        if params["kind"] != "debug":
            return None
        self.bind(*(s[0] for s in series), **params)
        return []

    def transpose(self, cotangents: Sequence[Any], *args: Any, **params: Any) -> list[Any]:
        return [ZERO] * len(args)

    def batch(
        self, size: int, values: Sequence[Any], mapped: Sequence[bool], **params: Any
    ) -> tuple[list[Any], list[bool]]:
        if params["ordered"]:
            raise CallbackError(
                f"The ordered callback `{params['name']}` stands under vmap.",
                "The lanes are computed at once: there is no order in which they come.",
                "Leave out ordered=True, or write a loop (lax.map) in place of vmap.",
            )
        method = params["vmap_method"] if params["kind"] == "pure" else "sequential"
        if method is None:
            raise CallbackError(
                f"The pure callback `{params['name']}` stands under vmap.",
                "Only its author knows whether it can be called with all lanes at once.",
                "Give vmap_method: 'sequential' (a call for each lane), 'expand_dims' or 'broadcast_all' (one call).",
            )
        out_avals = tuple(aval.with_lanes(size) for aval in params["out_avals"])
        changed = {**params, "out_avals": out_avals}
        if method == "broadcast_all":
            values = [v if m else broadcast_lanes(v, size) for v, m in zip(values, mapped)]
        elif method == "expand_dims":
            values = [v if m else reshape(v, shape=(1, *typeof(v).shape)) for v, m in zip(values, mapped)]
        else:
            changed["function"] = _lane_by_lane(params["function"], size, tuple(mapped), params["out_avals"])
        return self.bind(*values, **changed), [True] * len(out_avals)

    def has_effects(self, params: Params) -> bool:
        return params["kind"] != "pure"


def _read_only(x: Any) -> np.ndarray[Any, Any]:
    """An operand for the user to look at: what they write to it must not reach us."""
    array = np.asarray(x).view()
    array.flags.writeable = False
    return array


def _lane_by_lane(
    function: Callable[..., Any], size: int, mapped: tuple[bool, ...], lane_avals: Sequence[ShapedArray]
) -> Callable[..., Any]:
    """A call for each lane, in order; results stacked."""

    def all_lanes(out_avals: Sequence[ShapedArray], *args: Any) -> list[Any]:
        results = [np.empty(aval.shape, aval.dtype) for aval in out_avals]
        for lane in range(size):
            found = function(lane_avals, *(x[lane] if is_mapped else x for x, is_mapped in zip(args, mapped)))
            for result, value in zip(results, found):
                result[lane] = value
        return results

    return all_lanes


callback = Callback("callback")
