"""Examples for functrans.primitives.random and random_gamma."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.helpers.examples import Example

KEY = np.array([7, 42], np.uint32)
KEYS = np.arange(12, dtype=np.uint32).reshape(3, 2, 2)


def bits(dtype: str, *shape: int) -> dict[str, Any]:
    return {"shape": shape, "dtype": np.dtype(dtype)}


def shape_parameters(*shape: int, dtype: str = "f8") -> Any:
    return np.linspace(0.2, 3, num=int(np.prod(shape))).reshape(shape).astype(dtype)


EXAMPLES = [
    *(Example("random_bits", (KEY,), bits(dtype, 3)) for dtype in ("u1", "u2", "u4", "u8", "f2", "f4", "f8")),
    Example("random_bits", (KEY,), bits("f8")),
    Example("random_bits", (KEY,), bits("u4", 0, 2)),
    Example("random_bits", (KEY,), bits("f4", 5, 7)),
    Example("random_bits", (KEYS,), bits("u8", 2)),
    Example("random_bits", (KEYS,), bits("f8", 30)),
    Example("fold_in", (KEY, np.uint32(5))),
    Example("fold_in", (KEY, np.arange(4, dtype="u4"))),
    Example("fold_in", (KEY, np.arange(20, dtype="u4"))),
    Example("fold_in", (KEYS, np.uint32(5))),
    Example("fold_in", (KEYS, np.arange(2, dtype="u4"))),
    Example("fold_in", (KEYS[0], np.arange(6, dtype="u4").reshape(3, 2))),
    # The derivative is that of the quantile, which a draw by rejection does not follow: see tests/test_random.py.
    Example("log_gamma_variate", (KEY, np.array(1.5)), smooth=False),
    *(Example("log_gamma_variate", (KEY, shape_parameters(5, dtype=d)), smooth=False) for d in ("f2", "f4", "f8")),
    Example("log_gamma_variate", (KEYS[0], shape_parameters(2, 3)), smooth=False),
    Example("log_gamma_variate", (KEY, shape_parameters(0)), smooth=False),
]
