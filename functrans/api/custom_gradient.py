"""custom_gradient: a function that returns its rule beside its result; and functions without closures."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .. import tree
from ..core.jaxpr import eval_jaxpr
from ..core.staging import trace_to_jaxpr
from ..core.trace import typeof
from ..errors import PytreeMismatchError
from ..tree_util import Partial
from .arguments import FlatFunction, check_function, hides_frames, input_leaf, wraps_function
from .custom_rules import custom_vjp


def custom_gradient(fun: Callable[..., Any]) -> Callable[..., Any]:
    """A function with a rule for reverse mode that may use what the function has computed.

    Args:
        fun: returns its result, and the function from the cotangent of that to the cotangents of its arguments: a
            tuple, or of a single argument its cotangent alone.

    Example:
        >>> import numpy as np, functrans as ft
        >>> @ft.custom_gradient
        ... def log1pexp(x):
        ...     e = np.exp(x)
        ...     return np.log(1 + e), lambda ct: ct * (1 - 1 / (1 + e))
        >>> ft.grad(log1pexp)(0.0), ft.jit(ft.vmap(ft.grad(log1pexp)))(np.zeros(2))
        (np.float64(0.5), array([0.5, 0.5]))
    """
    check_function(fun, "custom_gradient")

    @custom_vjp
    @wraps_function(fun, "custom_gradient")
    def function(*args: Any) -> Any:
        return fun(*args)[0]

    def forward(*args: Any) -> tuple[Any, Any]:
        out, rule = fun(*args)
        converted, consts = closure_convert(rule, out)
        return out, Partial(_CallWithLast(converted, len(args)), *consts)

    def backward(rule: Any, cotangent: Any) -> Any:
        return rule(cotangent)

    function.defvjp(forward, backward)
    return function


class _CallWithLast:
    """A rule for cotangents whose constants come first, as those of a Partial do."""

    def __init__(self, rule: Callable[..., Any], arity: int):
        self.rule, self.arity = rule, arity

    def __call__(self, *operands: Any) -> tuple[Any, ...]:
        *consts, cotangent = operands
        found = self.rule(cotangent, *consts)
        return found if isinstance(found, tuple) or self.arity != 1 else (found,)


@hides_frames
def closure_convert(fun: Callable[..., Any], *example_args: Any) -> tuple[Callable[..., Any], list[Any]]:
    """A function that takes the traced values that `fun` closes over as arguments, after its own; and these.

    So it can be handed to a function with a custom rule, or kept among residuals.

    Args:
        fun: a function of pytrees.
        example_args: arguments such as those that it will be called with; their structures, shapes and dtypes count.

    Returns:
        `converted` and `consts` with `converted(*args, *consts)` equal to `fun(*args)`.

    Raises:
        PytreeMismatchError: the converted function is called with other structures than the examples had.

    Example:
        >>> import numpy as np, functrans as ft
        >>> def f(x):
        ...     converted, consts = ft.closure_convert(lambda y: np.sin(y) * x, 1.0)
        ...     return converted(2.0, *consts) + len(consts)
        >>> ft.jit(f)(3.0) == np.sin(2.0) * 3.0 + 1
        np.True_
    """
    check_function(fun, "closure_convert")
    leaves, treedef = tree.flatten(example_args)
    flat = FlatFunction(fun, treedef.unflatten, {}, False)
    jaxpr, captured = trace_to_jaxpr(flat, [typeof(input_leaf(x)) for x in leaves])

    def converted(*args: Any) -> Any:
        own, consts = args[: len(example_args)], args[len(example_args) :]
        leaves, found = tree.flatten(own)
        if found != treedef or len(consts) != len(captured):
            raise PytreeMismatchError(
                f"A function from closure_convert was called with {found} and {len(consts)} constants.",
                f"It was made for {treedef} and {len(captured)}.",
                "Call it with arguments like the examples, and then the constants that came with it.",
            )
        return flat.out_tree.unflatten(eval_jaxpr(jaxpr, *consts, *leaves))

    return converted, captured
