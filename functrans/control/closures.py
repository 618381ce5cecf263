"""Functions that close over tracers: what they captured becomes operands, and so has derivatives and lanes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from types import CellType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np

from .. import tree
from ..core.avals import SCALARS, ZERO
from ..core.cells import argument
from ..core.paths import Leaves, leaves_of
from ..core.recording import identity
from ..core.trace import EVAL, Params, Trace, Traced, current_trace, running
from ..core.tracer import Tracer
from ..transforms.forward import JVPTrace, JVPTracer

_NOTHING_INSIDE = (np.ndarray, np.generic, np.ufunc, str, bytes, type, type(None), *SCALARS)


def captured_tracers(values: Iterable[Any]) -> list[Any]:
    """The tracers that functions close over, or that stand in pytrees, if they mean something to the current trace."""
    trace = current_trace.get()
    if trace is EVAL:
        return []
    found: dict[int, Any] = {}
    seen: set[int] = set()
    pending = list(values)
    while pending:
        value = pending.pop()
        if isinstance(value, Traced):
            if trace.knows(value.trace):
                found.setdefault(id(value), value)
        elif not isinstance(value, _NOTHING_INSIDE) and id(value) not in seen:
            seen.add(id(value))
            pending += _parts(value)
    return list(found.values())


def _parts(value: Any) -> list[Any]:
    """What a function closes over, what an object holds, or the leaves of a pytree."""
    if isinstance(value, FunctionType):
        defaults = [*(value.__defaults__ or ()), *(value.__kwdefaults__ or {}).values()]
        return [*_contents(value.__closure__ or ()), *defaults]
    if isinstance(value, MethodType):
        return [value.__func__, value.__self__]
    if isinstance(value, partial):
        return [value.func, *value.args, *value.keywords.values()]
    leaves = tree.leaves(value)
    if callable(value):
        return [*getattr(value, "__dict__", {}).values(), *(x for x in leaves if x is not value)]
    if len(leaves) != 1 or leaves[0] is not value:
        return leaves
    held = () if isinstance(value, ModuleType) else getattr(value, "__dict__", {}).values()
    return [x for x in held if isinstance(x, (Traced, tuple, list, dict))]  # and not the whole world behind it


def _contents(cells: Iterable[CellType]) -> Iterator[Any]:
    """What is in the cells of a closure; some may be empty yet."""
    for cell in cells:
        with suppress(ValueError):
            yield cell.cell_contents


class ClosureTrace(JVPTrace):
    """Forward mode for a function that captured tracers: these have values and tangents too."""

    __slots__ = ("adopted", "stand_ins")

    def __init__(self, parent: Trace, captured: Sequence[Any], values: Sequence[Any], tangents: Sequence[Any]):
        super().__init__(parent)
        self.stand_ins: dict[Any, JVPTracer] = {}
        for tracer, value, tangent in zip(captured, values, tangents):
            if tracer is not None:
                self.stand_ins[identity(tracer)] = argument(JVPTracer(self, value, tangent))
        self.adopted = frozenset(tracer.trace for tracer in captured if tracer is not None)

    def stand_in(self, value: Any) -> Any:
        """The tracer of this trace in place of a captured one; any other value as it is."""
        if isinstance(value, Tracer) and value.trace in self.adopted:
            return self.stand_ins.get(identity(value), value)
        return value

    def process(self, primitive: Any, args: Sequence[Any], params: Params) -> list[Any]:
        return super().process(primitive, [self.stand_in(a) for a in args], params)

    def pure(self, value: Any) -> JVPTracer:
        own = self.stand_in(value)
        return super().pure(value) if own is value else own.twin()

    def split(self, value: Any) -> tuple[Any, Any]:
        return super().split(self.stand_in(value))

    def decide(self, predicate: Traced) -> bool | None:
        own = self.stand_in(predicate)
        return None if own is predicate else bool(own)


def call_closed(
    captured: Sequence[Any],
    function: Callable[..., Sequence[Any]],
    values: Sequence[Any],
    tangents: Sequence[Any],
    args: Sequence[Any],
    fixed: int | None = None,
) -> tuple[Leaves, list[Any]]:
    """Results of `function(*args)` and their tangents, in which captured tracers have these values and tangents.

    Args:
        captured: tracers; None for values that stand for nothing.
        args: operands, each of which may be ZERO.
        fixed: how many of them are no derivatives, as for `as_arguments`; by default all.
    """
    trace = ClosureTrace(current_trace.get(), captured, values, tangents)
    is_traced = any(isinstance(x, Traced) for x in (*values, *args)) or any(t is not ZERO for t in tangents)
    kinds = (Traced, np.ndarray) if is_traced else Traced
    split = len(args) if fixed is None else fixed
    own = [
        argument(JVPTracer(trace, x, ZERO)) if isinstance(x, Traced if i < split else kinds) else x
        for i, x in enumerate(args)
    ]
    with running(trace):
        outs = function(*own)
        pairs = [trace.split(out) for out in outs]
    return leaves_of((y for y, _ in pairs), *getattr(outs, "structure", ())), [t for _, t in pairs]
