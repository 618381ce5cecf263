"""Functions of numbers that users write, as a primitive: elementwise, fused into kernels, with a derivative."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..core.avals import ZERO, ShapedArray
from ..core.devices import cupy, is_on_device
from ..core.dtypes import kind_of
from ..core.jaxpr import Jaxpr, eval_jaxpr
from ..core.primitive import Primitive
from ..core.staging import trace_to_jaxpr
from ..core.trace import typeof
from ..errors import ConcretizationError, ScalarFunctionError
from ..primitives.foundation import add_any, align_ranks, broadcast_shapes, broadcast_to, convert, match, reshape, scale
from ..primitives.scalar_functions import ScalarFunction, Signature, traceable
from ..transforms.batching import batch_jaxpr
from ..transforms.forward import jvp_flat


class ElementwiseFunction(Primitive):
    """`scalar_function(*xs, function=)`: a ScalarFunction of each element; operands broadcast."""

    is_pointwise = True

    def abstract_eval(self, *avals: ShapedArray, function: ScalarFunction) -> list[ShapedArray]:
        return [ShapedArray(broadcast_shapes(*(a.shape for a in avals)), function.signature(avals).result)]

    def impl(self, *xs: Any, function: ScalarFunction) -> list[Any]:
        signature = function.signature(tuple(map(typeof, xs)))
        if not any(map(is_on_device, xs)):
            return [function.on_host(xs, signature)]
        written = function.cuda_lambda(function.operation(signature))
        if written is None:
            return [_by_tracing(function, xs)]
        kernel = cupy().ElementwiseKernel(
            ", ".join(f"{d.name} x{i}" for i, d in enumerate(signature.operands)),
            f"{signature.computed.name} y",
            f"y = {written}({', '.join(f'x{i}' for i in range(len(xs)))})",
            "elementwise",
        )
        operands = [x.astype(d, copy=False) if is_on_device(x) else d.type(x) for x, d in zip(xs, signature.operands)]
        return [kernel(*operands).astype(signature.result, copy=False)]

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Any], *, function: ScalarFunction) -> tuple[Any, Any]:
        y = self(*primals, function=function)
        if kind_of(typeof(y).dtype) not in "fc":
            return [y], [ZERO]
        with np.errstate(all="ignore"):
            if function.derivatives is None:
                (tangent,) = jvp_flat(lambda *xs: [_by_tracing(function, xs)], primals, tangents)[1]
                return [y], [match(tangent, y)]
            return [y], [_tangent(y, primals, tangents, function.derivatives)]

    def batch(
        self, size: int, values: Sequence[Any], mapped: Sequence[bool], *, function: ScalarFunction
    ) -> tuple[Any, Any]:
        return [self(*align_ranks(values, mapped), function=function)], [True]

    def lower(self, result: Any, *xs: Any, function: ScalarFunction) -> Any:
        signature = function.signature([x.aval for x in xs])
        operation = function.operation(signature)
        return lambda index: result.call(
            operation, *((x.broadcast(index), d) for x, d in zip(xs, signature.operands)), gives=signature.computed
        )


scalar_function = ElementwiseFunction("scalar_function")


def _tangent(y: Any, primals: Sequence[Any], tangents: Sequence[Any], derivatives: Sequence[Any]) -> Any:
    """The sum of the tangents of the operands, times the derivatives by them."""
    total: Any = ZERO
    for derivative, t in zip(derivatives, tangents):
        if t is ZERO or derivative is None:
            continue
        term = match(scale(t, derivative(y, *primals) if callable(derivative) else derivative), y)
        total = term if total is ZERO else add_any(total, term)
    return total


def _by_tracing(function: ScalarFunction, xs: Sequence[Any]) -> Any:
    """The function of all elements in terms of primitives.

    Raises:
        ScalarFunctionError: it does what cannot be traced.
    """
    signature = function.signature(tuple(map(typeof, xs)))
    jaxpr = _jaxpr(function, signature)
    operands = [convert(x, dtype=dtype) for x, dtype in zip(xs, signature.operands)]
    shape = broadcast_shapes(*(typeof(x).shape for x in operands))
    if not shape:
        return eval_jaxpr(jaxpr, *operands)[0]
    size = ShapedArray(shape, signature.result).size
    lanes = [_as_lanes(x, shape, size) for x in operands]
    batched, (is_mapped,) = batch_jaxpr(jaxpr, size, tuple(bool(typeof(x).shape) for x in lanes))
    (y,) = eval_jaxpr(batched, *lanes)
    return reshape(y, shape=shape) if is_mapped else broadcast_to(y, shape=shape)


def _jaxpr(function: ScalarFunction, signature: Signature) -> Jaxpr:
    """The function of numbers as a program, which is traced once for each signature."""
    if function.python is None:
        raise ScalarFunctionError(
            f"A derivative of `{function.name}` was wanted, which is written in CUDA C++ only.",
            "Only Python can be traced.",
            "Give `derivatives=`, a function `(y, *xs) -> dy/dx` for each operand.",
        )
    if signature not in function.traces:
        python = traceable(function.python)
        avals = [ShapedArray((), dtype) for dtype in signature.operands]
        try:
            function.traces[signature], _ = trace_to_jaxpr(
                lambda *xs: [convert(python(*xs), dtype=signature.result)], avals
            )
        except (ConcretizationError, AttributeError, TypeError) as error:
            raise ScalarFunctionError(
                f"`{function.name}` was to be traced, to find its derivative or to run it on a GPU, and it cannot be.",
                f"Tracing it failed: {str(error).partition(chr(10))[0]}",
                "Give `derivatives=`, a function `(y, *xs) -> dy/dx` for each operand, and `cuda=` for GPUs; or write "
                "loops whose length depends on values with functrans.lax.",
            ) from error
    return function.traces[signature]


def _as_lanes(x: Any, shape: tuple[int, ...], size: int) -> Any:
    """An operand as a vector of all elements; numbers stay."""
    return reshape(broadcast_to(x, shape=shape), shape=(size,)) if typeof(x).shape else x
