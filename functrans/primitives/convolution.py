"""conv_general: convolutions over any number of axes, as neural networks know them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from math import prod
from typing import Any

import numpy as np

from ..core.avals import ShapedArray
from ..core.dtypes import result_type
from ..core.primitive import is_hole
from ..core.trace import Params, typeof
from ..errors import ShapeMismatchError
from .families import Bilinear
from .foundation import Shape, promoted, reshape, unbroadcast, zeros
from .structural import reverse, transpose

Padding = tuple[tuple[int, int], ...]

#: Windows are copied out in portions of about this many elements, which stay in the cache.
_PORTION = 1 << 20


class ConvGeneral(Bilinear):
    """Cross-correlation: `out[n, o, i] = sum_(c, k) x[n, c, stride i + dilation k - low] w[o, c, k]`.

    The axes of x are (batch, channels, *space), those of w (features, channels / groups, *window), those of the
    result (batch, features, *space). The first `len(features) / groups` features see the first
    `len(channels) / groups` channels, and so on.

    Args of a call, with one entry for each axis of space:
        strides: steps of the window.
        padding: (low, high) zeros before and after x; negative ones crop.
        x_dilation, w_dilation: distance of neighbours in x and in w, zeros standing between them.
        groups: parts of the channels that do not mix.
    """

    def abstract_eval(self, x: ShapedArray, w: ShapedArray, **params: Any) -> list[ShapedArray]:
        _check(x.shape, w.shape, params["groups"])
        return [ShapedArray((x.shape[0], w.shape[0], *_out_space(x.shape, w.shape, params)), promoted(x, w))]

    def impl(self, x: Any, w: Any, **params: Any) -> list[Any]:
        _check(x.shape, w.shape, params["groups"])
        space = _out_space(x.shape, w.shape, params)
        shape, dtype = (x.shape[0], w.shape[0], *space), result_type(x.dtype, w.dtype)
        x, w = x.astype(dtype, copy=False), w.astype(dtype, copy=False)
        if 0 in shape or 0 in w.shape or 0 in x.shape:
            return [np.zeros_like(x, order="C", shape=shape)]
        if prod(params["strides"]) == 1 and shape[1] * prod(x.shape[2:]) < x.shape[1] * prod(space):
            return [_by_taps(x, w, space, params)]
        x = _pad(_dilate(x, params["x_dilation"]), params["padding"])
        return [_correlate(x, w, space, params["strides"], params["w_dilation"], params["groups"])]

    def transpose(self, cotangents: Sequence[Any], x: Any, w: Any, **params: Any) -> list[Any]:
        self.check_one_hole(x, w)
        (ct,) = cotangents
        x_aval, w_aval = typeof(x), typeof(w)
        if 0 in (x_aval.size, w_aval.size, typeof(ct).size):
            return [zeros(v.aval) if is_hole(v) else None for v in (x, w)]
        if is_hole(x):
            return [unbroadcast(self._transpose_x(ct, x_aval.shape, w, **params), x_aval), None]
        return [None, unbroadcast(self._transpose_w(ct, x, w_aval.shape, **params), w_aval)]

    def _transpose_x(
        self, ct: Any, x_shape: Shape, w: Any, *, strides: Shape, padding: Padding, x_dilation: Shape,
        w_dilation: Shape, groups: int,
    ) -> Any:  # fmt: skip
        """The cotangent, its gaps filled, under the reversed window: strides and dilation change places."""
        features, channels, *window = typeof(w).shape
        w = reshape(w, shape=(groups, features // groups, channels, *window))
        w = reshape(_swap(w, 1, 2), shape=(groups * channels, features // groups, *window))
        w = reverse(w, axes=tuple(range(2, len(window) + 2)))
        padded = []
        for i, (low, _) in enumerate(padding):
            reach = _extent(window[i], w_dilation[i])
            before = reach - 1 - low
            ct_extent = _extent(typeof(ct).shape[i + 2], strides[i])
            padded.append((before, _extent(x_shape[i + 2], x_dilation[i]) + reach - 1 - ct_extent - before))
        return self(
            ct, w, strides=x_dilation, padding=tuple(padded), x_dilation=strides, w_dilation=w_dilation, groups=groups
        )

    def _transpose_w(
        self, ct: Any, x: Any, w_shape: Shape, *, strides: Shape, padding: Padding, x_dilation: Shape,
        w_dilation: Shape, groups: int,
    ) -> Any:  # fmt: skip
        """x under the cotangent as window, batch and channels having changed places.

        The groups take the place of the channels then, if there are several, and the batch is one more axis of space.
        """
        batch, channels, *space = typeof(x).shape
        padded = []
        for i, (low, _) in enumerate(padding):
            reach = _extent(w_shape[i + 2], w_dilation[i])
            ct_extent = _extent(typeof(ct).shape[i + 2], strides[i])
            padded.append((low, ct_extent - _extent(space[i], x_dilation[i]) + reach - low - 1))
        window = _swap(ct, 0, 1)
        if groups == 1:
            by_w = self(
                _swap(x, 0, 1), window, strides=w_dilation, padding=tuple(padded), x_dilation=x_dilation,
                w_dilation=strides, groups=1,
            )  # fmt: skip
            return _swap(by_w, 0, 1)
        x = _swap(reshape(x, shape=(batch, groups, channels // groups, *space)), 0, 2)
        features, _, *positions = typeof(window).shape
        by_w = self(
            x, reshape(window, shape=(features, 1, batch, *positions)), strides=(1, *w_dilation),
            padding=((0, 0), *padded), x_dilation=(1, *x_dilation), w_dilation=(1, *strides), groups=groups,
        )  # fmt: skip
        return _swap(reshape(by_w, shape=(channels // groups, features, *w_shape[2:])), 0, 1)

    def batch(
        self, size: int, values: Sequence[Any], mapped: Sequence[bool], *, groups: int, **params: Any
    ) -> tuple[Any, Any]:
        """Lanes of x alone are more of a batch; lanes of w are more features, of both more groups as well."""
        (x, w), (x_mapped, w_mapped) = values, mapped
        x_shape, w_shape = typeof(x).shape, typeof(w).shape
        if not w_mapped:
            x = reshape(x, shape=(size * x_shape[1], *x_shape[2:]))
            y = self(x, w, groups=groups, **params)
            return [reshape(y, shape=(size, x_shape[1], *typeof(y).shape[1:]))], [True]
        if not size:
            one = [ShapedArray(v.shape[m:], v.dtype) for v, m in zip(map(typeof, values), mapped)]
            (aval,) = self.abstract_eval(*one, groups=groups, **params)
            return [zeros(aval.with_shape((0, *aval.shape)))], [True]
        features = w_shape[1] // groups
        if x_mapped:
            x = reshape(_swap(x, 0, 1), shape=(x_shape[1], size * x_shape[2], *x_shape[3:]))
            w = reshape(w, shape=(size * w_shape[1], *w_shape[2:]))
            y = self(x, w, groups=size * groups, **params)
            y = reshape(y, shape=(x_shape[1], size, w_shape[1], *typeof(y).shape[2:]))
            return [_swap(y, 0, 1)], [True]
        w = _swap(reshape(w, shape=(size, groups, features, *w_shape[2:])), 0, 1)
        w = reshape(w, shape=(groups * size * features, *w_shape[2:]))
        y = self(x, w, groups=groups, **params)
        space = typeof(y).shape[2:]
        y = reshape(y, shape=(x_shape[0], groups, size, features, *space))
        y = transpose(y, permutation=(2, 0, 1, 3, *range(4, len(space) + 4)))
        return [reshape(y, shape=(size, x_shape[0], groups * features, *space))], [True]

    def assemble(
        self, assembler: Any, block: list[Any], sources: Sequence[Any], targets: Sequence[Any], params: Params
    ) -> bool:
        """Kernels, or products of matrices, whichever is thought to be quicker (compiler/convolution)."""
        steps = tuple(params[name] for name in ("strides", "padding", "x_dilation", "w_dilation"))
        return assembler.convolve(block, *sources, *targets, steps, params["groups"])


conv_general = ConvGeneral("conv_general")


def _swap(x: Any, i: int, j: int) -> Any:
    """Two axes exchanged."""
    order = list(range(len(typeof(x).shape)))
    order[i], order[j] = j, i
    return transpose(x, permutation=tuple(order))


def _extent(count: int, dilation: int) -> int:
    """The extent of `count` elements at a distance of `dilation`."""
    return (count - 1) * dilation + 1 if count else 0


def _out_space(x_shape: Shape, w_shape: Shape, params: Any) -> Shape:
    """How many positions of the window there are along each axis."""
    space = []
    for i, (low, high) in enumerate(params["padding"]):
        extent = _extent(x_shape[i + 2], params["x_dilation"][i]) + low + high
        reach = _extent(w_shape[i + 2], params["w_dilation"][i])
        space.append(max(0, (extent - reach) // params["strides"][i] + 1))
    return tuple(space)


def _check(x_shape: Shape, w_shape: Shape, groups: int) -> None:
    if len(x_shape) != len(w_shape) or len(x_shape) < 2:
        raise ShapeMismatchError(
            f"A convolution was asked for of arrays of shapes {x_shape} and {w_shape}.",
            "Both need a batch (or feature) axis, a channel axis, and the same number of axes of space.",
            "Add axes with `x[None]`, or choose other dimension numbers.",
        )
    if x_shape[1] != groups * w_shape[1] or w_shape[0] % groups:
        raise ShapeMismatchError(
            f"{x_shape[1]} channels, in {groups} group(s), met a window of {w_shape[1]} channels and {w_shape[0]} "
            "features.",
            "The window has the channels of one group, and the number of groups divides that of the features.",
            "Choose another feature_group_count, or transpose one of the arrays.",
        )


# ---- NumPy's part: windows are copied into the columns of a matrix, and BLAS multiplies


def _dilate(x: Any, dilation: Shape) -> Any:
    """Zeros between neighbours."""
    if all(d == 1 for d in dilation):
        return x
    shape = (*x.shape[:2], *(_extent(n, d) for n, d in zip(x.shape[2:], dilation)))
    spread = np.zeros_like(x, order="C", shape=shape)
    spread[(..., *(slice(None, None, d) for d in dilation))] = x
    return spread


def _pad(x: Any, padding: Padding) -> Any:
    """Zeros around x, and less of x where the padding is negative."""
    if all(low == high == 0 for low, high in padding):
        return x
    shape, source, target = list(x.shape[:2]), [], []
    for n, (low, high) in zip(x.shape[2:], padding):
        first, last = max(0, -low), min(n, n + high)
        source.append(slice(first, max(first, last)))
        target.append(slice(first + low, max(first, last) + low))
        shape.append(max(0, low + n + high))
    if all(low <= 0 and high <= 0 for low, high in padding):
        return x[(..., *source)]
    padded = np.zeros_like(x, order="C", shape=tuple(shape))
    if 0 not in shape:
        padded[(..., *target)] = x[(..., *source)]
    return padded


def _correlate(x: Any, w: Any, space: Shape, strides: Shape, dilation: Shape, groups: int) -> Any:
    """The convolution of a padded x, not empty."""
    batch, channels = x.shape[:2]
    features, _, *window = w.shape
    if channels == features == batch == 1 and len(space) == 1 and strides == dilation == (1,):
        return np.correlate(x[0, 0], w[0, 0].conj(), "valid")[None, None, : space[0]]
    axes = tuple(range(2, x.ndim))
    reach = tuple(_extent(k, d) for k, d in zip(window, dilation))
    views = np.lib.stride_tricks.sliding_window_view(x, reach, axes)
    views = views[(..., *(slice(None, None, s) for s in strides), *(slice(None, None, d) for d in dilation))]
    views = views.reshape((batch, groups, channels // groups, *views.shape[2:]))
    w = w.reshape((groups, features // groups, -1)).copy()  # BLAS does not read backwards
    if window and window[-1] > space[-1]:
        return _by_windows(views, w, space)
    return _by_positions(views, w, space)


def _by_positions(views: Any, w: Any, space: Shape) -> Any:
    """Positions of the window along the rows of a matrix: they are many, and neighbours in memory.

    Args:
        views: (batch, group, channel, *space, *window).
        w: (group, feature, channel and window).
    """
    batch, groups = views.shape[:2]
    n = len(space)
    columns = np.moveaxis(views, range(3, n + 3), range(-n, 0)) if n else views
    length, positions = w.shape[2], prod(space)
    out = np.empty_like(views, order="C", shape=(batch, groups, w.shape[1], positions))
    one = groups * length * positions
    if one <= _PORTION or n < 2:
        step = max(1, _PORTION // one)
        for i in range(0, batch, step):
            part = columns[i : i + step]
            np.matmul(w, part.reshape((part.shape[0], groups, length, positions)), out=out[i : i + step])
    else:
        rows = prod(space[1:])
        step = max(1, space[0] * _PORTION // one)
        for i, j in product(range(batch), range(0, space[0], step)):
            part = columns[i][(..., slice(j, j + step), *[slice(None)] * (n - 1))]
            some = part.shape[-n] * rows
            out[i, :, :, j * rows : j * rows + some] = np.matmul(w, part.reshape((groups, length, some)))
    return out.reshape((batch, -1, *space))


def _by_windows(views: Any, w: Any, space: Shape) -> Any:
    """The window along the rows of a matrix: it is large, as when the derivative by a window is taken.

    Args:
        views: (batch, group, channel, *space, *window).
        w: (group, feature, channel and window).
    """
    batch, groups = views.shape[:2]
    n, length = len(space), w.shape[2]
    rows = np.moveaxis(views, (1, 0), (0, 1))
    rows = np.moveaxis(rows, 2, n + 2)
    out = np.empty_like(views, order="C", shape=(groups, batch, prod(space), w.shape[1]))
    step = max(1, _PORTION // max(1, prod(space) * length))
    for g, i in product(range(groups), range(0, batch, step)):
        part = rows[g, i : i + step]
        out[g, i : i + step] = np.matmul(part.reshape((part.shape[0], -1, length)), w[g].T)
    out = np.moveaxis(out, (1, 0, 3), (0, 1, 2))
    return out.reshape((batch, -1, *space))


def _by_taps(x: Any, w: Any, space: Shape, params: Any) -> Any:
    """What each element of the window contributes, added up in shifted places.

    There are fewer features than channels here, or gaps in x that need not be multiplied: as when the derivative by
    the operand of a convolution with strides is taken.
    """
    groups, batch, features = params["groups"], x.shape[0], w.shape[0]
    window = w.shape[2:]
    x = x.reshape((batch, groups, x.shape[1] // groups, *x.shape[2:]))
    w = np.moveaxis(w.reshape((groups, features // groups, w.shape[1], -1)), -1, 0).copy()
    out = np.zeros_like(x, order="C", shape=(batch, groups, features // groups, *space))
    flat = x.reshape((batch, groups, x.shape[2], -1))
    step = max(1, _PORTION // (features * flat.shape[3]))
    for tap, index in enumerate(np.ndindex(*window)):
        spans = [
            _tap_span(n, extent, low, dilation, shift * w_dilation)
            for n, extent, (low, _), dilation, shift, w_dilation in zip(
                x.shape[3:], space, params["padding"], params["x_dilation"], index, params["w_dilation"]
            )
        ]
        target, source = (..., *(t for t, _ in spans)), (..., *(s for _, s in spans))
        for i in range(0, batch, step):
            part = np.matmul(w[tap], flat[i : i + step])
            out[i : i + step][target] += part.reshape((*part.shape[:3], *x.shape[3:]))[source]
    return out.reshape((batch, features, *space))


def _tap_span(n: int, extent: int, low: int, dilation: int, shift: int) -> tuple[slice, slice]:
    """Which places of the result, `low + dilation j - shift`, elements j of x reach, and which elements those are."""
    offset = low - shift
    first = max(0, -(offset // dilation))
    last = min(n, (extent - 1 - offset) // dilation + 1)
    count = max(0, last - first)
    start = offset + dilation * first
    return slice(start, start + dilation * (count - 1) + 1 if count else start, dilation), slice(first, first + count)
