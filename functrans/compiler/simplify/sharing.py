"""Sharing: equations that compute the same are computed once."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...core.avals import told_apart
from ...core.jaxpr import Eqn, Literal

#: Constant arrays of up to so many bytes are compared by their elements, larger ones by identity.
COMPARED = 256


def equation_key(eqn: Eqn, commutes: bool, alive: list[Any]) -> Any:
    """Equal for equations that compute the same. It is hashable if the parameters are.

    Args:
        alive: constants that are told apart by their id are added to it.
    """
    operands: Any = tuple([_literal_key(a, alive) if type(a) is Literal else a for a in eqn.inputs])
    if commutes:
        operands = frozenset(operands)
    if not eqn.params:
        return eqn.primitive, operands
    params = sorted(eqn.params.items()) if len(eqn.params) > 1 else eqn.params.items()
    # Tuples are shapes and axes, all of integers: to look into each of them would take long.
    told = [(name, value if type(value) is tuple else told_apart(value)) for name, value in params]
    return eqn.primitive, operands, tuple(told)


def _literal_key(literal: Literal, alive: list[Any]) -> Any:
    """Small constants by their bits, so that 0.0 is not -0.0, large ones by identity."""
    value = literal.value
    if isinstance(value, (np.ndarray, np.generic, bool, int, float, complex)):
        array = np.asarray(value)
        if array.nbytes <= COMPARED and array.dtype == literal.aval.dtype:
            return literal.aval, array.tobytes()
    alive.append(value)
    return id(value)
