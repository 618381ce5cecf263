"""Examples of the primitive behind round, math.trunc, math.floor and math.ceil."""

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
