"""Arguments that an option of `jit` speaks of, by number or by name."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from ..errors import ArgumentIndexError
from .arguments import normalize_argnums


def parameters_of(fun: Callable[..., Any]) -> tuple[str, ...]:
    """The names of the parameters of a function; none if nobody knows."""
    try:
        return tuple(inspect.signature(fun).parameters)
    except (TypeError, ValueError):
        return ()


class Marked(NamedTuple):
    """Some arguments of a function.

    Attributes:
        option: what the options are called that mark them, without their ending: "static" or "donate".
    """

    option: str
    numbers: tuple[int, ...]
    names: tuple[str, ...]

    @classmethod
    def of(cls, option: str, numbers: int | Iterable[int], names: str | Iterable[str]) -> Marked:
        """From what users write: one, or any number."""
        return cls(
            option,
            (numbers,) if isinstance(numbers, int) else tuple(numbers),
            (names,) if isinstance(names, str) else tuple(names),
        )

    def __bool__(self) -> bool:
        return bool(self.numbers or self.names)

    def places(
        self, parameters: Sequence[str], args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> tuple[set[int], list[str]]:
        """Numbers and names of those in a call: a name counts where it is passed by position, and the other way.

        Args:
            parameters: the names of those of the function.
        """
        numbers = {i for i in self.numbers if i < len(args) and i >= -len(args)}
        numbers = set(normalize_argnums(numbers, len(args), f"{self.option}_argnums"))
        names = list(self.names)
        numbers |= {parameters.index(n) for n in names if n in parameters and parameters.index(n) < len(args)}
        names += [parameters[i] for i in self.numbers if 0 <= i < len(parameters)]
        return numbers, [n for n in dict.fromkeys(names) if n in kwargs]

    def check(self, fun: Callable[..., Any]) -> None:
        """Raise ArgumentIndexError for numbers and names of arguments that no call can have."""
        if not self:
            return
        try:
            parameters = inspect.signature(fun).parameters
        except (TypeError, ValueError):
            return  # a builtin without a signature
        kinds = [p.kind for p in parameters.values()]
        by_place = inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD
        if inspect.Parameter.VAR_POSITIONAL not in kinds:
            normalize_argnums(self.numbers, sum(map(kinds.count, by_place)), f"{self.option}_argnums")
        missing = [name for name in self.names if name not in parameters]
        if missing and inspect.Parameter.VAR_KEYWORD not in kinds:
            raise ArgumentIndexError(
                f"{self.option}_argnames names {missing[0]!r}, which `{getattr(fun, '__name__', fun)}` does not take.",
                f"Its parameters are {', '.join(parameters) or 'none'}.",
                "Correct the name.",
            )


def check_apart(static: Marked, donated: Marked) -> None:
    """Raise ArgumentIndexError for an argument that is to be both static and donated."""
    both = [*(i for i in static.numbers if i in donated.numbers), *(n for n in static.names if n in donated.names)]
    if both:
        raise ArgumentIndexError(
            f"Argument {both[0]!r} is marked as static and as donated.",
            "A static argument is a part of the program and has no memory that a call could reuse.",
            "Leave it out of one of the two.",
        )
