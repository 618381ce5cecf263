"""NumPy's protocols: what NumPy's own functions mean when an operand is a tracer.

`np.mean(tracer)` calls `apply_function(np.mean, ...)`, which finds `mean` among the functions of this package. The
tables are filled from the names in its modules (`register`), so a new function is one definition and no table entry.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from types import MethodType, ModuleType
from typing import Any, NoReturn

import numpy as np

from ..core.avals import BOOL
from ..core.dtypes import resolve_dtypes
from ..core.trace import typeof
from ..core.tracer import Tracer
from ..errors import (
    DtypeMismatchError,
    ForeignAttributeError,
    ShapeMismatchError,
    TracerConversionError,
    UnknownFunctionError,
    UnsupportedArgumentError,
)
from ..primitives.elementwise import select
from ..primitives.foundation import Elementwise, convert
from ..primitives.late_scipy import known_ufunc
from .common import as_operand, cast, check_cast

#: Our function for each of NumPy's (and SciPy's) ufuncs, functions and ufunc methods.
UFUNCS: dict[Any, Callable[..., Any]] = {}
FUNCTIONS: dict[Any, Callable[..., Any]] = {}
UFUNC_METHODS: dict[tuple[Any, str], Callable[..., Any]] = {}
#: Methods and properties of ndarray that tracers have too.
METHODS: dict[str, Callable[..., Any]] = {}
PROPERTIES: dict[str, Callable[..., Any]] = {}
#: What an assignment to a property does.
SETTERS: dict[str, Callable[[Any, Any], None]] = {}

#: What functrans.numpy takes over from NumPy as it is; NumPy 2.0 lacks `__array_namespace_info__`.
CONSTANTS = (
    "pi", "e", "euler_gamma", "inf", "nan", "newaxis", "dtype", "iinfo",
    "bool_", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float16", "float32", "float64",
    "complex64", "complex128", "diag_indices", "mask_indices", "tril_indices", "triu_indices",
    "bool", "int_", "intp", "uint", "generic", "number", "integer", "signedinteger", "unsignedinteger", "inexact",
    "floating", "complexfloating", "isdtype", "isscalar", "broadcast_shapes", "s_", "index_exp", "ndindex", "errstate",
    "printoptions", "set_printoptions", "__array_namespace_info__", "iterable", "half", "single", "double", "csingle",
    "cdouble", "byte", "short", "intc", "longlong", "ubyte", "ushort", "uintc", "ulonglong", "uintp",
)  # fmt: skip

#: Attributes that arrays of JAX and PyTorch have, and what to write instead: it works for NumPy's arrays as well.
ELSEWHERE = {
    "abs": "np.abs(x)",
    "at": "functrans.numpy.at(x)[i].set(v)",
    "backward": "functrans.grad(f)(x) for a function f",
    "block_until_ready": "functrans.block_until_ready(x)",
    "bmm": "x @ y",
    "clamp": "np.clip(x, low, high)",
    "clone": "x.copy()",
    "contiguous": "x itself",
    "cos": "np.cos(x)",
    "cpu": "functrans.device_get(x)",
    "cuda": "functrans.device_put(x, 'cuda')",
    "detach": "functrans.lax.stop_gradient(x)",
    "dim": "x.ndim",
    "double": "x.astype(np.float64)",
    "exp": "np.exp(x)",
    "expand": "np.broadcast_to(x, shape)",
    "flip": "np.flip(x, axes)",
    "float": "x.astype(float)",
    "grad": "functrans.grad(f)(x) for a function f",
    "half": "x.astype(np.float16)",
    "log": "np.log(x)",
    "log_softmax": "functrans.nn.log_softmax(x, axis)",
    "logsumexp": "functrans.nn.logsumexp(x, axis)",
    "long": "x.astype(int)",
    "masked_fill": "np.where(mask, value, x)",
    "mm": "x @ y",
    "norm": "np.linalg.norm(x)",
    "numel": "x.size",
    "numpy": "x itself",
    "permute": "x.transpose(axes)",
    "pow": "x**n",
    "relu": "functrans.nn.relu(x)",
    "requires_grad": "functrans.grad(f, argnums=...)",
    "sigmoid": "functrans.nn.sigmoid(x)",
    "sin": "np.sin(x)",
    "softmax": "functrans.nn.softmax(x, axis)",
    "sqrt": "np.sqrt(x)",
    "t": "x.T",
    "tanh": "np.tanh(x)",
    "to": "x.astype(dtype), or functrans.device_put(x, device)",
    "unbind": "functrans.lax.unstack(x, axis)",
    "unsqueeze": "np.expand_dims(x, axis)",
}

_DISPATCHED = type(np.mean)


def register(module: ModuleType, numpy_module: ModuleType) -> dict[str, Any]:
    """Enter the public functions of a module under their namesakes in NumPy.

    Returns:
        The names to export: NumPy's own function where it dispatches on tracers, and ours elsewhere.
    """
    exports: dict[str, Any] = {}
    for name, ours in vars(module).items():
        if name.startswith("_") or getattr(ours, "__module__", None) != module.__name__ or not callable(ours):
            continue
        theirs = getattr(numpy_module, name, None)
        if isinstance(theirs, np.ufunc):
            register_ufunc(theirs, ours)
        elif theirs is not None:
            FUNCTIONS[theirs] = ours
        always_ours = getattr(module, "CREATES_ARRAYS", False) or name in getattr(module, "ALWAYS_OURS", ())
        exports[name] = theirs if isinstance(theirs, (_DISPATCHED, np.ufunc)) and not always_ours else ours
    return exports


def register_ufunc(ufunc: Any, ours: Callable[..., Any]) -> None:
    """Enter our function for a ufunc."""
    UFUNCS[ufunc] = ours


def register_elementwise(primitive: Elementwise) -> None:
    """Enter an elementwise primitive as the meaning of the ufunc it was made from."""
    register_ufunc(primitive.ufunc, primitive)


def apply_function(function: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    """What `__array_function__` calls.

    Raises:
        UnknownFunctionError: functrans does not trace this function.
    """
    ours = FUNCTIONS.get(function)
    if ours is None:
        name = f"{getattr(function, '__module__', 'numpy')}.{getattr(function, '__name__', function)}"
        raise UnknownFunctionError(
            f"{name} was called on a traced array, and functrans does not trace it.",
            "Each NumPy function needs a definition in terms of differentiable primitives.",
            "Write it with other functions (see functrans.numpy), or have functrans.pure_callback call it and "
            "functrans.custom_jvp say its derivative.",
        )
    try:
        return ours(*args, **kwargs)
    except TypeError as error:
        raise _better_argument_error(error, ours, function) from None


def _better_argument_error(error: TypeError, ours: Callable[..., Any], function: Any) -> Exception:
    if "unexpected keyword argument" not in str(error) or ours.__name__ not in str(error):
        return error
    name = str(error).rpartition("'")[0].rpartition("'")[2]
    return UnsupportedArgumentError(
        f"np.{function.__name__} was called on a traced array with `{name}`, which functrans does not support there.",
        "The argument has no meaning, or none yet, for a traced array.",
        f"Leave `{name}` out.",
    )


def apply_ufunc(ufunc: Any, method: str, inputs: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """What `__array_ufunc__` calls.

    Raises:
        UnknownFunctionError: functrans does not trace this ufunc, or this method of it.
    """
    if method != "__call__":
        return _apply_ufunc_method(ufunc, method, inputs, kwargs)
    ours = UFUNCS.get(ufunc) or UFUNCS.get(known_ufunc(ufunc))
    if ours is None:
        raise UnknownFunctionError(
            f"The ufunc {ufunc.__name__} was called on a traced array, and functrans does not trace it.",
            "Each ufunc needs a derivative and a meaning for the compiler.",
            f"Take np.{ufunc.__name__}."
            if hasattr(np, ufunc.__name__)
            else "Write it with other functions, or have functrans.pure_callback call it and functrans.custom_jvp say "
            "its derivative.",
        )
    if kwargs:
        return _apply_with_options(ufunc, ours, inputs, kwargs)
    result = ours(*inputs)
    if isinstance(result, Tracer) and result.aval.weak:
        if any(isinstance(x, Tracer) and x.aval.dtype == BOOL for x in inputs):  # numbers to an operator only
            return ours(*(convert(x, dtype=BOOL) if typeof(x).dtype == BOOL else x for x in inputs))
        return convert(result, dtype=result.aval.dtype)
    return result


def _apply_ufunc_method(ufunc: Any, method: str, inputs: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    ours = UFUNC_METHODS.get((ufunc, method))
    if ours is None:
        raise UnknownFunctionError(
            f"np.{ufunc.__name__}.{method} was called on a traced array, and functrans does not trace it.",
            "Only the common ufunc methods (reduce, accumulate, outer) have definitions.",
            "Write it with other functions (see functrans.numpy).",
        )
    return ours(*inputs, **kwargs)


def _apply_with_options(ufunc: Any, ours: Callable[..., Any], inputs: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """A ufunc with dtype=, casting=, where= or out=: computed in that dtype, not cast to it afterwards."""
    options = dict(kwargs)
    dtype, where, casting = options.pop("dtype", None), options.pop("where", True), options.pop("casting", "same_kind")
    outs = options.pop("out", (None,) * ufunc.nout)
    options.pop("order", None)
    if options and not (ufunc.signature and set(options) <= {"axis"}):
        raise UnsupportedArgumentError(
            f"np.{ufunc.__name__} was called on a traced array with {', '.join(options)}.",
            "These options have no meaning for a traced array.",
            "Leave them out.",
        )
    for out in outs:
        if out is not None and not isinstance(out, Tracer):
            raise TracerConversionError(
                f"The result of np.{ufunc.__name__} on a traced array was to be stored in a plain NumPy array (out=, "
                "or an augmented assignment such as `a += x`).",
                "A NumPy array cannot hold a traced value: its derivative or batch would be lost.",
                "Write `a = a + x`, or make the array with np.zeros_like(x), functrans.numpy.zeros(n), or from one "
                "that there is with functrans.numpy.array(a).",
            )
    operands = [as_operand(x) for x in inputs]
    loop = _loop(ufunc, operands, outs, dtype, casting)
    results = ours(*(operands if dtype is None else map(cast, operands, loop)), **options)
    if ufunc.nout == 1:
        return _masked(ufunc, results, where, outs[0])
    return tuple(_masked(ufunc, result, where, out) for result, out in zip(results, outs))


def _loop(ufunc: Any, operands: list[Any], outs: Any, dtype: Any, casting: Any) -> tuple[np.dtype[Any], ...]:
    """The dtypes that NumPy computes in and gives.

    Raises:
        DtypeMismatchError: there is no such loop, or operands or results may not be cast to its dtypes.
    """
    avals = [typeof(x) for x in operands]
    kinds = [type(a.dtype.type(0).item()) if a.weak and a.dtype != BOOL else a.dtype for a in avals]
    wanted = {} if dtype is None else {"signature": (*(None,) * ufunc.nin, *(np.dtype(dtype),) * ufunc.nout)}
    stored = [None if out is None else out.dtype for out in outs]
    casting = "no" if casting == "equiv" else casting  # the same for the machine's byte order, and NumPy 2.4 crashes
    try:
        return resolve_dtypes(ufunc, (*kinds, *stored), casting=casting, **wanted)
    except TypeError as error:
        raise DtypeMismatchError(
            f"np.{ufunc.__name__} was called on operands of dtype {', '.join(a.dtype.name for a in avals)}"
            + (f" with dtype={np.dtype(dtype).name}." if wanted else "."),
            f"NumPy says: {error}.",
            "Convert operands or results with `.astype(...)`, or allow any cast with casting='unsafe'.",
        ) from None


def _masked(ufunc: Any, result: Any, where: Any, out: Any) -> Any:
    """A result where there is one; elsewhere what there was, or zero."""
    if where is not True:
        where = where if hasattr(where, "dtype") else np.asarray(where, BOOL)
        check_cast(where, BOOL, "safe")
        result = select(where, result, 0 if out is None else out)
    if out is None:
        return result
    if np.broadcast_shapes(out.shape, typeof(result).shape) != out.shape:
        raise ShapeMismatchError(
            f"np.{ufunc.__name__} was to store a result of shape {typeof(result).shape} in one of shape {out.shape}.",
            "Results are repeated along axes that an array has more, but an array is not made larger.",
            "Make `out` of the shape to which the operands broadcast.",
        )
    out[...] = cast(result, out.dtype)
    return out


def complete_tracers() -> None:
    """Give tracers the methods and properties of ndarray; those that functrans does not trace raise an error."""
    for name in dir(np.ndarray):
        if not name.startswith("_") and not hasattr(Tracer, name):
            setattr(Tracer, name, _attribute(name))
    for name in ELSEWHERE:
        setattr(Tracer, name, property(partial(_foreign, name)))
    Tracer.shape = Tracer.shape.setter(_fixed_shape)


def _attribute(name: str) -> Any:
    if name in METHODS:
        return _Method(METHODS[name])
    return property(PROPERTIES.get(name, partial(_untraced, name)), SETTERS.get(name))


def _fixed_shape(tracer: Tracer, shape: Any) -> NoReturn:
    raise UnsupportedArgumentError(
        f"The shape of a traced array of type {tracer.aval} was to be changed in place.",
        "A traced array keeps its shape.",
        "Write `x = x.reshape(shape)`.",
    )


class _Method:
    """A callable that is bound to the tracer it is taken from."""

    __slots__ = ("function",)

    def __init__(self, function: Callable[..., Any]):
        self.function = function

    def __get__(self, tracer: Any, owner: Any) -> Any:
        return self.function if tracer is None else MethodType(self.function, tracer)


def _foreign(name: str, tracer: Tracer) -> NoReturn:
    raise ForeignAttributeError(
        f"`.{name}` of a traced array was used, which arrays of NumPy do not have.",
        "A function does the same with arrays and with what stands for them while it is traced.",
        f"Write {ELSEWHERE[name]}.",
    )


def _untraced(name: str, tracer: Tracer) -> NoReturn:
    raise UnknownFunctionError(
        f"`.{name}` of a traced array was used, and functrans does not trace it.",
        "Only the methods and attributes of ndarray that have a pure meaning are there.",
        "Use a function of functrans.numpy instead.",
    )
