"""Sorting: values in order, and the largest of them; derivatives follow the elements to their new places."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..core.avals import INT, ZERO, ShapedArray
from ..core.devices import place_of
from ..core.primitive import Primitive, is_hole
from ..core.trace import Params, typeof
from ..errors import ShapeMismatchError
from .elementwise import subtract
from .foundation import all_mapped, reshape
from .indexing import gather
from .indices import Indexing
from .permutations import argsort, check_same_shape, searchsorted
from .structural import iota, reverse


class Sort(Primitive):
    """`sort(*operands, axis=, num_keys=1)`: all operands in the order that sorts the first `num_keys` of them.

    The order is that of argsort: stable and ascending, NaN last. The operands have one shape. Linear in the operands
    that are no keys.
    """

    never_fails = True

    def __call__(self, *operands: Any, axis: int = -1) -> Any:
        return super().__call__(*operands, axis=axis % len(typeof(operands[0]).shape), num_keys=1)

    def abstract_eval(self, *avals: ShapedArray, axis: int, num_keys: int) -> list[ShapedArray]:
        check_same_shape("sort", avals)
        return [a.strong() for a in avals]

    def impl(self, *operands: Any, axis: int, num_keys: int) -> list[Any]:
        if len(operands) == 1:
            return [np.sort(operands[0], axis=axis)]
        (order,) = argsort.impl(*operands[:num_keys], axis=axis, part=(0, operands[0].shape[axis]))
        return [np.take_along_axis(x, order, axis=axis) for x in operands]

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Any], *, axis: int, num_keys: int) -> tuple[Any, Any]:
        order = argsort(*primals[:num_keys], axis=axis)
        outs = [take_along(x, order, axis) for x in primals]
        return outs, [ZERO if t is ZERO else take_along(t, order, axis) for t in tangents]

    def transpose(self, cotangents: Sequence[Any], *operands: Any, axis: int, num_keys: int) -> Any:
        keys = operands[:num_keys]
        if any(map(is_hole, keys)):
            return super().transpose(cotangents, *operands, axis=axis, num_keys=num_keys)
        back = argsort(argsort(*keys, axis=axis), axis=axis)
        return [
            take_along(ct, back, axis) if is_hole(x) and ct is not ZERO else ZERO for x, ct in zip(operands, cotangents)
        ]

    def batch(
        self, size: int, values: Sequence[Any], mapped: Sequence[bool], *, axis: int, num_keys: int
    ) -> tuple[Any, Any]:
        lanes = all_mapped(size, values, mapped)
        return self.bind(*lanes, axis=axis + 1, num_keys=num_keys), [True] * len(lanes)

    def assemble(
        self, assembler: Any, block: list[Any], sources: Sequence[Any], targets: Sequence[Any], params: Params
    ) -> bool:
        return assembler.sort(block, sources, targets, **params)


sort = Sort("sort")


def take_along(x: Any, order: Any, axis: int, *, unique: bool = True) -> Any:
    """The elements that `order` names along one axis, each once at most if `unique`, as take_along_axis."""
    shape = typeof(order).shape
    places = [
        order if i == axis else reshape(iota(shape=(n,), dtype=INT, axis=0), shape=_along(len(shape), i, n))
        for i, n in enumerate(shape)
    ]
    return gather(x, *places, spec=Indexing(tuple(range(len(shape))), unique=unique))


def _along(ndim: int, axis: int, extent: int) -> tuple[int, ...]:
    return tuple(extent if i == axis else 1 for i in range(ndim))


def top_k(x: Any, k: int) -> list[Any]:
    """The k largest elements along the last axis in descending order, and their indices (int64).

    Equal elements come in the order of their indices; NaN counts as the largest.

    Raises:
        ShapeMismatchError: x is a scalar, or there are fewer than k elements.

    Example:
        >>> import numpy as np
        >>> top_k(np.array([3.0, 1.0, 4.0, 4.0]), 2)
        [array([4., 4.]), array([2, 3])]
    """
    shape = typeof(x).shape
    if not shape or not 0 <= k <= shape[-1]:
        raise ShapeMismatchError(
            f"The {k} largest elements were asked for along the last axis of an array of shape {shape}.",
            "There must be as many elements on that axis.",
            "Choose a smaller k.",
        )
    axis = len(shape) - 1
    ascending = argsort(reverse(x, axes=(axis,)), axis=axis, part=(shape[-1] - k, shape[-1]))
    indices = subtract(shape[-1] - 1, reverse(ascending, axes=(axis,)))
    with place_of((x,)):
        return [take_along(x, indices, axis), indices]


__all__ = ["argsort", "searchsorted", "sort", "take_along", "top_k"]
