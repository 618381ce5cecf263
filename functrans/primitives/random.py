"""Counter-based random numbers: the threefry2x32 generator and the primitives that draw from it.

A key and a counter, two 32-bit words each, are hashed to two random words, so that any element of any array of random
numbers can be computed on its own. The hash is Threefry-2x32 with 20 rounds (J. Salmon, M. Moraes, R. Dror and
D. Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011). What counts as a counter, and how words become
numbers, is as in JAX: element i of an array is drawn from the counter i, high word first.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any, Final

import numpy as np

from ..core.avals import ShapedArray
from ..core.dtypes import is_bfloat16, kind_of
from ..core.primitive import Primitive
from ..core.trace import typeof
from ..errors import DtypeMismatchError, InvalidKeyError
from .foundation import broadcast_shapes, pad_rank

UINT32: Final = np.dtype(np.uint32)
UINT64: Final = np.dtype(np.uint64)
MASK: Final = 0xFFFFFFFF
#: Mixed into the third word of the key schedule, so that a key of zeros is no special case.
PARITY: Final = 0x1BD11BDA
ROTATIONS: Final = ((13, 15, 26, 6), (17, 29, 16, 24))
ROTATION_SHIFTS: Final = tuple(tuple((np.uint32(r), np.uint32(32 - r)) for r in group) for group in ROTATIONS)
#: Blocks hashed at a time: the arrays stay in the second-level cache. A power of two, so that no chunk straddles a
#: multiple of 2**32 and the high word of the counter is constant in it.
CHUNK: Final = 1 << 16
#: Up to here hashing block by block in Python (6 us each) is faster than 112 calls of ufuncs.
FEW: Final = 12
#: How many random bits go into a float: those of its mantissa (`mantissa_of` knows bfloat16 too).
MANTISSA: Final = {np.dtype(np.float16): 10, np.dtype(np.float32): 23, np.dtype(np.float64): 52}
#: The bits of 1.0: with random bits below its exponent, a float uniform in [1, 2).
ONE_BITS: Final = {dtype: np.ones((), dtype).view(f"u{dtype.itemsize}")[()] for dtype in MANTISSA}


def threefry2x32_words(k0: int, k1: int, x0: int, x1: int) -> tuple[int, int]:
    """The hash of the counter (x0, x1) under the key (k0, k1), as Python integers."""
    schedule = (k0, k1, k0 ^ k1 ^ PARITY)
    x0, x1 = x0 + k0 & MASK, x1 + k1 & MASK
    for group in range(5):
        for rotation in ROTATIONS[group % 2]:
            x0 = x0 + x1 & MASK
            x1 = (x1 << rotation & MASK | x1 >> 32 - rotation) ^ x0
        x0 = x0 + schedule[(group + 1) % 3] & MASK
        x1 = x1 + schedule[(group + 2) % 3] + group + 1 & MASK
    return x0, x1


def threefry2x32_in_place(k0: Any, k1: Any, x0: Any, x1: Any) -> None:
    """Replace the counters (x0, x1), uint32 arrays of one shape, by their hashes under keys that broadcast to it."""
    schedule = (k0, k1, k0 ^ k1 ^ np.uint32(PARITY))
    rotated = np.empty_like(x1)
    x0 += k0
    x1 += k1
    for group in range(5):
        for left, right in ROTATION_SHIFTS[group % 2]:
            x0 += x1
            np.right_shift(x1, right, out=rotated)
            x1 <<= left
            x1 |= rotated
            x1 ^= x0
        x0 += schedule[(group + 1) % 3]
        x1 += schedule[(group + 2) % 3]
        x1 += np.uint32(group + 1)


def mantissa_of(dtype: np.dtype[Any]) -> int | None:
    """How many random bits go into a float; None for other dtypes."""
    return 7 if is_bfloat16(dtype) else MANTISSA.get(dtype)


def width_of(dtype: np.dtype[Any]) -> int:
    """How many bits are drawn for a number: as many as it is long, but for bfloat16 the eight that suffice."""
    return 8 if is_bfloat16(dtype) else 8 * dtype.itemsize


def random_number(x0: int, x1: int, dtype: np.dtype[Any]) -> int | float:
    """Hashed words as one element: random bits of an unsigned dtype, or a float uniform in [0, 1)."""
    width = width_of(dtype)
    bits = x0 << 32 | x1 if width == 64 else (x0 ^ x1) & (1 << width) - 1
    mantissa = mantissa_of(dtype)
    return bits if mantissa is None else (bits >> width - mantissa) * 2.0**-mantissa


def store_random(x0: Any, x1: Any, out: Any) -> None:
    """Write hashed words to `out`, as `random_number` does for one element."""
    if is_bfloat16(out.dtype):
        out[...] = np.right_shift(np.bitwise_xor(x0, x1) & np.uint32(0xFF), np.uint32(1)).astype(np.float32) / 128
        return
    width = 8 * out.itemsize
    bits = out.view(f"u{out.itemsize}")
    if width == 64:
        bits[...] = x0
        bits <<= np.uint64(32)
        bits |= x1
    else:
        np.bitwise_xor(x0, x1, out=bits, casting="unsafe")
    mantissa = MANTISSA.get(out.dtype)
    if mantissa is not None:
        bits >>= bits.dtype.type(width - mantissa)
        bits |= ONE_BITS[out.dtype]
        out -= out.dtype.type(1)


def check_key(key: ShapedArray) -> None:
    """Raise InvalidKeyError unless this is the type of a key or of an array of keys."""
    if key.dtype == UINT32 and key.shape[-1:] == (2,):
        return
    raise InvalidKeyError(
        f"An array of type {key} was given as a random key.",
        "A key is a uint32 array of shape (2,), and a batch of keys one of shape (..., 2).",
        "Make a key from a seed with `random.key(seed)`, and more keys from a key with `random.split(key)`.",
    )


class RandomBits(Primitive):
    """Independent random elements for each key: all values of an unsigned dtype, or floats uniform in [0, 1).

    `key` has shape (*batch, 2), the result (*batch, *shape).
    """

    is_left_to_programs = True
    never_fails = True

    def abstract_eval(self, key: ShapedArray, *, shape: tuple[int, ...], dtype: np.dtype[Any]) -> list[ShapedArray]:
        check_key(key)
        if kind_of(dtype) not in "uf" or dtype.itemsize > 8:
            raise DtypeMismatchError(
                f"Random bits of dtype {dtype} were asked for.",
                "They are drawn as uint8, uint16, uint32, uint64, float16, bfloat16, float32 or float64.",
                "Draw one of these and convert it with `.astype(...)`.",
            )
        return [ShapedArray(key.shape[:-1] + shape, dtype)]

    def impl(self, key: Any, *, shape: tuple[int, ...], dtype: np.dtype[Any]) -> list[Any]:
        shape = key.shape[:-1] + shape
        keys, size = key.reshape(-1, 2), prod(shape[key.ndim - 1 :])
        if len(keys) * size <= FEW and type(key) is np.ndarray:
            counters = range(size)
            draws = [random_number(*threefry2x32_words(*k, 0, i), dtype) for k in keys.tolist() for i in counters]
            return [np.array(draws, dtype).reshape(shape) if shape else dtype.type(draws[0])]
        out = np.empty_like(key, dtype=dtype, shape=(len(keys), size))
        self._fill(out, keys)
        return [out.reshape(shape)]

    def _fill(self, out: Any, keys: Any) -> None:
        """Fill row i of `out` with what is drawn from keys[i], a chunk at a time."""
        columns = max(1, min(out.shape[1], CHUNK))
        rows = CHUNK // columns
        for row in range(0, out.shape[0], rows):
            k0, k1 = keys[row : row + rows, :1], keys[row : row + rows, 1:]
            for start in range(0, out.shape[1], columns):
                part = out[row : row + rows, start : start + columns]
                x0 = np.full_like(part, start >> 32, dtype=np.uint32)
                x1 = np.empty_like(x0)
                x1[...] = np.arange(start & MASK, (start & MASK) + part.shape[1], dtype=np.uint32, like=keys)
                threefry2x32_in_place(k0, k1, x0, x1)
                store_random(x0, x1, part)

    def batch(
        self, size: int, values: Sequence[Any], mapped: Sequence[bool], **params: Any
    ) -> tuple[Sequence[Any], Sequence[bool]]:
        return [self(values[0], **params)], [True]

    def lower(self, result: Any, key: Any, *, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Any:
        unsigned = np.dtype(f"u{width_of(dtype) // 8}")

        def element(index: Any) -> Any:
            batch = index[: len(index) - len(shape)]
            counter = result.position(result.flat(index[len(batch) :], shape), UINT64)
            drawn = _lowered_hash(result, key, batch, counter, prod(shape) > 1 << 32)
            if dtype.itemsize < 8:
                drawn = result.apply("bitwise_xor", drawn, _high_word(result, drawn), computes_in=UINT32, gives=UINT32)
            is_float = kind_of(dtype) == "f"
            return result.apply("unit_float", drawn, computes_in=unsigned) if is_float else result.cast(drawn)

        return element


class FoldIn(Primitive):
    """Keys derived from keys and 32-bit numbers: the hash of the number under the key.

    `key` has shape (*batch, 2), `data` is a uint32 array that broadcasts against the batch.
    """

    is_left_to_programs = True
    never_fails = True

    def abstract_eval(self, key: ShapedArray, data: ShapedArray) -> list[ShapedArray]:
        check_key(key)
        if data.dtype != UINT32:
            raise DtypeMismatchError(
                f"Data of type {data} was to be folded into a key.",
                "What is folded into a key is a uint32.",
                "Convert it with `.astype('uint32')`.",
            )
        return [ShapedArray((*broadcast_shapes(key.shape[:-1], data.shape), 2), UINT32)]

    def impl(self, key: Any, data: Any) -> list[Any]:
        shape = broadcast_shapes(key.shape[:-1], data.shape)
        blocks = np.zeros_like(key, shape=(4, *shape))  # two words of the key, two of the counter
        blocks[0], blocks[1], blocks[3] = key[..., 0], key[..., 1], data
        blocks = blocks.reshape(4, -1)
        if blocks.shape[1] <= FEW and type(key) is np.ndarray:
            words = [threefry2x32_words(*block) for block in blocks.T.tolist()]
            return [np.array(words, UINT32).reshape(*shape, 2)]
        for start in range(0, blocks.shape[1], CHUNK):
            threefry2x32_in_place(*blocks[:, start : start + CHUNK])
        return [blocks[2:].T.reshape(*shape, 2)]

    def batch(self, size: int, values: Sequence[Any], mapped: Sequence[bool]) -> tuple[Sequence[Any], Sequence[bool]]:
        key, data = values
        ndim = max(typeof(key).ndim - mapped[0] - 1, typeof(data).ndim - mapped[1])
        key = pad_rank(key, ndim + 1) if mapped[0] else key
        data = pad_rank(data, ndim) if mapped[1] else data
        return [self(key, data)], [True]

    def lower(self, result: Any, key: Any, data: Any) -> Any:
        def element(index: Any) -> Any:
            *batch, word = index
            own = batch[len(batch) - len(key.aval.shape) + 1 :]
            own = [result.fixed(0) if extent == 1 else i for i, extent in zip(own, key.aval.shape)]
            hashed = _lowered_hash(result, key, own, data.broadcast(tuple(batch)), False)
            shift = result.position(word.times(-32).plus(32), UINT64)
            return result.cast(result.apply("right_shift", hashed, shift, computes_in=UINT64, gives=UINT64))

        return element


def _lowered_hash(result: Any, key: Any, batch: Sequence[Any], counter: Any, is_wide: bool) -> Any:
    """The hash of a counter in kernels, as a 64-bit number.

    Args:
        is_wide: whether counters have more than 32 bits.
    """
    words = [key.at((*batch, result.fixed(i))) for i in range(2)]
    high = _high_word(result, counter) if is_wide else result.constant(0)
    return result.apply("threefry2x32", *words, high, counter, computes_in=UINT32, gives=UINT64)


def _high_word(result: Any, number: Any) -> Any:
    return result.apply("right_shift", number, result.constant(32), computes_in=UINT64, gives=UINT64)


random_bits = RandomBits("random_bits")
fold_in = FoldIn("fold_in")
