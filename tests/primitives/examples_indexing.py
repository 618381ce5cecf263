"""Examples of gather, scatter and the slices at computed offsets."""

import numpy as np

from functrans.primitives.indices import Indexing
from tests.helpers.examples import Example

rng = np.random.default_rng(5)
LINE = rng.normal(size=6)
TABLE = rng.normal(size=(4, 3))
CUBE = rng.normal(size=(3, 4, 2))
COMPLEX = rng.normal(size=(4, 3)) + 1j * rng.normal(size=(4, 3))
REPEATED = np.array([2, 0, -2, 2, 1])
GRID = np.array([[0, -1], [2, 2], [0, 1]])
OUTSIDE = np.array([[0, 5], [-4, -5], [3, -7]])

#: What an index outside an array may mean, but for an error.
MODES = ("clip", "wrap", "drop")
#: An array, index arrays, and what they mean.
INDEXINGS = [
    (LINE, (3,), Indexing((0,))),
    (LINE, (np.int64(-1),), Indexing((0,), unique=True)),
    (LINE, (REPEATED,), Indexing((0,))),
    (LINE, (np.array([4, 1, -1]),), Indexing((0,), unique=True)),
    (LINE, (np.zeros(0, np.int64),), Indexing((0,))),
    (LINE.astype(np.float32), (GRID.astype(np.uint8) % 3,), Indexing((0,))),
    (LINE, (OUTSIDE,), Indexing((0,), mode="clip")),
    (LINE, (OUTSIDE,), Indexing((0,), mode="wrap")),
    (LINE, (OUTSIDE,), Indexing((0,), mode="drop")),
    (LINE[:3], (7,), Indexing((0,), mode="drop")),
    (np.zeros(0), (np.array([0, 1]),), Indexing((0,), mode="drop")),
    (TABLE, (REPEATED,), Indexing((0,))),
    (TABLE, (np.array([1, 1, 0]),), Indexing((1,), position=1)),
    (TABLE, (np.array([1, 1, 0]),), Indexing((1,))),
    (TABLE, (np.array([2, 1]),), Indexing((1,), position=1, unique=True)),
    (TABLE, (REPEATED, np.array([0, 0, 1, 0, 2])), Indexing((0, 1))),
    (TABLE, (np.array([[3], [0], [3]]), np.array([[0, 2]])), Indexing((0, 1))),
    (TABLE, (np.array([1, 5, -1]), np.array([0, 0, -4])), Indexing((1, 0), mode="drop")),
    (TABLE, (OUTSIDE,), Indexing((0,), mode="drop")),
    (COMPLEX, (REPEATED,), Indexing((0,))),
    (CUBE, (np.array([0, 1, 0]),), Indexing((2,), position=2)),
    (CUBE, (GRID,), Indexing((1,), position=1)),
    (CUBE, (np.array([1, 1, 2]), np.array([0, 0, 1])), Indexing((0, 2))),
    (CUBE, (np.array([0, 0, 1]), np.array([1, 1, 2])), Indexing((2, 0), position=1)),
    (CUBE, (1, np.array([0, 0])), Indexing((1, 2), position=1)),
    (CUBE.astype(np.float16), (GRID, 1), Indexing((1, 2), position=1, mode="wrap")),
]
INTEGERS = [
    (rng.integers(-9, 9, (4, 3)), (REPEATED,), Indexing((0,))),
    (rng.integers(0, 9, (4, 3)).astype(np.uint8), (np.array([0, 0]), np.array([1, 1])), Indexing((0, 1))),
    (TABLE > 0, (REPEATED,), Indexing((0,))),
]


def updates_for(x: np.ndarray, indices: tuple, spec: Indexing) -> np.ndarray:
    """Values of the shape that a gather at these indices has, and of the dtype of x."""
    shape = spec.result_shape(x.shape, np.broadcast_shapes(*map(np.shape, indices)))
    values = np.random.default_rng(np.prod(shape, dtype=int)).normal(size=shape) * 3
    return np.abs(values).astype(x.dtype) if x.dtype.kind in "biu" else values.astype(x.dtype)


