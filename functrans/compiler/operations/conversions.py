"""Casts, as the compilers of C do them on x86: so does NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...core.dtypes import is_bfloat16
from .values import BOOL, DOUBLE, HALF, SINGLE, Value, bits, fabs, from_bits, is_nan, where

LONG, WORD, SHORT = (np.dtype(t) for t in (np.int64, np.uint32, np.uint16))


def convert(x: Value, dtype: np.dtype[Any]) -> Value:
    """A real number in another dtype."""
    have = x.dtype
    if have == dtype:
        return x
    if is_bfloat16(have):
        return convert(_from_bfloat16(x), dtype)
    if is_bfloat16(dtype):
        return _to_bfloat16(convert(x, SINGLE), dtype)
    if dtype == BOOL:
        return x != 0
    if have.kind == "f":
        return _from_float(x, dtype)
    if dtype == HALF:  # of integers and booleans
        return convert(convert(x, SINGLE), HALF)
    if dtype.kind == "f":
        return _cast(x, dtype)
    if have != BOOL and have.itemsize == dtype.itemsize:
        return x.operation("reinterpret", dtype=dtype)
    return _cast(x, dtype)


def _cast(x: Value, dtype: np.dtype[Any]) -> Value:
    return x.operation("convert", dtype=dtype)


def _from_float(x: Value, dtype: np.dtype[Any]) -> Value:
    if dtype.kind == "f":
        if dtype == HALF and x.dtype == DOUBLE:
            return _cast(_rounded_to_odd(x), HALF)
        return _cast(x, dtype)
    if x.dtype == HALF:
        x = convert(x, SINGLE)
    if dtype.itemsize < 4:
        return convert(_truncated(x, np.dtype(np.int32)), dtype)
    if dtype.kind == "i":
        return _truncated(x, dtype)
    if dtype.itemsize == 4:
        return convert(_truncated(x, LONG), dtype)
    is_large = x >= 2.0**63
    low = convert(_truncated(where(is_large, x - 2.0**63, x), LONG), dtype)
    return low ^ where(is_large, low.like(2**63), 0)


def _truncated(x: Value, dtype: np.dtype[Any]) -> Value:
    """A signed integer without the fraction; the least one for what has none, NaN too."""
    limit = 2.0 ** (8 * dtype.itemsize - 1)
    return _cast(where(fabs(x) < limit, x, -limit), dtype)


def _rounded_to_odd(x: Value) -> Value:
    """In single precision, the neighbour with an odd last bit of what is between: rounding again is then right.

    Boldo and Melquiond, "Emulation of FMA and correctly rounded sums" (2008).
    """
    near = convert(x, SINGLE)
    back = convert(near, DOUBLE)
    towards_zero = where(fabs(back) > fabs(x), bits(near) - 1, bits(near))
    is_exact = (back == x) | is_nan(x)
    return where(is_exact, near, from_bits(towards_zero | 1))


def _from_bfloat16(x: Value) -> Value:
    """In single precision, of which bfloat16 is the upper half."""
    wide = convert(x.operation("reinterpret", dtype=SHORT), WORD) << 16
    return wide.operation("reinterpret", dtype=SINGLE)


def _to_bfloat16(x: Value, dtype: np.dtype[Any]) -> Value:
    """Of single precision the upper half, rounded to even; a NaN keeps its sign and nothing else."""
    number = x.operation("reinterpret", dtype=WORD)
    rounded = (number + 0x7FFF + ((number >> 16) & 1)) >> 16
    nan = ((number >> 16) & 0x8000) | 0x7FC0
    return convert(where(is_nan(x), nan, rounded), SHORT).operation("reinterpret", dtype=dtype)
