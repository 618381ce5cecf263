"""Sorting and Fourier transforms: what the functions of NumPy are given for the instructions of compiler/rows.py."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from ....core.avals import INT
from ....primitives.numpy_functions import fourier_function, sort_function
from ...instructions import FourierRun, SortRun
from .runtime import HEADER

#: Lanes that are transformed together, at least, where threads share them: NumPy puts so many into one register.
LANES = 8


def has_library(name: str) -> bool:
    """Whether there are functions for linear algebra ("lapack"), for sorting or for Fourier transforms ("fft")."""
    if name == "sort":
        return bool(sort_function(INT, False) and sort_function(INT, True))
    return name == "lapack" or bool(fourier_function("fft", False, np.dtype(np.complex128))[0])


def sort_arguments(run: SortRun) -> list[int]:
    """The arguments of `run_sort`."""
    rows, order = run
    _, count = rows.shape
    where = [0, 0] if order is None else [HEADER + order.slot, order.offset]
    function = sort_function(rows.dtype, order is not None)
    return [function, HEADER + rows.slot, rows.offset, count * rows.dtype.itemsize, count, *where]


def sort_work(run: SortRun) -> int:
    """About how many nanoseconds it takes."""
    count = run.rows.shape[1]
    return prod(run.rows.shape) * count.bit_length() * (2 if run.order is None else 4)


def fourier_arguments(run: FourierRun, factor: int) -> list[int]:
    """The arguments of `run_fourier`.

    Args:
        factor: the address of the factor.
    """
    x, y = run.source, run.target
    outer, inner, points = x.shape
    length = y.shape[2] if run.kind == "irfft" else points
    function, data = fourier_function(run.kind, bool(length % 2), x.dtype)
    places = [n for place in (x, y) for n in (HEADER + place.slot, place.offset, *place.strides)]
    return [function, data, factor, outer, inner, int(outer > 1), *places, points, y.shape[2]]


def fourier_range(run: FourierRun) -> tuple[int, int, int]:
    """What threads share, how many of it at least, and about how many nanoseconds all takes."""
    outer, inner, points = run.source.shape
    points = max(points, run.target.shape[2])
    work = outer * inner * points * points.bit_length()
    return (outer, 1, work) if outer > 1 else (inner, LANES, work)


def factor_bits(run: FourierRun) -> list[Any]:
    """The factor, and nothing after it, as one 64-bit integer."""
    room = np.zeros(8 // run.factor.dtype.itemsize, run.factor.dtype)
    room[0] = run.factor
    return room.view(np.int64).tolist()
