"""BLAS, by the addresses that SciPy gives of its functions."""

from __future__ import annotations

import numpy as np

from ....primitives.late_scipy import blas
from ...instructions import ProductRun, is_row_major
from .runtime import HEADER


def gemm_arguments(run: ProductRun) -> list[int]:
    """The arguments of `run_gemm`.

    BLAS counts columns first: to it, what we have are transposed matrices, and z' = y' x'.
    """
    a, b, c = run.y, run.x, run.z
    dtype = c.dtype
    places = [n for p in (a, b, c) for n in (HEADER + p.slot, p.offset, p.strides[0])]
    batch, rows, columns = c.shape
    one, zero = (map(int, _bits(number, dtype)) for number in (1, 0))
    transposed = [ord("N") if is_row_major(p) else ord("T") for p in (a, b)]
    leading = [max(p.strides[1:]) // dtype.itemsize for p in (a, b)]
    return [
        blas({"f": "s", "d": "d", "F": "c", "D": "z"}[dtype.char] + "gemm"), *places, batch,
        *transposed, columns, rows, a.shape[1], *one, *leading, *zero, columns,
    ]  # fmt: skip


def _bits(number: float, dtype: np.dtype[np.generic]) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """A number, and nothing after it, as two 64-bit integers."""
    room = np.zeros(16 // dtype.itemsize, dtype)
    room[0] = number
    return room.view(np.int64)
