"""Looking into programs while they run: print and callback."""

from __future__ import annotations

import builtins
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import count
from string import Formatter
from typing import Any

from .api.arguments import hides_internals
from .api.callbacks import debug_callback
from .core.libraries import absent_from
from .errors import CallbackError
from .source import Source, current_source

__getattr__ = absent_from(__name__)


@hides_internals
def callback(callback: Callable[..., Any], *args: Any, ordered: bool = False, **kwargs: Any) -> None:
    """Call a function with the values of traced arrays, each time the program gets there.

    Under `grad` and `jvp` it is told of primals, once; under `vmap` it is called for each lane, in order. Under
    `checkpoint` a recomputation does not call it again.

    Args:
        callback: takes NumPy arrays (read-only) in place of traced ones, and anything else as it is; what it returns
            is not used.
        ordered: whether the order of calls matters: vmap then refuses.

    Example:
        >>> import numpy as np, functrans as ft
        >>> seen = []
        >>> f = ft.jit(lambda x: ft.debug.callback(lambda x: seen.append(float(x)), x) or x * 2)
        >>> _ = f(1.5), ft.grad(f)(2.5)
        >>> seen
        [1.5, 2.5]
    """
    debug_callback(callback, args, kwargs, ordered)


@hides_internals
def print(fmt: str, *args: Any, ordered: bool = False, **kwargs: Any) -> None:
    """Print values of traced arrays when the program runs, by the rules of `str.format`.

    Raises:
        CallbackError: the format is none, names a value that is not given, or (once the program gets there) is not one
            for the value: `{:.2f}` is for single numbers.

    Example:
        >>> import numpy as np, functrans as ft
        >>> @ft.jit
        ... def f(x):
        ...     ft.debug.print("x = {x:.2f}, twice that {}", x * 2, x=x)
        ...     return x
        >>> _ = f(1.5)
        x = 1.50, twice that 3.0
    """
    if not isinstance(fmt, str):
        raise TypeError(f"debug.print formats a string, as str.format does, not {type(fmt).__name__}")
    _check_format(fmt, args, kwargs)
    debug_callback(_Formatted(fmt, current_source()), args, kwargs, ordered)


def _check_format(fmt: str, args: Sequence[Any], kwargs: Iterable[str]) -> None:
    """Raise CallbackError if no values at all, given like these, can be printed by a format."""
    try:
        given = {*map(str, range(len(args))), *kwargs}
        missing = [name for name in _names(fmt, count()) if name not in given]
        if not missing:
            fmt.format(*[_ANYTHING] * len(args), **dict.fromkeys(kwargs, _ANYTHING))
            return
    except ValueError as error:
        raise CallbackError(
            f"debug.print cannot read the format {fmt!r}: {error}.",
            "It is one of str.format: {} stands for the next value, {0} for a certain one, but not both in one format; "
            "{x:.2f} for a keyword.",
            "Write {{ and }} where a brace is to be printed.",
        ) from None
    raise CallbackError(
        f"debug.print is to print {{{missing[0]}}}, which it is not given.",
        "A format names values by keyword or by their number; {} is the next one.",
        f"Give as many values as {fmt!r} names.",
    )


class _Anything:
    """A value that has all attributes and items, and takes any format."""

    def __format__(self, spec: str) -> str:
        return ""

    def __getattr__(self, name: str) -> _Anything:
        return self

    def __getitem__(self, key: Any) -> _Anything:
        return self


_ANYTHING = _Anything()


def _names(fmt: str, numbers: Iterator[int]) -> Iterator[str]:
    """What a format names: keywords, and numbers as text; `numbers` are those of the values without a name."""
    for _, field, spec, _ in Formatter().parse(fmt):
        if field is not None:
            name = re.split(r"[.\[]", field)[0]
            yield name or str(next(numbers))
            yield from _names(spec or "", numbers)


class _Formatted:
    """Prints its arguments by a format string."""

    __name__ = "debug.print"

    def __init__(self, fmt: str, source: Source | None):
        self.fmt, self.source = fmt, source

    def __call__(self, *args: Any, **kwargs: Any) -> None:
        shown = [x[()] if getattr(x, "shape", None) == () else x for x in args]
        named = {key: x[()] if getattr(x, "shape", None) == () else x for key, x in kwargs.items()}
        try:
            text = self.fmt.format(*shown, **named)
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            raise CallbackError(
                f"debug.print cannot print its values by the format {self.fmt!r}: {error}.",
                "Single numbers are printed as those of Python, and arrays as {} alone.",
                "Correct the format, or what is printed.",
                self.source,
            ) from None
        builtins.print(text)  # noqa: T201
