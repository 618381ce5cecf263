"""name: the identity, which gives a value a name that checkpoint policies go by."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..core.avals import ShapedArray
from ..core.primitive import Primitive


class Name(Primitive):
    """Its operand. Tangents have no name."""

    never_fails = True
    takes_notes = True  # a power with a name is still that power
    only_moves = True
    is_pointwise = True
    only_indexes = True

    def abstract_eval(self, x: ShapedArray, *, name: str) -> list[ShapedArray]:
        return [x]

    def impl(self, x: Any, *, name: str) -> list[Any]:
        return [x]

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Any], *, name: str) -> tuple[Any, Any]:
        return [self(primals[0], name=name)], list(tangents)

    def jvp_noting(
        self, primals: Sequence[Any], tangents: Sequence[Any], notes: Sequence[Any], *, name: str
    ) -> tuple[Any, Any, Any]:
        return *self.jvp(primals, tangents, name=name), list(notes)

    def transpose(self, cotangents: Sequence[Any], x: Any, *, name: str) -> list[Any]:
        return list(cotangents)

    def batch(self, size: int, values: Sequence[Any], mapped: Sequence[bool], *, name: str) -> tuple[Any, Any]:
        return [self(values[0], name=name)], [True]

    def lower(self, result: Any, x: Any, *, name: str) -> Any:
        return x.at


name = Name("name")
