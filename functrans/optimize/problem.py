"""What a user asks to be solved, as a function of a vector."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from .. import tree
from ..api.arguments import check_function, describe_leaf, input_leaf
from ..core.devices import is_on_device
from ..core.dtypes import kind_of
from ..core.trace import EVAL, current_trace, typeof
from ..errors import NonDifferentiableError, SolverOptionError
from ..flatten_util import ravel_pytree
from ..primitives.foundation import convert


class Problem(NamedTuple):
    """A function of a vector.

    Attributes:
        function: of the vector; what it returns is as the user's function returned it.
        start: the vector to begin with.
        unravel: from vectors to what the user calls x.
        is_plain: whether no transformation is under way and x is on the host, so that SciPy can be asked.
    """

    function: Callable[[Any], Any]
    start: Any
    unravel: Callable[[Any], Any]
    is_plain: bool


def problem(fun: Callable[..., Any], x0: Any, args: Any, name: str) -> Problem:
    """The user's function, with x as one vector.

    Raises:
        NonDifferentiableError: x0 is complex.
    """
    check_function(fun, name)
    args = args if isinstance(args, tuple) else (args,)
    leaves, treedef = tree.flatten(x0)
    leaves = [_as_real(input_leaf(x), partial(describe_leaf, treedef, i), name) for i, x in enumerate(leaves)]
    start, unravel = ravel_pytree(treedef.unflatten(leaves))
    is_plain = current_trace.get() is EVAL and not is_on_device(start)
    return Problem(lambda z: fun(unravel(z), *args), start, unravel, is_plain)


def _as_real(x: Any, leaf_name: Callable[[], str], name: str) -> Any:
    aval = typeof(x)
    if aval.dtype.kind == "c":
        leaf = leaf_name()
        raise NonDifferentiableError(
            f"{name} was to start from {aval}{f' in leaf {leaf}' if leaf else ''}.",
            "It looks for real numbers.",
            "Let x be the real and imaginary parts, `(z.real, z.imag)`, and put them together in the function.",
        )
    return convert(x, dtype=aval.dtype if kind_of(aval.dtype) == "f" else np.dtype(float))


def checked_options(options: Any, known: dict[str, Any], name: str) -> dict[str, Any]:
    """All options, with defaults for those not given.

    Raises:
        SolverOptionError: there is no such option.
    """
    given = {k: v for k, v in (options or {}).items() if k != "disp"}
    unknown = sorted(set(given) - set(known))
    if unknown:
        raise SolverOptionError(
            f"{name} was given the option {unknown[0]!r} while tracing, or with arrays on a GPU.",
            f"There it is done by functrans itself, whose options are {', '.join(sorted(known))}.",
            "Leave it out, or solve outside of grad, vmap and jit, where SciPy has it.",
        )
    return {**known, **given}
