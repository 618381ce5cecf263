"""Examples of sorting and searching."""

from __future__ import annotations

import numpy as np

from tests.helpers.examples import Example

_random = np.random.default_rng(13)


def _array(*shape: int, dtype: str = "f8") -> np.ndarray:
    """Elements far enough from each other for differences."""
    size = int(np.prod(shape))
    x = _random.permutation(np.linspace(-2.0, 2.3, size)).reshape(shape)
    return (x + 1j * _random.normal(size=shape) if dtype.startswith("c") else x).astype(dtype)


_EQUAL = np.array([[2, 1, 2, 1, 0], [3, 3, 0, 3, 0]])
_NAN = np.array([1.0, np.nan, -np.inf, np.inf, 0.0, np.nan])

EXAMPLES = [
    *[
        Example("sort", (_array(*shape, dtype=dtype),), {"axis": axis, "num_keys": 1})
        for shape, axis, dtype in [
            ((5,), 0, "f8"), ((2, 3), 1, "f8"), ((4, 2), 0, "f8"), ((2, 3, 2), 1, "f4"), ((4,), 0, "f2"), ((4,), 0, "c16"),
            ((0,), 0, "f8"), ((0, 2), 1, "f8"), ((1,), 0, "f8"),
        ]
    ],
    Example("sort", (_array(5), _array(5)), {"axis": 0, "num_keys": 1}),
    Example("sort", (_array(2, 3), _array(2, 3, dtype="c16"), np.arange(6).reshape(2, 3)), {"axis": 1, "num_keys": 1}),
    Example("sort", (_EQUAL, _array(2, 5)), {"axis": 1, "num_keys": 1}),
    Example("sort", (_EQUAL, _array(2, 5), _array(2, 5)), {"axis": 1, "num_keys": 2}),
    Example("sort", (_EQUAL,), {"axis": 0, "num_keys": 1}),
    Example("sort", (_NAN,), {"axis": 0, "num_keys": 1}, smooth=False),
    Example("sort", (np.array([True, False, True]),), {"axis": 0, "num_keys": 1}),
    Example("sort", (np.array([200, 3, 7], "u1"),), {"axis": 0, "num_keys": 1}),
    *[
        Example("argsort", keys, {"axis": axis, "part": part(keys[0].shape[axis])})
        for part in (lambda n: (0, n), lambda n: (n // 2, n), lambda n: (n // 2, min(n // 2 + 1, n)))
        for keys, axis in [
            ((_array(5),), 0), ((_array(2, 3),), 1), ((_array(3, 2, dtype="f4"),), 0), ((_EQUAL,), 1), ((_NAN,), 0),
            ((_EQUAL, _array(2, 5)), 1), ((_EQUAL, -_EQUAL, _array(2, 5)), 0), ((_array(4, dtype="c16"),), 0),
            ((np.zeros(0),), 0), ((np.array([True, False]),), 0), ((np.array([3, 1, 2], "i1"),), 0),
        ]
    ],
    *[
        Example("searchsorted", (a, v), {"side": side})
        for side in ("left", "right")
        for a, v in [
            (np.array([0.0, 1.0, 1.0, 2.0]), np.array([-1.0, 1.0, 1.5, 9.0])), (np.array([0.0, 1.0]), np.float64(1.0)),
            (np.array([1, 2, 3]), np.array([[0, 2], [3, 4]])), (np.zeros(0), np.array([1.0])),
            (np.array([0.0, 1.0, np.nan]), np.array([np.nan, 0.5])), (np.array([[0.0, 1.0], [2.0, 3.0]]), np.ones((2, 3))),
            (np.array([1, 2, 3], "u1"), np.array([1.5, 2.0], "f4")), (np.zeros((2, 3)), np.zeros(2)),
        ]
    ],
]  # fmt: skip
