"""Examples of the primitives that the rules of others are written in."""

from __future__ import annotations

import numpy as np

from tests.helpers.examples import Example

F64, F32, F16 = np.dtype("f8"), np.dtype("f4"), np.dtype("f2")
C128, C64 = np.dtype("c16"), np.dtype("c8")

_random = np.random.default_rng(7)


def _array(*shape: int, dtype: str = "f8") -> np.ndarray:
    x = _random.normal(size=shape)
    return (x + 1j * _random.normal(size=shape) if dtype.startswith("c") else x).astype(dtype)


_zeros_here_and_there = np.array([0.0, 1.5, -0.0, 2.0])
_infinite_there = np.array([np.inf, 2.0, np.nan, -1.0])

EXAMPLES = [
    *[
        Example("full", (), {"value": value, "shape": shape, "dtype": np.dtype(dtype)})
        for value, shape, dtype in [
            (0, (2, 3), "f8"), (1.5, (), "f4"), (-0.0, (2,), "f8"), (2 - 1j, (3,), "c16"), (7, (0, 2), "i4"),
            (True, (2,), "?"), (np.inf, (2, 1), "f2"), (np.nan, (2,), "f8"),
        ]
    ],
    Example("add_any", (_array(3), _array(3))),
    Example("add_any", (_array(2, 3, dtype="c16"), _array(2, 3, dtype="c16"))),
    Example("add_any", (_array(4, dtype="f4"), _array(4, dtype="f4"))),
    Example("add_any", (_array(), _array())),
    Example("add_any", (1.5, 2.5)),
    Example("add_any", (_array(0, 2), _array(0, 2))),
    Example("scale", (_array(2, 3), _array(2, 3))),
    Example("scale", (_array(2, 3), _array(3))),
    Example("scale", (_array(1, 3), _array(2, 1))),
    Example("scale", (_array(), _array(2))),
    Example("scale", (_array(3), 2.5)),
    Example("scale", (1.5, _array(3))),
    Example("scale", (1.5, 2.0)),
    Example("scale", (_array(3, dtype="f4"), 2.5)),
    Example("scale", (_array(3, dtype="f2"), _array(2, 1, dtype="f2"))),
    Example("scale", (_array(3, dtype="c16"), _array(2, 3, dtype="c16"))),
    Example("scale", (_array(3, dtype="c8"), 2j)),
    Example("scale", (_array(3), np.array([1, 2, -1]))),
    Example("scale", (_array(0), _array(0))),
    Example("scale", (_zeros_here_and_there, _infinite_there), smooth=False),
    Example("scale", (0.0, np.float64("inf")), smooth=False),
    Example("scale_both", (_array(2, 3), _array(3))),
    Example("scale_both", (_array(3, dtype="c16"), 2.5)),
    Example("scale_both", (_infinite_there, _zeros_here_and_there), smooth=False),
    *[
        Example("convert", (_array(2, 3, dtype=source),), {"dtype": np.dtype(target)}, tolerance=tolerance)
        for source, target, tolerance in [
            ("f8", "f8", 1e-5), ("f8", "c16", 1e-5), ("c16", "f8", 1e-5), ("c16", "c16", 1e-5), ("f4", "f8", 1e-5),
            ("f8", "f4", 1e-2), ("f4", "c8", 1e-2), ("c8", "f4", 1e-2), ("f2", "f4", 1e-2), ("c16", "c8", 1e-2),
        ]
    ],
    Example("convert", (np.array([1.7, -2.3, 0.4]),), {"dtype": np.dtype("i8")}),
    Example("convert", (np.array([1.7 + 1j, -2.3, 0.4]),), {"dtype": np.dtype("i4")}),
    Example("convert", (np.array([0.0, -2.3, 0.4]),), {"dtype": np.dtype("?")}, smooth=False),
    Example("convert", (np.array([1, -2, 300]),), {"dtype": np.dtype("u1")}),
    Example("convert", (np.array([True, False]),), {"dtype": F64}),
    Example("convert", (2,), {"dtype": F32}),
    Example("convert", (2.5,), {"dtype": F64}),
    Example("convert", (2.5,), {"dtype": C128}),
    Example("convert", (_array(0, 3),), {"dtype": F32}),
    *[
        Example("reshape", (_array(*shape, dtype=dtype),), {"shape": target})
        for shape, target, dtype in [
            ((2, 3), (3, 2), "f8"), ((2, 3), (6,), "c16"), ((), (1, 1), "f8"), ((1,), (), "f4"),
            ((2, 0), (0, 5), "f8"), ((2, 3, 2), (2, 6), "f2"),
        ]
    ],
    Example("reshape", (np.arange(6),), {"shape": (2, 3)}),
    *[
        Example("broadcast_to", (_array(*shape, dtype=dtype),), {"shape": target})
        for shape, target, dtype in [
            ((3,), (2, 3), "f8"), ((2, 1), (2, 3), "f8"), ((), (2, 2), "c16"), ((1, 3, 1), (2, 4, 3, 2), "f4"),
            ((2, 3), (2, 3), "f8"), ((1,), (0,), "f8"), ((0, 1), (0, 3), "f8"), ((1, 1), (2, 1), "f8"),
        ]
    ],
    Example("broadcast_to", (np.array([True, False]),), {"shape": (3, 2)}),
    *[
        Example("reduce_sum", (_array(*shape, dtype=dtype),), {"axes": axes})
        for shape, axes, dtype in [
            ((2, 3), (0,), "f8"), ((2, 3), (1,), "f8"), ((2, 3), (0, 1), "f8"), ((2, 3), (), "f8"), ((), (), "f8"),
            ((2, 3, 2), (0, 2), "c16"), ((2, 3), (1,), "f4"), ((2, 3), (0,), "f2"), ((0, 3), (0,), "f8"),
            ((0, 3), (1,), "f8"), ((3, 1), (1,), "f8"), ((2, 3), (1,), "c8"),
        ]
    ],
    Example("reduce_sum", (np.arange(6, dtype="i4").reshape(2, 3),), {"axes": (1,)}),
    Example("reduce_sum", (np.array([[True, True], [False, True]]),), {"axes": (0,)}),
]  # fmt: skip
