"""Examples for functrans.primitives.contractions and convolution."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.helpers.examples import Example

RANDOM = np.random.default_rng(6)


def normal(*shape: int, dtype: str = "f8") -> Any:
    x = RANDOM.normal(size=shape)
    return np.asarray(x + 1j * RANDOM.normal(size=shape) if np.dtype(dtype).kind == "c" else x).astype(dtype)


def integers(*shape: int, dtype: str = "i8") -> Any:
    return RANDOM.integers(0, 5, shape).astype(dtype)


def dot(x: Any, y: Any, summed: Any, batch: Any = ((), ()), **options: Any) -> Example:
    return Example("dot_general", (x, y), {"dimension_numbers": (summed, batch)}, **options)


def conv(x: Any, w: Any, **changed: Any) -> Example:
    ones = (1,) * (x.ndim - 2)
    params = {"strides": ones, "padding": ((0, 0),) * len(ones), "x_dilation": ones, "w_dilation": ones, "groups": 1}
    return Example("conv_general", (x, w), {**params, **changed})


CONTRACTIONS = [
    # vectors and matrices, each way round
    dot(normal(3), normal(3), ((0,), (0,))),
    dot(normal(2, 3), normal(3), ((1,), (0,))),
    dot(normal(2, 3), normal(2), ((0,), (0,))),
    dot(normal(3), normal(3, 4), ((0,), (0,))),
    dot(normal(3), normal(4, 3), ((0,), (1,))),
    dot(normal(2, 3), normal(3, 4), ((1,), (0,))),
    dot(normal(2, 3), normal(4, 3), ((1,), (1,))),
    dot(normal(2, 3), normal(2, 4), ((0,), (0,))),
    dot(normal(2, 3), normal(4, 2), ((0,), (1,))),
    # nothing to sum
    dot(normal(), normal(), ((), ())),
    dot(normal(), normal(2, 3), ((), ())),
    dot(normal(2, 3), normal(2), ((), ())),
    dot(normal(3, 2), normal(4, 3), ((), ()), ((0,), (1,))),
    dot(normal(3, 2), normal(2, 3), ((), ()), ((0, 1), (1, 0))),
    # more axes, in orders that need copies and in orders that do not
    dot(normal(2, 3, 4), normal(4, 2, 3), ((1, 2), (2, 0))),
    dot(normal(2, 3, 4), normal(5, 3, 4), ((1, 2), (1, 2))),
    dot(normal(4, 2, 3), normal(2, 4), ((1, 0), (0, 1))),
    dot(normal(2, 3), normal(3, 2), ((0, 1), (1, 0))),
    dot(normal(2, 3), normal(5, 3, 4), ((1,), (1,))),
    dot(normal(5, 3, 2), normal(3, 4), ((1,), (0,))),
    dot(normal(2, 3, 2), normal(2, 3, 2), ((1,), (1,))),
    dot(normal(2, 33, 32), normal(2, 33, 34), ((1,), (1,))),
    # mapped axes
    dot(normal(5, 2, 3), normal(5, 3, 4), ((2,), (1,)), ((0,), (0,))),
    dot(normal(2, 5, 3), normal(3, 4, 5), ((2,), (0,)), ((1,), (2,))),
    dot(normal(2, 3, 2, 4), normal(2, 2, 4, 3), ((3,), (2,)), ((0, 2), (1, 0))),
    dot(normal(4, 3), normal(4, 3), ((1,), (1,)), ((0,), (0,))),
    dot(normal(4, 20), normal(20, 4), ((1,), (0,)), ((0,), (1,))),
    dot(normal(4, 2, 3), normal(4, 3), ((2,), (1,)), ((0,), (0,))),
    dot(normal(4, 3), normal(4, 2, 3, 2), ((1,), (2,)), ((0,), (0,))),
    # other dtypes
    *(dot(normal(2, 3, dtype=d), normal(3, 4, dtype=d), ((1,), (0,))) for d in ("c16", "f4", "c8", "f2")),
    dot(normal(4, 2, dtype="c16"), normal(4, 2, dtype="c16"), ((1,), (1,)), ((0,), (0,))),
    dot(normal(2, 3, dtype="c16"), normal(3, 2), ((1,), (0,))),
    dot(normal(2, 3, dtype="f4"), integers(3, 2, dtype="i1"), ((1,), (0,))),
    *(dot(integers(2, 3, dtype=d), integers(3, 4, dtype=d), ((1,), (0,))) for d in ("i8", "i1", "u2", "?")),
    dot(integers(3, dtype="?"), integers(3, dtype="?"), ((0,), (0,))),
    # extents of zero and one
    dot(normal(2, 0), normal(0, 3), ((1,), (0,))),
    dot(normal(0, 2), normal(2, 3), ((1,), (0,))),
    dot(normal(0, 2, 3), normal(0, 3, 2), ((2,), (1,)), ((0,), (0,))),
    dot(normal(1, 1), normal(1, 1), ((1,), (0,))),
]

CONVOLUTIONS = [
    conv(normal(2, 1, 5), normal(3, 1, 2)),
    conv(normal(1, 1, 6), normal(1, 1, 3), padding=((2, 1),)),
    conv(normal(1, 2, 6), normal(2, 2, 3), strides=(2,), padding=((1, 2),)),
    conv(normal(1, 2, 5), normal(2, 2, 2), padding=((-1, 1),), x_dilation=(2,), w_dilation=(2,)),
    conv(normal(2, 1, 7), normal(2, 1, 2), strides=(3,), padding=((-2, -1),)),
    conv(normal(1, 3, 4), normal(1, 3, 2), padding=((3, -2),), x_dilation=(3,)),
    conv(normal(2, 4, 5), normal(6, 2, 3), padding=((1, 1),), groups=2),
    conv(normal(1, 3, 4), normal(3, 1, 2), groups=3),
    conv(normal(2, 3), normal(4, 3)),
    conv(
        normal(1, 2, 4, 5), normal(3, 2, 2, 3), strides=(1, 2), padding=((1, 0), (2, 1)), w_dilation=(2, 1)
    ),
    conv(normal(1, 1, 3, 4), normal(2, 1, 3, 4)),
    conv(normal(1, 1, 2, 3, 2), normal(1, 1, 2, 1, 2), padding=((1, 0), (0, 0), (0, 1))),
    conv(normal(1, 2, 4, dtype="c16"), normal(1, 2, 2, dtype="c16")),
    conv(normal(1, 1, 4, dtype="f4"), normal(2, 1, 2, dtype="f4")),
    conv(normal(1, 1, 4, dtype="f4"), normal(1, 1, 2)),
    conv(integers(1, 2, 4), integers(2, 2, 2)),
    conv(normal(0, 1, 4), normal(1, 1, 2)),
    conv(normal(1, 1, 2), normal(1, 1, 4)),
    conv(normal(1, 0, 3), normal(2, 0, 2)),
    conv(normal(1, 1, 0), normal(1, 1, 2), padding=((2, 2),)),
]

EXAMPLES = [*CONTRACTIONS, *CONVOLUTIONS]
