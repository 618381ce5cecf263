"""Nests of containers, as far as the quick way into a program takes them apart and builds them itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

#: Types of keys that are compared without calling anything in Python.
_KEYS = (str, int)


class Nest(NamedTuple):
    """A container; hashable, and equal to another one of the same structure with keys in the same order.

    Attributes:
        type: list, dict, NoneType (without parts), tuple, or the class of a named tuple.
        keys: of a dictionary, in its own order.
        parts: nests, and for each leaf its number.
    """

    type: type
    keys: tuple[Any, ...]
    parts: tuple[Any, ...]

    @property
    def kind(self) -> str:
        """What it is: a tuple, list, dict or none."""
        return "tuple" if issubclass(self.type, tuple) else "none" if self.type is type(None) else self.type.__name__


def nest_of(numbered: Any, like: Any = None) -> Nest | int | None:
    """A tree whose leaves are integers; None if something else is in it than the usual containers.

    Args:
        like: a tree of the same structure, whose dictionaries say in which order keys are met.
    """
    if type(numbered) is int:
        return numbered
    if numbered is None:
        return Nest(type(None), (), ())
    if type(numbered) is dict:
        order = numbered if like is None else like
        if type(order) is not dict or not all(type(key) in _KEYS for key in order):
            return None
        keys: tuple[Any, ...] = tuple(order)
        parts = [nest_of(numbered[key], None if like is None else like[key]) for key in keys]
    elif type(numbered) in (list, tuple) or _is_named_tuple(type(numbered)):
        keys = ()
        others = [None] * len(numbered) if like is None else like
        parts = [nest_of(part, other) for part, other in zip(numbered, others)]
    else:
        return None
    return None if None in parts else Nest(type(numbered), keys, tuple(parts))


def _is_named_tuple(kind: type) -> bool:
    return issubclass(kind, tuple) and hasattr(kind, "_fields")


def outermost_first(nest: Any) -> Iterator[tuple[Any, int, Any, int]]:
    """What a nest is made of, each before its own parts: it, the number of what it is a part of, that, and where."""
    found: list[tuple[Any, int, Any, int]] = [(nest, 0, None, 0)]
    number = 0
    while number < len(found):
        part = found[number][0]
        if isinstance(part, Nest):
            found += [(inner, number, part, place) for place, inner in enumerate(part.parts)]
        number += 1
    return iter(found)


def scalar_type(x: Any, dtype: np.dtype[Any]) -> Any:
    """The type of an argument that is a number, None for an array; NotImplemented for what an entry does not read."""
    if type(x) is np.ndarray:
        return None if x.dtype == dtype and x.dtype.isnative else NotImplemented
    kind = type(x)
    if kind in (bool, int, float, complex) or (isinstance(x, np.generic) and kind is dtype.type):
        return kind if np.dtype(kind) == dtype else NotImplemented
    return NotImplemented
