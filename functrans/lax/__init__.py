"""The primitives under JAX's names."""

from ..primitives.selection import stop_gradient
from ..primitives.sorting import top_k
from .collectives import all_gather, axis_index, axis_size, pmax, pmean, pmin, psum

__all__ = [
    "all_gather", "axis_index", "axis_size", "pmax", "pmean", "pmin", "psum", "stop_gradient", "top_k",
]  # fmt: skip
