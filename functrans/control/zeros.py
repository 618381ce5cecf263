"""Functions whose operands and results may be ZERO, as functions of arrays."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..core.avals import ZERO, ShapedArray
from ..core.cells import argument
from ..core.paths import Leaves, leaves_of
from ..core.staging import call_deciding
from ..core.trace import Traced, current_trace
from ..core.tracer import Tracer
from ..primitives.foundation import broadcast_lanes, instantiate
from ..transforms.batching import batch_flat


class WithoutZeros:
    """A function of a list, some entries of which are ZERO, as one of arrays only, to be staged or mapped.

    Args:
        function: takes a list; returns a list, and the types of its entries for those that are ZERO.
        operands: what it is to be applied to.
    """

    def __init__(
        self, function: Callable[[list[Any]], tuple[Sequence[Any], Sequence[ShapedArray]]], operands: Sequence[Any]
    ):
        self.function = function
        self.is_given = [x is not ZERO for x in operands]
        self.operands = [x for x in operands if x is not ZERO]
        self.is_zero: list[bool] | None = None

    def __call__(self, *values: Any) -> Leaves:
        given = iter(values)
        outs, avals = self.function([next(given) if is_given else ZERO for is_given in self.is_given])
        is_zero = [y is ZERO for y in outs]
        # It runs again for each way of an `if`: zero is what is so on all of them.
        self.is_zero = [a and b for a, b in zip(is_zero, self.is_zero or is_zero)]
        return leaves_of(map(instantiate, outs, avals), *getattr(outs, "structure", ()))

    def run(self, fixed: int | None = None) -> list[Any]:
        """Apply it in the current trace; all but the first `fixed` operands are derivatives (see `as_arguments`)."""
        return self._restored(call_deciding(self, *as_arguments(self.operands, sum(self.is_given[:fixed]))))

    def run_lanes(
        self, size: int, mapped: Sequence[bool], axis_name: Any
    ) -> tuple[list[Any], list[bool]]:
        """Apply it to all lanes; `mapped` has a flag for each entry of the list, ZERO or not."""
        flags = [m for m, is_given in zip(mapped, self.is_given, strict=True) if is_given]
        outs, out_mapped = batch_flat(self, size, self.operands, flags, axis_name)
        return self._restored(outs), out_mapped

    def _restored(self, outs: Sequence[Any]) -> list[Any]:
        return [ZERO if is_zero else y for y, is_zero in zip(outs, self.is_zero or (), strict=True)]


def as_arguments(values: Sequence[Any], fixed: int) -> list[Any]:
    """Operands for a rule of the user's: traced ones belong to the current trace, and so does what is made of them.

    All but the first `fixed` are derivatives. If anything is traced, arrays among these become tracers too, so that
    derivatives can be put together in `np.zeros_like` of them. The others stay arrays of NumPy: rules may need their
    values.
    """
    if not any(isinstance(x, Traced) for x in values):
        return list(values)
    trace = current_trace.get()
    return [
        argument(x.copy()) if isinstance(x, Tracer)
        else argument(trace.pure(x)) if type(x) is np.ndarray and i >= fixed
        else x
        for i, x in enumerate(values)
    ]  # fmt: skip


def with_lanes(values: Sequence[Any], mapped: Sequence[bool], size: int) -> list[Any]:
    """Values each of which has lanes, or is ZERO."""
    return [v if m or v is ZERO else broadcast_lanes(v, size) for v, m in zip(values, mapped, strict=True)]
