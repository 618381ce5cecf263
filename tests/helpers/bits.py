"""Whether arrays are the same bit for bit, and arrays of the values that arithmetic treats specially."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np


def special_values(dtype: Any) -> np.ndarray[Any, Any]:
    """NaN, infinities, zeros of either sign, subnormals, the largest and smallest numbers, and ordinary ones."""
    dtype = np.dtype(dtype)
    if dtype.kind == "b":
        return np.array([False, True])
    if dtype.kind in "iu":
        info = np.iinfo(dtype)
        return np.array([info.min, info.max, 0, 1, 2, 3, 7, *([-1, -2] if info.min else [])], dtype)
    if dtype.kind == "c":
        parts = special_values(np.dtype(f"f{dtype.itemsize // 2}"))
        z = np.empty((len(parts), len(parts)), dtype)
        z.real, z.imag = parts, parts[:, None]
        return z.ravel()
    info = np.finfo(dtype)
    tiny = [info.smallest_subnormal, info.tiny, info.tiny * dtype.type(0.75)]
    ordinary = [0.5, 1.0, 1.5, 2.0, 3.0, 0.1, 1.0 + float(info.eps)]
    positive = np.array([0.0, np.inf, info.max, *tiny, *ordinary], dtype)
    return np.concatenate([positive, -positive, np.array([np.nan], dtype)])


def special_array(random: np.random.Generator, shape: tuple[int, ...], dtype: Any) -> np.ndarray[Any, Any]:
    """An array of such values."""
    return random.choice(special_values(dtype), shape)


def assert_same_bits(found: Sequence[Any], wanted: Sequence[Any], signs_of_zeros: bool = True) -> None:
    """Raise AssertionError unless all arrays agree in dtype, shape and bits; one NaN is as good as another."""
    assert len(found) == len(wanted)
    for y, z in zip(map(np.asarray, found), map(np.asarray, wanted)):
        assert (y.dtype, y.shape) == (z.dtype, z.shape), (y.dtype, y.shape, z.dtype, z.shape)
        for a, b in zip(_parts(y), _parts(z)):
            np.testing.assert_array_equal(a, b)
            if signs_of_zeros and a.dtype.kind == "f":
                is_zero = a == 0
                np.testing.assert_array_equal(np.signbit(a)[is_zero], np.signbit(b)[is_zero], "signs of zeros")


def ulps(found: Any, wanted: Any) -> Any:
    """The error in units of the last place of the exact result, which is given in higher precision."""
    found = np.asarray(found)
    with np.errstate(all="ignore"):
        rounded = np.asarray(wanted).astype(found.dtype)
        same = (found == rounded) | (np.isnan(found) & np.isnan(rounded))
        error = np.abs(found.astype(np.longdouble) - wanted) / np.spacing(np.abs(rounded)).astype(np.longdouble)
    return np.where(same, 0, error)


def _parts(y: np.ndarray[Any, Any]) -> list[np.ndarray[Any, Any]]:
    return [y.real, y.imag] if y.dtype.kind == "c" else [y]
