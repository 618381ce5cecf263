"""Forgetting what has been traced and compiled."""

from __future__ import annotations

from ..compiler.program import forget_programs
from ..core.interning import forget_interned
from .jit import forget_traces


def clear_caches(disk: bool = False) -> None:
    """Forget all traces and programs of jitted functions, and the machine code that no program has any more.

    The next call of a jitted function traces and compiles it anew. What is running meanwhile is not disturbed.

    Args:
        disk: also remove the machine code of this library from the folder on disk (docs/caching.md), which other
            processes of the same user may be using too: they compile again what they miss.

    Example:
        >>> import numpy as np, functrans as ft
        >>> scale = 2.0
        >>> @ft.jit
        ... def scaled(x):
        ...     return x * scale
        >>> scaled(1.0)
        2.0
        >>> scale = 3.0
        >>> scaled(1.0)  # traced before
        2.0
        >>> ft.clear_caches()
        >>> scaled(1.0)
        3.0
    """
    forget_traces()
    forget_interned()
    forget_programs(disk)
