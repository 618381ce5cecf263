"""Images of another size, by interpolation (`jax.image`).

R. Keys, "Cubic convolution interpolation for digital image processing", IEEE Trans. Acoust. Speech Signal Process. 29,
1981; C. Duchon, "Lanczos filtering in one and two dimensions", J. Appl. Meteorol. 18, 1979.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import Enum
from typing import Any, Final

import numpy as np

from .core.avals import is_inexact
from .core.devices import beside
from .core.trace import typeof
from .errors import ShapeMismatchError, UnsupportedArgumentError
from .numpy.common import as_operand, cast
from .numpy.indexing import take


class ResizeMethod(Enum):
    """How values between pixels are found."""

    NEAREST = "nearest"
    LINEAR = "linear"
    LANCZOS3 = "lanczos3"
    LANCZOS5 = "lanczos5"
    CUBIC = "cubic"


def resize(
    image: Any, shape: Sequence[int], method: str | ResizeMethod, antialias: bool = True, precision: Any = None
) -> Any:
    """An array of another shape, with the same picture in it.

    Args:
        image: an array; integers become floats.
        shape: that of the result; axes whose extent stays are left alone.
        method: "nearest", "linear" ("bilinear", "trilinear", "triangle"), "cubic" ("bicubic", "tricubic"), "lanczos3"
            or "lanczos5".
        antialias: whether pixels of a smaller result are averages of all that they stand for.
        precision: of no effect.

    Raises:
        ShapeMismatchError: the shape has another number of axes. UnsupportedArgumentError: another method.

    Example:
        >>> import numpy as np
        >>> from functrans.image import resize
        >>> resize(np.array([[0.0, 4.0]]), (1, 4), "linear")
        array([[0., 1., 3., 4.]])
        >>> resize(np.array([0.0, 1.0, 2.0, 3.0]), (2,), "nearest")
        array([1., 3.])
    """
    x, kind = as_operand(image), _method(method)
    before, after = typeof(x).shape, tuple(map(int, shape))
    if len(before) != len(after):
        raise ShapeMismatchError(
            f"An array of shape {before} was to be resized to shape {after}.",
            "Both have the same number of axes.",
            "Add axes with `x[None]`, or give all extents.",
        )
    axes = [axis for axis, (n, m) in enumerate(zip(before, after)) if n != m]
    if kind is ResizeMethod.NEAREST:
        for axis in axes:
            n, m = before[axis], after[axis]
            x = take(x, beside(x, ((2 * np.arange(m) + 1) * n) // (2 * m)), axis)
        return x
    x = _as_float(x)
    scales = [after[axis] / before[axis] for axis in axes]
    return _scaled(x, after, axes, scales, [0.0] * len(axes), kind, antialias)


def scale_and_translate(
    image: Any,
    shape: Sequence[int],
    spatial_dims: Sequence[int],
    scale: Any,
    translation: Any,
    method: str | ResizeMethod,
    antialias: bool = True,
    precision: Any = None,
) -> Any:
    """An array with its picture enlarged and moved; what comes from beyond its ends is zero.

    A pixel at x, where the first one reaches from 0 to 1, comes to `x * scale + translation`.

    Args:
        image: an array; integers become floats.
        shape: that of the result.
        spatial_dims: the axes that are scaled; the others keep their extents.
        scale, translation: a number for each of these; the result differentiates by them.
        method, antialias, precision: as in `resize`, but for "nearest".

    Raises:
        ShapeMismatchError: shape, scale or translation does not fit. UnsupportedArgumentError: another method.

    Example:
        >>> import numpy as np
        >>> from functrans.image import scale_and_translate
        >>> scale_and_translate(np.array([1.0, 2.0, 3.0]), (4,), (0,), [1.0], [0.5], "linear")
        array([1. , 1.5, 2.5, 3. ])
    """
    x, kind = _as_float(as_operand(image)), _method(method)
    before, after = typeof(x).shape, tuple(map(int, shape))
    axes = [axis % len(before) for axis in spatial_dims]
    scales, moves = as_operand(scale), as_operand(translation)
    kept = [axis for axis in range(len(before)) if axis not in axes]
    lengths = {typeof(scales).shape, typeof(moves).shape}
    if len(before) != len(after) or lengths != {(len(axes),)} or any(before[i] != after[i] for i in kept):
        raise ShapeMismatchError(
            f"An array of shape {before} was to be scaled along the axes {tuple(axes)} to shape {after}, by "
            f"{typeof(scales)} and {typeof(moves)}.",
            "There is one scale and one translation for each of the axes, and the others keep their extents.",
            "Correct shape, spatial_dims, scale or translation.",
        )
    if kind is ResizeMethod.NEAREST:
        raise UnsupportedArgumentError(
            "scale_and_translate was called with the method 'nearest'.",
            "It weights pixels by their distance, and has derivatives by scale and translation.",
            "Choose 'linear', or call resize.",
        )
    return _scaled(x, after, axes, scales, moves, kind, antialias)


def _method(method: str | ResizeMethod) -> ResizeMethod:
    if isinstance(method, ResizeMethod):
        return method
    if method not in _NAMES:
        raise UnsupportedArgumentError(
            f"An image was to be resized by the method {method!r}.",
            f"There are {', '.join(_NAMES)}.",
            "Choose one of these.",
        )
    return _NAMES[method]


def _as_float(x: Any) -> Any:
    return x if is_inexact(typeof(x).dtype) else cast(x, np.result_type(typeof(x).dtype, np.float32))


def _scaled(
    x: Any, shape: Sequence[int], axes: Sequence[int], scales: Any, moves: Any, kind: ResizeMethod, antialias: bool
) -> Any:
    for i, axis in enumerate(axes):
        weights = _weights(typeof(x).shape[axis], shape[axis], scales[i], moves[i], _KERNELS[kind], antialias)
        x = np.moveaxis(np.matmul(np.moveaxis(x, axis, -1), cast(beside(x, weights), typeof(x).dtype)), -1, axis)
    return x


def _weights(n: int, m: int, scale: Any, move: Any, kernel: Callable[[Any], Any], antialias: bool) -> Any:
    """How much each of n pixels counts in each of m."""
    middles = (np.arange(m) + 0.5 - move) / scale - 0.5
    width = np.maximum(1.0 / scale, 1.0) if antialias else 1.0
    weights = kernel(np.abs(middles - np.arange(n)[:, None]) / width)
    total = np.sum(weights, axis=0)
    is_inside = (middles >= -0.5) & (middles <= n - 0.5) & (np.abs(total) > _LEAST)
    return np.where(is_inside, weights / np.where(is_inside, total, 1.0), 0.0)


def _linear(distance: Any) -> Any:
    return np.maximum(0.0, 1.0 - distance)


def _cubic(distance: Any) -> Any:
    """Keys's interpolation with a = -1/2."""
    near = (1.5 * distance - 2.5) * distance * distance + 1.0
    far = ((-0.5 * distance + 2.5) * distance - 4.0) * distance + 2.0
    return np.where(distance < 1, near, np.where(distance < 2, far, 0.0))


def _lanczos(radius: int) -> Callable[[Any], Any]:
    return lambda distance: np.where(distance < radius, np.sinc(distance) * np.sinc(distance / radius), 0.0)


#: Weights of pixels that add up to less than this are none.
_LEAST: Final = 1000 * np.finfo(np.float32).eps
_KERNELS: Final = {
    ResizeMethod.LINEAR: _linear,
    ResizeMethod.CUBIC: _cubic,
    ResizeMethod.LANCZOS3: _lanczos(3),
    ResizeMethod.LANCZOS5: _lanczos(5),
}
_NAMES: Final = {
    **{kind.value: kind for kind in ResizeMethod},
    **dict.fromkeys(("bilinear", "trilinear", "triangle"), ResizeMethod.LINEAR),
    **dict.fromkeys(("bicubic", "tricubic"), ResizeMethod.CUBIC),
}

__all__ = ["ResizeMethod", "resize", "scale_and_translate"]
