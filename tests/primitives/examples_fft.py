"""Examples for functrans.primitives.fft."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.helpers.examples import Example

RANDOM = np.random.default_rng(11)


def signal(*shape: int, dtype: str = "f8") -> Any:
    x = RANDOM.uniform(-1, 1, shape)
    return (x + 1j * RANDOM.uniform(-1, 1, shape) if np.dtype(dtype).kind == "c" else x).astype(dtype)


def params(kind: str, *axes: int, length: int | None = None) -> dict[str, Any]:
    return {"kind": kind, "axes": axes, "length": length}


EXAMPLES = [
    *(Example("fft", (signal(5, dtype=d),), params(kind, 0)) for d in ("c16", "c8") for kind in ("fft", "ifft")),
    Example("fft", (signal(3, 4, dtype="c16"),), params("fft", 0, 1)),
    Example("fft", (signal(3, 4, 2, dtype="c16"),), params("ifft", 2, 0)),
    Example("fft", (signal(1, dtype="c16"),), params("fft", 0)),
    Example("fft", (signal(0, 3, dtype="c16"),), params("fft", 1)),
    *(Example("fft", (signal(n),), params("rfft", 0)) for n in (1, 4, 5)),
    Example("fft", (signal(6, dtype="f4"),), params("rfft", 0)),
    Example("fft", (signal(3, 4),), params("rfft", 0, 1)),
    Example("fft", (signal(3, 4, 2),), params("rfft", 1, 0)),
    *(
        Example("fft", (signal(n // 2 + 1, dtype=d),), params("irfft", 0, length=n))
        for n, d in [(1, "c16"), (4, "c16"), (5, "c16"), (6, "c8")]
    ),
    Example("fft", (signal(3, 3, dtype="c16"),), params("irfft", 0, 1, length=5)),
    Example("fft", (signal(3, 4, 2, dtype="c16"),), params("irfft", 1, 0, length=4)),
]
