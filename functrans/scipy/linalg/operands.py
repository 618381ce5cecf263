"""Operands of linear algebra: of one dtype that LAPACK knows, vectors as matrices of one column."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ...core.avals import is_inexact
from ...core.trace import typeof
from ...numpy.common import as_operand, cast, stretched
from ...primitives.foundation import broadcast_shapes


def operands(*arrays: Any) -> list[Any]:
    """Array-likes in the dtype in which they meet; integers and booleans become float64."""
    found = [as_operand(a) for a in arrays]
    dtypes = (typeof(a).dtype for a in found)
    dtype = np.result_type(*(d if is_inexact(d) else np.float64 for d in dtypes))
    return [cast(a, dtype) for a in found]


def for_columns(a: Any, b: Any, solve: Callable[[Any, Any], Any]) -> Any:
    """`solve(a, b)` with leading axes broadcast; a right side with one axis less than the matrix is a vector."""
    is_vector = typeof(b).ndim == 1 or typeof(b).ndim == typeof(a).ndim - 1
    b = np.expand_dims(b, -1) if is_vector else b
    lanes = broadcast_shapes(typeof(a).shape[:-2], typeof(b).shape[:-2])
    a, b = (stretched(x, (*lanes, *typeof(x).shape[-2:])) for x in (a, b))
    x = solve(a, b)
    return np.squeeze(x, -1) if is_vector else x