def scatters(name: str, smooth: bool = True) -> list[Example]:
    """A scatter at every index."""
    return [
        Example(name, (x, updates_for(x, indices, spec), *indices), {"spec": spec}, smooth=smooth)
        for x, indices, spec in (*INDEXINGS, *INTEGERS)
        if name in ("scatter_set", "scatter_add", "scatter_multiply") or x.dtype.kind != "c"
    ]


BLOCK = {"starts": (1, 0, 0), "limits": (3, 4, 2), "strides": (1, 2, 1)}

EXAMPLES = [
    *(Example("gather", (x, *indices), {"spec": spec}) for x, indices, spec in (*INDEXINGS, *INTEGERS)),
    Example("gather", (LINE, OUTSIDE), {"spec": Indexing((0,), mode="drop"), "fill": -1.5}),
    *scatters("scatter_set"),
    *scatters("scatter_add"),
    *scatters("scatter_multiply"),
    *scatters("scatter_min"),
    *scatters("scatter_max"),
    Example(
        "scatter_multiply",
        (np.array([0.0, 2.0, 0.0]), np.array([0.0, 3.0, 0.0, 0.0, 2.0]), np.array([1, 1, 0, 2, 2])),
        {"spec": Indexing((0,))},
    ),
    Example(
        "scatter_max",
        (np.array([1.0, 2.0]), np.array([1.0, 2.0, 2.0]), np.array([0, 1, 1])),
        {"spec": Indexing((0,))},
        smooth=False,
    ),
    Example("element_number", (REPEATED,), {"of": (4, 3), "axis": 1, "mode": "raise"}),
    Example("element_number", (np.uint8(3),), {"of": (4, 3), "axis": 0, "mode": "raise"}),
    *(Example("element_number", (OUTSIDE,), {"of": (4, 3), "axis": 0, "mode": mode}) for mode in MODES),
    Example("dynamic_slice", (LINE, 2), {"sizes": (3,)}),
    Example("dynamic_slice", (LINE, np.int8(-2)), {"sizes": (3,)}),
    Example("dynamic_slice", (LINE, 9), {"sizes": (6,)}),
    Example("dynamic_slice", (np.float64(2.0),), {"sizes": ()}),
    Example("dynamic_slice", (TABLE, np.int64(2), 0), {"sizes": (2, 3)}),
    Example("dynamic_slice", (TABLE, np.int64(2), np.int32(-1)), {"sizes": (0, 2)}),
    Example("dynamic_slice", (CUBE.astype(np.float32), 1, np.uint8(3), 0), {"sizes": (1, 2, 2)}),
    Example("dynamic_slice", (COMPLEX, -9, 1), {"sizes": (2, 1)}),
    Example("dynamic_slice", (rng.integers(0, 9, 5), 3), {"sizes": (2,)}),
    Example("dynamic_update_slice", (LINE, LINE[:2] * 3, np.int64(5)), {}),
    Example("dynamic_update_slice", (LINE, LINE[:0], 1), {}),
    Example("dynamic_update_slice", (np.float64(2.0), np.float64(3.0)), {}),
    Example("dynamic_update_slice", (TABLE, TABLE[:2, 1:] * 2, np.int8(-3), 1), {}),
    Example("dynamic_update_slice", (CUBE, CUBE[:1] + 1, 2, 0, 0), {}),
    Example("dynamic_update_slice", (COMPLEX, COMPLEX[:1, :1] + 1, 2, -1), {}),
    Example("update_slice", (LINE, np.float64(4.0)), {"starts": (2,), "limits": (3,), "strides": (1,)}),
    Example("update_slice", (LINE, LINE[:2] * 3), {"starts": (1,), "limits": (6,), "strides": (3,)}),
    Example("update_slice", (LINE, LINE[:0]), {"starts": (0,), "limits": (0,), "strides": (1,)}),
    Example("update_slice", (CUBE, rng.normal(size=(2, 2, 2))), BLOCK),
    Example("update_slice", (CUBE, rng.normal(size=(2, 1))), BLOCK),
    Example("update_slice", (CUBE.astype(np.float32), np.float32(1.5)), BLOCK),
    Example("update_slice", (COMPLEX, COMPLEX[1]), {"starts": (3, 0), "limits": (4, 3), "strides": (1, 1)}),
    Example("update_slice", (TABLE > 0, np.True_), {"starts": (3, 0), "limits": (4, 3), "strides": (1, 1)}),
]
