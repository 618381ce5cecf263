"""Which of the ways to look at a program."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..core.devices import is_on_device
from ..errors import UnsupportedArgumentError
from .lowered import Lowered, argument_names
from .lowered_cuda import LoweredForCuda


def lowered_for(
    function: Any, staged: Any, leaves: Sequence[Any], args: Any, kwargs: Any, signature: Any, rebuild: Any,
    backend: str | None,
) -> Lowered:  # fmt: skip
    """The program of a jitted function, for a backend if one is named; else where the arrays are.

    Raises:
        UnsupportedArgumentError: there is no such backend.
    """
    names = argument_names(function.fun, args, kwargs, signature.static)
    if backend not in (None, "cpu", "cuda"):
        raise UnsupportedArgumentError(
            f"There is no backend {backend!r} to lower a function for.",
            "Programs can be looked at as they run on the CPU, and on a GPU.",
            'Say backend="cpu" or backend="cuda".',
        )
    is_for_gpu = backend == "cuda" or (backend is None and any(map(is_on_device, leaves)))
    kind = LoweredForCuda if is_for_gpu else Lowered
    return kind(function, staged, leaves, names, signature, rebuild)
