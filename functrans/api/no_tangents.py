"""Arrays of dtype float0, the tangents of integers, among the results of `jit`: part of their structure, not leaves."""

from __future__ import annotations

from typing import Any

import numpy as np
import optree

from .. import tree
from ..core.avals import float0


class NoTangents:
    """Stands for an array of dtype float0, of which there is nothing to compute."""

    __slots__ = ("shape",)

    def __init__(self, shape: tuple[int, ...]):
        self.shape = shape


optree.register_pytree_node(
    NoTangents,
    lambda x: ((), x.shape),
    lambda shape, _: np.zeros(shape, float0),
    namespace=tree.NAMESPACE,
)


def without_leaves(result: Any) -> Any:
    """A pytree with such arrays as parts of its structure: who rebuilds it gets arrays again."""
    if not any(map(_is_one, tree.leaves(result))):
        return result
    return tree.map(lambda x: NoTangents(x.shape) if _is_one(x) else x, result)


def _is_one(x: Any) -> bool:
    return type(x) is np.ndarray and x.dtype == float0
