"""Convolutions as neural networks use them, under JAX's names."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from operator import index
from typing import Any, NamedTuple

import numpy as np

from ..core.devices import beside
from ..core.dtypes import result_type
from ..core.trace import typeof
from ..errors import ConvolutionError
from ..numpy.common import as_operand, cast
from ..primitives.convolution import conv_general
from ..primitives.foundation import Shape, reshape
from ..primitives.structural import reverse, transpose


class ConvDimensionNumbers(NamedTuple):
    """Where the axes are: (batch, channels, *space) of the operand and the result, (features, channels, *window)."""

    lhs_spec: Shape
    rhs_spec: Shape
    out_spec: Shape


def conv_dimension_numbers(
    lhs_shape: Sequence[int], rhs_shape: Sequence[int], dimension_numbers: Any
) -> ConvDimensionNumbers:
    """Layouts as numbers of axes.

    Args:
        dimension_numbers: three strings such as ("NHWC", "HWIO", "NHWC"), a ConvDimensionNumbers, or None for
            ("NCHW", "OIHW", "NCHW") and its like.

    Raises:
        ConvolutionError: the arrays differ in their number of axes, or a string does not name every axis once.

    Example:
        >>> import functrans as ft
        >>> numbers = ft.lax.conv_dimension_numbers((8, 32, 32, 3), (5, 5, 3, 16), ("NHWC", "HWIO", "NHWC"))
        >>> numbers.lhs_spec, numbers.rhs_spec
        ((0, 3, 1, 2), (3, 2, 0, 1))
    """
    ndim = len(lhs_shape)
    if len(rhs_shape) != ndim or ndim < 2:
        raise ConvolutionError(
            f"A convolution was asked for of arrays of shapes {tuple(lhs_shape)} and {tuple(rhs_shape)}.",
            "Both need a batch (or feature) axis, a channel axis, and the same number of axes of space.",
            "Add axes with `x[None]`.",
        )
    if isinstance(dimension_numbers, ConvDimensionNumbers):
        return dimension_numbers
    if dimension_numbers is None:
        return ConvDimensionNumbers(*[tuple(range(ndim))] * 3)
    specs = [str(spec) for spec in dimension_numbers]
    if len(specs) != 3 or any(len(set(s)) != len(s) or len(s) != ndim for s in specs):
        raise _layout_error(specs, lhs_shape, rhs_shape)
    window = [c for c in specs[1] if c not in "OI"]
    named = list(zip(specs, ("NC", "OI", "NC")))
    if any({*spec} != {*letters, *window} for spec, letters in named):
        raise _layout_error(specs, lhs_shape, rhs_shape)
    return ConvDimensionNumbers(*(tuple(map(spec.index, (*letters, *window))) for spec, letters in named))


def _layout_error(specs: Sequence[str], lhs_shape: Sequence[int], rhs_shape: Sequence[int]) -> ConvolutionError:
    return ConvolutionError(
        f"The layouts {', '.join(map(repr, specs))} do not fit arrays of shapes {tuple(lhs_shape)} and "
        f"{tuple(rhs_shape)}.",
        "Each has one letter for each axis: N and C, or O and I, and the same letters for the axes of space.",
        "Write dimension_numbers=('NCHW', 'OIHW', 'NCHW'), for instance.",
    )


def conv_general_dilated(
    lhs: Any,
    rhs: Any,
    window_strides: Sequence[int],
    padding: str | Sequence[tuple[int, int]],
    lhs_dilation: Sequence[int] | None = None,
    rhs_dilation: Sequence[int] | None = None,
    dimension_numbers: Any = None,
    feature_group_count: int = 1,
    batch_group_count: int = 1,
    precision: Any = None,
    preferred_element_type: Any = None,
) -> Any:
    """A convolution as neural networks mean it (the window is not reversed), over any number of axes.

    Args:
        lhs: the array, of shape (batch, channels, *space) unless dimension_numbers says otherwise.
        rhs: the window, of shape (features, channels / feature_group_count, *window).
        window_strides: steps of the window along each axis of space.
        padding: "VALID", "SAME", "SAME_LOWER", or (low, high) for each axis of space; negative ones crop.
        lhs_dilation, rhs_dilation: distance of neighbours in the array and in the window, by default 1.
        dimension_numbers: three strings that spell the layouts of lhs, rhs and result, as in
            `("NHWC", "HWIO", "NHWC")`: N and C are batch and channels, O and I features and channels of the window.
        feature_group_count: parts of the channels that do not mix.
        batch_group_count: parts of the batch, each of which gives its part of the features.
        precision: of no effect.
        preferred_element_type: dtype to compute in.

    Raises:
        ConvolutionError: strides, padding, dilation, layout or batch_group_count do not fit the operands.
        ShapeMismatchError: channels, groups and features do not fit.

    Example:
        >>> import numpy as np, functrans as ft
        >>> x, w = np.arange(4.0).reshape(1, 1, 4), np.array([[[1.0, -1.0]]])
        >>> ft.lax.conv_general_dilated(x, w, (1,), "VALID")
        array([[[-1., -1., -1.]]])
    """
    lhs, rhs = as_operand(lhs), as_operand(rhs)
    numbers = conv_dimension_numbers(typeof(lhs).shape, typeof(rhs).shape, dimension_numbers)
    dtype = preferred_element_type or result_type(typeof(lhs).dtype, typeof(rhs).dtype)
    x = _arranged(cast(lhs, dtype), numbers.lhs_spec)
    w = _arranged(cast(rhs, dtype), numbers.rhs_spec)
    window = typeof(w).shape[2:]
    strides = _per_axis(window_strides, len(window), "window_strides")
    x_dilation = _per_axis(lhs_dilation, len(window), "lhs_dilation")
    w_dilation = _per_axis(rhs_dilation, len(window), "rhs_dilation")
    groups = index(feature_group_count)
    if batch_group_count != 1:
        x, groups = _batch_groups(x, index(batch_group_count), groups)
    if isinstance(padding, str) and any(d != 1 for d in x_dilation):
        raise ConvolutionError(
            f"padding={padding!r} was given together with lhs_dilation.",
            "What it means for a dilated operand is not agreed upon.",
            "Give (low, high) for each axis, or use conv_transpose.",
        )
    reach = [(k - 1) * d + 1 for k, d in zip(window, w_dilation)]
    y = conv_general(
        x, w,
        strides=strides, padding=window_pads(padding, typeof(x).shape[2:], reach, strides), x_dilation=x_dilation,
        w_dilation=w_dilation, groups=groups,
    )  # fmt: skip
    return _arranged(y, tuple(map(numbers.out_spec.index, range(len(numbers.out_spec)))))


def conv_with_general_padding(
    lhs: Any,
    rhs: Any,
    window_strides: Sequence[int],
    padding: str | Sequence[tuple[int, int]],
    lhs_dilation: Sequence[int] | None,
    rhs_dilation: Sequence[int] | None,
    precision: Any = None,
    preferred_element_type: Any = None,
) -> Any:
    """conv_general_dilated in the layout (batch, channels, *space), without groups.

    Example:
        >>> import numpy as np, functrans as ft
        >>> x, window = np.array([[[1.0, 2.0, 4.0]]]), np.array([[[1.0, 1.0]]])
        >>> ft.lax.conv_with_general_padding(x, window, (1,), [(1, 0)], None, None)
        array([[[1., 3., 6.]]])
    """
    return conv_general_dilated(
        lhs, rhs, window_strides, padding, lhs_dilation, rhs_dilation, preferred_element_type=preferred_element_type
    )


def conv(
    lhs: Any,
    rhs: Any,
    window_strides: Sequence[int],
    padding: str | Sequence[tuple[int, int]],
    precision: Any = None,
    preferred_element_type: Any = None,
) -> Any:
    """conv_general_dilated in the layout (batch, channels, *space), without dilation and groups.

    Example:
        >>> import numpy as np, functrans as ft
        >>> x, w = np.arange(4.0).reshape(1, 1, 4), np.ones((1, 1, 2))
        >>> ft.lax.conv(x, w, (2,), "VALID")
        array([[[1., 5.]]])
    """
    return conv_general_dilated(lhs, rhs, window_strides, padding, preferred_element_type=preferred_element_type)


def conv_transpose(
    lhs: Any,
    rhs: Any,
    strides: Sequence[int],
    padding: str | Sequence[tuple[int, int]],
    rhs_dilation: Sequence[int] | None = None,
    dimension_numbers: Any = None,
    transpose_kernel: bool = False,
    precision: Any = None,
    preferred_element_type: Any = None,
) -> Any:
    """A convolution that enlarges: `strides` are the distances of the elements of lhs in the result.

    Args:
        padding: "SAME" (the result is `strides` times as large as lhs), "VALID" (every place that the window
            reaches), or (low, high) for each axis of space.
        dimension_numbers: by default ("NHWC", "HWIO", "NHWC") and its like.
        transpose_kernel: reverse the window and exchange its channels and features, which gives the transpose of the
            convolution with `strides`.

    Example:
        >>> import numpy as np, functrans as ft
        >>> x, w = np.ones((1, 2, 1)), np.array([[[1.0]], [[2.0]]])
        >>> ft.lax.conv_transpose(x, w, (2,), "VALID")[0, :, 0]
        array([2., 1., 2., 1.])
    """
    lhs, rhs = as_operand(lhs), as_operand(rhs)
    count = typeof(lhs).ndim - 2
    if dimension_numbers is None:
        if count > 3:
            raise ConvolutionError("conv_transpose over more than three axes needs dimension_numbers.")
        space = "HWD"[:count]
        dimension_numbers = (f"N{space}C", f"{space}IO", f"N{space}C")
    numbers = conv_dimension_numbers(typeof(lhs).shape, typeof(rhs).shape, dimension_numbers)
    steps, dilation = _per_axis(strides, count, "strides"), _per_axis(rhs_dilation, count, "rhs_dilation")
    if isinstance(padding, str):
        window = (typeof(rhs).shape[axis] for axis in numbers.rhs_spec[2:])
        reach = [(k - 1) * d + 1 for k, d in zip(window, dilation)]
        padding = [_transposed_pads(padding, k, step) for k, step in zip(reach, steps)]
    if transpose_kernel:
        rhs = reverse(rhs, axes=numbers.rhs_spec[2:])
        numbers = numbers._replace(rhs_spec=(*numbers.rhs_spec[1::-1], *numbers.rhs_spec[2:]))
    return conv_general_dilated(
        lhs, rhs, (1,) * count, padding, steps, dilation, numbers, preferred_element_type=preferred_element_type
    )


def conv_general_dilated_patches(
    lhs: Any,
    filter_shape: Sequence[int],
    window_strides: Sequence[int],
    padding: str | Sequence[tuple[int, int]],
    lhs_dilation: Sequence[int] | None = None,
    rhs_dilation: Sequence[int] | None = None,
    dimension_numbers: Any = None,
    precision: Any = None,
    preferred_element_type: Any = None,
) -> Any:
    """The windows that a convolution sees, as channels: for each channel of lhs the elements of a window, in order.

    Args:
        filter_shape: the extents of the window.

    The others are those of `conv_general_dilated`.

    Example:
        >>> import numpy as np, functrans as ft
        >>> ft.lax.conv_general_dilated_patches(np.arange(4.0).reshape(1, 1, 4), (2,), (1,), "VALID")
        array([[[0., 1., 2.],
                [1., 2., 3.]]])
    """
    lhs = as_operand(lhs)
    aval, extents = typeof(lhs), tuple(map(index, filter_shape))
    numbers = conv_dimension_numbers(aval.shape, (1, 1, *extents), dimension_numbers)
    channels = aval.shape[numbers.lhs_spec[1]]
    dtype = preferred_element_type or aval.dtype
    one_hot = np.eye(prod(extents), dtype=dtype).reshape(-1, 1, *extents)
    window = np.tile(one_hot, (channels, *(1,) * (len(extents) + 1)))
    inverse = tuple(map(numbers.rhs_spec.index, range(len(numbers.rhs_spec))))
    return conv_general_dilated(
        lhs, beside(lhs, np.transpose(window, inverse)), window_strides, padding, lhs_dilation, rhs_dilation, numbers,
        feature_group_count=channels, preferred_element_type=dtype,
    )  # fmt: skip


def _arranged(x: Any, order: Shape) -> Any:
    return x if order == tuple(range(len(order))) else transpose(x, permutation=order)


def _per_axis(values: Sequence[int] | None, count: int, name: str) -> Shape:
    """One positive integer for each axis of space; None stands for ones."""
    found = (1,) * count if values is None else tuple(map(index, values))
    if len(found) != count or any(v < 1 for v in found):
        raise ConvolutionError(
            f"{name}={found} was given for a convolution over {count} axes of space.",
            "There must be one positive integer for each of them.",
        )
    return found


def _batch_groups(x: Any, parts: int, groups: int) -> tuple[Any, int]:
    """Parts of the batch as parts of the channels."""
    batch, channels, *space = typeof(x).shape
    if groups != 1 or parts < 1 or batch % parts:
        raise ConvolutionError(
            f"batch_group_count={parts} was given for a batch of {batch} and feature_group_count={groups}.",
            "It must divide the batch, and one of the two counts must be 1.",
        )
    x = reshape(x, shape=(parts, batch // parts, channels, *space))
    x = transpose(x, permutation=(1, 0, *range(2, len(space) + 3)))
    return reshape(x, shape=(batch // parts, parts * channels, *space)), parts


def window_pads(
    padding: str | Sequence[tuple[int, int]], space: Sequence[int], reach: Sequence[int], strides: Sequence[int]
) -> tuple[tuple[int, int], ...]:
    """Zeros before and after each axis of space."""
    if not isinstance(padding, str):
        pads = tuple((index(low), index(high)) for low, high in padding)
        if len(pads) != len(space):
            raise ConvolutionError(f"{len(pads)} pairs of padding were given for {len(space)} axes of space.")
        return pads
    if padding == "VALID":
        return ((0, 0),) * len(space)
    if padding not in ("SAME", "SAME_LOWER"):
        raise _padding_error(padding)
    found = []
    for n, k, stride in zip(space, reach, strides):
        total = max((-(-n // stride) - 1) * stride + k - n, 0)
        low = total // 2 if padding == "SAME" else total - total // 2
        found.append((low, total - low))
    return tuple(found)


def _transposed_pads(padding: str, reach: int, stride: int) -> tuple[int, int]:
    """Zeros around the dilated operand of conv_transpose."""
    if padding == "VALID":
        return reach - 1, max(reach, stride) - 1
    if padding != "SAME":
        raise _padding_error(padding)
    total = reach + stride - 2
    low = min(reach - 1, -(-total // 2))
    return low, total - low


def _padding_error(padding: str) -> ConvolutionError:
    return ConvolutionError(
        f"padding={padding!r} was given.",
        "It is none of the paddings with a name.",
        "Use 'VALID' or 'SAME', or (low, high) for each axis of space.",
    )


__all__ = [
    "ConvDimensionNumbers", "conv", "conv_dimension_numbers", "conv_general_dilated", "conv_general_dilated_patches",
    "conv_transpose", "conv_with_general_padding",
]  # fmt: skip
