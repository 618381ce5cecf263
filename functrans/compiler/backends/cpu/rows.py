"""Sorting and Fourier transforms: what the functions of NumPy are given for the instructions of compiler/rows.py."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from ....core.avals import INT
from ....primitives.numpy_functions import fourier_function, sort_function
from ...instructions import FourierRun, SortRun
from .runtime import HEADER
from .runtime.rows import FLOAT32, FLOAT64, INT32, INT64, UINT32, UINT64

#: What NumPy sorts with vector instructions, if it need not keep equal elements in order: several times as fast.
UNSTABLE = {"i8": INT64, "i4": INT32, "u8": UINT64, "u4": UINT32, "f8": FLOAT64, "f4": FLOAT32}

#: Lanes that are transformed together, at least, where threads share them: NumPy puts so many into one register.
LANES = 8


def has_library(name: str) -> bool:
    """Whether there are functions for linear algebra ("lapack"), for sorting or for Fourier transforms ("fft")."""
    if name == "sort":
        return bool(sort_function(INT, "sort") and sort_function(INT, "argsort"))
    return name == "lapack" or bool(fourier_function("fft", False, np.dtype(np.complex128))[0])


def sort_arguments(run: SortRun) -> list[int]:
    """The arguments of `run_sort`."""
    rows, order = run
    _, count = rows.shape
    place = [HEADER + rows.slot, rows.offset, count * rows.dtype.itemsize, count]
    if order is None:
        return [sort_function(rows.dtype, "sort"), *place, 0, 0, 0, 0]
    kind = UNSTABLE.get(rows.dtype.str[1:], 0)
    function = sort_function(rows.dtype, "argsort" if kind else "stable argsort")
    return [function, *place, HEADER + order.slot, order.offset, kind, sort_function(INT, "sort")]


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
