"""Attention: means of values, weighted by how well keys answer queries."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core.devices import beside
from ..core.trace import typeof
from ..errors import ShapeMismatchError, UnsupportedArgumentError
from ..numpy.common import as_operand
from .functions import softmax


def dot_product_attention(
    query: Any,
    key: Any,
    value: Any,
    bias: Any = None,
    mask: Any = None,
    *,
    scale: float | None = None,
    is_causal: bool = False,
    query_seq_lengths: Any = None,
    key_value_seq_lengths: Any = None,
    local_window_size: int | tuple[int, int] | None = None,
    implementation: str | None = None,
) -> Any:
    """softmax(scale * query key^T + bias) value, for each head (A. Vaswani et al., 2017).

    Args:
        query: of shape (..., T, N, H): T places, N heads, H numbers for each; at most one leading axis.
        key, value: of shape (..., S, K, H); each of the K heads serves N / K heads of the query.
        bias: is added to what softmax is taken of; broadcasts to (..., N, T, S).
        mask: booleans that broadcast to (..., N, T, S): where they do not hold, a value does not count.
        scale: 1 / sqrt(H) by default.
        is_causal: whether place t sees the values up to t only.
        query_seq_lengths, key_value_seq_lengths: of shape (...,): how many places there are, from the first on; what
            is computed for others is zero.
        local_window_size: how many places before and after its own a place sees; one number counts for both.
        implementation: JAX's; there is one here.

    Returns:
        An array of the shape of the query.

    Raises:
        ShapeMismatchError: the shapes do not belong together. UnsupportedArgumentError: another implementation.

    Example:
        >>> import numpy as np, functrans as ft
        >>> x = np.ones((4, 2, 8))
        >>> ft.nn.dot_product_attention(x, x, x, is_causal=True).shape
        (4, 2, 8)
    """
    if implementation not in (None, "xla", "cudnn"):
        raise UnsupportedArgumentError(
            f"dot_product_attention was called with implementation={implementation!r}.",
            "There is one.",
            "Leave it out.",
        )
    query, key, value = (as_operand(x) for x in (query, key, value))
    _check(typeof(query).shape, typeof(key).shape, typeof(value).shape)
    *lead, places, heads, size = typeof(query).shape
    others, shared = typeof(key).shape[-3:-1]
    grouped = np.reshape(query, (*lead, places, shared, heads // shared, size))
    logits = np.einsum("...tkgh,...skh->...kgts", grouped, key)
    logits = np.reshape(logits, (*lead, heads, places, others)) * (size**-0.5 if scale is None else scale)
    logits = logits if bias is None else logits + bias
    seen = _seen(places, others, is_causal, local_window_size)
    seen = None if seen is None else beside(query, seen)
    rows = None if query_seq_lengths is None else _within(query_seq_lengths, places)[..., None, :, None]
    columns = None if key_value_seq_lengths is None else _within(key_value_seq_lengths, others)[..., None, None, :]
    for condition in (rows, columns, mask):
        if condition is not None:
            seen = condition if seen is None else np.logical_and(seen, condition)
    weights = softmax(logits) if seen is None else _masked_softmax(logits, seen)
    weights = np.reshape(weights, (*lead, shared, heads // shared, places, others))
    found = np.einsum("...kgts,...skh->...tkgh", weights, value)
    return np.reshape(found, typeof(query).shape)


def _masked_softmax(logits: Any, seen: Any) -> Any:
    """Softmax of what is seen; zeros where nothing is."""
    seen = np.broadcast_to(seen, typeof(logits).shape)
    is_any = np.any(seen, axis=-1, keepdims=True)
    return np.where(is_any, softmax(logits, -1, where=np.logical_or(seen, np.logical_not(is_any))), 0.0)


def _within(lengths: Any, extent: int) -> Any:
    """Which of a number of places are among the first ones, by lengths."""
    lengths = as_operand(lengths)
    return np.less(beside(lengths, np.arange(extent)), np.expand_dims(lengths, -1))


def _seen(places: int, others: int, is_causal: bool, window: int | tuple[int, int] | None) -> Any:
    """Which values a place sees; None for all."""
    if not is_causal and window is None:
        return None
    distance = np.arange(others) - np.arange(places)[:, None]
    seen = distance <= 0 if is_causal else np.ones_like(distance, dtype=bool)
    if window is not None:
        before, after = (window, window) if isinstance(window, int) else window
        seen &= (distance >= -before) & (distance <= after)
    return seen


def _check(query: tuple[int, ...], key: tuple[int, ...], value: tuple[int, ...]) -> None:
    fits = len(query) == len(key) and len(query) in (3, 4) and key == value and query[:-3] == key[:-3]
    if not fits or query[-1] != key[-1] or not key[-2] or query[-2] % key[-2]:
        raise ShapeMismatchError(
            f"dot_product_attention was given shapes {query} (query), {key} (key) and {value} (value).",
            "They are (..., T, N, H) and twice (..., S, K, H), with K a divisor of N.",
            "Check the shapes; heads are the axis before the last.",
        )
