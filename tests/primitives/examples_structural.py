"""Examples of the primitives that move elements about."""

from __future__ import annotations

import numpy as np

from tests.helpers.examples import Example

_random = np.random.default_rng(11)


def _array(*shape: int, dtype: str = "f8") -> np.ndarray:
    x = _random.normal(size=shape) * 3
    return (x + 1j * _random.normal(size=shape) if dtype.startswith("c") else x).astype(dtype)


EXAMPLES = [
    *[
        Example("transpose", (_array(*shape, dtype=dtype),), {"permutation": permutation})
        for shape, permutation, dtype in [
            ((2, 3), (1, 0), "f8"), ((2, 3, 4), (2, 0, 1), "c16"), ((2, 3), (0, 1), "f4"), ((), (), "f8"),
            ((0, 3), (1, 0), "f8"), ((2, 3, 1), (1, 2, 0), "i4"), ((3,), (0,), "f2"),
        ]
    ],
    *[
        Example("slice", (_array(*shape, dtype=dtype),), {"starts": starts, "limits": limits, "strides": strides})
        for shape, starts, limits, strides, dtype in [
            ((5,), (1,), (4,), (1,), "f8"), ((7,), (1,), (7,), (3,), "f8"), ((8,), (1,), (7,), (3,), "c16"),
            ((4, 5), (0, 2), (4, 5), (2, 1), "f4"), ((4,), (2,), (2,), (1,), "f8"), ((4,), (4,), (4,), (2,), "f8"),
            ((), (), (), (), "f8"), ((0, 3), (0, 1), (0, 3), (1, 1), "f8"), ((3, 3), (0, 0), (3, 3), (1, 1), "f2"),
            ((6,), (0,), (6,), (5,), "i8"), ((3,), (2,), (3,), (4,), "f8"), ((3,), (0,), (2,), (1,), "?"),
        ]
    ],
    *[
        Example("pad", (_array(*shape, dtype=dtype), np.asarray(value, dtype)[()]), {"padding": padding})
        for shape, value, padding, dtype in [
            ((3,), 1.5, ((1, 2, 0),), "f8"), ((2, 3), -1.0, ((0, 1, 0), (2, 0, 1)), "f8"),
            ((4,), 0.0, ((-1, -1, 0),), "f8"), ((5,), 2.0, ((-1, 2, 0),), "c16"), ((3,), 0.5, ((-2, 1, 2),), "f8"),
            ((3,), 0.5, ((1, -3, 1),), "f8"), ((4,), 0.5, ((-3, -3, 2),), "f8"), ((2,), 1.0, ((-5, 9, 3),), "f8"),
            ((0,), 1.0, ((1, 1, 2),), "f8"), ((0, 2), 1.0, ((1, 0, 0), (0, 0, 1)), "f4"), ((), 1.0, (), "f8"),
            ((3,), 7.0, ((0, 0, 0),), "f2"), ((3,), 7, ((1, 1, 1),), "i4"), ((2, 2), 1, ((-1, 0, 0), (1, 0, 0)), "?"),
            ((3,), 1.0, ((-3, 0, 0),), "f8"), ((1, 3), 1.0, ((2, -2, 1), (-1, -1, 0)), "f8"),
        ]
    ],
    Example("pad", (_array(3), 2.5), {"padding": ((1, 1, 0),)}),
    *[
        Example("concatenate", tuple(_array(*shape, dtype=dtype) for shape in shapes), {"axis": axis})
        for shapes, axis, dtype in [
            (((2,), (3,)), 0, "f8"), (((2, 1), (2, 3)), 1, "f8"), (((1, 2), (2, 2), (3, 2)), 0, "c16"),
            (((2, 3),), 1, "f8"), (((2, 0), (2, 2)), 1, "f8"), (((0,), (0,)), 0, "f8"), (((3,), (1,)), 0, "f4"),
            (((2, 2, 2), (2, 1, 2)), 1, "f2"), (((2,), (1,)), 0, "i4"), (((2,), (1,)), 0, "?"), (((0, 2), (0, 1)), 1, "f8"),
        ]
    ],
    Example("concatenate", (_array(2), _array(3, dtype="f4")), {"axis": 0}, tolerance=1e-2),
    Example("concatenate", (_array(2), np.arange(3)), {"axis": 0}),
    Example("concatenate", (_array(2), _array(2, dtype="c16")), {"axis": 0}),
    *[
        Example("reverse", (_array(*shape, dtype=dtype),), {"axes": axes})
        for shape, axes, dtype in [
            ((3,), (0,), "f8"), ((2, 3), (0, 1), "f8"), ((2, 3), (1,), "c16"), ((2, 3), (), "f4"), ((), (), "f8"),
            ((0, 2), (0,), "f8"), ((3, 1), (0,), "i8"), ((2, 2), (0,), "?"),
        ]
    ],
    *[
        Example("iota", (), {"shape": shape, "dtype": np.dtype(dtype), "axis": axis})
        for shape, axis, dtype in [
            ((3,), 0, "i8"), ((2, 3), 1, "f8"), ((2, 3), 0, "f4"), ((0,), 0, "i4"), ((2, 0), 0, "c16"), ((4,), 0, "u1"),
            ((2,), 0, "?"), ((3, 1, 2), 0, "f2"),
        ]
    ],
]  # fmt: skip
