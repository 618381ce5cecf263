"""Numbers of the host as operands: a kernel that is called with them puts them where the other kernels look."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from .launches import NAME, Launch, Pointer

#: Bytes of a part of a number.
WORD: Final = 8
_WORD: Final = struct.Struct("<q")
#: Quicker ways from Python's numbers to bits.
_PACKERS: Final = {"d": struct.Struct("<d").pack, "l": _WORD.pack}
#: How many parts one launch puts into their places.
MOST: Final = 64


def words_of(dtype: np.dtype[Any]) -> int:
    """How many parts a number of a dtype has."""
    return -(-dtype.itemsize // WORD)


def bits_of(x: Any, dtype: np.dtype[Any]) -> list[int]:
    """The parts of a number."""
    pack = _PACKERS.get(dtype.char)
    if pack is not None and type(x) in (float, int, bool):
        return [_WORD.unpack(pack(x))[0]]
    data = np.asarray(x, dtype).tobytes()
    return [_WORD.unpack(data[k : k + WORD].ljust(WORD, b"\0"))[0] for k in range(0, len(data), WORD)]


def placing(places: Sequence[tuple[int, int]], first: int) -> list[Launch]:
    """The launches that put parts of numbers into their places.

    Args:
        places: slot and offset of the place of each part.
        first: the slot with the first part; those of the others come after it.
    """
    pairs = [(Pointer(slot, offset), Pointer(first + k, 0)) for k, (slot, offset) in enumerate(places)]
    return [_launch(pairs[k : k + MOST]) for k in range(0, len(pairs), MOST)]


def _launch(pairs: Sequence[tuple[Pointer, Pointer]]) -> Launch:
    parameters = ", ".join(f"uint64 *const to{k}, const uint64 bits{k}" for k in range(len(pairs)))
    body = " ".join(f"*to{k} = bits{k};" for k in range(len(pairs)))
    source = f"KERNEL __launch_bounds__(1) {NAME}({parameters}) {{\n  {body}\n}}"
    arguments = tuple(pointer for pair in pairs for pointer in pair)
    return Launch(source, (1, 1, 1), (1, 1, 1), 0, arguments, "numbers of the host")
