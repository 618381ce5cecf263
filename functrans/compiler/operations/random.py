"""The hash that random numbers come from, and floats from its bits (primitives/random.py says what they are)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from .conversions import convert
from .values import HALF, SINGLE, Value, from_bits

UINT64: Final = np.dtype(np.uint64)
ROTATIONS: Final = ((13, 15, 26, 6), (17, 29, 16, 24))
PARITY: Final = 0x1BD11BDA
#: Bits of the mantissa, and those of 1.0, by the size of a float.
FLOATS: Final = {2: (10, 0x3C00), 4: (23, 0x3F800000), 8: (52, 0x3FF0000000000000)}


def threefry2x32(k0: Value, k1: Value, x0: Value, x1: Value) -> Value:
    """The hash of two words under a key of two: one number, whose high half is the first word."""
    schedule = (k0, k1, k0 ^ k1 ^ PARITY)
    x0, x1 = x0 + k0, x1 + k1
    for group in range(5):
        for rotation in ROTATIONS[group % 2]:
            x0 = x0 + x1
            x1 = ((x1 << rotation) | (x1 >> 32 - rotation)) ^ x0
        x0 = x0 + schedule[(group + 1) % 3]
        x1 = x1 + schedule[(group + 2) % 3] + (group + 1)
    return (convert(x0, UINT64) << 32) | convert(x1, UINT64)


def unit_float(random_bits: Value) -> Value:
    """A float in [0, 1) of random bits, as many as it is long; eight are for bfloat16."""
    size = random_bits.dtype.itemsize
    if size == 1:
        return convert(random_bits >> 1, SINGLE) * 2.0**-7
    mantissa, one = FLOATS[size]
    number = from_bits((random_bits >> 8 * size - mantissa) | one)
    return (convert(number, SINGLE) if number.dtype == HALF else number) - 1.0


RANDOM: Final[dict[str, Callable[..., Value]]] = {"threefry2x32": threefry2x32, "unit_float": unit_float}
