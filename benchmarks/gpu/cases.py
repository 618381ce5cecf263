"""What the cases of gpu_check.py are, and how results are compared."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

import functrans as ft
from functrans.core.avals import is_inexact
from functrans.core.dtypes import finfo, is_bfloat16

#: Errors allowed, relative to the largest element, by the bytes of a real number.
TOLERANCE = {2: 1e-2, 4: 2e-4, 8: 1e-9}
#: A name, and what raises an error unless all is well.
Case = tuple[str, Callable[[], None]]


class Sizes(NamedTuple):
    """How much work there is.

    Attributes:
        examples: random programs of each kind.
        steps: of loops of kernels.
        busy, long: the sides of matrices that keep a GPU busy for a moment, and for long.
        large: how many elements are many.
    """

    examples: int = 60
    steps: int = 50
    busy: int = 500
    long: int = 4000
    large: int = 10**6


class Scope(NamedTuple):
    """How much work there is, and until when there is time for it."""

    sizes: Sizes = Sizes()
    end: float = float("inf")

    def left(self) -> float:
        """The seconds that are left."""
        return self.end - time.perf_counter()


class Skip(Exception):
    """A case cannot be run here; the text says why."""


def up(tree: Any) -> Any:
    """A copy on the GPU."""
    return ft.device_put(tree, "cuda")


def same(found: Any, wanted: Any, tolerance: float = 0.0) -> None:
    """Raise AssertionError unless results on the GPU are those of the host, up to what is usual or a tolerance."""
    for f, w in zip(ft.tree.leaves(ft.device_get(found)), ft.tree.leaves(wanted), strict=True):
        f, w = np.asarray(f), np.asarray(w)
        if w.dtype == ft.float0:
            continue
        assert (f.shape, f.dtype) == (w.shape, w.dtype), f"{f.dtype}{f.shape} in place of {w.dtype}{w.shape}"
        if not is_inexact(w.dtype):
            np.testing.assert_array_equal(f, w)
            continue
        allowed = max(tolerance, TOLERANCE[w.real.dtype.itemsize], 2 * float(finfo(w.dtype).eps))
        f, w = (v.astype(np.float32) if is_bfloat16(v.dtype) else v for v in (f, w))
        finite = w[np.isfinite(w)]
        largest = float(np.max(np.abs(finite), initial=1e-3))
        np.testing.assert_allclose(f, w, rtol=allowed, atol=allowed * largest, equal_nan=True)
