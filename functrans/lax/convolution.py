"""Convolutions under JAX's names: any layout, strides, dilations, groups."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..core.avals import typeof
from ..numpy.common import as_operand
from ..primitives.convolution import conv_general
from ..primitives.structural import transpose


def conv_general_dilated(
    lhs: Any,
    rhs: Any,
    window_strides: Sequence[int],
    padding: str | Sequence[tuple[int, int]],
    lhs_dilation: Sequence[int] | None = None,
    rhs_dilation: Sequence[int] | None = None,
    dimension_numbers: tuple[str, str, str] | None = None,
    feature_group_count: int = 1,
) -> Any:
    """A convolution as neural networks mean it (the window is not reversed).

    Args:
        lhs: the array, of shape (batch, channels, *space) unless dimension_numbers says otherwise.
        rhs: the window, of shape (features, channels / feature_group_count, *window).
        window_strides: steps of the window, one for each axis of space.
        padding: "SAME", "VALID", or (low, high) for each axis of space; negative numbers crop.
        lhs_dilation, rhs_dilation: distance of neighbours in the array and in the window, by default 1.
        dimension_numbers: three strings that spell the layouts of lhs, rhs and result, as in
            `("NHWC", "HWIO", "NHWC")`: N and C are batch and channels, O and I features and channels of the window.

    Raises:
        ShapeMismatchError: channels, groups and features do not fit.

    Example:
        >>> import numpy as np, functrans as ft
        >>> x, w = np.arange(4.0).reshape(1, 1, 4), np.array([[[1.0, -1.0]]])
        >>> ft.lax.conv_general_dilated(x, w, (1,), "VALID")
        array([[[-1., -1., -1.]]])
    """
    lhs, rhs = as_operand(lhs), as_operand(rhs)
    space = "".join(chr(ord("a") + i) for i in range(typeof(lhs).ndim - 2))
    spelled = dimension_numbers or (f"NC{space}", f"OI{space}", f"NC{space}")
    axes = [c for c in spelled[0] if c not in "NC"]
    x = _arranged(lhs, spelled[0], ["N", "C", *axes])
    w = _arranged(rhs, spelled[1], ["O", "I", *axes])
    ones = (1,) * len(axes)
    x_dilation, w_dilation = tuple(lhs_dilation or ones), tuple(rhs_dilation or ones)
    strides = tuple(window_strides)
    if isinstance(padding, str):
        padding = _named_padding(padding, typeof(x).shape[2:], typeof(w).shape[2:], strides, x_dilation, w_dilation)
    y = conv_general(
        x, w, strides=strides, padding=tuple((low, high) for low, high in padding), x_dilation=x_dilation,
        w_dilation=w_dilation, groups=feature_group_count,
    )  # fmt: skip
    return _arranged(y, "".join(["N", "C", *axes]), list(spelled[2]))


def conv(lhs: Any, rhs: Any, window_strides: Sequence[int], padding: str | Sequence[tuple[int, int]]) -> Any:
    """conv_general_dilated in the default layout, without dilation and groups."""
    return conv_general_dilated(lhs, rhs, window_strides, padding)


def _arranged(x: Any, spelled: str, wanted: list[str]) -> Any:
    """x with the axes that `spelled` names in the order `wanted`."""
    order = tuple(spelled.index(c) for c in wanted)
    return x if order == tuple(range(len(order))) else transpose(x, permutation=order)


def _named_padding(
    name: str,
    space: Sequence[int],
    window: Sequence[int],
    strides: Sequence[int],
    x_dilation: Sequence[int],
    w_dilation: Sequence[int],
) -> list[tuple[int, int]]:
    if name.upper() == "VALID":
        return [(0, 0)] * len(space)
    if name.upper() != "SAME":
        raise ValueError(f"padding must be 'SAME', 'VALID' or pairs of integers, not {name!r}")
    pairs: list[tuple[int, int]] = []
    for extent, reach, stride, spread, gap in zip(space, window, strides, x_dilation, w_dilation):
        extent = (extent - 1) * spread + 1
        reach = (reach - 1) * gap + 1
        total = max((-(-extent // stride) - 1) * stride + reach - extent, 0)
        pairs.append((total // 2, total - total // 2))
    return pairs
