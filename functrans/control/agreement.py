"""What programs that stand for one another, or follow on one another, must agree in: the types of their results."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..core.avals import ShapedArray
from ..core.dtypes import result_type
from ..core.jaxpr import Jaxpr, eval_jaxpr
from ..core.staging import trace_closed
from ..primitives.elementwise import multiply
from ..primitives.foundation import convert


def meet(have: ShapedArray, want: ShapedArray) -> ShapedArray | None:
    """The type that two values of a loop or of two branches can both have; None if there is none.

    Only a Python scalar changes its dtype: it takes that of what it meets.
    """
    if have.shape != want.shape:
        return None
    if have.dtype == want.dtype:
        return want if have.weak else have
    if have.weak and want.weak:
        return ShapedArray((), result_type(have.dtype, want.dtype), True)
    if have.weak == want.weak:
        return None
    weak, strong = (have, want) if have.weak else (want, have)
    promoted = result_type(strong.dtype, weak.dtype.type(0).item())
    return strong if promoted == strong.dtype else None


def with_result_types(jaxpr: Jaxpr, avals: Sequence[Any]) -> Jaxpr:
    """The same jaxpr with its first results cast to the given types, where they are not yet of these."""
    found = jaxpr.out_avals
    if all(have == want for have, want in zip(found, avals)):
        return jaxpr

    def function(*args: Any) -> list[Any]:
        outs = eval_jaxpr(jaxpr, *args)
        cast = [_cast(out, have, want) for out, have, want in zip(outs, found, avals)]
        return [*cast, *outs[len(cast) :]]

    return trace_closed(function, jaxpr.in_avals)


def _cast(x: Any, have: ShapedArray, want: ShapedArray) -> Any:
    if have == want:
        return x
    if want.weak:
        return multiply(x, want.dtype.type(1).item())  # a cast would make it strong
    return convert(x, dtype=want.dtype)
