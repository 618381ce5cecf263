"""Examples of the primitives behind round, math.trunc, math.floor and math.ceil, and of numbers without precision."""

from __future__ import annotations

import numpy as np

from tests.helpers.examples import Example

EXAMPLES = [
    Example("integer", (x,))
    for x in (
        np.float64(2.7), np.float64(-2.7), np.array(0.3), np.float32(-5.5), np.float16(3), np.int8(-7), np.uint64(9),
        np.bool_(True), 2.5, -3,
    )
]  # fmt: skip
EXAMPLES += [
    Example("python_number", (x,)) for x in (np.float64(2.7), np.array(0.3), np.int64(-7), np.bool_(True), 2.5, 1 + 2j)
]
EXAMPLES += [
    Example("fitting_integer", (n,), {"dtype": np.dtype(dtype), "centre": centre, "user": "add"})
    for n, dtype, centre in (
        (np.int64(-128), np.int8, 0), (np.int64(127), np.uint8, 128), (np.array([-(2**31), 5]), np.int32, 0),
        (np.int64(-(2**62)), np.uint64, 2**62), (7, np.int16, 0),
    )
]  # fmt: skip
