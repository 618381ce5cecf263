"""Inputs on which the completeness test exercises a primitive."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple


class Example(NamedTuple):
    """One application of a primitive.

    Attributes:
        primitive: its name in the registry.
        args: operands, arrays or Python scalars.
        params: its parameters.
        smooth: whether derivatives exist around this point; if not, only abstract_eval, impl and batch are checked.
        tolerance: relative error allowed against difference quotients in float64.
    """

    primitive: str
    args: tuple[Any, ...]
    params: Mapping[str, Any] = {}
    smooth: bool = True
    tolerance: float = 1e-5
