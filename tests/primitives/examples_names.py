"""Examples of the primitive that names values."""

from __future__ import annotations

import numpy as np

from tests.helpers.examples import Example

_random = np.random.default_rng(23)

EXAMPLES = [
    *[
        Example("name", (_random.normal(size=shape).astype(dtype),), {"name": "hidden"})
        for shape, dtype in [((3,), "f8"), ((2, 0), "f4"), ((), "f8"), ((2, 3), "i4"), ((2,), "?"), ((2,), "f2")]
    ],
    Example("name", (_random.normal(size=2) + 1j * _random.normal(size=2),), {"name": "c"}),
    Example("name", (2.5,), {"name": ""}),
]
