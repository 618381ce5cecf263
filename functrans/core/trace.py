"""The current trace: who decides what a primitive means right now."""

from __future__ import annotations

from collections.abc import Sequence
from contextvars import ContextVar, Token
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy import ndarray

from ..errors import LeakedTracerError, UnknownFunctionError
from ..settings import changes, config
from .avals import (
    AVALS,
    SCALARS,
    SUPPORTED_DTYPES,
    ShapedArray,
    is_supported,
    no_array,
    refuse_other_operators,
    unsupported,
)
from .devices import exemplar, explain_failure, in_place, is_on_device, placed
from .dtypes import has_bfloat16
from .nans import check_nans
from .snapshot import Snapshots

if TYPE_CHECKING:
    from .primitive import Primitive

Params = dict[str, Any]
#: What Python's operators on traced values mean; the primitives fill it when they are imported.
operators: Final = SimpleNamespace()


class Traced:
    """A value that belongs to a trace; `Tracer` gives it the behaviour of an array."""

    __slots__ = ("trace",)
    trace: Trace
    aval: ShapedArray


class Uncounted:
    """Elements whose number is not known (`core/selected.py`): no operand, as they have no shape."""

    __slots__ = ()


def typeof(x: Any) -> ShapedArray:
    """The type of anything that can be an operand: shape, dtype, and whether it is a Python number.

    Raises:
        UnsupportedDtypeError: x is not an array of a supported dtype.

    Example:
        >>> import numpy as np, functrans as ft
        >>> print(ft.typeof(np.zeros((2, 3), "f4")), ft.typeof(1.0))
        f32[2,3] f64[]*
    """
    kind = type(x)
    if kind is ndarray:
        return tuple.__new__(ShapedArray, (x.shape, x.dtype, False))
    scalar = SCALARS.get(kind)
    if scalar is not None:
        return scalar
    aval: Any = getattr(x, "aval", None)
    if type(aval) in AVALS:
        return aval
    if hasattr(x, "shape") and isinstance(getattr(x, "dtype", None), np.dtype):
        refuse_other_operators(x)
        return tuple.__new__(ShapedArray, (tuple(x.shape), np.dtype(x.dtype), False))
    array = as_supported_array(x)
    return tuple.__new__(ShapedArray, (array.shape, array.dtype, False))


def as_supported_array(x: Any) -> Any:
    """An operand as an array or scalar of a supported dtype; tracers, arrays and Python scalars as they are.

    Arrays of other libraries become NumPy's, if they can.

    Raises:
        UnsupportedDtypeError: the dtype is object, string, date, extended precision or structured, or x is no array.
    """
    if type(x) is ndarray:
        if x.dtype in SUPPORTED_DTYPES:
            return x
    elif type(x) in SCALARS or isinstance(getattr(x, "aval", None), AVALS):
        return x
    is_array = isinstance(x, (np.ndarray, np.generic)) or is_on_device(x)
    array = x if is_array else np.asarray(x)
    refuse_other_operators(array)
    if is_supported(array.dtype):
        return array
    if is_supported(np.dtype(array.dtype).newbyteorder("=")):
        return array.astype(array.dtype.newbyteorder("="))
    raise unsupported(array.dtype) if is_array or array.ndim else no_array(x)


