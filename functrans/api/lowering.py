"""Which of the ways to look at a program."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..core.jaxpr import Jaxpr
from ..errors import UnsupportedArgumentError
from .lowered import Lowered, argument_names
from .lowered_cuda import LoweredForCuda


def lowered_for(
    function: Any, jaxpr: Jaxpr, leaves: Sequence[Any], args: Any, kwargs: Any, static: Any, backend: str | None
) -> Lowered:
    """The program of a jitted function, for a backend if one is named.

    Raises:
        UnsupportedArgumentError: there is no such backend.
    """
    names = argument_names(function.fun, args, kwargs, static)
    if backend not in (None, "cpu", "cuda"):
        raise UnsupportedArgumentError(
            f"There is no backend {backend!r} to lower a function for.",
            "Programs can be looked at as they run on the CPU, and on a GPU.",
            'Say backend="cpu" or backend="cuda".',
        )
    kind = LoweredForCuda if backend == "cuda" else Lowered
    return kind(function, function.name, jaxpr, leaves, names)
