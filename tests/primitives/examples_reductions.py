"""Examples of reductions and of cumulative operations."""

from __future__ import annotations

import numpy as np

from tests.helpers.examples import Example

_random = np.random.default_rng(12)


def _array(*shape: int, dtype: str = "f8") -> np.ndarray:
    """Elements far enough from each other, and from zero, for differences of extremes."""
    x = np.linspace(-2.0, 2.3, int(np.prod(shape)) or 1)[: int(np.prod(shape))]
    x = _random.permutation(x).reshape(shape)
    return (x + 1j * _random.normal(size=shape) if dtype.startswith("c") else x).astype(dtype)


_ZEROS = [np.array(x) for x in ([0.0, 2.0, 3.0], [0.0, 2.0, 0.0, 3.0], [0.0, 0.0, 0.0])]
_TIES = np.array([[1.0, 3.0, 3.0, 0.0], [2.0, 2.0, 2.0, 2.0]])
_NAN = np.array([[1.0, np.nan, 3.0], [2.0, 0.0, np.inf], [-np.inf, -np.inf, -np.inf]])
_AXES = [((5,), (0,)), ((2, 3), (1,)), ((2, 3), (0, 1)), ((3, 2, 2), (0, 2)), ((2, 3), ()), ((), ()), ((1, 2), (0,))]
_LINES = [((5,), 0, False), ((5,), 0, True), ((2, 3), 1, False), ((3, 2), 0, True), ((1,), 0, False), ((2, 8), 1, False)]


def _reductions(name: str, **options: object) -> list[Example]:
    return [
        *[Example(name, (_array(*shape),), {"axes": axes}, **options) for shape, axes in _AXES],
        Example(name, (_array(4, 3, dtype="f4"),), {"axes": (0,)}, **options),
        Example(name, (_array(4, dtype="f2"),), {"axes": (0,)}, **options),
        Example(name, (_array(2, 0),), {"axes": (0,)}, **options),
    ]


def _scans(name: str) -> list[Example]:
    return [
        *[Example(name, (_array(*shape),), {"axis": axis, "reverse": reverse}) for shape, axis, reverse in _LINES],
        Example(name, (_array(4, 3, dtype="f4"),), {"axis": 0, "reverse": False}, tolerance=1e-3),
        Example(name, (_array(4, dtype="f2"),), {"axis": 0, "reverse": True}, tolerance=2e-2),
        Example(name, (_array(2, 0),), {"axis": 1, "reverse": False}),
        Example(name, (_array(0, 2),), {"axis": 1, "reverse": True}),
    ]


EXAMPLES = [
    *_reductions("reduce_prod"),
    *[Example("reduce_prod", (x,), {"axes": (0,)}) for x in _ZEROS],
    Example("reduce_prod", (_array(3, 2, dtype="c16"),), {"axes": (0,)}),
    Example("reduce_prod", (_array(2, 3, dtype="c8"),), {"axes": (1,)}, tolerance=1e-3),
    Example("reduce_prod", (_array(0, 2),), {"axes": (0,)}),
    Example("reduce_prod", (np.arange(1, 7, dtype="i4").reshape(2, 3),), {"axes": (1,)}),
    Example("reduce_prod", (np.array([True, False]),), {"axes": (0,)}),
    *[
        example
        for name in ("reduce_max", "reduce_min")
        for example in [
            *_reductions(name),
            Example(name, (_array(3, 2, dtype="c16"),), {"axes": (0,)}),
            Example(name, (_TIES,), {"axes": (1,)}, smooth=False),
            Example(name, (_NAN,), {"axes": (1,)}, smooth=False),
            Example(name, (np.array([3, -1, 3], "i2"),), {"axes": (0,)}),
            Example(name, (np.array([[3, 1], [0, 255]], "u1"),), {"axes": (0, 1)}),
            Example(name, (np.array([True, False]),), {"axes": (0,)}),
        ]
    ],
    *[
        Example(name, (x,), {"axes": axes})
        for name in ("reduce_any", "reduce_all")
        for x, axes in [
            (np.array([[True, False], [True, True]]), (0,)), (np.array([[0, 2], [0, 0]]), (0, 1)),
            (np.array([0.5, 0.0]), (0,)), (np.array([1j, 2.0]), (0,)), (np.zeros((0, 2), bool), (0,)),
            (np.array([True, False]), ()), (np.array([np.nan], "f4"), (0,)),
        ]
    ],
    *[
        Example(name, (x,), {"axes": axes})
        for name in ("reduce_and", "reduce_or", "reduce_xor")
        for x, axes in [
            (np.array([[6, 3], [5, 1]]), (0,)), (np.array([[6, 3], [5, 1]], "u1"), (0, 1)),
            (np.array([True, False, True]), (0,)), (np.zeros((0, 2), "i4"), (0,)), (np.array([7, 8]), ()),
        ]
    ],
    *[
        Example(name, (x,), {"axes": axes})
        for name in ("argmax", "argmin")
        for x, axes in [
            (_array(5), (0,)), (_array(2, 3), (1,)), (_array(3, 2, dtype="f4"), (0,)), (_TIES, (1,)), (_NAN, (1,)),
            (np.array([3, 1, 3], "u2"), (0,)), (np.array([False, True]), (0,)), (_array(4, dtype="c16"), (0,)),
            (np.zeros((2, 0)), (0,)),
        ]
    ],
    *_reductions("logsumexp"),
    Example("logsumexp", (_array(2, 3, dtype="c16"),), {"axes": (1,)}),
    Example("logsumexp", (np.array([700.0, 800.0, 799.0]),), {"axes": (0,)}),
    Example("logsumexp", (np.array([-800.0, -799.0]),), {"axes": (0,)}),
    Example("logsumexp", (np.array([-np.inf, 1.0, 0.5]),), {"axes": (0,)}, smooth=False),
    Example("logsumexp", (_NAN,), {"axes": (1,)}, smooth=False),
    Example("logsumexp", (np.zeros((0, 2)),), {"axes": (0,)}, smooth=False),
    *_scans("cumsum"),
    Example("cumsum", (_array(3, dtype="c16"),), {"axis": 0, "reverse": False}),
    Example("cumsum", (np.array([100, 100], "i1"),), {"axis": 0, "reverse": False}),
    Example("cumsum", (np.array([True, True, False]),), {"axis": 0, "reverse": True}),
    *_scans("cumprod"),
    *[Example("cumprod", (x,), {"axis": 0, "reverse": reverse}) for x in _ZEROS for reverse in (False, True)],
    Example("cumprod", (_array(3, dtype="c16"),), {"axis": 0, "reverse": False}),
    Example("cumprod", (np.array([3, 2, 5]),), {"axis": 0, "reverse": True}),
    *[
        example
        for name in ("cummax", "cummin")
        for example in [
            *_scans(name),
            Example(name, (_TIES,), {"axis": 1, "reverse": False}, smooth=False),
            Example(name, (_NAN,), {"axis": 1, "reverse": True}, smooth=False),
            Example(name, (np.array([3, 1, 4, 1]),), {"axis": 0, "reverse": False}),
            Example(name, (np.array([False, True]),), {"axis": 0, "reverse": True}),
        ]
    ],
    *_scans("cumlogsumexp"),
    Example("cumlogsumexp", (np.array([700.0, 800.0, 799.0]),), {"axis": 0, "reverse": False}),
    Example("cumlogsumexp", (_NAN,), {"axis": 1, "reverse": False}, smooth=False),
]  # fmt: skip
