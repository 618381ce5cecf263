"""Sorting and Fourier transforms: what the functions of NumPy are given for the instructions of compiler/rows.py."""

from __future__ import annotations

from math import isqrt, prod
from typing import Any

import numpy as np

from ....core.avals import INT
from ....primitives.numpy_functions import fourier_function, sort_function
from ...instructions import FourierRun, SortRun
from .runtime import HEADER
from .runtime.rows import BOOL, FLOAT32, FLOAT64, INT32, INT64, UINT32, UINT64

#: What NumPy sorts with vector instructions, if it need not keep equal elements in order: several times as fast.
UNSTABLE = {"i8": INT64, "i4": INT32, "u8": UINT64, "u4": UINT32, "f8": FLOAT64, "f4": FLOAT32}
#: Part of an order is looked for in rows of so many elements, if one of so many is likely to be sorted for it.
LONG_ROW, ONE_OF = 512, 6

#: Lanes that are transformed together, at least, where threads share them: NumPy puts so many into one register.
LANES = 8


def has_library(name: str) -> bool:
    """Whether there are functions for linear algebra ("lapack"), for sorting or for Fourier transforms ("fft")."""
    if name == "sort":
        return bool(sort_function(INT, "sort") and sort_function(INT, "argsort"))
    return name == "lapack" or bool(fourier_function("fft", False, np.dtype(np.complex128))[0])


def sort_arguments(run: SortRun) -> list[int]:
    """The arguments of `run_sort`."""
    rows, order, part = run
    _, count = rows.shape
    place = [HEADER + rows.slot, rows.offset, count * rows.dtype.itemsize, count]
    if order is None:
        return [sort_function(rows.dtype, "sort"), *place, 0, 0]
    kind = BOOL if rows.dtype.kind == "b" else UNSTABLE.get(rows.dtype.str[1:], 0)
    function = sort_function(rows.dtype, "argsort" if kind else "stable argsort")
    sorts = sort_function(INT, "sort"), sort_function(rows.dtype, "sort")
    samples = sampling(count, *part) if kind not in (0, BOOL) else (0, 0, 0)
    return [function, *place, HEADER + order.slot, order.offset, kind, *sorts, *part, *samples]


def sampling(count: int, first: int, last: int) -> tuple[int, int, int]:
    """How part of the order of a row is found: the number of samples, and the two between which it is likely to lie.

    That is three standard deviations of where the samples' places are in the row, and some more, so that it holds at
    the ends of rows as well. -1 and the number of samples are beyond all; there are none if it is better to sort.
    """
    samples = int(count ** (2 / 3))
    low = first * samples // count - _margin(samples, first, count)
    high = -(-last * samples // count) + _margin(samples, last, count)
    low, high = max(low, -1), min(high, samples)
    return (samples, low, high) if count >= LONG_ROW and ONE_OF * (high - low) <= samples else (0, 0, 0)


def _margin(samples: int, place: int, count: int) -> int:
    return 4 + isqrt(9 * samples * place * (count - place) // count**2)


def sort_work(run: SortRun) -> int:
    """About how many nanoseconds it takes."""
    count = run.rows.shape[1]
    if run.rows.dtype.kind == "b" or (run.order is not None and sampling(count, *run.part)[0]):
        return 2 * prod(run.rows.shape)
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