class Trace:
    """One interpreter: gives every primitive a meaning, in terms of its parent.

    A trace owns the tracers with `tracer.trace is self`; every other operand is a constant to it. That identity
    is what keeps nested derivatives apart.

    Attributes:
        parent: the trace that was current when this one began, and that its rules run in.
        axis_name, axis_size: the named axis that this trace maps over, if it does.
        adopted: traces whose tracers have a value here although they are not the parents of this one.
    """

    __slots__ = ("parent",)
    parent: Trace
    axis_name: Any = None
    axis_size: int = 0
    adopted: frozenset[Trace] = frozenset()

    def process(self, primitive: Primitive, args: Sequence[Any], params: Params) -> list[Any]:
        """Apply a primitive to operands, some of which are this trace's tracers; results are always a list."""
        raise NotImplementedError

    def pure(self, value: Any) -> Any:
        """A constant as a fresh tracer of this trace, which can be assigned into."""
        raise NotImplementedError

    def knows(self, other: Trace) -> bool:
        """Whether tracers of another trace mean something here: it is this one, or it encloses this one."""
        trace = self
        while trace is not EVAL:
            if trace is other or other in trace.adopted:
                return True
            trace = trace.parent
        return False

    def decide(self, predicate: Traced) -> bool | None:
        """The truth value of a scalar that is not known while tracing, or None where this trace cannot tell."""
        return None

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        raise UnknownFunctionError(
            "The method `.trace()` of a traced array was called.",
            "The attribute `trace` of a traced array is the trace that it belongs to.",
            "Write `np.trace(x)`.",
        )

    def shared_snapshots(self) -> Snapshots:
        """Where copies of the user's arrays are kept, for this trace and those inside: one copy serves all of them."""
        return self.parent.shared_snapshots()

    def leak_error(self, tracer: Traced, operation: str) -> Exception:
        """The error for one of this trace's tracers met by a primitive where this trace no longer runs."""
        return LeakedTracerError(
            f"A traced value of type {tracer.aval} reached `{operation}` after its transformation had ended.",
            f"It is of type {type(tracer).__name__}: it stands for a value only while the function that made it is "
            "traced, and was probably kept in a global, an attribute, a cache or a closure.",
            "Return the value from the transformed function (has_aux=True helps), or pass it in as an argument.",
        )


class EvalTrace(Trace):
    """The bottom of every stack: runs the primitive."""

    __slots__ = ()

    def process(self, primitive: Primitive, args: Sequence[Any], params: Params) -> list[Any]:
        is_usual = exemplar.get() is None and not primitive.holds_programs
        for arg in args:
            kind = type(arg)
            if kind is ndarray:
                if arg.dtype.kind == "V":
                    is_usual = False
            elif kind not in SCALARS:
                if isinstance(arg, Traced):
                    raise arg.trace.leak_error(arg, primitive.name)
                is_usual = False
        try:
            if is_usual:
                results = primitive.impl(*args, **params) if params else primitive.impl(*args)
            else:
                results = self.process_unusual(primitive, args, params)
        except Exception as error:
            explain_failure(primitive.name, args, error)
            raise
        if changes.debugging and config.debug_nans and not primitive.holds_programs:
            check_nans(primitive.name, args, results)
        return results

    def process_unusual(self, primitive: Primitive, args: Sequence[Any], params: Params) -> list[Any]:
        """The same where operands may be on a GPU or of bfloat16, or where the primitive holds programs."""
        if primitive.holds_programs:
            with placed(args, lambda i: f"operand {i} of `{primitive.name}`"):
                return primitive.run(*args, **params)
        run = primitive.run_on_bfloat16 if has_bfloat16(args) else primitive.impl
        return run(*args, **params) if exemplar.get() is None else in_place(run, args, params)

    def pure(self, value: Any) -> Any:
        return value

    def shared_snapshots(self) -> Snapshots:
        return Snapshots()


EVAL = EvalTrace()
EVAL.parent = EVAL
current_trace: ContextVar[Trace] = ContextVar("current_trace", default=EVAL)


class running:
    """`with running(trace):` makes a trace the current one, and brings back the previous one afterwards."""

    __slots__ = ("token", "trace")

    def __init__(self, trace: Trace):
        self.trace = trace

    def __enter__(self) -> Trace:
        self.token: Token[Trace] = current_trace.set(self.trace)
        return self.trace

    def __exit__(self, *exc: object) -> None:
        current_trace.reset(self.token)


def bind(primitive: Primitive, /, *args: Any, **params: Any) -> list[Any]:
    """Hand a primitive to the current trace; `primitive.bind(...)`."""
    return current_trace.get().process(primitive, args, params)


def bind_one(primitive: Primitive, /, *args: Any, **params: Any) -> Any:
    """The result of a primitive that has one; `primitive(...)`."""
    return current_trace.get().process(primitive, args, params)[0]


def named_axes() -> tuple[tuple[Any, int], ...]:
    """Names and sizes of the axes that enclosing vmaps bind, innermost first."""
    axes: list[tuple[Any, int]] = []
    trace = current_trace.get()
    while trace is not EVAL:
        if trace.axis_name is not None:
            axes.append((trace.axis_name, trace.axis_size))
        trace = trace.parent
    return tuple(axes)
