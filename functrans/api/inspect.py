"""Looking at a function instead of running it: make_jaxpr, eval_shape and explain."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from ..core.avals import ShapeDtypeStruct
from .arguments import hides_internals, wraps_function
from .jit import Jitted

if TYPE_CHECKING:
    from ..compiler.inspection.explaining import Explanation


def make_jaxpr(
    fun: Callable[..., Any], static_argnums: int | Iterable[int] = (), return_shape: bool = False
) -> Callable[..., Any]:
    """A function that returns the jaxpr of `fun` for given arguments (arrays, or ShapeDtypeStructs).

    A jaxpr is the program that was traced: its arguments, a line for each primitive, and its results. `f64[2,3]` is an
    array of float64, and a `*` marks what is a Python number, or made of such, and takes the dtype of whatever it
    meets. `scale` and `add_any` are the products and sums that derivatives are made of.

    Args:
        static_argnums: arguments that are passed to `fun` as they are.
        return_shape: whether to return `(jaxpr, shapes)`, the latter a pytree of ShapeDtypeStructs.

    Example:
        >>> import numpy as np, functrans as ft
        >>> ft.make_jaxpr(ft.grad(lambda x: np.sin(x) * x))(1.0)
        { lambda a:f64[]* .
            b:f64[] = sin a
            c:f64[] = cos a
            d:f64[] = multiply b a
            e:f64[] = scale 1 b
            f:f64[] = scale 1 a
            g:f64[] = scale f c
            h:f64[] = add_any e g
          in (h) }
    """

    @wraps_function(fun, "make_jaxpr")
    @hides_internals
    def jaxpr_fun(*args: Any, **kwargs: Any) -> Any:
        jitted = Jitted(fun, static_argnums)
        staged = jitted.staged_for(args, kwargs)
        if not return_shape:
            return staged.jaxpr
        shapes = [ShapeDtypeStruct(a.shape, a.dtype) for a in staged.jaxpr.out_avals]
        return staged.jaxpr, staged.out_tree.unflatten(shapes)

    return jaxpr_fun


@hides_internals
def eval_shape(fun: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """The shapes and dtypes of what `fun` would return, without computing it.

    Args:
        args, kwargs: arrays, or anything with shape and dtype such as ShapeDtypeStruct.

    Returns:
        A pytree of ShapeDtypeStructs like the result.

    Example:
        >>> import numpy as np, functrans as ft
        >>> x = ft.ShapeDtypeStruct((1000, 1000), np.float32)
        >>> ft.eval_shape(lambda x: x @ x.T, x)
        ShapeDtypeStruct(shape=(1000, 1000), dtype=float32)
    """
    return make_jaxpr(fun, return_shape=True)(*args, **kwargs)[1]



@hides_internals
def explain(fun: Callable[..., Any], *args: Any, **kwargs: Any) -> Explanation:
    """What the compiler makes of a function, and why, in sentences: what fuses, what does not, what is copied.

    Args:
        fun: a function, jitted or not.
        args, kwargs: what it is called with, or ShapeDtypeStructs: the function is compiled, and not run.

    Returns:
        An Explanation: print it, or look at its `sections` and `sentences`.

    Example:
        >>> import numpy as np, functrans as ft
        >>> print(ft.explain(lambda x: np.sum(np.sin(x) * x), np.ones(1000)).sentences[0])
        3 equations run as 1 kernel.
    """
    jitted = fun if isinstance(fun, Jitted) else Jitted(fun)
    return jitted.lower(*args, **kwargs).explain()
