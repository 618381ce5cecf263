"""Nests of containers, as far as the quick way into a program takes them apart and builds them itself."""

from __future__ import annotations

from collections.abc import Iterator
from types import FunctionType
from typing import Any, NamedTuple

import numpy as np

#: Types of keys, and of other values, that are compared without calling anything in Python. No floats: 0.0 is -0.0.
_KEYS = (str, int)
_PLAIN = (*_KEYS, bool, bytes)


class Nest(NamedTuple):
    """A container; hashable, and equal to another one of the same structure with keys in the same order.

    Attributes:
        type: list, dict, NoneType (without parts), tuple, or the class of a named tuple; any, for a static value.
        keys: of a dictionary, in its own order; a static value.
        parts: nests, and for each leaf its number.
        is_static: whether it is no container, but a value that is part of a signature.
    """

    type: type
    keys: tuple[Any, ...]
    parts: tuple[Any, ...]
    is_static: bool = False

    @property
    def kind(self) -> str:
        """What it is: a tuple, list, dict or none, or to be the same."""
        if self.is_static:
            return "same"
        return "tuple" if issubclass(self.type, tuple) else "none" if self.type is type(None) else self.type.__name__

    @property
    def is_compared(self) -> bool:
        """Whether another object may stand for a static value, if it is equal: where no code of a class decides."""
        return self.type in _PLAIN

    @property
    def is_unique(self) -> bool:
        """Whether no other object is equal to a static value."""
        return self.type.__eq__ is object.__eq__


def static_nest(value: Any) -> Nest:
    """A static value, in the place of a nest."""
    return Nest(type(value), (value,), (), is_static=True)


def nest_of(numbered: Any, like: Any = None) -> Nest | int | None:
    """A tree whose leaves are integers, or nests; None if something else is in it than the usual containers.

    Args:
        like: a tree of the same structure, whose dictionaries say in which order keys are met.
    """
    if type(numbered) in (int, Nest):
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


def is_made_by_namedtuple(kind: type) -> bool:
    """Whether objects of a class of named tuples are made as `namedtuple` wrote it, and by nothing else."""
    new = kind.__new__
    is_written = isinstance(new, FunctionType) and new.__globals__.get("_tuple_new") == tuple.__new__
    return is_written and type(kind) is type and kind.__init__ is object.__init__


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
