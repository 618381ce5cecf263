"""Keys: from seeds, and from other keys."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from ..core.devices import beside
from ..core.trace import typeof
from ..errors import InvalidKeyError, RandomParameterError
from ..primitives.random import UINT32, check_key
from ..primitives.random import fold_in as derive_key
from .arguments import INTEGERS, Shape, checked_key, checked_shape


def key(seed: Any) -> Any:
    """The key of a seed: a uint32 array of shape (2,) with its high and its low half.

    Args:
        seed: a Python integer of up to 64 bits, or an integer scalar, which may be traced.

    Raises:
        InvalidKeyError: the seed is not one integer.
        RandomParameterError: it needs more than 64 bits.

    Example:
        >>> from functrans import random
        >>> random.key(42)
        array([ 0, 42], dtype=uint32)
    """
    aval = typeof(seed)
    if aval.shape or aval.dtype not in INTEGERS:
        raise InvalidKeyError(
            f"A value of type {aval} was given as the seed of a random key.",
            "A seed is one integer.",
            "Pass an integer, or make an array of keys with `vmap(random.key)(seeds)`.",
        )
    if isinstance(seed, int):
        if not -(2**63) <= seed < 2**64:
            raise RandomParameterError(
                f"The seed {seed} needs more than 64 bits.",
                "A key holds 64 bits.",
                "Take a smaller seed, and mix the rest in with `random.fold_in`.",
            )
        return np.array([seed >> 32 & 0xFFFFFFFF, seed & 0xFFFFFFFF], UINT32)
    high = np.right_shift(seed, 32) if aval.dtype.itemsize == 8 else np.zeros_like(seed)
    return np.stack([high.astype(UINT32), seed.astype(UINT32)])


def PRNGKey(seed: Any) -> Any:  # JAX's name
    """The same as `key`."""
    return key(seed)


def key_data(keys: Any) -> Any:
    """The numbers that keys are made of: the keys themselves, which are arrays of numbers here."""
    return keys


def wrap_key_data(key_bits_array: Any, *, impl: str | None = None) -> Any:
    """Keys made of numbers: an array of type uint32 and of shape (..., 2).

    Raises:
        InvalidKeyError: it is none. RandomParameterError: another generator than threefry2x32 is asked for.

    Example:
        >>> import numpy as np
        >>> from functrans import random
        >>> random.wrap_key_data(np.array([0, 7], np.uint32))
        array([0, 7], dtype=uint32)
    """
    if impl not in (None, "threefry2x32"):
        raise RandomParameterError(
            f"Keys of the generator {impl!r} were asked for.", "functrans has one.", 'Pass "threefry2x32".'
        )
    check_key(typeof(key_bits_array))
    return key_bits_array


def clone(key: Any) -> Any:
    """The same key."""
    return key


def split(key: Any, num: Shape = 2) -> Any:
    """New keys derived from a key: an array of shape (num, 2), or (*num, 2) for a tuple.

    Example:
        >>> from functrans import random
        >>> key, subkey = random.split(random.key(0))
        >>> random.split(key, 5).shape
        (5, 2)
    """
    shape = checked_shape(num)
    counters = beside(key, np.arange(prod(shape), dtype=UINT32))
    return derive_key(checked_key(key), counters if len(shape) == 1 else counters.reshape(shape))


def fold_in(key: Any, data: Any) -> Any:
    """A new key derived from a key and an integer: of a step, a layer, a worker.

    Args:
        data: a Python integer of 32 bits, or an integer scalar, traced or not, of which the low 32 bits count.

    Raises:
        RandomParameterError: a Python integer is negative or needs more than 32 bits.

    Example:
        >>> from functrans import random
        >>> random.fold_in(random.key(0), 7).shape
        (2,)
    """
    aval = typeof(data)
    if aval.shape or aval.dtype not in INTEGERS:
        raise RandomParameterError(
            f"A value of type {aval} was to be folded into a random key.",
            "What is folded in is one integer.",
            "Pass an integer, or derive many keys with `vmap(random.fold_in, in_axes=(None, 0))(key, numbers)`.",
        )
    if isinstance(data, int) and not 0 <= data < 2**32:
        raise RandomParameterError(
            f"{data} was to be folded into a random key.",
            "What is folded in has 32 bits and no sign.",
            "Fold in one part after the other: `fold_in(fold_in(key, n >> 32), n % 2**32)`.",
        )
    return derive_key(checked_key(key), np.uint32(data) if isinstance(data, int) else data.astype(UINT32))
