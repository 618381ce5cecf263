"""callback: a Python function of the user's in the middle of a program."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..core.avals import ZERO, ShapedArray
from ..core.devices import here, is_on_device
from ..core.primitive import Primitive
from ..core.trace import EVAL, Params, running, typeof
from ..errors import CallbackError, NonDifferentiableError
from ..primitives.foundation import all_mapped, reshape
from ..source import inherited_source

#: Takes the types of the results and arrays; returns a list of arrays, or None if there was no call.
Function = Callable[..., list[Any] | None]


class Callback(Primitive):
    """Calls a Python function with NumPy arrays.

    Params:
        function: takes the types of its results and arrays, and returns a list of arrays; or None, for any results.
        out_avals: the types of those.
        kind: "debug" (it is told of values and returns nothing), "io" (it may do anything) or "pure" (it is a function
            of its operands, and may be called less or more often than it seems).
        ordered: whether calls must not be batched; they are always made in the order of the program.
        vmap_method: how a pure callback is batched, by JAX's names, or None.
        name: of the function, for messages.
    """

    is_left_to_programs = True
    only_moves = True

    def abstract_eval(self, *avals: ShapedArray, out_avals: Any, **params: Any) -> list[ShapedArray]:
        return list(out_avals)

    def impl(self, *args: Any, function: Function, out_avals: Any, **params: Any) -> list[Any]:
        token = inherited_source.set(None)
        try:
            with running(EVAL):  # whatever the user's function calls is no part of what is being traced
                found = function(out_avals, *map(_read_only, args))
        finally:
            inherited_source.reset(token)
        found = [np.zeros(aval.shape, aval.dtype)[()] for aval in out_avals] if found is None else found
        return list(map(here, found))

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Any], **params: Any) -> tuple[list[Any], list[Any]]:
        if params["kind"] == "debug":
            return self.bind(*primals, **params), []
        raise NonDifferentiableError(
            f"The callback `{params['name']}` was to be differentiated.",
            "A Python function that is called when the program runs has no derivative that could be known.",
            "Give it one: wrap the call in a function with custom_rule, custom_jvp or custom_vjp. If it shall have "
            "none, use stop_gradient on its arguments.",
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
            values = all_mapped(size, values, mapped)
        elif method == "expand_dims":
            values = [v if m else reshape(v, shape=(1, *typeof(v).shape)) for v, m in zip(values, mapped)]
        else:
            changed["function"] = _lane_by_lane(params["function"], size, tuple(mapped), params["out_avals"])
        return self.bind(*values, **changed), [True] * len(out_avals)

    def has_effects(self, params: Params) -> bool:
        return params["kind"] != "pure"

    def guarded(self, params: Params) -> tuple[Params, int]:
        return {**params, "function": _only_where(params["function"])}, 0


def _read_only(x: Any) -> np.ndarray[Any, Any]:
    """An operand for the user to look at, on the host: what they write to it must not reach us."""
    array = x.get() if is_on_device(x) else np.asarray(x).view()
    array.flags.writeable = False
    return array


def _only_where(function: Function) -> Function:
    """The same function with a boolean before its arrays: where that is false, it is not called."""

    def guarded(out_avals: Sequence[ShapedArray], is_there: Any, *args: Any) -> list[Any] | None:
        return function(out_avals, *args) if is_there else None

    return guarded


def _lane_by_lane(
    function: Function, size: int, mapped: tuple[bool, ...], lane_avals: Sequence[ShapedArray]
) -> Function:
    """A call for each lane, in order; results stacked.

    A lane without a call has the results of one that made it: what is computed from them is not used, but might warn.
    """

    def all_lanes(out_avals: Sequence[ShapedArray], *args: Any) -> list[Any] | None:
        found = [
            function(lane_avals, *(x[lane] if is_mapped else x for x, is_mapped in zip(args, mapped)))
            for lane in range(size)
        ]
        example = next((results for results in found if results is not None), None)
        if example is None:
            return None
        rows = [example if results is None else results for results in found]
        return [np.stack(column) for column in zip(*rows)]

    return all_lanes


callback = Callback("callback")
