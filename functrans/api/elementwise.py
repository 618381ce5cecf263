"""elementwise: functions of numbers become functions of arrays, fused into kernels."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from functools import partial, update_wrapper
from typing import Any

import numpy as np

from ..control.scalar_function import scalar_function
from ..core.avals import supported_dtype
from ..errors import ScalarFunctionError
from ..primitives.scalar_functions import ScalarFunction
from .arguments import check_function, hides_internals, input_leaf


class ElementwiseFunction:
    """A function of each element of arrays; made by `elementwise`."""

    def __init__(self, function: ScalarFunction):
        self.function = function
        if function.python is not None:
            update_wrapper(self, function.python)
        else:
            self.__name__ = function.name

    @hides_internals
    def __call__(self, /, *xs: Any) -> Any:
        wanted = len(self.function.parameters)
        if len(xs) != wanted:
            raise TypeError(f"{self.function.name}() takes {wanted} positional arguments, and {len(xs)} were given")
        return scalar_function(*(input_leaf(x) for x in xs), function=self.function)

    def __repr__(self) -> str:
        return f"<elementwise {self.function.name}({', '.join(self.function.parameters)})>"


def elementwise(
    fun: Callable[..., Any] | None = None,
    *,
    derivatives: Any = None,
    cuda: str | None = None,
    parameters: Sequence[str] | str | None = None,
    dtype: Any = None,
    name: str | None = None,
) -> Any:
    """Make a function of arrays out of one of numbers: it is called for each element, and arrays broadcast.

    Numba compiles the function, so that loops and `if` cost what they cost in C. In functions under `jit` it becomes
    part of the kernels around it, as if it were one of the library's own. It goes through every transformation.

    Args:
        fun: takes numbers and returns a number; arithmetic, `if`, loops and the module math are what it may use. None,
            if there is CUDA C++ only.
        derivatives: for each operand a function `(y, *xs) -> dy/dx` of arrays (with functrans.numpy or NumPy), a
            number where it is constant, or None where it is zero; just the one where there is one operand. By default
            they are derived from the Python function, which must then be one that can be traced: `if` is fine, loops
            whose length depends on the values are not.
        cuda: the same function in CUDA C++ for GPUs, an expression in the parameters or statements with `return`.
            Without it a GPU runs what tracing `fun` gives.
        parameters: the names of the operands; by default those of `fun`.
        dtype: of the results. By default what Numba infers, in the precision of the operands: half and single
            precision give half and single, although numbers in the function count as double.
        name: for messages and kernels.

    Raises:
        ScalarFunctionError: something is missing, or (in a call) Numba cannot compile the function, or it cannot be
            traced where that is needed.

    Example:
        >>> import math
        >>> import numpy as np, functrans as ft
        >>> @ft.elementwise
        ... def soft_clip(x, limit):
        ...     if abs(x) < limit:
        ...         return x
        ...     return math.copysign(limit + math.log1p(abs(x) - limit), x)
        >>> soft_clip(np.array([0.5, -3.0]), 1.0)
        array([ 0.5       , -2.09861229])
        >>> ft.jit(ft.grad(lambda x: np.sum(soft_clip(x, 1.0) ** 2)))(np.array([0.5, -3.0]))
        array([ 1.        , -1.39907486])

        A loop that runs as long as it takes, and the derivative of what it finds:

        >>> @ft.elementwise(derivatives=lambda w, x: 1 / (x + np.exp(w)))
        ... def lambert_w(x):
        ...     w = math.log1p(x)
        ...     while abs(w * math.exp(w) - x) > 1e-13 * abs(x):
        ...         w -= (w * math.exp(w) - x) / (math.exp(w) * (w + 1))
        ...     return w
        >>> lambert_w(np.array([1.0, 5.0]))
        array([0.56714329, 1.32672467])
        >>> ft.grad(lambert_w)(1.0)
        np.float64(0.3618962566348892)
    """
    if fun is None and (cuda is None or parameters is None or dtype is None):
        if cuda is None:
            return partial(elementwise, derivatives=derivatives, parameters=parameters, dtype=dtype, name=name)
        if parameters is None and dtype is None:
            return partial(elementwise, derivatives=derivatives, cuda=cuda, name=name)
        raise ScalarFunctionError(
            "A function was given in CUDA C++ only, without the names of its operands or the dtype of its results.",
            "They cannot be read off the text.",
            "Give `parameters=('x', 'y')` and `dtype=float`, or the function in Python too.",
        )
    names = _parameter_names(fun, parameters)
    python = getattr(fun, "py_func", fun)  # of a function that Numba has compiled already
    shown = name or getattr(python, "__name__", "scalar_function")
    wanted = None if dtype is None else supported_dtype(dtype)
    return ElementwiseFunction(
        ScalarFunction(shown, python, cuda, names, _derivatives(derivatives, names, shown), wanted)
    )


def _parameter_names(fun: Any, parameters: Any) -> tuple[str, ...]:
    if parameters is not None:
        return tuple(parameters.replace(",", " ").split() if isinstance(parameters, str) else parameters)
    check_function(fun, "elementwise")
    found = inspect.signature(getattr(fun, "py_func", fun)).parameters.values()
    if not found or any(p.kind not in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) for p in found):
        raise ScalarFunctionError(
            f"`{getattr(fun, '__name__', fun)}` does not take a fixed number of operands.",
            "A function of each element takes one number from each array.",
            "Write its operands out: `def f(x, y): ...`.",
        )
    return tuple(p.name for p in found)


def _derivatives(derivatives: Any, names: tuple[str, ...], shown: str) -> tuple[Any, ...] | None:
    if derivatives is None:
        return None
    given = derivatives if isinstance(derivatives, (tuple, list)) else (derivatives,)
    is_rule = [d is None or callable(d) or isinstance(d, (int, float, complex, np.number)) for d in given]
    if len(given) != len(names) or not all(is_rule):
        raise ScalarFunctionError(
            f"`{shown}` has {len(names)} operands and was given {len(given)} derivatives.",
            "There is one for each operand: a function `(y, *xs) -> dy/dx`, a number, or None for zero.",
            "Give as many, in the order of the operands.",
        )
    return tuple(given)
